//! What Zoho hides: named in the log and among the findings, and the rest goes on.

#![expect(
    clippy::unwrap_used,
    reason = "the stories' own helpers fail as their tests do"
)]

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::{Value, json};
use stories::{Ran, Story, name, text};
use tandem::certificate::Verdict;
use tandem::flow::runs;
use tandem::lack::Lack;
use tandem::message::Work;
use tandem::object::Object;
use tandem::port::Coordination as _;
use tandem::run::{Counter, RunKind, RunStatus};

fn staged() -> Value {
    json!({ "objects": { "deal": {
        "custom_fields": { "next_step": "text" },
        "mappings": [{ "zoho": "Next_Step", "platform": "next_step" }]
    } } })
}

async fn lacks(story: &Story, object: Object) -> BTreeSet<Lack> {
    let lacks = story.world.store.lacks(&story.connection()).await.unwrap();
    lacks.get(&object).cloned().unwrap_or_default()
}

fn field(name: &str) -> BTreeSet<Lack> {
    BTreeSet::from([Lack::Field(name.into())])
}

#[tokio::test]
async fn a_hidden_field_is_named_once_and_keeps_its_values_while_the_rest_goes_on() {
    let story = Story::begin(30, staged()).await.unwrap();
    story.full_sync().await.unwrap();
    let deal = story.present(Object::Deal).into_iter().next().unwrap();
    let step = json!({ "Next_Step": "call back" });
    story.zoho_edits("Deals", &deal, &step).unwrap();
    story.routine_sync().await.unwrap();
    let renamed = json!({ "Deal_Name": "Renamed", "Next_Step": "send offer" });
    story.zoho_edits("Deals", &deal, &renamed).unwrap();
    story.zoho_hides("Deals", "Next_Step", true).unwrap();
    for _ in 0..3 {
        let ran = story.routine_sync().await.unwrap();
        assert_eq!(ran.run.status, RunStatus::Complete, "{:?}", ran.run.reason);
    }
    let record = story.record_of(Object::Deal, &deal).unwrap();
    assert_eq!(record.fields[&name("name")], text("Renamed"));
    assert_eq!(record.fields[&name("next_step")], text("call back"));
    assert_eq!(lacks(&story, Object::Deal).await, field("Next_Step"));
    let lines = story.log("not shown by Zoho");
    assert_eq!(lines.len(), 1, "said once");
    assert!(lines[0].reason.as_ref().unwrap().contains("Next_Step"));
    let request = story.latest_request();
    story.routine_sync().await.unwrap();
    assert_eq!(
        story.calls_since(request).len(),
        5,
        "what is hidden is not asked for again and again"
    );
    let night = story.full_sync().await.unwrap();
    assert_eq!(night.run.status, RunStatus::Complete);
    assert_eq!(night.total(Counter::Removed), 0);

    story.zoho_hides("Deals", "Next_Step", false).unwrap();
    story.full_sync().await.unwrap();
    assert_eq!(lacks(&story, Object::Deal).await, BTreeSet::new());
    assert_eq!(story.log("shown again").len(), 1);
    let record = story.record_of(Object::Deal, &deal).unwrap();
    assert_eq!(record.fields[&name("next_step")], text("send offer"));
    let before = story.writes();
    story.full_sync().await.unwrap();
    let after = story.writes();
    assert_eq!((after.records, after.links), (before.records, before.links));
}

#[tokio::test]
async fn a_value_that_was_emptied_while_it_was_hidden_is_gone_when_it_is_shown() {
    let story = Story::begin(30, staged()).await.unwrap();
    story.full_sync().await.unwrap();
    let deal = story.present(Object::Deal).into_iter().next().unwrap();
    let step = |step: Value| json!({ "Next_Step": step });
    let call = step(json!("call back"));
    story.zoho_edits("Deals", &deal, &call).unwrap();
    story.routine_sync().await.unwrap();
    let none = step(Value::Null);
    story.zoho_edits("Deals", &deal, &none).unwrap();
    story.zoho_hides("Deals", "Next_Step", true).unwrap();
    story.full_sync().await.unwrap();
    let record = story.record_of(Object::Deal, &deal).unwrap();
    assert_eq!(record.fields[&name("next_step")], text("call back"));
    story.zoho_hides("Deals", "Next_Step", false).unwrap();
    story.full_sync().await.unwrap();
    let record = story.record_of(Object::Deal, &deal).unwrap();
    let shown = &record.fields[&name("next_step")];
    assert_eq!(*shown, tandem::value::Value::Null);
}

