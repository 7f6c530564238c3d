//! Applying a page of Zoho rows to the platform: the one way in, for routine sync, full sync and writeback's reading back.

mod batch;
mod relink;
mod settle;
mod step;
mod tie;
mod waves;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use crate::identifier::{PlatformId, ZohoId};
use crate::journal::Outcome;
use crate::mapping::{FieldPlan, Neighbours};
use crate::object::Object;
use crate::port;
use crate::record::{Link, Record};
use crate::row::Row;
use crate::run::{Counter, Counters};

use super::Error;
use super::job::Job;
use super::reading;
use batch::Batch;
pub use batch::candidate;
pub(in crate::flow) use relink::{
    Meanwhile, Relinked, is_taken, remove_links, save_links, save_links_unless_taken,
};
pub(in crate::flow) use settle::owner;
use settle::{Page, Settled};
pub use step::Mode;
pub(in crate::flow) use step::{Step, step};
use waves::{ToMerge, parting, returned, waves};

/// How many records or links are written at a time.
const WRITERS: usize = 16;

/// How often rows are applied while others store the same.
pub(in crate::flow) const ATTEMPTS: usize = 5;

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
    let joined = links.is_some();
    let mut attempt = 1;
    loop {
        match apply_once(job, plan, rows, links.take(), mode).await {
            // Another worker was at the same rows. What it stored is not taken back, but looked at. Whoever joined rows with links reads both
            // anew for that: what was out of scope may have come in since.
            Err(Error::Port(port::Error::Conflict { .. })) if !joined && attempt < ATTEMPTS => {
                attempt += 1;
            }
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
                    link.filter(|link| link.dependants.are_due() && mode == Mode::Routine)
                        .cloned(),
                );
            }
            Step::Forget(counter) => {
                applied.counters.add(counter, 1);
                batch.forgotten.extend(link.cloned());
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
    remove_links(job, batch.forgotten, Meanwhile::Conflicts).await?;
    applied.announce = batch.announce;
    applied.unflagged = batch.unflagged;
    Ok(applied)
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
