//! The vault in Secrets Manager.
//!
//! | secret | body |
//! |---|---|
//! | `<prefix>connection/<connection>` | `{"refresh", "access", "expires_at", "generation", "centre"}`: a connection's tokens, made when it connects |
//! | `<prefix>oauth-client/<data centre>` | `{"client_id", "client_secret"}`: filled in by whoever deploys |
//! | `<prefix>operator` | the console's secret, as plain text |
//!
//! OAuth clients and the console's secret change rarely and are remembered for five minutes; tokens are always read anew, because another
//! function may have refreshed them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use backon::{BackoffBuilder as _, ExponentialBuilder};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::data_centre::DataCentre;
use crate::identifier::ConnectionId;
use crate::port::{Error, Vault};
use crate::secret::{OAuthClient, Secret, Tokens};

const SERVICE: &str = "Secrets Manager";
/// The label that Secrets Manager gives the value before the current one.
const PREVIOUS: &str = "AWSPREVIOUS";
/// How long what changes rarely is remembered.
const REMEMBERED: Duration = Duration::from_secs(300);

/// The vault in Secrets Manager.
#[derive(Clone)]
pub struct SecretsVault {
    client: Client,
    prefix: String,
    remembered: Arc<Mutex<BTreeMap<String, (Instant, Secret)>>>,
}

impl fmt::Debug for SecretsVault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SecretsVault")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// A connection's tokens. No `Debug`: these are the secrets themselves.
#[derive(Serialize, Deserialize)]
struct StoredTokens {
    refresh: String,
    access: String,
    expires_at: Timestamp,
    generation: u64,
    /// Not in what earlier releases stored.
    #[serde(default)]
    centre: Option<DataCentre>,
}

/// A data centre's OAuth client.
#[derive(Deserialize)]
struct StoredClient {
    client_id: String,
    client_secret: String,
}

/// A secret's body that can't be read. serde's own message can quote what it read, so only the place is said.
#[derive(Debug, thiserror::Error)]
#[error("line {line}, column {column} is not as expected")]
struct Unreadable {
    line: usize,
    column: usize,
}

/// A secret that must be there and is not.
#[derive(Debug, thiserror::Error)]
#[error("there is no secret {0}")]
struct Missing(String);

impl SecretsVault {
    /// The vault of the secrets whose names begin with `prefix`.
    #[must_use]
    pub fn new(client: Client, prefix: String) -> Self {
        Self {
            client,
            prefix,
            remembered: Arc::default(),
        }
    }

    fn of_connection(&self, connection: &ConnectionId) -> String {
        format!("{}connection/{connection}", self.prefix)
    }

    async fn read(&self, name: &str) -> Result<Option<Secret>, Error> {
        self.read_version(name, None).await
    }

    async fn read_version(&self, name: &str, stage: Option<&str>) -> Result<Option<Secret>, Error> {
        let request = self.client.get_secret_value().secret_id(name);
        let stage = stage.map(str::to_owned);
        match request.set_version_stage(stage).send().await {
            Ok(answer) => Ok(answer.secret_string.map(Secret::new)),
            Err(error) if error.as_service_error().is_some_and(is_absent) => Ok(None),
            Err(error) => Err(failed("GetSecretValue")(error)),
        }
    }

    /// The tokens that those which can't be read took the place of: Zoho gives no new refresh token when an access token is renewed, so the
    /// grant is the same, and the next renewal puts the secret right.
    async fn tokens_before(&self, name: &str, unreadable: Error) -> Result<Tokens, Error> {
        let before = self.read_version(name, Some(PREVIOUS)).await?;
        let tokens = before.and_then(|body| tokens_of(name, &body).ok());
        let tokens = tokens.ok_or(unreadable)?;
        tracing::warn!(
            secret = name,
            "the current value can't be read, so the one before is used"
        );
        Ok(tokens)
    }

    /// Reads a secret that changes rarely. Only one that is there is remembered, so one that is filled in is seen at once.
    async fn read_remembered(&self, name: &str) -> Result<Option<Secret>, Error> {
        if let Some(secret) = self.recall(name) {
            return Ok(Some(secret));
        }
        let secret = self.read(name).await?;
        if let Some(secret) = &secret {
            self.remembered
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(name.to_owned(), (Instant::now(), secret.clone()));
        }
        Ok(secret)
    }

