//! Time, randomness, queues and secrets.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::Error;
use crate::data_centre::DataCentre;
use crate::identifier::ConnectionId;
use crate::message::{Letter, Work, Writeback};
use crate::object::Object;
use crate::secret::{OAuthClient, Secret, Tokens};

/// Time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Randomness, fit for secrets.
pub trait Entropy: Send + Sync {
    /// 256 random bits.
    fn bytes(&self) -> [u8; 32];

    /// 128 random bits as a number.
    fn number(&self) -> u128 {
        let mut half = [0; 16];
        half.copy_from_slice(&self.bytes()[..16]);
        u128::from_be_bytes(half)
    }
}

/// The queues. Each message's group is its connection, so that one busy customer does not hold up the others. A message that was sent
/// arrives at least once, in any order.
#[async_trait]
pub trait Queue: Send + Sync {
    /// Sends messages, each to its object's worker.
    ///
    /// # Errors
    /// When the queue did not take them all; some may have been sent.
    async fn send_work(&self, messages: &[Work]) -> Result<(), Error>;

    /// Sends messages that arrive no earlier than after `delay`, at most 15 minutes.
    ///
    /// # Errors
    /// When the queue did not take them all; some may have been sent.
    async fn send_work_later(&self, messages: &[Work], delay: Duration) -> Result<(), Error>;

    /// Sends messages to writeback.
    ///
    /// # Errors
    /// When the queue did not take them all; some may have been sent.
    async fn send_writeback(&self, messages: &[Writeback]) -> Result<(), Error>;

    /// Sends messages to writeback that arrive no earlier than after `delay`, at most 15 minutes.
    ///
    /// # Errors
    /// When the queue did not take them all; some may have been sent.
    async fn send_writeback_later(
        &self,
        messages: &[Writeback],
        delay: Duration,
    ) -> Result<(), Error>;

    /// Sends messages that came to writeback once more, each as old as it is: an edit in it was made when it was sent first. As new messages they
    /// have not failed yet.
    ///
    /// # Errors
    /// When the queue did not take them all; some may have been sent.
    async fn send_writeback_again(&self, messages: &[(Writeback, Timestamp)]) -> Result<(), Error>;

    /// Lets a delivery that failed come again after `delay`, rather than when the queue's own patience ends. One that came again already is no
    /// error.
    ///
    /// # Errors
    /// When the queue does not answer; the message then comes again in its own time.
    async fn put_back(&self, delivery: &Delivery, delay: Duration) -> Result<(), Error>;

    /// The messages of a queue that failed too often and wait for a person, and a look at a few of them. They stay where they are.
    ///
    /// # Errors
    /// When the queue does not answer, or this process was not told where they wait.
    async fn dead_letters(&self, queue: QueueName) -> Result<DeadLetters, Error>;

    /// Sends a queue's dead letters on their way again, as old as they are, and takes each from the dead letters only after it was sent: one
    /// that was cut off in between is there twice. Does as many as one request can.
    ///
    /// # Errors
    /// As for [`Queue::dead_letters`]; some may have been sent.
    async fn redrive(&self, queue: QueueName) -> Result<Redriven, Error>;
}

/// What waits among the dead letters of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetters {
    /// About how many there are.
    pub waiting: u64,
    /// Some of them, at most ten.
    pub seen: Vec<DeadLetter>,
}

/// A message that failed too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The connection that it belongs to, as far as can be said.
    pub connection: Option<ConnectionId>,
    /// What it says.
    pub letter: Letter,
    /// When it was sent first.
    pub sent_at: Option<Timestamp>,
    /// How often it was taken from a queue, looks at it included.
    pub received: u32,
}

/// What became of dead letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redriven {
    /// How many are on their way again.
    pub moved: u64,
    /// Whether there may be more.
    pub more: bool,
}

/// A delivery of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Whence it came.
    pub queue: QueueName,
    /// What names this delivery to the queue.
    pub receipt: String,
}

/// One of the queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueName {
    /// That of an object's worker.
    Work(Object),
    /// Writeback's.
    Writeback,
}

impl QueueName {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Work(Object::Account),
        Self::Work(Object::Contact),
        Self::Work(Object::Task),
        Self::Work(Object::Deal),
        Self::Work(Object::User),
        Self::Writeback,
    ];

    /// Reads a message of this queue.
    #[must_use]
    pub fn read(self, body: &str) -> Letter {
        match self {
            Self::Work(_) => Letter::to_worker(body),
            Self::Writeback => Letter::to_writeback(body),
        }
    }
}

/// The secrets.
#[async_trait]
pub trait Vault: Send + Sync {
    /// The OAuth client registered for a data centre; none where it was not filled in.
    ///
    /// # Errors
    /// When the vault does not answer.
    async fn oauth_client(&self, centre: DataCentre) -> Result<Option<OAuthClient>, Error>;

    /// A connection's tokens; none before it was granted and after it was purged.
    ///
    /// # Errors
    /// When the vault does not answer.
    async fn tokens(&self, connection: &ConnectionId) -> Result<Option<Tokens>, Error>;

    /// Keeps a connection's tokens, in place of those before.
    ///
    /// # Errors
    /// When the vault does not take them.
    async fn keep_tokens(&self, connection: &ConnectionId, tokens: &Tokens) -> Result<(), Error>;

    /// Forgets a connection's tokens for good; it is no error when there are none.
    ///
    /// # Errors
    /// When the vault does not answer.
    async fn forget_tokens(&self, connection: &ConnectionId) -> Result<(), Error>;

    /// The secret that guards the console.
    ///
    /// # Errors
    /// When the vault does not answer or has none.
    async fn operator(&self) -> Result<Secret, Error>;
}
