//! Settings: one document, versioned, refused as a whole.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::json;
use tandem::message::{Work, Writeback};
use tandem_memory::{Failure, Fault, When};

use super::desk::{Desk, NOW};

const PATH: &str = "/api/connections/acme/settings";

#[tokio::test]
async fn settings_are_the_default_ones_until_saved() {
    let desk = Desk::with_acme().await;
    let answer = desk.get(PATH).await;
    assert_eq!(answer.header("etag"), "\"0\"");
    let shown = answer.with(200);
    assert_eq!(
        (&shown["version"], &shown["saved_at"]),
        (&json!(0), &json!(null))
    );
    assert_eq!(shown["settings"]["night_hour"], 2);
}

#[tokio::test]
async fn what_is_shown_can_be_put_back() {
    let desk = Desk::with_acme().await;
    let shown = desk.get(PATH).await.with(200);
    let answer = desk.put_settings("acme", "\"0\"", &shown["settings"]).await;
    assert_eq!(answer.header("etag"), "\"1\"");
    assert_eq!(
        answer.with(200),
        json!({"version": 1, "saved_at": NOW, "settings": shown["settings"], "checked_against_zoho": true, "warnings": []})
    );
    assert_eq!(
        desk.get(PATH).await.with(200),
        json!({"version": 1, "saved_at": NOW, "settings": shown["settings"]})
    );
}

#[tokio::test]
async fn saved_settings_have_parked_edits_tried_again() {
    let desk = Desk::with_acme().await;
    desk.put_settings("acme", "\"0\"", &json!({"night_hour": 3}))
        .await
        .with(200);
    let sent = desk.world.queue.take_writeback().unwrap().message;
    assert!(matches!(sent, Writeback::Retry { next: None, .. }));
    let sent = desk.world.queue.take_work().unwrap().message;
    assert!(
        matches!(sent, Work::Preflight { .. }),
        "the organisation is looked at anew"
    );
    desk.put_settings("acme", "\"0\"", &json!({}))
        .await
        .problem(412);
    assert!(desk.world.queue.is_empty(), "nothing was saved");
    desk.world.faults.always(
        "send_writeback",
        Fault::Fail(When::Before, Failure::Unavailable),
    );
    // Saved is saved: the next full sync makes up for it.
    desk.put_settings("acme", "\"1\"", &json!({}))
        .await
        .with(200);
}

#[tokio::test]
async fn the_version_must_be_the_current_one() {
    let desk = Desk::with_acme().await;
    desk.put_settings("acme", "\"0\"", &json!({"night_hour": 3}))
        .await
        .with(200);
    let (detail, paths) = desk
        .put_settings("acme", "\"0\"", &json!({"night_hour": 4}))
        .await
        .problem(412);
    assert!(detail.contains("version 1 is current, not 0"), "{detail}");
    assert_eq!(paths, ["If-Match"]);
    assert_eq!(desk.get(PATH).await.with(200)["settings"]["night_hour"], 3);
    for malformed in ["1", "*", "\"x\"", "W/\"1\"", "\"1\", \"2\"", "\"-1\""] {
        let (_, paths) = desk
            .put_settings("acme", malformed, &json!({}))
            .await
            .problem(400);
        assert_eq!(paths, ["If-Match"], "{malformed}");
    }
}

#[tokio::test]
async fn without_a_version_nothing_is_replaced() {
    let desk = Desk::with_acme().await;
    let request = Request::put(PATH)
        .header(header::AUTHORIZATION, "Bearer operator")
        .header(header::CONTENT_TYPE, "application/json");
    let (detail, paths) = desk
        .send(request.body(Body::from("{}")).unwrap())
        .await
        .problem(428);
    assert_eq!(paths, ["If-Match"]);
    assert!(
        detail.contains("\"0\" stands for the default settings"),
        "{detail}"
    );
}

