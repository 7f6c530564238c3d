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
