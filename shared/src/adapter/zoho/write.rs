//! Writing: creating and updating records, with an outcome for each.

use jiff::Timestamp;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Value;

use super::errors::{self, Problem, Unreadable};
use super::transport::{Method, Response};
use super::{WRITE_RECORDS, ZohoCrm, wire};
use crate::credit;
use crate::identifier::ZohoId;
use crate::object::Object;
use crate::port::{Caller, CrmError, Reply, Saved, WriteOutcome, WriteRefusal};
use crate::row::{Outgoing, lookup_id};

/// A write as Zoho takes it. An absent `trigger` would run every automation, so it is always there; empty means none.
#[derive(serde::Serialize)]
struct Body<'a> {
    data: Vec<Record<'a>>,
    trigger: &'a [String],
}

/// A record with its id, where it has one.
struct Record<'a> {
    id: Option<ZohoId>,
    fields: &'a Outgoing,
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Some(id) = self.id {
            map.serialize_entry("id", &id)?;
        }
        for (name, value) in self.fields.iter().filter(|(name, _)| *name != "id") {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl ZohoCrm {
    pub(super) async fn write_new(
        &self,
        caller: &Caller,
        object: Object,
        records: &[Outgoing],
        trigger: &[String],
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        let records = records
            .iter()
            .map(|fields| Record { id: None, fields })
            .collect();
        self.write(caller, object, Method::Post, records, trigger, None)
            .await
    }

    pub(super) async fn write_changes(
        &self,
        caller: &Caller,
        object: Object,
        records: &[(ZohoId, Outgoing)],
        trigger: &[String],
        unmodified_since: Option<Timestamp>,
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        let records = records
            .iter()
            .map(|(id, fields)| Record {
                id: Some(*id),
                fields,
            })
            .collect();
        let condition = unmodified_since.map(|since| ("If-Unmodified-Since", since));
        self.write(caller, object, Method::Put, records, trigger, condition)
            .await
    }

    async fn write(
        &self,
        caller: &Caller,
        object: Object,
        method: Method,
        data: Vec<Record<'_>>,
        trigger: &[String],
        condition: Option<(&'static str, Timestamp)>,
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        let module = object.module();
        if !object.is_writable() {
            let message = format!("{module} are never written to Zoho");
            return Err(errors::refused("NOT_WRITABLE", message));
        }
        if data.is_empty() || data.len() > WRITE_RECORDS {
            let message = format!(
                "a write has 1 to {WRITE_RECORDS} records, not {}",
                data.len()
            );
            return Err(errors::refused("LIMIT_EXCEEDED", message));
        }
        let scope = module.to_lowercase();
        let what = match method {
            Method::Put => format!("updating {module} (scope ZohoCRM.modules.{scope}.UPDATE)"),
            _ => format!("creating {module} (scope ZohoCRM.modules.{scope}.CREATE)"),
        };
        let ids: Vec<Option<ZohoId>> = data.iter().map(|record| record.id).collect();
        let body = serde_json::to_vec(&Body { data, trigger })
            .map_err(|_| errors::refused("INVALID_DATA", "a value is no JSON"))?;
        let response = self.call(caller, method, module, condition, body).await?;
        let outcomes = outcomes(&what, &response, &ids)?;
        wire::reply(&what, &response, outcomes, credit::of_write(ids.len()))
    }
}

/// One outcome for each record sent, in their order: that is how Zoho answers, whatever the status.
fn outcomes(
    what: &str,
    response: &Response,
    ids: &[Option<ZohoId>],
) -> Result<Vec<WriteOutcome>, CrmError> {
    let status = response.status;
    if !matches!(status, 200..300 | 400..429) || matches!(status, 401 | 408) {
        return Err(errors::refusal(what, response));
    }
    let json = wire::json(&response.body).unwrap_or_default();
    let Some(items) = json.get("data").and_then(Value::as_array) else {
        return Err(errors::refusal(what, response));
    };
    if items.len() != ids.len() {
        let (sent, got) = (ids.len(), items.len());
        // A refusal of the whole call, in the form of a single outcome.
        return Err(match items.as_slice() {
            [only] if Problem::of(only).is_some() => errors::refusal(what, response),
            _ => errors::malformed(what, Unreadable::Outcomes { sent, got }),
        });
    }
    let outcomes = items
        .iter()
        .zip(ids)
        .map(|(item, id)| outcome(item, *id))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|why| errors::malformed(what, why))?;
    // The condition failed for every record: the call as a whole did nothing.
    let outdated = |outcome: &WriteOutcome| matches!(outcome, Err(refusal) if refusal.code == "ALREADY_MODIFIED");
    if outcomes.iter().all(outdated) {
        return Err(CrmError::ChangedMeanwhile);
    }
    Ok(outcomes)
}

fn outcome(item: &Value, sent: Option<ZohoId>) -> Result<WriteOutcome, Unreadable> {
    if let Some(problem) = Problem::of(item) {
        return Ok(Err(WriteRefusal {
            code: problem.code,
            field: problem.field,
            message: problem.message,
            duplicate_of: problem.duplicate_of,
        }));
    }
    if wire::text(item, "code") != Some("SUCCESS") {
        return Err(Unreadable::Shape("an outcome without a code"));
    }
    let details = item.get("details").unwrap_or(&Value::Null);
    let id = lookup_id(details).ok_or(Unreadable::Shape("a saved record without an id"))?;
    if sent.is_some_and(|sent| sent != id) {
        return Err(Unreadable::Shape("outcomes out of order"));
    }
    Ok(Ok(Saved {
        id,
        modified_time: wire::text(details, "Modified_Time").and_then(|text| text.parse().ok()),
    }))
}
