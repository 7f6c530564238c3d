//! Exchange, refresh and revocation.

use std::time::Duration;

use serde_json::{Value, json as value};

use super::*;
use crate::port::{Crm, Grant};

async fn refreshed(response: Response) -> Result<Grant, CrmError> {
    let crm = answering(response);
    crm.refresh(DataCentre::Eu, &client(), &refresh()).await
}

fn granted() -> Value {
    value!({
        "access_token": SECRETS[0],
        "api_domain": "https://www.zohoapis.eu",
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": "ZohoCRM.modules.contacts.READ ZohoCRM.coql.READ,ZohoCRM.org.READ",
    })
}

#[tokio::test]
async fn a_code_is_exchanged_in_a_form_at_the_data_centre_that_gave_it() {
    let mut body = granted();
    body["refresh_token"] = value!(SECRETS[1]);
    let script = Script::new([Ok(json(200, &body))]);
    let grant = script
        .crm()
        .exchange(
            DataCentre::Ca,
            &client(),
            &code(),
            "https://tandem.example/oauth/callback?a=b c",
        )
        .await
        .unwrap();
    assert!(grant.access.matches(SECRETS[0]));
    assert!(grant.refresh.unwrap().matches(SECRETS[1]));
    assert_eq!(grant.api_domain.as_deref(), Some("https://www.zohoapis.eu"));
    assert_eq!(grant.expires_in, Duration::from_secs(3_600));
    assert_eq!(grant.scopes.unwrap().len(), 3);

    let request = script.only_sent();
    assert_eq!(request.method.as_str(), "POST");
    assert_eq!(request.url, "https://accounts.zohocloud.ca/oauth/v2/token");
    assert_eq!(
        header(&request, "Content-Type"),
        Some("application/x-www-form-urlencoded")
    );
    assert_eq!(header(&request, "Authorization"), None);
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&request.body)
        .into_owned()
        .collect();
    let expected = [
        ("grant_type", "authorization_code"),
        ("client_id", "1000.CLIENT"),
        ("client_secret", SECRETS[3]),
        (
            "redirect_uri",
            "https://tandem.example/oauth/callback?a=b c",
        ),
        ("code", SECRETS[2]),
    ];
    assert_eq!(
        form,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
    let printed = format!("{request:?} {:?}", script.crm());
    assert!(!SECRETS.iter().any(|secret| printed.contains(secret)));
}

#[tokio::test]
async fn a_refresh_brings_an_access_token_and_nothing_else() {
    let script = Script::new([Ok(json(200, &granted()))]);
    let crm = script.crm();
    let grant = crm
        .refresh(DataCentre::Us, &client(), &refresh())
        .await
        .unwrap();
    assert!(grant.refresh.is_none());
    let request = script.only_sent();
    assert_eq!(request.url, "https://accounts.zoho.com/oauth/v2/token");
    let form = String::from_utf8(request.body).unwrap();
    assert!(form.starts_with("grant_type=refresh_token&client_id=1000.CLIENT"));
    assert!(form.ends_with(&format!("refresh_token={}", SECRETS[1])));
}

#[tokio::test]
async fn the_life_of_a_token_is_an_hour_at_most() {
    for (lives, expected) in [
        (value!({ "expires_in": 1_800 }), 1_800),
        (value!({ "expires_in": "1800" }), 1_800),
        (value!({ "expires_in": 3_600_000 }), 3_600),
        (
            value!({ "expires_in": 3_600_000, "expires_in_sec": 900 }),
            900,
        ),
        (value!({}), 3_600),
    ] {
        let mut body = value!({ "access_token": SECRETS[0] });
        body.as_object_mut()
            .unwrap()
            .extend(lives.as_object().unwrap().clone());
        let grant = refreshed(json(200, &body)).await.unwrap();
        assert_eq!(grant.expires_in, Duration::from_secs(expected), "{lives}");
        assert!(grant.scopes.is_none() && grant.api_domain.is_none());
    }
}

