//! Removals that the guard holds for a person.

use serde_json::json;
use tandem::connection::Status;
use tandem::object::Object;
use tandem::port::Ledger as _;
use tandem::record::{Candidate, RemovalReason};

use super::desk::Desk;

const PATH: &str = "/api/connections/acme/removals/deal";
const RUN: &str = "01JD8QK3ZV5W7Y0B2C4E6G8H9J";

/// Five deals that Zoho has no more; the removal of the last is not held.
async fn held() -> Desk {
    let desk = Desk::with_acme().await;
    desk.connect("other").await;
    for number in 1..=5 {
        let id = format!("D/{number}");
        desk.record("acme", Object::Deal, &id, |record| {
            record.zoho_id = number.to_string().parse().ok()
        })
        .await;
        let candidate = Candidate {
            connection: "acme".parse().unwrap(),
            object: Object::Deal,
            zoho_id: number.to_string().parse().unwrap(),
            platform_id: id.parse().unwrap(),
            run: RUN.parse().unwrap(),
            reason: RemovalReason::Gone,
            held: number < 5,
        };
        desk.world
            .store
            .save_candidates(&[candidate])
            .await
            .unwrap();
    }
    desk
}

#[tokio::test]
async fn what_is_held_is_listed() {
    let desk = held().await;
    let items = desk.all(PATH).await;
    assert_eq!(items.len(), 4);
    assert_eq!(
        items[0],
        json!({"id": "D/1", "href": "/api/connections/acme/deal/~RC8x", "zoho_id": "1", "run": RUN, "reason": "gone"})
    );
    assert_eq!(
        desk.all("/api/connections/acme/removals/account")
            .await
            .len(),
        0
    );
    assert_eq!(
        desk.all("/api/connections/other/removals/deal").await.len(),
        0
    );
    let page = desk.get(&format!("{PATH}?limit=1")).await.with(200);
    let cursor = page["next"].as_str().unwrap();
    desk.get(&format!(
        "/api/connections/other/removals/deal?cursor={cursor}"
    ))
    .await
    .problem(400);
    desk.get("/api/connections/acme/removals/invoice")
        .await
        .problem(404);
}

#[tokio::test]
async fn an_approved_removal_is_carried_out() {
    let desk = held().await;
    let done = desk.ask(&format!("{PATH}/approve")).await.with(200);
    assert_eq!(done, json!({"removed": 4, "withdrawn": 0, "more": false}));
    let record = desk.get("/api/connections/acme/deal/D%2F1").await.with(200);
    assert_eq!(record["removed"]["reason"], "gone");
    assert!(desk.get("/api/connections/acme/deal/D%2F5").await.with(200)["removed"].is_null());
    assert_eq!(desk.all(PATH).await.len(), 0);
    let lines = desk.all("/api/connections/acme/log").await;
    assert!(
        lines
            .iter()
            .any(|line| line["action"] == "removal approved"),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_rejected_removal_is_dropped() {
    let desk = held().await;
    assert_eq!(
        desk.ask(&format!("{PATH}/reject")).await.with(200),
        json!({"kept": 4})
    );
    assert!(desk.get("/api/connections/acme/deal/D%2F1").await.with(200)["removed"].is_null());
    assert_eq!(desk.all(PATH).await.len(), 0);
    assert_eq!(
        desk.ask(&format!("{PATH}/reject")).await.with(200),
        json!({"kept": 0})
    );
}

#[tokio::test]
async fn a_paused_connection_removes_nothing() {
    let desk = held().await;
    desk.edit_connection("acme", |acme| acme.status = Status::Paused)
        .await;
    desk.ask(&format!("{PATH}/approve")).await.problem(409);
    assert_eq!(desk.all(PATH).await.len(), 4);
}
