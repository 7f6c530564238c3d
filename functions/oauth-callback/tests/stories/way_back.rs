//! Stories of ways back from Zoho that do not connect: by the wrong browser, too late, twice, from the wrong place (C1, P8).

use std::task::{Context, Waker};

use proptest::prelude::*;
use tandem::connection::{Connection, Status};
use tandem::data_centre::DataCentre;
use tandem::journal::Outcome;
use tandem::port::Connections as _;
use tandem_memory::{Failure, Fault, SeededEntropy, When, interleave};

use crate::story::{Browser, Return, Shown, Story};

/// A browser that went to Zoho, where Acme's administrator granted access; the state that it took along.
async fn on_the_way(story: &Story) -> (Browser, String) {
    let browser = story.browser();
    let state = browser.begins("acme").await;
    story.zoho.grant("1000.code", story.acme_grants());
    (browser, state)
}

#[tokio::test]
async fn a_no_in_zoho_is_a_no() {
    let story = Story::begin().await;
    let browser = story.browser();
    let state = browser.begins("acme").await;
    let back = Return {
        pairs: vec![("error", "access_denied".into()), ("state", state)],
    };
    let shown = browser.comes_back(&back).await;
    shown.says(403, "Access was not granted");
    shown.says(403, "https://sync.example/connect/acme");
    story.assert_untouched();
    assert_eq!(story.status().await, Status::New);
    assert_eq!(story.last_line().0, Outcome::Refused);
}

#[tokio::test]
async fn another_error_of_zoho_is_named_if_it_can_be_a_code() {
    for (error, told) in [
        ("general_error", "the error general_error."),
        ("general_<b>error</b>", "none of its codes"),
        ("1000.code", "none of its codes"),
    ] {
        let story = Story::begin().await;
        let browser = story.browser();
        let state = browser.begins("acme").await;
        let back = Return {
            pairs: vec![("state", state), ("error", error.into())],
        };
        let shown = browser.comes_back(&back).await;
        shown.says(502, told);
        assert!(!shown.text.contains(error) || told.contains(error));
        assert!(story.last_line().1.contains(told));
        story.assert_untouched();
    }
}

#[tokio::test]
async fn a_foreign_accounts_server_gets_nothing() {
    for server in [
        "https://accounts.zoho.evil.example",
        "https://accounts.zoho.eu.evil.example",
        "https://accounts.zoho.eu@evil.example",
        "https://accounts.zoho.eu/",
        "https://accounts.zoho.eu:444",
        "http://accounts.zoho.eu",
        "https://ACCOUNTS.zoho.eu",
        "https://accounts.zoho.eu\u{200b}",
        "accounts.zoho.eu",
        "//accounts.zoho.eu",
        "https://127.0.0.1",
        "https://[::1]",
        "https://2130706433",
        "https://evil.accounts.zoho.eu",
        "https://zoho.eu",
        "https://accounts.zoho.eu.",
        "https://accounts.zoho.eu\\@evil.example",
        "https://accounts.zoho.eu\\.evil.example",
        "https:\\\\accounts.zoho.eu",
        "https://accounts.zoho%2eeu",
        "https://accounts.zoho.eu%00.evil.example",
        "https://accounts.zoho.eu%2f.evil.example",
        "https://xn--accounts-zoho-eu.example",
        "https://accounts.xn--zho-8cd.eu",
        "https://аccounts.zoho.eu",
        "https://accounts.zoho。eu",
        "https://accounts.zoho.eu#@evil.example",
        "https://accounts.zoho.eu?evil.example",
        "https://accounts.zoho.eu evil.example",
        " https://accounts.zoho.eu",
        "https://accounts.zoho.eu\n",
    ] {
        let story = Story::begin().await;
        let (browser, state) = on_the_way(&story).await;
        let back = Return::granted(&state, "1000.code").with("accounts-server", server);
        let shown = browser.comes_back(&back).await;
        shown.says(400, "none of Zoho&#39;s accounts servers");
        story.assert_untouched();
        assert_eq!(story.last_line().0, Outcome::Refused);
    }
}

#[tokio::test]
async fn a_location_that_disagrees_gets_nothing() {
    let story = Story::begin().await;
    let (browser, state) = on_the_way(&story).await;
    let back = Return::granted(&state, "1000.code").with("location", "us");
    let shown = browser.comes_back(&back).await;
    shown.says(400, "do not belong together");
    story.assert_untouched();
}

