//! What a person is told of by an alarm: the flows log the line that the alarm counts, once, even where logging is off.

#![expect(
    clippy::unwrap_used,
    reason = "the stories' own helpers fail as their tests do"
)]

use std::io::Write;
use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use serde_json::{Value, json};
use stories::Story;
use tandem::edge::telemetry;
use tandem::flow::runs;
use tandem::object::Object;
use tandem::run::{RunKind, RunStatus};
use tandem_memory::{Fault, When};
use tracing::subscriber::DefaultGuard;

/// What was logged since.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Everything that this thread logs while the guard lives.
    fn begin() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = telemetry::subscriber("off", move || writer.clone()).unwrap();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn lines(&self) -> Vec<Value> {
        let bytes = self.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[tokio::test]
async fn a_parked_edit_is_said_without_what_it_is_about() {
    let settings = json!({
        "core_writeback": true,
        "objects": { "contact": { "mappings": [{ "zoho": "Phone", "platform": "phone", "editable": true }] } }
    });
    let story = Story::begin(30, settings).await.unwrap();
    story.full_sync().await.unwrap();
    let zoho = story.present(Object::Contact).into_iter().next().unwrap();
    let id = story.record_of(Object::Contact, &zoho).unwrap().id;
    let locked = zoho_sim::RecordFlags {
        locked: Some(true),
        ..zoho_sim::RecordFlags::default()
    };
    story
        .zoho
        .model()
        .flag(
            story.organisation,
            "Contacts",
            zoho.parse().unwrap(),
            locked,
        )
        .unwrap();
    let (log, _guard) = Log::begin();
    story
        .submit(Object::Contact, id.as_str(), json!({ "phone": "5550199" }))
        .await
        .unwrap();
    story.deliver().await.unwrap();
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["alarm"], "edit_parked");
    assert_eq!(lines[0]["connection.id"], "acme");
    assert_eq!(lines[0]["object"], "contact");
    assert_eq!(lines[0]["code"], "RECORD_LOCKED");
    let text = lines[0].to_string();
    assert!(
        !text.contains("5550199") && !text.contains(id.as_str()),
        "{text}"
    );
}

#[tokio::test]
async fn a_lost_grant_and_the_night_that_it_ends_are_said() {
    let story = Story::begin(30, json!({})).await.unwrap();
    story.full_sync().await.unwrap();
    let (log, _guard) = Log::begin();
    let run = runs::start(&story.ports(), &story.connection(), RunKind::Full)
        .await
        .unwrap();
    let held = story.world.queue.take_work().unwrap();
    story.handle_work(&held.message).await.unwrap();
    assert_eq!(log.lines(), Vec::<Value>::new(), "all is well");
    story
        .zoho
        .model()
        .oauth
        .revoke_all(story.organisation, true);
    story.deliver().await.unwrap();
    let mut said: Vec<Value> = log
        .lines()
        .into_iter()
        .map(|line| json!([line["alarm"], line["connection.id"], line["run.id"]]))
        .collect();
    said.sort_by_key(Value::to_string);
    assert_eq!(
        said,
        [
            json!(["full_sync_incomplete", "acme", run.id.as_str()]),
            json!(["needs_reconnect", "acme", null]),
        ]
    );
}

#[tokio::test]
async fn the_end_of_a_night_that_lost_its_grant_is_said_although_it_is_cut_off() {
    let story = Story::begin(30, json!({})).await.unwrap();
    story.full_sync().await.unwrap();
    let run = runs::start(&story.ports(), &story.connection(), RunKind::Full)
        .await
        .unwrap();
    let held = story.world.queue.take_work().unwrap();
    story.handle_work(&held.message).await.unwrap();
    story
        .zoho
        .model()
        .oauth
        .revoke_all(story.organisation, true);
    let (log, _guard) = Log::begin();
    let held = story.world.queue.take_work().unwrap();
    let faults = &story.world.faults;
    faults.on("save_run", 1, Fault::Crash(When::After));
    let cut_off = faults.run(story.handle_work(&held.message)).await;
    assert!(cut_off.is_err());
    faults.clear();
    story.pass(SignedDuration::from_mins(15));
    story.handle_work(&held.message).await.unwrap();
    story.deliver().await.unwrap();
    let ran = story.ran(&run.id).await.unwrap();
    assert_eq!(ran.run.status, RunStatus::Incomplete);
    let said = log.lines().into_iter();
    let said = said.filter(|line| line["alarm"] == "full_sync_incomplete");
    assert_eq!(said.count(), 1);
    assert_eq!(story.log("sync incomplete").len(), 1);
}
