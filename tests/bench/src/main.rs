//! What syncs need: memory, time, calls to Zoho, writes and credits. Fails when a promise about them does not hold.

#![expect(clippy::print_stdout, reason = "it talks to a person")]

mod full_sync;
mod house;
mod routine;
mod synthetic;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Measures what syncs need.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// A full sync in which nothing changed, of organisations of two sizes: the heap must not grow with the size, and nothing may be written.
    FullSync {
        /// The records of the small organisation.
        #[arg(long, default_value_t = 20_000)]
        small: u64,
        /// The records of the large organisation.
        #[arg(long, default_value_t = 200_000)]
        large: u64,
    },
    /// A routine sync after changes to some accounts: at most two calls for accounts, one for each other object, one write per change.
    Routine {
        /// The organisation's accounts.
        #[arg(long, default_value_t = 20_000)]
        records: u32,
        /// How many of them change.
        #[arg(long, default_value_t = 100)]
        changes: u32,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let holds = match Arguments::parse().what {
        What::FullSync { small, large } => full_sync::measure(&HEAP, small, large).await?,
        What::Routine { records, changes } => routine::measure(records, changes).await?,
    };
    Ok(if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
