//! Connections and their settings.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tandem::connection::{Connection, Organisation, Status};
use tandem::data_centre::{DataCentre, Directory};
use tandem::identifier::ConnectionId;
use tandem::object::Object;
use tandem::port::{Due, Store};
use tandem::settings::{ObjectSettings, Settings};
use tandem::spread::Shard;

use crate::samples::{enabled, field};
use crate::setting::{CONTENDERS, Setting, assert_conflict, assert_refused, one_wins, walk};

type Stores = Setting<dyn Store>;

fn named(id: &ConnectionId, name: String, now: Timestamp) -> Connection {
    Connection::new(id.clone(), name, now)
}

pub(crate) async fn a_connection_comes_back_as_it_was_stored(at: &Stores) {
    let id = at.connection();
    assert_eq!(at.port.connection(&id).await.unwrap(), None);
    let full = Connection {
        status: Status::NeedsReconnect,
        reason: Some("the grant was revoked: \u{1F6AB} ask the customer".into()),
        organisation: Some(Organisation {
            id: "10045678".into(),
            name: "Æçmé 株式会社".into(),
            time_zone: "Asia/Kolkata".into(),
            data_centre: DataCentre::In,
            api_domain: Directory::zoho()
                .api_domain(DataCentre::In, "https://www.zohoapis.in")
                .unwrap(),
            edition: "enterprise".into(),
            daily_credits: u64::from(u32::MAX),
        }),
        routine_due_at: Some(at.after(1)),
        full_due_at: Some(at.after(2)),
        paused_until: Some(at.after(3)),
        ..named(&id, "Acme".into(), at.now)
    };
    let saved = at.port.save_connection(full.clone()).await.unwrap();
    assert_eq!(saved, Connection { version: 1, ..full });
    assert_eq!(at.port.connection(&id).await.unwrap(), Some(saved.clone()));

    let bare = Connection {
        version: 1,
        ..named(&id, String::new(), at.now)
    };
    let saved = at.port.save_connection(bare).await.unwrap();
    assert_eq!(saved.version, 2);
    assert_eq!(at.port.connection(&id).await.unwrap(), Some(saved));
}

pub(crate) async fn a_connection_is_created_once(at: &Stores) {
    let id = at.connection();
    let create = |number| {
        at.port
            .save_connection(named(&id, format!("{number}"), at.now))
    };
    let won = one_wins((0..CONTENDERS).map(create)).await;
    assert_eq!(won.version, 1);
    assert_conflict(&create(99).await);
    assert_eq!(at.port.connection(&id).await.unwrap(), Some(won));
}

pub(crate) async fn a_stale_connection_is_refused(at: &Stores) {
    let id = at.connection();
    let never = Connection {
        version: 3,
        ..named(&id, "never stored".into(), at.now)
    };
    assert_conflict(&at.port.save_connection(never).await);
    assert_eq!(at.port.connection(&id).await.unwrap(), None);

    let first = at
        .port
        .save_connection(named(&id, "1".into(), at.now))
        .await
        .unwrap();
    let renamed = |number: u64| Connection {
        name: format!("{number}"),
        ..first.clone()
    };
    let save = |number| at.port.save_connection(renamed(number));
    let won = one_wins((0..CONTENDERS).map(save)).await;
    assert_eq!(won.version, 2);
    let ahead = Connection {
        version: 3,
        ..first.clone()
    };
    assert_conflict(&at.port.save_connection(ahead).await);
    assert_eq!(at.port.connection(&id).await.unwrap(), Some(won));
}

pub(crate) async fn every_connection_is_listed_once_and_by_id(at: &Stores) {
    let mut ids: Vec<ConnectionId> = Vec::new();
    for _ in 0..4 {
        ids.extend(at.look_alikes());
    }
    ids.sort();
    for id in ids.iter().rev() {
        at.port
            .save_connection(named(id, id.to_string(), at.now))
            .await
            .unwrap();
    }
    for limit in [1, 7, 100] {
        let listed = async || {
            let page = async |next| at.port.connections(next, limit).await;
            let all = walk(limit, page)
                .await
                .into_iter()
                .map(|connection| connection.id);
            let all: Vec<ConnectionId> = all.collect();
            assert!(all.is_sorted(), "not in the order of their ids");
            all.into_iter().filter(|id| ids.contains(id)).collect()
        };
        at.eventually(listed, ids.clone()).await;
    }
}

