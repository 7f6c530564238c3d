//! Both sides changed a field, Zoho changes what it is given, and what no value means (W4, W8, F1).

use serde_json::json;
use stories::{name, text};
use tandem::object::Object;
use tandem_memory::{Fault, When};
use zoho_sim::org::schema::Alteration;

use super::*;

#[tokio::test]
async fn the_later_change_wins_and_the_other_is_kept() {
    for ours_later in [false, true] {
        let story = synced(editable_and("conflicts", json!("latest_wins"))).await;
        let (zoho, id) = one(&story, Object::Contact);
        let ours = json!({ "phone": "ours", "title": "same" });
        let theirs = json!({ "Phone": "theirs", "Title": "same" });
        if ours_later {
            story.zoho_edits("Contacts", &zoho, &theirs).unwrap();
            story.pass(jiff::SignedDuration::from_secs(5));
            story.submit(Object::Contact, &id, ours).await.unwrap();
        } else {
            story.submit(Object::Contact, &id, ours).await.unwrap();
            story.pass(jiff::SignedDuration::from_secs(5));
            story.zoho_edits("Contacts", &zoho, &theirs).unwrap();
        }
        story.deliver().await.unwrap();
        let (winner, loser) = if ours_later {
            ("ours", "theirs")
        } else {
            ("theirs", "ours")
        };
        assert_eq!(story.row("Contacts", &zoho).unwrap()["Phone"], winner);
        let record = story.record(Object::Contact, &id).await.unwrap();
        assert_eq!(record.fields[&name("phone")], text(winner));
        assert_eq!(record.sources[&name("phone")].overruled, Some(text(loser)));
        assert_eq!(
            record.sources[&name("title")].overruled,
            None,
            "both said the same"
        );
        let lost = story.world.store.all_entries(&story.connection());
        let lost = lost.iter().flat_map(|line| &line.fields);
        let lost = lost.filter(|change| change.overruled == Some(text(loser)));
        assert_eq!(lost.count(), 1, "the log has the losing value");
        assert_silent(&story).await;
    }
}

/// Somebody who gives a contact another phone in Zoho, once, in the very second in which he is asked to.
fn typing(story: &Story, contact: &str) -> impl FnMut() + Send + use<> {
    let (zoho, organisation) = (story.zoho.clone(), story.organisation);
    let id: u64 = contact.parse().unwrap();
    let mut typed = false;
    move || {
        if std::mem::replace(&mut typed, true) {
            return;
        }
        let now = zoho.now();
        let values = json!({ "Phone": "theirs" });
        let values = values.as_object().cloned().unwrap_or_default();
        let edited = zoho
            .model()
            .edit(organisation, "Contacts", id, &values, None, now);
        assert_eq!(edited, Ok(()));
    }
}

#[tokio::test]
async fn a_change_between_reading_and_writing_is_not_run_over() {
    let story = synced(editable()).await;
    let contacts = some(&story, Object::Contact, 3);
    for (_, id) in &contacts {
        let ours = json!({ "phone": "ours", "title": "ours" });
        story.submit(Object::Contact, id, ours).await.unwrap();
    }
    // Right before the write goes out, somebody types in Zoho, in the very second of the reading.
    let mut types = typing(&story, &contacts[1].0);
    story.world.faults.decide(move |call| {
        if call.operation == "update" {
            types();
        }
        None
    });
    story.deliver().await.unwrap();
    story.world.faults.clear();
    let phone =
        |number: usize| story.row("Contacts", &contacts[number].0).unwrap()["Phone"].clone();
    assert_eq!([phone(0), phone(1), phone(2)], ["ours", "theirs", "ours"]);
    let row = story.row("Contacts", &contacts[1].0).unwrap();
    assert_eq!(row["Title"], "ours", "the field that nobody else changed");
    assert_silent(&story).await;
}

#[tokio::test]
async fn a_second_change_of_the_second_of_the_reading_is_not_run_over() {
    let story = synced(editable_and("conflicts", json!("platform_wins"))).await;
    let contacts = edit_all(&story, 2, json!({ "phone": "ours" })).await;
    let held = story.world.queue.take_writeback().unwrap();
    let first = json!({ "Title": "typed first" });
    story
        .zoho_edits("Contacts", &contacts[0].0, &first)
        .unwrap();
    // What Zoho answers with its rows is on its way when somebody types once more.
    let mut types = typing(&story, &contacts[0].0);
    let mut read = false;
    story.world.faults.decide(move |call| {
        if read {
            types();
        }
        read |= call.operation == "select";
        None
    });
    story.handle_writeback(&held.message).await.unwrap();
    story.world.faults.clear();
    let phone =
        |number: usize| story.row("Contacts", &contacts[number].0).unwrap()["Phone"].clone();
    assert_eq!([phone(0), phone(1)], ["theirs", "ours"], "one waits");
    story.deliver().await.unwrap();
    assert_eq!(phone(0), "ours");
    let record = story.record(Object::Contact, &contacts[0].1).await.unwrap();
    assert!(record.pending.is_empty() && record.parked.is_none());
    assert_eq!(
        record.sources[&name("phone")].overruled,
        Some(text("theirs")),
        "what lost is kept"
    );
    assert_silent(&story).await;
}

