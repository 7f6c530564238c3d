//! Storing links over those that were read, and removing them as they were read.

use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::flow::Error;
use crate::flow::job::Job;
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
    let store = &job.ports.store;
    let save = async |relinked: &Relinked| match store
        .save_link_over(&relinked.link, relinked.over.as_ref())
        .await
    {
        Err(port::Error::Conflict { .. }) if meanwhile == Meanwhile::Stays => Ok(()),
        saved => saved,
    };
    let saves: Vec<_> = links.iter().map(save).collect();
    Ok(stream::iter(saves)
        .buffer_unordered(WRITERS)
        .try_collect()
        .await?)
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
