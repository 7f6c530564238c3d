//! Ids in JSON: Zoho's have more digits than a JSON number keeps everywhere, so text is taken as well.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
#[serde(untagged)]
enum Shape {
    Number(u64),
    Text(String),
}

/// An optional id as a number or as text.
pub(crate) fn optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    match Option::<Shape>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Shape::Number(id)) => Ok(Some(id)),
        Some(Shape::Text(text)) => text.parse().map(Some).map_err(D::Error::custom),
    }
}
