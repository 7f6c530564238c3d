//! Who tells the story: ends each step, checks it and keeps what came of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use zoho_sim::Server;

use super::measure::Look;
use super::progress::say;
use super::report::{Report, Step};
use crate::{QUEUES, World};

/// How long the system may take to fall silent.
const SILENCE_BUDGET: Duration = Duration::from_secs(600);

fn failed(name: &str, error: &anyhow::Error) -> Step {
    Step {
        name: name.to_owned(),
        ok: false,
        seconds: 0.0,
        zoho_calls: 0,
        zoho_credits: 0,
        records_written: 0,
        links_written: 0,
        counts: BTreeMap::new(),
        problems: vec![format!("{error:#}")],
    }
}

/// What a step found; every check that fails is a problem.
#[derive(Debug, Default)]
pub(super) struct Checks(Vec<String>);

impl Checks {
    pub(super) fn equal<T: PartialEq + std::fmt::Debug>(
        &mut self,
        what: &str,
        found: T,
        wanted: T,
    ) {
        if found != wanted {
            self.fails(format!("{what}: {found:?} instead of {wanted:?}"));
        }
    }

    pub(super) fn is_clean(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn holds(&mut self, what: &str, holds: bool) {
        if !holds {
            self.fails(what.to_owned());
        }
    }

    pub(super) fn fails(&mut self, problem: String) {
        self.0.push(problem);
    }
}

/// The story as far as it is told.
pub(super) struct Teller<'a> {
    pub(super) world: &'a World,
    steps: Vec<Step>,
}

impl<'a> Teller<'a> {
    pub(super) const fn new(world: &'a World) -> Self {
        Self {
            world,
            steps: Vec::new(),
        }
    }

    /// The report of what was told; a story that broke off is a step that failed.
    pub(super) fn report(mut self, told: Result<()>) -> Report {
        if let Err(error) = told {
            say(&format!("the story broke off: {error:#}"));
            self.steps.push(failed("the story broke off", &error));
        }
        Report::new(self.steps)
    }

    pub(super) fn zoho(&self) -> Result<&Server> {
        self.world.zoho()
    }

    /// Ends a step: waits for silence, looks, checks with the looks before and after, and adds it to the story.
    pub(super) async fn end(
        &mut self,
        name: &str,
        before: Look,
        began: Instant,
        check: impl AsyncFnOnce(&Self, &Look, &Look, &mut Checks) -> Result<()>,
    ) -> Result<Look> {
        self.world.stack.wait_until_idle(SILENCE_BUDGET).await?;
        self.end_now(name, before, began, check).await
    }

    /// The same without waiting for what was put off.
    pub(super) async fn end_now(
        &mut self,
        name: &str,
        before: Look,
        began: Instant,
        check: impl AsyncFnOnce(&Self, &Look, &Look, &mut Checks) -> Result<()>,
    ) -> Result<Look> {
        let seconds = began.elapsed().as_secs_f64();
        let after = Look::take(self.world).await?;
        let mut checks = Checks::default();
        check(self, &before, &after, &mut checks).await?;
        for queue in QUEUES {
            checks.equal(
                &format!("dead letters of {queue}"),
                self.world.stack.dead_letters(queue).await?,
                0,
            );
        }
        let step = before.step_to(&after, self.world, name, seconds, checks.0);
        say(&format!(
            "{name}: {}",
            if step.ok { "ok" } else { "FAILED" }
        ));
        step.problems
            .iter()
            .for_each(|problem| say(&format!("  {problem}")));
        self.steps.push(step);
        Ok(after)
    }
}
