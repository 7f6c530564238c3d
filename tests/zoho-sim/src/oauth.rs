//! Zoho Accounts: consent, codes, tokens and their limits.

use crate::dc::DataCentre;
use crate::org::{Organisation, user::UserStatus};
use crate::request::{Answer, Request};
use askama::Template;
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

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    client: &'a str,
    scopes: Vec<&'a str>,
    action: String,
    hidden: Vec<(&'a str, &'a str)>,
    logins: Vec<(String, String)>,
}

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

    fn authorize(&mut self, query: &[(String, String)], around: &Surroundings<'_>) -> Answer {
        let asked = match self.asked(query) {
            Ok(asked) => asked,
            Err(reason) => return error_page(&reason),
        };
        match self.settings.consent {
            Consent::Accept => self.accept(&asked, value(query, "login"), around),
            Consent::Deny => deny(&asked),
            Consent::Ask => {
                let page = ConsentPage {
                    client: self
                        .clients
                        .get(&asked.client)
                        .map_or("", |client| client.name.as_str()),
                    scopes: asked.scopes.iter().map(String::as_str).collect(),
                    action: format!("{}/{}/oauth/v2/auth/decision", around.base_url, around.dc),
                    hidden: query
                        .iter()
                        .filter(|(name, _)| name != "login")
                        .map(|(name, value)| (name.as_str(), value.as_str()))
                        .collect(),
                    logins: self.logins(around),
                };
                page.render().map_or_else(
                    |_| error_page("general_error"),
                    |page| Answer::html(200, page),
                )
            }
        }
    }

    fn logins(&self, around: &Surroundings<'_>) -> Vec<(String, String)> {
        let first = self.login(None, around);
        let mut logins: Vec<(bool, String, String)> = Vec::new();
        for organisation in around.organisations.values() {
            let active = organisation
                .users
                .values()
                .filter(|user| user.status == UserStatus::Active && user.confirmed);
            for user in active.take(20) {
                logins.push((
                    Some((organisation.id, user.id)) != first,
                    format!("{}.{}", organisation.id, user.id),
                    format!(
                        "{} ({}, {})",
                        user.email, organisation.name, organisation.dc
                    ),
                ));
            }
        }
        logins.sort();
        logins
            .into_iter()
            .map(|(_, value, label)| (value, label))
            .collect()
    }

    fn login(&self, wish: Option<&str>, around: &Surroundings<'_>) -> Option<(u64, u64)> {
        let wished = wish.and_then(|wish| {
            let (organisation, user) = wish.split_once('.').unwrap_or((wish, ""));
            let organisation = around.organisations.get(&organisation.parse().ok()?)?;
            let user = user
                .parse()
                .unwrap_or_else(|_| organisation.administrator());
            organisation
                .users
                .contains_key(&user)
                .then_some((organisation.id, user))
        });
        wished.or(self.settings.login).or_else(|| {
            let organisation = around.organisations.values().next()?;
            Some((organisation.id, organisation.administrator()))
        })
    }

    fn decide(&mut self, form: &[(String, String)], around: &Surroundings<'_>) -> Answer {
        let asked = match self.asked(form) {
            Ok(asked) => asked,
            Err(reason) => return error_page(&reason),
        };
        match value(form, "decision") {
            Some("accept") => self.accept(&asked, value(form, "login"), around),
            Some("deny") => deny(&asked),
            _ => error_page("the decision is missing"),
        }
    }

    fn asked(&self, pairs: &[(String, String)]) -> Result<Asked, String> {
        let client = value(pairs, "client_id")
            .and_then(|id| self.clients.get(id))
            .ok_or("invalid_client")?;
        let redirect_uri = value(pairs, "redirect_uri").unwrap_or_default();
        if !client
            .redirect_uris
            .iter()
            .any(|known| known == redirect_uri)
        {
            return Err("invalid_redirect_uri".to_owned());
        }
        if value(pairs, "response_type") != Some("code") {
            return Err("invalid_response_type".to_owned());
        }
        let scopes: Vec<String> = value(pairs, "scope")
            .unwrap_or_default()
            .split([',', ' '])
            .filter(|scope| !scope.is_empty())
            .map(str::to_owned)
            .collect();
        if scopes.is_empty() || scopes.iter().any(|scope| scope.split('.').count() < 2) {
            return Err("invalid_scope".to_owned());
        }
        Ok(Asked {
            client: client.id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            scopes,
            offline: value(pairs, "access_type") == Some("offline"),
            consent: value(pairs, "prompt") == Some("consent"),
            state: value(pairs, "state").map(str::to_owned),
        })
    }

    fn accept(&mut self, asked: &Asked, login: Option<&str>, around: &Surroundings<'_>) -> Answer {
        let Some((organisation, user)) = self.login(login, around) else {
            return error_page("no such user");
        };
        let Some(home) = around.organisations.get(&organisation) else {
            return error_page("no such organisation");
        };
        let now = around.now;
        self.codes_made
            .retain(|(_, made)| now.duration_since(*made) < WINDOW);
        let made = self
            .codes_made
            .iter()
            .filter(|(client, _)| *client == asked.client)
            .count();
        if self.settings.limits && made >= IN_WINDOW {
            return error_page("Access Denied: too many requests made continuously");
        }
        self.codes_made.push_back((asked.client.clone(), now));
        let scopes = match &self.settings.granted {
            Some(granted) => asked
                .scopes
                .iter()
                .filter(|scope| granted.contains(scope))
                .cloned()
                .collect(),
            None => asked.scopes.clone(),
        };
        let first = !self.consented.contains(&(asked.client.clone(), user));
        if first {
            self.consented.push((asked.client.clone(), user));
        }
        let code = self.new_token();
        let grant = Grant {
            client: asked.client.clone(),
            organisation,
            user,
            scopes,
            dc: home.dc,
        };
        self.codes.insert(
            code.clone(),
            Code {
                grant,
                redirect_uri: asked.redirect_uri.clone(),
                expires: now + self.settings.code_life,
                with_refresh: asked.offline && (first || asked.consent),
            },
        );
        let accounts = format!("{}/{}", around.base_url, home.dc);
        let mut pairs = vec![
            ("code", code.as_str()),
            ("location", home.dc.name()),
            ("accounts-server", accounts.as_str()),
        ];
        if let Some(state) = &asked.state {
            pairs.push(("state", state));
        }
        Answer::redirect(&with_pairs(&asked.redirect_uri, &pairs))
    }

    fn new_token(&mut self) -> String {
        format!(
            "1000.{:032x}.{:032x}",
            self.random.random::<u128>(),
            self.random.random::<u128>()
        )
    }

    fn token(&mut self, form: &[(String, String)], around: &Surroundings<'_>) -> Value {
        self.token_reply(form, around).unwrap_or_else(|error| {
            if error == TOO_MANY {
                json!({
                    "error": TOO_MANY,
                    "error_description": "You have made too many requests continuously. Please try again after some time.",
                    "status": "failure",
                })
            } else {
                json!({ "error": error })
            }
        })
    }

    fn token_reply(
        &mut self,
        form: &[(String, String)],
        around: &Surroundings<'_>,
    ) -> Result<Value, &'static str> {
        let client = value(form, "client_id")
            .and_then(|id| self.clients.get(id))
            .ok_or("invalid_client")?;
        if !client.accepts(around.dc, value(form, "client_secret").unwrap_or_default()) {
            return Err("invalid_client_secret");
        }
        let client = client.id.clone();
        match value(form, "grant_type") {
            Some("authorization_code") => self.exchange(
                &client,
                value(form, "code"),
                value(form, "redirect_uri"),
                around,
            ),
            Some("refresh_token") => self.refresh(&client, value(form, "refresh_token"), around),
            Some("client_credentials") => {
                self.client_credentials(&client, value(form, "soid"), value(form, "scope"), around)
            }
            Some(_) => Err("unsupported_grant_type"),
            None => Err("general_error"),
        }
    }

    fn exchange(
        &mut self,
        client: &str,
        code: Option<&str>,
        redirect_uri: Option<&str>,
        around: &Surroundings<'_>,
    ) -> Result<Value, &'static str> {
        let given = code.unwrap_or_default();
        let code = self.codes.get(given).ok_or("invalid_code")?;
        if code.grant.client != client || code.grant.dc != around.dc || around.now >= code.expires {
            return Err("invalid_code");
        }
        if redirect_uri != Some(code.redirect_uri.as_str()) {
            return Err("invalid_redirect_uri");
        }
        let code = self.codes.remove(given).ok_or("invalid_code")?;
        let refresh = if code.with_refresh {
            Some(self.new_refresh_token(&code.grant, around.now)?)
        } else {
            None
        };
        let mut reply = self.new_access_token(code.grant, refresh.clone(), around)?;
        if let (Some(refresh), Some(reply)) = (refresh, reply.as_object_mut()) {
            reply.insert("refresh_token".to_owned(), json!(refresh));
        }
        Ok(reply)
    }

    fn new_refresh_token(&mut self, grant: &Grant, now: Timestamp) -> Result<String, &'static str> {
        let same = |token: &RefreshToken| {
            token.grant.client == grant.client && token.grant.user == grant.user
        };
        let recent = self
            .refresh_tokens
            .iter()
            .filter(|token| same(token) && now.duration_since(token.created) < WINDOW)
            .count();
        if self.settings.limits && recent >= IN_WINDOW {
            return Err(TOO_MANY);
        }
        if self
            .refresh_tokens
            .iter()
            .filter(|token| same(token))
            .count()
            >= REFRESH_TOKENS
            && let Some(oldest) = self
                .refresh_tokens
                .iter()
                .find(|token| same(token))
                .map(|token| token.token.clone())
        {
            self.forget_refresh_token(&oldest);
        }
        let token = self.new_token();
        self.refresh_tokens.push(RefreshToken {
            token: token.clone(),
            grant: grant.clone(),
            created: now,
            issued: VecDeque::new(),
        });
        Ok(token)
    }

    fn refresh(
        &mut self,
        client: &str,
        token: Option<&str>,
        around: &Surroundings<'_>,
    ) -> Result<Value, &'static str> {
        let known = self
            .refresh_tokens
            .iter()
            .find(|known| {
                Some(known.token.as_str()) == token
                    && known.grant.client == client
                    && known.grant.dc == around.dc
            })
            .ok_or("invalid_code")?;
        let (grant, token) = (known.grant.clone(), known.token.clone());
        self.new_access_token(grant, Some(token), around)
    }

    fn client_credentials(
        &mut self,
        client: &str,
        soid: Option<&str>,
        scope: Option<&str>,
        around: &Surroundings<'_>,
    ) -> Result<Value, &'static str> {
        let organisation = soid
            .and_then(|soid| soid.strip_prefix("ZohoCRM."))
            .and_then(|id| around.organisations.get(&id.parse().ok()?))
            .filter(|organisation| organisation.dc == around.dc)
            .ok_or("invalid_client")?;
        let grant = Grant {
            client: client.to_owned(),
            organisation: organisation.id,
            user: organisation.administrator(),
            scopes: scope
                .unwrap_or_default()
                .split(',')
                .map(str::to_owned)
                .collect(),
            dc: organisation.dc,
        };
        self.new_access_token(grant, None, around)
    }

    fn new_access_token(
        &mut self,
        grant: Grant,
        refresh: Option<String>,
        around: &Surroundings<'_>,
    ) -> Result<Value, &'static str> {
        let now = around.now;
        if let Some(refresh) = &refresh
            && let Some(known) = self
                .refresh_tokens
                .iter_mut()
                .find(|known| known.token == *refresh)
        {
            known
                .issued
                .retain(|issued| now.duration_since(*issued) < WINDOW);
            if self.settings.limits && known.issued.len() >= IN_WINDOW {
                return Err(TOO_MANY);
            }
            known.issued.push_back(now);
        }
        self.access_tokens.retain(|token| token.expires > now);
        if refresh.is_some() {
            let same = |token: &AccessToken| token.refresh == refresh;
            while self
                .access_tokens
                .iter()
                .filter(|token| same(token))
                .count()
                >= LIVE_ACCESS_TOKENS
            {
                let Some(oldest) = self.access_tokens.iter().position(same) else {
                    break;
                };
                self.access_tokens.remove(oldest);
            }
        }
        let token = self.new_token();
        let reply = json!({
            "access_token": token,
            "scope": grant.scopes.join(" "),
            "api_domain": format!("{}/{}", around.base_url, grant.dc),
            "token_type": "Bearer",
            "expires_in": self.settings.token_life.as_secs(),
        });
        self.access_tokens.push(AccessToken {
            token,
            grant,
            refresh,
            expires: now + self.settings.token_life,
        });
        Ok(reply)
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
        });
        (token, refresh)
    }

    /// Whom a living access token speaks for.
    pub(crate) fn grant(&self, token: &str, now: Timestamp) -> Option<&Grant> {
        self.access_tokens
            .iter()
            .find(|known| known.token == token && now < known.expires)
            .map(|known| &known.grant)
    }
}

const TOO_MANY: &str = "Access Denied";

struct Asked {
    client: String,
    redirect_uri: String,
    scopes: Vec<String>,
    offline: bool,
    consent: bool,
    state: Option<String>,
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(key, value)| key == name && !value.is_empty())
        .map(|(_, value)| value.as_str())
}

fn deny(asked: &Asked) -> Answer {
    let mut pairs = vec![("error", "access_denied")];
    if let Some(state) = &asked.state {
        pairs.push(("state", state));
    }
    Answer::redirect(&with_pairs(&asked.redirect_uri, &pairs))
}

fn with_pairs(uri: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}{}", query.finish())
}

fn error_page(reason: &str) -> Answer {
    #[derive(Template)]
    #[template(
        source = "<!doctype html><html lang=\"en\"><title>Error</title><body><h1>Error occurred</h1><p>{{ reason }}</p></body></html>",
        ext = "html"
    )]
    struct ErrorPage<'a> {
        reason: &'a str,
    }
    Answer::html(400, ErrorPage { reason }.render().unwrap_or_default())
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
