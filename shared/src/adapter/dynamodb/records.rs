//! Records, in their own table; `record_item` says how one is stored.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::DynamoStore;
use super::item::{Item, corrupt, text, text_of};
use super::names;
use super::page;
use super::query::Query;
use super::record_item::{item_of, pending_until, record_of, waits_at};
use super::write::Guard;
use crate::identifier::{ConnectionId, PlatformId};
use crate::journal::sortable;
use crate::object::Object;
use crate::port::{Error, Page, Records};
use crate::record::Record;

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no key of a record")]
struct BadKey(String);

/// The record that an index names.
pub(super) fn named(item: &Item) -> Result<(Object, PlatformId), Error> {
    let pk = text_of(item, "pk");
    let bad = || corrupt("an index of records", BadKey(pk.to_owned()));
    let (_, object) = pk.split_once('#').ok_or_else(bad)?;
    let object = object.parse().map_err(|_| bad())?;
    let id = text_of(item, "sk").parse().map_err(|_| bad())?;
    Ok((object, id))
}

/// A record for a message that can end in the functions' logs: not by its platform id, which can be an e-mail address.
fn in_words(record: &Record) -> String {
    let (connection, object) = (&record.connection, record.object);
    match record.zoho_id {
        Some(id) => format!("the {object} of Zoho id {id} of connection {connection}"),
        None => format!("a {object} of connection {connection} that is not in Zoho yet"),
    }
}

#[async_trait]
impl Records for DynamoStore {
    async fn records(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[PlatformId],
    ) -> Result<Vec<Record>, Error> {
        let keys = ids.iter().map(|id| id.as_str().to_owned()).collect();
        let pk = names::of_object(connection, object);
        let items = self.batch_get(&self.tables.records, &pk, keys).await?;
        items.into_iter().map(record_of).collect()
    }

    async fn save_record(&self, mut record: Record) -> Result<Record, Error> {
        let guard = Guard::read_at(record.version);
        record.version += 1;
        let item = item_of(record.clone())?;
        match self.put(&self.tables.records, item, guard).await {
            Ok(true) => Ok(record),
            Ok(false) => Err(Error::conflict(in_words(&record))),
            Err(Error::Refused { what: _, source }) => Err(Error::Refused {
                what: in_words(&record),
                source,
            }),
            Err(error) => Err(error),
        }
    }

    async fn list_records(
        &self,
        connection: &ConnectionId,
        object: Object,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Record>, Error> {
        let query = Query::table(&self.tables.records, names::of_object(connection, object));
        let page = self.page(&query, next.as_deref(), limit).await?;
        page.read(record_of)
    }

    async fn records_updated_since(
        &self,
        connection: &ConnectionId,
        object: Object,
        since: Timestamp,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Record>, Error> {
        let query = Query::index(
            &self.tables.records,
            "by-updated",
            ("pk", names::of_object(connection, object)),
            "updated_at",
        )
        .between(Some(text(sortable(since))), None);
        let page = self.page(&query, next.as_deref(), limit).await?;
        let named = page
            .items
            .iter()
            .map(|item| named(item).map(|(_, id)| id))
            .collect::<Result<Vec<_>, _>>()?;
        let records = self.records(connection, object, &named).await?;
        let mut records = records
            .into_iter()
            .map(|record| (record.id.to_string(), record))
            .collect::<BTreeMap<_, _>>();
        // A record that changed since the index named it comes again at its new place; shown here it would carry a later time than what
        // follows, and a reader who goes on from the latest time would miss that.
        let at_its_place = |item: &Item| {
            let record = records.remove(text_of(item, "sk"))?;
            let unchanged = sortable(record.updated_at) == text_of(item, "updated_at");
            Some(record).filter(|record| unchanged && record.updated_at >= since)
        };
        Ok(Page {
            items: page.items.iter().filter_map(at_its_place).collect(),
            next: page.next,
        })
    }

    async fn records_of_account(
        &self,
        connection: &ConnectionId,
        account: &PlatformId,
    ) -> Result<Vec<(Object, PlatformId)>, Error> {
        let query = Query::index(
            &self.tables.records,
            "by-account",
            ("account_key", names::account(connection, account)),
            "sk",
        );
        self.all(&query).await?.iter().map(named).collect()
    }

    async fn pending(
        &self,
        connection: &ConnectionId,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Object, PlatformId)>, Error> {
        let query = Query::index(
            &self.tables.records,
            "by-pending",
            ("pending_key", connection.to_string()),
            "pending_since",
        )
        .between(None, Some(text(pending_until(before))));
        let (items, _) = self.first(&query, limit).await?;
        items.iter().map(named).collect()
    }

    async fn parked(
        &self,
        connection: &ConnectionId,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Record>, Error> {
        let partition = names::parked(connection);
        // The index's records lie in several partitions of the table, so a page goes on behind a place in the index and not behind a record.
        let question = format!("parked {partition}");
        let query = Query::index(
            &self.tables.records,
            "by-pending",
            ("pending_key", partition),
            "pending_since",
        )
        .descending();
        let query = match next {
            Some(token) => {
                let [place] = page::behind(&question, &token)?;
                query.before(&place)
            }
            None => query,
        };
        let (items, more) = self.first(&query, limit).await?;
        let next = items
            .last()
            .filter(|_| more)
            .map(|last| page::token(&question, &[text_of(last, "pending_since")]));
        let mut ids: BTreeMap<Object, Vec<PlatformId>> = BTreeMap::new();
        for (object, id) in items.iter().map(named).collect::<Result<Vec<_>, Error>>()? {
            ids.entry(object).or_default().push(id);
        }
        let mut records = BTreeMap::new();
        for (object, ids) in ids {
            let read = self.records(connection, object, &ids).await?;
            records.extend(
                read.into_iter()
                    .filter_map(|record| Some((waits_at(&record)?, record))),
            );
        }
        // What was tried again meanwhile, or parked anew, is elsewhere by now.
        let at_its_place = |item: &Item| {
            let place = ["pending_key", "pending_since"].map(|name| text_of(item, name).to_owned());
            records.remove(&place.into())
        };
        Ok(Page {
            items: items.iter().filter_map(at_its_place).collect(),
            next,
        })
    }
}
