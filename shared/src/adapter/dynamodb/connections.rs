//! Connections and their settings, in the state table.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::DynamoStore;
use super::item::{Item, corrupt, from_item, number, text_of, to_item};
use super::names;
use super::query::Query;
use super::write::Guard;
use crate::connection::{Connection, Organisation, Status};
use crate::identifier::ConnectionId;
use crate::port::{Connections, Due, Error, Page, SettingsVersion};
use crate::settings::Settings;
use crate::spread::Shard;

/// A connection. `enabled` (its shard), `routine_due_at` and `full_due_at` are the keys of the sparse indexes and exist only while it is enabled.
#[derive(Debug, Serialize, Deserialize)]
struct StoredConnection {
    pk: String,
    sk: ConnectionId,
    enabled: Option<String>,
    routine_due_at: Option<i64>,
    full_due_at: Option<i64>,
    name: String,
    status: Status,
    reason: Option<String>,
    organisation: Option<Organisation>,
    created_at: Timestamp,
    routine_due: Option<Timestamp>,
    full_due: Option<Timestamp>,
    paused_until: Option<Timestamp>,
    version: u64,
}

impl From<Connection> for StoredConnection {
    fn from(connection: Connection) -> Self {
        let Connection {
            id,
            name,
            status,
            reason,
            organisation,
            created_at,
            routine_due_at,
            full_due_at,
            paused_until,
            version,
        } = connection;
        let enabled = status == Status::Enabled;
        let shard = Shard::of(&id);
        let indexed = |due: Option<Timestamp>| due.filter(|_| enabled).map(Timestamp::as_second);
        Self {
            pk: names::CONNECTIONS.to_owned(),
            sk: id,
            enabled: enabled.then(|| part(shard)),
            routine_due_at: indexed(routine_due_at),
            full_due_at: indexed(full_due_at),
            name,
            status,
            reason,
            organisation,
            created_at,
            routine_due: routine_due_at,
            full_due: full_due_at,
            paused_until,
            version,
        }
    }
}

impl From<StoredConnection> for Connection {
    fn from(stored: StoredConnection) -> Self {
        let StoredConnection {
            pk: _,
            sk,
            enabled: _,
            routine_due_at: _,
            full_due_at: _,
            name,
            status,
            reason,
            organisation,
            created_at,
            routine_due,
            full_due,
            paused_until,
            version,
        } = stored;
        Self {
            id: sk,
            name,
            status,
            reason,
            organisation,
            created_at,
            routine_due_at: routine_due,
            full_due_at: full_due,
            paused_until,
            version,
        }
    }
}

/// One version of a connection's settings; the settings are one JSON document, as the API shows it.
#[derive(Debug, Serialize, Deserialize)]
struct StoredSettings {
    pk: String,
    sk: String,
    version: u64,
    settings: String,
    saved_at: Timestamp,
}

/// A shard's partition of the indexes of due dates.
fn part(shard: Shard) -> String {
    format!("{:02}", shard.number())
}

/// What an index shows, less what is not due yet: it counts whole seconds.
fn due_among(items: Vec<Item>, due: Due, until: Timestamp) -> Vec<Result<Connection, Error>> {
    let mut found: Vec<_> = items.into_iter().map(connection_of).collect();
    found.retain(|read| {
        let known = read.as_ref().ok();
        known.is_none_or(|connection| due.of(connection).is_some_and(|at| at <= until))
    });
    // What can't be read comes first; nothing else is known of it.
    found.sort_by_key(|read| read.as_ref().ok().and_then(|connection| due.of(connection)));
    found
}

pub(super) fn connection_of(item: Item) -> Result<Connection, Error> {
    let what = format!("connection {}", text_of(&item, "sk"));
    from_item::<StoredConnection>(&what, item).map(Connection::from)
}

pub(super) fn settings_of(item: Item) -> Result<SettingsVersion, Error> {
    let what = format!("{} of {}", text_of(&item, "sk"), text_of(&item, "pk"));
    let StoredSettings {
        pk: _,
        sk: _,
        version,
        settings,
        saved_at,
    } = from_item(&what, item)?;
    Ok(SettingsVersion {
        version,
        settings: serde_json::from_str(&settings).map_err(|source| corrupt(&what, source))?,
        saved_at,
    })
}

impl DynamoStore {
    fn settings_query(&self, id: &ConnectionId) -> Query<'_> {
        Query::table(&self.tables.state, names::of_connection(id))
            .beginning_with("settings#")
            .descending()
    }
}

#[async_trait]
impl Connections for DynamoStore {
    async fn connection(&self, id: &ConnectionId) -> Result<Option<Connection>, Error> {
        let sk = id.to_string();
        let item = self
            .get(&self.tables.state, names::CONNECTIONS.to_owned(), sk)
            .await?;
        item.map(connection_of).transpose()
    }

    async fn save_connection(&self, mut connection: Connection) -> Result<Connection, Error> {
        let guard = Guard::read_at(connection.version);
        connection.version += 1;
        let item = to_item(&StoredConnection::from(connection.clone()))?;
        if self.put(&self.tables.state, item, guard).await? {
            Ok(connection)
        } else {
            Err(Error::conflict(format!("connection {}", connection.id)))
        }
    }

