//! No customer is reached through another one (P7): not by any address of the API, whatever is written into it, and not by any message.
//!
//! Evidence is what the tables hold, what is on the queues, which requests Zoho served, and what the answers say: the neighbour's values have
//! [`VALUE`] in them, which no answer may show, and its ids [`ID`], which only an answer to who named one may repeat.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value as Json, json};
use tandem::connection::Connection;
use tandem::identifier::{PlatformId, RunId, ZohoId};
use tandem::journal::{Entry, Outcome, Retention};
use tandem::message::{Version, Work, Writeback};
use tandem::object::Object;
use tandem::port::{Connections as _, Coordination as _, Journal as _, QueueName, Records as _};
use tandem::record::{Parked, Pending, Record};
use tandem::run::{Run, RunKind, RunStatus, SliceKey};
use tandem::value::Value;

use super::desk::{GONE, Two};

const VALUE: &str = "zzneighbour";
const ID: &str = "yyneighbour";

/// Routes that are about no single connection, and why nobody is reached through another there.
const OF_NONE: [(&str, &str); 4] = [
    ("list_connections", "the operator sees all connections"),
    ("create_connection", "an id that is taken is refused"),
    ("list_dead_letters", "asked for one connection's, see below"),
    ("redrive_dead_letters", "each goes back to its own queue"),
];

/// An operation of the API, as its description has it.
#[derive(Debug, Clone)]
struct Operation {
    name: String,
    method: String,
    path: String,
    query: Vec<String>,
    body: bool,
}

