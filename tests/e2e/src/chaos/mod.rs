//! Chaos: the same story twice, in a calm world and in a stormy one, and the same end.
//!
//! In the stormy world functions die at any call and at any time, calls to AWS and to Zoho fail before or after their effect, and messages
//! come twice. A seed draws the organisation, what people and the platform do, and which calls are struck; when processes run is the machine's.

mod hand;
mod look;
mod report;
mod storm;
mod tale;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tandem_local::{
    Emulator, EmulatorOptions, FUNCTIONS, QUEUES, Turbulence, World, WorldOptions, build_functions,
    target_directory,
};
use zoho_sim::OrganisationSpec;

use look::Look;
pub use report::Report;
use storm::Storm;
pub use storm::Struck;
use tale::Tale;

/// When a message comes back whose function died in the storm. A function that takes longer is overtaken by a second delivery; if most did, and
/// each put its work off, messages would multiply faster than they are worked on.
const REDELIVERED_AFTER: Duration = Duration::from_secs(3);

/// The same in calm weather. A function that takes longer has its messages counted as delivered again, and after five times they are dead
/// letters although nothing failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest that a message is put off, in any weather.
const PUT_OFF: Duration = Duration::from_secs(1);

/// An emulator in which it can storm, for any number of seeds.
#[derive(Debug)]
pub struct Theatre {
    emulator: Emulator,
    turbulence: Turbulence,
    functions: PathBuf,
}

impl Theatre {
    /// Builds the functions and starts an emulator.
    ///
    /// # Errors
    /// When something of it fails.
    pub async fn open() -> Result<Self> {
        let functions = build_functions()?;
        let turbulence = Turbulence::open(PUT_OFF).await?;
        let options = EmulatorOptions {
            environment: turbulence.environment(),
            ..EmulatorOptions::default()
        };
        let emulator = Emulator::start(options).await?;
        turbulence.lead_to(&emulator);
        Ok(Self {
            emulator,
            turbulence,
            functions,
        })
    }

    /// Tells a seed's story in both worlds side by side and checks the promises.
    ///
    /// # Errors
    /// When a promise is broken, something takes too long, or hardly anything struck; the message says what.
    pub async fn play(&self, seed: u64) -> Result<Report> {
        let began = Instant::now();
        let mut report = Report::new(seed);
        let (calm, stormy) = tokio::try_join!(
            self.world("calm", seed, PATIENCE),
            self.world("stormy", seed, REDELIVERED_AFTER),
        )?;
        let held = self.compare(&calm, &stormy, seed, &mut report).await;
        let held = held.and_then(|()| report.check());
        for world in [calm, stormy] {
            ended(world, held.is_err()).await?;
        }
        held.with_context(|| format!("the logs are in {}", kept().display()))?;
        report.seconds = began.elapsed().as_secs_f64();
        Ok(report)
    }

    async fn compare(
        &self,
        calm: &World,
        stormy: &World,
        seed: u64,
        report: &mut Report,
    ) -> Result<()> {
        let (expected, mut tale) = tokio::try_join!(
            async {
                let look = Self::in_calm(calm, seed).await;
                look.context("in the calm world")
            },
            async {
                let tale = self.in_storm(stormy, seed, report).await;
                tale.context("in the stormy world")
            },
        )?;
        let at_once = Look::take(stormy, tale.hand()?).await?;
        report.differences_at_once = at_once.differences(&expected).len();
        let night = tale.night().await;
        night.context("the night after the storm")?;
        let look = Look::take(stormy, tale.hand()?).await?;
        look.check_promises(stormy, tale.hand()?).await?;
        let differences = look.differences(&expected);
        ensure!(
            differences.is_empty(),
            "P4: {} differences from the calm world, such as {}",
            differences.len(),
            differences
                .join("\n")
                .chars()
                .take(3_000)
                .collect::<String>()
        );
        let tables = stormy.stack.tables();
        let writes = || [&tables.records, &tables.links].map(|table| self.turbulence.writes(table));
        let before = writes();
        tale.night().await.context("the quiet night")?;
        let wrote = writes();
        let again = Look::take(stormy, tale.hand()?).await?;
        ensure!(
            again.tables == look.tables,
            "P5: a night without changes changed the tables"
        );
        report.quiet_writes = calls(&wrote) - calls(&before);
        Ok(())
    }

    async fn in_calm(world: &World, seed: u64) -> Result<Look> {
        let mut tale = Tale::begin(world, seed).await?;
        tale.tell().await?;
        tale.night().await.context("the last night")?;
        let look = Look::take(world, tale.hand()?).await?;
        look.check_promises(world, tale.hand()?).await?;
        Ok(look)
    }

    /// Until nothing is left to do.
    async fn in_storm<'a>(
        &self,
        world: &'a World,
        seed: u64,
        report: &mut Report,
    ) -> Result<Tale<'a>> {
        let began = Instant::now();
        let mut tale = Tale::begin(world, seed).await?;
        let storm = Storm::rise(&self.turbulence, world, seed)?;
        // The storm only ends with the tale, or by an error.
        tokio::select! {
            told = tale.tell() => told?,
            broken = storm.rage(&mut report.storm) => match broken? {},
        }
        storm.end(&mut report.storm)?;
        world.stack.retry_after(PATIENCE).await?;
        report.forgotten = tale.forgotten();
        report.redriven_later = tokio::select! {
            drained = tale.drain() => drained.context("draining")?,
            broken = storm::aftermath(world) => match broken? {},
        };
        report.drained_seconds = began.elapsed().as_secs_f64();
        Ok(tale)
    }

    async fn world(&self, weather: &str, seed: u64, retry_after: Duration) -> Result<World> {
        let options = WorldOptions {
            name: format!("{weather}-{seed}"),
            organisation: Some(OrganisationSpec::small(seed)),
            live: None,
            port: 0,
            retry_after: Some(retry_after),
        };
        World::start(&self.emulator, &self.functions, options).await
    }
}

fn calls(tables: &[BTreeMap<String, u64>]) -> u64 {
    tables.iter().flat_map(|calls| calls.values()).sum()
}

/// Where the logs of a story are kept that did not hold.
fn kept() -> PathBuf {
    target_directory().join("chaos")
}

/// Ends a world's functions, which would stay warm for minutes. Of a story that did not hold, what they wrote is kept.
async fn ended(world: World, broken: bool) -> Result<()> {
    let stack = &world.stack;
    if broken {
        let folder = kept().join(stack.name());
        std::fs::create_dir_all(&folder)?;
        for function in FUNCTIONS {
            let logs = stack.logs(function).await?.join("\n");
            std::fs::write(folder.join(format!("{function}.log")), logs)?;
        }
        for queue in QUEUES {
            let letters = stack.dead_messages(queue).await?.join("\n");
            std::fs::write(folder.join(format!("{queue}.dead-letters")), letters)?;
        }
    }
    for function in FUNCTIONS {
        stack.kill_function(function).await?;
    }
    Ok(())
}
