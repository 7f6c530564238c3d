//! The poller's tick and the full sync's planner: claim what is due, once, and start it.

use jiff::{SignedDuration, Timestamp};

use crate::connection::{Connection, ROUTINE_INTERVAL};
use crate::identifier::{ConnectionId, PlatformId};
use crate::message::{Version, Writeback};
use crate::object::Object;
use crate::port::{self, CrmError, Due, Ports};
use crate::run::RunKind;

use super::job::Deadline;
use super::{Error, runs};

/// How many due connections are claimed together.
const CLAIMS: usize = 100;

/// Edits younger than this are on their way by their own message.
const SWEEP_AFTER: SignedDuration = SignedDuration::from_mins(2);

/// How many pending records of a connection one tick takes up.
const SWEPT: usize = 1_000;

/// When a full sync that waits for credits, or for the end of a throttling, is due again.
const FULL_AGAIN: SignedDuration = SignedDuration::from_hours(1);

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
}

/// Starts the routine sync of every connection that is due, and sweeps its waiting edits. A tick that overlaps another does nothing twice: each
/// connection is claimed by a conditional write of its next due time.
///
/// # Errors
/// When the due connections can't be read.
pub async fn tick(ports: &Ports, due: Due, deadline: Deadline) -> Result<Ticked, Error> {
    let mut ticked = Ticked::default();
    let began = ports.clock.now();
    loop {
        let connections = ports.store.due(due, began, CLAIMS).await?;
        let mut claimed = 0;
        for connection in connections {
            let id = connection.id.clone();
            match claim(ports, connection, due, began).await {
                Ok(None) => {}
                Ok(Some(claim)) => {
                    claimed += 1;
                    match begin(ports, &claim, due).await {
                        Ok(swept) => {
                            ticked.started += 1;
                            ticked.swept += swept;
                        }
                        Err(error) => {
                            ticked.failed += 1;
                            tracing::warn!(connection.id = %id, error = &error as &dyn std::error::Error, "sync not started");
                        }
                    }
                }
                Err(error) => return Err(error),
            }
        }
        // Nothing claimed: all that is due is in other hands, or an index still shows what was claimed just now.
        if claimed == 0 || deadline.is_near(ports.clock.now()) {
            return Ok(ticked);
        }
    }
}

async fn begin(ports: &Ports, connection: &Connection, due: Due) -> Result<u64, Error> {
    let id = &connection.id;
    match due {
        // What waits for the end of the throttling waits in its queue; a tick adds nothing to it.
        Due::Routine if !connection.may_run(ports.clock.now()) => Ok(0),
        Due::Routine => {
            // What the platform changed goes out even where syncs wait for credits.
            let swept = sweep(ports, id).await?;
            match runs::start(ports, id, RunKind::Routine).await {
                Ok(_) | Err(Error::OverBudget { .. }) => Ok(swept),
                Err(error) => Err(error),
            }
        }
        Due::Full => match runs::start(ports, id, RunKind::Full).await {
            Ok(_) => Ok(0),
            Err(Error::OverBudget { .. } | Error::Crm(CrmError::Throttled { .. })) => {
                due_again(ports, id).await.map(|()| 0)
            }
            Err(error) => Err(error),
        },
    }
}

/// Lets a full sync that waits be due again in an hour.
async fn due_again(ports: &Ports, id: &ConnectionId) -> Result<(), Error> {
    let Some(connection) = ports.store.connection(id).await? else {
        return Ok(());
    };
    let later = Connection {
        full_due_at: ports.clock.now().saturating_add(FULL_AGAIN).ok(),
        ..connection
    };
    match ports.store.save_connection(later).await {
        // Whoever wrote it meanwhile leaves it due at night.
        Ok(_) | Err(port::Error::Conflict { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Claims a due connection by moving its due time; none: somebody else did.
async fn claim(
    ports: &Ports,
    connection: Connection,
    due: Due,
    now: Timestamp,
) -> Result<Option<Connection>, Error> {
    let claimed = match due {
        Due::Routine => Connection {
            routine_due_at: now.saturating_add(ROUTINE_INTERVAL).ok(),
            ..connection
        },
        Due::Full => {
            let hour = ports
                .store
                .settings(&connection.id)
                .await?
                .settings
                .night_hour;
            Connection {
                full_due_at: Some(connection.next_night(now, hour)),
                ..connection
            }
        }
    };
    match ports.store.save_connection(claimed).await {
        Ok(claimed) => Ok(Some(claimed)),
        Err(port::Error::Conflict { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
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