/// Lets the full sync after this one, which compared the deals in one slice, compare them in two.
async fn cut(story: &Story, night: &Ran) {
    let (store, id) = (&story.world.store, story.connection());
    let deals = story.present(Object::Deal);
    let middle = deals.iter().nth(deals.len() / 2).unwrap();
    for mut slice in store.slices(&id, &night.run.id).await.unwrap() {
        if slice.key.object == Object::Deal && slice.key.stage.compares() {
            slice.marks = vec![middle.parse().unwrap()];
            store.save_slice(&mut slice).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_field_that_is_shown_again_comes_with_each_slice_of_those_that_read_side_by_side() {
    let story = Story::begin(30, staged()).await.unwrap();
    story.full_sync().await.unwrap();
    let deals = story.present(Object::Deal);
    for deal in &deals {
        let step = json!({ "Next_Step": "send offer" });
        story.zoho_edits("Deals", deal, &step).unwrap();
    }
    story.zoho_hides("Deals", "Next_Step", true).unwrap();
    story.pass(SignedDuration::from_hours(24));
    let night = story.full_sync().await.unwrap();
    assert_eq!(lacks(&story, Object::Deal).await, field("Next_Step"));
    cut(&story, &night).await;
    story.pass(SignedDuration::from_hours(24));
    story.zoho_hides("Deals", "Next_Step", false).unwrap();
    let (ports, id) = (story.ports(), story.connection());
    runs::start(&ports, &id, RunKind::Full).await.unwrap();
    let slices = loop {
        let next = story.world.queue.work.take_all().into_iter();
        let (slices, others): (Vec<_>, Vec<_>) =
            next.partition(|held| held.message.object() == Object::Deal);
        assert!(slices.len() + others.len() > 0, "the deals are compared");
        for held in others {
            story.handle_work(&held.message).await.unwrap();
        }
        if !slices.is_empty() {
            break slices;
        }
    };
    assert_eq!(slices.len(), 2);
    let [first, second] = [0, 1].map(|index: usize| story.handle_work(&slices[index].message));
    let met = story.world.faults.amid("select", second, first).await;
    let (second, first) = met.unwrap();
    first.unwrap();
    second.unwrap();
    story.deliver().await.unwrap();
    for deal in &deals {
        let record = story.record_of(Object::Deal, deal).unwrap();
        assert_eq!(record.fields[&name("next_step")], text("send offer"));
    }
    assert_eq!(lacks(&story, Object::Deal).await, BTreeSet::new());
    assert_eq!(story.log("shown again").len(), 1, "said once");
}

#[tokio::test]
async fn what_a_sync_finds_hidden_does_not_hide_again_what_a_night_found_shown() {
    let story = Story::begin(30, staged()).await.unwrap();
    story.full_sync().await.unwrap();
    story.zoho_hides("Deals", "Next_Step", true).unwrap();
    story.full_sync().await.unwrap();
    assert_eq!(lacks(&story, Object::Deal).await, field("Next_Step"));
    story.zoho_hides("Deals", "Next_Step", false).unwrap();
    let deal = story.present(Object::Deal).pop_first().unwrap();
    let renamed = json!({ "Deal_Name": "Renamed" });
    story.zoho_edits("Deals", &deal, &renamed).unwrap();
    story.pass(SignedDuration::from_mins(15));
    let (ports, id) = (story.ports(), story.connection());
    runs::start(&ports, &id, RunKind::Routine).await.unwrap();
    let routine = |work: &Work| work.object() == Object::Deal;
    let routine = story.world.queue.work.take_where(routine).unwrap();
    let night = async {
        story.full_sync().await.unwrap();
        assert_eq!(lacks(&story, Object::Deal).await, BTreeSet::new());
        story.zoho_hides("Deals", "Closing_Date", true).unwrap();
    };
    let handled = story.handle_work(&routine.message);
    let met = story.world.faults.amid("select", handled, night).await;
    // The night has moved its cursor: the message comes again.
    met.unwrap().0.unwrap_err();
    assert_eq!(lacks(&story, Object::Deal).await, field("Closing_Date"));
}

#[tokio::test]
async fn a_hidden_external_id_stops_its_object_and_no_other() {
    let story = Story::begin(30, staged()).await.unwrap();
    story.full_sync().await.unwrap();
    let (accounts, contact) = (
        story.present(Object::Account),
        story.present(Object::Contact).into_iter().next().unwrap(),
    );
    story.zoho_hides("Accounts", "External_ID", true).unwrap();
    let phone = json!({ "Phone": "+1 555 0100" });
    story.zoho_edits("Contacts", &contact, &phone).unwrap();
    let ran = story.routine_sync().await.unwrap();
    assert_eq!(ran.run.status, RunStatus::Incomplete);
    let reason = ran.run.reason.as_deref().unwrap();
    assert!(reason.contains("External_ID"), "{reason}");
    let record = story.record_of(Object::Contact, &contact).unwrap();
    assert_eq!(record.fields[&name("phone")], text("+1 555 0100"));
    story.routine_sync().await.unwrap();
    assert_eq!(story.log("sync incomplete").len(), 1, "said once");
    let night = story.full_sync().await.unwrap();
    assert_eq!(night.run.status, RunStatus::Incomplete);
    assert_eq!(story.present(Object::Account), accounts);
    let verdict = night.certificate(Object::Account).unwrap().verdict;
    assert!(matches!(verdict, Verdict::Incomplete(_)), "{verdict:?}");
    let verdict = night.certificate(Object::Contact).unwrap().verdict;
    assert_eq!(verdict, Verdict::Agrees);
}

#[tokio::test]
async fn without_modified_time_an_object_comes_with_the_night() {
    let story = Story::begin(30, staged()).await.unwrap();
    story.full_sync().await.unwrap();
    let task = story.present(Object::Task).into_iter().next().unwrap();
    story.zoho_hides("Tasks", "Modified_Time", true).unwrap();
    let subject = json!({ "Subject": "Renamed" });
    story.zoho_edits("Tasks", &task, &subject).unwrap();
    let ran = story.routine_sync().await.unwrap();
    assert_eq!(ran.run.status, RunStatus::Incomplete);
    assert_eq!(lacks(&story, Object::Task).await, field("Modified_Time"));
    let night = story.full_sync().await.unwrap();
    assert_eq!(
        night.run.status,
        RunStatus::Complete,
        "{:?}",
        night.run.reason
    );
    let record = story.record_of(Object::Task, &task).unwrap();
    assert_eq!(record.fields[&name("subject")], text("Renamed"));
    story.zoho_hides("Tasks", "Modified_Time", false).unwrap();
    story.full_sync().await.unwrap();
    let subject = json!({ "Subject": "Renamed again" });
    story.zoho_edits("Tasks", &task, &subject).unwrap();
    let ran = story.routine_sync().await.unwrap();
    assert_eq!(ran.run.status, RunStatus::Complete);
    let record = story.record_of(Object::Task, &task).unwrap();
    assert_eq!(record.fields[&name("subject")], text("Renamed again"));
}

#[tokio::test]
async fn a_module_that_is_switched_off_removes_nothing_and_comes_back() {
    let story = Story::begin(30, staged()).await.unwrap();
    story.full_sync().await.unwrap();
    let deals = story.present(Object::Deal);
    let gone = deals.iter().next().unwrap().clone();
    story.zoho_deletes("Deals", &gone).unwrap();
    story.zoho_disables("Deals", true).unwrap();
    story.routine_sync().await.unwrap();
    let night = story.full_sync().await.unwrap();
    assert_eq!(night.run.status, RunStatus::Incomplete);
    assert_eq!(story.present(Object::Deal), deals);
    assert_eq!(
        lacks(&story, Object::Deal).await,
        BTreeSet::from([Lack::Module])
    );
    story.zoho_disables("Deals", false).unwrap();
    let night = story.full_sync().await.unwrap();
    assert_eq!(
        night.run.status,
        RunStatus::Complete,
        "{:?}",
        night.run.reason
    );
    assert_eq!(lacks(&story, Object::Deal).await, BTreeSet::new());
    assert!(!story.present(Object::Deal).contains(&gone));
}
