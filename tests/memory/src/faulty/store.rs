//! The tables, failing on order.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::{Timestamp, civil};
use tandem::calculation::Mark;
use tandem::connection::Connection;
use tandem::credit::{Bucket, Hour, Spent};
use tandem::cursor::Cursor;
use tandem::identifier::{ConnectionId, Digest, PlatformId, RunId, ZohoId};
use tandem::journal::Entry;
use tandem::lack::{Lack, Lacks};
use tandem::object::Object;
use tandem::port::{
    Calculations, Connections, Coordination, Due, Error, Journal, JournalQuery, Ledger, OAuthState,
    Page, Progress, Records, SettingsVersion,
};
use tandem::record::{Candidate, Link, Record};
use tandem::run::{Run, Slice, SliceKey};
use tandem::settings::Settings;
use tandem::spread::Shard;

use super::{Faulty, batch, single};

#[async_trait]
impl<T: Connections + ?Sized> Connections for Faulty<T> {
    async fn connection(&self, id: &ConnectionId) -> Result<Option<Connection>, Error> {
        single!(self, "store", connection(id))
    }

    async fn save_connection(&self, connection: Connection) -> Result<Connection, Error> {
        single!(self, "store", save_connection(connection))
    }

    async fn connections(
        &self,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Connection>, Error> {
        single!(self, "store", connections(next, limit))
    }

    async fn due(
        &self,
        due: Due,
        shard: Shard,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Result<Connection, Error>>, Error> {
        single!(self, "store", due(due, shard, until, limit))
    }

    async fn settings(&self, id: &ConnectionId) -> Result<SettingsVersion, Error> {
        single!(self, "store", settings(id))
    }

    async fn save_settings(
        &self,
        id: &ConnectionId,
        over: u64,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<SettingsVersion, Error> {
        single!(self, "store", save_settings(id, over, settings, now))
    }

    async fn settings_history(
        &self,
        id: &ConnectionId,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<SettingsVersion>, Error> {
        single!(self, "store", settings_history(id, next, limit))
    }
}

#[async_trait]
impl<T: Coordination + ?Sized> Coordination for Faulty<T> {
    async fn cursor(
        &self,
        connection: &ConnectionId,
        object: Object,
    ) -> Result<Option<Cursor>, Error> {
        single!(self, "store", cursor(connection, object))
    }

    async fn move_cursor(
        &self,
        connection: &ConnectionId,
        object: Object,
        from: Option<Cursor>,
        to: Cursor,
    ) -> Result<(), Error> {
        single!(self, "store", move_cursor(connection, object, from, to))
    }

    async fn lease(
        &self,
        connection: &ConnectionId,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, Error> {
        single!(self, "store", lease(connection, name, holder, now, until))
    }

    async fn release(
        &self,
        connection: &ConnectionId,
        name: &str,
        holder: &str,
    ) -> Result<(), Error> {
        single!(self, "store", release(connection, name, holder))
    }

    async fn run(&self, connection: &ConnectionId, run: &RunId) -> Result<Option<Run>, Error> {
        single!(self, "store", run(connection, run))
    }

    async fn save_run(&self, run: Run) -> Result<Run, Error> {
        single!(self, "store", save_run(run))
    }

    async fn runs(
        &self,
        connection: &ConnectionId,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Run>, Error> {
        single!(self, "store", runs(connection, next, limit))
    }

    async fn plan_slices(&self, slices: &[Slice]) -> Result<(), Error> {
        batch!(self, "store", plan_slices(; slices))
    }

    async fn slice(
        &self,
        connection: &ConnectionId,
        run: &RunId,
        key: SliceKey,
    ) -> Result<Option<Slice>, Error> {
        single!(self, "store", slice(connection, run, key))
    }

    async fn save_slice(&self, slice: &mut Slice) -> Result<Progress, Error> {
        single!(self, "store", save_slice(slice))
    }

    async fn slices(&self, connection: &ConnectionId, run: &RunId) -> Result<Vec<Slice>, Error> {
        single!(self, "store", slices(connection, run))
    }

    async fn lacks(&self, connection: &ConnectionId) -> Result<Lacks, Error> {
        single!(self, "store", lacks(connection))
    }

    async fn keep_lacks(
        &self,
        connection: &ConnectionId,
        object: Object,
        lacks: &BTreeSet<Lack>,
    ) -> Result<(), Error> {
        single!(self, "store", keep_lacks(connection, object, lacks))
    }

    async fn keep_oauth_state(&self, state: &OAuthState) -> Result<(), Error> {
        single!(self, "store", keep_oauth_state(state))
    }

    async fn take_oauth_state(&self, digest: &Digest) -> Result<Option<OAuthState>, Error> {
        single!(self, "store", take_oauth_state(digest))
    }

    async fn spend_credits(
        &self,
        connection: &ConnectionId,
        bucket: Bucket,
        spent: Spent,
    ) -> Result<(), Error> {
        single!(self, "store", spend_credits(connection, bucket, spent))
    }

    async fn credits_spent(
        &self,
        connection: &ConnectionId,
        from: Bucket,
    ) -> Result<Vec<Hour>, Error> {
        single!(self, "store", credits_spent(connection, from))
    }
}

#[async_trait]
impl<T: Ledger + ?Sized> Ledger for Faulty<T> {
    async fn links(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[ZohoId],
    ) -> Result<Vec<Link>, Error> {
        single!(self, "store", links(connection, object, ids))
    }

    async fn links_between(
        &self,
        connection: &ConnectionId,
        object: Object,
        after: ZohoId,
        to: ZohoId,
        limit: usize,
    ) -> Result<(Vec<Link>, bool), Error> {
        single!(
            self,
            "store",
            links_between(connection, object, after, to, limit)
        )
    }

    async fn save_links(&self, links: &[Link]) -> Result<(), Error> {
        batch!(self, "store", save_links(; links))
    }

    async fn remove_links(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[ZohoId],
    ) -> Result<(), Error> {
        batch!(self, "store", remove_links(connection, object; ids))
    }

    async fn save_candidates(&self, candidates: &[Candidate]) -> Result<(), Error> {
        batch!(self, "store", save_candidates(; candidates))
    }

    async fn candidates(
        &self,
        connection: &ConnectionId,
        object: Object,
        after: ZohoId,
        limit: usize,
    ) -> Result<Vec<Candidate>, Error> {
        single!(self, "store", candidates(connection, object, after, limit))
    }

    async fn remove_candidates(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[ZohoId],
    ) -> Result<(), Error> {
        batch!(self, "store", remove_candidates(connection, object; ids))
    }

    async fn await_references(
        &self,
        connection: &ConnectionId,
        object: Object,
        waiting: &[PlatformId],
    ) -> Result<(), Error> {
        batch!(self, "store", await_references(connection, object; waiting))
    }

    async fn awaiting(
        &self,
        connection: &ConnectionId,
        object: Object,
        after: Option<&PlatformId>,
        limit: usize,
    ) -> Result<Vec<PlatformId>, Error> {
        single!(self, "store", awaiting(connection, object, after, limit))
    }

    async fn stop_awaiting(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[PlatformId],
    ) -> Result<(), Error> {
        batch!(self, "store", stop_awaiting(connection, object; ids))
    }
}

#[async_trait]
impl<T: Records + ?Sized> Records for Faulty<T> {
    async fn records(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[PlatformId],
    ) -> Result<Vec<Record>, Error> {
        single!(self, "store", records(connection, object, ids))
    }

    async fn save_record(&self, record: Record) -> Result<Record, Error> {
        single!(self, "store", save_record(record))
    }

    async fn list_records(
        &self,
        connection: &ConnectionId,
        object: Object,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Record>, Error> {
        single!(self, "store", list_records(connection, object, next, limit))
    }

    async fn records_updated_since(
        &self,
        connection: &ConnectionId,
        object: Object,
        since: Timestamp,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Record>, Error> {
        single!(
            self,
            "store",
            records_updated_since(connection, object, since, next, limit)
        )
    }

    async fn records_of_account(
        &self,
        connection: &ConnectionId,
        account: &PlatformId,
    ) -> Result<Vec<(Object, PlatformId)>, Error> {
        single!(self, "store", records_of_account(connection, account))
    }

    async fn pending(
        &self,
        connection: &ConnectionId,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Object, PlatformId)>, Error> {
        single!(self, "store", pending(connection, before, limit))
    }

    async fn parked(
        &self,
        connection: &ConnectionId,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Record>, Error> {
        single!(self, "store", parked(connection, next, limit))
    }
}

#[async_trait]
impl<T: Calculations + ?Sized> Calculations for Faulty<T> {
    async fn mark_calculations(&self, marks: &[Mark]) -> Result<(), Error> {
        batch!(self, "store", mark_calculations(; marks))
    }

    async fn calculations_due(
        &self,
        connection: &ConnectionId,
        today: civil::Date,
        after: Option<(civil::Date, &PlatformId)>,
        limit: usize,
    ) -> Result<Vec<Mark>, Error> {
        single!(
            self,
            "store",
            calculations_due(connection, today, after, limit)
        )
    }

    async fn clear_calculations(&self, marks: &[Mark]) -> Result<(), Error> {
        batch!(self, "store", clear_calculations(; marks))
    }

    async fn calculated_with(&self, connection: &ConnectionId) -> Result<Option<Digest>, Error> {
        single!(self, "store", calculated_with(connection))
    }

    async fn note_calculated_with(
        &self,
        connection: &ConnectionId,
        plan: Digest,
    ) -> Result<(), Error> {
        single!(self, "store", note_calculated_with(connection, plan))
    }
}

#[async_trait]
impl<T: Journal + ?Sized> Journal for Faulty<T> {
    async fn write(&self, entries: &[Entry]) -> Result<(), Error> {
        batch!(self, "store", write(; entries))
    }

    async fn read(
        &self,
        connection: &ConnectionId,
        query: &JournalQuery,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Entry>, Error> {
        single!(self, "store", read(connection, query, next, limit))
    }
}
