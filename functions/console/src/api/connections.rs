//! Connections: made, listed, renamed, switched on and off, ended.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use serde::{Deserialize, Serialize};
use tandem::connection::Connection;
use tandem::credit::Bucket;
use tandem::flow;
use tandem::flow::outlook::outlook;
use tandem::identifier::ConnectionId;
use tandem::port;
use utoipa::{IntoParams, ToSchema};

use crate::Deps;
use crate::extract::{Body, OfConnection, Query};
use crate::lifecycle;
use crate::paging::{Limit, Listing, Question};
use crate::problem::{Kind, Problem};
use crate::view::{ConnectionDetail, ConnectionView, Credits, FindingView, PreflightView};

/// A new connection.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewConnection {
    /// Its id: 1 to 64 lower-case letters, digits and inner hyphens. It never changes.
    #[schema(value_type = String, example = "acme")]
    id: ConnectionId,
    /// Its name for people, 1 to 200 characters.
    #[schema(example = "Acme Inc.")]
    name: Name,
}

/// What can be changed of a connection.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rename {
    /// Its new name for people, 1 to 200 characters.
    #[schema(example = "Acme Inc.")]
    name: Name,
}

/// A name for people.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, min_length = 1, max_length = 200)]
struct Name(String);

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let name = text.trim();
        if (1..=200).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
            Ok(Self(name.to_owned()))
        } else {
            Err("use 1 to 200 characters without control characters")
        }
    }
}

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

/// All connections, by id.
#[utoipa::path(get, path = "/connections", tag = "connections", operation_id = "list_connections", params(Paging),
    responses((status = 200, description = "A page of connections", body = Listing<ConnectionView>)))]
pub(super) async fn list(
    State(deps): State<Deps>,
    Query(paging): Query<Paging>,
) -> Result<Json<Listing<ConnectionView>>, Problem> {
    let question = Question::new(&["connections"]);
    let next = question.open(paging.cursor.as_deref())?;
    let page = deps
        .ports
        .store
        .connections(next, paging.limit.get())
        .await?;
    Ok(Json(
        question.listing(page, |connection| view(&deps, &connection)),
    ))
}

/// Makes a connection.
///
/// Send its `connect_url` to the customer, who grants access there.
#[utoipa::path(post, path = "/connections", tag = "connections", operation_id = "create_connection", request_body = NewConnection,
    responses(
        (status = 201, description = "Made; the Location header has its address", body = ConnectionView),
        (status = 409, description = "A connection of that id exists"),
    ))]
pub(super) async fn create(
    State(deps): State<Deps>,
    Body(new): Body<NewConnection>,
) -> Result<(StatusCode, [(HeaderName, String); 1], Json<ConnectionView>), Problem> {
    let connection = Connection::new(new.id, new.name.0, deps.ports.clock.now());
    let id = connection.id.clone();
    let connection = match deps.ports.store.save_connection(connection).await {
        Err(port::Error::Conflict { .. }) => {
            let taken = format!("connection {id} exists: choose another id");
            return Err(Problem::mistake(Kind::Conflict, "$.id", taken));
        }
        saved => saved?,
    };
    let location = format!("/api/connections/{id}");
    Ok((
        StatusCode::CREATED,
        [(header::LOCATION, location)],
        Json(view(&deps, &connection)),
    ))
}

/// A connection, with what it spends and is going to spend of the organisation's credits, and what Zoho does not show.
#[utoipa::path(get, path = "/connections/{connection}", tag = "connections", operation_id = "get_connection", params(OfConnection),
    responses((status = 200, description = "The connection", body = ConnectionDetail), (status = 404, description = "There is none")))]
pub(super) async fn show(
    State(deps): State<Deps>,
    of: OfConnection,
) -> Result<Json<ConnectionDetail>, Problem> {
    let ports = &deps.ports;
    let connection = lifecycle::find(ports, &of.connection).await?;
    let share = ports
        .store
        .settings(&of.connection)
        .await?
        .settings
        .credit_share;
    let now = ports.clock.now();
    let since = Bucket::day_before(now);
    let hours = ports.store.credits_spent(&of.connection, since).await?;
    let forecast = outlook(ports, &connection, share, &hours).await?;
    let lacks = ports.store.lacks(&of.connection).await?;
    let findings = lacks
        .iter()
        .flat_map(|(object, lacks)| lacks.iter().map(|lack| FindingView::of_lack(*object, lack)));
    let warning = forecast.as_ref().and_then(FindingView::of_forecast);
    Ok(Json(ConnectionDetail {
        findings: findings.chain(warning).collect(),
        credits: Credits::new(&connection, share, &hours, forecast.as_ref(), now),
        connection: view(&deps, &connection),
    }))
}

