//! Full syncs that are cut off while they remove, that could not read everything, or whose settings are others by then.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::{Value, json};
use stories::Story;
use tandem::flow::removal;
use tandem::flow::runs::start;
use tandem::identifier::RunId;
use tandem::message::Work;
use tandem::object::Object;
use tandem::run::{Counter, RunKind, RunStatus, Stage};
use tandem_memory::{Fault, When};

use super::{approve, approved, contact_of, guarded, held, status, with_a_hold};

/// The same filter with another guard.
fn guarded_by(percent: u64, records: u64) -> Value {
    json!({ "account_external_id": "External_ID", "objects": guarded()["objects"],
        "removal_guard": { "percent": percent, "records": records } })
}

/// Starts a full sync and works through it up to a stage. Returns its id, and the stage's first message.
async fn up_to(story: &Story, stage: Stage) -> (RunId, Work) {
    let run = start(&story.ports(), &story.connection(), RunKind::Full)
        .await
        .unwrap();
    loop {
        let message = story.world.queue.take_work().unwrap().message;
        if matches!(&message, Work::Slice { slice, .. } if slice.stage == stage) {
            return (run.id, message);
        }
        story.handle_work(&message).await.unwrap();
    }
}

/// A worker is killed at a call of that name; its message comes again, and whatever follows from it.
async fn killed_at(story: &Story, message: &Work, (call, number): (&'static str, u64), when: When) {
    let faults = &story.world.faults;
    faults.on(call, number, Fault::Crash(when));
    faults.run(story.handle_work(message)).await.unwrap_err();
    faults.clear();
    story.pass(SignedDuration::from_mins(15));
    story.handle_work(message).await.unwrap();
    story.deliver().await.unwrap();
}

/// How often the log says that a removal of an object's records is held.
fn told(story: &Story, object: Object) -> usize {
    let lines = story.log("removal held").into_iter();
    let says = format!("{object}s would be removed");
    lines
        .filter(|line| line.reason.as_ref().unwrap().contains(&says))
        .count()
}

/// A yes to the removal of six accounts that is cut off when four are removed and the log says nothing yet.
async fn with_a_yes_cut_off() -> (Story, BTreeSet<String>) {
    let (story, leaving) = with_a_hold().await;
    let faults = &story.world.faults;
    faults.on("save_record", 4, Fault::Crash(When::After));
    let cut_off = faults.run(approved(&story, Object::Account)).await;
    cut_off.unwrap_err();
    faults.clear();
    assert!(removed_accounts(&story).is_empty());
    (story, leaving)
}

/// The accounts that the log says were removed, by their ids in Zoho.
fn removed_accounts(story: &Story) -> BTreeSet<String> {
    let lines = story.log("removed").into_iter();
    lines
        .filter(|line| line.object == Some(Object::Account))
        .filter_map(|line| Some(line.zoho_id?.to_string()))
        .collect()
}

#[tokio::test]
async fn a_hold_that_is_cut_off_holds_everything_and_is_told_of_once() {
    // When half of them are held, when all are, and when that is counted.
    let cuts = [
        ("save_candidates", When::Midway),
        ("save_candidates", When::After),
        ("save_slice", When::After),
    ];
    for (call, when) in cuts {
        let story = Story::begin(60, guarded_by(5, 4)).await.unwrap();
        story.full_sync().await.unwrap();
        let leaving: BTreeSet<String> =
            story.present(Object::Account).into_iter().take(6).collect();
        status(&story, &leaving, "Churned");
        let (run, message) = up_to(&story, Stage::RemoveAccounts).await;
        killed_at(&story, &message, (call, 1), when).await;
        let night = story.ran(&run).await.unwrap();
        assert_eq!(night.total(Counter::Removed), 0, "{call} {when:?}");
        let counted = night.count(Object::Account, Counter::Held);
        assert_eq!(counted, 6, "{call} {when:?}");
        assert_eq!(held(&story, Object::Account), 6, "{call} {when:?}");
        assert_eq!(told(&story, Object::Account), 1, "{call} {when:?}");
    }
}

#[tokio::test]
async fn a_hold_is_told_of_once_when_the_removal_beside_it_is_cut_off() {
    let story = Story::begin(24, guarded_by(0, 5)).await.unwrap();
    let customer = |number: u8| {
        let values = json!({ "Account_Name": format!("L-{number}"), "External_ID": format!("L-{number}"), "Customer_Status": "Active" });
        story.zoho_creates("Accounts", &values).unwrap()
    };
    let leaving: BTreeSet<String> = (0..6).map(customer).collect();
    let account = leaving.first().unwrap();
    let values = json!({ "Last_Name": "Novak", "Email": "novak@example.com", "Account_Name": { "id": account } });
    story.zoho_creates("Contacts", &values).unwrap();
    story.full_sync().await.unwrap();
    status(&story, &leaving, "Churned");
    let (gone, _) = contact_of(&story, &leaving, false);
    story.zoho_deletes("Contacts", &gone).unwrap();
    let (run, message) = up_to(&story, Stage::RemoveDependants).await;
    assert_eq!(message.object(), Object::Contact);
    killed_at(&story, &message, ("save_record", 1), When::Before).await;
    let night = story.ran(&run).await.unwrap();
    assert_eq!(night.count(Object::Contact, Counter::Held), 1);
    assert_eq!(told(&story, Object::Contact), 1);
    assert_eq!(night.count(Object::Contact, Counter::Removed), 1);
    assert!(story.record_of(Object::Contact, &gone).is_none());
}

#[tokio::test]
async fn what_a_wider_filter_lets_in_before_it_is_removed_stays_with_what_belongs_to_it() {
    let story = Story::begin(24, guarded_by(100, 1000)).await.unwrap();
    story.full_sync().await.unwrap();
    let present = || Object::ALL.map(|object| story.present(object));
    let before = present();
    let (_, account) = contact_of(&story, &story.present(Object::Account), true);
    status(&story, &BTreeSet::from([account]), "Churned");
    let (run, message) = up_to(&story, Stage::RemoveAccounts).await;
    let wider = json!({ "account_external_id": "External_ID" });
    story.save_settings(wider).await.unwrap();
    story.handle_work(&message).await.unwrap();
    story.deliver().await.unwrap();
    let night = story.ran(&run).await.unwrap();
    assert_eq!(night.total(Counter::Removed), 0);
    assert_eq!(present(), before);
    let candidates = story.world.store.all_candidates(&story.connection());
    assert!(candidates.is_empty());
}

#[tokio::test]
async fn what_belongs_to_accounts_that_were_not_read_completely_stays() {
    // Accounts that left and were not removed then.
    let (story, leaving) = with_a_hold().await;
    for object in Object::ALL {
        removal::reject(&story.ports(), &story.connection(), object)
            .await
            .unwrap();
    }
    let settings = guarded_by(100, 1000);
    story.save_settings(settings).await.unwrap();
    let contacts = story.present(Object::Contact);
    story.zoho_hides("Accounts", "External_ID", true).unwrap();
    let night = story.full_sync().await.unwrap();
    assert_eq!(night.run.status, RunStatus::Incomplete);
    assert_eq!(night.total(Counter::Removed), 0);
    assert_eq!(story.present(Object::Contact), contacts);
    story.zoho_hides("Accounts", "External_ID", false).unwrap();
    story.full_sync().await.unwrap();
    assert!(story.present(Object::Account).is_disjoint(&leaving));
    assert!(story.present(Object::Contact).len() < contacts.len());
}

#[tokio::test]
async fn what_was_removed_before_a_removal_was_cut_off_is_told_of() {
    let story = Story::begin(60, guarded_by(100, 1000)).await.unwrap();
    story.full_sync().await.unwrap();
    let leaving: BTreeSet<String> = story.present(Object::Account).into_iter().take(6).collect();
    status(&story, &leaving, "Churned");
    let (_, message) = up_to(&story, Stage::RemoveAccounts).await;
    killed_at(&story, &message, ("save_record", 4), When::After).await;
    assert_eq!(removed_accounts(&story), leaving);
}

#[tokio::test]
async fn what_a_yes_removed_before_it_was_cut_off_is_told_of_after_the_next_yes() {
    let (story, leaving) = with_a_yes_cut_off().await;
    // The next night finds the same again, and asks again.
    story.pass(SignedDuration::from_hours(25));
    story.full_sync().await.unwrap();
    assert_eq!(approve(&story, Object::Account).await, 2);
    assert_eq!(removed_accounts(&story), leaving);
}

#[tokio::test]
async fn what_a_yes_removed_before_it_was_cut_off_is_told_of_when_it_comes_back() {
    let (story, leaving) = with_a_yes_cut_off().await;
    let removed = &leaving - &story.present(Object::Account);
    status(&story, &leaving, "Active");
    story.pass(SignedDuration::from_mins(15));
    story.routine_sync().await.unwrap();
    assert!(story.present(Object::Account).is_superset(&leaving));
    assert_eq!(removed.len(), 4);
    assert_eq!(removed_accounts(&story), removed);
}
