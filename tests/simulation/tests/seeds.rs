//! Some hundreds of seeds, every time.

use std::collections::BTreeSet;

use simulation::{Reached, run, shrink, trace};

/// How many seeds; `cargo run -p simulation` runs more.
const SEEDS: u64 = 500;

#[test]
fn every_promise_holds_whatever_happens() {
    let mut reached = Reached::default();
    for seed in 1..=SEEDS {
        let outcome = run(seed);
        reached.merge(&outcome.reached);
        assert!(
            outcome.violation.is_none(),
            "{}",
            trace(&shrink(&outcome, &|ports| ports))
        );
    }
    assert_eq!(reached.missing(), Vec::<&str>::new(), "never happened");
}

#[test]
fn a_seed_always_tells_the_same_story() {
    let mut fingerprints = BTreeSet::new();
    for seed in 1..=40 {
        let (first, again) = (run(seed), run(seed));
        assert_eq!(first.steps, again.steps);
        assert_eq!(first.reached, again.reached);
        assert_eq!(first.violation, again.violation);
        assert_eq!(first.fingerprint, again.fingerprint, "seed {seed}");
        fingerprints.insert(first.fingerprint);
    }
    assert_eq!(fingerprints.len(), 40, "every seed is another story");
}
