//! Writeback: carrying edits into Zoho. Read what Zoho has, merge, write what is left, read back, merge again.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::connection::Status;
use crate::disposition::Disposition;
use crate::hash;
use crate::identifier::{ConnectionId, PlatformId, RunId, ZohoId};
use crate::journal::{Direction, Entry, Outcome};
use crate::mapping::{FieldPlan, Theirs};
use crate::merge::{merge, settle};
use crate::message::Writeback;
use crate::object::Object;
use crate::outgoing::{self, Unsendable};
use crate::port::{self, CrmError, Ports, WriteRefusal};
use crate::record::{Action, Change, Link, Parked, Record};
use crate::row::Outgoing;
use crate::select::{IN_VALUES, Which};
use crate::value::Fields;

use super::apply::neighbours;
use super::job::{Deadline, Job};
use super::{Error, alarm, creation, edits, reading};

/// The most records of one write (Zoho CRM v8, insert and update records).
const GROUP: usize = 100;

/// How often a group is read again because a record changed between reading and writing.
const ATTEMPTS: usize = 3;

/// A message with the instant at which it was sent.
#[derive(Debug, Clone)]
pub struct Received {
    /// The message.
    pub message: Writeback,
    /// When it was sent: an edit in it was made no later.
    pub sent_at: Timestamp,
}

/// Handles messages of one connection and object together, so that their records go out in groups.
///
/// # Errors
/// Only such failures as the messages' redelivery heals; everything else is settled here and recorded.
pub async fn handle(
    ports: &Ports,
    connection: &ConnectionId,
    object: Object,
    messages: &[Received],
    deadline: Deadline,
) -> Result<(), Error> {
    let mut ids: Vec<PlatformId> = Vec::new();
    for received in messages {
        match &received.message {
            Writeback::Push { ids: named, .. } => ids.extend(named.iter().cloned()),
            Writeback::Edit { edits, .. } => {
                let answers = edits::store(
                    ports,
                    connection,
                    object,
                    edits.clone(),
                    edits::Made::At(received.sent_at),
                )
                .await?;
                log_refused(ports, connection, object, &answers, received.sent_at).await?;
                ids.extend(
                    answers
                        .into_iter()
                        .filter(|answer| answer.accepted)
                        .map(|answer| answer.id),
                );
            }
        }
    }
    ids.sort();
    ids.dedup();
    let Some(known) = ports.store.connection(connection).await? else {
        return Err(Error::NotFound {
            what: format!("connection {connection}"),
        });
    };
    if known.status != Status::Enabled || ids.is_empty() {
        // The edits are stored; the sweep finds them when the connection runs again.
        return Ok(());
    }
    let milliseconds = u64::try_from(ports.clock.now().as_millisecond()).unwrap_or_default();
    let run = RunId::new(milliseconds, ports.entropy.number());
    let job = Job::begin(ports, connection, Some(run), deadline).await?;
    let pushed = push(&job, object, &ids).await;
    job.calculations.send(job.run.as_ref()).await;
    job.session.finish().await?;
    match pushed {
        // The connection's status says it, and the edits stay pending.
        Err(error) if error.disposition() == Disposition::Reconnect => Ok(()),
        pushed => pushed,
    }
}

/// Nobody waits for an answer to a message: what is refused is said in the log.
async fn log_refused(
    ports: &Ports,
    connection: &ConnectionId,
    object: Object,
    answers: &[edits::EditAnswer],
    at: Timestamp,
) -> Result<(), Error> {
    let settings = ports.store.settings(connection).await?;
    let entries: Vec<Entry> = answers
        .iter()
        .filter(|answer| !answer.accepted)
        .map(|answer| {
            let problems: Vec<String> = answer
                .problems
                .iter()
                .map(|problem| match &problem.field {
                    Some(field) => format!("{field}: {}", problem.problem),
                    None => problem.problem.clone(),
                })
                .collect();
            let subject = format!("{object}#{}", answer.id);
            let retention = super::job::retention(&settings);
            let mut entry = Entry::note(
                connection.clone(),
                at,
                Outcome::Refused,
                "edit refused",
                &subject,
                problems.join("; "),
                retention,
            );
            entry.object = Some(object);
            entry.record = Some(answer.id.clone());
            entry.direction = Some(Direction::Push);
            entry
        })
        .collect();
    Ok(ports.store.write(&entries).await?)
}

