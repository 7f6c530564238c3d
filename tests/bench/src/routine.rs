//! A routine sync after some changes: at most two calls for their object, one for each other, and one write per change.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use comfy_table::Table;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use tandem::object::Object;
use tandem::run::{Counter, Counters, RunKind};
use tandem::select::PAGE_ROWS;
use tandem_memory::RowsZoho;

use crate::house::{House, clock};

/// Measures it and prints a table; true when the promises hold.
///
/// # Errors
/// When a sync fails.
pub(crate) async fn measure(records: u32, changes: u32) -> Result<bool> {
    let changes = changes.min(records);
    let clock = clock()?;
    let zoho = Arc::new(RowsZoho::new(clock.clone(), PAGE_ROWS));
    let house = House::build(clock.clone(), zoho.clone()).await?;
    let made = house.world.now();
    for number in 1..=records {
        // An hour of changes, so that the cursor lies behind them.
        let at = made - SignedDuration::from_secs(3_600 - i64::from(number % 3_600));
        zoho.put(Object::Account, account(number, at, "as it was"));
    }
    clock.advance(SignedDuration::from_mins(5));
    house.run(RunKind::Full).await?;
    clock.advance(SignedDuration::from_mins(15));
    house.run(RunKind::Routine).await?;
    for number in 1..=changes {
        let number = number * (records / changes);
        zoho.put(
            Object::Account,
            account(number, house.world.now(), "changed"),
        );
    }
    clock.advance(SignedDuration::from_mins(15));
    let (writes, calls) = (house.world.store.writes(), zoho.calls());
    let (_, slices) = house.run(RunKind::Routine).await?;
    let written = house.world.store.writes() - writes;
    let calls: BTreeMap<Object, u64> = zoho
        .calls()
        .into_iter()
        .map(|(object, after)| {
            (
                object,
                after - calls.get(&object).copied().unwrap_or_default(),
            )
        })
        .collect();
    let mut table = Table::new();
    table.set_header(["object", "calls", "credits", "rows", "updated"]);
    for object in Object::ALL {
        let mut counters = Counters::default();
        for slice in slices.iter().filter(|slice| slice.key.object == object) {
            counters.merge(&slice.counters);
        }
        let count = |counter| counters.get(counter).to_string();
        table.add_row([
            object.name().to_owned(),
            calls.get(&object).copied().unwrap_or_default().to_string(),
            count(Counter::ZohoCredits),
            count(Counter::RowsRead),
            count(Counter::Updated),
        ]);
    }
    let most = |object: Object| if object == Object::Account { 2 } else { 1 };
    let holds = Object::ALL
        .iter()
        .all(|object| calls.get(object).copied().unwrap_or_default() <= most(*object))
        && written.records == u64::from(changes)
        && written.links == 2 * u64::from(changes);
    println!("{changes} of {records} accounts changed\n{table}");
    println!(
        "written: {} records, {} links, {} log lines, {} cursors",
        written.records, written.links, written.log_lines, written.cursors
    );
    println!("{}", if holds { "holds" } else { "DOES NOT HOLD" });
    Ok(holds)
}

fn account(number: u32, modified: Timestamp, name: &str) -> Json {
    json!({
        "id": (5_000_000_000_000u64 + u64::from(number)).to_string(),
        "Modified_Time": modified.to_string(),
        "AccountExternalID": format!("A-{number}"),
        "Account_Name": format!("Account {number} {name}"),
        "Website": null,
        "Owner": null,
        "Parent_Account": null,
    })
}
