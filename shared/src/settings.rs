//! A connection's settings: one versioned JSON document.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::calculated::{self, Calculated};
use crate::criteria::Filter;
use crate::identifier::{FieldName, ZohoField};
use crate::object::Object;
use crate::value::FieldType;

/// The settings of one connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The Zoho account field that holds the platform's identity of an account (I1).
    pub account_external_id: ZohoField,
    /// The Zoho contact field that holds the platform's identity of a contact (I2).
    pub contact_external_id: ZohoField,
    /// Whether records come into being on the platform (S7).
    pub source_mode: SourceMode,
    /// Whether editable core fields may be written to Zoho (F2).
    pub core_writeback: bool,
    /// Whether tasks are written to Zoho, creation included (W1).
    pub task_writeback: bool,
    /// The objects other than tasks that may be created in Zoho (W2).
    #[schemars(schema_with = "crate::schema::creatable")]
    pub create_in_zoho: BTreeSet<Object>,
    /// Who wins when both sides changed a field differently (W4).
    pub conflicts: ConflictPolicy,
    /// Only members of one of these segments are created or updated in Zoho; none selected means every record (W3).
    pub segments: BTreeSet<String>,
    /// The Zoho automations that a write may trigger (W5): `workflow`, `approval`, `blueprint`, `pathfinder`, `orchestration`.
    #[schemars(schema_with = "crate::schema::triggers")]
    pub trigger: BTreeSet<String>,
    /// The hour of the organisation's own clock at which the full sync is due, 0 to 23.
    #[schemars(range(min = 0, max = 23))]
    pub night_hour: i8,
    /// The part of the organisation's daily credits that Tandem may spend, in percent (C7).
    #[schemars(range(min = 1, max = 100))]
    pub credit_share: u8,
    /// What the log keeps (L1).
    pub log: LogSettings,
    /// When a removal is held for a person (R2).
    pub removal_guard: RemovalGuard,
    /// A Zoho task field that takes the platform's task id, so that a created task is found again for certain (W6).
    pub task_mark: Option<ZohoField>,
    /// Per object: filter, mappings, custom fields.
    pub objects: BTreeMap<Object, ObjectSettings>,
}

/// Whether the platform's records come from Zoho or exist already (S7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SourceMode {
    /// A record in scope comes into being on the platform.
    #[default]
    Create,
    /// Only records that the platform already has are filled.
    EnrichOnly,
}

/// Who wins a conflict (W4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConflictPolicy {
    /// Zoho's value wins.
    #[default]
    ZohoWins,
    /// The platform's value wins.
    PlatformWins,
    /// The later change wins; in a tie Zoho's.
    LatestWins,
}

/// What the log keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// For how many days, 1 to 365.
    #[schemars(range(min = 1, max = 365))]
    pub keep_days: u16,
    /// Whether values are kept, or only which fields changed.
    pub values: bool,
}

/// When a removal waits for a person's yes: beyond both numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RemovalGuard {
    /// More than this part of the object's records, in percent.
    #[schemars(range(min = 0, max = 100))]
    pub percent: u8,
    /// More than this many records.
    pub records: u64,
}

/// The settings of one object.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ObjectSettings {
    /// Which Zoho records are in scope; absent: all (S1 to S3). Users take none (S4).
    pub filter: Option<Filter>,
    /// Field mappings beside the default ones (F6); one that names a default mapping's platform field replaces it.
    pub mappings: Vec<Mapping>,
    /// Custom platform fields by name, with their types.
    pub custom_fields: BTreeMap<FieldName, FieldType>,
    /// Custom fields of accounts that follow from their contacts, deals or tasks (F5).
    pub calculated: Vec<Calculated>,
}

/// What ties a Zoho field to a platform field (F1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The Zoho field.
    pub zoho: ZohoField,
    /// The platform field.
    pub platform: FieldName,
    /// Which way values go.
    #[serde(default)]
    pub direction: Direction,
    /// Whether the platform may edit the field; makes the mapping two-way (F2).
    #[serde(default)]
    pub editable: bool,
    /// What no value means.
    #[serde(default)]
    pub null: NullMeans,
    /// What becomes of the other values of a multi-select on a write.
    #[serde(default)]
    pub choices: ChoicesMode,
    /// Who wins a conflict over this field; absent: as the connection says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflicts: Option<ConflictPolicy>,
}

