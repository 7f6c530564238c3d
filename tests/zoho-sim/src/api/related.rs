//! Records that belong to a record.

use super::{Call, Operation, records};
use crate::org::record::Record;
use crate::request::{Answer, Refusal};

pub(super) fn list(
    call: &mut Call<'_>,
    module: usize,
    id: &str,
    list: &str,
) -> Result<Answer, Refusal> {
    call.need_module(module, Operation::Read)?;
    let Some(related) = call
        .definition(module)?
        .related
        .iter()
        .find(|known| known.api_name == list)
        .cloned()
    else {
        return Err(Refusal::new(
            400,
            "INVALID_MODULE",
            "the related list name given seems to be invalid",
        )
        .details(serde_json::json!({ "resource_path_index": 2 })));
    };
    call.charge(1, false)?;
    let target = call
        .organisation
        .position(&related.module)
        .ok_or_else(Refusal::invalid_module)?;
    call.need_module(target, Operation::Read)?;
    let wanted = records::wanted(call, target)?;
    let start = records::starting_point(call, &wanted)?;
    let Some(id) = records::resolve(call, module, id)? else {
        return Ok(Answer::empty(204));
    };
    let rows: Vec<&Record> = call
        .organisation
        .children(&related.module, &related.via, id)
        .collect();
    let page = records::take_sorted(rows.into_iter(), &wanted, &start);
    records::reply(call, target, &wanted, &start, page)
}
