//! The rows of a page that have to be merged into their records, and which of them goes first.

use std::collections::BTreeSet;

use crate::identifier::{PlatformId, ZohoId};
use crate::mapping::{FieldPlan, Theirs};
use crate::record::Link;
use crate::row::Row;

/// A row that has to be merged into its record.
pub(super) struct ToMerge<'a> {
    pub(super) row: &'a Row,
    pub(super) theirs: Theirs,
    pub(super) link: Option<&'a Link>,
    pub(super) admitted: bool,
}

/// Rows that become another record than the one they were (I5), which comes with them.
pub(super) fn parting<'a>(
    plan: &'a FieldPlan,
    to_merge: &'a [ToMerge<'_>],
) -> impl Iterator<Item = (ZohoId, PlatformId)> + 'a {
    let parts = |asked: &ToMerge<'_>| {
        let own = asked.theirs.identity.as_ref();
        let linked = asked.link.and_then(Link::platform_id)?;
        let parts = plan.settled_identity(own, Some(linked)).as_ref() != Some(linked);
        parts.then(|| (asked.row.id, linked.clone()))
    };
    to_merge.iter().filter_map(parts)
}

/// The oldest row of an identity goes first: it is the one that keeps the identity (I3). The others of it follow, side by side.
pub(super) fn waves<'a>(plan: &FieldPlan, mut to_merge: Vec<ToMerge<'a>>) -> [Vec<ToMerge<'a>>; 2] {
    to_merge.sort_by_key(|asked| asked.row.id);
    let mut seen = BTreeSet::new();
    let (first, later) = to_merge.into_iter().partition(|asked| {
        let own = asked.theirs.identity.as_ref();
        plan.settled_identity(own, asked.link.and_then(Link::known_as))
            .is_none_or(|id| seen.insert(id))
    });
    [first, later]
}

/// Rows whose records were to be removed and that are in scope again.
pub(super) fn returned(to_merge: &[ToMerge<'_>]) -> Vec<ZohoId> {
    to_merge
        .iter()
        .filter(|asked| {
            asked.admitted
                && asked
                    .link
                    .is_some_and(|link| !link.in_scope && link.platform_id().is_some())
        })
        .map(|asked| asked.row.id)
        .collect()
}
