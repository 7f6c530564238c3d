//! Records and their values, parsed once when they are written.

use jiff::{Timestamp, civil::Date};
use rust_decimal::Decimal;
use serde_json::{Map, Value as Json};

/// One field's value.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "the variants say what they hold")]
pub enum Value {
    #[default]
    Null,
    Text(Box<str>),
    Number(Decimal),
    Boolean(bool),
    Date(Date),
    Instant(Timestamp),
    /// A record or a user.
    Reference(u64),
    /// A multi-select picklist.
    Many(Box<Vec<String>>),
    /// The rows of a subform.
    Rows(Box<Vec<Row>>),
    /// The rows of a multi-select lookup: the id of the linking row and the record it links to.
    Links(Box<Vec<(u64, u64)>>),
}

/// One row of a subform.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The id of the row.
    pub id: u64,
    /// The columns as they are shown.
    pub cells: Map<String, Json>,
}

impl Value {
    /// Text, or null for an empty one.
    pub fn text(text: impl Into<String>) -> Self {
        let text: String = text.into();
        if text.is_empty() {
            Self::Null
        } else {
            Self::Text(text.into_boxed_str())
        }
    }

    /// Several texts.
    pub fn many(texts: Vec<String>) -> Self {
        if texts.is_empty() {
            Self::Null
        } else {
            Self::Many(Box::new(texts))
        }
    }

    /// Whether it is empty.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number.
    pub fn as_number(&self) -> Option<Decimal> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The record or user it names.
    pub fn as_reference(&self) -> Option<u64> {
        match self {
            Self::Reference(id) => Some(*id),
            _ => None,
        }
    }

    /// The instant.
    pub fn as_instant(&self) -> Option<Timestamp> {
        match self {
            Self::Instant(instant) => Some(*instant),
            _ => None,
        }
    }
}

/// One record: its values in the order of the module's fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The id.
    pub id: u64,
    /// The values, one for every field; null where the field is computed.
    pub values: Vec<Value>,
    /// Locked by a person or a rule.
    pub locked: bool,
    /// In a blueprint.
    pub in_blueprint: bool,
    /// Waiting for approval.
    pub awaiting_approval: bool,
}

impl Record {
    /// An empty record.
    pub fn new(id: u64, fields: usize) -> Self {
        Self {
            id,
            values: vec![Value::Null; fields],
            locked: false,
            in_blueprint: false,
            awaiting_approval: false,
        }
    }

    /// The value at a position.
    pub fn value(&self, position: usize) -> &Value {
        static NULL: Value = Value::Null;
        self.values.get(position).unwrap_or(&NULL)
    }

    /// Sets the value at a position.
    pub fn set(&mut self, position: usize, value: Value) {
        if let Some(slot) = self.values.get_mut(position) {
            *slot = value;
        }
    }

    /// When it was last modified.
    pub fn modified(&self) -> Timestamp {
        self.value(super::schema::common::MODIFIED_TIME)
            .as_instant()
            .unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// When it was created.
    pub fn created(&self) -> Timestamp {
        self.value(super::schema::common::CREATED_TIME)
            .as_instant()
            .unwrap_or(Timestamp::UNIX_EPOCH)
    }
}
