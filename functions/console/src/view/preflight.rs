//! What a preflight found, as the API shows it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use tandem::finding::{self, Code, Finding};
use tandem::forecast::Forecast;
use tandem::lack::{Lack, MODIFIED_TIME};
use tandem::object::Object;
use tandem::preflight::{Coverage, Filled, Preflight};
use utoipa::ToSchema;

use super::{Environment, FindingCode, ObjectName, PermissionName, Severity};

/// What a preflight found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PreflightView {
    /// When the organisation was looked at.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The version of the settings that it was held against.
    pub settings_version: u64,
    /// Whether nothing stands in the way of a sync; there may be warnings.
    pub ready: bool,
    /// Whether the connection must not be switched on.
    pub blocks: bool,
    /// The findings, the gravest first.
    pub findings: Vec<FindingView>,
    /// How many records of each object the granting user sees.
    pub visible: BTreeMap<ObjectName, u64>,
    /// How the fields that hold ids are filled.
    pub ids: Vec<CoverageView>,
    /// What the organisation pays for; none: it can't be read.
    pub licence: Option<LicenceView>,
    /// What kind of organisation it is.
    pub environment: Environment,
    /// What the look cost in Zoho's credits.
    pub credits: u64,
}

/// The latest preflight, in short.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PreflightSummary {
    /// When the organisation was looked at.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The version of the settings that it was held against.
    pub settings_version: u64,
    /// Whether these are the current settings.
    pub current: bool,
    /// Whether nothing stands in the way of a sync; there may be warnings.
    pub ready: bool,
    /// Whether the connection must not be switched on. One that is on stays on.
    pub blocks: bool,
    /// How many findings there are.
    pub findings: usize,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FindingView {
    /// What kind of finding it is; for a program to decide by.
    pub code: FindingCode,
    /// How much it matters.
    pub severity: Severity,
    /// The OAuth scope that was not granted.
    #[schema(example = "ZohoCRM.modules.deals.READ")]
    pub scope: Option<String>,
    /// The object that it is about.
    pub object: Option<ObjectName>,
    /// Its Zoho module.
    #[schema(example = "Accounts")]
    pub module: Option<String>,
    /// The Zoho field that it is about.
    pub field: Option<String>,
    /// The permission that the granting user's profile lacks.
    pub permission: Option<PermissionName>,
    /// What was found.
    pub what: String,
    /// What helps.
    pub remedy: String,
    /// A few of the values that it is about; none of contacts, whose are e-mail addresses as a rule.
    pub examples: Vec<String>,
}

/// How a field that holds ids is filled.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CoverageView {
    /// The object.
    pub object: ObjectName,
    /// The field.
    pub field: String,
    /// Whether Zoho itself lets no two records have the same value.
    pub unique: bool,
    /// Of all records that the granting user sees.
    pub all: FilledView,
    /// Of those in scope; none: all are, or Zoho can't tell which.
    pub in_scope: Option<FilledView>,
}

/// How many records have a value, and how many the same.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FilledView {
    /// The records.
    pub records: u64,
    /// Those with a value.
    pub filled: u64,
    /// The values that more than one record has; none: Zoho keeps them apart, or would not count them.
    pub shared_values: Option<u64>,
    /// The records that share them.
    pub sharing_records: Option<u64>,
    /// Whether not all values were compared, to spare time and credits: more may be shared.
    pub estimated: bool,
}

/// What the organisation pays for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LicenceView {
    /// The edition, as Zoho names it.
    #[schema(example = "Enterprise")]
    pub edition: String,
    /// The users that it covers.
    pub users: u64,
    /// The credits that it allows in a rolling day.
    pub daily_credits: u64,
}

impl FindingView {
    /// What Zoho did not show when the object was last read.
    pub(crate) fn of_lack(object: Object, lack: &Lack) -> Self {
        let (code, permission) = match lack {
            Lack::Module => (Code::ModuleUnreadable, finding::Permission::ViewModule),
            Lack::Field(name) if name == MODIFIED_TIME => {
                (Code::ModifiedTimeHidden, finding::Permission::ViewField)
            }
            Lack::Field(_) => (Code::FieldMissing, finding::Permission::ViewField),
        };
        let severity = finding::Severity::Problem;
        let found = Finding {
            field: lack.field().map(str::to_owned),
            permission: Some(permission),
            ..Finding::new(code, severity, lack.what(object), lack.remedy()).of(object)
        };
        Self::from(&found)
    }
}

impl From<&Finding> for FindingView {
    fn from(finding: &Finding) -> Self {
        let Finding {
            code,
            severity,
            scope,
            object,
            field,
            permission,
            what,
            remedy,
            examples,
        } = finding;
        Self {
            code: (*code).into(),
            severity: (*severity).into(),
            scope: scope.clone(),
            object: object.map(ObjectName::from),
            module: finding.module().map(str::to_owned),
            field: field.clone(),
            permission: permission.map(PermissionName::from),
            what: what.clone(),
            remedy: remedy.clone(),
            examples: examples.clone(),
        }
    }
}

impl From<&Filled> for FilledView {
    fn from(filled: &Filled) -> Self {
        let shared = filled.shared.as_ref();
        Self {
            records: filled.records,
            filled: filled.filled,
            shared_values: shared.map(|shared| shared.values),
            sharing_records: shared.map(|shared| shared.records),
            estimated: shared.is_some_and(|shared| !shared.complete),
        }
    }
}

impl From<&Coverage> for CoverageView {
    fn from(coverage: &Coverage) -> Self {
        Self {
            object: coverage.object.into(),
            field: coverage.field.clone(),
            unique: coverage.unique,
            all: FilledView::from(&coverage.all),
            in_scope: coverage.in_scope.as_ref().map(FilledView::from),
        }
    }
}

impl FindingView {
    /// What a forecast warns of: a day that needs more credits than may be spent.
    pub(crate) fn of_forecast(forecast: &Forecast) -> Option<Self> {
        let (what, remedy) = forecast.warning()?;
        let severity = finding::Severity::Warning;
        let found = Finding::new(Code::CreditsShort, severity, what, remedy);
        Some(Self::from(&found))
    }
}

impl From<&Preflight> for PreflightView {
    fn from(preflight: &Preflight) -> Self {
        let Preflight {
            at,
            settings,
            findings,
            visible,
            coverage,
            licence,
            environment,
            credits,
        } = preflight;
        Self {
            at: *at,
            settings_version: *settings,
            ready: !preflight.has_problems(),
            blocks: preflight.blocks(),
            findings: findings.iter().map(FindingView::from).collect(),
            visible: visible
                .iter()
                .map(|(object, count)| ((*object).into(), *count))
                .collect(),
            ids: coverage.iter().map(CoverageView::from).collect(),
            licence: licence.as_ref().map(|licence| LicenceView {
                edition: licence.edition.clone(),
                users: licence.users,
                daily_credits: licence.daily_credits,
            }),
            environment: (*environment).into(),
            credits: *credits,
        }
    }
}

impl PreflightSummary {
    /// A preflight beside settings of a version.
    pub(crate) fn new(preflight: &Preflight, settings_version: u64) -> Self {
        Self {
            at: preflight.at,
            settings_version: preflight.settings,
            current: preflight.settings == settings_version,
            ready: !preflight.has_problems(),
            blocks: preflight.blocks(),
            findings: preflight.findings.len(),
        }
    }
}
