//! What happened, as a table for a person and as JSON for a program.

use std::collections::BTreeMap;

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

use super::progress::say;

/// The whole story.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether every step held.
    pub ok: bool,
    /// The steps in their order.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// What was done.
    pub name: String,
    /// Whether what should have happened did, and nothing else.
    pub ok: bool,
    /// How long it took.
    pub seconds: f64,
    /// Calls that Zoho served.
    pub zoho_calls: u64,
    /// Credits that they cost.
    pub zoho_credits: u64,
    /// Records that differ from before in the emulator's own table.
    pub records_written: u64,
    /// Links that differ from before in the emulator's own table.
    pub links_written: u64,
    /// Records on the platform afterwards, by object.
    pub counts: BTreeMap<String, u64>,
    /// What did not hold.
    pub problems: Vec<String>,
}

impl Report {
    /// A report of steps.
    #[must_use]
    pub fn new(steps: Vec<Step>) -> Self {
        Self {
            ok: !steps.is_empty() && steps.iter().all(|step| step.ok),
            steps,
        }
    }

    /// Prints the table.
    pub fn print(&self) {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header([
            "step",
            "",
            "seconds",
            "calls",
            "credits",
            "records\nwritten",
            "links\nwritten",
            "on the platform",
        ]);
        for step in &self.steps {
            let number = |number: u64| Cell::new(number).set_alignment(CellAlignment::Right);
            let counts = step
                .counts
                .iter()
                .map(|(object, count)| format!("{count} {object}s"))
                .collect::<Vec<_>>()
                .join(", ");
            table.add_row(vec![
                Cell::new(&step.name),
                Cell::new(if step.ok { "ok" } else { "FAILED" }),
                Cell::new(format!("{:.1}", step.seconds)).set_alignment(CellAlignment::Right),
                number(step.zoho_calls),
                number(step.zoho_credits),
                number(step.records_written),
                number(step.links_written),
                Cell::new(counts),
            ]);
        }
        say(&format!("\n{table}"));
        for step in self.steps.iter().filter(|step| !step.ok) {
            for problem in &step.problems {
                say(&format!("{}: {problem}", step.name));
            }
        }
        say(if self.ok {
            "The story held."
        } else {
            "The story did NOT hold."
        });
    }
}
