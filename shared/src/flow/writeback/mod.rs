//! Writeback: carrying edits into Zoho. Read what Zoho has, merge, write what is left, read back, merge again.

mod create;
mod settle;
mod update;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::connection::Status;
use crate::credit::Spender;
use crate::disposition::Disposition;
use crate::identifier::{ConnectionId, PlatformId, RunId};
use crate::journal::{Direction, Entry, Outcome};
use crate::mapping::FieldPlan;
use crate::message::{Version, Writeback};
use crate::object::Object;
use crate::port::{CrmError, Ports};
use crate::record::{Action, Record};
use crate::row::Outgoing;
use crate::value::Fields;

use super::job::{Deadline, Job};
use super::lease::{self, Lease};
use super::poll::push_messages;
use super::work::LONGEST_DELAY;
use super::{Error, creation, edits};

/// The most records of one write (Zoho CRM v8, insert and update records).
const GROUP: usize = 100;

/// How often a group is read again because a record changed between reading and writing.
const ATTEMPTS: usize = 3;

/// How long what changes in Zoho takes to settle. Zoho's condition on a write counts whole seconds: what changes twice within one could not be told
/// from what changed once, if it was read in that second.
const SETTLES: Duration = Duration::from_secs(2);

/// How many parked records are tried again together.
const PARKED: usize = 200;

/// What whoever comes second gets while records are created; well before a lease runs out whose holder crashed.
const CREATING: Error = Error::Busy {
    what: "creating records in Zoho",
    after: Duration::from_secs(20),
};

/// A message with the instant at which it was sent.
#[derive(Debug, Clone)]
pub struct Received {
    /// The message.
    pub message: Writeback,
    /// When it was sent: an edit in it was made no later.
    pub sent_at: Timestamp,
}

/// Handles messages of one connection together, so that their records go out in groups, and a record before those that name it. Of a connection
/// that is gone nothing is handled (P7).
///
/// # Errors
/// Only such failures as the messages' redelivery heals; everything else is settled here and recorded.
pub async fn handle(
    ports: &Ports,
    connection: &ConnectionId,
    messages: &[Received],
    deadline: Deadline,
) -> Result<(), Error> {
    let known = ports.store.connection(connection).await?;
    if known.is_some_and(|known| known.status.is_gone()) {
        tracing::warn!(connection.id = %connection, messages = messages.len(), "dropped, because the connection is gone");
        return Ok(());
    }
    let mut asked: BTreeMap<Object, BTreeSet<PlatformId>> = BTreeMap::new();
    let mut retries = Vec::new();
    for received in messages {
        match &received.message {
            Writeback::Push { object, ids, .. } => {
                asked
                    .entry(*object)
                    .or_default()
                    .extend(ids.iter().cloned());
            }
            // On most nights nothing waits, and Zoho need not be asked for leave.
            Writeback::Retry { next, .. } => {
                let page = ports.store.parked(connection, next.clone(), 1).await?;
                if !page.items.is_empty() || page.next.is_some() {
                    retries.push(next.clone());
                }
            }
            Writeback::Edit { object, edits, .. } => {
                let answers = edits::store(
                    ports,
                    connection,
                    *object,
                    edits.clone(),
                    edits::Made::At(received.sent_at),
                )
                .await?;
                log_refused(ports, connection, *object, &answers, received.sent_at).await?;
                let accepted = answers.into_iter().filter(|answer| answer.accepted);
                let ids: Vec<PlatformId> = accepted.map(|answer| answer.id).collect();
                if !ids.is_empty() {
                    asked.entry(*object).or_default().extend(ids);
                }
            }
        }
    }
    let Some(known) = ports.store.connection(connection).await? else {
        return Err(Error::NotFound {
            what: format!("connection {connection}"),
        });
    };
    if known.status != Status::Enabled || (asked.is_empty() && retries.is_empty()) {
        // The edits are stored; the sweep finds them when the connection runs again, the next full sync what is parked.
        return Ok(());
    }
    let milliseconds = u64::try_from(ports.clock.now().as_millisecond()).unwrap_or_default();
    let run = RunId::new(milliseconds, ports.entropy.number());
    let begun = Job::begin(ports, connection, Some(run), deadline, Spender::Writeback).await;
    let pushed = match begun {
        Ok(job) => {
            let pushed = carry(&job, &asked, &retries).await;
            job.calculations.send(job.run.as_ref()).await;
            job.session.finish().await?;
            pushed
        }
        Err(error) => Err(error),
    };
    match pushed {
        // The edits stay pending, and the sweep looks again; the next full sync tries what is parked.
        Err(Error::OverBudget { .. }) => Ok(()),
        // However long Zoho throttles, waiting is no failure that ends among the dead letters.
        Err(error @ (Error::Busy { .. } | Error::Crm(CrmError::Throttled { .. }))) => {
            put_off(ports, connection, &asked, retries, &error).await
        }
        // The connection's status says it, and the edits stay pending.
        Err(error) if error.disposition() == Disposition::Reconnect => Ok(()),
        pushed => pushed,
    }
}