#[tokio::test]
async fn where_zoho_shows_no_times_a_record_that_it_refuses_waits_until_the_second_is_over() {
    let story = synced(editable()).await;
    story.zoho_hides("Contacts", "Modified_Time", true).unwrap();
    let (zoho, id) = one(&story, Object::Contact);
    let phone = json!({ "phone": "ours" });
    story.edit(Object::Contact, &id, phone).await.unwrap();
    let title = json!({ "title": "ours" });
    story.submit(Object::Contact, &id, title).await.unwrap();
    let request = story.latest_request();
    let held = story.world.queue.take_writeback().unwrap();
    story.handle_writeback(&held.message).await.unwrap();
    assert_eq!(writes_since(&story, request).len(), 1, "it is tried once");
    assert_eq!(story.row("Contacts", &zoho).unwrap()["Phone"], "ours");
    assert_ne!(story.row("Contacts", &zoho).unwrap()["Title"], "ours");
    story.deliver().await.unwrap();
    assert_eq!(story.row("Contacts", &zoho).unwrap()["Title"], "ours");
    assert_eq!(writes_since(&story, request).len(), 2);
}

#[tokio::test]
async fn an_edit_that_has_waited_for_long_is_left_to_the_sweep_if_its_record_just_changed() {
    let story = synced(editable()).await;
    let (zoho, id) = one(&story, Object::Contact);
    let ours = json!({ "phone": "ours" });
    story.submit(Object::Contact, &id, ours).await.unwrap();
    let held = story.world.queue.take_writeback().unwrap();
    story.pass(jiff::SignedDuration::from_mins(5));
    let theirs = json!({ "Title": "theirs" });
    story.zoho_edits("Contacts", &zoho, &theirs).unwrap();
    story.handle_writeback(&held.message).await.unwrap();
    assert_eq!(story.world.queue.writeback.next_at(), None, "no message");
    assert_ne!(story.row("Contacts", &zoho).unwrap()["Phone"], "ours");
    story.pass(tandem::connection::ROUTINE_INTERVAL);
    story.tick().await.unwrap();
    assert_eq!(story.row("Contacts", &zoho).unwrap()["Phone"], "ours");
    assert_silent(&story).await;
}

#[tokio::test]
async fn what_zoho_makes_of_a_value_comes_back_once() {
    for policy in ["zoho_wins", "platform_wins", "latest_wins"] {
        let story = synced(editable_and("conflicts", json!(policy))).await;
        let alter = Some(Alteration::NormalisePhone);
        let organisation = story.organisation;
        story
            .zoho
            .model()
            .alter_field(organisation, "Contacts", "Phone", alter)
            .unwrap();
        let (zoho, id) = one(&story, Object::Contact);
        let request = story.latest_request();
        let fields = json!({ "phone": "+49 (30) 123" });
        story.edit(Object::Contact, &id, fields).await.unwrap();
        assert_eq!(story.row("Contacts", &zoho).unwrap()["Phone"], "+4930123");
        let record = story.record(Object::Contact, &id).await.unwrap();
        assert_eq!(record.fields[&name("phone")], text("+4930123"));
        assert!(record.pending.is_empty());
        assert_silent(&story).await;
        assert_eq!(writes_since(&story, request).len(), 1, "{policy}");
    }
}

#[tokio::test]
async fn choices_are_replaced_or_added_to() {
    for (mode, expected) in [
        ("replace", json!(["Training"])),
        ("append", json!(["Hardware", "Training"])),
    ] {
        let mut settings = editable();
        settings["objects"]["account"]["mappings"][2]["choices"] = json!(mode);
        let story = synced(settings).await;
        let (zoho, id) = one(&story, Object::Account);
        let theirs = json!({ "Interests": ["Hardware"] });
        story.zoho_edits("Accounts", &zoho, &theirs).unwrap();
        story.routine_sync().await.unwrap();
        let fields = json!({ "interests": ["Training"] });
        story.edit(Object::Account, &id, fields).await.unwrap();
        let row = story.row("Accounts", &zoho).unwrap();
        assert_eq!(row["Interests"], expected, "{mode}");
        let record = story.record(Object::Account, &id).await.unwrap();
        let texts: Vec<String> = serde_json::from_value(expected).unwrap();
        assert_eq!(
            record.fields[&name("interests")],
            tandem::value::Value::choices(texts)
        );
        assert_silent(&story).await;
    }
}

