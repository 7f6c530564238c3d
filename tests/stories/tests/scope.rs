//! What is in scope, and what follows it: dependants, moves, parents (S2 to S7, F7).

#![expect(
    clippy::unwrap_used,
    reason = "the stories' own helpers fail as their tests do"
)]

use jiff::SignedDuration;
use serde_json::{Value, json};
use stories::{Story, name};
use tandem::connection::{Connection, Status};
use tandem::flow::runs::start;
use tandem::identifier::PlatformId;
use tandem::message::Work;
use tandem::object::Object;
use tandem::port::Connections as _;
use tandem::record::Record;
use tandem::run::{Counter, RunKind, RunStatus};
use zoho_sim::org::user::UserStatus;

fn active_only() -> Value {
    json!({ "objects": { "account": { "filter":
        { "where": { "field": "Customer_Status", "comparator": "equal", "value": "Active" } } } } })
}

fn account(story: &Story, name: &str, active: bool) -> String {
    let status = if active { "Active" } else { "Churned" };
    let values = json!({ "Account_Name": name, "External_ID": name, "Customer_Status": status });
    story.zoho_creates("Accounts", &values).unwrap()
}

fn contact(story: &Story, email: &str, account: &str) -> String {
    let values = json!({ "Last_Name": "Novak", "Email": email, "Account_Name": { "id": account } });
    story.zoho_creates("Contacts", &values).unwrap()
}

fn deal(story: &Story, account: &str) -> String {
    let values = json!({ "Deal_Name": "Renewal", "Stage": "Qualification", "Account_Name": { "id": account } });
    story.zoho_creates("Deals", &values).unwrap()
}

fn has(story: &Story, object: Object, zoho: &str) -> bool {
    story.present(object).contains(zoho)
}

fn named(record: &Record, field: &str) -> Option<PlatformId> {
    record.fields[&name(field)]
        .as_reference()?
        .platform_id
        .clone()
}

#[tokio::test]
async fn a_contact_that_moves_into_scope_comes_and_one_that_moves_out_goes_at_night() {
    let story = Story::begin(10, active_only()).await.unwrap();
    let (inside, outside) = (account(&story, "IN", true), account(&story, "OUT", false));
    let mover = contact(&story, "mover@example.com", &outside);
    let leaver = contact(&story, "leaver@example.com", &inside);
    story.full_sync().await.unwrap();
    assert!(!has(&story, Object::Contact, &mover));
    assert!(has(&story, Object::Contact, &leaver));
    let to = |account: &str| json!({ "Account_Name": { "id": account } });
    story.zoho_edits("Contacts", &mover, &to(&inside)).unwrap();
    story
        .zoho_edits("Contacts", &leaver, &to(&outside))
        .unwrap();
    story.routine_sync().await.unwrap();
    assert!(has(&story, Object::Contact, &mover));
    assert!(
        has(&story, Object::Contact, &leaver),
        "not before the night"
    );
    story.full_sync().await.unwrap();
    assert!(has(&story, Object::Contact, &mover));
    assert!(!has(&story, Object::Contact, &leaver));
}

#[tokio::test]
async fn a_task_follows_through_its_contact_or_its_deal() {
    let story = Story::begin(10, active_only()).await.unwrap();
    let (inside, outside) = (account(&story, "IN", true), account(&story, "OUT", false));
    let person = contact(&story, "person@example.com", &outside);
    let chance = deal(&story, &outside);
    let task = |values: &Value| story.zoho_creates("Tasks", values).unwrap();
    let by_contact = task(&json!({ "Subject": "By contact", "Who_Id": { "id": person } }));
    let by_deal =
        task(&json!({ "Subject": "By deal", "What_Id": { "id": chance }, "$se_module": "Deals" }));
    let loose = task(&json!({ "Subject": "Loose" }));
    story.full_sync().await.unwrap();
    for id in [&by_contact, &by_deal, &loose] {
        assert!(!has(&story, Object::Task, id));
    }
    // Neither the deal, nor the contact, nor the tasks change: only their account does.
    let active = json!({ "Customer_Status": "Active" });
    story.zoho_edits("Accounts", &outside, &active).unwrap();
    story.routine_sync().await.unwrap();
    assert!(has(&story, Object::Task, &by_contact));
    assert!(has(&story, Object::Task, &by_deal));
    assert!(!has(&story, Object::Task, &loose));
    // The deal is assigned to another account, and the task with it.
    let churned = json!({ "Customer_Status": "Churned" });
    story.zoho_edits("Accounts", &outside, &churned).unwrap();
    let moved = json!({ "Account_Name": { "id": inside } });
    story.zoho_edits("Deals", &chance, &moved).unwrap();
    story.full_sync().await.unwrap();
    assert!(has(&story, Object::Deal, &chance));
    assert!(has(&story, Object::Task, &by_deal));
    assert!(!has(&story, Object::Task, &by_contact));
}

