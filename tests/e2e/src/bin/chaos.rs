//! Tells the story of chaos any number of times: `cargo run -p e2e --bin chaos -- --times 10 --from 1`.

use std::process::ExitCode;

use clap::Parser;
use e2e::chaos::Theatre;

/// Lets a storm rage over the deployed template, seed by seed, and says which seed broke a promise.
#[derive(Parser)]
struct Options {
    /// How many seeds.
    #[arg(long, default_value_t = 10)]
    times: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it talks to a person")]
async fn main() -> ExitCode {
    let options = Options::parse();
    let theatre = match Theatre::open().await {
        Ok(theatre) => theatre,
        Err(error) => {
            println!("nothing could begin: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    for seed in options.from..options.from + options.times {
        match theatre.play(seed).await {
            Ok(report) => println!("{report}"),
            Err(error) => {
                println!("seed {seed}: {error:#}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{} seeds in a row held", options.times);
    ExitCode::SUCCESS
}
