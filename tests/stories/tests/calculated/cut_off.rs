//! Processes that end in the middle of the work, after every single call.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use stories::Story;
use tandem::flow::{parked, restore, runs};
use tandem::journal::Entry;
use tandem::message::Work;
use tandem::object::Object;
use tandem::run::{RunKind, RunStatus};
use tandem_memory::{Crashed, Fault, When};

use crate::customers::{Customers, settings};

/// Delivers every message. A process that crashes is over, and its message comes again. True when one crashed.
async fn deliver_through_crashes(story: &Story) -> bool {
    let world = &story.world;
    let mut crashed = false;
    loop {
        if let Some(held) = world.queue.take_work() {
            match world.faults.run(story.handle_work(&held.message)).await {
                Ok(done) => done.unwrap(),
                Err(Crashed) => {
                    crashed = true;
                    world.queue.work.put_back(held);
                }
            }
        } else if let Some(held) = world.queue.take_writeback() {
            match world
                .faults
                .run(story.handle_writeback(&held.message))
                .await
            {
                Ok(done) => done.unwrap(),
                Err(Crashed) => {
                    crashed = true;
                    world.queue.writeback.put_back(held);
                }
            }
        } else if let Some(next) = world.queue.work.next_at() {
            world.clock.set(next);
        } else {
            world.faults.clear();
            return crashed;
        }
    }
}

/// A deal moves from Acme to Globex; a routine sync brings it, and something goes wrong. False when nothing did.
async fn moves_through(order: impl FnOnce(&Story), what: &str) -> bool {
    let (customers, deals) = Customers::with_deals().await;
    let story = &customers.story;
    let elsewhere = json!({ "Account_Name": { "id": customers.globex } });
    customers.edit_deal(&deals["long"], elsewhere);
    story.pass(SignedDuration::from_mins(15));
    runs::start(&story.ports(), &story.connection(), RunKind::Routine)
        .await
        .unwrap();
    order(story);
    let crashed = deliver_through_crashes(story).await;
    // A message that was lost with its sender is made up for by the next routine sync.
    story.routine_sync().await.unwrap();
    let renewals = (
        customers.renewal("A-ACME").await,
        customers.renewal("A-GLOBEX").await,
    );
    assert_eq!(
        renewals,
        ("2026-11-30".to_owned(), "2027-02-28".to_owned()),
        "{what}"
    );
    customers.assert_silent().await;
    crashed
}

#[tokio::test]
async fn a_move_that_is_cut_off_after_any_call_reaches_both_accounts() {
    let mut number = 1;
    let crash = Fault::Crash(When::After);
    while moves_through(
        |story| story.world.faults.at(number, crash),
        &format!("call {number}"),
    )
    .await
    {
        number += 1;
    }
    assert!(number > 50, "only {number} calls were made");
    for operation in ["mark_calculations", "clear_calculations"] {
        let midway = Fault::Crash(When::Midway);
        let crashed = moves_through(
            |story| story.world.faults.on(operation, 1, midway),
            operation,
        )
        .await;
        assert!(crashed, "nothing called {operation}");
    }
}

/// Tells a story again and again, each time with a crash after the next call that follows `act`, until no call is left to crash after.
async fn cut_off_anywhere(
    begin: impl AsyncFn() -> Customers,
    act: impl Fn(&Story),
    check: impl AsyncFn(&Customers, u64),
) {
    for number in 1.. {
        let customers = begin().await;
        let story = &customers.story;
        act(story);
        let crash = Fault::Crash(When::After);
        story.world.faults.at(number, crash);
        let crashed = deliver_through_crashes(story).await;
        story.routine_sync().await.unwrap();
        // The poller sweeps what waits longer than its message should take.
        story.pass(SignedDuration::from_mins(15));
        story.tick().await.unwrap();
        check(&customers, number).await;
        if !crashed {
            assert!(number > 10, "only {number} calls were made");
            return;
        }
    }
}

/// The platform's own service sends an edit.
fn sends(story: &Story, object: &str, id: &str, fields: Json) {
    let message = json!({
        "kind": "edit", "version": 1, "connection": story.connection(), "object": object, "edits": [{ "id": id, "fields": fields }]
    });
    let message = serde_json::from_value(message).unwrap();
    story.world.queue.writeback.send([message]);
}

