//! The records of one module with the indices that make reading them quick.

use super::record::{Record, Value};
use super::schema::Module;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What an index is keyed by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A record or a user.
    Id(u64),
    /// Text without case and outer white space.
    Text(String),
}

impl Key {
    /// The key of a value, when it can have one.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(Self::text(text)),
            Value::Reference(id) => Some(Self::Id(*id)),
            _ => None,
        }
    }

    /// The key of a text.
    pub fn text(text: &str) -> Self {
        Self::Text(text.trim().to_lowercase())
    }
}

/// A deleted record.
#[derive(Debug, Clone)]
pub struct Tombstone {
    /// The record as it was.
    pub record: Record,
    /// When it was deleted.
    pub deleted: Timestamp,
    /// Who deleted it.
    pub by: u64,
    /// Gone from the recycle bin as well.
    pub permanent: bool,
}

/// The records of one module.
#[derive(Debug, Clone, Default)]
pub struct Table {
    records: BTreeMap<u64, Record>,
    by_modified: BTreeSet<(Timestamp, u64)>,
    indices: BTreeMap<usize, BTreeMap<Key, BTreeSet<u64>>>,
    deleted: BTreeMap<u64, Tombstone>,
    changes: u64,
}

impl Table {
    /// An empty table with the indices that a module's fields ask for.
    pub fn new(module: &Module) -> Self {
        let indices = module
            .fields()
            .iter()
            .enumerate()
            .filter(|(_, field)| field.indexed || field.unique)
            .map(|(position, _)| (position, BTreeMap::new()))
            .collect();
        Self {
            indices,
            ..Self::default()
        }
    }

    /// All records by id.
    pub fn records(&self) -> &BTreeMap<u64, Record> {
        &self.records
    }

    /// All records by the time of their last modification, then id.
    pub fn by_modified(&self) -> &BTreeSet<(Timestamp, u64)> {
        &self.by_modified
    }

    /// Deleted records by id.
    pub fn deleted(&self) -> &BTreeMap<u64, Tombstone> {
        &self.deleted
    }

    /// How often a record was put in or taken out.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// One record.
    pub fn get(&self, id: u64) -> Option<&Record> {
        self.records.get(&id)
    }

    /// Puts a record in, in the place of one with the same id.
    pub fn put(&mut self, record: Record) {
        self.take(record.id);
        self.changes += 1;
        self.by_modified.insert((record.modified(), record.id));
        for (position, index) in &mut self.indices {
            if let Some(key) = Key::of(record.value(*position)) {
                index.entry(key).or_default().insert(record.id);
            }
        }
        self.records.insert(record.id, record);
    }

    /// Takes a record out.
    pub fn take(&mut self, id: u64) -> Option<Record> {
        let record = self.records.remove(&id)?;
        self.changes += 1;
        self.by_modified.remove(&(record.modified(), id));
        for (position, index) in &mut self.indices {
            let Some(key) = Key::of(record.value(*position)) else {
                continue;
            };
            if let Some(ids) = index.get_mut(&key) {
                ids.remove(&id);
                if ids.is_empty() {
                    index.remove(&key);
                }
            }
        }
        Some(record)
    }

    /// Moves a record to the deleted ones.
    pub fn delete(&mut self, id: u64, by: u64, permanent: bool, now: Timestamp) -> bool {
        match self.take(id) {
            Some(record) => {
                self.deleted.insert(
                    id,
                    Tombstone {
                        record,
                        deleted: now,
                        by,
                        permanent,
                    },
                );
                true
            }
            None => match self.deleted.get_mut(&id) {
                Some(tombstone) if permanent && !tombstone.permanent => {
                    tombstone.permanent = true;
                    true
                }
                _ => false,
            },
        }
    }

    /// Brings a record back from the recycle bin as it was.
    pub fn restore(&mut self, id: u64) -> bool {
        if self
            .deleted
            .get(&id)
            .is_none_or(|tombstone| tombstone.permanent)
        {
            return false;
        }
        match self.deleted.remove(&id) {
            Some(tombstone) => {
                self.put(tombstone.record);
                true
            }
            None => false,
        }
    }

    /// The records whose field has this key; none when the field has no index.
    pub fn with_key(
        &self,
        position: usize,
        key: &Key,
    ) -> Option<impl Iterator<Item = u64> + use<'_>> {
        let index = self.indices.get(&position)?;
        Some(index.get(key).into_iter().flatten().copied())
    }

    /// Whether a field has an index.
    pub fn is_indexed(&self, position: usize) -> bool {
        self.indices.contains_key(&position)
    }

    /// Adds an index over a field.
    pub fn index(&mut self, position: usize) {
        if self.indices.contains_key(&position) {
            return;
        }
        let mut index: BTreeMap<Key, BTreeSet<u64>> = BTreeMap::new();
        for record in self.records.values() {
            if let Some(key) = Key::of(record.value(position)) {
                index.entry(key).or_default().insert(record.id);
            }
        }
        self.indices.insert(position, index);
    }
}
