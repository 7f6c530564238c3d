//! Groups: one bad record, a call refused as a whole, automations, what it costs (W5).

use std::collections::BTreeSet;

use serde_json::json;
use tandem::flow::poll;
use tandem::object::Object;
use tandem_memory::{Fault, When};

use super::*;

#[tokio::test]
async fn one_bad_record_of_a_hundred_spares_ninety_nine() {
    let story = Story::begin(40, editable()).await.unwrap();
    story.full_sync().await.unwrap();
    let request = story.latest_request();
    let contacts = edit_all(&story, 100, json!({ "phone": "100" })).await;
    lock(&story, "Contacts", &contacts[41].0, true);
    story.deliver().await.unwrap();
    assert_eq!(count(&story, "Contacts", "Phone", "100"), 99);
    assert_eq!(
        code(&story, Object::Contact, &contacts[41].1)
            .await
            .as_deref(),
        Some("RECORD_LOCKED")
    );
    assert_eq!(writes_since(&story, request).len(), 1, "in one call");
}

#[tokio::test]
async fn a_call_refused_as_a_whole_is_halved_until_the_culprit_is_found() {
    let story = Story::begin(40, editable()).await.unwrap();
    story.full_sync().await.unwrap();
    edit_all(&story, 16, json!({ "phone": "16" })).await;
    // Whole, first half, its first quarter, its first eighth, its first record.
    let fault = zoho_sim::faults::Fault {
        method: Some("PUT".to_owned()),
        path: "/crm/v8/Contacts".to_owned(),
        times: 5,
        status: 400,
        code: Some("INVALID_DATA".to_owned()),
        ..zoho_sim::faults::Fault::default()
    };
    story.zoho.model().faults.fail(fault);
    story.deliver().await.unwrap();
    assert_eq!(count(&story, "Contacts", "Phone", "16"), 15);
    assert_eq!(story.log("parked").len(), 1);
}

#[tokio::test]
async fn a_group_whose_lines_were_not_written_has_them_once_its_message_comes_again() {
    let story = Story::begin(24, editable()).await.unwrap();
    story.full_sync().await.unwrap();
    let contacts = edit_all(&story, 3, json!({ "phone": "3" })).await;
    let held = story.world.queue.take_writeback().unwrap();
    let faults = &story.world.faults;
    faults.on("save_record", 3, Fault::Crash(When::After));
    let died = faults.run(story.handle_writeback(&held.message)).await;
    assert!(died.is_err(), "{died:?}");
    faults.clear();
    assert!(story.log("pushed").is_empty());
    story.handle_writeback(&held.message).await.unwrap();
    story.handle_writeback(&held.message).await.unwrap();
    let told: BTreeSet<_> = story
        .log("pushed")
        .into_iter()
        .filter_map(|entry| entry.record)
        .map(|id| id.to_string())
        .collect();
    assert_eq!(told, contacts.into_iter().map(|(_, id)| id).collect());
    assert_eq!(story.log("pushed").len(), 3);
}

#[tokio::test]
async fn automations_run_only_where_they_are_asked_for() {
    for (trigger, runs) in [(json!([]), 0), (json!(["workflow"]), 1)] {
        let story = synced(editable_and("trigger", trigger)).await;
        let (zoho, id) = one(&story, Object::Account);
        let ran = || story.row("Accounts", &zoho).unwrap()["Workflow_Runs"].as_i64();
        let before = ran().unwrap_or(0);
        let fields = json!({ "health": "9.25" });
        story.edit(Object::Account, &id, fields).await.unwrap();
        assert_eq!(ran().unwrap_or(0) - before, runs);
        assert_eq!(story.row("Accounts", &zoho).unwrap()["Health_Score"], 9.25);
        assert_silent(&story).await;
    }
}

#[tokio::test]
async fn a_thousand_edits_cost_ten_writes_ten_reads_and_ten_looks_back() {
    let story = Story::begin(300, editable()).await.unwrap();
    story.full_sync().await.unwrap();
    let contacts = edit_all(&story, 1_000, json!({ "phone": "1000" })).await;
    let ids: Vec<_> = contacts
        .iter()
        .map(|(_, id)| (Object::Contact, id.parse().unwrap()))
        .collect();
    story.world.queue.writeback.clear();
    let request = story.latest_request();
    for message in poll::push_messages(&story.connection(), &ids) {
        story.handle_writeback(&message).await.unwrap();
    }
    assert_eq!(count(&story, "Contacts", "Phone", "1000"), 1_000);
    let calls = story.calls_since(request);
    let writes = writes_since(&story, request).len();
    assert_eq!((writes, calls.len() - writes), (10, 20));
}
