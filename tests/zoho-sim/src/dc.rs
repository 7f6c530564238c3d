//! Zoho's data centres.

use std::{fmt, str::FromStr};

/// One of Zoho's data centres; the name is the first part of every path of the simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[expect(missing_docs, reason = "the variants are Zoho's own names")]
pub enum DataCentre {
    #[default]
    Us,
    Eu,
    In,
    Au,
    Jp,
    Ca,
    Sa,
    Uk,
    Cn,
}

impl DataCentre {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Us,
        Self::Eu,
        Self::In,
        Self::Au,
        Self::Jp,
        Self::Ca,
        Self::Sa,
        Self::Uk,
        Self::Cn,
    ];

    /// The name in paths and in the callback's `location`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::Eu => "eu",
            Self::In => "in",
            Self::Au => "au",
            Self::Jp => "jp",
            Self::Ca => "ca",
            Self::Sa => "sa",
            Self::Uk => "uk",
            Self::Cn => "cn",
        }
    }
}

impl fmt::Display for DataCentre {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The name is not one of a data centre.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown data centre")]
pub struct UnknownDataCentre;

impl FromStr for DataCentre {
    type Err = UnknownDataCentre;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|dc| dc.name() == name)
            .ok_or(UnknownDataCentre)
    }
}
