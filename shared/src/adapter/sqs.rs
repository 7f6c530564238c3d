//! The queues in SQS: standard queues in which a message's group is its connection.

mod dead_letters;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::change_message_visibility::ChangeMessageVisibilityError;
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, MessageAttributeValue, SendMessageBatchRequestEntry,
};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures::future::join_all;
use jiff::Timestamp;
use serde::Serialize;

use crate::identifier::ConnectionId;
use crate::message::{FIRST_SENT, Work, Writeback};
use crate::object::Object;
use crate::port::{DeadLetters, Delivery, Error, Queue, QueueName, Redriven};

const SERVICE: &str = "SQS";
const SEND: &str = "SendMessageBatch";
/// The most messages of one call.
const BATCH: usize = 10;
/// The most bytes of one call and of one message: 1 MiB, less what the group's name takes.
/// Source: Amazon SQS developer guide, "Amazon SQS message quotas".
const BYTES: usize = 1_048_576 - BATCH * 128;
/// The longest that SQS holds a message back, in seconds.
const LONGEST_DELAY: u64 = 900;
const LONGEST_DELAY_SECONDS: i32 = 900;

/// Where the queues are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueUrls {
    /// The accounts worker's.
    pub accounts: String,
    /// The contacts worker's.
    pub contacts: String,
    /// The tasks worker's.
    pub tasks: String,
    /// The deals worker's.
    pub deals: String,
    /// The users worker's.
    pub users: String,
    /// The edits'.
    pub writeback: String,
}

impl QueueUrls {
    fn of_worker(&self, object: Object) -> &str {
        match object {
            Object::Account => &self.accounts,
            Object::Contact => &self.contacts,
            Object::Task => &self.tasks,
            Object::Deal => &self.deals,
            Object::User => &self.users,
        }
    }

    fn of(&self, queue: QueueName) -> &str {
        match queue {
            QueueName::Work(object) => self.of_worker(object),
            QueueName::Writeback => &self.writeback,
        }
    }
}

/// The queues in SQS.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    client: Client,
    urls: QueueUrls,
    dead_letters: Option<QueueUrls>,
}

/// A message as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Envelope {
    group: Option<String>,
    body: String,
    delay: Option<i32>,
    /// When it was sent first, where this is not the first time.
    first_sent: Option<String>,
}

/// Messages that SQS did not take.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{number} of {of} messages were refused; the first with {code}: {message}")]
    Refused {
        number: usize,
        of: usize,
        code: String,
        message: String,
    },
    #[error("it has {0} bytes and a message takes {BYTES} at most")]
    TooLarge(usize),
}

impl SqsQueue {
    /// The queues at these addresses. Only who deals with dead letters is told where they are.
    #[must_use]
    pub const fn new(client: Client, urls: QueueUrls, dead_letters: Option<QueueUrls>) -> Self {
        Self {
            client,
            urls,
            dead_letters,
        }
    }

    async fn send_to_workers(&self, messages: &[Work], delay: Option<i32>) -> Result<(), Error> {
        let mut by_queue: BTreeMap<&str, Vec<Envelope>> = BTreeMap::new();
        for message in messages {
            by_queue
                .entry(self.urls.of_worker(message.object()))
                .or_default()
                .push(envelope(message.connection(), message, delay)?);
        }
        // A queue that does not answer keeps the messages of the others back no longer than its own.
        let sent = by_queue
            .into_iter()
            .map(|(url, envelopes)| self.send(url, envelopes));
        join_all(sent).await.into_iter().collect()
    }

    async fn send_to_writeback(
        &self,
        messages: &[Writeback],
        delay: Option<i32>,
    ) -> Result<(), Error> {
        let envelopes = messages
            .iter()
            .map(|message| envelope(message.connection(), message, delay))
            .collect::<Result<Vec<_>, _>>()?;
        self.send(&self.urls.writeback, envelopes).await
    }

    async fn send(&self, url: &str, envelopes: Vec<Envelope>) -> Result<(), Error> {
        for batch in batches(envelopes) {
            self.send_batch(url, batch).await?;
        }
        Ok(())
    }

    /// Sends one batch, and again what SQS failed to take through its own fault.
    async fn send_batch(&self, url: &str, mut batch: Vec<Envelope>) -> Result<(), Error> {
        let of = batch.len();
        let mut delays = delays();
        let mut refused = Vec::new();
        loop {
            let failed = self.send_once(url, &batch).await?;
            let (for_good, for_now): (Vec<_>, Vec<_>) = failed
                .into_iter()
                .partition(BatchResultErrorEntry::sender_fault);
            refused.extend(for_good);
            if for_now.is_empty() {
                break;
            }
            let Some(delay) = delays.next() else {
                refused.extend(for_now);
                break;
            };
            tokio::time::sleep(delay).await;
            batch = for_now
                .iter()
                .filter_map(|entry| batch.get(entry.id().parse::<usize>().ok()?).cloned())
                .collect();
        }
        if refused.is_empty() {
            Ok(())
        } else {
            Err(not_taken(&refused, of))
        }
    }

