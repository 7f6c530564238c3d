//! Runs, their stages and slices: what a sync is made of and in which order it goes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cursor::Position;
use crate::identifier::{ConnectionId, Digest, PlatformId, RunId, ZohoId};
use crate::object::Object;

/// What kind of sync a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// The 15-minute run over changed records.
    Routine,
    /// The nightly comparison of everything.
    Full,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Under way.
    Running,
    /// Every slice of every stage completed.
    Complete,
    /// It ended before that; it removed nothing that it had not read completely.
    Incomplete,
}

/// A step of a run; a full sync's steps go in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The only step of a routine sync: every object's changes.
    Routine,
    /// Users, because everything refers to them.
    Users,
    /// Accounts.
    Accounts,
    /// Contacts, whose scope follows their accounts.
    Contacts,
    /// Deals, whose scope follows their accounts, and which name contacts.
    Deals,
    /// Tasks, whose scope follows all of these.
    Tasks,
    /// References whose other end came later.
    References,
    /// Removal of accounts.
    RemoveAccounts,
    /// Removal of the others, which waits for what became of the accounts.
    RemoveDependants,
    /// Calculated fields of accounts: last, so that what was removed counts no more.
    Calculated,
}

impl Stage {
    /// The stage after this one.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::Users => Some(Self::Accounts),
            Self::Accounts => Some(Self::Contacts),
            Self::Contacts => Some(Self::Deals),
            Self::Deals => Some(Self::Tasks),
            Self::Tasks => Some(Self::References),
            Self::References => Some(Self::RemoveAccounts),
            Self::RemoveAccounts => Some(Self::RemoveDependants),
            Self::RemoveDependants => Some(Self::Calculated),
            Self::Calculated | Self::Routine => None,
        }
    }

    /// The objects that the stage works on; each has its slices.
    #[must_use]
    pub const fn objects(self) -> &'static [Object] {
        match self {
            Self::Routine => &Object::ALL,
            Self::Users => &[Object::User],
            Self::Accounts | Self::RemoveAccounts | Self::Calculated => &[Object::Account],
            Self::Contacts => &[Object::Contact],
            Self::Deals => &[Object::Deal],
            Self::Tasks => &[Object::Task],
            Self::References => &[Object::Account, Object::Contact, Object::Deal, Object::Task],
            Self::RemoveDependants => &[Object::Contact, Object::Deal, Object::Task],
        }
    }

    /// Whether the stage compares Zoho's rows with the ledger, and so can be cut into id ranges.
    #[must_use]
    pub const fn compares(self) -> bool {
        matches!(
            self,
            Self::Users | Self::Accounts | Self::Contacts | Self::Deals | Self::Tasks
        )
    }

    /// The comparing stage of an object.
    #[must_use]
    pub const fn comparing(object: Object) -> Self {
        match object {
            Object::User => Self::Users,
            Object::Account => Self::Accounts,
            Object::Contact => Self::Contacts,
            Object::Deal => Self::Deals,
            Object::Task => Self::Tasks,
        }
    }
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The connection.
    pub connection: ConnectionId,
    /// Its id.
    pub id: RunId,
    /// Its kind.
    pub kind: RunKind,
    /// How it stands.
    pub status: RunStatus,
    /// The stage under way.
    pub stage: Stage,
    /// Why it is incomplete.
    pub reason: Option<String>,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Counts the writes of this item.
    pub version: u64,
}

/// Which slice of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SliceKey {
    /// The stage.
    pub stage: Stage,
    /// The object.
    pub object: Object,
    /// Its number among the object's slices, from 0.
    pub index: u16,
}

/// A part of a stage that one worker works through: an id range of one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// The connection.
    pub connection: ConnectionId,
    /// The run.
    pub run: RunId,
    /// Which slice.
    pub key: SliceKey,
    /// The range's lower end, exclusive.
    pub after: ZohoId,
    /// The range's upper end, inclusive.
    pub to: ZohoId,
    /// How far a comparing slice has come: everything up to and including this id is stored.
    pub reached: Option<ZohoId>,
    /// How far a routine slice has come.
    pub position: Option<Position>,
    /// How far a references slice has come: the last waiting record that it looked at.
    pub looked_at: Option<PlatformId>,
    /// Whether it has reported.
    pub done: bool,
    /// Why it could not complete; the run then removes nothing of this object.
    pub failure: Option<String>,
    /// Zoho's clock when its first page was asked for.
    pub server_time: Option<Timestamp>,
    /// The field plan with which it began to read.
    pub plan: Option<Digest>,
    /// What it counted.
    pub counters: Counters,
    /// Ids at about every [`MARK_EVERY`]th row: the quantiles at which the next run is cut.
    pub marks: Vec<ZohoId>,
    /// Where Zoho's count and what was read differ: records that came or went meanwhile, as far as they could be named.
    pub doubtful: Vec<ZohoId>,
    /// Per Zoho field, how many values had changed although Zoho had not flagged their records as changed.
    pub unflagged: BTreeMap<String, u64>,
    /// Counts the writes of this item.
    pub version: u64,
}

