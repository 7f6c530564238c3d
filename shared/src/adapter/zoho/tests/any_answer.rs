//! Whatever comes back, the adapter gives a value or an error, never panics, and never tells what it must not.

use garble::{body, cases};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::json as value;

use super::*;
use crate::port::Crm;
use crate::select::Count;
use crate::tally::{Each, Tally};

/// Texts that an answer should not make the adapter repeat, and words that it looks for.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("ada@example.com".to_owned()),
        Just(format!("no '{}' here", SECRETS[0])),
        Just(format!("token {} is bad", SECRETS[1])),
        prop::sample::select(vec![
            "SUCCESS",
            "INVALID_DATA",
            "DUPLICATE_DATA",
            "ALREADY_MODIFIED",
            "INVALID_TOKEN",
            "error",
            "success",
            "Access Denied",
            "invalid_code",
            "7",
            "2026-11-23T10:00:00Z",
            "$.data[0].Email",
            "",
        ])
        .prop_map(str::to_owned),
        ".*",
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec![
            "data", "users", "fields", "org", "info", "more_records", "code", "details", "message", "status", "id",
            "errors", "api_name", "data_type", "json_path", "duplicate_record", "Modified_Time", "access_token", "error",
            "expires_in", "scope", "zgid", "time_zone", "license_details", "unique", "pick_list_values", "COUNT(id)",
        ])
        .prop_map(str::to_owned),
        1 => word(),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map(key(), inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => vec(any::<u8>(), 0..200),
        4 => any_json().prop_map(|json| json.to_string().into_bytes()),
        1 => (any_json(), any::<prop::sample::Index>()).prop_map(|(json, at)| {
            let mut body = json.to_string().into_bytes();
            body.truncate(at.index(body.len() + 1));
            body
        }),
        4 => any_json().prop_map(|inner| value!({ "data": [inner], "info": { "more_records": false } }).to_string().into_bytes()),
    ]
}

/// What Zoho answers when all is well, or in its own words is not.
fn known_answers() -> [Value; 12] {
    let lookup = value!({ "id": "9", "name": "ada@example.com" });
    let row = value!({ "id": "7", "Modified_Time": "2026-11-23T11:00:00+01:00", "Email": "ada@example.com", "Account_Name": lookup });
    let saved = value!({ "code": "SUCCESS", "status": "success", "message": "record updated",
        "details": { "id": "7", "Modified_Time": "2026-11-23T11:00:00+01:00" } });
    let refused = value!({ "code": "DUPLICATE_DATA", "status": "error", "message": "duplicate 'ada@example.com'",
        "details": { "api_name": "Email", "json_path": "$.data[0].Email", "duplicate_record": { "id": "8" } } });
    let several = value!({ "code": "MULTIPLE", "status": "error", "message": "", "details": { "errors": [refused] } });
    let field = value!({ "api_name": "Email", "data_type": "email", "field_label": "E-mail", "json_type": "string", "length": 100,
        "read_only": false, "operation_type": { "api_update": true }, "system_mandatory": false, "unique": { "casesensitive": "1" },
        "pick_list_values": [{ "actual_value": "a" }], "lookup": { "module": { "api_name": "Accounts" } },
        "multi_module_lookup": { "modules": ["Accounts", { "api_name": "Deals" }] }, "formula": { "return_type": "double" } });
    let org = value!({ "zgid": "60001", "id": "1", "company_name": "Acme", "time_zone": "Europe/Berlin",
        "license_details": { "paid": true, "paid_type": "enterprise", "users_license_purchased": 5 } });
    [
        value!({ "access_token": SECRETS[0], "refresh_token": SECRETS[1], "expires_in": 3600, "api_domain": "https://www.zohoapis.eu",
            "scope": "ZohoCRM.modules.ALL ZohoCRM.org.READ" }),
        value!({ "error": "invalid_code" }),
        value!({ "status": "success" }),
        value!({ "data": [row], "info": { "more_records": true, "count": 1 } }),
        value!({ "data": [{ "COUNT(id)": 12 }], "info": { "more_records": false } }),
        value!({ "users": [row], "info": { "more_records": false } }),
        value!({ "fields": [field] }),
        value!({ "org": [org] }),
        value!({ "data": [saved] }),
        value!({ "data": [refused] }),
        value!({ "data": [several] }),
        refused,
    ]
}

