//! Updating records that Zoho has.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::flow::apply::neighbours;
use crate::flow::{Error, reading};
use crate::identifier::{PlatformId, ZohoId};
use crate::mapping::Theirs;
use crate::merge::merge;
use crate::outgoing::{self, Unsendable};
use crate::port::{CrmError, Saved, WriteRefusal};
use crate::record::{Action, Record};
use crate::row::Outgoing;
use crate::select::{IN_VALUES, Which};

use super::settle::Written;
use super::waiting::{take_hidden, take_open};
use super::{ATTEMPTS, Push, Sending, ids_of};

/// Zoho's condition on a write counts whole seconds, and its clock may have gone on by one between the reading of rows and the answer: what changed
/// less than this before the answer may change again within the same second, which the condition would let pass.
const SETTLES: SignedDuration = SignedDuration::from_secs(2);

/// How far beyond the answer's clock a change may lie that was made just now. Further on it is Zoho's clock that was put back.
const AHEAD: SignedDuration = SignedDuration::from_secs(1);

/// What Zoho has of some records.
pub(super) struct Read {
    pub(super) rows: BTreeMap<ZohoId, Theirs>,
    /// Zoho's clock at that.
    at: Timestamp,
}

impl Read {
    /// The latest instant up to which every change was read.
    fn settled(&self) -> Timestamp {
        self.at.saturating_sub(SETTLES).unwrap_or(self.at)
    }

    /// Whether a record changed just now, so that a further change could not be told from that one.
    fn just_changed(&self, theirs: &Theirs) -> bool {
        let ahead = self.at.saturating_add(AHEAD).unwrap_or(self.at);
        theirs
            .modified_time
            .is_some_and(|modified| modified > self.settled() && modified <= ahead)
    }

    /// The latest change of these records that was read. Zoho does not show every user when a record changed.
    fn unmodified_since(&self, sending: &[Sending]) -> Timestamp {
        let seen = sending.iter().map(|sending| {
            let theirs = self.rows.get(&sending.record.zoho_id?)?;
            theirs.modified_time
        });
        let seen: Option<Vec<Timestamp>> = seen.collect();
        let latest = seen.and_then(|seen| seen.into_iter().max());
        latest.unwrap_or_else(|| self.settled())
    }
}

