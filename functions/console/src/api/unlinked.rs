//! Zoho records in scope that have no record on the platform: without an external id, with one that is taken, or unknown (I1, I3, S7).

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tandem::identifier::ZohoId;
use tandem::port::Page;
use utoipa::IntoParams;

use crate::Deps;
use crate::extract::{OfObject, Query};
use crate::lifecycle;
use crate::paging::{Limit, Listing, Question};
use crate::problem::{Kind, Problem};
use crate::view::{Unlinked, UnlinkedStanding};

/// How many links are looked through for one page.
const LOOKED_THROUGH: usize = 2_000;

/// Which of them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only of this standing.
    standing: Option<UnlinkedStanding>,
    /// The `next` of the page before; absent for the first page.
    cursor: Option<String>,
    /// How many items, 1 to 200; 50 unless given.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 200)]
    limit: Limit,
}

/// Zoho records in scope that have no record on the platform, by Zoho id, with what helps.
///
/// They were found by the sync that read them last. A page can be short, or empty, and still have a `next`.
#[utoipa::path(get, path = "/connections/{connection}/unlinked/{object}", tag = "records", operation_id = "list_unlinked",
    params(OfObject, Which), responses((status = 200, description = "A page of Zoho records", body = Listing<Unlinked>)))]
pub(super) async fn list(
    State(deps): State<Deps>,
    of: OfObject,
    Query(which): Query<Which>,
) -> Result<Json<Listing<Unlinked>>, Problem> {
    let standing = format!("{:?}", which.standing);
    let question = Question::new(&[
        "unlinked",
        of.connection.as_str(),
        of.object.name(),
        &standing,
    ]);
    let after = match question.open(which.cursor.as_deref())? {
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
    let (links, more) = deps
        .ports
        .store
        .links_between(
            &of.connection,
            of.object,
            after,
            ZohoId::MAX,
            LOOKED_THROUGH,
        )
        .await?;
    let last = links.last().map(|link| link.zoho_id).filter(|_| more);
    let mut found: Vec<(ZohoId, Unlinked)> = links
        .iter()
        .filter_map(|link| Some((link.zoho_id, Unlinked::of(link)?)))
        .filter(|(_, item)| {
            which
                .standing
                .is_none_or(|standing| item.standing == standing)
        })
        .collect();
    let limit = which.limit.get();
    let cut = found.get(limit - 1).map(|(id, _)| *id);
    let next = cut.filter(|_| found.len() > limit).or(last);
    found.truncate(limit);
    let page = Page {
        items: found.into_iter().map(|(_, item)| item).collect(),
        next: next.map(|id: ZohoId| id.to_string()),
    };
    Ok(Json(question.listing(page, |item| item)))
}
