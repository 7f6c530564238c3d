//! Reading records: a page of a module, or one record.

use super::{Call, Operation, Page, instant_header};
use crate::org::record::Record;
use crate::org::store::{Key, Table};
use crate::org::view::{self, Form};
use crate::org::{PagePosition, PageToken};
use crate::request::{Answer, Refusal};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

/// Reach of `page`.
const DISCRETE_REACH: usize = 2_000;
/// Reach of `page_token`.
const TOKEN_REACH: usize = 100_000;
const FIELDS: usize = 50;
const TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SortBy {
    Id,
    Created,
    Modified,
}

impl SortBy {
    fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Created => "Created_Time",
            Self::Modified => "Modified_Time",
        }
    }

    /// Where a record stands in this order.
    fn place(self, record: &Record) -> (Timestamp, u64) {
        match self {
            Self::Id => (Timestamp::UNIX_EPOCH, record.id),
            Self::Created => (record.created(), record.id),
            Self::Modified => (record.modified(), record.id),
        }
    }
}

/// What a list asks for, apart from which records.
pub(crate) struct Wanted {
    sort_by: SortBy,
    ascending: bool,
    page: Page,
    binding: String,
    fields: Vec<usize>,
    pub(crate) since: Option<Timestamp>,
}

pub(crate) fn list(call: &mut Call<'_>, module: usize) -> Result<Answer, Refusal> {
    call.need_module(module, Operation::Read)?;
    let view = call.request.parameter("cvid").map(str::to_owned);
    let sorted = call.request.parameter("sort_by").is_some();
    call.charge(if view.is_some() { 3 } else { 1 }, view.is_some() || sorted)?;
    if view.is_some() && sorted {
        return Err(ambiguous("cvid", "sort_by"));
    }
    let wanted = wanted(call, module)?;
    let condition = match &view {
        None => None,
        Some(id) => view_condition(call, module, id)?,
    };
    let ids = match call.request.parameter("ids") {
        None => None,
        Some(ids) => {
            let texts: Vec<String> = ids.split(',').map(|id| id.trim().to_owned()).collect();
            Some(
                texts
                    .iter()
                    .filter_map(|id| resolve(call, module, id).ok().flatten())
                    .collect::<Vec<u64>>(),
            )
        }
    };
    let (organisation, now) = (&*call.organisation, call.now);
    let keep = |record: &Record| {
        ids.as_ref().is_none_or(|ids| ids.contains(&record.id))
            && condition
                .as_ref()
                .is_none_or(|condition| condition.holds(organisation, module, record, now))
    };
    let start = starting_point(call, &wanted)?;
    let table = call.organisation.table_at(module);
    let page = match &ids {
        Some(ids) => {
            let mut records: Vec<&Record> = ids.iter().filter_map(|id| table.get(*id)).collect();
            records.dedup_by_key(|record| record.id);
            take_sorted(
                records.into_iter().filter(|record| keep(record)),
                &wanted,
                &start,
            )
        }
        None => take(table, &wanted, &start, keep),
    };
    reply(call, module, &wanted, &start, page)
}

fn view_condition(
    call: &Call<'_>,
    module: usize,
    id: &str,
) -> Result<Option<crate::coql::Compiled>, Refusal> {
    let view = call
        .definition(module)?
        .views
        .iter()
        .find(|view| view.id.to_string() == id)
        .ok_or_else(|| Refusal::parameter("cvid", "the custom view id is not valid"))?;
    match &view.condition {
        None => Ok(None),
        Some(text) => crate::coql::condition(call.organisation, module, text).map(Some),
    }
}

pub(crate) fn ambiguous(one: &str, other: &str) -> Refusal {
    Refusal::new(
        400,
        "AMBIGUITY_DURING_PROCESSING",
        "the parameters cannot be used together",
    )
    .details(json!({ "ambiguity_due_to": [{ "param_name": one }, { "param_name": other }] }))
}

