//! Metadata: the organisation, its modules, fields, views, layouts and related lists.

use super::{Call, Operation, credit_limit};
use crate::org::schema::{Computed, DataType, External, Field, Module};
use crate::org::user::UserStatus;
use crate::request::{Answer, Refusal};
use serde_json::{Map, Value as Json, json};

pub(super) fn organisation(call: &mut Call<'_>) -> Result<Answer, Refusal> {
    call.need("org", None, Operation::Read)?;
    call.charge(1, false)?;
    let organisation = &call.organisation;
    let active = organisation
        .users
        .values()
        .filter(|user| user.status == UserStatus::Active)
        .count();
    let primary = organisation.users.get(&organisation.administrator());
    Ok(Answer::json(
        200,
        &json!({ "org": [{
            "id": organisation.id.to_string(),
            "zgid": organisation.id.to_string(),
            "company_name": organisation.name,
            "time_zone": organisation.zone_name,
            "country_code": "US",
            "currency": "US Dollar - USD",
            "iso_code": "USD",
            "currency_symbol": "$",
            "currency_locale": "en_US",
            "mc_status": false,
            "primary_email": primary.map(|user| user.email.clone()),
            "primary_zuid": primary.and_then(|user| user.zuid).map(|id| id.to_string()),
            "domain_name": format!("org{}", organisation.id),
            "type": "production",
            "license_details": {
                "paid": organisation.edition != crate::limits::Edition::Free,
                "paid_type": organisation.edition.name(),
                "paid_expiry": null,
                "trial_type": null,
                "trial_expiry": null,
                "trial_action": null,
                "users_license_purchased": active,
                "portal_users_license_purchased": 0,
            },
            "$api_credits": { "limit": credit_limit(organisation) },
        }] }),
    ))
}

pub(super) fn answer(call: &mut Call<'_>, segments: &[&str]) -> Result<Answer, Refusal> {
    let Some(part) = segments.first() else {
        return Err(Refusal::invalid_url());
    };
    if ![
        "modules",
        "fields",
        "custom_views",
        "layouts",
        "related_lists",
    ]
    .contains(part)
    {
        return Err(Refusal::invalid_url());
    }
    call.need("settings", Some(part), Operation::Read)?;
    call.charge(1, false)?;
    match segments {
        ["modules"] => {
            let modules: Vec<Json> = call
                .organisation
                .modules()
                .iter()
                .filter(|module| !module.disabled)
                .map(show_module)
                .collect();
            Ok(Answer::json(200, &json!({ "modules": modules })))
        }
        ["modules", name] => {
            let at = call.module(name)?;
            Ok(Answer::json(
                200,
                &json!({ "modules": [show_module(call.definition(at)?)] }),
            ))
        }
        ["fields"] => {
            let at = asked_module(call)?;
            let fields = visible_fields(call, at)?;
            Ok(if fields.is_empty() {
                Answer::empty(204)
            } else {
                Answer::json(200, &json!({ "fields": fields }))
            })
        }
        ["fields", id] => {
            let at = asked_module(call)?;
            let field = call
                .definition(at)?
                .fields()
                .iter()
                .find(|field| !field.hidden && field.id.to_string() == *id);
            match field {
                Some(field) => Ok(Answer::json(
                    200,
                    &json!({ "fields": [show_field(call, field)] }),
                )),
                None => Ok(Answer::empty(204)),
            }
        }
        ["custom_views"] => {
            let at = asked_module(call)?;
            let views: Vec<Json> = call
                .definition(at)?
                .views
                .iter()
                .map(|view| {
                    json!({
                        "id": view.id.to_string(), "name": view.name, "display_value": view.name,
                        "system_name": view.system_name, "system_defined": view.system_name.is_some(),
                        "default": view.condition.is_none(), "criteria": view.condition, "category": "public_views",
                        "favorite": null, "fields": [],
                    })
                })
                .collect();
            Ok(Answer::json(
                200,
                &json!({ "custom_views": views, "info": { "count": views.len(), "more_records": false } }),
            ))
        }
        ["layouts"] => {
            let at = asked_module(call)?;
            let fields = visible_fields(call, at)?;
            let id = call.definition(at)?.id + 1_000_000;
            Ok(Answer::json(
                200,
                &json!({ "layouts": [{
                    "id": id.to_string(), "name": "Standard", "display_label": "Standard", "status": "active", "visible": true,
                    "generated_type": "default",
                    "sections": [{ "name": "Information", "display_label": "Information", "sequence_number": 1, "fields": fields }],
                }] }),
            ))
        }
        ["related_lists"] => {
            let at = asked_module(call)?;
            let lists: Vec<Json> = call
                .definition(at)?
                .related
                .iter()
                .map(|list| {
                    let module = call.organisation.module(&list.module);
                    json!({
                        "id": list.id.to_string(), "api_name": list.api_name, "name": list.api_name,
                        "display_label": list.api_name.replace('_', " "), "type": "default",
                        "href": format!("{}/{{ENTITYID}}/{}", call.definition(at).map_or("", |module| &module.api_name), list.api_name),
                        "module": module.map(|module| json!({ "api_name": module.api_name, "id": module.id.to_string() })),
                        "connectedmodule": null, "linkingmodule": null,
                    })
                })
                .collect();
            Ok(if lists.is_empty() {
                Answer::empty(204)
            } else {
                Answer::json(200, &json!({ "related_lists": lists }))
            })
        }
        _ => Err(Refusal::invalid_url()),
    }
}

