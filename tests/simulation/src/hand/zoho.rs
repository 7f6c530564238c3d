//! What people do in Zoho.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value as Json, json};
use tandem::identifier::PlatformId;
use tandem::object::Object;

use super::Hand;
use super::platform::status_of;
use crate::check::external_id;
use crate::dice::Dice;
use crate::scene::{Given, MODULES, Side};

/// The fields that an administrator hides at times.
const HIDEABLE: [(Object, &str); 3] = [
    (Object::Contact, "Phone"),
    (Object::Account, "Health_Score"),
    (Object::Task, "Description"),
];

/// The fields that people edit, and set back.
const EDITED: [(Object, &[&str]); 4] = [
    (Object::Account, &["Health_Score", "Account_Name"]),
    (Object::Contact, &["Phone", "Title", "Last_Name"]),
    (Object::Deal, &["Amount"]),
    (Object::Task, &["Status", "Description"]),
];

impl Hand<'_> {
    fn module(dice: &mut Dice) -> &'static str {
        dice.pick(&MODULES).copied().unwrap_or("Accounts")
    }

    /// The id of a record of a module in Zoho.
    fn pick(&self, side: usize, module: &str, dice: &mut Dice) -> Result<Option<String>> {
        let rows = self.at(side).story.rows(module)?;
        let row = dice.pick(&rows);
        Ok(row.map(|row| row["id"].as_str().unwrap_or_default().to_owned()))
    }

    fn changes(
        &mut self,
        side: usize,
        module: &'static str,
        values: &Json,
        dice: &mut Dice,
    ) -> Result<bool> {
        match self.pick(side, module, dice)? {
            Some(id) => self.change(side, module, &id, values),
            None => Ok(false),
        }
    }

    fn change(
        &mut self,
        side: usize,
        module: &'static str,
        id: &str,
        values: &Json,
    ) -> Result<bool> {
        let story = &self.at(side).story;
        let said = || {
            format!(
                "      in {} {module} {id} gets {values}",
                story.connection()
            )
        };
        self.scene.recorder.say(said);
        let before = story.row(module, id)?;
        story.zoho_edits(module, id, values)?;
        // Nobody writes what they can't see.
        let row = story.row(module, id)?;
        let mut values = values.clone();
        if let Some(values) = values.as_object_mut() {
            values.retain(|field, value| row[field] == *value);
        }
        let given = Given {
            module,
            id: id.to_owned(),
            values,
            versions: self.versions(side, module),
        };
        self.scene.sides[side].past.values.push(given);
        self.frees(side, module, id, &before)?;
        Ok(true)
    }

    /// The version that each of the platform's records of a module has.
    fn versions(&self, side: usize, module: &str) -> BTreeMap<PlatformId, u64> {
        let connection = self.at(side).story.connection();
        let mut records = self.scene.world.store.all_records(&connection);
        records.retain(|record| record.object.module() == module);
        let records = records.into_iter();
        records.map(|record| (record.id, record.version)).collect()
    }

    /// A person sets a record back to what it said before it was changed last; false when it always said the same, or is gone.
    fn sets_back(&mut self, side: usize, module: &'static str, id: &str) -> Result<bool> {
        let Side { story, seen, .. } = self.at(side);
        let Ok(now) = story.row(module, id) else {
            return Ok(false);
        };
        let mut earlier = None;
        for (object, fields) in EDITED {
            if object.module() == module {
                earlier = seen.earlier(object, &now, fields)?;
            }
        }
        let Some(values) = earlier else {
            return Ok(false);
        };
        self.reached.count("a value came back in Zoho");
        self.change(side, module, id, &values)
    }

    /// A person sets back one of the records that were changed, at times the one that changed last.
    fn sets_one_back(&mut self, side: usize, dice: &mut Dice) -> Result<bool> {
        let seen = &self.at(side).seen;
        let changed = match dice.once_in(2) {
            true => seen.latest(),
            false => dice.pick(&seen.changed()).copied(),
        };
        match changed.cloned() {
            Some((object, id)) => self.sets_back(side, object.module(), &id),
            None => Ok(false),
        }
    }

    /// Notes the external id that a record had and has no more.
    fn frees(&mut self, side: usize, module: &'static str, id: &str, before: &Json) -> Result<()> {
        let Some(object) = Object::of_module(module) else {
            return Ok(());
        };
        let story = &self.at(side).story;
        let (was, is) = (
            external_id(object, before),
            external_id(object, &story.row(module, id)?),
        );
        let now = story.zoho.now();
        if let Some(was) = was.filter(|was| is.as_ref() != Some(was)) {
            let past = &mut self.scene.sides[side].past;
            past.freed.insert((module, was), now);
        }
        Ok(())
    }

    /// A person edits this very record, or sets it back once in so many times; true when it was set back.
    pub(super) fn edits_one(
        &mut self,
        side: usize,
        module: &'static str,
        id: &str,
        back: usize,
        dice: &mut Dice,
    ) -> Result<bool> {
        let back = dice.once_in(back) && self.sets_back(side, module, id)?;
        if !back {
            let fresh = self.fresh();
            let values = self.another(side, module, fresh, dice);
            self.change(side, module, id, &values)?;
        }
        self.look(Some(side))?;
        Ok(back)
    }

    /// A person changes what the platform does not edit about this very record.
    pub(super) fn touches(&mut self, side: usize, module: &'static str, id: &str) -> Result<()> {
        let fresh = self.fresh();
        let priority = if fresh.is_multiple_of(2) {
            "High"
        } else {
            "Low"
        };
        let values = match module {
            "Accounts" => json!({ "Employees": fresh }),
            "Contacts" => json!({ "Department": format!("Department {fresh}") }),
            _ => json!({ "Priority": priority }),
        };
        self.change(side, module, id, &values)?;
        Ok(())
    }

    pub(super) fn edits_in_zoho(&mut self, dice: &mut Dice) -> Result<bool> {
        let side = self.side(dice);
        if dice.once_in(3) && self.sets_one_back(side, dice)? {
            return Ok(true);
        }
        let fresh = self.fresh();
        let module = Self::module(dice);
        let values = self.another(side, module, fresh, dice);
        self.changes(side, module, &values, dice)
    }

    /// A person edits a record of each module of each connection.
    pub(crate) fn edits_everywhere(&mut self, dice: &mut Dice) -> Result<()> {
        for side in 0..self.scene.sides.len() {
            for module in MODULES {
                if let Some(id) = self.pick(side, module, dice)? {
                    self.edits_one(side, module, &id, 3, dice)?;
                }
            }
        }
        Ok(())
    }

    /// Values that no record has, but for a task's status and a contact's name.
    fn another(&self, side: usize, module: &str, fresh: u64, dice: &mut Dice) -> Json {
        let name = self.at(side).story.connection();
        match module {
            "Accounts" => {
                json!({ "Health_Score": fresh, "Account_Name": format!("Account {fresh} of {name}") })
            }
            "Contacts" => {
                let names = ["Hidden", "Shown", "Seen"];
                json!({ "Phone": format!("+1 555 {fresh:04}"), "Title": format!("Title {fresh} of {name}"), "Last_Name": dice.pick(&names) })
            }
            "Deals" => json!({ "Amount": fresh }),
            _ => json!({ "Status": status_of(fresh), "Description": format!("{fresh} of {name}") }),
        }
    }

    pub(super) fn creates_in_zoho(&mut self, dice: &mut Dice) -> Result<bool> {
        let side = self.side(dice);
        let fresh = self.fresh();
        let account = self.pick(side, "Accounts", dice)?;
        let module = Self::module(dice);
        let statuses = ["Active", "Churned"];
        let (module, values) = match (module, account) {
            ("Contacts", Some(account)) => (
                "Contacts",
                json!({ "Last_Name": "New", "Email": format!("new-{fresh}@example.com"), "Account_Name": { "id": account } }),
            ),
            ("Deals", Some(account)) => (
                "Deals",
                json!({ "Deal_Name": format!("New {fresh}"), "Stage": "Qualification", "Account_Name": { "id": account } }),
            ),
            ("Tasks", Some(account)) => (
                "Tasks",
                json!({ "Subject": format!("New {fresh}"), "What_Id": { "id": account }, "$se_module": "Accounts" }),
            ),
            _ => (
                "Accounts",
                json!({ "Account_Name": format!("New {fresh}"), "External_ID": format!("N-{fresh}"), "Customer_Status": dice.pick(&statuses) }),
            ),
        };
        let story = &self.at(side).story;
        let id = story.zoho_creates(module, &values)?;
        let said = || {
            format!(
                "      in {} {module} {id} is new: {values}",
                story.connection()
            )
        };
        self.scene.recorder.say(said);
        self.scene.sides[side].past.created.insert((module, id));
        Ok(true)
    }

    pub(super) fn deletes_in_zoho(&mut self, dice: &mut Dice) -> Result<bool> {
        let side = self.side(dice);
        let module = Self::module(dice);
        let Some(id) = self.pick(side, module, dice)? else {
            return Ok(false);
        };
        let side = &mut self.scene.sides[side];
        let said = || {
            format!(
                "      in {} {module} {id} is deleted",
                side.story.connection()
            )
        };
        self.scene.recorder.say(said);
        side.story.zoho_deletes(module, &id)?;
        side.deleted.push((module, id));
        Ok(true)
    }

    pub(super) fn restores_in_zoho(&mut self, dice: &mut Dice) -> Result<bool> {
        let side = self.side(dice);
        let side = &mut self.scene.sides[side];
        if side.deleted.is_empty() {
            return Ok(false);
        }
        let (module, id) = side.deleted.remove(dice.below(side.deleted.len()));
        let said = || {
            format!(
                "      in {} {module} {id} is restored",
                side.story.connection()
            )
        };
        self.scene.recorder.say(said);
        let restored = side.story.zoho_restores(module, &id).is_ok();
        side.past.unflagged.insert((module, id));
        Ok(restored)
    }

    pub(super) fn moves_in_zoho(&mut self, dice: &mut Dice) -> Result<bool> {
        let side = self.side(dice);
        let Some(account) = self.pick(side, "Accounts", dice)? else {
            return Ok(false);
        };
        let modules = ["Contacts", "Deals"];
        let module = dice.pick(&modules).copied().unwrap_or("Deals");
        let values = json!({ "Account_Name": { "id": account } });
        self.changes(side, module, &values, dice)
    }

    pub(super) fn renames_in_zoho(&mut self, dice: &mut Dice) -> Result<bool> {
        let side = self.side(dice);
        let fresh = self.fresh();
        let (module, field, name) = match dice.once_in(3) {
            true => ("Contacts", "Email", format!("Renamed-{fresh}@example.com")),
            false => ("Accounts", "External_ID", format!("R-{fresh}")),
        };
        let id = match dice.once_in(4) {
            true => Json::Null,
            false => name.into(),
        };
        self.changes(side, module, &json!({ field: id }), dice)
    }

    pub(super) fn scopes_in_zoho(&mut self, dice: &mut Dice) -> Result<bool> {
        let side = self.side(dice);
        let statuses = ["Active", "Churned"];
        let values = json!({ "Customer_Status": dice.pick(&statuses) });
        self.changes(side, "Accounts", &values, dice)
    }

    pub(super) fn doubles_in_zoho(&mut self, dice: &mut Dice) -> Result<bool> {
        let side = self.side(dice);
        let (module, field) = match dice.once_in(2) {
            true => ("Accounts", "External_ID"),
            false => ("Contacts", "Email"),
        };
        let rows = self.at(side).story.rows(module)?;
        let Some(other) = dice.pick(&rows).map(|row| row[field].clone()) else {
            return Ok(false);
        };
        let Some(id) = self.pick(side, module, dice)? else {
            return Ok(false);
        };
        let story = &self.at(side).story;
        let said = || {
            format!(
                "      in {} {module} {id} gets {field} {other}",
                story.connection()
            )
        };
        self.scene.recorder.say(said);
        // What the platform made stays alone, so that a second creation shows. Where the field is unique Zoho refuses it.
        let made = |text: &str| text.to_lowercase().starts_with("made-");
        let doubled = other.as_str().map(|text| text.trim().to_owned());
        let doubled = doubled.map(|text| match module {
            "Contacts" => text.to_lowercase(),
            _ => text,
        });
        let before = story.row(module, &id)?;
        let done = other.as_str().is_some_and(|text| !made(text))
            && story
                .zoho_edits(module, &id, &json!({ field: other }))
                .is_ok();
        self.scene.sides[side].past.doubled.extend(doubled);
        self.frees(side, module, &id, &before)?;
        Ok(done)
    }

    pub(super) fn reparents_in_zoho(&mut self, dice: &mut Dice) -> Result<bool> {
        let side = self.side(dice);
        let parents = ["Accounts", "Deals", "Contacts", "Parent_Account"];
        let parent = dice.pick(&parents).copied().unwrap_or("Accounts");
        let module = if parent == "Parent_Account" {
            "Accounts"
        } else {
            parent
        };
        let Some(id) = self.pick(side, module, dice)? else {
            return Ok(false);
        };
        match parent {
            "Parent_Account" => {
                let values = json!({ "Parent_Account": { "id": id } });
                let Some(child) = self
                    .pick(side, "Accounts", dice)?
                    .filter(|child| *child != id)
                else {
                    return Ok(false);
                };
                let story = &self.at(side).story;
                Ok(story.zoho_edits("Accounts", &child, &values).is_ok())
            }
            "Contacts" => {
                let values = json!({ "Who_Id": { "id": id } });
                self.reparents_task(side, &values, dice)
            }
            what => {
                let values = json!({ "What_Id": { "id": id }, "$se_module": what });
                self.reparents_task(side, &values, dice)
            }
        }
    }

    /// Not one whose creation may have got no answer and that has no mark: such a one is known by its subject and links alone.
    fn reparents_task(&mut self, side: usize, values: &Json, dice: &mut Dice) -> Result<bool> {
        let settings = &self.at(side).settings;
        let marked = settings
            .iter()
            .all(|document| document["task_mark"].is_string());
        let mut rows = self.at(side).story.rows("Tasks")?;
        let is_own = |row: &Json| {
            let subject = row["Subject"].as_str();
            subject.is_some_and(|subject| subject.starts_with("Own task"))
        };
        rows.retain(|row| marked || !is_own(row));
        match dice.pick(&rows).and_then(|row| row["id"].as_str()) {
            Some(id) => self.change(side, "Tasks", id, values),
            None => Ok(false),
        }
    }

    pub(super) fn hides_in_zoho(&mut self, dice: &mut Dice) -> Result<bool> {
        let side = self.side(dice);
        let hidden = !dice.once_in(3);
        let Some((object, field)) = dice.pick(&HIDEABLE) else {
            return Ok(false);
        };
        let side = &mut self.scene.sides[side];
        side.story.zoho_hides(object.module(), field, hidden)?;
        side.past.hidden.insert((*object, field));
        Ok(true)
    }

    /// Shows every field again.
    pub(crate) fn shows_all(&self) -> Result<()> {
        for side in &self.scene.sides {
            for (object, field) in HIDEABLE {
                side.story.zoho_hides(object.module(), field, false)?;
            }
        }
        Ok(())
    }

    pub(super) fn merges_in_zoho(&mut self, dice: &mut Dice) -> Result<bool> {
        let side = self.side(dice);
        let (Some(winner), Some(loser)) = (
            self.pick(side, "Contacts", dice)?,
            self.pick(side, "Contacts", dice)?,
        ) else {
            return Ok(false);
        };
        if winner == loser {
            return Ok(false);
        }
        let story = &self.at(side).story;
        let said = || {
            format!(
                "      in {} contact {loser} is merged into {winner}",
                story.connection()
            )
        };
        self.scene.recorder.say(said);
        let now = story.zoho.now();
        let mut unflagged = vec![("Contacts", winner.clone()), ("Contacts", loser.clone())];
        // What named the loser names the winner.
        for (module, field) in [("Deals", "Contact_Name"), ("Tasks", "Who_Id")] {
            let named = story.rows(module)?.into_iter();
            let named = named.filter(|row| row[field]["id"] == loser.as_str());
            unflagged
                .extend(named.filter_map(|row| Some((module, row["id"].as_str()?.to_owned()))));
        }
        let (winner, loser) = (winner.parse()?, [loser.parse()?]);
        let mut model = story.zoho.model();
        let merged = model.merge(story.organisation, "Contacts", winner, &loser, None, now);
        let merged = merged.is_ok();
        drop(model);
        let past = &mut self.scene.sides[side].past;
        past.unflagged.extend(unflagged);
        Ok(merged)
    }
}
