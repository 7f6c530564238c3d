//! Whatever is stored, by an older release, a newer one or somebody's hand, is read or refused with the name of what is wrong: never a panic,
//! never what it says.

use aws_sdk_dynamodb::primitives::Blob;
use garble::{cases, json};
use proptest::prelude::*;
use serde_dynamo::aws_sdk_dynamodb_1::to_item as item_of_json;
use serde_json::{Value, json as value};

use super::item::Item;
use super::*;
use crate::identifier::Digest;
use crate::object::Object;
use crate::port::Error;

type Read = fn(Item) -> Result<String, Error>;

const AT: &str = "2026-11-23T10:00:00Z";
const RUN: &str = "01JD8QK3ZV5W7Y0B2C4E6G8H9J";
/// What no error may repeat.
const SECRET: &str = "ada@example.com";

/// Items as this release stores them, each with its reader. Whoever changes what is stored must still read these.
fn stored() -> Vec<(Value, Read)> {
    let digest = Digest::of(b"x").to_string();
    let organisation = value!({ "id": "1", "name": SECRET, "time_zone": "Europe/Berlin", "data_centre": "eu",
        "api_domain": "https://www.zohoapis.eu", "daily_credits": 1000 });
    let field = value!({ "field": "email", "before": "null", "after": { "text": SECRET } });
    let slice = value!({ "stage": "tasks", "object": "task", "index": 0 });
    vec![
        (
            value!({ "pk": "connection", "sk": "acme", "enabled": "07", "routine_due_at": 5, "name": SECRET, "status": "enabled",
                "organisation": organisation, "created_at": AT, "routine_due": AT, "version": 3 }),
            |item| connections::connection_of(item).map(|found| format!("{found:?}")),
        ),
        (
            value!({ "pk": "c#acme", "sk": "settings#1", "version": 1, "saved_at": AT,
                "settings": value!({ "account_external_id": "External_ID", "night_hour": 2 }).to_string() }),
            |item| connections::settings_of(item).map(|found| format!("{found:?}")),
        ),
        (
            value!({ "pk": "c#acme", "sk": "run#1", "connection": "acme", "run": RUN, "kind": "full", "status": "running",
                "stage": "accounts", "started_at": AT, "version": 1, "expires_at": 5 }),
            |item| runs::run_of(item).map(|found| format!("{found:?}")),
        ),
        (
            value!({ "pk": "c#acme", "sk": "slice#1", "connection": "acme", "run": RUN, "key": slice, "after": "0", "to": "99",
                "reached": "7", "done": false, "server_time": AT, "plan": digest, "counters": { "rows_read": 5 }, "marks": ["7"],
                "version": 1 }),
            |item| runs::slice_of(item).map(|found| format!("{found:?}")),
        ),
        (
            value!({ "pk": "c#acme#candidate#account", "sk": "00000000000000000007", "connection": "acme", "object": "account",
                "platform_id": SECRET, "run": RUN, "reason": "gone", "held": false }),
            |item| ledger::candidate_of(item).map(|found| format!("{found:?}")),
        ),
        (
            value!({ "pk": "c#acme#calculation", "sk": "x", "connection": "acme", "account": SECRET, "day": "2026-11-23",
                "marked_at": AT, "stamp": "00000000000000000000000000000007" }),
            |item| calculations::mark_of(item).map(|found| format!("{found:?}")),
        ),
        (
            value!({ "pk": "oauth#x", "sk": "state", "digest": digest, "connection": "acme", "centre": "eu", "browser": digest,
                "void_at": AT, "expires_at": 5 }),
            |item| coordination::state_of(item).map(|found| format!("{found:?}")),
        ),
        (
            value!({ "pk": "acme", "sk": "1", "outcome_key": "acme#done", "record_key": "x", "at": AT, "outcome": "done",
                "direction": "pull", "action": "updated", "object": "contact", "record": SECRET, "zoho_id": "7", "run": RUN,
                "fields": [field], "forgotten_at": AT, "expires_at": 5 }),
            |item| journal::entry_of(item).map(|found| format!("{found:?}")),
        ),
        (
            value!({ "pk": "acme#contact", "sk": SECRET, "updated_at": "x", "connection": "acme", "object": "contact", "zoho_id": "7",
                "fields": { "email": { "text": SECRET }, "score": { "decimal": "87.25" }, "since": { "date": "2026-11-23" },
                    "tags": { "choices": ["a"] }, "account": { "reference": { "object": "account", "zoho_id": "7", "platform_id": "A" } } },
                "base_as_fields": ["email"], "base": { "score": { "integer": 5 } },
                "pending": { "phone": { "value": { "text": SECRET }, "at": AT } }, "edited": { "phone": AT },
                "sources": [{ "side": "zoho", "run": RUN, "at": AT, "fields": ["email"], "overruled": { "email": "null" } }],
                "parked": { "code": "INVALID_DATA", "field": "Phone", "remedy": "mend it", "at": AT, "attempt": digest },
                "create_intent": AT, "create_tries": [{ "as_fields": ["email"], "others": { "phone": { "text": SECRET } } }],
                "create_marks": ["Task_Reference"],
                "segments": ["vip"], "segmented": AT, "zoho_modified_time": AT, "removed": { "at": AT, "run": RUN, "reason": "gone" },
                "change": { "action": "created", "run": RUN, "fields": [{ "field": "email", "before": { "text": SECRET } }] },
                "created_at": AT, "changed_at": AT, "version": 3 }),
            |item| record_item::record_of(item).map(|found| format!("{found:?}")),
        ),
        (value!({ "pk": "acme#contact", "sk": SECRET }), |item| {
            records::named(&item).map(|found| format!("{found:?}"))
        }),
        (
            value!({ "pk": "acme#contact", "sk": "00000000000000000007", "s": "l", "p": SECRET, "i": true, "a": true,
                "n": "00000000000000000000000000000007" }),
            |mut item| {
                let hash = Blob::new(Digest::of(b"x").bytes().to_vec());
                let hash = aws_sdk_dynamodb::types::AttributeValue::B(hash);
                item.entry("h".to_owned()).or_insert(hash);
                let acme = "acme".parse().unwrap();
                ledger::link_of(&acme, Object::Contact, item).map(|found| format!("{found:?}"))
            },
        ),
        (
            value!({ "pk": "c#acme", "sk": "preflight", "settings": 3, "at": 5, "preflight": {
                "at": AT, "settings": 3, "visible": [["account", 5]], "environment": "production", "credits": 14,
                "findings": [{ "code": "external_id_shared", "severity": "warning", "object": "account", "field": "External_ID",
                    "what": "shared", "remedy": "mend it", "examples": [SECRET] }],
                "coverage": [{ "object": "account", "field": "External_ID", "unique": false,
                    "all": { "records": 5, "filled": 4, "shared": { "values": 1, "records": 2, "compared": 4, "complete": true, "examples": [SECRET] } } }],
                "licence": { "edition": "Enterprise", "users": 5, "daily_credits": 50000 } } }),
            |item| coordination::preflight_of(item).map(|found| format!("{found:?}")),
        ),
    ]
}

