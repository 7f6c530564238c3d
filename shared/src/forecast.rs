//! What a day is going to cost of an organisation's credits, from what was measured (C7). It says what would be spent if nothing waited.

use jiff::{SignedDuration, Timestamp};

use crate::credit::{self, Bucket, Hour};

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Measured<'a> {
    /// What was spent in the hours of the rolling day, the earliest first.
    pub hours: &'a [Hour],
    /// What the last full sync that completed cost.
    pub full_sync: Option<u64>,
    /// When the next one is due.
    pub full_due_at: Option<Timestamp>,
}

/// What a day is going to cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// A night's full sync; none: none has completed yet.
    pub full_sync: Option<u64>,
    /// A day's routine syncs; none: they run for less than an hour.
    pub routine_syncs: Option<u64>,
    /// A day's edits; none where nothing is known of the routine syncs, because it is them that show since when there is anything to measure.
    pub writeback: Option<u64>,
    /// Over how many hours routine syncs and edits were measured, at most a day.
    pub measured_hours: u64,
    /// What may be spent in a rolling day.
    pub ceiling: u64,
    /// When as much is spent within the next day: what was spent so far counts for a day, whatever it was for.
    pub reaches_ceiling_at: Option<Timestamp>,
}

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// What a day is going to cost, as far as it was measured by `now`.
#[must_use]
pub fn forecast(measured: &Measured<'_>, ceiling: u64, now: Timestamp) -> Forecast {
    let spent = credit::spent(measured.hours);
    let over = measured_over(measured.hours, now);
    let a_day = |credits: u64| over.map(|over| scaled(credits, DAY, over));
    let (routine_syncs, writeback) = (a_day(spent.routine_sync), a_day(spent.writeback));
    Forecast {
        full_sync: measured.full_sync,
        routine_syncs,
        writeback,
        measured_hours: over.map_or(0, |over| (over / HOUR).unsigned_abs()),
        ceiling,
        reaches_ceiling_at: reaches(
            measured,
            routine_syncs
                .unwrap_or(0)
                .saturating_add(writeback.unwrap_or(0)),
            ceiling,
            now,
        ),
    }
}

impl Forecast {
    /// What a day costs with all its parts, as far as they were measured; none: none was.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        let parts = [self.full_sync, self.routine_syncs, self.writeback];
        parts
            .into_iter()
            .flatten()
            .reduce(|sum, part| sum.saturating_add(part))
    }

    /// Whether every part was measured.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.full_sync.is_some() && self.routine_syncs.is_some() && self.writeback.is_some()
    }

    /// Whether a day costs more than may be spent, as far as it was measured.
    #[must_use]
    pub fn exceeds(&self) -> bool {
        self.total().is_some_and(|total| total > self.ceiling)
    }

    /// What somebody is to be told of, and what helps: a day that costs more than may be spent.
    #[must_use]
    pub fn warning(&self) -> Option<(String, &'static str)> {
        let total = self.total().filter(|_| self.exceeds())?;
        let part =
            |part: Option<u64>| part.map_or("not measured yet".to_owned(), |part| part.to_string());
        let what = format!(
            "a day needs about {total} of Zoho's credits, and {} may be spent: full sync {}, routine syncs {}, edits {}; what is beyond waits, full \
             syncs first",
            self.ceiling,
            part(self.full_sync),
            part(self.routine_syncs),
            part(self.writeback),
        );
        let remedy =
            "raise credit_share in the settings, narrow the filters, or buy credits in Zoho";
        Some((what, remedy))
    }
}

/// Over how many seconds routine syncs were measured. The hour in which they began counts with what was spent and not with its time, because
/// most of it may have been before: a short measurement rather says too much.
fn measured_over(hours: &[Hour], now: Timestamp) -> Option<i64> {
    let first = hours.iter().find(|hour| hour.parts.routine_sync > 0)?;
    let since = first.bucket.begins_at();
    let over = now.duration_since(since).as_secs().saturating_sub(HOUR);
    (over >= HOUR).then_some(over.min(DAY))
}

