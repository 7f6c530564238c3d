//! Calculated account fields (F5): marking the accounts that may come to something else, and calculating those that are marked.
//!
//! A mark is stored after the record that it is about and before that record's link, so that an attempt that was cut off marks again. What a
//! person asks for by hand nobody asks again: there marks are stored right before the record, too, and kept while they are young.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp, civil};

use crate::calculation::{Fault, Mark, Plan};
use crate::connection::Connection;
use crate::disposition::Disposition;
use crate::identifier::{ConnectionId, PlatformId, RunId};
use crate::journal::{self, Entry};
use crate::message::{Version, Work};
use crate::object::Object;
use crate::port::{self, Ports, SettingsVersion};
use crate::record::{Action, Record};
use crate::run::{Counter, Counters, Slice};
use crate::settings::Settings;

use super::Error;
use super::job::Job;
use super::lease::{CALCULATE, Lease};
use super::routine::Ended;

/// How many marks are worked through together; well within the time of a lease.
const PAGE: usize = 100;

/// How many accounts are calculated at a time.
const AT_A_TIME: usize = 8;

/// How many accounts are marked together.
const MARKED: usize = 500;

/// How often an account that somebody else wrote meanwhile is calculated anew.
const ATTEMPTS: usize = 5;

/// After this time the index of an account's records has caught up for certain.
const SETTLED: SignedDuration = SignedDuration::from_secs(60);

/// When a message comes again that met a calculation under way.
const BUSY: Duration = Duration::from_secs(30);

/// A connection's calculated fields, and whether accounts were marked for them.
pub struct Desk<'a> {
    ports: &'a Ports,
    connection: ConnectionId,
    /// What is calculated.
    pub plan: Plan,
    marked: AtomicBool,
}

impl<'a> Desk<'a> {
    /// The desk of a connection.
    #[must_use]
    pub fn new(ports: &'a Ports, connection: &Connection, settings: &Settings) -> Self {
        Self {
            ports,
            connection: connection.id.clone(),
            plan: Plan::compile(settings, connection),
            marked: AtomicBool::new(false),
        }
    }

    /// The desk of a connection for what a person asks by hand, and the settings that it goes by.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such connection, or when a port fails.
    pub async fn by_hand(
        ports: &'a Ports,
        connection: &ConnectionId,
    ) -> Result<(Self, SettingsVersion), Error> {
        let settings = ports.store.settings(connection).await?;
        let known = ports.store.connection(connection).await?;
        let known = known.ok_or_else(|| Error::NotFound {
            what: format!("connection {connection}"),
        })?;
        Ok((Self::new(ports, &known, &settings.settings), settings))
    }

    /// Marks the accounts that may come to something else because these records were saved as they are.
    ///
    /// # Errors
    /// When the store does not take the marks.
    pub async fn note(&self, records: impl IntoIterator<Item = &Record>) -> Result<(), Error> {
        let records = records.into_iter();
        self.mark(
            records
                .flat_map(|record| self.plan.touched(record))
                .collect(),
        )
        .await
    }