/// Brings the waiting edits of these records to Zoho.
///
/// # Errors
/// When Zoho or a port fails; what was written until then is recognised when the records are looked at again.
pub async fn push(job: &Job<'_>, object: Object, ids: &[PlatformId]) -> Result<(), Error> {
    if !object.is_writable() {
        return Err(Error::Invalid(format!(
            "{object}s are never written to Zoho"
        )));
    }
    let plan = job.plan(object);
    let records = waiting(job, object, ids).await?;
    let (members, outside): (Vec<Record>, Vec<Record>) = records
        .into_iter()
        .partition(|record| is_member(job, record));
    for record in outside {
        park(
            job,
            record,
            "OUT_OF_SEGMENT",
            None,
            "it is in none of the segments that are written to Zoho",
        )
        .await?;
    }
    let unlinked: Vec<Record> = members
        .iter()
        .filter(|record| record.zoho_id.is_none())
        .cloned()
        .collect();
    creation::look(job, &plan, &unlinked).await?;
    let ids: Vec<PlatformId> = members.iter().map(|record| record.id.clone()).collect();
    let (linked, unlinked): (Vec<Record>, Vec<Record>) = waiting(job, object, &ids)
        .await?
        .into_iter()
        .partition(|record| record.zoho_id.is_some());
    for group in unlinked.chunks(GROUP) {
        create(job, &plan, group).await?;
    }
    for group in linked.chunks(GROUP) {
        update(job, &plan, group.to_vec()).await?;
    }
    Ok(())
}

async fn waiting(job: &Job<'_>, object: Object, ids: &[PlatformId]) -> Result<Vec<Record>, Error> {
    let mut records = job.ports.store.records(job.id(), object, ids).await?;
    records.retain(Record::wants_push);
    Ok(records)
}

fn is_member(job: &Job<'_>, record: &Record) -> bool {
    let selected = &job.settings.settings.segments;
    selected.is_empty() || !selected.is_disjoint(&record.segments)
}

/// Creates records that Zoho does not have.
async fn create(job: &Job<'_>, plan: &FieldPlan, group: &[Record]) -> Result<(), Error> {
    let object = plan.object;
    let mut sending: Vec<(Record, Fields, Outgoing)> = Vec::new();
    for record in group {
        if !job.settings.settings.creates_in_zoho(object) {
            let remedy =
                format!("Zoho has no such {object}, and creating {object}s there is switched off");
            park(job, record.clone(), "NOT_IN_ZOHO", None, &remedy).await?;
            continue;
        }
        let record = fill_references(job, record.clone()).await?;
        match outgoing::creation(&record, plan, &job.settings.settings) {
            Ok((written, out)) => {
                // The intent is stored before the call, so that a lost reply is looked for and not repeated.
                let intended = Record {
                    create_intent: record.create_intent.or(Some(job.ports.clock.now())),
                    ..record
                };
                sending.push((job.ports.store.save_record(intended).await?, written, out));
            }
            // Its other end is on its way to Zoho; the sweep comes back to it.
            Err(Unsendable::NotInZoho { .. }) => {}
        }
    }
    if sending.is_empty() {
        return Ok(());
    }
    let out: Vec<Outgoing> = sending.iter().map(|(_, _, out)| out.clone()).collect();
    let reply = match job.session.insert(object, &out, &trigger(job)).await {
        Err(Error::Crm(CrmError::Refused {
            code,
            message,
            field,
        })) => {
            return refuse_all(job, plan, sending, &code, &message, field, Write::Create).await;
        }
        reply => reply?,
    };
    let mut written = Vec::new();
    let mut links = Vec::new();
    for ((record, fields, _), outcome) in sending.into_iter().zip(reply.value) {
        match outcome {
            Ok(saved) => {
                links.push(creation::link(job, object, saved.id, &record.id));
                written.push(Written {
                    record: Record {
                        zoho_id: Some(saved.id),
                        ..record
                    },
                    zoho_id: saved.id,
                    fields,
                });
            }
            Err(refusal) => park_refused(job, record, &refusal).await?,
        }
    }
    // The link first: cut off here, the next look at Zoho's row leads to this record and not to a second one.
    job.ports.store.save_links(&links).await?;
    read_back(job, plan, written, Action::CreatedInZoho).await
}

/// What Zoho took.
struct Written {
    record: Record,
    zoho_id: ZohoId,
    fields: Fields,
}

