//! The demo: the real job on one machine, told as a story whose every step is checked.

mod calculated;
mod live;
mod measure;
mod progress;
mod report;
mod story;
mod teller;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use zoho_sim::OrganisationSpec;

use crate::{
    Emulator, EmulatorOptions, OauthClient, World, WorldOptions, build_functions, target_directory,
};

pub use report::{Report, Step};

/// The connection of the demo.
const CONNECTION: &str = "demo";

/// What the demo is asked to do.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// How many accounts the sample organisation has; everything else scales with them.
    pub accounts: usize,
    /// The seed of the sample organisation.
    pub seed: u64,
    /// Ends after the story instead of serving until Ctrl-C.
    pub once: bool,
    /// Where the report is written.
    pub report: Option<PathBuf>,
    /// The port of the console; 0 takes a free one.
    pub port: u16,
    /// The OAuth client of the real Zoho; none: the simulator.
    pub live: Option<OauthClient>,
}

/// Sets everything up, tells the story, and reports whether it held.
///
/// # Errors
/// When something could not be set up or written. A step of the story that fails is in the report.
pub async fn run(options: DemoOptions) -> Result<Report> {
    let stages = progress::Stages::new();
    let functions = stages
        .during("building the functions", async { build_functions() })
        .await?;
    let emulator = stages
        .during(
            "starting the AWS emulator",
            Emulator::start(EmulatorOptions::default()),
        )
        .await?;
    let organisation = options.live.is_none().then(|| OrganisationSpec {
        accounts: options.accounts,
        seed: options.seed,
        ..OrganisationSpec::default()
    });
    let world_options = WorldOptions {
        name: "tandem-demo".to_owned(),
        organisation,
        live: options.live.clone(),
        port: options.port,
        retry_after: Some(Duration::from_secs(60)),
    };
    let world = stages
        .during(
            "deploying the template and starting Zoho",
            World::start(&emulator, &functions, world_options),
        )
        .await?;
    write_endpoints(&world)?;
    let report = match options.live {
        None => story::simulated(&world).await,
        Some(client) => live::tell(&world, &client.data_centre).await,
    };
    report.print();
    if let Some(path) = &options.report {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text)
            .with_context(|| format!("the report can't be written to {}", path.display()))?;
    }
    if !options.once {
        progress::say(&format!(
            "\nThe console is at {}; the operator's secret and everything else another client needs is in {}.\nCtrl-C ends.",
            world.door.url(),
            endpoints_file().display()
        ));
        tokio::signal::ctrl_c().await?;
    }
    Ok(report)
}

fn endpoints_file() -> PathBuf {
    target_directory().join("demo/endpoints.json")
}

/// Writes the endpoints where only this user reads them: the operator's secret is among them.
fn write_endpoints(world: &World) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = endpoints_file();
    std::fs::create_dir_all(path.parent().context("the target folder has no parent")?)?;
    let text = serde_json::to_string_pretty(&world.endpoints(CONNECTION))?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)?;
    file.write_all(text.as_bytes())
        .with_context(|| format!("{} can't be written", path.display()))
}
