//! Runs: listed, shown with what they counted, started by hand.

use serde_json::json;
use tandem::connection::Status;
use tandem::identifier::{RunId, ZohoId};
use tandem::object::Object;
use tandem::port::Coordination as _;
use tandem::run::{Counter, Counters, RunKind, Slice, SliceKey, Stage};

use super::desk::{Desk, NOW};

const PATH: &str = "/api/connections/acme/runs";

#[tokio::test]
async fn a_run_is_started_and_shown() {
    let desk = Desk::with_acme().await;
    let answer = desk.post(PATH, json!({"kind": "full"})).await;
    let location = answer.header("location").to_owned();
    let started = answer.with(202);
    assert_eq!(
        (&started["kind"], &started["status"], &started["stage"]),
        (&json!("full"), &json!("running"), &json!("users"))
    );
    assert_eq!(started["started_at"], NOW);
    assert_eq!(
        location,
        format!("{PATH}/{}", started["id"].as_str().unwrap())
    );
    assert!(
        desk.world.queue.take_work().is_some(),
        "its first messages are on their way"
    );
    let shown = desk.get(&location).await.with(200);
    assert_eq!(shown["id"], started["id"]);
    assert_eq!(shown["slices"][0]["object"], "user");
    let (detail, _) = desk.post(PATH, json!({"kind": "full"})).await.problem(409);
    assert!(detail.contains("under way"), "{detail}");
}

#[tokio::test]
async fn what_a_run_counted_is_summed_by_object() {
    let desk = Desk::with_acme().await;
    let run = desk.post(PATH, json!({"kind": "routine"})).await.with(202);
    let id = run["id"].as_str().unwrap();
    let slice = |stage, index, counted: &[(Counter, u64)]| {
        let mut counters = Counters::default();
        counted
            .iter()
            .for_each(|(counter, number)| counters.add(*counter, *number));
        Slice {
            connection: "acme".parse().unwrap(),
            run: id.parse().unwrap(),
            key: SliceKey {
                stage,
                object: Object::Account,
                index,
            },
            after: ZohoId::MIN,
            to: ZohoId::MAX,
            reached: None,
            position: None,
            looked_at: None,
            done: true,
            failure: Some("a scope lacks".into()),
            server_time: None,
            plan: None,
            counters,
            marks: Vec::new(),
            doubtful: Vec::new(),
            unflagged: [].into(),
            version: 0,
        }
    };
    let slices = [
        slice(
            Stage::Accounts,
            7,
            &[(Counter::RowsRead, 3), (Counter::Created, 1)],
        ),
        slice(Stage::RemoveAccounts, 8, &[(Counter::RowsRead, 4)]),
    ];
    desk.world.store.plan_slices(&slices).await.unwrap();
    let shown = desk.get(&format!("{PATH}/{id}")).await.with(200);
    assert_eq!(
        shown["counters"]["account"],
        json!({"rows_read": 7, "created": 1})
    );
    let slices = shown["slices"].as_array().unwrap();
    let failed = slices.iter().find(|slice| slice["index"] == 7).unwrap();
    assert_eq!(
        failed,
        &json!({"stage": "accounts", "object": "account", "index": 7, "done": true, "failure": "a scope lacks",
            "counters": {"rows_read": 3, "created": 1}})
    );
}

