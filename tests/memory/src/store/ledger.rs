//! Links, removal candidates and waiting references.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use tandem::identifier::{ConnectionId, PlatformId, ZohoId};
use tandem::object::Object;
use tandem::port::{Error, Ledger};
use tandem::record::{Candidate, Link};

use super::MemoryStore;
use super::erasure::{Allowance, drain_parts};

type Part = (ConnectionId, Object);

/// Links that are made when they are asked for, so that very many need no memory. They count as stored; one that is stored in earnest takes
/// a made one's place.
pub trait MadeLinks: Debug + Send + Sync {
    /// The link of a Zoho record.
    fn of(&self, connection: &ConnectionId, object: Object, id: ZohoId) -> Option<Link>;

    /// Links with `after < id <= to` by id, at most `limit`.
    fn between(
        &self,
        connection: &ConnectionId,
        object: Object,
        after: ZohoId,
        to: ZohoId,
        limit: usize,
    ) -> Vec<Link>;
}

#[derive(Debug, Default)]
pub(super) struct Table {
    made: Option<Arc<dyn MadeLinks>>,
    links: BTreeMap<Part, BTreeMap<ZohoId, Link>>,
    candidates: BTreeMap<Part, BTreeMap<ZohoId, Candidate>>,
    awaiting: BTreeMap<Part, BTreeSet<PlatformId>>,
}

impl Table {
    pub(super) fn make_links(&mut self, made: Arc<dyn MadeLinks>) {
        self.made = Some(made);
    }

    pub(super) fn all_links(&self, connection: &ConnectionId) -> Vec<Link> {
        let parts = self.links.iter().filter(|((of, _), _)| of == connection);
        parts
            .flat_map(|(_, links)| links.values())
            .cloned()
            .collect()
    }

    pub(super) fn erase_links(&mut self, connection: &ConnectionId, allowance: &mut Allowance) {
        drain_parts(&mut self.links, |(of, _)| of == connection, allowance);
    }

    /// Deletes removal candidates and waiting references.
    pub(super) fn erase_waiting(&mut self, connection: &ConnectionId, allowance: &mut Allowance) {
        let Self {
            made: _,
            links: _,
            candidates,
            awaiting,
        } = self;
        drain_parts(candidates, |(of, _)| of == connection, allowance);
        for (_, waiting) in awaiting.iter_mut().filter(|((of, _), _)| of == connection) {
            waiting.retain(|_| !allowance.take());
        }
        awaiting.retain(|_, waiting| !waiting.is_empty());
    }

    pub(super) fn all_candidates(&self, connection: &ConnectionId) -> Vec<Candidate> {
        let parts = self.candidates.iter();
        parts
            .filter(|((of, _), _)| of == connection)
            .flat_map(|(_, candidates)| candidates.values())
            .cloned()
            .collect()
    }
}

fn part(connection: &ConnectionId, object: Object) -> Part {
    (connection.clone(), object)
}

fn conflict(link: &Link) -> Error {
    Error::conflict(format!(
        "the link of {} {} of {}",
        link.object, link.zoho_id, link.connection
    ))
}

#[async_trait]
impl Ledger for MemoryStore {
    async fn links(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[ZohoId],
    ) -> Result<Vec<Link>, Error> {
        let tables = self.tables();
        let (made, links) = (
            &tables.ledger.made,
            tables.ledger.links.get(&part(connection, object)),
        );
        let link = |id: &ZohoId| {
            let stored = links.and_then(|links| links.get(id)).cloned();
            stored.or_else(|| made.as_ref()?.of(connection, object, *id))
        };
        let ids: BTreeSet<&ZohoId> = ids.iter().collect();
        Ok(ids.into_iter().filter_map(link).collect())
    }

    async fn links_between(
        &self,
        connection: &ConnectionId,
        object: Object,
        after: ZohoId,
        to: ZohoId,
        limit: usize,
    ) -> Result<(Vec<Link>, bool), Error> {
        if after >= to {
            return Ok((Vec::new(), false));
        }
        let tables = self.tables();
        let made = tables.ledger.made.as_ref();
        let made = made.map(|made| made.between(connection, object, after, to, limit));
        let mut found: BTreeMap<ZohoId, Link> = made
            .into_iter()
            .flatten()
            .map(|link| (link.zoho_id, link))
            .collect();
        let stored = tables.ledger.links.get(&part(connection, object));
        let stored = stored
            .into_iter()
            .flat_map(|links| links.range((Bound::Excluded(after), Bound::Included(to))))
            .take(limit);
        found.extend(stored.map(|(id, link)| (*id, link.clone())));
        let found: Vec<Link> = found.into_values().take(limit).collect();
        let more = found.len() == limit;
        Ok((found, more))
    }

