//! Things stored in the wrong order, and a cursor that goes too far.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::SignedDuration;
use tandem::cursor::Cursor;
use tandem::identifier::{ConnectionId, Digest, PlatformId, RunId, ZohoId};
use tandem::journal::Entry;
use tandem::object::Object;
use tandem::port::{Error, Progress, Store};
use tandem::record::{Action, Link, Record};
use tandem::run::{Slice, SliceKey, Stage};
use tandem_memory::layer::StoreLayer;

/// The cursor names an instant of the future. Less would be made good by the overlap with which each reading begins.
pub(super) struct CursorTooFar;

/// By how much.
const TOO_FAR: SignedDuration = SignedDuration::from_mins(10);

#[async_trait]
impl StoreLayer for CursorTooFar {
    async fn move_cursor(
        &self,
        inner: &dyn Store,
        connection: &ConnectionId,
        object: Object,
        from: Option<Cursor>,
        to: Cursor,
    ) -> Result<(), Error> {
        let until = to.until.checked_add(TOO_FAR).unwrap_or(to.until);
        let to = Cursor { until, ..to };
        inner.move_cursor(connection, object, from, to).await
    }
}

/// What a handler stores later than it should.
#[derive(Default)]
struct HeldBack {
    /// Whether the handler is in the midst of what it stores in another order.
    at_it: bool,
    records: Vec<Record>,
    /// The lines about them.
    lines: Vec<Entry>,
    links: Vec<Link>,
}

impl HeldBack {
    /// Whether it is a row's record that is stored.
    fn takes(&self, record: &Record) -> bool {
        let action = record.change.as_ref().map(|change| change.action);
        let applied = matches!(
            action,
            None | Some(Action::Created | Action::Pulled | Action::Restored | Action::Relinked)
        );
        self.at_it && applied && record.zoho_id.is_some()
    }

    fn record(&mut self, object: Object, id: &PlatformId) -> Option<&mut Record> {
        let mut records = self.records.iter_mut();
        records.find(|record| (record.object, &record.id) == (object, id))
    }

    /// Keeps a record for later and answers as if it were stored over `stored`, the version that is.
    fn keep_record(&mut self, record: Record, stored: u64) -> Result<Record, Error> {
        let held = self.record(record.object, &record.id);
        let version = held
            .as_ref()
            .map_or(stored, |held| held.version.saturating_add(1));
        if record.version != version {
            return Err(Error::conflict(record.id.to_string()));
        }
        let answer = Record {
            version: version + 1,
            ..record.clone()
        };
        match held {
            Some(held) => {
                *held = Record {
                    version: held.version,
                    ..record
                }
            }
            None => self.records.push(record),
        }
        Ok(answer)
    }

    fn keep_link(&mut self, link: &Link) {
        self.links
            .retain(|held| (held.object, held.zoho_id) != (link.object, link.zoho_id));
        self.links.push(link.clone());
    }

    /// Puts what is held in the place of what is stored.
    fn show(&self, object: Object, ids: &[PlatformId], found: &mut Vec<Record>) {
        for held in &self.records {
            if held.object == object && ids.contains(&held.id) {
                found.retain(|record| record.id != held.id);
                found.push(Record {
                    version: held.version + 1,
                    ..held.clone()
                });
            }
        }
    }
}

fn locked(held: &Mutex<HeldBack>) -> MutexGuard<'_, HeldBack> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn stored_version(inner: &dyn Store, record: &Record) -> Result<u64, Error> {
    let ids = [record.id.clone()];
    let stored = inner
        .records(&record.connection, record.object, &ids)
        .await?;
    Ok(stored.first().map_or(0, |stored| stored.version))
}

fn is_about(line: &Entry, record: &Record) -> bool {
    (line.object, line.record.as_ref()) == (Some(record.object), Some(&record.id))
}

