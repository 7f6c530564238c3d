//! Upsert's search for the record that is meant.

use crate::api::Call;
use crate::org::schema::DataType;
use crate::org::store::Key;
use crate::request::Refusal;
use serde_json::{Map, Value as Json, json};

/// The fields to check, in their order.
///
/// Zoho's own field comes first when it is checked at all: without a list, or when the list names it. Unique fields are
/// always checked, those of the list before the others.
pub(super) fn order(
    call: &Call<'_>,
    module: usize,
    list: Option<&[String]>,
) -> Result<Vec<usize>, Refusal> {
    let definition = call.definition(module)?;
    let system = definition.duplicate_field;
    let unique: Vec<usize> = definition
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| !field.hidden && (field.unique || field.external.is_some()))
        .map(|(position, _)| position)
        .collect();
    let mut order: Vec<usize> = Vec::new();
    match list {
        None => order.extend(system),
        Some(names) => {
            let mut listed = Vec::new();
            for name in names {
                let position = definition
                    .position(name)
                    .filter(|at| unique.contains(at) || system == Some(*at));
                listed.push(position.ok_or_else(|| {
                    Refusal::new(
                        400,
                        "INVALID_DATA",
                        "the field cannot be used to check for duplicates",
                    )
                    .details(json!({ "api_name": "duplicate_check_fields", "field": name }))
                })?);
            }
            order.extend(listed.iter().copied().filter(|at| system == Some(*at)));
            order.extend(listed.iter().copied().filter(|at| system != Some(*at)));
        }
    }
    order.extend(unique);
    let mut seen = Vec::new();
    order.retain(|at| {
        let first = !seen.contains(at);
        seen.push(*at);
        first
    });
    Ok(order)
}

/// The record that the first matching field finds, the oldest of several, with that field's name.
pub(super) fn existing(
    call: &Call<'_>,
    module: usize,
    item: &Map<String, Json>,
    order: &[usize],
) -> Option<(u64, String)> {
    let definition = call.definition(module).ok()?;
    let table = call.organisation.table_at(module);
    order.iter().find_map(|position| {
        let field = definition.fields().get(*position)?;
        let key = match (item.get(&field.api_name)?, field.data_type) {
            (Json::String(text), _) if !text.trim().is_empty() => Key::text(text),
            (Json::Number(number), DataType::Text) => Key::text(&number.to_string()),
            _ => return None,
        };
        let id = table.with_key(*position, &key)?.next()?;
        Some((id, field.api_name.clone()))
    })
}
