//! Bringing removed records back by hand, within the time in which they are kept (R1).

use crate::identifier::{ConnectionId, PlatformId};
use crate::journal::Entry;
use crate::object::Object;
use crate::port::{self, Ports};
use crate::record::{Action, Change, Record, RemovalReason};

use super::Error;
use super::calculate::Desk;
use super::job::retention;

/// How often a record that somebody else wrote meanwhile is read again.
const ATTEMPTS: usize = 5;

/// Restores a removed record, and with an account what was removed because the account was. It stays on the platform from then on, whether
/// or not its Zoho record is in scope: a full sync removes what it finds linked, and a removed record's link stays that of a removed one
/// until its row is in scope again.
///
/// # Errors
/// [`Error::NotFound`] when there is no such record (any more), [`Error::Invalid`] when it is not removed, or when a port fails; asking
/// again then restores the rest.
pub async fn restore(
    ports: &Ports,
    connection: &ConnectionId,
    object: Object,
    id: &PlatformId,
) -> Result<Vec<Record>, Error> {
    let record = read(ports, connection, object, id).await?;
    let Some(removed) = record.as_ref().and_then(|record| record.removed.clone()) else {
        return Err(match record {
            Some(_) => Error::Invalid(format!("{object} {id} is not removed")),
            None => Error::NotFound {
                what: format!("{object} {id}"),
            },
        });
    };
    let mut restored = Vec::new();
    // What belongs to it first: cut off in between, the account is still removed, and asking again goes on.
    if object == Object::Account {
        for (object, id) in ports.store.records_of_account(connection, id).await? {
            let with_it = |record: &Record| {
                let own = record.removed.as_ref();
                own.is_some_and(|own| {
                    own.run == removed.run && own.reason == RemovalReason::ParentLeft
                })
            };
            restored.extend(bring_back(ports, connection, object, &id, with_it).await?);
        }
    }
    restored.extend(bring_back(ports, connection, object, id, |_| true).await?);
    let settings = ports.store.settings(connection).await?;
    if let Some(known) = ports.store.connection(connection).await? {
        let desk = Desk::new(ports, &known, &settings.settings);
        desk.note(&restored).await?;
        desk.send(None).await;
    }
    let lines: Vec<Entry> = restored
        .iter()
        .filter_map(|record| Entry::of_change(record, retention(&settings)))
        .collect();
    ports.store.write(&lines).await?;
    Ok(restored)
}

/// Brings a removed record back if `applies` says so.
///
/// # Errors
/// When a port fails.
pub(super) async fn bring_back(
    ports: &Ports,
    connection: &ConnectionId,
    object: Object,
    id: &PlatformId,
    applies: impl Fn(&Record) -> bool,
) -> Result<Option<Record>, Error> {
    for _ in 0..ATTEMPTS {
        let Some(record) = read(ports, connection, object, id)
            .await?
            .filter(|record| record.removed.is_some() && applies(record))
        else {
            return Ok(None);
        };
        let restored = Record {
            removed: None,
            change: Some(Change {
                action: Action::Restored,
                run: None,
                fields: Vec::new(),
            }),
            updated_at: ports.clock.now(),
            ..record
        };
        match ports.store.save_record(restored).await {
            Ok(saved) => return Ok(Some(saved)),
            Err(port::Error::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(port::Error::conflict(format!("{object} {id}")).into())
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
