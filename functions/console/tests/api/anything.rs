//! Whatever is sent, the API answers, and never that something is broken in it.

use axum::body::Body;
use axum::http::{Method, Request, header};
use garble::cases;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tandem::object::Object;

use super::desk::Desk;

fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "connections", "acme", "gone", "settings", "history", "export", "preview", "runs", "log", "parked", "removals", "account", "contact", "task", "deal",
            "user", "A-1", "edits", "retry", "dismiss", "enable", "pause", "disconnect", "preflight", "approve", "reject", "openapi.json",
            "settings.schema.json", "1",
            "01JD8QK3ZV5W7Y0B2C4E6G8H9J", "..", ".", "~", "~YS9i", "%2F", "%ff", "%00", "%", "%zz", "",
        ])
        .prop_map(str::to_owned),
        1 => "[!-~]{0,12}".prop_map(|text| text.replace(['/', '?', '#', '<', '>', '"', '\\', '^', '`', '{', '|', '}'], "_")),
    ]
}

fn query() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "cursor",
        "limit",
        "updated_since",
        "from",
        "to",
        "outcome",
        "direction",
        "object",
        "record",
        "include",
        "x",
    ]);
    let value = prop_oneof![
        prop::sample::select(vec![
            "1",
            "200",
            "2026-11-23T10:00:00Z",
            "-009999-01-01T00:00:00Z",
            "done",
            "pull",
            "account",
            "A-1",
            "children",
            ""
        ])
        .prop_map(str::to_owned),
        "[a-zA-Z0-9_%+.-]{0,20}",
    ];
    let pair = (name, value).prop_map(|(name, value)| format!("{name}={value}"));
    prop::collection::vec(pair, 0..3).prop_map(|pairs| pairs.join("&"))
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "\\PC{0,8}".prop_map(Json::from),
        prop::sample::select(vec![
            "acme",
            "full",
            "routine",
            "account",
            "A-1",
            "Email",
            "tier",
            "zoho_wins",
            "equal",
            "text"
        ])
        .prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = prop_oneof![
            9 => prop::sample::select(vec![
                "id", "name", "kind", "fields", "segments", "if_version", "edits", "subject", "owner", "due_date", "tier", "night_hour",
                "objects", "account", "task", "filter", "all", "any", "where", "field", "comparator", "value", "mappings", "zoho", "platform",
                "custom_fields", "reference", "log", "keep_days", "credit_share", "conflicts", "settings", "object", "cursor",
            ])
            .prop_map(str::to_owned),
            1 => "\\PC{0,6}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map(key, inner, 0..4).prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => json().prop_map(|json| json.to_string().into_bytes()),
        2 => json().prop_map(|fields| json!({"fields": fields}).to_string().into_bytes()),
        2 => json().prop_map(|edit| json!({"edits": [edit, {"id": "A-1"}]}).to_string().into_bytes()),
        2 => json().prop_map(|settings| json!({"settings": settings, "object": "contact"}).to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ]
}

fn method() -> impl Strategy<Value = Method> {
    prop::sample::select(vec![
        Method::GET,
        Method::POST,
        Method::PATCH,
        Method::PUT,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
    ])
}

fn path() -> impl Strategy<Value = String> {
    let below = || prop::collection::vec(segment(), 0..4);
    prop_oneof![
        4 => below().prop_map(|segments| format!("/api/connections/acme/{}", segments.join("/"))),
        1 => below().prop_map(|segments| format!("/{}", segments.join("/"))),
    ]
}

/// A request that may be anything.
fn request() -> impl Strategy<Value = Option<Request<Body>>> {
    let version = prop_oneof![
        prop::sample::select(vec!["\"0\"", "\"1\""]).prop_map(str::to_owned),
        "\"?[0-9a-z*]{0,3}\"?"
    ];
    (method(), path(), query(), body(), version).prop_map(|(method, path, query, body, version)| {
        Request::builder()
            .method(method)
            .uri(format!("{path}?{query}"))
            .header(header::AUTHORIZATION, "Bearer operator")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::IF_MATCH, version)
            .body(Body::from(body))
            .ok()
    })
}

fn run(story: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(story);
}

