//! Runs as the API shows them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use tandem::certificate::{Certificate, certify};
use tandem::run::{Counter, Counters, Run, Slice};
use utoipa::ToSchema;

use super::{CounterName, ObjectName, RunKind, RunStatus, Stage, VerdictName};

/// A run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunView {
    /// Its id; ids of later runs sort after it.
    #[schema(example = "01JD8QK3ZV5W7Y0B2C4E6G8H9J")]
    pub id: String,
    /// Its kind.
    pub kind: RunKind,
    /// How it stands.
    pub status: RunStatus,
    /// The stage under way, or the one at which it ended.
    pub stage: Stage,
    /// Why it is incomplete.
    pub reason: Option<String>,
    /// When it started.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
}

/// A run with what it counted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RunDetail {
    /// The run.
    #[serde(flatten)]
    pub run: RunView,
    /// What was counted, by object.
    pub counters: BTreeMap<ObjectName, BTreeMap<CounterName, u64>>,
    /// What a full sync certifies of each object that it began to read; empty for a routine sync.
    pub certificates: Vec<CertificateView>,
    /// The parts that it was cut into, in their order.
    pub slices: Vec<SliceView>,
}

/// A full sync's certificate for one object: Zoho's own count against what was read, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CertificateView {
    /// The object.
    pub object: ObjectName,
    /// Whether the counts agree.
    pub verdict: VerdictName,
    /// The verdict in words, with the reason where something lacks.
    pub words: String,
    /// Rows that Zoho counts. Users are not counted.
    pub zoho_count: Option<u64>,
    /// Rows read.
    pub rows_read: u64,
    /// Links to records that the sync found.
    pub links_held: u64,
    /// Records that came to the platform.
    pub created: u64,
    /// Records whose values changed.
    pub updated: u64,
    /// Records that were the same on both sides.
    pub unchanged: u64,
    /// Records that came back after a removal.
    pub restored: u64,
    /// Records removed.
    pub removed: u64,
    /// Removals held for a person.
    pub held: u64,
    /// Values that could not be converted.
    pub parked: u64,
    /// Zoho records whose external id another one has already.
    pub duplicates: u64,
    /// Zoho records without an external id.
    pub unmatched: u64,
    /// Zoho records that the platform does not have and does not create.
    pub unknown: u64,
    /// Zoho records that do not meet the filter.
    pub out_of_scope: u64,
    /// Zoho ids of records that came or went while the object was read, as far as they could be named.
    pub doubtful: Vec<String>,
    /// Per Zoho field, how many values had changed although Zoho had not flagged their records as changed: formulas, roll-ups.
    pub unflagged: BTreeMap<String, u64>,
}

/// A part of a run that one worker works through.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SliceView {
    /// The stage.
    pub stage: Stage,
    /// The object.
    pub object: ObjectName,
    /// Its number among the object's slices, from 0.
    pub index: u16,
    /// Whether it has reported.
    pub done: bool,
    /// Why it could not complete; the run then removes nothing of this object.
    pub failure: Option<String>,
    /// What it counted.
    pub counters: BTreeMap<CounterName, u64>,
}

impl From<&Run> for RunView {
    fn from(run: &Run) -> Self {
        Self {
            id: run.id.to_string(),
            kind: run.kind.into(),
            status: run.status.into(),
            stage: run.stage.into(),
            reason: run.reason.clone(),
            started_at: run.started_at,
            ended_at: run.ended_at,
        }
    }
}

impl RunDetail {
    /// A run with its slices.
    #[must_use]
    pub(crate) fn new(run: &Run, slices: &[Slice]) -> Self {
        let mut sums: BTreeMap<ObjectName, Counters> = BTreeMap::new();
        for slice in slices {
            sums.entry(slice.key.object.into())
                .or_default()
                .merge(&slice.counters);
        }
        let slice = |slice: &Slice| SliceView {
            stage: slice.key.stage.into(),
            object: slice.key.object.into(),
            index: slice.key.index,
            done: slice.done,
            failure: slice.failure.clone(),
            counters: counted(&slice.counters),
        };
        Self {
            run: run.into(),
            counters: sums
                .iter()
                .map(|(object, sum)| (*object, counted(sum)))
                .collect(),
            certificates: match run.kind {
                tandem::run::RunKind::Full => {
                    certify(slices).iter().map(CertificateView::from).collect()
                }
                tandem::run::RunKind::Routine => Vec::new(),
            },
            slices: slices.iter().map(slice).collect(),
        }
    }
}

impl From<&Certificate> for CertificateView {
    fn from(certificate: &Certificate) -> Self {
        let Certificate {
            object,
            verdict,
            counters,
            doubtful,
            unflagged,
        } = certificate;
        let count = |counter| counters.get(counter);
        Self {
            object: (*object).into(),
            verdict: verdict.into(),
            words: verdict.words(),
            zoho_count: (*object != tandem::object::Object::User)
                .then(|| count(Counter::ZohoCount)),
            rows_read: count(Counter::RowsRead),
            links_held: count(Counter::LinksRead),
            created: count(Counter::Created),
            updated: count(Counter::Updated),
            unchanged: count(Counter::Unchanged),
            restored: count(Counter::Restored),
            removed: count(Counter::Removed),
            held: count(Counter::Held),
            parked: count(Counter::Parked),
            duplicates: count(Counter::Duplicates),
            unmatched: count(Counter::Unmatched),
            unknown: count(Counter::Unknown),
            out_of_scope: count(Counter::OutOfScope),
            doubtful: doubtful.iter().map(ToString::to_string).collect(),
            unflagged: unflagged.clone(),
        }
    }
}

fn counted(counters: &Counters) -> BTreeMap<CounterName, u64> {
    counters
        .iter()
        .map(|(counter, number)| (counter.into(), number))
        .collect()
}
