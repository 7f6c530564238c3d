//! How records are shown in JSON.

use super::record::{Record, Value};
use super::schema::{DataType, Field};
use super::{Organisation, user::User};
use jiff::{Timestamp, tz::TimeZone};
use rust_decimal::{Decimal, prelude::ToPrimitive};
use serde_json::{Map, Value as Json, json};

/// Who looks, and when.
#[derive(Debug, Clone)]
pub(crate) struct Viewer {
    pub(crate) zone: TimeZone,
    pub(crate) now: Timestamp,
}

/// Which of Zoho's two forms of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    List,
    Single,
}

pub(crate) fn instant(instant: Timestamp, zone: &TimeZone) -> String {
    instant
        .to_zoned_datetime(zone.clone())
        .strftime("%Y-%m-%dT%H:%M:%S%:z")
        .to_string()
}

pub(crate) fn number(number: Decimal) -> Json {
    if number.is_integer()
        && let Some(whole) = number.to_i64()
    {
        return json!(whole);
    }
    number.to_f64().map_or(Json::Null, |number| json!(number))
}

pub(crate) fn user_reference(user: &User) -> Json {
    json!({ "name": user.full_name(), "id": user.id.to_string(), "email": user.email })
}

/// The name of a record in lookups.
pub(crate) fn display_name(
    organisation: &Organisation,
    module: usize,
    record: &Record,
    now: Timestamp,
) -> Json {
    let display = organisation
        .modules
        .get(module)
        .map_or(0, |module| module.display);
    match organisation.value(module, record, display, now) {
        Value::Text(text) => json!(text),
        _ => Json::Null,
    }
}

/// The value of one field as JSON.
pub(crate) fn field(
    organisation: &Organisation,
    module: usize,
    record: &Record,
    position: usize,
    form: Form,
    viewer: &Viewer,
) -> Json {
    let Some(definition) = organisation
        .modules
        .get(module)
        .and_then(|module| module.fields().get(position))
    else {
        return Json::Null;
    };
    let value = organisation.value(module, record, position, viewer.now);
    value_as_json(organisation, definition, &value, form, viewer)
}

pub(crate) fn value_as_json(
    organisation: &Organisation,
    definition: &Field,
    value: &Value,
    form: Form,
    viewer: &Viewer,
) -> Json {
    match value {
        Value::Null if definition.api_name == "Tag" => json!([]),
        Value::Null => Json::Null,
        Value::Text(text) if definition.is_rich() && form == Form::List => {
            json!(text.chars().take(500).collect::<String>())
        }
        Value::Text(text) => json!(text),
        Value::Number(value) if definition.data_type == DataType::BigInt => {
            json!(value.normalize().to_string())
        }
        Value::Number(value) => number(*value),
        Value::Boolean(value) => json!(value),
        Value::Date(date) => json!(date.to_string()),
        Value::Instant(at) => json!(instant(*at, &viewer.zone)),
        Value::Reference(id) => reference(organisation, definition, *id, viewer.now),
        Value::Many(values) if definition.api_name == "Tag" => values
            .iter()
            .map(|name| json!({ "name": name, "id": null, "color_code": null }))
            .collect(),
        Value::Many(values) => json!(values),
        Value::Rows(rows) => rows
            .iter()
            .map(|row| {
                let mut cells = row.cells.clone();
                cells.insert("id".to_owned(), json!(row.id.to_string()));
                Json::Object(cells)
            })
            .collect(),
        Value::Links(links) => links
            .iter()
            .map(|(row, target)| {
                let shown = reference(organisation, definition, *target, viewer.now);
                json!({ "id": row.to_string(), definition.api_name.as_str(): shown })
            })
            .collect(),
    }
}

fn reference(organisation: &Organisation, definition: &Field, id: u64, now: Timestamp) -> Json {
    if definition.data_type.is_user() {
        return organisation
            .users
            .get(&id)
            .map_or(Json::Null, user_reference);
    }
    // A record in the recycle bin is not shown by the lookups that name it; they show it again once it is restored.
    let module = match &definition.target {
        Some(target) => organisation.position(target),
        None => organisation.module_of(id),
    };
    module
        .and_then(|module| Some((module, organisation.table_at(module).get(id)?)))
        .map_or(Json::Null, |(module, record)| {
            json!({ "name": display_name(organisation, module, record, now), "id": id.to_string() })
        })
}

/// A record with chosen fields.
pub(crate) fn record(
    organisation: &Organisation,
    module: usize,
    record: &Record,
    positions: &[usize],
    form: Form,
    viewer: &Viewer,
) -> Map<String, Json> {
    let mut shown = Map::new();
    shown.insert("id".to_owned(), json!(record.id.to_string()));
    let Some(definition) = organisation.modules.get(module) else {
        return shown;
    };
    for position in positions {
        let Some(at) = definition.fields().get(*position) else {
            continue;
        };
        if at.hidden || (form == Form::List && at.data_type.single_only()) {
            continue;
        }
        shown.insert(
            at.api_name.clone(),
            field(organisation, module, record, *position, form, viewer),
        );
        if at.data_type == DataType::MultiModuleLookup {
            shown.insert(
                "$se_module".to_owned(),
                se_module(organisation, record, *position),
            );
        }
    }
    shown
}

/// The module of what a task is about: of `What_Id`, else Contacts when there is a `Who_Id`.
fn se_module(organisation: &Organisation, record: &Record, what: usize) -> Json {
    match record.value(what) {
        Value::Reference(id) => organisation
            .module_of(*id)
            .and_then(|module| organisation.modules.get(module))
            .map_or(Json::Null, |module| json!(module.api_name)),
        _ => Json::Null,
    }
}

/// The whole record, hidden fields and all, for whoever compares with it.
pub(crate) fn raw(
    organisation: &Organisation,
    module: usize,
    record: &Record,
    now: Timestamp,
) -> Json {
    let viewer = Viewer {
        zone: TimeZone::UTC,
        now,
    };
    let mut shown = Map::new();
    shown.insert("id".to_owned(), json!(record.id.to_string()));
    let Some(definition) = organisation.modules.get(module) else {
        return Json::Object(shown);
    };
    for (position, at) in definition.fields().iter().enumerate() {
        shown.insert(
            at.api_name.clone(),
            field(
                organisation,
                module,
                record,
                position,
                Form::Single,
                &viewer,
            ),
        );
        if at.data_type == DataType::MultiModuleLookup {
            shown.insert(
                "$se_module".to_owned(),
                se_module(organisation, record, position),
            );
        }
    }
    Json::Object(shown)
}
