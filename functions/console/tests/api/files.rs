//! Settings as files: exported, imported elsewhere, restored from history, and described by a JSON schema.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use tandem::identifier::FieldName;
use tandem::settings::Settings;

use super::desk::Desk;

const PATH: &str = "/api/connections/acme/settings";

fn settings() -> Json {
    json!({"night_hour": 4, "objects": {"account": {
        "filter": {"where": {"field": "Tier", "comparator": "in", "value": ["gold", "silver"]}},
        "custom_fields": {"tier": "choice"},
        "mappings": [{"zoho": "Tier", "platform": "tier", "editable": true, "conflicts": "latest_wins"}],
    }}})
}

#[tokio::test]
async fn what_is_exported_is_put_back_and_into_another_connection() {
    let desk = Desk::with_acme().await;
    desk.connect("other").await;
    let saved = desk
        .put_settings("acme", "\"0\"", &settings())
        .await
        .with(200);
    let exported = desk.get(&format!("{PATH}/export")).await;
    assert_eq!(
        exported.header("content-disposition"),
        "attachment; filename=\"acme-settings-1.json\""
    );
    assert_eq!(exported.header("content-type"), "application/json");
    assert_eq!(exported.header("etag"), "\"1\"");
    let file = exported.with(200);
    assert_eq!(file, saved["settings"], "the bare document");
    for (connection, over) in [("acme", "\"1\""), ("other", "\"0\"")] {
        let put = desk.put_settings(connection, over, &file).await.with(200);
        assert_eq!(put["settings"], file);
        let again = desk
            .get(&format!("/api/connections/{connection}/settings/export"))
            .await
            .with(200);
        assert_eq!(again, file);
    }
}

#[tokio::test]
async fn an_earlier_version_is_shown_and_restored() {
    let desk = Desk::with_acme().await;
    desk.put_settings("acme", "\"0\"", &settings())
        .await
        .with(200);
    for version in 1..250 {
        let over = format!("\"{version}\"");
        let other = json!({"night_hour": version % 24});
        desk.put_settings("acme", &over, &other).await.with(200);
    }
    let version = |version: u64| format!("{PATH}/history/{version}");
    let first = desk.get(&version(1)).await.with(200);
    assert_eq!(
        (&first["version"], &first["settings"]["night_hour"]),
        (&json!(1), &json!(4))
    );
    assert_eq!(desk.get(&version(250)).await.with(200)["version"], 250);
    let restored = desk
        .put_settings("acme", "\"250\"", &first["settings"])
        .await
        .with(200);
    assert_eq!(restored["settings"], first["settings"]);
    for none in ["0", "252", "-1", "x", "99999999999999999999"] {
        desk.get(&format!("{PATH}/history/{none}"))
            .await
            .problem(404);
    }
}

#[test]
fn the_committed_schema_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/settings.schema.json");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == console::settings_schema_json().unwrap(),
        "functions/console/settings.schema.json is out of date: run `cargo run -p console --example openapi` and commit the file"
    );
}

#[tokio::test]
async fn the_schema_is_served() {
    let served = Desk::new().get("/api/settings.schema.json").await.with(200);
    assert_eq!(served, schema());
}

fn schema() -> Json {
    serde_json::to_value(tandem::schema::of_settings()).unwrap()
}

/// The example of `shared/README.md`.
fn example() -> Json {
    let readme = include_str!("../../../../shared/README.md");
    let (_, settings) = readme.split_once("## Settings").unwrap();
    let (_, json) = settings.split_once("```json").unwrap();
    let (json, _) = json.split_once("```").unwrap();
    serde_json::from_str(json).unwrap()
}

