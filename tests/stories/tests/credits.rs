//! Near the ceiling of credits: full syncs wait first, routine syncs slow down and wait next, edits wait last (C7).

#![expect(
    clippy::unwrap_used,
    reason = "the stories' own helpers fail as their tests do"
)]

use std::cell::Cell;
use std::pin::Pin;

use jiff::SignedDuration;
use serde_json::json;
use stories::{Story, name, text};
use tandem::connection::Organisation;
use tandem::credit::{self, Bucket, Spender, Spent};
use tandem::flow::job::Deadline;
use tandem::flow::{Error, poll, runs};
use tandem::object::Object;
use tandem::port::{Connections as _, Coordination as _, Due};
use tandem::run::{RunKind, RunStatus};
use tandem_memory::{Fault, SeededEntropy, When, interleave};
use zoho_sim::limits::Edition;

fn editable() -> serde_json::Value {
    json!({ "core_writeback": true, "objects": { "contact": {
        "mappings": [{ "zoho": "Phone", "platform": "phone", "editable": true }]
    } } })
}

async fn organisation(story: &Story) -> Organisation {
    let store = &story.world.store;
    let connection = store.connection(&story.connection()).await.unwrap();
    connection.unwrap().organisation.unwrap()
}

/// Others use credits in Zoho, until so many are left.
fn others_leave(story: &Story, left: u64) {
    let now = story.zoho.now();
    let mut model = story.zoho.model();
    let usage = model.usage(story.organisation, now).unwrap();
    let number = |name: &str| usage[name].as_u64().unwrap();
    let credits = number("limit") - number("used_24h") - left;
    let credits = u32::try_from(credits).unwrap();
    model.use_credits(story.organisation, credits, now).unwrap();
}

/// The most calls that were under way at once in Zoho.
fn most_at_once(story: &Story) -> u64 {
    let now = story.zoho.now();
    let model = story.zoho.model();
    let usage = model.usage(story.organisation, now).unwrap();
    usage["max_concurrent"].as_u64().unwrap()
}

/// Lets the connection have spent so many percent of what it may.
async fn spend(story: &Story, percent: u64) {
    let store = &story.world.store;
    let ceiling = organisation(story).await.daily_credits / 2;
    let since = Bucket::day_before(story.world.now());
    let hours = store
        .credits_spent(&story.connection(), since)
        .await
        .unwrap();
    let credits = (ceiling * percent / 100).saturating_sub(credit::spent(&hours).total());
    let bucket = Bucket::of(story.world.now());
    let more = Spent {
        spender: Spender::Person,
        credits,
        word: None,
    };
    store
        .spend_credits(&story.connection(), bucket, more)
        .await
        .unwrap();
}

async fn tick_full(story: &Story) -> poll::Ticked {
    let deadline = Deadline(story.world.now() + SignedDuration::from_mins(5));
    poll::tick(&story.ports(), Due::Full, deadline)
        .await
        .unwrap()
}

fn full_syncs(story: &Story) -> usize {
    let runs = story.world.store.all_runs(&story.connection());
    runs.iter().filter(|run| run.kind == RunKind::Full).count()
}

#[tokio::test]
async fn a_full_sync_waits_and_comes_when_credits_are_back() {
    let story = Story::begin(10, editable()).await.unwrap();
    spend(&story, 85).await;
    let refused = runs::start(&story.ports(), &story.connection(), RunKind::Full).await;
    assert!(
        matches!(refused, Err(Error::OverBudget { .. })),
        "{refused:?}"
    );
    let connection = story.world.store.connection(&story.connection()).await;
    let mut connection = connection.unwrap().unwrap();
    connection.full_due_at = Some(story.world.now());
    story.world.store.save_connection(connection).await.unwrap();
    for _ in 0..3 {
        assert_eq!(tick_full(&story).await.failed, 0);
        assert_eq!(full_syncs(&story), 0);
        story.pass(SignedDuration::from_hours(1));
    }
    let lines = story.log("credits spent");
    assert_eq!(lines.len(), 3, "said once an hour");
    assert!(
        lines[0]
            .reason
            .as_ref()
            .unwrap()
            .contains("full syncs wait")
    );
    story.pass(SignedDuration::from_hours(24));
    tick_full(&story).await;
    story.deliver().await.unwrap();
    let runs = story.world.store.all_runs(&story.connection());
    assert_eq!(runs.last().unwrap().status, RunStatus::Complete);
}

