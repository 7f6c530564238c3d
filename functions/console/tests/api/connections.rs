//! Connections: made, listed, renamed, switched on and off, ended.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::json;
use tandem::connection::Status;
use tandem::credit::{Bucket, Spender, Spent, Word};
use tandem::data_centre::DataCentre;
use tandem::identifier::{ConnectionId, RunId};
use tandem::lack::Lack;
use tandem::object::Object;
use tandem::port::{Connections as _, Coordination as _};
use tandem::run::{Counter, Run, RunKind, RunStatus};
use tandem_memory::{Failure, Fault, When};

use super::desk::{Desk, NOW};

#[tokio::test]
async fn a_connection_is_made_and_shown() {
    let desk = Desk::new();
    let answer = desk
        .post(
            "/api/connections",
            json!({"id": "acme", "name": " Acme Inc. "}),
        )
        .await;
    assert_eq!(answer.header("location"), "/api/connections/acme");
    let made = answer.with(201);
    let expected = json!({
        "id": "acme",
        "name": "Acme Inc.",
        "status": "new",
        "reason": null,
        "organisation": null,
        "connect_url": "https://sync.example.com/connect/acme",
        "created_at": NOW,
        "routine_due_at": null,
        "full_due_at": null,
        "throttled_until": null,
        "purge": null,
    });
    assert_eq!(made, expected);
    let mut detail = expected;
    let nobody = json!({"full_sync": 0, "routine_sync": 0, "person": 0, "writeback": 0});
    detail["credits"] = json!({
        "spent": 0, "spent_by": nobody, "ceiling": null, "share": 50, "left": null, "waiting": [], "forecast": null,
    });
    detail["findings"] = json!([]);
    detail["preflight"] = json!(null);
    assert_eq!(desk.get("/api/connections/acme").await.with(200), detail);
}

#[tokio::test]
async fn an_id_is_taken_once() {
    let desk = Desk::with_acme().await;
    let (detail, paths) = desk
        .post("/api/connections", json!({"id": "acme", "name": "x"}))
        .await
        .problem(409);
    assert!(detail.contains("choose another id"), "{detail}");
    assert_eq!(paths, ["$.id"]);
}

#[tokio::test]
async fn a_malformed_body_is_named_by_its_place() {
    let desk = Desk::new();
    for (body, path) in [
        (json!({"id": "Acme", "name": "x"}), "$.id"),
        (json!({"id": "acme", "name": ""}), "$.name"),
        (json!({"id": "acme", "name": "a\u{7}b"}), "$.name"),
        (json!({"id": "acme", "name": "x".repeat(201)}), "$.name"),
        (json!({"id": "acme", "name": 1}), "$.name"),
        (json!({"id": "acme"}), "$"),
        (json!({"id": "acme", "name": "x", "nmae": "x"}), "$.nmae"),
        (json!([]), "$"),
        (json!(null), "$"),
    ] {
        let (_, paths) = desk
            .post("/api/connections", body.clone())
            .await
            .problem(400);
        assert_eq!(paths, [path], "{body}");
    }
}

#[tokio::test]
async fn connections_are_listed_by_id() {
    let desk = Desk::new();
    for id in ["c", "a", "e", "b", "d"] {
        desk.connect(id).await;
    }
    let ids: Vec<_> = desk
        .all("/api/connections")
        .await
        .iter()
        .map(|item| item["id"].clone())
        .collect();
    assert_eq!(json!(ids), json!(["a", "b", "c", "d", "e"]));
}

#[tokio::test]
async fn a_page_has_a_limit() {
    let desk = Desk::with_acme().await;
    for limit in ["0", "201", "-1", "x", "", "1e2"] {
        let (detail, paths) = desk
            .get(&format!("/api/connections?limit={limit}"))
            .await
            .problem(400);
        assert_eq!(paths, ["?limit"]);
        assert!(detail.contains("1 to 200"), "{detail}");
    }
    let (_, paths) = desk
        .get("/api/connections?limit=1&limit=2")
        .await
        .problem(400);
    assert_eq!(paths, ["?limit"]);
    let (detail, _) = desk.get("/api/connections?limt=1").await.problem(400);
    assert!(detail.contains("limt"), "{detail}");
    let (_, paths) = desk
        .get("/api/connections?cursor=YWNtZQ")
        .await
        .problem(400);
    assert_eq!(paths, ["?cursor"]);
    desk.get("/api/connections?limit=200").await.with(200);
}

