//! Users.

use super::{Call, Operation, Page, instant_header};
use crate::org::user::{User, UserStatus};
use crate::org::view;
use crate::request::{Answer, Refusal};
use serde_json::{Value as Json, json};

pub(super) fn list(call: &mut Call<'_>) -> Result<Answer, Refusal> {
    call.need("users", None, Operation::Read)?;
    call.charge(1, false)?;
    let request = call.request;
    let page = Page::of(request, 200, 200)?;
    let since = instant_header(request, "If-Modified-Since")?;
    let ids: Option<Vec<String>> = request
        .parameter("ids")
        .map(|ids| ids.split(',').map(|id| id.trim().to_owned()).collect());
    if ids.as_ref().is_some_and(|ids| ids.len() > 100) {
        return Err(
            Refusal::new(400, "LIMIT_EXCEEDED", "the number of ids exceeds the limit")
                .details(json!({ "limit": 100, "param_name": "ids" })),
        );
    }
    let kind = request.parameter("type").unwrap_or("AllUsers");
    let me = call.grant.user;
    let keep = kind_of(kind, me)?;
    let found: Vec<&User> = call
        .organisation
        .users
        .values()
        .filter(|user| keep(user))
        .filter(|user| {
            ids.as_ref()
                .is_none_or(|ids| ids.contains(&user.id.to_string()))
        })
        .collect();
    let newer: Vec<&User> = found
        .iter()
        .copied()
        .filter(|user| since.is_none_or(|since| user.modified >= since))
        .collect();
    if newer.is_empty() && !found.is_empty() {
        return Ok(Answer::empty(304));
    }
    let shown: Vec<Json> = newer
        .iter()
        .skip(page.skip())
        .take(page.size)
        .map(|user| show(call, user))
        .collect();
    if shown.is_empty() {
        return Ok(Answer::empty(204));
    }
    let more = newer.len() > page.skip() + shown.len();
    let count = shown.len();
    let answer = Answer::json(
        200,
        &json!({
            "users": shown,
            "info": { "per_page": page.size, "count": count, "page": page.number, "more_records": more },
        }),
    );
    call.rows(count);
    Ok(answer)
}

pub(super) fn one(call: &mut Call<'_>, id: &str) -> Result<Answer, Refusal> {
    call.need("users", None, Operation::Read)?;
    call.charge(1, false)?;
    let id: u64 = id.parse().map_err(|_| {
        Refusal::new(400, "INVALID_DATA", "the id given seems to be invalid")
            .details(json!({ "resource_path_index": 1 }))
    })?;
    let Some(user) = call.organisation.users.get(&id) else {
        return Ok(Answer::empty(204));
    };
    Ok(Answer::json(200, &json!({ "users": [show(call, user)] })))
}

/// Whether a user belongs to a type.
type Kind = Box<dyn Fn(&User) -> bool>;

fn kind_of(kind: &str, me: u64) -> Result<Kind, Refusal> {
    let active = |user: &User| user.status == UserStatus::Active;
    Ok(match kind {
        "AllUsers" => Box::new(|_| true),
        "ActiveUsers" | "AllActiveUsers" => Box::new(active),
        "DeactiveUsers" => {
            Box::new(|user| matches!(user.status, UserStatus::Inactive | UserStatus::Disabled))
        }
        "ActiveAndDeactive" => Box::new(|user| user.status != UserStatus::Deleted),
        "ConfirmedUsers" => Box::new(|user| user.confirmed),
        "NotConfirmedUsers" => Box::new(|user| !user.confirmed),
        "DeletedUsers" => Box::new(|user| user.status == UserStatus::Deleted),
        "ActiveConfirmedUsers" => Box::new(move |user| active(user) && user.confirmed),
        "AdminUsers" => Box::new(|user| user.administrator),
        "ActiveConfirmedAdmins" => {
            Box::new(move |user| active(user) && user.confirmed && user.administrator)
        }
        "CurrentUser" => Box::new(move |user| user.id == me),
        "DeveloperUsers" | "ActiveLiteUser" => Box::new(|_| false),
        "ChildRoleUsers" | "SubordinateRoleUsers" | "ConfirmedReportingUsers" => {
            Box::new(move |user| user.reports_to == Some(me))
        }
        "ParentRoleUsers" => Box::new(|user| user.administrator),
        _ => {
            return Err(
                Refusal::new(400, "PATTERN_NOT_MATCHED", "the type is not valid")
                    .details(json!({ "param_name": "type" })),
            );
        }
    })
}

fn show(call: &Call<'_>, user: &User) -> Json {
    let by = call.organisation.users.get(&user.modified_by);
    let by = by.map_or(
        Json::Null,
        |by| json!({ "name": by.full_name(), "id": by.id.to_string() }),
    );
    let superior = user
        .reports_to
        .and_then(|id| call.organisation.users.get(&id));
    let place = |number: u64| (call.organisation.id + number).to_string();
    let (role, profile) = if user.administrator {
        (
            json!({ "name": "Managing Director", "id": place(11) }),
            json!({ "name": "Administrator", "id": place(21) }),
        )
    } else {
        (
            json!({ "name": "Manager", "id": place(12) }),
            json!({ "name": "Standard", "id": place(22) }),
        )
    };
    json!({
        "id": user.id.to_string(),
        "full_name": user.full_name(),
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "zuid": user.zuid.map(|id| id.to_string()),
        "status": user.status.name(),
        "confirm": user.confirmed,
        "role": role,
        "profile": profile,
        "created_time": view::instant(user.created, &call.zone),
        "Modified_Time": view::instant(user.modified, &call.zone),
        "Modified_By": by,
        "created_by": by,
        "type__s": "Regular User",
        "time_zone": user.zone_name,
        "offset": i64::from(user.zone.to_offset(call.now).seconds()) * 1_000,
        "locale": "en_US",
        "language": "en_US",
        "country_locale": "US",
        "Isonline": false,
        "Reporting_To": superior.map(|user| json!({ "name": user.full_name(), "id": user.id.to_string() })),
        "$current_shift": null,
    })
}
