//! Removal: held, approved, rejected, withdrawn by itself, restored by hand (R1, R2).

#![expect(
    clippy::unwrap_used,
    reason = "the stories' own helpers fail as their tests do"
)]

mod amid;
mod cut_off;

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use stories::{Story, name};
use tandem::flow::job::Deadline;
use tandem::flow::runs::start;
use tandem::flow::{Error, removal, restore};
use tandem::message::Work;
use tandem::object::Object;
use tandem::record::{Link, RemovalReason};
use tandem::run::{Counter, Counters, RunKind};
use tandem_memory::{Fault, SeededEntropy, When, interleave};

fn guarded() -> Value {
    json!({ "removal_guard": { "percent": 5, "records": 1 }, "objects": { "account": { "filter":
        { "where": { "field": "Customer_Status", "comparator": "equal", "value": "Active" } } } } })
}

fn status(story: &Story, accounts: &BTreeSet<String>, status: &str) {
    let values = json!({ "Customer_Status": status });
    for account in accounts {
        story.zoho_edits("Accounts", account, &values).unwrap();
    }
}

fn held(story: &Story, object: Object) -> usize {
    let candidates = story.world.store.all_candidates(&story.connection());
    let held = candidates.iter().filter(|candidate| candidate.held);
    held.filter(|candidate| candidate.object == object).count()
}

/// Six accounts have left, and their removal is held, as is that of what belongs to them.
async fn with_a_hold() -> (Story, BTreeSet<String>) {
    let story = Story::begin(60, guarded()).await.unwrap();
    story.full_sync().await.unwrap();
    let leaving: BTreeSet<String> = story.present(Object::Account).into_iter().take(6).collect();
    status(&story, &leaving, "Churned");
    let night = story.full_sync().await.unwrap();
    assert_eq!(night.count(Object::Account, Counter::Held), 6);
    assert_eq!(night.total(Counter::Removed), 0);
    assert_eq!(held(&story, Object::Account), 6);
    (story, leaving)
}

async fn approved(story: &Story, object: Object) -> Result<Counters, Error> {
    let deadline = Deadline(Timestamp::MAX);
    removal::approve(&story.ports(), &story.connection(), object, deadline).await
}

async fn approve(story: &Story, object: Object) -> u64 {
    let approved = approved(story, object).await;
    approved.unwrap().get(Counter::Removed)
}

#[tokio::test]
async fn an_approved_removal_goes_with_what_belongs_to_it() {
    let (story, leaving) = with_a_hold().await;
    let contacts = held(&story, Object::Contact);
    assert!(contacts > 0);
    assert_eq!(approve(&story, Object::Account).await, 6);
    assert!(story.present(Object::Account).is_disjoint(&leaving));
    assert!(approve(&story, Object::Contact).await > 0);
    for object in [Object::Deal, Object::Task] {
        approve(&story, object).await;
    }
    story.full_sync().await.unwrap();
    let before = story.writes();
    story.full_sync().await.unwrap();
    let after = story.writes();
    assert_eq!((after.records, after.links), (before.records, before.links));
    assert_eq!(held(&story, Object::Contact), 0);
}

#[tokio::test]
async fn a_rejected_removal_keeps_its_records_until_a_later_night() {
    let (story, leaving) = with_a_hold().await;
    let kept = removal::reject(&story.ports(), &story.connection(), Object::Account).await;
    assert_eq!(kept.unwrap(), 6);
    assert!(story.present(Object::Account).is_superset(&leaving));
    assert_eq!(held(&story, Object::Account), 0);
    let night = story.full_sync().await.unwrap();
    assert_eq!(
        night.count(Object::Account, Counter::Held),
        6,
        "asked again"
    );
}

#[tokio::test]
async fn what_comes_back_is_withdrawn_by_itself() {
    let (story, leaving) = with_a_hold().await;
    let back: BTreeSet<String> = leaving.iter().take(4).cloned().collect();
    status(&story, &back, "Active");
    let ran = story.routine_sync().await.unwrap();
    assert_eq!(ran.count(Object::Account, Counter::Withdrawn), 4);
    assert_eq!(held(&story, Object::Account), 2);
    assert!(!story.log("removal withdrawn").is_empty());
    status(&story, &leaving, "Active");
    story.full_sync().await.unwrap();
    for object in Object::ALL {
        assert_eq!(held(&story, object), 0, "{object}");
    }
    assert!(story.present(Object::Account).is_superset(&leaving));
    assert_eq!(approve(&story, Object::Account).await, 0);
}