    async fn save_links(&self, links: &[Link]) -> Result<(), Error> {
        let mut tables = self.tables();
        for link in links {
            let part = part(&link.connection, link.object);
            let stored = tables.ledger.links.entry(part).or_default();
            stored.insert(link.zoho_id, link.clone());
            tables.writes.links += 1;
        }
        Ok(())
    }

    async fn save_link_over(&self, link: &Link, read: Option<&Link>) -> Result<(), Error> {
        let mut tables = self.tables();
        let part = part(&link.connection, link.object);
        let stored = tables.ledger.links.entry(part).or_default();
        let found = stored.get(&link.zoho_id);
        if found == Some(link) {
            return Ok(());
        }
        if found != read {
            return Err(conflict(link));
        }
        stored.insert(link.zoho_id, link.clone());
        tables.writes.links += 1;
        Ok(())
    }

    async fn remove_link_over(&self, read: &Link) -> Result<(), Error> {
        let mut tables = self.tables();
        let part = part(&read.connection, read.object);
        let stored = tables.ledger.links.entry(part).or_default();
        match stored.get(&read.zoho_id) {
            None => return Ok(()),
            Some(found) if found != read => return Err(conflict(read)),
            Some(_) => stored.remove(&read.zoho_id),
        };
        tables.writes.links += 1;
        Ok(())
    }

    async fn save_candidates(&self, candidates: &[Candidate]) -> Result<(), Error> {
        let mut tables = self.tables();
        for candidate in candidates {
            let part = part(&candidate.connection, candidate.object);
            let stored = tables.ledger.candidates.entry(part).or_default();
            stored.insert(candidate.zoho_id, candidate.clone());
            tables.writes.candidates += 1;
        }
        Ok(())
    }

    async fn candidates(
        &self,
        connection: &ConnectionId,
        object: Object,
        after: ZohoId,
        limit: usize,
    ) -> Result<Vec<Candidate>, Error> {
        let tables = self.tables();
        let stored = tables.ledger.candidates.get(&part(connection, object));
        Ok(stored
            .into_iter()
            .flat_map(|stored| stored.range((Bound::Excluded(after), Bound::Unbounded)))
            .map(|(_, candidate)| candidate.clone())
            .take(limit)
            .collect())
    }

    async fn remove_candidates(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[ZohoId],
    ) -> Result<(), Error> {
        let mut tables = self.tables();
        let stored = tables.ledger.candidates.entry(part(connection, object));
        let stored = stored.or_default();
        let removed = ids.iter().filter_map(|id| stored.remove(id)).count();
        tables.writes.candidates += removed as u64;
        Ok(())
    }

    async fn await_references(
        &self,
        connection: &ConnectionId,
        object: Object,
        waiting: &[PlatformId],
    ) -> Result<(), Error> {
        let mut tables = self.tables();
        let stored = tables.ledger.awaiting.entry(part(connection, object));
        stored.or_default().extend(waiting.iter().cloned());
        tables.writes.awaiting += waiting.len() as u64;
        Ok(())
    }

    async fn awaiting(
        &self,
        connection: &ConnectionId,
        object: Object,
        after: Option<&PlatformId>,
        limit: usize,
    ) -> Result<Vec<PlatformId>, Error> {
        let tables = self.tables();
        let stored = tables.ledger.awaiting.get(&part(connection, object));
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        Ok(stored
            .into_iter()
            .flat_map(|stored| stored.range((from, Bound::Unbounded)))
            .take(limit)
            .cloned()
            .collect())
    }

    async fn stop_awaiting(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[PlatformId],
    ) -> Result<(), Error> {
        let mut tables = self.tables();
        let stored = tables.ledger.awaiting.entry(part(connection, object));
        let stored = stored.or_default();
        let removed = ids.iter().filter(|id| stored.remove(id)).count();
        tables.writes.awaiting += removed as u64;
        Ok(())
    }
}