#[tokio::test]
async fn routine_syncs_come_once_an_hour_and_then_wait() {
    let story = Story::begin(10, editable()).await.unwrap();
    story.full_sync().await.unwrap();
    let routine = |story: &Story| {
        let runs = story.world.store.all_runs(&story.connection());
        runs.iter()
            .filter(|run| run.kind == RunKind::Routine)
            .count()
    };
    story.tick().await.unwrap();
    spend(&story, 85).await;
    let before = routine(&story);
    for _ in 0..8 {
        story.pass(SignedDuration::from_mins(15));
        assert_eq!(story.tick().await.unwrap().failed, 0);
    }
    assert_eq!(routine(&story) - before, 2, "two hours");
    spend(&story, 96).await;
    let before = routine(&story);
    for _ in 0..8 {
        story.pass(SignedDuration::from_mins(15));
        story.tick().await.unwrap();
    }
    assert_eq!(routine(&story), before);
    story.pass(SignedDuration::from_hours(25));
    story.tick().await.unwrap();
    assert_eq!(routine(&story), before + 1);
}

#[tokio::test]
async fn edits_go_out_until_the_last_credit_and_wait_for_the_next() {
    let story = Story::begin(10, editable()).await.unwrap();
    story.full_sync().await.unwrap();
    let zoho = story.present(Object::Contact).into_iter().next().unwrap();
    let contact = story.record_of(Object::Contact, &zoho).unwrap().id;
    let phone = |story: &Story| story.row("Contacts", &zoho).unwrap()["Phone"].clone();
    spend(&story, 97).await;
    let edit = json!({ "phone": "+1 555 0101" });
    story
        .edit(Object::Contact, contact.as_str(), edit)
        .await
        .unwrap();
    assert_eq!(phone(&story), "+1 555 0101");
    spend(&story, 100).await;
    let edit = json!({ "phone": "+1 555 0102" });
    story
        .edit(Object::Contact, contact.as_str(), edit)
        .await
        .unwrap();
    assert_eq!(phone(&story), "+1 555 0101");
    let record = story.record_of(Object::Contact, &zoho).unwrap();
    assert_eq!(record.fields[&name("phone")], text("+1 555 0102"));
    assert!(record.wants_push() && record.parked.is_none());
    story.pass(SignedDuration::from_hours(25));
    story.tick().await.unwrap();
    assert_eq!(phone(&story), "+1 555 0102");
}

#[tokio::test]
async fn a_night_that_meets_the_ceiling_goes_on_when_credits_are_back() {
    let story = Story::begin(20, editable()).await.unwrap();
    let run = runs::start(&story.ports(), &story.connection(), RunKind::Full)
        .await
        .unwrap();
    let first = story.world.queue.take_work().unwrap();
    story.handle_work(&first.message).await.unwrap();
    spend(&story, 100).await;
    let request = story.latest_request();
    let next = story.world.queue.take_work().unwrap();
    story.handle_work(&next.message).await.unwrap();
    assert_eq!(story.calls_since(request), Vec::<String>::new());
    story.deliver().await.unwrap();
    let ran = story.ran(&run.id).await.unwrap();
    assert_eq!(ran.run.status, RunStatus::Complete);
    let took = story.world.now().duration_since(run.started_at);
    assert!(took >= SignedDuration::from_hours(23), "{took:?}");
}

#[tokio::test]
async fn what_others_spend_holds_a_night_in_mid_run_until_it_came_back() {
    let story = Story::begin(20, editable()).await.unwrap();
    let run = runs::start(&story.ports(), &story.connection(), RunKind::Full)
        .await
        .unwrap();
    let users = story.world.queue.take_work().unwrap();
    story.handle_work(&users.message).await.unwrap();
    // A tenth less than the customer's half.
    let customers = organisation(&story).await.daily_credits / 2;
    others_leave(&story, customers * 9 / 10);
    let request = story.latest_request();
    let accounts = story.world.queue.take_work().unwrap();
    story.handle_work(&accounts.message).await.unwrap();
    assert_eq!(
        story.calls_since(request).len(),
        1,
        "the call that brings Zoho's word"
    );
    let again = story.world.queue.next_at().unwrap();
    story.world.clock.set(again);
    let accounts = story.world.queue.take_work().unwrap();
    story.handle_work(&accounts.message).await.unwrap();
    assert_eq!(story.calls_since(request).len(), 1, "its word holds");
    assert!(
        story.log("credits spent")[0]
            .reason
            .as_ref()
            .unwrap()
            .contains("Zoho says that")
    );

    // Routine syncs and edits are not held back yet.
    let zoho = story.zoho_creates(
        "Accounts",
        &json!({ "Account_Name": "New", "External_ID": "N-1" }),
    );
    let zoho = zoho.unwrap();
    runs::start(&story.ports(), &story.connection(), RunKind::Routine)
        .await
        .unwrap();
    story.deliver().await.unwrap();
    assert!(story.record_of(Object::Account, &zoho).is_some());
    let ran = story.ran(&run.id).await.unwrap();
    assert_eq!(ran.run.status, RunStatus::Complete, "it goes on by itself");
    let took = story.world.now().duration_since(run.started_at);
    assert!(took >= SignedDuration::from_hours(2), "{took:?}");
}

