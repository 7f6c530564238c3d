//! What must hold after the storm. Each check is written from the rules and from Zoho's own records, and knows nothing of how the flows do it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use jiff::SignedDuration;
use serde_json::Value as Json;
use stories::name;
use tandem::mapping::{FieldPlan, Neighbours};
use tandem::object::Object;
use tandem::port::Connections as _;
use tandem::record::Record;
use tandem::run::{RunKind, RunStatus};
use tandem::settings::Settings;
use tandem::value::Value;

use crate::Stage;
use crate::hand::Hand;

/// When a message that failed comes again.
const AGAIN: SignedDuration = SignedDuration::from_mins(2);

/// How often a message may fail when nothing goes wrong any more.
const TRIES: u32 = 20;

/// Lets everything drain, syncs, and checks the promises.
pub(crate) async fn after_the_storm(story: &Stage, hand: &Hand<'_>) -> Result<()> {
    story.world.faults.clear();
    story.zoho.model().faults.clear();
    story.world.store.lag_indexes(0);
    drain(story).await.context("draining")?;
    // A run whose messages were never sent counts as cut short after this time.
    story.pass(SignedDuration::from_hours(21));
    for round in 0..2 {
        for kind in [RunKind::Routine, RunKind::Full] {
            sync(story, kind)
                .await
                .with_context(|| format!("{kind:?} sync {round} after the storm"))?;
        }
    }
    let settings = story
        .world
        .store
        .settings(&story.connection())
        .await?
        .settings;
    let (writes, request) = (story.writes(), story.latest_request());
    let night = sync(story, RunKind::Full)
        .await
        .context("the quiet night")?;
    ensure!(night == RunStatus::Complete, "the quiet night is {night:?}");
    let wrote = story.writes() - writes;
    // A creation that Zoho refuses is tried once more each night: its intent is stored before, and forgotten after.
    let records = story.world.store.all_records(&story.connection());
    let tried = records
        .iter()
        .filter(|record| record.parked.is_some() && record.zoho_id.is_none());
    let tried = tried.count() as u64;
    ensure!(
        wrote.records <= 2 * tried && wrote.links == 0,
        "P5: a night without changes wrote {} records and {} links",
        wrote.records,
        wrote.links
    );
    let calls = story.calls_since(request);
    let written: Vec<&String> = calls
        .iter()
        .filter(|call| {
            call.starts_with("PUT") || (call.starts_with("POST") && !call.contains("coql"))
        })
        .collect();
    // What is parked is tried once more each night, each with a call of its own at most.
    let parked = records.iter().filter(|record| record.parked.is_some());
    ensure!(
        written.len() <= parked.count(),
        "P5: a night without changes sent {written:?} to Zoho"
    );
    Platform::of(story, &settings)?.check(hand)
}

/// Ticks or starts a night, and delivers everything.
async fn sync(story: &Stage, kind: RunKind) -> Result<RunStatus> {
    story.pass(SignedDuration::from_mins(16));
    if kind == RunKind::Routine {
        story.tick().await?;
        return Ok(RunStatus::Complete);
    }
    let ran = story.full_sync().await?;
    ensure!(
        ran.run.status == RunStatus::Complete,
        "{:?}: {:?}",
        ran.run.status,
        ran.run.reason
    );
    Ok(ran.run.status)
}

async fn drain(story: &Stage) -> Result<()> {
    let (work, writeback) = (&story.world.queue.work, &story.world.queue.writeback);
    let mut tries: BTreeMap<String, u32> = BTreeMap::new();
    let mut failed_again = |id: &str| {
        let tried = tries.entry(id.to_owned()).or_default();
        *tried += 1;
        *tried >= TRIES
    };
    for _ in 0..20_000 {
        if let Some(held) = work.take() {
            if let Err(error) = story.handle_work(&held.message).await {
                ensure!(
                    !failed_again(&held.id),
                    "{:?} never heals: {error:#}",
                    held.message
                );
                work.put_back(held);
                story.pass(AGAIN);
            }
        } else if let Some(held) = writeback.take() {
            if let Err(error) = story.handle_writeback(&held.message).await {
                ensure!(
                    !failed_again(&held.id),
                    "{:?} never heals: {error:#}",
                    held.message
                );
                writeback.put_back(held);
                story.pass(AGAIN);
            }
        } else if let Some(next) = work.next_at().into_iter().chain(writeback.next_at()).min() {
            story.world.clock.set(next);
        } else {
            return Ok(());
        }
    }
    bail!("the queues do not run dry")
}

/// Both sides, side by side.
struct Platform<'a> {
    story: &'a Stage,
    settings: &'a Settings,
    /// Live records by object.
    live: BTreeMap<Object, Vec<Record>>,
    /// Zoho's rows by object and id.
    rows: BTreeMap<Object, BTreeMap<String, Json>>,
}

const OBJECTS: [Object; 4] = [Object::Account, Object::Contact, Object::Deal, Object::Task];

impl<'a> Platform<'a> {
    fn of(story: &'a Stage, settings: &'a Settings) -> Result<Self> {
        let mut live = BTreeMap::new();
        let mut rows = BTreeMap::new();
        for object in OBJECTS {
            let records = story.world.store.live_records(&story.connection(), object);
            live.insert(object, records);
            let of_object = story.rows(object.module())?.into_iter();
            let of_object =
                of_object.map(|row| (row["id"].as_str().unwrap_or_default().to_owned(), row));
            rows.insert(object, of_object.collect());
        }
        Ok(Self {
            story,
            settings,
            live,
            rows,
        })
    }

