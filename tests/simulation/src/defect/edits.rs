//! Edits on their way to Zoho, lost or written as they must not be.

use async_trait::async_trait;
use jiff::Timestamp;
use tandem::identifier::{ConnectionId, PlatformId, ZohoId};
use tandem::object::Object;
use tandem::port::{Caller, Crm, CrmError, Error, Reply, Store, WriteOutcome};
use tandem::record::{Action, Record};
use tandem::row::Outgoing;
use tandem_memory::layer::{CrmLayer, StoreLayer};

/// An edit of what Zoho has already is stored, but not as one that is on its way.
pub(super) struct PendingForgotten;

#[async_trait]
impl StoreLayer for PendingForgotten {
    async fn save_record(&self, inner: &dyn Store, mut record: Record) -> Result<Record, Error> {
        if record.zoho_id.is_some() {
            record.pending.clear();
        }
        inner.save_record(record).await
    }
}

/// The index of what waits shows nothing.
pub(super) struct IndexForgets;

#[async_trait]
impl StoreLayer for IndexForgets {
    async fn pending(
        &self,
        _: &dyn Store,
        _: &ConnectionId,
        _: Timestamp,
        _: usize,
    ) -> Result<Vec<(Object, PlatformId)>, Error> {
        Ok(Vec::new())
    }
}

/// Once a record was written in Zoho, all its edits count as written.
pub(super) struct SecondEditDropped;

#[async_trait]
impl StoreLayer for SecondEditDropped {
    async fn save_record(&self, inner: &dyn Store, mut record: Record) -> Result<Record, Error> {
        let action = record.change.as_ref().map(|change| change.action);
        if action == Some(Action::Pushed) {
            record.pending.clear();
        }
        inner.save_record(record).await
    }
}

/// The merge has no base.
pub(super) struct BaseForgotten;

#[async_trait]
impl StoreLayer for BaseForgotten {
    async fn save_record(&self, inner: &dyn Store, mut record: Record) -> Result<Record, Error> {
        record.base.clear();
        inner.save_record(record).await
    }
}

/// That a creation was asked for is not kept.
pub(super) struct IntentForgotten;

#[async_trait]
impl StoreLayer for IntentForgotten {
    async fn save_record(&self, inner: &dyn Store, mut record: Record) -> Result<Record, Error> {
        record.create_intent = None;
        inner.save_record(record).await
    }
}

/// Writes name no instant since which the record must not have changed.
pub(super) struct Unconditional;

#[async_trait]
impl CrmLayer for Unconditional {
    async fn update(
        &self,
        inner: &dyn Crm,
        caller: &Caller,
        object: Object,
        records: &[(ZohoId, Outgoing)],
        trigger: &[String],
        _: Option<Timestamp>,
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        inner.update(caller, object, records, trigger, None).await
    }
}

/// Writes name an automation that nobody asked for.
pub(super) struct AutomationsStarted;

#[async_trait]
impl CrmLayer for AutomationsStarted {
    async fn insert(
        &self,
        inner: &dyn Crm,
        caller: &Caller,
        object: Object,
        records: &[Outgoing],
        _: &[String],
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        inner.insert(caller, object, records, &workflow()).await
    }

    async fn update(
        &self,
        inner: &dyn Crm,
        caller: &Caller,
        object: Object,
        records: &[(ZohoId, Outgoing)],
        _: &[String],
        unmodified_since: Option<Timestamp>,
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        let trigger = workflow();
        inner
            .update(caller, object, records, &trigger, unmodified_since)
            .await
    }
}

fn workflow() -> [String; 1] {
    ["workflow".to_owned()]
}