#[tokio::test]
async fn choices_that_zoho_has_among_others_are_there() {
    let mut settings = editable();
    settings["objects"]["account"]["mappings"][2]["choices"] = json!("append");
    let story = synced(settings).await;
    let (zoho, id) = one(&story, Object::Account);
    let fields = json!({ "interests": ["Training"] });
    story.submit(Object::Account, &id, fields).await.unwrap();
    let theirs = json!({ "Interests": ["Hardware", "Training"] });
    story.zoho_edits("Accounts", &zoho, &theirs).unwrap();
    let request = story.latest_request();
    story.deliver().await.unwrap();
    assert_eq!(writes_since(&story, request), Vec::<String>::new());
    let record = story.record(Object::Account, &id).await.unwrap();
    let lost = record
        .sources
        .values()
        .any(|source| source.overruled.is_some());
    assert!(!lost, "nobody lost");
}

#[tokio::test]
async fn no_value_clears_or_keeps() {
    for (means, cleared) in [("clear", true), ("keep", false)] {
        let mut settings = editable();
        settings["objects"]["contact"]["mappings"][0]["null"] = json!(means);
        let story = synced(settings).await;
        let (zoho, id) = one(&story, Object::Contact);
        let fields = json!({ "phone": "12" });
        story.edit(Object::Contact, &id, fields).await.unwrap();
        let fields = json!({ "phone": null });
        story.edit(Object::Contact, &id, fields).await.unwrap();
        let row = story.row("Contacts", &zoho).unwrap();
        assert_eq!(row["Phone"].is_null(), cleared, "{means}");
        let record = story.record(Object::Contact, &id).await.unwrap();
        assert!(record.pending.is_empty() && record.parked.is_none());
        assert_silent(&story).await;
    }
}

#[tokio::test]
async fn what_lost_against_an_edit_is_kept_though_the_writer_dies_behind_the_write() {
    let story = synced(editable_and("conflicts", json!("platform_wins"))).await;
    let (zoho, id) = one(&story, Object::Contact);
    let theirs = json!({ "Phone": "+1 555 0001" });
    story.zoho_edits("Contacts", &zoho, &theirs).unwrap();
    story.pass(jiff::SignedDuration::from_secs(5));
    let ours = json!({ "phone": "+49 30 0001" });
    story.submit(Object::Contact, &id, ours).await.unwrap();
    let held = story.world.queue.take_writeback().unwrap();
    let faults = &story.world.faults;
    faults.on("update", 1, Fault::Crash(When::After));
    let died = faults.run(story.handle_writeback(&held.message)).await;
    assert!(died.is_err(), "{died:?}");
    faults.clear();
    story.pass(jiff::SignedDuration::from_mins(10));
    story.handle_writeback(&held.message).await.unwrap();
    assert_eq!(
        story.row("Contacts", &zoho).unwrap()["Phone"],
        "+49 30 0001"
    );
    let record = story.record(Object::Contact, &id).await.unwrap();
    assert!(record.pending.is_empty());
    let source = &record.sources[&name("phone")];
    assert_eq!(source.overruled, Some(text("+1 555 0001")));
}

#[tokio::test]
async fn an_edit_back_to_what_both_sides_had_goes_to_zoho_if_the_one_before_it_is_there_already() {
    for policy in ["zoho_wins", "platform_wins", "latest_wins"] {
        let story = synced(editable_and("conflicts", json!(policy))).await;
        let (zoho, id) = one(&story, Object::Contact);
        let phone = |phone: &str| json!({ "phone": phone });
        let agreed = story.edit(Object::Contact, &id, phone("agreed")).await;
        assert!(agreed.unwrap().accepted);
        story.pass(jiff::SignedDuration::from_mins(10));
        let other = story.submit(Object::Contact, &id, phone("other")).await;
        assert!(other.unwrap().accepted);
        let held = story.world.queue.take_writeback().unwrap();
        let faults = &story.world.faults;
        faults.on("update", 1, Fault::Crash(When::After));
        let died = faults.run(story.handle_writeback(&held.message)).await;
        assert!(died.is_err(), "{died:?}");
        faults.clear();
        let shown = || story.row("Contacts", &zoho).unwrap()["Phone"].clone();
        assert_eq!(shown(), "other");
        story.pass(jiff::SignedDuration::from_mins(10));
        let back = story.edit(Object::Contact, &id, phone("agreed")).await;
        assert!(back.unwrap().accepted);
        assert_eq!(shown(), "agreed");
        let record = story.record(Object::Contact, &id).await.unwrap();
        assert_eq!(record.fields[&name("phone")], text("agreed"));
        assert!(record.pending.is_empty());
        let source = &record.sources[&name("phone")];
        assert_eq!(source.overruled, None, "{policy}: nobody else changed it");
        assert_silent(&story).await;
    }
}
