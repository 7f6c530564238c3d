//! Connections and their settings.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use tandem::connection::{Connection, Status};
use tandem::identifier::ConnectionId;
use tandem::port::{Connections, Due, Error, Page, SettingsVersion};
use tandem::settings::Settings;

use super::erasure::Allowance;
use super::index::Index;
use super::page::Question;
use super::{MemoryStore, next_version};

type DueKey = ((), (Timestamp, ConnectionId));

#[derive(Debug, Default)]
pub(super) struct Table {
    connections: BTreeMap<ConnectionId, Connection>,
    settings: BTreeMap<ConnectionId, Vec<SettingsVersion>>,
    by_routine_due: Index<(), (Timestamp, ConnectionId), Connection>,
    by_full_due: Index<(), (Timestamp, ConnectionId), Connection>,
}

impl Table {
    pub(super) fn lag(&mut self, changes: usize) {
        self.by_routine_due.lag(changes);
        self.by_full_due.lag(changes);
    }

    pub(super) fn settle(&mut self) {
        self.by_routine_due.settle();
        self.by_full_due.settle();
    }

    /// Deletes settings; the connection itself stays.
    pub(super) fn erase(&mut self, connection: &ConnectionId, allowance: &mut Allowance) {
        let Self {
            connections: _,
            settings,
            by_routine_due: _,
            by_full_due: _,
        } = self;
        if let Some(versions) = settings.get_mut(connection) {
            versions.retain(|_| !allowance.take());
        }
        settings.retain(|_, versions| !versions.is_empty());
    }

    fn save(&mut self, connection: Connection) -> Result<Connection, Error> {
        let stored = self.connections.get(&connection.id);
        let what = || format!("connection {}", connection.id);
        let version = next_version(
            what,
            stored.map(|stored| stored.version),
            connection.version,
        )?;
        let saved = Connection {
            version,
            ..connection
        };
        for (due, index) in [
            (Due::Routine, &mut self.by_routine_due),
            (Due::Full, &mut self.by_full_due),
        ] {
            let out = stored.and_then(|stored| due_key(stored, due));
            index.change(out, due_key(&saved, due).map(|key| (key, saved.clone())));
        }
        self.connections.insert(saved.id.clone(), saved.clone());
        Ok(saved)
    }
}

fn due_key(connection: &Connection, due: Due) -> Option<DueKey> {
    let at = match due {
        Due::Routine => connection.routine_due_at,
        Due::Full => connection.full_due_at,
    };
    at.filter(|_| connection.status == Status::Enabled)
        .map(|at| ((), (at, connection.id.clone())))
}

#[async_trait]
impl Connections for MemoryStore {
    async fn connection(&self, id: &ConnectionId) -> Result<Option<Connection>, Error> {
        Ok(self.tables().connections.connections.get(id).cloned())
    }

    async fn save_connection(&self, connection: Connection) -> Result<Connection, Error> {
        let mut tables = self.tables();
        let saved = tables.connections.save(connection)?;
        tables.writes.connections += 1;
        Ok(saved)
    }

    async fn connections(
        &self,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Connection>, Error> {
        let question = Question::of(&"connections");
        let after = question.position(next.as_deref())?;
        let tables = self.tables();
        let left = tables
            .connections
            .connections
            .values()
            .filter(|connection| {
                after
                    .as_deref()
                    .is_none_or(|after| connection.id.as_str() > after)
            })
            .cloned();
        Ok(question.page(left, limit, |connection| connection.id.to_string()))
    }

    async fn due(&self, due: Due, now: Timestamp, limit: usize) -> Result<Vec<Connection>, Error> {
        let tables = self.tables();
        let index = match due {
            Due::Routine => &tables.connections.by_routine_due,
            Due::Full => &tables.connections.by_full_due,
        };
        Ok(index
            .partition(&())
            .take_while(|((at, _), _)| *at <= now)
            .take(limit)
            .map(|(_, connection)| connection.clone())
            .collect())
    }

    async fn settings(&self, id: &ConnectionId) -> Result<SettingsVersion, Error> {
        let tables = self.tables();
        let versions = tables.connections.settings.get(id);
        let current = versions.and_then(|versions| versions.last()).cloned();
        Ok(current.unwrap_or_else(|| SettingsVersion {
            version: 0,
            settings: Settings::default(),
            saved_at: Timestamp::UNIX_EPOCH,
        }))
    }

    async fn save_settings(
        &self,
        id: &ConnectionId,
        over: u64,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<SettingsVersion, Error> {
        let mut tables = self.tables();
        let versions = tables.connections.settings.entry(id.clone()).or_default();
        let what = || format!("the settings of connection {id}");
        let current = versions.last().map(|current| current.version);
        let saved = SettingsVersion {
            version: next_version(what, current, over)?,
            settings: settings.clone(),
            saved_at: now,
        };
        versions.push(saved.clone());
        tables.writes.settings += 1;
        Ok(saved)
    }

    async fn settings_history(
        &self,
        id: &ConnectionId,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<SettingsVersion>, Error> {
        let question = Question::of(&("settings", id));
        let before: Option<u64> = question
            .position(next.as_deref())?
            .and_then(|version| version.parse().ok());
        let tables = self.tables();
        let left = tables
            .connections
            .settings
            .get(id)
            .into_iter()
            .flatten()
            .rev()
            .filter(|saved| before.is_none_or(|before| saved.version < before))
            .cloned();
        Ok(question.page(left, limit, |saved| saved.version.to_string()))
    }
}
