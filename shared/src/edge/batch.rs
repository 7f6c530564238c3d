//! SQS batches: each message by itself, each failure answered by itself.

use std::collections::BTreeMap;
use std::time::Instant;

use aws_lambda_events::sqs::{BatchItemFailure, SqsMessage};
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::Context;
use serde::de::DeserializeOwned;

use crate::disposition::Disposition;
use crate::flow::job::Deadline;
use crate::flow::writeback::{self, Received};
use crate::flow::{Error, work};
use crate::identifier::{ConnectionId, Digest};
use crate::message::{Work, Writeback};
use crate::object::Object;
use crate::port::Ports;

pub use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
pub use lambda_runtime::LambdaEvent;

/// Handles a batch of an object's worker.
pub async fn work(ports: &Ports, object: Object, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    let deadline = deadline(&event.context);
    let mut failed = Failures::default();
    for message in &event.payload.records {
        let Some(asked) = failed.decode::<Work>(message) else {
            continue;
        };
        if asked.object() != object {
            tracing::error!(object = %asked.object(), "a message for another worker: send it to its own queue");
            failed.add(message);
            continue;
        }
        let began = Instant::now();
        let result = work::handle(ports, &asked, deadline).await;
        if report(asked.connection(), object, began, result).is_err() {
            failed.add(message);
        }
    }
    failed.answer()
}

/// Handles a batch of writeback: messages of one connection and object go together, so that their records are written in groups.
pub async fn writeback(ports: &Ports, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    let deadline = deadline(&event.context);
    let mut failed = Failures::default();
    let mut groups: BTreeMap<(ConnectionId, Object), Vec<(&SqsMessage, Received)>> =
        BTreeMap::new();
    for message in &event.payload.records {
        if let Some(asked) = failed.decode::<Writeback>(message) {
            let key = (asked.connection().clone(), asked.object());
            let sent_at = sent_at(message).unwrap_or_else(|| ports.clock.now());
            groups.entry(key).or_default().push((
                message,
                Received {
                    message: asked,
                    sent_at,
                },
            ));
        }
    }
    for ((connection, object), group) in groups {
        let (messages, received): (Vec<&SqsMessage>, Vec<Received>) = group.into_iter().unzip();
        let began = Instant::now();
        let result = writeback::handle(ports, &connection, object, &received, deadline).await;
        if report(&connection, object, began, result).is_err() {
            messages.into_iter().for_each(|message| failed.add(message));
        }
    }
    failed.answer()
}

/// Says once how a message went, with the whole chain of causes; the outcome goes on to the answer.
fn report(
    connection: &ConnectionId,
    object: Object,
    began: Instant,
    result: Result<(), Error>,
) -> Result<(), ()> {
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    match result {
        Ok(()) => {
            tracing::info!(connection.id = %connection, %object, duration_ms, "done");
            Ok(())
        }
        Err(error) => {
            let redelivery = match error.disposition() {
                Disposition::Retry | Disposition::RetryAfter(_) => "heals it",
                Disposition::Reconnect | Disposition::Never => "ends among the dead letters",
            };
            let error: &dyn std::error::Error = &error;
            tracing::error!(connection.id = %connection, %object, duration_ms, error, redelivery, "failed");
            Err(())
        }
    }
}

pub(super) fn deadline(context: &Context) -> Deadline {
    let milliseconds = i64::try_from(context.deadline).unwrap_or(i64::MAX);
    Deadline(Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX))
}

/// When a message was sent, the same at each delivery. SQS tells milliseconds; the message's id tells messages of one millisecond apart.
fn sent_at(message: &SqsMessage) -> Option<Timestamp> {
    let milliseconds = message.attributes.get("SentTimestamp")?.parse().ok()?;
    let digest = Digest::of(message.message_id.as_deref().unwrap_or_default().as_bytes());
    let [first, second, ..] = *digest.bytes();
    let within = SignedDuration::from_nanos(i64::from(u16::from_be_bytes([first, second])) * 10);
    Timestamp::from_millisecond(milliseconds)
        .ok()?
        .checked_add(within)
        .ok()
}

/// The messages that are to be delivered again.
#[derive(Default)]
struct Failures(Vec<BatchItemFailure>);

impl Failures {
    /// Reads a message; one that can't be read is delivered again until it ends among the dead letters, where a person sees it.
    fn decode<T: DeserializeOwned>(&mut self, message: &SqsMessage) -> Option<T> {
        match serde_json::from_str(message.body.as_deref().unwrap_or_default()) {
            Ok(decoded) => Some(decoded),
            Err(error) => {
                // Where it is wrong, and never what it says.
                tracing::error!(
                    message.id = message.message_id.as_deref(),
                    line = error.line(),
                    column = error.column(),
                    "a message that can't be read"
                );
                self.add(message);
                None
            }
        }
    }

    /// An id that SQS did not send would fail the whole batch, so none is made up.
    fn add(&mut self, message: &SqsMessage) {
        self.0.extend(message.message_id.clone().map(|id| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            failure
        }));
    }

    fn answer(self) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        response.batch_item_failures = self.0;
        response
    }
}
