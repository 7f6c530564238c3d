//! The log: searched by time, outcome, direction, object and record.

use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use tandem::journal::{Direction, Entry, Outcome, Retention};
use tandem::object::Object;
use tandem::port::Journal as _;
use tandem::record::FieldChange;
use tandem::value::Value;

use super::desk::Desk;

const PATH: &str = "/api/connections/acme/log";

async fn line(
    desk: &Desk,
    connection: &str,
    second: i64,
    action: &str,
    edit: impl FnOnce(&mut Entry),
) {
    let at = desk.world.now() + SignedDuration::from_secs(second);
    let retention = Retention {
        days: 30,
        values: true,
    };
    let mut entry = Entry::note(
        connection.parse().unwrap(),
        at,
        Outcome::Done,
        action,
        "",
        "why".into(),
        retention,
    );
    edit(&mut entry);
    desk.world.store.write(&[entry]).await.unwrap();
}

async fn story() -> Desk {
    let desk = Desk::with_acme().await;
    desk.connect("other").await;
    line(&desk, "acme", 0, "connected", |_| {}).await;
    line(&desk, "acme", 1, "pulled", |entry| {
        entry.object = Some(Object::Contact);
        entry.record = "jane@acme.example".parse().ok();
        entry.zoho_id = "5".parse().ok();
        entry.run = "01JD8QK3ZV5W7Y0B2C4E6G8H9J".parse().ok();
        entry.direction = Some(Direction::Pull);
        entry.fields = vec![FieldChange {
            field: "phone".parse().unwrap(),
            before: Value::Null,
            after: Value::Text("1".into()),
            overruled: Some(Value::Text("2".into())),
        }];
    })
    .await;
    line(&desk, "acme", 2, "parked", |entry| {
        entry.object = Some(Object::Account);
        entry.record = "A/1".parse().ok();
        entry.outcome = Outcome::Parked;
        entry.direction = Some(Direction::Push);
    })
    .await;
    line(&desk, "other", 3, "secret of another", |_| {}).await;
    desk
}

async fn actions(desk: &Desk, query: &str) -> Json {
    desk.all(&format!("{PATH}?{query}"))
        .await
        .iter()
        .map(|line| line["action"].clone())
        .collect()
}

#[tokio::test]
async fn the_log_is_newest_first_and_of_one_connection() {
    let desk = story().await;
    assert_eq!(
        actions(&desk, "").await,
        json!(["parked", "pulled", "connected"])
    );
    let lines = desk.all(PATH).await;
    assert_eq!(lines[0]["href"], "/api/connections/acme/account/~QS8x");
    assert_eq!(
        lines[1],
        json!({
            "id": lines[1]["id"],
            "at": "2026-11-23T10:00:01Z",
            "outcome": "done",
            "direction": "pull",
            "action": "pulled",
            "object": "contact",
            "record": "jane@acme.example",
            "href": "/api/connections/acme/contact/jane@acme.example",
            "zoho_id": "5",
            "run": "01JD8QK3ZV5W7Y0B2C4E6G8H9J",
            "reason": "why",
            "fields": [{"field": "phone", "before": null, "after": "1", "overruled": "2"}],
        })
    );
}

#[tokio::test]
async fn the_log_is_searched() {
    let desk = story().await;
    for (query, expected) in [
        ("outcome=parked", json!(["parked"])),
        ("outcome=held", json!([])),
        ("object=account", json!(["parked"])),
        ("object=contact&record=Jane@acme.example", json!(["pulled"])),
        ("object=account&record=A%2F1", json!(["parked"])),
        ("object=account&record=A%2F1&outcome=done", json!([])),
        ("direction=pull", json!(["pulled"])),
        ("direction=push&outcome=parked", json!(["parked"])),
        ("from=2026-11-23T10:00:01Z", json!(["parked", "pulled"])),
        (
            "from=2026-11-23T10:00:01Z&to=2026-11-23T10:00:02Z",
            json!(["pulled"]),
        ),
        ("to=2026-11-23T10:00:01Z", json!(["connected"])),
    ] {
        assert_eq!(actions(&desk, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_search_that_makes_no_sense_is_refused_by_name() {
    let desk = story().await;
    for (query, status, path) in [
        (
            "from=2026-11-23T10:00:01Z&to=2026-11-23T10:00:01Z",
            422,
            "?to",
        ),
        ("record=A-1", 422, "?object"),
        ("outcome=lost", 400, "?outcome"),
        ("direction=up", 400, "?direction"),
        ("object=invoice", 400, "?object"),
        ("from=today", 400, "?from"),
        ("object=account&record=", 400, "?record"),
    ] {
        let (_, paths) = desk.get(&format!("{PATH}?{query}")).await.problem(status);
        assert_eq!(paths, [path], "{query}");
    }
}

#[tokio::test]
async fn a_page_of_one_search_is_not_of_another() {
    let desk = story().await;
    let page = desk.get(&format!("{PATH}?limit=1")).await.with(200);
    let cursor = page["next"].as_str().unwrap();
    for elsewhere in [
        format!("/api/connections/other/log?cursor={cursor}"),
        format!("{PATH}?outcome=done&cursor={cursor}"),
        format!("{PATH}?direction=pull&cursor={cursor}"),
        format!("/api/connections/acme/parked?cursor={cursor}"),
    ] {
        let (_, paths) = desk.get(&elsewhere).await.problem(400);
        assert_eq!(paths, ["?cursor"], "{elsewhere}");
    }
}
