//! Rough weather between the functions and the emulator: a proxy in which calls fail, come late or cost the caller its life.
//!
//! The emulator tells its functions this address as that of every AWS service. Which call is struck, and how, follows from a seed, the function
//! and the number of the call among the function's calls. Calls of other clients, such as a test's own, do not come this way.

mod fate;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::aws::Client;
use crate::emulator::Emulator;
use crate::processes::{self, FUNCTION_NAME};
use crate::relay::{self, relay};
use crate::stack::Stack;

pub use fate::Odds;
use fate::{Fate, Moment};

/// DynamoDB takes no more either.
const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// A proxy between the functions and the emulator. Until weather comes up it passes everything on.
#[derive(Debug)]
pub struct Turbulence {
    url: String,
    air: Arc<Air>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Air {
    http: reqwest::Client,
    emulator: OnceLock<Client>,
    patience: Duration,
    weather: Mutex<Weather>,
}

#[derive(Debug, Default)]
struct Weather {
    /// What strikes whom; none: nothing does.
    storm: Option<Storm>,
    /// The functions by the access key of their role.
    callers: BTreeMap<String, String>,
    /// What changed something, by function and call.
    writes: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct Storm {
    odds: Odds,
    /// The functions' names in the emulator, and their own.
    functions: BTreeMap<String, String>,
    /// How many calls each function has made.
    calls: BTreeMap<String, u64>,
    /// Calls that fail however often the SDK repeats them, by the number that it gives to a call and its repetitions.
    doomed: BTreeMap<String, Fate>,
    /// How often what struck whom.
    struck: BTreeMap<String, u64>,
}

impl Turbulence {
    /// Listens on a free port of the loopback interface. Messages are put off for `patience` at most, where production lets them wait minutes: for
    /// a connection's own moment, for what is busy, and for what failed to heal.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn open(patience: Duration) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let air = Arc::new(Air {
            http: relay::client()?,
            emulator: OnceLock::new(),
            patience,
            weather: Mutex::default(),
        });
        let router = Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&air))
            .into_make_service_with_connect_info::<SocketAddr>();
        #[expect(
            clippy::disallowed_methods,
            reason = "a server of this machine, not a Lambda handler"
        )]
        let server = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(error = %error, "the way to the emulator closed");
            }
        });
        Ok(Self { url, air, server })
    }

    /// What an emulator has to be started with, so that its functions come this way.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        vec![("AWS_ENDPOINT_URL".to_owned(), self.url.clone())]
    }

    /// Leads to an emulator from now on. Only the first call counts.
    pub fn lead_to(&self, emulator: &Emulator) {
        let _ = self.air.emulator.set(emulator.client());
    }

    /// Lets it storm over the functions of a stack.
    pub fn storm(&self, stack: &Stack, odds: Odds) {
        let functions = stack.functions().iter();
        self.air.weather().storm = Some(Storm {
            odds,
            functions: functions
                .map(|(own, deployed)| (deployed.clone(), own.clone()))
                .collect(),
            calls: BTreeMap::new(),
            doomed: BTreeMap::new(),
            struck: BTreeMap::new(),
        });
    }

    /// Ends the storm, and says how often what struck whom.
    pub fn calm(&self) -> BTreeMap<String, u64> {
        let storm = self.air.weather().storm.take();
        storm.map(|storm| storm.struck).unwrap_or_default()
    }

    /// How many calls there were so far that write to this table, by the call's name, whether they changed anything or not.
    #[must_use]
    pub fn writes(&self, table: &str) -> BTreeMap<String, u64> {
        let wanted = format!(" {table}");
        let weather = self.air.weather();
        let of_table = weather.writes.iter();
        of_table
            .filter_map(|(call, number)| Some((call.strip_suffix(&wanted)?.to_owned(), *number)))
            .collect()
    }
}

