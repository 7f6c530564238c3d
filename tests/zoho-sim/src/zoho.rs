//! The whole simulated world.

use crate::api;
use crate::dc::DataCentre;
use crate::faults::{Faults, Moment};
use crate::generate::{self, OrganisationSpec};
use crate::journal::{Journal, Notes};
use crate::oauth::{Grant, OAuth, Surroundings};
use crate::org::Organisation;
use crate::request::{Answer, Refusal, Request};
use jiff::{SignedDuration, Timestamp};
use rand::{SeedableRng, rngs::StdRng};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

/// The simulated Zoho: its data centres, registered applications, organisations, and the record of what it served.
#[derive(Debug)]
pub struct Zoho {
    /// Consent, codes and tokens.
    pub oauth: OAuth,
    /// Failures on order.
    pub faults: Faults,
    /// The record of served requests.
    pub journal: Journal,
    /// Answer calls at a wrong data centre with `INVALID_HOST` instead of `INVALID_TOKEN`.
    pub name_wrong_host: bool,
    /// How far the server's clock runs ahead of the real one. The model itself has no clock.
    pub clock_offset: SignedDuration,
    pub(crate) organisations: BTreeMap<u64, Organisation>,
    base_url: String,
    random: StdRng,
    created: u64,
}

/// A request that has its answer but still holds its place among the concurrent calls.
#[derive(Debug)]
#[must_use = "the place is held until it is given back with `Zoho::finish`"]
pub struct Started {
    /// The answer.
    pub answer: Answer,
    /// How long to hold it back.
    pub delay: Duration,
    place: Option<Place>,
}

#[derive(Debug)]
struct Place {
    organisation: u64,
    client: String,
    heavy: bool,
}

impl Zoho {
    /// A world without applications and organisations. The base URL stands before the data centre in every URL it gives out.
    pub fn new(seed: u64, base_url: &str) -> Self {
        Self {
            oauth: OAuth::new(StdRng::seed_from_u64(seed ^ 0x0a07)),
            faults: Faults::default(),
            journal: Journal::default(),
            name_wrong_host: false,
            clock_offset: SignedDuration::ZERO,
            organisations: BTreeMap::new(),
            base_url: base_url.trim_end_matches('/').to_owned(),
            random: StdRng::seed_from_u64(seed),
            created: 0,
        }
    }

    /// What stands before the data centre in every URL.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Changes what stands before the data centre, once the port is known.
    pub fn set_base_url(&mut self, base_url: &str) {
        self.base_url = base_url.trim_end_matches('/').to_owned();
    }

    /// Adds a generated organisation and gives its id.
    pub fn add_organisation(&mut self, spec: &OrganisationSpec, now: Timestamp) -> u64 {
        self.created += 1;
        let organisation = generate::organisation(self.created, spec, now);
        let id = organisation.id;
        self.organisations.insert(id, organisation);
        id
    }

    /// Adds an organisation made by hand.
    pub fn insert_organisation(&mut self, organisation: Organisation) -> u64 {
        self.created += 1;
        let id = organisation.id;
        self.organisations.insert(id, organisation);
        id
    }

    /// All organisations.
    pub fn organisations(&self) -> impl Iterator<Item = &Organisation> {
        self.organisations.values()
    }

    /// One organisation.
    pub fn organisation(&self, id: u64) -> Option<&Organisation> {
        self.organisations.get(&id)
    }

    /// One organisation, to change its settings.
    pub fn organisation_mut(&mut self, id: u64) -> Option<&mut Organisation> {
        self.organisations.get_mut(&id)
    }

    /// Answers a request that takes no time.
    pub fn answer(&mut self, dc: &str, request: &Request, now: Timestamp) -> Answer {
        let started = self.start(dc, request, now);
        let answer = started.answer.clone();
        self.finish(started);
        answer
    }

