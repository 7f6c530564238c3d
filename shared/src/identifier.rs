//! Identifiers: newtypes with private fields and fallible parsing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// An identifier that could not be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {given:?} is not valid: {remedy}")]
pub struct Error {
    kind: &'static str,
    given: String,
    remedy: &'static str,
}

macro_rules! text_identifier {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $remedy:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    let given = text.chars().take(100).collect();
                    Err(Error { kind: $kind, given, remedy: $remedy })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(identifier: $name) -> Self {
                identifier.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

fn is_slug(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_api_name(text: &str) -> bool {
    (1..=100).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphabetic())
}

fn is_field_name(text: &str) -> bool {
    (1..=100).contains(&text.len())
        && text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase())
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.')
        })
}

fn is_platform_id(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.trim() == text && !text.chars().any(char::is_control)
}

fn is_ulid(text: &str) -> bool {
    text.len() == 26 && ulid::Ulid::from_string(text).is_ok()
}

text_identifier!(
    /// One Zoho organisation linked to the platform, named by the operator; it is part of every key, message and query.
    ConnectionId, "connection", "use 1 to 64 lower-case letters, digits and inner hyphens", is_slug
);
text_identifier!(
    /// A field of a Zoho module by its API name.
    ZohoField, "Zoho field", "use the field's API name: letters, digits and underscores, beginning with a letter", is_api_name
);
text_identifier!(
    /// A field of a platform record; a dot separates a namespace from the name (`usage.logins`).
    FieldName, "platform field", "use lower-case letters, digits, underscores and dots, beginning with a letter", is_field_name
);
text_identifier!(
    /// The identity of a record on the platform: an account's or contact's external id, or an id of the platform's own for the rest.
    PlatformId, "platform id", "use 1 to 255 characters without control characters or outer white space", is_platform_id
);
text_identifier!(
    /// One run of a sync, time-ordered (a ULID).
    RunId, "run", "use the run's 26-character id", is_ulid
);

impl RunId {
    /// The id of a run that starts at `milliseconds` after the Unix epoch; `random` tells runs of one millisecond apart.
    #[must_use]
    pub fn new(milliseconds: u64, random: u128) -> Self {
        Self(ulid::Ulid::from_parts(milliseconds, random).to_string())
    }
}

impl FieldName {
    /// Whether the field belongs to the `usage` namespace, which never leaves the platform (F9).
    #[must_use]
    pub fn is_usage(&self) -> bool {
        self.0 == "usage" || self.0.starts_with("usage.")
    }
}

impl PlatformId {
    /// The platform id given to a record that came from Zoho and has no external id of its own (tasks, deals, users).
    #[must_use]
    pub fn of_zoho(id: ZohoId) -> Self {
        Self(format!("zoho-{id}"))
    }

    /// The Zoho id inside an id made by [`PlatformId::of_zoho`].
    #[must_use]
    pub fn zoho_id(&self) -> Option<ZohoId> {
        self.0
            .strip_prefix("zoho-")
            .and_then(|digits| digits.parse().ok())
    }
}

/// A Zoho record's id: a 64-bit integer that travels as a string of digits and is ordered as an integer (I4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ZohoId(u64);

impl ZohoId {
    /// Below every id that Zoho gives out.
    pub const MIN: Self = Self(0);
    /// Above every id that Zoho gives out.
    pub const MAX: Self = Self(u64::MAX);

    /// The id as zero-padded text, so that text order is number order.
    #[must_use]
    pub fn padded(self) -> String {
        format!("{:020}", self.0)
    }
}

impl FromStr for ZohoId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let digits =
            (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse()
            .ok()
            .filter(|_| digits)
            .map(Self)
            .ok_or_else(|| Error {
                kind: "Zoho id",
                given: text.chars().take(100).collect(),
                remedy: "use the record's id as Zoho shows it, digits only",
            })
    }
}

impl TryFrom<String> for ZohoId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<ZohoId> for String {
    fn from(id: ZohoId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for ZohoId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

/// A SHA-256 digest, shown as lower-case hexadecimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The first half of this one with the second half of another.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        let mut bytes = self.0;
        bytes[16..].copy_from_slice(&other.0[16..]);
        Self(bytes)
    }

    /// Whether its first half is another's.
    #[must_use]
    pub fn begins_like(&self, other: &Self) -> bool {
        self.0[..16] == other.0[..16]
    }

    /// The digest's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex::encode(self.0))
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(&text, &mut bytes).map_err(|_| Error {
            kind: "digest",
            given: text,
            remedy: "use 64 hexadecimal digits",
        })?;
        Ok(Self(bytes))
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn padded_ids_sort_as_numbers(left: u64, right: u64) {
            let (left, right) = (ZohoId(left), ZohoId(right));
            prop_assert_eq!(left.cmp(&right), left.padded().cmp(&right.padded()));
            prop_assert_eq!(left.padded().parse::<ZohoId>().unwrap(), left);
        }
    }

    #[test]
    fn connection_ids_are_slugs() {
        assert!("acme-eu-1".parse::<ConnectionId>().is_ok());
        for bad in ["", "Acme", "a#b", "-a", "a-", "a/b", &"a".repeat(65)] {
            assert!(bad.parse::<ConnectionId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn usage_is_a_namespace_and_not_a_prefix() {
        assert!("usage.logins".parse::<FieldName>().unwrap().is_usage());
        assert!(!"usage_note".parse::<FieldName>().unwrap().is_usage());
    }
}
