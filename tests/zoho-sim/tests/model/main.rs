//! The model through its one door: a request, the time, an answer.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, where a failure is a failure"
)]

mod anything;
mod bulk;
mod control;
mod coql;
mod identity;
mod limits;
mod oauth;
mod reading;
mod settings;
mod writing;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use zoho_sim::oauth::{Client, Grant};
use zoho_sim::{Answer, DataCentre, OrganisationSpec, Request, Zoho};

pub(crate) const BASE: &str = "http://sim.test";
pub(crate) const REDIRECT: &str = "https://app.test/callback";

pub(crate) const SCOPES: [&str; 8] = [
    "ZohoCRM.modules.ALL",
    "ZohoCRM.coql.READ",
    "ZohoCRM.users.READ",
    "ZohoCRM.org.READ",
    "ZohoCRM.settings.ALL",
    "ZohoCRM.bulk.READ",
    "ZohoSearch.securesearch.READ",
    "ZohoCRM.notifications.ALL",
];

pub(crate) fn start() -> Timestamp {
    "2026-03-10T12:00:00.5Z".parse().unwrap()
}

/// A world with one organisation, a token and a clock that is moved by hand.
pub(crate) struct World {
    pub(crate) zoho: Zoho,
    pub(crate) org: u64,
    pub(crate) token: String,
    pub(crate) now: Timestamp,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::of(OrganisationSpec {
            workflows: false,
            ..OrganisationSpec::small(7)
        })
    }

    pub(crate) fn of(spec: OrganisationSpec) -> Self {
        let mut zoho = Zoho::new(1, BASE);
        zoho.oauth.register(Client {
            id: "client".to_owned(),
            name: "Client".to_owned(),
            secret: Some("secret".to_owned()),
            redirect_uris: vec![REDIRECT.to_owned()],
            ..Client::default()
        });
        let org = zoho.add_organisation(&spec, start());
        let mut world = Self {
            zoho,
            org,
            token: String::new(),
            now: start(),
        };
        world.token = world.token_with(&SCOPES);
        world
    }

    pub(crate) fn token_with(&mut self, scopes: &[&str]) -> String {
        let organisation = self.zoho.organisation(self.org).unwrap();
        let grant = Grant {
            client: "client".to_owned(),
            organisation: self.org,
            user: organisation.administrator(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            dc: organisation.dc,
        };
        self.zoho.oauth.issue(grant, self.now).0
    }

    pub(crate) fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    pub(crate) fn send(&mut self, request: Request) -> Answer {
        let token = self.token.clone();
        self.zoho.answer("us", &request.token(&token), self.now)
    }

    pub(crate) fn get(&mut self, target: &str) -> Answer {
        self.send(Request::get(&format!("/crm/v8/{target}")))
    }

    pub(crate) fn since(&mut self, target: &str, since: &str) -> Answer {
        self.send(Request::get(&format!("/crm/v8/{target}")).header("If-Modified-Since", since))
    }

    pub(crate) fn write(&mut self, method: http::Method, target: &str, body: Value) -> Answer {
        self.send(Request::with_target(method, &format!("/crm/v8/{target}")).json(&body))
    }

    pub(crate) fn post(&mut self, target: &str, body: Value) -> Answer {
        self.write(http::Method::POST, target, body)
    }

    pub(crate) fn put(&mut self, target: &str, body: Value) -> Answer {
        self.write(http::Method::PUT, target, body)
    }

    pub(crate) fn coql(&mut self, query: &str) -> Answer {
        self.post("coql", json!({ "select_query": query }))
    }

    /// The ids of the records of a module, ascending, straight from the store.
    pub(crate) fn ids(&self, module: &str) -> Vec<u64> {
        self.zoho
            .organisation(self.org)
            .unwrap()
            .table(module)
            .unwrap()
            .records()
            .keys()
            .copied()
            .collect()
    }

    pub(crate) fn raw(&self, module: &str, id: u64) -> Value {
        self.zoho.record(self.org, module, id, self.now).unwrap()
    }

    pub(crate) fn add(&mut self, module: &str, values: Value) -> u64 {
        let answer = self.post(module, json!({ "data": [values], "trigger": [] }));
        assert_eq!(answer.status, 201, "{}", answer.value());
        answer.value()["data"][0]["details"]["id"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap()
    }

    pub(crate) fn edit(&mut self, module: &str, id: u64, values: Value) {
        self.zoho
            .edit(
                self.org,
                module,
                id,
                values.as_object().unwrap(),
                None,
                self.now,
            )
            .unwrap();
    }
}

pub(crate) fn dc(name: &str) -> DataCentre {
    name.parse().unwrap()
}

/// Asserts a flat refusal.
pub(crate) fn refused(answer: &Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.status, status, "{}", answer.value());
    let body = answer.value();
    assert_eq!(body["code"], code, "{body}");
    assert_eq!(body["status"], "error");
    assert!(body["details"].is_object() && body["message"].is_string());
    body["details"].clone()
}

pub(crate) fn ids_of(answer: &Answer) -> Vec<u64> {
    answer.value()["data"]
        .as_array()
        .map(|rows| {
            rows.iter()
                .map(|row| row["id"].as_str().unwrap().parse().unwrap())
                .collect()
        })
        .unwrap_or_default()
}
