//! Checking what is written, field by field.

use super::{ItemError, other_with, path, whole_seconds};
use crate::org::Organisation;
use crate::org::record::{Record, Row, Value};
use crate::org::schema::{Alteration, DataType, Field, common};
use crate::org::store::Key;
use crate::org::user::UserStatus;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Map, Value as Json, json};

/// Who writes, and when.
pub(crate) struct Writer {
    pub(crate) now: Timestamp,
    pub(crate) user: u64,
}

/// The checked changes of one record. Unknown names and read-only fields are passed over in silence, as Zoho does.
pub(crate) fn changes(
    organisation: &mut Organisation,
    writer: &Writer,
    module: usize,
    item: &Map<String, Json>,
    index: usize,
    old: Option<&Record>,
) -> Result<Vec<(usize, Value)>, ItemError> {
    let Some(definition) = organisation.modules.get(module).cloned() else {
        return Ok(Vec::new());
    };
    for field in definition.fields().iter().filter(|field| field.mandatory) {
        let missing = match item.get(&field.api_name) {
            None => old.is_none(),
            Some(value) => {
                value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
            }
        };
        if missing {
            let details =
                json!({ "api_name": field.api_name, "json_path": path(index, &field.api_name) });
            return Err(ItemError::new(
                "MANDATORY_NOT_FOUND",
                "required field not found",
                details,
            ));
        }
    }
    let mut changes = Vec::with_capacity(item.len() + 1);
    for (name, json) in item {
        let Some((position, field)) = definition.visible(name) else {
            continue;
        };
        if field.read_only || field.computed.is_some() {
            continue;
        }
        let previous = old.map(|old| old.value(position));
        let at = At { field, index };
        let value = if field.data_type == DataType::MultiModuleLookup {
            what(organisation, item, json, &at)?
        } else {
            parse(organisation, writer, json, previous, &at)?
        };
        if field.unique || field.external.is_some() {
            unique(
                organisation,
                module,
                position,
                &value,
                old.map(|old| old.id),
                &at,
            )?;
        }
        changes.push((position, value));
    }
    close(&definition, &mut changes, old, writer.now);
    Ok(changes)
}

struct At<'a> {
    field: &'a Field,
    index: usize,
}

impl At<'_> {
    fn path(&self) -> String {
        path(self.index, &self.field.api_name)
    }

    fn wrong_type(&self, expected: &str) -> ItemError {
        let details = json!({
            "api_name": self.field.api_name, "expected_data_type": expected, "json_path": self.path(),
        });
        ItemError::new("INVALID_DATA", "invalid data", details)
    }

    fn too_long(&self) -> ItemError {
        let details = json!({
            "api_name": self.field.api_name, "maximum_length": self.field.length, "json_path": self.path(),
        });
        ItemError::new("INVALID_DATA", "invalid data", details)
    }

    fn invalid(&self, message: &str) -> ItemError {
        ItemError::new(
            "INVALID_DATA",
            message,
            json!({ "api_name": self.field.api_name, "json_path": self.path() }),
        )
    }
}

