//! Which record a Zoho record is: external ids that lack, are taken, change or trade places (I1 to I5).

#![expect(
    clippy::unwrap_used,
    reason = "the stories' own helpers fail as their tests do"
)]

use jiff::SignedDuration;
use serde_json::{Value, json};
use stories::{Story, name, text};
use tandem::identifier::PlatformId;
use tandem::object::Object;
use tandem::port::Ledger as _;
use tandem::record::Standing;
use tandem::run::Counter;

fn account(name: &str, external: &Value) -> Value {
    json!({ "Account_Name": name, "External_ID": external })
}

fn platform_id(story: &Story, object: Object, zoho: &str) -> Option<String> {
    story
        .record_of(object, zoho)
        .map(|record| record.id.to_string())
}

async fn standing(story: &Story, object: Object, zoho: &str) -> Option<Standing> {
    let links = story
        .world
        .store
        .links(&story.connection(), object, &[zoho.parse().unwrap()])
        .await
        .unwrap();
    links.into_iter().next().map(|link| link.standing)
}

#[tokio::test]
async fn an_account_without_an_external_id_is_counted_and_comes_in_once_it_has_one() {
    let story = Story::begin(20, json!({})).await.unwrap();
    let before = story.full_sync().await.unwrap();
    let nameless = account("Nameless", &Value::Null);
    let nameless = story.zoho_creates("Accounts", &nameless).unwrap();
    let blank = account("Blank", &json!("   "));
    let blank = story.zoho_creates("Accounts", &blank).unwrap();
    story.routine_sync().await.unwrap();
    for zoho in [&nameless, &blank] {
        let found = standing(&story, Object::Account, zoho).await;
        assert_eq!(found, Some(Standing::Unmatched));
        assert_eq!(platform_id(&story, Object::Account, zoho), None);
    }
    let night = story.full_sync().await.unwrap();
    assert_eq!(
        night.count(Object::Account, Counter::Unmatched),
        before.count(Object::Account, Counter::Unmatched) + 2
    );
    let lines = story.log("unmatched").into_iter();
    assert_eq!(
        lines
            .filter(|line| line.zoho_id == nameless.parse().ok())
            .count(),
        1,
        "said once"
    );
    let filled = json!({ "External_ID": " A-NEW " });
    story.zoho_edits("Accounts", &nameless, &filled).unwrap();
    story.routine_sync().await.unwrap();
    let id = platform_id(&story, Object::Account, &nameless);
    assert_eq!(id.as_deref(), Some("A-NEW"));
}

#[tokio::test]
async fn an_account_names_its_parent_as_it_is_since_the_same_full_sync() {
    let story = Story::begin(20, json!({})).await.unwrap();
    let create = |name: &str| {
        let values = account(name, &json!(name));
        story.zoho_creates("Accounts", &values).unwrap()
    };
    let (child, parent) = (create("CHILD"), create("PARENT"));
    let under = json!({ "Parent_Account": { "id": parent } });
    story.zoho_edits("Accounts", &child, &under).unwrap();
    story.full_sync().await.unwrap();
    let named = || {
        let record = story.record_of(Object::Account, &child).unwrap();
        let parent = record.fields[&name("parent")].as_reference().unwrap();
        parent.platform_id.as_ref().map(ToString::to_string)
    };
    assert_eq!(named().as_deref(), Some("PARENT"));
    // Another record, and then none: another account has its external id and came first.
    let first = story.present(Object::Account).pop_first().unwrap();
    let taken = platform_id(&story, Object::Account, &first).unwrap();
    for (external, expected) in [("RENAMED", Some("RENAMED")), (taken.as_str(), None)] {
        let renamed = json!({ "External_ID": external });
        story.zoho_edits("Accounts", &parent, &renamed).unwrap();
        story.pass(SignedDuration::from_mins(15));
        story.full_sync().await.unwrap();
        assert_eq!(named().as_deref(), expected);
        let before = story.writes();
        story.full_sync().await.unwrap();
        let after = story.writes();
        assert_eq!((after.records, after.links), (before.records, before.links));
    }
}

#[tokio::test]
async fn a_changed_external_id_moves_the_link_and_doubles_nothing() {
    let story = Story::begin(20, json!({})).await.unwrap();
    story.full_sync().await.unwrap();
    let zoho = story.present(Object::Account).into_iter().next().unwrap();
    let old = platform_id(&story, Object::Account, &zoho).unwrap();
    let live = story.present(Object::Account).len();
    let renamed = json!({ "External_ID": "A-RENAMED" });
    story.zoho_edits("Accounts", &zoho, &renamed).unwrap();
    story.routine_sync().await.unwrap();
    let id = platform_id(&story, Object::Account, &zoho);
    assert_eq!(id.as_deref(), Some("A-RENAMED"));
    assert_eq!(story.present(Object::Account).len(), live, "one for one");
    let former = story.record(Object::Account, &old).await.unwrap();
    assert!(former.removed.is_some() && former.zoho_id.is_none());
    // Emptied, it keeps the record that it has; back at the old id, it is the old record.
    let emptied = json!({ "External_ID": null });
    story.zoho_edits("Accounts", &zoho, &emptied).unwrap();
    story.routine_sync().await.unwrap();
    let id = platform_id(&story, Object::Account, &zoho);
    assert_eq!(id.as_deref(), Some("A-RENAMED"));
    let back = json!({ "External_ID": old });
    story.zoho_edits("Accounts", &zoho, &back).unwrap();
    story.routine_sync().await.unwrap();
    assert_eq!(platform_id(&story, Object::Account, &zoho), Some(old));
    story.full_sync().await.unwrap();
    let before = story.writes();
    story.full_sync().await.unwrap();
    let after = story.writes();
    assert_eq!((after.records, after.links), (before.records, before.links));
}

