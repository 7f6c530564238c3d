//! Lists and indexes of records.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tandem::identifier::{ConnectionId, Digest, PlatformId};
use tandem::object::Object;
use tandem::record::{Parked, Record, RemovalReason, Removed};
use tandem::value::Value;

use super::Stores;
use crate::samples::{edit, field, of_account, platform, record, run};
use crate::setting::{assert_refused, walk};

/// Ids that begin alike, need escaping somewhere or sort otherwise where text is compared otherwise.
const NAMES: [&str; 12] = [
    "1",
    "10",
    "9",
    "a",
    "a#b",
    "a/b",
    "a b",
    "A",
    "ab",
    "é",
    "\u{1F517}",
    "{\"id\":1}",
];

fn names(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| record.id.to_string()).collect()
}

pub(crate) async fn records_are_listed_once_and_by_id(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    for name in NAMES {
        for (owner, object) in [
            (&id, Object::Deal),
            (&id, Object::Task),
            (&alike, Object::Deal),
        ] {
            at.port
                .save_record(record(owner, object, name, at.now))
                .await
                .unwrap();
        }
    }
    let mut sorted = NAMES.map(str::to_owned).to_vec();
    sorted.sort();
    for limit in [1, 5, 12, 13, 1_000] {
        let listed = async || {
            let page = async |next| at.port.list_records(&id, Object::Deal, next, limit).await;
            let found = walk(limit, page).await;
            assert!(
                found
                    .iter()
                    .all(|record| (&record.connection, record.object) == (&id, Object::Deal))
            );
            names(&found)
        };
        at.eventually(listed, sorted.clone()).await;
    }
    let none = at
        .port
        .list_records(&id, Object::Account, None, 5)
        .await
        .unwrap();
    assert_eq!((none.items, none.next), (Vec::new(), None));

    let next = at
        .port
        .list_records(&id, Object::Deal, None, 3)
        .await
        .unwrap()
        .next;
    assert!(next.is_some());
    let list = async |owner, object| at.port.list_records(owner, object, next.clone(), 50).await;
    assert_refused(&list(&alike, Object::Deal).await);
    assert_refused(&list(&id, Object::Task).await);
}

pub(crate) async fn what_changed_since_comes_oldest_change_first(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    let changed = async |owner: &ConnectionId, name: &str, seconds: i64, version: u64| {
        let updated_at = at.after(seconds);
        let record = Record {
            updated_at,
            version,
            ..record(owner, Object::Account, name, at.now)
        };
        at.port.save_record(record).await.unwrap()
    };
    for (place, name) in NAMES.iter().enumerate() {
        let seconds = i64::try_from(place * 7 % 12).unwrap();
        changed(&id, name, seconds, 0).await;
        changed(&alike, name, seconds, 0).await;
    }
    changed(&id, "9", 12, 1).await;
    let mut times: Vec<(usize, &str)> = NAMES
        .iter()
        .enumerate()
        .map(|(place, name)| (place * 7 % 12, *name))
        .collect();
    times.retain(|(_, name)| *name != "9");
    times.push((12, "9"));
    times.sort_unstable();
    let expected = |since: usize| -> Vec<String> {
        times
            .iter()
            .filter(|(at, _)| *at >= since)
            .map(|(_, name)| (*name).to_owned())
            .collect()
    };
    for (since, limit) in [(0, 1), (0, 5), (0, 100), (4, 2), (4, 100), (12, 3), (13, 3)] {
        let from = at.after(i64::try_from(since).unwrap());
        let look = async || {
            let page = async |next| {
                at.port
                    .records_updated_since(&id, Object::Account, from, next, limit)
                    .await
            };
            names(&walk(limit, page).await)
        };
        at.eventually(look, expected(since)).await;
    }
    let changed = async |owner, since, next| {
        let changed = at
            .port
            .records_updated_since(owner, Object::Account, since, next, 3);
        changed.await
    };
    let next = changed(&id, at.now, None).await.unwrap().next;
    assert!(next.is_some());
    assert_refused(&changed(&alike, at.now, next.clone()).await);
    assert_refused(&changed(&id, at.after(1), next.clone()).await);
    assert_refused(&at.port.list_records(&id, Object::Account, next, 3).await);
}

