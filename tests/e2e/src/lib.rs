//! Stories on the deployed template: production's own binaries and template on the emulator, with a simulated Zoho.

pub mod chaos;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use tandem_local::{Emulator, EmulatorOptions, World, WorldOptions, build_functions};
use tokio::sync::OnceCell;
use zoho_sim::OrganisationSpec;

/// The connection of every story; each has a stack of its own.
pub const CONNECTION: &str = "acme";

/// How long a run may take.
pub const BUDGET: Duration = Duration::from_secs(300);

/// The emulator that all stories of a process share; it ends with the process.
static EMULATOR: OnceCell<Emulator> = OnceCell::const_new();

/// A world of its own for a story, with an organisation of so many accounts.
///
/// # Errors
/// When it can't be set up.
pub async fn world(name: &str, accounts: usize) -> Result<World> {
    let organisation = OrganisationSpec {
        accounts,
        ..OrganisationSpec::small(11)
    };
    world_of(name, organisation).await
}

/// A world of its own for a story, with this organisation.
///
/// # Errors
/// When it can't be set up.
pub async fn world_of(name: &str, organisation: OrganisationSpec) -> Result<World> {
    let emulator = EMULATOR
        .get_or_try_init(|| Emulator::start(EmulatorOptions::default()))
        .await?;
    let functions = build_functions()?;
    let options = WorldOptions {
        name: name.to_owned(),
        organisation: Some(organisation),
        live: None,
        port: 0,
        retry_after: Some(Duration::from_secs(4)),
    };
    World::start(emulator, &functions, options).await
}

/// Makes the connection, with these settings, and connects it; it is not enabled yet.
///
/// # Errors
/// When a step fails.
pub async fn connect(world: &World) -> Result<()> {
    world
        .console
        .post(
            "/api/connections",
            &json!({ "id": CONNECTION, "name": "Acme" }),
        )
        .await?;
    world.console.save_settings(CONNECTION, &settings()).await?;
    world.connect(CONNECTION, "us").await?;
    Ok(())
}

/// The settings of the stories.
#[must_use]
pub fn settings() -> Value {
    json!({
        "account_external_id": "External_ID",
        "core_writeback": true,
        "objects": {
            "account": { "filter": { "where": { "field": "Customer_Status", "comparator": "equal", "value": "Active" } } },
            "contact": { "mappings": [{ "zoho": "Phone", "platform": "phone", "editable": true }] }
        }
    })
}

/// Enables the connection, which starts its first full sync, and returns the run's id.
///
/// # Errors
/// When a step fails.
pub async fn enable(world: &World) -> Result<String> {
    world
        .console
        .post(&format!("/api/connections/{CONNECTION}/enable"), &json!({}))
        .await?;
    world.console.latest_run(CONNECTION, "full").await
}

/// Waits for a run's end and for silence, and returns the run.
///
/// # Errors
/// When it takes too long.
pub async fn ended(world: &World, run: &str) -> Result<Value> {
    let ended = world
        .console
        .await_run(CONNECTION, run, BUDGET, |_| {})
        .await?;
    world.stack.wait_until_idle(BUDGET).await?;
    Ok(ended)
}

/// What a sync is about in the tables: each record's values and each link, without when and by which run they were written.
///
/// # Errors
/// When a table can't be read.
pub async fn content(world: &World) -> Result<BTreeMap<String, Value>> {
    let pick = |item: &Map<String, Value>, names: &[&str]| -> Value {
        names
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), item.get(*name)?.clone())))
            .collect::<Map<_, _>>()
            .into()
    };
    let mut content = BTreeMap::new();
    let tables = world.stack.tables();
    for item in world.stack.table_items(&tables.records).await? {
        let key = format!("record {} {}", text(&item, "pk")?, text(&item, "sk")?);
        content.insert(
            key,
            pick(
                &item,
                &[
                    "fields",
                    "base",
                    "base_as_fields",
                    "pending",
                    "zoho_id",
                    "parked",
                    "removed",
                ],
            ),
        );
    }
    // But for the full sync that it came in with, a link says nothing about when it was written: all of it has to agree.
    for mut item in world.stack.table_items(&tables.links).await? {
        let key = format!("link {} {}", text(&item, "pk")?, text(&item, "sk")?);
        item.remove("f");
        content.insert(key, item.into());
    }
    Ok(content)
}

/// The ids of an object's records on the platform, at most so many.
///
/// # Errors
/// When the console does not list them.
pub async fn ids(world: &World, object: &str, most: usize) -> Result<Vec<String>> {
    let page = world
        .console
        .get(&format!(
            "/api/connections/{CONNECTION}/{object}?limit={most}"
        ))
        .await?;
    let records = page["items"].as_array().context("a page without items")?;
    Ok(records
        .iter()
        .filter_map(|record| record["id"].as_str().map(str::to_owned))
        .collect())
}

fn text<'a>(item: &'a Map<String, Value>, name: &str) -> Result<&'a str> {
    item.get(name)
        .and_then(Value::as_str)
        .with_context(|| format!("an item without {name}"))
}
