//! Stories of connecting: there and back, again, and what is found on the way (C1, C2, C5).

use axum::http::header;
use tandem::connection::Status;
use tandem::data_centre::DataCentre;
use tandem::journal::Outcome;
use tandem::object::Object;
use tandem::port::{Coordination as _, Ledger as _};
use tandem_memory::{Fault, Granting, When};

use crate::story::{Return, Story};

#[tokio::test]
async fn a_customer_connects_for_the_first_time() {
    let story = Story::begin().await;
    let browser = story.browser();
    let shown = browser.opens("/connect/acme?dc=eu").await;
    assert_eq!(shown.status, 303);
    let location = shown.location();
    let consent = "https://accounts.zoho.eu/oauth/v2/auth?";
    assert!(location.starts_with(consent), "{location}");
    assert_eq!(shown.parameter("client_id"), "client-eu");
    assert_eq!(
        shown.parameter("redirect_uri"),
        "https://sync.example/oauth/callback"
    );

    story.zoho.grant("1000.code", story.acme_grants());
    let back = Return::granted(&shown.parameter("state"), "1000.code");
    let shown = browser.comes_back(&back).await;
    shown.says(200, "Acme GmbH is connected to Acme.");
    shown.says(200, "Nothing is synced yet");

    let connection = story.connection("acme").await;
    assert_eq!(connection.status, Status::Paused);
    let organisation = connection.organisation.unwrap();
    assert_eq!(organisation.id, "100");
    assert_eq!(organisation.time_zone, "Europe/Berlin");
    assert_eq!(organisation.data_centre, DataCentre::Eu);
    assert_eq!(organisation.api_domain.as_str(), "https://www.zohoapis.eu");
    assert_eq!(organisation.daily_credits, 60_000);
    let tokens = story.tokens("acme").unwrap();
    assert_eq!(tokens.generation, 1);
    assert_eq!(story.zoho.live_grants(), [tokens.refresh.expose()]);
    let (outcome, reason) = story.last_line();
    assert_eq!(outcome, Outcome::Done);
    assert!(reason.contains("for the first time"), "{reason}");
}

#[tokio::test]
async fn no_secret_leaves_the_vault() {
    let story = Story::connected().await;
    let tokens = story.tokens("acme").unwrap();
    let written = format!("{:?} {:?}", story.log(), story.connection("acme").await);
    let page = story.connects("acme", story.acme_grants()).await.text;
    for secret in [
        tokens.refresh.expose(),
        tokens.access.expose(),
        "1000.",
        "client-secret",
    ] {
        assert!(!written.contains(secret), "{written}");
        assert!(!page.contains(secret), "{page}");
    }
}

#[tokio::test]
async fn the_user_of_another_data_centre_ends_up_in_their_own() {
    let story = Story::begin().await;
    let browser = story.browser();
    let state = browser
        .opens("/connect/acme?dc=us")
        .await
        .parameter("state");
    story.zoho.grant("1000.code", story.acme_grants());
    let back = Return::granted(&state, "1000.code");
    browser.comes_back(&back).await.says(200, "is connected");
    let organisation = story.connection("acme").await.organisation.unwrap();
    assert_eq!(organisation.data_centre, DataCentre::Eu);
}

#[tokio::test]
async fn without_a_server_in_the_answer_the_data_centre_is_the_one_asked() {
    let story = Story::begin().await;
    let browser = story.browser();
    let state = browser.begins("acme").await;
    story.zoho.grant("1000.code", story.acme_grants());
    let back = Return::granted(&state, "1000.code")
        .without("accounts-server")
        .without("location");
    browser.comes_back(&back).await.says(200, "is connected");
}

#[tokio::test]
async fn the_data_centre_is_asked_for_when_there_are_several() {
    let mut story = Story::begin().await;
    story.only_clients(&[DataCentre::Us, DataCentre::Eu]);
    let shown = story.browser().opens("/connect/acme").await;
    shown.says(200, "?dc=us").says(200, "Europe");
    assert!(!shown.text.contains("?dc=jp"), "{}", shown.text);
    for unknown in ["mars", "EU", "jp"] {
        let address = format!("/connect/acme?dc={unknown}");
        let shown = story.browser().opens(&address).await;
        shown
            .says(400, "is not among the data centres")
            .says(400, "?dc=eu");
    }
}

