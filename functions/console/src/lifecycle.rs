//! What an operator does to a connection as a whole: rename, enable, pause, disconnect, purge (C6).

use jiff::Timestamp;
use tandem::connection::{Connection, Status};
use tandem::flow;
use tandem::identifier::ConnectionId;
use tandem::journal::Outcome;
use tandem::port::{self, Ports};
use tandem::run::{RunKind, RunStatus};

use crate::problem::{Kind, Problem};

/// How often a change is decided anew when somebody else, such as the poller, wrote the connection meanwhile.
const ATTEMPTS: usize = 5;

/// How many pages of runs are looked through for a complete full sync: a week of routine syncs lies between two at most, and a full sync
/// too many harms nobody.
const PAGES_OF_RUNS: usize = 4;

/// The connection, however it stands.
///
/// # Errors
/// When there is none of that id, or the store does not answer.
pub(crate) async fn look(ports: &Ports, id: &ConnectionId) -> Result<Connection, Problem> {
    ports
        .store
        .connection(id)
        .await?
        .ok_or_else(|| Problem::not_found(format!("connection {id}")))
}

/// The connection, whose data can be read and written: it is neither purged nor about to be.
///
/// # Errors
/// When it is gone, or see [`look`].
pub(crate) async fn find(ports: &Ports, id: &ConnectionId) -> Result<Connection, Problem> {
    let found = look(ports, id).await?;
    if found.status.is_gone() {
        return Err(conflict(
            &found,
            "nothing of it can be read or changed any more; make a new connection",
        ));
    }
    Ok(found)
}

/// Gives a connection another name.
///
/// # Errors
/// See [`find`].
pub(crate) async fn rename(
    ports: &Ports,
    id: &ConnectionId,
    name: &str,
) -> Result<Connection, Problem> {
    change(ports, id, |connection| {
        connection.name = name.to_owned();
        Ok(())
    })
    .await
}

/// Switches a granted connection on. Its first full sync begins at once; later ones wait for their night.
///
/// # Errors
/// When access is not granted, or see [`find`].
pub(crate) async fn enable(ports: &Ports, id: &ConnectionId) -> Result<Connection, Problem> {
    let found = find(ports, id).await?;
    if found.status == Status::Enabled {
        return Ok(found);
    }
    let now = ports.clock.now();
    let night = ports.store.settings(id).await?.settings.night_hour;
    let first = !has_full_sync(ports, id).await?;
    let connection = change(ports, id, |connection| {
        enabled(connection, now, night, first)
    })
    .await?;
    note(ports, id, "enabled", "a person switched the connection on").await;
    if !first {
        return Ok(connection);
    }
    match flow::runs::start(ports, id, RunKind::Full).await {
        // Started: the next one waits for the night.
        Ok(_) => {
            change(ports, id, |connection| {
                if connection.status == Status::Enabled && connection.full_due_at == Some(now) {
                    connection.full_due_at = Some(connection.next_night(now, night));
                }
                Ok(())
            })
            .await
        }
        // The full sync is due now, so the hourly rule starts it.
        Err(error) => {
            tracing::warn!(connection.id = %id, error = %error, "the first full sync did not start at once");
            Ok(connection)
        }
    }
}

fn enabled(
    connection: &mut Connection,
    now: Timestamp,
    night: i8,
    first: bool,
) -> Result<(), Problem> {
    match connection.status {
        Status::Enabled => return Ok(()),
        Status::Paused if connection.organisation.is_some() => {}
        Status::New | Status::Paused | Status::NeedsReconnect => {
            return Err(conflict(
                connection,
                "let the customer open its connect_url first",
            ));
        }
        Status::Disconnected | Status::Purging | Status::Purged => {
            return Err(conflict(connection, "make a new connection"));
        }
    }
    connection.status = Status::Enabled;
    connection.reason = None;
    connection.routine_due_at = Some(now);
    connection.full_due_at = Some(match first {
        true => now,
        false => connection.next_night(now, night),
    });
    Ok(())
}

/// Switches a connection off for a while. What is under way ends at its next step; edits are accepted and wait. One that waits for the
/// customer to reconnect stays off after that.
///
/// # Errors
/// When there is nothing to switch off, or see [`find`].
pub(crate) async fn pause(ports: &Ports, id: &ConnectionId) -> Result<Connection, Problem> {
    let before = find(ports, id).await?;
    let connection = change(ports, id, paused).await?;
    if before != connection {
        note(ports, id, "paused", "a person switched the connection off").await;
    }
    Ok(connection)
}

