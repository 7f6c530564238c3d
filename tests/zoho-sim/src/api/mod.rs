//! The CRM API: who may call what, and which handler answers.

pub(crate) mod bulk;
mod coql;
mod count;
mod deleted;
mod records;
mod related;
mod settings;
mod users;
mod write;

pub(crate) use write::validate::{Writer, changes};
pub(crate) use write::{apply, number};

use crate::journal::Notes;
use crate::oauth::Grant;
use crate::org::schema::Module;
use crate::org::view::Viewer;
use crate::org::{Organisation, user::UserStatus};
use crate::request::{Answer, Refusal, Request};
use http::Method;
use jiff::{Timestamp, tz::TimeZone};
use rand::{RngExt, rngs::StdRng};
use serde_json::json;

/// One authorised call.
pub(crate) struct Call<'a> {
    pub(crate) organisation: &'a mut Organisation,
    pub(crate) grant: &'a Grant,
    pub(crate) request: &'a Request,
    pub(crate) now: Timestamp,
    pub(crate) zone: TimeZone,
    random: &'a mut StdRng,
    notes: &'a mut Notes,
}

/// What a call does to a module's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Read,
    Create,
    Update,
    Delete,
}

pub(crate) fn credit_limit(organisation: &Organisation) -> u32 {
    let users = organisation
        .users
        .values()
        .filter(|user| user.status == UserStatus::Active)
        .count();
    organisation.credit_limit.unwrap_or_else(|| {
        organisation
            .edition
            .credits(u32::try_from(users).unwrap_or(u32::MAX))
    })
}

pub(crate) fn answer(
    organisation: &mut Organisation,
    grant: &Grant,
    request: &Request,
    now: Timestamp,
    random: &mut StdRng,
    notes: &mut Notes,
) -> Result<Answer, Refusal> {
    let zone = organisation
        .users
        .get(&grant.user)
        .map_or(TimeZone::UTC, |user| user.zone.clone());
    let mut call = Call {
        organisation,
        grant,
        request,
        now,
        zone,
        random,
        notes,
    };
    let segments: Vec<&str> = request
        .path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .collect();
    match segments.as_slice() {
        ["crm", "bulk", "v8", "read", rest @ ..] => bulk::answer(&mut call, rest),
        ["crm", "v8", rest @ ..] => route(&mut call, rest),
        ["crm", version, ..] | ["crm", "bulk", version, ..] if is_version(version) => {
            Err(Refusal::new(
                400,
                "API_NOT_SUPPORTED",
                "the API is not supported in this version",
            )
            .details(json!({ "supported_version": "8" })))
        }
        _ => Err(Refusal::invalid_url()),
    }
}

fn is_version(segment: &str) -> bool {
    segment
        .strip_prefix('v')
        .is_some_and(|number| number.parse::<f32>().is_ok())
}

fn route(call: &mut Call<'_>, segments: &[&str]) -> Result<Answer, Refusal> {
    let method = call.request.method.clone();
    match segments {
        ["coql"] => match method {
            Method::POST => coql::query(call),
            _ => Err(Refusal::invalid_method()),
        },
        ["users"] => read_only(&method).and_then(|()| users::list(call)),
        ["users", id] => read_only(&method).and_then(|()| users::one(call, id)),
        ["org"] => read_only(&method).and_then(|()| settings::organisation(call)),
        ["settings", rest @ ..] => read_only(&method).and_then(|()| settings::answer(call, rest)),
        [module] => {
            let at = call.module(module)?;
            match method {
                Method::GET => records::list(call, at),
                Method::POST => write::insert(call, at),
                Method::PUT => write::update(call, at, None),
                Method::DELETE => write::delete(call, at, None),
                _ => Err(Refusal::invalid_method()),
            }
        }
        [module, "upsert"] => {
            let at = call.module(module)?;
            if method == Method::POST {
                write::upsert(call, at)
            } else {
                Err(Refusal::invalid_method())
            }
        }
        [module, "deleted"] => {
            let at = call.module(module)?;
            read_only(&method).and_then(|()| deleted::list(call, at))
        }
        [module, "actions", "count"] => {
            let at = call.module(module)?;
            read_only(&method).and_then(|()| count::count(call, at))
        }
        [module, id] => {
            let at = call.module(module)?;
            match method {
                Method::GET => records::one(call, at, id),
                Method::PUT => write::update(call, at, Some(id)),
                Method::DELETE => write::delete(call, at, Some(id)),
                _ => Err(Refusal::invalid_method()),
            }
        }
        [module, id, list] => {
            let at = call.module(module)?;
            read_only(&method).and_then(|()| related::list(call, at, id, list))
        }
        _ => Err(Refusal::invalid_url()),
    }
}

fn read_only(method: &Method) -> Result<(), Refusal> {
    if *method == Method::GET {
        Ok(())
    } else {
        Err(Refusal::invalid_method())
    }
}

