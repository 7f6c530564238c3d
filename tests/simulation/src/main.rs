//! Runs any number of seeds: `cargo run -p simulation --release -- --seeds 10000 --from 1`.

use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::Parser;
use simulation::{Outcome, Reached, run, run_many, shrink, trace};

/// Runs the whole system under faults, seed by seed, and says which seed broke a promise.
#[derive(Parser)]
struct Options {
    /// How many seeds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many failing seeds end the search.
    #[arg(long, default_value_t = 1)]
    most: usize,
    /// How many seeds at once; none: as many as there are processors.
    #[arg(long)]
    threads: Option<usize>,
    /// Only say which seeds fail and why, without the story.
    #[arg(long)]
    brief: bool,
}

#[expect(clippy::print_stdout, reason = "it talks to a person")]
fn main() -> ExitCode {
    let options = Options::parse();
    let processors = available_parallelism().map_or(1, usize::from);
    let mut reached = Reached::default();
    let (mut failed, mut ran) = (0, 0);
    let seeds = options.from..options.from + options.seeds;
    let each = |outcome: &Outcome| {
        ran += 1;
        reached.merge(&outcome.reached);
        if let Some(violation) = &outcome.violation {
            failed += 1;
            match options.brief {
                true => println!("seed {}: {violation}", outcome.seed),
                false => println!("{}", trace(&shrink(outcome, &|ports| ports))),
            }
        }
        failed < options.most
    };
    run_many(seeds, options.threads.unwrap_or(processors), run, each);
    println!("{reached}");
    match failed {
        0 => {
            println!("{ran} seeds from {}: every promise held", options.from);
            ExitCode::SUCCESS
        }
        _ => {
            println!("{ran} seeds from {}: {failed} failed", options.from);
            ExitCode::FAILURE
        }
    }
}
