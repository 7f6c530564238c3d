//! Writing records: insert, update, upsert and delete, each with an answer per record.

mod check;
mod delete;
pub(in crate::api) mod validate;

pub(super) use delete::delete;

use super::records::resolve;
use super::{Call, Operation, instant_header};
use crate::org::record::{Record, Value};
use crate::org::schema::common;
use crate::org::store::Key;
use crate::org::view;
use crate::org::{AutomationRun, Organisation};
use crate::request::{Answer, Refusal};
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use serde_json::{Map, Value as Json, json};

const RECORDS: usize = 100;
const AUTOMATIONS: [&str; 5] = [
    "workflow",
    "approval",
    "blueprint",
    "pathfinder",
    "orchestration",
];

/// Why one record was not written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ItemError {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) details: Json,
}

impl ItemError {
    pub(crate) fn new(code: &'static str, message: &str, details: Json) -> Self {
        Self {
            status: 400,
            code,
            message: message.to_owned(),
            details,
        }
    }

    fn json(&self) -> Json {
        json!({ "code": self.code, "details": self.details, "message": self.message, "status": "error" })
    }
}

/// Zoho's instants have whole seconds.
pub(crate) fn whole_seconds(now: Timestamp) -> Timestamp {
    now.round(
        TimestampRound::new()
            .smallest(Unit::Second)
            .mode(RoundMode::Floor),
    )
    .unwrap_or(now)
}

struct Batch {
    items: Vec<Json>,
    automations: Vec<String>,
    duplicate_check: Option<Vec<String>>,
}

fn batch(call: &mut Call<'_>) -> Result<Batch, Refusal> {
    let body: Json = serde_json::from_slice(&call.request.body).map_err(|_| {
        Refusal::new(400, "INVALID_DATA", "invalid data")
            .details(json!({ "expected_data_type": "jsonobject", "json_path": "$" }))
    })?;
    let items = match body.get("data") {
        Some(Json::Array(items)) if !items.is_empty() => items.clone(),
        None => {
            return Err(
                Refusal::new(400, "MANDATORY_NOT_FOUND", "required field not found")
                    .details(json!({ "api_name": "data", "json_path": "$.data" })),
            );
        }
        Some(_) => {
            return Err(Refusal::new(400, "INVALID_DATA", "invalid data")
                .details(json!({ "api_name": "data", "expected_data_type": "jsonarray", "json_path": "$.data" })));
        }
    };
    if items.len() > RECORDS {
        return Err(Refusal::new(
            400,
            "LIMIT_EXCEEDED",
            "the number of records exceeds the limit",
        )
        .details(json!({ "api_name": "data", "maximum_length": RECORDS, "json_path": "$.data" })));
    }
    let names = |list: &Json| -> Vec<String> {
        list.as_array()
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .map(str::to_owned)
            .collect()
    };
    let automations = body
        .get("trigger")
        .map_or_else(|| AUTOMATIONS.map(str::to_owned).to_vec(), names);
    let duplicate_check = body
        .get("duplicate_check_fields")
        .map(names)
        .filter(|names| !names.is_empty());
    let credits = u32::try_from(items.len().div_ceil(10)).unwrap_or(1);
    call.charge(credits, items.len() > 10)?;
    Ok(Batch {
        items,
        automations,
        duplicate_check,
    })
}

pub(super) fn insert(call: &mut Call<'_>, module: usize) -> Result<Answer, Refusal> {
    call.need_module(module, Operation::Create)?;
    let batch = batch(call)?;
    let mut outcomes = Vec::with_capacity(batch.items.len());
    for (index, item) in batch.items.iter().enumerate() {
        let written = object(item, index)
            .and_then(|item| write(call, module, item, index, None, &batch.automations));
        outcomes.push(written.map(|id| success(call, module, id, "record added", &[])));
    }
    Ok(finish(call, 201, outcomes))
}

