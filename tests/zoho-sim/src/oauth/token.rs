//! The token endpoint.

use super::{
    AccessToken, Grant, IN_WINDOW, LIVE_ACCESS_TOKENS, OAuth, REFRESH_TOKENS, RefreshToken,
    Surroundings, TOO_MANY, WINDOW, value,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::VecDeque;

impl OAuth {
    pub(super) fn token(&mut self, form: &[(String, String)], around: &Surroundings<'_>) -> Value {
        self.token_reply(form, around).unwrap_or_else(|error| {
            if error == TOO_MANY {
                json!({
                    "error": TOO_MANY,
                    "error_description": "You have made too many requests continuously. Please try again after some time.",
                    "status": "failure",
                })
            } else {
                json!({ "error": error })
            }
        })
    }

    fn token_reply(
        &mut self,
        form: &[(String, String)],
        around: &Surroundings<'_>,
    ) -> Result<Value, &'static str> {
        let client = value(form, "client_id")
            .and_then(|id| self.clients.get(id))
            .ok_or("invalid_client")?;
        if !client.accepts(around.dc, value(form, "client_secret").unwrap_or_default()) {
            return Err("invalid_client_secret");
        }
        let client = client.id.clone();
        match value(form, "grant_type") {
            Some("authorization_code") => self.exchange(
                &client,
                value(form, "code"),
                value(form, "redirect_uri"),
                around,
            ),
            Some("refresh_token") => self.refresh(&client, value(form, "refresh_token"), around),
            Some("client_credentials") => {
                self.client_credentials(&client, value(form, "soid"), value(form, "scope"), around)
            }
            Some(_) => Err("unsupported_grant_type"),
            None => Err("general_error"),
        }
    }

    fn exchange(
        &mut self,
        client: &str,
        code: Option<&str>,
        redirect_uri: Option<&str>,
        around: &Surroundings<'_>,
    ) -> Result<Value, &'static str> {
        let given = code.unwrap_or_default();
        let code = self.codes.get(given).ok_or("invalid_code")?;
        if code.grant.client != client || code.grant.dc != around.dc || around.now >= code.expires {
            return Err("invalid_code");
        }
        if redirect_uri != Some(code.redirect_uri.as_str()) {
            return Err("invalid_redirect_uri");
        }
        let code = self.codes.remove(given).ok_or("invalid_code")?;
        let refresh = if code.with_refresh {
            Some(self.new_refresh_token(&code.grant, around.now)?)
        } else {
            None
        };
        let mut reply = self.new_access_token(code.grant, refresh.clone(), around)?;
        if let (Some(refresh), Some(reply)) = (refresh, reply.as_object_mut()) {
            reply.insert("refresh_token".to_owned(), json!(refresh));
        }
        Ok(reply)
    }

    fn new_refresh_token(&mut self, grant: &Grant, now: Timestamp) -> Result<String, &'static str> {
        let same = |token: &RefreshToken| {
            token.grant.client == grant.client && token.grant.user == grant.user
        };
        let recent = self
            .refresh_tokens
            .iter()
            .filter(|token| same(token) && now.duration_since(token.created) < WINDOW)
            .count();
        if self.settings.limits && recent >= IN_WINDOW {
            return Err(TOO_MANY);
        }
        if self
            .refresh_tokens
            .iter()
            .filter(|token| same(token))
            .count()
            >= REFRESH_TOKENS
            && let Some(oldest) = self
                .refresh_tokens
                .iter()
                .find(|token| same(token))
                .map(|token| token.token.clone())
        {
            self.forget_refresh_token(&oldest);
        }
        let token = self.new_token();
        self.refresh_tokens.push(RefreshToken {
            token: token.clone(),
            grant: grant.clone(),
            created: now,
            issued: VecDeque::new(),
        });
        Ok(token)
    }

    fn refresh(
        &mut self,
        client: &str,
        token: Option<&str>,
        around: &Surroundings<'_>,
    ) -> Result<Value, &'static str> {
        let known = self
            .refresh_tokens
            .iter()
            .find(|known| {
                Some(known.token.as_str()) == token
                    && known.grant.client == client
                    && known.grant.dc == around.dc
            })
            .ok_or("invalid_code")?;
        let (grant, token) = (known.grant.clone(), known.token.clone());
        self.new_access_token(grant, Some(token), around)
    }

    fn client_credentials(
        &mut self,
        client: &str,
        soid: Option<&str>,
        scope: Option<&str>,
        around: &Surroundings<'_>,
    ) -> Result<Value, &'static str> {
        let organisation = soid
            .and_then(|soid| soid.strip_prefix("ZohoCRM."))
            .and_then(|id| around.organisations.get(&id.parse().ok()?))
            .filter(|organisation| organisation.dc == around.dc)
            .ok_or("invalid_client")?;
        let grant = Grant {
            client: client.to_owned(),
            organisation: organisation.id,
            user: organisation.administrator(),
            scopes: scope
                .unwrap_or_default()
                .split(',')
                .map(str::to_owned)
                .collect(),
            dc: organisation.dc,
        };
        self.new_access_token(grant, None, around)
    }

    fn new_access_token(
        &mut self,
        grant: Grant,
        refresh: Option<String>,
        around: &Surroundings<'_>,
    ) -> Result<Value, &'static str> {
        let now = around.now;
        if let Some(refresh) = &refresh
            && let Some(known) = self
                .refresh_tokens
                .iter_mut()
                .find(|known| known.token == *refresh)
        {
            known
                .issued
                .retain(|issued| now.duration_since(*issued) < WINDOW);
            if self.settings.limits && known.issued.len() >= IN_WINDOW {
                return Err(TOO_MANY);
            }
            known.issued.push_back(now);
        }
        self.access_tokens.retain(|token| token.expires > now);
        if refresh.is_some() {
            let same = |token: &AccessToken| token.refresh == refresh;
            while self
                .access_tokens
                .iter()
                .filter(|token| same(token))
                .count()
                >= LIVE_ACCESS_TOKENS
            {
                let Some(oldest) = self.access_tokens.iter().position(same) else {
                    break;
                };
                self.access_tokens.remove(oldest);
            }
        }
        let token = self.new_token();
        let reply = json!({
            "access_token": token,
            "scope": grant.scopes.join(" "),
            "api_domain": format!("{}/{}", around.base_url, grant.dc),
            "token_type": "Bearer",
            "expires_in": self.settings.token_life.as_secs(),
        });
        self.access_tokens.push(AccessToken {
            token,
            grant,
            refresh,
            expires: now + self.settings.token_life,
            used: false,
        });
        Ok(reply)
    }
}
