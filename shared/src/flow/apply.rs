//! Applying a page of Zoho rows to the platform: the one way in, for routine sync, full sync and writeback's reading back.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::identifier::{PlatformId, ZohoId};
use crate::journal::{Entry, Outcome};
use crate::mapping::{FieldPlan, Neighbours, Theirs};
use crate::merge::{Moment, merge};
use crate::object::Object;
use crate::port;
use crate::record::{Action, Candidate, Change, Link, Record, RemovalReason, Removed, Standing};
use crate::row::Row;
use crate::run::{Counter, Counters};
use crate::settings::SourceMode;

use super::Error;
use super::job::Job;

/// How many records are written at a time.
const WRITERS: usize = 16;

/// How often a record that somebody else wrote meanwhile is read again.
const ATTEMPTS: usize = 5;

/// How a page is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// What left the scope keeps syncing, and what newly came brings its dependants (S5, S6).
    Routine,
    /// What left the scope is a candidate for removal; later stages bring the dependants.
    Full,
}

/// What applying a page did.
#[derive(Debug, Clone, Default)]
pub struct Applied {
    /// What it counted.
    pub counters: Counters,
    /// Records that newly came into scope and whose dependants have to be asked for (S5).
    pub announce: Vec<Link>,
}

/// What one row asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// Nothing.
    Nothing(Counter),
    /// Only the link changes.
    Link(Link, Counter),
    /// The link goes.
    Forget(Counter),
    /// The record leaves the scope.
    Leave(PlatformId, RemovalReason),
    /// The row has to be merged into its record.
    Merge,
}

fn step(
    plan: &FieldPlan,
    row: &Row,
    theirs: &Theirs,
    link: Option<&Link>,
    neighbours: &Neighbours,
    mode: Mode,
) -> Step {
    let admitted = plan.admits(row, neighbours);
    let Some(link) = link else {
        return if admitted {
            Step::Merge
        } else {
            Step::Nothing(Counter::OutOfScope)
        };
    };
    match &link.standing {
        Standing::Linked(id) if !admitted && mode == Mode::Full => {
            let parent_left = !plan.has_parent_in_scope(row, neighbours);
            Step::Leave(
                id.clone(),
                if parent_left {
                    RemovalReason::ParentLeft
                } else {
                    RemovalReason::OutOfScope
                },
            )
        }
        Standing::Linked(_) if link.hash == theirs.hash && (link.in_scope || !admitted) => {
            Step::Nothing(Counter::Unchanged)
        }
        Standing::Linked(_) => Step::Merge,
        _ if !admitted => Step::Forget(Counter::OutOfScope),
        Standing::Unmatched if theirs.identity.is_none() => match link.hash == theirs.hash {
            true => Step::Nothing(Counter::Unmatched),
            false => Step::Link(
                Link {
                    hash: theirs.hash,
                    ..link.clone()
                },
                Counter::Unmatched,
            ),
        },
        Standing::Unmatched | Standing::Duplicate(_) | Standing::Unknown(_) => Step::Merge,
    }
}

