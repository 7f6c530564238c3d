//! What syncs need: memory, time, calls to Zoho, writes and credits. Fails when a promise about them does not hold.

#![expect(clippy::print_stdout, reason = "it talks to a person")]

mod full_sync;
mod house;
mod poller;
mod routine;
mod synthetic;

use std::process::ExitCode;
use std::time::Duration;

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
    /// Ticks of the poller and of the nights' planner, by a clock that only calls move: all connections must be started in the functions' time.
    Poller {
        /// How many connections are due.
        #[arg(long, default_value_t = 10_000)]
        connections: u32,
        /// Until a table answers, in milliseconds.
        #[arg(long, default_value_t = 10)]
        table: u64,
        /// Until a queue answers, in milliseconds.
        #[arg(long, default_value_t = 25)]
        queue: u64,
        /// The processor time of one request, in microseconds; requests share one processor.
        #[arg(long, default_value_t = 500)]
        processor: u64,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let holds = match Arguments::parse().what {
        What::FullSync { small, large } => full_sync::measure(&HEAP, small, large).await?,
        What::Routine { records, changes } => routine::measure(records, changes).await?,
        What::Poller {
            connections,
            table,
            queue,
            processor,
        } => {
            let cost = poller::Cost {
                table: Duration::from_millis(table),
                queue: Duration::from_millis(queue),
                processor: Duration::from_micros(processor),
            };
            poller::measure(connections, cost).await?
        }
    };
    Ok(if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
