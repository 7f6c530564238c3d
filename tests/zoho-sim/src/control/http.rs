//! The control API: the verbs as JSON over HTTP, without the HTTP.

use super::bodies::{
    BulkBody, ClientBody, Clock, Delay, FieldBody, IssueBody, MergeBody, ModuleBody,
    OrganisationBody, RevokeBody, SettingsBody, TransferBody, UsageBody, UserBody, WriteBody,
};
use super::{ControlError, Edit, RecordFlags};
use crate::faults::{Fault, Throttle};
use crate::generate::OrganisationSpec;
use crate::oauth::{Client, Grant};
use crate::request::{Answer, Request};
use crate::zoho::Zoho;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};

type Reply = Result<Json, ControlError>;

/// The most records of a kind that an organisation is made with: what this machine may still hold.
const LARGEST: usize = 1_000_000;

/// The longest time that is taken, in seconds: a hundred years. Added to a date of today it is a date still.
const LONGEST: u64 = 3_155_760_000;

impl Zoho {
    /// Answers a request to the control API; the path is what follows `/control/`.
    pub fn control(&mut self, request: &Request, now: Timestamp) -> Answer {
        let segments: Vec<&str> = request
            .path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .collect();
        match self.control_reply(request, &segments, now) {
            Ok(reply) => Answer::json(200, &reply),
            Err(error) => {
                let status = match error {
                    ControlError::NoOrganisation(_)
                    | ControlError::NoModule(_)
                    | ControlError::NoField(_)
                    | ControlError::NoRecord(_) => 404,
                    ControlError::Refused { .. } | ControlError::Invalid(_) => 400,
                };
                Answer::json(status, &json!({ "error": error.to_string() }))
            }
        }
    }

    fn control_reply(&mut self, request: &Request, segments: &[&str], now: Timestamp) -> Reply {
        match (request.method.as_str(), segments) {
            (
                _,
                [
                    "records" | "deleted" | "fields" | "modules" | "users" | "usage"
                    | "automations",
                    ..,
                ],
            ) => {
                let organisation = self.chosen(request)?;
                self.control_organisation(request, segments, organisation, now)
            }
            ("GET", ["organisations"]) => Ok(self.organisations().map(summary).collect()),
            ("POST", ["organisations"]) => {
                let spec: OrganisationSpec = body(request)?;
                if spec.dc.parse::<crate::DataCentre>().is_err() {
                    return Err(ControlError::Invalid("unknown data centre".to_owned()));
                }
                if spec.largest() > LARGEST {
                    let reason = format!("an organisation has at most {LARGEST} of each");
                    return Err(ControlError::Invalid(reason));
                }
                let id = self.add_organisation(&spec, now);
                Ok(self.organisation(id).map(summary).unwrap_or_default())
            }
            ("PATCH", ["organisations", id]) => {
                self.patch_organisation(number(id)?, &body(request)?)
            }
            ("POST", ["clients"]) => {
                let client: ClientBody = body(request)?;
                let secrets = client
                    .secrets
                    .into_iter()
                    .map(|(dc, secret)| dc.parse().map(|dc| (dc, secret)))
                    .collect::<Result<_, _>>()
                    .map_err(|_| ControlError::Invalid("unknown data centre".to_owned()))?;
                self.oauth.register(Client {
                    name: client.name.unwrap_or_else(|| client.client_id.clone()),
                    id: client.client_id,
                    secret: client.client_secret,
                    secrets,
                    redirect_uris: client.redirect_uris,
                });
                Ok(json!({}))
            }
            ("GET", ["settings"]) => Ok(self.show_settings()),
            ("PATCH", ["settings"]) => {
                self.patch_settings(body(request)?)?;
                Ok(self.show_settings())
            }
            ("POST", ["tokens"]) => self.issue(body(request)?, now),
            ("POST", ["revoke"]) => self.revoke(body(request)?),
            ("GET", ["faults"]) => {
                let (faults, throttles) = self.faults.pending();
                Ok(
                    json!({ "faults": faults, "throttles": throttles, "delay_ms": self.faults.delay_ms }),
                )
            }
            ("DELETE", ["faults"]) => {
                self.faults.clear();
                Ok(json!({}))
            }
            ("POST", ["fail"]) => {
                self.faults.fail(body::<Fault>(request)?);
                Ok(json!({}))
            }
            ("POST", ["throttle"]) => {
                self.faults.throttle(body::<Throttle>(request)?);
                Ok(json!({}))
            }
            ("PUT", ["delay"]) => {
                self.faults.delay_ms = body::<Delay>(request)?.ms;
                Ok(json!({}))
            }
            ("GET", ["clock"]) => Ok(self.show_clock(now)),
            ("PUT", ["clock"]) => {
                let before = self.clock_offset;
                self.clock_offset = span(body::<Clock>(request)?.seconds)?;
                Ok(self.show_clock(now + self.clock_offset - before))
            }
            ("POST", ["clock", "advance"]) => {
                let step = span(body::<Clock>(request)?.seconds)?;
                self.clock_offset = span((self.clock_offset + step).as_secs())?;
                Ok(self.show_clock(now + step))
            }
            ("GET", ["requests"]) => {
                let since = request
                    .parameter("since")
                    .map(number)
                    .transpose()?
                    .unwrap_or(0);
                let limit = request
                    .parameter("limit")
                    .map(number)
                    .transpose()?
                    .unwrap_or(1_000);
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                let served: Vec<_> = self.journal.since(since).take(limit).collect();
                Ok(json!({ "latest": self.journal.latest(), "requests": served }))
            }
            ("DELETE", ["requests"]) => {
                self.journal.reset();
                Ok(json!({ "latest": self.journal.latest() }))
            }
            _ => Err(ControlError::Invalid(format!(
                "no such control: {} {}",
                request.method, request.path
            ))),
        }
    }

