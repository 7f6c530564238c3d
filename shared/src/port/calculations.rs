//! What is to be calculated, as the flows see it (F5).

use async_trait::async_trait;
use jiff::civil;

use super::Error;
use crate::calculation::Mark;
use crate::identifier::{ConnectionId, Digest, PlatformId};

/// Marks of accounts that are to be calculated, and what all accounts were calculated with last.
#[async_trait]
pub trait Calculations: Send + Sync {
    /// Stores marks, each in place of one of the same account and day. Any number.
    async fn mark_calculations(&self, marks: &[Mark]) -> Result<(), Error>;

    /// Marks of days until `today`, by day and then by account, at most `limit` behind `after`.
    async fn calculations_due(
        &self,
        connection: &ConnectionId,
        today: civil::Date,
        after: Option<(civil::Date, &PlatformId)>,
        limit: usize,
    ) -> Result<Vec<Mark>, Error>;

    /// Removes marks, but not one that was made anew meanwhile: it has another stamp.
    async fn clear_calculations(&self, marks: &[Mark]) -> Result<(), Error>;

    /// The digest of the plan for which all accounts were marked last.
    async fn calculated_with(&self, connection: &ConnectionId) -> Result<Option<Digest>, Error>;

    /// Notes that all accounts were marked for this plan.
    async fn note_calculated_with(
        &self,
        connection: &ConnectionId,
        plan: Digest,
    ) -> Result<(), Error>;
}
