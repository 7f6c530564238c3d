//! Parked edits: listed, tried again, dismissed.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use tandem::flow;
use tandem::identifier::{ConnectionId, PlatformId};
use tandem::object::Object;
use tandem::port::Ports;
use tandem::record::Record;
use utoipa::{IntoParams, ToSchema};

use crate::extract::{Body, OfConnection, OfRecord, Query};
use crate::lifecycle;
use crate::paging::{Limit, Listing, MAX_LIMIT, Question};
use crate::problem::{Kind, Problem};
use crate::view::{ObjectName, ParkedRecord, RecordView};
use crate::{Deps, address};

/// Which parked records.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Of this object only.
    object: Option<ObjectName>,
    /// The `next` of the page before; absent for the first page.
    cursor: Option<String>,
    /// How many parked records are looked through, 1 to 200; 50 unless given.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 200)]
    limit: Limit,
}

/// The records whose edits wait, latest first.
///
/// A page can be short, or empty, and still have a `next`.
#[utoipa::path(get, path = "/connections/{connection}/parked", tag = "parked", operation_id = "list_parked", params(OfConnection, Which),
    responses((status = 200, description = "A page of records", body = Listing<ParkedRecord>)))]
pub(super) async fn list(
    State(deps): State<Deps>,
    of: OfConnection,
    Query(which): Query<Which>,
) -> Result<Json<Listing<ParkedRecord>>, Problem> {
    let object = which.object.map(Object::from);
    let question = Question::new(&["parked", of.connection.as_str(), &format!("{object:?}")]);
    let next = question.open(which.cursor.as_deref())?;
    lifecycle::find(&deps.ports, &of.connection).await?;
    let store = &deps.ports.store;
    let page = store
        .parked(&of.connection, next, which.limit.get())
        .await?;
    let asked = page
        .items
        .iter()
        .filter(|record| object.is_none_or(|object| record.object == object));
    Ok(Json(Listing {
        items: asked.filter_map(ParkedRecord::of).collect(),
        next: page.next.map(|next| question.seal(&next)),
    }))
}

/// The parked edits to decide about: all of one reason.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reason {
    /// The code of the reason, as the listing shows it.
    #[schema(example = "INVALID_DATA")]
    code: String,
    /// Of this object only.
    #[serde(default)]
    object: Option<ObjectName>,
    /// The `next` of the answer before; absent at first.
    #[serde(default)]
    cursor: Option<String>,
}

/// How far a decision about many parked edits has come.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Decided {
    /// The addresses of the records that were decided about.
    records: Vec<String>,
    /// The `cursor` with which to ask again for the rest; absent when nothing is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// Sends all edits that are parked for one reason on their way again.
///
/// One request looks through 200 parked records, so ask again with `next` until there is none.
#[utoipa::path(post, path = "/connections/{connection}/parked/retry", tag = "parked", operation_id = "retry_parked_by_reason",
    params(OfConnection), request_body = Reason, responses((status = 200, description = "On their way", body = Decided)))]
pub(super) async fn retry_all(
    State(deps): State<Deps>,
    of: OfConnection,
    Body(reason): Body<Reason>,
) -> Result<Json<Decided>, Problem> {
    decide(&deps.ports, &of, &reason, flow::parked::retry).await
}

/// Drops all edits that are parked for one reason.
///
/// One request looks through 200 parked records, so ask again with `next` until there is none.
#[utoipa::path(post, path = "/connections/{connection}/parked/dismiss", tag = "parked", operation_id = "dismiss_parked_by_reason",
    params(OfConnection), request_body = Reason, responses((status = 200, description = "Dropped", body = Decided)))]
pub(super) async fn dismiss_all(
    State(deps): State<Deps>,
    of: OfConnection,
    Body(reason): Body<Reason>,
) -> Result<Json<Decided>, Problem> {
    decide(&deps.ports, &of, &reason, flow::parked::dismiss).await
}

async fn decide(
    ports: &Ports,
    of: &OfConnection,
    reason: &Reason,
    act: impl AsyncFn(&Ports, &ConnectionId, Object, &PlatformId) -> Result<Record, flow::Error>,
) -> Result<Json<Decided>, Problem> {
    let object = reason.object.map(Object::from);
    let question = Question::new(&[
        "parked because",
        of.connection.as_str(),
        &format!("{object:?}"),
        &reason.code,
    ]);
    let next = question.open_at("$.cursor", reason.cursor.as_deref())?;
    lifecycle::find(ports, &of.connection).await?;
    let page = ports.store.parked(&of.connection, next, MAX_LIMIT).await?;
    let mut records = Vec::new();
    for record in page.items {
        let parked = record.parked.as_ref();
        if parked.is_none_or(|parked| parked.code != reason.code)
            || object.is_some_and(|object| record.object != object)
        {
            continue;
        }
        match act(ports, &of.connection, record.object, &record.id).await {
            Ok(record) => records.push(address::of_record(
                &of.connection,
                record.object,
                &record.id,
            )),
            // Somebody else decided about it meanwhile.
            Err(flow::Error::Invalid(_) | flow::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Json(Decided {
        records,
        next: page.next.map(|next| question.seal(&next)),
    }))
}

/// Sends a record's parked edits on their way again.
#[utoipa::path(post, path = "/connections/{connection}/{object}/{id}/retry", tag = "parked", operation_id = "retry_parked",
    params(OfRecord), responses(
        (status = 202, description = "On their way", body = RecordView),
        (status = 409, description = "Nothing of the record is parked"),
    ))]
pub(super) async fn retry(
    State(deps): State<Deps>,
    of: OfRecord,
) -> Result<(axum::http::StatusCode, Json<RecordView>), Problem> {
    lifecycle::find(&deps.ports, &of.connection).await?;
    let retried = flow::parked::retry(&deps.ports, &of.connection, of.object, &of.id).await;
    let record = retried.map_err(not_parked)?;
    Ok((
        axum::http::StatusCode::ACCEPTED,
        Json(RecordView::from(&record)),
    ))
}

/// Drops a record's parked edits.
///
/// The record shows again what Zoho has; what is dropped stays in the log. A record that only the platform knows keeps its values, and is
/// not created in Zoho.
#[utoipa::path(post, path = "/connections/{connection}/{object}/{id}/dismiss", tag = "parked", operation_id = "dismiss_parked",
    params(OfRecord), responses(
        (status = 200, description = "Dropped", body = RecordView),
        (status = 409, description = "Nothing of the record is parked"),
    ))]
pub(super) async fn dismiss(
    State(deps): State<Deps>,
    of: OfRecord,
) -> Result<Json<RecordView>, Problem> {
    lifecycle::find(&deps.ports, &of.connection).await?;
    let dismissed = flow::parked::dismiss(&deps.ports, &of.connection, of.object, &of.id).await;
    let record = dismissed.map_err(not_parked)?;
    Ok(Json(RecordView::from(&record)))
}

fn not_parked(error: flow::Error) -> Problem {
    match error {
        flow::Error::Invalid(detail) => Problem::new(Kind::Conflict, detail),
        error => error.into(),
    }
}
