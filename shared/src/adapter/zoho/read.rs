//! Reading: rows by COQL, counts, users, fields, the organisation.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::ZohoCrm;
use super::errors::{self, Problem, Unreadable};
use super::transport::{Method, Response};
use super::wire;
use crate::credit;
use crate::object::Object;
use crate::port::{Caller, CrmError, FieldInfo, GrantedOrganisation, Reply, Rows};
use crate::row::Row;
use crate::select::{Count, PAGE_ROWS, Select};

/// How many users a page has, which is the most.
const PAGE_USERS: usize = 200;
/// What metadata lists for "no choice made"; records have null instead.
const NO_CHOICE: &str = "-None-";

/// A page of records or of users. Everything but the frame stays text, so that a decimal keeps every digit.
#[derive(Deserialize)]
struct Page {
    #[serde(alias = "users")]
    data: Option<Vec<BTreeMap<String, Box<RawValue>>>>,
    info: Option<Info>,
}

#[derive(Deserialize)]
struct Info {
    more_records: Option<bool>,
}

impl ZohoCrm {
    pub(super) async fn read_select(
        &self,
        caller: &Caller,
        select: &Select,
    ) -> Result<Reply<Rows>, CrmError> {
        let what = asked_by_coql(select.object)?;
        let response = self.coql(caller, &select.to_string()).await?;
        // Zoho's price follows the limit asked for, whatever comes back.
        let credits = credit::of_select(select.limit.min(PAGE_ROWS));
        let rows = match response.status {
            204 => Rows {
                rows: Vec::new(),
                more: false,
            },
            _ => page(&what, &response)?,
        };
        wire::reply(&what, &response, rows, credits)
    }

    pub(super) async fn read_count(
        &self,
        caller: &Caller,
        count: Count,
    ) -> Result<Reply<u64>, CrmError> {
        let what = asked_by_coql(count.object)?;
        let response = self.coql(caller, &count.to_string()).await?;
        let count = match response.status {
            204 => 0,
            _ => counted(&what, &response)?,
        };
        wire::reply(&what, &response, count, credit::of_select(1))
    }

    pub(super) async fn coql(&self, caller: &Caller, question: &str) -> Result<Response, CrmError> {
        let body = serde_json::json!({ "select_query": question }).to_string();
        self.call(caller, Method::Post, "coql", None, body.into_bytes())
            .await
    }

    pub(super) async fn read_users(
        &self,
        caller: &Caller,
        number: u32,
        modified_since: Option<Timestamp>,
    ) -> Result<Reply<Rows>, CrmError> {
        let what = "users (scope ZohoCRM.users.READ)";
        let path = format!("users?type=AllUsers&page={number}&per_page={PAGE_USERS}");
        let condition = modified_since.map(|since| ("If-Modified-Since", since));
        let response = self
            .call(caller, Method::Get, path, condition, Vec::new())
            .await?;
        let may_be_empty = number > 1 || modified_since.is_some();
        let rows = match response.status {
            204 if may_be_empty => Rows {
                rows: Vec::new(),
                more: false,
            },
            // Whoever granted the token is a user, so this is no answer to build on.
            204 => {
                let why = Unreadable::Shape("an organisation without a user");
                return Err(errors::malformed(what, why));
            }
            304 if modified_since.is_some() => Rows {
                rows: Vec::new(),
                more: false,
            },
            _ => page(what, &response)?,
        };
        wire::reply(what, &response, rows, credit::OF_READ)
    }

    pub(super) async fn read_fields(
        &self,
        caller: &Caller,
        object: Object,
    ) -> Result<Reply<Vec<FieldInfo>>, CrmError> {
        let module = object.module();
        let what = format!("the fields of {module} (scope ZohoCRM.settings.fields.READ)");
        let path = format!("settings/fields?module={module}");
        let response = self
            .call(caller, Method::Get, path, None, Vec::new())
            .await?;
        let fields = match response.status {
            204 => Vec::new(),
            _ => list(&what, &response, "fields")?
                .iter()
                .map(|json| {
                    field(json).ok_or(Unreadable::Shape("a field without its name or type"))
                })
                .collect::<Result<_, _>>()
                .map_err(|why| errors::malformed(&what, why))?,
        };
        wire::reply(&what, &response, fields, credit::OF_READ)
    }

    pub(super) async fn read_organisation(
        &self,
        caller: &Caller,
    ) -> Result<Reply<GrantedOrganisation>, CrmError> {
        let what = "the organisation (scope ZohoCRM.org.READ)";
        let response = self
            .call(caller, Method::Get, "org", None, Vec::new())
            .await?;
        let organisation = list(what, &response, "org")?
            .first()
            .and_then(organisation)
            .ok_or(Unreadable::Shape("no organisation with id and time zone"))
            .map_err(|why| errors::malformed(what, why))?;
        wire::reply(what, &response, organisation, credit::OF_READ)
    }
}

/// What a COQL call asks for, with the scopes it needs.
pub(super) fn asked_by_coql(object: Object) -> Result<String, CrmError> {
    if object == Object::User {
        let message = "COQL does not know users; they are read page by page";
        return Err(errors::refused("NOT_SUPPORTED", message));
    }
    let module = object.module();
    let scope = module.to_lowercase();
    Ok(format!(
        "{module} (scopes ZohoCRM.coql.READ and ZohoCRM.modules.{scope}.READ)"
    ))
}

