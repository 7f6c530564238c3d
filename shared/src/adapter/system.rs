//! The machine's own clock and randomness.

use jiff::Timestamp;

use crate::port::{Clock, Entropy};

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the port meets the machine"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A cryptographic generator that the kernel seeds and reseeds.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn bytes(&self) -> [u8; 32] {
        rand::random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(SystemEntropy.bytes(), SystemEntropy.bytes());
        assert_ne!(SystemEntropy.number(), SystemEntropy.number());
    }

    #[test]
    fn time_goes_on() {
        let first = SystemClock.now();
        assert!(SystemClock.now() >= first);
    }
}
