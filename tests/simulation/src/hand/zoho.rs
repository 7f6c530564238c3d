//! What people do in Zoho.

use anyhow::Result;
use serde_json::{Value as Json, json};

use super::Hand;
use super::platform::status_of;
use crate::dice::Dice;

/// The modules of the objects that people edit in Zoho.
const MODULES: [&str; 4] = ["Accounts", "Contacts", "Deals", "Tasks"];

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

    fn changes(&self, side: usize, module: &str, values: &Json, dice: &mut Dice) -> Result<bool> {
        let Some(id) = self.pick(side, module, dice)? else {
            return Ok(false);
        };
        let story = &self.at(side).story;
        let said = || {
            format!(
                "      in {} {module} {id} gets {values}",
                story.connection()
            )
        };
        self.scene.recorder.say(said);
        story.zoho_edits(module, &id, values)?;
        Ok(true)
    }

    pub(super) fn edits_in_zoho(&mut self, dice: &mut Dice) -> Result<bool> {
        let side = self.side(dice);
        let fresh = self.fresh();
        let module = Self::module(dice);
        let values = match module {
            "Accounts" => {
                json!({ "Health_Score": fresh, "Account_Name": format!("Account {fresh}") })
            }
            "Contacts" => {
                json!({ "Phone": format!("+1 555 {fresh:04}"), "Title": format!("Title {fresh}") })
            }
            "Deals" => json!({ "Amount": fresh }),
            _ => json!({ "Status": status_of(fresh), "Description": format!("{fresh}") }),
        };
        self.changes(side, module, &values, dice)
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
        Ok(side.story.zoho_restores(module, &id).is_ok())
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
        let id = match dice.once_in(4) {
            true => Json::Null,
            false => format!("R-{fresh}").into(),
        };
        self.changes(side, "Accounts", &json!({ "External_ID": id }), dice)
    }

    pub(super) fn scopes_in_zoho(&mut self, dice: &mut Dice) -> Result<bool> {
        let side = self.side(dice);
        let statuses = ["Active", "Churned"];
        let values = json!({ "Customer_Status": dice.pick(&statuses) });
        self.changes(side, "Accounts", &values, dice)
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
        let (winner, loser) = (winner.parse()?, [loser.parse()?]);
        let mut model = story.zoho.model();
        Ok(model
            .merge(story.organisation, "Contacts", winner, &loser, None, now)
            .is_ok())
    }
}
