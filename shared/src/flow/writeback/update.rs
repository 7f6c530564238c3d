//! Updating records that Zoho has.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::flow::apply::neighbours;
use crate::flow::{Error, reading};
use crate::identifier::{PlatformId, ZohoId};
use crate::mapping::Theirs;
use crate::merge::merge;
use crate::outgoing::{self, Unsendable};
use crate::port::{CrmError, WriteRefusal};
use crate::record::{Action, Record};
use crate::row::Outgoing;
use crate::select::{IN_VALUES, Which};

use super::settle::Written;
use super::waiting::{take_hidden, take_open};
use super::{ATTEMPTS, Push, Sending};

impl Push<'_> {
    /// Brings a group's edits to Zoho, as far as they still differ from what Zoho has.
    pub(super) async fn update(&self, mut group: Vec<Record>) -> Result<(), Error> {
        for _ in 0..ATTEMPTS {
            let ids: Vec<ZohoId> = group.iter().filter_map(|record| record.zoho_id).collect();
            self.look_for_hidden(&group).await?;
            let (rows, read_at) = self.read(&ids).await?;
            let hidden = reading::hidden(self.job, self.plan.object).await?;
            let mut sending: Vec<Sending> = Vec::new();
            for record in std::mem::take(&mut group) {
                let record = self.fill_references(record).await?;
                let Some(theirs) = record.zoho_id.and_then(|id| rows.get(&id)) else {
                    let remedy =
                        "Zoho has the record no more; the next full sync removes it here too";
                    self.park(record, "NOT_IN_ZOHO", None, remedy).await?;
                    continue;
                };
                let mut merged = merge(&record, Some(theirs), &self.plan, &self.job.moment());
                // A reference whose other end is not in Zoho yet waits for it; the other values do not wait with it.
                let open = take_open(&mut merged.push);
                take_hidden(&mut merged.push, &self.plan, &hidden);
                match outgoing::update(&merged.push, theirs, &self.plan) {
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
            if sending.is_empty() {
                return Ok(());
            }
            let out: Vec<(ZohoId, Outgoing)> = sending
                .iter()
                .filter_map(|sending| Some((sending.record.zoho_id?, sending.out.clone())))
                .collect();
            // Zoho refuses to write a record that changed after the latest change that was read. It counts whole seconds, so the instant of
            // reading would let a change of the same second pass.
            let seen = sending.iter().map(|sending| {
                let theirs = rows.get(&sending.record.zoho_id?)?;
                theirs.modified_time
            });
            let seen: Option<Vec<Timestamp>> = seen.collect();
            let unmodified_since = seen.and_then(|seen| seen.into_iter().max());
            let session = &self.job.session;
            match session
                .update(
                    self.plan.object,
                    &out,
                    &self.trigger(),
                    Some(unmodified_since.unwrap_or(read_at)),
                )
                .await
            {
                Ok(reply) => {
                    let mut written = Vec::new();
                    let mut changed = Vec::new();
                    for (sending, outcome) in sending.into_iter().zip(reply.value) {
                        let Sending { record, fields, .. } = sending;
                        match outcome {
                            Ok(saved) => written.push(Written {
                                record,
                                zoho_id: saved.id,
                                fields,
                            }),
                            // Zoho's answer to a conditional write can be per record, too.
                            Err(refusal) if refusal.code == "ALREADY_MODIFIED" => {
                                changed.push(record.id);
                            }
                            Err(refusal) => self.park_refused(record, &refusal).await?,
                        }
                    }
                    self.read_back(written, Action::Pushed).await?;
                    group = self.waiting(&changed).await?;
                    if group.is_empty() {
                        return Ok(());
                    }
                }
                Err(Error::Crm(CrmError::ChangedMeanwhile)) => {
                    group = self.waiting(&ids_of(&sending)).await?;
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
                    return self.refuse_all(sending, &refusal).await;
                }
                Err(error) => return Err(error),
            }
        }
        Err(CrmError::ChangedMeanwhile.into())
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
    ) -> Result<(), Error> {
        if let [alone] = sending.as_slice() {
            return self.park_refused(alone.record.clone(), refusal).await;
        }
        let half = sending.split_off(sending.len() / 2);
        for part in [sending, half] {
            let records = self.waiting(&ids_of(&part)).await?;
            Box::pin(self.update(records)).await?;
        }
        Ok(())
    }

    /// What Zoho has of these records now, and Zoho's clock at that.
    pub(super) async fn read(
        &self,
        ids: &[ZohoId],
    ) -> Result<(BTreeMap<ZohoId, Theirs>, Timestamp), Error> {
        let which = Which::Ids(ids.to_vec());
        let page = reading::rows(self.job, &self.plan, which, IN_VALUES).await?;
        let neighbours = neighbours(self.job, &self.plan, &page.value.rows).await?;
        let rows = page.value.rows.iter();
        let rows = rows.map(|row| (row.id, self.plan.read(row, &neighbours)));
        Ok((rows.collect(), page.server_time))
    }
}

fn ids_of(sending: &[Sending]) -> Vec<PlatformId> {
    let records = sending.iter().map(|sending| &sending.record);
    records.map(|record| record.id.clone()).collect()
}
