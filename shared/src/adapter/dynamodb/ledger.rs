//! Links, in their own table; removal candidates and waiting references, in the state table.
//!
//! A link's attributes have one letter each: the nightly join reads all links of a connection, and reads are paid by the kilobyte.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::DynamoStore;
use super::batch::Write;
use super::item::{Item, binary_digest, corrupt, from_item, key, text, text_of, to_item};
use super::names;
use super::query::Query;
use super::write::Guard;
use crate::identifier::{ConnectionId, Digest, PlatformId, RunId, ZohoId};
use crate::object::Object;
use crate::port::{Error, Ledger};
use crate::record::{Candidate, Dependants, Link, RemovalReason, Standing};

/// A link.
#[derive(Debug, Serialize, Deserialize)]
struct StoredLink {
    pk: String,
    sk: String,
    /// How it stands.
    #[serde(rename = "s")]
    standing: StoredStanding,
    /// The platform id, where the standing has one.
    #[serde(rename = "p")]
    platform_id: Option<PlatformId>,
    #[serde(rename = "h", with = "binary_digest")]
    hash: Digest,
    #[serde(rename = "i")]
    in_scope: bool,
    /// Whether its dependants are due.
    #[serde(rename = "a")]
    due: bool,
    /// The full sync that reads its dependants.
    #[serde(rename = "f")]
    left_to: Option<RunId>,
    /// When its dependants could not be read, by a stamp.
    #[serde(rename = "n")]
    again: Option<String>,
}

/// How a link stands, by a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum StoredStanding {
    #[serde(rename = "l")]
    Linked,
    #[serde(rename = "u")]
    Unmatched,
    #[serde(rename = "d")]
    Duplicate,
    #[serde(rename = "k")]
    Unknown,
    #[serde(rename = "r")]
    Removed,
}

impl From<Link> for StoredLink {
    fn from(link: Link) -> Self {
        let Link {
            connection,
            object,
            zoho_id,
            standing,
            hash,
            in_scope,
            dependants,
        } = link;
        let (standing, platform_id) = match standing {
            Standing::Linked(id) => (StoredStanding::Linked, Some(id)),
            Standing::Unmatched => (StoredStanding::Unmatched, None),
            Standing::Duplicate(id) => (StoredStanding::Duplicate, Some(id)),
            Standing::Unknown(id) => (StoredStanding::Unknown, Some(id)),
            Standing::Removed(id) => (StoredStanding::Removed, Some(id)),
        };
        let due = dependants.are_due();
        let (left_to, again) = match dependants {
            Dependants::Asked | Dependants::Due => (None, None),
            Dependants::Again(stamp) => (None, Some(names::stamp(stamp))),
            Dependants::LeftTo(run) => (Some(run), None),
        };
        Self {
            pk: names::of_object(&connection, object),
            sk: zoho_id.padded(),
            standing,
            platform_id,
            hash,
            in_scope,
            due,
            left_to,
            again,
        }
    }
}

/// A removal candidate.
#[derive(Debug, Serialize, Deserialize)]
struct StoredCandidate {
    pk: String,
    sk: String,
    connection: ConnectionId,
    object: Object,
    platform_id: PlatformId,
    run: RunId,
    reason: RemovalReason,
    held: bool,
}

