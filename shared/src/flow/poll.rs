//! The poller's tick and the full sync's planner: claim what is due, once, and start it.

use std::error::Error as StdError;
use std::future::ready;

use futures::future::{join, join_all};
use futures::{StreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};

use crate::connection::{Connection, Status};
use crate::identifier::{ConnectionId, PlatformId};
use crate::message::{Version, Writeback};
use crate::object::Object;
use crate::port::{self, CrmError, Due, Ports};
use crate::spread::{Shard, next_routine, offset, quarter_end, routine_begins};

use super::job::Deadline;
use super::{Error, runs};

/// How many due connections of a shard one tick takes up; the next tick goes on.
const READ: usize = 2_000;

/// How many connections are started side by side. All connections lie in one partition of their table, which takes a thousand writes a second:
/// at seven calls one after the other for each connection, of some milliseconds each, the claims stay below it.
const SIDE_BY_SIDE: usize = 32;

/// How often a connection is read again that somebody else wrote meanwhile.
const CLAIM_TRIES: usize = 3;

/// Edits younger than this are on their way by their own message.
pub(super) const SWEEP_AFTER: SignedDuration = SignedDuration::from_mins(2);

/// How many pending records of a connection one tick takes up.
const SWEPT: usize = 1_000;

/// When a full sync that was claimed is due again unless it was started: before the planner's next tick.
const FULL_AGAIN: SignedDuration = SignedDuration::from_mins(55);

/// How many records one message to writeback names.
const IDS_PER_MESSAGE: usize = 100;

/// What a tick did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ticked {
    /// Connections whose sync was started.
    pub started: u64,
    /// Connections that could not be started; the log of the function says why.
    pub failed: u64,
    /// Records with waiting edits for which writeback was told to look.
    pub swept: u64,
    /// Connections that were due and for which no time was left; the next tick goes on with them.
    pub left: u64,
}

/// Starts the sync of every connection that is due, the longest due first, and sweeps its waiting edits. A tick that overlaps another does
/// nothing twice: each connection is claimed by a conditional write of its next due time. What fails for one stops no other.
///
/// # Errors
/// When a shard of the due connections can't be read; the others are started all the same.
pub async fn tick(ports: &Ports, due: Due, deadline: Deadline) -> Result<Ticked, Error> {
    let until = until(due, ports.clock.now());
    let shards = Shard::all().map(|shard| ports.store.due(due, shard, until, READ));
    let mut ticked = Ticked::default();
    let mut found = Vec::new();
    let mut unread = None;
    for shown in join_all(shards).await {
        match shown {
            Ok(shown) => found.extend(shown.into_iter().filter_map(|read| {
                read.map_err(|error| {
                    ticked.failed += 1;
                    warn("a due connection can't be read", None, &error);
                })
                .ok()
            })),
            Err(error) => unread = Some(error),
        }
    }
    found.sort_by_key(|connection| due.of(connection));
    ticked.left = found.len() as u64;
    let begun = stream::iter(found)
        .take_while(|_| ready(!deadline.is_near(ports.clock.now())))
        .map(|connection| take_up(ports, connection, due, until))
        .buffer_unordered(SIDE_BY_SIDE);
    let mut begun = std::pin::pin!(begun);
    while let Some(one) = begun.next().await {
        ticked.left -= 1;
        ticked.started += u64::from(one.started);
        ticked.failed += u64::from(one.failed);
        ticked.swept += one.swept;
    }
    match unread {
        Some(error) => Err(error.into()),
        None => Ok(ticked),
    }
}

/// Until when what is due is started now: a routine sync up to the end of this quarter of an hour, in which it has its own moment.
fn until(due: Due, now: Timestamp) -> Timestamp {
    let last = quarter_end(now).saturating_sub(SignedDuration::from_secs(1));
    match due {
        Due::Routine => last.unwrap_or(now).max(now),
        Due::Full => now,
    }
}

/// What became of one connection.
#[derive(Default)]
struct Begun {
    started: bool,
    failed: bool,
    swept: u64,
}

impl Begun {
    fn of(id: &ConnectionId, started: Result<(), Error>, swept: Result<u64, Error>) -> Self {
        let waits = matches!(
            started,
            Err(Error::OverBudget { .. } | Error::Crm(CrmError::Throttled { .. }))
        );
        let started = started.map_err(|error| warn("sync not started", Some(id), &error));
        let swept = swept.map_err(|error| warn("waiting edits not looked at", Some(id), &error));
        Self {
            started: started.is_ok(),
            failed: (started.is_err() && !waits) || swept.is_err(),
            swept: swept.unwrap_or_default(),
        }
    }
}

