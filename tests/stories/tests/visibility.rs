//! What Zoho hides: named in the log and among the findings, and the rest goes on.

#![expect(
    clippy::unwrap_used,
    reason = "the stories' own helpers fail as their tests do"
)]

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stories::{Story, name, text};
use tandem::certificate::Verdict;
use tandem::lack::Lack;
use tandem::object::Object;
use tandem::port::Coordination as _;
use tandem::run::{Counter, RunStatus};

fn staged() -> Value {
    json!({ "objects": { "deal": {
        "custom_fields": { "next_step": "text" },
        "mappings": [{ "zoho": "Next_Step", "platform": "next_step" }]
    } } })
}

async fn lacks(story: &Story, object: Object) -> BTreeSet<Lack> {
    let lacks = story.world.store.lacks(&story.connection()).await.unwrap();
    lacks.get(&object).cloned().unwrap_or_default()
}

fn field(name: &str) -> BTreeSet<Lack> {
    BTreeSet::from([Lack::Field(name.into())])
}

#[tokio::test]
async fn a_hidden_field_is_named_once_and_keeps_its_values_while_the_rest_goes_on() {
    let story = Story::begin(30, staged()).await.unwrap();
    story.full_sync().await.unwrap();
    let deal = story.present(Object::Deal).into_iter().next().unwrap();
    let step = json!({ "Next_Step": "call back" });
    story.zoho_edits("Deals", &deal, &step).unwrap();
    story.routine_sync().await.unwrap();
    let renamed = json!({ "Deal_Name": "Renamed", "Next_Step": "send offer" });
    story.zoho_edits("Deals", &deal, &renamed).unwrap();
    story.zoho_hides("Deals", "Next_Step", true).unwrap();
    for _ in 0..3 {
        let ran = story.routine_sync().await.unwrap();
        assert_eq!(ran.run.status, RunStatus::Complete, "{:?}", ran.run.reason);
    }
    let record = story.record_of(Object::Deal, &deal).unwrap();
    assert_eq!(record.fields[&name("name")], text("Renamed"));
    assert_eq!(record.fields[&name("next_step")], text("call back"));
    assert_eq!(lacks(&story, Object::Deal).await, field("Next_Step"));
    let lines = story.log("not shown by Zoho");
    assert_eq!(lines.len(), 1, "said once");
    assert!(lines[0].reason.as_ref().unwrap().contains("Next_Step"));
    let request = story.latest_request();
    story.routine_sync().await.unwrap();
    assert_eq!(
        story.calls_since(request).len(),
        5,
        "what is hidden is not asked for again and again"
    );
    let night = story.full_sync().await.unwrap();
    assert_eq!(night.run.status, RunStatus::Complete);
    assert_eq!(night.total(Counter::Removed), 0);

    story.zoho_hides("Deals", "Next_Step", false).unwrap();
    story.full_sync().await.unwrap();
    assert_eq!(lacks(&story, Object::Deal).await, BTreeSet::new());
    assert_eq!(story.log("shown again").len(), 1);
    let record = story.record_of(Object::Deal, &deal).unwrap();
    assert_eq!(record.fields[&name("next_step")], text("send offer"));
    let before = story.writes();
    story.full_sync().await.unwrap();
    let after = story.writes();
    assert_eq!((after.records, after.links), (before.records, before.links));
}

#[tokio::test]
async fn a_value_that_was_emptied_while_it_was_hidden_is_gone_when_it_is_shown() {
    let story = Story::begin(30, staged()).await.unwrap();
    story.full_sync().await.unwrap();
    let deal = story.present(Object::Deal).into_iter().next().unwrap();
    let step = |step: Value| json!({ "Next_Step": step });
    let call = step(json!("call back"));
    story.zoho_edits("Deals", &deal, &call).unwrap();
    story.routine_sync().await.unwrap();
    let none = step(Value::Null);
    story.zoho_edits("Deals", &deal, &none).unwrap();
    story.zoho_hides("Deals", "Next_Step", true).unwrap();
    story.full_sync().await.unwrap();
    let record = story.record_of(Object::Deal, &deal).unwrap();
    assert_eq!(record.fields[&name("next_step")], text("call back"));
    story.zoho_hides("Deals", "Next_Step", false).unwrap();
    story.full_sync().await.unwrap();
    let record = story.record_of(Object::Deal, &deal).unwrap();
    let shown = &record.fields[&name("next_step")];
    assert_eq!(*shown, tandem::value::Value::Null);
}

