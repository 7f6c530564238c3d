//! A secondary index, which may lag behind its table.

use std::collections::{BTreeMap, VecDeque};

/// Partitions of items in the order of their keys, each with the part of the item that the index holds.
#[derive(Debug)]
pub(super) struct Index<P, K, V = ()> {
    shown: BTreeMap<P, BTreeMap<K, V>>,
    behind: VecDeque<Change<P, K, V>>,
    lag: usize,
}

#[derive(Debug)]
struct Change<P, K, V> {
    out: Option<(P, K)>,
    into: Option<((P, K), V)>,
}

impl<P, K, V> Default for Index<P, K, V> {
    fn default() -> Self {
        Self {
            shown: BTreeMap::new(),
            behind: VecDeque::new(),
            lag: 0,
        }
    }
}

impl<P: Ord, K: Ord, V> Index<P, K, V> {
    /// An item moves from one place to another; none where it is not in the index.
    pub(super) fn change(&mut self, out: Option<(P, K)>, into: Option<((P, K), V)>) {
        if out.is_some() || into.is_some() {
            self.behind.push_back(Change { out, into });
            self.catch_up(self.lag);
        }
    }

    /// Lets the index lag behind by so many changes.
    pub(super) fn lag(&mut self, changes: usize) {
        self.lag = changes;
        self.catch_up(changes);
    }

    /// Lets the index catch up.
    pub(super) fn settle(&mut self) {
        self.catch_up(0);
    }

    /// What the index shows of a partition.
    pub(super) fn partition(&self, partition: &P) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.shown.get(partition).into_iter().flatten()
    }

    fn catch_up(&mut self, lag: usize) {
        while self.behind.len() > lag {
            if let Some(change) = self.behind.pop_front() {
                if let Some((partition, key)) = change.out
                    && let Some(shown) = self.shown.get_mut(&partition)
                {
                    shown.remove(&key);
                    if shown.is_empty() {
                        self.shown.remove(&partition);
                    }
                }
                if let Some(((partition, key), value)) = change.into {
                    self.shown.entry(partition).or_default().insert(key, value);
                }
            }
        }
    }
}
