//! Applying a page of Zoho rows to the platform: the one way in, for routine sync, full sync and writeback's reading back.

mod settle;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use crate::identifier::{PlatformId, ZohoId};
use crate::journal::{Entry, Outcome};
use crate::mapping::{FieldPlan, Neighbours, Theirs};
use crate::object::Object;
use crate::port;
use crate::record::{Candidate, Dependants, Link, Record, RemovalReason, Standing};
use crate::row::Row;
use crate::run::{Counter, Counters};

use super::Error;
use super::job::Job;
use super::reading;
pub(in crate::flow) use settle::owner;
use settle::{Page, Settled};

/// How many records or links are written at a time.
const WRITERS: usize = 16;

/// How often rows are applied while others store the same.
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
    /// Per Zoho field, how many values had changed although Zoho had not flagged their records as changed.
    pub unflagged: BTreeMap<String, u64>,
}

/// What one row asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Nothing(Counter),
    /// The link goes.
    Forget(Counter),
    /// The record leaves the scope.
    Leave(PlatformId, RemovalReason),
    /// The row has to be merged into its record.
    Merge,
}

/// What one row asks for, by its link and by what it refers to; the preview asks the same.
pub(super) fn step(
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
        Standing::Removed(_) if !admitted => Step::Nothing(Counter::OutOfScope),
        _ if !admitted => Step::Forget(Counter::OutOfScope),
        Standing::Unmatched if theirs.identity.is_none() => Step::Nothing(Counter::Unmatched),
        Standing::Unmatched
        | Standing::Duplicate(_)
        | Standing::Unknown(_)
        | Standing::Removed(_) => Step::Merge,
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
    mut links: Option<BTreeMap<ZohoId, Link>>,
    mode: Mode,
) -> Result<Applied, Error> {
    let mut attempt = 1;
    loop {
        match apply_once(job, plan, rows, links.take(), mode).await {
            // Another worker was at the same rows. What it stored is not taken back, but looked at.
            Err(Error::Port(port::Error::Conflict { .. })) if attempt < ATTEMPTS => attempt += 1,
            applied => return applied,
        }
    }
}

async fn apply_once(
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
                    link.filter(|link| link.dependants == Dependants::Due && mode == Mode::Routine)
                        .cloned(),
                );
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
            Step::Merge => to_merge.push(ToMerge {
                row,
                theirs,
                link,
                admitted: plan.admits(row, &neighbours),
            }),
        }
    }
    let mut page = Page {
        job,
        plan,
        records: load(job, plan.object, &to_merge).await?,
        leaving: batch
            .candidates
            .iter()
            .map(|candidate| (candidate.zoho_id, candidate.platform_id.clone()))
            .chain(parting(plan, &to_merge))
            .collect(),
        brought: BTreeMap::new(),
        moment: job.moment(),
        mode,
        flagged_until: flagged_until(job, plan, mode).await?,
    };
    let returned = returned(&to_merge);
    let mut failed = Ok(());
    for (number, wave) in waves(plan, to_merge).into_iter().enumerate() {
        if number > 0 {
            page.records.extend(load(job, plan.object, &wave).await?);
        }
        let rows: Vec<_> = wave.iter().map(|asked| page.settle(asked)).collect();
        let settled: Vec<Result<Settled, Error>> =
            stream::iter(rows).buffer_unordered(WRITERS).collect().await;
        for settled in settled {
            match settled {
                Ok(settled) => {
                    let id = settled.link.platform_id();
                    if let Some(id) = id.filter(|_| settled.link.in_scope) {
                        page.brought.insert(settled.link.zoho_id, id.clone());
                    }
                    batch.take(settled, &mut applied.counters);
                }
                Err(error) => failed = Err(error),
            }
        }
        if failed.is_err() {
            break;
        }
    }
    // Records are stored by now. The log, what waits and the marks of what is to be calculated come next, the links last: until a row's link says that it was applied, it is
    // applied again, and everything before is repeated to the same effect. So it goes for the rows that came through, if others failed.
    store.write(&batch.entries).await?;
    let naming = records_naming(job, plan, &batch.renamed).await?;
    batch.awaiting.extend(naming);
    store
        .await_references(job.id(), plan.object, &batch.awaiting)
        .await?;
    job.calculations.mark(batch.touched).await?;
    store.save_candidates(&batch.candidates).await?;
    withdraw(job, plan.object, &returned, &mut applied.counters).await?;
    save_links(job, batch.links, Meanwhile::Conflicts).await?;
    failed?;
    store
        .remove_links(job.id(), plan.object, &batch.forgotten)
        .await?;
    applied.announce = batch.announce;
    applied.unflagged = batch.unflagged;
    Ok(applied)
}

