//! What a granted organisation lacks for its sync to work: findings, each with its remedy (C5).

use futures::future::join_all;
use serde::{Deserialize, Serialize};

use crate::connection::Connection;
use crate::criteria::Filter;
use crate::journal::Outcome;
use crate::mapping::{FieldPlan, Identity, parent_lookups};
use crate::object::Object;
use crate::port::{CrmError, FieldInfo, Ports};
use crate::select::Count;
use crate::settings::Settings;

use super::note::note;
use super::{Error, Session};

/// The objects that are looked at; users have an API of their own, without field permissions.
pub const OBJECTS: [Object; 4] = [Object::Account, Object::Contact, Object::Deal, Object::Task];

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something will not sync.
    Problem,
    /// Something may not be as intended.
    Warning,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The object that it is about.
    pub object: Option<Object>,
    /// The Zoho field that it is about.
    pub field: Option<String>,
    /// What was found.
    pub what: String,
    /// What helps.
    pub remedy: String,
}

/// What a preflight found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Preflight {
    /// The findings, those of an object together.
    pub findings: Vec<Finding>,
    /// How many records of each object the granting user sees.
    pub visible: Vec<(Object, u64)>,
}

impl Preflight {
    /// Whether something will not sync.
    #[must_use]
    pub fn has_problems(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity == Severity::Problem)
    }
}

/// Looks at a granted connection's organisation, and logs what was found.
///
/// # Errors
/// When the connection can't call Zoho now, or a port fails. What Zoho denies is a finding.
pub async fn run(ports: &Ports, connection: &Connection) -> Result<Preflight, Error> {
    let settings = ports.store.settings(&connection.id).await?.settings;
    let session = Session::open(ports, connection)?;
    let looks = join_all(OBJECTS.map(|object| look(&session, &settings, object))).await;
    session.finish().await?;
    let mut preflight = Preflight::default();
    for (object, looked) in OBJECTS.into_iter().zip(looks) {
        let (findings, visible) = looked?;
        preflight.findings.extend(findings);
        preflight
            .visible
            .extend(visible.map(|count| (object, count)));
    }
    let (outcome, reason) = match preflight.findings.len() {
        0 => (Outcome::Done, "nothing found".to_owned()),
        _ => (Outcome::Warned, summary(&preflight.findings)),
    };
    note(ports, &connection.id, outcome, "preflight", "", reason).await?;
    Ok(preflight)
}

/// What is found about one object, and how many of its records the granting user sees.
async fn look(
    session: &Session,
    settings: &Settings,
    object: Object,
) -> Result<(Vec<Finding>, Option<u64>), Error> {
    let findings = match session.fields(object).await {
        Ok(reply) => check(settings, object, &reply.value),
        Err(error) => vec![denied(object, "its fields can't be read", error)?],
    };
    match session.count(Count::all(object)).await {
        Ok(reply) => Ok((findings, Some(reply.value))),
        Err(error) => {
            let denied = denied(object, "its records can't be read", error)?;
            Ok(([vec![denied], findings].concat(), None))
        }
    }
}

/// The finding behind a call that Zoho refused; any other failure stays one.
fn denied(object: Object, what: &str, error: Error) -> Result<Finding, Error> {
    match error {
        Error::Crm(error @ (CrmError::Forbidden { .. } | CrmError::Refused { .. })) => {
            Ok(Finding {
                severity: Severity::Problem,
                object: Some(object),
                field: None,
                what: format!("{}: {what} ({error})", object.module()),
                remedy: "in Zoho, give the granting user's profile access to the module and to the API, then connect again"
                    .to_owned(),
            })
        }
        error => Err(error),
    }
}

fn summary(findings: &[Finding]) -> String {
    let lines: Vec<_> = findings
        .iter()
        .map(|finding| finding.what.as_str())
        .collect();
    lines.join("; ")
}

