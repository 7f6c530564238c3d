//! What both sides are in the end, and whether the promises were kept.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value};
use tandem_local::{QUEUES, World};

use super::hand::{Edit, End, Hand};
use crate::{CONNECTION, text};

/// What a record says about when and by which run, which is another in each world.
const OF_THE_MOMENT: [&str; 6] = [
    "Created_Time",
    "Last_Activity_Time",
    "Modified_Time",
    "at",
    "attempt",
    "run",
];

/// What a sync is about in a record's item.
const OF_A_RECORD: [&str; 9] = [
    "account_key",
    "base",
    "base_as_fields",
    "fields",
    "parked",
    "pending",
    "removed",
    "segments",
    "zoho_id",
];

const MODULES: [&str; 4] = ["Accounts", "Contacts", "Deals", "Tasks"];

/// A look at both sides.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Look {
    /// Each item of the records and the links, as it is.
    pub(super) tables: BTreeMap<String, Value>,
    /// The same, without what differs from world to world.
    content: BTreeMap<String, Value>,
    /// Zoho's rows, likewise.
    zoho: BTreeMap<String, Value>,
    rows: BTreeMap<&'static str, Vec<Value>>,
    log: Vec<Map<String, Value>>,
}

impl Look {
    pub(super) async fn take(world: &World, hand: &Hand) -> Result<Self> {
        let rows = rows(world)?;
        let names = Names::of(&rows, hand);
        let mut tables = BTreeMap::new();
        let mut content = BTreeMap::new();
        let stack = &world.stack;
        for item in stack.table_items(&stack.tables().records).await? {
            let key = format!("record {} {}", text(&item, "pk")?, text(&item, "sk")?);
            let picked = OF_A_RECORD
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), item.get(*name)?.clone())));
            content.insert(
                key.clone(),
                names.without_moments(&picked.collect::<Map<_, _>>().into()),
            );
            tables.insert(key, item.into());
        }
        for item in stack.table_items(&stack.tables().links).await? {
            let key = |id: &str| format!("link {} {id}", text(&item, "pk").unwrap_or_default());
            let id = text(&item, "sk")?;
            let named = names.of_link(id);
            let mut picked = item.clone();
            picked.remove("sk");
            // The full sync that it came in with, if it was one.
            picked.remove("f");
            if named.is_some() {
                // The hash covers the Zoho id, which is another in each world.
                picked.remove("h");
            }
            content.insert(
                key(named.unwrap_or(id)),
                names.without_moments(&picked.into()),
            );
            tables.insert(key(id), item.into());
        }
        let mut zoho = BTreeMap::new();
        for (module, rows) in &rows {
            for row in rows {
                let id = row["id"].as_str().unwrap_or_default();
                let key = format!("{module} {}", names.new.get(id).map_or(id, String::as_str));
                zoho.insert(key, names.without_moments(row));
            }
        }
        let log = stack.table_items(&stack.tables().log).await?;
        Ok(Self {
            tables,
            content,
            zoho,
            rows,
            log,
        })
    }

    /// In what it differs from another world.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let pairs = [(&self.content, &other.content), (&self.zoho, &other.zoho)];
        let differing = pairs.into_iter().flat_map(|(here, there)| {
            let keys: BTreeSet<&String> = here.keys().chain(there.keys()).collect();
            keys.into_iter()
                .filter(|key| here.get(*key) != there.get(*key))
                .map(|key| difference(key, here.get(key), there.get(key)))
                .collect::<Vec<_>>()
        });
        differing.collect()
    }

    /// Holds it against what was done: no edit is lost, nothing is in Zoho twice, nothing waits among the dead letters.
    pub(super) async fn check_promises(&self, world: &World, hand: &Hand) -> Result<()> {
        for queue in QUEUES {
            let letters = world.stack.dead_letters(queue).await?;
            ensure!(letters == 0, "{letters} dead letters of {queue}");
        }
        for (key, item) in &self.tables {
            let waits = item["pending"]
                .as_object()
                .is_some_and(|edits| !edits.is_empty());
            ensure!(
                !waits || !item["parked"].is_null(),
                "P2: {key} has edits that wait, and nothing says why: {item}"
            );
        }
        for edit in hand.edits.iter().chain(&hand.conflicts) {
            self.check_edit(edit)
                .with_context(|| format!("P2, P6: {edit:?}"))?;
        }
        Ok(())
    }

    fn check_edit(&self, edit: &Edit) -> Result<()> {
        let key = format!("record {CONNECTION}#{} {}", edit.object, edit.id);
        let record = self.tables.get(&key).context("its record is gone")?;
        let (module, field) = match edit.object {
            "task" => ("Tasks", edit.field.1),
            _ => ("Contacts", edit.field.1),
        };
        let rows = self.rows[module].iter();
        let mut same = rows.filter(|row| row["id"] == record["zoho_id"]);
        let row = same.next().context("its row is not in Zoho")?;
        let having = self.rows[module]
            .iter()
            .filter(|row| row[field] == edit.value.as_str())
            .count();
        let arrived = row[field] == edit.value.as_str();
        match edit.end {
            End::InZoho => {
                ensure!(arrived, "Zoho has {}, the record is {record}", row[field]);
                ensure!(having == 1, "Zoho has it {having} times");
                ensure!(record["parked"].is_null(), "it is parked: {record}");
            }
            End::Parked => {
                ensure!(having == 0, "Zoho took it");
                ensure!(
                    record["parked"]["code"].is_string()
                        && record["pending"].to_string().contains(&edit.value),
                    "it is not parked: {record}"
                );
            }
            End::Overruled => {
                ensure!(having == 0, "Zoho took it");
                let told = self.log.iter().any(|entry| {
                    entry
                        .get("record")
                        .is_some_and(|record| *record == edit.id.as_str())
                        && overruled(entry).any(|lost| lost == edit.value)
                });
                ensure!(told, "the log does not say that it lost: {record}");
            }
        }
        Ok(())
    }
}

