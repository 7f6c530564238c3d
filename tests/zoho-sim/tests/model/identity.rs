//! What tells records apart: upserts, unique fields and external fields.

use crate::writing::first;
use crate::{World, refused};
use http::Method;
use serde_json::{Value, json};
use zoho_sim::{OrganisationSpec, Request};

#[test]
fn upsert_checks_in_zohos_order() {
    let mut world = World::of(OrganisationSpec {
        unique_external_id: true,
        workflows: false,
        ..OrganisationSpec::small(7)
    });
    let by_name = world.add(
        "Accounts",
        json!({ "Account_Name": "Twin", "External_ID": "A1" }),
    );
    let by_external = world.add(
        "Accounts",
        json!({ "Account_Name": "Other", "External_ID": "B1" }),
    );
    let mut upsert = |record: Value, check: Value| {
        let mut body = json!({ "data": [record], "trigger": [] });
        if !check.is_null() {
            body["duplicate_check_fields"] = check;
        }
        let answer = world.post("Accounts/upsert", body);
        let item = first(&answer);
        (
            item["code"].clone(),
            item["action"].clone(),
            item["duplicate_field"].clone(),
            item["details"]["id"].clone(),
        )
    };
    let id = |id: u64| json!(id.to_string());
    // The trap: without the list the name matches first.
    assert_eq!(
        upsert(
            json!({ "Account_Name": "twin", "External_ID": "A1" }),
            Value::Null
        ),
        (
            json!("SUCCESS"),
            json!("update"),
            json!("Account_Name"),
            id(by_name)
        )
    );
    assert_eq!(
        upsert(
            json!({ "Account_Name": "Twin", "External_ID": "B1" }),
            json!(["External_ID"])
        ),
        (
            json!("SUCCESS"),
            json!("update"),
            json!("External_ID"),
            id(by_external)
        )
    );
    let (code, action, field, _) = upsert(
        json!({ "Account_Name": "Twin", "External_ID": "C1" }),
        json!(["External_ID"]),
    );
    assert_eq!(
        (code, action, field),
        (json!("SUCCESS"), json!("insert"), Value::Null)
    );
    // A name that matches one record and a unique value that belongs to another.
    let (code, ..) = upsert(
        json!({ "Account_Name": "Twin", "External_ID": "B1" }),
        Value::Null,
    );
    assert_eq!(code, "DUPLICATE_DATA");
    let wrong = world.post(
        "Accounts/upsert",
        json!({ "data": [{ "Account_Name": "X" }], "duplicate_check_fields": ["Phone"] }),
    );
    refused(&wrong, 400, "INVALID_DATA");
}

#[test]
fn contacts_match_by_email_and_tasks_never() {
    let mut world = World::new();
    let id = world.add(
        "Contacts",
        json!({ "Last_Name": "A", "Email": "One@x.example" }),
    );
    let item = first(&world.post(
        "Contacts/upsert",
        json!({ "data": [{ "Last_Name": "B", "Email": "one@X.example" }] }),
    ));
    assert_eq!(
        (
            item["details"]["id"].as_str(),
            item["duplicate_field"].as_str()
        ),
        (Some(id.to_string().as_str()), Some("Email"))
    );
    let task = first(&world.post("Tasks/upsert", json!({ "data": [{ "Subject": "Same" }] })));
    let again = first(&world.post("Tasks/upsert", json!({ "data": [{ "Subject": "Same" }] })));
    assert_eq!(again["action"], "insert");
    assert_ne!(task["details"]["id"], again["details"]["id"]);
}

#[test]
fn unique_fields_block_a_plain_insert() {
    let mut world = World::new();
    let id = world.add(
        "Accounts",
        json!({ "Account_Name": "A", "External_ID": "U1" }),
    );
    world.add(
        "Accounts",
        json!({ "Account_Name": "A", "External_ID": "U1" }),
    );
    world
        .zoho
        .set_unique(world.org, "Accounts", "External_ID", true)
        .unwrap();
    let item = first(&world.post(
        "Accounts",
        json!({ "data": [{ "Account_Name": "B", "External_ID": "u1" }] }),
    ));
    assert_eq!(item["code"], "DUPLICATE_DATA");
    assert_eq!(item["details"]["api_name"], "External_ID");
    assert_eq!(item["details"]["id"], id.to_string());
    assert_eq!(
        item["details"]["duplicate_record"]["module"]["api_name"],
        "Accounts"
    );
    let both = world.post("Accounts", json!({ "data": [{ "Account_Name": "B", "External_ID": "U2" }, { "Account_Name": "C", "External_ID": "U2" }] }));
    assert_eq!(both.status, 207);
}

#[test]
fn external_fields_name_records() {
    let mut world = World::new();
    let id = world.add(
        "Accounts",
        json!({ "Account_Name": "A", "Partner_Reference": "P/1" }),
    );
    let header = ("X-EXTERNAL", "Accounts.Partner_Reference");
    let found =
        world.send(Request::new(Method::GET, "/crm/v8/Accounts/P 2").header(header.0, header.1));
    assert_eq!(found.status, 204);
    let listed =
        world.send(Request::get("/crm/v8/Accounts?fields=id&ids=P/1").header(header.0, header.1));
    assert_eq!(crate::ids_of(&listed), [id]);
    let put = |record: Value| {
        Request::new(Method::PUT, "/crm/v8/Accounts")
            .header(header.0, header.1)
            .json(&json!({ "data": [record] }))
    };
    let item = first(&world.send(put(json!({ "Partner_Reference": "P/1", "Phone": "9" }))));
    assert_eq!(item["details"]["Partner_Reference"], "P/1");
    assert_eq!(world.raw("Accounts", id)["Phone"], "9");
    assert_eq!(
        first(&world.send(put(json!({ "Partner_Reference": "nobody" }))))["code"],
        "INVALID_DATA"
    );
    let duplicate = first(&world.post(
        "Accounts",
        json!({ "data": [{ "Account_Name": "B", "Partner_Reference": "P/1" }] }),
    ));
    assert_eq!(duplicate["code"], "DUPLICATE_DATA");
    let other =
        world.send(Request::get("/crm/v8/Accounts/x").header("X-EXTERNAL", "Accounts.External_ID"));
    refused(&other, 400, "INVALID_DATA");
}

#[test]
fn changing_the_external_field_through_itself_is_not_allowed() {
    let mut world = World::new();
    world.add(
        "Accounts",
        json!({ "Account_Name": "A", "Partner_Reference": "P1" }),
    );
    let request = Request::new(Method::PUT, "/crm/v8/Accounts/P1")
        .header("X-EXTERNAL", "Accounts.Partner_Reference");
    let answer = world.send(request.json(&json!({ "data": [{ "Partner_Reference": "P2" }] })));
    assert_eq!(first(&answer)["code"], "NOT_ALLOWED");
}
