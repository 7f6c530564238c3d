//! The page where a person lets an application in.

use super::{Code, Consent, Grant, IN_WINDOW, OAuth, Surroundings, WINDOW, value};
use crate::org::user::UserStatus;
use crate::request::Answer;
use askama::Template;

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage<'a> {
    client: &'a str,
    scopes: Vec<&'a str>,
    action: String,
    hidden: Vec<(&'a str, &'a str)>,
    logins: Vec<(String, String)>,
}

struct Asked {
    client: String,
    redirect_uri: String,
    scopes: Vec<String>,
    offline: bool,
    consent: bool,
    state: Option<String>,
}

impl OAuth {
    pub(super) fn authorize(
        &mut self,
        query: &[(String, String)],
        around: &Surroundings<'_>,
    ) -> Answer {
        let asked = match self.asked(query) {
            Ok(asked) => asked,
            Err(reason) => return error_page(&reason),
        };
        match self.settings.consent {
            Consent::Accept => self.accept(&asked, value(query, "login"), around),
            Consent::Deny => deny(&asked),
            Consent::Ask => {
                let page = ConsentPage {
                    client: self
                        .clients
                        .get(&asked.client)
                        .map_or("", |client| client.name.as_str()),
                    scopes: asked.scopes.iter().map(String::as_str).collect(),
                    action: format!("{}/{}/oauth/v2/auth/decision", around.base_url, around.dc),
                    hidden: query
                        .iter()
                        .filter(|(name, _)| name != "login")
                        .map(|(name, value)| (name.as_str(), value.as_str()))
                        .collect(),
                    logins: self.logins(around),
                };
                page.render().map_or_else(
                    |_| error_page("general_error"),
                    |page| Answer::html(200, page),
                )
            }
        }
    }

    fn logins(&self, around: &Surroundings<'_>) -> Vec<(String, String)> {
        let first = self.login(None, around);
        let mut logins: Vec<(bool, String, String)> = Vec::new();
        for organisation in around.organisations.values() {
            let active = organisation
                .users
                .values()
                .filter(|user| user.status == UserStatus::Active && user.confirmed);
            for user in active.take(20) {
                logins.push((
                    Some((organisation.id, user.id)) != first,
                    format!("{}.{}", organisation.id, user.id),
                    format!(
                        "{} ({}, {})",
                        user.email, organisation.name, organisation.dc
                    ),
                ));
            }
        }
        logins.sort();
        logins
            .into_iter()
            .map(|(_, value, label)| (value, label))
            .collect()
    }

    fn login(&self, wish: Option<&str>, around: &Surroundings<'_>) -> Option<(u64, u64)> {
        let wished = wish.and_then(|wish| {
            let (organisation, user) = wish.split_once('.').unwrap_or((wish, ""));
            let organisation = around.organisations.get(&organisation.parse().ok()?)?;
            let user = user
                .parse()
                .unwrap_or_else(|_| organisation.administrator());
            organisation
                .users
                .contains_key(&user)
                .then_some((organisation.id, user))
        });
        wished.or(self.settings.login).or_else(|| {
            let organisation = around.organisations.values().next()?;
            Some((organisation.id, organisation.administrator()))
        })
    }

    pub(super) fn decide(
        &mut self,
        form: &[(String, String)],
        around: &Surroundings<'_>,
    ) -> Answer {
        let asked = match self.asked(form) {
            Ok(asked) => asked,
            Err(reason) => return error_page(&reason),
        };
        match value(form, "decision") {
            Some("accept") => self.accept(&asked, value(form, "login"), around),
            Some("deny") => deny(&asked),
            _ => error_page("the decision is missing"),
        }
    }

    fn asked(&self, pairs: &[(String, String)]) -> Result<Asked, String> {
        let client = value(pairs, "client_id")
            .and_then(|id| self.clients.get(id))
            .ok_or("invalid_client")?;
        let redirect_uri = value(pairs, "redirect_uri").unwrap_or_default();
        if !client
            .redirect_uris
            .iter()
            .any(|known| known == redirect_uri)
        {
            return Err("invalid_redirect_uri".to_owned());
        }
        if value(pairs, "response_type") != Some("code") {
            return Err("invalid_response_type".to_owned());
        }
        let scopes: Vec<String> = value(pairs, "scope")
            .unwrap_or_default()
            .split([',', ' '])
            .filter(|scope| !scope.is_empty())
            .map(str::to_owned)
            .collect();
        if scopes.is_empty() || scopes.iter().any(|scope| scope.split('.').count() < 2) {
            return Err("invalid_scope".to_owned());
        }
        Ok(Asked {
            client: client.id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            scopes,
            offline: value(pairs, "access_type") == Some("offline"),
            consent: value(pairs, "prompt") == Some("consent"),
            state: value(pairs, "state").map(str::to_owned),
        })
    }

    fn accept(&mut self, asked: &Asked, login: Option<&str>, around: &Surroundings<'_>) -> Answer {
        let Some((organisation, user)) = self.login(login, around) else {
            return error_page("no such user");
        };
        let Some(home) = around.organisations.get(&organisation) else {
            return error_page("no such organisation");
        };
        let now = around.now;
        self.codes_made
            .retain(|(_, made)| now.duration_since(*made) < WINDOW);
        let made = self
            .codes_made
            .iter()
            .filter(|(client, _)| *client == asked.client)
            .count();
        if self.settings.limits && made >= IN_WINDOW {
            return error_page("Access Denied: too many requests made continuously");
        }
        self.codes_made.push_back((asked.client.clone(), now));
        let scopes = match &self.settings.granted {
            Some(granted) => asked
                .scopes
                .iter()
                .filter(|scope| granted.contains(scope))
                .cloned()
                .collect(),
            None => asked.scopes.clone(),
        };
        let first = !self.consented.contains(&(asked.client.clone(), user));
        if first {
            self.consented.push((asked.client.clone(), user));
        }
        let code = self.new_token();
        let grant = Grant {
            client: asked.client.clone(),
            organisation,
            user,
            scopes,
            dc: home.dc,
        };
        self.codes.insert(
            code.clone(),
            Code {
                grant,
                redirect_uri: asked.redirect_uri.clone(),
                expires: now + self.settings.code_life,
                with_refresh: asked.offline && (first || asked.consent),
            },
        );
        let accounts = format!("{}/{}", around.base_url, home.dc);
        let mut pairs = vec![
            ("code", code.as_str()),
            ("location", home.dc.name()),
            ("accounts-server", accounts.as_str()),
        ];
        if let Some(state) = &asked.state {
            pairs.push(("state", state));
        }
        Answer::redirect(&with_pairs(&asked.redirect_uri, &pairs))
    }
}

fn deny(asked: &Asked) -> Answer {
    let mut pairs = vec![("error", "access_denied")];
    if let Some(state) = &asked.state {
        pairs.push(("state", state));
    }
    Answer::redirect(&with_pairs(&asked.redirect_uri, &pairs))
}

fn with_pairs(uri: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    let separator = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{separator}{}", query.finish())
}

fn error_page(reason: &str) -> Answer {
    #[derive(Template)]
    #[template(
        source = "<!doctype html><html lang=\"en\"><title>Error</title><body><h1>Error occurred</h1><p>{{ reason }}</p></body></html>",
        ext = "html"
    )]
    struct ErrorPage<'a> {
        reason: &'a str,
    }
    Answer::html(400, ErrorPage { reason }.render().unwrap_or_default())
}