    /// The organisation in `org`, else the first one.
    fn chosen(&self, request: &Request) -> Result<u64, ControlError> {
        match request.parameter("org") {
            Some(id) => number(id),
            None => self
                .organisations
                .keys()
                .next()
                .copied()
                .ok_or(ControlError::NoOrganisation(0)),
        }
    }

    fn control_organisation(
        &mut self,
        request: &Request,
        segments: &[&str],
        org: u64,
        now: Timestamp,
    ) -> Reply {
        match (request.method.as_str(), segments) {
            ("GET", ["records", module]) => self.export(request, org, module, now),
            ("GET", ["records", module, id]) => self.record(org, module, number(id)?, now),
            ("POST", ["records", module]) => {
                let write: WriteBody = body(request)?;
                let id = self.create(org, module, &write.values, write.user, now)?;
                Ok(json!({ "id": id.to_string() }))
            }
            ("PATCH", ["records", module]) => self.bulk_edit(org, module, body(request)?, now),
            ("PATCH", ["records", module, id]) => {
                let write: WriteBody = body(request)?;
                self.edit(org, module, number(id)?, &write.values, write.user, now)?;
                Ok(json!({ "id": id }))
            }
            ("DELETE", ["records", module, id]) => {
                let permanent = request.parameter("permanent") == Some("true");
                self.delete(org, module, number(id)?, permanent, None, now)?;
                Ok(json!({ "id": id }))
            }
            ("POST", ["records", module, id, "restore"]) => {
                self.restore(org, module, number(id)?)?;
                Ok(json!({ "id": id }))
            }
            ("POST", ["records", module, id, "merge"]) => {
                let merge: MergeBody = body(request)?;
                let losers = merge
                    .losers
                    .iter()
                    .map(|id| number(id))
                    .collect::<Result<Vec<_>, _>>()?;
                self.merge(org, module, number(id)?, &losers, merge.user, now)?;
                Ok(json!({ "id": id }))
            }
            ("PUT" | "PATCH", ["records", module, id, "flags"]) => {
                self.flag(org, module, number(id)?, body::<RecordFlags>(request)?)?;
                Ok(json!({ "id": id }))
            }
            ("GET", ["deleted", module]) => {
                let organisation = self
                    .organisation(org)
                    .ok_or(ControlError::NoOrganisation(org))?;
                let table = organisation
                    .table(module)
                    .ok_or_else(|| ControlError::NoModule((*module).to_owned()))?;
                let stones = table.deleted().values().map(|stone| {
                    json!({
                        "id": stone.record.id.to_string(), "deleted_time": stone.deleted.to_string(),
                        "type": if stone.permanent { "permanent" } else { "recycle" },
                    })
                });
                Ok(json!({ "deleted": stones.collect::<Vec<_>>() }))
            }
            ("PATCH", ["fields", module, field]) => {
                let patch: FieldBody = body(request)?;
                if let Some(hidden) = patch.hidden {
                    self.hide_field(org, module, field, hidden)?;
                }
                if let Some(unique) = patch.unique {
                    self.set_unique(org, module, field, unique)?;
                }
                if let Some(alteration) = patch.alteration {
                    self.alter_field(org, module, field, alteration)?;
                }
                Ok(json!({}))
            }
            ("PATCH", ["modules", module]) => {
                self.disable_module(org, module, body::<ModuleBody>(request)?.disabled)?;
                Ok(json!({}))
            }
            ("GET", ["users"]) => {
                let organisation = self
                    .organisation(org)
                    .ok_or(ControlError::NoOrganisation(org))?;
                let users = organisation.users.values().map(|user| {
                    json!({
                        "id": user.id.to_string(), "name": user.full_name(), "email": user.email,
                        "status": user.status.name(), "confirmed": user.confirmed, "administrator": user.administrator,
                    })
                });
                Ok(json!({ "users": users.collect::<Vec<_>>() }))
            }
            ("PATCH", ["users", id]) => {
                let patch: UserBody = body(request)?;
                self.change_user(
                    org,
                    number(id)?,
                    patch.status,
                    patch.time_zone.as_deref(),
                    now,
                )?;
                Ok(json!({ "id": id }))
            }
            ("POST", ["users", id, "transfer"]) => {
                let to = body::<TransferBody>(request)?.to;
                let moved = self.transfer_records(org, number(id)?, number(&to)?, now)?;
                Ok(json!({ "moved": moved }))
            }
            ("GET", ["usage"]) => self.usage(org, now),
            ("POST", ["usage"]) => {
                let usage: UsageBody = body(request)?;
                self.use_credits(org, usage.credits, now)?;
                self.usage(org, now)
            }
            ("DELETE", ["usage"]) => {
                self.reset_usage(org)?;
                Ok(json!({}))
            }
            ("GET", ["automations"]) => {
                let organisation = self
                    .organisation(org)
                    .ok_or(ControlError::NoOrganisation(org))?;
                Ok(json!({ "automations": organisation.automations }))
            }
            _ => Err(ControlError::Invalid(format!(
                "no such control: {} {}",
                request.method, request.path
            ))),
        }
    }

