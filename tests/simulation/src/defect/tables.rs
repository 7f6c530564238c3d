//! The tables, as a defective program would use them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp, civil};
use tandem::calculation::Mark;
use tandem::connection::{Connection, Deleted};
use tandem::credit::{Bucket, Hour, Spent};
use tandem::cursor::Cursor;
use tandem::identifier::{ConnectionId, Digest, PlatformId, RunId, ZohoId};
use tandem::journal::Entry;
use tandem::lack::{Lack, Lacks};
use tandem::object::Object;
use tandem::port::{
    Calculations, Connections, Coordination, Due, Erasure, Error, Journal, JournalQuery, Ledger,
    OAuthState, Page, Progress, Records, SettingsVersion, Store,
};
use tandem::preflight::Preflight;
use tandem::record::{Candidate, Link, Record};
use tandem::run::{Run, Slice, SliceKey};
use tandem::settings::Settings;
use tandem::spread::Shard;

use super::Kind;

/// Longer than any seed lasts.
const FOR_EVER: SignedDuration = SignedDuration::from_hours(24 * 3_650);

/// The tables behind a defect.
pub(super) struct Tables {
    inner: Arc<dyn Store>,
    kind: Kind,
    held: Mutex<HeldBack>,
}

/// What a handler stores later than it should.
#[derive(Default)]
struct HeldBack {
    /// Whether the handler works on a slice: it then comes to where it lets go.
    is_worker: bool,
    records: Vec<Record>,
}

impl Tables {
    pub(super) fn new(inner: Arc<dyn Store>, kind: Kind) -> Self {
        Self {
            inner,
            kind,
            held: Mutex::default(),
        }
    }

    fn is(&self, kind: Kind) -> bool {
        self.kind == kind
    }

    fn holds_back(&self) -> bool {
        matches!(
            self.kind,
            Kind::LinkBeforeRecord | Kind::CursorBeforeRecords
        )
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HeldBack> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores what was held back.
    async fn let_go(&self) -> Result<(), Error> {
        let records = std::mem::take(&mut self.held().records);
        for record in records {
            self.inner.save_record(record).await?;
        }
        Ok(())
    }

    /// Keeps a record for later, in place of what was kept of it, and answers as if it were stored.
    fn hold_back(&self, record: Record) -> Record {
        let mut held = self.held();
        let known = held
            .records
            .iter()
            .position(|other| (other.object, &other.id) == (record.object, &record.id));
        let mut stored = record.clone();
        stored.version += 1;
        match known {
            Some(at) => {
                let version = held.records[at].version;
                held.records[at] = Record { version, ..record };
            }
            None => held.records.push(record),
        }
        stored
    }

    /// Stores a record whatever is stored meanwhile.
    async fn save_over(&self, mut record: Record) -> Result<Record, Error> {
        loop {
            match self.inner.save_record(record.clone()).await {
                Err(Error::Conflict { .. }) => {
                    let ids = [record.id.clone()];
                    let stored = self
                        .inner
                        .records(&record.connection, record.object, &ids)
                        .await?;
                    record.version = stored.first().map_or(0, |stored| stored.version);
                }
                saved => return saved,
            }
        }
    }
}

#[async_trait]
impl Connections for Tables {
    async fn connection(&self, id: &ConnectionId) -> Result<Option<Connection>, Error> {
        self.inner.connection(id).await
    }

    async fn save_connection(&self, connection: Connection) -> Result<Connection, Error> {
        self.inner.save_connection(connection).await
    }

