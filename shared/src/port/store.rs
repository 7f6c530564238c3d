//! The four tables, as the flows see them.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Calculations, Erasure, Error};
use crate::connection::Connection;
use crate::credit::{Bucket, Hour, Spent};
use crate::cursor::Cursor;
use crate::data_centre::DataCentre;
use crate::identifier::{ConnectionId, Digest, PlatformId, RunId, ZohoId};
use crate::journal::{Entry, Outcome};
use crate::lack::{Lack, Lacks};
use crate::object::Object;
use crate::preflight::Preflight;
use crate::record::{Candidate, Link, Record};
use crate::run::{Run, Slice, SliceKey};
use crate::settings::Settings;
use crate::spread::Shard;

/// A page of a listing, with where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Names the next page; none at the end. Opaque, and only good for the same question.
    pub next: Option<String>,
}

/// Which due date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// The routine sync's.
    Routine,
    /// The full sync's.
    Full,
}

impl Due {
    /// When a connection's is due.
    #[must_use]
    pub const fn of(self, connection: &Connection) -> Option<Timestamp> {
        match self {
            Self::Routine => connection.routine_due_at,
            Self::Full => connection.full_due_at,
        }
    }
}

/// A saved version of a connection's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsVersion {
    /// Counts from 1; 0 stands for the default settings, never saved.
    pub version: u64,
    /// The settings.
    pub settings: Settings,
    /// When they were saved.
    pub saved_at: Timestamp,
}

/// What an OAuth `state` stands for; single use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthState {
    /// The digest of the state; the state itself is known to the browser only.
    pub digest: Digest,
    /// The connection being connected.
    pub connection: ConnectionId,
    /// The data centre where the customer was sent.
    pub centre: DataCentre,
    /// The browser that began.
    pub browser: Browser,
    /// When it is void.
    pub expires_at: Timestamp,
}

/// The browser that began a connection: the digest of its cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Browser(pub Digest);

/// Connections and their settings.
#[async_trait]
pub trait Connections: Send + Sync {
    /// The connection.
    async fn connection(&self, id: &ConnectionId) -> Result<Option<Connection>, Error>;

    /// Stores a connection as its next version: version 0 must not exist yet, any other must be the one stored. Returns it with its new
    /// version; [`Error::Conflict`] otherwise.
    async fn save_connection(&self, connection: Connection) -> Result<Connection, Error>;

