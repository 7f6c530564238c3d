//! Purging a disconnected connection: everything of it is deleted, step by step (C6).
//!
//! A function that began before the purge was asked for may still write, so nothing is deleted before the longest invocation is over. Whatever
//! begins after that finds the connection gone and writes nothing (P7).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::connection::{Connection, Deleted, Purge, Status};
use crate::identifier::ConnectionId;
use crate::message::{Version, Work};
use crate::port::{self, Ports};

use super::Error;
use super::job::Deadline;

/// How long no Lambda function can run on: AWS ends each after fifteen minutes, ours long before.
pub const QUIET: SignedDuration = SignedDuration::from_mins(15);

/// How many items one step deletes.
const STEP: usize = 1_000;

/// When to look again after somebody else wrote the connection.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Begins the purge of a disconnected connection whose grant was given back. Asked again, it only sends for the worker again.
///
/// # Errors
/// [`Error::Invalid`] when the connection is not disconnected, or when a port fails: asking again is harmless.
pub async fn ask(ports: &Ports, connection: Connection) -> Result<Connection, Error> {
    match connection.status {
        Status::Disconnected | Status::Purging => {}
        Status::Purged => return Ok(connection),
        Status::New | Status::Paused | Status::Enabled | Status::NeedsReconnect => {
            return Err(Error::Invalid(format!(
                "connection {} is {}: disconnect it first",
                connection.id,
                connection.status.words()
            )));
        }
    }
    let now = ports.clock.now();
    let purge = connection.purge.unwrap_or(Purge {
        asked_at: now,
        completed_at: None,
        deleted: Deleted::default(),
    });
    // Sent first: a message that finds no purge does nothing, but a purge without one would wait for ever.
    send(ports, &connection.id, left(&purge, now)).await?;
    if connection.status == Status::Purging {
        return Ok(connection);
    }
    let purging = Connection {
        status: Status::Purging,
        reason: Some("a person asked for its data to be deleted".to_owned()),
        routine_due_at: None,
        full_due_at: None,
        purge: Some(purge),
        ..connection
    };
    let purging = ports.store.save_connection(purging).await?;
    tracing::info!(connection.id = %purging.id, "purge asked for");
    Ok(purging)
}

/// Goes on with a purge until nothing is left, or hands it on.
///
/// # Errors
/// When a port fails; the message's redelivery goes on from there.
pub async fn work(
    ports: &Ports,
    mut connection: Connection,
    deadline: Deadline,
) -> Result<(), Error> {
    let id = connection.id.clone();
    let (Status::Purging, Some(mut purge)) = (connection.status, connection.purge) else {
        return Ok(());
    };
    let wait = left(&purge, ports.clock.now());
    if !wait.is_zero() {
        return send(ports, &id, wait).await;
    }
    // Nobody can have stored them again since the purge was asked for and all was quiet.
    ports.vault.forget_tokens(&id).await?;
    loop {
        let deleted = ports.store.erase(&id, STEP).await?;
        let complete = deleted.total() == 0;
        purge.deleted = purge.deleted.and(deleted);
        let next = match complete {
            true => tombstone(&connection, purge, ports.clock.now()),
            false => Connection {
                purge: Some(purge),
                ..connection
            },
        };
        connection = match ports.store.save_connection(next).await {
            Ok(saved) => saved,
            // Another worker with the same message goes on as well; whoever looks later finds out how far they came.
            Err(port::Error::Conflict { .. }) => return send(ports, &id, LOOK_AGAIN).await,
            Err(error) => return Err(error.into()),
        };
        if complete {
            let items = purge.deleted.total();
            tracing::info!(connection.id = %id, items, "purge complete");
            return Ok(());
        }
        if deadline.is_near(ports.clock.now()) {
            return send(ports, &id, Duration::ZERO).await;
        }
    }
}

/// What is left of a connection: its id, and that it was purged. Not even its name.
fn tombstone(connection: &Connection, purge: Purge, now: Timestamp) -> Connection {
    let Connection {
        id,
        name: _,
        status: _,
        reason: _,
        organisation: _,
        created_at,
        routine_due_at: _,
        full_due_at: _,
        paused_until: _,
        purge: _,
        version,
    } = connection;
    Connection {
        status: Status::Purged,
        purge: Some(Purge {
            completed_at: Some(now),
            ..purge
        }),
        version: *version,
        ..Connection::new(id.clone(), id.to_string(), *created_at)
    }
}

/// How long the functions that began before may still run; no longer than a queue keeps a message back, whatever another function's clock shows.
fn left(purge: &Purge, now: Timestamp) -> Duration {
    let quiet_at = purge
        .asked_at
        .saturating_add(QUIET)
        .unwrap_or(Timestamp::MAX);
    let left = quiet_at.duration_since(now).min(QUIET);
    Duration::try_from(left).unwrap_or_default()
}

async fn send(ports: &Ports, connection: &ConnectionId, after: Duration) -> Result<(), Error> {
    let message = [Work::Purge {
        version: Version,
        connection: connection.clone(),
    }];
    let sent = match after.is_zero() {
        true => ports.queue.send_work(&message).await,
        false => ports.queue.send_work_later(&message, after).await,
    };
    Ok(sent?)
}
