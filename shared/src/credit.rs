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

    /// The first bucket of the rolling day that ends at an instant. The day begins within it, and it counts as a whole: what was spent just
    /// before the day began counts for up to an hour too long, and nothing is forgotten before Zoho forgets it.
    #[must_use]
    pub fn day_before(at: Timestamp) -> Self {
        Self(Self::of(at).0 - 24)
    }

    /// The bucket of an hour's number.
    #[must_use]
    pub const fn of_hour(hour: i64) -> Self {
        Self(hour)
    }

    /// When the bucket begins.
    #[must_use]
    pub fn begins_at(self) -> Timestamp {
        Timestamp::from_second(self.0.saturating_mul(3_600)).unwrap_or(Timestamp::MAX)
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

/// What spends credits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spender {
    /// Full syncs: near the ceiling they wait first.
    FullSync,
    /// Routine syncs: they slow down, and wait next.
    RoutineSync,
    /// A person who asks in the console or connects: waits with the routine syncs, and is told why.
    Person,
    /// What the platform changed: waits last.
    Writeback,
}

impl Spender {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::FullSync,
        Self::RoutineSync,
        Self::Person,
        Self::Writeback,
    ];

    /// It in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::FullSync => "full syncs",
            Self::RoutineSync => "routine syncs",
            Self::Person => "what the console asks of Zoho",
            Self::Writeback => "edits",
        }
    }

    /// From this part of the ceiling on it waits, in percent.
    const fn waits_from(self) -> u64 {
        match self {
            Self::FullSync => 80,
            Self::RoutineSync | Self::Person => 95,
            Self::Writeback => 100,
        }
    }

    /// It waits when less than this part of the customer's share is left, in percent. In the same order: an edit costs little, and somebody
    /// waits for it.
    const fn waits_below(self) -> u64 {
        match self {
            Self::FullSync => 100,
            Self::RoutineSync | Self::Person => 75,
            Self::Writeback => 50,
        }
    }
}

/// Credits by who spent them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parts {
    /// By full syncs.
    pub full_sync: u64,
    /// By routine syncs.
    pub routine_sync: u64,
    /// By a person.
    pub person: u64,
    /// By writeback.
    pub writeback: u64,
}

impl Parts {
    /// One's credits.
    #[must_use]
    pub const fn of(&self, spender: Spender) -> u64 {
        match spender {
            Spender::FullSync => self.full_sync,
            Spender::RoutineSync => self.routine_sync,
            Spender::Person => self.person,
            Spender::Writeback => self.writeback,
        }
    }

    /// Adds to one's credits.
    pub const fn add(&mut self, spender: Spender, credits: u64) {
        let part = match spender {
            Spender::FullSync => &mut self.full_sync,
            Spender::RoutineSync => &mut self.routine_sync,
            Spender::Person => &mut self.person,
            Spender::Writeback => &mut self.writeback,
        };
        *part = part.saturating_add(credits);
    }

    /// Everybody's credits.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.full_sync
            .saturating_add(self.routine_sync)
            .saturating_add(self.person)
            .saturating_add(self.writeback)
    }
}

/// What Zoho said is left of an organisation's credits, whoever spent the others. It says so only once half of them are spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// The credits left.
    pub left: u64,
    /// When it said so.
    pub at: Timestamp,
}

/// Seconds of a rolling day.
const DAY: i64 = 24 * 3_600;

impl Word {
    /// How many of `allowance` are left by now, as far as the word tells. What was spent before it comes back within a day; when, Zoho does not
    /// say, so it is taken to come back evenly. What Tandem spent since needs no place here: each such call brings a newer word, unless more
    /// than half is left. None: the word is a day old, and says nothing any more.
    #[must_use]
    pub fn left_at(self, now: Timestamp, allowance: u64) -> Option<u64> {
        let age = now.duration_since(self.at).as_secs().clamp(0, DAY);
        if age == DAY {
            return None;
        }
        let spent = u128::from(allowance.saturating_sub(self.left));
        let back = spent * u128::from(age.unsigned_abs()) / u128::from(DAY.unsigned_abs());
        let back = u64::try_from(back).unwrap_or(u64::MAX);
        Some(self.left.saturating_add(back))
    }
}

/// Credits that were spent just now, with Zoho's latest word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// Who spent them.
    pub spender: Spender,
    /// How many.
    pub credits: u64,
    /// What Zoho said is left, where it did.
    pub word: Option<Word>,
}

/// The credits of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hour {
    /// The hour.
    pub bucket: Bucket,
    /// What was spent in it.
    pub parts: Parts,
    /// Zoho's latest word in it.
    pub word: Option<Word>,
}

/// What was spent in some hours.
#[must_use]
pub fn spent(hours: &[Hour]) -> Parts {
    let mut all = Parts::default();
    for hour in hours {
        for spender in Spender::ALL {
            all.add(spender, hour.parts.of(spender));
        }
    }
    all
}

/// Zoho's latest word in some hours.
#[must_use]
pub fn latest_word(hours: &[Hour]) -> Option<Word> {
    hours
        .iter()
        .filter_map(|hour| hour.word)
        .max_by_key(|word| word.at)
}

