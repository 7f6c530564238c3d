//! The log.

use jiff::SignedDuration;
use tandem::identifier::ConnectionId;
use tandem::journal::{Direction, Entry, Outcome, sortable};
use tandem::object::Object;
use tandem::port::{JournalQuery, Store};
use tandem::record::FieldChange;
use tandem::value::Value;

use crate::samples::{expiry, field, platform, run, zoho};
use crate::setting::{Setting, assert_refused, walk};

type Stores = Setting<dyn Store>;

/// A line `second` seconds after the service's now.
fn line(at: &Stores, connection: &ConnectionId, second: i64, subject: &str) -> Entry {
    let when = at.after(second);
    Entry {
        connection: connection.clone(),
        id: format!("{}#{subject}", sortable(when)),
        at: when,
        outcome: Outcome::Done,
        direction: None,
        action: "noted".into(),
        object: None,
        record: None,
        zoho_id: None,
        run: None,
        reason: None,
        fields: Vec::new(),
        expires_at: expiry(at.now),
    }
}

fn of_record(entry: Entry, object: Object, id: &str) -> Entry {
    Entry {
        object: Some(object),
        record: Some(platform(id)),
        ..entry
    }
}

/// Asserts that the log answers a question with these lines, at any page size.
async fn answers(at: &Stores, connection: &ConnectionId, query: JournalQuery, expected: &[Entry]) {
    for limit in [1, 3, 100] {
        let look = async || {
            let page = async |next| at.port.read(connection, &query, next, limit).await;
            walk(limit, page).await
        };
        at.eventually(look, expected.to_vec()).await;
    }
}

fn newest_first(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by(|left, right| right.id.cmp(&left.id));
    entries
}

pub(crate) async fn a_line_comes_back_as_it_was_written(at: &Stores) {
    let id = at.connection();
    let bare = line(at, &id, 0, "bare");
    let full = Entry {
        outcome: Outcome::Warned,
        direction: Some(Direction::Push),
        action: "created_in_zoho".into(),
        zoho_id: Some(zoho(u64::MAX)),
        run: Some(run(at.now, 1)),
        reason: Some("weil — \u{1F937}".into()),
        fields: vec![
            FieldChange {
                field: field("usage.logins"),
                before: Value::Null,
                after: Value::Integer(i64::MIN),
                overruled: None,
            },
            FieldChange {
                field: field("description"),
                before: Value::Text("x".repeat(100_000)),
                after: Value::Text(String::new()),
                overruled: Some(Value::choices(vec!["a".into(), "b".into()])),
            },
        ],
        ..of_record(line(at, &id, 1, "full \u{1F517}"), Object::Contact, "é#/ 1")
    };
    at.port.write(&[bare.clone(), full.clone()]).await.unwrap();
    answers(at, &id, JournalQuery::default(), &[full, bare]).await;
}

pub(crate) async fn a_line_written_twice_is_one(at: &Stores) {
    let id = at.connection();
    let first = of_record(line(at, &id, 0, "line"), Object::Task, "t-1");
    let other = line(at, &id, 1, "other");
    at.port
        .write(&[first.clone(), other.clone()])
        .await
        .unwrap();
    at.port.write(std::slice::from_ref(&first)).await.unwrap();
    let all = JournalQuery::default();
    answers(at, &id, all.clone(), &[other.clone(), first.clone()]).await;

    let again = Entry {
        outcome: Outcome::Parked,
        reason: Some("now it waits".into()),
        ..first.clone()
    };
    at.port
        .write(&[first, again.clone(), again.clone()])
        .await
        .unwrap();
    answers(at, &id, all, &[other.clone(), again.clone()]).await;
    let of = |outcome| JournalQuery {
        outcome: Some(outcome),
        ..JournalQuery::default()
    };
    answers(at, &id, of(Outcome::Done), &[other]).await;
    answers(at, &id, of(Outcome::Parked), &[again]).await;
}

pub(crate) async fn any_number_of_lines_is_written(at: &Stores) {
    for count in [0, 1, 25, 26, 101, 250] {
        let id = at.connection();
        let lines: Vec<Entry> = (0..count)
            .map(|number| line(at, &id, number, "many"))
            .collect();
        at.port.write(&lines).await.unwrap();
        let look = async || {
            let query = JournalQuery::default();
            let page = async |next| at.port.read(&id, &query, next, 60).await;
            walk(60, page).await
        };
        at.eventually(look, newest_first(lines)).await;
    }
}

pub(crate) async fn lines_of_one_instant_are_in_the_order_of_their_ids(at: &Stores) {
    let id = at.connection();
    let subjects = [
        "account#a-1#000001",
        "account#a-1#000002",
        "task#t-1#000001",
        "a",
        "é",
    ];
    let lines: Vec<Entry> = subjects
        .iter()
        .map(|subject| line(at, &id, 0, subject))
        .collect();
    at.port.write(&lines).await.unwrap();
    answers(at, &id, JournalQuery::default(), &newest_first(lines)).await;
}

