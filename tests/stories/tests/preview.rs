//! What a preview says comes true.

#![expect(
    clippy::unwrap_used,
    reason = "the stories' own helpers fail as their tests do"
)]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use stories::Story;
use tandem::flow::job::Deadline;
use tandem::flow::preview::{EXAMPLES, Preview, preview};
use tandem::foresight::Proposal;
use tandem::identifier::FieldName;
use tandem::object::Object;
use tandem::port::Connections as _;
use tandem::record::RemovalReason;
use tandem::run::Counter;
use tandem::settings::Settings;
use tandem::value::Value;
use tandem_memory::Writes;

const SYNCED: [Object; 4] = [Object::Account, Object::Contact, Object::Deal, Object::Task];

/// A customer's settings with a filter on accounts.
fn filtered(filter: &Json) -> Json {
    json!({
        "account_external_id": "External_ID",
        "removal_guard": { "percent": 100, "records": 1000 },
        "objects": { "account": { "filter": filter } }
    })
}

fn status(comparator: &str, value: &str) -> Json {
    json!({ "where": { "field": "Customer_Status", "comparator": comparator, "value": value } })
}

/// Previews settings for an object to the end.
async fn foresee(story: &Story, wanted: &Json, object: Object) -> Preview {
    let store = &story.world.store;
    let connection = store
        .connection(&story.connection())
        .await
        .unwrap()
        .unwrap();
    let current = store.settings(&story.connection()).await.unwrap().settings;
    let wanted: Settings = serde_json::from_value(wanted.clone()).unwrap();
    let proposal = Proposal {
        current: &current,
        wanted: &wanted,
    };
    let (ports, deadline) = (story.ports(), Deadline(story.world.now()));
    let mut progress = None;
    let mut whole = Preview::default();
    loop {
        let part = preview(&ports, &connection, proposal, object, progress, deadline)
            .await
            .unwrap();
        let mut examples = whole.examples;
        examples.entering.extend(part.examples.entering);
        examples.leaving.extend(part.examples.leaving);
        examples.renamed.extend(part.examples.renamed);
        for (field, found) in part.examples.fields {
            examples.fields.entry(field).or_default().extend(found);
        }
        whole = Preview {
            examples,
            spent: whole.spent + part.spent,
            next: part.next.clone(),
            ..part
        };
        progress = part.next;
        if progress.is_none() {
            return whole;
        }
    }
}

/// The Zoho ids that a preview names as entering and leaving; it must name them all.
fn named(preview: &Preview) -> (BTreeSet<String>, BTreeSet<String>) {
    let examples = &preview.examples;
    assert_eq!(examples.entering.len() as u64, preview.totals.entering);
    assert_eq!(examples.leaving.len() as u64, preview.totals.leaving());
    let entering = examples.entering.iter();
    let leaving = examples.leaving.iter().map(|(example, _)| example);
    (
        entering
            .map(|example| example.zoho_id.to_string())
            .collect(),
        leaving.map(|example| example.zoho_id.to_string()).collect(),
    )
}

fn present(story: &Story) -> BTreeMap<Object, BTreeSet<String>> {
    SYNCED
        .into_iter()
        .map(|object| (object, story.present(object)))
        .collect()
}

/// Saves what was previewed, and lets a routine and a full sync do their work.
async fn save_and_sync(story: &Story, wanted: &Json) {
    story.save_settings(wanted.clone()).await.unwrap();
    story.routine_sync().await.unwrap();
    story.full_sync().await.unwrap();
}

/// Previews everything, makes it so, and compares.
async fn comes_true(story: &Story, wanted: &Json) -> BTreeMap<Object, Preview> {
    let mut foreseen = BTreeMap::new();
    for object in SYNCED {
        foreseen.insert(object, foresee(story, wanted, object).await);
    }
    let before = present(story);
    save_and_sync(story, wanted).await;
    let after = present(story);
    for (object, preview) in &foreseen {
        let (before, after) = (&before[object], &after[object]);
        let came: BTreeSet<String> = after.difference(before).cloned().collect();
        let went: BTreeSet<String> = before.difference(after).cloned().collect();
        assert_eq!(named(preview), (came, went), "{object}s");
    }
    foreseen
}

#[tokio::test]
async fn a_filter_change_brings_and_takes_what_the_preview_says_dependants_included() {
    let story = Story::begin(20, filtered(&status("equal", "Active")))
        .await
        .unwrap();
    story.full_sync().await.unwrap();
    let prospects = json!({ "any": [
        status("equal", "Prospect"),
        { "all": [status("equal", "Active"), { "where": { "field": "Key_Account", "comparator": "equal", "value": true } }] }
    ] });
    let foreseen = comes_true(&story, &filtered(&prospects)).await;
    for (object, preview) in &foreseen {
        let totals = &preview.totals;
        assert!(
            totals.entering > 0 && totals.leaving() > 0,
            "a story in which no {object} moves shows nothing: {totals:?}"
        );
        assert_eq!(preview.held, Some(false), "{object}s");
        let reason = match object {
            Object::Account => RemovalReason::OutOfScope,
            _ => RemovalReason::ParentLeft,
        };
        assert!(
            preview
                .examples
                .leaving
                .iter()
                .all(|(_, why)| *why == reason)
        );
        assert!(preview.examples.entering.len() <= EXAMPLES);
    }
    // What came true needs nothing more.
    let again = foresee(&story, &filtered(&prospects), Object::Account).await;
    assert!(!again.touched);
}

