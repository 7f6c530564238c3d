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
use tandem::identifier::{ConnectionId, PlatformId, RunId};
use tandem::message::{Version, Work, Writeback};
use tandem::object::Object;
use tandem::port::QueueName;

use super::desk::GONE;
use super::neighbour::{ID, Operation, Place, Spoils, VALUE, operations};

/// Routes that are about no single connection, and why nobody is reached through another there.
const OF_NONE: [(&str, &str); 4] = [
    ("list_connections", "the operator sees all connections"),
    ("create_connection", "an id that is taken is refused"),
    ("list_dead_letters", "asked for one connection's, see below"),
    ("redrive_dead_letters", "each goes back to its own queue"),
];

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

    fn body(operation: &str, id: &PlatformId, run: &RunId, cursor: &str, ties: bool) -> Json {
        let fields = match ties {
            true => json!({ "phone": "123", "account": id }),
            false => json!({ "phone": "123" }),
        };
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
                    // What follows a number sign is not sent.
                    with_cursor = !connection.contains('#');
                    cursor.clone()
                }
                "record" if fourth.index(2) > 0 => encoded(id.as_str()),
                "object" if fourth.index(2) > 0 => second.get(&Object::ALL).name().to_owned(),
                "include" if fourth.index(2) > 0 => "children".to_owned(),
                "updated_since" if sixth.index(5) > 2 => "2020-01-01T00:00:00Z".to_owned(),
                "limit" => (sixth.index(200) + 1).to_string(),
                "outcome" if sixth.index(5) > 3 => "parked".to_owned(),
                "standing" => "unmatched".to_owned(),
                "cursor" | "record" | "object" | "include" | "updated_since" | "outcome"
                | "from" | "to" | "direction" => continue,
                new => panic!("{new} is a parameter: say here what is sent as it"),
            };
            query.push(format!("{name}={value}"));
        }
        let query = match query.is_empty() {
            true => String::new(),
            false => format!("?{}", query.join("&")),
        };
        let body = match operation.body {
            true => Self::body(&operation.name, id, run, cursor, fifth.index(2) > 0),
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
    // Whoever named an id of the neighbour may have made a record of that id, and is shown it from then on.
    let mut named = false;
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
        named |= attack.names_an_id;
        prop_assert!(!text.contains(VALUE), "{attack:?}: {status} {text}");
        prop_assert!(named || !text.contains(ID), "{attack:?}: {status} {text}");
        prop_assert!(status != 500, "{attack:?}: {text}");
        prop_assert!(
            !attack.with_cursor || status >= 400,
            "{attack:?}: a cursor of the neighbour is good for {text}"
        );
        if status < 300 {
            *answered.entry(attack.name).or_default() += 1;
        }
        // What it set off for the connection itself goes on.
        let mine = |of: &ConnectionId| of.as_str() == GONE;
        while let Some(held) = world
            .queue
            .work
            .take_where(|message| mine(message.connection()))
        {
            place.two.gone.handle_work(&held.message).await.ok();
        }
        while let Some(held) = world
            .queue
            .writeback
            .take_where(|message| mine(message.connection()))
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
    // What ends it or switches it off is sent by itself only: everything after it would be refused.
    let ends = ["disconnect_connection", "pause_connection"];
    let every = within_a_connection();
    let mut all = every.clone();
    all.retain(|operation| !ends.contains(&operation.name.as_str()));
    let config = Config {
        cases: 10,
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
    for operation in &every {
        let draws = draws.new_tree(&mut runner).unwrap().current();
        let one = std::slice::from_ref(operation);
        answered.extend(block(attacks(one, &draws)).unwrap());
    }
    // Some never succeed with a neighbour's ids, because there is no such record, run or page. The others show what is the connection's own.
    let silent = every
        .iter()
        .filter(|operation| !answered.contains_key(&operation.name));
    let silent: Vec<&str> = silent.map(|operation| operation.name.as_str()).collect();
    assert!(
        answered.len() > every.len() / 2,
        "too many were never answered, so nothing was shown of them: {silent:?}"
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
    let connection: ConnectionId = GONE.parse().unwrap();
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
        cases: 10,
        ..Config::default()
    };
    let draws = proptest::collection::vec(any::<[prop::sample::Index; 6]>(), 1..12);
    TestRunner::new(config)
        .run(&draws, |draws| block(letters(&draws)))
        .unwrap();
}
