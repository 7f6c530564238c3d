//! Cursors, leases, runs, slices, OAuth states, credit counters.

use std::collections::BTreeSet;

use futures::future::join_all;
use jiff::SignedDuration;
use tandem::credit::{self, Bucket, Hour, Parts, Spender, Spent, Word};
use tandem::cursor::{Cursor, Position};
use tandem::data_centre::DataCentre;
use tandem::identifier::{ConnectionId, Digest, ZohoId};
use tandem::lack::{Lack, Lacks};
use tandem::object::Object;
use tandem::port::{Browser, OAuthState, Progress, Store};
use tandem::preflight::Preflight;
use tandem::run::{Counter, Counters, Run, RunKind, RunStatus, Slice, SliceKey, Stage};

use crate::samples::{preflight, run, zoho};
use crate::setting::{CONTENDERS, Setting, assert_conflict, assert_refused, one_wins, walk};

type Stores = Setting<dyn Store>;

fn cursor(at: &Stores, seconds: i64) -> Cursor {
    let plan = Digest::of(b"plan");
    let until = at.after(seconds);
    Cursor {
        until,
        plan,
        owes: false,
    }
}

pub(crate) async fn a_cursor_moves_from_where_it_stands(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    let (here, there) = (cursor(at, 1), cursor(at, 2));
    let move_it = |from, to| at.port.move_cursor(&id, Object::Deal, from, to);
    assert_eq!(at.port.cursor(&id, Object::Deal).await.unwrap(), None);
    assert_conflict(&move_it(Some(here), there).await);
    move_it(None, here).await.unwrap();
    assert_eq!(at.port.cursor(&id, Object::Deal).await.unwrap(), Some(here));
    assert_conflict(&move_it(None, there).await);
    assert_conflict(&move_it(Some(there), here).await);
    let replanned = Cursor {
        plan: Digest::of(b"another"),
        ..here
    };
    assert_conflict(&move_it(Some(replanned), there).await);
    move_it(Some(here), replanned).await.unwrap();
    let owing = Cursor {
        owes: true,
        ..replanned
    };
    assert_conflict(&move_it(Some(owing), there).await);
    move_it(Some(replanned), owing).await.unwrap();
    assert_eq!(
        at.port.cursor(&id, Object::Deal).await.unwrap(),
        Some(owing)
    );
    assert_conflict(&move_it(Some(replanned), there).await);
    move_it(Some(owing), cursor(at, -7)).await.unwrap();
    let back = at.port.cursor(&id, Object::Deal).await.unwrap();
    assert_eq!(back, Some(cursor(at, -7)));
    assert_eq!(at.port.cursor(&id, Object::Task).await.unwrap(), None);
    assert_eq!(at.port.cursor(&alike, Object::Deal).await.unwrap(), None);
}

pub(crate) async fn what_zoho_does_not_show_is_kept_by_object(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    assert_eq!(at.port.lacks(&id).await.unwrap(), Lacks::new());
    let fields = BTreeSet::from([Lack::Field("Stage".into()), Lack::Field("Amount".into())]);
    let module = BTreeSet::from([Lack::Module]);
    let none = BTreeSet::new();
    let keep = |object, lacks| at.port.keep_lacks(&id, object, lacks);
    keep(Object::Deal, &fields).await.unwrap();
    keep(Object::Task, &fields).await.unwrap();
    keep(Object::Task, &module).await.unwrap();
    let kept = Lacks::from([
        (Object::Deal, fields.clone()),
        (Object::Task, module.clone()),
    ]);
    assert_eq!(at.port.lacks(&id).await.unwrap(), kept);
    assert_eq!(at.port.lacks(&alike).await.unwrap(), Lacks::new());
    for object in [Object::Deal, Object::Task, Object::User] {
        keep(object, &none).await.unwrap();
    }
    assert_eq!(at.port.lacks(&id).await.unwrap(), Lacks::new());
}

pub(crate) async fn the_preflight_of_the_latest_settings_is_kept(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    let kept = async |id: &ConnectionId| at.port.preflight(id).await.unwrap();
    assert_eq!(kept(&id).await, None);
    let of = |settings, seconds| preflight(settings, at.after(seconds));
    let keep = async |preflight: &Preflight| at.port.keep_preflight(&id, preflight).await.unwrap();
    let first = of(3, 10);
    keep(&first).await;
    assert_eq!(kept(&id).await, Some(first.clone()));
    for older in [of(2, 99), of(3, 9)] {
        keep(&older).await;
        assert_eq!(kept(&id).await, Some(first.clone()), "{older:?}");
    }
    let again = Preflight {
        credits: 7,
        ..first
    };
    for later in [again, of(3, 11), of(4, 0), of(10, 0)] {
        keep(&later).await;
        assert_eq!(kept(&id).await, Some(later));
    }
    assert_eq!(kept(&alike).await, None);
}

