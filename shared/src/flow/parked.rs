//! Parked edits: tried again or dismissed by a person (W7, L3).

use jiff::Timestamp;

use crate::identifier::{ConnectionId, PlatformId};
use crate::journal::{Direction, Entry, Outcome, Retention};
use crate::message::{Version, Writeback};
use crate::object::Object;
use crate::port::{self, Ports};
use crate::record::{Action, Change, FieldChange, Record, Side, Source};
use crate::value::Value;

use super::Error;
use super::calculate::Desk;
use super::job::{late_line, retention};

/// How often a decision is taken anew when somebody else wrote the record meanwhile.
const ATTEMPTS: usize = 5;

/// Sends a record's parked edits on their way again.
///
/// # Errors
/// [`Error::NotFound`] when there is no such record, [`Error::Invalid`] when nothing of it is parked, or when a port fails.
pub async fn retry(
    ports: &Ports,
    connection: &ConnectionId,
    object: Object,
    id: &PlatformId,
) -> Result<Record, Error> {
    let settings = ports.store.settings(connection).await?;
    let record = change(ports, connection, object, id, retried, None).await?;
    let record = record.map_err(|record| not_parked(&record))?;
    let line = retry_line(&record, retention(&settings));
    ports.store.write(&[line]).await?;
    if record.wants_push() {
        let push = Writeback::Push {
            version: Version,
            connection: connection.clone(),
            object,
            ids: vec![id.clone()],
        };
        // Only a hint to look now: the poller sweeps what is pending, so a message that is not sent delays the edit and no more.
        if let Err(error) = ports.queue.send_writeback(&[push]).await {
            tracing::warn!(connection.id = %connection, error = %error, "writeback was not told of a retry");
        }
    }
    Ok(record)
}

/// Drops a record's parked edits. The platform shows again what Zoho has; what was dropped is kept in the log. Where they were dropped lately,
/// that attempt may have been cut off right after it: asking again makes up for the rest.
///
/// # Errors
/// [`Error::NotFound`] when there is no such connection, otherwise as for [`retry`].
pub async fn dismiss(
    ports: &Ports,
    connection: &ConnectionId,
    object: Object,
    id: &PlatformId,
) -> Result<Record, Error> {
    let (desk, settings) = Desk::by_hand(ports, connection).await?;
    let decided = change(ports, connection, object, id, dismissed, Some(&desk)).await?;
    let (Ok(record) | Err(record)) = &decided;
    let change = record.change.as_ref();
    if change.is_some_and(|change| change.action == Action::Dismissed) {
        let line = late_line(record, retention(&settings), ports.clock.now());
        if line.is_some() {
            ports.store.write(line.as_slice()).await?;
            desk.note([record]).await?;
        }
    }
    desk.send(None).await;
    decided.map_err(|record| not_parked(&record))
}

/// The record with its edits on their way again; none when nothing is parked.
#[must_use]
pub fn retried(before: &Record, now: Timestamp) -> Option<Record> {
    before.parked.as_ref()?;
    Some(Record {
        parked: None,
        change: None,
        updated_at: now,
        ..before.clone()
    })
}

/// The record without its edits; none when nothing is parked. A record that Zoho has shows Zoho's values again. One that only the platform
/// knows keeps its values, because there is nothing else that it could show.
#[must_use]
pub fn dismissed(before: &Record, now: Timestamp) -> Option<Record> {
    before.parked.as_ref()?;
    let mut record = Record {
        parked: None,
        pending: std::collections::BTreeMap::new(),
        updated_at: now,
        ..before.clone()
    };
    let mut fields = Vec::new();
    for (field, pending) in &before.pending {
        let after = match before.zoho_id {
            Some(_) => before.base.get(field).cloned().unwrap_or(Value::Null),
            None => pending.value.clone(),
        };
        if !after.same(&pending.value) {
            record.fields.insert(field.clone(), after.clone());
            record.sources.insert(
                field.clone(),
                Source {
                    side: Side::Zoho,
                    run: None,
                    at: now,
                    overruled: Some(pending.value.clone()),
                },
            );
        }
        fields.push(FieldChange {
            field: field.clone(),
            before: pending.value.clone(),
            after,
            overruled: None,
        });
    }
    record.change = Some(Change {
        action: Action::Dismissed,
        run: None,
        fields,
    });
    record.remember_move(before);
    Some(record)
}

