//! What is read of Zoho and is not all that it has.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use jiff::SignedDuration;
use tandem::object::Object;
use tandem::port::{Caller, Crm, CrmError, Reply, Rows};
use tandem::select::{Count, Select, Which};
use tandem_memory::layer::CrmLayer;

/// A full sync takes half a page for the whole, and asks nobody whether the other half is gone.
#[derive(Default)]
pub(super) struct HalfIsAll {
    /// How many rows the last page of an object had.
    read: Mutex<BTreeMap<Object, u64>>,
}

#[async_trait]
impl CrmLayer for HalfIsAll {
    async fn select(
        &self,
        inner: &dyn Crm,
        caller: &Caller,
        select: &Select,
    ) -> Result<Reply<Rows>, CrmError> {
        let mut reply = inner.select(caller, select).await?;
        match &select.which {
            Which::IdRange { .. } => {
                let half = reply.value.rows.len() / 2;
                reply.value.rows.truncate(half);
                reply.value.more = false;
                let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
                read.insert(select.object, half as u64);
            }
            // The question whether records are there at all asks for none of their fields.
            Which::Ids(_) if select.columns.is_empty() => reply.value.rows.clear(),
            _ => {}
        }
        Ok(reply)
    }

    async fn count(
        &self,
        inner: &dyn Crm,
        caller: &Caller,
        count: Count,
    ) -> Result<Reply<u64>, CrmError> {
        let mut reply = inner.count(caller, count).await?;
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        reply.value = read.get(&count.object).copied().unwrap_or(reply.value);
        Ok(reply)
    }
}

/// What is looked for before a record is created is never found.
pub(super) struct FindsNothing;

#[async_trait]
impl CrmLayer for FindsNothing {
    async fn select(
        &self,
        inner: &dyn Crm,
        caller: &Caller,
        select: &Select,
    ) -> Result<Reply<Rows>, CrmError> {
        let mut reply = inner.select(caller, select).await?;
        if let Which::TextIn { .. } | Which::CreatedSince { .. } = select.which {
            reply.value.rows.clear();
        }
        Ok(reply)
    }
}

/// What was read of records passes for read some seconds later, when whatever changed in the second of the reading would have been seen.
pub(super) struct ReadLater;

#[async_trait]
impl CrmLayer for ReadLater {
    async fn select(
        &self,
        inner: &dyn Crm,
        caller: &Caller,
        select: &Select,
    ) -> Result<Reply<Rows>, CrmError> {
        let mut reply = inner.select(caller, select).await?;
        if let Which::Ids(_) = select.which {
            reply.server_time += SignedDuration::from_secs(5);
        }
        Ok(reply)
    }
}
