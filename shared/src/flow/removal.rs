//! Removal: the end of a full sync, and the only place where records leave the platform (P3, R1, R2).

use std::collections::{BTreeMap, BTreeSet};

use crate::credit::Spender;
use crate::identifier::{ConnectionId, PlatformId, ZohoId};
use crate::journal::{Entry, Outcome};
use crate::mapping::parent_lookups;
use crate::object::Object;
use crate::port::{self, Ports, Progress};
use crate::record::{
    Action, Candidate, Change, Dependants, Link, Record, RemovalReason, Removed, Standing,
};
use crate::run::{Counter, Counters, Slice, Stage};
use crate::settings::RemovalGuard;

use super::Error;
use super::apply::{Meanwhile, Relinked, remove_links, save_links};
use super::job::{Deadline, Job};
use super::reading;
use super::restore::bring_back;
use super::routine::Ended;

/// How many candidates are looked at together.
const PAGE: usize = 100;

/// How often a record that somebody else wrote meanwhile is read again.
const ATTEMPTS: usize = 5;

/// Removes an object's records that the full sync missed, unless a slice of it failed, it was read with other settings or the guard holds the
/// removal.
///
/// # Errors
/// When Zoho or a port fails; the rest is removed when the slice is worked on again.
pub async fn remove(job: &Job<'_>, slice: &mut Slice) -> Result<Ended, Error> {
    let object = slice.key.object;
    let slices = job.ports.store.slices(job.id(), &slice.run).await?;
    let (all, earlier): (Vec<Candidate>, Vec<Candidate>) = candidates(job.ports, job.id(), object)
        .await?
        .into_iter()
        .partition(|candidate| candidate.run == slice.run);
    if !is_read(job, &slices, object) {
        let reason = format!(
            "{object}s were not read completely with the settings of now, so none is removed"
        );
        skip(job, object, &all, reason).await?;
        return Ok(Ended::Done);
    }
    withdraw(job, object, &earlier, &mut slice.counters).await?;
    let mut parents = parent_lookups(object).iter();
    let unread = parents.find(|(_, of)| !has_told(job, &slices, *of));
    let (stay, all): (Vec<Candidate>, Vec<Candidate>) = all
        .into_iter()
        .partition(|candidate| unread.is_some() && candidate.reason == RemovalReason::ParentLeft);
    if let Some((_, of)) = unread.filter(|_| !stay.is_empty()) {
        let reason = format!(
            "{of}s were not read completely with the settings of now, so no {object} is removed with what it belongs to"
        );
        skip(job, object, &stay, reason).await?;
    }
    let links: u64 = compared(&slices, object)
        .map(|other| other.counters.get(Counter::LinksRead))
        .sum();
    let guard = &job.settings.settings.removal_guard;
    let with_account = held_accounts(job, object).await?;
    // All that leave, also those that an earlier attempt came to hold: what it did not come to waits with them.
    let exceeds = exceeds(guard, all.len() as u64, links);
    let (hold, go): (Vec<Candidate>, Vec<Candidate>) = all.into_iter().partition(|candidate| {
        candidate.held || exceeds || (with_account && candidate.reason == RemovalReason::ParentLeft)
    });
    if hold_back(job, slice, hold, links).await? == Progress::Overtaken {
        return Ok(Ended::Overtaken);
    }
    for page in go.chunks(PAGE) {
        carry_out(job, object, page, &mut slice.counters).await?;
        if job.must_hand_over() {
            return Ok(Ended::HandOver);
        }
    }
    Ok(Ended::Done)
}

/// The slices in which a full sync compared an object's rows with its links.
fn compared(slices: &[Slice], object: Object) -> impl Iterator<Item = &Slice> {
    slices.iter().filter(move |slice| {
        slice.key.stage == Stage::comparing(object) && slice.key.object == object
    })
}

/// Whether a full sync read an object completely, and with the settings of now: what left the scope of others may be in scope.
fn is_read(job: &Job<'_>, slices: &[Slice], object: Object) -> bool {
    let plan = job.plan(object).digest;
    let mut own = compared(slices, object).peekable();
    own.peek().is_some()
        && own.all(|slice| slice.done && slice.failure.is_none() && slice.plan == Some(plan))
}

/// Whether a full sync says truly which records of an object left. Where it could read nothing of it, as of a module that is switched off, it said
/// nothing new; but nothing goes for an account that stays.
fn has_told(job: &Job<'_>, slices: &[Slice], object: Object) -> bool {
    let is_unread = |slice: &Slice| {
        let read = [Counter::RowsRead, Counter::LinksRead];
        read.iter().all(|counter| slice.counters.get(*counter) == 0)
    };
    is_read(job, slices, object)
        || (object != Object::Account && compared(slices, object).all(is_unread))
}

