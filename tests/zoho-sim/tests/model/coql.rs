//! The query endpoint.

use crate::{World, ids_of, refused};
use serde_json::{Value, json};
use std::time::Instant;
use zoho_sim::OrganisationSpec;

#[test]
fn columns_take_their_shapes() {
    let mut world = World::new();
    let parent = world.add(
        "Accounts",
        json!({ "Account_Name": "Mother", "Industry": "Energy" }),
    );
    let child = world.add(
        "Accounts",
        json!({ "Account_Name": "Child", "Parent_Account": parent.to_string() }),
    );
    let row = world.coql(&format!(
        "select Account_Name, Parent_Account, Parent_Account.Account_Name, Owner, Owner.email, Modified_Time, Key_Account from Accounts where id = {child}"
    ));
    let row = row.value()["data"][0].clone();
    assert_eq!(row["id"], child.to_string(), "the id comes unasked");
    assert_eq!(row["Parent_Account"], json!({ "id": parent.to_string() }));
    assert_eq!(row["Parent_Account.Account_Name"], "Mother");
    assert!(row["Owner"].as_object().unwrap().len() == 1);
    assert_eq!(row["Owner.email"], "admin@northwind.example");
    assert_eq!(row["Modified_Time"], "2026-03-10T08:00:00-04:00");
    assert_eq!(row["Key_Account"], Value::Null);
}

#[test]
fn tasks_are_walked_through_the_module_they_name() {
    let mut world = World::new();
    let account = world.add("Accounts", json!({ "Account_Name": "Mother" }));
    let task = world.add(
        "Tasks",
        json!({ "Subject": "T", "What_Id": account, "$se_module": "Accounts" }),
    );
    let query = format!(
        "select 'What_Id->Accounts.Account_Name', What_Id.module.api_name, Subject from Tasks where 'What_Id->Accounts.Account_Name' = 'mother' and id = '{task}'"
    );
    let row = world.coql(&query).value()["data"][0].clone();
    assert_eq!(row["What_Id->Accounts.Account_Name"], "Mother");
    assert_eq!(row["What_Id.module.api_name"], "Accounts");
}

#[test]
fn every_wrong_query_has_its_error() {
    let mut world = World::new();
    let many = (0..101)
        .map(|number| format!("'{number}'"))
        .collect::<Vec<_>>()
        .join(",");
    let columns = vec!["Account_Name"; 501].join(", ");
    let criteria = (0..26)
        .map(|_| "Phone = '1'".to_owned())
        .reduce(|left, right| format!("({left} and {right})"))
        .unwrap();
    for (query, code) in [
        ("select id from Accounts".to_owned(), "SYNTAX_ERROR"),
        ("select id where id is not null".to_owned(), "SYNTAX_ERROR"),
        ("select from Accounts where id is not null".to_owned(), "SYNTAX_ERROR"),
        ("select id from Accounts where Phone = '1' and Phone = '2' and Phone = '3'".to_owned(), "SYNTAX_ERROR"),
        ("select id from Accounts where (Phone = '1' and Phone = '2' or Phone = '3')".to_owned(), "SYNTAX_ERROR"),
        ("select id from Accounts where Phone = '1".to_owned(), "SYNTAX_ERROR"),
        ("select id from Accounts where id is not null limit x".to_owned(), "SYNTAX_ERROR"),
        ("select id from Nothing where id is not null".to_owned(), "INVALID_MODULE"),
        ("select Nothing from Accounts where id is not null".to_owned(), "INVALID_QUERY"),
        ("select id from Accounts where Nothing = '1'".to_owned(), "INVALID_QUERY"),
        ("select id from Accounts where id is not null order by Nothing".to_owned(), "INVALID_QUERY"),
        ("select id from Accounts where Phone > '1'".to_owned(), "INVALID_QUERY"),
        ("select id from Accounts where Employees like '%1%'".to_owned(), "INVALID_QUERY"),
        ("select id from Accounts where Key_Account != true".to_owned(), "INVALID_QUERY"),
        ("select id from Accounts where Owner > 5".to_owned(), "INVALID_QUERY"),
        ("select id from Accounts where Modified_Time > 'yesterday'".to_owned(), "INVALID_QUERY"),
        ("select Installed_Products from Accounts where id is not null".to_owned(), "INVALID_QUERY"),
        ("select Decision_Makers from Accounts where id is not null".to_owned(), "INVALID_QUERY"),
        ("select id from Accounts where id is not null limit 0".to_owned(), "INVALID_DATA"),
        ("select id from Accounts where id is not null limit 2001".to_owned(), "LIMIT_EXCEEDED"),
        ("select id from Accounts where id is not null limit 99000, 2000".to_owned(), "LIMIT_EXCEEDED"),
        (format!("select id from Accounts where Phone in ({many})"), "LIMIT_EXCEEDED"),
        (format!("select {columns} from Accounts where id is not null"), "LIMIT_EXCEEDED"),
        (format!("select id from Accounts where {criteria}"), "LIMIT_EXCEEDED"),
        ("select Phone, Phone from Accounts where id is not null".to_owned(), "DUPLICATE_DATA"),
        ("select Phone as a, Website as a from Accounts where id is not null".to_owned(), "DUPLICATE_ALIAS"),
        ("select Industry, count(id) from Accounts where id is not null".to_owned(), "INVALID_QUERY"),
        ("select Parent_Account.Parent_Account.Parent_Account.Phone from Accounts where id is not null".to_owned(), "LIMIT_EXCEEDED"),
    ] {
        let answer = world.coql(&query);
        assert_eq!(answer.status, 400, "{query}");
        refused(&answer, 400, code);
    }
    let missing = world.post("coql", json!({}));
    refused(&missing, 400, "MANDATORY_NOT_FOUND");
}

