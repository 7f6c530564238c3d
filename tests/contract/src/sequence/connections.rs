//! Connections and their settings, naively.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tandem::connection::{Connection, Status};
use tandem::identifier::ConnectionId;
use tandem::port::{Due, SettingsVersion};
use tandem::settings::Settings;
use tandem::spread::Shard;

use super::{Basis, Subject, Who, agree, basis, granted, limit, put, who};
use crate::setting::walk;

#[derive(Debug, Clone)]
pub(super) enum Step {
    Save {
        who: Who,
        basis: Basis,
        enabled: bool,
        due: Option<i64>,
    },
    Read {
        who: Who,
    },
    Due {
        routine: bool,
        until: i64,
    },
    SaveSettings {
        who: Who,
        basis: Basis,
        night: i8,
    },
    Settings {
        who: Who,
        limit: usize,
    },
}

pub(super) fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (who(), basis(), any::<bool>(), proptest::option::of(-9..9_i64))
            .prop_map(|(who, basis, enabled, due)| Step::Save { who, basis, enabled, due }),
        1 => who().prop_map(|who| Step::Read { who }),
        2 => (any::<bool>(), -9..9_i64).prop_map(|(routine, until)| Step::Due { routine, until }),
        2 => (who(), basis(), 0..24_i8)
            .prop_map(|(who, basis, night)| Step::SaveSettings { who, basis, night }),
        1 => (who(), limit()).prop_map(|(who, limit)| Step::Settings { who, limit }),
    ]
}

#[derive(Default)]
pub(super) struct Model {
    connections: Vec<Connection>,
    settings: Vec<(ConnectionId, SettingsVersion)>,
}

impl Model {
    pub(super) async fn step(&mut self, subject: &Subject<'_>, step: &Step) {
        match *step {
            Step::Save {
                who,
                basis,
                enabled,
                due,
            } => {
                let due_at = due.map(|second| subject.at.after(second));
                let connection = Connection {
                    status: if enabled {
                        Status::Enabled
                    } else {
                        Status::Paused
                    },
                    routine_due_at: due_at.filter(|_| subject.time % 3 > 0),
                    full_due_at: due_at.filter(|_| subject.time % 3 < 2),
                    ..Connection::new(
                        subject.ids[who].clone(),
                        format!("{}", subject.time),
                        subject.at.now,
                    )
                };
                self.save(subject, connection, basis).await;
            }
            Step::Read { who } => {
                let found = subject.port().connection(&subject.ids[who]).await.unwrap();
                assert_eq!(found.as_ref(), self.stored(&subject.ids[who]));
            }
            Step::Due { routine, until } => self.due(subject, routine, until).await,
            Step::SaveSettings { who, basis, night } => {
                self.save_settings(subject, &subject.ids[who], basis, night)
                    .await;
            }
            Step::Settings { who, limit } => {
                self.read_settings(subject, &subject.ids[who], limit).await
            }
        }
    }

    /// Leaves no connection behind that is due.
    pub(super) async fn switch_off(&mut self, subject: &Subject<'_>) {
        for connection in self.connections.clone() {
            let off = Connection {
                status: Status::Disconnected,
                ..connection
            };
            self.save(subject, off, Basis::Stored).await;
        }
    }

    fn stored(&self, id: &ConnectionId) -> Option<&Connection> {
        self.connections
            .iter()
            .find(|connection| connection.id == *id)
    }

    async fn save(&mut self, subject: &Subject<'_>, connection: Connection, basis: Basis) {
        let stored = self.stored(&connection.id).map(|stored| stored.version);
        let version = basis.version(stored);
        let connection = Connection {
            version,
            ..connection
        };
        let expected = granted(stored, version).map(|version| Connection {
            version,
            ..connection.clone()
        });
        agree(
            subject.port().save_connection(connection).await,
            expected.clone(),
        );
        if let Some(saved) = expected {
            put(&mut self.connections, saved, |left, right| {
                left.id == right.id
            });
        }
    }

    async fn due(&self, subject: &Subject<'_>, routine: bool, until: i64) {
        let due = if routine { Due::Routine } else { Due::Full };
        let until = subject.at.after(until);
        let is_due = |connection: &&Connection| {
            connection.status == Status::Enabled && due.of(connection).is_some_and(|at| at <= until)
        };
        let mut expected: Vec<Connection> =
            self.connections.iter().filter(is_due).cloned().collect();
        // Which of two that are due at the same instant comes first is open.
        let order = |connection: &Connection| (due.of(connection), connection.id.clone());
        expected.sort_by_key(order);
        let shards: BTreeSet<Shard> = subject.ids.iter().map(Shard::of).collect();
        let look = async || {
            let mut all = Vec::new();
            for shard in &shards {
                let shown = subject.port().due(due, *shard, until, 1_000).await.unwrap();
                let mut found: Vec<Connection> = shown.into_iter().flatten().collect();
                found.retain(|connection| subject.ids.contains(&connection.id));
                assert!(found.is_sorted_by_key(|connection| due.of(connection)));
                all.extend(found);
            }
            all.sort_by_key(order);
            all
        };
        subject.at.eventually(look, expected).await;
    }

    fn versions(&self, id: &ConnectionId) -> Vec<SettingsVersion> {
        let mine = self.settings.iter().filter(|(of, _)| of == id);
        mine.map(|(_, settings)| settings.clone()).collect()
    }

    async fn save_settings(
        &mut self,
        subject: &Subject<'_>,
        id: &ConnectionId,
        basis: Basis,
        night: i8,
    ) {
        let current = self.versions(id).last().map(|current| current.version);
        let over = basis.version(current);
        let settings = Settings {
            night_hour: night,
            ..Settings::default()
        };
        let now = subject.at.after(subject.time);
        let expected = granted(current, over).map(|version| SettingsVersion {
            version,
            settings: settings.clone(),
            saved_at: now,
        });
        let answer = subject.port().save_settings(id, over, &settings, now).await;
        agree(answer, expected.clone());
        self.settings
            .extend(expected.map(|saved| (id.clone(), saved)));
    }

    async fn read_settings(&self, subject: &Subject<'_>, id: &ConnectionId, limit: usize) {
        let mut versions = self.versions(id);
        versions.reverse();
        let current = subject.port().settings(id).await.unwrap();
        match versions.first() {
            Some(newest) => assert_eq!(current, *newest),
            None => assert_eq!(
                (current.version, current.settings),
                (0, Settings::default())
            ),
        }
        let page = async |next| subject.port().settings_history(id, next, limit).await;
        subject
            .at
            .eventually(async || walk(limit, page).await, versions)
            .await;
    }
}
