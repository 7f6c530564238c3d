//! Parked edits: listed, tried again, dismissed.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tandem::flow;
use tandem::identifier::PlatformId;
use tandem::journal::{Entry, Outcome};
use tandem::object::Object;
use tandem::port::{JournalQuery, Ports};
use tandem::record::Record;
use utoipa::IntoParams;

use crate::Deps;
use crate::extract::{OfConnection, OfRecord, Query};
use crate::lifecycle;
use crate::paging::{Limit, Listing, Question};
use crate::problem::{Kind, Problem};
use crate::view::{ObjectName, ParkedRecord, RecordView};

/// Which parked records.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Of this object only.
    object: Option<ObjectName>,
    /// The `next` of the page before; absent for the first page.
    cursor: Option<String>,
    /// How many lines of the log are looked through, 1 to 200; 50 unless given.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 200)]
    limit: Limit,
}

/// The records whose edits wait, latest first. They are found through the log, so one that was parked longer ago than the log is kept is not
/// listed, though its own address shows it still. A page can be short, or empty, and still have a `next`.
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
    let query = JournalQuery {
        outcome: Some(Outcome::Parked),
        object,
        ..JournalQuery::default()
    };
    let page = deps
        .ports
        .store
        .read(&of.connection, &query, next, which.limit.get())
        .await?;
    let records = of_lines(&deps.ports, &of, &page.items).await?;
    Ok(Json(Listing {
        items: records.iter().filter_map(ParkedRecord::of).collect(),
        next: page.next.map(|next| question.seal(&next)),
    }))
}

/// The records of some lines, each where its latest line is.
async fn of_lines(
    ports: &Ports,
    of: &OfConnection,
    lines: &[Entry],
) -> Result<Vec<Record>, Problem> {
    let mut ids: BTreeMap<Object, Vec<PlatformId>> = BTreeMap::new();
    for (object, id) in lines.iter().filter_map(subject) {
        let ids = ids.entry(object).or_default();
        if !ids.contains(id) {
            ids.push(id.clone());
        }
    }
    let mut records = BTreeMap::new();
    for (object, ids) in ids {
        for record in ports.store.records(&of.connection, object, &ids).await? {
            records.insert((record.object, record.id.clone()), record);
        }
    }
    // Lines come newest first: a record that was parked again since an older line was shown there already.
    let current = lines.iter().filter_map(|line| {
        let (object, id) = subject(line)?;
        let key = (object, id.clone());
        let since = records.get(&key)?.parked.as_ref()?.at;
        (line.at >= since).then(|| records.remove(&key)).flatten()
    });
    Ok(current.collect())
}

fn subject(line: &Entry) -> Option<(Object, &PlatformId)> {
    line.object.zip(line.record.as_ref())
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

/// Drops a record's parked edits. The record shows again what Zoho has; what is dropped stays in the log. A record that only the platform
/// knows keeps its values, and is not created in Zoho.
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