#[tokio::test]
async fn filters_of_dependants_and_of_their_accounts_are_foreseen_together() {
    let story = Story::begin(20, filtered(&status("equal", "Active")))
        .await
        .unwrap();
    story.full_sync().await.unwrap();
    let gone = story.present(Object::Contact).into_iter().next().unwrap();
    story.zoho_deletes("Contacts", &gone).unwrap();
    let mut wanted = filtered(&status("not_equal", "Active"));
    wanted["objects"]["deal"] = json!({ "filter": { "where": { "field": "Amount", "comparator": "greater_than", "value": 20000 } } });
    wanted["objects"]["task"] = json!({ "filter": { "where": { "field": "Priority", "comparator": "not_equal", "value": "Low" } } });
    let foreseen = comes_true(&story, &wanted).await;
    assert_eq!(foreseen[&Object::Contact].totals.gone, 1);
    assert!(foreseen[&Object::Deal].totals.outside > 0);
}

#[tokio::test]
async fn another_external_id_renames_what_has_it_and_its_dependants_stay() {
    let story = Story::begin(24, filtered(&status("equal", "Active")))
        .await
        .unwrap();
    story.full_sync().await.unwrap();
    let accounts = story.present(Object::Account);
    for (number, account) in accounts.iter().take(3).enumerate() {
        let key = json!({ "Partner_Reference": format!("P-{number}") });
        story.zoho_edits("Accounts", account, &key).unwrap();
    }
    story.routine_sync().await.unwrap();
    let mut wanted = filtered(&status("equal", "Active"));
    wanted["account_external_id"] = json!("Partner_Reference");
    let preview = foresee(&story, &wanted, Object::Account).await;
    let renamed: BTreeSet<(String, String)> = preview
        .examples
        .renamed
        .iter()
        .map(|(example, to)| (example.zoho_id.to_string(), to.to_string()))
        .collect();
    assert!(renamed.len() >= 3);
    comes_true(&story, &wanted).await;
    for (zoho_id, to) in renamed {
        let record = story.record_of(Object::Account, &zoho_id).unwrap();
        assert_eq!(record.id.to_string(), to);
    }
}

#[tokio::test]
async fn a_number_as_external_id_is_foreseen_although_zoho_does_not_search_for_it() {
    let story = Story::begin(16, filtered(&status("equal", "Active")))
        .await
        .unwrap();
    story.full_sync().await.unwrap();
    let mut wanted = filtered(&status("equal", "Active"));
    wanted["account_external_id"] = json!("Employees");
    let foreseen = comes_true(&story, &wanted).await;
    let totals = &foreseen[&Object::Account].totals;
    assert!(totals.renamed > 0, "{totals:?}");
}

#[tokio::test]
async fn of_those_that_contend_for_one_external_id_one_enters() {
    let story = Story::begin(16, filtered(&status("equal", "Active")))
        .await
        .unwrap();
    story.full_sync().await.unwrap();
    let contact = |account: &str| json!({ "Last_Name": "Twin", "Email": "Twin@example.com", "Account_Name": { "id": account } });
    for status in ["Prospect", "Prospect", "Active"] {
        let values =
            json!({ "Account_Name": "Twin", "External_ID": "A-TWIN", "Customer_Status": status });
        let account = story.zoho_creates("Accounts", &values).unwrap();
        story.zoho_creates("Contacts", &contact(&account)).unwrap();
    }
    story.routine_sync().await.unwrap();
    let foreseen = comes_true(&story, &filtered(&status("equal", "Prospect"))).await;
    let twins = |object: Object| {
        let entering = foreseen[&object].examples.entering.iter();
        entering
            .filter(|example| example.name.as_deref() == Some("Twin"))
            .count()
    };
    assert_eq!((twins(Object::Account), twins(Object::Contact)), (1, 1));
    assert!(foreseen[&Object::Account].totals.duplicates > 0);
}

