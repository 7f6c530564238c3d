//! The poller and the nights of many connections: each is started once and in its own moment, whatever fails or is cut off.

#![expect(
    clippy::unwrap_used,
    reason = "the stories' own helpers fail as their tests do"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tandem::connection::{Connection, Organisation};
use tandem::data_centre::{DataCentre, Directory};
use tandem::flow::job::Deadline;
use tandem::flow::poll::{self, Ticked};
use tandem::flow::{Error, runs};
use tandem::identifier::ConnectionId;
use tandem::message::Work;
use tandem::object::Object;
use tandem::port::{Connections as _, Coordination as _, Due};
use tandem::run::{RunKind, RunStatus};
use tandem::secret::Secret;
use tandem::settings::Settings;
use tandem::spread::{Shard, offset};
use tandem_memory::{Crashed, Failure, Fault, Nobody, When, World, interleave};

/// A world with many customers and a Zoho that nobody asks for anything.
struct Many {
    world: World,
    ids: Vec<ConnectionId>,
}

impl Many {
    async fn of(number: usize, now: &str) -> Self {
        let zoho = Arc::new(Nobody);
        let world = World::new(1, now.parse().unwrap(), Directory::zoho(), zoho);
        let mut ids = Vec::new();
        for number in 0..number {
            let id: ConnectionId = format!("customer-{number}").parse().unwrap();
            let api = Directory::zoho().api_domain(DataCentre::Eu, "https://www.zohoapis.eu");
            let organisation = Organisation {
                id: number.to_string(),
                name: id.to_string(),
                time_zone: "Europe/Berlin".to_owned(),
                data_centre: DataCentre::Eu,
                api_domain: api.unwrap(),
                daily_credits: 50_000,
            };
            let (refresh, access) = (Secret::new("refresh"), Secret::new("access"));
            let added = world.add_enabled(id.clone(), organisation, refresh, access);
            added.await.unwrap();
            ids.push(id);
        }
        Self { world, ids }
    }

    /// Customers in the rhythm of their quarters: the syncs that a person made due are done.
    async fn in_rhythm(number: usize) -> Self {
        let many = Self::of(number, "2026-11-23T09:45:03Z").await;
        many.ticks(Due::Routine).await.unwrap();
        many.world.queue.work.clear();
        many.is("2026-11-23T10:00:03Z");
        many
    }

    /// Customers whose night has come, after one in which all was read.
    async fn at_night(number: usize) -> Self {
        let many = Self::of(number, "2026-11-22T10:00:00Z").await;
        for id in &many.ids {
            let ports = many.world.ports();
            let run = runs::start(&ports, id, RunKind::Full).await.unwrap();
            many.ends(run).await;
            many.change(id, |connection| {
                let night = connection.next_night(many.world.now(), 2);
                connection.full_due_at = Some(night);
            })
            .await;
        }
        many.world.queue.work.clear();
        many.world.queue.writeback.clear();
        many.is("2026-11-23T01:37:00Z");
        many
    }

    fn is(&self, now: &str) {
        self.world.clock.set(now.parse().unwrap());
    }

    async fn ends(&self, run: tandem::run::Run) {
        let ended = tandem::run::Run {
            status: RunStatus::Complete,
            ended_at: Some(self.world.now()),
            ..run
        };
        self.world.store.save_run(ended).await.unwrap();
    }

    async fn change(&self, id: &ConnectionId, change: impl FnOnce(&mut Connection)) {
        let mut connection = self.stored(id).await;
        change(&mut connection);
        self.world.store.save_connection(connection).await.unwrap();
    }

    async fn stored(&self, id: &ConnectionId) -> Connection {
        self.world.store.connection(id).await.unwrap().unwrap()
    }

    async fn ticks(&self, due: Due) -> Result<Ticked, Error> {
        let deadline = Deadline(self.world.now() + SignedDuration::from_mins(5));
        poll::tick(&self.world.ports(), due, deadline).await
    }

    /// A tick that ends in the middle at that call; false when it ended before.
    async fn ticks_until_killed(&self, due: Due, call: u64, when: When) -> bool {
        self.world.faults.at(call, Fault::Crash(when));
        let ended = self.world.faults.run(self.ticks(due)).await;
        self.world.faults.clear();
        matches!(ended, Err(Crashed))
    }

    fn runs(&self, id: &ConnectionId, kind: RunKind, since: Timestamp) -> usize {
        let runs = self.world.store.all_runs(id).into_iter();
        runs.filter(|run| run.kind == kind && run.started_at >= since)
            .count()
    }

