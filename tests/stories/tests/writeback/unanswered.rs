//! Creations of which nobody heard the answer: found again, and not repeated (P6, W6).

use serde_json::json;
use tandem::flow::{parked, runs};
use tandem::object::Object;
use tandem::run::RunKind;
use zoho_sim::faults::{Fault, Moment};

use super::*;

/// Something makes a task whose answer is lost: it is in Zoho, and the platform does not know.
async fn unanswered(story: &Story) {
    story.zoho.model().faults.fail(Fault {
        method: Some("POST".into()),
        path: "/crm/v8/Tasks".into(),
        moment: Moment::After,
        status: 0,
        ..Fault::default()
    });
    let fields = json!({ "subject": "Call", "account": story.some_account() });
    story.submit(Object::Task, "t-1", fields).await.unwrap();
    let held = story.world.queue.take_writeback().unwrap();
    let cut_off = story.handle_writeback(&held.message).await;
    assert!(cut_off.is_err(), "the answer was lost");
    assert_eq!(count(story, "Tasks", "Subject", "Call"), 1);
    story.pass(jiff::SignedDuration::from_mins(2));
}

/// The row that it made in Zoho.
fn made(story: &Story) -> String {
    let rows = story.rows("Tasks").unwrap();
    let made = rows.iter().find(|row| row["Subject"] == "Call").unwrap();
    made["id"].as_str().unwrap().to_owned()
}

/// While Zoho does not show what was made, the next try is refused, and the task is parked. Returns what was made; it is there again.
async fn then_refused(story: &Story) -> String {
    let made = made(story);
    story.zoho_deletes("Tasks", &made).unwrap();
    story.zoho.model().faults.fail(Fault {
        method: Some("POST".into()),
        path: "/crm/v8/Tasks".into(),
        status: 400,
        code: Some("INVALID_DATA".into()),
        ..Fault::default()
    });
    story.pass(tandem::connection::ROUTINE_INTERVAL);
    story.tick().await.unwrap();
    let parked = code(story, Object::Task, "t-1").await;
    assert_eq!(parked.as_deref(), Some("INVALID_DATA"));
    story.zoho_restores("Tasks", &made).unwrap();
    made
}

/// Everybody who looks for it finds that one.
async fn assert_found(story: &Story) {
    assert_found_as(story, "Call").await;
}

/// The same, whatever its subject is by now.
async fn assert_found_as(story: &Story, subject: &str) {
    story.pass(tandem::connection::ROUTINE_INTERVAL);
    story.tick().await.unwrap();
    assert_eq!(count(story, "Tasks", "Subject", subject), 1);
    let record = story.record(Object::Task, "t-1").await.unwrap();
    assert!(record.zoho_id.is_some() && record.pending.is_empty());
    let zoho = record.zoho_id.unwrap().to_string();
    let of_row = story.record_of(Object::Task, &zoho).unwrap();
    assert_eq!(of_row.id, record.id, "and it is the only record of it");
    assert_silent(story).await;
}

#[tokio::test]
async fn a_marked_task_that_a_sync_meets_first_is_the_platform_s_own() {
    let story = synced(editable_and("task_mark", json!("Task_Reference"))).await;
    unanswered(&story).await;
    story.routine_sync().await.unwrap();
    assert_found(&story).await;
}

#[tokio::test]
async fn a_task_from_before_there_was_a_mark_is_found_without() {
    let story = synced(editable()).await;
    unanswered(&story).await;
    let marked = editable_and("task_mark", json!("Task_Reference"));
    story.save_settings(marked).await.unwrap();
    assert_found(&story).await;
}

#[tokio::test]
async fn a_mark_that_the_settings_name_no_more_does_not_matter() {
    let story = synced(editable_and("task_mark", json!("Task_Reference"))).await;
    unanswered(&story).await;
    story.save_settings(editable()).await.unwrap();
    assert_found(&story).await;
}

#[tokio::test]
async fn a_task_that_people_made_another_of_is_found_by_the_mark_that_it_was_sent_with() {
    let story = synced(editable_and("task_mark", json!("Task_Reference"))).await;
    unanswered(&story).await;
    let renamed = json!({ "Subject": "Call back" });
    story.zoho_edits("Tasks", &made(&story), &renamed).unwrap();
    story.save_settings(editable()).await.unwrap();
    assert_found_as(&story, "Call back").await;
    assert_eq!(count(&story, "Tasks", "Subject", "Call"), 0);
}

