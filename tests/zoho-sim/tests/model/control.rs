//! What people do in Zoho, and the generator.

use crate::{World, ids_of, start};
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use zoho_sim::{OrganisationSpec, Request, Zoho};

fn control(world: &mut World, method: Method, target: &str, body: Value) -> (u16, Value) {
    let answer = world
        .zoho
        .control(&Request::with_target(method, target).json(&body), world.now);
    (answer.status, answer.value())
}

#[test]
fn an_edit_moves_modified_time_and_names_its_author() {
    let mut world = World::new();
    let id = world.ids("Accounts")[0];
    let user = world
        .zoho
        .organisation(world.org)
        .unwrap()
        .users
        .keys()
        .nth(2)
        .copied()
        .unwrap();
    world.pass(9);
    let (status, _) = control(
        &mut world,
        Method::PATCH,
        &format!("records/Accounts/{id}"),
        json!({ "values": { "Phone": "5" }, "user": user.to_string() }),
    );
    assert_eq!(status, 200);
    let (_, raw) = control(
        &mut world,
        Method::GET,
        &format!("records/Accounts/{id}"),
        json!({}),
    );
    assert_eq!(
        (raw["Phone"].as_str(), raw["Modified_Time"].as_str()),
        (Some("5"), Some("2026-03-10T12:00:09+00:00"))
    );
    assert_eq!(raw["Modified_By"]["id"], user.to_string());
}

#[test]
fn a_merge_deletes_losers_and_repoints_children_silently() {
    let mut world = World::new();
    let winner = world.add("Accounts", json!({ "Account_Name": "W", "Phone": null }));
    let loser = world.add(
        "Accounts",
        json!({ "Account_Name": "L", "Phone": "7", "Parent_Account": winner }),
    );
    let contact = world.add(
        "Contacts",
        json!({ "Last_Name": "C", "Account_Name": loser }),
    );
    let task = world.add(
        "Tasks",
        json!({ "Subject": "T", "What_Id": loser, "$se_module": "Accounts" }),
    );
    let before = world.raw("Contacts", contact)["Modified_Time"].clone();
    world.pass(60);
    let (status, _) = control(
        &mut world,
        Method::POST,
        &format!("records/Accounts/{winner}/merge"),
        json!({ "losers": [loser.to_string()] }),
    );
    assert_eq!(status, 200);
    assert_eq!(world.raw("Accounts", winner)["Phone"], "7");
    assert_eq!(world.raw("Accounts", winner)["Parent_Account"], Value::Null);
    assert_eq!(
        world.raw("Contacts", contact)["Account_Name"]["id"],
        winner.to_string()
    );
    assert_eq!(
        world.raw("Tasks", task)["What_Id"]["id"],
        winner.to_string()
    );
    assert_eq!(world.raw("Contacts", contact)["Modified_Time"], before);
    assert_eq!(ids_of(&world.get("Accounts/deleted")), [loser]);
    assert_eq!(
        world
            .get(&format!("Accounts/{winner}/Contacts?fields=id"))
            .status,
        200
    );
}

#[test]
fn bulk_edits_exports_and_transfers() {
    let mut world = World::new();
    world.pass(30);
    let (_, edited) = control(
        &mut world,
        Method::PATCH,
        "records/Accounts",
        json!({ "where": "Customer_Status = 'Active'", "values": { "Phone": "42" } }),
    );
    let (_, found) = control(
        &mut world,
        Method::GET,
        "records/Accounts?where=Phone%20%3D%20'42'",
        json!({}),
    );
    assert_eq!(edited["edited"], found["records"].as_array().unwrap().len());
    let users: Vec<u64> = world
        .zoho
        .organisation(world.org)
        .unwrap()
        .users
        .keys()
        .copied()
        .collect();
    let (_, moved) = control(
        &mut world,
        Method::POST,
        &format!("users/{}/transfer", users[1]),
        json!({ "to": users[0].to_string() }),
    );
    assert!(moved["moved"].as_u64().unwrap() > 0);
    let left = world.coql(&format!(
        "select id from Contacts where Owner = {}",
        users[1]
    ));
    assert_eq!(left.status, 204);
}

