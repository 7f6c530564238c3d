//! Nothing is skipped: same-second changes, edits while paging, clocks that differ, plans that change (P1, F8).

#![expect(
    clippy::unwrap_used,
    reason = "the stories' own helpers fail as their tests do"
)]

use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use stories::{Story, name, text};
use tandem::object::Object;
use tandem::run::{Counter, RunStatus};
use tandem::value::Value;
use tandem_memory::{Failure, Fault, When};
use zoho_sim::OrganisationSpec;

fn contacts(story: &Story, number: usize) -> Vec<String> {
    let account = story.present(Object::Account).into_iter().next().unwrap();
    (0..number)
        .map(|number| {
            let email = format!("person-{number}@example.com");
            let values =
                json!({ "Last_Name": "Novak", "Email": email, "Account_Name": { "id": account } });
            story.zoho_creates("Contacts", &values).unwrap()
        })
        .collect()
}

fn phone(story: &Story, contact: &str) -> Option<String> {
    let record = story.record_of(Object::Contact, contact)?;
    Some(record.fields[&name("phone")].as_text()?.to_owned())
}

#[tokio::test]
async fn thousands_of_changes_in_one_second_cross_page_borders_whole() {
    let story = Story::begin(5, json!({})).await.unwrap();
    story.full_sync().await.unwrap();
    let all = contacts(&story, 4_500);
    let ran = story.routine_sync().await.unwrap();
    assert!(ran.count(Object::Contact, Counter::RowsRead) >= 4_500);
    let present = story.present(Object::Contact);
    assert!(all.iter().all(|contact| present.contains(contact)));
    let next = story.routine_sync().await.unwrap();
    assert_eq!(
        next.count(Object::Contact, Counter::RowsRead),
        0,
        "read once"
    );
}

#[tokio::test]
async fn records_that_change_while_pages_are_read_are_read_again() {
    let story = Story::begin(5, json!({})).await.unwrap();
    story.full_sync().await.unwrap();
    let all = contacts(&story, 4_100);
    // With every page, one of the first rows moves to the end, and one of the last ones changes.
    let (zoho, organisation, moving) = (story.zoho.clone(), story.organisation, all.clone());
    let mut number = 0;
    story.world.faults.decide(move |call| {
        if call.operation == "select" {
            let now = zoho.now();
            for contact in [&moving[number], &moving[moving.len() - 1 - number]] {
                let changed = json!({ "Phone": "+1 555 0100" });
                let values = changed.as_object().unwrap();
                let id = contact.parse().unwrap();
                zoho.model()
                    .edit(organisation, "Contacts", id, values, None, now)
                    .unwrap();
            }
            number += 1;
        }
        None
    });
    story.routine_sync().await.unwrap();
    story.world.faults.clear();
    story.routine_sync().await.unwrap();
    let rows = story.rows("Contacts").unwrap().into_iter();
    let changed: Vec<String> = rows
        .filter(|row| row["Phone"] == "+1 555 0100")
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .filter(|id| all.contains(id))
        .collect();
    assert!(changed.len() >= 4);
    for contact in changed {
        assert_eq!(phone(&story, &contact).as_deref(), Some("+1 555 0100"));
    }
}

#[tokio::test]
async fn clocks_that_differ_by_minutes_skip_nothing() {
    for skew in [-600, -90, 90, 600] {
        let story = Story::begin(10, json!({})).await.unwrap();
        story.zoho.model().clock_offset = SignedDuration::from_secs(skew);
        story.full_sync().await.unwrap();
        let contact = story.present(Object::Contact).into_iter().next().unwrap();
        for round in 0..4 {
            story.pass(SignedDuration::from_secs(7));
            let number = format!("+1 555 010{round}");
            let values = json!({ "Phone": number });
            story.zoho_edits("Contacts", &contact, &values).unwrap();
            story.routine_sync().await.unwrap();
            assert_eq!(phone(&story, &contact), Some(number), "skew {skew}");
        }
    }
}

