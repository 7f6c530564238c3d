//! Bulk read.

use crate::{World, refused};
use http::Method;
use serde_json::{Value, json};
use std::io::Read;
use zoho_sim::Request;

fn create(world: &mut World, query: Value) -> zoho_sim::Answer {
    world.send(
        Request::with_target(Method::POST, "/crm/bulk/v8/read")
            .json(&json!({ "query": query, "file_type": "csv" })),
    )
}

fn finish(world: &mut World, id: &str) -> Value {
    loop {
        let job = world
            .send(Request::get(&format!("/crm/bulk/v8/read/{id}")))
            .value()["data"][0]
            .clone();
        if job["state"] == "COMPLETED" {
            return job;
        }
    }
}

fn rows(world: &mut World, id: &str) -> (csv::StringRecord, Vec<csv::StringRecord>) {
    let answer = world.send(Request::get(&format!("/crm/bulk/v8/read/{id}/result")));
    assert_eq!(answer.status, 200);
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(answer.body)).unwrap();
    let mut text = String::new();
    zip.by_name(&format!("{id}.csv"))
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    (
        reader.headers().unwrap().clone(),
        reader.records().map(Result::unwrap).collect(),
    )
}

#[test]
fn a_job_moves_to_its_result() {
    let mut world = World::new();
    let answer = create(
        &mut world,
        json!({ "module": { "api_name": "Contacts" }, "fields": ["Last_Name", "Account_Name", "Email_Opt_Out", "Modified_Time"] }),
    );
    assert_eq!(answer.status, 201);
    let data = answer.value()["data"][0].clone();
    assert_eq!(
        (data["code"].as_str(), data["details"]["state"].as_str()),
        (Some("ADDED_SUCCESSFULLY"), Some("ADDED"))
    );
    let id = data["details"]["id"].as_str().unwrap().to_owned();
    let early = world.send(Request::get(&format!("/crm/bulk/v8/read/{id}/result")));
    refused(&early, 400, "INVALID_DATA");
    let states: Vec<String> = (0..3)
        .map(|_| {
            world
                .send(Request::get(&format!("/crm/bulk/v8/read/{id}")))
                .value()["data"][0]["state"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(states, ["QUEUED", "IN PROGRESS", "COMPLETED"]);
    let job = finish(&mut world, &id);
    assert_eq!(job["result"]["count"], 100);
    assert_eq!(
        job["result"]["download_url"],
        format!("/crm/bulk/v8/read/{id}/result")
    );
    let (headers, rows) = rows(&mut world, &id);
    assert_eq!(headers.iter().collect::<BTreeSet<_>>().len(), 5);
    assert_eq!(&headers[0], "Id");
    let ids: Vec<u64> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
    assert_eq!(ids, world.ids("Contacts"));
}

use std::collections::BTreeSet;

#[test]
fn criteria_filter_the_rows() {
    let mut world = World::new();
    let id = world.add("Accounts", json!({ "Account_Name": "Line\n\"break\"", "Customer_Status": "Churned", "Interests": ["Hardware", "Support"] }));
    let query = json!({
        "module": { "api_name": "Accounts" },
        "criteria": { "group_operator": "and", "group": [
            { "api_name": "Modified_Time", "comparator": "greater_equal", "value": "2026-03-10T12:00:00+00:00" },
            { "field": { "api_name": "Customer_Status" }, "comparator": "in", "value": ["Churned", "Active"] },
            { "api_name": "Account_Name", "comparator": "starts_with", "value": "Line" },
        ] },
    });
    let job = create(&mut world, query).value()["data"][0]["details"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    finish(&mut world, &job);
    let (headers, rows) = rows(&mut world, &job);
    let at = |name: &str| headers.iter().position(|header| header == name).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0][0], id.to_string());
    assert_eq!(&rows[0][at("Account_Name")], "Line\n\"break\"");
    assert_eq!(&rows[0][at("Interests")], "Hardware;Support");
    assert!(!headers.iter().any(|header| header == "Installed_Products"));
}

#[test]
fn wrong_jobs_are_refused() {
    let mut world = World::new();
    let plain = Request {
        body: b"{}".to_vec(),
        ..Request::new(Method::POST, "/crm/bulk/v8/read")
    };
    assert_eq!(world.send(plain).status, 415);
    refused(&create(&mut world, json!({})), 400, "MANDATORY_NOT_FOUND");
    refused(
        &create(&mut world, json!({ "module": { "api_name": "Nothing" } })),
        400,
        "INVALID_MODULE",
    );
    let strange = json!({ "api_name": "Phone", "comparator": "resembles", "value": "1" });
    refused(
        &create(
            &mut world,
            json!({ "module": { "api_name": "Accounts" }, "criteria": strange }),
        ),
        400,
        "INVALID_DATA",
    );
    refused(
        &world.send(Request::get("/crm/bulk/v8/read/123")),
        404,
        "RESOURCE_NOT_FOUND",
    );
}

#[test]
fn fifty_credits_and_ten_downloads_a_minute() {
    let mut world = World::new();
    let before = world.zoho.usage(world.org, world.now).unwrap()["used_24h"]
        .as_u64()
        .unwrap();
    let id = create(&mut world, json!({ "module": { "api_name": "Deals" } })).value()["data"][0]["details"]["id"].as_str().unwrap().to_owned();
    let after = world.zoho.usage(world.org, world.now).unwrap()["used_24h"]
        .as_u64()
        .unwrap();
    assert_eq!(after - before, 50);
    finish(&mut world, &id);
    let result = Request::get(&format!("/crm/bulk/v8/read/{id}/result"));
    for _ in 0..10 {
        assert_eq!(world.send(result.clone()).status, 200);
    }
    assert_eq!(world.send(result.clone()).status, 429);
    world.pass(60);
    assert_eq!(world.send(result).status, 200);
}
