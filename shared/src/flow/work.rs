//! A worker's messages: what each asks for, and what becomes of it.

use std::time::Duration;

use jiff::SignedDuration;

use crate::connection::Connection;
use crate::credit::Spender;
use crate::disposition::Disposition;
use crate::identifier::{RunId, ZohoId};
use crate::journal::Outcome;
use crate::message::Work;
use crate::object::Object;
use crate::port::{Ports, Progress};
use crate::run::{Counter, RunStatus, Slice, SliceKey, Stage};

use super::budget::spender;
use super::job::{Deadline, Job};
use super::routine::Ended;
use super::runs::Resend;
use super::{Error, calculate, full, preflight, purge, references, removal, routine, runs};

/// The longest that a queue keeps a message back.
pub(super) const LONGEST_DELAY: Duration = Duration::from_secs(900);

/// Works on a message until it is done, handed on, or failed. One of a connection that is gone writes nothing back (P7).
///
/// # Errors
/// Only such failures as the message's own redelivery heals; everything else is settled here and recorded.
pub async fn handle(ports: &Ports, message: &Work, deadline: Deadline) -> Result<(), Error> {
    let connection = known(ports, message).await?;
    if connection.status.is_gone() && !matches!(message, Work::Purge { .. }) {
        tracing::info!(connection.id = %connection.id, "dropped, because the connection is gone");
        return Ok(());
    }
    let result = match message {
        Work::Slice { run, slice, .. } => {
            work_on_slice(ports, connection, run, *slice, deadline).await
        }
        Work::Dependants {
            run,
            object,
            parent,
            ids,
            ..
        } => {
            let id = connection.id.clone();
            match bring_dependants(ports, connection, run, (*object, *parent), ids, deadline).await
            {
                Err(error) if waits(&error) => {
                    routine::leave_for_later(ports, &id, *parent, ids).await
                }
                brought => brought,
            }
        }
        Work::Calculate { run, .. } => {
            let (run, spender) = (Some(run.clone()), Spender::RoutineSync);
            match Job::of(ports, connection, run, deadline, spender).await {
                Ok(job) => calculate::work(&job).await,
                // The marks are stored; the routine sync looks for them when the connection runs again.
                Err(Error::NotRunnable { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        }
        Work::Preflight { .. } => preflight::again(ports, connection).await,
        Work::Purge { .. } => purge::work(ports, connection, deadline).await,
    };
    match result {
        Err(error) => match error.disposition() {
            Disposition::RetryAfter(delay) => {
                tracing::info!(connection.id = %message.connection(), delay_seconds = delay.as_secs(), reason = %error, "put off");
                Ok(ports
                    .queue
                    .send_work_later(std::slice::from_ref(message), delay.min(LONGEST_DELAY))
                    .await?)
            }
            _ => Err(error),
        },
        Ok(()) => Ok(()),
    }
}

/// Whether something goes on only when the connection runs again.
fn waits(error: &Error) -> bool {
    matches!(error, Error::NotRunnable { .. }) || error.disposition() == Disposition::Reconnect
}

async fn known(ports: &Ports, message: &Work) -> Result<Connection, Error> {
    let id = message.connection();
    let found = ports.store.connection(id).await?;
    found.ok_or_else(|| Error::NotFound {
        what: format!("connection {id}"),
    })
}

async fn bring_dependants(
    ports: &Ports,
    connection: Connection,
    run: &RunId,
    (object, parent): (Object, Object),
    ids: &[ZohoId],
    deadline: Deadline,
) -> Result<(), Error> {
    let asked_by = ports.store.run(&connection.id, run).await?;
    let spender = asked_by.map_or(Spender::RoutineSync, |run| spender(run.kind));
    let job = Job::of(ports, connection, Some(run.clone()), deadline, spender).await?;
    let brought = routine::dependants(&job, object, parent, ids).await;
    job.calculations.send(job.run.as_ref()).await;
    job.session.finish().await?;
    brought.map(drop)
}

async fn work_on_slice(
    ports: &Ports,
    connection: Connection,
    run_id: &RunId,
    key: SliceKey,
    deadline: Deadline,
) -> Result<(), Error> {
    let Some(run) = ports.store.run(&connection.id, run_id).await? else {
        return Err(Error::NotFound {
            what: format!("run {run_id} of connection {}", connection.id),
        });
    };
    let Some(mut slice) = ports.store.slice(&connection.id, run_id, key).await? else {
        return Err(Error::NotFound {
            what: format!("slice {key:?} of run {run_id}"),
        });
    };
    if run.status != RunStatus::Running {
        return Ok(());
    }
    if slice.done {
        // A second delivery. If the run has moved on since, whoever moved it may have been cut off before sending.
        let resend = if key.stage == run.stage {
            Resend::No
        } else {
            Resend::Yes
        };
        return runs::advance(ports, run, resend).await;
    }
    let spender = spender(run.kind);
    let job = match Job::of(ports, connection, Some(run_id.clone()), deadline, spender).await {
        Ok(job) => job,
        Err(error) => match error.disposition() {
            Disposition::Never | Disposition::Reconnect => {
                return runs::end(ports, run, RunStatus::Incomplete, Some(error.to_string())).await;
            }
            Disposition::Retry | Disposition::RetryAfter(_) => return Err(error),
        },
    };
    if key.stage == Stage::Routine && !own_routine(&job, &slice).await? {
        // The object's previous routine sync still reads; it will read what this one would have.
        slice.done = true;
        return report(ports, &job, slice).await;
    }
    let (calls, credits) = (job.session.calls(), job.session.credits());
    let ended = match key.stage {
        Stage::Routine => routine::work(&job, &mut slice).await,
        Stage::Users | Stage::Accounts | Stage::Contacts | Stage::Deals | Stage::Tasks => {
            full::compare(&job, &mut slice).await
        }
        Stage::References => references::complete(&job, &mut slice).await,
        Stage::RemoveAccounts | Stage::RemoveDependants => removal::remove(&job, &mut slice).await,
        Stage::Calculated => calculate::stage(&job, &mut slice).await,
    };
    let finished = job.session.finish().await;
    if key.stage == Stage::Routine {
        if key.object == Object::Account && matches!(ended, Ok(Ended::Done)) {
            job.calculations.look().await?;
        }
        // A full sync calculates by itself at its end.
        job.calculations.send(Some(run_id)).await;
    }
    slice
        .counters
        .add(Counter::ZohoCalls, job.session.calls() - calls);
    slice
        .counters
        .add(Counter::ZohoCredits, job.session.credits() - credits);
    finished?;
    match ended {
        Ok(Ended::Done) => slice.done = true,
        Ok(Ended::Overtaken) => return Ok(()),
        Ok(Ended::HandOver) => {
            if ports.store.save_slice(&mut slice).await? == Progress::Stored {
                ports.queue.send_work(&[runs::message(&slice)]).await?;
            }
            return Ok(());
        }
        Err(error) => match error.disposition() {
            Disposition::Retry | Disposition::RetryAfter(_) => return Err(error),
            Disposition::Reconnect => {
                release(&job, &slice).await?;
                return runs::end(ports, run, RunStatus::Incomplete, Some(error.to_string())).await;
            }
            Disposition::Never => {
                // A routine sync's failure is logged at its end, and not each quarter of an hour anew.
                if key.stage != Stage::Routine {
                    let subject = format!("{}#{}", key.object, key.index);
                    job.note(
                        Outcome::Refused,
                        "slice failed",
                        &subject,
                        error.to_string(),
                    )
                    .await?;
                }
                slice.failure = Some(error.to_string());
                slice.done = true;
            }
        },
    }
    report(ports, &job, slice).await
}

/// Stores that a slice is done, and moves the run on.
async fn report(ports: &Ports, job: &Job<'_>, mut slice: Slice) -> Result<(), Error> {
    release(job, &slice).await?;
    if ports.store.save_slice(&mut slice).await? == Progress::Overtaken {
        return Ok(());
    }
    match ports.store.run(&slice.connection, &slice.run).await? {
        Some(run) => runs::advance(ports, run, Resend::No).await,
        None => Ok(()),
    }
}

fn lease_name(slice: &Slice) -> String {
    format!("routine#{}", slice.key.object)
}

/// Takes the object's routine sync for this run, so that runs do not read the same thing side by side.
async fn own_routine(job: &Job<'_>, slice: &Slice) -> Result<bool, Error> {
    let until = job
        .deadline
        .0
        .saturating_add(SignedDuration::from_secs(30))
        .unwrap_or(job.deadline.0);
    Ok(job
        .ports
        .store
        .lease(
            job.id(),
            &lease_name(slice),
            slice.run.as_str(),
            job.ports.clock.now(),
            until,
        )
        .await?)
}

async fn release(job: &Job<'_>, slice: &Slice) -> Result<(), Error> {
    if slice.key.stage == Stage::Routine {
        job.ports
            .store
            .release(job.id(), &lease_name(slice), slice.run.as_str())
            .await?;
    }
    Ok(())
}
