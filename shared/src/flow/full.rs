//! The full sync's comparing slices: a merge join of two streams sorted by id, Zoho's rows and the ledger's links.

use std::collections::{BTreeMap, BTreeSet};

use crate::identifier::{PlatformId, ZohoId};
use crate::journal::Outcome;
use crate::mapping::FieldPlan;
use crate::object::Object;
use crate::port::{self, Progress};
use crate::record::{Candidate, Link, RemovalReason, Standing};
use crate::row::Row;
use crate::run::{Counter, MARK_EVERY, Slice};
use crate::select::{Count, PAGE_ROWS, Which};

use super::apply::{
    ATTEMPTS, Meanwhile, Mode, Relinked, apply, candidate, neighbours, remove_links, save_links,
};
use super::job::Job;
use super::routine::Ended;
use super::{Error, allowance, reading};

/// How many records a disagreement of the counts names at most.
const MOST_DOUBTFUL: usize = 20;

/// Works through a slice from where it stands, page by page.
///
/// # Errors
/// When Zoho or a port fails; what was stored until then stays, and the slice goes on from there.
pub async fn compare(job: &Job<'_>, slice: &mut Slice) -> Result<Ended, Error> {
    let plan = job.plan(slice.key.object);
    match slice.plan {
        Some(digest) if digest != plan.digest => {
            return Err(Error::Invalid("the settings were changed while the full sync was reading: the next one reads with the new ones".to_owned()));
        }
        _ => slice.plan = Some(plan.digest),
    }
    if slice.key.object == Object::User {
        return users(job, slice, &plan).await;
    }
    if slice.reached.is_none() {
        reading::look_anew(job, slice.key.object).await?;
    }
    let mut attempt = 1;
    loop {
        let after = slice.reached.unwrap_or(slice.after);
        // Links first: whatever the ledger holds now and Zoho does not show afterwards is gone from Zoho.
        let (links, more_links) = job
            .ports
            .store
            .links_between(job.id(), slice.key.object, after, slice.to, PAGE_ROWS)
            .await?;
        let bound = links
            .last()
            .filter(|_| more_links)
            .map_or(slice.to, |link| link.zoho_id);
        let which = Which::IdRange { after, to: bound };
        let page = reading::rows(job, &plan, which, PAGE_ROWS).await?;
        slice.server_time = slice.server_time.or(Some(page.server_time));
        let reached = page
            .value
            .rows
            .last()
            .filter(|_| page.value.more)
            .map_or(bound, |row| row.id);
        let counted = (slice.counters.clone(), slice.unflagged.clone());
        match join(job, &plan, slice, &page.value.rows, links, reached).await {
            // Another worker was at the same rows: they are read anew, and what it stored is looked at.
            Err(Error::Port(port::Error::Conflict { .. })) if attempt < ATTEMPTS => {
                (slice.counters, slice.unflagged) = counted;
                if job.must_hand_over() {
                    return Ok(Ended::HandOver);
                }
                attempt += 1;
                continue;
            }
            joined => joined?,
        }
        attempt = 1;
        mark(slice, &page.value.rows);
        slice.reached = Some(reached);
        let complete = reached == slice.to;
        if complete {
            certify(job, &plan, slice).await?;
            return Ok(Ended::Done);
        }
        if job.ports.store.save_slice(slice).await? == Progress::Overtaken {
            return Ok(Ended::Overtaken);
        }
        if job.must_hand_over() {
            return Ok(Ended::HandOver);
        }
    }
}

/// Joins a page of rows with the links up to `reached`.
async fn join(
    job: &Job<'_>,
    plan: &FieldPlan,
    slice: &mut Slice,
    rows: &[Row],
    links: Vec<Link>,
    reached: ZohoId,
) -> Result<(), Error> {
    let links: BTreeMap<ZohoId, Link> = links
        .into_iter()
        .filter(|link| link.zoho_id <= reached)
        .map(|link| (link.zoho_id, link))
        .collect();
    let held = links
        .values()
        .filter(|link| matches!(link.standing, Standing::Linked(_)))
        .count();
    slice.counters.add(Counter::LinksRead, held as u64);
    let seen: BTreeSet<ZohoId> = rows.iter().map(|row| row.id).collect();
    let (gone, forgotten): (Vec<&Link>, Vec<&Link>) = links
        .values()
        .filter(|link| !seen.contains(&link.zoho_id))
        .partition(|link| link.platform_id().is_some());
    let candidates: Vec<Candidate> = gone
        .iter()
        .filter_map(|link| {
            candidate(
                job,
                plan.object,
                link.zoho_id,
                link.platform_id()?.clone(),
                RemovalReason::Gone,
            )
        })
        .collect();
    let out = gone.iter().filter(|link| link.in_scope);
    let out = out.map(|link| Relinked::out_of_scope(link)).collect();
    let forgotten = expired(job, plan, &forgotten).await?;
    job.ports.store.save_candidates(&candidates).await?;
    save_links(job, out, Meanwhile::Conflicts).await?;
    remove_links(job, forgotten, Meanwhile::Stays).await?;
    slice
        .counters
        .add(Counter::Candidates, candidates.len() as u64);
    slice.counters.add(Counter::Gone, candidates.len() as u64);
    let applied = apply(job, plan, rows, Some(links), Mode::Full).await?;
    slice.counters.merge(&applied.counters);
    for (field, number) in applied.unflagged {
        *slice.unflagged.entry(field).or_default() += number;
    }
    Ok(())
}