impl Push<'_> {
    /// Brings a group's edits to Zoho, as far as they still differ from what Zoho has. Returns whether some wait because their records changed in
    /// Zoho just now ([`JUST_CHANGED`](super::JUST_CHANGED)).
    pub(super) async fn update(&self, mut group: Vec<Record>) -> Result<bool, Error> {
        let mut some_wait = false;
        for _ in 0..ATTEMPTS {
            let ids: Vec<ZohoId> = group.iter().filter_map(|record| record.zoho_id).collect();
            self.look_for_hidden(&group).await?;
            let read = self.read(&ids).await?;
            let (sending, changing) = self.decide(group, &read).await?;
            some_wait |= changing;
            if sending.is_empty() {
                return Ok(some_wait);
            }
            let out: Vec<(ZohoId, Outgoing)> = sending
                .iter()
                .filter_map(|sending| Some((sending.record.zoho_id?, sending.out.clone())))
                .collect();
            let session = &self.job.session;
            let sent = session
                .update(
                    self.plan.object,
                    &out,
                    &self.trigger(),
                    Some(read.unmodified_since(&sending)),
                )
                .await;
            let changed = match sent {
                Ok(reply) => self.settle_each(sending, reply.value).await?,
                Err(Error::Crm(CrmError::ChangedMeanwhile)) => {
                    ids_of(sending.iter().map(|sending| &sending.record))
                }
                Err(Error::Crm(CrmError::Refused {
                    code,
                    message,
                    field,
                })) => {
                    let refusal = WriteRefusal {
                        code,
                        field,
                        message,
                        duplicate_of: None,
                    };
                    return Ok(self.refuse_all(sending, &refusal).await? || some_wait);
                }
                Err(error) => return Err(error),
            };
            group = self.waiting(&changed).await?;
            if group.is_empty() {
                return Ok(some_wait);
            }
        }
        Err(CrmError::ChangedMeanwhile.into())
    }

    /// What is to be written of records, given what Zoho has of them. Those of which nothing is are settled here. Returns also whether some wait
    /// because they changed just now: nothing is decided of these.
    async fn decide(&self, group: Vec<Record>, read: &Read) -> Result<(Vec<Sending>, bool), Error> {
        let hidden = reading::hidden(self.job, self.plan.object).await?;
        let mut sending = Vec::new();
        let mut some_wait = false;
        for record in group {
            let record = self.fill_references(record).await?;
            let Some(theirs) = record.zoho_id.and_then(|id| read.rows.get(&id)) else {
                let remedy = "Zoho has the record no more; the next full sync removes it here too";
                self.park(record, "NOT_IN_ZOHO", None, remedy).await?;
                continue;
            };
            let mut merged = merge(&record, Some(theirs), &self.plan, &self.job.moment());
            // A reference whose other end is not in Zoho yet waits for it; the other values do not wait with it.
            let open = take_open(&mut merged.push);
            take_hidden(&mut merged.push, &self.plan, &hidden);
            match outgoing::update(&merged.push, theirs, &self.plan) {
                Ok(out) if !out.is_empty() && read.just_changed(theirs) => some_wait = true,
                Ok(out) if !out.is_empty() => sending.push(Sending {
                    parked: merged.record.parked.clone(),
                    record: self.keep_overruled(merged.record, merged.changed).await?,
                    fields: merged.push,
                    out,
                }),
                Ok(_) | Err(Unsendable::NotInZoho { .. }) => {
                    let kept = self
                        .save_merged(merged.record, merged.changed, theirs)
                        .await?;
                    self.park_stuck(kept, &open, &hidden).await?;
                }
            }
        }
        Ok((sending, some_wait))
    }

    /// Settles each record as Zoho answered for it. Returns those that changed since they were read.
    async fn settle_each(
        &self,
        sending: Vec<Sending>,
        outcomes: Vec<Result<Saved, WriteRefusal>>,
    ) -> Result<Vec<PlatformId>, Error> {
        let mut written = Vec::new();
        let mut changed = Vec::new();
        for (sending, outcome) in sending.into_iter().zip(outcomes) {
            let Sending { record, fields, .. } = sending;
            match outcome {
                Ok(saved) => written.push(Written {
                    record,
                    zoho_id: saved.id,
                    fields,
                }),
                // Zoho's answer to a conditional write can be per record, too.
                Err(refusal) if refusal.code == "ALREADY_MODIFIED" => changed.push(record.id),
                Err(refusal) => self.park_refused(record, &refusal).await?,
            }
        }
        self.read_back(written, Action::Pushed).await?;
        Ok(changed)
    }

    /// Has Zoho asked again for fields that it did not show, if they were edited: they may be shown by now.
    async fn look_for_hidden(&self, group: &[Record]) -> Result<(), Error> {
        let hidden = reading::hidden(self.job, self.plan.object).await?;
        let mut edited = group.iter().flat_map(|record| record.pending.keys());
        if edited.any(|name| self.plan.is_among(name, &hidden)) {
            reading::look_anew(self.job, self.plan.object).await?;
        }
        Ok(())
    }

    /// A call that was refused as a whole is halved until the record that spoils it is found.
    async fn refuse_all(
        &self,
        mut sending: Vec<Sending>,
        refusal: &WriteRefusal,
    ) -> Result<bool, Error> {
        if let [alone] = sending.as_slice() {
            self.park_refused(alone.record.clone(), refusal).await?;
            return Ok(false);
        }
        let mut some_wait = false;
        let half = sending.split_off(sending.len() / 2);
        for part in [sending, half] {
            let records = self
                .waiting(&ids_of(part.iter().map(|sending| &sending.record)))
                .await?;
            some_wait |= Box::pin(self.update(records)).await?;
        }
        Ok(some_wait)
    }

    /// What Zoho has of these records now.
    pub(super) async fn read(&self, ids: &[ZohoId]) -> Result<Read, Error> {
        let which = Which::Ids(ids.to_vec());
        let page = reading::rows(self.job, &self.plan, which, IN_VALUES).await?;
        let neighbours = neighbours(self.job, &self.plan, &page.value.rows).await?;
        let rows = page.value.rows.iter();
        let rows = rows.map(|row| (row.id, self.plan.read(row, &neighbours)));
        Ok(Read {
            rows: rows.collect(),
            at: page.server_time,
        })
    }
}
