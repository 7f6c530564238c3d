//! How closed sets and keys are spelled in the tables. Exhaustive on purpose: a new variant must get a name here.

use jiff::civil;

use super::item::corrupt;
use crate::identifier::{ConnectionId, Digest, PlatformId, RunId};
use crate::journal::Outcome;
use crate::object::Object;
use crate::port::Error;
use crate::run::{SliceKey, Stage};

/// The partition of all connections.
pub(super) const CONNECTIONS: &str = "connection";

/// The partitions of the state table that hold something of a connection; that of all connections holds the connection itself. What an index
/// has goes with its item.
pub(super) fn state_of(connection: &ConnectionId) -> Vec<String> {
    let by_object = Object::ALL
        .into_iter()
        .flat_map(|object| [candidates(connection, object), awaiting(connection, object)]);
    by_object
        .chain([calculations(connection), of_connection(connection)])
        .collect()
}

/// The partitions of the links' and the records' table that hold something of a connection.
pub(super) fn objects_of(connection: &ConnectionId) -> Vec<String> {
    let all = Object::ALL.into_iter();
    all.map(|object| of_object(connection, object)).collect()
}

/// The partition of a connection's log.
pub(super) fn log_of(connection: &ConnectionId) -> String {
    connection.to_string()
}

/// The partition of everything that the flows keep about a connection.
pub(super) fn of_connection(connection: &ConnectionId) -> String {
    format!("c#{connection}")
}

/// The partition of a connection's links or records of an object, in their tables.
pub(super) fn of_object(connection: &ConnectionId, object: Object) -> String {
    format!("{connection}#{object}")
}

/// The partition of an object's removal candidates.
pub(super) fn candidates(connection: &ConnectionId, object: Object) -> String {
    format!("c#{connection}#candidate#{object}")
}

/// The partition of an object's records that wait for a reference.
pub(super) fn awaiting(connection: &ConnectionId, object: Object) -> String {
    format!("c#{connection}#awaiting#{object}")
}

/// The partition of the accounts that are to be calculated.
pub(super) fn calculations(connection: &ConnectionId) -> String {
    format!("c#{connection}#calculation")
}

/// A number that sets one from every other of its kind apart.
pub(super) fn stamp(number: u128) -> String {
    format!("{number:032x}")
}

/// The number of a stamp.
pub(super) fn stamp_of(stamp: &str, what: &str) -> Result<u128, Error> {
    u128::from_str_radix(stamp, 16)
        .map_err(|source| corrupt(&format!("the stamp of {what}"), source))
}

/// The sort key of an account that is to be calculated on a day. A day has ten characters until the year 10000.
pub(super) fn calculation(day: civil::Date, account: &PlatformId) -> String {
    format!("{day}#{account}")
}

/// The end of the sort keys of all accounts that are to be calculated until a day.
pub(super) fn calculations_until(day: civil::Date) -> String {
    // '$' is right behind '#'.
    format!("{day}$")
}

/// The sort key of what the accounts were calculated with.
pub(super) const CALCULATED: &str = "calculated";

/// What begins the partition of an OAuth state, and the sort key under which its connection lists it.
pub(super) const OAUTH_STATES: &str = "oauth#";

/// The partition of an OAuth state, and the sort key under which its connection lists it.
pub(super) fn oauth_state(digest: &Digest) -> String {
    format!("{OAUTH_STATES}{digest}")
}

/// The sort key of an OAuth state.
pub(super) const OAUTH_STATE: &str = "state";

/// The sort key of a version of the settings.
pub(super) fn settings(version: u64) -> String {
    format!("settings#{version:020}")
}

/// The sort key of an object's cursor.
pub(super) fn cursor(object: Object) -> String {
    format!("cursor#{object}")
}

/// What the sort keys of what Zoho does not show begin with.
pub(super) const LACKS: &str = "lack#";

/// The sort key of what Zoho does not show of an object.
pub(super) fn lack(object: Object) -> String {
    format!("{LACKS}{object}")
}