pub(super) fn update(
    call: &mut Call<'_>,
    module: usize,
    path_id: Option<&str>,
) -> Result<Answer, Refusal> {
    call.need_module(module, Operation::Update)?;
    let batch = batch(call)?;
    let unmodified_since = instant_header(call.request, "If-Unmodified-Since")?;
    let external = super::records::external_field(call, module)?;
    let mut outcomes = Vec::with_capacity(batch.items.len());
    for (index, item) in batch.items.iter().enumerate() {
        let outcome = (|| {
            let item = object(item, index)?;
            let id = named_id(call, module, item, index, path_id)?;
            precondition(call, module, id, unmodified_since)?;
            if let Some(field) =
                external.and_then(|at| call.definition(module).ok()?.fields().get(at))
                && path_id.is_some()
                && item.contains_key(&field.api_name)
            {
                let details = json!({ "api_name": field.api_name, "json_path": path(index, &field.api_name) });
                return Err(ItemError::new(
                    "NOT_ALLOWED",
                    "the external field cannot be changed through itself",
                    details,
                ));
            }
            write(call, module, item, index, Some(id), &batch.automations)
        })();
        outcomes.push(outcome.map(|id| success(call, module, id, "record updated", &[])));
    }
    Ok(finish(call, 200, outcomes))
}

pub(super) fn upsert(call: &mut Call<'_>, module: usize) -> Result<Answer, Refusal> {
    call.need_module(module, Operation::Create)?;
    call.need_module(module, Operation::Update)?;
    let batch = batch(call)?;
    let unmodified_since = instant_header(call.request, "If-Unmodified-Since")?;
    let order = check::order(call, module, batch.duplicate_check.as_deref())?;
    let mut outcomes = Vec::with_capacity(batch.items.len());
    for (index, item) in batch.items.iter().enumerate() {
        let outcome = (|| {
            let item = object(item, index)?;
            let (existing, field) = match item.get("id") {
                Some(_) => (Some(named_id(call, module, item, index, None)?), None),
                None => match check::existing(call, module, item, &order) {
                    Some((id, field)) => (Some(id), Some(field)),
                    None => (None, None),
                },
            };
            if let Some(id) = existing {
                precondition(call, module, id, unmodified_since)?;
            }
            let id = write(call, module, item, index, existing, &batch.automations)?;
            Ok((id, existing.is_some(), field))
        })();
        outcomes.push(outcome.map(|(id, updated, field)| {
            let action = if updated { "update" } else { "insert" };
            let message = if updated {
                "record updated"
            } else {
                "record added"
            };
            success(
                call,
                module,
                id,
                message,
                &[("action", json!(action)), ("duplicate_field", json!(field))],
            )
        }));
    }
    Ok(finish(call, 200, outcomes))
}

fn object(item: &Json, index: usize) -> Result<&Map<String, Json>, ItemError> {
    item.as_object().ok_or_else(|| {
        let details =
            json!({ "expected_data_type": "jsonobject", "json_path": format!("$.data[{index}]") });
        ItemError::new("INVALID_DATA", "invalid data", details)
    })
}

pub(crate) fn path(index: usize, field: &str) -> String {
    format!("$.data[{index}].{field}")
}

fn invalid_id(index: usize) -> ItemError {
    let details = json!({ "api_name": "id", "json_path": path(index, "id") });
    ItemError::new("INVALID_DATA", "the id given seems to be invalid", details)
}

fn named_id(
    call: &Call<'_>,
    module: usize,
    item: &Map<String, Json>,
    index: usize,
    path_id: Option<&str>,
) -> Result<u64, ItemError> {
    let external = super::records::external_field(call, module).ok().flatten();
    let external_value = external
        .and_then(|position| call.definition(module).ok()?.fields().get(position))
        .and_then(|field| item.get(&field.api_name)?.as_str());
    let text = match (path_id, external_value, item.get("id")) {
        (Some(id), ..) => id.to_owned(),
        (None, Some(value), _) => value.to_owned(),
        (None, None, Some(Json::String(id))) if external.is_none() => id.clone(),
        (None, None, Some(Json::Number(id))) if external.is_none() => id.to_string(),
        (None, None, _) => {
            let details = json!({ "api_name": "id", "json_path": path(index, "id") });
            return Err(ItemError::new(
                "MANDATORY_NOT_FOUND",
                "required field not found",
                details,
            ));
        }
    };
    let id = resolve(call, module, &text).ok().flatten();
    id.filter(|id| call.organisation.table_at(module).get(*id).is_some())
        .ok_or_else(|| invalid_id(index))
}

