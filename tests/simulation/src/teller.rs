//! What the handlers read, store and write, in words, for the story of a seed.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tandem::identifier::{ConnectionId, ZohoId};
use tandem::object::Object;
use tandem::port::{Caller, Crm, CrmError, Error, Ports, Reply, Rows, Store, WriteOutcome};
use tandem::record::{Candidate, Link, Record};
use tandem::row::Outgoing;
use tandem::select::Select;
use tandem_memory::layer::{CrmLayer, Layered, StoreLayer};

use crate::recorder::Recorder;

/// Ports that tell what is read, stored and written.
pub(crate) fn telling(ports: Ports, recorder: &Recorder) -> Ports {
    let teller = || Teller(recorder.clone());
    Ports {
        store: Arc::new(Layered::new(teller(), ports.store)),
        crm: Arc::new(Layered::new(teller(), ports.crm)),
        ..ports
    }
}

struct Teller(Recorder);

impl Teller {
    fn say(&self, line: impl FnOnce() -> String) {
        self.0.say(|| format!("        {}", line()));
    }
}

fn link_in_words(link: &Link) -> String {
    let scope = if link.in_scope { "" } else { ", out of scope" };
    format!(
        "the link of {} {}: {:?}{scope}",
        link.object, link.zoho_id, link.standing
    )
}

fn list<T>(items: &[T], word: impl Fn(&T) -> String) -> String {
    let words: Vec<String> = items.iter().map(word).collect();
    words.join("; ")
}

#[async_trait]
impl StoreLayer for Teller {
    async fn save_record(&self, inner: &dyn Store, record: Record) -> Result<Record, Error> {
        let saved = inner.save_record(record.clone()).await;
        self.say(|| {
            let change = record.change.as_ref();
            format!(
                "stores {} {}, tied to {:?}, removed: {}, parked: {:?}, {:?} {:?}, waiting: {:?}: {}",
                record.object,
                record.id,
                record.zoho_id.map(String::from),
                record.removed.is_some(),
                record.parked.as_ref().map(|parked| &parked.code),
                change.map(|change| change.action),
                change.map(|change| change
                    .fields
                    .iter()
                    .map(|field| field.field.as_str())
                    .collect::<Vec<_>>()),
                record.pending.keys().map(|name| name.as_str()).collect::<Vec<_>>(),
                match &saved {
                    Ok(saved) => format!("version {}", saved.version),
                    Err(error) => error.to_string(),
                }
            )
        });
        saved
    }

    async fn save_links(&self, inner: &dyn Store, links: &[Link]) -> Result<(), Error> {
        if !links.is_empty() {
            self.say(|| format!("stores {}", list(links, link_in_words)));
        }
        inner.save_links(links).await
    }

    async fn save_link_over(
        &self,
        inner: &dyn Store,
        link: &Link,
        read: Option<&Link>,
    ) -> Result<(), Error> {
        let saved = inner.save_link_over(link, read).await;
        self.say(|| {
            let ended = saved
                .as_ref()
                .map_or_else(Error::to_string, |()| "done".to_owned());
            format!("stores over what it read {}: {ended}", link_in_words(link))
        });
        saved
    }

    async fn remove_link_over(&self, inner: &dyn Store, read: &Link) -> Result<(), Error> {
        let removed = inner.remove_link_over(read).await;
        self.say(|| {
            let ended = removed
                .as_ref()
                .map_or_else(Error::to_string, |()| "done".to_owned());
            format!("removes as it read {}: {ended}", link_in_words(read))
        });
        removed
    }

    async fn save_candidates(
        &self,
        inner: &dyn Store,
        candidates: &[Candidate],
    ) -> Result<(), Error> {
        if !candidates.is_empty() {
            self.say(|| {
                let word = |candidate: &Candidate| {
                    format!(
                        "{} {} ({}) as {:?}, held: {}",
                        candidate.object,
                        candidate.platform_id,
                        candidate.zoho_id,
                        candidate.reason,
                        candidate.held
                    )
                };
                format!("would remove {}", list(candidates, word))
            });
        }
        inner.save_candidates(candidates).await
    }

    async fn remove_candidates(
        &self,
        inner: &dyn Store,
        connection: &ConnectionId,
        object: Object,
        ids: &[ZohoId],
    ) -> Result<(), Error> {
        if !ids.is_empty() {
            self.say(|| {
                let ids = list(ids, ToString::to_string);
                format!("no more candidates for removal: {object} {ids}")
            });
        }
        inner.remove_candidates(connection, object, ids).await
    }
}

#[async_trait]
impl CrmLayer for Teller {
    async fn select(
        &self,
        inner: &dyn Crm,
        caller: &Caller,
        select: &Select,
    ) -> Result<Reply<Rows>, CrmError> {
        let reply = inner.select(caller, select).await;
        self.say(|| match &reply {
            Ok(reply) => format!(
                "reads of {}: {}",
                select.object,
                list(&reply.value.rows, |row| row.id.to_string())
            ),
            Err(error) => format!("reads of {}: {error}", select.object),
        });
        reply
    }

    async fn insert(
        &self,
        inner: &dyn Crm,
        caller: &Caller,
        object: Object,
        records: &[Outgoing],
        trigger: &[String],
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        let reply = inner.insert(caller, object, records, trigger).await;
        self.say(|| format!("creates {object}s in Zoho: {records:?}: {reply:?}"));
        reply
    }

    async fn update(
        &self,
        inner: &dyn Crm,
        caller: &Caller,
        object: Object,
        records: &[(ZohoId, Outgoing)],
        trigger: &[String],
        unmodified_since: Option<Timestamp>,
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        let reply = inner
            .update(caller, object, records, trigger, unmodified_since)
            .await;
        self.say(|| format!("updates {object}s in Zoho: {records:?}: {reply:?}"));
        reply
    }
}