#[tokio::test]
async fn a_deal_or_contact_that_moves_into_scope_brings_its_tasks_at_once() {
    let story = Story::begin(10, active_only()).await.unwrap();
    let (inside, outside) = (account(&story, "IN", true), account(&story, "OUT", false));
    let person = contact(&story, "person@example.com", &outside);
    let chance = deal(&story, &outside);
    let task = |values: &Value| story.zoho_creates("Tasks", values).unwrap();
    let by_contact = task(&json!({ "Subject": "By contact", "Who_Id": { "id": person } }));
    let by_deal =
        task(&json!({ "Subject": "By deal", "What_Id": { "id": chance }, "$se_module": "Deals" }));
    story.full_sync().await.unwrap();
    let moved = json!({ "Account_Name": { "id": inside } });
    story.zoho_edits("Deals", &chance, &moved).unwrap();
    story.zoho_edits("Contacts", &person, &moved).unwrap();
    story.routine_sync().await.unwrap();
    assert!(has(&story, Object::Deal, &chance) && has(&story, Object::Contact, &person));
    assert!(has(&story, Object::Task, &by_deal) && has(&story, Object::Task, &by_contact));
}

#[tokio::test]
async fn what_a_full_sync_took_in_before_it_was_cut_short_brings_the_rest_with_the_next_routine_sync()
 {
    let story = Story::begin(10, active_only()).await.unwrap();
    let outside = account(&story, "OUT", false);
    let person = contact(&story, "person@example.com", &outside);
    story.full_sync().await.unwrap();
    story.routine_sync().await.unwrap();
    let active = json!({ "Customer_Status": "Active" });
    story.zoho_edits("Accounts", &outside, &active).unwrap();
    story.pass(SignedDuration::from_mins(15));
    story.zoho_disables("Contacts", true).unwrap();
    let night = story.full_sync().await.unwrap();
    assert_eq!(night.run.status, RunStatus::Incomplete);
    assert!(has(&story, Object::Account, &outside));
    story.zoho_disables("Contacts", false).unwrap();
    story.routine_sync().await.unwrap();
    assert!(has(&story, Object::Contact, &person));
    let (before, asked) = (story.writes(), story.latest_request());
    story.routine_sync().await.unwrap();
    let after = story.writes();
    assert_eq!((after.records, after.links), (before.records, before.links));
    let calls = story.calls_since(asked);
    assert!(
        calls.len() <= Object::ALL.len(),
        "what is owed is asked for once: {calls:?}"
    );
}

async fn switch(story: &Story, status: Status) {
    let store = &story.world.store;
    let id = story.connection();
    let connection = store.connection(&id).await.unwrap().unwrap();
    let switched = Connection {
        status,
        ..connection
    };
    store.save_connection(switched).await.unwrap();
}

/// A routine sync has begun that finds an account newly in scope; the contact of that account, by its Zoho id.
async fn with_an_account_that_comes_in() -> (Story, String) {
    let story = Story::begin(10, active_only()).await.unwrap();
    let outside = account(&story, "OUT", false);
    let person = contact(&story, "person@example.com", &outside);
    story.pass(SignedDuration::from_hours(1));
    story.full_sync().await.unwrap();
    let active = json!({ "Customer_Status": "Active" });
    story.zoho_edits("Accounts", &outside, &active).unwrap();
    story.pass(SignedDuration::from_mins(15));
    let id = story.connection();
    start(&story.ports(), &id, RunKind::Routine).await.unwrap();
    (story, person)
}

#[tokio::test]
async fn dependants_that_are_asked_for_while_the_connection_is_paused_come_when_it_goes_on() {
    let (story, person) = with_an_account_that_comes_in().await;
    let taken = || story.world.queue.take_work().map(|held| held.message);
    let begun: Vec<Work> = std::iter::from_fn(taken).collect();
    for work in &begun {
        story.handle_work(work).await.unwrap();
    }
    switch(&story, Status::Paused).await;
    story.deliver().await.unwrap();
    assert!(!has(&story, Object::Contact, &person));
    switch(&story, Status::Enabled).await;
    story.routine_sync().await.unwrap();
    assert!(has(&story, Object::Contact, &person));
}

