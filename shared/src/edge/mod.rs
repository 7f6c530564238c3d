//! The Lambda edge: event types, batches, the environment, telemetry.

pub mod batch;
pub mod tick;
