//! Groups that Zoho refuses as a whole while it does not show when records changed: only the record that spoils them waits (P2, W4, W5).

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tandem::identifier::ZohoId;
use tandem::object::Object;
use tandem::port::{Caller, Crm, CrmError, Reply, WriteOutcome};
use tandem::row::Outgoing;
use tandem_memory::layer::{CrmLayer, Layered};

use super::*;

/// The records of the calls that Zoho did not refuse as a whole, each as often as it was in one.
type Through = Arc<Mutex<Vec<ZohoId>>>;

/// Why one record spoils a whole call.
enum Why {
    /// Zoho does not take its value.
    Invalid,
    /// It changed then: later than the call supposes, as long as the call supposes less.
    ChangedAt(Timestamp),
}

/// A Zoho that answers for the call and not for its records.
struct Spoilt {
    by: ZohoId,
    why: Why,
    through: Through,
}

#[async_trait]
impl CrmLayer for Spoilt {
    async fn update(
        &self,
        inner: &dyn Crm,
        caller: &Caller,
        object: Object,
        records: &[(ZohoId, Outgoing)],
        trigger: &[String],
        unmodified_since: Option<Timestamp>,
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        let spoilt = records.iter().any(|(id, _)| *id == self.by);
        match &self.why {
            Why::Invalid if spoilt => {
                return Err(CrmError::Refused {
                    code: "INVALID_DATA".to_owned(),
                    message: "invalid data".to_owned(),
                    field: Some("Phone".to_owned()),
                });
            }
            Why::ChangedAt(at) if spoilt && unmodified_since.is_some_and(|since| since < *at) => {
                return Err(CrmError::ChangedMeanwhile);
            }
            Why::Invalid | Why::ChangedAt(_) => {}
        }
        let ids = records.iter().map(|(id, _)| *id);
        self.through.lock().unwrap().extend(ids);
        let written = inner.update(caller, object, records, trigger, unmodified_since);
        written.await
    }
}

/// Lets a record spoil every call that writes it.
fn spoil(story: &mut Story, zoho: &str, why: Why) -> Through {
    let through = Through::default();
    let layer = Spoilt {
        by: zoho.parse().unwrap(),
        why,
        through: through.clone(),
    };
    story.world.crm = Arc::new(Layered::new(layer, story.world.crm.clone()));
    through
}

/// What went through so far, in the order of the ids.
fn gone(through: &Through) -> Vec<String> {
    let through = through.lock().unwrap();
    let mut gone: Vec<String> = through.iter().map(ToString::to_string).collect();
    gone.sort();
    gone
}

/// The Zoho ids of some contacts, but for one, in the order of the ids.
fn all_but(contacts: &[(String, String)], one: &str) -> Vec<String> {
    let others = contacts.iter().map(|(zoho, _)| zoho.clone());
    others.filter(|zoho| zoho != one).collect()
}

/// Contacts of which Zoho does not show when they changed.
async fn untimed() -> Story {
    let story = Story::begin(40, editable()).await.unwrap();
    story.full_sync().await.unwrap();
    story.zoho_hides("Contacts", "Modified_Time", true).unwrap();
    story.pass(SignedDuration::from_mins(15));
    story
}

#[tokio::test]
async fn where_zoho_shows_no_times_a_call_that_it_refuses_costs_only_the_record_that_spoils_it() {
    let mut story = untimed().await;
    let contacts = edit_all(&story, 16, json!({ "phone": "16" })).await;
    let (zoho, id) = &contacts[5];
    let healthy = story.world.crm.clone();
    let through = spoil(&mut story, zoho, Why::Invalid);
    story.deliver().await.unwrap();
    assert_eq!(gone(&through), all_but(&contacts, zoho), "each once");
    assert_eq!(count(&story, "Contacts", "Phone", "16"), 15);
    assert_ne!(story.row("Contacts", zoho).unwrap()["Phone"], "16");
    let why = parked(&story, Object::Contact, id).await.unwrap();
    let (code, field) = (why.code.as_str(), why.field.as_deref());
    assert_eq!((code, field), ("INVALID_DATA", Some("Phone")));
    assert_eq!(story.log("parked").len(), 1);
    for (_, id) in contacts.iter().filter(|(other, _)| other != zoho) {
        let record = story.record(Object::Contact, id).await.unwrap();
        assert!(record.pending.is_empty() && record.parked.is_none());
    }

    story.world.crm = healthy;
    story.full_sync().await.unwrap();
    assert_eq!(count(&story, "Contacts", "Phone", "16"), 16);
    assert_eq!(parked(&story, Object::Contact, id).await, None);
}

#[tokio::test]
async fn where_zoho_shows_no_times_a_record_that_just_changed_holds_up_none_of_its_group() {
    let mut story = untimed().await;
    let contacts = edit_all(&story, 7, json!({ "phone": "7" })).await;
    let held = story.world.queue.take_writeback().unwrap();
    let (zoho, id) = &contacts[2];
    let theirs = json!({ "Title": "theirs" });
    story.zoho_edits("Contacts", zoho, &theirs).unwrap();
    let changed_at = story.zoho.now();
    let through = spoil(&mut story, zoho, Why::ChangedAt(changed_at));

    story.handle_writeback(&held.message).await.unwrap();
    let others = all_but(&contacts, zoho);
    assert_eq!(gone(&through), others, "they go at once, each once");
    assert_eq!(count(&story, "Contacts", "Phone", "7"), 6);
    assert_ne!(story.row("Contacts", zoho).unwrap()["Phone"], "7");
    let waits = story.record(Object::Contact, id).await.unwrap();
    assert!(waits.wants_push(), "it waits until the second is over");

    story.deliver().await.unwrap();
    assert_eq!(gone(&through), all_but(&contacts, ""), "each once");
    let row = story.row("Contacts", zoho).unwrap();
    assert_eq!([&row["Phone"], &row["Title"]], ["7", "theirs"]);
    assert!(story.log("parked").is_empty());
    for (_, id) in &contacts {
        let record = story.record(Object::Contact, id).await.unwrap();
        assert!(record.pending.is_empty() && record.parked.is_none());
    }
}
