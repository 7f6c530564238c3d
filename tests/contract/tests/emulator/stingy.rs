//! A way to the emulator that takes only so many items of a batch, as DynamoDB does under load and the emulator never does.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use serde_json::{Value, json};

/// A server that leaves items of batches out.
pub(crate) struct Stingy {
    address: String,
    calls: Arc<AtomicUsize>,
}

#[derive(Clone)]
struct Desk {
    upstream: String,
    takes: usize,
    calls: Arc<AtomicUsize>,
    client: reqwest::Client,
}

impl Stingy {
    /// Stands before a server and takes `takes` items of each batch; with none it throttles.
    #[expect(clippy::disallowed_methods, reason = "a test's server, not a handler")]
    pub(crate) async fn before(upstream: &str, takes: usize) -> Self {
        let calls = Arc::new(AtomicUsize::new(0));
        let desk = Desk {
            upstream: upstream.to_owned(),
            takes,
            calls: calls.clone(),
            client: reqwest::Client::new(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(serve).with_state(desk);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, calls }
    }

    /// Where it listens.
    pub(crate) fn endpoint(&self) -> &str {
        &self.address
    }

    /// How many calls came.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }
}

async fn serve(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> Response {
    desk.calls.fetch_add(1, Ordering::SeqCst);
    if desk.takes == 0 {
        let error = json!({"__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"});
        return (StatusCode::BAD_REQUEST, Json(error)).into_response();
    }
    let mut question: Value = serde_json::from_slice(&body).unwrap();
    let left = leave_out(&mut question, desk.takes);
    let mut forwarded = desk.client.post(&desk.upstream).body(question.to_string());
    for name in [
        "x-amz-target",
        "content-type",
        "authorization",
        "x-amz-date",
    ] {
        forwarded = forwarded.header(name, headers[name].clone());
    }
    let answer = forwarded.send().await.unwrap();
    let status = answer.status();
    let mut answer: Value = answer.json().await.unwrap();
    if let Some((name, left)) = left {
        answer[name] = left;
    }
    (status, Json(answer)).into_response()
}

/// Takes what is too much out of a batch: the answer's attribute for it, and its value.
fn leave_out(question: &mut Value, takes: usize) -> Option<(&'static str, Value)> {
    let (table, wanted) = question["RequestItems"]
        .as_object_mut()?
        .iter_mut()
        .next()?;
    let (name, items) = match wanted {
        Value::Array(writes) => ("UnprocessedItems", writes),
        keys => ("UnprocessedKeys", keys["Keys"].as_array_mut()?),
    };
    if items.len() <= takes {
        return None;
    }
    let rest = items.split_off(takes);
    let rest = match name {
        "UnprocessedItems" => json!(rest),
        _ => json!({"Keys": rest, "ConsistentRead": true}),
    };
    Some((name, json!({table.as_str(): rest})))
}
