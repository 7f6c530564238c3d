//! What the stories share: a world with the connection `acme`, and a Zoho that knows who may call.

use std::pin::Pin;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tandem::connection::{Connection, Organisation, Status};
use tandem::credit::Spender;
use tandem::data_centre::{DataCentre, Directory};
use tandem::disposition::Disposition;
use tandem::flow::{Error, Session};
use tandem::identifier::ConnectionId;
use tandem::object::Object;
use tandem::port::{Connections as _, Coordination as _};
use tandem::secret::{Secret, Tokens};
use tandem::select::Count;
use tandem_memory::{Granting, ScriptedZoho, World};

/// A world with the connection `acme`, enabled, its token good for an hour.
pub(crate) struct Story {
    pub(crate) world: World,
    pub(crate) zoho: Arc<ScriptedZoho>,
}

pub(crate) type Step<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

impl Story {
    pub(crate) async fn begin() -> Self {
        Self::of_seed(1).await
    }

    pub(crate) async fn of_seed(seed: u64) -> Self {
        let zoho = Arc::new(ScriptedZoho::default());
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let world = World::new(seed, now, Directory::zoho(), zoho.clone());
        let story = Self { world, zoho };
        story.connect("acme", "100").await;
        story
    }

    pub(crate) async fn connect(&self, id: &str, organisation: &str) {
        let (refresh, access) = (format!("refresh-{id}"), format!("access-{id}"));
        let directory = &self.world.directory;
        let granting = Granting::all(directory, DataCentre::Eu, organisation, id);
        let api_domain = directory.api_domain(DataCentre::Eu, &granting.api_domain);
        let stored = Organisation {
            id: organisation.into(),
            name: id.into(),
            time_zone: "Europe/Berlin".into(),
            data_centre: DataCentre::Eu,
            api_domain: api_domain.unwrap(),
            edition: "enterprise".into(),
            daily_credits: 60_000,
        };
        self.zoho.granted(&refresh, &access, granting);
        let (refresh, access) = (Secret::new(refresh), Secret::new(access));
        let id = id.parse().unwrap();
        let added = self.world.add_enabled(id, stored, refresh, access).await;
        added.unwrap();
    }

    pub(crate) async fn connection(&self, id: &str) -> Connection {
        let id = id.parse().unwrap();
        self.world.store.connection(&id).await.unwrap().unwrap()
    }

    pub(crate) async fn set_status(&self, status: Status) {
        let connection = self.connection("acme").await;
        let changed = Connection {
            status,
            ..connection
        };
        self.world.store.save_connection(changed).await.unwrap();
    }

    pub(crate) async fn open(&self) -> Result<Session, Error> {
        self.open_as(Spender::RoutineSync).await
    }

    pub(crate) async fn open_as(&self, spender: Spender) -> Result<Session, Error> {
        self.open_of(&self.connection("acme").await, spender).await
    }

    /// A session of a connection as it is given.
    pub(crate) async fn open_for(&self, connection: &Connection) -> Result<Session, Error> {
        self.open_of(connection, Spender::RoutineSync).await
    }

    async fn open_of(&self, connection: &Connection, spender: Spender) -> Result<Session, Error> {
        let settings = self.world.store.settings(&connection.id).await.unwrap();
        Session::open(&self.world.ports(), connection, &settings.settings, spender)
    }

    pub(crate) async fn session(&self) -> Session {
        self.open().await.unwrap()
    }

    /// A whole piece of work: a session of its own, one call.
    pub(crate) async fn work(&self) -> Result<(), Error> {
        let session = self.open().await?;
        let called = session.count(Count::all(Object::Account)).await;
        session.finish().await?;
        called.map(|_| ())
    }

    /// Work that is delivered again until it is done, as a queue does.
    pub(crate) async fn work_until_done(&self) {
        while let Err(error) = self.work().await {
            let waits = matches!(error.disposition(), Disposition::RetryAfter(_));
            assert!(waits, "{error}");
        }
    }

    pub(crate) fn tokens(&self) -> Tokens {
        self.world.vault.tokens_of(&acme()).unwrap()
    }

    pub(crate) fn minutes_pass(&self, minutes: i64) {
        self.world.clock.advance(SignedDuration::from_mins(minutes));
    }

    /// Somebody else has the lease on the tokens.
    pub(crate) async fn somebody_renews(&self) {
        let now = self.world.now();
        let until = now + SignedDuration::from_secs(60);
        let store = &self.world.store;
        let taken = store.lease(&acme(), "token", "somebody", now, until).await;
        assert!(taken.unwrap());
    }

    /// What the log says was done.
    pub(crate) fn log(&self) -> Vec<String> {
        let entries = self.world.store.all_entries(&acme());
        entries.into_iter().map(|entry| entry.action).collect()
    }
}

pub(crate) fn acme() -> ConnectionId {
    "acme".parse().unwrap()
}
