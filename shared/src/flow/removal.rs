//! Removal: the end of a full sync, and the only place where records leave the platform (P3, R1, R2).

use std::collections::{BTreeMap, BTreeSet};

use crate::credit::Spender;
use crate::identifier::{ConnectionId, PlatformId, ZohoId};
use crate::journal::{Entry, Outcome};
use crate::object::Object;
use crate::port::{self, Ports};
use crate::record::{
    Action, Candidate, Change, Dependants, Link, Record, RemovalReason, Removed, Standing,
};
use crate::row::Row;
use crate::run::{Counter, Counters, Slice, Stage};
use crate::select::{IN_VALUES, Select, Which};
use crate::settings::RemovalGuard;

use super::Error;
use super::apply::{Meanwhile, Relinked, remove_links, save_links};
use super::job::{Deadline, Job};
use super::restore::bring_back;
use super::routine::Ended;

/// How many candidates are looked at together.
const PAGE: usize = 100;

/// How often a record that somebody else wrote meanwhile is read again.
const ATTEMPTS: usize = 5;

/// Removes an object's records that the full sync missed, unless a slice of it failed or the guard holds the removal.
///
/// # Errors
/// When Zoho or a port fails; the rest is removed when the slice is worked on again.
pub async fn remove(job: &Job<'_>, slice: &mut Slice) -> Result<Ended, Error> {
    let object = slice.key.object;
    let slices = job.ports.store.slices(job.id(), &slice.run).await?;
    let compared: Vec<&Slice> = slices
        .iter()
        .filter(|other| other.key.stage == Stage::comparing(object) && other.key.object == object)
        .collect();
    let (mut all, earlier): (Vec<Candidate>, Vec<Candidate>) =
        candidates(job.ports, job.id(), object)
            .await?
            .into_iter()
            .partition(|candidate| candidate.run == slice.run);
    all.retain(|candidate| !candidate.held);
    if compared.is_empty()
        || compared
            .iter()
            .any(|other| !other.done || other.failure.is_some())
    {
        let ids: Vec<ZohoId> = all.iter().map(|candidate| candidate.zoho_id).collect();
        job.ports
            .store
            .remove_candidates(job.id(), object, &ids)
            .await?;
        let reason = format!("{object}s were not read completely, so none is removed");
        job.note(Outcome::Warned, "removal skipped", object.name(), reason)
            .await?;
        return Ok(Ended::Done);
    }
    withdraw(job, object, &earlier, &mut slice.counters).await?;
    let held: u64 = compared
        .iter()
        .map(|other| other.counters.get(Counter::LinksRead))
        .sum();
    let guard = &job.settings.settings.removal_guard;
    let with_account = held_accounts(job, object).await?;
    let exceeds = exceeds(guard, all.len() as u64, held);
    let (hold, go): (Vec<Candidate>, Vec<Candidate>) = all.into_iter().partition(|candidate| {
        exceeds || (with_account && candidate.reason == RemovalReason::ParentLeft)
    });
    if !hold.is_empty() {
        slice.counters.add(Counter::Held, hold.len() as u64);
        let hold: Vec<Candidate> = hold
            .into_iter()
            .map(|candidate| Candidate {
                held: true,
                ..candidate
            })
            .collect();
        job.ports.store.save_candidates(&hold).await?;
        let reason = format!(
            "{} of {held} {object}s would be removed: approve or reject the removal",
            hold.len()
        );
        job.note(Outcome::Held, "removal held", object.name(), reason)
            .await?;
    }
    for page in go.chunks(PAGE) {
        carry_out(job, object, page, &mut slice.counters).await?;
        if job.must_hand_over() {
            return Ok(Ended::HandOver);
        }
    }
    Ok(Ended::Done)
}

/// Forgets candidates of earlier full syncs that this complete one did not find again: what they stood for came back, or is tied anew (R2).
async fn withdraw(
    job: &Job<'_>,
    object: Object,
    earlier: &[Candidate],
    counters: &mut Counters,
) -> Result<(), Error> {
    let ids: Vec<ZohoId> = earlier.iter().map(|candidate| candidate.zoho_id).collect();
    job.ports
        .store
        .remove_candidates(job.id(), object, &ids)
        .await?;
    let held = earlier.iter().filter(|candidate| candidate.held).count();
    if held == 0 {
        return Ok(());
    }
    counters.add(Counter::Withdrawn, held as u64);
    let reason =
        format!("{held} {object}s that waited for a person are not to be removed any more");
    job.note(Outcome::Done, "removal withdrawn", object.name(), reason)
        .await
}

/// Whether the guard holds the removal of `leaving` out of `held` records: beyond both of its numbers (R2).
#[must_use]
pub const fn exceeds(guard: &RemovalGuard, leaving: u64, held: u64) -> bool {
    leaving > guard.records
        && leaving.saturating_mul(100) > held.saturating_mul(guard.percent as u64)
}

