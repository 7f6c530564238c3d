//! What Zoho does not show of an object: a field that is hidden or gone, a module that is switched off. The rest is synced without it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::object::Object;

/// The field by which Zoho flags a change.
pub const MODIFIED_TIME: &str = "Modified_Time";

/// One thing that Zoho does not show to the user who granted access.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lack {
    /// None of the module's records.
    Module,
    /// A field, by its API name.
    Field(String),
}

/// What is lacking, by object; objects that lack nothing are left out.
pub type Lacks = BTreeMap<Object, BTreeSet<Lack>>;

impl Lack {
    /// The field, where it is one.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Module => None,
            Self::Field(name) => Some(name),
        }
    }

    /// What is lacking and what follows, in words.
    #[must_use]
    pub fn what(&self, object: Object) -> String {
        let module = object.module();
        match self {
            Self::Module => {
                format!("{module}: its records can't be read, so {object}s are not synced")
            }
            Self::Field(name) if name == MODIFIED_TIME => format!(
                "{module}: the field {name} is hidden, so changed records can't be found: {object}s come with the nightly full sync only"
            ),
            Self::Field(name) => format!(
                "{module}: the field {name} does not exist or is hidden; everything else of the {object}s is synced"
            ),
        }
    }

    /// What helps.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Module => {
                "in Zoho, switch the module on and give the granting user's profile access to it; then connect again if scopes lack"
            }
            Self::Field(_) => {
                "in Zoho, create the field or let the granting user's profile see it, or take it out of the settings"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_form_is_pinned() {
        let lacks = BTreeSet::from([Lack::Module, Lack::Field("Stage".into())]);
        assert_eq!(
            serde_json::to_value(&lacks).unwrap(),
            serde_json::json!(["module", { "field": "Stage" }])
        );
    }
}
