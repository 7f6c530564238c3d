//! What comes in and what goes out: plain data, without sockets.

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

/// One HTTP request as the simulator sees it, after the data centre was taken from its path.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path after the data centre, such as `/crm/v8/Accounts`.
    pub path: String,
    /// The decoded query pairs in their order.
    pub query: Vec<(String, String)>,
    /// The headers in their order; names compare without case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without query, headers and body.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A `GET`. A query string in the path is taken apart.
    pub fn get(path: &str) -> Self {
        Self::with_target(Method::GET, path)
    }

    /// A request whose path may carry a query string.
    pub fn with_target(method: Method, target: &str) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Self::new(method, path);
        request.query = url::form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        request
    }

    /// Adds a query pair.
    #[must_use]
    pub fn query(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Adds the access token the way Zoho wants it.
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        self.header("Authorization", format!("Zoho-oauthtoken {token}"))
    }

    /// Sets a JSON body and its content type.
    #[must_use]
    pub fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.header("Content-Type", "application/json")
    }

    /// Sets a form body.
    #[must_use]
    pub fn form(mut self, pairs: &[(&str, &str)]) -> Self {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(pairs);
        self.body = form.finish().into_bytes();
        self.header("Content-Type", "application/x-www-form-urlencoded")
    }

    /// The first value of a query parameter; an empty value counts as absent.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// The first value of a header.
    pub fn header_value(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The pairs of a form body and of the query together: Zoho's token endpoint takes both.
    pub fn form_or_query(&self) -> Vec<(String, String)> {
        url::form_urlencoded::parse(&self.body)
            .into_owned()
            .chain(self.query.iter().cloned())
            .collect()
    }
}

/// One HTTP answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status, or 0 when the connection dropped before an answer came: see [`Answer::is_lost`].
    pub status: u16,
    /// The headers in their order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A JSON answer.
    pub fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![(
                "Content-Type".to_owned(),
                "application/json;charset=UTF-8".to_owned(),
            )],
            body: body.to_string().into_bytes(),
        }
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// A page for a browser.
    pub fn html(status: u16, page: String) -> Self {
        Self {
            status,
            headers: vec![(
                "Content-Type".to_owned(),
                "text/html;charset=UTF-8".to_owned(),
            )],
            body: page.into_bytes(),
        }
    }

    /// A redirect.
    pub fn redirect(target: &str) -> Self {
        Self {
            status: 302,
            headers: vec![("Location".to_owned(), target.to_owned())],
            body: Vec::new(),
        }
    }

    /// No answer at all: the connection broke.
    pub fn lost() -> Self {
        Self::empty(0)
    }

    /// Whether the connection broke instead of an answer coming back. The request may have had its effect.
    pub fn is_lost(&self) -> bool {
        self.status == 0
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `null` when it is none.
    pub fn value(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn dated(mut self, now: Timestamp) -> Self {
        if !self.is_lost() {
            self.headers.push(("Date".to_owned(), http_date(now)));
        }
        self
    }
}

/// The instant as an HTTP date.
pub fn http_date(now: Timestamp) -> String {
    now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A refusal of a whole call: Zoho's flat error body.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// Zoho's code.
    pub code: String,
    /// Zoho's message.
    pub message: String,
    /// Zoho's details.
    pub details: Value,
    /// `Retry-After` in seconds, when one is sent.
    pub retry_after: Option<u32>,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            details: json!({}),
            retry_after: None,
        }
    }

    pub(crate) fn details(mut self, details: Value) -> Self {
        self.details = details;
        self
    }

    /// The answer that carries this refusal.
    pub fn answer(&self) -> Answer {
        let mut answer = Answer::json(
            self.status,
            &json!({ "code": self.code, "details": self.details, "message": self.message, "status": "error" }),
        );
        if let Some(seconds) = self.retry_after {
            answer
                .headers
                .push(("Retry-After".to_owned(), seconds.to_string()));
        }
        answer
    }

    pub(crate) fn invalid_module() -> Self {
        Self::new(
            400,
            "INVALID_MODULE",
            "the module name given seems to be invalid",
        )
        .details(json!({ "resource_path_index": 0 }))
    }

    pub(crate) fn invalid_url() -> Self {
        Self::new(
            404,
            "INVALID_URL_PATTERN",
            "Please check if the URL trying to access is a correct one",
        )
    }

    pub(crate) fn invalid_method() -> Self {
        Self::new(
            400,
            "INVALID_REQUEST_METHOD",
            "The http request method type is not a valid one",
        )
    }

    pub(crate) fn parameter(name: &str, message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_DATA", message).details(json!({ "param_name": name }))
    }

    pub(crate) fn too_many(message: &str) -> Self {
        Self::new(429, "TOO_MANY_REQUESTS", message)
    }

    pub(crate) fn invalid_token() -> Self {
        Self::new(401, "INVALID_TOKEN", "invalid oauth token")
    }
}
