//! The flows: load through ports, plan with the pure rules, apply through ports, report.

pub mod connect;
pub mod edits;
pub mod error;
pub mod note;
pub mod runs;
pub mod session;

pub use error::Error;
pub use session::Session;
