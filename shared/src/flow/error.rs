//! What can go wrong in a flow, and what to do about it.

use std::time::Duration;

use crate::data_centre::DataCentre;
use crate::disposition::Disposition;
use crate::identifier::ConnectionId;
use crate::port::{self, CrmError};

/// How long work waits for a person to put the deployment right; it ends among the dead letters, which alarm, if nobody does.
const MISCONFIGURED: Duration = Duration::from_secs(300);

/// How long work waits for spent credits to come back, before it looks again: they come back hour by hour.
const SPENT: Duration = Duration::from_secs(900);

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
    /// The customer's grant is gone.
    #[error("connection {connection} needs reconnect: {reason}")]
    NeedsReconnect {
        /// The connection.
        connection: ConnectionId,
        /// What happened.
        reason: String,
    },
    /// Zoho's accounts server refuses our own OAuth client: a mistake in the deployment, not the customer's.
    #[error(
        "the OAuth client of data centre {centre} does not work ({problem}): check the secret oauth-client/{centre}"
    )]
    OAuthClient {
        /// The data centre.
        centre: DataCentre,
        /// What is wrong.
        problem: String,
    },
    /// The connection has spent what it may of its organisation's credits for now.
    #[error(
        "connection {connection} must spare the organisation's credits ({reason}): {what} wait"
    )]
    OverBudget {
        /// The connection.
        connection: ConnectionId,
        /// What waits.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// Somebody else is at it.
    #[error("{what} is being done by another function")]
    Busy {
        /// What.
        what: &'static str,
        /// When it will probably be done.
        after: Duration,
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
            Self::NeedsReconnect { .. } => Disposition::Reconnect,
            Self::OAuthClient { .. } => Disposition::RetryAfter(MISCONFIGURED),
            Self::OverBudget { .. } => Disposition::RetryAfter(SPENT),
            Self::Busy { after, .. } => Disposition::RetryAfter(*after),
            Self::NotFound { .. } | Self::NotRunnable { .. } | Self::Invalid(_) => {
                Disposition::Never
            }
        }
    }
}
