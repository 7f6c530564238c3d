//! Account fields that follow from the account's contacts, deals and tasks.

#![expect(
    clippy::unwrap_used,
    reason = "the stories' own helpers fail as their tests do"
)]

mod customers;
mod cut_off;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use stories::{Delivery, name, text};
use tandem::flow::runs;
use tandem::journal::{Entry, Outcome};
use tandem::message::Work;
use tandem::object::Object;
use tandem::port::Coordination as _;
use tandem::record::Side;
use tandem::run::{Counter, RunKind, RunStatus};
use tandem::value::Value;
use tandem_memory::{Failure, Fault, When};

use customers::{Customers, calculated, settings};

#[tokio::test]
async fn the_next_renewal_follows_the_deals() {
    let (customers, deals) = Customers::with_deals().await;
    let Customers { story, globex, .. } = &customers;
    assert_eq!(customers.renewal("A-ACME").await, "2027-02-28");
    assert_eq!(customers.count("A-ACME", "deals").await, Some(4));
    assert_eq!(customers.renewal("A-GLOBEX").await, "");
    assert_eq!(
        customers.count("A-GLOBEX", "deals").await,
        Some(0),
        "an account without deals has none"
    );
    customers.assert_silent().await;

    // A deal is prolonged.
    customers.edit_deal(&deals["long"], json!({ "End_Date": "2028-01-31" }));
    story.routine_sync().await.unwrap();
    assert_eq!(customers.renewal("A-ACME").await, "2028-01-31");

    // A deal comes.
    let new = customers.deal("new", "2026-11-01", "2028-06-30");
    story.routine_sync().await.unwrap();
    assert_eq!(customers.renewal("A-ACME").await, "2028-06-30");
    assert_eq!(customers.count("A-ACME", "deals").await, Some(5));

    // It was another customer's.
    customers.edit_deal(&new, json!({ "Account_Name": { "id": globex } }));
    story.routine_sync().await.unwrap();
    assert_eq!(customers.renewal("A-ACME").await, "2028-01-31");
    assert_eq!(customers.renewal("A-GLOBEX").await, "2028-06-30");
    customers.assert_silent().await;

    // A deal is deleted: only a full sync removes it, and what was removed counts no more.
    story.zoho_deletes("Deals", &deals["long"]).unwrap();
    story.routine_sync().await.unwrap();
    assert_eq!(customers.renewal("A-ACME").await, "2028-01-31");
    let ran = story.full_sync().await.unwrap();
    assert_eq!(ran.run.status, RunStatus::Complete);
    assert_eq!(ran.count(Object::Account, Counter::Calculated), 1);
    assert_eq!(customers.renewal("A-ACME").await, "2026-11-30");
    assert_eq!(customers.count("A-ACME", "deals").await, Some(3));
    customers.assert_silent().await;
}

#[tokio::test]
async fn the_next_renewal_follows_the_days_of_the_organisation() {
    let (customers, deals) = Customers::with_deals().await;
    customers.edit_deal(&deals["long"], json!({ "End_Date": "2026-11-29" }));
    // Half past eleven in the evening of the short deal's last day.
    customers.at("2026-11-30T18:00:00Z").await;
    assert_eq!(customers.renewal("A-ACME").await, "2026-11-30");
    customers.assert_silent_until("2026-11-30T18:29:59Z").await;
    assert_eq!(customers.renewal("A-ACME").await, "2026-11-30");
    // The day turns. The deal ahead starts today, and is not past yet.
    customers.at("2026-11-30T18:30:00Z").await;
    assert_eq!(customers.renewal("A-ACME").await, "");
    customers.at("2026-12-01T18:15:00Z").await;
    assert_eq!(customers.renewal("A-ACME").await, "");
    customers.at("2026-12-01T18:30:00Z").await;
    assert_eq!(customers.renewal("A-ACME").await, "2029-11-30");
    customers.assert_silent().await;
}

