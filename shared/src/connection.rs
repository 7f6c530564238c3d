//! A connection: one Zoho organisation linked to the platform.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::data_centre::{ApiDomain, DataCentre};
use crate::identifier::ConnectionId;

/// Where a connection stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Made by the operator; nobody has granted access yet.
    New,
    /// Granted, and not switched on yet, or switched off for a while.
    Paused,
    /// Syncing.
    Enabled,
    /// The grant was revoked or is refused; waits for the customer (C3).
    NeedsReconnect,
    /// Disconnected by the operator; its data stays until purged (C6).
    Disconnected,
    /// Disconnected, and its data is being deleted.
    Purging,
    /// Its data is deleted. What is left keeps its id from being used anew: messages and links of old name nothing but the id, and must not
    /// reach another customer.
    Purged,
}

impl Status {
    /// The status in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::New => "not connected yet",
            Self::Paused => "paused",
            Self::Enabled => "enabled",
            Self::NeedsReconnect => "waiting for the customer to reconnect",
            Self::Disconnected => "disconnected",
            Self::Purging => "being purged",
            Self::Purged => "purged",
        }
    }

    /// Whether it ended: it has no grant, and no customer can connect it again.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        match self {
            Self::Disconnected | Self::Purging | Self::Purged => true,
            Self::New | Self::Paused | Self::Enabled | Self::NeedsReconnect => false,
        }
    }

    /// Whether its data is deleted, or about to be: nothing may be written about it any more.
    #[must_use]
    pub const fn is_gone(self) -> bool {
        matches!(self, Self::Purging | Self::Purged)
    }
}

/// What a granted organisation told about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organisation {
    /// Zoho's organisation id (`zgid`).
    pub id: String,
    /// The company's name.
    pub name: String,
    /// Its time zone (IANA name), which decides what "today" and "tonight" mean.
    pub time_zone: String,
    /// Its data centre.
    pub data_centre: DataCentre,
    /// Where its API is.
    pub api_domain: ApiDomain,
    /// The credits it may spend in a rolling day, as far as its edition tells.
    pub daily_credits: u64,
}

/// How far the purge of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    /// When a person asked for it.
    pub asked_at: Timestamp,
    /// When nothing was left; none: it is under way.
    pub completed_at: Option<Timestamp>,
    /// What was deleted so far. What a step deleted and could not write down before it was cut off is not counted.
    pub deleted: Deleted,
}

/// How many items were deleted, by table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// Settings, cursors, runs, marks and whatever else the flows keep.
    pub state: u64,
    /// Links.
    pub links: u64,
    /// Records.
    pub records: u64,
    /// Lines of the log.
    pub log: u64,
}

impl Deleted {
    /// Of all tables.
    #[must_use]
    pub const fn total(self) -> u64 {
        let Self {
            state,
            links,
            records,
            log,
        } = self;
        state + links + records + log
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, more: Self) -> Self {
        Self {
            state: self.state + more.state,
            links: self.links + more.links,
            records: self.records + more.records,
            log: self.log + more.log,
        }
    }
}

/// A connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Its id.
    pub id: ConnectionId,
    /// Its name for people.
    pub name: String,
    /// Where it stands.
    pub status: Status,
    /// Why it stands there, where that needs words.
    pub reason: Option<String>,
    /// The organisation, once one is granted.
    pub organisation: Option<Organisation>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the next routine sync is due.
    pub routine_due_at: Option<Timestamp>,
    /// When the next full sync is due.
    pub full_due_at: Option<Timestamp>,
    /// Zoho throttles the connection until then (C7).
    pub paused_until: Option<Timestamp>,
    /// How far its purge is, once one was asked for (C6).
    pub purge: Option<Purge>,
    /// Counts the writes of this item; each write names the version it read.
    pub version: u64,
}

/// How often a routine sync runs.
pub const ROUTINE_INTERVAL: SignedDuration = SignedDuration::from_mins(15);

impl Connection {
    /// A connection as the operator makes it.
    #[must_use]
    pub fn new(id: ConnectionId, name: String, now: Timestamp) -> Self {
        Self {
            id,
            name,
            status: Status::New,
            reason: None,
            organisation: None,
            created_at: now,
            routine_due_at: None,
            full_due_at: None,
            paused_until: None,
            purge: None,
            version: 0,
        }
    }

    /// Whether its jobs may run now.
    #[must_use]
    pub fn may_run(&self, now: Timestamp) -> bool {
        self.status == Status::Enabled && self.paused_until.is_none_or(|until| until <= now)
    }

    /// The organisation's time zone; UTC where it is unknown.
    #[must_use]
    pub fn time_zone(&self) -> TimeZone {
        self.organisation
            .as_ref()
            .and_then(|organisation| TimeZone::get(&organisation.time_zone).ok())
            .unwrap_or(TimeZone::UTC)
    }

    /// The next instant after `now` at which the connection's own clock shows `hour` o'clock, its night hour.
    #[must_use]
    pub fn next_night(&self, now: Timestamp, hour: i8) -> Timestamp {
        let zone = self.time_zone();
        let local = now.to_zoned_datetime(zone.clone());
        let at = |date: jiff::civil::Date| {
            date.at(hour, 0, 0, 0)
                .to_zoned_datetime(zone.clone())
                .map(|zoned| zoned.timestamp())
        };
        let today = at(local.date()).ok().filter(|instant| *instant > now);
        today
            .or_else(|| local.date().tomorrow().and_then(at).ok())
            .unwrap_or_else(|| {
                now.saturating_add(SignedDuration::from_hours(24))
                    .unwrap_or(now)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_night_is_the_organisations_own() {
        let mut connection = Connection::new(
            "acme".parse().unwrap(),
            "Acme".into(),
            Timestamp::UNIX_EPOCH,
        );
        connection.organisation = Some(Organisation {
            id: "1".into(),
            name: "Acme".into(),
            time_zone: "Asia/Kolkata".into(),
            data_centre: DataCentre::In,
            api_domain: crate::data_centre::Directory::zoho()
                .api_domain(DataCentre::In, "https://www.zohoapis.in")
                .unwrap(),
            daily_credits: 5_000,
        });
        let night = |now: &str| connection.next_night(now.parse().unwrap(), 2).to_string();
        assert_eq!(night("2026-11-23T00:00:00Z"), "2026-11-23T20:30:00Z");
        assert_eq!(night("2026-11-23T20:30:00Z"), "2026-11-24T20:30:00Z");
    }
}
