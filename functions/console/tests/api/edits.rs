//! Edits, one by one and in bulk.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::json;
use tandem::message::Writeback;
use tandem::object::Object;

use super::desk::Desk;

const ACCOUNT: &str = "/api/connections/acme/account/A-1";

async fn desk_with_account() -> Desk {
    let desk = Desk::with_acme().await;
    desk.map_tier("acme").await;
    desk.record("acme", Object::Account, "A-1", |record| {
        record.zoho_id = "77".parse().ok()
    })
    .await;
    desk
}

#[tokio::test]
async fn an_edit_is_shown_at_once_and_goes_to_zoho() {
    let desk = desk_with_account().await;
    let edit = json!({"fields": {"tier": "Gold"}, "segments": ["vip"], "if_version": 1});
    let accepted = desk.patch(ACCOUNT, edit).await.with(202);
    assert_eq!(
        accepted,
        json!({"id": "A-1", "href": ACCOUNT, "version": 2})
    );
    let shown = desk.get(ACCOUNT).await.with(200);
    assert_eq!(shown["fields"]["tier"], "Gold");
    assert_eq!(shown["pending"], json!(["tier"]));
    assert_eq!(shown["segments"], json!(["vip"]));
    assert_eq!(shown["sources"]["tier"]["side"], "platform");
    let push = |message: &Writeback| matches!(message, Writeback::Push { .. });
    let sent = desk.world.queue.writeback.take_where(push).unwrap().message;
    assert!(matches!(sent, Writeback::Push { ids, .. } if ids == ["A-1".parse().unwrap()]));
}

#[tokio::test]
async fn an_edit_of_another_version_is_refused() {
    let desk = desk_with_account().await;
    desk.patch(ACCOUNT, json!({"fields": {"tier": "Gold"}}))
        .await
        .with(202);
    let (detail, paths) = desk
        .patch(
            ACCOUNT,
            json!({"fields": {"tier": "Silver"}, "if_version": 1}),
        )
        .await
        .problem(409);
    assert!(detail.contains("at version 2"), "{detail}");
    assert_eq!(paths, ["$.if_version"]);
    let (detail, _) = desk
        .patch("/api/connections/acme/task/t-9", json!({"if_version": 4}))
        .await
        .problem(409);
    assert!(detail.contains("at version 0"), "{detail}");
}

#[tokio::test]
async fn each_mistake_of_an_edit_is_named_by_its_place() {
    let desk = desk_with_account().await;
    let edit =
        json!({"fields": {"name": "x", "nope": 1, "usage.logins": 1, "tier": 7}, "if_version": 1});
    let (_, paths) = desk.patch(ACCOUNT, edit).await.problem(422);
    assert_eq!(
        paths,
        [
            "$.fields.name",
            "$.fields.nope",
            "$.fields.tier",
            "$.fields[\"usage.logins\"]"
        ]
    );
    let (_, paths) = desk
        .patch(
            "/api/connections/acme/deal/d",
            json!({"fields": {"stage": "Won"}}),
        )
        .await
        .problem(422);
    assert_eq!(paths, ["$"]);
    assert_eq!(
        desk.get(ACCOUNT).await.with(200)["version"],
        1,
        "nothing of it is taken"
    );
}

#[tokio::test]
async fn a_body_that_can_not_be_read_is_named_by_its_place() {
    let desk = desk_with_account().await;
    for (body, path) in [
        (json!({"feilds": {}}), "$.feilds"),
        (json!({"fields": []}), "$.fields"),
        (json!({"fields": {"Tier": 1}}), "$.fields"),
        (json!({"segments": "vip"}), "$.segments"),
        (json!({"if_version": -1}), "$.if_version"),
        (json!({"if_version": "1"}), "$.if_version"),
        (json!({"id": "A-2"}), "$.id"),
    ] {
        let (detail, paths) = desk.patch(ACCOUNT, body.clone()).await.problem(400);
        assert!(
            paths.len() == 1 && paths[0].starts_with(path),
            "{body} {paths:?} {detail}"
        );
    }
    let request = |kind: &'static str, body: &'static str| {
        Request::patch(ACCOUNT)
            .header(header::AUTHORIZATION, "Bearer operator")
            .header(header::CONTENT_TYPE, kind)
            .body(Body::from(body))
            .unwrap()
    };
    for broken in ["", "{", "{}{}", "{\"fields\": {}} x", "\u{feff}{}"] {
        desk.send(request("application/json", broken))
            .await
            .problem(400);
    }
    desk.send(request("text/plain", "{}")).await.problem(415);
    desk.send(request("application/jsonp", "{}"))
        .await
        .problem(415);
    desk.send(request("Application/JSON; charset=utf-8", "{}"))
        .await
        .with(202);
}

#[tokio::test]
async fn a_body_has_a_limit() {
    let desk = desk_with_account().await;
    let (detail, _) = desk
        .patch(
            ACCOUNT,
            json!({"fields": {"tier": "x".repeat(1024 * 1024)}}),
        )
        .await
        .problem(413);
    assert!(detail.contains("1048576"), "{detail}");
}

