//! Consent, codes and tokens.

use crate::{BASE, REDIRECT, World, refused, start};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::collections::HashMap;
use zoho_sim::oauth::{Client, Consent};
use zoho_sim::{OrganisationSpec, Request, Zoho};

struct Accounts {
    zoho: Zoho,
    now: Timestamp,
}

impl Accounts {
    fn new(dc: &str) -> Self {
        let mut zoho = Zoho::new(3, BASE);
        zoho.oauth.register(Client {
            id: "client".to_owned(),
            secret: Some("secret".to_owned()),
            secrets: [(crate::dc("in"), "indian".to_owned())].into(),
            redirect_uris: vec![REDIRECT.to_owned()],
            ..Client::default()
        });
        zoho.oauth.settings.consent = Consent::Accept;
        zoho.add_organisation(
            &OrganisationSpec {
                dc: dc.to_owned(),
                accounts: 3,
                ..OrganisationSpec::default()
            },
            start(),
        );
        Self { zoho, now: start() }
    }

    fn authorize(&mut self, dc: &str, extra: &[(&str, &str)]) -> zoho_sim::Answer {
        let mut request = Request::get("/oauth/v2/auth");
        let usual = [
            ("client_id", "client"),
            ("response_type", "code"),
            ("redirect_uri", REDIRECT),
            ("scope", "ZohoCRM.modules.ALL,ZohoCRM.coql.READ"),
            ("access_type", "offline"),
            ("state", "abc"),
        ];
        for (name, value) in usual
            .iter()
            .filter(|(name, _)| extra.iter().all(|(other, _)| other != name))
            .chain(extra)
        {
            request = request.query(name, *value);
        }
        self.zoho.answer(dc, &request, self.now)
    }