/// Carries out a held removal after a person's yes. What came back meanwhile is withdrawn.
///
/// # Errors
/// When the connection may not run, or Zoho or a port fails.
pub async fn approve(
    ports: &Ports,
    connection: &ConnectionId,
    object: Object,
    deadline: Deadline,
) -> Result<Counters, Error> {
    let held: Vec<Candidate> = candidates(ports, connection, object)
        .await?
        .into_iter()
        .filter(|candidate| candidate.held)
        .collect();
    let run = held.first().map(|candidate| candidate.run.clone());
    let job = Job::begin(ports, connection, run, deadline, Spender::Person).await?;
    let carried_out = carry_out_pages(&job, object, &held).await;
    job.calculations.send(None).await;
    job.session.finish().await?;
    carried_out
}

async fn carry_out_pages(
    job: &Job<'_>,
    object: Object,
    held: &[Candidate],
) -> Result<Counters, Error> {
    let mut counters = Counters::default();
    for page in held.chunks(PAGE) {
        carry_out(job, object, page, &mut counters).await?;
        if job.must_hand_over() {
            break;
        }
    }
    Ok(counters)
}

/// Drops a held removal: the records stay, until a later full sync misses them again.
///
/// # Errors
/// When a port fails.
pub async fn reject(
    ports: &Ports,
    connection: &ConnectionId,
    object: Object,
) -> Result<u64, Error> {
    let held: Vec<ZohoId> = candidates(ports, connection, object)
        .await?
        .into_iter()
        .filter(|candidate| candidate.held)
        .map(|candidate| candidate.zoho_id)
        .collect();
    ports
        .store
        .remove_candidates(connection, object, &held)
        .await?;
    Ok(held.len() as u64)
}

async fn candidates(
    ports: &Ports,
    connection: &ConnectionId,
    object: Object,
) -> Result<Vec<Candidate>, Error> {
    let mut all = Vec::new();
    let mut after = ZohoId::MIN;
    loop {
        let page = ports
            .store
            .candidates(connection, object, after, PAGE)
            .await?;
        let Some(last) = page.last() else {
            return Ok(all);
        };
        after = last.zoho_id;
        all.extend(page);
    }
}

/// Whether accounts wait for a person's yes, so that what belongs to them waits too.
async fn held_accounts(job: &Job<'_>, object: Object) -> Result<bool, Error> {
    if object == Object::Account {
        return Ok(false);
    }
    Ok(candidates(job.ports, job.id(), Object::Account)
        .await?
        .iter()
        .any(|candidate| candidate.held))
}

/// Removes a page of candidates that are still to go: record first, then log and marks, then link, then candidate.
async fn carry_out(
    job: &Job<'_>,
    object: Object,
    page: &[Candidate],
    counters: &mut Counters,
) -> Result<(), Error> {
    let ids: Vec<ZohoId> = page.iter().map(|candidate| candidate.zoho_id).collect();
    let links: BTreeMap<ZohoId, Link> = job
        .ports
        .store
        .links(job.id(), object, &ids)
        .await?
        .into_iter()
        .map(|link| (link.zoho_id, link))
        .collect();
    let returned = still_in_zoho(job, object, page).await?;
    let (go, withdrawn): (Vec<&Candidate>, Vec<&Candidate>) = page.iter().partition(|candidate| {
        let link = links.get(&candidate.zoho_id);
        let came_back =
            link.is_some_and(|link| link.in_scope) || returned.contains(&candidate.zoho_id);
        let retied = link.is_some_and(|link| link.platform_id() != Some(&candidate.platform_id));
        !came_back && !retied
    });
    counters.add(Counter::Withdrawn, withdrawn.len() as u64);
    let mut entries = keep(job, &withdrawn, &links).await?;
    let platform_ids: Vec<PlatformId> = go
        .iter()
        .map(|candidate| candidate.platform_id.clone())
        .collect();
    let records = job
        .ports
        .store
        .records(job.id(), object, &platform_ids)
        .await?;
    let stored: BTreeSet<PlatformId> = records.iter().map(|record| record.id.clone()).collect();
    // Also those that an earlier attempt removed and did not come to mark.
    let left: BTreeSet<PlatformId> = records
        .iter()
        .flat_map(|record| job.calculations.plan.touched(record))
        .collect();
    for record in records {
        let candidate = go
            .iter()
            .find(|candidate| candidate.platform_id == record.id && is_of(&record, candidate));
        let Some(candidate) = candidate else { continue };
        if let Some(saved) = remove_record(job, record, candidate).await? {
            counters.add(Counter::Removed, 1);
            entries.extend(Entry::of_change(&saved, job.retention()));
        }
    }
    // A link whose record was never stored leads nowhere.
    let (go, nowhere): (Vec<&Candidate>, Vec<&Candidate>) = go
        .into_iter()
        .partition(|candidate| stored.contains(&candidate.platform_id));
    let nowhere: Vec<Link> = nowhere
        .iter()
        .filter_map(|candidate| links.get(&candidate.zoho_id).cloned())
        .collect();
    // Also where another Zoho record took the record over: what refers to this one still means the same record.
    let removed = go.iter().filter_map(|candidate| {
        let link = links.get(&candidate.zoho_id)?;
        Some(Relinked {
            link: Link {
                standing: Standing::Removed(candidate.platform_id.clone()),
                in_scope: false,
                dependants: Dependants::Asked,
                ..link.clone()
            },
            over: Some(link.clone()),
        })
    });
    job.ports.store.write(&entries).await?;
    job.calculations.mark(left).await?;
    // Where a routine sync was at the same row, the candidate is looked at again.
    save_links(job, removed.collect(), Meanwhile::Conflicts).await?;
    remove_links(job, nowhere, Meanwhile::Stays).await?;
    Ok(job
        .ports
        .store
        .remove_candidates(job.id(), object, &ids)
        .await?)
}

