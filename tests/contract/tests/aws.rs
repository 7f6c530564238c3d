//! The real adapters keep the contract, on the template's own tables in the emulator; and a few things that only they can get wrong.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

mod emulator;

use std::sync::Arc;
use std::time::Duration;

use contract::sequence;
use contract::{Mailbox, Safe, Setting};
use jiff::{SignedDuration, Timestamp};
use tandem::adapter::system::SystemClock;
use tandem::connection::Connection;
use tandem::cursor::Cursor;
use tandem::disposition::Disposition;
use tandem::edge::environment::Environment;
use tandem::identifier::{ConnectionId, Digest, PlatformId, RunId, ZohoId};
use tandem::journal::{Entry, Outcome, Retention};
use tandem::message::{Version, Work, Writeback};
use tandem::object::Object;
use tandem::port::{
    Clock as _, Connections as _, Coordination as _, Delivery, Error, Journal as _, JournalQuery,
    Ledger as _, Progress, Queue as _, QueueName, Records as _, Store, Vault as _,
};
use tandem::record::{Dependants, FieldChange, Link, Record, Standing};
use tandem::run::{Run, RunKind};
use tandem::secret::{Secret, Tokens};
use tandem::settings::Settings;
use tandem::value::Value;
use tandem_local::FUNCTIONS;

use emulator::forgetful::Forgetful;
use emulator::stingy::Stingy;
use emulator::{Deployed, Filled, Letters, setting};

/// How many sequences of operations are compared with the model: each takes a tenth of a second here.
const SEQUENCES: usize = 50;

contract::tests!(store: store);
contract::tests!(queue: queue);
contract::tests!(vault: vault);

async fn store() -> Setting<dyn Store> {
    setting(Arc::new(Deployed::get().await.store()))
}

async fn queue() -> Setting<dyn Mailbox> {
    setting(Arc::new(Letters::open(Deployed::get().await).await))
}

async fn vault() -> Setting<dyn Safe> {
    setting(Arc::new(Filled(Deployed::get().await.vault())))
}

#[tokio::test]
async fn any_sequence_of_operations_goes_as_the_model_says() {
    let setting = store().await;
    for operations in sequence::drawn(SEQUENCES, 60, 1) {
        sequence::run(&setting, &operations).await;
    }
}

fn id(text: &str) -> ConnectionId {
    text.parse().unwrap()
}

fn record(connection: &str, id: &str, now: Timestamp) -> Record {
    let (connection, id) = (connection.parse().unwrap(), id.parse().unwrap());
    Record::new(connection, Object::Task, id, now)
}

fn line(connection: &str, subject: &str, now: Timestamp) -> Entry {
    let retention = Retention {
        days: 30,
        values: true,
    };
    let why = "why".to_owned();
    Entry::note(
        id(connection),
        now,
        Outcome::Done,
        "noted",
        subject,
        why,
        retention,
    )
}

