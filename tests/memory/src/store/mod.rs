//! The four tables in memory.

mod calculations;
mod connections;
mod coordination;
mod erasure;
mod index;
mod journal;
mod ledger;
mod page;
mod records;

use std::ops::Sub;
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use tandem::calculation::Mark;
use tandem::identifier::ConnectionId;
use tandem::journal::Entry;
use tandem::object::Object;
use tandem::port::Error;
use tandem::record::{Candidate, Link, Record};
use tandem::run::{Run, Slice};

use crate::lock::locked;

pub use ledger::MadeLinks;

/// The tables, with the promises that the real ones make and no more: a filtered page can be short, an index can be made to lag.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<Tables>);

#[derive(Debug, Default)]
struct Tables {
    connections: connections::Table,
    coordination: coordination::Table,
    ledger: ledger::Table,
    records: records::Table,
    journal: journal::Table,
    calculations: calculations::Table,
    writes: Writes,
}

/// How many items were written, by kind; a refused write counts for nothing, one that changes nothing counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Writes {
    pub connections: u64,
    pub settings: u64,
    pub cursors: u64,
    pub leases: u64,
    pub runs: u64,
    pub slices: u64,
    pub oauth_states: u64,
    pub lacks: u64,
    pub credits: u64,
    pub links: u64,
    pub candidates: u64,
    pub awaiting: u64,
    pub records: u64,
    pub log_lines: u64,
    /// Marks of accounts that are to be calculated.
    pub marks: u64,
    /// What all accounts were marked for.
    pub plans: u64,
    /// Items of a connection that was purged.
    pub erased: u64,
}

impl Writes {
    /// Whether nothing was written that says what a record is: no record, link, removal candidate, waiting reference or log line.
    #[must_use]
    pub const fn is_quiet(&self) -> bool {
        self.links == 0
            && self.candidates == 0
            && self.awaiting == 0
            && self.records == 0
            && self.log_lines == 0
    }
}

impl Sub for Writes {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            connections: self.connections - before.connections,
            settings: self.settings - before.settings,
            cursors: self.cursors - before.cursors,
            leases: self.leases - before.leases,
            runs: self.runs - before.runs,
            slices: self.slices - before.slices,
            oauth_states: self.oauth_states - before.oauth_states,
            lacks: self.lacks - before.lacks,
            credits: self.credits - before.credits,
            links: self.links - before.links,
            candidates: self.candidates - before.candidates,
            awaiting: self.awaiting - before.awaiting,
            records: self.records - before.records,
            log_lines: self.log_lines - before.log_lines,
            marks: self.marks - before.marks,
            plans: self.plans - before.plans,
            erased: self.erased - before.erased,
        }
    }
}

impl MemoryStore {
    /// What was written so far; subtract an earlier answer to know what was written since.
    #[must_use]
    pub fn writes(&self) -> Writes {
        self.tables().writes
    }

    /// Adds links that are made when they are asked for.
    pub fn make_links(&self, made: Arc<dyn MadeLinks>) {
        self.tables().ledger.make_links(made);
    }

    /// Lets each index lag behind its table by the last `changes` changes, as an index of the real store may for a moment.
    pub fn lag_indexes(&self, changes: usize) {
        let mut tables = self.tables();
        tables.connections.lag(changes);
        tables.records.lag(changes);
        tables.journal.lag(changes);
    }

    /// Lets the indexes catch up with their tables, whatever their lag; they fall behind again with the next changes.
    pub fn settle_indexes(&self) {
        let mut tables = self.tables();
        tables.connections.settle();
        tables.records.settle();
        tables.journal.settle();
    }

    /// Forgets what has expired at `now`: log lines, OAuth states, credits spent, records that can't be restored any more. The real
    /// store does so by itself, some time after.
    pub fn expire(&self, now: Timestamp) {
        let mut tables = self.tables();
        tables.coordination.expire(now);
        tables.records.expire(now);
        tables.journal.expire(now);
    }

    /// All records of a connection, removed ones included, by object and id.
    #[must_use]
    pub fn all_records(&self, connection: &ConnectionId) -> Vec<Record> {
        self.tables().records.all(connection)
    }

    /// The records of an object that are not removed, by id.
    #[must_use]
    pub fn live_records(&self, connection: &ConnectionId, object: Object) -> Vec<Record> {
        let mut records = self.all_records(connection);
        records.retain(|record| record.object == object && record.removed.is_none());
        records
    }

    /// All links of a connection, by object and id.
    #[must_use]
    pub fn all_links(&self, connection: &ConnectionId) -> Vec<Link> {
        self.tables().ledger.all_links(connection)
    }

    /// All removal candidates of a connection, by object and id.
    #[must_use]
    pub fn all_candidates(&self, connection: &ConnectionId) -> Vec<Candidate> {
        self.tables().ledger.all_candidates(connection)
    }

    /// All marks of a connection's accounts, by day and account.
    #[must_use]
    pub fn all_marks(&self, connection: &ConnectionId) -> Vec<Mark> {
        self.tables().calculations.all_marks(connection)
    }

    /// The whole log of a connection, oldest first.
    #[must_use]
    pub fn all_entries(&self, connection: &ConnectionId) -> Vec<Entry> {
        self.tables().journal.all(connection)
    }

    /// All runs of a connection, oldest first.
    #[must_use]
    pub fn all_runs(&self, connection: &ConnectionId) -> Vec<Run> {
        self.tables().coordination.all_runs(connection)
    }

    /// All slices of a connection, by run and key.
    #[must_use]
    pub fn all_slices(&self, connection: &ConnectionId) -> Vec<Slice> {
        self.tables().coordination.all_slices(connection)
    }

    /// Everything that is stored, index entries included, as text: for whoever looks for traces.
    #[must_use]
    pub fn dump(&self) -> String {
        format!("{:#?}", self.tables())
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        locked(&self.0)
    }
}

/// The version of an item's next write: version 0 must not exist yet, any other must be the one stored.
fn next_version(what: impl Fn() -> String, stored: Option<u64>, read: u64) -> Result<u64, Error> {
    if stored.unwrap_or(0) == read {
        Ok(read + 1)
    } else {
        Err(Error::conflict(what()))
    }
}