/// The message overtakes whoever sent it: it is left for later before its sender noted that it was sent.
#[tokio::test]
async fn dependants_that_are_left_for_later_while_they_are_asked_for_come_when_the_connection_goes_on()
 {
    let (story, person) = with_an_account_that_comes_in().await;
    let mut begun = story.world.queue.work.take_all().into_iter();
    let accounts = begun.find(|held| held.message.object() == Object::Account);
    let accounts = accounts.unwrap().message;
    let left = async {
        switch(&story, Status::Paused).await;
        let sent = story.world.queue.work.take_all();
        assert_eq!(sent.len(), Object::Account.dependants().len());
        for held in sent {
            story.handle_work(&held.message).await.unwrap();
        }
    };
    // Its link is stored with its record's, and settled, and then says that its dependants were asked for.
    let faults = &story.world.faults;
    let asks = story.handle_work(&accounts);
    let asked = faults.amid_call("save_link_over", 3, asks, left).await;
    assert!(asked.unwrap().0.is_err(), "somebody else stored the link");
    story.handle_work(&accounts).await.unwrap();
    assert!(!has(&story, Object::Contact, &person));
    switch(&story, Status::Enabled).await;
    story.pass(SignedDuration::from_mins(15));
    story.routine_sync().await.unwrap();
    assert!(has(&story, Object::Contact, &person));
}

#[tokio::test]
async fn extra_filters_narrow_what_belongs_to_an_account() {
    let mut settings = active_only();
    settings["objects"]["contact"] = json!({ "filter":
        { "where": { "field": "Title", "comparator": "equal", "value": "Buyer" } } });
    let story = Story::begin(10, settings).await.unwrap();
    let inside = account(&story, "IN", true);
    let person = contact(&story, "person@example.com", &inside);
    story.full_sync().await.unwrap();
    assert!(!has(&story, Object::Contact, &person));
    let buyer = json!({ "Title": "Buyer" });
    story.zoho_edits("Contacts", &person, &buyer).unwrap();
    story.routine_sync().await.unwrap();
    assert!(has(&story, Object::Contact, &person));
}

#[tokio::test]
async fn enrich_only_fills_what_the_platform_has_and_creates_nothing() {
    let settings = json!({ "source_mode": "enrich_only" });
    let story = Story::begin(10, settings).await.unwrap();
    let known = account(&story, "KNOWN", true);
    let unknown = account(&story, "UNKNOWN", true);
    story
        .submit(Object::Account, "KNOWN", json!({}))
        .await
        .unwrap();
    let night = story.full_sync().await.unwrap();
    assert!(has(&story, Object::Account, &known));
    assert!(!has(&story, Object::Account, &unknown));
    assert!(night.count(Object::Account, Counter::Unknown) >= 1);
    assert!(!story.present(Object::User).is_empty(), "users always come");
    // Once the platform has it, the next night fills it.
    story
        .submit(Object::Account, "UNKNOWN", json!({}))
        .await
        .unwrap();
    story.full_sync().await.unwrap();
    assert!(has(&story, Object::Account, &unknown));
}

#[tokio::test]
async fn a_parent_that_comes_later_stays_out_or_goes_breaks_nothing() {
    let story = Story::begin(10, active_only()).await.unwrap();
    let outside = account(&story, "OUT", false);
    let child = account(&story, "CHILD", true);
    let parent = account(&story, "PARENT", true);
    let under = |parent: &str| json!({ "Parent_Account": { "id": parent } });
    story
        .zoho_edits("Accounts", &child, &under(&outside))
        .unwrap();
    story.full_sync().await.unwrap();
    let record = |zoho: &str| story.record_of(Object::Account, zoho).unwrap();
    let reference = record(&child).fields[&name("parent")].clone();
    let reference = reference.as_reference().unwrap().clone();
    assert_eq!(reference.zoho_id, outside.parse().ok());
    assert_eq!(reference.platform_id, None, "its parent is out of scope");
    // It comes into scope later: the reference is completed by the night.
    let active = json!({ "Customer_Status": "Active" });
    story.zoho_edits("Accounts", &outside, &active).unwrap();
    story.routine_sync().await.unwrap();
    story.full_sync().await.unwrap();
    assert_eq!(named(&record(&child), "parent"), "OUT".parse().ok());
    // A cycle of two.
    story
        .zoho_edits("Accounts", &child, &under(&parent))
        .unwrap();
    story
        .zoho_edits("Accounts", &parent, &under(&child))
        .unwrap();
    story.routine_sync().await.unwrap();
    story.full_sync().await.unwrap();
    assert_eq!(named(&record(&child), "parent"), "PARENT".parse().ok());
    assert_eq!(named(&record(&parent), "parent"), "CHILD".parse().ok());
    // The parent is deleted; Zoho empties what referred to it, or not.
    story.zoho_deletes("Accounts", &parent).unwrap();
    story.full_sync().await.unwrap();
    assert!(!has(&story, Object::Account, &parent));
    assert!(has(&story, Object::Account, &child));
    let before = story.writes();
    story.full_sync().await.unwrap();
    let after = story.writes();
    assert_eq!((after.records, after.links), (before.records, before.links));
}