#[tokio::test]
async fn what_came_back_in_zoho_just_now_survives_the_approval() {
    let (story, leaving) = with_a_hold().await;
    let deleted = leaving.first().unwrap().clone();
    story.zoho_deletes("Accounts", &deleted).unwrap();
    story.full_sync().await.unwrap();
    // Restored, which Zoho does not flag: no sync has seen it yet.
    story.zoho_restores("Accounts", &deleted).unwrap();
    assert_eq!(approve(&story, Object::Account).await, 5);
    assert!(story.present(Object::Account).contains(&deleted));
}

#[tokio::test]
async fn what_a_routine_sync_reads_while_its_removal_is_carried_out_stays_removed() {
    let (story, leaving) = with_a_hold().await;
    let edited = leaving.first().unwrap();
    let renamed = json!({ "Account_Name": "Renamed" });
    story.zoho_edits("Accounts", edited, &renamed).unwrap();
    // The yes comes when the sync has read the row, its link and its record, and is about to store it.
    let (ports, connection) = (story.ports(), story.connection());
    let decided = Arc::new(AtomicBool::new(false));
    let once = decided.clone();
    story.world.faults.last(move |call| {
        let now = call.operation == "save_record" && !once.swap(true, Ordering::Relaxed);
        let (ports, connection) = (ports.clone(), connection.clone());
        Box::pin(async move {
            if now {
                let deadline = Deadline(Timestamp::MAX);
                let approved = removal::approve(&ports, &connection, Object::Account, deadline);
                assert_eq!(approved.await.unwrap().get(Counter::Removed), 6);
            }
        })
    });
    let ran = story.routine_sync().await.unwrap();
    assert!(decided.load(Ordering::Relaxed));
    assert_eq!(ran.count(Object::Account, Counter::Restored), 0);
    assert!(story.present(Object::Account).is_disjoint(&leaving));
    story.full_sync().await.unwrap();
    assert!(story.present(Object::Account).is_disjoint(&leaving));
}

#[tokio::test]
async fn a_removed_account_is_restored_by_hand_with_what_belongs_to_it() {
    let story = Story::begin(60, json!({ "objects": guarded()["objects"] }))
        .await
        .unwrap();
    story.full_sync().await.unwrap();
    let contacts = story.present(Object::Contact);
    let account = story
        .present(Object::Account)
        .into_iter()
        .find(|account| {
            let rows = story.rows("Contacts").unwrap().into_iter();
            let own = rows.filter(|row| row["Account_Name"]["id"] == account.as_str());
            own.filter(|row| contacts.contains(row["id"].as_str().unwrap()))
                .count()
                > 1
        })
        .unwrap();
    let id = story.record_of(Object::Account, &account).unwrap().id;
    status(&story, &BTreeSet::from([account.clone()]), "Churned");
    story.full_sync().await.unwrap();
    let removed = story
        .record(Object::Account, id.as_str())
        .await
        .unwrap()
        .removed;
    assert_eq!(removed.unwrap().reason, RemovalReason::OutOfScope);
    assert!(story.present(Object::Contact).len() < contacts.len());

    let (ports, connection) = (story.ports(), story.connection());
    let restored = restore::restore(&ports, &connection, Object::Account, &id)
        .await
        .unwrap();
    assert!(restored.len() > 2);
    assert!(story.present(Object::Account).contains(&account));
    assert_eq!(story.present(Object::Contact), contacts);
    assert!(
        restore::restore(&ports, &connection, Object::Account, &id)
            .await
            .is_err()
    );
    // It stays, though Zoho's record is still out of scope, and is synced again when it is in.
    for _ in 0..2 {
        story.full_sync().await.unwrap();
        assert!(story.present(Object::Account).contains(&account));
    }
    let name = json!({ "Customer_Status": "Active", "Account_Name": "Back again" });
    story.zoho_edits("Accounts", &account, &name).unwrap();
    story.routine_sync().await.unwrap();
    let record = story.record_of(Object::Account, &account).unwrap();
    assert_eq!(
        record.fields[&stories::name("name")],
        stories::text("Back again")
    );
    // After 30 days it would have been gone.
    status(&story, &BTreeSet::from([account.clone()]), "Churned");
    story.full_sync().await.unwrap();
    story.pass(SignedDuration::from_hours(31 * 24));
    story.world.store.expire(story.world.now());
    let late = restore::restore(&ports, &connection, Object::Account, &id).await;
    assert!(
        late.unwrap_err()
            .to_string()
            .contains("there is no account")
    );
}

