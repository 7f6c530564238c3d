//! How a flow calls Zoho for one connection: with a token that is renewed once for everybody, below the ceiling of credits, no more at a time
//! than the organisation's edition leaves room for, a lost grant and throttling remembered for all functions (C2, C3, C7).

mod pause;
mod seat;
mod token;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::connection::{Connection, Organisation, Status};
use crate::credit::{self, Bucket, Budget, Spender, Spent, Word};
use crate::data_centre::DataCentre;
use crate::identifier::{ConnectionId, ZohoId};
use crate::journal::Retention;
use crate::object::Object;
use crate::port::{
    Caller, Crm, CrmError, FieldInfo, GrantedOrganisation, Ports, Reply, Rows, WriteOutcome,
};
use crate::row::Outgoing;
use crate::select::{Count, PAGE_ROWS, Select};
use crate::settings::Settings;
use crate::tally::{Tallied, Tally};

use super::Error;
use super::budget;
use seat::Seat;
use token::State;

/// The most credits that are not written down yet: what a session that is killed leaves uncounted. More than a call costs.
const UNWRITTEN: u64 = 30;

/// One connection's calls to Zoho, as long as one piece of work lasts. Those made side by side go out one after the other.
pub struct Session {
    ports: Ports,
    connection: ConnectionId,
    centre: DataCentre,
    organisation: Organisation,
    /// As what it spends credits.
    spender: Spender,
    /// The part of the organisation's allowance that the connection may spend, in percent.
    share: u8,
    retention: Retention,
    /// How many calls the connection may make at a time.
    seats: u16,
    /// Whom the leases on the tokens and on its seat are held by.
    holder: String,
    /// Spreads early refreshes and the ends of pauses.
    jitter: u64,
    state: Mutex<State>,
    turn: Mutex<Turn>,
    calls: AtomicU64,
    credits: AtomicU64,
}

/// What whoever makes a call holds: a session has one seat, so it makes one call at a time.
#[derive(Default)]
struct Turn {
    seat: Option<Seat>,
    /// The budget as it was read last, less what was spent since; none: it is to be read.
    budget: Option<Budget>,
    /// Credits that are not written down yet.
    unwritten: u64,
    /// What Zoho said last is left.
    word: Option<Word>,
}

