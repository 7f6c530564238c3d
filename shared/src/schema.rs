//! The JSON schema of the settings document (draft 2020-12), derived from the types that read it.

use std::borrow::Cow;

use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::identifier::{FieldName, ZohoField};
use crate::object::Object;
use crate::settings::Settings;

/// The schema of the settings document.
#[must_use]
pub fn of_settings() -> Schema {
    let mut schema = SchemaGenerator::default().into_root_schema_for::<Settings>();
    Plain.transform(&mut schema);
    schema
}

impl JsonSchema for ZohoField {
    fn schema_name() -> Cow<'static, str> {
        "ZohoField".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A field of a Zoho module by its API name: letters, digits and underscores, beginning with a letter.",
            "pattern": "^[A-Za-z][A-Za-z0-9_]*$",
            "maxLength": 100,
        })
    }
}

impl JsonSchema for FieldName {
    fn schema_name() -> Cow<'static, str> {
        "FieldName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A field of a platform record: lower-case letters, digits, underscores and dots, beginning with a letter.",
            "pattern": "^[a-z][a-z0-9_.]*$",
            "maxLength": 100,
        })
    }
}

impl JsonSchema for Object {
    fn schema_name() -> Cow<'static, str> {
        "Object".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "What is kept in sync.",
            "enum": Object::ALL.map(Object::name),
        })
    }
}

/// The objects that may be created in Zoho by choice.
pub(crate) fn creatable(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "uniqueItems": true,
        "items": { "enum": [Object::Account.name(), Object::Contact.name()] },
    })
}

/// The automations of Zoho that a write may trigger.
pub(crate) fn triggers(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "uniqueItems": true,
        "items": { "enum": crate::settings::TRIGGERS },
    })
}

/// What a filter's field is compared with.
pub(crate) fn compared(_: &mut SchemaGenerator) -> Schema {
    let scalar = || json_schema!({ "type": ["string", "number", "boolean"] });
    let today = || {
        json_schema!({
            "type": "object",
            "properties": {
                "today": { "type": "integer", "description": "The organisation's today and so many days; in calculated fields only." },
            },
            "required": ["today"],
            "additionalProperties": false,
        })
    };
    let single = || json_schema!({ "anyOf": [scalar(), today()] });
    json_schema!({
        "anyOf": [scalar(), today(), { "type": "array", "minItems": 1, "items": single() }, { "type": "null" }],
    })
}

/// Makes descriptions fit for people: without what only the sources' readers know (rules by their numbers, line breaks), and not only on
/// the choice between parts but on the parts themselves.
#[derive(Debug, Clone)]
struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(text) = schema.get("description").and_then(|text| text.as_str()) {
            let plain = without_rules(&text.replace('\n', " "));
            schema.insert("description".to_owned(), plain.clone().into());
            describe_only_property(schema, plain);
        }
        transform_subschemas(self, schema);
    }
}

/// `{"all": [...]}` and the like: what is said of the object is said of its only property.
fn describe_only_property(schema: &mut Schema, text: String) {
    let properties = schema
        .get_mut("properties")
        .and_then(|properties| properties.as_object_mut())
        .filter(|properties| properties.len() == 1);
    let only = properties.and_then(|properties| properties.values_mut().next());
    if let Some(only) = only.and_then(|only| only.as_object_mut()) {
        only.entry("description").or_insert(text.into());
    }
}

/// The text without references like `(S1)`, `(F2, F3)`, `(S1 to S3)`.
fn without_rules(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, (inside, after))) = rest
        .split_once(" (")
        .and_then(|(before, rest)| Some((before, rest.split_once(')')?)))
    {
        plain.push_str(before);
        let rules = inside.split([',', ' ']).filter(|word| !word.is_empty());
        if !rules.clone().all(|word| word == "to" || is_rule(word)) || rules.count() == 0 {
            plain.push_str(&format!(" ({inside})"));
        }
        rest = after;
    }
    plain + rest
}

fn is_rule(word: &str) -> bool {
    let mut letters = word.chars();
    letters
        .next()
        .is_some_and(|letter| letter.is_ascii_uppercase())
        && !letters.as_str().is_empty()
        && letters.all(|letter| letter.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::string::string_regex;

    use super::*;

    #[test]
    fn rules_are_left_out_of_descriptions() {
        for (text, plain) in [
            (
                "Kept (S1 to S3). Users take none (S4).",
                "Kept. Users take none.",
            ),
            ("One (F2, F3)", "One"),
            ("Kept (not a rule) and (W6)", "Kept (not a rule) and"),
            ("Open (S1", "Open (S1"),
        ] {
            assert_eq!(without_rules(text), plain);
        }
    }

    /// The texts that a definition's pattern allows.
    fn allowed(name: &str) -> impl Strategy<Value = String> + use<> {
        let schema = of_settings();
        let definition = &schema.as_value()["$defs"][name];
        let pattern = definition["pattern"].as_str().unwrap();
        let inner = pattern.trim_start_matches('^').trim_end_matches('$');
        string_regex(inner).unwrap()
    }

    proptest! {
        #[test]
        fn names_are_taken_as_the_schema_says(
            zoho in allowed("ZohoField"),
            platform in allowed("FieldName"),
            any in "[A-Za-z0-9_. -]{0,6}",
        ) {
            prop_assert!(zoho.parse::<ZohoField>().is_ok());
            prop_assert!(platform.parse::<FieldName>().is_ok());
            let begins = |by: fn(&char) -> bool| any.chars().next().is_some_and(|first| by(&first));
            let zoho = begins(char::is_ascii_alphabetic)
                && any.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
            prop_assert_eq!(any.parse::<ZohoField>().is_ok(), zoho);
            let platform = begins(char::is_ascii_lowercase)
                && any.chars().all(|letter| {
                    letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_.".contains(letter)
                });
            prop_assert_eq!(any.parse::<FieldName>().is_ok(), platform);
        }
    }
}
