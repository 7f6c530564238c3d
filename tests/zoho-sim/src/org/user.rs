//! Users of an organisation.

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// Where a user stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the variants are Zoho's own names")]
pub enum UserStatus {
    Active,
    Inactive,
    Deleted,
    Disabled,
    Closed,
}

impl UserStatus {
    /// Zoho's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Deleted => "deleted",
            Self::Disabled => "disabled",
            Self::Closed => "closed",
        }
    }
}

/// One user.
#[derive(Debug, Clone)]
pub struct User {
    /// The id.
    pub id: u64,
    /// The id in Zoho's accounts.
    pub zuid: Option<u64>,
    /// The first name.
    pub first_name: Option<String>,
    /// The last name.
    pub last_name: String,
    /// The address.
    pub email: String,
    /// Where the user stands.
    pub status: UserStatus,
    /// The invitation was accepted.
    pub confirmed: bool,
    /// In the administrator profile.
    pub administrator: bool,
    /// The name of the user's zone.
    pub zone_name: String,
    /// The user's zone.
    pub zone: TimeZone,
    /// When the user was added.
    pub created: Timestamp,
    /// When the user was last changed.
    pub modified: Timestamp,
    /// Who changed the user.
    pub modified_by: u64,
    /// The superior.
    pub reports_to: Option<u64>,
}

impl User {
    /// Both names.
    pub fn full_name(&self) -> String {
        match &self.first_name {
            Some(first) => format!("{first} {}", self.last_name),
            None => self.last_name.clone(),
        }
    }
}

/// The zone of a name such as `Asia/Kolkata` or `+05:30`; UTC when there is none of the name.
pub fn zone(name: &str) -> TimeZone {
    if let Ok(zone) = TimeZone::get(name) {
        return zone;
    }
    let Some((sign, rest)) = name
        .strip_prefix('+')
        .map(|rest| (1, rest))
        .or_else(|| name.strip_prefix('-').map(|rest| (-1, rest)))
    else {
        return TimeZone::UTC;
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "0"));
    let seconds =
        hours.parse::<i32>().unwrap_or(0) * 3600 + minutes.parse::<i32>().unwrap_or(0) * 60;
    jiff::tz::Offset::from_seconds(sign * seconds).map_or(TimeZone::UTC, TimeZone::fixed)
}

/// The instant without its fraction of a second.
pub(crate) fn whole(instant: Timestamp) -> Timestamp {
    Timestamp::from_second(instant.as_second()).unwrap_or(instant)
}