#[test]
fn paging_has_two_spellings() {
    let mut world = World::new();
    let all = world.ids("Contacts");
    for (paging, range) in [
        ("limit 10", 0..10),
        ("limit 10 offset 5", 5..15),
        ("limit 5, 10", 5..15),
        ("limit 2000 offset 95", 95..100),
    ] {
        let answer = world.coql(&format!(
            "select Email from Contacts where id is not null {paging}"
        ));
        assert_eq!(ids_of(&answer), all[range.clone()], "{paging}");
        assert_eq!(
            answer.value()["info"]["more_records"],
            range.end < all.len()
        );
    }
    assert_eq!(
        world
            .coql("select id from Contacts where id is null")
            .status,
        204
    );
    assert_eq!(
        world
            .coql("select id from Contacts where id is not null limit 10 offset 5000")
            .status,
        204
    );
}

#[test]
fn two_hundred_rows_without_a_limit() {
    let mut world = World::of(OrganisationSpec {
        contacts: Some(300),
        ..OrganisationSpec::small(1)
    });
    let body = world
        .coql("select id from Contacts where id is not null")
        .value();
    assert_eq!(body["info"], json!({ "count": 200, "more_records": true }));
}

#[test]
fn a_keyset_walk_over_modified_time_sees_every_record_once() {
    let mut world = World::of(OrganisationSpec {
        accounts: 120,
        ..OrganisationSpec::default()
    });
    let (mut seen, mut condition) = (Vec::new(), "id is not null".to_owned());
    loop {
        let answer = world.coql(&format!(
            "select Modified_Time from Contacts where {condition} order by Modified_Time asc, id asc limit 50"
        ));
        if answer.status == 204 {
            break;
        }
        let ids = ids_of(&answer);
        let last = answer.value()["data"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()
            .clone();
        let (time, id) = (
            last["Modified_Time"].as_str().unwrap(),
            last["id"].as_str().unwrap(),
        );
        condition =
            format!("(Modified_Time >= '{time}' and (Modified_Time > '{time}' or id > {id}))");
        seen.extend(ids);
    }
    let mut sorted = seen.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, world.ids("Contacts"));
}

#[test]
fn a_keyset_walk_over_ids_sees_every_record_once() {
    let mut world = World::new();
    for direction in ["asc", "desc"] {
        let (mut seen, mut condition) = (Vec::new(), "id is not null".to_owned());
        loop {
            let query = format!(
                "select id from Contacts where {condition} order by id {direction} limit 3"
            );
            let ids = ids_of(&world.coql(&query));
            let Some(last) = ids.last() else { break };
            let sign = if direction == "asc" { ">" } else { "<" };
            condition = format!("id {sign} {last}");
            seen.extend(ids);
        }
        seen.sort_unstable();
        assert_eq!(seen, world.ids("Contacts"));
    }
}

