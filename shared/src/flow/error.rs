//! What can go wrong in a flow, and what to do about it.

use crate::disposition::Disposition;
use crate::identifier::ConnectionId;
use crate::port::{self, CrmError};

/// A failure of a flow.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A port failed.
    #[error(transparent)]
    Port(#[from] port::Error),
    /// A call to Zoho failed.
    #[error(transparent)]
    Crm(#[from] CrmError),
    /// There is no such thing.
    #[error("there is no {what}")]
    NotFound {
        /// What was looked for.
        what: String,
    },
    /// The connection may not run now.
    #[error("connection {connection} does not run: {reason}")]
    NotRunnable {
        /// The connection.
        connection: ConnectionId,
        /// Why, and what helps.
        reason: String,
    },
    /// The request makes no sense as it is.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Port(error) => error.disposition(),
            Self::Crm(error) => error.disposition(),
            Self::NotFound { .. } | Self::NotRunnable { .. } | Self::Invalid(_) => {
                Disposition::Never
            }
        }
    }
}
