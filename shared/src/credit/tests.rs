//! Prices, budgets, Zoho's word, seats.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_795_428_600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn hour(hour: i64, credits: u64) -> Hour {
    let mut parts = Parts::default();
    parts.add(Spender::RoutineSync, credits);
    Hour {
        bucket: Bucket::of_hour(hour),
        parts,
        word: None,
    }
}

fn spending(credits: u64) -> Vec<Hour> {
    vec![hour(0, credits)]
}

fn told(left: u64, at: Timestamp) -> Vec<Hour> {
    vec![Hour {
        word: Some(Word { left, at }),
        ..hour(0, 0)
    }]
}

fn waiting(budget: Budget) -> [bool; 4] {
    Spender::ALL.map(|spender| !budget.allows(spender))
}

#[test]
fn near_the_ceiling_full_syncs_wait_first_and_writeback_last() {
    let of = |spent| Budget::new(1_000, 50, &spending(spent), at(NOW));
    assert_eq!(waiting(of(399)), [false, false, false, false]);
    assert_eq!(waiting(of(400)), [true, false, false, false]);
    assert_eq!(waiting(of(475)), [true, true, true, false]);
    assert_eq!(waiting(of(500)), [true, true, true, true]);
    assert!(of(400).slows_routine() && !of(399).slows_routine());
    let endless = Budget::new(u64::MAX, 100, &spending(u64::MAX - 1), at(NOW));
    assert!(endless.allows(Spender::Writeback));
    assert!(!Budget::new(0, 50, &[], at(NOW)).allows(Spender::Writeback));
}

#[test]
fn when_less_than_the_customers_share_is_left_the_same_order_holds() {
    let of = |left| Budget::new(1_000, 60, &told(left, at(NOW)), at(NOW));
    assert_eq!(waiting(of(400)), [false, false, false, false]);
    assert_eq!(waiting(of(399)), [true, false, false, false]);
    assert_eq!(waiting(of(299)), [true, true, true, false]);
    assert_eq!(waiting(of(199)), [true, true, true, true]);
    assert!(of(399).slows_routine() && !of(400).slows_routine());
    assert!(of(399).reason(Spender::FullSync).contains("399"));
    let nobodys = Budget::new(1_000, 100, &told(0, at(NOW)), at(NOW));
    assert_eq!(waiting(nobodys), [false; 4], "the customer keeps no share");
}

#[test]
fn a_word_fades_within_a_day() {
    let word = Word {
        left: 100,
        at: at(NOW),
    };
    let left = |hours: i64| word.left_at(at(NOW) + SignedDuration::from_hours(hours), 1_000);
    let after = [-5, 0, 6, 12, 23, 24, 1_000].map(left);
    let expected = [Some(100), Some(100), Some(325), Some(550), Some(962)];
    assert_eq!(after[..5], expected);
    assert_eq!(after[5..], [None, None]);
    let odd = Word {
        left: u64::MAX,
        ..word
    };
    assert_eq!(odd.left_at(at(NOW), 1_000), Some(u64::MAX));
    assert_eq!(
        waiting(Budget::new(1_000, 50, &told(u64::MAX, at(NOW)), at(NOW))),
        [false; 4]
    );
}

#[test]
fn the_latest_word_counts() {
    let hours = [told(10, at(NOW)), told(900, at(NOW - 60))].concat();
    assert_eq!(latest_word(&hours).unwrap().left, 10);
    assert_eq!(latest_word(&spending(5)), None);
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

#[test]
fn half_of_what_an_edition_takes_is_the_customers() {
    let editions = [
        "Free",
        "nobody knows",
        "Standard",
        "professional",
        "Enterprise",
        "ultimate",
    ];
    assert_eq!(editions.map(seats), [2, 2, 5, 5, 5, 5]);
}

#[test]
fn writeback_has_a_seat_that_no_sync_takes_and_routine_syncs_one_that_no_full_sync_takes() {
    let of = |spender| seats_of(spender, 5, 1);
    assert_eq!(of(Spender::FullSync), [1, 2, 0]);
    assert_eq!(of(Spender::RoutineSync), [3, 1, 2, 0]);
    assert_eq!(of(Spender::Person), [3, 4, 1, 2, 0]);
    assert_eq!(of(Spender::Writeback), [4, 3, 1, 2, 0]);
    assert_eq!(seats_of(Spender::FullSync, 2, 7), [0]);
    assert_eq!(seats_of(Spender::RoutineSync, 2, 7), [0]);
    assert_eq!(seats_of(Spender::Writeback, 2, 7), [1, 0]);
}

proptest! {
    #[test]
    fn what_zoho_still_counts_is_counted(spent_at in 0..200_000_i64, age in 0..DAY, credits in 1..1_000_u64) {
        let (then, now) = (at(NOW + spent_at), at(NOW + spent_at + age));
        let counted = Bucket::of(then) >= Bucket::day_before(now);
        prop_assert!(counted, "{credits} credits of {then} are not counted at {now}");
        let forgotten = now + SignedDuration::from_secs(DAY - age + 3_600);
        prop_assert!(Bucket::of(then) < Bucket::day_before(forgotten));
        prop_assert!(Bucket::of(then).expires_at() > forgotten, "it is there as long as it counts");
    }

    #[test]
    fn who_waits_later_never_waits_before_who_waits_first(
        daily in 0..10_000_000_u64, share in 1..=100_u8, spent in 0..10_000_000_u64, left in proptest::option::of(0..10_000_000_u64),
        age in -100..100_000_i64,
    ) {
        let mut hours = spending(spent);
        hours[0].word = left.map(|left| Word { left, at: at(NOW - age) });
        let budget = Budget::new(daily, share, &hours, at(NOW));
        let order = [Spender::FullSync, Spender::RoutineSync, Spender::Writeback];
        let allowed = order.map(|spender| budget.allows(spender));
        prop_assert!(allowed.is_sorted(), "{allowed:?}");
        prop_assert!(!budget.allows(Spender::FullSync) || !budget.slows_routine());
        if spent >= budget.ceiling {
            prop_assert_eq!(allowed, [false; 3], "the own count holds whatever Zoho says");
        }
    }

    #[test]
    fn less_left_and_more_spent_never_allows_more(
        daily in 1..1_000_000_u64, share in 1..=100_u8, spent in 0..1_000_000_u64, more in 0..1_000_u64, left in 0..1_000_000_u64,
    ) {
        let of = |spent, left| {
            let mut hours = spending(spent);
            hours[0].word = Some(Word { left, at: at(NOW) });
            Budget::new(daily, share, &hours, at(NOW))
        };
        for spender in Spender::ALL {
            let (before, after) = (of(spent, left), of(spent + more, left.saturating_sub(more)));
            prop_assert!(before.allows(spender) || !after.allows(spender));
        }
    }

    #[test]
    fn every_spender_has_a_seat_and_none_twice(edition in "[A-Za-z ]{0,12}", from in any::<u64>()) {
        let seats = seats(&edition);
        for spender in Spender::ALL {
            let mut tried = seats_of(spender, seats, from);
            prop_assert!(!tried.is_empty());
            prop_assert!(tried.iter().all(|seat| *seat < seats));
            let number = tried.len();
            tried.sort_unstable();
            tried.dedup();
            prop_assert_eq!(tried.len(), number);
        }
    }
}
