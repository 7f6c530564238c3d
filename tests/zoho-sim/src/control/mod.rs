//! What happens in Zoho without the API: people edit, delete and merge, administrators change permissions.

mod bodies;
mod http;

use crate::api::{self, Writer};
use crate::org::record::Value;
use crate::org::schema::{Alteration, common};
use crate::org::user::UserStatus;
use crate::org::{Organisation, view};
use crate::zoho::Zoho;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

/// A verb that could not be carried out.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ControlError {
    /// The organisation does not exist.
    #[error("no organisation {0}")]
    NoOrganisation(u64),
    /// The module does not exist.
    #[error("no module {0}")]
    NoModule(String),
    /// The field does not exist.
    #[error("no field {0}")]
    NoField(String),
    /// The record does not exist.
    #[error("no record {0}")]
    NoRecord(u64),
    /// Zoho's own rules refuse the values.
    #[error("{code}: {details}")]
    Refused {
        /// Zoho's code.
        code: &'static str,
        /// Zoho's details.
        details: Json,
    },
    /// The order makes no sense.
    #[error("{0}")]
    Invalid(String),
}

/// One edit of a person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Edit {
    /// The record.
    pub id: u64,
    /// The new values, shaped like an API write.
    pub values: Map<String, Json>,
}

/// What keeps a record from being written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordFlags {
    /// Locked.
    pub locked: Option<bool>,
    /// In a blueprint.
    pub blueprint: Option<bool>,
    /// Waiting for approval.
    pub approval: Option<bool>,
}

type Result<T> = std::result::Result<T, ControlError>;

impl Zoho {
    fn org(&mut self, id: u64) -> Result<&mut Organisation> {
        self.organisations
            .get_mut(&id)
            .ok_or(ControlError::NoOrganisation(id))
    }

    /// A person creates a record.
    pub fn create(
        &mut self,
        organisation: u64,
        module: &str,
        values: &Map<String, Json>,
        user: Option<u64>,
        now: Timestamp,
    ) -> Result<u64> {
        self.org(organisation)?
            .write(module, None, values, user, now)
    }

    /// A person edits a record. That moves its `Modified_Time`.
    pub fn edit(
        &mut self,
        organisation: u64,
        module: &str,
        id: u64,
        values: &Map<String, Json>,
        user: Option<u64>,
        now: Timestamp,
    ) -> Result<()> {
        self.org(organisation)?
            .write(module, Some(id), values, user, now)
            .map(|_| ())
    }

    /// A person deletes a record; `permanent` empties it from the recycle bin too.
    pub fn delete(
        &mut self,
        organisation: u64,
        module: &str,
        id: u64,
        permanent: bool,
        user: Option<u64>,
        now: Timestamp,
    ) -> Result<()> {
        let organisation = self.org(organisation)?;
        let (at, user) = (
            organisation.at(module)?,
            user.unwrap_or_else(|| organisation.administrator()),
        );
        let deleted = organisation
            .tables
            .get_mut(at)
            .is_some_and(|table| table.delete(id, user, permanent, crate::org::user::whole(now)));
        if deleted {
            Ok(())
        } else {
            Err(ControlError::NoRecord(id))
        }
    }

    /// A person brings a record back from the recycle bin. Its `Modified_Time` stays.
    pub fn restore(&mut self, organisation: u64, module: &str, id: u64) -> Result<()> {
        let organisation = self.org(organisation)?;
        let at = organisation.at(module)?;
        let restored = organisation
            .tables
            .get_mut(at)
            .is_some_and(|table| table.restore(id));
        if restored {
            Ok(())
        } else {
            Err(ControlError::NoRecord(id))
        }
    }

    /// A person merges records into a winner: empty values of the winner are filled, the losers deleted, and what named a
    /// loser names the winner. The children's `Modified_Time` stays.
    pub fn merge(
        &mut self,
        organisation: u64,
        module: &str,
        winner: u64,
        losers: &[u64],
        user: Option<u64>,
        now: Timestamp,
    ) -> Result<()> {
        let organisation = self.org(organisation)?;
        let (at, user) = (
            organisation.at(module)?,
            user.unwrap_or_else(|| organisation.administrator()),
        );
        if losers.is_empty() || losers.len() > 2 || losers.contains(&winner) {
            return Err(ControlError::Invalid(
                "a merge has one winner and one or two losers".to_owned(),
            ));
        }
        let mut kept = organisation
            .table_at(at)
            .get(winner)
            .cloned()
            .ok_or(ControlError::NoRecord(winner))?;
        for loser in losers {
            let lost = organisation
                .table_at(at)
                .get(*loser)
                .cloned()
                .ok_or(ControlError::NoRecord(*loser))?;
            for (position, value) in lost.values.iter().enumerate() {
                if kept.value(position).is_null() && *value != Value::Reference(winner) {
                    kept.set(position, value.clone());
                }
            }
        }
        let now = crate::org::user::whole(now);
        kept.set(common::MODIFIED_TIME, Value::Instant(now));
        kept.set(common::MODIFIED_BY, Value::Reference(user));
        for value in &mut kept.values {
            if value.as_reference().is_some_and(|id| losers.contains(&id)) {
                *value = Value::Null;
            }
        }
        if let Some(table) = organisation.tables.get_mut(at) {
            table.put(kept);
            for loser in losers {
                table.delete(*loser, user, false, now);
            }
        }
        organisation.repoint(losers, winner);
        Ok(())
    }

