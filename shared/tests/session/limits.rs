//! Throttling pauses one connection for all functions, and credits are counted (C7).

use std::time::Duration;

use jiff::SignedDuration;
use tandem::credit::{self, Bucket, Hour, Spender, Spent};
use tandem::disposition::Disposition;
use tandem::flow::{Error, Session};
use tandem::object::Object;
use tandem::port::Coordination as _;
use tandem::select::Count;
use tandem_memory::{Failure, Fault, SeededEntropy, When, interleave};

use crate::story::{Step, Story, acme};

#[tokio::test]
async fn throttling_pauses_the_connection_for_all_and_no_other() {
    let story = Story::begin().await;
    story.connect("other", "200").await;
    story.zoho.throttle(Some(Duration::from_secs(120)));
    let error = story.work().await.unwrap_err();
    let Disposition::RetryAfter(after) = error.disposition() else {
        panic!("{error}")
    };
    assert!((120..=151).contains(&after.as_secs()), "{after:?}");
    story.zoho.calm();

    let error = story.work().await.unwrap_err();
    assert!(matches!(error.disposition(), Disposition::RetryAfter(_)));
    assert_eq!(story.zoho.calls(), ["count"], "nobody calls while it lasts");
    assert_eq!(story.connection("other").await.paused_until, None);
    assert_eq!(story.log(), ["throttled"]);

    story.minutes_pass(3);
    story.work().await.unwrap();
}

#[tokio::test]
async fn a_throttled_session_makes_no_further_call() {
    let story = Story::begin().await;
    let session = story.session().await;
    story.zoho.throttle(None);
    session
        .count(Count::all(Object::Account))
        .await
        .unwrap_err();
    session
        .count(Count::all(Object::Contact))
        .await
        .unwrap_err();
    assert_eq!(story.zoho.calls(), ["count"]);
}

#[tokio::test]
async fn a_pause_that_did_not_help_is_followed_by_a_longer_one() {
    let story = Story::begin().await;
    story.zoho.throttle(None);
    let mut lengths = Vec::new();
    for _ in 0..2 {
        story.work().await.unwrap_err();
        let until = story.connection("acme").await.paused_until.unwrap();
        lengths.push(until.duration_since(story.world.now()).as_secs());
        story.world.clock.set(until + SignedDuration::from_secs(10));
    }
    assert!((60..=75).contains(&lengths[0]), "{lengths:?}");
    assert!((300..=375).contains(&lengths[1]), "{lengths:?}");
}

async fn hours(story: &Story) -> Vec<Hour> {
    let since = Bucket::day_before(story.world.now());
    let store = &story.world.store;
    store.credits_spent(&acme(), since).await.unwrap()
}

async fn spent(story: &Story) -> u64 {
    credit::spent(&hours(story).await).total()
}

async fn count(session: &Session) -> Result<(), Error> {
    session.count(Count::all(Object::Account)).await.map(|_| ())
}

/// Others of the connection spend that much.
async fn others_spend(story: &Story, credits: u64) {
    let bucket = Bucket::of(story.world.now());
    let spent = Spent {
        spender: Spender::FullSync,
        credits,
        word: None,
    };
    let store = &story.world.store;
    store.spend_credits(&acme(), bucket, spent).await.unwrap();
}

#[tokio::test]
async fn credits_are_counted_and_written_now_and_then() {
    let story = Story::begin().await;
    let session = story.session().await;
    for _ in 0..35 {
        count(&session).await.unwrap();
    }
    assert_eq!((session.calls(), session.credits()), (35, 35));
    assert_eq!(spent(&story).await, 30);
    session.finish().await.unwrap();
    session.finish().await.unwrap();
    assert_eq!(spent(&story).await, 35);
    assert_eq!(story.world.store.writes().credits, 2);
    assert_eq!(hours(&story).await[0].parts.routine_sync, 35);
}

#[tokio::test]
async fn a_session_that_is_killed_leaves_at_most_thirty_credits_uncounted() {
    for calls in [1, 29, 30, 31, 100] {
        let story = Story::begin().await;
        let session = story.session().await;
        for _ in 0..calls {
            count(&session).await.unwrap();
        }
        drop(session);
        let uncounted = calls - spent(&story).await;
        assert!(uncounted <= 30, "{uncounted} of {calls}");
    }
}