#[tokio::test]
async fn every_mistake_of_meaning_is_named_at_once() {
    let desk = Desk::with_acme().await;
    let wrong = json!({
        "night_hour": 24,
        "credit_share": 0,
        "objects": {
            "deal": {"mappings": [{"zoho": "Stage", "platform": "stage", "editable": true}]},
            "account": {"filter": {"all": [{"where": {"field": "A", "comparator": "between", "value": 1}}]}},
        },
    });
    let (_, paths) = desk
        .put_settings("acme", "\"0\"", &wrong)
        .await
        .problem(422);
    assert_eq!(
        paths,
        [
            "$.night_hour",
            "$.credit_share",
            "$.objects.account.filter.all[0].where.value",
            "$.objects.deal.mappings[0].editable",
        ]
    );
    assert_eq!(
        desk.get(PATH).await.with(200)["version"],
        0,
        "nothing of it is saved"
    );
}

#[tokio::test]
async fn a_mistake_of_shape_is_named_by_its_place() {
    let desk = Desk::with_acme().await;
    for (body, place) in [
        (json!({"nigth_hour": 3}), "$.nigth_hour"),
        (json!({"night_hour": "three"}), "$.night_hour"),
        (json!({"night_hour": 300}), "$.night_hour"),
        (json!({"conflicts": "nobody_wins"}), "$.conflicts"),
        (json!({"objects": {"invoice": {}}}), "$.objects"),
        (
            json!({"objects": {"task": {"mappings": [{"zoho": "A", "platform": "b", "editible": true}]}}}),
            "$.objects.task.mappings[0].editible",
        ),
        (
            json!({"objects": {"task": {"mappings": [{"zoho": "A b", "platform": "b"}]}}}),
            "$.objects.task.mappings[0].zoho",
        ),
        (json!({"log": {"keep_days": -1}}), "$.log.keep_days"),
    ] {
        let (detail, paths) = desk.put_settings("acme", "\"0\"", &body).await.problem(400);
        assert!(
            paths.len() == 1 && paths[0].starts_with(place),
            "{paths:?}: {detail}"
        );
    }
}

#[tokio::test]
async fn a_deeply_nested_filter_is_refused_and_breaks_nothing() {
    let desk = Desk::with_acme().await;
    let deep = format!("{}{}", r#"{"all":["#.repeat(5_000), "]}".repeat(5_000));
    let request = Request::put(PATH)
        .header(header::AUTHORIZATION, "Bearer operator")
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .header(header::IF_MATCH, "\"0\"");
    let body = format!(r#"{{"objects":{{"account":{{"filter":{deep}}}}}}}"#);
    desk.send(request.body(Body::from(body)).unwrap())
        .await
        .problem(400);
}

#[tokio::test]
async fn the_history_has_every_version() {
    let desk = Desk::with_acme().await;
    for version in 0..5 {
        desk.put_settings(
            "acme",
            &format!("\"{version}\""),
            &json!({"night_hour": version}),
        )
        .await
        .with(200);
        desk.tick(1);
    }
    let history = desk.all(&format!("{PATH}/history")).await;
    let hours: Vec<_> = history
        .iter()
        .map(|version| version["settings"]["night_hour"].clone())
        .collect();
    assert_eq!(json!(hours), json!([4, 3, 2, 1, 0]));
    assert_eq!(history[0]["saved_at"], "2026-11-23T10:00:04Z");
}

#[tokio::test]
async fn one_connections_settings_are_not_anothers() {
    let desk = Desk::with_acme().await;
    desk.connect("other").await;
    for version in 0..3 {
        desk.put_settings("acme", &format!("\"{version}\""), &json!({}))
            .await
            .with(200);
    }
    let page = desk.get(&format!("{PATH}/history?limit=1")).await.with(200);
    let cursor = page["next"].as_str().unwrap();
    let (_, paths) = desk
        .get(&format!(
            "/api/connections/other/settings/history?cursor={cursor}"
        ))
        .await
        .problem(400);
    assert_eq!(paths, ["?cursor"]);
    assert_eq!(
        desk.get("/api/connections/other/settings").await.with(200)["version"],
        0
    );
}
