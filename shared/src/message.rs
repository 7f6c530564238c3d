//! Messages on the queues: versioned, and signals rather than content wherever Tandem itself is the sender.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::identifier::{ConnectionId, Digest, FieldName, PlatformId, RunId, ZohoId};
use crate::object::Object;
use crate::run::SliceKey;

/// A message to a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Work {
    /// Work on a slice of a run, from where it stands.
    Slice {
        /// The message format: 1.
        version: Version,
        /// The connection.
        connection: ConnectionId,
        /// The run.
        run: RunId,
        /// The slice.
        slice: SliceKey,
    },
    /// Bring in the dependants of records that newly came into scope (S5).
    Dependants {
        /// The message format: 1.
        version: Version,
        /// The connection.
        connection: ConnectionId,
        /// The run in which they came.
        run: RunId,
        /// The object of the dependants, whose worker this is.
        object: Object,
        /// The object of the records that came.
        parent: Object,
        /// The records that came, at most [`crate::select::IN_VALUES`].
        ids: Vec<ZohoId>,
    },
    /// Calculate the accounts that are marked for it (F5). Which ones the marks say.
    Calculate {
        /// The message format: 1.
        version: Version,
        /// The connection.
        connection: ConnectionId,
        /// The run that asked for it: what is calculated names it as its source.
        run: RunId,
    },
    /// Go on with the connection's purge (C6). How far it is the connection says.
    Purge {
        /// The message format: 1.
        version: Version,
        /// The connection.
        connection: ConnectionId,
    },
}

/// A message to writeback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Writeback {
    /// Look at these records' pending edits.
    Push {
        /// The message format: 1.
        version: Version,
        /// The connection.
        connection: ConnectionId,
        /// The object.
        object: Object,
        /// The records.
        ids: Vec<PlatformId>,
    },
    /// Try once more what is parked (W7).
    Retry {
        /// The message format: 1.
        version: Version,
        /// The connection.
        connection: ConnectionId,
        /// The page of parked records to begin with; absent: the first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    },
    /// Edits from the platform's own service.
    Edit {
        /// The message format: 1.
        version: Version,
        /// The connection.
        connection: ConnectionId,
        /// The object.
        object: Object,
        /// The edits.
        edits: Vec<Edit>,
    },
}

/// One edit of one record, as the platform asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edit {
    /// The record's platform id.
    pub id: PlatformId,
    /// The values wanted, as plain JSON by platform field.
    #[serde(default)]
    pub fields: std::collections::BTreeMap<FieldName, serde_json::Value>,
    /// The segments that the record is to be a member of; absent: as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<BTreeSet<String>>,
    /// The record's version that the edit was made on; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_version: Option<u64>,
}

/// The format of a message; only the first exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Version;

/// A message of a format that this release does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("message format {0} is unknown: use version 1")]
pub struct UnknownVersion(u8);

impl TryFrom<u8> for Version {
    type Error = UnknownVersion;

    fn try_from(number: u8) -> Result<Self, UnknownVersion> {
        if number == 1 {
            Ok(Self)
        } else {
            Err(UnknownVersion(number))
        }
    }
}

impl From<Version> for u8 {
    fn from(_: Version) -> Self {
        1
    }
}

impl Work {
    /// The connection that the message belongs to.
    #[must_use]
    pub const fn connection(&self) -> &ConnectionId {
        match self {
            Self::Slice { connection, .. }
            | Self::Dependants { connection, .. }
            | Self::Calculate { connection, .. }
            | Self::Purge { connection, .. } => connection,
        }
    }

    /// The object whose worker the message is for.
    #[must_use]
    pub const fn object(&self) -> Object {
        match self {
            Self::Slice { slice, .. } => slice.object,
            Self::Dependants { object, .. } => *object,
            Self::Calculate { .. } | Self::Purge { .. } => Object::Account,
        }
    }
}

impl Writeback {
    /// The connection that the message belongs to.
    #[must_use]
    pub const fn connection(&self) -> &ConnectionId {
        match self {
            Self::Push { connection, .. }
            | Self::Retry { connection, .. }
            | Self::Edit { connection, .. } => connection,
        }
    }

    /// The object it is about; none: it is about all of them.
    #[must_use]
    pub const fn object(&self) -> Option<Object> {
        match self {
            Self::Push { object, .. } | Self::Edit { object, .. } => Some(*object),
            Self::Retry { .. } => None,
        }
    }
}

/// A message by what it says, for whoever looks at one that nobody could work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Letter {
    /// To a worker.
    Work(Work),
    /// To writeback.
    Writeback(Writeback),
    /// Nothing that this release knows.
    Unreadable,
}

impl Letter {
    /// Reads what was sent to a worker.
    #[must_use]
    pub fn to_worker(body: &str) -> Self {
        serde_json::from_str(body).map_or(Self::Unreadable, Self::Work)
    }

    /// Reads what was sent to writeback.
    #[must_use]
    pub fn to_writeback(body: &str) -> Self {
        serde_json::from_str(body).map_or(Self::Unreadable, Self::Writeback)
    }

