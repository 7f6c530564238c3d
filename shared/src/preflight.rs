//! What a preflight comes to, and what follows from what Zoho denied and counted (C5).

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::credit;
use crate::data_centre::Environment;
use crate::finding::{Code, Finding, Permission, Severity};
use crate::mapping::fold;
use crate::oauth::{self, Scope};
use crate::object::Object;

/// What a preflight came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preflight {
    /// When the organisation was looked at.
    pub at: Timestamp,
    /// The version of the settings that it was held against.
    pub settings: u64,
    /// What was found, the gravest first.
    pub findings: Vec<Finding>,
    /// How many records of each object the granting user sees.
    pub visible: Vec<(Object, u64)>,
    /// How the fields that hold ids are filled.
    pub coverage: Vec<Coverage>,
    /// What the organisation pays for; none: it can't be read.
    pub licence: Option<Licence>,
    /// What kind of organisation it is.
    pub environment: Environment,
    /// What the look cost.
    pub credits: u64,
}

/// What an organisation pays for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// The edition, as Zoho names it.
    pub edition: String,
    /// The users that it covers.
    pub users: u64,
    /// The credits that it allows in a rolling day.
    pub daily_credits: u64,
}

/// How a field that holds ids is filled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// The object.
    pub object: Object,
    /// The field.
    pub field: String,
    /// Whether Zoho itself lets no two records have the same value.
    pub unique: bool,
    /// Of all records that the granting user sees.
    pub all: Filled,
    /// Of those in scope; none: all are, or COQL can't tell which.
    pub in_scope: Option<Filled>,
}

/// How many records have a value, and how many the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filled {
    /// The records.
    pub records: u64,
    /// Those with a value.
    pub filled: u64,
    /// What is shared; none: Zoho keeps the values apart, or would not count them.
    pub shared: Option<Shared>,
}

/// Values that more than one record has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Shared {
    /// How many values are shared.
    pub values: u64,
    /// How many records share them.
    pub records: u64,
    /// How many values were compared.
    pub compared: u64,
    /// Whether these were all of them; if not, more may be shared.
    pub complete: bool,
    /// A few of the shared values. None for contacts: theirs are e-mail addresses as a rule.
    pub examples: Vec<String>,
}

/// What Zoho did not let the granting user see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Whether it was a scope that lacked; otherwise a permission, or the thing itself.
    pub by_scope: bool,
    /// What Zoho said.
    pub words: String,
}

const UNCOUNTED: &str =
    "none is needed: the console lists records that are unmatched or duplicates after a full sync";

/// How many examples are told.
const EXAMPLES: usize = 5;

impl Preflight {
    /// A preflight that found nothing out, because the organisation could not be looked at.
    #[must_use]
    pub fn failed(at: Timestamp, settings: u64, environment: Environment, why: &str) -> Self {
        Self {
            at,
            settings,
            findings: vec![Finding::new(
                Code::NotLookedAt,
                Severity::Warning,
                format!("the organisation could not be looked at: {why}"),
                "run the check again in the console",
            )],
            visible: Vec::new(),
            coverage: Vec::new(),
            licence: None,
            environment,
            credits: 0,
        }
    }

    /// Whether something will not sync.
    #[must_use]
    pub fn has_problems(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity != Severity::Warning)
    }

    /// Whether the connection must not be switched on.
    #[must_use]
    pub fn blocks(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity == Severity::Blocking)
    }

    /// Whether it says how things stand: the organisation could be looked at.
    #[must_use]
    pub fn is_conclusive(&self) -> bool {
        !self
            .findings
            .iter()
            .any(|finding| finding.code == Code::NotLookedAt)
    }
}

/// A scope that was not granted.
#[must_use]
pub fn scope_missing(scope: Scope) -> Finding {
    let Scope { name, needed_for } = scope;
    Finding {
        scope: Some(name.to_owned()),
        ..Finding::new(
            Code::ScopeMissing,
            Severity::Blocking,
            format!("the scope {name}, needed for {needed_for}, was not granted"),
            "open the connection's connect_url and grant everything that is asked for",
        )
    }
}

/// The scopes that lack where counting objects by COQL was denied for lack of one: an object's own, unless no object at all was let through.
#[must_use]
pub fn lacking_to_count(counted: &[(Object, Result<u64, Denial>)]) -> Vec<Scope> {
    let lacking: Vec<Object> = counted
        .iter()
        .filter(|(_, count)| matches!(count, Err(denial) if denial.by_scope))
        .map(|(object, _)| *object)
        .collect();
    let any_let_through = counted.iter().any(|(_, count)| count.is_ok());
    match (lacking.is_empty(), any_let_through) {
        (true, _) => Vec::new(),
        (false, true) => lacking.into_iter().map(oauth::of_reading).collect(),
        (false, false) => vec![oauth::COQL],
    }
}

