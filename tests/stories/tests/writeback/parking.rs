//! What Zoho refuses waits, and goes by itself when it can (W7).

use serde_json::json;
use tandem::object::Object;
use tandem::port::Records as _;
use tandem_memory::{Fault, When};

use super::*;

#[tokio::test]
async fn what_was_locked_goes_with_the_next_full_sync() {
    let story = synced(editable()).await;
    let (zoho, id) = one(&story, Object::Contact);
    lock(&story, "Contacts", &zoho, true);
    let fields = json!({ "phone": "123" });
    story.edit(Object::Contact, &id, fields).await.unwrap();
    let first = parked(&story, Object::Contact, &id).await.unwrap();
    assert_eq!(first.code, "RECORD_LOCKED");

    story.full_sync().await.unwrap();
    let again = parked(&story, Object::Contact, &id).await.unwrap();
    assert_eq!(again.at, first.at, "it waits since then");
    assert_eq!(story.log("parked").len(), 1, "the log says it once");
    let version = story.record(Object::Contact, &id).await.unwrap().version;
    story.routine_sync().await.unwrap();
    story.full_sync().await.unwrap();
    let record = story.record(Object::Contact, &id).await.unwrap();
    assert_eq!(record.version, version, "nothing is written in vain");

    lock(&story, "Contacts", &zoho, false);
    story.full_sync().await.unwrap();
    assert_eq!(story.row("Contacts", &zoho).unwrap()["Phone"], "123");
    assert_eq!(parked(&story, Object::Contact, &id).await, None);
    assert_silent(&story).await;
}

#[tokio::test]
async fn another_reason_is_said() {
    let story = synced(editable()).await;
    let (zoho, id) = one(&story, Object::Contact);
    lock(&story, "Contacts", &zoho, true);
    let fields = json!({ "last_name": null });
    story.edit(Object::Contact, &id, fields).await.unwrap();
    lock(&story, "Contacts", &zoho, false);
    story.pass(jiff::SignedDuration::from_hours(24));
    story.full_sync().await.unwrap();
    let parked = parked(&story, Object::Contact, &id).await.unwrap();
    assert_eq!(parked.code, "MANDATORY_NOT_FOUND");
    assert_eq!(parked.field.as_deref(), Some("Last_Name"));
    assert_eq!(story.log("parked").len(), 2);
}

#[tokio::test]
async fn what_the_settings_forbade_goes_when_they_allow_it() {
    let story = synced(editable()).await;
    let fields = json!({ "last_name": "Newton", "phone": "1", "account": story.some_account() });
    let id = "isaac@example.com";
    story.edit(Object::Contact, id, fields).await.unwrap();
    assert_eq!(
        code(&story, Object::Contact, id).await.as_deref(),
        Some("NOT_IN_ZOHO")
    );
    let settings = editable_and("create_in_zoho", json!(["contact"]));
    story.change_settings(settings).await.unwrap();
    assert_eq!(count(&story, "Contacts", "Email", id), 1);
    assert_eq!(parked(&story, Object::Contact, id).await, None);
}

#[tokio::test]
async fn many_parked_records_are_tried_in_several_invocations() {
    let story = synced(editable()).await;
    let contacts = some(&story, Object::Contact, 5);
    for (zoho, id) in &contacts {
        lock(&story, "Contacts", zoho, true);
        let fields = json!({ "phone": "5" });
        story.edit(Object::Contact, id, fields).await.unwrap();
        lock(&story, "Contacts", zoho, false);
    }
    // The first page of two, then the rest by the message that the flow would send near its deadline.
    let page = story
        .world
        .store
        .parked(&story.connection(), None, 2)
        .await
        .unwrap();
    let rest = tandem::message::Writeback::Retry {
        version: tandem::message::Version,
        connection: story.connection(),
        next: page.next,
    };
    story.handle_writeback(&rest).await.unwrap();
    assert_eq!(count(&story, "Contacts", "Phone", "5"), 3);
    story.full_sync().await.unwrap();
    assert_eq!(count(&story, "Contacts", "Phone", "5"), 5);
}