/// The sort key of the latest preflight.
pub(super) const PREFLIGHT: &str = "preflight";

/// The sort key of a lease.
pub(super) fn lease(name: &str) -> String {
    format!("lease#{name}")
}

/// The sort key of an hour's credits.
pub(super) fn credits(hour: i64) -> String {
    format!("credits#{:012}", hour.max(0))
}

/// The sort key of a run.
pub(super) fn run(run: &RunId) -> String {
    format!("run#{run}")
}

/// What the sort keys of a run's slices begin with.
pub(super) fn slices(run: &RunId) -> String {
    format!("slice#{run}#")
}

/// The sort key of a slice.
pub(super) fn slice(run: &RunId, key: SliceKey) -> String {
    let SliceKey {
        stage,
        object,
        index,
    } = key;
    format!("slice#{run}#{}#{object}#{index:05}", self::stage(stage))
}

const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Routine => "routine",
        Stage::Users => "users",
        Stage::Accounts => "accounts",
        Stage::Contacts => "contacts",
        Stage::Deals => "deals",
        Stage::Tasks => "tasks",
        Stage::References => "references",
        Stage::RemoveAccounts => "remove_accounts",
        Stage::RemoveDependants => "remove_dependants",
        Stage::Calculated => "calculated",
    }
}

/// An outcome's name in the index of outcomes.
pub(super) const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Parked => "parked",
        Outcome::Refused => "refused",
        Outcome::Held => "held",
        Outcome::Warned => "warned",
    }
}

/// The partition of an account's records in their index.
pub(super) fn account(connection: &ConnectionId, account: &PlatformId) -> String {
    format!("{connection}#{account}")
}

/// The partition of a connection's parked records in the index of waiting edits. A connection's id has no `#`, so it is nobody's partition
/// of edits on their way.
pub(super) fn parked(connection: &ConnectionId) -> String {
    format!("{connection}#parked")
}

/// The partition of an outcome's lines in their index.
pub(super) fn outcome_of(connection: &ConnectionId, outcome: Outcome) -> String {
    format!("{connection}#{}", self::outcome(outcome))
}

/// The partition of a record's lines in their index.
pub(super) fn record(connection: &ConnectionId, object: Object, id: &PlatformId) -> String {
    format!("{connection}#{object}#{id}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A new key of a connection has to be deleted with the others, so it has to be known here.
    #[test]
    fn every_key_that_names_a_connection_is_known_to_the_purge() {
        let source = include_str!("names.rs");
        let (code, _) = source.split_once("#[cfg(test)]").unwrap();
        let naming: BTreeSet<&str> = code
            .split("\npub(super) ")
            .filter(|item| item.split('{').next().unwrap().contains("&ConnectionId"))
            .map(|item| {
                let (_, name) = item.split_once("fn ").unwrap();
                name.split('(').next().unwrap()
            })
            .collect();
        // Partitions that are deleted, and the lists of them.
        let deleted = [
            "of_connection",
            "of_object",
            "candidates",
            "awaiting",
            "calculations",
            "log_of",
        ];
        let lists = ["state_of", "objects_of"];
        // Partitions of indexes, which have nothing of their own.
        let indexes = ["account", "parked", "outcome_of", "record"];
        let known: BTreeSet<&str> = deleted.into_iter().chain(lists).chain(indexes).collect();
        assert_eq!(naming, known);
    }

    #[test]
    fn what_is_deleted_is_of_this_connection_only() {
        let of = |id: &str| -> BTreeSet<String> {
            let id = id.parse().unwrap();
            let objects = objects_of(&id).into_iter();
            objects.chain(state_of(&id)).chain([log_of(&id)]).collect()
        };
        let all = of("acme");
        assert_eq!(all.len(), 5 * 3 + 3);
        for alike in ["acme0", "acme-account", "acm"] {
            assert!(all.is_disjoint(&of(alike)), "{alike}");
        }
    }
}