pub(crate) async fn a_span_of_time_begins_inclusive_and_ends_exclusive(at: &Stores) {
    let id = at.connection();
    let mut lines: Vec<Entry> = (0..10)
        .map(|second| line(at, &id, second, "tick"))
        .collect();
    let between = at.after(4) + SignedDuration::from_micros(1);
    lines.push(Entry {
        at: between,
        id: format!("{}#between", sortable(between)),
        ..line(at, &id, 4, "")
    });
    at.port.write(&lines).await.unwrap();
    let lines = newest_first(lines);
    let within = |from: Option<i64>, to: Option<i64>| JournalQuery {
        from: from.map(|second| at.after(second)),
        to: to.map(|second| at.after(second)),
        ..JournalQuery::default()
    };
    answers(at, &id, within(Some(4), None), &lines[..7]).await;
    answers(at, &id, within(None, Some(4)), &lines[7..]).await;
    answers(at, &id, within(Some(2), Some(5)), &lines[5..9]).await;
    answers(at, &id, within(Some(4), Some(5)), &lines[5..7]).await;
    answers(at, &id, within(Some(5), Some(5)), &[]).await;
    answers(at, &id, within(Some(6), Some(5)), &[]).await;
    answers(at, &id, within(Some(100), None), &[]).await;
}

pub(crate) async fn each_filter_picks_its_lines(at: &Stores) {
    let id = at.connection();
    let outcomes = [
        Outcome::Done,
        Outcome::Parked,
        Outcome::Refused,
        Outcome::Held,
        Outcome::Warned,
    ];
    let records = [
        (Object::Task, "t-1"),
        (Object::Task, "t-10"),
        (Object::Deal, "t-1"),
        (Object::Contact, "t-1#x"),
    ];
    let mut lines = Vec::new();
    for number in 0..40_usize {
        let (object, name) = records[number % records.len()];
        let subject = line(at, &id, i64::try_from(number).unwrap(), name);
        let outcome = outcomes[number / 2 % outcomes.len()];
        lines.push(match number % 7 {
            0 => Entry { outcome, ..subject },
            _ => Entry {
                outcome,
                ..of_record(subject, object, name)
            },
        });
    }
    at.port.write(&lines).await.unwrap();
    let lines = newest_first(lines);
    let (from, to) = (Some(at.after(5)), Some(at.after(35)));
    let all = JournalQuery::default;
    let record = Some((Object::Task, platform("t-1")));
    let queries = [
        all(),
        JournalQuery {
            outcome: Some(Outcome::Held),
            ..all()
        },
        JournalQuery {
            object: Some(Object::Task),
            ..all()
        },
        JournalQuery {
            object: Some(Object::User),
            ..all()
        },
        JournalQuery {
            record: record.clone(),
            ..all()
        },
        JournalQuery {
            record: Some((Object::Contact, platform("t-1"))),
            ..all()
        },
        JournalQuery {
            record: record.clone(),
            outcome: Some(Outcome::Refused),
            ..all()
        },
        JournalQuery {
            record: record.clone(),
            object: Some(Object::Deal),
            ..all()
        },
        JournalQuery {
            outcome: Some(Outcome::Parked),
            object: Some(Object::Deal),
            ..all()
        },
        JournalQuery {
            outcome: Some(Outcome::Warned),
            from,
            to,
            ..all()
        },
        JournalQuery {
            object: Some(Object::Deal),
            from,
            to,
            ..all()
        },
        JournalQuery {
            record: record.clone(),
            from,
            to,
            ..all()
        },
        JournalQuery {
            record,
            from,
            to,
            outcome: Some(Outcome::Done),
            object: Some(Object::Task),
        },
    ];
    for query in queries {
        let expected: Vec<Entry> = lines
            .iter()
            .filter(|entry| meets(entry, &query))
            .cloned()
            .collect();
        answers(at, &id, query, &expected).await;
    }
}

fn meets(entry: &Entry, query: &JournalQuery) -> bool {
    let of_record = |(object, id): &(Object, _)| {
        entry.object == Some(*object) && entry.record.as_ref() == Some(id)
    };
    query.from.is_none_or(|from| entry.at >= from)
        && query.to.is_none_or(|to| entry.at < to)
        && query.outcome.is_none_or(|outcome| entry.outcome == outcome)
        && query
            .object
            .is_none_or(|object| entry.object == Some(object))
        && query.record.as_ref().is_none_or(of_record)
}

pub(crate) async fn lines_of_two_connections_never_mix(at: &Stores) {
    let owners = at.look_alikes();
    let mine = |owner: &ConnectionId| {
        let entry = |second| Entry {
            outcome: Outcome::Held,
            reason: Some(owner.to_string()),
            ..of_record(line(at, owner, second, "same"), Object::Deal, "d-1")
        };
        [1, 0].map(entry)
    };
    for owner in &owners {
        at.port.write(&mine(owner)).await.unwrap();
    }
    let queries = [
        JournalQuery::default(),
        JournalQuery {
            outcome: Some(Outcome::Held),
            ..JournalQuery::default()
        },
        JournalQuery {
            record: Some((Object::Deal, platform("d-1"))),
            ..JournalQuery::default()
        },
    ];
    for query in queries {
        for owner in &owners {
            answers(at, owner, query.clone(), &mine(owner)).await;
        }
        let [one, two, _] = &owners;
        let next = at.port.read(one, &query, None, 1).await.unwrap().next;
        assert!(next.is_some());
        assert_refused(&at.port.read(two, &query, next.clone(), 10).await);
        let narrower = JournalQuery {
            to: Some(at.after(1)),
            ..query
        };
        assert_refused(&at.port.read(one, &narrower, next, 10).await);
    }
}
