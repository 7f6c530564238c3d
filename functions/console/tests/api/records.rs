//! Records as other services read them.

use serde_json::json;
use tandem::identifier::Digest;
use tandem::object::Object;
use tandem::port::Ledger as _;
use tandem::record::{Dependants, Link, Pending, RemovalReason, Removed, Side, Source, Standing};
use tandem::value::{Reference, Value};

use super::desk::{Desk, NOW, parked};

/// Ids with whatever a path might trip over.
const ODD: [&str; 16] = [
    "a/b",
    "/",
    "..",
    ".",
    "50%",
    "50%25",
    "a?b#c",
    "~",
    "~YS9i",
    "jane+x@acme.example",
    "a b",
    "Ünïcode 🦀",
    "edits",
    "retry",
    "a\\b",
    "semi;colon,comma&and=equals'\"",
];

fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    text.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

#[tokio::test]
async fn a_record_says_where_its_values_came_from() {
    let desk = Desk::with_acme().await;
    let at = desk.world.now();
    let run = "01JD8QK3ZV5W7Y0B2C4E6G8H9J";
    let owner = Value::Reference(Reference {
        object: Object::User,
        zoho_id: "9".parse().ok(),
        platform_id: "zoho-9".parse().ok(),
    });
    desk.record("acme", Object::Account, "A-1", |record| {
        let mut set = |name: &str, value: Value| record.fields.insert(name.parse().unwrap(), value);
        set("name", Value::Text("Acme".into()));
        set("annual_revenue", tandem::value::decimal("12.30").unwrap());
        set("owner", owner);
        set("tier", Value::Text("Gold".into()));
        record
            .base
            .insert("tier".parse().unwrap(), Value::Text("Silver".into()));
        record.pending.insert(
            "tier".parse().unwrap(),
            Pending::new(Value::Text("Gold".into()), at),
        );
        let source = Source {
            side: Side::Zoho,
            run: run.parse().ok(),
            at,
            overruled: Some(Value::Integer(1)),
        };
        record.sources.insert("name".parse().unwrap(), source);
        record.zoho_id = "77".parse().ok();
        record.parked = Some(parked(NOW));
        record.segments.insert("vip".into());
        record.removed = Some(Removed {
            at,
            run: run.parse().unwrap(),
            reason: RemovalReason::OutOfScope,
        });
    })
    .await;
    let link = Link {
        connection: "acme".parse().unwrap(),
        object: Object::Account,
        zoho_id: "77".parse().unwrap(),
        standing: Standing::Linked("A-1".parse().unwrap()),
        hash: Digest::of(b""),
        in_scope: true,
        dependants: Dependants::Asked,
    };
    desk.world.store.save_links(&[link]).await.unwrap();
    let shown = desk
        .get("/api/connections/acme/account/A-1")
        .await
        .with(200);
    assert_eq!(
        shown,
        json!({
            "id": "A-1",
            "href": "/api/connections/acme/account/A-1",
            "object": "account",
            "zoho_id": "77",
            "fields": {
                "name": "Acme",
                "annual_revenue": "12.3",
                "owner": {"object": "user", "id": "zoho-9", "zoho_id": "9"},
                "tier": "Gold",
            },
            "segments": ["vip"],
            "pending": ["tier"],
            "parked": {"code": "INVALID_DATA", "field": "Tier", "remedy": "choose one of Zoho's values", "at": NOW},
            "removed": {"at": NOW, "run": run, "reason": "out_of_scope"},
            "created_at": NOW,
            "updated_at": NOW,
            "version": 1,
            "base": {"tier": "Silver"},
            "edits": {"tier": {"value": "Gold", "at": NOW}},
            "sources": {"name": {"side": "zoho", "run": run, "at": NOW, "overruled": 1}},
            "link": {"zoho_id": "77", "in_scope": true},
            "zoho_modified_time": null,
            "creating_since": null,
        })
    );
}

#[tokio::test]
async fn a_record_that_is_not_there_is_named() {
    let desk = Desk::with_acme().await;
    let (detail, _) = desk
        .get("/api/connections/acme/task/t-9")
        .await
        .problem(404);
    assert_eq!(detail, "there is no task \"t-9\" of connection acme");
}

