//! Lists, single records and deleted records.

use crate::{World, ids_of, refused};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use zoho_sim::{OrganisationSpec, Request};

#[test]
fn a_list_has_rows_and_info() {
    let mut world = World::new();
    let answer = world.get("Accounts?fields=Account_Name,Owner,Modified_Time&per_page=5");
    let body = answer.value();
    let ids = ids_of(&answer);
    assert_eq!(ids.len(), 5);
    assert!(
        ids.windows(2).all(|pair| pair[0] > pair[1]),
        "newest ids first"
    );
    assert!(ids.iter().all(|id| id.to_string().len() == 19));
    let row = &body["data"][0];
    assert!(
        row["Owner"]["name"].is_string()
            && row["Owner"]["email"].is_string()
            && row["Owner"]["id"].is_string()
    );
    let modified = row["Modified_Time"].as_str().unwrap();
    assert_eq!(
        modified.len(),
        "2026-01-01T00:00:00-05:00".len(),
        "{modified}"
    );
    assert_eq!(body["info"]["count"], 5);
    assert_eq!(body["info"]["more_records"], true);
    assert_eq!(body["info"]["sort_by"], "id");
    assert_eq!(body["info"]["sort_order"], "desc");
    assert!(body["info"]["next_page_token"].is_string());
    assert_eq!(answer.header("Date"), Some("Tue, 10 Mar 2026 12:00:00 GMT"));
}

#[test]
fn times_are_in_the_zone_of_the_tokens_user() {
    for (zone, offset) in [
        ("Asia/Kolkata", "+05:30"),
        ("-03:00", "-03:00"),
        ("UTC", "+00:00"),
    ] {
        let mut world = World::of(OrganisationSpec {
            time_zone: zone.to_owned(),
            ..OrganisationSpec::small(1)
        });
        let body = world
            .get("Accounts?fields=Modified_Time&per_page=1")
            .value();
        assert!(
            body["data"][0]["Modified_Time"]
                .as_str()
                .unwrap()
                .ends_with(offset),
            "{zone}"
        );
    }
}

