//! Claims the connections that are due and sends their routine messages.

use lambda_runtime::Error;
use tandem::edge::tick::{self, Event, LambdaEvent, Ticked};
use tandem::port::{Due, Ports};

/// Starts the routine sync of every connection that is due, and tells writeback to look at edits that wait too long.
///
/// # Errors
/// When the due connections can't be read; the next tick finds them again.
pub async fn handle(ports: &Ports, event: LambdaEvent<Event>) -> Result<Ticked, Error> {
    Ok(tick::handle(ports, Due::Routine, event).await?)
}
