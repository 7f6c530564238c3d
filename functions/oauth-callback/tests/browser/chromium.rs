//! Chromium without a window, told what to do by WebDriver, and what it noticed.
//!
//! The protocol is spoken here: it takes ten requests, and crates for it have serde_json keep the order of fields in the whole workspace, or
//! come under a licence that is not among ours.

use std::path::Path;
use std::process::Stdio;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// By what name an element's id goes in answers.
/// Source: W3C WebDriver, "Elements".
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser.
pub(crate) struct Chromium {
    http: reqwest::Client,
    session: String,
    /// Its driver, which ends with it.
    _driver: Child,
}

/// An element of the page shown.
pub(crate) struct Element<'a> {
    browser: &'a Chromium,
    path: String,
}

impl Element<'_> {
    pub(crate) async fn click(&self) {
        let path = format!("{}/click", self.path);
        self.browser.post(&path, json!({})).await;
    }

    pub(crate) async fn text(&self) -> String {
        let text = self.browser.get(&format!("{}/text", self.path)).await;
        text.as_str().unwrap().to_owned()
    }
}

impl Chromium {
    /// Starts it; none where it is not installed and need not be.
    pub(crate) async fn start() -> Option<Self> {
        let started = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut driver = match started {
            Ok(driver) => driver,
            Err(error) => {
                let what = format!("chromedriver does not start, install chromium-driver: {error}");
                assert_ne!(option_env!("CI"), Some("true"), "{what}");
                eprintln!("not checked: {what}");
                return None;
            }
        };
        let mut said = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = loop {
            let line = said.next_line().await.unwrap().unwrap();
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        let arguments = [
            "--headless=new",
            // Its own sandbox does not work for root, nor in most containers.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--window-size=1000,900",
            // Whoever is asked for but this machine is not found.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        ];
        let wanted = json!({
            // A click can return before the page that it leads to is there.
            "timeouts": { "implicit": 10_000 },
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        });
        let wanted = json!({ "capabilities": { "alwaysMatch": wanted } });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut browser = Self {
            http,
            session: format!("http://127.0.0.1:{port}/session"),
            _driver: driver,
        };
        let answer = browser.post("", wanted).await;
        let session = answer["sessionId"].as_str().unwrap();
        browser.session = format!("{}/{session}", browser.session);
        Some(browser)
    }

    pub(crate) async fn opens(&self, url: &str) {
        self.post("/url", json!({ "url": url })).await;
    }

    pub(crate) async fn reloads(&self) {
        self.post("/refresh", json!({})).await;
    }

    /// The first element that the selector picks.
    pub(crate) async fn find(&self, selector: &str) -> Element<'_> {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = self.post("/element", wanted).await;
        Element {
            browser: self,
            path: format!("/element/{}", found[ELEMENT].as_str().unwrap()),
        }
    }

    /// That the page shown says so.
    pub(crate) async fn says(&self, words: &[&str]) {
        let text = self.find("main").await.text().await;
        for words in words {
            assert!(text.contains(words), "{words:?} in {text}");
        }
    }

    /// Keeps a picture for people, below `target/tmp`.
    pub(crate) async fn picture(&self, name: &str) {
        let picture = self.get("/screenshot").await;
        let picture = BASE64_STANDARD.decode(picture.as_str().unwrap());
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("oauth-{name}.png"));
        std::fs::write(file, picture.unwrap()).unwrap();
    }

    /// That no page of ours left anything in the console, nobody but these was asked for anything, and no page of ours told whence the browser came.
    pub(crate) async fn assert_kept_to(&self, ours: &str, zoho: &str) {
        for entry in self.noticed("browser").await {
            // The status of a refusal's page is no error of the page, and Zoho's consent page not ours.
            let message = entry["message"].as_str().unwrap();
            let of_page = message.starts_with(&format!("{ours}/oauth/callback"));
            let refused = of_page && message.contains("responded with a status of 4");
            let is_zohos = message.starts_with(zoho);
            assert!(refused || is_zohos, "in the console: {entry}");
        }
        let mut asked = 0;
        for entry in self.noticed("performance").await {
            let event: Json = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            if event["message"]["method"] != "Network.requestWillBeSent" {
                continue;
            }
            let request = &event["message"]["params"]["request"];
            let url = request["url"].as_str().unwrap();
            let known = [ours, zoho].map(|known| format!("{known}/"));
            assert!(
                known.iter().any(|known| url.starts_with(known)),
                "asked for {url}"
            );
            let from = request["headers"]["Referer"].as_str().unwrap_or_default();
            assert!(!from.starts_with(ours), "told whence: {request}");
            asked += 1;
        }
        assert!(asked >= 8, "the way has more than {asked} requests");
    }

    /// What was noticed since the last time: `browser` is the console, `performance` the network.
    async fn noticed(&self, what: &str) -> Vec<Json> {
        let noticed = self.post("/se/log", json!({ "type": what })).await;
        noticed.as_array().unwrap().clone()
    }

    /// Ends it.
    pub(crate) async fn quit(self) {
        self.ask(self.http.delete(&self.session)).await;
    }

    async fn post(&self, path: &str, body: Json) -> Json {
        let request = self.http.post(format!("{}{path}", self.session));
        self.ask(request.json(&body)).await
    }

    async fn get(&self, path: &str) -> Json {
        self.ask(self.http.get(format!("{}{path}", self.session)))
            .await
    }

    async fn ask(&self, request: reqwest::RequestBuilder) -> Json {
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let answer: Json = answer.json().await.unwrap();
        assert!(status.is_success(), "{}", answer["value"]["message"]);
        answer["value"].clone()
    }
}
