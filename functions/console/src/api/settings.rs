//! A connection's settings: one document, read and replaced as a whole.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::IntoResponse;
use serde::Deserialize;
use tandem::connection::Connection;
use tandem::disposition::Disposition;
use tandem::flow::{self, preflight};
use tandem::metadata::Severity;
use tandem::port::{self, Ports};
use tandem::settings::Settings;
use utoipa::IntoParams;

use crate::Deps;
use crate::extract::{Body, OfConnection, OfVersion, Query, if_match};
use crate::lifecycle;
use crate::paging::{Limit, Listing, MAX_LIMIT, Question};
use crate::problem::{Kind, Mistake, Problem};
use crate::view::{SavedSettings, SettingsView};

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

type Tagged<T> = ([(HeaderName, String); 1], Json<T>);

/// The current settings.
#[utoipa::path(get, path = "/connections/{connection}/settings", tag = "settings", operation_id = "get_settings", params(OfConnection),
    responses((status = 200, description = "The settings; the ETag header has their version", body = SettingsView)))]
pub(super) async fn show(
    State(deps): State<Deps>,
    of: OfConnection,
) -> Result<Tagged<SettingsView>, Problem> {
    lifecycle::find(&deps.ports, &of.connection).await?;
    let settings = deps.ports.store.settings(&of.connection).await?;
    Ok(tagged(settings.version, SettingsView::from(&settings)))
}

/// Replaces the settings.
///
/// They are taken as a whole or refused as a whole; a refusal names every mistake's place. What is left out takes its default. While the
/// connection has access to Zoho, the fields that they name are looked up there: that they exist, can be read or written, and fit.
#[utoipa::path(put, path = "/connections/{connection}/settings", tag = "settings", operation_id = "replace_settings",
    params(OfConnection, IfMatch),
    request_body(content = crate::view::SettingsDocument, description = "The whole document, as `settings/export` gives it"),
    responses(
        (status = 200, description = "Saved; the ETag header has their version", body = SavedSettings),
        (status = 412, description = "Another version is current: read it and decide anew"),
        (status = 422, description = "Refused for its mistakes"),
        (status = 428, description = "If-Match is missing"),
        (status = 503, description = "Zoho can't be asked about its fields now, and nothing is saved: send them again later"),
    ))]
pub(super) async fn replace(
    State(deps): State<Deps>,
    of: OfConnection,
    headers: HeaderMap,
    Body(settings): Body<Settings>,
) -> Result<Tagged<SavedSettings>, Problem> {
    let over = if_match(&headers)?;
    let ports = &deps.ports;
    let connection = lifecycle::find(ports, &of.connection).await?;
    refuse_mistakes(&settings)?;
    let outdated = |current: u64| {
        Problem::mistake(
            Kind::Outdated,
            "If-Match",
            format!("version {current} is current, not {over}: read it and decide anew"),
        )
    };
    // Known to be too late, it is not worth Zoho's credits.
    let current = ports.store.settings(&of.connection).await?.version;
    if current != over {
        return Err(outdated(current));
    }
    let Looked { warnings, complete } = look_up(ports, &connection, &settings).await?;
    let saved = ports
        .store
        .save_settings(&of.connection, over, &settings, ports.clock.now())
        .await;
    let saved = match saved {
        Err(port::Error::Conflict { .. }) => {
            let current = ports.store.settings(&of.connection).await?.version;
            return Err(outdated(current));
        }
        saved => saved?,
    };
    let reason = format!("a person saved version {}", saved.version);
    lifecycle::note(ports, &of.connection, "settings saved", &reason).await;
    // What was refused under the settings before is worth another try under these (W7).
    flow::writeback::send_retry(ports, &of.connection).await;
    preflight::send(ports, &of.connection).await;
    let answer = SavedSettings {
        version: saved.version,
        saved_at: saved.saved_at,
        settings: saved.settings,
        checked_against_zoho: complete,
        warnings,
    };
    Ok(tagged(saved.version, answer))
}

/// Refuses what is wrong with the settings by themselves.
pub(super) fn refuse_mistakes(settings: &Settings) -> Result<(), Problem> {
    refuse(settings.problems().into_iter().map(Mistake::from).collect())
}

