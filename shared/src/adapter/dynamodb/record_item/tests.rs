//! A record comes back as it was and is in the indexes that it belongs to.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use super::super::item::number;
use super::*;
use crate::identifier::Digest;
use crate::record::RemovalReason;
use crate::value::{Reference, decimal};

fn instants() -> impl Strategy<Value = Timestamp> {
    (0i64..4_000_000_000, 0i32..1_000_000_000)
        .prop_map(|(second, nanosecond)| Timestamp::new(second, nanosecond).unwrap())
}

fn ids() -> impl Strategy<Value = PlatformId> {
    "[!-~éß☃]{1,20}".prop_map(|text| text.parse().unwrap())
}

fn zoho_fields() -> impl Strategy<Value = ZohoField> {
    "[A-Z][a-z_]{0,4}".prop_map(|field| field.parse().unwrap())
}

fn zoho_ids() -> impl Strategy<Value = ZohoId> {
    any::<u64>().prop_map(|id| id.to_string().parse().unwrap())
}

fn runs() -> impl Strategy<Value = RunId> {
    (0u64..4).prop_map(|number| RunId::new(number, 1))
}

fn names() -> impl Strategy<Value = FieldName> {
    "[a-e]|account".prop_map(|text| text.parse().unwrap())
}

fn objects() -> impl Strategy<Value = Object> {
    proptest::sample::select(&Object::ALL[..])
}

fn values() -> impl Strategy<Value = Value> {
    let references = (objects(), option::of(zoho_ids()), option::of(ids())).prop_map(
        |(object, zoho_id, platform_id)| {
            Value::Reference(Reference {
                object,
                zoho_id,
                platform_id,
            })
        },
    );
    let decimals = (any::<i64>(), 0u32..20)
        .prop_map(|(mantissa, scale)| decimal(&format!("{mantissa}e-{scale}")));
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<i64>().prop_map(Value::Integer),
        decimals.prop_map(|value| value.unwrap_or(Value::Null)),
        "\\PC{0,8}".prop_map(Value::Text),
        instants().prop_map(Value::Instant),
        instants().prop_map(|at| Value::Date(jiff::tz::TimeZone::UTC.to_datetime(at).date())),
        vec("[a-c]{0,2}", 0..3).prop_map(Value::choices),
        references,
    ]
}

fn fields() -> impl Strategy<Value = Fields> {
    btree_map(names(), values(), 0..5)
}

fn sources() -> impl Strategy<Value = BTreeMap<FieldName, Source>> {
    let source = (
        proptest::sample::select(&[Side::Zoho, Side::Platform, Side::Calculated][..]),
        option::of(runs()),
        0i64..3,
        option::of(values()),
    )
        .prop_map(|(side, run, second, overruled)| Source {
            side,
            run,
            at: Timestamp::from_second(second).unwrap(),
            overruled,
        });
    btree_map(names(), source, 0..5)
}

fn changes() -> impl Strategy<Value = Change> {
    let field = (names(), values(), values(), option::of(values())).prop_map(
        |(field, before, after, overruled)| FieldChange {
            field,
            before,
            after,
            overruled,
        },
    );
    (option::of(runs()), vec(field, 0..4)).prop_map(|(run, fields)| Change {
        action: Action::CreatedInZoho,
        run,
        fields,
    })
}

prop_compose! {
    fn records()(
        (object, id, zoho_id) in (objects(), ids(), option::of(zoho_ids())),
        (fields, others, same) in (fields(), fields(), any::<bool>()),
        pending in btree_map(names(), (values(), instants(), vec(values(), 0..3)), 0..3),
        edited in btree_map(names(), instants(), 0..3),
        sources in sources(),
        (parked, zoho_modified_time) in (option::of(instants()), option::of(instants())),
        intent in option::of((instants(), vec(fields(), 0..3), btree_set(zoho_fields(), 0..3))),
        (segments, segmented) in (btree_set("[a-c]{1,2}", 0..3), option::of(instants())),
        (removed, moved_from) in (option::of((instants(), runs())), option::of(ids())),
        change in option::of(changes()),
        (created_at, updated_at) in (instants(), instants()),
        version: u64,
    ) -> Record {
        // Half of the records agree with their base and their change, as nearly all do in life.
        let base = if same { fields.clone() } else { others };
        Record {
            connection: "acme".parse().unwrap(),
            object,
            id,
            zoho_id,
            fields,
            base,
            pending: pending.into_iter().map(|(name, (value, at, replaced))| (name, Pending { value, at, replaced })).collect(),
            edited,
            sources,
            parked: parked.map(|at| Parked {
                code: "INVALID_DATA".into(),
                field: None,
                remedy: "mend it".into(),
                at,
                attempt: Digest::of(b"attempt"),
            }),
            create_intent: intent.map(|(at, tries, marks)| Intent { at, tries, marks }),
            segments,
            segmented,
            zoho_modified_time,
            removed: removed.map(|(at, run)| Removed { at, run, reason: RemovalReason::Gone }),
            moved_from,
            change,
            created_at,
            updated_at,
            version,
        }
    }
}