/// Forgets candidates that the full sync may have found wrongly, and says why.
async fn skip(
    job: &Job<'_>,
    object: Object,
    skipped: &[Candidate],
    reason: String,
) -> Result<(), Error> {
    job.note(Outcome::Warned, "removal skipped", object.name(), reason)
        .await?;
    let ids: Vec<ZohoId> = skipped.iter().map(|candidate| candidate.zoho_id).collect();
    Ok(job
        .ports
        .store
        .remove_candidates(job.id(), object, &ids)
        .await?)
}

/// Lets candidates, of an object with so many links, wait for a person's yes (R2). Those that an earlier attempt held are counted and told of
/// unless the slice was stored since.
async fn hold_back(
    job: &Job<'_>,
    slice: &mut Slice,
    hold: Vec<Candidate>,
    links: u64,
) -> Result<Progress, Error> {
    let object = slice.key.object;
    let waiting = hold.len() as u64;
    let hold: Vec<Candidate> = hold
        .into_iter()
        .filter(|candidate| !candidate.held)
        .map(|candidate| Candidate {
            held: true,
            ..candidate
        })
        .collect();
    job.ports.store.save_candidates(&hold).await?;
    let uncounted = waiting.saturating_sub(slice.counters.get(Counter::Held));
    if uncounted == 0 {
        return Ok(Progress::Stored);
    }
    slice.counters.add(Counter::Held, uncounted);
    let reason =
        format!("{waiting} of {links} {object}s would be removed: approve or reject the removal");
    job.note(Outcome::Held, "removal held", object.name(), reason)
        .await?;
    Ok(job.ports.store.save_slice(slice).await?)
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

/// Whether the guard holds the removal of `leaving` out of `links` records: beyond both of its numbers (R2).
#[must_use]
pub const fn exceeds(guard: &RemovalGuard, leaving: u64, links: u64) -> bool {
    leaving > guard.records
        && leaving.saturating_mul(100) > links.saturating_mul(guard.percent as u64)
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
    let platform_ids: Vec<PlatformId> = page
        .iter()
        .map(|candidate| candidate.platform_id.clone())
        .collect();
    // Records first: whoever brings a row in stores its link before its record, so a record that came back is not read without its link saying
    // so.
    let records = job
        .ports
        .store
        .records(job.id(), object, &platform_ids)
        .await?;
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
    let stored: BTreeSet<PlatformId> = records.iter().map(|record| record.id.clone()).collect();
    let mut left = BTreeSet::new();
    let mut failed = Ok(());
    for record in records {
        let candidate = go
            .iter()
            .find(|candidate| candidate.platform_id == record.id && is_of(&record, candidate));
        let Some(candidate) = candidate else { continue };
        // Also where an earlier attempt, be it an earlier full sync's, removed it and did not come to the marks and the log.
        left.extend(job.calculations.plan.touched(&record));
        if record.removed.is_some() {
            entries.extend(Entry::of_change(&record, job.retention()));
        }
        let link = links.get(&candidate.zoho_id);
        match remove_record(job, record, candidate, link).await {
            Ok(None) => {}
            Ok(Some(saved)) => {
                counters.add(Counter::Removed, 1);
                left.extend(job.calculations.plan.touched(&saved));
                entries.extend(Entry::of_change(&saved, job.retention()));
            }
            Err(error) => {
                // Those that are removed by now are told of all the same.
                failed = Err(error);
                break;
            }
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
    failed?;
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
        let retention = job.retention();
        let kept = bring_back(
            job.ports,
            job.id(),
            candidate.object,
            id,
            retention,
            by_this,
        )
        .await?;
        if let Some(record) = kept {
            job.calculations.note([&record]).await?;
            entries.extend(Entry::of_change(&record, retention));
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
    reading::existing(job, object, &gone).await
}

/// Whether a record goes with its candidate: of several Zoho records that were this one, the one to which it is tied counts. One whose creation
/// in Zoho got no answer is tied to none yet, and this is what was created; left as it is, it would be created once more.
fn is_of(record: &Record, candidate: &Candidate) -> bool {
    match record.zoho_id {
        Some(tied) => tied == candidate.zoho_id,
        None => record.create_intent.is_some(),
    }
}

/// Removes a record as long as the candidate's link is the one that was read: if it is another one, the row was brought in meanwhile, and has to
/// be looked at again.
async fn remove_record(
    job: &Job<'_>,
    mut record: Record,
    candidate: &Candidate,
    link: Option<&Link>,
) -> Result<Option<Record>, Error> {
    let (store, object) = (&job.ports.store, candidate.object);
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
        match store.save_record(removed).await {
            Ok(saved) => return Ok(Some(saved)),
            Err(port::Error::Conflict { .. }) => {
                let ids = std::slice::from_ref(&record.id);
                let Some(fresh) = store.records(job.id(), object, ids).await?.pop() else {
                    return Ok(None);
                };
                record = fresh;
                let links = store.links(job.id(), object, &[candidate.zoho_id]).await?;
                if links.first() != link {
                    break;
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(port::Error::conflict(format!("{object} {}", record.id)).into())
}
