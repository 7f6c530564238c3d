//! A connection's settings: one document, read and replaced as a whole.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, header};
use serde::Deserialize;
use tandem::port;
use tandem::settings::Settings;
use utoipa::IntoParams;

use crate::Deps;
use crate::extract::{Body, OfConnection, Query, if_match};
use crate::lifecycle;
use crate::paging::{Limit, Listing, Question};
use crate::problem::{Kind, Mistake, Problem};
use crate::view::SettingsView;

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

/// The version that `If-Match` names.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only describes the header")]
pub(super) struct IfMatch {
    /// The version that was read, in quotes, as its `ETag` says it. `"0"` stands for the default settings, never saved.
    #[param(rename = "If-Match", example = "\"3\"")]
    if_match: String,
}

type Tagged = ([(HeaderName, String); 1], Json<SettingsView>);

/// The current settings.
#[utoipa::path(get, path = "/connections/{connection}/settings", tag = "settings", operation_id = "get_settings", params(OfConnection),
    responses((status = 200, description = "The settings; the ETag header has their version", body = SettingsView)))]
pub(super) async fn show(State(deps): State<Deps>, of: OfConnection) -> Result<Tagged, Problem> {
    lifecycle::find(&deps.ports, &of.connection).await?;
    let settings = deps.ports.store.settings(&of.connection).await?;
    Ok(tagged(SettingsView::from(&settings)))
}

/// Replaces the settings.
///
/// They are taken as a whole or refused as a whole; a refusal names every mistake's place. What is left out takes its default.
#[utoipa::path(put, path = "/connections/{connection}/settings", tag = "settings", operation_id = "replace_settings",
    params(OfConnection, IfMatch),
    request_body(content = crate::view::SettingsDocument, description = "The whole document"),
    responses(
        (status = 200, description = "Saved", body = SettingsView),
        (status = 412, description = "Another version is current: read it and decide anew"),
        (status = 422, description = "Refused for its mistakes"),
        (status = 428, description = "If-Match is missing"),
    ))]
pub(super) async fn replace(
    State(deps): State<Deps>,
    of: OfConnection,
    headers: HeaderMap,
    Body(settings): Body<Settings>,
) -> Result<Tagged, Problem> {
    let over = if_match(&headers)?;
    let ports = &deps.ports;
    lifecycle::find(ports, &of.connection).await?;
    let mistakes: Vec<Mistake> = settings.problems().into_iter().map(Mistake::from).collect();
    if !mistakes.is_empty() {
        return Err(Problem::mistakes(
            Kind::Invalid,
            "the settings are refused as a whole: see errors",
            mistakes,
        ));
    }
    let saved = ports
        .store
        .save_settings(&of.connection, over, &settings, ports.clock.now())
        .await;
    let saved = match saved {
        Err(port::Error::Conflict { .. }) => {
            let current = ports.store.settings(&of.connection).await?.version;
            return Err(Problem::mistake(
                Kind::Outdated,
                "If-Match",
                format!("version {current} is current, not {over}: read it and decide anew"),
            ));
        }
        saved => saved?,
    };
    let reason = format!("a person saved version {}", saved.version);
    lifecycle::note(ports, &of.connection, "settings saved", &reason).await;
    Ok(tagged(SettingsView::from(&saved)))
}

/// The saved versions of the settings, newest first.
#[utoipa::path(get, path = "/connections/{connection}/settings/history", tag = "settings", operation_id = "list_settings_versions",
    params(OfConnection, Paging), responses((status = 200, description = "A page of versions", body = Listing<SettingsView>)))]
pub(super) async fn history(
    State(deps): State<Deps>,
    of: OfConnection,
    Query(paging): Query<Paging>,
) -> Result<Json<Listing<SettingsView>>, Problem> {
    let question = Question::new(&["settings", of.connection.as_str()]);
    let next = question.open(paging.cursor.as_deref())?;
    lifecycle::find(&deps.ports, &of.connection).await?;
    let page = deps
        .ports
        .store
        .settings_history(&of.connection, next, paging.limit.get())
        .await?;
    Ok(Json(
        question.listing(page, |version| SettingsView::from(&version)),
    ))
}

fn tagged(view: SettingsView) -> Tagged {
    (
        [(header::ETAG, format!("\"{}\"", view.version))],
        Json(view),
    )
}
