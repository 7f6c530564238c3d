//! Whatever is asked, the model answers, and never that something is broken in it.

use std::cell::RefCell;

use garble::{body, cases, odd_text, text};
use http::Method;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use zoho_sim::{Answer, Request};

use crate::World;

/// Queries that the model answers.
const QUERIES: [&str; 10] = [
    "select Last_Name, Account_Name.Account_Name as n from Contacts where (Last_Name like '%a%' and Email is not null) or id > 7 order by id asc limit 10 offset 2",
    "select id, Modified_Time from Accounts where Modified_Time >= '2026-03-10T12:00:00+00:00' and id > 1 order by Modified_Time, id limit 2000",
    "select Amount, Stage from Deals where Amount between 1 and 10.5 or Closing_Date > '2026-01-01' limit 5, 7",
    "select count(id), SUM(Amount), AVG(Amount) as mean, MIN(Amount), MAX(Deal_Name) from Deals where Stage not in ('A','B''C')",
    "select Stage, count(id) as n from Deals where Order_Number = 'G' group by Stage order by n desc",
    "select Subject from Tasks where What_Id->Accounts.Account_Name = 'x' and Status != 'Done'",
    "select id from Contacts where ((Email_Opt_Out = true and id in (1, 2)) and (Phone is null)) and Owner.last_name like 'a\\'%'",
    "select Employees from Accounts where Employees < -5 and Created_Time <= '2026-03-10T12:00:00Z'",
    "select id from Leads#123 where id is not null;",
    "select 'Last_Name' from Contacts where !Account_Name.id = 5",
];

const WORDS: [&str; 40] = [
    "select",
    "from",
    "where",
    "and",
    "or",
    "not",
    "in",
    "like",
    "between",
    "is",
    "null",
    "order",
    "by",
    "group",
    "limit",
    "offset",
    "as",
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "*",
    "->",
    ".",
    "(",
    ")",
    ",",
    "'",
    "''",
    "\\",
    "%",
    "_",
    ">=",
    "!=",
    "Owner",
    "Amount",
    "Account_Name",
    "99999999999999999999",
    "true",
];

/// What the model is asked: how, where, and with what.
fn known(world: &World) -> Vec<(Method, String, Value)> {
    let first = |module: &str| world.ids(module)[0].to_string();
    let (account, contact) = (first("Accounts"), first("Contacts"));
    let (get, post, put) = (Method::GET, Method::POST, Method::PUT);
    let account_values = json!({
        "Account_Name": "A", "Employees": 5, "Annual_Revenue": 12.5, "Website": "https://a.example", "Industry": "Banking",
        "Parent_Account": {"id": account}, "Description": "text", "Tag": [{"name": "t"}], "Owner": {"id": "1"},
    });
    let contact_values = json!({
        "id": contact, "Last_Name": "L", "Email": "l@example.com", "Account_Name": {"id": account}, "Email_Opt_Out": true,
        "Date_of_Birth": "1990-02-03", "Phone": "1",
    });
    let task = json!({
        "Subject": "s", "Due_Date": "2026-11-23", "What_Id": {"id": account}, "$se_module": "Accounts", "Who_Id": {"id": contact},
        "Status": "Completed", "Remind_At": {"ALARM": "ACTION=EMAIL;TRIGGER=DATE-TIME:2026-11-23T10:00:00Z"},
    });
    let deal = json!({
        "Deal_Name": "d", "Stage": "Qualification", "Amount": 79_228_162_514_264_337_593_543_950_335_f64, "Closing_Date": "2026-01-01",
        "Account_Name": account, "Pipeline": "Standard (Standard)",
    });
    let criteria = json!({ "group_operator": "and", "group": [
        {"field": {"api_name": "Last_Name"}, "comparator": "equal", "value": "a"},
        {"group_operator": "or", "group": [
            {"field": {"api_name": "Email"}, "comparator": "contains", "value": "a"},
            {"field": {"api_name": "Created_Time"}, "comparator": "between", "value": ["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"]},
        ]},
    ]});
    let bulk = json!({ "query": {
        "module": {"api_name": "Contacts"}, "fields": ["Last_Name", "Account_Name"], "criteria": criteria, "page": 1, "cvid": "1",
    }, "file_type": "csv" });
    let none = Value::Null;
    let crm = |target: String| format!("/crm/v8/{target}");
    vec![
        (post.clone(), crm("coql".into()), json!({ "select_query": QUERIES[0] })),
        (post.clone(), "/crm/bulk/v8/read".into(), bulk),
        (get.clone(), "/crm/bulk/v8/read/1".into(), none.clone()),
        (get.clone(), "/crm/bulk/v8/read/1/result".into(), none.clone()),
        (post.clone(), crm("Accounts".into()), json!({ "data": [account_values], "trigger": ["workflow"] })),
        (put.clone(), crm("Contacts".into()), json!({ "data": [contact_values], "trigger": [] })),
        (put.clone(), crm(format!("Accounts/{account}")), json!({ "data": [account_values] })),
        (post.clone(), crm("Contacts/upsert".into()), json!({ "data": [contact_values], "duplicate_check_fields": ["Email"] })),
        (post.clone(), crm("Tasks".into()), json!({ "data": [task, task], "trigger": null })),
        (post.clone(), crm("Deals".into()), json!({ "data": [deal] })),
        (Method::DELETE, crm(format!("Tasks?ids={account},{contact}&wf_trigger=false")), none.clone()),
        (get.clone(), crm("Accounts?fields=Account_Name,Owner&per_page=3&page=2&sort_by=id&sort_order=desc&ids=1,2&cvid=3".into()), none.clone()),
        (get.clone(), crm("Contacts?fields=Last_Name&page_token=abc&per_page=200".into()), none.clone()),
        (get.clone(), crm(format!("Contacts/{contact}?fields=Email")), none.clone()),
        (get.clone(), crm(format!("Accounts/{account}/Contacts?fields=Last_Name&page=1")), none.clone()),
        (get.clone(), crm("Accounts/deleted?type=recycle&page=1&per_page=5".into()), none.clone()),
        (get.clone(), crm("Contacts/actions/count?criteria=((Last_Name:equals:a)and(Email:starts_with:b))".into()), none.clone()),
        (get.clone(), crm("users?type=AllUsers&page=1&per_page=200".into()), none.clone()),
        (get.clone(), crm("settings/fields?module=Contacts&type=all".into()), none.clone()),
        (get.clone(), crm("settings/modules/Accounts".into()), none.clone()),
        (get, crm("org".into()), none.clone()),
        (post.clone(), "/oauth/v2/token?grant_type=refresh_token&client_id=client&client_secret=secret&refresh_token=1".into(), none.clone()),
        (post, "/oauth/v2/auth?client_id=client&response_type=code&redirect_uri=https://app.test/callback&scope=a,b&state=x&decision=accept".into(), none),
    ]
}

