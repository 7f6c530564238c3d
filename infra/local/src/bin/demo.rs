//! `cargo demo`: everything on one machine.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use tandem_local::OauthClient;
use tandem_local::demo::{DemoOptions, run};

/// Builds and deploys Tandem on this machine, syncs a sample Zoho organisation with it, and leaves the console open.
#[derive(Parser)]
#[command(name = "cargo demo --")]
struct Arguments {
    /// End after the story; exit 1 when it did not hold
    #[arg(long)]
    once: bool,
    /// Write what happened as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// How many accounts the sample organisation has; the rest scales with them
    #[arg(long, default_value_t = 1_200, value_name = "N")]
    accounts: usize,
    /// The seed of the sample organisation
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The port of the console; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Which Zoho
    #[arg(long, value_enum, default_value_t = Zoho::Simulator)]
    zoho: Zoho,
    /// With --zoho live: the OAuth client's id
    #[arg(long, env = "ZOHO_CLIENT_ID", hide_env_values = true)]
    client_id: Option<String>,
    /// With --zoho live: the OAuth client's secret
    #[arg(long, env = "ZOHO_CLIENT_SECRET", hide_env_values = true)]
    client_secret: Option<String>,
    /// With --zoho live: the data centre
    #[arg(long, env = "ZOHO_DATA_CENTRE", default_value = "us")]
    data_centre: String,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Zoho {
    Simulator,
    Live,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_env_filter("warn")
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let live = match arguments.zoho {
        Zoho::Simulator => None,
        Zoho::Live => Some(OauthClient {
            data_centre: arguments.data_centre,
            client_id: arguments
                .client_id
                .context("--zoho live needs ZOHO_CLIENT_ID")?,
            client_secret: arguments
                .client_secret
                .context("--zoho live needs ZOHO_CLIENT_SECRET")?,
        }),
    };
    let options = DemoOptions {
        accounts: arguments.accounts,
        seed: arguments.seed,
        once: arguments.once,
        report: arguments.report,
        port: arguments.port,
        live,
    };
    let report = run(options).await?;
    Ok(if report.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
