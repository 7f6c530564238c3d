//! What comes from Zoho.

#![expect(
    clippy::unwrap_used,
    reason = "the stories' own helpers fail as their tests do"
)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use serde_json::{Value, json};
use stories::{Delivery, Story, name, text};
use tandem::flow::job::Deadline;
use tandem::flow::{runs, work};
use tandem::object::Object;
use tandem::run::{Counter, RunKind, RunStatus};
use tandem::select::PAGE_ROWS;
use tandem_local::in_scope;
use zoho_sim::OrganisationSpec;

fn active_only() -> Value {
    json!({
        "objects": { "account": {
            "filter": { "where": { "field": "Customer_Status", "comparator": "equal", "value": "Active" } },
            "custom_fields": { "status": "choice" },
            "mappings": [{ "zoho": "Customer_Status", "platform": "status" }]
        } }
    })
}

fn assert_in_scope(story: &Story) {
    let now = story.zoho.now();
    let active = |account: &Value| account["Customer_Status"] == "Active";
    let wanted = in_scope(&story.zoho.model(), story.organisation, now, active).unwrap();
    for (object, ids) in wanted {
        let found = story.present(object.parse().unwrap());
        assert_eq!(found, ids, "{object}s");
        assert!(!ids.is_empty(), "a story without {object}s shows nothing");
    }
}

#[tokio::test]
async fn a_full_sync_brings_what_is_in_scope_and_a_second_one_writes_nothing() {
    let story = Story::begin(60, active_only()).await.unwrap();
    let first = story.full_sync().await.unwrap();
    assert_eq!(
        first.run.status,
        RunStatus::Complete,
        "{:?}",
        first.run.reason
    );
    assert_in_scope(&story);
    let before = story.writes();
    let second = story.full_sync().await.unwrap();
    assert_eq!(second.run.status, RunStatus::Complete);
    let after = story.writes();
    assert_eq!((after.records, after.links), (before.records, before.links));
    assert_eq!(
        second.total(Counter::Created) + second.total(Counter::Updated),
        0
    );
}

#[tokio::test]
async fn delivering_every_message_twice_leads_to_the_same_tables() {
    let once = Story::begin(40, active_only()).await.unwrap();
    once.full_sync().await.unwrap();
    let mut twice = Story::begin(40, active_only()).await.unwrap();
    twice.delivery = Delivery::Twice;
    let ran = twice.full_sync().await.unwrap();
    assert_eq!(ran.run.status, RunStatus::Complete);
    let fields = |story: &Story| -> BTreeMap<_, _> {
        let records = story.world.store.all_records(&story.connection());
        records
            .into_iter()
            .map(|record| {
                (
                    (record.object, record.id.clone()),
                    (record.fields, record.version),
                )
            })
            .collect()
    };
    assert_eq!(fields(&once), fields(&twice));
    assert_eq!(
        once.world.store.all_links(&once.connection()),
        twice.world.store.all_links(&twice.connection())
    );
}

#[tokio::test]
async fn a_routine_sync_without_changes_costs_one_call_per_object_and_writes_nothing() {
    let story = Story::begin(30, active_only()).await.unwrap();
    story.full_sync().await.unwrap();
    story.routine_sync().await.unwrap();
    let (before, request) = (story.writes(), story.latest_request());
    let ran = story.routine_sync().await.unwrap();
    assert_eq!(ran.run.status, RunStatus::Complete);
    let after = story.writes();
    assert_eq!(
        (after.records, after.links, after.log_lines),
        (before.records, before.links, before.log_lines)
    );
    assert_eq!(
        story.calls_since(request).len(),
        5,
        "{:?}",
        story.calls_since(request)
    );
}

#[tokio::test]
async fn a_routine_sync_of_many_changes_takes_two_calls_at_most_for_their_object_and_one_for_each_other()
 {
    let story = Story::begin(30, active_only()).await.unwrap();
    story.full_sync().await.unwrap();
    story.routine_sync().await.unwrap();
    let contacts: Vec<String> = story
        .present(Object::Contact)
        .into_iter()
        .take(50)
        .collect();
    for contact in &contacts {
        story
            .zoho_edits("Contacts", contact, &json!({ "Phone": "+1 555 0100" }))
            .unwrap();
    }
    let (before, request) = (story.writes(), story.latest_request());
    let ran = story.routine_sync().await.unwrap();
    let written = story.writes() - before;
    let changed = contacts.len() as u64;
    // Each link is opened before its record is stored, and says what its row says after.
    assert_eq!((written.records, written.links), (changed, 2 * changed));
    for object in Object::ALL {
        let most = if object == Object::Contact { 2 } else { 1 };
        let calls = ran.count(object, Counter::ZohoCalls);
        assert!(calls <= most, "{calls} calls for {object}s");
    }
    assert!(story.calls_since(request).len() <= 6);
}