    /// How many runs each customer had since.
    fn counts(&self, kind: RunKind, since: Timestamp) -> Vec<usize> {
        let of = |id| self.runs(id, kind, since);
        self.ids.iter().map(of).collect()
    }

    /// The slices that messages to workers name.
    fn sent(&self) -> Vec<(ConnectionId, Object)> {
        let messages = self.world.queue.work.messages();
        let sent = messages
            .into_iter()
            .map(|message| (message.connection().clone(), message.object()));
        sent.collect()
    }

    /// When each customer's first message can be taken, in seconds from now.
    fn arrivals(&self) -> BTreeMap<ConnectionId, i64> {
        let began = self.world.now();
        let mut arrivals = BTreeMap::new();
        while let Some(next) = self.next_work() {
            let seconds = self.world.now().duration_since(began).as_secs();
            arrivals.entry(next.connection().clone()).or_insert(seconds);
        }
        self.world.clock.set(began);
        arrivals
    }

    fn next_work(&self) -> Option<Work> {
        let queue = &self.world.queue.work;
        if let (0, Some(next)) = (queue.ready(), queue.next_at()) {
            self.world.clock.set(next);
        }
        queue.take().map(|held| held.message)
    }
}

#[tokio::test]
async fn routine_syncs_begin_all_through_the_quarter_and_always_at_the_same_moment_of_it() {
    let many = Many::in_rhythm(200).await;
    for _ in 0..3 {
        let now = many.world.now();
        assert_eq!(many.ticks(Due::Routine).await.unwrap().started, 200);
        let arrivals = many.arrivals();
        assert_eq!(arrivals.len(), 200);
        for (id, seconds) in &arrivals {
            let late = now.as_second() % 900;
            let own = offset(id).as_secs();
            assert_eq!(*seconds, (own - late).max(0), "{id}");
        }
        let minutes: BTreeSet<i64> = arrivals.values().map(|seconds| seconds / 60).collect();
        assert_eq!(minutes.len(), 14, "each minute has some");
        // The next tick comes late.
        many.world
            .clock
            .set(now + SignedDuration::from_secs(15 * 60 + 20));
    }
}

#[tokio::test]
async fn who_was_just_switched_on_does_not_wait_for_the_moment_of_a_quarter() {
    let many = Many::of(50, "2026-11-23T10:00:00Z").await;
    many.is("2026-11-23T10:00:30Z");
    assert_eq!(many.ticks(Due::Routine).await.unwrap().started, 50);
    assert!(many.arrivals().values().all(|seconds| *seconds == 0));
    let again = many.ticks(Due::Routine).await.unwrap();
    assert_eq!(again, Ticked::default(), "once in a quarter");
    for id in &many.ids {
        let due = many.stored(id).await.routine_due_at.unwrap();
        let quarter: Timestamp = "2026-11-23T10:15:00Z".parse().unwrap();
        assert_eq!(due.duration_since(quarter), offset(id));
    }
}

#[tokio::test]
async fn after_an_outage_not_all_begin_at_once() {
    let many = Many::in_rhythm(200).await;
    many.is("2026-11-23T14:00:02Z");
    assert_eq!(many.ticks(Due::Routine).await.unwrap().started, 200);
    let arrivals = many.arrivals();
    assert!(arrivals.values().filter(|seconds| **seconds > 60).count() > 150);
}

#[tokio::test]
async fn ticks_that_overlap_start_each_connection_once() {
    for seed in 0..8 {
        let many = Many::in_rhythm(40).await;
        let since = many.world.now();
        many.world.faults.give_way(true);
        let entropy = tandem_memory::SeededEntropy::new(seed);
        let tick = || many.ticks(Due::Routine);
        let both = interleave(&entropy, vec![Box::pin(tick()), Box::pin(tick())]).await;
        let started: Vec<u64> = both.into_iter().map(|tick| tick.unwrap().started).collect();
        assert_eq!(started.iter().sum::<u64>(), 40, "{started:?}");
        assert_eq!(many.counts(RunKind::Routine, since), vec![1; 40]);
        many.is("2026-11-23T10:13:00Z");
        assert_eq!(many.ticks(Due::Routine).await.unwrap(), Ticked::default());
    }
}

