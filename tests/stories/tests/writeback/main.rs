//! Writeback rule by rule: what the platform changes reaches Zoho, once, and nothing else does.

#![expect(
    clippy::unwrap_used,
    reason = "the stories' own helpers fail as their tests do"
)]

mod batches;
mod conflicts;
mod creation;
mod dependants;
mod order;
mod parking;
mod refused;
mod segments;
mod tasks;
mod too_large;
mod unanswered;
mod untimed;

use serde_json::{Value, json};
use stories::Story;
use tandem::flow::edits;
use tandem::message::Edit;
use tandem::object::Object;
use tandem::record::Parked;

/// Everything editable that the stories edit.
fn editable() -> Value {
    json!({
        "account_external_id": "External_ID",
        "core_writeback": true,
        "objects": {
            "account": {
                "custom_fields": { "health": "decimal", "interests": "choices" },
                "mappings": [
                    { "zoho": "Account_Name", "platform": "name", "editable": true },
                    { "zoho": "Health_Score", "platform": "health", "editable": true },
                    { "zoho": "Interests", "platform": "interests", "editable": true }
                ]
            },
            "contact": { "mappings": [
                { "zoho": "Phone", "platform": "phone", "editable": true },
                { "zoho": "Last_Name", "platform": "last_name", "editable": true },
                { "zoho": "Title", "platform": "title", "editable": true }
            ] }
        }
    })
}

/// The same with one more setting.
fn editable_and(name: &str, value: Value) -> Value {
    let mut settings = editable();
    settings[name] = value;
    settings
}

async fn synced(settings: Value) -> Story {
    let story = Story::begin(24, settings).await.unwrap();
    story.full_sync().await.unwrap();
    story
}

/// Records on the platform: their Zoho ids and their platform ids.
fn some(story: &Story, object: Object, number: usize) -> Vec<(String, String)> {
    let zoho = story.present(object).into_iter().take(number);
    let named = |zoho: String| {
        let record = story.record_of(object, &zoho).unwrap();
        (zoho, record.id.to_string())
    };
    zoho.map(named).collect()
}

fn one(story: &Story, object: Object) -> (String, String) {
    some(story, object, 1).remove(0)
}

async fn parked(story: &Story, object: Object, id: &str) -> Option<Parked> {
    story.record(object, id).await.unwrap().parked
}

async fn code(story: &Story, object: Object, id: &str) -> Option<String> {
    parked(story, object, id).await.map(|parked| parked.code)
}

fn lock(story: &Story, module: &str, id: &str, locked: bool) {
    let flags = zoho_sim::RecordFlags {
        locked: Some(locked),
        ..zoho_sim::RecordFlags::default()
    };
    let id = id.parse().unwrap();
    let mut model = story.zoho.model();
    model.flag(story.organisation, module, id, flags).unwrap();
}

/// How many records of a module have this value.
fn count(story: &Story, module: &str, field: &str, value: &str) -> usize {
    let rows = story.rows(module).unwrap();
    rows.iter().filter(|row| row[field] == value).count()
}

/// The calls since a request that write, as paths with their methods.
fn writes_since(story: &Story, request: u64) -> Vec<String> {
    let mut calls = story.calls_since(request);
    calls.retain(|call| !call.starts_with("GET") && !call.ends_with("/coql"));
    calls
}

/// With no new input nothing is written, on either side (P5).
async fn assert_silent(story: &Story) {
    let (request, before) = (story.latest_request(), story.writes());
    story.routine_sync().await.unwrap();
    story.full_sync().await.unwrap();
    let after = story.writes();
    assert_eq!(
        (after.records, after.links),
        (before.records, before.links),
        "an echo"
    );
    assert_eq!(writes_since(story, request), Vec::<String>::new());
}

/// Edits many contacts at once, and returns the messages of the push.
async fn edit_all(story: &Story, number: usize, fields: Value) -> Vec<(String, String)> {
    let contacts = some(story, Object::Contact, number);
    assert_eq!(contacts.len(), number);
    let edits = contacts.iter().map(|(_, id)| {
        let edit = json!({ "id": id, "fields": fields });
        serde_json::from_value::<Edit>(edit).unwrap()
    });
    let (ports, connection) = (story.ports(), story.connection());
    let answers = edits::accept(&ports, &connection, Object::Contact, edits.collect());
    assert!(answers.await.unwrap().iter().all(|answer| answer.accepted));
    contacts
}
