//! References whose other end came later: completed once it is there (F7).

use std::collections::BTreeMap;

use crate::disposition::Disposition;
use crate::hash;
use crate::identifier::{Digest, PlatformId, ZohoId};
use crate::mapping::{FieldPlan, Neighbours, Theirs};
use crate::object::Object;
use crate::port;
use crate::record::{Link, Record};
use crate::run::{Counter, Slice};
use crate::select::{IN_VALUES, Which};
use crate::value::{Fields, Value};

use super::apply::has_open_reference;
use super::job::Job;
use super::routine::Ended;
use super::{Error, reading};

/// How many waiting records are looked at together: so many that one call to Zoho reads their rows.
const PAGE: usize = IN_VALUES;

/// Completes the references of an object's waiting records, as far as their other ends have come; each is looked at once.
///
/// # Errors
/// When Zoho or a port fails.
pub async fn complete(job: &Job<'_>, slice: &mut Slice) -> Result<Ended, Error> {
    let object = slice.key.object;
    let plan = job.plan(object);
    loop {
        let waiting = job
            .ports
            .store
            .awaiting(job.id(), object, slice.looked_at.as_ref(), PAGE)
            .await?;
        let Some(last) = waiting.last().cloned() else {
            return Ok(Ended::Done);
        };
        let settled = complete_page(job, &plan, &waiting, slice).await?;
        job.ports
            .store
            .stop_awaiting(job.id(), object, &settled)
            .await?;
        slice.looked_at = Some(last);
        if job.must_hand_over() {
            return Ok(Ended::HandOver);
        }
    }
}

/// Completes the references of some waiting records. Returns those that wait no more.
async fn complete_page(
    job: &Job<'_>,
    plan: &FieldPlan,
    waiting: &[PlatformId],
    slice: &mut Slice,
) -> Result<Vec<PlatformId>, Error> {
    let store = &job.ports.store;
    let records = store.records(job.id(), plan.object, waiting).await?;
    let mut settled: Vec<PlatformId> = waiting
        .iter()
        .filter(|id| !records.iter().any(|record| record.id == **id))
        .cloned()
        .collect();
    let mut ready = Vec::new();
    for record in records {
        if record.removed.is_some() {
            settled.push(record.id);
        } else if completed(job, &record).await? != record {
            ready.push(record);
        } else if !has_open_reference(&record) {
            // An earlier attempt completed it, and may have been cut off right after.
            job.calculations.note([&record]).await?;
            settled.push(record.id);
        }
    }
    // Before anything is stored: where Zoho can't be asked now, all of it is done when it can be. Where it refuses to show the object, the links
    // are left to the sync that reads the rows next.
    let rows = match rows_of(job, plan, &ready).await {
        Err(error) if error.disposition() == Disposition::Never => BTreeMap::new(),
        rows => rows?,
    };
    for record in ready {
        let id = record.id.clone();
        if complete_record(job, plan, record, &rows, slice).await? {
            settled.push(id);
        }
    }
    Ok(settled)
}

/// What the records' rows say by now; what they refer to aside.
async fn rows_of(
    job: &Job<'_>,
    plan: &FieldPlan,
    records: &[Record],
) -> Result<BTreeMap<ZohoId, Theirs>, Error> {
    let ids: Vec<ZohoId> = records.iter().filter_map(|record| record.zoho_id).collect();
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let page = reading::rows(job, plan, Which::Ids(ids), PAGE).await?;
    let rows = page.value.rows.iter();
    Ok(rows
        .map(|row| (row.id, plan.read(row, &Neighbours::new())))
        .collect())
}

/// Completes one record's references; true when none is open any more.
async fn complete_record(
    job: &Job<'_>,
    plan: &FieldPlan,
    record: Record,
    rows: &BTreeMap<ZohoId, Theirs>,
    slice: &mut Slice,
) -> Result<bool, Error> {
    let mut after = completed(job, &record).await?;
    if after == record {
        return Ok(!has_open_reference(&record));
    }
    after.remember_move(&record);
    after.updated_at = job.ports.clock.now();
    after.change = None;
    let saved = match job.ports.store.save_record(after).await {
        Ok(saved) => saved,
        // Whoever wrote it looked at the references too.
        Err(port::Error::Conflict { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    slice.counters.add(Counter::Resolved, 1);
    job.calculations.note([&saved]).await?;
    let open = has_open_reference(&saved);
    if let Some(zoho_id) = saved.zoho_id
        && let Some(theirs) = rows.get(&zoho_id)
    {
        relabel(job, plan, (zoho_id, theirs), &record, &saved).await?;
    }
    Ok(!open)
}

/// A record with its references completed, as far as their other ends have come.
async fn completed(job: &Job<'_>, record: &Record) -> Result<Record, Error> {
    let object = record.object;
    let mut completed = record.clone();
    for (name, value) in &mut completed.fields {
        // An edit names the record that the platform means.
        let sure = record.pending.contains_key(name);
        complete_value(job, object, value, sure).await?;
    }
    for value in completed.base.values_mut() {
        complete_value(job, object, value, false).await?;
    }
    Ok(completed)
}

/// Lets a reference of an object's record name what it refers to. Unless it is `sure`, one to the same object is looked at again even if it names
/// something: that was read with it, and may have become another record in the same stage.
async fn complete_value(
    job: &Job<'_>,
    object: Object,
    value: &mut Value,
    sure: bool,
) -> Result<(), Error> {
    let Value::Reference(reference) = value else {
        return Ok(());
    };
    let Some(zoho_id) = reference.zoho_id else {
        return Ok(());
    };
    let open = reference.platform_id.is_none() || (reference.object == object && !sure);
    if open && reference.object != Object::User {
        let links = job
            .ports
            .store
            .links(job.id(), reference.object, &[zoho_id])
            .await?;
        reference.platform_id = links.first().and_then(Link::named).cloned();
    }
    Ok(())
}

/// Brings the link's hash in line with the completed references, so that the next comparison sees nothing new. A link that says something else
/// than the record held before is left alone: another state of the row was applied, or is to be.
async fn relabel(
    job: &Job<'_>,
    plan: &FieldPlan,
    (zoho_id, theirs): (ZohoId, &Theirs),
    before: &Record,
    record: &Record,
) -> Result<(), Error> {
    let store = &job.ports.store;
    let links = store.links(job.id(), plan.object, &[zoho_id]).await?;
    let says_before = |link: &Link| link.hash == hash_of(plan, theirs, before);
    let Some(link) = links.into_iter().find(says_before) else {
        return Ok(());
    };
    let relabelled = Link {
        hash: hash_of(plan, theirs, record),
        ..link.clone()
    };
    match store.save_link_over(&relabelled, Some(&link)).await {
        // Whoever stored it meanwhile applied the row anew.
        Ok(()) | Err(port::Error::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The hash of a row whose values are those of the record's base. Which fields a row speaks of, which of them could not be converted, and whether
/// it has an external id, it says itself: the record keeps more.
fn hash_of(plan: &FieldPlan, theirs: &Theirs, record: &Record) -> Digest {
    let values: Fields = record
        .base
        .iter()
        .filter(|(name, _)| theirs.values.contains_key(*name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let faults = theirs.faults.iter().map(|fault| &fault.platform);
    hash::of_content(&plan.digest, theirs.identity.as_ref(), &values, faults)
}
