//! What writes send, and the outcome of each record.

use serde_json::json as value;

use super::*;
use crate::identifier::ZohoId;
use crate::port::{Crm, Reply, Saved, WriteOutcome, WriteRefusal};

type Written = Result<Reply<Vec<WriteOutcome>>, CrmError>;

fn id(digits: &str) -> ZohoId {
    digits.parse().unwrap()
}

fn saved(id: &str) -> Value {
    value!({
        "code": "SUCCESS", "status": "success", "message": "record added",
        "details": { "id": id, "Created_Time": "2026-11-23T11:00:04+01:00", "Modified_Time": "2026-11-23T11:00:04+01:00",
            "Modified_By": { "name": "Ada", "id": "1" }, "$approval_state": "approved" },
    })
}

fn failed(code: &str, details: Value) -> Value {
    value!({ "code": code, "status": "error", "message": "it says so", "details": details })
}

async fn inserted(records: usize, response: Response) -> Written {
    let crm = answering(response);
    let records = vec![record(&[("Last_Name", value!("Lovelace"))]); records];
    crm.insert(&caller(), Object::Contact, &records, &[]).await
}

#[tokio::test]
async fn an_insert_sends_the_records_and_the_automations_that_may_run() {
    let body = value!({ "data": [saved("7"), saved("8")] });
    for (trigger, expected) in [
        (Vec::new(), value!([])),
        (
            vec!["workflow".to_owned(), "blueprint".to_owned()],
            value!(["workflow", "blueprint"]),
        ),
    ] {
        let script = Script::new([Ok(json(201, &body))]);
        let records = [
            Outgoing::from([
                (
                    "Amount".to_owned(),
                    JsonText::number("0.10".parse().unwrap()),
                ),
                ("id".to_owned(), JsonText::of(&value!("not ours to send"))),
            ]),
            record(&[
                ("Last_Name", value!("O'Hara \"é\"")),
                ("Account_Name", Value::Null),
            ]),
        ];
        let reply = script
            .crm()
            .insert(&caller(), Object::Contact, &records, &trigger)
            .await
            .unwrap();
        let request = script.only_sent();
        assert_eq!(request.method.as_str(), "POST");
        assert_eq!(request.url, "https://www.zohoapis.eu/crm/v8/Contacts");
        assert_eq!(header(&request, "Content-Type"), Some("application/json"));
        let text = String::from_utf8(request.body).unwrap();
        assert!(text.contains(r#""Amount":0.10"#), "every digit: {text}");
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap(),
            value!({
                "data": [{ "Amount": 0.10 }, { "Last_Name": "O'Hara \"é\"", "Account_Name": null }],
                "trigger": expected,
            })
        );
        assert_eq!(reply.credits, 1);
        assert_eq!(
            reply.value[0],
            Ok(Saved {
                id: id("7"),
                modified_time: Some(time("2026-11-23T10:00:04Z"))
            })
        );
    }
}

#[tokio::test]
async fn an_update_names_the_ids_and_the_condition() {
    let script = Script::new([
        Ok(json(200, &value!({ "data": [saved("7")] }))),
        Ok(json(200, &value!({ "data": [saved("7")] }))),
    ]);
    let crm = script.crm();
    let records = [(id("7"), record(&[("Phone", value!("1"))]))];
    let since = Some(time("2026-11-23T10:00:00.9Z"));
    for since in [since, None] {
        crm.update(&caller(), Object::Account, &records, &[], since)
            .await
            .unwrap();
    }
    let [conditional, plain] = <[Request; 2]>::try_from(script.sent()).unwrap();
    assert_eq!(conditional.method.as_str(), "PUT");
    assert_eq!(conditional.url, "https://www.zohoapis.eu/crm/v8/Accounts");
    assert_eq!(
        conditional.body,
        br#"{"data":[{"id":"7","Phone":"1"}],"trigger":[]}"#
    );
    assert_eq!(
        header(&conditional, "If-Unmodified-Since"),
        Some("2026-11-23T10:00:00+00:00")
    );
    assert_eq!(header(&plain, "If-Unmodified-Since"), None);
}

#[tokio::test]
async fn one_bad_record_does_not_fail_its_neighbours() {
    let duplicate = value!({
        "api_name": "Email", "json_path": "$.data[1].Email", "id": "41", "more_records": false,
        "duplicate_record": { "id": "42", "module": { "api_name": "Contacts", "id": "3" }, "Owner": { "id": "1", "name": "Ada" } },
    });
    let several = value!({ "errors": [
        { "code": "INVALID_DATA", "message": "too long", "details": { "maximum_length": 50, "api_name": "Phone" } },
        { "code": "MANDATORY_NOT_FOUND", "message": "required field not found", "details": { "api_name": "Last_Name" } },
    ] });
    let items = [
        saved("7"),
        failed("DUPLICATE_DATA", duplicate),
        failed(
            "DUPLICATE_DATA",
            value!({ "api_name": "Number__c", "id": "43" }),
        ),
        failed(
            "INVALID_DATA",
            value!({ "json_path": "$.data[3].Annual_Revenue", "expected_data_type": "double" }),
        ),
        failed("MULTIPLE_OR_MULTI_ERRORS", several),
        failed("MULTIPLE_OR_MULTI_ERRORS", value!({})),
        failed("RECORD_LOCKED", value!({ "id": "44" })),
        failed("ALREADY_MODIFIED", value!({ "id": "45" })),
    ];
    let refusal = |code: &str, field: Option<&str>, message: &str, duplicate_of: Option<&str>| {
        Err(WriteRefusal {
            code: code.into(),
            field: field.map(str::to_owned),
            message: message.into(),
            duplicate_of: duplicate_of.map(id),
        })
    };
    let expected = [
        Ok(Saved {
            id: id("7"),
            modified_time: Some(time("2026-11-23T10:00:04Z")),
        }),
        refusal("DUPLICATE_DATA", Some("Email"), "it says so", Some("42")),
        refusal(
            "DUPLICATE_DATA",
            Some("Number__c"),
            "it says so",
            Some("43"),
        ),
        refusal("INVALID_DATA", Some("Annual_Revenue"), "it says so", None),
        refusal("INVALID_DATA", Some("Phone"), "too long", None),
        refusal("MULTIPLE_OR_MULTI_ERRORS", None, "it says so", None),
        refusal("RECORD_LOCKED", None, "it says so", None),
        refusal("ALREADY_MODIFIED", None, "it says so", None),
    ];
    for status in [200, 201, 202, 207, 400, 412] {
        let response = json(status, &value!({ "data": items }));
        let reply = inserted(items.len(), response).await.unwrap();
        assert_eq!(reply.value, expected, "{status}");
    }
}

#[tokio::test]
async fn every_record_code_of_the_documentation_is_an_outcome() {
    for code in [
        "INVALID_DATA",
        "MANDATORY_NOT_FOUND",
        "DUPLICATE_DATA",
        "DEPENDENT_FIELD_MISSING",
        "DEPENDENT_MISMATCH",
        "EXPECTED_FIELD_MISSING",
        "RECORD_LOCKED",
        "RECORD_IN_BLUEPRINT",
        "NOT_APPROVED",
        "NOT_REVIEWED",
        "DUPLICATE_LINKING_DATA",
        "NOT_ALLOWED",
        "NO_PERMISSION",
        "LIMIT_EXCEEDED",
    ] {
        for (status, records) in [(400, 1), (400, 2), (207, 2), (403, 1), (202, 1)] {
            let body = value!({ "data": vec![failed(code, value!({})); records] });
            let reply = inserted(records, json(status, &body)).await.unwrap();
            for outcome in reply.value {
                assert_eq!(outcome.unwrap_err().code, code);
            }
        }
    }
}

#[tokio::test]
async fn a_condition_that_fails_for_all_fails_the_call() {
    let item = failed("ALREADY_MODIFIED", value!({ "id": "7" }));
    for (status, body) in [
        (412, value!({ "data": [item, item] })),
        (200, value!({ "data": [item, item] })),
        (412, item.clone()),
        (412, value!({ "data": [item] })),
        (412, value!(null)),
    ] {
        let error = inserted(2, json(status, &body)).await.unwrap_err();
        assert!(matches!(error, CrmError::ChangedMeanwhile), "{body}");
    }
}

#[tokio::test]
async fn a_refusal_of_the_whole_call_is_no_outcome() {
    let flat = failed("MANDATORY_NOT_FOUND", value!({ "api_name": "data" }));
    for body in [flat.clone(), value!({ "data": [flat] })] {
        let error = inserted(2, json(400, &body)).await.unwrap_err();
        let CrmError::Refused { code, field, .. } = error else {
            panic!("refused, not {error:?}");
        };
        assert_eq!(
            (code.as_str(), field.as_deref()),
            ("MANDATORY_NOT_FOUND", Some("data"))
        );
    }
    for (status, code) in [
        (401, "INVALID_TOKEN"),
        (429, "TOO_MANY_REQUESTS"),
        (500, "INTERNAL_ERROR"),
    ] {
        let item = failed(code, value!({}));
        for body in [item.clone(), value!({ "data": [item] })] {
            let error = inserted(1, json(status, &body)).await.unwrap_err();
            let whole = matches!(
                error,
                CrmError::Unauthorised { .. }
                    | CrmError::Throttled { .. }
                    | CrmError::Unavailable { .. }
            );
            assert!(whole, "{status} {error:?}");
        }
    }
}

#[tokio::test]
async fn outcomes_that_leave_doubt_are_none() {
    let two = |first: Value| value!({ "data": [first, saved("8")] });
    for body in [
        value!({ "data": [] }),
        value!({ "data": [saved("7")] }),
        value!({ "data": [saved("7"), saved("8"), saved("9")] }),
        two(value!({})),
        two(value!("SUCCESS")),
        two(value!({ "code": "SUCCESS" })),
        two(value!({ "code": "SUCCESS", "details": { "id": "ada@example.com" } })),
        value!({}),
        value!(null),
    ] {
        let error = inserted(2, json(201, &body)).await.unwrap_err();
        assert!(matches!(error, CrmError::Malformed { .. }), "{body}");
        tells_nothing(&error);
    }
    let crm = answering(json(200, &value!({ "data": [saved("8"), saved("7")] })));
    let records = [(id("7"), record(&[])), (id("8"), record(&[]))];
    let error = crm
        .update(&caller(), Object::Task, &records, &[], None)
        .await
        .unwrap_err();
    assert!(shown(&error).contains("outcomes out of order"));
}

#[tokio::test]
async fn a_time_that_is_hidden_or_odd_does_not_undo_a_write() {
    for modified in [Value::Null, value!("yesterday"), value!(7)] {
        let mut item = saved("7");
        item["details"]["Modified_Time"] = modified;
        let reply = inserted(1, json(201, &value!({ "data": [item] })))
            .await
            .unwrap();
        assert_eq!(
            reply.value,
            [Ok(Saved {
                id: id("7"),
                modified_time: None
            })]
        );
    }
}

#[tokio::test]
async fn what_may_not_be_sent_is_not_sent() {
    let script = Script::new([]);
    let crm = script.crm();
    let caller = caller();
    for (object, records) in [
        (Object::Contact, 0),
        (Object::Contact, 101),
        (Object::Deal, 1),
        (Object::User, 1),
    ] {
        let new = vec![record(&[]); records];
        let changed = vec![(id("7"), record(&[])); records];
        for error in [
            crm.insert(&caller, object, &new, &[]).await.unwrap_err(),
            crm.update(&caller, object, &changed, &[], None)
                .await
                .unwrap_err(),
        ] {
            assert!(matches!(error, CrmError::Refused { .. }));
        }
    }
    assert!(script.sent().is_empty());
    let body = value!({ "data": vec![saved("7"); 100] });
    let reply = inserted(100, json(201, &body)).await.unwrap();
    assert_eq!((reply.value.len(), reply.credits), (100, 10));
}
