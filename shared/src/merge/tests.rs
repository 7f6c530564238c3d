//! The rules of the merge, by example and by law.

use super::*;
use crate::identifier::{Digest, FieldName};
use crate::object::Object;
use crate::settings::Settings;
use proptest::prelude::*;
use serde_json::json;

fn plan(policy: &str) -> FieldPlan {
    let settings: Settings = serde_json::from_value(
        json!({"conflicts": policy, "core_writeback": true, "objects": {"account": {
            "mappings": [{"zoho": "Account_Name", "platform": "name", "editable": true}]
        }}}),
    )
    .unwrap();
    FieldPlan::compile(&settings, Object::Account)
}

fn name() -> FieldName {
    "name".parse().unwrap()
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn moment() -> Moment {
    Moment {
        now: at(900),
        run: None,
    }
}

fn record(base: &str, ours: Option<(&str, i64)>) -> Record {
    let mut record = Record::new(
        "acme".parse().unwrap(),
        Object::Account,
        "A-1".parse().unwrap(),
        at(0),
    );
    record.fields.insert(name(), text(base));
    record.base.insert(name(), text(base));
    if let Some((value, second)) = ours {
        record.fields.insert(name(), text(value));
        record
            .pending
            .insert(name(), Pending::new(text(value), at(second)));
    }
    record
}

fn theirs(value: &str, modified: i64) -> Theirs {
    Theirs {
        identity: None,
        values: Fields::from([(name(), text(value))]),
        modified_time: Some(at(modified)),
        faults: vec![],
        hash: Digest::of(b""),
    }
}

/// Base, ours, theirs and policy in; the value shown, whether an edit goes to Zoho, and the loser out.
fn outcome(
    policy: &str,
    ours: Option<(&str, i64)>,
    their_value: &str,
) -> (String, bool, Option<String>) {
    let merged = merge(
        &record("base", ours),
        Some(&theirs(their_value, 500)),
        &plan(policy),
        &moment(),
    );
    let shown = merged.record.fields[&name()].as_text().unwrap().to_owned();
    let loser = merged
        .record
        .sources
        .get(&name())
        .and_then(|source| source.overruled.as_ref()?.as_text().map(str::to_owned));
    (shown, merged.push.contains_key(&name()), loser)
}

#[test]
fn one_side_changed() {
    assert_eq!(
        outcome("zoho_wins", None, "theirs"),
        ("theirs".into(), false, None)
    );
    assert_eq!(
        outcome("zoho_wins", Some(("ours", 10)), "base"),
        ("ours".into(), true, None)
    );
}

#[test]
fn both_changed_to_the_same() {
    assert_eq!(
        outcome("zoho_wins", Some(("same", 10)), "same"),
        ("same".into(), false, None)
    );
}

#[test]
fn both_changed_differently() {
    let loser = |text: &str| Some(text.to_owned());
    assert_eq!(
        outcome("zoho_wins", Some(("ours", 10)), "theirs"),
        ("theirs".into(), false, loser("ours"))
    );
    assert_eq!(
        outcome("platform_wins", Some(("ours", 10)), "theirs"),
        ("ours".into(), true, loser("theirs"))
    );
    assert_eq!(
        outcome("latest_wins", Some(("ours", 10)), "theirs"),
        ("theirs".into(), false, loser("ours"))
    );
    assert_eq!(
        outcome("latest_wins", Some(("ours", 500)), "theirs"),
        ("theirs".into(), false, loser("ours")),
        "a tie is Zoho's"
    );
    assert_eq!(
        outcome("latest_wins", Some(("ours", 501)), "theirs"),
        ("ours".into(), true, loser("theirs"))
    );
}

/// A plan of one custom field, with more to its mapping.
fn custom(kind: &str, more: &serde_json::Value) -> FieldPlan {
    let mut mapping = json!({"zoho": "Account_Name", "platform": "tier", "editable": true});
    let more = more.as_object().unwrap().clone();
    mapping.as_object_mut().unwrap().extend(more);
    let settings: Settings = serde_json::from_value(json!({"objects": {"account": {
        "custom_fields": {"tier": kind}, "mappings": [mapping]
    }}}))
    .unwrap();
    FieldPlan::compile(&settings, Object::Account)
}

/// What a plan of one custom field makes of an edit, where Zoho's value is `base` until it is `their`.
fn merged(plan: &FieldPlan, [base, ours, their]: [Value; 3]) -> Merged {
    let tier: FieldName = "tier".parse().unwrap();
    let mut before = record("unmapped", None);
    before.base.insert(tier.clone(), base);
    before.fields.insert(tier.clone(), ours.clone());
    let edited = source(Side::Platform, &moment(), None);
    before.sources.insert(tier.clone(), edited);
    before
        .pending
        .insert(tier.clone(), Pending::new(ours, at(10)));
    let theirs = Theirs {
        values: Fields::from([(tier, their)]),
        ..theirs("", 500)
    };
    let once = merge(&before, Some(&theirs), plan, &moment());
    let twice = merge(&once.record, Some(&theirs), plan, &moment());
    assert!(!twice.changed, "{twice:?}");
    once
}

/// What a record's last change says of its one field, and who gave that now.
fn told(record: &Record) -> (FieldChange, Side, Option<Value>) {
    let change = record.change.as_ref().unwrap();
    let [field] = change.fields.as_slice() else {
        panic!("{change:?}")
    };
    let source = &record.sources[&field.field];
    (field.clone(), source.side, source.overruled.clone())
}

#[test]
fn an_edit_that_can_not_go_to_zoho_waits_where_nothing_comes_from_there() {
    let settings: Settings =
        serde_json::from_value(json!({"core_writeback": false, "objects": {"account": {
            "mappings": [{"zoho": "Account_Name", "platform": "name", "direction": "push"}]
        }}}))
        .unwrap();
    let plan = FieldPlan::compile(&settings, Object::Account);
    let before = record("base", Some(("ours", 10)));
    let Merged { record, push, .. } =
        merge(&before, Some(&theirs("theirs", 500)), &plan, &moment());
    assert_eq!(record.fields[&name()], text("ours"));
    assert_eq!(record.pending, before.pending);
    assert!(push.is_empty());
    let twice = merge(&record, Some(&theirs("theirs", 500)), &plan, &moment());
    assert!(!twice.changed, "{twice:?}");
}

#[test]
fn a_value_that_was_taken_away_in_vain_comes_back_and_the_log_says_so() {
    let plan = custom("text", &json!({"null": "keep"}));
    let record = merged(&plan, [text("x"), Value::Null, text("x")]).record;
    assert!(record.pending.is_empty());
    let (field, side, overruled) = told(&record);
    assert_eq!((field.before, field.after), (Value::Null, text("x")));
    assert_eq!(side, Side::Zoho);
    assert_eq!(
        (field.overruled, overruled),
        (Some(Value::Null), Some(Value::Null))
    );
}

#[test]
fn what_zoho_has_besides_the_values_to_add_comes_with_its_source() {
    let plan = custom("choices", &json!({"choices": "append"}));
    let choices =
        |values: &[&str]| Value::choices(values.iter().map(|one| (*one).into()).collect());
    let (ours, theirs) = (choices(&["a"]), choices(&["a", "b"]));
    let record = merged(&plan, [choices(&["b"]), ours.clone(), theirs.clone()]).record;
    assert!(record.pending.is_empty());
    let (field, side, overruled) = told(&record);
    assert_eq!((field.before, field.after), (ours, theirs));
    assert_eq!(side, Side::Zoho);
    assert_eq!((field.overruled, overruled), (None, None), "nobody lost");
}

#[test]
fn an_older_row_than_the_last_takes_nothing_back() {
    let mut before = record("base", Some(("ours", 10)));
    before.zoho_modified_time = Some(at(600));
    let plan = plan("zoho_wins");
    let older = theirs("older", 599);
    assert!(!merge(&before, Some(&older), &plan, &moment()).changed);
    let later = theirs("later", 600);
    assert!(merge(&before, Some(&later), &plan, &moment()).changed);
    let written = Fields::from([(name(), text("ours"))]);
    let settled = settle(
        &before,
        &written,
        Some(&older),
        &plan,
        &moment(),
        Action::Pushed,
    );
    assert_eq!(settled.pending, before.pending, "it is looked at once more");
    assert_eq!(settled.base, before.base);
}

#[test]
fn a_row_from_before_a_write_takes_nothing_back() {
    let waiting = record("old", Some(("new", 100)));
    let written = Fields::from([(name(), text("new"))]);
    let read_back = theirs("new", 500);
    let plan = plan("zoho_wins");
    let pushed = settle(
        &waiting,
        &written,
        Some(&read_back),
        &plan,
        &moment(),
        Action::Pushed,
    );
    assert_eq!(pushed.zoho_modified_time, Some(at(500)));
    let late = merge(&pushed, Some(&theirs("old", 50)), &plan, &moment());
    assert!(!late.changed);
    assert_eq!(late.record.fields[&name()], text("new"));
}

#[test]
fn a_clock_that_is_put_back_hides_no_change_for_ever() {
    let plan = plan("zoho_wins");
    let mut record = record("old", None);
    record.zoho_modified_time = Some(at(500));
    let row = theirs("new", 400);
    let at_once = merge(&record, Some(&row), &plan, &moment());
    assert!(!at_once.changed, "somebody may have read a later row");
    let later = Moment {
        now: at(10_000),
        run: None,
    };
    let later = merge(&record, Some(&row), &plan, &later);
    assert_eq!(later.record.fields[&name()], text("new"));
}

#[test]
fn nothing_new_changes_nothing() {
    let before = record("base", None);
    let merged = merge(
        &before,
        Some(&theirs("base", 900)),
        &plan("zoho_wins"),
        &moment(),
    );
    assert!(!merged.changed);
    assert_eq!(merged.record, before);
}

#[test]
fn a_field_that_zoho_did_not_send_is_left_alone() {
    let before = record("base", None);
    let silent = Theirs {
        values: Fields::new(),
        ..theirs("", 900)
    };
    assert!(!merge(&before, Some(&silent), &plan("zoho_wins"), &moment()).changed);
}

proptest! {
    #[test]
    fn merging_twice_is_merging_once(base in "[abc]", ours in proptest::option::of(("[abc]", 0i64..900)), their in "[abc]", policy in 0usize..3) {
        let plan = plan(["zoho_wins", "platform_wins", "latest_wins"][policy]);
        let before = record(&base, ours.as_ref().map(|(value, at)| (value.as_str(), *at)));
        let theirs = theirs(&their, 500);
        let once = merge(&before, Some(&theirs), &plan, &moment());
        let twice = merge(&once.record, Some(&theirs), &plan, &moment());
        prop_assert!(!twice.changed);
        prop_assert_eq!(&twice.record, &once.record);
        prop_assert_eq!(&twice.push, &once.push);
    }

    #[test]
    fn an_edit_is_pushed_agreed_or_kept_as_the_loser(base in "[abc]", ours in "[abc]", their in "[abc]", policy in 0usize..3) {
        let plan = plan(["zoho_wins", "platform_wins", "latest_wins"][policy]);
        let merged = merge(&record(&base, Some((&ours, 10))), Some(&theirs(&their, 500)), &plan, &moment());
        let pushed = merged.push.get(&name()) == Some(&text(&ours));
        let agreed = ours == their;
        let lost = merged.record.sources.get(&name()).is_some_and(|source| source.overruled == Some(text(&ours)));
        prop_assert!(pushed || agreed || lost);
    }
}
