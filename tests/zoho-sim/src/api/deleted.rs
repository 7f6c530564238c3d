//! Deleted records.

use super::{Call, Operation, Page, instant_header};
use crate::org::store::Tombstone;
use crate::org::view;
use crate::request::{Answer, Refusal};
use jiff::SignedDuration;
use serde_json::{Value as Json, json};

/// How long the recycle bin keeps a record.
const RECYCLED: SignedDuration = SignedDuration::from_hours(60 * 24);
/// How long the list names a record that left the recycle bin.
const PERMANENT: SignedDuration = SignedDuration::from_hours(120 * 24);
const REACH: usize = 2_000;

pub(super) fn list(call: &mut Call<'_>, module: usize) -> Result<Answer, Refusal> {
    call.need_module(module, Operation::Read)?;
    call.charge(2, false)?;
    let (recycle, permanent) = match call.request.parameter("type") {
        None | Some("all") => (true, true),
        Some("recycle") => (true, false),
        Some("permanent") => (false, true),
        Some(_) => {
            return Err(
                Refusal::new(400, "PATTERN_NOT_MATCHED", "the type is not valid")
                    .details(json!({ "param_name": "type" })),
            );
        }
    };
    let page = Page::of(call.request, 200, 200)?;
    if page.number.saturating_mul(page.size) > REACH {
        return Err(Refusal::new(
            400,
            "DISCRETE_PAGINATION_LIMIT_EXCEEDED",
            "no more records can be fetched",
        )
        .details(json!({ "limit": REACH, "param_name": "page" })));
    }
    let since = instant_header(call.request, "If-Modified-Since")?;
    let now = call.now;
    let gone = |stone: &Tombstone| stone.permanent || now.duration_since(stone.deleted) >= RECYCLED;
    let listed: Vec<&Tombstone> = call
        .organisation
        .table_at(module)
        .deleted()
        .values()
        .filter(|stone| now.duration_since(stone.deleted) < PERMANENT)
        .filter(|stone| if gone(stone) { permanent } else { recycle })
        .collect();
    let mut newer: Vec<&Tombstone> = listed
        .iter()
        .copied()
        .filter(|stone| since.is_none_or(|since| stone.deleted >= since))
        .collect();
    newer.sort_by_key(|stone| std::cmp::Reverse((stone.deleted, stone.record.id)));
    if newer.is_empty() {
        return Ok(Answer::empty(if since.is_some() && !listed.is_empty() {
            304
        } else {
            204
        }));
    }
    let person = |id: u64| {
        let user = call.organisation.users.get(&id);
        user.map_or(
            Json::Null,
            |user| json!({ "name": user.full_name(), "id": user.id.to_string() }),
        )
    };
    let data: Vec<Json> = newer
        .iter()
        .skip(page.skip())
        .take(page.size)
        .map(|stone| {
            let gone = gone(stone);
            let created_by = stone.record.value(crate::org::schema::common::CREATED_BY).as_reference().unwrap_or(0);
            json!({
                "id": stone.record.id.to_string(),
                "display_name": if gone { Json::Null } else { view::display_name(call.organisation, module, &stone.record, now) },
                "type": if gone { "permanent" } else { "recycle" },
                "deleted_time": view::instant(stone.deleted, &call.zone),
                "deleted_by": if gone { Json::Null } else { person(stone.by) },
                "created_by": if gone { Json::Null } else { person(created_by) },
            })
        })
        .collect();
    let (count, more) = (data.len(), newer.len() > page.skip() + data.len());
    if data.is_empty() {
        return Ok(Answer::empty(204));
    }
    call.rows(count);
    Ok(Answer::json(
        200,
        &json!({
            "data": data,
            "info": { "per_page": page.size, "count": count, "page": page.number, "more_records": more },
        }),
    ))
}
