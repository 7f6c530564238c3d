//! Cursors, what Zoho does not show, preflights, leases, OAuth states; runs and credit counters.

mod credits;
mod runs;

use std::collections::BTreeSet;

use futures::future::join_all;
use tandem::cursor::Cursor;
use tandem::data_centre::DataCentre;
use tandem::identifier::{ConnectionId, Digest};
use tandem::lack::{Lack, Lacks};
use tandem::object::Object;
use tandem::port::{Browser, OAuthState, Store};
use tandem::preflight::Preflight;

use crate::samples::preflight;
use crate::setting::{CONTENDERS, Setting, assert_conflict, one_wins};

pub(crate) use credits::{
    buckets_are_in_the_order_of_time_at_any_digit_count, credits_add_up_over_buckets,
    credits_are_kept_by_hour_and_by_who_spent_them, zohos_latest_word_in_an_hour_stays,
};
pub(crate) use runs::{
    a_run_goes_from_version_to_version, of_two_reports_of_a_slice_one_counts,
    planning_again_loses_no_progress, runs_are_listed_newest_first,
    slices_are_in_the_order_of_their_keys,
};

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