/// Updates records that Zoho has.
async fn update(job: &Job<'_>, plan: &FieldPlan, mut group: Vec<Record>) -> Result<(), Error> {
    for _ in 0..ATTEMPTS {
        let ids: Vec<ZohoId> = group.iter().filter_map(|record| record.zoho_id).collect();
        let (rows, read_at) = read(job, plan, &ids).await?;
        let mut sending: Vec<(Record, Fields, Outgoing)> = Vec::new();
        for record in std::mem::take(&mut group) {
            let record = fill_references(job, record).await?;
            let Some(theirs) = record.zoho_id.and_then(|id| rows.get(&id)) else {
                park(
                    job,
                    record,
                    "NOT_IN_ZOHO",
                    None,
                    "Zoho has the record no more; the next full sync removes it here too",
                )
                .await?;
                continue;
            };
            let merged = merge(&record, Some(theirs), plan, &job.moment());
            match outgoing::update(&merged.push, theirs, plan) {
                Ok(out) if out.is_empty() => {
                    save_merged(job, plan, merged.record, merged.changed, theirs).await?
                }
                Ok(out) => sending.push((merged.record, merged.push, out)),
                Err(Unsendable::NotInZoho { .. }) => {
                    save_merged(job, plan, merged.record, merged.changed, theirs).await?
                }
            }
        }
        if sending.is_empty() {
            return Ok(());
        }
        let out: Vec<(ZohoId, Outgoing)> = sending
            .iter()
            .filter_map(|(record, _, out)| Some((record.zoho_id?, out.clone())))
            .collect();
        // Zoho refuses the whole call if one of the records changed since they were read.
        match job
            .session
            .update(plan.object, &out, &trigger(job), Some(read_at))
            .await
        {
            Ok(reply) => {
                let mut written = Vec::new();
                let mut changed = Vec::new();
                for ((record, fields, _), outcome) in sending.into_iter().zip(reply.value) {
                    match outcome {
                        Ok(saved) => written.push(Written {
                            record,
                            zoho_id: saved.id,
                            fields,
                        }),
                        // Zoho's answer to a conditional write can be per record, too.
                        Err(refusal) if refusal.code == "ALREADY_MODIFIED" => {
                            changed.push(record.id)
                        }
                        Err(refusal) => park_refused(job, record, &refusal).await?,
                    }
                }
                read_back(job, plan, written, Action::Pushed).await?;
                group = waiting(job, plan.object, &changed).await?;
                if group.is_empty() {
                    return Ok(());
                }
            }
            Err(Error::Crm(CrmError::ChangedMeanwhile)) => {
                let ids: Vec<PlatformId> = sending
                    .iter()
                    .map(|(record, ..)| record.id.clone())
                    .collect();
                group = waiting(job, plan.object, &ids).await?;
            }
            Err(Error::Crm(CrmError::Refused {
                code,
                message,
                field,
            })) => {
                return refuse_all(job, plan, sending, &code, &message, field, Write::Update).await;
            }
            Err(error) => return Err(error),
        }
    }
    Err(CrmError::ChangedMeanwhile.into())
}

/// Which write was refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write {
    Create,
    Update,
}

/// A call that was refused as a whole is halved until the record that spoils it is found.
async fn refuse_all(
    job: &Job<'_>,
    plan: &FieldPlan,
    mut sending: Vec<(Record, Fields, Outgoing)>,
    code: &str,
    message: &str,
    field: Option<String>,
    write: Write,
) -> Result<(), Error> {
    if let [(record, ..)] = sending.as_slice() {
        let refusal = WriteRefusal {
            code: code.to_owned(),
            field,
            message: message.to_owned(),
            duplicate_of: None,
        };
        return park_refused(job, record.clone(), &refusal).await;
    }
    let half = sending.split_off(sending.len() / 2);
    for part in [sending, half] {
        let ids: Vec<PlatformId> = part.iter().map(|(record, ..)| record.id.clone()).collect();
        let records = waiting(job, plan.object, &ids).await?;
        match write {
            Write::Create => Box::pin(create(job, plan, &records)).await?,
            Write::Update => Box::pin(update(job, plan, records)).await?,
        }
    }
    Ok(())
}

fn trigger(job: &Job<'_>) -> Vec<String> {
    job.settings.settings.trigger.iter().cloned().collect()
}

/// What Zoho has of these records now, and Zoho's clock at that.
async fn read(
    job: &Job<'_>,
    plan: &FieldPlan,
    ids: &[ZohoId],
) -> Result<(BTreeMap<ZohoId, Theirs>, Timestamp), Error> {
    let page = reading::rows(job, plan, Which::Ids(ids.to_vec()), IN_VALUES).await?;
    let neighbours = neighbours(job, plan, &page.value.rows).await?;
    let rows = page
        .value
        .rows
        .iter()
        .map(|row| (row.id, plan.read(row, &neighbours)))
        .collect();
    Ok((rows, page.server_time))
}

/// Settles what was written with what Zoho made of it, so that the next pull sees nothing new (P5, W8).
async fn read_back(
    job: &Job<'_>,
    plan: &FieldPlan,
    written: Vec<Written>,
    action: Action,
) -> Result<(), Error> {
    if written.is_empty() {
        return Ok(());
    }
    let ids: Vec<ZohoId> = written.iter().map(|written| written.zoho_id).collect();
    let (rows, _) = read(job, plan, &ids).await?;
    let mut links = Vec::new();
    let mut entries = Vec::new();
    let mut touched = BTreeSet::new();
    for Written {
        record,
        zoho_id,
        fields,
    } in written
    {
        let theirs = rows.get(&zoho_id);
        touched.extend(job.calculations.plan.touched(&record));
        let saved = save_settled(job, plan, record, zoho_id, &fields, theirs, action).await?;
        entries.extend(Entry::of_change(&saved, job.retention()));
        touched.extend(job.calculations.plan.touched(&saved));
        links.extend(theirs.map(|theirs| Link {
            hash: theirs.hash,
            ..creation::link(job, plan.object, zoho_id, &saved.id)
        }));
    }
    job.ports.store.write(&entries).await?;
    job.calculations.mark(touched).await?;
    Ok(job.ports.store.save_links(&links).await?)
}

