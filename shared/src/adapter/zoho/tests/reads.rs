//! What reading calls send, and what they make of good answers.

use serde_json::json as value;

use super::*;
use crate::port::{Crm, FieldInfo, GrantedOrganisation};
use crate::select::Count;

#[tokio::test]
async fn what_zoho_says_is_left_is_a_number_or_nothing() {
    let body = r#"{"data":[{"count(id)":7}],"info":{"count":1,"more_records":false}}"#;
    for (given, expected) in [
        (Some(" 31042 "), Some(31_042)),
        (Some("0"), Some(0)),
        (Some("-12"), Some(0)),
        (Some("many"), None),
        (Some("12.5"), None),
        (Some("1e3"), None),
        (Some(""), None),
        (Some("99999999999999999999"), None),
        (None, None),
    ] {
        let plain = answer(200, body);
        let response = match given {
            Some(given) => with_header(plain, "x-api-credits-remaining", given),
            None => plain,
        };
        let script = Script::new([Ok(response)]);
        let reply = script.crm().count(&caller(), Count::all(Object::Account));
        assert_eq!(reply.await.unwrap().credits_left, expected, "{given:?}");
    }
}

#[tokio::test]
async fn a_question_goes_out_as_coql_and_comes_back_as_rows() {
    let body = r#"{"data":[
        {"id":"5725767000000420001","Modified_Time":"2026-11-23T11:00:00+01:00","Amount":0.10000000000000000001,"Account_Name":{"id":"7"}},
        {"id":"5725767000000420002","Modified_Time":null,"Email":"ada@example.com","$odd":[{}]}
    ],"info":{"count":2,"more_records":true}}"#;
    let response = with_header(answer(200, body), "X-API-CREDITS-REMAINING", "31042");
    let script = Script::new([Ok(response)]);
    let reply = script.crm().select(&caller(), &contacts()).await.unwrap();

    let request = script.only_sent();
    assert_eq!(request.method.as_str(), "POST");
    assert_eq!(request.url, "https://www.zohoapis.eu/crm/v8/coql");
    assert_eq!(
        header(&request, "Authorization"),
        Some(format!("Zoho-oauthtoken {}", SECRETS[0]).as_str())
    );
    assert_eq!(header(&request, "Content-Type"), Some("application/json"));
    let sent: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(
        sent,
        value!({ "select_query": "select id, Modified_Time, Email from Contacts \
            where Modified_Time >= '2026-11-23T10:00:00+00:00' order by Modified_Time asc, id asc limit 2000" })
    );

    assert_eq!(reply.server_time, time("2026-11-23T10:00:05Z"));
    assert_eq!(reply.credits, 3, "the price follows the limit");
    assert_eq!(reply.credits_left, Some(31_042));
    assert!(reply.value.more);
    let [first, second] = reply.value.rows.as_slice() else {
        panic!("two rows");
    };
    assert_eq!(first.id.to_string(), "5725767000000420001");
    assert_eq!(first.modified_time, Some(time("2026-11-23T10:00:00Z")));
    assert_eq!(first.raw("Amount"), Some("0.10000000000000000001"));
    assert_eq!(first.lookup("Account_Name"), "7".parse().ok());
    assert_eq!(second.modified_time, None);
    assert!(second.has("$odd") && !second.has("Amount"));
}

#[tokio::test]
async fn no_content_is_no_rows() {
    let reply = answering(answer(204, ""))
        .select(&caller(), &contacts())
        .await
        .unwrap();
    assert!(reply.value.rows.is_empty() && !reply.value.more);
    let empty = value!({ "data": [], "info": { "count": 0, "more_records": false } });
    let reply = answering(json(200, &empty))
        .select(&caller(), &contacts())
        .await
        .unwrap();
    assert!(reply.value.rows.is_empty() && !reply.value.more);
}

