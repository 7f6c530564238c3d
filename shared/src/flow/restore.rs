//! Bringing removed records back by hand, within the time in which they are kept (R1).

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::identifier::{ConnectionId, PlatformId};
use crate::journal::{Entry, Retention};
use crate::object::Object;
use crate::port::{self, Ports};
use crate::record::{Action, Change, Record, RemovalReason};

use super::Error;
use super::calculate::Desk;
use super::job::{late_line, retention};

/// How often a record that somebody else wrote meanwhile is read again.
const ATTEMPTS: usize = 5;

/// Restores a removed record, and with an account what was removed because the account was. It stays on the platform from then on, whether
/// or not its Zoho record is in scope: a full sync removes what it finds linked, and a removed record's link stays that of a removed one
/// until its row is in scope again.
///
/// # Errors
/// [`Error::NotFound`] when there is no such connection or record (any more), [`Error::Invalid`] when it is not removed, or when a port
/// fails; asking again then does the rest.
pub async fn restore(
    ports: &Ports,
    connection: &ConnectionId,
    object: Object,
    id: &PlatformId,
) -> Result<Vec<Record>, Error> {
    let (desk, settings) = Desk::by_hand(ports, connection).await?;
    let record = read(ports, connection, object, id).await?;
    let record = record.ok_or_else(|| Error::NotFound {
        what: format!("{object} {id}"),
    })?;
    let belonging = match object {
        Object::Account => ports.store.records_of_account(connection, id).await?,
        _ => Vec::new(),
    };
    let kept = retention(&settings);
    // Whoever asked before may have been cut off between the records and their lines.
    let mut lines = late_lines(ports, &record, &belonging, kept).await?;
    let Some(removed) = record.removed.clone() else {
        if !lines.is_empty() {
            desk.note([&record]).await?;
            desk.send(None).await;
            ports.store.write(&lines).await?;
        }
        return Err(Error::Invalid(format!("{object} {id} is not removed")));
    };
    let mut restored = Vec::new();
    // What belongs to it first: cut off in between, the account is still removed, and asking again goes on.
    for (object, id) in belonging {
        let with_it = |record: &Record| {
            let own = record.removed.as_ref();
            own.is_some_and(|own| own.run == removed.run && own.reason == RemovalReason::ParentLeft)
        };
        restored.extend(bring_back(ports, connection, object, &id, kept, with_it).await?);
    }
    // Cut off after it is back, nobody marks what follows from it.
    let back = brought_back(record, ports.clock.now());
    desk.note([&back]).await?;
    restored.extend(bring_back(ports, connection, object, id, kept, |_| true).await?);
    desk.note(&restored).await?;
    desk.send(None).await;
    let told = restored.iter();
    lines.extend(told.filter_map(|record| Entry::of_change(record, kept)));
    ports.store.write(&lines).await?;
    Ok(restored)
}

/// The lines about what was brought back lately: of a record, and of those that belong to it.
async fn late_lines(
    ports: &Ports,
    record: &Record,
    belonging: &[(Object, PlatformId)],
    retention: Retention,
) -> Result<Vec<Entry>, Error> {
    let mut ids: BTreeMap<Object, Vec<PlatformId>> = BTreeMap::new();
    for (object, id) in belonging {
        ids.entry(*object).or_default().push(id.clone());
    }
    let mut records = vec![record.clone()];
    for (object, ids) in &ids {
        let found = ports.store.records(&record.connection, *object, ids);
        records.extend(found.await?);
    }
    let back = records.iter().filter(|record| {
        let change = record.change.as_ref();
        change.is_some_and(|change| change.action == Action::Restored)
    });
    let now = ports.clock.now();
    Ok(back
        .filter_map(|record| late_line(record, retention, now))
        .collect())
}

/// Brings a removed record back if `applies` says so. The line of its removal comes first: whoever removed it may have been cut off before that.
///
/// # Errors
/// When a port fails.
pub(super) async fn bring_back(
    ports: &Ports,
    connection: &ConnectionId,
    object: Object,
    id: &PlatformId,
    kept: Retention,
    applies: impl Fn(&Record) -> bool,
) -> Result<Option<Record>, Error> {
    for _ in 0..ATTEMPTS {
        let Some(record) = read(ports, connection, object, id)
            .await?
            .filter(|record| record.removed.is_some() && applies(record))
        else {
            return Ok(None);
        };
        let now = ports.clock.now();
        let line = late_line(&record, kept, now);
        ports.store.write(line.as_slice()).await?;
        let restored = brought_back(record, now);
        match ports.store.save_record(restored).await {
            Ok(saved) => return Ok(Some(saved)),
            Err(port::Error::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(port::Error::conflict(format!("{object} {id}")).into())
}

fn brought_back(record: Record, now: Timestamp) -> Record {
    Record {
        removed: None,
        change: Some(Change {
            action: Action::Restored,
            run: None,
            fields: Vec::new(),
        }),
        updated_at: now,
        ..record
    }
}

async fn read(
    ports: &Ports,
    connection: &ConnectionId,
    object: Object,
    id: &PlatformId,
) -> Result<Option<Record>, Error> {
    let found = ports
        .store
        .records(connection, object, std::slice::from_ref(id))
        .await?;
    Ok(found.into_iter().next())
}
