//! Settling what was written or refused: the record, its log line, its link.

use std::collections::BTreeSet;

use crate::flow::apply::{Meanwhile, Relinked, is_taken, save_links, save_links_unless_taken};
use crate::flow::{Error, alarm, reading};
use crate::hash;
use crate::identifier::{PlatformId, ZohoId};
use crate::journal::{Direction, Entry, Outcome};
use crate::mapping::Theirs;
use crate::merge::settle;
use crate::outgoing;
use crate::port::{self, WriteRefusal};
use crate::record::{Action, Change, Link, Parked, Record};
use crate::value::{Fields, Value};

use super::waiting::take_hidden;
use super::{ATTEMPTS, Push};

/// What Zoho took.
pub(super) struct Written {
    pub(super) record: Record,
    pub(super) zoho_id: ZohoId,
    pub(super) fields: Fields,
}

/// What became of a record that was to be stored after its write.
enum Stored {
    /// It is.
    Settled(Record),
    /// Somebody else wrote it meanwhile.
    Meanwhile(Record),
    /// The same, and it is no more the Zoho record that was written: what is still to be said of it is said of another one.
    Parted,
    /// The table does not take it.
    Parked,
}

impl Push<'_> {
    /// Settles what was written with what Zoho made of it, so that the next pull sees nothing new (P5, W8). What somebody else wrote meanwhile is
    /// read once more, from both sides: that one may have brought it up to a later state of the row.
    pub(super) async fn read_back(
        &self,
        mut written: Vec<Written>,
        action: Action,
    ) -> Result<(), Error> {
        for _ in 0..ATTEMPTS {
            if written.is_empty() {
                return Ok(());
            }
            written = self.read_back_once(written, action).await?;
        }
        match written.first() {
            None => Ok(()),
            Some(Written { record, .. }) => {
                Err(port::Error::conflict(format!("{} {}", record.object, record.id)).into())
            }
        }
    }

    /// Returns what somebody else wrote meanwhile, as it is now.
    async fn read_back_once(
        &self,
        written: Vec<Written>,
        action: Action,
    ) -> Result<Vec<Written>, Error> {
        let job = self.job;
        let ids: Vec<ZohoId> = written.iter().map(|written| written.zoho_id).collect();
        let rows = self.read(&ids).await?.rows;
        let hidden = reading::hidden(job, self.plan.object).await?;
        let named = written.iter().map(|written| {
            let theirs = rows.get(&written.zoho_id);
            (written.zoho_id, written.record.id.clone(), theirs)
        });
        let (opened, taken) = self.open_links(&named.collect::<Vec<_>>()).await?;
        let mut links = Vec::new();
        let mut entries = Vec::new();
        let mut touched = BTreeSet::new();
        let mut again = Vec::new();
        for mut written in written {
            if taken.contains(&written.zoho_id) {
                again.push(written);
                continue;
            }
            // Zoho ignored what was hidden by the time of the write.
            take_hidden(&mut written.fields, &self.plan, &hidden);
            let theirs = rows.get(&written.zoho_id);
            touched.extend(job.calculations.plan.touched(&written.record));
            match self.save_settled(&written, theirs, action).await? {
                Stored::Settled(saved) => {
                    entries.extend(Entry::of_change(&saved, job.retention()));
                    touched.extend(job.calculations.plan.touched(&saved));
                    links.extend(theirs.map(|theirs| (written.zoho_id, saved.id, theirs)));
                }
                Stored::Meanwhile(record) => {
                    // What somebody else's merge decided of a field since is not taken back.
                    written.fields.retain(|name, _| {
                        let now = record.base.get(name).unwrap_or(&Value::Null);
                        let then = written.record.base.get(name).unwrap_or(&Value::Null);
                        now.same(then)
                    });
                    again.push(Written {
                        record,
                        zoho_id: written.zoho_id,
                        fields: written.fields,
                    });
                }
                Stored::Parted => entries.push(
                    self.only_in_zoho(&written, "when it was this record's; by now it is not"),
                ),
                Stored::Parked => entries.push(self.only_in_zoho(
                    &written,
                    "and the table does not take the record as it is there",
                )),
            }
        }
        job.ports.store.write(&entries).await?;
        job.calculations.mark(touched).await?;
        self.settle_links(opened, &links).await?;
        Ok(again)
    }

    /// Lets the links of records that are about to be stored say nothing of what their rows say, unless they say it already: cut off before the
    /// links are settled, a row that says again what it said before would count as applied. Returns the links that are to be settled, and the rows
    /// at which somebody else is: what they say now may be applied already, and their records are not to be stored by what was read.
    async fn open_links(
        &self,
        named: &[(ZohoId, PlatformId, Option<&Theirs>)],
    ) -> Result<(Vec<Link>, BTreeSet<ZohoId>), Error> {
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
            if says_it {
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
        let taken = save_links_unless_taken(job, &opening).await?;
        opened.retain(|link| !taken.contains(&link.zoho_id));
        Ok((opened, taken))
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

    /// Stores a record as it is after the write.
    async fn save_settled(
        &self,
        written: &Written,
        theirs: Option<&Theirs>,
        action: Action,
    ) -> Result<Stored, Error> {
        let (store, object) = (&self.job.ports.store, self.plan.object);
        let before = &written.record;
        let record = Record {
            zoho_id: Some(written.zoho_id),
            ..before.clone()
        };
        let moment = self.job.moment();
        let settled = settle(
            &record,
            &written.fields,
            theirs,
            &self.plan,
            &moment,
            action,
        );
        match store.save_record(settled).await {
            Ok(saved) => Ok(Stored::Settled(saved)),
            Err(port::Error::Conflict { .. }) => {
                let ids = std::slice::from_ref(&record.id);
                let fresh = store.records(self.job.id(), object, ids).await?.pop();
                let fresh = fresh
                    .ok_or_else(|| port::Error::conflict(format!("{object} {}", record.id)))?;
                let is_parted =
                    fresh.zoho_id != before.zoho_id && fresh.zoho_id != Some(written.zoho_id);
                Ok(match is_parted {
                    true => Stored::Parted,
                    false => Stored::Meanwhile(fresh),
                })
            }
            Err(port::Error::Refused { .. }) => {
                self.park_too_large(record).await?;
                Ok(Stored::Parked)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The line in the log about a write of which the platform's record does not tell.
    fn only_in_zoho(&self, written: &Written, why: &str) -> Entry {
        let job = self.job;
        let now = job.ports.clock.now();
        let Written {
            record,
            zoho_id,
            fields,
        } = written;
        let subject = format!("{}#{zoho_id}", self.plan.object);
        let names: Vec<String> = fields.keys().map(ToString::to_string).collect();
        let reason = format!("{} was written to the Zoho record, {why}", names.join(", "));
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
            zoho_id: Some(*zoho_id),
            direction: Some(Direction::Push),
            run: job.run.clone(),
            ..note
        }
    }

    /// Stores a record whose edits need no write any more; none if the table does not take it, and they are parked.
    pub(super) async fn save_merged(
        &self,
        before: Record,
        merged: Record,
        changed: bool,
        theirs: &Theirs,
    ) -> Result<Option<Record>, Error> {
        let kept = self.keep_decided(before, merged, changed, theirs).await?;
        let Some((kept, opened)) = kept else {
            return Ok(None);
        };
        if let Some(zoho_id) = kept.zoho_id.filter(|_| changed) {
            self.settle_links(opened, &[(zoho_id, kept.id.clone(), theirs)])
                .await?;
        }
        Ok(Some(kept))
    }

    /// Stores what a merge decided, if it changed the record, with its line in the log: whatever becomes of the edits that are left, nobody could
    /// tell afterwards what lost against them (W4). Returns the record with nothing left to say of its last change, and its link if that was
    /// opened for it; none if the table does not take it, and its edits are parked as they were before.
    pub(super) async fn keep_decided(
        &self,
        before: Record,
        merged: Record,
        changed: bool,
        theirs: &Theirs,
    ) -> Result<Option<(Record, Vec<Link>)>, Error> {
        let told = |record| Record {
            change: None,
            ..record
        };
        if !changed {
            return Ok(Some((told(merged), Vec::new())));
        }
        let job = self.job;
        let (opened, taken) = match merged.zoho_id {
            Some(zoho_id) => {
                self.open_links(&[(zoho_id, merged.id.clone(), Some(theirs))])
                    .await?
            }
            None => (Vec::new(), BTreeSet::new()),
        };
        if let Some(id) = taken.first() {
            return Err(is_taken(*id).into());
        }
        let saved = match job.ports.store.save_record(merged).await {
            Err(port::Error::Refused { .. }) => {
                self.park_too_large(before).await?;
                return Ok(None);
            }
            saved => saved?,
        };
        let entry = Entry::of_change(&saved, job.retention());
        job.ports.store.write(entry.as_slice()).await?;
        job.calculations.note([&saved]).await?;
        Ok(Some((told(saved), opened)))
    }

    /// Parks a record that the table does not take together with what Zoho has of it, or with what was tried.
    pub(super) async fn park_too_large(&self, record: Record) -> Result<(), Error> {
        let remedy = "the record is larger than the table takes together with what Zoho has of it, or with what was tried before: shorten its texts, \
                      or map fewer";
        self.park(record, "TOO_LARGE", None, remedy).await
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

    /// Keeps a record's edits from being tried again until something changes (W7). A creation of it that got no answer is still looked for.
    pub(super) async fn park(
        &self,
        record: Record,
        code: &str,
        field: Option<String>,
        remedy: &str,
    ) -> Result<(), Error> {
        let before = record.parked.clone();
        self.park_again(record, before, code, field, remedy).await
    }

    /// The same for one that was parked as `before` until it was tried: for the same reason it stays as it was, and the log does not say it
    /// again.
    pub(super) async fn park_again(
        &self,
        record: Record,
        before: Option<Parked>,
        code: &str,
        field: Option<String>,
        remedy: &str,
    ) -> Result<(), Error> {
        let job = self.job;
        let moment = job.moment();
        let same = before.filter(|parked| parked.code == code && parked.field == field);
        if same.is_some() && record.parked.is_some() {
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
            // The table has room for the record and none for the reason: that must not hold up its neighbours.
            Err(error @ port::Error::Refused { .. }) => {
                if !quiet {
                    alarm::edit_parked(job.id(), self.plan.object, code);
                }
                tracing::warn!(connection.id = %job.id(), object = %self.plan.object, code, error = %error, "an edit waits, and its record has no room for the reason");
                Ok(())
            }
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
