//! Whoever stops a customer in the midst of something: what is under way ends with its message, and nothing after it calls Zoho.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::executor::block_on;
use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use tandem::connection::{Connection, Status};
use tandem::object::Object;
use tandem::port::Connections as _;
use tandem::run::{RunKind, RunStatus};
use tandem_memory::World;

use super::desk::{GONE, Two, ask, ask_for_purge, calm, start};

/// How a customer is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Pause,
    Disconnect,
    Purge,
    LoseTheGrant,
}

const ALL: [Stop; 4] = [
    Stop::Pause,
    Stop::Disconnect,
    Stop::Purge,
    Stop::LoseTheGrant,
];

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Full,
    Routine,
    Writeback,
    Calculated,
}

impl Stop {
    /// Done by somebody else, while a function is in the midst of a call. False when the person is told to ask again.
    async fn happens(self, world: &World) -> bool {
        let world = calm(world);
        let post = async |what: &str| {
            let path = format!("/api/connections/{GONE}/{what}");
            let (status, said) = ask(&world, "POST", &path, &Json::Null).await;
            // While a token is being renewed its grant can't be given back.
            assert!([200, 503].contains(&status), "{said}");
            status == 200
        };
        match self {
            Self::Pause => post("pause").await,
            Self::Disconnect => post("disconnect").await,
            Self::Purge => {
                let given_back = post("disconnect").await;
                if given_back {
                    let (status, said) = ask_for_purge(&world).await;
                    assert_eq!(status, 202, "{said}");
                }
                given_back
            }
            Self::LoseTheGrant => {
                let id = GONE.parse().unwrap();
                let stored = world.store.connection(&id).await.unwrap().unwrap();
                let lost = Connection {
                    status: Status::NeedsReconnect,
                    reason: Some("revoked in Zoho".to_owned()),
                    ..stored
                };
                world.store.save_connection(lost).await.unwrap();
                true
            }
        }
    }
}

/// Sets the work up, so that its messages wait.
async fn prepare(two: &Two, what: Work) {
    let story = &two.gone;
    story.pass(SignedDuration::from_mins(15));
    match what {
        Work::Full => drop(start(story, RunKind::Full).await),
        Work::Routine => {
            for zoho in story.present(Object::Contact).into_iter().take(5) {
                let values = json!({ "Phone": "0815" });
                story.zoho_edits("Contacts", &zoho, &values).unwrap();
            }
            story.pass(SignedDuration::from_mins(5));
            drop(start(story, RunKind::Routine).await);
        }
        Work::Writeback => {
            for zoho in story.present(Object::Contact).into_iter().skip(2).take(5) {
                let id = story.record_of(Object::Contact, &zoho).unwrap().id;
                story
                    .submit(Object::Contact, id.as_str(), json!({ "phone": "0816" }))
                    .await
                    .unwrap();
            }
        }
        Work::Calculated => {
            let deal = story.present(Object::Deal).into_iter().next().unwrap();
            story.zoho_deletes("Deals", &deal).unwrap();
            let (store, id) = (&story.world.store, story.connection());
            for account in store.live_records(&id, Object::Account) {
                use tandem::calculation::Mark;
                use tandem::port::Calculations as _;
                let mark = Mark {
                    connection: id.clone(),
                    day: "2026-11-23".parse().unwrap(),
                    account: account.id,
                    marked_at: story.world.now(),
                    stamp: 1,
                };
                store.mark_calculations(&[mark]).await.unwrap();
            }
            story.pass(SignedDuration::from_mins(2));
            let message = json!({"kind": "calculate", "version": 1, "connection": GONE, "run": "01JD8QK3ZV5W7Y0B2C4E6G8H9J"});
            story
                .world
                .queue
                .work
                .send([serde_json::from_value(message).unwrap()]);
        }
    }
}

