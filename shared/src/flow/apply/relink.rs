//! Storing links over those that were read, and removing them as they were read.

use std::collections::BTreeSet;

use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::flow::Error;
use crate::flow::job::Job;
use crate::identifier::ZohoId;
use crate::port;
use crate::record::Link;

use super::WRITERS;

/// A link as it is to be, and the one that it takes the place of (none: there was none).
pub(in crate::flow) struct Relinked {
    pub(in crate::flow) link: Link,
    pub(in crate::flow) over: Option<Link>,
}

impl Relinked {
    /// The link of a row that leaves the scope.
    pub(in crate::flow) fn out_of_scope(link: &Link) -> Self {
        Self {
            link: Link {
                in_scope: false,
                ..link.clone()
            },
            over: Some(link.clone()),
        }
    }
}

/// What a link that somebody else stored since it was read comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::flow) enum Meanwhile {
    /// A conflict: the row is to be looked at again.
    Conflicts,
    /// It stays: whoever stored it applied the row, too.
    Stays,
}

/// Stores links over those that were read.
///
/// # Errors
/// When a port fails, or when another link was stored meanwhile and that is a conflict.
pub(in crate::flow) async fn save_links(
    job: &Job<'_>,
    links: Vec<Relinked>,
    meanwhile: Meanwhile,
) -> Result<(), Error> {
    match save_links_unless_taken(job, &links).await?.first() {
        Some(id) if meanwhile == Meanwhile::Conflicts => Err(is_taken(*id).into()),
        _ => Ok(()),
    }
}

/// What a row comes to whose link somebody else stored: it is to be looked at again.
pub(in crate::flow) fn is_taken(id: ZohoId) -> port::Error {
    port::Error::conflict(format!("the link of {id}"))
}

/// Stores links over those that were read. Returns the rows whose links somebody else stored meanwhile, which stay.
///
/// # Errors
/// When a port fails.
pub(in crate::flow) async fn save_links_unless_taken(
    job: &Job<'_>,
    links: &[Relinked],
) -> Result<BTreeSet<ZohoId>, Error> {
    let store = &job.ports.store;
    let save = async |relinked: &Relinked| match store
        .save_link_over(&relinked.link, relinked.over.as_ref())
        .await
    {
        Ok(()) => Ok(None),
        Err(port::Error::Conflict { .. }) => Ok(Some(relinked.link.zoho_id)),
        Err(error) => Err(error),
    };
    let saves: Vec<_> = links.iter().map(save).collect();
    let taken: Vec<Option<ZohoId>> = stream::iter(saves)
        .buffer_unordered(WRITERS)
        .try_collect()
        .await?;
    Ok(taken.into_iter().flatten().collect())
}

/// Removes links that are as they were read.
///
/// # Errors
/// When a port fails, or when another link was stored meanwhile and that is a conflict.
pub(in crate::flow) async fn remove_links(
    job: &Job<'_>,
    links: Vec<Link>,
    meanwhile: Meanwhile,
) -> Result<(), Error> {
    let store = &job.ports.store;
    let remove = async |read: &Link| match store.remove_link_over(read).await {
        Err(port::Error::Conflict { .. }) if meanwhile == Meanwhile::Stays => Ok(()),
        removed => removed,
    };
    let removals: Vec<_> = links.iter().map(remove).collect();
    Ok(stream::iter(removals)
        .buffer_unordered(WRITERS)
        .try_collect()
        .await?)
}
