//! Two customers in one world, and the console.

use axum::body::{Body, to_bytes};
use axum::http::request::Builder;
use axum::http::{Request, header};
use console::{Deps, app};
use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use stories::Story;
use tandem::identifier::RunId;
use tandem::object::Object;
use tandem::port::{Connections as _, Coordination as _};
use tandem::run::RunKind;
use tandem_memory::{Faults, MemoryStore, World};
use tower::ServiceExt as _;
use zoho_sim::OrganisationSpec;

/// The connection that is purged. Nothing else in the world has these letters in a row.
pub(crate) const GONE: &str = "xq-gone";

/// Two customers.
pub(crate) struct Two {
    /// The one that ends.
    pub(crate) gone: Story,
    /// The other one.
    pub(crate) stays: Story,
}

/// Settings that let everything happen: filters, calculated fields, edits both ways, removals that are held.
fn settings() -> Json {
    json!({
        "core_writeback": true,
        "create_in_zoho": ["contact"],
        "removal_guard": { "percent": 1, "records": 1 },
        "objects": {
            "account": {
                "filter": { "where": { "field": "Customer_Status", "comparator": "equal", "value": "Active" } },
                "custom_fields": { "deals": "integer" },
                "calculated": [{ "platform": "deals", "over": "deal", "value": "count" }]
            },
            "contact": { "mappings": [{ "zoho": "Phone", "platform": "phone", "editable": true }] }
        }
    })
}

fn spec(name: &str, seed: u64, accounts: usize) -> OrganisationSpec {
    OrganisationSpec {
        name: name.to_owned(),
        accounts,
        ..OrganisationSpec::small(seed)
    }
}

impl Two {
    /// Two customers who are connected, and nothing has been synced yet.
    pub(crate) async fn connected(accounts: usize) -> Self {
        let first = Story::begin_with(&spec("Stays Ltd", 3, accounts), settings()).await;
        let stays = first.unwrap();
        let spec = spec("Xq-Gone Ltd", 11, accounts);
        let gone = stays.beside(GONE, &spec, settings()).await.unwrap();
        Self { gone, stays }
    }

    /// Two customers of whom everything is known: syncs, edits, parked ones, held removals, log.
    pub(crate) async fn synced(accounts: usize) -> Self {
        let two = Self::connected(accounts).await;
        for story in [&two.gone, &two.stays] {
            story.full_sync().await.unwrap();
            live(story).await;
        }
        two
    }

    pub(crate) fn world(&self) -> &World {
        &self.gone.world
    }

    /// The console's answer, with its status; nothing goes wrong at its calls unless it was ordered.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: &Json) -> (u16, Json) {
        ask(self.world(), method, path, body).await
    }

    /// Puts settings over the customer's current ones.
    pub(crate) async fn put(&self, path: &str, body: &Json) -> (u16, Json) {
        let id = self.gone.connection();
        let over = self.world().store.settings(&id).await.unwrap().version;
        let request = Request::put(path).header(header::IF_MATCH, format!("\"{over}\""));
        send(self.world(), request, body).await
    }

    /// A person disconnects the customer.
    pub(crate) async fn disconnect(&self) {
        let path = format!("/api/connections/{GONE}/disconnect");
        let (status, said) = self.ask("POST", &path, &Json::Null).await;
        assert_eq!(status, 200, "{said}");
    }

    /// A person asks for the purge.
    pub(crate) async fn purge(&self) {
        let (status, said) = ask_for_purge(self.world()).await;
        assert_eq!(status, 202, "{said}");
    }

    /// A person disconnects the customer who may be disconnected, or even gone, already.
    pub(crate) async fn disconnect_again(&self) {
        let path = format!("/api/connections/{GONE}/disconnect");
        let (status, said) = self.ask("POST", &path, &Json::Null).await;
        assert!([200, 409].contains(&status), "{said}");
    }

    /// A person asks for the purge, which may be complete already.
    pub(crate) async fn purge_again(&self) {
        let (status, said) = ask_for_purge(self.world()).await;
        assert!([200, 202].contains(&status), "{said}");
    }

    /// Nothing of the customer is left, and it is said so.
    pub(crate) async fn assert_gone(&self) {
        let world = self.world();
        let (status, shown) = self
            .ask("GET", &format!("/api/connections/{GONE}"), &Json::Null)
            .await;
        assert_eq!((status, &shown["status"]), (200, &json!("purged")));
        assert_eq!(shown["name"], GONE, "not even the name");
        assert!(shown["organisation"].is_null() && shown["reason"].is_null());
        assert!(shown["purge"]["completed_at"].is_string());
        assert!(world.vault.tokens_of(&self.gone.connection()).is_none());
        let itself = world
            .store
            .connection(&self.gone.connection())
            .await
            .unwrap()
            .unwrap();
        let fresh = MemoryStore::default();
        let version = itself.version;
        for version in 0..version {
            let step = tandem::connection::Connection {
                version,
                ..itself.clone()
            };
            fresh.save_connection(step).await.unwrap();
        }
        let traces = |dump: &str| -> Vec<String> {
            dump.lines()
                .filter(|line| line.to_lowercase().contains(GONE))
                .map(|line| line.trim().to_owned())
                .collect()
        };
        assert_eq!(traces(&world.store.dump()), traces(&fresh.dump()));
    }

    /// All that the console and the syncs keep about the other customer.
    pub(crate) async fn neighbour(&self) -> String {
        let (store, id) = (&self.stays.world.store, self.stays.connection());
        let mut cursors = Vec::new();
        for object in Object::ALL {
            cursors.push(store.cursor(&id, object).await.unwrap());
        }
        format!(
            "{:#?}",
            (
                store.connection(&id).await.unwrap(),
                store.settings(&id).await.unwrap(),
                cursors,
                store.all_records(&id),
                store.all_links(&id),
                store.all_candidates(&id),
                store.all_marks(&id),
                store.all_entries(&id),
                store.all_runs(&id),
                store.all_slices(&id),
                self.stays.world.vault.tokens_of(&id).is_some(),
            )
        )
    }
}

