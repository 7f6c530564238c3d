//! A record goes before those that name it.

use serde_json::json;
use stories::name;
use tandem::message::Writeback;
use tandem::object::Object;

use super::*;

fn creating() -> Value {
    let mut settings = editable_and("create_in_zoho", json!(["account", "contact"]));
    let accounts = settings["objects"]["account"]["mappings"].as_array_mut();
    let parent = json!({ "zoho": "Parent_Account", "platform": "parent", "editable": true });
    accounts.unwrap().push(parent);
    settings
}

fn named(story: &Story, module: &str, field: &str, value: &str) -> Value {
    let rows = story.rows(module).unwrap();
    let found = rows.into_iter().find(|row| row[field] == value);
    found.unwrap_or_else(|| unreachable!("no {value} in {module}"))
}

#[tokio::test]
async fn a_family_of_new_records_goes_whatever_the_order_of_its_messages() {
    for turn in 0..4 {
        let story = synced(creating()).await;
        for (object, id, fields) in [
            (Object::Account, "A-parent", json!({ "name": "Parent" })),
            (
                Object::Account,
                "A-child",
                json!({ "name": "Child", "parent": "A-parent" }),
            ),
            (
                Object::Contact,
                "new@example.com",
                json!({ "last_name": "New", "account": "A-child" }),
            ),
            (
                Object::Task,
                "t-new",
                json!({ "subject": "Greet", "contact": "new@example.com", "account": "A-child" }),
            ),
        ] {
            let answer = story.submit(object, id, fields).await.unwrap();
            assert!(answer.accepted, "{answer:?}");
        }
        for _ in 0..turn {
            let first = story.world.queue.take_writeback().unwrap();
            story.world.queue.writeback.put_back(first);
        }
        let first = story.world.queue.writeback.take_at(3 - turn).unwrap();
        story.handle_writeback(&first.message).await.unwrap();
        story.deliver().await.unwrap();
        let child = named(&story, "Accounts", "External_ID", "A-child");
        let parent = named(&story, "Accounts", "External_ID", "A-parent");
        assert_eq!(child["Parent_Account"]["id"], parent["id"], "turn {turn}");
        let contact = named(&story, "Contacts", "Email", "new@example.com");
        assert_eq!(contact["Account_Name"]["id"], child["id"]);
        let task = named(&story, "Tasks", "Subject", "Greet");
        assert_eq!(task["Who_Id"]["id"], contact["id"]);
        assert_eq!(task["What_Id"]["id"], child["id"]);
        assert_silent(&story).await;
    }
}

#[tokio::test]
async fn accounts_that_are_each_others_parents_go_all_the_same() {
    let story = synced(creating()).await;
    for (id, fields) in [
        ("A-1st", json!({ "name": "First" })),
        ("A-2nd", json!({ "name": "Second", "parent": "A-1st" })),
        ("A-1st", json!({ "parent": "A-2nd" })),
    ] {
        story.submit(Object::Account, id, fields).await.unwrap();
    }
    story.world.queue.writeback.clear();
    story.pass(tandem::connection::ROUTINE_INTERVAL);
    story.tick().await.unwrap();
    story.deliver().await.unwrap();
    let first = named(&story, "Accounts", "External_ID", "A-1st");
    let second = named(&story, "Accounts", "External_ID", "A-2nd");
    assert_eq!(second["Parent_Account"]["id"], first["id"]);
    story.pass(tandem::connection::ROUTINE_INTERVAL);
    story.tick().await.unwrap();
    let first = named(&story, "Accounts", "External_ID", "A-1st");
    assert_eq!(first["Parent_Account"]["id"], second["id"]);
    assert_silent(&story).await;
}

#[tokio::test]
async fn an_account_and_its_contact_that_name_each_other_go_whichever_is_looked_at_first() {
    let mut settings = creating();
    let account = &mut settings["objects"]["account"];
    account["custom_fields"]["main_contact"] = json!({ "reference": "contact" });
    let main = json!({ "zoho": "Billing_Contact", "platform": "main_contact", "editable": true });
    account["mappings"].as_array_mut().unwrap().push(main);
    let id = "new@example.com";
    for order in [
        [Object::Account, Object::Contact],
        [Object::Contact, Object::Account],
    ] {
        let story = synced(settings.clone()).await;
        for (object, id, fields) in [
            (Object::Contact, id, json!({ "last_name": "New" })),
            (
                Object::Account,
                "A-new",
                json!({ "name": "New", "main_contact": id }),
            ),
            (Object::Contact, id, json!({ "account": "A-new" })),
        ] {
            let answer = story.submit(object, id, fields).await.unwrap();
            assert!(answer.accepted, "{answer:?}");
        }
        for object in order {
            let is_about = |message: &Writeback| matches!(message, Writeback::Push { object: of, .. } if *of == object);
            let held = story.world.queue.writeback.take_where(is_about).unwrap();
            story.handle_writeback(&held.message).await.unwrap();
        }
        story.deliver().await.unwrap();
        story.pass(tandem::connection::ROUTINE_INTERVAL);
        story.tick().await.unwrap();
        let account = named(&story, "Accounts", "External_ID", "A-new");
        let contact = named(&story, "Contacts", "Email", id);
        assert_eq!(account["Billing_Contact"]["id"], contact["id"], "{order:?}");
        assert_eq!(contact["Account_Name"]["id"], account["id"], "{order:?}");
        for (object, id) in [(Object::Account, "A-new"), (Object::Contact, id)] {
            let record = story.record(object, id).await.unwrap();
            assert!(
                record.pending.is_empty() && record.parked.is_none(),
                "{record:?}"
            );
        }
        // What other accounts name came after them, which the next full sync takes note of.
        story.full_sync().await.unwrap();
        assert_silent(&story).await;
    }
}