/// Delivers what waits now; what is put off stays put off.
async fn deliver_now(story: &Story) {
    loop {
        if let Some(held) = story.world.queue.take_work() {
            story.handle_work(&held.message).await.unwrap();
        } else if let Some(held) = story.world.queue.take_writeback() {
            story.handle_writeback(&held.message).await.unwrap();
        } else {
            return;
        }
    }
}

#[tokio::test]
async fn the_more_others_spend_the_more_waits_and_edits_last() {
    let story = Story::begin(10, editable()).await.unwrap();
    story.full_sync().await.unwrap();
    let zoho = story.present(Object::Contact).into_iter().next().unwrap();
    let contact = story.record_of(Object::Contact, &zoho).unwrap().id;
    let phone = |story: &Story| story.row("Contacts", &zoho).unwrap()["Phone"].clone();
    let edit = async |number: &str| {
        let phone = json!({ "phone": number });
        let edited = story.submit(Object::Contact, contact.as_str(), phone).await;
        edited.unwrap();
        deliver_now(&story).await;
    };
    let routine = async || {
        let deadline = Deadline(story.world.now() + SignedDuration::from_mins(5));
        let ticked = poll::tick(&story.ports(), Due::Routine, deadline).await;
        assert_eq!(ticked.unwrap().failed, 0);
        let request = story.latest_request();
        deliver_now(&story).await;
        story.calls_since(request).len()
    };
    let customers = organisation(&story).await.daily_credits / 2;

    others_leave(&story, customers * 6 / 10);
    assert_eq!(routine().await, 1, "the call that brings Zoho's word");
    story.pass(SignedDuration::from_mins(16));
    assert_eq!(routine().await, 0, "routine syncs wait");
    edit("+1 555 0101").await;
    assert_eq!(phone(&story), "+1 555 0101");

    others_leave(&story, customers * 4 / 10);
    edit("+1 555 0102").await;
    edit("+1 555 0103").await;
    assert_eq!(phone(&story), "+1 555 0101", "edits wait as well");
    let record = story.record_of(Object::Contact, &zoho).unwrap();
    assert!(record.wants_push() && record.parked.is_none());
    story.pass(SignedDuration::from_hours(25));
    story.tick().await.unwrap();
    assert_eq!(phone(&story), "+1 555 0103");
}

#[tokio::test]
async fn another_edition_counts_from_the_next_night_on() {
    let story = Story::begin(10, json!({})).await.unwrap();
    story.full_sync().await.unwrap();
    assert_eq!(organisation(&story).await.edition, "enterprise");
    let id = story.organisation;
    story.zoho.model().organisation_mut(id).unwrap().edition = Edition::Free;
    story.routine_sync().await.unwrap();
    assert_eq!(organisation(&story).await.edition, "enterprise");
    let ran = story.full_sync().await.unwrap();
    assert_eq!(ran.run.status, RunStatus::Complete);
    let renewed = organisation(&story).await;
    assert_eq!(
        (renewed.edition.as_str(), renewed.daily_credits),
        ("free", 5_000)
    );
    let writes = story.writes();
    story.full_sync().await.unwrap();
    assert_eq!(
        story.writes().connections,
        writes.connections,
        "nothing new"
    );
}

#[tokio::test]
async fn what_was_counted_is_what_zoho_charged() {
    let story = Story::begin(30, editable()).await.unwrap();
    story.full_sync().await.unwrap();
    story.routine_sync().await.unwrap();
    let account = story.some_account();
    story
        .edit(Object::Account, &account, json!({ "name": "Renamed" }))
        .await
        .unwrap();
    let since = Bucket::day_before(story.world.now());
    let store = &story.world.store;
    let hours = store.credits_spent(&story.connection(), since).await;
    let parts = credit::spent(&hours.unwrap());
    let now = story.zoho.now();
    let usage = story.zoho.model().usage(story.organisation, now).unwrap();
    assert_eq!(parts.total(), usage["total"].as_u64().unwrap());
    assert!(parts.full_sync > 0 && parts.routine_sync > 0, "{parts:?}");
    assert_eq!(parts.person, 0);
}

