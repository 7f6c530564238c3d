//! The pages in a real browser: the whole way through Zoho's consent page and back, without an error in the console and without a request to
//! anybody else.
//!
//! Needs Chromium and its driver. Where they are missing nothing is checked, except for where `CI` is `true`: there it fails.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod chromium;

use std::future::IntoFuture as _;
use std::net::Ipv4Addr;
use std::sync::Arc;

use tandem::adapter::zoho::ZohoCrm;
use tandem::connection::{Connection, Status};
use tandem::data_centre::Directory;
use tandem::identifier::ConnectionId;
use tandem::port::Connections as _;
use tandem::settings::Settings;
use tandem_memory::World;
use tokio::net::TcpListener;
use zoho_sim::{OrganisationSpec, Server, Zoho, oauth};

use crate::chromium::Chromium;

/// The pages at an address of their own, and a Zoho that asks.
struct House {
    address: String,
    zoho: Server,
    world: World,
}

impl House {
    async fn build(address: String) -> Self {
        let mut zoho = Zoho::new(1, "");
        zoho.oauth.register(oauth::Client {
            id: "client-eu".to_owned(),
            name: "Tandem".to_owned(),
            secret: Some("client-secret-eu".to_owned()),
            redirect_uris: vec![format!("{address}/oauth/callback")],
            ..oauth::Client::default()
        });
        let zoho = Server::start(zoho, 0).await.unwrap();
        let spec = OrganisationSpec {
            dc: "eu".to_owned(),
            unique_external_id: true,
            ..OrganisationSpec::small(3)
        };
        let now = zoho.now();
        zoho.zoho().add_organisation(&spec, now);
        let directory = Directory::parse(zoho.base_url()).unwrap();
        let crm = Arc::new(ZohoCrm::new(directory.clone()).unwrap());
        let world = World::new(1, now, directory, crm);
        let connection = Connection::new(acme(), "Acme".into(), now);
        world.store.save_connection(connection).await.unwrap();
        let settings = Settings {
            account_external_id: "External_ID".parse().unwrap(),
            ..Settings::default()
        };
        let acme = acme();
        let saved = world.store.save_settings(&acme, 0, &settings, now);
        saved.await.unwrap();
        Self {
            address,
            zoho,
            world,
        }
    }

    async fn status(&self) -> Status {
        let stored = self.world.store.connection(&acme()).await.unwrap();
        stored.unwrap().status
    }

    /// Presses "Connect Zoho", and a button of Zoho's consent page.
    async fn decides(&self, chromium: &Chromium, decision: &str) {
        let link = format!("{}/connect/acme?dc=eu", self.address);
        chromium.opens(&link).await;
        let button = format!("button[value={decision}]");
        chromium.find(&button).await.click().await;
    }
}

fn acme() -> ConnectionId {
    "acme".parse().unwrap()
}

#[tokio::test]
async fn a_customer_connects_and_another_says_no() {
    let Some(chromium) = Chromium::start().await else {
        return;
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let house = House::build(address).await;
    let app = oauth_callback::app(oauth_callback::Deps {
        ports: house.world.ports(),
        public_url: house.address.clone(),
    });
    let serving = axum::serve(listener, app).into_future();
    tokio::select! {
        ended = serving => panic!("the pages are served no more: {ended:?}"),
        () = tell(&chromium, &house) => {}
    }
    chromium.quit().await;
}

async fn tell(chromium: &Chromium, house: &House) {
    let link = format!("{}/connect/acme", house.address);
    chromium.opens(&link).await;
    chromium.says(&["Connect Zoho", "Europe"]).await;
    chromium.picture("choice").await;

    house.decides(chromium, "deny").await;
    let denied = ["Access was not granted", "What to do", "Begin again"];
    chromium.says(&denied).await;
    chromium.picture("denied").await;
    assert_eq!(house.status().await, Status::New);

    chromium.find("a.button").await.click().await;
    chromium.says(&["Connect Zoho"]).await;
    house.decides(chromium, "accept").await;
    let connected = "Northwind Instruments is connected to Acme.";
    chromium.says(&[connected]).await;
    chromium.picture("connected").await;
    assert_eq!(house.status().await, Status::Paused);

    // The address of the last page is spent.
    chromium.reloads().await;
    chromium.says(&["used already"]).await;
    chromium.picture("used").await;

    let zoho = house.zoho.base_url();
    chromium.assert_kept_to(&house.address, zoho).await;
}
