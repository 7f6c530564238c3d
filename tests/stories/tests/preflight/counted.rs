//! How the fields that hold ids are filled: counted over all records and over those in scope, for few credits.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stories::Story;
use tandem::credit::Bucket;
use tandem::finding::Code;
use tandem::object::Object;
use tandem::port::Coordination as _;
use tandem::preflight::{Coverage, Preflight};
use zoho_sim::OrganisationSpec;
use zoho_sim::faults::Fault;

use super::{codes, look, only, plain, tidy};

/// What every look costs before anything is counted: the organisation, a page of users, and each module's fields and records.
const LOOK: u64 = 10;

fn coverage(preflight: &Preflight, object: Object) -> &Coverage {
    let mut all = preflight.coverage.iter();
    all.find(|coverage| coverage.object == object).unwrap()
}

/// Records, those with a value, values that several have, records that share them.
type Numbers = (u64, u64, u64, u64);

fn numbers<'a>(rows: impl IntoIterator<Item = &'a Value>, field: &str) -> Numbers {
    let mut records = 0;
    let mut values: BTreeMap<String, u64> = BTreeMap::new();
    for row in rows {
        records += 1;
        if let Some(value) = row[field].as_str() {
            let value = value.trim().to_lowercase();
            *values.entry(value).or_default() += 1;
        }
    }
    let shared = || values.values().filter(|count| **count > 1);
    (
        records,
        values.values().sum(),
        shared().count() as u64,
        shared().sum(),
    )
}

fn told(filled: &tandem::preflight::Filled) -> Numbers {
    let shared = filled.shared.clone().unwrap_or_default();
    (filled.records, filled.filled, shared.values, shared.records)
}

fn active() -> Value {
    json!({ "objects": { "account": { "filter": { "all": [
        { "where": { "field": "Customer_Status", "comparator": "equal", "value": "Active" } },
        { "where": { "field": "Industry", "comparator": "not_in", "value": ["Nothing", "Else"] } }
    ] } } } })
}

#[tokio::test]
async fn what_is_unfilled_and_shared_is_counted_exactly_over_all_and_in_scope() {
    let story = Story::begin(400, active()).await.unwrap();
    let found = look(&story).await;
    let accounts = story.rows("Accounts").unwrap();
    let active: Vec<&Value> = accounts
        .iter()
        .filter(|row| row["Customer_Status"] == "Active")
        .collect();
    let of_accounts = coverage(&found, Object::Account);
    let (records, filled, values, sharing) = numbers(&accounts, "External_ID");
    assert!(filled < records && values > 0, "there is something to find");
    assert_eq!(told(&of_accounts.all), (records, filled, values, sharing));
    assert_eq!(
        told(of_accounts.in_scope.as_ref().unwrap()),
        numbers(active.iter().copied(), "External_ID")
    );
    let shared = found
        .findings
        .iter()
        .find(|finding| finding.code == Code::ExternalIdShared)
        .unwrap();
    assert_eq!(shared.object, Some(Object::Account));
    assert!(!shared.examples.is_empty());
    assert!(
        shared
            .examples
            .iter()
            .all(|example| example.starts_with("EXT-"))
    );
    let unfilled = found
        .findings
        .iter()
        .find(|finding| finding.code == Code::ExternalIdUnfilled)
        .unwrap();
    assert_eq!(unfilled.field.as_deref(), Some("External_ID"));
    assert!(
        unfilled.what.contains(&format!(
            "{} of {records} accounts have no External_ID",
            records - filled
        )),
        "{unfilled:?}"
    );
}

#[tokio::test]
async fn contacts_are_counted_by_their_accounts_scope_and_without_case() {
    let story = Story::begin(60, active()).await.unwrap();
    let contacts = story.rows("Contacts").unwrap();
    let mut with_email = contacts.iter().filter(|row| row["Email"].is_string());
    let (first, second) = (with_email.next().unwrap(), with_email.next().unwrap());
    let shouted = first["Email"].as_str().unwrap().to_uppercase();
    let id = second["id"].as_str().unwrap();
    story
        .zoho_edits("Contacts", id, &json!({ "Email": shouted }))
        .unwrap();
    let found = look(&story).await;
    let of_contacts = coverage(&found, Object::Contact);
    let contacts = story.rows("Contacts").unwrap();
    let expected = numbers(&contacts, "Email");
    assert!(expected.2 >= 1);
    assert_eq!(told(&of_contacts.all), expected);
    let accounts = story.rows("Accounts").unwrap();
    let is_active = |id: &Value| {
        accounts
            .iter()
            .any(|row| row["id"] == *id && row["Customer_Status"] == "Active")
    };
    let in_scope = contacts
        .iter()
        .filter(|row| is_active(&row["Account_Name"]["id"]));
    assert_eq!(
        told(of_contacts.in_scope.as_ref().unwrap()),
        numbers(in_scope, "Email")
    );
    // E-mail addresses are told to nobody and logged nowhere.
    let shared = found
        .findings
        .iter()
        .filter(|finding| finding.object == Some(Object::Contact));
    assert!(
        shared
            .clone()
            .any(|finding| finding.code == Code::ExternalIdShared)
    );
    assert!(shared.clone().all(|finding| finding.examples.is_empty()));
    let text = serde_json::to_string(&found).unwrap();
    assert!(!text.contains('@'), "{text}");
    let log = format!("{:?}", story.log("preflight"));
    assert!(!log.contains('@') && !log.contains("EXT-"), "{log}");
}

