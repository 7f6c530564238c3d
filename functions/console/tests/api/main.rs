//! The console's API, driven through its router over tables, queues and secrets in memory.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail loudly, helpers included"
)]

mod anything;
mod connections;
mod dead_letters;
mod description;
mod desk;
mod edits;
mod files;
mod gateway;
mod guard;
mod log;
mod lookup;
mod parked;
mod preflight;
mod preview;
mod records;
mod removals;
mod runs;
mod settings;
mod unlinked;
mod zoho;
