//! Looking at an organisation: each finding with its code and its place, what is counted, what it costs, and that nothing is written to Zoho.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the stories' own helpers fail as their tests do"
)]

mod anything;
mod counted;
mod found;
mod repeated;

use serde_json::{Value, json};
use stories::Story;
use tandem::connection::Connection;
use tandem::finding::{Code, Finding};
use tandem::flow::preflight;
use tandem::port::Connections as _;
use tandem::preflight::Preflight;
use zoho_sim::OrganisationSpec;

/// An organisation whose account ids Zoho keeps apart, and a connection to it with these settings.
async fn tidy(settings: Value) -> Story {
    let spec = OrganisationSpec {
        unique_external_id: true,
        ..OrganisationSpec::small(7)
    };
    Story::begin_with(&spec, settings).await.unwrap()
}

async fn plain() -> Story {
    tidy(json!({})).await
}

async fn connection(story: &Story) -> Connection {
    let store = &story.world.store;
    store
        .connection(&story.connection())
        .await
        .unwrap()
        .unwrap()
}

/// Looks at the organisation. Whatever it finds, it only asks.
async fn look(story: &Story) -> Preflight {
    let before = story.latest_request();
    let found = preflight::run(&story.ports(), &connection(story).await)
        .await
        .unwrap();
    let calls = story.calls_since(before);
    for call in &calls {
        assert!(
            call.starts_with("GET ") || call == "POST /crm/v8/coql",
            "{call}"
        );
    }
    assert!(!calls.is_empty());
    found
}

/// The finding of that code, which is the only one.
fn only(preflight: &Preflight, code: Code) -> &Finding {
    let mut of_code = preflight
        .findings
        .iter()
        .filter(|finding| finding.code == code);
    match (of_code.next(), of_code.next()) {
        (Some(finding), None) => finding,
        _ => panic!("not one {code}: {:#?}", preflight.findings),
    }
}

fn codes(preflight: &Preflight) -> Vec<Code> {
    preflight
        .findings
        .iter()
        .map(|finding| finding.code)
        .collect()
}