    fn export(&self, request: &Request, org: u64, module: &str, now: Timestamp) -> Reply {
        let mut records = self.records(org, module, now)?;
        if let Some(ids) = request.parameter("ids") {
            let ids: Vec<&str> = ids.split(',').map(str::trim).collect();
            records.retain(|record| {
                record
                    .get("id")
                    .and_then(Json::as_str)
                    .is_some_and(|id| ids.contains(&id))
            });
        }
        if let Some(condition) = request.parameter("where") {
            let ids = self.matching(org, module, condition, now)?;
            records.retain(|record| {
                let id = record
                    .get("id")
                    .and_then(Json::as_str)
                    .and_then(|id| id.parse().ok());
                id.is_some_and(|id| ids.binary_search(&id).is_ok())
            });
        }
        Ok(json!({ "records": records }))
    }

    fn bulk_edit(&mut self, org: u64, module: &str, bulk: BulkBody, now: Timestamp) -> Reply {
        let mut edited = 0;
        if let (Some(condition), Some(values)) = (&bulk.condition, &bulk.values) {
            for id in self.matching(org, module, condition, now)? {
                self.edit(org, module, id, values, bulk.user, now)?;
                edited += 1;
            }
        }
        for edit in &bulk.edits {
            let edit = Edit {
                id: number(&edit.id)?,
                values: edit.values.clone(),
            };
            self.edit(org, module, edit.id, &edit.values, bulk.user, now)?;
            edited += 1;
        }
        Ok(json!({ "edited": edited }))
    }

    fn patch_organisation(&mut self, id: u64, patch: &OrganisationBody) -> Reply {
        let organisation = self
            .organisations
            .get_mut(&id)
            .ok_or(ControlError::NoOrganisation(id))?;
        if let Some(limit) = patch.credit_limit {
            organisation.credit_limit = limit;
        }
        if let Some(limit) = patch.concurrency_limit {
            organisation.concurrency_limit = limit;
        }
        if let Some(ignore) = patch.ignore_empty_edits {
            organisation.ignore_empty_edits = ignore;
        }
        if let Some(active) = patch.workflows {
            for rule in &mut organisation.workflows {
                rule.active = active;
            }
        }
        Ok(summary(organisation))
    }

    fn show_settings(&self) -> Json {
        let settings = &self.oauth.settings;
        json!({
            "consent": settings.consent,
            "login": settings.login.map(|(organisation, user)| json!({
                "organisation": organisation.to_string(), "user": user.to_string(),
            })),
            "granted_scopes": settings.granted,
            "code_life_seconds": settings.code_life.as_secs(),
            "token_life_seconds": settings.token_life.as_secs(),
            "token_limits": settings.limits,
            "name_wrong_host": self.name_wrong_host,
        })
    }

