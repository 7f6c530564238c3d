//! The ports: where the outside world starts. Methods speak the domain; adapters and the tests' in-memory doubles pass one contract suite.

mod calculations;
mod crm;
mod erasure;
mod outside;
mod store;

pub use calculations::Calculations;
pub use crm::{
    Caller, Crm, CrmError, FieldInfo, Grant, GrantedOrganisation, Reply, Rows, Saved, WriteOutcome,
    WriteRefusal,
};
pub use erasure::Erasure;
pub use outside::{
    Clock, DeadLetter, DeadLetters, Delivery, Entropy, Queue, QueueName, Redriven, Vault,
};
pub use store::{
    Browser, Connections, Coordination, Due, Journal, JournalQuery, Ledger, OAuthState, Page,
    Progress, Records, SettingsVersion, Store,
};

use std::sync::Arc;

use crate::data_centre::Directory;
use crate::disposition::Disposition;

/// A failure of a port.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else wrote first: read again and decide anew.
    #[error("{what} was changed by somebody else meanwhile")]
    Conflict {
        /// What was to be written.
        what: String,
    },
    /// The service asks to slow down.
    #[error("{service} is throttling")]
    Throttled {
        /// The service.
        service: &'static str,
        /// What it said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The service did not answer as it should; whether the effect happened is unknown.
    #[error("{service} failed at {operation}")]
    Unavailable {
        /// The service.
        service: &'static str,
        /// What was asked of it.
        operation: &'static str,
        /// What it said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The service will never take it as it is: it is too large, or a page token that belongs to another question.
    #[error("{what} can't be accepted")]
    Refused {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Something stored can't be read.
    #[error("{what} is stored in a form that can't be read")]
    Corrupt {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// A conflict over `what`.
    pub fn conflict(what: impl Into<String>) -> Self {
        Self::Conflict { what: what.into() }
    }

    /// What to do about it.
    #[must_use]
    pub const fn disposition(&self) -> Disposition {
        match self {
            Self::Conflict { .. } | Self::Throttled { .. } | Self::Unavailable { .. } => {
                Disposition::Retry
            }
            Self::Refused { .. } | Self::Corrupt { .. } => Disposition::Never,
        }
    }
}

/// Everything that the flows need of the outside world.
#[derive(Clone)]
pub struct Ports {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The tables.
    pub store: Arc<dyn Store>,
    /// The queues.
    pub queue: Arc<dyn Queue>,
    /// The secrets.
    pub vault: Arc<dyn Vault>,
    /// Zoho.
    pub crm: Arc<dyn Crm>,
    /// Where Zoho is.
    pub directory: Directory,
}