/// Has what was asked for looked at again when it may work: the edits themselves are stored.
async fn put_off(
    ports: &Ports,
    connection: &ConnectionId,
    asked: &BTreeMap<Object, BTreeSet<PlatformId>>,
    retries: Vec<Option<String>>,
    error: &Error,
) -> Result<(), Error> {
    let Disposition::RetryAfter(delay) = error.disposition() else {
        return Ok(());
    };
    tracing::info!(connection.id = %connection, delay_seconds = delay.as_secs(), reason = %error, "put off");
    let records = asked
        .iter()
        .flat_map(|(object, ids)| ids.iter().map(|id| (*object, id.clone())));
    let mut messages = push_messages(connection, &records.collect::<Vec<_>>());
    messages.extend(retries.into_iter().map(|next| Writeback::Retry {
        version: Version,
        connection: connection.clone(),
        next,
    }));
    let delay = delay.min(LONGEST_DELAY);
    Ok(ports.queue.send_writeback_later(&messages, delay).await?)
}

/// Objects go in the order in which one depends on another.
async fn carry(
    job: &Job<'_>,
    asked: &BTreeMap<Object, BTreeSet<PlatformId>>,
    retries: &[Option<String>],
) -> Result<(), Error> {
    for (object, ids) in asked {
        let ids: Vec<PlatformId> = ids.iter().cloned().collect();
        push(job, *object, &ids).await?;
    }
    for next in retries {
        retry(job, next.clone()).await?;
    }
    Ok(())
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
async fn push(job: &Job<'_>, object: Object, ids: &[PlatformId]) -> Result<(), Error> {
    if !object.is_writable() {
        return Err(Error::Invalid(format!(
            "{object}s are never written to Zoho"
        )));
    }
    Push::of(job, object, Tries::Waiting).carry(ids).await
}

/// Tries what is parked once more, from a page on (W7). A record stays parked until its edits went to Zoho or wait because it changed there just
/// now: whoever looks meanwhile sees why they wait, and one that is refused for the same reason again is not written at all.
///
/// # Errors
/// As for [`push`].
async fn retry(job: &Job<'_>, mut next: Option<String>) -> Result<(), Error> {
    loop {
        let page = job.ports.store.parked(job.id(), next, PARKED).await?;
        let mut parked: BTreeMap<Object, Vec<PlatformId>> = BTreeMap::new();
        for record in page.items {
            parked.entry(record.object).or_default().push(record.id);
        }
        for (object, ids) in parked {
            if object.is_writable() {
                Push::of(job, object, Tries::Parked).carry(&ids).await?;
            }
        }
        next = page.next;
        if next.is_none() {
            return Ok(());
        }
        if job.must_hand_over() {
            let rest = Writeback::Retry {
                version: Version,
                connection: job.id().clone(),
                next,
            };
            return Ok(job.ports.queue.send_writeback(&[rest]).await?);
        }
    }
}

/// Tells writeback to try once more what is parked. Only a hint: the next full sync sends it again.
pub async fn send_retry(ports: &Ports, connection: &ConnectionId) {
    let retry = Writeback::Retry {
        version: Version,
        connection: connection.clone(),
        next: None,
    };
    if let Err(error) = ports.queue.send_writeback(&[retry]).await {
        tracing::warn!(connection.id = %connection, error = %error, "writeback was not told to try parked edits again");
    }
}

/// Which records' edits are carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tries {
    /// Those on their way.
    Waiting,
    /// The parked ones, too.
    Parked,
}