#[tokio::test]
async fn no_item_of_any_table_names_a_connection_whose_data_was_deleted() {
    let setting = store().await;
    let gone = id("no-trace-of-it");
    let named = async || {
        let mut items = Deployed::get().await.items().await;
        items.retain(|item| item.contains(gone.as_str()));
        items
    };
    contract::fill(&setting, &gone).await;
    let before = named().await.len();
    assert!(before > 40, "only {before} items");
    while setting.port.erase(&gone, 10).await.unwrap().total() > 0 {}
    let left = named().await;
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(
        left[0].contains("\"connection\""),
        "the connection itself: {left:?}"
    );
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_knows_itself() {
    let deployed = Deployed::get().await;
    let way = Forgetful::before(deployed.endpoint()).await;
    let store = deployed.store_through(way.endpoint());
    let now = SystemClock.now();
    let acme = id("forgetful");

    way.lose(1);
    let connection = Connection::new(acme.clone(), "Acme".into(), now);
    let connection = store.save_connection(connection).await.unwrap();
    assert_eq!((connection.version, way.to_lose()), (1, 0));
    way.lose(2);
    let connection = store.save_connection(connection).await.unwrap();
    assert_eq!((connection.version, way.to_lose()), (2, 0));

    way.lose(1);
    let saved = store.save_record(record("forgetful", "1", now)).await;
    assert_eq!((saved.unwrap().version, way.to_lose()), (1, 0));

    way.lose(1);
    let settings = Settings::default();
    let saved = store.save_settings(&acme, 0, &settings, now).await;
    assert_eq!((saved.unwrap().version, way.to_lose()), (1, 0));

    way.lose(1);
    let begin = Cursor::beginning(Digest::of(b"plan"));
    let moved = store.move_cursor(&acme, Object::Task, None, begin).await;
    assert_eq!((moved.is_ok(), way.to_lose()), (true, 0));

    let link = Link {
        connection: acme.clone(),
        object: Object::Task,
        zoho_id: "42".parse().unwrap(),
        standing: Standing::Unmatched,
        hash: Digest::of(b"row"),
        in_scope: false,
        dependants: Dependants::Asked,
    };
    way.lose(1);
    let saved = store.save_link_over(&link, None).await;
    assert_eq!((saved.is_ok(), way.to_lose()), (true, 0));
    way.lose(1);
    let removed = store.remove_link_over(&link).await;
    assert_eq!((removed.is_ok(), way.to_lose()), (true, 0));

    way.lose(1);
    let until = now + SignedDuration::from_secs(60);
    let leased = store.lease(&acme, "token", "me", now, until).await;
    assert_eq!((leased.unwrap(), way.to_lose()), (true, 0));

    way.lose(1);
    let run = Run::begin(acme.clone(), RunId::new(1, 1), RunKind::Full, now);
    let run = store.save_run(run).await.unwrap();
    assert_eq!((run.version, way.to_lose()), (1, 0));

    let mut slices = run.slices(&[], &[].into());
    way.lose(1);
    store.plan_slices(&slices).await.unwrap();
    way.lose(1);
    slices[0].done = true;
    let progress = store.save_slice(&mut slices[0]).await.unwrap();
    assert_eq!((progress, way.to_lose()), (Progress::Stored, 0));
}

#[tokio::test]
async fn tokens_that_cannot_be_read_give_way_to_those_before() {
    let deployed = Deployed::get().await;
    let vault = deployed.vault();
    let acme = id("spoilt");
    let tokens = |generation| Tokens {
        refresh: Secret::new("1000.refresh"),
        access: Secret::new(format!("1000.access-{generation}")),
        expires_at: SystemClock.now(),
        generation,
        centre: None,
    };
    for generation in [1, 2] {
        vault.keep_tokens(&acme, &tokens(generation)).await.unwrap();
    }
    deployed.put_secret("connection/spoilt", "half a va").await;
    let read = vault.tokens(&acme).await.unwrap().unwrap();
    assert_eq!(
        (read.generation, read.refresh.expose()),
        (2, "1000.refresh")
    );
    vault.keep_tokens(&acme, &tokens(3)).await.unwrap();
    assert_eq!(vault.tokens(&acme).await.unwrap().unwrap().generation, 3);
    for _ in 0..2 {
        deployed.put_secret("connection/spoilt", "half a va").await;
    }
    let error = vault.tokens(&acme).await.err().unwrap();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn a_stranger_s_write_is_no_lost_answer() {
    let deployed = Deployed::get().await;
    let way = Forgetful::before(deployed.endpoint()).await;
    let now = SystemClock.now();
    let direct = deployed.store();
    let first = direct.save_record(record("stranger", "1", now)).await;
    direct.save_record(first.unwrap()).await.unwrap();
    // Loses the answer that says the guard did not hold; the second one says it again.
    way.lose(1);
    let stale = Record {
        version: 1,
        ..record("stranger", "1", now)
    };
    let saved = deployed
        .store_through(way.endpoint())
        .save_record(stale)
        .await;
    assert!(matches!(saved, Err(Error::Conflict { .. })), "{saved:?}");
}

#[tokio::test]
async fn what_a_batch_leaves_out_is_asked_for_again() {
    let deployed = Deployed::get().await;
    let way = Stingy::before(deployed.endpoint(), 9).await;
    let store = deployed.store_through(way.endpoint());
    let ids = (1..=130)
        .map(|number| number.to_string().parse().unwrap())
        .collect::<Vec<ZohoId>>();
    let acme = id("stingy");
    let link = |zoho_id: &ZohoId| Link {
        connection: acme.clone(),
        object: Object::Deal,
        zoho_id: *zoho_id,
        standing: Standing::Unmatched,
        hash: Digest::of(b"row"),
        in_scope: true,
        dependants: Dependants::Asked,
    };
    let links = ids.iter().map(link).collect::<Vec<_>>();
    store.save_links(&links).await.unwrap();
    // Five batches of 25 in three calls each, and one of 5.
    assert_eq!(way.calls(), 16);
    let mut found = store.links(&acme, Object::Deal, &ids).await.unwrap();
    found.sort_by_key(|link| link.zoho_id);
    assert_eq!(found, links);
    let names = (1..=130)
        .map(|number| format!("zoho-{number}").parse().unwrap())
        .collect::<Vec<PlatformId>>();
    let direct = deployed.store();
    let waiting = direct.await_references(&acme, Object::Deal, &names).await;
    waiting.unwrap();
    store
        .stop_awaiting(&acme, Object::Deal, &names[..50])
        .await
        .unwrap();
    let left = direct
        .awaiting(&acme, Object::Deal, None, 200)
        .await
        .unwrap();
    assert_eq!(left.len(), 80);
}

#[tokio::test]
async fn throttling_is_said_to_be_throttling() {
    let deployed = Deployed::get().await;
    let way = Stingy::before(deployed.endpoint(), 0).await;
    let store = deployed.store_through(way.endpoint());
    let error = store.connection(&id("throttled")).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::Throttled {
                source: Some(_),
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(way.calls(), 3);
}

#[tokio::test]
async fn a_record_that_is_too_large_is_refused_for_good() {
    let store = Deployed::get().await.store();
    let mut record = record("large", "1", SystemClock.now());
    record.zoho_id = Some("42".parse().unwrap());
    for name in ["a", "b", "c"] {
        let value = Value::Text(name.repeat(200_000));
        record.fields.insert(name.parse().unwrap(), value);
    }
    let error = store.save_record(record).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert_eq!(error.disposition(), Disposition::Never);
    let said = error.to_string();
    assert!(
        said.contains("the task of Zoho id 42 of connection large"),
        "{said}"
    );
}

#[tokio::test]
async fn a_line_that_is_too_long_does_not_stop_its_neighbours() {
    let store = Deployed::get().await.store();
    let now = SystemClock.now();
    let text = |text: &str| Value::Text(text.repeat(250_000));
    let long = Entry {
        fields: vec![FieldChange {
            field: "description".parse().unwrap(),
            before: text("a"),
            after: text("b"),
            overruled: None,
        }],
        ..line("long", "1", now)
    };
    store.write(&[long, line("long", "2", now)]).await.unwrap();
    let query = JournalQuery::default();
    let page = store.read(&id("long"), &query, None, 10).await.unwrap();
    assert_eq!(page.items.len(), 2);
    let kept = &page.items[1].fields[0];
    assert!(kept.before.is_null() != kept.after.is_null());
}

#[tokio::test]
async fn a_token_of_another_question_is_refused_and_leads_nowhere() {
    let store = Deployed::get().await.store();
    let now = SystemClock.now();
    for owner in ["token-a", "token-b"] {
        for number in 0..3 {
            let subject = number.to_string();
            store
                .save_record(record(owner, &subject, now))
                .await
                .unwrap();
            store.write(&[line(owner, &subject, now)]).await.unwrap();
            let run = RunId::new(number, 1);
            let run = Run::begin(id(owner), run, RunKind::Routine, now);
            store.save_run(run).await.unwrap();
        }
    }
    let (a, b) = (&id("token-a"), &id("token-b"));
    let refused = |error: Error| assert!(matches!(error, Error::Refused { .. }), "{error:?}");

    let page = store.list_records(a, Object::Task, None, 1).await.unwrap();
    let answer = store
        .list_records(b, Object::Task, page.next.clone(), 1)
        .await;
    refused(answer.unwrap_err());
    let answer = store
        .list_records(a, Object::Deal, page.next.clone(), 1)
        .await;
    refused(answer.unwrap_err());
    let answer = store
        .records_updated_since(a, Object::Task, now, page.next, 1)
        .await;
    refused(answer.unwrap_err());

    let page = store.runs(a, None, 1).await.unwrap();
    refused(store.runs(b, page.next, 1).await.unwrap_err());

    let all = JournalQuery::default();
    let done = JournalQuery {
        outcome: Some(Outcome::Done),
        ..all.clone()
    };
    for (question, other) in [(&all, &done), (&done, &all)] {
        let page = store.read(a, question, None, 1).await.unwrap();
        refused(
            store
                .read(b, question, page.next.clone(), 1)
                .await
                .unwrap_err(),
        );
        refused(store.read(a, other, page.next, 1).await.unwrap_err());
    }
}

#[tokio::test]
async fn the_template_gives_every_function_its_environment() {
    let deployed = Deployed::get().await;
    for function in FUNCTIONS {
        let variables = deployed.environment(function).await;
        let environment = Environment::of(|name| variables.get(name).cloned()).unwrap();
        assert_eq!(environment.tables, deployed.tables(), "{function}");
        assert_eq!(environment.secret_prefix, "contract/", "{function}");
        let of_console = Environment::of_console(|name| variables.get(name).cloned());
        assert_eq!(of_console.is_ok(), function == "console", "{function}");
    }
}

#[tokio::test]
async fn a_delivery_that_is_put_back_comes_again_before_its_time() {
    let letters = Letters::open(Deployed::get().await).await;
    let work = Work::Dependants {
        version: Version,
        connection: id("acme"),
        run: RunId::new(1, 2),
        object: Object::Task,
        parent: Object::Deal,
        ids: Vec::new(),
    };
    letters.queue().send_work(&[work]).await.unwrap();
    let hour = 3_600;
    let first = letters.take(Object::Task, hour).await.unwrap();
    assert_eq!(letters.take(Object::Task, hour).await, None, "it is out");
    let queue = letters.queue();
    queue.put_back(&first, Duration::ZERO).await.unwrap();
    let second = letters.take(Object::Task, hour).await.unwrap();
    assert_ne!(second.receipt, first.receipt);
    queue
        .put_back(&second, Duration::from_secs(900))
        .await
        .unwrap();
    assert_eq!(letters.take(Object::Task, hour).await, None, "not yet");
    let unknown = Delivery {
        receipt: "unknown".into(),
        ..second
    };
    queue.put_back(&unknown, Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_message_that_is_sent_again_is_as_old_as_it_was() {
    let letters = Letters::open(Deployed::get().await).await;
    let retry = Writeback::Retry {
        version: Version,
        connection: id("acme"),
        next: None,
    };
    let sent_at = SystemClock.now() - SignedDuration::from_hours(1);
    let again = [(retry, sent_at)];
    letters.queue().send_writeback_again(&again).await.unwrap();
    let (sent, first) = letters.times().await;
    assert_eq!(
        tandem::message::sent_at(&sent, "another", first.as_deref()),
        Some(sent_at)
    );
}

#[tokio::test]
async fn a_redriven_message_is_as_old_as_it_was() {
    let letters = Letters::open(Deployed::get().await).await;
    let push = Writeback::Push {
        version: Version,
        connection: id("acme"),
        object: Object::Account,
        ids: Vec::new(),
    };
    let body = serde_json::to_string(&push).unwrap();
    letters.bury(QueueName::Writeback, &id("acme"), &body).await;
    let queue = letters.queue();
    let dead = queue.dead_letters(QueueName::Writeback).await.unwrap();
    let sent_at = dead.seen[0].sent_at.unwrap();
    letters.pass(Duration::from_millis(5)).await;
    queue.redrive(QueueName::Writeback).await.unwrap();
    let (sent, first) = letters.times().await;
    assert_eq!(first, Some(sent_at.to_string()));
    assert!(sent.parse::<i64>().unwrap() > sent_at.as_millisecond());
    // Once more, as if it had failed again.
    let (sent, first) = (sent.as_str(), first.as_deref());
    assert_eq!(
        tandem::message::sent_at(sent, "another", first),
        Some(sent_at)
    );
}

#[tokio::test]
async fn a_function_that_was_not_told_where_dead_letters_wait_says_so() {
    let letters = Letters::open(Deployed::get().await).await;
    let queue = letters.without_dead_letters();
    let refused = queue.dead_letters(QueueName::Writeback).await;
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
    let refused = queue.redrive(QueueName::Writeback).await;
    assert!(matches!(refused, Err(Error::Refused { .. })), "{refused:?}");
}
