//! What the stories share: a world with the connection `acme`, a Zoho that grants, and browsers that connect.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use tandem::connection::{Connection, Status};
use tandem::data_centre::{DataCentre, Directory};
use tandem::identifier::ConnectionId;
use tandem::journal::{Entry, Outcome};
use tandem::port::Connections as _;
use tandem::secret::Tokens;
use tandem_memory::{Granting, MemoryVault, ScriptedZoho, World};
use tower::ServiceExt as _;
use url::form_urlencoded;

pub(crate) const PUBLIC_URL: &str = "https://sync.example";

/// The outside world of a story.
pub(crate) struct Story {
    pub(crate) world: World,
    pub(crate) zoho: Arc<ScriptedZoho>,
    pub(crate) app: Router,
}

impl Story {
    /// A world where the operator made the connection `acme`.
    pub(crate) async fn begin() -> Self {
        Self::at(PUBLIC_URL).await
    }

    pub(crate) async fn at(public_url: &str) -> Self {
        let zoho = Arc::new(ScriptedZoho::default());
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let world = World::new(1, now, Directory::zoho(), zoho.clone());
        let app = oauth_callback::app(oauth_callback::Deps {
            ports: world.ports(),
            public_url: public_url.to_owned(),
        });
        let story = Self { world, zoho, app };
        story.operator_adds("acme", "Acme").await;
        story
    }

    /// A world where `acme` is connected to the organisation 100, "Acme GmbH" in Europe.
    pub(crate) async fn connected() -> Self {
        let story = Self::begin().await;
        let page = story.connects("acme", story.acme_grants()).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        story
    }

    pub(crate) async fn operator_adds(&self, id: &str, name: &str) {
        let connection = Connection::new(id.parse().unwrap(), name.into(), self.world.now());
        self.world.store.save_connection(connection).await.unwrap();
    }

    /// What Acme's administrator grants.
    pub(crate) fn acme_grants(&self) -> Granting {
        self.organisation("100", "Acme GmbH")
    }

    pub(crate) fn organisation(&self, id: &str, name: &str) -> Granting {
        Granting::all(&self.world.directory, DataCentre::Eu, id, name)
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::of(self.app.clone())
    }

    /// The whole way, in a browser of its own: to Zoho, grants, and back.
    pub(crate) async fn connects(&self, connection: &str, granting: Granting) -> Shown {
        self.connects_in(&self.browser(), connection, granting)
            .await
    }

    /// The whole way in that browser.
    pub(crate) async fn connects_in(
        &self,
        browser: &Browser,
        connection: &str,
        granting: Granting,
    ) -> Shown {
        let state = browser.begins(connection).await;
        self.zoho.grant("1000.code", granting);
        let back = Return::granted(&state, "1000.code");
        browser.comes_back(&back).await
    }

    pub(crate) async fn connection(&self, id: &str) -> Connection {
        let id = id.parse().unwrap();
        self.world.store.connection(&id).await.unwrap().unwrap()
    }

    /// Changes the connection `acme` as another function would.
    pub(crate) async fn change(&self, change: impl FnOnce(&mut Connection)) {
        let mut connection = self.connection("acme").await;
        change(&mut connection);
        self.world.store.save_connection(connection).await.unwrap();
    }

    pub(crate) async fn status(&self) -> Status {
        self.connection("acme").await.status
    }

    pub(crate) fn tokens(&self, id: &str) -> Option<Tokens> {
        self.world.vault.tokens_of(&id.parse().unwrap())
    }

    pub(crate) fn minutes_pass(&self, minutes: i64) {
        self.world.clock.advance(SignedDuration::from_mins(minutes));
    }

    /// A world where only these data centres have an OAuth client.
    pub(crate) fn only_clients(&mut self, centres: &[DataCentre]) {
        let vault = MemoryVault::default();
        for centre in centres {
            let client = tandem::secret::OAuthClient {
                id: format!("client-{centre}"),
                secret: tandem::secret::Secret::new("client-secret"),
            };
            vault.set_oauth_client(*centre, client);
        }
        self.world.vault = Arc::new(vault);
        self.app = oauth_callback::app(oauth_callback::Deps {
            ports: self.world.ports(),
            public_url: PUBLIC_URL.to_owned(),
        });
    }