impl Session {
    /// Opens a session for a connection that was granted access. Nothing is read yet; the first call reads the tokens and the budget. What is
    /// left of the customer's credits decides whether `spender` may call.
    ///
    /// # Errors
    /// When the connection was never granted, lost its grant, is disconnected or throttled, or when its stored API domain is none of
    /// Zoho's.
    pub fn open(
        ports: &Ports,
        connection: &Connection,
        settings: &Settings,
        spender: Spender,
    ) -> Result<Self, Error> {
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
            organisation: organisation.clone(),
            spender,
            share: settings.credit_share,
            retention: Retention {
                days: settings.log.keep_days,
                values: settings.log.values,
            },
            seats: credit::seats(&organisation.edition),
            holder: format!("{number:032x}"),
            jitter: u64::try_from(number & u128::from(u32::MAX)).unwrap_or_default(),
            state: Mutex::new(State::new(api)),
            turn: Mutex::default(),
            calls: AtomicU64::new(0),
            credits: AtomicU64::new(0),
        })
    }

    /// The organisation behind the token.
    ///
    /// # Errors
    /// See [`Session::select`].
    pub async fn organisation(&self) -> Result<Reply<GrantedOrganisation>, Error> {
        self.call(credit::OF_READ, |crm, caller| async move {
            crm.organisation(&caller).await
        })
        .await
    }

    /// The fields of an object's module that the granting user may see.
    ///
    /// # Errors
    /// See [`Session::select`].
    pub async fn fields(&self, object: Object) -> Result<Reply<Vec<FieldInfo>>, Error> {
        self.call(credit::OF_READ, move |crm, caller| async move {
            crm.fields(&caller, object).await
        })
        .await
    }

    /// A page of rows by COQL.
    ///
    /// # Errors
    /// When the grant is gone ([`Error::NeedsReconnect`]; the connection is marked), Zoho throttles ([`CrmError::Throttled`]; the
    /// connection is paused for all functions), too much of the organisation's credits is spent ([`Error::OverBudget`]), other functions make
    /// as many calls as may be made at a time or are renewing the token ([`Error::Busy`]), our OAuth client is refused
    /// ([`Error::OAuthClient`]), a port fails, or Zoho refuses this very call.
    pub async fn select(&self, select: &Select) -> Result<Reply<Rows>, Error> {
        let price = credit::of_select(select.limit.min(PAGE_ROWS));
        self.call(price, move |crm, caller| async move {
            crm.select(&caller, select).await
        })
        .await
    }

    /// How many records of a module the granting user may see.
    ///
    /// # Errors
    /// See [`Session::select`].
    pub async fn count(&self, count: Count) -> Result<Reply<u64>, Error> {
        self.call(credit::of_select(1), move |crm, caller| async move {
            crm.count(&caller, count).await
        })
        .await
    }

    /// How many records have a value in a field, or how many each of its values.
    ///
    /// # Errors
    /// See [`Session::select`].
    pub async fn tally(&self, tally: &Tally) -> Result<Reply<Tallied>, Error> {
        self.call(tally.price(), move |crm, caller| async move {
            crm.tally(&caller, tally).await
        })
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
        self.call(credit::OF_READ, move |crm, caller| async move {
            crm.users(&caller, page, modified_since).await
        })
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
        let price = credit::of_write(records.len());
        self.call(price, move |crm, caller| async move {
            crm.insert(&caller, object, records, trigger).await
        })
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
        let price = credit::of_write(records.len());
        self.call(price, move |crm, caller| async move {
            crm.update(&caller, object, records, trigger, unmodified_since)
                .await
        })
        .await
    }

    /// Now, by our own clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.ports.clock.now()
    }

    /// How many calls were made to Zoho's API.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// How many credits they cost. What a call costs that Zoho refuses or does not answer, Zoho does not say: it counts as if it had succeeded.
    #[must_use]
    pub fn credits(&self) -> u64 {
        self.credits.load(Ordering::Relaxed)
    }

    /// Gives the session's seat back, and writes down the credits not yet written. To be called when the work is done, whether it went well or
    /// not. Of a session that is killed before, the seat is free again after two minutes, and at most 30 credits stay uncounted.
    ///
    /// # Errors
    /// When the store fails; the credits are then kept for the next try.
    pub async fn finish(&self) -> Result<(), Error> {
        let mut turn = self.turn.lock().await;
        self.stand_up(&mut turn).await;
        self.write_down(&mut turn).await
    }

    /// Makes a call with a usable token. A token that Zoho does not accept (401) is renewed and the call made again, which is safe for a write
    /// too: a call without a valid token does nothing. Where it accepts none of two tokens that were made for this call, the grant is gone; one of
    /// them alone it may have forgotten, or not heard of yet.
    async fn call<T, F, A>(&self, price: u64, ask: F) -> Result<Reply<T>, Error>
    where
        F: Fn(Arc<dyn Crm>, Caller) -> A,
        A: Future<Output = Result<Reply<T>, CrmError>>,
    {
        let mut turn = self.turn.lock().await;
        self.may_call().await?;
        self.afford(&mut turn).await?;
        let mut pass = self.pass().await?;
        let mut new_ones_refused = 0;
        loop {
            let (generation, is_new) = (pass.generation, pass.is_new);
            match self.attempt(&mut turn, price, &ask, pass.caller).await? {
                Ok(reply) => return Ok(reply),
                Err(CrmError::Unauthorised { code }) if is_new && new_ones_refused > 0 => {
                    return Err(self.refused_new(generation, &code).await);
                }
                Err(CrmError::Unauthorised { .. }) => {
                    new_ones_refused += u32::from(is_new);
                    pass = self.pass_in_place_of(generation).await?;
                }
                Err(CrmError::Throttled { after }) => return Err(self.pause(after).await),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Makes one call, with everything that must hold before it. Its credits count from before it is made, so that none is missing after it.
    async fn attempt<T, F, A>(
        &self,
        turn: &mut Turn,
        price: u64,
        ask: &F,
        caller: Caller,
    ) -> Result<Result<Reply<T>, CrmError>, Error>
    where
        F: Fn(Arc<dyn Crm>, Caller) -> A,
        A: Future<Output = Result<Reply<T>, CrmError>>,
    {
        if turn.unwritten + price > UNWRITTEN {
            self.write_down(turn).await?;
        }
        self.afford(turn).await?;
        self.sit(turn).await?;
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.charge(turn, price);
        let answer = ask(Arc::clone(&self.ports.crm), caller).await;
        if let Ok(reply) = &answer {
            self.charge(turn, reply.credits.saturating_sub(price));
            if let Some(left) = reply.credits_left {
                self.told(turn, left);
            }
        }
        Ok(answer)
    }

    /// Sees to it that the session's spender may go on.
    async fn afford(&self, turn: &mut Turn) -> Result<(), Error> {
        let (ports, id) = (&self.ports, &self.connection);
        let budget = match turn.budget {
            Some(budget) => budget,
            None => {
                let read = budget::budget(ports, id, &self.organisation, self.share).await?;
                *turn.budget.insert(read)
            }
        };
        if budget.allows(self.spender) {
            return Ok(());
        }
        Err(budget::over(ports, id, self.retention, self.spender, budget).await?)
    }

    fn charge(&self, turn: &mut Turn, credits: u64) {
        self.credits.fetch_add(credits, Ordering::Relaxed);
        turn.unwritten += credits;
        if let Some(budget) = &mut turn.budget {
            budget.spent = budget.spent.saturating_add(credits);
        }
    }

    /// Takes Zoho at its word, at once for this session and with the next writing down for all.
    fn told(&self, turn: &mut Turn, left: u64) {
        turn.word = Some(Word {
            left,
            at: self.ports.clock.now(),
        });
        if let Some(budget) = &mut turn.budget {
            budget.left = Some(left);
        }
    }

    /// Writes down what was spent, and has the budget read anew: others have spent too.
    async fn write_down(&self, turn: &mut Turn) -> Result<(), Error> {
        if turn.unwritten == 0 {
            return Ok(());
        }
        let spent = Spent {
            spender: self.spender,
            credits: turn.unwritten,
            word: turn.word,
        };
        let bucket = Bucket::of(self.ports.clock.now());
        let store = &self.ports.store;
        store.spend_credits(&self.connection, bucket, spent).await?;
        turn.unwritten = 0;
        turn.word = None;
        turn.budget = None;
        Ok(())
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
