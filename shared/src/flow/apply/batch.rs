//! What is written for a page beside its records.

use std::collections::{BTreeMap, BTreeSet};

use crate::flow::job::Job;
use crate::identifier::{PlatformId, ZohoId};
use crate::journal::Entry;
use crate::object::Object;
use crate::record::{Candidate, Link, RemovalReason};
use crate::run::{Counter, Counters};

use super::Relinked;
use super::settle::Settled;

/// What is written for a page beside the records.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) entries: Vec<Entry>,
    pub(super) awaiting: Vec<PlatformId>,
    pub(super) renamed: Vec<ZohoId>,
    pub(super) touched: BTreeSet<PlatformId>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) links: Vec<Relinked>,
    pub(super) forgotten: Vec<Link>,
    pub(super) announce: Vec<Link>,
    pub(super) unflagged: BTreeMap<String, u64>,
}

impl Batch {
    #[expect(
        clippy::too_many_arguments,
        reason = "each says one thing about the record that leaves"
    )]
    pub(super) fn leave(
        &mut self,
        job: &Job<'_>,
        object: Object,
        zoho_id: ZohoId,
        platform_id: PlatformId,
        reason: RemovalReason,
        link: Option<&Link>,
        counters: &mut Counters,
    ) {
        counters.add(Counter::Candidates, 1);
        self.candidates
            .extend(candidate(job, object, zoho_id, platform_id, reason));
        self.links.extend(
            link.filter(|link| link.in_scope)
                .map(Relinked::out_of_scope),
        );
    }

    pub(super) fn take(&mut self, settled: Settled, counters: &mut Counters) {
        counters.add(settled.counter, 1);
        counters.add(Counter::Parked, settled.faults);
        for field in settled.unflagged {
            *self.unflagged.entry(field).or_default() += 1;
        }
        self.entries.extend(settled.entries);
        self.awaiting.extend(settled.awaiting);
        self.renamed
            .extend(settled.renames.then_some(settled.link.zoho_id));
        self.touched.extend(settled.touched);
        if settled.link.dependants.are_due() {
            self.announce.push(settled.link.clone());
        }
        if settled.relinks {
            self.links.push(Relinked {
                link: settled.link,
                over: settled.over,
            });
        }
    }
}

/// The removal candidate for a record that a full sync misses.
#[must_use]
pub fn candidate(
    job: &Job<'_>,
    object: Object,
    zoho_id: ZohoId,
    platform_id: PlatformId,
    reason: RemovalReason,
) -> Option<Candidate> {
    let run = job.run.clone()?;
    Some(Candidate {
        connection: job.id().clone(),
        object,
        zoho_id,
        platform_id,
        run,
        reason,
        held: false,
    })
}
