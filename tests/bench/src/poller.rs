//! Ticks of many connections, by a clock that only calls move: whether they end in the function's time, and how evenly they spread what they start.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use comfy_table::Table;
use jiff::{SignedDuration, Timestamp};
use tandem::connection::{Connection, Organisation, Status};
use tandem::data_centre::{DataCentre, Directory};
use tandem::flow::job::Deadline;
use tandem::flow::poll::{self, Ticked};
use tandem::identifier::{ConnectionId, RunId};
use tandem::port::{Clock, Connections as _, Coordination as _, Due, Entropy as _, Ports};
use tandem::run::{Run, RunKind, RunStatus};
use tandem::spread::next_routine;
use tandem_memory::{Call, ManualClock, Nobody, World};
use tokio::time::Instant;

/// How long a tick may take: the functions' timeout in infra/template.yaml.
const TIMEOUT: SignedDuration = SignedDuration::from_secs(300);

/// How many writes a second a partition of a table takes; all connections lie in one.
/// Source: Amazon DynamoDB developer guide, "Best practices for designing and using partition keys effectively".
const WRITES_A_SECOND: u64 = 1_000;

/// How many minutes of a quarter of an hour syncs begin in.
const MINUTES: u64 = 14;

/// What a call costs.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    /// Until a table answers.
    pub(crate) table: Duration,
    /// Until a queue answers.
    pub(crate) queue: Duration,
    /// Of the function's one processor, which the calls share.
    pub(crate) processor: Duration,
}

/// The clock of a runtime whose time only waiting moves.
struct VirtualClock {
    from: Timestamp,
    began: Instant,
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.began.elapsed()).unwrap_or_default();
        self.from.saturating_add(passed).unwrap_or(self.from)
    }
}

/// What was under way, and when.
#[derive(Default)]
struct Gauge {
    calls: u64,
    at_once: u64,
    most_at_once: u64,
    claims: BTreeMap<u64, u64>,
    processor_free: Option<Instant>,
}

/// What a tick came to.
struct Measured {
    ticked: Ticked,
    took: Duration,
    calls: u64,
    most_at_once: u64,
    most_claims: u64,
    /// Messages by the minute in which they can be taken.
    minutes: BTreeMap<i64, u64>,
}

/// Measures a routine tick and a night, and prints a table; true when the promises hold.
///
/// # Errors
/// When a tick fails.
pub(crate) async fn measure(connections: u32, cost: Cost) -> Result<bool> {
    tokio::time::pause();
    let mut table = Table::new();
    table.set_header([
        "tick",
        "started",
        "left",
        "failed",
        "seconds",
        "calls each",
        "at once",
        "claims a second",
        "messages a minute",
    ]);
    let mut holds = true;
    for (due, now) in [
        (Due::Routine, "2026-11-23T10:00:03Z"),
        (Due::Full, "2026-11-23T01:37:00Z"),
    ] {
        let now: Timestamp = now.parse()?;
        let world = world(connections, due, now).await?;
        let first = tick(&world, due, now, cost).await?;
        // Delivered once more, a second after the first ended.
        let later = now + SignedDuration::try_from(first.took)? + SignedDuration::from_secs(1);
        let again = tick(&world, due, later, cost).await?;
        let all: u64 = first.minutes.values().sum();
        let most = first.minutes.values().max().copied().unwrap_or_default();
        holds &= first.ticked.started == u64::from(connections)
            && (first.ticked.left, first.ticked.failed) == (0, 0)
            && again.ticked == Ticked::default()
            && first.most_claims <= WRITES_A_SECOND
            && most * MINUTES <= 2 * all;
        for (name, tick) in [("", &first), (", again", &again)] {
            let messages = tick.minutes.values();
            let spread = messages.clone().min().zip(messages.max());
            table.add_row([
                format!("{due:?}{name}"),
                tick.ticked.started.to_string(),
                tick.ticked.left.to_string(),
                tick.ticked.failed.to_string(),
                format!("{:.1}", tick.took.as_secs_f64()),
                format!("{:.1}", tick.calls as f64 / f64::from(connections)),
                tick.most_at_once.to_string(),
                tick.most_claims.to_string(),
                spread.map_or_else(String::new, |(least, most)| {
                    format!("{least} to {most} in {} minutes", tick.minutes.len())
                }),
            ]);
        }
    }
    println!("{connections} connections are due\n{table}");
    println!("{}", if holds { "holds" } else { "DOES NOT HOLD" });
    Ok(holds)
}