    fn callback(&mut self, dc: &str, extra: &[(&str, &str)]) -> HashMap<String, String> {
        let answer = self.authorize(dc, extra);
        assert_eq!(
            answer.status,
            302,
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
        let location = answer.header("Location").unwrap().to_owned();
        assert!(location.starts_with(REDIRECT));
        url::Url::parse(&location)
            .unwrap()
            .query_pairs()
            .into_owned()
            .collect()
    }

    fn token(&mut self, dc: &str, pairs: &[(&str, &str)]) -> Value {
        let answer = self.zoho.answer(
            dc,
            &Request::with_target(http::Method::POST, "/oauth/v2/token").form(pairs),
            self.now,
        );
        assert_eq!(
            answer.status, 200,
            "the token endpoint fails with 200 as well"
        );
        answer.value()
    }

    fn exchange(&mut self, dc: &str, code: &str) -> Value {
        self.token(dc, &exchange(code))
    }

    fn refresh(&mut self, token: &str) -> Value {
        self.token(
            "us",
            &[
                ("grant_type", "refresh_token"),
                ("client_id", "client"),
                ("client_secret", "secret"),
                ("refresh_token", token),
            ],
        )
    }

    fn works(&mut self, token: &str) -> bool {
        let request = Request::get("/crm/v8/Accounts?fields=Account_Name").token(token);
        self.zoho.answer("us", &request, self.now).status == 200
    }
}

fn exchange(code: &str) -> Vec<(&str, &str)> {
    vec![
        ("grant_type", "authorization_code"),
        ("client_id", "client"),
        ("client_secret", "secret"),
        ("redirect_uri", REDIRECT),
        ("code", code),
    ]
}

#[test]
fn a_code_becomes_tokens_that_work() {
    let mut accounts = Accounts::new("us");
    let callback = accounts.callback("us", &[]);
    assert_eq!(callback["location"], "us");
    assert_eq!(callback["accounts-server"], format!("{BASE}/us"));
    assert_eq!(callback["state"], "abc");
    let reply = accounts.exchange("us", &callback["code"]);
    assert_eq!(reply["api_domain"], format!("{BASE}/us"));
    assert_eq!(reply["token_type"], "Bearer");
    assert_eq!(reply["expires_in"], 3600);
    let token = reply["access_token"].as_str().unwrap();
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!((parts[0], parts[1].len(), parts[2].len()), ("1000", 32, 32));
    assert!(accounts.works(token));
    let again = accounts.refresh(reply["refresh_token"].as_str().unwrap());
    assert!(again.get("refresh_token").is_none());
    assert!(accounts.works(again["access_token"].as_str().unwrap()));
}

#[test]
fn the_page_of_another_data_centre_leads_to_the_users_own() {
    let mut accounts = Accounts::new("eu");
    let callback = accounts.callback("us", &[]);
    assert_eq!(callback["location"], "eu");
    assert_eq!(callback["accounts-server"], format!("{BASE}/eu"));
    assert_eq!(
        accounts.exchange("us", &callback["code"])["error"],
        "invalid_code"
    );
    let reply = accounts.exchange("eu", &callback["code"]);
    assert_eq!(reply["api_domain"], format!("{BASE}/eu"));
    let token = reply["access_token"].as_str().unwrap().to_owned();
    let request = Request::get("/crm/v8/Accounts?fields=Account_Name").token(&token);
    refused(
        &accounts.zoho.answer("us", &request, start()),
        401,
        "INVALID_TOKEN",
    );
    accounts.zoho.name_wrong_host = true;
    refused(
        &accounts.zoho.answer("us", &request, start()),
        400,
        "INVALID_HOST",
    );
    assert_eq!(accounts.zoho.answer("eu", &request, start()).status, 200);
}

#[test]
fn a_code_lives_shortly_and_once() {
    let mut accounts = Accounts::new("us");
    let code = accounts.callback("us", &[])["code"].clone();
    accounts.now += SignedDuration::from_secs(120);
    assert_eq!(accounts.exchange("us", &code)["error"], "invalid_code");
    let code = accounts.callback("us", &[])["code"].clone();
    accounts.now += SignedDuration::from_secs(119);
    assert!(accounts.exchange("us", &code)["access_token"].is_string());
    assert_eq!(accounts.exchange("us", &code)["error"], "invalid_code");
}

#[test]
fn every_mistake_at_the_token_endpoint_has_its_word() {
    let mut accounts = Accounts::new("us");
    let code = accounts.callback("us", &[])["code"].clone();
    for (name, value, error) in [
        ("client_id", "nobody", "invalid_client"),
        ("client_secret", "wrong", "invalid_client_secret"),
        (
            "redirect_uri",
            "https://elsewhere.test/",
            "invalid_redirect_uri",
        ),
        ("code", "1000.x.y", "invalid_code"),
        ("grant_type", "password", "unsupported_grant_type"),
    ] {
        let pairs: Vec<(&str, &str)> = exchange(&code)
            .into_iter()
            .map(|(key, old)| (key, if key == name { value } else { old }))
            .collect();
        assert_eq!(accounts.token("us", &pairs)["error"], error);
    }
    assert_eq!(
        accounts.refresh("1000.unknown.token")["error"],
        "invalid_code"
    );
    assert_eq!(
        accounts.token("in", &exchange(&code))["error"],
        "invalid_client_secret",
        "India has a secret of its own"
    );
}

#[test]
fn the_token_endpoint_takes_a_query_too() {
    let mut accounts = Accounts::new("us");
    let code = accounts.callback("us", &[])["code"].clone();
    let mut request = Request::with_target(http::Method::POST, "/oauth/v2/token");
    for (name, value) in exchange(&code) {
        request = request.query(name, value);
    }
    assert!(accounts.zoho.answer("us", &request, start()).value()["access_token"].is_string());
}

#[test]
fn a_refresh_token_comes_offline_and_at_the_first_consent_or_when_asked_for() {
    let mut accounts = Accounts::new("us");
    let refresh = |accounts: &mut Accounts, extra: &[(&str, &str)]| {
        let code = accounts.callback("us", extra)["code"].clone();
        accounts.exchange("us", &code)["refresh_token"].is_string()
    };
    assert!(!refresh(
        &mut accounts,
        &[("access_type", "online"), ("login", "0.0")]
    ));
    assert!(!refresh(&mut accounts, &[]), "the consent was given before");
    assert!(refresh(&mut accounts, &[("prompt", "consent")]));
}

#[test]
fn wrong_authorize_requests_show_a_page() {
    let mut accounts = Accounts::new("us");
    for extra in [
        ("client_id", "nobody"),
        ("redirect_uri", "https://evil.test/"),
        ("response_type", "token"),
        ("scope", "everything"),
    ] {
        assert_eq!(accounts.authorize("us", &[extra]).status, 400, "{extra:?}");
    }
}

#[test]
fn a_person_accepts_or_denies() {
    let mut accounts = Accounts::new("us");
    accounts.zoho.oauth.settings.consent = Consent::Ask;
    let page = String::from_utf8(accounts.authorize("us", &[]).body).unwrap();
    assert!(page.contains("value=\"accept\"") && page.contains("value=\"deny\""));
    let form = [
        ("client_id", "client"),
        ("response_type", "code"),
        ("redirect_uri", REDIRECT),
        ("scope", "ZohoCRM.modules.ALL"),
        ("state", "abc"),
        ("decision", "deny"),
    ];
    let post = |form: &[(&str, &str)]| {
        Request::with_target(http::Method::POST, "/oauth/v2/auth/decision").form(form)
    };
    let denied = accounts.zoho.answer("us", &post(&form), start());
    assert_eq!(
        denied.header("Location"),
        Some("https://app.test/callback?error=access_denied&state=abc")
    );
    let mut form = form;
    form[5] = ("decision", "accept");
    let accepted = accounts.zoho.answer("us", &post(&form), start());
    assert!(accepted.header("Location").unwrap().contains("code=1000."));
    accounts.zoho.oauth.settings.consent = Consent::Deny;
    assert!(
        accounts
            .authorize("us", &[])
            .header("Location")
            .unwrap()
            .contains("access_denied")
    );
}

#[test]
fn ten_refreshes_in_ten_minutes() {
    let mut accounts = Accounts::new("us");
    let code = accounts.callback("us", &[])["code"].clone();
    let refresh = accounts.exchange("us", &code)["refresh_token"]
        .as_str()
        .unwrap()
        .to_owned();
    for _ in 0..9 {
        assert!(accounts.refresh(&refresh)["access_token"].is_string());
    }
    assert_eq!(accounts.refresh(&refresh)["error"], "Access Denied");
    accounts.now += SignedDuration::from_mins(10);
    assert!(accounts.refresh(&refresh)["access_token"].is_string());
}

#[test]
fn the_sixteenth_live_token_displaces_the_first() {
    let mut accounts = Accounts::new("us");
    let code = accounts.callback("us", &[])["code"].clone();
    let reply = accounts.exchange("us", &code);
    let (first, refresh) = (
        reply["access_token"].as_str().unwrap().to_owned(),
        reply["refresh_token"].as_str().unwrap().to_owned(),
    );
    for _ in 0..14 {
        accounts.now += SignedDuration::from_secs(120);
        assert!(accounts.refresh(&refresh)["access_token"].is_string());
    }
    assert!(accounts.works(&first));
    accounts.now += SignedDuration::from_secs(120);
    assert!(accounts.refresh(&refresh)["access_token"].is_string());
    assert!(!accounts.works(&first));
}

#[test]
fn the_twenty_first_refresh_token_displaces_the_first_with_its_access_tokens() {
    let mut accounts = Accounts::new("us");
    let mut tokens = Vec::new();
    for _ in 0..21 {
        accounts.now += SignedDuration::from_secs(120);
        let code = accounts.callback("us", &[("prompt", "consent")])["code"].clone();
        tokens.push(accounts.exchange("us", &code));
    }
    assert!(!accounts.works(tokens[0]["access_token"].as_str().unwrap()));
    assert_eq!(
        accounts.refresh(tokens[0]["refresh_token"].as_str().unwrap())["error"],
        "invalid_code"
    );
    assert!(accounts.works(tokens[1]["access_token"].as_str().unwrap()));
}

#[test]
fn ten_codes_in_ten_minutes() {
    let mut accounts = Accounts::new("us");
    for _ in 0..10 {
        assert_eq!(accounts.authorize("us", &[]).status, 302);
    }
    assert_eq!(accounts.authorize("us", &[]).status, 400);
    accounts.now += SignedDuration::from_mins(10);
    assert_eq!(accounts.authorize("us", &[]).status, 302);
}

#[test]
fn revoking_a_refresh_token_kills_its_access_tokens() {
    let mut accounts = Accounts::new("us");
    let code = accounts.callback("us", &[])["code"].clone();
    let reply = accounts.exchange("us", &code);
    let revoke = |token: &str| {
        Request::with_target(http::Method::POST, "/oauth/v2/token/revoke").query("token", token)
    };
    let answer = accounts.zoho.answer(
        "us",
        &revoke(reply["refresh_token"].as_str().unwrap()),
        start(),
    );
    assert_eq!(answer.value()["status"], "success");
    assert!(!accounts.works(reply["access_token"].as_str().unwrap()));
    assert_eq!(
        accounts
            .zoho
            .answer("us", &revoke("1000.x.y"), start())
            .status,
        400
    );
}

#[test]
fn the_api_wants_a_living_token_in_its_own_form() {
    let mut world = World::new();
    let request = Request::get("/crm/v8/Accounts?fields=Account_Name");
    refused(
        &world.zoho.answer("us", &request, world.now),
        401,
        "AUTHENTICATION_FAILURE",
    );
    let bearer = request
        .clone()
        .header("Authorization", format!("Bearer {}", world.token));
    refused(
        &world.zoho.answer("us", &bearer, world.now),
        401,
        "AUTHENTICATION_FAILURE",
    );
    refused(
        &world
            .zoho
            .answer("us", &request.token("1000.x.y"), world.now),
        401,
        "INVALID_TOKEN",
    );
    world.pass(3_600);
    refused(
        &world.get("Accounts?fields=Account_Name"),
        401,
        "INVALID_TOKEN",
    );
}

#[test]
fn scopes_are_enforced() {
    for (scopes, target, status) in [
        (
            vec!["ZohoCRM.modules.accounts.READ"],
            "Accounts?fields=Account_Name",
            200,
        ),
        (
            vec!["ZohoCRM.modules.accounts.ALL"],
            "Contacts?fields=Last_Name",
            401,
        ),
        (
            vec!["ZohoCRM.modules.CREATE"],
            "Accounts?fields=Account_Name",
            401,
        ),
        (
            vec!["ZohoCRM.modules.READ"],
            "Contacts?fields=Last_Name",
            200,
        ),
        (vec!["ZohoCRM.modules.ALL"], "users?type=AllUsers", 401),
        (
            vec!["ZohoCRM.settings.fields.READ"],
            "settings/fields?module=Accounts",
            200,
        ),
        (
            vec!["ZohoCRM.settings.fields.READ"],
            "settings/modules",
            401,
        ),
        (vec!["ZohoCRM.settings.READ"], "settings/modules", 200),
        (vec!["ZohoCRM.org.READ"], "org", 200),
    ] {
        let mut world = World::new();
        world.token = world.token_with(&scopes);
        let answer = world.get(target);
        assert_eq!(answer.status, status, "{scopes:?} {target}");
        if status == 401 {
            refused(&answer, 401, "OAUTH_SCOPE_MISMATCH");
        }
    }
    let mut world = World::new();
    world.token = world.token_with(&["ZohoCRM.coql.READ"]);
    refused(
        &world.coql("select id from Accounts where id is not null"),
        401,
        "OAUTH_SCOPE_MISMATCH",
    );
    world.token = world.token_with(&["ZohoCRM.modules.READ"]);
    refused(
        &world.coql("select id from Accounts where id is not null"),
        401,
        "OAUTH_SCOPE_MISMATCH",
    );
}

#[test]
fn fewer_scopes_can_be_granted() {
    let mut accounts = Accounts::new("us");
    accounts.zoho.oauth.settings.granted = Some(vec!["ZohoCRM.coql.READ".to_owned()]);
    let code = accounts.callback("us", &[])["code"].clone();
    let reply = accounts.exchange("us", &code);
    assert_eq!(reply["scope"], "ZohoCRM.coql.READ");
    assert!(!accounts.works(reply["access_token"].as_str().unwrap()));
}