    async fn connections(
        &self,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Connection>, Error> {
        self.inner.connections(next, limit).await
    }

    async fn due(
        &self,
        due: Due,
        shard: Shard,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Result<Connection, Error>>, Error> {
        self.inner.due(due, shard, until, limit).await
    }

    async fn settings(&self, id: &ConnectionId) -> Result<SettingsVersion, Error> {
        let found = self.inner.settings(id).await?;
        Ok(found)
    }

    async fn save_settings(
        &self,
        id: &ConnectionId,
        over: u64,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<SettingsVersion, Error> {
        self.inner.save_settings(id, over, settings, now).await
    }

    async fn settings_history(
        &self,
        id: &ConnectionId,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<SettingsVersion>, Error> {
        self.inner.settings_history(id, next, limit).await
    }
}

#[async_trait]
impl Coordination for Tables {
    async fn cursor(
        &self,
        connection: &ConnectionId,
        object: Object,
    ) -> Result<Option<Cursor>, Error> {
        self.inner.cursor(connection, object).await
    }

    async fn move_cursor(
        &self,
        connection: &ConnectionId,
        object: Object,
        from: Option<Cursor>,
        to: Cursor,
    ) -> Result<(), Error> {
        self.inner.move_cursor(connection, object, from, to).await?;
        self.let_go().await
    }

    async fn lease(
        &self,
        connection: &ConnectionId,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, Error> {
        let until = match self.kind {
            Kind::LeaseForEver => now.checked_add(FOR_EVER).unwrap_or(until),
            _ => until,
        };
        self.inner.lease(connection, name, holder, now, until).await
    }

    async fn release(
        &self,
        connection: &ConnectionId,
        name: &str,
        holder: &str,
    ) -> Result<(), Error> {
        self.inner.release(connection, name, holder).await
    }

    async fn run(&self, connection: &ConnectionId, run: &RunId) -> Result<Option<Run>, Error> {
        self.inner.run(connection, run).await
    }

    async fn save_run(&self, run: Run) -> Result<Run, Error> {
        self.inner.save_run(run).await
    }

    async fn runs(
        &self,
        connection: &ConnectionId,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Run>, Error> {
        self.inner.runs(connection, next, limit).await
    }

    async fn plan_slices(&self, slices: &[Slice]) -> Result<(), Error> {
        self.inner.plan_slices(slices).await
    }

    async fn slice(
        &self,
        connection: &ConnectionId,
        run: &RunId,
        key: SliceKey,
    ) -> Result<Option<Slice>, Error> {
        self.held().is_worker = true;
        self.inner.slice(connection, run, key).await
    }

    async fn save_slice(&self, slice: &mut Slice) -> Result<Progress, Error> {
        let progress = self.inner.save_slice(slice).await?;
        self.let_go().await?;
        Ok(progress)
    }

    async fn slices(&self, connection: &ConnectionId, run: &RunId) -> Result<Vec<Slice>, Error> {
        self.inner.slices(connection, run).await
    }

    async fn lacks(&self, connection: &ConnectionId) -> Result<Lacks, Error> {
        self.inner.lacks(connection).await
    }

    async fn keep_lacks(
        &self,
        connection: &ConnectionId,
        object: Object,
        lacks: &BTreeSet<Lack>,
    ) -> Result<(), Error> {
        self.inner.keep_lacks(connection, object, lacks).await
    }

    async fn preflight(&self, connection: &ConnectionId) -> Result<Option<Preflight>, Error> {
        self.inner.preflight(connection).await
    }

    async fn keep_preflight(
        &self,
        connection: &ConnectionId,
        preflight: &Preflight,
    ) -> Result<(), Error> {
        self.inner.keep_preflight(connection, preflight).await
    }

    async fn keep_oauth_state(&self, state: &OAuthState) -> Result<(), Error> {
        self.inner.keep_oauth_state(state).await
    }

    async fn take_oauth_state(&self, digest: &Digest) -> Result<Option<OAuthState>, Error> {
        self.inner.take_oauth_state(digest).await
    }

    async fn spend_credits(
        &self,
        connection: &ConnectionId,
        bucket: Bucket,
        spent: Spent,
    ) -> Result<(), Error> {
        self.inner.spend_credits(connection, bucket, spent).await
    }

    async fn credits_spent(
        &self,
        connection: &ConnectionId,
        from: Bucket,
    ) -> Result<Vec<Hour>, Error> {
        self.inner.credits_spent(connection, from).await
    }
}

#[async_trait]
impl Ledger for Tables {
    async fn links(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[ZohoId],
    ) -> Result<Vec<Link>, Error> {
        self.inner.links(connection, object, ids).await
    }

    async fn links_between(
        &self,
        connection: &ConnectionId,
        object: Object,
        after: ZohoId,
        to: ZohoId,
        limit: usize,
    ) -> Result<(Vec<Link>, bool), Error> {
        self.inner
            .links_between(connection, object, after, to, limit)
            .await
    }

    async fn save_links(&self, links: &[Link]) -> Result<(), Error> {
        let mut links = links.to_vec();
        for link in &mut links {
            if self.is(Kind::HashForgotten) {
                link.hash = Digest::of(b"nothing");
            }
        }
        self.inner.save_links(&links).await?;
        if self.is(Kind::LinkBeforeRecord) {
            self.let_go().await?;
        }
        Ok(())
    }

    async fn save_link_over(&self, link: &Link, read: Option<&Link>) -> Result<(), Error> {
        self.inner.save_link_over(link, read).await?;
        if self.is(Kind::LinkBeforeRecord) {
            self.let_go().await?;
        }
        Ok(())
    }

    async fn remove_links(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[ZohoId],
    ) -> Result<(), Error> {
        self.inner.remove_links(connection, object, ids).await
    }

    async fn save_candidates(&self, candidates: &[Candidate]) -> Result<(), Error> {
        self.inner.save_candidates(candidates).await
    }

    async fn candidates(
        &self,
        connection: &ConnectionId,
        object: Object,
        after: ZohoId,
        limit: usize,
    ) -> Result<Vec<Candidate>, Error> {
        self.inner
            .candidates(connection, object, after, limit)
            .await
    }

    async fn remove_candidates(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[ZohoId],
    ) -> Result<(), Error> {
        self.inner.remove_candidates(connection, object, ids).await
    }

    async fn await_references(
        &self,
        connection: &ConnectionId,
        object: Object,
        waiting: &[PlatformId],
    ) -> Result<(), Error> {
        self.inner
            .await_references(connection, object, waiting)
            .await
    }

    async fn awaiting(
        &self,
        connection: &ConnectionId,
        object: Object,
        after: Option<&PlatformId>,
        limit: usize,
    ) -> Result<Vec<PlatformId>, Error> {
        self.inner.awaiting(connection, object, after, limit).await
    }

    async fn stop_awaiting(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[PlatformId],
    ) -> Result<(), Error> {
        self.inner.stop_awaiting(connection, object, ids).await
    }
}

#[async_trait]
impl Records for Tables {
    async fn records(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[PlatformId],
    ) -> Result<Vec<Record>, Error> {
        let mut found = self.inner.records(connection, object, ids).await?;
        if self.holds_back() {
            let held = self.held();
            let kept = held.records.iter().filter(|record| {
                (&record.connection, record.object) == (connection, object)
                    && ids.contains(&record.id)
            });
            for kept in kept {
                let mut shown = kept.clone();
                shown.version += 1;
                found.retain(|record| record.id != kept.id);
                found.push(shown);
            }
        }
        Ok(found)
    }

    async fn save_record(&self, mut record: Record) -> Result<Record, Error> {
        match self.kind {
            Kind::SavedOverAnything => return self.save_over(record).await,
            Kind::PendingForgotten if record.zoho_id.is_some() => record.pending.clear(),
            Kind::LinkBeforeRecord | Kind::CursorBeforeRecords
                if self.held().is_worker && record.pending.is_empty() =>
            {
                return Ok(self.hold_back(record));
            }
            _ => {}
        }
        self.inner.save_record(record).await
    }

    async fn list_records(
        &self,
        connection: &ConnectionId,
        object: Object,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Record>, Error> {
        self.inner
            .list_records(connection, object, next, limit)
            .await
    }

    async fn records_updated_since(
        &self,
        connection: &ConnectionId,
        object: Object,
        since: Timestamp,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Record>, Error> {
        self.inner
            .records_updated_since(connection, object, since, next, limit)
            .await
    }

    async fn records_of_account(
        &self,
        connection: &ConnectionId,
        account: &PlatformId,
    ) -> Result<Vec<(Object, PlatformId)>, Error> {
        self.inner.records_of_account(connection, account).await
    }

    async fn pending(
        &self,
        connection: &ConnectionId,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Object, PlatformId)>, Error> {
        if self.is(Kind::IndexForgets) {
            return Ok(Vec::new());
        }
        self.inner.pending(connection, before, limit).await
    }

    async fn parked(
        &self,
        connection: &ConnectionId,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Record>, Error> {
        self.inner.parked(connection, next, limit).await
    }
}

#[async_trait]
impl Calculations for Tables {
    async fn mark_calculations(&self, marks: &[Mark]) -> Result<(), Error> {
        if self.is(Kind::MarksForgotten) {
            return Ok(());
        }
        self.inner.mark_calculations(marks).await
    }

    async fn calculations_due(
        &self,
        connection: &ConnectionId,
        today: civil::Date,
        after: Option<(civil::Date, &PlatformId)>,
        limit: usize,
    ) -> Result<Vec<Mark>, Error> {
        self.inner
            .calculations_due(connection, today, after, limit)
            .await
    }

    async fn clear_calculations(&self, marks: &[Mark]) -> Result<(), Error> {
        self.inner.clear_calculations(marks).await
    }

    async fn calculated_with(&self, connection: &ConnectionId) -> Result<Option<Digest>, Error> {
        self.inner.calculated_with(connection).await
    }

    async fn note_calculated_with(
        &self,
        connection: &ConnectionId,
        plan: Digest,
    ) -> Result<(), Error> {
        self.inner.note_calculated_with(connection, plan).await
    }
}

#[async_trait]
impl Erasure for Tables {
    async fn erase(&self, connection: &ConnectionId, limit: usize) -> Result<Deleted, Error> {
        self.inner.erase(connection, limit).await
    }
}

#[async_trait]
impl Journal for Tables {
    async fn write(&self, entries: &[Entry]) -> Result<(), Error> {
        self.inner.write(entries).await
    }

    async fn read(
        &self,
        connection: &ConnectionId,
        query: &JournalQuery,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Entry>, Error> {
        self.inner.read(connection, query, next, limit).await
    }
}
