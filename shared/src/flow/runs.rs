//! Starting runs and moving them from stage to stage. A stage begins when every slice of the one before has reported, whatever is delivered
//! twice: the run's stage moves by a conditional write, and everything after it may be repeated without harm.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::certificate::certify;
use crate::connection::Connection;
use crate::cursor::{Cursor, LAG};
use crate::identifier::{ConnectionId, RunId, ZohoId};
use crate::journal::{Entry, Outcome};
use crate::message::{Version, Work};
use crate::object::Object;
use crate::port::{self, Ports};
use crate::run::{Run, RunKind, RunStatus, Slice};

use super::alarm;
use super::budget::hold_back_run;
use super::job::{is_runnable, retention, runnable};
use super::{Error, routine, writeback};

/// After this time a run that did not end counts as cut short.
const ENDS_WITHIN: SignedDuration = SignedDuration::from_hours(20);

/// How many full syncs are looked through for one that read an object completely.
const NIGHTS: usize = 5;

/// How many of the latest runs are looked through for the last full sync: a day's routine syncs and some.
const LATEST_RUNS: usize = 200;

/// Starts a run of an enabled connection now: stores it, plans its first stage and sends its messages.
///
/// # Errors
/// When the connection does not exist or may not run, when a full sync is under way already, or a port fails.
pub async fn start(ports: &Ports, connection: &ConnectionId, kind: RunKind) -> Result<Run, Error> {
    let known = runnable(ports, connection).await?;
    hold_back_run(ports, &known, kind).await?;
    if kind == RunKind::Full {
        none_under_way(ports, &latest(ports, connection).await?).await?;
    }
    begin(ports, connection, kind, Duration::ZERO).await
}

/// Starts the routine sync of a connection that was just read; its messages arrive after `delay`.
///
/// # Errors
/// As [`start`].
pub async fn start_routine(
    ports: &Ports,
    known: &Connection,
    delay: Duration,
) -> Result<(), Error> {
    is_runnable(known, ports.clock.now())?;
    hold_back_run(ports, known, RunKind::Routine).await?;
    begin(ports, &known.id, RunKind::Routine, delay).await?;
    Ok(())
}

/// Starts the full sync of the night that began at `night`, unless one was started since. One that was cut off before its messages were sent
/// is sent again. The messages arrive after `delay`, those of a connection's first full sync at once.
///
/// # Errors
/// As [`start`].
pub async fn start_night(
    ports: &Ports,
    known: &Connection,
    night: Timestamp,
    delay: Duration,
) -> Result<(), Error> {
    is_runnable(known, ports.clock.now())?;
    hold_back_run(ports, known, RunKind::Full).await?;
    let latest = latest(ports, &known.id).await?;
    let mut full = latest.iter().filter(|run| run.kind == RunKind::Full);
    let delay = match full.next() {
        None => Duration::ZERO,
        Some(last) if last.started_at >= night => return send_again(ports, last).await,
        Some(_) => delay,
    };
    none_under_way(ports, &latest).await?;
    begin(ports, &known.id, RunKind::Full, delay).await?;
    Ok(())
}

async fn latest(ports: &Ports, connection: &ConnectionId) -> Result<Vec<Run>, Error> {
    Ok(ports.store.runs(connection, None, LATEST_RUNS).await?.items)
}

/// Sends a run's messages again where no worker has begun: whoever started it may have been cut off before sending.
async fn send_again(ports: &Ports, run: &Run) -> Result<(), Error> {
    let slices = ports.store.slices(&run.connection, &run.id).await?;
    let begun = |slice: &Slice| slice.done || slice.server_time.is_some();
    if run.status != RunStatus::Running || slices.iter().any(begun) {
        return Ok(());
    }
    advance(ports, run.clone(), Resend::Yes).await
}