#[tokio::test]
async fn a_change_in_zoho_arrives_with_the_next_routine_sync_and_says_where_it_came_from() {
    let story = Story::begin(30, active_only()).await.unwrap();
    story.full_sync().await.unwrap();
    let contact = story.present(Object::Contact).into_iter().next().unwrap();
    story
        .zoho_edits("Contacts", &contact, &json!({ "Phone": "+1 555 0100" }))
        .unwrap();
    let before = story.writes();
    let ran = story.routine_sync().await.unwrap();
    let record = story.record_of(Object::Contact, &contact).unwrap();
    assert_eq!(record.fields[&name("phone")], text("+1 555 0100"));
    assert_eq!(
        record.sources[&name("phone")].run.as_ref(),
        Some(&ran.run.id)
    );
    assert_eq!(story.writes().records, before.records + 1);
}

#[tokio::test]
async fn an_account_that_comes_into_scope_brings_what_belongs_to_it_in_the_same_run() {
    let story = Story::begin(60, active_only()).await.unwrap();
    story.full_sync().await.unwrap();
    let contacts = story.rows("Contacts").unwrap();
    let outside = story.rows("Accounts").unwrap().into_iter().find(|account| {
        account["Customer_Status"] != "Active"
            && account["External_ID"].is_string()
            && contacts.iter().any(|contact| {
                contact["Account_Name"]["id"] == account["id"] && contact["Email"].is_string()
            })
    });
    let account = outside.expect("an account outside the scope with contacts")["id"]
        .as_str()
        .unwrap()
        .to_owned();
    story
        .zoho_edits(
            "Accounts",
            &account,
            &json!({ "Customer_Status": "Active" }),
        )
        .unwrap();
    story.routine_sync().await.unwrap();
    assert!(story.present(Object::Account).contains(&account));
    assert_in_scope(&story);
}

#[tokio::test]
async fn what_leaves_the_filter_or_is_deleted_goes_with_the_next_full_sync_and_not_before() {
    let story = Story::begin(60, active_only()).await.unwrap();
    story.full_sync().await.unwrap();
    let mut accounts = story.present(Object::Account).into_iter();
    let (churned, deleted) = (accounts.next().unwrap(), accounts.next().unwrap());
    story
        .zoho_edits(
            "Accounts",
            &churned,
            &json!({ "Customer_Status": "Churned" }),
        )
        .unwrap();
    story.zoho_deletes("Accounts", &deleted).unwrap();
    story.routine_sync().await.unwrap();
    assert!(
        story
            .present(Object::Account)
            .is_superset(&[churned.clone(), deleted.clone()].into())
    );
    let ran = story.full_sync().await.unwrap();
    assert_eq!(ran.count(Object::Account, Counter::Removed), 2);
    assert_in_scope(&story);
    let before = story.writes();
    story.full_sync().await.unwrap();
    let after = story.writes();
    assert_eq!(
        (after.records, after.links),
        (before.records, before.links),
        "what refers to the removed stays as it is"
    );
    // And back again: the record that was removed comes to life with its history.
    story
        .zoho_edits(
            "Accounts",
            &churned,
            &json!({ "Customer_Status": "Active" }),
        )
        .unwrap();
    story.routine_sync().await.unwrap();
    assert_in_scope(&story);
    assert!(story.record_of(Object::Account, &churned).unwrap().version > 2);
}

#[tokio::test]
async fn a_removal_beyond_the_guard_waits_for_a_person() {
    let settings = json!({ "removal_guard": { "percent": 5, "records": 1 }, "objects": active_only()["objects"] });
    let story = Story::begin(60, settings).await.unwrap();
    story.full_sync().await.unwrap();
    let contacts = |story: &Story| {
        let records = story
            .world
            .store
            .live_records(&story.connection(), Object::Contact);
        records
            .into_iter()
            .map(|record| record.id)
            .collect::<Vec<_>>()
    };
    let before = contacts(&story);
    let leaving: Vec<String> = story.present(Object::Account).into_iter().take(6).collect();
    for account in &leaving {
        story
            .zoho_edits(
                "Accounts",
                account,
                &json!({ "Customer_Status": "Churned" }),
            )
            .unwrap();
    }
    let ran = story.full_sync().await.unwrap();
    assert_eq!(ran.count(Object::Account, Counter::Held), 6);
    assert_eq!(
        ran.total(Counter::Removed),
        0,
        "what belongs to held accounts waits with them"
    );
    assert_eq!(contacts(&story), before);
}

