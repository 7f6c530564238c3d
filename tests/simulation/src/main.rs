//! Runs any number of seeds: `cargo run -p simulation --release -- --seeds 10000 --from 1`.

use std::process::ExitCode;

use clap::Parser;
use simulation::{Reached, run, shrink, trace};

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
}

#[expect(clippy::print_stdout, reason = "it talks to a person")]
fn main() -> ExitCode {
    let options = Options::parse();
    let mut reached = Reached::default();
    let mut failed = 0;
    for seed in options.from..options.from + options.seeds {
        let outcome = run(seed);
        reached.merge(&outcome.reached);
        if outcome.violation.is_some() {
            failed += 1;
            println!("{}", trace(&shrink(&outcome)));
            if failed == options.most {
                break;
            }
        }
    }
    println!("{reached}");
    match failed {
        0 => {
            println!(
                "{} seeds from {}: every promise held",
                options.seeds, options.from
            );
            ExitCode::SUCCESS
        }
        _ => ExitCode::FAILURE,
    }
}
