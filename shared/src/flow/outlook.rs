//! What a connection is going to spend in a day: the measurements are looked up, and the forecast made of them (C7).

use crate::connection::Connection;
use crate::credit::{self, Hour};
use crate::forecast::{Forecast, Measured, forecast};
use crate::identifier::ConnectionId;
use crate::port::{self, Ports};
use crate::run::{Counter, RunKind, RunStatus};

/// How many of the latest runs are looked through for the last full sync: a day's routine syncs and some.
const LATEST_RUNS: usize = 200;

/// The forecast of a connection that may spend `share` percent of its organisation's credits and spent what these hours of the rolling day say;
/// none: its organisation is unknown.
///
/// # Errors
/// When the store fails.
pub async fn outlook(
    ports: &Ports,
    connection: &Connection,
    share: u8,
    hours: &[Hour],
) -> Result<Option<Forecast>, port::Error> {
    let Some(organisation) = &connection.organisation else {
        return Ok(None);
    };
    let measured = Measured {
        hours,
        full_sync: last_full_sync(ports, &connection.id).await?,
        full_due_at: connection.full_due_at,
    };
    let ceiling = credit::ceiling(organisation.daily_credits, share);
    Ok(Some(forecast(&measured, ceiling, ports.clock.now())))
}

/// What the last full sync that completed cost. One that did not says nothing about a whole one.
async fn last_full_sync(
    ports: &Ports,
    connection: &ConnectionId,
) -> Result<Option<u64>, port::Error> {
    let latest = ports.store.runs(connection, None, LATEST_RUNS).await?.items;
    let complete = latest
        .into_iter()
        .find(|run| run.kind == RunKind::Full && run.status == RunStatus::Complete);
    let Some(run) = complete else {
        return Ok(None);
    };
    let slices = ports.store.slices(connection, &run.id).await?;
    let cost = slices
        .iter()
        .map(|slice| slice.counters.get(Counter::ZohoCredits));
    Ok(Some(cost.sum()))
}