impl Drop for Turbulence {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(
    State(air): State<Arc<Air>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    match air.carry(peer, request).await {
        Ok(response) => response,
        Err(error) => {
            let error: &dyn std::error::Error = error.as_ref();
            tracing::warn!(error, "a call did not reach the emulator");
            (StatusCode::BAD_GATEWAY, "the emulator did not answer").into_response()
        }
    }
}

impl Air {
    fn weather(&self) -> MutexGuard<'_, Weather> {
        self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn carry(&self, peer: SocketAddr, request: Request) -> Result<Response> {
        let emulator = self.emulator.get().context("this leads nowhere yet")?;
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, LARGEST_BODY).await?;
        let call = Call::of(&parts);
        let pass = async || {
            self.count(&call, &body);
            if let Some(sooner) = sooner(&call, &body, self.patience) {
                // The function's signature covers the delay, so this is another call.
                let done = emulator.json("sqs", &call.target, &sooner).await;
                if let Ok(done) = done {
                    return Ok(answer(StatusCode::OK, &done));
                }
            }
            relay(&self.http, emulator.endpoint(), &parts, body.clone()).await
        };
        let function = self.function(peer, &parts.headers, emulator)?;
        match self.fate(&call, function.as_deref()) {
            Fate::Fair => pass().await,
            Fate::Late(delay) => {
                tokio::time::sleep(delay).await;
                pass().await
            }
            Fate::Refused => Ok(call.refusal(&body)),
            Fate::Broken(moment) => {
                if moment == Moment::After {
                    pass().await?;
                }
                Ok(call.failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"))
            }
            Fate::Dropped(moment) => {
                if moment == Moment::After {
                    pass().await?;
                }
                Ok(dropped())
            }
            Fate::Killed(moment) => {
                if moment == Moment::After {
                    pass().await?;
                }
                let processes = processes::with_environment(&[emulator.gateway_port()])?;
                let caller = processes::caller(&processes, peer.port());
                processes::kill(caller.into_iter().collect()).await?;
                Ok(dropped())
            }
        }
    }

    /// Which function calls, by its name in the emulator; none: it is no function, or gone already.
    fn function(
        &self,
        peer: SocketAddr,
        headers: &HeaderMap,
        emulator: &Client,
    ) -> Result<Option<String>> {
        let Some(key) = access_key(headers) else {
            return Ok(None);
        };
        if let Some(known) = self.weather().callers.get(key) {
            return Ok(Some(known.clone()));
        }
        let processes = processes::with_environment(&[emulator.gateway_port()])?;
        let caller = processes::caller(&processes, peer.port());
        let function = caller.and_then(|pid| processes::variable(pid, FUNCTION_NAME));
        if let Some(function) = &function {
            let mut weather = self.weather();
            weather.callers.insert(key.to_owned(), function.clone());
        }
        Ok(function)
    }

    /// What befalls a call.
    fn fate(&self, call: &Call, function: Option<&str>) -> Fate {
        let mut weather = self.weather();
        let Some(storm) = &mut weather.storm else {
            return Fate::Fair;
        };
        let Some(function) = function.and_then(|function| storm.functions.get(function)) else {
            return Fate::Fair;
        };
        if let Some(fate) = storm.doomed.get(&call.invocation) {
            return fate.clone();
        }
        let number = storm.calls.entry(function.clone()).or_default();
        *number += 1;
        let (fate, doomed) = storm.odds.fate(function, *number);
        if let Some(what) = fate.name() {
            *storm
                .struck
                .entry(format!("{what} {function}"))
                .or_default() += 1;
        }
        if doomed && !call.invocation.is_empty() {
            let again = fate.again();
            storm.doomed.insert(call.invocation.clone(), again);
        }
        fate
    }

    fn count(&self, call: &Call, body: &[u8]) {
        if !call.writes() {
            return;
        }
        let tables = tables(body);
        let mut weather = self.weather();
        for table in tables {
            let counted = format!("{} {table}", call.name);
            *weather.writes.entry(counted).or_default() += 1;
        }
    }
}

/// A call to a service in the JSON protocol.
struct Call {
    /// As the header names it, such as `DynamoDB_20120810.GetItem`.
    target: String,
    /// The part behind the point.
    name: String,
    /// The same for a call and its repetitions.
    invocation: String,
}

impl Call {
    fn of(parts: &Parts) -> Self {
        let text = |name: &str| {
            let value = parts.headers.get(name);
            let text = value.and_then(|value| value.to_str().ok());
            text.unwrap_or_default().to_owned()
        };
        let target = text("x-amz-target");
        Self {
            name: target.rsplit('.').next().unwrap_or_default().to_owned(),
            invocation: text("amz-sdk-invocation-id"),
            target,
        }
    }

    /// Whether it writes to a table.
    fn writes(&self) -> bool {
        const WRITES: [&str; 5] = [
            "BatchWriteItem",
            "DeleteItem",
            "PutItem",
            "TransactWriteItems",
            "UpdateItem",
        ];
        WRITES.contains(&self.name.as_str())
    }

    /// How the service says that there are too many calls.
    fn refusal(&self, body: &[u8]) -> Response {
        let items = || {
            let body: Value = serde_json::from_slice(body).unwrap_or_default();
            body["RequestItems"].clone()
        };
        match self.name.as_str() {
            "BatchWriteItem" => answer(StatusCode::OK, &json!({ "UnprocessedItems": items() })),
            "BatchGetItem" => {
                let none = json!({ "Responses": {}, "UnprocessedKeys": items() });
                answer(StatusCode::OK, &none)
            }
            _ if self.target.starts_with("DynamoDB") => self.failure(
                StatusCode::BAD_REQUEST,
                "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
            ),
            _ if self.target.starts_with("AmazonSQS") => self.failure(
                StatusCode::BAD_REQUEST,
                "com.amazonaws.sqs#RequestThrottled",
            ),
            _ => self.failure(StatusCode::BAD_REQUEST, "ThrottlingException"),
        }
    }

