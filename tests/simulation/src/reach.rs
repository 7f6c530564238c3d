//! What seeds reached: steps, faults, the rules' branches and the error codes, each of which has to happen often enough to say anything.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use tandem::certificate::{self, Verdict};
use tandem::flow::Error;
use tandem::port::{self, CrmError};
use tandem::record::{Action, Record, Side};
use tandem::run::{Counter, RunKind, RunStatus, Slice};

use crate::Step;
use crate::scene::Scene;

/// How often each thing beside the steps happens at least in a thousand seeds: about a third of what was counted.
const LEAST: &[(&str, u64)] = &[
    ("F5: an account calculated", 980),
    ("F7: a reference completed later", 12),
    ("I1: a row without an external id", 113),
    ("I3: another row with an external id", 252),
    ("I5: a record was tied to another row", 153),
    ("R1: removed as Gone", 236),
    ("R1: removed as OutOfScope", 155),
    ("R1: removed as ParentLeft", 547),
    ("R1: removed as Renamed", 118),
    ("R2: a held removal was approved", 225),
    ("R2: a held removal was rejected", 14),
    ("R2: a removal held", 553),
    ("R3: an object that Zoho does not count", 2137),
    ("R3: an object was not read completely", 23),
    ("R3: the counts agree", 8538),
    ("S1 to S3: a row out of scope", 20720),
    ("S5: an account whose dependants were sent for", 1462),
    ("S6: a record to be removed", 1139),
    ("S7: a row that enriching leaves out", 1550),
    ("W4: Zoho won a conflict", 107),
    ("W4: the platform won a conflict", 173),
    ("W7: parked as FIELD_HIDDEN", 6),
    ("W7: parked as INVALID_DATA", 4),
    ("W7: parked as MANDATORY_NOT_FOUND", 5),
    ("W7: parked as NOT_IN_SCOPE", 128),
    ("W7: parked as NOT_IN_ZOHO", 167),
    ("W7: parked as OUT_OF_SEGMENT", 605),
    ("W7: parked as REFERENCE_NOT_IN_ZOHO", 52),
    ("Zoho answered 304", 1678),
    ("Zoho answered 400", 4),
    ("Zoho failed after its effect", 258),
    ("Zoho failed before its effect", 255),
    ("Zoho said nothing", 43),
    ("Zoho said: Access Denied", 25),
    ("Zoho said: INTERNAL_ERROR", 94),
    ("Zoho said: INVALID_QUERY", 30),
    ("Zoho said: INVALID_TOKEN", 105),
    ("Zoho said: TOO_MANY_REQUESTS", 99),
    ("Zoho said: invalid_code", 85),
    ("a customer connected again", 736),
    ("a customer did not come back from Zoho", 30),
    ("a customer was not connected", 135),
    ("a full sync completed", 2134),
    ("a full sync did not complete", 35),
    ("a handler failed: AWS did not answer", 113),
    ("a handler failed: AWS throttled", 112),
    ("a handler failed: Zoho did not answer", 125),
    ("a handler failed: Zoho throttled", 11),
    ("a handler failed: a conflict", 166),
    ("a handler failed: for good", 30),
    ("a handler failed: the connection does not run", 85),
    ("a handler failed: the credits are spent", 49),
    ("a handler ran out of time", 1472),
    ("a handler was killed between two calls", 334),
    ("a handler was killed in a call", 191),
    ("a message came again after a failure", 385),
    ("a message came while its handler was at it", 1447),
    ("a message was a dead letter", 110),
    ("a port failed after its effect", 125),
    ("a port failed amid a batch", 124),
    ("a port failed before its effect", 129),
    ("a record changed twice in a second", 25),
    ("a routine sync completed", 1960),
    ("a routine sync did not complete", 88),
    ("a value came back in Zoho", 425),
    ("a value came back on the platform", 230),
    ("a value came back while its write was settled", 45),
    ("an edit was accepted", 2047),
    ("an edit was refused", 51),
    ("the log says: calculated", 2672),
    ("the log says: connect", 846),
    ("the log says: created", 11325),
    ("the log says: created_in_zoho", 196),
    ("the log says: credits spent", 1684),
    ("the log says: duplicate", 87),
    ("the log says: edited", 2413),
    ("the log says: full sync complete", 2134),
    ("the log says: needs_reconnect", 51),
    ("the log says: not shown by Zoho", 22),
    ("the log says: parked", 801),
    ("the log says: pulled", 871),
    ("the log says: pushed", 591),
    ("the log says: relinked", 153),
    ("the log says: removal held", 356),
    ("the log says: removal withdrawn", 3),
    ("the log says: removed", 1055),
    ("the log says: shown again", 22),
    ("the log says: sync incomplete", 99),
    ("the log says: throttled", 83),
    ("the log says: unflagged changes", 114),
    ("the log says: unmatched", 33),
    ("the planner started a full sync", 50),
    ("three handlers were at it at once", 1157),
];

/// How often each kind of thing happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reached(BTreeMap<Cow<'static, str>, u64>);

impl Reached {
    /// Counts one more.
    pub fn count(&mut self, kind: impl Into<Cow<'static, str>>) {
        self.add(kind, 1);
    }

    /// How often a kind of thing happened.
    pub(crate) fn number(&self, kind: &str) -> u64 {
        self.0.get(kind).copied().unwrap_or_default()
    }

    fn add(&mut self, kind: impl Into<Cow<'static, str>>, number: u64) {
        if number > 0 {
            *self.0.entry(kind.into()).or_default() += number;
        }
    }

    /// Adds what another reached.
    pub fn merge(&mut self, other: &Self) {
        for (kind, number) in &other.0 {
            self.add(kind.clone(), *number);
        }
    }

