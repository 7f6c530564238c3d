//! Zoho's answers gone wrong on their way: nothing panics or hangs, and when answers are right again, both sides are the same again.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use garble::{Trouble, cases};
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use stories::Story;
use tandem::adapter::zoho::ZohoCrm;
use tandem::adapter::zoho::transport::{Error, Request, Response, Transport};
use tandem::flow::job::Deadline;
use tandem::flow::{poll, runs};
use tandem::mapping::{FieldPlan, Neighbours};
use tandem::message::{Edit, Version, Writeback};
use tandem::object::Object;
use tandem::port::{Connections as _, Due};
use tandem::run::RunKind;
use tandem::value::Value;
use tandem_memory::SimulatedZoho;
use zoho_sim::OrganisationSpec;

/// Objects that come and go, with what Zoho calls them.
const OBJECTS: [Object; 4] = [Object::Account, Object::Contact, Object::Deal, Object::Task];

/// How often a message is tried before it counts as a dead letter.
const TRIES: usize = 5;

/// Zoho with answers that go wrong: which, and how.
struct Garbled {
    zoho: Arc<SimulatedZoho>,
    troubles: Mutex<Troubles>,
}

#[derive(Default)]
struct Troubles {
    calls: usize,
    at: BTreeMap<usize, Trouble>,
}

#[async_trait]
impl Transport for Garbled {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let mut response = self.zoho.send(request).await?;
        let mut troubles = self.troubles.lock().unwrap();
        troubles.calls += 1;
        let call = troubles.calls;
        if let Some(trouble) = troubles.at.remove(&call) {
            response.body = trouble.suffered_by(&response.body);
        }
        Ok(response)
    }
}

fn settings() -> Json {
    json!({
        "account_external_id": "External_ID",
        "core_writeback": true,
        "conflicts": "zoho_wins",
        "removal_guard": { "percent": 100, "records": 1_000 },
        "objects": {
            "account": {
                "custom_fields": { "health": "decimal", "deals": "integer" },
                "mappings": [{ "zoho": "Health_Score", "platform": "health", "editable": true }],
                "calculated": [{ "platform": "deals", "over": "deal", "value": "count" }],
            },
            "contact": { "mappings": [{ "zoho": "Phone", "platform": "phone", "editable": true }] },
        },
    })
}

/// Delivers everything; who fails too often is given up, as a queue does, and the nights make up for it.
async fn deliver(story: &Story) -> Result<(), TestCaseError> {
    let (work, writeback) = (&story.world.queue.work, &story.world.queue.writeback);
    let mut tries: BTreeMap<String, usize> = BTreeMap::new();
    let mut again = |id: &str| {
        let tried = tries.entry(id.to_owned()).or_default();
        *tried += 1;
        *tried < TRIES
    };
    for _ in 0..5_000 {
        if let Some(held) = work.take() {
            if story.handle_work(&held.message).await.is_err() && again(&held.id) {
                work.put_back(held);
                story.pass(SignedDuration::from_mins(2));
            }
        } else if let Some(held) = writeback.take() {
            if story.handle_writeback(&held.message).await.is_err() && again(&held.id) {
                writeback.put_back(held);
                story.pass(SignedDuration::from_mins(2));
            }
        } else if let Some(next) = work.next_at().into_iter().chain(writeback.next_at()).min() {
            story.world.clock.set(next);
        } else {
            return Ok(());
        }
    }
    Err(TestCaseError::fail("the queues do not run dry"))
}

/// A quarter of an hour, and a night; either may fail while answers are wrong.
async fn day(story: &Story) -> Result<(), TestCaseError> {
    story.pass(SignedDuration::from_mins(16));
    let deadline = Deadline(story.world.now() + SignedDuration::from_mins(5));
    let _ = poll::tick(&story.ports(), Due::Routine, deadline).await;
    deliver(story).await?;
    // A run that was cut short is over after this time.
    story.pass(SignedDuration::from_hours(21));
    let _ = runs::start(&story.ports(), &story.connection(), RunKind::Full).await;
    deliver(story).await
}