/// Which way values go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From Zoho to the platform.
    #[default]
    Pull,
    /// From the platform to Zoho.
    Push,
    /// Both ways.
    Both,
}

/// What no value means on the side that receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NullMeans {
    /// The field is cleared.
    #[default]
    Clear,
    /// The field keeps what it has.
    Keep,
}

/// What becomes of a multi-select's other values on a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChoicesMode {
    /// They go.
    #[default]
    Replace,
    /// They stay.
    Append,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            account_external_id: default_field("AccountExternalID"),
            contact_external_id: default_field("Email"),
            source_mode: SourceMode::default(),
            core_writeback: false,
            task_writeback: true,
            create_in_zoho: BTreeSet::new(),
            conflicts: ConflictPolicy::default(),
            segments: BTreeSet::new(),
            trigger: BTreeSet::new(),
            night_hour: 2,
            credit_share: 50,
            log: LogSettings::default(),
            removal_guard: RemovalGuard::default(),
            task_mark: None,
            objects: BTreeMap::new(),
        }
    }
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            keep_days: 30,
            values: true,
        }
    }
}

impl Default for RemovalGuard {
    fn default() -> Self {
        Self {
            percent: 20,
            records: 50,
        }
    }
}

#[expect(
    clippy::expect_used,
    reason = "called with constants that the tests parse"
)]
fn default_field(name: &str) -> ZohoField {
    name.parse().expect("a valid API name")
}

/// A setting that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Problem {
    /// Where in the document, as a JSON path.
    pub path: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

pub(crate) const TRIGGERS: [&str; 5] = [
    "workflow",
    "approval",
    "blueprint",
    "pathfinder",
    "orchestration",
];

impl Settings {
    /// The settings of one object.
    #[must_use]
    pub fn object(&self, object: Object) -> ObjectSettings {
        self.objects.get(&object).cloned().unwrap_or_default()
    }

    /// Whether records of the object may be created in Zoho (W1, W2).
    #[must_use]
    pub fn creates_in_zoho(&self, object: Object) -> bool {
        match object {
            Object::Task => self.task_writeback,
            Object::Account | Object::Contact => self.create_in_zoho.contains(&object),
            Object::Deal | Object::User => false,
        }
    }

    /// Everything that is wrong with the settings by themselves, each with its place; none: they can be saved.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let mut refuse = |path: String, problem: String| found.push(Problem { path, problem });
        if !(0..=23).contains(&self.night_hour) {
            refuse("$.night_hour".into(), "use an hour from 0 to 23".into());
        }
        if !(1..=100).contains(&self.credit_share) {
            refuse(
                "$.credit_share".into(),
                "use a part from 1 to 100 percent".into(),
            );
        }
        if !(1..=365).contains(&self.log.keep_days) {
            refuse("$.log.keep_days".into(), "use 1 to 365 days".into());
        }
        if self.removal_guard.percent > 100 {
            refuse(
                "$.removal_guard.percent".into(),
                "use a part from 0 to 100 percent".into(),
            );
        }
        for trigger in self
            .trigger
            .iter()
            .filter(|trigger| !TRIGGERS.contains(&trigger.as_str()))
        {
            refuse(
                "$.trigger".into(),
                format!(
                    "{trigger:?} is no automation of Zoho: use {}",
                    TRIGGERS.join(", ")
                ),
            );
        }
        for object in self
            .create_in_zoho
            .iter()
            .filter(|object| !matches!(object, Object::Account | Object::Contact))
        {
            refuse(
                "$.create_in_zoho".into(),
                format!(
                    "{object} is no choice here: use account and contact; tasks follow task_writeback"
                ),
            );
        }
        for (object, settings) in &self.objects {
            settings.check(*object, &mut refuse);
        }
        calculated::check(self, &mut refuse);
        found
    }
}