#[tokio::test]
async fn a_full_sync_certifies_each_object() {
    let desk = Desk::with_acme().await;
    let run = desk.post(PATH, json!({"kind": "full"})).await.with(202);
    let id: RunId = run["id"].as_str().unwrap().parse().unwrap();
    let acme = "acme".parse().unwrap();
    let stored = desk.world.store.run(&acme, &id).await.unwrap().unwrap();
    let accounts = tandem::run::Run {
        stage: Stage::Accounts,
        ..stored
    };
    let mut slices = accounts.slices(&[], &[].into());
    let counted = [
        (Counter::RowsRead, 5),
        (Counter::ZohoCount, 6),
        (Counter::Unchanged, 4),
        (Counter::Unmatched, 1),
    ];
    for (counter, number) in counted {
        slices[0].counters.add(counter, number);
    }
    slices[0].done = true;
    slices[0].doubtful.push("77".parse().unwrap());
    slices[0].unflagged.insert("Score".into(), 2);
    desk.world.store.plan_slices(&slices).await.unwrap();
    let shown = desk.get(&format!("{PATH}/{id}")).await.with(200);
    let certificates = shown["certificates"].as_array().unwrap();
    let of = |object: &str| {
        let mut all = certificates.iter();
        all.find(|certificate| certificate["object"] == object)
            .unwrap()
    };
    assert_eq!(of("user")["verdict"], "incomplete");
    let account = of("account");
    assert_eq!(account["verdict"], "zoho_differs");
    assert_eq!(
        (&account["zoho_count"], &account["rows_read"]),
        (&json!(6), &json!(5))
    );
    assert_eq!(
        (&account["unchanged"], &account["unmatched"]),
        (&json!(4), &json!(1))
    );
    assert_eq!(account["doubtful"], json!(["77"]));
    assert_eq!(account["unflagged"], json!({"Score": 2}));
    let routine = desk.post(PATH, json!({"kind": "routine"})).await.with(202);
    let routine = routine["id"].as_str().unwrap();
    let shown = desk.get(&format!("{PATH}/{routine}")).await.with(200);
    assert_eq!(shown["certificates"], json!([]));
}

#[tokio::test]
async fn runs_are_listed_newest_first() {
    let desk = Desk::with_acme().await;
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.insert(
            0,
            desk.post(PATH, json!({"kind": "routine"})).await.with(202)["id"].clone(),
        );
        desk.tick(900);
    }
    let ids: Vec<_> = desk
        .all(PATH)
        .await
        .iter()
        .map(|run| run["id"].clone())
        .collect();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn only_an_enabled_connection_runs() {
    let desk = Desk::with_acme().await;
    desk.edit_connection("acme", |acme| acme.status = Status::Paused)
        .await;
    let (detail, _) = desk
        .post(PATH, json!({"kind": "routine"}))
        .await
        .problem(409);
    assert!(detail.contains("it is paused"), "{detail}");
    desk.edit_connection("acme", |acme| {
        acme.status = Status::Enabled;
        acme.paused_until = "2026-11-23T10:05:00Z".parse().ok();
    })
    .await;
    let answer = desk.post(PATH, json!({"kind": "routine"})).await;
    assert_eq!(answer.header("retry-after"), "300");
    answer.problem(503);
    desk.post("/api/connections/none/runs", json!({"kind": "routine"}))
        .await
        .problem(404);
}

#[tokio::test]
async fn a_run_that_makes_no_sense_is_refused() {
    let desk = Desk::with_acme().await;
    for body in [
        json!({"kind": "nightly"}),
        json!({}),
        json!({"kind": "full", "now": true}),
    ] {
        desk.post(PATH, body).await.problem(400);
    }
    desk.get(&format!("{PATH}/latest")).await.problem(404);
    let (detail, _) = desk
        .get(&format!("{PATH}/01JD8QK3ZV5W7Y0B2C4E6G8H9J"))
        .await
        .problem(404);
    assert_eq!(
        detail,
        "there is no run 01JD8QK3ZV5W7Y0B2C4E6G8H9J of connection acme"
    );
}

#[tokio::test]
async fn one_connections_runs_are_not_anothers() {
    let desk = Desk::with_acme().await;
    desk.connect("other").await;
    let run = tandem::flow::runs::start(
        &desk.world.ports(),
        &"acme".parse().unwrap(),
        RunKind::Routine,
    )
    .await
    .unwrap();
    desk.tick(1);
    desk.post(PATH, json!({"kind": "routine"})).await.with(202);
    desk.get(&format!("/api/connections/other/runs/{}", run.id))
        .await
        .problem(404);
    assert_eq!(desk.all("/api/connections/other/runs").await.len(), 0);
    let page = desk.get(&format!("{PATH}?limit=1")).await.with(200);
    let cursor = page["next"].as_str().unwrap();
    desk.get(&format!("/api/connections/other/runs?cursor={cursor}"))
        .await
        .problem(400);
}
