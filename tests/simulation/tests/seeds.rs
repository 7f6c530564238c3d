//! Some hundreds of seeds, every time.

use simulation::{Reached, run, shrink, trace};

/// How many seeds; `cargo run -p simulation` runs more.
const SEEDS: u64 = 500;

#[test]
fn every_promise_holds_whatever_happens() {
    let mut reached = Reached::default();
    for seed in 1..=SEEDS {
        let outcome = run(seed);
        reached.merge(&outcome.reached);
        assert!(outcome.violation.is_none(), "{}", trace(&shrink(&outcome)));
    }
    assert_eq!(reached.missing(), Vec::<&str>::new(), "never happened");
}

#[test]
fn a_seed_always_tells_the_same_story() {
    for seed in [3, 14, 15] {
        let (first, again) = (run(seed), run(seed));
        assert_eq!(first.steps, again.steps);
        assert_eq!(first.reached, again.reached);
        assert_eq!(first.violation, again.violation);
    }
}
