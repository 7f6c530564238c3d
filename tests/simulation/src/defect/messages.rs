//! Messages that are never sent, and the tokens of somebody else.

use async_trait::async_trait;
use tandem::identifier::ConnectionId;
use tandem::message::{Work, Writeback};
use tandem::port::{Error, Queue, Vault};
use tandem::secret::Tokens;
use tandem_memory::layer::{QueueLayer, VaultLayer};

use crate::scene::NAMES;

/// Nobody asks for what belongs to a record that newly came into scope.
pub(super) struct DependantsForgotten;

#[async_trait]
impl QueueLayer for DependantsForgotten {
    async fn send_work(&self, inner: &dyn Queue, messages: &[Work]) -> Result<(), Error> {
        let mut messages = messages.to_vec();
        messages.retain(|message| !matches!(message, Work::Dependants { .. }));
        inner.send_work(&messages).await
    }
}

/// Nobody asks for what is parked to be tried again.
pub(super) struct RetryForgotten;

#[async_trait]
impl QueueLayer for RetryForgotten {
    async fn send_writeback(&self, inner: &dyn Queue, messages: &[Writeback]) -> Result<(), Error> {
        let mut messages = messages.to_vec();
        messages.retain(|message| !matches!(message, Writeback::Retry { .. }));
        inner.send_writeback(&messages).await
    }
}

/// Every connection is given the tokens of the first.
pub(super) struct TokensOfTheFirst;

#[async_trait]
impl VaultLayer for TokensOfTheFirst {
    async fn tokens(
        &self,
        inner: &dyn Vault,
        connection: &ConnectionId,
    ) -> Result<Option<Tokens>, Error> {
        let first = NAMES[0].parse().unwrap_or_else(|_| connection.clone());
        inner.tokens(&first).await
    }
}
