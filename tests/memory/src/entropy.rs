//! Randomness that a seed decides.

use std::sync::Mutex;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tandem::port::Entropy;

use crate::lock::locked;

/// A ChaCha stream from a seed: the same seed, the same numbers.
#[derive(Debug)]
pub struct SeededEntropy(Mutex<StdRng>);

impl SeededEntropy {
    /// The stream of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// A number below `end`; 0 when there is none.
    #[must_use]
    pub fn below(&self, end: usize) -> usize {
        let number = locked(&self.0).next_u64();
        number
            .checked_rem(end as u64)
            .and_then(|number| usize::try_from(number).ok())
            .unwrap_or(0)
    }
}

impl Entropy for SeededEntropy {
    fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        locked(&self.0).fill_bytes(&mut bytes);
        bytes
    }
}
