//! What Zoho flagged as changed is on the platform after the next routine sync, before any full sync (P1, S5).

use std::collections::BTreeSet;
use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use serde_json::Value as Json;
use tandem::object::Object;
use tandem::port::SettingsVersion;
use tandem::record::Candidate;
use tandem::settings::SourceMode;
use tandem::value::Value;

use super::{OBJECTS, Platform, external_id, name_of};
use crate::scene::Side;

impl Platform<'_> {
    /// Checks what had changed within a time that ended when a routine sync began. What was restored or merged in Zoho, what a lookup names no more, and
    /// fields that were hidden and are shown again may wait for a full sync, and so may an external id that another record gave up: Zoho flags none of it. So may what leaves the scope, and records
    /// that the platform has come to know, or that another source mode lets in.
    pub(super) fn flagged(
        &self,
        side: &Side,
        versions: &[SettingsVersion],
        leaving: &[Candidate],
        within: &Range<Timestamp>,
    ) -> Result<()> {
        let enriched = versions
            .iter()
            .any(|saved| saved.settings.source_mode == SourceMode::EnrichOnly);
        let leaving = leaving.iter();
        let leaving =
            leaving.map(|candidate| (candidate.object.module(), String::from(candidate.zoho_id)));
        let mut unsure: BTreeSet<(&str, String)> = leaving.collect();
        unsure.extend(side.past.unflagged.iter().cloned());
        for object in OBJECTS {
            let mut hidden = side.past.hidden.iter();
            let hidden = hidden.any(|(of, _)| *of == object);
            for (id, row) in &self.rows[&object] {
                let flagged = !side.past.unflagged.contains(&(object.module(), id.clone()));
                if !flagged || !self.belongs(&unsure, object, row) || !changed_within(row, within) {
                    continue;
                }
                let mut records = self.live[&object].iter();
                let own = records.find(|record| {
                    record.zoho_id.map(String::from).as_deref() == Some(id.as_str())
                });
                match own {
                    None if enriched || self.came_free(side, object, row) => {}
                    None => self
                        .arrived(object, row)
                        .with_context(|| format!("P1, S5: {object} {id} after a routine sync"))?,
                    Some(_) if hidden => {}
                    Some(record) => {
                        let asked =
                            |value: &Value| !matches!(value, Value::Null | Value::Reference(_));
                        self.pulled(record, asked).with_context(|| {
                            format!("P1: {object} {} after a routine sync", record.id)
                        })?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A row without a record has no identity, or another row has it.
    fn arrived(&self, object: Object, row: &Json) -> Result<()> {
        let Some(identity) = external_id(object, row) else {
            return Ok(());
        };
        let name = name_of(object, &identity);
        let mut linked = self.live[&object].iter();
        let taken = linked.any(|record| record.zoho_id.is_some() && record.id.as_str() == name);
        ensure!(taken, "it is missing");
        Ok(())
    }

    /// Whether another row gave the external id up after this one had changed: nothing flags that this one may have it now (I3).
    fn came_free(&self, side: &Side, object: Object, row: &Json) -> bool {
        let Some(identity) = external_id(object, row) else {
            return false;
        };
        let is_known = self.known.contains(&(object, name_of(object, &identity)));
        let freed = side.past.freed.get(&(object.module(), identity));
        is_known && freed.is_some_and(|freed| changed_within(row, &(Timestamp::MIN..*freed)))
    }

    /// Whether a row is in scope, and what it belongs to is, too, and is here, known by a flag and not waiting to be removed.
    fn belongs(&self, unsure: &BTreeSet<(&str, String)>, object: Object, row: &Json) -> bool {
        let parents: &[(&str, Object)] = match object {
            Object::Contact | Object::Deal => &[("Account_Name", Object::Account)],
            Object::Task => &[
                ("What_Id", Object::Account),
                ("What_Id", Object::Deal),
                ("Who_Id", Object::Contact),
            ],
            Object::Account | Object::User => &[],
        };
        let mut parents = parents.iter();
        let of_parent = parents.any(|(field, of)| {
            let id = row[*field]["id"].as_str().unwrap_or_default();
            let unsure_of_it = unsure.contains(&(of.module(), id.to_owned()));
            let is_here = !unsure_of_it && self.zoho_ids(*of).contains(id);
            let parent = self.rows[of].get(id).filter(|_| is_here);
            parent.is_some_and(|parent| self.belongs(unsure, *of, parent))
        });
        self.is_in_scope(object, row) && (object == Object::Account || of_parent)
    }
}

fn changed_within(row: &Json, within: &Range<Timestamp>) -> bool {
    let changed = row["Modified_Time"].as_str();
    let changed = changed.and_then(|changed| changed.parse::<Timestamp>().ok());
    changed.is_some_and(|changed| within.contains(&changed))
}
