//! What must hold after the storm. Each check is written from the rules and from Zoho's own records, and knows nothing of how the flows do it.

mod flagged;
mod past;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use anyhow::{Context as _, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;
use stories::{Story, name};
use tandem::mapping::{FieldPlan, Neighbours};
use tandem::object::Object;
use tandem::port::Connections as _;
use tandem::record::{Link, Record};
use tandem::run::{RunKind, RunStatus};
use tandem::settings::{Settings, SourceMode};
use tandem::value::Value;

use tandem_memory::Writes;

use crate::dice::Dice;
use crate::fate;
use crate::hand::{Hand, writes};
use crate::scene::Side;

/// How many full syncs may follow each other because the one before still brought something to Zoho, or a person said yes.
const MOST_ROUNDS: usize = 5;

/// Lets everything drain, syncs, and checks the promises.
pub(crate) async fn after_the_storm(hand: &mut Hand<'_>, seed: u64) -> Result<()> {
    let recorder = hand.scene.recorder.clone();
    recorder.say(|| "the storm is over".to_owned());
    hand.calm();
    let since = match hand.put_back {
        true => hand.scene.zoho.now(),
        false => Timestamp::MIN,
    };
    hand.shows_all()?;
    let mut dice = Dice::new(seed);
    // Whoever is at it comes to an end before the customers connect again.
    hand.comes_to_rest(&mut dice)?;
    hand.switches_all_on(&mut dice).await?;
    hand.drain(&mut dice).await.context("draining")?;
    recorder.say(|| "both sides at once".to_owned());
    hand.duels(&mut dice).await.context("both sides at once")?;
    // A run whose messages were never sent counts as cut short after this time, and spent credits have come back.
    hand.pass(SignedDuration::from_hours(25));
    // The poller sweeps the edits that wait; then one full sync has to do. What the platform still brings to Zoho at that is new to the next,
    // and so is what a person says yes to.
    let begun = hand.scene.zoho.now();
    sync_as(hand, RunKind::Routine, &mut dice).await?;
    flagged_is_here(hand, since..begun).await?;
    afternoon(hand, since, &mut dice).await?;
    for round in 0.. {
        ensure!(round < MOST_ROUNDS, "P5: it never comes to rest");
        let request = hand.scene.zoho.model().journal.latest();
        sync_as(hand, RunKind::Full, &mut dice).await?;
        let approved = approve_all(hand, &mut dice).await?;
        sync_as(hand, RunKind::Routine, &mut dice).await?;
        if !approved && written_since(hand, request).is_empty() {
            break;
        }
    }
    promises(hand).await?;
    let (before, links) = (hand.scene.world.store.writes(), links(hand));
    let request = hand.scene.zoho.model().journal.latest();
    recorder.say(|| "the quiet night".to_owned());
    sync(hand, RunKind::Full, &mut dice)
        .await
        .context("the quiet night")?;
    silence(hand, before, &links, request)?;
    promises(hand).await
}

/// What holds at any rest.
async fn promises(hand: &Hand<'_>) -> Result<()> {
    if let Some(crossed) = hand.crossed() {
        bail!("{crossed}");
    }
    for side in &hand.scene.sides {
        let id = side.story.connection();
        let settings = side.story.world.store.settings(&id).await?.settings;
        let platform = Platform::of(&side.story, &settings)?;
        platform.check(side).with_context(|| id.to_string())?;
        past::check(hand, side, &platform)
            .await
            .with_context(|| id.to_string())?;
        let policy = fate::steady_policy(&side.settings);
        fate::check(side, &side.seen, &settings, policy).with_context(|| id.to_string())?;
        no_automation_ran(hand, side).with_context(|| id.to_string())?;
        no_run_hangs(hand, side).with_context(|| id.to_string())?;
        alone(hand, side).with_context(|| id.to_string())?;
    }
    Ok(())
}

/// What people edit in Zoho right behind a routine sync comes with the next.
async fn afternoon(hand: &mut Hand<'_>, since: Timestamp, dice: &mut Dice) -> Result<()> {
    hand.edits_everywhere(dice)?;
    hand.pass(SignedDuration::from_secs(2));
    let begun = hand.scene.zoho.now();
    sync(hand, RunKind::Routine, dice)
        .await
        .context("a routine sync in the afternoon")?;
    flagged_is_here(hand, since..begun).await
}

/// What Zoho had flagged at some time before a routine sync began is here.
async fn flagged_is_here(hand: &Hand<'_>, flagged: Range<Timestamp>) -> Result<()> {
    for side in &hand.scene.sides {
        let (store, id) = (&hand.scene.world.store, side.story.connection());
        let settings = store.settings(&id).await?.settings;
        let platform = Platform::of(&side.story, &settings)?;
        let versions = store.settings_history(&id, None, 1_000).await?.items;
        platform
            .flagged(side, &versions, &store.all_candidates(&id), &flagged)
            .with_context(|| id.to_string())?;
    }
    Ok(())
}

async fn sync_as(hand: &mut Hand<'_>, kind: RunKind, dice: &mut Dice) -> Result<()> {
    let recorder = hand.scene.recorder.clone();
    recorder.say(|| format!("a {kind:?} sync after the storm"));
    let synced = sync(hand, kind, dice).await;
    synced.with_context(|| format!("a {kind:?} sync after the storm"))
}

/// The requests since one that wrote records in Zoho.
fn written_since(hand: &Hand<'_>, request: u64) -> Vec<String> {
    let model = hand.scene.zoho.model();
    let written = model.journal.since(request).filter(|served| writes(served));
    written
        .map(|served| format!("{} {}", served.method, served.path))
        .collect()
}

/// A person says yes to every removal that is held; true when there was one.
async fn approve_all(hand: &mut Hand<'_>, dice: &mut Dice) -> Result<bool> {
    let mut approved = false;
    for side in 0..hand.scene.sides.len() {
        for object in hand.held(side) {
            hand.decide(side, object, true, dice);
            approved = true;
        }
    }
    hand.drain(dice).await?;
    Ok(approved)
}

/// Every link of every connection.
fn links(hand: &Hand<'_>) -> Vec<Link> {
    let store = &hand.scene.world.store;
    let sides = hand.scene.sides.iter();
    sides
        .flat_map(|side| store.all_links(&side.story.connection()))
        .collect()
}

/// A night in which nothing changed writes nothing (P5).
fn silence(hand: &Hand<'_>, before: Writes, links_before: &[Link], request: u64) -> Result<()> {
    let wrote = hand.scene.world.store.writes() - before;
    let mut records = Vec::new();
    for side in &hand.scene.sides {
        records.extend(hand.scene.world.store.all_records(&side.story.connection()));
    }
    // A creation that Zoho refuses is tried once more each night: its intent is stored before, and forgotten after.
    let tried = records
        .iter()
        .filter(|record| record.parked.is_some() && record.zoho_id.is_none());
    let tried = tried.count() as u64;
    ensure!(
        wrote.records <= 2 * tried && wrote.links == 0,
        "P5: a night without changes wrote {} records and {} links: {:?}",
        wrote.records,
        wrote.links,
        links(hand)
            .iter()
            .filter(|link| !links_before.contains(link))
            .collect::<Vec<_>>()
    );
    let written = written_since(hand, request);
    // What is parked is tried once more each night, each with a call of its own at most.
    let parked = records.iter().filter(|record| record.parked.is_some());
    ensure!(
        written.len() <= parked.count(),
        "P5: a night without changes sent {written:?} to Zoho"
    );
    Ok(())
}

/// Nobody asks for automations in the simulation's settings (W5).
fn no_automation_ran(hand: &Hand<'_>, side: &Side) -> Result<()> {
    let model = hand.scene.zoho.model();
    let organisation = model.organisation(side.story.organisation);
    let organisation = organisation.context("no organisation")?;
    let mut ran = organisation.automations.iter();
    let asked = ran.find(|run| !run.kinds.is_empty());
    ensure!(
        asked.is_none(),
        "W5: a write started automations: {asked:?}"
    );
    Ok(())
}

/// Whatever became of its messages, a run has ended when the next night has come (P5).
fn no_run_hangs(hand: &Hand<'_>, side: &Side) -> Result<()> {
    let now = hand.scene.world.now();
    let runs = hand.scene.world.store.all_runs(&side.story.connection());
    let hung = runs.iter().find(|run| {
        run.status == RunStatus::Running
            && now.duration_since(run.started_at) > SignedDuration::from_hours(24)
    });
    match hung {
        Some(run) => bail!("P5: {:?} sync {} hangs", run.kind, run.id),
        None => Ok(()),
    }
}

/// Nothing of a connection says anything of another (P7).
fn alone(hand: &Hand<'_>, side: &Side) -> Result<()> {
    let (store, id) = (&hand.scene.world.store, side.story.connection());
    let tables = format!(
        "{:?} {:?} {:?}",
        store.all_records(&id),
        store.all_links(&id),
        store.all_entries(&id)
    );
    for other in &hand.scene.sides {
        let name = other.story.connection();
        ensure!(
            name == id || !tables.contains(name.as_str()),
            "P7: its tables say something of {name}"
        );
    }
    Ok(())
}

/// Ticks or starts a night for every connection, and delivers everything.
async fn sync(hand: &mut Hand<'_>, kind: RunKind, dice: &mut Dice) -> Result<()> {
    hand.pass(SignedDuration::from_mins(16));
    let mut nights = Vec::new();
    match kind {
        RunKind::Routine => hand.ticks_in_peace(dice),
        RunKind::Full => {
            for side in 0..hand.scene.sides.len() {
                hand.night(side, dice);
                nights.push(side);
            }
        }
    }
    hand.drain(dice).await?;
    for side in nights {
        let story = &hand.scene.sides[side].story;
        let runs = hand.scene.world.store.all_runs(&story.connection());
        let latest = runs.iter().rev().find(|run| run.kind == RunKind::Full);
        let latest = latest.context("no full sync started")?;
        ensure!(
            latest.status == RunStatus::Complete,
            "the full sync of {} is {:?}: {:?}",
            story.connection(),
            latest.status,
            latest.reason
        );
    }
    Ok(())
}

/// Both sides, side by side.
struct Platform<'a> {
    settings: &'a Settings,
    /// Live records by object.
    live: BTreeMap<Object, Vec<Record>>,
    /// Zoho's rows by object and id.
    rows: BTreeMap<Object, BTreeMap<String, Json>>,
    /// Every record that the platform ever had.
    known: BTreeSet<(Object, String)>,
}