#[tokio::test]
async fn a_page_that_leaves_doubt_is_no_page() {
    let info = value!({ "more_records": false });
    for body in [
        value!({ "data": [{ "id": "1" }] }),
        value!({ "data": [{ "id": "1" }], "info": {} }),
        value!({ "data": [{ "id": "1" }], "info": { "more_records": null } }),
        value!({ "data": [{ "id": "1" }], "info": { "more_records": "yes" } }),
        value!({ "data": [], "info": { "more_records": true } }),
        value!({ "info": info }),
        value!({ "data": {}, "info": info }),
        value!({ "data": [[]], "info": info }),
        value!({ "data": [{ "Email": "ada@example.com" }], "info": info }),
        value!({ "data": [{ "id": "ada@example.com" }], "info": info }),
        value!({ "data": [{ "id": "1", "Modified_Time": "ada@example.com" }], "info": info }),
        value!("ada@example.com"),
        value!(null),
    ] {
        let error = answering(json(200, &body))
            .select(&caller(), &contacts())
            .await
            .unwrap_err();
        assert!(matches!(error, CrmError::Malformed { .. }), "{body}");
        tells_nothing(&error);
    }
    for response in [
        answer(200, ""),
        answer(200, "<html>ada@example.com</html>"),
        answer(200, [0xff, 0xfe]),
        answer(200, r#"{"data":[{"id":"1"}],"info":{"more_"#),
    ] {
        let crm = answering(response);
        let error = crm.select(&caller(), &contacts()).await.unwrap_err();
        assert!(matches!(error, CrmError::Malformed { .. }), "{error:?}");
        tells_nothing(&error);
    }
}

#[tokio::test]
async fn without_zohos_clock_there_is_no_reply() {
    for date in [None, Some("soon"), Some("")] {
        let headers = date.map(|date| ("Date".to_owned(), date.to_owned()));
        let response = Response {
            status: 204,
            headers: headers.into_iter().collect(),
            body: Vec::new(),
        };
        let crm = answering(response);
        let error = crm.select(&caller(), &contacts()).await.unwrap_err();
        assert!(shown(&error).contains("no usable Date header"), "{error:?}");
    }
}

#[tokio::test]
async fn a_count_is_found_under_any_name() {
    let script = Script::new([Ok(json(200, &value!({ "data": [{ "COUNT(id)": 1234 }] })))]);
    let reply = script
        .crm()
        .count(&caller(), Count::all(Object::Account))
        .await
        .unwrap();
    assert_eq!((reply.value, reply.credits), (1_234, 1));
    let sent: Value = serde_json::from_slice(&script.only_sent().body).unwrap();
    assert_eq!(
        sent["select_query"],
        "select COUNT(id) from Accounts where id is not null"
    );
    for (row, expected) in [
        (value!({ "count(id)": 7 }), Some(7)),
        (value!({ "COUNT(id)": "7", "id": null }), Some(7)),
        (value!({ "count": 0 }), Some(0)),
        (value!({ "id": "5" }), None),
        (value!({ "a": 1, "b": 2 }), None),
        (value!({ "COUNT(id)": -1 }), None),
        (value!({ "COUNT(id)": null }), None),
    ] {
        let body = value!({ "data": [row], "info": { "count": 1, "more_records": false } });
        let reply = answering(json(200, &body))
            .count(&caller(), Count::all(Object::Deal))
            .await;
        assert_eq!(reply.ok().map(|reply| reply.value), expected, "{body}");
    }
    let reply = answering(answer(204, ""))
        .count(&caller(), Count::all(Object::Task))
        .await
        .unwrap();
    assert_eq!(reply.value, 0);
}

#[tokio::test]
async fn users_are_not_asked_for_by_coql() {
    let script = Script::new([]);
    let users = Select {
        object: Object::User,
        ..contacts()
    };
    let crm = script.crm();
    assert!(crm.select(&caller(), &users).await.is_err());
    assert!(
        crm.count(&caller(), Count::all(Object::User))
            .await
            .is_err()
    );
    assert!(script.sent().is_empty());
}

#[tokio::test]
async fn users_come_in_pages() {
    let body = value!({
        "users": [{ "id": "9", "email": "ada@example.com", "created_time": "2026-01-01T00:00:00+00:00",
            "Modified_Time": "2026-11-23T10:00:00+00:00", "status": "deleted" }],
        "info": { "per_page": 200, "count": 1, "page": 2, "more_records": false },
    });
    let since = Some(time("2026-11-23T09:59:59.999Z"));
    let script = Script::new([
        Ok(json(200, &body)),
        Ok(answer(304, "")),
        Ok(answer(204, "")),
    ]);
    let crm = script.crm();
    let reply = crm.users(&caller(), 2, since).await.unwrap();
    assert_eq!(
        reply.value.rows[0].modified_time,
        Some(time("2026-11-23T10:00:00Z"))
    );
    assert_eq!(reply.credits, 1);
    assert!(!reply.value.more);
    for _ in ["not modified", "no content"] {
        let reply = crm.users(&caller(), 1, since).await.unwrap();
        assert!(reply.value.rows.is_empty() && !reply.value.more);
    }
    let request = script.sent().remove(0);
    assert_eq!(request.method.as_str(), "GET");
    assert_eq!(
        request.url,
        "https://www.zohoapis.eu/crm/v8/users?type=AllUsers&page=2&per_page=200"
    );
    assert_eq!(
        header(&request, "If-Modified-Since"),
        Some("2026-11-23T09:59:59+00:00")
    );
    assert!(request.body.is_empty());
}

#[tokio::test]
async fn an_organisation_always_has_a_user() {
    for status in [204, 304] {
        let crm = answering(answer(status, ""));
        assert!(crm.users(&caller(), 1, None).await.is_err(), "{status}");
    }
    let crm = answering(answer(204, ""));
    let past_the_end = crm.users(&caller(), 3, None).await.unwrap();
    assert!(past_the_end.value.rows.is_empty());
}

#[tokio::test]
async fn fields_tell_what_may_be_written() {
    let field = |api_name: &str, more: Value| {
        let mut field = value!({
            "api_name": api_name, "field_label": "Label", "data_type": "picklist", "read_only": false,
            "field_read_only": false, "system_mandatory": false, "length": 120, "unique": {},
            "operation_type": { "api_create": true, "api_update": true }, "pick_list_values": [],
        });
        field
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        field
    };
    let plain = |api_name: &str| FieldInfo {
        api_name: api_name.into(),
        label: "Label".into(),
        data_type: "picklist".into(),
        length: Some(120),
        ..FieldInfo::default()
    };
    let body = value!({ "fields": [
        field("Plain", value!({})),
        field("Stage", value!({ "system_mandatory": true, "pick_list_values": [
            { "display_value": "-None-", "actual_value": "-None-" },
            { "display_value": "Gewonnen", "actual_value": "Closed Won", "type": "used" },
            { "display_value": "no actual value" },
        ] })),
        field("Mine", value!({ "read_only": true })),
        field("Nobodys", value!({ "field_read_only": true })),
        field("Computed", value!({ "operation_type": { "api_update": false } })),
        field("Number", value!({ "unique": { "casesensitive": false }, "length": null })),
        field("Bare", value!({ "operation_type": null, "unique": null, "pick_list_values": null })),
        field("Age", value!({ "json_type": "double", "formula": { "return_type": "double" }, "rollup_summary": {} })),
        field("Total", value!({ "formula": {}, "rollup_summary": { "return_type": "currency" } })),
        field("Account", value!({ "lookup": { "module": { "api_name": "Accounts", "id": "1" } } })),
        field("Old_Account", value!({ "lookup": { "module": "Accounts" } })),
        field("What", value!({ "lookup": {}, "multi_module_lookup": { "modules": [{ "api_name": "Accounts" }, { "api_name": "Deals" }] } })),
    ] });
    let script = Script::new([Ok(json(200, &body)), Ok(answer(204, ""))]);
    let crm = script.crm();
    let reply = crm.fields(&caller(), Object::Deal).await.unwrap();
    let read_only = |api_name| FieldInfo {
        read_only: true,
        ..plain(api_name)
    };
    assert_eq!(
        reply.value,
        [
            plain("Plain"),
            FieldInfo {
                mandatory: true,
                choices: vec!["Closed Won".into()],
                ..plain("Stage")
            },
            read_only("Mine"),
            read_only("Nobodys"),
            read_only("Computed"),
            FieldInfo {
                unique: true,
                length: None,
                ..plain("Number")
            },
            plain("Bare"),
            FieldInfo {
                json_type: Some("double".into()),
                returns: Some("double".into()),
                ..plain("Age")
            },
            FieldInfo {
                returns: Some("currency".into()),
                ..plain("Total")
            },
            FieldInfo {
                targets: vec!["Accounts".into()],
                ..plain("Account")
            },
            FieldInfo {
                targets: vec!["Accounts".into()],
                ..plain("Old_Account")
            },
            FieldInfo {
                targets: vec!["Accounts".into(), "Deals".into()],
                ..plain("What")
            },
        ]
    );
    let none = crm.fields(&caller(), Object::Deal).await.unwrap();
    assert!(none.value.is_empty());
    assert_eq!(
        script.sent()[0].url,
        "https://www.zohoapis.eu/crm/v8/settings/fields?module=Deals"
    );
    let crm = answering(json(200, &value!({ "fields": [{ "api_name": "Only" }] })));
    assert!(crm.fields(&caller(), Object::Deal).await.is_err());
}

#[tokio::test]
async fn the_organisation_tells_its_edition_and_its_users() {
    for (org, edition, users) in [
        (
            value!({ "license_details": { "paid": true, "paid_type": "enterprise", "trial_type": null, "users_license_purchased": 40 } }),
            "enterprise",
            40,
        ),
        (
            value!({ "license_details": { "paid": false, "paid_type": "free", "trial_type": "ultimate", "users_license_purchased": "3" } }),
            "ultimate",
            3,
        ),
        (
            value!({ "license_details": { "paid": true, "paid_type": "zohoone", "trial_type": "ultimate" } }),
            "zohoone",
            0,
        ),
        (
            value!({ "license_details": { "edition": "professional" } }),
            "professional",
            0,
        ),
        (value!({ "license_details": null }), "unknown", 0),
        (value!({}), "unknown", 0),
    ] {
        let mut body = value!({ "id": "5725767000000000001", "zgid": "60000001", "company_name": "Kestrel", "time_zone": "Europe/Berlin" });
        body.as_object_mut()
            .unwrap()
            .extend(org.as_object().unwrap().clone());
        let crm = answering(json(200, &value!({ "org": [body] })));
        let reply = crm.organisation(&caller()).await.unwrap();
        assert_eq!(
            reply.value,
            GrantedOrganisation {
                id: "60000001".into(),
                name: "Kestrel".into(),
                time_zone: "Europe/Berlin".into(),
                edition: edition.into(),
                users,
            }
        );
    }
    for org in [
        value!([]),
        value!([{ "company_name": "Kestrel", "time_zone": "UTC" }]),
        value!([{ "zgid": "1", "time_zone": "" }]),
    ] {
        let crm = answering(json(200, &value!({ "org": org })));
        let error = crm.organisation(&caller()).await.unwrap_err();
        assert!(matches!(error, CrmError::Malformed { .. }));
    }
    let crm = answering(json(
        200,
        &value!({ "org": [{ "zgid": 60000001, "time_zone": "UTC" }] }),
    ));
    let reply = crm.organisation(&caller()).await.unwrap();
    assert_eq!(reply.value.id, "60000001");
}
