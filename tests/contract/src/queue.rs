//! The queues.

use std::time::Duration;

use tandem::identifier::ConnectionId;
use tandem::message::{Edit, Letter, Version, Work, Writeback};
use tandem::object::Object;
use tandem::port::{DeadLetters, QueueName};
use tandem::run::{SliceKey, Stage};
use tandem::select::IN_VALUES;

use crate::samples::{field, platform, run, zoho};
use crate::setting::{Mailbox, Setting};

type Queues = Setting<dyn Mailbox>;

fn slice(at: &Queues, connection: &ConnectionId, object: Object, index: u16) -> Work {
    let stage = Stage::comparing(object);
    Work::Slice {
        version: Version,
        connection: connection.clone(),
        run: run(at.now, 0),
        slice: SliceKey {
            stage,
            object,
            index,
        },
    }
}

fn push(connection: &ConnectionId, ids: u64) -> Writeback {
    Writeback::Push {
        version: Version,
        connection: connection.clone(),
        object: Object::Contact,
        ids: (0..ids)
            .map(|number| platform(&format!("é#{number}@example.com")))
            .collect(),
    }
}

/// Asserts that every one of these messages waits at the worker of its object, at least once, and no other message of the connection.
async fn arrives(at: &Queues, connection: &ConnectionId, expected: &[Work]) {
    for object in Object::ALL {
        let expected: Vec<&Work> = expected
            .iter()
            .filter(|work| work.object() == object)
            .collect();
        let mut received = Vec::new();
        let missing = async || {
            let more = at.port.receive_work(object).await;
            received.extend(more);
            let missing = expected.iter().filter(|work| !received.contains(**work));
            missing.count()
        };
        at.eventually(missing, 0).await;
        let mut stray = received
            .iter()
            .filter(|work| work.connection() == connection && !expected.contains(work));
        assert_eq!(stray.next(), None, "at the worker of {object}");
    }
}

async fn comes_back(at: &Queues, expected: &[Writeback]) {
    let mut received = Vec::new();
    let missing = async || {
        let more = at.port.receive_writeback().await;
        received.extend(more);
        let missing = expected.iter().filter(|sent| !received.contains(*sent));
        missing.count()
    };
    at.eventually(missing, 0).await;
}

pub(crate) async fn any_number_of_messages_arrives_each_at_its_worker(at: &Queues) {
    for count in [0, 1, 10, 11, 60] {
        let id = at.connection();
        let objects = Object::ALL.into_iter().cycle();
        let messages: Vec<Work> = (0..count)
            .zip(objects)
            .map(|(index, object)| slice(at, &id, object, index))
            .collect();
        at.port.queue().send_work(&messages).await.unwrap();
        arrives(at, &id, &messages).await;
    }
}

pub(crate) async fn messages_of_several_connections_go_together(at: &Queues) {
    let ids = at.look_alikes();
    let messages = ids.each_ref().map(|id| slice(at, id, Object::Deal, 7));
    at.port.queue().send_work(&messages).await.unwrap();
    arrives(at, &ids[0], &messages).await;
}

pub(crate) async fn a_message_full_of_ids_arrives(at: &Queues) {
    let id = at.connection();
    let most = IN_VALUES as u64;
    let dependants = Work::Dependants {
        version: Version,
        connection: id.clone(),
        run: run(at.now, 0),
        object: Object::Task,
        parent: Object::Deal,
        ids: (0..most).map(|number| zoho(u64::MAX - number)).collect(),
    };
    at.port
        .queue()
        .send_work(std::slice::from_ref(&dependants))
        .await
        .unwrap();
    arrives(at, &id, &[dependants]).await;
    let messages = [push(&id, 0), push(&id, 1_000)];
    at.port.queue().send_writeback(&messages).await.unwrap();
    comes_back(at, &messages).await;
}

pub(crate) async fn edits_arrive_as_they_were_sent(at: &Queues) {
    let id = at.connection();
    let fields = [
        ("name", "\u{1F426} \" \\ \u{0} \u{fffe} \u{ffff} é".into()),
        ("amount", 12.5.into()),
        ("none", tandem::value::Value::Null.to_json()),
        ("kinds", vec!["b", "a"].into()),
    ];
    let edit = Edit {
        id: platform("é#/ 1"),
        fields: fields
            .map(|(name, value)| (field(name), value))
            .into_iter()
            .collect(),
        segments: Some(["vip".to_owned()].into_iter().collect()),
        if_version: Some(u64::from(u32::MAX)),
    };
    let bare = Edit {
        fields: Default::default(),
        segments: None,
        if_version: None,
        ..edit.clone()
    };
    let message = Writeback::Edit {
        version: Version,
        connection: id,
        object: Object::Account,
        edits: vec![edit, bare],
    };
    at.port
        .queue()
        .send_writeback(std::slice::from_ref(&message))
        .await
        .unwrap();
    comes_back(at, &[message]).await;
}

pub(crate) async fn many_messages_to_writeback_arrive(at: &Queues) {
    let id = at.connection();
    at.port.queue().send_writeback(&[]).await.unwrap();
    let messages: Vec<Writeback> = (0..23).map(|ids| push(&id, ids)).collect();
    at.port.queue().send_writeback(&messages).await.unwrap();
    comes_back(at, &messages).await;
}

