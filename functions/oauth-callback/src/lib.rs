//! Starts and ends the OAuth dance with Zoho: `GET /connect/{connection}` and `GET /oauth/callback`.

mod cookie;
mod headers;
mod page;

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use tandem::flow::Error;
use tandem::flow::connect::{self, Begun, Finished, Refusal};
use tandem::identifier::ConnectionId;
use tandem::port::Ports;
use url::form_urlencoded;

use cookie::Cookie;
use page::{Choice, Page};

/// What the function works with.
#[derive(Clone)]
pub struct Deps {
    /// The outside world.
    pub ports: Ports,
    /// The address that customers use, without a slash at its end.
    pub public_url: String,
}

struct Service {
    ports: Ports,
    public_url: String,
    cookie: Cookie,
}

/// The two routes. Every answer carries the security headers, those to unknown paths too.
pub fn app(deps: Deps) -> Router {
    let service = Service {
        cookie: Cookie::of(&deps.public_url),
        ports: deps.ports,
        public_url: deps.public_url,
    };
    Router::new()
        .route("/connect/{connection}", get(begin))
        .route("/oauth/callback", get(finish))
        .fallback(|| async { Page::not_found() })
        .with_state(Arc::new(service))
        .layer(map_response(headers::secure))
}

/// Sends the customer to Zoho, or asks for the data centre first.
async fn begin(
    State(service): State<Arc<Service>>,
    connection: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let connection = connection.ok().and_then(|Path(id)| id.parse().ok());
    let Some(connection) = connection else {
        return service.refused(None, &Refusal::NoSuchConnection);
    };
    let chosen = data_centre(&query.unwrap_or_default());
    let begun = connect::begin(
        &service.ports,
        &service.public_url,
        &connection,
        chosen.as_deref(),
        service.cookie.read(&headers),
    )
    .await;
    match begun {
        Ok(Begun::Redirect { url, browser }) => {
            let set = [(header::SET_COOKIE, service.cookie.set(&browser))];
            (set, Redirect::to(&url)).into_response()
        }
        Ok(Begun::Choose {
            connection,
            unknown,
            choices,
        }) => {
            let choices = choices.into_iter().map(Choice::of).collect();
            Page::choose(&connection.name, unknown.as_deref(), choices).into_response()
        }
        Ok(Begun::Refused(refusal)) => service.refused(Some(&connection), &refusal),
        Err(error) => service.failed(Some(&connection), &error),
    }
}

/// The `dc` of a query.
fn data_centre(query: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, value)| name == "dc" && !value.is_empty())
        .map(|(_, value)| value.into_owned())
}

/// Takes what Zoho sent back. The answer is rendered here and not behind a redirect: the code in the address is spent by now, and a
/// page of its own would show an organisation's findings to whoever guesses its address. `no-referrer` and `no-store` keep the address
/// from going anywhere.
async fn finish(
    State(service): State<Arc<Service>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let finished = connect::finish(
        &service.ports,
        &service.public_url,
        &query.unwrap_or_default(),
        service.cookie.read(&headers),
    )
    .await;
    match finished {
        Ok(Finished::Connected(connected)) => {
            tracing::info!(connection.id = %connected.connection.id, "connected");
            Page::connected(&connected).into_response()
        }
        Ok(Finished::Refused {
            connection,
            refusal,
        }) => service.refused(connection.as_ref(), &refusal),
        Err(error) => service.failed(None, &error),
    }
}

impl Service {
    fn refused(&self, connection: Option<&ConnectionId>, refusal: &Refusal) -> Response {
        let id = connection.map(ConnectionId::as_str);
        tracing::info!(connection.id = id, reason = %refusal, "not connected");
        Page::refused(refusal, self.again(connection, refusal)).into_response()
    }

    fn failed(&self, connection: Option<&ConnectionId>, error: &Error) -> Response {
        let id = connection.map(ConnectionId::as_str);
        let error: &dyn std::error::Error = error;
        tracing::error!(connection.id = id, error, "connecting failed");
        Page::failed().into_response()
    }

    /// Where to begin again, where that may help.
    fn again(&self, connection: Option<&ConnectionId>, refusal: &Refusal) -> Option<String> {
        let hopeless = matches!(
            refusal,
            Refusal::NoSuchConnection
                | Refusal::Disconnected
                | Refusal::NoClient { .. }
                | Refusal::ClientRefused { .. }
                | Refusal::AlreadyConnected { .. }
                // Whoever was lured here should not be invited to go on.
                | Refusal::OtherBrowser
        );
        connection
            .filter(|_| !hopeless)
            .map(|connection| format!("{}/connect/{connection}", self.public_url))
    }
}

/// The status code of a refusal.
const fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::NoSuchConnection => StatusCode::NOT_FOUND,
        Refusal::UnknownState
        | Refusal::Expired
        | Refusal::ForeignAccountsServer { .. }
        | Refusal::LocationDisagrees
        | Refusal::NoCode
        | Refusal::CodeRefused { .. } => StatusCode::BAD_REQUEST,
        Refusal::OtherBrowser
        | Refusal::Denied
        | Refusal::MissingScopes { .. }
        | Refusal::OrganisationHidden { .. } => StatusCode::FORBIDDEN,
        Refusal::Disconnected
        | Refusal::NoRefreshToken
        | Refusal::OtherOrganisation { .. }
        | Refusal::AlreadyConnected { .. } => StatusCode::CONFLICT,
        Refusal::NoClient { .. } | Refusal::ClientRefused { .. } => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
        Refusal::ZohoError { .. } | Refusal::ForeignApiDomain { .. } | Refusal::ZohoUnavailable => {
            StatusCode::BAD_GATEWAY
        }
        Refusal::Busy => StatusCode::SERVICE_UNAVAILABLE,
    }
}

#[cfg(test)]
mod tests {
    use tandem::oauth::SCOPES;

    #[test]
    fn the_readme_lists_the_scopes_and_what_needs_them() {
        let readme = include_str!("../../../README.md");
        let rows = SCOPES.map(|scope| format!("| `{}` | {} |", scope.name, scope.needed_for));
        let listed: Vec<_> = readme
            .lines()
            .filter(|line| line.starts_with("| `ZohoCRM"))
            .collect();
        assert_eq!(listed, rows);
    }
}