fn paused(connection: &mut Connection) -> Result<(), Problem> {
    match connection.status {
        Status::Paused => return Ok(()),
        Status::Enabled => connection.status = Status::Paused,
        // Reconnecting switches it on again only while it has its due dates.
        Status::NeedsReconnect => {}
        Status::New | Status::Disconnected | Status::Purging | Status::Purged => {
            return Err(conflict(connection, "there is nothing to pause"));
        }
    }
    connection.routine_due_at = None;
    connection.full_due_at = None;
    Ok(())
}

/// Ends a connection: stops its jobs, revokes its grant at Zoho, forgets its tokens. Its data stays. Asked again, it does what is left to do.
///
/// # Errors
/// When Zoho did not revoke the grant: the connection is stopped all the same, and asking again tries again. Or see [`find`].
pub(crate) async fn disconnect(ports: &Ports, id: &ConnectionId) -> Result<Connection, Problem> {
    let before = find(ports, id).await?.status;
    let connection = change(ports, id, |connection| {
        if connection.status != Status::Disconnected {
            connection.status = Status::Disconnected;
            connection.reason = Some("a person disconnected it".to_owned());
            connection.routine_due_at = None;
            connection.full_due_at = None;
        }
        Ok(())
    })
    .await?;
    if before != Status::Disconnected {
        note(
            ports,
            id,
            "disconnected",
            "a person disconnected the organisation",
        )
        .await;
    }
    give_back(ports, &connection).await?;
    Ok(connection)
}

async fn give_back(ports: &Ports, connection: &Connection) -> Result<(), Problem> {
    flow::connect::give_back(ports, connection)
        .await
        .map_err(|error| {
            let problem = Problem::from(error);
            let detail = format!(
                "the connection is stopped, but its grant is not revoked yet: disconnect it again to try again ({})",
                problem.detail
            );
            Problem { detail, ..problem }
        })
}

/// Begins to delete everything of a disconnected connection. Asked again, it says how far that is.
///
/// # Errors
/// When it is not disconnected, when its grant is not revoked yet and Zoho does not do it now, or see [`look`].
pub(crate) async fn purge(ports: &Ports, id: &ConnectionId) -> Result<Connection, Problem> {
    let found = look(ports, id).await?;
    if !found.status.is_ended() {
        return Err(conflict(
            &found,
            "disconnect it first, which stops it and revokes its grant",
        ));
    }
    if found.status == Status::Disconnected {
        give_back(ports, &found).await?;
    }
    Ok(flow::purge::ask(ports, found).await?)
}

async fn has_full_sync(ports: &Ports, id: &ConnectionId) -> Result<bool, Problem> {
    let mut next = None;
    for _ in 0..PAGES_OF_RUNS {
        let page = ports.store.runs(id, next, crate::paging::MAX_LIMIT).await?;
        let complete =
            |run: &tandem::run::Run| run.kind == RunKind::Full && run.status == RunStatus::Complete;
        if page.items.iter().any(complete) {
            return Ok(true);
        }
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    Ok(false)
}

async fn change(
    ports: &Ports,
    id: &ConnectionId,
    decide: impl Fn(&mut Connection) -> Result<(), Problem>,
) -> Result<Connection, Problem> {
    let mut attempt = 1;
    loop {
        let found = find(ports, id).await?;
        let mut wanted = found.clone();
        decide(&mut wanted)?;
        if wanted == found {
            return Ok(found);
        }
        match ports.store.save_connection(wanted).await {
            Err(port::Error::Conflict { .. }) if attempt < ATTEMPTS => attempt += 1,
            saved => return Ok(saved?),
        }
    }
}

fn conflict(connection: &Connection, remedy: &str) -> Problem {
    let words = connection.status.words();
    Problem::new(
        Kind::Conflict,
        format!("connection {} is {words}: {remedy}", connection.id),
    )
}

/// Puts what a person did into the connection's log. What was done stays done when the line can't be written.
pub(crate) async fn note(ports: &Ports, id: &ConnectionId, action: &str, reason: &str) {
    let noted = flow::note::note(
        ports,
        id,
        Outcome::Done,
        action,
        "console",
        reason.to_owned(),
    )
    .await;
    if let Err(error) = noted {
        tracing::warn!(connection.id = %id, error = %error, "a line of the log was not written");
    }
}
