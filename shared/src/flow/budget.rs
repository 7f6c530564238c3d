//! Keeping below the ceiling of credits, which leaves the customer the rest of the allowance (C7).

use jiff::{SignedDuration, Timestamp};

use crate::connection::Connection;
use crate::credit::{Bucket, Budget, Spender};
use crate::journal::{Entry, Outcome};
use crate::port::{Ports, SettingsVersion};
use crate::run::{RunKind, RunStatus};

use super::Error;
use super::job::retention;

/// How often routine syncs come near the ceiling.
const SLOW_INTERVAL: SignedDuration = SignedDuration::from_mins(59);

/// How many of the latest runs are looked through for the last routine sync.
const LATEST_RUNS: usize = 20;

/// What a connection has spent, against what it may; none: its organisation is unknown.
///
/// # Errors
/// When the store fails.
pub async fn budget(
    ports: &Ports,
    connection: &Connection,
    settings: &SettingsVersion,
) -> Result<Option<Budget>, Error> {
    let Some(organisation) = &connection.organisation else {
        return Ok(None);
    };
    let since = Bucket::day_before(ports.clock.now());
    let spent = ports.store.credits_spent(&connection.id, since).await?;
    let share = settings.settings.credit_share;
    Ok(Some(Budget::new(organisation.daily_credits, share, spent)))
}

/// Lets a spender go on only below its part of the ceiling, and says so in the log once an hour.
///
/// # Errors
/// [`Error::OverBudget`], or when the store fails.
pub async fn hold_back(
    ports: &Ports,
    connection: &Connection,
    settings: &SettingsVersion,
    spender: Spender,
) -> Result<(), Error> {
    match budget(ports, connection, settings).await? {
        Some(budget) if !budget.allows(spender) => {
            Err(over(ports, connection, settings, spender, budget).await?)
        }
        _ => Ok(()),
    }
}

/// The same for the start of a run; near the ceiling a routine sync also waits for its hour.
///
/// # Errors
/// As [`hold_back`].
pub async fn hold_back_run(
    ports: &Ports,
    connection: &Connection,
    kind: RunKind,
) -> Result<(), Error> {
    let settings = ports.store.settings(&connection.id).await?;
    let spender = spender(kind);
    let Some(budget) = budget(ports, connection, &settings).await? else {
        return Ok(());
    };
    let slow = kind == RunKind::Routine && budget.slows_routine();
    if !budget.allows(spender) || (slow && synced_lately(ports, connection).await?) {
        return Err(over(ports, connection, &settings, spender, budget).await?);
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

async fn over(
    ports: &Ports,
    connection: &Connection,
    settings: &SettingsVersion,
    spender: Spender,
    budget: Budget,
) -> Result<Error, Error> {
    let what = match spender {
        Spender::FullSync => "full syncs",
        Spender::RoutineSync => "routine syncs",
        Spender::Writeback => "edits",
    };
    let Budget { spent, ceiling } = budget;
    let reason = format!(
        "{spent} of {ceiling} credits are spent in 24 hours: {what} wait until some come back; credit_share in the settings sets the part of \
         the organisation's allowance that may be spent"
    );
    // Lines of one hour and kind are one line.
    let hour = Timestamp::from_second(Bucket::of(ports.clock.now()).hour() * 3_600);
    let line = Entry::note(
        connection.id.clone(),
        hour.unwrap_or_else(|_| ports.clock.now()),
        Outcome::Warned,
        "credits spent",
        what,
        reason,
        retention(settings),
    );
    ports.store.write(&[line]).await?;
    Ok(Error::OverBudget {
        connection: connection.id.clone(),
        what,
        spent,
        ceiling,
    })
}
