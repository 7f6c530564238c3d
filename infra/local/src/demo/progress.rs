//! What the demo shows while it works.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

/// Says a line to the person at the terminal.
#[expect(clippy::print_stdout, reason = "the demo talks to a person")]
pub(super) fn say(line: &str) {
    println!("{line}");
}

/// A spinner per stage of the setup.
pub(super) struct Stages(MultiProgress);

impl Stages {
    pub(super) fn new() -> Self {
        Self(MultiProgress::new())
    }

    /// Shows that something is under way until it is done.
    pub(super) async fn during<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let spinner = self.0.add(ProgressBar::new_spinner());
        spinner.set_message(what.to_owned());
        spinner.enable_steady_tick(Duration::from_millis(100));
        let result = work.await;
        let mark = if result.is_ok() { "done" } else { "FAILED" };
        spinner.finish_and_clear();
        say(&format!("{what}: {mark}"));
        result
    }
}

/// A bar per object of a full sync.
pub(super) struct Bars {
    _all: MultiProgress,
    bars: BTreeMap<String, ProgressBar>,
}

impl Bars {
    /// Bars with the rows that are to be read of each object.
    pub(super) fn new(rows: &BTreeMap<&'static str, usize>) -> Self {
        let all = MultiProgress::new();
        let style = ProgressStyle::with_template("  {prefix:8} {bar:32} {pos:>6}/{len} rows")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bars = rows
            .iter()
            .map(|(object, rows)| {
                let bar = all.add(ProgressBar::new(*rows as u64).with_style(style.clone()));
                bar.set_prefix(*object);
                ((*object).to_owned(), bar)
            })
            .collect();
        Self { _all: all, bars }
    }

    /// Shows how far a run has come.
    pub(super) fn show(&self, run: &Value) {
        for (object, bar) in &self.bars {
            bar.set_position(counter(run, object, "rows_read"));
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.bars.values().for_each(ProgressBar::finish_and_clear);
    }
}

/// What a run counted of an object.
pub(super) fn counter(run: &Value, object: &str, counter: &str) -> u64 {
    run["counters"][object][counter]
        .as_u64()
        .unwrap_or_default()
}