/// Gives a connection another name.
#[utoipa::path(patch, path = "/connections/{connection}", tag = "connections", operation_id = "rename_connection", params(OfConnection),
    request_body = Rename, responses((status = 200, description = "Renamed", body = ConnectionView)))]
pub(super) async fn rename(
    State(deps): State<Deps>,
    of: OfConnection,
    Body(change): Body<Rename>,
) -> Result<Json<ConnectionView>, Problem> {
    let connection = lifecycle::rename(&deps.ports, &of.connection, &change.name.0).await?;
    Ok(Json(view(&deps, &connection)))
}

/// Switches a granted connection on.
///
/// Routine syncs begin at once, and so does the first full sync unless one completed before; later full syncs wait for the night. Switching
/// on what is on changes nothing.
#[utoipa::path(post, path = "/connections/{connection}/enable", tag = "connections", operation_id = "enable_connection",
    params(OfConnection), responses(
        (status = 200, description = "It is on", body = ConnectionView),
        (status = 409, description = "Access is not granted"),
    ))]
pub(super) async fn enable(
    State(deps): State<Deps>,
    of: OfConnection,
) -> Result<Json<ConnectionView>, Problem> {
    let connection = lifecycle::enable(&deps.ports, &of.connection).await?;
    Ok(Json(view(&deps, &connection)))
}

/// Switches a connection off for a while.
///
/// Edits are still accepted, and wait. A connection that needs reconnect stays off after that.
#[utoipa::path(post, path = "/connections/{connection}/pause", tag = "connections", operation_id = "pause_connection",
    params(OfConnection), responses(
        (status = 200, description = "It is off", body = ConnectionView),
        (status = 409, description = "There is nothing to pause"),
    ))]
pub(super) async fn pause(
    State(deps): State<Deps>,
    of: OfConnection,
) -> Result<Json<ConnectionView>, Problem> {
    let connection = lifecycle::pause(&deps.ports, &of.connection).await?;
    Ok(Json(view(&deps, &connection)))
}

/// Ends a connection for good: nothing runs any more, its grant is revoked at Zoho, its tokens are forgotten.
///
/// Its data stays. When Zoho could not be told, the connection is stopped all the same, and the same request tries again.
#[utoipa::path(post, path = "/connections/{connection}/disconnect", tag = "connections", operation_id = "disconnect_connection",
    params(OfConnection), responses(
        (status = 200, description = "It is ended", body = ConnectionView),
        (status = 502, description = "It is stopped, but its grant is not revoked yet"),
    ))]
pub(super) async fn disconnect(
    State(deps): State<Deps>,
    of: OfConnection,
) -> Result<Json<ConnectionView>, Problem> {
    let connection = lifecycle::disconnect(&deps.ports, &of.connection).await?;
    Ok(Json(view(&deps, &connection)))
}

/// Looks at the organisation's scopes, modules, fields and permissions, and says what lacks for the sync to work and what helps.
///
/// Costs a few of its credits.
#[utoipa::path(post, path = "/connections/{connection}/preflight", tag = "connections", operation_id = "preflight_connection",
    params(OfConnection), responses(
        (status = 200, description = "What was found", body = PreflightView),
        (status = 409, description = "Access is not granted"),
    ))]
pub(super) async fn preflight(
    State(deps): State<Deps>,
    of: OfConnection,
) -> Result<Json<PreflightView>, Problem> {
    let connection = lifecycle::find(&deps.ports, &of.connection).await?;
    let preflight = flow::preflight::run(&deps.ports, &connection).await?;
    Ok(Json(PreflightView::from(&preflight)))
}

fn view(deps: &Deps, connection: &Connection) -> ConnectionView {
    ConnectionView::new(connection, &deps.public_url, deps.ports.clock.now())
}
