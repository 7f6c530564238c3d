//! Batches of messages: each failure is answered by itself, and comes again in the time that it asks for.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
use jiff::Timestamp;
use lambda_runtime::Context;
use serde_json::{Value as Json, json};
use tandem::data_centre::Directory;
use tandem::edge::batch::{self, LambdaEvent, SqsBatchResponse, SqsEvent};
use tandem::object::Object;
use tandem::port::QueueName;
use tandem_memory::{Failure, Fault, Nobody, When, World};

fn world() -> World {
    let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
    World::new(7, now, Directory::zoho(), Arc::new(Nobody))
}

fn event(messages: &[(&str, u32, Json)]) -> LambdaEvent<SqsEvent> {
    let mut event = SqsEvent::default();
    for (id, received, body) in messages {
        let mut message = SqsMessage::default();
        message.message_id = Some((*id).to_owned());
        message.receipt_handle = Some(format!("receipt of {id}"));
        message.body = Some(body.to_string());
        let attributes = [
            ("ApproximateReceiveCount", received.to_string()),
            ("SentTimestamp", "1795428000000".to_owned()),
        ];
        message.attributes = attributes
            .map(|(name, value)| (name.to_owned(), value))
            .into();
        event.records.push(message);
    }
    let mut context = Context::default();
    context.deadline = 1_795_428_900_000;
    LambdaEvent::new(event, context)
}

fn slice(object: &str) -> Json {
    json!({ "kind": "slice", "version": 1, "connection": "acme", "run": "01JD8QK3ZV5W7Y0B2C4E6G8H9J",
        "slice": { "stage": "tasks", "object": object, "index": 0 } })
}

fn failed(response: SqsBatchResponse) -> Vec<String> {
    let failures = response.batch_item_failures.into_iter();
    failures.map(|failure| failure.item_identifier).collect()
}

#[tokio::test]
async fn a_failure_that_heals_comes_again_soon_and_later_each_time() {
    let world = world();
    let fault = Fault::Fail(When::Before, Failure::Unavailable);
    world.faults.always("run", fault);
    let messages = [("first", 1, slice("task")), ("third", 3, slice("task"))];
    let response = batch::work(&world.ports(), Object::Task, event(&messages)).await;
    assert_eq!(failed(response), ["first", "third"]);
    let put_back = world.queue.put_back_so_far();
    let shown: Vec<_> = put_back
        .iter()
        .map(|(delivery, delay)| (delivery.receipt.as_str(), delay.as_secs()))
        .collect();
    assert_eq!(shown, [("receipt of first", 5), ("receipt of third", 80)]);
    assert!(
        put_back
            .iter()
            .all(|(delivery, _)| delivery.queue == QueueName::Work(Object::Task))
    );
}

#[tokio::test]
async fn what_never_heals_goes_on_to_the_dead_letters_at_once() {
    let world = world();
    let messages = [
        ("unknown run", 1, slice("task")),
        ("another worker's", 1, slice("deal")),
        ("unreadable", 1, json!("{")),
    ];
    let response = batch::work(&world.ports(), Object::Task, event(&messages)).await;
    assert_eq!(failed(response).len(), 3);
    let put_back = world.queue.put_back_so_far();
    assert!(put_back.iter().all(|(_, delay)| *delay == Duration::ZERO));
    assert_eq!(put_back.len(), 3);
}

#[tokio::test]
async fn a_queue_that_does_not_answer_takes_nothing_from_the_answer() {
    let world = world();
    world
        .faults
        .always("put_back", Fault::Fail(When::Before, Failure::Unavailable));
    let edit = json!({ "kind": "edit", "version": 1, "connection": "nobody", "object": "task", "edits": [] });
    let response = batch::writeback(&world.ports(), event(&[("edit", 1, edit)])).await;
    assert_eq!(failed(response), ["edit"]);
}