/// The finding behind a module whose records can't be read.
#[must_use]
pub fn module_denied(object: Object, denial: &Denial) -> Finding {
    // Everything else hangs on the accounts.
    let severity = match object {
        Object::Account => Severity::Blocking,
        _ => Severity::Problem,
    };
    Finding {
        permission: Some(Permission::ViewModule),
        ..Finding::new(
            Code::ModuleUnreadable,
            severity,
            format!(
                "{}: its records can't be read ({})",
                object.module(),
                denial.words
            ),
            "in Zoho, switch the module on and give the granting user's profile access to it and to the API",
        )
        .of(object)
    }
}

/// The finding behind a module whose fields can't be read.
#[must_use]
pub fn fields_denied(object: Object, denial: &Denial) -> Finding {
    Finding {
        permission: Some(Permission::ViewModule),
        ..Finding::new(
            Code::FieldsUnreadable,
            Severity::Problem,
            format!(
                "{}: its fields can't be read, so the mappings are not checked ({})",
                object.module(),
                denial.words
            ),
            "in Zoho, give the granting user's profile access to the module and to the API",
        )
        .of(object)
    }
}

/// The finding behind users that can't be read.
#[must_use]
pub fn users_denied(denial: &Denial) -> Finding {
    Finding {
        permission: Some(Permission::ViewUsers),
        ..Finding::new(
            Code::UsersUnreadable,
            Severity::Problem,
            format!(
                "users can't be read, so owners and other references to them stay without a name ({})",
                denial.words
            ),
            "in Zoho, let the granting user's profile view users",
        )
        .of(Object::User)
    }
}

/// The finding behind an organisation that does not tell about itself.
#[must_use]
pub fn organisation_denied(denial: &Denial) -> Finding {
    Finding {
        permission: Some(Permission::ViewOrganisation),
        ..Finding::new(
            Code::OrganisationUnreadable,
            Severity::Problem,
            format!(
                "the organisation's details can't be read, so its time zone and edition may be out of date ({})",
                denial.words
            ),
            "in Zoho, let the granting user's profile view the organisation's details",
        )
    }
}

/// What is to be said about where the organisation is.
#[must_use]
pub fn about_environment(environment: Environment) -> Option<Finding> {
    let kind = match environment {
        Environment::Production => return None,
        Environment::Sandbox => "a sandbox",
        Environment::Developer => "a developer's organisation",
    };
    Some(Finding::new(
        Code::NotProduction,
        Severity::Warning,
        format!("this is {kind} of Zoho's, not an organisation that people work in"),
        "if that is not meant, make another connection and grant access from the right organisation",
    ))
}

/// What is to be said about what the organisation pays for.
#[must_use]
pub fn about_licence(licence: &Licence) -> Option<Finding> {
    let Licence {
        edition,
        daily_credits,
        ..
    } = licence;
    (*daily_credits <= credit::LEAST_ALLOWANCE).then(|| {
        Finding::new(
            Code::FewCredits,
            Severity::Warning,
            format!(
                "the edition {edition} allows {} API credits a day, as far as is known, of which Tandem spends its share only",
                grouped(*daily_credits)
            ),
            "sync fewer records by a filter, raise credit_share in the settings, or move to a larger edition",
        )
    })
}

/// What is to be said about how many records the granting user sees.
#[must_use]
pub fn about_visible(object: Object, count: u64) -> Option<Finding> {
    (object == Object::Account && count == 0).then(|| {
        Finding::new(
            Code::NoAccounts,
            Severity::Warning,
            "Accounts: the granting user sees no account",
            "if the organisation has some, connect again with a user who sees them all",
        )
        .of(object)
    })
}

/// What could not be counted of a field that holds ids.
#[must_use]
pub fn uncounted(object: Object, field: &str, denial: &Denial) -> Finding {
    Finding {
        field: Some(field.to_owned()),
        ..Finding::new(
            Code::ExternalIdUncounted,
            Severity::Warning,
            format!(
                "{}: Zoho does not count how {field} is filled ({})",
                object.module(),
                denial.words
            ),
            UNCOUNTED,
        )
        .of(object)
    }
}

