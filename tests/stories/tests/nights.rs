//! Full syncs that are throttled, revoked, killed or doubled: they go on, or end as incomplete and remove nothing (P3, R3).

#![expect(
    clippy::unwrap_used,
    reason = "the stories' own helpers fail as their tests do"
)]

use jiff::SignedDuration;
use serde_json::{Value, json};
use stories::{Story, name};
use tandem::certificate::Verdict;
use tandem::connection::Status;
use tandem::flow::runs;
use tandem::identifier::{RunId, ZohoId};
use tandem::message::{Work, Writeback};
use tandem::object::Object;
use tandem::port::Coordination as _;
use tandem::run::{Counter, RunKind, RunStatus, Stage};
use tandem_memory::{Fault, When};
use zoho_sim::faults::Throttle;

fn scored() -> Value {
    json!({ "objects": { "account": {
        "custom_fields": { "deal_total": "decimal" },
        "mappings": [{ "zoho": "Deal_Total", "platform": "deal_total" }]
    } } })
}

/// A synced organisation in which one deal is deleted since.
async fn with_a_deletion() -> (Story, String) {
    let story = Story::begin(30, scored()).await.unwrap();
    story.full_sync().await.unwrap();
    let gone = story.present(Object::Deal).into_iter().next().unwrap();
    story.zoho_deletes("Deals", &gone).unwrap();
    (story, gone)
}

#[tokio::test]
async fn a_throttled_night_waits_and_goes_on() {
    let (story, gone) = with_a_deletion().await;
    let run = runs::start(&story.ports(), &story.connection(), RunKind::Full)
        .await
        .unwrap();
    for _ in 0..2 {
        let held = story.world.queue.take_work().unwrap();
        story.handle_work(&held.message).await.unwrap();
    }
    let throttle = Throttle {
        organisation: Some(story.organisation),
        calls: Some(3),
        retry_after: Some(120),
        ..Throttle::default()
    };
    story.zoho.model().faults.throttle(throttle);
    let began = story.world.now();
    story.deliver().await.unwrap();
    let ran = story.ran(&run.id).await.unwrap();
    assert_eq!(ran.run.status, RunStatus::Complete, "{:?}", ran.run.reason);
    assert!(story.world.now().duration_since(began) >= SignedDuration::from_secs(120));
    assert!(!story.present(Object::Deal).contains(&gone));
}

#[tokio::test]
async fn a_night_whose_grant_is_revoked_ends_and_removes_nothing() {
    let (story, gone) = with_a_deletion().await;
    let run = runs::start(&story.ports(), &story.connection(), RunKind::Full)
        .await
        .unwrap();
    for _ in 0..3 {
        let held = story.world.queue.take_work().unwrap();
        story.handle_work(&held.message).await.unwrap();
    }
    story
        .zoho
        .model()
        .oauth
        .revoke_all(story.organisation, true);
    story.deliver().await.unwrap();
    let ran = story.ran(&run.id).await.unwrap();
    assert_eq!(ran.run.status, RunStatus::Incomplete);
    assert_eq!(ran.total(Counter::Removed), 0);
    assert!(story.present(Object::Deal).contains(&gone));
    assert_eq!(story.status().await.unwrap(), Status::NeedsReconnect);
    let request = story.latest_request();
    assert!(story.tick().await.unwrap().started == 0);
    assert_eq!(story.calls_since(request), Vec::<String>::new());
}

