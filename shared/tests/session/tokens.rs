//! Tokens are renewed early, once for everybody, and a crash delays nobody for long (C3).

use std::time::Duration;

use jiff::SignedDuration;
use tandem::connection::Status;
use tandem::disposition::Disposition;
use tandem::object::Object;
use tandem::select::Count;
use tandem_memory::{Failure, Fault, SeededEntropy, When, interleave};

use crate::story::{Step, Story};

#[tokio::test]
async fn a_fresh_token_is_read_once_and_used() {
    let story = Story::begin().await;
    let session = story.session().await;
    session.count(Count::all(Object::Account)).await.unwrap();
    session.fields(Object::Task).await.unwrap();
    assert_eq!(story.zoho.calls(), ["count", "fields"]);
    assert_eq!(story.world.faults.calls_of("tokens"), 1);
    assert_eq!(session.calls(), 2);
}

#[tokio::test]
async fn a_stale_token_is_renewed_early_and_kept_for_all() {
    let story = Story::begin().await;
    story.minutes_pass(56);
    story.work().await.unwrap();
    story.work().await.unwrap();
    assert_eq!(story.zoho.calls(), ["refresh", "count", "count"]);
    assert_eq!(story.tokens().generation, 2);
    assert_eq!(story.tokens().refresh.expose(), "refresh-acme");
}

#[tokio::test]
async fn a_stale_token_is_still_used_while_somebody_renews_it() {
    let story = Story::begin().await;
    story.minutes_pass(56);
    story.somebody_renews().await;
    let session = story.session().await;
    for _ in 0..3 {
        session.count(Count::all(Object::Account)).await.unwrap();
    }
    assert_eq!(story.zoho.calls(), ["count", "count", "count"]);
    let looks = story.world.faults.calls_of("lease");
    assert_eq!(looks, 2, "one look is enough for a while, and one seat");
}

#[tokio::test]
async fn a_stale_token_is_still_used_while_the_accounts_server_is_down() {
    let story = Story::begin().await;
    story.minutes_pass(56);
    story.zoho.accounts_down(true);
    story.work().await.unwrap();
    story.minutes_pass(4);
    let error = story.work().await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::Retry);
    story.zoho.accounts_down(false);
    story.minutes_pass(2);
    story.work().await.unwrap();
}

#[tokio::test]
async fn an_expired_token_is_renewed_before_it_is_used() {
    let story = Story::begin().await;
    story.minutes_pass(61);
    story.work().await.unwrap();
    assert_eq!(story.zoho.calls(), ["refresh", "count"]);
}

#[tokio::test]
async fn work_waits_while_somebody_renews_an_expired_token() {
    let story = Story::begin().await;
    story.minutes_pass(61);
    story.somebody_renews().await;
    let error = story.work().await.unwrap_err();
    let Disposition::RetryAfter(after) = error.disposition() else {
        panic!("{error}")
    };
    assert!(after <= Duration::from_secs(60), "{after:?}");
    assert_eq!(story.zoho.calls(), [""; 0]);
}

#[tokio::test]
async fn of_many_at_once_exactly_one_renews() {
    for seed in 0..60 {
        let story = Story::of_seed(seed).await;
        story.minutes_pass(61);
        story.world.faults.give_way(true);
        let workers: Vec<Step<'_, ()>> = (0..6)
            .map(|_| -> Step<'_, ()> { Box::pin(story.work_until_done()) })
            .collect();
        interleave(&SeededEntropy::new(seed), workers).await;
        assert_eq!(story.zoho.calls_of("refresh"), 1, "seed {seed}");
        assert_eq!(story.zoho.calls_of("count"), 6, "seed {seed}");
    }
}

#[tokio::test]
async fn calls_side_by_side_in_one_session_renew_once() {
    for seed in 0..30 {
        let story = Story::of_seed(seed).await;
        story.zoho.expire_tokens();
        story.world.faults.give_way(true);
        let session = story.session().await;
        let calls = Object::ALL.map(|object| -> Step<'_, bool> {
            let called = session.count(Count::all(object));
            Box::pin(async move { called.await.is_ok() })
        });
        let done = interleave(&SeededEntropy::new(seed), calls.into()).await;
        assert_eq!(done, [true; 5], "seed {seed}");
        assert_eq!(story.zoho.calls_of("refresh"), 1, "seed {seed}");
    }
}

