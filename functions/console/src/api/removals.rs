//! Removals that the guard holds for a person (R2).

use axum::Json;
use axum::extract::State;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use tandem::flow;
use tandem::flow::job::Deadline;
use tandem::identifier::ZohoId;
use tandem::port::Page;
use tandem::run::Counter;
use utoipa::{IntoParams, ToSchema};

use crate::Deps;
use crate::extract::{OfObject, Query};
use crate::lifecycle;
use crate::paging::{Limit, Listing, Question};
use crate::problem::{Kind, Problem};
use crate::view::Removal;

/// How long a removal may work before it answers: a job hands over 45 seconds before its deadline, and the function has 29 seconds.
const DEADLINE: SignedDuration = SignedDuration::from_secs(45 + 15);

/// Which page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// The `next` of the page before; absent for the first page.
    cursor: Option<String>,
    /// How many candidates are looked through, 1 to 200; 50 unless given.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 200)]
    limit: Limit,
}

/// What became of an approved removal.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Approved {
    /// How many records were removed.
    removed: u64,
    /// How many stay, because they came back meanwhile.
    withdrawn: u64,
    /// Whether more are held: send the request again.
    more: bool,
}

/// What became of a rejected removal.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Rejected {
    /// How many records stay.
    kept: u64,
}

/// The records of an object whose removal waits for a person, by Zoho id.
#[utoipa::path(get, path = "/connections/{connection}/removals/{object}", tag = "removals", operation_id = "list_removals",
    params(OfObject, Paging), responses((status = 200, description = "A page of records", body = Listing<Removal>)))]
pub(super) async fn list(
    State(deps): State<Deps>,
    of: OfObject,
    Query(paging): Query<Paging>,
) -> Result<Json<Listing<Removal>>, Problem> {
    let question = Question::new(&["removals", of.connection.as_str(), of.object.name()]);
    let after = match question.open(paging.cursor.as_deref())? {
        Some(next) => next.parse().map_err(|_| {
            Problem::mistake(
                Kind::Malformed,
                "?cursor",
                "leave it out for the first page",
            )
        })?,
        None => ZohoId::MIN,
    };
    lifecycle::find(&deps.ports, &of.connection).await?;
    let limit = paging.limit.get();
    let candidates = deps
        .ports
        .store
        .candidates(&of.connection, of.object, after, limit)
        .await?;
    let last = candidates
        .last()
        .map(|candidate| candidate.zoho_id.to_string());
    let page = Page {
        next: last.filter(|_| candidates.len() == limit),
        items: candidates
            .into_iter()
            .filter(|candidate| candidate.held)
            .collect(),
    };
    Ok(Json(
        question.listing(page, |candidate| Removal::from(&candidate)),
    ))
}

/// Carries out the held removal of an object.
///
/// Zoho is asked once more about each record; what came back stays.
#[utoipa::path(post, path = "/connections/{connection}/removals/{object}/approve", tag = "removals", operation_id = "approve_removals",
    params(OfObject), responses(
        (status = 200, description = "What was removed", body = Approved),
        (status = 409, description = "The connection is not enabled"),
    ))]
pub(super) async fn approve(
    State(deps): State<Deps>,
    of: OfObject,
) -> Result<Json<Approved>, Problem> {
    let ports = &deps.ports;
    lifecycle::find(ports, &of.connection).await?;
    let until = ports.clock.now().saturating_add(DEADLINE);
    let deadline = Deadline(until.unwrap_or(jiff::Timestamp::MAX));
    let counters = flow::removal::approve(ports, &of.connection, of.object, deadline).await?;
    let removed = counters.get(Counter::Removed);
    let reason = format!(
        "a person approved the removal of {}s: {removed} removed",
        of.object
    );
    lifecycle::note(ports, &of.connection, "removal approved", &reason).await;
    Ok(Json(Approved {
        removed,
        withdrawn: counters.get(Counter::Withdrawn),
        more: is_held(&deps, &of).await?,
    }))
}

/// Drops the held removal of an object: its records stay, until a later full sync misses them again.
#[utoipa::path(post, path = "/connections/{connection}/removals/{object}/reject", tag = "removals", operation_id = "reject_removals",
    params(OfObject), responses((status = 200, description = "What stays", body = Rejected)))]
pub(super) async fn reject(
    State(deps): State<Deps>,
    of: OfObject,
) -> Result<Json<Rejected>, Problem> {
    let ports = &deps.ports;
    lifecycle::find(ports, &of.connection).await?;
    let kept = flow::removal::reject(ports, &of.connection, of.object).await?;
    if kept > 0 {
        let reason = format!("a person rejected the removal of {kept} {}s", of.object);
        lifecycle::note(ports, &of.connection, "removal rejected", &reason).await;
    }
    Ok(Json(Rejected { kept }))
}

async fn is_held(deps: &Deps, of: &OfObject) -> Result<bool, Problem> {
    let mut after = ZohoId::MIN;
    loop {
        let page = deps
            .ports
            .store
            .candidates(&of.connection, of.object, after, crate::paging::MAX_LIMIT)
            .await?;
        let Some(last) = page.last() else {
            return Ok(false);
        };
        if page.iter().any(|candidate| candidate.held) {
            return Ok(true);
        }
        after = last.zoho_id;
    }
}
