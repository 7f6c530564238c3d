//! Stories of grants that are of no use, and are given back (C2, C4).

use tandem::connection::Status;
use tandem::flow::Error;
use tandem::flow::connect::give_back;
use tandem::journal::Outcome;
use tandem::oauth::SCOPES;
use tandem_memory::{Fault, Granting, SeededEntropy, When, interleave};

use crate::story::{Return, Shown, Story};

/// Connects with a grant that is changed, and expects that nothing of it stays.
async fn refused(story: &Story, change: impl FnOnce(&mut Granting)) -> Shown {
    let mut granting = story.acme_grants();
    change(&mut granting);
    let tokens = story.tokens("acme").map(|tokens| tokens.generation);
    let before = story.connection("acme").await;
    let grants = story.zoho.live_grants();
    let offline = granting.offline;
    let shown = story.connects("acme", granting).await;
    assert_ne!(shown.status, 200, "{}", shown.text);
    assert_eq!(story.tokens("acme").map(|tokens| tokens.generation), tokens);
    assert_eq!(story.connection("acme").await, before);
    if offline {
        assert_eq!(story.zoho.live_grants(), grants, "the grant is given back");
    }
    assert_eq!(story.last_line().0, Outcome::Refused);
    shown
}

#[tokio::test]
async fn a_grant_without_a_refresh_token_is_of_no_use() {
    let story = Story::begin().await;
    let shown = refused(&story, |granting| granting.offline = false).await;
    shown.says(409, "Connected Apps");
}

#[tokio::test]
async fn fewer_permissions_than_asked_for_are_named() {
    let story = Story::begin().await;
    let lacking = "ZohoCRM.modules.tasks.UPDATE";
    let shown = refused(&story, |granting| {
        let names = SCOPES.iter().map(|scope| scope.name.to_owned());
        granting.scopes = Some(names.filter(|name| name != lacking).collect());
    })
    .await;
    shown.says(403, lacking);
    assert!(!shown.text.contains("tasks.CREATE"), "{}", shown.text);
    assert_eq!(story.zoho.calls_of("organisation"), 0);
}

#[tokio::test]
async fn a_foreign_api_gets_no_token() {
    for api in [
        "https://www.zohoapis.eu.evil.example",
        "https://www.zohoapis.com",
        "",
    ] {
        let story = Story::begin().await;
        let shown = refused(&story, |granting| granting.api_domain = api.into()).await;
        shown.says(502, "none of Zoho&#39;s APIs");
        assert_eq!(story.zoho.apis(), [""; 0]);
    }
}

#[tokio::test]
async fn a_sandbox_of_the_data_centre_is_welcome() {
    let story = Story::begin().await;
    let mut granting = story.acme_grants();
    granting.api_domain = "https://sandbox.zohoapis.eu".into();
    let shown = story.connects("acme", granting).await;
    shown.says(200, "is connected");
}

#[tokio::test]
async fn a_user_without_the_organisations_api_is_told_so() {
    let story = Story::begin().await;
    story.zoho.reject_tokens(true);
    let shown = refused(&story, |_| {}).await;
    shown.says(403, "may not use the API");
}

#[tokio::test]
async fn another_organisation_than_before_is_refused_by_name() {
    let story = Story::connected().await;
    story
        .change(|connection| connection.status = Status::NeedsReconnect)
        .await;
    let shown = refused(&story, |granting| {
        granting.organisation.id = "200".into();
        granting.organisation.name = "Rival Ltd".into();
    })
    .await;
    shown.says(409, "Acme GmbH").says(409, "Rival Ltd");
}

/// Lets two people of the customer grant access to two organisations: the second comes back, to its end, when the first comes to its first call of
/// that method. The connection is the second's.
async fn of_two_people_the_second_connects(operation: &'static str) {
    let story = Story::begin().await;
    let (one, two) = (story.browser(), story.browser());
    let states = [one.begins("acme").await, two.begins("acme").await];
    story.zoho.grant("1000.a", story.acme_grants());
    let rival = story.organisation("200", "Rival Ltd");
    story.zoho.grant("1000.b", rival);
    let first = Return::granted(&states[0], "1000.a");
    let second = Return::granted(&states[1], "1000.b");
    let meanwhile = async {
        // Whatever lease the first has runs out.
        story.minutes_pass(2);
        two.comes_back(&second).await
    };
    let faults = &story.world.faults;
    let met = faults.amid(operation, one.comes_back(&first), meanwhile);
    let (refused, connected) = met.await.unwrap();
    connected.says(200, "Rival Ltd is connected");
    refused.says(409, "Acme GmbH").says(409, "Rival Ltd");
    let organisation = story.connection("acme").await.organisation.unwrap();
    assert_eq!(organisation.id, "200");
    let tokens = story.tokens("acme").unwrap();
    assert_eq!(story.zoho.live_grants(), [tokens.refresh.expose()]);
}

