//! The JSON API: its routes and its description.

mod connections;
mod dead_letters;
mod edits;
mod log;
mod parked;
mod preview;
mod records;
mod removals;
mod runs;
mod settings;
mod unlinked;

use axum::Router;
use axum::routing::get;
use utoipa::OpenApi as _;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, RefOr, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Deps;
use crate::problem::{MEDIA_TYPE, Problem};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Tandem",
        description = "Connections to Zoho CRM, their settings, the platform's records, edits, runs and the log.\n\n\
            Every request carries the operator's secret. Whatever is not done is answered with a problem (RFC 9457) that names each mistake's \
            place and remedy. Listings come in pages: repeat the request with `cursor` set to the `next` of the page before. Unknown fields \
            and parameters are refused.",
        version = "1",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(Problem)),
    security(("operator" = [])),
)]
struct Description;

/// The routes below `/api`.
pub(crate) fn router() -> Router<Deps> {
    let (router, description) = described().split_for_parts();
    let json = axum::Json(finished(description));
    let schema = axum::Json(tandem::schema::of_settings());
    router
        .route("/openapi.json", get(async move || json.clone()))
        .route("/settings.schema.json", get(async move || schema.clone()))
}

/// The API's description, as `GET /api/openapi.json` serves it.
#[must_use]
pub fn openapi() -> OpenApi {
    finished(described().into_openapi())
}

/// The API's description as the file `openapi.json` has it.
///
/// # Errors
/// When it can't be written as JSON.
pub fn openapi_json() -> Result<String, serde_json::Error> {
    let mut json = serde_json::to_string_pretty(&openapi())?;
    json.push('\n');
    Ok(json)
}

/// The schema of the settings document as the file `settings.schema.json` has it.
///
/// # Errors
/// When it can't be written as JSON.
pub fn settings_schema_json() -> Result<String, serde_json::Error> {
    let mut json = serde_json::to_string_pretty(&tandem::schema::of_settings())?;
    json.push('\n');
    Ok(json)
}

fn described() -> OpenApiRouter<Deps> {
    let routes = OpenApiRouter::new()
        .routes(routes!(connections::list, connections::create))
        .routes(routes!(connections::show, connections::rename))
        .routes(routes!(connections::enable))
        .routes(routes!(connections::pause))
        .routes(routes!(connections::disconnect))
        .routes(routes!(connections::purge))
        .routes(routes!(connections::preflight))
        .routes(routes!(settings::show, settings::replace))
        .routes(routes!(settings::export))
        .routes(routes!(settings::history))
        .routes(routes!(settings::version))
        .routes(routes!(preview::look))
        .routes(routes!(runs::list, runs::start))
        .routes(routes!(runs::show))
        .routes(routes!(log::list))
        .routes(routes!(parked::list))
        .routes(routes!(parked::retry_all))
        .routes(routes!(parked::dismiss_all))
        .routes(routes!(removals::list))
        .routes(routes!(removals::approve))
        .routes(routes!(removals::reject))
        .routes(routes!(unlinked::list))
        .routes(routes!(records::list))
        .routes(routes!(records::show, edits::edit_one))
        .routes(routes!(edits::edit_many))
        .routes(routes!(parked::retry))
        .routes(routes!(parked::dismiss))
        .routes(routes!(records::restore))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::redrive))
        // A record's id can be the word that the address of bulk edits ends with.
        .route(
            "/connections/{connection}/{object}/edits",
            get(records::show).patch(edits::edit_one),
        );
    OpenApiRouter::with_openapi(Description::openapi()).merge(routes)
}

/// Adds what holds for every operation: where it is, who may call it, and what an answer that is no success looks like.
fn finished(mut description: OpenApi) -> OpenApi {
    let paths = std::mem::take(&mut description.paths.paths);
    description.paths.paths = paths
        .into_iter()
        .map(|(path, item)| (format!("/api{path}"), item))
        .collect();
    for item in description.paths.paths.values_mut() {
        let operations = [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.patch,
            &mut item.delete,
        ];
        operations.into_iter().flatten().for_each(problems);
    }
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The operator's secret, as Secrets Manager has it."))
        .build();
    if let Some(components) = &mut description.components {
        components.add_security_scheme("operator", SecurityScheme::Http(scheme));
    }
    description
}

fn problems(operation: &mut Operation) {
    let problem = || Content::new(Some(utoipa::openapi::Ref::from_schema_name("Problem")));
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response
            && response.content.is_empty()
        {
            response
                .content
                .insert(MEDIA_TYPE.to_owned(), problem().into());
        }
    }
    let other = ResponseBuilder::new()
        .description("The request was not done: what is wrong and what helps")
        .content(MEDIA_TYPE, problem())
        .build();
    operation
        .responses
        .responses
        .insert("default".to_owned(), RefOr::T(other));
}