#[tokio::test]
async fn an_account_that_comes_into_scope_while_its_link_is_removed_keeps_it() {
    let story = Story::begin(10, active_only()).await.unwrap();
    let values = json!({ "Account_Name": "Late", "Customer_Status": "Active" });
    let late = story.zoho_creates("Accounts", &values).unwrap();
    story.full_sync().await.unwrap();
    let churned = json!({ "Customer_Status": "Churned" });
    story.zoho_edits("Accounts", &late, &churned).unwrap();
    // The night has read that, and is about to remove the link of a row that had no external id.
    let comes_in = async {
        let values = json!({ "Customer_Status": "Active", "External_ID": "LATE" });
        story.zoho_edits("Accounts", &late, &values).unwrap();
        story.routine_sync().await.unwrap();
        assert!(has(&story, Object::Account, &late));
    };
    let faults = &story.world.faults;
    let night = faults.amid("remove_link_over", story.full_sync(), comes_in);
    let (night, ()) = night.await.unwrap();
    assert_eq!(night.unwrap().run.status, RunStatus::Complete);
    let links = story.world.store.all_links(&story.connection());
    let link = links.iter().find(|link| link.zoho_id.to_string() == late);
    assert!(link.is_some_and(|link| link.in_scope));
    assert!(has(&story, Object::Account, &late));
    // Without its link, nobody would know that the record has no row any more.
    story.zoho_deletes("Accounts", &late).unwrap();
    story.full_sync().await.unwrap();
    assert!(!has(&story, Object::Account, &late));
}

#[tokio::test]
async fn an_account_that_comes_back_before_a_night_has_stored_that_it_left_stays_with_its_contacts()
{
    let story = Story::begin(10, active_only()).await.unwrap();
    let back = account(&story, "BACK", true);
    let person = contact(&story, "person@example.com", &back);
    story.full_sync().await.unwrap();
    story.pass(SignedDuration::from_mins(15));
    let churned = json!({ "Customer_Status": "Churned" });
    story.zoho_edits("Accounts", &back, &churned).unwrap();
    let candidates = || story.world.store.all_candidates(&story.connection());
    let comes_back = async {
        assert_eq!(candidates().len(), 1, "the night has read that it left");
        // More than its status, which the platform does not show: so the routine sync has something to store.
        let values = json!({ "Customer_Status": "Active", "Account_Name": "Back again" });
        story.zoho_edits("Accounts", &back, &values).unwrap();
        story.routine_sync().await.unwrap();
    };
    let faults = &story.world.faults;
    let night = faults.amid("save_link_over", story.full_sync(), comes_back);
    let (night, ()) = night.await.unwrap();
    let night = night.unwrap();
    assert_eq!(night.run.status, RunStatus::Complete);
    assert_eq!(night.total(Counter::Removed), 0);
    assert!(has(&story, Object::Account, &back) && has(&story, Object::Contact, &person));
    assert!(candidates().is_empty());
}

#[tokio::test]
async fn users_are_never_removed() {
    let story = Story::begin(10, json!({})).await.unwrap();
    story.full_sync().await.unwrap();
    let users = story.present(Object::User);
    let gone = {
        let now = story.zoho.now();
        let mut model = story.zoho.model();
        let organisation = model.organisation(story.organisation).unwrap();
        let administrator = organisation.administrator();
        let mut users = organisation.users.keys().copied();
        let user = users.find(|id| *id != administrator).unwrap();
        let deleted = Some(UserStatus::Deleted);
        model
            .change_user(story.organisation, user, deleted, None, now)
            .unwrap();
        user.to_string()
    };
    story.full_sync().await.unwrap();
    assert_eq!(story.present(Object::User), users);
    let record = story.record_of(Object::User, &gone).unwrap();
    assert_eq!(record.fields[&name("status")].as_text(), Some("deleted"));
}
