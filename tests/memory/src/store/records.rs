//! Records and their three indexes.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;
use tandem::identifier::{ConnectionId, PlatformId};
use tandem::object::Object;
use tandem::port::{Error, Page, Records};
use tandem::record::{RESTORABLE, Record};

use super::erasure::{Allowance, drain_parts};
use super::index::Index;
use super::page::Question;
use super::{MemoryStore, next_version};

/// The size of the largest item, as in the real store, and near enough: counted as JSON.
const LARGEST: usize = 400 * 1024;

type Part = (ConnectionId, Object);
type AccountKey = ((ConnectionId, PlatformId), (Object, PlatformId));
type PendingKey = (ConnectionId, (Timestamp, Object, PlatformId));
type UpdatedKey = (Part, (Timestamp, PlatformId));

#[derive(Debug, Default)]
pub(super) struct Table {
    records: BTreeMap<Part, BTreeMap<PlatformId, Record>>,
    by_account: Index<(ConnectionId, PlatformId), (Object, PlatformId)>,
    by_pending: Index<ConnectionId, (Timestamp, Object, PlatformId)>,
    by_parked: Index<ConnectionId, (Timestamp, Object, PlatformId)>,
    by_updated: Index<Part, (Timestamp, PlatformId)>,
}

impl Table {
    pub(super) fn lag(&mut self, changes: usize) {
        self.by_account.lag(changes);
        self.by_pending.lag(changes);
        self.by_parked.lag(changes);
        self.by_updated.lag(changes);
    }

    pub(super) fn settle(&mut self) {
        self.by_account.settle();
        self.by_pending.settle();
        self.by_parked.settle();
        self.by_updated.settle();
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        let expired = |record: &&Record| {
            record.removed.as_ref().is_some_and(|removed| {
                removed
                    .at
                    .saturating_add(RESTORABLE)
                    .is_ok_and(|end| end <= now)
            })
        };
        let records = self.records.values().flat_map(BTreeMap::values);
        let expired: Vec<Record> = records.filter(expired).cloned().collect();
        for record in expired {
            self.reindex(Some(&record), None);
            if let Some(part) = self
                .records
                .get_mut(&part(&record.connection, record.object))
            {
                part.remove(&record.id);
            }
        }
    }

    pub(super) fn erase(&mut self, connection: &ConnectionId, allowance: &mut Allowance) {
        for record in drain_parts(&mut self.records, |(of, _)| of == connection, allowance) {
            self.reindex(Some(&record), None);
        }
    }

    pub(super) fn all(&self, connection: &ConnectionId) -> Vec<Record> {
        let parts = self.records.iter().filter(|((of, _), _)| of == connection);
        parts
            .flat_map(|(_, records)| records.values())
            .cloned()
            .collect()
    }

    fn get(&self, connection: &ConnectionId, object: Object, id: &PlatformId) -> Option<&Record> {
        self.records.get(&part(connection, object))?.get(id)
    }

    fn save(&mut self, record: Record) -> Result<Record, Error> {
        let stored = self.get(&record.connection, record.object, &record.id);
        let what = || format!("{} {} of {}", record.object, record.id, record.connection);
        let version = next_version(what, stored.map(|stored| stored.version), record.version)?;
        if size(&record) > LARGEST {
            return Err(Error::Refused {
                what: what(),
                source: "it is larger than an item can be".into(),
            });
        }
        let stored = stored.cloned();
        let saved = Record { version, ..record };
        self.reindex(stored.as_ref(), Some(&saved));
        let records = self.records.entry(part(&saved.connection, saved.object));
        records.or_default().insert(saved.id.clone(), saved.clone());
        Ok(saved)
    }

    fn reindex(&mut self, before: Option<&Record>, after: Option<&Record>) {
        self.by_account.change(
            before.and_then(account_key),
            after.and_then(account_key).map(|key| (key, ())),
        );
        self.by_pending.change(
            before.and_then(pending_key),
            after.and_then(pending_key).map(|key| (key, ())),
        );
        self.by_parked.change(
            before.and_then(parked_key),
            after.and_then(parked_key).map(|key| (key, ())),
        );
        self.by_updated.change(
            before.map(updated_key),
            after.map(updated_key).map(|key| (key, ())),
        );
    }
}

fn part(connection: &ConnectionId, object: Object) -> Part {
    (connection.clone(), object)
}

fn size(record: &Record) -> usize {
    serde_json::to_vec(record).map_or(usize::MAX, |json| json.len())
}

fn account_key(record: &Record) -> Option<AccountKey> {
    let account = record.account()?.clone();
    let partition = (record.connection.clone(), account);
    Some((partition, (record.object, record.id.clone())))
}

