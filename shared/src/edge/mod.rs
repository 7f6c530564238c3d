//! The Lambda edge: event types, batches, the environment, the clients, telemetry.

pub mod batch;
pub mod clients;
pub mod environment;
pub mod telemetry;
pub mod tick;
