//! Tallies: how many records have a value, or each of the values.

use serde_json::Value;

use super::ZohoCrm;
use super::errors::{self, Unreadable};
use super::read::{asked_by_coql, counted, list};
use super::transport::Response;
use super::wire;
use crate::port::{Caller, CrmError, Reply};
use crate::tally::{Each, Tallied, Tally};

impl ZohoCrm {
    pub(super) async fn read_tally(
        &self,
        caller: &Caller,
        tally: &Tally,
    ) -> Result<Reply<Tallied>, CrmError> {
        let what = asked_by_coql(tally.object)?;
        let response = self.coql(caller, &tally.to_string()).await?;
        let tallied = match (response.status, tally.each) {
            (204, _) => Tallied::default(),
            (_, Each::Row | Each::Filled) => Tallied {
                rows: counted(&what, &response)?,
                ..Tallied::default()
            },
            (_, Each::Value { .. }) => values(&what, &response, tally.field.as_str())?,
        };
        wire::reply(&what, &response, tallied, tally.price())
    }
}

/// A page of values. One that does not say whether there are more is an error: taken for the last one, it would count too little.
fn values(what: &str, response: &Response, field: &str) -> Result<Tallied, CrmError> {
    let malformed = |why| errors::malformed(what, Unreadable::Shape(why));
    let values = list(what, response, "data")?
        .iter()
        .map(|row| value(row, field))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| malformed("a value without its count"))?;
    let json = wire::json(&response.body).map_err(|why| errors::malformed(what, why))?;
    let more = json
        .pointer("/info/more_records")
        .and_then(Value::as_bool)
        .ok_or_else(|| malformed("no word on whether there is more"))?;
    if more && values.is_empty() {
        return Err(malformed("no values, yet more of them"));
    }
    Ok(Tallied {
        rows: values
            .iter()
            .fold(0, |sum: u64, (_, rows)| sum.saturating_add(*rows)),
        values,
        more,
    })
}

/// A value and its count, whatever Zoho calls the column of the latter.
fn value(row: &Value, field: &str) -> Option<(String, u64)> {
    let row = row.as_object()?;
    let value = match row.get(field)? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        _ => return None,
    };
    let mut counts = row
        .iter()
        .filter(|(name, _)| *name != field && *name != "id");
    let (_, count) = counts.next()?;
    match counts.next() {
        None => Some((value, wire::number(count)?)),
        Some(_) => None,
    }
}
