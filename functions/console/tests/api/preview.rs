//! The preview of settings: refused as settings are, page by page, and nothing is written.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use tandem::connection::Status;
use tandem::identifier::{Digest, ZohoId};
use tandem::object::Object;
use tandem::port::Ledger as _;
use tandem::record::{Dependants, Link, Standing};
use tandem_memory::Writes;

use super::desk::Desk;

const PATH: &str = "/api/connections/acme/settings/preview";

fn filtered() -> Json {
    json!({"objects": {"account": {"filter": {"where": {"field": "Tier", "comparator": "equal", "value": "gold"}}}}})
}

fn asked(object: &str) -> Json {
    json!({"settings": filtered(), "object": object})
}

/// Ties that many accounts to the platform.
async fn link_accounts(desk: &Desk, number: u64) {
    let link = |number: u64| Link {
        connection: "acme".parse().unwrap(),
        object: Object::Account,
        zoho_id: number.to_string().parse::<ZohoId>().unwrap(),
        standing: Standing::Linked(format!("A-{number}").parse().unwrap()),
        hash: Digest::of(b"then"),
        in_scope: true,
        dependants: Dependants::Asked,
    };
    let links: Vec<Link> = (1..=number).map(link).collect();
    desk.world.store.save_links(&links).await.unwrap();
}

#[tokio::test]
async fn what_is_not_touched_says_so_and_costs_nothing() {
    let desk = Desk::with_acme().await;
    let shown = desk.post(PATH, asked("user")).await.with(200);
    assert_eq!(
        (&shown["touched"], &shown["spent"]),
        (&json!(false), &json!(0))
    );
    assert!(shown["credits"].is_null() && shown["next"].is_null());
    let same = json!({"settings": {}, "object": "account"});
    assert_eq!(desk.post(PATH, same).await.with(200)["touched"], false);
}

#[tokio::test]
async fn who_would_leave_is_named_with_the_reason_and_nothing_is_written() {
    let desk = Desk::with_acme().await;
    link_accounts(&desk, 60).await;
    let before = desk.world.store.writes();
    let shown = desk.post(PATH, asked("account")).await.with(200);
    assert_eq!(shown["touched"], true);
    assert_eq!(
        (&shown["counts"]["leaving"], &shown["counts"]["present"]),
        (&json!(60), &json!(60))
    );
    assert_eq!(shown["counts"]["leaving_by_reason"], json!({"gone": 60}));
    assert_eq!(shown["leaving"].as_array().unwrap().len(), 50);
    assert_eq!(
        shown["leaving"][0],
        json!({"zoho_id": "1", "id": "A-1", "name": null, "reason": "gone"})
    );
    assert_eq!(shown["held"], true);
    assert_eq!(shown["credits"]["once"], 3);
    let written = desk.world.store.writes() - before;
    let only_traces = Writes {
        credits: written.credits,
        leases: written.leases,
        ..Writes::default()
    };
    assert_eq!(written, only_traces);
}

#[tokio::test]
async fn mistakes_in_the_settings_are_named_by_their_place_in_the_request() {
    let desk = Desk::with_acme().await;
    let wrong = json!({"settings": {"night_hour": 24}, "object": "account"});
    let (_, paths) = desk.post(PATH, wrong).await.problem(422);
    assert_eq!(paths, ["$.settings.night_hour"]);
    for (body, place) in [
        (
            json!({"settings": {"nigth_hour": 3}, "object": "deal"}),
            "$.settings",
        ),
        (json!({"settings": {}, "object": "invoice"}), "$.object"),
        (
            json!({"settings": {}, "object": "deal", "after": "7"}),
            "$.after",
        ),
        (
            json!({"settings": {}, "object": "deal", "cursor": "x"}),
            "$.cursor",
        ),
    ] {
        let (detail, paths) = desk.post(PATH, body).await.problem(400);
        assert!(
            paths.len() == 1 && paths[0].starts_with(place),
            "{paths:?}: {detail}"
        );
    }
}

#[tokio::test]
async fn the_connection_must_be_granted_and_need_not_be_on() {
    let desk = Desk::with_acme().await;
    let other = "/api/connections/other/settings/preview";
    desk.post(other, asked("account")).await.problem(404);
    desk.edit_connection("acme", |connection| connection.status = Status::Paused)
        .await;
    desk.post(PATH, asked("account")).await.with(200);
    desk.edit_connection("acme", |connection| {
        connection.status = Status::New;
        connection.organisation = None;
    })
    .await;
    desk.post(PATH, asked("account")).await.problem(409);
}

#[tokio::test]
async fn a_large_object_takes_several_requests_that_add_up() {
    let desk = Desk::with_acme().await;
    link_accounts(&desk, 4_500).await;
    desk.zoho.slow_down(desk.world.clock.clone());
    let mut body = asked("account");
    let (mut seen, mut requests) = (BTreeSet::new(), 0);
    loop {
        let shown = desk.post(PATH, body.clone()).await.with(200);
        requests += 1;
        let leaving = shown["leaving"].as_array().unwrap();
        seen.extend(leaving.iter().map(|record| record["id"].to_string()));
        if shown["next"].is_null() {
            assert_eq!(shown["counts"]["leaving"], 4_500);
            assert_eq!(shown["held"], true);
            break;
        }
        assert!(shown["held"].is_null());
        body["cursor"] = shown["next"].clone();
    }
    assert_eq!((requests, seen.len()), (3, 150));
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_settings_only() {
    let desk = Desk::with_acme().await;
    link_accounts(&desk, 2_500).await;
    desk.zoho.slow_down(desk.world.clock.clone());
    let shown = desk.post(PATH, asked("account")).await.with(200);
    let with = |change: &dyn Fn(&mut Json)| {
        let mut body = asked("account");
        body["cursor"] = shown["next"].clone();
        change(&mut body);
        body
    };
    for changed in [
        with(&|body| body["object"] = json!("contact")),
        with(&|body| body["settings"]["night_hour"] = json!(5)),
    ] {
        let (_, paths) = desk.post(PATH, changed).await.problem(400);
        assert_eq!(paths, ["$.cursor"]);
    }
    desk.post(PATH, with(&|_| {})).await.with(200);
    desk.put_settings("acme", "\"0\"", &json!({}))
        .await
        .with(200);
    let (_, paths) = desk.post(PATH, with(&|_| {})).await.problem(400);
    assert_eq!(paths, ["$.cursor"], "the current settings are others now");
}