#[test]
fn what_is_right_is_so_by_the_schema_too() {
    let mut full = example();
    full["task_mark"] = json!("Mark");
    full["trigger"] = json!(["workflow"]);
    full["objects"]["task"] = json!({
        "filter": {"any": [{"all": []}, {"where": {"field": "A", "comparator": "between", "value": [1, 2.5]}}]},
        "custom_fields": {"boss": {"reference": "user"}, "tags": "choices"},
        "mappings": [
            {"zoho": "Boss", "platform": "boss", "direction": "both", "choices": "append", "conflicts": "platform_wins"},
            {"zoho": "Tags", "platform": "tags"},
        ],
    });
    let default = serde_json::to_value(Settings::default()).unwrap();
    for right in [json!({}), default, example(), settings(), full] {
        let read: Settings = serde_json::from_value(right.clone()).unwrap();
        assert_eq!(read.problems(), []);
        assert_eq!(faults(&right), [""; 0], "{right}");
        let written = serde_json::to_value(read).unwrap();
        assert_eq!(faults(&written), [""; 0], "{written}");
    }
}

#[test]
fn what_is_wrong_is_so_by_the_schema_too() {
    for (wrong, place) in [
        (json!({"nigth_hour": 3}), "$.nigth_hour"),
        (json!({"$schema": "x"}), "$.$schema"),
        (json!({"night_hour": 24}), "$.night_hour"),
        (json!({"night_hour": "three"}), "$.night_hour"),
        (json!({"credit_share": 0}), "$.credit_share"),
        (json!({"log": {"keep_days": 366}}), "$.log.keep_days"),
        (json!({"conflicts": "nobody_wins"}), "$.conflicts"),
        (json!({"trigger": ["all"]}), "$.trigger[0]"),
        (json!({"create_in_zoho": ["deal"]}), "$.create_in_zoho[0]"),
        (json!({"objects": {"invoice": {}}}), "$.objects.invoice"),
        (
            json!({"objects": {"task": {"mappings": [{"zoho": "A"}]}}}),
            "$.objects.task.mappings[0]",
        ),
        (
            json!({"objects": {"task": {"custom_fields": {"a": "colour"}}}}),
            "$.objects.task.custom_fields.a",
        ),
        (
            json!({"objects": {"task": {"custom_fields": {"a": {"reference": "invoice"}}}}}),
            "$.objects.task.custom_fields.a",
        ),
        (
            json!({"objects": {"task": {"filter": {"none": []}}}}),
            "$.objects.task.filter",
        ),
        (
            json!({"objects": {"task": {"filter": {"where": {"field": "A", "comparator": "like", "value": 1}}}}}),
            "$.objects.task.filter",
        ),
    ] {
        let refused = match serde_json::from_value::<Settings>(wrong.clone()) {
            Ok(settings) => !settings.problems().is_empty(),
            Err(_) => true,
        };
        assert!(refused, "{wrong}");
        assert_eq!(faults(&wrong), [place], "{wrong}");
    }
}

#[test]
fn everything_in_the_schema_is_described_for_people() {
    fn walk(json: &Json, place: &str, found: &mut Vec<String>) {
        if let Some(object) = json.as_object() {
            for (name, property) in object
                .get("properties")
                .and_then(Json::as_object)
                .into_iter()
                .flatten()
            {
                let described = described(property);
                if !described {
                    found.push(format!("{place}.{name}"));
                }
            }
            for (name, inner) in object {
                walk(inner, &format!("{place}.{name}"), found);
            }
        }
        for (index, inner) in json.as_array().into_iter().flatten().enumerate() {
            walk(inner, &format!("{place}[{index}]"), found);
        }
    }
    fn described(property: &Json) -> bool {
        let direct = property["description"]
            .as_str()
            .is_some_and(|text| !text.is_empty());
        direct || property["$ref"].is_string()
    }
    let schema = schema();
    let mut missing = Vec::new();
    walk(&schema, "$", &mut missing);
    assert_eq!(missing, [""; 0]);
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        assert!(described(definition), "{name}");
    }
    let text = schema.to_string();
    assert!(
        !text.contains("(S") && !text.contains("(W"),
        "rules by number are for the sources' readers"
    );
}

