//! What the API shows: types of its own, so that a change of the domain changes the API on purpose or not at all.

mod connection;
mod dead_letter;
mod log;
mod names;
mod preflight;
mod preview;
mod record;
mod run;
mod settings;

pub(crate) use connection::{ConnectionDetail, ConnectionView, Credits};
pub(crate) use dead_letter::{DeadLetterQueue, Named, Queue};
pub(crate) use log::LogLine;
pub(crate) use names::{
    ChoicesMode, ConflictPolicy, CounterName, Direction, MappingDirection, NullMeans, ObjectName,
    Outcome, RemovalReason, RunKind, RunStatus, Severity, Side, SourceMode, SpenderName, Stage,
    Status, UnlinkedStanding, VerdictName,
};
pub(crate) use preflight::{FindingView, PreflightView};
pub(crate) use preview::PreviewView;
pub(crate) use record::{ParkedRecord, RecordDetail, RecordView, Removal, Unlinked};
pub(crate) use run::{RunDetail, RunView};
pub(crate) use settings::{SavedSettings, SettingsDocument, SettingsView};

use std::collections::BTreeMap;

use serde_json::Value as Json;
use tandem::identifier::FieldName;
use tandem::value::Value;

/// Values as plain JSON by field.
fn values<'a>(
    fields: impl IntoIterator<Item = (&'a FieldName, &'a Value)>,
) -> BTreeMap<String, Json> {
    fields
        .into_iter()
        .map(|(name, value)| (name.to_string(), value.to_json()))
        .collect()
}