pub(crate) async fn a_cursor_is_moved_by_one(at: &Stores) {
    let id = at.connection();
    let to = |number: u64| cursor(at, i64::try_from(number).unwrap());
    let begin = |number| at.port.move_cursor(&id, Object::User, None, to(number));
    one_wins((0..CONTENDERS).map(begin)).await;
    let stands = at.port.cursor(&id, Object::User).await.unwrap();
    assert!(stands.is_some());
    let go_on = |number| {
        at.port
            .move_cursor(&id, Object::User, stands, to(100 + number))
    };
    one_wins((0..CONTENDERS).map(go_on)).await;
}

pub(crate) async fn a_lease_has_one_holder_until_it_runs_out(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    let lease = async |name: &str, holder: &str, now, until| {
        let (now, until) = (at.after(now), at.after(until));
        at.port.lease(&id, name, holder, now, until).await.unwrap()
    };
    assert!(lease("token", "ann", 0, 60).await);
    assert!(!lease("token", "bob", 1, 61).await);
    assert!(lease("token", "ann", 30, 90).await, "its holder renews it");
    assert!(!lease("token", "bob", 61, 120).await, "it was renewed");
    assert!(lease("token", "bob", 91, 150).await, "it ran out");
    assert!(!lease("token", "ann", 92, 150).await, "it changed hands");
    assert!(
        lease("token", "bob", 151, 160).await,
        "nobody took it since"
    );
    assert!(lease("token-2", "ann", 152, 160).await, "another name");
    assert!(lease("token#2", "cid", 152, 160).await, "another name");
    let other = at
        .port
        .lease(&alike, "token", "ann", at.after(152), at.after(160));
    assert!(other.await.unwrap(), "another connection");
}

pub(crate) async fn a_lease_is_given_back_by_its_holder_only(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    let lease = async |holder: &str| {
        let (now, until) = (at.now, at.after(600));
        at.port
            .lease(&id, "writeback", holder, now, until)
            .await
            .unwrap()
    };
    let release = async |connection, holder: &str| {
        at.port
            .release(connection, "writeback", holder)
            .await
            .unwrap();
    };
    release(&id, "ann").await;
    assert!(lease("ann").await);
    release(&id, "bob").await;
    release(&alike, "ann").await;
    assert!(!lease("bob").await, "a stranger gave it back");
    release(&id, "ann").await;
    assert!(lease("bob").await);
    release(&id, "ann").await;
    assert!(!lease("ann").await, "it was hers before, not now");
}

pub(crate) async fn a_lease_is_taken_by_one(at: &Stores) {
    let id = at.connection();
    for round in 0..3 {
        let (now, until) = (at.after(round * 100), at.after(round * 100 + 50));
        let holders: Vec<String> = (0..CONTENDERS).map(|n| format!("{round}-{n}")).collect();
        let take = |holder| at.port.lease(&id, "night", holder, now, until);
        let taken = join_all(holders.iter().map(|holder| take(holder))).await;
        let winners = taken.into_iter().filter(|taken| *taken.as_ref().unwrap());
        assert_eq!(winners.count(), 1, "round {round}");
    }
}

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

pub(crate) async fn an_oauth_state_is_taken_by_one(at: &Stores) {
    let connection = at.connection();
    let state = |name: &str| OAuthState {
        digest: Digest::of(format!("{connection} {name}").as_bytes()),
        connection: connection.clone(),
        centre: DataCentre::Jp,
        browser: Browser(Digest::of(b"cookie")),
        expires_at: at.after(600),
    };
    let (kept, other) = (state("kept"), state("other"));
    at.port.keep_oauth_state(&kept).await.unwrap();
    at.port.keep_oauth_state(&other).await.unwrap();
    let unknown = state("unknown").digest;
    assert_eq!(at.port.take_oauth_state(&unknown).await.unwrap(), None);
    let take = |_| at.port.take_oauth_state(&kept.digest);
    let taken = join_all((0..CONTENDERS).map(take)).await;
    let taken: Vec<_> = taken.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(taken, std::slice::from_ref(&kept));
    assert_eq!(take(0).await.unwrap(), None);
    assert_eq!(
        at.port.take_oauth_state(&other.digest).await.unwrap(),
        Some(other)
    );
}

fn spend(spender: Spender, credits: u64) -> Spent {
    Spent {
        spender,
        credits,
        word: None,
    }
}

/// What was spent from a bucket on, by everybody.
async fn spent_from(at: &Stores, connection: &ConnectionId, from: Bucket) -> u64 {
    let hours = at.port.credits_spent(connection, from).await.unwrap();
    credit::spent(&hours).total()
}

