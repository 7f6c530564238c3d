//! What a purge leaves behind, whatever happens on the way.

use std::pin::Pin;

use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use stories::Story;
use tandem::connection::Status;
use tandem::flow::Error;
use tandem::port::Connections as _;
use tandem_memory::{Crashed, Failure, Fault, When};

use super::desk::{GONE, Two, ask, ask_for_purge, calm};

#[tokio::test]
async fn a_purge_leaves_the_id_and_nothing_else_and_the_neighbour_as_it_was() {
    let two = Two::synced(12).await;
    two.stays.deliver().await.unwrap();
    two.disconnect().await;
    let before = two.neighbour().await;
    let kept = two.world().store.all_records(&two.gone.connection()).len() as u64;
    two.purge().await;
    let path = format!("/api/connections/{GONE}");
    let (_, shown) = two.ask("GET", &path, &Json::Null).await;
    assert_eq!(shown["status"], "purging");
    assert_eq!(shown["purge"]["deleted"], 0);
    two.gone.deliver().await.unwrap();
    two.assert_gone().await;
    let (_, shown) = two.ask("GET", &path, &Json::Null).await;
    assert_eq!(shown["purge"]["records"], kept);
    assert!(shown["purge"]["deleted"].as_u64().unwrap() > 3 * kept);
    assert_eq!(two.neighbour().await, before);
    let (status, again) = ask_for_purge(two.world()).await;
    assert_eq!((status, &again["status"]), (200, &json!("purged")));
    assert!(two.world().queue.work.is_empty(), "nothing is left to do");
    // The neighbour goes on.
    two.stays.routine_sync().await.unwrap();
}

#[tokio::test]
async fn a_purge_waits_until_every_function_that_ran_is_over() {
    let two = Two::synced(12).await;
    two.disconnect().await;
    two.purge().await;
    let records = || two.world().store.all_records(&two.gone.connection()).len();
    let before = records();
    // A message that comes early, as a person's second request sends one, waits with the first.
    two.purge().await;
    for _ in 0..14 {
        two.gone.pass(SignedDuration::from_mins(1));
        while let Some(held) = two.world().queue.take_work() {
            two.gone.handle_work(&held.message).await.unwrap();
        }
        assert_eq!(records(), before);
    }
    two.gone.deliver().await.unwrap();
    two.assert_gone().await;
}

#[tokio::test]
async fn a_purge_has_to_be_meant() {
    let two = Two::synced(12).await;
    let path = format!("/api/connections/{GONE}/purge");
    let (status, said) = ask_for_purge(two.world()).await;
    assert_eq!(status, 409, "it is not disconnected: {said}");
    assert!(
        said["detail"]
            .as_str()
            .unwrap()
            .contains("disconnect it first")
    );
    two.disconnect().await;
    for (body, expected) in [
        (json!({ "connection": "acme" }), 422),
        (json!({ "connection": "XQ-GONE" }), 422),
        (json!({ "connection": "" }), 422),
        (json!({}), 400),
        (json!({ "connection": GONE, "force": true }), 400),
        (Json::Null, 400),
    ] {
        let (status, said) = two.ask("POST", &path, &body).await;
        assert_eq!(status, expected, "{body}: {said}");
    }
    let (status, _) = two
        .ask(
            "GET",
            &format!("/api/connections/{GONE}/contact"),
            &Json::Null,
        )
        .await;
    assert_eq!(status, 200, "disconnected data stays");
    let nobody = json!({ "connection": "nobody" });
    let (status, _) = two
        .ask("POST", "/api/connections/nobody/purge", &nobody)
        .await;
    assert_eq!(status, 404);
    assert!(two.world().queue.work.is_empty(), "nothing was begun");
}

#[tokio::test]
async fn a_grant_that_is_not_revoked_is_revoked_before_the_purge() {
    let two = Two::synced(12).await;
    let world = two.world();
    world
        .faults
        .always("revoke", Fault::Fail(When::Before, Failure::Unavailable));
    let disconnect = format!("/api/connections/{GONE}/disconnect");
    let (status, _) = two.ask("POST", &disconnect, &Json::Null).await;
    assert_eq!(status, 502);
    let (status, said) = ask_for_purge(world).await;
    assert_eq!(status, 502, "{said}");
    let id = two.gone.connection();
    assert_eq!(
        world.store.connection(&id).await.unwrap().unwrap().status,
        Status::Disconnected
    );
    world.faults.clear();
    two.purge().await;
    assert!(world.vault.tokens_of(&id).is_none());
    two.gone.deliver().await.unwrap();
    two.assert_gone().await;
}

#[tokio::test]
async fn what_is_gone_can_neither_be_read_nor_changed_nor_used_anew() {
    let two = Two::synced(12).await;
    two.disconnect().await;
    two.purge().await;
    let refused = async |state: &str| {
        let of = |rest: &str| format!("/api/connections/{GONE}{rest}");
        for (method, path, body) in [
            ("GET", of("/contact"), Json::Null),
            ("GET", of("/log"), Json::Null),
            ("GET", of("/settings"), Json::Null),
            ("PATCH", of(""), json!({ "name": "New" })),
            ("POST", of("/enable"), Json::Null),
            ("POST", of("/pause"), Json::Null),
            ("POST", of("/disconnect"), Json::Null),
            ("POST", of("/preflight"), Json::Null),
            ("POST", of("/runs"), json!({ "kind": "full" })),
            (
                "PATCH",
                of("/contact/a@b.example"),
                json!({ "fields": { "phone": "9" } }),
            ),
        ] {
            let (status, said) = two.ask(method, &path, &body).await;
            assert_eq!(status, 409, "{method} {path}: {said}");
            assert!(said["detail"].as_str().unwrap().contains(state), "{said}");
        }
        let anew = json!({ "id": GONE, "name": "Another customer" });
        let (status, _) = two.ask("POST", "/api/connections", &anew).await;
        assert_eq!(status, 409);
    };
    refused("being purged").await;
    two.gone.deliver().await.unwrap();
    refused("is purged").await;
    two.assert_gone().await;
}

