//! Scheduled events: what the rules fire.

use serde::{Deserialize, Serialize};

use crate::flow::{self, Error};
use crate::port::{Due, Ports};

pub use lambda_runtime::LambdaEvent;

/// A scheduled event; the schedule is all that it says.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Event {}

/// What a tick did, for whoever invoked it by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ticked {
    /// Connections whose sync was started.
    pub started: u64,
    /// Connections that could not be started; the function's log says why.
    pub failed: u64,
    /// Records with waiting edits for which writeback was told to look.
    pub swept: u64,
    /// Connections that were due and for which no time was left.
    pub left: u64,
}

/// Starts what is due.
///
/// # Errors
/// When a shard of the due connections can't be read.
pub async fn handle(ports: &Ports, due: Due, event: LambdaEvent<Event>) -> Result<Ticked, Error> {
    let deadline = super::batch::deadline(&event.context);
    let flow::poll::Ticked {
        started,
        failed,
        swept,
        left,
    } = flow::poll::tick(ports, due, deadline).await?;
    tracing::info!(started, failed, swept, left, "ticked");
    Ok(Ticked {
        started,
        failed,
        swept,
        left,
    })
}