/// What a link that somebody else stored since it was read comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::flow) enum Meanwhile {
    /// A conflict: the row is to be looked at again.
    Conflicts,
    /// It stays: whoever stored it applied the row, too.
    Stays,
}

/// Stores links over those that were read.
///
/// # Errors
/// When a port fails, or when another link was stored meanwhile and that is a conflict.
pub(in crate::flow) async fn save_links(
    job: &Job<'_>,
    links: Vec<Relinked>,
    meanwhile: Meanwhile,
) -> Result<(), Error> {
    let store = &job.ports.store;
    let save = async |relinked: &Relinked| match store
        .save_link_over(&relinked.link, relinked.over.as_ref())
        .await
    {
        Err(port::Error::Conflict { .. }) if meanwhile == Meanwhile::Stays => Ok(()),
        saved => saved,
    };
    let saves: Vec<_> = links.iter().map(save).collect();
    Ok(stream::iter(saves)
        .buffer_unordered(WRITERS)
        .try_collect()
        .await?)
}

/// The records of the same object that refer to rows which are other records from now on, or none: they may have been read before, by the names
/// of then. What is of another object is read in a later stage.
async fn records_naming(
    job: &Job<'_>,
    plan: &FieldPlan,
    renamed: &[ZohoId],
) -> Result<Vec<PlatformId>, Error> {
    let mut found = Vec::new();
    if renamed.is_empty() {
        return Ok(found);
    }
    let hidden = reading::hidden(job, plan.object).await?;
    for field in plan
        .own_references()
        .filter(|field| !hidden.contains(*field))
    {
        let mut pages = pin!(reading::referring(job, plan, field, renamed));
        while let Some(rows) = pages.try_next().await? {
            let links = own_links(job, plan.object, &rows).await?;
            found.extend(links.values().filter_map(Link::platform_id).cloned());
        }
    }
    Ok(found)
}

/// The instant up to which the routine sync has brought in everything that Zoho flagged as changed with this very plan.
async fn flagged_until(
    job: &Job<'_>,
    plan: &FieldPlan,
    mode: Mode,
) -> Result<Option<Timestamp>, Error> {
    if mode == Mode::Routine {
        return Ok(None);
    }
    let cursor = job.ports.store.cursor(job.id(), plan.object).await?;
    Ok(cursor
        .filter(|cursor| cursor.plan == plan.digest)
        .map(|cursor| cursor.since()))
}