    fn patch_settings(&mut self, patch: SettingsBody) -> Result<(), ControlError> {
        let settings = &mut self.oauth.settings;
        if let Some(consent) = patch.consent {
            settings.consent = consent;
        }
        if let Some(login) = patch.login {
            settings.login = match login {
                None => None,
                Some(login) => {
                    let organisation = number(&login.organisation)?;
                    let known = self
                        .organisations
                        .get(&organisation)
                        .ok_or(ControlError::NoOrganisation(organisation))?;
                    let user = login.user.as_deref().map(number).transpose()?;
                    Some((organisation, user.unwrap_or_else(|| known.administrator())))
                }
            };
        }
        if let Some(granted) = patch.granted_scopes {
            settings.granted = granted;
        }
        if let Some(seconds) = patch.code_life_seconds {
            settings.code_life = span(seconds)?;
        }
        if let Some(seconds) = patch.token_life_seconds {
            settings.token_life = span(seconds)?;
        }
        if let Some(limits) = patch.token_limits {
            settings.limits = limits;
        }
        if let Some(name) = patch.name_wrong_host {
            self.name_wrong_host = name;
        }
        Ok(())
    }

    fn issue(&mut self, wish: IssueBody, now: Timestamp) -> Reply {
        let id = match &wish.organisation {
            Some(id) => number(id)?,
            None => self
                .organisations
                .keys()
                .next()
                .copied()
                .ok_or(ControlError::NoOrganisation(0))?,
        };
        let organisation = self
            .organisation(id)
            .ok_or(ControlError::NoOrganisation(id))?;
        let user = wish
            .user
            .as_deref()
            .map(number)
            .transpose()?
            .unwrap_or_else(|| organisation.administrator());
        let client = wish
            .client_id
            .or_else(|| self.oauth.clients().next().map(|client| client.id.clone()));
        let dc = organisation.dc;
        let grant = Grant {
            client: client.unwrap_or_default(),
            organisation: id,
            user,
            scopes: wish.scopes,
            dc,
        };
        let (access, refresh) = self.oauth.issue(grant, now);
        Ok(json!({
            "access_token": access, "refresh_token": refresh, "api_domain": format!("{}/{dc}", self.base_url()),
        }))
    }

    fn revoke(&mut self, wish: RevokeBody) -> Reply {
        match (wish.token, wish.organisation, wish.scope) {
            (Some(token), ..) => Ok(json!({ "revoked": self.oauth.revoke_token(&token) })),
            (None, Some(organisation), Some(scope)) => {
                self.oauth.revoke_scope(number(&organisation)?, &scope);
                Ok(json!({}))
            }
            (None, Some(organisation), None) => {
                let revoked = self
                    .oauth
                    .revoke_all(number(&organisation)?, wish.refresh_tokens);
                Ok(json!({ "revoked": revoked }))
            }
            _ => Err(ControlError::Invalid(
                "name a token or an organisation".to_owned(),
            )),
        }
    }

    fn show_clock(&self, now: Timestamp) -> Json {
        json!({ "now": now.to_string(), "offset_seconds": self.clock_offset.as_secs() })
    }
}

fn summary(organisation: &crate::Organisation) -> Json {
    let counts: Map<String, Json> = organisation
        .modules()
        .iter()
        .map(|module| {
            let count = organisation
                .table(&module.api_name)
                .map_or(0, |table| table.records().len());
            (module.api_name.clone(), json!(count))
        })
        .collect();
    json!({
        "id": organisation.id.to_string(), "dc": organisation.dc.name(), "name": organisation.name,
        "time_zone": organisation.zone_name, "edition": organisation.edition,
        "administrator": organisation.administrator().to_string(), "users": organisation.users.len(), "records": counts,
    })
}

/// A time by its seconds, in either direction.
fn span(seconds: i64) -> Result<SignedDuration, ControlError> {
    if seconds.unsigned_abs() <= LONGEST {
        Ok(SignedDuration::from_secs(seconds))
    } else {
        let reason = format!("at most {LONGEST} seconds are taken, not {seconds}");
        Err(ControlError::Invalid(reason))
    }
}

fn number(text: &str) -> Result<u64, ControlError> {
    text.parse()
        .map_err(|_| ControlError::Invalid(format!("not a number: {text}")))
}

fn body<T: DeserializeOwned>(request: &Request) -> Result<T, ControlError> {
    let bytes: &[u8] = if request.body.is_empty() {
        b"{}"
    } else {
        &request.body
    };
    serde_json::from_slice(bytes).map_err(|error| ControlError::Invalid(error.to_string()))
}