    /// Sets what keeps a record from being written.
    pub fn flag(
        &mut self,
        organisation: u64,
        module: &str,
        id: u64,
        flags: RecordFlags,
    ) -> Result<()> {
        let organisation = self.org(organisation)?;
        let at = organisation.at(module)?;
        let table = organisation
            .tables
            .get_mut(at)
            .ok_or(ControlError::NoRecord(id))?;
        let mut record = table.get(id).cloned().ok_or(ControlError::NoRecord(id))?;
        record.locked = flags.locked.unwrap_or(record.locked);
        record.in_blueprint = flags.blueprint.unwrap_or(record.in_blueprint);
        record.awaiting_approval = flags.approval.unwrap_or(record.awaiting_approval);
        table.put(record);
        Ok(())
    }

    /// Hides a field from every API user, or shows it again.
    pub fn hide_field(
        &mut self,
        organisation: u64,
        module: &str,
        field: &str,
        hidden: bool,
    ) -> Result<()> {
        self.field(organisation, module, field)?.hidden = hidden;
        Ok(())
    }

    /// Changes what Zoho does to a field's values when they are written.
    pub fn alter_field(
        &mut self,
        organisation: u64,
        module: &str,
        field: &str,
        alteration: Option<Alteration>,
    ) -> Result<()> {
        self.field(organisation, module, field)?.alteration = alteration;
        Ok(())
    }

    /// Makes a field unique, or not. Existing duplicates stay.
    pub fn set_unique(
        &mut self,
        organisation: u64,
        module: &str,
        field: &str,
        unique: bool,
    ) -> Result<()> {
        self.field(organisation, module, field)?.unique = unique;
        let organisation = self.org(organisation)?;
        let at = organisation.at(module)?;
        let position = organisation
            .modules
            .get(at)
            .and_then(|module| module.position(field));
        if let (Some(position), Some(table)) = (position, organisation.tables.get_mut(at)) {
            table.index(position);
        }
        Ok(())
    }

    fn field(
        &mut self,
        organisation: u64,
        module: &str,
        field: &str,
    ) -> Result<&mut crate::org::schema::Field> {
        self.org(organisation)?
            .module_mut(module)
            .ok_or_else(|| ControlError::NoModule(module.to_owned()))?
            .field_mut(field)
            .ok_or_else(|| ControlError::NoField(field.to_owned()))
    }

    /// Switches a module off or on again.
    pub fn disable_module(
        &mut self,
        organisation: u64,
        module: &str,
        disabled: bool,
    ) -> Result<()> {
        let found = self.org(organisation)?.module_mut(module);
        found
            .ok_or_else(|| ControlError::NoModule(module.to_owned()))?
            .disabled = disabled;
        Ok(())
    }

    /// Every record of a module as it is, hidden fields and all, by id.
    pub fn records(&self, organisation: u64, module: &str, now: Timestamp) -> Result<Vec<Json>> {
        let organisation = self
            .organisations
            .get(&organisation)
            .ok_or(ControlError::NoOrganisation(organisation))?;
        let at = organisation.at(module)?;
        let records = organisation.table_at(at).records().values();
        Ok(records
            .map(|record| view::raw(organisation, at, record, now))
            .collect())
    }

    /// How often a module's records were changed: while it stays the same, so do they.
    pub fn changes(&self, organisation: u64, module: &str) -> Result<u64> {
        let organisation = self
            .organisations
            .get(&organisation)
            .ok_or(ControlError::NoOrganisation(organisation))?;
        Ok(organisation.table_at(organisation.at(module)?).changes())
    }

    /// One record as it is.
    pub fn record(&self, organisation: u64, module: &str, id: u64, now: Timestamp) -> Result<Json> {
        let organisation = self
            .organisations
            .get(&organisation)
            .ok_or(ControlError::NoOrganisation(organisation))?;
        let at = organisation.at(module)?;
        let record = organisation
            .table_at(at)
            .get(id)
            .ok_or(ControlError::NoRecord(id))?;
        Ok(view::raw(organisation, at, record, now))
    }

    /// The ids of the records that meet a COQL condition, in their order.
    pub fn matching(
        &self,
        organisation: u64,
        module: &str,
        condition: &str,
        now: Timestamp,
    ) -> Result<Vec<u64>> {
        let organisation = self
            .organisations
            .get(&organisation)
            .ok_or(ControlError::NoOrganisation(organisation))?;
        let at = organisation.at(module)?;
        let condition = crate::coql::condition(organisation, at, condition)
            .map_err(|refusal| ControlError::Invalid(refusal.to_string()))?;
        let records = organisation.table_at(at).records().values();
        Ok(records
            .filter(|record| condition.holds(organisation, at, record, now))
            .map(|record| record.id)
            .collect())
    }