fn parse(
    organisation: &mut Organisation,
    writer: &Writer,
    json: &Json,
    previous: Option<&Value>,
    at: &At<'_>,
) -> Result<Value, ItemError> {
    let field = at.field;
    if json.is_null() {
        return Ok(if field.data_type == DataType::OwnerLookup {
            previous.cloned().unwrap_or(Value::Reference(writer.user))
        } else {
            Value::Null
        });
    }
    match field.data_type {
        DataType::Boolean => json
            .as_bool()
            .map(Value::Boolean)
            .ok_or_else(|| at.wrong_type("boolean")),
        DataType::Integer => whole(json, at, "integer"),
        DataType::BigInt => whole(json, at, "bigint"),
        DataType::Double | DataType::Currency | DataType::Percent => decimal(json, at),
        DataType::Date => json
            .as_str()
            .filter(|text| text.len() == 10)
            .and_then(|text| text.parse().ok())
            .map(Value::Date)
            .ok_or_else(|| at.wrong_type("date")),
        DataType::DateTime => json
            .as_str()
            .and_then(|text| text.parse::<Timestamp>().ok())
            .map(|instant| Value::Instant(whole_seconds(instant)))
            .ok_or_else(|| at.wrong_type("datetime")),
        DataType::OwnerLookup | DataType::UserLookup => {
            let id = reference_id(json).ok_or_else(|| at.wrong_type("jsonobject"))?;
            match organisation.users.get(&id) {
                Some(user) if user.status == UserStatus::Active => Ok(Value::Reference(id)),
                _ => Err(at.invalid("the user does not exist or is not active")),
            }
        }
        DataType::Lookup => lookup(organisation, json, at),
        DataType::MultiSelectPicklist => {
            let texts = json.as_array().ok_or_else(|| at.wrong_type("jsonarray"))?;
            let texts: Option<Vec<String>> = texts
                .iter()
                .map(|text| text.as_str().map(str::to_owned))
                .collect();
            texts
                .map(Value::many)
                .ok_or_else(|| at.wrong_type("jsonarray"))
        }
        DataType::MultiSelectLookup => links(organisation, json, previous, at),
        DataType::Subform => rows(organisation, writer, json, previous, at),
        DataType::MultiModuleLookup
        | DataType::Formula
        | DataType::RollupSummary
        | DataType::AutoNumber => Ok(previous.cloned().unwrap_or_default()),
        _ => text(json, at),
    }
}

fn text(json: &Json, at: &At<'_>) -> Result<Value, ItemError> {
    let field = at.field;
    let text = json
        .as_str()
        .ok_or_else(|| at.wrong_type(field.data_type.name()))?;
    if text.chars().count() > field.length {
        return Err(at.too_long());
    }
    let text = match field.alteration {
        Some(Alteration::Trim) => text.trim().to_owned(),
        Some(Alteration::UpperCase) => text.to_uppercase(),
        Some(Alteration::NormalisePhone) => text
            .chars()
            .enumerate()
            .filter(|(at, c)| c.is_ascii_digit() || (*at == 0 && *c == '+'))
            .map(|(_, c)| c)
            .collect(),
        _ => text.to_owned(),
    };
    match field.data_type {
        DataType::Email if !text.is_empty() => {
            let plausible = text
                .trim()
                .split_once('@')
                .is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
            if !plausible || text.trim().contains(char::is_whitespace) {
                return Err(at.wrong_type("email"));
            }
        }
        DataType::Picklist
            if field.strict_choices && !text.is_empty() && !field.choices.contains(&text) =>
        {
            let details = json!({
                "api_name": field.api_name, "json_path": at.path(), "supported_values": field.choices,
            });
            return Err(ItemError::new("INVALID_DATA", "invalid data", details));
        }
        DataType::Picklist if text == "-None-" => return Ok(Value::Null),
        _ => {}
    }
    Ok(Value::text(text))
}

fn whole(json: &Json, at: &At<'_>, expected: &str) -> Result<Value, ItemError> {
    let number: i64 = match json {
        Json::Number(number) => number.as_i64(),
        Json::String(text) if at.field.data_type == DataType::BigInt => text.parse().ok(),
        _ => None,
    }
    .ok_or_else(|| at.wrong_type(expected))?;
    let digits = number
        .unsigned_abs()
        .checked_ilog10()
        .map_or(1, |log| log as usize + 1);
    if digits > at.field.length {
        return Err(at.too_long());
    }
    Ok(Value::Number(number.into()))
}

fn decimal(json: &Json, at: &At<'_>) -> Result<Value, ItemError> {
    let number: Decimal = match json {
        Json::Number(number) => number.to_string(),
        Json::String(text) => text.clone(),
        _ => return Err(at.wrong_type("double")),
    }
    .parse::<Decimal>()
    .or_else(|_| Decimal::from_scientific(&json.to_string()))
    .map_err(|_| at.wrong_type("double"))?;
    if number.trunc().abs().normalize().to_string().len() > at.field.length {
        return Err(at.too_long());
    }
    let number = if at.field.alteration == Some(Alteration::Round) {
        number.round_dp(at.field.decimals)
    } else {
        number
    };
    Ok(Value::Number(number.normalize()))
}

