//! How a row is tied to the record that it is, and parted from the one that it was.

use crate::flow::Error;
use crate::identifier::{PlatformId, ZohoId};
use crate::journal::Entry;
use crate::object::Object;
use crate::record::{Action, Change, Link, Record, RemovalReason, Removed};

use super::settle::{Aside, Page, Settled};
use super::waves::ToMerge;

impl Page<'_> {
    /// Whether the row comes to hold its record in scope, which it did not before. Its record is then stored although it may be as it was:
    /// another row of the same identity that takes it at this moment meets a conflict, and sees that this one holds it.
    pub(super) fn claims(&self, asked: &ToMerge<'_>, settled: &Settled) -> bool {
        let holds = |link: &Link| link.in_scope && link.platform_id() == settled.link.platform_id();
        self.plan.object != Object::User && settled.link.in_scope && !asked.link.is_some_and(holds)
    }

    /// Lets the row's link name the record that is about to be tied to it, or to be held in scope by it again. Cut off before the link is
    /// stored for good, the record would otherwise be lost from sight if the row was deleted, or its external id changed, before it is applied
    /// again. Returns what was stored. Users are never removed, and keep their ids.
    pub(super) async fn intend(
        &self,
        asked: &ToMerge<'_>,
        settled: &Settled,
    ) -> Result<Option<Link>, Error> {
        let names_it = asked.link.and_then(Link::platform_id) == settled.link.platform_id();
        if self.plan.object == Object::User || (names_it && !self.claims(asked, settled)) {
            return Ok(None);
        }
        let intended = Link {
            hash: if names_it {
                Link::open()
            } else {
                Link::intended()
            },
            ..settled.link.clone()
        };
        let store = &self.job.ports.store;
        store.save_link_over(&intended, asked.link).await?;
        Ok(Some(intended))
    }

    /// Parts the record that a row was from it, if it is not that one any more.
    pub(super) async fn part(
        &self,
        asked: &ToMerge<'_>,
        linked: Option<&PlatformId>,
        identity: &PlatformId,
        aside: &mut Aside,
    ) -> Result<(), Error> {
        match linked.filter(|former| *former != identity) {
            Some(former) => self.part_from(former, asked.row.id, aside).await,
            None => Ok(()),
        }
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
