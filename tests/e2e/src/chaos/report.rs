//! What a seed came to.

use std::fmt;

use anyhow::{Result, ensure};
use tandem_local::FUNCTIONS;

use super::storm::Struck;

/// A story that held.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// How long all of it took.
    pub seconds: f64,
    /// How long it took until everything had drained in the stormy world.
    pub drained_seconds: f64,
    /// What the storm did.
    pub storm: Struck,
    /// Dead letters sent again when the storm had passed.
    pub redriven_later: u64,
    /// Runs that stood still because whoever started them died before sending their messages.
    pub forgotten: u64,
    /// In how many records and links the tables differed right after the storm, before the night that followed.
    pub differences_at_once: usize,
    /// Calls that wrote to the records or the links in the quiet night.
    pub quiet_writes: u64,
}

impl Report {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            seconds: 0.0,
            drained_seconds: 0.0,
            storm: Struck::default(),
            redriven_later: 0,
            forgotten: 0,
            differences_at_once: 0,
            quiet_writes: 0,
        }
    }

    /// A storm in which nothing happened proves nothing.
    pub(super) fn check(&self) -> Result<()> {
        ensure!(self.killed("worker-") > 0, "no worker was killed");
        ensure!(self.failed() > 20, "hardly a call to AWS failed");
        ensure!(self.storm.zoho > 0, "no request to Zoho failed");
        ensure!(self.storm.doubled > 0, "no message came twice");
        ensure!(self.storm.expired > 0, "no token ran out");
        Ok(())
    }

    /// How many processes were killed, at their calls and at any moment, of functions whose names contain this.
    #[must_use]
    pub fn killed(&self, function: &str) -> u64 {
        let at_calls = self.storm.calls.iter();
        let at_calls = at_calls
            .filter(|(what, _)| what.starts_with("killed ") && what.contains(function))
            .map(|(_, number)| number);
        let any_time = self.storm.killed.iter();
        let any_time = any_time
            .filter(|(name, _)| name.contains(function))
            .map(|(_, number)| number);
        at_calls.chain(any_time).sum()
    }

    /// How many calls to AWS failed or came late.
    #[must_use]
    pub fn failed(&self) -> u64 {
        let calls = self.storm.calls.iter();
        calls
            .filter(|(what, _)| !what.starts_with("killed "))
            .map(|(_, number)| number)
            .sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_function = FUNCTIONS
            .iter()
            .map(|function| (function, self.killed(function)))
            .filter(|(_, killed)| *killed > 0);
        let by_function: Vec<String> = by_function
            .map(|(function, killed)| format!("{function} {killed}"))
            .collect();
        write!(
            formatter,
            "seed {}: held in {:.0} s (drained after {:.0} s); {} processes killed ({}), {} calls to AWS and {} to Zoho struck, \
             {} messages doubled, tokens forgotten {} times, {} dead letters sent again and {} after it, {} runs forgotten; {} differences before the next night, {} writes in the quiet \
             night",
            self.seed,
            self.seconds,
            self.drained_seconds,
            self.killed(""),
            by_function.join(", "),
            self.failed(),
            self.storm.zoho,
            self.storm.doubled,
            self.storm.expired,
            self.storm.redriven,
            self.redriven_later,
            self.forgotten,
            self.differences_at_once,
            self.quiet_writes,
        )
    }
}
