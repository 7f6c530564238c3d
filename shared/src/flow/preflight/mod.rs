//! Looking at a granted organisation: what lacks for its sync to work, each finding with its remedy (C5). Nothing is written to Zoho.

mod coverage;

use futures::future::{join, join_all};
use jiff::SignedDuration;

use crate::connection::{Connection, Status};
use crate::credit::{Spender, allowance};
use crate::data_centre::Environment;
use crate::finding::{Finding, Severity};
use crate::identifier::ConnectionId;
use crate::journal::Outcome;
use crate::message::{Version, Work};
use crate::metadata;
use crate::oauth;
use crate::object::Object;
use crate::port::{CrmError, FieldInfo, Ports, Reply};
use crate::preflight::{self, Denial, Licence, Preflight};
use crate::select::Count;
use crate::settings::Settings;

use super::note::note;
use super::{Error, Session};

/// The objects that are looked at; users have an API of their own, without field permissions.
pub const OBJECTS: [Object; 4] = [Object::Account, Object::Contact, Object::Deal, Object::Task];

/// How long a preflight says how things stand.
const FRESH: SignedDuration = SignedDuration::from_mins(10);

/// Looks at a granted connection's organisation, keeps what was found with the connection, and logs it.
///
/// # Errors
/// When the connection can't call Zoho now, or a port fails. What Zoho denies is a finding.
pub async fn run(ports: &Ports, connection: &Connection) -> Result<Preflight, Error> {
    let current = ports.store.settings(&connection.id).await?;
    let at = ports.clock.now();
    let session = Session::open(ports, connection, &current.settings, Spender::Person)?;
    let looked = look(&session, &current.settings).await;
    session.finish().await?;
    let Looked {
        mut findings,
        visible,
        coverage,
        licence,
    } = looked?;
    let environment = environment(connection);
    findings.extend(preflight::about_environment(environment));
    findings.sort_by_key(|finding| finding.severity);
    let preflight = Preflight {
        at,
        settings: current.version,
        findings,
        visible,
        coverage,
        licence,
        environment,
        credits: session.credits(),
    };
    ports
        .store
        .keep_preflight(&connection.id, &preflight)
        .await?;
    say(ports, connection, &preflight).await?;
    Ok(preflight)
}

/// The latest preflight if it can be gone by: it says that nothing blocks, is of these settings, and not old. Another look otherwise.
///
/// # Errors
/// As [`run`].
pub async fn fresh(ports: &Ports, connection: &Connection) -> Result<Preflight, Error> {
    let kept = ports.store.preflight(&connection.id).await?;
    let version = ports.store.settings(&connection.id).await?.version;
    let now = ports.clock.now();
    let good = kept.filter(|kept| {
        kept.settings == version
            && kept.is_conclusive()
            && !kept.blocks()
            && now.duration_since(kept.at) < FRESH
    });
    match good {
        Some(kept) => Ok(kept),
        None => run(ports, connection).await,
    }
}

