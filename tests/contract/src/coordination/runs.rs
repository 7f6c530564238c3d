//! Runs and their slices.

use futures::future::join_all;
use jiff::SignedDuration;
use tandem::cursor::Position;
use tandem::identifier::{ConnectionId, Digest, ZohoId};
use tandem::object::Object;
use tandem::port::Progress;
use tandem::run::{Counter, Counters, Run, RunKind, RunStatus, Slice, SliceKey, Stage};

use super::Stores;
use crate::samples::{run, zoho};
use crate::setting::{CONTENDERS, assert_conflict, assert_refused, one_wins, walk};

fn begun(at: &Stores, connection: &ConnectionId, number: u64, kind: RunKind) -> Run {
    let started_at = at.now + SignedDuration::from_millis(i64::try_from(number).unwrap());
    Run::begin(connection.clone(), run(at.now, number), kind, started_at)
}

pub(crate) async fn a_run_goes_from_version_to_version(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    let new = begun(at, &id, 0, RunKind::Full);
    assert_eq!(at.port.run(&id, &new.id).await.unwrap(), None);
    let create = |_| at.port.save_run(new.clone());
    let first = one_wins((0..CONTENDERS).map(create)).await;
    assert_eq!(
        first,
        Run {
            version: 1,
            ..new.clone()
        }
    );
    assert_eq!(
        at.port.run(&id, &new.id).await.unwrap(),
        Some(first.clone())
    );
    assert_eq!(at.port.run(&alike, &new.id).await.unwrap(), None);

    let ended = Run {
        status: RunStatus::Incomplete,
        stage: Stage::RemoveDependants,
        reason: Some("Zoho hides Modified_Time: \u{26A0}".into()),
        ended_at: Some(at.after(60)),
        ..first.clone()
    };
    let second = at.port.save_run(ended.clone()).await.unwrap();
    assert_eq!(
        second,
        Run {
            version: 2,
            ..ended
        }
    );
    assert_conflict(&at.port.save_run(first).await);
    assert_conflict(&at.port.save_run(new).await);
    assert_eq!(at.port.run(&id, &second.id).await.unwrap(), Some(second));
}

pub(crate) async fn runs_are_listed_newest_first(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    let mut expected = Vec::new();
    for number in [3, 11, 0, 7, 200, 100_000, 2, 90_000] {
        let kind = if number % 2 == 0 {
            RunKind::Full
        } else {
            RunKind::Routine
        };
        expected.push(
            at.port
                .save_run(begun(at, &id, number, kind))
                .await
                .unwrap(),
        );
        at.port
            .save_run(begun(at, &alike, number, kind))
            .await
            .unwrap();
    }
    expected.sort_by_key(|run| std::cmp::Reverse(run.started_at));
    for limit in [1, 3, 8, 50] {
        let page = async |next| at.port.runs(&id, next, limit).await;
        at.eventually(async || walk(limit, page).await, expected.clone())
            .await;
    }
    let first = at.port.runs(&id, None, 3).await.unwrap();
    assert!(first.next.is_some());
    assert_refused(&at.port.runs(&alike, first.next, 50).await);
}

fn slice(at: &Stores, connection: &ConnectionId, of: u64, object: Object, index: u16) -> Slice {
    let stage = Stage::comparing(object);
    Slice {
        connection: connection.clone(),
        run: run(at.now, of),
        key: SliceKey {
            stage,
            object,
            index,
        },
        after: zoho(u64::from(index)),
        to: ZohoId::MAX,
        reached: None,
        position: None,
        looked_at: None,
        done: false,
        failure: None,
        server_time: None,
        plan: None,
        counters: Counters::default(),
        marks: Vec::new(),
        doubtful: vec![ZohoId::MAX],
        unflagged: [("Score".to_owned(), 3)].into(),
        version: 0,
    }
}

fn progressed(slice: &Slice, at: &Stores) -> Slice {
    let mut counters = Counters::default();
    counters.add(Counter::RowsRead, u64::from(u32::MAX) * 1_000);
    counters.add(Counter::OutOfScope, 1);
    Slice {
        reached: Some(zoho(4_876_876_000_000_333_001)),
        position: Some(Position {
            time: at.after(-5),
            id: zoho(10),
        }),
        looked_at: Some("ann@example.com".parse().unwrap()),
        done: true,
        failure: Some("Zoho did not answer as it should".into()),
        server_time: Some(at.after(-1)),
        plan: Some(Digest::of(b"plan")),
        counters,
        marks: vec![zoho(9), zoho(10), zoho(u64::MAX - 1)],
        ..slice.clone()
    }
}

