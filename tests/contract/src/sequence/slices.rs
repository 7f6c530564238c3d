//! Runs and their slices, naively.

use proptest::prelude::*;
use proptest::sample::select;
use tandem::identifier::ZohoId;
use tandem::object::Object;
use tandem::port::Progress;
use tandem::run::{Counter, Counters, Run, RunKind, Slice, SliceKey, Stage};

use super::{Basis, Subject, Who, agree, basis, granted, limit, put, who};
use crate::samples::run;
use crate::setting::walk;

#[derive(Debug, Clone)]
pub(super) enum Step {
    SaveRun {
        who: Who,
        number: u64,
        basis: Basis,
    },
    Runs {
        who: Who,
        limit: usize,
    },
    Plan {
        who: Who,
        run: u64,
        indices: Vec<u16>,
    },
    Save {
        who: Who,
        run: u64,
        index: u16,
        stale: bool,
    },
    Slices {
        who: Who,
        run: u64,
    },
}

pub(super) fn steps() -> impl Strategy<Value = Step> {
    let index = || select(&[2_u16, 10][..]);
    let indices = proptest::collection::vec(index(), 0..3);
    prop_oneof![
        3 => (who(), 0..12_u64, basis()).prop_map(|(who, number, basis)| Step::SaveRun { who, number, basis }),
        1 => (who(), limit()).prop_map(|(who, limit)| Step::Runs { who, limit }),
        2 => (who(), 0..2_u64, indices).prop_map(|(who, run, indices)| Step::Plan { who, run, indices }),
        4 => (who(), 0..2_u64, index(), any::<bool>())
            .prop_map(|(who, run, index, stale)| Step::Save { who, run, index, stale }),
        1 => (who(), 0..2_u64).prop_map(|(who, run)| Step::Slices { who, run }),
    ]
}

#[derive(Default)]
pub(super) struct Model {
    runs: Vec<Run>,
    /// With their versions as the store counts them, and what each was before its last progress.
    slices: Vec<(Slice, Option<Slice>)>,
}

impl Model {
    pub(super) async fn step(&mut self, subject: &Subject<'_>, step: &Step) {
        match step {
            Step::SaveRun { who, number, basis } => {
                self.save_run(subject, *who, *number, *basis).await
            }
            Step::Runs { who, limit } => {
                let id = &subject.ids[*who];
                let mut expected: Vec<Run> = self.runs.clone();
                expected.retain(|run| run.connection == *id);
                expected.sort_by(|left, right| right.id.cmp(&left.id));
                let page = async |next| subject.port().runs(id, next, *limit).await;
                subject
                    .at
                    .eventually(async || walk(*limit, page).await, expected)
                    .await;
            }
            Step::Plan { who, run, indices } => self.plan(subject, *who, *run, indices).await,
            Step::Save {
                who,
                run,
                index,
                stale,
            } => self.save(subject, *who, *run, *index, *stale).await,
            Step::Slices { who, run: of } => {
                let (id, of) = (&subject.ids[*who], run(subject.at.now, *of));
                let mine = self.slices.iter().map(|(slice, _)| slice);
                let mut expected: Vec<Slice> = mine
                    .filter(|slice| (&slice.connection, &slice.run) == (id, &of))
                    .cloned()
                    .collect();
                expected.sort_by_key(|slice| slice.key);
                assert_eq!(subject.port().slices(id, &of).await.unwrap(), expected);
            }
        }
    }

    async fn save_run(&mut self, subject: &Subject<'_>, who: Who, number: u64, basis: Basis) {
        let (connection, id) = (subject.ids[who].clone(), run(subject.at.now, number));
        let same = |left: &Run, right: &Run| {
            (&left.connection, &left.id) == (&right.connection, &right.id)
        };
        let new = Run {
            reason: Some(format!("{}", subject.time)),
            ..Run::begin(
                connection.clone(),
                id.clone(),
                RunKind::Full,
                subject.at.now,
            )
        };
        let stored = self.runs.iter().find(|run| same(run, &new)).cloned();
        assert_eq!(subject.port().run(&connection, &id).await.unwrap(), stored);
        let stored = stored.map(|run| run.version);
        let new = Run {
            version: basis.version(stored),
            ..new
        };
        let expected = granted(stored, new.version).map(|version| Run {
            version,
            ..new.clone()
        });
        agree(subject.port().save_run(new).await, expected.clone());
        if let Some(saved) = expected {
            put(&mut self.runs, saved, same);
        }
    }

    fn find(&self, wanted: &Slice) -> Option<usize> {
        let key = |slice: &Slice| (slice.connection.clone(), slice.run.clone(), slice.key);
        self.slices
            .iter()
            .position(|(slice, _)| key(slice) == key(wanted))
    }

    async fn plan(&mut self, subject: &Subject<'_>, who: Who, of: u64, indices: &[u16]) {
        let planned: Vec<Slice> = indices
            .iter()
            .map(|index| slice(subject, who, of, *index))
            .collect();
        subject.port().plan_slices(&planned).await.unwrap();
        for slice in planned {
            if self.find(&slice).is_none() {
                let stored = subject
                    .port()
                    .slice(&slice.connection, &slice.run, slice.key)
                    .await;
                let stored = stored.unwrap().unwrap();
                let version = stored.version;
                assert_eq!(stored, Slice { version, ..slice });
                self.slices.push((stored, None));
            }
        }
    }

    async fn save(&mut self, subject: &Subject<'_>, who: Who, of: u64, index: u16, stale: bool) {
        let wanted = slice(subject, who, of, index);
        let found = subject
            .port()
            .slice(&wanted.connection, &wanted.run, wanted.key)
            .await
            .unwrap();
        let place = self.find(&wanted);
        assert_eq!(found.as_ref(), place.map(|place| &self.slices[place].0));
        let (Some(mut read), Some(place)) = (found, place) else {
            return;
        };
        let before = self.slices[place].1.clone().filter(|_| stale);
        let expected = if before.is_some() {
            Progress::Overtaken
        } else {
            Progress::Stored
        };
        read.version = before.map_or(read.version, |before| before.version);
        let version = read.version;
        read.counters.add(Counter::RowsRead, 1 + u64::from(index));
        assert_eq!(
            subject.port().save_slice(&mut read).await.unwrap(),
            expected
        );
        if expected == Progress::Stored {
            assert_eq!(read.version, version + 1);
            let stored = std::mem::replace(&mut self.slices[place].0, read);
            self.slices[place].1 = Some(stored);
        }
    }
}

fn slice(subject: &Subject<'_>, who: Who, of: u64, index: u16) -> Slice {
    Slice {
        connection: subject.ids[who].clone(),
        run: run(subject.at.now, of),
        key: SliceKey {
            stage: Stage::Accounts,
            object: Object::Account,
            index,
        },
        after: ZohoId::MIN,
        to: ZohoId::MAX,
        reached: None,
        position: None,
        looked_at: None,
        done: false,
        failure: None,
        server_time: None,
        plan: None,
        counters: Counters::default(),
        marks: Vec::new(),
        doubtful: vec![ZohoId::MAX],
        unflagged: [("Score".to_owned(), 3)].into(),
        version: 0,
    }
}
