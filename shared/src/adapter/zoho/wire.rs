//! What every call shares: where it may go, how it is made, what its answer tells beside the content.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;
use url::form_urlencoded::Serializer;

use super::ZohoCrm;
use super::errors::{self, Unreadable};
use super::transport::{Method, Request, Response};
use crate::data_centre::{ApiDomain, DataCentre, Directory};
use crate::port::{Caller, CrmError, Reply};

/// A URL whose base is one of Zoho's own. There is no other way to make one, and nothing is sent to anything else, so a secret can't go
/// astray.
pub(super) struct Endpoint(String);

impl Endpoint {
    /// On a data centre's accounts server.
    pub(super) fn accounts(directory: &Directory, centre: DataCentre, path: &'static str) -> Self {
        Self(format!("{}{path}", directory.accounts(centre)))
    }

    /// On an organisation's API. The domain is looked up once more, because one that was stored may be older than the list.
    pub(super) fn api(
        directory: &Directory,
        domain: &ApiDomain,
        path: impl fmt::Display,
    ) -> Result<Self, CrmError> {
        let domain = domain.as_str();
        let known = DataCentre::ALL
            .into_iter()
            .any(|centre| directory.api_domain(centre, domain).is_ok());
        if !known {
            let message = "the API domain is none of Zoho's, so nothing was sent to it";
            return Err(errors::refused("FOREIGN_API_DOMAIN", message));
        }
        Ok(Self(format!("{domain}/crm/v8/{path}")))
    }
}

/// A form body. Secrets travel in it, never in a URL, which servers and proxies log.
pub(super) fn form(pairs: &[(&str, &str)]) -> Vec<u8> {
    Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
        .into_bytes()
}

/// An instant as Zoho's conditional headers and filters want it: whole seconds and an offset.
pub(super) fn instant(time: Timestamp) -> String {
    format!("{}+00:00", time.strftime("%Y-%m-%dT%H:%M:%S"))
}

/// An HTTP date.
pub(super) fn http_date(text: &str) -> Option<Timestamp> {
    let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(zoned.timestamp())
}

impl ZohoCrm {
    /// Sends a call to an accounts server.
    pub(super) async fn post_form(
        &self,
        endpoint: Endpoint,
        pairs: &[(&str, &str)],
    ) -> Result<Response, CrmError> {
        let content_type = "application/x-www-form-urlencoded".to_owned();
        self.send(Request {
            method: Method::Post,
            url: endpoint.0,
            headers: vec![("Content-Type", content_type)],
            body: form(pairs),
        })
        .await
    }

    /// Sends a call to the API in a caller's name.
    pub(super) async fn call(
        &self,
        caller: &Caller,
        method: Method,
        path: impl fmt::Display + Send,
        condition: Option<(&'static str, Timestamp)>,
        body: Vec<u8>,
    ) -> Result<Response, CrmError> {
        let endpoint = Endpoint::api(&self.directory, &caller.api, path)?;
        let token = caller.token.expose();
        let mut headers = vec![("Authorization", format!("Zoho-oauthtoken {token}"))];
        if method != Method::Get {
            headers.push(("Content-Type", "application/json".to_owned()));
        }
        if let Some((name, time)) = condition {
            headers.push((name, instant(time)));
        }
        self.send(Request {
            method,
            url: endpoint.0,
            headers,
            body,
        })
        .await
    }

    async fn send(&self, request: Request) -> Result<Response, CrmError> {
        self.transport
            .send(request)
            .await
            .map_err(|error| CrmError::Unavailable {
                source: Box::new(error),
            })
    }
}

/// Adds to a value what the answer's headers tell. Zoho's clock is what cursors go by, and nothing else can stand in for it.
pub(super) fn reply<T>(
    what: &str,
    response: &Response,
    value: T,
    credits: u64,
) -> Result<Reply<T>, CrmError> {
    let server_time = response
        .header("Date")
        .and_then(http_date)
        .ok_or_else(|| errors::malformed(what, Unreadable::NoDate))?;
    // More than everything may be spent: then none is left. What is no number says nothing.
    let credits_left = response
        .header("X-API-CREDITS-REMAINING")
        .and_then(|text| text.trim().parse::<i64>().ok())
        .map(|left| u64::try_from(left).unwrap_or(0));
    Ok(Reply {
        value,
        server_time,
        credits,
        credits_left,
    })
}

/// A body as JSON.
pub(super) fn json(body: &[u8]) -> Result<Value, Unreadable> {
    serde_json::from_slice(body).map_err(|error| Unreadable::json(&error))
}

/// A text that is not empty.
pub(super) fn text<'a>(json: &'a Value, name: &str) -> Option<&'a str> {
    json.get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

/// A whole number, as a number or in digits.
pub(super) fn number(json: &Value) -> Option<u64> {
    match json {
        Value::Number(number) => number.as_u64(),
        Value::String(digits) => digits.trim().parse().ok(),
        _ => None,
    }
}