fn counting_tasks() -> Json {
    json!([{ "platform": "open_tasks", "over": "task", "value": "count" }])
}

/// A task of Acme's that the platform made and Zoho has.
async fn with_a_task() -> Customers {
    let customers = Customers::begin(counting_tasks()).await;
    customers.story.full_sync().await.unwrap();
    let fields = json!({ "subject": "Call", "account": "A-ACME" });
    let edited = customers.story.edit(Object::Task, "t-1", fields).await;
    assert!(edited.unwrap().accepted);
    customers
}

async fn assert_moved(customers: &Customers, number: u64) {
    let open = (
        customers.count("A-ACME", "open_tasks").await,
        customers.count("A-GLOBEX", "open_tasks").await,
    );
    assert_eq!(open, (Some(0), Some(1)), "call {number}");
}

#[tokio::test]
async fn an_edit_that_is_cut_off_anywhere_reaches_both_accounts() {
    let act = |story: &Story| sends(story, "task", "t-1", json!({ "account": "A-GLOBEX" }));
    cut_off_anywhere(with_a_task, act, assert_moved).await;
}

#[tokio::test]
async fn what_writeback_brings_along_counts_too() {
    let begin = async || {
        let customers = with_a_task().await;
        let task = customers.story.record(Object::Task, "t-1").await.unwrap();
        let elsewhere = json!({ "What_Id": { "id": customers.globex }, "$se_module": "Accounts" });
        let id = String::from(task.zoho_id.unwrap());
        customers.story.pass(SignedDuration::from_mins(1));
        customers
            .story
            .zoho_edits("Tasks", &id, &elsewhere)
            .unwrap();
        customers
    };
    let act = |story: &Story| sends(story, "task", "t-1", json!({ "subject": "Call back" }));
    cut_off_anywhere(begin, act, assert_moved).await;
    // Without a routine sync in between: it is writeback that learns of the move.
    let customers = begin().await;
    act(&customers.story);
    customers.story.deliver().await.unwrap();
    assert_moved(&customers, 0).await;
}

#[tokio::test]
async fn a_value_that_zoho_never_gets_counts_when_it_is_edited() {
    let begin = async || {
        let mut document = settings(json!([
            { "platform": "deals", "over": "contact", "value": { "sum": "score" } }
        ]));
        document["objects"]["contact"] = json!({ "custom_fields": { "score": "integer" } });
        let customers = Customers::begin(json!([])).await;
        customers.story.save_settings(document).await.unwrap();
        let ann = json!({
            "Last_Name": "Ann", "Email": "ann@acme.example", "Account_Name": { "id": customers.acme }
        });
        customers.story.zoho_creates("Contacts", &ann).unwrap();
        customers.story.full_sync().await.unwrap();
        assert_eq!(customers.count("A-ACME", "deals").await, Some(0));
        customers
    };
    let act = |story: &Story| sends(story, "contact", "ann@acme.example", json!({ "score": 7 }));
    let check = async |customers: &Customers, number| {
        let score = customers.count("A-ACME", "deals").await;
        assert_eq!(score, Some(7), "call {number}");
    };
    cut_off_anywhere(begin, act, check).await;
}

#[tokio::test]
async fn a_removal_that_is_cut_off_counts_in_the_same_full_sync() {
    let points = [
        "save_record",
        "write",
        "mark_calculations",
        "save_link_over",
        "remove_candidates",
        "save_slice",
        "calculations_due",
        "clear_calculations",
    ];
    for operation in points {
        let (customers, deals) = Customers::with_deals().await;
        let story = &customers.story;
        story.zoho_deletes("Deals", &deals["long"]).unwrap();
        story.pass(SignedDuration::from_mins(15));
        let run = runs::start(&story.ports(), &story.connection(), RunKind::Full).await;
        let crash = Fault::Crash(When::After);
        story.world.faults.on(operation, 1, crash);
        assert!(
            deliver_through_crashes(story).await,
            "nothing called {operation}"
        );
        let ran = story.ran(&run.unwrap().id).await.unwrap();
        assert_eq!(ran.run.status, RunStatus::Complete, "{operation}");
        assert_eq!(
            customers.renewal("A-ACME").await,
            "2026-11-30",
            "{operation}"
        );
        customers.assert_silent().await;
    }
}

