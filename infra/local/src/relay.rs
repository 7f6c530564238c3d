//! Passing a request on as it came, and its answer back.

use anyhow::Result;
use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::Response;

/// A client that changes nothing about what it passes on.
pub(crate) fn client() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_gzip()
        .build()?)
}

/// Passes a request on to the same path at `target`, `Host` header included. Status, headers and body of the answer stay as they are.
pub(crate) async fn relay(
    http: &reqwest::Client,
    target: &str,
    parts: &Parts,
    body: Bytes,
) -> Result<Response> {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let answer = http
        .request(parts.method.clone(), format!("{target}{path}"))
        .headers(end_to_end(&parts.headers))
        .body(body)
        .send()
        .await?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    *response.headers_mut() = end_to_end(answer.headers());
    *response.body_mut() = Body::from(answer.bytes().await?);
    Ok(response)
}

/// Without the headers that are about one hop only; the lengths are set anew from the body.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    const ONE_HOP: [HeaderName; 5] = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TE,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    headers
        .iter()
        .filter(|(name, _)| !ONE_HOP.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .fold(HeaderMap::new(), |mut kept, (name, value)| {
            kept.append(name, value);
            kept
        })
}