fn asked_module(call: &mut Call<'_>) -> Result<usize, Refusal> {
    let Some(name) = call.request.parameter("module").map(str::to_owned) else {
        return Err(Refusal::new(
            400,
            "REQUIRED_PARAM_MISSING",
            "One of the expected parameter is missing",
        )
        .details(json!({ "param_name": "module" })));
    };
    call.module(&name)
        .map_err(|refusal| refusal.details(json!({ "param_name": "module" })))
}

fn show_module(module: &Module) -> Json {
    json!({
        "id": module.id.to_string(),
        "api_name": module.api_name,
        "module_name": module.api_name,
        "singular_label": module.singular,
        "plural_label": module.api_name,
        "generated_type": "default",
        "api_supported": true,
        "creatable": true,
        "editable": true,
        "deletable": true,
        "viewable": true,
        "recycle_bin_on_delete": true,
        "status": "visible",
        "visible": true,
        "show_as_tab": true,
        "profiles": [],
    })
}

fn visible_fields(call: &Call<'_>, module: usize) -> Result<Vec<Json>, Refusal> {
    let mut fields: Vec<Json> = Vec::new();
    // The id is a field of every module in the metadata.
    let mut id = Field::new("id", DataType::BigInt);
    id.id = call.definition(module)?.id + 2_000_000;
    id.read_only = true;
    id.label = "Record Id".to_owned();
    if call.request.parameter("type") != Some("unused") {
        fields.push(show_field(call, &id));
        let definition = call.definition(module)?;
        fields.extend(
            definition
                .fields()
                .iter()
                .filter(|field| !field.hidden)
                .map(|field| show_field(call, field)),
        );
    }
    Ok(fields)
}

