//! What the API answers when it does not do what was asked: problem details (RFC 9457), with each mistake's place and its remedy.

use std::error::Error as StdError;
use std::fmt::Display;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tandem::port::{self, CrmError};
use tandem::{flow, settings};
use utoipa::ToSchema;

use crate::view::FindingView;

/// The media type of problem details.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// What kind of problem it is; one word for a program to decide by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) enum Kind {
    /// The request can't be read: 400.
    #[serde(rename = "urn:tandem:malformed")]
    Malformed,
    /// The operator's secret is missing or wrong: 401.
    #[serde(rename = "urn:tandem:unauthorised")]
    Unauthorised,
    /// There is no such thing: 404.
    #[serde(rename = "urn:tandem:not-found")]
    NotFound,
    /// The method is none of this address: 405.
    #[serde(rename = "urn:tandem:method-not-allowed")]
    MethodNotAllowed,
    /// What is asked does not go with how things stand: 409.
    #[serde(rename = "urn:tandem:conflict")]
    Conflict,
    /// The version named in `If-Match` is not the current one: 412.
    #[serde(rename = "urn:tandem:outdated")]
    Outdated,
    /// The body is too large: 413.
    #[serde(rename = "urn:tandem:too-large")]
    TooLarge,
    /// The body is no JSON: 415.
    #[serde(rename = "urn:tandem:unsupported-media-type")]
    UnsupportedMediaType,
    /// The request can be read and makes no sense: 422.
    #[serde(rename = "urn:tandem:invalid")]
    Invalid,
    /// `If-Match` is missing: 428.
    #[serde(rename = "urn:tandem:precondition-required")]
    PreconditionRequired,
    /// A fault of Tandem's own: 500.
    #[serde(rename = "urn:tandem:internal")]
    Internal,
    /// Zoho did not do what was asked of it: 502.
    #[serde(rename = "urn:tandem:zoho")]
    Zoho,
    /// Something is busy or throttled: 503; the same request may succeed later.
    #[serde(rename = "urn:tandem:busy")]
    Busy,
}

impl Kind {
    /// The HTTP status that goes with it.
    #[must_use]
    pub(crate) const fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Unauthorised => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::Outdated => StatusCode::PRECONDITION_FAILED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Zoho => StatusCode::BAD_GATEWAY,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Malformed => "the request can't be read",
            Self::Unauthorised => "the operator's secret is needed",
            Self::NotFound => "there is no such thing",
            Self::MethodNotAllowed => "the method is not allowed here",
            Self::Conflict => "that does not go with how things stand",
            Self::Outdated => "somebody else was faster",
            Self::TooLarge => "the body is too large",
            Self::UnsupportedMediaType => "the body is no JSON",
            Self::Invalid => "the request makes no sense as it is",
            Self::PreconditionRequired => "the version is missing",
            Self::Internal => "something is broken in Tandem",
            Self::Zoho => "Zoho did not do what was asked of it",
            Self::Busy => "try again in a moment",
        }
    }
}

/// Why a request was not done, and what helps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// The kind of problem, for a program to decide by.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The kind of problem in words.
    pub title: &'static str,
    /// The HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// This very problem in words, with what helps.
    pub detail: String,
    /// The single mistakes, where the request has any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Mistake>,
    /// What the preflight found that keeps the connection from being switched on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<FindingView>,
    /// In how many seconds another try makes sense.
    #[serde(skip)]
    #[schema(ignore)]
    pub retry_after: Option<u64>,
}

/// One mistake in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Mistake {
    /// Where: a JSON path into the body (`$.objects.account.mappings[0].zoho`), `?name` for a query parameter, or a header's name.
    #[schema(example = "$.night_hour")]
    pub path: String,
    /// What is wrong and what would be right.
    #[schema(example = "use an hour from 0 to 23")]
    pub problem: String,
}