/// The platform id of a row by its identity.
fn name_of(object: Object, identity: &str) -> String {
    match object {
        Object::Account | Object::Contact => identity.to_owned(),
        _ => format!("zoho-{identity}"),
    }
}

/// What a row is known by.
pub(crate) fn external_id(object: Object, row: &Json) -> Option<String> {
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

/// The objects that people edit in Zoho.
pub(crate) const OBJECTS: [Object; 4] =
    [Object::Account, Object::Contact, Object::Deal, Object::Task];

impl<'a> Platform<'a> {
    fn of(story: &Story, settings: &'a Settings) -> Result<Self> {
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
        let records = story.world.store.all_records(&story.connection());
        let known = records
            .into_iter()
            .map(|record| (record.object, record.id.to_string()));
        Ok(Self {
            settings,
            live,
            rows,
            known: known.collect(),
        })
    }

    fn check(&self, side: &Side) -> Result<()> {
        for object in OBJECTS {
            self.scope(object)
                .with_context(|| format!("P1, P3: the scope of {object}s"))?;
            for record in &self.live[&object] {
                self.values(record)
                    .with_context(|| format!("P1, P2: {object} {}", record.id))?;
                self.reasons(record)
                    .with_context(|| format!("W3, W7: {object} {}", record.id))?;
            }
        }
        self.calculated().context("F5")?;
        self.made(side).context("P6")
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
            Object::Contact => {
                let filtered = self.settings.object(Object::Contact).filter.is_some();
                let hidden = filtered && row["Last_Name"] == "Hidden";
                !hidden && names("Account_Name", Object::Account)
            }
            Object::Deal => names("Account_Name", Object::Account),
            _ => {
                names("What_Id", Object::Account)
                    || names("What_Id", Object::Deal)
                    || names("Who_Id", Object::Contact)
            }
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
        // A record keeps its external id when its row's is emptied, so it is the record that says who has it.
        let linked = self.live[&object].iter();
        let linked = linked.filter(|record| record.zoho_id.is_some());
        let taken: BTreeSet<String> = linked.map(|record| record.id.to_string()).collect();
        for (id, row) in rows {
            let Some(identity) = external_id(object, row) else {
                continue;
            };
            let enriches = self.settings.source_mode == SourceMode::EnrichOnly;
            let unknown = enriches && !self.known.contains(&(object, name_of(object, &identity)));
            if self.is_in_scope(object, row) && !unknown {
                let there = present.contains(id) || taken.contains(&name_of(object, &identity));
                ensure!(there, "{id} is missing");
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
        self.pulled(record, |_| true)
    }

    /// What Zoho has of a record is what the platform shows, of the values that are asked about.
    fn pulled(&self, record: &Record, asked: impl Fn(&Value) -> bool) -> Result<()> {
        let Some(zoho) = record.zoho_id.map(String::from) else {
            return Ok(());
        };
        let row = &self.rows[&record.object][&zoho];
        let plan = FieldPlan::compile(self.settings, record.object);
        let theirs = plan.read(&serde_json::from_str(&row.to_string())?, &Neighbours::new());
        for (field, wanted) in theirs.values.iter().filter(|(_, wanted)| asked(wanted)) {
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
            // An account that only the platform has may wait for its first deal: nobody asks again for an edit that was cut off.
            if account.zoho_id.is_none() && deals == 0 && shown.is_none() {
                continue;
            }
            ensure!(
                shown == Some(&Value::Integer(i64::try_from(deals)?)),
                "account {} shows {shown:?} deals of {deals}",
                account.id
            );
        }
        Ok(())
    }

    /// What the platform made is in Zoho once at most, and an accepted edit is nowhere lost from sight.
    fn made(&self, side: &Side) -> Result<()> {
        for ((object, id), marker) in &side.made {
            let field = match object {
                Object::Account => "External_ID",
                Object::Contact => "Email",
                _ => "Subject",
            };
            let rows = self.rows[object].values();
            let is_made = |row: &&Json| {
                let shown = row[field].as_str().unwrap_or_default();
                match object {
                    Object::Task => shown.starts_with(marker),
                    _ => shown == marker,
                }
            };
            let found = rows.filter(is_made).count();
            ensure!(found <= 1, "{object} {id} is in Zoho {found} times");
        }
        Ok(())
    }

    /// What waits says truly why (W3, W7).
    fn reasons(&self, record: &Record) -> Result<()> {
        let Some(parked) = &record.parked else {
            return Ok(());
        };
        let selected = &self.settings.segments;
        let outside = !selected.is_empty() && selected.is_disjoint(&record.segments);
        ensure!(
            (parked.code == "OUT_OF_SEGMENT") == outside,
            "it is parked as {}, with the segments {:?} of {selected:?}",
            parked.code,
            record.segments
        );
        let here = record.zoho_id.map(String::from);
        let there = here.is_some_and(|id| self.rows[&record.object].contains_key(&id));
        let creates = self.settings.creates_in_zoho(record.object);
        ensure!(
            parked.code != "NOT_IN_ZOHO" || (!there && !creates) || record.zoho_id.is_some(),
            "it is parked as {}, and could be created",
            parked.code
        );
        Ok(())
    }
}