    pub(crate) fn log(&self) -> Vec<Entry> {
        let acme: ConnectionId = "acme".parse().unwrap();
        self.world.store.all_entries(&acme)
    }

    /// The last line about connecting.
    pub(crate) fn last_line(&self) -> (Outcome, String) {
        let mut lines = self.log();
        lines.retain(|entry| entry.action == "connect");
        let last = lines.pop().unwrap();
        (last.outcome, last.reason.unwrap())
    }

    /// That nothing was asked of Zoho, and nothing is stored.
    pub(crate) fn assert_untouched(&self) {
        assert_eq!(self.zoho.calls(), [""; 0]);
        assert_eq!(self.world.vault.writes(), 0);
    }
}

/// A browser with its own cookie.
pub(crate) struct Browser {
    app: Router,
    cookie: Mutex<Option<String>>,
}

/// What a browser shows.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Shown {
    /// Where the browser is sent.
    pub(crate) fn location(&self) -> &str {
        self.headers[header::LOCATION].to_str().unwrap()
    }

    /// A parameter of the address that the browser is sent to.
    pub(crate) fn parameter(&self, name: &str) -> String {
        let url = url::Url::parse(self.location()).unwrap();
        let found = url.query_pairs().find(|(key, _)| key == name);
        found.unwrap().1.into_owned()
    }

    /// That the page says so, with that status.
    pub(crate) fn says(&self, status: u16, words: &str) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert!(self.text.contains(words), "{words:?} in {}", self.text);
        self
    }
}

/// What Zoho sends the browser back with.
#[derive(Debug, Clone)]
pub(crate) struct Return {
    pub(crate) pairs: Vec<(&'static str, String)>,
}

impl Return {
    /// What a European user who said yes comes back with.
    pub(crate) fn granted(state: &str, code: &str) -> Self {
        Self {
            pairs: vec![
                ("state", state.to_owned()),
                ("location", "eu".to_owned()),
                ("code", code.to_owned()),
                ("accounts-server", "https://accounts.zoho.eu".to_owned()),
            ],
        }
    }

    #[must_use]
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.pairs.retain(|(key, _)| *key != name);
        self
    }

    #[must_use]
    pub(crate) fn with(self, name: &'static str, value: &str) -> Self {
        let mut changed = self.without(name);
        changed.pairs.push((name, value.to_owned()));
        changed
    }

    fn address(&self) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.pairs)
            .finish();
        format!("/oauth/callback?{query}")
    }
}

impl Browser {
    pub(crate) fn of(app: Router) -> Self {
        Self {
            app,
            cookie: Mutex::default(),
        }
    }

    pub(crate) fn has_cookie(&self, cookie: &str) {
        *self.cookie.lock().unwrap() = Some(cookie.to_owned());
    }

    pub(crate) async fn opens(&self, address: &str) -> Shown {
        let mut request = Request::get(address);
        if let Some(cookie) = self.cookie.lock().unwrap().as_ref() {
            request = request.header(header::COOKIE, cookie);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        if let Some(set) = parts.headers.get(header::SET_COOKIE) {
            let set = set.to_str().unwrap().to_owned();
            let pair = set.split(';').next().unwrap().to_owned();
            *self.cookie.lock().unwrap() = Some(pair);
        }
        let bytes = to_bytes(body, 1_000_000).await.unwrap();
        Shown {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// Presses "Connect Zoho" and tells the state that goes to Zoho.
    pub(crate) async fn begins(&self, connection: &str) -> String {
        let shown = self.opens(&format!("/connect/{connection}?dc=eu")).await;
        assert_eq!(shown.status, StatusCode::SEE_OTHER, "{}", shown.text);
        shown.parameter("state")
    }

    pub(crate) async fn comes_back(&self, with: &Return) -> Shown {
        self.opens(&with.address()).await
    }
}