/// Ends the runs that hang, and refuses to start a second full sync beside one.
async fn none_under_way(ports: &Ports, latest: &[Run]) -> Result<(), Error> {
    let now = ports.clock.now();
    // The oldest first: what ended for the same reason as the one before is not said again.
    let running = latest
        .iter()
        .rev()
        .filter(|run| run.status == RunStatus::Running);
    let (hung, at_it): (Vec<&Run>, Vec<&Run>) =
        running.partition(|run| now.duration_since(run.started_at) >= ENDS_WITHIN);
    for run in hung {
        end(
            ports,
            run.clone(),
            RunStatus::Incomplete,
            Some("it did not end within 20 hours".to_owned()),
        )
        .await?;
    }
    match at_it.iter().find(|run| run.kind == RunKind::Full) {
        Some(run) => Err(Error::Invalid(format!(
            "full sync {} is under way: wait for its end",
            run.id
        ))),
        None => Ok(()),
    }
}

async fn begin(
    ports: &Ports,
    connection: &ConnectionId,
    kind: RunKind,
    delay: Duration,
) -> Result<Run, Error> {
    let now = ports.clock.now();
    let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or_default();
    let run = Run::begin(
        connection.clone(),
        RunId::new(milliseconds, ports.entropy.number()),
        kind,
        now,
    );
    let run = ports.store.save_run(run).await?;
    begin_stage(ports, &run, &[], delay).await?;
    Ok(run)
}

/// Plans what is not `planned` yet of the stage that a run has come to, and sends the messages of all of it.
async fn begin_stage(
    ports: &Ports,
    run: &Run,
    planned: &[Slice],
    delay: Duration,
) -> Result<(), Error> {
    let marks = match run.stage.compares() {
        true => marks(ports, &run.connection).await?,
        false => BTreeMap::new(),
    };
    let new = run.slices(planned, &marks);
    ports.store.plan_slices(&new).await?;
    let messages: Vec<Work> = planned
        .iter()
        .filter(|slice| slice.key.stage == run.stage && !slice.done)
        .chain(&new)
        .map(message)
        .collect();
    if delay.is_zero() {
        return Ok(ports.queue.send_work(&messages).await?);
    }
    Ok(ports.queue.send_work_later(&messages, delay).await?)
}

/// Whether the messages of slices that were planned before are sent once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resend {
    /// No: their messages are on their way.
    No,
    /// Yes: whoever planned them may have been cut off before sending.
    Yes,
}