/// What a connection may spend of its organisation's credits in a rolling day.
#[must_use]
pub fn ceiling(daily_credits: u64, share: u8) -> u64 {
    let ceiling = u128::from(daily_credits) * u128::from(share) / 100;
    u64::try_from(ceiling).unwrap_or(u64::MAX)
}

/// What a connection has spent of what it may spend in a rolling day, and what Zoho says is left of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The credits spent, by own count.
    pub spent: u64,
    /// The credits that may be spent.
    pub ceiling: u64,
    /// The customer's share: what of the allowance is beyond the ceiling.
    pub customers: u64,
    /// The credits left of the whole allowance, as far as Zoho's word tells.
    pub left: Option<u64>,
}

/// From this part of the ceiling on routine syncs slow down, in percent.
const SLOW_FROM: u64 = 80;

impl Budget {
    /// The budget of `share` percent of an organisation's daily credits, after what these hours of its rolling day say.
    #[must_use]
    pub fn new(daily_credits: u64, share: u8, hours: &[Hour], now: Timestamp) -> Self {
        let ceiling = ceiling(daily_credits, share);
        Self {
            spent: spent(hours).total(),
            ceiling,
            customers: daily_credits.saturating_sub(ceiling),
            left: latest_word(hours).and_then(|word| word.left_at(now, daily_credits)),
        }
    }

    /// Whether a spender may go on: by own count and by Zoho's word.
    #[must_use]
    pub fn allows(self, spender: Spender) -> bool {
        self.is_below(spender.waits_from()) && !self.is_left_less_than(spender.waits_below())
    }

    /// Whether routine syncs come less often.
    #[must_use]
    pub fn slows_routine(self) -> bool {
        !self.is_below(SLOW_FROM) || self.is_left_less_than(100)
    }

    /// Why a spender waits, in words.
    #[must_use]
    pub fn reason(self, spender: Spender) -> String {
        let Self {
            spent,
            ceiling,
            customers,
            left,
        } = self;
        match left {
            Some(left) if self.is_below(spender.waits_from()) => format!(
                "Zoho says that {left} of the organisation's credits are left, and {customers} are the customer's share, so others spend \
                 much of them"
            ),
            _ => format!("{spent} of {ceiling} credits are spent in 24 hours"),
        }
    }

    fn is_below(self, percent: u64) -> bool {
        is_less(self.spent, self.ceiling, percent)
    }

    fn is_left_less_than(self, percent: u64) -> bool {
        self.left
            .is_some_and(|left| is_less(left, self.customers, percent))
    }
}

/// Whether a number is less than so many percent of another.
fn is_less(number: u64, of: u64, percent: u64) -> bool {
    u128::from(number) * 100 < u128::from(of) * u128::from(percent)
}

/// The credits of a rolling day by edition and users.
#[must_use]
pub fn allowance(edition: &str, users: u64) -> u64 {
    let edition = edition.to_lowercase();
    let (base, per_user, most) = match edition.as_str() {
        "standard" | "starter" => (50_000, 250, 100_000),
        "professional" => (50_000, 500, 3_000_000),
        "enterprise" | "zohoone" | "zoho one" => (50_000, 1_000, 5_000_000),
        "ultimate" | "crmplus" | "crm plus" => (50_000, 2_000, u64::MAX),
        _ => (5_000, 0, 5_000),
    };
    u64::min(base + per_user * users, most)
}

/// How many calls an edition lets a client make at a time.
fn concurrency(edition: &str) -> u16 {
    match edition.to_lowercase().as_str() {
        "standard" | "starter" => 10,
        "professional" => 15,
        "enterprise" | "zohoone" | "zoho one" => 20,
        "ultimate" | "crmplus" | "crm plus" => 25,
        _ => 5,
    }
}

/// Of COQL calls, and of writes of more than ten records, every edition takes so many at a time. Most of Tandem's calls are of these.
const HEAVY: u16 = 10;

/// How many calls a connection may make at a time: half of what its organisation's edition takes, so that at least half is the customer's.
#[must_use]
pub fn seats(edition: &str) -> u16 {
    u16::min(concurrency(edition), HEAVY) / 2
}

/// Which of an organisation's seats a spender takes, in the order in which it tries them: first what is kept from others, then from
/// `from` on round what it shares. The last seat is kept from all syncs, and the one before it from full syncs, as far as there are so many.
#[must_use]
pub fn seats_of(spender: Spender, seats: u16, from: u64) -> Vec<u16> {
    let for_full = seats.saturating_sub(2).max(1);
    let for_syncs = seats.saturating_sub(1).max(1);
    let kept = match spender {
        Spender::FullSync => Vec::new(),
        Spender::RoutineSync => (for_full..for_syncs).collect(),
        Spender::Person => (for_full..seats).collect(),
        Spender::Writeback => (for_full..seats).rev().collect(),
    };
    let start = u16::try_from(from % u64::from(for_full)).unwrap_or(0);
    let shared = (start..for_full).chain(0..start);
    kept.into_iter().chain(shared).collect()
}

#[cfg(test)]
mod tests;