async fn due_of(
    at: &Stores,
    due: Due,
    now: Timestamp,
    among: &[ConnectionId],
) -> Vec<ConnectionId> {
    let mut found = Vec::new();
    let shards: BTreeSet<Shard> = among.iter().map(Shard::of).collect();
    for shard in shards {
        let shown = at.port.due(due, shard, now, 1_000).await.unwrap();
        // What other tests leave behind may be due as well.
        let ids = shown.into_iter().flatten().map(|connection| connection.id);
        found.extend(ids.filter(|id| among.contains(id)));
    }
    found
}

/// The id of a connection in that shard.
fn in_shard(at: &Stores, shard: Shard) -> ConnectionId {
    std::iter::repeat_with(|| at.connection())
        .find(|id| Shard::of(id) == shard)
        .unwrap()
}

pub(crate) async fn the_longest_due_come_first_and_only_enabled_ones(at: &Stores) {
    let statuses = [
        (Status::Enabled, -10),
        (Status::Enabled, -30),
        (Status::Enabled, 0),
        (Status::Enabled, 1),
        (Status::Enabled, -20),
        (Status::New, -40),
        (Status::Paused, -40),
        (Status::NeedsReconnect, -40),
        (Status::Disconnected, -40),
    ];
    let shard = Shard::of(&at.connection());
    let ids = statuses.map(|_| in_shard(at, shard));
    let far = at.after(100_000);
    for (due, other) in [(Due::Routine, Due::Full), (Due::Full, Due::Routine)] {
        let mut saved = Vec::new();
        for (id, (status, seconds)) in ids.iter().zip(statuses) {
            let stored = at.port.connection(id).await.unwrap();
            let (this, that) = (Some(at.after(seconds)), Some(far));
            let connection = Connection {
                status,
                routine_due_at: if due == Due::Routine { this } else { that },
                full_due_at: if due == Due::Full { this } else { that },
                ..stored.unwrap_or_else(|| named(id, "due".into(), at.now))
            };
            saved.push(at.port.save_connection(connection).await.unwrap());
        }
        let expected = [1, 4, 0, 2].map(|place: usize| ids[place].clone()).to_vec();
        let look = async || due_of(at, due, at.now, &ids).await;
        at.eventually(look, expected).await;
        at.eventually(async || due_of(at, other, at.now, &ids).await, Vec::new())
            .await;
        let longest = at.port.due(due, shard, at.now, 2).await.unwrap();
        assert_eq!(longest.len(), 2, "there are four at least");
        for other in Shard::all().filter(|other| *other != shard) {
            let shown = at.port.due(due, other, at.now, 1_000).await.unwrap();
            let mut shown = shown.into_iter().flatten();
            assert!(!shown.any(|connection| ids.contains(&connection.id)));
        }

        let moved = Connection {
            routine_due_at: None,
            full_due_at: None,
            ..saved.remove(1)
        };
        at.port.save_connection(moved).await.unwrap();
        let paused = Connection {
            status: Status::Paused,
            ..saved.remove(3)
        };
        at.port.save_connection(paused).await.unwrap();
        let expected = [0, 2].map(|place: usize| ids[place].clone()).to_vec();
        let look = async || due_of(at, due, at.now, &ids).await;
        at.eventually(look, expected).await;
    }
    for id in ids {
        let stored = at.port.connection(&id).await.unwrap().unwrap();
        let off = Connection {
            status: Status::Disconnected,
            ..stored
        };
        at.port.save_connection(off).await.unwrap();
    }
}

