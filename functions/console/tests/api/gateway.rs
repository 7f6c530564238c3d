//! Requests as API Gateway's HTTP API hands them on: with the path decoded.

use axum::body::to_bytes;
use axum::http::Request;
use lambda_http::request::from_str;
use serde_json::{Value as Json, json};
use tandem::object::Object;
use tower::ServiceExt as _;

use super::desk::Desk;

/// Sends what the gateway makes of `GET path`: it decodes the path once, and what then looks like a query is lost.
async fn get(desk: &Desk, path: &str) -> (u16, Json) {
    let decoded = decode(path);
    let decoded = decoded.split('?').next().unwrap();
    let event = json!({
        "version": "2.0",
        "routeKey": "ANY /api/{proxy+}",
        "rawPath": decoded,
        "rawQueryString": "",
        "headers": {"authorization": "Bearer operator", "host": "sync.example.com", "x-forwarded-proto": "https"},
        "requestContext": {
            "accountId": "1", "apiId": "a", "domainName": "sync.example.com", "domainPrefix": "sync", "requestId": "r",
            "routeKey": "ANY /api/{proxy+}", "stage": "$default", "time": "", "timeEpoch": 0,
            "http": {"method": "GET", "path": decoded, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "test"},
        },
        "isBase64Encoded": false,
    });
    let request: Request<lambda_http::Body> = from_str(&event.to_string()).unwrap();
    let response = desk.app.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap())
}

fn decode(path: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            byte => byte,
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn any_id_survives_the_gateway_in_its_href() {
    let desk = Desk::with_acme().await;
    for id in [
        "a/b",
        "..",
        ".",
        "50%25",
        "a?b#c",
        "~x",
        "a\\b",
        "edits",
        "jane+x@acme.example",
        "Ünïcode 🦀",
    ] {
        desk.record("acme", Object::Account, id, |_| {}).await;
    }
    for record in desk.all("/api/connections/acme/account").await {
        let (status, shown) = get(&desk, record["href"].as_str().unwrap()).await;
        assert_eq!((status, &shown["id"]), (200, &record["id"]), "{shown}");
    }
}

#[tokio::test]
async fn ordinary_ids_survive_the_gateway_percent_encoded() {
    let desk = Desk::with_acme().await;
    for (id, encoded) in [
        ("jane@acme.example", "jane%40acme.example"),
        ("a b", "a%20b"),
        ("é", "%C3%A9"),
        ("x:y", "x%3Ay"),
    ] {
        desk.record("acme", Object::Account, id, |_| {}).await;
        let (status, shown) = get(&desk, &format!("/api/connections/acme/account/{encoded}")).await;
        assert_eq!((status, &shown["id"]), (200, &json!(id)), "{shown}");
    }
}