/// Edits of one object on their way to Zoho.
struct Push<'a> {
    job: &'a Job<'a>,
    plan: FieldPlan,
    tries: Tries,
}

/// A record with what is written of it.
struct Sending {
    record: Record,
    /// The values, by platform field.
    fields: Fields,
    out: Outgoing,
}

impl<'a> Push<'a> {
    fn of(job: &'a Job<'a>, object: Object, tries: Tries) -> Self {
        let plan = job.plan(object);
        Self { job, plan, tries }
    }

    async fn carry(&self, ids: &[PlatformId]) -> Result<(), Error> {
        let records = self.records(ids).await?;
        self.tell_again(&records).await?;
        let (members, outside): (Vec<Record>, Vec<Record>) = records
            .into_iter()
            .filter(|record| self.waits(record))
            .partition(|record| self.is_member(record));
        // Before a creation without an answer was looked for, nobody may forget that it was tried.
        let (unanswered, outside): (Vec<Record>, Vec<Record>) = outside
            .into_iter()
            .partition(|record| record.create_intent.is_some() && record.zoho_id.is_none());
        self.park_outside(outside).await?;
        let unlinked = ids_of(members.iter().filter(|record| record.zoho_id.is_none()));
        let unanswered = ids_of(&unanswered);
        let found = self.look_and_create(&unlinked, &unanswered).await?;
        let linked: BTreeSet<PlatformId> = members
            .into_iter()
            .filter(|record| record.zoho_id.is_some())
            .map(|record| record.id)
            .chain(found)
            .collect();
        let ids: Vec<PlatformId> = linked.into_iter().collect();
        let mut linked = self.members(&ids).await?;
        linked.retain(|record| record.zoho_id.is_some());
        let mut unsettled = Vec::new();
        let mut groups = linked.chunks(GROUP);
        while let Some(group) = groups.next() {
            unsettled.extend(self.update(group.to_vec()).await?);
            if self.tries == Tries::Waiting && self.job.must_hand_over() {
                self.send_again(groups.flatten()).await?;
                break;
            }
        }
        self.look_again(&unsettled).await?;
        self.wake([unlinked, unanswered].concat()).await
    }

    /// Leaves records for which there is no time to another message.
    async fn send_again(&self, records: impl Iterator<Item = &Record>) -> Result<(), Error> {
        let left: Vec<_> = records
            .map(|record| (record.object, record.id.clone()))
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        let messages = push_messages(self.job.id(), &left);
        Ok(self.job.ports.queue.send_writeback(&messages).await?)
    }

    async fn park_outside(&self, records: Vec<Record>) -> Result<(), Error> {
        for record in records {
            let remedy = "it is in none of the segments that are written to Zoho: put it into one, or select one of its segments";
            self.park(record, "OUT_OF_SEGMENT", None, remedy).await?;
        }
        Ok(())
    }