/// Applies rows of one object. `links` are the rows' own links where the caller has read them already.
///
/// # Errors
/// When a port fails; what was stored until then is found again when the rows are applied once more.
pub async fn apply(
    job: &Job<'_>,
    plan: &FieldPlan,
    rows: &[Row],
    links: Option<BTreeMap<ZohoId, Link>>,
    mode: Mode,
) -> Result<Applied, Error> {
    let store = &job.ports.store;
    let neighbours = neighbours(job, plan, rows).await?;
    let links = match links {
        Some(links) => links,
        None => own_links(job, plan.object, rows).await?,
    };
    let links = super::creation::adopt_unanswered(job, plan, rows, links).await?;
    let moment = job.moment();
    let mut applied = Applied::default();
    applied.counters.add(Counter::RowsRead, rows.len() as u64);
    let mut batch = Batch::default();
    let mut to_merge = Vec::new();
    for row in rows {
        let theirs = plan.read(row, &neighbours);
        let link = links.get(&row.id);
        match step(plan, row, &theirs, link, &neighbours, mode) {
            Step::Nothing(counter) => {
                applied.counters.add(counter, 1);
                batch.announce.extend(
                    link.filter(|link| link.announce && mode == Mode::Routine)
                        .cloned(),
                );
            }
            Step::Link(link, counter) => {
                applied.counters.add(counter, 1);
                batch.links.push(link);
            }
            Step::Forget(counter) => {
                applied.counters.add(counter, 1);
                batch.forgotten.push(row.id);
            }
            Step::Leave(platform_id, reason) => batch.leave(
                job,
                plan.object,
                row.id,
                platform_id,
                reason,
                link,
                &mut applied.counters,
            ),
            Step::Merge => to_merge.push((row, theirs, link, plan.admits(row, &neighbours))),
        }
    }
    let records = load(job, plan.object, &to_merge).await?;
    let (records, moment) = (&records, &moment);
    for wave in waves(to_merge) {
        let rows: Vec<_> = wave
            .iter()
            .map(|(row, theirs, link, admitted)| {
                settle_row(
                    job, plan, row, theirs, *link, *admitted, records, moment, mode,
                )
            })
            .collect();
        let settled: Vec<Settled> = stream::iter(rows)
            .buffer_unordered(WRITERS)
            .try_collect()
            .await?;
        settled
            .into_iter()
            .for_each(|settled| batch.take(settled, &mut applied.counters));
    }
    // Records are stored by now. The log and what waits come next, the links last: until a row's link says that it was applied, it is
    // applied again, and everything before is repeated to the same effect.
    store.write(&batch.entries).await?;
    store
        .await_references(job.id(), plan.object, &batch.awaiting)
        .await?;
    store.save_candidates(&batch.candidates).await?;
    store.save_links(&batch.links).await?;
    store
        .remove_links(job.id(), plan.object, &batch.forgotten)
        .await?;
    applied.announce = batch.announce;
    Ok(applied)
}

/// What is written for a page beside the records.
#[derive(Default)]
struct Batch {
    entries: Vec<Entry>,
    awaiting: Vec<PlatformId>,
    candidates: Vec<Candidate>,
    links: Vec<Link>,
    forgotten: Vec<ZohoId>,
    announce: Vec<Link>,
}

impl Batch {
    #[expect(
        clippy::too_many_arguments,
        reason = "each says one thing about the record that leaves"
    )]
    fn leave(
        &mut self,
        job: &Job<'_>,
        object: Object,
        zoho_id: ZohoId,
        platform_id: PlatformId,
        reason: RemovalReason,
        link: Option<&Link>,
        counters: &mut Counters,
    ) {
        counters.add(Counter::Candidates, 1);
        self.candidates
            .extend(candidate(job, object, zoho_id, platform_id, reason));
        self.links
            .extend(link.filter(|link| link.in_scope).map(|link| Link {
                in_scope: false,
                ..link.clone()
            }));
    }

    fn take(&mut self, settled: Settled, counters: &mut Counters) {
        counters.add(settled.counter, 1);
        counters.add(Counter::Parked, settled.faults);
        self.entries.extend(settled.entries);
        self.awaiting.extend(settled.awaiting);
        if settled.link.announce {
            self.announce.push(settled.link.clone());
        }
        self.links.push(settled.link);
    }
}

/// The removal candidate for a record that a full sync misses.
#[must_use]
pub fn candidate(
    job: &Job<'_>,
    object: Object,
    zoho_id: ZohoId,
    platform_id: PlatformId,
    reason: RemovalReason,
) -> Option<Candidate> {
    let run = job.run.clone()?;
    Some(Candidate {
        connection: job.id().clone(),
        object,
        zoho_id,
        platform_id,
        run,
        reason,
        held: false,
    })
}

