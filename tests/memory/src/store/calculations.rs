//! Marks of accounts that are to be calculated.

use std::collections::BTreeMap;
use std::ops::Bound;

use async_trait::async_trait;
use jiff::civil;
use tandem::calculation::Mark;
use tandem::identifier::{ConnectionId, Digest, PlatformId};
use tandem::port::{Calculations, Error};

use super::MemoryStore;
use super::erasure::{Allowance, drain, drain_parts};

type Key = (civil::Date, PlatformId);

#[derive(Debug, Default)]
pub(super) struct Table {
    marks: BTreeMap<ConnectionId, BTreeMap<Key, Mark>>,
    plans: BTreeMap<ConnectionId, Digest>,
}

impl Table {
    pub(super) fn all_marks(&self, connection: &ConnectionId) -> Vec<Mark> {
        let marks = self.marks.get(connection).into_iter();
        marks.flat_map(BTreeMap::values).cloned().collect()
    }

    pub(super) fn erase(&mut self, connection: &ConnectionId, allowance: &mut Allowance) {
        let Self { marks, plans } = self;
        drain_parts(marks, |of| of == connection, allowance);
        drain(plans, |of, _| of == connection, allowance);
    }
}

fn key(mark: &Mark) -> Key {
    (mark.day, mark.account.clone())
}

#[async_trait]
impl Calculations for MemoryStore {
    async fn mark_calculations(&self, marks: &[Mark]) -> Result<(), Error> {
        let mut tables = self.tables();
        for mark in marks {
            let stored = tables.calculations.marks.entry(mark.connection.clone());
            stored.or_default().insert(key(mark), mark.clone());
            tables.writes.marks += 1;
        }
        Ok(())
    }

    async fn calculations_due(
        &self,
        connection: &ConnectionId,
        today: civil::Date,
        after: Option<(civil::Date, &PlatformId)>,
        limit: usize,
    ) -> Result<Vec<Mark>, Error> {
        let tables = self.tables();
        let from = after.map_or(Bound::Unbounded, |(day, account)| {
            Bound::Excluded((day, account.clone()))
        });
        let stored = tables.calculations.marks.get(connection).into_iter();
        Ok(stored
            .flat_map(|stored| stored.range((from.clone(), Bound::Unbounded)))
            .map(|(_, mark)| mark.clone())
            .take_while(|mark| mark.day <= today)
            .take(limit)
            .collect())
    }

    async fn clear_calculations(&self, marks: &[Mark]) -> Result<(), Error> {
        let mut tables = self.tables();
        for mark in marks {
            let Some(stored) = tables.calculations.marks.get_mut(&mark.connection) else {
                continue;
            };
            let key = key(mark);
            if stored.get(&key).is_some_and(|one| one.stamp == mark.stamp) {
                stored.remove(&key);
                tables.writes.marks += 1;
            }
        }
        Ok(())
    }

    async fn calculated_with(&self, connection: &ConnectionId) -> Result<Option<Digest>, Error> {
        Ok(self.tables().calculations.plans.get(connection).copied())
    }

    async fn note_calculated_with(
        &self,
        connection: &ConnectionId,
        plan: Digest,
    ) -> Result<(), Error> {
        let mut tables = self.tables();
        tables.calculations.plans.insert(connection.clone(), plan);
        tables.writes.plans += 1;
        Ok(())
    }
}
