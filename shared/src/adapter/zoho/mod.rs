//! Zoho CRM over HTTP: the API v8 and the OAuth endpoints of the accounts servers.
//!
//! Nothing here retries, refreshes, waits or logs; flows decide that. What Zoho does that its documentation does not promise is met
//! strictly where a guess could lose data (a page that does not say whether there is more is an error, not a last page) and leniently
//! where it could not (an unknown key is passed over).

mod errors;
mod oauth;
mod read;
mod tally;
#[cfg(test)]
mod tests;
pub mod transport;
mod wire;
mod write;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use self::transport::{HttpTransport, Transport};
use crate::data_centre::{DataCentre, Directory};
use crate::identifier::ZohoId;
use crate::object::Object;
use crate::port::{
    Caller, Crm, CrmError, FieldInfo, Grant, GrantedOrganisation, Reply, Rows, WriteOutcome,
};
use crate::row::Outgoing;
use crate::secret::{OAuthClient, Secret};
use crate::select::{Count, Select};
use crate::tally::{Tallied, Tally};

/// The most records of one write (Zoho CRM v8, "Insert records", "Update records").
pub const WRITE_RECORDS: usize = 100;

/// Zoho CRM.
#[derive(Clone)]
pub struct ZohoCrm {
    directory: Directory,
    transport: Arc<dyn Transport>,
}

impl ZohoCrm {
    /// Zoho over the network. To be made once per process: it keeps its connections.
    ///
    /// # Errors
    /// When the HTTP client can't be set up.
    pub fn new(directory: Directory) -> Result<Self, transport::Error> {
        let transport = Arc::new(HttpTransport::new()?);
        Ok(Self::with_transport(directory, transport))
    }

    /// Zoho over another transport, such as a simulator in the same process.
    #[must_use]
    pub fn with_transport(directory: Directory, transport: Arc<dyn Transport>) -> Self {
        Self {
            directory,
            transport,
        }
    }
}

impl fmt::Debug for ZohoCrm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ZohoCrm")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Crm for ZohoCrm {
    async fn exchange(
        &self,
        centre: DataCentre,
        client: &OAuthClient,
        code: &Secret,
        redirect_uri: &str,
    ) -> Result<Grant, CrmError> {
        self.exchange_code(centre, client, code, redirect_uri).await
    }

    async fn refresh(
        &self,
        centre: DataCentre,
        client: &OAuthClient,
        refresh: &Secret,
    ) -> Result<Grant, CrmError> {
        self.refresh_token(centre, client, refresh).await
    }

    async fn revoke(&self, centre: DataCentre, refresh: &Secret) -> Result<(), CrmError> {
        self.revoke_token(centre, refresh).await
    }

    async fn organisation(&self, caller: &Caller) -> Result<Reply<GrantedOrganisation>, CrmError> {
        self.read_organisation(caller).await
    }

    async fn fields(
        &self,
        caller: &Caller,
        object: Object,
    ) -> Result<Reply<Vec<FieldInfo>>, CrmError> {
        self.read_fields(caller, object).await
    }

    async fn select(&self, caller: &Caller, select: &Select) -> Result<Reply<Rows>, CrmError> {
        self.read_select(caller, select).await
    }

    async fn count(&self, caller: &Caller, count: Count) -> Result<Reply<u64>, CrmError> {
        self.read_count(caller, count).await
    }

    async fn tally(&self, caller: &Caller, tally: &Tally) -> Result<Reply<Tallied>, CrmError> {
        self.read_tally(caller, tally).await
    }

    async fn users(
        &self,
        caller: &Caller,
        page: u32,
        modified_since: Option<Timestamp>,
    ) -> Result<Reply<Rows>, CrmError> {
        self.read_users(caller, page, modified_since).await
    }

    async fn insert(
        &self,
        caller: &Caller,
        object: Object,
        records: &[Outgoing],
        trigger: &[String],
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        self.write_new(caller, object, records, trigger).await
    }

    async fn update(
        &self,
        caller: &Caller,
        object: Object,
        records: &[(ZohoId, Outgoing)],
        trigger: &[String],
        unmodified_since: Option<Timestamp>,
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        self.write_changes(caller, object, records, trigger, unmodified_since)
            .await
    }
}