/// Holds an object's settings against the fields of its module that the granting user may see.
#[must_use]
pub fn check(settings: &Settings, object: Object, fields: &[FieldInfo]) -> Vec<Finding> {
    let plan = FieldPlan::compile(settings, object);
    let module = object.module();
    let info = |name: &str| fields.iter().find(|field| field.api_name == name);
    let mut found = Vec::new();
    let mut add = |severity, field: &str, what: String, remedy: &str| {
        found.push(Finding {
            severity,
            object: Some(object),
            field: Some(field.to_owned()),
            what,
            remedy: remedy.to_owned(),
        });
    };

    if info("Modified_Time").is_none() {
        add(
            Severity::Problem,
            "Modified_Time",
            format!(
                "{module}: the field Modified_Time is hidden, so changed records can't be found"
            ),
            "in Zoho, let the profile of the granting user see the field Modified Time",
        );
    }

    let identity = match &plan.identity {
        Identity::Field(field) | Identity::FoldedField(field) => Some(field.as_str()),
        Identity::Own => None,
    };
    if let Some(name) = identity {
        match info(name) {
            None => add(
                Severity::Problem,
                name,
                format!("{module}: the external-id field {name} does not exist or is hidden"),
                "create the field in Zoho with exactly this API name, let the granting user's profile see it, or name another field \
                 in the settings",
            ),
            Some(field) if !field.unique => add(
                Severity::Warning,
                name,
                format!("{module}: the external-id field {name} may hold the same value twice"),
                "mark the field as unique in Zoho; until then the older record keeps the identity and the other is listed as a duplicate",
            ),
            Some(_) => {}
        }
    }

    for mapped in &plan.mapped {
        let name = mapped.zoho.as_str();
        if Some(name) == identity && info(name).is_none() {
            continue;
        }
        match info(name) {
            None => add(
                Severity::Problem,
                name,
                format!(
                    "{module}: the field {name}, mapped to {}, does not exist or is hidden",
                    mapped.platform
                ),
                "create the field in Zoho, let the granting user's profile see it, or remove the mapping",
            ),
            Some(field) if mapped.pushes && field.read_only => add(
                Severity::Problem,
                name,
                format!(
                    "{module}: the field {name} can't be written, and {} is to be written to it",
                    mapped.platform
                ),
                "let the granting user's profile edit the field in Zoho, or make the mapping a pull",
            ),
            Some(_) => {}
        }
    }

    let filtered = plan.filter.iter().flat_map(Filter::fields);
    for name in filtered.map(|field| field.to_string()) {
        if info(&name).is_none() {
            add(
                Severity::Problem,
                &name,
                format!(
                    "{module}: the field {name}, used by the filter, does not exist or is hidden"
                ),
                "create the field in Zoho, let the granting user's profile see it, or change the filter",
            );
        }
    }
    for (name, parent) in parent_lookups(object) {
        let mapped = plan
            .mapped
            .iter()
            .any(|mapped| mapped.zoho.as_str() == *name);
        if !mapped && info(name).is_none() {
            add(
                Severity::Problem,
                name,
                format!(
                    "{module}: the field {name}, which ties the record to its {parent}, is hidden"
                ),
                "in Zoho, let the profile of the granting user see the field",
            );
        }
    }
    found.dedup_by(|left, right| left.field == right.field && left.what == right.what);
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(name: &str) -> FieldInfo {
        FieldInfo {
            api_name: name.into(),
            label: name.into(),
            data_type: "text".into(),
            read_only: false,
            mandatory: false,
            unique: true,
            length: None,
            choices: Vec::new(),
        }
    }

    fn complete(object: Object) -> Vec<FieldInfo> {
        let plan = FieldPlan::compile(&Settings::default(), object);
        plan.columns()
            .iter()
            .map(String::as_str)
            .chain(["Modified_Time"])
            .map(field)
            .collect()
    }

    #[test]
    fn a_complete_organisation_has_no_findings() {
        for object in OBJECTS {
            assert_eq!(check(&Settings::default(), object, &complete(object)), []);
        }
    }

    #[test]
    fn every_field_that_is_used_is_missed() {
        for object in OBJECTS {
            for hidden in complete(object) {
                let name = hidden.api_name;
                let seen: Vec<_> = complete(object)
                    .into_iter()
                    .filter(|field| field.api_name != name)
                    .collect();
                let found = check(&Settings::default(), object, &seen);
                assert!(
                    found
                        .iter()
                        .all(|finding| finding.field.as_deref() == Some(&name)
                            && finding.severity == Severity::Problem),
                    "{object} {name}: {found:?}"
                );
                assert!(!found.is_empty(), "{object} {name}");
            }
        }
    }

    #[test]
    fn a_field_that_is_written_must_be_writable() {
        let settings: Settings = serde_json::from_value(json!({"objects": {"account": {
            "custom_fields": {"score": "integer"},
            "mappings": [{"zoho": "Score", "platform": "score", "direction": "push"}]
        }}}))
        .unwrap();
        let mut fields = complete(Object::Account);
        fields.push(FieldInfo {
            read_only: true,
            ..field("Score")
        });
        let found = check(&settings, Object::Account, &fields);
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("can't be written"), "{found:?}");
    }

    #[test]
    fn an_external_id_that_is_not_unique_is_a_warning() {
        let mut fields = complete(Object::Account);
        for field in &mut fields {
            field.unique = false;
        }
        let found = check(&Settings::default(), Object::Account, &fields);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].severity, Severity::Warning);
        assert_eq!(found[0].field.as_deref(), Some("AccountExternalID"));
    }
}
