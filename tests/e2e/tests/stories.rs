//! The stories.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use e2e::{BUDGET, CONNECTION, connect, content, enable, ended, ids, settings, world, world_of};
use serde_json::{Value, json};
use zoho_sim::OrganisationSpec;

#[tokio::test(flavor = "multi_thread")]
async fn workers_killed_in_the_middle_and_messages_delivered_twice_lead_to_the_same_tables() {
    let calm = world("e2e-calm", 150).await.unwrap();
    connect(&calm).await.unwrap();
    let run = enable(&calm).await.unwrap();
    assert_eq!(ended(&calm, &run).await.unwrap()["status"], "complete");

    let stormy = world("e2e-storm", 150).await.unwrap();
    connect(&stormy).await.unwrap();
    // Slow enough that a worker is in the middle of something when it dies.
    stormy.zoho().unwrap().zoho().faults.delay_ms = 150;
    let run = enable(&stormy).await.unwrap();
    let path = format!("/api/connections/{CONNECTION}/runs/{run}");
    let (mut killed, mut doubled) = (0, 0);
    let deadline = Instant::now() + BUDGET;
    loop {
        let state = stormy.console.get(&path).await.unwrap();
        if state["status"] != "running" {
            assert_eq!(state["status"], "complete", "{state}");
            break;
        }
        assert!(Instant::now() < deadline, "{state}");
        for slice in state["slices"].as_array().unwrap() {
            let object = slice["object"].as_str().unwrap();
            let queue = format!("{object}s");
            if doubled < 20 {
                let message = json!({
                    "kind": "slice", "version": 1, "connection": CONNECTION, "run": run,
                    "slice": { "stage": slice["stage"], "object": object, "index": slice["index"] }
                });
                stormy
                    .stack
                    .send(&queue, CONNECTION, &message.to_string())
                    .await
                    .unwrap();
                doubled += 1;
            }
            if slice["done"] == false && killed < 4 {
                killed += stormy
                    .stack
                    .kill_function(&format!("worker-{queue}"))
                    .await
                    .unwrap();
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stormy.stack.wait_until_idle(BUDGET).await.unwrap();
    assert!(killed > 0, "no worker was killed");
    assert!(doubled > 0, "no message was doubled");
    let (calm, stormy) = (
        content(&calm).await.unwrap(),
        content(&stormy).await.unwrap(),
    );
    assert!(calm.len() > 1_000, "{}", calm.len());
    assert_eq!(
        calm.keys().collect::<Vec<_>>(),
        stormy.keys().collect::<Vec<_>>()
    );
    for (key, item) in &calm {
        assert_eq!(item, &stormy[key], "{key}");
    }
}

/// How many accounts make three slices: one is cut about every 10,000 rows.
const LARGE: usize = 21_000;

/// The first full sync leaves the marks at which the second is cut. Few accounts are in scope, so that little has to be written.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_object_is_read_in_slices_side_by_side() {
    let organisation = OrganisationSpec {
        accounts: LARGE,
        contacts: Some(100),
        deals: Some(50),
        tasks: Some(50),
        users: Some(5),
        ..OrganisationSpec::small(11)
    };
    let world = world_of("e2e-slices", organisation).await.unwrap();
    connect(&world).await.unwrap();
    let mut settings = settings();
    settings["objects"]["account"]["filter"]["where"] =
        json!({ "field": "Employees", "comparator": "less_than", "value": 1_000 });
    world
        .console
        .save_settings(CONNECTION, &settings)
        .await
        .unwrap();
    let rows_read = |run: &Value| -> Vec<u64> {
        let slices = run["slices"].as_array().unwrap().iter();
        let of_accounts = slices.filter(|slice| slice["object"] == "account");
        of_accounts
            .filter_map(|slice| slice["counters"]["rows_read"].as_u64())
            .collect()
    };
    let first = enable(&world).await.unwrap();
    let first = ended(&world, &first).await.unwrap();
    assert_eq!(first["status"], "complete", "{first}");
    assert_eq!(rows_read(&first), [LARGE as u64]);
    let before = content(&world).await.unwrap();

    let request = {
        let mut zoho = world.zoho().unwrap().zoho();
        zoho.faults.delay_ms = 100;
        zoho.journal.latest()
    };
    let night = world.console.start_run(CONNECTION, "full").await.unwrap();
    let night = ended(&world, &night).await.unwrap();
    assert_eq!(night["status"], "complete", "{night}");
    let read = rows_read(&night);
    assert_eq!(read.len(), 3, "{read:?}");
    assert_eq!(read.iter().sum::<u64>(), LARGE as u64, "{read:?}");
    // A slice is known by its upper bound; the last has none.
    let slices: Vec<String> = {
        let zoho = world.zoho().unwrap().zoho();
        let queries = zoho.journal.since(request);
        let queries = queries
            .filter_map(|served| served.coql.as_deref())
            .filter(|coql| coql.contains(" from Accounts where ") && coql.contains("order by id"));
        queries
            .map(|coql| coql.split_once("id <= ").map_or("", |(_, bound)| bound))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(
        slices.iter().collect::<BTreeSet<_>>().len(),
        3,
        "{slices:?}"
    );
    let switches = slices.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(switches > 2, "one after the other: {slices:?}");
    assert_eq!(before, content(&world).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_survive_a_killed_writeback_and_create_nothing_twice() {
    let world = world("e2e-writeback", 40).await.unwrap();
    connect(&world).await.unwrap();
    let run = enable(&world).await.unwrap();
    assert_eq!(ended(&world, &run).await.unwrap()["status"], "complete");
    let accounts = ids(&world, "account", 10).await.unwrap();
    world.zoho().unwrap().zoho().faults.delay_ms = 200;
    let edits: Vec<Value> = (0..30)
        .map(|number| {
            let account = &accounts[number % accounts.len()];
            json!({ "id": format!("task-{number}"), "fields": { "subject": format!("Storm {number}"), "account": account } })
        })
        .collect();
    world
        .console
        .post(
            &format!("/api/connections/{CONNECTION}/task/edits"),
            &json!({ "edits": edits }),
        )
        .await
        .unwrap();
    let mut killed = 0;
    for _ in 0..200 {
        killed += world.stack.kill_function("writeback").await.unwrap();
        if killed >= 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.stack.wait_until_idle(BUDGET).await.unwrap();
    let zoho = world.zoho().unwrap();
    let now = zoho.now();
    let organisation = zoho.zoho().organisations().next().unwrap().id;
    let rows = zoho.zoho().records(organisation, "Tasks", now).unwrap();
    for number in 0..30 {
        let subject = format!("Storm {number}");
        assert_eq!(
            rows.iter()
                .filter(|row| row["Subject"] == subject.as_str())
                .count(),
            1,
            "{subject}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_callback_gets_a_page_and_no_secret() {
    let world = world("e2e-callback", 20).await.unwrap();
    world
        .console
        .post(
            "/api/connections",
            &json!({ "id": CONNECTION, "name": "Acme" }),
        )
        .await
        .unwrap();
    let zoho = world.zoho().unwrap().base_url().to_owned();
    let forged = [
        format!("state=never-given-out&code=1000.x&location=us&accounts-server={zoho}/us"),
        "state=x&code=y&location=us&accounts-server=https%3A%2F%2Faccounts.zoho.com.evil.example"
            .to_owned(),
        "error=access_denied".to_owned(),
        String::new(),
    ];
    for query in forged {
        let (status, page) = world
            .walk_consent(&format!("{}/oauth/callback?{query}", world.door.url()))
            .await
            .unwrap();
        assert!(status.is_client_error(), "{query}: {status}");
        assert!(
            page.contains("<html") && !page.contains("1000.x"),
            "{query}: {page}"
        );
    }
    let (status, page) = world
        .walk_consent(&format!(
            "{}/connect/{CONNECTION}?dc=mars",
            world.door.url()
        ))
        .await
        .unwrap();
    assert!(
        status.is_client_error() && page.contains("mars"),
        "{status}: {page}"
    );
    let guard = world.zoho().unwrap().zoho();
    let told: Vec<&str> = guard
        .journal
        .since(0)
        .map(|served| served.path.as_str())
        .filter(|path| path.contains("/token"))
        .collect();
    assert_eq!(told, Vec::<&str>::new(), "a token endpoint was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_grant_stops_the_connection_and_reconnecting_goes_on() {
    let world = world("e2e-revoked", 20).await.unwrap();
    connect(&world).await.unwrap();
    let run = enable(&world).await.unwrap();
    assert_eq!(ended(&world, &run).await.unwrap()["status"], "complete");
    {
        let zoho = world.zoho().unwrap();
        let organisation = zoho.zoho().organisations().next().unwrap().id;
        zoho.zoho().oauth.revoke_all(organisation, true);
    }
    let before = world.zoho().unwrap().zoho().journal.latest();
    let run = world
        .console
        .start_run(CONNECTION, "routine")
        .await
        .unwrap();
    assert_eq!(ended(&world, &run).await.unwrap()["status"], "incomplete");
    let connection = world
        .console
        .get(&format!("/api/connections/{CONNECTION}"))
        .await
        .unwrap();
    assert_eq!(connection["status"], "needs_reconnect", "{connection}");
    let asked = world.zoho().unwrap().zoho().journal.since(before).count();
    assert!(asked <= 20, "a storm of {asked} requests");
    world.connect(CONNECTION, "us").await.unwrap();
    let run = world
        .console
        .start_run(CONNECTION, "routine")
        .await
        .unwrap();
    assert_eq!(ended(&world, &run).await.unwrap()["status"], "complete");
}

/// With the roles enforced: the console may look at dead letters and send them again.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_seen_in_the_console_and_sent_again() {
    let world = world("e2e-letters", 1).await.unwrap();
    let dead_letters = &world.stack.queues()["users"].dead_letters_url;
    let body = "{\"kind\": \"greeting\"}";
    let put =
        json!({ "QueueUrl": dead_letters, "MessageBody": body, "MessageGroupId": CONNECTION });
    let client = world.stack.client();
    client
        .json("sqs", "AmazonSQS.SendMessage", &put)
        .await
        .unwrap();
    let shown = world.console.get("/api/dead-letters").await.unwrap();
    let waiting: u64 = shown["queues"]
        .as_array()
        .unwrap()
        .iter()
        .map(|queue| queue["waiting"].as_u64().unwrap())
        .sum();
    assert_eq!(waiting, 1, "{shown}");
    let letter = &shown["queues"][4]["letters"][0];
    assert_eq!(letter["kind"], "unreadable", "{shown}");
    assert_eq!(letter["connection"], CONNECTION);
    let path = "/api/dead-letters/users/redrive";
    let moved = world.console.post(path, &json!({})).await.unwrap();
    assert_eq!(moved, json!({ "moved": 1, "more": false }));
    world.stack.wait_until_idle(BUDGET).await.unwrap();
    let logs = world.stack.logs("worker-users").await.unwrap();
    assert!(
        logs.iter()
            .any(|line| line.contains("a message that can't be read")),
        "{logs:?}"
    );
    assert_eq!(world.stack.dead_letters("users").await.unwrap(), 1);
}
