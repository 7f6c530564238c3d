//! A full sync in which nothing changed: its memory does not grow with the organisation, and it writes no record and no link.

use std::sync::Arc;

use anyhow::Result;
use comfy_table::Table;
use peak_alloc::PeakAlloc;
use rustix::time::{ClockId, clock_gettime};
use tandem::run::{Counter, Counters, RunKind};

use crate::house::{House, clock};
use crate::synthetic::Synthetic;

/// How much higher the heap of the large organisation may rise than that of the small one.
const MOST_GROWTH: f64 = 1.3;

/// What one full sync needed.
struct Measured {
    records: u64,
    rows: u64,
    slices: usize,
    /// The highest that the heap rose above where it stood before, in bytes.
    heap: usize,
    cpu_seconds: f64,
    calls: u64,
    credits: u64,
    written: u64,
}

/// Measures both sizes and prints a table; true when the promises hold.
///
/// # Errors
/// When a sync fails.
pub(crate) async fn measure(heap: &PeakAlloc, small: u64, large: u64) -> Result<bool> {
    let small = one(heap, small).await?;
    let large = one(heap, large).await?;
    let mut table = Table::new();
    table.set_header([
        "records",
        "rows",
        "slices",
        "peak heap",
        "CPU",
        "calls",
        "credits",
        "written",
    ]);
    for measured in [&small, &large] {
        table.add_row([
            measured.records.to_string(),
            measured.rows.to_string(),
            measured.slices.to_string(),
            format!("{:.1} MiB", mebibytes(measured.heap)),
            format!("{:.2} s", measured.cpu_seconds),
            measured.calls.to_string(),
            measured.credits.to_string(),
            measured.written.to_string(),
        ]);
    }
    let growth = mebibytes(large.heap) / mebibytes(small.heap);
    let holds = growth <= MOST_GROWTH
        && small.written == 0
        && large.written == 0
        && [&small, &large]
            .iter()
            .all(|measured| measured.rows >= measured.records);
    println!("{table}");
    println!(
        "peak heap: x {growth:.2}, at most {MOST_GROWTH}; records and links written: at most none"
    );
    println!("CPU includes making the synthetic rows and links, each row twice");
    println!("{}", if holds { "holds" } else { "DOES NOT HOLD" });
    Ok(holds)
}

async fn one(heap: &PeakAlloc, records: u64) -> Result<Measured> {
    let clock = clock()?;
    let zoho = Arc::new(Synthetic::new(clock.clone(), records));
    let house = House::build(clock, zoho.clone()).await?;
    house.world.store.make_links(zoho.clone());
    // The first one leaves the marks at which the second is cut into slices, as from night to night.
    house.run(RunKind::Full).await?;
    let (writes, (calls, credits)) = (house.world.store.writes(), zoho.spent());
    let (cpu, standing) = (cpu_seconds(), heap.current_usage());
    heap.reset_peak_usage();
    let (_, slices) = house.run(RunKind::Full).await?;
    let peak = heap.peak_usage();
    let mut counters = Counters::default();
    slices
        .iter()
        .for_each(|slice| counters.merge(&slice.counters));
    let written = house.world.store.writes() - writes;
    let (calls_after, credits_after) = zoho.spent();
    Ok(Measured {
        records,
        rows: counters.get(Counter::RowsRead),
        slices: slices.len(),
        heap: peak.saturating_sub(standing),
        cpu_seconds: cpu_seconds() - cpu,
        calls: calls_after - calls,
        credits: credits_after - credits,
        written: written.records + written.links + written.candidates,
    })
}

/// The time that this process has spent on a processor.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "it is shown with two digits")]
    let (seconds, nanoseconds) = (time.tv_sec as f64, time.tv_nsec as f64);
    seconds + nanoseconds / 1e9
}

fn mebibytes(bytes: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "it is shown with one digit")]
    let bytes = bytes as f64;
    bytes / 1_048_576.0
}