#[tokio::test]
async fn a_failed_read_removes_nothing() {
    let story = Story::begin(40, active_only()).await.unwrap();
    story.full_sync().await.unwrap();
    let before = story.present(Object::Deal);
    let gone = before.iter().next().unwrap().clone();
    story.zoho_deletes("Deals", &gone).unwrap();
    story
        .zoho
        .model()
        .hide_field(story.organisation, "Deals", "Account_Name", true)
        .unwrap();
    let ran = story.full_sync().await.unwrap();
    assert_eq!(ran.run.status, RunStatus::Incomplete);
    assert_eq!(story.present(Object::Deal), before);
    story
        .zoho
        .model()
        .hide_field(story.organisation, "Deals", "Account_Name", false)
        .unwrap();
    story.full_sync().await.unwrap();
    assert!(!story.present(Object::Deal).contains(&gone));
}

#[tokio::test]
async fn of_two_accounts_with_one_external_id_the_older_keeps_it() {
    let story = Story::begin(40, active_only()).await.unwrap();
    story.full_sync().await.unwrap();
    let account = story.present(Object::Account).into_iter().next().unwrap();
    let external = story.row("Accounts", &account).unwrap()["External_ID"].clone();
    let twin =
        json!({ "Account_Name": "Twin", "External_ID": external, "Customer_Status": "Active" });
    let twin = story.zoho_creates("Accounts", &twin).unwrap();
    for _ in 0..2 {
        story.routine_sync().await.unwrap();
        story.full_sync().await.unwrap();
        assert!(story.present(Object::Account).contains(&account));
        assert!(!story.present(Object::Account).contains(&twin));
    }
    story
        .zoho_edits("Accounts", &twin, &json!({ "External_ID": "A-TWIN" }))
        .unwrap();
    story.routine_sync().await.unwrap();
    assert!(
        story.present(Object::Account).contains(&twin),
        "repaired in Zoho, it comes in"
    );
}

#[tokio::test]
async fn of_two_that_may_take_an_external_id_over_in_one_page_the_older_gets_it_and_keeps_it() {
    let story = Story::begin(12, active_only()).await.unwrap();
    story.full_sync().await.unwrap();
    let twin = |status: &str| json!({ "Account_Name": "Twin", "External_ID": "A-TWIN", "Customer_Status": status });
    let owner = story.zoho_creates("Accounts", &twin("Active")).unwrap();
    story.routine_sync().await.unwrap();
    let older = story.zoho_creates("Accounts", &twin("Active")).unwrap();
    let younger = story.zoho_creates("Accounts", &twin("Active")).unwrap();
    story.routine_sync().await.unwrap();
    assert!(story.present(Object::Account).contains(&owner));
    story
        .zoho_edits("Accounts", &owner, &json!({ "Customer_Status": "Churned" }))
        .unwrap();
    for _ in 0..2 {
        story.full_sync().await.unwrap();
        let present = story.present(Object::Account);
        assert!(present.contains(&older) && !present.contains(&younger));
    }
    let links = story.world.store.all_links(&story.connection());
    let tied = links
        .iter()
        .filter(|link| link.platform_id().is_some_and(|id| id.as_str() == "A-TWIN"));
    assert_eq!(tied.count(), 1, "one link ties the record");
}

#[tokio::test]
async fn one_that_returns_without_its_external_id_and_a_namesake_do_not_share_a_record() {
    let story = Story::begin(12, active_only()).await.unwrap();
    let twin =
        json!({ "Account_Name": "Twin", "External_ID": "A-TWIN", "Customer_Status": "Active" });
    let older = story.zoho_creates("Accounts", &twin).unwrap();
    story.full_sync().await.unwrap();
    let left = json!({ "Customer_Status": "Churned" });
    story.zoho_edits("Accounts", &older, &left).unwrap();
    story.full_sync().await.unwrap();
    let back = json!({ "Customer_Status": "Active", "External_ID": null });
    story.zoho_edits("Accounts", &older, &back).unwrap();
    story.zoho_creates("Accounts", &twin).unwrap();
    story.full_sync().await.unwrap();
    let links = story.world.store.all_links(&story.connection());
    let tied = links
        .iter()
        .filter(|link| link.platform_id().is_some_and(|id| id.as_str() == "A-TWIN"));
    assert_eq!(tied.count(), 1);
}

