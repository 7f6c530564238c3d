//! The query endpoint.

use super::{Call, Operation};
use crate::coql;
use crate::request::{Answer, Refusal};
use serde_json::{Value as Json, json};

pub(super) fn query(call: &mut Call<'_>) -> Result<Answer, Refusal> {
    call.need("coql", None, Operation::Read)?;
    let body: Json = serde_json::from_slice(&call.request.body).map_err(|_| {
        Refusal::new(400, "INVALID_DATA", "invalid data")
            .details(json!({ "expected_data_type": "jsonobject", "json_path": "$" }))
    })?;
    let Some(text) = body.get("select_query").and_then(Json::as_str) else {
        return Err(
            Refusal::new(400, "MANDATORY_NOT_FOUND", "required field not found")
                .details(json!({ "api_name": "select_query", "json_path": "$.select_query" })),
        );
    };
    call.note_coql(text);
    let query = match coql::parse(text) {
        Ok(query) => query,
        Err(refusal) => {
            call.charge(1, true)?;
            return Err(refusal);
        }
    };
    let credits = match query.limit.unwrap_or(coql::DEFAULT_ROWS) {
        0..=200 => 1,
        201..=1_000 => 2,
        _ => 3,
    };
    call.charge(credits, true)?;
    let module = call.module(&query.module)?;
    call.need_module(module, Operation::Read)?;
    let viewer = call.viewer();
    let result = coql::run(call.organisation, module, &query, &viewer)?;
    if result.rows.is_empty() {
        return Ok(Answer::empty(204));
    }
    call.rows(result.rows.len());
    let count = result.rows.len();
    Ok(Answer::json(
        200,
        &json!({ "data": result.rows, "info": { "count": count, "more_records": result.more } }),
    ))
}
