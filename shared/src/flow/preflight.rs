//! What a granted organisation lacks for its sync to work: findings, each with its remedy (C5).

use futures::future::join_all;
use serde::{Deserialize, Serialize};

use crate::connection::{Connection, Status};
use crate::credit::Spender;
use crate::journal::Outcome;
use crate::metadata;
use crate::object::Object;
use crate::port::{CrmError, FieldInfo, Ports};
use crate::select::Count;
use crate::settings::Settings;

use super::note::note;
use super::{Error, Session};

/// The objects that are looked at; users have an API of their own, without field permissions.
pub const OBJECTS: [Object; 4] = [Object::Account, Object::Contact, Object::Deal, Object::Task];

pub use crate::metadata::Severity;

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
    let session = Session::open(ports, connection, &settings, Spender::Person)?;
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

/// What settings that are about to be saved were held against.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    /// What was found, by the order of the objects.
    pub findings: Vec<metadata::Finding>,
    /// The objects whose fields Zoho does not let the granting user read.
    pub unread: Vec<Object>,
}

/// Holds settings that are not saved yet against the fields that Zoho has now. None: nobody can be asked until the customer connects or
/// credits come back; the preflight that follows looks then.
///
/// # Errors
/// When Zoho can't be asked now, or a port fails.
pub async fn hold(
    ports: &Ports,
    connection: &Connection,
    settings: &Settings,
) -> Result<Option<Held>, Error> {
    let granted = matches!(connection.status, Status::Enabled | Status::Paused);
    if !granted || connection.organisation.is_none() {
        return Ok(None);
    }
    let current = ports.store.settings(&connection.id).await?.settings;
    let session = Session::open(ports, connection, &current, Spender::Person)?;
    let answers = join_all(OBJECTS.map(|object| session.fields(object))).await;
    session.finish().await?;
    let mut held = Held::default();
    for (object, answer) in OBJECTS.into_iter().zip(answers) {
        match answer {
            Ok(reply) => {
                let found = metadata::check(settings, object, &reply.value);
                held.findings.extend(found);
            }
            Err(Error::Crm(CrmError::Forbidden { .. } | CrmError::Refused { .. })) => {
                held.unread.push(object);
            }
            // Settings can be saved without credits: the part of them that may be spent is one.
            Err(Error::NeedsReconnect { .. } | Error::OverBudget { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(held))
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
    metadata::check(settings, object, fields)
        .into_iter()
        .map(|found| Finding {
            severity: found.severity,
            object: Some(object),
            field: Some(found.field),
            what: found.what,
            remedy: found.remedy,
        })
        .collect()
}
