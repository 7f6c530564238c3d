//! One plain address for the HTTP API, known before anything is deployed.

use std::sync::{Arc, OnceLock};

use anyhow::Result;
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::relay::{self, relay};
use crate::stack::Stack;

/// API Gateway takes no more either.
const LARGEST_BODY: usize = 10 * 1024 * 1024;

/// Forwards everything to the HTTP API of a stack, as a custom domain does in AWS: status, headers and body stay as they are.
#[derive(Debug)]
pub struct FrontDoor {
    url: String,
    target: Arc<OnceLock<String>>,
    server: JoinHandle<()>,
}

impl FrontDoor {
    /// Listens on a free port of the loopback interface. It answers 503 until it leads somewhere.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn open() -> Result<Self> {
        Self::open_on(0).await
    }

    /// The same on a given port, for an address that stays the same from run to run.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn open_on(port: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let target = Arc::new(OnceLock::new());
        let visitor = Visitor {
            http: relay::client()?,
            target: Arc::clone(&target),
        };
        let router = Router::new().fallback(forward).with_state(visitor);
        #[expect(
            clippy::disallowed_methods,
            reason = "a server of this machine, not a Lambda handler"
        )]
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(error = %error, "the front door closed");
            }
        });
        Ok(Self {
            url,
            target,
            server,
        })
    }

    /// The address, without a slash at its end: what the `PublicUrl` parameter takes.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Leads to a deployed stack from now on. Only the first call counts.
    pub fn lead_to(&self, stack: &Stack) {
        let _ = self.target.set(stack.api_url().to_owned());
    }
}

impl Drop for FrontDoor {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Clone)]
struct Visitor {
    http: reqwest::Client,
    target: Arc<OnceLock<String>>,
}

async fn forward(State(visitor): State<Visitor>, request: Request) -> Response {
    let Some(target) = visitor.target.get() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "nothing is deployed yet").into_response();
    };
    match pass(&visitor.http, target, request).await {
        Ok(response) => response,
        Err(error) => {
            tracing::warn!(error = %error, "a request was not answered");
            (StatusCode::BAD_GATEWAY, "the HTTP API did not answer").into_response()
        }
    }
}

async fn pass(http: &reqwest::Client, target: &str, request: Request) -> Result<Response> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, LARGEST_BODY).await?;
    relay(http, target, &parts, body).await
}
