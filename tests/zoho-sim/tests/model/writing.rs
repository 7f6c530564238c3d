//! Insert, update, upsert and delete.

use crate::{World, refused};
use http::Method;
use serde_json::{Value, json};
use zoho_sim::org::schema::Alteration;
use zoho_sim::{OrganisationSpec, RecordFlags, Request};

pub(crate) fn first(answer: &zoho_sim::Answer) -> Value {
    answer.value()["data"][0].clone()
}

#[test]
fn statuses_follow_the_items() {
    let mut world = World::new();
    let (good, bad) = (json!({ "Account_Name": "A" }), json!({ "Phone": "1" }));
    let all = world.post("Accounts", json!({ "data": [good, good] }));
    assert_eq!(all.status, 201);
    assert_eq!(first(&all)["code"], "SUCCESS");
    assert_eq!(first(&all)["message"], "record added");
    assert_eq!(
        first(&all)["details"]["Modified_Time"],
        "2026-03-10T08:00:00-04:00"
    );
    let mixed = world.post("Accounts", json!({ "data": [bad, good] }));
    assert_eq!(mixed.status, 207);
    assert_eq!(mixed.value()["data"][0]["code"], "MANDATORY_NOT_FOUND");
    assert_eq!(
        mixed.value()["data"][0]["details"],
        json!({ "api_name": "Account_Name", "json_path": "$.data[0].Account_Name" })
    );
    assert_eq!(mixed.value()["data"][1]["code"], "SUCCESS");
    let none = world.post("Accounts", json!({ "data": [bad, bad] }));
    assert_eq!(none.status, 400);
    assert_eq!(none.value()["data"].as_array().unwrap().len(), 2);
}

#[test]
fn whole_calls_are_refused_flat() {
    let mut world = World::new();
    let many: Vec<Value> = (0..101).map(|_| json!({ "Account_Name": "A" })).collect();
    refused(
        &world.post("Accounts", json!({ "data": many })),
        400,
        "LIMIT_EXCEEDED",
    );
    refused(
        &world.post("Accounts", json!({})),
        400,
        "MANDATORY_NOT_FOUND",
    );
    refused(
        &world.post("Accounts", json!({ "data": {} })),
        400,
        "INVALID_DATA",
    );
    let broken = world.send(Request {
        body: b"{".to_vec(),
        ..Request::new(Method::POST, "/crm/v8/Accounts")
    });
    refused(&broken, 400, "INVALID_DATA");
    refused(
        &world.write(Method::DELETE, "Accounts", json!({})),
        400,
        "REQUIRED_PARAM_MISSING",
    );
}

#[test]
fn every_wrong_value_has_its_error() {
    let mut world = World::new();
    let deleted_user = world
        .zoho
        .organisation(world.org)
        .unwrap()
        .users
        .keys()
        .last()
        .copied()
        .unwrap();
    for (field, value, detail) in [
        (
            "Account_Name",
            json!("x".repeat(256)),
            json!({ "maximum_length": 255 }),
        ),
        (
            "Account_Name",
            json!(5),
            json!({ "expected_data_type": "text" }),
        ),
        (
            "Employees",
            json!("five"),
            json!({ "expected_data_type": "integer" }),
        ),
        (
            "Employees",
            json!(1_000_000_000),
            json!({ "maximum_length": 9 }),
        ),
        (
            "Account_Number",
            json!("12x"),
            json!({ "expected_data_type": "bigint" }),
        ),
        (
            "Annual_Revenue",
            json!(true),
            json!({ "expected_data_type": "double" }),
        ),
        (
            "Contract_Start",
            json!("10.03.2026"),
            json!({ "expected_data_type": "date" }),
        ),
        (
            "Last_Audit",
            json!("2026-03-10"),
            json!({ "expected_data_type": "datetime" }),
        ),
        (
            "Key_Account",
            json!("yes"),
            json!({ "expected_data_type": "boolean" }),
        ),
        (
            "Interests",
            json!("Hardware"),
            json!({ "expected_data_type": "jsonarray" }),
        ),
        (
            "Support_Email",
            json!("nobody"),
            json!({ "expected_data_type": "email" }),
        ),
        (
            "Parent_Account",
            json!({ "id": "4000000000000000001" }),
            json!({}),
        ),
        ("Owner", json!({ "id": "4000000000000000001" }), json!({})),
        (
            "Owner",
            json!({ "id": deleted_user.to_string() }),
            json!({}),
        ),
        (
            "Decision_Makers",
            json!([{ "Decision_Makers": { "id": "1" } }]),
            json!({}),
        ),
    ] {
        let mut record = json!({ "Account_Name": "A" });
        record[field] = value.clone();
        let answer = world.post("Accounts", json!({ "data": [record] }));
        let item = first(&answer);
        assert_eq!(
            (answer.status, item["code"].as_str()),
            (400, Some("INVALID_DATA")),
            "{field} {value}"
        );
        assert_eq!(item["details"]["api_name"], field);
        assert_eq!(item["details"]["json_path"], format!("$.data[0].{field}"));
        for (name, expected) in detail.as_object().unwrap() {
            assert_eq!(&item["details"][name], expected, "{field} {value}");
        }
    }
    let stage = first(&world.post(
        "Deals",
        json!({ "data": [{ "Deal_Name": "D", "Stage": "Nowhere" }] }),
    ));
    assert_eq!(stage["code"], "INVALID_DATA");
    assert!(stage["details"]["supported_values"].is_array());
}

