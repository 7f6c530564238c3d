//! What refusals of whole calls mean.

use std::time::Duration;

use serde_json::json as value;

use super::*;
use crate::port::Crm;

async fn refused(response: Response) -> CrmError {
    let crm = answering(response);
    let error = crm.select(&caller(), &contacts()).await.unwrap_err();
    tells_nothing(&error);
    error
}

fn named(error: &CrmError) -> (&'static str, &str) {
    match error {
        CrmError::Unauthorised { code } => ("unauthorised", code),
        CrmError::GrantRefused { code } => ("grant refused", code),
        CrmError::Forbidden { code, .. } => ("forbidden", code),
        CrmError::Throttled { .. } => ("throttled", ""),
        CrmError::Refused { code, .. } => ("refused", code),
        CrmError::ChangedMeanwhile => ("changed meanwhile", ""),
        CrmError::Unavailable { .. } => ("unavailable", ""),
        CrmError::Malformed { .. } => ("malformed", ""),
    }
}

#[tokio::test]
async fn every_code_has_its_meaning_flat_and_in_data() {
    for (status, code, meaning) in [
        (401, "INVALID_TOKEN", "unauthorised"),
        (401, "AUTHENTICATION_FAILURE", "unauthorised"),
        (200, "INVALID_TOKEN", "unauthorised"),
        (401, "OAUTH_SCOPE_MISMATCH", "forbidden"),
        (403, "OAUTH_SCOPE_MISMATCH", "forbidden"),
        (403, "NO_PERMISSION", "forbidden"),
        (400, "AUTHORIZATION_FAILED", "forbidden"),
        (403, "NOT_SUPPORTED", "forbidden"),
        (429, "TOO_MANY_REQUESTS", "throttled"),
        (429, "RATE_LIMIT_EXCEEDED", "throttled"),
        (400, "TOO_MANY_REQUESTS", "throttled"),
        (412, "ALREADY_MODIFIED", "changed meanwhile"),
        (500, "INTERNAL_ERROR", "unavailable"),
        (400, "INTERNAL_ERROR", "unavailable"),
        (503, "INVALID_QUERY", "unavailable"),
        (400, "INVALID_QUERY", "refused"),
        (400, "SYNTAX_ERROR", "refused"),
        (400, "INVALID_DATA", "refused"),
        (400, "MANDATORY_NOT_FOUND", "refused"),
        (400, "DUPLICATE_DATA", "refused"),
        (400, "DUPLICATE_ALIAS", "refused"),
        (400, "INVALID_ALIAS", "refused"),
        (400, "LIMIT_EXCEEDED", "refused"),
        (400, "REQUIRED_PARAM_MISSING", "refused"),
        (400, "PATTERN_NOT_MATCHED", "refused"),
        (400, "AMBIGUITY_DURING_PROCESSING", "refused"),
        (400, "DISCRETE_PAGINATION_LIMIT_EXCEEDED", "refused"),
        (400, "PAGINATION_LIMIT_EXCEEDED", "refused"),
        (400, "TOKEN_BOUND_DATA_MISMATCH", "refused"),
        (400, "EXPIRED_VALUE", "refused"),
        (400, "INVALID_MODULE", "refused"),
        (400, "INVALID_REQUEST_METHOD", "refused"),
        (404, "INVALID_URL_PATTERN", "refused"),
        (400, "API_NOT_SUPPORTED", "refused"),
        (400, "INVALID_HOST", "refused"),
        (400, "DEPENDENT_SERVICE_ERROR", "refused"),
        (404, "RESOURCE_NOT_FOUND", "refused"),
        (200, "INVALID_QUERY", "refused"),
    ] {
        let problem = value!({ "code": code, "details": {}, "message": "of ada@example.com", "status": "error" });
        let in_data = value!({ "data": [problem] });
        // With the status of a success, what is in data is a record.
        let bodies = [Some(problem), Some(in_data).filter(|_| status != 200)];
        for body in bodies.into_iter().flatten() {
            let error = refused(json(status, &body)).await;
            let (got, said) = named(&error);
            assert_eq!(got, meaning, "{status} {code}");
            assert!(said.is_empty() || said == code, "{status} {code}");
        }
    }
}

#[tokio::test]
async fn a_status_alone_is_enough() {
    for (status, meaning) in [
        (401, ("unauthorised", "HTTP_401")),
        (403, ("forbidden", "HTTP_403")),
        (412, ("changed meanwhile", "")),
        (429, ("throttled", "")),
        (301, ("unavailable", "")),
        (302, ("unavailable", "")),
        (304, ("unavailable", "")),
        (408, ("unavailable", "")),
        (500, ("unavailable", "")),
        (502, ("unavailable", "")),
        (504, ("unavailable", "")),
        (599, ("unavailable", "")),
        (101, ("unavailable", "")),
        (0, ("unavailable", "")),
        (400, ("malformed", "")),
        (404, ("malformed", "")),
        (415, ("malformed", "")),
        (201, ("malformed", "")),
    ] {
        for body in ["", "<html>ada@example.com</html>", "{\"data\":[1"] {
            let error = refused(answer(status, body)).await;
            assert_eq!(named(&error), meaning, "{status} {body}");
        }
    }
}

