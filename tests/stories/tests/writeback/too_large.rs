//! Records that are larger than the table takes: parked with that reason, never made twice, no burden to their neighbours (P2, P6, W5, W7).

use std::sync::Arc;

use async_trait::async_trait;
use jiff::SignedDuration;
use serde_json::json;
use stories::{name, text};
use tandem::flow::job::Deadline;
use tandem::flow::writeback::{self, Received};
use tandem::message::{Version, Writeback};
use tandem::object::Object;
use tandem::port::{Error, Ports, Store};
use tandem::record::Record;
use tandem_memory::layer::{Layered, StoreLayer};

use super::*;

/// Records of an object as both sides call them.
struct Kind {
    object: Object,
    module: &'static str,
    /// The field that names a record, in Zoho and on the platform.
    theirs: &'static str,
    ours: &'static str,
    /// One record, and another that goes after it.
    ids: [&'static str; 2],
}

const ACCOUNTS: Kind = Kind {
    object: Object::Account,
    module: "Accounts",
    theirs: "Account_Name",
    ours: "name",
    ids: ["A-large", "A-small"],
};
const CONTACTS: Kind = Kind {
    object: Object::Contact,
    module: "Contacts",
    theirs: "Last_Name",
    ours: "last_name",
    ids: ["large@example.com", "small@example.com"],
};
const TASKS: Kind = Kind {
    object: Object::Task,
    module: "Tasks",
    theirs: "Subject",
    ours: "subject",
    ids: ["t-large", "t-small"],
};

impl Kind {
    async fn submit(&self, story: &Story, id: &str, named: &str) {
        let mut fields = json!({ self.ours: named });
        if self.object != Object::Account {
            fields["account"] = json!(story.some_account());
        }
        let answer = story.submit(self.object, id, fields).await.unwrap();
        assert!(answer.accepted, "{answer:?}");
    }