pub(crate) fn wanted(call: &Call<'_>, module: usize) -> Result<Wanted, Refusal> {
    let request = call.request;
    let Some(fields) = request.parameter("fields") else {
        return Err(Refusal::new(
            400,
            "REQUIRED_PARAM_MISSING",
            "One of the expected parameter is missing",
        )
        .details(json!({ "param_name": "fields" })));
    };
    let names: Vec<&str> = fields
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    if names.len() > FIELDS {
        return Err(Refusal::new(
            400,
            "LIMIT_EXCEEDED",
            "the number of fields exceeds the limit",
        )
        .details(json!({ "limit": FIELDS, "param_name": "fields" })));
    }
    if request.parameter("page").is_some() && request.parameter("page_token").is_some() {
        return Err(ambiguous("page", "page_token"));
    }
    let sort_by = match request.parameter("sort_by") {
        None | Some("id") => SortBy::Id,
        Some("Created_Time") => SortBy::Created,
        Some("Modified_Time") => SortBy::Modified,
        Some(_) => {
            return Err(Refusal::parameter("sort_by", "invalid sort_by").details(json!({
                "param_name": "sort_by", "supported_values": ["id", "Created_Time", "Modified_Time"],
            })));
        }
    };
    let ascending = match request.parameter("sort_order") {
        None | Some("desc") => false,
        Some("asc") => true,
        Some(_) => {
            return Err(
                Refusal::parameter("sort_order", "invalid sort_order").details(
                    json!({ "param_name": "sort_order", "supported_values": ["asc", "desc"] }),
                ),
            );
        }
    };
    let page = Page::of(request, 200, 200)?;
    if page.number.saturating_mul(page.size) > DISCRETE_REACH && request.parameter("page").is_some()
    {
        return Err(Refusal::new(
            400,
            "DISCRETE_PAGINATION_LIMIT_EXCEEDED",
            "use page_token to fetch more records",
        )
        .details(json!({ "limit": DISCRETE_REACH, "param_name": "page" })));
    }
    let definition = call.definition(module)?;
    let binding = ["fields", "sort_by", "sort_order", "per_page", "cvid", "ids"]
        .map(|name| request.parameter(name).unwrap_or_default())
        .join("\u{1}");
    Ok(Wanted {
        sort_by,
        ascending,
        page,
        binding: format!("{}\u{1}{binding}", request.path),
        // A name that is not a field of the module, or a hidden one, is left out without a word.
        fields: names
            .iter()
            .filter_map(|name| definition.visible(name))
            .map(|(position, _)| position)
            .collect(),
        since: instant_header(request, "If-Modified-Since")?,
    })
}

/// Where a page begins.
pub(crate) struct Start {
    after: Option<(Timestamp, u64)>,
    skip: usize,
    served: usize,
    page: usize,
}

pub(crate) fn starting_point(call: &Call<'_>, wanted: &Wanted) -> Result<Start, Refusal> {
    let Some(token) = call.request.parameter("page_token") else {
        let skip = wanted.page.skip();
        return Ok(Start {
            after: None,
            skip,
            served: skip,
            page: wanted.page.number,
        });
    };
    let known = call
        .organisation
        .page_tokens
        .get(token)
        .ok_or_else(|| Refusal::parameter("page_token", "the page token is not valid"))?;
    if call.now >= known.expires {
        return Err(
            Refusal::new(400, "EXPIRED_VALUE", "the page token has expired")
                .details(json!({ "param_name": "page_token" })),
        );
    }
    if known.user != call.grant.user || known.binding != wanted.binding {
        return Err(Refusal::new(
            400,
            "TOKEN_BOUND_DATA_MISMATCH",
            "the page token belongs to other parameters",
        )
        .details(json!({ "param_name": "page_token" })));
    }
    if known.position.served >= TOKEN_REACH {
        return Err(Refusal::new(
            400,
            "PAGINATION_LIMIT_EXCEEDED",
            "no more records can be fetched",
        )
        .details(json!({ "param_name": "page_token", "limit": TOKEN_REACH })));
    }
    Ok(Start {
        after: Some(known.position.after),
        skip: 0,
        served: known.position.served,
        page: known.position.page + 1,
    })
}

