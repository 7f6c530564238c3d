//! The simulator's model of Zoho, called in this process: the real adapter above, no socket below.

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use jiff::Timestamp;
use tandem::adapter::zoho::transport::{Error, Method, Request, Response, Transport};
use tandem::data_centre::Directory;
use tandem::port::Clock as _;
use zoho_sim::{Answer, OrganisationSpec, Started, Zoho};

use crate::ManualClock;
use crate::fault::give_way;
use crate::lock::locked;

/// Where the simulated Zoho says it is.
const BASE_URL: &str = "http://zoho.test";

/// A simulated Zoho and the clock that it goes by.
#[derive(Debug)]
pub struct SimulatedZoho {
    zoho: Mutex<Zoho>,
    clock: Arc<ManualClock>,
}

impl SimulatedZoho {
    /// A Zoho without organisations.
    #[must_use]
    pub fn new(seed: u64, clock: Arc<ManualClock>) -> Self {
        Self {
            zoho: Mutex::new(Zoho::new(seed, BASE_URL)),
            clock,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn directory() -> Directory {
        Directory::parse(BASE_URL).unwrap_or(Directory::zoho())
    }

    /// Adds an organisation and returns its id.
    pub fn add_organisation(&self, spec: &OrganisationSpec) -> u64 {
        let now = self.now();
        self.model().add_organisation(spec, now)
    }

    /// The model. No call is served while the guard is held.
    pub fn model(&self) -> MutexGuard<'_, Zoho> {
        locked(&self.zoho)
    }

    /// Zoho's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now() + self.model().clock_offset
    }
}

#[async_trait]
impl Transport for SimulatedZoho {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let target = request
            .url
            .strip_prefix(BASE_URL)
            .and_then(|path| path.strip_prefix('/'))
            .ok_or(Error::Unsendable)?;
        let (centre, path) = target.split_once('/').ok_or(Error::Unsendable)?;
        let method = match request.method {
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
            Method::Put => http::Method::PUT,
        };
        let mut asked = zoho_sim::Request::with_target(method, &format!("/{path}"));
        asked.headers = request
            .headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        asked.body = request.body;
        let call = UnderWay::begin(self, centre, &asked);
        give_way().await;
        let answer = call.answer();
        if answer.is_lost() {
            return Err(Error::Broken("the connection was dropped".into()));
        }
        Ok(Response {
            status: answer.status,
            headers: answer.headers,
            body: answer.body,
        })
    }
}

/// A call that has had its effect and whose answer is on its way. It keeps its place among the concurrent calls until the answer is here, or
/// until whoever waits for it is no more.
struct UnderWay<'a> {
    zoho: &'a SimulatedZoho,
    started: Option<Started>,
}

impl<'a> UnderWay<'a> {
    fn begin(zoho: &'a SimulatedZoho, centre: &str, request: &zoho_sim::Request) -> Self {
        let now = zoho.now();
        let started = zoho.model().start(centre, request, now);
        Self {
            zoho,
            started: Some(started),
        }
    }

    fn answer(&self) -> Answer {
        let answer = self.started.as_ref().map(|started| started.answer.clone());
        answer.unwrap_or_else(Answer::lost)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(started) = self.started.take() {
            self.zoho.model().finish(started);
        }
    }
}