#[tokio::test]
async fn what_zoho_keeps_apart_is_not_compared() {
    let story = plain().await;
    let found = look(&story).await;
    let accounts = coverage(&found, Object::Account);
    assert!(accounts.unique);
    assert_eq!(accounts.all.shared, None);
    assert_eq!(accounts.in_scope, None, "there is no filter");
    // One for the accounts' fill; of the contacts the fill, the values, and those that belong to an account.
    assert!(
        (LOOK + 4..=LOOK + 6).contains(&found.credits),
        "{}",
        found.credits
    );
    let id = story.connection();
    let since = Bucket::day_before(story.world.now());
    let spent = story.world.store.credits_spent(&id, since).await;
    assert_eq!(
        tandem::credit::spent(&spent.unwrap()).total(),
        found.credits
    );
    let (organisation, now) = (story.organisation, story.zoho.now());
    let usage = story.zoho.model().usage(organisation, now);
    assert_eq!(
        usage.unwrap()["used_24h"],
        found.credits,
        "by Zoho's own count"
    );
}

#[tokio::test]
async fn the_marks_of_tasks_are_compared_and_their_absence_is_no_fault() {
    let story = tidy(json!({ "task_mark": "Task_Reference" })).await;
    let tasks = story.rows("Tasks").unwrap();
    for task in &tasks[..2] {
        let id = task["id"].as_str().unwrap();
        story
            .zoho_edits("Tasks", id, &json!({ "Task_Reference": "t-1" }))
            .unwrap();
    }
    let found = look(&story).await;
    assert_eq!(
        told(&coverage(&found, Object::Task).all),
        numbers(&story.rows("Tasks").unwrap(), "Task_Reference")
    );
    let of_tasks: Vec<_> = found
        .findings
        .iter()
        .filter(|finding| finding.object == Some(Object::Task))
        .collect();
    assert_eq!(of_tasks.len(), 1, "{of_tasks:?}");
    assert_eq!(of_tasks[0].code, Code::ExternalIdShared);
    assert_eq!(of_tasks[0].examples, ["t-1"]);
}

#[tokio::test]
async fn what_coql_cannot_say_is_counted_over_all_only() {
    let story = tidy(json!({ "objects": { "account": { "filter":
        { "where": { "field": "Interests", "comparator": "equal", "value": "x" } }
    } } }))
    .await;
    let found = look(&story).await;
    assert_eq!(coverage(&found, Object::Account).in_scope, None);
    assert_eq!(coverage(&found, Object::Contact).in_scope, None);
}

#[tokio::test]
async fn more_values_than_are_worth_it_are_estimated() {
    let spec = OrganisationSpec {
        accounts: 10_800,
        contacts: Some(0),
        deals: Some(0),
        tasks: Some(0),
        ..OrganisationSpec::small(3)
    };
    let story = Story::begin_with(&spec, json!({})).await.unwrap();
    let found = look(&story).await;
    let accounts = coverage(&found, Object::Account);
    let shared = accounts.all.shared.as_ref().unwrap();
    assert!(!shared.complete);
    assert_eq!(shared.compared, 10_000);
    let finding = only(&found, Code::ExternalIdShared);
    assert!(finding.what.contains("at least"), "{finding:?}");
    assert!(
        finding.what.contains("the first 10,000 values"),
        "{finding:?}"
    );
    assert!(found.credits <= LOOK + 1 + 15 + 3, "{}", found.credits);
    assert!(!codes(&found).contains(&Code::ExternalIdUncounted));
}

#[tokio::test]
async fn what_zoho_refuses_to_count_is_said_and_everything_else_is_looked_at() {
    let story = Story::begin(24, active()).await.unwrap();
    // The modules' records are counted first.
    story.zoho.model().faults.fail(Fault {
        path: "/coql".to_owned(),
        skip: 4,
        times: 100,
        status: 400,
        code: Some("INVALID_QUERY".to_owned()),
        ..Fault::default()
    });
    let found = look(&story).await;
    assert_eq!(found.visible.len(), 4);
    assert_eq!(found.coverage, []);
    let uncounted: Vec<_> = found
        .findings
        .iter()
        .filter(|finding| finding.code == Code::ExternalIdUncounted)
        .map(|finding| (finding.object, finding.field.as_deref()))
        .collect();
    assert_eq!(
        uncounted,
        [
            (Some(Object::Account), Some("External_ID")),
            (Some(Object::Contact), Some("Email"))
        ]
    );
    assert!(!found.blocks());
}
