//! Settling what was written or refused: the record, its log line, its link.

use std::collections::BTreeSet;

use crate::flow::apply::{Meanwhile, Relinked, save_links};
use crate::flow::{Error, alarm, reading};
use crate::hash;
use crate::identifier::{PlatformId, ZohoId};
use crate::journal::{Direction, Entry, Outcome};
use crate::mapping::Theirs;
use crate::merge::settle;
use crate::outgoing;
use crate::port::{self, WriteRefusal};
use crate::record::{Action, Change, Link, Parked, Record};
use crate::value::Fields;

use super::waiting::take_hidden;
use super::{ATTEMPTS, Push};

/// What Zoho took.
pub(super) struct Written {
    pub(super) record: Record,
    pub(super) zoho_id: ZohoId,
    pub(super) fields: Fields,
}

impl Push<'_> {
    /// Settles what was written with what Zoho made of it, so that the next pull sees nothing new (P5, W8).
    pub(super) async fn read_back(
        &self,
        written: Vec<Written>,
        action: Action,
    ) -> Result<(), Error> {
        if written.is_empty() {
            return Ok(());
        }
        let job = self.job;
        let ids: Vec<ZohoId> = written.iter().map(|written| written.zoho_id).collect();
        let rows = self.read(&ids).await?.rows;
        let hidden = reading::hidden(job, self.plan.object).await?;
        let named = written.iter().map(|written| {
            let theirs = rows.get(&written.zoho_id);
            (written.zoho_id, written.record.id.clone(), theirs)
        });
        let opened = self.open_links(&named.collect::<Vec<_>>()).await?;
        let mut links = Vec::new();
        let mut entries = Vec::new();
        let mut touched = BTreeSet::new();
        for Written {
            record,
            zoho_id,
            mut fields,
        } in written
        {
            // Zoho ignored what was hidden by the time of the write.
            take_hidden(&mut fields, &self.plan, &hidden);
            let theirs = rows.get(&zoho_id);
            touched.extend(job.calculations.plan.touched(&record));
            let Some(saved) = self
                .save_settled(&record, zoho_id, &fields, theirs, action)
                .await?
            else {
                entries.push(self.parted(&record, zoho_id));
                continue;
            };
            entries.extend(Entry::of_change(&saved, job.retention()));
            touched.extend(job.calculations.plan.touched(&saved));
            links.extend(theirs.map(|theirs| (zoho_id, saved.id, theirs)));
        }
        job.ports.store.write(&entries).await?;
        job.calculations.mark(touched).await?;
        self.settle_links(opened, &links).await
    }

    /// Lets the links of records that are about to be stored say nothing of what their rows say, unless they say it already: cut off before the
    /// links are settled, a row that says again what it said before would count as applied. Returns the links that are to be settled.
    async fn open_links(
        &self,
        named: &[(ZohoId, PlatformId, Option<&Theirs>)],
    ) -> Result<Vec<Link>, Error> {
        let (job, object) = (self.job, self.plan.object);
        let ids: Vec<ZohoId> = named.iter().map(|(zoho_id, ..)| *zoho_id).collect();
        let stored = job.ports.store.links(job.id(), object, &ids).await?;
        let mut opening = Vec::new();
        let mut opened = Vec::new();
        for link in stored {
            let Some(theirs) = of_link(&link, named) else {
                continue;
            };
            let says_it = theirs.is_some_and(|theirs| theirs.hash == link.hash);
            // Whoever is about to tie the row to the record applies it.
            if says_it || link.hash == Link::intended() {
                continue;
            }
            let hash = theirs.map_or_else(Link::open, |theirs| Link::open_for(theirs.hash));
            if link.hash == hash || link.hash == Link::open() {
                opened.push(link);
                continue;
            }
            let open = Link {
                hash,
                ..link.clone()
            };
            opened.push(open.clone());
            opening.push(Relinked {
                link: open,
                over: Some(link),
            });
        }
        save_links(job, opening, Meanwhile::Stays).await?;
        Ok(opened)
    }

    /// Lets the links that were opened say that these rows were applied, unless somebody else is at a row by now. A row whose external id was
    /// changed is another record: its link stays open, so that the next sync parts the two (I5). Whether it is in scope, and whether its
    /// dependants were asked for, is not for writeback to say.
    async fn settle_links(
        &self,
        opened: Vec<Link>,
        settled: &[(ZohoId, PlatformId, &Theirs)],
    ) -> Result<(), Error> {
        let relinked = opened.into_iter().filter_map(|link| {
            let theirs = of_link(&link, settled)?;
            let id = link.platform_id();
            let own = theirs.identity.as_ref();
            if self.plan.settled_identity(own, id).as_ref() != id {
                return None;
            }
            Some(Relinked {
                link: Link {
                    hash: theirs.hash,
                    ..link.clone()
                },
                over: Some(link),
            })
        });
        save_links(self.job, relinked.collect(), Meanwhile::Stays).await
    }

    /// Stores a record as it is after the write; none: meanwhile it was parted from the Zoho record that was written, so that what is still
    /// to be said of it is said of another one.
    async fn save_settled(
        &self,
        written: &Record,
        zoho_id: ZohoId,
        fields: &Fields,
        theirs: Option<&Theirs>,
        action: Action,
    ) -> Result<Option<Record>, Error> {
        let store = &self.job.ports.store;
        let object = self.plan.object;
        let mut record = written.clone();
        for _ in 0..ATTEMPTS {
            if record.zoho_id != written.zoho_id && record.zoho_id != Some(zoho_id) {
                return Ok(None);
            }
            record.zoho_id = Some(zoho_id);
            let moment = self.job.moment();
            let settled = settle(&record, fields, theirs, &self.plan, &moment, action);
            match store.save_record(settled).await {
                Ok(saved) => return Ok(Some(saved)),
                Err(port::Error::Conflict { .. }) => {
                    let fresh = store
                        .records(self.job.id(), object, std::slice::from_ref(&record.id))
                        .await?
                        .pop();
                    record = fresh
                        .ok_or_else(|| port::Error::conflict(format!("{object} {}", record.id)))?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(port::Error::conflict(format!("{object} {}", record.id)).into())
    }

    /// The line in the log about a write to a Zoho record that is another record's, or nobody's, by now.
    fn parted(&self, record: &Record, zoho_id: ZohoId) -> Entry {
        let job = self.job;
        let now = job.ports.clock.now();
        let subject = format!("{}#{zoho_id}", self.plan.object);
        let reason = format!(
            "{} was written to the Zoho record when it was {}'s; by now it is not",
            record
                .pending
                .keys()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
            record.id
        );
        let note = Entry::note(
            job.id().clone(),
            now,
            Outcome::Done,
            "pushed",
            &subject,
            reason,
            job.retention(),
        );
        Entry {
            object: Some(self.plan.object),
            record: Some(record.id.clone()),
            zoho_id: Some(zoho_id),
            direction: Some(Direction::Push),
            run: job.run.clone(),
            ..note
        }
    }

    /// Stores a record whose edits need no write any more.
    pub(super) async fn save_merged(
        &self,
        record: Record,
        changed: bool,
        theirs: &Theirs,
    ) -> Result<Record, Error> {
        let (kept, opened) = self.keep_decided(record, changed, theirs).await?;
        if let Some(zoho_id) = kept.zoho_id.filter(|_| changed) {
            self.settle_links(opened, &[(zoho_id, kept.id.clone(), theirs)])
                .await?;
        }
        Ok(kept)
    }

    /// Stores what a merge decided, if it changed the record, with its line in the log: whatever becomes of the edits that are left, nobody could
    /// tell afterwards what lost against them (W4). Returns the record with nothing left to say of its last change, and its link if that was
    /// opened for it.
    pub(super) async fn keep_decided(
        &self,
        record: Record,
        changed: bool,
        theirs: &Theirs,
    ) -> Result<(Record, Vec<Link>), Error> {
        let told = |record| Record {
            change: None,
            ..record
        };
        if !changed {
            return Ok((told(record), Vec::new()));
        }
        let job = self.job;
        let opened = match record.zoho_id {
            Some(zoho_id) => {
                self.open_links(&[(zoho_id, record.id.clone(), Some(theirs))])
                    .await?
            }
            None => Vec::new(),
        };
        let saved = job.ports.store.save_record(record).await?;
        let entry = Entry::of_change(&saved, job.retention());
        job.ports.store.write(entry.as_slice()).await?;
        job.calculations.note([&saved]).await?;
        Ok((told(saved), opened))
    }

    pub(super) async fn park_refused(
        &self,
        record: Record,
        refusal: &WriteRefusal,
    ) -> Result<(), Error> {
        let remedy = outgoing::remedy(refusal);
        self.park(record, &refusal.code, refusal.field.clone(), &remedy)
            .await
    }

    /// Keeps a record's edits from being tried again until something changes (W7). One that was parked for the same reason before stays as
    /// it was, and the log does not say it again.
    pub(super) async fn park(
        &self,
        record: Record,
        code: &str,
        field: Option<String>,
        remedy: &str,
    ) -> Result<(), Error> {
        let job = self.job;
        let moment = job.moment();
        let before = record.parked.clone();
        let same = before.filter(|parked| parked.code == code && parked.field == field);
        if same.is_some() && record.create_intent.is_none() {
            return Ok(());
        }
        let quiet = same.is_some();
        let parked = same.unwrap_or_else(|| Parked {
            code: code.to_owned(),
            field,
            remedy: remedy.to_owned(),
            at: moment.now,
            attempt: hash::of_attempt(&record.pending, job.settings.version),
        });
        let updated_at = if quiet { record.updated_at } else { moment.now };
        let change = Change {
            action: Action::Parked,
            run: moment.run.clone(),
            fields: Vec::new(),
        };
        let parked = Record {
            parked: Some(parked),
            create_intent: None,
            change: (!quiet).then_some(change),
            updated_at,
            ..record
        };
        match job.ports.store.save_record(parked).await {
            Ok(saved) => {
                if !quiet {
                    alarm::edit_parked(job.id(), saved.object, code);
                }
                let entry = Entry::of_change(&saved, job.retention());
                Ok(job.ports.store.write(entry.as_slice()).await?)
            }
            // It was edited meanwhile: the edit's own message has it looked at again.
            Err(port::Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// What there is to say of the record that a link ties to its row.
fn of_link<'a, T>(link: &Link, named: &'a [(ZohoId, PlatformId, T)]) -> Option<&'a T> {
    let of = named
        .iter()
        .find(|(zoho_id, id, _)| *zoho_id == link.zoho_id && link.platform_id() == Some(id));
    of.map(|(_, _, of)| of)
}
