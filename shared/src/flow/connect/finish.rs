//! Coming back from Zoho: nothing that the browser brings is believed until it is checked, and no secret leaves before.

use jiff::SignedDuration;

use crate::connection::{Connection, Organisation, Status};
use crate::credit::{self, Bucket, Spender, Spent};
use crate::data_centre::{ApiDomain, DataCentre};
use crate::flow::Error;
use crate::flow::lease::{self, Lease};
use crate::flow::note::note;
use crate::flow::preflight;
use crate::identifier::{ConnectionId, Digest};
use crate::journal::Outcome;
use crate::oauth::{self, Callback};
use crate::port::{self, Caller, CrmError, Grant, GrantedOrganisation, OAuthState, Ports};
use crate::preflight::Preflight;
use crate::secret::{OAuthClient, Secret, Tokens};

use super::{Refusal, is_random};

/// How coming back from Zoho ended.
#[derive(Debug, Clone)]
pub enum Finished {
    /// The organisation is connected.
    Connected(Box<Connected>),
    /// It is not.
    Refused {
        /// The connection, where the state told.
        connection: Option<ConnectionId>,
        /// Why.
        refusal: Refusal,
    },
}

/// A connected organisation.
#[derive(Debug, Clone)]
pub struct Connected {
    /// The connection as it is stored now.
    pub connection: Connection,
    /// The organisation's name.
    pub organisation: String,
    /// Whether it had been connected before.
    pub again: bool,
    /// What was found in the organisation.
    pub preflight: Preflight,
}

