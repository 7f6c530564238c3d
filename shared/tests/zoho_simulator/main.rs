//! The Zoho adapter against the simulator, over HTTP: the same sockets, JSON and headers as in production.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

mod failures;
mod fields;
mod grants;
mod reads;
mod writes;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tandem::adapter::zoho::ZohoCrm;
use tandem::data_centre::{DataCentre, Directory};
use tandem::identifier::ZohoId;
use tandem::lack::MODIFIED_TIME;
use tandem::object::Object;
use tandem::port::{Caller, Crm, CrmError, Grant, Rows};
use tandem::row::{JsonText, Outgoing, Row};
use tandem::secret::{OAuthClient, Secret};
use tandem::select::{Count, Select, Which};
use zoho_sim::oauth::{self, Consent};
use zoho_sim::{OrganisationSpec, Server, Zoho};

const CALLBACK: &str = "https://tandem.example/oauth/callback";
const SCOPES: &str = "ZohoCRM.modules.accounts.ALL,ZohoCRM.modules.contacts.ALL,ZohoCRM.modules.deals.READ,\
    ZohoCRM.modules.tasks.ALL,ZohoCRM.coql.READ,ZohoCRM.users.READ,ZohoCRM.settings.fields.READ,ZohoCRM.org.READ";

struct World {
    server: Server,
    crm: ZohoCrm,
    organisation: u64,
    caller: Caller,
    refresh: Secret,
}

fn client(secret: &str) -> OAuthClient {
    OAuthClient {
        id: "1000.TANDEM".into(),
        secret: Secret::new(secret),
    }
}

/// A server with an organisation in the data centre `eu`, nobody connected to it.
async fn unconnected(spec: OrganisationSpec) -> (Server, ZohoCrm, Directory, u64) {
    let mut zoho = Zoho::new(7, "");
    zoho.oauth.settings.consent = Consent::Accept;
    zoho.oauth.register(oauth::Client {
        id: "1000.TANDEM".into(),
        name: "Tandem".into(),
        secret: Some("the secret".into()),
        redirect_uris: vec![CALLBACK.into()],
        ..oauth::Client::default()
    });
    let server = Server::start(zoho, 0).await.unwrap();
    let spec = OrganisationSpec {
        dc: "eu".into(),
        ..spec
    };
    let now = server.now();
    let organisation = server.zoho().add_organisation(&spec, now);
    let directory = Directory::parse(server.base_url()).unwrap();
    let crm = ZohoCrm::new(directory.clone()).unwrap();
    (server, crm, directory, organisation)
}

/// Consent in a browser that starts in the United States: the data centre and the code that come back.
async fn consent(directory: &Directory, scopes: &str) -> (DataCentre, Secret) {
    let browser = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap();
    let authorize = format!("{}/oauth/v2/auth", directory.accounts(DataCentre::Us));
    let asked = [
        ("client_id", "1000.TANDEM"),
        ("response_type", "code"),
        ("redirect_uri", CALLBACK),
        ("scope", scopes),
        ("access_type", "offline"),
        ("prompt", "consent"),
        ("state", "once"),
    ];
    let answer = browser.get(authorize).query(&asked).send().await.unwrap();
    let location = answer.headers()["location"].to_str().unwrap();
    assert!(location.starts_with(CALLBACK), "{location}");
    let pairs: BTreeMap<String, String> = url::Url::parse(location)
        .unwrap()
        .query_pairs()
        .into_owned()
        .collect();
    assert_eq!(pairs["state"], "once");
    let centre = directory.centre_of(&pairs["accounts-server"]).unwrap();
    assert_eq!(pairs["location"], centre.code());
    (centre, Secret::new(&pairs["code"]))
}

fn caller(directory: &Directory, centre: DataCentre, grant: &Grant) -> Caller {
    let domain = grant.api_domain.as_deref().unwrap();
    Caller {
        api: directory.api_domain(centre, domain).unwrap(),
        token: grant.access.clone(),
    }
}

impl World {
    async fn new(spec: OrganisationSpec) -> Self {
        Self::granting(spec, SCOPES).await
    }

    async fn granting(spec: OrganisationSpec, scopes: &str) -> Self {
        let (server, crm, directory, organisation) = unconnected(spec).await;
        let (centre, code) = consent(&directory, scopes).await;
        let grant = crm
            .exchange(centre, &client("the secret"), &code, CALLBACK)
            .await
            .unwrap();
        Self {
            caller: caller(&directory, centre, &grant),
            refresh: grant.refresh.unwrap(),
            server,
            crm,
            organisation,
        }
    }

    async fn select(&self, object: Object, which: Which, limit: usize) -> Result<Rows, CrmError> {
        let select = Select {
            object,
            columns: vec![MODIFIED_TIME.to_owned()],
            which,
            limit,
        };
        let reply = self.crm.select(&self.caller, &select).await?;
        Ok(reply.value)
    }

    async fn ids(&self, object: Object, which: Which) -> Vec<ZohoId> {
        let rows = self.select(object, which, 2_000).await.unwrap();
        assert!(!rows.more);
        ids(&rows.rows)
    }

    /// The records of a module as they are, read past the API.
    fn records(&self, module: &str) -> Vec<Value> {
        let now = self.server.now();
        self.server
            .zoho()
            .records(self.organisation, module, now)
            .unwrap()
    }

    fn create(&self, module: &str, values: &Value) -> ZohoId {
        let now = self.server.now();
        let id = self
            .server
            .zoho()
            .create(self.organisation, module, object(values), None, now)
            .unwrap();
        id.to_string().parse().unwrap()
    }

    fn edit(&self, module: &str, id: ZohoId, values: &Value, now: Timestamp) {
        let id = id.to_string().parse().unwrap();
        self.server
            .zoho()
            .edit(self.organisation, module, id, object(values), None, now)
            .unwrap();
    }

    fn credits(&self) -> u64 {
        let now = self.server.now();
        let usage = self.server.zoho().usage(self.organisation, now).unwrap();
        usage["total"].as_u64().unwrap()
    }
}

fn object(values: &Value) -> &Map<String, Value> {
    values.as_object().unwrap()
}

fn ids(rows: &[Row]) -> Vec<ZohoId> {
    rows.iter().map(|row| row.id).collect()
}

fn id_of(record: &Value) -> ZohoId {
    record["id"].as_str().unwrap().parse().unwrap()
}

fn record(values: &Value) -> Outgoing {
    object(values)
        .iter()
        .map(|(name, value)| (name.clone(), JsonText::of(value)))
        .collect()
}

fn sorted(mut ids: Vec<ZohoId>) -> Vec<ZohoId> {
    ids.sort_unstable();
    ids
}
