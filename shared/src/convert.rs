//! Conversion of single values between Zoho's JSON and the platform's types (F4).

use serde_json::Value as Json;

use crate::row::{JsonText, Row, lookup_id};
use crate::value::{FieldType, Mismatch, Reference, Value, decimal, shape};

/// Reads a Zoho field as a platform value of type `kind`. An absent field is null; see [`Row::has`] to tell the two apart.
///
/// # Errors
/// When what Zoho sent does not fit the type: that field is parked, the rest of the record syncs.
pub fn pull(kind: FieldType, row: &Row, field: &str) -> Result<Value, Mismatch> {
    let Some(raw) = row.raw(field).map(str::trim) else {
        return Ok(Value::Null);
    };
    // From the raw text, because a float would lose digits, or not hold the number at all.
    if raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return from_number(kind, raw);
    }
    match serde_json::from_str(raw) {
        Ok(json) => from_zoho(kind, &json),
        // Half of a character, nesting without end: no value, but not none either.
        Err(_) => Err(Mismatch::new("a value", "JSON that can't be read")),
    }
}

fn from_number(kind: FieldType, raw: &str) -> Result<Value, Mismatch> {
    let number = decimal(raw);
    match kind {
        FieldType::Decimal => number.ok_or_else(|| Mismatch::new("a decimal number", "a number")),
        FieldType::Integer => number
            .and_then(|number| whole(&number))
            .ok_or_else(|| Mismatch::new("a whole number of 64 bits", "a number")),
        FieldType::Text
        | FieldType::Choice
        | FieldType::Email
        | FieldType::Phone
        | FieldType::Url => Ok(Value::Text(match number {
            // One number has one text, however Zoho writes it today.
            Some(Value::Decimal(number)) => number.to_string(),
            _ => raw.to_owned(),
        })),
        // A bare id of a lookup. An id has more digits than a float keeps.
        FieldType::Reference(_) => from_zoho(kind, &Json::String(raw.to_owned())),
        FieldType::Boolean | FieldType::Date | FieldType::Instant | FieldType::Choices => {
            from_zoho(kind, &Json::from(0))
        }
    }
}

/// A decimal without decimal places as an integer.
fn whole(number: &Value) -> Option<Value> {
    match number {
        Value::Decimal(number) if number.is_integer() => {
            i64::try_from(number.mantissa()).ok().map(Value::Integer)
        }
        _ => None,
    }
}

fn from_zoho(kind: FieldType, json: &Json) -> Result<Value, Mismatch> {
    match (kind, json) {
        (_, Json::Null) => Ok(Value::Null),
        // A formula may come to an empty text whatever its type.
        (kind, Json::String(text))
            if text.is_empty() && !matches!(kind, FieldType::Choices | FieldType::Reference(_)) =>
        {
            Ok(Value::Null)
        }
        (
            FieldType::Text
            | FieldType::Choice
            | FieldType::Email
            | FieldType::Phone
            | FieldType::Url,
            json,
        ) => match json {
            Json::String(text) => Ok(Value::Text(text.clone())),
            Json::Bool(value) => Ok(Value::Text(value.to_string())),
            Json::Object(object) if kind == FieldType::Text => text_of(object)
                .map(Value::Text)
                .ok_or_else(|| Mismatch::new("a text", shape(json))),
            other => Err(Mismatch::new("a text", shape(other))),
        },
        (FieldType::Choices, Json::Array(items)) => items
            .iter()
            .map(|item| {
                item.as_str()
                    .or_else(|| item.get("name").and_then(Json::as_str))
                    .map(str::to_owned)
            })
            .collect::<Option<Vec<_>>>()
            .map(choices)
            .ok_or_else(|| Mismatch::new("a list of texts", "a list of something else")),
        (FieldType::Reference(object), json) => match lookup_id(json) {
            Some(id) => Ok(Value::Reference(Reference {
                object,
                zoho_id: Some(id),
                platform_id: None,
            })),
            None if json.get("id").is_some_and(Json::is_null) => Ok(Value::Null),
            None => Err(Mismatch::new("a lookup with an id", shape(json))),
        },
        (FieldType::Boolean, Json::String(text)) if text == "true" || text == "false" => {
            Ok(Value::Boolean(text == "true"))
        }
        (FieldType::Decimal, Json::String(text)) => {
            decimal(text).ok_or_else(|| Mismatch::new("a decimal number", "a text"))
        }
        // The date of an instant depends on where one stands.
        (FieldType::Date, Json::String(text)) if text.len() != DATE_LENGTH => {
            Err(Mismatch::new("a date like 2026-11-23", "a text"))
        }
        (FieldType::Instant, Json::String(text)) => text
            .parse()
            .map(Value::Instant)
            .map_err(|_| Mismatch::new("an instant with an offset", "a text")),
        (kind, json) => Value::from_json(kind, json),
    }
}

/// The length of a date like 2026-11-23.
const DATE_LENGTH: usize = 10;

