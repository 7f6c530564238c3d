//! What the doubles can do beyond the contract: fail on order, end a process, lag behind, interleave, count.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tandem::connection::{Connection, Status};
use tandem::data_centre::Directory;
use tandem::identifier::ConnectionId;
use tandem::message::{Version, Writeback};
use tandem::object::Object;
use tandem::port::{Connections as _, Due, Error, Ports, Records as _};
use tandem::record::Record;
use tandem::spread::Shard;
use tandem_memory::{Crashed, Failure, Fault, Faults, Faulty, Nobody, When, World, interleave};

fn world() -> World {
    let now = "2026-11-23T10:00:00Z".parse().unwrap();
    World::new(7, now, Directory::zoho(), Arc::new(Nobody))
}

fn acme() -> ConnectionId {
    "acme".parse().unwrap()
}

fn record(id: &str) -> Record {
    let id = id.parse().unwrap();
    Record::new(acme(), Object::Task, id, Timestamp::UNIX_EPOCH)
}

fn push(id: &str) -> Writeback {
    Writeback::Push {
        version: Version,
        connection: acme(),
        object: Object::Task,
        ids: vec![id.parse().unwrap()],
    }
}

#[tokio::test]
async fn a_call_fails_before_or_after_its_effect() {
    let world = world();
    let ports = world.ports();
    let fail = |when| Fault::Fail(when, Failure::Unavailable);
    for (when, stored) in [(When::Before, 0), (When::Midway, 0), (When::After, 1)] {
        world.faults.on("save_record", 1, fail(when));
        let answer = ports.store.save_record(record("t-1")).await;
        assert!(matches!(answer, Err(Error::Unavailable { .. })), "{when:?}");
        assert_eq!(world.store.all_records(&acme()).len(), stored, "{when:?}");
    }
    assert_eq!(world.faults.calls_of("save_record"), 3);
    world.faults.clear();
    let (acme, id) = (acme(), "t-1".parse().unwrap());
    let seen = ports.store.records(&acme, Object::Task, &[id]).await;
    assert_eq!(seen.unwrap().len(), 1);
}

#[tokio::test]
async fn a_batch_can_fail_midway() {
    let world = world();
    let fault = Fault::Fail(When::Midway, Failure::Throttled);
    world.faults.at(1, fault);
    let messages = [push("a"), push("b"), push("c"), push("d")];
    let answer = world.ports().queue.send_writeback(&messages).await;
    assert!(matches!(answer, Err(Error::Throttled { .. })));
    assert_eq!(world.queue.writeback.messages(), messages[..2]);
}

async fn three_records(ports: &Ports) -> Result<(), Error> {
    for id in ["a", "b", "c"] {
        ports.store.save_record(record(id)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_process_can_end_between_any_two_calls() {
    for (number, when, stored) in [
        (1, When::Before, 0),
        (1, When::After, 1),
        (2, When::Before, 1),
        (3, When::After, 3),
    ] {
        let world = world();
        world.faults.at(number, Fault::Crash(when));
        let ended = world.faults.run(three_records(&world.ports())).await;
        assert_eq!(ended.unwrap_err(), Crashed);
        assert_eq!(world.store.all_records(&acme()).len(), stored);
    }
    let world = world();
    let ended = world.faults.run(three_records(&world.ports())).await;
    ended.unwrap().unwrap();
}

#[tokio::test]
async fn outside_of_a_process_a_crash_is_a_failure() {
    let world = world();
    world.faults.at(2, Fault::Crash(When::Before));
    assert!(three_records(&world.ports()).await.is_err());
}

#[tokio::test]
async fn handlers_meet_in_every_order_and_a_seed_replays_it() {
    async fn orders(seed: u64) -> Vec<u64> {
        let now = Timestamp::UNIX_EPOCH;
        let world = World::new(seed, now, Directory::zoho(), Arc::new(Nobody));
        world.faults.give_way(true);
        let ports = world.ports();
        let count = async || {
            let mut refused = 0;
            for _ in 0..20 {
                let id = "t-1".parse().unwrap();
                let found = ports.store.records(&acme(), Object::Task, &[id]).await;
                let read = found.unwrap().pop().unwrap_or_else(|| record("t-1"));
                refused += u64::from(ports.store.save_record(read).await.is_err());
            }
            refused
        };
        interleave(&world.entropy, vec![Box::pin(count()), Box::pin(count())]).await
    }
    let first = orders(1).await;
    assert_eq!(first, orders(1).await);
    assert!(first.iter().sum::<u64>() > 0, "they never met");
    assert_ne!(first, orders(2).await);
}

#[tokio::test]
async fn an_index_can_lag_behind_its_table() {
    let world = world();
    world.store.lag_indexes(1);
    let due = async || {
        let mut found = 0;
        for shard in Shard::all() {
            let due = world.store.due(Due::Routine, shard, world.now(), 10).await;
            found += due.unwrap().len();
        }
        found
    };
    for id in ["one", "two"] {
        let id: ConnectionId = id.parse().unwrap();
        let connection = Connection {
            status: Status::Enabled,
            routine_due_at: Some(world.now()),
            ..Connection::new(id, "Any".into(), world.now())
        };
        world.store.save_connection(connection).await.unwrap();
    }
    assert_eq!(due().await, 1);
    world.store.settle_indexes();
    assert_eq!(due().await, 2);
}

#[tokio::test]
async fn writes_are_counted_and_refused_ones_are_not() {
    let world = world();
    let before = world.store.writes();
    world.store.save_record(record("a")).await.unwrap();
    world.store.save_record(record("a")).await.unwrap_err();
    let written = world.store.writes() - before;
    assert_eq!(written.records, 1);
    assert!(!written.is_quiet());
    assert!((world.store.writes() - world.store.writes()).is_quiet());
}

#[tokio::test]
async fn messages_come_in_any_order_twice_or_never() {
    let world = world();
    let line = &world.queue.writeback;
    line.send(["a", "b", "c", "d"].map(push));
    assert!(line.duplicate(0));
    assert_eq!(line.lose(1), Some(push("b")));
    let first = line.take_where(|message| *message == push("d")).unwrap();
    assert_eq!((first.id.as_str(), first.taken), ("writeback-4", 1));
    line.put_back(first);
    line.shuffle(&world.entropy);
    let mut rest: Vec<String> = line.take_all().into_iter().map(|held| held.id).collect();
    rest.sort();
    assert_eq!(
        rest,
        ["writeback-1", "writeback-3", "writeback-4", "writeback-5"]
    );
    assert!(world.queue.is_empty());
}

#[tokio::test]
async fn a_delayed_message_waits_for_the_clock() {
    let world = world();
    let line = &world.queue.writeback;
    line.send_later([push("later")], Duration::from_secs(60));
    line.send([push("now")]);
    assert_eq!((line.len(), line.ready()), (2, 1));
    assert_eq!(line.take().unwrap().message, push("now"));
    assert_eq!(line.take(), None);
    world.clock.set(line.next_at().unwrap());
    assert_eq!(line.take().unwrap().message, push("later"));
}

#[tokio::test]
async fn a_wrapper_goes_around_any_store() {
    let world = world();
    let faults = Faults::none();
    let store = Faulty::new(world.ports().store, faults.clone());
    assert!(store.connection(&acme()).await.unwrap().is_none());
    assert_eq!((faults.calls(), world.faults.calls()), (1, 1));
    assert_eq!(faults.last_calls()[0].operation, "connection");
    world.clock.advance(SignedDuration::from_mins(1));
    assert_eq!(world.now().to_string(), "2026-11-23T10:01:00Z");
}