#[tokio::test]
async fn any_id_is_reached_by_its_href_and_percent_encoded() {
    let desk = Desk::with_acme().await;
    for id in ODD {
        desk.record("acme", Object::Account, id, |_| {}).await;
        let expected = desk
            .get(&format!("/api/connections/acme/account/{}", percent(id)))
            .await;
        // What begins with ~ is always read as base64url, and URL parsers drop dots.
        if !id.starts_with('~') {
            assert_eq!(expected.with(200)["id"], id);
        }
    }
    let listed = desk.all("/api/connections/acme/account").await;
    assert_eq!(listed.len(), ODD.len());
    for record in listed {
        let found = desk.get(record["href"].as_str().unwrap()).await.with(200);
        assert_eq!(found["id"], record["id"]);
    }
    for nothing in ["~", "~!", "~_w", "%20a", "a%0Ab", &"a".repeat(256)] {
        desk.get(&format!("/api/connections/acme/account/{nothing}"))
            .await
            .problem(404);
    }
}

#[tokio::test]
async fn a_contact_is_found_in_any_case() {
    let desk = Desk::with_acme().await;
    desk.record("acme", Object::Contact, "jane@acme.example", |_| {})
        .await;
    let found = desk
        .get("/api/connections/acme/contact/Jane@ACME.example")
        .await
        .with(200);
    assert_eq!(found["id"], "jane@acme.example");
    desk.record("acme", Object::Account, "acme", |_| {}).await;
    desk.get("/api/connections/acme/account/ACME")
        .await
        .problem(404);
}

#[tokio::test]
async fn records_are_listed_by_id_or_by_change() {
    let desk = Desk::with_acme().await;
    for (index, id) in ["e", "d", "c", "b", "a"].into_iter().enumerate() {
        let at = desk.world.now() + jiff::SignedDuration::from_secs(i64::try_from(index).unwrap());
        desk.record("acme", Object::Deal, id, |record| record.updated_at = at)
            .await;
    }
    desk.record("acme", Object::Task, "t", |_| {}).await;
    let ids = |records: Vec<serde_json::Value>| {
        records
            .iter()
            .map(|record| record["id"].as_str().unwrap().to_owned())
            .collect::<String>()
    };
    assert_eq!(ids(desk.all("/api/connections/acme/deal").await), "abcde");
    assert_eq!(
        ids(desk
            .all("/api/connections/acme/deal?updated_since=2026-11-23T10:00:02Z")
            .await),
        "cba"
    );
    assert_eq!(
        ids(desk
            .all("/api/connections/acme/deal?updated_since=2026-11-23T11:00:02%2B01:00")
            .await),
        "cba"
    );
    let (_, paths) = desk
        .get("/api/connections/acme/deal?updated_since=yesterday")
        .await
        .problem(400);
    assert_eq!(paths, ["?updated_since"]);
}

#[tokio::test]
async fn an_accounts_children_are_listed_when_asked_for() {
    let desk = Desk::with_acme().await;
    desk.record("acme", Object::Account, "A-1", |_| {}).await;
    for (object, id) in [(Object::Contact, "a/b@c.example"), (Object::Task, "t-1")] {
        desk.record("acme", object, id, |record| {
            let reference = Reference {
                object: Object::Account,
                zoho_id: None,
                platform_id: "A-1".parse().ok(),
            };
            record
                .fields
                .insert("account".parse().unwrap(), Value::Reference(reference));
        })
        .await;
    }
    let shown = desk
        .get("/api/connections/acme/account/A-1?include=children")
        .await
        .with(200);
    let mut children = shown["children"].as_array().unwrap().clone();
    children.sort_by_key(|child| child["id"].to_string());
    assert_eq!(
        children[0]["href"],
        "/api/connections/acme/contact/~YS9iQGMuZXhhbXBsZQ"
    );
    assert_eq!(
        children[1],
        json!({"object": "task", "id": "t-1", "href": "/api/connections/acme/task/t-1"})
    );
    assert!(
        desk.get("/api/connections/acme/account/A-1")
            .await
            .with(200)
            .get("children")
            .is_none()
    );
    let (_, paths) = desk
        .get("/api/connections/acme/task/t-1?include=children")
        .await
        .problem(422);
    assert_eq!(paths, ["?include"]);
    let (_, paths) = desk
        .get("/api/connections/acme/account/A-1?include=everything")
        .await
        .problem(400);
    assert_eq!(paths, ["?include"]);
}