#[tokio::test]
async fn a_night_killed_at_any_call_goes_on_to_the_same_end() {
    let (unharmed, gone) = with_a_deletion().await;
    let calls = unharmed.world.faults.calls();
    unharmed.full_sync().await.unwrap();
    let calls = unharmed.world.faults.calls() - calls;
    let records = |story: &Story| {
        let records = story.world.store.all_records(&story.connection());
        let mut shown: Vec<_> = records
            .into_iter()
            .map(|record| {
                (
                    record.object,
                    record.id,
                    record.fields,
                    record.removed.is_some(),
                )
            })
            .collect();
        shown.sort_by(|left, right| (left.0, &left.1).cmp(&(right.0, &right.1)));
        shown
    };
    // Every seventh call, so that with the stages' regular steps all kinds are met.
    for number in (3..calls).step_by(7) {
        let (story, _) = with_a_deletion().await;
        story.world.faults.at(number, Fault::Crash(When::After));
        let (ports, connection) = (story.ports(), story.connection());
        let night = runs::start(&ports, &connection, RunKind::Full);
        // Killed before its messages were sent, the night hangs; that of the day after ends it.
        let _ = story.world.faults.run(night).await;
        story.deliver_again_and_again().await.unwrap();
        if story.present(Object::Deal).contains(&gone) {
            story.world.faults.clear();
            story.pass(SignedDuration::from_hours(24));
            story.full_sync().await.unwrap();
        }
        assert!(
            !story.present(Object::Deal).contains(&gone),
            "call {number}"
        );
        assert_eq!(records(&story), records(&unharmed), "call {number}");
    }
}

#[tokio::test]
async fn the_certificate_accounts_for_every_row() {
    let story = Story::begin(40, scored()).await.unwrap();
    let night = story.full_sync().await.unwrap();
    for object in [Object::Account, Object::Contact, Object::Deal, Object::Task] {
        let certificate = night.certificate(object).unwrap();
        assert_eq!(certificate.verdict, Verdict::Agrees, "{object}");
        let rows = u64::try_from(story.rows(object.module()).unwrap().len()).unwrap();
        assert_eq!(certificate.counters.get(Counter::ZohoCount), rows);
    }
    let users = night.certificate(Object::User).unwrap();
    assert_eq!(users.verdict, Verdict::NotCounted);
    let line = story.log("full sync complete").pop().unwrap();
    assert!(line.reason.unwrap().contains("deals: the counts agree"));
}

#[tokio::test]
async fn what_comes_while_a_night_reads_is_named_and_read_by_the_next_sync() {
    let story = Story::begin(30, scored()).await.unwrap();
    story.full_sync().await.unwrap();
    let run = runs::start(&story.ports(), &story.connection(), RunKind::Full)
        .await
        .unwrap();
    let account = story.present(Object::Account).into_iter().next().unwrap();
    // Just before Zoho counts the deals, after they were read.
    let born = std::sync::Arc::new(std::sync::Mutex::new(None));
    let (zoho, organisation, slot) = (story.zoho.clone(), story.organisation, born.clone());
    story.world.faults.decide(move |call| {
        let mut slot = slot.lock().unwrap();
        if call.operation == "count" && slot.is_none() {
            let now = zoho.now();
            let values = json!({ "Deal_Name": "Late", "Stage": "Qualification", "Account_Name": { "id": account } });
            let id = zoho
                .model()
                .create(organisation, "Deals", values.as_object().unwrap(), None, now)
                .unwrap();
            let first = json!({ "Account_Name": "Later", "External_ID": "A-LATER" });
            zoho.model()
                .create(organisation, "Accounts", first.as_object().unwrap(), None, now)
                .unwrap();
            *slot = Some(id.to_string());
        }
        None
    });
    story.deliver().await.unwrap();
    story.world.faults.clear();
    let ran = story.ran(&run.id).await.unwrap();
    assert_eq!(ran.run.status, RunStatus::Complete);
    let certificate = ran.certificate(Object::Account).unwrap();
    assert_eq!(certificate.verdict, Verdict::ZohoDiffers);
    let later = story.rows("Accounts").unwrap().into_iter();
    let later = later.filter(|row| row["External_ID"] == "A-LATER");
    let later: Vec<String> = later
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect();
    let named: Vec<String> = certificate
        .doubtful
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(named, later);
    let lines = story.log("counts disagree");
    assert!(lines[0].reason.as_ref().unwrap().contains(&later[0]));
    story.routine_sync().await.unwrap();
    assert!(
        story.present(Object::Account).contains(&later[0]),
        "repaired"
    );
    let born = born.lock().unwrap().clone().unwrap();
    assert!(story.present(Object::Deal).contains(&born));
    let night = story.full_sync().await.unwrap();
    let certificate = night.certificate(Object::Account).unwrap();
    assert_eq!(certificate.verdict, Verdict::Agrees);
}

