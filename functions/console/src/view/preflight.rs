//! What a preflight found, as the API shows it.

use std::collections::BTreeMap;

use serde::Serialize;
use tandem::flow::preflight::Preflight;
use tandem::forecast::Forecast;
use tandem::lack::Lack;
use tandem::object::Object;
use utoipa::ToSchema;

use super::{ObjectName, Severity};

/// What a preflight found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PreflightView {
    /// Whether nothing stands in the way of a sync; there may be warnings.
    pub ready: bool,
    /// The findings, those of an object together.
    pub findings: Vec<FindingView>,
    /// How many records of each object the granting user sees.
    pub visible: BTreeMap<ObjectName, u64>,
}

/// One thing that was found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FindingView {
    /// How much it matters.
    pub severity: Severity,
    /// The object that it is about.
    pub object: Option<ObjectName>,
    /// The Zoho field that it is about.
    pub field: Option<String>,
    /// What was found.
    pub what: String,
    /// What helps.
    pub remedy: String,
}

impl FindingView {
    /// What Zoho did not show when the object was last read.
    pub(crate) fn of_lack(object: Object, lack: &Lack) -> Self {
        Self {
            severity: Severity::Problem,
            object: Some(object.into()),
            field: lack.field().map(str::to_owned),
            what: lack.what(object),
            remedy: lack.remedy().to_owned(),
        }
    }
}

impl FindingView {
    /// What a forecast warns of: a day that needs more credits than may be spent.
    pub(crate) fn of_forecast(forecast: &Forecast) -> Option<Self> {
        let (what, remedy) = forecast.warning()?;
        Some(Self {
            severity: Severity::Warning,
            object: None,
            field: None,
            what,
            remedy: remedy.to_owned(),
        })
    }
}

impl From<&Preflight> for PreflightView {
    fn from(preflight: &Preflight) -> Self {
        let finding = |finding: &tandem::flow::preflight::Finding| FindingView {
            severity: finding.severity.into(),
            object: finding.object.map(ObjectName::from),
            field: finding.field.clone(),
            what: finding.what.clone(),
            remedy: finding.remedy.clone(),
        };
        Self {
            ready: !preflight.has_problems(),
            findings: preflight.findings.iter().map(finding).collect(),
            visible: preflight
                .visible
                .iter()
                .map(|(object, count)| ((*object).into(), *count))
                .collect(),
        }
    }
}
