//! The simulator as a program.

use clap::Parser;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use zoho_sim::{OrganisationSpec, Server, Zoho, oauth};

/// A simulator of Zoho CRM.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Flags {
    /// The address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    host: IpAddr,
    /// The port; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// What stands before the data centre in the URLs that are given out; the address itself unless set.
    #[arg(long)]
    base_url: Option<String>,
    /// The seed of the organisation and of all tokens.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of accounts; contacts, deals and tasks follow from it.
    #[arg(long, default_value_t = 1_200)]
    accounts: usize,
    /// The data centre of the organisation.
    #[arg(long, default_value = "us")]
    dc: zoho_sim::DataCentre,
    /// The zone of the organisation and its users: a name or an offset such as +05:30.
    #[arg(
        long,
        visible_alias = "utc-offset",
        default_value = "America/New_York",
        allow_hyphen_values = true
    )]
    time_zone: String,
    /// The id of a registered application.
    #[arg(long, default_value = "1000.SIMULATED")]
    client_id: String,
    /// Its secret in every data centre.
    #[arg(long, default_value = "simulated-secret")]
    client_secret: String,
    /// Where codes may be sent; may be given several times.
    #[arg(long)]
    redirect_uri: Vec<String>,
    /// Accept the consent page at once.
    #[arg(long)]
    auto_accept: bool,
    /// The key that the control API asks for.
    #[arg(long)]
    control_key: Option<String>,
    /// Switch the demo workflow rules off.
    #[arg(long)]
    no_workflows: bool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let flags = Flags::parse();
    let mut zoho = Zoho::new(flags.seed, flags.base_url.as_deref().unwrap_or_default());
    zoho.oauth.register(oauth::Client {
        id: flags.client_id.clone(),
        name: "A registered application".to_owned(),
        secret: Some(flags.client_secret.clone()),
        redirect_uris: flags.redirect_uri.clone(),
        ..oauth::Client::default()
    });
    if flags.auto_accept {
        zoho.oauth.settings.consent = oauth::Consent::Accept;
    }
    let spec = OrganisationSpec {
        dc: flags.dc.to_string(),
        seed: flags.seed,
        accounts: flags.accounts,
        time_zone: flags.time_zone.clone(),
        workflows: !flags.no_workflows,
        ..OrganisationSpec::default()
    };
    let address = SocketAddr::new(flags.host, flags.port);
    let server = Server::start_at(zoho, address, flags.control_key).await?;
    let now = server.now();
    server.zoho().add_organisation(&spec, now);
    announce(server.base_url());
    tokio::signal::ctrl_c().await?;
    server.stop().await?;
    Ok(())
}

/// The URL is the program's one line of output: whoever starts it reads it.
#[expect(
    clippy::print_stdout,
    reason = "the output of a program for the command line"
)]
fn announce(base_url: &str) {
    println!("{base_url}");
}
