//! Marks of accounts that are to be calculated, naively.

use jiff::civil;
use proptest::prelude::*;
use proptest::sample::select;
use tandem::calculation::Mark;

use super::{Subject, Who, limit, name, names, put, who};
use crate::samples::platform;

/// The days that occur, in their order.
const DAYS: [&str; 3] = ["2026-11-22", "2026-11-23", "2027-01-01"];

#[derive(Debug, Clone)]
pub(super) enum Step {
    Mark {
        who: Who,
        day: &'static str,
        names: Vec<&'static str>,
    },
    /// Clears all marks of these accounts, as they are or as they were before they were made anew.
    Clear {
        who: Who,
        names: Vec<&'static str>,
        outdated: bool,
    },
    Due {
        who: Who,
        today: &'static str,
        after: Option<(&'static str, &'static str)>,
        limit: usize,
    },
}

pub(super) fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (who(), day(), names()).prop_map(|(who, day, names)| Step::Mark { who, day, names }),
        1 => (who(), names(), any::<bool>())
            .prop_map(|(who, names, outdated)| Step::Clear { who, names, outdated }),
        3 => (who(), day(), proptest::option::of((day(), name())), limit())
            .prop_map(|(who, today, after, limit)| Step::Due { who, today, after, limit }),
    ]
}

fn day() -> impl Strategy<Value = &'static str> {
    select(&DAYS[..])
}

fn date(day: &str) -> civil::Date {
    day.parse().unwrap()
}

#[derive(Default)]
pub(super) struct Model {
    marks: Vec<Mark>,
}

impl Model {
    pub(super) async fn step(&mut self, subject: &Subject<'_>, step: &Step) {
        match step {
            Step::Mark { who, day, names } => {
                let mark = |name: &&str| Mark {
                    connection: subject.ids[*who].clone(),
                    day: date(day),
                    account: platform(name),
                    marked_at: subject.at.after(subject.time),
                    stamp: u128::try_from(subject.time).unwrap() + 1,
                };
                let marks: Vec<Mark> = names.iter().map(mark).collect();
                subject.port().mark_calculations(&marks).await.unwrap();
                let place = |mark: &Mark| (mark.connection.clone(), mark.day, mark.account.clone());
                for mark in marks {
                    put(&mut self.marks, mark, |left, right| {
                        place(left) == place(right)
                    });
                }
            }
            Step::Clear {
                who,
                names,
                outdated,
            } => {
                let named = |mark: &Mark| {
                    mark.connection == subject.ids[*who] && names.contains(&mark.account.as_str())
                };
                let cleared = self
                    .marks
                    .iter()
                    .filter(|mark| named(mark))
                    .map(|mark| Mark {
                        stamp: if *outdated { 0 } else { mark.stamp },
                        ..mark.clone()
                    });
                let cleared: Vec<Mark> = cleared.collect();
                subject.port().clear_calculations(&cleared).await.unwrap();
                if !outdated {
                    self.marks.retain(|mark| !named(mark));
                }
            }
            Step::Due {
                who,
                today,
                after,
                limit,
            } => {
                let after = after.map(|(day, name)| (date(day), platform(name)));
                let place = |mark: &Mark| (mark.day, mark.account.clone());
                let mut expected: Vec<&Mark> = self
                    .marks
                    .iter()
                    .filter(|mark| mark.connection == subject.ids[*who] && mark.day <= date(today))
                    .filter(|mark| after.as_ref().is_none_or(|after| place(mark) > *after))
                    .collect();
                expected.sort_by_key(|mark| place(mark));
                expected.truncate(*limit);
                let behind = after.as_ref().map(|(day, account)| (*day, account));
                let found = subject
                    .port()
                    .calculations_due(&subject.ids[*who], date(today), behind, *limit)
                    .await
                    .unwrap();
                assert_eq!(found.iter().collect::<Vec<_>>(), expected);
            }
        }
    }
}