    async fn send_once(
        &self,
        url: &str,
        batch: &[Envelope],
    ) -> Result<Vec<BatchResultErrorEntry>, Error> {
        let entries = batch
            .iter()
            .enumerate()
            .map(|(index, envelope)| {
                SendMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .message_body(&envelope.body)
                    .set_message_group_id(envelope.group.clone())
                    .set_delay_seconds(envelope.delay)
                    .set_message_attributes(attributes(envelope.first_sent.as_deref())?)
                    .build()
                    .map_err(|source| unavailable(SEND, Box::new(source)))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let answer = self
            .client
            .send_message_batch()
            .queue_url(url)
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(|error| failed(SEND, error))?;
        Ok(answer.failed)
    }
}

fn envelope(
    connection: &ConnectionId,
    message: &impl Serialize,
    delay: Option<i32>,
) -> Result<Envelope, Error> {
    let refused = |source| Error::Refused {
        what: format!("a message of connection {connection}"),
        source,
    };
    let body = serde_json::to_string(message).map_err(|source| refused(source.into()))?;
    let body = sendable(body);
    if body.len() > BYTES {
        return Err(refused(Failure::TooLarge(body.len()).into()));
    }
    Ok(Envelope {
        group: Some(connection.to_string()),
        body,
        delay,
        first_sent: None,
    })
}

/// JSON without the two characters that serde_json leaves as they are and SQS does not take (Amazon SQS API reference, `SendMessage`). They
/// stand in texts only.
fn sendable(json: String) -> String {
    match json.contains(['\u{fffe}', '\u{ffff}']) {
        true => json
            .replace('\u{fffe}', "\\ufffe")
            .replace('\u{ffff}', "\\uffff"),
        false => json,
    }
}

/// The attributes of a message, if it has any.
fn attributes(
    first_sent: Option<&str>,
) -> Result<Option<HashMap<String, MessageAttributeValue>>, Error> {
    let Some(first_sent) = first_sent else {
        return Ok(None);
    };
    let value = MessageAttributeValue::builder()
        .data_type("String")
        .string_value(first_sent)
        .build()
        .map_err(|source| unavailable(SEND, Box::new(source)))?;
    Ok(Some(HashMap::from([(FIRST_SENT.to_owned(), value)])))
}

/// Whether the delivery ended meanwhile: its message was delivered again, or deleted. SQS says so by a code that its API reference does not list
/// for the call ("Value … for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.").
fn is_back_already(error: &ChangeMessageVisibilityError) -> bool {
    let names_it = error.code() == Some("InvalidParameterValue")
        && error
            .message()
            .is_some_and(|message| message.contains("ReceiptHandle"));
    error.is_message_not_inflight() || error.is_receipt_handle_is_invalid() || names_it
}

/// Cuts messages into calls that SQS takes, in their order.
fn batches(envelopes: Vec<Envelope>) -> Vec<Vec<Envelope>> {
    let mut batches: Vec<Vec<Envelope>> = Vec::new();
    let mut bytes = 0;
    for envelope in envelopes {
        bytes += envelope.body.len();
        match batches.last_mut() {
            Some(batch) if batch.len() < BATCH && bytes <= BYTES => batch.push(envelope),
            _ => {
                bytes = envelope.body.len();
                batches.push(vec![envelope]);
            }
        }
    }
    batches
}

fn delays() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(2))
        .with_max_times(5)
        .with_jitter()
        .build()
}

/// A delay in whole seconds, no shorter, and no longer than SQS takes.
fn seconds(delay: Duration) -> Option<i32> {
    let seconds = delay.as_millis().div_ceil(1_000);
    i32::try_from(seconds.min(u128::from(LONGEST_DELAY))).ok()
}

fn unavailable(operation: &'static str, source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Unavailable {
        service: SERVICE,
        operation,
        source,
    }
}

fn not_taken(failed: &[BatchResultErrorEntry], of: usize) -> Error {
    let first = failed.first();
    unavailable(
        SEND,
        Failure::Refused {
            number: failed.len(),
            of,
            code: first.map_or_else(String::new, |entry| entry.code().to_owned()),
            message: first
                .and_then(BatchResultErrorEntry::message)
                .unwrap_or("no reason given")
                .to_owned(),
        }
        .into(),
    )
}