#[tokio::test]
async fn what_names_a_record_that_does_not_come_waits_visibly_and_goes_when_it_does() {
    let settings = editable_and("create_in_zoho", json!(["contact"]));
    let story = synced(settings).await;
    let fields = json!({ "name": "Not yet" });
    story.edit(Object::Account, "A-late", fields).await.unwrap();
    let id = "early@example.com";
    let fields = json!({ "last_name": "Early", "account": "A-late" });
    story.edit(Object::Contact, id, fields).await.unwrap();
    let why = parked(&story, Object::Contact, id).await.unwrap();
    assert_eq!(why.code, "REFERENCE_NOT_IN_ZOHO");
    assert!(why.remedy.contains("A-late"), "{}", why.remedy);
    let task = json!({ "subject": "Wait for it", "account": "A-late" });
    story.edit(Object::Task, "t-late", task).await.unwrap();
    assert!(parked(&story, Object::Task, "t-late").await.is_some());

    let settings = editable_and("create_in_zoho", json!(["account", "contact"]));
    story.save_settings(settings).await.unwrap();
    // Only the account is tried again; what named it follows by itself.
    let (ports, connection) = (story.ports(), story.connection());
    let account = "A-late".parse().unwrap();
    tandem::flow::parked::retry(&ports, &connection, Object::Account, &account)
        .await
        .unwrap();
    story.deliver().await.unwrap();
    let account = named(&story, "Accounts", "External_ID", "A-late");
    let contact = named(&story, "Contacts", "Email", id);
    assert_eq!(contact["Account_Name"]["id"], account["id"]);
    let task = named(&story, "Tasks", "Subject", "Wait for it");
    assert_eq!(task["What_Id"]["id"], account["id"]);
    assert_silent(&story).await;
}

#[tokio::test]
async fn an_open_reference_does_not_hold_up_the_other_values() {
    let story = synced(creating()).await;
    let (zoho, id) = one(&story, Object::Task);
    let fields = json!({ "last_name": "New", "phone": "1", "account": story.some_account() });
    story
        .submit(Object::Contact, "new@example.com", fields)
        .await
        .unwrap();
    story.world.queue.writeback.clear();
    let fields = json!({ "priority": "Low", "contact": "new@example.com" });
    story.edit(Object::Task, &id, fields).await.unwrap();
    assert_eq!(story.row("Tasks", &zoho).unwrap()["Priority"], "Low");
    let record = story.record(Object::Task, &id).await.unwrap();
    assert!(record.pending.contains_key(&name("contact")));
    story.pass(tandem::connection::ROUTINE_INTERVAL);
    story.tick().await.unwrap();
    let contact = named(&story, "Contacts", "Email", "new@example.com");
    assert_eq!(
        story.row("Tasks", &zoho).unwrap()["Who_Id"]["id"],
        contact["id"]
    );
}

#[tokio::test]
async fn a_new_contact_goes_to_the_zoho_account_that_its_account_is_by_then() {
    let story = synced(creating()).await;
    let accounts = some(&story, Object::Account, 2);
    let ((gone, id), (other, _)) = (accounts[0].clone(), &accounts[1]);
    story.zoho_deletes("Accounts", &gone).unwrap();
    let fields = json!({ "last_name": "New", "account": id });
    let contact = "new@example.com";
    let answer = story.submit(Object::Contact, contact, fields).await;
    assert!(answer.unwrap().accepted);
    story.deliver().await.unwrap();
    let refused = code(&story, Object::Contact, contact).await;
    assert_eq!(refused.as_deref(), Some("INVALID_DATA"));
    let external = json!({ "External_ID": id });
    story.zoho_edits("Accounts", other, &external).unwrap();
    story.full_sync().await.unwrap();
    let created = named(&story, "Contacts", "Email", contact);
    assert_eq!(created["Account_Name"]["id"], other.as_str());
}
