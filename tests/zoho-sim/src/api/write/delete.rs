//! Deleting records.

use super::{ItemError, finish};
use crate::api::records::resolve;
use crate::api::{Call, Operation};
use crate::request::{Answer, Refusal};
use serde_json::json;

pub(in crate::api) fn delete(
    call: &mut Call<'_>,
    module: usize,
    path_id: Option<&str>,
) -> Result<Answer, Refusal> {
    call.need_module(module, Operation::Delete)?;
    call.charge(1, false)?;
    let ids: Vec<String> = match (path_id, call.request.parameter("ids")) {
        (Some(id), _) => vec![id.to_owned()],
        (None, Some(ids)) => ids.split(',').map(|id| id.trim().to_owned()).collect(),
        (None, None) => {
            return Err(Refusal::new(
                400,
                "REQUIRED_PARAM_MISSING",
                "One of the expected parameter is missing",
            )
            .details(json!({ "param_name": "ids" })));
        }
    };
    if ids.len() > super::RECORDS {
        return Err(
            Refusal::new(400, "LIMIT_EXCEEDED", "the number of ids exceeds the limit")
                .details(json!({ "limit": super::RECORDS, "param_name": "ids" })),
        );
    }
    let mut outcomes = Vec::with_capacity(ids.len());
    for id in &ids {
        let found = resolve(call, module, id).ok().flatten();
        let locked = found
            .and_then(|id| call.organisation.table_at(module).get(id))
            .is_some_and(|record| record.locked);
        let (user, now) = (call.grant.user, super::whole_seconds(call.now));
        let table = call.organisation.tables.get_mut(module);
        let outcome = match (found, table) {
            (Some(id), _) if locked => Err(ItemError::new(
                "RECORD_LOCKED",
                "the record is locked",
                json!({ "id": id.to_string() }),
            )),
            (Some(id), Some(table)) if table.get(id).is_some() => {
                table.delete(id, user, false, now);
                Ok(json!({
                    "code": "SUCCESS", "details": { "id": id.to_string() },
                    "message": "record deleted", "status": "success",
                }))
            }
            _ => Err(ItemError::new(
                "INVALID_DATA",
                "record not deleted",
                json!({ "id": id }),
            )),
        };
        outcomes.push(outcome);
    }
    Ok(finish(call, 200, outcomes))
}