#[tokio::test]
async fn a_new_task_comes_into_being() {
    let desk = Desk::with_acme().await;
    let path = "/api/connections/acme/task/my%2Ftask";
    let accepted = desk
        .patch(
            path,
            json!({"fields": {"subject": "Call"}, "if_version": 0}),
        )
        .await
        .with(202);
    assert_eq!(
        accepted,
        json!({"id": "my/task", "href": "/api/connections/acme/task/~bXkvdGFzaw", "version": 1})
    );
    assert_eq!(desk.get(path).await.with(200)["fields"]["subject"], "Call");
    let (detail, _) = desk
        .patch(
            path,
            json!({"fields": {"subject": "Call"}, "if_version": 0}),
        )
        .await
        .problem(409);
    assert!(detail.contains("at version 1"), "{detail}");
    desk.patch("/api/connections/acme/task/other", json!({"fields": {}}))
        .await
        .problem(422);
}

#[tokio::test]
async fn a_record_can_be_named_like_the_address_of_bulk_edits() {
    let desk = desk_with_account().await;
    let path = "/api/connections/acme/task/edits";
    desk.patch(path, json!({"fields": {"subject": "x"}}))
        .await
        .with(202);
    assert_eq!(desk.get(path).await.with(200)["id"], "edits");
    desk.ask(&format!("{path}/retry")).await.problem(409);
    let answers = desk
        .post(
            path,
            json!({"edits": [{"id": "retry", "fields": {"subject": "x"}}]}),
        )
        .await
        .with(200);
    assert_eq!(answers["answers"][0]["status"], 202);
}

#[tokio::test]
async fn many_edits_are_judged_one_by_one() {
    let desk = desk_with_account().await;
    desk.record("acme", Object::Account, "A-2", |_| {}).await;
    let edits = json!({"edits": [
        {"id": "A-1", "fields": {"tier": "Gold"}},
        {"id": "A-2", "fields": {"nope": 1}},
        {"id": "A-4", "fields": {"tier": "Gold"}, "if_version": 9},
        {"id": "A/3", "segments": ["vip"], "if_version": 0},
        {"id": "A-1", "fields": {"tier": "Silver"}},
    ]});
    let answers = desk
        .post("/api/connections/acme/account/edits", edits)
        .await
        .with(200);
    assert_eq!(
        (&answers["accepted"], &answers["refused"]),
        (&json!(2), &json!(3))
    );
    let statuses: Vec<_> = answers["answers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| answer["status"].clone())
        .collect();
    assert_eq!(json!(statuses), json!([202, 422, 409, 202, 422]));
    assert_eq!(answers["answers"][0]["version"], 2);
    assert_eq!(
        answers["answers"][1]["errors"][0]["path"],
        "$.edits[1].fields.nope"
    );
    assert_eq!(
        answers["answers"][2]["errors"][0]["path"],
        "$.edits[2].if_version"
    );
    assert_eq!(
        answers["answers"][3]["href"],
        "/api/connections/acme/account/~QS8z"
    );
    assert_eq!(answers["answers"][4]["errors"][0]["path"], "$.edits[4]");
    assert_eq!(desk.get(ACCOUNT).await.with(200)["fields"]["tier"], "Gold");
}

#[tokio::test]
async fn many_edits_have_a_limit() {
    let desk = desk_with_account().await;
    let path = "/api/connections/acme/task/edits";
    let many = |number: usize| {
        let edits: Vec<_> = (0..number)
            .map(|index| json!({"id": format!("t-{index}"), "fields": {"subject": "x"}}))
            .collect();
        json!({"edits": edits})
    };
    for number in [0, 501] {
        let (_, paths) = desk.post(path, many(number)).await.problem(422);
        assert_eq!(paths, ["$.edits"]);
    }
    assert_eq!(desk.post(path, many(500)).await.with(200)["accepted"], 500);
    let (_, paths) = desk
        .post(path, json!({"edits": [{"id": "a"}, {"id": ""}]}))
        .await
        .problem(400);
    assert_eq!(paths, ["$.edits[1].id"]);
    let (_, paths) = desk
        .post(path, json!({"edits": [{"id": "a", "feilds": {}}]}))
        .await
        .problem(400);
    assert_eq!(paths, ["$.edits[0].feilds"]);
}

#[tokio::test]
async fn an_edit_of_a_contact_is_of_the_same_contact_in_any_case() {
    let desk = Desk::with_acme().await;
    let accepted = desk
        .patch(
            "/api/connections/acme/contact/Jane@Acme.example",
            json!({"segments": ["vip"]}),
        )
        .await
        .with(202);
    assert_eq!(accepted["id"], "jane@acme.example");
    let stale = json!({"segments": [], "if_version": 7});
    desk.patch("/api/connections/acme/contact/JANE@acme.example", stale)
        .await
        .problem(409);
}