proptest! {
    #![proptest_config(cases(128))]

    #[test]
    fn nothing_breaks_it(requests in prop::collection::vec(request(), 12)) {
        run(async {
            let desk = Desk::with_acme().await;
            desk.map_tier("acme").await;
            desk.record("acme", Object::Account, "A-1", |record| record.zoho_id = "7".parse().ok()).await;
            for request in requests.into_iter().flatten() {
                let asked = format!("{} {}", request.method(), request.uri());
                let answer = desk.send(request).await;
                assert!(answer.status.as_u16() < 500, "{asked}: {}", answer.json);
                assert_eq!(answer.header("cache-control"), "no-store");
                if answer.status.as_u16() >= 400 && !answer.json.is_null() {
                    assert_eq!(answer.json["status"], answer.status.as_u16(), "{asked}");
                }
            }
        });
    }

    #[test]
    fn an_edit_of_any_id_is_read_back(id in "\\PC{1,40}", subject in "\\PC{1,40}") {
        let Ok(id) = id.parse::<tandem::identifier::PlatformId>() else { return Ok(()) };
        if id.zoho_id().is_some() {
            return Ok(());
        }
        run(async {
            let desk = Desk::with_acme().await;
            let edits = json!({"edits": [{"id": id.as_str(), "fields": {"subject": &subject}}]});
            let answers = desk.post("/api/connections/acme/task/edits", edits).await.with(200);
            let answer = &answers["answers"][0];
            assert_eq!(answer["status"], 202, "{answer}");
            let shown = desk.get(answer["href"].as_str().unwrap()).await.with(200);
            assert_eq!(shown["id"], id.as_str());
            assert_eq!(shown["fields"]["subject"], subject.as_str());
        });
    }
}

/// What an operator or the platform's service asks, each rightly.
fn known() -> Vec<(Method, &'static str, Json)> {
    let (get, post, patch) = (Method::GET, Method::POST, Method::PATCH);
    let filter = json!({ "all": [{ "where": { "field": "Tier", "comparator": "in", "value": ["gold", "silver"] } }] });
    let account = json!({ "filter": filter, "custom_fields": { "tier": "choice" },
        "mappings": [{ "zoho": "Tier", "platform": "tier", "editable": true, "null": "keep" }] });
    let settings = json!({ "conflicts": "latest_wins", "segments": ["vip"], "night_hour": 3, "objects": { "account": account } });
    let edit = json!({ "id": "A-1", "fields": { "tier": "gold", "name": "A" }, "segments": ["vip"], "if_version": 1 });
    let none = Json::Null;
    vec![
        (
            post.clone(),
            "connections",
            json!({ "id": "beta", "name": "Beta" }),
        ),
        (patch.clone(), "connections/acme", json!({ "name": "Acme" })),
        (Method::PUT, "connections/acme/settings", settings.clone()),
        (
            post.clone(),
            "connections/acme/settings/preview",
            json!({ "settings": settings, "object": "account", "credits": 5 }),
        ),
        (
            post.clone(),
            "connections/acme/runs",
            json!({ "kind": "full" }),
        ),
        (
            patch,
            "connections/acme/account/A-1",
            json!({ "fields": { "tier": "gold" }, "segments": [], "if_version": 1 }),
        ),
        (
            post.clone(),
            "connections/acme/account/edits",
            json!({ "edits": [edit, edit] }),
        ),
        (
            post.clone(),
            "connections/acme/parked/retry",
            json!({ "code": "INVALID_DATA", "object": "account", "cursor": "x" }),
        ),
        (
            post.clone(),
            "connections/acme/parked/dismiss",
            json!({ "code": "INVALID_DATA" }),
        ),
        (
            post.clone(),
            "connections/acme/removals/account/approve",
            none.clone(),
        ),
        (post, "connections/acme/account/A-1/restore", none.clone()),
        (
            get.clone(),
            "connections/acme/account?updated_since=2026-11-23T10:00:00Z&limit=5&cursor=AAAA",
            none.clone(),
        ),
        (
            get.clone(),
            "connections/acme/log?from=2026-11-23T10:00:00Z&to=2026-11-24T10:00:00Z&object=account&record=A-1&outcome=done",
            none.clone(),
        ),
        (
            get.clone(),
            "connections/acme/unlinked/contact?standing=duplicate&limit=3",
            none.clone(),
        ),
        (
            get.clone(),
            "connections/acme/settings/history/1",
            none.clone(),
        ),
        (get, "dead-letters", none),
    ]
}

