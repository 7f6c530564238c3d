//! Time, randomness, queues and secrets.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::Error;
use crate::data_centre::DataCentre;
use crate::identifier::ConnectionId;
use crate::message::{Work, Writeback};
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

    /// Lets a delivery that failed come again after `delay`, rather than when the queue's own patience ends. One that came again already is no
    /// error.
    ///
    /// # Errors
    /// When the queue does not answer; the message then comes again in its own time.
    async fn put_back(&self, delivery: &Delivery, delay: Duration) -> Result<(), Error>;
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
