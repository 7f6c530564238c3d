//! Settings are held against Zoho's own fields before they are saved.

use serde_json::{Value as Json, json};
use tandem::connection::Status;
use tandem::object::Object;
use tandem_memory::{Failure, Fault, When, field};

use super::desk::{Answer, Desk};

const PATH: &str = "/api/connections/acme/settings";

fn tier_as(kind: &str, editable: bool) -> Json {
    json!({"objects": {"account": {
        "custom_fields": {"tier": kind},
        "mappings": [{"zoho": "Tier", "platform": "tier", "editable": editable}],
    }}})
}

impl Desk {
    async fn put(&self, settings: &Json) -> Answer {
        self.put_settings("acme", "\"0\"", settings).await
    }

    async fn has_saved(&self) -> bool {
        self.get(PATH).await.with(200)["version"] != 0
    }
}

#[tokio::test]
async fn every_mistake_that_zohos_fields_tell_is_named_and_nothing_is_saved() {
    let desk = Desk::with_acme().await;
    desk.zoho.hides(Object::Account, "Website");
    desk.zoho.shows(Object::Account, field("Rooms", "subform"));
    desk.zoho.shows(Object::Account, field("Age", "formula"));
    desk.zoho.shows(Object::Contact, field("Key", "lookup"));
    let settings = json!({
        "contact_external_id": "Key",
        "task_mark": "Mark",
        "objects": {
            "account": {
                "filter": {"all": [{"where": {"field": "Gone", "comparator": "is_not_empty"}}]},
                "custom_fields": {"age": "integer", "rooms": "choices", "tier": "decimal"},
                "mappings": [
                    {"zoho": "Age", "platform": "age", "editable": true},
                    {"zoho": "Rooms", "platform": "rooms"},
                    {"zoho": "Tier", "platform": "tier"},
                ],
            },
            "deal": {
                "custom_fields": {"x": "text"},
                "mappings": [{"zoho": "Unheard_Of", "platform": "x"}],
            },
        },
    });
    let answer = desk.put(&settings).await;
    let problems = answer.json["errors"].to_string();
    let (_, mut paths) = answer.problem(422);
    paths.sort();
    assert_eq!(
        paths,
        [
            "$.contact_external_id",
            "$.objects.account",
            "$.objects.account.filter.all[0].where.field",
            "$.objects.account.mappings[0].zoho",
            "$.objects.account.mappings[1].zoho",
            "$.objects.account.mappings[2].zoho",
            "$.objects.deal.mappings[0].zoho",
            "$.task_mark",
        ]
    );
    for words in [
        "Website, mapped to domain, does not exist or is hidden",
        "Zoho computes a field of type formula itself",
        "one by one, not in lists",
        "use a choice or a text",
    ] {
        assert!(problems.contains(words), "{words}: {problems}");
    }
    assert!(!desk.has_saved().await);
}

#[tokio::test]
async fn a_field_that_can_not_be_written_can_be_pulled() {
    let desk = Desk::with_acme().await;
    let mut tier = field("Tier", "picklist");
    tier.read_only = true;
    desk.zoho.shows(Object::Account, tier);
    let (detail, paths) = desk.put(&tier_as("choice", true)).await.problem(422);
    assert_eq!(paths, ["$.objects.account.mappings[0].zoho"]);
    assert!(
        detail.contains("can't be written") && detail.contains("profile"),
        "{detail}"
    );
    assert!(!desk.has_saved().await);
    let saved = desk.put(&tier_as("choice", false)).await.with(200);
    assert_eq!(saved["checked_against_zoho"], true);
    assert_eq!(saved["warnings"], json!([]));
}

#[tokio::test]
async fn what_is_doubtful_is_saved_with_a_warning() {
    let desk = Desk::with_acme().await;
    desk.zoho.shows(Object::Account, field("Tier", "hologram"));
    let saved = desk.put(&tier_as("choice", false)).await.with(200);
    let warnings = saved["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{saved}");
    assert_eq!(warnings[0]["path"], "$.objects.account.mappings[0].zoho");
    let words = warnings[0]["problem"].as_str().unwrap();
    assert!(words.contains("hologram is not known"), "{words}");
    assert!(desk.has_saved().await);
}

#[tokio::test]
async fn what_is_wrong_by_itself_is_said_without_asking_zoho() {
    let desk = Desk::with_acme().await;
    desk.put(&json!({"night_hour": 24})).await.problem(422);
    desk.put_settings("acme", "\"7\"", &json!({}))
        .await
        .problem(412);
    assert_eq!(desk.world.faults.calls_of("fields"), 0);
    desk.put(&json!({})).await.with(200);
    assert_eq!(desk.world.faults.calls_of("fields"), 4);
}

#[tokio::test]
async fn while_zoho_can_not_be_asked_nothing_is_saved() {
    let desk = Desk::with_acme().await;
    for failure in [Failure::Unavailable, Failure::Throttled] {
        desk.world
            .faults
            .always("fields", Fault::Fail(When::Before, failure));
        let answer = desk.put(&tier_as("choice", false)).await;
        assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
        let (detail, _) = answer.problem(503);
        assert!(detail.contains("nothing is saved"), "{detail}");
        assert!(!desk.has_saved().await);
    }
    desk.world.faults.clear();
    // Zoho's pause holds.
    desk.put(&tier_as("choice", false)).await.problem(503);
    desk.tick(300);
    desk.put(&tier_as("choice", false)).await.with(200);
}

#[tokio::test]
async fn without_access_to_zoho_settings_are_saved_and_say_so() {
    for status in [Status::New, Status::NeedsReconnect, Status::Disconnected] {
        let desk = Desk::with_acme().await;
        desk.edit_connection("acme", |connection| {
            connection.status = status;
            if status == Status::New {
                connection.organisation = None;
            }
        })
        .await;
        let saved = desk.put(&tier_as("decimal", false)).await.with(200);
        assert_eq!(saved["checked_against_zoho"], false, "{status:?}");
        assert_eq!(desk.world.faults.calls_of("fields"), 0);
    }
    let desk = Desk::with_acme().await;
    desk.edit_connection("acme", |connection| connection.status = Status::Paused)
        .await;
    desk.put(&tier_as("decimal", false)).await.problem(422);
}

#[tokio::test]
async fn a_module_that_zoho_does_not_show_is_passed_over_with_a_warning() {
    let desk = Desk::with_acme().await;
    desk.world
        .faults
        .on("fields", 1, Fault::Fail(When::Before, Failure::Refused));
    let saved = desk.put(&tier_as("choice", false)).await.with(200);
    assert_eq!(saved["checked_against_zoho"], false);
    assert_eq!(saved["warnings"].as_array().unwrap().len(), 1, "{saved}");
}
