//! The look that follows saved settings, delivered as queues deliver, and the look that is still good when a connection is switched on.

use jiff::SignedDuration;
use serde_json::json;
use stories::Story;
use tandem::connection::Status;
use tandem::credit::{Bucket, Spender, Spent};
use tandem::finding::Code;
use tandem::flow::preflight;
use tandem::message::{Version, Work};
use tandem::port::{Connections as _, Coordination as _};
use tandem::preflight::Preflight;
use tandem_memory::{Fault, When};
use zoho_sim::faults::Throttle;

use super::{connection, look, plain};

async fn kept(story: &Story) -> Option<Preflight> {
    let store = &story.world.store;
    store.preflight(&story.connection()).await.unwrap()
}

fn message(story: &Story) -> Work {
    Work::Preflight {
        version: Version,
        connection: story.connection(),
    }
}

/// Saves settings as the console does.
async fn save(story: &Story, hour: i8) {
    let settings = json!({ "account_external_id": "External_ID", "night_hour": hour });
    story.save_settings(settings).await.unwrap();
    preflight::send(&story.ports(), &story.connection()).await;
}

#[tokio::test]
async fn saved_settings_are_followed_by_one_look_however_often_it_is_asked_for() {
    let story = plain().await;
    save(&story, 3).await;
    save(&story, 4).await;
    story.deliver().await.unwrap();
    let version = story.world.store.settings(&story.connection()).await;
    let first = kept(&story).await.unwrap();
    assert_eq!(first.settings, version.unwrap().version);
    story.handle_work(&message(&story)).await.unwrap();
    assert_eq!(kept(&story).await.unwrap(), first);
    assert_eq!(story.log("preflight").len(), 1);
}

#[tokio::test]
async fn who_has_no_access_is_not_looked_at() {
    for status in [Status::New, Status::NeedsReconnect, Status::Disconnected] {
        let story = plain().await;
        let mut stored = connection(&story).await;
        stored.status = status;
        story.world.store.save_connection(stored).await.unwrap();
        let before = story.latest_request();
        story.handle_work(&message(&story)).await.unwrap();
        assert_eq!(story.calls_since(before), Vec::<String>::new());
        assert_eq!(kept(&story).await, None);
    }
}

#[tokio::test]
async fn a_grant_that_is_gone_ends_the_look_without_another() {
    let story = plain().await;
    let organisation = story.organisation;
    story.zoho.model().oauth.revoke_all(organisation, true);
    save(&story, 3).await;
    story.deliver().await.unwrap();
    assert_eq!(story.status().await.unwrap(), Status::NeedsReconnect);
    assert_eq!(kept(&story).await, None);
}

#[tokio::test]
async fn a_throttled_look_comes_later_by_itself() {
    let story = plain().await;
    story.zoho.model().faults.throttle(Throttle {
        calls: Some(1),
        ..Throttle::default()
    });
    save(&story, 3).await;
    let began = story.world.now();
    story.deliver().await.unwrap();
    assert!(story.world.now() > began, "it waited");
    assert!(kept(&story).await.is_some());
}

#[tokio::test]
async fn a_look_waits_until_credits_are_back() {
    let story = plain().await;
    let bucket = Bucket::of(story.world.now());
    let store = &story.world.store;
    let spent = Spent {
        spender: Spender::RoutineSync,
        credits: 1_000_000,
        word: None,
    };
    store
        .spend_credits(&story.connection(), bucket, spent)
        .await
        .unwrap();
    save(&story, 3).await;
    let before = story.latest_request();
    let held = story.world.queue.take_work().unwrap();
    story.handle_work(&held.message).await.unwrap();
    assert_eq!(story.calls_since(before), Vec::<String>::new());
    story.deliver().await.unwrap();
    assert!(kept(&story).await.is_some(), "a day later");
}

#[tokio::test]
async fn a_look_that_is_killed_anywhere_is_made_again() {
    let calls = {
        let story = plain().await;
        let before = story.world.faults.calls();
        story.handle_work(&message(&story)).await.unwrap();
        story.world.faults.calls() - before
    };
    assert!(calls > 15, "{calls}");
    for number in 1..=calls {
        for when in [When::Before, When::After] {
            let story = plain().await;
            let at = story.world.faults.calls() + number;
            story.world.faults.at(at, Fault::Crash(when));
            let work = message(&story);
            let crashed = story.world.faults.run(story.handle_work(&work)).await;
            assert!(crashed.is_err(), "{number} {when:?}");
            story.world.faults.clear();
            story.handle_work(&work).await.unwrap();
            assert!(kept(&story).await.unwrap().is_conclusive());
        }
    }
}

#[tokio::test]
async fn a_look_is_good_for_ten_minutes_and_these_settings_unless_it_blocks() {
    let story = plain().await;
    let ports = story.ports();
    let first = look(&story).await;
    let fresh = async || {
        let connection = connection(&story).await;
        preflight::fresh(&ports, &connection).await.unwrap()
    };
    story.pass(SignedDuration::from_mins(9));
    assert_eq!(fresh().await, first);
    story.pass(SignedDuration::from_mins(1));
    let second = fresh().await;
    assert_ne!(second.at, first.at, "too old");
    let settings = json!({ "account_external_id": "External_ID", "night_hour": 5 });
    story.save_settings(settings).await.unwrap();
    story.zoho_hides("Accounts", "External_ID", true).unwrap();
    let third = fresh().await;
    assert!(third.settings > second.settings && third.blocks());
    story.zoho_hides("Accounts", "External_ID", false).unwrap();
    assert!(!fresh().await.blocks(), "what blocked may be mended by now");

    let connection = connection(&story).await;
    let failed = Preflight::failed(
        story.world.now(),
        third.settings,
        preflight::environment(&connection),
        "nobody answered",
    );
    let store = &story.world.store;
    store
        .keep_preflight(&story.connection(), &failed)
        .await
        .unwrap();
    assert!(!super::codes(&fresh().await).contains(&Code::NotLookedAt));
}
