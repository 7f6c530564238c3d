//! Runs any number of seeds: `cargo run -p simulation --release -- --seeds 10000 --from 1`.

use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use simulation::{DEFECTS, Outcome, Reached, run, run_many, shrink, trace};

/// So many seeds reach everything often enough.
const ENOUGH: u64 = 1_000;

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
    /// Look for the deliberate defects, and say which seed finds each.
    #[arg(long)]
    defects: bool,
    /// Only say which seeds fail and why, without the story.
    #[arg(long)]
    brief: bool,
}

#[expect(clippy::print_stdout, reason = "it talks to a person")]
fn main() -> ExitCode {
    let options = Options::parse();
    if options.defects {
        return look_for_defects();
    }
    let processors = available_parallelism().map_or(1, usize::from);
    let mut reached = Reached::default();
    let (mut failed, mut ran) = (0, 0);
    let seeds = options.from..options.from + options.seeds;
    let progress = progress(options.seeds);
    let each = |outcome: &Outcome| {
        ran += 1;
        progress.inc(1);
        reached.merge(&outcome.reached);
        if let Some(violation) = &outcome.violation {
            failed += 1;
            let story = match options.brief {
                true => format!("seed {}: {violation}", outcome.seed),
                false => trace(&shrink(outcome, &|ports: tandem::port::Ports| ports)),
            };
            progress.suspend(|| println!("{story}"));
        }
        failed < options.most
    };
    run_many(seeds, options.threads.unwrap_or(processors), run, each);
    let took = progress.elapsed();
    progress.finish_and_clear();
    println!("{reached}");
    let thin = reached.thin(ran);
    for kind in &thin {
        println!("too seldom: {kind}");
    }
    match failed {
        0 if !thin.is_empty() && ran >= ENOUGH => ExitCode::FAILURE,
        0 => {
            println!(
                "{ran} seeds from {} in {} s: every promise held",
                options.from,
                took.as_secs()
            );
            ExitCode::SUCCESS
        }
        _ => {
            println!(
                "{ran} seeds from {} in {} s: {failed} failed",
                options.from,
                took.as_secs()
            );
            ExitCode::FAILURE
        }
    }
}

/// Shows a person at a terminal how far it is.
fn progress(seeds: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} seeds, {eta} left");
    ProgressBar::new(seeds).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Says of each defect which seed finds it, and how it shows.
#[expect(clippy::print_stdout, reason = "it talks to a person")]
fn look_for_defects() -> ExitCode {
    let mut missed = 0;
    println!("rule  within  seed  what it does wrong, and how it shows");
    for defect in DEFECTS {
        let found = defect.found();
        let (rule, within, what) = (defect.rule, defect.within, defect.what);
        let (seed, shows) = match &found {
            Some(outcome) => (
                outcome.seed.to_string(),
                outcome.violation.clone().unwrap_or_default(),
            ),
            None => {
                missed += 1;
                ("-".to_owned(), "not found".to_owned())
            }
        };
        println!("{rule:<5} {within:>6} {seed:>5}  {what}\n{:21}{shows}", "");
    }
    println!(
        "{} of {} defects found",
        DEFECTS.len() - missed,
        DEFECTS.len()
    );
    match missed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