/// What of an object is a text: the name of a layout, and a recurrence or an alarm as the JSON that it is, keys in order.
fn text_of(object: &serde_json::Map<String, Json>) -> Option<String> {
    if ["RRULE", "ALARM"]
        .iter()
        .any(|key| object.contains_key(*key))
    {
        return Some(Json::Object(object.clone()).to_string());
    }
    let name = object.get("name").and_then(Json::as_str)?;
    (object.contains_key("id") && !name.is_empty()).then(|| name.to_owned())
}

/// Zoho sends an empty multi-select as `[]` or null; both are no value.
fn choices(values: Vec<String>) -> Value {
    if values.is_empty() {
        Value::Null
    } else {
        Value::choices(values)
    }
}

/// Writes a platform value as Zoho wants it.
///
/// # Errors
/// When a reference names a record that Zoho does not have yet.
pub fn push(value: &Value) -> Result<JsonText, NotInZoho> {
    let json = match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => (*value).into(),
        Value::Integer(value) => (*value).into(),
        Value::Decimal(value) => return Ok(JsonText::number(*value)),
        Value::Text(text) => text.clone().into(),
        Value::Date(date) => date.to_string().into(),
        Value::Instant(instant) => instant
            .strftime("%Y-%m-%dT%H:%M:%S+00:00")
            .to_string()
            .into(),
        Value::Choices(values) => values.clone().into(),
        Value::Reference(reference) => match reference.zoho_id {
            Some(id) => serde_json::json!({ "id": id }),
            None => {
                return Err(NotInZoho {
                    reference: reference.clone(),
                });
            }
        },
    };
    Ok(JsonText::of(&json))
}

/// A reference to a record that only the platform knows so far.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {} it refers to is not in Zoho yet", reference.object)]
pub struct NotInZoho {
    /// The reference.
    pub reference: Reference,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;

    fn row(raw: &str) -> Row {
        serde_json::from_str(&format!(r#"{{"id":"1","F":{raw}}}"#)).unwrap()
    }

    fn read(kind: FieldType, raw: &str) -> Result<Value, Mismatch> {
        pull(kind, &row(raw), "F")
    }

    #[test]
    fn each_type_reads_what_zoho_sends() {
        assert_eq!(read(FieldType::Text, r#""x""#), Ok(Value::Text("x".into())));
        assert_eq!(read(FieldType::Choice, "null"), Ok(Value::Null));
        assert_eq!(
            read(FieldType::Integer, r#""123456789012345678""#),
            Ok(Value::Integer(123_456_789_012_345_678))
        );
        assert_eq!(
            read(FieldType::Decimal, "1234567890123456.123456789"),
            Ok(decimal("1234567890123456.123456789").unwrap())
        );
        assert_eq!(
            read(FieldType::Decimal, "1.50"),
            Ok(decimal("1.5").unwrap())
        );
        assert_eq!(read(FieldType::Choices, "[]"), Ok(Value::Null));
        assert_eq!(
            read(FieldType::Choices, r#"["b","a"]"#),
            Ok(Value::Choices(vec!["a".into(), "b".into()]))
        );
        assert_eq!(
            read(FieldType::Date, r#""2026-11-23""#),
            Ok(Value::Date("2026-11-23".parse().unwrap()))
        );
        assert_eq!(
            read(FieldType::Instant, r#""2026-11-23T05:30:00+05:30""#),
            Ok(Value::Instant("2026-11-23T00:00:00Z".parse().unwrap()))
        );
        let owner = Value::Reference(Reference {
            object: Object::User,
            zoho_id: "7".parse().ok(),
            platform_id: None,
        });
        assert_eq!(
            read(
                FieldType::Reference(Object::User),
                r#"{"name":"n","id":"7","email":"e"}"#
            ),
            Ok(owner)
        );
        assert_eq!(pull(FieldType::Text, &row("1"), "Absent"), Ok(Value::Null));
    }

    /// Taken for null it would clear the platform's value, and nobody would be told.
    #[test]
    fn what_can_not_be_read_is_a_mismatch_and_not_null() {
        let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
        for kind in [
            FieldType::Text,
            FieldType::Decimal,
            FieldType::Choices,
            FieldType::Reference(Object::User),
        ] {
            for raw in [r#""half a smile \ud83d""#, deep.as_str()] {
                assert!(read(kind, raw).is_err(), "{kind:?} {raw:.30}");
            }
        }
        for raw in ["1e999", "-1e999", &"9".repeat(400)] {
            assert!(read(FieldType::Decimal, raw).is_err(), "{raw:.30}");
            assert!(read(FieldType::Date, raw).is_err(), "{raw:.30}");
        }
    }

    #[test]
    fn what_does_not_fit_is_a_mismatch_that_does_not_tell_the_value() {
        for (kind, raw) in [
            (FieldType::Integer, r#""secret""#),
            (FieldType::Decimal, r#""secret""#),
            (FieldType::Date, r#""secret""#),
            (FieldType::Instant, r#""2026-11-23T05:30:00""#),
            (FieldType::Boolean, r#""secret""#),
            (FieldType::Choices, r#""secret""#),
            (FieldType::Text, r#"{"a":"secret"}"#),
            (FieldType::Reference(Object::User), r#""secret""#),
        ] {
            let error = read(kind, raw).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}

#[cfg(test)]
mod laws;