fn show_field(call: &Call<'_>, field: &Field) -> Json {
    let writable = !field.read_only;
    let module = |name: &str| {
        let id = call
            .organisation
            .module(name)
            .map(|module| module.id.to_string());
        json!({ "api_name": name, "id": id })
    };
    let mut shown = Map::new();
    let mut set = |name: &str, value: Json| {
        shown.insert(name.to_owned(), value);
    };
    set("id", json!(field.id.to_string()));
    set("api_name", json!(field.api_name));
    set("field_label", json!(field.label));
    set("display_label", json!(field.label));
    set("data_type", json!(field.data_type.name()));
    set(
        "json_type",
        json!(if field.api_name == "Tag" {
            "jsonarray"
        } else {
            field.data_type.json_type()
        }),
    );
    if field.api_name == "Tag" {
        set("data_type", json!("text"));
    }
    set("length", json!(field.length));
    set(
        "decimal_place",
        if field.decimals > 0 {
            json!(field.decimals)
        } else {
            Json::Null
        },
    );
    set("read_only", json!(!writable));
    set("field_read_only", json!(!writable));
    set("system_mandatory", json!(field.mandatory));
    set("custom_field", json!(field.custom));
    set("visible", json!(true));
    set("virtual_field", json!(false));
    set("type", json!("used"));
    set("history_tracking", Json::Null);
    set("enable_colour_code", json!(false));
    set(
        "operation_type",
        json!({
            "web_view": true, "web_create": writable, "web_update": writable,
            "api_create": writable, "api_update": writable,
        }),
    );
    set("pick_list_values", Json::Array(choices(field)));
    set(
        "lookup",
        match (&field.target, field.data_type) {
            (Some(target), DataType::Lookup) => {
                json!({ "module": module(target), "display_label": field.label, "api_name": field.api_name, "id": field.id.to_string() })
            }
            _ => json!({}),
        },
    );
    set(
        "multiselectlookup",
        match (&field.target, field.data_type) {
            (Some(target), DataType::MultiSelectLookup) => {
                json!({ "connected_details": { "module": module(target), "field": { "api_name": field.api_name } } })
            }
            _ => json!({}),
        },
    );
    set(
        "multi_module_lookup",
        if field.data_type == DataType::MultiModuleLookup {
            json!({ "modules": [module("Accounts"), module("Deals")] })
        } else {
            json!({})
        },
    );
    set(
        "unique",
        if field.unique {
            json!({ "casesensitive": false })
        } else {
            json!({})
        },
    );
    set(
        "external",
        match field.external {
            None => Json::Null,
            Some(External::Organisation) => json!({ "type": "org", "show": true }),
            Some(External::User) => json!({ "type": "user", "show": true }),
        },
    );
    set(
        "formula",
        match (&field.computed, field.data_type) {
            (Some(Computed::Through(..)), DataType::Formula) => {
                json!({ "return_type": "string", "expression": "(simulated)" })
            }
            (_, DataType::Formula) => {
                json!({ "return_type": "double", "expression": "(simulated)" })
            }
            _ => json!({}),
        },
    );
    if matches!(field.computed, Some(Computed::Through(..))) {
        set("json_type", json!("string"));
    }
    set(
        "rollup_summary",
        match &field.computed {
            Some(Computed::CountOf(module, _)) => {
                json!({ "return_type": "integer", "rollup_based_on": module })
            }
            Some(Computed::SumOf(module, ..)) => {
                json!({ "return_type": "currency", "rollup_based_on": module })
            }
            _ => json!({}),
        },
    );
    if matches!(field.computed, Some(Computed::SumOf(..))) {
        set("json_type", json!("double"));
    }
    set(
        "auto_number",
        if field.data_type == DataType::AutoNumber {
            json!({ "prefix": "", "start_number": "1" })
        } else {
            json!({})
        },
    );
    set(
        "subform",
        if field.data_type == DataType::Subform {
            let columns: Vec<Json> = field
                .columns
                .iter()
                .map(|column| show_field(call, column))
                .collect();
            json!({ "module": field.api_name, "id": field.id.to_string(), "fields": columns })
        } else {
            Json::Null
        },
    );
    set(
        "currency",
        if field.data_type == DataType::Currency {
            json!({ "rounding_option": "normal", "precision": 2 })
        } else {
            json!({})
        },
    );
    if field.data_type == DataType::TextArea || field.is_rich() {
        let kind = if field.is_rich() {
            "rich_text"
        } else {
            "large"
        };
        set("textarea", json!({ "type": kind }));
    }
    Json::Object(shown)
}

fn choices(field: &Field) -> Vec<Json> {
    if field.choices.is_empty() {
        return Vec::new();
    }
    let none = if field.mandatory || field.data_type == DataType::MultiSelectPicklist {
        None
    } else {
        Some("-None-")
    };
    none.into_iter()
        .chain(field.choices.iter().map(String::as_str))
        .enumerate()
        .map(|(index, value)| {
            json!({
                "id": (field.id + 3_000_000 + index as u64).to_string(),
                "display_value": value, "actual_value": value, "reference_value": value,
                "sequence_number": index + 1, "type": "used", "colour_code": null,
            })
        })
        .collect()
}
