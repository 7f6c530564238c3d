//! Starting runs and moving them from stage to stage.

use crate::identifier::ConnectionId;
use crate::port::Ports;
use crate::run::{Run, RunKind};

use super::Error;

/// Starts a run of an enabled connection now: stores it, plans its first stage and sends its messages.
///
/// # Errors
/// When the connection does not exist or may not run, or a port fails.
pub async fn start(ports: &Ports, connection: &ConnectionId, kind: RunKind) -> Result<Run, Error> {
    let _ = (ports, kind);
    Err(Error::NotFound {
        what: format!("connection {connection}"),
    })
}