    /// An administrator changes a user.
    pub fn change_user(
        &mut self,
        organisation: u64,
        id: u64,
        status: Option<UserStatus>,
        time_zone: Option<&str>,
        now: Timestamp,
    ) -> Result<()> {
        let organisation = self.org(organisation)?;
        let by = organisation.administrator();
        let user = organisation
            .users
            .get_mut(&id)
            .ok_or(ControlError::NoRecord(id))?;
        user.status = status.unwrap_or(user.status);
        if let Some(name) = time_zone {
            user.zone_name = name.to_owned();
            user.zone = crate::org::user::zone(name);
        }
        user.modified = crate::org::user::whole(now);
        user.modified_by = by;
        Ok(())
    }

    /// Gives everything that a user owns to another one, as when a user is deleted. That moves every `Modified_Time`.
    pub fn transfer_records(
        &mut self,
        organisation: u64,
        from: u64,
        to: u64,
        now: Timestamp,
    ) -> Result<usize> {
        let organisation = self.org(organisation)?;
        if !organisation.users.contains_key(&to) {
            return Err(ControlError::NoRecord(to));
        }
        let (by, now) = (organisation.administrator(), crate::org::user::whole(now));
        let mut moved = 0;
        for table in &mut organisation.tables {
            let owned = |record: &&crate::org::record::Record| {
                *record.value(common::OWNER) == Value::Reference(from)
            };
            let ids: Vec<u64> = table
                .records()
                .values()
                .filter(owned)
                .map(|record| record.id)
                .collect();
            for id in ids {
                let Some(mut record) = table.get(id).cloned() else {
                    continue;
                };
                record.set(common::OWNER, Value::Reference(to));
                record.set(common::MODIFIED_BY, Value::Reference(by));
                record.set(common::MODIFIED_TIME, Value::Instant(now));
                table.put(record);
                moved += 1;
            }
        }
        Ok(moved)
    }

    /// Credits used in the past 24 hours, the limit, credits ever used, and the most calls ever under way at once.
    pub fn usage(&self, organisation: u64, now: Timestamp) -> Result<Json> {
        let organisation = self
            .organisations
            .get(&organisation)
            .ok_or(ControlError::NoOrganisation(organisation))?;
        Ok(json!({
            "used_24h": organisation.meter.used(now),
            "limit": api::credit_limit(organisation),
            "total": organisation.meter.total(),
            "max_concurrent": organisation.meter.peak(),
        }))
    }

    /// Others than the clients under test use credits.
    pub fn use_credits(&mut self, organisation: u64, credits: u32, now: Timestamp) -> Result<()> {
        self.org(organisation)?.meter.add(credits, now);
        Ok(())
    }

    /// Forgets the credits used and the most concurrent calls.
    pub fn reset_usage(&mut self, organisation: u64) -> Result<()> {
        self.org(organisation)?.meter.reset();
        Ok(())
    }
}

impl Organisation {
    fn at(&self, module: &str) -> Result<usize> {
        self.position(module)
            .ok_or_else(|| ControlError::NoModule(module.to_owned()))
    }

    fn write(
        &mut self,
        module: &str,
        id: Option<u64>,
        values: &Map<String, Json>,
        user: Option<u64>,
        now: Timestamp,
    ) -> Result<u64> {
        let at = self.at(module)?;
        let user = user.unwrap_or_else(|| self.administrator());
        let old = match id {
            None => None,
            Some(id) => Some(
                self.table_at(at)
                    .get(id)
                    .cloned()
                    .ok_or(ControlError::NoRecord(id))?,
            ),
        };
        let changes = api::changes(self, &Writer { now, user }, at, values, 0, old.as_ref())
            .map_err(|error| ControlError::Refused {
                code: error.code,
                details: error.details,
            })?;
        Ok(api::apply(self, at, old, changes, user, now))
    }

    /// Makes everything that names one of the losers name the winner.
    fn repoint(&mut self, losers: &[u64], winner: u64) {
        for table in &mut self.tables {
            let touched: Vec<u64> = table
                .records()
                .values()
                .filter(|record| {
                    record.values.iter().any(|value| match value {
                        Value::Reference(id) => losers.contains(id),
                        Value::Links(links) => {
                            links.iter().any(|(_, target)| losers.contains(target))
                        }
                        _ => false,
                    })
                })
                .map(|record| record.id)
                .collect();
            for id in touched {
                let Some(mut record) = table.get(id).cloned() else {
                    continue;
                };
                for value in &mut record.values {
                    match value {
                        Value::Reference(target) if losers.contains(target) => *target = winner,
                        Value::Links(links) => {
                            for (_, target) in links
                                .iter_mut()
                                .filter(|(_, target)| losers.contains(target))
                            {
                                *target = winner;
                            }
                        }
                        _ => {}
                    }
                }
                table.put(record);
            }
        }
    }
}
