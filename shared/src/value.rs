//! The platform's values: typed, self-describing where stored, plain JSON where shown.

use std::collections::BTreeMap;

use jiff::{Timestamp, civil};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::identifier::{FieldName, PlatformId, ZohoId};
use crate::object::Object;

/// A record's values by platform field.
pub type Fields = BTreeMap<FieldName, Value>;

/// The type of a platform field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Free text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// A decimal number, kept exactly.
    Decimal,
    /// True or false.
    Boolean,
    /// A civil date, without a time zone.
    Date,
    /// An instant.
    Instant,
    /// One value of a picklist, by its actual value.
    Choice,
    /// Several values of a picklist, by their actual values.
    Choices,
    /// An e-mail address.
    Email,
    /// A telephone number.
    Phone,
    /// A web address.
    Url,
    /// A reference to another record; users are one of the objects.
    Reference(Object),
}

/// A reference to a record, known by its Zoho id, its platform id, or both.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The object referred to.
    pub object: Object,
    /// The record's id in Zoho, unless only the platform knows it so far.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub zoho_id: Option<ZohoId>,
    /// The record's id on the platform, unless it is not there (yet).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub platform_id: Option<PlatformId>,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// An exact decimal, normalised (no trailing zeros).
    Decimal(Decimal),
    /// Text of any kind: free, choice, e-mail, phone, web address.
    Text(String),
    /// A civil date.
    Date(civil::Date),
    /// An instant.
    Instant(Timestamp),
    /// Actual values of a multi-select, sorted and without repetition.
    Choices(Vec<String>),
    /// A reference to another record.
    Reference(Reference),
}

impl Value {
    /// Multi-select values in their canonical order.
    #[must_use]
    pub fn choices(mut values: Vec<String>) -> Self {
        values.sort();
        values.dedup();
        Self::Choices(values)
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The text of a text value.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The reference of a reference value.
    #[must_use]
    pub fn as_reference(&self) -> Option<&Reference> {
        match self {
            Self::Reference(reference) => Some(reference),
            _ => None,
        }
    }

    /// Whether both say the same. Two references are the same when their Zoho ids are, or, where one side has none, their platform ids.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Reference(left), Self::Reference(right)) => {
                left.object == right.object
                    && match (left.zoho_id, right.zoho_id) {
                        (Some(left), Some(right)) => left == right,
                        _ => left.platform_id.is_some() && left.platform_id == right.platform_id,
                    }
            }
            _ => self == other,
        }
    }

    /// The value as plain JSON, as the API shows it: decimals as strings so that nothing is lost, instants in UTC, references as
    /// objects.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Boolean(value) => (*value).into(),
            Self::Integer(value) => (*value).into(),
            Self::Decimal(value) => value.to_string().into(),
            Self::Text(value) => value.clone().into(),
            Self::Date(value) => value.to_string().into(),
            Self::Instant(value) => value.to_string().into(),
            Self::Choices(values) => values.clone().into(),
            Self::Reference(reference) => {
                let mut object = serde_json::Map::new();
                object.insert("object".into(), reference.object.name().into());
                object.insert(
                    "id".into(),
                    reference
                        .platform_id
                        .as_ref()
                        .map(PlatformId::as_str)
                        .into(),
                );
                object.insert("zoho_id".into(), reference.zoho_id.map(String::from).into());
                object.into()
            }
        }
    }

    /// Reads the plain JSON that the platform sends for a field of type `kind`.
    ///
    /// # Errors
    /// When the JSON does not fit the type; the error says what was expected.
    pub fn from_json(kind: FieldType, json: &serde_json::Value) -> Result<Self, Mismatch> {
        use serde_json::Value as Json;
        let mismatch = |expected| Mismatch {
            expected,
            given: shape(json),
        };
        match (kind, json) {
            (_, Json::Null) => Ok(Self::Null),
            (FieldType::Boolean, Json::Bool(value)) => Ok(Self::Boolean(*value)),
            (FieldType::Boolean, _) => Err(mismatch("true or false")),
            (FieldType::Integer, Json::Number(number)) => number
                .as_i64()
                .map(Self::Integer)
                .ok_or_else(|| mismatch("a whole number of 64 bits")),
            (FieldType::Integer, Json::String(text)) => text
                .parse()
                .map(Self::Integer)
                .map_err(|_| mismatch("a whole number of 64 bits")),
            (FieldType::Integer, _) => Err(mismatch("a whole number of 64 bits")),
            (FieldType::Decimal, Json::Number(number)) => {
                decimal(&number.to_string()).ok_or_else(|| mismatch("a decimal number"))
            }
            (FieldType::Decimal, Json::String(text)) => {
                decimal(text).ok_or_else(|| mismatch("a decimal number"))
            }
            (FieldType::Decimal, _) => Err(mismatch("a decimal number, best as a string")),
            (FieldType::Date, Json::String(text)) => text
                .parse()
                .map(Self::Date)
                .map_err(|_| mismatch("a date like 2026-11-23")),
            (FieldType::Date, _) => Err(mismatch("a date like 2026-11-23")),
            (FieldType::Instant, Json::String(text)) => text
                .parse()
                .map(Self::Instant)
                .map_err(|_| mismatch("an instant with an offset, like 2026-11-23T10:00:00Z")),
            (FieldType::Instant, _) => Err(mismatch(
                "an instant with an offset, like 2026-11-23T10:00:00Z",
            )),
            (FieldType::Choices, Json::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect::<Option<Vec<_>>>()
                .map(Self::choices)
                .ok_or_else(|| mismatch("a list of texts")),
            (FieldType::Choices, _) => Err(mismatch("a list of texts")),
            (FieldType::Reference(object), Json::String(id)) => {
                let platform_id: PlatformId = id
                    .parse()
                    .map_err(|_| mismatch("the platform id of a record"))?;
                let zoho_id = if matches!(object, Object::User) {
                    platform_id.zoho_id()
                } else {
                    None
                };
                Ok(Self::Reference(Reference {
                    object,
                    zoho_id,
                    platform_id: Some(platform_id),
                }))
            }
            (FieldType::Reference(_), _) => Err(mismatch("the platform id of a record")),
            (
                FieldType::Text
                | FieldType::Choice
                | FieldType::Email
                | FieldType::Phone
                | FieldType::Url,
                Json::String(text),
            ) => Ok(if text.is_empty() {
                Self::Null
            } else {
                Self::Text(text.clone())
            }),
            (
                FieldType::Text
                | FieldType::Choice
                | FieldType::Email
                | FieldType::Phone
                | FieldType::Url,
                _,
            ) => Err(mismatch("a text")),
        }
    }
}

