//! Deleting everything of a connection.

use std::collections::BTreeSet;

use tandem::calculation::Mark;
use tandem::connection::{Connection, Deleted};
use tandem::credit::{Bucket, Hour, Spender, Spent};
use tandem::cursor::Cursor;
use tandem::data_centre::DataCentre;
use tandem::identifier::{ConnectionId, Digest, PlatformId, ZohoId};
use tandem::journal::{Entry, Outcome, Retention};
use tandem::lack::{Lack, Lacks};
use tandem::object::Object;
use tandem::port::{Browser, JournalQuery, OAuthState, SettingsVersion, Store};
use tandem::record::{Candidate, Link, Record};
use tandem::run::{Run, RunKind, Slice};
use tandem::settings::Settings;

use crate::samples::{candidate, edit, enabled, link, of_account, platform, record, run, zoho};
use crate::setting::{Setting, walk};

type Stores = Setting<dyn Store>;

/// Everything that can be read about a connection, but the OAuth states, which are taken when they are read.
#[derive(Debug, PartialEq)]
struct Everything {
    connection: Option<Connection>,
    settings: Vec<SettingsVersion>,
    cursors: Vec<Cursor>,
    runs: Vec<Run>,
    slices: Vec<Slice>,
    lacks: Lacks,
    credits: Vec<Hour>,
    links: Vec<Link>,
    candidates: Vec<Candidate>,
    awaiting: Vec<PlatformId>,
    records: Vec<Record>,
    of_account: Vec<(Object, PlatformId)>,
    pending: Vec<(Object, PlatformId)>,
    marks: Vec<Mark>,
    plan: Option<Digest>,
    log: Vec<Entry>,
    outcomes: Vec<Entry>,
}

/// The account that the sample records belong to.
const ACCOUNT: &str = "A-1";

async fn everything(at: &Stores, id: &ConnectionId) -> Everything {
    let port = &at.port;
    let mut found = Everything {
        connection: port.connection(id).await.unwrap(),
        settings: walk(10, async |next| port.settings_history(id, next, 10).await).await,
        cursors: Vec::new(),
        runs: walk(10, async |next| port.runs(id, next, 10).await).await,
        slices: port.slices(id, &run(at.now, 1)).await.unwrap(),
        lacks: port.lacks(id).await.unwrap(),
        credits: port
            .credits_spent(id, Bucket::day_before(at.now))
            .await
            .unwrap(),
        links: Vec::new(),
        candidates: Vec::new(),
        awaiting: Vec::new(),
        records: Vec::new(),
        of_account: port
            .records_of_account(id, &platform(ACCOUNT))
            .await
            .unwrap(),
        pending: port.pending(id, at.after(60), 100).await.unwrap(),
        marks: port
            .calculations_due(id, "9999-12-31".parse().unwrap(), None, 100)
            .await
            .unwrap(),
        plan: port.calculated_with(id).await.unwrap(),
        log: of_log(at, id, None).await,
        outcomes: of_log(at, id, Some(Outcome::Done)).await,
    };
    for object in Object::ALL {
        found.cursors.extend(port.cursor(id, object).await.unwrap());
        let (links, _) = port
            .links_between(id, object, ZohoId::MIN, zoho(u64::MAX - 1), 1_000)
            .await
            .unwrap();
        found.links.extend(links);
        let candidates = port.candidates(id, object, ZohoId::MIN, 100);
        found.candidates.extend(candidates.await.unwrap());
        let awaiting = port.awaiting(id, object, None, 100);
        found.awaiting.extend(awaiting.await.unwrap());
        let records = async |next| port.list_records(id, object, next, 100).await;
        found.records.extend(walk(100, records).await);
    }
    found.of_account.sort();
    found
}

async fn of_log(at: &Stores, id: &ConnectionId, outcome: Option<Outcome>) -> Vec<Entry> {
    let query = JournalQuery {
        outcome,
        ..JournalQuery::default()
    };
    walk(100, async |next| at.port.read(id, &query, next, 100).await).await
}

fn state(at: &Stores, id: &ConnectionId) -> OAuthState {
    OAuthState {
        digest: Digest::of(format!("{id} state").as_bytes()),
        connection: id.clone(),
        centre: DataCentre::Eu,
        browser: Browser(Digest::of(b"cookie")),
        expires_at: at.after(600),
    }
}

/// Stores something of every kind about a connection.
pub async fn fill(at: &Stores, id: &ConnectionId) {
    let port = &at.port;
    port.save_connection(enabled(id.clone(), at.now, at.after(3_600)))
        .await
        .unwrap();
    for over in [0, 1] {
        port.save_settings(id, over, &Settings::default(), at.now)
            .await
            .unwrap();
    }
    let plan = Digest::of(b"plan");
    for object in Object::ALL {
        let begin = Cursor::beginning(plan);
        port.move_cursor(id, object, None, begin).await.unwrap();
        let lacks = [Lack::Field("Amount".into())].into();
        port.keep_lacks(id, object, &lacks).await.unwrap();
        port.save_links(&[link(id, object, 7), link(id, object, 8)])
            .await
            .unwrap();
        port.save_candidates(&[candidate(id, object, 7, run(at.now, 1))])
            .await
            .unwrap();
        port.await_references(id, object, &[platform("waits")])
            .await
            .unwrap();
        let mut mine = record(id, object, "p-1", at.now);
        of_account(&mut mine, ACCOUNT);
        edit(&mut mine, "phone", at.now);
        port.save_record(mine).await.unwrap();
    }
    port.lease(id, "token", "me", at.now, at.after(60))
        .await
        .unwrap();
    let begun = Run::begin(id.clone(), run(at.now, 1), RunKind::Full, at.now);
    let begun = port.save_run(begun).await.unwrap();
    port.plan_slices(&begun.slices(&[], &[].into()))
        .await
        .unwrap();
    port.keep_oauth_state(&state(at, id)).await.unwrap();
    let spent = Spent {
        spender: Spender::Writeback,
        credits: 5,
        word: None,
    };
    port.spend_credits(id, Bucket::of(at.now), spent)
        .await
        .unwrap();
    let mark = Mark {
        connection: id.clone(),
        day: "2026-11-23".parse().unwrap(),
        account: platform(ACCOUNT),
        marked_at: at.now,
        stamp: 1,
    };
    port.mark_calculations(&[mark]).await.unwrap();
    port.note_calculated_with(id, plan).await.unwrap();
    let retention = Retention {
        days: 30,
        values: true,
    };
    let lines: Vec<Entry> = ["one", "two", "three"]
        .map(|subject| {
            let why = "why".to_owned();
            let (id, outcome) = (id.clone(), Outcome::Done);
            Entry::note(id, at.now, outcome, "noted", subject, why, retention)
        })
        .into();
    port.write(&lines).await.unwrap();
}