impl From<Candidate> for StoredCandidate {
    fn from(candidate: Candidate) -> Self {
        let Candidate {
            connection,
            object,
            zoho_id,
            platform_id,
            run,
            reason,
            held,
        } = candidate;
        Self {
            pk: names::candidates(&connection, object),
            sk: zoho_id.padded(),
            connection,
            object,
            platform_id,
            run,
            reason,
            held,
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("its standing needs a platform id and there is none")]
struct NoPlatformId;

/// The link is stored as it was read, attribute by attribute.
fn as_read(mut read: Item) -> Guard {
    let attributes = [
        ("#s", "s", ":s"),
        ("#p", "p", ":p"),
        ("#h", "h", ":h"),
        ("#i", "i", ":i"),
        ("#a", "a", ":a"),
        ("#f", "f", ":f"),
        ("#n", "n", ":n"),
    ];
    let mut same = Vec::new();
    let mut values = Vec::new();
    for (name, of, value) in attributes {
        if let Some(stored) = read.remove(of) {
            same.push(format!("{name} = {value}"));
            values.push((value, stored));
        } else {
            same.push(format!("attribute_not_exists({name})"));
        }
    }
    let names = attributes.map(|(name, of, _)| (name, of)).to_vec();
    Guard::saying(&same.join(" AND "), names, values)
}

fn conflict(link: &Link) -> Error {
    Error::conflict(format!(
        "the link of {} {} of connection {}",
        link.object, link.zoho_id, link.connection
    ))
}

fn zoho_id(sk: &str) -> Result<ZohoId, Error> {
    sk.parse()
        .map_err(|source: crate::identifier::Error| corrupt("a Zoho id in a key", source))
}

pub(super) fn link_of(
    connection: &ConnectionId,
    object: Object,
    item: Item,
) -> Result<Link, Error> {
    let what = format!("a link of {connection}'s {object}s");
    let StoredLink {
        pk: _,
        sk,
        standing,
        platform_id,
        hash,
        in_scope,
        due,
        left_to,
        again,
    } = from_item(&what, item)?;
    let standing = match (standing, platform_id) {
        (StoredStanding::Unmatched, _) => Standing::Unmatched,
        (StoredStanding::Linked, Some(id)) => Standing::Linked(id),
        (StoredStanding::Duplicate, Some(id)) => Standing::Duplicate(id),
        (StoredStanding::Unknown, Some(id)) => Standing::Unknown(id),
        (StoredStanding::Removed, Some(id)) => Standing::Removed(id),
        (_, None) => return Err(corrupt(&what, NoPlatformId)),
    };
    Ok(Link {
        connection: connection.clone(),
        object,
        zoho_id: zoho_id(&sk)?,
        standing,
        hash,
        in_scope,
        dependants: match (left_to, again) {
            (Some(run), _) => Dependants::LeftTo(run),
            (None, Some(stamp)) => Dependants::Again(names::stamp_of(&stamp, &what)?),
            (None, None) if due => Dependants::Due,
            (None, None) => Dependants::Asked,
        },
    })
}

pub(super) fn candidate_of(item: Item) -> Result<Candidate, Error> {
    let StoredCandidate {
        pk: _,
        sk,
        connection,
        object,
        platform_id,
        run,
        reason,
        held,
    } = from_item("a removal candidate", item)?;
    Ok(Candidate {
        connection,
        object,
        zoho_id: zoho_id(&sk)?,
        platform_id,
        run,
        reason,
        held,
    })
}

fn deletes(pk: String, keys: impl Iterator<Item = String>) -> impl Iterator<Item = Write> {
    keys.map(move |sk| Write::Delete { pk: pk.clone(), sk })
}

#[async_trait]
impl Ledger for DynamoStore {
    async fn links(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[ZohoId],
    ) -> Result<Vec<Link>, Error> {
        let keys = ids.iter().map(|id| id.padded()).collect();
        let pk = names::of_object(connection, object);
        let items = self.batch_get(&self.tables.links, &pk, keys).await?;
        items
            .into_iter()
            .map(|item| link_of(connection, object, item))
            .collect()
    }

    async fn links_between(
        &self,
        connection: &ConnectionId,
        object: Object,
        after: ZohoId,
        to: ZohoId,
        limit: usize,
    ) -> Result<(Vec<Link>, bool), Error> {
        // All ids have twenty digits, so anything longer lies right behind its own beginning.
        let beyond = format!("{}!", after.padded());
        let query = Query::table(&self.tables.links, names::of_object(connection, object))
            .between(Some(text(beyond)), Some(text(to.padded())));
        let (items, more) = self.first(&query, limit).await?;
        let links = items
            .into_iter()
            .map(|item| link_of(connection, object, item))
            .collect::<Result<_, _>>()?;
        Ok((links, more))
    }

    async fn save_links(&self, links: &[Link]) -> Result<(), Error> {
        let puts = links
            .iter()
            .map(|link| to_item(&StoredLink::from(link.clone())).map(Write::Put))
            .collect::<Result<Vec<_>, _>>()?;
        self.batch_write(&self.tables.links, puts).await
    }

    async fn save_link_over(&self, link: &Link, read: Option<&Link>) -> Result<(), Error> {
        let item = to_item(&StoredLink::from(link.clone()))?;
        let guard = match read {
            None => Guard::absent(),
            Some(read) => as_read(to_item(&StoredLink::from(read.clone()))?),
        };
        if self.put_content(&self.tables.links, item, guard).await? {
            Ok(())
        } else {
            Err(conflict(link))
        }
    }

    async fn remove_link_over(&self, read: &Link) -> Result<(), Error> {
        let pk = names::of_object(&read.connection, read.object);
        let sk = read.zoho_id.padded();
        // A call that is repeated because its answer was lost meets nothing, which is as good.
        let guard = as_read(to_item(&StoredLink::from(read.clone()))?).or_absent();
        if self.delete(&self.tables.links, pk, sk, guard).await? {
            Ok(())
        } else {
            Err(conflict(read))
        }
    }

    async fn save_candidates(&self, candidates: &[Candidate]) -> Result<(), Error> {
        let puts = candidates
            .iter()
            .map(|candidate| to_item(&StoredCandidate::from(candidate.clone())).map(Write::Put))
            .collect::<Result<Vec<_>, _>>()?;
        self.batch_write(&self.tables.state, puts).await
    }

    async fn candidates(
        &self,
        connection: &ConnectionId,
        object: Object,
        after: ZohoId,
        limit: usize,
    ) -> Result<Vec<Candidate>, Error> {
        let query = Query::table(&self.tables.state, names::candidates(connection, object))
            .after(&after.padded());
        let (items, _) = self.first(&query, limit).await?;
        items.into_iter().map(candidate_of).collect()
    }

    async fn remove_candidates(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[ZohoId],
    ) -> Result<(), Error> {
        let pk = names::candidates(connection, object);
        let deletes = deletes(pk, ids.iter().map(|id| id.padded()));
        self.batch_write(&self.tables.state, deletes).await
    }

    async fn await_references(
        &self,
        connection: &ConnectionId,
        object: Object,
        waiting: &[PlatformId],
    ) -> Result<(), Error> {
        let pk = names::awaiting(connection, object);
        let puts = waiting
            .iter()
            .map(|id| Write::Put(key(pk.clone(), id.as_str())));
        self.batch_write(&self.tables.state, puts).await
    }

    async fn awaiting(
        &self,
        connection: &ConnectionId,
        object: Object,
        after: Option<&PlatformId>,
        limit: usize,
    ) -> Result<Vec<PlatformId>, Error> {
        let query = Query::table(&self.tables.state, names::awaiting(connection, object));
        let query = match after {
            Some(after) => query.after(after.as_str()),
            None => query,
        };
        let (items, _) = self.first(&query, limit).await?;
        items
            .iter()
            .map(|item| {
                text_of(item, "sk")
                    .parse()
                    .map_err(|source: crate::identifier::Error| {
                        corrupt("a platform id in a key", source)
                    })
            })
            .collect()
    }

    async fn stop_awaiting(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[PlatformId],
    ) -> Result<(), Error> {
        let pk = names::awaiting(connection, object);
        let deletes = deletes(pk, ids.iter().map(|id| id.as_str().to_owned()));
        self.batch_write(&self.tables.state, deletes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn standings() -> impl Strategy<Value = Standing> {
        let id = "[!-~]{1,40}".prop_map(|text| text.parse::<PlatformId>().unwrap());
        prop_oneof![
            Just(Standing::Unmatched),
            id.clone().prop_map(Standing::Linked),
            id.clone().prop_map(Standing::Duplicate),
            id.clone().prop_map(Standing::Unknown),
            id.prop_map(Standing::Removed),
        ]
    }

    fn dependants() -> impl Strategy<Value = Dependants> {
        prop_oneof![
            Just(Dependants::Asked),
            Just(Dependants::Due),
            any::<u128>().prop_map(Dependants::Again),
            any::<(u32, u128)>()
                .prop_map(|(at, number)| { Dependants::LeftTo(RunId::new(u64::from(at), number)) }),
        ]
    }

    proptest! {
        #[test]
        fn a_link_comes_back_as_it_was(id: u64, standing in standings(), hash: Vec<u8>, in_scope: bool, dependants in dependants()) {
            let link = Link {
                connection: "acme".parse().unwrap(),
                object: Object::Contact,
                zoho_id: id.to_string().parse().unwrap(),
                standing,
                hash: Digest::of(&hash),
                in_scope,
                dependants,
            };
            let item = to_item(&StoredLink::from(link.clone())).unwrap();
            prop_assert!(item["h"].as_b().is_ok_and(|bytes| bytes.as_ref().len() == 32));
            prop_assert_eq!(link_of(&link.connection, link.object, item).unwrap(), link);
        }
    }

    #[test]
    fn a_candidate_comes_back_as_it_was() {
        let candidate = Candidate {
            connection: "acme".parse().unwrap(),
            object: Object::Deal,
            zoho_id: "4876876000000333001".parse().unwrap(),
            platform_id: "zoho-4876876000000333001".parse().unwrap(),
            run: RunId::new(1, 1),
            reason: RemovalReason::ParentLeft,
            held: true,
        };
        let item = to_item(&StoredCandidate::from(candidate.clone())).unwrap();
        assert_eq!(candidate_of(item).unwrap(), candidate);
    }
}
