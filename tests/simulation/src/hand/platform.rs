//! What the platform asks for.

use anyhow::Result;
use jiff::SignedDuration;
use serde_json::json;
use tandem::flow::edits::{self, EditAnswer};
use tandem::message::{Edit, Version, Writeback};
use tandem::object::Object;

use super::Hand;
use crate::crew::Came;
use crate::dice::Dice;

impl Hand<'_> {
    /// An edit of a record on the platform.
    fn edit(&mut self, side: usize, dice: &mut Dice) -> Result<Option<(Object, Edit)>> {
        let fresh = self.fresh();
        let objects = [Object::Account, Object::Contact, Object::Task];
        let Some(object) = dice.pick(&objects).copied() else {
            return Ok(None);
        };
        let connection = self.at(side).story.connection();
        let records = self.scene.world.store.live_records(&connection, object);
        let Some(record) = dice.pick(&records) else {
            return Ok(None);
        };
        let fields = match object {
            Object::Account => json!({ "health": fresh.to_string() }),
            Object::Contact => json!({ "phone": format!("+49 30 {fresh:04}") }),
            _ => json!({ "status": status_of(fresh), "description": format!("edit {fresh}") }),
        };
        let edit = serde_json::from_value(json!({ "id": record.id, "fields": fields }))?;
        Ok(Some((object, edit)))
    }

    fn asks(&mut self, side: usize, object: Object, edits: Vec<Edit>) {
        let connection = self.at(side).story.connection();
        let ports = self.scene.ports(SignedDuration::ZERO);
        let named = serde_json::to_string(&edits).unwrap_or_default();
        let name = format!("edits of {object}s of {connection}: {named}");
        let recorder = self.recorder();
        self.crew
            .start(&self.scene.world, &recorder, name, async move {
                let answers = edits::accept(&ports, &connection, object, edits.clone()).await;
                Came::Answered(object, edits, answers)
            });
    }

    /// By the API.
    pub(super) fn edits_here(&mut self, dice: &mut Dice) -> Result<bool> {
        let side = self.side(dice);
        let Some((object, edit)) = self.edit(side, dice)? else {
            return Ok(false);
        };
        self.asks(side, object, vec![edit]);
        Ok(true)
    }

    /// By a message.
    pub(super) fn sends(&mut self, dice: &mut Dice) -> Result<bool> {
        let side = self.side(dice);
        let Some((object, edit)) = self.edit(side, dice)? else {
            return Ok(false);
        };
        let connection = self.at(side).story.connection();
        self.scene.world.queue.writeback.send([Writeback::Edit {
            version: Version,
            connection,
            object,
            edits: vec![edit],
        }]);
        Ok(true)
    }

    pub(super) fn creates_here(&mut self, dice: &mut Dice) -> Result<bool> {
        let side = self.side(dice);
        let fresh = self.fresh();
        let connection = self.at(side).story.connection();
        let store = &self.scene.world.store;
        let accounts = store.live_records(&connection, Object::Account);
        let Some(account) = dice.pick(&accounts) else {
            return Ok(false);
        };
        let fields = json!({ "subject": format!("Own task {fresh}"), "account": account.id });
        let edit = serde_json::from_value(
            json!({ "id": format!("own-{connection}-{fresh}"), "fields": fields }),
        )?;
        self.asks(side, Object::Task, vec![edit]);
        Ok(true)
    }

    /// Keeps the tasks that the platform made.
    pub(super) fn answered(&mut self, object: Object, edits: &[Edit], answers: &[EditAnswer]) {
        for (edit, answer) in edits.iter().zip(answers) {
            let subject = edit
                .fields
                .iter()
                .find(|(name, _)| name.as_str() == "subject");
            let (true, Object::Task, Some((_, subject))) = (answer.accepted, object, subject)
            else {
                continue;
            };
            let side = self.scene.sides.iter_mut().find(|side| {
                let own = format!("own-{}-", side.story.connection());
                edit.id.as_str().starts_with(&own)
            });
            if let Some(side) = side {
                let subject = subject.as_str().unwrap_or_default();
                side.tasks.insert(edit.id.to_string(), subject.to_owned());
            }
        }
    }
}

/// One of a task's statuses.
pub(super) const fn status_of(number: u64) -> &'static str {
    match number % 3 {
        0 => "Not Started",
        1 => "In Progress",
        _ => "Completed",
    }
}