#[tokio::test]
async fn what_refers_to_a_contact_still_means_it_when_a_namesake_takes_it_over() {
    let story = Story::begin(40, active_only()).await.unwrap();
    story.full_sync().await.unwrap();
    let mut accounts = story.present(Object::Account).into_iter();
    let (leaving, staying) = (accounts.next().unwrap(), accounts.next().unwrap());
    let contact = |account: &str| json!({ "Last_Name": "Twin", "Email": "twin@example.com", "Account_Name": { "id": account } });
    let older = story.zoho_creates("Contacts", &contact(&leaving)).unwrap();
    let younger = story.zoho_creates("Contacts", &contact(&staying)).unwrap();
    let task = json!({ "Subject": "Call", "What_Id": { "id": staying }, "$se_module": "Accounts", "Who_Id": { "id": older } });
    let task = story.zoho_creates("Tasks", &task).unwrap();
    story.full_sync().await.unwrap();
    assert!(story.present(Object::Contact).contains(&older));
    story
        .zoho_edits(
            "Accounts",
            &leaving,
            &json!({ "Customer_Status": "Churned" }),
        )
        .unwrap();
    story.full_sync().await.unwrap();
    assert!(
        story.present(Object::Contact).contains(&younger),
        "the namesake takes the identity over"
    );
    let before = story.writes();
    story.full_sync().await.unwrap();
    let after = story.writes();
    assert_eq!((after.records, after.links), (before.records, before.links));
    let named = story.record_of(Object::Task, &task).unwrap().fields[&name("contact")].clone();
    let named = named
        .as_reference()
        .and_then(|reference| reference.platform_id.clone());
    assert_eq!(named, Some("twin@example.com".parse().unwrap()));
}

#[tokio::test]
async fn whoever_comes_next_writes_the_line_of_a_worker_that_died_behind_the_record() {
    let story = Story::begin(24, json!({})).await.unwrap();
    story.full_sync().await.unwrap();
    let task = story.new_task_cut_off_at("write", 1).await.unwrap();
    let line = || {
        let mut lines = story.log("created").into_iter();
        lines.any(|line| line.zoho_id == task.parse().ok())
    };
    assert!(story.record_of(Object::Task, &task).is_some(), "it came in");
    assert!(!line());
    story.full_sync().await.unwrap();
    assert!(line());
}

#[tokio::test]
async fn settings_that_change_between_two_pages_have_the_first_read_again() {
    let spec = OrganisationSpec {
        accounts: PAGE_ROWS + 1,
        contacts: Some(6),
        deals: Some(6),
        tasks: Some(6),
        ..OrganisationSpec::small(7)
    };
    let story = Story::begin_with(&spec, json!({})).await.unwrap();
    let ports = story.ports();
    runs::start(&ports, &story.connection(), RunKind::Routine)
        .await
        .unwrap();
    let queue = &story.world.queue.work;
    let first = queue.take_where(|work| work.object() == Object::Account);
    // So near the end of its invocation, the worker hands over behind the first page.
    let deadline = Deadline(story.world.now() + SignedDuration::from_secs(30));
    work::handle(&ports, &first.unwrap().message, deadline)
        .await
        .unwrap();
    let status = json!({ "objects": { "account": {
        "custom_fields": { "status": "choice" },
        "mappings": [{ "zoho": "Customer_Status", "platform": "status" }]
    } }, "account_external_id": "External_ID" });
    story.save_settings(status).await.unwrap();
    story.deliver().await.unwrap();
    let rows = story.rows("Accounts").unwrap();
    let active = rows.iter().filter(|row| row["Customer_Status"] == "Active");
    let mut wanted: BTreeSet<String> = active
        .filter_map(|row| row["id"].as_str().map(str::to_owned))
        .collect();
    let present = story.present(Object::Account);
    wanted.retain(|id| present.contains(id));
    let shown = || -> BTreeSet<String> {
        let records = story
            .world
            .store
            .live_records(&story.connection(), Object::Account);
        let says_so = |value: &tandem::value::Value| value.to_json() == "Active";
        let active = records
            .into_iter()
            .filter(|record| record.fields.get(&name("status")).is_some_and(says_so));
        active
            .filter_map(|record| record.zoho_id.map(String::from))
            .collect()
    };
    assert!(shown().len() < wanted.len(), "only the rest has the field");
    story.routine_sync().await.unwrap();
    assert_eq!(shown(), wanted);
}
