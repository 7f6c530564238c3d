//! What is never written is refused with its field and its reason (F2, F3, F9, F10).

use serde_json::json;
use stories::name;
use tandem::object::Object;

use super::*;

#[tokio::test]
async fn each_kind_of_field_that_is_never_written_is_refused_by_name() {
    let mut settings = editable_and("core_writeback", json!(false));
    let account = &mut settings["objects"]["account"];
    account["custom_fields"]["open_deals"] = json!("integer");
    account["calculated"] = json!([{ "platform": "open_deals", "over": "deal", "value": "count" }]);
    let story = synced(settings).await;
    let (_, id) = one(&story, Object::Account);
    let request = story.latest_request();
    for (field, value, reason) in [
        ("usage.logins", json!(3), "usage data is never written"),
        ("open_deals", json!(3), "calculated"),
        ("name", json!("x"), "core_writeback"),
        ("domain", json!("x.example"), "not editable"),
        ("nothing", json!(1), "no such field"),
    ] {
        let fields = json!({ field: value });
        let answer = story.edit(Object::Account, &id, fields).await.unwrap();
        assert!(!answer.accepted, "{field}");
        let problem = &answer.problems[0];
        assert_eq!(
            problem.field.as_ref().map(|name| name.as_str()),
            Some(field)
        );
        assert!(problem.problem.contains(reason), "{}", problem.problem);
    }
    for object in [Object::Deal, Object::User] {
        let (_, id) = one(&story, object);
        let answer = story
            .edit(object, &id, json!({ "name": "x" }))
            .await
            .unwrap();
        assert!(!answer.accepted);
        let problem = &answer.problems[0].problem;
        assert!(problem.contains("never written"), "{problem}");
    }
    assert_eq!(writes_since(&story, request), Vec::<String>::new());
    // A custom field needs its own flag only.
    let fields = json!({ "health": "4.5" });
    assert!(
        story
            .edit(Object::Account, &id, fields)
            .await
            .unwrap()
            .accepted
    );
    assert_eq!(writes_since(&story, request).len(), 1);
}

#[tokio::test]
async fn a_contact_that_zoho_does_not_have_is_given_no_other_s_e_mail() {
    let mut settings = editable_and("create_in_zoho", json!(["contact"]));
    let contacts = settings["objects"]["contact"]["mappings"].as_array_mut();
    let email = json!({ "zoho": "Email", "platform": "email", "editable": true });
    contacts.unwrap().push(email);
    let story = synced(settings).await;
    let (zoho, account) = one(&story, Object::Account);
    let bob =
        json!({ "Last_Name": "Bob", "Email": "bob@example.com", "Account_Name": { "id": zoho } });
    story.zoho_creates("Contacts", &bob).unwrap();
    let id = "ann@example.com";
    let new = |email: &str| json!({ "last_name": "Ann", "phone": "1", "email": email, "account": account });
    let answer = story.edit(Object::Contact, id, new("bob@example.com"));
    let answer = answer.await.unwrap();
    assert!(!answer.accepted);
    let problem = &answer.problems[0];
    assert_eq!(problem.field, Some(name("email")));
    let remedy = "edit the contact bob@example.com instead";
    assert!(problem.problem.contains(remedy), "{}", problem.problem);
    assert_eq!(count(&story, "Contacts", "Email", "bob@example.com"), 1);
    let answer = story.edit(Object::Contact, id, new("Ann@Example.com"));
    assert!(answer.await.unwrap().accepted);
    assert_eq!(count(&story, "Contacts", "Email", "Ann@Example.com"), 1);
    // Zoho has it: it may be given another one.
    let other = json!({ "email": "ann.other@example.com" });
    let answer = story.edit(Object::Contact, id, other);
    assert!(answer.await.unwrap().accepted);
}
