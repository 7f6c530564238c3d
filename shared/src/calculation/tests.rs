//! What is calculated, in words and dates, and against a model that goes about it differently.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::connection::Organisation;
use crate::data_centre::{DataCentre, Directory};
use crate::identifier::ZohoId;
use crate::record::{RemovalReason, Removed};
use crate::value::{Reference, decimal};

fn connection(zone: &str) -> Connection {
    let mut connection = Connection::new(
        "acme".parse().unwrap(),
        "Acme".into(),
        Timestamp::UNIX_EPOCH,
    );
    connection.organisation = Some(Organisation {
        id: "1".into(),
        name: "Acme".into(),
        time_zone: zone.into(),
        data_centre: DataCentre::Us,
        api_domain: Directory::zoho()
            .api_domain(DataCentre::Us, "https://www.zohoapis.com")
            .unwrap(),
        edition: "enterprise".into(),
        daily_credits: 5_000,
    });
    connection
}

/// A plan of one field named `outcome` over deals with `start`, `end`, `seats`, `margin`, `signed` and `won`.
fn plan(kind: &str, filter: Json, value: Json) -> Plan {
    let settings: Settings = serde_json::from_value(json!({"objects": {
        "account": {
            "custom_fields": {"outcome": kind},
            "calculated": [{"platform": "outcome", "over": "deal", "filter": filter, "value": value}]
        },
        "deal": {"custom_fields": {
            "start": "date", "end": "date", "seats": "integer", "margin": "decimal", "signed": "instant", "won": "boolean"
        }}
    }}))
    .unwrap();
    assert_eq!(settings.problems(), []);
    Plan::compile(&settings, &connection("Asia/Kolkata"))
}

fn id(text: &str) -> PlatformId {
    text.parse().unwrap()
}

fn name(text: &str) -> FieldName {
    text.parse().unwrap()
}

fn day(text: &str) -> civil::Date {
    text.parse().unwrap()
}

fn date(text: &str) -> Value {
    Value::Date(day(text))
}

/// A deal of the account `A-1`.
fn deal(deal: &str, fields: &[(&str, Value)]) -> Record {
    let mut record = Record::new(
        "acme".parse().unwrap(),
        Object::Deal,
        id(deal),
        Timestamp::UNIX_EPOCH,
    );
    move_to(&mut record, "A-1");
    let fields = fields.iter().cloned();
    record
        .fields
        .extend(fields.map(|(field, value)| (name(field), value)));
    record
}

fn move_to(record: &mut Record, account: &str) {
    let reference = Reference {
        object: Object::Account,
        zoho_id: None,
        platform_id: Some(id(account)),
    };
    record
        .fields
        .insert(name("account"), Value::Reference(reference));
}

fn removed() -> Option<Removed> {
    Some(Removed {
        at: Timestamp::UNIX_EPOCH,
        run: "01JD8QK3ZV5W7Y0B2C4E6G8H9J".parse().unwrap(),
        reason: RemovalReason::Gone,
    })
}

/// What comes of these deals on a day: the value and the next day that may change it.
fn on(plan: &Plan, deals: &[Record], today: &str) -> (Value, Option<civil::Date>) {
    let outcome = plan.evaluate(&id("A-1"), deals, day(today));
    (outcome.values[&name("outcome")].clone(), outcome.changes_on)
}

fn value(plan: &Plan, deals: &[Record]) -> Value {
    on(plan, deals, "2026-11-23").0
}

fn everything() -> Json {
    json!({"all": []})
}

/// Among deals whose start is past and whose end is today or later.
fn running() -> Json {
    json!({"all": [
        {"where": {"field": "start", "comparator": "less_than", "value": {"today": 0}}},
        {"where": {"field": "end", "comparator": "greater_equal", "value": {"today": 0}}}
    ]})
}

