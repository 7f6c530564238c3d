//! The simulated world behind a port.

use crate::request::{Answer, Request};
use crate::zoho::{Started, Zoho};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use http::request::Parts;
use jiff::Timestamp;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The header that carries the key of the control API.
pub const CONTROL_KEY: &str = "X-Control-Key";

/// The server could not start or stop in order.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The port could not be taken.
    #[error("the port could not be taken")]
    Listen(#[source] std::io::Error),
    /// Serving broke off.
    #[error("serving broke off")]
    Serve(#[source] std::io::Error),
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    base_url: String,
    zoho: Arc<Mutex<Zoho>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

#[derive(Debug, Clone)]
struct Shared {
    zoho: Arc<Mutex<Zoho>>,
    control_key: Option<Arc<str>>,
}

impl Server {
    /// Serves a world on a port of the loopback address; port 0 takes a free one. A world without a base URL gets the server's.
    pub async fn start(zoho: Zoho, port: u16) -> Result<Self, ServerError> {
        Self::start_at(zoho, SocketAddr::from(([127, 0, 0, 1], port)), None).await
    }

    /// Serves a world on an address, with a key for the control API.
    pub async fn start_at(
        mut zoho: Zoho,
        address: SocketAddr,
        control_key: Option<String>,
    ) -> Result<Self, ServerError> {
        let listener = TcpListener::bind(address)
            .await
            .map_err(ServerError::Listen)?;
        let address = listener.local_addr().map_err(ServerError::Listen)?;
        if zoho.base_url().is_empty() {
            zoho.set_base_url(&format!("http://{address}"));
        }
        let base_url = zoho.base_url().to_owned();
        let zoho = Arc::new(Mutex::new(zoho));
        let shared = Shared {
            zoho: Arc::clone(&zoho),
            control_key: control_key.map(Arc::from),
        };
        let router = Router::new().fallback(serve).with_state(shared);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = axum::serve(listener, router).with_graceful_shutdown(async {
            // A dropped handle stops the server as well.
            stopped.await.ok();
        });
        #[expect(
            clippy::disallowed_methods,
            reason = "a server of its own, not a Lambda function"
        )]
        let task = tokio::spawn(async move { serving.await });
        Ok(Self {
            base_url,
            zoho,
            stop,
            task,
        })
    }

    /// What stands before the data centre in every URL, such as `http://127.0.0.1:4000`.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The world behind the server. Requests wait while the guard is held.
    pub fn zoho(&self) -> MutexGuard<'_, Zoho> {
        lock(&self.zoho)
    }

    /// The server's time.
    pub fn now(&self) -> Timestamp {
        clock(&self.zoho())
    }

    /// Stops accepting requests and waits for those under way.
    pub async fn stop(self) -> Result<(), ServerError> {
        self.stop.send(()).ok();
        match self.task.await {
            Ok(served) => served.map_err(ServerError::Serve),
            Err(error) => Err(ServerError::Serve(std::io::Error::other(error))),
        }
    }
}

fn lock(zoho: &Mutex<Zoho>) -> MutexGuard<'_, Zoho> {
    zoho.lock().unwrap_or_else(PoisonError::into_inner)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the only place where the simulator looks at a clock"
)]
fn clock(zoho: &Zoho) -> Timestamp {
    Timestamp::now() + zoho.clock_offset
}

async fn serve(State(shared): State<Shared>, parts: Parts, body: Bytes) -> Response {
    let mut request = Request::with_target(parts.method.clone(), parts.uri.path());
    request.query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
        .into_owned()
        .collect();
    request.path = decoded(parts.uri.path());
    request.headers = parts
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect();
    request.body = body.to_vec();
    let path = request.path.trim_start_matches('/').to_owned();
    let (first, rest) = path.split_once('/').unwrap_or((&path, ""));
    if first == "control" {
        request.path = rest.to_owned();
        return respond(control(&shared, &request));
    }
    request.path = format!("/{rest}");
    let (answer, delay, place) = {
        let mut zoho = lock(&shared.zoho);
        let now = clock(&zoho);
        let mut started = zoho.start(first, &request, now);
        let answer = std::mem::replace(&mut started.answer, Answer::lost());
        let delay = started.delay;
        (
            answer,
            delay,
            Held {
                zoho: Arc::clone(&shared.zoho),
                started: Some(started),
            },
        )
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    drop(place);
    respond(answer)
}

/// A place among the concurrent calls. A client that hangs up gives it back as well.
struct Held {
    zoho: Arc<Mutex<Zoho>>,
    started: Option<Started>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(started) = self.started.take() {
            lock(&self.zoho).finish(started);
        }
    }
}

fn control(shared: &Shared, request: &Request) -> Answer {
    if shared
        .control_key
        .as_deref()
        .is_some_and(|key| request.header_value(CONTROL_KEY) != Some(key))
    {
        return Answer::json(
            403,
            &serde_json::json!({ "error": "the control key is missing or wrong" }),
        );
    }
    let mut zoho = lock(&shared.zoho);
    let now = clock(&zoho);
    zoho.control(request, now)
}

/// The path without percent signs. A form decoder does it once the characters that are special to forms are hidden.
fn decoded(path: &str) -> String {
    let hidden = path
        .replace('+', "%2B")
        .replace('&', "%26")
        .replace('=', "%3D");
    url::form_urlencoded::parse(hidden.as_bytes())
        .map(|(name, _)| name.into_owned())
        .collect()
}

fn respond(answer: Answer) -> Response {
    let body = if answer.is_lost() {
        // The body breaks before its first byte, and with it the connection.
        let broken = std::io::Error::other("the connection was dropped on order");
        Body::from_stream(futures::stream::iter([Err::<Bytes, _>(broken)]))
    } else {
        Body::from(answer.body)
    };
    let mut response = Response::new(body);
    *response.status_mut() =
        http::StatusCode::from_u16(answer.status).unwrap_or(http::StatusCode::OK);
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (
            http::HeaderName::try_from(name),
            http::HeaderValue::try_from(value),
        ) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