/// The links of everything that the rows refer to.
pub(super) async fn neighbours(
    job: &Job<'_>,
    plan: &FieldPlan,
    rows: &[Row],
) -> Result<Neighbours, Error> {
    let mut wanted: BTreeMap<Object, BTreeSet<ZohoId>> = BTreeMap::new();
    for (object, id) in rows
        .iter()
        .flat_map(|row| plan.references(row))
        .filter(|(object, _)| *object != Object::User)
    {
        wanted.entry(object).or_default().insert(id);
    }
    let mut found = Neighbours::new();
    for (object, ids) in wanted {
        let ids: Vec<ZohoId> = ids.into_iter().collect();
        let links = job.ports.store.links(job.id(), object, &ids).await?;
        found.extend(links.into_iter().map(|link| ((object, link.zoho_id), link)));
    }
    Ok(found)
}

async fn own_links(
    job: &Job<'_>,
    object: Object,
    rows: &[Row],
) -> Result<BTreeMap<ZohoId, Link>, Error> {
    let ids: BTreeSet<ZohoId> = rows.iter().map(|row| row.id).collect();
    let ids: Vec<ZohoId> = ids.into_iter().collect();
    let links = job.ports.store.links(job.id(), object, &ids).await?;
    Ok(links.into_iter().map(|link| (link.zoho_id, link)).collect())
}

type ToMerge<'a> = (&'a Row, Theirs, Option<&'a Link>, bool);

/// Rows of one identity go one after the other, the oldest record first: it is the one that keeps the identity (I3).
fn waves(mut to_merge: Vec<ToMerge<'_>>) -> [Vec<ToMerge<'_>>; 2] {
    to_merge.sort_by_key(|(row, ..)| row.id);
    let mut seen = BTreeSet::new();
    let (first, later) = to_merge
        .into_iter()
        .partition(|(_, theirs, ..)| theirs.identity.clone().is_none_or(|id| seen.insert(id)));
    [first, later]
}