/// What that many credits in `over` seconds come to in `seconds`, rounded up.
fn scaled(credits: u64, seconds: i64, over: i64) -> u64 {
    let seconds = u128::from(seconds.unsigned_abs());
    let over = u128::from(over.unsigned_abs().max(1));
    u64::try_from((u128::from(credits) * seconds).div_ceil(over)).unwrap_or(u64::MAX)
}

/// When as much as may be spent is spent, hour by hour through the next day.
fn reaches(measured: &Measured<'_>, a_day: u64, ceiling: u64, now: Timestamp) -> Option<Timestamp> {
    (0..=24).find_map(|ahead| {
        let then = now.saturating_add(SignedDuration::from_hours(ahead)).ok()?;
        let from = Bucket::day_before(then);
        let counting = measured.hours.iter().filter(|hour| hour.bucket >= from);
        let so_far = counting.fold(0_u64, |sum, hour| sum.saturating_add(hour.parts.total()));
        let night = measured
            .full_sync
            .filter(|_| measured.full_due_at.is_some_and(|due| due <= then));
        let spent = so_far
            .saturating_add(scaled(a_day, ahead * HOUR, DAY))
            .saturating_add(night.unwrap_or(0));
        (spent >= ceiling).then_some(then)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::credit::{Parts, Spender};

    /// Ten minutes past an hour.
    fn now() -> Timestamp {
        "2026-11-23T10:10:00Z".parse().unwrap()
    }

    fn ago(hours: i64, spender: Spender, credits: u64) -> Hour {
        let mut parts = Parts::default();
        parts.add(spender, credits);
        Hour {
            bucket: Bucket::of(now() - SignedDuration::from_hours(hours)),
            parts,
            word: None,
        }
    }

    fn measured(hours: &[Hour], full_sync: Option<u64>) -> Measured<'_> {
        Measured {
            hours,
            full_sync,
            full_due_at: now().checked_add(SignedDuration::from_hours(16)).ok(),
        }
    }

    #[test]
    fn nothing_is_said_where_nothing_was_measured() {
        for hours in [
            vec![],
            vec![ago(0, Spender::RoutineSync, 5)],
            vec![ago(1, Spender::RoutineSync, 5)],
            vec![ago(9, Spender::Writeback, 5), ago(8, Spender::Person, 5)],
        ] {
            let forecast = forecast(&measured(&hours, None), 1_000, now());
            assert_eq!(forecast.total(), None, "{hours:?}");
            assert!(!forecast.exceeds() && !forecast.is_complete());
            assert_eq!((forecast.warning(), forecast.measured_hours), (None, 0));
            assert_eq!(forecast.reaches_ceiling_at, None);
        }
        let only_full = forecast(&measured(&[], Some(70)), 60, now());
        assert_eq!(
            (only_full.total(), only_full.routine_syncs),
            (Some(70), None)
        );
        assert!(
            only_full
                .warning()
                .unwrap()
                .0
                .contains("routine syncs not measured yet")
        );
    }

    #[test]
    fn a_day_is_what_was_measured_at_the_same_pace() {
        let mut hours: Vec<Hour> = (0..=24)
            .rev()
            .map(|hours| ago(hours, Spender::RoutineSync, 40))
            .collect();
        hours.push(ago(3, Spender::Writeback, 12));
        let whole = forecast(&measured(&hours, Some(500)), 10_000, now());
        assert_eq!(whole.routine_syncs, Some(1_036), "23 hours and ten minutes");
        assert_eq!((whole.writeback, whole.measured_hours), (Some(13), 23));
        assert!(whole.is_complete() && !whole.exceeds());
        assert_eq!(whole.reaches_ceiling_at, None);

        let young = [
            ago(3, Spender::RoutineSync, 40),
            ago(1, Spender::Writeback, 13),
        ];
        let young = forecast(&measured(&young, None), 10_000, now());
        assert_eq!(young.measured_hours, 2);
        assert_eq!(
            (young.routine_syncs, young.writeback),
            (Some(444), Some(144))
        );
    }

    #[test]
    fn the_night_reaches_the_ceiling_where_the_day_does_not() {
        let hours: Vec<Hour> = (0..=24)
            .rev()
            .map(|hours| ago(hours, Spender::RoutineSync, 10))
            .collect();
        let by = |full| forecast(&measured(&hours, Some(full)), 1_000, now()).reaches_ceiling_at;
        assert_eq!(by(700), None);
        assert_eq!(by(800), Some(now() + SignedDuration::from_hours(16)));
        let spent = [ago(2, Spender::Person, 1_000)];
        let reached = forecast(&measured(&spent, None), 1_000, now()).reaches_ceiling_at;
        assert_eq!(reached, Some(now()), "it is reached already");
    }

    fn any_hours() -> impl Strategy<Value = Vec<Hour>> {
        let spender = proptest::sample::select(&Spender::ALL[..]);
        let hour = (0..=24_i64, spender, 0..100_000_u64);
        proptest::collection::vec(hour, 0..30).prop_map(|mut hours| {
            hours.sort_by_key(|(ago, ..)| std::cmp::Reverse(*ago));
            let hours = hours.into_iter();
            hours
                .map(|(hours, spender, credits)| ago(hours, spender, credits))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn the_parts_make_up_the_whole(hours in any_hours(), full in proptest::option::of(0..1_000_000_u64), ceiling in 0..2_000_000_u64) {
            let forecast = forecast(&measured(&hours, full), ceiling, now());
            let parts = [forecast.full_sync, forecast.routine_syncs, forecast.writeback];
            let known: Vec<u64> = parts.into_iter().flatten().collect();
            prop_assert_eq!(forecast.total(), (!known.is_empty()).then(|| known.iter().sum()));
            prop_assert_eq!(forecast.exceeds(), known.iter().sum::<u64>() > ceiling);
            prop_assert_eq!(forecast.warning().is_some(), forecast.exceeds());
            prop_assert_eq!(forecast.full_sync, full);
            if let Some(at) = forecast.reaches_ceiling_at {
                prop_assert!(at >= now() && at <= now() + SignedDuration::from_hours(24));
            }
        }

        #[test]
        fn no_less_is_foretold_than_was_measured(hours in any_hours()) {
            let forecast = forecast(&measured(&hours, None), 1, now());
            let spent = credit::spent(&hours);
            if let Some(routine) = forecast.routine_syncs {
                prop_assert!(routine >= spent.routine_sync);
                prop_assert!(forecast.writeback.unwrap() >= spent.writeback);
                prop_assert!((1..=24).contains(&forecast.measured_hours));
            }
        }

        #[test]
        fn whoever_spends_more_is_foretold_no_less_and_reaches_the_ceiling_no_later(
            hours in any_hours(), more in 1..1_000_u64, place in any::<proptest::sample::Index>(), full in 0..10_000_u64, ceiling in 1..1_000_000_u64,
        ) {
            prop_assume!(!hours.is_empty());
            let before = forecast(&measured(&hours, Some(full)), ceiling, now());
            let mut hours = hours;
            let place = place.index(hours.len());
            // Who has begun already; a beginning makes for a longer measurement.
            for spender in Spender::ALL {
                let parts = &mut hours[place].parts;
                if parts.of(spender) > 0 {
                    parts.add(spender, more);
                }
            }
            let after = forecast(&measured(&hours, Some(full + more)), ceiling, now());
            prop_assert!(after.total() >= before.total());
            let reached = |forecast: &Forecast| forecast.reaches_ceiling_at.unwrap_or(Timestamp::MAX);
            prop_assert!(reached(&after) <= reached(&before));
        }
    }
}