/// Lets the connection `acme` have spent credits some hours ago.
async fn spend(desk: &Desk, hours_ago: i64, spender: Spender, credits: u64, word: Option<Word>) {
    let at = desk.world.now() - SignedDuration::from_hours(hours_ago);
    let spent = Spent {
        spender,
        credits,
        word,
    };
    let acme = "acme".parse().unwrap();
    let store = &desk.world.store;
    store
        .spend_credits(&acme, Bucket::of(at), spent)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_was_spent_is_shown_against_the_ceiling() {
    let desk = Desk::with_acme().await;
    for (hours_ago, credits) in [(0, 5), (24, 7), (25, 1_000)] {
        spend(&desk, hours_ago, Spender::Writeback, credits, None).await;
    }
    desk.put_settings("acme", "\"0\"", &json!({"credit_share": 30}))
        .await
        .with(200);
    let shown = desk.get("/api/connections/acme").await.with(200);
    let credits = &shown["credits"];
    // The settings' fields were looked up meanwhile, object by object.
    assert_eq!(
        [&credits["spent"], &credits["ceiling"], &credits["share"]],
        [12 + 4, 3_000, 30].map(|number| json!(number)).each_ref()
    );
    assert_eq!(
        credits["spent_by"],
        json!({"full_sync": 0, "routine_sync": 0, "person": 4, "writeback": 12})
    );
    assert_eq!(
        (&credits["left"], &credits["waiting"]),
        (&json!(null), &json!([]))
    );
    assert_eq!(shown["organisation"]["data_centre"], "eu");
}

#[tokio::test]
async fn what_zoho_says_is_left_is_shown_with_what_waits_for_it() {
    let desk = Desk::with_acme().await;
    let word = Word {
        left: 3_000,
        at: desk.world.now() - SignedDuration::from_mins(20),
    };
    spend(&desk, 0, Spender::RoutineSync, 5, Some(word)).await;
    let shown = desk.get("/api/connections/acme").await.with(200);
    let credits = &shown["credits"];
    assert_eq!(
        credits["left"],
        json!({"credits": 3_000, "at": "2026-11-23T09:40:00Z"})
    );
    assert_eq!(
        credits["waiting"],
        json!(["full_sync", "routine_sync", "person"])
    );
    let (detail, _) = desk
        .ask("/api/connections/acme/preflight")
        .await
        .problem(409);
    assert!(detail.contains("Zoho says that"), "{detail}");
    // What helps needs no credits.
    desk.put_settings("acme", "\"0\"", &json!({"credit_share": 90}))
        .await
        .with(200);
    let shown = desk.get("/api/connections/acme").await.with(200);
    assert_eq!(shown["credits"]["waiting"], json!([]));
}

#[tokio::test]
async fn a_day_is_forecast_from_what_was_measured() {
    let desk = Desk::with_acme().await;
    let forecast = async || {
        let shown = desk.get("/api/connections/acme").await.with(200);
        (
            shown["credits"]["forecast"].clone(),
            shown["findings"].clone(),
        )
    };
    let (unmeasured, findings) = forecast().await;
    assert_eq!(
        unmeasured,
        json!({
            "full_sync": null, "routine_syncs": null, "writeback": null, "total": null, "complete": false, "measured_hours": 0,
            "exceeds_ceiling": false, "reaches_ceiling_at": null
        })
    );
    assert_eq!(findings, json!([]));

    for hours_ago in 0..=24 {
        spend(&desk, hours_ago, Spender::RoutineSync, 96, None).await;
    }
    full_sync(&desk, 2_800).await;
    let (measured, findings) = forecast().await;
    assert_eq!(measured["full_sync"], 2_800);
    assert_eq!(measured["writeback"], 0);
    let routine = measured["routine_syncs"].as_u64().unwrap();
    assert!((2_400..2_510).contains(&routine), "{routine}");
    assert_eq!(measured["total"], 2_800 + routine);
    assert_eq!(
        (&measured["complete"], &measured["exceeds_ceiling"]),
        (&json!(true), &json!(true))
    );
    assert!(measured["reaches_ceiling_at"].is_string());
    assert_eq!(findings[0]["severity"], "warning");
    let what = findings[0]["what"].as_str().unwrap();
    assert!(
        what.contains("full sync 2800") && what.contains("5000 may be spent"),
        "{what}"
    );
    let remedy = findings[0]["remedy"].as_str().unwrap();
    assert!(remedy.contains("credit_share"), "{remedy}");
}

/// A full sync that completed and cost that much.
async fn full_sync(desk: &Desk, credits: u64) {
    let acme: ConnectionId = "acme".parse().unwrap();
    let store = &desk.world.store;
    let begun = Run::begin(acme, RunId::new(1, 1), RunKind::Full, desk.world.now());
    let mut slices = begun.slices(&[], &BTreeMap::new());
    slices[0].counters.add(Counter::ZohoCredits, credits);
    store.plan_slices(&slices).await.unwrap();
    let ended = Run {
        status: RunStatus::Complete,
        ..begun
    };
    store.save_run(ended).await.unwrap();
}

#[tokio::test]
async fn throttling_is_shown_while_it_lasts() {
    let desk = Desk::with_acme().await;
    desk.edit_connection("acme", |acme| {
        acme.paused_until = "2026-11-23T10:01:00Z".parse().ok()
    })
    .await;
    let shown = desk.get("/api/connections/acme").await.with(200);
    assert_eq!(shown["throttled_until"], "2026-11-23T10:01:00Z");
    desk.tick(60);
    let shown = desk.get("/api/connections/acme").await.with(200);
    assert!(shown["throttled_until"].is_null());
}

#[tokio::test]
async fn a_connection_is_renamed_though_the_poller_writes_it_meanwhile() {
    let desk = Desk::with_acme().await;
    desk.world.faults.on(
        "save_connection",
        1,
        Fault::Fail(When::Before, Failure::Conflict),
    );
    let renamed = desk
        .patch("/api/connections/acme", json!({"name": "New"}))
        .await
        .with(200);
    assert_eq!(renamed["name"], "New");
    let (_, paths) = desk
        .patch("/api/connections/acme", json!({"id": "other"}))
        .await
        .problem(400);
    assert_eq!(paths, ["$.id"]);
}

#[tokio::test]
async fn enabling_starts_the_first_full_sync() {
    let desk = Desk::with_acme().await;
    desk.ask("/api/connections/acme/pause").await.with(200);
    let enabled = desk.ask("/api/connections/acme/enable").await.with(200);
    assert_eq!(enabled["status"], "enabled");
    assert_eq!(enabled["routine_due_at"], NOW);
    assert_eq!(
        enabled["full_due_at"], "2026-11-24T01:00:00Z",
        "two o'clock in Berlin"
    );
    let runs = desk.all("/api/connections/acme/runs").await;
    assert_eq!(runs.len(), 1);
    assert_eq!(
        (&runs[0]["kind"], &runs[0]["status"]),
        (&json!("full"), &json!("running"))
    );
    desk.ask("/api/connections/acme/enable").await.with(200);
    assert_eq!(
        desk.all("/api/connections/acme/runs").await.len(),
        1,
        "what is on stays as it is"
    );
}

#[tokio::test]
async fn a_first_full_sync_that_does_not_start_at_once_is_due() {
    let desk = Desk::with_acme().await;
    desk.ask("/api/connections/acme/pause").await.with(200);
    desk.world
        .faults
        .always("save_run", Fault::Fail(When::Before, Failure::Unavailable));
    let enabled = desk.ask("/api/connections/acme/enable").await.with(200);
    assert_eq!(
        (&enabled["status"], &enabled["full_due_at"]),
        (&json!("enabled"), &json!(NOW))
    );
}

#[tokio::test]
async fn enabling_again_waits_for_the_night() {
    let desk = Desk::with_acme().await;
    let mut run = Run::begin(
        "acme".parse().unwrap(),
        RunId::new(1, 1),
        RunKind::Full,
        desk.world.now(),
    );
    run.status = RunStatus::Complete;
    desk.world.store.save_run(run).await.unwrap();
    desk.ask("/api/connections/acme/pause").await.with(200);
    let enabled = desk.ask("/api/connections/acme/enable").await.with(200);
    assert_eq!(enabled["full_due_at"], "2026-11-24T01:00:00Z");
    assert_eq!(desk.all("/api/connections/acme/runs").await.len(), 1);
}

#[tokio::test]
async fn only_what_was_granted_is_enabled() {
    let desk = Desk::new();
    desk.post("/api/connections", json!({"id": "new", "name": "New"}))
        .await
        .with(201);
    let (detail, _) = desk.ask("/api/connections/new/enable").await.problem(409);
    assert!(detail.contains("connect_url"), "{detail}");
    desk.ask("/api/connections/new/pause").await.problem(409);
    desk.connect("lost").await;
    desk.edit_connection("lost", |lost| lost.status = Status::NeedsReconnect)
        .await;
    desk.ask("/api/connections/lost/enable").await.problem(409);
    let lost = desk.ask("/api/connections/lost/pause").await.with(200);
    assert_eq!(lost["status"], "needs_reconnect");
    assert!(
        lost["routine_due_at"].is_null(),
        "so that it stays off when it is reconnected"
    );
}

#[tokio::test]
async fn pausing_stops_what_is_due() {
    let desk = Desk::with_acme().await;
    let paused = desk.ask("/api/connections/acme/pause").await.with(200);
    assert_eq!(paused["status"], "paused");
    assert!(paused["routine_due_at"].is_null() && paused["full_due_at"].is_null());
    desk.ask("/api/connections/acme/pause").await.with(200);
    let actions: Vec<_> = desk
        .all("/api/connections/acme/log")
        .await
        .iter()
        .map(|line| line["action"].clone())
        .collect();
    assert_eq!(json!(actions), json!(["paused"]));
}

#[tokio::test]
async fn disconnecting_revokes_and_forgets() {
    let desk = Desk::with_acme().await;
    let acme = "acme".parse().unwrap();
    let ended = desk.ask("/api/connections/acme/disconnect").await.with(200);
    assert_eq!(ended["status"], "disconnected");
    assert!(ended["connect_url"].is_null());
    assert_eq!(
        desk.zoho.revoked(),
        [(DataCentre::Eu, "1000.refresh-acme".to_owned())]
    );
    assert!(desk.world.vault.tokens_of(&acme).is_none());
    desk.ask("/api/connections/acme/disconnect").await.with(200);
    assert_eq!(desk.zoho.revoked().len(), 1);
    desk.ask("/api/connections/acme/enable").await.problem(409);
    desk.patch(
        "/api/connections/acme/task/t-1",
        json!({"fields": {"subject": "x"}}),
    )
    .await
    .problem(409);
}

#[tokio::test]
async fn a_grant_that_zoho_does_not_revoke_is_revoked_by_asking_again() {
    let desk = Desk::with_acme().await;
    let acme = "acme".parse().unwrap();
    desk.world
        .faults
        .always("revoke", Fault::Fail(When::Before, Failure::Unavailable));
    let (detail, _) = desk
        .ask("/api/connections/acme/disconnect")
        .await
        .problem(502);
    assert!(detail.contains("disconnect it again"), "{detail}");
    let stored = desk.world.store.connection(&acme).await.unwrap().unwrap();
    assert_eq!(stored.status, Status::Disconnected, "stopped all the same");
    assert!(
        desk.world.vault.tokens_of(&acme).is_some(),
        "what is not revoked is not forgotten"
    );
    desk.world.faults.clear();
    desk.ask("/api/connections/acme/disconnect").await.with(200);
    assert_eq!(desk.zoho.revoked().len(), 1);
}

#[tokio::test]
async fn what_zoho_does_not_show_is_among_the_findings() {
    let desk = Desk::with_acme().await;
    let shown = desk.get("/api/connections/acme").await.with(200);
    assert_eq!(shown["findings"], json!([]));
    let lacks = [Lack::Field("Amount".into())].into();
    let store = &desk.world.store;
    store
        .keep_lacks(&"acme".parse().unwrap(), Object::Deal, &lacks)
        .await
        .unwrap();
    let shown = desk.get("/api/connections/acme").await.with(200);
    let finding = &shown["findings"][0];
    assert_eq!(finding["code"], "field_missing");
    assert_eq!(finding["severity"], "problem");
    assert_eq!(finding["module"], "Deals");
    assert_eq!(finding["permission"], "view_field");
    assert_eq!(finding["object"], "deal");
    assert_eq!(finding["field"], "Amount");
    for words in ["what", "remedy"] {
        assert!(!finding[words].as_str().unwrap().is_empty());
    }
}