#[tokio::test]
async fn a_mark_in_a_field_that_is_gone_is_done_without() {
    let story = synced(editable_and("task_mark", json!("Task_Reference"))).await;
    unanswered(&story).await;
    story.save_settings(editable()).await.unwrap();
    story.zoho_hides("Tasks", "Task_Reference", true).unwrap();
    assert_found(&story).await;
}

#[tokio::test]
async fn one_that_was_answered_is_known_by_its_link_whatever_people_made_of_it() {
    let story = synced(editable_and("task_mark", json!("Task_Reference"))).await;
    let fields = json!({ "subject": "Call", "account": story.some_account() });
    story.submit(Object::Task, "t-1", fields).await.unwrap();
    let held = story.world.queue.take_writeback().unwrap();
    // Cut off between the link and the record.
    let behind = tandem_memory::Fault::Crash(tandem_memory::When::After);
    story.world.faults.on("save_links", 1, behind);
    let handled = story.handle_writeback(&held.message);
    assert!(story.world.faults.run(handled).await.is_err());
    story.world.faults.clear();
    let made = made(&story);
    let renamed = json!({ "Subject": "Call back", "Task_Reference": null });
    story.zoho_edits("Tasks", &made, &renamed).unwrap();
    story.pass(jiff::SignedDuration::from_mins(2));
    story.handle_writeback(&held.message).await.unwrap();
    story.deliver().await.unwrap();
    assert_eq!(count(&story, "Tasks", "Subject", "Call"), 0);
    assert_eq!(count(&story, "Tasks", "Subject", "Call back"), 1);
    let record = story.record(Object::Task, "t-1").await.unwrap();
    assert_eq!(record.zoho_id.unwrap().to_string(), made);
    assert_silent(&story).await;
}

#[tokio::test]
async fn one_whose_account_leaves_the_scope_goes_with_it_and_is_not_made_again() {
    let mut settings = editable();
    settings["objects"]["account"]["filter"] = json!({ "where": {
        "field": "Customer_Status", "comparator": "equal", "value": "Active" } });
    let story = synced(settings).await;
    unanswered(&story).await;
    let account = story
        .record(Object::Account, &story.some_account())
        .await
        .unwrap();
    let account = account.zoho_id.unwrap().to_string();
    let status = |status: &str| {
        let values = json!({ "Customer_Status": status });
        story.zoho_edits("Accounts", &account, &values).unwrap();
    };
    status("Churned");
    story.full_sync().await.unwrap();
    story.pass(tandem::connection::ROUTINE_INTERVAL);
    story.tick().await.unwrap();
    assert_eq!(count(&story, "Tasks", "Subject", "Call"), 1);
    let record = story.record(Object::Task, "t-1").await.unwrap();
    assert!(record.removed.is_some() && record.zoho_id.is_some());
    status("Active");
    story.full_sync().await.unwrap();
    let record = story.record(Object::Task, "t-1").await.unwrap();
    assert!(record.removed.is_none());
    assert_found(&story).await;
}

#[tokio::test]
async fn one_that_is_in_no_selected_segment_any_more_is_found_before_its_edits_are_parked() {
    let story = synced(editable()).await;
    unanswered(&story).await;
    let selected = editable_and("segments", json!(["vip"]));
    story.save_settings(selected).await.unwrap();
    let more = json!({ "description": "and once more" });
    story.edit(Object::Task, "t-1", more).await.unwrap();
    let parked = code(&story, Object::Task, "t-1").await;
    assert_eq!(parked.as_deref(), Some("OUT_OF_SEGMENT"));
    story.change_settings(editable()).await.unwrap();
    assert_eq!(count(&story, "Tasks", "Description", "and once more"), 1);
    assert_found(&story).await;
}

#[tokio::test]
async fn one_that_the_index_of_what_waits_does_not_show_is_found_by_whoever_looks_for_it() {
    for settings in [
        editable(),
        editable_and("task_mark", json!("Task_Reference")),
    ] {
        let story = synced(settings).await;
        story.world.store.lag_indexes(1_000);
        unanswered(&story).await;
        let more = json!({ "description": "and once more" });
        story.edit(Object::Task, "t-1", more).await.unwrap();
        assert_eq!(count(&story, "Tasks", "Subject", "Call"), 1);
        assert_eq!(count(&story, "Tasks", "Description", "and once more"), 1);
        story.world.store.lag_indexes(0);
        assert_found(&story).await;
    }
}

