//! One organisation: its modules, records, users and settings.

pub mod record;
pub mod schema;
pub mod store;
pub mod user;
pub(crate) mod view;

use crate::dc::DataCentre;
use crate::limits::{Edition, Meter};
use jiff::{Timestamp, tz::TimeZone};
use record::{Record, Value};
use schema::{Computed, Module, common};
use std::collections::{BTreeMap, VecDeque};
use store::{Key, Table};
use user::User;

/// What Zoho runs by itself when records are written.
#[derive(Debug, Clone)]
pub struct WorkflowRule {
    /// The module whose writes run it.
    pub module: String,
    /// The integer field that it adds one to.
    pub field: String,
    /// Switched on.
    pub active: bool,
}

/// Which automations a write through the API ran.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AutomationRun {
    /// When.
    pub time: Timestamp,
    /// The module.
    pub module: String,
    /// The record.
    pub record: u64,
    /// The kinds that ran.
    pub kinds: Vec<String>,
}

/// The state of a page token.
#[derive(Debug, Clone)]
pub(crate) struct PageToken {
    pub(crate) user: u64,
    pub(crate) binding: String,
    pub(crate) expires: Timestamp,
    pub(crate) position: PagePosition,
}

/// Where a walk by token goes on.
#[derive(Debug, Clone)]
pub(crate) struct PagePosition {
    pub(crate) after: (Timestamp, u64),
    pub(crate) served: usize,
    pub(crate) page: usize,
}

/// One organisation.
#[derive(Debug)]
pub struct Organisation {
    /// The id, which is also part of the ids of its records.
    pub id: u64,
    /// Where it lives.
    pub dc: DataCentre,
    /// The company's name.
    pub name: String,
    /// The name of its time zone.
    pub zone_name: String,
    /// Its time zone.
    pub zone: TimeZone,
    /// What it pays for.
    pub edition: Edition,
    /// Credits a day when they differ from the edition's.
    pub credit_limit: Option<u32>,
    /// Concurrent calls when they differ from the edition's.
    pub concurrency_limit: Option<u32>,
    /// An edit that changes nothing leaves `Modified_Time` alone. What Zoho does is not documented.
    pub ignore_empty_edits: bool,
    /// Its users.
    pub users: BTreeMap<u64, User>,
    /// The rules that run on writes.
    pub workflows: Vec<WorkflowRule>,
    /// The latest automation runs.
    pub automations: VecDeque<AutomationRun>,
    pub(crate) modules: Vec<Module>,
    pub(crate) tables: Vec<Table>,
    pub(crate) meter: Meter,
    pub(crate) page_tokens: BTreeMap<String, PageToken>,
    pub(crate) jobs: BTreeMap<u64, crate::api::bulk::Job>,
    pub(crate) downloads: VecDeque<Timestamp>,
    pub(crate) counters: BTreeMap<(usize, usize), u64>,
    next_id: u64,
}

const AUTOMATIONS_KEPT: usize = 10_000;

impl Organisation {
    /// An organisation without modules, users and records.
    pub fn new(number: u64, dc: DataCentre, name: &str, zone_name: &str, edition: Edition) -> Self {
        let base = (5_000 + number) * 1_000_000_000_000_000;
        Self {
            id: base + 1,
            dc,
            name: name.to_owned(),
            zone_name: zone_name.to_owned(),
            zone: user::zone(zone_name),
            edition,
            credit_limit: None,
            concurrency_limit: None,
            ignore_empty_edits: false,
            users: BTreeMap::new(),
            workflows: Vec::new(),
            automations: VecDeque::new(),
            modules: Vec::new(),
            tables: Vec::new(),
            meter: Meter::default(),
            page_tokens: BTreeMap::new(),
            jobs: BTreeMap::new(),
            downloads: VecDeque::new(),
            counters: BTreeMap::new(),
            next_id: base + 250_000,
        }
    }

    /// An id that is greater than all before.
    pub fn new_id(&mut self) -> u64 {
        // Zoho's ids grow with gaps; a gap that follows from the id itself keeps the model deterministic.
        self.next_id += 1 + self.next_id % 7;
        self.next_id
    }

    /// Adds a module, giving ids to it and its fields.
    pub fn add_module(&mut self, mut module: Module) {
        module.id = self.new_id();
        for field in module.fields_mut() {
            field.id = self.new_id();
        }
        for list in &mut module.related {
            list.id = self.new_id();
        }
        for view in &mut module.views {
            view.id = self.new_id();
        }
        self.tables.push(Table::new(&module));
        self.modules.push(module);
    }

    /// All modules.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// Where a module is found.
    pub fn position(&self, api_name: &str) -> Option<usize> {
        self.modules
            .iter()
            .position(|module| module.api_name == api_name)
    }

    /// A module by its name.
    pub fn module(&self, api_name: &str) -> Option<&Module> {
        self.modules.get(self.position(api_name)?)
    }

    /// A module by its name, to change its settings.
    pub fn module_mut(&mut self, api_name: &str) -> Option<&mut Module> {
        let position = self.position(api_name)?;
        self.modules.get_mut(position)
    }