    /// Marks accounts for today.
    ///
    /// # Errors
    /// When the store does not take the marks.
    pub async fn mark(&self, accounts: BTreeSet<PlatformId>) -> Result<(), Error> {
        if accounts.is_empty() {
            return Ok(());
        }
        let today = self.plan.today(self.ports.clock.now());
        let marks: Vec<Mark> = accounts
            .into_iter()
            .map(|account| self.mark_for(account, today))
            .collect();
        self.ports.store.mark_calculations(&marks).await?;
        self.marked.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn mark_for(&self, account: PlatformId, day: civil::Date) -> Mark {
        Mark {
            connection: self.connection.clone(),
            day,
            account,
            marked_at: self.ports.clock.now(),
            stamp: self.ports.entropy.number(),
        }
    }

    /// Sends for a calculation if accounts were marked since the last time. The message is a hint: the marks stay until they are worked
    /// through, and the accounts' routine sync looks for them.
    pub async fn send(&self, run: Option<&RunId>) {
        if self.marked.swap(false, Ordering::Relaxed) {
            self.send_after(run, Duration::ZERO).await;
        }
    }

    async fn send_after(&self, run: Option<&RunId>, delay: Duration) {
        let message = [Work::Calculate {
            version: Version,
            connection: self.connection.clone(),
            run: run.cloned().unwrap_or_else(|| self.new_run()),
        }];
        let sent = match delay {
            Duration::ZERO => self.ports.queue.send_work(&message).await,
            delay => self.ports.queue.send_work_later(&message, delay).await,
        };
        if let Err(error) = sent {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(connection.id = %self.connection, error, "no calculation was sent for");
        }
    }

    /// A run of its own for what no run asked for.
    fn new_run(&self) -> RunId {
        let milliseconds = self.ports.clock.now().as_millisecond();
        RunId::new(
            u64::try_from(milliseconds).unwrap_or_default(),
            self.ports.entropy.number(),
        )
    }

    /// Lets the next [`Desk::send`] send if a calculation is due although nothing was marked just now: because the day turned, the fields
    /// were declared otherwise, or a message was lost. Costs nothing where nothing is calculated.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn look(&self) -> Result<(), Error> {
        if self.plan.is_empty() || self.marked.load(Ordering::Relaxed) {
            return Ok(());
        }
        let store = &self.ports.store;
        let today = self.plan.today(self.ports.clock.now());
        let due = store.calculations_due(&self.connection, today, None, 1);
        if !due.await?.is_empty()
            || store.calculated_with(&self.connection).await? != Some(self.plan.digest)
        {
            self.marked.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Marks every account if the fields are declared otherwise than when that was done last.
    async fn renew(&self) -> Result<(), Error> {
        let store = &self.ports.store;
        let before = store.calculated_with(&self.connection).await?;
        if before == Some(self.plan.digest) || (before.is_none() && self.plan.is_empty()) {
            return Ok(());
        }
        let mut next = None;
        loop {
            let page = store.list_records(&self.connection, Object::Account, next, MARKED);
            let page = page.await?;
            let accounts = page.items.into_iter();
            self.mark(accounts.map(|account| account.id).collect())
                .await?;
            match page.next {
                Some(token) => next = Some(token),
                None => break,
            }
        }
        Ok(store
            .note_calculated_with(&self.connection, self.plan.digest)
            .await?)
    }
}

/// Calculates the accounts that are marked, for a message that asks for it.
///
/// # Errors
/// When another function is at it, or a port fails.
pub async fn work(job: &Job<'_>) -> Result<(), Error> {
    match through(job, &mut Counters::default()).await? {
        Ended::HandOver => {
            job.calculations
                .send_after(job.run.as_ref(), Duration::ZERO)
                .await
        }
        Ended::Done | Ended::Overtaken => {}
    }
    Ok(())
}

/// The last stage of a full sync.
///
/// # Errors
/// As for [`work`].
pub async fn stage(job: &Job<'_>, slice: &mut Slice) -> Result<Ended, Error> {
    through(job, &mut slice.counters).await
}

async fn through(job: &Job<'_>, counters: &mut Counters) -> Result<Ended, Error> {
    let desk = &job.calculations;
    if desk.plan.is_empty() && job.ports.store.calculated_with(job.id()).await?.is_none() {
        return Ok(Ended::Done);
    }
    let holder = format!("{:032x}", job.ports.entropy.number());
    let busy = || Error::Busy {
        what: "the calculation of account fields",
        after: BUSY,
    };
    let Some(lease) = Lease::take(job.ports, job.id(), CALCULATE, &holder).await? else {
        return Err(busy());
    };
    let worked = pages(job, &lease, counters).await;
    lease.release().await;
    worked?.ok_or_else(busy)
}

/// Works through the marks that are due; none when the lease was lost.
async fn pages(
    job: &Job<'_>,
    lease: &Lease<'_>,
    counters: &mut Counters,
) -> Result<Option<Ended>, Error> {
    let (desk, store) = (&job.calculations, &job.ports.store);
    desk.renew().await?;
    let today = desk.plan.today(job.ports.clock.now());
    let mut after: Option<(civil::Date, PlatformId)> = None;
    let mut again = false;
    loop {
        if !lease.renew().await? {
            return Ok(None);
        }
        let behind = after.as_ref().map(|(day, account)| (*day, account));
        let marks = store
            .calculations_due(job.id(), today, behind, PAGE)
            .await?;
        let Some(last) = marks.last() else { break };
        after = Some((last.day, last.account.clone()));
        let began = job.ports.clock.now();
        let accounts: BTreeSet<&PlatformId> = marks.iter().map(|mark| &mark.account).collect();
        let calculating: Vec<_> = accounts
            .into_iter()
            .map(|account| calculate_or_tell(job, account, today))
            .collect();
        let calculated: Vec<Calculated> = stream::iter(calculating)
            .buffer_unordered(AT_A_TIME)
            .try_collect()
            .await?;
        // Records are stored by now; then the log, then what is to come, and at last what is done with.
        let entries: Vec<Entry> = calculated
            .iter()
            .flat_map(|one| one.entries.clone())
            .collect();
        store.write(&entries).await?;
        let turns: Vec<Mark> = calculated
            .iter()
            .filter_map(|one| Some(desk.mark_for(one.account.clone(), one.changes_on?)))
            .collect();
        store.mark_calculations(&turns).await?;
        // The index by which an account's records are found may not have shown yet what a young mark is about. Such a mark is worked through
        // now, so that nobody waits, and kept, so that it is worked through once more when the index has caught up.
        let (settled, young): (Vec<Mark>, Vec<Mark>) = marks
            .into_iter()
            .partition(|mark| was_settled(mark.marked_at, began));
        again |= !young.is_empty();
        store.clear_calculations(&settled).await?;
        counters.add(
            Counter::Calculated,
            calculated.iter().filter(|one| one.changed).count() as u64,
        );
        if job.must_hand_over() {
            return Ok(Some(Ended::HandOver));
        }
    }
    if again {
        desk.send_after(job.run.as_ref(), SETTLED.unsigned_abs())
            .await;
    }
    Ok(Some(Ended::Done))
}

/// Whether the index had caught up with what a mark is about when it was looked at.
fn was_settled(marked_at: Timestamp, looked_at: Timestamp) -> bool {
    looked_at.duration_since(marked_at) >= SETTLED
}

/// What calculating one account came to.
struct Calculated {
    account: PlatformId,
    changed: bool,
    entries: Vec<Entry>,
    changes_on: Option<civil::Date>,
}

/// Calculates one account. One for which that can never work must not stand in the way of the others: the log tells of it.
async fn calculate_or_tell(
    job: &Job<'_>,
    id: &PlatformId,
    today: civil::Date,
) -> Result<Calculated, Error> {
    match calculate(job, id, today).await {
        Err(error) if error.disposition() == Disposition::Never => {
            let reason = format!("its calculated fields are left as they are: {error}");
            let line = line(
                job,
                id,
                journal::Outcome::Refused,
                "account not calculated",
                reason,
            );
            Ok(Calculated {
                account: id.clone(),
                changed: false,
                entries: vec![line],
                changes_on: None,
            })
        }
        calculated => calculated,
    }
}

/// Calculates one account. Its record is read before those that it follows from: whoever saves it in between saw the same or newer ones, and
/// this attempt is then in vain.
async fn calculate(
    job: &Job<'_>,
    id: &PlatformId,
    today: civil::Date,
) -> Result<Calculated, Error> {
    let plan = &job.calculations.plan;
    let mut calculated = Calculated {
        account: id.clone(),
        changed: false,
        entries: Vec::new(),
        changes_on: None,
    };
    for _ in 0..ATTEMPTS {
        let read = job
            .ports
            .store
            .records(job.id(), Object::Account, std::slice::from_ref(id))
            .await?;
        let Some(account) = read.into_iter().next().filter(|one| one.removed.is_none()) else {
            return Ok(calculated);
        };
        let outcome = plan.evaluate(id, &belonging(job, id).await?, today);
        calculated.changes_on = outcome.changes_on;
        // Whoever calculated it last, or brought it back, may have been cut off between the record and its line, whichever run that was.
        let last = account.change.as_ref().map(|change| change.action);
        let late = job.late_line(&account);
        let late = late.filter(|_| matches!(last, Some(Action::Calculated | Action::Restored)));
        calculated.entries.extend(late);
        if let Some(after) = plan.applied(&account, &outcome, &job.moment()) {
            match job.ports.store.save_record(after).await {
                Ok(saved) => {
                    calculated.changed = true;
                    let line = Entry::of_change(&saved, job.retention());
                    calculated.entries.extend(line);
                }
                Err(port::Error::Conflict { .. }) => {
                    calculated.entries.clear();
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let faults = outcome.faults.iter().map(|fault| Entry {
            zoho_id: account.zoho_id,
            ..faulty(job, id, fault)
        });
        calculated.entries.extend(faults);
        return Ok(calculated);
    }
    Err(port::Error::conflict(format!("account {id}")).into())
}

/// The records that may belong to an account. The index may lag behind, so each is read by its key; the calculation looks where it belongs.
async fn belonging(job: &Job<'_>, account: &PlatformId) -> Result<Vec<Record>, Error> {
    let over = job.calculations.plan.over();
    if over.is_empty() {
        return Ok(Vec::new());
    }
    let store = &job.ports.store;
    let mut ids: BTreeMap<Object, Vec<PlatformId>> = BTreeMap::new();
    for (object, id) in store.records_of_account(job.id(), account).await? {
        if over.contains(&object) {
            ids.entry(object).or_default().push(id);
        }
    }
    let mut records = Vec::new();
    for (object, ids) in ids {
        records.extend(store.records(job.id(), object, &ids).await?);
    }
    Ok(records)
}

fn faulty(job: &Job<'_>, account: &PlatformId, fault: &Fault) -> Entry {
    let reason = format!("field {} is left empty: {}", fault.field, fault.reason);
    let action = format!("field {} not calculated", fault.field);
    line(job, account, journal::Outcome::Parked, &action, reason)
}

fn line(
    job: &Job<'_>,
    account: &PlatformId,
    outcome: journal::Outcome,
    action: &str,
    reason: String,
) -> Entry {
    let note = Entry::note(
        job.id().clone(),
        job.ports.clock.now(),
        outcome,
        action,
        &format!("{}#{account}", Object::Account),
        reason,
        job.retention(),
    );
    Entry {
        object: Some(Object::Account),
        record: Some(account.clone()),
        run: job.run.clone(),
        ..note
    }
}
