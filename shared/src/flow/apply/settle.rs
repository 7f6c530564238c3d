//! Settling one row: which record it is, what merging it in comes to, and what its link says afterwards.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::flow::Error;
use crate::flow::job::Job;
use crate::identifier::{PlatformId, ZohoId};
use crate::journal::{Entry, Outcome};
use crate::mapping::{Fault, FieldPlan};
use crate::merge::{Moment, merge};
use crate::object::Object;
use crate::port;
use crate::record::{Action, Change, Dependants, Link, Record, Standing};
use crate::run::Counter;
use crate::settings::SourceMode;

use super::waves::ToMerge;
use super::{Mode, has_open_reference};

/// How often a record that somebody else wrote meanwhile is read again.
const ATTEMPTS: usize = 5;

/// What is known while a page's rows are settled.
pub(super) struct Page<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) plan: &'a FieldPlan,
    /// The records that the rows may be, as they were read for the page.
    pub(super) records: BTreeMap<PlatformId, Record>,
    /// The page's rows that leave the scope, or their record for another one, with the records that they leave.
    pub(super) leaving: BTreeSet<(ZohoId, PlatformId)>,
    /// The page's rows that are tied to a record by now, although their links are not stored yet.
    pub(super) brought: BTreeMap<ZohoId, PlatformId>,
    pub(super) moment: Moment,
    pub(super) mode: Mode,
    /// What changed before that had been flagged by Zoho, and came with a routine sync.
    pub(super) flagged_until: Option<Timestamp>,
}

/// What became of one row.
pub(super) struct Settled {
    /// The link as it is to be.
    pub(super) link: Link,
    /// What is stored, as far as this worker knows.
    pub(super) over: Option<Link>,
    /// Whether the link differs from that.
    pub(super) relinks: bool,
    pub(super) counter: Counter,
    pub(super) entries: Vec<Entry>,
    /// The record, where it refers to something that is not there yet.
    pub(super) awaiting: Option<PlatformId>,
    /// Whether what refers to the row named another record until now, or may have.
    pub(super) renames: bool,
    /// How many of its values could not be converted.
    pub(super) faults: u64,
    /// The Zoho fields that changed although Zoho had not flagged the record as changed: formulas, roll-ups.
    pub(super) unflagged: Vec<String>,
    /// The accounts whose calculated fields may come to something else now (F5).
    pub(super) touched: BTreeSet<PlatformId>,
}

/// What settling a row did on the way.
#[derive(Default)]
pub(super) struct Aside {
    /// Its link as it was stored already, before its record.
    pub(super) intended: Option<Link>,
    pub(super) entries: Vec<Entry>,
    pub(super) touched: BTreeSet<PlatformId>,
}

/// What bringing a row into its record comes to.
struct BroughtIn {
    record: Record,
    changed: bool,
    counter: Counter,
    /// The record was brought up to a later row meanwhile.
    overtaken: bool,
}