#[tokio::test]
async fn a_location_that_nobody_knows_gets_nothing() {
    for location in ["xx", "eu ", "eu.evil.example", "eu,us"] {
        let story = Story::begin().await;
        let (browser, state) = on_the_way(&story).await;
        let back = Return::granted(&state, "1000.code").with("location", location);
        let shown = browser.comes_back(&back).await;
        shown
            .says(400, "do not belong together")
            .says(400, "What to do");
        story.assert_untouched();
        assert_eq!(story.last_line().0, Outcome::Refused, "{location:?}");
    }
}

#[tokio::test]
async fn without_a_location_the_accounts_server_tells() {
    let story = Story::begin().await;
    let (browser, state) = on_the_way(&story).await;
    let back = Return::granted(&state, "1000.code").without("location");
    browser.comes_back(&back).await.says(200, "is connected");
    let organisation = story.connection("acme").await.organisation.unwrap();
    assert_eq!(organisation.data_centre, DataCentre::Eu);
}

#[tokio::test]
async fn a_way_back_without_a_code_gets_nothing() {
    let story = Story::begin().await;
    let (browser, state) = on_the_way(&story).await;
    let back = Return::granted(&state, "1000.code").without("code");
    let shown = browser.comes_back(&back).await;
    shown.says(400, "without an authorisation code");
    story.assert_untouched();
}

#[tokio::test]
async fn a_state_is_good_for_once() {
    let story = Story::begin().await;
    let (browser, state) = on_the_way(&story).await;
    let back = Return::granted(&state, "1000.code");
    browser.comes_back(&back).await.says(200, "is connected");
    let calls = story.zoho.calls();
    let shown = browser.comes_back(&back).await;
    shown.says(400, "used already");
    assert_eq!(story.zoho.calls(), calls);
}

#[tokio::test]
async fn of_two_who_come_back_with_one_state_one_connects() {
    for seed in 0..20 {
        let story = Story::begin().await;
        let (browser, state) = on_the_way(&story).await;
        story.world.faults.give_way(true);
        let back = Return::granted(&state, "1000.code");
        let both = (0..2)
            .map(|_| Box::pin(browser.comes_back(&back)) as _)
            .collect::<Vec<std::pin::Pin<Box<dyn Future<Output = Shown>>>>>();
        let shown = interleave(&SeededEntropy::new(seed), both).await;
        let connected = shown.iter().filter(|shown| shown.status == 200).count();
        assert_eq!(connected, 1, "seed {seed}");
        assert_eq!(story.zoho.calls_of("exchange"), 1, "seed {seed}");
    }
}

#[tokio::test]
async fn a_state_is_good_for_ten_minutes() {
    let story = Story::begin().await;
    let (browser, state) = on_the_way(&story).await;
    story.minutes_pass(10);
    let back = Return::granted(&state, "1000.code");
    let shown = browser.comes_back(&back).await;
    shown.says(400, "More than ten minutes");
    story.assert_untouched();
}

#[tokio::test]
async fn a_state_nobody_gave_out_gets_nothing() {
    let story = Story::begin().await;
    let (browser, _) = on_the_way(&story).await;
    for state in ["", "x", &"0".repeat(64), &"ä".repeat(32)] {
        let back = Return::granted(state, "1000.code");
        browser.comes_back(&back).await.says(400, "used already");
    }
    story.assert_untouched();
}

#[tokio::test]
async fn a_second_browser_gets_nothing_and_ends_the_way() {
    let story = Story::begin().await;
    let (browser, state) = on_the_way(&story).await;
    let back = Return::granted(&state, "1000.code");
    let shown = story.browser().comes_back(&back).await;
    shown.says(403, "another browser");
    assert!(!shown.text.contains("Begin again</a>"), "{}", shown.text);
    story.assert_untouched();
    // The state was seen elsewhere, so it is worth nothing any more.
    browser.comes_back(&back).await.says(400, "used already");
    story.assert_untouched();
}

#[tokio::test]
async fn a_browser_with_another_cookie_gets_nothing() {
    let story = Story::begin().await;
    let (_, state) = on_the_way(&story).await;
    let other = story.browser();
    other.begins("acme").await;
    let shown = other
        .comes_back(&Return::granted(&state, "1000.code"))
        .await;
    shown.says(403, "another browser");
    story.assert_untouched();
}

#[tokio::test]
async fn a_cookie_of_the_browsers_own_making_is_replaced() {
    let story = Story::begin().await;
    let browser = story.browser();
    for made_up in ["known", "", &"g".repeat(64)] {
        browser.has_cookie(&format!("__Host-tandem-connect={made_up}"));
        let shown = browser.opens("/connect/acme?dc=eu").await;
        let set = shown.headers["set-cookie"].to_str().unwrap();
        let value = set.split(['=', ';']).nth(1).unwrap();
        assert_ne!(value, made_up);
        assert_eq!(value.len(), 64);
    }
}

