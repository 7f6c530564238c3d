//! Links, removal candidates and waiting references.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use async_trait::async_trait;
use tandem::identifier::{ConnectionId, PlatformId, ZohoId};
use tandem::object::Object;
use tandem::port::{Error, Ledger};
use tandem::record::{Candidate, Link};

use super::MemoryStore;

type Part = (ConnectionId, Object);

#[derive(Debug, Default)]
pub(super) struct Table {
    links: BTreeMap<Part, BTreeMap<ZohoId, Link>>,
    candidates: BTreeMap<Part, BTreeMap<ZohoId, Candidate>>,
    awaiting: BTreeMap<Part, BTreeSet<PlatformId>>,
}

impl Table {
    pub(super) fn all_links(&self, connection: &ConnectionId) -> Vec<Link> {
        let parts = self.links.iter().filter(|((of, _), _)| of == connection);
        parts
            .flat_map(|(_, links)| links.values())
            .cloned()
            .collect()
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

#[async_trait]
impl Ledger for MemoryStore {
    async fn links(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[ZohoId],
    ) -> Result<Vec<Link>, Error> {
        let tables = self.tables();
        let Some(links) = tables.ledger.links.get(&part(connection, object)) else {
            return Ok(Vec::new());
        };
        let ids: BTreeSet<&ZohoId> = ids.iter().collect();
        Ok(ids
            .into_iter()
            .filter_map(|id| links.get(id))
            .cloned()
            .collect())
    }

    async fn links_between(
        &self,
        connection: &ConnectionId,
        object: Object,
        after: ZohoId,
        to: ZohoId,
        limit: usize,
    ) -> Result<(Vec<Link>, bool), Error> {
        let tables = self.tables();
        let links = tables.ledger.links.get(&part(connection, object));
        let Some(links) = links.filter(|_| after < to) else {
            return Ok((Vec::new(), false));
        };
        let found: Vec<Link> = links
            .range((Bound::Excluded(after), Bound::Included(to)))
            .map(|(_, link)| link.clone())
            .take(limit)
            .collect();
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

    async fn remove_links(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[ZohoId],
    ) -> Result<(), Error> {
        let mut tables = self.tables();
        let stored = tables.ledger.links.entry(part(connection, object));
        let stored = stored.or_default();
        let removed = ids.iter().filter_map(|id| stored.remove(id)).count();
        tables.writes.links += removed as u64;
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