/// What headers say, mostly as Zoho would.
fn known_response() -> impl Strategy<Value = Response> {
    let status = prop_oneof![
        6 => Just(200_u16),
        2 => prop::sample::select(vec![201, 202, 204, 207, 304, 400, 401, 403, 404, 412, 429, 500, 0, 999]),
    ];
    let date = prop_oneof![8 => Just(DATE.to_owned()), 1 => garble::odd_text()];
    let after = prop_oneof![
        Just("60".to_owned()),
        Just("Fri, 31 Dec 9999 23:59:59 GMT".to_owned()),
        Just("99999999999999999999".to_owned()),
        garble::odd_text()
    ];
    (status, date, after, body(&known_answers())).prop_map(|(status, date, after, body)| Response {
        status,
        headers: vec![
            ("Date".to_owned(), date),
            ("Retry-After".to_owned(), after.clone()),
            ("X-API-CREDITS-REMAINING".to_owned(), after),
        ],
        body,
    })
}

fn any_response() -> impl Strategy<Value = Response> {
    let status = prop_oneof![
        Just(200_u16),
        prop::sample::select(vec![
            201, 202, 204, 207, 304, 400, 401, 403, 404, 412, 429, 500
        ]),
        any::<u16>(),
    ];
    let headers = vec(
        (
            prop::sample::select(vec!["Date", "Retry-After", "X-API-CREDITS-REMAINING"]),
            prop_oneof![Just(DATE.to_owned()), word()],
        ),
        0..4,
    );
    (status, headers, any_body()).prop_map(|(status, headers, body)| Response {
        status,
        headers: headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        body,
    })
}

fn tally(each: Each) -> Tally {
    Tally {
        object: Object::Contact,
        field: "Email".parse().unwrap(),
        each,
        within: None,
    }
}

async fn all_errors(response: &Response) -> Vec<CrmError> {
    let script = Script::new((0..12).map(|_| Ok(response.clone())));
    let crm = script.crm();
    let caller = caller();
    let one = [record(&[("Email", value!("ada@example.com"))])];
    let changed = [("7".parse().unwrap(), one[0].clone())];
    let since = Some(time("2026-11-23T10:00:00Z"));
    let errors = [
        crm.exchange(DataCentre::Us, &client(), &code(), "https://tandem.example")
            .await
            .err(),
        crm.refresh(DataCentre::Us, &client(), &refresh())
            .await
            .err(),
        crm.revoke(DataCentre::Us, &refresh()).await.err(),
        crm.organisation(&caller).await.err(),
        crm.fields(&caller, Object::Contact).await.err(),
        crm.select(&caller, &contacts()).await.err(),
        crm.count(&caller, Count::all(Object::Contact)).await.err(),
        crm.tally(&caller, &tally(Each::Filled)).await.err(),
        crm.tally(
            &caller,
            &tally(Each::Value {
                offset: 0,
                limit: 200,
            }),
        )
        .await
        .err(),
        crm.users(&caller, 1, since).await.err(),
        crm.insert(&caller, Object::Contact, &one, &[]).await.err(),
        crm.update(&caller, Object::Contact, &changed, &[], since)
            .await
            .err(),
    ];
    errors.into_iter().flatten().collect()
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn any_answer_is_a_value_or_a_discreet_error(response in any_response()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for error in runtime.block_on(all_errors(&response)) {
            tells_nothing(&error);
            prop_assert!(shown(&error).chars().count() < 2_000);
            let _ = error.disposition();
        }
    }

    #[test]
    fn an_answer_gone_wrong_is_a_value_or_a_discreet_error(response in known_response()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for error in runtime.block_on(all_errors(&response)) {
            tells_nothing(&error);
            prop_assert!(shown(&error).chars().count() < 2_000);
            // Who reads it must find out what was asked.
            if let CrmError::Malformed { what, .. } | CrmError::Forbidden { what, .. } = &error {
                prop_assert!(!what.is_empty());
            }
            if let CrmError::Throttled { after: Some(after) } = error {
                prop_assert!(after.as_secs() <= 86_400);
            }
        }
    }

    /// As many outcomes as records, or an error: none may be taken for another's, and none may be missing.
    #[test]
    fn an_outcome_gone_wrong_is_nobody_elses(body in body(&[
        value!({ "data": [
            { "code": "SUCCESS", "status": "success", "details": { "id": "7", "Modified_Time": "2026-11-23T11:00:00+01:00" } },
            { "code": "INVALID_DATA", "status": "error", "details": { "api_name": "Email" } },
        ] }),
    ])) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let one = record(&[("Last_Name", value!("L"))]);
        let changed = [("7".parse().unwrap(), one.clone()), ("8".parse().unwrap(), one)];
        let crm = answering(answer(207, body));
        let Ok(reply) = runtime.block_on(crm.update(&caller(), Object::Contact, &changed, &[], None)) else {
            return Ok(());
        };
        prop_assert_eq!(reply.value.len(), changed.len());
        for (outcome, (sent, _)) in reply.value.iter().zip(&changed) {
            if let Ok(saved) = outcome {
                prop_assert_eq!(&saved.id, sent);
            }
        }
    }
}
