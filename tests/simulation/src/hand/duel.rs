//! Both sides change one record at the same time.

use anyhow::Result;
use serde_json::Value as Json;
use tandem::object::Object;
use tandem::record::Record;

use super::Hand;
use super::platform::edit_of;
use crate::dice::Dice;

/// How many turns at most an edit takes from when it is made until Zoho has it.
const TURNS: usize = 40;

impl Hand<'_> {
    /// Edits on their way to Zoho, while somebody changes the same record.
    pub(crate) async fn duels(&mut self, dice: &mut Dice) -> Result<()> {
        for side in 0..self.scene.sides.len() {
            self.duel(side, dice)?;
            self.drain(dice).await?;
        }
        Ok(())
    }

    fn duel(&mut self, side: usize, dice: &mut Dice) -> Result<()> {
        let Some(record) = self.both_have(side, dice)? else {
            return Ok(());
        };
        let first = edit_of(&record, self.fresh())?;
        self.asks(side, record.object, vec![first]);
        let (second, in_zoho) = (dice.below(TURNS), dice.once_in(2));
        // At any turn, or between what writeback reads and what it writes.
        let (after_read, begun) = (dice.once_in(2), self.scene.zoho.model().journal.latest());
        // Others touch the record until it is read, so that two changes fall into one second.
        let touched = after_read && in_zoho && dice.once_in(2);
        let id = record.zoho_id.map(String::from).unwrap_or_default();
        let mut done = false;
        for turn in 0..TURNS {
            let now = !done
                && match after_read {
                    true => self.has_read(side, begun),
                    false => turn == second,
                };
            done |= now;
            if touched && !done {
                self.touches(side, record.object.module(), &id)?;
            }
            if now && in_zoho {
                let before = self.modified(side, record.object.module(), &id)?;
                self.edits_one(side, record.object.module(), &id, dice)?;
                if touched && self.modified(side, record.object.module(), &id)? == before {
                    self.reached.count("a record changed twice in a second");
                }
            } else if now {
                let edit = edit_of(&record, self.fresh())?;
                self.asks(side, record.object, vec![edit]);
            }
            let queue = self.scene.world.queue.clone();
            match self.crew.len() {
                0 if queue.work.ready() + queue.writeback.ready() > 0 => {
                    self.delivers(dice)?;
                }
                0 => {}
                under_way => {
                    self.turn(dice.below(under_way), dice)?;
                }
            }
        }
        Ok(())
    }

    /// Whether somebody read records of a connection in Zoho since a request.
    fn has_read(&self, side: usize, request: u64) -> bool {
        let own = Some(self.at(side).story.organisation.to_string());
        let model = self.scene.zoho.model();
        let mut served = model.journal.since(request);
        served.any(|served| served.coql.is_some() && served.organisation == own)
    }

    /// When Zoho says that a record changed last.
    fn modified(&self, side: usize, module: &str, id: &str) -> Result<Json> {
        Ok(self.at(side).story.row(module, id)?["Modified_Time"].clone())
    }

    /// A record that both sides have.
    fn both_have(&self, side: usize, dice: &mut Dice) -> Result<Option<Record>> {
        let objects = [Object::Account, Object::Contact, Object::Task];
        let object = dice.pick(&objects).copied().unwrap_or(Object::Contact);
        let story = &self.at(side).story;
        let rows = story.rows(object.module())?;
        let store = &self.scene.world.store;
        let mut records = store.live_records(&story.connection(), object);
        records.retain(|record| {
            let id = record.zoho_id.map(String::from);
            id.is_some_and(|id| rows.iter().any(|row| row["id"] == id.as_str()))
        });
        Ok(dice.pick(&records).cloned())
    }
}