#[tokio::test]
async fn of_two_people_who_connect_two_organisations_one_is_refused() {
    of_two_people_the_second_connects("lease").await;
}

#[tokio::test]
async fn whoever_is_slower_than_the_lease_does_not_replace_the_organisation() {
    of_two_people_the_second_connects("organisation").await;
}

#[tokio::test]
async fn a_grant_whose_way_back_was_cut_off_is_given_back() {
    let story = Story::begin().await;
    let browser = story.browser();
    let state = browser.begins("acme").await;
    story.zoho.grant("1000.code", story.acme_grants());
    let killed = Fault::Crash(When::After);
    story.world.faults.on("keep_tokens", 1, killed);
    let back = Return::granted(&state, "1000.code");
    let cut_off = story.world.faults.run(browser.comes_back(&back)).await;
    assert!(cut_off.is_err());
    story.world.faults.clear();
    // The lease of whoever was cut off runs out.
    story.minutes_pass(2);
    story
        .change(|connection| connection.status = Status::Disconnected)
        .await;
    let disconnected = story.connection("acme").await;
    let ports = story.world.ports();
    give_back(&ports, &disconnected).await.unwrap();
    assert!(story.tokens("acme").is_none());
    assert_eq!(story.zoho.live_grants(), [""; 0]);
}

#[tokio::test]
async fn whoever_disconnects_during_a_way_back_is_told_to_ask_again() {
    let story = Story::begin().await;
    let browser = story.browser();
    let state = browser.begins("acme").await;
    story.zoho.grant("1000.code", story.acme_grants());
    let back = Return::granted(&state, "1000.code");
    let ports = story.world.ports();
    let disconnect = async {
        story
            .change(|connection| connection.status = Status::Disconnected)
            .await;
        give_back(&ports, &story.connection("acme").await).await
    };
    let faults = &story.world.faults;
    let met = faults.amid("keep_tokens", browser.comes_back(&back), disconnect);
    let (shown, given_back) = met.await.unwrap();
    assert!(matches!(given_back, Err(Error::Busy { .. })));
    shown.says(409, "disconnected");
    assert!(story.tokens("acme").is_none());
    assert_eq!(story.zoho.live_grants(), [""; 0]);
}

#[tokio::test]
async fn one_organisation_has_one_connection() {
    let story = Story::connected().await;
    story.operator_adds("second", "Second").await;
    let shown = story.connects("second", story.acme_grants()).await;
    shown.says(409, "by the connection Acme");
    assert!(story.tokens("second").is_none());
    let status = story.connection("second").await.status;
    assert_eq!(status, Status::New);
    let own = story.tokens("acme").unwrap();
    assert_eq!(story.zoho.live_grants(), [own.refresh.expose()]);
}

#[tokio::test]
async fn a_disconnected_connections_organisation_is_free() {
    for status in [Status::Disconnected, Status::Purging] {
        let story = Story::connected().await;
        story.change(|connection| connection.status = status).await;
        story.operator_adds("second", "Second").await;
        let shown = story.connects("second", story.acme_grants()).await;
        shown.says(200, "connected to Second");
    }
}

#[tokio::test]
async fn of_two_connections_at_once_one_gets_the_organisation() {
    for seed in 0..40 {
        let story = Story::begin().await;
        story.operator_adds("second", "Second").await;
        let (one, two) = (story.browser(), story.browser());
        let states = [one.begins("acme").await, two.begins("second").await];
        story.zoho.grant("1000.a", story.acme_grants());
        story.zoho.grant("1000.b", story.acme_grants());
        let first = Return::granted(&states[0], "1000.a");
        let second = Return::granted(&states[1], "1000.b");
        story.world.faults.give_way(true);
        let both: Vec<std::pin::Pin<Box<dyn Future<Output = Shown>>>> = vec![
            Box::pin(one.comes_back(&first)),
            Box::pin(two.comes_back(&second)),
        ];
        let shown = interleave(&SeededEntropy::new(seed), both).await;
        let connected = shown.iter().filter(|shown| shown.status == 200).count();
        assert_eq!(connected, 1, "seed {seed}");
        assert_eq!(story.zoho.live_grants().len(), 1, "seed {seed}");
    }
}