fn item(json: &Value) -> Option<Item> {
    json.as_object()?;
    item_of_json(json.clone()).ok()
}

#[test]
fn what_is_stored_today_is_read() {
    for (json, read) in stored() {
        let read = read(item(&json).unwrap());
        assert!(read.is_ok(), "{json}: {read:?}");
    }
}

/// A release that is taken back meets what the newer one stored.
#[test]
fn what_a_newer_release_adds_is_passed_over() {
    for (mut json, read) in stored() {
        let before = read(item(&json).unwrap()).unwrap();
        json["added_by_a_newer_release"] = value!({ "x": [1] });
        assert_eq!(read(item(&json).unwrap()).unwrap(), before);
    }
}

#[test]
fn an_error_names_the_place() {
    let (record, read) = stored().into_iter().nth(8).unwrap();
    for (pointer, told) in [
        ("/fields/score/decimal", "fields.score"),
        ("/pending/phone/at", "pending.phone.at"),
        ("/version", "version"),
        ("/object", "object"),
    ] {
        let mut record = record.clone();
        *record.pointer_mut(pointer).unwrap() = SECRET.into();
        let error = read(item(&record).unwrap()).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(told), "{pointer}: {cause}");
    }
    let mut record = record;
    record.as_object_mut().unwrap().remove("version");
    let error = read(item(&record).unwrap()).unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("`version` is missing"), "{cause}");
}

#[test]
fn any_item_is_read_or_refused_by_name() {
    for (valid, read) in stored() {
        proptest!(cases(64), |(json in json(&[valid]))| {
            let Some(item) = item(&json) else { return Ok(()) };
            let words = match read(item) {
                Ok(_) => return Ok(()),
                Err(Error::Corrupt { what, source }) => format!("{what}: {source}"),
                Err(other) => return Err(TestCaseError::fail(format!("{other:?}"))),
            };
            prop_assert!(!words.is_empty());
            // A key is repeated, a value is not.
            let keys = ["pk", "sk"].map(|key| json[key].as_str().unwrap_or_default());
            prop_assert!(!words.contains(SECRET) || keys.iter().any(|key| key.contains(SECRET)), "{}", words);
        });
    }
}