type Worker<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// What many functions at once have in common.
#[derive(Default)]
struct Crowd {
    /// How many messages were taken.
    taken: Cell<u32>,
    /// How many functions are at work.
    busy: Cell<u32>,
}

/// Takes messages one after the other as a function does, until none is left. A message whose worker fails or is killed comes again. Time
/// passes only when nobody is at work, because a call takes none.
async fn works(story: &Story, crowd: &Crowd) {
    let (world, faults) = (&story.world, &story.world.faults);
    loop {
        assert!(crowd.taken.get() < 5_000, "messages go round and round");
        crowd.busy.set(crowd.busy.get() + 1);
        if let Some(held) = world.queue.take_work() {
            crowd.taken.set(crowd.taken.get() + 1);
            let handled = faults.run(story.handle_work(&held.message)).await;
            if !matches!(handled, Ok(Ok(()))) {
                world.queue.work.put_back(held);
            }
        } else if let Some(held) = world.queue.take_writeback() {
            crowd.taken.set(crowd.taken.get() + 1);
            let handled = faults.run(story.handle_writeback(&held.message)).await;
            if !matches!(handled, Ok(Ok(()))) {
                world.queue.writeback.put_back(held);
            }
        } else if crowd.busy.get() > 1 {
            crowd.busy.set(crowd.busy.get() - 1);
            tokio::task::yield_now().await;
            continue;
        } else if let Some(next) = world.queue.next_at() {
            world.clock.set(next);
        } else {
            crowd.busy.set(crowd.busy.get() - 1);
            return;
        }
        crowd.busy.set(crowd.busy.get() - 1);
    }
}

/// Lets many functions at once work through a night, a routine sync and edits, and says how many calls were under way at once.
async fn many_at_once(seed: u64, edition: Edition, killed_at: Option<u64>) -> u64 {
    let story = Story::begin(12, editable()).await.unwrap();
    story.full_sync().await.unwrap();
    story.pass(SignedDuration::from_mins(20));
    let id = story.organisation;
    story.zoho.model().organisation_mut(id).unwrap().edition = edition;
    let mut connection = story
        .world
        .store
        .connection(&story.connection())
        .await
        .unwrap()
        .unwrap();
    connection.organisation.as_mut().unwrap().edition = edition.name().to_owned();
    story.world.store.save_connection(connection).await.unwrap();
    story.zoho.model().reset_usage(id).unwrap();
    let contacts = story.present(Object::Contact);
    for (number, zoho) in contacts.iter().take(6).enumerate() {
        let contact = story.record_of(Object::Contact, zoho).unwrap().id;
        let phone = json!({ "phone": format!("+1 555 01{number:02}") });
        story
            .submit(Object::Contact, contact.as_str(), phone)
            .await
            .unwrap();
    }
    let mut syncs = Vec::new();
    for kind in [RunKind::Full, RunKind::Routine] {
        syncs.push(
            runs::start(&story.ports(), &story.connection(), kind)
                .await
                .unwrap(),
        );
    }
    story.world.faults.give_way(true);
    if let Some(call) = killed_at {
        story.world.faults.at(call, Fault::Crash(When::After));
    }
    let crowd = Crowd::default();
    let workers: Vec<Worker<'_>> = (0..10)
        .map(|_| -> Worker<'_> { Box::pin(works(&story, &crowd)) })
        .collect();
    interleave(&SeededEntropy::new(seed), workers).await;
    story.world.faults.give_way(false);
    for run in syncs {
        let ran = story.ran(&run.id).await.unwrap();
        assert_eq!(ran.run.status, RunStatus::Complete, "seed {seed}");
    }
    for (number, zoho) in contacts.iter().take(6).enumerate() {
        let row = story.row("Contacts", zoho).unwrap();
        assert_eq!(row["Phone"], format!("+1 555 01{number:02}"), "seed {seed}");
    }
    assert!(
        story.log("throttled").is_empty(),
        "seed {seed}: Zoho refused a call"
    );
    most_at_once(&story)
}

#[tokio::test]
async fn of_many_functions_no_more_call_at_once_than_the_edition_leaves_room_for() {
    let mut peak = 0;
    for seed in 0..6 {
        peak = peak.max(many_at_once(seed, Edition::Enterprise, None).await);
        assert!(
            many_at_once(seed, Edition::Free, None).await <= 2,
            "seed {seed}"
        );
    }
    assert!((2..=5).contains(&peak), "{peak}");
}

#[tokio::test]
async fn nor_after_some_of_them_were_killed() {
    for seed in 0..8 {
        let peak = many_at_once(seed, Edition::Free, Some(seed * 23 + 5)).await;
        assert!(peak <= 2, "seed {seed}: {peak}");
    }
}
