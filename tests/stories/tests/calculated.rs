//! Account fields that follow from the account's deals and tasks.

#![expect(
    clippy::unwrap_used,
    reason = "the stories' own helpers fail as their tests do"
)]

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use stories::{Delivery, Story, name, text};
use tandem::flow::runs;
use tandem::object::Object;
use tandem::record::{Record, Side};
use tandem::run::{Counter, RunKind, RunStatus};
use tandem::value::Value;
use tandem_memory::{Crashed, Fault, When};
use zoho_sim::OrganisationSpec;

/// The furthest end among the deals that run, and how many deals there are.
fn calculated() -> Json {
    json!([
        {
            "platform": "next_renewal", "over": "deal",
            "filter": { "all": [
                { "where": { "field": "start_date", "comparator": "less_than", "value": { "today": 0 } } },
                { "where": { "field": "end_date", "comparator": "greater_equal", "value": { "today": 0 } } }
            ] },
            "value": { "max": "end_date" }
        },
        { "platform": "deals", "over": "deal", "value": "count" }
    ])
}

fn settings(calculated: Json) -> Json {
    json!({
        "account_external_id": "External_ID",
        "objects": {
            "account": {
                "filter": { "where": { "field": "Customer_Status", "comparator": "equal", "value": "Active" } },
                "custom_fields": { "next_renewal": "date", "deals": "integer", "open_tasks": "integer" },
                "calculated": calculated
            },
            "deal": {
                "custom_fields": { "start_date": "date", "end_date": "date" },
                "mappings": [
                    { "zoho": "Start_Date", "platform": "start_date" },
                    { "zoho": "End_Date", "platform": "end_date" }
                ]
            }
        }
    })
}

/// An organisation in Kolkata, where the day turns at half past six in the evening UTC, with two customers and no deals but the told ones.
struct Customers {
    story: Story,
    acme: String,
    globex: String,
}

impl Customers {
    async fn begin(calculated: Json) -> Self {
        let spec = OrganisationSpec {
            accounts: 1,
            contacts: Some(0),
            deals: Some(0),
            tasks: Some(0),
            time_zone: "Asia/Kolkata".to_owned(),
            ..OrganisationSpec::small(7)
        };
        let story = Story::begin_with(&spec, settings(calculated))
            .await
            .unwrap();
        let customer = |name: &str, id: &str| {
            let values =
                json!({ "Account_Name": name, "External_ID": id, "Customer_Status": "Active" });
            story.zoho_creates("Accounts", &values).unwrap()
        };
        Self {
            acme: customer("Acme", "A-ACME"),
            globex: customer("Globex", "A-GLOBEX"),
            story,
        }
    }

    /// Acme's deals: one over, one that ends soon, one that ends later, one that has not started.
    async fn with_deals() -> (Self, BTreeMap<&'static str, String>) {
        let customers = Self::begin(calculated()).await;
        let deals = [
            ("over", "2025-01-01", "2025-12-31"),
            ("short", "2026-01-01", "2026-11-30"),
            ("long", "2026-03-01", "2027-02-28"),
            ("ahead", "2026-12-01", "2029-11-30"),
        ];
        let deals = deals.map(|(deal, start, end)| (deal, customers.deal(deal, start, end)));
        customers.story.full_sync().await.unwrap();
        (customers, deals.into())
    }

    /// A person closes a deal with Acme.
    fn deal(&self, deal: &str, start: &str, end: &str) -> String {
        let values = json!({
            "Deal_Name": deal, "Stage": "Closed Won", "Account_Name": { "id": self.acme }, "Start_Date": start, "End_Date": end
        });
        self.story.zoho_creates("Deals", &values).unwrap()
    }

    fn edit_deal(&self, deal: &str, values: Json) {
        self.story.zoho_edits("Deals", deal, &values).unwrap();
    }

    async fn account(&self, id: &str) -> Record {
        self.story.record(Object::Account, id).await.unwrap()
    }

    /// An account's next renewal; empty: none.
    async fn renewal(&self, id: &str) -> String {
        match self.account(id).await.fields.get(&name("next_renewal")) {
            Some(Value::Date(date)) => date.to_string(),
            _ => String::new(),
        }
    }

    async fn count(&self, id: &str, field: &str) -> Option<i64> {
        match self.account(id).await.fields.get(&name(field)) {
            Some(Value::Integer(count)) => Some(*count),
            _ => None,
        }
    }

    /// Moves the clock and runs a routine sync at that instant.
    async fn at(&self, instant: &str) {
        self.story.world.clock.set(instant.parse().unwrap());
        self.story.run(RunKind::Routine).await.unwrap();
    }

    /// Neither a routine nor a full sync has anything to write about what a record is.
    async fn assert_silent(&self) {
        let before = self.story.writes();
        self.story.routine_sync().await.unwrap();
        let full = self.story.full_sync().await.unwrap();
        assert_eq!(
            full.run.status,
            RunStatus::Complete,
            "{:?}",
            full.run.reason
        );
        let after = self.story.writes();
        assert_eq!(
            (after.records, after.links, after.marks),
            (before.records, before.links, before.marks),
            "an echo"
        );
    }
}

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

impl Customers {
    /// Nothing is to be done by then, and nothing is.
    async fn assert_silent_until(&self, instant: &str) {
        let before = self.story.writes();
        self.at(instant).await;
        let after = self.story.writes();
        assert_eq!((after.records, after.marks), (before.records, before.marks));
    }
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
    for operation in ["mark_calculations", "clear_calculations", "save_links"] {
        let midway = Fault::Crash(When::Midway);
        let crashed = moves_through(
            |story| story.world.faults.on(operation, 1, midway),
            operation,
        )
        .await;
        assert!(crashed, "nothing called {operation}");
    }
}

#[tokio::test]
async fn an_edit_that_is_cut_off_anywhere_reaches_both_accounts() {
    let counting = json!([{ "platform": "open_tasks", "over": "task", "value": "count" }]);
    let mut number = 1;
    loop {
        let customers = Customers::begin(counting.clone()).await;
        let story = &customers.story;
        story.full_sync().await.unwrap();
        let fields = json!({ "subject": "Call", "account": "A-ACME" });
        story.edit(Object::Task, "t-1", fields).await.unwrap();
        let moved = json!({
            "kind": "edit", "version": 1, "connection": story.connection(), "object": "task",
            "edits": [{ "id": "t-1", "fields": { "account": "A-GLOBEX" } }]
        });
        story
            .world
            .queue
            .writeback
            .send([serde_json::from_value(moved).unwrap()]);
        story.world.faults.at(number, Fault::Crash(When::After));
        let crashed = deliver_through_crashes(story).await;
        story.routine_sync().await.unwrap();
        story.tick().await.unwrap();
        let open = (
            customers.count("A-ACME", "open_tasks").await,
            customers.count("A-GLOBEX", "open_tasks").await,
        );
        assert_eq!(open, (Some(0), Some(1)), "call {number}");
        if !crashed {
            break;
        }
        number += 1;
    }
    assert!(number > 20, "only {number} calls were made");
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
