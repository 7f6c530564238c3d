//! Zoho's query language.

mod access;
mod compile;
mod evaluate;
mod parse;
mod syntax;
#[cfg(test)]
mod tests;

pub(crate) use compile::{Compiled, condition};
pub(crate) use evaluate::run;
pub(crate) use parse::parse;

use crate::request::Refusal;
use serde_json::json;

/// Rows without a limit in the query.
pub(crate) const DEFAULT_ROWS: usize = 200;
/// The largest limit.
pub(crate) const ROWS: usize = 2_000;
/// How far limit and offset reach.
pub(crate) const REACH: usize = 100_000;
const COLUMNS: usize = 500;
const LIST: usize = 100;
const CRITERIA: usize = 25;
/// More brackets than as many criteria need. Zoho does not say how many it takes.
const NESTING: usize = 100;
const ORDER: usize = 10;
const GROUP: usize = 4;
const AGGREGATES: usize = 5;

fn syntax_error(near: &str) -> Refusal {
    let near: String = near.chars().take(40).collect();
    Refusal::new(400, "SYNTAX_ERROR", "error occured while parsing the query")
        .details(json!({ "near": near }))
}

fn invalid_query(reason: &str, column: &str) -> Refusal {
    Refusal::new(400, "INVALID_QUERY", "invalid query formed")
        .details(json!({ "reason": reason, "column_name": column }))
}

fn invalid_operator(column: &str, operator: &str) -> Refusal {
    Refusal::new(400, "INVALID_QUERY", "invalid query formed").details(json!({
        "reason": "the operator is not supported for the field", "column_name": column, "operator": operator,
    }))
}

fn limit_exceeded(what: &str, limit: usize) -> Refusal {
    Refusal::new(
        400,
        "LIMIT_EXCEEDED",
        format!("the number of {what} exceeds the limit"),
    )
    .details(json!({ "limit": limit, "clause": what }))
}