#[tokio::test]
async fn what_was_deleted_before_its_link_was_stored_is_removed_too() {
    let story = Story::begin(24, json!({})).await.unwrap();
    story.full_sync().await.unwrap();
    // The first one stores the link that names the record.
    let task = story
        .new_task_cut_off_at("save_link_over", 2)
        .await
        .unwrap();
    assert!(story.record_of(Object::Task, &task).is_some(), "it came in");
    story.zoho_deletes("Tasks", &task).unwrap();
    story.full_sync().await.unwrap();
    assert!(story.record_of(Object::Task, &task).is_none());
}

#[tokio::test]
async fn a_link_whose_record_was_never_stored_is_forgotten_with_its_row() {
    let story = Story::begin(30, guarded()).await.unwrap();
    story.full_sync().await.unwrap();
    let values =
        json!({ "Account_Name": "Short-lived", "External_ID": "S-1", "Customer_Status": "Active" });
    let zoho = story.zoho_creates("Accounts", &values).unwrap();
    // The worker is cut off after it noted the link, and the row is gone before the next one comes.
    let faults = &story.world.faults;
    faults.on("save_link_over", 1, Fault::Crash(When::After));
    faults.run(story.full_sync()).await.unwrap_err();
    faults.clear();
    story.zoho_deletes("Accounts", &zoho).unwrap();
    story.pass(SignedDuration::from_hours(25));
    let links = || {
        let links = story.world.store.all_links(&story.connection());
        links
            .into_iter()
            .any(|link| link.zoho_id.to_string() == zoho)
    };
    assert!(links());
    story.full_sync().await.unwrap();
    assert!(!links());
}

#[tokio::test]
async fn a_record_that_two_zoho_records_were_goes_with_the_one_that_it_is() {
    let (story, leaving) = with_a_hold().await;
    let mut leaving = leaving.into_iter();
    let (first, second) = (leaving.next().unwrap(), leaving.next().unwrap());
    let id = story.record_of(Object::Account, &first).unwrap().id;
    let nothing = json!({ "External_ID": null });
    story.zoho_edits("Accounts", &first, &nothing).unwrap();
    let external = json!({ "External_ID": id });
    story.zoho_edits("Accounts", &second, &external).unwrap();
    story.routine_sync().await.unwrap();
    let taken = story.record_of(Object::Account, &second).unwrap();
    assert_eq!(taken.id, id, "out of scope, and still synced");
    story.full_sync().await.unwrap();
    approve(&story, Object::Account).await;
    let record = story.record(Object::Account, id.as_str()).await.unwrap();
    assert!(record.removed.is_some());
}

#[tokio::test]
async fn of_two_rows_that_take_the_record_of_one_that_left_one_holds_it() {
    let (story, leaving) = with_a_hold().await;
    let left = leaving.first().unwrap();
    let id = story.record_of(Object::Account, left).unwrap().id;
    let renamed = json!({ "Account_Name": "Renamed" });
    story.zoho_edits("Accounts", left, &renamed).unwrap();
    let present = story.present(Object::Account);
    let taking: Vec<&String> = present.difference(&leaving).take(2).collect();
    for taker in &taking {
        let external = json!({ "External_ID": id });
        story.zoho_edits("Accounts", taker, &external).unwrap();
    }
    // Step by step, so that the two are at it at once.
    story.world.faults.give_way(true);
    story.routine_sync().await.unwrap();
    story.world.faults.give_way(false);
    let links = story.world.store.all_links(&story.connection());
    let holds = |link: &&Link| link.in_scope && link.platform_id() == Some(&id);
    assert_eq!(links.iter().filter(holds).count(), 1);
}

