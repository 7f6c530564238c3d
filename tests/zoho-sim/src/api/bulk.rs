//! Bulk read: jobs whose result is a zipped CSV file.

use super::{Call, Operation};
use crate::coql;
use crate::org::record::{Record, Value};
use crate::org::schema::DataType;
use crate::org::view;
use crate::request::{Answer, Refusal};
use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use std::io::Write;

const ROWS: usize = 200_000;
const DOWNLOADS: usize = 10;
const CRITERIA: usize = 25;
const STATES: [&str; 4] = ["ADDED", "QUEUED", "IN PROGRESS", "COMPLETED"];

/// A bulk read job.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    id: u64,
    user: u64,
    created: Timestamp,
    query: Json,
    polls: usize,
    result: Option<Done>,
}

#[derive(Debug, Clone)]
struct Done {
    csv: Vec<u8>,
    count: usize,
    page: usize,
    more: bool,
    next: Option<String>,
}

pub(super) fn answer(call: &mut Call<'_>, segments: &[&str]) -> Result<Answer, Refusal> {
    call.need("bulk", None, Operation::Read)?;
    match (call.request.method.clone(), segments) {
        (Method::POST, []) => create(call),
        (Method::GET, [id]) => details(call, id),
        (Method::GET, [id, "result"]) => download(call, id),
        (_, [] | [_] | [_, "result"]) => Err(Refusal::invalid_method()),
        _ => Err(Refusal::invalid_url()),
    }
}

fn missing(name: &str) -> Refusal {
    Refusal::new(400, "MANDATORY_NOT_FOUND", "required field not found")
        .details(json!({ "api_name": name, "json_path": format!("$.{name}") }))
}

fn create(call: &mut Call<'_>) -> Result<Answer, Refusal> {
    let kind = call
        .request
        .header_value("Content-Type")
        .unwrap_or_default();
    if !kind.to_ascii_lowercase().starts_with("application/json") {
        return Err(Refusal::new(
            415,
            "UNSUPPORTED_MEDIA_TYPE",
            "the content type must be application/json",
        ));
    }
    let body: Json = serde_json::from_slice(&call.request.body).map_err(|_| {
        Refusal::new(400, "INVALID_DATA", "invalid data")
            .details(json!({ "expected_data_type": "jsonobject" }))
    })?;
    let mut query = body.get("query").cloned().ok_or_else(|| missing("query"))?;
    if let Some(token) = query.get("page_token").and_then(Json::as_str) {
        query = continued(call, token)?;
    }
    let name = module_name(&query).ok_or_else(|| missing("module"))?;
    let module = call.module(&name)?;
    call.need_module(module, Operation::Read)?;
    if body
        .get("file_type")
        .and_then(Json::as_str)
        .is_some_and(|kind| kind != "csv")
    {
        return Err(Refusal::new(
            400,
            "INVALID_DATA",
            "the file type is not supported for the module",
        )
        .details(json!({ "api_name": "file_type" })));
    }
    // A wrong criteria is told at once, not by a failed job.
    if let Some(criteria) = query.get("criteria") {
        compiled(call, module, criteria)?;
    }
    call.charge(50, false)?;
    let id = call.organisation.new_id();
    let job = Job {
        id,
        user: call.grant.user,
        created: call.now,
        query,
        polls: 0,
        result: None,
    };
    let details = json!({
        "id": id.to_string(), "operation": "read", "state": "ADDED",
        "created_by": person(call, job.user), "created_time": view::instant(job.created, &call.zone),
    });
    call.organisation.jobs.insert(id, job);
    Ok(Answer::json(
        201,
        &json!({
            "data": [{ "status": "success", "code": "ADDED_SUCCESSFULLY", "message": "Added successfully.", "details": details }],
            "info": {},
        }),
    ))
}

