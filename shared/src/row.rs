//! A record as Zoho sent it: raw JSON by field, so that a decimal keeps every digit.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::identifier::ZohoId;

/// One Zoho record.
#[derive(Debug, Clone)]
pub struct Row {
    /// The record's id.
    pub id: ZohoId,
    /// When it last changed as far as Zoho flags changes; absent when the field is hidden from the granting user.
    pub modified_time: Option<Timestamp>,
    values: BTreeMap<String, Box<RawValue>>,
}

/// A row that could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable id.
    #[error("a row without a usable id")]
    NoId,
    /// A Modified_Time that is no instant.
    #[error("row {0} has a Modified_Time that is no instant")]
    BadModifiedTime(ZohoId),
}

impl Row {
    /// Takes a row's raw values; the id and Modified_Time are read, everything else is kept as it came.
    ///
    /// # Errors
    /// When the id or Modified_Time is unusable.
    pub fn new(values: BTreeMap<String, Box<RawValue>>) -> Result<Self, Error> {
        let text = |name: &str| {
            values
                .get(name)
                .and_then(|raw| serde_json::from_str::<Option<String>>(raw.get()).ok())
                .flatten()
        };
        let id: ZohoId = text("id")
            .and_then(|id| id.parse().ok())
            .ok_or(Error::NoId)?;
        // Absent or null it is hidden; anything else that is no instant must not pass for hidden.
        let modified_time = match values.get("Modified_Time").map(|raw| raw.get().trim()) {
            None | Some("null") => None,
            Some(_) => {
                let time = text("Modified_Time").and_then(|text| text.parse().ok());
                Some(time.ok_or(Error::BadModifiedTime(id))?)
            }
        };
        Ok(Self {
            id,
            modified_time,
            values,
        })
    }

    /// Whether Zoho sent the field at all; a field hidden from the granting user is absent.
    #[must_use]
    pub fn has(&self, field: &str) -> bool {
        self.values.contains_key(field)
    }

    /// The raw JSON of a field.
    #[must_use]
    pub fn raw(&self, field: &str) -> Option<&str> {
        self.values.get(field).map(|raw| raw.get())
    }

    /// The field as JSON; absent and unreadable fields are null.
    #[must_use]
    pub fn json(&self, field: &str) -> serde_json::Value {
        self.raw(field)
            .and_then(|raw| serde_json::from_str(raw).ok())
            .unwrap_or_default()
    }

    /// The id inside a lookup field: Zoho sends `{"id": …}`, COQL may send the bare id.
    #[must_use]
    pub fn lookup(&self, field: &str) -> Option<ZohoId> {
        lookup_id(&self.json(field))
    }
}

/// The id in a lookup's JSON.
#[must_use]
pub fn lookup_id(json: &serde_json::Value) -> Option<ZohoId> {
    match json {
        serde_json::Value::Object(object) => object.get("id").and_then(lookup_id),
        serde_json::Value::String(text) => text.parse().ok(),
        serde_json::Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

impl<'de> serde::Deserialize<'de> for Row {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = BTreeMap::<String, Box<RawValue>>::deserialize(deserializer)?;
        Self::new(values).map_err(serde::de::Error::custom)
    }
}

/// JSON kept as its text, so that a decimal keeps every digit on its way to Zoho.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonText(String);

impl JsonText {
    /// The text of a JSON value.
    #[must_use]
    pub fn of(json: &serde_json::Value) -> Self {
        Self(json.to_string())
    }

    /// A number by its digits.
    #[must_use]
    pub fn number(decimal: rust_decimal::Decimal) -> Self {
        Self(decimal.to_string())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for JsonText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.clone())
            .map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

/// A record on its way to Zoho: JSON by field.
pub type Outgoing = BTreeMap<String, JsonText>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_none_is_refused_and_a_hidden_one_is_not() {
        let read = |time: &str| serde_json::from_str::<Row>(&format!(r#"{{"id":"7"{time}}}"#));
        for hidden in ["", r#","Modified_Time":null"#] {
            assert_eq!(read(hidden).unwrap().modified_time, None, "{hidden}");
        }
        for wrong in ["7", r#""soon""#, r#""""#, "{}", r#""\ud800""#] {
            let error = read(&format!(r#","Modified_Time":{wrong}"#)).unwrap_err();
            assert!(error.to_string().contains("row 7"), "{error}");
        }
    }
}
