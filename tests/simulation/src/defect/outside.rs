//! Zoho, as a defective program would use them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use tandem::data_centre::DataCentre;
use tandem::identifier::ZohoId;
use tandem::object::Object;
use tandem::port::{
    Caller, Crm, CrmError, FieldInfo, Grant, GrantedOrganisation, Reply, Rows, WriteOutcome,
};
use tandem::row::Outgoing;
use tandem::secret::{OAuthClient, Secret};
use tandem::select::{Count, Select, Which};
use tandem::tally::{Tallied, Tally};

use super::Kind;

/// Zoho behind a defect.
pub(super) struct Zoho {
    inner: Arc<dyn Crm>,
    kind: Kind,
    /// How many rows the last reading of an object had.
    read: Mutex<BTreeMap<Object, u64>>,
}

impl Zoho {
    pub(super) fn new(inner: Arc<dyn Crm>, kind: Kind) -> Self {
        Self {
            inner,
            kind,
            read: Mutex::default(),
        }
    }
}

#[async_trait]
impl Crm for Zoho {
    async fn exchange(
        &self,
        centre: DataCentre,
        client: &OAuthClient,
        code: &Secret,
        redirect_uri: &str,
    ) -> Result<Grant, CrmError> {
        self.inner
            .exchange(centre, client, code, redirect_uri)
            .await
    }

    async fn refresh(
        &self,
        centre: DataCentre,
        client: &OAuthClient,
        refresh: &Secret,
    ) -> Result<Grant, CrmError> {
        self.inner.refresh(centre, client, refresh).await
    }

    async fn revoke(&self, centre: DataCentre, refresh: &Secret) -> Result<(), CrmError> {
        self.inner.revoke(centre, refresh).await
    }

    async fn organisation(&self, caller: &Caller) -> Result<Reply<GrantedOrganisation>, CrmError> {
        self.inner.organisation(caller).await
    }

    async fn fields(
        &self,
        caller: &Caller,
        object: Object,
    ) -> Result<Reply<Vec<FieldInfo>>, CrmError> {
        self.inner.fields(caller, object).await
    }

    async fn select(&self, caller: &Caller, select: &Select) -> Result<Reply<Rows>, CrmError> {
        let mut reply = self.inner.select(caller, select).await?;
        match (&select.which, self.kind) {
            (Which::IdRange { .. }, Kind::HalfIsAll) => {
                let half = reply.value.rows.len() / 2;
                reply.value.rows.truncate(half);
                reply.value.more = false;
            }
            (Which::Ids(_), Kind::HalfIsAll) => reply.value.rows.clear(),
            _ => {}
        }
        self.read
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(select.object, reply.value.rows.len() as u64);
        Ok(reply)
    }

    async fn count(&self, caller: &Caller, count: Count) -> Result<Reply<u64>, CrmError> {
        let mut reply = self.inner.count(caller, count).await?;
        if self.kind == Kind::HalfIsAll {
            let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            reply.value = read.get(&count.object).copied().unwrap_or(0);
        }
        Ok(reply)
    }

    async fn tally(&self, caller: &Caller, tally: &Tally) -> Result<Reply<Tallied>, CrmError> {
        self.inner.tally(caller, tally).await
    }

    async fn users(
        &self,
        caller: &Caller,
        page: u32,
        modified_since: Option<Timestamp>,
    ) -> Result<Reply<Rows>, CrmError> {
        self.inner.users(caller, page, modified_since).await
    }

    async fn insert(
        &self,
        caller: &Caller,
        object: Object,
        records: &[Outgoing],
        trigger: &[String],
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        self.inner.insert(caller, object, records, trigger).await
    }

    async fn update(
        &self,
        caller: &Caller,
        object: Object,
        records: &[(ZohoId, Outgoing)],
        trigger: &[String],
        unmodified_since: Option<Timestamp>,
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        self.inner
            .update(caller, object, records, trigger, unmodified_since)
            .await
    }
}