#[tokio::test]
async fn a_calculated_value_says_so_and_can_not_be_edited() {
    let (customers, deals) = Customers::with_deals().await;
    let story = &customers.story;
    customers.edit_deal(&deals["long"], json!({ "End_Date": "2028-01-31" }));
    let ran = story.routine_sync().await.unwrap();
    let acme = customers.account("A-ACME").await;
    let source = &acme.sources[&name("next_renewal")];
    assert_eq!(source.side, Side::Calculated);
    assert_eq!(source.run.as_ref(), Some(&ran.run.id));
    let entries = story.world.store.all_entries(&story.connection());
    let line = entries.iter().rfind(|line| line.action == "calculated");
    let line = line.unwrap();
    assert_eq!((line.direction, &line.run), (None, &source.run));
    let change = &line.fields[0];
    assert_eq!(
        (&change.before, &change.after),
        (
            &Value::Date("2027-02-28".parse().unwrap()),
            &Value::Date("2028-01-31".parse().unwrap())
        )
    );
    let answer = story
        .edit(
            Object::Account,
            "A-ACME",
            json!({ "next_renewal": "2030-01-01" }),
        )
        .await
        .unwrap();
    assert!(!answer.accepted);
    assert!(answer.problems[0].problem.contains("calculated"));
    // Zoho's own change of the account leaves the value alone.
    story
        .zoho_edits(
            "Accounts",
            &customers.acme,
            &json!({ "Account_Name": "Acme Corp" }),
        )
        .unwrap();
    story.routine_sync().await.unwrap();
    let acme = customers.account("A-ACME").await;
    assert_eq!(acme.fields[&name("name")], text("Acme Corp"));
    assert_eq!(customers.renewal("A-ACME").await, "2028-01-31");
}

#[tokio::test]
async fn other_settings_are_calculated_for_every_account() {
    let (customers, _) = Customers::with_deals().await;
    let story = &customers.story;
    let soonest = json!([{
        "platform": "next_renewal", "over": "deal",
        "filter": { "where": { "field": "end_date", "comparator": "greater_equal", "value": { "today": 0 } } },
        "value": { "min": "end_date" }
    }]);
    story.save_settings(settings(soonest)).await.unwrap();
    story.routine_sync().await.unwrap();
    assert_eq!(customers.renewal("A-ACME").await, "2026-11-30");
    for id in ["A-ACME", "A-GLOBEX"] {
        let fields = customers.account(id).await.fields;
        assert!(
            !fields.contains_key(&name("deals")),
            "{id} shows what is calculated no more"
        );
    }
    customers.assert_silent().await;
    story.save_settings(settings(json!([]))).await.unwrap();
    story.full_sync().await.unwrap();
    assert_eq!(customers.renewal("A-ACME").await, "");
    customers.assert_silent().await;
}

#[tokio::test]
async fn tasks_are_counted_as_the_platform_edits_and_moves_them() {
    let open =
        json!({ "where": { "field": "status", "comparator": "not_equal", "value": "Completed" } });
    let counting =
        json!([{ "platform": "open_tasks", "over": "task", "filter": open, "value": "count" }]);
    let customers = Customers::begin(counting).await;
    let story = &customers.story;
    story.full_sync().await.unwrap();
    let edit = async |fields: Json| {
        let answer = story.edit(Object::Task, "t-1", fields).await.unwrap();
        assert!(answer.accepted, "{answer:?}");
    };
    let open = async || {
        (
            customers.count("A-ACME", "open_tasks").await,
            customers.count("A-GLOBEX", "open_tasks").await,
        )
    };
    edit(json!({ "subject": "Call", "account": "A-ACME" })).await;
    assert_eq!(open().await, (Some(1), Some(0)));
    edit(json!({ "account": "A-GLOBEX" })).await;
    assert_eq!(open().await, (Some(0), Some(1)));
    edit(json!({ "status": "Completed" })).await;
    assert_eq!(open().await, (Some(0), Some(0)));
    customers.assert_silent().await;
}

#[tokio::test]
async fn an_account_that_only_the_platform_knows_is_calculated_too() {
    let customers = Customers::begin(calculated()).await;
    let story = &customers.story;
    story.full_sync().await.unwrap();
    story
        .edit(Object::Account, "A-NEW", json!({ "name": "New" }))
        .await
        .unwrap();
    assert_eq!(customers.count("A-NEW", "deals").await, Some(0));
}

#[tokio::test]
async fn an_account_that_comes_back_is_calculated_anew() {
    let (customers, deals) = Customers::with_deals().await;
    let story = &customers.story;
    let turn = |status: &str| {
        let values = json!({ "Customer_Status": status });
        story
            .zoho_edits("Accounts", &customers.acme, &values)
            .unwrap();
    };
    turn("Churned");
    story.full_sync().await.unwrap();
    assert!(customers.account("A-ACME").await.removed.is_some());
    customers.edit_deal(&deals["long"], json!({ "End_Date": "2028-01-31" }));
    turn("Active");
    story.routine_sync().await.unwrap();
    assert!(customers.account("A-ACME").await.removed.is_none());
    assert_eq!(customers.renewal("A-ACME").await, "2028-01-31");
    assert_eq!(customers.count("A-ACME", "deals").await, Some(4));
}

