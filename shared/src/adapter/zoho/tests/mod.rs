//! The adapter against a scripted transport: what it sends, and what it makes of every answer.

mod any_answer;
mod grants;
mod network;
mod reads;
mod refusals;
mod writes;

use std::collections::VecDeque;
use std::error::Error as _;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use super::ZohoCrm;
use super::transport::{Error, Request, Response, Transport};
use crate::data_centre::{DataCentre, Directory};
use crate::object::Object;
use crate::port::{Caller, CrmError};
use crate::row::{JsonText, Outgoing};
use crate::secret::{OAuthClient, Secret};
use crate::select::{Select, Which};

const DATE: &str = "Mon, 23 Nov 2026 10:00:05 GMT";
/// Every secret that goes into the adapter; none of it may come out in an error or in a debug print.
const SECRETS: [&str; 4] = [
    "1000.ac0e550123456789ac0e550123456789.ac0e550123456789ac0e550123456789",
    "1000.4ef4e540123456789abcdef012345678.4ef4e540123456789abcdef012345678",
    "1000.c0de0123456789abcdef0123456789ab.c0de0123456789abcdef0123456789ab",
    "5ec4e70123456789abcdef0123456789abcdef01234",
];

fn access() -> Secret {
    Secret::new(SECRETS[0])
}

fn refresh() -> Secret {
    Secret::new(SECRETS[1])
}

fn code() -> Secret {
    Secret::new(SECRETS[2])
}

fn client() -> OAuthClient {
    OAuthClient {
        id: "1000.CLIENT".into(),
        secret: Secret::new(SECRETS[3]),
    }
}

/// Answers in the order they were written down, and remembers what it was asked.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Result<Response, Error>>>,
    sent: Mutex<Vec<Request>>,
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        self.sent.lock().unwrap().push(request);
        let answer = self.answers.lock().unwrap().pop_front();
        answer.expect("an answer in the script")
    }
}

impl Script {
    fn new(answers: impl IntoIterator<Item = Result<Response, Error>>) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.into_iter().collect()),
            sent: Mutex::default(),
        })
    }

    fn crm(self: &Arc<Self>) -> ZohoCrm {
        let transport: Arc<dyn Transport> = Arc::<Self>::clone(self);
        ZohoCrm::with_transport(Directory::zoho(), transport)
    }

    fn sent(&self) -> Vec<Request> {
        self.sent.lock().unwrap().clone()
    }

    fn only_sent(&self) -> Request {
        let [request] = <[Request; 1]>::try_from(self.sent()).expect("one request");
        request
    }
}

/// The adapter over one answer.
fn answering(response: Response) -> ZohoCrm {
    Script::new([Ok(response)]).crm()
}

fn answer(status: u16, body: impl Into<Vec<u8>>) -> Response {
    Response {
        status,
        headers: vec![("date".into(), DATE.into())],
        body: body.into(),
    }
}

fn json(status: u16, body: &Value) -> Response {
    answer(status, body.to_string())
}

fn with_header(mut response: Response, name: &str, value: &str) -> Response {
    response.headers.push((name.into(), value.into()));
    response
}

fn caller() -> Caller {
    let directory = Directory::zoho();
    Caller {
        api: directory
            .api_domain(DataCentre::Eu, "https://www.zohoapis.eu")
            .unwrap(),
        token: access(),
    }
}

fn contacts() -> Select {
    Select {
        object: Object::Contact,
        columns: vec!["Modified_Time".into(), "Email".into()],
        which: Which::Changed {
            since: time("2026-11-23T10:00:00Z"),
            after: None,
        },
        limit: 2_000,
    }
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn record(pairs: &[(&str, Value)]) -> Outgoing {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), JsonText::of(value)))
        .collect()
}

fn header<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let mut headers = request.headers.iter();
    headers
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.as_str())
}

/// An error with its whole chain, as a log would show it, and its debug form.
fn shown(error: &CrmError) -> String {
    let mut shown = format!("{error} | {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        shown.push_str(&format!(" | {error} | {error:?}"));
        cause = error.source();
    }
    shown
}

fn tells_nothing(error: &CrmError) {
    let shown = shown(error);
    for secret in SECRETS {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(!shown.contains("ada@example.com"), "{shown}");
}