pub(crate) async fn a_due_connection_can_be_claimed_by_one(at: &Stores) {
    let id = at.connection();
    let due = enabled(id.clone(), at.now, at.after(-1));
    at.port.save_connection(due).await.unwrap();
    let look = async || due_of(at, Due::Routine, at.now, std::slice::from_ref(&id)).await;
    at.eventually(look, vec![id.clone()]).await;

    let shard = Shard::of(&id);
    let found = at.port.due(Due::Routine, shard, at.now, 1_000).await;
    let found = found
        .unwrap()
        .into_iter()
        .flatten()
        .find(|connection| connection.id == id)
        .unwrap();
    let claim = |_| {
        let routine_due_at = Some(at.after(900));
        at.port.save_connection(Connection {
            routine_due_at,
            ..found.clone()
        })
    };
    let claimed = one_wins((0..CONTENDERS).map(claim)).await;
    at.eventually(look, Vec::new()).await;
    let off = Connection {
        status: Status::Disconnected,
        ..claimed
    };
    at.port.save_connection(off).await.unwrap();
}

pub(crate) async fn settings_begin_with_the_default_ones(at: &Stores) {
    let settings = at.port.settings(&at.connection()).await.unwrap();
    assert_eq!(settings.version, 0);
    assert_eq!(settings.settings, Settings::default());
}

fn night(hour: i8) -> Settings {
    let mut settings = Settings {
        night_hour: hour,
        ..Settings::default()
    };
    let custom_fields = (0..200)
        .map(|number| {
            (
                field(&format!("usage.field_{number}")),
                tandem::value::FieldType::Decimal,
            )
        })
        .collect();
    let object = ObjectSettings {
        custom_fields,
        ..ObjectSettings::default()
    };
    settings.objects.insert(Object::Account, object);
    settings
}

pub(crate) async fn settings_are_saved_over_the_current_version_only(at: &Stores) {
    let id = at.connection();
    let settings: Vec<Settings> = (0..24).map(night).collect();
    assert_conflict(&at.port.save_settings(&id, 1, &settings[0], at.now).await);
    let save = |settings| at.port.save_settings(&id, 0, settings, at.now);
    let won = one_wins(settings.iter().take(12).map(save)).await;
    assert_eq!((won.version, won.saved_at), (1, at.now));
    assert_eq!(at.port.settings(&id).await.unwrap(), won);
    assert_conflict(&at.port.save_settings(&id, 0, &settings[1], at.now).await);
    assert_conflict(&at.port.save_settings(&id, 2, &settings[1], at.now).await);
    let second = at
        .port
        .save_settings(&id, 1, &settings[20], at.after(1))
        .await
        .unwrap();
    assert_eq!(second.version, 2);
    assert_eq!(second.settings, settings[20]);
    assert_eq!(at.port.settings(&id).await.unwrap(), second);
}

pub(crate) async fn the_settings_history_is_newest_first(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    let mut expected = Vec::new();
    for version in 0..12_u64 {
        let settings = night(i8::try_from(version).unwrap());
        let saved_at = at.after(i64::try_from(version).unwrap());
        let saved = at
            .port
            .save_settings(&id, version, &settings, saved_at)
            .await
            .unwrap();
        expected.insert(0, saved);
        at.port
            .save_settings(&alike, version, &settings, at.now)
            .await
            .unwrap();
    }
    for limit in [1, 5, 12, 50] {
        let page = async |next| at.port.settings_history(&id, next, limit).await;
        at.eventually(async || walk(limit, page).await, expected.clone())
            .await;
    }
    let unsaved = at
        .port
        .settings_history(&at.connection(), None, 5)
        .await
        .unwrap();
    assert_eq!((unsaved.items, unsaved.next), (Vec::new(), None));

    let first = at.port.settings_history(&id, None, 5).await.unwrap();
    assert!(first.next.is_some());
    assert_refused(&at.port.settings_history(&alike, first.next, 5).await);
}

pub(crate) async fn a_token_that_nobody_gave_is_refused(at: &Stores) {
    let id = at.connection();
    at.port
        .save_connection(named(&id, "token".into(), at.now))
        .await
        .unwrap();
    for token in [
        "",
        "nonsense",
        "eyJwayI6Im5vbnNlbnNlIn0",
        "\u{1F6AB}",
        "0000",
    ] {
        assert_refused(&at.port.connections(Some(token.to_owned()), 10).await);
    }
}
