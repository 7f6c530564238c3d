//! References whose other end comes in the same night: completed, and nothing is left to look at again (F7, P5).

#![expect(
    clippy::unwrap_used,
    reason = "the stories' own helpers fail as their tests do"
)]

use jiff::SignedDuration;
use serde_json::{Value, json};
use stories::{Story, name, text};
use tandem::flow::runs;
use tandem::message::Work;
use tandem::object::Object;
use tandem::port::Coordination as _;
use tandem::run::{RunKind, RunStatus, Stage};
use zoho_sim::faults::Throttle;

fn account(story: &Story, name: &str, more: &Value) -> String {
    let mut values = json!({ "Account_Name": name, "External_ID": name });
    let more = more.as_object().unwrap().clone();
    values.as_object_mut().unwrap().extend(more);
    story.zoho_creates("Accounts", &values).unwrap()
}

fn edit(story: &Story, account: &str, values: &Value) {
    story.zoho_edits("Accounts", account, values).unwrap();
}

fn under(parent: &str) -> Value {
    json!({ "Parent_Account": { "id": parent } })
}

fn parent_of(story: &Story, account: &str) -> Option<String> {
    let record = story.record_of(Object::Account, account)?;
    let parent = record.fields[&name("parent")].as_reference()?.clone();
    parent.platform_id.map(|id| id.to_string())
}

/// Begins a night and works on it until the accounts' references are to be completed. Returns the message that asks for it.
async fn night_until_references(story: &Story) -> Work {
    let (ports, id) = (story.ports(), story.connection());
    runs::start(&ports, &id, RunKind::Full).await.unwrap();
    let asks = |work: &Work| match work {
        Work::Slice { slice, .. } => {
            slice.stage == Stage::References && slice.object == Object::Account
        }
        _ => false,
    };
    loop {
        let work = story.world.queue.take_work().unwrap().message;
        if asks(&work) {
            return work;
        }
        story.handle_work(&work).await.unwrap();
    }
}

async fn assert_quiet(story: &Story) {
    let before = story.writes();
    story.full_sync().await.unwrap();
    let after = story.writes();
    assert_eq!((after.records, after.links), (before.records, before.links));
}

#[tokio::test]
async fn a_row_that_does_not_say_all_that_its_record_holds_is_not_looked_at_again() {
    let settings = json!({ "objects": { "account": {
        "custom_fields": { "size": "integer" },
        "mappings": [
            { "zoho": "Support_Email", "platform": "size" },
            { "zoho": "Phone", "platform": "phone", "null": "keep" }
        ]
    } } });
    let story = Story::begin(10, settings).await.unwrap();
    let kept = account(&story, "KEPT", &json!({ "Phone": "+1 555 0100" }));
    let site = json!({ "Website": "https://hidden.example.com" });
    let hidden = account(&story, "HIDDEN", &site);
    story.full_sync().await.unwrap();
    let faulty = json!({ "Support_Email": "help@example.com" });
    let faulty = account(&story, "FAULTY", &faulty);
    let parent = account(&story, "PARENT", &json!({}));
    let children = [&kept, &hidden, &faulty];
    for child in children {
        edit(&story, child, &under(&parent));
    }
    edit(&story, &kept, &json!({ "Phone": null }));
    story.zoho_hides("Accounts", "Website", true).unwrap();
    story.pass(SignedDuration::from_mins(15));
    story.full_sync().await.unwrap();
    for child in children {
        assert_eq!(parent_of(&story, child).as_deref(), Some("PARENT"));
    }
    let record = story.record_of(Object::Account, &kept).unwrap();
    assert_eq!(record.fields[&name("phone")], text("+1 555 0100"));
    assert_quiet(&story).await;
    let parked = story.log("parked field size").into_iter();
    let parked = parked.filter(|line| line.zoho_id == faulty.parse().ok());
    assert_eq!(parked.count(), 1, "said once");
}

