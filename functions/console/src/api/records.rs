//! The platform's records, as other services read them.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tandem::flow;
use tandem::object::Object;
use utoipa::{IntoParams, ToSchema};

use crate::Deps;
use crate::address;
use crate::extract::{OfObject, OfRecord, Query};
use crate::lifecycle;
use crate::paging::{Limit, Listing, Question};
use crate::problem::{Kind, Problem};
use crate::view::{RecordDetail, RecordView};

/// Which records.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only records that changed on the platform at or after this instant, oldest change first; without it all records, by id. The index
    /// behind it lags a moment: begin a minute before the last `updated_at` that was seen.
    #[param(value_type = Option<String>, format = DateTime)]
    updated_since: Option<Timestamp>,
    /// The `next` of the page before; absent for the first page.
    cursor: Option<String>,
    /// How many items, 1 to 200; 50 unless given.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 200)]
    limit: Limit,
}

/// What else is shown of a record.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct Include {
    /// What else is shown.
    #[param(inline)]
    include: Option<Included>,
}

/// What else can be shown of a record.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Included {
    /// An account's contacts, deals and tasks.
    Children,
}

/// The records of an object, removed ones included.
#[utoipa::path(get, path = "/connections/{connection}/{object}", tag = "records", operation_id = "list_records", params(OfObject, Which),
    responses((status = 200, description = "A page of records", body = Listing<RecordView>)))]
pub(super) async fn list(
    State(deps): State<Deps>,
    of: OfObject,
    Query(which): Query<Which>,
) -> Result<Json<Listing<RecordView>>, Problem> {
    let since = format!("{:?}", which.updated_since);
    let question = Question::new(&["records", of.connection.as_str(), of.object.name(), &since]);
    let next = question.open(which.cursor.as_deref())?;
    lifecycle::find(&deps.ports, &of.connection).await?;
    let store = &deps.ports.store;
    let limit = which.limit.get();
    let page = match which.updated_since {
        Some(since) => {
            store
                .records_updated_since(&of.connection, of.object, since, next, limit)
                .await?
        }
        None => {
            store
                .list_records(&of.connection, of.object, next, limit)
                .await?
        }
    };
    Ok(Json(
        question.listing(page, |record| RecordView::from(&record)),
    ))
}

/// A record, with what is known about where its values came from.
#[utoipa::path(get, path = "/connections/{connection}/{object}/{id}", tag = "records", operation_id = "get_record",
    params(OfRecord, Include), responses(
        (status = 200, description = "The record", body = RecordDetail),
        (status = 404, description = "There is none"),
    ))]
pub(super) async fn show(
    State(deps): State<Deps>,
    of: OfRecord,
    Query(also): Query<Include>,
) -> Result<Json<RecordDetail>, Problem> {
    let store = &deps.ports.store;
    lifecycle::find(&deps.ports, &of.connection).await?;
    if also.include.is_some() && of.object != Object::Account {
        return Err(Problem::mistake(
            Kind::Invalid,
            "?include",
            "only an account has children: leave it out",
        ));
    }
    let found = store
        .records(&of.connection, of.object, std::slice::from_ref(&of.id))
        .await?;
    let Some(record) = found.into_iter().next() else {
        let what = format!(
            "{} {:?} of connection {}",
            of.object,
            of.id.as_str(),
            of.connection
        );
        return Err(Problem::not_found(what));
    };
    let link = match record.zoho_id {
        Some(id) => store.links(&of.connection, of.object, &[id]).await?.pop(),
        None => None,
    };
    let children = match also.include {
        Some(Included::Children) => Some(store.records_of_account(&of.connection, &of.id).await?),
        None => None,
    };
    Ok(Json(RecordDetail::new(&record, link.as_ref(), children)))
}

/// What was restored.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Restored {
    /// The addresses of the restored records: the one asked for, and with an account what was removed because the account was.
    records: Vec<String>,
}

/// Brings a removed record back, within the 30 days in which it is kept.
///
/// With an account comes what was removed because of it. The record then stays on the platform although Zoho has it no more or it does not
/// meet the filter; once it is in scope again, it is synced again.
#[utoipa::path(post, path = "/connections/{connection}/{object}/{id}/restore", tag = "records", operation_id = "restore_record",
    params(OfRecord), responses(
        (status = 200, description = "Restored", body = Restored),
        (status = 404, description = "There is none (any more)"),
        (status = 409, description = "It is not removed"),
    ))]
pub(super) async fn restore(
    State(deps): State<Deps>,
    of: OfRecord,
) -> Result<Json<Restored>, Problem> {
    lifecycle::find(&deps.ports, &of.connection).await?;
    let restored = flow::restore::restore(&deps.ports, &of.connection, of.object, &of.id).await;
    let restored = match restored {
        Err(flow::Error::Invalid(detail)) => return Err(Problem::new(Kind::Conflict, detail)),
        restored => restored?,
    };
    let records = restored
        .iter()
        .map(|record| address::of_record(&of.connection, record.object, &record.id));
    Ok(Json(Restored {
        records: records.collect(),
    }))
}
