//! Ports whose calls go wrong on order.

mod outside;
mod store;

use std::sync::Arc;

use crate::Faults;

/// A port behind [`Faults`].
pub struct Faulty<T: ?Sized> {
    inner: Arc<T>,
    faults: Faults,
}

impl<T: ?Sized> Faulty<T> {
    /// The port with the failures that `faults` decides.
    #[must_use]
    pub fn new(inner: Arc<T>, faults: Faults) -> Self {
        Self { inner, faults }
    }
}

/// A call that happens as a whole or not at all.
macro_rules! single {
    ($self:ident, $port:literal, $call:ident($($argument:ident),*)) => {{
        let passage = $self.faults.enter($port, stringify!($call), false).await?;
        let answer = $self.inner.$call($($argument),*).await;
        passage.leave(answer).await
    }};
}
use single;

/// A call whose items, named after the semicolon, can happen in part.
macro_rules! batch {
    ($self:ident, $port:literal, $call:ident($($argument:ident),*; $items:ident)) => {{
        let passage = $self.faults.enter($port, stringify!($call), true).await?;
        let answer = $self.inner.$call($($argument,)* passage.part($items)).await;
        passage.leave(answer).await
    }};
}
use batch;
