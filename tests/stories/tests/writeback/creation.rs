//! Records that come into being in Zoho: looked for first, complete, once (W2, W6).

use serde_json::json;
use stories::{name, text};
use tandem::object::Object;
use tandem::port::Records as _;

use super::*;

fn creating() -> Value {
    editable_and("create_in_zoho", json!(["account", "contact"]))
}

#[tokio::test]
async fn without_the_switch_nothing_is_created() {
    let story = synced(editable()).await;
    let request = story.latest_request();
    for (object, id, fields) in [
        (Object::Account, "A-new", json!({ "name": "New" })),
        (
            Object::Contact,
            "new@example.com",
            json!({ "last_name": "New" }),
        ),
    ] {
        assert!(story.edit(object, id, fields).await.unwrap().accepted);
        assert_eq!(
            code(&story, object, id).await.as_deref(),
            Some("NOT_IN_ZOHO")
        );
    }
    assert_eq!(writes_since(&story, request), Vec::<String>::new());
}

#[tokio::test]
async fn with_it_even_what_is_pulled_only_goes_along() {
    // No mapping is editable, and the switch for core fields is off.
    let settings = json!({ "create_in_zoho": ["account", "contact"] });
    let story = synced(settings).await;
    let fields = json!({ "name": "New Ltd", "domain": "new.example" });
    story.edit(Object::Account, "A-new", fields).await.unwrap();
    let rows = story.rows("Accounts").unwrap();
    let row = rows.iter().find(|row| row["External_ID"] == "A-new");
    let row = row.unwrap();
    assert_eq!(
        (&row["Account_Name"], &row["Website"]),
        (&json!("New Ltd"), &json!("new.example"))
    );
    let record = story.record(Object::Account, "A-new").await.unwrap();
    assert!(record.pending.is_empty() && record.zoho_id.is_some());
    let answer = story.edit(Object::Account, "A-new", json!({ "name": "Other" }));
    assert!(!answer.await.unwrap().accepted, "from now on it is Zoho's");
    assert_silent(&story).await;
}

#[tokio::test]
async fn what_zoho_has_already_is_found_and_not_doubled() {
    let story = synced(creating()).await;
    let account = story.zoho_creates(
        "Accounts",
        &json!({ "Account_Name": "Met", "External_ID": "A-met" }),
    );
    let account = account.unwrap();
    let contact = json!({ "Last_Name": "Met", "Email": "Met@Example.com", "Account_Name": { "id": account } });
    let contact = story.zoho_creates("Contacts", &contact).unwrap();
    // No sync has seen them yet.
    let fields = json!({ "health": "7.5" });
    story.edit(Object::Account, "A-met", fields).await.unwrap();
    let fields = json!({ "phone": "77" });
    let id = "met@example.com";
    story.edit(Object::Contact, id, fields).await.unwrap();
    assert_eq!(count(&story, "Accounts", "External_ID", "A-met"), 1);
    assert_eq!(
        story.row("Accounts", &account).unwrap()["Health_Score"],
        7.5
    );
    assert_eq!(story.row("Contacts", &contact).unwrap()["Phone"], "77");
    let record = story.record(Object::Contact, id).await.unwrap();
    assert_eq!(record.zoho_id.map(String::from), Some(contact));
    assert_silent(&story).await;
}

#[tokio::test]
async fn a_stored_contact_with_another_s_e_mail_is_created_with_its_own() {
    let story = synced(creating()).await;
    let (zoho, account) = one(&story, Object::Account);
    let bob =
        json!({ "Last_Name": "Bob", "Email": "bob@example.com", "Account_Name": { "id": zoho } });
    story.zoho_creates("Contacts", &bob).unwrap();
    let id = "ann@example.com";
    let fields = json!({ "last_name": "Ann", "email": id, "account": account });
    story.submit(Object::Contact, id, fields).await.unwrap();
    let mut record = story.record(Object::Contact, id).await.unwrap();
    let (email, other) = (name("email"), text("bob@example.com"));
    record.pending.get_mut(&email).unwrap().value = other.clone();
    record.fields.insert(email.clone(), other.clone());
    story.world.store.save_record(record).await.unwrap();
    story.deliver().await.unwrap();
    assert_eq!(count(&story, "Contacts", "Email", id), 1);
    assert_eq!(count(&story, "Contacts", "Email", "bob@example.com"), 1);
    let record = story.record(Object::Contact, id).await.unwrap();
    assert!(record.pending.is_empty(), "{record:?}");
    assert_eq!(record.fields[&email], text(id));
    assert_eq!(record.sources[&email].overruled, Some(other));
    story.routine_sync().await.unwrap();
    assert_silent(&story).await;
}