/// The query that goes on where another job ended.
fn continued(call: &Call<'_>, token: &str) -> Result<Json, Refusal> {
    let job = call.organisation.jobs.values().find(|job| {
        job.user == call.grant.user
            && job
                .result
                .as_ref()
                .is_some_and(|done| done.next.as_deref() == Some(token))
    });
    let unknown = || Refusal::parameter("page_token", "the page token is not valid");
    let job = job.ok_or_else(unknown)?;
    if call.now.duration_since(job.created) >= SignedDuration::from_hours(24) {
        return Err(
            Refusal::new(400, "EXPIRED_VALUE", "the page token has expired")
                .details(json!({ "api_name": "page_token" })),
        );
    }
    let mut query = job.query.clone();
    let page = job.result.as_ref().map_or(1, |done| done.page) + 1;
    query
        .as_object_mut()
        .ok_or_else(unknown)?
        .insert("page".to_owned(), json!(page));
    Ok(query)
}

fn module_name(query: &Json) -> Option<String> {
    match query.get("module")? {
        Json::String(name) => Some(name.clone()),
        module => module.get("api_name")?.as_str().map(str::to_owned),
    }
}

fn person(call: &Call<'_>, id: u64) -> Json {
    call.organisation.users.get(&id).map_or(
        Json::Null,
        |user| json!({ "id": id.to_string(), "name": user.full_name() }),
    )
}

fn find(call: &Call<'_>, id: &str) -> Result<u64, Refusal> {
    let known = id
        .parse::<u64>()
        .ok()
        .and_then(|id| call.organisation.jobs.get(&id));
    // Results are kept for a day.
    known
        .filter(|job| call.now.duration_since(job.created) < SignedDuration::from_hours(24))
        .map(|job| job.id)
        .ok_or_else(|| Refusal::new(404, "RESOURCE_NOT_FOUND", "the resource is not found"))
}

fn details(call: &mut Call<'_>, id: &str) -> Result<Answer, Refusal> {
    let id = find(call, id)?;
    call.charge(1, false)?;
    advance(call, id)?;
    let Some(job) = call.organisation.jobs.get(&id) else {
        return Err(Refusal::invalid_url());
    };
    let state = STATES.get(job.polls).copied().unwrap_or("COMPLETED");
    let mut shown = json!({
        "id": id.to_string(), "operation": "read", "state": state, "query": job.query, "file_type": "csv",
        "created_by": person(call, job.user), "created_time": view::instant(job.created, &call.zone),
    });
    if let (Some(done), Some(shown)) = (&job.result, shown.as_object_mut()) {
        shown.insert(
            "result".to_owned(),
            json!({
                "page": done.page, "per_page": ROWS, "count": done.count, "more_records": done.more,
                "download_url": format!("/crm/bulk/v8/read/{id}/result"), "next_page_token": done.next,
            }),
        );
    }
    Ok(Answer::json(200, &json!({ "data": [shown] })))
}

/// A job moves one state further at every poll; the rows are read when it completes.
fn advance(call: &mut Call<'_>, id: u64) -> Result<(), Refusal> {
    let Some(job) = call.organisation.jobs.get_mut(&id) else {
        return Ok(());
    };
    job.polls = (job.polls + 1).min(STATES.len() - 1);
    if job.polls + 1 == STATES.len() && job.result.is_none() {
        let query = job.query.clone();
        let done = read(call, &query)?;
        if let Some(job) = call.organisation.jobs.get_mut(&id) {
            job.result = Some(done);
        }
    }
    Ok(())
}