    /// The records of a module.
    pub fn table(&self, api_name: &str) -> Option<&Table> {
        self.tables.get(self.position(api_name)?)
    }

    pub(crate) fn table_at(&self, position: usize) -> &Table {
        static EMPTY: std::sync::LazyLock<Table> = std::sync::LazyLock::new(Table::default);
        self.tables.get(position).unwrap_or(&EMPTY)
    }

    /// One record.
    pub fn record(&self, module: &str, id: u64) -> Option<&Record> {
        self.table(module)?.get(id)
    }

    /// The module that holds a record.
    pub fn module_of(&self, id: u64) -> Option<usize> {
        self.tables.iter().position(|table| table.get(id).is_some())
    }

    /// The first active administrator: who acts when nobody is named.
    pub fn administrator(&self) -> u64 {
        self.users
            .values()
            .find(|user| user.administrator && user.status == user::UserStatus::Active)
            .or_else(|| self.users.values().next())
            .map_or(0, |user| user.id)
    }

    /// The value of a field, computed when the field says so.
    pub(crate) fn value(
        &self,
        module: usize,
        record: &Record,
        position: usize,
        now: Timestamp,
    ) -> Value {
        let Some(field) = self
            .modules
            .get(module)
            .and_then(|module| module.fields().get(position))
        else {
            return Value::Null;
        };
        match &field.computed {
            None if position == common::LOCKED => Value::Boolean(record.locked),
            None => record.value(position).clone(),
            Some(computed) => self.compute(module, record, computed, now),
        }
    }

    fn compute(
        &self,
        module: usize,
        record: &Record,
        computed: &Computed,
        now: Timestamp,
    ) -> Value {
        match computed {
            Computed::FullName => {
                let part = |name| {
                    self.modules
                        .get(module)
                        .and_then(|module| module.position(name))
                };
                let text = |position: Option<usize>| {
                    position.and_then(|position| record.value(position).as_text())
                };
                match (text(part("First_Name")), text(part("Last_Name"))) {
                    (Some(first), Some(last)) => Value::text(format!("{first} {last}")),
                    (_, last) => Value::text(last.unwrap_or_default()),
                }
            }
            Computed::DaysSinceCreation => {
                let days = (now.as_second() - record.created().as_second()).div_euclid(86_400);
                Value::Number(days.into())
            }
            Computed::DaysUntil(position) => match record.value(*position) {
                Value::Date(date) => {
                    let today = now.to_zoned_datetime(self.zone.clone()).date();
                    today
                        .until(*date)
                        .map_or(Value::Null, |span| Value::Number(span.get_days().into()))
                }
                _ => Value::Null,
            },
            Computed::ShareOf(amount, percent) => {
                match (
                    record.value(*amount).as_number(),
                    record.value(*percent).as_number(),
                ) {
                    (Some(amount), Some(percent)) => Value::Number(
                        (amount * percent / rust_decimal::Decimal::ONE_HUNDRED)
                            .round_dp(2)
                            .normalize(),
                    ),
                    _ => Value::Null,
                }
            }
            Computed::Through(lookup, name) => {
                let target = record.value(*lookup).as_reference();
                target
                    .and_then(|id| self.module_of(id).map(|module| (module, id)))
                    .and_then(|(module, id)| {
                        let position = self.modules.get(module)?.position(name)?;
                        Some(self.table_at(module).get(id)?.value(position).clone())
                    })
                    .unwrap_or_default()
            }
            Computed::CountOf(module, via) => {
                Value::Number(self.children(module, via, record.id).count().into())
            }
            Computed::SumOf(module, via, field) => {
                let Some(position) = self
                    .module(module)
                    .and_then(|module| module.position(field))
                else {
                    return Value::Null;
                };
                let sum: rust_decimal::Decimal = self
                    .children(module, via, record.id)
                    .filter_map(|child| child.value(position).as_number())
                    .sum();
                Value::Number(sum.normalize())
            }
        }
    }

    /// The records of a module whose lookup names a record.
    pub(crate) fn children<'a>(
        &'a self,
        module: &str,
        via: &str,
        id: u64,
    ) -> impl Iterator<Item = &'a Record> + 'a {
        let place = self
            .position(module)
            .and_then(|at| Some((at, self.modules.get(at)?.position(via)?)));
        place
            .and_then(|(at, lookup)| {
                self.tables
                    .get(at)?
                    .with_key(lookup, &Key::Id(id))
                    .map(|ids| (at, ids))
            })
            .into_iter()
            .flat_map(move |(at, ids)| ids.filter_map(move |id| self.table_at(at).get(id)))
    }

    pub(crate) fn ran(&mut self, run: AutomationRun) {
        if self.automations.len() >= AUTOMATIONS_KEPT {
            self.automations.pop_front();
        }
        self.automations.push_back(run);
    }

    /// The first user with an address, in any case of letters.
    pub fn user_by_email(&self, email: &str) -> Option<&User> {
        self.users
            .values()
            .find(|user| user.email.eq_ignore_ascii_case(email))
    }
}