    /// All connections by id, at most `limit` a page.
    async fn connections(
        &self,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Connection>, Error>;

    /// Enabled connections of a shard that are due at or before `until`, longest due first, at most `limit`. One that can't be read keeps
    /// none of the others back.
    async fn due(
        &self,
        due: Due,
        shard: Shard,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Result<Connection, Error>>, Error>;

    /// The current settings; the default ones at version 0 where none were saved.
    async fn settings(&self, id: &ConnectionId) -> Result<SettingsVersion, Error>;

    /// Saves settings over version `over`, as the next one; [`Error::Conflict`] when another is current.
    async fn save_settings(
        &self,
        id: &ConnectionId,
        over: u64,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<SettingsVersion, Error>;

    /// The versions of the settings, newest first.
    async fn settings_history(
        &self,
        id: &ConnectionId,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<SettingsVersion>, Error>;
}

/// How a slice's report was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Stored.
    Stored,
    /// Another worker's report was stored meanwhile; this one counts for nothing.
    Overtaken,
}

/// Cursors, leases, runs, slices, OAuth states, credit counters.
#[async_trait]
pub trait Coordination: Send + Sync {
    /// An object's cursor.
    async fn cursor(
        &self,
        connection: &ConnectionId,
        object: Object,
    ) -> Result<Option<Cursor>, Error>;

    /// Moves a cursor from `from` (none: it did not exist) to `to`; [`Error::Conflict`] when it stands elsewhere.
    async fn move_cursor(
        &self,
        connection: &ConnectionId,
        object: Object,
        from: Option<Cursor>,
        to: Cursor,
    ) -> Result<(), Error>;

    /// Takes or renews the lease `name` for `holder` until `until`. False when another holds it and it has not run out at `now`.
    async fn lease(
        &self,
        connection: &ConnectionId,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, Error>;

    /// Gives a lease back, if `holder` still has it.
    async fn release(
        &self,
        connection: &ConnectionId,
        name: &str,
        holder: &str,
    ) -> Result<(), Error>;

    /// The run.
    async fn run(&self, connection: &ConnectionId, run: &RunId) -> Result<Option<Run>, Error>;

    /// Stores a run as its next version, like [`Connections::save_connection`].
    async fn save_run(&self, run: Run) -> Result<Run, Error>;

    /// The runs of a connection, newest first.
    async fn runs(
        &self,
        connection: &ConnectionId,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Run>, Error>;

    /// Stores slices that do not exist yet; those that do stay as they are.
    async fn plan_slices(&self, slices: &[Slice]) -> Result<(), Error>;

    /// One slice.
    async fn slice(
        &self,
        connection: &ConnectionId,
        run: &RunId,
        key: SliceKey,
    ) -> Result<Option<Slice>, Error>;

    /// Stores a slice's progress over the version it was read at, as the next version (written back into `slice`).
    async fn save_slice(&self, slice: &mut Slice) -> Result<Progress, Error>;

    /// All slices of a run, in the order of their keys.
    async fn slices(&self, connection: &ConnectionId, run: &RunId) -> Result<Vec<Slice>, Error>;

    /// What Zoho did not show of each object when it was last read.
    async fn lacks(&self, connection: &ConnectionId) -> Result<Lacks, Error>;

    /// Keeps what Zoho does not show of an object, in place of what was kept before.
    async fn keep_lacks(
        &self,
        connection: &ConnectionId,
        object: Object,
        lacks: &BTreeSet<Lack>,
    ) -> Result<(), Error>;

    /// The latest preflight that was kept.
    async fn preflight(&self, connection: &ConnectionId) -> Result<Option<Preflight>, Error>;

    /// Keeps a preflight in place of the one before, unless that is of later settings, or of the same and a later instant.
    async fn keep_preflight(
        &self,
        connection: &ConnectionId,
        preflight: &Preflight,
    ) -> Result<(), Error>;

    /// Keeps an OAuth state until it is taken or expires.
    async fn keep_oauth_state(&self, state: &OAuthState) -> Result<(), Error>;

    /// Takes an OAuth state: of any number of takers exactly one gets it.
    async fn take_oauth_state(&self, digest: &Digest) -> Result<Option<OAuthState>, Error>;

    /// Adds to the credits spent in a bucket of time; of Zoho's words in it the latest is kept.
    async fn spend_credits(
        &self,
        connection: &ConnectionId,
        bucket: Bucket,
        spent: Spent,
    ) -> Result<(), Error>;

    /// What was spent in buckets from `from` on, the earliest first; a bucket in which nothing was spent may be left out.
    async fn credits_spent(
        &self,
        connection: &ConnectionId,
        from: Bucket,
    ) -> Result<Vec<Hour>, Error>;
}

/// Links, removal candidates and references that wait for their other end.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// The links of these Zoho records; those without one are left out. Any number of ids.
    async fn links(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[ZohoId],
    ) -> Result<Vec<Link>, Error>;

    /// Links with `after < id <= to` by id, at most `limit`; true when there may be more.
    async fn links_between(
        &self,
        connection: &ConnectionId,
        object: Object,
        after: ZohoId,
        to: ZohoId,
        limit: usize,
    ) -> Result<(Vec<Link>, bool), Error>;

    /// Stores links, in place of those before. Any number.
    async fn save_links(&self, links: &[Link]) -> Result<(), Error>;

    /// Stores a link over the one that was read (none: there was none); [`Error::Conflict`] when neither that nor this very one is stored.
    async fn save_link_over(&self, link: &Link, read: Option<&Link>) -> Result<(), Error>;

    /// Removes the link that was read; it is no error when there is none any more, but [`Error::Conflict`] when another is stored.
    async fn remove_link_over(&self, read: &Link) -> Result<(), Error>;

    /// Stores removal candidates, in place of those before for the same records.
    async fn save_candidates(&self, candidates: &[Candidate]) -> Result<(), Error>;

    /// Removal candidates of an object by id, at most `limit` after the id `after`.
    async fn candidates(
        &self,
        connection: &ConnectionId,
        object: Object,
        after: ZohoId,
        limit: usize,
    ) -> Result<Vec<Candidate>, Error>;

    /// Forgets removal candidates.
    async fn remove_candidates(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[ZohoId],
    ) -> Result<(), Error>;

    /// Notes records of `object` that refer to records which the platform does not have (yet).
    async fn await_references(
        &self,
        connection: &ConnectionId,
        object: Object,
        waiting: &[PlatformId],
    ) -> Result<(), Error>;

    /// Records of `object` that wait for a reference, by id, at most `limit` after `after`.
    async fn awaiting(
        &self,
        connection: &ConnectionId,
        object: Object,
        after: Option<&PlatformId>,
        limit: usize,
    ) -> Result<Vec<PlatformId>, Error>;

    /// Forgets that records wait.
    async fn stop_awaiting(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[PlatformId],
    ) -> Result<(), Error>;
}

/// Records.
#[async_trait]
pub trait Records: Send + Sync {
    /// These records; those that do not exist are left out. Any number of ids.
    async fn records(
        &self,
        connection: &ConnectionId,
        object: Object,
        ids: &[PlatformId],
    ) -> Result<Vec<Record>, Error>;

    /// Stores a record as its next version, like [`Connections::save_connection`].
    async fn save_record(&self, record: Record) -> Result<Record, Error>;

    /// Records of an object by id.
    async fn list_records(
        &self,
        connection: &ConnectionId,
        object: Object,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Record>, Error>;

    /// Records of an object that changed at or after `since`, oldest change first.
    async fn records_updated_since(
        &self,
        connection: &ConnectionId,
        object: Object,
        since: Timestamp,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Record>, Error>;

    /// The ids of an account's contacts, deals and tasks.
    async fn records_of_account(
        &self,
        connection: &ConnectionId,
        account: &PlatformId,
    ) -> Result<Vec<(Object, PlatformId)>, Error>;

    /// Ids of a connection's records with edits on their way to Zoho, made at or before `before`, oldest first, at most `limit`.
    async fn pending(
        &self,
        connection: &ConnectionId,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<(Object, PlatformId)>, Error>;

    /// A connection's records whose edits wait for something to change, parked last first. A record that is parked no more by the time it is
    /// read is left out, so a page can be short.
    async fn parked(
        &self,
        connection: &ConnectionId,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Record>, Error>;
}

/// Which lines of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalQuery {
    /// From then on, inclusive.
    pub from: Option<Timestamp>,
    /// Until then, exclusive.
    pub to: Option<Timestamp>,
    /// Of this outcome.
    pub outcome: Option<Outcome>,
    /// Of this record.
    pub record: Option<(Object, PlatformId)>,
    /// Of this object.
    pub object: Option<Object>,
}

/// The log.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Writes lines; a line with the id of one that exists takes its place. Any number.
    async fn write(&self, entries: &[Entry]) -> Result<(), Error>;

    /// Lines of a connection, newest first. Filters that no index serves are applied after reading, so a page can be short.
    async fn read(
        &self,
        connection: &ConnectionId,
        query: &JournalQuery,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Entry>, Error>;
}

/// All tables.
pub trait Store:
    Connections + Coordination + Ledger + Records + Journal + Calculations + Erasure
{
}

impl<T: Connections + Coordination + Ledger + Records + Journal + Calculations + Erasure> Store
    for T
{
}