/// What happens on both sides meanwhile.
fn things_happen(story: &Story) {
    let first = |module: &str| {
        let row = story.rows(module).unwrap().remove(0);
        row["id"].as_str().unwrap().to_owned()
    };
    let (account, contact) = (first("Accounts"), first("Contacts"));
    let edit = |module, id: &str, values: Json| story.zoho_edits(module, id, &values).unwrap();
    edit(
        "Accounts",
        &account,
        json!({ "Account_Name": "Renamed", "Health_Score": 7.25 }),
    );
    edit(
        "Contacts",
        &contact,
        json!({ "Account_Name": { "id": account }, "Phone": "+1 555" }),
    );
    story
        .zoho_creates("Deals", &json!({ "Deal_Name": "New", "Stage": "Qualification", "Account_Name": { "id": account } }))
        .unwrap();
    story.zoho_deletes("Tasks", &first("Tasks")).unwrap();
    let message = Writeback::Edit {
        version: Version,
        connection: story.connection(),
        object: Object::Task,
        edits: vec![edit_of(
            json!({ "id": "t-1", "fields": { "subject": "Made here" } }),
        )],
    };
    story.world.queue.writeback.send([message]);
}

fn edit_of(json: Json) -> Edit {
    serde_json::from_value(json).unwrap()
}

/// Whether both sides are the same: who is there, and with which values.
async fn same(story: &Story) -> Result<(), TestCaseError> {
    let settings = story
        .world
        .store
        .settings(&story.connection())
        .await
        .unwrap()
        .settings;
    for object in OBJECTS {
        let rows: BTreeMap<String, Json> = story
            .rows(object.module())
            .unwrap()
            .into_iter()
            .map(|row| (row["id"].as_str().unwrap().to_owned(), row))
            .collect();
        let live = story.world.store.live_records(&story.connection(), object);
        let linked: Vec<_> = live
            .iter()
            .filter_map(|record| Some((record.zoho_id?.to_string(), record)))
            .collect();
        let ids: BTreeSet<&String> = linked.iter().map(|(id, _)| id).collect();
        prop_assert_eq!(
            ids.len(),
            linked.len(),
            "two {}s share a Zoho record",
            object
        );
        let plan = FieldPlan::compile(&settings, object);
        for (id, record) in &linked {
            prop_assert!(rows.contains_key(id), "{} {} is not in Zoho", object, id);
            let row = serde_json::from_str(&rows[id].to_string()).unwrap();
            for (field, wanted) in plan.read(&row, &Neighbours::new()).values {
                if matches!(wanted, Value::Reference(_)) || record.pending.contains_key(&field) {
                    continue;
                }
                let shown = record.fields.get(&field).unwrap_or(&Value::Null);
                let refers = matches!(shown, Value::Reference(_));
                prop_assert!(
                    refers || *shown == wanted,
                    "{} {}: {} is {:?}, not {:?}",
                    object,
                    id,
                    field,
                    shown,
                    wanted
                );
            }
        }
        if object == Object::Account {
            prop_assert_eq!(ids.len(), rows.len(), "accounts lack");
        }
    }
    let made = story.rows("Tasks").unwrap();
    let made = made
        .iter()
        .filter(|row| row["Subject"] == "Made here")
        .count();
    prop_assert!(made <= 1, "the task was created {} times", made);
    Ok(())
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn answers_that_go_wrong_lose_nothing(
        troubles in prop::collection::btree_map(1_usize..60, Trouble::any(), 1..6),
        from_the_start: bool,
    ) {
        futures::executor::block_on(async {
            let spec = OrganisationSpec {
                accounts: 5,
                contacts: Some(8),
                deals: Some(5),
                tasks: Some(8),
                users: Some(3),
                unique_external_id: true,
                workflows: false,
                ..OrganisationSpec::small(7)
            };
            let mut story = Story::begin_with(&spec, settings()).await.unwrap();
            let garbled = Arc::new(Garbled { zoho: story.zoho.clone(), troubles: Mutex::default() });
            story.world.crm = Arc::new(ZohoCrm::with_transport(SimulatedZoho::directory(), garbled.clone()));
            if !from_the_start {
                day(&story).await?;
                same(&story).await?;
            }
            *garbled.troubles.lock().unwrap() = Troubles { calls: 0, at: troubles };
            things_happen(&story);
            day(&story).await?;
            day(&story).await?;
            garbled.troubles.lock().unwrap().at.clear();
            for _ in 0..3 {
                day(&story).await?;
            }
            same(&story).await
        })?;
    }
}