impl ObjectSettings {
    fn check(&self, object: Object, refuse: &mut impl FnMut(String, String)) {
        let base = format!("$.objects.{object}");
        if let Some(filter) = &self.filter {
            if object == Object::User {
                refuse(
                    format!("{base}.filter"),
                    "users are always all synced: remove the filter".into(),
                );
            }
            for error in filter.problems() {
                refuse(format!("{base}.filter{}", error.path), error.problem.into());
            }
        }
        for name in self
            .custom_fields
            .keys()
            .filter(|name| object.core_field(name.as_str()).is_some())
        {
            refuse(
                format!("{base}.custom_fields.{name}"),
                "this is a core field: choose another name".into(),
            );
        }
        let mut platform_fields = BTreeSet::new();
        for (index, mapping) in self.mappings.iter().enumerate() {
            let path = format!("{base}.mappings[{index}]");
            let core = object.core_field(mapping.platform.as_str());
            let pushes = mapping.editable || mapping.direction != Direction::Pull;
            if core.is_none() && !self.custom_fields.contains_key(&mapping.platform) {
                refuse(
                    format!("{path}.platform"),
                    format!(
                        "{object} has no field {}: declare it in custom_fields with its type",
                        mapping.platform
                    ),
                );
            }
            if !platform_fields.insert(&mapping.platform) {
                refuse(
                    format!("{path}.platform"),
                    format!("{} is mapped twice: keep one mapping", mapping.platform),
                );
            }
            let shared = self
                .mappings
                .iter()
                .filter(|other| other.zoho == mapping.zoho)
                .count()
                > 1;
            if shared && pushes {
                refuse(
                    format!("{path}.editable"),
                    format!(
                        "{} is mapped more than once, so it can only be pulled",
                        mapping.zoho
                    ),
                );
            }
            if pushes && !object.is_writable() {
                refuse(
                    format!("{path}.editable"),
                    format!("{object}s are never written to Zoho: make it a pull"),
                );
            }
            if pushes && mapping.platform.is_usage() {
                refuse(
                    format!("{path}.platform"),
                    "usage data is never written to Zoho: make it a pull or map another field"
                        .into(),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn problems(json: serde_json::Value) -> Vec<String> {
        serde_json::from_value::<Settings>(json)
            .unwrap()
            .problems()
            .into_iter()
            .map(|problem| problem.path)
            .collect()
    }

    #[test]
    fn the_default_settings_are_right_and_survive_a_round_trip() {
        let settings = Settings::default();
        assert_eq!(settings.problems(), []);
        let json = serde_json::to_value(&settings).unwrap();
        assert_eq!(serde_json::from_value::<Settings>(json).unwrap(), settings);
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        assert!(serde_json::from_value::<Settings>(json!({"nigth_hour": 3})).is_err());
    }

    #[test]
    fn each_mistake_is_named_by_its_place() {
        assert_eq!(
            problems(json!({"night_hour": 24, "trigger": ["all"]})),
            ["$.night_hour", "$.trigger"]
        );
        assert_eq!(
            problems(json!({"objects": {
                "deal": {"mappings": [{"zoho": "Stage", "platform": "stage", "editable": true}]},
                "user": {"filter": {"all": []}},
                "account": {
                    "custom_fields": {"usage.logins": "integer", "name": "text", "a": "text", "b": "text"},
                    "mappings": [
                        {"zoho": "Logins", "platform": "usage.logins", "direction": "push"},
                        {"zoho": "X", "platform": "unknown"},
                        {"zoho": "Y", "platform": "a", "editable": true},
                        {"zoho": "Y", "platform": "b"},
                        {"zoho": "Z", "platform": "b"}
                    ]
                }
            }})),
            [
                "$.objects.user.filter",
                "$.objects.account.custom_fields.name",
                "$.objects.account.mappings[0].platform",
                "$.objects.account.mappings[1].platform",
                "$.objects.account.mappings[2].editable",
                "$.objects.account.mappings[4].platform",
                "$.objects.deal.mappings[0].editable",
            ]
        );
    }
}
