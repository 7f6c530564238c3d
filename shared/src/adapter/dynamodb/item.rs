//! Items: maps of attributes, to and from the structs that say what is stored.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_dynamo::aws_sdk_dynamodb_1;

use crate::port::Error;

/// What DynamoDB calls an item.
pub(super) type Item = HashMap<String, AttributeValue>;

/// The item of a stored struct; what it has not is left out.
pub(super) fn to_item(stored: &impl Serialize) -> Result<Item, Error> {
    let mut item =
        aws_sdk_dynamodb_1::to_item(stored).map_err(|source| corrupt("something new", source))?;
    item.retain(|_, value| !value.is_null());
    Ok(item)
}

/// The stored struct of an item.
pub(super) fn from_item<T: DeserializeOwned>(what: &str, item: Item) -> Result<T, Error> {
    let item: serde_dynamo::Item = item.into();
    let deserializer = serde_dynamo::Deserializer::from_attribute_value(
        serde_dynamo::AttributeValue::M(item.into()),
    );
    serde_path_to_error::deserialize(deserializer)
        .map_err(|error| corrupt(what, Unreadable::of(&error)))
}

/// Where an item can't be read, and never what it says there: a parser's own words quote it.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("`{name}` is missing at `{at}`")]
    Missing { name: String, at: String },
    #[error("`{0}` is not what this release stores")]
    At(String),
}

impl Unreadable {
    fn of(error: &serde_path_to_error::Error<serde_dynamo::Error>) -> Self {
        let at = error.path().to_string();
        let said = error.inner().to_string();
        let missing = said
            .strip_prefix("missing field `")
            .and_then(|rest| rest.strip_suffix('`'));
        match missing {
            Some(name) => Self::Missing {
                name: name.to_owned(),
                at,
            },
            None => Self::At(at),
        }
    }
}

/// Something stored that can't be read.
pub(super) fn corrupt(
    what: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::Corrupt {
        what: what.to_owned(),
        source: source.into(),
    }
}

/// A text attribute.
pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

/// A number attribute.
pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A primary key.
pub(super) fn key(pk: impl Into<String>, sk: impl Into<String>) -> Item {
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

/// A text attribute of an item; empty where there is none.
pub(super) fn text_of<'item>(item: &'item Item, name: &str) -> &'item str {
    item.get(name)
        .and_then(|value| value.as_s().ok())
        .map_or("", String::as_str)
}

/// The epoch second at which DynamoDB may forget an item: never before the instant itself.
pub(super) fn expiry(at: Timestamp) -> i64 {
    at.as_second().saturating_add(1)
}

/// A digest as 32 bytes rather than 64 letters.
pub(super) mod binary_digest {
    use serde::de::{self, Visitor};
    use serde::{Deserializer, Serializer};

    use crate::identifier::Digest;

    pub(crate) fn serialize<S: Serializer>(
        digest: &Digest,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(digest.bytes())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Digest, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Digest;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("the 32 bytes of a digest")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Digest, E> {
                Digest::try_from(hex::encode(bytes)).map_err(E::custom)
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}
