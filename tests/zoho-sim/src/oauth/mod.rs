//! Zoho Accounts: consent, codes, tokens and their limits.

mod consent;
mod token;

use crate::dc::DataCentre;
use crate::org::Organisation;
use crate::request::{Answer, Request};
use jiff::{SignedDuration, Timestamp};
use rand::{RngExt, rngs::StdRng};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// A registered application.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// Its id.
    pub id: String,
    /// Its name on the consent page.
    pub name: String,
    /// The secret for every data centre without one of its own.
    pub secret: Option<String>,
    /// Secrets of single data centres.
    pub secrets: BTreeMap<DataCentre, String>,
    /// Where codes may be sent.
    pub redirect_uris: Vec<String>,
}

impl Client {
    fn accepts(&self, dc: DataCentre, secret: &str) -> bool {
        self.secrets
            .get(&dc)
            .or(self.secret.as_ref())
            .is_some_and(|known| known == secret)
    }
}

/// Who answers the consent page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Consent {
    /// A person.
    #[default]
    Ask,
    /// Accepted at once.
    Accept,
    /// Denied at once.
    Deny,
}

/// What can be set about consent and tokens.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who answers the consent page.
    pub consent: Consent,
    /// Organisation and user who are signed in, when not the first administrator of the first organisation.
    pub login: Option<(u64, u64)>,
    /// Grant only these scopes of the asked ones.
    pub granted: Option<Vec<String>>,
    /// How long a code lives.
    pub code_life: SignedDuration,
    /// How long an access token lives.
    pub token_life: SignedDuration,
    /// Apply the limits on how many codes and tokens are made.
    pub limits: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            consent: Consent::Ask,
            login: None,
            granted: None,
            code_life: SignedDuration::from_secs(120),
            token_life: SignedDuration::from_secs(3_600),
            limits: true,
        }
    }
}

/// Whom a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The application.
    pub client: String,
    /// The organisation.
    pub organisation: u64,
    /// The user.
    pub user: u64,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Where it is valid.
    pub dc: DataCentre,
}

#[derive(Debug, Clone)]
struct Code {
    grant: Grant,
    redirect_uri: String,
    expires: Timestamp,
    with_refresh: bool,
}

#[derive(Debug, Clone)]
struct RefreshToken {
    token: String,
    grant: Grant,
    created: Timestamp,
    issued: VecDeque<Timestamp>,
}

#[derive(Debug, Clone)]
struct AccessToken {
    token: String,
    grant: Grant,
    refresh: Option<String>,
    expires: Timestamp,
    /// Whether a call was made with it.
    used: bool,
}

/// Zoho Accounts.
#[derive(Debug)]
pub struct OAuth {
    /// What can be set.
    pub settings: Settings,
    clients: BTreeMap<String, Client>,
    codes: BTreeMap<String, Code>,
    codes_made: VecDeque<(String, Timestamp)>,
    refresh_tokens: Vec<RefreshToken>,
    access_tokens: Vec<AccessToken>,
    consented: Vec<(String, u64)>,
    random: StdRng,
}

const WINDOW: SignedDuration = SignedDuration::from_mins(10);
const IN_WINDOW: usize = 10;
const LIVE_ACCESS_TOKENS: usize = 15;
const REFRESH_TOKENS: usize = 20;

/// What the endpoints need to know of the rest of the world.
pub(crate) struct Surroundings<'a> {
    pub(crate) dc: DataCentre,
    pub(crate) base_url: &'a str,
    pub(crate) organisations: &'a BTreeMap<u64, Organisation>,
    pub(crate) now: Timestamp,
}

impl OAuth {
    pub(crate) fn new(random: StdRng) -> Self {
        Self {
            settings: Settings::default(),
            clients: BTreeMap::new(),
            codes: BTreeMap::new(),
            codes_made: VecDeque::new(),
            refresh_tokens: Vec::new(),
            access_tokens: Vec::new(),
            consented: Vec::new(),
            random,
        }
    }

    /// Registers an application, in the place of one with the same id.
    pub fn register(&mut self, client: Client) {
        self.clients.insert(client.id.clone(), client);
    }

    /// The registered applications.
    pub fn clients(&self) -> impl Iterator<Item = &Client> {
        self.clients.values()
    }