impl Shared {
    /// What is shared among values with their numbers of records, compared as the object's identity is. `complete` says whether these are
    /// all values.
    #[must_use]
    pub fn among(object: Object, values: &[(String, u64)], complete: bool) -> Self {
        let mut records: BTreeMap<String, u64> = BTreeMap::new();
        for (value, count) in values {
            let value = match object {
                Object::Contact => fold(value),
                _ => value.trim().to_owned(),
            };
            let of_value = records.entry(value).or_default();
            *of_value = of_value.saturating_add(*count);
        }
        let compared = records.len() as u64;
        records.retain(|_, count| *count > 1);
        Self {
            values: records.len() as u64,
            records: records
                .values()
                .fold(0, |sum, count| sum.saturating_add(*count)),
            compared,
            complete,
            examples: match object {
                Object::Contact => Vec::new(),
                _ => records.into_keys().take(EXAMPLES).collect(),
            },
        }
    }
}

impl Coverage {
    /// What is to be said about it.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.unfilled().into_iter().chain(self.shared()).collect()
    }

    fn unfilled(&self) -> Option<Finding> {
        // A task that was made in Zoho has no id of the platform's.
        if self.object == Object::Task {
            return None;
        }
        let Filled {
            records, filled, ..
        } = self.all;
        let unfilled = records.saturating_sub(filled);
        if unfilled == 0 {
            return None;
        }
        let counted = self.in_scope.as_ref().unwrap_or(&self.all);
        let severity = match counted.filled == 0 && counted.records > 0 {
            true => Severity::Problem,
            false => Severity::Warning,
        };
        let in_scope = self.in_scope.as_ref().map_or(String::new(), |in_scope| {
            format!(
                "; in scope {} of {}",
                grouped(in_scope.records.saturating_sub(in_scope.filled)),
                grouped(in_scope.records)
            )
        });
        let (verb, stay) = match unfilled {
            1 => ("has", "it stays"),
            _ => ("have", "they stay"),
        };
        Some(self.finding(
            Code::ExternalIdUnfilled,
            severity,
            format!(
                "{} of {} {} {verb} no {}: {stay} unmatched{in_scope}",
                grouped(unfilled),
                grouped(records),
                nouns(self.object, records),
                self.field
            ),
            "fill the field in Zoho, or name another field in the settings; the console lists unmatched records after a full sync",
        ))
    }

    fn shared(&self) -> Option<Finding> {
        let Some(shared) = self.all.shared.as_ref() else {
            let what = format!(
                "Zoho does not count which values of {} are shared",
                self.field
            );
            return (!self.unique).then(|| {
                self.finding(
                    Code::ExternalIdUncounted,
                    Severity::Warning,
                    what,
                    UNCOUNTED,
                )
            });
        };
        if shared.values == 0 && shared.complete {
            return None;
        }
        let Shared {
            values, records, ..
        } = *shared;
        let in_scope = self
            .in_scope
            .as_ref()
            .and_then(|in_scope| in_scope.shared.as_ref())
            .map_or(String::new(), |in_scope| {
                format!(
                    "; in scope {} by {}",
                    grouped(in_scope.values),
                    grouped(in_scope.records)
                )
            });
        let compared = grouped(shared.compared);
        let what = match (shared.complete, values) {
            (true, _) => format!(
                "{} {} shared by {} {}{in_scope}",
                counted(values, "value of", "values of", &self.field),
                if values == 1 { "is" } else { "are" },
                grouped(records),
                nouns(self.object, records)
            ),
            (false, 0) => format!(
                "none of the first {compared} values of {} is shared; the rest was not compared, to spare time and credits",
                self.field
            ),
            (false, _) => format!(
                "at least {} {} shared by {} {}: the first {compared} values were compared, the rest was not, to spare time and credits{in_scope}",
                counted(values, "value of", "values of", &self.field),
                if values == 1 { "is" } else { "are" },
                grouped(records),
                nouns(self.object, records)
            ),
        };
        let remedy = match self.object {
            Object::Task => {
                "in Zoho, empty the field of the copies: a task that the platform created is found again by it"
            }
            _ => {
                "in Zoho, give each record a value of its own or merge them; until then one of them is synced and the others are listed as duplicates"
            }
        };
        Some(Finding {
            examples: shared.examples.clone(),
            ..self.finding(Code::ExternalIdShared, Severity::Warning, what, remedy)
        })
    }

    fn finding(&self, code: Code, severity: Severity, what: String, remedy: &str) -> Finding {
        let what = format!("{}: {what}", self.object.module());
        Finding {
            field: Some(self.field.clone()),
            ..Finding::new(code, severity, what, remedy).of(self.object)
        }
    }
}

fn counted(count: u64, one: &str, several: &str, field: &str) -> String {
    let words = if count == 1 { one } else { several };
    format!("{} {words} {field}", grouped(count))
}

fn nouns(object: Object, count: u64) -> String {
    match count {
        1 => object.name().to_owned(),
        _ => format!("{object}s"),
    }
}

/// A number with its thousands set apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
