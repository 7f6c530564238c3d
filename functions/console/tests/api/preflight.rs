//! Preflights: made, kept, shown, and what they keep from being switched on.

use serde_json::{Value as Json, json};
use tandem::connection::Status;
use tandem::object::Object;
use tandem_memory::{Failure, Fault, When};

use super::desk::{Desk, NOW};

const PATH: &str = "/api/connections/acme/preflight";

fn finding<'a>(of: &'a Json, code: &str) -> &'a Json {
    let mut findings = of["findings"].as_array().unwrap().iter();
    findings
        .find(|finding| finding["code"] == code)
        .unwrap_or_else(|| panic!("no {code}: {of:#}"))
}

#[tokio::test]
async fn a_preflight_tells_what_lacks_and_is_kept() {
    let desk = Desk::with_acme().await;
    let (detail, _) = desk.get(PATH).await.problem(404);
    assert!(detail.contains("send a POST"), "{detail}");
    desk.zoho.hides(Object::Account, "AccountExternalID");
    let found = desk.ask(PATH).await.with(200);
    assert_eq!(
        (&found["ready"], &found["blocks"], &found["at"]),
        (&json!(false), &json!(true), &json!(NOW))
    );
    assert_eq!(found["visible"]["account"], 0);
    assert_eq!(found["environment"], "production");
    assert_eq!(
        found["licence"],
        json!({"edition": "Enterprise", "users": 10, "daily_credits": 60_000})
    );
    let missing = finding(&found, "external_id_missing");
    assert_eq!(missing["severity"], "blocking");
    assert_eq!(missing["module"], "Accounts");
    assert_eq!(missing["field"], "AccountExternalID");
    assert_eq!(missing["permission"], "view_field");
    assert!(missing["scope"].is_null());
    let ids = found["ids"].as_array().unwrap();
    assert_eq!(ids.len(), 1, "what is hidden is not counted: {ids:?}");
    assert_eq!(ids[0]["field"], "Email");

    assert_eq!(desk.get(PATH).await.with(200), found);
    let shown = desk.get("/api/connections/acme").await.with(200);
    let summary = &shown["preflight"];
    assert_eq!(
        (&summary["at"], &summary["current"], &summary["blocks"]),
        (&json!(NOW), &json!(true), &json!(true))
    );
    assert_eq!(shown["status"], "enabled", "what is on stays on");
    desk.put_settings("acme", "\"0\"", &json!({"account_external_id": "Tier"}))
        .await
        .with(200);
    let shown = desk.get("/api/connections/acme").await.with(200);
    assert_eq!(shown["preflight"]["current"], false, "of other settings");
    assert_eq!(shown["preflight"]["settings_version"], 0);
}

#[tokio::test]
async fn what_blocks_keeps_a_connection_off() {
    let desk = Desk::with_acme().await;
    desk.ask("/api/connections/acme/pause").await.with(200);
    desk.zoho.hides(Object::Account, "Modified_Time");
    let answer = desk.ask("/api/connections/acme/enable").await;
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let refused = answer.with(409);
    assert_eq!(refused["type"], "urn:tandem:conflict");
    let detail = refused["detail"].as_str().unwrap();
    assert!(
        detail.contains("not switched on") && detail.contains("Modified_Time is hidden"),
        "{detail}"
    );
    let hidden = finding(&refused, "modified_time_hidden");
    assert_eq!(hidden["severity"], "blocking");
    assert!(!hidden["remedy"].as_str().unwrap().is_empty());
    let shown = desk.get("/api/connections/acme").await.with(200);
    assert_eq!(shown["status"], "paused");
    assert!(shown["full_due_at"].is_null());
    assert_eq!(desk.all("/api/connections/acme/runs").await.len(), 0);

    // Mended in Zoho, it goes on without waiting for the last look to grow old.
    let usual = tandem_memory::field("Modified_Time", "datetime");
    desk.zoho.shows(Object::Account, usual);
    let enabled = desk.ask("/api/connections/acme/enable").await.with(200);
    assert_eq!(enabled["status"], "enabled");
}

#[tokio::test]
async fn a_problem_that_does_not_block_is_no_reason_to_stay_off() {
    let desk = Desk::with_acme().await;
    desk.ask("/api/connections/acme/pause").await.with(200);
    desk.zoho.hides(Object::Deal, "Modified_Time");
    desk.ask("/api/connections/acme/enable").await.with(200);
    let kept = desk.get(PATH).await.with(200);
    assert_eq!(
        (&kept["ready"], &kept["blocks"]),
        (&json!(false), &json!(false))
    );
}

#[tokio::test]
async fn a_connection_that_cannot_be_looked_at_is_not_switched_on() {
    let desk = Desk::with_acme().await;
    desk.ask("/api/connections/acme/pause").await.with(200);
    desk.world
        .faults
        .always("fields", Fault::Fail(When::Before, Failure::Unavailable));
    desk.ask("/api/connections/acme/enable").await.problem(502);
    let shown = desk.get("/api/connections/acme").await.with(200);
    assert_eq!(shown["status"], "paused");
    desk.world.faults.clear();
    desk.ask("/api/connections/acme/enable").await.with(200);
}

#[tokio::test]
async fn a_look_of_the_last_minutes_is_good_enough() {
    let desk = Desk::with_acme().await;
    desk.ask("/api/connections/acme/pause").await.with(200);
    desk.ask(PATH).await.with(200);
    desk.world
        .faults
        .always("fields", Fault::Fail(When::Before, Failure::Unavailable));
    desk.tick(599);
    desk.ask("/api/connections/acme/enable").await.with(200);
}

#[tokio::test]
async fn who_has_no_access_is_told_to_connect() {
    let desk = Desk::with_acme().await;
    desk.edit_connection("acme", |acme| acme.status = Status::NeedsReconnect)
        .await;
    desk.ask(PATH).await.problem(409);
    let refused = desk.ask("/api/connections/acme/enable").await.with(409);
    assert!(refused.get("findings").is_none(), "{refused}");
}
