//! The seam below the adapter: one HTTP request out, one answer back.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// How long a call may take from its beginning to the last byte of the answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// How long a connection is kept for the next call. Short, because a frozen sandbox wakes up with connections that the other side closed.
const KEEP_IDLE_FOR: Duration = Duration::from_secs(20);
/// The largest answer that is read: far above 2,000 rows of long texts, far below a function's memory.
const LARGEST_ANSWER: usize = 64 * 1024 * 1024;

/// The methods that the adapter uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Asks a question, creates, grants.
    Post,
    /// Updates.
    Put,
}

impl Method {
    /// The method as HTTP writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// One HTTP request. It carries tokens and record values, so `Debug` tells neither headers nor body.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The whole URL, query included. No secret is ever in it.
    pub url: String,
    /// The headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Request")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// One HTTP answer. It carries tokens and record values, so `Debug` tells neither headers nor body.
#[derive(Clone, Default)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body, decompressed.
    pub body: Vec<u8>,
}

impl Response {
    /// The first value of a header, whatever the case of its name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Response")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Why there is no answer. Whether the request had its effect is unknown, unless it was never sent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client could not be set up.
    #[error("the HTTP client can't be set up")]
    NotReady(#[source] Box<dyn StdError + Send + Sync>),
    /// The request can't be put on the wire; it was not sent.
    #[error("the request is no HTTP request")]
    Unsendable,
    /// No connection; the request was not sent.
    #[error("no connection")]
    NotConnected(#[source] Box<dyn StdError + Send + Sync>),
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] Box<dyn StdError + Send + Sync>),
    /// An answer beyond every size that makes sense.
    #[error("an answer beyond every size that makes sense")]
    TooLarge,
}

/// Sends requests. It neither follows redirects nor tries again.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a request and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// When there is no answer.
    async fn send(&self, request: Request) -> Result<Response, Error>;
}

/// The transport over the network, with a pool of connections.
#[derive(Debug, Clone)]
pub struct HttpTransport {
    client: reqwest::Client,
    largest_answer: usize,
}

impl HttpTransport {
    /// A client that trusts the system's certificates, follows no redirect and uses no proxy, so that nothing but the URL decides where a
    /// secret goes.
    ///
    /// # Errors
    /// When the TLS set-up fails.
    pub fn new() -> Result<Self, Error> {
        Self::within(ANSWER_WITHIN, LARGEST_ANSWER)
    }

    pub(super) fn within(answer_within: Duration, largest_answer: usize) -> Result<Self, Error> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("tandem/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_WITHIN)
            .timeout(answer_within)
            .pool_idle_timeout(KEEP_IDLE_FOR)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .build()
            .map_err(|error| Error::NotReady(error.into()))?;
        Ok(Self {
            client,
            largest_answer,
        })
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
        };
        let mut call = self
            .client
            .request(method, &request.url)
            .headers(headers(&request.headers)?);
        if request.method != Method::Get {
            call = call.body(request.body);
        }
        let mut answer = call.send().await.map_err(failure)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failure)? {
            if body.len() + chunk.len() > self.largest_answer {
                return Err(Error::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let headers = answer
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
            .collect();
        Ok(Response {
            status: answer.status().as_u16(),
            headers,
            body,
        })
    }
}

fn headers(given: &[(&'static str, String)]) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::with_capacity(given.len());
    for (name, value) in given {
        let name = HeaderName::try_from(*name).map_err(|_| Error::Unsendable)?;
        let mut value = HeaderValue::try_from(value).map_err(|_| Error::Unsendable)?;
        value.set_sensitive(name == reqwest::header::AUTHORIZATION);
        headers.insert(name, value);
    }
    Ok(headers)
}

fn failure(error: reqwest::Error) -> Error {
    let error = error.without_url();
    if error.is_timeout() {
        Error::TimedOut
    } else if error.is_connect() {
        Error::NotConnected(error.into())
    } else if error.is_builder() {
        Error::Unsendable
    } else {
        Error::Broken(error.into())
    }
}