#[tokio::test]
async fn an_account_that_comes_late_has_its_tasks_however_it_is_cut_off() {
    for operation in [
        "save_record",
        "mark_calculations",
        "save_link_over",
        "stop_awaiting",
    ] {
        let customers = Customers::begin(counting_tasks()).await;
        let story = &customers.story;
        story.full_sync().await.unwrap();
        // The task is Acme's through the contact, and names an account that is not in scope yet.
        let late = json!({ "Account_Name": "Late", "External_ID": "A-LATE", "Customer_Status": "Prospect" });
        let late = story.zoho_creates("Accounts", &late).unwrap();
        let ann = json!({
            "Last_Name": "Ann", "Email": "ann@acme.example", "Account_Name": { "id": customers.acme }
        });
        let ann = story.zoho_creates("Contacts", &ann).unwrap();
        let task = json!({
            "Subject": "Call", "Who_Id": { "id": ann }, "What_Id": { "id": late }, "$se_module": "Accounts"
        });
        story.zoho_creates("Tasks", &task).unwrap();
        story.full_sync().await.unwrap();
        let active = json!({ "Customer_Status": "Active" });
        story.zoho_edits("Accounts", &late, &active).unwrap();
        let run = runs::start(&story.ports(), &story.connection(), RunKind::Full).await;
        let crash = Fault::Crash(When::After);
        story.world.faults.on(operation, 1, crash);
        deliver_through_crashes(story).await;
        let ran = story.ran(&run.unwrap().id).await.unwrap();
        assert_eq!(ran.run.status, RunStatus::Complete, "{operation}");
        let open = customers.count("A-LATE", "open_tasks").await;
        assert_eq!(open, Some(1), "{operation}");
        customers.assert_silent().await;
    }
}

#[tokio::test]
async fn what_a_calculation_that_was_cut_off_has_stored_another_run_tells_of() {
    let (customers, deals) = Customers::with_deals().await;
    let story = &customers.story;
    customers.edit_deal(&deals["long"], json!({ "End_Date": "2028-01-31" }));
    story.pass(SignedDuration::from_mins(15));
    runs::start(&story.ports(), &story.connection(), RunKind::Routine)
        .await
        .unwrap();
    let faults = &story.world.faults;
    let mut cut_off = false;
    while let Some(held) = story.world.queue.take_work() {
        if !matches!(held.message, Work::Calculate { .. }) {
            story.handle_work(&held.message).await.unwrap();
            continue;
        }
        faults.on("write", 1, Fault::Crash(When::Before));
        cut_off |= faults.run(story.handle_work(&held.message)).await.is_err();
        faults.clear();
    }
    assert!(cut_off);
    let account = story.record(Object::Account, "A-ACME").await.unwrap();
    let told = || {
        let lines = story.world.store.all_entries(&story.connection());
        let of_it = |line: &Entry| line.record.as_ref() == Some(&account.id);
        let mut lines = lines.into_iter().filter(of_it);
        lines.any(|line| line.at == account.updated_at)
    };
    assert!(!told());
    story.routine_sync().await.unwrap();
    assert!(told());
}

/// The records that the log has a line about with this action; each has one.
fn told_of(story: &Story, action: &str) -> usize {
    let lines = story.log(action);
    let records: BTreeSet<_> = lines
        .iter()
        .map(|line| (line.object, line.record.clone()))
        .collect();
    assert_eq!(lines.len(), records.len(), "{action}");
    records.len()
}

/// Nobody delivers a person's request again, and where it was cut off it may look done.
#[tokio::test]
async fn a_restore_that_is_cut_off_anywhere_is_calculated_and_told_of() {
    for number in 1.. {
        let (customers, _) = Customers::with_deals().await;
        let story = &customers.story;
        let churned = json!({ "Customer_Status": "Churned" });
        story
            .zoho_edits("Accounts", &customers.acme, &churned)
            .unwrap();
        story.full_sync().await.unwrap();
        // Meanwhile the deal ahead has begun.
        customers.at("2026-12-03T12:00:00Z").await;
        assert!(customers.account("A-ACME").await.removed.is_some());
        let (ports, connection) = (story.ports(), story.connection());
        let id = "A-ACME".parse().unwrap();
        let faults = &story.world.faults;
        faults.at(number, Fault::Crash(When::After));
        let asked = restore::restore(&ports, &connection, Object::Account, &id);
        let cut_off = faults.run(asked).await.is_err();
        faults.clear();
        story.routine_sync().await.unwrap();
        let is_back = customers.account("A-ACME").await.removed.is_none();
        if is_back {
            assert_eq!(customers.renewal("A-ACME").await, "2029-11-30", "{number}");
        }
        let again = restore::restore(&ports, &connection, Object::Account, &id).await;
        assert_eq!(again.is_err(), is_back, "{number}: {again:?}");
        story.routine_sync().await.unwrap();
        assert_eq!(customers.renewal("A-ACME").await, "2029-11-30", "{number}");
        assert_eq!(told_of(story, "restored"), 5, "{number}");
        if !cut_off {
            assert!(number > 10, "only {number} calls were made");
            return;
        }
    }
}

