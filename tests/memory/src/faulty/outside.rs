//! The queues, the secrets and Zoho, failing on order.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tandem::data_centre::DataCentre;
use tandem::identifier::{ConnectionId, ZohoId};
use tandem::message::{Work, Writeback};
use tandem::object::Object;
use tandem::port::{
    Caller, Crm, CrmError, DeadLetters, Delivery, Error, FieldInfo, Grant, GrantedOrganisation,
    Queue, QueueName, Redriven, Reply, Rows, Vault, WriteOutcome,
};
use tandem::row::Outgoing;
use tandem::secret::{OAuthClient, Secret, Tokens};
use tandem::select::{Count, Select};

use super::{Faulty, batch, single};

#[async_trait]
impl<T: Queue + ?Sized> Queue for Faulty<T> {
    async fn send_work(&self, messages: &[Work]) -> Result<(), Error> {
        batch!(self, "queue", send_work(; messages))
    }

    async fn send_work_later(&self, messages: &[Work], delay: Duration) -> Result<(), Error> {
        let passage = self.faults.enter("queue", "send_work_later", true).await?;
        let part = passage.part(messages);
        let answer = self.inner.send_work_later(part, delay).await;
        passage.leave(answer).await
    }

    async fn send_writeback(&self, messages: &[Writeback]) -> Result<(), Error> {
        batch!(self, "queue", send_writeback(; messages))
    }

    async fn send_writeback_later(
        &self,
        messages: &[Writeback],
        delay: Duration,
    ) -> Result<(), Error> {
        let passage = self
            .faults
            .enter("queue", "send_writeback_later", true)
            .await?;
        let part = passage.part(messages);
        let answer = self.inner.send_writeback_later(part, delay).await;
        passage.leave(answer).await
    }

    async fn put_back(&self, delivery: &Delivery, delay: Duration) -> Result<(), Error> {
        single!(self, "queue", put_back(delivery, delay))
    }

    async fn dead_letters(&self, queue: QueueName) -> Result<DeadLetters, Error> {
        single!(self, "queue", dead_letters(queue))
    }

    async fn redrive(&self, queue: QueueName) -> Result<Redriven, Error> {
        single!(self, "queue", redrive(queue))
    }
}

#[async_trait]
impl<T: Vault + ?Sized> Vault for Faulty<T> {
    async fn oauth_client(&self, centre: DataCentre) -> Result<Option<OAuthClient>, Error> {
        single!(self, "vault", oauth_client(centre))
    }

    async fn tokens(&self, connection: &ConnectionId) -> Result<Option<Tokens>, Error> {
        single!(self, "vault", tokens(connection))
    }

    async fn keep_tokens(&self, connection: &ConnectionId, tokens: &Tokens) -> Result<(), Error> {
        single!(self, "vault", keep_tokens(connection, tokens))
    }

    async fn forget_tokens(&self, connection: &ConnectionId) -> Result<(), Error> {
        single!(self, "vault", forget_tokens(connection))
    }

    async fn operator(&self) -> Result<Secret, Error> {
        single!(self, "vault", operator())
    }
}

#[async_trait]
impl<T: Crm + ?Sized> Crm for Faulty<T> {
    async fn exchange(
        &self,
        centre: DataCentre,
        client: &OAuthClient,
        code: &Secret,
        redirect_uri: &str,
    ) -> Result<Grant, CrmError> {
        single!(self, "crm", exchange(centre, client, code, redirect_uri))
    }

    async fn refresh(
        &self,
        centre: DataCentre,
        client: &OAuthClient,
        refresh: &Secret,
    ) -> Result<Grant, CrmError> {
        single!(self, "crm", refresh(centre, client, refresh))
    }

    async fn revoke(&self, centre: DataCentre, refresh: &Secret) -> Result<(), CrmError> {
        single!(self, "crm", revoke(centre, refresh))
    }

    async fn organisation(&self, caller: &Caller) -> Result<Reply<GrantedOrganisation>, CrmError> {
        single!(self, "crm", organisation(caller))
    }

    async fn fields(
        &self,
        caller: &Caller,
        object: Object,
    ) -> Result<Reply<Vec<FieldInfo>>, CrmError> {
        single!(self, "crm", fields(caller, object))
    }

    async fn select(&self, caller: &Caller, select: &Select) -> Result<Reply<Rows>, CrmError> {
        single!(self, "crm", select(caller, select))
    }

    async fn count(&self, caller: &Caller, count: Count) -> Result<Reply<u64>, CrmError> {
        single!(self, "crm", count(caller, count))
    }

    async fn users(
        &self,
        caller: &Caller,
        page: u32,
        modified_since: Option<Timestamp>,
    ) -> Result<Reply<Rows>, CrmError> {
        single!(self, "crm", users(caller, page, modified_since))
    }

    async fn insert(
        &self,
        caller: &Caller,
        object: Object,
        records: &[Outgoing],
        trigger: &[String],
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        single!(self, "crm", insert(caller, object, records, trigger))
    }

    async fn update(
        &self,
        caller: &Caller,
        object: Object,
        records: &[(ZohoId, Outgoing)],
        trigger: &[String],
        unmodified_since: Option<Timestamp>,
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        single!(
            self,
            "crm",
            update(caller, object, records, trigger, unmodified_since)
        )
    }
}
