//! Dead letters: shown without what they carry, and sent on their way again.

use serde_json::{Value as Json, json};
use tandem::message::Writeback;
use tandem::object::Object;
use tandem::port::QueueName;
use tandem_memory::{Failure, Fault, When};

use super::desk::{Desk, NOW};

const LIST: &str = "/api/dead-letters";
const RUN: &str = "01JD8QK3ZV5W7Y0B2C4E6G8H9J";

fn bury(desk: &Desk, queue: QueueName, connection: &str, message: &Json) {
    let sender = connection.parse().unwrap();
    desk.world.queue.bury(queue, &sender, &message.to_string());
}

fn slice(connection: &str, object: &str) -> Json {
    json!({"kind": "slice", "version": 1, "connection": connection, "run": RUN,
        "slice": {"stage": "routine", "object": object, "index": 0}})
}

fn push(connection: &str, object: &str, id: &str) -> Json {
    json!({"kind": "push", "version": 1, "connection": connection, "object": object, "ids": [id]})
}

fn of<'a>(answer: &'a Json, queue: &str) -> &'a Json {
    let queues = answer["queues"].as_array().unwrap();
    queues.iter().find(|each| each["queue"] == queue).unwrap()
}

#[tokio::test]
async fn every_queue_is_shown_with_what_waits() {
    let desk = Desk::with_acme().await;
    let empty = desk.get(LIST).await.with(200);
    let names: Vec<&str> = empty["queues"]
        .as_array()
        .unwrap()
        .iter()
        .map(|queue| queue["queue"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "accounts",
            "contacts",
            "tasks",
            "deals",
            "users",
            "writeback"
        ]
    );
    assert_eq!(
        of(&empty, "deals"),
        &json!({"queue": "deals", "waiting": 0, "letters": []})
    );

    for _ in 0..12 {
        bury(
            &desk,
            QueueName::Work(Object::Deal),
            "acme",
            &slice("acme", "deal"),
        );
    }
    let dependants = json!({"kind": "dependants", "version": 1, "connection": "acme", "run": RUN, "object": "task", "parent": "deal",
        "ids": ["5001", "5002"]});
    bury(&desk, QueueName::Work(Object::Task), "acme", &dependants);
    let shown = desk.get(LIST).await.with(200);
    let deals = of(&shown, "deals");
    assert_eq!(deals["waiting"], 12);
    assert_eq!(deals["letters"].as_array().unwrap().len(), 10);
    assert_eq!(
        deals["letters"][0],
        json!({"connection": "acme", "kind": "slice", "object": "deal", "run": RUN, "records": null, "ids": [], "sent_at": NOW, "received": 6})
    );
    let letter = &of(&shown, "tasks")["letters"][0];
    assert_eq!(
        (&letter["kind"], &letter["records"]),
        (&json!("dependants"), &json!(2))
    );
    assert_eq!(letter["ids"], json!(["5001", "5002"]));
}

#[tokio::test]
async fn what_a_message_carries_is_not_shown() {
    let desk = Desk::with_acme().await;
    let edit = json!({"kind": "edit", "version": 1, "connection": "acme", "object": "account",
        "edits": [{"id": "secret-id", "fields": {"secret_field": "secret-value"}, "segments": ["secret-segment"]}]});
    for message in [
        edit,
        push("acme", "contact", "secret@acme.example"),
        push("acme", "account", "A-1"),
        json!({"kind": "greeting", "secret": "secret"}),
    ] {
        bury(&desk, QueueName::Writeback, "acme", &message);
    }
    let shown = desk.get(LIST).await.with(200);
    assert!(!shown.to_string().contains("secret"), "{shown}");
    let letters = of(&shown, "writeback")["letters"].as_array().unwrap();
    let seen: Vec<Json> = letters
        .iter()
        .map(|letter| {
            json!([
                letter["kind"],
                letter["object"],
                letter["records"],
                letter["ids"],
                letter["connection"]
            ])
        })
        .collect();
    assert_eq!(
        seen,
        [
            json!(["edit", "account", 1, [], "acme"]),
            json!(["push", "contact", 1, [], "acme"]),
            json!(["push", "account", 1, ["A-1"], "acme"]),
            json!(["unreadable", null, null, [], "acme"]),
        ]
    );
}

#[tokio::test]
async fn the_letters_of_one_connection_can_be_picked() {
    let desk = Desk::with_acme().await;
    for connection in ["acme", "other", "acme"] {
        bury(
            &desk,
            QueueName::Writeback,
            connection,
            &push(connection, "account", "A-1"),
        );
    }
    let shown = desk
        .get(&format!("{LIST}?connection=other"))
        .await
        .with(200);
    let writeback = of(&shown, "writeback");
    assert_eq!(
        (
            &writeback["waiting"],
            writeback["letters"].as_array().unwrap().len()
        ),
        (&json!(3), 1)
    );
    assert_eq!(writeback["letters"][0]["connection"], "other");
    let (_, paths) = desk
        .get(&format!("{LIST}?connection=a%20b"))
        .await
        .problem(400);
    assert_eq!(paths, ["?connection"]);
    let (_, paths) = desk.get(&format!("{LIST}?queue=deals")).await.problem(400);
    assert_eq!(paths.len(), 1);
}

#[tokio::test]
async fn dead_letters_are_sent_again_a_page_at_a_time() {
    let desk = Desk::with_acme().await;
    for number in 0..103 {
        let id = format!("A-{number}");
        bury(
            &desk,
            QueueName::Writeback,
            "acme",
            &push("acme", "account", &id),
        );
    }
    bury(
        &desk,
        QueueName::Work(Object::User),
        "acme",
        &slice("acme", "user"),
    );
    desk.tick(600);
    let path = format!("{LIST}/writeback/redrive");
    let first = desk.ask(&path).await.with(200);
    assert_eq!(first, json!({"moved": 100, "more": true}));
    let second = desk.ask(&path).await.with(200);
    assert_eq!(second, json!({"moved": 3, "more": false}));
    assert_eq!(
        desk.ask(&path).await.with(200),
        json!({"moved": 0, "more": false})
    );
    let shown = desk.get(LIST).await.with(200);
    assert_eq!(of(&shown, "writeback")["waiting"], 0);
    assert_eq!(of(&shown, "users")["waiting"], 1, "another queue's stay");
    assert_eq!(desk.world.queue.writeback.len(), 103);
    let sent = desk.world.queue.take_writeback().unwrap();
    assert_eq!(sent.sent_at, NOW.parse().unwrap(), "as old as it was");
    assert!(matches!(sent.message, Writeback::Push { ids, .. } if ids == ["A-0".parse().unwrap()]));
}

#[tokio::test]
async fn what_is_no_queue_is_said_with_those_that_are() {
    let desk = Desk::new();
    let (detail, _) = desk
        .ask(&format!("{LIST}/invoices/redrive"))
        .await
        .problem(404);
    assert!(
        detail.contains("\"invoices\"") && detail.contains("writeback"),
        "{detail}"
    );
    desk.get(&format!("{LIST}/users/redrive"))
        .await
        .problem(405);
}

#[tokio::test]
async fn a_queue_that_does_not_answer_is_said() {
    let desk = Desk::new();
    let fault = || Fault::Fail(When::Before, Failure::Unavailable);
    desk.world.faults.always("dead_letters", fault());
    desk.get(LIST).await.problem(503);
    desk.world.faults.always("redrive", fault());
    desk.ask(&format!("{LIST}/users/redrive"))
        .await
        .problem(503);
}
