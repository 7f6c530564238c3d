//! A client of the console's JSON API.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use reqwest::{Method, header};
use serde_json::{Value, json};

/// How long between two looks at a run.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The console's API, as the operator uses it.
#[derive(Clone)]
pub struct Console {
    base: String,
    secret: String,
    http: reqwest::Client,
}

impl std::fmt::Debug for Console {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Console")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// An answer: its status and its body as JSON.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; null when there is none.
    pub body: Value,
}

impl Console {
    /// A client for the console at `base`, with the operator's secret.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(base: &str, secret: &str) -> Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(60))
            .build()?;
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            secret: secret.to_owned(),
            http,
        })
    }

    /// Sends a request and returns whatever comes.
    ///
    /// # Errors
    /// When there is no answer, or one that is no JSON.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.base))
            .bearer_auth(&self.secret);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request
            .send()
            .await
            .with_context(|| format!("{method} {path}"))?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        let body = match text.is_empty() {
            true => Value::Null,
            false => serde_json::from_str(&text).with_context(|| {
                format!("{method} {path} answered {status} and no JSON: {text}")
            })?,
        };
        Ok(Answer { status, body })
    }

    async fn expect(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let answer = self.ask(method.clone(), path, body).await?;
        if !(200..300).contains(&answer.status) {
            bail!(
                "{method} {path} answered {}: {}",
                answer.status,
                answer.body
            );
        }
        Ok(answer.body)
    }

    /// Reads.
    ///
    /// # Errors
    /// When the answer is not a success; the message holds it.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.expect(Method::GET, path, None).await
    }

    /// Posts.
    ///
    /// # Errors
    /// As [`Console::get`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.expect(Method::POST, path, Some(body)).await
    }

    /// Patches.
    ///
    /// # Errors
    /// As [`Console::get`].
    pub async fn patch(&self, path: &str, body: &Value) -> Result<Value> {
        self.expect(Method::PATCH, path, Some(body)).await
    }

    /// Saves a connection's settings over the version that is current.
    ///
    /// # Errors
    /// As [`Console::get`].
    pub async fn save_settings(&self, connection: &str, settings: &Value) -> Result<Value> {
        let path = format!("/api/connections/{connection}/settings");
        let version = self.get(&path).await?["version"]
            .as_u64()
            .context("settings without a version")?;
        let request = self
            .http
            .put(format!("{}{path}", self.base))
            .bearer_auth(&self.secret)
            .header(header::IF_MATCH, format!("\"{version}\""))
            .json(settings);
        let response = request.send().await?;
        let (status, body) = (response.status(), response.json::<Value>().await?);
        if !status.is_success() {
            bail!("PUT {path} answered {status}: {body}");
        }
        Ok(body)
    }

    /// Starts a run and returns its id.
    ///
    /// # Errors
    /// As [`Console::get`].
    pub async fn start_run(&self, connection: &str, kind: &str) -> Result<String> {
        let run = self
            .post(
                &format!("/api/connections/{connection}/runs"),
                &json!({ "kind": kind }),
            )
            .await?;
        Ok(run["id"]
            .as_str()
            .context("a run without an id")?
            .to_owned())
    }

    /// The latest run of a kind.
    ///
    /// # Errors
    /// As [`Console::get`], or when there is none.
    pub async fn latest_run(&self, connection: &str, kind: &str) -> Result<String> {
        let runs = self
            .get(&format!("/api/connections/{connection}/runs"))
            .await?;
        let latest = runs["items"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|run| run["kind"] == kind);
        Ok(latest
            .and_then(|run| run["id"].as_str())
            .with_context(|| format!("no {kind} run of {connection}"))?
            .to_owned())
    }

    /// Waits until a run has ended and returns it; `seen` gets every look at it.
    ///
    /// # Errors
    /// When it has not ended within the budget, or can't be read.
    pub async fn await_run(
        &self,
        connection: &str,
        run: &str,
        budget: Duration,
        mut seen: impl FnMut(&Value),
    ) -> Result<Value> {
        let deadline = Instant::now() + budget;
        loop {
            let state = self
                .get(&format!("/api/connections/{connection}/runs/{run}"))
                .await?;
            seen(&state);
            if state["status"] != "running" {
                return Ok(state);
            }
            if Instant::now() > deadline {
                bail!("run {run} has not ended after {budget:?}: {state}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