/// Asks for the purge of the customer in a world.
pub(crate) async fn ask_for_purge(world: &World) -> (u16, Json) {
    let body = json!({ "connection": GONE });
    ask(
        world,
        "POST",
        &format!("/api/connections/{GONE}/purge"),
        &body,
    )
    .await
}

/// The same world, in which nothing goes wrong.
pub(crate) fn calm(world: &World) -> World {
    World {
        faults: Faults::none(),
        ..world.clone()
    }
}

pub(crate) async fn ask(world: &World, method: &str, path: &str, body: &Json) -> (u16, Json) {
    let request = Request::builder().method(method).uri(path);
    send(world, request, body).await
}

async fn send(world: &World, request: Builder, body: &Json) -> (u16, Json) {
    let app = app(Deps {
        ports: world.ports(),
        public_url: "https://sync.example.com".into(),
    });
    let request = request
        .header(header::AUTHORIZATION, "Bearer operator")
        .header(header::CONTENT_TYPE, "application/json");
    let body = match body {
        Json::Null => Body::empty(),
        body => Body::from(body.to_string()),
    };
    let response = app.oneshot(request.body(body).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Json::Null))
}

/// Lets things happen to a synced customer.
async fn live(story: &Story) {
    let contacts: Vec<String> = story.present(Object::Contact).into_iter().take(2).collect();
    let record = |zoho: &str| story.record_of(Object::Contact, zoho).unwrap().id;
    let (first, second) = (record(&contacts[0]), record(&contacts[1]));
    story
        .edit(Object::Contact, first.as_str(), json!({ "phone": "1" }))
        .await
        .unwrap();
    let locked = zoho_sim::RecordFlags {
        locked: Some(true),
        ..zoho_sim::RecordFlags::default()
    };
    let id = contacts[1].parse().unwrap();
    story
        .zoho
        .model()
        .flag(story.organisation, "Contacts", id, locked)
        .unwrap();
    story
        .edit(Object::Contact, second.as_str(), json!({ "phone": "2" }))
        .await
        .unwrap();
    story.routine_sync().await.unwrap();
    // More accounts leave than may without a person's yes.
    for zoho in story.present(Object::Account).into_iter().take(3) {
        let values = json!({ "Customer_Status": "Prospect" });
        story.zoho_edits("Accounts", &zoho, &values).unwrap();
    }
    story.pass(SignedDuration::from_hours(24));
    story.full_sync().await.unwrap();
    story
        .submit(Object::Contact, first.as_str(), json!({ "phone": "3" }))
        .await
        .unwrap();
}

/// Starts a run without delivering anything.
pub(crate) async fn start(story: &Story, kind: RunKind) -> RunId {
    tandem::flow::runs::start(&calm(&story.world).ports(), &story.connection(), kind)
        .await
        .unwrap()
        .id
}