#[test]
fn the_furthest_end_of_the_running_deals_is_the_next_renewal() {
    let plan = plan("date", running(), json!({"max": "end"}));
    let deals = [
        deal(
            "over",
            &[("start", date("2025-01-01")), ("end", date("2025-12-31"))],
        ),
        deal(
            "short",
            &[("start", date("2026-01-01")), ("end", date("2026-11-30"))],
        ),
        deal(
            "long",
            &[("start", date("2026-03-01")), ("end", date("2027-02-28"))],
        ),
        deal(
            "ahead",
            &[("start", date("2026-12-01")), ("end", date("2029-11-30"))],
        ),
        deal("open", &[("start", date("2026-01-01"))]),
    ];
    let on = |today| on(&plan, &deals, today);
    // Two deals run; the later of their ends counts. Nothing can change before the short one's last day.
    assert_eq!(
        on("2026-11-23"),
        (date("2027-02-28"), Some(day("2026-11-30")))
    );
    // The deal ahead starts today: it is not past yet.
    assert_eq!(
        on("2026-12-01"),
        (date("2027-02-28"), Some(day("2026-12-02")))
    );
    // From the day after its start on it runs, and ends last.
    assert_eq!(on("2026-12-02").0, date("2029-11-30"));
    // On its last day it runs still; then nothing does, and no day changes that.
    assert_eq!(
        on("2029-11-30"),
        (date("2029-11-30"), Some(day("2029-12-01")))
    );
    assert_eq!(on("2029-12-01"), (Value::Null, None));
}

#[test]
fn only_an_accounts_own_deals_count() {
    let plan = plan("integer", everything(), json!("count"));
    let mut gone = deal("gone", &[]);
    gone.removed = removed();
    let mut moved = deal("moved", &[]);
    move_to(&mut moved, "A-2");
    let mut contact = deal("contact", &[]);
    contact.object = Object::Contact;
    let deals = [deal("mine", &[]), gone, moved, contact];
    assert_eq!(value(&plan, &deals), Value::Integer(1));
}

#[test]
fn over_nothing() {
    let over = |kind: &str, aggregate: Json| value(&plan(kind, everything(), aggregate), &[]);
    assert_eq!(over("date", json!({"max": "end"})), Value::Null);
    assert_eq!(over("date", json!({"min": "end"})), Value::Null);
    assert_eq!(over("integer", json!({"sum": "seats"})), Value::Integer(0));
    assert_eq!(
        over("decimal", json!({"sum": "margin"})),
        decimal("0").unwrap()
    );
    assert_eq!(over("decimal", json!({"average": "margin"})), Value::Null);
    assert_eq!(
        over("date", json!({"last": {"field": "end", "by": "start"}})),
        Value::Null
    );
    assert_eq!(over("integer", json!("count")), Value::Integer(0));
    assert_eq!(over("boolean", json!("any")), Value::Boolean(false));
    assert_eq!(over("boolean", json!("all")), Value::Boolean(true));
}

#[test]
fn every_aggregate() {
    let deals = [
        deal(
            "1",
            &[
                ("seats", Value::Integer(1)),
                ("start", date("2026-02-01")),
                ("end", date("2026-05-01")),
                ("won", Value::Boolean(true)),
            ],
        ),
        deal(
            "2",
            &[
                ("seats", Value::Integer(2)),
                ("start", date("2026-01-01")),
                ("won", Value::Boolean(false)),
            ],
        ),
        deal("3", &[("seats", Value::Integer(4)), ("won", Value::Null)]),
        deal(
            "4",
            &[
                ("start", date("2026-02-01")),
                ("end", date("2026-04-01")),
                ("won", Value::Boolean(true)),
            ],
        ),
    ];
    let all = |kind: &str, aggregate: Json| value(&plan(kind, everything(), aggregate), &deals);
    assert_eq!(all("integer", json!({"max": "seats"})), Value::Integer(4));
    assert_eq!(all("integer", json!({"min": "seats"})), Value::Integer(1));
    assert_eq!(all("integer", json!({"sum": "seats"})), Value::Integer(7));
    assert_eq!(
        all("decimal", json!({"sum": "seats"})),
        decimal("7").unwrap()
    );
    assert_eq!(
        all("decimal", json!({"average": "seats"})),
        decimal("2.3333333333").unwrap(),
        "no value is not zero"
    );
    let ordered = |which: &str| all("date", json!({which: {"field": "end", "by": "start"}}));
    assert_eq!(ordered("first"), Value::Null, "the first one has no end");
    assert_eq!(
        ordered("last"),
        date("2026-04-01"),
        "of two that start together the greater id is the last"
    );
    let won = json!({"where": {"field": "won", "comparator": "equal", "value": true}});
    let of_won =
        |kind: &str, aggregate: &str| value(&plan(kind, won.clone(), json!(aggregate)), &deals);
    assert_eq!(of_won("integer", "count"), Value::Integer(2));
    assert_eq!(of_won("boolean", "any"), Value::Boolean(true));
    assert_eq!(of_won("boolean", "all"), Value::Boolean(false));
}