#[tokio::test]
async fn a_tick_killed_after_any_call_leaves_nothing_forgotten() {
    let mut call = 1;
    let mut killed = true;
    while killed {
        for when in [When::Before, When::Midway, When::After] {
            let many = Many::in_rhythm(3).await;
            let since = many.world.now();
            killed = many.ticks_until_killed(Due::Routine, call, when).await;
            // Lambda tries again, a minute later.
            many.world.clock.advance(SignedDuration::from_mins(1));
            many.ticks(Due::Routine).await.unwrap();
            let counts = many.counts(RunKind::Routine, since);
            assert!(counts.iter().all(|runs| *runs <= 1), "{call} {when:?}");
            many.world.queue.work.clear();
            many.is("2026-11-23T10:15:01Z");
            let next = many.ticks(Due::Routine).await.unwrap();
            assert_eq!((next.started, next.failed), (3, 0), "{call} {when:?}");
            assert_eq!(many.sent().len(), 3 * Object::ALL.len());
        }
        call += 1;
    }
    assert!(call > 16 + 3 * 6, "only {call} calls were cut off");
}

#[tokio::test]
async fn one_connection_that_fails_stops_no_other() {
    let spoilt = Many::in_rhythm(20).await;
    spoilt.world.store.spoil_connection(&spoilt.ids[4]);
    let ticked = spoilt.ticks(Due::Routine).await.unwrap();
    assert_eq!((ticked.started, ticked.failed), (19, 1));

    for operation in ["save_connection", "settings", "save_run", "plan_slices"] {
        for failure in [Failure::Throttled, Failure::Unavailable, Failure::Corrupt] {
            let many = Many::in_rhythm(20).await;
            let fault = Fault::Fail(When::Before, failure);
            many.world.faults.on(operation, 7, fault);
            let ticked = many.ticks(Due::Routine).await.unwrap();
            assert_eq!((ticked.started, ticked.failed), (19, 1), "{operation}");
        }
    }

    let many = Many::in_rhythm(20).await;
    let fault = Fault::Fail(When::Before, Failure::Throttled);
    many.world.faults.on("pending", 7, fault);
    let ticked = many.ticks(Due::Routine).await.unwrap();
    assert_eq!((ticked.started, ticked.failed), (20, 1), "it still syncs");
}

#[tokio::test]
async fn a_shard_that_does_not_answer_keeps_back_its_own_only() {
    let many = Many::in_rhythm(100).await;
    let fault = Fault::Fail(When::Before, Failure::Throttled);
    many.world.faults.on("due", 3, fault);
    let failed = many.ticks(Due::Routine).await;
    assert!(matches!(failed, Err(Error::Port(_))), "{failed:?}");
    many.world.faults.clear();
    let waiting = Shard::all().nth(2).unwrap();
    let own = many
        .ids
        .iter()
        .filter(|id| Shard::of(id) == waiting)
        .count();
    assert!(own > 0);
    let again = many.ticks(Due::Routine).await.unwrap();
    assert_eq!(again.started, own as u64);
}

#[tokio::test]
async fn an_index_that_lags_delays_and_repeats_nothing() {
    let many = Many::in_rhythm(30).await;
    let since = many.world.now();
    // It shows none of this tick's claims.
    many.world.store.lag_indexes(30);
    assert_eq!(many.ticks(Due::Routine).await.unwrap().started, 30);
    assert_eq!(many.ticks(Due::Routine).await.unwrap(), Ticked::default());
    assert_eq!(many.counts(RunKind::Routine, since), vec![1; 30]);
}

#[tokio::test]
async fn who_is_written_to_meanwhile_is_claimed_all_the_same() {
    let many = Many::in_rhythm(30).await;
    many.world.store.lag_indexes(30);
    for id in &many.ids {
        many.change(id, |connection| connection.name.push_str(", renamed"))
            .await;
    }
    assert_eq!(many.ticks(Due::Routine).await.unwrap().started, 30);
    let paused = Many::in_rhythm(1).await;
    paused.world.store.lag_indexes(1);
    paused
        .change(&paused.ids[0], |connection| {
            connection.status = tandem::connection::Status::Paused;
        })
        .await;
    let ticked = paused.ticks(Due::Routine).await.unwrap();
    assert_eq!(ticked, Ticked::default(), "switched off meanwhile");
}

#[tokio::test]
async fn what_there_is_no_time_for_is_left_to_the_next_tick() {
    let many = Many::in_rhythm(100).await;
    let now = many.world.now();
    let clock = many.world.clock.clone();
    // Each claim takes ten seconds.
    many.world.faults.decide(move |call| {
        if call.operation == "save_connection" {
            clock.advance(SignedDuration::from_secs(10));
        }
        None
    });
    let deadline = Deadline(now + SignedDuration::from_mins(5));
    let ports = many.world.ports();
    let first = poll::tick(&ports, Due::Routine, deadline).await.unwrap();
    assert!(first.started > 0 && first.left > 0, "{first:?}");
    assert_eq!(first.started + first.left, 100);
    many.world.faults.clear();
    let second = many.ticks(Due::Routine).await.unwrap();
    assert_eq!((second.started, second.left), (first.left, 0));
}

