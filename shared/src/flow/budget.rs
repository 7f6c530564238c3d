//! Keeping below the ceiling of credits, which leaves the customer the rest of the allowance (C7).

use jiff::SignedDuration;

use crate::connection::{Connection, Organisation};
use crate::credit::{Bucket, Budget, Spender};
use crate::identifier::ConnectionId;
use crate::journal::{Entry, Outcome, Retention};
use crate::port::{self, Ports};
use crate::run::{RunKind, RunStatus};

use super::Error;
use super::job::retention;

/// How often routine syncs come near the ceiling.
const SLOW_INTERVAL: SignedDuration = SignedDuration::from_mins(59);

/// How many of the latest runs are looked through for the last routine sync.
const LATEST_RUNS: usize = 20;

/// What a connection has spent of its organisation's credits, against what it may.
///
/// # Errors
/// When the store fails.
pub async fn budget(
    ports: &Ports,
    connection: &ConnectionId,
    organisation: &Organisation,
    share: u8,
) -> Result<Budget, port::Error> {
    let now = ports.clock.now();
    let since = Bucket::day_before(now);
    let hours = ports.store.credits_spent(connection, since).await?;
    Ok(Budget::new(organisation.daily_credits, share, &hours, now))
}

/// Lets a run start only below its part of the ceiling; near it a routine sync also waits for its hour. The session looks again at each call.
///
/// # Errors
/// [`Error::OverBudget`], or when the store fails.
pub async fn hold_back_run(
    ports: &Ports,
    connection: &Connection,
    kind: RunKind,
) -> Result<(), Error> {
    let Some(organisation) = &connection.organisation else {
        return Ok(());
    };
    let settings = ports.store.settings(&connection.id).await?;
    let spender = spender(kind);
    let share = settings.settings.credit_share;
    let budget = budget(ports, &connection.id, organisation, share).await?;
    let slow = kind == RunKind::Routine && budget.slows_routine();
    if !budget.allows(spender) || (slow && synced_lately(ports, connection).await?) {
        let retention = retention(&settings);
        return Err(over(ports, &connection.id, retention, spender, budget).await?);
    }
    Ok(())
}

/// Whose credits a run spends.
#[must_use]
pub const fn spender(kind: RunKind) -> Spender {
    match kind {
        RunKind::Routine => Spender::RoutineSync,
        RunKind::Full => Spender::FullSync,
    }
}

async fn synced_lately(ports: &Ports, connection: &Connection) -> Result<bool, Error> {
    let latest = ports.store.runs(&connection.id, None, LATEST_RUNS).await?;
    let now = ports.clock.now();
    Ok(latest.items.iter().any(|run| {
        run.kind == RunKind::Routine
            && run.status != RunStatus::Incomplete
            && now.duration_since(run.started_at) < SLOW_INTERVAL
    }))
}

/// Says in the log, once an hour, that a spender waits.
pub(super) async fn over(
    ports: &Ports,
    connection: &ConnectionId,
    retention: Retention,
    spender: Spender,
    budget: Budget,
) -> Result<Error, port::Error> {
    let (what, reason) = (spender.words(), budget.reason(spender));
    let told = format!(
        "{reason}: {what} wait until some come back; credit_share in the settings sets the part of the organisation's allowance that may be \
         spent"
    );
    // Lines of one hour and kind are one line.
    let hour = Bucket::of(ports.clock.now()).begins_at();
    let line = Entry::note(
        connection.clone(),
        hour,
        Outcome::Warned,
        "credits spent",
        what,
        told,
        retention,
    );
    ports.store.write(&[line]).await?;
    Ok(Error::OverBudget {
        connection: connection.clone(),
        what,
        reason,
    })
}
