//! The hand that lets things happen.

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use stories::CONNECTION;
use tandem::flow::job::Deadline;
use tandem::flow::{edits, poll, runs};
use tandem::message::{Edit, Version, Writeback};
use tandem::object::Object;
use tandem::port::Due;
use tandem::run::RunKind;
use tandem_memory::{Failure, Fault, When};
use zoho_sim::OrganisationSpec;
use zoho_sim::faults::{Fault as ZohoFault, Moment, Throttle};

use crate::{Reached, Stage, Step};

/// The kinds of faults, as the report names them.
pub(crate) const FAULTS: [&str; 6] = [
    "port failed before its effect",
    "port failed after its effect",
    "worker killed",
    "Zoho failed before its effect",
    "Zoho failed after its effect",
    "message delivered again after a failure",
];

/// The modules of the objects that people edit in Zoho.
const MODULES: [&str; 4] = ["Accounts", "Contacts", "Deals", "Tasks"];

/// The hand, and what it asked of the platform.
pub(crate) struct Hand<'a> {
    story: &'a Stage,
    /// Subjects of tasks that the platform made, by their platform ids.
    pub(crate) tasks: BTreeMap<String, String>,
    deleted: Vec<(&'static str, String)>,
    number: u64,
}

/// The world of a seed, synced once.
pub(crate) async fn begin(seed: u64) -> Result<Stage> {
    let spec = OrganisationSpec {
        accounts: 5,
        contacts: Some(8),
        deals: Some(5),
        tasks: Some(8),
        users: Some(3),
        unique_external_id: true,
        workflows: false,
        ..OrganisationSpec::small(seed)
    };
    Stage::begin_with(&spec, settings(seed)).await
}

/// Settings that chance decides.
fn settings(number: u64) -> Json {
    let policy = ["zoho_wins", "platform_wins", "latest_wins"][(number % 3) as usize];
    let mut settings = json!({
        "account_external_id": "External_ID",
        "core_writeback": true,
        "conflicts": policy,
        "removal_guard": { "percent": 100, "records": 1_000 },
        "objects": {
            "account": {
                "filter": { "where": { "field": "Customer_Status", "comparator": "equal", "value": "Active" } },
                "custom_fields": { "health": "decimal", "deals": "integer" },
                "mappings": [{ "zoho": "Health_Score", "platform": "health", "editable": true }],
                "calculated": [{ "platform": "deals", "over": "deal", "value": "count" }]
            },
            "contact": { "mappings": [{ "zoho": "Phone", "platform": "phone", "editable": true }] }
        }
    });
    if number.is_multiple_of(5) {
        settings["objects"]["account"]["filter"] = json!({ "all": [] });
    }
    if number.is_multiple_of(7) {
        let title = json!({ "zoho": "Title", "platform": "title" });
        if let Some(mappings) = settings["objects"]["contact"]["mappings"].as_array_mut() {
            mappings.push(title);
        }
    }
    settings
}

impl<'a> Hand<'a> {
    pub(crate) const fn new(story: &'a Stage) -> Self {
        Self {
            story,
            tasks: BTreeMap::new(),
            deleted: Vec::new(),
            number: 0,
        }
    }

    fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Lets a step happen. What the step asks for may be impossible as things stand; then nothing happens.
    pub(crate) async fn take(&mut self, step: &Step, reached: &mut Reached) -> Result<()> {
        let story = self.story;
        let happened = match step {
            Step::ZohoEdits(number) => self.edits_in_zoho(*number)?,
            Step::ZohoCreates(number) => self.creates_in_zoho(*number)?,
            Step::ZohoDeletes(number) => self.deletes_in_zoho(*number)?,
            Step::ZohoRestores(number) => self.restores_in_zoho(*number)?,
            Step::ZohoMoves(number) => self.moves_in_zoho(*number)?,
            Step::ZohoRenames(number) => self.renames_in_zoho(*number)?,
            Step::ZohoMerges(number) => self.merges_in_zoho(*number)?,
            Step::ZohoScopes(number) => {
                let status = ["Active", "Churned"][(number / 64 % 2) as usize];
                self.changes("Accounts", *number, &json!({ "Customer_Status": status }))?
            }
            Step::PlatformEdits(number) => self.edits_here(*number).await?,
            Step::PlatformSends(number) => self.sends(*number)?,
            Step::PlatformCreates(number) => self.creates_here(*number).await?,
            Step::SettingsChange(number) => {
                story.save_settings(settings(*number)).await?;
                true
            }
            Step::Tick => {
                let deadline = Deadline(story.world.now() + SignedDuration::from_mins(5));
                let ports = story.ports();
                let tick = poll::tick(&ports, Due::Routine, deadline);
                matches!(story.world.faults.run(tick).await, Ok(Ok(ticked)) if ticked.started > 0)
            }
            Step::Night => {
                let (ports, connection) = (story.ports(), story.connection());
                let night = runs::start(&ports, &connection, RunKind::Full);
                matches!(story.world.faults.run(night).await, Ok(Ok(_)))
            }
            Step::Deliver(number) => self.deliver(*number, 1, reached).await?,
            Step::DeliverSome(number) => {
                let mut any = false;
                for turn in 0..(2 + number / 64 % 10) {
                    any |= self
                        .deliver(number.rotate_left(turn as u32), 1, reached)
                        .await?;
                }
                any
            }
            Step::DeliverTwice(number) => self.deliver(*number, 2, reached).await?,
            Step::Kill(number) => {
                let when = [When::Before, When::After][(number / 32 % 2) as usize];
                story
                    .world
                    .faults
                    .at(1 + number / 64 % 12, Fault::Crash(when));
                let calls = story.world.faults.calls();
                let any = self.deliver(*number, 1, reached).await?;
                story.world.faults.clear();
                any && story.world.faults.calls() > calls
            }
            Step::PortFails(number) => {
                let failure = [Failure::Conflict, Failure::Throttled, Failure::Unavailable]
                    [(number / 64 % 3) as usize];
                let when = [When::Before, When::Midway, When::After][(number / 256 % 3) as usize];
                story
                    .world
                    .faults
                    .at(1 + number % 20, Fault::Fail(when, failure));
                reached.count(match when {
                    When::Before | When::Midway => "port failed before its effect",
                    When::After => "port failed after its effect",
                });
                true
            }
            Step::ZohoFails(number) => {
                let after = number % 2 == 0;
                story.zoho.model().faults.fail(ZohoFault {
                    skip: (number / 2 % 4) as u32,
                    moment: if after { Moment::After } else { Moment::Before },
                    status: [0, 500, 503][(number / 64 % 3) as usize],
                    ..ZohoFault::default()
                });
                reached.count(match after {
                    true => "Zoho failed after its effect",
                    false => "Zoho failed before its effect",
                });
                true
            }
            Step::ZohoThrottles(number) => {
                story.zoho.model().faults.throttle(Throttle {
                    calls: Some(1 + (number % 3) as u32),
                    ..Throttle::default()
                });
                true
            }
            Step::Seconds(number) => {
                self.pass(SignedDuration::from_secs((1 + number % 400).cast_signed()));
                true
            }
            Step::Hours(number) => {
                self.pass(SignedDuration::from_mins((60 + number % 120).cast_signed()));
                true
            }
            Step::IndexesLag(number) => {
                story.world.store.lag_indexes((number % 3) as usize);
                true
            }
        };
        if happened {
            reached.count(step.kind());
        }
        Ok(())
    }

    /// Lets time pass, in which the indexes catch up.
    fn pass(&self, time: SignedDuration) {
        self.story.pass(time);
        self.story.world.store.settle_indexes();
    }

    /// A record of a module in Zoho.
    fn pick(&self, module: &str, number: u64) -> Result<Option<Json>> {
        let rows = self.story.rows(module)?;
        let at = usize::try_from(number)? % rows.len().max(1);
        Ok(rows.into_iter().nth(at))
    }

    fn id_of(row: &Json) -> String {
        row["id"].as_str().unwrap_or_default().to_owned()
    }

    fn changes(&self, module: &str, number: u64, values: &Json) -> Result<bool> {
        let Some(row) = self.pick(module, number)? else {
            return Ok(false);
        };
        self.story.zoho_edits(module, &Self::id_of(&row), values)?;
        Ok(true)
    }