/// One of these requests, with its address or its body gone wrong.
fn nearly_right() -> impl Strategy<Value = (String, Request<Body>)> {
    let requests = known().into_iter().map(|(method, target, valid)| {
        let targets = prop_oneof![
            3 => Just(target.to_owned()),
            1 => garble::text(&[target], &["&", "=", "/", "%00", "%ff", "%2F", "..", "limit", "cursor"]),
        ];
        let header = prop_oneof![3 => Just("\"1\"".to_owned()), 1 => garble::odd_text()];
        let kind = prop_oneof![6 => Just("application/json".to_owned()), 1 => garble::odd_text()];
        let bodies = prop_oneof![1 => Just(valid.to_string().into_bytes()), 4 => garble::body(&[valid])];
        (targets, bodies, header, kind).prop_filter_map("no request", move |(target, body, version, kind)| {
            let shown = format!("{method} {target} {version} {:.200}", String::from_utf8_lossy(&body));
            let target: String = target.chars().filter(|char| !matches!(char, ' ' | '#')).collect();
            let request = Request::builder()
                .method(method.clone())
                .uri(format!("/api/{target}"))
                .header(header::AUTHORIZATION, "Bearer operator")
                .header(header::CONTENT_TYPE, kind)
                .header(header::IF_MATCH, version);
            Some((shown, request.body(Body::from(body)).ok()?))
        }).boxed()
    });
    prop::strategy::Union::new(requests)
}

proptest! {
    #![proptest_config(cases(96))]

    /// Who asks nearly rightly is told what is wrong, in words that help.
    #[test]
    fn who_asks_nearly_rightly_is_told_what_is_wrong(asked in prop::collection::vec(nearly_right(), 12)) {
        run(async {
            let desk = Desk::with_acme().await;
            desk.map_tier("acme").await;
            desk.record("acme", Object::Account, "A-1", |record| record.zoho_id = "7".parse().ok()).await;
            for (shown, request) in asked {
                let answer = desk.send(request).await;
                let status = answer.status.as_u16();
                assert!(status < 500, "{shown}: {}", answer.json);
                if status < 400 {
                    continue;
                }
                assert_eq!(answer.json["status"], status, "{shown}");
                assert!(answer.json["detail"].as_str().is_some_and(|text| !text.is_empty()), "{shown}: {}", answer.json);
                for error in answer.json["errors"].as_array().into_iter().flatten() {
                    for name in ["path", "problem"] {
                        assert!(error[name].as_str().is_some_and(|text| !text.is_empty()), "{shown}: {error}");
                    }
                }
            }
        });
    }

    /// A cursor is good as it was given, and otherwise refused.
    #[test]
    fn a_cursor_gone_wrong_is_refused(wrong in garble::text(&["CURSOR"], &["A", "-", "_", "=", "%00"]), cut in 0usize..20) {
        run(async {
            let desk = Desk::with_acme().await;
            for id in ["A-1", "A-2", "A-3"] {
                desk.record("acme", Object::Account, id, |_| {}).await;
            }
            for listing in ["account", "account?updated_since=2026-01-01T00:00:00Z"] {
                let sign = if listing.contains('?') { '&' } else { '?' };
                let address = format!("/api/connections/acme/{listing}{sign}limit=1");
                let page = desk.get(&address).await.with(200);
                let cursor = page["next"].as_str().unwrap();
                let keep = cursor.len().saturating_sub(cut);
                for wrong in [wrong.replace("CURSOR", cursor), cursor[..keep].to_owned(), cursor.replace('A', "B")] {
                    let query: String = url::form_urlencoded::byte_serialize(wrong.as_bytes()).collect();
                    // No server takes an address of that length.
                    if query.len() > 8_000 {
                        continue;
                    }
                    let answer = desk.get(&format!("{address}&cursor={query}")).await;
                    if wrong == cursor {
                        answer.with(200);
                    } else {
                        assert_eq!(answer.problem(400).1, ["?cursor"], "{wrong}");
                    }
                }
            }
        });
    }
}
