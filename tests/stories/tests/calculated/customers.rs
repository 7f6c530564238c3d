//! Two customers and their deals.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use stories::{Story, name};
use tandem::object::Object;
use tandem::record::Record;
use tandem::run::{RunKind, RunStatus};
use tandem::value::Value;
use zoho_sim::OrganisationSpec;

/// The furthest end among the deals that run, and how many deals there are.
pub(crate) fn calculated() -> Json {
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

pub(crate) fn settings(calculated: Json) -> Json {
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
pub(crate) struct Customers {
    pub(crate) story: Story,
    pub(crate) acme: String,
    pub(crate) globex: String,
}

impl Customers {
    pub(crate) async fn begin(calculated: Json) -> Self {
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
    pub(crate) async fn with_deals() -> (Self, BTreeMap<&'static str, String>) {
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
    pub(crate) fn deal(&self, deal: &str, start: &str, end: &str) -> String {
        let values = json!({
            "Deal_Name": deal, "Stage": "Closed Won", "Account_Name": { "id": self.acme }, "Start_Date": start, "End_Date": end
        });
        self.story.zoho_creates("Deals", &values).unwrap()
    }

    pub(crate) fn edit_deal(&self, deal: &str, values: Json) {
        self.story.zoho_edits("Deals", deal, &values).unwrap();
    }

    pub(crate) async fn account(&self, id: &str) -> Record {
        self.story.record(Object::Account, id).await.unwrap()
    }

    /// An account's next renewal; empty: none.
    pub(crate) async fn renewal(&self, id: &str) -> String {
        match self.account(id).await.fields.get(&name("next_renewal")) {
            Some(Value::Date(date)) => date.to_string(),
            _ => String::new(),
        }
    }

    pub(crate) async fn count(&self, id: &str, field: &str) -> Option<i64> {
        match self.account(id).await.fields.get(&name(field)) {
            Some(Value::Integer(count)) => Some(*count),
            _ => None,
        }
    }

    /// Moves the clock and runs a routine sync at that instant.
    pub(crate) async fn at(&self, instant: &str) {
        self.story.world.clock.set(instant.parse().unwrap());
        self.story.run(RunKind::Routine).await.unwrap();
    }

    /// Neither a routine nor a full sync has anything to write about what a record is.
    pub(crate) async fn assert_silent(&self) {
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

    /// Nothing is to be done by then, and nothing is.
    pub(crate) async fn assert_silent_until(&self, instant: &str) {
        let before = self.story.writes();
        self.at(instant).await;
        let after = self.story.writes();
        assert_eq!((after.records, after.marks), (before.records, before.marks));
    }
}
