//! Messages on the queues: versioned, and signals rather than content wherever Tandem itself is the sender.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::identifier::{ConnectionId, FieldName, PlatformId, RunId, ZohoId};
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
            | Self::Calculate { connection, .. } => connection,
        }
    }

    /// The object whose worker the message is for.
    #[must_use]
    pub const fn object(&self) -> Object {
        match self {
            Self::Slice { slice, .. } => slice.object,
            Self::Dependants { object, .. } => *object,
            Self::Calculate { .. } => Object::Account,
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
    fn another_format_is_refused() {
        let json = json!({"kind": "push", "version": 2, "connection": "acme", "object": "task", "ids": []});
        let error = serde_json::from_value::<Writeback>(json).unwrap_err();
        assert!(error.to_string().contains("use version 1"), "{error}");
    }
}
