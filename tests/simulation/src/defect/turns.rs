//! Handlers that do not wait for each other, or for what they asked for.

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tandem::identifier::{ConnectionId, RunId};
use tandem::port::{Error, Store};
use tandem::record::Record;
use tandem::run::Slice;
use tandem_memory::layer::StoreLayer;

/// A record is stored whatever was stored meanwhile.
pub(super) struct SavedOverAnything;

#[async_trait]
impl StoreLayer for SavedOverAnything {
    async fn save_record(&self, inner: &dyn Store, mut record: Record) -> Result<Record, Error> {
        loop {
            match inner.save_record(record.clone()).await {
                Err(Error::Conflict { .. }) => {
                    let ids = [record.id.clone()];
                    let stored = inner
                        .records(&record.connection, record.object, &ids)
                        .await?;
                    record.version = stored.first().map_or(0, |stored| stored.version);
                }
                saved => return saved,
            }
        }
    }
}

/// That the table did not answer is no reason not to go on.
pub(super) struct FailureIsDone;

#[async_trait]
impl StoreLayer for FailureIsDone {
    async fn save_record(&self, inner: &dyn Store, record: Record) -> Result<Record, Error> {
        match inner.save_record(record.clone()).await {
            Err(Error::Throttled { .. } | Error::Unavailable { .. }) => Ok(Record {
                version: record.version + 1,
                ..record
            }),
            saved => saved,
        }
    }
}

/// Whoever asks which slices have reported is told: all.
pub(super) struct AllAreDone;

#[async_trait]
impl StoreLayer for AllAreDone {
    async fn slices(
        &self,
        inner: &dyn Store,
        connection: &ConnectionId,
        run: &RunId,
    ) -> Result<Vec<Slice>, Error> {
        let mut slices = inner.slices(connection, run).await?;
        for slice in &mut slices {
            slice.done = true;
        }
        Ok(slices)
    }
}

/// A lease never runs out.
pub(super) struct LeaseForEver;

/// Longer than any seed lasts.
const FOR_EVER: SignedDuration = SignedDuration::from_hours(24 * 3_650);

#[async_trait]
impl StoreLayer for LeaseForEver {
    async fn lease(
        &self,
        inner: &dyn Store,
        connection: &ConnectionId,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, Error> {
        let until = now.checked_add(FOR_EVER).unwrap_or(until);
        inner.lease(connection, name, holder, now, until).await
    }
}
