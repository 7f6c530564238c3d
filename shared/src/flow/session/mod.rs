//! How a flow calls Zoho for one connection: with a token that is renewed once for everybody, credits counted, a lost grant and
//! throttling remembered for all functions (C2, C3, C7).

mod pause;
mod token;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::connection::{Connection, Status};
use crate::credit::Bucket;
use crate::data_centre::DataCentre;
use crate::identifier::{ConnectionId, ZohoId};
use crate::object::Object;
use crate::port::{
    Caller, Crm, CrmError, FieldInfo, GrantedOrganisation, Ports, Reply, Rows, WriteOutcome,
};
use crate::row::Outgoing;
use crate::select::{Count, Select};

use super::Error;
use token::State;

/// Credits are written to the table every so many calls, and at [`Session::finish`].
const CALLS_PER_FLUSH: u64 = 20;

/// One connection's calls to Zoho, as long as one piece of work lasts. Calls may be made side by side.
pub struct Session {
    ports: Ports,
    connection: ConnectionId,
    centre: DataCentre,
    /// Whom the lease on the tokens is held by.
    holder: String,
    /// Spreads early refreshes and the ends of pauses.
    jitter: u64,
    state: Mutex<State>,
    spent: Spent,
}

#[derive(Default)]
struct Spent {
    calls: AtomicU64,
    credits: AtomicU64,
    unwritten: AtomicU64,
}

impl Session {
    /// Opens a session for a connection that was granted access. Nothing is read yet; the first call reads the tokens.
    ///
    /// # Errors
    /// When the connection was never granted, lost its grant, is disconnected or throttled, or when its stored API domain is none of
    /// Zoho's.
    pub fn open(ports: &Ports, connection: &Connection) -> Result<Self, Error> {
        let not_runnable = |reason: String| Error::NotRunnable {
            connection: connection.id.clone(),
            reason,
        };
        match connection.status {
            Status::Enabled | Status::Paused => {}
            Status::NeedsReconnect => {
                return Err(Error::NeedsReconnect {
                    connection: connection.id.clone(),
                    reason: connection.reason.clone().unwrap_or_default(),
                });
            }
            Status::New => return Err(not_runnable("connect it to Zoho first".into())),
            Status::Disconnected | Status::Purging | Status::Purged => {
                return Err(not_runnable(format!("it is {}", connection.status.words())));
            }
        }
        let organisation = connection
            .organisation
            .as_ref()
            .ok_or_else(|| not_runnable("connect it to Zoho first".into()))?;
        // The stored domain is checked again, so that whoever can write to the table can't have tokens sent elsewhere.
        let api = ports
            .directory
            .api_domain(organisation.data_centre, organisation.api_domain.as_str())
            .map_err(|error| not_runnable(error.to_string()))?;
        let now = ports.clock.now();
        if let Some(until) = connection.paused_until.filter(|until| *until > now) {
            return Err(pause::throttled(until, now));
        }
        let number = ports.entropy.number();
        Ok(Self {
            ports: ports.clone(),
            connection: connection.id.clone(),
            centre: organisation.data_centre,
            holder: format!("{number:032x}"),
            jitter: u64::try_from(number & u128::from(u32::MAX)).unwrap_or_default(),
            state: Mutex::new(State::new(api)),
            spent: Spent::default(),
        })
    }

    /// The organisation behind the token.
    ///
    /// # Errors
    /// See [`Session::select`].
    pub async fn organisation(&self) -> Result<Reply<GrantedOrganisation>, Error> {
        self.call(|crm, caller| async move { crm.organisation(&caller).await })
            .await
    }

    /// The fields of an object's module that the granting user may see.
    ///
    /// # Errors
    /// See [`Session::select`].
    pub async fn fields(&self, object: Object) -> Result<Reply<Vec<FieldInfo>>, Error> {
        self.call(move |crm, caller| async move { crm.fields(&caller, object).await })
            .await
    }

    /// A page of rows by COQL.
    ///
    /// # Errors
    /// When the grant is gone ([`Error::NeedsReconnect`]; the connection is marked), Zoho throttles ([`CrmError::Throttled`]; the
    /// connection is paused for all functions), another function is renewing the token ([`Error::Busy`]), our OAuth client is refused
    /// ([`Error::OAuthClient`]), a port fails, or Zoho refuses this very call.
    pub async fn select(&self, select: &Select) -> Result<Reply<Rows>, Error> {
        self.call(move |crm, caller| async move { crm.select(&caller, select).await })
            .await
    }

    /// How many records of a module the granting user may see.
    ///
    /// # Errors
    /// See [`Session::select`].
    pub async fn count(&self, count: Count) -> Result<Reply<u64>, Error> {
        self.call(move |crm, caller| async move { crm.count(&caller, count).await })
            .await
    }