fn failed<E, R>(operation: &'static str, error: SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let throttled = error.code().is_some_and(|code| code.contains("Throttl"));
    let source = error
        .into_source()
        .unwrap_or_else(|error| Box::new(error) as Box<_>);
    if throttled {
        Error::Throttled {
            service: SERVICE,
            source: Some(source),
        }
    } else {
        unavailable(operation, source)
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn send_work(&self, messages: &[Work]) -> Result<(), Error> {
        self.send_to_workers(messages, None).await
    }

    async fn send_work_later(&self, messages: &[Work], delay: Duration) -> Result<(), Error> {
        self.send_to_workers(messages, seconds(delay)).await
    }

    async fn send_writeback(&self, messages: &[Writeback]) -> Result<(), Error> {
        self.send_to_writeback(messages, None).await
    }

    async fn send_writeback_later(
        &self,
        messages: &[Writeback],
        delay: Duration,
    ) -> Result<(), Error> {
        self.send_to_writeback(messages, seconds(delay)).await
    }

    async fn send_writeback_again(&self, messages: &[(Writeback, Timestamp)]) -> Result<(), Error> {
        let envelopes = messages
            .iter()
            .map(|(message, first_sent)| {
                let envelope = envelope(message.connection(), message, None)?;
                Ok(Envelope {
                    first_sent: Some(first_sent.to_string()),
                    ..envelope
                })
            })
            .collect::<Result<Vec<_>, Error>>()?;
        self.send(&self.urls.writeback, envelopes).await
    }

    async fn put_back(&self, delivery: &Delivery, delay: Duration) -> Result<(), Error> {
        let url = self.urls.of(delivery.queue);
        let seconds = i32::try_from(delay.as_secs()).unwrap_or(LONGEST_DELAY_SECONDS);
        let put_back = self
            .client
            .change_message_visibility()
            .queue_url(url)
            .receipt_handle(&delivery.receipt)
            .visibility_timeout(seconds.min(LONGEST_DELAY_SECONDS))
            .send()
            .await;
        match put_back {
            Err(error) if error.as_service_error().is_some_and(is_back_already) => Ok(()),
            put_back => put_back
                .map(drop)
                .map_err(|error| failed("ChangeMessageVisibility", error)),
        }
    }

    async fn dead_letters(&self, queue: QueueName) -> Result<DeadLetters, Error> {
        self.look(queue).await
    }

    async fn redrive(&self, queue: QueueName) -> Result<Redriven, Error> {
        self.move_back(queue).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_sqs::error::ErrorMetadata;
    use proptest::prelude::*;

    fn letter(index: usize, bytes: usize) -> Envelope {
        Envelope {
            group: Some(index.to_string()),
            body: "x".repeat(bytes),
            delay: None,
            first_sent: None,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn batches_keep_every_message_and_the_limits(sizes in proptest::collection::vec(prop_oneof![1usize..200, 300_000..BYTES], 0..40)) {
            let all = sizes.iter().enumerate().map(|(index, bytes)| letter(index, *bytes)).collect::<Vec<_>>();
            let batches = batches(all.clone());
            for batch in &batches {
                prop_assert!((1..=BATCH).contains(&batch.len()));
                prop_assert!(batch.iter().map(|envelope| envelope.body.len()).sum::<usize>() <= BYTES);
            }
            prop_assert_eq!(batches.concat(), all);
        }
    }

    #[test]
    fn a_message_has_no_character_that_sqs_does_not_take() {
        let message = Writeback::Push {
            version: crate::message::Version,
            connection: "acme".parse().unwrap(),
            object: Object::Account,
            ids: vec!["A\u{fffe}\u{ffff}".parse().unwrap()],
        };
        let body = envelope(message.connection(), &message, None).unwrap().body;
        assert!(!body.contains(['\u{fffe}', '\u{ffff}']), "{body}");
        assert_eq!(serde_json::from_str::<Writeback>(&body).unwrap(), message);
    }

    #[test]
    fn a_delivery_that_ended_is_back_already() {
        let error = |code: &str, message: &str| {
            let meta = ErrorMetadata::builder().code(code).message(message);
            ChangeMessageVisibilityError::generic(meta.build())
        };
        let gone = "Value AQEB for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.";
        assert!(is_back_already(&error("InvalidParameterValue", gone)));
        assert!(!is_back_already(&error(
            "InvalidParameterValue",
            "VisibilityTimeout"
        )));
        assert!(!is_back_already(&error("AccessDenied", gone)));
    }

    #[test]
    fn a_message_is_its_json_in_the_group_of_its_connection() {
        let message = Writeback::Push {
            version: crate::message::Version,
            connection: "acme".parse().unwrap(),
            object: Object::Task,
            ids: vec!["t-1".parse().unwrap()],
        };
        let envelope = envelope(message.connection(), &message, None).unwrap();
        assert_eq!(envelope.group.as_deref(), Some("acme"));
        assert_eq!(
            serde_json::from_str::<Writeback>(&envelope.body).unwrap(),
            message
        );
    }

    #[test]
    fn a_message_that_no_queue_takes_is_refused_before_it_is_sent() {
        let error = envelope(&"acme".parse().unwrap(), &"x".repeat(BYTES), None).unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    }
}
