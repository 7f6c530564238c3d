//! What goes to Zoho.

#![expect(
    clippy::unwrap_used,
    reason = "the stories' own helpers fail as their tests do"
)]

use serde_json::{Value, json};
use stories::{Delivery, Story, name, text};
use tandem::flow::poll;
use tandem::object::Object;
use tandem::run::Counter;
use tandem::settings::ConflictPolicy;
use zoho_sim::faults::{Fault, Moment};

fn editable() -> Value {
    json!({
        "core_writeback": true,
        "objects": {
            "account": {
                "custom_fields": { "health": "decimal" },
                "mappings": [{ "zoho": "Health_Score", "platform": "health", "editable": true }]
            },
            "contact": { "mappings": [{ "zoho": "Phone", "platform": "phone", "editable": true }] }
        }
    })
}

async fn synced(settings: Value) -> Story {
    let story = Story::begin(30, settings).await.unwrap();
    story.full_sync().await.unwrap();
    story
}

/// A contact on the platform: its Zoho id and its platform id.
fn some_contact(story: &Story) -> (String, String) {
    let zoho = story.present(Object::Contact).into_iter().next().unwrap();
    let record = story.record_of(Object::Contact, &zoho).unwrap();
    (zoho, record.id.to_string())
}

async fn assert_silent(story: &Story) {
    let before = story.writes();
    story.routine_sync().await.unwrap();
    story.full_sync().await.unwrap();
    let after = story.writes();
    assert_eq!(
        (after.records, after.links),
        (before.records, before.links),
        "an echo"
    );
}

#[tokio::test]
async fn an_edit_reaches_zoho_and_does_not_come_back() {
    let story = synced(editable()).await;
    let (zoho, id) = some_contact(&story);
    let answer = story
        .edit(Object::Contact, &id, json!({ "phone": "+49 30 1234567" }))
        .await
        .unwrap();
    assert!(answer.accepted, "{answer:?}");
    assert_eq!(
        story.row("Contacts", &zoho).unwrap()["Phone"],
        "+49 30 1234567"
    );
    assert!(
        story
            .record(Object::Contact, &id)
            .await
            .unwrap()
            .pending
            .is_empty()
    );
    assert_silent(&story).await;
}

#[tokio::test]
async fn what_may_not_be_edited_is_refused() {
    let story = synced(editable()).await;
    let (_, id) = some_contact(&story);
    let answer = story
        .edit(Object::Contact, &id, json!({ "last_name": "x" }))
        .await
        .unwrap();
    assert!(!answer.accepted);
    assert_eq!(answer.problems[0].field, Some(name("last_name")));
}

#[tokio::test]
async fn new_tasks_are_created_once_even_when_every_message_comes_twice() {
    let mut story = synced(editable()).await;
    story.delivery = Delivery::Twice;
    let account = story.present(Object::Account).into_iter().next().unwrap();
    let account_id = story
        .record_of(Object::Account, &account)
        .unwrap()
        .id
        .to_string();
    let before = story.rows("Tasks").unwrap().len();
    let fields =
        json!({ "subject": "Call about renewal", "account": account_id, "due_date": "2026-12-01" });
    assert!(
        story
            .edit(Object::Task, "t-1", fields)
            .await
            .unwrap()
            .accepted
    );
    let rows = story.rows("Tasks").unwrap();
    assert_eq!(rows.len(), before + 1);
    let row = rows
        .iter()
        .find(|row| row["Subject"] == "Call about renewal")
        .unwrap();
    assert_eq!(row["What_Id"]["id"].as_str(), Some(account.as_str()));
    assert_eq!(row["Due_Date"], "2026-12-01");
    assert_silent(&story).await;
    assert!(
        story
            .edit(Object::Task, "t-1", json!({ "status": "Completed" }))
            .await
            .unwrap()
            .accepted
    );
    story.routine_sync().await.unwrap();
    let record = story.record(Object::Task, "t-1").await.unwrap();
    assert_eq!(record.fields[&name("status")], text("Completed"));
    assert!(
        !record.fields[&name("closed_at")].is_null(),
        "Zoho sets it, and it comes back"
    );
}

#[tokio::test]
async fn a_lost_reply_makes_no_second_task() {
    for routine_first in [false, true] {
        let story = synced(editable()).await;
        let before = story.rows("Tasks").unwrap().len();
        let fault = Fault {
            method: Some("POST".to_owned()),
            path: "/crm/v8/Tasks".to_owned(),
            moment: Moment::After,
            ..Fault::default()
        };
        story.zoho.model().faults.fail(fault);
        let account = story.present(Object::Account).into_iter().next().unwrap();
        let account = story
            .record_of(Object::Account, &account)
            .unwrap()
            .id
            .to_string();
        story
            .submit(
                Object::Task,
                "t-1",
                json!({ "subject": "Only once", "account": account }),
            )
            .await
            .unwrap();
        let held = story.world.queue.take_writeback().unwrap();
        story.handle_writeback(&held.message).await.unwrap_err();
        assert_eq!(
            story.rows("Tasks").unwrap().len(),
            before + 1,
            "the effect happened"
        );
        if routine_first {
            story.routine_sync().await.unwrap();
        }
        story.handle_writeback(&held.message).await.unwrap();
        story.deliver().await.unwrap();
        assert_eq!(story.rows("Tasks").unwrap().len(), before + 1);
        let record = story.record(Object::Task, "t-1").await.unwrap();
        assert!(
            record.zoho_id.is_some() && record.pending.is_empty(),
            "{record:?}"
        );
        let tied = story
            .world
            .store
            .live_records(&story.connection(), Object::Task);
        assert_eq!(
            tied.iter()
                .filter(|task| task.zoho_id == record.zoho_id)
                .count(),
            1
        );
        assert_silent(&story).await;
    }
}