    /// A page (from 1) of all users; only those modified since, where given.
    ///
    /// # Errors
    /// See [`Session::select`].
    pub async fn users(
        &self,
        page: u32,
        modified_since: Option<Timestamp>,
    ) -> Result<Reply<Rows>, Error> {
        self.call(move |crm, caller| async move { crm.users(&caller, page, modified_since).await })
            .await
    }

    /// Creates at most 100 records; see [`Crm::insert`].
    ///
    /// # Errors
    /// See [`Session::select`].
    pub async fn insert(
        &self,
        object: Object,
        records: &[Outgoing],
        trigger: &[String],
    ) -> Result<Reply<Vec<WriteOutcome>>, Error> {
        self.call(
            move |crm, caller| async move { crm.insert(&caller, object, records, trigger).await },
        )
        .await
    }

    /// Updates at most 100 records; see [`Crm::update`].
    ///
    /// # Errors
    /// See [`Session::select`].
    pub async fn update(
        &self,
        object: Object,
        records: &[(ZohoId, Outgoing)],
        trigger: &[String],
        unmodified_since: Option<Timestamp>,
    ) -> Result<Reply<Vec<WriteOutcome>>, Error> {
        self.call(move |crm, caller| async move {
            crm.update(&caller, object, records, trigger, unmodified_since)
                .await
        })
        .await
    }

    /// How many calls were made to Zoho's API.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.spent.calls.load(Ordering::Relaxed)
    }

    /// How many credits they cost.
    #[must_use]
    pub fn credits(&self) -> u64 {
        self.spent.credits.load(Ordering::Relaxed)
    }

    /// Writes down the credits not yet written. To be called when the work is done, whether it went well or not.
    ///
    /// # Errors
    /// When the store fails; the credits are then kept for the next try.
    pub async fn finish(&self) -> Result<(), Error> {
        let credits = self.spent.unwritten.swap(0, Ordering::Relaxed);
        if credits == 0 {
            return Ok(());
        }
        let bucket = Bucket::of(self.ports.clock.now());
        let written = self
            .ports
            .store
            .spend_credits(&self.connection, bucket, credits)
            .await;
        if let Err(error) = written {
            self.spent.unwritten.fetch_add(credits, Ordering::Relaxed);
            return Err(error.into());
        }
        Ok(())
    }

    /// Makes a call with a usable token. A token that Zoho does not accept (401) is renewed once and the call made once more, which is
    /// safe for a write too: a call without a valid token does nothing.
    async fn call<T, F, A>(&self, ask: F) -> Result<Reply<T>, Error>
    where
        F: Fn(Arc<dyn Crm>, Caller) -> A,
        A: Future<Output = Result<Reply<T>, CrmError>>,
    {
        let first = self.pass().await?;
        let refused = first.generation;
        let mut answer = self.attempt(&ask, first.caller).await;
        if let Err(CrmError::Unauthorised { .. }) = answer {
            let second = self.pass_in_place_of(refused).await?;
            let refused = second.generation;
            answer = self.attempt(&ask, second.caller).await;
            if let Err(CrmError::Unauthorised { code }) = &answer {
                return Err(self.refused_twice(refused, code).await);
            }
        }
        match answer {
            Ok(reply) => {
                self.spend(reply.credits).await;
                Ok(reply)
            }
            Err(CrmError::Throttled { after }) => Err(self.pause(after).await),
            Err(error) => Err(error.into()),
        }
    }

    async fn attempt<T, F, A>(&self, ask: &F, caller: Caller) -> Result<Reply<T>, CrmError>
    where
        F: Fn(Arc<dyn Crm>, Caller) -> A,
        A: Future<Output = Result<Reply<T>, CrmError>>,
    {
        self.spent.calls.fetch_add(1, Ordering::Relaxed);
        ask(Arc::clone(&self.ports.crm), caller).await
    }

    async fn spend(&self, credits: u64) {
        self.spent.credits.fetch_add(credits, Ordering::Relaxed);
        self.spent.unwritten.fetch_add(credits, Ordering::Relaxed);
        if !self.calls().is_multiple_of(CALLS_PER_FLUSH) {
            return;
        }
        if let Err(error) = self.finish().await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(connection.id = %self.connection, error, "credits are not written down yet");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lambda handlers need futures that can move between threads; that this compiles is the test.
    #[expect(dead_code, reason = "only compiled")]
    fn calls_can_move_between_threads(session: &Session, select: &Select) {
        fn moves(_: impl Future + Send) {}
        moves(session.select(select));
        moves(session.update(Object::Task, &[], &[], None));
        moves(session.finish());
    }
}