#[tokio::test]
async fn a_night_that_is_throttled_when_references_are_completed_leaves_nothing_to_look_at_again() {
    let story = Story::begin(3, json!({})).await.unwrap();
    let child = account(&story, "CHILD", &json!({}));
    let parent = account(&story, "PARENT", &json!({}));
    edit(&story, &child, &under(&parent));
    let references = night_until_references(&story).await;
    let throttle = Throttle {
        organisation: Some(story.organisation),
        calls: Some(1),
        retry_after: Some(120),
        ..Throttle::default()
    };
    story.zoho.model().faults.throttle(throttle);
    let began = story.world.now();
    story.handle_work(&references).await.unwrap();
    assert_eq!(parent_of(&story, &child), None, "put off");
    story.deliver().await.unwrap();
    assert!(story.world.now().duration_since(began) >= SignedDuration::from_secs(120));
    assert_eq!(parent_of(&story, &child).as_deref(), Some("PARENT"));
    assert_quiet(&story).await;
}

#[tokio::test]
async fn a_row_that_says_again_what_it_said_before_its_reference_was_completed_is_applied() {
    // An account that was never calculated is marked for it when it is saved: between its record and its link.
    let settings = json!({ "objects": { "account": {
        "custom_fields": { "contacts": "integer" },
        "calculated": [{ "platform": "contacts", "over": "contact", "value": "count" }]
    } } });
    let story = Story::begin(3, settings).await.unwrap();
    let child = account(&story, "CHILD", &json!({}));
    let parent = account(&story, "PARENT", &json!({}));
    edit(&story, &child, &under(&parent));
    let references = night_until_references(&story).await;
    let shown = || {
        let record = story.record_of(Object::Account, &child).unwrap();
        record.fields[&name("name")].clone()
    };
    let overtaken = async {
        assert_eq!(parent_of(&story, &child).as_deref(), Some("PARENT"));
        story.pass(SignedDuration::from_mins(1));
        edit(&story, &child, &json!({ "Account_Name": "Renamed" }));
        story.routine_sync().await.unwrap();
        assert_eq!(shown(), text("Renamed"));
    };
    let handled = story.handle_work(&references);
    let faults = &story.world.faults;
    let met = faults.amid("mark_calculations", handled, overtaken).await;
    met.unwrap().0.unwrap();
    story.deliver().await.unwrap();
    story.pass(SignedDuration::from_mins(1));
    edit(&story, &child, &json!({ "Account_Name": "CHILD" }));
    story.routine_sync().await.unwrap();
    assert_eq!(shown(), text("CHILD"));
}

#[tokio::test]
async fn more_waiting_records_than_an_invocation_has_time_for_are_all_looked_at() {
    let story = Story::begin(3, json!({})).await.unwrap();
    // Without an external id it never comes to the platform, so what names it waits for good.
    let nobody = json!({ "Account_Name": "Nobody" });
    let nobody = story.zoho_creates("Accounts", &nobody).unwrap();
    for number in 0..150 {
        account(&story, &format!("W-{number:03}"), &under(&nobody));
    }
    let child = account(&story, "Z-CHILD", &json!({}));
    let parent = account(&story, "Z-PARENT", &json!({}));
    edit(&story, &child, &under(&parent));
    let references = night_until_references(&story).await;
    let Work::Slice { run, .. } = &references else {
        unreachable!("it asks for a slice");
    };
    // Each page takes an invocation's time.
    let clock = story.world.clock.clone();
    story.world.faults.last(move |call| {
        if call.operation == "stop_awaiting" {
            clock.advance(SignedDuration::from_secs(270));
        }
        Box::pin(async {})
    });
    story.handle_work(&references).await.unwrap();
    assert_eq!(parent_of(&story, &child), None, "it has not come to it");
    let mut handled = 0;
    while let Some(held) = story.world.queue.take_work() {
        handled += 1;
        assert!(handled < 50, "it begins anew each time");
        story.handle_work(&held.message).await.unwrap();
    }
    assert_eq!(parent_of(&story, &child).as_deref(), Some("Z-PARENT"));
    let id = story.connection();
    let ended = story.world.store.run(&id, run).await.unwrap().unwrap();
    assert_eq!(ended.status, RunStatus::Complete, "{:?}", ended.reason);
}
