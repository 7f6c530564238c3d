//! Layers around the ports: something that changes some calls and leaves the others as they are.
//!
//! The calls of all ports are named once, at the end of this file. From them come the layers, and [`Faulty`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{Timestamp, civil};
use tandem::calculation::Mark;
use tandem::connection::{Connection, Deleted};
use tandem::credit::{Bucket, Hour, Spent};
use tandem::cursor::Cursor;
use tandem::data_centre::DataCentre;
use tandem::identifier::{ConnectionId, Digest, PlatformId, RunId, ZohoId};
use tandem::journal::Entry;
use tandem::lack::{Lack, Lacks};
use tandem::message::{Work, Writeback};
use tandem::object::Object;
use tandem::port::{
    Calculations, Caller, Connections, Coordination, Crm, CrmError, DeadLetters, Delivery, Due,
    Erasure, Error, FieldInfo, Grant, GrantedOrganisation, Journal, JournalQuery, Ledger,
    OAuthState, Page, Progress, Queue, QueueName, Records, Redriven, Reply, Rows, SettingsVersion,
    Store, Vault, WriteOutcome,
};
use tandem::preflight::Preflight;
use tandem::record::{Candidate, Link, Record};
use tandem::row::Outgoing;
use tandem::run::{Run, Slice, SliceKey};
use tandem::secret::{OAuthClient, Secret, Tokens};
use tandem::select::{Count, Select};
use tandem::settings::Settings;
use tandem::spread::Shard;
use tandem::tally::{Tallied, Tally};

use crate::faulty::Faulty;

/// A port with a layer around it.
pub struct Layered<L, T: ?Sized> {
    layer: L,
    inner: Arc<T>,
}

impl<L, T: ?Sized> Layered<L, T> {
    /// Puts a layer around a port.
    #[must_use]
    pub const fn new(layer: L, inner: Arc<T>) -> Self {
        Self { layer, inner }
    }
}

/// Makes of the calls of each port: a layer, whose methods are given the port inside and, unless a layer says otherwise, hand the call on; the port
/// with such a layer around it; and the port behind [`Faulty`]. Of a call `in parts of` its items, some can happen and the others not.
macro_rules! ports {
    ($(
        #[doc = $doc:literal]
        $layer:ident around $port:ident, $name:literal {
            $($part:ident {
                $(async fn $call:ident(&$self:ident $(, $argument:ident: $type:ty)*) -> $answer:ty $(, in parts of $items:ident)?;)+
            })+
        }
    )+) => {
        $(
            #[doc = $doc]
            #[async_trait]
            pub trait $layer: Send + Sync {
                $($(
                    #[doc = concat!("See [`", stringify!($part), "::", stringify!($call), "`].")]
                    async fn $call(&$self, inner: &dyn $port $(, $argument: $type)*) -> $answer {
                        inner.$call($($argument),*).await
                    }
                )+)+
            }

            $(
                #[async_trait]
                impl<L: $layer> $part for Layered<L, dyn $port> {
                    $(
                        async fn $call(&$self $(, $argument: $type)*) -> $answer {
                            $self.layer.$call(&*$self.inner $(, $argument)*).await
                        }
                    )+
                }

                #[async_trait]
                impl<T: $part + ?Sized> $part for Faulty<T> {
                    $(
                        async fn $call(&$self $(, $argument: $type)*) -> $answer {
                            let parts: &[&str] = &[$(stringify!($items))?];
                            let passage = $self.faults.enter($name, stringify!($call), !parts.is_empty()).await?;
                            $(let $items = passage.part($items);)?
                            let answer = $self.inner.$call($($argument),*).await;
                            passage.leave(answer).await
                        }
                    )+
                }
            )+
        )+
    };
}

