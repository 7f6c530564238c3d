//! Deliberate defects, which the simulation has to find: a check that never fails says nothing.
//!
//! None of it is in what is shipped. A defect is a layer around the ports that a handler is given, so that the handler does to the outside what it
//! would do if it had the defect; what its name does not say it leaves as it is.

mod cursor;
mod edits;
mod messages;
mod order;
mod reading;
mod rules;
mod turns;

use std::sync::Arc;
use std::thread::available_parallelism;

use tandem::port::{Crm, Ports, Queue, Store, Vault};
use tandem_memory::layer::{CrmLayer, Layered, QueueLayer, StoreLayer, VaultLayer};

use crate::{Dress, Outcome, run_many, run_with};

/// A deliberate defect.
#[derive(Debug, Clone, Copy)]
pub struct Defect {
    /// What it does wrong.
    pub what: &'static str,
    /// The rule that it breaks.
    pub rule: &'static str,
    /// The number of seeds within which it is found, counted from the first.
    pub within: u64,
    wrong: Wrong,
}

/// Where it is.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    /// In what a handler does to the outside.
    Ports(fn(Ports) -> Ports),
    /// In what takes the messages: each is acknowledged as soon as it is taken, so that it does not come again after a failure.
    Acknowledges,
}

macro_rules! defects {
    ($($rule:literal, $within:literal, $what:literal, $wrong:expr;)+) => {
        /// All of them.
        pub const DEFECTS: &[Defect] = &[$(Defect { what: $what, rule: $rule, within: $within, wrong: $wrong },)+];
    };
}

use Wrong::{Acknowledges, Ports as Does};

defects! {
    "P1", 5, "a cursor moves too far", Does(|ports| tables(ports, cursor::CursorTooFar));
    "P1", 500, "a link says that its row was applied before the record is stored", Does(|ports| tables(ports, order::LinkFirst::default()));
    "P1", 200, "a record is written in Zoho whatever changed there meanwhile", Does(|ports| zoho(ports, edits::Unconditional));
    "P1", 30, "a record that comes back stays removed", Does(|ports| tables(ports, rules::StaysRemoved));
    "S5", 5, "what belongs to an account that comes into scope is not asked for", Does(|ports| queues(ports, messages::DependantsForgotten));
    "P2", 40, "a record is stored over what somebody else stored meanwhile", Does(|ports| tables(ports, turns::SavedOverAnything));
    "P2", 5, "an edit is stored and not kept as on its way", Does(|ports| tables(ports, edits::PendingForgotten));
    "P2", 8, "edits that wait are not found any more", Does(|ports| tables(ports, edits::IndexForgets));
    "P2", 90, "what goes to Zoho takes with it the edit that came in meanwhile", Does(|ports| tables(ports, edits::SecondEditDropped));
    "P3", 4, "half a page passes for the whole, and what lacks for gone", Does(|ports| zoho(ports, reading::HalfIsAll::default()));
    "P4", 80, "a message is acknowledged before its work is stored", Acknowledges;
    "P4", 60, "a write that failed passes for done", Does(|ports| tables(ports, turns::FailureIsDone));
    "P4", 5, "a stage begins before the slices of the one before have reported", Does(|ports| tables(ports, turns::AllAreDone));
    "P5", 4, "what a row said when it was applied is not kept", Does(|ports| tables(ports, rules::HashForgotten));
    "P6", 110, "a record is created without looking whether Zoho has it", Does(|ports| zoho(ports, reading::FindsNothing));
    "P6", 400, "nobody knows of a creation whose reply was lost", Does(|ports| tables(ports, edits::IntentForgotten));
    "P7", 5, "the tokens of another connection are used", Does(|ports| secrets(ports, messages::TokensOfTheFirst));
    "W3", 10, "what is in no selected segment is written in Zoho", Does(|ports| tables(ports, rules::SegmentsIgnored));
    "W4", 300, "what both sides agreed on is not kept", Does(|ports| tables(ports, edits::BaseForgotten));
    "W4", 160, "what changes twice in the second of its reading is written over", Does(|ports| zoho(ports, reading::ReadLater));
    "W5", 5, "what is written in Zoho starts its automations", Does(|ports| zoho(ports, edits::AutomationsStarted));
    "W7", 400, "what is parked is never tried again", Does(|ports| queues(ports, messages::RetryForgotten));
    "R2", 5, "the removal guard is ignored", Does(|ports| tables(ports, rules::GuardIgnored));
    "C3", 12, "a lease does not run out", Does(|ports| tables(ports, turns::LeaseForEver));
    "C3", 60, "a grant is given up where no token is to be had for a while", Does(|ports| zoho(ports, rules::BusyIsGone));
    "C7", 5, "credits are not counted", Does(|ports| tables(ports, rules::CreditsForgotten));
    "L1", 5, "what was done is not written in the log", Does(|ports| tables(ports, rules::LogForgotten));
    "F5", 4, "accounts are not marked for calculation", Does(|ports| tables(ports, rules::MarksForgotten));
}

fn tables(ports: Ports, layer: impl StoreLayer + 'static) -> Ports {
    let store: Arc<dyn Store> = Arc::new(Layered::new(layer, ports.store));
    Ports { store, ..ports }
}

fn zoho(ports: Ports, layer: impl CrmLayer + 'static) -> Ports {
    let crm: Arc<dyn Crm> = Arc::new(Layered::new(layer, ports.crm));
    Ports { crm, ..ports }
}

fn queues(ports: Ports, layer: impl QueueLayer + 'static) -> Ports {
    let queue: Arc<dyn Queue> = Arc::new(Layered::new(layer, ports.queue));
    Ports { queue, ..ports }
}

fn secrets(ports: Ports, layer: impl VaultLayer + 'static) -> Ports {
    let vault: Arc<dyn Vault> = Arc::new(Layered::new(layer, ports.vault));
    Ports { vault, ..ports }
}

impl Defect {
    /// Looks for it, seed by seed: the first that finds it, if one within the number of seeds does.
    #[must_use]
    pub fn found(&self) -> Option<Outcome> {
        let threads = available_parallelism().map_or(1, usize::from);
        let mut found = None;
        run_many(
            1..self.within + 1,
            threads,
            |seed| self.run(seed),
            |outcome| {
                found = outcome.violation.is_some().then(|| outcome.clone());
                found.is_none()
            },
        );
        found
    }

    /// Runs a seed with it.
    #[must_use]
    pub fn run(&self, seed: u64) -> Outcome {
        run_with(seed, self)
    }
}

impl Dress for Defect {
    fn ports(&self, ports: Ports) -> Ports {
        match self.wrong {
            Wrong::Ports(wrong) => wrong(ports),
            Wrong::Acknowledges => ports,
        }
    }

    fn acknowledges_at_once(&self) -> bool {
        matches!(self.wrong, Wrong::Acknowledges)
    }
}