#[tokio::test]
async fn a_new_record_names_the_zoho_record_that_its_account_is_by_now() {
    let story = synced(editable()).await;
    let (zoho, account) = one(&story, Object::Account);
    let id = "new@example.com";
    // Not an edit that waits: the account comes from Zoho, and contacts are not created there.
    let fields = json!({ "last_name": "New", "account": account });
    story.edit(Object::Contact, id, fields).await.unwrap();
    let double = json!({ "Account_Name": "Double", "External_ID": account });
    let double = story.zoho_creates("Accounts", &double).unwrap();
    story.zoho_deletes("Accounts", &zoho).unwrap();
    story.save_settings(creating()).await.unwrap();
    let phone = json!({ "phone": "77" });
    story.edit(Object::Contact, id, phone).await.unwrap();
    let refused = code(&story, Object::Contact, id).await;
    assert_eq!(refused.as_deref(), Some("INVALID_DATA"));
    for _ in 0..2 {
        story.full_sync().await.unwrap();
    }
    let rows = story.rows("Contacts").unwrap();
    let row = rows.iter().find(|row| row["Email"] == id).unwrap();
    assert_eq!(row["Account_Name"]["id"], double.as_str());
    let record = story.record(Object::Contact, id).await.unwrap();
    assert!(record.pending.is_empty() && record.parked.is_none());
}

#[tokio::test]
async fn what_zoho_has_outside_of_the_filter_is_not_doubled() {
    let mut settings = creating();
    settings["objects"]["account"]["filter"] = json!({ "all": [{ "where": { "field": "Customer_Status", "comparator": "equal", "value": "Active" } }] });
    let story = synced(settings).await;
    let values =
        json!({ "Account_Name": "Out", "External_ID": "A-out", "Customer_Status": "Churned" });
    let zoho = story.zoho_creates("Accounts", &values).unwrap();
    let fields = json!({ "name": "Out", "health": "1" });
    story.edit(Object::Account, "A-out", fields).await.unwrap();
    assert_eq!(count(&story, "Accounts", "External_ID", "A-out"), 1);
    let why = parked(&story, Object::Account, "A-out").await.unwrap();
    assert_eq!(why.code, "NOT_IN_SCOPE");
    assert!(why.remedy.contains(&zoho), "{}", why.remedy);
    let values = json!({ "Customer_Status": "Active" });
    story.zoho_edits("Accounts", &zoho, &values).unwrap();
    story.routine_sync().await.unwrap();
    story.pass(tandem::connection::ROUTINE_INTERVAL);
    story.tick().await.unwrap();
    let record = story.record(Object::Account, "A-out").await.unwrap();
    assert_eq!(record.zoho_id.map(String::from), Some(zoho));
    assert!(record.parked.is_none(), "{record:?}");
}

