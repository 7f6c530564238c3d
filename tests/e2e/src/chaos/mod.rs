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

/// When a message comes back whose function died in the storm.
const REDELIVERED_AFTER: Duration = Duration::from_secs(2);

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

    /// Tells a seed's story in both worlds and checks the promises.
    ///
    /// # Errors
    /// When a promise is broken, or something takes too long; the message says what.
    pub async fn play(&self, seed: u64) -> Result<Report> {
        let began = Instant::now();
        let world = self.world("calm", seed, PATIENCE).await?;
        let calm = self.calm(&world, seed).await;
        let calm = ended(world, calm).await.context("in the calm world")?;
        let calm_seconds = began.elapsed().as_secs_f64();
        let mut report = Report::new(seed, calm_seconds);
        let world = self.world("stormy", seed, REDELIVERED_AFTER).await?;
        let stormy = self.stormy(&world, seed, &calm, &mut report).await;
        ended(world, stormy).await.context("in the stormy world")?;
        report.seconds = began.elapsed().as_secs_f64();
        Ok(report)
    }

    async fn calm(&self, world: &World, seed: u64) -> Result<Look> {
        let mut tale = Tale::begin(world, seed).await?;
        tale.tell().await?;
        tale.night().await.context("the last night")?;
        let look = Look::take(world, tale.hand()?).await?;
        look.check_promises(world, tale.hand()?).await?;
        Ok(look)
    }

    async fn stormy(
        &self,
        world: &World,
        seed: u64,
        calm: &Look,
        report: &mut Report,
    ) -> Result<()> {
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
        report.stormy_seconds = began.elapsed().as_secs_f64();
        let at_once = Look::take(world, tale.hand()?).await?;
        report.differences_at_once = at_once.differences(calm).len();
        tale.night().await.context("the night after the storm")?;
        let look = Look::take(world, tale.hand()?).await?;
        look.check_promises(world, tale.hand()?).await?;
        let differences = look.differences(calm);
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
        let tables = world.stack.tables();
        let writes = || [&tables.records, &tables.links].map(|table| self.turbulence.writes(table));
        let before = writes();
        tale.night().await.context("the quiet night")?;
        let wrote = writes();
        let again = Look::take(world, tale.hand()?).await?;
        ensure!(
            again.tables == look.tables,
            "P5: a night without changes changed the tables"
        );
        report.quiet_writes = calls(&wrote) - calls(&before);
        Ok(())
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

/// Ends a world's functions, which would stay warm for minutes. Of a story that did not hold, what they wrote is kept.
async fn ended<T>(world: World, story: Result<T>) -> Result<T> {
    let stack = &world.stack;
    let story = match story {
        Ok(held) => Ok(held),
        Err(broken) => {
            let folder = target_directory().join("chaos").join(stack.name());
            std::fs::create_dir_all(&folder)?;
            for function in FUNCTIONS {
                let logs = stack.logs(function).await?.join("\n");
                std::fs::write(folder.join(format!("{function}.log")), logs)?;
            }
            for queue in QUEUES {
                let letters = stack.dead_messages(queue).await?.join("\n");
                std::fs::write(folder.join(format!("{queue}.dead-letters")), letters)?;
            }
            Err(broken.context(format!("its logs are in {}", folder.display())))
        }
    };
    for function in FUNCTIONS {
        stack.kill_function(function).await?;
    }
    story
}