/// Rows whose records were to be removed and that are in scope again.
fn returned(to_merge: &[ToMerge<'_>]) -> Vec<ZohoId> {
    to_merge
        .iter()
        .filter(|asked| {
            asked.admitted
                && asked
                    .link
                    .is_some_and(|link| !link.in_scope && link.platform_id().is_some())
        })
        .map(|asked| asked.row.id)
        .collect()
}

/// Withdraws the removal of what came back (R2).
async fn withdraw(
    job: &Job<'_>,
    object: Object,
    returned: &[ZohoId],
    counters: &mut Counters,
) -> Result<(), Error> {
    if returned.is_empty() {
        return Ok(());
    }
    job.ports
        .store
        .remove_candidates(job.id(), object, returned)
        .await?;
    counters.add(Counter::Withdrawn, returned.len() as u64);
    let reason = format!("{} {object}s are in scope again and stay", returned.len());
    let subject = format!("{object}#{}", returned[0]);
    job.note(Outcome::Done, "removal withdrawn", &subject, reason)
        .await
}

/// A link as it is to be, and the one that it takes the place of (none: there was none).
pub(in crate::flow) struct Relinked {
    pub(in crate::flow) link: Link,
    pub(in crate::flow) over: Option<Link>,
}

/// What is written for a page beside the records.
#[derive(Default)]
struct Batch {
    entries: Vec<Entry>,
    awaiting: Vec<PlatformId>,
    renamed: Vec<ZohoId>,
    touched: BTreeSet<PlatformId>,
    candidates: Vec<Candidate>,
    links: Vec<Relinked>,
    forgotten: Vec<ZohoId>,
    announce: Vec<Link>,
    unflagged: BTreeMap<String, u64>,
}

impl Relinked {
    /// The link of a row that leaves the scope.
    pub(in crate::flow) fn out_of_scope(link: &Link) -> Self {
        Self {
            link: Link {
                in_scope: false,
                ..link.clone()
            },
            over: Some(link.clone()),
        }
    }
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
        self.links.extend(
            link.filter(|link| link.in_scope)
                .map(Relinked::out_of_scope),
        );
    }

    fn take(&mut self, settled: Settled, counters: &mut Counters) {
        counters.add(settled.counter, 1);
        counters.add(Counter::Parked, settled.faults);
        for field in settled.unflagged {
            *self.unflagged.entry(field).or_default() += 1;
        }
        self.entries.extend(settled.entries);
        self.awaiting.extend(settled.awaiting);
        self.renamed
            .extend(settled.renames.then_some(settled.link.zoho_id));
        self.touched.extend(settled.touched);
        if settled.link.dependants == Dependants::Due {
            self.announce.push(settled.link.clone());
        }
        if settled.relinks {
            self.links.push(Relinked {
                link: settled.link,
                over: settled.over,
            });
        }
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

/// A row that has to be merged into its record.
struct ToMerge<'a> {
    row: &'a Row,
    theirs: Theirs,
    link: Option<&'a Link>,
    admitted: bool,
}

/// Rows that become another record than the one they were (I5), which comes with them.
fn parting<'a>(
    plan: &'a FieldPlan,
    to_merge: &'a [ToMerge<'_>],
) -> impl Iterator<Item = (ZohoId, PlatformId)> + 'a {
    let parts = |asked: &ToMerge<'_>| {
        let own = asked.theirs.identity.as_ref();
        let linked = asked.link.and_then(Link::platform_id)?;
        let parts = plan.settled_identity(own, Some(linked)).as_ref() != Some(linked);
        parts.then(|| (asked.row.id, linked.clone()))
    };
    to_merge.iter().filter_map(parts)
}

/// The oldest row of an identity goes first: it is the one that keeps the identity (I3). The others of it follow, side by side.
fn waves<'a>(plan: &FieldPlan, mut to_merge: Vec<ToMerge<'a>>) -> [Vec<ToMerge<'a>>; 2] {
    to_merge.sort_by_key(|asked| asked.row.id);
    let mut seen = BTreeSet::new();
    let (first, later) = to_merge.into_iter().partition(|asked| {
        let own = asked.theirs.identity.as_ref();
        plan.settled_identity(own, asked.link.and_then(Link::known_as))
            .is_none_or(|id| seen.insert(id))
    });
    [first, later]
}

async fn load(
    job: &Job<'_>,
    object: Object,
    to_merge: &[ToMerge<'_>],
) -> Result<BTreeMap<PlatformId, Record>, Error> {
    if to_merge.is_empty() {
        return Ok(BTreeMap::new());
    }
    let by_link = to_merge
        .iter()
        .filter_map(|asked| asked.link.and_then(Link::known_as));
    let by_identity = to_merge
        .iter()
        .filter_map(|asked| asked.theirs.identity.as_ref());
    let ids: BTreeSet<PlatformId> = by_link.chain(by_identity).cloned().collect();
    let ids: Vec<PlatformId> = ids.into_iter().collect();
    let records = job.ports.store.records(job.id(), object, &ids).await?;
    Ok(records
        .into_iter()
        .map(|record| (record.id.clone(), record))
        .collect())
}

/// Whether the record refers to something that the platform does not have (yet) (F7).
#[must_use]
pub fn has_open_reference(record: &Record) -> bool {
    let mut references = record
        .fields
        .values()
        .filter_map(|value| value.as_reference());
    references.any(|reference| {
        reference.zoho_id.is_some()
            && reference.platform_id.is_none()
            && reference.object != Object::User
    })
}