#[tokio::test]
async fn nights_that_come_together_begin_one_after_the_other() {
    let many = Many::at_night(60).await;
    let since = many.world.now();
    assert_eq!(many.ticks(Due::Full).await.unwrap().started, 60);
    assert_eq!(many.counts(RunKind::Full, since), vec![1; 60]);
    for id in &many.ids {
        let due = many.stored(id).await.full_due_at.unwrap();
        assert_eq!(due.to_string(), "2026-11-24T01:00:00Z");
    }
    let arrivals = many.arrivals();
    assert_eq!(arrivals.len(), 60);
    for (id, seconds) in arrivals {
        assert_eq!(seconds, offset(&id).as_secs());
    }
}

#[tokio::test]
async fn a_first_full_sync_that_the_planner_starts_begins_at_once() {
    let many = Many::of(5, "2026-11-23T10:00:00Z").await;
    assert_eq!(many.ticks(Due::Full).await.unwrap().started, 5);
    assert!(many.arrivals().values().all(|seconds| *seconds == 0));
}

#[tokio::test]
async fn a_planner_killed_after_any_call_starts_each_night_once_and_forgets_none() {
    let mut call = 1;
    let mut killed = true;
    while killed {
        for when in [When::Before, When::Midway, When::After] {
            let many = Many::at_night(2).await;
            let since = many.world.now();
            killed = many.ticks_until_killed(Due::Full, call, when).await;
            many.is("2026-11-23T02:37:00Z");
            many.ticks(Due::Full).await.unwrap();
            let what = format!("call {call} {when:?}");
            assert_eq!(many.counts(RunKind::Full, since), [1, 1], "{what}");
            let sent: BTreeSet<ConnectionId> = many.sent().into_iter().map(|(id, _)| id).collect();
            assert_eq!(sent.len(), 2, "{what}");
            for hour in 3..20 {
                many.is(&format!("2026-11-23T{hour:02}:37:00Z"));
                assert_eq!(many.ticks(Due::Full).await.unwrap(), Ticked::default());
            }
        }
        call += 1;
    }
    assert!(call > 16 + 2 * 8, "only {call} calls were cut off");
}

#[tokio::test]
async fn planners_that_overlap_start_each_night_once() {
    for seed in 0..8 {
        let many = Many::at_night(12).await;
        let since = many.world.now();
        many.world.faults.give_way(true);
        let entropy = tandem_memory::SeededEntropy::new(seed);
        let tick = || many.ticks(Due::Full);
        interleave(&entropy, vec![Box::pin(tick()), Box::pin(tick())]).await;
        assert_eq!(many.counts(RunKind::Full, since), vec![1; 12]);
        assert_eq!(many.sent().len(), 12, "one message each: the users");
    }
}

#[tokio::test]
async fn a_night_whose_start_was_not_stored_as_done_is_not_started_again_after_its_end() {
    let many = Many::at_night(1).await;
    let since = many.world.now();
    let fault = Fault::Fail(When::Before, Failure::Unavailable);
    many.world.faults.on("save_connection", 2, fault);
    assert_eq!(many.ticks(Due::Full).await.unwrap().failed, 1);
    many.world.faults.clear();
    let run = many.world.store.all_runs(&many.ids[0]).pop().unwrap();
    many.ends(run).await;
    many.is("2026-11-23T02:37:00Z");
    many.ticks(Due::Full).await.unwrap();
    assert_eq!(many.counts(RunKind::Full, since), [1]);
    let due = many.stored(&many.ids[0]).await.full_due_at.unwrap();
    assert_eq!(due.to_string(), "2026-11-24T01:00:00Z");
}

#[tokio::test]
async fn a_night_of_its_own_hour_is_kept_when_that_hour_changes() {
    let many = Many::at_night(1).await;
    let settings = Settings {
        night_hour: 5,
        ..Settings::default()
    };
    let store = &many.world.store;
    let now = many.world.now();
    let saved = store.save_settings(&many.ids[0], 0, &settings, now);
    saved.await.unwrap();
    assert_eq!(many.ticks(Due::Full).await.unwrap().started, 1);
    let due = many.stored(&many.ids[0]).await.full_due_at.unwrap();
    assert_eq!(due.to_string(), "2026-11-23T04:00:00Z");
}