/// Brings back what an earlier attempt removed while its row came into scope again: the row counts as applied, so that no sync would. Returns
/// the lines for the log.
async fn keep(
    job: &Job<'_>,
    withdrawn: &[&Candidate],
    links: &BTreeMap<ZohoId, Link>,
) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for candidate in withdrawn {
        let id = &candidate.platform_id;
        let is_here = links
            .get(&candidate.zoho_id)
            .is_some_and(|link| link.in_scope && link.platform_id() == Some(id));
        if !is_here {
            continue;
        }
        let by_this = |record: &Record| {
            let removed = record.removed.as_ref();
            record.zoho_id == Some(candidate.zoho_id)
                && removed.is_some_and(|removed| removed.run == candidate.run)
        };
        let kept = bring_back(job.ports, job.id(), candidate.object, id, by_this).await?;
        if let Some(record) = kept {
            job.calculations.note([&record]).await?;
            entries.extend(Entry::of_change(&record, job.retention()));
        }
    }
    Ok(entries)
}

/// Asks Zoho once more for what it seemed to have no more: a reading that came out empty by error removes nothing (P3).
async fn still_in_zoho(
    job: &Job<'_>,
    object: Object,
    page: &[Candidate],
) -> Result<BTreeSet<ZohoId>, Error> {
    let gone: Vec<ZohoId> = page
        .iter()
        .filter(|candidate| candidate.reason == RemovalReason::Gone)
        .map(|candidate| candidate.zoho_id)
        .collect();
    let mut found = BTreeSet::new();
    for ids in gone.chunks(IN_VALUES) {
        let select = Select {
            object,
            columns: Vec::new(),
            which: Which::Ids(ids.to_vec()),
            limit: IN_VALUES,
        };
        let rows: Vec<Row> = job.session.select(&select).await?.value.rows;
        found.extend(rows.iter().map(|row| row.id));
    }
    Ok(found)
}

/// Whether a record goes with its candidate: of several Zoho records that were this one, the one to which it is tied counts. One whose creation
/// in Zoho got no answer is tied to none yet, and this is what was created; left as it is, it would be created once more.
fn is_of(record: &Record, candidate: &Candidate) -> bool {
    match record.zoho_id {
        Some(tied) => tied == candidate.zoho_id,
        None => record.create_intent.is_some(),
    }
}

async fn remove_record(
    job: &Job<'_>,
    mut record: Record,
    candidate: &Candidate,
) -> Result<Option<Record>, Error> {
    for _ in 0..ATTEMPTS {
        if !is_of(&record, candidate) || record.removed.is_some() {
            return Ok(None);
        }
        let now = job.ports.clock.now();
        let removed = Record {
            zoho_id: Some(candidate.zoho_id),
            create_intent: None,
            removed: Some(Removed {
                at: now,
                run: candidate.run.clone(),
                reason: candidate.reason,
            }),
            change: Some(Change {
                action: Action::Removed,
                run: Some(candidate.run.clone()),
                fields: Vec::new(),
            }),
            updated_at: now,
            ..record.clone()
        };
        match job.ports.store.save_record(removed).await {
            Ok(saved) => return Ok(Some(saved)),
            Err(port::Error::Conflict { .. }) => {
                match job
                    .ports
                    .store
                    .records(job.id(), candidate.object, std::slice::from_ref(&record.id))
                    .await?
                    .pop()
                {
                    Some(fresh) => record = fresh,
                    None => return Ok(None),
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(port::Error::conflict(format!("{} {}", candidate.object, record.id)).into())
}