impl Call<'_> {
    /// The place of an enabled module.
    pub(crate) fn module(&mut self, api_name: &str) -> Result<usize, Refusal> {
        let at = self
            .organisation
            .position(api_name)
            .ok_or_else(Refusal::invalid_module)?;
        self.notes.module = Some(api_name.to_owned());
        if self.definition(at)?.disabled {
            Err(Refusal::invalid_module())
        } else {
            Ok(at)
        }
    }

    pub(crate) fn definition(&self, module: usize) -> Result<&Module, Refusal> {
        self.organisation
            .modules
            .get(module)
            .ok_or_else(Refusal::invalid_module)
    }

    pub(crate) fn viewer(&self) -> Viewer {
        Viewer {
            zone: self.zone.clone(),
            now: self.now,
        }
    }

    /// Takes the credits of this call, and a heavy place when it is a heavy one.
    pub(crate) fn charge(&mut self, credits: u32, heavy: bool) -> Result<(), Refusal> {
        if heavy {
            self.organisation.meter.enter_heavy(&self.grant.client)?;
            self.notes.heavy = true;
        }
        let limit = credit_limit(self.organisation);
        self.organisation.meter.charge(credits, limit, self.now)?;
        self.notes.credits += credits;
        Ok(())
    }

    pub(crate) fn rows(&mut self, rows: usize) {
        self.notes.rows = rows;
    }

    pub(crate) fn note_coql(&mut self, query: &str) {
        self.notes.coql = Some(query.to_owned());
    }

    pub(crate) fn new_opaque_token(&mut self) -> String {
        format!(
            "{:032x}{:032x}",
            self.random.random::<u128>(),
            self.random.random::<u128>()
        )
    }

    /// Refuses the call unless a scope such as `ZohoCRM.settings.fields.READ` was granted.
    pub(crate) fn need(
        &self,
        group: &str,
        part: Option<&str>,
        operation: Operation,
    ) -> Result<(), Refusal> {
        let granted = self
            .grant
            .scopes
            .iter()
            .any(|scope| allows(scope, group, part, operation));
        if granted {
            Ok(())
        } else {
            Err(Refusal::new(
                401,
                "OAUTH_SCOPE_MISMATCH",
                "invalid oauth scope to access this URL",
            ))
        }
    }

    pub(crate) fn need_module(&self, module: usize, operation: Operation) -> Result<(), Refusal> {
        let part = self.definition(module)?.api_name.to_lowercase();
        self.need("modules", Some(&part), operation)
    }
}

fn allows(scope: &str, group: &str, part: Option<&str>, operation: Operation) -> bool {
    let scope = scope.to_ascii_lowercase();
    let mut words = scope.split('.');
    if words.next() != Some("zohocrm") || words.next() != Some(group) {
        return false;
    }
    let words: Vec<&str> = words.collect();
    match (words.as_slice(), part) {
        ([verb], _) => verb_allows(verb, operation),
        ([named, verb], Some(part)) => *named == part && verb_allows(verb, operation),
        _ => false,
    }
}

fn verb_allows(verb: &str, operation: Operation) -> bool {
    match verb {
        "all" => true,
        "read" => operation == Operation::Read,
        "create" => operation == Operation::Create,
        "update" => operation == Operation::Update,
        "write" => matches!(operation, Operation::Create | Operation::Update),
        "delete" => operation == Operation::Delete,
        _ => false,
    }
}

/// A page of at most `max` rows, counted from 1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    pub(crate) number: usize,
    pub(crate) size: usize,
}

impl Page {
    pub(crate) fn of(request: &Request, default: usize, max: usize) -> Result<Self, Refusal> {
        let number = |name: &str, default: usize| match request.parameter(name) {
            None => Ok(default),
            Some(text) => text
                .parse::<usize>()
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(|| {
                    Refusal::new(
                        400,
                        "INVALID_DATA",
                        "the parameter is not a positive number",
                    )
                    .details(json!({ "param_name": name, "expected_data_type": "integer" }))
                }),
        };
        let size = number("per_page", default)?;
        if size > max {
            return Err(Refusal::new(400, "INVALID_DATA", "per_page is too large")
                .details(json!({ "param_name": "per_page", "limit": max })));
        }
        Ok(Self {
            number: number("page", 1)?,
            size,
        })
    }

    pub(crate) fn skip(self) -> usize {
        (self.number - 1).saturating_mul(self.size)
    }
}

/// Parses a header such as `If-Modified-Since`: ISO 8601 with an offset, or an HTTP date.
pub(crate) fn instant_header(request: &Request, name: &str) -> Result<Option<Timestamp>, Refusal> {
    let Some(text) = request.header_value(name) else {
        return Ok(None);
    };
    text.parse::<Timestamp>()
        .ok()
        .or_else(|| {
            jiff::fmt::rfc2822::parse(text)
                .ok()
                .map(|zoned| zoned.timestamp())
        })
        .map(Some)
        .ok_or_else(|| {
            Refusal::new(400, "INVALID_DATA", "the header's time is not valid")
                .details(json!({ "header_name": name, "expected_data_type": "datetime" }))
        })
}
