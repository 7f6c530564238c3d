//! How many records a module or a view has.

use super::{Call, Operation};
use crate::request::{Answer, Refusal};
use serde_json::json;

pub(super) fn count(call: &mut Call<'_>, module: usize) -> Result<Answer, Refusal> {
    call.need_module(module, Operation::Read)?;
    call.need("settings", Some("layouts"), Operation::Read)?;
    if !call
        .grant
        .scopes
        .iter()
        .any(|scope| scope.eq_ignore_ascii_case("ZohoSearch.securesearch.READ"))
    {
        return Err(Refusal::new(
            401,
            "OAUTH_SCOPE_MISMATCH",
            "invalid oauth scope to access this URL",
        ));
    }
    call.charge(1, false)?;
    let condition = match call.request.parameter("cvid") {
        None => None,
        Some(id) => {
            let views = &call.definition(module)?.views;
            let view = views.iter().find(|view| view.id.to_string() == id);
            let view =
                view.ok_or_else(|| Refusal::parameter("cvid", "the custom view id is not valid"))?;
            match &view.condition {
                None => None,
                Some(text) => Some(crate::coql::condition(call.organisation, module, text)?),
            }
        }
    };
    let organisation = &*call.organisation;
    let records = organisation.table_at(module).records();
    let count = match &condition {
        None => records.len(),
        Some(condition) => records
            .values()
            .filter(|record| condition.holds(organisation, module, record, call.now))
            .count(),
    };
    Ok(Answer::json(200, &json!({ "count": count })))
}