#[tokio::test]
async fn calls_that_fail_count_too() {
    let story = Story::begin().await;
    let session = story.session().await;
    story.zoho.expire_tokens();
    count(&session).await.unwrap();
    story.zoho.throttle(None);
    count(&session).await.unwrap_err();
    session.finish().await.unwrap();
    assert_eq!(story.zoho.calls_of("count"), 3);
    assert_eq!((session.credits(), spent(&story).await), (3, 3));
}

#[tokio::test]
async fn no_call_is_made_when_its_credits_can_not_be_written_down() {
    let story = Story::begin().await;
    let session = story.session().await;
    story.world.faults.on(
        "spend_credits",
        1,
        Fault::Fail(When::Before, Failure::Unavailable),
    );
    for _ in 0..30 {
        count(&session).await.unwrap();
    }
    let error = count(&session).await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::Retry);
    assert_eq!(story.zoho.calls_of("count"), 30);
    count(&session).await.unwrap();
    session.finish().await.unwrap();
    assert_eq!(spent(&story).await, 31);
}

#[tokio::test]
async fn a_session_under_way_stops_when_the_credits_are_spent() {
    for (spender, percent) in [
        (Spender::FullSync, 80),
        (Spender::RoutineSync, 95),
        (Spender::Person, 95),
        (Spender::Writeback, 100),
    ] {
        let story = Story::begin().await;
        let ceiling = 30_000;
        let session = story.open_as(spender).await.unwrap();
        let limit = ceiling * percent / 100;
        others_spend(&story, limit - 40).await;
        let mut calls = 0;
        let error = loop {
            match count(&session).await {
                Ok(()) => calls += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::OverBudget { .. }), "{error}");
        assert_eq!(
            calls, 40,
            "{spender:?} knows to the credit what it spends itself"
        );
        session.finish().await.unwrap();
        assert_eq!(story.log(), ["credits spent"]);
    }
}

#[tokio::test]
async fn a_session_under_way_learns_within_thirty_credits_what_others_spend() {
    let story = Story::begin().await;
    let session = story.open_as(Spender::FullSync).await.unwrap();
    count(&session).await.unwrap();
    others_spend(&story, 30_000).await;
    let mut calls = 1;
    while count(&session).await.is_ok() {
        calls += 1;
    }
    assert_eq!(calls, 30);
}

#[tokio::test]
async fn zohos_word_is_heard_at_once_and_told_to_all() {
    let story = Story::begin().await;
    story.zoho.tell_left(Some(29_999));
    let session = story.open_as(Spender::FullSync).await.unwrap();
    count(&session).await.unwrap();
    let error = count(&session).await.unwrap_err();
    assert!(error.to_string().contains("29999"), "{error}");
    session.finish().await.unwrap();
    let told = credit::latest_word(&hours(&story).await).unwrap();
    assert_eq!((told.left, told.at), (29_999, story.world.now()));

    let other = story.open_as(Spender::FullSync).await.unwrap();
    count(&other).await.unwrap_err();
    assert_eq!(
        story.zoho.calls_of("count"),
        1,
        "the word holds for all functions"
    );
    story.work().await.unwrap();

    story.zoho.tell_left(None);
    story.minutes_pass(24 * 60);
    let next_day = story.open_as(Spender::FullSync).await.unwrap();
    count(&next_day).await.unwrap();
}

