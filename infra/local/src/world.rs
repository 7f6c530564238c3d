//! Everything on one machine: the emulator, a deployed stack, a Zoho (simulated or real) and the console.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use reqwest::{StatusCode, header};
use serde_json::{Value, json};
use url::Url;
use zoho_sim::oauth::{Client as ZohoClient, Consent};
use zoho_sim::{OrganisationSpec, Server, Zoho};

use crate::console::Console;
use crate::emulator::Emulator;
use crate::front_door::FrontDoor;
use crate::stack::{DeployOptions, OauthClient, Stack};

/// The simulator's OAuth client, as Tandem is told it.
const CLIENT_ID: &str = "1000.TANDEMLOCAL";
const CLIENT_SECRET: &str = "a-secret-of-this-machine-only";

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct WorldOptions {
    /// The stack's name.
    pub name: String,
    /// The organisation that the simulator plays; none: the real Zoho with the client of [`WorldOptions::live`].
    pub organisation: Option<OrganisationSpec>,
    /// The real Zoho's OAuth client.
    pub live: Option<OauthClient>,
    /// The port of the public address; 0 takes a free one.
    pub port: u16,
    /// When a message whose function died comes back.
    pub retry_after: Option<Duration>,
}

/// A world: dropping it ends it.
#[derive(Debug)]
pub struct World {
    /// The deployed stack.
    pub stack: Stack,
    /// The simulated Zoho.
    pub zoho: Option<Server>,
    /// The public address.
    pub door: FrontDoor,
    /// The console.
    pub console: Console,
    /// The operator's secret of this world.
    pub operator: String,
}

impl World {
    /// Starts a Zoho, deploys a stack that uses it, and opens the public address.
    ///
    /// # Errors
    /// When anything of it fails.
    pub async fn start(
        emulator: &Emulator,
        functions: &Path,
        options: WorldOptions,
    ) -> Result<Self> {
        let door = FrontDoor::open_on(options.port).await?;
        let zoho = match &options.organisation {
            Some(spec) => Some(simulate(spec, door.url()).await?),
            None => None,
        };
        let simulated = OauthClient {
            data_centre: options
                .organisation
                .as_ref()
                .map_or("us".to_owned(), |spec| spec.dc.clone()),
            client_id: CLIENT_ID.to_owned(),
            client_secret: CLIENT_SECRET.to_owned(),
        };
        let mut deploy = DeployOptions::new(&options.name, functions, door.url());
        deploy.zoho_directory = zoho
            .as_ref()
            .map(|zoho| zoho.base_url().to_owned())
            .unwrap_or_default();
        deploy.oauth_clients = vec![options.live.unwrap_or(simulated)];
        deploy.retry_after = options.retry_after;
        let stack = Stack::deploy(emulator, deploy).await?;
        door.lead_to(&stack);
        let operator = stack.secret("operator").await?;
        let console = Console::new(door.url(), &operator)?;
        Ok(Self {
            stack,
            zoho,
            door,
            console,
            operator,
        })
    }

    /// The simulated Zoho.
    ///
    /// # Errors
    /// When the world uses the real one.
    pub fn zoho(&self) -> Result<&Server> {
        self.zoho
            .as_ref()
            .context("this world has no simulated Zoho")
    }

    /// Presses "Connect Zoho" and accepts, as a browser does it, and returns the page at the end.
    ///
    /// # Errors
    /// When a redirect lacks or the last page is no success.
    pub async fn connect(&self, connection: &str, data_centre: &str) -> Result<String> {
        let (status, page) = self
            .walk_consent(&format!(
                "{}/connect/{connection}?dc={data_centre}",
                self.door.url()
            ))
            .await?;
        if !status.is_success() {
            bail!("connecting ended with {status}: {page}");
        }
        Ok(page)
    }

    /// Follows the redirects from an address like a browser with cookies, and returns the status and the page at the end.
    ///
    /// # Errors
    /// When a request fails, or there are too many redirects.
    pub async fn walk_consent(&self, from: &str) -> Result<(StatusCode, String)> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let mut at: Url = from.parse()?;
        let mut cookie: Option<String> = None;
        for _ in 0..10 {
            let mut request = http.get(at.clone());
            // The cookie is the public address's own.
            if let Some(cookie) = cookie
                .as_ref()
                .filter(|_| at.as_str().starts_with(self.door.url()))
            {
                request = request.header(header::COOKIE, cookie);
            }
            let response = request.send().await?;
            if let Some(set) = response.headers().get(header::SET_COOKIE) {
                cookie = set.to_str()?.split(';').next().map(str::to_owned);
            }
            match response.headers().get(header::LOCATION) {
                Some(location) => at = at.join(location.to_str()?)?,
                None => return Ok((response.status(), response.text().await?)),
            }
        }
        bail!("too many redirects from {from}");
    }

    /// What another client needs to use this world.
    #[must_use]
    pub fn endpoints(&self, connection: &str) -> Value {
        json!({
            "aws": {
                "endpoint": self.stack.client().endpoint(),
                "region": self.stack.client().region(),
                "account": self.stack.client().access_key(),
                "access_key": self.stack.client().access_key(),
                "secret_key": self.stack.client().secret_key(),
            },
            "tables": {
                "state": self.stack.tables().state,
                "links": self.stack.tables().links,
                "records": self.stack.tables().records,
                "log": self.stack.tables().log,
            },
            "queues": self.stack.queues().iter().map(|(name, queue)| {
                (name.clone(), json!({ "url": queue.url, "dead_letters_url": queue.dead_letters_url }))
            }).collect::<serde_json::Map<_, _>>(),
            "functions": self.stack.functions(),
            "secrets": {
                "prefix": self.stack.secret_prefix(),
                "operator": format!("{}operator", self.stack.secret_prefix()),
                "connection": format!("{}connection/{connection}", self.stack.secret_prefix()),
            },
            "zoho": self.zoho.as_ref().map(|zoho| json!({
                "directory": zoho.base_url(),
                "control": format!("{}/control", zoho.base_url()),
            })),
            "console": self.door.url(),
            "operator_secret": self.operator,
            "connection": connection,
        })
    }
}

/// As of when organisations are made: one instant for a whole process, so that equal specifications give equal organisations.
#[expect(clippy::disallowed_methods, reason = "the sample data is as of today")]
static MADE_AT: LazyLock<Timestamp> = LazyLock::new(Timestamp::now);

async fn simulate(spec: &OrganisationSpec, public_url: &str) -> Result<Server> {
    let mut zoho = Zoho::new(spec.seed, "");
    zoho.add_organisation(spec, *MADE_AT);
    zoho.oauth.register(ZohoClient {
        id: CLIENT_ID.to_owned(),
        name: "Tandem on this machine".to_owned(),
        secret: Some(CLIENT_SECRET.to_owned()),
        secrets: std::collections::BTreeMap::new(),
        redirect_uris: vec![format!("{public_url}/oauth/callback")],
    });
    zoho.oauth.settings.consent = Consent::Accept;
    Ok(Server::start(zoho, 0).await?)
}