    fn recall(&self, name: &str) -> Option<Secret> {
        let remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (since, secret) = remembered.get(name)?;
        (since.elapsed() < REMEMBERED).then(|| secret.clone())
    }

    /// Puts a new value; false when there is no such secret (any more).
    async fn put(&self, name: &str, body: &str) -> Result<bool, Error> {
        let put = self
            .client
            .put_secret_value()
            .secret_id(name)
            .secret_string(body)
            .send()
            .await;
        match put {
            Ok(_) => Ok(true),
            Err(error)
                if error.as_service_error().is_some_and(|error| {
                    error.is_resource_not_found_exception() || error.is_invalid_request_exception()
                }) =>
            {
                Ok(false)
            }
            Err(error) => Err(failed("PutSecretValue")(error)),
        }
    }

    /// Makes a secret; the failure, when it can't be made now: another one made it, or the last one of that name is not quite gone.
    async fn create(&self, name: &str, body: &str) -> Result<Option<Error>, Error> {
        let created = self
            .client
            .create_secret()
            .name(name)
            .secret_string(body)
            .description("The tokens of a connection of Tandem.")
            .send()
            .await;
        match created {
            Ok(_) => Ok(None),
            Err(error)
                if error.as_service_error().is_some_and(|error| {
                    error.is_resource_exists_exception() || error.is_invalid_request_exception()
                }) =>
            {
                Ok(Some(failed("CreateSecret")(error)))
            }
            Err(error) => Err(failed("CreateSecret")(error)),
        }
    }
}

/// Whether a secret is not there: never made, made without a value, or being deleted.
fn is_absent(error: &GetSecretValueError) -> bool {
    error.is_resource_not_found_exception()
        || (error.is_invalid_request_exception()
            && error
                .message()
                .is_some_and(|message| message.contains("deletion")))
}

fn failed<E, R>(operation: &'static str) -> impl Fn(SdkError<E, R>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: fmt::Debug + Send + Sync + 'static,
{
    move |error| {
        let throttled = error.code().is_some_and(|code| code.contains("Throttl"));
        // The source only: the raw reply around it can hold a secret.
        let source = error
            .into_source()
            .unwrap_or_else(|_| Box::new(std::fmt::Error) as Box<_>);
        if throttled {
            Error::Throttled {
                service: SERVICE,
                source: Some(source),
            }
        } else {
            Error::Unavailable {
                service: SERVICE,
                operation,
                source,
            }
        }
    }
}

fn parse<T: DeserializeOwned>(name: &str, body: &Secret) -> Result<T, Error> {
    serde_json::from_str(body.expose()).map_err(|error| Error::Corrupt {
        what: format!("secret {name}"),
        source: Box::new(Unreadable {
            line: error.line(),
            column: error.column(),
        }),
    })
}

fn body_of(tokens: &Tokens) -> Result<Secret, Error> {
    let Tokens {
        refresh,
        access,
        expires_at,
        generation,
        centre,
    } = tokens;
    let stored = StoredTokens {
        refresh: refresh.expose().to_owned(),
        access: access.expose().to_owned(),
        expires_at: *expires_at,
        generation: *generation,
        centre: *centre,
    };
    serde_json::to_string(&stored)
        .map(Secret::new)
        .map_err(|source| Error::Refused {
            what: "a connection's tokens".to_owned(),
            source: Box::new(source),
        })
}

fn tokens_of(name: &str, body: &Secret) -> Result<Tokens, Error> {
    let StoredTokens {
        refresh,
        access,
        expires_at,
        generation,
        centre,
    } = parse(name, body)?;
    Ok(Tokens {
        refresh: Secret::new(refresh),
        access: Secret::new(access),
        expires_at,
        generation,
        centre,
    })
}

fn client_of(name: &str, body: &Secret) -> Result<Option<OAuthClient>, Error> {
    if body.expose().trim().is_empty() {
        return Ok(None);
    }
    let StoredClient {
        client_id,
        client_secret,
    } = parse(name, body)?;
    let filled_in = !client_id.is_empty() && !client_secret.is_empty();
    Ok(filled_in.then(|| OAuthClient {
        id: client_id,
        secret: Secret::new(client_secret),
    }))
}

/// How long to wait for a name to become free again after its secret was deleted: about fifteen seconds in all.
fn delays() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(250))
        .with_max_delay(Duration::from_secs(4))
        .with_max_times(6)
        .with_jitter()
        .build()
}