#[test]
fn every_wrong_list_has_its_error() {
    let mut world = World::new();
    let many = vec!["Account_Name"; 51].join(",");
    let view = world.get("settings/custom_views?module=Accounts").value()["custom_views"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let cases = [
        (
            "Accounts".to_owned(),
            400,
            "REQUIRED_PARAM_MISSING",
            json!({ "param_name": "fields" }),
        ),
        (
            format!("Accounts?fields={many}"),
            400,
            "LIMIT_EXCEEDED",
            json!({ "limit": 50, "param_name": "fields" }),
        ),
        (
            "Nothing?fields=id".to_owned(),
            400,
            "INVALID_MODULE",
            Value::Null,
        ),
        (
            "Accounts?fields=id&sort_by=Account_Name".to_owned(),
            400,
            "INVALID_DATA",
            json!({ "param_name": "sort_by", "supported_values": ["id", "Created_Time", "Modified_Time"] }),
        ),
        (
            "Accounts?fields=id&sort_order=up".to_owned(),
            400,
            "INVALID_DATA",
            Value::Null,
        ),
        (
            "Accounts?fields=id&page=1&page_token=x".to_owned(),
            400,
            "AMBIGUITY_DURING_PROCESSING",
            Value::Null,
        ),
        (
            format!("Accounts?fields=id&cvid={view}&sort_by=id"),
            400,
            "AMBIGUITY_DURING_PROCESSING",
            Value::Null,
        ),
        (
            "Accounts?fields=id&page=11".to_owned(),
            400,
            "DISCRETE_PAGINATION_LIMIT_EXCEEDED",
            Value::Null,
        ),
        (
            "Accounts?fields=id&per_page=201".to_owned(),
            400,
            "INVALID_DATA",
            Value::Null,
        ),
        (
            "Accounts?fields=id&page=0".to_owned(),
            400,
            "INVALID_DATA",
            Value::Null,
        ),
        (
            "Accounts?fields=id&page_token=x".to_owned(),
            400,
            "INVALID_DATA",
            Value::Null,
        ),
        (
            "Accounts/x/y/z".to_owned(),
            404,
            "INVALID_URL_PATTERN",
            Value::Null,
        ),
        (
            "Accounts/notanid".to_owned(),
            400,
            "INVALID_DATA",
            Value::Null,
        ),
    ];
    for (target, status, code, details) in cases {
        let found = refused(&world.get(&target), status, code);
        if !details.is_null() {
            assert_eq!(found, details, "{target}");
        }
    }
    let far = u64::MAX;
    refused(
        &world.get(&format!("Accounts?fields=id&page={far}")),
        400,
        "DISCRETE_PAGINATION_LIMIT_EXCEEDED",
    );
    assert_eq!(
        world.get(&format!("users?type=AllUsers&page={far}")).status,
        204
    );
    refused(
        &world.coql(&format!(
            "select id from Accounts where id is not null limit {far} offset {far}"
        )),
        400,
        "LIMIT_EXCEEDED",
    );
    let old = world.send(Request::get("/crm/v2/Accounts"));
    refused(&old, 400, "API_NOT_SUPPORTED");
    refused(
        &world.write(http::Method::PATCH, "Accounts", json!({})),
        400,
        "INVALID_REQUEST_METHOD",
    );
    let bad = world.since("Accounts?fields=id", "yesterday");
    refused(&bad, 400, "INVALID_DATA");
}

fn walk(world: &mut World, target: &str) -> Vec<u64> {
    let mut seen = ids_of(&world.get(target));
    let mut answer = world.get(target);
    while let Some(token) = answer.value()["info"]["next_page_token"].as_str() {
        answer = world.get(&format!("{target}&page_token={token}"));
        assert_eq!(answer.status, 200);
        seen.extend(ids_of(&answer));
    }
    seen
}

#[test]
fn a_walk_by_token_sees_every_record_once() {
    let mut world = World::of(OrganisationSpec {
        accounts: 100,
        ..OrganisationSpec::default()
    });
    for sort in [
        "",
        "&sort_by=id&sort_order=asc",
        "&sort_by=Modified_Time",
        "&sort_by=Modified_Time&sort_order=asc",
        "&sort_by=Created_Time&sort_order=asc",
        "&sort_by=Created_Time",
    ] {
        for per_page in [7, 100, 200] {
            let seen = walk(
                &mut world,
                &format!("Contacts?fields=id&per_page={per_page}{sort}"),
            );
            let set: BTreeSet<u64> = seen.iter().copied().collect();
            assert_eq!(set.len(), seen.len(), "{sort} {per_page}");
            assert_eq!(
                set,
                world.ids("Contacts").into_iter().collect(),
                "{sort} {per_page}"
            );
        }
    }
}

#[test]
fn a_walk_by_number_sees_every_record_once() {
    let mut world = World::new();
    let (mut seen, mut page) = (Vec::new(), 1);
    loop {
        let answer = world.get(&format!(
            "Contacts?fields=id&per_page=30&page={page}&sort_order=asc"
        ));
        if answer.status == 204 {
            break;
        }
        seen.extend(ids_of(&answer));
        page += 1;
    }
    assert_eq!(seen, world.ids("Contacts"));
}

#[test]
fn a_page_token_is_bound_and_dies() {
    let mut world = World::new();
    let token = world.get("Contacts?fields=id&per_page=10").value()["info"]["next_page_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let other = world.get(&format!(
        "Contacts?fields=id,Email&per_page=10&page_token={token}"
    ));
    refused(&other, 400, "TOKEN_BOUND_DATA_MISMATCH");
    world.pass(24 * 3600);
    world.token = world.token_with(&crate::SCOPES);
    let late = world.get(&format!(
        "Contacts?fields=id&per_page=10&page_token={token}"
    ));
    refused(&late, 400, "EXPIRED_VALUE");
}