#[tokio::test]
async fn what_lacks_a_mandatory_field_is_not_even_sent() {
    let story = synced(creating()).await;
    let request = story.latest_request();
    let account = story.some_account();
    for (id, fields) in [
        (
            "a@example.com",
            json!({ "last_name": "A", "phone": "9", "account": account }),
        ),
        ("b@example.com", json!({ "phone": "9", "account": account })),
        (
            "c@example.com",
            json!({ "last_name": "C", "phone": "9", "account": account }),
        ),
    ] {
        story.submit(Object::Contact, id, fields).await.unwrap();
    }
    story.deliver().await.unwrap();
    assert_eq!(
        count(&story, "Contacts", "Phone", "9"),
        2,
        "its neighbours go"
    );
    let why = parked(&story, Object::Contact, "b@example.com")
        .await
        .unwrap();
    assert_eq!(
        (why.code.as_str(), why.field.as_deref()),
        ("MANDATORY_NOT_FOUND", Some("Last_Name"))
    );
    assert!(why.remedy.contains("fill it"), "{}", why.remedy);
    let refused = {
        let model = story.zoho.model();
        let served = model.journal.since(request);
        served.filter(|served| served.status >= 207).count()
    };
    assert_eq!(refused, 0, "Zoho was not asked in vain");
    let fields = json!({ "last_name": "B" });
    story
        .edit(Object::Contact, "b@example.com", fields)
        .await
        .unwrap();
    assert_eq!(count(&story, "Contacts", "Phone", "9"), 3);
}

#[tokio::test]
async fn what_would_belong_to_an_account_that_left_is_not_created() {
    let mut settings = creating();
    settings["objects"]["account"]["filter"] = json!({ "where": { "field": "Customer_Status", "comparator": "equal", "value": "Active" } });
    let story = synced(settings).await;
    let (zoho, account) = one(&story, Object::Account);
    let id = "late@example.com";
    let fields = json!({ "last_name": "Late", "account": account });
    story.submit(Object::Contact, id, fields).await.unwrap();
    let held = story.world.queue.take_writeback().unwrap();
    let left = json!({ "Customer_Status": "Churned" });
    story.zoho_edits("Accounts", &zoho, &left).unwrap();
    story.full_sync().await.unwrap();
    story.handle_writeback(&held.message).await.unwrap();
    let why = parked(&story, Object::Contact, id).await.unwrap();
    assert_eq!(why.code, "NOT_IN_SCOPE");
    assert_eq!(count(&story, "Contacts", "Email", id), 0);
}

#[tokio::test]
async fn what_would_belong_to_nothing_is_not_created_until_it_names_an_account() {
    let story = synced(creating()).await;
    let id = "loose@example.com";
    let fields = json!({ "last_name": "Loose" });
    story.edit(Object::Contact, id, fields).await.unwrap();
    let task = json!({ "subject": "Loose task" });
    story.edit(Object::Task, "t-loose", task).await.unwrap();
    for (object, id) in [(Object::Contact, id), (Object::Task, "t-loose")] {
        let why = parked(&story, object, id).await.unwrap();
        assert_eq!(why.code, "NOT_IN_SCOPE", "{object}");
    }
    assert_eq!(count(&story, "Contacts", "Email", id), 0);
    let fields = json!({ "account": story.some_account() });
    story
        .edit(Object::Contact, id, fields.clone())
        .await
        .unwrap();
    story.edit(Object::Task, "t-loose", fields).await.unwrap();
    assert_eq!(count(&story, "Contacts", "Email", id), 1);
    assert_eq!(count(&story, "Tasks", "Subject", "Loose task"), 1);
    story.full_sync().await.unwrap();
    assert!(
        story
            .record(Object::Contact, id)
            .await
            .unwrap()
            .removed
            .is_none()
    );
}

#[tokio::test]
async fn two_functions_at_once_create_one_record() {
    for seed in 0..12 {
        let story = synced(editable()).await;
        let fields = json!({ "subject": "Twice", "account": story.some_account() });
        story.submit(Object::Task, "t-2", fields).await.unwrap();
        let push = story.world.queue.take_writeback().unwrap().message;
        story.world.faults.give_way(true);
        let entropy = tandem_memory::SeededEntropy::new(seed);
        let handle = async || drop(story.handle_writeback(&push).await);
        tandem_memory::interleave(&entropy, vec![Box::pin(handle()), Box::pin(handle())]).await;
        story.world.faults.give_way(false);
        story.pass(jiff::SignedDuration::from_mins(2));
        story.handle_writeback(&push).await.unwrap();
        assert_eq!(count(&story, "Tasks", "Subject", "Twice"), 1, "seed {seed}");
    }
}
