//! Rows that say again what they said before, or something else, while somebody is still storing what they said: whoever was overtaken looks
//! once more (P1, P4, I5).

#![expect(
    clippy::unwrap_used,
    reason = "the stories' own helpers fail as their tests do"
)]

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use jiff::SignedDuration;
use serde_json::{Value as Json, json};
use stories::{Story, name};
use tandem::flow::runs;
use tandem::message::{Work, Writeback};
use tandem::object::Object;
use tandem::run::RunKind;
use tandem_memory::{Fault, When};

/// A contact whose phone was edited on the platform, its Zoho id, and the message about that.
async fn with_an_edit(phone: &str) -> (Story, String, Writeback) {
    let editable = json!({ "core_writeback": true, "objects": { "contact": {
        "mappings": [
            { "zoho": "Phone", "platform": "phone", "editable": true },
            { "zoho": "Title", "platform": "title" },
        ] } } });
    let story = Story::begin(12, editable).await.unwrap();
    story.full_sync().await.unwrap();
    let contact = story.present(Object::Contact).pop_first().unwrap();
    story.pass(SignedDuration::from_hours(1));
    let id = story.record_of(Object::Contact, &contact).unwrap().id;
    let edit = json!({ "phone": phone });
    let answer = story.submit(Object::Contact, id.as_str(), edit).await;
    assert!(answer.unwrap().accepted);
    let held = story.world.queue.take_writeback().unwrap();
    (story, contact, held.message)
}

/// What a worker that dies behind a record has stored is taken back with the row, although this says again what it said before.
#[tokio::test]
async fn a_row_that_says_again_what_it_said_before_a_worker_died_is_applied() {
    let story = Story::begin(12, json!({})).await.unwrap();
    story.full_sync().await.unwrap();
    let contact = story.present(Object::Contact).pop_first().unwrap();
    let shown =
        || story.record_of(Object::Contact, &contact).unwrap().fields[&name("phone")].clone();
    let before = story.row("Contacts", &contact).unwrap()["Phone"].clone();
    let shown_before = shown();
    story.pass(SignedDuration::from_hours(1));
    let phone = |phone: &Json| {
        let values = json!({ "Phone": phone });
        story.zoho_edits("Contacts", &contact, &values).unwrap();
    };
    phone(&json!("+49 30 555 0177"));
    let (ports, id) = (story.ports(), story.connection());
    runs::start(&ports, &id, RunKind::Routine).await.unwrap();
    for held in story.world.queue.work.take_all() {
        let dies = held.message.object() == Object::Contact;
        if dies {
            let behind = Fault::Crash(When::After);
            story.world.faults.on("save_record", 1, behind);
        }
        let handled = story.world.faults.run(story.handle_work(&held.message));
        assert_eq!(handled.await.is_err(), dies);
        story.world.faults.clear();
    }
    assert_ne!(shown(), shown_before);
    phone(&before);
    story.pass(SignedDuration::from_mins(16));
    story.routine_sync().await.unwrap();
    assert_eq!(shown(), shown_before);
}

/// The same for a record whose edit was written: what was there before comes back in Zoho while nobody has settled the link.
#[tokio::test]
async fn a_row_that_says_again_what_it_said_before_an_edit_is_applied() {
    let (story, contact, message) = with_an_edit("+49 30 555 0178").await;
    let record = || story.record_of(Object::Contact, &contact).unwrap();
    let before = story.row("Contacts", &contact).unwrap()["Phone"].clone();
    let behind = Fault::Crash(When::After);
    story.world.faults.on("save_record", 1, behind);
    let handled = story.handle_writeback(&message);
    assert!(story.world.faults.run(handled).await.is_err());
    story.world.faults.clear();
    assert!(record().pending.is_empty());
    story.pass(SignedDuration::from_mins(1));
    let values = json!({ "Phone": before });
    story.zoho_edits("Contacts", &contact, &values).unwrap();
    story.handle_writeback(&message).await.unwrap();
    story.routine_sync().await.unwrap();
    assert_eq!(record().fields[&name("phone")].to_json(), before);
}

/// The same for a row that says again what writeback read, after another worker applied something else before writeback stored its record.
#[tokio::test]
async fn a_row_that_says_again_what_writeback_read_before_it_was_overtaken_is_applied() {
    for kind in [RunKind::Routine, RunKind::Full] {
        let (ours, other) = ("+49 30 555 0178", "+49 30 555 0179");
        let (story, contact, message) = with_an_edit(ours).await;
        let record = || story.record_of(Object::Contact, &contact).unwrap();
        let shown = || record().fields[&name("phone")].to_json();
        let theirs = |phone: &str| {
            let values = json!({ "Phone": phone });
            story.zoho_edits("Contacts", &contact, &values).unwrap();
        };
        let overtaken = async {
            let written = story.row("Contacts", &contact).unwrap()["Phone"].clone();
            assert_eq!(written, ours);
            story.pass(SignedDuration::from_mins(1));
            theirs(other);
            story.routine_sync().await.unwrap();
            assert_eq!(shown(), other);
        };
        let handled = story.handle_writeback(&message);
        let faults = &story.world.faults;
        let handled = faults.amid("save_record", handled, overtaken).await;
        handled.unwrap().0.unwrap();
        assert_eq!(shown(), other);
        story.pass(SignedDuration::from_mins(1));
        theirs(ours);
        story.pass(SignedDuration::from_mins(15));
        story.run(kind).await.unwrap();
        assert_eq!(shown(), ours, "{kind:?}");
    }
}

