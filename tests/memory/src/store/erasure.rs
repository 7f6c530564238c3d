//! Deleting everything of a connection.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tandem::connection::Deleted;
use tandem::identifier::ConnectionId;
use tandem::port::{Erasure, Error};

use super::{MemoryStore, Tables};

/// How many items may still be deleted, and how many were.
#[derive(Debug)]
pub(super) struct Allowance {
    left: usize,
    used: u64,
}

impl Allowance {
    const fn of(limit: usize) -> Self {
        Self {
            left: limit,
            used: 0,
        }
    }

    /// Whether one more item may be deleted, which is then counted.
    pub(super) fn take(&mut self) -> bool {
        let granted = self.left > 0;
        if granted {
            self.left -= 1;
            self.used += 1;
        }
        granted
    }

    /// How many were deleted since this was asked last.
    fn counted(&mut self) -> u64 {
        std::mem::take(&mut self.used)
    }
}

/// Takes items out of a map, as many as are allowed.
pub(super) fn drain<K: Ord + Clone, V>(
    items: &mut BTreeMap<K, V>,
    mine: impl Fn(&K, &V) -> bool,
    allowance: &mut Allowance,
) -> Vec<V> {
    let keys: Vec<K> = items
        .iter()
        .filter(|(key, item)| mine(key, item) && allowance.take())
        .map(|(key, _)| key.clone())
        .collect();
    keys.iter().filter_map(|key| items.remove(key)).collect()
}

/// The same of maps within a map; nothing of an empty one stays.
pub(super) fn drain_parts<P: Ord, K: Ord + Clone, V>(
    parts: &mut BTreeMap<P, BTreeMap<K, V>>,
    mine: impl Fn(&P) -> bool,
    allowance: &mut Allowance,
) -> Vec<V> {
    let mut taken = Vec::new();
    for (part, items) in parts.iter_mut() {
        if mine(part) {
            taken.extend(drain(items, |_, _| true, allowance));
        }
    }
    parts.retain(|_, items| !items.is_empty());
    taken
}

#[async_trait]
impl Erasure for MemoryStore {
    async fn erase(&self, connection: &ConnectionId, limit: usize) -> Result<Deleted, Error> {
        let mut tables = self.tables();
        // Every table is named, so that a new one can't be forgotten.
        let Tables {
            connections,
            coordination,
            ledger,
            records,
            journal,
            calculations,
            writes,
        } = &mut *tables;
        let mut allowance = Allowance::of(limit);
        ledger.erase_links(connection, &mut allowance);
        let links = allowance.counted();
        records.erase(connection, &mut allowance);
        let in_records = allowance.counted();
        journal.erase(connection, &mut allowance);
        let log = allowance.counted();
        ledger.erase_waiting(connection, &mut allowance);
        calculations.erase(connection, &mut allowance);
        coordination.erase(connection, &mut allowance);
        connections.erase(connection, &mut allowance);
        let deleted = Deleted {
            state: allowance.counted(),
            links,
            records: in_records,
            log,
        };
        writes.erased += deleted.total();
        Ok(deleted)
    }
}
