//! What a full sync certifies of each object: Zoho's own count against what was read, and what became of it (R3).

use std::collections::BTreeMap;

use crate::identifier::ZohoId;
use crate::object::Object;
use crate::run::{Counter, Counters, Slice};

/// A full sync's certificate for one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The object.
    pub object: Object,
    /// Whether the counts agree.
    pub verdict: Verdict,
    /// What was counted of the object in all stages.
    pub counters: Counters,
    /// Records that came or went while the object was read, as far as they could be named.
    pub doubtful: Vec<ZohoId>,
    /// Per Zoho field, how many values had changed although Zoho had not flagged their records as changed: formulas, roll-ups.
    pub unflagged: BTreeMap<String, u64>,
}

/// Whether an object was read completely and the counts agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that Zoho counts was read, and something became of each row.
    Agrees,
    /// Zoho counts another number of records than were read.
    ZohoDiffers,
    /// Not every row that was read is accounted for.
    Unaccounted,
    /// The object was not read completely, so nothing of it was removed.
    Incomplete(String),
    /// It was read completely, and Zoho has no count of it: users.
    NotCounted,
}

/// What can become of a row.
const OUTCOMES: [Counter; 9] = [
    Counter::Created,
    Counter::Updated,
    Counter::Unchanged,
    Counter::Restored,
    Counter::Unmatched,
    Counter::Duplicates,
    Counter::Unknown,
    Counter::OutOfScope,
    Counter::TooLarge,
];

/// The certificates of a full sync, of each object that it began to read.
#[must_use]
pub fn certify(slices: &[Slice]) -> Vec<Certificate> {
    Object::ALL
        .into_iter()
        .filter_map(|object| of_object(object, slices))
        .collect()
}

fn of_object(object: Object, slices: &[Slice]) -> Option<Certificate> {
    let own: Vec<&Slice> = slices
        .iter()
        .filter(|slice| slice.key.object == object)
        .collect();
    let compared: Vec<&Slice> = own
        .iter()
        .copied()
        .filter(|slice| slice.key.stage.compares())
        .collect();
    if compared.is_empty() {
        return None;
    }
    let mut read = Counters::default();
    compared
        .iter()
        .for_each(|slice| read.merge(&slice.counters));
    let mut counters = Counters::default();
    own.iter().for_each(|slice| counters.merge(&slice.counters));
    let mut unflagged: BTreeMap<String, u64> = BTreeMap::new();
    for (field, number) in own.iter().flat_map(|slice| &slice.unflagged) {
        *unflagged.entry(field.clone()).or_default() += number;
    }
    Some(Certificate {
        object,
        verdict: verdict(object, &compared, &read),
        counters,
        doubtful: own
            .iter()
            .flat_map(|slice| slice.doubtful.iter().copied())
            .collect(),
        unflagged,
    })
}

fn verdict(object: Object, compared: &[&Slice], read: &Counters) -> Verdict {
    if let Some(failure) = compared.iter().find_map(|slice| slice.failure.clone()) {
        return Verdict::Incomplete(failure);
    }
    if compared.iter().any(|slice| !slice.done) {
        return Verdict::Incomplete("it was not read to the end".to_owned());
    }
    let outcomes: u64 = OUTCOMES.into_iter().map(|counter| read.get(counter)).sum();
    // Candidates are rows that leave the scope, and links whose rows are gone.
    let leaving = read
        .get(Counter::Candidates)
        .saturating_sub(read.get(Counter::Gone));
    let rows = read.get(Counter::RowsRead);
    if object != Object::User && rows != read.get(Counter::ZohoCount) {
        Verdict::ZohoDiffers
    } else if rows != outcomes + leaving {
        Verdict::Unaccounted
    } else if object == Object::User {
        Verdict::NotCounted
    } else {
        Verdict::Agrees
    }
}

impl Verdict {
    /// The verdict in words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Agrees => "the counts agree".to_owned(),
            Self::ZohoDiffers => "Zoho counts another number of records than were read".to_owned(),
            Self::Unaccounted => "not every row that was read is accounted for".to_owned(),
            Self::Incomplete(reason) => format!("not read completely: {reason}"),
            Self::NotCounted => "read completely".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identifier::RunId;
    use crate::run::{Run, RunKind, Stage};
    use jiff::Timestamp;

    fn slices(counted: &[(Counter, u64)]) -> Vec<Slice> {
        let now = Timestamp::UNIX_EPOCH;
        let mut run = Run::begin(
            "acme".parse().unwrap(),
            RunId::new(1, 2),
            RunKind::Full,
            now,
        );
        run.stage = Stage::Accounts;
        let mut slices = run.slices(&[], &BTreeMap::new());
        for slice in &mut slices {
            slice.done = true;
            counted
                .iter()
                .for_each(|(counter, number)| slice.counters.add(*counter, *number));
        }
        slices
    }

    fn verdict_of(counted: &[(Counter, u64)]) -> Verdict {
        certify(&slices(counted)).remove(0).verdict
    }

    #[test]
    fn counts_agree_when_everything_was_read_and_accounted_for() {
        let counted = [
            (Counter::ZohoCount, 10),
            (Counter::RowsRead, 10),
            (Counter::Unchanged, 6),
            (Counter::OutOfScope, 2),
            (Counter::Candidates, 5),
            (Counter::Gone, 3),
        ];
        assert_eq!(verdict_of(&counted), Verdict::Agrees);
    }

    #[test]
    fn a_difference_is_told_from_a_row_that_got_lost() {
        let read = [(Counter::RowsRead, 10), (Counter::Unchanged, 10)];
        let with = |count| verdict_of(&[read[0], read[1], (Counter::ZohoCount, count)]);
        assert_eq!(with(10), Verdict::Agrees);
        assert_eq!(with(11), Verdict::ZohoDiffers);
        assert_eq!(with(9), Verdict::ZohoDiffers);
        let lost = [(Counter::RowsRead, 10), (Counter::ZohoCount, 10)];
        assert_eq!(verdict_of(&lost), Verdict::Unaccounted);
    }

    #[test]
    fn what_was_not_read_to_the_end_certifies_nothing() {
        let mut slices = slices(&[]);
        slices[0].done = false;
        let verdict = certify(&slices).remove(0).verdict;
        assert!(matches!(verdict, Verdict::Incomplete(_)));
        slices[0].failure = Some("denied".into());
        let verdict = certify(&slices).remove(0).verdict;
        assert_eq!(verdict, Verdict::Incomplete("denied".into()));
        assert_eq!(certify(&[]), []);
    }
}
