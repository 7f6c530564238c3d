//! Batches of messages: each failure is answered by itself, and comes again in the time that it asks for.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::sync::Arc;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsMessage, SqsMessageAttribute};
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::Context;
use serde_json::{Value as Json, json};
use tandem::connection::{Connection, Organisation};
use tandem::data_centre::{DataCentre, Directory};
use tandem::edge::batch::{self, LambdaEvent, SqsBatchResponse, SqsEvent};
use tandem::identifier::ConnectionId;
use tandem::message::{FIRST_SENT, sent_at};
use tandem::object::Object;
use tandem::port::{Connections as _, QueueName, Records as _};
use tandem::secret::Secret;
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
    world.faults.always("connection", fault);
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

/// What somebody sends again says when it was sent first, so it does not undo what was edited since.
#[tokio::test]
async fn an_edit_that_is_sent_again_does_not_win_over_a_later_one() {
    let world = world();
    let acme: ConnectionId = "acme".parse().unwrap();
    let organisation = Organisation {
        id: "1".into(),
        name: "Acme".into(),
        time_zone: "Europe/Berlin".into(),
        data_centre: DataCentre::Eu,
        api_domain: Directory::zoho()
            .api_domain(DataCentre::Eu, "https://www.zohoapis.eu")
            .unwrap(),
        edition: "enterprise".into(),
        daily_credits: 1_000,
    };
    let [refresh, access] = ["refresh", "access"].map(Secret::new);
    world
        .add_enabled(acme.clone(), organisation, refresh, access)
        .await
        .unwrap();
    let edit = |subject: &str| {
        let edits = json!([{ "id": "t-1", "fields": { "subject": subject } }]);
        json!({ "kind": "edit", "version": 1, "connection": "acme", "object": "task", "edits": edits })
    };
    let subject = async || {
        let ids = ["t-1".parse().unwrap()];
        let found = world
            .store
            .records(&acme, Object::Task, &ids)
            .await
            .unwrap();
        found[0].fields[&"subject".parse().unwrap()].to_json()
    };
    // There is no Zoho to push to, so both fail; what they say is stored before.
    batch::writeback(&world.ports(), event(&[("new", 1, edit("new"))])).await;
    assert_eq!(subject().await, "new");
    let mut again = event(&[("old", 1, edit("old"))]);
    let message = &mut again.payload.records[0];
    let sent = ("SentTimestamp".to_owned(), "1795428060000".to_owned());
    message.attributes.extend([sent]);
    let mut first = SqsMessageAttribute::default();
    first.string_value = Some("2026-11-23T09:59:00Z".to_owned());
    message
        .message_attributes
        .insert(FIRST_SENT.to_owned(), first);
    batch::writeback(&world.ports(), again.clone()).await;
    assert_eq!(subject().await, "new");
    again.payload.records[0].message_attributes.clear();
    batch::writeback(&world.ports(), again).await;
    assert_eq!(subject().await, "old", "without it, it passes for later");
}

/// Connections that nobody has granted yet, each with an edit on its way, and a table that takes five minutes for each answer.
async fn slow(connections: &[&str]) -> (World, LambdaEvent<SqsEvent>) {
    let world = world();
    for id in connections {
        let new = Connection::new(id.parse().unwrap(), (*id).to_owned(), world.now());
        world.store.save_connection(new).await.unwrap();
    }
    let clock = world.clock.clone();
    world.faults.last(move |_| {
        clock.advance(SignedDuration::from_mins(5));
        Box::pin(async {})
    });
    let edit = |id: &str| {
        json!({ "kind": "edit", "version": 1, "connection": id, "object": "task",
            "edits": [{ "id": "t-1", "fields": { "subject": "new" } }] })
    };
    let messages: Vec<_> = connections.iter().map(|id| (*id, 4, edit(id))).collect();
    (world, event(&messages))
}

async fn is_stored(world: &World, connection: &str) -> bool {
    let (connection, ids) = (connection.parse().unwrap(), ["t-1".parse().unwrap()]);
    let found = world.store.records(&connection, Object::Task, &ids).await;
    !found.unwrap().is_empty()
}

#[tokio::test]
async fn what_there_is_no_time_for_is_sent_again_as_old_as_it_is() {
    let (world, event) = slow(&["acme", "bolt", "core"]).await;
    let response = batch::writeback(&world.ports(), event.clone()).await;
    assert!(failed(response).is_empty(), "none comes nearer to its end");
    assert!(world.queue.put_back_so_far().is_empty());
    assert!(is_stored(&world, "acme").await);
    let left = || {
        let left = world.queue.writeback.take_all().into_iter();
        let shown = left.map(|held| (held.message.connection().to_string(), held.sent_at));
        shown.collect::<Vec<_>>()
    };
    let told = |id: &str| {
        let sent_at = sent_at("1795428000000", id, None).unwrap();
        (id.to_owned(), sent_at)
    };
    assert_eq!(left(), [told("bolt"), told("core")]);
    assert!(!is_stored(&world, "bolt").await);

    // Its time is up before it begins: it gets on all the same.
    let mut again = event;
    again.payload.records.remove(0);
    let response = batch::writeback(&world.ports(), again).await;
    assert!(failed(response).is_empty());
    assert!(is_stored(&world, "bolt").await);
    assert_eq!(left(), [told("core")]);
}

#[tokio::test]
async fn what_cannot_be_sent_again_is_delivered_again_and_what_is_done_is_not() {
    let (world, event) = slow(&["acme", "bolt", "core"]).await;
    let fault = Fault::Fail(When::Before, Failure::Unavailable);
    world.faults.always("send_writeback_again", fault);
    let response = batch::writeback(&world.ports(), event).await;
    assert_eq!(failed(response), ["bolt", "core"]);
    assert_eq!(world.queue.put_back_so_far().len(), 2);
}
