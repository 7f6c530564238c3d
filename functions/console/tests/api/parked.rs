//! Parked edits: listed, tried again, dismissed.

use serde_json::json;
use tandem::journal::{Entry, Retention};
use tandem::message::Writeback;
use tandem::object::Object;
use tandem::port::{Journal as _, Records as _};
use tandem::record::{Action, Change, Pending};
use tandem::value::Value;
use tandem_memory::{Failure, Fault, When};

use super::desk::{Desk, parked};

const LIST: &str = "/api/connections/acme/parked";

/// Parks an account's tier, `Gold` where Zoho has `Silver`, and logs it.
async fn park(desk: &Desk, connection: &str, id: &str) {
    let at = desk.world.now();
    let record = desk
        .record(connection, Object::Account, id, |record| {
            let tier = || "tier".parse().unwrap();
            record.zoho_id = "77".parse().ok();
            record.base.insert(tier(), Value::Text("Silver".into()));
            record.fields.insert(tier(), Value::Text("Gold".into()));
            record
                .pending
                .insert(tier(), Pending::new(Value::Text("Gold".into()), at));
            record.parked = Some(parked(&at.to_string()));
            record.change = Some(Change {
                action: Action::Parked,
                run: None,
                fields: vec![],
            });
        })
        .await;
    let entry = Entry::of_change(
        &record,
        Retention {
            days: 30,
            values: true,
        },
    );
    desk.world.store.write(entry.as_slice()).await.unwrap();
}

async fn listed(desk: &Desk) -> Vec<String> {
    desk.all(LIST)
        .await
        .iter()
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn what_waits_is_listed_with_its_remedy() {
    let desk = Desk::with_acme().await;
    for id in ["A-1", "A/2", "A-3"] {
        park(&desk, "acme", id).await;
        desk.tick(1);
    }
    assert_eq!(listed(&desk).await, ["A-3", "A/2", "A-1"]);
    let items = desk.all(LIST).await;
    assert_eq!(items[1]["href"], "/api/connections/acme/account/~QS8y");
    assert_eq!(items[1]["parked"]["remedy"], "choose one of Zoho's values");
    assert_eq!(items[1]["edits"]["tier"]["value"], "Gold");
    assert_eq!(desk.all(&format!("{LIST}?object=task")).await.len(), 0);
    assert_eq!(
        desk.all("/api/connections/acme/parked?object=account")
            .await
            .len(),
        3
    );
}

#[tokio::test]
async fn a_record_that_was_parked_twice_is_listed_once() {
    let desk = Desk::with_acme().await;
    park(&desk, "acme", "A-1").await;
    desk.tick(60);
    let mut again = desk.stored("acme", Object::Account, "A-1").await;
    again.parked = Some(parked(&desk.world.now().to_string()));
    again.updated_at = desk.world.now();
    let again = desk.world.store.save_record(again).await.unwrap();
    let entry = Entry::of_change(
        &again,
        Retention {
            days: 30,
            values: true,
        },
    );
    desk.world.store.write(entry.as_slice()).await.unwrap();
    let page = desk.get(&format!("{LIST}?limit=1")).await.with(200);
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed(&desk).await, ["A-1"]);
}