    /// The connection that it belongs to, if it can be read.
    #[must_use]
    pub const fn connection(&self) -> Option<&ConnectionId> {
        match self {
            Self::Work(work) => Some(work.connection()),
            Self::Writeback(writeback) => Some(writeback.connection()),
            Self::Unreadable => None,
        }
    }
}

/// The attribute of a message that was sent again: when it was sent the first time. An edit in it was made then, and not when somebody
/// sent it again, so it does not win over what was edited in between.
pub const FIRST_SENT: &str = "FirstSent";

/// When a message was sent, the same at each delivery. The queue tells milliseconds; the message's id tells messages of one millisecond
/// apart. A message that was sent again says when it was first.
#[must_use]
pub fn sent_at(milliseconds: &str, id: &str, first: Option<&str>) -> Option<Timestamp> {
    let digest = Digest::of(id.as_bytes());
    let [high, low, ..] = *digest.bytes();
    let within = SignedDuration::from_nanos(i64::from(u16::from_be_bytes([high, low])) * 10);
    let sent = Timestamp::from_millisecond(milliseconds.parse().ok()?)
        .ok()?
        .checked_add(within)
        .ok()?;
    let first = first.and_then(|first| first.parse::<Timestamp>().ok());
    Some(first.map_or(sent, |first| first.min(sent)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_wire_format_is_pinned() {
        let push = Writeback::Push {
            version: Version,
            connection: "acme".parse().unwrap(),
            object: Object::Task,
            ids: vec!["t-1".parse().unwrap()],
        };
        let json = json!({"kind": "push", "version": 1, "connection": "acme", "object": "task", "ids": ["t-1"]});
        assert_eq!(serde_json::to_value(&push).unwrap(), json);
        assert_eq!(serde_json::from_value::<Writeback>(json).unwrap(), push);
        let retry = json!({"kind": "retry", "version": 1, "connection": "acme"});
        let parsed: Writeback = serde_json::from_value(retry.clone()).unwrap();
        assert_eq!(parsed.object(), None);
        assert_eq!(serde_json::to_value(&parsed).unwrap(), retry);
        let edit = json!({"kind": "edit", "version": 1, "connection": "acme", "object": "contact",
            "edits": [{"id": "a@b.example", "fields": {"phone": "1"}, "segments": ["vip"], "if_version": 3}]});
        let parsed: Writeback = serde_json::from_value(edit.clone()).unwrap();
        assert_eq!(serde_json::to_value(&parsed).unwrap(), edit);
    }

    #[test]
    fn what_is_to_be_calculated_is_the_account_workers() {
        let json = json!({"kind": "calculate", "version": 1, "connection": "acme", "run": "01JD8QK3ZV5W7Y0B2C4E6G8H9J"});
        let work: Work = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(work.object(), Object::Account);
        assert_eq!(serde_json::to_value(&work).unwrap(), json);
    }

    #[test]
    fn a_purge_is_the_account_workers_too() {
        let json = json!({"kind": "purge", "version": 1, "connection": "acme"});
        let work: Work = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(work.object(), Object::Account);
        assert_eq!(work.connection().as_str(), "acme");
        assert_eq!(serde_json::to_value(&work).unwrap(), json);
    }

    #[test]
    fn a_message_that_was_sent_again_is_as_old_as_it_was() {
        let first = sent_at("1764000000123", "a", None).unwrap();
        assert_eq!(first.as_millisecond(), 1_764_000_000_123);
        let text = first.to_string();
        assert_eq!(
            sent_at("1764000900000", "b", Some(text.as_str())),
            Some(first)
        );
        let early = sent_at("1763000000000", "b", Some(text.as_str())).unwrap();
        assert_eq!(early.as_millisecond(), 1_763_000_000_000, "never later");
        assert_eq!(sent_at("1764000000123", "a", Some("soon")), Some(first));
        assert_eq!(sent_at("soon", "a", None), None);
    }

    #[test]
    fn what_nobody_can_read_is_said_to_be_so() {
        let calculate = r#"{"kind": "calculate", "version": 1, "connection": "acme", "run": "01JD8QK3ZV5W7Y0B2C4E6G8H9J"}"#;
        let read = Letter::to_worker(calculate);
        assert_eq!(read.connection().map(ConnectionId::as_str), Some("acme"));
        for letter in [
            Letter::to_writeback(calculate),
            Letter::to_worker("{"),
            Letter::to_worker(&calculate.replace("1,", "2,")),
        ] {
            assert_eq!(letter, Letter::Unreadable);
            assert_eq!(letter.connection(), None);
        }
    }

    #[test]
    fn another_format_is_refused() {
        let json = json!({"kind": "push", "version": 2, "connection": "acme", "object": "task", "ids": []});
        let error = serde_json::from_value::<Writeback>(json).unwrap_err();
        assert!(error.to_string().contains("use version 1"), "{error}");
    }
}
