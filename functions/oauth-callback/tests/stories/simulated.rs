//! The whole way against the Zoho simulator over HTTP, with the real adapter: the scopes asked for are what its endpoints want.

use std::sync::Arc;

use tandem::adapter::zoho::ZohoCrm;
use tandem::connection::{Connection, Status};
use tandem::credit::Spender;
use tandem::data_centre::Directory;
use tandem::disposition::Disposition;
use tandem::flow::{Session, preflight};
use tandem::identifier::ConnectionId;
use tandem::object::Object;
use tandem::port::{Connections as _, Ports};
use tandem::select::Count;
use tandem::settings::Settings;
use tandem_memory::World;
use zoho_sim::{OrganisationSpec, Server, Zoho, oauth};

use crate::story::{Browser, PUBLIC_URL, Shown};

struct Simulated {
    server: Server,
    organisation: u64,
    world: World,
    http: reqwest::Client,
}

impl Simulated {
    /// A European organisation, and the connection `acme` for it.
    async fn begin() -> Self {
        let mut zoho = Zoho::new(1, "");
        zoho.oauth.settings.consent = oauth::Consent::Accept;
        zoho.oauth.register(oauth::Client {
            id: "client-eu".to_owned(),
            name: "Tandem".to_owned(),
            secret: Some("client-secret-eu".to_owned()),
            redirect_uris: vec![format!("{PUBLIC_URL}/oauth/callback")],
            ..oauth::Client::default()
        });
        let server = Server::start(zoho, 0).await.unwrap();
        let now = server.now();
        let spec = OrganisationSpec {
            dc: "eu".to_owned(),
            unique_external_id: true,
            ..OrganisationSpec::small(3)
        };
        let organisation = server.zoho().add_organisation(&spec, now);
        let directory = Directory::parse(server.base_url()).unwrap();
        let crm = Arc::new(ZohoCrm::new(directory.clone()).unwrap());
        let world = World::new(1, now, directory, crm);
        let id = acme();
        let connection = Connection::new(id.clone(), "Acme".into(), now);
        world.store.save_connection(connection).await.unwrap();
        let settings = Settings {
            account_external_id: "External_ID".parse().unwrap(),
            ..Settings::default()
        };
        let saved = world.store.save_settings(&id, 0, &settings, now);
        saved.await.unwrap();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        Self {
            server,
            organisation,
            world,
            http,
        }
    }

    /// There and back, as a browser goes.
    async fn connects(&self) -> Shown {
        let app = oauth_callback::app(oauth_callback::Deps {
            ports: self.world.ports(),
            public_url: PUBLIC_URL.to_owned(),
        });
        let browser = Browser::of(app);
        let shown = browser.opens("/connect/acme?dc=eu").await;
        let answer = self.http.get(shown.location()).send().await.unwrap();
        let back = answer.headers()["location"].to_str().unwrap();
        let address = back.strip_prefix(PUBLIC_URL).unwrap();
        browser.opens(address).await
    }

    async fn connection(&self) -> Connection {
        let stored = self.world.store.connection(&acme()).await.unwrap();
        stored.unwrap()
    }
}

fn acme() -> ConnectionId {
    "acme".parse().unwrap()
}

#[tokio::test]
async fn an_organisation_is_connected_and_looked_at() {
    let simulated = Simulated::begin().await;
    let shown = simulated.connects().await;
    shown.says(200, "Northwind Instruments is connected to Acme.");
    shown.says(200, "24 accounts");
    let connection = simulated.connection().await;
    assert_eq!(connection.status, Status::Paused);
    let preflight = preflight::run(&simulated.world.ports(), &connection).await;
    let preflight = preflight.unwrap();
    assert!(!preflight.has_problems(), "{preflight:?}");
    assert_eq!(preflight.visible.len(), 4);
}

fn open(ports: &Ports, connection: &Connection) -> Session {
    Session::open(ports, connection, &Settings::default(), Spender::Person).unwrap()
}

#[tokio::test]
async fn what_is_granted_is_enough_for_what_is_done() {
    let simulated = Simulated::begin().await;
    simulated.connects().await;
    let ports = simulated.world.ports();
    let session = open(&ports, &simulated.connection().await);
    session.organisation().await.unwrap();
    session.users(1, None).await.unwrap();
    for object in [Object::Account, Object::Contact, Object::Deal, Object::Task] {
        session.fields(object).await.unwrap();
        session.count(Count::all(object)).await.unwrap();
    }
    for object in [Object::Account, Object::Contact, Object::Task] {
        // An empty record is refused by itself; what counts is that the call is let in.
        let records = [tandem::row::Outgoing::new()];
        session.insert(object, &records, &[]).await.unwrap();
        let id = "1".parse().unwrap();
        let records = [(id, tandem::row::Outgoing::new())];
        session.update(object, &records, &[], None).await.unwrap();
    }
}

#[tokio::test]
async fn fewer_scopes_are_refused_before_anything_is_asked() {
    let simulated = Simulated::begin().await;
    let granted = vec!["ZohoCRM.modules.accounts.READ".to_owned()];
    simulated.server.zoho().oauth.settings.granted = Some(granted);
    let shown = simulated.connects().await;
    shown.says(403, "ZohoCRM.coql.READ");
    assert_eq!(simulated.connection().await.status, Status::New);
}

#[tokio::test]
async fn a_revoked_grant_is_noticed_and_given_again() {
    let simulated = Simulated::begin().await;
    simulated.connects().await;
    let organisation = simulated.organisation;
    simulated.server.zoho().oauth.revoke_all(organisation, true);
    let ports = simulated.world.ports();
    let session = open(&ports, &simulated.connection().await);
    let error = session
        .count(Count::all(Object::Account))
        .await
        .unwrap_err();
    assert_eq!(error.disposition(), Disposition::Reconnect);
    let status = simulated.connection().await.status;
    assert_eq!(status, Status::NeedsReconnect);

    simulated.connects().await.says(200, "again");
    let session = open(&ports, &simulated.connection().await);
    session.count(Count::all(Object::Account)).await.unwrap();
}
