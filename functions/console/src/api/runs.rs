//! Runs: what the syncs did, and starting one by hand.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use serde::Deserialize;
use tandem::flow;
use utoipa::{IntoParams, ToSchema};

use crate::Deps;
use crate::extract::{Body, OfConnection, OfRun, Query};
use crate::lifecycle;
use crate::paging::{Limit, Listing, Question};
use crate::problem::{Kind, Problem};
use crate::view::{RunDetail, RunKind, RunView};

/// Which page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// The `next` of the page before; absent for the first page.
    cursor: Option<String>,
    /// How many items, 1 to 200; 50 unless given.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 200)]
    limit: Limit,
}

/// A run to start.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRun {
    /// Its kind.
    kind: RunKind,
}

/// The runs of a connection, newest first.
#[utoipa::path(get, path = "/connections/{connection}/runs", tag = "runs", operation_id = "list_runs", params(OfConnection, Paging),
    responses((status = 200, description = "A page of runs", body = Listing<RunView>)))]
pub(super) async fn list(
    State(deps): State<Deps>,
    of: OfConnection,
    Query(paging): Query<Paging>,
) -> Result<Json<Listing<RunView>>, Problem> {
    let question = Question::new(&["runs", of.connection.as_str()]);
    let next = question.open(paging.cursor.as_deref())?;
    lifecycle::find(&deps.ports, &of.connection).await?;
    let page = deps
        .ports
        .store
        .runs(&of.connection, next, paging.limit.get())
        .await?;
    Ok(Json(question.listing(page, |run| RunView::from(&run))))
}

/// A run with its slices and what it counted.
#[utoipa::path(get, path = "/connections/{connection}/runs/{run}", tag = "runs", operation_id = "get_run", params(OfRun),
    responses((status = 200, description = "The run", body = RunDetail), (status = 404, description = "There is none")))]
pub(super) async fn show(State(deps): State<Deps>, of: OfRun) -> Result<Json<RunDetail>, Problem> {
    let store = &deps.ports.store;
    lifecycle::find(&deps.ports, &of.connection).await?;
    let run = store.run(&of.connection, &of.run).await?.ok_or_else(|| {
        Problem::not_found(format!("run {} of connection {}", of.run, of.connection))
    })?;
    let slices = store.slices(&of.connection, &of.run).await?;
    Ok(Json(RunDetail::new(&run, &slices)))
}

/// Starts a run now.
#[utoipa::path(post, path = "/connections/{connection}/runs", tag = "runs", operation_id = "start_run", params(OfConnection),
    request_body = NewRun, responses(
        (status = 202, description = "Under way; the Location header has its address", body = RunView),
        (status = 409, description = "The connection is not enabled, or a full sync is under way"),
    ))]
pub(super) async fn start(
    State(deps): State<Deps>,
    of: OfConnection,
    Body(new): Body<NewRun>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<RunView>), Problem> {
    let run = match flow::runs::start(&deps.ports, &of.connection, new.kind.into()).await {
        // Nothing is wrong with the request: another full sync is in its way.
        Err(flow::Error::Invalid(detail)) => return Err(Problem::new(Kind::Conflict, detail)),
        started => started?,
    };
    let location = format!("/api/connections/{}/runs/{}", of.connection, run.id);
    Ok((
        StatusCode::ACCEPTED,
        [(header::LOCATION, location)],
        Json(RunView::from(&run)),
    ))
}