async fn save_settled(
    job: &Job<'_>,
    plan: &FieldPlan,
    mut record: Record,
    zoho_id: ZohoId,
    fields: &Fields,
    theirs: Option<&Theirs>,
    action: Action,
) -> Result<Record, Error> {
    for _ in 0..ATTEMPTS {
        record.zoho_id = Some(zoho_id);
        match job
            .ports
            .store
            .save_record(settle(&record, fields, theirs, plan, &job.moment(), action))
            .await
        {
            Ok(saved) => return Ok(saved),
            Err(port::Error::Conflict { .. }) => {
                let fresh = job
                    .ports
                    .store
                    .records(job.id(), plan.object, std::slice::from_ref(&record.id))
                    .await?
                    .pop();
                record = fresh.ok_or_else(|| {
                    port::Error::conflict(format!("{} {}", plan.object, record.id))
                })?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(port::Error::conflict(format!("{} {}", plan.object, record.id)).into())
}

/// Stores a record whose edits need no write any more.
async fn save_merged(
    job: &Job<'_>,
    plan: &FieldPlan,
    record: Record,
    changed: bool,
    theirs: &Theirs,
) -> Result<(), Error> {
    if !changed {
        return Ok(());
    }
    let saved = job.ports.store.save_record(record).await?;
    job.ports
        .store
        .write(Entry::of_change(&saved, job.retention()).as_slice())
        .await?;
    job.calculations.note([&saved]).await?;
    let Some(zoho_id) = saved.zoho_id else {
        return Ok(());
    };
    let link = Link {
        hash: theirs.hash,
        ..creation::link(job, plan.object, zoho_id, &saved.id)
    };
    Ok(job.ports.store.save_links(&[link]).await?)
}

/// Completes pending references with the Zoho ids that their other ends got meanwhile.
async fn fill_references(job: &Job<'_>, mut record: Record) -> Result<Record, Error> {
    let names: Vec<_> = record.pending.keys().cloned().collect();
    for name in names {
        let open = record
            .pending
            .get(&name)
            .and_then(|pending| pending.value.as_reference())
            .filter(|reference| reference.zoho_id.is_none());
        let Some((object, id)) =
            open.and_then(|reference| Some((reference.object, reference.platform_id.clone()?)))
        else {
            continue;
        };
        let named = job
            .ports
            .store
            .records(job.id(), object, std::slice::from_ref(&id))
            .await?
            .pop();
        if let Some(zoho_id) = named.and_then(|named| named.zoho_id) {
            for value in record
                .pending
                .get_mut(&name)
                .map(|pending| &mut pending.value)
                .into_iter()
                .chain(record.fields.get_mut(&name))
            {
                if let crate::value::Value::Reference(reference) = value {
                    reference.zoho_id = Some(zoho_id);
                }
            }
        }
    }
    Ok(record)
}

async fn park_refused(job: &Job<'_>, record: Record, refusal: &WriteRefusal) -> Result<(), Error> {
    let remedy = outgoing::remedy(refusal);
    park(job, record, &refusal.code, refusal.field.clone(), &remedy).await
}

/// Keeps a record's edits from being tried again until something changes (W7).
async fn park(
    job: &Job<'_>,
    record: Record,
    code: &str,
    field: Option<String>,
    remedy: &str,
) -> Result<(), Error> {
    let moment = job.moment();
    let attempt = hash::of_attempt(&record.pending, job.settings.version);
    let parked = Record {
        parked: Some(Parked {
            code: code.to_owned(),
            field,
            remedy: remedy.to_owned(),
            at: moment.now,
            attempt,
        }),
        create_intent: None,
        change: Some(Change {
            action: Action::Parked,
            run: moment.run.clone(),
            fields: Vec::new(),
        }),
        updated_at: moment.now,
        ..record
    };
    match job.ports.store.save_record(parked).await {
        Ok(saved) => {
            alarm::edit_parked(job.id(), saved.object, code);
            Ok(job
                .ports
                .store
                .write(Entry::of_change(&saved, job.retention()).as_slice())
                .await?)
        }
        // It was edited meanwhile: the edit's own message has it looked at again.
        Err(port::Error::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