#[tokio::test]
async fn a_new_mapping_reads_its_object_fully_once_and_no_other() {
    let story = Story::begin(30, json!({})).await.unwrap();
    story.full_sync().await.unwrap();
    story.routine_sync().await.unwrap();
    let total = |module: &str| u64::try_from(story.rows(module).unwrap().len()).unwrap();
    let settings: Json = json!({ "account_external_id": "External_ID", "objects": { "contact": {
        "mappings": [{ "zoho": "Title", "platform": "title" }]
    } } });
    story.save_settings(settings).await.unwrap();
    // Meanwhile something else changes, and something is deleted.
    let mut present = story.present(Object::Contact).into_iter();
    let (edited, deleted) = (present.next().unwrap(), present.next().unwrap());
    let values = json!({ "Phone": "+1 555 0100", "Title": "Buyer" });
    story.zoho_edits("Contacts", &edited, &values).unwrap();
    story.zoho_deletes("Contacts", &deleted).unwrap();
    let deal = story.present(Object::Deal).into_iter().next().unwrap();
    let values = json!({ "Deal_Name": "Renamed" });
    story.zoho_edits("Deals", &deal, &values).unwrap();

    let ran = story.routine_sync().await.unwrap();
    assert_eq!(
        ran.count(Object::Contact, Counter::RowsRead),
        total("Contacts")
    );
    assert_eq!(ran.count(Object::Deal, Counter::RowsRead), 1);
    assert_eq!(ran.count(Object::Account, Counter::RowsRead), 0);
    let record = story.record_of(Object::Contact, &edited).unwrap();
    assert_eq!(record.fields[&name("title")], text("Buyer"));
    assert_eq!(phone(&story, &edited).as_deref(), Some("+1 555 0100"));
    assert!(
        story.present(Object::Contact).contains(&deleted),
        "it removes nothing"
    );
    for row in story.rows("Contacts").unwrap() {
        let id = row["id"].as_str().unwrap();
        let Some(record) = story.record_of(Object::Contact, id) else {
            continue;
        };
        let title = record.fields.get(&name("title"));
        assert_eq!(title.and_then(Value::as_text), row["Title"].as_str());
    }
    let next = story.routine_sync().await.unwrap();
    assert_eq!(next.total(Counter::RowsRead), 0, "exactly once");
}

#[tokio::test]
async fn a_value_that_does_not_fit_parks_its_field_and_nothing_else() {
    let settings = json!({ "objects": { "account": {
        "custom_fields": { "size": "integer" },
        "mappings": [{ "zoho": "Support_Email", "platform": "size" }]
    } } });
    let story = Story::begin(10, settings).await.unwrap();
    story.full_sync().await.unwrap();
    let account = story.present(Object::Account).into_iter().next().unwrap();
    let values = json!({ "Support_Email": "help@example.com", "Account_Name": "Renamed" });
    story.zoho_edits("Accounts", &account, &values).unwrap();
    let ran = story.routine_sync().await.unwrap();
    assert_eq!(ran.count(Object::Account, Counter::Parked), 1);
    let record = story.record_of(Object::Account, &account).unwrap();
    assert_eq!(record.fields[&name("name")], text("Renamed"));
    let line = story.log("parked field size").pop().unwrap();
    assert!(
        !line.reason.unwrap().contains("help@example.com"),
        "values stay out of reasons"
    );
}

#[tokio::test]
async fn a_routine_sync_of_many_records_costs_one_call_per_object() {
    let spec = OrganisationSpec {
        accounts: 400,
        ..OrganisationSpec::small(7)
    };
    let story = Story::begin_with(&spec, json!({})).await.unwrap();
    story.full_sync().await.unwrap();
    story.routine_sync().await.unwrap();
    for contact in story.present(Object::Contact).into_iter().take(100) {
        let values = json!({ "Phone": "+1 555 0100" });
        story.zoho_edits("Contacts", &contact, &values).unwrap();
    }
    let request = story.latest_request();
    let ran = story.routine_sync().await.unwrap();
    assert_eq!(ran.count(Object::Contact, Counter::Updated), 100);
    assert_eq!(story.calls_since(request).len(), 5);
}

#[tokio::test]
async fn a_record_that_is_too_large_is_named_and_stops_nothing() {
    let story = Story::begin(10, json!({})).await.unwrap();
    let fault = Fault::Fail(When::Before, Failure::Refused);
    story.world.faults.on("save_record", 30, fault);
    let night = story.full_sync().await.unwrap();
    assert_eq!(night.run.status, RunStatus::Complete);
    assert_eq!(night.total(Counter::TooLarge), 1);
    let line = story.log("too large").pop().unwrap();
    let zoho = line.zoho_id.unwrap().to_string();
    let object = line.object.unwrap();
    assert!(!story.present(object).contains(&zoho));
    story.world.faults.clear();
    let writes = story.writes();
    let night = story.full_sync().await.unwrap();
    assert_eq!(night.total(Counter::TooLarge), 1);
    let quiet = (writes.records, writes.links);
    assert_eq!((story.writes().records, story.writes().links), quiet);
    assert_eq!(story.log("too large").len(), 1, "said once");
    assert_eq!(object, Object::Contact);
    let shorter = json!({ "Phone": "1" });
    story.zoho_edits("Contacts", &zoho, &shorter).unwrap();
    story.full_sync().await.unwrap();
    assert!(story.present(object).contains(&zoho), "looked at again");
}
