//! Throttling pauses one connection for all functions, and credits are counted (C7).

use std::time::Duration;

use jiff::SignedDuration;
use tandem::credit::Bucket;
use tandem::disposition::Disposition;
use tandem::object::Object;
use tandem::port::Coordination as _;
use tandem::select::Count;

use crate::story::{Story, acme};

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

#[tokio::test]
async fn credits_are_counted_and_written_now_and_then() {
    let story = Story::begin().await;
    let from = Bucket::of(story.world.now());
    let spent = async || {
        let store = &story.world.store;
        store.credits_spent(&acme(), from).await.unwrap()
    };
    let session = story.session().await;
    for _ in 0..25 {
        session.count(Count::all(Object::Account)).await.unwrap();
    }
    assert_eq!((session.calls(), session.credits()), (25, 25));
    assert_eq!(spent().await, 20);
    session.finish().await.unwrap();
    session.finish().await.unwrap();
    assert_eq!(spent().await, 25);
    assert_eq!(story.world.store.writes().credits, 2);
}
