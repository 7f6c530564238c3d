//! Credits: Zoho's price of each call and a connection's share of the organisation's allowance (C7).
//!
//! Source of the prices: Zoho's "Kaizen" post on API credits and the API limits page.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::select::{IN_VALUES, PAGE_ROWS};

/// A bucket of time in which credits are counted: an hour since the Unix epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bucket(i64);

impl Bucket {
    /// The bucket of an instant.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        Self(at.as_second().div_euclid(3_600))
    }

    /// The first bucket of the rolling day that ends at an instant.
    #[must_use]
    pub fn day_before(at: Timestamp) -> Self {
        Self(Self::of(at).0 - 23)
    }

    /// The bucket's number.
    #[must_use]
    pub const fn hour(self) -> i64 {
        self.0
    }

    /// When the bucket can be forgotten: two days after it began.
    #[must_use]
    pub fn expires_at(self) -> Timestamp {
        Timestamp::from_second((self.0 + 48) * 3_600).unwrap_or(Timestamp::MAX)
    }
}

/// The price of a COQL call by the rows that it asks for: Zoho's price follows the limit, however few rows come back.
#[must_use]
pub const fn of_select(limit: usize) -> u64 {
    match limit {
        0..=200 => 1,
        201..=1_000 => 2,
        _ => 3,
    }
}

/// The price of an insert or update by the records sent: one per ten.
#[must_use]
pub const fn of_write(records: usize) -> u64 {
    let tens = records.div_ceil(10) as u64;
    if tens == 0 { 1 } else { tens }
}

/// The price of any other read.
pub const OF_READ: u64 = 1;

/// How many users a page of them has.
const PAGE_USERS: u64 = 200;

/// The price of reading that many records by COQL, page by page; to learn that there are none costs a page too.
#[must_use]
pub const fn of_reading(records: u64) -> u64 {
    pages(records, PAGE_ROWS as u64).saturating_mul(of_select(PAGE_ROWS))
}

/// The price of reading that many users, page by page.
#[must_use]
pub const fn of_reading_users(users: u64) -> u64 {
    pages(users, PAGE_USERS).saturating_mul(OF_READ)
}

/// The price of looking up that many records by their ids or by another value, so many at once as one call takes.
#[must_use]
pub const fn of_looking_up(records: u64) -> u64 {
    records
        .div_ceil(IN_VALUES as u64)
        .saturating_mul(of_select(IN_VALUES))
}

/// How many pages a reading takes.
#[must_use]
pub const fn pages(records: u64, page: u64) -> u64 {
    let pages = records.div_ceil(page);
    if pages == 0 { 1 } else { pages }
}

/// What spends credits, in the order in which it waits near the ceiling (C7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spender {
    /// Full syncs wait first.
    FullSync,
    /// Routine syncs slow down, and wait next.
    RoutineSync,
    /// What the platform changed waits last.
    Writeback,
}

/// What a connection has spent of what it may spend in a rolling day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The credits spent.
    pub spent: u64,
    /// The credits that may be spent.
    pub ceiling: u64,
}

/// From this part of the ceiling on routine syncs slow down, in percent.
const SLOW_FROM: u64 = 80;

impl Budget {
    /// The budget of `share` percent of an organisation's daily credits.
    #[must_use]
    pub fn new(daily_credits: u64, share: u8, spent: u64) -> Self {
        let ceiling = u128::from(daily_credits) * u128::from(share) / 100;
        Self {
            spent,
            ceiling: u64::try_from(ceiling).unwrap_or(u64::MAX),
        }
    }

    /// Whether a spender may go on.
    #[must_use]
    pub fn allows(self, spender: Spender) -> bool {
        self.is_below(match spender {
            Spender::FullSync => 80,
            Spender::RoutineSync => 95,
            Spender::Writeback => 100,
        })
    }

    /// Whether routine syncs come less often.
    #[must_use]
    pub fn slows_routine(self) -> bool {
        !self.is_below(SLOW_FROM)
    }

    fn is_below(self, percent: u64) -> bool {
        u128::from(self.spent) * 100 < u128::from(self.ceiling) * u128::from(percent)
    }
}

/// The credits of a rolling day of the smallest edition, which also stands for one that is not known.
pub const LEAST_ALLOWANCE: u64 = 5_000;

/// The credits of a rolling day by edition and users.
#[must_use]
pub fn allowance(edition: &str, users: u64) -> u64 {
    let edition = edition.to_lowercase();
    let (base, per_user, most) = match edition.as_str() {
        "standard" | "starter" => (50_000, 250, 100_000),
        "professional" => (50_000, 500, 3_000_000),
        "enterprise" | "zohoone" | "zoho one" => (50_000, 1_000, 5_000_000),
        "ultimate" | "crmplus" | "crm plus" => (50_000, 2_000, u64::MAX),
        _ => (LEAST_ALLOWANCE, 0, LEAST_ALLOWANCE),
    };
    u64::min(base + per_user * users, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_the_ceiling_full_syncs_wait_first_and_writeback_last() {
        let waiting = |spent| {
            let budget = Budget::new(1_000, 50, spent);
            let all = [Spender::FullSync, Spender::RoutineSync, Spender::Writeback];
            all.map(|spender| !budget.allows(spender))
        };
        assert_eq!(waiting(399), [false, false, false]);
        assert_eq!(waiting(400), [true, false, false]);
        assert_eq!(waiting(475), [true, true, false]);
        assert_eq!(waiting(500), [true, true, true]);
        assert!(Budget::new(1_000, 50, 400).slows_routine());
        assert!(!Budget::new(1_000, 50, 399).slows_routine());
        assert!(Budget::new(u64::MAX, 100, u64::MAX - 1).allows(Spender::Writeback));
        assert!(!Budget::new(0, 50, 0).allows(Spender::Writeback));
    }

    #[test]
    fn prices() {
        assert_eq!(
            [0, 200, 201, 1_000, 1_001, 2_000].map(of_select),
            [1, 1, 2, 2, 3, 3]
        );
        assert_eq!([1, 10, 11, 100].map(of_write), [1, 1, 2, 10]);
        assert_eq!([0, 2_000, 2_001].map(of_reading), [3, 3, 6]);
        assert_eq!([0, 200, 201].map(of_reading_users), [1, 1, 2]);
        assert_eq!([0, 100, 101].map(of_looking_up), [0, 1, 2]);
        assert_eq!(allowance("Enterprise", 40), 90_000);
        assert_eq!(allowance("Free", 3), 5_000);
    }
}
