//! Settings as the API shows and takes them. The document is the domain's own; the types here only describe it, and a test compares them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use tandem::port::SettingsVersion;
use tandem::settings::Settings;
use utoipa::ToSchema;

use crate::problem::Mistake;

/// A version of a connection's settings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SettingsView {
    /// Counts from 1; 0 stands for the default settings, never saved.
    pub version: u64,
    /// When it was saved; none for the default settings.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub saved_at: Option<Timestamp>,
    /// The settings.
    #[schema(value_type = SettingsDocument)]
    pub settings: Settings,
}

impl From<&SettingsVersion> for SettingsView {
    fn from(saved: &SettingsVersion) -> Self {
        Self {
            version: saved.version,
            saved_at: (saved.version > 0).then_some(saved.saved_at),
            settings: saved.settings.clone(),
        }
    }
}

/// Settings that were just saved.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SavedSettings {
    /// The version that they are now.
    pub version: u64,
    /// When it was saved.
    #[schema(value_type = String, format = DateTime)]
    pub saved_at: Timestamp,
    /// The settings.
    #[schema(value_type = SettingsDocument)]
    pub settings: Settings,
    /// Whether every field that they name was looked up in Zoho. It can't be while nobody has granted access, or where Zoho does not let
    /// the granting user see a module's fields; the preflight after connecting looks again.
    pub checked_against_zoho: bool,
    /// What may not be as intended, although it was saved.
    pub warnings: Vec<Mistake>,
}

macro_rules! described {
    ($($(#[$outer:meta])* struct $name:ident { $($(#[$inner:meta])* $field:ident: $kind:ty,)+ })+) => {
        $(
            $(#[$outer])*
            #[derive(ToSchema)]
            #[expect(dead_code, reason = "only describes the document")]
            pub(crate) struct $name { $($(#[$inner])* $field: $kind,)+ }
        )+
    };
}

described! {
    /// A connection's settings. Every part can be left out and then has its default.
    struct SettingsDocument {
        /// The Zoho account field that holds the platform's identity of an account.
        #[schema(required = false, default = "AccountExternalID")]
        account_external_id: String,
        /// The Zoho contact field that holds the platform's identity of a contact.
        #[schema(required = false, default = "Email")]
        contact_external_id: String,
        /// Whether records come into being on the platform.
        #[schema(required = false, default = "create")]
        source_mode: super::SourceMode,
        /// Whether editable core fields of accounts and contacts may be written to Zoho.
        #[schema(required = false, default = false)]
        core_writeback: bool,
        /// Whether tasks are written to Zoho, creation included.
        #[schema(required = false, default = true)]
        task_writeback: bool,
        /// Which of `account` and `contact` may be created in Zoho.
        #[schema(required = false)]
        create_in_zoho: BTreeSet<super::ObjectName>,
        /// Who wins when both sides changed a field differently.
        #[schema(required = false, default = "zoho_wins")]
        conflicts: super::ConflictPolicy,
        /// Only members of one of these segments are created or updated in Zoho; with none, every record may be.
        #[schema(required = false)]
        segments: BTreeSet<String>,
        /// The Zoho automations that a write may trigger: `workflow`, `approval`, `blueprint`, `pathfinder`, `orchestration`.
        #[schema(required = false)]
        trigger: BTreeSet<String>,
        /// The hour of the organisation's own clock at which the full sync is due.
        #[schema(required = false, default = 2, minimum = 0, maximum = 23)]
        night_hour: i8,
        /// The part of the organisation's daily credits that Tandem may spend, in percent.
        #[schema(required = false, default = 50, minimum = 1, maximum = 100)]
        credit_share: u8,
        /// What the log keeps.
        #[schema(required = false)]
        log: LogSettings,
        /// When a removal is held for a person.
        #[schema(required = false)]
        removal_guard: RemovalGuard,
        /// A Zoho task field that takes the platform's task id, so that a created task is found again for certain.
        #[schema(required = false)]
        task_mark: Option<String>,
        /// Per object: filter, mappings, custom fields.
        #[schema(required = false)]
        objects: BTreeMap<super::ObjectName, ObjectSettings>,
    }

    /// What the log keeps.
    struct LogSettings {
        /// For how many days.
        #[schema(required = false, default = 30, minimum = 1, maximum = 365)]
        keep_days: u16,
        /// Whether values are kept, or only which fields changed.
        #[schema(required = false, default = true)]
        values: bool,
    }

    /// When a removal waits for a person's yes: beyond both numbers.
    struct RemovalGuard {
        /// More than this part of the object's records, in percent.
        #[schema(required = false, default = 20, minimum = 0, maximum = 100)]
        percent: u8,
        /// More than this many records.
        #[schema(required = false, default = 50)]
        records: u64,
    }

    /// The settings of one object.
    struct ObjectSettings {
        /// Which Zoho records are in scope: `{"where": {"field", "comparator", "value"}}`, `{"all": [...]}` or `{"any": [...]}`, nested at
        /// will, with Zoho's comparators; absent: all. Users take none.
        #[schema(required = false, value_type = Option<Object>)]
        filter: Option<serde_json::Value>,
        /// Field mappings beside the default ones; one that names a default mapping's platform field replaces it.
        #[schema(required = false)]
        mappings: Vec<Mapping>,
        /// Custom platform fields by name, with their types: `text`, `integer`, `decimal`, `boolean`, `date`, `instant`, `choice`,
        /// `choices`, `email`, `phone`, `url`, or `{"reference": "account"}`.
        #[schema(required = false, value_type = BTreeMap<String, serde_json::Value>)]
        custom_fields: BTreeMap<String, serde_json::Value>,
        /// Custom fields of accounts that follow from their contacts, deals or tasks. No other object has any.
        #[schema(required = false)]
        calculated: Vec<Calculated>,
    }

    /// A field of an account that follows from the account's contacts, deals or tasks.
    struct Calculated {
        /// The custom account field that takes the outcome; it can neither be mapped nor edited.
        platform: String,
        /// Whose records are looked at: `contact`, `deal` or `task`.
        over: super::ObjectName,
        /// Which of them count, written like a sync filter, over the platform's fields of these records; absent: all. `{"today": 7}` as a
        /// value stands for the organisation's day in a week.
        #[schema(required = false, value_type = Option<Object>)]
        filter: Option<serde_json::Value>,
        /// What is made of those that count: `{"max": field}`, `{"min": field}`, `{"sum": field}`, `{"average": field}`,
        /// `{"first": {"field", "by"}}`, `{"last": {"field", "by"}}`, `"count"`, `"any"` (at least one counts) or `"all"` (none is left
        /// out).
        #[schema(value_type = serde_json::Value)]
        value: serde_json::Value,
    }

    /// What ties a Zoho field to a platform field.
    struct Mapping {
        /// The Zoho field, by its API name.
        zoho: String,
        /// The platform field.
        platform: String,
        /// Which way values go.
        #[schema(required = false, default = "pull")]
        direction: super::MappingDirection,
        /// Whether the platform may edit the field; makes the mapping two-way.
        #[schema(required = false, default = false)]
        editable: bool,
        /// What no value means on the side that receives it.
        #[schema(required = false, default = "clear")]
        null: super::NullMeans,
        /// What becomes of the other values of a multi-select on a write.
        #[schema(required = false, default = "replace")]
        choices: super::ChoicesMode,
        /// Who wins a conflict over this field; absent: as the connection says.
        #[schema(required = false)]
        conflicts: Option<super::ConflictPolicy>,
    }
}