/// Deletes step by step until nothing is left.
async fn erase(at: &Stores, id: &ConnectionId, limit: usize) -> Deleted {
    let mut all = Deleted::default();
    loop {
        let deleted = at.port.erase(id, limit).await.unwrap();
        assert!(deleted.total() <= limit as u64, "{deleted:?} at {limit}");
        if deleted.total() == 0 {
            return all;
        }
        all = all.and(deleted);
    }
}

pub(crate) async fn everything_of_a_connection_is_deleted_but_itself(at: &Stores) {
    let owners = at.look_alikes();
    for owner in &owners {
        fill(at, owner).await;
    }
    // Indexes show all of it before anything is compared.
    let shown = async || {
        let mut shown = BTreeSet::new();
        for owner in &owners {
            let found = everything(at, owner).await;
            shown.insert((
                found.of_account.len(),
                found.pending.len(),
                found.outcomes.len(),
            ));
        }
        shown
    };
    let objects = Object::ALL.len();
    at.eventually(shown, [(objects - 1, objects, 3)].into())
        .await;
    let [gone, left, right] = owners;
    let before = [everything(at, &left).await, everything(at, &right).await];
    let itself = at.port.connection(&gone).await.unwrap();

    let deleted = erase(at, &gone, 4).await;
    assert_eq!(deleted.links, 2 * objects as u64);
    assert_eq!(deleted.records, objects as u64);
    assert_eq!(deleted.log, 3);
    // Two versions of settings, a lease, a run with slices, an OAuth state, credits, a mark, a plan; per object a cursor, lacks, a candidate,
    // a waiting reference.
    assert!(deleted.state >= 8 + 4 * objects as u64, "{deleted:?}");
    let nothing = Everything {
        connection: itself,
        settings: Vec::new(),
        cursors: Vec::new(),
        runs: Vec::new(),
        slices: Vec::new(),
        lacks: Lacks::new(),
        credits: Vec::new(),
        links: Vec::new(),
        candidates: Vec::new(),
        awaiting: Vec::new(),
        records: Vec::new(),
        of_account: Vec::new(),
        pending: Vec::new(),
        marks: Vec::new(),
        plan: None,
        log: Vec::new(),
        outcomes: Vec::new(),
    };
    at.eventually(async || everything(at, &gone).await, nothing)
        .await;
    let digest = state(at, &gone).digest;
    assert_eq!(at.port.take_oauth_state(&digest).await.unwrap(), None);
    let free = at
        .port
        .lease(&gone, "token", "another", at.now, at.after(60));
    assert!(free.await.unwrap(), "the lease is gone, too");
    erase(at, &gone, 4).await;

    let after = [everything(at, &left).await, everything(at, &right).await];
    assert_eq!(after, before, "the neighbours are as they were");
    for neighbour in [&left, &right] {
        let kept = state(at, neighbour);
        let taken = at.port.take_oauth_state(&kept.digest).await.unwrap();
        assert_eq!(taken, Some(kept));
        let held = at
            .port
            .lease(neighbour, "token", "another", at.now, at.after(60));
        assert!(!held.await.unwrap(), "their leases are held");
        erase(at, neighbour, 1_000).await;
    }
}

pub(crate) async fn deleting_goes_in_steps_of_any_size(at: &Stores) {
    for (count, limit) in [(0, 1), (1, 1), (26, 25), (60, 7), (120, 1_000)] {
        let id = at.connection();
        let links: Vec<Link> = (1..=count)
            .map(|number| link(&id, Object::Task, number))
            .collect();
        at.port.save_links(&links).await.unwrap();
        let waiting: Vec<PlatformId> = (0..count)
            .map(|number| platform(&format!("w-{number}")))
            .collect();
        at.port
            .await_references(&id, Object::Deal, &waiting)
            .await
            .unwrap();
        let deleted = erase(at, &id, limit).await;
        assert_eq!(
            deleted,
            Deleted {
                state: count,
                links: count,
                ..Deleted::default()
            }
        );
    }
}

pub(crate) async fn what_was_deleted_can_be_stored_anew(at: &Stores) {
    let id = at.connection();
    for _ in 0..2 {
        let mine = record(&id, Object::Contact, "p-1", at.now);
        let saved = at.port.save_record(mine).await.unwrap();
        assert_eq!(saved.version, 1, "as if it had never been there");
        assert_eq!(erase(at, &id, 10).await.records, 1);
    }
}