#[tokio::test]
async fn a_retry_cut_off_anywhere_comes_to_the_same() {
    for crash in 1..60 {
        let story = synced(editable()).await;
        let (zoho, id) = one(&story, Object::Contact);
        lock(&story, "Contacts", &zoho, true);
        let fields = json!({ "phone": "123" });
        story.edit(Object::Contact, &id, fields).await.unwrap();
        let new = "new@example.com";
        let fields = json!({ "last_name": "New", "account": story.some_account() });
        story.edit(Object::Contact, new, fields).await.unwrap();
        assert!(parked(&story, Object::Contact, new).await.is_some());
        lock(&story, "Contacts", &zoho, false);
        let creating = editable_and("create_in_zoho", json!(["contact"]));
        story.save_settings(creating).await.unwrap();
        tandem::flow::writeback::send_retry(&story.ports(), &story.connection()).await;
        let held = story.world.queue.take_writeback().unwrap();
        story.world.faults.at(crash, Fault::Crash(When::After));
        let faults = story.world.faults.clone();
        let cut_off = faults.run(story.handle_writeback(&held.message)).await;
        story.world.faults.clear();
        // The lease of one that ended amid a creation runs out.
        story.pass(jiff::SignedDuration::from_mins(2));
        story.handle_writeback(&held.message).await.unwrap();
        story.pass(tandem::connection::ROUTINE_INTERVAL);
        story.tick().await.unwrap();
        assert_eq!(story.row("Contacts", &zoho).unwrap()["Phone"], "123");
        assert_eq!(count(&story, "Contacts", "Email", new), 1, "crash {crash}");
        let record = story.record(Object::Contact, new).await.unwrap();
        assert!(record.zoho_id.is_some() && record.parked.is_none());
        if cut_off.is_ok() {
            return;
        }
    }
    unreachable!("it makes fewer calls than that");
}

#[tokio::test]
async fn what_is_not_editable_any_more_waits_for_the_settings() {
    let story = synced(editable()).await;
    let (zoho, id) = one(&story, Object::Contact);
    let fields = json!({ "title": "Dean" });
    story.submit(Object::Contact, &id, fields).await.unwrap();
    let closed = editable_and("core_writeback", json!(false));
    story.change_settings(closed).await.unwrap();
    assert_ne!(story.row("Contacts", &zoho).unwrap()["Title"], "Dean");
    let why = parked(&story, Object::Contact, &id).await.unwrap();
    assert_eq!(why.code, "NOT_WRITTEN");
    assert!(why.remedy.contains("title"), "{}", why.remedy);
    story.change_settings(editable()).await.unwrap();
    assert_eq!(story.row("Contacts", &zoho).unwrap()["Title"], "Dean");
    assert_silent(&story).await;
}

#[tokio::test]
async fn an_edit_of_a_hidden_field_waits_until_zoho_shows_it() {
    let story = synced(editable()).await;
    let (zoho, id) = one(&story, Object::Contact);
    story.zoho_hides("Contacts", "Title", true).unwrap();
    let fields = json!({ "title": "Dean", "phone": "123" });
    story.edit(Object::Contact, &id, fields).await.unwrap();
    let row = story.row("Contacts", &zoho).unwrap();
    assert_eq!(row["Phone"], "123", "its neighbours go");
    story.pass(tandem::connection::ROUTINE_INTERVAL);
    story.tick().await.unwrap();
    let why = parked(&story, Object::Contact, &id).await.unwrap();
    let (code, field) = (why.code.as_str(), why.field.as_deref());
    assert_eq!((code, field), ("FIELD_HIDDEN", Some("Title")));
    assert!(why.remedy.contains("profile"), "{}", why.remedy);
    story.zoho_hides("Contacts", "Title", false).unwrap();
    story.full_sync().await.unwrap();
    assert_eq!(story.row("Contacts", &zoho).unwrap()["Title"], "Dean");
    assert_eq!(parked(&story, Object::Contact, &id).await, None);
    assert_silent(&story).await;
}

#[tokio::test]
async fn a_new_record_goes_without_what_zoho_does_not_show() {
    let story = synced(editable()).await;
    let (_, account) = one(&story, Object::Account);
    story.zoho_hides("Tasks", "Description", true).unwrap();
    let fields = json!({ "subject": "Call", "description": "soon", "account": account });
    story.edit(Object::Task, "own-1", fields).await.unwrap();
    story.pass(tandem::connection::ROUTINE_INTERVAL);
    story.tick().await.unwrap();
    let why = parked(&story, Object::Task, "own-1").await.unwrap();
    assert_eq!(why.code, "FIELD_HIDDEN");
    story.zoho_hides("Tasks", "Description", false).unwrap();
    story.full_sync().await.unwrap();
    story.pass(tandem::connection::ROUTINE_INTERVAL);
    story.tick().await.unwrap();
    let rows = story.rows("Tasks").unwrap();
    let created = rows.iter().filter(|row| row["Subject"] == "Call");
    let said: Vec<_> = created.map(|row| &row["Description"]).collect();
    assert_eq!(said, ["soon"]);
    assert_silent(&story).await;
}