#[tokio::test]
async fn roll_ups_that_zoho_does_not_flag_come_at_night_and_are_named() {
    let story = Story::begin(30, scored()).await.unwrap();
    story.full_sync().await.unwrap();
    story.routine_sync().await.unwrap();
    let deal = story.present(Object::Deal).into_iter().next().unwrap();
    let account = story.row("Deals", &deal).unwrap()["Account_Name"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let shown = |story: &Story| {
        let record = story.record_of(Object::Account, &account).unwrap();
        record.fields[&name("deal_total")].clone()
    };
    let before = shown(&story);
    let amount = json!({ "Amount": 987_654.25 });
    story.zoho_edits("Deals", &deal, &amount).unwrap();
    story.routine_sync().await.unwrap();
    assert_eq!(shown(&story), before, "the account was not flagged");
    let night = story.full_sync().await.unwrap();
    assert_ne!(shown(&story), before);
    let certificate = night.certificate(Object::Account).unwrap();
    assert_eq!(certificate.unflagged.get("Deal_Total"), Some(&1));
    let line = story.log("unflagged changes").pop().unwrap();
    assert!(line.reason.unwrap().contains("Deal_Total (1)"));
    assert_eq!(line.object, Some(Object::Account));
    // A change that Zoho flags is no drift, although the night sees it first.
    let phone = json!({ "Phone": "+1 555 0100" });
    story.zoho_edits("Accounts", &account, &phone).unwrap();
    let night = story.full_sync().await.unwrap();
    let certificate = night.certificate(Object::Account).unwrap();
    assert!(
        certificate.unflagged.is_empty(),
        "{:?}",
        certificate.unflagged
    );
}

#[tokio::test]
async fn a_night_that_hangs_is_ended_by_the_next_one() {
    let (story, gone) = with_a_deletion().await;
    let hung = runs::start(&story.ports(), &story.connection(), RunKind::Full)
        .await
        .unwrap();
    // Its messages end among the dead letters.
    while story.world.queue.take_work().is_some() {}
    story.world.queue.work.clear();
    story.pass(SignedDuration::from_hours(24));
    story.full_sync().await.unwrap();
    let hung = story.world.store.run(&story.connection(), &hung.id).await;
    let hung = hung.unwrap().unwrap();
    assert_eq!(hung.status, RunStatus::Incomplete);
    assert!(!story.present(Object::Deal).contains(&gone));
}

#[tokio::test]
async fn a_routine_sync_that_hangs_is_ended_by_the_next_night_and_said_once() {
    let (story, _) = with_a_deletion().await;
    let start = || async {
        let (ports, id) = (story.ports(), story.connection());
        runs::start(&ports, &id, RunKind::Routine).await.unwrap()
    };
    let status = |run: tandem::identifier::RunId| {
        let (story, id) = (&story, story.connection());
        async move {
            let found = story.world.store.run(&id, &run).await.unwrap().unwrap();
            (found.status, found.reason)
        }
    };
    // Whoever started them was cut off before the messages were sent.
    let hung = [start().await, start().await];
    story.world.queue.work.clear();
    story.pass(SignedDuration::from_hours(10));
    story.full_sync().await.unwrap();
    assert_eq!(status(hung[0].id.clone()).await.0, RunStatus::Running);
    story.pass(SignedDuration::from_hours(24));
    let young = start().await;
    story.full_sync().await.unwrap();
    for run in hung {
        let (status, reason) = status(run.id).await;
        assert_eq!(status, RunStatus::Incomplete);
        assert_eq!(reason.as_deref(), Some("it did not end within 20 hours"));
    }
    assert_ne!(status(young.id).await.0, RunStatus::Incomplete);
    assert_eq!(story.log("sync incomplete").len(), 1);
}

/// Plants the ids at which the full sync after that one is cut.
async fn cut(story: &Story, night: &RunId, object: Object, marks: &[ZohoId]) {
    let (store, id) = (&story.world.store, story.connection());
    for mut slice in store.slices(&id, night).await.unwrap() {
        if slice.key.object == object && slice.key.stage.compares() && slice.key.index == 0 {
            slice.marks = marks.to_vec();
            store.save_slice(&mut slice).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_stage_that_was_planned_in_part_is_planned_to_its_end() {
    let story = Story::begin(30, scored()).await.unwrap();
    let before = story.full_sync().await.unwrap().run.id;
    let contacts = story.present(Object::Contact);
    let mut ids: Vec<ZohoId> = contacts.iter().map(|id| id.parse().unwrap()).collect();
    ids.sort();
    let quarter = ids.len() / 4;
    let quarters = [ids[quarter], ids[2 * quarter], ids[3 * quarter]];
    cut(&story, &before, Object::Contact, &quarters).await;
    let (ports, id) = (story.ports(), story.connection());
    let run = runs::start(&ports, &id, RunKind::Full).await.unwrap().id;
    // The users' slice plans the accounts, the accounts' one the contacts: the second time that a worker plans.
    let half = Fault::Crash(When::Midway);
    story.world.faults.on("plan_slices", 2, half);
    let killed = loop {
        let held = story.world.queue.take_work().unwrap();
        let handled = story.world.faults.run(story.handle_work(&held.message));
        if handled.await.is_err() {
            break held.message;
        }
    };
    story.world.faults.clear();
    let planned = story.world.store.slices(&id, &run).await.unwrap();
    let planned = planned
        .iter()
        .filter(|slice| slice.key.stage == Stage::Contacts);
    assert_eq!(planned.count(), 2, "half of them");
    // The full sync whose marks they were cut at says others by then.
    cut(&story, &before, Object::Contact, &ids[..1]).await;
    story.pass(SignedDuration::from_mins(15));
    story.handle_work(&killed).await.unwrap();
    story.deliver().await.unwrap();
    let night = story.ran(&run).await.unwrap();
    assert_eq!(night.run.status, RunStatus::Complete);
    let certificate = night.certificate(Object::Contact).unwrap();
    assert_eq!(certificate.verdict, Verdict::Agrees);
    let rows = story.rows("Contacts").unwrap().len() as u64;
    assert_eq!(certificate.counters.get(Counter::RowsRead), rows);
}

#[tokio::test]
async fn a_night_that_is_cut_off_at_its_end_is_told_of_once_and_has_what_is_parked_tried_again() {
    // With its instant stored, when all is said, and when it has ended.
    let cuts = [(1, When::After), (2, When::Before), (2, When::After)];
    for (number, when) in cuts {
        let (story, _) = with_a_deletion().await;
        let run = runs::start(&story.ports(), &story.connection(), RunKind::Full)
            .await
            .unwrap()
            .id;
        let last = loop {
            let message = story.world.queue.take_work().unwrap().message;
            if matches!(&message, Work::Slice { slice, .. } if slice.stage == Stage::Calculated) {
                break message;
            }
            story.handle_work(&message).await.unwrap();
        };
        let faults = &story.world.faults;
        faults.on("save_run", number, Fault::Crash(when));
        let cut_off = faults.run(story.handle_work(&last)).await;
        assert!(cut_off.is_err(), "{number} {when:?}");
        faults.clear();
        story.pass(SignedDuration::from_mins(15));
        story.handle_work(&last).await.unwrap();
        let retries = story.world.queue.writeback.messages().into_iter();
        let retries = retries.filter(|message| matches!(message, Writeback::Retry { .. }));
        assert!(retries.count() > 0, "{number} {when:?}");
        story.deliver().await.unwrap();
        let ran = story.ran(&run).await.unwrap();
        assert_eq!(ran.run.status, RunStatus::Complete, "{number} {when:?}");
        let mut lines = story.log("full sync complete");
        lines.retain(|line| line.run.as_ref() == Some(&run));
        assert_eq!(lines.len(), 1, "{number} {when:?}");
        assert_eq!(ran.run.ended_at, Some(lines[0].at), "{number} {when:?}");
    }
}
