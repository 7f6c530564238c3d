//! Deleting everything of a connection, partition by partition.

use async_trait::async_trait;

use super::DynamoStore;
use super::batch::Write;
use super::item::{Item, text_of};
use super::names;
use super::query::Query;
use crate::connection::Deleted;
use crate::identifier::ConnectionId;
use crate::port::{Erasure, Error};

#[async_trait]
impl Erasure for DynamoStore {
    async fn erase(&self, connection: &ConnectionId, limit: usize) -> Result<Deleted, Error> {
        let objects = names::objects_of(connection);
        let links = self
            .empty(&self.tables.links, objects.clone(), limit)
            .await?;
        let left = limit.saturating_sub(links);
        let records = self.empty(&self.tables.records, objects, left).await?;
        let left = left.saturating_sub(records);
        let log = vec![names::log_of(connection)];
        let log = self.empty(&self.tables.log, log, left).await?;
        let left = left.saturating_sub(log);
        let state = names::state_of(connection);
        let state = self.empty(&self.tables.state, state, left).await?;
        Ok(Deleted {
            state: state as u64,
            links: links as u64,
            records: records as u64,
            log: log as u64,
        })
    }
}

impl DynamoStore {
    /// Deletes up to `limit` items of these partitions, and says how many.
    async fn empty(
        &self,
        table: &str,
        partitions: Vec<String>,
        limit: usize,
    ) -> Result<usize, Error> {
        let mut deleted = 0;
        for partition in partitions {
            let left = limit - deleted;
            if left == 0 {
                break;
            }
            let query = Query::table(table, partition).keys_only();
            let (items, _) = self.first(&query, left).await?;
            // What the list leads to goes first: a list cut off in between still leads there.
            let listed: Vec<Write> = items.iter().filter_map(listed_elsewhere).collect();
            if !listed.is_empty() {
                self.batch_write(table, listed).await?;
            }
            deleted += items.len();
            let writes = items.iter().map(|item| Write::Delete {
                pk: text_of(item, "pk").to_owned(),
                sk: text_of(item, "sk").to_owned(),
            });
            self.batch_write(table, writes).await?;
        }
        Ok(deleted)
    }
}

/// The OAuth state that an item of its connection's list names: it lies in a partition of its own.
fn listed_elsewhere(item: &Item) -> Option<Write> {
    let partition = text_of(item, "sk");
    partition
        .starts_with(names::OAUTH_STATES)
        .then(|| Write::Delete {
            pk: partition.to_owned(),
            sk: names::OAUTH_STATE.to_owned(),
        })
}
