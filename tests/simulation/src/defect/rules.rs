//! Rules that are not kept, and things that are not remembered.

use async_trait::async_trait;
use tandem::calculation::Mark;
use tandem::credit::{Bucket, Spent};
use tandem::data_centre::DataCentre;
use tandem::identifier::{ConnectionId, Digest};
use tandem::journal::Entry;
use tandem::port::{Crm, CrmError, Error, Grant, SettingsVersion, Store};
use tandem::record::{Action, Link, Record};
use tandem::secret::{OAuthClient, Secret};
use tandem::settings::RemovalGuard;
use tandem_memory::layer::{CrmLayer, StoreLayer};

/// A link does not say what its row said.
pub(super) struct HashForgotten;

#[async_trait]
impl StoreLayer for HashForgotten {
    async fn save_link_over(
        &self,
        inner: &dyn Store,
        link: &Link,
        read: Option<&Link>,
    ) -> Result<(), Error> {
        let hash = match link.is_intended() {
            true => link.hash,
            false => Digest::of(format!("not {read:?}").as_bytes()),
        };
        let link = Link {
            hash,
            ..link.clone()
        };
        match inner.save_link_over(&link, read).await {
            // What it stored before is not what it meant to store.
            Err(Error::Conflict { .. }) => {
                let ids = [link.zoho_id];
                let stored = inner.links(&link.connection, link.object, &ids).await?;
                inner.save_link_over(&link, stored.first()).await
            }
            saved => saved,
        }
    }
}

/// Accounts are not marked.
pub(super) struct MarksForgotten;

#[async_trait]
impl StoreLayer for MarksForgotten {
    async fn mark_calculations(&self, _: &dyn Store, _: &[Mark]) -> Result<(), Error> {
        Ok(())
    }
}

/// Nothing is written in the log.
pub(super) struct LogForgotten;

#[async_trait]
impl StoreLayer for LogForgotten {
    async fn write(&self, _: &dyn Store, _: &[Entry]) -> Result<(), Error> {
        Ok(())
    }
}

/// What was spent is not written down.
pub(super) struct CreditsForgotten;

#[async_trait]
impl StoreLayer for CreditsForgotten {
    async fn spend_credits(
        &self,
        _: &dyn Store,
        _: &ConnectionId,
        _: Bucket,
        _: Spent,
    ) -> Result<(), Error> {
        Ok(())
    }
}

/// A record that is restored keeps its removal mark.
pub(super) struct StaysRemoved;

#[async_trait]
impl StoreLayer for StaysRemoved {
    async fn save_record(&self, inner: &dyn Store, mut record: Record) -> Result<Record, Error> {
        let action = record.change.as_ref().map(|change| change.action);
        if action == Some(Action::Restored) {
            let ids = [record.id.clone()];
            let stored = inner
                .records(&record.connection, record.object, &ids)
                .await?;
            record.removed = stored.into_iter().find_map(|stored| stored.removed);
        }
        inner.save_record(record).await
    }
}

/// No removal is too large.
pub(super) struct GuardIgnored;

#[async_trait]
impl StoreLayer for GuardIgnored {
    async fn settings(
        &self,
        inner: &dyn Store,
        id: &ConnectionId,
    ) -> Result<SettingsVersion, Error> {
        let mut found = inner.settings(id).await?;
        found.settings.removal_guard = RemovalGuard {
            percent: 100,
            records: u64::MAX,
        };
        Ok(found)
    }
}

/// Segments mean nothing.
pub(super) struct SegmentsIgnored;

#[async_trait]
impl StoreLayer for SegmentsIgnored {
    async fn settings(
        &self,
        inner: &dyn Store,
        id: &ConnectionId,
    ) -> Result<SettingsVersion, Error> {
        let mut found = inner.settings(id).await?;
        found.settings.segments.clear();
        Ok(found)
    }
}

/// An accounts server that has no token to give for a while passes for one that knows of no grant any more.
pub(super) struct BusyIsGone;

#[async_trait]
impl CrmLayer for BusyIsGone {
    async fn refresh(
        &self,
        inner: &dyn Crm,
        centre: DataCentre,
        client: &OAuthClient,
        refresh: &Secret,
    ) -> Result<Grant, CrmError> {
        match inner.refresh(centre, client, refresh).await {
            Err(CrmError::Throttled { .. }) => Err(CrmError::GrantRefused {
                code: "Access Denied".to_owned(),
            }),
            answer => answer,
        }
    }
}