/// The same where what people took back is what both sides had before the edit: there is nothing to merge, and what was read back is not stored
/// over it.
#[tokio::test]
async fn an_edit_taken_back_in_zoho_while_it_is_settled_is_taken_back_here() {
    for kind in [RunKind::Routine, RunKind::Full] {
        let (story, contact, message) = with_an_edit("+49 30 555 0178").await;
        let before = story.row("Contacts", &contact).unwrap()["Phone"].clone();
        let taken_back = async {
            story.pass(SignedDuration::from_mins(1));
            let values = json!({ "Phone": before });
            story.zoho_edits("Contacts", &contact, &values).unwrap();
            story.pass(SignedDuration::from_mins(1));
            story.run(kind).await.unwrap();
        };
        let handled = story.handle_writeback(&message);
        let faults = &story.world.faults;
        let handled = faults.amid("save_record", handled, taken_back).await;
        handled.unwrap().0.unwrap();
        story.pass(SignedDuration::from_mins(16));
        story.full_sync().await.unwrap();
        let record = story.record_of(Object::Contact, &contact).unwrap();
        let phone = record.fields[&name("phone")].to_json();
        assert_eq!(phone, before, "{kind:?}");
        assert!(record.pending.is_empty(), "{kind:?}");
    }
}

/// The same for a sync that is about to tie a record to its row, and stores the link behind writeback, which wrote the record meanwhile.
#[tokio::test]
async fn a_row_that_says_again_what_it_said_before_it_was_tied_is_applied() {
    let settings = json!({ "account_external_id": "External_ID", "conflicts": "platform_wins", "objects": { "account": {
        "custom_fields": { "health": "decimal" },
        "mappings": [{ "zoho": "Health_Score", "platform": "health", "editable": true }],
    } } });
    let story = Story::begin(2, settings).await.unwrap();
    story.full_sync().await.unwrap();
    let edit = json!({ "health": "7" });
    let answer = story.submit(Object::Account, "A-NEW", edit).await;
    assert!(answer.unwrap().accepted);
    let push = story.world.queue.take_writeback().unwrap().message;
    let new = json!({ "Account_Name": "New", "External_ID": "A-NEW", "Health_Score": 26.77 });
    let account = story.zoho_creates("Accounts", &new).unwrap();
    story.pass(SignedDuration::from_mins(15));
    runs::start(&story.ports(), &story.connection(), RunKind::Routine)
        .await
        .unwrap();
    let mut begun = story.world.queue.work.take_all().into_iter();
    let accounts = begun.find(|held| held.message.object() == Object::Account);
    let accounts = accounts.unwrap().message;
    let pushed = async {
        story.handle_writeback(&push).await.unwrap();
        let health = story.row("Accounts", &account).unwrap()["Health_Score"].clone();
        assert_eq!(health.as_f64(), Some(7.0));
    };
    // Its first link is stored before the record.
    let faults = &story.world.faults;
    let synced = story.handle_work(&accounts);
    let synced = faults.amid_call("save_link_over", 2, synced, pushed).await;
    assert!(synced.unwrap().0.is_err(), "writeback stored the link");
    story.handle_work(&accounts).await.unwrap();
    story.pass(SignedDuration::from_mins(1));
    let again = json!({ "Health_Score": 26.77 });
    story.zoho_edits("Accounts", &account, &again).unwrap();
    story.pass(SignedDuration::from_mins(15));
    story.routine_sync().await.unwrap();
    let record = story.record_of(Object::Account, &account).unwrap();
    assert_eq!(record.fields[&name("health")].to_json(), "26.77");
}