/// Why it stops: a refusal is an answer, a failure may be tried again.
enum Stop {
    Refused(Refusal),
    Failed(Error),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<port::Error> for Stop {
    fn from(error: port::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Finishes to connect: takes the state, checks who comes back from where, exchanges the code, stores the tokens, looks at the
/// organisation. `query` is the callback's query as it came, `browser` the cookie of this browser.
///
/// # Errors
/// When a port fails; the state is used up then, and the customer begins again.
pub async fn finish(
    ports: &Ports,
    public_url: &str,
    query: &str,
    browser: Option<&str>,
) -> Result<Finished, Error> {
    let callback = Callback::parse(query);
    let Some(state) = take(ports, &callback).await? else {
        return Ok(Finished::Refused {
            connection: None,
            refusal: Refusal::UnknownState,
        });
    };
    match come_back(ports, public_url, &state, &callback, browser).await {
        Ok((connection, again)) => {
            let preflight = look(ports, &connection).await;
            let organisation = connection
                .organisation
                .as_ref()
                .map(|organisation| organisation.name.clone())
                .unwrap_or_default();
            Ok(Finished::Connected(Box::new(Connected {
                connection,
                organisation,
                again,
                preflight,
            })))
        }
        Err(Stop::Refused(refusal)) => {
            record(
                ports,
                &state.connection,
                Outcome::Refused,
                refusal.to_string(),
            )
            .await;
            Ok(Finished::Refused {
                connection: Some(state.connection),
                refusal,
            })
        }
        Err(Stop::Failed(error)) => Err(error),
    }
}

async fn take(ports: &Ports, callback: &Callback) -> Result<Option<OAuthState>, Error> {
    match callback.state.as_ref().map(Secret::expose) {
        Some(state) if is_random(state) => {
            let digest = Digest::of(state.as_bytes());
            Ok(ports.store.take_oauth_state(&digest).await?)
        }
        _ => Ok(None),
    }
}

/// Everything that is checked before a secret leaves, then the exchange.
async fn come_back(
    ports: &Ports,
    public_url: &str,
    state: &OAuthState,
    callback: &Callback,
    browser: Option<&str>,
) -> Result<(Connection, bool), Stop> {
    if state.expires_at <= ports.clock.now() {
        return Err(Refusal::Expired.into());
    }
    let same_browser =
        browser.is_some_and(|cookie| Digest::of(cookie.as_bytes()) == state.browser.0);
    if !same_browser {
        return Err(Refusal::OtherBrowser.into());
    }
    connectable(ports, &state.connection).await?;
    if let Some(code) = &callback.error {
        return Err(match code.as_str() {
            "access_denied" => Refusal::Denied,
            code => Refusal::ZohoError {
                code: is_code(code).then(|| code.to_owned()),
            },
        }
        .into());
    }
    let centre = match &callback.accounts_server {
        Some(server) => {
            ports
                .directory
                .centre_of(server)
                .map_err(|_| Refusal::ForeignAccountsServer {
                    given: server.chars().take(200).collect(),
                })?
        }
        None => state.centre,
    };
    if !callback.is_located_in(centre) {
        return Err(Refusal::LocationDisagrees.into());
    }
    let code = callback.code.as_ref().ok_or(Refusal::NoCode)?;
    let client = ports
        .vault
        .oauth_client(centre)
        .await?
        .ok_or(Refusal::NoClient {
            centre: Some(centre),
        })?;

    // No function renews the tokens while they are replaced.
    let holder = format!("{:032x}", ports.entropy.number());
    let lease = Lease::take(ports, &state.connection, lease::TOKENS, &holder)
        .await?
        .ok_or(Refusal::Busy)?;
    let redirect_uri = oauth::redirect_uri(public_url);
    let admitted = under_lease(ports, state, centre, &client, code, &redirect_uri, &holder).await;
    lease.release().await;
    admitted
}

/// The exchange, and what becomes of the grant. The connection is read under the lease: whoever had it before may have connected another
/// organisation.
async fn under_lease(
    ports: &Ports,
    state: &OAuthState,
    centre: DataCentre,
    client: &OAuthClient,
    code: &Secret,
    redirect_uri: &str,
    holder: &str,
) -> Result<(Connection, bool), Stop> {
    let connection = connectable(ports, &state.connection).await?;
    let (grant, refresh) = exchange(ports, centre, client, code, redirect_uri).await?;
    let admitted = admit(ports, &connection, centre, &grant, &refresh, holder).await;
    if let Err(Stop::Refused(_)) = admitted {
        revoke(ports, &connection.id, centre, &refresh).await;
    }
    admitted
}

/// Whether a text can be an error's code, and is nothing else that came in its place, such as a secret: it goes into the page and the log.
fn is_code(text: &str) -> bool {
    let is_part = |char: char| char.is_ascii_alphabetic() || char == '_';
    text.len() <= 60 && text.chars().all(is_part)
}

/// The connection, if it may be connected.
async fn connectable(ports: &Ports, id: &ConnectionId) -> Result<Connection, Stop> {
    match ports.store.connection(id).await? {
        None => Err(Refusal::NoSuchConnection.into()),
        Some(connection) if connection.status.is_ended() => Err(Refusal::Disconnected.into()),
        Some(connection) => Ok(connection),
    }
}

async fn exchange(
    ports: &Ports,
    centre: DataCentre,
    client: &OAuthClient,
    code: &Secret,
    redirect_uri: &str,
) -> Result<(Grant, Secret), Refusal> {
    let answer = ports.crm.exchange(centre, client, code, redirect_uri).await;
    let mut grant = answer.map_err(|error| match error {
        CrmError::GrantRefused { code } => Refusal::CodeRefused { code },
        CrmError::Refused { code, .. }
        | CrmError::Unauthorised { code }
        | CrmError::Forbidden { code, .. } => Refusal::ClientRefused { centre, code },
        CrmError::Throttled { .. }
        | CrmError::ChangedMeanwhile
        | CrmError::Unavailable { .. }
        | CrmError::Malformed { .. } => Refusal::ZohoUnavailable,
    })?;
    let refresh = grant.refresh.take().ok_or(Refusal::NoRefreshToken)?;
    Ok((grant, refresh))
}

/// Checks what was granted and stores it. A refusal leaves everything as it was.
async fn admit(
    ports: &Ports,
    connection: &Connection,
    centre: DataCentre,
    grant: &Grant,
    refresh: &Secret,
    holder: &str,
) -> Result<(Connection, bool), Stop> {
    let missing = grant
        .scopes
        .as_deref()
        .map(oauth::missing)
        .unwrap_or_default();
    if !missing.is_empty() {
        return Err(Refusal::MissingScopes { missing }.into());
    }
    let given = grant.api_domain.as_deref().unwrap_or_default();
    let api = ports
        .directory
        .api_domain(centre, given)
        .map_err(|_| Refusal::ForeignApiDomain {
            given: given.chars().take(200).collect(),
        })?;
    let granted = ask_organisation(ports, &connection.id, &api, grant).await?;
    let organisation = Organisation {
        daily_credits: credit::allowance(&granted.edition, granted.users),
        edition: granted.edition,
        id: granted.id,
        name: granted.name,
        time_zone: granted.time_zone,
        data_centre: centre,
        api_domain: api,
    };
    belongs(connection, &organisation)?;
    // Two connections that come back with the same organisation at once must not both find it free.
    let everybody = reserved()?;
    let name = format!("organisation-{centre}-{}", organisation.id);
    let lease = Lease::take(ports, &everybody, &name, holder)
        .await?
        .ok_or(Refusal::Busy)?;
    let admitted = settle(ports, connection, organisation, grant, refresh).await;
    lease.release().await;
    admitted
}

/// Refuses another organisation than the connection's own (C4).
fn belongs(connection: &Connection, organisation: &Organisation) -> Result<(), Refusal> {
    if let Some(own) = &connection.organisation
        && (own.id != organisation.id || own.data_centre != organisation.data_centre)
    {
        return Err(Refusal::OtherOrganisation {
            expected: own.name.clone(),
            granted: organisation.name.clone(),
        });
    }
    Ok(())
}

/// Leases over an organisation belong to no connection; they are kept under this name.
fn reserved() -> Result<ConnectionId, Stop> {
    "organisations"
        .parse()
        .map_err(|error: crate::identifier::Error| Stop::Failed(Error::Invalid(error.to_string())))
}

async fn ask_organisation(
    ports: &Ports,
    connection: &ConnectionId,
    api: &ApiDomain,
    grant: &Grant,
) -> Result<GrantedOrganisation, Stop> {
    let caller = Caller {
        api: api.clone(),
        token: grant.access.clone(),
    };
    // Counted before it is made, so that no refusal goes uncounted. It is not held back: without it nothing is known of what may be spent.
    let spent = Spent {
        spender: Spender::Person,
        credits: credit::OF_READ,
        word: None,
    };
    let bucket = Bucket::of(ports.clock.now());
    ports.store.spend_credits(connection, bucket, spent).await?;
    let reply = ports
        .crm
        .organisation(&caller)
        .await
        .map_err(|error| match error {
            CrmError::Unauthorised { code }
            | CrmError::GrantRefused { code }
            | CrmError::Forbidden { code, .. }
            | CrmError::Refused { code, .. } => Refusal::OrganisationHidden { code },
            CrmError::Throttled { .. }
            | CrmError::ChangedMeanwhile
            | CrmError::Unavailable { .. }
            | CrmError::Malformed { .. } => Refusal::ZohoUnavailable,
        })?;
    Ok(reply.value)
}

/// Stores the tokens, then the connection: a crash between the two leaves a connection that is to be connected again.
async fn settle(
    ports: &Ports,
    connection: &Connection,
    organisation: Organisation,
    grant: &Grant,
    refresh: &Secret,
) -> Result<(Connection, bool), Stop> {
    if let Some(other) = connected_by(ports, &connection.id, &organisation).await? {
        return Err(Refusal::AlreadyConnected {
            organisation: organisation.name,
            by: other.name,
        }
        .into());
    }
    let now = ports.clock.now();
    let before = ports.vault.tokens(&connection.id).await?;
    let lifetime = SignedDuration::try_from(grant.expires_in).unwrap_or(SignedDuration::ZERO);
    let tokens = Tokens {
        refresh: refresh.clone(),
        access: grant.access.clone(),
        expires_at: now.checked_add(lifetime).unwrap_or(now),
        generation: before.as_ref().map_or(1, |before| before.generation + 1),
        centre: Some(organisation.data_centre),
    };
    ports.vault.keep_tokens(&connection.id, &tokens).await?;
    let saved = save(ports, &connection.id, &organisation).await;
    if let Err(Stop::Refused(refusal)) = &saved {
        let undone = match (refusal, before) {
            // Somebody else connected the connection's organisation at this very moment. Their tokens come back as the newest, so that nobody goes
            // on with the refused ones.
            (Refusal::OtherOrganisation { .. }, Some(before)) => {
                let generation = tokens.generation + 1;
                let before = Tokens {
                    generation,
                    ..before
                };
                ports.vault.keep_tokens(&connection.id, &before).await
            }
            // Disconnected at this very moment: nothing of it may stay.
            _ => ports.vault.forget_tokens(&connection.id).await,
        };
        // What stays is worth nothing, for the grant is revoked next.
        if let Err(error) = undone {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(connection.id = %connection.id, error, "the tokens of a refused grant are still stored");
        }
    }
    let saved = saved?;
    let again = connection.organisation.is_some();
    let words = if again { "again" } else { "for the first time" };
    let reason = format!(
        "connected {words} to {} ({}, organisation {})",
        organisation.name,
        organisation.data_centre.name(),
        organisation.id
    );
    record(ports, &connection.id, Outcome::Done, reason).await;
    Ok((saved, again))
}

/// Another connection that has the organisation.
async fn connected_by(
    ports: &Ports,
    connection: &ConnectionId,
    organisation: &Organisation,
) -> Result<Option<Connection>, port::Error> {
    let same = |other: &Connection| {
        other.id != *connection
            && !other.status.is_ended()
            && other.organisation.as_ref().is_some_and(|theirs| {
                theirs.id == organisation.id && theirs.data_centre == organisation.data_centre
            })
    };
    let mut next = None;
    loop {
        let page = ports.store.connections(next, 100).await?;
        if let Some(other) = page.items.into_iter().find(same) {
            return Ok(Some(other));
        }
        if page.next.is_none() {
            return Ok(None);
        }
        next = page.next;
    }
}

/// Saves the organisation on the connection as it is stored now. Cursors and links stay as they are, so that a reconnected one goes on
/// where it stopped.
async fn save(
    ports: &Ports,
    id: &ConnectionId,
    organisation: &Organisation,
) -> Result<Connection, Stop> {
    const TRIES: usize = 5;
    let mut tries = 0;
    loop {
        let stored = connectable(ports, id).await?;
        belongs(&stored, organisation)?;
        // One that was switched on when the grant was lost has its due dates still, and goes on at once.
        let switched_on = match stored.status {
            Status::Enabled => true,
            Status::NeedsReconnect => stored.routine_due_at.is_some(),
            Status::New
            | Status::Paused
            | Status::Disconnected
            | Status::Purging
            | Status::Purged => false,
        };
        let routine_due_at = match stored.status {
            Status::NeedsReconnect if switched_on => Some(ports.clock.now()),
            _ => stored.routine_due_at,
        };
        let connection = Connection {
            status: if switched_on {
                Status::Enabled
            } else {
                Status::Paused
            },
            reason: None,
            organisation: Some(organisation.clone()),
            routine_due_at,
            ..stored
        };
        tries += 1;
        match ports.store.save_connection(connection).await {
            Ok(saved) => return Ok(saved),
            Err(port::Error::Conflict { .. }) if tries < TRIES => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Gives back a grant that is of no use. What can't be given back stays visible in Zoho, under Connected Apps.
async fn revoke(ports: &Ports, connection: &ConnectionId, centre: DataCentre, refresh: &Secret) {
    if let Err(error) = ports.crm.revoke(centre, refresh).await {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(connection.id = %connection, error, "a refused grant is not revoked");
    }
}

/// The first preflight; the connection stands whatever comes of it.
async fn look(ports: &Ports, connection: &Connection) -> Preflight {
    let error = match preflight::run(ports, connection).await {
        Ok(preflight) => return preflight,
        Err(error) => error,
    };
    let settings = match ports.store.settings(&connection.id).await {
        Ok(settings) => settings.version,
        // No settings are older, so whatever was kept stays.
        Err(_) => 0,
    };
    let failed = Preflight::failed(
        ports.clock.now(),
        settings,
        preflight::environment(connection),
        &error.to_string(),
    );
    // It takes the place of what was found with the grant before.
    if let Err(error) = ports.store.keep_preflight(&connection.id, &failed).await {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(connection.id = %connection.id, error, "a preflight that failed is not kept");
    }
    failed
}

/// Logs how it ended, unless the connection has no log any more; a log that can't be written does not undo it.
async fn record(ports: &Ports, connection: &ConnectionId, outcome: Outcome, reason: String) {
    let written = async {
        let known = ports.store.connection(connection).await?;
        if known.is_none_or(|known| known.status.is_gone()) {
            return Ok(());
        }
        note(ports, connection, outcome, "connect", "", reason).await
    };
    if let Err(error) = written.await {
        let error: &dyn std::error::Error = &error;
        tracing::warn!(connection.id = %connection, error, "the end of connecting is not logged");
    }
}