pub(crate) async fn changes_of_one_instant_are_all_listed(at: &Stores) {
    let id = at.connection();
    for number in 0..30 {
        let name = format!("{number}");
        at.port
            .save_record(record(&id, Object::Deal, &name, at.now))
            .await
            .unwrap();
    }
    let look = async || {
        let page = async |next| {
            at.port
                .records_updated_since(&id, Object::Deal, at.now, next, 4)
                .await
        };
        let found = walk(4, page).await;
        let distinct: BTreeSet<String> = names(&found).into_iter().collect();
        (found.len(), distinct.len())
    };
    at.eventually(look, (30, 30)).await;
}

pub(crate) async fn an_account_has_its_records(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    let mut expected = BTreeSet::new();
    for (object, name) in [
        (Object::Contact, "c#1"),
        (Object::Deal, "same"),
        (Object::Task, "same"),
    ] {
        let mut dependant = record(&id, object, name, at.now);
        of_account(&mut dependant, "acme");
        at.port.save_record(dependant).await.unwrap();
        expected.insert((object, platform(name)));
    }
    let mut big = BTreeSet::new();
    for number in 0..120 {
        let name = format!("c-{number}");
        let mut contact = record(&id, Object::Contact, &name, at.now);
        of_account(&mut contact, "acme 2");
        at.port.save_record(contact).await.unwrap();
        big.insert((Object::Contact, platform(&name)));
    }
    let mut other = record(&alike, Object::Contact, "c#1", at.now);
    of_account(&mut other, "acme");
    at.port.save_record(other).await.unwrap();
    at.port
        .save_record(record(&id, Object::Contact, "of nobody", at.now))
        .await
        .unwrap();
    at.port
        .save_record(record(&id, Object::Account, "acme", at.now))
        .await
        .unwrap();

    let of = async |account: &str| -> BTreeSet<(Object, PlatformId)> {
        let found = at
            .port
            .records_of_account(&id, &platform(account))
            .await
            .unwrap();
        let distinct: BTreeSet<_> = found.iter().cloned().collect();
        assert_eq!(found.len(), distinct.len(), "one came twice");
        distinct
    };
    at.eventually(async || of("acme").await, expected.clone())
        .await;
    at.eventually(async || of("acme 2").await, big.clone())
        .await;
    at.eventually(async || of("acme 3").await, BTreeSet::new())
        .await;

    let mut moved = record(&id, Object::Deal, "same", at.now);
    of_account(&mut moved, "acme 2");
    let mut moved = at
        .port
        .save_record(Record {
            version: 1,
            ..moved
        })
        .await
        .unwrap();
    let key = (Object::Deal, platform("same"));
    expected.remove(&key);
    big.insert(key.clone());
    at.eventually(async || of("acme").await, expected.clone())
        .await;
    at.eventually(async || of("acme 2").await, big.clone())
        .await;

    moved.fields.insert(field("account"), Value::Null);
    at.port.save_record(moved).await.unwrap();
    big.remove(&key);
    at.eventually(async || of("acme 2").await, big).await;
}

pub(super) async fn pending(
    at: &Stores,
    id: &ConnectionId,
    before: Timestamp,
    limit: usize,
) -> Vec<String> {
    let found = at.port.pending(id, before, limit).await.unwrap();
    found
        .into_iter()
        .map(|(object, id)| format!("{object} {id}"))
        .collect()
}