#[tokio::test]
async fn two_accounts_that_trade_their_external_ids_settle_within_a_night() {
    let story = Story::begin(20, json!({})).await.unwrap();
    story.full_sync().await.unwrap();
    let zoho: Vec<String> = story.present(Object::Account).into_iter().take(2).collect();
    let id = |at: usize| platform_id(&story, Object::Account, &zoho[at]).unwrap();
    let (first, second) = (id(0), id(1));
    let to_second = json!({ "External_ID": second });
    story.zoho_edits("Accounts", &zoho[0], &to_second).unwrap();
    let to_first = json!({ "External_ID": first });
    story.zoho_edits("Accounts", &zoho[1], &to_first).unwrap();
    for _ in 0..2 {
        story.routine_sync().await.unwrap();
        story.full_sync().await.unwrap();
    }
    assert_eq!((id(0), id(1)), (second, first));
    let before = story.writes();
    story.full_sync().await.unwrap();
    let after = story.writes();
    assert_eq!((after.records, after.links), (before.records, before.links));
}

#[tokio::test]
async fn a_duplicate_is_told_once_never_flaps_and_takes_over_when_the_older_one_goes() {
    let story = Story::begin(20, json!({})).await.unwrap();
    story.full_sync().await.unwrap();
    let older = story.present(Object::Account).into_iter().next().unwrap();
    let id = platform_id(&story, Object::Account, &older).unwrap();
    let twin = account("Twin", &json!(id));
    let twin = story.zoho_creates("Accounts", &twin).unwrap();
    for _ in 0..3 {
        story.routine_sync().await.unwrap();
        // Both change all the time, and neither takes the record from the other.
        let phone = json!({ "Phone": story.world.now().to_string() });
        story.zoho_edits("Accounts", &twin, &phone).unwrap();
        story.zoho_edits("Accounts", &older, &phone).unwrap();
        let night = story.full_sync().await.unwrap();
        assert!(night.count(Object::Account, Counter::Duplicates) >= 1);
        let owned = platform_id(&story, Object::Account, &older);
        assert_eq!(owned.as_ref(), Some(&id));
    }
    let duplicate = Some(Standing::Duplicate(id.parse::<PlatformId>().unwrap()));
    assert_eq!(standing(&story, Object::Account, &twin).await, duplicate);
    let lines = story.log("duplicate").into_iter();
    assert_eq!(
        lines
            .filter(|line| line.zoho_id == twin.parse().ok())
            .count(),
        1,
        "said once"
    );
    story.zoho_deletes("Accounts", &older).unwrap();
    story.full_sync().await.unwrap();
    story.full_sync().await.unwrap();
    assert_eq!(platform_id(&story, Object::Account, &twin), Some(id));
}

#[tokio::test]
async fn a_contacts_email_is_compared_trimmed_and_without_case() {
    let story = Story::begin(20, json!({})).await.unwrap();
    story.full_sync().await.unwrap();
    let zoho = story.present(Object::Account).into_iter().next().unwrap();
    let contact = |email: &str| json!({ "Last_Name": "Novak", "Email": email, "Account_Name": { "id": zoho } });
    let first = contact("Ada.Novak@Example.com");
    let first = story.zoho_creates("Contacts", &first).unwrap();
    let second = contact("ada.novak@example.com");
    let second = story.zoho_creates("Contacts", &second).unwrap();
    story.routine_sync().await.unwrap();
    let id = platform_id(&story, Object::Contact, &first);
    assert_eq!(id.as_deref(), Some("ada.novak@example.com"));
    assert_eq!(platform_id(&story, Object::Contact, &second), None);
    let record = story.record_of(Object::Contact, &first).unwrap();
    assert_eq!(
        record.fields[&name("email")],
        text("Ada.Novak@Example.com"),
        "shown as Zoho has it"
    );
}

#[tokio::test]
async fn an_edit_on_its_way_does_not_hide_that_the_external_id_changed() {
    let settings = json!({ "objects": { "account": {
        "custom_fields": { "health": "decimal" },
        "mappings": [{ "zoho": "Health_Score", "platform": "health", "editable": true }]
    } } });
    let story = Story::begin(24, settings).await.unwrap();
    story.full_sync().await.unwrap();
    let id = story.some_account();
    let record = story.record(Object::Account, &id).await.unwrap();
    let zoho = record.zoho_id.unwrap().to_string();
    let renamed = json!({ "External_ID": "R-1" });
    story.zoho_edits("Accounts", &zoho, &renamed).unwrap();
    let fields = json!({ "health": "7" });
    story.edit(Object::Account, &id, fields).await.unwrap();
    story.routine_sync().await.unwrap();
    let found = platform_id(&story, Object::Account, &zoho);
    assert_eq!(found.as_deref(), Some("R-1"));
}