#[test]
fn control_answers_in_words_when_it_cannot() {
    let mut world = World::new();
    for (method, target, status) in [
        (Method::GET, "records/Nothing", 404),
        (Method::GET, "records/Accounts/1", 404),
        (Method::POST, "records/Accounts/1/restore", 404),
        (Method::GET, "nothing", 400),
        (Method::POST, "organisations", 200),
        (Method::GET, "records/Accounts?org=1", 404),
    ] {
        assert_eq!(
            control(&mut world, method, target, json!({})).0,
            status,
            "{target}"
        );
    }
    let (status, body) = control(
        &mut world,
        Method::POST,
        "records/Accounts",
        json!({ "values": { "Phone": "1" } }),
    );
    assert_eq!(status, 400);
    assert!(
        body["error"]
            .as_str()
            .unwrap()
            .contains("MANDATORY_NOT_FOUND")
    );
}

#[test]
fn organisations_do_not_see_each_other() {
    let mut world = World::new();
    let (_, other) = control(
        &mut world,
        Method::POST,
        "organisations",
        json!({ "dc": "eu", "seed": 9, "accounts": 5, "name": "Other" }),
    );
    let id = other["id"].as_str().unwrap().to_owned();
    let (_, tokens) = control(
        &mut world,
        Method::POST,
        "tokens",
        json!({ "organisation": id, "scopes": ["ZohoCRM.modules.ALL"] }),
    );
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(tokens["api_domain"], "http://sim.test/eu");
    let answer = world.zoho.answer(
        "eu",
        &Request::get("/crm/v8/Accounts?fields=id").token(token),
        world.now,
    );
    let theirs = ids_of(&answer);
    assert_eq!(theirs.len(), 5);
    let ours = world.ids("Accounts");
    assert!(theirs.iter().all(|id| !ours.contains(id)));
    let foreign = world.get(&format!("Accounts/{}", theirs[0]));
    assert_eq!(foreign.status, 204);
}

#[test]
fn settings_clock_and_requests() {
    let mut world = World::new();
    let (_, settings) = control(
        &mut world,
        Method::PATCH,
        "settings",
        json!({ "consent": "accept", "code_life_seconds": 60, "granted_scopes": ["a.b"] }),
    );
    assert_eq!(
        (
            settings["consent"].as_str(),
            settings["code_life_seconds"].as_i64()
        ),
        (Some("accept"), Some(60))
    );
    let (_, settings) = control(
        &mut world,
        Method::PATCH,
        "settings",
        json!({ "granted_scopes": null }),
    );
    assert_eq!(settings["granted_scopes"], Value::Null);
    let (_, clock) = control(
        &mut world,
        Method::POST,
        "clock/advance",
        json!({ "seconds": 3600 }),
    );
    assert_eq!(
        (clock["offset_seconds"].as_i64(), clock["now"].as_str()),
        (Some(3600), Some("2026-03-10T13:00:00.5Z"))
    );
    world.get("Accounts?fields=id");
    let (_, requests) = control(&mut world, Method::GET, "requests?since=0", json!({}));
    assert_eq!(requests["requests"].as_array().unwrap().len(), 1);
    assert_eq!(requests["requests"][0]["rows"], 24);
    control(&mut world, Method::DELETE, "requests", json!({}));
    let (_, requests) = control(&mut world, Method::GET, "requests", json!({}));
    assert_eq!(
        (
            requests["latest"].as_u64(),
            requests["requests"].as_array().unwrap().len()
        ),
        (Some(1), 0)
    );
    let org = world.org.to_string();
    let (_, revoked) = control(
        &mut world,
        Method::POST,
        "revoke",
        json!({ "organisation": org, "refresh_tokens": true }),
    );
    assert_eq!(revoked["revoked"], 2);
    assert_eq!(world.get("Accounts?fields=id").status, 401);
}

#[test]
fn the_same_seed_gives_the_same_organisation() {
    let export = |seed: u64| -> Vec<Value> {
        let mut zoho = Zoho::new(seed, "");
        let org = zoho.add_organisation(&OrganisationSpec::small(seed), start());
        ["Accounts", "Contacts", "Deals", "Tasks"]
            .iter()
            .flat_map(|module| zoho.records(org, module, start()).unwrap())
            .collect()
    };
    assert_eq!(export(5), export(5));
    assert_ne!(export(5), export(6));
}

