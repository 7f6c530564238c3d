//! Deliberate defects, which the simulation has to find: a check that never fails says nothing.
//!
//! None of it is in what is shipped. A defect is put around the ports that a handler is given, so that the handler does to the outside what it
//! would do if it had the defect.

mod outside;
mod tables;

use std::sync::Arc;

use tandem::port::Ports;

use crate::{Outcome, run_with};

/// A deliberate defect.
#[derive(Debug, Clone, Copy)]
pub struct Defect {
    /// What it does wrong.
    pub what: &'static str,
    /// The rule that it breaks.
    pub rule: &'static str,
    /// The number of seeds within which it is found, counted from the first.
    pub within: u64,
    kind: Kind,
}

/// Which defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    CursorBeforeRecords,
    LinkBeforeRecord,
    HashForgotten,
    HalfIsAll,
    SavedOverAnything,
    PendingForgotten,
    IndexForgets,
    LeaseForEver,
    MarksForgotten,
}

macro_rules! defects {
    ($($kind:ident, $rule:literal, $within:literal, $what:literal;)+) => {
        /// All of them.
        pub const DEFECTS: &[Defect] = &[$(Defect { what: $what, rule: $rule, within: $within, kind: Kind::$kind },)+];
    };
}

defects! {
    CursorBeforeRecords, "P1", 6, "a cursor moves before the records are stored";
    LinkBeforeRecord, "P1", 6, "a link is stored before its record";
    HashForgotten, "P5", 4, "what a row said when it was applied is not kept";
    HalfIsAll, "P3", 4, "half a page passes for the whole, and what lacks for gone";
    SavedOverAnything, "P2", 6, "a record is stored over what somebody else stored meanwhile";
    PendingForgotten, "P2", 4, "an edit is stored and not kept as on its way";
    IndexForgets, "P2", 4, "edits that wait are not found any more";
    LeaseForEver, "C3", 8, "a lease does not run out";
    MarksForgotten, "F5", 4, "accounts are not marked for calculation";
}

impl Defect {
    /// Looks for it, seed by seed: the first that finds it, if one within the number of seeds does.
    #[must_use]
    pub fn found(&self) -> Option<Outcome> {
        (1..=self.within)
            .map(|seed| self.run(seed))
            .find(|outcome| outcome.violation.is_some())
    }

    /// Runs a seed with it.
    #[must_use]
    pub fn run(&self, seed: u64) -> Outcome {
        run_with(seed, &|ports| Ports {
            store: Arc::new(tables::Tables::new(ports.store, self.kind)),
            crm: Arc::new(outside::Zoho::new(ports.crm, self.kind)),
            ..ports
        })
    }
}