fn refuse(mistakes: Vec<Mistake>) -> Result<(), Problem> {
    if mistakes.is_empty() {
        return Ok(());
    }
    Err(Problem::mistakes(
        Kind::Invalid,
        "the settings are refused as a whole: see errors",
        mistakes,
    ))
}

/// What came of looking up the settings' fields in Zoho.
pub(super) struct Looked {
    warnings: Vec<Mistake>,
    /// Whether every object's fields could be looked up.
    complete: bool,
}

/// Looks up in Zoho what the settings name, where the connection has access.
pub(super) async fn look_up(
    ports: &Ports,
    connection: &Connection,
    settings: &Settings,
) -> Result<Looked, Problem> {
    let held = preflight::hold(ports, connection, settings)
        .await
        .map_err(unasked)?;
    let Some(held) = held else {
        return Ok(Looked {
            warnings: Vec::new(),
            complete: false,
        });
    };
    let of = |severity| {
        held.findings
            .iter()
            .filter(move |finding| finding.severity == severity)
            .filter_map(|finding| finding.mistake().map(Mistake::from))
    };
    refuse(
        [Severity::Blocking, Severity::Problem]
            .into_iter()
            .flat_map(of)
            .collect(),
    )?;
    let unread = held.unread.iter().map(|object| Mistake {
        path: format!("$.objects.{object}"),
        problem: format!(
            "Zoho does not let the granting user see the fields of {}, so they were not looked up: the preflight says what helps",
            object.module()
        ),
    });
    Ok(Looked {
        warnings: of(Severity::Warning).chain(unread).collect(),
        complete: held.unread.is_empty(),
    })
}

/// The answer when Zoho can't be asked now.
fn unasked(error: flow::Error) -> Problem {
    let passing = matches!(
        error.disposition(),
        Disposition::Retry | Disposition::RetryAfter(_)
    );
    let problem = Problem::from(error);
    if !passing || problem.kind == Kind::Internal {
        return problem;
    }
    let detail = format!(
        "Zoho can't be asked about its fields now ({}), so nothing is saved: send the settings again",
        problem.detail
    );
    Problem {
        retry_after: problem.retry_after.or(Some(5)),
        ..Problem::new(Kind::Busy, detail)
    }
}

/// The settings as a file.
///
/// The bare document, ready to be kept and to be put back with `PUT settings`, into this connection or another.
#[utoipa::path(get, path = "/connections/{connection}/settings/export", tag = "settings", operation_id = "export_settings", params(OfConnection),
    responses((status = 200, description = "The document as a file; the ETag header has its version", body = crate::view::SettingsDocument)))]
pub(super) async fn export(
    State(deps): State<Deps>,
    of: OfConnection,
) -> Result<impl IntoResponse, Problem> {
    lifecycle::find(&deps.ports, &of.connection).await?;
    let current = deps.ports.store.settings(&of.connection).await?;
    let file = format!(
        "attachment; filename=\"{}-settings-{}.json\"",
        of.connection, current.version
    );
    Ok((
        [(header::CONTENT_DISPOSITION, file)],
        tagged(current.version, current.settings),
    ))
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

/// One saved version of the settings.
///
/// Its `settings` can be put back with `PUT settings`, which restores them as the newest version.
#[utoipa::path(get, path = "/connections/{connection}/settings/history/{version}", tag = "settings", operation_id = "get_settings_version",
    params(OfVersion), responses(
        (status = 200, description = "The version", body = SettingsView),
        (status = 404, description = "There is no such version"),
    ))]
pub(super) async fn version(
    State(deps): State<Deps>,
    of: OfVersion,
) -> Result<Json<SettingsView>, Problem> {
    lifecycle::find(&deps.ports, &of.connection).await?;
    let mut next = None;
    loop {
        let page = deps
            .ports
            .store
            .settings_history(&of.connection, next, MAX_LIMIT)
            .await?;
        // Newest first, each version one less than the one before.
        let found = page.items.iter().find(|saved| saved.version <= of.version);
        match found {
            Some(saved) if saved.version == of.version => {
                return Ok(Json(SettingsView::from(saved)));
            }
            None if page.next.is_some() => next = page.next,
            _ => {
                let what = format!("version {} of the settings", of.version);
                return Err(Problem::not_found(what));
            }
        }
    }
}

fn tagged<T>(version: u64, body: T) -> Tagged<T> {
    ([(header::ETAG, format!("\"{version}\""))], Json(body))
}