/// The slices without their versions, which count from wherever the store begins.
async fn slices_of(at: &Stores, connection: &ConnectionId, of: u64) -> Vec<Slice> {
    let slices = at.port.slices(connection, &run(at.now, of)).await.unwrap();
    let unversioned = |slice| Slice {
        version: 0,
        ..slice
    };
    slices.into_iter().map(unversioned).collect()
}

pub(crate) async fn slices_are_in_the_order_of_their_keys(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    let mut slices = Vec::new();
    for object in [
        Object::Task,
        Object::Deal,
        Object::User,
        Object::Account,
        Object::Contact,
    ] {
        slices.extend((0..25).rev().map(|index| slice(at, &id, 0, object, index)));
    }
    let removal = SliceKey {
        stage: Stage::RemoveAccounts,
        object: Object::Account,
        index: 0,
    };
    slices.push(Slice {
        key: removal,
        ..slices[0].clone()
    });
    at.port.plan_slices(&slices).await.unwrap();
    at.port.plan_slices(&[]).await.unwrap();
    let others = [
        slice(at, &id, 1, Object::Task, 0),
        slice(at, &alike, 0, Object::Task, 99),
    ];
    at.port.plan_slices(&others).await.unwrap();

    slices.sort_by_key(|slice| slice.key);
    assert_eq!(slices_of(at, &id, 0).await, slices);
    assert_eq!(slices_of(at, &id, 1).await, others[..1]);
    assert_eq!(slices_of(at, &alike, 0).await, others[1..]);
    assert_eq!(slices_of(at, &alike, 1).await, []);
}

pub(crate) async fn planning_again_loses_no_progress(at: &Stores) {
    let id = at.connection();
    let planned = [0, 1].map(|index| slice(at, &id, 0, Object::Deal, index));
    at.port.plan_slices(&planned[..1]).await.unwrap();
    let key = planned[0].key;
    let read = at
        .port
        .slice(&id, &planned[0].run, key)
        .await
        .unwrap()
        .unwrap();
    let mut worked = progressed(&read, at);
    assert_eq!(
        at.port.save_slice(&mut worked).await.unwrap(),
        Progress::Stored
    );

    at.port.plan_slices(&planned).await.unwrap();
    let read = at.port.slice(&id, &planned[0].run, key).await.unwrap();
    assert_eq!(read, Some(worked));
    assert_eq!(slices_of(at, &id, 0).await.len(), 2);
}

pub(crate) async fn of_two_reports_of_a_slice_one_counts(at: &Stores) {
    let id = at.connection();
    let planned = slice(at, &id, 0, Object::Contact, 3);
    at.port
        .plan_slices(std::slice::from_ref(&planned))
        .await
        .unwrap();
    assert_eq!(
        at.port
            .slice(
                &id,
                &planned.run,
                SliceKey {
                    index: 4,
                    ..planned.key
                }
            )
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        at.port
            .slice(&id, &run(at.now, 1), planned.key)
            .await
            .unwrap(),
        None
    );
    let read = at
        .port
        .slice(&id, &planned.run, planned.key)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        Slice {
            version: 0,
            ..read.clone()
        },
        planned
    );

    let mut reports = vec![progressed(&read, at); 12];
    for (number, report) in reports.iter_mut().enumerate() {
        report.counters.add(Counter::Created, number as u64 + 1);
    }
    let answers = join_all(reports.iter_mut().map(|report| at.port.save_slice(report))).await;
    let stored: Vec<usize> = (0..reports.len())
        .filter(|place| *answers[*place].as_ref().unwrap() == Progress::Stored)
        .collect();
    assert_eq!(stored.len(), 1, "{answers:?}");
    let mut winner = reports.swap_remove(stored[0]);
    assert_eq!(
        winner.version,
        read.version + 1,
        "the next version is written back"
    );
    let now = at.port.slice(&id, &planned.run, planned.key).await.unwrap();
    assert_eq!(now.as_ref(), Some(&winner));

    let mut late = progressed(&read, at);
    assert_eq!(
        at.port.save_slice(&mut late).await.unwrap(),
        Progress::Overtaken
    );
    assert_eq!(
        at.port.save_slice(&mut winner).await.unwrap(),
        Progress::Stored
    );
    let now = at.port.slice(&id, &planned.run, planned.key).await.unwrap();
    assert_eq!(now, Some(winner));
}
