//! The log, naively.

use proptest::prelude::*;
use proptest::sample::select;
use tandem::journal::{Entry, Outcome, sortable};
use tandem::object::Object;
use tandem::port::JournalQuery;

use super::{Subject, Who, limit, name, put, who};
use crate::samples::{expiry, platform};
use crate::setting::walk;

#[derive(Debug, Clone)]
pub(super) enum Step {
    Write {
        who: Who,
        lines: Vec<Line>,
    },
    Read {
        who: Who,
        query: Query,
        limit: usize,
    },
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    second: i64,
    subject: u8,
    outcome: Outcome,
    record: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Query {
    from: Option<i64>,
    to: Option<i64>,
    outcome: Option<Outcome>,
    record: Option<&'static str>,
    object: Option<Object>,
}

fn outcome() -> impl Strategy<Value = Outcome> {
    select(&[Outcome::Done, Outcome::Parked][..])
}

pub(super) fn steps() -> impl Strategy<Value = Step> {
    let line = (0..9_i64, 0..3_u8, outcome(), proptest::option::of(name())).prop_map(
        |(second, subject, outcome, record)| Line {
            second,
            subject,
            outcome,
            record,
        },
    );
    let second = || proptest::option::of(0..10_i64);
    let record = proptest::option::of(name());
    let object = proptest::option::of(select(&[Object::Deal, Object::Task][..]));
    let query = (
        second(),
        second(),
        proptest::option::of(outcome()),
        record,
        object,
    )
        .prop_map(|(from, to, outcome, record, object)| Query {
            from,
            to,
            outcome,
            record,
            object,
        });
    prop_oneof![
        (who(), proptest::collection::vec(line, 0..4))
            .prop_map(|(who, lines)| Step::Write { who, lines }),
        (who(), query, limit()).prop_map(|(who, query, limit)| Step::Read { who, query, limit }),
    ]
}

#[derive(Default)]
pub(super) struct Model {
    entries: Vec<Entry>,
}

impl Model {
    pub(super) async fn step(&mut self, subject: &Subject<'_>, step: &Step) {
        match step {
            Step::Write { who, lines } => {
                let entries: Vec<Entry> = lines
                    .iter()
                    .map(|line| entry(subject, *who, *line))
                    .collect();
                subject.port().write(&entries).await.unwrap();
                let same = |left: &Entry, right: &Entry| {
                    (&left.connection, &left.id) == (&right.connection, &right.id)
                };
                entries
                    .into_iter()
                    .for_each(|entry| put(&mut self.entries, entry, same));
            }
            Step::Read { who, query, limit } => self.read(subject, *who, *query, *limit).await,
        }
    }

    async fn read(&self, subject: &Subject<'_>, who: Who, query: Query, limit: usize) {
        let id = &subject.ids[who];
        let query = JournalQuery {
            from: query.from.map(|second| subject.at.after(second)),
            to: query.to.map(|second| subject.at.after(second)),
            outcome: query.outcome,
            record: query.record.map(|name| (Object::Task, platform(name))),
            object: query.object,
        };
        let meets = |entry: &&Entry| {
            let record = || Some((entry.object?, entry.record.clone()?));
            entry.connection == *id
                && query.from.is_none_or(|from| entry.at >= from)
                && query.to.is_none_or(|to| entry.at < to)
                && query.outcome.is_none_or(|outcome| entry.outcome == outcome)
                && query
                    .object
                    .is_none_or(|object| entry.object == Some(object))
                && (query.record.is_none() || query.record == record())
        };
        let mut expected: Vec<Entry> = self.entries.iter().filter(meets).cloned().collect();
        expected.sort_by(|left, right| right.id.cmp(&left.id));
        let page = async |next| subject.port().read(id, &query, next, limit).await;
        subject
            .at
            .eventually(async || walk(limit, page).await, expected)
            .await;
    }
}

fn entry(subject: &Subject<'_>, who: Who, line: Line) -> Entry {
    let at = subject.at.after(line.second);
    Entry {
        connection: subject.ids[who].clone(),
        id: format!("{}#{}", sortable(at), line.subject),
        at,
        outcome: line.outcome,
        direction: None,
        action: "noted".into(),
        object: line.record.map(|_| Object::Task),
        record: line.record.map(platform),
        zoho_id: None,
        run: None,
        reason: Some(format!("{}", subject.time)),
        fields: Vec::new(),
        expires_at: expiry(subject.at.now),
    }
}