/// A page of rows. A page that does not say whether there is more is an error: taken for the last one, it would make records look deleted.
fn page(what: &str, response: &Response) -> Result<Rows, CrmError> {
    if response.status != 200 {
        return Err(errors::refusal(what, response));
    }
    let malformed = |why| errors::malformed(what, why);
    let page: Page = match serde_json::from_slice(&response.body) {
        Ok(page) => page,
        Err(error) => return Err(refusal_or(what, response, Unreadable::json(&error))),
    };
    let Some(rows) = page.data else {
        return Err(refusal_or(what, response, Unreadable::Shape("no rows")));
    };
    let more = page
        .info
        .and_then(|info| info.more_records)
        .ok_or_else(|| malformed(Unreadable::Shape("no word on whether there is more")))?;
    if more && rows.is_empty() {
        return Err(malformed(Unreadable::Shape("no rows, yet more of them")));
    }
    let rows = rows
        .into_iter()
        .map(|values| Row::new(values).map_err(Unreadable::Row))
        .collect::<Result<_, _>>()
        .map_err(malformed)?;
    Ok(Rows { rows, more })
}

/// The refusal inside an answer that has the status of a success, or that the answer can't be read.
fn refusal_or(what: &str, response: &Response, why: Unreadable) -> CrmError {
    if Problem::read(&response.body).is_some() {
        errors::refusal(what, response)
    } else {
        errors::malformed(what, why)
    }
}

/// A list under its name.
pub(super) fn list(what: &str, response: &Response, name: &str) -> Result<Vec<Value>, CrmError> {
    if response.status != 200 {
        return Err(errors::refusal(what, response));
    }
    let mut json = wire::json(&response.body).map_err(|why| errors::malformed(what, why))?;
    match json.get_mut(name).map(Value::take) {
        Some(Value::Array(list)) => Ok(list),
        _ => Err(refusal_or(what, response, Unreadable::Shape("no list"))),
    }
}

/// The only number in the only row, whatever Zoho calls the column.
pub(super) fn counted(what: &str, response: &Response) -> Result<u64, CrmError> {
    let rows = list(what, response, "data")?;
    let columns = match rows.as_slice() {
        [Value::Object(row)] => row
            .iter()
            .filter(|(name, _)| *name != "id")
            .collect::<Vec<_>>(),
        _ => Vec::new(),
    };
    match columns.as_slice() {
        [(_, count)] => wire::number(count),
        _ => None,
    }
    .ok_or_else(|| errors::malformed(what, Unreadable::Shape("no count")))
}

fn field(json: &Value) -> Option<FieldInfo> {
    let is = |json: &Value, name: &str| json.get(name).and_then(Value::as_bool);
    let api_name = wire::text(json, "api_name")?.to_owned();
    let label = wire::text(json, "field_label").or_else(|| wire::text(json, "display_label"));
    let updatable = json
        .get("operation_type")
        .and_then(|operations| is(operations, "api_update"));
    let choices = json.get("pick_list_values").and_then(Value::as_array);
    let choices = choices.into_iter().flatten();
    let returns = ["formula", "rollup_summary"]
        .into_iter()
        .find_map(|key| wire::text(json.get(key)?, "return_type"));
    Some(FieldInfo {
        json_type: wire::text(json, "json_type").map(str::to_owned),
        returns: returns.map(str::to_owned),
        targets: targets(json),
        label: label.unwrap_or(&api_name).to_owned(),
        data_type: wire::text(json, "data_type")?.to_owned(),
        read_only: is(json, "read_only") == Some(true)
            || is(json, "field_read_only") == Some(true)
            || updatable == Some(false),
        mandatory: is(json, "system_mandatory") == Some(true),
        unique: json
            .get("unique")
            .and_then(Value::as_object)
            .is_some_and(|unique| !unique.is_empty()),
        length: json.get("length").and_then(wire::number),
        choices: choices
            .filter_map(|choice| wire::text(choice, "actual_value"))
            .filter(|choice| *choice != NO_CHOICE)
            .map(str::to_owned)
            .collect(),
        api_name,
    })
}

/// The modules that a lookup names records of; Zoho writes a module as its name or as an object with it.
fn targets(json: &Value) -> Vec<String> {
    let one = json.pointer("/lookup/module").into_iter();
    let several = json
        .pointer("/multi_module_lookup/modules")
        .and_then(Value::as_array);
    one.chain(several.into_iter().flatten())
        .filter_map(|module| module.as_str().or_else(|| wire::text(module, "api_name")))
        .map(str::to_owned)
        .collect()
}

fn organisation(json: &Value) -> Option<GrantedOrganisation> {
    let licence = json.get("license_details").unwrap_or(&Value::Null);
    // An organisation on trial has the edition that it tries.
    let on_trial = licence.get("paid").and_then(Value::as_bool) == Some(false);
    let edition = ["trial_type", "paid_type", "edition"]
        .into_iter()
        .filter(|key| on_trial || *key != "trial_type")
        .find_map(|key| wire::text(licence, key));
    let users = licence
        .get("users_license_purchased")
        .and_then(wire::number);
    Some(GrantedOrganisation {
        id: wire::text(json, "zgid")
            .map(str::to_owned)
            .or_else(|| {
                json.get("zgid")
                    .and_then(wire::number)
                    .map(|id| id.to_string())
            })
            .or_else(|| wire::text(json, "id").map(str::to_owned))?,
        name: wire::text(json, "company_name")
            .unwrap_or_default()
            .to_owned(),
        time_zone: wire::text(json, "time_zone")?.to_owned(),
        edition: edition.unwrap_or("unknown").to_owned(),
        users: users.unwrap_or(0),
    })
}