#[test]
fn a_sum_out_of_range_leaves_its_field_empty_and_is_told() {
    let plan = plan("integer", everything(), json!({"sum": "seats"}));
    let deals = ["1", "2"].map(|id| deal(id, &[("seats", Value::Integer(i64::MAX))]));
    let outcome = plan.evaluate(&id("A-1"), &deals, day("2026-11-23"));
    assert_eq!(outcome.values[&name("outcome")], Value::Null);
    assert_eq!(outcome.faults.len(), 1);
    let margin = plan_of_margins();
    let deals = ["1", "2"].map(|id| deal(id, &[("margin", Value::Decimal(Decimal::MAX))]));
    let outcome = margin.evaluate(&id("A-1"), &deals, day("2026-11-23"));
    assert_eq!(outcome.faults.len(), 1);
}

fn plan_of_margins() -> Plan {
    plan("decimal", everything(), json!({"sum": "margin"}))
}

#[test]
fn a_value_of_another_type_counts_as_none() {
    let plan = plan("integer", everything(), json!({"sum": "seats"}));
    let deals = [
        deal("1", &[("seats", Value::Text("many".into()))]),
        deal("2", &[("seats", Value::Integer(2))]),
    ];
    assert_eq!(value(&plan, &deals), Value::Integer(2));
}

#[test]
fn an_instant_is_compared_by_the_organisations_own_day() {
    let today = json!({"where": {"field": "signed", "comparator": "equal", "value": {"today": 0}}});
    let plan = plan("boolean", today, json!("any"));
    // 19:00 in London is half past midnight in Kolkata.
    let signed = Value::Instant("2026-11-22T19:00:00Z".parse().unwrap());
    let deals = [deal("1", &[("signed", signed)])];
    assert_eq!(on(&plan, &deals, "2026-11-22").0, Value::Boolean(false));
    assert_eq!(
        on(&plan, &deals, "2026-11-23"),
        (Value::Boolean(true), Some(day("2026-11-24")))
    );
    assert_eq!(
        plan.today("2026-11-22T19:00:00Z".parse().unwrap()),
        day("2026-11-23")
    );
}

#[test]
fn an_account_shows_what_was_calculated_and_where_it_came_from() {
    let plan = plan("integer", everything(), json!("count"));
    let run = Some("01JD8QK3ZV5W7Y0B2C4E6G8H9J".parse().unwrap());
    let moment = Moment {
        now: Timestamp::from_second(1_000).unwrap(),
        run,
    };
    let mut account = deal("A-1", &[]);
    account.object = Object::Account;
    account.fields.clear();
    let deals = [deal("1", &[])];
    let outcome = plan.evaluate(&account.id, &deals, day("2026-11-23"));
    let shown = plan.applied(&account, &outcome, &moment).unwrap();
    assert_eq!(shown.fields[&name("outcome")], Value::Integer(1));
    assert_eq!(shown.sources[&name("outcome")].side, Side::Calculated);
    assert_eq!(shown.change.as_ref().unwrap().action, Action::Calculated);
    assert_eq!(plan.applied(&shown, &outcome, &moment), None, "it is there");
    let nothing = Plan::compile(&Settings::default(), &connection("Asia/Kolkata"));
    let outcome = nothing.evaluate(&account.id, &deals, day("2026-11-23"));
    let bare = nothing.applied(&shown, &outcome, &moment).unwrap();
    assert!(bare.fields.is_empty() && bare.sources.is_empty());
    assert_eq!(bare.change.unwrap().fields[0].before, Value::Integer(1));
}

