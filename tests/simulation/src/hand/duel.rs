//! Both sides change one record at the same time.

use anyhow::Result;
use serde_json::Value as Json;
use tandem::object::Object;
use tandem::record::Record;
use tandem::run::RunKind;

use super::Hand;
use crate::dice::Dice;

/// How many turns at most an edit takes from when it is made until Zoho has it.
const TURNS: usize = 40;

/// How many turns there are for a routine sync, too, while whoever wrote the edit takes its time.
const LONG: usize = 240;

/// How many handlers are under way then.
const SEVERAL: usize = 4;

/// When the record is changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// At any turn.
    Turn(usize),
    /// Between what writeback reads and what it writes.
    Read,
    /// While writeback settles what it wrote, and a routine sync comes along.
    Written,
}

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
        let first = self.edit_of(&record, dice)?;
        self.asks(side, record.object, vec![first]);
        let in_zoho = dice.once_in(2);
        let when = match dice.below(3) {
            0 => When::Turn(dice.below(TURNS)),
            1 => When::Read,
            _ => When::Written,
        };
        let turns = if when == When::Written { LONG } else { TURNS };
        // Whoever wrote the edit goes on in one of so many turns.
        let pace = if dice.once_in(2) { 6 } else { 60 };
        let begun = self.scene.zoho.model().journal.latest();
        // Others touch the record until it is read, so that two changes fall into one second.
        let touched = when == When::Read && in_zoho && !dice.once_in(3);
        let (module, id) = (
            record.object.module(),
            record.zoho_id.map(String::from).unwrap_or_default(),
        );
        let (mut done, mut writer) = (false, None);
        for turn in 0..turns {
            let now = !done
                && match when {
                    When::Turn(second) => turn == second,
                    When::Read => self.has_read(side, begun),
                    When::Written => writer.is_some() && dice.once_in(4),
                };
            done |= now;
            if touched && !done {
                self.touches(side, module, &id)?;
            }
            if now && in_zoho {
                let before = self.modified(side, module, &id)?;
                let back = if when == When::Written { 1 } else { 3 };
                let came_back = self.edits_one(side, module, &id, back, dice)?;
                if touched && self.modified(side, module, &id)? == before {
                    self.reached.count("a record changed twice in a second");
                }
                if came_back && writer.is_some_and(|writer| self.crew.has(writer)) {
                    self.reached
                        .count("a value came back while its write was settled");
                }
            } else if now {
                let edit = self.edit_of(&record, dice)?;
                self.asks(side, record.object, vec![edit]);
            }
            if now && when == When::Written {
                self.starts_run(side, RunKind::Routine, dice);
            }
            let queue = self.scene.world.queue.clone();
            let ready = queue.work.ready() + queue.writeback.ready();
            let under_way = self.crew.len();
            let more = writer.is_some() && under_way < SEVERAL;
            if ready > 0 && (under_way == 0 || (more && dice.once_in(2))) {
                self.delivers(dice)?;
            } else if under_way > 0 {
                let place = dice.below(under_way);
                let number = self.crew.number(place);
                if done && writer.is_some() && number == writer && !dice.once_in(pace) {
                    continue;
                }
                let served = self.scene.zoho.model().journal.latest();
                self.turn(place, dice)?;
                if when == When::Written && writer.is_none() && self.wrote_since(served) {
                    writer = number;
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