    fn edits_in_zoho(&mut self, number: u64) -> Result<bool> {
        let fresh = self.next();
        let module = MODULES[(number / 64 % 4) as usize];
        let values = match module {
            "Accounts" => {
                json!({ "Health_Score": fresh, "Account_Name": format!("Account {}", fresh % 9) })
            }
            "Contacts" => {
                json!({ "Phone": format!("+1 555 {fresh:04}"), "Title": format!("Title {fresh}") })
            }
            "Deals" => json!({ "Amount": fresh }),
            _ => {
                json!({ "Status": status_of(fresh), "Description": format!("{fresh}") })
            }
        };
        self.changes(module, number, &values)
    }

    fn creates_in_zoho(&mut self, number: u64) -> Result<bool> {
        let story = self.story;
        let fresh = self.next();
        let account = self.pick("Accounts", number)?.map(|row| Self::id_of(&row));
        let module = MODULES[(number / 64 % 4) as usize];
        let values = match (module, account) {
            ("Accounts", _) | (_, None) => {
                let status = ["Active", "Churned"][(number / 512 % 2) as usize];
                let values = json!({ "Account_Name": format!("New {fresh}"), "External_ID": format!("N-{fresh}"), "Customer_Status": status });
                story.zoho_creates("Accounts", &values)?;
                return Ok(true);
            }
            ("Contacts", Some(account)) => {
                json!({ "Last_Name": "New", "Email": format!("new-{fresh}@example.com"), "Account_Name": { "id": account } })
            }
            ("Deals", Some(account)) => {
                json!({ "Deal_Name": format!("New {fresh}"), "Stage": "Qualification", "Account_Name": { "id": account } })
            }
            (_, Some(account)) => {
                json!({ "Subject": format!("New {fresh}"), "What_Id": { "id": account }, "$se_module": "Accounts" })
            }
        };
        story.zoho_creates(module, &values)?;
        Ok(true)
    }

    fn deletes_in_zoho(&mut self, number: u64) -> Result<bool> {
        let module = MODULES[(number / 64 % 4) as usize];
        let Some(row) = self.pick(module, number)? else {
            return Ok(false);
        };
        self.story.zoho_deletes(module, &Self::id_of(&row))?;
        self.deleted.push((module, Self::id_of(&row)));
        Ok(true)
    }

    fn restores_in_zoho(&mut self, number: u64) -> Result<bool> {
        if self.deleted.is_empty() {
            return Ok(false);
        }
        let at = usize::try_from(number)? % self.deleted.len();
        let (module, id) = self.deleted.remove(at);
        Ok(self.story.zoho_restores(module, &id).is_ok())
    }

    fn moves_in_zoho(&mut self, number: u64) -> Result<bool> {
        let Some(account) = self.pick("Accounts", number / 4096)? else {
            return Ok(false);
        };
        let module = ["Contacts", "Deals"][(number / 64 % 2) as usize];
        let values = json!({ "Account_Name": { "id": Self::id_of(&account) } });
        self.changes(module, number, &values)
    }

    fn renames_in_zoho(&mut self, number: u64) -> Result<bool> {
        let fresh = self.next();
        let id = match number / 64 % 4 {
            0 => Json::Null,
            _ => format!("R-{fresh}").into(),
        };
        self.changes("Accounts", number, &json!({ "External_ID": id }))
    }

    fn merges_in_zoho(&mut self, number: u64) -> Result<bool> {
        let story = self.story;
        let (Some(winner), Some(loser)) = (
            self.pick("Contacts", number)?,
            self.pick("Contacts", number / 64)?,
        ) else {
            return Ok(false);
        };
        let (winner, loser) = (Self::id_of(&winner), Self::id_of(&loser));
        if winner == loser {
            return Ok(false);
        }
        let now = story.zoho.now();
        let (winner, loser) = (winner.parse()?, [loser.parse()?]);
        let mut model = story.zoho.model();
        Ok(model
            .merge(story.organisation, "Contacts", winner, &loser, None, now)
            .is_ok())
    }