#[test]
fn a_record_touches_where_it_is_and_where_it_came_from() {
    let plan = plan("integer", everything(), json!("count"));
    let before = deal("1", &[]);
    let mut after = before.clone();
    move_to(&mut after, "A-2");
    after.remember_move(&before);
    assert_eq!(plan.touched(&after), BTreeSet::from([id("A-1"), id("A-2")]));
    let mut later = after.clone();
    later.fields.remove(&name("account"));
    later.remember_move(&after);
    assert_eq!(plan.touched(&later), BTreeSet::from([id("A-2")]));
    let contact = Record {
        object: Object::Contact,
        ..after
    };
    assert_eq!(
        plan.touched(&contact),
        BTreeSet::new(),
        "nothing is over contacts"
    );
}

#[test]
fn another_zone_or_expression_is_another_plan() {
    let settings = |value: &str| -> Settings {
        serde_json::from_value(json!({"objects": {"account": {
            "custom_fields": {"outcome": "boolean"},
            "calculated": [{"platform": "outcome", "over": "deal", "value": value}]
        }}}))
        .unwrap()
    };
    let digest =
        |value: &str, zone: &str| Plan::compile(&settings(value), &connection(zone)).digest;
    assert_eq!(digest("any", "Asia/Kolkata"), digest("any", "Asia/Kolkata"));
    assert_ne!(digest("any", "Asia/Kolkata"), digest("any", "Europe/Paris"));
    assert_ne!(digest("any", "Asia/Kolkata"), digest("all", "Asia/Kolkata"));
    let empty = |zone| Plan::compile(&Settings::default(), &connection(zone)).digest;
    assert_eq!(empty("Asia/Kolkata"), empty("Europe/Paris"));
}

/// A deal as the model knows it: dates as days from the first of the year, numbers as they are.
#[derive(Debug, Clone)]
struct Drawn {
    number: u16,
    start: Option<i32>,
    end: Option<i32>,
    seats: Option<i64>,
    mine: bool,
    removed: bool,
}

fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
    let days = || proptest::option::weighted(0.8, 0..40i32);
    let seats = proptest::option::of(-5..50i64);
    let flags = (proptest::bool::weighted(0.8), proptest::bool::weighted(0.2));
    let one = (any::<u16>(), days(), days(), seats, flags).prop_map(
        |(number, start, end, seats, (mine, removed))| Drawn {
            number,
            start,
            end,
            seats,
            mine,
            removed,
        },
    );
    proptest::collection::vec(one, 0..8).prop_map(|mut deals| {
        deals.sort_by_key(|deal| deal.number);
        deals.dedup_by_key(|deal| deal.number);
        deals
    })
}

fn nth(days: i32) -> civil::Date {
    shifted(day("2026-01-01"), days)
}

fn recorded(drawn: &Drawn) -> Record {
    let dated = |days: Option<i32>| days.map_or(Value::Null, |days| Value::Date(nth(days)));
    let mut record = deal(
        &format!("{:05}", drawn.number),
        &[
            ("start", dated(drawn.start)),
            ("end", dated(drawn.end)),
            ("seats", drawn.seats.map_or(Value::Null, Value::Integer)),
        ],
    );
    if !drawn.mine {
        move_to(&mut record, "A-2");
    }
    record.removed = removed().filter(|_| drawn.removed);
    record.zoho_id = Some(ZohoId::MIN);
    record
}

/// The days from `after` days before to `until` days after today, on which the window is open for an end.
fn window(low: i32, high: i32) -> Json {
    json!({"all": [
        {"where": {"field": "start", "comparator": "less_than", "value": {"today": low}}},
        {"any": [
            {"where": {"field": "end", "comparator": "between", "value": [{"today": 0}, {"today": high}]}},
            {"where": {"field": "end", "comparator": "is_empty"}}
        ]}
    ]})
}