#[tokio::test]
async fn a_record_whose_restoring_was_cut_off_goes_when_its_row_is_renamed() {
    let story = Story::begin(24, json!({})).await.unwrap();
    story.full_sync().await.unwrap();
    let contact = story.present(Object::Contact).pop_first().unwrap();
    let id = story.record_of(Object::Contact, &contact).unwrap().id;
    story.zoho_deletes("Contacts", &contact).unwrap();
    story.full_sync().await.unwrap();
    story.zoho_restores("Contacts", &contact).unwrap();
    let phone = json!({ "Phone": "+1 555 0001" });
    story.zoho_edits("Contacts", &contact, &phone).unwrap();
    story.pass(SignedDuration::from_mins(15));
    let faults = &story.world.faults;
    faults.on("save_record", 1, Fault::Crash(When::After));
    faults.run(story.routine_sync()).await.unwrap_err();
    faults.clear();
    let restored = story.record_of(Object::Contact, &contact).unwrap();
    assert_eq!(restored.id, id, "restored, and the worker died");
    let email = json!({ "Email": "renamed@example.com" });
    story.zoho_edits("Contacts", &contact, &email).unwrap();
    story.pass(SignedDuration::from_hours(25));
    story.full_sync().await.unwrap();
    let former = story.record(Object::Contact, id.as_str()).await.unwrap();
    assert!(former.removed.is_some());
    let renamed = story.record_of(Object::Contact, &contact).unwrap();
    assert_eq!(renamed.id.as_str(), "renamed@example.com");
}

/// A contact of an account that is one of these, or of one that is not.
fn contact_of(story: &Story, accounts: &BTreeSet<String>, is_one: bool) -> (String, String) {
    let account = |zoho: &String| {
        let record = story.record_of(Object::Contact, zoho)?;
        let account = record.fields[&name("account")].as_reference()?.zoho_id?;
        Some((zoho.clone(), account.to_string()))
    };
    let mut contacts = story.present(Object::Contact).into_iter();
    contacts
        .find_map(|zoho| account(&zoho).filter(|(_, of)| accounts.contains(of) == is_one))
        .unwrap()
}

#[tokio::test]
async fn a_record_that_one_row_takes_while_another_comes_to_hold_it_again_is_one_of_them() {
    for seed in 0..8 {
        let (story, leaving) = with_a_hold().await;
        let (holder, account) = contact_of(&story, &leaving, true);
        let (taker, _) = contact_of(&story, &leaving, false);
        let id = story.record_of(Object::Contact, &holder).unwrap().id;
        status(&story, &BTreeSet::from([account]), "Active");
        let email = |email: &str| json!({ "Email": email });
        let edit = |email: &Value| story.zoho_edits("Contacts", &taker, email).unwrap();
        edit(&email(id.as_str()));
        story.pass(SignedDuration::from_mins(15));
        start(&story.ports(), &story.connection(), RunKind::Routine)
            .await
            .unwrap();
        // The account asks for its contacts first; then the two that read them are at it at once.
        let taken = || story.world.queue.take_work().map(|held| held.message);
        let (accounts, mut others): (Vec<Work>, Vec<Work>) =
            std::iter::from_fn(taken).partition(|work| work.object() == Object::Account);
        for work in &accounts {
            story.handle_work(work).await.unwrap();
        }
        others.extend(std::iter::from_fn(taken));
        let (contacts, rest): (Vec<Work>, Vec<Work>) = others
            .into_iter()
            .partition(|work| work.object() == Object::Contact);
        assert_eq!(contacts.len(), 2, "the routine sync's and the account's");
        story.world.faults.give_way(true);
        let handle = async |work: &Work| story.handle_work(work).await.unwrap();
        let handlers = contacts
            .iter()
            .map(|work| -> Pin<Box<dyn Future<Output = ()> + '_>> { Box::pin(handle(work)) });
        interleave(&SeededEntropy::new(seed), handlers.collect()).await;
        story.world.faults.give_way(false);
        for work in &rest {
            story.handle_work(work).await.unwrap();
        }
        story.full_sync().await.unwrap();
        // Whichever it was: once the taker is somebody else, the record is the holder's.
        edit(&email("somebody-else@example.com"));
        story.routine_sync().await.unwrap();
        story.full_sync().await.unwrap();
        let holds = story.record_of(Object::Contact, &holder);
        assert_eq!(holds.map(|record| record.id), Some(id), "seed {seed}");
    }
}
