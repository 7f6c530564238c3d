//! What a run came to.

use anyhow::{Context as _, Result};
use tandem::certificate::{Certificate, certify};
use tandem::object::Object;
use tandem::run::{Counter, Counters, Run, Slice};

/// A run and its slices.
#[derive(Debug)]
pub struct Ran {
    /// The run.
    pub run: Run,
    pub(crate) slices: Vec<Slice>,
}

impl Ran {
    /// What the full sync certifies of an object.
    ///
    /// # Errors
    /// When it did not begin to read the object.
    pub fn certificate(&self, object: Object) -> Result<Certificate> {
        let mut all = certify(&self.slices).into_iter();
        all.find(|certificate| certificate.object == object)
            .with_context(|| format!("no certificate of {object}s"))
    }

    /// What was counted of an object.
    #[must_use]
    pub fn count(&self, object: Object, counter: Counter) -> u64 {
        let mut all = Counters::default();
        self.slices
            .iter()
            .filter(|slice| slice.key.object == object)
            .for_each(|slice| all.merge(&slice.counters));
        all.get(counter)
    }

    /// What was counted of all objects.
    #[must_use]
    pub fn total(&self, counter: Counter) -> u64 {
        Object::ALL
            .into_iter()
            .map(|object| self.count(object, counter))
            .sum()
    }
}