#[tokio::test]
async fn a_refused_record_is_parked_and_spares_its_neighbours() {
    let story = synced(editable()).await;
    let zoho: Vec<String> = story.present(Object::Contact).into_iter().take(3).collect();
    let ids: Vec<String> = zoho
        .iter()
        .map(|zoho| {
            story
                .record_of(Object::Contact, zoho)
                .unwrap()
                .id
                .to_string()
        })
        .collect();
    let locked = zoho_sim::RecordFlags {
        locked: Some(true),
        ..zoho_sim::RecordFlags::default()
    };
    story
        .zoho
        .model()
        .flag(
            story.organisation,
            "Contacts",
            zoho[1].parse().unwrap(),
            locked,
        )
        .unwrap();
    for id in &ids {
        story
            .submit(Object::Contact, id, json!({ "phone": "123" }))
            .await
            .unwrap();
    }
    story.deliver().await.unwrap();
    let phone = |zoho: &str| story.row("Contacts", zoho).unwrap()["Phone"].clone();
    assert_eq!(phone(&zoho[0]), "123");
    assert_eq!(phone(&zoho[2]), "123");
    let parked = story
        .record(Object::Contact, &ids[1])
        .await
        .unwrap()
        .parked
        .expect("parked");
    assert_eq!(parked.code, "RECORD_LOCKED");
    assert!(parked.remedy.contains("unlock"), "{}", parked.remedy);
}

#[tokio::test]
async fn in_a_conflict_the_policy_decides_and_the_loser_is_kept() {
    for policy in [ConflictPolicy::ZohoWins, ConflictPolicy::PlatformWins] {
        let mut settings = editable();
        settings["conflicts"] = serde_json::to_value(policy).unwrap();
        let story = synced(settings).await;
        let (zoho, id) = some_contact(&story);
        story
            .submit(Object::Contact, &id, json!({ "phone": "ours" }))
            .await
            .unwrap();
        story
            .zoho_edits("Contacts", &zoho, &json!({ "Phone": "theirs" }))
            .unwrap();
        story.deliver().await.unwrap();
        let (winner, loser) = if policy == ConflictPolicy::ZohoWins {
            ("theirs", "ours")
        } else {
            ("ours", "theirs")
        };
        assert_eq!(story.row("Contacts", &zoho).unwrap()["Phone"], winner);
        let record = story.record(Object::Contact, &id).await.unwrap();
        assert_eq!(record.fields[&name("phone")], text(winner));
        assert_eq!(record.sources[&name("phone")].overruled, Some(text(loser)));
        assert_silent(&story).await;
    }
}

#[tokio::test]
async fn a_lost_message_delays_an_edit_and_does_not_lose_it() {
    let story = synced(editable()).await;
    let (zoho, id) = some_contact(&story);
    story
        .submit(Object::Contact, &id, json!({ "phone": "found again" }))
        .await
        .unwrap();
    story.world.queue.writeback.clear();
    story.pass(poll_interval());
    let ticked = story.tick().await.unwrap();
    assert_eq!(ticked.swept, 1);
    assert_eq!(
        story.row("Contacts", &zoho).unwrap()["Phone"],
        "found again"
    );
}

fn poll_interval() -> jiff::SignedDuration {
    tandem::connection::ROUTINE_INTERVAL
}

#[tokio::test]
async fn edits_go_out_in_groups_of_a_hundred() {
    let story = Story::begin(60, editable()).await.unwrap();
    story.full_sync().await.unwrap();
    let contacts = story
        .world
        .store
        .live_records(&story.connection(), Object::Contact);
    let mut edits = Vec::new();
    for contact in contacts.iter().take(150) {
        story
            .submit(
                Object::Contact,
                contact.id.as_str(),
                json!({ "phone": "+1 555" }),
            )
            .await
            .unwrap();
        edits.push((Object::Contact, contact.id.clone()));
    }
    story.world.queue.writeback.clear();
    let request = story.latest_request();
    for message in poll::push_messages(&story.connection(), &edits) {
        story.handle_writeback(&message).await.unwrap();
    }
    let writes = story
        .calls_since(request)
        .iter()
        .filter(|call| call.starts_with("PUT"))
        .count();
    assert_eq!((edits.len(), writes), (150, 2));
    let ran = story.routine_sync().await.unwrap();
    assert_eq!(ran.total(Counter::Updated), 0);
}