/// How many rows lie between two marks, which is also a slice's least size.
pub const MARK_EVERY: u64 = 10_000;

/// The most slices of one object: about as many as a full sync may call Zoho at a time (`credit::seats_of`), so that few wait for a seat.
pub const MAX_SLICES: usize = 4;

/// What was counted, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Counters(BTreeMap<Counter, u64>);

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "the names say it; those of the certificate are explained in shared/README.md"
)]
pub enum Counter {
    RowsRead,
    LinksRead,
    Created,
    Updated,
    Unchanged,
    Restored,
    Removed,
    Held,
    Withdrawn,
    Parked,
    Duplicates,
    Unmatched,
    Unknown,
    OutOfScope,
    TooLarge,
    Candidates,
    Gone,
    ZohoCount,
    ZohoCalls,
    ZohoCredits,
    Announced,
    Resolved,
    Calculated,
}

impl Counters {
    /// Adds to a counter.
    pub fn add(&mut self, counter: Counter, number: u64) {
        if number > 0 {
            *self.0.entry(counter).or_default() += number;
        }
    }

    /// A counter's value.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.0.get(&counter).copied().unwrap_or_default()
    }

    /// The counters that counted anything.
    pub fn iter(&self) -> impl Iterator<Item = (Counter, u64)> {
        self.0.iter().map(|(counter, number)| (*counter, *number))
    }

    /// Adds all of another's counters.
    pub fn merge(&mut self, other: &Self) {
        for (counter, number) in &other.0 {
            self.add(*counter, *number);
        }
    }
}

impl Run {
    /// A run that begins.
    #[must_use]
    pub fn begin(connection: ConnectionId, id: RunId, kind: RunKind, now: Timestamp) -> Self {
        let stage = match kind {
            RunKind::Routine => Stage::Routine,
            RunKind::Full => Stage::Users,
        };
        Self {
            connection,
            id,
            kind,
            status: RunStatus::Running,
            stage,
            reason: None,
            started_at: now,
            ended_at: None,
            version: 0,
        }
    }

    /// The slices of the stage under way, beside those that were `planned` before. `marks` are the quantiles that the last full sync left for an
    /// object of which none was.
    #[must_use]
    pub fn slices(&self, planned: &[Slice], marks: &BTreeMap<Object, Vec<ZohoId>>) -> Vec<Slice> {
        let slice = |object: Object, index: u16, (after, to): (ZohoId, ZohoId)| Slice {
            connection: self.connection.clone(),
            run: self.id.clone(),
            key: SliceKey {
                stage: self.stage,
                object,
                index,
            },
            after,
            to,
            reached: None,
            position: None,
            looked_at: None,
            done: false,
            failure: None,
            server_time: None,
            plan: None,
            counters: Counters::default(),
            marks: Vec::new(),
            doubtful: Vec::new(),
            unflagged: BTreeMap::new(),
            version: 0,
        };
        let of_object = |object: &Object| {
            let own: Vec<&Slice> = planned
                .iter()
                .filter(|other| other.key.stage == self.stage && other.key.object == *object)
                .collect();
            let is_cut = own.is_empty() && self.stage.compares() && *object != Object::User;
            let ranges = match marks.get(object).filter(|_| is_cut) {
                Some(marks) => cut(marks, MAX_SLICES),
                None => gaps(own.iter().map(|other| (other.after, other.to)).collect()),
            };
            let is_free = |index: &u16| own.iter().all(|other| other.key.index != *index);
            ranges
                .into_iter()
                .zip((0..=u16::MAX).filter(is_free))
                .map(|(range, index)| slice(*object, index, range))
                .collect::<Vec<_>>()
        };
        self.stage.objects().iter().flat_map(of_object).collect()
    }

    /// Whether the slices that were `planned` hold every id of each object of the stage under way.
    #[must_use]
    pub fn is_planned(&self, planned: &[Slice]) -> bool {
        self.slices(planned, &BTreeMap::new()).is_empty()
    }
}