pub(crate) async fn pending_edits_come_oldest_first(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    let edited = async |owner: &ConnectionId, object, name: &str, seconds: &[i64]| {
        let mut draft = record(owner, object, name, at.now);
        for (place, second) in seconds.iter().enumerate() {
            edit(&mut draft, &format!("field_{place}"), at.after(*second));
        }
        at.port.save_record(draft).await.unwrap()
    };
    edited(&id, Object::Task, "t-1", &[30, 5]).await;
    edited(&id, Object::Contact, "c#1", &[-100]).await;
    let third = edited(&id, Object::Account, "a-1", &[6]).await;
    let parked = edited(&id, Object::Task, "t-2", &[7]).await;
    edited(&id, Object::Task, "later", &[11]).await;
    edited(&id, Object::Task, "none", &[]).await;
    edited(&alike, Object::Task, "t-1", &[0]).await;
    let before = async |seconds, limit| pending(at, &id, at.after(seconds), limit).await;
    let all = ["contact c#1", "task t-1", "account a-1", "task t-2"].map(str::to_owned);
    at.eventually(async || before(10, 100).await, all.to_vec())
        .await;
    at.eventually(async || before(10, 2).await, all[..2].to_vec())
        .await;
    at.eventually(async || before(5, 100).await, all[..2].to_vec())
        .await;
    at.eventually(async || before(-101, 100).await, Vec::new())
        .await;

    let why = Parked {
        code: "RECORD_LOCKED".into(),
        field: None,
        remedy: "unlock it".into(),
        at: at.now,
        attempt: Digest::of(b"attempt"),
    };
    at.port
        .save_record(Record {
            parked: Some(why),
            ..parked.clone()
        })
        .await
        .unwrap();
    at.eventually(async || before(10, 100).await, all[..3].to_vec())
        .await;
    let settled = Record {
        pending: Default::default(),
        ..third
    };
    at.port.save_record(settled).await.unwrap();
    at.eventually(async || before(10, 100).await, all[..2].to_vec())
        .await;
    let retried = Record {
        parked: None,
        version: 2,
        ..parked
    };
    at.port.save_record(retried).await.unwrap();
    let back = vec![all[0].clone(), all[1].clone(), all[3].clone()];
    at.eventually(async || before(10, 100).await, back).await;
}

pub(crate) async fn parked_edits_come_latest_first(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    let why = |second: i64| Parked {
        code: "RECORD_LOCKED".into(),
        field: None,
        remedy: "unlock it".into(),
        at: at.after(second),
        attempt: Digest::of(b"attempt"),
    };
    let park = async |owner: &ConnectionId, object, name: &str, second: i64| {
        let mut draft = record(owner, object, name, at.now);
        // How old the edit is does not matter, but when it was parked.
        edit(&mut draft, "name", at.after(100 - second));
        draft.parked = Some(why(second));
        at.port.save_record(draft).await.unwrap()
    };
    let parked = async |limit: usize| {
        let page = async |next| at.port.parked(&id, next, limit).await;
        names(&walk(limit, page).await)
    };
    for (second, name) in (0..).zip(NAMES) {
        park(&id, Object::Contact, name, second).await;
        park(&alike, Object::Contact, name, second).await;
    }
    let last = park(&id, Object::Task, "a#b", 90).await;
    let mut expected = NAMES.map(str::to_owned).to_vec();
    expected.push("a#b".to_owned());
    expected.reverse();
    for limit in [1, 5, 13, 100] {
        at.eventually(async || parked(limit).await, expected.clone())
            .await;
    }
    at.eventually(
        async || pending(at, &id, at.after(1_000), 100).await,
        Vec::new(),
    )
    .await;
    let first = at.port.parked(&id, None, 2).await.unwrap();
    assert_eq!(first.items.first(), Some(&last), "a record as it is stored");
    assert_refused(&at.port.parked(&alike, first.next, 2).await);

    let on_its_way = Record {
        parked: None,
        ..last.clone()
    };
    let on_its_way = at.port.save_record(on_its_way).await.unwrap();
    at.eventually(async || parked(100).await, expected[1..].to_vec())
        .await;
    let again = Record {
        parked: Some(why(-5)),
        ..on_its_way
    };
    let again = at.port.save_record(again).await.unwrap();
    expected.rotate_left(1);
    at.eventually(async || parked(100).await, expected.clone())
        .await;
    let gone = Record {
        removed: Some(Removed {
            at: at.now,
            run: run(at.now, 0),
            reason: RemovalReason::Gone,
        }),
        ..again
    };
    at.port.save_record(gone).await.unwrap();
    expected.pop();
    at.eventually(async || parked(3).await, expected).await;
}