/// The id in `{"id": "…"}`, `{"id": …}`, `"…"` or a bare number: the official SDKs write numbers.
fn reference_id(json: &Json) -> Option<u64> {
    match json {
        Json::Object(object) => object.get("id").and_then(reference_id),
        Json::String(text) => text.parse().ok(),
        Json::Number(number) => number.as_u64(),
        _ => None,
    }
}

fn lookup(organisation: &Organisation, json: &Json, at: &At<'_>) -> Result<Value, ItemError> {
    let target = at
        .field
        .target
        .as_deref()
        .and_then(|target| organisation.position(target));
    let table = organisation.table_at(target.unwrap_or(usize::MAX));
    if let Some(id) = reference_id(json) {
        return match table.get(id) {
            Some(_) => Ok(Value::Reference(id)),
            None => Err(at.invalid("the related id given seems to be invalid")),
        };
    }
    // A name alone links the record of that name.
    let name = json
        .get("name")
        .and_then(Json::as_str)
        .ok_or_else(|| at.wrong_type("jsonobject"))?;
    let display = target
        .and_then(|target| organisation.modules.get(target))
        .map_or(0, |module| module.display);
    let mut named = table
        .with_key(display, &Key::text(name))
        .into_iter()
        .flatten();
    named
        .next()
        .map(Value::Reference)
        .ok_or_else(|| at.invalid("the related record does not exist"))
}

/// What a task is about, which needs `$se_module` beside it.
fn what(
    organisation: &Organisation,
    item: &Map<String, Json>,
    json: &Json,
    at: &At<'_>,
) -> Result<Value, ItemError> {
    if json.is_null() {
        return Ok(Value::Null);
    }
    let Some(name) = item.get("$se_module").and_then(Json::as_str) else {
        let details =
            json!({ "api_name": "$se_module", "json_path": path(at.index, "$se_module") });
        return Err(ItemError::new(
            "DEPENDENT_FIELD_MISSING",
            "the dependent field is missing",
            details,
        ));
    };
    let wrong_module = || {
        let details =
            json!({ "api_name": "$se_module", "json_path": path(at.index, "$se_module") });
        ItemError::new(
            "INVALID_DATA",
            "the module does not fit the related record",
            details,
        )
    };
    let module = organisation
        .position(name)
        .filter(|_| !matches!(name, "Contacts" | "Tasks"))
        .ok_or_else(wrong_module)?;
    let id = reference_id(json).ok_or_else(|| at.wrong_type("jsonobject"))?;
    match organisation.module_of(id) {
        Some(found) if found == module => Ok(Value::Reference(id)),
        Some(_) => Err(wrong_module()),
        None => Err(at.invalid("the related id given seems to be invalid")),
    }
}

fn links(
    organisation: &mut Organisation,
    json: &Json,
    previous: Option<&Value>,
    at: &At<'_>,
) -> Result<Value, ItemError> {
    let items = json.as_array().ok_or_else(|| at.wrong_type("jsonarray"))?;
    let mut links = match previous {
        Some(Value::Links(links)) if !items.is_empty() => links.as_ref().clone(),
        _ => Vec::new(),
    };
    for item in items {
        let row = item.get("id").and_then(reference_id);
        if item.get("_delete").is_some() {
            links.retain(|(id, _)| Some(*id) != row);
            continue;
        }
        let named = item.get(&at.field.api_name).and_then(reference_id);
        let target = match (named, row) {
            (Some(target), _) => target,
            (None, Some(row)) if links.iter().any(|(id, _)| *id == row) => continue,
            (None, Some(target)) => target,
            (None, None) => return Err(at.wrong_type("jsonobject")),
        };
        let module = at
            .field
            .target
            .as_deref()
            .and_then(|target| organisation.position(target));
        if module.is_none_or(|module| organisation.table_at(module).get(target).is_none()) {
            return Err(at.invalid("the related id given seems to be invalid"));
        }
        if links.iter().any(|(_, known)| *known == target) {
            let details = json!({ "api_name": at.field.api_name, "json_path": at.path() });
            return Err(ItemError::new(
                "DUPLICATE_LINKING_DATA",
                "the record is linked already",
                details,
            ));
        }
        links.push((organisation.new_id(), target));
    }
    Ok(if links.is_empty() {
        Value::Null
    } else {
        Value::Links(Box::new(links))
    })
}