#[tokio::test]
async fn one_that_waits_behind_many_others_is_the_platform_s_own_for_a_sync_that_meets_it_first() {
    let story = synced(editable()).await;
    let backlog = (0..1_200).map(|number| {
        let edit = json!({ "id": format!("w-{number}"), "fields": { "subject": "Wait" } });
        serde_json::from_value::<Edit>(edit).unwrap()
    });
    let (ports, connection) = (story.ports(), story.connection());
    let answers = edits::accept(&ports, &connection, Object::Task, backlog.collect());
    assert!(answers.await.unwrap().iter().all(|answer| answer.accepted));
    story.world.queue.writeback.clear();
    story.pass(jiff::SignedDuration::from_secs(1));
    unanswered(&story).await;
    story.routine_sync().await.unwrap();
    let record = story.record(Object::Task, "t-1").await.unwrap();
    let zoho = record.zoho_id.unwrap().to_string();
    let of_row = story.record_of(Object::Task, &zoho).unwrap();
    assert_eq!(of_row.id, record.id, "and it is the only record of it");
    let more = json!({ "description": "and once more" });
    story.edit(Object::Task, "t-1", more).await.unwrap();
    assert_eq!(count(&story, "Tasks", "Subject", "Call"), 1);
    assert_eq!(count(&story, "Tasks", "Description", "and once more"), 1);
}

#[tokio::test]
async fn one_that_is_edited_before_anybody_looks_is_found_by_what_was_sent() {
    let story = synced(editable()).await;
    unanswered(&story).await;
    let created = story.rows("Tasks").unwrap().len();
    let mut accounts = some(&story, Object::Account, 2);
    accounts.retain(|(_, id)| *id != story.some_account());
    let (zoho, account) = accounts.remove(0);
    let fields = json!({ "subject": "Call Ann", "account": account });
    story.edit(Object::Task, "t-1", fields).await.unwrap();
    assert_found_as(&story, "Call Ann").await;
    assert_eq!(story.rows("Tasks").unwrap().len(), created);
    let record = story.record(Object::Task, "t-1").await.unwrap();
    let row = story.row("Tasks", &record.zoho_id.unwrap().to_string());
    assert_eq!(row.unwrap()["What_Id"]["id"], zoho.as_str());
}

#[tokio::test]
async fn one_that_was_tried_as_different_values_is_found_by_any_of_them() {
    let story = synced(editable()).await;
    unanswered(&story).await;
    // Nobody knows of it, and the next try reaches Zoho as little as its answer reaches us.
    let made = made(&story);
    story.zoho_deletes("Tasks", &made).unwrap();
    story.zoho.model().faults.fail(Fault {
        method: Some("POST".into()),
        path: "/crm/v8/Tasks".into(),
        moment: Moment::Before,
        status: 0,
        ..Fault::default()
    });
    let fields = json!({ "subject": "Call Ann" });
    story.submit(Object::Task, "t-1", fields).await.unwrap();
    let held = story.world.queue.take_writeback().unwrap();
    assert!(story.handle_writeback(&held.message).await.is_err());
    story.zoho_restores("Tasks", &made).unwrap();
    story.pass(jiff::SignedDuration::from_mins(2));
    let fields = json!({ "subject": "Call Bob" });
    story.edit(Object::Task, "t-1", fields).await.unwrap();
    assert_found_as(&story, "Call Bob").await;
    let record = story.record(Object::Task, "t-1").await.unwrap();
    assert_eq!(record.zoho_id.unwrap().to_string(), made);
    for former in ["Call", "Call Ann"] {
        assert_eq!(count(&story, "Tasks", "Subject", former), 0);
    }
}

#[tokio::test]
async fn one_whose_next_try_is_refused_is_the_platform_s_own_for_a_sync_that_meets_it_first() {
    let story = synced(editable()).await;
    unanswered(&story).await;
    let made = then_refused(&story).await;
    story.full_sync().await.unwrap();
    assert_found(&story).await;
    let record = story.record(Object::Task, "t-1").await.unwrap();
    assert_eq!(record.zoho_id.unwrap().to_string(), made);
}

