//! Grants: exchanging codes, making access tokens, revoking.
//!
//! The token endpoint answers refusals with status 200, so success is a body with an access token and nothing else.

use std::time::Duration;

use serde_json::Value;

use super::ZohoCrm;
use super::errors;
use super::transport::Response;
use super::wire::{self, Endpoint};
use crate::data_centre::DataCentre;
use crate::port::{CrmError, Grant};
use crate::secret::{OAuthClient, Secret};

const TOKEN: &str = "/oauth/v2/token";
const REVOKE: &str = "/oauth/v2/token/revoke";
/// How long an access token lives by Zoho's documentation. It is also the most that is believed: an older form of the reply counts
/// `expires_in` in milliseconds.
const HOUR: Duration = Duration::from_secs(3_600);

impl ZohoCrm {
    pub(super) async fn exchange_code(
        &self,
        centre: DataCentre,
        client: &OAuthClient,
        code: &Secret,
        redirect_uri: &str,
    ) -> Result<Grant, CrmError> {
        let endpoint = Endpoint::accounts(&self.directory, centre, TOKEN);
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", &client.id),
            ("client_secret", client.secret.expose()),
            ("redirect_uri", redirect_uri),
            ("code", code.expose()),
        ];
        let response = self.post_form(endpoint, &form).await?;
        grant("the exchange of a code", &response)
    }

    pub(super) async fn refresh_token(
        &self,
        centre: DataCentre,
        client: &OAuthClient,
        refresh: &Secret,
    ) -> Result<Grant, CrmError> {
        let endpoint = Endpoint::accounts(&self.directory, centre, TOKEN);
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", &client.id),
            ("client_secret", client.secret.expose()),
            ("refresh_token", refresh.expose()),
        ];
        let response = self.post_form(endpoint, &form).await?;
        grant("the refresh of a token", &response)
    }

    /// The token goes into the form body. Zoho's documentation shows it in the query, but a URL is logged by whatever it passes, and Zoho
    /// reads form fields and query parameters alike.
    pub(super) async fn revoke_token(
        &self,
        centre: DataCentre,
        refresh: &Secret,
    ) -> Result<(), CrmError> {
        let endpoint = Endpoint::accounts(&self.directory, centre, REVOKE);
        let form = [("token", refresh.expose())];
        let response = self.post_form(endpoint, &form).await?;
        let json = wire::json(&response.body).unwrap_or_default();
        if wire::text(&json, "status") == Some("success") {
            return Ok(());
        }
        match refused("the revocation of a token", &response, &json) {
            CrmError::GrantRefused { .. } => Ok(()),
            // Documented for a token that Zoho does not know (any more); the body is a page.
            CrmError::Malformed { .. } if response.status == 400 => Ok(()),
            error => Err(error),
        }
    }
}

fn grant(what: &str, response: &Response) -> Result<Grant, CrmError> {
    let json = wire::json(&response.body).unwrap_or_default();
    let Some(access) = wire::text(&json, "access_token") else {
        return Err(refused(what, response, &json));
    };
    let lives = json
        .get("expires_in_sec")
        .or_else(|| json.get("expires_in"));
    let lives = lives.and_then(wire::number).map(Duration::from_secs);
    Ok(Grant {
        access: Secret::new(access),
        refresh: wire::text(&json, "refresh_token").map(Secret::new),
        api_domain: wire::text(&json, "api_domain").map(str::to_owned),
        expires_in: lives.map_or(HOUR, |lives| lives.min(HOUR)),
        scopes: wire::text(&json, "scope").map(|scopes| {
            let scopes = scopes.split([' ', ',']).filter(|scope| !scope.is_empty());
            scopes.map(str::to_owned).collect()
        }),
    })
}

/// The limit on how many tokens are made. Zoho answers it with status 200 or 400.
fn is_throttled(json: &Value) -> bool {
    let says = |name, words: &str| {
        wire::text(json, name).is_some_and(|text| text.to_lowercase().contains(words))
    };
    says("error", "access denied") || says("error_description", "too many requests")
}

fn refused(what: &str, response: &Response, json: &Value) -> CrmError {
    if is_throttled(json) {
        return errors::throttled(response);
    }
    let given =
        wire::text(json, "error").filter(|_| matches!(response.status, 200..300 | 400..429));
    let Some(given) = given else {
        return match wire::json(&response.body) {
            Err(why) if response.status == 200 => errors::malformed(what, why),
            _ => errors::refusal(what, response),
        };
    };
    let code = errors::code(given);
    match code.as_str() {
        // The code or refresh token is used, expired, revoked or unknown, or its user is gone: connecting anew helps.
        "invalid_code" | "invalid_grant" | "invalid_token" | "access_denied" | "inactive_user" => {
            CrmError::GrantRefused { code }
        }
        // Zoho's word for a bad moment of its own.
        "general_error" => errors::unavailable(response.status, code),
        // Our OAuth client is wrong: correcting it helps, connecting anew would not.
        _ => errors::refused(
            &code,
            "the accounts server does not accept the OAuth client",
        ),
    }
}