#[tokio::test]
async fn a_state_connects_the_connection_it_was_made_for() {
    let story = Story::begin().await;
    story.operator_adds("other", "Other").await;
    let browser = story.browser();
    browser.begins("acme").await;
    let other = browser.begins("other").await;
    story.zoho.grant("1000.code", story.acme_grants());
    // Swapped in the address: the state decides, and nothing else in the query can name a connection.
    let back = Return::granted(&other, "1000.code").with("connection", "acme");
    let shown = browser.comes_back(&back).await;
    shown.says(200, "connected to Other.");
    assert_eq!(story.status().await, Status::New);
    assert!(story.tokens("acme").is_none());
}

#[tokio::test]
async fn an_old_code_is_not_good_any_more() {
    let story = Story::begin().await;
    let (browser, state) = on_the_way(&story).await;
    let back = Return::granted(&state, "1000.other");
    let shown = browser.comes_back(&back).await;
    shown.says(400, "invalid_code");
    assert!(story.tokens("acme").is_none());
}

#[tokio::test]
async fn our_own_mistake_is_the_operators_to_correct() {
    let story = Story::begin().await;
    let (browser, state) = on_the_way(&story).await;
    story.zoho.refuse_clients(Some("invalid_client"));
    let back = Return::granted(&state, "1000.code");
    let shown = browser.comes_back(&back).await;
    shown
        .says(500, "oauth-client/eu")
        .says(500, "invalid_client");
}

#[tokio::test]
async fn a_data_centre_without_a_client_gets_nothing() {
    let mut story = Story::begin().await;
    story.only_clients(&[DataCentre::Us]);
    let browser = story.browser();
    let state = browser.opens("/connect/acme").await.parameter("state");
    story.zoho.grant("1000.code", story.acme_grants());
    let back = Return::granted(&state, "1000.code");
    let shown = browser.comes_back(&back).await;
    shown.says(500, "oauth-client/eu");
    story.assert_untouched();
    story.only_clients(&[]);
    let shown = story.browser().opens("/connect/acme").await;
    shown.says(500, "not set up");
}

#[tokio::test]
async fn a_disconnected_connection_is_not_connected_again() {
    let story = Story::connected().await;
    let browser = story.browser();
    let state = browser.begins("acme").await;
    story.zoho.grant("1000.code", story.acme_grants());
    story
        .change(|connection| connection.status = Status::Disconnected)
        .await;
    let exchanges = story.zoho.calls_of("exchange");
    let back = Return::granted(&state, "1000.code");
    browser.comes_back(&back).await.says(409, "disconnected");
    assert_eq!(story.zoho.calls_of("exchange"), exchanges);
    for status in [Status::Disconnected, Status::Purging, Status::Purged] {
        story.change(|connection| connection.status = status).await;
        let shown = story.browser().opens("/connect/acme").await;
        shown.says(409, "disconnected");
    }
}

#[tokio::test]
async fn of_a_connection_disconnected_at_that_very_moment_nothing_stays() {
    let story = Story::connected().await;
    let (browser, state) = on_the_way(&story).await;
    let disconnected = Connection {
        status: Status::Disconnected,
        ..story.connection("acme").await
    };
    let store = story.world.store.clone();
    story.world.faults.decide(move |call| {
        if call.operation == "keep_tokens" {
            let mut saved = store.save_connection(disconnected.clone());
            let mut context = Context::from_waker(Waker::noop());
            assert!(saved.as_mut().poll(&mut context).is_ready());
        }
        None
    });
    let back = Return::granted(&state, "1000.code");
    browser.comes_back(&back).await.says(409, "disconnected");
    assert!(story.tokens("acme").is_none());
    assert_eq!(story.status().await, Status::Disconnected);
}

#[tokio::test]
async fn a_connection_that_does_not_exist_is_not_found() {
    let story = Story::begin().await;
    for address in [
        "/connect/nobody",
        "/connect/Not%20A%20Name",
        "/connect/%FF",
        "/connect/acme/more",
        "/connect",
        "/",
    ] {
        assert_eq!(
            story.browser().opens(address).await.status,
            404,
            "{address}"
        );
    }
}