fn rows(
    organisation: &mut Organisation,
    writer: &Writer,
    json: &Json,
    previous: Option<&Value>,
    at: &At<'_>,
) -> Result<Value, ItemError> {
    let items = json.as_array().ok_or_else(|| at.wrong_type("jsonarray"))?;
    let mut rows = match previous {
        Some(Value::Rows(rows)) if !items.is_empty() => rows.as_ref().clone(),
        _ => Vec::new(),
    };
    for item in items {
        let given = item
            .as_object()
            .ok_or_else(|| at.wrong_type("jsonobject"))?;
        let mut cells = Map::new();
        for column in &at.field.columns {
            let Some(json) = given.get(&column.api_name) else {
                continue;
            };
            // Checked like a field, shown as it was sent.
            let cell = At {
                field: column,
                index: at.index,
            };
            let value = parse(organisation, writer, json, None, &cell)?;
            let viewer = crate::org::view::Viewer {
                zone: jiff::tz::TimeZone::UTC,
                now: writer.now,
            };
            let shown = crate::org::view::value_as_json(
                organisation,
                column,
                &value,
                crate::org::view::Form::Single,
                &viewer,
            );
            cells.insert(column.api_name.clone(), shown);
        }
        match given.get("id").and_then(reference_id) {
            None => rows.push(Row {
                id: organisation.new_id(),
                cells,
            }),
            Some(id) if given.contains_key("_delete") => rows.retain(|row| row.id != id),
            Some(id) => match rows.iter_mut().find(|row| row.id == id) {
                Some(row) => row.cells.extend(cells),
                None => return Err(at.invalid("the row does not exist")),
            },
        }
    }
    Ok(if rows.is_empty() {
        Value::Null
    } else {
        Value::Rows(Box::new(rows))
    })
}

fn unique(
    organisation: &Organisation,
    module: usize,
    position: usize,
    value: &Value,
    own: Option<u64>,
    at: &At<'_>,
) -> Result<(), ItemError> {
    let table = organisation.table_at(module);
    let Some(other) = other_with(table, position, value, own) else {
        return Ok(());
    };
    let (name, id) = organisation
        .modules
        .get(module)
        .map_or((String::new(), 0), |module| {
            (module.api_name.clone(), module.id)
        });
    let owner = table
        .get(other)
        .and_then(|record| {
            organisation
                .users
                .get(&record.value(common::OWNER).as_reference()?)
        })
        .map_or(
            Json::Null,
            |user| json!({ "name": user.full_name(), "id": user.id.to_string() }),
        );
    let details = json!({
        "api_name": at.field.api_name,
        "json_path": at.path(),
        "id": other.to_string(),
        "duplicate_record": {
            "Owner": owner, "module": { "api_name": name, "id": id.to_string() }, "id": other.to_string(),
        },
        "more_records": false,
    });
    Err(ItemError::new("DUPLICATE_DATA", "duplicate data", details))
}

/// Zoho writes when a task was closed.
fn close(
    module: &crate::org::schema::Module,
    changes: &mut Vec<(usize, Value)>,
    old: Option<&Record>,
    now: Timestamp,
) {
    let (Some(status), Some(closed)) = (module.position("Status"), module.position("Closed_Time"))
    else {
        return;
    };
    let Some((_, new)) = changes.iter().find(|(position, _)| *position == status) else {
        return;
    };
    let is_closed = |value: &Value| value.as_text() == Some("Completed");
    let was_closed = old.is_some_and(|old| is_closed(old.value(status)));
    match (was_closed, is_closed(new)) {
        (false, true) => changes.push((closed, Value::Instant(whole_seconds(now)))),
        (true, false) => changes.push((closed, Value::Null)),
        _ => {}
    }
}