#[tokio::test]
async fn a_refusal_comes_with_any_status() {
    let describe = |error: CrmError| match error {
        CrmError::GrantRefused { code } => format!("grant {code}"),
        CrmError::Refused { code, .. } => format!("client {code}"),
        CrmError::Throttled { after } => format!("throttled {after:?}"),
        CrmError::Unavailable { .. } => "unavailable".into(),
        CrmError::Malformed { .. } => "malformed".into(),
        error => format!("{error:?}"),
    };
    let rate = value!({
        "error": "Access Denied",
        "error_description": "You have made too many requests continuously. Please try again after some time.",
        "status": "failure",
    });
    for (status, body, expected) in [
        (
            200,
            value!({ "error": "invalid_code" }),
            "grant invalid_code",
        ),
        (
            400,
            value!({ "error": "invalid_code" }),
            "grant invalid_code",
        ),
        (
            200,
            value!({ "error": "access_denied" }),
            "grant access_denied",
        ),
        (
            200,
            value!({ "error": "invalid_client" }),
            "client invalid_client",
        ),
        (
            401,
            value!({ "error": "invalid_client" }),
            "client invalid_client",
        ),
        (
            200,
            value!({ "error": "invalid_client_secret" }),
            "client invalid_client_secret",
        ),
        (
            200,
            value!({ "error": "invalid_redirect_uri" }),
            "client invalid_redirect_uri",
        ),
        (
            200,
            value!({ "error": "unsupported_grant_type" }),
            "client unsupported_grant_type",
        ),
        (
            200,
            value!({ "error": "<b>ada@example.com" }),
            "client UNKNOWN",
        ),
        (200, value!({ "error": "general_error" }), "unavailable"),
        (200, rate.clone(), "throttled None"),
        (400, rate, "throttled None"),
        (429, value!({}), "throttled None"),
        (500, value!({ "error": "invalid_code" }), "unavailable"),
        (503, value!(null), "unavailable"),
        (302, value!(null), "unavailable"),
        (200, value!({}), "malformed"),
        (200, value!({ "access_token": "" }), "malformed"),
        (200, value!({ "access_token": 7 }), "malformed"),
        (200, value!([]), "malformed"),
    ] {
        let error = refreshed(json(status, &body)).await.unwrap_err();
        tells_nothing(&error);
        assert_eq!(describe(error), expected, "{status} {body}");
    }
    let page = "<html>ada@example.com</html>";
    for (status, expected) in [(200, "malformed"), (400, "malformed"), (502, "unavailable")] {
        let error = refreshed(answer(status, page)).await.unwrap_err();
        tells_nothing(&error);
        assert_eq!(describe(error), expected, "{status}");
    }
}

#[tokio::test]
async fn a_revocation_tells_the_token_to_nobody_but_the_body() {
    let script = Script::new([Ok(json(200, &value!({ "status": "success" })))]);
    let crm = script.crm();
    crm.revoke(DataCentre::Cn, &refresh()).await.unwrap();
    let request = script.only_sent();
    assert_eq!(
        request.url,
        "https://accounts.zoho.com.cn/oauth/v2/token/revoke"
    );
    assert_eq!(request.body, format!("token={}", SECRETS[1]).into_bytes());
}

#[tokio::test]
async fn a_token_that_is_gone_is_revoked() {
    for response in [
        answer(400, "<html>invalid token</html>"),
        json(400, &value!({ "error": "invalid_token" })),
        json(200, &value!({ "error": "invalid_code" })),
    ] {
        let crm = answering(response);
        assert!(crm.revoke(DataCentre::Us, &refresh()).await.is_ok());
    }
    for response in [
        answer(200, "<html>maintenance</html>"),
        answer(200, "{}"),
        answer(404, "<html>not found</html>"),
        answer(500, ""),
        answer(429, ""),
        json(400, &value!({ "error": "Access Denied" })),
        json(200, &value!({ "error": "invalid_client" })),
    ] {
        let crm = answering(response);
        let error = crm.revoke(DataCentre::Us, &refresh()).await.unwrap_err();
        tells_nothing(&error);
    }
}