#[tokio::test]
async fn messages_delivered_twice_lead_to_the_same_records() {
    let tell = async |delivery| {
        let mut customers = Customers::begin(calculated()).await;
        customers.story.delivery = delivery;
        customers.story.full_sync().await.unwrap();
        let deal = customers.deal("new", "2026-01-01", "2027-06-30");
        customers.story.routine_sync().await.unwrap();
        customers.edit_deal(&deal, json!({ "Account_Name": { "id": customers.globex } }));
        customers.story.routine_sync().await.unwrap();
        let records = customers
            .story
            .world
            .store
            .all_records(&customers.story.connection());
        let facts = records.into_iter().map(|record| {
            let key = (record.object, record.id);
            (key, (record.fields, record.version))
        });
        facts.collect::<BTreeMap<_, _>>()
    };
    let once = tell(Delivery::Once).await;
    assert_eq!(once, tell(Delivery::Twice).await);
    let deals = once.values().filter(|(fields, _)| {
        fields.get(&name("next_renewal")) == Some(&Value::Date("2027-06-30".parse().unwrap()))
    });
    assert_eq!(deals.count(), 1);
}

#[tokio::test]
async fn an_account_that_can_not_be_calculated_stands_in_nobodys_way() {
    let (customers, deals) = Customers::with_deals().await;
    let story = &customers.story;
    customers.edit_deal(&deals["long"], json!({ "End_Date": "2028-01-31" }));
    customers.edit_deal(
        &deals["short"],
        json!({ "Account_Name": { "id": customers.globex } }),
    );
    story.pass(SignedDuration::from_mins(15));
    runs::start(&story.ports(), &story.connection(), RunKind::Routine)
        .await
        .unwrap();
    let slices = |work: &Work| matches!(work, Work::Slice { .. });
    while let Some(held) = story.world.queue.work.take_where(slices) {
        story.handle_work(&held.message).await.unwrap();
    }
    // Acme comes first, and its record has become too large.
    let refused = Fault::Fail(When::Before, Failure::Refused);
    story.world.faults.on("save_record", 1, refused);
    let message = story.world.queue.take_work().unwrap();
    story.handle_work(&message.message).await.unwrap();
    story.world.faults.clear();
    assert_eq!(customers.renewal("A-ACME").await, "2027-02-28");
    assert_eq!(customers.renewal("A-GLOBEX").await, "2026-11-30");
    let entries = story.world.store.all_entries(&story.connection());
    let refused = |line: &&Entry| line.outcome == Outcome::Refused;
    let line = entries.iter().find(refused).unwrap();
    assert_eq!(line.record, Some("A-ACME".parse().unwrap()));
}

#[tokio::test]
async fn what_another_function_calculates_is_waited_for() {
    let (customers, deals) = Customers::with_deals().await;
    let story = &customers.story;
    customers.edit_deal(&deals["long"], json!({ "End_Date": "2028-01-31" }));
    let now = story.world.now();
    let until = now + SignedDuration::from_mins(16);
    let connection = story.connection();
    let store = &story.world.store;
    let held = store.lease(&connection, "calculate", "somebody", now, until);
    assert!(held.await.unwrap());
    story.routine_sync().await.unwrap();
    assert!(
        story.world.now() >= until,
        "it came again until it was free"
    );
    assert_eq!(customers.renewal("A-ACME").await, "2028-01-31");
}

#[tokio::test]
async fn an_index_that_lags_behind_is_caught_up_with() {
    let (customers, _) = Customers::with_deals().await;
    let story = &customers.story;
    story.world.store.lag_indexes(1_000);
    customers.deal("new", "2026-11-01", "2028-06-30");
    story.pass(SignedDuration::from_mins(15));
    runs::start(&story.ports(), &story.connection(), RunKind::Routine)
        .await
        .unwrap();
    while let Some(held) = story.world.queue.take_work() {
        story.handle_work(&held.message).await.unwrap();
    }
    assert_eq!(
        customers.renewal("A-ACME").await,
        "2027-02-28",
        "the index does not show the deal yet"
    );
    story.world.store.settle_indexes();
    story.deliver().await.unwrap();
    assert_eq!(customers.renewal("A-ACME").await, "2028-06-30");
    let today = "2026-11-23".parse().unwrap();
    let marks = story.world.store.all_marks(&story.connection());
    assert!(marks.iter().all(|mark| mark.day > today), "{marks:?}");
}

#[tokio::test]
async fn where_nothing_is_calculated_nothing_is_asked_or_written() {
    let customers = Customers::begin(json!([])).await;
    let story = &customers.story;
    story.full_sync().await.unwrap();
    customers.deal("new", "2026-11-01", "2028-06-30");
    story.routine_sync().await.unwrap();
    let writes = story.writes();
    assert_eq!((writes.marks, writes.plans), (0, 0));
    let calls = |operation| story.world.faults.calls_of(operation);
    assert_eq!(calls("mark_calculations") + calls("calculations_due"), 0);
    assert_eq!(calls("calculated_with"), 1, "once a night");
}