/// Where a document is not as the schema has it. Knows the words that this schema uses, and fails at any other.
fn faults(document: &Json) -> Vec<String> {
    let schema = schema();
    let mut found = Vec::new();
    judge(&schema, &schema, document, "$", &mut found);
    found
}

const SAID_ELSEWHERE: [&str; 8] = [
    "$schema",
    "$defs",
    "title",
    "description",
    "default",
    "format",
    "pattern",
    "maxLength",
];

fn judge(root: &Json, schema: &Json, json: &Json, place: &str, found: &mut Vec<String>) {
    let Some(words) = schema.as_object() else {
        assert_eq!(schema, &json!(true), "{place}");
        return;
    };
    let mut wrong = false;
    for (word, wanted) in words {
        match word.as_str() {
            "$ref" => {
                let definition = root.pointer(&wanted.as_str().unwrap()[1..]).unwrap();
                judge(root, definition, json, place, found);
            }
            "type" => {
                let types = wanted
                    .as_array()
                    .cloned()
                    .unwrap_or_else(|| vec![wanted.clone()]);
                wrong |= !types.iter().any(|name| is(json, name.as_str().unwrap()));
            }
            "const" => wrong |= json != wanted,
            "enum" => wrong |= !wanted.as_array().unwrap().contains(json),
            "minimum" => {
                wrong |= json
                    .as_f64()
                    .is_some_and(|number| number < wanted.as_f64().unwrap())
            }
            "maximum" => {
                wrong |= json
                    .as_f64()
                    .is_some_and(|number| number > wanted.as_f64().unwrap())
            }
            "minItems" => {
                wrong |= json
                    .as_array()
                    .is_some_and(|items| (items.len() as u64) < wanted.as_u64().unwrap())
            }
            "uniqueItems" => {
                let items = json.as_array().into_iter().flatten().map(Json::to_string);
                let different: BTreeSet<_> = items.collect();
                wrong |= json
                    .as_array()
                    .is_some_and(|items| items.len() != different.len());
            }
            "required" => {
                let missing = |name: &Json| json.get(name.as_str().unwrap()).is_none();
                wrong |= json.is_object() && wanted.as_array().unwrap().iter().any(missing);
            }
            "items" => {
                for (index, item) in json.as_array().into_iter().flatten().enumerate() {
                    judge(root, wanted, item, &format!("{place}[{index}]"), found);
                }
            }
            "anyOf" | "oneOf" => {
                let admits = |schema: &&Json| {
                    let mut faults = Vec::new();
                    judge(root, schema, json, place, &mut faults);
                    faults.is_empty()
                };
                let many = wanted.as_array().unwrap().iter().filter(admits).count();
                wrong |= many == 0 || (word == "oneOf" && many > 1);
            }
            "properties" | "additionalProperties" | "patternProperties" | "propertyNames" => {}
            other => assert!(SAID_ELSEWHERE.contains(&other), "{place} {other}"),
        }
    }
    for (name, value) in json.as_object().into_iter().flatten() {
        let inner = format!("{place}.{name}");
        let own = words
            .get("properties")
            .and_then(|properties| properties.get(name));
        let additional = words.get("additionalProperties");
        // The only pattern is that of platform fields' names.
        let named = words
            .get("patternProperties")
            .and_then(|patterns| patterns.as_object()?.values().next())
            .filter(|_| name.parse::<FieldName>().is_ok());
        match (own.or(named), additional) {
            (Some(schema), _) => judge(root, schema, value, &inner, found),
            (None, Some(Json::Bool(false))) => found.push(inner),
            (None, Some(schema)) => judge(root, schema, value, &inner, found),
            (None, None) => {}
        }
    }
    if wrong {
        found.push(place.to_owned());
    }
}

fn is(json: &Json, kind: &str) -> bool {
    match kind {
        "object" => json.is_object(),
        "array" => json.is_array(),
        "string" => json.is_string(),
        "boolean" => json.is_boolean(),
        "integer" => json.is_i64() || json.is_u64(),
        "number" => json.is_number(),
        "null" => json.is_null(),
        other => panic!("{other}"),
    }
}