    /// Writes the lines in the log of what went to Zoho lately, or lost against it: whoever decided that may have been cut off between the
    /// records and their lines, and then the message comes again.
    async fn tell_again(&self, records: &[Record]) -> Result<(), Error> {
        let decided = |record: &&Record| {
            let change = record.change.as_ref();
            change.is_some_and(|change| match change.action {
                Action::Pushed | Action::CreatedInZoho => true,
                Action::Pulled => change.fields.iter().any(|field| field.overruled.is_some()),
                _ => false,
            })
        };
        let lines: Vec<Entry> = records
            .iter()
            .filter(decided)
            .filter_map(|record| self.job.late_line(record))
            .collect();
        if lines.is_empty() {
            return Ok(());
        }
        Ok(self.job.ports.store.write(&lines).await?)
    }

    /// Looks for records in Zoho and creates those that it does not have; which were there already. Those `unanswered`, whose creation got no
    /// answer and which are in no selected segment any more, are looked for and parked. One function at a time does so: what another is about to
    /// create can't be found yet.
    async fn look_and_create(
        &self,
        ids: &[PlatformId],
        unanswered: &[PlatformId],
    ) -> Result<Vec<PlatformId>, Error> {
        if ids.is_empty() && unanswered.is_empty() {
            return Ok(Vec::new());
        }
        let (job, object) = (self.job, self.plan.object);
        let holder = format!("{:032x}", job.ports.entropy.number());
        let Some(lease) = Lease::take(job.ports, job.id(), lease::create(object), &holder).await?
        else {
            return Err(CREATING);
        };
        let created = self.create_under_lease(ids, unanswered, &lease).await;
        lease.release().await;
        created
    }

    async fn create_under_lease(
        &self,
        ids: &[PlatformId],
        unanswered: &[PlatformId],
        lease: &Lease<'_>,
    ) -> Result<Vec<PlatformId>, Error> {
        let mut unlinked = self.waiting(&[ids, unanswered].concat()).await?;
        unlinked.retain(|record| record.zoho_id.is_none());
        let outside = creation::look(self.job, &self.plan, &unlinked).await?;
        // One that was put into a segment meanwhile is left to the message of that.
        let mut outside_still = self.waiting(unanswered).await?;
        outside_still.retain(|record| !self.is_member(record));
        self.park_outside(outside_still).await?;
        let (found, missing): (Vec<Record>, Vec<Record>) = self
            .members(ids)
            .await?
            .into_iter()
            .partition(|record| record.zoho_id.is_some());
        // What began to wait behind the look was not looked for.
        let looked_for = ids_of(&unlinked);
        let missing = missing
            .into_iter()
            .filter(|record| looked_for.contains(&record.id));
        self.create_all(missing.collect(), &outside, lease).await?;
        Ok(found.into_iter().map(|record| record.id).collect())
    }

    async fn records(&self, ids: &[PlatformId]) -> Result<Vec<Record>, Error> {
        let store = &self.job.ports.store;
        Ok(store.records(self.job.id(), self.plan.object, ids).await?)
    }

    async fn waiting(&self, ids: &[PlatformId]) -> Result<Vec<Record>, Error> {
        let mut records = self.records(ids).await?;
        records.retain(|record| self.waits(record));
        Ok(records)
    }

    /// Those that may be written. One that left the segments since it was looked at has the message of that edit, which parks it.
    async fn members(&self, ids: &[PlatformId]) -> Result<Vec<Record>, Error> {
        let mut records = self.waiting(ids).await?;
        records.retain(|record| self.is_member(record));
        Ok(records)
    }

    fn waits(&self, record: &Record) -> bool {
        match self.tries {
            Tries::Waiting => record.wants_push(),
            Tries::Parked => !record.pending.is_empty() && record.removed.is_none(),
        }
    }

    fn is_member(&self, record: &Record) -> bool {
        let selected = &self.job.settings.settings.segments;
        selected.is_empty() || !selected.is_disjoint(&record.segments)
    }

    fn trigger(&self) -> Vec<String> {
        let trigger = self.job.settings.settings.trigger.iter();
        trigger.cloned().collect()
    }
}

fn ids_of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<PlatformId> {
    let ids = records.into_iter().map(|record| record.id.clone());
    ids.collect()
}
