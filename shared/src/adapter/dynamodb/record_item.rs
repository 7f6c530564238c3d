//! How a record is stored.
//!
//! Writes are paid by the kilobyte and most of a record is said several times: its base equals its fields, its fields come from one run, a
//! change's new value is the field's. So what equals a field is stored by name only. `fields` itself is whole: it is what readers of the
//! table's stream look at.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::item::{Item, expiry, from_item, to_item};
use super::names;
use crate::identifier::{ConnectionId, FieldName, PlatformId, RunId, ZohoField, ZohoId};
use crate::journal::sortable;
use crate::object::Object;
use crate::port::Error;
use crate::record::{
    Action, Change, FieldChange, Intent, Parked, Pending, RESTORABLE, Record, Removed, Side, Source,
};
use crate::value::{Fields, Value};

#[cfg(test)]
mod tests;

/// A record. `account_key`, `pending_key`, `pending_since` and `updated_at` are the keys of the indexes.
#[derive(Debug, Serialize, Deserialize)]
struct StoredRecord {
    pk: String,
    sk: PlatformId,
    account_key: Option<String>,
    pending_key: Option<String>,
    pending_since: Option<String>,
    updated_at: String,
    expires_at: Option<i64>,

    connection: ConnectionId,
    object: Object,
    zoho_id: Option<ZohoId>,
    fields: Fields,
    /// The fields whose base is what they show.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    base_as_fields: BTreeSet<FieldName>,
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    base: Fields,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pending: BTreeMap<FieldName, Pending>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    edited: BTreeMap<FieldName, Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sources: Vec<StoredSource>,
    parked: Option<Parked>,
    create_intent: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    create_tries: Vec<StoredTry>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    create_marks: BTreeSet<ZohoField>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    segments: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    segmented: Option<Timestamp>,
    zoho_modified_time: Option<Timestamp>,
    removed: Option<Removed>,
    moved_from: Option<PlatformId>,
    change: Option<StoredChange>,
    created_at: Timestamp,
    changed_at: Timestamp,
    version: u64,
}

/// What one try to create the record in Zoho said.
#[derive(Debug, Serialize, Deserialize)]
struct StoredTry {
    /// The fields of which it said what they show.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    as_fields: BTreeSet<FieldName>,
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    others: Fields,
}

/// Where the values of some fields came from.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct StoredSource {
    side: Side,
    run: Option<RunId>,
    at: Timestamp,
    fields: BTreeSet<FieldName>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    overruled: BTreeMap<FieldName, Value>,
}

/// What the last version changed.
#[derive(Debug, Serialize, Deserialize)]
struct StoredChange {
    action: Action,
    run: Option<RunId>,
    fields: Vec<StoredFieldChange>,
}

/// One field's change.
#[derive(Debug, Serialize, Deserialize)]
struct StoredFieldChange {
    field: FieldName,
    before: Value,
    /// Absent: what the field shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    overruled: Option<Value>,
}

/// The item of a record.
pub(super) fn item_of(record: Record) -> Result<Item, Error> {
    to_item(&StoredRecord::from(record))
}

/// The record of an item.
pub(super) fn record_of(item: Item) -> Result<Record, Error> {
    let what = format!("a record of {}", super::item::text_of(&item, "pk"));
    from_item::<StoredRecord>(&what, item).map(Record::from)
}

/// The index of pending edits is ordered by their time; the record's key tells edits of one instant apart.
fn pending_since(at: Timestamp, object: Object, id: &PlatformId) -> String {
    format!("{}#{object}#{id}", sortable(at))
}

/// Where a record is in the index of waiting edits, by partition and place: those on their way by the time of the edit, those parked by
/// the time at which they were parked, in a partition of their own.
pub(super) fn waits_at(record: &Record) -> Option<(String, String)> {
    let (partition, at) = match record.parked_since() {
        Some(at) => (names::parked(&record.connection), at),
        None => {
            let since = record.pending_since().filter(|_| record.wants_push());
            (record.connection.to_string(), since?)
        }
    };
    Some((partition, pending_since(at, record.object, &record.id)))
}

/// The end of all keys of the index of pending edits made at or before an instant.
pub(super) fn pending_until(at: Timestamp) -> String {
    // '$' is right behind '#'.
    format!("{}$", sortable(at))
}