/// Moves a run on as far as it can go now.
///
/// # Errors
/// When a port fails; moving it on once more is harmless.
pub async fn advance(ports: &Ports, mut run: Run, resend: Resend) -> Result<(), Error> {
    while run.status == RunStatus::Running {
        let slices = ports.store.slices(&run.connection, &run.id).await?;
        let current: Vec<&Slice> = slices
            .iter()
            .filter(|slice| slice.key.stage == run.stage)
            .collect();
        // Whoever planned the stage may have been cut off before it was whole.
        if !run.is_planned(&slices) {
            return begin_stage(ports, &run, &slices, Duration::ZERO).await;
        }
        if !current.iter().all(|slice| slice.done) {
            return match resend {
                Resend::Yes => send(ports, current.into_iter().filter(|slice| !slice.done)).await,
                Resend::No => Ok(()),
            };
        }
        for object in run.stage.objects().iter().filter(|_| run.stage.compares()) {
            settle_cursor(ports, &run, *object, &current).await?;
        }
        let moved = match run.stage.next() {
            Some(next) => {
                ports
                    .store
                    .save_run(Run {
                        stage: next,
                        // An end that was cut off is none where the connection runs again.
                        ended_at: None,
                        ..run.clone()
                    })
                    .await
            }
            None => {
                let failure = failures(&slices);
                let status = if failure.is_some() {
                    RunStatus::Incomplete
                } else {
                    RunStatus::Complete
                };
                return end(ports, run, status, failure).await;
            }
        };
        run = match moved {
            Ok(run) => run,
            // Somebody else moved it on, and goes on from there.
            Err(port::Error::Conflict { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
    }
    Ok(())
}

/// Why slices could not complete, each reason once.
fn failures(slices: &[Slice]) -> Option<String> {
    let reasons: BTreeSet<&str> = slices
        .iter()
        .filter_map(|slice| slice.failure.as_deref())
        .collect();
    let reasons: Vec<&str> = reasons.into_iter().collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// Ends a run, and logs what a full sync certifies: first, because nobody comes back to a run that has ended. The run keeps the instant of which
/// the lines are, so that said once more they are the same lines.
///
/// # Errors
/// When a port fails; that somebody else ended it is no error.
pub async fn end(
    ports: &Ports,
    run: Run,
    status: RunStatus,
    reason: Option<String>,
) -> Result<(), Error> {
    let cut_short = run.kind == RunKind::Full && status == RunStatus::Incomplete;
    if cut_short {
        for parent in Object::ALL
            .iter()
            .filter(|object| !object.dependants().is_empty())
        {
            routine::owe(ports, &run.connection, *parent).await?;
        }
    }
    let now = run.ended_at.unwrap_or_else(|| ports.clock.now());
    let mut ended = Run {
        status,
        reason,
        ended_at: Some(now),
        ..run.clone()
    };
    if run.kind == RunKind::Full
        || (status == RunStatus::Incomplete && !is_known(ports, &ended).await?)
    {
        if run.ended_at.is_none() {
            let ending = Run {
                ended_at: Some(now),
                ..run
            };
            ended.version = match ports.store.save_run(ending).await {
                Ok(ending) => ending.version,
                Err(port::Error::Conflict { .. }) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
        }
        tell(ports, &ended, now).await?;
    }
    match ports.store.save_run(ended).await {
        Ok(_) | Err(port::Error::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Tells of a run that ends at `now`.
async fn tell(ports: &Ports, run: &Run, now: Timestamp) -> Result<(), Error> {
    let settings = ports.store.settings(&run.connection).await?;
    let note = |outcome, action: &str, subject: &str, reason| {
        let (connection, retention) = (run.connection.clone(), retention(&settings));
        let note = Entry::note(connection, now, outcome, action, subject, reason, retention);
        Entry {
            run: Some(run.id.clone()),
            ..note
        }
    };
    let mut lines = Vec::new();
    let certificates = match run.kind {
        RunKind::Full => certify(&ports.store.slices(&run.connection, &run.id).await?),
        RunKind::Routine => Vec::new(),
    };
    let verdicts: Vec<String> = certificates
        .iter()
        .map(|certificate| format!("{}s: {}", certificate.object, certificate.verdict.words()))
        .collect();
    let verdicts = verdicts.join("; ");
    lines.push(match run.status {
        RunStatus::Complete => note(
            Outcome::Done,
            "full sync complete",
            run.id.as_str(),
            verdicts,
        ),
        _ => {
            let reason = [run.reason.clone().unwrap_or_default(), verdicts];
            let reason = reason.iter().filter(|text| !text.is_empty());
            let reason = reason.map(String::as_str).collect::<Vec<_>>().join("; ");
            note(Outcome::Warned, "sync incomplete", run.id.as_str(), reason)
        }
    });
    for certificate in certificates
        .iter()
        .filter(|each| !each.unflagged.is_empty())
    {
        let object = certificate.object;
        let fields = certificate.unflagged.iter();
        let fields: Vec<String> = fields
            .map(|(field, number)| format!("{field} ({number})"))
            .collect();
        let reason = format!(
            "values changed although Zoho had not flagged their {object}s as changed, as formulas and roll-ups do; such changes come with \
             the nightly full sync only: {}",
            fields.join(", ")
        );
        let line = note(Outcome::Warned, "unflagged changes", object.name(), reason);
        lines.push(Entry {
            object: Some(object),
            ..line
        });
    }
    ports.store.write(&lines).await?;
    if run.kind == RunKind::Full && run.status == RunStatus::Incomplete {
        alarm::full_sync_incomplete(&run.connection, &run.id);
    }
    // What was parked for want of something may have it by now (W7).
    if run.kind == RunKind::Full {
        writeback::send_retry(ports, &run.connection).await;
    }
    Ok(())
}

/// Whether the routine sync before this one was incomplete for the same reason, which the log has already.
async fn is_known(ports: &Ports, run: &Run) -> Result<bool, Error> {
    let latest = ports.store.runs(&run.connection, None, 20).await?.items;
    let before = latest
        .into_iter()
        .find(|other| other.kind == RunKind::Routine && other.id < run.id);
    Ok(before.is_some_and(|before| {
        before.status == RunStatus::Incomplete && before.reason == run.reason
    }))
}

/// The message that a slice is worked on by.
#[must_use]
pub fn message(slice: &Slice) -> Work {
    Work::Slice {
        version: Version,
        connection: slice.connection.clone(),
        run: slice.run.clone(),
        slice: slice.key,
    }
}

async fn send(ports: &Ports, slices: impl Iterator<Item = &Slice>) -> Result<(), Error> {
    let messages: Vec<Work> = slices.map(message).collect();
    Ok(ports.queue.send_work(&messages).await?)
}

/// The quantiles that the last full sync which read an object completely left, per object.
async fn marks(
    ports: &Ports,
    connection: &ConnectionId,
) -> Result<BTreeMap<Object, Vec<ZohoId>>, Error> {
    let ended = latest(ports, connection)
        .await?
        .into_iter()
        .filter(|run| run.kind == RunKind::Full && run.status != RunStatus::Running);
    let mut marks: BTreeMap<Object, Vec<ZohoId>> = BTreeMap::new();
    for run in ended.take(NIGHTS) {
        let slices = ports.store.slices(connection, &run.id).await?;
        for object in Object::ALL {
            let compared: Vec<&Slice> = slices
                .iter()
                .filter(|slice| slice.key.object == object && slice.key.stage.compares())
                .collect();
            let complete = |slice: &&Slice| slice.done && slice.failure.is_none();
            if marks.contains_key(&object) || compared.is_empty() || !compared.iter().all(complete)
            {
                continue;
            }
            let mut own: Vec<ZohoId> = compared
                .iter()
                .flat_map(|slice| slice.marks.iter().copied())
                .collect();
            own.sort();
            marks.insert(object, own);
        }
        if Object::ALL.iter().all(|object| marks.contains_key(object)) {
            break;
        }
    }
    Ok(marks)
}

/// Lets the routine sync go on from where a full sync began to read the object, if that is further than it has come.
async fn settle_cursor(
    ports: &Ports,
    run: &Run,
    object: Object,
    current: &[&Slice],
) -> Result<(), Error> {
    let slices = current.iter().filter(|slice| slice.key.object == object);
    let read: Option<Vec<_>> = slices
        .map(|slice| Some((slice.server_time?, slice.plan?)).filter(|_| slice.failure.is_none()))
        .collect();
    // The settings may have changed in mid-run: then no plan has read everything.
    let read = read.filter(|read| read.windows(2).all(|two| two[0].1 == two[1].1));
    let Some((began, plan)) =
        read.and_then(|read| read.into_iter().min_by_key(|(began, _)| *began))
    else {
        return Ok(());
    };
    let stored = ports.store.cursor(&run.connection, object).await?;
    let target = Cursor {
        until: began.saturating_sub(LAG).unwrap_or(began),
        plan,
        owes: stored.is_some_and(|cursor| cursor.owes),
    };
    if stored.is_some_and(|cursor| cursor.plan == plan && cursor.until >= target.until) {
        return Ok(());
    }
    match ports
        .store
        .move_cursor(&run.connection, object, stored, target)
        .await
    {
        // A routine sync moved it meanwhile: it knows better.
        Ok(()) | Err(port::Error::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