#[tokio::test]
async fn of_many_at_once_no_more_call_than_there_are_seats() {
    for seed in 0..60 {
        let story = Story::of_seed(seed).await;
        story.world.faults.give_way(true);
        let workers: Vec<Step<'_, ()>> = (0..12)
            .map(|_| -> Step<'_, ()> { Box::pin(story.work_until_done()) })
            .collect();
        interleave(&SeededEntropy::new(seed), workers).await;
        assert_eq!(story.zoho.calls_of("count"), 12, "seed {seed}");
        // Five seats, of which one is kept for writeback.
        assert!(story.zoho.most_at_once() <= 4, "seed {seed}");
    }
}

#[tokio::test]
async fn calls_side_by_side_in_one_session_go_out_one_after_the_other() {
    let story = Story::begin().await;
    story.world.faults.give_way(true);
    let session = story.session().await;
    let calls: Vec<Step<'_, ()>> = (0..6)
        .map(|_| -> Step<'_, ()> {
            let called = count(&session);
            Box::pin(async move { called.await.unwrap() })
        })
        .collect();
    interleave(&SeededEntropy::new(5), calls).await;
    assert_eq!(story.zoho.most_at_once(), 1);
}

#[tokio::test]
async fn writeback_finds_a_seat_while_syncs_have_all_of_theirs() {
    let story = Story::begin().await;
    let mut sitting = Vec::new();
    for (spender, seats, again) in [
        (Spender::FullSync, 3, 20..60),
        (Spender::RoutineSync, 1, 5..15),
    ] {
        for _ in 0..seats {
            let session = story.open_as(spender).await.unwrap();
            count(&session).await.unwrap();
            sitting.push(session);
        }
        let late = story.open_as(spender).await.unwrap();
        let error = count(&late).await.unwrap_err();
        assert!(matches!(error, Error::Busy { .. }), "{error}");
        let Disposition::RetryAfter(after) = error.disposition() else {
            panic!("{error}")
        };
        assert!(again.contains(&after.as_secs()), "{after:?}");
    }
    let writeback = story.open_as(Spender::Writeback).await.unwrap();
    count(&writeback).await.unwrap();
    sitting.pop().unwrap().finish().await.unwrap();
    let routine = story.open_as(Spender::RoutineSync).await.unwrap();
    count(&routine).await.unwrap();
}

#[tokio::test]
async fn the_seat_of_a_killed_session_is_free_again_after_two_minutes() {
    let story = Story::begin().await;
    for _ in 0..4 {
        let killed = story.session().await;
        count(&killed).await.unwrap();
        drop(killed);
    }
    let error = story.work().await.unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    story.minutes_pass(2);
    story.work().await.unwrap();
}

#[tokio::test]
async fn a_seat_outlives_every_call_that_is_made_with_it_and_costs_two_writes() {
    let story = Story::begin().await;
    let session = story.session().await;
    count(&session).await.unwrap();
    let leases = |story: &Story| story.world.store.writes().leases;
    assert_eq!(leases(&story), 1);
    story.world.clock.advance(SignedDuration::from_secs(55));
    count(&session).await.unwrap();
    assert_eq!(
        leases(&story),
        1,
        "65 seconds are left, and a call lasts 60"
    );
    story.world.clock.advance(SignedDuration::from_secs(1));
    count(&session).await.unwrap();
    assert_eq!(leases(&story), 2);
    session.finish().await.unwrap();
    assert_eq!(leases(&story), 3);

    let idle = story.session().await;
    idle.finish().await.unwrap();
    assert_eq!(
        leases(&story),
        3,
        "a session that calls nobody takes no seat"
    );
}

#[tokio::test]
async fn a_session_whose_seat_ran_out_takes_another() {
    let story = Story::begin().await;
    let slow = story.session().await;
    count(&slow).await.unwrap();
    story.minutes_pass(5);
    let mut sitting = Vec::new();
    for _ in 0..4 {
        let session = story.session().await;
        count(&session).await.unwrap();
        sitting.push(session);
    }
    let error = count(&slow).await.unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    for session in sitting {
        session.finish().await.unwrap();
    }
    count(&slow).await.unwrap();
}

#[tokio::test]
async fn a_connection_has_its_own_seats() {
    let story = Story::begin().await;
    story.connect("other", "200").await;
    let mut sitting = Vec::new();
    for _ in 0..4 {
        let session = story.session().await;
        count(&session).await.unwrap();
        sitting.push(session);
    }
    count(&story.session().await).await.unwrap_err();
    let other = story.connection("other").await;
    let other = story.open_for(&other).await.unwrap();
    count(&other).await.unwrap();
}
