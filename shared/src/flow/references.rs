//! References whose other end came later: completed once it is there (F7).

use crate::hash;
use crate::identifier::{PlatformId, ZohoId};
use crate::mapping::{FieldPlan, Identity};
use crate::object::Object;
use crate::port;
use crate::record::{Link, Record};
use crate::run::{Counter, Slice};
use crate::value::{Fields, Value};

use super::Error;
use super::apply::has_open_reference;
use super::job::Job;
use super::routine::Ended;

/// How many waiting records are looked at together.
const PAGE: usize = 100;

/// Completes the references of an object's waiting records, as far as their other ends have come.
///
/// # Errors
/// When a port fails.
pub async fn complete(job: &Job<'_>, slice: &mut Slice) -> Result<Ended, Error> {
    let object = slice.key.object;
    let plan = job.plan(object);
    let mut after: Option<PlatformId> = None;
    loop {
        let waiting = job
            .ports
            .store
            .awaiting(job.id(), object, after.as_ref(), PAGE)
            .await?;
        let Some(last) = waiting.last().cloned() else {
            return Ok(Ended::Done);
        };
        let records = job.ports.store.records(job.id(), object, &waiting).await?;
        let mut settled: Vec<PlatformId> = waiting
            .iter()
            .filter(|id| !records.iter().any(|record| record.id == **id))
            .cloned()
            .collect();
        for record in records {
            let id = record.id.clone();
            if complete_record(job, &plan, record, slice).await? {
                settled.push(id);
            }
        }
        job.ports
            .store
            .stop_awaiting(job.id(), object, &settled)
            .await?;
        after = Some(last);
        if job.must_hand_over() {
            return Ok(Ended::HandOver);
        }
    }
}

/// Completes one record's references; true when none is open any more.
async fn complete_record(
    job: &Job<'_>,
    plan: &FieldPlan,
    record: Record,
    slice: &mut Slice,
) -> Result<bool, Error> {
    if record.removed.is_some() {
        return Ok(true);
    }
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
    if completed == record {
        let open = has_open_reference(&record);
        if !open {
            // An earlier attempt completed it, and may have been cut off right after.
            job.calculations.note([&record]).await?;
        }
        return Ok(!open);
    }
    completed.remember_move(&record);
    completed.updated_at = job.ports.clock.now();
    completed.change = None;
    let saved = match job.ports.store.save_record(completed).await {
        Ok(saved) => saved,
        // Whoever wrote it looked at the references too.
        Err(port::Error::Conflict { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    slice.counters.add(Counter::Resolved, 1);
    job.calculations.note([&saved]).await?;
    let open = has_open_reference(&saved);
    if let Some(zoho_id) = saved.zoho_id {
        relabel(job, plan, zoho_id, &record, &saved).await?;
    }
    Ok(!open)
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

/// Brings the link's hash in line with the completed references, so that the next comparison sees nothing new.
async fn relabel(
    job: &Job<'_>,
    plan: &FieldPlan,
    zoho_id: ZohoId,
    before: &Record,
    record: &Record,
) -> Result<(), Error> {
    let Some(link) = job
        .ports
        .store
        .links(job.id(), plan.object, &[zoho_id])
        .await?
        .pop()
    else {
        return Ok(());
    };
    if !link.is_applied() {
        return Ok(());
    }
    let hash_of = |record: &Record, identity: Option<&PlatformId>| {
        let values: Fields = record
            .base
            .iter()
            .filter(|(name, _)| plan.field(name).is_some())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        hash::of_content(&plan.digest, identity, &values, std::iter::empty())
    };
    let identity = if plan.identity == Identity::Own {
        PlatformId::of_zoho(zoho_id)
    } else {
        record.id.clone()
    };
    // A record keeps the external id that its row has no more.
    let has_none = link.hash == hash_of(before, None);
    let hash = hash_of(record, Some(&identity).filter(|_| !has_none));
    let relabelled = Link {
        hash,
        ..link.clone()
    };
    let store = &job.ports.store;
    match store.save_link_over(&relabelled, Some(&link)).await {
        // Whoever stored it meanwhile applied the row anew.
        Ok(()) | Err(port::Error::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
