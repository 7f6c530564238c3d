//! The operator's JSON API and pages.

mod address;
mod api;
mod extract;
mod guard;
mod lifecycle;
mod paging;
mod problem;
mod view;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use tandem::port::Ports;

pub use api::{openapi, openapi_json, settings_schema_json};

use problem::Problem;

/// What the console works with.
#[derive(Clone)]
pub struct Deps {
    /// The outside world.
    pub ports: Ports,
    /// The address that customers and operators use, without a slash at its end.
    pub public_url: String,
}

/// The console: everything under `/api` behind the operator's secret.
pub fn app(deps: Deps) -> Router {
    let api = api::router()
        .fallback(nowhere)
        .method_not_allowed_fallback(not_so)
        .layer(DefaultBodyLimit::max(extract::BODY_LIMIT))
        .layer(from_fn_with_state(deps.clone(), guard::guard));
    Router::new()
        .nest("/api", api)
        .fallback(nowhere)
        .layer(from_fn(guard::headers))
        .with_state(deps)
}

async fn nowhere() -> Problem {
    Problem::not_found("such address: /api/openapi.json lists them")
}

async fn not_so() -> Problem {
    Problem::new(
        problem::Kind::MethodNotAllowed,
        "the Allow header lists the methods of this address",
    )
}
