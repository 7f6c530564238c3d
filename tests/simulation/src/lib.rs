//! A simulation of everything: the real flows over ports in memory and a simulated Zoho, in which one seed decides what happens, when, and
//! what goes wrong. After the storm everything drains, and the promises are checked. A seed that fails replays step by step.

mod check;
mod crew;
mod defect;
mod dice;
mod fate;
mod hand;
mod many;
mod reach;
mod recorder;
mod scene;
mod step;
mod teller;

use anyhow::{Context as _, Result};
use mimalloc::MiMalloc;
use tandem::port::Ports;

use dice::Dice;
use recorder::Recorder;

pub use defect::{DEFECTS, Defect};
pub use many::run_many;
pub use reach::Reached;
pub use step::Step;

/// A seed is a great many small values: it runs half as fast again with this allocator as with the system's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How many steps a seed takes at most.
const MOST_STEPS: i64 = 160;

/// What a handler wears: nothing, or a deliberate defect.
pub trait Dress {
    /// The ports as the handler is given them.
    fn ports(&self, ports: Ports) -> Ports;

    /// Whether a message is acknowledged as soon as it is taken.
    fn acknowledges_at_once(&self) -> bool {
        false
    }
}

impl<F: Fn(Ports) -> Ports> Dress for F {
    fn ports(&self, ports: Ports) -> Ports {
        self(ports)
    }
}

/// What a seed came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The steps that were taken.
    pub steps: Vec<Step>,
    /// What did not hold; none: everything did.
    pub violation: Option<String>,
    /// How often each kind of step did something, and each kind of fault struck.
    pub reached: Reached,
    /// Names everything that happened, call by call: the same for every run of the same steps.
    pub fingerprint: u64,
    /// The story in words, if it was asked for.
    pub story: Vec<String>,
}

/// The steps that a seed takes.
#[must_use]
pub fn steps_of(seed: u64) -> Vec<Step> {
    let mut dice = Dice::new(seed);
    (0..dice.between(20, MOST_STEPS))
        .map(|_| Step::draw(&mut dice))
        .collect()
}

/// Runs a seed.
#[must_use]
pub fn run(seed: u64) -> Outcome {
    run_with(seed, &|ports: Ports| ports)
}

/// Runs a seed with something around the ports of every handler.
#[must_use]
pub fn run_with(seed: u64, dress: &dyn Dress) -> Outcome {
    run_steps(seed, steps_of(seed), dress, false)
}

/// Runs steps in the world of a seed; `telling` asks for the story in words.
#[must_use]
pub fn run_steps(seed: u64, steps: Vec<Step>, dress: &dyn Dress, telling: bool) -> Outcome {
    let mut reached = Reached::default();
    let recorder = Recorder::telling(telling);
    let told = futures::executor::block_on(tell(seed, &steps, dress, &recorder, &mut reached));
    let violation = told.err().map(|error| format!("{error:#}"));
    Outcome {
        seed,
        steps,
        violation,
        reached,
        fingerprint: recorder.fingerprint(),
        story: recorder.lines(),
    }
}

async fn tell(
    seed: u64,
    steps: &[Step],
    dress: &dyn Dress,
    recorder: &Recorder,
    reached: &mut Reached,
) -> Result<()> {
    let scene = scene::Scene::set(seed, dress, recorder.clone()).await?;
    let mut hand = hand::Hand::new(scene);
    let mut happened = Ok(());
    for (number, step) in steps.iter().enumerate() {
        let taken = hand.take(number, step).await;
        happened = taken.with_context(|| format!("step {number}: {step:?}"));
        if happened.is_err() {
            break;
        }
    }
    let checked = match happened {
        Ok(()) => check::after_the_storm(&mut hand, seed).await,
        failed => failed,
    };
    if let Err(broken) = &checked {
        tell_versions(&hand.scene, &format!("{broken:#}"));
    }
    hand.finish();
    hand.reached.tables(&hand.scene);
    reached.merge(&hand.reached);
    checked
}

/// Tells every version of the records that a violation names.
fn tell_versions(scene: &scene::Scene<'_>, violation: &str) {
    for side in &scene.sides {
        for record in scene.world.store.stream(&side.story.connection()) {
            let zoho = record.zoho_id.map(String::from);
            let is_named = zoho.is_some_and(|zoho| violation.contains(&zoho));
            if is_named || violation.contains(record.id.as_str()) {
                scene.recorder.say(|| {
                    format!(
                        "      {} {} version {} at {}, Zoho's row of {:?}: {:?}; waiting: {:?}; agreed: {:?}",
                        record.object, record.id, record.version, record.updated_at, record.zoho_modified_time, record.change, record.pending, record.base
                    )
                });
            }
        }
    }
}

/// The promise that a violation is about, whichever connection and record broke it.
fn promise(violation: &str) -> &str {
    let (name, rest) = violation.split_once(": ").unwrap_or((violation, ""));
    match scene::NAMES.contains(&name) {
        true => promise(rest),
        false => name,
    }
}

/// The fewest of a failing seed's steps that still break the same promise, found by leaving out more and more of them.
#[must_use]
pub fn shrink(failing: &Outcome, dress: &dyn Dress) -> Outcome {
    let mut best = run_steps(failing.seed, failing.steps.clone(), dress, false);
    let mut chunk = best.steps.len().div_ceil(2);
    while chunk > 0 {
        let mut from = 0;
        while from < best.steps.len() {
            let mut fewer = best.steps.clone();
            fewer.drain(from..(from + chunk).min(fewer.len()));
            let outcome = run_steps(failing.seed, fewer, dress, false);
            let broken =
                |outcome: &Outcome| outcome.violation.as_deref().map(promise).map(str::to_owned);
            match broken(&outcome) == broken(&best) {
                true => best = outcome,
                false => from += chunk,
            }
        }
        chunk /= 2;
    }
    run_steps(best.seed, best.steps, dress, true)
}

/// What a failing seed did, in words.
#[must_use]
pub fn trace(outcome: &Outcome) -> String {
    let mut text = format!("seed {}\n", outcome.seed);
    for line in &outcome.story {
        text.push_str(&format!("{line}\n"));
    }
    if let Some(violation) = &outcome.violation {
        text.push_str(&format!("then: {violation}\n"));
    }
    text
}
