//! A grant that is lost ends once, and never a newer one (C3).

use futures::FutureExt as _;
use jiff::SignedDuration;
use tandem::connection::{Connection, Status};
use tandem::data_centre::DataCentre;
use tandem::disposition::Disposition;
use tandem::object::Object;
use tandem::port::{Connections as _, Vault as _};
use tandem::secret::{Secret, Tokens};
use tandem::select::Count;
use tandem_memory::{Failure, Fault, Granting, SeededEntropy, When, interleave};

use crate::story::{Step, Story, acme};

#[tokio::test]
async fn two_new_tokens_refused_end_the_grant_without_a_further_call() {
    let story = Story::begin().await;
    story.zoho.reject_tokens(true);
    let session = story.session().await;
    for _ in 0..3 {
        let error = session
            .count(Count::all(Object::Account))
            .await
            .unwrap_err();
        assert_eq!(error.disposition(), Disposition::Reconnect);
    }
    assert_eq!(
        story.zoho.calls(),
        ["count", "refresh", "count", "refresh", "count"]
    );

    let connection = story.connection("acme").await;
    assert_eq!(connection.status, Status::NeedsReconnect);
    assert!(connection.reason.unwrap().contains("connect Zoho again"));
    assert!(story.open().await.is_err());
    assert_eq!(story.log(), ["needs_reconnect"]);
}

#[tokio::test]
async fn a_revoked_grant_stops_all_work_without_a_storm() {
    let story = Story::begin().await;
    story.zoho.revoke_grant("refresh-acme");
    for _ in 0..5 {
        let error = story.work().await.unwrap_err();
        assert_eq!(error.disposition(), Disposition::Reconnect);
    }
    assert_eq!(story.zoho.calls(), ["count", "refresh"]);
    assert_eq!(story.log(), ["needs_reconnect"]);
    let connection = story.connection("acme").await;
    assert_eq!(connection.status, Status::NeedsReconnect);
    assert!(connection.routine_due_at.is_some(), "it was switched on");
}

#[tokio::test]
async fn a_revoked_grant_is_marked_once_by_many_at_once() {
    for seed in 0..30 {
        let story = Story::of_seed(seed).await;
        story.zoho.revoke_grant("refresh-acme");
        story.world.faults.give_way(true);
        let workers: Vec<Step<'_, Disposition>> = (0..4)
            .map(|_| -> Step<'_, Disposition> {
                Box::pin(async { story.work().await.unwrap_err().disposition() })
            })
            .collect();
        interleave(&SeededEntropy::new(seed), workers).await;
        story.work().await.unwrap_err();
        let connection = story.connection("acme").await;
        assert_eq!(connection.status, Status::NeedsReconnect, "seed {seed}");
        assert_eq!(story.log(), ["needs_reconnect"], "seed {seed}");
    }
}

#[tokio::test]
async fn a_paused_connection_that_loses_its_grant_forgets_when_it_was_due() {
    let story = Story::begin().await;
    story.set_status(Status::Paused).await;
    story.zoho.revoke_grant("refresh-acme");
    story.work().await.unwrap_err();
    let connection = story.connection("acme").await;
    assert_eq!(connection.status, Status::NeedsReconnect);
    assert_eq!(
        connection.routine_due_at, None,
        "reconnecting leaves it off"
    );
}

#[tokio::test]
async fn a_disconnected_connection_stays_disconnected() {
    let story = Story::begin().await;
    let session = story.session().await;
    story.set_status(Status::Disconnected).await;
    story.world.vault.forget_tokens(&acme()).await.unwrap();
    session
        .count(Count::all(Object::Account))
        .await
        .unwrap_err();
    let status = story.connection("acme").await.status;
    assert_eq!(status, Status::Disconnected);
    assert!(story.open().await.is_err());
    assert_eq!(story.zoho.calls(), [""; 0]);
}

#[tokio::test]
async fn a_newer_grant_takes_over_from_a_revoked_one() {
    let story = Story::begin().await;
    let slow = story.session().await;
    slow.count(Count::all(Object::Account)).await.unwrap();
    story.zoho.revoke_grant("refresh-acme");
    let granting = Granting::all(&story.world.directory, DataCentre::Eu, "100", "acme");
    story.zoho.granted("refresh-new", "access-new", granting);
    let tokens = Tokens {
        refresh: Secret::new("refresh-new"),
        access: Secret::new("access-new"),
        generation: 7,
        ..story.tokens()
    };
    let vault = &story.world.vault;
    vault.keep_tokens(&acme(), &tokens).await.unwrap();
    slow.count(Count::all(Object::Account)).await.unwrap();
    assert_eq!(story.connection("acme").await.status, Status::Enabled);
    assert_eq!(story.tokens().refresh.expose(), "refresh-new");
    assert_eq!(story.zoho.calls_of("refresh"), 0);
}