/// Whoever takes up what another left stores the record once more, and is cut off before the marks as well.
#[tokio::test]
async fn an_account_that_comes_back_is_calculated_however_often_its_sync_is_cut_off() {
    let (customers, deals) = Customers::with_deals().await;
    let story = &customers.story;
    let status = |status: &str| {
        let values = json!({ "Customer_Status": status });
        let edited = story.zoho_edits("Accounts", &customers.acme, &values);
        edited.unwrap();
    };
    status("Churned");
    story.full_sync().await.unwrap();
    assert!(customers.account("A-ACME").await.removed.is_some());
    for deal in deals.values() {
        story.zoho_deletes("Deals", deal).unwrap();
    }
    status("Active");
    story.pass(SignedDuration::from_mins(15));
    runs::start(&story.ports(), &story.connection(), RunKind::Routine)
        .await
        .unwrap();
    for held in story.world.queue.work.take_all() {
        for _ in 0..2 {
            if held.message.object() == Object::Account {
                let before = Fault::Crash(When::Before);
                story.world.faults.on("await_references", 1, before);
                let handled = story.world.faults.run(story.handle_work(&held.message));
                assert!(handled.await.is_err());
                story.world.faults.clear();
            }
        }
        story.world.queue.work.put_back(held);
    }
    assert!(customers.account("A-ACME").await.removed.is_none());
    assert!(!deliver_through_crashes(story).await);
    assert_eq!(customers.count("A-ACME", "deals").await, Some(0));
}

#[tokio::test]
async fn a_dismissal_that_is_cut_off_anywhere_is_calculated_and_told_of() {
    for number in 1.. {
        let customers = with_a_task().await;
        let story = &customers.story;
        let task = story.record(Object::Task, "t-1").await.unwrap();
        let locked = zoho_sim::RecordFlags {
            locked: Some(true),
            ..zoho_sim::RecordFlags::default()
        };
        let zoho = String::from(task.zoho_id.unwrap()).parse().unwrap();
        story
            .zoho
            .model()
            .flag(story.organisation, "Tasks", zoho, locked)
            .unwrap();
        let elsewhere = json!({ "account": "A-GLOBEX" });
        story.edit(Object::Task, "t-1", elsewhere).await.unwrap();
        story.routine_sync().await.unwrap();
        assert_moved(&customers, 0).await;
        let open = async || {
            (
                customers.count("A-ACME", "open_tasks").await,
                customers.count("A-GLOBEX", "open_tasks").await,
            )
        };
        let is_parked = async || {
            let task = story.record(Object::Task, "t-1").await.unwrap();
            task.parked.is_some()
        };
        assert!(is_parked().await);
        let (ports, connection) = (story.ports(), story.connection());
        let id = "t-1".parse().unwrap();
        let faults = &story.world.faults;
        faults.at(number, Fault::Crash(When::After));
        let asked = parked::dismiss(&ports, &connection, Object::Task, &id);
        let cut_off = faults.run(asked).await.is_err();
        faults.clear();
        story.routine_sync().await.unwrap();
        let is_done = !is_parked().await;
        if is_done {
            assert_eq!(open().await, (Some(1), Some(0)), "{number}");
        }
        let again = parked::dismiss(&ports, &connection, Object::Task, &id).await;
        assert_eq!(again.is_err(), is_done, "{number}: {again:?}");
        story.routine_sync().await.unwrap();
        assert_eq!(open().await, (Some(1), Some(0)), "{number}");
        assert_eq!(told_of(story, "dismissed"), 1, "{number}");
        if !cut_off {
            assert!(number > 5, "only {number} calls were made");
            return;
        }
    }
}