/// The same for two who tie a new record to its row at once, and read the row in two states of one second: the record says what its link says.
#[tokio::test]
async fn a_row_that_two_tie_at_once_is_applied_as_it_is() {
    let settings = json!({ "account_external_id": "External_ID" });
    let story = Story::begin(1, settings).await.unwrap();
    story.full_sync().await.unwrap();
    story.pass(SignedDuration::from_mins(15));
    let account = json!({ "Account_Name": "New", "External_ID": "A-NEW" });
    let account = story.zoho_creates("Accounts", &account).unwrap();
    let values = json!({ "Last_Name": "Novak", "Email": "novak@customer.example",
        "Phone": "+49 30 555 0178", "Account_Name": { "id": account } });
    let contact = story.zoho_creates("Contacts", &values).unwrap();
    runs::start(&story.ports(), &story.connection(), RunKind::Routine)
        .await
        .unwrap();
    let queue = &story.world.queue.work;
    let taken = || queue.take_all().into_iter().map(|held| held.message);
    let (accounts, mut contacts): (Vec<Work>, Vec<Work>) =
        taken().partition(|work| work.object() == Object::Account);
    for work in &accounts {
        story.handle_work(work).await.unwrap();
    }
    contacts.extend(taken());
    contacts.retain(|work| work.object() == Object::Contact);
    assert_eq!(contacts.len(), 2, "the routine sync's and the account's");
    let mut earlier = Box::pin(story.handle_work(&contacts[0]));
    let mut later = pin!(story.handle_work(&contacts[1]));
    story.world.faults.take_turns();
    makes(&story, earlier.as_mut(), "select").await;
    let phone = json!({ "Phone": "+49 30 555 0179" });
    story.zoho_edits("Contacts", &contact, &phone).unwrap();
    makes(&story, later.as_mut(), "select").await;
    // Both have seen no link when the one stores its own.
    makes(&story, later.as_mut(), "records").await;
    makes(&story, earlier.as_mut(), "save_link_over").await;
    makes(&story, later.as_mut(), "save_record").await;
    // Its record is there by now: the first of these is in vain.
    makes(&story, earlier.as_mut(), "save_record").await;
    makes(&story, earlier.as_mut(), "save_record").await;
    story.world.faults.give_way(false);
    later.await.unwrap();
    // The other dies, and its message comes again.
    drop(earlier);
    story.pass(SignedDuration::from_mins(15));
    story.handle_work(&contacts[0]).await.unwrap();
    story.pass(SignedDuration::from_hours(1));
    story.full_sync().await.unwrap();
    let record = story.record_of(Object::Contact, &contact).unwrap();
    assert_eq!(record.fields[&name("phone")].to_json(), phone["Phone"]);
}

/// Lets a handler go on, one call at a time, until it has made a call of that method.
async fn makes<T>(story: &Story, mut handler: Pin<&mut impl Future<Output = T>>, operation: &str) {
    let faults = &story.world.faults;
    let made = faults.calls_of(operation);
    poll_fn(|context| {
        while faults.calls_of(operation) == made {
            faults.turn(true);
            let polled = handler.as_mut().poll(context);
            assert!(
                polled.is_pending(),
                "it came to its end without {operation}"
            );
        }
        Poll::Ready(())
    })
    .await;
}

/// Zoho's times tell seconds: of two states of one second the later is known by who stored its link last.
#[tokio::test]
async fn what_changed_again_in_the_second_of_a_write_is_not_taken_back() {
    let phone = "+49 30 555 0178";
    let (story, contact, message) = with_an_edit(phone).await;
    let promoted = async {
        let values = json!({ "Title": "Head of everything" });
        story.zoho_edits("Contacts", &contact, &values).unwrap();
        story.full_sync().await.unwrap();
    };
    let handled = story.handle_writeback(&message);
    let faults = &story.world.faults;
    let handled = faults.amid("save_record", handled, promoted).await;
    handled.unwrap().0.unwrap();
    for _ in 0..2 {
        let record = story.record_of(Object::Contact, &contact).unwrap();
        let shown = |field: &str| record.fields[&name(field)].to_json();
        assert_eq!(shown("title"), "Head of everything");
        assert_eq!(shown("phone"), phone);
        assert!(record.pending.is_empty());
        story.pass(SignedDuration::from_hours(1));
        story.full_sync().await.unwrap();
    }
}

/// A row that became another record while its former state was being stored leaves nothing of it behind (I5).
#[tokio::test]
async fn a_row_renamed_while_its_record_was_being_stored_is_one_record() {
    let story = Story::begin(12, json!({})).await.unwrap();
    story.full_sync().await.unwrap();
    let contact = story.present(Object::Contact).pop_first().unwrap();
    let former = story.record_of(Object::Contact, &contact).unwrap().id;
    story.pass(SignedDuration::from_hours(1));
    let edits = |values: &Json| story.zoho_edits("Contacts", &contact, values).unwrap();
    edits(&json!({ "Phone": "+49 30 555 0178" }));
    story.pass(SignedDuration::from_mins(1));
    let renamed = async {
        edits(&json!({ "Email": "somebody.else@customer.example" }));
        story.pass(SignedDuration::from_mins(16));
        story.routine_sync().await.unwrap();
    };
    let faults = &story.world.faults;
    let synced = faults.amid("save_record", story.full_sync(), renamed).await;
    synced.unwrap().0.unwrap();
    story.pass(SignedDuration::from_hours(1));
    story.full_sync().await.unwrap();
    let tied = story.record_of(Object::Contact, &contact).unwrap();
    assert_eq!(tied.id.as_str(), "somebody.else@customer.example");
    let left = story
        .record(Object::Contact, former.as_str())
        .await
        .unwrap();
    assert!(left.removed.is_some(), "{left:?}");
}