/// The record as decided, or as it is where nothing of it is parked. The desk is told of it before it is stored: what follows is not made up for
/// by itself.
async fn change(
    ports: &Ports,
    connection: &ConnectionId,
    object: Object,
    id: &PlatformId,
    decide: fn(&Record, Timestamp) -> Option<Record>,
    desk: Option<&Desk<'_>>,
) -> Result<Result<Record, Record>, Error> {
    let mut attempt = 1;
    loop {
        let found = ports
            .store
            .records(connection, object, std::slice::from_ref(id))
            .await?;
        let before = found.into_iter().next().ok_or_else(|| Error::NotFound {
            what: format!(
                "{object} {id:?} of connection {connection}",
                id = id.as_str()
            ),
        })?;
        let Some(after) = decide(&before, ports.clock.now()) else {
            return Ok(Err(before));
        };
        if let Some(desk) = desk {
            desk.note([&before, &after]).await?;
        }
        match ports.store.save_record(after).await {
            Err(port::Error::Conflict { .. }) if attempt < ATTEMPTS => attempt += 1,
            saved => return Ok(Ok(saved?)),
        }
    }
}

fn not_parked(record: &Record) -> Error {
    let (object, id) = (record.object, record.id.as_str());
    Error::Invalid(format!("nothing of {object} {id:?} is parked"))
}

fn retry_line(record: &Record, retention: Retention) -> Entry {
    let subject = format!("{}#{}#{:06}", record.object, record.id, record.version);
    Entry {
        direction: Some(Direction::Push),
        object: Some(record.object),
        record: Some(record.id.clone()),
        zoho_id: record.zoho_id,
        ..Entry::note(
            record.connection.clone(),
            record.updated_at,
            Outcome::Done,
            "retried",
            &subject,
            "a person asked for another try".into(),
            retention,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identifier::{Digest, FieldName};
    use crate::record::{Parked, Pending};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn field(name: &str) -> FieldName {
        name.parse().unwrap()
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    /// A task whose subject was edited from `base` and refused by Zoho.
    fn parked(zoho_id: Option<&str>, base: Option<&str>) -> Record {
        let mut record = Record::new(
            "acme".parse().unwrap(),
            Object::Task,
            "t-1".parse().unwrap(),
            at(0),
        );
        record.zoho_id = zoho_id.map(|id| id.parse().unwrap());
        if let Some(base) = base {
            record.base.insert(field("subject"), text(base));
        }
        record.fields.insert(field("subject"), text("ours"));
        record
            .pending
            .insert(field("subject"), Pending::new(text("ours"), at(5)));
        record.parked = Some(Parked {
            code: "INVALID_DATA".into(),
            field: Some("Subject".into()),
            remedy: "shorten it".into(),
            at: at(6),
            attempt: Digest::of(b"ours"),
        });
        record
    }

    #[test]
    fn a_retry_sends_the_edits_on_their_way_again() {
        let before = parked(Some("1"), Some("theirs"));
        assert!(!before.wants_push());
        let after = retried(&before, at(9)).unwrap();
        assert!(after.wants_push());
        assert_eq!(after.pending, before.pending);
        assert_eq!(after.fields, before.fields);
        assert_eq!(retried(&after, at(10)), None, "nothing is parked any more");
    }

    #[test]
    fn a_dismissal_shows_zohos_value_and_keeps_ours_in_the_log() {
        let after = dismissed(&parked(Some("1"), Some("theirs")), at(9)).unwrap();
        assert_eq!(after.fields[&field("subject")], text("theirs"));
        assert!(after.pending.is_empty() && after.parked.is_none());
        assert_eq!(
            after.sources[&field("subject")].overruled,
            Some(text("ours"))
        );
        let retention = Retention {
            days: 30,
            values: true,
        };
        let line = Entry::of_change(&after, retention).unwrap();
        assert_eq!(line.action, "dismissed");
        assert_eq!(line.fields[0].before, text("ours"));
        assert_eq!(line.fields[0].after, text("theirs"));
    }

    #[test]
    fn a_field_that_zoho_never_had_is_empty_again() {
        let after = dismissed(&parked(Some("1"), None), at(9)).unwrap();
        assert_eq!(after.fields[&field("subject")], Value::Null);
    }

    #[test]
    fn a_record_that_only_the_platform_knows_keeps_its_values() {
        let after = dismissed(&parked(None, None), at(9)).unwrap();
        assert_eq!(after.fields[&field("subject")], text("ours"));
        assert!(after.pending.is_empty());
        assert!(after.sources.is_empty());
    }
}