/// Delivers the workers' messages until none is left; one whose worker crashes comes again. True when one crashed.
async fn deliver_through_crashes(story: &Story) -> bool {
    let world = &story.world;
    let mut crashed = false;
    loop {
        if let Some(held) = world.queue.take_work() {
            match world.faults.run(story.handle_work(&held.message)).await {
                Ok(done) => done.unwrap(),
                Err(Crashed) => {
                    crashed = true;
                    world.queue.work.put_back(held);
                }
            }
        } else if let Some(next) = world.queue.work.next_at() {
            world.clock.set(next);
        } else {
            return crashed;
        }
    }
}

#[tokio::test]
async fn a_purge_that_is_cut_off_at_any_call_comes_to_its_end() {
    for when in [When::Before, When::After] {
        for number in 1.. {
            let two = Two::synced(6).await;
            two.gone.world.queue.writeback.clear();
            two.disconnect().await;
            let before = two.neighbour().await;
            let world = two.world();
            world.faults.at(number, Fault::Crash(when));
            let asked = world.faults.run(ask_for_purge(world)).await;
            let mut crashed = asked.is_err();
            if crashed {
                // The person got no answer and asks again, when nobody can be at the tokens any more.
                two.gone.pass(SignedDuration::from_mins(2));
                two.purge().await;
            }
            crashed |= deliver_through_crashes(&two.gone).await;
            world.faults.clear();
            two.assert_gone().await;
            assert_eq!(two.neighbour().await, before, "call {number}");
            if !crashed {
                assert!(number > 10, "only {number} calls were made");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_purge_whose_calls_fail_at_random_comes_to_its_end() {
    for seed in 0..8_u64 {
        let two = Two::synced(6).await;
        two.gone.world.queue.writeback.clear();
        two.disconnect().await;
        two.purge().await;
        let world = two.world();
        let mut left = 12_u32;
        world.faults.decide(move |call| {
            let drawn = (call.number + seed).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
            let fault = match drawn % 7 {
                0 => Fault::Fail(When::Before, Failure::Throttled),
                1 => Fault::Fail(When::After, Failure::Unavailable),
                2 => Fault::Fail(When::After, Failure::Conflict),
                3 => Fault::Crash(When::After),
                _ => return None,
            };
            left = left.checked_sub(1)?;
            Some(fault)
        });
        two.gone.deliver_again_and_again().await.unwrap();
        world.faults.clear();
        two.gone.deliver().await.unwrap();
        two.assert_gone().await;
    }
}

#[tokio::test]
async fn two_workers_with_the_same_message_end_in_the_same() {
    let two = Two::synced(12).await;
    two.disconnect().await;
    let before = two.neighbour().await;
    two.purge().await;
    two.purge().await;
    two.gone.pass(SignedDuration::from_mins(15));
    let world = calm(two.world());
    world.faults.give_way(true);
    let ports = world.ports();
    while !world.queue.work.is_empty() {
        if let Some(next) = world
            .queue
            .work
            .next_at()
            .filter(|_| world.queue.work.ready() == 0)
        {
            world.clock.set(next);
        }
        let deadline = tandem::flow::job::Deadline(world.now() + SignedDuration::from_mins(5));
        let held = world.queue.work.take_all();
        let works = held
            .iter()
            .map(|held| {
                let work = tandem::flow::work::handle(&ports, &held.message, deadline);
                Box::pin(work) as Pin<Box<dyn Future<Output = Result<(), Error>> + '_>>
            })
            .collect();
        for done in tandem_memory::interleave(&world.entropy, works).await {
            done.unwrap();
        }
    }
    two.assert_gone().await;
    assert_eq!(two.neighbour().await, before);
}

#[tokio::test]
async fn a_large_purge_hands_itself_on_before_its_deadline() {
    let two = Two::synced(60).await;
    two.disconnect().await;
    two.purge().await;
    two.gone.pass(SignedDuration::from_mins(15));
    let world = two.world();
    let mut invocations = 0;
    let mut deleted = 0;
    while let Some(held) = world.queue.take_work() {
        // Not a second to spare: one step, and on it goes in another invocation.
        let deadline = tandem::flow::job::Deadline(world.now());
        tandem::flow::work::handle(&world.ports(), &held.message, deadline)
            .await
            .unwrap();
        invocations += 1;
        let (_, shown) = ask(
            world,
            "GET",
            &format!("/api/connections/{GONE}"),
            &Json::Null,
        )
        .await;
        let now = shown["purge"]["deleted"].as_u64().unwrap();
        assert!(now - deleted <= 1_000, "a step is bounded");
        deleted = now;
    }
    assert!(invocations > 2, "{invocations}");
    assert!(deleted > 1_000);
    two.assert_gone().await;
}
