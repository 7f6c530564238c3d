//! The API's description is the one that is committed, and it tells the truth.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use tandem::settings::Settings;

use super::desk::Desk;

#[test]
fn the_committed_description_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == console::openapi_json().unwrap(),
        "functions/console/openapi.json is out of date: run `cargo run -p console --example openapi` and commit the file"
    );
}

#[tokio::test]
async fn the_description_is_served() {
    let served = Desk::new().get("/api/openapi.json").await.with(200);
    assert_eq!(served, serde_json::to_value(console::openapi()).unwrap());
}

#[test]
fn every_reference_leads_somewhere() {
    let description = serde_json::to_value(console::openapi()).unwrap();
    let mut references = BTreeSet::new();
    collect(&description, &mut references);
    assert!(references.len() > 20);
    for reference in references {
        assert!(
            description.pointer(&reference[1..]).is_some(),
            "{reference}"
        );
    }
}

fn collect(json: &Json, references: &mut BTreeSet<String>) {
    match json {
        Json::Object(object) => {
            references.extend(object.get("$ref").and_then(Json::as_str).map(str::to_owned));
            object.values().for_each(|value| collect(value, references));
        }
        Json::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}

#[test]
fn every_operation_is_named_described_and_says_what_a_problem_looks_like() {
    let description = serde_json::to_value(console::openapi()).unwrap();
    let mut names = BTreeSet::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, value)| value.is_object())
        {
            assert!(path.starts_with("/api/"), "{path}");
            assert!(
                operation["summary"].is_string() || operation["description"].is_string(),
                "{method} {path}"
            );
            assert!(
                names.insert(operation["operationId"].as_str().unwrap().to_owned()),
                "{method} {path}"
            );
            for (status, response) in operation["responses"].as_object().unwrap() {
                let kind = match status.starts_with('2') {
                    true => "application/json",
                    false => "application/problem+json",
                };
                assert!(
                    response["content"][kind].is_object(),
                    "{method} {path} {status}"
                );
            }
        }
    }
    assert!(names.len() >= 24, "{names:?}");
}

/// The document with every part filled in, so that each can be compared with its description.
#[test]
fn the_settings_are_described_as_they_are() {
    let full = json!({
        "task_mark": "Mark",
        "objects": {"account": {
            "filter": {"all": []},
            "mappings": [{"zoho": "Tier", "platform": "tier", "conflicts": "latest_wins"}],
            "custom_fields": {"tier": "choice", "open": "integer"},
            "calculated": [{"platform": "open", "over": "task", "filter": {"all": []}, "value": "count"}],
        }},
    });
    let settings: Settings = serde_json::from_value(full).unwrap();
    let settings = serde_json::to_value(settings).unwrap();
    let description = serde_json::to_value(console::openapi()).unwrap();
    let schemas = &description["components"]["schemas"];
    for (schema, place) in [
        ("SettingsDocument", ""),
        ("LogSettings", "/log"),
        ("RemovalGuard", "/removal_guard"),
        ("ObjectSettings", "/objects/account"),
        ("Mapping", "/objects/account/mappings/0"),
        ("Calculated", "/objects/account/calculated/0"),
    ] {
        let names = |json: &Json| {
            json.as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(
            names(&schemas[schema]["properties"]),
            names(settings.pointer(place).unwrap()),
            "{schema}"
        );
        for (name, property) in schemas[schema]["properties"].as_object().unwrap() {
            if let Some(default) = property.get("default") {
                let actual = settings.pointer(place).unwrap()[name].clone();
                assert_eq!(&actual, default, "the default of {schema}.{name}");
            }
        }
    }
}
