//! Carries the platform's edits into Zoho.

use std::convert::Infallible;

use tandem::edge::batch::{self, LambdaEvent, SqsBatchResponse, SqsEvent};
use tandem::port::Ports;

/// Works on a batch of messages, grouped by connection and object.
///
/// # Errors
/// Never as a whole: the answer names the messages that are to be delivered again.
pub async fn handle(
    ports: &Ports,
    event: LambdaEvent<SqsEvent>,
) -> Result<SqsBatchResponse, Infallible> {
    Ok(batch::writeback(ports, event).await)
}
