//! How a row is tied to the record that it is, and parted from the one that it was.

use crate::flow::Error;
use crate::identifier::{PlatformId, ZohoId};
use crate::journal::Entry;
use crate::object::Object;
use crate::record::{Action, Change, Link, Record, RemovalReason, Removed};

use super::relink::is_taken;
use super::settle::{Aside, Page, Settled};
use super::waves::ToMerge;

impl Page<'_> {
    /// Whether the row's record is stored although it may be as it was, so that somebody else who is at it meets a conflict and looks again:
    /// where the row comes to hold the record in scope, which it did not before, another row of the same identity that takes it at this moment;
    /// where another state of the row was being applied, whoever has that still to store.
    pub(super) fn claims(&self, asked: &ToMerge<'_>, settled: &Settled) -> bool {
        let holds = |link: &Link| link.in_scope && link.platform_id() == settled.link.platform_id();
        let comes = self.plan.object != Object::User
            && settled.link.in_scope
            && !asked.link.is_some_and(holds);
        let is_at_another =
            |link: &Link| !link.is_applied() && link.hash != Link::open_for(asked.theirs.hash);
        comes || asked.link.is_some_and(is_at_another)
    }

    /// Lets the row's link name the record that is about to be stored, and say nothing of what the row says. Cut off before the link is stored
    /// for good, the record would otherwise be lost from sight if the row was deleted, or its external id changed, before it is applied again;
    /// and a row that says again what it said before would count as applied.
    pub(super) async fn intend(
        &self,
        asked: &ToMerge<'_>,
        settled: &Settled,
        aside: &mut Aside,
    ) -> Result<(), Error> {
        let names_it = asked.link.and_then(Link::platform_id) == settled.link.platform_id();
        let hash = if names_it {
            Link::open_for(asked.theirs.hash)
        } else {
            Link::intended_for(asked.theirs.hash)
        };
        let link = settled.link.clone();
        self.put(asked, Link { hash, ..link }, aside).await
    }

    /// Stores the row's link as it is for the time being. One that was stored already has to be there still: whoever stored another since the
    /// record was read may have brought that up to a later state of the row.
    async fn put(&self, asked: &ToMerge<'_>, link: Link, aside: &mut Aside) -> Result<(), Error> {
        let store = &self.job.ports.store;
        let stored = aside.intended.as_ref().or(asked.link);
        if stored == Some(&link) {
            let (connection, object) = (self.job.id(), self.plan.object);
            let now = store.links(connection, object, &[link.zoho_id]).await?;
            return match now.first() == Some(&link) {
                true => Ok(()),
                false => Err(is_taken(link.zoho_id).into()),
            };
        }
        store.save_link_over(&link, stored).await?;
        aside.intended = Some(link);
        Ok(())
    }

    /// Parts the record that a row was from it, if it is not that one any more.
    pub(super) async fn part(
        &self,
        asked: &ToMerge<'_>,
        linked: Option<&PlatformId>,
        identity: &PlatformId,
        aside: &mut Aside,
    ) -> Result<(), Error> {
        let Some(former) = linked.filter(|former| *former != identity) else {
            return Ok(());
        };
        // Cut off behind it, a row that is its former record again would count as applied.
        if let Some(link) = asked.link.filter(|_| aside.intended.is_none()) {
            let open = Link {
                hash: Link::open_for(asked.theirs.hash),
                ..link.clone()
            };
            self.put(asked, open, aside).await?;
        }
        self.part_from(former, asked.row.id, aside).await
    }

    /// Parts a record from a Zoho record whose external id was changed (I5).
    async fn part_from(
        &self,
        former: &PlatformId,
        row: ZohoId,
        aside: &mut Aside,
    ) -> Result<(), Error> {
        let Some(run) = self.moment.run.clone() else {
            return Ok(());
        };
        let Some(record) = self.read(former).await? else {
            return Ok(());
        };
        // Also when an earlier attempt parted it and was cut off.
        aside
            .touched
            .extend(self.job.calculations.plan.touched(&record));
        if record.zoho_id != Some(row) {
            return Ok(());
        }
        let parted = Record {
            zoho_id: None,
            removed: Some(Removed {
                at: self.moment.now,
                run,
                reason: RemovalReason::Renamed,
            }),
            change: Some(Change {
                action: Action::Removed,
                run: self.moment.run.clone(),
                fields: Vec::new(),
            }),
            updated_at: self.moment.now,
            ..record
        };
        let saved = self.job.ports.store.save_record(parted).await?;
        aside
            .entries
            .extend(Entry::of_change(&saved, self.job.retention()));
        Ok(())
    }
}
