//! The production template on the emulator, with stand-ins for the functions: everything around them works.
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tandem_local::{
    Client, DeployOptions, Emulator, EmulatorOptions, FUNCTIONS, FrontDoor, OauthClient, QUEUES,
    Stack, target_directory,
};

const SOON: Duration = Duration::from_secs(30);

/// A folder in which every function is the stand-in.
fn stand_ins(name: &str) -> PathBuf {
    let folder = target_directory().join(format!("stand-ins/{name}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let stub = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stub/bootstrap.py");
    for function in FUNCTIONS {
        symlink(&stub, folder.join(function)).unwrap();
    }
    folder
}

async fn deployed(name: &str) -> (Emulator, FrontDoor, Stack) {
    let emulator = Emulator::start(EmulatorOptions::default()).await.unwrap();
    let door = FrontDoor::open().await.unwrap();
    let options = DeployOptions {
        retry_after: Some(Duration::from_secs(2)),
        oauth_clients: vec![OauthClient {
            data_centre: "eu".to_owned(),
            client_id: "1000.EU".to_owned(),
            client_secret: "hush".to_owned(),
        }],
        ..DeployOptions::new(name, stand_ins(name), door.url())
    };
    let stack = Stack::deploy(&emulator, options).await.unwrap();
    door.lead_to(&stack);
    (emulator, door, stack)
}

#[tokio::test]
async fn functions_are_invoked_logged_found_and_killed() {
    let (_emulator, door, stack) = deployed("invoking").await;
    let answer = stack
        .invoke("poller", &json!({ "detail-type": "Scheduled Event" }))
        .await
        .unwrap();
    let environment = &answer["environment"];
    assert_eq!(environment["TANDEM_PUBLIC_URL"], door.url());
    assert_eq!(environment["TANDEM_STATE_TABLE"], stack.tables().state);
    assert_eq!(environment["TANDEM_SECRET_PREFIX"], "invoking/");
    assert_eq!(
        environment["TANDEM_WRITEBACK_QUEUE_URL"],
        stack.queues()["writeback"].url
    );
    for (name, value) in stack.environment("poller").await.unwrap() {
        assert!(
            environment[&name] == value || name.starts_with("AWS_"),
            "{name} differs"
        );
    }

    let pid = i32::try_from(answer["pid"].as_i64().unwrap()).unwrap();
    assert_eq!(stack.function_pids("poller").unwrap(), [pid]);
    assert!(
        stack
            .logs("poller")
            .await
            .unwrap()
            .iter()
            .any(|line| line.contains("Scheduled Event"))
    );

    assert_eq!(stack.kill_function("poller").await.unwrap(), 1);
    let again = stack.invoke("poller", &json!({})).await.unwrap();
    assert_ne!(again["pid"], answer["pid"]);
}

#[tokio::test]
async fn a_message_runs_its_function_and_a_failing_one_ends_in_the_dead_letters() {
    let (_emulator, _door, stack) = deployed("queueing").await;
    for queue in QUEUES {
        stack
            .send(queue, "acme", r#"{"sleep": 0.1}"#)
            .await
            .unwrap();
    }
    stack.wait_until_idle(SOON).await.unwrap();
    for function in FUNCTIONS
        .iter()
        .filter(|name| name.starts_with("worker") || **name == "writeback")
    {
        let logs = stack.logs(function).await.unwrap();
        assert!(
            logs.iter()
                .any(|line| line.contains(r#""MessageGroupId": "acme""#)),
            "{function} was not called"
        );
    }

    stack
        .send("deals", "acme", r#"{"fail": true}"#)
        .await
        .unwrap();
    stack.wait_until_idle(SOON).await.unwrap();
    assert_eq!(stack.dead_letters("deals").await.unwrap(), 1);
    assert_eq!(stack.dead_letters("tasks").await.unwrap(), 0);

    assert_eq!(stack.redrive("deals").await.unwrap(), 1);
    assert_eq!(stack.dead_letters("deals").await.unwrap(), 0);
    assert!(!stack.queue_depth("deals").await.unwrap().is_empty());
    stack.wait_until_idle(SOON).await.unwrap();
    assert_eq!(stack.dead_letters("deals").await.unwrap(), 1);
}

#[tokio::test]
async fn a_message_outlives_the_function_that_dies_over_it() {
    let (_emulator, _door, stack) = deployed("dying").await;
    stack
        .send("accounts", "acme", r#"{"sleep": 1}"#)
        .await
        .unwrap();
    let deadline = Instant::now() + SOON;
    while stack.kill_function("worker-accounts").await.unwrap() == 0 {
        assert!(Instant::now() < deadline, "the function never started");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(stack.queue_depth("accounts").await.unwrap().in_flight, 1);
    stack.wait_until_idle(SOON).await.unwrap();
    let logs = stack.logs("worker-accounts").await.unwrap();
    assert!(
        logs.iter()
            .any(|line| line.contains(r#""ApproximateReceiveCount": "2""#)),
        "{logs:?}"
    );
    assert_eq!(stack.dead_letters("accounts").await.unwrap(), 0);
}

#[tokio::test]
async fn the_front_door_passes_requests_and_answers_untouched() {
    let (_emulator, door, stack) = deployed("calling").await;
    assert_eq!(stack.public_url(), door.url());
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let request = http.patch(format!("{}/api/connections/acme?filter=a%20b", door.url()));
    let answer = request
        .header("cookie", "session=s")
        .header("x-own", "kept")
        .body(r#"{"a":1}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 302);
    assert_eq!(
        answer.headers()["location"],
        "https://elsewhere.example/?a=1&b=2"
    );
    let cookies: Vec<_> = answer
        .headers()
        .get_all("set-cookie")
        .iter()
        .map(|cookie| cookie.to_str().unwrap())
        .collect();
    assert_eq!(cookies, ["one=1; HttpOnly", "two=2; Path=/"]);
    let seen: Value = answer.json().await.unwrap();
    assert_eq!(seen["path"], "/api/connections/acme");
    assert_eq!(seen["query"], "filter=a%20b");
    assert_eq!(seen["headers"]["x-own"], "kept");
    assert_eq!(
        seen["headers"]["host"],
        door.url().trim_start_matches("http://")
    );

    for (path, function) in [
        ("/", "console"),
        ("/connections/acme/log", "console"),
        ("/connect/acme", "oauth-callback"),
        ("/oauth/callback?code=1&state=2", "oauth-callback"),
    ] {
        let answer = http
            .get(format!("{}{path}", door.url()))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 302, "{path}");
        let wanted = format!(r#""rawPath": "{}""#, path.split('?').next().unwrap());
        let logs = stack.logs(function).await.unwrap();
        assert!(
            logs.iter().any(|line| line.contains(&wanted)),
            "{path} did not reach {function}"
        );
    }
}

#[tokio::test]
async fn a_role_may_do_its_own_work_and_nothing_else() {
    let (_emulator, _door, stack) = deployed("permitting").await;
    let read = |table: &str| json!({ "TableName": table, "Key": { "pk": { "S": "a" }, "sk": { "S": "b" } } });
    let query = |table: &str, index: &str, key: &str| {
        json!({
            "TableName": table, "IndexName": index, "KeyConditionExpression": "#key = :value",
            "ExpressionAttributeNames": { "#key": key }, "ExpressionAttributeValues": { ":value": { "S": "a" } },
        })
    };
    let tables = stack.tables();
    let secret = |name: &str| json!({ "SecretId": format!("{}{name}", stack.secret_prefix()) });
    let (get, find) = ("DynamoDB_20120810.GetItem", "DynamoDB_20120810.Query");
    let get_many = "DynamoDB_20120810.BatchGetItem";
    let read_many = |table: &str| {
        let keys = [read(table)["Key"].clone()];
        json!({ "RequestItems": { (table): { "Keys": keys } } })
    };
    let send = json!({ "QueueUrl": stack.queues()["tasks"].url, "MessageBody": "{}" });
    let send_many = json!({ "QueueUrl": stack.queues()["tasks"].url, "Entries": [{ "Id": "1", "MessageBody": "{}" }] });
    let see = "secretsmanager.GetSecretValue";
    let delete = "secretsmanager.DeleteSecret";
    for (function, service, call, body, allowed) in [
        ("poller", "dynamodb", get, read(&tables.state), true),
        ("poller", "dynamodb", get, read(&tables.links), false),
        (
            "poller",
            "dynamodb",
            find,
            query(&tables.state, "by-routine-due", "enabled"),
            true,
        ),
        (
            "poller",
            "dynamodb",
            find,
            query(&tables.state, "by-full-due", "enabled"),
            false,
        ),
        (
            "poller",
            "dynamodb",
            find,
            query(&tables.records, "by-pending", "pending_key"),
            true,
        ),
        (
            "poller",
            "dynamodb",
            "DynamoDB_20120810.Scan",
            json!({ "TableName": tables.state }),
            false,
        ),
        ("poller", "sqs", "AmazonSQS.SendMessage", send.clone(), true),
        (
            "poller",
            "sqs",
            "AmazonSQS.SendMessageBatch",
            send_many,
            true,
        ),
        (
            "oauth-callback",
            "sqs",
            "AmazonSQS.SendMessage",
            send,
            false,
        ),
        (
            "poller",
            "secretsmanager",
            see,
            secret("oauth-client/eu"),
            false,
        ),
        (
            "oauth-callback",
            "secretsmanager",
            see,
            secret("oauth-client/eu"),
            true,
        ),
        (
            "oauth-callback",
            "secretsmanager",
            see,
            secret("operator"),
            false,
        ),
        ("console", "secretsmanager", see, secret("operator"), true),
        (
            "oauth-callback",
            "secretsmanager",
            delete,
            secret("connection/acme"),
            true,
        ),
        (
            "writeback",
            "secretsmanager",
            delete,
            secret("connection/acme"),
            false,
        ),
        ("writeback", "dynamodb", get, read(&tables.records), false),
        (
            "writeback",
            "dynamodb",
            get_many,
            read_many(&tables.records),
            true,
        ),
        (
            "writeback",
            "dynamodb",
            get_many,
            read_many(&tables.log),
            false,
        ),
        (
            "writeback",
            "secretsmanager",
            see,
            secret("oauth-client/eu"),
            true,
        ),
        (
            "worker-tasks",
            "dynamodb",
            find,
            query(&tables.records, "by-account", "account_key"),
            true,
        ),
    ] {
        let outcome = role_of(&stack, function)
            .await
            .json(service, call, &body)
            .await;
        let refused = outcome
            .as_ref()
            .is_err_and(|error| format!("{error:#}").contains("AccessDenied"));
        assert_eq!(!refused, allowed, "{function} {call} {body}: {outcome:?}");
    }
}

/// A client with the rights of a function.
async fn role_of(stack: &Stack, function: &str) -> Client {
    let environment = stack.invoke(function, &json!({})).await.unwrap()["environment"].clone();
    let variable = |name: &str| environment[name].as_str().unwrap().to_owned();
    Client::new(
        stack.client().endpoint(),
        stack.client().region(),
        &variable("AWS_ACCESS_KEY_ID"),
        &variable("AWS_SECRET_ACCESS_KEY"),
    )
    .with_session(&variable("AWS_SESSION_TOKEN"))
}

#[tokio::test]
async fn stacks_share_an_emulator_and_can_be_updated() {
    let (emulator, door, first) = deployed("first").await;
    let options = DeployOptions {
        log_level: "debug".to_owned(),
        ..DeployOptions::new("second", stand_ins("second"), door.url())
    };
    let second = Stack::deploy(&emulator, options).await.unwrap();
    assert_ne!(first.tables().state, second.tables().state);

    let item = json!({ "TableName": first.tables().state, "Item": { "pk": { "S": "a" }, "sk": { "S": "b" }, "n": { "N": "7" } } });
    first
        .client()
        .json("dynamodb", "DynamoDB_20120810.PutItem", &item)
        .await
        .unwrap();
    let updated = DeployOptions {
        log_level: "debug".to_owned(),
        ..DeployOptions::new("first", stand_ins("first"), door.url())
    };
    let updated = Stack::deploy(&emulator, updated).await.unwrap();
    assert_eq!(updated.tables().state, first.tables().state);
    let items = updated.table_items(&updated.tables().state).await.unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["n"], 7);
    assert!(
        second
            .table_items(&second.tables().state)
            .await
            .unwrap()
            .is_empty()
    );
    let answer = updated.invoke("console", &json!({})).await.unwrap();
    assert_eq!(answer["environment"]["TANDEM_LOG"], "debug");

    assert_eq!(
        updated.secret("oauth-client/eu").await.unwrap(),
        r#"{"client_id":"1000.EU","client_secret":"hush"}"#
    );
    assert!(updated.secret("operator").await.unwrap().len() >= 32);
}