#[tokio::test]
async fn whoever_connects_while_tokens_are_renewed_waits() {
    let story = Story::connected().await;
    let (browser, state) = on_the_way(&story).await;
    let acme = "acme".parse().unwrap();
    let now = story.world.now();
    let until = now + jiff::SignedDuration::from_secs(60);
    let store = &story.world.store;
    let taken = tandem::port::Coordination::lease(&**store, &acme, "token", "else", now, until);
    assert!(taken.await.unwrap());
    let exchanges = story.zoho.calls_of("exchange");
    let back = Return::granted(&state, "1000.code");
    let shown = browser.comes_back(&back).await;
    shown.says(503, "Wait a minute");
    assert_eq!(story.zoho.calls_of("exchange"), exchanges);
}

#[tokio::test]
async fn a_failure_on_our_side_says_so_and_nothing_more() {
    let story = Story::begin().await;
    let (browser, state) = on_the_way(&story).await;
    let unavailable = Fault::Fail(When::Before, Failure::Unavailable);
    story.world.faults.always("keep_tokens", unavailable);
    let back = Return::granted(&state, "1000.code");
    let shown = browser.comes_back(&back).await;
    shown.says(503, "on our side");
    assert!(!shown.text.contains("memory"), "{}", shown.text);
    assert_eq!(story.status().await, Status::New);

    story.world.faults.clear();
    let shown = story
        .connects_in(&browser, "acme", story.acme_grants())
        .await;
    shown.says(200, "is connected");
}

#[tokio::test]
async fn an_accounts_server_that_is_down_says_so() {
    let story = Story::begin().await;
    let (browser, state) = on_the_way(&story).await;
    story.zoho.accounts_down(true);
    let back = Return::granted(&state, "1000.code");
    let shown = browser.comes_back(&back).await;
    shown.says(502, "Zoho did not answer");
}

#[test]
fn no_query_makes_it_panic_or_ask_zoho() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let story = runtime.block_on(Story::begin());
    let name = prop_oneof![
        Just("state".to_owned()),
        Just("code".to_owned()),
        Just("accounts-server".to_owned()),
        Just("error".to_owned()),
        ".{0,8}",
    ];
    let pairs = prop::collection::vec((name, ".{0,70}"), 0..6);
    let mut runner = proptest::test_runner::TestRunner::default();
    runner
        .run(&(pairs, "[!-~]{0,60}"), |(pairs, raw)| {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs(&pairs)
                .finish();
            for query in [
                query,
                raw.replace(['#', '"', '<', '>', '\\', '^', '`', '{', '|', '}'], "%"),
            ] {
                let address = format!("/oauth/callback?{query}");
                let shown = runtime.block_on(story.browser().opens(&address));
                prop_assert_eq!(shown.status.as_u16(), 400);
                let address = format!("/connect/acme?{query}");
                let shown = runtime.block_on(story.browser().opens(&address));
                prop_assert!(shown.status.as_u16() < 500);
            }
            Ok(())
        })
        .unwrap();
    story.assert_untouched();
}

/// A way back that is nearly right connects nobody else's organisation and asks no foreign server: whatever comes back wrong gets nothing.
#[test]
fn a_way_back_gone_wrong_gets_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let right = "/oauth/callback?state=STATE&location=eu&code=1000.code&accounts-server=https%3A%2F%2Faccounts.zoho.eu";
    let words = [
        "&",
        "=",
        "%",
        "%00",
        "%0d%0a",
        "error",
        "access_denied",
        "us",
        "zoho.com.evil.example",
        "@",
        ":444",
        "#",
        "%25",
    ];
    let ways = (garble::text(&[right], &words), any::<bool>());
    proptest!(garble::cases(64), |((way, own) in ways)| {
        runtime.block_on(async {
            let story = Story::begin().await;
            let (browser, state) = on_the_way(&story).await;
            let address: String = way
                .replace("STATE", &state)
                .chars()
                .filter(|char| char.is_ascii_graphic() && !matches!(char, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}'))
                .collect();
            if !address.starts_with('/') || address.parse::<axum::http::Uri>().is_err() {
                return Ok(());
            }
            let browser = if own { browser } else { story.browser() };
            let shown = browser.opens(&address).await;
            let status = shown.status.as_u16();
            prop_assert!(matches!(status, 200 | 303 | 400 | 403 | 404 | 405 | 502), "{address}: {status} {}", shown.text);
            prop_assert!(!shown.text.contains("1000.code"), "{address}");
            if status != 200 || !address.starts_with("/oauth/callback") {
                prop_assert_eq!(story.status().await, Status::New);
                prop_assert!(story.tokens("acme").is_none());
            } else {
                prop_assert!(own, "{address} connected another browser");
            }
            Ok(())
        })?;
    });
}
