//! An operator at the console: sends requests, reads answers, and looks into the tables.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use console::{Deps, app};
use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use tandem::connection::Organisation;
use tandem::data_centre::{DataCentre, Directory};
use tandem::identifier::{ConnectionId, PlatformId};
use tandem::object::Object;
use tandem::port::{Connections as _, Records as _};
use tandem::record::{Parked, Record};
use tandem::secret::Secret;
use tandem_memory::World;
use tower::ServiceExt as _;

use super::zoho::EmptyZoho;

pub(crate) const NOW: &str = "2026-11-23T10:00:00Z";

/// A console with its world.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) world: World,
    pub(crate) zoho: Arc<EmptyZoho>,
    pub(crate) app: Router,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) json: Json,
}

impl Answer {
    /// The answer's JSON, which must have come with that status.
    #[track_caller]
    pub(crate) fn with(self, status: u16) -> Json {
        assert_eq!(self.status.as_u16(), status, "{}", self.json);
        self.json
    }

    /// The problem's kind, status and detail; each single mistake's path.
    #[track_caller]
    pub(crate) fn problem(self, status: u16) -> (String, Vec<String>) {
        assert_eq!(self.status.as_u16(), status, "{}", self.json);
        assert_eq!(
            self.headers[header::CONTENT_TYPE],
            "application/problem+json"
        );
        assert_eq!(self.json["status"], status);
        for name in ["type", "title", "detail"] {
            assert!(
                self.json[name]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{}",
                self.json
            );
        }
        let paths = self.json["errors"].as_array().into_iter().flatten();
        let paths = paths.map(|error| error["path"].as_str().unwrap().to_owned());
        (
            self.json["detail"].as_str().unwrap().to_owned(),
            paths.collect(),
        )
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

impl Desk {
    /// A console without connections.
    pub(crate) fn new() -> Self {
        let zoho = Arc::new(EmptyZoho::default());
        let world = World::new(7, NOW.parse().unwrap(), Directory::zoho(), zoho.clone());
        let app = app(Deps {
            ports: world.ports(),
            public_url: "https://sync.example.com".into(),
        });
        Self { world, zoho, app }
    }

    /// A console with the enabled connection `acme`.
    pub(crate) async fn with_acme() -> Self {
        let desk = Self::new();
        desk.connect("acme").await;
        desk
    }

    /// Adds an enabled connection.
    pub(crate) async fn connect(&self, id: &str) {
        let organisation = Organisation {
            id: format!("zgid-{id}"),
            name: format!("{id} inc."),
            time_zone: "Europe/Berlin".into(),
            data_centre: DataCentre::Eu,
            api_domain: Directory::zoho()
                .api_domain(DataCentre::Eu, "https://www.zohoapis.eu")
                .unwrap(),
            edition: "enterprise".into(),
            daily_credits: 10_001,
        };
        let secret = |kind: &str| Secret::new(format!("1000.{kind}-{id}"));
        self.world
            .add_enabled(
                id.parse().unwrap(),
                organisation,
                secret("refresh"),
                secret("access"),
            )
            .await
            .unwrap();
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let json = match bytes.is_empty() {
            true => Json::Null,
            false => {
                serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("no JSON: {bytes:?}"))
            }
        };
        Answer {
            status: parts.status,
            headers: parts.headers,
            json,
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Json>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, "Bearer operator")
            .header(header::CONTENT_TYPE, "application/json");
        let body = body.map_or_else(Body::empty, |json| Body::from(json.to_string()));
        self.send(request.body(body).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Json) -> Answer {
        self.call(Method::POST, path, Some(&body)).await
    }

    /// A POST without a body.
    pub(crate) async fn ask(&self, path: &str) -> Answer {
        self.call(Method::POST, path, None).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Json) -> Answer {
        self.call(Method::PATCH, path, Some(&body)).await
    }

    /// PUTs settings over a version.
    pub(crate) async fn put_settings(&self, connection: &str, over: &str, body: &Json) -> Answer {
        let request = Request::put(format!("/api/connections/{connection}/settings"))
            .header(header::AUTHORIZATION, "Bearer operator")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::IF_MATCH, over);
        self.send(request.body(Body::from(body.to_string())).unwrap())
            .await
    }

    /// Every item of a listing, read two at a time.
    pub(crate) async fn all(&self, path: &str) -> Vec<Json> {
        let mut items = Vec::new();
        let sign = if path.contains('?') { '&' } else { '?' };
        let mut page = self.get(&format!("{path}{sign}limit=2")).await.with(200);
        loop {
            items.extend(page["items"].as_array().unwrap().clone());
            let Some(next) = page["next"].as_str() else {
                return items;
            };
            page = self
                .get(&format!("{path}{sign}limit=2&cursor={next}"))
                .await
                .with(200);
        }
    }

    /// Stores a record as it comes out of `edit`.
    pub(crate) async fn record(
        &self,
        connection: &str,
        object: Object,
        id: &str,
        edit: impl FnOnce(&mut Record),
    ) -> Record {
        let mut record = Record::new(
            connection.parse().unwrap(),
            object,
            id.parse().unwrap(),
            self.world.now(),
        );
        edit(&mut record);
        self.world.store.save_record(record).await.unwrap()
    }

    /// The stored record.
    pub(crate) async fn stored(&self, connection: &str, object: Object, id: &str) -> Record {
        let connection: ConnectionId = connection.parse().unwrap();
        let id: PlatformId = id.parse().unwrap();
        let found = self
            .world
            .store
            .records(&connection, object, &[id])
            .await
            .unwrap();
        found.into_iter().next().unwrap()
    }

    /// Allows editing an account's `tier`, which Zoho has as well.
    pub(crate) async fn map_tier(&self, connection: &str) {
        let settings = json!({"objects": {"account": {
            "custom_fields": {"tier": "choice"},
            "mappings": [{"zoho": "Tier", "platform": "tier", "editable": true}],
        }}});
        self.put_settings(connection, "\"0\"", &settings)
            .await
            .with(200);
    }

    pub(crate) fn tick(&self, seconds: i64) {
        self.world.clock.advance(SignedDuration::from_secs(seconds));
    }

    /// Forgets the connection's organisation, as if nobody had granted access.
    pub(crate) async fn edit_connection(
        &self,
        id: &str,
        edit: impl FnOnce(&mut tandem::connection::Connection),
    ) {
        let id = id.parse().unwrap();
        let mut connection = self.world.store.connection(&id).await.unwrap().unwrap();
        edit(&mut connection);
        self.world.store.save_connection(connection).await.unwrap();
    }
}

/// Why a record's edits wait.
pub(crate) fn parked(at: &str) -> Parked {
    Parked {
        code: "INVALID_DATA".into(),
        field: Some("Tier".into()),
        remedy: "choose one of Zoho's values".into(),
        at: at.parse().unwrap(),
        attempt: tandem::identifier::Digest::of(b"x"),
    }
}