/// Parses an exact decimal, with or without an exponent; none: it is no number, or it has more digits than are kept exactly.
#[must_use]
pub fn decimal(text: &str) -> Option<Value> {
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i64>().ok()?),
        None => (text, 0),
    };
    let number = Decimal::from_str_exact(digits).ok()?.normalize();
    if number.is_zero() {
        return Some(Value::Decimal(Decimal::ZERO));
    }
    let scale = i64::from(number.scale()).checked_sub(exponent)?;
    let shifted = match u32::try_from(scale) {
        Ok(scale) => Decimal::try_from_i128_with_scale(number.mantissa(), scale).ok()?,
        Err(_) => {
            let zeros = u32::try_from(scale.checked_neg()?).ok()?;
            let shifted = 10i128.checked_pow(zeros)?.checked_mul(number.mantissa())?;
            Decimal::try_from_i128_with_scale(shifted, 0).ok()?
        }
    };
    Some(Value::Decimal(shifted.normalize()))
}

/// A value that does not fit its field's type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, got {given}")]
pub struct Mismatch {
    expected: &'static str,
    given: &'static str,
}

impl Mismatch {
    /// A mismatch; neither text may hold the value itself, which can be personal.
    #[must_use]
    pub const fn new(expected: &'static str, given: &'static str) -> Self {
        Self { expected, given }
    }
}

/// What kind of JSON a value is, in words.
#[must_use]
pub fn shape(json: &serde_json::Value) -> &'static str {
    match json {
        serde_json::Value::Null => "nothing",
        serde_json::Value::Bool(_) => "true or false",
        serde_json::Value::Number(_) => "a number",
        serde_json::Value::String(_) => "a text",
        serde_json::Value::Array(_) => "a list",
        serde_json::Value::Object(_) => "an object",
    }
}
