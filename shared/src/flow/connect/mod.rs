//! Connecting an organisation: from "Connect Zoho" to stored tokens (C1 to C5).

mod finish;
mod give_back;
mod refusal;

use futures::future::try_join_all;
use jiff::SignedDuration;

use crate::connection::Connection;
use crate::data_centre::DataCentre;
use crate::identifier::{ConnectionId, Digest};
use crate::oauth;
use crate::port::{Browser, OAuthState, Ports};
use crate::secret::{OAuthClient, Secret};

use super::Error;

pub use finish::{Connected, Finished, finish};
pub use give_back::give_back;
pub use refusal::Refusal;

/// For how long a customer may think about granting access: the life of a state and of the cookie it is bound to.
pub const STATE_LIFE: SignedDuration = SignedDuration::from_mins(10);

/// How a connection begins.
#[derive(Debug, Clone)]
pub enum Begun {
    /// The browser goes to Zoho.
    Redirect {
        /// Where to.
        url: String,
        /// What the browser must bring back; to be set as a cookie.
        browser: Secret,
    },
    /// The data centre has to be chosen first.
    Choose {
        /// The connection.
        connection: Box<Connection>,
        /// What was chosen, where that is none of the choices.
        unknown: Option<String>,
        /// The data centres for which an OAuth client is registered.
        choices: Vec<DataCentre>,
    },
    /// It does not begin.
    Refused(Refusal),
}

/// Begins to connect: keeps a single-use state and says where the browser goes. `chosen` is the code of a data centre; without one it is
/// the organisation's own, or the only one with an OAuth client. `browser` is the cookie of this browser, where it has one already.
///
/// # Errors
/// When a port fails.
pub async fn begin(
    ports: &Ports,
    public_url: &str,
    connection: &ConnectionId,
    chosen: Option<&str>,
    browser: Option<&str>,
) -> Result<Begun, Error> {
    let Some(connection) = ports.store.connection(connection).await? else {
        return Ok(Begun::Refused(Refusal::NoSuchConnection));
    };
    if connection.status.is_ended() {
        return Ok(Begun::Refused(Refusal::Disconnected));
    }
    let own = connection
        .organisation
        .as_ref()
        .map(|organisation| organisation.data_centre);
    let centre = match chosen {
        Some(code) => code.parse().ok(),
        None => own,
    };
    let wanted = match centre {
        Some(centre) => client(ports, centre).await?,
        None => None,
    };
    let (centre, client) = match wanted {
        Some(found) => found,
        None => {
            let mut clients = registered(ports).await?;
            match (clients.len(), chosen) {
                (0, _) => return Ok(Begun::Refused(Refusal::NoClient { centre })),
                (1, None) => clients.remove(0),
                _ => {
                    return Ok(Begun::Choose {
                        connection: Box::new(connection),
                        unknown: chosen.map(|code| code.chars().take(40).collect()),
                        choices: clients.into_iter().map(|(centre, _)| centre).collect(),
                    });
                }
            }
        }
    };
    let state = random(ports);
    // A browser that connects two organisations side by side keeps its cookie, so that both come back well.
    let browser = browser
        .filter(|cookie| is_random(cookie))
        .map_or_else(|| random(ports), Secret::new);
    let now = ports.clock.now();
    ports
        .store
        .keep_oauth_state(&OAuthState {
            digest: digest(&state),
            connection: connection.id,
            centre,
            browser: Browser(digest(&browser)),
            expires_at: now.checked_add(STATE_LIFE).unwrap_or(now),
        })
        .await?;
    let url = oauth::authorize_url(
        &ports.directory.accounts(centre),
        &client.id,
        &oauth::redirect_uri(public_url),
        &state,
    )
    .map_err(|error| Error::Invalid(format!("the accounts server's address is no URL: {error}")))?;
    Ok(Begun::Redirect { url, browser })
}

async fn client(
    ports: &Ports,
    centre: DataCentre,
) -> Result<Option<(DataCentre, OAuthClient)>, Error> {
    let client = ports.vault.oauth_client(centre).await?;
    Ok(client.map(|client| (centre, client)))
}

async fn registered(ports: &Ports) -> Result<Vec<(DataCentre, OAuthClient)>, Error> {
    let all = DataCentre::ALL.map(|centre| client(ports, centre));
    Ok(try_join_all(all).await?.into_iter().flatten().collect())
}

/// 256 random bits as text.
fn random(ports: &Ports) -> Secret {
    Secret::new(hex::encode(ports.entropy.bytes()))
}

/// Whether a text can be one that [`random`] made; nothing else is looked up or taken over.
fn is_random(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn digest(secret: &Secret) -> Digest {
    Digest::of(secret.expose().as_bytes())
}
