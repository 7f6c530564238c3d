//! SQS batches: each message by itself, each failure answered by itself.

use std::collections::BTreeMap;
use std::time::Instant;

use aws_lambda_events::sqs::{BatchItemFailure, SqsMessage};
use jiff::Timestamp;
use lambda_runtime::Context;
use serde::de::DeserializeOwned;

use crate::disposition::Disposition;
use crate::flow::job::Deadline;
use crate::flow::writeback::{self, Received};
use crate::flow::{Error, work};
use crate::identifier::ConnectionId;
use crate::message::{self, FIRST_SENT, Work, Writeback};
use crate::object::Object;
use crate::port::{Delivery, Ports, QueueName};

pub use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
pub use lambda_runtime::LambdaEvent;

/// Handles a batch of an object's worker.
pub async fn work(ports: &Ports, object: Object, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    let deadline = deadline(&event.context);
    let mut failed = Failures::of(ports, QueueName::Work(object));
    for message in &event.payload.records {
        let Some(asked) = failed.decode::<Work>(message).await else {
            continue;
        };
        if asked.object() != object {
            tracing::error!(object = %asked.object(), "a message for another worker: send it to its own queue");
            failed.add(message, Disposition::Never).await;
            continue;
        }
        let began = Instant::now();
        let result = work::handle(ports, &asked, deadline).await;
        if let Some(disposition) = report(asked.connection(), Some(object), began, result) {
            failed.add(message, disposition).await;
        }
    }
    failed.answer()
}

/// What is written back together: edits of a connection's object, or what is about all of its objects.
type Group = (ConnectionId, Option<Object>);

/// Handles a batch of writeback: messages of one connection and object go together, so that their records are written in groups. Objects go in
/// the order in which one depends on another. Near the deadline no further group begins: a function that is killed would have those come again
/// that are done.
pub async fn writeback(ports: &Ports, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    let deadline = deadline(&event.context);
    let mut failed = Failures::of(ports, QueueName::Writeback);
    let mut groups: BTreeMap<Group, Vec<(&SqsMessage, Received)>> = BTreeMap::new();
    for message in &event.payload.records {
        if let Some(asked) = failed.decode::<Writeback>(message).await {
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
    while let Some(((connection, object), group)) = groups.pop_first() {
        let (messages, received): (Vec<&SqsMessage>, Vec<Received>) = group.into_iter().unzip();
        let began = Instant::now();
        let result = writeback::handle(ports, &connection, &received, deadline).await;
        if let Some(disposition) = report(&connection, object, began, result) {
            for message in messages {
                failed.add(message, disposition).await;
            }
        }
        // Behind a group and not before it, so that each invocation gets on, however little time it was given.
        if deadline.is_near(ports.clock.now()) {
            break;
        }
    }
    let left = groups.into_values().flatten().collect();
    failed.send_again(left).await;
    failed.answer()
}

/// Says once how a message went, with the whole chain of causes. What a failure asks for goes on to the answer.
fn report(
    connection: &ConnectionId,
    object: Option<Object>,
    began: Instant,
    result: Result<(), Error>,
) -> Option<Disposition> {
    let object = object.map_or("all", Object::name);
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    match result {
        Ok(()) => {
            tracing::info!(connection.id = %connection, object, duration_ms, "done");
            None
        }
        Err(error) => {
            let disposition = error.disposition();
            let redelivery = match disposition {
                Disposition::Retry | Disposition::RetryAfter(_) => "heals it",
                Disposition::Reconnect | Disposition::Never => "ends among the dead letters",
            };
            let error: &dyn std::error::Error = &error;
            tracing::error!(connection.id = %connection, object, duration_ms, error, redelivery, "failed");
            Some(disposition)
        }
    }
}

pub(super) fn deadline(context: &Context) -> Deadline {
    let milliseconds = i64::try_from(context.deadline).unwrap_or(i64::MAX);
    Deadline(Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX))
}

fn sent_at(message: &SqsMessage) -> Option<Timestamp> {
    let first = message.message_attributes.get(FIRST_SENT);
    message::sent_at(
        message.attributes.get("SentTimestamp")?,
        message.message_id.as_deref().unwrap_or_default(),
        first.and_then(|first| first.string_value.as_deref()),
    )
}

/// How often a message was delivered so far.
fn received(message: &SqsMessage) -> u32 {
    let count = message.attributes.get("ApproximateReceiveCount");
    count.and_then(|count| count.parse().ok()).unwrap_or(1)
}

/// The messages that are to be delivered again.
struct Failures<'a> {
    ports: &'a Ports,
    queue: QueueName,
    failed: Vec<BatchItemFailure>,
}

impl<'a> Failures<'a> {
    const fn of(ports: &'a Ports, queue: QueueName) -> Self {
        Self {
            ports,
            queue,
            failed: Vec::new(),
        }
    }

    /// Reads a message; one that can't be read is delivered again until it ends among the dead letters, where a person sees it.
    async fn decode<T: DeserializeOwned>(&mut self, message: &SqsMessage) -> Option<T> {
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
                self.add(message, Disposition::Never).await;
                None
            }
        }
    }

    /// Notes a failed message, and has it come again in the time that its failure asks for rather than after the queue's visibility timeout,
    /// which is longer than the longest invocation. An id that SQS did not send would fail the whole batch, so none is made up.
    async fn add(&mut self, message: &SqsMessage, disposition: Disposition) {
        if let Some(receipt) = message.receipt_handle.clone() {
            let delivery = Delivery {
                queue: self.queue,
                receipt,
            };
            let delay = disposition.redelivered_after(received(message));
            if let Err(error) = self.ports.queue.put_back(&delivery, delay).await {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(
                    message.id = message.message_id.as_deref(),
                    error,
                    "comes again only after the visibility timeout"
                );
            }
        }
        self.failed.extend(message.message_id.clone().map(|id| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            failure
        }));
    }

    /// Sends messages again for which there was no time. Delivered again they would come nearer to the dead letters each time, though nobody
    /// tried them.
    async fn send_again(&mut self, left: Vec<(&SqsMessage, Received)>) {
        if left.is_empty() {
            return;
        }
        let (messages, left): (Vec<&SqsMessage>, Vec<_>) = left
            .into_iter()
            .map(|(message, received)| (message, (received.message, received.sent_at)))
            .unzip();
        match self.ports.queue.send_writeback_again(&left).await {
            Ok(()) => tracing::info!(messages = left.len(), "sent again, because time is up"),
            Err(error) => {
                for message in messages {
                    self.add(message, Disposition::Retry).await;
                }
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "not sent again: delivered again instead");
            }
        }
    }

    fn answer(self) -> SqsBatchResponse {
        let mut response = SqsBatchResponse::default();
        response.batch_item_failures = self.failed;
        response
    }
}
