//! What a step did, seen from outside: the requests that Zoho served and the emulator's own tables.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Map, Value};

use super::report::Step;
use crate::World;

/// A look at everything.
pub(super) struct Look {
    /// The number of the latest request that Zoho served.
    request: u64,
    records: BTreeMap<String, Map<String, Value>>,
    links: BTreeMap<String, Map<String, Value>>,
}

impl Look {
    /// Looks.
    pub(super) async fn take(world: &World) -> Result<Self> {
        let records = keyed(
            world
                .stack
                .table_items(&world.stack.tables().records)
                .await?,
        );
        let links = keyed(world.stack.table_items(&world.stack.tables().links).await?);
        let request = world
            .zoho
            .as_ref()
            .map(|zoho| zoho.zoho().journal.latest())
            .unwrap_or_default();
        Ok(Self {
            request,
            records,
            links,
        })
    }

    /// The records that are on the platform and not removed.
    pub(super) fn present(&self) -> impl Iterator<Item = (&str, &Map<String, Value>)> {
        self.records
            .values()
            .filter(|record| record.get("removed").is_none_or(Value::is_null))
            .filter_map(|record| {
                let object = record.get("pk")?.as_str()?.rsplit('#').next()?;
                Some((object, record))
            })
    }

    /// The step from this look to a later one.
    pub(super) fn step_to(
        &self,
        later: &Self,
        world: &World,
        name: &str,
        seconds: f64,
        problems: Vec<String>,
    ) -> Step {
        let served = world.zoho.as_ref().map(|zoho| {
            let world = zoho.zoho();
            let api = world
                .journal
                .since(self.request)
                .filter(|served| served.sequence <= later.request && served.path.contains("/crm/"));
            api.fold((0, 0), |(calls, credits), served| {
                (calls + 1, credits + u64::from(served.credits))
            })
        });
        let (zoho_calls, zoho_credits) = served.unwrap_or_default();
        let mut counts = BTreeMap::new();
        for (object, _) in later.present() {
            *counts.entry(object.to_owned()).or_default() += 1;
        }
        Step {
            name: name.to_owned(),
            ok: problems.is_empty(),
            seconds,
            zoho_calls,
            zoho_credits,
            records_written: differences(&self.records, &later.records),
            links_written: differences(&self.links, &later.links),
            counts,
            problems,
        }
    }

    /// How many records differ in a later look.
    pub(super) fn records_written(&self, later: &Self) -> u64 {
        differences(&self.records, &later.records)
    }

    /// How many links differ in a later look.
    pub(super) fn links_written(&self, later: &Self) -> u64 {
        differences(&self.links, &later.links)
    }
}

fn keyed(items: Vec<Map<String, Value>>) -> BTreeMap<String, Map<String, Value>> {
    let text = |item: &Map<String, Value>, name: &str| {
        item.get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    items
        .into_iter()
        .map(|item| {
            (
                format!("{}\n{}", text(&item, "pk"), text(&item, "sk")),
                item,
            )
        })
        .collect()
}

fn differences(
    before: &BTreeMap<String, Map<String, Value>>,
    after: &BTreeMap<String, Map<String, Value>>,
) -> u64 {
    let changed = after
        .iter()
        .filter(|(key, item)| before.get(*key) != Some(item))
        .count();
    let gone = before
        .keys()
        .filter(|key| !after.contains_key(*key))
        .count();
    (changed + gone) as u64
}
