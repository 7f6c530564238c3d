//! The server as an independent client meets it.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests, where a failure is a failure"
)]

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use std::io::Read;
use zoho_sim::{OrganisationSpec, Server, Zoho, oauth};

const REDIRECT: &str = "http://localhost:9/callback";
const SCOPE: &str = "ZohoCRM.modules.ALL,ZohoCRM.coql.READ,ZohoCRM.bulk.READ,ZohoCRM.users.READ";

struct Connected {
    server: Server,
    http: Client,
    domain: String,
    token: String,
}

impl Connected {
    /// Starts a server and goes through the whole consent with nothing but HTTP.
    async fn new() -> Self {
        let mut zoho = Zoho::new(1, "");
        zoho.oauth.register(oauth::Client {
            id: "client".to_owned(),
            name: "Client".to_owned(),
            secret: Some("secret".to_owned()),
            redirect_uris: vec![REDIRECT.to_owned()],
            ..oauth::Client::default()
        });
        let server = Server::start(zoho, 0).await.unwrap();
        let now = server.now();
        server.zoho().add_organisation(
            &OrganisationSpec {
                dc: "eu".to_owned(),
                ..OrganisationSpec::small(2)
            },
            now,
        );
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        let base = server.base_url().to_owned();
        let asked = [
            ("client_id", "client"),
            ("response_type", "code"),
            ("redirect_uri", REDIRECT),
            ("scope", SCOPE),
            ("access_type", "offline"),
            ("state", "s&t=1"),
        ];
        let page = http
            .get(format!("{base}/us/oauth/v2/auth"))
            .query(&asked)
            .send()
            .await
            .unwrap();
        assert_eq!(page.status(), StatusCode::OK);
        assert!(
            page.text()
                .await
                .unwrap()
                .contains("Client would like to access your data")
        );
        let mut form = asked.to_vec();
        form.push(("decision", "accept"));
        let answer = http
            .post(format!("{base}/us/oauth/v2/auth/decision"))
            .form(&form)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), StatusCode::FOUND);
        let callback = url::Url::parse(answer.headers()["location"].to_str().unwrap()).unwrap();
        let pair = |name: &str| {
            callback
                .query_pairs()
                .find(|(key, _)| key == name)
                .unwrap()
                .1
                .into_owned()
        };
        assert_eq!(
            (pair("location").as_str(), pair("state").as_str()),
            ("eu", "s&t=1")
        );
        let exchange = [
            ("grant_type", "authorization_code"),
            ("client_id", "client"),
            ("client_secret", "secret"),
            ("redirect_uri", REDIRECT),
            ("code", &pair("code")),
        ];
        let token: Value = http
            .post(format!("{}/oauth/v2/token", pair("accounts-server")))
            .form(&exchange)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let text = |name: &str| token[name].as_str().unwrap().to_owned();
        Self {
            domain: text("api_domain"),
            token: text("access_token"),
            server,
            http,
        }
    }

    fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let authorization = format!("Zoho-oauthtoken {}", self.token);
        self.http
            .request(method, format!("{}{path}", self.domain))
            .header("Authorization", authorization)
    }

    async fn get(&self, path: &str) -> Response {
        self.request(reqwest::Method::GET, path)
            .send()
            .await
            .unwrap()
    }

    async fn post(&self, path: &str, body: Value) -> Response {
        self.request(reqwest::Method::POST, path)
            .json(&body)
            .send()
            .await
            .unwrap()
    }

    async fn control(&self, method: reqwest::Method, path: &str, body: Value) -> Value {
        let url = format!("{}/control/{path}", self.server.base_url());
        self.http
            .request(method, url)
            .json(&body)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn a_client_reads_pages_until_there_are_no_more() {
    let client = Connected::new().await;
    assert!(client.domain.ends_with("/eu"));
    let (mut ids, mut token) = (Vec::new(), String::new());
    loop {
        let page = if token.is_empty() {
            String::new()
        } else {
            format!("&page_token={token}")
        };
        let answer = client
            .get(&format!(
                "/crm/v8/Contacts?fields=Last_Name,Email&per_page=30{page}"
            ))
            .await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.headers().contains_key("date"));
        assert_eq!(
            answer.headers()["content-type"],
            "application/json;charset=UTF-8"
        );
        let body: Value = answer.json().await.unwrap();
        ids.extend(
            body["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["id"].as_str().unwrap().to_owned()),
        );
        match body["info"]["next_page_token"].as_str() {
            Some(next) => next.clone_into(&mut token),
            None => break,
        }
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 100);
    client.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_client_writes_queries_and_reads_conditionally() {
    let client = Connected::new().await;
    let record = json!({ "data": [{ "Account_Name": "Über & Söhne", "External_ID": "E1" }], "duplicate_check_fields": ["Account_Name"] });
    let answer: Value = client
        .post("/crm/v8/Accounts/upsert", record.clone())
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(answer["data"][0]["action"], "insert");
    let answer: Value = client
        .post("/crm/v8/Accounts/upsert", record)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        (
            answer["data"][0]["action"].as_str(),
            answer["data"][0]["duplicate_field"].as_str()
        ),
        (Some("update"), Some("Account_Name"))
    );
    let query =
        json!({ "select_query": "select Account_Name from Accounts where External_ID = 'E1'" });
    let found: Value = client
        .post("/crm/v8/coql", query)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(found["data"][0]["Account_Name"], "Über & Söhne");
    let date = client.get("/crm/v8/Accounts?fields=id").await.headers()["date"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(date.ends_with(" GMT"));
    let read = |since: &'static str| {
        client
            .request(reqwest::Method::GET, "/crm/v8/Accounts?fields=id")
            .header("If-Modified-Since", since)
    };
    assert_eq!(
        read("2015-01-01T00:00:00+00:00")
            .send()
            .await
            .unwrap()
            .status(),
        StatusCode::OK
    );
    let none = read("2199-01-01T00:00:00+00:00").send().await.unwrap();
    assert_eq!(none.status(), StatusCode::NOT_MODIFIED);
    assert!(none.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_client_sees_what_was_deleted() {
    let client = Connected::new().await;
    assert_eq!(
        client.get("/crm/v8/Tasks/deleted").await.status(),
        StatusCode::NO_CONTENT
    );
    let list: Value = client
        .get("/crm/v8/Tasks?fields=Subject&per_page=2")
        .await
        .json()
        .await
        .unwrap();
    let ids: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["id"].as_str().unwrap())
        .collect();
    let deleted = client
        .request(
            reqwest::Method::DELETE,
            &format!("/crm/v8/Tasks?ids={}", ids.join(",")),
        )
        .send()
        .await
        .unwrap();
    assert_eq!(deleted.status(), StatusCode::OK);
    let rows: Value = client
        .get("/crm/v8/Tasks/deleted?type=recycle")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(rows["data"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_client_takes_a_bulk_result_home() {
    let client = Connected::new().await;
    let wrong = client
        .request(reqwest::Method::POST, "/crm/bulk/v8/read")
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(wrong.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let job = json!({ "query": { "module": { "api_name": "Deals" }, "fields": ["Deal_Name"] }, "file_type": "csv" });
    let added: Value = client
        .post("/crm/bulk/v8/read", job)
        .await
        .json()
        .await
        .unwrap();
    let id = added["data"][0]["details"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let url = loop {
        let state: Value = client
            .get(&format!("/crm/bulk/v8/read/{id}"))
            .await
            .json()
            .await
            .unwrap();
        if let Some(url) = state["data"][0]["result"]["download_url"].as_str() {
            break url.to_owned();
        }
    };
    let bytes = client.get(&url).await.bytes().await.unwrap();
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut text = String::new();
    zip.by_index(0).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(
        csv::Reader::from_reader(text.as_bytes()).records().count(),
        60
    );
}

#[tokio::test]
async fn wrong_calls_get_zohos_errors() {
    let client = Connected::new().await;
    for (path, status, code) in [
        ("/crm/v8/Accounts", 400, "REQUIRED_PARAM_MISSING"),
        ("/crm/v8/Nothing?fields=id", 400, "INVALID_MODULE"),
        ("/crm/v8/org", 401, "OAUTH_SCOPE_MISMATCH"),
        ("/crm/v8/a/b/c/d", 404, "INVALID_URL_PATTERN"),
    ] {
        let answer = client.get(path).await;
        assert_eq!(answer.status().as_u16(), status, "{path}");
        assert_eq!(answer.json::<Value>().await.unwrap()["code"], code);
    }
    let other = client
        .http
        .get(format!("{}/us/crm/v8/users", client.server.base_url()));
    let other = other
        .header("Authorization", format!("Zoho-oauthtoken {}", client.token))
        .send()
        .await
        .unwrap();
    assert_eq!(other.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        client
            .http
            .get(format!("{}/mars/crm/v8/users", client.server.base_url()))
            .send()
            .await
            .unwrap()
            .status(),
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_reply_can_be_lost_after_the_effect() {
    let client = Connected::new().await;
    client
        .control(
            reqwest::Method::POST,
            "fail",
            json!({ "method": "POST", "path": "/Accounts", "moment": "after", "status": 0 }),
        )
        .await;
    let lost = client
        .request(reqwest::Method::POST, "/crm/v8/Accounts")
        .json(&json!({ "data": [{ "Account_Name": "Ghost" }] }))
        .send()
        .await;
    let lost = match lost {
        Err(_) => true,
        Ok(answer) => answer.bytes().await.is_err(),
    };
    assert!(lost);
    let found = client
        .control(
            reqwest::Method::GET,
            "records/Accounts?where=Account_Name%20%3D%20'Ghost'",
            json!({}),
        )
        .await;
    assert_eq!(found["records"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn delayed_calls_overlap_and_are_counted() {
    let client = Connected::new().await;
    let org = client.server.zoho().organisations().next().unwrap().id;
    client
        .control(
            reqwest::Method::PATCH,
            &format!("organisations/{org}"),
            json!({ "concurrency_limit": 3 }),
        )
        .await;
    client
        .control(reqwest::Method::PUT, "delay", json!({ "ms": 400 }))
        .await;
    let calls = (0..5).map(|_| client.get("/crm/v8/Accounts?fields=id"));
    let statuses: Vec<u16> = futures::future::join_all(calls)
        .await
        .iter()
        .map(|answer| answer.status().as_u16())
        .collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        3,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|status| **status == 429).count(),
        2,
        "{statuses:?}"
    );
    assert_eq!(
        client
            .control(reqwest::Method::GET, "usage", json!({}))
            .await["max_concurrent"],
        3
    );
}

#[tokio::test]
async fn the_control_api_can_have_a_key() {
    let server = Server::start_at(
        Zoho::new(1, ""),
        ([127, 0, 0, 1], 0).into(),
        Some("key".to_owned()),
    )
    .await
    .unwrap();
    let http = Client::builder().no_proxy().build().unwrap();
    let get = |key: &'static str| {
        http.get(format!("{}/control/organisations", server.base_url()))
            .header(zoho_sim::CONTROL_KEY, key)
    };
    assert_eq!(
        get("wrong").send().await.unwrap().status(),
        StatusCode::FORBIDDEN
    );
    assert_eq!(get("key").send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn the_clock_is_moved_by_hand() {
    let client = Connected::new().await;
    client
        .control(
            reqwest::Method::POST,
            "clock/advance",
            json!({ "seconds": 3600 }),
        )
        .await;
    let answer = client.get("/crm/v8/Accounts?fields=id").await;
    assert_eq!(
        answer.status(),
        StatusCode::UNAUTHORIZED,
        "the token has died"
    );
}

#[tokio::test]
async fn a_client_that_hangs_up_gives_its_place_back() {
    let client = Connected::new().await;
    let org = client.server.zoho().organisations().next().unwrap().id;
    client
        .control(
            reqwest::Method::PATCH,
            &format!("organisations/{org}"),
            json!({ "concurrency_limit": 1 }),
        )
        .await;
    client
        .control(reqwest::Method::PUT, "delay", json!({ "ms": 60_000 }))
        .await;
    let impatient = client
        .request(reqwest::Method::GET, "/crm/v8/Accounts?fields=id")
        .timeout(std::time::Duration::from_millis(200))
        .send()
        .await;
    assert!(impatient.is_err());
    client
        .control(reqwest::Method::PUT, "delay", json!({ "ms": 0 }))
        .await;
    let patient = async {
        while client.get("/crm/v8/Accounts?fields=id").await.status() != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), patient)
        .await
        .unwrap();
}
