//! Records.

mod listings;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp, civil};
use rust_decimal::Decimal;
use tandem::identifier::{ConnectionId, Digest, PlatformId};
use tandem::object::Object;
use tandem::port::{Error, Store};
use tandem::record::{
    Action, Change, FieldChange, Intent, Parked, Pending, Record, RemovalReason, Removed, Side,
    Source,
};
use tandem::value::{Fields, Reference, Value};

use crate::samples::{edit, field, platform, record, run, text, zoho};
use crate::setting::{CONTENDERS, Setting, assert_conflict, one_wins, walk};

pub(crate) use listings::{
    an_account_has_its_records, changes_of_one_instant_are_all_listed,
    parked_edits_come_latest_first, pending_edits_come_oldest_first,
    records_are_listed_once_and_by_id, what_changed_since_comes_oldest_change_first,
};

type Stores = Setting<dyn Store>;

/// Every kind of value, at its ends.
fn values(now: Timestamp) -> Vec<Value> {
    let decimal = |digits: &str| Value::Decimal(digits.parse::<Decimal>().unwrap());
    let reference = |zoho_id, platform_id| {
        let object = Object::Contact;
        Value::Reference(Reference {
            object,
            zoho_id,
            platform_id,
        })
    };
    vec![
        Value::Null,
        Value::Boolean(true),
        Value::Boolean(false),
        Value::Integer(0),
        Value::Integer(i64::MIN),
        Value::Integer(i64::MAX),
        decimal("0"),
        decimal("0.1"),
        decimal("-12345678901234567890.12345678"),
        decimal("79228162514264337593543950335"),
        decimal("-79228162514264337593543950335"),
        decimal("0.0000000000000000000000000001"),
        Value::Text(String::new()),
        Value::Text(" outer space \t\r\n".into()),
        Value::Text("\0 \u{7f} \u{200b} \u{feff} \u{10ffff}".into()),
        Value::Text(
            "naïve 株式会社 \u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467} العربية \"'\\{}".into(),
        ),
        Value::Text("1e3".into()),
        Value::Text("null".into()),
        Value::Date(civil::Date::MIN),
        Value::Date(civil::date(2024, 2, 29)),
        Value::Date(civil::Date::MAX),
        Value::Instant(Timestamp::MIN),
        Value::Instant(Timestamp::UNIX_EPOCH),
        Value::Instant(now + SignedDuration::from_nanos(123_456_789)),
        Value::Instant(Timestamp::MAX),
        Value::Choices(Vec::new()),
        Value::choices(vec![
            "b".into(),
            "a".into(),
            String::new(),
            "a;b".into(),
            "é".into(),
        ]),
        reference(None, None),
        reference(Some(zoho(u64::MAX)), None),
        reference(None, Some(platform("p#1"))),
        reference(Some(zoho(9)), Some(platform("é"))),
    ]
}

/// A record with something in every part of it.
fn full(id: &ConnectionId, at: &Stores) -> Record {
    let fine = at.now + SignedDuration::from_nanos(987_654_321);
    let all = values(at.now);
    let fields: Fields = all
        .iter()
        .enumerate()
        .map(|(place, value)| (field(&format!("usage.field_{place}")), value.clone()))
        .collect();
    let pending = |value: &Value| Pending {
        value: value.clone(),
        at: fine,
        replaced: vec![value.clone()],
    };
    let source = |value: &Value| Source {
        side: if value.is_null() {
            Side::Zoho
        } else {
            Side::Platform
        },
        run: (!value.is_null()).then(|| run(at.now, 1)),
        at: fine,
        overruled: Some(value.clone()),
    };
    let change = |(name, value): (&tandem::identifier::FieldName, &Value)| FieldChange {
        field: name.clone(),
        before: Value::Null,
        after: value.clone(),
        overruled: Some(value.clone()),
    };
    let by_field = || fields.iter().map(|(name, value)| (name.clone(), value));
    Record {
        zoho_id: Some(zoho(4_876_876_000_000_333_001)),
        base: fields.clone(),
        pending: by_field()
            .map(|(name, value)| (name, pending(value)))
            .collect(),
        edited: by_field().map(|(name, _)| (name, fine)).collect(),
        sources: by_field()
            .map(|(name, value)| (name, source(value)))
            .collect(),
        parked: Some(Parked {
            code: "INVALID_DATA".into(),
            field: Some("Phone".into()),
            remedy: "shorten the number: \u{260E}".into(),
            at: fine,
            attempt: Digest::of(b"attempt"),
        }),
        create_intent: Some(Intent {
            at: fine,
            tries: vec![fields.clone(), Fields::new()],
            marks: ["Mark", "Other__c"]
                .map(|mark| mark.parse().unwrap())
                .into(),
        }),
        segments: ["vip", "", "é#/ "].map(str::to_owned).into_iter().collect(),
        segmented: Some(fine),
        zoho_modified_time: Some(at.after(-60)),
        removed: Some(Removed {
            at: fine,
            run: run(at.now, 2),
            reason: RemovalReason::OutOfScope,
        }),
        change: Some(Change {
            action: Action::CreatedInZoho,
            run: Some(run(at.now, 3)),
            fields: fields.iter().map(change).collect(),
        }),
        created_at: fine,
        updated_at: fine,
        fields,
        ..record(id, Object::Contact, "full", at.now)
    }
}

async fn read(at: &Stores, id: &ConnectionId, object: Object, name: &str) -> Option<Record> {
    let found = at
        .port
        .records(id, object, &[platform(name)])
        .await
        .unwrap();
    assert!(found.len() <= 1);
    found.into_iter().next()
}

