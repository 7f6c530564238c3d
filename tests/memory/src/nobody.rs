//! A Zoho that never answers.

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
use tandem::select::{Count, Select};
use tandem::tally::{Tallied, Tally};

/// No Zoho at all.
pub struct Nobody;

fn nothing<T>() -> Result<T, CrmError> {
    Err(CrmError::Unavailable {
        source: "there is no Zoho here".into(),
    })
}

#[async_trait]
impl Crm for Nobody {
    async fn exchange(
        &self,
        _: DataCentre,
        _: &OAuthClient,
        _: &Secret,
        _: &str,
    ) -> Result<Grant, CrmError> {
        nothing()
    }

    async fn refresh(&self, _: DataCentre, _: &OAuthClient, _: &Secret) -> Result<Grant, CrmError> {
        nothing()
    }

    async fn revoke(&self, _: DataCentre, _: &Secret) -> Result<(), CrmError> {
        nothing()
    }

    async fn organisation(&self, _: &Caller) -> Result<Reply<GrantedOrganisation>, CrmError> {
        nothing()
    }

    async fn fields(&self, _: &Caller, _: Object) -> Result<Reply<Vec<FieldInfo>>, CrmError> {
        nothing()
    }

    async fn select(&self, _: &Caller, _: &Select) -> Result<Reply<Rows>, CrmError> {
        nothing()
    }

    async fn count(&self, _: &Caller, _: Count) -> Result<Reply<u64>, CrmError> {
        nothing()
    }

    async fn tally(&self, _: &Caller, _: &Tally) -> Result<Reply<Tallied>, CrmError> {
        nothing()
    }

    async fn users(
        &self,
        _: &Caller,
        _: u32,
        _: Option<Timestamp>,
    ) -> Result<Reply<Rows>, CrmError> {
        nothing()
    }

    async fn insert(
        &self,
        _: &Caller,
        _: Object,
        _: &[Outgoing],
        _: &[String],
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        nothing()
    }

    async fn update(
        &self,
        _: &Caller,
        _: Object,
        _: &[(ZohoId, Outgoing)],
        _: &[String],
        _: Option<Timestamp>,
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        nothing()
    }
}