fn precondition(
    call: &Call<'_>,
    module: usize,
    id: u64,
    unmodified_since: Option<Timestamp>,
) -> Result<(), ItemError> {
    let (Some(limit), Some(record)) =
        (unmodified_since, call.organisation.table_at(module).get(id))
    else {
        return Ok(());
    };
    if record.modified() <= limit {
        return Ok(());
    }
    Err(ItemError {
        status: 412,
        code: "ALREADY_MODIFIED",
        message: "the record has been modified already".to_owned(),
        details: mark(call, module, id),
    })
}

/// Id, times and people of a record: what every write answers with.
fn mark(call: &Call<'_>, module: usize, id: u64) -> Json {
    let organisation = &*call.organisation;
    let Some(record) = organisation.table_at(module).get(id) else {
        return json!({ "id": id.to_string() });
    };
    let person = |position| {
        let user = record
            .value(position)
            .as_reference()
            .and_then(|id| organisation.users.get(&id));
        user.map_or(
            Json::Null,
            |user| json!({ "name": user.full_name(), "id": user.id.to_string() }),
        )
    };
    json!({
        "Modified_Time": view::instant(record.modified(), &call.zone),
        "Modified_By": person(common::MODIFIED_BY),
        "Created_Time": view::instant(record.created(), &call.zone),
        "Created_By": person(common::CREATED_BY),
        "id": id.to_string(),
        "$approval_state": "approved",
    })
}

fn success(call: &Call<'_>, module: usize, id: u64, message: &str, extra: &[(&str, Json)]) -> Json {
    let mut item = Map::new();
    item.insert("code".to_owned(), json!("SUCCESS"));
    let mut details = mark(call, module, id);
    if let Ok(Some(position)) = super::records::external_field(call, module)
        && let Some(field) = call
            .definition(module)
            .ok()
            .and_then(|module| module.fields().get(position))
        && let Some(details) = details.as_object_mut()
    {
        let value = call
            .organisation
            .table_at(module)
            .get(id)
            .and_then(|record| record.value(position).as_text());
        details.insert(field.api_name.clone(), json!(value));
    }
    item.insert("details".to_owned(), details);
    item.insert("message".to_owned(), json!(message));
    item.insert("status".to_owned(), json!("success"));
    for (name, value) in extra {
        item.insert((*name).to_owned(), value.clone());
    }
    Json::Object(item)
}

fn finish(call: &mut Call<'_>, all_well: u16, outcomes: Vec<Result<Json, ItemError>>) -> Answer {
    let well = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    let first = outcomes
        .iter()
        .find_map(|outcome| outcome.as_ref().err())
        .map(|error| error.status);
    let same = outcomes
        .iter()
        .all(|outcome| outcome.as_ref().err().map(|error| error.status) == first);
    let status = match (well, first) {
        (_, None) => all_well,
        (0, Some(status)) if same => status,
        (0, Some(_)) => 400,
        _ => 207,
    };
    call.rows(well);
    let data: Vec<Json> = outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or_else(|error| error.json()))
        .collect();
    Answer::json(status, &json!({ "data": data }))
}

/// Writes one record: a new one, or changes to an existing one.
fn write(
    call: &mut Call<'_>,
    module: usize,
    item: &Map<String, Json>,
    index: usize,
    existing: Option<u64>,
    automations: &[String],
) -> Result<u64, ItemError> {
    let old = existing
        .and_then(|id| call.organisation.table_at(module).get(id))
        .cloned();
    if let Some(old) = &old {
        obstacle(call, module, old, item)?;
    }
    let writer = validate::Writer {
        now: call.now,
        user: call.grant.user,
    };
    let changes = validate::changes(
        call.organisation,
        &writer,
        module,
        item,
        index,
        old.as_ref(),
    )?;
    let id = apply(
        call.organisation,
        module,
        old,
        changes,
        call.grant.user,
        call.now,
    );
    run_automations(call.organisation, module, id, automations, call.now);
    Ok(id)
}

