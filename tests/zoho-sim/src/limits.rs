//! Credits and concurrency.

use crate::request::Refusal;
use jiff::Timestamp;
use std::collections::{BTreeMap, VecDeque};

/// What an organisation pays for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the variants are Zoho's own names")]
pub enum Edition {
    Free,
    Standard,
    Professional,
    #[default]
    Enterprise,
    Ultimate,
}

impl Edition {
    /// Zoho's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Standard => "standard",
            Self::Professional => "professional",
            Self::Enterprise => "enterprise",
            Self::Ultimate => "ultimate",
        }
    }

    /// Credits in 24 hours.
    pub fn credits(self, users: u32) -> u32 {
        match self {
            Self::Free => 5_000,
            Self::Standard => (50_000 + 250 * users).min(100_000),
            Self::Professional => (50_000 + 500 * users).min(3_000_000),
            Self::Enterprise => (50_000 + 1_000 * users).min(5_000_000),
            Self::Ultimate => 50_000 + 2_000 * users,
        }
    }

    /// Calls at the same time.
    pub fn concurrency(self) -> u32 {
        match self {
            Self::Free => 5,
            Self::Standard => 10,
            Self::Professional => 15,
            Self::Enterprise => 20,
            Self::Ultimate => 25,
        }
    }
}

/// Heavy calls at the same time, in every edition.
pub const SUB_CONCURRENCY: u32 = 10;

/// What one client has under way in one organisation.
#[derive(Debug, Clone, Copy, Default)]
struct Flight {
    calls: u32,
    heavy: u32,
}

/// What an organisation has used.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Credits by minute, the oldest first.
    spent: VecDeque<(i64, u32)>,
    total: u64,
    flights: BTreeMap<String, Flight>,
    peak: u32,
}

const DAY_IN_MINUTES: i64 = 24 * 60;

impl Meter {
    /// Credits used in the past 24 hours.
    pub(crate) fn used(&self, now: Timestamp) -> u32 {
        let oldest = now.as_second().div_euclid(60) - DAY_IN_MINUTES;
        self.spent
            .iter()
            .filter(|(minute, _)| *minute > oldest)
            .map(|(_, credits)| credits)
            .sum()
    }

    /// Credits used since the organisation began.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The most calls that were ever under way at once, over all clients.
    pub(crate) fn peak(&self) -> u32 {
        self.peak
    }

    pub(crate) fn reset(&mut self) {
        self.spent.clear();
        self.total = 0;
        self.peak = 0;
    }

    pub(crate) fn charge(
        &mut self,
        credits: u32,
        limit: u32,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        if self.used(now).saturating_add(credits) > limit {
            return Err(Refusal::too_many(
                "You have reached the maximum number of API credits for the day",
            ));
        }
        self.add(credits, now);
        Ok(())
    }

    /// Counts credits, whatever the limit.
    pub(crate) fn add(&mut self, credits: u32, now: Timestamp) {
        let minute = now.as_second().div_euclid(60);
        while self
            .spent
            .front()
            .is_some_and(|(oldest, _)| *oldest <= minute - DAY_IN_MINUTES)
        {
            self.spent.pop_front();
        }
        match self.spent.back_mut() {
            Some((latest, spent)) if *latest == minute => *spent = spent.saturating_add(credits),
            _ => self.spent.push_back((minute, credits)),
        }
        self.total += u64::from(credits);
    }

    pub(crate) fn enter(&mut self, client: &str, limit: u32) -> Result<(), Refusal> {
        let flight = self.flights.entry(client.to_owned()).or_default();
        if flight.calls >= limit {
            return Err(Refusal::too_many(
                "You have reached the maximum number of concurrent API calls",
            ));
        }
        flight.calls += 1;
        self.peak = self
            .peak
            .max(self.flights.values().map(|flight| flight.calls).sum());
        Ok(())
    }

    pub(crate) fn enter_heavy(&mut self, client: &str) -> Result<(), Refusal> {
        let flight = self.flights.entry(client.to_owned()).or_default();
        if flight.heavy >= SUB_CONCURRENCY {
            return Err(Refusal::too_many(
                "You have reached the sub-concurrency limit of complex API calls",
            ));
        }
        flight.heavy += 1;
        Ok(())
    }

    pub(crate) fn leave(&mut self, client: &str, heavy: bool) {
        if let Some(flight) = self.flights.get_mut(client) {
            flight.calls = flight.calls.saturating_sub(1);
            if heavy {
                flight.heavy = flight.heavy.saturating_sub(1);
            }
        }
    }
}