#[tokio::test]
async fn a_mapping_change_shows_exactly_the_values_that_then_change() {
    let story = Story::begin(40, filtered(&status("equal", "Active")))
        .await
        .unwrap();
    story.full_sync().await.unwrap();
    let mut wanted = filtered(&status("equal", "Active"));
    wanted["objects"]["account"]["custom_fields"] = json!({ "health": "decimal" });
    wanted["objects"]["account"]["mappings"] = json!([
        { "zoho": "Health_Score", "platform": "health" },
        { "zoho": "Support_Email", "platform": "domain", "null": "keep" }
    ]);
    let preview = foresee(&story, &wanted, Object::Account).await;
    assert_eq!((preview.totals.entering, preview.totals.leaving()), (0, 0));
    assert_eq!(preview.spent, preview.credits.unwrap().preview);
    let untouched = foresee(&story, &wanted, Object::Contact).await;
    assert_eq!(untouched, Preview::default());
    let shown = |story: &Story| -> BTreeMap<String, BTreeMap<FieldName, Value>> {
        let records = story
            .world
            .store
            .live_records(&story.connection(), Object::Account);
        records
            .into_iter()
            .map(|record| (record.id.to_string(), record.fields))
            .collect()
    };
    let before = shown(&story);
    save_and_sync(&story, &wanted).await;
    let after = shown(&story);
    let mut changed: BTreeMap<FieldName, u64> = BTreeMap::new();
    let mut records = 0;
    for (id, fields) in &after {
        let differ: Vec<&FieldName> = fields
            .iter()
            .filter(|(field, value)| !before[id].get(*field).unwrap_or(&Value::Null).same(value))
            .map(|(field, _)| field)
            .collect();
        records += u64::from(!differ.is_empty());
        for field in differ {
            *changed.entry(field.clone()).or_default() += 1;
        }
    }
    assert_eq!(changed.len(), 2, "{changed:?}");
    assert_eq!(preview.totals.fields, changed);
    assert_eq!(preview.totals.changed, records);
    assert_eq!(
        preview.totals.changed + preview.totals.unchanged,
        after.len() as u64
    );
    for (field, examples) in &preview.examples.fields {
        for example in examples {
            let id = example.id.to_string();
            let was = before[&id].get(field).unwrap_or(&Value::Null);
            assert_eq!((was, &after[&id][field]), (&example.before, &example.after));
        }
    }
}

#[tokio::test]
async fn a_preview_writes_nothing_and_costs_what_it_foretells() {
    let story = Story::begin(24, filtered(&status("equal", "Active")))
        .await
        .unwrap();
    story.full_sync().await.unwrap();
    let wanted = filtered(&status("equal", "Prospect"));
    let (before, request) = (story.writes(), story.latest_request());
    let mut spent = 0;
    for object in SYNCED {
        let preview = foresee(&story, &wanted, object).await;
        let credits = preview.credits.unwrap();
        assert!(preview.spent <= credits.preview, "{object}: {preview:?}");
        assert_eq!(credits.once > 0, object == Object::Account);
        spent += preview.spent;
    }
    let written = story.writes() - before;
    let only_traces = Writes {
        credits: written.credits,
        leases: written.leases,
        ..Writes::default()
    };
    assert_eq!(written, only_traces);
    let calls = story.calls_since(request);
    assert!(!calls.is_empty());
    assert!(
        calls.iter().all(|call| call.ends_with("/coql")),
        "a question only reads: {calls:?}"
    );
    assert!(spent > 0);
}

#[tokio::test]
async fn syncs_cost_what_the_preview_foretells() {
    let story = Story::begin(24, filtered(&status("equal", "Active")))
        .await
        .unwrap();
    story.full_sync().await.unwrap();
    story.routine_sync().await.unwrap();
    let wanted = filtered(&status("not_equal", "Active"));
    let foreseen = foresee(&story, &wanted, Object::Account).await;
    let credits = foreseen.credits.unwrap();
    story.save_settings(wanted).await.unwrap();
    let (routine, request) = (story.routine_sync().await.unwrap(), story.latest_request());
    let read = routine.count(Object::Account, Counter::ZohoCredits);
    assert_eq!(read, credits.once);
    // The first night asks for the rows whose references are completed, too.
    story.full_sync().await.unwrap();
    let night = story.full_sync().await.unwrap();
    let read = night.count(Object::Account, Counter::ZohoCredits);
    assert_eq!(read, credits.each_night);
    assert!(story.latest_request() > request);
}

#[tokio::test]
async fn the_guards_word_is_foretold() {
    let mut settings = filtered(&status("equal", "Active"));
    settings["removal_guard"] = json!({ "percent": 5, "records": 1 });
    let story = Story::begin(40, settings.clone()).await.unwrap();
    story.full_sync().await.unwrap();
    let mut wanted = filtered(&status("equal", "Prospect"));
    wanted["removal_guard"] = settings["removal_guard"].clone();
    let preview = foresee(&story, &wanted, Object::Account).await;
    assert_eq!(preview.held, Some(true));
    story.save_settings(wanted).await.unwrap();
    story.routine_sync().await.unwrap();
    let ran = story.full_sync().await.unwrap();
    assert_eq!(
        ran.count(Object::Account, Counter::Held),
        preview.totals.leaving()
    );
}

#[tokio::test]
async fn users_are_previewed_page_by_page_and_never_leave() {
    let story = Story::begin(12, filtered(&status("equal", "Active")))
        .await
        .unwrap();
    story.full_sync().await.unwrap();
    let mut wanted = filtered(&status("equal", "Active"));
    wanted["objects"]["user"] =
        json!({ "mappings": [{ "zoho": "time_zone", "platform": "time_zone" }] });
    let preview = foresee(&story, &wanted, Object::User).await;
    let users = story.present(Object::User).len() as u64;
    assert_eq!((preview.totals.rows, preview.totals.leaving()), (users, 0));
    assert!(preview.totals.changed > 0);
    assert_eq!(preview.spent, preview.credits.unwrap().preview);
}