fn read(call: &mut Call<'_>, query: &Json) -> Result<Done, Refusal> {
    let module = module_name(query)
        .and_then(|name| call.organisation.position(&name))
        .ok_or_else(Refusal::invalid_module)?;
    let page = query
        .get("page")
        .and_then(Json::as_u64)
        .and_then(|page| usize::try_from(page).ok())
        .unwrap_or(1)
        .max(1);
    let condition = query
        .get("criteria")
        .map(|criteria| compiled(call, module, criteria))
        .transpose()?;
    let view = match query.get("cvid").and_then(Json::as_str) {
        None => None,
        Some(id) => call
            .definition(module)?
            .views
            .iter()
            .find(|view| view.id.to_string() == id)
            .and_then(|view| view.condition.as_ref())
            .map(|text| coql::condition(call.organisation, module, text))
            .transpose()?,
    };
    let definition = call.definition(module)?;
    let wanted: Option<Vec<&str>> = query
        .get("fields")
        .and_then(Json::as_array)
        .map(|names| names.iter().filter_map(Json::as_str).collect());
    let fields: Vec<usize> = definition
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| !field.hidden && !field.data_type.single_only())
        .filter(|(_, field)| {
            wanted
                .as_ref()
                .is_none_or(|wanted| wanted.contains(&field.api_name.as_str()))
        })
        .map(|(position, _)| position)
        .collect();
    let (organisation, now) = (&*call.organisation, call.now);
    let keep = |record: &&Record| {
        [&condition, &view]
            .into_iter()
            .flatten()
            .all(|condition| condition.holds(organisation, module, record, now))
    };
    let mut rows = organisation
        .table_at(module)
        .records()
        .values()
        .filter(keep)
        .skip((page - 1).saturating_mul(ROWS));
    let mut writer = csv::Writer::from_writer(Vec::new());
    let broken = |_| Refusal::new(500, "INTERNAL_ERROR", "the result could not be written");
    let names = fields
        .iter()
        .filter_map(|at| definition.fields().get(*at))
        .map(|field| field.api_name.as_str());
    writer
        .write_record(std::iter::once("Id").chain(names))
        .map_err(broken)?;
    let mut count = 0;
    for record in rows.by_ref().take(ROWS) {
        let cells = fields
            .iter()
            .map(|position| cell(call, module, record, *position));
        writer
            .write_record(std::iter::once(record.id.to_string()).chain(cells))
            .map_err(broken)?;
        count += 1;
    }
    let more = rows.next().is_some();
    let csv = writer
        .into_inner()
        .map_err(|_| Refusal::new(500, "INTERNAL_ERROR", "the result could not be written"))?;
    let next = more.then(|| call.new_opaque_token());
    Ok(Done {
        csv,
        count,
        page,
        more,
        next,
    })
}

fn cell(call: &Call<'_>, module: usize, record: &Record, position: usize) -> String {
    match call.organisation.value(module, record, position, call.now) {
        Value::Null | Value::Rows(_) | Value::Links(_) => String::new(),
        Value::Text(text) => text.into_string(),
        Value::Number(number) => number.normalize().to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::Date(date) => date.to_string(),
        Value::Instant(at) => view::instant(at, &call.zone),
        Value::Reference(id) => id.to_string(),
        Value::Many(many) => {
            let is_tag = position == crate::org::schema::common::TAG;
            many.join(if is_tag { "," } else { ";" })
        }
    }
}

fn download(call: &mut Call<'_>, id: &str) -> Result<Answer, Refusal> {
    let id = find(call, id)?;
    let now = call.now;
    let downloads = &mut call.organisation.downloads;
    downloads.retain(|at| now.duration_since(*at) < SignedDuration::from_mins(1));
    if downloads.len() >= DOWNLOADS {
        return Err(Refusal::too_many(
            "You have reached the maximum number of downloads in a minute",
        ));
    }
    downloads.push_back(now);
    call.charge(1, false)?;
    let Some(done) = call
        .organisation
        .jobs
        .get(&id)
        .and_then(|job| job.result.clone())
    else {
        return Err(
            Refusal::new(400, "INVALID_DATA", "the job is not completed")
                .details(json!({ "id": id.to_string() })),
        );
    };
    call.rows(done.count);
    let zip = zipped(&format!("{id}.csv"), &done.csv)
        .ok_or_else(|| Refusal::new(500, "INTERNAL_ERROR", "the result could not be packed"))?;
    Ok(Answer {
        status: 200,
        headers: vec![
            ("Content-Type".to_owned(), "application/zip".to_owned()),
            (
                "Content-Disposition".to_owned(),
                format!("attachment;filename={id}.zip"),
            ),
        ],
        body: zip,
    })
}

fn zipped(name: &str, content: &[u8]) -> Option<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file(name, zip::write::SimpleFileOptions::default())
        .ok()?;
    zip.write_all(content).ok()?;
    Some(zip.finish().ok()?.into_inner())
}

