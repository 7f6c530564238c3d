//! Records and their indexes, naively.

use proptest::prelude::*;
use proptest::sample::select;
use tandem::identifier::{Digest, PlatformId};
use tandem::object::Object;
use tandem::record::{Parked, Record, RemovalReason, Removed};

use super::{Basis, Part, Subject, Who, agree, basis, granted, limit, name, names, part, put, who};
use crate::samples::{edit, of_account, platform, record, run, text};
use crate::setting::walk;

#[derive(Debug, Clone)]
pub(super) enum Step {
    Save {
        part: Part,
        name: &'static str,
        basis: Basis,
        draft: Draft,
    },
    Records {
        part: Part,
        names: Vec<&'static str>,
    },
    List {
        part: Part,
        limit: usize,
    },
    UpdatedSince {
        part: Part,
        since: i64,
        limit: usize,
    },
    OfAccount {
        who: Who,
        account: &'static str,
    },
    Pending {
        who: Who,
        before: i64,
        limit: usize,
    },
}

/// What a record says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draft {
    account: Option<&'static str>,
    edited: bool,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Plain,
    Parked,
    Removed,
}

pub(super) fn steps() -> impl Strategy<Value = Step> {
    let account = || select(&["acme", "acme 2"][..]);
    let state = select(&[State::Plain, State::Plain, State::Parked, State::Removed][..]);
    let draft = (proptest::option::of(account()), any::<bool>(), state).prop_map(
        |(account, edited, state)| Draft {
            account,
            edited,
            state,
        },
    );
    prop_oneof![
        6 => (part(), name(), basis(), draft)
            .prop_map(|(part, name, basis, draft)| Step::Save { part, name, basis, draft }),
        1 => (part(), names()).prop_map(|(part, names)| Step::Records { part, names }),
        1 => (part(), limit()).prop_map(|(part, limit)| Step::List { part, limit }),
        1 => (part(), 0..40_i64, limit())
            .prop_map(|(part, since, limit)| Step::UpdatedSince { part, since, limit }),
        1 => (who(), account()).prop_map(|(who, account)| Step::OfAccount { who, account }),
        1 => (who(), 0..40_i64, limit()).prop_map(|(who, before, limit)| Step::Pending { who, before, limit }),
    ]
}

#[derive(Default)]
pub(super) struct Model {
    records: Vec<Record>,
}

impl Model {
    pub(super) async fn step(&mut self, subject: &Subject<'_>, step: &Step) {
        let port = subject.port();
        match step {
            Step::Save {
                part,
                name,
                basis,
                draft,
            } => {
                let record = drafted(subject, *part, name, *draft);
                self.save(subject, record, *basis).await;
            }
            Step::Records { part, names } => {
                let ids: Vec<PlatformId> = names.iter().copied().map(platform).collect();
                let mut found = port
                    .records(&subject.ids[part.0], part.1, &ids)
                    .await
                    .unwrap();
                found.sort_by(|left, right| left.id.cmp(&right.id));
                assert_eq!(
                    found,
                    self.of(subject, *part, |record| ids.contains(&record.id))
                );
            }
            Step::List { part, limit } => {
                let id = &subject.ids[part.0];
                let page = async |next| port.list_records(id, part.1, next, *limit).await;
                let expected = self.of(subject, *part, |_| true);
                subject
                    .at
                    .eventually(async || walk(*limit, page).await, expected)
                    .await;
            }
            Step::UpdatedSince { part, since, limit } => {
                let (id, since) = (&subject.ids[part.0], subject.at.after(*since));
                let page = async |next| {
                    port.records_updated_since(id, part.1, since, next, *limit)
                        .await
                };
                let mut expected = self.of(subject, *part, |record| record.updated_at >= since);
                expected.sort_by_key(|record| record.updated_at);
                subject
                    .at
                    .eventually(async || walk(*limit, page).await, expected)
                    .await;
            }
            Step::OfAccount { who, account } => {
                let (id, account) = (&subject.ids[*who], platform(account));
                let mine = self
                    .records
                    .iter()
                    .filter(|record| record.connection == *id);
                let mine = mine.filter(|record| record.account() == Some(&account));
                let mut expected: Vec<_> = mine
                    .map(|record| (record.object, record.id.clone()))
                    .collect();
                expected.sort();
                let look = async || {
                    let mut found = port.records_of_account(id, &account).await.unwrap();
                    found.sort();
                    found
                };
                subject.at.eventually(look, expected).await;
            }
            Step::Pending { who, before, limit } => {
                self.pending(subject, *who, *before, *limit).await
            }
        }
    }

    fn of(
        &self,
        subject: &Subject<'_>,
        part: Part,
        wanted: impl Fn(&Record) -> bool,
    ) -> Vec<Record> {
        let of_part = |record: &&Record| {
            (&record.connection, record.object) == (&subject.ids[part.0], part.1)
        };
        let mine = self.records.iter().filter(of_part);
        let mut records: Vec<Record> = mine.filter(|record| wanted(record)).cloned().collect();
        records.sort_by(|left, right| left.id.cmp(&right.id));
        records
    }

    async fn save(&mut self, subject: &Subject<'_>, record: Record, basis: Basis) {
        let key = |record: &Record| (record.connection.clone(), record.object, record.id.clone());
        let same = |left: &Record, right: &Record| key(left) == key(right);
        let stored = self.records.iter().find(|stored| same(stored, &record));
        let stored = stored.map(|stored| stored.version);
        let record = Record {
            version: basis.version(stored),
            ..record
        };
        let expected = granted(stored, record.version).map(|version| Record {
            version,
            ..record.clone()
        });
        agree(subject.port().save_record(record).await, expected.clone());
        if let Some(saved) = expected {
            put(&mut self.records, saved, same);
        }
    }

    async fn pending(&self, subject: &Subject<'_>, who: Who, before: i64, limit: usize) {
        let (id, before) = (&subject.ids[who], subject.at.after(before));
        let waiting = |record: &Record| {
            let since = record.pending_since().filter(|since| *since <= before);
            let wants =
                !record.pending.is_empty() && record.parked.is_none() && record.removed.is_none();
            let key = (record.object, record.id.clone());
            since
                .filter(|_| wants && record.connection == *id)
                .map(|since| (since, key))
        };
        let mut expected: Vec<_> = self.records.iter().filter_map(waiting).collect();
        expected.sort();
        expected.truncate(limit);
        let expected: Vec<(Object, PlatformId)> =
            expected.into_iter().map(|(_, key)| key).collect();
        let look = async || subject.port().pending(id, before, limit).await.unwrap();
        subject.at.eventually(look, expected).await;
    }
}

fn drafted(subject: &Subject<'_>, part: Part, name: &str, draft: Draft) -> Record {
    let now = subject.at.after(subject.time);
    let mut record = record(&subject.ids[part.0], part.1, name, subject.at.now);
    record.updated_at = now;
    text(&mut record, "name", &format!("{}", subject.time));
    if let Some(account) = draft.account {
        of_account(&mut record, account);
    }
    if draft.edited {
        edit(&mut record, "name", now);
    }
    match draft.state {
        State::Plain => {}
        State::Parked => {
            record.parked = Some(Parked {
                code: "RECORD_LOCKED".into(),
                field: None,
                remedy: "unlock it".into(),
                at: now,
                attempt: Digest::of(b"attempt"),
            });
        }
        State::Removed => {
            let reason = RemovalReason::Gone;
            let run = run(subject.at.now, 0);
            record.removed = Some(Removed {
                at: now,
                run,
                reason,
            });
        }
    }
    record
}
