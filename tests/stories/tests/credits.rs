//! Near the ceiling of credits: full syncs wait first, routine syncs slow down and wait next, edits wait last (C7).

#![expect(
    clippy::unwrap_used,
    reason = "the stories' own helpers fail as their tests do"
)]

use jiff::SignedDuration;
use serde_json::json;
use stories::{Story, name, text};
use tandem::credit::Bucket;
use tandem::flow::job::Deadline;
use tandem::flow::{Error, poll, runs};
use tandem::object::Object;
use tandem::port::{Connections as _, Coordination as _, Due};
use tandem::run::{RunKind, RunStatus};

/// Half of the organisation's daily credits.
const CEILING: u64 = 45_000;

fn editable() -> serde_json::Value {
    json!({ "core_writeback": true, "objects": { "contact": {
        "mappings": [{ "zoho": "Phone", "platform": "phone", "editable": true }]
    } } })
}

/// Lets the connection have spent so many percent of what it may.
async fn spend(story: &Story, percent: u64) {
    let store = &story.world.store;
    let since = Bucket::day_before(story.world.now());
    let spent = store
        .credits_spent(&story.connection(), since)
        .await
        .unwrap();
    let more = (CEILING * percent / 100).saturating_sub(spent);
    let bucket = Bucket::of(story.world.now());
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