impl Page<'_> {
    /// Settles a row; its record is stored when this returns, its link and its log lines are not.
    pub(super) async fn settle(&self, asked: &ToMerge<'_>) -> Result<Settled, Error> {
        let mut aside = Aside::default();
        let mut settled = match self.settle_as(asked, &mut aside).await {
            Ok(settled) => settled,
            Err(error) => {
                // What was done on the way is done, whatever came of the row.
                self.job.ports.store.write(&aside.entries).await?;
                return Err(error);
            }
        };
        settled.renames = asked
            .link
            .is_some_and(|link| link.known_as().is_some() && link.named() != settled.link.named());
        settled.relinks |= aside.intended.is_some();
        settled.over = aside.intended.or(settled.over);
        settled.entries.extend(aside.entries);
        settled.touched.extend(aside.touched);
        Ok(settled)
    }

    async fn settle_as(&self, asked: &ToMerge<'_>, aside: &mut Aside) -> Result<Settled, Error> {
        let linked = asked.link.and_then(Link::platform_id);
        let own = asked.theirs.identity.as_ref();
        let Some(identity) = self
            .plan
            .settled_identity(own, asked.link.and_then(Link::known_as))
        else {
            let mut settled = self.settled(asked, Standing::Unmatched, Counter::Unmatched);
            let reason = "it has no external id: fill the field in Zoho";
            settled
                .entries
                .push(self.note(asked, None, "unmatched", reason));
            return Ok(settled);
        };
        let mut known = self.records.get(&identity).cloned();
        for _ in 0..ATTEMPTS {
            if let Some(owner) = known
                .as_ref()
                .and_then(|record| owner(record, asked.row.id))
                && self.still_owns(owner, &identity).await?
            {
                self.part(asked, linked, &identity, aside).await?;
                return Ok(self.duplicate(asked, &identity, owner));
            }
            let removed = |record: &Record| record.removed.is_some();
            if !asked.admitted && linked == Some(&identity) && known.as_ref().is_some_and(removed) {
                // Removed since the link was read, by whoever marks the link; only a row in scope brings it back.
                return Ok(self.left_alone(asked, Counter::OutOfScope));
            }
            let is_new = known.is_none();
            if is_new && let Some(link) = asked.link {
                let not_taken = self.not_taken(asked, &identity, is_new);
                if *link == not_taken.link {
                    return Ok(not_taken);
                }
            }
            let enriches = self.job.settings.settings.source_mode == SourceMode::EnrichOnly;
            if is_new && enriches && self.plan.object != Object::User {
                let standing = Standing::Unknown(identity.clone());
                self.part(asked, linked, &identity, aside).await?;
                return Ok(self.settled(asked, standing, Counter::Unknown));
            }
            let calculated = &self.job.calculations.plan;
            // Also where it was before: an attempt that moved it there may have been cut off.
            let was_at = known.as_ref().map(|before| calculated.touched(before));
            // Whoever removed it may have been cut off before its line.
            let line_of_removal = known
                .as_ref()
                .filter(|before| removed(before))
                .and_then(|before| self.job.late_line(before));
            let brought = self.bring_in(asked, known, &identity);
            let mut settled =
                self.settled(asked, Standing::Linked(identity.clone()), brought.counter);
            if brought.overtaken {
                // Whoever was faster has stored the link, or has its message delivered again.
                settled.relinks = false;
                aside.intended = None;
                return Ok(settled);
            }
            self.part(asked, linked, &identity, aside).await?;
            let claims = self.claims(asked, &settled);
            if brought.changed || claims {
                self.intend(asked, &settled, aside).await?;
            }
            if let Some(line) = line_of_removal {
                self.job.ports.store.write(&[line]).await?;
            }
            let record = match brought.changed {
                false if claims => self.as_it_was(brought.record).await?,
                _ => brought.record,
            };
            let saved = match brought.changed || claims {
                false => record,
                true => match self.job.ports.store.save_record(record).await {
                    Ok(saved) => saved,
                    Err(port::Error::Conflict { .. }) => {
                        known = self.read(&identity).await?;
                        continue;
                    }
                    Err(port::Error::Refused { .. }) => {
                        return Ok(self.too_large(asked, &identity, is_new));
                    }
                    Err(error) => return Err(error.into()),
                },
            };
            // Also when nothing changed just now: an earlier attempt may have been cut off between the record and the marks.
            settled.touched.extend(calculated.touched(&saved));
            settled.touched.extend(
                was_at
                    .filter(|_| brought.changed || claims)
                    .into_iter()
                    .flatten(),
            );
            settled.entries.extend(match brought.changed {
                true => Entry::of_change(&saved, self.job.retention()),
                false => self.job.late_line(&saved),
            });
            if brought.changed && brought.counter == Counter::Updated && self.is_unflagged(asked) {
                settled.unflagged = self.changed_fields(&saved);
            }
            settled.faults = asked.theirs.faults.len() as u64;
            settled.entries.extend(
                asked
                    .theirs
                    .faults
                    .iter()
                    .map(|fault| self.fault(asked, &identity, fault)),
            );
            settled.awaiting = has_open_reference(&saved).then_some(identity);
            return Ok(settled);
        }
        Err(port::Error::conflict(format!("{} {identity}", self.plan.object)).into())
    }

    fn settled(&self, asked: &ToMerge<'_>, standing: Standing, counter: Counter) -> Settled {
        let was_in = asked.link.is_some_and(|link| link.in_scope);
        let linked = matches!(standing, Standing::Linked(_));
        let newly_in = asked.admitted
            && !(was_in && asked.link.is_some_and(|link| link.platform_id().is_some()));
        // What a row without a record says does not matter, only whether it is one.
        let hash = if linked {
            asked.theirs.hash
        } else {
            self.plan.digest
        };
        let link = Link {
            connection: self.job.id().clone(),
            object: self.plan.object,
            zoho_id: asked.row.id,
            standing,
            hash,
            in_scope: linked && (asked.admitted || was_in),
            dependants: match linked {
                true => self.dependants(newly_in, asked.link),
                false => Dependants::Asked,
            },
        };
        Settled {
            relinks: asked.link != Some(&link),
            over: asked.link.cloned(),
            link,
            counter,
            entries: Vec::new(),
            awaiting: None,
            renames: false,
            touched: BTreeSet::new(),
            faults: 0,
            unflagged: Vec::new(),
        }
    }

    /// Whether the dependants of a row that is in scope were asked for, or who does it (S5).
    fn dependants(&self, newly_in: bool, link: Option<&Link>) -> Dependants {
        let before = link.map_or(&Dependants::Asked, |link| &link.dependants);
        if self.plan.object.dependants().is_empty() {
            return Dependants::Asked;
        }
        match (self.mode, &self.job.run) {
            _ if !newly_in && !before.are_due() => before.clone(),
            (Mode::Full, Some(run)) => Dependants::LeftTo(run.clone()),
            _ => Dependants::Due,
        }
    }

    fn duplicate(&self, asked: &ToMerge<'_>, identity: &PlatformId, owner: ZohoId) -> Settled {
        let mut settled = self.settled(
            asked,
            Standing::Duplicate(identity.clone()),
            Counter::Duplicates,
        );
        if asked.link.map(|link| &link.standing) != Some(&settled.link.standing) {
            let reason = format!(
                "Zoho record {owner} has the same external id and came first: give one of them another"
            );
            settled
                .entries
                .push(self.note(asked, Some(identity), "duplicate", &reason));
        }
        settled
    }

    /// A row that is not brought in. Its link stays as it is, so that the row is looked at again.
    fn left_alone(&self, asked: &ToMerge<'_>, counter: Counter) -> Settled {
        let standing = asked
            .link
            .map_or(Standing::Unmatched, |link| link.standing.clone());
        let mut settled = self.settled(asked, standing, counter);
        settled.relinks = false;
        settled.link.dependants = Dependants::Asked;
        settled
    }

    /// A row whose record the table does not take.
    fn too_large(&self, asked: &ToMerge<'_>, identity: &PlatformId, is_new: bool) -> Settled {
        let mut settled = self.not_taken(asked, identity, is_new);
        let reason = "the record is larger than the table takes: map fewer or shorter text fields";
        settled.entries.push(Entry {
            outcome: Outcome::Parked,
            ..self.note(asked, Some(identity), "too large", reason)
        });
        settled
    }

    /// The same without a word about it. The link is open for what the row says, and names the record only where the platform has that.
    fn not_taken(&self, asked: &ToMerge<'_>, identity: &PlatformId, is_new: bool) -> Settled {
        let standing = match is_new {
            true => Standing::Unmatched,
            false => Standing::Linked(identity.clone()),
        };
        let mut settled = self.settled(asked, standing, Counter::TooLarge);
        settled.link.hash = Link::open_for(asked.theirs.hash);
        settled.relinks = asked.link != Some(&settled.link);
        settled
    }

    /// Whether what the row says had changed before the instant up to which everything flagged was brought in.
    fn is_unflagged(&self, asked: &ToMerge<'_>) -> bool {
        let modified = asked.theirs.modified_time;
        self.flagged_until
            .zip(modified)
            .is_some_and(|(until, modified)| modified < until)
    }

    fn changed_fields(&self, record: &Record) -> Vec<String> {
        let changed = record.change.iter().flat_map(|change| &change.fields);
        changed
            .filter_map(|change| self.plan.field(&change.field))
            .map(|mapped| mapped.zoho.to_string())
            .collect()
    }

    /// Whether another Zoho record keeps the identity: it does unless it leaves the scope itself.
    async fn still_owns(&self, owner: ZohoId, identity: &PlatformId) -> Result<bool, Error> {
        if self.brought.get(&owner) == Some(identity) {
            return Ok(true);
        }
        if self.leaving.contains(&(owner, identity.clone())) {
            return Ok(false);
        }
        let links = self
            .job
            .ports
            .store
            .links(self.job.id(), self.plan.object, &[owner])
            .await?;
        // No link yet: its own row is being applied right now, or was cut off before the link; it came first all the same.
        Ok(links
            .first()
            .is_none_or(|link| link.platform_id() == Some(identity) && link.in_scope))
    }

    fn bring_in(
        &self,
        asked: &ToMerge<'_>,
        known: Option<Record>,
        identity: &PlatformId,
    ) -> BroughtIn {
        let is_new = known.is_none();
        let mut before = known.unwrap_or_else(|| {
            Record::new(
                self.job.id().clone(),
                self.plan.object,
                identity.clone(),
                self.moment.now,
            )
        });
        let restored = before.removed.take().is_some();
        let adopted = before.zoho_id != Some(asked.row.id);
        if adopted {
            before.zoho_modified_time = None;
        }
        before.zoho_id = Some(asked.row.id);
        if let Some(intent) = before.create_intent.take() {
            before.base.extend(intent.agreed(&asked.theirs.values));
        }
        let merged = merge(&before, Some(&asked.theirs), self.plan, &self.moment);
        let mut record = merged.record;
        let (counter, action) = match (is_new, restored, adopted, merged.changed) {
            (true, ..) => (Counter::Created, Some(Action::Created)),
            (_, true, ..) => (Counter::Restored, Some(Action::Restored)),
            (_, _, true, _) => (Counter::Updated, Some(Action::Relinked)),
            (_, _, _, true) => (Counter::Updated, None),
            (_, _, _, false) => (Counter::Unchanged, None),
        };
        let changed = action.is_some() || merged.changed;
        if changed {
            record.updated_at = self.moment.now;
            record.zoho_modified_time = asked.theirs.modified_time.or(record.zoho_modified_time);
            // Zoho's side moved: what was refused before is worth another try (W7).
            record.parked = None;
        }
        if let Some(action) = action {
            let change = merged.changed.then(|| record.change.take()).flatten();
            let fields = change.map(|change| change.fields).unwrap_or_default();
            record.change = Some(Change {
                action,
                run: self.moment.run.clone(),
                fields,
            });
        }
        BroughtIn {
            record,
            changed,
            counter,
            overtaken: action.is_none()
                && before.is_ahead_of(asked.theirs.modified_time, self.moment.now),
        }
    }

    /// A record as its next version that changes nothing, once the line of the version before is in the log, and what only its change tells to
    /// calculate is marked.
    async fn as_it_was(&self, record: Record) -> Result<Record, Error> {
        let line = self.job.late_line(&record);
        self.job.ports.store.write(line.as_slice()).await?;
        let calculations = &self.job.calculations;
        let touched = calculations.plan.touched(&record);
        let unchanged = Record {
            change: None,
            ..record
        };
        let by_change = &touched - &calculations.plan.touched(&unchanged);
        calculations.mark(by_change).await?;
        Ok(unchanged)
    }

    pub(super) async fn read(&self, id: &PlatformId) -> Result<Option<Record>, Error> {
        let found = self
            .job
            .ports
            .store
            .records(self.job.id(), self.plan.object, std::slice::from_ref(id))
            .await?;
        Ok(found.into_iter().next())
    }

    fn fault(&self, asked: &ToMerge<'_>, identity: &PlatformId, fault: &Fault) -> Entry {
        let reason = format!(
            "field {} ({}) is left as it is: {}",
            fault.platform, fault.zoho, fault.mismatch
        );
        let action = format!("parked field {}", fault.platform);
        Entry {
            outcome: Outcome::Parked,
            ..self.note(asked, Some(identity), &action, &reason)
        }
    }

    fn note(
        &self,
        asked: &ToMerge<'_>,
        record: Option<&PlatformId>,
        action: &str,
        reason: &str,
    ) -> Entry {
        let subject = format!("{}#{}", self.plan.object, asked.row.id);
        let (at, retention) = (self.moment.now, self.job.retention());
        let connection = self.job.id().clone();
        let note = Entry::note(
            connection,
            at,
            Outcome::Warned,
            action,
            &subject,
            reason.to_owned(),
            retention,
        );
        Entry {
            object: Some(self.plan.object),
            record: record.cloned(),
            zoho_id: Some(asked.row.id),
            run: self.moment.run.clone(),
            ..note
        }
    }
}

/// The other Zoho record that a record is tied to.
pub(in crate::flow) fn owner(record: &Record, row: ZohoId) -> Option<ZohoId> {
    record
        .zoho_id
        .filter(|owner| *owner != row && record.removed.is_none())
}