    fn count(&self, story: &Story, named: &str) -> usize {
        count(story, self.module, self.theirs, named)
    }
}

/// Accounts and contacts are created in Zoho, and their descriptions are shown.
fn described() -> Value {
    let mut settings = editable_and("create_in_zoho", json!(["account", "contact"]));
    for object in ["account", "contact"] {
        let mappings = settings["objects"][object]["mappings"].as_array_mut();
        let description = json!({ "zoho": "Description", "platform": "description" });
        mappings.unwrap().push(description);
    }
    settings
}

/// A table that takes no record of more bytes than this.
struct Narrow(usize);

#[async_trait]
impl StoreLayer for Narrow {
    async fn save_record(&self, inner: &dyn Store, record: Record) -> Result<Record, Error> {
        if bytes(&record) > self.0 {
            return Err(Error::Refused {
                what: format!("a {}", record.object),
                source: "it is too large".into(),
            });
        }
        inner.save_record(record).await
    }
}

/// What a change made of a field is the field's, and takes no room of its own.
fn bytes(record: &Record) -> usize {
    let unchanged = Record {
        change: None,
        ..record.clone()
    };
    serde_json::to_string(&unchanged).unwrap().len()
}

fn narrow(story: &Story, most: usize) -> Ports {
    let ports = story.ports();
    let store: Arc<dyn Store> = Arc::new(Layered::new(Narrow(most), ports.store));
    Ports { store, ..ports }
}

/// The messages that wait for writeback.
fn sent(story: &Story) -> Vec<Writeback> {
    let held = story.world.queue.writeback.take_all().into_iter();
    held.map(|held| held.message).collect()
}

async fn handle(
    story: &Story,
    ports: &Ports,
    messages: &[Writeback],
) -> Result<(), tandem::flow::Error> {
    let now = story.world.now();
    let received = messages.iter().map(|message| Received {
        message: message.clone(),
        sent_at: now,
    });
    let received: Vec<Received> = received.collect();
    let deadline = Deadline(now + SignedDuration::from_mins(5));
    writeback::handle(ports, &story.connection(), &received, deadline).await
}

#[tokio::test]
async fn what_is_too_large_with_its_first_try_beside_it_is_parked_and_goes_once_it_is_shortened() {
    for kind in [ACCOUNTS, CONTACTS, TASKS] {
        let story = synced(described()).await;
        let [large, small] = kind.ids;
        let long = "x".repeat(4_000);
        kind.submit(&story, large, &long).await;
        kind.submit(&story, small, "Small").await;
        let edited = story.record(kind.object, large).await.unwrap();
        let ports = narrow(&story, bytes(&edited) + 1_000);
        let rows = story.rows(kind.module).unwrap().len();

        let pushes = sent(&story);
        handle(&story, &ports, &pushes).await.unwrap();
        let why = parked(&story, kind.object, large).await.unwrap();
        assert_eq!(why.code, "TOO_LARGE", "{}", kind.object);
        assert!(why.remedy.contains("shorten"), "{}", why.remedy);
        assert_eq!(kind.count(&story, "Small"), 1, "its neighbour goes");
        let record = story.record(kind.object, large).await.unwrap();
        assert_eq!(record.fields[&name(kind.ours)], text(&long));
        assert!(record.pending.contains_key(&name(kind.ours)));

        story.pass(SignedDuration::from_mins(2));
        let retry = Writeback::Retry {
            version: Version,
            connection: story.connection(),
            next: None,
        };
        let again = [pushes, vec![retry]].concat();
        handle(&story, &ports, &again).await.unwrap();
        let still = parked(&story, kind.object, large).await;
        assert_eq!(still.as_ref(), Some(&why), "it waits since then");
        assert_eq!(story.log("parked").len(), 1, "the log says it once");
        assert_eq!(story.rows(kind.module).unwrap().len(), rows + 1);

        kind.submit(&story, large, "Short").await;
        handle(&story, &ports, &sent(&story)).await.unwrap();
        assert_eq!(kind.count(&story, "Short"), 1, "{}", kind.object);
        assert_eq!(story.rows(kind.module).unwrap().len(), rows + 2);
        let record = story.record(kind.object, large).await.unwrap();
        assert!(record.zoho_id.is_some() && record.pending.is_empty());
        assert_eq!(record.parked, None);
        story.deliver().await.unwrap();
        assert_silent(&story).await;
    }
}

/// A new record that people in Zoho describe at more length than the table takes, before the platform hears that it was made. Whoever is told of
/// it looks again and again. Returns its Zoho id.
async fn outgrown(story: &Story, kind: &Kind) -> String {
    let id = kind.ids[0];
    kind.submit(story, id, "New").await;
    let pushes = sent(story);
    let ports = narrow(story, 16_000);
    let described = async {
        let rows = story.rows(kind.module).unwrap();
        let made = rows.iter().find(|row| row[kind.theirs] == "New").unwrap();
        let made = made["id"].as_str().unwrap().to_owned();
        let description = json!({ "Description": "x".repeat(20_000) });
        story.zoho_edits(kind.module, &made, &description).unwrap();
        made
    };
    let handled = handle(story, &ports, &pushes);
    let faults = &story.world.faults;
    let met = faults.amid("save_links", handled, described).await;
    let (_, made) = met.unwrap();
    for _ in 0..3 {
        story.pass(SignedDuration::from_mins(2));
        drop(handle(story, &ports, &pushes).await);
    }
    made
}

/// It is in Zoho once, the platform says why its edits wait, and they do so no longer than that is so.
async fn assert_said(story: &Story, kind: &Kind, made: &str) {
    let id = kind.ids[0];
    assert_eq!(kind.count(story, "New"), 1, "made once");
    let record = story.record(kind.object, id).await.unwrap();
    assert_eq!(record.fields[&name(kind.ours)], text("New"));
    let why = record.parked.unwrap();
    assert_eq!(why.code, "TOO_LARGE", "{}: {}", kind.object, why.remedy);

    let short = json!({ "Description": null });
    story.zoho_edits(kind.module, made, &short).unwrap();
    story.full_sync().await.unwrap();
    assert_eq!(kind.count(story, "New"), 1);
    let record = story.record(kind.object, id).await.unwrap();
    assert_eq!(record.zoho_id.map(String::from).as_deref(), Some(made));
    assert!(record.pending.is_empty() && record.parked.is_none());
    assert_silent(story).await;
}

#[tokio::test]
async fn an_account_or_contact_that_outgrew_the_table_as_it_was_made_waits_with_that_reason() {
    for kind in [ACCOUNTS, CONTACTS] {
        let story = synced(described()).await;
        let made = outgrown(&story, &kind).await;
        assert_said(&story, &kind, &made).await;
    }
}

#[tokio::test]
async fn a_task_that_outgrew_the_table_as_it_was_made_is_not_made_again() {
    let story = synced(described()).await;
    let made = outgrown(&story, &TASKS).await;
    assert_said(&story, &TASKS, &made).await;
}