fn obstacle(
    call: &Call<'_>,
    module: usize,
    old: &Record,
    item: &Map<String, Json>,
) -> Result<(), ItemError> {
    let details = json!({ "id": old.id.to_string() });
    if old.locked {
        return Err(ItemError::new(
            "RECORD_LOCKED",
            "the record is locked",
            details,
        ));
    }
    if old.awaiting_approval {
        return Err(ItemError::new(
            "NOT_APPROVED",
            "the record is waiting for approval",
            details,
        ));
    }
    let guarded = call.definition(module).ok().and_then(|module| {
        ["Stage", "Status", "Customer_Status"]
            .into_iter()
            .find(|name| module.position(name).is_some())
    });
    if old.in_blueprint && guarded.is_none_or(|name| item.contains_key(name)) {
        return Err(ItemError::new(
            "RECORD_IN_BLUEPRINT",
            "the record is in a blueprint",
            details,
        ));
    }
    Ok(())
}

/// Puts checked changes into the table. An edit that changes nothing still counts as one, unless the organisation says otherwise.
pub(crate) fn apply(
    organisation: &mut Organisation,
    module: usize,
    old: Option<Record>,
    changes: Vec<(usize, Value)>,
    user: u64,
    now: Timestamp,
) -> u64 {
    if organisation.ignore_empty_edits
        && let Some(old) = &old
        && changes
            .iter()
            .all(|(position, value)| old.value(*position) == value)
    {
        return old.id;
    }
    let now = whole_seconds(now);
    let mut record = match old {
        Some(old) => old,
        None => {
            let id = organisation.new_id();
            let fields = organisation
                .modules
                .get(module)
                .map_or(0, |module| module.fields().len());
            let mut record = Record::new(id, fields);
            record.set(common::OWNER, Value::Reference(user));
            record.set(common::CREATED_BY, Value::Reference(user));
            record.set(common::CREATED_TIME, Value::Instant(now));
            record.set(common::RECORD_STATUS, Value::text("Available"));
            number(organisation, module, &mut record);
            record
        }
    };
    for (position, value) in changes {
        record.set(position, value);
    }
    record.set(common::MODIFIED_BY, Value::Reference(user));
    record.set(common::MODIFIED_TIME, Value::Instant(now));
    let id = record.id;
    if let Some(table) = organisation.tables.get_mut(module) {
        table.put(record);
    }
    id
}

/// Fills the automatic numbers of a new record.
pub(crate) fn number(organisation: &mut Organisation, module: usize, record: &mut Record) {
    let Some(definition) = organisation.modules.get(module) else {
        return;
    };
    for (position, field) in definition.fields().iter().enumerate() {
        if field.data_type == crate::org::schema::DataType::AutoNumber {
            let counter = organisation.counters.entry((module, position)).or_insert(0);
            *counter += 1;
            let prefix = definition.api_name.chars().next().unwrap_or('N');
            record.set(position, Value::text(format!("{prefix}-{counter:06}")));
        }
    }
}

fn run_automations(
    organisation: &mut Organisation,
    module: usize,
    id: u64,
    kinds: &[String],
    now: Timestamp,
) {
    let Some(definition) = organisation.modules.get(module) else {
        return;
    };
    let name = definition.api_name.clone();
    organisation.ran(AutomationRun {
        time: now,
        module: name.clone(),
        record: id,
        kinds: kinds.to_vec(),
    });
    if !kinds.iter().any(|kind| kind == "workflow") {
        return;
    }
    let rule = organisation
        .workflows
        .iter()
        .find(|rule| rule.active && rule.module == name);
    let position = rule.and_then(|rule| organisation.modules.get(module)?.position(&rule.field));
    let (Some(position), Some(table)) = (position, organisation.tables.get_mut(module)) else {
        return;
    };
    if let Some(mut record) = table.get(id).cloned() {
        let runs = record.value(position).as_number().unwrap_or_default();
        record.set(position, Value::Number(runs + rust_decimal::Decimal::ONE));
        table.put(record);
    }
}

/// The other record that has the same value in a field.
pub(crate) fn other_with(
    table: &crate::org::store::Table,
    position: usize,
    value: &Value,
    own: Option<u64>,
) -> Option<u64> {
    let key = Key::of(value)?;
    table.with_key(position, &key)?.find(|id| Some(*id) != own)
}
