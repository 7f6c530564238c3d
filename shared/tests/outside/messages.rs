//! Batches of messages: one that has gone wrong fails by itself.

use std::sync::Arc;

use aws_lambda_events::sqs::{SqsMessage, SqsMessageAttribute};
use garble::{body, cases, odd_text};
use lambda_runtime::Context;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tandem::data_centre::Directory;
use tandem::edge::batch::{self, LambdaEvent, SqsEvent};
use tandem::identifier::ConnectionId;
use tandem::message::FIRST_SENT;
use tandem::object::Object;
use tandem::port::{Connections as _, QueueName, Records as _};
use tandem_memory::{Nobody, World};

const GOOD: &str = "good";

/// What workers and writeback are sent.
fn known() -> [Json; 7] {
    let run = "01JD8QK3ZV5W7Y0B2C4E6G8H9J";
    [
        json!({ "kind": "slice", "version": 1, "connection": "acme", "run": run, "slice": { "stage": "tasks", "object": "task", "index": 0 } }),
        json!({ "kind": "dependants", "version": 1, "connection": "acme", "run": run, "object": "task", "parent": "account", "ids": ["7", "8"] }),
        json!({ "kind": "calculate", "version": 1, "connection": "acme", "run": run }),
        json!({ "kind": "preflight", "version": 1, "connection": "acme" }),
        json!({ "kind": "push", "version": 1, "connection": "acme", "object": "task", "ids": ["t-1"] }),
        json!({ "kind": "retry", "version": 1, "connection": "acme", "next": "x" }),
        json!({ "kind": "edit", "version": 1, "connection": "acme", "object": "task", "edits": [
            { "id": "t-2", "fields": { "subject": "s", "due_date": "2026-11-23", "status": "Completed", "account": "A-1" }, "segments": ["vip"], "if_version": 3 },
        ] }),
    ]
}

/// A message with what the queue says about it, which nobody promised to be right.
fn message() -> impl Strategy<Value = SqsMessage> {
    let attribute = || prop_oneof![3 => Just("1795428000000".to_owned()), 1 => Just("1".to_owned()), 2 => odd_text()];
    let first = prop::option::of(
        prop_oneof![1 => Just("2026-11-23T09:59:00Z".to_owned()), 1 => odd_text()],
    );
    let ids = prop::option::weighted(0.9, "[a-z]{3}");
    let bodies = prop::option::weighted(0.95, body(&known()));
    (bodies, ids, attribute(), attribute(), first).prop_map(|(body, id, sent, count, first)| {
        let mut message = SqsMessage::default();
        message.body = body.map(|body| String::from_utf8_lossy(&body).into_owned());
        message.receipt_handle = id.clone().map(|id| format!("receipt of {id}"));
        message.message_id = id;
        message.attributes.insert("SentTimestamp".to_owned(), sent);
        message
            .attributes
            .insert("ApproximateReceiveCount".to_owned(), count);
        if let Some(first) = first {
            let mut attribute = SqsMessageAttribute::default();
            attribute.string_value = Some(first);
            message
                .message_attributes
                .insert(FIRST_SENT.to_owned(), attribute);
        }
        message
    })
}

/// The same batch with a message that is right in its midst.
fn with(mut others: Vec<SqsMessage>, right: &Json) -> LambdaEvent<SqsEvent> {
    let mut message = SqsMessage::default();
    message.message_id = Some(GOOD.to_owned());
    message.body = Some(right.to_string());
    message
        .attributes
        .insert("SentTimestamp".to_owned(), "1795428000000".to_owned());
    others.insert(others.len() / 2, message);
    let mut event = SqsEvent::default();
    event.records = others;
    let mut context = Context::default();
    context.deadline = 1_795_428_900_000;
    LambdaEvent::new(event, context)
}

/// A world with a connection that nobody has granted yet: edits are stored, and nothing is sent anywhere.
async fn world() -> (World, ConnectionId) {
    let now = "2026-11-23T10:00:00Z".parse().unwrap();
    let world = World::new(7, now, Directory::zoho(), Arc::new(Nobody));
    let acme: ConnectionId = "acme".parse().unwrap();
    let new = tandem::connection::Connection::new(acme.clone(), "Acme".into(), now);
    world.store.save_connection(new).await.unwrap();
    (world, acme)
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn one_that_has_gone_wrong_takes_no_other_along(others in prop::collection::vec(message(), 0..5)) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
            let known_ids: Vec<String> = others.iter().filter_map(|message| message.message_id.clone()).collect();
            let (world, acme) = world().await;
            let edit = json!({ "kind": "edit", "version": 1, "connection": "acme", "object": "task",
                "edits": [{ "id": "right", "fields": { "subject": "right" } }] });
            let answer = batch::writeback(&world.ports(), with(others.clone(), &edit)).await;
            for failure in &answer.batch_item_failures {
                let id = &failure.item_identifier;
                prop_assert!(id == GOOD || known_ids.contains(id), "{}", id);
            }
            let stored = world.store.records(&acme, Object::Task, &["right".parse().unwrap()]).await.unwrap();
            prop_assert_eq!(stored.len(), 1, "the edit beside was lost");

            // To a worker: a message about a run that is over has nothing left to do; what can't be read fails.
            let answer = batch::work(&world.ports(), Object::Task, with(others.clone(), &edit)).await;
            let failed = |id: &str| answer.batch_item_failures.iter().any(|failure| failure.item_identifier == id);
            prop_assert!(failed(GOOD), "an edit is nothing for a worker");
            for message in &others {
                let read = QueueName::Work(Object::Task).read(message.body.as_deref().unwrap_or_default());
                if let (None, Some(id)) = (read.connection(), &message.message_id) {
                    prop_assert!(failed(id), "{:?} was lost", message.body);
                }
            }
            Ok(())
        })?;
    }
}