    pub(crate) fn answer(&mut self, request: &Request, around: &Surroundings<'_>) -> Answer {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/oauth/v2/auth") => self.authorize(&request.query, around),
            ("POST", "/oauth/v2/auth" | "/oauth/v2/auth/decision") => {
                self.decide(&request.form_or_query(), around)
            }
            ("POST", "/oauth/v2/token") => {
                Answer::json(200, &self.token(&request.form_or_query(), around))
            }
            ("POST", "/oauth/v2/token/revoke") => self.revoke(&request.form_or_query()),
            ("GET", "/oauth/serverinfo") => server_info(around),
            _ => Answer::html(
                404,
                "<html><body>The page is not found</body></html>".to_owned(),
            ),
        }
    }

    fn new_token(&mut self) -> String {
        format!(
            "1000.{:032x}.{:032x}",
            self.random.random::<u128>(),
            self.random.random::<u128>()
        )
    }

    fn revoke(&mut self, form: &[(String, String)]) -> Answer {
        match value(form, "token") {
            Some(token) if self.revoke_token(token) => {
                Answer::json(200, &json!({ "status": "success" }))
            }
            _ => Answer::html(400, "<html><body>invalid token</body></html>".to_owned()),
        }
    }

    /// Makes a token invalid; with a refresh token, also its access tokens.
    pub fn revoke_token(&mut self, token: &str) -> bool {
        let access = self.access_tokens.len();
        self.access_tokens.retain(|known| known.token != token);
        access != self.access_tokens.len() || self.forget_refresh_token(token)
    }

    fn forget_refresh_token(&mut self, token: &str) -> bool {
        let before = self.refresh_tokens.len();
        self.refresh_tokens.retain(|known| known.token != token);
        self.access_tokens
            .retain(|known| known.refresh.as_deref() != Some(token));
        before != self.refresh_tokens.len()
    }

    /// Makes every token of an organisation invalid; the refresh tokens stay unless asked for.
    pub fn revoke_all(&mut self, organisation: u64, with_refresh_tokens: bool) -> usize {
        let before = self.access_tokens.len() + self.refresh_tokens.len();
        self.access_tokens
            .retain(|token| token.grant.organisation != organisation);
        if with_refresh_tokens {
            self.refresh_tokens
                .retain(|token| token.grant.organisation != organisation);
        }
        before - self.access_tokens.len() - self.refresh_tokens.len()
    }

    /// Makes the access tokens of an organisation invalid before their time that were used already; how many. One that is of no use from the
    /// beginning is another matter: it looks like a grant that is gone.
    pub fn forget_used(&mut self, organisation: u64) -> usize {
        let before = self.access_tokens.len();
        self.access_tokens
            .retain(|token| token.grant.organisation != organisation || !token.used);
        before - self.access_tokens.len()
    }

    /// As if every refresh token of an organisation had just been used as often as it may be in ten minutes.
    pub fn use_up(&mut self, organisation: u64, now: Timestamp) {
        let tokens = self.refresh_tokens.iter_mut();
        for token in tokens.filter(|token| token.grant.organisation == organisation) {
            token.issued = VecDeque::from([now; IN_WINDOW]);
        }
    }

    /// Takes a scope away from every token of an organisation.
    pub fn revoke_scope(&mut self, organisation: u64, scope: &str) {
        let grants = self
            .access_tokens
            .iter_mut()
            .map(|token| &mut token.grant)
            .chain(self.refresh_tokens.iter_mut().map(|token| &mut token.grant));
        for grant in grants.filter(|grant| grant.organisation == organisation) {
            grant
                .scopes
                .retain(|known| !known.eq_ignore_ascii_case(scope));
        }
    }

    /// A token made without the consent page, for tests that are about something else.
    pub fn issue(&mut self, grant: Grant, now: Timestamp) -> (String, String) {
        let refresh = self.new_token();
        self.refresh_tokens.push(RefreshToken {
            token: refresh.clone(),
            grant: grant.clone(),
            created: now,
            issued: VecDeque::new(),
        });
        let token = self.new_token();
        self.access_tokens.push(AccessToken {
            token: token.clone(),
            grant,
            refresh: Some(refresh.clone()),
            expires: now + self.settings.token_life,
            used: false,
        });
        (token, refresh)
    }

    /// Whom a living access token speaks for that is used.
    pub(crate) fn grant(&mut self, token: &str, now: Timestamp) -> Option<&Grant> {
        let token = self
            .access_tokens
            .iter_mut()
            .find(|known| known.token == token && now < known.expires)?;
        token.used = true;
        Some(&token.grant)
    }
}

const TOO_MANY: &str = "Access Denied";

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(key, value)| key == name && !value.is_empty())
        .map(|(_, value)| value.as_str())
}

fn server_info(around: &Surroundings<'_>) -> Answer {
    let locations: serde_json::Map<String, Value> = DataCentre::ALL
        .into_iter()
        .map(|dc| {
            (
                dc.name().to_owned(),
                json!(format!("{}/{dc}", around.base_url)),
            )
        })
        .collect();
    Answer::json(200, &json!({ "result": "success", "locations": locations }))
}
