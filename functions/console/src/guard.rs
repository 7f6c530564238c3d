//! Who may call the API, and what every answer carries.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::Deps;
use crate::problem::{Kind, Problem};

/// Lets a request pass that brings the operator's secret.
pub(crate) async fn guard(State(deps): State<Deps>, request: Request, next: Next) -> Response {
    match check(&deps, request.headers()).await {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn check(deps: &Deps, headers: &HeaderMap) -> Result<(), Problem> {
    let given = bearer(headers).ok_or_else(|| {
        Problem::new(
            Kind::Unauthorised,
            "send the header Authorization: Bearer with the operator's secret",
        )
    })?;
    let secret = deps.ports.vault.operator().await?;
    if secret.expose().is_empty() || !secret.matches(given) {
        return Err(Problem::new(
            Kind::Unauthorised,
            "the secret is wrong: Secrets Manager has the right one",
        ));
    }
    Ok(())
}

/// The token of a single `Authorization: Bearer` header.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())
        .filter(|token| !token.is_empty())
}

/// Puts the headers on every answer that keep a browser from storing, guessing, embedding or telling anything of it; a page may set its
/// own instead.
pub(crate) async fn headers(request: Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, &str); 6] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::STRICT_TRANSPORT_SECURITY,
            "max-age=63072000; includeSubDomains",
        ),
    ];
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}