    async fn connections(
        &self,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Connection>, Error> {
        let query = Query::table(&self.tables.state, names::CONNECTIONS.to_owned());
        let page = self.page(&query, next.as_deref(), limit).await?;
        page.read(connection_of)
    }

    async fn due(
        &self,
        due: Due,
        shard: Shard,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Result<Connection, Error>>, Error> {
        let (index, sort) = match due {
            Due::Routine => ("by-routine-due", "routine_due_at"),
            Due::Full => ("by-full-due", "full_due_at"),
        };
        let last: AttributeValue = number(until.as_second());
        let query = Query::index(&self.tables.state, index, ("enabled", part(shard)), sort)
            .between(None, Some(last));
        let (items, _) = self.first(&query, limit).await?;
        Ok(due_among(items, due, until))
    }

    async fn settings(&self, id: &ConnectionId) -> Result<SettingsVersion, Error> {
        let (items, _) = self.first(&self.settings_query(id), 1).await?;
        match items.into_iter().next() {
            Some(item) => settings_of(item),
            None => Ok(SettingsVersion {
                version: 0,
                settings: Settings::default(),
                saved_at: Timestamp::UNIX_EPOCH,
            }),
        }
    }

    async fn save_settings(
        &self,
        id: &ConnectionId,
        over: u64,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<SettingsVersion, Error> {
        let conflict = || Error::conflict(format!("the settings of connection {id}"));
        let table = &self.tables.state;
        let pk = names::of_connection(id);
        // Versions are never taken back, so the one that was read as current is still there if it was ever there.
        if over > 0
            && self
                .get(table, pk.clone(), names::settings(over))
                .await?
                .is_none()
        {
            return Err(conflict());
        }
        let version = over + 1;
        let stored = StoredSettings {
            pk,
            sk: names::settings(version),
            version,
            settings: serde_json::to_string(settings)
                .map_err(|source| corrupt("the settings", source))?,
            saved_at: now,
        };
        if self.put(table, to_item(&stored)?, Guard::absent()).await? {
            Ok(SettingsVersion {
                version,
                settings: settings.clone(),
                saved_at: now,
            })
        } else {
            Err(conflict())
        }
    }

    async fn settings_history(
        &self,
        id: &ConnectionId,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<SettingsVersion>, Error> {
        let page = self
            .page(&self.settings_query(id), next.as_deref(), limit)
            .await?;
        page.read(settings_of)
    }
}

#[cfg(test)]
mod tests {
    use super::super::item::text;
    use super::*;
    use crate::data_centre::{DataCentre, Directory};

    fn connection(status: Status) -> Connection {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        Connection {
            id: "acme".parse().unwrap(),
            name: "Acme Ltd".into(),
            status,
            reason: Some("why".into()),
            organisation: Some(Organisation {
                id: "42".into(),
                name: "Acme".into(),
                time_zone: "Europe/Berlin".into(),
                data_centre: DataCentre::Eu,
                api_domain: Directory::zoho()
                    .api_domain(DataCentre::Eu, "https://www.zohoapis.eu")
                    .unwrap(),
                edition: "enterprise".into(),
                daily_credits: 50_000,
            }),
            created_at: at("2026-11-23T10:00:00.123456789Z"),
            routine_due_at: Some(at("2026-11-23T10:15:00.5Z")),
            full_due_at: Some(at("2026-11-24T01:00:00Z")),
            paused_until: Some(at("2026-11-23T10:05:00Z")),
            version: 7,
        }
    }

    #[test]
    fn a_connection_comes_back_as_it_was() {
        for status in [
            Status::New,
            Status::Paused,
            Status::Enabled,
            Status::NeedsReconnect,
            Status::Disconnected,
        ] {
            let connection = connection(status);
            let item = to_item(&StoredConnection::from(connection.clone())).unwrap();
            assert_eq!(connection_of(item).unwrap(), connection);
        }
        let bare = Connection::new("a".parse().unwrap(), String::new(), Timestamp::UNIX_EPOCH);
        let item = to_item(&StoredConnection::from(bare.clone())).unwrap();
        assert_eq!(connection_of(item).unwrap(), bare);
    }

    #[test]
    fn only_an_enabled_connection_is_in_the_indexes() {
        let item = |status| to_item(&StoredConnection::from(connection(status))).unwrap();
        let keys = ["enabled", "routine_due_at", "full_due_at"];
        let enabled = item(Status::Enabled);
        assert!(keys.iter().all(|key| enabled.contains_key(*key)));
        assert_eq!(enabled["routine_due_at"], number(1_795_428_900));
        assert_eq!(text_of(&enabled, "enabled"), "07");
        let paused = item(Status::Paused);
        assert!(!keys.iter().any(|key| paused.contains_key(*key)));
    }
    #[test]
    fn one_that_cannot_be_read_keeps_none_back() {
        let readable = connection(Status::Enabled);
        let item = to_item(&StoredConnection::from(readable.clone())).unwrap();
        let mut broken = item.clone();
        broken.insert("status".into(), text("half-way"));
        let until = readable.routine_due_at.unwrap();
        let found = due_among(vec![broken, item.clone()], Due::Routine, until);
        assert!(
            matches!(&found[0], Err(Error::Corrupt { what, .. }) if what == "connection acme"),
            "{found:?}"
        );
        assert_eq!(found[1].as_ref().unwrap(), &readable);
        let sooner = until - jiff::SignedDuration::from_millis(1);
        assert!(due_among(vec![item], Due::Routine, sooner).is_empty());
    }
}