impl From<Record> for StoredRecord {
    fn from(record: Record) -> Self {
        let account_key = record
            .account()
            .map(|account| names::account(&record.connection, account));
        let (pending_key, pending_since) = waits_at(&record).unzip();
        let Record {
            connection,
            object,
            id,
            zoho_id,
            fields,
            base,
            pending,
            edited,
            sources,
            parked,
            create_intent,
            segments,
            segmented,
            zoho_modified_time,
            removed,
            moved_from,
            change,
            created_at,
            updated_at,
            version,
        } = record;
        let (base_as_fields, base) = split(base, &fields);
        let intended_at = create_intent.as_ref().map(|intent| intent.at);
        let (tries, create_marks) = create_intent
            .map(|intent| (intent.tries, intent.marks))
            .unwrap_or_default();
        let create_tries = tries.into_iter().map(|said| {
            let (as_fields, others) = split(said, &fields);
            StoredTry { as_fields, others }
        });
        let end = |removed: &Removed| removed.at.saturating_add(RESTORABLE);
        Self {
            pk: names::of_object(&connection, object),
            account_key,
            pending_key,
            pending_since,
            updated_at: sortable(updated_at),
            expires_at: removed
                .as_ref()
                .map(|removed| expiry(end(removed).unwrap_or(Timestamp::MAX))),
            sk: id,
            connection,
            object,
            zoho_id,
            base_as_fields,
            base,
            pending,
            edited,
            sources: group(sources),
            parked,
            create_intent: intended_at,
            create_tries: create_tries.collect(),
            create_marks,
            segments,
            segmented,
            zoho_modified_time,
            removed,
            moved_from,
            change: change.map(|change| shorten(change, &fields)),
            created_at,
            changed_at: updated_at,
            version,
            fields,
        }
    }
}

impl From<StoredRecord> for Record {
    fn from(stored: StoredRecord) -> Self {
        let StoredRecord {
            pk: _,
            sk,
            account_key: _,
            pending_key: _,
            pending_since: _,
            updated_at: _,
            expires_at: _,
            connection,
            object,
            zoho_id,
            fields,
            base_as_fields,
            base,
            pending,
            edited,
            sources,
            parked,
            create_intent,
            create_tries,
            create_marks,
            segments,
            segmented,
            zoho_modified_time,
            removed,
            moved_from,
            change,
            created_at,
            changed_at,
            version,
        } = stored;
        let tries = create_tries
            .into_iter()
            .map(|said| join(said.as_fields, said.others, &fields));
        let intent = |at| Intent {
            at,
            tries: tries.collect(),
            marks: create_marks,
        };
        Self {
            connection,
            object,
            id: sk,
            zoho_id,
            base: join(base_as_fields, base, &fields),
            pending,
            edited,
            sources: sources.into_iter().flat_map(ungroup).collect(),
            parked,
            create_intent: create_intent.map(intent),
            segments,
            segmented,
            zoho_modified_time,
            removed,
            moved_from,
            change: change.map(|change| lengthen(change, &fields)),
            created_at,
            updated_at: changed_at,
            version,
            fields,
        }
    }
}

/// The names of the values that are what their fields show, and the others.
fn split(values: Fields, shown: &Fields) -> (BTreeSet<FieldName>, Fields) {
    let (same, others): (Fields, Fields) = values
        .into_iter()
        .partition(|(name, value)| shown.get(name) == Some(value));
    (same.into_keys().collect(), others)
}

fn join(as_fields: BTreeSet<FieldName>, mut others: Fields, shown: &Fields) -> Fields {
    let same = as_fields
        .into_iter()
        .filter_map(|name| shown.get(&name).cloned().map(|value| (name, value)));
    others.extend(same);
    others
}

/// One entry for all fields that came at once.
fn group(sources: BTreeMap<FieldName, Source>) -> Vec<StoredSource> {
    let mut groups: Vec<StoredSource> = Vec::new();
    for (name, source) in sources {
        let Source {
            side,
            run,
            at,
            overruled,
        } = source;
        let known = groups
            .iter()
            .position(|group| (group.side, &group.run, group.at) == (side, &run, at));
        let group = match known.and_then(|index| groups.get_mut(index)) {
            Some(group) => group,
            None => groups.push_mut(StoredSource {
                side,
                run,
                at,
                fields: BTreeSet::new(),
                overruled: BTreeMap::new(),
            }),
        };
        group.fields.insert(name.clone());
        group.overruled.extend(overruled.map(|value| (name, value)));
    }
    groups
}

fn ungroup(group: StoredSource) -> Vec<(FieldName, Source)> {
    let StoredSource {
        side,
        run,
        at,
        fields,
        mut overruled,
    } = group;
    let of_field = |name: FieldName| {
        let source = Source {
            side,
            run: run.clone(),
            at,
            overruled: overruled.remove(&name),
        };
        (name, source)
    };
    fields.into_iter().map(of_field).collect()
}

fn shorten(change: Change, shown: &Fields) -> StoredChange {
    let Change {
        action,
        run,
        fields,
    } = change;
    let of_field = |change: FieldChange| {
        let FieldChange {
            field,
            before,
            after,
            overruled,
        } = change;
        StoredFieldChange {
            after: Some(after).filter(|after| shown.get(&field) != Some(after)),
            field,
            before,
            overruled,
        }
    };
    StoredChange {
        action,
        run,
        fields: fields.into_iter().map(of_field).collect(),
    }
}

fn lengthen(change: StoredChange, shown: &Fields) -> Change {
    let StoredChange {
        action,
        run,
        fields,
    } = change;
    let of_field = |change: StoredFieldChange| {
        let StoredFieldChange {
            field,
            before,
            after,
            overruled,
        } = change;
        FieldChange {
            after: after
                .or_else(|| shown.get(&field).cloned())
                .unwrap_or(Value::Null),
            field,
            before,
            overruled,
        }
    };
    Change {
        action,
        run,
        fields: fields.into_iter().map(of_field).collect(),
    }
}
