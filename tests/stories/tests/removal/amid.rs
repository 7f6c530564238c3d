//! Removals that are carried out while a routine sync is at the same records.

use std::collections::BTreeSet;

use serde_json::json;
use stories::{Story, name};
use tandem::object::Object;

use super::{approve, approved, contact_of, guarded, held, status, with_a_hold};

#[tokio::test]
async fn what_comes_back_while_its_removal_is_carried_out_stays() {
    // Before the removal has read anything, and when it has read everything.
    for call in ["records", "save_record"] {
        let (story, leaving) = with_a_hold().await;
        // The last one to be removed.
        let id = |zoho: &&String| story.record_of(Object::Account, zoho).unwrap().id;
        let back = leaving.iter().max_by_key(id).unwrap().clone();
        status(&story, &BTreeSet::from([back.clone()]), "Active");
        let faults = &story.world.faults;
        let removal = approved(&story, Object::Account);
        let met = faults.amid(call, removal, story.routine_sync()).await;
        let (carried_out, ran) = met.unwrap();
        ran.unwrap();
        // What met the routine sync is looked at again.
        if carried_out.is_err() {
            approve(&story, Object::Account).await;
        }
        story.full_sync().await.unwrap();
        let present = story.present(Object::Account);
        assert!(present.contains(&back), "{call}");
        let stay: Vec<&String> = present.intersection(&leaving).collect();
        assert_eq!(stay, [&back], "{call}");
        let told = story.log("removed").into_iter();
        let told = told.filter(|line| line.object == Some(Object::Account));
        assert_eq!(told.count(), 5, "{call}");
    }
}

#[tokio::test]
async fn the_account_that_a_record_moves_to_while_it_is_removed_counts_it_no_more() {
    let mut settings = guarded();
    settings["removal_guard"] = json!({ "percent": 0, "records": 0 });
    let account = &mut settings["objects"]["account"];
    account["custom_fields"] = json!({ "contacts": "integer" });
    account["calculated"] =
        json!([{ "platform": "contacts", "over": "contact", "value": "count" }]);
    let story = Story::begin(24, settings).await.unwrap();
    let values =
        json!({ "Account_Name": "Empty", "External_ID": "EMPTY", "Customer_Status": "Active" });
    let empty = story.zoho_creates("Accounts", &values).unwrap();
    story.full_sync().await.unwrap();
    let (contact, account) = contact_of(&story, &story.present(Object::Account), true);
    status(&story, &BTreeSet::from([account, empty.clone()]), "Churned");
    story.full_sync().await.unwrap();
    assert!(held(&story, Object::Contact) > 0);
    let counted = async || {
        let record = story.record(Object::Account, "EMPTY").await.unwrap();
        record.fields[&name("contacts")].to_json()
    };
    assert_eq!(counted().await, 0);
    // The removal has read the contact, and not yet its link.
    let moves = async {
        let elsewhere = json!({ "Account_Name": { "id": empty } });
        story.zoho_edits("Contacts", &contact, &elsewhere).unwrap();
        story.routine_sync().await.unwrap();
        assert_eq!(counted().await, 1);
    };
    let faults = &story.world.faults;
    let removal = approved(&story, Object::Contact);
    let met = faults.amid("links", removal, moves).await;
    met.unwrap().0.unwrap();
    assert!(story.record_of(Object::Contact, &contact).is_none());
    story.deliver().await.unwrap();
    assert_eq!(counted().await, 0);
}