#[tokio::test]
async fn a_crash_while_renewing_delays_the_others_for_a_minute() {
    for operation in ["refresh", "keep_tokens"] {
        for when in [When::Before, When::After] {
            let story = Story::begin().await;
            story.minutes_pass(61);
            story.world.faults.on(operation, 1, Fault::Crash(when));
            let crashed = story.world.faults.run(story.work()).await;
            assert!(crashed.is_err(), "{operation} {when:?}");
            story.world.faults.clear();
            story.minutes_pass(2);
            story.work().await.unwrap();
            let status = story.connection("acme").await.status;
            assert_eq!(status, Status::Enabled, "{operation} {when:?}");
        }
    }
}

#[tokio::test]
async fn no_crash_and_no_failure_makes_more_tokens_than_zoho_allows() {
    use When::{After, Before};
    let unavailable = |when| Fault::Fail(when, Failure::Unavailable);
    for (operation, fault) in [
        ("refresh", Fault::Crash(After)),
        ("refresh", unavailable(After)),
        ("refresh", Fault::Fail(After, Failure::Corrupt)),
        ("keep_tokens", Fault::Crash(Before)),
        ("keep_tokens", unavailable(Before)),
        ("keep_tokens", Fault::Fail(Before, Failure::Throttled)),
    ] {
        let what = format!("{operation} {fault:?}");
        let story = Story::begin().await;
        story.minutes_pass(61);
        story.world.faults.always(operation, fault);
        // Somebody tries each five seconds, for ten minutes.
        for _ in 0..120 {
            let worked = story.world.faults.run(story.work()).await;
            assert!(!matches!(worked, Ok(Ok(()))), "{what}");
            story.world.clock.advance(SignedDuration::from_secs(5));
        }
        let made = story.zoho.calls_of("refresh");
        assert!((1..=10).contains(&made), "{what}: {made} tokens");
        assert_eq!(story.tokens().refresh.expose(), "refresh-acme", "{what}");
        story.world.faults.clear();
        story.minutes_pass(2);
        story.work().await.unwrap();
        let status = story.connection("acme").await.status;
        assert_eq!(status, Status::Enabled, "{what}");
    }
}

#[tokio::test]
async fn a_renewal_killed_at_any_call_loses_nothing() {
    let mut call = 1;
    let mut killed = true;
    while killed {
        for when in [When::Before, When::After] {
            let story = Story::begin().await;
            story.minutes_pass(61);
            story.world.faults.at(call, Fault::Crash(when));
            killed = story.world.faults.run(story.work()).await.is_err();
            story.world.faults.clear();
            story.minutes_pass(2);
            story.work().await.unwrap();
            let what = format!("call {call} {when:?}");
            assert_eq!(story.tokens().refresh.expose(), "refresh-acme", "{what}");
            assert!(story.zoho.calls_of("refresh") <= 2, "{what}");
            let status = story.connection("acme").await.status;
            assert_eq!(status, Status::Enabled, "{what}");
        }
        call += 1;
    }
    assert!(call > 8, "only {call} calls were cut off");
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_renewed_once() {
    let story = Story::begin().await;
    story.zoho.expire_tokens();
    story.work().await.unwrap();
    assert_eq!(story.zoho.calls(), ["count", "refresh", "count"]);
}

#[tokio::test]
async fn a_token_that_somebody_renewed_already_is_taken_over() {
    let story = Story::begin().await;
    let slow = story.session().await;
    slow.count(Count::all(Object::Account)).await.unwrap();
    story.zoho.expire_tokens();
    story.work().await.unwrap();
    slow.count(Count::all(Object::Account)).await.unwrap();
    assert_eq!(story.zoho.calls_of("refresh"), 1);
}

#[tokio::test]
async fn a_token_that_somebody_renewed_earlier_may_be_as_useless_as_the_own() {
    let story = Story::begin().await;
    let slow = story.session().await;
    slow.count(Count::all(Object::Account)).await.unwrap();
    story.zoho.expire_tokens();
    story.work().await.unwrap();
    // By now Zoho has forgotten that one, too.
    story.zoho.expire_tokens();
    slow.count(Count::all(Object::Account)).await.unwrap();
    assert_eq!(story.zoho.calls_of("refresh"), 2);
    assert_eq!(story.connection("acme").await.status, Status::Enabled);
}