#[test]
fn the_default_organisation_is_believable() {
    let mut zoho = Zoho::new(1, "");
    let org = zoho.add_organisation(&OrganisationSpec::default(), start());
    let sizes: Vec<usize> = ["Accounts", "Contacts", "Deals", "Tasks"]
        .iter()
        .map(|module| {
            zoho.organisation(org)
                .unwrap()
                .table(module)
                .unwrap()
                .records()
                .len()
        })
        .collect();
    assert_eq!(sizes, [1_200, 5_000, 3_000, 4_000]);
    assert_eq!(zoho.organisation(org).unwrap().users.len(), 40);
    let accounts = zoho.records(org, "Accounts", start()).unwrap();
    let active = accounts
        .iter()
        .filter(|account| account["Customer_Status"] == "Active")
        .count();
    assert!((800..1_000).contains(&active), "{active}");
    assert!(
        accounts
            .iter()
            .any(|account| account["External_ID"].is_null())
    );
    let count = |rows: &[Value], field: &str| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for row in rows {
            if let Some(text) = row[field].as_str() {
                *counts.entry(text.trim().to_lowercase()).or_default() += 1;
            }
        }
        counts.into_values().filter(|count| *count > 1).count()
    };
    assert!(count(&accounts, "External_ID") > 5);
    assert!(
        count(&accounts, "Modified_Time") > 3,
        "same-second clusters"
    );
    let contacts = zoho.records(org, "Contacts", start()).unwrap();
    assert!(count(&contacts, "Email") > 20);
    assert!(
        contacts
            .iter()
            .filter(|contact| contact["Email"].is_null())
            .count()
            > 20
    );
    let status: BTreeMap<u64, &str> = zoho
        .organisation(org)
        .unwrap()
        .users
        .values()
        .map(|user| (user.id, user.status.name()))
        .collect();
    let owned = |wanted: &str| {
        accounts.iter().any(|account| {
            account["Owner"]["id"]
                .as_str()
                .and_then(|id| status.get(&id.parse().unwrap()))
                .is_some_and(|status| *status == wanted)
        })
    };
    assert!(owned("active") && owned("inactive") && owned("deleted"));
    // Parents come before their children, so there is no circle.
    assert!(accounts.iter().all(|account| {
        account["Parent_Account"]["id"]
            .as_str()
            .is_none_or(|parent| parent < account["id"].as_str().unwrap())
    }));
    let tasks = zoho.records(org, "Tasks", start()).unwrap();
    for module in ["Accounts", "Deals"] {
        assert!(tasks.iter().any(|task| task["$se_module"] == module));
    }
}

#[test]
fn an_empty_edit_moves_modified_time_unless_told_not_to() {
    let mut world = World::new();
    let id = world.add("Accounts", json!({ "Account_Name": "A", "Phone": "1" }));
    let write = |world: &mut World| {
        world.pass(10);
        world.put(
            &format!("Accounts/{id}"),
            json!({ "data": [{ "Phone": "1" }], "trigger": [] }),
        );
        world.raw("Accounts", id)["Modified_Time"].clone()
    };
    assert_eq!(write(&mut world), "2026-03-10T12:00:10+00:00");
    let target = format!("organisations/{}", world.org);
    control(
        &mut world,
        Method::PATCH,
        &target,
        json!({ "ignore_empty_edits": true }),
    );
    assert_eq!(write(&mut world), "2026-03-10T12:00:10+00:00");
}

#[test]
fn what_would_break_it_later_is_refused() {
    let mut world = World::new();
    let too_much = i64::MAX;
    for (method, target, body) in [
        (
            http::Method::PATCH,
            "settings",
            json!({ "token_life_seconds": too_much }),
        ),
        (
            http::Method::PATCH,
            "settings",
            json!({ "code_life_seconds": -too_much }),
        ),
        (http::Method::PUT, "clock", json!({ "seconds": too_much })),
        (
            http::Method::POST,
            "clock/advance",
            json!({ "seconds": too_much }),
        ),
        (
            http::Method::POST,
            "organisations",
            json!({ "accounts": too_much }),
        ),
        (
            http::Method::POST,
            "organisations",
            json!({ "tasks": too_much }),
        ),
    ] {
        let request = zoho_sim::Request::with_target(method, target).json(&body);
        let answer = world.zoho.control(&request, world.now);
        assert_eq!(answer.status, 400, "{target} {body}");
        assert!(
            answer.value()["error"]
                .as_str()
                .unwrap()
                .contains("at most"),
            "{target} {body}"
        );
    }
    assert_eq!(world.get("org").status, 200);
}
