//! Cursors, leases, runs, slices, OAuth states and credit counters.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;
use tandem::credit::{Bucket, Hour, Parts, Spent};
use tandem::cursor::Cursor;
use tandem::identifier::{ConnectionId, Digest, RunId};
use tandem::lack::{Lack, Lacks};
use tandem::object::Object;
use tandem::port::{Coordination, Error, OAuthState, Page, Progress};
use tandem::run::{Run, Slice, SliceKey};

use super::page::Question;
use super::{MemoryStore, next_version};

#[derive(Debug, Default)]
pub(super) struct Table {
    cursors: BTreeMap<(ConnectionId, Object), Cursor>,
    leases: BTreeMap<(ConnectionId, String), Lease>,
    runs: BTreeMap<ConnectionId, BTreeMap<RunId, Run>>,
    slices: BTreeMap<ConnectionId, BTreeMap<(RunId, SliceKey), Slice>>,
    oauth_states: BTreeMap<Digest, OAuthState>,
    credits: BTreeMap<ConnectionId, BTreeMap<Bucket, Hour>>,
    lacks: BTreeMap<ConnectionId, Lacks>,
}

#[derive(Debug)]
struct Lease {
    holder: String,
    until: Timestamp,
}

impl Table {
    pub(super) fn expire(&mut self, now: Timestamp) {
        self.oauth_states.retain(|_, state| state.expires_at > now);
        for buckets in self.credits.values_mut() {
            buckets.retain(|bucket, _| bucket.expires_at() > now);
        }
    }

    pub(super) fn all_runs(&self, connection: &ConnectionId) -> Vec<Run> {
        let runs = self.runs.get(connection).into_iter();
        runs.flat_map(BTreeMap::values).cloned().collect()
    }

    pub(super) fn all_slices(&self, connection: &ConnectionId) -> Vec<Slice> {
        let slices = self.slices.get(connection).into_iter();
        slices.flat_map(BTreeMap::values).cloned().collect()
    }
}

#[async_trait]
impl Coordination for MemoryStore {
    async fn cursor(
        &self,
        connection: &ConnectionId,
        object: Object,
    ) -> Result<Option<Cursor>, Error> {
        let key = (connection.clone(), object);
        Ok(self.tables().coordination.cursors.get(&key).copied())
    }

    async fn move_cursor(
        &self,
        connection: &ConnectionId,
        object: Object,
        from: Option<Cursor>,
        to: Cursor,
    ) -> Result<(), Error> {
        let mut tables = self.tables();
        let key = (connection.clone(), object);
        if tables.coordination.cursors.get(&key).copied() != from {
            return Err(Error::conflict(format!(
                "the cursor of {connection} {object}"
            )));
        }
        tables.coordination.cursors.insert(key, to);
        tables.writes.cursors += 1;
        Ok(())
    }

