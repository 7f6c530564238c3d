//! What should be on the platform, worked out from the simulated organisation alone: the yardstick that a sync is held against.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use jiff::Timestamp;
use serde_json::Value;
use zoho_sim::Zoho;

/// The ids of an organisation's records that should be on the platform, by object.
pub type InScope = BTreeMap<&'static str, BTreeSet<String>>;

/// Works out what is in scope: accounts that `admits` and that have an external id, each id once; contacts of these with an e-mail, each once;
/// deals of these accounts; tasks tied to any of them; all users.
///
/// # Errors
/// When there is no such organisation.
pub fn in_scope(
    world: &Zoho,
    organisation: u64,
    now: Timestamp,
    admits: impl Fn(&Value) -> bool,
) -> Result<InScope> {
    let rows = |module: &str| world.records(organisation, module, now);
    let text = |row: &Value, field: &str| {
        row[field]
            .as_str()
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
    };
    let id = |row: &Value| row["id"].as_str().unwrap_or_default().to_owned();
    let lookup = |row: &Value, field: &str| row[field]["id"].as_str().map(str::to_owned);

    let mut seen = BTreeSet::new();
    let accounts: BTreeSet<String> = rows("Accounts")?
        .iter()
        .filter(|row| {
            admits(row) && text(row, "External_ID").is_some_and(|external| seen.insert(external))
        })
        .map(id)
        .collect();
    let of_account = |row: &Value| {
        lookup(row, "Account_Name").is_some_and(|account| accounts.contains(&account))
    };
    let mut seen = BTreeSet::new();
    let contacts: BTreeSet<String> = rows("Contacts")?
        .iter()
        .filter(|row| {
            of_account(row)
                && text(row, "Email").is_some_and(|email| seen.insert(email.to_lowercase()))
        })
        .map(id)
        .collect();
    let deals: BTreeSet<String> = rows("Deals")?
        .iter()
        .filter(|row| of_account(row))
        .map(id)
        .collect();
    let tied = |row: &Value| {
        let what = lookup(row, "What_Id")
            .is_some_and(|what| accounts.contains(&what) || deals.contains(&what));
        what || lookup(row, "Who_Id").is_some_and(|who| contacts.contains(&who))
    };
    let tasks: BTreeSet<String> = rows("Tasks")?
        .iter()
        .filter(|row| tied(row))
        .map(id)
        .collect();
    let users: BTreeSet<String> = world
        .organisation(organisation)
        .into_iter()
        .flat_map(|organisation| {
            organisation
                .users
                .keys()
                .map(u64::to_string)
                .collect::<Vec<_>>()
        })
        .collect();
    Ok(InScope::from([
        ("account", accounts),
        ("contact", contacts),
        ("deal", deals),
        ("task", tasks),
        ("user", users),
    ]))
}