async fn load(
    job: &Job<'_>,
    object: Object,
    to_merge: &[ToMerge<'_>],
) -> Result<BTreeMap<PlatformId, Record>, Error> {
    let by_link = to_merge
        .iter()
        .filter_map(|(_, _, link, _)| link.and_then(|link| link.platform_id()));
    let by_identity = to_merge
        .iter()
        .filter_map(|(_, theirs, _, _)| theirs.identity.as_ref());
    let ids: BTreeSet<PlatformId> = by_link.chain(by_identity).cloned().collect();
    let ids: Vec<PlatformId> = ids.into_iter().collect();
    let records = job.ports.store.records(job.id(), object, &ids).await?;
    Ok(records
        .into_iter()
        .map(|record| (record.id.clone(), record))
        .collect())
}

/// What became of one row.
struct Settled {
    link: Link,
    counter: Counter,
    entries: Vec<Entry>,
    awaiting: Option<PlatformId>,
    faults: u64,
}

#[expect(
    clippy::too_many_arguments,
    reason = "a row, what is known about it and how it is applied"
)]
async fn settle_row(
    job: &Job<'_>,
    plan: &FieldPlan,
    row: &Row,
    theirs: &Theirs,
    link: Option<&Link>,
    admitted: bool,
    records: &BTreeMap<PlatformId, Record>,
    moment: &Moment,
    mode: Mode,
) -> Result<Settled, Error> {
    let linked = link.and_then(Link::platform_id);
    let newly_in =
        admitted && !link.is_some_and(|link| link.in_scope && link.platform_id().is_some());
    let announces = mode == Mode::Routine && !plan.object.dependants().is_empty();
    let settle = |standing: Standing, counter: Counter| {
        let linked = matches!(standing, Standing::Linked(_));
        Settled {
            link: Link {
                connection: job.id().clone(),
                object: plan.object,
                zoho_id: row.id,
                standing,
                hash: theirs.hash,
                in_scope: linked && (admitted || link.is_some_and(|link| link.in_scope)),
                announce: linked
                    && announces
                    && (newly_in || link.is_some_and(|link| link.announce)),
            },
            counter,
            entries: Vec::new(),
            awaiting: None,
            faults: 0,
        }
    };
    let Some(identity) = identity(plan, theirs, linked) else {
        let mut settled = settle(Standing::Unmatched, Counter::Unmatched);
        settled.entries.push(note(
            job,
            plan,
            row,
            None,
            moment,
            "unmatched",
            "it has no external id: fill the field in Zoho",
        ));
        return Ok(settled);
    };
    let mut known = records.get(&identity).cloned();
    for _ in 0..ATTEMPTS {
        if let Some(owner) = known.as_ref().and_then(|record| owner(record, row.id)) {
            if still_owns(job, plan.object, owner, &identity).await? {
                let mut settled =
                    settle(Standing::Duplicate(identity.clone()), Counter::Duplicates);
                let reason = format!(
                    "Zoho record {owner} has the same external id and came first: give one of them another"
                );
                if link.map(|link| &link.standing) != Some(&settled.link.standing) {
                    settled.entries.push(note(
                        job,
                        plan,
                        row,
                        Some(&identity),
                        moment,
                        "duplicate",
                        &reason,
                    ));
                }
                return Ok(settled);
            }
        }
        if known.is_none()
            && job.settings.settings.source_mode == SourceMode::EnrichOnly
            && plan.object != Object::User
        {
            return Ok(settle(Standing::Unknown(identity), Counter::Unknown));
        }
        let outcome = bring_in(job, plan, row, theirs, known, &identity, moment);
        let saved = match outcome.changed {
            true => match job.ports.store.save_record(outcome.record).await {
                Ok(record) => record,
                Err(port::Error::Conflict { .. }) => {
                    known = job
                        .ports
                        .store
                        .records(job.id(), plan.object, std::slice::from_ref(&identity))
                        .await?
                        .pop();
                    continue;
                }
                Err(error) => return Err(error.into()),
            },
            false => outcome.record,
        };
        let mut settled = settle(Standing::Linked(identity.clone()), outcome.counter);
        if let Some(former) = linked.filter(|former| **former != identity) {
            settled
                .entries
                .extend(part_from(job, plan.object, former, row.id, moment).await?);
        }
        // Also when nothing changed just now: the same run may have been cut off between the record and its log line.
        if outcome.changed
            || saved
                .change
                .as_ref()
                .is_some_and(|change| change.run == moment.run)
        {
            settled
                .entries
                .extend(Entry::of_change(&saved, job.retention()));
        }
        settled.faults = theirs.faults.len() as u64;
        settled.entries.extend(theirs.faults.iter().map(|fault| {
            let reason = format!(
                "field {} ({}) is left as it is: {}",
                fault.platform, fault.zoho, fault.mismatch
            );
            let mut entry = note(
                job,
                plan,
                row,
                Some(&identity),
                moment,
                &format!("parked field {}", fault.platform),
                &reason,
            );
            entry.outcome = Outcome::Parked;
            entry
        }));
        settled.awaiting = has_open_reference(&saved).then_some(identity);
        return Ok(settled);
    }
    Err(port::Error::conflict(format!("{} {identity}", plan.object)).into())
}

/// Which record the row is. A link decides where the identity is the platform's own; otherwise the external id does, so that a record whose
/// external id was emptied keeps its link until it gets another.
fn identity(plan: &FieldPlan, theirs: &Theirs, linked: Option<&PlatformId>) -> Option<PlatformId> {
    match (plan.object, linked) {
        (Object::User | Object::Deal | Object::Task, Some(linked)) => Some(linked.clone()),
        (_, linked) => theirs.identity.clone().or_else(|| linked.cloned()),
    }
}

/// The other Zoho record that a record is tied to.
fn owner(record: &Record, row: ZohoId) -> Option<ZohoId> {
    record
        .zoho_id
        .filter(|owner| *owner != row && record.removed.is_none())
}

async fn still_owns(
    job: &Job<'_>,
    object: Object,
    owner: ZohoId,
    identity: &PlatformId,
) -> Result<bool, Error> {
    let links = job.ports.store.links(job.id(), object, &[owner]).await?;
    // No link yet: its own row is being applied right now, or was cut off before the link; it came first all the same.
    Ok(links
        .first()
        .is_none_or(|link| link.platform_id() == Some(identity)))
}

