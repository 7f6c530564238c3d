//! What the platform asks for.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use jiff::SignedDuration;
use serde_json::{Map, Value as Json, json};
use stories::name;
use tandem::flow::edits::{self, EditAnswer};
use tandem::message::{Edit, Version, Writeback};
use tandem::object::Object;
use tandem::record::Record;

use super::Hand;
use crate::crew::{Asked, Came};
use crate::dice::Dice;
use crate::scene::Sent;

impl Hand<'_> {
    /// An edit of a record on the platform.
    fn edit(&mut self, side: usize, dice: &mut Dice) -> Result<Option<(Object, Edit)>> {
        let objects = [Object::Account, Object::Contact, Object::Task];
        let Some(object) = dice.pick(&objects).copied() else {
            return Ok(None);
        };
        let connection = self.at(side).story.connection();
        let records = self.scene.world.store.live_records(&connection, object);
        let Some(record) = dice.pick(&records) else {
            return Ok(None);
        };
        let edit = self.edit_of(record, dice)?;
        Ok(Some((object, edit)))
    }

    /// An edit of a record, of a value that no other has or back to what the record said before.
    pub(super) fn edit_of(&mut self, record: &Record, dice: &mut Dice) -> Result<Edit> {
        let fresh = self.fresh();
        if dice.once_in(3)
            && let Some(edit) = self.edit_back(record)?
        {
            self.reached.count("a value came back on the platform");
            return Ok(edit);
        }
        edit_anew(record, fresh)
    }

    /// The edit that asks for what a record showed before it changed last; none: it always showed the same.
    fn edit_back(&self, record: &Record) -> Result<Option<Edit>> {
        let fields: &[&str] = match record.object {
            Object::Account => &["health"],
            Object::Contact => &["phone"],
            _ => &["status", "description"],
        };
        let stream = self.scene.world.store.stream(&record.connection);
        let is_own =
            |version: &&Record| (version.object, &version.id) == (record.object, &record.id);
        let mut versions = stream.iter().rev().filter(is_own);
        let Some(now) = versions.next() else {
            return Ok(None);
        };
        for earlier in versions {
            let fields = fields.iter().filter_map(|field| {
                let field = name(field);
                let value = earlier.fields.get(&field);
                let value = value.filter(|value| !value.is_null())?;
                let differs = now.fields.get(&field) != Some(value);
                differs.then(|| (field.to_string(), value.to_json()))
            });
            let fields: Map<String, Json> = fields.collect();
            if !fields.is_empty() {
                let edit = json!({ "id": record.id, "fields": fields });
                return Ok(Some(serde_json::from_value(edit)?));
            }
        }
        Ok(None)
    }

    pub(super) fn asks(&mut self, side: usize, object: Object, edits: Vec<Edit>) {
        let connection = self.at(side).story.connection();
        let (ports, at) = (
            self.scene.ports(SignedDuration::ZERO),
            self.scene.world.now(),
        );
        let named = serde_json::to_string(&edits).unwrap_or_default();
        let name = format!("edits of {object}s of {connection}: {named}");
        let recorder = self.recorder();
        let named = (name, Some(side));
        self.crew
            .start(&self.scene.world, &recorder, named, async move {
                let answers = edits::accept(&ports, &connection, object, edits.clone()).await;
                let asked = Asked {
                    side,
                    object,
                    edits,
                    at,
                };
                Came::Answered(asked, answers)
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
        let sent = Sent::all(object, &edit, self.scene.world.now());
        self.scene.sides[side].past.sent.extend(sent);
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
        let account = dice.pick(&accounts).map(|account| account.id.clone());
        let objects = [Object::Task, Object::Task, Object::Contact, Object::Account];
        let (object, id, marker, fields) = match (dice.pick(&objects), account) {
            (Some(Object::Account), _) | (_, None) => (
                Object::Account,
                format!("MADE-{fresh}"),
                format!("MADE-{fresh}"),
                json!({ "name": format!("Made {fresh} in {connection}") }),
            ),
            (Some(Object::Contact), Some(account)) => {
                let email = format!("made-{fresh}@{connection}.example");
                let fields = json!({ "email": email, "last_name": "Made", "account": account });
                (Object::Contact, email.clone(), email, fields)
            }
            (_, Some(account)) => {
                let marker = format!("Own task {fresh} ");
                let subject = format!("{marker}in {connection}");
                let fields = json!({ "subject": subject, "account": account });
                (Object::Task, format!("own-{fresh}"), marker, fields)
            }
        };
        let mut edit = json!({ "id": id, "fields": fields });
        if dice.once_in(2) {
            edit["segments"] = json!(["vip"]);
        }
        self.scene.sides[side].made.insert((object, id), marker);
        self.asks(side, object, vec![serde_json::from_value(edit)?]);
        Ok(true)
    }

    /// The platform has an account or contact of which it knows the external id, and Zoho has it too.
    pub(super) fn knows(&mut self, dice: &mut Dice) -> Result<bool> {
        let side = self.side(dice);
        let fresh = self.fresh();
        let (object, field) = match dice.once_in(2) {
            true => (Object::Account, "External_ID"),
            false => (Object::Contact, "Email"),
        };
        let rows = self.at(side).story.rows(object.module())?;
        let Some(id) = dice.pick(&rows).and_then(|row| row[field].as_str()) else {
            return Ok(false);
        };
        let fields = match object {
            Object::Account => json!({ "health": fresh.to_string() }),
            _ => json!({ "phone": format!("+49 40 {fresh:04}") }),
        };
        let edit = serde_json::from_value(json!({ "id": id, "fields": fields }))?;
        self.asks(side, object, vec![edit]);
        Ok(true)
    }

    pub(super) fn segments(&mut self, dice: &mut Dice) -> Result<bool> {
        let side = self.side(dice);
        let Some((object, mut edit)) = self.edit(side, dice)? else {
            return Ok(false);
        };
        if dice.once_in(2) {
            edit.fields.clear();
        }
        edit.segments = Some(match dice.once_in(3) {
            true => BTreeSet::new(),
            false => BTreeSet::from(["vip".to_owned()]),
        });
        self.asks(side, object, vec![edit]);
        Ok(true)
    }

    pub(super) fn errs(&mut self, dice: &mut Dice) -> Result<bool> {
        let side = self.side(dice);
        let connection = self.at(side).story.connection();
        let mut records = self.scene.world.store.all_records(&connection);
        records.retain(|record| record.removed.is_some() || record.object == Object::Deal);
        let Some(record) = dice.pick(&records) else {
            return Ok(false);
        };
        let edit = serde_json::from_value(json!({ "id": record.id, "fields": { "name": "1" } }))?;
        self.asks(side, record.object, vec![edit]);
        Ok(true)
    }

    pub(super) fn edits_many(&mut self, dice: &mut Dice) -> Result<bool> {
        let side = self.side(dice);
        let mut edits: BTreeMap<Object, Vec<Edit>> = BTreeMap::new();
        for _ in 0..6 {
            if let Some((object, edit)) = self.edit(side, dice)? {
                edits.entry(object).or_default().push(edit);
            }
        }
        let Some((object, edits)) = edits.into_iter().max_by_key(|(_, edits)| edits.len()) else {
            return Ok(false);
        };
        self.asks(side, object, edits);
        Ok(true)
    }

    /// Notes what was accepted and what was refused.
    pub(super) fn answered(&mut self, asked: &Asked, answers: &[EditAnswer]) {
        for (edit, answer) in asked.edits.iter().zip(answers) {
            if answer.accepted {
                let sent = Sent::all(asked.object, edit, asked.at);
                self.scene.sides[asked.side].past.sent.extend(sent);
            }
            self.reached.count(match answer.accepted {
                true => "an edit was accepted",
                false => "an edit was refused",
            });
        }
    }
}

/// An edit of a record, of a value that no other has. Of the platform's own tasks some get another subject, too.
fn edit_anew(record: &Record, fresh: u64) -> Result<Edit> {
    let own = record.id.as_str().strip_prefix("own-");
    let mut fields = match record.object {
        Object::Account => json!({ "health": fresh.to_string() }),
        Object::Contact => json!({ "phone": format!("+49 30 {fresh:04}") }),
        _ => {
            let description = format!("edit {fresh} in {}", record.connection);
            json!({ "status": status_of(fresh), "description": description })
        }
    };
    if let Some(number) = own.filter(|_| record.object == Object::Task && fresh.is_multiple_of(2)) {
        let connection = &record.connection;
        fields["subject"] = json!(format!("Own task {number} as {fresh} in {connection}"));
    }
    let edit = json!({ "id": record.id, "fields": fields });
    Ok(serde_json::from_value(edit)?)
}

/// One of a task's statuses.
pub(super) const fn status_of(number: u64) -> &'static str {
    match number % 3 {
        0 => "Not Started",
        1 => "In Progress",
        _ => "Completed",
    }
}
