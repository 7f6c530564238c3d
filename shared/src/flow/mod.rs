//! The flows: load through ports, plan with the pure rules, apply through ports, report.

pub mod connect;
pub mod edits;
pub mod error;
pub mod runs;

pub use error::Error;