/// The same, by hand.
fn in_window(deal: &Drawn, today: i32, low: i32, high: i32) -> bool {
    let started = matches!(deal.start, Some(start) if start < today + low);
    let ends = match deal.end {
        None => true,
        Some(end) => (today..=today + high).contains(&end),
    };
    started && ends
}

proptest! {
    #[test]
    fn outcomes_are_the_models(deals in drawn(), today in 0..40i32, low in -3..3i32, high in 0..9i32) {
        let records: Vec<Record> = deals.iter().map(recorded).collect();
        let mine: Vec<&Drawn> = deals.iter().filter(|deal| deal.mine && !deal.removed).collect();
        let inside: Vec<&Drawn> = mine.iter().filter(|deal| in_window(deal, today, low, high)).copied().collect();
        let check = |kind: &str, aggregate: Json| {
            plan(kind, window(low, high), aggregate)
                .evaluate(&id("A-1"), &records, nth(today))
                .values
                .remove(&name("outcome"))
                .unwrap()
        };
        let dated = |days: Option<i32>| days.map_or(Value::Null, |days| Value::Date(nth(days)));
        let seats: i64 = inside.iter().map(|deal| deal.seats.unwrap_or(0)).sum();
        prop_assert_eq!(check("integer", json!("count")), Value::Integer(inside.len() as i64));
        prop_assert_eq!(check("boolean", json!("any")), Value::Boolean(!inside.is_empty()));
        prop_assert_eq!(check("boolean", json!("all")), Value::Boolean(mine.iter().all(|deal| in_window(deal, today, low, high))));
        prop_assert_eq!(check("integer", json!({"sum": "seats"})), Value::Integer(seats));
        let ends = inside.iter().filter_map(|deal| deal.end);
        prop_assert_eq!(check("date", json!({"max": "end"})), dated(ends.clone().fold(None, |most, end| most.max(Some(end)))));
        prop_assert_eq!(check("date", json!({"min": "end"})), dated(ends.reduce(i32::min)));
        let mut by_start: Vec<(i32, u16, Option<i32>)> =
            inside.iter().map(|deal| (deal.start.unwrap(), deal.number, deal.end)).collect();
        by_start.sort_unstable();
        let first = by_start.first().and_then(|(.., end)| *end);
        prop_assert_eq!(check("date", json!({"first": {"field": "end", "by": "start"}})), dated(first));
        let last = by_start.last().and_then(|(.., end)| *end);
        prop_assert_eq!(check("date", json!({"last": {"field": "end", "by": "start"}})), dated(last));
        let given: Vec<i64> = inside.iter().filter_map(|deal| deal.seats).collect();
        match check("decimal", json!({"average": "seats"})) {
            Value::Null => prop_assert!(given.is_empty()),
            Value::Decimal(mean) => {
                let mean: f64 = mean.to_string().parse().unwrap();
                let expected = given.iter().sum::<i64>() as f64 / given.len() as f64;
                prop_assert!((mean - expected).abs() < 1e-9, "{} {}", mean, expected);
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn nothing_changes_before_the_day_that_is_told(deals in drawn(), today in 0..40i32, low in -3..3i32, high in 0..9i32) {
        let records: Vec<Record> = deals.iter().map(recorded).collect();
        let plan = plan("integer", window(low, high), json!("count"));
        let now = plan.evaluate(&id("A-1"), &records, nth(today));
        let until = now.changes_on.unwrap_or(nth(200));
        prop_assert!(until > nth(today));
        let mut later = nth(today);
        while later < until {
            prop_assert_eq!(&plan.evaluate(&id("A-1"), &records, later).values, &now.values);
            later = later.tomorrow().unwrap();
        }
    }

    #[test]
    fn the_order_in_which_records_come_does_not_matter(deals in drawn(), today in 0..40i32) {
        let mut records: Vec<Record> = deals.iter().map(recorded).collect();
        let plan = plan("date", running(), json!({"last": {"field": "end", "by": "start"}}));
        let one = plan.evaluate(&id("A-1"), &records, nth(today));
        records.reverse();
        prop_assert_eq!(plan.evaluate(&id("A-1"), &records, nth(today)), one);
    }
}
