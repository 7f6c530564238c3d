//! What handlers take of a request: parts of the path, query parameters, JSON bodies. Whatever can't be read is answered with its place.

use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use tandem::identifier::{ConnectionId, PlatformId, RunId};
use tandem::mapping;
use tandem::object::Object;
use tandem::port::QueueName;
use utoipa::IntoParams;

use crate::address;
use crate::problem::{Kind, Problem};
use crate::view::Named;

/// The most bytes of a body.
pub(crate) const BODY_LIMIT: usize = 1024 * 1024;

/// The path of something that belongs to a connection.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct OfConnection {
    /// The connection's id.
    #[param(value_type = String, example = "acme")]
    pub connection: ConnectionId,
}

/// The path of a version of a connection's settings.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct OfVersion {
    /// The connection's id.
    #[param(value_type = String, example = "acme")]
    pub connection: ConnectionId,
    /// The version.
    #[param(minimum = 1, example = 3)]
    pub version: u64,
}

/// The path of something that belongs to one object of a connection.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct OfObject {
    /// The connection's id.
    #[param(value_type = String, example = "acme")]
    pub connection: ConnectionId,
    /// The object.
    #[param(value_type = crate::view::ObjectName)]
    pub object: Object,
}

/// The path of a record.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct OfRecord {
    /// The connection's id.
    #[param(value_type = String, example = "acme")]
    pub connection: ConnectionId,
    /// The object.
    #[param(value_type = crate::view::ObjectName)]
    pub object: Object,
    /// The record's platform id, percent-encoded. An id with a slash, `?`, `#`, `%`, `\` or a leading `~`, and the ids `.` and `..`, are
    /// written as `~` followed by the id in base64url without padding; any id may be written so. Each record's `href` has the right form.
    #[param(value_type = String, example = "jane@acme.example")]
    pub id: PlatformId,
}

/// The path of a run.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct OfRun {
    /// The connection's id.
    #[param(value_type = String, example = "acme")]
    pub connection: ConnectionId,
    /// The run's id.
    #[param(value_type = String, example = "01JD8QK3ZV5W7Y0B2C4E6G8H9J")]
    pub run: RunId,
}

/// The path of a queue.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct OfQueue {
    /// The queue.
    #[param(value_type = crate::view::Queue)]
    pub queue: QueueName,
}

/// A JSON body.
#[derive(Debug)]
pub(crate) struct Body<T>(pub T);

/// Query parameters.
#[derive(Debug)]
pub(crate) struct Query<T>(pub T);

async fn path_of<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<RawPathParams, Problem> {
    RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| Problem::new(Kind::Malformed, "the path is no percent-encoded UTF-8"))
}

fn parameter<'a>(params: &'a RawPathParams, name: &str) -> Option<&'a str> {
    params
        .iter()
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// An id that can't be one names nothing, so the answer is the one for something that is not there, with what an id looks like.
fn parsed<T: FromStr<Err: std::fmt::Display>>(
    params: &RawPathParams,
    name: &str,
) -> Result<T, Problem> {
    parameter(params, name)
        .unwrap_or_default()
        .parse()
        .map_err(|error: T::Err| Problem::new(Kind::NotFound, error.to_string()))
}