/// What bringing a row into its record comes to.
struct BroughtIn {
    record: Record,
    changed: bool,
    counter: Counter,
}

fn bring_in(
    job: &Job<'_>,
    plan: &FieldPlan,
    row: &Row,
    theirs: &Theirs,
    known: Option<Record>,
    identity: &PlatformId,
    moment: &Moment,
) -> BroughtIn {
    let is_new = known.is_none();
    let mut before = known.unwrap_or_else(|| {
        Record::new(job.id().clone(), plan.object, identity.clone(), moment.now)
    });
    let restored = before.removed.take().is_some();
    let adopted = before.zoho_id != Some(row.id);
    before.zoho_id = Some(row.id);
    before.create_intent = None;
    let merged = merge(&before, Some(theirs), plan, moment);
    let mut record = merged.record;
    let changed = merged.changed || is_new || restored || adopted;
    let (counter, action) = match (is_new, restored, adopted, merged.changed) {
        (true, ..) => (Counter::Created, Some(Action::Created)),
        (_, true, ..) => (Counter::Restored, Some(Action::Restored)),
        (_, _, true, _) => (Counter::Updated, Some(Action::Relinked)),
        (_, _, _, true) => (Counter::Updated, None),
        (_, _, _, false) => (Counter::Unchanged, None),
    };
    if changed {
        record.updated_at = moment.now;
        if merged.changed || adopted {
            // Zoho's side moved: what was refused before is worth another try (W7).
            record.parked = None;
        } else {
            record.zoho_modified_time = theirs.modified_time.or(record.zoho_modified_time);
        }
    }
    if let Some(action) = action {
        let fields = merged
            .changed
            .then(|| record.change.take())
            .flatten()
            .map(|change| change.fields)
            .unwrap_or_default();
        record.change = Some(Change {
            action,
            run: moment.run.clone(),
            fields,
        });
    }
    BroughtIn {
        record,
        changed,
        counter,
    }
}

/// Whether the record refers to something that the platform does not have (yet) (F7).
#[must_use]
pub fn has_open_reference(record: &Record) -> bool {
    record
        .fields
        .values()
        .filter_map(|value| value.as_reference())
        .any(|reference| {
            reference.zoho_id.is_some()
                && reference.platform_id.is_none()
                && reference.object != Object::User
        })
}

/// Parts a record from a Zoho record whose external id was changed (I5).
async fn part_from(
    job: &Job<'_>,
    object: Object,
    former: &PlatformId,
    row: ZohoId,
    moment: &Moment,
) -> Result<Option<Entry>, Error> {
    let (Some(record), Some(run)) = (
        job.ports
            .store
            .records(job.id(), object, std::slice::from_ref(former))
            .await?
            .pop(),
        job.run.clone(),
    ) else {
        return Ok(None);
    };
    if record.zoho_id != Some(row) {
        return Ok(None);
    }
    let parted = Record {
        zoho_id: None,
        removed: Some(Removed {
            at: moment.now,
            run,
            reason: RemovalReason::Renamed,
        }),
        change: Some(Change {
            action: Action::Removed,
            run: moment.run.clone(),
            fields: Vec::new(),
        }),
        updated_at: moment.now,
        ..record
    };
    let saved = job.ports.store.save_record(parted).await?;
    Ok(Entry::of_change(&saved, job.retention()))
}

fn note(
    job: &Job<'_>,
    plan: &FieldPlan,
    row: &Row,
    record: Option<&PlatformId>,
    moment: &Moment,
    action: &str,
    reason: &str,
) -> Entry {
    let subject = format!("{}#{}", plan.object, row.id);
    let mut entry = Entry::note(
        job.id().clone(),
        moment.now,
        Outcome::Warned,
        action,
        &subject,
        reason.to_owned(),
        job.retention(),
    );
    entry.object = Some(plan.object);
    entry.record = record.cloned();
    entry.zoho_id = Some(row.id);
    entry.run.clone_from(&moment.run);
    entry
}
