//! A connection: one Zoho organisation linked to the platform.

use jiff::{SignedDuration, Timestamp, civil::Date, tz::TimeZone};
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
        }
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
    /// Its edition, as Zoho names it, which decides how many calls may be made at a time. Empty in what earlier releases stored: unknown until the
    /// next full sync.
    #[serde(default)]
    pub edition: String,
    /// The credits it may spend in a rolling day, as far as its edition tells.
    pub daily_credits: u64,
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
        let today = self.today(now);
        let tonight = self.night(today, hour).filter(|night| *night > now);
        let tomorrow = || self.night(today.tomorrow().ok()?, hour);
        tonight.or_else(tomorrow).unwrap_or_else(|| {
            now.saturating_add(SignedDuration::from_hours(24))
                .unwrap_or(now)
        })
    }

    /// The last instant at or before `now` at which the connection's own clock showed `hour` o'clock.
    #[must_use]
    pub fn last_night(&self, now: Timestamp, hour: i8) -> Timestamp {
        let today = self.today(now);
        let tonight = self.night(today, hour).filter(|night| *night <= now);
        let yesterday = || self.night(today.yesterday().ok()?, hour);
        tonight.or_else(yesterday).unwrap_or(now)
    }

    fn today(&self, now: Timestamp) -> Date {
        now.to_zoned_datetime(self.time_zone()).date()
    }

    fn night(&self, date: Date, hour: i8) -> Option<Timestamp> {
        let night = date.at(hour, 0, 0, 0).to_zoned_datetime(self.time_zone());
        night.ok().map(|night| night.timestamp())
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
            edition: "free".into(),
            daily_credits: 5_000,
        });
        let night = |now: &str| connection.next_night(now.parse().unwrap(), 2).to_string();
        assert_eq!(night("2026-11-23T00:00:00Z"), "2026-11-23T20:30:00Z");
        assert_eq!(night("2026-11-23T20:30:00Z"), "2026-11-24T20:30:00Z");
        let last = |now: &str| connection.last_night(now.parse().unwrap(), 2).to_string();
        assert_eq!(last("2026-11-23T20:29:59Z"), "2026-11-22T20:30:00Z");
        assert_eq!(last("2026-11-23T20:30:00Z"), "2026-11-23T20:30:00Z");
    }
}