    /// Answers a request and keeps its place among the concurrent calls until [`Zoho::finish`].
    pub fn start(&mut self, dc: &str, request: &Request, now: Timestamp) -> Started {
        let mut notes = Notes::default();
        let mut place = None;
        let dc = dc.parse::<DataCentre>().ok();
        let answer = match dc {
            None => Refusal::invalid_url().answer(),
            Some(dc) if request.path.starts_with("/oauth/") => self.accounts(dc, request, now),
            Some(dc) if request.path.starts_with("/crm/") => self
                .crm(dc, request, now, &mut notes, &mut place)
                .unwrap_or_else(|refusal| refusal.answer()),
            Some(_) => Refusal::invalid_url().answer(),
        };
        // Zoho Accounts refuses with 200 and an error.
        let is_oauth = request.path.starts_with("/oauth/");
        if (answer.status >= 400 || is_oauth) && notes.code.is_none() {
            let said = if is_oauth { "error" } else { "code" };
            notes.code = answer
                .value()
                .get(said)
                .and_then(|code| code.as_str())
                .map(str::to_owned);
        }
        if let Some(place) = &mut place {
            place.heavy = notes.heavy;
        }
        self.journal.note(now, dc, request, answer.status, notes);
        Started {
            answer: answer.dated(now),
            delay: Duration::from_millis(self.faults.delay_ms),
            place,
        }
    }

    /// Gives back the place of a request.
    pub fn finish(&mut self, started: Started) {
        if let Some(place) = started.place
            && let Some(organisation) = self.organisations.get_mut(&place.organisation)
        {
            organisation.meter.leave(&place.client, place.heavy);
        }
    }

    fn accounts(&mut self, dc: DataCentre, request: &Request, now: Timestamp) -> Answer {
        let fault = self.faults.strike(&request.method, &request.path, None);
        if let Some(fault) = fault
            .as_ref()
            .filter(|fault| fault.moment == Moment::Before)
        {
            return struck(fault);
        }
        let around = Surroundings {
            dc,
            base_url: &self.base_url,
            organisations: &self.organisations,
            now,
        };
        let answer = self.oauth.answer(request, &around);
        fault.as_ref().map_or(answer, struck)
    }

    fn crm(
        &mut self,
        dc: DataCentre,
        request: &Request,
        now: Timestamp,
        notes: &mut Notes,
        place: &mut Option<Place>,
    ) -> Result<Answer, Refusal> {
        let grant = self.grant(dc, request, now)?;
        let id = grant.organisation;
        let organisation = self
            .organisations
            .get_mut(&id)
            .ok_or_else(Refusal::invalid_token)?;
        notes.organisation = Some(id);
        notes.user = Some(grant.user);
        notes.client = Some(grant.client.clone());
        let limit = organisation
            .concurrency_limit
            .unwrap_or_else(|| organisation.edition.concurrency());
        organisation.meter.enter(&grant.client, limit)?;
        *place = Some(Place {
            organisation: id,
            client: grant.client.clone(),
            heavy: false,
        });
        if let Some(refusal) = self.faults.refuse(id, now) {
            return Err(refusal);
        }
        let fault = self.faults.strike(&request.method, &request.path, Some(id));
        if let Some(fault) = fault
            .as_ref()
            .filter(|fault| fault.moment == Moment::Before)
        {
            return Ok(struck(fault));
        }
        let mut answer = api::answer(organisation, &grant, request, now, &mut self.random, notes)
            .unwrap_or_else(|refusal| refusal.answer());
        let limit = api::credit_limit(organisation);
        let used = organisation.meter.used(now);
        if used * 2 >= limit {
            answer.headers.push((
                "X-API-CREDITS-REMAINING".to_owned(),
                limit.saturating_sub(used).to_string(),
            ));
        }
        Ok(fault.as_ref().map_or(answer, struck))
    }

    fn grant(
        &mut self,
        dc: DataCentre,
        request: &Request,
        now: Timestamp,
    ) -> Result<Grant, Refusal> {
        let token = request
            .header_value("Authorization")
            .and_then(|value| value.strip_prefix("Zoho-oauthtoken "))
            .ok_or_else(|| Refusal::new(401, "AUTHENTICATION_FAILURE", "Authentication failed"))?;
        let grant = self
            .oauth
            .grant(token.trim(), now)
            .ok_or_else(Refusal::invalid_token)?;
        if grant.dc != dc {
            return Err(if self.name_wrong_host {
                Refusal::new(
                    400,
                    "INVALID_HOST",
                    "the host is not the one of the organisation's data centre",
                )
                .details(json!({ "expected_host": format!("{}/{}", self.base_url, grant.dc) }))
            } else {
                Refusal::invalid_token()
            });
        }
        Ok(grant.clone())
    }
}

fn struck(fault: &crate::faults::Fault) -> Answer {
    if fault.status == 0 {
        Answer::lost()
    } else {
        fault.refusal().answer()
    }
}