#[tokio::test]
async fn a_hidden_external_id_stops_its_object_and_no_other() {
    let story = Story::begin(30, staged()).await.unwrap();
    story.full_sync().await.unwrap();
    let (accounts, contact) = (
        story.present(Object::Account),
        story.present(Object::Contact).into_iter().next().unwrap(),
    );
    story.zoho_hides("Accounts", "External_ID", true).unwrap();
    let phone = json!({ "Phone": "+1 555 0100" });
    story.zoho_edits("Contacts", &contact, &phone).unwrap();
    let ran = story.routine_sync().await.unwrap();
    assert_eq!(ran.run.status, RunStatus::Incomplete);
    let reason = ran.run.reason.as_deref().unwrap();
    assert!(reason.contains("External_ID"), "{reason}");
    let record = story.record_of(Object::Contact, &contact).unwrap();
    assert_eq!(record.fields[&name("phone")], text("+1 555 0100"));
    story.routine_sync().await.unwrap();
    assert_eq!(story.log("sync incomplete").len(), 1, "said once");
    let night = story.full_sync().await.unwrap();
    assert_eq!(night.run.status, RunStatus::Incomplete);
    assert_eq!(story.present(Object::Account), accounts);
    let verdict = night.certificate(Object::Account).unwrap().verdict;
    assert!(matches!(verdict, Verdict::Incomplete(_)), "{verdict:?}");
    let verdict = night.certificate(Object::Contact).unwrap().verdict;
    assert_eq!(verdict, Verdict::Agrees);
}

#[tokio::test]
async fn without_modified_time_an_object_comes_with_the_night() {
    let story = Story::begin(30, staged()).await.unwrap();
    story.full_sync().await.unwrap();
    let task = story.present(Object::Task).into_iter().next().unwrap();
    story.zoho_hides("Tasks", "Modified_Time", true).unwrap();
    let subject = json!({ "Subject": "Renamed" });
    story.zoho_edits("Tasks", &task, &subject).unwrap();
    let ran = story.routine_sync().await.unwrap();
    assert_eq!(ran.run.status, RunStatus::Incomplete);
    assert_eq!(lacks(&story, Object::Task).await, field("Modified_Time"));
    let night = story.full_sync().await.unwrap();
    assert_eq!(
        night.run.status,
        RunStatus::Complete,
        "{:?}",
        night.run.reason
    );
    let record = story.record_of(Object::Task, &task).unwrap();
    assert_eq!(record.fields[&name("subject")], text("Renamed"));
    story.zoho_hides("Tasks", "Modified_Time", false).unwrap();
    story.full_sync().await.unwrap();
    let subject = json!({ "Subject": "Renamed again" });
    story.zoho_edits("Tasks", &task, &subject).unwrap();
    let ran = story.routine_sync().await.unwrap();
    assert_eq!(ran.run.status, RunStatus::Complete);
    let record = story.record_of(Object::Task, &task).unwrap();
    assert_eq!(record.fields[&name("subject")], text("Renamed again"));
}

#[tokio::test]
async fn a_module_that_is_switched_off_removes_nothing_and_comes_back() {
    let story = Story::begin(30, staged()).await.unwrap();
    story.full_sync().await.unwrap();
    let deals = story.present(Object::Deal);
    let gone = deals.iter().next().unwrap().clone();
    story.zoho_deletes("Deals", &gone).unwrap();
    story.zoho_disables("Deals", true).unwrap();
    story.routine_sync().await.unwrap();
    let night = story.full_sync().await.unwrap();
    assert_eq!(night.run.status, RunStatus::Incomplete);
    assert_eq!(story.present(Object::Deal), deals);
    assert_eq!(
        lacks(&story, Object::Deal).await,
        BTreeSet::from([Lack::Module])
    );
    story.zoho_disables("Deals", false).unwrap();
    let night = story.full_sync().await.unwrap();
    assert_eq!(
        night.run.status,
        RunStatus::Complete,
        "{:?}",
        night.run.reason
    );
    assert_eq!(lacks(&story, Object::Deal).await, BTreeSet::new());
    assert!(!story.present(Object::Deal).contains(&gone));
}
