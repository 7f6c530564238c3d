//! Messages of a customer that is gone: none writes anything back, whatever it asks for and whenever it comes (P7).

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use tandem::flow::job::Deadline;
use tandem::flow::work;
use tandem::message::{Version, Work, Writeback};
use tandem::object::Object;
use tandem::port::QueueName;
use tandem::run::{RunKind, Stage};
use tandem_memory::Writes;

use super::desk::{GONE, Two, start};

/// Messages of every kind, as they were sent while the customer was there.
struct Letters {
    work: Vec<Work>,
    writeback: Vec<Writeback>,
}

impl Letters {
    /// Those of a full and a routine sync, and one of each other kind.
    async fn of(two: &Two) -> Self {
        let story = &two.gone;
        let mut work = Vec::new();
        let mut last = None;
        for kind in [RunKind::Full, RunKind::Routine] {
            last = Some(start(story, kind).await);
            while let Some(held) = story.world.queue.take_work() {
                work.push(held.message.clone());
                story.handle_work(&held.message).await.unwrap();
            }
        }
        let stages: BTreeSet<Stage> = work
            .iter()
            .filter_map(|message| match message {
                Work::Slice { slice, .. } => Some(slice.stage),
                _ => None,
            })
            .collect();
        assert_eq!(stages.len(), 10, "a slice of every stage: {stages:?}");
        let (connection, run) = (story.connection(), last.unwrap());
        let accounts = story.present(Object::Account).into_iter();
        work.push(Work::Dependants {
            version: Version,
            connection: connection.clone(),
            run: run.clone(),
            object: Object::Contact,
            parent: Object::Account,
            ids: accounts.map(|id| id.parse().unwrap()).collect(),
        });
        work.push(Work::Calculate {
            version: Version,
            connection: connection.clone(),
            run,
        });
        let contacts = story.world.store.live_records(&connection, Object::Contact);
        let ids: Vec<_> = contacts.into_iter().map(|contact| contact.id).collect();
        let edit = json!({"kind": "edit", "version": 1, "connection": GONE, "object": "contact",
            "edits": [{"id": ids[0], "fields": {"phone": "7"}}, {"id": "new@xq-gone.example", "fields": {"last_name": "New"}}]});
        let writeback = vec![
            serde_json::from_value(edit).unwrap(),
            Writeback::Push {
                version: Version,
                connection: connection.clone(),
                object: Object::Contact,
                ids,
            },
            Writeback::Retry {
                version: Version,
                connection,
                next: None,
            },
        ];
        Self { work, writeback }
    }

    /// Delivers all of them, out of order and twice, and asserts that nothing came of it.
    async fn deliver(&self, two: &Two, when: &str) {
        let (story, world) = (&two.gone, two.world());
        let count = || {
            let queue = &world.queue;
            (
                world.store.writes(),
                world.vault.writes(),
                story.latest_request(),
                queue.work.len() + queue.writeback.len(),
            )
        };
        let before = count();
        for _ in 0..2 {
            for message in self.work.iter().rev() {
                story.handle_work(message).await.unwrap();
                assert_eq!(count(), before, "{when}: {message:?}");
            }
            for message in self.writeback.iter().rev() {
                story.handle_writeback(message).await.unwrap();
                assert_eq!(count(), before, "{when}: {message:?}");
            }
        }
    }
}

#[tokio::test]
async fn no_message_of_any_kind_brings_anything_back() {
    let two = Two::synced(60).await;
    let letters = Letters::of(&two).await;
    two.world().queue.writeback.clear();
    two.disconnect().await;
    two.purge().await;
    letters.deliver(&two, "just asked for").await;
    two.gone.pass(SignedDuration::from_mins(15));
    let purge = two.world().queue.take_work().unwrap().message;
    let now = Deadline(two.world().now());
    work::handle(&two.world().ports(), &purge, now)
        .await
        .unwrap();
    let left = two.world().store.all_records(&two.gone.connection()).len();
    letters.deliver(&two, &format!("{left} records left")).await;
    two.gone.deliver().await.unwrap();
    two.assert_gone().await;
    letters.deliver(&two, "purged").await;
    let before = two.world().store.writes();
    two.gone.handle_work(&purge).await.unwrap();
    assert_eq!(two.world().store.writes() - before, Writes::default());
    two.assert_gone().await;
}

#[tokio::test]
async fn a_dead_letter_that_is_sent_again_brings_nothing_back() {
    let two = Two::synced(12).await;
    let letters = Letters::of(&two).await;
    two.world().queue.writeback.clear();
    for message in &letters.work {
        let body = serde_json::to_string(message).unwrap();
        let queue = QueueName::Work(message.object());
        two.world().queue.bury(queue, &two.gone.connection(), &body);
    }
    for message in &letters.writeback {
        let body = serde_json::to_string(message).unwrap();
        two.world()
            .queue
            .bury(QueueName::Writeback, &two.gone.connection(), &body);
    }
    two.disconnect().await;
    two.purge().await;
    two.gone.deliver().await.unwrap();
    two.assert_gone().await;
    let before = (two.world().store.writes(), two.gone.latest_request());
    for queue in [
        "accounts",
        "contacts",
        "tasks",
        "deals",
        "users",
        "writeback",
    ] {
        let path = format!("/api/dead-letters/{queue}/redrive");
        let (status, said) = two.ask("POST", &path, &Json::Null).await;
        assert_eq!(status, 200, "{said}");
        assert!(said["moved"].as_u64().unwrap() > 0, "{said}");
    }
    two.gone.deliver().await.unwrap();
    assert_eq!(
        (two.world().store.writes(), two.gone.latest_request()),
        before
    );
    two.assert_gone().await;
}

#[tokio::test]
async fn a_customer_who_comes_back_from_zoho_late_brings_nothing_back() {
    use tandem::flow::connect::{self, Begun, Finished, Refusal};
    let two = Two::synced(12).await;
    let ports = two.world().ports();
    let url = "https://sync.example.com";
    let id = two.gone.connection();
    let begun = connect::begin(&ports, url, &id, None, None).await.unwrap();
    let Begun::Redirect { url: way, browser } = begun else {
        panic!("{begun:?}")
    };
    let state = url_parameter(&way, "state");
    two.disconnect().await;
    two.purge().await;
    let back = format!("state={state}&error=access_denied");
    // Before anything is deleted the state is still known, and the log must not take a line for it.
    let before = two.world().store.all_entries(&id).len();
    let finished = connect::finish(&ports, url, &back, Some(browser.expose()))
        .await
        .unwrap();
    let Finished::Refused { refusal, .. } = finished else {
        panic!("{finished:?}")
    };
    assert_eq!(refusal, Refusal::Disconnected);
    assert_eq!(two.world().store.all_entries(&id).len(), before);
    let begun = connect::begin(&ports, url, &id, None, None).await.unwrap();
    assert!(
        matches!(begun, Begun::Refused(Refusal::Disconnected)),
        "{begun:?}"
    );
    two.gone.deliver().await.unwrap();
    two.assert_gone().await;
    let begun = connect::begin(&ports, url, &id, None, None).await.unwrap();
    assert!(
        matches!(begun, Begun::Refused(Refusal::Disconnected)),
        "{begun:?}"
    );
    connect::finish(&ports, url, &back, Some(browser.expose()))
        .await
        .unwrap();
    two.assert_gone().await;
}

fn url_parameter(url: &str, name: &str) -> String {
    let (_, rest) = url.split_once(&format!("{name}=")).unwrap();
    rest.split('&').next().unwrap().to_owned()
}