/// Cuts all ids into at most `most` ranges at the quantiles of `marks`; each range is `after < id <= to`, and together they hold every
/// id exactly once.
#[must_use]
pub fn cut(marks: &[ZohoId], most: usize) -> Vec<(ZohoId, ZohoId)> {
    let pieces = most.clamp(1, marks.len() + 1);
    let mut borders = (1..pieces)
        .filter_map(|piece| marks.get(piece * (marks.len() + 1) / pieces - 1))
        .copied()
        .collect::<Vec<_>>();
    borders.sort();
    borders.dedup();
    borders.retain(|border| *border > ZohoId::MIN && *border < ZohoId::MAX);
    let starts = std::iter::once(ZohoId::MIN).chain(borders.iter().copied());
    let ends = borders.iter().copied().chain(std::iter::once(ZohoId::MAX));
    starts.zip(ends).collect()
}

/// What `ranges` leave of all ids, as ranges.
#[must_use]
pub fn gaps(mut ranges: Vec<(ZohoId, ZohoId)>) -> Vec<(ZohoId, ZohoId)> {
    ranges.sort();
    let mut gaps = Vec::new();
    let mut reached = ZohoId::MIN;
    for (after, to) in ranges {
        if after > reached {
            gaps.push((reached, after));
        }
        reached = reached.max(to);
    }
    if reached < ZohoId::MAX {
        gaps.push((reached, ZohoId::MAX));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_hold_every_id_once(marks in proptest::collection::vec(1u64..1_000_000, 0..40), most in 1usize..8, probe in 1u64..1_000_001) {
            let id = |number: u64| number.to_string().parse::<ZohoId>().unwrap();
            let mut marks: Vec<ZohoId> = marks.into_iter().map(id).collect();
            marks.sort();
            let ranges = cut(&marks, most);
            prop_assert!(ranges.len() <= most);
            let probe = id(probe);
            prop_assert_eq!(ranges.iter().filter(|(after, to)| *after < probe && probe <= *to).count(), 1);
        }

        #[test]
        fn what_was_planned_and_what_is_planned_beside_it_hold_every_id_once(first in proptest::collection::vec(1u64..1_000_000, 0..40), second in proptest::collection::vec(1u64..1_000_000, 0..40), kept in proptest::collection::vec(any::<bool>(), MAX_SLICES), probe in 1u64..1_000_001) {
            let id = |number: u64| number.to_string().parse::<ZohoId>().unwrap();
            let marks = |numbers: Vec<u64>| BTreeMap::from([(Object::Account, numbers.into_iter().map(id).collect::<Vec<_>>())]);
            let begun = Run::begin("acme".parse().unwrap(), RunId::new(1, 1), RunKind::Full, Timestamp::UNIX_EPOCH);
            let run = Run { stage: Stage::Accounts, ..begun };
            let whole = run.slices(&[], &marks(first));
            prop_assert!(run.is_planned(&whole));
            let mut slices: Vec<Slice> = whole.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(slice, _)| slice.clone()).collect();
            prop_assert_eq!(run.is_planned(&slices), slices.len() == whole.len());
            slices.extend(run.slices(&slices, &marks(second)));
            prop_assert!(run.is_planned(&slices));
            let probe = id(probe);
            prop_assert_eq!(slices.iter().filter(|slice| slice.after < probe && probe <= slice.to).count(), 1);
            let keys: std::collections::BTreeSet<SliceKey> = slices.iter().map(|slice| slice.key).collect();
            prop_assert_eq!(keys.len(), slices.len());
        }
    }

    #[test]
    fn slices_that_overlap_leave_only_what_none_holds() {
        let id = |number: u64| number.to_string().parse::<ZohoId>().unwrap();
        let ranges = vec![
            (id(5), id(9)),
            (id(1), id(7)),
            (id(2), id(3)),
            (id(12), ZohoId::MAX),
        ];
        assert_eq!(gaps(ranges), [(ZohoId::MIN, id(1)), (id(9), id(12))]);
        assert_eq!(gaps(Vec::new()), [(ZohoId::MIN, ZohoId::MAX)]);
        assert!(gaps(vec![(ZohoId::MIN, ZohoId::MAX)]).is_empty());
    }

    #[test]
    fn the_stages_of_a_full_sync_end() {
        let stages: Vec<Stage> =
            std::iter::successors(Some(Stage::Users), |stage| stage.next()).collect();
        assert_eq!(stages.len(), 9);
        assert_eq!(Stage::Routine.next(), None);
    }
}