    async fn lease(
        &self,
        connection: &ConnectionId,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, Error> {
        let mut tables = self.tables();
        let key = (connection.clone(), name.to_owned());
        let taken = tables
            .coordination
            .leases
            .get(&key)
            .is_some_and(|lease| lease.holder != holder && lease.until > now);
        if !taken {
            let holder = holder.to_owned();
            let lease = Lease { holder, until };
            tables.coordination.leases.insert(key, lease);
            tables.writes.leases += 1;
        }
        Ok(!taken)
    }

    async fn release(
        &self,
        connection: &ConnectionId,
        name: &str,
        holder: &str,
    ) -> Result<(), Error> {
        let mut tables = self.tables();
        let key = (connection.clone(), name.to_owned());
        let leases = &mut tables.coordination.leases;
        if leases.get(&key).is_some_and(|lease| lease.holder == holder) {
            leases.remove(&key);
            tables.writes.leases += 1;
        }
        Ok(())
    }

    async fn run(&self, connection: &ConnectionId, run: &RunId) -> Result<Option<Run>, Error> {
        let tables = self.tables();
        let runs = tables.coordination.runs.get(connection);
        Ok(runs.and_then(|runs| runs.get(run)).cloned())
    }

    async fn save_run(&self, run: Run) -> Result<Run, Error> {
        let mut tables = self.tables();
        let runs = &mut tables.coordination.runs;
        let runs = runs.entry(run.connection.clone()).or_default();
        let stored = runs.get(&run.id).map(|stored| stored.version);
        let version = next_version(|| format!("run {}", run.id), stored, run.version)?;
        let saved = Run { version, ..run };
        runs.insert(saved.id.clone(), saved.clone());
        tables.writes.runs += 1;
        Ok(saved)
    }

    async fn runs(
        &self,
        connection: &ConnectionId,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Run>, Error> {
        let question = Question::of(&("runs", connection));
        let before = question.position(next.as_deref())?;
        let left = self
            .tables()
            .coordination
            .all_runs(connection)
            .into_iter()
            .rev()
            .filter(|run| {
                before
                    .as_deref()
                    .is_none_or(|before| run.id.as_str() < before)
            });
        Ok(question.page(left, limit, |run| run.id.to_string()))
    }

    async fn plan_slices(&self, slices: &[Slice]) -> Result<(), Error> {
        let mut tables = self.tables();
        for slice in slices {
            let stored = &mut tables.coordination.slices;
            let stored = stored.entry(slice.connection.clone()).or_default();
            let key = (slice.run.clone(), slice.key);
            if let Entry::Vacant(vacant) = stored.entry(key) {
                vacant.insert(slice.clone());
                tables.writes.slices += 1;
            }
        }
        Ok(())
    }

    async fn slice(
        &self,
        connection: &ConnectionId,
        run: &RunId,
        key: SliceKey,
    ) -> Result<Option<Slice>, Error> {
        let tables = self.tables();
        let slices = tables.coordination.slices.get(connection);
        Ok(slices
            .and_then(|slices| slices.get(&(run.clone(), key)))
            .cloned())
    }

    async fn save_slice(&self, slice: &mut Slice) -> Result<Progress, Error> {
        let mut tables = self.tables();
        let slices = &mut tables.coordination.slices;
        let stored = slices
            .get_mut(&slice.connection)
            .and_then(|slices| slices.get_mut(&(slice.run.clone(), slice.key)))
            .filter(|stored| stored.version == slice.version);
        let Some(stored) = stored else {
            return Ok(Progress::Overtaken);
        };
        slice.version += 1;
        *stored = slice.clone();
        tables.writes.slices += 1;
        Ok(Progress::Stored)
    }

    async fn slices(&self, connection: &ConnectionId, run: &RunId) -> Result<Vec<Slice>, Error> {
        let mut slices = self.tables().coordination.all_slices(connection);
        slices.retain(|slice| slice.run == *run);
        Ok(slices)
    }

    async fn lacks(&self, connection: &ConnectionId) -> Result<Lacks, Error> {
        let tables = self.tables();
        let kept = tables.coordination.lacks.get(connection);
        Ok(kept.cloned().unwrap_or_default())
    }

    async fn keep_lacks(
        &self,
        connection: &ConnectionId,
        object: Object,
        lacks: &BTreeSet<Lack>,
    ) -> Result<(), Error> {
        let mut tables = self.tables();
        let kept = tables.coordination.lacks.entry(connection.clone());
        let kept = kept.or_default();
        match lacks.is_empty() {
            true => kept.remove(&object),
            false => kept.insert(object, lacks.clone()),
        };
        tables.writes.lacks += 1;
        Ok(())
    }

    async fn keep_oauth_state(&self, state: &OAuthState) -> Result<(), Error> {
        let mut tables = self.tables();
        let states = &mut tables.coordination.oauth_states;
        states.insert(state.digest, state.clone());
        tables.writes.oauth_states += 1;
        Ok(())
    }

    async fn take_oauth_state(&self, digest: &Digest) -> Result<Option<OAuthState>, Error> {
        let mut tables = self.tables();
        let taken = tables.coordination.oauth_states.remove(digest);
        tables.writes.oauth_states += u64::from(taken.is_some());
        Ok(taken)
    }

    async fn spend_credits(
        &self,
        connection: &ConnectionId,
        bucket: Bucket,
        spent: Spent,
    ) -> Result<(), Error> {
        let mut tables = self.tables();
        let buckets = &mut tables.coordination.credits;
        let buckets = buckets.entry(connection.clone()).or_default();
        let hour = buckets.entry(bucket).or_insert(Hour {
            bucket,
            parts: Parts::default(),
            word: None,
        });
        hour.parts.add(spent.spender, spent.credits);
        let words = [spent.word, hour.word].into_iter().flatten();
        hour.word = words.max_by_key(|word| word.at);
        tables.writes.credits += 1;
        Ok(())
    }

    async fn credits_spent(
        &self,
        connection: &ConnectionId,
        from: Bucket,
    ) -> Result<Vec<Hour>, Error> {
        let tables = self.tables();
        let buckets = tables.coordination.credits.get(connection).into_iter();
        Ok(buckets
            .flat_map(|buckets| buckets.range(from..))
            .map(|(_, hour)| *hour)
            .collect())
    }
}