    /// An edit of a record on the platform.
    fn edit(&mut self, number: u64) -> Result<Option<(Object, Edit)>> {
        let story = self.story;
        let fresh = self.next();
        let object = [Object::Account, Object::Contact, Object::Task][(number / 64 % 3) as usize];
        let records = story.world.store.live_records(&story.connection(), object);
        let at = usize::try_from(number)? % records.len().max(1);
        let Some(record) = records.into_iter().nth(at) else {
            return Ok(None);
        };
        let fields = match object {
            Object::Account => json!({ "health": fresh.to_string() }),
            Object::Contact => json!({ "phone": format!("+49 30 {fresh:04}") }),
            _ => {
                json!({ "status": status_of(fresh) })
            }
        };
        let edit = serde_json::from_value(json!({ "id": record.id, "fields": fields }))?;
        Ok(Some((object, edit)))
    }

    async fn accepts(&self, object: Object, edit: Edit) -> Result<bool> {
        let story = self.story;
        let (ports, connection) = (story.ports(), story.connection());
        let accepting = edits::accept(&ports, &connection, object, vec![edit]);
        // Whoever gets no answer asks again, or not; an edit that was stored is swept.
        let answers = story.world.faults.run(accepting).await;
        Ok(matches!(answers, Ok(Ok(answers)) if answers.iter().all(|answer| answer.accepted)))
    }

    async fn edits_here(&mut self, number: u64) -> Result<bool> {
        match self.edit(number)? {
            Some((object, edit)) => self.accepts(object, edit).await,
            None => Ok(false),
        }
    }

    fn sends(&mut self, number: u64) -> Result<bool> {
        let Some((object, edit)) = self.edit(number)? else {
            return Ok(false);
        };
        let message = Writeback::Edit {
            version: Version,
            connection: CONNECTION.parse()?,
            object,
            edits: vec![edit],
        };
        self.story.world.queue.writeback.send([message]);
        Ok(true)
    }

    async fn creates_here(&mut self, number: u64) -> Result<bool> {
        let story = self.story;
        let fresh = self.next();
        let accounts = story
            .world
            .store
            .live_records(&story.connection(), Object::Account);
        let at = usize::try_from(number)? % accounts.len().max(1);
        let Some(account) = accounts.get(at) else {
            return Ok(false);
        };
        let (id, subject) = (format!("own-{fresh}"), format!("Own task {fresh}"));
        let fields = json!({ "subject": subject, "account": account.id });
        let edit = serde_json::from_value(json!({ "id": id, "fields": fields }))?;
        let accepted = self.accepts(Object::Task, edit).await?;
        if accepted {
            self.tasks.insert(id, subject);
        }
        Ok(accepted)
    }

    /// Delivers a message so many times; one that fails comes again later.
    async fn deliver(&mut self, number: u64, times: u32, reached: &mut Reached) -> Result<bool> {
        let story = self.story;
        let (work, writeback) = (&story.world.queue.work, &story.world.queue.writeback);
        let (waiting, edits) = (work.ready(), writeback.ready());
        if waiting + edits == 0 {
            return Ok(false);
        }
        let at = usize::try_from(number)? % (waiting + edits);
        let mut failed = false;
        if at < waiting {
            let Some(held) = work.take_at(at) else {
                return Ok(false);
            };
            for _ in 0..times {
                let handled = story
                    .world
                    .faults
                    .run(story.handle_work(&held.message))
                    .await;
                failed |= !matches!(handled, Ok(Ok(())));
                if handled.is_err() {
                    reached.count("worker killed");
                }
            }
            if failed {
                work.put_back(held);
            }
        } else {
            let Some(held) = writeback.take_at(at - waiting) else {
                return Ok(false);
            };
            for _ in 0..times {
                let handling = story.handle_writeback(&held.message);
                let handled = story.world.faults.run(handling).await;
                failed |= !matches!(handled, Ok(Ok(())));
                if handled.is_err() {
                    reached.count("worker killed");
                }
            }
            if failed {
                writeback.put_back(held);
            }
        }
        if failed {
            reached.count("message delivered again after a failure");
        }
        Ok(true)
    }
}

/// One of a task's statuses.
const fn status_of(number: u64) -> &'static str {
    match number % 3 {
        0 => "Not Started",
        1 => "In Progress",
        _ => "Completed",
    }
}
