//! Laws of the conversions, one for each of Zoho's data types: what Zoho sends is read as what it means, and what is written reads back.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::Offset;
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::json;

use super::*;
use crate::object::Object;
use crate::zoho_field::{self, FieldInfo, Fit};

/// Zoho's JSON, and the value that it is.
type Sent = (String, Value);

fn read(kind: FieldType, raw: &str) -> Result<Value, Mismatch> {
    let row: Row = serde_json::from_str(&format!(r#"{{"id":"1","F":{raw}}}"#)).unwrap();
    pull(kind, &row, "F")
}

fn field(data_type: &str) -> FieldInfo {
    let (api_name, data_type) = match data_type {
        // Zoho calls the type of tags text.
        "tag" => ("Tag", "text"),
        // The only one that is written.
        "multi_module_lookup" => ("What_Id", data_type),
        _ => ("F", data_type),
    };
    FieldInfo {
        api_name: api_name.into(),
        data_type: data_type.into(),
        ..FieldInfo::default()
    }
}

/// A property test for each data type, and their names.
macro_rules! laws {
    ($($test:ident: $name:literal as $kind:expr, $written:ident, $sent:expr;)+) => {
        const CONVERTED: &[&str] = &[$($name),+];

        proptest! {
            $(
                #[test]
                fn $test((raw, value) in $sent) {
                    law(&field($name), $kind, &raw, &value, stringify!($written) == "written")?;
                }
            )+
        }
    };
}

fn law(
    field: &FieldInfo,
    kind: FieldType,
    raw: &str,
    value: &Value,
    written: bool,
) -> Result<(), TestCaseError> {
    prop_assert!(
        !matches!(field.fits_pull(kind), Fit::Not(_)),
        "it is pulled"
    );
    prop_assert_eq!(read(kind, raw), Ok(value.clone()), "{}", raw);
    prop_assert_eq!(read(kind, "null"), Ok(Value::Null));
    prop_assert_eq!(field.fits_push(kind) == Fit::Fits, written, "it is written");
    if written {
        for value in [value, &Value::Null] {
            let sent = push(value).unwrap();
            prop_assert_eq!(read(kind, sent.as_str()), Ok(value.clone()));
        }
    }
    Ok(())
}

laws! {
    text_is_kept: "text" as FieldType::Text, written, text();
    long_text_is_kept: "textarea" as FieldType::Text, written, text();
    an_email_address_is_kept: "email" as FieldType::Email, written, text();
    a_phone_number_is_kept: "phone" as FieldType::Phone, written, text();
    a_web_address_is_kept: "website" as FieldType::Url, written, text();
    a_picklist_value_is_kept: "picklist" as FieldType::Choice, written, text();
    a_multi_select_is_a_set: "multiselectpicklist" as FieldType::Choices, written, names(false);
    tags_are_their_names: "tag" as FieldType::Choices, read_only, names(true);
    territories_are_their_names: "territories" as FieldType::Choices, read_only, names(true);
    a_date_is_a_day: "date" as FieldType::Date, written, date();
    a_datetime_is_an_instant_whatever_its_offset: "datetime" as FieldType::Instant, written, instant();
    an_integer_is_exact: "integer" as FieldType::Integer, written, integer(-999_999_999..=999_999_999, false);
    a_bigint_comes_in_digits: "bigint" as FieldType::Integer, written, integer(i64::MIN..=i64::MAX, true);
    a_double_is_exact: "double" as FieldType::Decimal, written, number();
    a_currency_is_exact: "currency" as FieldType::Decimal, written, number();
    a_percentage_is_exact: "percent" as FieldType::Decimal, written, number();
    a_boolean_is_one: "boolean" as FieldType::Boolean, written, boolean();
    a_lookup_is_a_reference: "lookup" as FieldType::Reference(Object::Account), written, reference(Object::Account);
    an_owner_is_a_user: "ownerlookup" as FieldType::Reference(Object::User), written, reference(Object::User);
    a_user_is_one: "userlookup" as FieldType::Reference(Object::User), written, reference(Object::User);
    a_lookup_over_modules_is_a_reference: "multi_module_lookup" as FieldType::Reference(Object::Deal), written, reference(Object::Deal);
    a_formula_of_numbers_is_exact: "formula" as FieldType::Decimal, computed, number();
    a_formula_of_texts_is_a_text: "formula" as FieldType::Text, computed, text();
    a_formula_of_booleans_is_one_in_either_form: "formula" as FieldType::Boolean, computed, boolean_or_text();
    a_formula_of_dates_is_a_day: "formula" as FieldType::Date, computed, date();
    a_formula_of_datetimes_is_an_instant: "formula" as FieldType::Instant, computed, instant();
    a_roll_up_is_exact: "rollup_summary" as FieldType::Decimal, computed, number();
    a_roll_up_of_counts_is_an_integer: "rollup_summary" as FieldType::Integer, computed, integer(0..=999_999_999, false);
    an_autonumber_is_a_text: "autonumber" as FieldType::Text, computed, text();
    a_layout_is_its_name: "layout" as FieldType::Text, read_only, named();
    a_recurrence_is_its_json: "rrule" as FieldType::Text, read_only, rule("RRULE");
    an_alarm_is_its_json: "alarm" as FieldType::Text, read_only, rule("ALARM");
    a_reminder_is_a_text: "event_reminder" as FieldType::Text, read_only, text();
    a_consent_is_its_name: "consent_lookup" as FieldType::Text, read_only, named();
}

#[test]
fn every_data_type_is_converted_or_can_not_be_read() {
    let converted: BTreeSet<_> = CONVERTED.iter().copied().collect();
    for name in zoho_field::names() {
        assert_ne!(
            converted.contains(name),
            field(name).unreadable().is_some(),
            "{name}"
        );
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn text() -> impl Strategy<Value = Sent> {
    "\\PC{1,60}|[\\x00-\\x1f\"\\\\é😀]{1,9}".prop_map(|text| (quoted(&text), Value::Text(text)))
}

fn names(objects: bool) -> impl Strategy<Value = Sent> {
    prop::collection::vec("\\PC{1,12}", 0..6).prop_map(move |names| {
        let items: Vec<Json> = names
            .iter()
            .map(|name| match objects {
                true => json!({"id": "5", "name": name, "color_code": null}),
                false => json!(name),
            })
            .collect();
        let value = match names.is_empty() {
            true => Value::Null,
            false => Value::choices(names),
        };
        (Json::from(items).to_string(), value)
    })
}

fn date() -> impl Strategy<Value = Sent> {
    (1900i16..2200, 1i8..=12, 1i8..=28).prop_map(|(year, month, day)| {
        let date = jiff::civil::date(year, month, day);
        (
            format!("\"{year:04}-{month:02}-{day:02}\""),
            Value::Date(date),
        )
    })
}

fn instant() -> impl Strategy<Value = Sent> {
    (0i64..4_000_000_000, -48i32..=56).prop_map(|(second, quarters)| {
        let instant = Timestamp::from_second(second).unwrap();
        let offset = Offset::from_seconds(quarters * 900).unwrap();
        let local = offset.to_datetime(instant);
        let sign = if quarters < 0 { '-' } else { '+' };
        let minutes = quarters.abs() * 15;
        let raw = format!("\"{local}{sign}{:02}:{:02}\"", minutes / 60, minutes % 60);
        (raw, Value::Instant(instant))
    })
}

fn integer(range: std::ops::RangeInclusive<i64>, digits: bool) -> impl Strategy<Value = Sent> {
    range.prop_map(move |number| {
        let raw = match digits {
            true => format!("\"{number}\""),
            false => number.to_string(),
        };
        (raw, Value::Integer(number))
    })
}

/// 16 digits before the point and 9 behind it, plain, with zeros at the end, or with an exponent.
fn number() -> impl Strategy<Value = Sent> {
    let whole = -9_999_999_999_999_999i128..=9_999_999_999_999_999;
    (whole, 0i128..1_000_000_000, 0u8..3).prop_map(|(whole, fraction, form)| {
        let sign = if whole < 0 { -1 } else { 1 };
        let mantissa = whole * 1_000_000_000 + sign * fraction;
        let decimal = Decimal::from_i128_with_scale(mantissa, 9);
        let raw = match form {
            0 => decimal.normalize().to_string(),
            1 => decimal.to_string(),
            _ => format!("{mantissa}e-9"),
        };
        (raw, Value::Decimal(decimal.normalize()))
    })
}

fn boolean() -> impl Strategy<Value = Sent> {
    any::<bool>().prop_map(|value| (value.to_string(), Value::Boolean(value)))
}

fn boolean_or_text() -> impl Strategy<Value = Sent> {
    (any::<bool>(), any::<bool>()).prop_map(|(value, quoted)| {
        let quote = if quoted { "\"" } else { "" };
        (format!("{quote}{value}{quote}"), Value::Boolean(value))
    })
}

/// As records show it, as COQL does, and bare.
fn reference(object: Object) -> impl Strategy<Value = Sent> {
    (any::<u64>(), "\\PC{0,12}", 0u8..4).prop_map(move |(id, name, form)| {
        let raw = match form {
            0 => json!({"id": id.to_string(), "name": name, "email": null}).to_string(),
            1 => json!({"id": id.to_string()}).to_string(),
            2 => format!("\"{id}\""),
            _ => id.to_string(),
        };
        let reference = Reference {
            object,
            zoho_id: id.to_string().parse().ok(),
            platform_id: None,
        };
        (raw, Value::Reference(reference))
    })
}

fn named() -> impl Strategy<Value = Sent> {
    "\\PC{1,20}".prop_map(|name| {
        (
            json!({"id": "7", "name": name}).to_string(),
            Value::Text(name),
        )
    })
}

fn rule(key: &'static str) -> impl Strategy<Value = Sent> {
    "FREQ=(DAILY|WEEKLY);INTERVAL=[1-9];UNTIL=2026-1[0-2]-2[0-8]".prop_map(move |rule| {
        let text = format!("{{\"{key}\":{}}}", quoted(&rule));
        (
            format!(" {{ \"{key}\" : {} }} ", quoted(&rule)),
            Value::Text(text),
        )
    })
}

/// Any JSON; every text in it has the marker.
fn anything() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(
            |number| serde_json::Number::from_f64(number).map_or(Json::Null, Json::Number)
        ),
        "\\PC{0,8}".prop_map(|text| Json::from(format!("{text}{MARKER}"))),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        let key = prop_oneof![Just("id"), Just("name"), Just("RRULE"), Just("x")];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
            prop::collection::btree_map(key.prop_map(str::to_owned), inner, 0..4)
                .prop_map(|object| Json::Object(object.into_iter().collect())),
        ]
    })
}