#[tokio::test]
async fn the_only_data_centre_needs_no_choice() {
    let mut story = Story::begin().await;
    story.only_clients(&[DataCentre::In]);
    let shown = story.browser().opens("/connect/acme").await;
    assert!(shown.location().starts_with("https://accounts.zoho.in/"));
}

#[tokio::test]
async fn a_connected_organisation_needs_no_choice() {
    let story = Story::connected().await;
    let shown = story.browser().opens("/connect/acme").await;
    assert!(shown.location().starts_with("https://accounts.zoho.eu/"));
}

#[tokio::test]
async fn a_lost_grant_is_given_again_and_the_sync_goes_on() {
    let story = Story::connected().await;
    let acme = "acme".parse().unwrap();
    let before = story.tokens("acme").unwrap();
    let due = story.world.now();
    story
        .change(|connection| {
            connection.status = Status::NeedsReconnect;
            connection.reason = Some("revoked".into());
            connection.routine_due_at = Some(due);
        })
        .await;
    let cursor = tandem::cursor::Cursor::beginning(tandem::identifier::Digest::of(b"plan"));
    let store = &story.world.store;
    store
        .move_cursor(&acme, Object::Account, None, cursor)
        .await
        .unwrap();
    let link = tandem::record::Link {
        connection: "acme".parse().unwrap(),
        object: Object::Account,
        zoho_id: "5001".parse().unwrap(),
        standing: tandem::record::Standing::Unmatched,
        hash: tandem::identifier::Digest::of(b"row"),
        in_scope: true,
        dependants: tandem::record::Dependants::Asked,
    };
    store.save_links(std::slice::from_ref(&link)).await.unwrap();
    story.minutes_pass(90);

    let shown = story.connects("acme", story.acme_grants()).await;
    shown.says(200, "connected to Acme again");
    shown.says(200, "goes on where it stopped");
    let connection = story.connection("acme").await;
    assert_eq!(connection.status, Status::Enabled);
    assert_eq!(connection.reason, None);
    assert_eq!(connection.routine_due_at, Some(story.world.now()));
    let after = story.tokens("acme").unwrap();
    assert_eq!(after.generation, before.generation + 1);
    assert_ne!(after.refresh.expose(), before.refresh.expose());
    let kept = store.cursor(&acme, Object::Account).await.unwrap();
    assert_eq!(kept, Some(cursor));
    assert_eq!(store.all_links(&acme), [link]);
}

#[tokio::test]
async fn a_grant_lost_while_paused_comes_back_paused() {
    let story = Story::connected().await;
    story
        .change(|connection| connection.status = Status::NeedsReconnect)
        .await;
    story.connects("acme", story.acme_grants()).await;
    assert_eq!(story.status().await, Status::Paused);
}

#[tokio::test]
async fn what_the_organisation_lacks_is_shown_and_logged() {
    let story = Story::begin().await;
    story.zoho.hide(Object::Account, "AccountExternalID");
    story.zoho.hide(Object::Contact, "Modified_Time");
    let shown = story.connects("acme", story.acme_grants()).await;
    shown.says(
        200,
        "the external-id field AccountExternalID does not exist",
    );
    shown.says(200, "Contacts: the field Modified_Time is hidden");
    let lines = story.log();
    let line = lines
        .iter()
        .find(|entry| entry.action == "preflight")
        .unwrap();
    assert_eq!(line.outcome, Outcome::Warned);
    assert!(line.reason.as_ref().unwrap().contains("AccountExternalID"));
}

#[tokio::test]
async fn a_finding_names_its_code_module_field_and_permission() {
    let story = Story::begin().await;
    story.zoho.hide(Object::Account, "AccountExternalID");
    let shown = story.connects("acme", story.acme_grants()).await;
    shown.says(200, "data-code=\"external_id_missing\"");
    shown.says(200, "Must be put right first");
    shown.says(200, "be switched on");
    shown.says(200, "module: <code>Accounts</code>");
    shown.says(200, "field: <code>AccountExternalID</code>");
    shown.says(200, "permission: <code>view the field</code>");
    let acme = "acme".parse().unwrap();
    let kept = story.world.store.preflight(&acme).await.unwrap().unwrap();
    assert!(kept.blocks());
}

