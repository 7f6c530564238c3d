//! Credits, concurrency, failures on order.

use crate::{World, refused};
use http::Method;
use serde_json::json;
use zoho_sim::Request;
use zoho_sim::faults::{Fault, Moment, Throttle};
use zoho_sim::limits::Edition;

fn used(world: &World) -> u64 {
    world.zoho.usage(world.org, world.now).unwrap()["used_24h"]
        .as_u64()
        .unwrap()
}

#[test]
fn calls_cost_what_the_sheet_says() {
    let mut world = World::new();
    let view = world.get("settings/custom_views?module=Accounts").value()["custom_views"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let eleven: Vec<_> = (0..11).map(|_| json!({ "Account_Name": "A" })).collect();
    let mut cost = |method: Method, target: &str, body: serde_json::Value| {
        let before = used(&world);
        world.write(method, target, body);
        used(&world) - before
    };
    assert_eq!(cost(Method::GET, "Accounts?fields=id", json!({})), 1);
    assert_eq!(
        cost(
            Method::GET,
            &format!("Accounts?fields=id&cvid={view}"),
            json!({})
        ),
        3
    );
    assert_eq!(cost(Method::GET, "Accounts/deleted", json!({})), 2);
    assert_eq!(cost(Method::GET, "users?type=AllUsers", json!({})), 1);
    assert_eq!(
        cost(
            Method::POST,
            "Accounts",
            json!({ "data": [{ "Account_Name": "A" }] })
        ),
        1
    );
    assert_eq!(cost(Method::POST, "Accounts", json!({ "data": eleven })), 2);
}

#[test]
fn credits_run_out_and_come_back() {
    let mut world = World::new();
    world.zoho.organisation_mut(world.org).unwrap().credit_limit = Some(10);
    for call in 1..=10 {
        let answer = world.get("Accounts?fields=id");
        assert_eq!(answer.status, 200);
        let remaining = answer.header("X-API-CREDITS-REMAINING").map(str::to_owned);
        assert_eq!(remaining, (call >= 5).then(|| (10 - call).to_string()));
    }
    refused(&world.get("Accounts?fields=id"), 429, "TOO_MANY_REQUESTS");
    world.pass(24 * 3600 + 60);
    world.token = world.token_with(&crate::SCOPES);
    assert_eq!(world.get("Accounts?fields=id").status, 200);
}

#[test]
fn editions_have_their_limits() {
    for (edition, users, credits, concurrency) in [
        (Edition::Free, 3, 5_000, 5),
        (Edition::Standard, 1_000, 100_000, 10),
        (Edition::Professional, 10, 55_000, 15),
        (Edition::Enterprise, 10, 60_000, 20),
        (Edition::Ultimate, 10, 70_000, 25),
    ] {
        assert_eq!(
            (edition.credits(users), edition.concurrency()),
            (credits, concurrency)
        );
    }
}

#[test]
fn concurrent_calls_are_counted() {
    let mut world = World::new();
    world
        .zoho
        .organisation_mut(world.org)
        .unwrap()
        .concurrency_limit = Some(2);
    let request = Request::get("/crm/v8/Accounts?fields=id").token(&world.token);
    let first = world.zoho.start("us", &request, world.now);
    let second = world.zoho.start("us", &request, world.now);
    let third = world.zoho.start("us", &request, world.now);
    assert_eq!(
        (
            first.answer.status,
            second.answer.status,
            third.answer.status
        ),
        (200, 200, 429)
    );
    world.zoho.finish(third);
    world.zoho.finish(first);
    assert_eq!(world.get("Accounts?fields=id").status, 200);
    world.zoho.finish(second);
    assert_eq!(
        world.zoho.usage(world.org, world.now).unwrap()["max_concurrent"],
        2
    );
}

#[test]
fn heavy_calls_have_a_limit_of_their_own() {
    let mut world = World::new();
    let heavy =
        Request::get("/crm/v8/Accounts?fields=id&sort_by=Modified_Time").token(&world.token);
    let started: Vec<_> = (0..10)
        .map(|_| world.zoho.start("us", &heavy, world.now))
        .collect();
    assert!(started.iter().all(|started| started.answer.status == 200));
    refused(
        &world.zoho.answer("us", &heavy, world.now),
        429,
        "TOO_MANY_REQUESTS",
    );
    assert_eq!(
        world.get("Accounts?fields=id").status,
        200,
        "a light call passes"
    );
    for started in started {
        world.zoho.finish(started);
    }
    assert_eq!(world.zoho.answer("us", &heavy, world.now).status, 200);
}

#[test]
fn throttling_by_count_and_by_time() {
    let mut world = World::new();
    world.zoho.faults.throttle(Throttle {
        calls: Some(2),
        retry_after: Some(7),
        ..Throttle::default()
    });
    for _ in 0..2 {
        let answer = world.get("Accounts?fields=id");
        refused(&answer, 429, "TOO_MANY_REQUESTS");
        assert_eq!(answer.header("Retry-After"), Some("7"));
    }
    assert_eq!(world.get("Accounts?fields=id").status, 200);
    let until = world.now + jiff::SignedDuration::from_secs(60);
    world.zoho.faults.throttle(Throttle {
        until: Some(until),
        ..Throttle::default()
    });
    let answer = world.get("Accounts?fields=id");
    assert_eq!((answer.status, answer.header("Retry-After")), (429, None));
    world.pass(60);
    assert_eq!(world.get("Accounts?fields=id").status, 200);
}

#[test]
fn failures_strike_before_or_after_the_effect() {
    let mut world = World::new();
    let count = world.ids("Accounts").len();
    let body = json!({ "data": [{ "Account_Name": "A" }] });
    let fault = |moment, status| Fault {
        method: Some("POST".to_owned()),
        path: "/crm/v8/Acc*".to_owned(),
        moment,
        status,
        ..Fault::default()
    };
    world.zoho.faults.fail(fault(Moment::Before, 503));
    assert_eq!(
        world.get("Accounts?fields=id").status,
        200,
        "another method"
    );
    assert_eq!(world.post("Accounts", body.clone()).status, 503);
    assert_eq!(world.ids("Accounts").len(), count);
    world.zoho.faults.fail(fault(Moment::After, 500));
    refused(&world.post("Accounts", body.clone()), 500, "INTERNAL_ERROR");
    assert_eq!(world.ids("Accounts").len(), count + 1);
    world.zoho.faults.fail(Fault {
        skip: 1,
        ..fault(Moment::After, 0)
    });
    assert!(!world.post("Accounts", body.clone()).is_lost());
    assert!(world.post("Accounts", body.clone()).is_lost());
    assert_eq!(world.ids("Accounts").len(), count + 3);
    assert_eq!(world.post("Accounts", body).status, 201);
    assert!(world.zoho.faults.pending().0.is_empty());
}

#[test]
fn a_storm_strikes_as_its_seed_says_until_it_is_cleared() {
    let strikes = |seed| {
        let mut world = World::new();
        world.zoho.faults.storm(seed, 200);
        let answers: Vec<(u16, bool)> = (0..200)
            .map(|_| {
                let answer = world.get("Accounts?fields=id");
                (answer.status, answer.is_lost())
            })
            .collect();
        let failed = answers
            .iter()
            .filter(|(status, lost)| *lost || *status != 200);
        assert_eq!(failed.count() as u64, world.zoho.faults.struck());
        world.zoho.faults.clear();
        assert!((0..50).all(|_| world.get("Accounts?fields=id").status == 200));
        answers
    };
    let first = strikes(1);
    assert_eq!(first, strikes(1));
    assert_ne!(first, strikes(2));
    for wanted in [429, 500, 503] {
        assert!(
            first.iter().any(|(status, _)| *status == wanted),
            "{wanted}"
        );
    }
    assert!(first.iter().any(|(_, lost)| *lost));
}

#[test]
fn the_token_endpoint_fails_on_order_too() {
    let mut world = World::new();
    world.zoho.faults.fail(Fault {
        path: "/oauth/v2/token".to_owned(),
        status: 502,
        ..Fault::default()
    });
    let request = Request::with_target(Method::POST, "/oauth/v2/token")
        .form(&[("grant_type", "refresh_token")]);
    assert_eq!(world.zoho.answer("us", &request, world.now).status, 502);
    assert_eq!(world.zoho.answer("us", &request, world.now).status, 200);
}

#[test]
fn the_journal_tells_no_secrets() {
    let mut world = World::new();
    let request = Request::with_target(
        Method::POST,
        "/oauth/v2/token?client_secret=hush&refresh_token=1000.hush.hush",
    );
    world.zoho.answer("us", &request, world.now);
    world.get("Accounts?fields=id&page_token=hush");
    let shown = serde_json::to_string(&world.zoho.journal.since(0).collect::<Vec<_>>()).unwrap();
    assert!(!shown.contains("hush") && shown.contains("(redacted)"));
    assert!(!shown.contains(&world.token));
    let last = world.zoho.journal.since(1).next().unwrap();
    assert_eq!(
        (last.module.as_deref(), last.status, last.code.as_deref()),
        (Some("Accounts"), 400, Some("INVALID_DATA"))
    );
}
