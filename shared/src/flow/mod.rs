//! The flows: load through ports, plan with the pure rules, apply through ports, report.

pub mod alarm;
pub mod allowance;
pub mod apply;
pub mod budget;
pub mod calculate;
pub mod connect;
pub mod creation;
pub mod edits;
pub mod error;
pub mod full;
pub mod job;
pub(crate) mod lease;
pub mod note;
pub mod outlook;
pub mod parked;
pub mod poll;
pub mod preflight;
pub mod preview;
pub mod purge;
pub mod reading;
pub mod references;
pub mod removal;
pub mod restore;
pub mod routine;
pub mod runs;
pub mod session;
pub mod work;
pub mod writeback;

use jiff::SignedDuration;

pub use error::Error;
pub use session::Session;

/// Longer than it takes until a message comes again whose worker was cut off.
const REDELIVERED: SignedDuration = SignedDuration::from_hours(24);
