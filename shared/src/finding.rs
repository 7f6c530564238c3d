//! What is found about an organisation or about settings: a code for a program, words and a remedy for a person (C5).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::object::Object;

/// How much a finding matters, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The connection must not be switched on.
    Blocking,
    /// Something will not sync.
    Problem,
    /// Something may not be as intended.
    Warning,
}

/// What kind of finding it is. The names are stable: programs decide by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// A scope was not granted.
    ScopeMissing,
    /// The organisation can't be read.
    OrganisationUnreadable,
    /// Users can't be read.
    UsersUnreadable,
    /// A module's records can't be read: it is switched off or hidden.
    ModuleUnreadable,
    /// What fields a module has can't be read.
    FieldsUnreadable,
    /// Modified_Time is hidden.
    ModifiedTimeHidden,
    /// The external-id field does not exist or is hidden.
    ExternalIdMissing,
    /// The external-id field is of a type that holds no ids, or perhaps none.
    ExternalIdUnfit,
    /// The external-id field can't be written, and records are to be created with it.
    ExternalIdNotWritable,
    /// Zoho does not keep the external-id field's values apart.
    ExternalIdNotUnique,
    /// Records have no external id.
    ExternalIdUnfilled,
    /// Records share an external id.
    ExternalIdShared,
    /// How the external ids are filled could not be counted.
    ExternalIdUncounted,
    /// A field takes fewer characters than ids may have.
    IdFieldShort,
    /// A mapped field does not exist or is hidden.
    FieldMissing,
    /// A mapped field can't be read in lists.
    FieldUnreadable,
    /// A mapped field's type does not go, or not always, with the platform's.
    FieldUnfit,
    /// A mapped field that is to be written can't be.
    FieldNotWritable,
    /// A lookup that ties a record to another is hidden.
    ParentFieldHidden,
    /// A field that the filter uses does not exist or is hidden.
    FilterFieldMissing,
    /// A field that the filter uses can't be read in lists.
    FilterFieldUnreadable,
    /// The filter compares a field with what it never holds.
    FilterValueUnfit,
    /// The field for the platform's task ids does not exist or is hidden.
    TaskMarkMissing,
    /// The field for the platform's task ids can't take them.
    TaskMarkUnfit,
    /// The granting user sees no account at all.
    NoAccounts,
    /// The organisation's edition is unknown or allows few credits.
    FewCredits,
    /// A day needs more credits than may be spent, by what was measured.
    CreditsShort,
    /// It is a sandbox or a developer's organisation.
    NotProduction,
    /// The organisation could not be looked at.
    NotLookedAt,
}

impl fmt::Display for Code {
    /// The name by which programs know it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(formatter)
    }
}

/// A permission that the granting user's profile lacks in Zoho.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// To see the organisation's details.
    ViewOrganisation,
    /// To see users.
    ViewUsers,
    /// To see the module's records.
    ViewModule,
    /// To see the field.
    ViewField,
    /// To edit the field.
    EditField,
}

impl Permission {
    /// The permission in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::ViewOrganisation => "view the organisation's details",
            Self::ViewUsers => "view users",
            Self::ViewModule => "view the module",
            Self::ViewField => "view the field",
            Self::EditField => "edit the field",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind of finding it is.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// The scope that was not granted.
    pub scope: Option<String>,
    /// The object that it is about.
    pub object: Option<Object>,
    /// The Zoho field that it is about.
    pub field: Option<String>,
    /// The permission that would help.
    pub permission: Option<Permission>,
    /// What was found. It tells no value of any record, so that it may be logged.
    pub what: String,
    /// What helps.
    pub remedy: String,
    /// A few of the values that it is about. None for contacts: theirs are e-mail addresses as a rule.
    pub examples: Vec<String>,
}

impl Finding {
    /// A finding about the organisation as a whole.
    #[must_use]
    pub fn new(
        code: Code,
        severity: Severity,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            code,
            severity,
            scope: None,
            object: None,
            field: None,
            permission: None,
            what: what.into(),
            remedy: remedy.into(),
            examples: Vec::new(),
        }
    }

    /// The same about an object.
    #[must_use]
    pub fn of(self, object: Object) -> Self {
        Self {
            object: Some(object),
            ..self
        }
    }

    /// The Zoho module that it is about.
    #[must_use]
    pub fn module(&self) -> Option<&'static str> {
        self.object.map(Object::module)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_comes_first() {
        let mut severities = [Severity::Warning, Severity::Blocking, Severity::Problem];
        severities.sort();
        assert_eq!(
            severities,
            [Severity::Blocking, Severity::Problem, Severity::Warning]
        );
    }

    #[test]
    fn a_code_is_called_what_programs_know_it_by() {
        assert_eq!(Code::ExternalIdShared.to_string(), "external_id_shared");
    }

    #[test]
    fn the_stored_form_is_pinned() {
        let finding = Finding {
            field: Some("External_ID".into()),
            permission: Some(Permission::ViewField),
            ..Finding::new(Code::ExternalIdMissing, Severity::Blocking, "a", "b")
                .of(Object::Account)
        };
        assert_eq!(
            serde_json::to_value(&finding).unwrap(),
            serde_json::json!({
                "code": "external_id_missing", "severity": "blocking", "scope": null, "object": "account", "field": "External_ID",
                "permission": "view_field", "what": "a", "remedy": "b", "examples": []
            })
        );
    }
}