pub(crate) async fn a_delayed_message_arrives_after_its_delay(at: &Queues) {
    let id = at.connection();
    let delay = Duration::from_secs(5);
    let messages: Vec<Work> = (0..11)
        .map(|index| slice(at, &id, Object::User, index))
        .collect();
    at.port
        .queue()
        .send_work_later(&messages, delay)
        .await
        .unwrap();
    at.port.queue().send_work_later(&[], delay).await.unwrap();
    let early = at.port.receive_work(Object::User).await;
    assert!(
        early.iter().all(|work| work.connection() != &id),
        "it came at once"
    );
    at.port.pass(delay).await;
    arrives(at, &id, &messages).await;
}

pub(crate) async fn a_delayed_message_to_writeback_arrives_after_its_delay(at: &Queues) {
    let id = at.connection();
    let delay = Duration::from_secs(5);
    let messages: Vec<Writeback> = (0..11).map(|ids| push(&id, ids)).collect();
    let queue = at.port.queue();
    queue.send_writeback_later(&messages, delay).await.unwrap();
    queue.send_writeback_later(&[], delay).await.unwrap();
    let early = at.port.receive_writeback().await;
    assert!(
        early.iter().all(|message| message.connection() != &id),
        "it came at once"
    );
    at.port.pass(delay).await;
    comes_back(at, &messages).await;
}

pub(crate) async fn messages_to_writeback_that_are_sent_again_arrive(at: &Queues) {
    let id = at.connection();
    let queue = at.port.queue();
    queue.send_writeback_again(&[]).await.unwrap();
    let messages: Vec<Writeback> = (0..11).map(|ids| push(&id, ids)).collect();
    let again: Vec<_> = messages
        .iter()
        .map(|message| (message.clone(), at.now))
        .collect();
    queue.send_writeback_again(&again).await.unwrap();
    comes_back(at, &messages).await;
}

async fn buried(at: &Queues, queue: QueueName) -> DeadLetters {
    at.port.queue().dead_letters(queue).await.unwrap()
}

async fn bury<M: serde::Serialize>(
    at: &Queues,
    queue: QueueName,
    sender: &ConnectionId,
    message: &M,
) {
    let body = serde_json::to_string(message).unwrap();
    at.port.bury(queue, sender, &body).await;
}

pub(crate) async fn dead_letters_are_seen_and_stay(at: &Queues) {
    let id = at.connection();
    let deals = QueueName::Work(Object::Deal);
    for queue in QueueName::ALL {
        let dead = buried(at, queue).await;
        assert_eq!((dead.waiting, dead.seen.len()), (0, 0), "{queue:?}");
    }
    let work: Vec<Work> = (0..3)
        .map(|index| slice(at, &id, Object::Deal, index))
        .collect();
    for message in &work {
        bury(at, deals, &id, message).await;
    }
    let push = push(&id, 2);
    bury(at, QueueName::Writeback, &id, &push).await;
    for _ in 0..2 {
        let seen = async || {
            let dead = buried(at, deals).await;
            assert!(dead.seen.iter().all(|dead| {
                dead.connection.as_ref() == Some(&id) && dead.sent_at.is_some() && dead.received > 0
            }));
            let read = |message: &Work| {
                let letter = Letter::Work(message.clone());
                dead.seen.iter().any(|dead| dead.letter == letter)
            };
            (dead.waiting, work.iter().filter(|work| read(work)).count())
        };
        at.eventually(seen, (3, 3)).await;
    }
    let dead = buried(at, QueueName::Writeback).await;
    assert_eq!(dead.seen[0].letter, Letter::Writeback(push));
    arrives(at, &id, &[]).await;
}

pub(crate) async fn redriven_dead_letters_arrive_at_their_queue(at: &Queues) {
    let id = at.connection();
    let users = QueueName::Work(Object::User);
    let work: Vec<Work> = (0..103)
        .map(|index| slice(at, &id, Object::User, index))
        .collect();
    for message in &work {
        bury(at, users, &id, message).await;
    }
    let push = push(&id, 3);
    bury(at, QueueName::Writeback, &id, &push).await;
    let (mut moved, mut more) = (0, true);
    while more {
        let redriven = at.port.queue().redrive(users).await.unwrap();
        assert!(redriven.moved > 0 || !redriven.more, "it does not go on");
        (moved, more) = (moved + redriven.moved, redriven.more);
    }
    assert!(moved >= 103, "{moved}");
    arrives(at, &id, &work).await;
    assert_eq!(buried(at, users).await.waiting, 0);
    assert_eq!(buried(at, QueueName::Writeback).await.waiting, 1);
    let queue = at.port.queue();
    assert_eq!(queue.redrive(users).await.unwrap().moved, 0);
    let redriven = queue.redrive(QueueName::Writeback).await.unwrap();
    assert_eq!((redriven.moved, redriven.more), (1, false));
    comes_back(at, &[push]).await;
}

pub(crate) async fn a_dead_letter_that_nobody_can_read_is_seen_too(at: &Queues) {
    let id = at.connection();
    let tasks = QueueName::Work(Object::Task);
    at.port.bury(tasks, &id, "{\"kind\": \"greeting\"}").await;
    let dead = buried(at, tasks).await;
    assert_eq!(dead.waiting, 1);
    assert_eq!(dead.seen[0].letter, Letter::Unreadable);
    assert_eq!(dead.seen[0].connection, Some(id));
}