pub(crate) async fn credits_add_up_over_buckets(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    let bucket = |hours: i64| Bucket::of(at.after(hours * 3_600));
    let spent = async |from| spent_from(at, &id, bucket(from)).await;
    let add = async |hours, credits| {
        let spent = spend(Spender::RoutineSync, credits);
        let added = at.port.spend_credits(&id, bucket(hours), spent).await;
        added.unwrap();
    };
    assert_eq!(spent(-24).await, 0);
    add(0, 0).await;
    assert_eq!(spent(-24).await, 0);
    for (hours, credits) in [
        (-24, 1),
        (-2, 10),
        (-1, 100),
        (0, 1_000),
        (0, 4_000_000_000),
    ] {
        add(hours, credits).await;
    }
    let others = spend(Spender::FullSync, 7);
    at.port
        .spend_credits(&alike, bucket(0), others)
        .await
        .unwrap();
    assert_eq!(spent(-24).await, 4_000_001_111);
    assert_eq!(spent(-23).await, 4_000_001_110);
    assert_eq!(spent(-1).await, 4_000_001_100);
    assert_eq!(spent(1).await, 0);

    let add = |_| {
        at.port
            .spend_credits(&id, bucket(1), spend(Spender::Writeback, 3))
    };
    for answer in join_all((0..CONTENDERS).map(add)).await {
        answer.unwrap();
    }
    assert_eq!(spent(1).await, 3 * CONTENDERS);
    assert_eq!(spent_from(at, &alike, bucket(0)).await, 7);
}

pub(crate) async fn credits_are_kept_by_hour_and_by_who_spent_them(at: &Stores) {
    let id = at.connection();
    let bucket = |hours: i64| Bucket::of(at.after(hours * 3_600));
    for (hours, spender, credits) in [
        (0, Spender::FullSync, 1),
        (0, Spender::RoutineSync, 20),
        (0, Spender::Person, 300),
        (0, Spender::Writeback, 4_000),
        (0, Spender::Writeback, 50_000),
        (-1, Spender::FullSync, 9),
    ] {
        let spent = spend(spender, credits);
        at.port
            .spend_credits(&id, bucket(hours), spent)
            .await
            .unwrap();
    }
    let hour = |hours, parts| Hour {
        bucket: bucket(hours),
        parts,
        word: None,
    };
    let before = Parts {
        full_sync: 9,
        ..Parts::default()
    };
    let now = Parts {
        full_sync: 1,
        routine_sync: 20,
        person: 300,
        writeback: 54_000,
    };
    let kept = at.port.credits_spent(&id, bucket(-24)).await.unwrap();
    assert_eq!(kept, [hour(-1, before), hour(0, now)]);
}

pub(crate) async fn zohos_latest_word_in_an_hour_stays(at: &Stores) {
    let [id, alike, _] = at.look_alikes();
    let bucket = Bucket::of(at.now);
    let word = |left, seconds| Word {
        left,
        at: at.after(seconds),
    };
    let tell = async |told| {
        let spent = Spent {
            word: told,
            ..spend(Spender::Writeback, 1)
        };
        at.port.spend_credits(&id, bucket, spent).await.unwrap();
        let hours = at.port.credits_spent(&id, bucket).await.unwrap();
        assert_eq!(hours.len(), 1);
        hours[0].word
    };
    assert_eq!(tell(None).await, None);
    assert_eq!(tell(Some(word(0, 5))).await, Some(word(0, 5)));
    assert_eq!(
        tell(Some(word(9, 4))).await,
        Some(word(0, 5)),
        "an older one"
    );
    assert_eq!(
        tell(Some(word(9, 5))).await,
        Some(word(0, 5)),
        "the same instant"
    );
    assert_eq!(tell(None).await, Some(word(0, 5)));
    let most = word(u64::MAX, 6);
    assert_eq!(tell(Some(most)).await, Some(most));
    assert_eq!(spent_from(at, &id, bucket).await, 6, "all are counted");
    assert_eq!(at.port.credits_spent(&alike, bucket).await.unwrap(), []);
}

pub(crate) async fn buckets_are_in_the_order_of_time_at_any_digit_count(at: &Stores) {
    let id = at.connection();
    let after_the_epoch =
        |hours: i64| Bucket::of(jiff::Timestamp::from_second(hours * 3_600).unwrap());
    let far = after_the_epoch(1_000_000);
    let spent = spend(Spender::Person, 5);
    at.port.spend_credits(&id, far, spent).await.unwrap();
    assert_eq!(spent_from(at, &id, Bucket::of(at.now)).await, 5);
    assert_eq!(spent_from(at, &id, Bucket::day_before(at.now)).await, 5);
}