#[async_trait]
impl Vault for SecretsVault {
    async fn oauth_client(&self, centre: DataCentre) -> Result<Option<OAuthClient>, Error> {
        let name = format!("{}oauth-client/{centre}", self.prefix);
        match self.read_remembered(&name).await? {
            Some(body) => client_of(&name, &body),
            None => Ok(None),
        }
    }

    async fn tokens(&self, connection: &ConnectionId) -> Result<Option<Tokens>, Error> {
        let name = self.of_connection(connection);
        match self.read(&name).await? {
            Some(body) => match tokens_of(&name, &body) {
                Ok(tokens) => Ok(Some(tokens)),
                Err(unreadable) => self.tokens_before(&name, unreadable).await.map(Some),
            },
            None => Ok(None),
        }
    }

    async fn keep_tokens(&self, connection: &ConnectionId, tokens: &Tokens) -> Result<(), Error> {
        let name = self.of_connection(connection);
        let body = body_of(tokens)?;
        let mut delays = delays();
        loop {
            if self.put(&name, body.expose()).await? {
                return Ok(());
            }
            let Some(failure) = self.create(&name, body.expose()).await? else {
                return Ok(());
            };
            let delay = delays.next().ok_or(failure)?;
            tokio::time::sleep(delay).await;
        }
    }

    async fn forget_tokens(&self, connection: &ConnectionId) -> Result<(), Error> {
        let deleted = self
            .client
            .delete_secret()
            .secret_id(self.of_connection(connection))
            .force_delete_without_recovery(true)
            .send()
            .await;
        match deleted {
            Err(error)
                if !error
                    .as_service_error()
                    .is_some_and(|error| error.is_resource_not_found_exception()) =>
            {
                Err(failed("DeleteSecret")(error))
            }
            _ => Ok(()),
        }
    }

    async fn operator(&self) -> Result<Secret, Error> {
        let name = format!("{}operator", self.prefix);
        let body = self.read_remembered(&name).await?;
        let secret = body.map(|body| Secret::new(body.expose().trim_end_matches(['\r', '\n'])));
        secret
            .filter(|secret| !secret.expose().is_empty())
            .ok_or_else(|| Error::Unavailable {
                service: SERVICE,
                operation: "GetSecretValue",
                source: Box::new(Missing(name)),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens {
            refresh: Secret::new("1000.refresh"),
            access: Secret::new("1000.access"),
            expires_at: "2026-11-23T10:00:00.123Z".parse().unwrap(),
            generation: 7,
            centre: Some(DataCentre::Eu),
        }
    }

    #[test]
    fn tokens_come_back_as_they_were() {
        let body = body_of(&tokens()).unwrap();
        assert_eq!(
            body.expose(),
            r#"{"refresh":"1000.refresh","access":"1000.access","expires_at":"2026-11-23T10:00:00.123Z","generation":7,"centre":"eu"}"#
        );
        let back = tokens_of("x", &body).unwrap();
        assert_eq!(body_of(&back).unwrap().expose(), body.expose());
    }

    #[test]
    fn tokens_of_an_earlier_release_are_read() {
        let body = r#"{"refresh":"1000.refresh","access":"1000.access","expires_at":"2026-11-23T10:00:00.123Z","generation":7}"#;
        let read = tokens_of("x", &Secret::new(body)).unwrap();
        assert_eq!((read.generation, read.centre), (7, None));
    }

    #[test]
    fn a_client_that_is_not_filled_in_is_none() {
        for body in ["", "\n", r#"{"client_id": "", "client_secret": ""}"#] {
            assert!(client_of("x", &Secret::new(body)).unwrap().is_none());
        }
        let body = Secret::new(r#"{"client_id": "1000.A", "client_secret": "s"}"#);
        let client = client_of("x", &body).unwrap().unwrap();
        assert_eq!(
            (client.id.as_str(), client.secret.expose()),
            ("1000.A", "s")
        );
    }

    #[test]
    fn a_body_that_cannot_be_read_is_not_quoted() {
        for body in [
            r#"{"refresh": "1000.refresh", "access": "1000.access", "generation": "1000.oops"}"#,
            r#""1000.refresh""#,
            "1000.refresh",
        ] {
            let error = tokens_of("x", &Secret::new(body)).err().unwrap();
            let mut shown = format!("{error:?} {error}");
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                shown += &format!(" {error:?} {error}");
                source = error.source();
            }
            assert!(!shown.contains("1000."), "{shown}");
        }
    }
}
