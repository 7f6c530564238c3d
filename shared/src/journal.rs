//! The log: every record action in both directions (L1).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::identifier::{ConnectionId, PlatformId, RunId, ZohoId};
use crate::object::Object;
use crate::record::{Action, FieldChange, Record};
use crate::value::Value;

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The connection.
    pub connection: ConnectionId,
    /// Its time-ordered id. It follows from what the line says, so that a line written twice is one line.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Whether it went as wanted.
    pub outcome: Outcome,
    /// Which way it went; none for what concerns the connection itself, and for what was calculated.
    pub direction: Option<Direction>,
    /// What was done.
    pub action: String,
    /// The object.
    pub object: Option<Object>,
    /// The record on the platform.
    pub record: Option<PlatformId>,
    /// The record in Zoho.
    pub zoho_id: Option<ZohoId>,
    /// The run.
    pub run: Option<RunId>,
    /// Why, in plain words.
    pub reason: Option<String>,
    /// The fields, with their values before and after unless values are left out.
    pub fields: Vec<FieldChange>,
    /// When it is forgotten.
    pub expires_at: Timestamp,
}

/// Whether it went as wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As wanted.
    Done,
    /// Waits for something to change.
    Parked,
    /// Refused for good.
    Refused,
    /// Waits for a person.
    Held,
    /// Something a person should know.
    Warned,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From Zoho to the platform.
    Pull,
    /// From the platform to Zoho.
    Push,
}

/// How long entries are kept and whether they keep values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// In days.
    pub days: u16,
    /// Whether values are kept.
    pub values: bool,
}

impl Retention {
    fn end(self, at: Timestamp) -> Timestamp {
        at.saturating_add(jiff::SignedDuration::from_hours(24 * i64::from(self.days)))
            .unwrap_or(Timestamp::MAX)
    }
}

impl Entry {
    /// The line for a record's last change; none when it never changed.
    #[must_use]
    pub fn of_change(record: &Record, retention: Retention) -> Option<Self> {
        let change = record.change.as_ref()?;
        let strip = |field: &FieldChange| match retention.values {
            true => field.clone(),
            false => FieldChange {
                field: field.field.clone(),
                before: Value::Null,
                after: Value::Null,
                overruled: None,
            },
        };
        let (direction, outcome) = match change.action {
            Action::Edited | Action::Pushed | Action::CreatedInZoho | Action::Dismissed => {
                (Some(Direction::Push), Outcome::Done)
            }
            Action::Parked => (Some(Direction::Push), Outcome::Parked),
            Action::Created
            | Action::Pulled
            | Action::Removed
            | Action::Restored
            | Action::Relinked => (Some(Direction::Pull), Outcome::Done),
            Action::Calculated => (None, Outcome::Done),
        };
        let reason = match change.action {
            Action::Parked => record
                .parked
                .as_ref()
                .map(|parked| format!("{}: {}", parked.code, parked.remedy)),
            Action::Removed => record
                .removed
                .as_ref()
                .map(|removed| reason_text(removed.reason).to_owned()),
            _ => None,
        };
        Some(Self {
            connection: record.connection.clone(),
            id: format!(
                "{}#{}#{}#{:06}",
                sortable(record.updated_at),
                record.object,
                record.id,
                record.version
            ),
            at: record.updated_at,
            outcome,
            direction,
            action: action_text(change.action),
            object: Some(record.object),
            record: Some(record.id.clone()),
            zoho_id: record.zoho_id,
            run: change.run.clone(),
            reason,
            fields: change.fields.iter().map(strip).collect(),
            expires_at: retention.end(record.updated_at),
        })
    }

    /// A line that is about something else than a record's change; `subject` tells lines of one instant apart.
    #[must_use]
    pub fn note(
        connection: ConnectionId,
        at: Timestamp,
        outcome: Outcome,
        action: &str,
        subject: &str,
        reason: String,
        retention: Retention,
    ) -> Self {
        Self {
            connection,
            id: format!("{}#{action}#{subject}", sortable(at)),
            at,
            outcome,
            direction: None,
            action: action.to_owned(),
            object: None,
            record: None,
            zoho_id: None,
            run: None,
            reason: Some(reason),
            fields: Vec::new(),
            expires_at: retention.end(at),
        }
    }
}

fn action_text(action: Action) -> String {
    serde_json::to_value(action)
        .ok()
        .and_then(|json| json.as_str().map(str::to_owned))
        .unwrap_or_default()
}

const fn reason_text(reason: crate::record::RemovalReason) -> &'static str {
    use crate::record::RemovalReason as R;
    match reason {
        R::Gone => "Zoho has the record no more",
        R::OutOfScope => "the record no longer meets the sync filter",
        R::ParentLeft => "the account that the record belongs to left",
        R::Renamed => "the record's external id was changed in Zoho",
    }
}

/// An instant as text whose order is time order.
#[must_use]
pub fn sortable(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
