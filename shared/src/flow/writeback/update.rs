//! Updating records that Zoho has.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::flow::apply::neighbours;
use crate::flow::poll::{SWEEP_AFTER, push_messages};
use crate::flow::{Error, reading};
use crate::identifier::{PlatformId, ZohoId};
use crate::mapping::Theirs;
use crate::merge::merge;
use crate::outgoing::{self, Unsendable};
use crate::port::{CrmError, Saved, WriteRefusal};
use crate::record::{Action, CLOCK_SKEW, Record};
use crate::row::Outgoing;
use crate::select::{IN_VALUES, Which};

use super::settle::Written;
use super::waiting::{take_hidden, take_open};
use super::{ATTEMPTS, Push, SETTLES, Sending, ids_of};

/// What Zoho has of some records.
pub(super) struct Read {
    pub(super) rows: BTreeMap<ZohoId, Theirs>,
    /// Zoho's clock when it was asked, and when it answered.
    asked: Timestamp,
    answered: Timestamp,
}

impl Read {
    /// What changed until then was read, and does not change again within the same second.
    fn settled(&self) -> Timestamp {
        self.asked.saturating_sub(SETTLES).unwrap_or(self.asked)
    }

    /// Whether a record changed just now, so that a further change could not be told from that one. Beyond what clocks may differ by it is
    /// Zoho's clock that was put back.
    fn is_unsettled(&self, theirs: &Theirs) -> bool {
        let ahead = self
            .answered
            .saturating_add(CLOCK_SKEW)
            .unwrap_or(self.answered);
        theirs
            .modified_time
            .is_some_and(|modified| modified > self.settled() && modified <= ahead)
    }

    /// Whether Zoho shows when records changed: not to every user.
    fn shows_times(&self) -> bool {
        let mut rows = self.rows.values();
        rows.all(|theirs| theirs.modified_time.is_some())
    }

    /// The latest change of these records that was read.
    fn unmodified_since(&self, sending: &[Sending]) -> Timestamp {
        let read = sending.iter().filter_map(|sending| {
            let theirs = self.rows.get(&sending.record.zoho_id?)?;
            theirs.modified_time
        });
        match self.shows_times() {
            true => read.max().unwrap_or_else(|| self.settled()),
            false => self.settled(),
        }
    }
}

impl Push<'_> {
    /// Brings a group's edits to Zoho, as far as they still differ from what Zoho has. Returns the records whose edits wait, because the records
    /// changed in Zoho just now.
    pub(super) async fn update(&self, mut group: Vec<Record>) -> Result<Vec<PlatformId>, Error> {
        let mut unsettled = Vec::new();
        for _ in 0..ATTEMPTS {
            let ids: Vec<ZohoId> = group.iter().filter_map(|record| record.zoho_id).collect();
            self.look_for_hidden(&group).await?;
            let read = self.read(&ids).await?;
            let sending = self.decide(group, &read, &mut unsettled).await?;
            if sending.is_empty() {
                return Ok(unsettled);
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
                // Where Zoho does not say which record changed, nor when.
                Err(Error::Crm(CrmError::ChangedMeanwhile))
                    if !read.shows_times() && sending.len() > 1 =>
                {
                    unsettled.extend(self.halves(sending).await?);
                    return Ok(unsettled);
                }
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
                    unsettled.extend(self.refuse_all(sending, &refusal).await?);
                    return Ok(unsettled);
                }
                Err(error) => return Err(error),
            };
            if !read.shows_times() {
                // It may be the change that was read: only time tells.
                unsettled.extend(changed);
                return Ok(unsettled);
            }
            group = self.members(&changed).await?;
            if group.is_empty() {
                return Ok(unsettled);
            }
        }
        Err(CrmError::ChangedMeanwhile.into())
    }

    /// What is to be written of records, given what Zoho has of them. Those of which nothing is are settled here. Of those that would be written
    /// but changed just now nothing is decided.
    async fn decide(
        &self,
        group: Vec<Record>,
        read: &Read,
        unsettled: &mut Vec<PlatformId>,
    ) -> Result<Vec<Sending>, Error> {
        let hidden = reading::hidden(self.job, self.plan.object).await?;
        let mut sending = Vec::new();
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
                Ok(out) if !out.is_empty() && read.is_unsettled(theirs) => {
                    unsettled.push(record.id);
                }
                Ok(out) if !out.is_empty() => {
                    let kept = self
                        .keep_decided(record, merged.record, merged.changed, theirs)
                        .await?;
                    let Some((record, _)) = kept else { continue };
                    sending.push(Sending {
                        record,
                        fields: merged.push,
                        out,
                    });
                }
                Ok(_) | Err(Unsendable::NotInZoho { .. }) => {
                    let kept = self
                        .save_merged(record, merged.record, merged.changed, theirs)
                        .await?;
                    if let Some(kept) = kept {
                        self.park_stuck(kept, &open, &hidden).await?;
                    }
                }
            }
        }
        Ok(sending)
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

    /// Has records looked at again when what changed in Zoho has settled. What has waited for longer the sweep looks at, so that a record which
    /// changes all the time does not cost a call every time.
    pub(super) async fn look_again(&self, ids: &[PlatformId]) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let job = self.job;
        let now = job.ports.clock.now();
        let mut soon = Vec::new();
        for record in self.waiting(ids).await? {
            let record = match record.parked {
                Some(_) => self.free(&record).await?,
                None => Some(record),
            };
            let is_young = |record: &Record| {
                let latest = record.pending.values().map(|pending| pending.at).max();
                latest.is_some_and(|latest| now.duration_since(latest) < SWEEP_AFTER)
            };
            let young = record.filter(is_young);
            soon.extend(young.map(|record| (record.object, record.id)));
        }
        tracing::info!(connection.id = %job.id(), object = %self.plan.object, records = ids.len(), "put off, because they changed in Zoho just now");
        let messages = push_messages(job.id(), &soon);
        let queue = &job.ports.queue;
        Ok(queue.send_writeback_later(&messages, SETTLES).await?)
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
        sending: Vec<Sending>,
        refusal: &WriteRefusal,
    ) -> Result<Vec<PlatformId>, Error> {
        if let [alone] = sending.as_slice() {
            self.park_refused(alone.record.clone(), refusal).await?;
            return Ok(Vec::new());
        }
        self.halves(sending).await
    }

    /// Brings each half of a group to Zoho by itself.
    async fn halves(&self, mut sending: Vec<Sending>) -> Result<Vec<PlatformId>, Error> {
        let mut unsettled = Vec::new();
        let half = sending.split_off(sending.len() / 2);
        for part in [sending, half] {
            let ids = ids_of(part.iter().map(|sending| &sending.record));
            let records = self.members(&ids).await?;
            unsettled.extend(Box::pin(self.update(records)).await?);
        }
        Ok(unsettled)
    }

    /// What Zoho has of these records now.
    pub(super) async fn read(&self, ids: &[ZohoId]) -> Result<Read, Error> {
        let which = Which::Ids(ids.to_vec());
        let clock = &self.job.ports.clock;
        let asked = clock.now();
        let page = reading::rows(self.job, &self.plan, which, IN_VALUES).await?;
        let took = clock.now().duration_since(asked);
        let neighbours = neighbours(self.job, &self.plan, &page.value.rows).await?;
        let rows = page.value.rows.iter();
        let rows = rows.map(|row| (row.id, self.plan.read(row, &neighbours)));
        Ok(Read {
            rows: rows.collect(),
            asked: page
                .server_time
                .saturating_sub(took)
                .unwrap_or(page.server_time),
            answered: page.server_time,
        })
    }
}