    /// What happened less often than it should in so many seeds, and how often.
    #[must_use]
    pub fn thin(&self, seeds: u64) -> Vec<String> {
        let steps = Step::kinds().into_iter().map(|kind| (kind, 1));
        let wanted = LEAST.iter().copied();
        let wanted = wanted.map(|(kind, least)| (kind, least * seeds / 1_000));
        steps
            .chain(wanted)
            .filter_map(|(kind, least)| {
                let number = self.0.get(kind).copied().unwrap_or_default();
                (number < least).then(|| format!("{kind}: {number} times, less than {least}"))
            })
            .collect()
    }

    /// Counts how a handler failed.
    pub(crate) fn failed(&mut self, error: &Error) {
        self.count(match error {
            Error::Port(port::Error::Conflict { .. }) => "a handler failed: a conflict",
            Error::Port(port::Error::Throttled { .. }) => "a handler failed: AWS throttled",
            Error::Port(port::Error::Unavailable { .. }) => "a handler failed: AWS did not answer",
            Error::Port(_) => "a handler failed: AWS refused",
            Error::Crm(CrmError::Throttled { .. }) => "a handler failed: Zoho throttled",
            Error::Crm(CrmError::Unavailable { .. }) => "a handler failed: Zoho did not answer",
            Error::Crm(CrmError::ChangedMeanwhile) => {
                "a handler failed: Zoho's record changed meanwhile"
            }
            Error::Crm(_) => "a handler failed: Zoho refused",
            Error::NeedsReconnect { .. } => "a handler failed: the grant is gone",
            Error::OverBudget { .. } => "a handler failed: the credits are spent",
            Error::Busy { .. } => "a handler failed: another is at it",
            Error::NotRunnable { .. } => "a handler failed: the connection does not run",
            Error::NotFound { .. } | Error::OAuthClient { .. } | Error::Invalid(_) => {
                "a handler failed: for good"
            }
        });
    }

    /// Counts what the tables and Zoho's own record of requests tell of a seed.
    pub(crate) fn tables(&mut self, scene: &Scene<'_>) {
        let store = &scene.world.store;
        for side in &scene.sides {
            let id = side.story.connection();
            for record in store.stream(&id) {
                self.version(&record);
            }
            for entry in store.all_entries(&id) {
                self.count(format!("the log says: {}", entry.action));
            }
            let slices = store.all_slices(&id);
            for slice in &slices {
                for (counter, number) in slice.counters.iter() {
                    self.counter(counter, number);
                }
            }
            for run in store.all_runs(&id) {
                let ended = match (run.kind, run.status) {
                    (RunKind::Routine, RunStatus::Complete) => "a routine sync completed",
                    (RunKind::Routine, _) => "a routine sync did not complete",
                    (RunKind::Full, RunStatus::Complete) => "a full sync completed",
                    (RunKind::Full, _) => "a full sync did not complete",
                };
                self.count(ended);
                if run.kind == RunKind::Full && run.status != RunStatus::Running {
                    let own = slices.iter().filter(|slice| slice.run == run.id);
                    self.certificates(&own.cloned().collect::<Vec<_>>());
                }
            }
        }
        for served in scene.zoho.model().journal.since(0) {
            match &served.code {
                Some(code) => self.count(format!("Zoho said: {code}")),
                None if served.status == 0 => self.count("Zoho said nothing"),
                None if served.status >= 300 => {
                    self.count(format!("Zoho answered {}", served.status));
                }
                None => {}
            }
        }
    }

    fn certificates(&mut self, slices: &[Slice]) {
        for certificate in certificate::certify(slices) {
            self.count(match certificate.verdict {
                Verdict::Agrees => "R3: the counts agree",
                Verdict::ZohoDiffers => "R3: Zoho counts otherwise",
                Verdict::Unaccounted => "R3: not every row is accounted for",
                Verdict::Incomplete(_) => "R3: an object was not read completely",
                Verdict::NotCounted => "R3: an object that Zoho does not count",
            });
        }
    }

    fn version(&mut self, record: &Record) {
        if let Some(parked) = &record.parked {
            self.count(format!("W7: parked as {}", parked.code));
        }
        let Some(change) = &record.change else {
            return;
        };
        match change.action {
            Action::Relinked => self.count("I5: a record was tied to another row"),
            Action::Removed => self.count(
                match record.removed.as_ref().map(|removed| removed.reason) {
                    Some(reason) => format!("R1: removed as {reason:?}"),
                    None => "R1: removed without a reason".to_owned(),
                },
            ),
            Action::Restored => self.count("R1: a record came back"),
            _ => {}
        }
        for field in change
            .fields
            .iter()
            .filter(|field| field.overruled.is_some())
        {
            let winner = record.sources.get(&field.field).map(|source| source.side);
            self.count(match winner {
                Some(Side::Zoho) => "W4: Zoho won a conflict",
                _ => "W4: the platform won a conflict",
            });
        }
    }

    fn counter(&mut self, counter: Counter, number: u64) {
        let rule = match counter {
            Counter::Unmatched => "I1: a row without an external id",
            Counter::Duplicates => "I3: another row with an external id",
            Counter::OutOfScope => "S1 to S3: a row out of scope",
            Counter::Unknown => "S7: a row that enriching leaves out",
            Counter::Announced => "S5: an account whose dependants were sent for",
            Counter::Restored => "R1: a removed record's row was met again",
            Counter::Candidates => "S6: a record to be removed",
            Counter::Held => "R2: a removal held",
            Counter::Withdrawn => "R2: a removal withdrawn",
            Counter::Resolved => "F7: a reference completed later",
            Counter::Calculated => "F5: an account calculated",
            _ => return,
        };
        self.add(rule, number);
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, number) in &self.0 {
            writeln!(formatter, "{number:>9}  {kind}")?;
        }
        Ok(())
    }
}