impl Problem {
    /// A problem without single mistakes.
    #[must_use]
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            title: kind.title(),
            status: kind.status().as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
            findings: Vec::new(),
            retry_after: None,
        }
    }

    /// There is no such thing.
    #[must_use]
    pub(crate) fn not_found(what: impl Display) -> Self {
        Self::new(Kind::NotFound, format!("there is no {what}"))
    }

    /// A single mistake in a request.
    #[must_use]
    pub(crate) fn mistake(kind: Kind, path: impl Into<String>, problem: impl Into<String>) -> Self {
        let mistake = Mistake {
            path: path.into(),
            problem: problem.into(),
        };
        Self::mistakes(kind, "", vec![mistake])
    }

    /// A request that is refused as a whole for its mistakes. A single one is the detail as well.
    #[must_use]
    pub(crate) fn mistakes(kind: Kind, detail: &str, errors: Vec<Mistake>) -> Self {
        let detail = match errors.as_slice() {
            [only] => format!("{}: {}", only.path, only.problem),
            _ => detail.to_owned(),
        };
        Self {
            errors,
            ..Self::new(kind, detail)
        }
    }

    fn logged(kind: Kind, detail: &str, error: &(dyn StdError + 'static)) -> Self {
        let mut chain = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            chain = format!("{chain}: {error}");
            cause = error.source();
        }
        tracing::error!(error = chain, "a request was not answered as it should be");
        Self::new(kind, detail)
    }

    fn after(self, seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds),
            ..self
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.kind.status();
        let mut response = (status, axum::Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if self.kind == Kind::Unauthorised {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<settings::Problem> for Mistake {
    fn from(problem: settings::Problem) -> Self {
        Self {
            path: problem.path,
            problem: problem.problem,
        }
    }
}

impl From<port::Error> for Problem {
    fn from(error: port::Error) -> Self {
        match &error {
            port::Error::Conflict { what } => Self::new(
                Kind::Conflict,
                format!("{what} was changed by somebody else meanwhile: send the request again"),
            ),
            port::Error::Throttled { .. } => {
                Self::logged(Kind::Busy, "a service is throttling: try again", &error).after(2)
            }
            port::Error::Unavailable { .. } => Self::logged(
                Kind::Busy,
                "a service did not answer as it should, and whether the request took effect is unknown: look, then try again",
                &error,
            )
            .after(5),
            port::Error::Refused { what, .. } => {
                Self::new(Kind::Invalid, format!("{what} can't be accepted"))
            }
            port::Error::Corrupt { .. } => Self::logged(
                Kind::Internal,
                "something stored can't be read: the function's log says what",
                &error,
            ),
        }
    }
}

impl From<CrmError> for Problem {
    fn from(error: CrmError) -> Self {
        match &error {
            CrmError::Throttled { after } => {
                let seconds = after.map_or(60, |after| after.as_secs().max(1));
                Self::new(Kind::Busy, "Zoho is throttling: try again later").after(seconds)
            }
            CrmError::Unavailable { .. } => Self::logged(
                Kind::Zoho,
                "Zoho did not answer as it should: try again",
                &error,
            ),
            CrmError::Unauthorised { .. }
            | CrmError::GrantRefused { .. }
            | CrmError::Forbidden { .. }
            | CrmError::Refused { .. }
            | CrmError::ChangedMeanwhile
            | CrmError::Malformed { .. } => {
                let detail = error.to_string();
                Self::logged(Kind::Zoho, &detail, &error)
            }
        }
    }
}

impl From<flow::Error> for Problem {
    fn from(error: flow::Error) -> Self {
        match error {
            flow::Error::Port(error) => error.into(),
            flow::Error::Crm(error) => error.into(),
            flow::Error::NotFound { .. } => Self::new(Kind::NotFound, error.to_string()),
            flow::Error::NotRunnable { .. } | flow::Error::NeedsReconnect { .. } => {
                Self::new(Kind::Conflict, error.to_string())
            }
            flow::Error::OverBudget { .. } => {
                Self::new(Kind::Conflict, error.to_string()).after(900)
            }
            flow::Error::Busy { after, .. } => {
                Self::new(Kind::Busy, error.to_string()).after(after.as_secs().max(1))
            }
            flow::Error::OAuthClient { .. } => {
                let detail = error.to_string();
                Self::logged(Kind::Internal, &detail, &error)
            }
            flow::Error::Invalid(detail) => Self::new(Kind::Invalid, detail),
        }
    }
}