/// Enabled connections that are due, each with a day's history.
async fn world(connections: u32, due: Due, now: Timestamp) -> Result<World> {
    let clock = Arc::new(ManualClock::at(now));
    let world = World::with_clock(1, clock, Directory::zoho(), Arc::new(Nobody));
    let api_domain = Directory::zoho().api_domain(DataCentre::Eu, "https://www.zohoapis.eu")?;
    let a_day_ago = now - SignedDuration::from_hours(24);
    for number in 0..connections {
        let id: ConnectionId = format!("customer-{number}").parse()?;
        let organisation = Organisation {
            id: number.to_string(),
            name: id.to_string(),
            time_zone: "Europe/Berlin".to_owned(),
            data_centre: DataCentre::Eu,
            api_domain: api_domain.clone(),
            edition: "Enterprise".to_owned(),
            daily_credits: 50_000,
        };
        let connection = Connection::new(id.clone(), id.to_string(), a_day_ago);
        let connection = Connection {
            status: Status::Enabled,
            organisation: Some(organisation),
            ..connection
        };
        let before = now - SignedDuration::from_mins(15);
        let connection = Connection {
            routine_due_at: Some(next_routine(&id, before)),
            full_due_at: Some(connection.next_night(a_day_ago, 2)),
            ..connection
        };
        world.store.save_connection(connection).await?;
        if due == Due::Full {
            let milliseconds = u64::try_from(a_day_ago.as_millisecond())?;
            let run = RunId::new(milliseconds, world.entropy.number());
            let run = Run {
                status: RunStatus::Complete,
                ended_at: Some(a_day_ago),
                ..Run::begin(id, run, RunKind::Full, a_day_ago)
            };
            world.store.save_run(run).await?;
        }
    }
    Ok(world)
}

async fn tick(world: &World, due: Due, now: Timestamp, cost: Cost) -> Result<Measured> {
    let gauge = Arc::new(Mutex::new(Gauge::default()));
    let began = Instant::now();
    world.clock.set(now);
    world.queue.work.clear();
    let (gauged, queues_clock) = (gauge.clone(), world.clock.clone());
    world.faults.last(move |call| {
        let (gauge, clock) = (gauged.clone(), queues_clock.clone());
        let call = *call;
        Box::pin(async move {
            tokio::time::sleep_until(enter(&gauge, &call, due, cost, began)).await;
            let passed = SignedDuration::try_from(began.elapsed()).unwrap_or_default();
            clock.set(now.saturating_add(passed).unwrap_or(now));
            locked(&gauge).at_once -= 1;
        })
    });
    let clock = VirtualClock { from: now, began };
    let ports = Ports {
        clock: Arc::new(clock),
        ..world.ports()
    };
    let ticked = poll::tick(&ports, due, Deadline(now + TIMEOUT)).await?;
    let took = began.elapsed();
    let mut minutes: BTreeMap<i64, u64> = BTreeMap::new();
    world.clock.set(now + SignedDuration::from_hours(1));
    for held in world.queue.work.take_all() {
        let minute = held.ready_at.duration_since(now).as_mins();
        *minutes.entry(minute).or_default() += 1;
    }
    let gauge = locked(&gauge);
    Ok(Measured {
        ticked,
        took,
        calls: gauge.calls,
        most_at_once: gauge.most_at_once,
        most_claims: gauge.claims.values().max().copied().unwrap_or_default(),
        minutes,
    })
}

/// Counts a call, and says when it ends.
fn enter(gauge: &Mutex<Gauge>, call: &Call, due: Due, cost: Cost, began: Instant) -> Instant {
    let requests = match (call.operation, due) {
        // One request for each of the five objects, side by side; a night begins with the users.
        ("plan_slices" | "send_work" | "send_work_later", Due::Routine) => 5,
        // Nothing waits.
        ("send_writeback", Due::Routine) => 0,
        _ => 1,
    };
    let waits = match call.port {
        "queue" => cost.queue,
        _ => cost.table,
    };
    let mut gauge = locked(gauge);
    let now = Instant::now();
    let begins = gauge.processor_free.map_or(now, |free| free.max(now));
    let sent = begins + cost.processor * requests;
    gauge.processor_free = Some(sent);
    gauge.calls += u64::from(requests);
    gauge.at_once += 1;
    gauge.most_at_once = gauge.most_at_once.max(gauge.at_once);
    if call.operation == "save_connection" {
        let second = sent.duration_since(began).as_secs();
        *gauge.claims.entry(second).or_default() += 1;
    }
    sent + if requests == 0 { Duration::ZERO } else { waits }
}

fn locked(gauge: &Mutex<Gauge>) -> std::sync::MutexGuard<'_, Gauge> {
    gauge.lock().unwrap_or_else(PoisonError::into_inner)
}