#[test]
fn unknown_and_read_only_fields_are_ignored() {
    let mut world = World::new();
    let id = world.add(
        "Accounts",
        json!({
            "Account_Name": "A", "No_Such_Field": 1, "Age_In_Days": 99, "Serial": "Z", "Created_Time": "2001-01-01T00:00:00Z",
            "Modified_Time": "2001-01-01T00:00:00Z",
        }),
    );
    let raw = world.raw("Accounts", id);
    assert_eq!(raw["Age_In_Days"], 0);
    assert!(raw["Serial"].as_str().unwrap().starts_with("A-"));
    assert_eq!(raw["Created_Time"], "2026-03-10T12:00:00+00:00");
    assert!(raw.get("No_Such_Field").is_none());
}

#[test]
fn an_update_is_partial_and_null_clears() {
    let mut world = World::new();
    let parent = world.ids("Accounts")[0];
    let id = world.add("Accounts", json!({ "Account_Name": "A", "Phone": "1", "Website": "w", "Parent_Account": { "id": parent } }));
    world.pass(5);
    let answer = world.put(
        "Accounts",
        json!({ "data": [{ "id": id.to_string(), "Phone": null, "Parent_Account": null }] }),
    );
    assert_eq!(
        (answer.status, first(&answer)["message"].as_str()),
        (200, Some("record updated"))
    );
    assert_eq!(
        first(&answer)["details"]["Modified_Time"],
        "2026-03-10T08:00:05-04:00"
    );
    let raw = world.raw("Accounts", id);
    assert_eq!(
        (
            &raw["Phone"],
            &raw["Parent_Account"],
            raw["Website"].as_str()
        ),
        (&Value::Null, &Value::Null, Some("w"))
    );
    let by_path = world.put(
        &format!("Accounts/{id}"),
        json!({ "data": [{ "Phone": "2" }] }),
    );
    assert_eq!(by_path.status, 200);
    assert_eq!(world.raw("Accounts", id)["Phone"], "2");
    let mandatory = world.put(
        &format!("Accounts/{id}"),
        json!({ "data": [{ "Account_Name": null }] }),
    );
    assert_eq!(first(&mandatory)["code"], "MANDATORY_NOT_FOUND");
    let unknown = world.put(
        "Accounts",
        json!({ "data": [{ "id": "4000000000000000001", "Phone": "2" }] }),
    );
    assert_eq!(
        (unknown.status, first(&unknown)["code"].as_str()),
        (400, Some("INVALID_DATA"))
    );
    let without = world.put("Accounts", json!({ "data": [{ "Phone": "2" }] }));
    assert_eq!(first(&without)["code"], "MANDATORY_NOT_FOUND");
}