/// Lets the customer reconnect just before the next call of that method, whatever lease is held.
fn reconnected_before(story: &Story, operation: &'static str) {
    let granting = Granting::all(&story.world.directory, DataCentre::Eu, "100", "acme");
    story.zoho.granted("refresh-new", "access-new", granting);
    let tokens = Tokens {
        refresh: Secret::new("refresh-new"),
        access: Secret::new("access-new"),
        expires_at: story.world.now() + SignedDuration::from_hours(1),
        generation: 7,
        centre: Some(DataCentre::Eu),
    };
    let (vault, store) = (story.world.vault.clone(), story.world.store.clone());
    let reconnect = async move || {
        vault.keep_tokens(&acme(), &tokens).await.unwrap();
        let stored = store.connection(&acme()).await.unwrap().unwrap();
        let connected = Connection {
            status: Status::Enabled,
            reason: None,
            ..stored
        };
        store.save_connection(connected).await.unwrap();
    };
    let mut reconnected = false;
    story.world.faults.decide(move |call| {
        if call.operation == operation && !reconnected {
            reconnected = true;
            reconnect().now_or_never().unwrap();
        }
        None
    });
}

#[tokio::test]
async fn a_renewal_does_not_overwrite_a_newer_grant() {
    let story = Story::begin().await;
    story.minutes_pass(61);
    reconnected_before(&story, "refresh");
    story.work().await.unwrap();
    assert_eq!(story.tokens().refresh.expose(), "refresh-new");
    assert_eq!(story.tokens().generation, 7);
}

#[tokio::test]
async fn a_refused_old_grant_does_not_end_a_newer_one() {
    let story = Story::begin().await;
    story.minutes_pass(61);
    story.zoho.revoke_grant("refresh-acme");
    reconnected_before(&story, "refresh");
    let error = story.work().await.unwrap_err();
    assert!(matches!(error.disposition(), Disposition::RetryAfter(_)));
    story.world.faults.clear();
    story.work().await.unwrap();
    assert_eq!(story.connection("acme").await.status, Status::Enabled);
    assert_eq!(story.log(), [""; 0]);
}

#[tokio::test]
async fn a_customer_who_comes_back_while_the_grant_is_given_up_stays_connected() {
    for (operation, saves) in [("connection", 0), ("save_connection", 1)] {
        let story = Story::begin().await;
        story.minutes_pass(61);
        story.zoho.revoke_grant("refresh-acme");
        reconnected_before(&story, operation);
        let error = story.work().await.unwrap_err();
        assert!(matches!(error.disposition(), Disposition::RetryAfter(_)));
        // What is saved at all meets a conflict, so whoever is cut off leaves no mark.
        let tried = story.world.faults.calls_of("save_connection");
        assert_eq!(tried, saves, "{operation}");
        story.world.faults.clear();
        story.work().await.unwrap();
        assert_eq!(story.connection("acme").await.status, Status::Enabled);
    }
}

/// How many calls a function makes that finds its grant revoked, when the call of that number goes wrong. The message comes again.
async fn calls_with(number: u64, fault: Fault) -> u64 {
    let story = Story::begin().await;
    story.zoho.revoke_grant("refresh-acme");
    story.world.faults.at(number, fault);
    drop(story.world.faults.run(story.work()).await);
    let calls = story.world.faults.calls();
    story.world.faults.clear();
    story.minutes_pass(3);
    story.work().await.unwrap_err();
    let connection = story.connection("acme").await;
    assert_eq!(connection.status, Status::NeedsReconnect, "{number}");
    let told = story.log().contains(&"needs_reconnect".to_owned());
    assert!(told, "{fault:?} at {number}");
    calls
}

#[tokio::test]
async fn a_person_is_told_of_a_lost_grant_whatever_goes_wrong_with_whoever_finds_out() {
    for fault in [
        Fault::Crash(When::After),
        Fault::Fail(When::Before, Failure::Unavailable),
    ] {
        let mut number = 1;
        while calls_with(number, fault).await >= number {
            number += 1;
        }
        assert!(number > 10, "only {number} calls were made");
    }
}

#[tokio::test]
async fn our_own_clients_mistake_is_not_the_customers() {
    let story = Story::begin().await;
    story.minutes_pass(61);
    for code in ["invalid_client", "invalid_client_secret"] {
        story.zoho.refuse_clients(Some(code));
        let error = story.work().await.unwrap_err();
        assert!(error.to_string().contains("oauth-client/eu"), "{error}");
        assert!(error.to_string().contains(code), "{error}");
        assert!(matches!(error.disposition(), Disposition::RetryAfter(_)));
    }
    assert_eq!(story.connection("acme").await.status, Status::Enabled);
    story.zoho.refuse_clients(None);
    story.work().await.unwrap();
}
