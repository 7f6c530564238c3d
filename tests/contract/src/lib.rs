//! One contract for the in-memory ports and the real adapters.
//!
//! Each port has a function that checks all its clauses ([`connections`], [`coordination`], [`ledger`], [`records`], [`journal`],
//! [`calculations`], [`erasure`], [`queue`], [`vault`]); [`tests!`] makes a test of each clause, so that a failing one does not hide the others. [`sequence`] compares a store with a
//! naive model under any sequence of operations.
//!
//! The clauses are fit for a real, shared service: every clause works under connections of its own, none assumes that a table is empty,
//! and what comes from an index or a listing is asked for again, as [`Patience`] allows, before it counts as wrong. What else is read has
//! to show what was written before.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a contract is for tests, which fail loudly"
)]

mod calculations;
mod clauses;
mod connections;
mod coordination;
mod erasure;
mod journal;
mod ledger;
mod queue;
mod records;
mod samples;
pub mod sequence;
mod setting;
mod vault;

pub use clauses::{
    calculations, check, connections, coordination, erasure, journal, ledger, queue, records, vault,
};
pub use erasure::fill;
pub use setting::{Mailbox, Patience, Safe, Setting};
