//! Who may call the API, and what every answer carries.

use axum::body::Body;
use axum::http::{Request, header};
use tandem::secret::Secret;
use tandem_memory::{Failure, Fault, When};

use super::desk::Desk;

const PATHS: [&str; 5] = [
    "/api/connections",
    "/api/connections/acme/account/A-1",
    "/api/openapi.json",
    "/api/no/such/address",
    "/api",
];

async fn with(desk: &Desk, path: &str, authorisation: &[&str]) -> (u16, String) {
    let mut request = Request::get(path);
    for value in authorisation {
        request = request.header(header::AUTHORIZATION, *value);
    }
    let answer = desk.send(request.body(Body::empty()).unwrap()).await;
    if answer.status == 401 {
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json["type"], "urn:tandem:unauthorised");
    }
    (answer.status.as_u16(), answer.json.to_string())
}

#[tokio::test]
async fn nothing_is_told_without_the_secret() {
    let desk = Desk::with_acme().await;
    for path in PATHS {
        for wrong in [
            &[][..],
            &["Bearer"],
            &["Bearer "],
            &["Bearer wrong"],
            &["Bearer operato"],
            &["Bearer operator1"],
            &["Bearer OPERATOR"],
            &["Basic operator"],
            &["operator"],
            &["Bearer operator", "Bearer operator"],
        ] {
            let (status, body) = with(&desk, path, wrong).await;
            assert_eq!(status, 401, "{path} {wrong:?}");
            assert!(!body.contains("acme"), "{body}");
        }
    }
    assert_eq!(with(&desk, PATHS[0], &["Bearer operator"]).await.0, 200);
    assert_eq!(with(&desk, PATHS[0], &["bearer  operator"]).await.0, 200);
}

#[tokio::test]
async fn an_empty_secret_opens_nothing() {
    let desk = Desk::new();
    desk.world.vault.set_operator(Secret::new(""));
    for given in ["Bearer", "Bearer ", "Bearer  "] {
        assert_eq!(with(&desk, PATHS[0], &[given]).await.0, 401);
    }
}

#[tokio::test]
async fn without_the_vault_nobody_passes() {
    let desk = Desk::new();
    desk.world
        .faults
        .always("operator", Fault::Fail(When::Before, Failure::Unavailable));
    assert_eq!(with(&desk, PATHS[0], &["Bearer operator"]).await.0, 503);
}

#[tokio::test]
async fn every_answer_is_kept_by_nobody() {
    let desk = Desk::with_acme().await;
    for path in [
        "/api/connections",
        "/api/connections/none",
        "/api/nowhere",
        "/",
        "/favicon.ico",
    ] {
        let answer = desk.get(path).await;
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert!(
            answer
                .header("content-security-policy")
                .starts_with("default-src 'none'")
        );
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem() {
    let desk = Desk::with_acme().await;
    desk.get("/api/nowhere").await.problem(404);
    desk.get("/nowhere").await.problem(404);
    let answer = desk.ask("/api/connections/acme").await;
    assert_eq!(answer.header("allow"), "GET,HEAD,PATCH");
    answer.problem(405);
    let (detail, _) = desk.get("/api/connections/nobody/runs").await.problem(404);
    assert_eq!(detail, "there is no connection nobody");
    let (detail, _) = desk.get("/api/connections/acme/invoice").await.problem(404);
    assert!(
        detail.contains("invoice") && detail.contains("use account"),
        "{detail}"
    );
    let (detail, _) = desk.get("/api/connections/ACME").await.problem(404);
    assert!(detail.contains("lower-case"), "{detail}");
    desk.get("/api/connections/%ff").await.problem(400);
}

#[tokio::test]
async fn every_route_names_the_unknown_connection() {
    let desk = Desk::new();
    for path in [
        "",
        "/settings",
        "/settings/export",
        "/settings/history",
        "/settings/history/1",
        "/runs",
        "/runs/01JD8QK3ZV5W7Y0B2C4E6G8H9J",
        "/log",
        "/parked",
        "/preflight",
        "/removals/account",
        "/account",
        "/account/A-1",
    ] {
        let (detail, _) = desk
            .get(&format!("/api/connections/gone{path}"))
            .await
            .problem(404);
        assert_eq!(detail, "there is no connection gone", "{path}");
    }
    for path in [
        "/enable",
        "/pause",
        "/disconnect",
        "/preflight",
        "/removals/account/approve",
        "/removals/account/reject",
        "/account/A-1/retry",
        "/account/A-1/dismiss",
    ] {
        let (detail, _) = desk
            .ask(&format!("/api/connections/gone{path}"))
            .await
            .problem(404);
        assert_eq!(detail, "there is no connection gone", "{path}");
    }
}