/// Looks anew because settings were saved, unless that was done meanwhile. A connection that has no access to Zoho is looked at when it is
/// connected.
///
/// # Errors
/// As [`run`], or when too many credits are spent.
pub async fn again(ports: &Ports, connection: Connection) -> Result<(), Error> {
    if !is_granted(&connection) {
        return Ok(());
    }
    let settings = ports.store.settings(&connection.id).await?;
    let kept = ports.store.preflight(&connection.id).await?;
    if kept.is_some_and(|kept| kept.settings >= settings.version && kept.is_conclusive()) {
        return Ok(());
    }
    match run(ports, &connection).await {
        Ok(_) | Err(Error::NeedsReconnect { .. } | Error::NotRunnable { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Asks for another look because settings were saved. Only a hint: who switches the connection on looks as well.
pub async fn send(ports: &Ports, connection: &ConnectionId) {
    let message = Work::Preflight {
        version: Version,
        connection: connection.clone(),
    };
    if let Err(error) = ports.queue.send_work(&[message]).await {
        tracing::warn!(connection.id = %connection, error = %error, "no preflight follows the saved settings");
    }
}

/// What kind of organisation a connection leads to.
#[must_use]
pub fn environment(connection: &Connection) -> Environment {
    connection
        .organisation
        .as_ref()
        .map_or(Environment::Production, |organisation| {
            organisation.api_domain.environment()
        })
}

fn is_granted(connection: &Connection) -> bool {
    matches!(connection.status, Status::Enabled | Status::Paused)
        && connection.organisation.is_some()
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
    if !is_granted(connection) {
        return Ok(None);
    }
    let current = ports.store.settings(&connection.id).await?.settings;
    let session = Session::open(ports, connection, &current, Spender::Person)?;
    let answers = join_all(OBJECTS.map(|object| session.fields(object))).await;
    session.finish().await?;
    let mut held = Held::default();
    for (object, answer) in OBJECTS.into_iter().zip(answers) {
        match granted(answer) {
            Ok(Ok(fields)) => {
                let found = metadata::check(settings, object, &fields);
                held.findings.extend(found);
            }
            Ok(Err(_)) => held.unread.push(object),
            // Settings can be saved without credits: the part of them that may be spent is one.
            Err(Error::NeedsReconnect { .. } | Error::OverBudget { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(Some(held))
}

/// What was seen of an organisation.
struct Looked {
    findings: Vec<Finding>,
    visible: Vec<(Object, u64)>,
    coverage: Vec<preflight::Coverage>,
    licence: Option<Licence>,
}

/// What was seen of an object's module.
struct Module {
    object: Object,
    fields: Result<Vec<FieldInfo>, Denial>,
    count: Result<u64, Denial>,
}

async fn look(session: &Session, settings: &Settings) -> Result<Looked, Error> {
    let now = session.now();
    // Nobody has changed since now: the answer is empty, and whether there is one is all that counts.
    let (organisation, users) = join(session.organisation(), session.users(1, Some(now))).await;
    let (organisation, users) = (granted(organisation)?, granted(users)?);
    let modules = join_all(OBJECTS.map(|object| module(session, object))).await;
    let modules = modules.into_iter().collect::<Result<Vec<_>, _>>()?;

    let mut scopes = Vec::new();
    let mut findings = Vec::new();
    let licence = match organisation {
        Ok(organisation) => {
            let licence = Licence {
                daily_credits: allowance(&organisation.edition, organisation.users),
                edition: organisation.edition,
                users: organisation.users,
            };
            findings.extend(preflight::about_licence(&licence));
            Some(licence)
        }
        Err(denial) if denial.by_scope => {
            scopes.push(oauth::ORGANISATION);
            None
        }
        Err(denial) => {
            findings.push(preflight::organisation_denied(&denial));
            None
        }
    };
    match users {
        Err(denial) if denial.by_scope => scopes.push(oauth::USERS),
        Err(denial) => findings.push(preflight::users_denied(&denial)),
        Ok(_) => {}
    }
    let by_scope = |denial: &Denial| denial.by_scope;
    if modules
        .iter()
        .any(|module| module.fields.as_ref().is_err_and(by_scope))
    {
        scopes.push(oauth::FIELDS);
    }
    let counts: Vec<_> = modules
        .iter()
        .map(|module| (module.object, module.count.clone()))
        .collect();
    scopes.extend(preflight::lacking_to_count(&counts));
    findings.extend(scopes.into_iter().map(preflight::scope_missing));

    let counted = coverage::of(session, settings, &modules).await?;
    let mut coverage = Vec::new();
    let mut visible = Vec::new();
    for Module {
        object,
        fields,
        count,
    } in &modules
    {
        match count {
            Ok(count) => {
                findings.extend(preflight::about_visible(*object, *count));
                visible.push((*object, *count));
            }
            Err(denial) if denial.by_scope => {}
            Err(denial) => findings.push(preflight::module_denied(*object, denial)),
        }
        match fields {
            Ok(fields) => findings.extend(check(settings, *object, fields)),
            // Said already, of the module as a whole.
            Err(denial) if denial.by_scope || count.is_err() => {}
            Err(denial) => findings.push(preflight::fields_denied(*object, denial)),
        }
        for seen in counted.iter().filter(|seen| seen.object() == *object) {
            findings.extend(seen.findings());
            coverage.extend(seen.counted().cloned());
        }
    }
    Ok(Looked {
        findings,
        visible,
        coverage,
        licence,
    })
}

async fn module(session: &Session, object: Object) -> Result<Module, Error> {
    Ok(Module {
        object,
        fields: granted(session.fields(object).await)?,
        count: granted(session.count(Count::all(object)).await)?,
    })
}

/// What a call came to, or why Zoho denies it; any other failure stays one.
fn granted<T>(answer: Result<Reply<T>, Error>) -> Result<Result<T, Denial>, Error> {
    let error = match answer {
        Ok(reply) => return Ok(Ok(reply.value)),
        Err(Error::Crm(error)) => error,
        Err(error) => return Err(error),
    };
    match &error {
        CrmError::Forbidden { code, .. } | CrmError::Refused { code, .. } => Ok(Err(Denial {
            by_scope: code == "OAUTH_SCOPE_MISMATCH",
            words: error.to_string(),
        })),
        _ => Err(error.into()),
    }
}

/// Holds an object's settings against the fields of its module that the granting user may see.
#[must_use]
pub fn check(settings: &Settings, object: Object, fields: &[FieldInfo]) -> Vec<Finding> {
    let found = metadata::check(settings, object, fields).into_iter();
    found
        .map(|found| Finding {
            field: Some(found.field),
            permission: found.permission,
            ..Finding::new(found.code, found.severity, found.what, found.remedy).of(object)
        })
        .collect()
}

/// Logs what was found. What runs already goes on: whether it should is for a person to decide.
async fn say(ports: &Ports, connection: &Connection, preflight: &Preflight) -> Result<(), Error> {
    let stays_on = connection.status == Status::Enabled && preflight.blocks();
    if stays_on {
        let count = preflight
            .findings
            .iter()
            .filter(|finding| finding.severity == Severity::Blocking)
            .count();
        tracing::warn!(connection.id = %connection.id, findings = count, "a connection stays on that could not be switched on now");
    }
    let found: Vec<_> = preflight
        .findings
        .iter()
        .map(|finding| finding.what.as_str())
        .collect();
    let (outcome, reason) = match (found.is_empty(), stays_on) {
        (true, _) => (Outcome::Done, "nothing found".to_owned()),
        (false, false) => (Outcome::Warned, found.join("; ")),
        (false, true) => (
            Outcome::Warned,
            format!(
                "the connection stays on, although it could not be switched on now: {}",
                found.join("; ")
            ),
        ),
    };
    note(ports, &connection.id, outcome, "preflight", "", reason).await?;
    Ok(())
}
