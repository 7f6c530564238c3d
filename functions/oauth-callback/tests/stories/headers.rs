//! Every answer is guarded: no script, no third party, no frame, no cache, no referrer (P8).

use axum::http::header;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use crate::story::{Shown, Story};

fn assert_guarded(shown: &Shown) {
    let header = |name| shown.headers[name].to_str().unwrap();
    let policy = header(header::CONTENT_SECURITY_POLICY);
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"));
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(!policy.contains("script-src"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(header(header::CACHE_CONTROL), "no-store");
    assert_eq!(header(header::REFERRER_POLICY), "no-referrer");
    assert_eq!(header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
    assert_eq!(header(header::X_FRAME_OPTIONS), "DENY");
}

#[tokio::test]
async fn every_answer_is_guarded() {
    let story = Story::begin().await;
    let browser = story.browser();
    let mut answers = vec![
        story
            .connects_in(&browser, "acme", story.acme_grants())
            .await,
    ];
    for address in [
        "/connect/acme",
        "/connect/acme?dc=eu",
        "/connect/nobody",
        "/oauth/callback",
        "/nowhere",
    ] {
        answers.push(browser.opens(address).await);
    }
    for shown in &answers {
        assert_guarded(shown);
    }
}

#[tokio::test]
async fn the_policy_allows_the_pages_own_style() {
    let story = Story::begin().await;
    let shown = story.browser().opens("/oauth/callback").await;
    let style = shown.text.split("<style>").nth(1).unwrap();
    let style = style.split("</style>").next().unwrap();
    let hash = BASE64_STANDARD.encode(Sha256::digest(style.as_bytes()));
    let policy = &shown.headers[header::CONTENT_SECURITY_POLICY];
    assert!(policy.to_str().unwrap().contains(&hash));
    for foreign in ["<script", "<link", "<img", "style=", "http://", "src="] {
        assert!(!shown.text.contains(foreign), "{foreign}");
    }
}