    fn failure(&self, status: StatusCode, code: &str) -> Response {
        answer(status, &json!({ "__type": code, "message": "it storms" }))
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/x-amz-json-1.0")];
    (status, kind, body.to_string()).into_response()
}

/// The body breaks before its first byte, and with it the connection.
fn dropped() -> Response {
    let broken = std::io::Error::other("the connection was dropped on order");
    Response::new(Body::from_stream(futures::stream::iter([Err::<Bytes, _>(
        broken,
    )])))
}

/// A call that puts messages off, but for no longer than `patience`; none: it puts nothing off for so long.
fn sooner(call: &Call, body: &[u8], patience: Duration) -> Option<Value> {
    let mut asked: Value = match call.name.as_str() {
        "ChangeMessageVisibility" | "SendMessageBatch" => serde_json::from_slice(body).ok()?,
        _ => return None,
    };
    let mut delays: Vec<&mut Value> = match asked.get_mut("Entries") {
        Some(entries) => {
            let entries = entries.as_array_mut()?.iter_mut();
            entries
                .filter_map(|entry| entry.get_mut("DelaySeconds"))
                .collect()
        }
        None => asked.get_mut("VisibilityTimeout").into_iter().collect(),
    };
    let longest = patience.as_secs();
    delays.retain(|delay| delay.as_u64() > Some(longest));
    if delays.is_empty() {
        return None;
    }
    for delay in delays {
        *delay = longest.into();
    }
    Some(asked)
}

/// The access key of a signed request.
fn access_key(headers: &HeaderMap) -> Option<&str> {
    let signed = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (_, credential) = signed.split_once("Credential=")?;
    credential.split('/').next()
}

/// The tables that a call names.
fn tables(body: &[u8]) -> Vec<String> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let items = body["RequestItems"].as_object().into_iter().flatten();
    let transacted = body["TransactItems"].as_array().into_iter().flatten();
    let transacted = transacted
        .filter_map(Value::as_object)
        .flat_map(|item| item.iter())
        .filter(|(kind, _)| *kind != "ConditionCheck")
        .filter_map(|(_, what)| text(&what["TableName"]));
    text(&body["TableName"])
        .into_iter()
        .chain(items.map(|(table, _)| table.clone()))
        .chain(transacted)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_of_a_write_are_known() {
        let of = |body: Value| tables(body.to_string().as_bytes());
        assert_eq!(of(json!({ "TableName": "links" })), ["links"]);
        assert_eq!(of(json!({ "RequestItems": { "log": [] } })), ["log"]);
        let transaction = json!({ "TransactItems": [
            { "Put": { "TableName": "records" } },
            { "ConditionCheck": { "TableName": "state" } },
        ] });
        assert_eq!(of(transaction), ["records"]);
    }

    #[test]
    fn messages_are_put_off_for_no_longer_than_patience() {
        let of = |name: &str, body: Value| {
            let call = Call {
                target: format!("AmazonSQS.{name}"),
                name: name.to_owned(),
                invocation: String::new(),
            };
            let body = body.to_string();
            sooner(&call, body.as_bytes(), Duration::from_secs(2))
        };
        let batch = |delay: u64| json!({ "QueueUrl": "q", "Entries": [{ "Id": "0", "DelaySeconds": delay }, { "Id": "1" }] });
        assert_eq!(of("SendMessageBatch", batch(397)), Some(batch(2)));
        assert_eq!(of("SendMessageBatch", batch(2)), None);
        assert_eq!(of("SendMessageBatch", json!({ "Entries": [] })), None);
        let visible = |after: u64| json!({ "VisibilityTimeout": after });
        assert_eq!(of("ChangeMessageVisibility", visible(80)), Some(visible(2)));
        assert_eq!(of("ChangeMessageVisibility", visible(0)), None);
        assert_eq!(of("ReceiveMessage", visible(80)), None);
    }

    #[test]
    fn the_access_key_is_found() {
        let mut headers = HeaderMap::new();
        assert_eq!(access_key(&headers), None);
        let signed = "AWS4-HMAC-SHA256 Credential=ASIA1/20261127/us-east-1/sqs/aws4_request, SignedHeaders=host";
        headers.insert(header::AUTHORIZATION, signed.parse().unwrap());
        assert_eq!(access_key(&headers), Some("ASIA1"));
    }
}
