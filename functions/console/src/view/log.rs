//! Lines of the log as the API shows them.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value as Json;
use tandem::journal::Entry;
use tandem::record::FieldChange;
use tandem::value::Value;
use utoipa::ToSchema;

use super::{Direction, ObjectName, Outcome};
use crate::address;

/// One line of the log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogLine {
    /// Its id; ids of later lines sort after it.
    pub id: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Whether it went as wanted.
    pub outcome: Outcome,
    /// Which way it went; none for what concerns the connection itself, and for what was calculated.
    pub direction: Option<Direction>,
    /// What was done.
    #[schema(example = "pulled")]
    pub action: String,
    /// The object.
    pub object: Option<ObjectName>,
    /// The record's id on the platform.
    pub record: Option<String>,
    /// The record's address in this API.
    pub href: Option<String>,
    /// The record's id in Zoho.
    pub zoho_id: Option<String>,
    /// The run.
    pub run: Option<String>,
    /// Why, in plain words.
    pub reason: Option<String>,
    /// The fields that changed.
    pub fields: Vec<FieldChangeView>,
}

/// One field's change. The values are null where the settings leave values out of the log.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FieldChangeView {
    /// The field.
    pub field: String,
    /// Its value before.
    pub before: Json,
    /// Its value after.
    pub after: Json,
    /// The value that lost, where two sides disagreed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overruled: Option<Json>,
}

impl From<&Entry> for LogLine {
    fn from(entry: &Entry) -> Self {
        let href = entry.object.zip(entry.record.as_ref());
        Self {
            id: entry.id.clone(),
            at: entry.at,
            outcome: entry.outcome.into(),
            direction: entry.direction.map(Direction::from),
            action: entry.action.clone(),
            object: entry.object.map(ObjectName::from),
            record: entry.record.as_ref().map(ToString::to_string),
            href: href.map(|(object, id)| address::of_record(&entry.connection, object, id)),
            zoho_id: entry.zoho_id.map(String::from),
            run: entry.run.as_ref().map(ToString::to_string),
            reason: entry.reason.clone(),
            fields: entry.fields.iter().map(FieldChangeView::from).collect(),
        }
    }
}

impl From<&FieldChange> for FieldChangeView {
    fn from(change: &FieldChange) -> Self {
        Self {
            field: change.field.to_string(),
            before: change.before.to_json(),
            after: change.after.to_json(),
            overruled: change.overruled.as_ref().map(Value::to_json),
        }
    }
}