#[test]
fn a_conditional_read_is_inclusive_and_304_has_no_body() {
    let mut world = World::new();
    let id = world.ids("Accounts")[3];
    world.pass(60);
    world.edit("Accounts", id, json!({ "Phone": "123" }));
    let at = world.raw("Accounts", id)["Modified_Time"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(ids_of(&world.since("Accounts?fields=Phone", &at)), [id]);
    assert_eq!(
        ids_of(&world.since("Accounts?fields=Phone&sort_by=Modified_Time", &at)),
        [id]
    );
    world.pass(1);
    let later = world.since("Accounts?fields=Phone", "2026-03-10T08:01:01-04:00");
    assert_eq!((later.status, later.body.len()), (304, 0));
    let http_date = world.since("Accounts?fields=Phone", "Tue, 10 Mar 2026 12:01:00 GMT");
    assert_eq!(ids_of(&http_date), [id]);
}

#[test]
fn nothing_at_all_is_204() {
    let mut world = World::of(OrganisationSpec {
        tasks: Some(0),
        ..OrganisationSpec::small(1)
    });
    let answer = world.get("Tasks?fields=Subject");
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    assert_eq!(
        world
            .since("Tasks?fields=Subject", "2020-01-01T00:00:00Z")
            .status,
        204
    );
    assert_eq!(world.get("Accounts/4000000000000000001").status, 204);
}

#[test]
fn only_a_single_record_shows_subforms_and_multi_select_lookups() {
    let mut world = World::new();
    let contacts = world.ids("Contacts");
    let id = world.add(
        "Accounts",
        json!({
            "Account_Name": "Complete",
            "Installed_Products": [{ "Product": "Pump", "Quantity": 2, "Price": 9.5 }],
            "Decision_Makers": [{ "Decision_Makers": { "id": contacts[0].to_string() } }],
            "Interests": ["Hardware", "Support"],
            "Notes_Rich": "x".repeat(600),
        }),
    );
    let one = world.get(&format!("Accounts/{id}")).value()["data"][0].clone();
    assert_eq!(one["Installed_Products"][0]["Product"], "Pump");
    assert!(one["Installed_Products"][0]["id"].is_string());
    assert_eq!(
        one["Decision_Makers"][0]["Decision_Makers"]["id"],
        contacts[0].to_string()
    );
    assert_eq!(one["Notes_Rich"].as_str().unwrap().len(), 600);
    let list = world.get(&format!(
        "Accounts?ids={id}&fields=Installed_Products,Decision_Makers,Interests,Notes_Rich"
    ));
    let row = list.value()["data"][0].clone();
    assert!(row.get("Installed_Products").is_none() && row.get("Decision_Makers").is_none());
    assert_eq!(row["Interests"], json!(["Hardware", "Support"]));
    assert_eq!(row["Notes_Rich"].as_str().unwrap().len(), 500);
}

#[test]
fn an_empty_picklist_is_null() {
    let mut world = World::new();
    let id = world.add(
        "Accounts",
        json!({ "Account_Name": "A", "Customer_Status": "-None-" }),
    );
    assert_eq!(world.raw("Accounts", id)["Customer_Status"], Value::Null);
}

#[test]
fn a_hidden_field_is_absent_everywhere() {
    let mut world = World::new();
    world
        .zoho
        .hide_field(world.org, "Accounts", "Modified_Time", true)
        .unwrap();
    let row = world
        .get("Accounts?fields=Account_Name,Modified_Time")
        .value()["data"][0]
        .clone();
    assert!(row.get("Modified_Time").is_none() && row.get("Account_Name").is_some());
    let fields = world.get("settings/fields?module=Accounts").value();
    assert!(
        fields["fields"]
            .as_array()
            .unwrap()
            .iter()
            .all(|field| field["api_name"] != "Modified_Time")
    );
    let query = world.coql("select Modified_Time from Accounts where id is not null");
    assert_eq!(
        refused(&query, 400, "INVALID_QUERY")["column_name"],
        "Modified_Time"
    );
}

#[test]
fn computed_fields_move_without_modified_time() {
    let mut world = World::new();
    let account = world.add("Accounts", json!({ "Account_Name": "A" }));
    let before = world.raw("Accounts", account);
    world.add("Deals", json!({ "Deal_Name": "D", "Stage": "Qualification", "Amount": 12.5, "Account_Name": { "id": account.to_string() } }));
    world.pass(3 * 86_400);
    let after = world.raw("Accounts", account);
    assert_eq!(
        (before["Deal_Count"].clone(), after["Deal_Count"].clone()),
        (json!(0), json!(1))
    );
    assert_eq!(after["Deal_Total"], 12.5);
    assert_eq!(
        (before["Age_In_Days"].clone(), after["Age_In_Days"].clone()),
        (json!(0), json!(3))
    );
    assert_eq!(before["Modified_Time"], after["Modified_Time"]);
}

#[test]
fn deleted_records_are_listed_until_restored() {
    let mut world = World::new();
    assert_eq!(world.get("Accounts/deleted").status, 204);
    let id = world.ids("Accounts")[0];
    let before = world.raw("Accounts", id);
    assert_eq!(
        world
            .write(
                http::Method::DELETE,
                &format!("Accounts?ids={id}"),
                json!({})
            )
            .status,
        200
    );
    let row = world.get("Accounts/deleted").value()["data"][0].clone();
    assert_eq!(row["id"], id.to_string());
    assert_eq!(row["type"], "recycle");
    assert_eq!(row["display_name"], before["Account_Name"]);
    assert_eq!(world.get("Accounts/deleted?type=permanent").status, 204);
    assert_eq!(
        refused(
            &world.get("Accounts/deleted?type=old"),
            400,
            "PATTERN_NOT_MATCHED"
        )["param_name"],
        "type"
    );
    assert_eq!(
        world
            .since("Accounts/deleted", "2026-03-10T12:00:00Z")
            .status,
        200
    );
    assert_eq!(
        world
            .since("Accounts/deleted", "2026-03-10T12:00:01Z")
            .status,
        304
    );
    world.pass(100);
    world.zoho.restore(world.org, "Accounts", id).unwrap();
    assert_eq!(world.get("Accounts/deleted").status, 204);
    assert_eq!(
        world.raw("Accounts", id)["Modified_Time"],
        before["Modified_Time"]
    );
    world
        .zoho
        .delete(world.org, "Accounts", id, true, None, world.now)
        .unwrap();
    let row = world.get("Accounts/deleted").value()["data"][0].clone();
    assert_eq!(
        (
            row["type"].as_str(),
            &row["display_name"],
            &row["deleted_by"]
        ),
        (Some("permanent"), &Value::Null, &Value::Null)
    );
    assert!(row["deleted_time"].is_string());
}

#[test]
fn the_deleted_list_forgets() {
    let mut world = World::new();
    let id = world.ids("Accounts")[0];
    world
        .zoho
        .delete(world.org, "Accounts", id, false, None, world.now)
        .unwrap();
    world.pass(61 * 86_400);
    world.token = world.token_with(&crate::SCOPES);
    assert_eq!(
        world.get("Accounts/deleted").value()["data"][0]["type"],
        "permanent"
    );
    world.pass(60 * 86_400);
    world.token = world.token_with(&crate::SCOPES);
    assert_eq!(world.get("Accounts/deleted").status, 204);
}

#[test]
fn related_lists_and_views_and_counts() {
    let mut world = World::new();
    let account = world.add(
        "Accounts",
        json!({ "Account_Name": "Mother", "Customer_Status": "Active" }),
    );
    let child = world.add(
        "Accounts",
        json!({ "Account_Name": "Child", "Parent_Account": { "id": account.to_string() } }),
    );
    let contact = world.add(
        "Contacts",
        json!({ "Last_Name": "C", "Account_Name": { "id": account } }),
    );
    let task = world.add(
        "Tasks",
        json!({ "Subject": "T", "What_Id": { "id": account }, "$se_module": "Accounts" }),
    );
    for (list, id) in [
        ("Member_Accounts", child),
        ("Contacts", contact),
        ("Tasks", task),
    ] {
        assert_eq!(
            ids_of(&world.get(&format!("Accounts/{account}/{list}?fields=id"))),
            [id],
            "{list}"
        );
    }
    assert_eq!(
        world
            .get(&format!("Accounts/{account}/Deals?fields=id"))
            .status,
        204
    );
    refused(
        &world.get(&format!("Accounts/{account}/Contacts")),
        400,
        "REQUIRED_PARAM_MISSING",
    );
    let views = world.get("settings/custom_views?module=Accounts").value();
    let active = views["custom_views"]
        .as_array()
        .unwrap()
        .iter()
        .find(|view| view["name"] == "Active Customers")
        .unwrap()["id"]
        .clone();
    let active = active.as_str().unwrap();
    let listed = ids_of(&world.get(&format!("Accounts?fields=id&cvid={active}")));
    let counted = world
        .get(&format!("Accounts/actions/count?cvid={active}"))
        .value()["count"]
        .as_u64()
        .unwrap();
    assert!(listed.contains(&account) && !listed.contains(&child));
    assert_eq!(listed.len() as u64, counted);
    assert_eq!(
        world.get("Accounts/actions/count").value()["count"],
        world.ids("Accounts").len()
    );
}
