//! Only members of a selected segment are written (W3).

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tandem::flow::writeback::{self, Received};
use tandem::flow::{edits, job};
use tandem::message::{Edit, Version, Writeback};
use tandem::object::Object;

use super::*;

fn vip_only() -> Value {
    editable_and("segments", json!(["vip"]))
}

async fn segments(story: &Story, id: &str, segments: &[&str]) {
    let edit = json!({ "id": id, "segments": segments });
    let edit: Edit = serde_json::from_value(edit).unwrap();
    let (ports, connection) = (story.ports(), story.connection());
    let answers = edits::accept(&ports, &connection, Object::Contact, vec![edit]);
    assert!(answers.await.unwrap()[0].accepted);
    story.deliver().await.unwrap();
}

#[tokio::test]
async fn who_leaves_every_segment_is_updated_no_more_and_not_deleted() {
    let story = synced(vip_only()).await;
    let (zoho, id) = one(&story, Object::Contact);
    segments(&story, &id, &["vip", "trial"]).await;
    let fields = json!({ "phone": "1" });
    story.edit(Object::Contact, &id, fields).await.unwrap();
    segments(&story, &id, &["trial"]).await;
    let request = story.latest_request();
    let fields = json!({ "phone": "2", "title": "Dean" });
    story.edit(Object::Contact, &id, fields).await.unwrap();
    assert_eq!(story.row("Contacts", &zoho).unwrap()["Phone"], "1");
    assert_eq!(
        code(&story, Object::Contact, &id).await.as_deref(),
        Some("OUT_OF_SEGMENT")
    );
    story.full_sync().await.unwrap();
    assert_eq!(writes_since(&story, request), Vec::<String>::new());
    let theirs = json!({ "First_Name": "Ada" });
    story.zoho_edits("Contacts", &zoho, &theirs).unwrap();
    story.routine_sync().await.unwrap();
    let record = story.record(Object::Contact, &id).await.unwrap();
    assert_eq!(
        record.fields[&stories::name("first_name")],
        stories::text("Ada"),
        "what Zoho says still comes"
    );
    assert_eq!(record.fields[&stories::name("phone")], stories::text("2"));

    // Back in, everything that changed meanwhile goes.
    segments(&story, &id, &["vip"]).await;
    let row = story.row("Contacts", &zoho).unwrap();
    assert_eq!(
        (&row["Phone"], &row["Title"]),
        (&json!("2"), &json!("Dean"))
    );
    assert_silent(&story).await;
}

#[tokio::test]
async fn a_selected_segment_brings_its_members_up_to_date() {
    let story = synced(vip_only()).await;
    let contacts = some(&story, Object::Contact, 3);
    segments(&story, &contacts[0].1, &["trial"]).await;
    for (_, id) in &contacts {
        let fields = json!({ "phone": "3", "title": "Dean" });
        story.edit(Object::Contact, id, fields).await.unwrap();
    }
    assert_eq!(count(&story, "Contacts", "Phone", "3"), 0);
    let trial = editable_and("segments", json!(["trial"]));
    story.change_settings(trial).await.unwrap();
    let row = story.row("Contacts", &contacts[0].0).unwrap();
    assert_eq!(
        (&row["Phone"], &row["Title"]),
        (&json!("3"), &json!("Dean"))
    );
    assert_eq!(count(&story, "Contacts", "Phone", "3"), 1);
    story.change_settings(editable()).await.unwrap();
    assert_eq!(
        count(&story, "Contacts", "Phone", "3"),
        3,
        "none is every record"
    );
    assert_silent(&story).await;
}

#[tokio::test]
async fn only_members_are_created() {
    let mut settings = vip_only();
    settings["create_in_zoho"] = json!(["contact"]);
    let story = synced(settings).await;
    let id = "out@example.com";
    let fields = json!({ "last_name": "Outside", "account": story.some_account() });
    story.edit(Object::Contact, id, fields).await.unwrap();
    assert_eq!(count(&story, "Contacts", "Email", id), 0);
    segments(&story, id, &["vip"]).await;
    assert_eq!(count(&story, "Contacts", "Email", id), 1);
}

/// A message with an edit of a contact, sent at an instant, arrives.
async fn arrives(story: &Story, edit: Value, sent_at: Timestamp) {
    let connection = story.connection();
    let message = Writeback::Edit {
        version: Version,
        connection: connection.clone(),
        object: Object::Contact,
        edits: vec![serde_json::from_value(edit).unwrap()],
    };
    let received = Received { message, sent_at };
    let deadline = job::Deadline(story.world.now() + SignedDuration::from_mins(15));
    writeback::handle(&story.ports(), &connection, &[received], deadline)
        .await
        .unwrap();
    story.deliver().await.unwrap();
}

#[tokio::test]
async fn a_message_that_comes_late_or_again_gives_no_segments_back() {
    let story = synced(vip_only()).await;
    let (_, id) = one(&story, Object::Contact);
    let sent_at = story.world.now();
    story.pass(SignedDuration::from_mins(1));
    // It is in none anyway; that it is to be in none counts all the same.
    segments(&story, &id, &[]).await;
    let put_in = json!({ "id": id, "segments": ["vip"] });
    arrives(&story, put_in.clone(), sent_at).await;
    let record = async || story.record(Object::Contact, &id).await.unwrap();
    assert!(record().await.segments.is_empty());

    story.pass(SignedDuration::from_mins(1));
    let sent_at = story.world.now();
    arrives(&story, put_in.clone(), sent_at).await;
    assert_eq!(record().await.segments.len(), 1);
    story.pass(SignedDuration::from_mins(1));
    segments(&story, &id, &[]).await;
    let before = record().await;
    arrives(&story, put_in, sent_at).await;
    assert_eq!(record().await, before);
}

#[tokio::test]
async fn a_message_that_comes_again_is_not_refused_for_the_version_that_it_made() {
    let story = synced(vip_only()).await;
    let (_, id) = one(&story, Object::Contact);
    let version = story.record(Object::Contact, &id).await.unwrap().version;
    let edit =
        json!({ "id": id, "fields": { "phone": "1" }, "segments": ["vip"], "if_version": version });
    let sent_at = story.world.now();
    arrives(&story, edit.clone(), sent_at).await;
    let before = story.record(Object::Contact, &id).await.unwrap();
    assert_eq!(count(&story, "Contacts", "Phone", "1"), 1);
    arrives(&story, edit.clone(), sent_at).await;
    assert_eq!(story.record(Object::Contact, &id).await.unwrap(), before);
    assert_eq!(story.log("edit refused").len(), 0);
    // Sent once more it is another one.
    story.pass(SignedDuration::from_mins(1));
    arrives(&story, edit, story.world.now()).await;
    assert_eq!(story.log("edit refused").len(), 1);
}
