//! Deleting what is kept of a connection, as the purge sees it (C6).

use async_trait::async_trait;

use super::Error;
use crate::connection::Deleted;
use crate::identifier::ConnectionId;

/// Deleting everything that the four tables keep of a connection.
#[async_trait]
pub trait Erasure: Send + Sync {
    /// Deletes some of what is kept of a connection in any of the tables, at most `limit` items, and says how many. The connection itself stays. Where
    /// nothing was deleted, nothing is left.
    async fn erase(&self, connection: &ConnectionId, limit: usize) -> Result<Deleted, Error>;
}
