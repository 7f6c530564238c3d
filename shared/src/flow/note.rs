//! Lines of the log about a connection itself.

use crate::identifier::ConnectionId;
use crate::journal::{Entry, Outcome, Retention};
use crate::port::{self, Ports};

/// Writes a line about the connection, kept as its settings say; `subject` tells lines of one instant apart.
///
/// # Errors
/// When the settings can't be read or the line can't be written.
pub async fn note(
    ports: &Ports,
    connection: &ConnectionId,
    outcome: Outcome,
    action: &str,
    subject: &str,
    reason: String,
) -> Result<(), port::Error> {
    let log = ports.store.settings(connection).await?.settings.log;
    let retention = Retention {
        days: log.keep_days,
        values: log.values,
    };
    let entry = Entry::note(
        connection.clone(),
        ports.clock.now(),
        outcome,
        action,
        subject,
        reason,
        retention,
    );
    ports.store.write(&[entry]).await
}
