//! What to do about a failure: the one question that every error answers.

use std::time::Duration;

/// What a failure asks of whoever meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Transient: the same message may be tried again at once.
    Retry,
    /// Transient: try again when this much time has passed.
    RetryAfter(Duration),
    /// The customer's grant is gone: nothing works until the connection is reconnected.
    Reconnect,
    /// It will never work as it is: keep it where a person sees it.
    Never,
}

/// The longest that a message is kept back before its next delivery.
const LONGEST: Duration = Duration::from_secs(900);

impl Disposition {
    /// How long a message that failed waits for its next delivery; `received` counts its deliveries so far, from 1. What heals by itself is
    /// given four times as long each time: with five deliveries it has seven minutes. What never will goes on to the dead letters at once.
    #[must_use]
    pub fn redelivered_after(self, received: u32) -> Duration {
        match self {
            Self::Retry => {
                let times = 4_u64.saturating_pow(received.saturating_sub(1));
                let seconds = 5_u64.saturating_mul(times);
                Duration::from_secs(seconds).min(LONGEST)
            }
            // What is asked for can be too little, as where a lease of somebody who crashed runs out only later.
            Self::RetryAfter(delay) => delay
                .max(Self::Retry.redelivered_after(received))
                .min(LONGEST),
            Self::Reconnect | Self::Never => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_heals_is_tried_again_soon_and_then_less_and_less_often() {
        let after = |received| Disposition::Retry.redelivered_after(received).as_secs();
        assert_eq!([0, 1, 2, 3, 4, 5].map(after), [5, 5, 20, 80, 320, 900]);
        assert_eq!(after(u32::MAX), 900);
        let asked = Disposition::RetryAfter(Duration::from_secs(7_200));
        assert_eq!(asked.redelivered_after(1), LONGEST);
        let soon = Disposition::RetryAfter(Duration::from_secs(10));
        let after = |received| soon.redelivered_after(received).as_secs();
        assert_eq!([1, 2, 3, 4].map(after), [10, 20, 80, 320]);
        assert_eq!(Disposition::Never.redelivered_after(1), Duration::ZERO);
    }
}