#[tokio::test]
async fn one_whose_next_try_is_refused_is_found_when_a_person_has_it_tried_again() {
    let story = synced(editable()).await;
    unanswered(&story).await;
    let made = then_refused(&story).await;
    let (ports, connection) = (story.ports(), story.connection());
    let id = "t-1".parse().unwrap();
    let retried = parked::retry(&ports, &connection, Object::Task, &id);
    retried.await.unwrap();
    story.deliver().await.unwrap();
    let record = story.record(Object::Task, "t-1").await.unwrap();
    assert_eq!(record.zoho_id.unwrap().to_string(), made);
    assert_found(&story).await;
}

#[tokio::test]
async fn one_whose_account_zoho_has_no_more_is_known_without_it() {
    let story = synced(editable()).await;
    unanswered(&story).await;
    let account = story.some_account();
    let account = story.record(Object::Account, &account).await.unwrap();
    let account = account.zoho_id.unwrap().to_string();
    story.zoho_deletes("Accounts", &account).unwrap();
    let mut accounts = some(&story, Object::Account, 2);
    accounts.retain(|(zoho, _)| *zoho != account);
    let (zoho, other) = accounts.remove(0);
    let fields = json!({ "account": other });
    story.edit(Object::Task, "t-1", fields).await.unwrap();
    let row = story.row("Tasks", &made(&story)).unwrap();
    assert_eq!(row["What_Id"]["id"], zoho.as_str());
    story.full_sync().await.unwrap();
    assert_found(&story).await;
}

#[tokio::test]
async fn one_that_people_made_about_nothing_is_not_taken_for_one_about_an_account() {
    let story = synced(editable()).await;
    unanswered(&story).await;
    let made = made(&story);
    story.zoho_deletes("Tasks", &made).unwrap();
    let theirs = json!({ "Subject": "Call" });
    let theirs = story.zoho_creates("Tasks", &theirs).unwrap();
    story.pass(tandem::connection::ROUTINE_INTERVAL);
    story.tick().await.unwrap();
    let record = story.record(Object::Task, "t-1").await.unwrap();
    assert_ne!(record.zoho_id.unwrap().to_string(), theirs);
    assert_eq!(count(&story, "Tasks", "Subject", "Call"), 2);
}

#[tokio::test]
async fn a_deal_that_an_account_was_given_before_it_was_found_comes_without_a_full_sync() {
    let story = synced(editable_and("create_in_zoho", json!(["account"]))).await;
    story.zoho.model().faults.fail(Fault {
        method: Some("POST".into()),
        path: "/crm/v8/Accounts".into(),
        moment: Moment::After,
        status: 0,
        ..Fault::default()
    });
    let fields = json!({ "name": "New" });
    story
        .submit(Object::Account, "A-new", fields)
        .await
        .unwrap();
    let held = story.world.queue.take_writeback().unwrap();
    assert!(story.handle_writeback(&held.message).await.is_err());
    let made = story.rows("Accounts").unwrap();
    let made = made.iter().find(|row| row["External_ID"] == "A-new");
    let made = made.unwrap()["id"].clone();
    let deal =
        json!({ "Deal_Name": "Renewal", "Stage": "Qualification", "Account_Name": { "id": made } });
    let deal = story.zoho_creates("Deals", &deal).unwrap();
    // A routine sync meets the deal before anybody knows whose it is.
    story.pass(tandem::connection::ROUTINE_INTERVAL);
    let (ports, connection) = (story.ports(), story.connection());
    runs::start(&ports, &connection, RunKind::Routine)
        .await
        .unwrap();
    let queue = &story.world.queue.work;
    let deals = queue.take_where(|work| work.object() == Object::Deal);
    story.handle_work(&deals.unwrap().message).await.unwrap();
    story.handle_writeback(&held.message).await.unwrap();
    let found = story.record(Object::Account, "A-new").await.unwrap();
    assert_eq!(found.zoho_id.map(String::from).as_deref(), made.as_str());
    let has_deal = || story.present(Object::Deal).contains(&deal);
    assert!(!has_deal());
    story.deliver().await.unwrap();
    assert!(has_deal());
    assert_eq!(count(&story, "Accounts", "External_ID", "A-new"), 1);
    assert_silent(&story).await;
}
