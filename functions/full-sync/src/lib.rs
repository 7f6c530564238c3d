//! Plans each connection's nightly full sync.

use lambda_runtime::Error;
use tandem::edge::tick::{self, Event, LambdaEvent, Ticked};
use tandem::port::{Due, Ports};

/// Starts the full sync of every connection whose own night has come.
///
/// # Errors
/// When the due connections can't be read; the next tick finds them again.
pub async fn handle(ports: &Ports, event: LambdaEvent<Event>) -> Result<Ticked, Error> {
    Ok(tick::handle(ports, Due::Full, event).await?)
}
