//! A simulation of everything: the real flows over ports in memory and a simulated Zoho, in which one seed decides what happens, when, and
//! what goes wrong. After the storm everything drains, and the promises are checked. A seed that fails replays step by step.

mod check;
mod hand;
mod step;

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use stories::Story;

pub use step::Step;

/// How many steps a seed takes at most.
const MOST_STEPS: usize = 60;

/// What a seed came to.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The steps that were taken.
    pub steps: Vec<Step>,
    /// What did not hold; none: everything did.
    pub violation: Option<String>,
    /// How often each kind of step did something, and each kind of fault struck.
    pub reached: Reached,
}

/// How often each kind of thing happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reached(pub BTreeMap<&'static str, u64>);

impl Reached {
    /// Counts one more.
    pub fn count(&mut self, kind: &'static str) {
        *self.0.entry(kind).or_default() += 1;
    }

    /// Adds what another reached.
    pub fn merge(&mut self, other: &Self) {
        for (kind, number) in &other.0 {
            *self.0.entry(kind).or_default() += number;
        }
    }

    /// The kinds that were never reached.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let kinds = Step::kinds().into_iter().chain(hand::FAULTS);
        kinds.filter(|kind| !self.0.contains_key(kind)).collect()
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, number) in &self.0 {
            writeln!(formatter, "{number:>9}  {kind}")?;
        }
        Ok(())
    }
}

/// The steps that a seed takes.
#[must_use]
pub fn steps_of(seed: u64) -> Vec<Step> {
    let mut random = StdRng::seed_from_u64(seed);
    let number = random.random_range(5..=MOST_STEPS);
    (0..number).map(|_| Step::draw(&mut random)).collect()
}

/// Runs a seed.
#[must_use]
pub fn run(seed: u64) -> Outcome {
    run_steps(seed, steps_of(seed))
}

/// Runs steps in the world of a seed.
#[must_use]
pub fn run_steps(seed: u64, steps: Vec<Step>) -> Outcome {
    let mut reached = Reached::default();
    let violation = futures::executor::block_on(tell(seed, &steps, &mut reached))
        .err()
        .map(|error| format!("{error:#}"));
    Outcome {
        seed,
        steps,
        violation,
        reached,
    }
}

async fn tell(seed: u64, steps: &[Step], reached: &mut Reached) -> Result<()> {
    let story = hand::begin(seed).await?;
    let mut hand = hand::Hand::new(&story);
    for (number, step) in steps.iter().enumerate() {
        hand.take(step, reached)
            .await
            .with_context(|| format!("step {number}: {step:?}"))?;
    }
    check::after_the_storm(&story, &hand).await
}

/// The fewest of a failing seed's steps that still fail, found by leaving out more and more of them.
#[must_use]
pub fn shrink(failing: &Outcome) -> Outcome {
    let mut best = run_steps(failing.seed, failing.steps.clone());
    let mut chunk = best.steps.len().div_ceil(2);
    while chunk > 0 {
        let mut from = 0;
        while from < best.steps.len() {
            let mut fewer = best.steps.clone();
            fewer.drain(from..(from + chunk).min(fewer.len()));
            let outcome = run_steps(failing.seed, fewer);
            match outcome.violation {
                Some(_) => best = outcome,
                None => from += chunk,
            }
        }
        chunk /= 2;
    }
    best
}

/// What a failing seed did, in words.
#[must_use]
pub fn trace(outcome: &Outcome) -> String {
    let mut text = format!("seed {}\n", outcome.seed);
    for (number, step) in outcome.steps.iter().enumerate() {
        text.push_str(&format!("{number:>3}  {step:?}\n"));
    }
    if let Some(violation) = &outcome.violation {
        text.push_str(&format!("then: {violation}\n"));
    }
    text
}

/// Where a seed's simulation plays.
pub(crate) type Stage = Story;