impl<S: Send + Sync> FromRequestParts<S> for OfConnection {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = path_of(parts, state).await?;
        Ok(Self {
            connection: parsed(&params, "connection")?,
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OfVersion {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = path_of(parts, state).await?;
        let version = parameter(&params, "version").unwrap_or_default();
        let shown: String = version.chars().take(100).collect();
        Ok(Self {
            connection: parsed(&params, "connection")?,
            version: version.parse().map_err(|_| {
                Problem::new(
                    Kind::NotFound,
                    format!("{shown:?} is no version of settings: use its number, like 3"),
                )
            })?,
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OfObject {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = path_of(parts, state).await?;
        Ok(Self {
            connection: parsed(&params, "connection")?,
            object: parsed(&params, "object")?,
        })
    }
}

/// The last part of the address of bulk edits, which can be a record's id as well.
pub(crate) const EDITS: &str = "edits";

impl<S: Send + Sync> FromRequestParts<S> for OfRecord {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = path_of(parts, state).await?;
        let segment = parameter(&params, "id").unwrap_or(EDITS);
        let id = address::parse(segment).ok_or_else(|| {
            let shown: String = segment.chars().take(100).collect();
            Problem::new(
                Kind::NotFound,
                format!("{shown:?} is no platform id: use 1 to 255 characters without control characters or outer white space, or ~ and the id in base64url"),
            )
        })?;
        let object = parsed(&params, "object")?;
        Ok(Self {
            connection: parsed(&params, "connection")?,
            object,
            id: folded(object, id),
        })
    }
}

/// The id as records have it: a contact's is compared case-folded, so it is stored so (I2).
pub(crate) fn folded(object: Object, id: PlatformId) -> PlatformId {
    match object {
        Object::Contact => mapping::fold(id.as_str()).parse().unwrap_or(id),
        Object::User | Object::Account | Object::Deal | Object::Task => id,
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OfRun {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = path_of(parts, state).await?;
        Ok(Self {
            connection: parsed(&params, "connection")?,
            run: parsed(&params, "run")?,
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OfQueue {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = path_of(parts, state).await?;
        let Named(queue) = parsed(&params, "queue")?;
        Ok(Self { queue })
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = serde_json::Map::new();
        let query = parts.uri.query().unwrap_or_default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if values
                .insert(name.clone().into_owned(), Json::from(value))
                .is_some()
            {
                return Err(Problem::mistake(
                    Kind::Malformed,
                    format!("?{name}"),
                    "give it once",
                ));
            }
        }
        serde_path_to_error::deserialize(Json::Object(values))
            .map(Self)
            .map_err(|error| match error.path().to_string().as_str() {
                "." => Problem::new(Kind::Malformed, format!("the query: {}", error.inner())),
                name => Problem::mistake(
                    Kind::Malformed,
                    format!("?{name}"),
                    error.inner().to_string(),
                ),
            })
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !says_json(request.headers()) {
            return Err(Problem::new(
                Kind::UnsupportedMediaType,
                "send JSON with the header Content-Type: application/json",
            ));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(unread)?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            Problem::mistake(
                Kind::Malformed,
                json_path(error.path()),
                error.inner().to_string(),
            )
        })?;
        json.end()
            .map_err(|error| Problem::mistake(Kind::Malformed, "$", error.to_string()))?;
        Ok(Self(value))
    }
}

fn says_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

fn unread(rejection: BytesRejection) -> Problem {
    if rejection.status() == Kind::TooLarge.status() {
        Problem::new(
            Kind::TooLarge,
            format!("send at most {BODY_LIMIT} bytes at once: split the request"),
        )
    } else {
        Problem::new(
            Kind::Malformed,
            "the body broke off: send the request again",
        )
    }
}

fn json_path(path: &serde_path_to_error::Path) -> String {
    match path.to_string().as_str() {
        "." => "$".to_owned(),
        path if path.starts_with('[') => format!("${path}"),
        path => format!("$.{path}"),
    }
}

/// The version named in `If-Match`.
///
/// # Errors
/// When the header is missing or names no version.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<u64, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Err(Problem::mistake(
            Kind::PreconditionRequired,
            "If-Match",
            "name the version that you read, as its ETag says it, like \"3\"; \"0\" stands for the default settings, never saved",
        ));
    };
    value
        .to_str()
        .ok()
        .and_then(|text| {
            text.trim()
                .strip_prefix('"')?
                .strip_suffix('"')?
                .parse()
                .ok()
        })
        .ok_or_else(|| {
            Problem::mistake(
                Kind::Malformed,
                "If-Match",
                "use one version in quotes, like \"3\"",
            )
        })
}
