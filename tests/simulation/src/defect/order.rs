//! Things stored in the wrong order.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tandem::identifier::{ConnectionId, RunId};
use tandem::port::{Error, Progress, Store};
use tandem::record::{Action, Link, Record};
use tandem::run::{Slice, SliceKey, Stage};
use tandem_memory::layer::StoreLayer;

/// A row's link says that the row was applied before its record is stored.
#[derive(Default)]
pub(super) struct LinkFirst(Mutex<Held>);

/// The records of the page at hand, whose links are not stored yet.
#[derive(Default)]
struct Held {
    /// Whether rows are being applied.
    applies: bool,
    records: Vec<Record>,
}

impl LinkFirst {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, is_it: impl Fn(&Record) -> bool) -> Option<Record> {
        let mut held = self.held();
        let place = held.records.iter().position(is_it)?;
        Some(held.records.swap_remove(place))
    }
}

/// Whether it is a row's record.
fn is_applied(record: &Record) -> bool {
    let action = record.change.as_ref().map(|change| change.action);
    let applied = matches!(
        action,
        None | Some(Action::Created | Action::Pulled | Action::Restored | Action::Relinked)
    );
    applied && record.zoho_id.is_some()
}

#[async_trait]
impl StoreLayer for LinkFirst {
    async fn slice(
        &self,
        inner: &dyn Store,
        connection: &ConnectionId,
        run: &RunId,
        key: SliceKey,
    ) -> Result<Option<Slice>, Error> {
        self.held().applies = key.stage == Stage::Routine || key.stage.compares();
        inner.slice(connection, run, key).await
    }

    async fn save_record(&self, inner: &dyn Store, record: Record) -> Result<Record, Error> {
        let same = |held: &Record| (held.object, &held.id) == (record.object, &record.id);
        if let Some(earlier) = self.take(same) {
            inner.save_record(earlier).await?;
        }
        if !self.held().applies || !is_applied(&record) {
            return inner.save_record(record).await;
        }
        let ids = [record.id.clone()];
        let stored = inner
            .records(&record.connection, record.object, &ids)
            .await?;
        if stored.first().map_or(0, |stored| stored.version) != record.version {
            return Err(Error::conflict(record.id.to_string()));
        }
        self.held().records.push(record.clone());
        let version = record.version + 1;
        Ok(Record { version, ..record })
    }

    async fn save_link_over(
        &self,
        inner: &dyn Store,
        link: &Link,
        read: Option<&Link>,
    ) -> Result<(), Error> {
        inner.save_link_over(link, read).await?;
        let of_row =
            |held: &Record| (held.object, held.zoho_id) == (link.object, Some(link.zoho_id));
        if link.is_intended() {
            return Ok(());
        }
        let Some(record) = self.take(of_row) else {
            return Ok(());
        };
        match inner.save_record(record).await {
            Ok(_) => Ok(()),
            // Somebody else stored it meanwhile: the row is applied once more.
            Err(error @ Error::Conflict { .. }) => {
                let again = Link {
                    hash: Link::intended_for(link.hash),
                    ..link.clone()
                };
                inner.save_link_over(&again, Some(link)).await?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// After a page: what is held by now has the link that it had.
    async fn save_slice(&self, inner: &dyn Store, slice: &mut Slice) -> Result<Progress, Error> {
        while let Some(record) = self.take(|_| true) {
            inner.save_record(record).await?;
        }
        inner.save_slice(slice).await
    }
}