fn pending_key(record: &Record) -> Option<PendingKey> {
    let since = record.pending_since().filter(|_| record.wants_push())?;
    let key = (since, record.object, record.id.clone());
    Some((record.connection.clone(), key))
}

fn parked_key(record: &Record) -> Option<PendingKey> {
    let key = (record.parked_since()?, record.object, record.id.clone());
    Some((record.connection.clone(), key))
}

fn updated_key(record: &Record) -> UpdatedKey {
    let key = (record.updated_at, record.id.clone());
    (part(&record.connection, record.object), key)
}

#[async_trait]
impl Records for MemoryStore {
    async fn records(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[PlatformId],
    ) -> Result<Vec<Record>, Error> {
        let tables = self.tables();
        let ids: BTreeSet<&PlatformId> = ids.iter().collect();
        Ok(ids
            .into_iter()
            .filter_map(|id| tables.records.get(connection, object, id))
            .cloned()
            .collect())
    }

    async fn save_record(&self, record: Record) -> Result<Record, Error> {
        let mut tables = self.tables();
        let saved = tables.records.save(record)?;
        tables.writes.records += 1;
        Ok(saved)
    }

    async fn list_records(
        &self,
        connection: &ConnectionId,
        object: Object,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Record>, Error> {
        let question = Question::of(&("records", connection, object));
        let after = question.position(next.as_deref())?;
        let tables = self.tables();
        let left = tables
            .records
            .records
            .get(&part(connection, object))
            .into_iter()
            .flat_map(BTreeMap::values)
            .filter(|record| {
                after
                    .as_deref()
                    .is_none_or(|after| record.id.as_str() > after)
            })
            .cloned();
        Ok(question.page(left, limit, |record| record.id.to_string()))
    }

    async fn records_updated_since(
        &self,
        connection: &ConnectionId,
        object: Object,
        since: Timestamp,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Record>, Error> {
        let question = Question::of(&("updated", connection, object, since));
        let after = question.position(next.as_deref())?;
        let tables = self.tables();
        let partition = part(connection, object);
        let left = tables
            .records
            .by_updated
            .partition(&partition)
            .map(|(key, ())| key)
            .filter(|(at, _)| *at >= since)
            .filter(|key| {
                after
                    .as_deref()
                    .is_none_or(|after| position(key).as_str() > after)
            });
        let page = question.page(left, limit, |key| position(key));
        Ok(Page {
            items: page
                .items
                .into_iter()
                .filter_map(|(_, id)| tables.records.get(connection, object, id))
                .cloned()
                .collect(),
            next: page.next,
        })
    }

    async fn records_of_account(
        &self,
        connection: &ConnectionId,
        account: &PlatformId,
    ) -> Result<Vec<(Object, PlatformId)>, Error> {
        let tables = self.tables();
        let partition = (connection.clone(), account.clone());
        let keys = tables.records.by_account.partition(&partition);
        Ok(keys.map(|(key, ())| key.clone()).collect())
    }

    async fn pending(
        &self,
        connection: &ConnectionId,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Object, PlatformId)>, Error> {
        let tables = self.tables();
        let keys = tables.records.by_pending.partition(connection);
        Ok(keys
            .map(|(key, ())| key)
            .take_while(|(since, _, _)| *since <= before)
            .map(|(_, object, id)| (*object, id.clone()))
            .take(limit)
            .collect())
    }

    async fn parked(
        &self,
        connection: &ConnectionId,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Record>, Error> {
        let question = Question::of(&("parked", connection));
        let before = question.position(next.as_deref())?;
        let tables = self.tables();
        let place = |(since, object, id): &(Timestamp, Object, PlatformId)| {
            position(&(*since, id.clone())) + object.name()
        };
        let mut keys: Vec<_> = tables
            .records
            .by_parked
            .partition(connection)
            .map(|(key, ())| key)
            .collect();
        keys.sort_by_key(|key| place(key));
        let left = keys.into_iter().rev().filter(|key| {
            before
                .as_deref()
                .is_none_or(|before| place(key).as_str() < before)
        });
        let page = question.page(left, limit, |key| place(key));
        let still = |record: &&Record, since: Timestamp| record.parked_since() == Some(since);
        Ok(Page {
            items: page
                .items
                .into_iter()
                .filter_map(|(since, object, id)| {
                    let found = tables.records.get(connection, *object, id);
                    found.filter(|record| still(record, *since))
                })
                .cloned()
                .collect(),
            next: page.next,
        })
    }
}

/// A place in the order of changes, as text in the same order.
fn position((at, id): &(Timestamp, PlatformId)) -> String {
    let since_the_least = at.as_nanosecond() - Timestamp::MIN.as_nanosecond();
    format!("{since_the_least:039} {id}")
}