fn operations() -> Vec<Operation> {
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
struct Spoils {
    ids: Vec<PlatformId>,
    zoho: Vec<ZohoId>,
    runs: Vec<RunId>,
    slices: Vec<SliceKey>,
    cursors: Vec<String>,
}

/// A world with a neighbour whose every value is marked.
struct Place {
    two: Two,
    spoils: Spoils,
    organisation: String,
}

fn marked(record: Record) -> Record {
    let mut record = record;
    let field = "zz".parse().unwrap();
    record.fields.insert(field, Value::Text(VALUE.to_owned()));
    record
}

impl Place {
    async fn new() -> Self {
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
                let pending = Pending {
                    value: Value::Text(VALUE.to_owned()),
                    at: now,
                };
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
        Self {
            organisation: two.stays.organisation.to_string(),
            two,
            spoils,
        }
    }

    /// What must not change by anything that is done to the other.
    async fn untouched(&self) -> (String, Vec<String>) {
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
    fn requests_since(&self, request: u64) -> Vec<String> {
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

/// A request by its draws: which operation, and what is written where.
type Draws = (prop::sample::Index, [prop::sample::Index; 6]);

/// What is sent.
#[derive(Debug)]
struct Attack {
    name: String,
    method: String,
    path: String,
    body: Json,
    with_cursor: bool,
    names_an_id: bool,
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    text.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}

impl Spoils {
    /// The other's connection, or what a careless reader could take for the neighbour's.
    fn connection(draw: &prop::sample::Index) -> String {
        let odd = [
            "xq-gone%2F..%2Facme",
            "xq-gone/../acme",
            "xq-gone%23acme",
            "xq-gone#acme",
            "xq-gone%00acme",
            "ACME",
            "%C3%A0cme",
            "%D0%B0cme",
            "acme%20",
            "%20acme",
            "acme%2F",
            "acme%2E%2E",
            ".%2Facme",
            "..%2Fconnections%2Facme",
            "acme%3F",
            "acme%25",
            "acme%0A",
            "acme%5C",
            "*",
            "~YWNtZQ",
        ];
        // Mostly the connection that the request is about.
        match draw.index(odd.len() * 4) {
            place if place < odd.len() => odd[place].to_owned(),
            _ => GONE.to_owned(),
        }
    }

    fn id(&self, draw: &prop::sample::Index, way: &prop::sample::Index) -> String {
        let id = draw.get(&self.ids).as_str();
        let reach = |text: String| encoded(&text);
        match way.index(8) {
            0 => format!("~{}", URL_SAFE_NO_PAD.encode(id)),
            1 => reach(format!("../../acme/contact/{id}")),
            2 => reach(format!("acme#contact#{id}")),
            3 => reach(format!("{id}\u{0}")),
            4 => format!(
                "~{}",
                URL_SAFE_NO_PAD.encode(format!("../../acme/contact/{id}"))
            ),
            5 => reach(format!("#{id}")),
            6 => format!("..%2F..%2F..%2Facme%2Fcontact%2F{}", encoded(id)),
            _ => reach(id.to_owned()),
        }
    }

    fn body(&self, operation: &str, id: &PlatformId, run: &RunId, cursor: &str) -> Json {
        let fields = json!({ "phone": "123", "account": id });
        match operation {
            "rename_connection" => json!({ "name": "Mine" }),
            // What ends the connection would end the test with it.
            "purge_connection" => json!({ "connection": "acme" }),
            "dismiss_parked_by_reason" | "retry_parked_by_reason" => {
                json!({ "code": "INVALID_DATA" })
            }
            "start_run" => json!({ "kind": "routine" }),
            "replace_settings" => json!({ "account_external_id": "External_ID" }),
            "preview_settings" => {
                json!({ "settings": { "account_external_id": "External_ID" }, "object": "account", "cursor": cursor })
            }
            "edit_records" => {
                json!({ "edits": [{ "id": id, "fields": fields, "if_version": 1 }, { "id": run, "fields": fields }] })
            }
            "edit_record" => json!({ "fields": fields, "segments": ["vip"] }),
            new => panic!("{new} takes a body: say here what is sent to it"),
        }
    }

    fn attack(&self, operation: &Operation, draws: &[prop::sample::Index; 6]) -> Attack {
        let [first, second, third, fourth, fifth, sixth] = draws;
        let (id, run) = (third.get(&self.ids), fourth.get(&self.runs));
        let cursor = fifth.get(&self.cursors);
        let connection = Self::connection(first);
        let path = operation
            .path
            .replace("{connection}", &connection)
            .replace("{object}", second.get(&Object::ALL).name())
            .replace("{id}", &self.id(third, sixth))
            .replace("{run}", run.as_str())
            .replace("{version}", &(fourth.index(4) + 1).to_string());
        assert!(
            !path.contains('{'),
            "{path}: say here what is written into the address"
        );
        let mut query = Vec::new();
        let mut with_cursor = false;
        for name in &operation.query {
            let value = match name.as_str() {
                "cursor" if sixth.index(3) > 0 => {
                    with_cursor = true;
                    cursor.clone()
                }
                "record" if fourth.index(2) > 0 => encoded(id.as_str()),
                "object" if fourth.index(2) > 0 => second.get(&Object::ALL).name().to_owned(),
                "include" if fourth.index(2) > 0 => "children".to_owned(),
                "updated_since" if sixth.index(5) > 2 => "2020-01-01T00:00:00Z".to_owned(),
                "limit" => (sixth.index(200) + 1).to_string(),
                "outcome" if sixth.index(5) > 3 => "parked".to_owned(),
                "cursor" | "record" | "object" | "include" | "updated_since" | "outcome"
                | "from" | "to" | "direction" | "standing" => continue,
                new => panic!("{new} is a parameter: say here what is sent as it"),
            };
            query.push(format!("{name}={value}"));
        }
        let query = match query.is_empty() {
            true => String::new(),
            false => format!("?{}", query.join("&")),
        };
        let body = match operation.body {
            true => self.body(&operation.name, id, run, cursor),
            false => Json::Null,
        };
        Attack {
            name: operation.name.clone(),
            method: operation.method.clone(),
            names_an_id: operation.path.contains("{id}")
                || query.contains("record=")
                || operation.body,
            path: format!("{path}{query}"),
            body,
            with_cursor,
        }
    }
}

/// Sends attacks, and asserts that nothing of the neighbour was shown, changed or asked of Zoho.
async fn attacks(
    all: &[Operation],
    draws: &[Draws],
) -> Result<BTreeMap<String, u64>, TestCaseError> {
    let place = Place::new().await;
    let world = place.two.world();
    let (before, request) = (place.untouched().await, place.two.stays.latest_request());
    let mut answered = BTreeMap::new();
    for (operation, draws) in draws {
        let attack = place.spoils.attack(operation.get(all), draws);
        // Refused for what it looks like, which is one way not to be reached: no URI at all.
        if attack.path.parse::<axum::http::Uri>().is_err() {
            continue;
        }
        let headers = attack.name == "replace_settings";
        let (status, answer) = match headers {
            true => place.two.put(&attack.path, &attack.body).await,
            false => {
                place
                    .two
                    .ask(&attack.method, &attack.path, &attack.body)
                    .await
            }
        };
        let text = answer.to_string();
        prop_assert!(!text.contains(VALUE), "{attack:?}: {status} {text}");
        prop_assert!(
            attack.names_an_id || !text.contains(ID),
            "{attack:?}: {status} {text}"
        );
        prop_assert!(status != 500, "{attack:?}: {text}");
        prop_assert!(
            !attack.with_cursor || status >= 400,
            "{attack:?}: a cursor of the neighbour is good for {text}"
        );
        if status < 300 {
            *answered.entry(attack.name).or_default() += 1;
        }
        // What it set off goes on, unless it was about the neighbour: nothing may be.
        while let Some(held) = world.queue.take_work() {
            place.two.gone.handle_work(&held.message).await.ok();
        }
        while let Some(held) = world
            .queue
            .writeback
            .take_where(|message| message.connection().as_str() == GONE)
        {
            place.two.gone.handle_writeback(&held.message).await.ok();
        }
    }
    prop_assert_eq!(&place.untouched().await, &before);
    prop_assert_eq!(place.requests_since(request), Vec::<String>::new());
    Ok(answered)
}

fn within_a_connection() -> Vec<Operation> {
    let (within, of_none): (Vec<Operation>, Vec<Operation>) = operations()
        .into_iter()
        .partition(|operation| operation.path.contains("{connection}"));
    let of_none: BTreeSet<&str> = of_none.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(of_none, OF_NONE.map(|(name, _)| name).into());
    within
}

fn block<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn no_request_about_one_connection_reaches_another() {
    // What ends it or switches it off is told elsewhere: everything after it would be refused.
    let ends = ["disconnect_connection", "pause_connection"];
    let mut all = within_a_connection();
    all.retain(|operation| !ends.contains(&operation.name.as_str()));
    let config = Config {
        cases: 16,
        ..Config::default()
    };
    let mut answered = BTreeMap::new();
    let draws = proptest::collection::vec(any::<Draws>(), 60..120);
    TestRunner::new(config)
        .run(&draws, |draws| block(attacks(&all, &draws)).map(drop))
        .unwrap();
    // Every operation is asked a few times, mostly with the connection itself in its address.
    let mut runner = TestRunner::deterministic();
    let draws = proptest::collection::vec(any::<Draws>(), 24);
    for place in 0..all.len() {
        let draws = draws.new_tree(&mut runner).unwrap().current();
        let one = std::slice::from_ref(&all[place]);
        answered.extend(block(attacks(one, &draws)).unwrap());
    }
    let silent: Vec<&str> = all
        .iter()
        .map(|operation| operation.name.as_str())
        .filter(|name| !answered.contains_key(*name))
        .collect();
    // These never succeed with a neighbour's ids: there is no such record, run or version.
    let expected = [
        "dismiss_parked",
        "get_record",
        "get_run",
        "preview_settings",
        "purge_connection",
        "restore_record",
        "retry_parked",
    ];
    assert!(
        silent.iter().all(|name| expected.contains(name)),
        "these were never answered, so nothing was shown of them: {silent:?}"
    );
}

#[tokio::test]
async fn dead_letters_of_one_connection_name_no_other() {
    let place = Place::new().await;
    let push = json!({"kind": "push", "version": 1, "connection": "acme", "object": "task", "ids": [format!("{ID}-1")]});
    place.two.world().queue.bury(
        QueueName::Writeback,
        &place.two.stays.connection(),
        &push.to_string(),
    );
    let path = "/api/dead-letters";
    let (_, all) = place.two.ask("GET", path, &Json::Null).await;
    assert!(all.to_string().contains(ID));
    for connection in [GONE, "acm", "acme-", "xq-gone%23acme", "ACME"] {
        let path = format!("{path}?connection={connection}");
        let (_, shown) = place.two.ask("GET", &path, &Json::Null).await;
        assert!(!shown.to_string().contains(ID), "{connection}: {shown}");
    }
}

fn messages(spoils: &Spoils, draws: &[prop::sample::Index; 6]) -> (Vec<Work>, Vec<Writeback>) {
    let [first, second, third, fourth, ..] = draws;
    let connection: tandem::identifier::ConnectionId = GONE.parse().unwrap();
    let run = first.get(&spoils.runs).clone();
    let object = *second.get(&Object::ALL);
    let ids = vec![
        third.get(&spoils.ids).clone(),
        fourth.get(&spoils.ids).clone(),
    ];
    let work = vec![
        Work::Slice {
            version: Version,
            connection: connection.clone(),
            run: run.clone(),
            slice: *third.get(&spoils.slices),
        },
        Work::Dependants {
            version: Version,
            connection: connection.clone(),
            run: run.clone(),
            object: Object::Contact,
            parent: Object::Account,
            ids: spoils.zoho.clone(),
        },
        Work::Calculate {
            version: Version,
            connection: connection.clone(),
            run,
        },
        Work::Purge {
            version: Version,
            connection: connection.clone(),
        },
    ];
    let edits = ids
        .iter()
        .map(|id| json!({ "id": id, "fields": { "phone": "1", "account": ids[0] }, "segments": ["vip"] }));
    let edits: Vec<Json> = edits.collect();
    let edit = json!({ "kind": "edit", "version": 1, "connection": GONE, "object": object, "edits": edits });
    let writeback = vec![
        Writeback::Push {
            version: Version,
            connection: connection.clone(),
            object,
            ids,
        },
        Writeback::Retry {
            version: Version,
            connection,
            next: Some(fourth.get(&spoils.cursors).clone()),
        },
        serde_json::from_value(edit).unwrap(),
    ];
    (work, writeback)
}

async fn letters(draws: &[[prop::sample::Index; 6]]) -> Result<(), TestCaseError> {
    let place = Place::new().await;
    let (before, request) = (place.untouched().await, place.two.stays.latest_request());
    for draws in draws {
        let (work, writeback) = messages(&place.spoils, draws);
        // What does not fit ends among the dead letters, where a person sees it.
        for message in &work {
            place.two.gone.handle_work(message).await.ok();
        }
        for message in &writeback {
            place.two.gone.handle_writeback(message).await.ok();
        }
    }
    prop_assert_eq!(&place.untouched().await, &before);
    prop_assert_eq!(place.requests_since(request), Vec::<String>::new());
    let mine = place
        .two
        .world()
        .store
        .all_records(&place.two.gone.connection());
    let mine = format!("{mine:?}");
    prop_assert!(!mine.contains(VALUE), "a value went over: {mine}");
    Ok(())
}

#[test]
fn no_message_of_one_connection_reaches_another() {
    let config = Config {
        cases: 16,
        ..Config::default()
    };
    let draws = proptest::collection::vec(any::<[prop::sample::Index; 6]>(), 1..12);
    TestRunner::new(config)
        .run(&draws, |draws| block(letters(&draws)))
        .unwrap();
}