/// The records of a page in their order, one more than fits when there are more.
fn take(table: &Table, wanted: &Wanted, start: &Start, keep: impl Fn(&Record) -> bool) -> Vec<u64> {
    let since = wanted.since.unwrap_or(Timestamp::MIN);
    let keep = |record: &Record| record.modified() >= since && keep(record);
    let count = wanted.page.size + 1;
    // Nothing newer is the usual answer to a conditional read, and the index knows it at once.
    if table.by_modified().range((since, 0)..).next().is_none() {
        return Vec::new();
    }
    match (wanted.sort_by, wanted.ascending) {
        (SortBy::Id, true) => {
            let from = start.after.map_or(0, |(_, id)| id + 1);
            let range = table.records().range(from..).map(|(_, record)| record);
            range
                .filter(|record| keep(record))
                .skip(start.skip)
                .take(count)
                .map(|record| record.id)
                .collect()
        }
        (SortBy::Id, false) => {
            let to = start.after.map_or(u64::MAX, |(_, id)| id);
            let range = table.records().range(..to).rev().map(|(_, record)| record);
            range
                .filter(|record| keep(record))
                .skip(start.skip)
                .take(count)
                .map(|record| record.id)
                .collect()
        }
        (SortBy::Modified, true) => {
            let from = start
                .after
                .map_or((since, 0), |(at, id)| (at, id + 1))
                .max((since, 0));
            let range = table
                .by_modified()
                .range(from..)
                .filter_map(|(_, id)| table.get(*id));
            range
                .filter(|record| keep(record))
                .skip(start.skip)
                .take(count)
                .map(|record| record.id)
                .collect()
        }
        (SortBy::Modified, false) => {
            let to = start.after.unwrap_or((Timestamp::MAX, u64::MAX));
            let range = table
                .by_modified()
                .range(..to)
                .rev()
                .take_while(|(at, _)| *at >= since);
            range
                .filter_map(|(_, id)| table.get(*id))
                .filter(|record| keep(record))
                .skip(start.skip)
                .take(count)
                .map(|record| record.id)
                .collect()
        }
        (SortBy::Created, _) => take_sorted(
            table.records().values().filter(|record| keep(record)),
            wanted,
            start,
        ),
    }
}

pub(crate) fn take_sorted<'a>(
    records: impl Iterator<Item = &'a Record>,
    wanted: &Wanted,
    start: &Start,
) -> Vec<u64> {
    let since = wanted.since.unwrap_or(Timestamp::MIN);
    let mut places: Vec<(Timestamp, u64)> = records
        .filter(|record| record.modified() >= since)
        .map(|record| wanted.sort_by.place(record))
        .collect();
    places.sort_unstable();
    if !wanted.ascending {
        places.reverse();
    }
    places
        .into_iter()
        .filter(|place| {
            start.after.is_none_or(|after| {
                if wanted.ascending {
                    *place > after
                } else {
                    *place < after
                }
            })
        })
        .skip(start.skip)
        .take(wanted.page.size + 1)
        .map(|(_, id)| id)
        .collect()
}

/// The reply to a list whose rows are known.
pub(crate) fn reply(
    call: &mut Call<'_>,
    module: usize,
    wanted: &Wanted,
    start: &Start,
    mut ids: Vec<u64>,
) -> Result<Answer, Refusal> {
    let more = ids.len() > wanted.page.size;
    ids.truncate(wanted.page.size);
    if ids.is_empty() {
        let anything = !call.organisation.table_at(module).records().is_empty();
        return Ok(Answer::empty(if wanted.since.is_some() && anything {
            304
        } else {
            204
        }));
    }
    call.rows(ids.len());
    let viewer = call.viewer();
    let table = call.organisation.table_at(module);
    let rows: Vec<&Record> = ids.iter().filter_map(|id| table.get(*id)).collect();
    let data: Vec<Json> = rows
        .iter()
        .map(|record| {
            Json::Object(view::record(
                call.organisation,
                module,
                record,
                &wanted.fields,
                Form::List,
                &viewer,
            ))
        })
        .collect();
    let last = rows.last().map(|record| wanted.sort_by.place(record));
    let next = match last {
        Some(after) if more => {
            let position = PagePosition {
                after,
                served: start.served + data.len(),
                page: start.page,
            };
            Some(new_page_token(call, wanted, position))
        }
        _ => None,
    };
    let expiry = next
        .is_some()
        .then(|| view::instant(call.now + TOKEN_LIFE, &call.zone));
    Ok(Answer::json(
        200,
        &json!({
            "data": data,
            "info": {
                "per_page": wanted.page.size,
                "count": data.len(),
                "page": start.page,
                "sort_by": wanted.sort_by.name(),
                "sort_order": if wanted.ascending { "asc" } else { "desc" },
                "more_records": more,
                "next_page_token": next,
                "previous_page_token": null,
                "page_token_expiry": expiry,
            },
        }),
    ))
}