/// The texts that a log line says to have lost.
fn overruled(entry: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let fields = entry.get("fields").and_then(Value::as_array);
    let fields = fields.into_iter().flatten();
    fields.filter_map(|field| field["overruled"]["text"].as_str())
}

fn difference(key: &str, here: Option<&Value>, there: Option<&Value>) -> String {
    match (here, there) {
        (Some(here), Some(there)) => {
            let none = Map::new();
            let (here, there) = (
                here.as_object().unwrap_or(&none),
                there.as_object().unwrap_or(&none),
            );
            let names: BTreeSet<&String> = here.keys().chain(there.keys()).collect();
            let parts: Vec<String> = names
                .into_iter()
                .filter(|name| here.get(*name) != there.get(*name))
                .map(|name| {
                    let show =
                        |side: &Map<String, Value>| side.get(name).cloned().unwrap_or_default();
                    format!("{name} is {} instead of {}", show(here), show(there))
                })
                .collect();
            format!("{key}: {}", parts.join("; "))
        }
        (Some(_), None) => format!("{key} is there and should not be"),
        _ => format!("{key} is missing"),
    }
}

fn rows(world: &World) -> Result<BTreeMap<&'static str, Vec<Value>>> {
    let zoho = world.zoho()?;
    let now = zoho.now();
    let guard = zoho.zoho();
    let organisation = guard.organisations().next().context("no organisation")?.id;
    let of = |module: &'static str| Ok((module, guard.records(organisation, module, now)?));
    MODULES.into_iter().map(of).collect()
}

/// Names for what the platform created in Zoho, whose ids depend on which came first.
struct Names {
    new: BTreeMap<String, String>,
}

impl Names {
    fn of(rows: &BTreeMap<&'static str, Vec<Value>>, hand: &Hand) -> Self {
        let subjects: BTreeSet<&str> = hand
            .edits
            .iter()
            .filter(|edit| edit.account.is_some())
            .map(|edit| edit.value.as_str())
            .collect();
        let new = rows["Tasks"].iter().filter_map(|row| {
            let subject = row["Subject"].as_str()?;
            let id = row["id"].as_str()?;
            subjects
                .contains(subject)
                .then(|| (id.to_owned(), subject.to_owned()))
        });
        Self { new: new.collect() }
    }

    /// The name of what a link's padded Zoho id stands for, if it has one.
    fn of_link(&self, id: &str) -> Option<&str> {
        self.new.get(id.trim_start_matches('0')).map(String::as_str)
    }

    fn without_moments(&self, value: &Value) -> Value {
        match value {
            Value::Object(fields) => fields
                .iter()
                .filter(|(name, _)| !OF_THE_MOMENT.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), self.without_moments(value)))
                .collect(),
            Value::Array(items) => items
                .iter()
                .map(|item| self.without_moments(item))
                .collect(),
            Value::String(text) => match self.new.get(text) {
                Some(name) => Value::String(name.clone()),
                None => value.clone(),
            },
            _ => value.clone(),
        }
    }
}