pub(crate) async fn a_record_comes_back_as_it_was_stored(at: &Stores) {
    let id = at.connection();
    let bare = record(&id, Object::User, "zoho-9", at.now);
    let saved = at.port.save_record(bare.clone()).await.unwrap();
    assert_eq!(saved, Record { version: 1, ..bare });
    assert_eq!(read(at, &id, Object::User, "zoho-9").await, Some(saved));

    let all = full(&id, at);
    let saved = at.port.save_record(all.clone()).await.unwrap();
    assert_eq!(saved, Record { version: 1, ..all });
    assert_eq!(read(at, &id, Object::Contact, "full").await, Some(saved));

    let emptied = Record {
        version: 1,
        ..record(&id, Object::Contact, "full", at.now)
    };
    let saved = at.port.save_record(emptied).await.unwrap();
    assert_eq!(read(at, &id, Object::Contact, "full").await, Some(saved));
}

pub(crate) async fn a_record_can_hold_big_texts(at: &Stores) {
    let id = at.connection();
    let big = "Größe \u{1F418} ".repeat(100_000 / 13);
    let mut expected = Vec::new();
    for number in 10..30 {
        let name = format!("r-{number}");
        let mut large = record(&id, Object::Account, &name, at.now);
        text(&mut large, "description", &format!("{number} {big}"));
        expected.push(at.port.save_record(large).await.unwrap());
    }
    let ids: Vec<PlatformId> = expected.iter().map(|record| record.id.clone()).collect();
    let mut found = at.port.records(&id, Object::Account, &ids).await.unwrap();
    found.sort_by(|left, right| left.id.cmp(&right.id));
    assert!(found == expected, "big records came back otherwise");
    let listed = async || {
        let page = async |next| at.port.list_records(&id, Object::Account, next, 100).await;
        walk(100, page).await == expected
    };
    at.eventually(listed, true).await;
}

pub(crate) async fn a_record_that_is_too_large_is_refused_for_good(at: &Stores) {
    let id = at.connection();
    let mut large = record(&id, Object::Task, "t-1", at.now);
    for name in ["a", "b", "c"] {
        text(&mut large, name, &name.repeat(200_000));
    }
    let answer = at.port.save_record(large).await;
    assert!(matches!(answer, Err(Error::Refused { .. })), "{answer:?}");
    assert_eq!(read(at, &id, Object::Task, "t-1").await, None);
}

pub(crate) async fn a_record_goes_from_version_to_version(at: &Stores) {
    let id = at.connection();
    let draft = |value: u64| {
        let mut draft = record(&id, Object::Task, "t-1", at.now);
        text(&mut draft, "subject", &format!("{value}"));
        draft
    };
    let ahead = Record {
        version: 1,
        ..draft(0)
    };
    assert_conflict(&at.port.save_record(ahead).await);
    let create = |number| at.port.save_record(draft(number));
    let first = one_wins((0..CONTENDERS).map(create)).await;
    assert_conflict(&create(99).await);
    let over = |number| {
        at.port.save_record(Record {
            version: first.version,
            ..draft(number)
        })
    };
    let second = one_wins((100..100 + CONTENDERS).map(over)).await;
    assert_eq!((first.version, second.version), (1, 2));
    assert_conflict(&over(99).await);
    let ahead = Record {
        version: 3,
        ..draft(0)
    };
    assert_conflict(&at.port.save_record(ahead).await);
    assert_eq!(read(at, &id, Object::Task, "t-1").await, Some(second));
}

pub(crate) async fn any_number_of_records_is_found(at: &Stores) {
    let id = at.connection();
    for number in 0..250 {
        let name = format!("r-{number}");
        at.port
            .save_record(record(&id, Object::Deal, &name, at.now))
            .await
            .unwrap();
    }
    for count in [0, 1, 100, 101, 250] {
        let stored = (0..count).map(|number| format!("r-{number}"));
        let missing = (0..count).map(|number| format!("s-{number}"));
        let twice = (0..count.min(1)).map(|number| format!("r-{number}"));
        let asked: Vec<PlatformId> = missing
            .chain(stored)
            .chain(twice)
            .map(|name| platform(&name))
            .collect();
        let found = at.port.records(&id, Object::Deal, &asked).await.unwrap();
        assert_eq!(found.len(), count, "each that exists, once");
        let found: BTreeSet<PlatformId> = found.into_iter().map(|record| record.id).collect();
        assert_eq!(found, asked[count..].iter().cloned().collect());
    }
}

pub(crate) async fn records_of_two_connections_or_objects_never_mix(at: &Stores) {
    let owners = at.look_alikes();
    let objects = [Object::Account, Object::Task];
    for owner in &owners {
        for object in objects {
            let mut mine = record(owner, object, "same", at.now);
            text(&mut mine, "name", &format!("{owner} {object}"));
            edit(&mut mine, "name", at.now);
            let saved = at.port.save_record(mine).await.unwrap();
            assert_eq!(saved.version, 1, "another's record was met");
        }
    }
    for owner in &owners {
        for object in objects {
            let found = read(at, owner, object, "same").await.unwrap();
            let name = found.fields[&field("name")].as_text();
            assert_eq!(name, Some(format!("{owner} {object}").as_str()));
            assert_eq!((&found.connection, found.object), (owner, object));
        }
        assert_eq!(read(at, owner, Object::Deal, "same").await, None);
        let look = async || {
            let mut found = listings::pending(at, owner, at.now, 10).await;
            found.sort();
            found
        };
        let expected = ["account same", "task same"].map(str::to_owned).to_vec();
        at.eventually(look, expected).await;
    }
}
