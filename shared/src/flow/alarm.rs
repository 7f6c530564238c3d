//! What a person is to be told of: lines of the function's own log that `infra/template.yaml` counts and alarms.
//!
//! The field `alarm` is the word that an alarm counts. These lines are logged whatever filter is set, and like all others they hold no values,
//! no ids of records (a contact's is an e-mail address) and nothing that Zoho said in prose.

use crate::identifier::{ConnectionId, RunId};
use crate::object::Object;

/// Where these lines come from: what logging lets pass always.
pub const TARGET: &str = module_path!();

/// Zoho refused edits of a record for good, or they may not go there: they wait for a person or for a change (W7).
pub fn edit_parked(connection: &ConnectionId, object: Object, code: &str) {
    tracing::warn!(alarm = "edit_parked", connection.id = %connection, %object, code, "an edit is parked");
}

/// A connection's grant was lost; nothing of it syncs until somebody grants anew (C3).
pub fn needs_reconnect(connection: &ConnectionId, reason: &str) {
    tracing::error!(alarm = "needs_reconnect", connection.id = %connection, reason, "connection needs reconnect");
}

/// A full sync ended before everything was read, and removed nothing of what it had not read (P3).
pub fn full_sync_incomplete(connection: &ConnectionId, run: &RunId) {
    tracing::warn!(alarm = "full_sync_incomplete", connection.id = %connection, run.id = %run, "a full sync is incomplete");
}