/// Puts what is asked in place of what was known.
fn asked(method: Method, target: &str, body: Vec<u8>, header: Option<(String, String)>) -> Request {
    let request = Request {
        body,
        ..Request::with_target(method, target)
    };
    let request = request.header("Content-Type", "application/json");
    match header {
        Some((name, value)) => request.header(&name, value),
        None => request,
    }
}

/// An answer: never a failure of the model's own, and a refusal in Zoho's words.
fn stands(asked: &str, answer: &Answer) -> Result<(), TestCaseError> {
    prop_assert!(
        (200..500).contains(&answer.status),
        "{asked}: {}",
        answer.status
    );
    let is_json = answer
        .header("Content-Type")
        .is_some_and(|kind| kind.starts_with("application/json"));
    if answer.status >= 400 && is_json {
        let body = answer.value();
        let code = match &body["data"] {
            Value::Array(items) => &items[0]["code"],
            _ => &body["code"],
        };
        prop_assert!(code.is_string(), "{asked}: {body}");
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn any_query_is_answered(query in text(&QUERIES, &WORDS)) {
        thread_local!(static WORLD: RefCell<World> = RefCell::new(World::new()));
        let answer = WORLD.with_borrow_mut(|world| {
            world.pass(60);
            world.token = world.token_with(&crate::SCOPES);
            world.coql(&query)
        });
        stands(&query, &answer)?;
    }
}

/// How many requests meet one world, before the next begins.
const TOGETHER: usize = 20;

#[test]
fn any_request_is_answered() {
    let known = known(&World::new());
    let requests = known.into_iter().map(|(method, target, valid)| {
        let targets = prop_oneof![
            2 => Just(target.clone()),
            2 => text(&[&target], &["&", "=", ",", "/", "%00", "page", "ids"]),
        ];
        let methods = prop_oneof![
            6 => Just(method),
            1 => select(vec![Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH]),
        ];
        let headers = (select(vec!["If-Modified-Since", "If-Unmodified-Since", "Content-Type", "X-EXTERNAL"]), odd_text());
        let header = prop::option::weighted(0.2, headers.prop_map(|(name, value)| (name.to_owned(), value)));
        (methods, targets, body(&[valid]), header)
            .prop_map(|(method, target, body, header)| asked(method, &target, body, header))
            .boxed()
    });
    let every = prop::strategy::Union::new(requests);
    let together = prop::collection::vec((every, any::<Index>()), TOGETHER);
    proptest!(cases(60), |(requests in together)| {
        let mut world = World::new();
        for (request, job) in requests {
            world.pass(60);
            let shown = format!("{request:?}").chars().take(600).collect::<String>();
            let answer = world.send(request);
            stands(&shown, &answer)?;
            // What a bulk job was asked is worked on only when somebody looks.
            if let Some(id) = answer.value()["data"][0]["details"]["id"].as_str().filter(|_| answer.status == 201) {
                for _ in 0..job.index(5) {
                    let target = format!("/crm/bulk/v8/read/{id}");
                    stands(&shown, &world.send(Request::get(&target)))?;
                }
            }
        }
    });
}

/// What the control API is told.
fn orders(world: &World) -> Vec<(Method, String, Value)> {
    let account = world.ids("Accounts")[0].to_string();
    let (get, post, put, patch) = (Method::GET, Method::POST, Method::PUT, Method::PATCH);
    let org = world.org;
    let record = |rest: &str| format!("records/Accounts/{account}{rest}?org={org}");
    let values = json!({ "values": {"Account_Name": "B", "Employees": 3}, "user": "1" });
    let none = Value::Null;
    vec![
        (
            post.clone(),
            "organisations".into(),
            json!({ "dc": "eu", "accounts": 2, "contacts": 1, "time_zone": "+05:30", "edition": "enterprise" }),
        ),
        (
            patch.clone(),
            format!("organisations/{org}"),
            json!({ "credit_limit": 10, "concurrency_limit": null, "workflows": true }),
        ),
        (
            post.clone(),
            "clients".into(),
            json!({ "client_id": "c", "secrets": {"eu": "s"}, "redirect_uris": ["https://a.example"] }),
        ),
        (
            patch.clone(),
            "settings".into(),
            json!({ "consent": "accept", "login": {"organisation": org.to_string()}, "code_life_seconds": 5, "token_life_seconds": 9, "token_limits": true }),
        ),
        (
            post.clone(),
            "tokens".into(),
            json!({ "organisation": org.to_string(), "client_id": "client", "scopes": ["ZohoCRM.modules.ALL"] }),
        ),
        (
            post.clone(),
            "revoke".into(),
            json!({ "organisation": org.to_string(), "refresh_tokens": true }),
        ),
        (
            post.clone(),
            "fail".into(),
            json!({ "method": "GET", "path": "/crm", "times": 1, "skip": 0, "status": 500, "moment": "after" }),
        ),
        (
            post.clone(),
            "throttle".into(),
            json!({ "organisation": org.to_string(), "calls": 1, "seconds": 5, "retry_after": 3 }),
        ),
        (put.clone(), "delay".into(), json!({ "ms": 0 })),
        (put.clone(), "clock".into(), json!({ "seconds": 60 })),
        (
            post.clone(),
            "clock/advance".into(),
            json!({ "seconds": 60 }),
        ),
        (get.clone(), "requests?since=0&limit=3".into(), none.clone()),
        (
            get.clone(),
            format!("records/Accounts?org={org}&where=Employees > 3&ids=1,2"),
            none.clone(),
        ),
        (
            post.clone(),
            format!("records/Accounts?org={org}"),
            values.clone(),
        ),
        (
            patch.clone(),
            format!("records/Accounts?org={org}"),
            json!({ "where": "id is not null", "values": {"Employees": 5}, "edits": [{"id": account, "values": {"Employees": 4}}] }),
        ),
        (patch.clone(), record(""), values),
        (Method::DELETE, record(""), none.clone()),
        (post.clone(), record("/restore"), none.clone()),
        (
            post.clone(),
            record("/merge"),
            json!({ "losers": [account], "user": null }),
        ),
        (put, record("/flags"), json!({ "locked": true })),
        (
            patch.clone(),
            format!("fields/Accounts/Employees?org={org}"),
            json!({ "hidden": true, "unique": false, "alteration": null }),
        ),
        (
            patch.clone(),
            format!("modules/Tasks?org={org}"),
            json!({ "disabled": true }),
        ),
        (
            patch,
            format!("users/1?org={org}"),
            json!({ "status": "disabled", "time_zone": "Europe/Berlin" }),
        ),
        (
            post,
            format!("users/1/transfer?org={org}"),
            json!({ "to": "2" }),
        ),
        (get, format!("usage?org={org}"), none),
    ]
}

/// Whatever it is told, the control API answers, and so does the model afterwards: of what it was told nothing breaks it later.
#[test]
fn any_order_is_answered() {
    let orders = orders(&World::new())
        .into_iter()
        .map(|(method, target, valid)| {
            let targets = prop_oneof![
                3 => Just(target.clone()),
                1 => text(&[&target], &["&", "=", ",", "/", "(", "where", "ids"]),
            ];
            (targets, body(&[valid]))
                .prop_map(move |(target, body)| asked(method.clone(), &target, body, None))
                .boxed()
        });
    let every = prop::strategy::Union::new(orders);
    proptest!(cases(60), |(told in prop::collection::vec(every, 1..TOGETHER))| {
        let mut world = World::new();
        for request in told {
            let shown = format!("{request:?}").chars().take(600).collect::<String>();
            let now = world.now + world.zoho.clock_offset;
            let answer = world.zoho.control(&request, now);
            let status = answer.status;
            prop_assert!(matches!(status, 200 | 400 | 404), "{shown}: {status}");
            prop_assert!(status == 200 || answer.value()["error"].is_string(), "{shown}");
        }
        world.now += world.zoho.clock_offset;
        world.zoho.faults.clear();
        world.token = world.token_with(&crate::SCOPES);
        let answer = world.coql("select Account_Name, Employees, Modified_Time from Accounts where id is not null");
        stands("afterwards", &answer)?;
    });
}
