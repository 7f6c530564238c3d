//! Syncs a connection's deals from Zoho: slices of full syncs, and what changed since the last routine sync.

use std::convert::Infallible;

use tandem::edge::batch::{self, LambdaEvent, SqsBatchResponse, SqsEvent};
use tandem::object::Object;
use tandem::port::Ports;

/// Works on a batch of messages, each by itself.
///
/// # Errors
/// Never as a whole: the answer names the messages that are to be delivered again.
pub async fn handle(
    ports: &Ports,
    event: LambdaEvent<SqsEvent>,
) -> Result<SqsBatchResponse, Infallible> {
    Ok(batch::work(ports, Object::Deal, event).await)
}
