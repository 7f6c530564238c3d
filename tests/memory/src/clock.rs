//! A clock that is moved by hand.

use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use tandem::port::Clock;

use crate::lock::locked;

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// Sets it, back as well.
    pub fn set(&self, now: Timestamp) {
        *locked(&self.0) = now;
    }

    /// Moves it on, and returns what it shows then.
    pub fn advance(&self, by: SignedDuration) -> Timestamp {
        let mut now = locked(&self.0);
        *now = now.saturating_add(by).unwrap_or(Timestamp::MAX);
        *now
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *locked(&self.0)
    }
}