#[tokio::test]
async fn a_sandbox_is_noticed() {
    let story = Story::begin().await;
    let grants = Granting {
        api_domain: "https://sandbox.zohoapis.eu".to_owned(),
        ..story.acme_grants()
    };
    let shown = story.connects("acme", grants).await;
    shown.says(200, "data-code=\"not_production\"");
    shown.says(200, "a sandbox");
}

#[tokio::test]
async fn a_check_that_fails_does_not_undo_the_connection() {
    let story = Story::begin().await;
    let browser = story.browser();
    let state = browser.begins("acme").await;
    story.zoho.grant("1000.code", story.acme_grants());
    let unavailable = Fault::Fail(When::Before, tandem_memory::Failure::Unavailable);
    story.world.faults.always("fields", unavailable);
    let back = Return::granted(&state, "1000.code");
    let shown = browser.comes_back(&back).await;
    shown.says(200, "could not be looked at");
    let acme = "acme".parse().unwrap();
    let kept = story.world.store.preflight(&acme).await.unwrap().unwrap();
    assert!(
        !kept.is_conclusive(),
        "it is no ground to switch the connection on"
    );
    assert_eq!(story.status().await, Status::Paused);
}

#[tokio::test]
async fn two_organisations_are_connected_side_by_side_in_one_browser() {
    let story = Story::begin().await;
    story.operator_adds("other", "Other").await;
    let browser = story.browser();
    let first = browser.begins("acme").await;
    let second = browser.begins("other").await;
    story.zoho.grant("1000.a", story.acme_grants());
    story
        .zoho
        .grant("1000.b", story.organisation("200", "Other Ltd"));
    let back = browser.comes_back(&Return::granted(&first, "1000.a")).await;
    back.says(200, "Acme GmbH is connected to Acme.");
    let back = browser
        .comes_back(&Return::granted(&second, "1000.b"))
        .await;
    back.says(200, "Other Ltd is connected to Other.");
}

#[tokio::test]
async fn a_crash_anywhere_on_the_way_back_is_healed_by_beginning_again() {
    let calls = {
        let story = Story::begin().await;
        let browser = story.browser();
        let state = browser.begins("acme").await;
        story.zoho.grant("1000.code", story.acme_grants());
        let before = story.world.faults.calls();
        browser
            .comes_back(&Return::granted(&state, "1000.code"))
            .await;
        story.world.faults.calls() - before
    };
    assert!(calls > 15, "{calls}");
    for number in 1..=calls {
        for when in [When::Before, When::After] {
            let story = Story::begin().await;
            let browser = story.browser();
            let state = browser.begins("acme").await;
            story.zoho.grant("1000.code", story.acme_grants());
            story.world.faults.at(number, Fault::Crash(when));
            let back = Return::granted(&state, "1000.code");
            let crashed = story.world.faults.run(browser.comes_back(&back)).await;
            assert!(crashed.is_err(), "{number} {when:?}");
            story.world.faults.clear();
            story.minutes_pass(2);

            let shown = story
                .connects_in(&browser, "acme", story.acme_grants())
                .await;
            shown.says(200, "Acme GmbH is connected");
            assert_eq!(story.status().await, Status::Paused, "{number} {when:?}");
        }
    }
}

#[tokio::test]
async fn the_cookie_is_for_this_host_and_these_ten_minutes_only() {
    let story = Story::begin().await;
    let shown = story.browser().opens("/connect/acme?dc=eu").await;
    let set = shown.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(set.starts_with("__Host-tandem-connect="), "{set}");
    assert!(set.ends_with("; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=600"));

    let local = Story::at("http://127.0.0.1:8080").await;
    let shown = local.browser().opens("/connect/acme?dc=eu").await;
    let set = shown.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(!set.contains("Secure"), "{set}");
    let back = local.connects("acme", local.acme_grants()).await;
    back.says(200, "is connected");
}
