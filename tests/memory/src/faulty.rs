//! Ports whose calls go wrong on order.

use std::sync::Arc;

use crate::Faults;

/// A port behind [`Faults`].
pub struct Faulty<T: ?Sized> {
    pub(crate) inner: Arc<T>,
    pub(crate) faults: Faults,
}

impl<T: ?Sized> Faulty<T> {
    /// The port with the failures that `faults` decides.
    #[must_use]
    pub fn new(inner: Arc<T>, faults: Faults) -> Self {
        Self { inner, faults }
    }
}