proptest! {
    #[test]
    fn a_record_comes_back_as_it_was(record in records()) {
        let item = item_of(record.clone()).unwrap();
        prop_assert_eq!(record_of(item).unwrap(), record);
    }

    #[test]
    fn a_record_is_in_the_indexes_that_it_belongs_to(record in records()) {
        let item = item_of(record.clone()).unwrap();
        prop_assert_eq!(item.contains_key("account_key"), record.account().is_some());
        let partition = match (record.wants_push(), record.parked_since()) {
            (true, _) => Some("acme".to_owned()),
            (false, Some(_)) => Some("acme#parked".to_owned()),
            (false, None) => None,
        };
        let stored = item.get("pending_key").and_then(|key| key.as_s().ok()).cloned();
        prop_assert_eq!(stored, partition);
        prop_assert_eq!(item.contains_key("pending_key"), item.contains_key("pending_since"));
        let forgotten = record.removed.map(|removed| number(removed.at.as_second() + 30 * 86_400 + 1));
        prop_assert_eq!(item.get("expires_at"), forgotten.as_ref());
    }

    #[test]
    fn pending_edits_are_found_up_to_their_time(object in objects(), id in ids(), edited in instants(), asked in instants()) {
        let found = pending_since(edited, object, &id) <= pending_until(asked);
        // The index counts whole microseconds.
        prop_assert_eq!(found, edited.as_microsecond() <= asked.as_microsecond());
    }
}

#[test]
fn what_equals_a_field_is_stored_once() {
    let long = Value::Text("x".repeat(1_000));
    let name: FieldName = "name".parse().unwrap();
    let mut record = Record::new(
        "acme".parse().unwrap(),
        Object::Account,
        "1".parse().unwrap(),
        Timestamp::UNIX_EPOCH,
    );
    record.fields.insert(name.clone(), long.clone());
    record.base.insert(name.clone(), long.clone());
    record.create_intent = Some(Intent {
        at: Timestamp::UNIX_EPOCH,
        tries: vec![record.fields.clone()],
        marks: BTreeSet::new(),
    });
    record.change = Some(Change {
        action: Action::Created,
        run: None,
        fields: vec![FieldChange {
            field: name,
            before: Value::Null,
            after: long,
            overruled: None,
        }],
    });
    let item = item_of(record).unwrap();
    let shown = format!("{item:?}");
    assert_eq!(shown.matches(&"x".repeat(1_000)).count(), 1);
}

#[test]
fn an_intent_from_before_its_tries_were_kept_is_read() {
    let mut record = Record::new(
        "acme".parse().unwrap(),
        Object::Task,
        "t-1".parse().unwrap(),
        Timestamp::UNIX_EPOCH,
    );
    let intent = Intent {
        at: Timestamp::UNIX_EPOCH,
        tries: Vec::new(),
        marks: BTreeSet::new(),
    };
    record.create_intent = Some(intent.clone());
    let item = item_of(record).unwrap();
    let stored = item.get("create_intent").and_then(|at| at.as_s().ok());
    assert_eq!(stored.map(String::as_str), Some("1970-01-01T00:00:00Z"));
    assert!(!item.contains_key("create_tries") && !item.contains_key("create_marks"));
    assert!(!item.contains_key("segmented"));
    assert_eq!(record_of(item).unwrap().create_intent, Some(intent));
}