/// Stores a held record; false where somebody else stored it meanwhile, whose version stays.
async fn store(inner: &dyn Store, record: &Record) -> Result<bool, Error> {
    match inner.save_record(record.clone()).await {
        Ok(_) => Ok(true),
        Err(Error::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A page's links are stored before its records, which come last of all.
#[derive(Default)]
pub(super) struct LinkFirst(Mutex<HeldBack>);

impl LinkFirst {
    async fn let_go(&self, inner: &dyn Store) -> Result<(), Error> {
        let held = std::mem::take(&mut *locked(&self.0));
        locked(&self.0).at_it = held.at_it;
        let mut lines = held.lines;
        for record in held.records {
            let (object, zoho_id) = (record.object, record.zoho_id);
            if store(inner, &record).await? {
                continue;
            }
            lines.retain(|line| !is_about(line, &record));
            // Its row is looked at once more.
            let of = |link: &&Link| link.object == object && Some(link.zoho_id) == zoho_id;
            let again = held.links.iter().find(of).map(|link| Link {
                hash: Digest::of(b"not stored"),
                ..link.clone()
            });
            inner.save_links(again.as_slice()).await?;
        }
        inner.write(&lines).await
    }
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
        locked(&self.0).at_it = key.stage == Stage::Routine || key.stage.compares();
        inner.slice(connection, run, key).await
    }

    async fn write(&self, inner: &dyn Store, entries: &[Entry]) -> Result<(), Error> {
        let at_it = locked(&self.0).at_it;
        match at_it {
            true => {
                locked(&self.0).lines.extend_from_slice(entries);
                Ok(())
            }
            false => inner.write(entries).await,
        }
    }

    async fn records(
        &self,
        inner: &dyn Store,
        connection: &ConnectionId,
        object: Object,
        ids: &[PlatformId],
    ) -> Result<Vec<Record>, Error> {
        let mut found = inner.records(connection, object, ids).await?;
        locked(&self.0).show(object, ids, &mut found);
        Ok(found)
    }

    async fn save_record(&self, inner: &dyn Store, record: Record) -> Result<Record, Error> {
        if !locked(&self.0).takes(&record) {
            return inner.save_record(record).await;
        }
        let stored = stored_version(inner, &record).await?;
        locked(&self.0).keep_record(record, stored)
    }

    async fn save_links(&self, inner: &dyn Store, links: &[Link]) -> Result<(), Error> {
        inner.save_links(links).await?;
        let mut held = locked(&self.0);
        links.iter().for_each(|link| held.keep_link(link));
        Ok(())
    }

    async fn move_cursor(
        &self,
        inner: &dyn Store,
        connection: &ConnectionId,
        object: Object,
        from: Option<Cursor>,
        to: Cursor,
    ) -> Result<(), Error> {
        self.let_go(inner).await?;
        inner.move_cursor(connection, object, from, to).await
    }

    async fn save_slice(&self, inner: &dyn Store, slice: &mut Slice) -> Result<Progress, Error> {
        self.let_go(inner).await?;
        inner.save_slice(slice).await
    }
}

/// A page's cursor moves before its records and their links are stored, which come last of all.
#[derive(Default)]
pub(super) struct CursorFirst(Mutex<HeldBack>);

impl CursorFirst {
    async fn let_go(&self, inner: &dyn Store) -> Result<(), Error> {
        let held = std::mem::take(&mut *locked(&self.0));
        locked(&self.0).at_it = held.at_it;
        let (mut lines, mut links) = (held.lines, held.links);
        for record in held.records {
            let (object, zoho_id) = (record.object, record.zoho_id);
            if !store(inner, &record).await? {
                lines.retain(|line| !is_about(line, &record));
                // Its row is looked at once more.
                links.retain(|link| (link.object, Some(link.zoho_id)) != (object, zoho_id));
            }
        }
        inner.write(&lines).await?;
        inner.save_links(&links).await
    }
}

#[async_trait]
impl StoreLayer for CursorFirst {
    async fn slice(
        &self,
        inner: &dyn Store,
        connection: &ConnectionId,
        run: &RunId,
        key: SliceKey,
    ) -> Result<Option<Slice>, Error> {
        locked(&self.0).at_it = key.stage == Stage::Routine;
        inner.slice(connection, run, key).await
    }

    async fn save_slice(&self, inner: &dyn Store, slice: &mut Slice) -> Result<Progress, Error> {
        self.let_go(inner).await?;
        inner.save_slice(slice).await
    }

    async fn write(&self, inner: &dyn Store, entries: &[Entry]) -> Result<(), Error> {
        let at_it = locked(&self.0).at_it;
        match at_it {
            true => {
                locked(&self.0).lines.extend_from_slice(entries);
                Ok(())
            }
            false => inner.write(entries).await,
        }
    }

    async fn records(
        &self,
        inner: &dyn Store,
        connection: &ConnectionId,
        object: Object,
        ids: &[PlatformId],
    ) -> Result<Vec<Record>, Error> {
        let mut found = inner.records(connection, object, ids).await?;
        locked(&self.0).show(object, ids, &mut found);
        Ok(found)
    }

    async fn links(
        &self,
        inner: &dyn Store,
        connection: &ConnectionId,
        object: Object,
        ids: &[ZohoId],
    ) -> Result<Vec<Link>, Error> {
        let mut found = inner.links(connection, object, ids).await?;
        for held in &locked(&self.0).links {
            if held.object == object && ids.contains(&held.zoho_id) {
                found.retain(|link| link.zoho_id != held.zoho_id);
                found.push(held.clone());
            }
        }
        Ok(found)
    }

    async fn save_record(&self, inner: &dyn Store, record: Record) -> Result<Record, Error> {
        if !locked(&self.0).takes(&record) {
            return inner.save_record(record).await;
        }
        let stored = stored_version(inner, &record).await?;
        locked(&self.0).keep_record(record, stored)
    }

    async fn save_links(&self, inner: &dyn Store, links: &[Link]) -> Result<(), Error> {
        let at_it = locked(&self.0).at_it;
        match at_it {
            true => {
                let mut held = locked(&self.0);
                links.iter().for_each(|link| held.keep_link(link));
                Ok(())
            }
            false => inner.save_links(links).await,
        }
    }
}