const MARKER: &str = "(personal)";

const KINDS: [FieldType; 13] = [
    FieldType::Text,
    FieldType::Integer,
    FieldType::Decimal,
    FieldType::Boolean,
    FieldType::Date,
    FieldType::Instant,
    FieldType::Choice,
    FieldType::Choices,
    FieldType::Email,
    FieldType::Phone,
    FieldType::Url,
    FieldType::Reference(Object::User),
    FieldType::Reference(Object::Account),
];

proptest! {
    #[test]
    fn whatever_comes_is_read_or_refused_without_telling_it(json in anything()) {
        for kind in KINDS {
            match read(kind, &json.to_string()) {
                Err(mismatch) => {
                    let told = format!("{mismatch} {mismatch:?}");
                    prop_assert!(!told.contains(MARKER));
                }
                // What was read is written and read back the same.
                Ok(value) => {
                    let sent = push(&value).unwrap();
                    prop_assert_eq!(read(kind, sent.as_str()), Ok(value), "{:?} {}", kind, json);
                }
            }
        }
    }

    #[test]
    fn one_instant_is_one_value_whatever_its_offset((left, instant) in instant(), quarters in -48i32..=56) {
        let Value::Instant(at) = instant else { unreachable!() };
        let local = Offset::from_seconds(quarters * 900).unwrap().to_datetime(at);
        let sign = if quarters < 0 { '-' } else { '+' };
        let right = format!("\"{local}{sign}{:02}:{:02}\"", quarters.abs() * 15 / 60, quarters.abs() * 15 % 60);
        prop_assert_eq!(read(FieldType::Instant, &left), read(FieldType::Instant, &right));
    }

    #[test]
    fn a_number_has_one_text(mantissa: i64, scale in 0u32..9, zeros in 0usize..4) {
        let number = Decimal::new(mantissa, scale);
        let zeros = "0".repeat(if number.scale() > 0 { zeros } else { 0 });
        let longer = format!("{number}{zeros}");
        prop_assert_eq!(read(FieldType::Text, &number.to_string()), read(FieldType::Text, &longer));
    }
}

#[test]
fn what_would_lose_something_is_parked() {
    for (kind, raw) in [
        (FieldType::Integer, "1.5"),
        (FieldType::Integer, "9223372036854775808"),
        (FieldType::Decimal, "0.12345678901234567890123456789012"),
        (FieldType::Decimal, "1.2345678901234567890123456789012e1"),
        (FieldType::Decimal, "1e29"),
        (FieldType::Date, r#""2026-11-23T23:00:00-05:00""#),
        (FieldType::Text, r#"{"id":"7"}"#),
        (FieldType::Choice, r#"{"id":"7","name":"n"}"#),
        (FieldType::Reference(Object::Account), "1.5"),
    ] {
        assert!(read(kind, raw).is_err(), "{kind:?} {raw}");
    }
    assert_eq!(read(FieldType::Integer, "75.0"), Ok(Value::Integer(75)));
    assert_eq!(read(FieldType::Integer, "1e3"), Ok(Value::Integer(1000)));
    assert_eq!(
        read(FieldType::Decimal, "1e28"),
        Ok(decimal("10000000000000000000000000000").unwrap())
    );
}
