//! Tasks go both ways (W1).

use serde_json::json;
use stories::{name, text};
use tandem::object::Object;

use super::*;

async fn new_task(story: &Story, fields: Value) -> String {
    let answer = story.edit(Object::Task, "t-1", fields).await.unwrap();
    assert!(answer.accepted, "{answer:?}");
    let record = story.record(Object::Task, "t-1").await.unwrap();
    record.zoho_id.unwrap().to_string()
}

#[tokio::test]
async fn a_task_is_completed_and_opened_again_from_both_sides() {
    let story = synced(editable()).await;
    let (_, account) = one(&story, Object::Account);
    let zoho = new_task(&story, json!({ "subject": "Call", "account": account })).await;
    let closed = name("closed_at");
    let shown = async || story.record(Object::Task, "t-1").await.unwrap().fields;

    let fields = json!({ "status": "Completed" });
    story.edit(Object::Task, "t-1", fields).await.unwrap();
    assert!(!story.row("Tasks", &zoho).unwrap()["Closed_Time"].is_null());
    assert!(!shown().await[&closed].is_null(), "it came with the answer");
    let open = json!({ "Status": "In Progress" });
    story.zoho_edits("Tasks", &zoho, &open).unwrap();
    story.routine_sync().await.unwrap();
    assert_eq!(shown().await[&name("status")], text("In Progress"));
    assert!(shown().await[&closed].is_null());

    let done = json!({ "Status": "Completed" });
    story.zoho_edits("Tasks", &zoho, &done).unwrap();
    story.routine_sync().await.unwrap();
    assert!(!shown().await[&closed].is_null());
    let fields = json!({ "status": "Not Started" });
    story.edit(Object::Task, "t-1", fields).await.unwrap();
    assert!(story.row("Tasks", &zoho).unwrap()["Closed_Time"].is_null());
    assert!(shown().await[&closed].is_null());
    assert_silent(&story).await;
}

#[tokio::test]
async fn a_task_changes_hands_and_what_it_is_about() {
    let story = synced(editable()).await;
    let accounts = some(&story, Object::Account, 2);
    let (deal, contact) = (one(&story, Object::Deal), one(&story, Object::Contact));
    let fields = json!({ "subject": "Call", "account": accounts[0].1 });
    let zoho = new_task(&story, fields).await;
    let row = || story.row("Tasks", &zoho).unwrap();
    let owner = row()["Owner"]["id"].as_str().unwrap().to_owned();
    let owners = some(&story, Object::User, 100);
    let users = {
        let model = story.zoho.model();
        let organisation = model.organisation(story.organisation).unwrap();
        let active = organisation.users.values();
        let active = active.filter(|user| user.status == zoho_sim::org::user::UserStatus::Active);
        active.map(|user| user.id.to_string()).collect::<Vec<_>>()
    };
    let other = owners
        .iter()
        .find(|(zoho, _)| users.contains(zoho) && *zoho != owner);
    let (other, other_id) = other.unwrap();
    for (fields, field, expected) in [
        (json!({ "owner": other_id }), "Owner", other),
        (
            json!({ "account": accounts[1].1 }),
            "What_Id",
            &accounts[1].0,
        ),
        (json!({ "deal": deal.1 }), "What_Id", &deal.0),
        (
            json!({ "account": accounts[0].1 }),
            "What_Id",
            &accounts[0].0,
        ),
        (json!({ "contact": contact.1 }), "Who_Id", &contact.0),
    ] {
        story
            .edit(Object::Task, "t-1", fields.clone())
            .await
            .unwrap();
        assert_eq!(row()[field]["id"], expected.as_str(), "{fields}");
        let record = story.record(Object::Task, "t-1").await.unwrap();
        assert!(
            record.pending.is_empty() && record.parked.is_none(),
            "{record:?}"
        );
    }
    let record = story.record(Object::Task, "t-1").await.unwrap();
    assert!(
        record.fields[&name("deal")].is_null(),
        "one link takes the other's place"
    );
    story
        .edit(Object::Task, "t-1", json!({ "contact": null }))
        .await
        .unwrap();
    assert!(row()["Who_Id"].is_null());
    assert_silent(&story).await;
}

#[tokio::test]
async fn the_switch_turns_tasks_off() {
    let story = synced(editable_and("task_writeback", json!(false))).await;
    let (_, id) = one(&story, Object::Task);
    let request = story.latest_request();
    let answer = story
        .edit(Object::Task, &id, json!({ "subject": "x" }))
        .await
        .unwrap();
    assert!(!answer.accepted);
    assert!(answer.problems[0].problem.contains("task_writeback is off"));
    story
        .edit(Object::Task, "t-1", json!({ "subject": "Ours" }))
        .await
        .unwrap();
    story.full_sync().await.unwrap();
    assert_eq!(writes_since(&story, request), Vec::<String>::new());
    assert_eq!(count(&story, "Tasks", "Subject", "Ours"), 0);
}