    fn check(&self, hand: &Hand<'_>) -> Result<()> {
        for object in OBJECTS {
            self.scope(object)
                .with_context(|| format!("P1, P3: the scope of {object}s"))?;
            for record in &self.live[&object] {
                self.values(record)
                    .with_context(|| format!("P1, P2: {object} {}", record.id))?;
            }
        }
        self.calculated().context("F5")?;
        self.tasks(hand).context("P6")
    }

    fn zoho_ids(&self, object: Object) -> BTreeSet<String> {
        let records = self.live[&object].iter();
        records
            .filter_map(|record| record.zoho_id.map(String::from))
            .collect()
    }

    fn is_in_scope(&self, object: Object, row: &Json) -> bool {
        let names = |field: &str, of: Object| {
            let id = row[field]["id"].as_str();
            id.is_some_and(|id| self.zoho_ids(of).contains(id))
        };
        match object {
            Object::Account => {
                let filtered = self
                    .settings
                    .object(Object::Account)
                    .filter
                    .is_some_and(|filter| {
                        serde_json::to_string(&filter).is_ok_and(|text| text.contains("Active"))
                    });
                !filtered || row["Customer_Status"] == "Active"
            }
            Object::Contact | Object::Deal => names("Account_Name", Object::Account),
            _ => {
                names("What_Id", Object::Account)
                    || names("What_Id", Object::Deal)
                    || names("Who_Id", Object::Contact)
            }
        }
    }

    fn identity(object: Object, row: &Json) -> Option<String> {
        let text = |field: &str| {
            let text = row[field].as_str().map(|text| text.trim().to_owned());
            text.filter(|text| !text.is_empty())
        };
        match object {
            Object::Account => text("External_ID"),
            Object::Contact => text("Email").map(|email| email.to_lowercase()),
            _ => row["id"].as_str().map(str::to_owned),
        }
    }

    fn scope(&self, object: Object) -> Result<()> {
        let present = self.zoho_ids(object);
        let rows = &self.rows[&object];
        for id in &present {
            let row = rows
                .get(id)
                .with_context(|| format!("{id} is not in Zoho any more"))?;
            ensure!(self.is_in_scope(object, row), "{id} is not in scope");
        }
        let linked = self.live[&object]
            .iter()
            .filter(|record| record.zoho_id.is_some());
        ensure!(
            linked.count() == present.len(),
            "two records share a Zoho record"
        );
        let known: BTreeSet<Option<String>> = present
            .iter()
            .filter_map(|id| rows.get(id))
            .map(|row| Self::identity(object, row))
            .collect();
        for (id, row) in rows {
            let Some(identity) = Self::identity(object, row) else {
                continue;
            };
            if self.is_in_scope(object, row) {
                ensure!(known.contains(&Some(identity)), "{id} is missing");
            }
        }
        Ok(())
    }

    fn values(&self, record: &Record) -> Result<()> {
        ensure!(
            record.pending.is_empty() || record.parked.is_some(),
            "edits wait and nothing says why: {:?}",
            record.pending
        );
        let Some(zoho) = record.zoho_id.map(String::from) else {
            return Ok(());
        };
        let row = &self.rows[&record.object][&zoho];
        let plan = FieldPlan::compile(self.settings, record.object);
        let theirs = plan.read(&serde_json::from_str(&row.to_string())?, &Neighbours::new());
        for (field, wanted) in &theirs.values {
            if record.pending.contains_key(field)
                || plan.field(field).is_some_and(|mapped| !mapped.pulls)
            {
                continue;
            }
            let shown = record.fields.get(field).unwrap_or(&Value::Null);
            let same = match (shown, wanted) {
                (Value::Reference(shown), Value::Reference(wanted)) => {
                    shown.zoho_id == wanted.zoho_id
                }
                // What a lookup names can't be told from the row alone.
                (Value::Reference(_), Value::Null) | (Value::Null, Value::Reference(_)) => {
                    record.object == Object::Task
                }
                (shown, wanted) => shown == wanted,
            };
            ensure!(same, "{field} is {shown:?}, and Zoho has {wanted:?}");
        }
        Ok(())
    }

    fn calculated(&self) -> Result<()> {
        for account in &self.live[&Object::Account] {
            let deals = self.live[&Object::Deal].iter();
            let deals = deals
                .filter(|deal| deal.account() == Some(&account.id))
                .count();
            let shown = account.fields.get(&name("deals"));
            ensure!(
                shown == Some(&Value::Integer(i64::try_from(deals)?)),
                "account {} shows {shown:?} deals of {deals}",
                account.id
            );
        }
        Ok(())
    }

    fn tasks(&self, hand: &Hand<'_>) -> Result<()> {
        for (id, subject) in &hand.tasks {
            let rows = self.rows[&Object::Task].values();
            let found = rows
                .filter(|row| row["Subject"] == subject.as_str())
                .count();
            ensure!(found <= 1, "task {id} is in Zoho {found} times");
            let records = self.story.world.store.all_records(&self.story.connection());
            let record = records.into_iter().find(|record| record.id.as_str() == id);
            let record =
                record.with_context(|| format!("P2: task {id} was accepted and is gone"))?;
            let settled =
                record.removed.is_some() || record.parked.is_some() || record.zoho_id.is_some();
            ensure!(
                settled,
                "P2: task {id} never reached Zoho, and nothing says why"
            );
        }
        Ok(())
    }
}