/// Stops the customer at a call of the work. False when the work made no such call.
async fn stopped(stop: Stop, what: Work, number: u64) -> bool {
    let two = Two::synced(6).await;
    two.world().queue.writeback.clear();
    prepare(&two, what).await;
    let (story, world) = (&two.gone, two.world());
    let neighbour = two.neighbour().await;
    let first = world.faults.calls() + number;
    let other = world.clone();
    let done = Arc::new(AtomicBool::new(true));
    let told = done.clone();
    world.faults.decide(move |call| {
        if call.number == first {
            told.store(block_on(stop.happens(&other)), Ordering::Relaxed);
        }
        None
    });
    let place = format!("{stop:?} at call {number} of {what:?}");
    let id = story.connection();
    let status = async || world.store.connection(&id).await.unwrap().unwrap().status;
    // The message in whose midst it happens, and those before it.
    let mut met = false;
    while !met {
        let handled = if let Some(held) = world.queue.take_work() {
            story.handle_work(&held.message).await
        } else if let Some(held) = world.queue.take_writeback() {
            story.handle_writeback(&held.message).await
        } else {
            break;
        };
        met = world.faults.calls() >= first;
        // A lost grant is found out in the midst, and whatever else fails comes again.
        if let Err(error) = handled {
            assert!(met, "{place}: {error:?}");
        }
    }
    world.faults.clear();
    if !met {
        return false;
    }
    assert_ne!(status().await, Status::Enabled, "{place}");
    // Whatever comes after it makes no call to Zoho.
    let before = story.latest_request();
    story.deliver().await.unwrap();
    assert_eq!(story.latest_request(), before, "{place}");
    let running = world.store.all_runs(&id).into_iter();
    let running = running
        .filter(|run| run.status == RunStatus::Running)
        .count();
    assert_eq!(running, 0, "{place}: no run goes on");
    match stop {
        Stop::Pause => assert_eq!(status().await, Status::Paused, "{place}"),
        Stop::LoseTheGrant => assert_eq!(status().await, Status::NeedsReconnect, "{place}"),
        Stop::Disconnect | Stop::Purge => {
            if !done.load(Ordering::Relaxed) {
                two.disconnect_again().await;
            }
            assert!(world.vault.tokens_of(&id).is_none(), "{place}");
        }
    }
    if stop == Stop::Purge {
        two.purge_again().await;
        story.deliver().await.unwrap();
        two.assert_gone().await;
    }
    assert_eq!(two.neighbour().await, neighbour, "{place}");
    true
}

/// Stops each kind of work at calls spread over all that it makes.
async fn stopped_anywhere(stop: Stop) {
    for what in [Work::Full, Work::Routine, Work::Writeback, Work::Calculated] {
        let (mut number, mut stops) = (1, 0);
        while stopped(stop, what, number).await {
            stops += 1;
            number += 1 + number / 3;
        }
        assert!(stops >= 6, "{what:?} was stopped {stops} times only");
    }
}

#[tokio::test]
async fn a_pause_is_noticed_within_one_message() {
    stopped_anywhere(ALL[0]).await;
}

#[tokio::test]
async fn a_disconnection_is_noticed_within_one_message_and_leaves_no_tokens() {
    stopped_anywhere(ALL[1]).await;
}

#[tokio::test]
async fn a_purge_asked_for_in_the_midst_of_anything_leaves_nothing() {
    stopped_anywhere(ALL[2]).await;
}

#[tokio::test]
async fn a_lost_grant_is_noticed_within_one_message() {
    stopped_anywhere(ALL[3]).await;
}

#[tokio::test]
async fn a_preview_is_refused_from_its_next_page_on() {
    let two = Two::synced(6).await;
    let path = format!("/api/connections/{GONE}/settings/preview");
    let wanted = json!({"settings": {"account_external_id": "External_ID"}, "object": "account"});
    let (status, said) = two.ask("POST", &path, &wanted).await;
    assert_eq!(status, 200, "{said}");
    two.disconnect().await;
    let before = two.gone.latest_request();
    let (status, said) = two.ask("POST", &path, &wanted).await;
    assert_eq!(status, 409, "{said}");
    two.purge().await;
    let (status, said) = two.ask("POST", &path, &wanted).await;
    assert_eq!(status, 409, "{said}");
    assert_eq!(two.gone.latest_request(), before);
}

/// Disconnected in the midst of a preview, which runs to the end of its request and stores nothing.
#[tokio::test]
async fn a_purge_in_the_midst_of_a_preview_leaves_nothing() {
    let mut number = 1;
    loop {
        let two = Two::synced(6).await;
        two.world().queue.writeback.clear();
        let world = two.world();
        let first = world.faults.calls() + number;
        let other = world.clone();
        world.faults.decide(move |call| {
            if call.number == first {
                let _ = block_on(Stop::Purge.happens(&other));
            }
            None
        });
        let path = format!("/api/connections/{GONE}/settings/preview");
        let wanted =
            json!({"settings": {"account_external_id": "External_ID"}, "object": "account"});
        drop(two.ask("POST", &path, &wanted).await);
        let met = world.faults.calls() >= first;
        world.faults.clear();
        if !met {
            break;
        }
        two.disconnect_again().await;
        two.purge_again().await;
        two.gone.deliver().await.unwrap();
        two.assert_gone().await;
        number += 1;
    }
    assert!(number > 5, "only {number} calls were made");
}
