//! Which records a condition can hold for at all: what saves a query from looking at every one.

use super::compile::{Column, Compiled, Leaf, Test};
use super::syntax::{Comparison, Connective};
use crate::org::record::Value;
use crate::org::schema::common;
use crate::org::store::{Key, Table};
use jiff::Timestamp;

/// Bounds that follow from the condition.
#[derive(Debug, Default)]
pub(super) struct Access {
    /// Only these ids.
    pub(super) ids: Option<Vec<u64>>,
    /// Ids from here on.
    pub(super) from_id: u64,
    /// Modified at or after.
    pub(super) from: Option<Timestamp>,
    /// Modified at or before.
    pub(super) to: Option<Timestamp>,
}

impl Access {
    pub(super) fn of(condition: &Compiled, table: &Table) -> Self {
        let mut access = Self::default();
        access.narrow(condition, table);
        access
    }

    /// The bounds in the index over the times of modification.
    pub(super) fn times(&self) -> ((Timestamp, u64), (Timestamp, u64)) {
        let low = (self.from.unwrap_or(Timestamp::MIN), 0);
        let high = (self.to.unwrap_or(Timestamp::MAX), u64::MAX);
        (low, high)
    }

    fn narrow(&mut self, condition: &Compiled, table: &Table) {
        match condition {
            Compiled::Pair(left, Connective::And, right) => {
                self.narrow(left, table);
                self.narrow(right, table);
            }
            Compiled::Pair(_, Connective::Or, _) => {}
            Compiled::Test(column, test) if column.hops.is_empty() => match column.leaf {
                Leaf::Id => self.by_id(test),
                Leaf::Field {
                    position: common::MODIFIED_TIME,
                    ..
                } => self.by_time(test),
                Leaf::Field { position, .. } if table.is_indexed(position) => {
                    self.by_index(test, position, table)
                }
                _ => {}
            },
            Compiled::Test(..) => {}
        }
    }

    fn by_id(&mut self, test: &Test) {
        match test {
            Test::Compare(Comparison::Equal, Value::Reference(id)) => self.only(vec![*id]),
            Test::Compare(Comparison::Greater, Value::Reference(id)) => {
                self.from_id = self.from_id.max(id.saturating_add(1));
            }
            Test::Compare(Comparison::GreaterEqual, Value::Reference(id)) => {
                self.from_id = self.from_id.max(*id)
            }
            Test::In(false, list) => {
                self.only(list.iter().filter_map(Value::as_reference).collect())
            }
            _ => {}
        }
    }

    fn by_time(&mut self, test: &Test) {
        match test {
            Test::Compare(Comparison::Greater | Comparison::GreaterEqual, Value::Instant(at)) => {
                self.from = self.from.max(Some(*at));
            }
            Test::Compare(Comparison::Less | Comparison::LessEqual, Value::Instant(at)) => {
                self.to = Some(self.to.map_or(*at, |to| to.min(*at)));
            }
            Test::Compare(Comparison::Equal, Value::Instant(at)) => {
                self.from = self.from.max(Some(*at));
                self.to = Some(self.to.map_or(*at, |to| to.min(*at)));
            }
            Test::Between(false, Value::Instant(low), Value::Instant(high)) => {
                self.from = self.from.max(Some(*low));
                self.to = Some(self.to.map_or(*high, |to| to.min(*high)));
            }
            _ => {}
        }
    }

    fn by_index(&mut self, test: &Test, position: usize, table: &Table) {
        let keys: Vec<Key> = match test {
            Test::Compare(Comparison::Equal, value) => Key::of(value).into_iter().collect(),
            Test::In(false, values) => values.iter().filter_map(Key::of).collect(),
            _ => return,
        };
        let ids = keys
            .iter()
            .filter_map(|key| table.with_key(position, key))
            .flatten()
            .collect();
        self.only(ids);
    }

    fn only(&mut self, mut ids: Vec<u64>) {
        ids.sort_unstable();
        ids.dedup();
        if let Some(known) = &self.ids {
            ids.retain(|id| known.contains(id));
        }
        self.ids = Some(ids);
    }
}

/// How the rows are ordered, as far as it matters for finding them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ordered {
    ById { ascending: bool },
    ByModified { ascending: bool },
    Otherwise,
}

impl Ordered {
    pub(super) fn of(keys: &[(Column, bool)]) -> Self {
        let id = |key: &(Column, bool)| key.0.hops.is_empty() && key.0.leaf == Leaf::Id;
        let modified = |key: &(Column, bool)| {
            key.0.hops.is_empty()
                && matches!(
                    key.0.leaf,
                    Leaf::Field {
                        position: common::MODIFIED_TIME,
                        ..
                    }
                )
        };
        match keys {
            [] => Self::ById { ascending: true },
            [first, ..] if id(first) => Self::ById { ascending: first.1 },
            [first] if modified(first) && first.1 => Self::ByModified { ascending: true },
            [first, second, ..] if modified(first) && id(second) && first.1 == second.1 => {
                Self::ByModified { ascending: first.1 }
            }
            _ => Self::Otherwise,
        }
    }
}
