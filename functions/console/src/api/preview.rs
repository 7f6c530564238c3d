//! The preview of a settings change before it is saved (S8).

use axum::Json;
use axum::extract::State;
use jiff::SignedDuration;
use serde::Deserialize;
use tandem::flow::job::Deadline;
use tandem::flow::preview::{Progress, preview};
use tandem::foresight::Proposal;
use tandem::identifier::Digest;
use tandem::settings::Settings;
use utoipa::ToSchema;

use super::settings;
use crate::Deps;
use crate::extract::{Body, OfConnection};
use crate::lifecycle;
use crate::paging::Question;
use crate::problem::{Kind, Problem};
use crate::view::{ObjectName, PreviewView};

/// How long a preview may read before it answers: a job hands over 45 seconds before its deadline, the function has 29 seconds, and one
/// page that has to look up what its records belong to can take ten.
const DEADLINE: SignedDuration = SignedDuration::from_secs(45 + 10);

/// What is to be previewed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Proposed {
    /// The whole document, as it would be saved.
    #[schema(value_type = crate::view::SettingsDocument)]
    settings: Settings,
    /// The object to look at: each is previewed by itself.
    object: ObjectName,
    /// The `next` of the answer before; absent at the beginning.
    #[serde(default)]
    cursor: Option<String>,
}

/// Says what settings would do before they are saved: who would enter, who would leave, which values would change, and the credits needed.
///
/// It reads Zoho's records of one object as they are, and writes nothing. A large object takes several requests: repeat the request with
/// `cursor` set to the `next` of the answer before, until there is none. Counts are of the whole preview so far, examples of one request.
/// What is foretold is the state after the next routine and full sync, if nothing else changes meanwhile.
#[utoipa::path(post, path = "/connections/{connection}/settings/preview", tag = "settings", operation_id = "preview_settings",
    params(OfConnection), request_body(content = Proposed), responses(
        (status = 200, description = "What was found so far", body = PreviewView),
        (status = 409, description = "Access is not granted"),
        (status = 422, description = "The settings are refused for their mistakes"),
        (status = 502, description = "Zoho refuses a field that the settings name"),
    ))]
pub(super) async fn look(
    State(deps): State<Deps>,
    of: OfConnection,
    Body(proposed): Body<Proposed>,
) -> Result<Json<PreviewView>, Problem> {
    let ports = &deps.ports;
    let connection = lifecycle::find(ports, &of.connection).await?;
    settings::refuse_mistakes(&proposed.settings).map_err(below_settings)?;
    if proposed.cursor.is_none() {
        settings::look_up(ports, &connection, &proposed.settings)
            .await
            .map_err(below_settings)?;
    }
    let current = ports.store.settings(&of.connection).await?;
    let question = question(&of, &proposed, current.version)?;
    let progress = match question.open_at("$.cursor", proposed.cursor.as_deref())? {
        Some(text) => Some(read(&text)?),
        None => None,
    };
    let proposal = Proposal {
        current: &current.settings,
        wanted: &proposed.settings,
    };
    let until = ports.clock.now().saturating_add(DEADLINE);
    let deadline = Deadline(until.unwrap_or(jiff::Timestamp::MAX));
    let object = proposed.object.into();
    let found = preview(ports, &connection, proposal, object, progress, deadline).await?;
    let next = match &found.next {
        Some(progress) => Some(question.seal(&written(progress)?)),
        None => None,
    };
    Ok(Json(PreviewView::new(&found, proposed.object, next)))
}

/// Mistakes in the settings by their places in this request's body.
fn below_settings(mut problem: Problem) -> Problem {
    for mistake in &mut problem.errors {
        mistake.path = mistake.path.replacen('$', "$.settings", 1);
    }
    problem
}

/// A cursor is good for the same settings, wanted and current, only: what was counted under others says nothing.
fn question(of: &OfConnection, proposed: &Proposed, current: u64) -> Result<Question, Problem> {
    let wanted = Digest::of(written(&proposed.settings)?.as_bytes()).to_string();
    let object: tandem::object::Object = proposed.object.into();
    Ok(Question::new(&[
        "preview",
        of.connection.as_str(),
        object.name(),
        &current.to_string(),
        &wanted,
    ]))
}

fn read(text: &str) -> Result<Progress, Problem> {
    serde_json::from_str(text).map_err(|_| {
        Problem::mistake(
            Kind::Malformed,
            "$.cursor",
            "leave it out to begin the preview",
        )
    })
}

fn written(value: &impl serde::Serialize) -> Result<String, Problem> {
    serde_json::to_string(value)
        .map_err(|error| Problem::new(Kind::Internal, format!("the preview: {error}")))
}