#[test]
fn the_official_sdks_way_of_writing_is_accepted() {
    let mut world = World::new();
    let parent = world.ids("Accounts")[0];
    let body = json!({ "data": [{ "Account_Name": "A", "Parent_Account": { "id": parent }, "Account_Number": 123456789012_u64 }] });
    let request = Request {
        body: body.to_string().into_bytes(),
        ..Request::new(Method::POST, "/crm/v8/Accounts")
    };
    let answer = world.send(request);
    assert_eq!(answer.status, 201);
    let id = first(&answer)["details"]["id"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(
        world.raw("Accounts", id)["Parent_Account"]["id"],
        parent.to_string()
    );
    assert_eq!(world.raw("Accounts", id)["Account_Number"], "123456789012");
}

#[test]
fn a_name_alone_links_the_record_of_that_name() {
    let mut world = World::new();
    let account = world.add("Accounts", json!({ "Account_Name": "Only One" }));
    let contact = world.add(
        "Contacts",
        json!({ "Last_Name": "C", "Account_Name": { "name": "Only One" } }),
    );
    assert_eq!(
        world.raw("Contacts", contact)["Account_Name"]["id"],
        account.to_string()
    );
}

#[test]
fn tasks_need_the_module_of_what_they_are_about() {
    let mut world = World::new();
    let (account, deal) = (world.ids("Accounts")[0], world.ids("Deals")[0]);
    let mut code = |value: Value| {
        first(&world.post("Tasks", json!({ "data": [value] })))["code"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        code(json!({ "Subject": "T", "What_Id": account })),
        "DEPENDENT_FIELD_MISSING"
    );
    assert_eq!(
        code(json!({ "Subject": "T", "What_Id": account, "$se_module": "Deals" })),
        "INVALID_DATA"
    );
    assert_eq!(
        code(json!({ "Subject": "T", "What_Id": account, "$se_module": "Contacts" })),
        "INVALID_DATA"
    );
    assert_eq!(
        code(json!({ "Subject": "T", "What_Id": deal, "$se_module": "Deals" })),
        "SUCCESS"
    );
    assert_eq!(code(json!({ "Subject": "T" })), "SUCCESS");
    assert_eq!(
        code(json!({ "What_Id": deal, "$se_module": "Deals" })),
        "MANDATORY_NOT_FOUND"
    );
}

#[test]
fn zoho_writes_when_a_task_was_closed() {
    let mut world = World::new();
    let id = world.add(
        "Tasks",
        json!({ "Subject": "T", "Status": "Not Started", "Closed_Time": "2001-01-01T00:00:00Z" }),
    );
    assert_eq!(world.raw("Tasks", id)["Closed_Time"], Value::Null);
    world.pass(60);
    world.put(
        &format!("Tasks/{id}"),
        json!({ "data": [{ "Status": "Completed" }] }),
    );
    assert_eq!(
        world.raw("Tasks", id)["Closed_Time"],
        "2026-03-10T12:01:00+00:00"
    );
    world.put(
        &format!("Tasks/{id}"),
        json!({ "data": [{ "Status": "In Progress" }] }),
    );
    assert_eq!(world.raw("Tasks", id)["Closed_Time"], Value::Null);
}

#[test]
fn a_newer_record_is_not_overwritten() {
    let mut world = World::new();
    let id = world.add("Accounts", json!({ "Account_Name": "A" }));
    world.pass(10);
    let put = |time: &str| {
        Request::new(Method::PUT, "/crm/v8/Accounts")
            .header("If-Unmodified-Since", time)
            .json(&json!({ "data": [{ "id": id.to_string(), "Phone": "1" }] }))
    };
    let late = world.send(put("2026-03-10T11:59:59Z"));
    assert_eq!(
        (late.status, first(&late)["code"].as_str()),
        (412, Some("ALREADY_MODIFIED"))
    );
    assert_eq!(first(&late)["details"]["id"], id.to_string());
    assert_eq!(world.raw("Accounts", id)["Phone"], Value::Null);
    assert_eq!(world.send(put("2026-03-10T07:00:00-05:00")).status, 200);
}

#[test]
fn locks_blueprints_and_approvals_stop_single_records() {
    let mut world = World::new();
    let id = world.ids("Accounts")[0];
    let mut code = |flags: RecordFlags, record: Value| {
        world.zoho.flag(world.org, "Accounts", id, flags).unwrap();
        let answer = world.put(&format!("Accounts/{id}"), json!({ "data": [record] }));
        first(&answer)["code"].as_str().unwrap().to_owned()
    };
    let phone = json!({ "Phone": "1" });
    assert_eq!(
        code(
            RecordFlags {
                locked: Some(true),
                ..RecordFlags::default()
            },
            phone.clone()
        ),
        "RECORD_LOCKED"
    );
    let next = RecordFlags {
        locked: Some(false),
        approval: Some(true),
        ..RecordFlags::default()
    };
    assert_eq!(code(next, phone.clone()), "NOT_APPROVED");
    let next = RecordFlags {
        approval: Some(false),
        blueprint: Some(true),
        ..RecordFlags::default()
    };
    assert_eq!(code(next, phone), "SUCCESS");
    assert_eq!(
        code(
            RecordFlags::default(),
            json!({ "Customer_Status": "Churned" })
        ),
        "RECORD_IN_BLUEPRINT"
    );
}

#[test]
fn zoho_alters_values_when_told_to() {
    let mut world = World::new();
    for (field, alteration) in [
        ("Account_Name", Alteration::Trim),
        ("Annual_Revenue", Alteration::Round),
        ("Phone", Alteration::NormalisePhone),
    ] {
        world
            .zoho
            .alter_field(world.org, "Accounts", field, Some(alteration))
            .unwrap();
    }
    let id = world.add(
        "Accounts",
        json!({ "Account_Name": "  A  ", "Annual_Revenue": 1.239, "Phone": "+1 (2) 3" }),
    );
    let raw = world.raw("Accounts", id);
    assert_eq!(
        (
            raw["Account_Name"].as_str(),
            raw["Annual_Revenue"].as_f64(),
            raw["Phone"].as_str()
        ),
        (Some("A"), Some(1.24), Some("+123"))
    );
}

#[test]
fn subform_rows_are_updated_appended_and_removed() {
    let mut world = World::new();
    let id = world.add("Accounts", json!({ "Account_Name": "A", "Installed_Products": [{ "Product": "P1" }, { "Product": "P2" }] }));
    let rows = world.raw("Accounts", id)["Installed_Products"].clone();
    let put = |world: &mut World, rows: Value| {
        let answer = world.put(
            &format!("Accounts/{id}"),
            json!({ "data": [{ "Installed_Products": rows }] }),
        );
        assert_eq!(answer.status, 200, "{}", answer.value());
        world.raw("Accounts", id)["Installed_Products"].clone()
    };
    let changed = put(
        &mut world,
        json!([{ "id": rows[0]["id"], "Quantity": 4 }, { "id": rows[1]["id"], "_delete": null }, { "Product": "P3" }]),
    );
    assert_eq!(changed.as_array().unwrap().len(), 2);
    assert_eq!(
        (
            changed[0]["Product"].as_str(),
            changed[0]["Quantity"].as_i64(),
            changed[1]["Product"].as_str()
        ),
        (Some("P1"), Some(4), Some("P3"))
    );
    assert_eq!(put(&mut world, json!([])), Value::Null);
}

#[test]
fn deletes_answer_per_id() {
    let mut world = World::new();
    let ids = world.ids("Accounts");
    let answer = world.write(
        Method::DELETE,
        &format!("Accounts?ids={},4000000000000000001", ids[0]),
        json!({}),
    );
    assert_eq!(answer.status, 207);
    assert_eq!(answer.value()["data"][0]["message"], "record deleted");
    assert_eq!(answer.value()["data"][1]["message"], "record not deleted");
    let again = world.write(Method::DELETE, &format!("Accounts/{}", ids[0]), json!({}));
    assert_eq!(
        (again.status, first(&again)["code"].as_str()),
        (400, Some("INVALID_DATA"))
    );
    assert_eq!(world.get(&format!("Accounts/{}", ids[0])).status, 204);
}

#[test]
fn automations_run_unless_told_not_to() {
    let mut world = World::of(OrganisationSpec::small(3));
    let mut insert = |body: Value| {
        let id: u64 = first(&world.post("Accounts", body))["details"]["id"]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        let kinds = world
            .zoho
            .organisation(world.org)
            .unwrap()
            .automations
            .back()
            .unwrap()
            .kinds
            .len();
        (world.raw("Accounts", id)["Workflow_Runs"].clone(), kinds)
    };
    let data = json!([{ "Account_Name": "A" }]);
    assert_eq!(insert(json!({ "data": data })), (json!(1), 5));
    assert_eq!(
        insert(json!({ "data": data, "trigger": [] })),
        (Value::Null, 0)
    );
    assert_eq!(
        insert(json!({ "data": data, "trigger": ["approval"] })),
        (Value::Null, 1)
    );
    assert_eq!(
        insert(json!({ "data": data, "trigger": ["workflow"] })),
        (json!(1), 1)
    );
}