ports! {
    /// A layer around the tables.
    StoreLayer around Store, "store" {
        Connections {
            async fn connection(&self, id: &ConnectionId) -> Result<Option<Connection>, Error>;
            async fn save_connection(&self, connection: Connection) -> Result<Connection, Error>;
            async fn connections(&self, next: Option<String>, limit: usize) -> Result<Page<Connection>, Error>;
            async fn due(&self, due: Due, shard: Shard, until: Timestamp, limit: usize) -> Result<Vec<Result<Connection, Error>>, Error>;
            async fn settings(&self, id: &ConnectionId) -> Result<SettingsVersion, Error>;
            async fn save_settings(&self, id: &ConnectionId, over: u64, settings: &Settings, now: Timestamp) -> Result<SettingsVersion, Error>;
            async fn settings_history(&self, id: &ConnectionId, next: Option<String>, limit: usize) -> Result<Page<SettingsVersion>, Error>;
        }
        Coordination {
            async fn cursor(&self, connection: &ConnectionId, object: Object) -> Result<Option<Cursor>, Error>;
            async fn move_cursor(&self, connection: &ConnectionId, object: Object, from: Option<Cursor>, to: Cursor) -> Result<(), Error>;
            async fn lease(&self, connection: &ConnectionId, name: &str, holder: &str, now: Timestamp, until: Timestamp) -> Result<bool, Error>;
            async fn release(&self, connection: &ConnectionId, name: &str, holder: &str) -> Result<(), Error>;
            async fn run(&self, connection: &ConnectionId, run: &RunId) -> Result<Option<Run>, Error>;
            async fn save_run(&self, run: Run) -> Result<Run, Error>;
            async fn runs(&self, connection: &ConnectionId, next: Option<String>, limit: usize) -> Result<Page<Run>, Error>;
            async fn plan_slices(&self, slices: &[Slice]) -> Result<(), Error>, in parts of slices;
            async fn slice(&self, connection: &ConnectionId, run: &RunId, key: SliceKey) -> Result<Option<Slice>, Error>;
            async fn save_slice(&self, slice: &mut Slice) -> Result<Progress, Error>;
            async fn slices(&self, connection: &ConnectionId, run: &RunId) -> Result<Vec<Slice>, Error>;
            async fn lacks(&self, connection: &ConnectionId) -> Result<Lacks, Error>;
            async fn keep_lacks(&self, connection: &ConnectionId, object: Object, lacks: &BTreeSet<Lack>) -> Result<(), Error>;
            async fn preflight(&self, connection: &ConnectionId) -> Result<Option<Preflight>, Error>;
            async fn keep_preflight(&self, connection: &ConnectionId, preflight: &Preflight) -> Result<(), Error>;
            async fn keep_oauth_state(&self, state: &OAuthState) -> Result<(), Error>;
            async fn take_oauth_state(&self, digest: &Digest) -> Result<Option<OAuthState>, Error>;
            async fn spend_credits(&self, connection: &ConnectionId, bucket: Bucket, spent: Spent) -> Result<(), Error>;
            async fn credits_spent(&self, connection: &ConnectionId, from: Bucket) -> Result<Vec<Hour>, Error>;
        }
        Ledger {
            async fn links(&self, connection: &ConnectionId, object: Object, ids: &[ZohoId]) -> Result<Vec<Link>, Error>;
            async fn links_between(&self, connection: &ConnectionId, object: Object, after: ZohoId, to: ZohoId, limit: usize) -> Result<(Vec<Link>, bool), Error>;
            async fn save_links(&self, links: &[Link]) -> Result<(), Error>, in parts of links;
            async fn save_link_over(&self, link: &Link, read: Option<&Link>) -> Result<(), Error>;
            async fn remove_link_over(&self, read: &Link) -> Result<(), Error>;
            async fn save_candidates(&self, candidates: &[Candidate]) -> Result<(), Error>, in parts of candidates;
            async fn candidates(&self, connection: &ConnectionId, object: Object, after: ZohoId, limit: usize) -> Result<Vec<Candidate>, Error>;
            async fn remove_candidates(&self, connection: &ConnectionId, object: Object, ids: &[ZohoId]) -> Result<(), Error>, in parts of ids;
            async fn await_references(&self, connection: &ConnectionId, object: Object, waiting: &[PlatformId]) -> Result<(), Error>, in parts of waiting;
            async fn awaiting(&self, connection: &ConnectionId, object: Object, after: Option<&PlatformId>, limit: usize) -> Result<Vec<PlatformId>, Error>;
            async fn stop_awaiting(&self, connection: &ConnectionId, object: Object, ids: &[PlatformId]) -> Result<(), Error>, in parts of ids;
        }
        Records {
            async fn records(&self, connection: &ConnectionId, object: Object, ids: &[PlatformId]) -> Result<Vec<Record>, Error>;
            async fn save_record(&self, record: Record) -> Result<Record, Error>;
            async fn list_records(&self, connection: &ConnectionId, object: Object, next: Option<String>, limit: usize) -> Result<Page<Record>, Error>;
            async fn records_updated_since(&self, connection: &ConnectionId, object: Object, since: Timestamp, next: Option<String>, limit: usize) -> Result<Page<Record>, Error>;
            async fn records_of_account(&self, connection: &ConnectionId, account: &PlatformId) -> Result<Vec<(Object, PlatformId)>, Error>;
            async fn pending(&self, connection: &ConnectionId, before: Timestamp, limit: usize) -> Result<Vec<(Object, PlatformId)>, Error>;
            async fn parked(&self, connection: &ConnectionId, next: Option<String>, limit: usize) -> Result<Page<Record>, Error>;
        }
        Calculations {
            async fn mark_calculations(&self, marks: &[Mark]) -> Result<(), Error>, in parts of marks;
            async fn calculations_due(&self, connection: &ConnectionId, today: civil::Date, after: Option<(civil::Date, &PlatformId)>, limit: usize) -> Result<Vec<Mark>, Error>;
            async fn clear_calculations(&self, marks: &[Mark]) -> Result<(), Error>, in parts of marks;
            async fn calculated_with(&self, connection: &ConnectionId) -> Result<Option<Digest>, Error>;
            async fn note_calculated_with(&self, connection: &ConnectionId, plan: Digest) -> Result<(), Error>;
        }
        Erasure {
            async fn erase(&self, connection: &ConnectionId, limit: usize) -> Result<Deleted, Error>;
        }
        Journal {
            async fn write(&self, entries: &[Entry]) -> Result<(), Error>, in parts of entries;
            async fn read(&self, connection: &ConnectionId, query: &JournalQuery, next: Option<String>, limit: usize) -> Result<Page<Entry>, Error>;
        }
    }
    /// A layer around the queues.
    QueueLayer around Queue, "queue" {
        Queue {
            async fn send_work(&self, messages: &[Work]) -> Result<(), Error>, in parts of messages;
            async fn send_work_later(&self, messages: &[Work], delay: Duration) -> Result<(), Error>, in parts of messages;
            async fn send_writeback(&self, messages: &[Writeback]) -> Result<(), Error>, in parts of messages;
            async fn send_writeback_later(&self, messages: &[Writeback], delay: Duration) -> Result<(), Error>, in parts of messages;
            async fn send_writeback_again(&self, messages: &[(Writeback, Timestamp)]) -> Result<(), Error>, in parts of messages;
            async fn put_back(&self, delivery: &Delivery, delay: Duration) -> Result<(), Error>;
            async fn dead_letters(&self, queue: QueueName) -> Result<DeadLetters, Error>;
            async fn redrive(&self, queue: QueueName) -> Result<Redriven, Error>;
        }
    }
    /// A layer around the secrets.
    VaultLayer around Vault, "vault" {
        Vault {
            async fn oauth_client(&self, centre: DataCentre) -> Result<Option<OAuthClient>, Error>;
            async fn tokens(&self, connection: &ConnectionId) -> Result<Option<Tokens>, Error>;
            async fn keep_tokens(&self, connection: &ConnectionId, tokens: &Tokens) -> Result<(), Error>;
            async fn forget_tokens(&self, connection: &ConnectionId) -> Result<(), Error>;
            async fn operator(&self) -> Result<Secret, Error>;
        }
    }
    /// A layer around Zoho.
    CrmLayer around Crm, "crm" {
        Crm {
            async fn exchange(&self, centre: DataCentre, client: &OAuthClient, code: &Secret, redirect_uri: &str) -> Result<Grant, CrmError>;
            async fn refresh(&self, centre: DataCentre, client: &OAuthClient, refresh: &Secret) -> Result<Grant, CrmError>;
            async fn revoke(&self, centre: DataCentre, refresh: &Secret) -> Result<(), CrmError>;
            async fn organisation(&self, caller: &Caller) -> Result<Reply<GrantedOrganisation>, CrmError>;
            async fn fields(&self, caller: &Caller, object: Object) -> Result<Reply<Vec<FieldInfo>>, CrmError>;
            async fn select(&self, caller: &Caller, select: &Select) -> Result<Reply<Rows>, CrmError>;
            async fn count(&self, caller: &Caller, count: Count) -> Result<Reply<u64>, CrmError>;
            async fn tally(&self, caller: &Caller, tally: &Tally) -> Result<Reply<Tallied>, CrmError>;
            async fn users(&self, caller: &Caller, page: u32, modified_since: Option<Timestamp>) -> Result<Reply<Rows>, CrmError>;
            async fn insert(&self, caller: &Caller, object: Object, records: &[Outgoing], trigger: &[String]) -> Result<Reply<Vec<WriteOutcome>>, CrmError>;
            async fn update(&self, caller: &Caller, object: Object, records: &[(ZohoId, Outgoing)], trigger: &[String], unmodified_since: Option<Timestamp>) -> Result<Reply<Vec<WriteOutcome>>, CrmError>;
        }
    }
}
