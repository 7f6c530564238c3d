//! The log and its two indexes.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use tandem::identifier::{ConnectionId, PlatformId};
use tandem::journal::{Entry, Outcome};
use tandem::object::Object;
use tandem::port::{Error, Journal, JournalQuery, Page};

use super::MemoryStore;
use super::erasure::{Allowance, drain_parts};
use super::index::Index;
use super::page::Question;

type OutcomePart = (ConnectionId, Outcome);
type RecordPart = (ConnectionId, Object, PlatformId);

#[derive(Debug, Default)]
pub(super) struct Table {
    entries: BTreeMap<ConnectionId, BTreeMap<String, Entry>>,
    by_outcome: Index<OutcomePart, String, Entry>,
    by_record: Index<RecordPart, String, Entry>,
}

impl Table {
    pub(super) fn lag(&mut self, changes: usize) {
        self.by_outcome.lag(changes);
        self.by_record.lag(changes);
    }

    pub(super) fn settle(&mut self) {
        self.by_outcome.settle();
        self.by_record.settle();
    }

    pub(super) fn expire(&mut self, now: Timestamp) {
        let entries = self.entries.values().flat_map(BTreeMap::values);
        let expired: Vec<Entry> = entries
            .filter(|entry| entry.expires_at <= now)
            .cloned()
            .collect();
        for entry in expired {
            self.reindex(Some(&entry), None);
            if let Some(entries) = self.entries.get_mut(&entry.connection) {
                entries.remove(&entry.id);
            }
        }
    }

    pub(super) fn erase(&mut self, connection: &ConnectionId, allowance: &mut Allowance) {
        for line in drain_parts(&mut self.entries, |of| of == connection, allowance) {
            self.reindex(Some(&line), None);
        }
    }

    pub(super) fn all(&self, connection: &ConnectionId) -> Vec<Entry> {
        let entries = self.entries.get(connection).into_iter();
        entries.flat_map(BTreeMap::values).cloned().collect()
    }

    fn write(&mut self, entry: &Entry) {
        let entries = self.entries.entry(entry.connection.clone()).or_default();
        let before = entries.insert(entry.id.clone(), entry.clone());
        self.reindex(before.as_ref(), Some(entry));
    }

    fn reindex(&mut self, before: Option<&Entry>, after: Option<&Entry>) {
        self.by_outcome.change(
            before.map(outcome_key),
            after.map(|entry| (outcome_key(entry), entry.clone())),
        );
        self.by_record.change(
            before.and_then(record_key),
            after.and_then(|entry| Some((record_key(entry)?, entry.clone()))),
        );
    }

    /// The lines that the best index gives, newest first.
    fn lines(&self, connection: &ConnectionId, query: &JournalQuery) -> Vec<&Entry> {
        let of_index = |(_, entry)| entry;
        match (&query.record, query.outcome) {
            (Some((object, id)), _) => {
                let partition = (connection.clone(), *object, id.clone());
                let lines = self.by_record.partition(&partition);
                lines.rev().map(of_index).collect()
            }
            (None, Some(outcome)) => {
                let partition = (connection.clone(), outcome);
                let lines = self.by_outcome.partition(&partition);
                lines.rev().map(of_index).collect()
            }
            (None, None) => {
                let lines = self.entries.get(connection).into_iter();
                lines.flat_map(|lines| lines.values().rev()).collect()
            }
        }
    }
}

fn outcome_key(entry: &Entry) -> (OutcomePart, String) {
    let partition = (entry.connection.clone(), entry.outcome);
    (partition, entry.id.clone())
}

fn record_key(entry: &Entry) -> Option<(RecordPart, String)> {
    let partition = (
        entry.connection.clone(),
        entry.object?,
        entry.record.clone()?,
    );
    Some((partition, entry.id.clone()))
}

#[async_trait]
impl Journal for MemoryStore {
    async fn write(&self, entries: &[Entry]) -> Result<(), Error> {
        let mut tables = self.tables();
        for entry in entries {
            tables.journal.write(entry);
            tables.writes.log_lines += 1;
        }
        Ok(())
    }

    async fn read(
        &self,
        connection: &ConnectionId,
        query: &JournalQuery,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Entry>, Error> {
        let question = Question::of(&("log", connection, query));
        let before = question.position(next.as_deref())?;
        let tables = self.tables();
        let left = tables
            .journal
            .lines(connection, query)
            .into_iter()
            .filter(|entry| before.as_ref().is_none_or(|before| entry.id < *before))
            .filter(|entry| within(entry.at, query));
        let page = question.page(left, limit, |entry| entry.id.clone());
        let unserved = |entry: &&Entry| {
            query.outcome.is_none_or(|outcome| entry.outcome == outcome)
                && query
                    .object
                    .is_none_or(|object| entry.object == Some(object))
        };
        Ok(Page {
            items: page.items.into_iter().filter(unserved).cloned().collect(),
            next: page.next,
        })
    }
}

fn within(at: Timestamp, query: &JournalQuery) -> bool {
    query.from.is_none_or(|from| at >= from) && query.to.is_none_or(|to| at < to)
}