#[tokio::test]
async fn what_waits_is_listed_when_its_log_line_is_gone() {
    let desk = Desk::with_acme().await;
    park(&desk, "acme", "A-1").await;
    desk.tick(40 * 24 * 60 * 60);
    desk.world.store.expire(desk.world.now());
    assert_eq!(listed(&desk).await, ["A-1"]);
    let path = "/api/connections/acme/parked/retry";
    let retried = desk
        .post(path, json!({"code": "INVALID_DATA"}))
        .await
        .with(200);
    assert_eq!(retried["records"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_retry_sends_the_edit_on_its_way() {
    let desk = Desk::with_acme().await;
    park(&desk, "acme", "A/1").await;
    let shown = desk
        .ask("/api/connections/acme/account/~QS8x/retry")
        .await
        .with(202);
    assert!(shown["parked"].is_null());
    assert_eq!(shown["pending"], json!(["tier"]));
    let sent = desk.world.queue.take_writeback().unwrap().message;
    assert!(matches!(sent, Writeback::Push { ids, .. } if ids == ["A/1".parse().unwrap()]));
    assert_eq!(listed(&desk).await.len(), 0);
    let line = &desk
        .all("/api/connections/acme/log?object=account&record=A%2F1")
        .await[0];
    assert_eq!(
        (&line["action"], &line["direction"]),
        (&json!("retried"), &json!("push"))
    );
    let (detail, _) = desk
        .ask("/api/connections/acme/account/~QS8x/retry")
        .await
        .problem(409);
    assert_eq!(detail, "nothing of account \"A/1\" is parked");
}

#[tokio::test]
async fn a_retry_that_writeback_is_not_told_of_is_swept() {
    let desk = Desk::with_acme().await;
    park(&desk, "acme", "A-1").await;
    desk.world.faults.always(
        "send_writeback",
        Fault::Fail(When::Before, Failure::Unavailable),
    );
    desk.ask("/api/connections/acme/account/A-1/retry")
        .await
        .with(202);
    let pending = desk
        .world
        .store
        .pending(&"acme".parse().unwrap(), desk.world.now(), 10)
        .await
        .unwrap();
    assert_eq!(pending, [(Object::Account, "A-1".parse().unwrap())]);
}

#[tokio::test]
async fn a_dismissal_shows_what_zoho_has() {
    let desk = Desk::with_acme().await;
    park(&desk, "acme", "A-1").await;
    desk.tick(5);
    desk.world.faults.on(
        "save_record",
        1,
        Fault::Fail(When::Before, Failure::Conflict),
    );
    let shown = desk
        .ask("/api/connections/acme/account/A-1/dismiss")
        .await
        .with(200);
    assert_eq!(
        (&shown["fields"]["tier"], &shown["pending"]),
        (&json!("Silver"), &json!([]))
    );
    let line = &desk
        .all("/api/connections/acme/log?object=account&record=A-1")
        .await[0];
    assert_eq!(line["action"], "dismissed");
    assert_eq!(
        line["fields"],
        json!([{"field": "tier", "before": "Gold", "after": "Silver"}])
    );
    let why = desk
        .get("/api/connections/acme/account/A-1")
        .await
        .with(200);
    assert_eq!(
        why["sources"]["tier"],
        json!({"side": "zoho", "run": null, "at": "2026-11-23T10:00:05Z", "overruled": "Gold"})
    );
    assert!(desk.world.queue.is_empty(), "nothing goes to Zoho");
    desk.ask("/api/connections/acme/account/A-1/dismiss")
        .await
        .problem(409);
    desk.ask("/api/connections/acme/account/A-9/dismiss")
        .await
        .problem(404);
}

#[tokio::test]
async fn what_is_parked_for_one_reason_is_decided_at_once() {
    let desk = Desk::with_acme().await;
    for number in 0..5 {
        park(&desk, "acme", &format!("A-{number}")).await;
        desk.tick(1);
    }
    let mut other = desk.stored("acme", Object::Account, "A-3").await;
    other.parked.as_mut().unwrap().code = "RECORD_LOCKED".into();
    desk.world.store.save_record(other).await.unwrap();
    let path = "/api/connections/acme/parked/dismiss";
    let dismissed = desk
        .post(path, json!({"code": "RECORD_LOCKED"}))
        .await
        .with(200);
    assert_eq!(
        dismissed,
        json!({"records": ["/api/connections/acme/account/A-3"]})
    );
    let path = "/api/connections/acme/parked/retry";
    let retried = desk
        .post(path, json!({"code": "INVALID_DATA", "object": "task"}))
        .await
        .with(200);
    assert_eq!(retried, json!({"records": []}));
    let retried = desk
        .post(path, json!({"code": "INVALID_DATA"}))
        .await
        .with(200);
    assert_eq!(retried["records"].as_array().unwrap().len(), 4);
    assert_eq!(listed(&desk).await.len(), 0);
    let (_, paths) = desk
        .post(path, json!({"code": "INVALID_DATA", "cursor": "x"}))
        .await
        .problem(400);
    assert_eq!(paths, ["$.cursor"]);
    let (_, paths) = desk.post(path, json!({})).await.problem(400);
    assert_eq!(paths, ["$"]);
    desk.post("/api/connections/none/parked/retry", json!({"code": "x"}))
        .await
        .problem(404);
}

#[tokio::test]
async fn many_parked_edits_are_decided_page_by_page() {
    let desk = Desk::with_acme().await;
    for number in 0..203 {
        park(&desk, "acme", &format!("A-{number}")).await;
    }
    let path = "/api/connections/acme/parked/retry";
    let first = desk
        .post(path, json!({"code": "INVALID_DATA"}))
        .await
        .with(200);
    assert_eq!(first["records"].as_array().unwrap().len(), 200);
    let second = desk
        .post(
            path,
            json!({"code": "INVALID_DATA", "cursor": first["next"]}),
        )
        .await
        .with(200);
    assert_eq!(second["records"].as_array().unwrap().len(), 3);
    assert_eq!(listed(&desk).await.len(), 0);
}

#[tokio::test]
async fn one_connections_parked_edits_are_not_anothers() {
    let desk = Desk::with_acme().await;
    desk.connect("other").await;
    park(&desk, "acme", "A-1").await;
    assert_eq!(desk.all("/api/connections/other/parked").await.len(), 0);
    desk.ask("/api/connections/other/account/A-1/retry")
        .await
        .problem(404);
    desk.ask("/api/connections/other/account/A-1/dismiss")
        .await
        .problem(404);
    assert_eq!(listed(&desk).await, ["A-1"]);
}