fn new_page_token(call: &mut Call<'_>, wanted: &Wanted, position: PagePosition) -> String {
    let (now, token) = (call.now, call.new_opaque_token());
    // Expired tokens are kept for another life so that they can be told from unknown ones.
    if call.organisation.page_tokens.len() > 10_000 {
        call.organisation
            .page_tokens
            .retain(|_, known| known.expires + TOKEN_LIFE > now);
    }
    let known = PageToken {
        user: call.grant.user,
        binding: wanted.binding.clone(),
        expires: now + TOKEN_LIFE,
        position,
    };
    call.organisation.page_tokens.insert(token.clone(), known);
    token
}

pub(crate) fn one(call: &mut Call<'_>, module: usize, id: &str) -> Result<Answer, Refusal> {
    call.need_module(module, Operation::Read)?;
    call.charge(1, false)?;
    let Some(id) = resolve(call, module, id)? else {
        return Ok(Answer::empty(204));
    };
    let Some(record) = call.organisation.table_at(module).get(id) else {
        return Ok(Answer::empty(204));
    };
    if instant_header(call.request, "If-Modified-Since")?
        .is_some_and(|since| record.modified() < since)
    {
        return Ok(Answer::empty(304));
    }
    let definition = call.definition(module)?;
    let positions: Vec<usize> = match call.request.parameter("fields") {
        None => (0..definition.fields().len()).collect(),
        Some(names) => names
            .split(',')
            .filter_map(|name| definition.visible(name.trim()))
            .map(|(position, _)| position)
            .collect(),
    };
    let mut shown = view::record(
        call.organisation,
        module,
        record,
        &positions,
        Form::Single,
        &call.viewer(),
    );
    shown.insert("$editable".to_owned(), json!(!record.locked));
    shown.insert("$in_merge".to_owned(), json!(false));
    shown.insert(
        "$approval_state".to_owned(),
        json!(if record.awaiting_approval {
            "pending"
        } else {
            "approved"
        }),
    );
    call.rows(1);
    Ok(Answer::json(200, &json!({ "data": [shown] })))
}

/// The id that a path or parameter names: an id, or the value of the external field in `X-EXTERNAL`.
pub(crate) fn resolve(call: &Call<'_>, module: usize, text: &str) -> Result<Option<u64>, Refusal> {
    if let Some(position) = external_field(call, module)? {
        let mut found = call
            .organisation
            .table_at(module)
            .with_key(position, &Key::text(text))
            .into_iter()
            .flatten();
        return Ok(found.next());
    }
    match text.parse::<u64>() {
        Ok(id) => Ok(Some(id)),
        Err(_) => Err(
            Refusal::new(400, "INVALID_DATA", "the id given seems to be invalid")
                .details(json!({ "resource_path_index": 1 })),
        ),
    }
}

/// The field that `X-EXTERNAL` names for this module.
pub(crate) fn external_field(call: &Call<'_>, module: usize) -> Result<Option<usize>, Refusal> {
    let Some(header) = call.request.header_value("X-EXTERNAL") else {
        return Ok(None);
    };
    let definition = call.definition(module)?;
    for part in header.split(',') {
        let Some((name, field)) = part.trim().split_once('.') else {
            continue;
        };
        if name == definition.api_name && !field.contains('.') {
            let found = definition
                .visible(field)
                .filter(|(_, field)| field.external.is_some());
            return found.map(|(position, _)| Some(position)).ok_or_else(|| {
                Refusal::new(400, "INVALID_DATA", "the field is not an external field")
                    .details(json!({ "header_name": "X-EXTERNAL", "api_name": field }))
            });
        }
    }
    Ok(None)
}
