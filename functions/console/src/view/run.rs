//! Runs as the API shows them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use tandem::run::{Counters, Run, Slice};
use utoipa::ToSchema;

use super::{CounterName, ObjectName, RunKind, RunStatus, Stage};

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
    /// The parts that it was cut into, in their order.
    pub slices: Vec<SliceView>,
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
            slices: slices.iter().map(slice).collect(),
        }
    }
}

fn counted(counters: &Counters) -> BTreeMap<CounterName, u64> {
    counters
        .iter()
        .map(|(counter, number)| (counter.into(), number))
        .collect()
}
