//! Dead letters in SQS: looked at, and moved back to the queue that they came from.
//!
//! Moving is receiving, sending and deleting, in that order, rather than SQS's own `StartMessageMoveTask`: that makes new messages of them, so
//! that an old edit would pass for one made now.

use std::time::Duration;

use aws_sdk_sqs::operation::delete_message::DeleteMessageError;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};
use futures::future::{join_all, try_join};

use super::{BATCH, Envelope, QueueUrls, SqsQueue, failed};
use crate::message::{FIRST_SENT, sent_at};
use crate::port::{DeadLetter, DeadLetters, Error, QueueName, Redriven};

/// The most messages of one receiving, and how many of a queue are looked at.
const TAKEN: i32 = 10;
/// How many are moved in one go at most: what a request has time for.
const MOVED: u64 = 100;
/// How long receiving waits, in seconds. Without waiting SQS asks only some of its servers and may miss messages.
const WAIT: i32 = 1;
/// How long a message that is being moved is nobody else's, in seconds.
const HOLD: i32 = 60;
/// How long all of it may take: the console has 29 seconds to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// This process does not know where the dead letters are.
#[derive(Debug, thiserror::Error)]
#[error("this function was not told where dead letters wait")]
struct NotTold;

impl SqsQueue {
    /// About how many wait, and some of them; who looks leaves them visible.
    pub(super) async fn look(&self, queue: QueueName) -> Result<DeadLetters, Error> {
        let url = self.dead_letters()?.of(queue);
        let (waiting, taken) = try_join(self.count(url), self.take(url, 0)).await?;
        let seen: Vec<DeadLetter> = taken.iter().map(|message| shown(queue, message)).collect();
        Ok(DeadLetters {
            // SQS counts only about; what was seen is there.
            waiting: waiting.max(seen.len() as u64),
            seen,
        })
    }

    pub(super) async fn move_back(&self, queue: QueueName) -> Result<Redriven, Error> {
        let from = self.dead_letters()?.of(queue);
        let to = self.urls.of(queue);
        let until = tokio::time::Instant::now() + PATIENCE;
        // No more than there were: what fails at once is back among them before all are moved, and would be chased round and round.
        let waiting = self.count(from).await?;
        let most = waiting.clamp(1, MOVED);
        let mut moved = 0;
        while moved < most && tokio::time::Instant::now() < until {
            let taken = self.take(from, HOLD).await?;
            if taken.is_empty() {
                return Ok(Redriven { moved, more: false });
            }
            self.send(to, taken.iter().map(again).collect()).await?;
            let deleted = taken.iter().map(|message| self.delete(from, message));
            for deleted in join_all(deleted).await {
                deleted?;
            }
            moved += taken.len() as u64;
        }
        let more = moved < waiting;
        Ok(Redriven { moved, more })
    }

    fn dead_letters(&self) -> Result<&QueueUrls, Error> {
        self.dead_letters.as_ref().ok_or_else(|| Error::Refused {
            what: "a question about dead letters".to_owned(),
            source: NotTold.into(),
        })
    }

    /// About how many messages a queue has, those that somebody has just taken included.
    async fn count(&self, url: &str) -> Result<u64, Error> {
        let names = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let answer = self
            .client
            .get_queue_attributes()
            .queue_url(url)
            .set_attribute_names(Some(names.to_vec()))
            .send()
            .await
            .map_err(|error| failed("GetQueueAttributes", error))?;
        let counts = names.iter().filter_map(|name| {
            let count = answer.attributes()?.get(name)?;
            count.parse::<u64>().ok()
        });
        Ok(counts.sum())
    }

    async fn take(&self, url: &str, hold: i32) -> Result<Vec<Message>, Error> {
        let answer = self
            .client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(TAKEN)
            .visibility_timeout(hold)
            .wait_time_seconds(WAIT)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names(FIRST_SENT)
            .send()
            .await
            .map_err(|error| failed("ReceiveMessage", error))?;
        Ok(answer.messages.unwrap_or_default())
    }

    /// Deletes a message that was sent again. One that somebody looked at meanwhile stays, and is then there twice.
    async fn delete(&self, url: &str, message: &Message) -> Result<(), Error> {
        let deleted = self
            .client
            .delete_message()
            .queue_url(url)
            .set_receipt_handle(message.receipt_handle.clone())
            .send()
            .await;
        match deleted {
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DeleteMessageError::is_receipt_handle_is_invalid) =>
            {
                Ok(())
            }
            deleted => deleted
                .map(drop)
                .map_err(|error| failed("DeleteMessage", error)),
        }
    }
}

fn attribute<'a>(message: &'a Message, name: &MessageSystemAttributeName) -> Option<&'a str> {
    message.attributes.as_ref()?.get(name).map(String::as_str)
}

fn first_sent(message: &Message) -> Option<jiff::Timestamp> {
    let first = message
        .message_attributes
        .as_ref()
        .and_then(|attributes| attributes.get(FIRST_SENT)?.string_value.as_deref());
    sent_at(
        attribute(message, &MessageSystemAttributeName::SentTimestamp)?,
        message.message_id.as_deref().unwrap_or_default(),
        first,
    )
}

fn shown(queue: QueueName, message: &Message) -> DeadLetter {
    let letter = queue.read(message.body.as_deref().unwrap_or_default());
    let group = || {
        attribute(message, &MessageSystemAttributeName::MessageGroupId)?
            .parse()
            .ok()
    };
    let name = MessageSystemAttributeName::ApproximateReceiveCount;
    let received = attribute(message, &name).and_then(|count| count.parse().ok());
    DeadLetter {
        connection: letter.connection().cloned().or_else(group),
        letter,
        sent_at: first_sent(message),
        received: received.unwrap_or_default(),
    }
}

/// The message as it was, to be sent once more.
fn again(message: &Message) -> Envelope {
    let group = attribute(message, &MessageSystemAttributeName::MessageGroupId);
    Envelope {
        group: group.map(str::to_owned),
        body: message.body.clone().unwrap_or_default(),
        delay: None,
        first_sent: first_sent(message).map(|first| first.to_string()),
    }
}

const _: () = assert!(TAKEN as usize == BATCH, "what is taken is sent in one call");