#[test]
fn operators_do_what_they_say() {
    let mut world = World::new();
    let make = |world: &mut World, name: &str, phone: Value, employees: Value| {
        world.add("Accounts", json!({ "Account_Name": name, "Phone": phone, "Employees": employees, "Industry": "Test" }))
    };
    let a = make(&mut world, "Alpha O'Neil", json!("111"), json!(5));
    let b = make(&mut world, "beta ÄÖ", json!("222"), json!(10));
    let c = make(&mut world, "Gamma 日本", Value::Null, Value::Null);
    for (condition, expected) in [
        ("Account_Name = 'alpha o\\'neil'", vec![a]),
        ("Account_Name = 'Alpha O''Neil'", vec![a]),
        ("Account_Name != 'beta äö'", vec![a, c]),
        ("Account_Name like '%a%'", vec![a, b, c]),
        ("Account_Name like 'be%'", vec![b]),
        ("Account_Name like '%日本'", vec![c]),
        ("Account_Name not like '%a o%'", vec![b, c]),
        ("Phone in ('111', '222')", vec![a, b]),
        ("Phone not in ('111')", vec![b]),
        ("Phone is null", vec![c]),
        ("Phone is not null", vec![a, b]),
        ("Employees > 5", vec![b]),
        ("Employees >= 5", vec![a, b]),
        ("Employees between 1 and 7", vec![a]),
        ("Employees not between 1 and 7", vec![b]),
        ("Employees < '10'", vec![a]),
        (
            "(Phone = '111' or Phone = '222') and Employees <= 5",
            vec![a],
        ),
        ("Owner.email = 'ADMIN@northwind.example'", vec![a, b, c]),
        ("Created_Time = '2026-03-10T12:00:00Z'", vec![a, b, c]),
        ("Created_Time = 2026-03-10T14:00:00+02:00", vec![a, b, c]),
        ("Age_In_Days = 0", vec![a, b, c]),
        ("Deal_Count > 0", vec![]),
    ] {
        let inner = if condition.contains(" and Employees") {
            condition.replacen("(Phone", "((Phone", 1) + ")"
        } else {
            condition.to_owned()
        };
        let found = ids_of(&world.coql(&format!(
            "select id from Accounts where {inner} and Industry = 'Test'"
        )));
        assert_eq!(found, expected, "{condition}");
    }
    let order = |world: &mut World, by: &str| {
        ids_of(&world.coql(&format!(
            "select id from Accounts where Industry = 'Test' order by {by}"
        )))
    };
    assert_eq!(order(&mut world, "Account_Name desc"), [c, b, a]);
    assert_eq!(order(&mut world, "Employees, id desc"), [c, a, b]);
    assert_eq!(order(&mut world, "Industry asc, Employees desc"), [b, a, c]);
    assert_eq!(order(&mut world, "Modified_Time desc, id asc"), [a, b, c]);
    assert_eq!(order(&mut world, "id desc"), [c, b, a]);
}

#[test]
fn aggregates_and_groups() {
    let mut world = World::new();
    for (amount, stage) in [
        (10, "Qualification"),
        (20, "Qualification"),
        (40, "Closed Won"),
    ] {
        world.add(
            "Deals",
            json!({ "Deal_Name": "D", "Stage": stage, "Amount": amount, "Order_Number": "G" }),
        );
    }
    let body = world.coql("select count(id), SUM(Amount), AVG(Amount) as mean, MIN(Amount), MAX(Amount) from Deals where Order_Number = 'G'").value();
    assert_eq!(body["data"][0]["count(id)"], 3);
    assert_eq!(body["data"][0]["SUM(Amount)"], 70);
    assert_eq!(body["data"][0]["mean"], 23.333333);
    assert_eq!(body["data"][0]["MIN(Amount)"], 10);
    assert_eq!(body["data"][0]["MAX(Amount)"], 40);
    let body = world.coql("select Stage, count(id) as n from Deals where Order_Number = 'G' group by Stage order by n desc").value();
    assert_eq!(
        body["data"],
        json!([{ "Stage": "Qualification", "n": 2 }, { "Stage": "Closed Won", "n": 1 }])
    );
    let none = world
        .coql("select count(id) from Deals where Order_Number = 'nothing'")
        .value();
    assert_eq!(none["data"][0]["count(id)"], 0);
}

#[test]
fn credits_follow_the_limit() {
    let mut world = World::new();
    for (limit, credits) in [
        ("", 1),
        ("limit 200", 1),
        ("limit 201", 2),
        ("limit 1000", 2),
        ("limit 2000", 3),
    ] {
        let before = world.zoho.journal.latest();
        world.coql(&format!(
            "select id from Accounts where id is not null {limit}"
        ));
        let served = world.zoho.journal.since(before).next().unwrap();
        assert_eq!(
            (served.credits, served.rows, served.module.as_deref()),
            (credits, 24, Some("Accounts")),
            "{limit}"
        );
    }
}

#[test]
fn two_hundred_thousand_records_are_quick() {
    let mut world = World::of(OrganisationSpec {
        contacts: Some(if cfg!(debug_assertions) {
            20_000
        } else {
            200_000
        }),
        accounts: 100,
        ..OrganisationSpec::default()
    });
    let middle = world.ids("Contacts")[10_000];
    for query in [
        "select Email from Contacts where Modified_Time >= '2026-02-20T00:00:00Z' order by Modified_Time asc, id asc limit 2000".to_owned(),
        format!("select Email from Contacts where id > {middle} order by id asc limit 2000"),
        "select count(id) from Contacts where Modified_Time >= '2026-02-20T00:00:00Z'".to_owned(),
    ] {
        let begin = Instant::now();
        assert_eq!(world.coql(&query).status, 200);
        let taken = begin.elapsed();
        assert!(taken.as_millis() < 1_500, "{query}: {taken:?}");
    }
}

#[test]
fn brackets_beyond_every_sense_are_refused() {
    let mut world = World::new();
    for (depth, status) in [(50, 200), (200_000, 400)] {
        let (open, close) = ("(".repeat(depth), ")".repeat(depth));
        let query = format!("select id from Accounts where {open}id is not null{close} limit 1");
        assert_eq!(world.coql(&query).status, status);
        let text = format!(
            "select id from Accounts where Account_Name like '{open}' or id is not null limit 1"
        );
        assert_eq!(world.coql(&text).status, 200, "brackets in a text are none");
    }
}
