//! A believable organisation from a seed and a size.

mod modules;
mod people;
mod records;
mod work;

pub use modules::standard as standard_modules;

use crate::dc::DataCentre;
use crate::limits::Edition;
use crate::org::{Organisation, WorkflowRule};
use jiff::Timestamp;
use rand::{SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

/// What organisation to make.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OrganisationSpec {
    /// Where it lives.
    pub dc: String,
    /// The company's name.
    pub name: String,
    /// The seed: the same seed, size and time give the same organisation.
    pub seed: u64,
    /// The number of accounts; everything else follows from it unless it is given.
    pub accounts: usize,
    /// The number of contacts.
    pub contacts: Option<usize>,
    /// The number of deals.
    pub deals: Option<usize>,
    /// The number of tasks.
    pub tasks: Option<usize>,
    /// The number of users.
    pub users: Option<usize>,
    /// The zone of the organisation and its users: a name or an offset such as `+05:30`.
    pub time_zone: String,
    /// What it pays for.
    pub edition: Edition,
    /// Whether the account field `External_ID` is unique; then no duplicates are made.
    pub unique_external_id: bool,
    /// Whether the demo workflow rules are switched on.
    pub workflows: bool,
}

impl Default for OrganisationSpec {
    fn default() -> Self {
        Self {
            dc: DataCentre::Us.name().to_owned(),
            name: "Northwind Instruments".to_owned(),
            seed: 1,
            accounts: 1_200,
            contacts: None,
            deals: None,
            tasks: None,
            users: None,
            time_zone: "America/New_York".to_owned(),
            edition: Edition::Enterprise,
            unique_external_id: false,
            workflows: true,
        }
    }
}

impl OrganisationSpec {
    /// A small organisation of a seed: quick to make, with something of everything.
    pub fn small(seed: u64) -> Self {
        Self {
            seed,
            accounts: 24,
            ..Self::default()
        }
    }

    /// The largest number that is asked for.
    pub(crate) fn largest(&self) -> usize {
        let given = [self.contacts, self.deals, self.tasks, self.users];
        let given = given.into_iter().flatten().max().unwrap_or(0);
        self.accounts.max(given)
    }

    fn contacts(&self) -> usize {
        self.contacts.unwrap_or(self.accounts * 25 / 6)
    }

    fn deals(&self) -> usize {
        self.deals.unwrap_or(self.accounts * 5 / 2)
    }

    fn tasks(&self) -> usize {
        self.tasks.unwrap_or(self.accounts * 10 / 3)
    }

    fn users(&self) -> usize {
        self.users
            .unwrap_or(if self.accounts >= 1_000 { 40 } else { 12 })
            .max(4)
    }
}

pub(crate) fn organisation(number: u64, spec: &OrganisationSpec, now: Timestamp) -> Organisation {
    let mut random = StdRng::seed_from_u64(spec.seed);
    let dc = spec.dc.parse().unwrap_or_default();
    let mut organisation = Organisation::new(number, dc, &spec.name, &spec.time_zone, spec.edition);
    for module in modules::standard(spec.unique_external_id) {
        organisation.add_module(module);
    }
    organisation.workflows = ["Accounts", "Contacts", "Deals"]
        .map(|module| WorkflowRule {
            module: module.to_owned(),
            field: "Workflow_Runs".to_owned(),
            active: spec.workflows,
        })
        .to_vec();
    people::add(&mut organisation, spec, &mut random, now);
    records::add(&mut organisation, spec, &mut random, now);
    organisation
}