fn compiled(call: &Call<'_>, module: usize, criteria: &Json) -> Result<coql::Compiled, Refusal> {
    let mut count = 0;
    let text = as_condition(call, module, criteria, &mut count)?;
    if count > CRITERIA {
        return Err(Refusal::new(
            400,
            "LIMIT_EXCEEDED",
            "the number of criteria exceeds the limit",
        )
        .details(json!({ "limit": CRITERIA, "api_name": "criteria" })));
    }
    coql::condition(call.organisation, module, &text)
}

/// The criteria as a condition of a query.
fn as_condition(
    call: &Call<'_>,
    module: usize,
    criteria: &Json,
    count: &mut usize,
) -> Result<String, Refusal> {
    let invalid = |name: &str| {
        Refusal::new(400, "INVALID_DATA", "the criteria is not valid")
            .details(json!({ "api_name": name }))
    };
    if let Some(group) = criteria.get("group").and_then(Json::as_array) {
        let word = match criteria.get("group_operator").and_then(Json::as_str) {
            Some(word) if word.eq_ignore_ascii_case("and") => "and",
            Some(word) if word.eq_ignore_ascii_case("or") => "or",
            _ => return Err(invalid("group_operator")),
        };
        let parts = group
            .iter()
            .map(|part| as_condition(call, module, part, count))
            .collect::<Result<Vec<_>, Refusal>>()?;
        let joined = parts
            .into_iter()
            .reduce(|left, right| format!("({left} {word} {right})"));
        return joined.ok_or_else(|| invalid("group"));
    }
    *count += 1;
    let name = criteria
        .get("api_name")
        .or_else(|| criteria.get("field")?.get("api_name"))
        .and_then(Json::as_str)
        .ok_or_else(|| invalid("api_name"))?;
    let text_like = call
        .definition(module)?
        .visible(name)
        .is_some_and(|(_, field)| {
            field.data_type.is_text() || field.data_type == DataType::MultiSelectPicklist
        });
    let value = criteria.get("value").ok_or_else(|| invalid("value"))?;
    let plain = |value: &Json| match value {
        Json::String(text) => text.clone(),
        value => value.to_string(),
    };
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    let one = quoted(&plain(value));
    let listed = |value: &Json| -> Vec<String> {
        value.as_array().map_or_else(
            || {
                plain(value)
                    .split(',')
                    .map(|text| quoted(text.trim()))
                    .collect()
            },
            |list| list.iter().map(|value| quoted(&plain(value))).collect(),
        )
    };
    let list = listed(value).join(", ");
    let comparator = criteria
        .get("comparator")
        .and_then(Json::as_str)
        .ok_or_else(|| invalid("comparator"))?;
    let pattern = |start: &str, end: &str| quoted(&format!("{start}{}{end}", plain(value)));
    Ok(match comparator {
        "equal" if plain(value) == "${EMPTY}" => format!("{name} is null"),
        "not_equal" if plain(value) == "${EMPTY}" => format!("{name} is not null"),
        "equal" => format!("{name} = {one}"),
        "not_equal" => format!("{name} != {one}"),
        "in" => format!("{name} in ({list})"),
        "not_in" => format!("{name} not in ({list})"),
        "less_than" => format!("{name} < {one}"),
        "less_equal" => format!("{name} <= {one}"),
        "greater_than" => format!("{name} > {one}"),
        "greater_equal" => format!("{name} >= {one}"),
        "contains" if text_like => format!("{name} like {}", pattern("%", "%")),
        "not_contains" if text_like => format!("{name} not like {}", pattern("%", "%")),
        "starts_with" if text_like => format!("{name} like {}", pattern("", "%")),
        "ends_with" if text_like => format!("{name} like {}", pattern("%", "")),
        "between" | "not_between" => {
            let ends = listed(value);
            let [low, high] = ends.as_slice() else {
                return Err(invalid("value"));
            };
            let not = if comparator == "between" { "" } else { "not " };
            format!("{name} {not}between {low} and {high}")
        }
        _ => return Err(invalid("comparator")),
    })
}
