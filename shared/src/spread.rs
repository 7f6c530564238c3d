//! Where the hash of a connection's id puts it, so that many connections share indexes and time evenly.

use jiff::{SignedDuration, Timestamp};

use crate::connection::ROUTINE_INTERVAL;
use crate::identifier::{ConnectionId, Digest};

/// A part of the indexes of due dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard(u8);

/// How many shards there are. One partition of an index takes a thousand writes a second at most, and each claim is three.
const SHARDS: u8 = 16;

/// The part of a quarter of an hour in which a sync begins: SQS holds a message back for 15 minutes at most, and the last minute is left to
/// schedules that come late.
const BEGINS_WITHIN: SignedDuration = SignedDuration::from_mins(14);

impl Shard {
    /// All of them.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        (0..SHARDS).map(Self)
    }

    /// A connection's own.
    #[must_use]
    pub fn of(connection: &ConnectionId) -> Self {
        let [.., last] = hash(connection);
        Self(last % SHARDS)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// How long after the start of a quarter of an hour the connection's syncs begin: the same in every quarter.
#[must_use]
pub fn offset(connection: &ConnectionId) -> SignedDuration {
    let [a, b, c, d, ..] = hash(connection);
    let seconds = BEGINS_WITHIN.as_secs().unsigned_abs();
    let second = u64::from(u32::from_be_bytes([a, b, c, d])) % seconds;
    SignedDuration::from_secs(i64::try_from(second).unwrap_or_default())
}

/// When the quarter of an hour ends that `now` lies in.
#[must_use]
pub fn quarter_end(now: Timestamp) -> Timestamp {
    let quarter = ROUTINE_INTERVAL.as_secs();
    let end = (now.as_second().div_euclid(quarter) + 1) * quarter;
    Timestamp::from_second(end).unwrap_or(now)
}

/// When a connection's routine sync that is due at `due` begins, if it is started at `now`. What a person made due begins at once. What kept
/// its rhythm begins at the connection's own offset, also where quarters were missed: many that missed them would else begin together.
#[must_use]
pub fn routine_begins(connection: &ConnectionId, due: Timestamp, now: Timestamp) -> Timestamp {
    let own = |quarter_end: Timestamp| {
        let start = quarter_end.saturating_sub(ROUTINE_INTERVAL);
        start.and_then(|start| start.checked_add(offset(connection)))
    };
    match (own(quarter_end(due)), own(quarter_end(now))) {
        (Ok(in_rhythm), Ok(this_quarter)) if in_rhythm == due => this_quarter.max(now),
        _ => due.max(now),
    }
}

/// When the routine sync after one that is started at `now` is due: in the next quarter of an hour, at the connection's own offset.
#[must_use]
pub fn next_routine(connection: &ConnectionId, now: Timestamp) -> Timestamp {
    let quarter = quarter_end(now);
    quarter.checked_add(offset(connection)).unwrap_or(quarter)
}

fn hash(connection: &ConnectionId) -> [u8; 32] {
    *Digest::of(connection.as_str().as_bytes()).bytes()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn ids() -> impl Iterator<Item = ConnectionId> {
        (0..10_000).map(|number| format!("customer-{number}").parse().unwrap())
    }

    #[test]
    fn shards_are_about_equally_large() {
        let mut sizes: BTreeMap<Shard, u32> = BTreeMap::new();
        for id in ids() {
            *sizes.entry(Shard::of(&id)).or_default() += 1;
        }
        assert!(Shard::all().eq(sizes.keys().copied()));
        assert!(sizes.values().all(|size| (500..750).contains(size)));
    }

    #[test]
    fn connections_begin_all_through_the_quarter() {
        let mut minutes: BTreeMap<i64, u32> = BTreeMap::new();
        for id in ids() {
            *minutes.entry(offset(&id).as_mins()).or_default() += 1;
        }
        assert!(minutes.keys().copied().eq(0..14));
        assert!(minutes.values().all(|begin| (600..850).contains(begin)));
    }

    #[test]
    fn where_a_connection_is_put_stays_the_same() {
        let acme = "acme".parse().unwrap();
        assert_eq!(
            (Shard::of(&acme).number(), offset(&acme).as_secs()),
            (7, 397),
            "another place would move every connection's syncs with a release"
        );
    }

    #[test]
    fn a_sync_begins_at_once_where_a_person_waits_and_in_its_rhythm_elsewhere() {
        let acme = "acme".parse().unwrap();
        let at = |time: &str| -> Timestamp { format!("2026-11-23T{time}Z").parse().unwrap() };
        let begins = |due, now| routine_begins(&acme, at(due), at(now));
        assert_eq!(begins("10:06:37", "10:00:20"), at("10:06:37"));
        assert_eq!(begins("09:58:12.3", "10:00:20"), at("10:00:20"), "made due");
        assert_eq!(begins("10:06:37", "10:09:00"), at("10:09:00"), "late");
        assert_eq!(begins("08:06:37", "10:00:20"), at("10:06:37"), "missed");
        let next = |now| next_routine(&acme, at(now));
        assert_eq!(next("10:00:20"), at("10:21:37"));
        assert_eq!(next("10:14:59.9"), at("10:21:37"));
    }

    #[test]
    fn quarters_end_by_the_clock() {
        let end = |now: &str| quarter_end(now.parse().unwrap()).to_string();
        assert_eq!(end("2026-11-23T10:00:00Z"), "2026-11-23T10:15:00Z");
        assert_eq!(end("2026-11-23T10:14:59.9Z"), "2026-11-23T10:15:00Z");
        assert_eq!(end("1969-12-31T23:59:59Z"), "1970-01-01T00:00:00Z");
    }
}
