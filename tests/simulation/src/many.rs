//! Many seeds at once, each by itself, told of in their order.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::Outcome;

/// Runs seeds on so many threads and tells of each in the order of the seeds, until `each` has heard enough.
pub fn run_many(
    seeds: Range<u64>,
    threads: usize,
    run: impl Fn(u64) -> Outcome + Sync,
    mut each: impl FnMut(&Outcome) -> bool,
) {
    let (next, enough) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let (send, outcomes) = mpsc::channel::<Outcome>();
    let (next, enough, run, end) = (&next, &enough, &run, seeds.end);
    thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            let send = send.clone();
            scope.spawn(move || {
                while !enough.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || send.send(run(seed)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        let mut early = BTreeMap::new();
        let mut turn = seeds.start;
        for outcome in outcomes {
            early.insert(outcome.seed, outcome);
            while let Some(outcome) = early.remove(&turn) {
                turn += 1;
                if !enough.load(Ordering::Relaxed) && !each(&outcome) {
                    enough.store(true, Ordering::Relaxed);
                }
            }
        }
    });
}