fn warn(what: &str, id: Option<&ConnectionId>, error: &(dyn StdError + 'static)) {
    tracing::warn!(
        connection.id = id.map(ConnectionId::as_str),
        error,
        "{what}"
    );
}

async fn take_up(ports: &Ports, connection: Connection, due: Due, until: Timestamp) -> Begun {
    let id = connection.id.clone();
    let (claimed, at) = match claim(ports, connection, due, until).await {
        Ok(Some(claimed)) => claimed,
        Ok(None) => return Begun::default(),
        Err(error) => return Begun::of(&id, Err(error.into()), Ok(0)),
    };
    match due {
        // What waits for the end of the throttling waits in its queue; a tick adds nothing to it.
        Due::Routine if !claimed.may_run(ports.clock.now()) => Begun::default(),
        Due::Routine => {
            let now = ports.clock.now();
            let delay = routine_begins(&id, at, now).duration_since(now);
            let started = runs::start_routine(ports, &claimed, delay.unsigned_abs());
            // What the platform changed goes out even where syncs wait for credits.
            let (started, swept) = join(started, sweep(ports, &id)).await;
            Begun::of(&id, started, swept)
        }
        Due::Full => Begun::of(&id, begin_night(ports, claimed, at).await, Ok(0)),
    }
}

/// Claims a due connection by moving its due time, and says when it was due; none: somebody else did.
///
/// A routine sync is due again in the next quarter of an hour, whatever becomes of this one. A full sync is due again before the planner's next
/// tick, until it is known to have started.
async fn claim(
    ports: &Ports,
    mut connection: Connection,
    due: Due,
    until: Timestamp,
) -> Result<Option<(Connection, Timestamp)>, port::Error> {
    let id = connection.id.clone();
    for _ in 0..CLAIM_TRIES {
        let enabled = connection.status == Status::Enabled;
        let Some(at) = due.of(&connection).filter(|at| enabled && *at <= until) else {
            return Ok(None);
        };
        let now = ports.clock.now();
        let claimed = match due {
            Due::Routine => Connection {
                routine_due_at: Some(next_routine(&id, until)),
                ..connection
            },
            Due::Full => Connection {
                full_due_at: now.checked_add(FULL_AGAIN).ok(),
                ..connection
            },
        };
        match ports.store.save_connection(claimed).await {
            Ok(claimed) => return Ok(Some((claimed, at))),
            // An index that lags, somebody who claimed it, or who wrote something else.
            Err(port::Error::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
        let Some(stored) = ports.store.connection(&id).await? else {
            return Ok(None);
        };
        connection = stored;
    }
    Ok(None)
}

/// Starts the full sync of the night in which a connection was due, and makes it due in the next one.
async fn begin_night(ports: &Ports, claimed: Connection, at: Timestamp) -> Result<(), Error> {
    let id = claimed.id.clone();
    let hour = ports.store.settings(&id).await?.settings.night_hour;
    let night = claimed.last_night(at, hour);
    // All who share a time zone and an hour are due together.
    let delay = offset(&id).unsigned_abs();
    runs::start_night(ports, &claimed, night, delay).await?;
    let next = claimed.next_night(ports.clock.now(), hour);
    let again = claimed.full_due_at;
    let mut connection = claimed;
    for _ in 0..CLAIM_TRIES {
        // Whoever wrote another due time meanwhile knows better.
        if connection.full_due_at != again {
            return Ok(());
        }
        let settled = Connection {
            full_due_at: Some(next),
            ..connection
        };
        match ports.store.save_connection(settled).await {
            Err(port::Error::Conflict { .. }) => {}
            saved => return saved.map(drop).map_err(Error::from),
        }
        let Some(stored) = ports.store.connection(&id).await? else {
            return Ok(());
        };
        connection = stored;
    }
    // It is due again before the next tick, which finds it started.
    Ok(())
}

/// Tells writeback to look at edits that wait longer than their message should take (P2).
async fn sweep(ports: &Ports, id: &ConnectionId) -> Result<u64, Error> {
    let before = ports
        .clock
        .now()
        .saturating_sub(SWEEP_AFTER)
        .unwrap_or(Timestamp::MIN);
    let pending = ports.store.pending(id, before, SWEPT).await?;
    let messages = push_messages(id, &pending);
    ports.queue.send_writeback(&messages).await?;
    Ok(pending.len() as u64)
}

/// Messages that tell writeback to look at records, grouped by object.
#[must_use]
pub fn push_messages(
    connection: &ConnectionId,
    records: &[(Object, PlatformId)],
) -> Vec<Writeback> {
    Object::ALL
        .into_iter()
        .flat_map(|object| {
            let ids: Vec<PlatformId> = records
                .iter()
                .filter(|(of, _)| *of == object)
                .map(|(_, id)| id.clone())
                .collect();
            ids.chunks(IDS_PER_MESSAGE)
                .map(|ids| Writeback::Push {
                    version: Version,
                    connection: connection.clone(),
                    object,
                    ids: ids.to_vec(),
                })
                .collect::<Vec<_>>()
        })
        .collect()
}