#[tokio::test]
async fn a_pause_is_as_long_as_zoho_says() {
    for (given, expected) in [
        (None, None),
        (Some("17"), Some(17)),
        (Some(" 17 "), Some(17)),
        (Some("Mon, 23 Nov 2026 10:01:05 GMT"), Some(60)),
        (Some("Mon, 23 Nov 2026 09:00:00 GMT"), Some(0)),
        (Some("99999999999"), Some(86_400)),
        (Some("-3"), None),
        (Some("soon"), None),
    ] {
        let mut response = answer(429, "<html>");
        if let Some(given) = given {
            response = with_header(response, "retry-after", given);
        }
        let error = refused(response).await;
        let expected = expected.map(Duration::from_secs);
        assert!(
            matches!(error, CrmError::Throttled { after } if after == expected),
            "{given:?} {error:?}"
        );
    }
}

#[tokio::test]
async fn a_refusal_names_the_column_and_the_text_without_values() {
    let body = value!({
        "code": "INVALID_QUERY",
        "details": { "reason": "column given seems to be invalid", "column_name": "Emial", "operator": "in" },
        "message": "invalid query formed near 'ada@example.com', \"O'Hara\"",
        "status": "error",
    });
    let CrmError::Refused {
        code,
        message,
        field,
    } = refused(json(400, &body)).await
    else {
        panic!("refused");
    };
    assert_eq!(
        (code.as_str(), field.as_deref()),
        ("INVALID_QUERY", Some("Emial"))
    );
    assert_eq!(message, "invalid query formed near …, …");
}

#[tokio::test]
async fn what_was_asked_for_is_named_with_its_scopes() {
    let denied = || {
        json(
            401,
            &value!({ "code": "OAUTH_SCOPE_MISMATCH", "message": "invalid oauth scope to access this URL" }),
        )
    };
    let script = Script::new((0..6).map(|_| Ok(denied())));
    let crm = script.crm();
    let caller = caller();
    let errors = [
        crm.select(&caller, &contacts()).await.unwrap_err(),
        crm.users(&caller, 1, None).await.unwrap_err(),
        crm.fields(&caller, Object::Task).await.unwrap_err(),
        crm.organisation(&caller).await.unwrap_err(),
        crm.insert(&caller, Object::Account, &[record(&[])], &[])
            .await
            .unwrap_err(),
        crm.update(
            &caller,
            Object::Task,
            &["1".parse().map(|id| (id, record(&[]))).unwrap()],
            &[],
            None,
        )
        .await
        .unwrap_err(),
    ];
    let expected = [
        "Contacts (scopes ZohoCRM.coql.READ and ZohoCRM.modules.contacts.READ)",
        "users (scope ZohoCRM.users.READ)",
        "the fields of Tasks (scope ZohoCRM.settings.fields.READ)",
        "the organisation (scope ZohoCRM.org.READ)",
        "creating Accounts (scope ZohoCRM.modules.accounts.CREATE)",
        "updating Tasks (scope ZohoCRM.modules.tasks.UPDATE)",
    ];
    for (error, expected) in errors.iter().zip(expected) {
        let CrmError::Forbidden { what, message, .. } = error else {
            panic!("forbidden, not {error:?}");
        };
        assert_eq!(what, expected);
        assert_eq!(message, "invalid oauth scope to access this URL");
    }
}

#[tokio::test]
async fn no_answer_is_an_unknown_effect() {
    let broken = || Error::Broken("the peer went away".into());
    for error in [Error::TimedOut, Error::TooLarge, broken()] {
        let script = Script::new([Err(error)]);
        let error = script
            .crm()
            .insert(&caller(), Object::Contact, &[record(&[])], &[])
            .await
            .unwrap_err();
        assert!(matches!(error, CrmError::Unavailable { .. }));
        assert!(error.source().is_some());
        tells_nothing(&error);
    }
}

#[tokio::test]
async fn a_token_goes_to_no_other_host() {
    // A stored domain from before a change of the list, or from a simulator.
    for foreign in [
        "https://www.zohoapis.eu.evil.example",
        "http://127.0.0.1:9100/eu",
        "https://www.zohoapis.eu/",
        "",
    ] {
        let api = serde_json::from_value(value!(foreign)).unwrap();
        let caller = Caller {
            api,
            token: access(),
        };
        let script = Script::new([]);
        let error = script.crm().organisation(&caller).await.unwrap_err();
        assert_eq!(named(&error), ("refused", "FOREIGN_API_DOMAIN"));
        assert!(script.sent().is_empty());
    }
    let directory = Directory::parse("http://127.0.0.1:9100").unwrap();
    let script = Script::new([Ok(answer(204, ""))]);
    let transport: Arc<dyn Transport> = Arc::<Script>::clone(&script);
    let crm = ZohoCrm::with_transport(directory, transport);
    assert!(crm.organisation(&caller()).await.is_err());
    assert!(script.sent().is_empty(), "a simulator is not Zoho");
}

#[tokio::test]
async fn the_permissions_that_lack_are_told() {
    let body = |permissions: Value| value!({ "code": "NO_PERMISSION", "message": "permission denied", "details": { "permissions": permissions } });
    for (permissions, expected) in [
        (
            value!(["Crm_Implied_View_Accounts", "Crm_Implied_Api_Access"]),
            "permission denied, lacking Crm_Implied_View_Accounts, Crm_Implied_Api_Access",
        ),
        (value!(["ada@example.com", 7]), "permission denied"),
        (value!("Crm"), "permission denied"),
    ] {
        let error = refused(json(403, &body(permissions))).await;
        let CrmError::Forbidden { message, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(message, expected);
    }
}
