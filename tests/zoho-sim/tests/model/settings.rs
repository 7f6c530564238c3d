//! Metadata and users.

use crate::{World, refused};
use serde_json::Value;
use std::collections::BTreeSet;

#[test]
fn the_organisation_tells_about_itself() {
    let mut world = World::new();
    let org = world.get("org").value()["org"][0].clone();
    assert_eq!(org["id"], org["zgid"]);
    assert_eq!(org["time_zone"], "America/New_York");
    assert_eq!(org["license_details"]["paid_type"], "enterprise");
    assert_eq!(org["mc_status"], false);
}

#[test]
fn modules_can_be_switched_off() {
    let mut world = World::new();
    let names = |body: Value| -> Vec<String> {
        body["modules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|module| module["api_name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        names(world.get("settings/modules").value()),
        ["Accounts", "Contacts", "Deals", "Tasks"]
    );
    world.zoho.disable_module(world.org, "Tasks", true).unwrap();
    assert_eq!(
        names(world.get("settings/modules").value()),
        ["Accounts", "Contacts", "Deals"]
    );
    refused(&world.get("Tasks?fields=Subject"), 400, "INVALID_MODULE");
    refused(
        &world.coql("select id from Tasks where id is not null"),
        400,
        "INVALID_MODULE",
    );
    assert_eq!(
        world.get("settings/modules/Deals").value()["modules"][0]["api_name"],
        "Deals"
    );
}

#[test]
fn fields_of_every_type_are_described() {
    let mut world = World::new();
    let mut types = BTreeSet::new();
    for module in ["Accounts", "Contacts", "Deals", "Tasks"] {
        let body = world
            .get(&format!("settings/fields?module={module}"))
            .value();
        for field in body["fields"].as_array().unwrap() {
            types.insert(field["data_type"].as_str().unwrap().to_owned());
            for key in [
                "id",
                "api_name",
                "json_type",
                "length",
                "read_only",
                "field_read_only",
                "operation_type",
                "unique",
                "lookup",
            ] {
                assert!(field.get(key).is_some(), "{key}");
            }
        }
    }
    for wanted in [
        "text",
        "textarea",
        "email",
        "phone",
        "website",
        "picklist",
        "multiselectpicklist",
        "date",
        "datetime",
        "integer",
        "bigint",
        "double",
        "currency",
        "percent",
        "boolean",
        "lookup",
        "ownerlookup",
        "userlookup",
        "multi_module_lookup",
        "multiselectlookup",
        "subform",
        "formula",
        "rollup_summary",
        "autonumber",
    ] {
        assert!(types.contains(wanted), "{wanted}");
    }
    let body = world.get("settings/fields?module=Accounts").value();
    let field = |name: &str| {
        body["fields"]
            .as_array()
            .unwrap()
            .iter()
            .find(|field| field["api_name"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(
        field("Customer_Status")["pick_list_values"][0]["actual_value"],
        "-None-"
    );
    assert_eq!(
        field("Parent_Account")["lookup"]["module"]["api_name"],
        "Accounts"
    );
    assert_eq!(field("External_ID")["unique"], serde_json::json!({}));
    assert_eq!(field("Partner_Reference")["external"]["type"], "org");
    assert_eq!(field("Age_In_Days")["operation_type"]["api_update"], false);
    assert_eq!(field("Account_Name")["system_mandatory"], true);
    refused(&world.get("settings/fields"), 400, "REQUIRED_PARAM_MISSING");
    refused(
        &world.get("settings/fields?module=Nothing"),
        400,
        "INVALID_MODULE",
    );
    assert_eq!(
        world.get("settings/layouts?module=Deals").value()["layouts"][0]["status"],
        "active"
    );
    assert_eq!(
        world.get("settings/related_lists?module=Accounts").value()["related_lists"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
}

#[test]
fn users_by_type_and_page() {
    let mut world = World::new();
    let count = |world: &mut World, kind: &str| {
        let answer = world.get(&format!("users?type={kind}"));
        answer.value()["users"].as_array().map_or(0, Vec::len)
    };
    let all = count(&mut world, "AllUsers");
    assert_eq!(all, 12);
    let (active, deleted) = (
        count(&mut world, "ActiveUsers"),
        count(&mut world, "DeletedUsers"),
    );
    assert!(active >= 3 && deleted >= 1 && count(&mut world, "DeactiveUsers") >= 1);
    assert_eq!(count(&mut world, "CurrentUser"), 1);
    assert_eq!(count(&mut world, "AdminUsers"), 2);
    let page = world.get("users?type=AllUsers&per_page=5&page=3").value();
    assert_eq!(
        (
            page["info"]["count"].as_u64(),
            page["info"]["more_records"].as_bool()
        ),
        (Some(2), Some(false))
    );
    assert_eq!(
        world.get("users?type=AllUsers&per_page=5&page=4").status,
        204
    );
    assert_eq!(
        world
            .since("users?type=AllUsers", "2099-01-01T00:00:00Z")
            .status,
        304
    );
    refused(&world.get("users?type=Strange"), 400, "PATTERN_NOT_MATCHED");
    let user = page["users"][0].clone();
    for key in [
        "id",
        "full_name",
        "last_name",
        "email",
        "status",
        "confirm",
        "created_time",
        "Modified_Time",
        "profile",
        "role",
        "time_zone",
    ] {
        assert!(user.get(key).is_some(), "{key}");
    }
    let id = user["id"].as_str().unwrap().to_owned();
    assert_eq!(
        world.get(&format!("users/{id}")).value()["users"][0]["id"],
        id.as_str()
    );
}