#[tokio::test]
async fn one_connections_records_are_not_anothers() {
    let desk = Desk::with_acme().await;
    desk.connect("other").await;
    for id in ["A-1", "A-2", "A-3"] {
        desk.record("acme", Object::Account, id, |_| {}).await;
    }
    desk.get("/api/connections/other/account/A-1")
        .await
        .problem(404);
    assert_eq!(desk.all("/api/connections/other/account").await.len(), 0);
    let cursor = |page: serde_json::Value| page["next"].as_str().unwrap().to_owned();
    let by_id = cursor(
        desk.get("/api/connections/acme/account?limit=1")
            .await
            .with(200),
    );
    let since = format!("updated_since={NOW}");
    let by_change = cursor(
        desk.get(&format!("/api/connections/acme/account?limit=1&{since}"))
            .await
            .with(200),
    );
    for elsewhere in [
        format!("/api/connections/other/account?cursor={by_id}"),
        format!("/api/connections/acme/contact?cursor={by_id}"),
        format!("/api/connections/acme/account?{since}&cursor={by_id}"),
        format!("/api/connections/acme/account?cursor={by_change}"),
        format!("/api/connections/other/account?{since}&cursor={by_change}"),
    ] {
        let (_, paths) = desk.get(&elsewhere).await.problem(400);
        assert_eq!(paths, ["?cursor"], "{elsewhere}");
    }
}

#[tokio::test]
async fn what_is_no_object_is_no_record() {
    let desk = Desk::with_acme().await;
    for path in ["settings/A-1", "enable/A-1", "accounts/A-1", "Account/A-1"] {
        desk.get(&format!("/api/connections/acme/{path}"))
            .await
            .problem(404);
    }
    desk.get("/api/connections/acme/enable").await.problem(405);
}

#[tokio::test]
async fn a_removed_account_is_restored_with_what_was_removed_because_of_it() {
    let desk = Desk::with_acme().await;
    let removed = |reason| {
        Some(Removed {
            at: desk.world.now(),
            run: "01JD8QK3ZV5W7Y0B2C4E6G8H9J".parse().unwrap(),
            reason,
        })
    };
    let account = removed(RemovalReason::OutOfScope);
    desk.record("acme", Object::Account, "A-1", |record| {
        record.removed = account
    })
    .await;
    let belongs = Value::Reference(Reference {
        object: Object::Account,
        zoho_id: None,
        platform_id: "A-1".parse().ok(),
    });
    for (id, reason) in [
        ("d-1", RemovalReason::ParentLeft),
        ("d-2", RemovalReason::Gone),
    ] {
        let removed = removed(reason);
        desk.record("acme", Object::Deal, id, |record| {
            record.removed = removed;
            record
                .fields
                .insert("account".parse().unwrap(), belongs.clone());
        })
        .await;
    }
    let path = "/api/connections/acme/account/A-1/restore";
    let restored = desk.ask(path).await.with(200);
    assert_eq!(
        restored["records"],
        json!([
            "/api/connections/acme/deal/d-1",
            "/api/connections/acme/account/A-1"
        ])
    );
    let shown = desk
        .get("/api/connections/acme/account/A-1")
        .await
        .with(200);
    assert!(shown["removed"].is_null());
    let gone = desk.get("/api/connections/acme/deal/d-2").await.with(200);
    assert_eq!(gone["removed"]["reason"], "gone");
    let lines = desk
        .all("/api/connections/acme/log?object=account&record=A-1")
        .await;
    assert_eq!(lines[0]["action"], "restored");
    let (detail, _) = desk.ask(path).await.problem(409);
    assert!(detail.contains("is not removed"), "{detail}");
    desk.ask("/api/connections/acme/account/A-2/restore")
        .await
        .problem(404);
}
