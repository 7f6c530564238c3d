//! A neighbour whose every value is marked, and everything of it that could be named.

use std::collections::BTreeSet;

use serde_json::Value as Json;
use tandem::connection::Connection;
use tandem::identifier::{PlatformId, RunId, ZohoId};
use tandem::journal::{Entry, Outcome, Retention};
use tandem::object::Object;
use tandem::port::{Connections as _, Coordination as _, Journal as _, Records as _};
use tandem::record::{Parked, Pending, Record};
use tandem::run::{Run, RunKind, RunStatus, SliceKey};
use tandem::value::Value;

use super::desk::Two;

/// What is in every value of the neighbour's.
pub(crate) const VALUE: &str = "zzneighbour";

/// What is in some ids of the neighbour's.
pub(crate) const ID: &str = "yyneighbour";

/// An operation of the API, as its description has it.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) name: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<String>,
    pub(crate) body: bool,
}

pub(crate) fn operations() -> Vec<Operation> {
    let described = serde_json::to_value(console::openapi()).unwrap();
    let mut all = Vec::new();
    for (path, item) in described["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(name) = operation["operationId"].as_str() else {
                continue;
            };
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            all.push(Operation {
                name: name.to_owned(),
                method: method.to_uppercase(),
                path: path.clone(),
                query: parameters
                    .filter(|parameter| parameter["in"] == "query")
                    .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
                    .collect(),
                body: operation.get("requestBody").is_some(),
            });
        }
    }
    all
}

/// What the neighbour has that could be named.
pub(crate) struct Spoils {
    pub(crate) ids: Vec<PlatformId>,
    pub(crate) zoho: Vec<ZohoId>,
    pub(crate) runs: Vec<RunId>,
    pub(crate) slices: Vec<SliceKey>,
    pub(crate) cursors: Vec<String>,
}

/// A world with a neighbour whose every value is marked.
pub(crate) struct Place {
    pub(crate) two: Two,
    pub(crate) spoils: Spoils,
    pub(crate) organisation: String,
}

fn marked(record: Record) -> Record {
    let mut record = record;
    let field = "zz".parse().unwrap();
    record.fields.insert(field, Value::Text(VALUE.to_owned()));
    record
}

impl Place {
    pub(crate) async fn new() -> Self {
        let two = Two::synced(4).await;
        two.gone.deliver().await.unwrap();
        let (store, id) = (&two.world().store, two.stays.connection());
        let now = two.world().now();
        for record in store.all_records(&id) {
            store.save_record(marked(record)).await.unwrap();
        }
        for object in [Object::Account, Object::Contact, Object::Task] {
            for number in 0..3 {
                let name = format!("{ID}-{number}").parse().unwrap();
                let mut record = marked(Record::new(id.clone(), object, name, now));
                let pending = Pending::new(Value::Text(VALUE.to_owned()), now);
                record.pending.insert("phone".parse().unwrap(), pending);
                record.parked = (number > 0).then(|| Parked {
                    code: "INVALID_DATA".to_owned(),
                    field: None,
                    remedy: VALUE.to_owned(),
                    at: now,
                    attempt: tandem::identifier::Digest::of(b"x"),
                });
                store.save_record(record).await.unwrap();
            }
        }
        let retention = Retention {
            days: 30,
            values: true,
        };
        let line = |outcome| {
            let reason = VALUE.to_owned();
            Entry::note(id.clone(), now, outcome, "noted", ID, reason, retention)
        };
        let lines = [Outcome::Done, Outcome::Parked, Outcome::Refused].map(line);
        store.write(&lines).await.unwrap();
        let run = RunId::new(u64::try_from(now.as_millisecond()).unwrap(), 7);
        let run = Run {
            status: RunStatus::Incomplete,
            reason: Some(VALUE.to_owned()),
            ..Run::begin(id.clone(), run, RunKind::Full, now)
        };
        store.save_run(run).await.unwrap();
        let mut settings = store.settings(&id).await.unwrap();
        settings.settings.segments.insert(VALUE.to_owned());
        store
            .save_settings(&id, settings.version, &settings.settings, now)
            .await
            .unwrap();
        let connection = store.connection(&id).await.unwrap().unwrap();
        let named = Connection {
            name: VALUE.to_owned(),
            ..connection
        };
        store.save_connection(named).await.unwrap();
        let records = store.all_records(&id);
        let ids: BTreeSet<PlatformId> = records.iter().map(|record| record.id.clone()).collect();
        let (mut marked, others): (Vec<PlatformId>, Vec<PlatformId>) =
            ids.into_iter().partition(|id| id.as_str().contains(ID));
        marked.extend(others.into_iter().take(8));
        let spoils = Spoils {
            ids: marked,
            zoho: records.iter().filter_map(|record| record.zoho_id).collect(),
            runs: store.all_runs(&id).into_iter().map(|run| run.id).collect(),
            slices: store
                .all_slices(&id)
                .into_iter()
                .map(|slice| slice.key)
                .collect(),
            cursors: cursors(&two).await,
        };
        let place = Self {
            organisation: two.stays.organisation.to_string(),
            two,
            spoils,
        };
        assert!(!place.requests_since(0).is_empty(), "its syncs are seen");
        place
    }

    /// What must not change by anything that is done to the other.
    pub(crate) async fn untouched(&self) -> (String, Vec<String>) {
        let queue = &self.two.world().queue;
        let to_neighbour = queue
            .work
            .messages()
            .into_iter()
            .filter(|message| *message.connection() == self.two.stays.connection())
            .map(|message| format!("{message:?}"));
        let edits = queue
            .writeback
            .messages()
            .into_iter()
            .filter(|message| *message.connection() == self.two.stays.connection())
            .map(|message| format!("{message:?}"));
        (
            self.two.neighbour().await,
            to_neighbour.chain(edits).collect(),
        )
    }

    /// The requests about the neighbour's organisation that Zoho served since.
    pub(crate) fn requests_since(&self, request: u64) -> Vec<String> {
        let model = self.two.stays.zoho.model();
        let served = model.journal.since(request);
        served
            .filter(|served| served.organisation.as_deref() == Some(self.organisation.as_str()))
            .map(|served| format!("{} {}", served.method, served.path))
            .collect()
    }
}

/// Cursors of the neighbour's listings, all that the description tells of.
async fn cursors(two: &Two) -> Vec<String> {
    let mut found = Vec::new();
    for operation in operations() {
        if !operation.query.iter().any(|name| name == "cursor")
            || !operation.path.contains("{connection}")
        {
            continue;
        }
        for object in Object::ALL {
            let path = operation
                .path
                .replace("{connection}", two.stays.connection().as_str())
                .replace("{object}", object.name());
            let (_, page) = two
                .ask("GET", &format!("{path}?limit=1"), &Json::Null)
                .await;
            found.extend(page["next"].as_str().map(str::to_owned));
        }
    }
    assert!(found.len() > 8, "only {} cursors", found.len());
    found
}