#[tokio::test]
async fn zoho_comes_over_an_edit_that_can_not_be_written() {
    let story = synced(editable_and("conflicts", json!("platform_wins"))).await;
    let (zoho, id) = one(&story, Object::Contact);
    let fields = json!({ "title": "Dean" });
    story.submit(Object::Contact, &id, fields).await.unwrap();
    let mut closed = editable_and("core_writeback", json!(false));
    closed["conflicts"] = json!("platform_wins");
    story.change_settings(closed).await.unwrap();
    let theirs = json!({ "Title": "Rector" });
    story.zoho_edits("Contacts", &zoho, &theirs).unwrap();
    story.routine_sync().await.unwrap();
    let record = story.record(Object::Contact, &id).await.unwrap();
    let title = stories::name("title");
    assert_eq!(record.fields[&title], stories::text("Rector"));
    assert_eq!(
        record.sources[&title].overruled,
        Some(stories::text("Dean"))
    );
    assert!(record.pending.is_empty() && record.parked.is_none());
}

#[tokio::test]
async fn a_retry_of_what_names_something_missing_comes_to_an_end() {
    let story = synced(editable()).await;
    let fields = json!({ "name": "New" });
    story.edit(Object::Account, "A-new", fields).await.unwrap();
    let fields = json!({ "subject": "Call", "account": "A-new" });
    story.edit(Object::Task, "t-1", fields).await.unwrap();
    let before = code(&story, Object::Task, "t-1").await;
    assert!(before.is_some());
    story.full_sync().await.unwrap();
    assert_eq!(code(&story, Object::Task, "t-1").await, before);
}

#[tokio::test]
async fn what_zoho_takes_back_after_it_refused_the_rest_is_taken_back_here() {
    let story = synced(editable()).await;
    let (zoho, id) = one(&story, Object::Contact);
    let title = |title: &str| {
        let values = json!({ "Title": title });
        story.zoho_edits("Contacts", &zoho, &values).unwrap();
    };
    let shown = async || {
        let record = story.record(Object::Contact, &id).await.unwrap();
        record.fields[&stories::name("title")].to_json()
    };
    title("Dean");
    story.routine_sync().await.unwrap();
    assert_eq!(shown().await, "Dean");
    title("Rector");
    lock(&story, "Contacts", &zoho, true);
    story.pass(jiff::SignedDuration::from_secs(5));
    let fields = json!({ "phone": "123" });
    story.edit(Object::Contact, &id, fields).await.unwrap();
    let refused = code(&story, Object::Contact, &id).await;
    assert_eq!(refused.as_deref(), Some("RECORD_LOCKED"));
    assert_eq!(shown().await, "Rector", "it came with the refusal");
    story.pass(jiff::SignedDuration::from_mins(1));
    title("Dean");
    story.routine_sync().await.unwrap();
    assert_eq!(shown().await, "Dean");
    story.full_sync().await.unwrap();
    assert_eq!(shown().await, "Dean");
}

#[tokio::test]
async fn an_edit_that_loses_while_zoho_refuses_the_rest_is_in_the_log_once() {
    let story = synced(editable()).await;
    let (zoho, id) = one(&story, Object::Contact);
    let ours = json!({ "phone": "123", "title": "Dean" });
    story.submit(Object::Contact, &id, ours).await.unwrap();
    let theirs = json!({ "Title": "Rector" });
    story.zoho_edits("Contacts", &zoho, &theirs).unwrap();
    lock(&story, "Contacts", &zoho, true);
    story.pass(jiff::SignedDuration::from_secs(5));
    let lost = || {
        let lines = story.world.store.all_entries(&story.connection());
        let changes = lines.iter().flat_map(|line| &line.fields);
        let lost = changes.filter(|change| change.overruled == Some(stories::text("Dean")));
        lost.count()
    };
    story.deliver().await.unwrap();
    let refused = code(&story, Object::Contact, &id).await;
    assert_eq!(refused.as_deref(), Some("RECORD_LOCKED"));
    assert_eq!(lost(), 1, "beside the refusal");
    story.routine_sync().await.unwrap();
    story.full_sync().await.unwrap();
    assert_eq!(lost(), 1, "whoever looks again has nothing to add");
    lock(&story, "Contacts", &zoho, false);
    story.full_sync().await.unwrap();
    let row = story.row("Contacts", &zoho).unwrap();
    assert_eq!([&row["Phone"], &row["Title"]], ["123", "Rector"]);
    assert_eq!(lost(), 1, "nor has the write");
}