/// Holds what was read against Zoho's own count of the range (R3), and names what differs.
async fn certify(job: &Job<'_>, plan: &FieldPlan, slice: &mut Slice) -> Result<(), Error> {
    let object = slice.key.object;
    let question = Count {
        object,
        after: slice.after,
        to: slice.to,
    };
    let count = job.session.count(question).await?.value;
    slice.counters.add(Counter::ZohoCount, count);
    let read = slice.counters.get(Counter::RowsRead);
    if count == read {
        return Ok(());
    }
    slice.doubtful = doubtful(job, plan, slice).await?;
    let named: Vec<String> = slice.doubtful.iter().map(ToString::to_string).collect();
    let reason = format!(
        "Zoho counts {count} {object}s where {read} were read: some came or went meanwhile, and the next sync looks at them again. \
         Records: {}",
        match named.is_empty() {
            true => "none could be named".to_owned(),
            false => named.join(", "),
        }
    );
    let subject = format!("{object}#{}", slice.key.index);
    job.note(Outcome::Warned, "counts disagree", &subject, reason)
        .await
}

/// Reads a slice once more and writes nothing: rows in scope without a link, and links in scope without a row.
async fn doubtful(job: &Job<'_>, plan: &FieldPlan, slice: &Slice) -> Result<Vec<ZohoId>, Error> {
    let (object, to) = (slice.key.object, slice.to);
    let mut named = Vec::new();
    let mut after = slice.after;
    while after < to && named.len() < MOST_DOUBTFUL && !job.must_hand_over() {
        let page = reading::rows(job, plan, Which::IdRange { after, to }, PAGE_ROWS).await?;
        let rows = page.value.rows;
        let reached = rows
            .last()
            .filter(|_| page.value.more)
            .map_or(to, |row| row.id);
        let neighbours = neighbours(job, plan, &rows).await?;
        let mut links: BTreeMap<ZohoId, Link> = BTreeMap::new();
        loop {
            let from = links.keys().next_back().copied().unwrap_or(after);
            let (more, any) = job
                .ports
                .store
                .links_between(job.id(), object, from, reached, PAGE_ROWS)
                .await?;
            links.extend(more.into_iter().map(|link| (link.zoho_id, link)));
            if !any {
                break;
            }
        }
        let seen: BTreeSet<ZohoId> = rows.iter().map(|row| row.id).collect();
        let unlinked = rows
            .iter()
            .filter(|row| !links.contains_key(&row.id) && plan.admits(row, &neighbours))
            .map(|row| row.id);
        let rowless = links
            .values()
            .filter(|link| {
                link.in_scope && link.platform_id().is_some() && !seen.contains(&link.zoho_id)
            })
            .map(|link| link.zoho_id);
        named.extend(unlinked.chain(rowless));
        after = reached;
    }
    named.sort();
    named.truncate(MOST_DOUBTFUL);
    Ok(named)
}

/// Of links to rows that Zoho has no more, those that nobody needs: a removed record's goes when the record itself has expired.
async fn expired(job: &Job<'_>, plan: &FieldPlan, links: &[&Link]) -> Result<Vec<Link>, Error> {
    let removed: Vec<PlatformId> = links
        .iter()
        .filter_map(|link| link.known_as().cloned())
        .collect();
    let kept = job
        .ports
        .store
        .records(job.id(), plan.object, &removed)
        .await?;
    let kept: BTreeSet<&PlatformId> = kept.iter().map(|record| &record.id).collect();
    let expired = links
        .iter()
        .copied()
        .filter(|link| link.known_as().is_none_or(|id| !kept.contains(id)));
    Ok(expired.cloned().collect())
}

/// Notes an id at about every [`MARK_EVERY`]th row.
fn mark(slice: &mut Slice, rows: &[Row]) {
    let read = slice.counters.get(Counter::RowsRead);
    let before = read - rows.len() as u64;
    if read / MARK_EVERY > before / MARK_EVERY {
        slice.marks.extend(rows.last().map(|row| row.id));
    }
}

/// Users have no COQL and no id order: all pages are read, and none is ever removed (S4).
async fn users(job: &Job<'_>, slice: &mut Slice, plan: &FieldPlan) -> Result<Ended, Error> {
    allowance::renew(job).await?;
    for number in 1.. {
        let page = job.session.users(number, None).await?;
        slice.server_time = slice.server_time.or(Some(page.server_time));
        let applied = apply(job, plan, &page.value.rows, None, Mode::Full).await?;
        slice.counters.merge(&applied.counters);
        if !page.value.more {
            break;
        }
    }
    slice.reached = Some(slice.to);
    Ok(Ended::Done)
}
