//! The tokens of a session: read once, renewed early and by one function at a time, given up when Zoho refuses the grant (C3).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::connection::{Connection, Status};
use crate::data_centre::ApiDomain;
use crate::flow::Error;
use crate::flow::alarm;
use crate::flow::lease::{self, Lease};
use crate::flow::note::note;
use crate::journal::Outcome;
use crate::port::{self, Caller, CrmError, Grant};
use crate::secret::{Freshness, Tokens};

use super::Session;

/// When to look again for a token that another function is renewing.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// When an early renewal that failed is tried again by this session.
const TRY_AGAIN: SignedDuration = SignedDuration::from_secs(60);

/// Why a connection without tokens can't call.
const NO_TOKENS: &str = "no tokens are stored for it: connect Zoho again";

/// What a session knows about its tokens.
pub(super) struct State {
    tokens: Option<Tokens>,
    api: ApiDomain,
    /// The generation of the last token that this session had made.
    made: Option<u64>,
    /// No early renewal before this.
    renew_after: Timestamp,
    /// Zoho refuses the grant: no call is made any more.
    lost: Option<String>,
    /// Zoho throttles until then: no call is made before.
    pub(super) paused_until: Option<Timestamp>,
}

impl State {
    pub(super) fn new(api: ApiDomain) -> Self {
        Self {
            tokens: None,
            api,
            made: None,
            renew_after: Timestamp::MIN,
            lost: None,
            paused_until: None,
        }
    }
}

/// What one attempt goes with.
pub(super) struct Pass {
    pub(super) caller: Caller,
    pub(super) generation: u64,
    /// Made for this call, in place of one that Zoho did not accept. Any other may be as old as that one, whoever renewed it.
    pub(super) is_new: bool,
}

/// Why a renewal did not happen.
enum NotRenewed {
    /// Zoho refuses the refresh token.
    GrantRefused { code: String },
    /// Zoho may have made a token, which nobody has kept.
    Unkept(Error),
    /// Anything else.
    Failed(Error),
}

impl<E: Into<Error>> From<E> for NotRenewed {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Session {
    /// A token to call with, renewed where it is due.
    pub(super) async fn pass(&self) -> Result<Pass, Error> {
        let mut state = self.state.lock().await;
        let tokens = match state.tokens.clone() {
            Some(tokens) => tokens,
            None => self.read_tokens(&mut state).await?,
        };
        let now = self.ports.clock.now();
        match tokens.freshness(now, self.jitter) {
            Freshness::Fresh => {}
            Freshness::Stale if now < state.renew_after => {}
            Freshness::Stale => self.renew_early(&mut state, &tokens).await?,
            Freshness::Expired => self.renew_now(&mut state, &tokens).await?,
        }
        self.pass_of(&state)
    }

    /// A token in place of the one of that generation, which Zoho did not accept.
    pub(super) async fn pass_in_place_of(&self, refused: u64) -> Result<Pass, Error> {
        let mut state = self.state.lock().await;
        match state.tokens.clone() {
            Some(tokens) if tokens.generation == refused => {
                self.renew_now(&mut state, &tokens).await?;
                let pass = self.pass_of(&state)?;
                let is_new = state.made == Some(pass.generation);
                return Ok(Pass { is_new, ..pass });
            }
            // Another call of this session has renewed it meanwhile.
            Some(_) => {}
            None => {
                self.read_tokens(&mut state).await?;
            }
        }
        self.pass_of(&state)
    }

    /// Zoho accepts not even a new token.
    pub(super) async fn refused_new(&self, generation: u64, code: &str) -> Error {
        let mut state = self.state.lock().await;
        let reason = format!(
            "Zoho does not accept the access token, not even a new one ({code}); the user who granted access may have been deactivated: \
             connect Zoho again"
        );
        self.give_up(&mut state, generation, reason)
            .await
            .unwrap_or_else(|error| error)
    }

    /// Refuses a call that would be in vain: the grant is lost, or Zoho throttles.
    pub(super) async fn may_call(&self) -> Result<(), Error> {
        let state = self.state.lock().await;
        if let Some(reason) = &state.lost {
            return Err(self.needs_reconnect(reason.clone()));
        }
        let now = self.ports.clock.now();
        match state.paused_until {
            Some(until) if until > now => Err(super::pause::throttled(until, now)),
            _ => Ok(()),
        }
    }

    fn pass_of(&self, state: &State) -> Result<Pass, Error> {
        let tokens = state.tokens.as_ref().ok_or_else(|| Error::Busy {
            what: "renewing the access token",
            after: LOOK_AGAIN,
        })?;
        Ok(Pass {
            caller: Caller {
                api: state.api.clone(),
                token: tokens.access.clone(),
            },
            generation: tokens.generation,
            is_new: false,
        })
    }

    async fn read_tokens(&self, state: &mut State) -> Result<Tokens, Error> {
        match self.ports.vault.tokens(&self.connection).await? {
            Some(tokens) => {
                state.tokens = Some(tokens.clone());
                Ok(tokens)
            }
            None => Err(self.give_up(state, 0, NO_TOKENS.to_owned()).await?),
        }
    }

    /// Renews a token that is still good. Only a lost grant is a failure: whatever else goes wrong has time.
    async fn renew_early(&self, state: &mut State, tokens: &Tokens) -> Result<(), Error> {
        match self.renew(state, tokens).await {
            Ok(()) => Ok(()),
            Err(NotRenewed::GrantRefused { code }) => {
                Err(self.grant_refused(state, tokens, &code).await?)
            }
            Err(NotRenewed::Failed(error)) if state.lost.is_some() => Err(error),
            Err(NotRenewed::Unkept(error) | NotRenewed::Failed(error)) => {
                let now = self.ports.clock.now();
                state.renew_after = now.checked_add(TRY_AGAIN).unwrap_or(now);
                if !matches!(error, Error::Busy { .. }) {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(connection.id = %self.connection, error, "the access token is not renewed early");
                }
                Ok(())
            }
        }
    }

    /// Renews a token that is of no use any more.
    async fn renew_now(&self, state: &mut State, tokens: &Tokens) -> Result<(), Error> {
        match self.renew(state, tokens).await {
            Ok(()) => Ok(()),
            Err(NotRenewed::GrantRefused { code }) => {
                Err(self.grant_refused(state, tokens, &code).await?)
            }
            Err(NotRenewed::Unkept(error) | NotRenewed::Failed(error)) => Err(error),
        }
    }

    /// Puts a newer token in the place of `old`: another function's where there is one, else one of our own making.
    async fn renew(&self, state: &mut State, old: &Tokens) -> Result<(), NotRenewed> {
        let Some(lease) =
            Lease::take(&self.ports, &self.connection, lease::TOKENS, &self.holder).await?
        else {
            if self.adopt_newer(state, old).await? {
                return Ok(());
            }
            return Err(NotRenewed::Failed(Error::Busy {
                what: "renewing the access token",
                after: LOOK_AGAIN,
            }));
        };
        let renewed = self.renew_under_lease(state, old).await;
        // Zoho makes ten tokens in ten minutes. Where each try may cost one without a use, the lease runs out by itself, as after a crash: that is
        // seven tries at most.
        if !matches!(renewed, Err(NotRenewed::Unkept(_))) {
            lease.release().await;
        }
        renewed
    }

    async fn renew_under_lease(&self, state: &mut State, old: &Tokens) -> Result<(), NotRenewed> {
        if self.ports.vault.tokens(&self.connection).await?.is_none() {
            // Given back meanwhile, under this lease: what would be stored now would outlive the connection.
            let lost = self.give_up(state, 0, NO_TOKENS.to_owned()).await?;
            return Err(NotRenewed::Failed(lost));
        }
        if self.adopt_newer(state, old).await? {
            return Ok(());
        }
        let grant = self.refresh(old).await?;
        let now = self.ports.clock.now();
        let lifetime = SignedDuration::try_from(grant.expires_in).unwrap_or(SignedDuration::ZERO);
        let tokens = Tokens {
            refresh: old.refresh.clone(),
            access: grant.access.clone(),
            expires_at: now.checked_add(lifetime).unwrap_or(now),
            generation: old.generation + 1,
            centre: Some(self.centre),
        };
        let unkept = |error: port::Error| NotRenewed::Unkept(error.into());
        // A customer who reconnected meanwhile stored a newer grant, which must stay.
        if self.adopt_newer(state, old).await.map_err(unkept)? {
            return Ok(());
        }
        let kept = self.ports.vault.keep_tokens(&self.connection, &tokens);
        kept.await.map_err(unkept)?;
        state.made = Some(tokens.generation);
        state.tokens = Some(tokens);
        self.follow(state, &grant).await?;
        Ok(())
    }

    /// Takes the tokens in the vault if they are others than `old` and usable.
    async fn adopt_newer(&self, state: &mut State, old: &Tokens) -> Result<bool, port::Error> {
        let now = self.ports.clock.now();
        let newer = self
            .ports
            .vault
            .tokens(&self.connection)
            .await?
            .filter(|tokens| tokens.generation > old.generation)
            .filter(|tokens| tokens.freshness(now, self.jitter) != Freshness::Expired);
        let found = newer.is_some();
        if found {
            state.tokens = newer;
        }
        Ok(found)
    }

    async fn refresh(&self, old: &Tokens) -> Result<Grant, NotRenewed> {
        let centre = self.centre;
        let misconfigured = |problem: String| Error::OAuthClient { centre, problem };
        let client = self
            .ports
            .vault
            .oauth_client(centre)
            .await?
            .ok_or_else(|| misconfigured("it was never filled in".into()))?;
        let answer = self.ports.crm.refresh(centre, &client, &old.refresh).await;
        match answer {
            Ok(grant) => Ok(grant),
            Err(CrmError::GrantRefused { code }) => Err(NotRenewed::GrantRefused { code }),
            Err(
                CrmError::Refused { code, .. }
                | CrmError::Forbidden { code, .. }
                | CrmError::Unauthorised { code },
            ) => Err(misconfigured(format!("Zoho answers {code}")).into()),
            // The accounts server's own limit; the API's is another, so the connection is not paused for it.
            Err(CrmError::Throttled { after }) => Err(NotRenewed::Failed(Error::Busy {
                what: "waiting for Zoho to make access tokens again",
                after: after.unwrap_or(Duration::from_secs(60)),
            })),
            // An accounts server that answers with a page of its own has a bad moment.
            Err(CrmError::Malformed { source, .. } | CrmError::Unavailable { source }) => {
                Err(NotRenewed::Unkept(CrmError::Unavailable { source }.into()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Follows the API domain that a refresh names, if it is one of the data centre's.
    async fn follow(&self, state: &mut State, grant: &Grant) -> Result<(), port::Error> {
        let Some(given) = &grant.api_domain else {
            return Ok(());
        };
        match self.ports.directory.api_domain(self.centre, given) {
            Ok(api) if api == state.api => Ok(()),
            Ok(api) => {
                state.api = api.clone();
                self.amend(|mut connection| {
                    let organisation = connection.organisation.as_mut()?;
                    if organisation.data_centre != self.centre || organisation.api_domain == api {
                        return None;
                    }
                    organisation.api_domain = api.clone();
                    Some(connection)
                })
                .await?;
                Ok(())
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(connection.id = %self.connection, error, "the API domain of a refresh is ignored");
                Ok(())
            }
        }
    }

    async fn grant_refused(
        &self,
        state: &mut State,
        tokens: &Tokens,
        code: &str,
    ) -> Result<Error, Error> {
        let reason = format!(
            "Zoho refuses the grant ({code}); access was revoked in Zoho, or the user who granted it left: connect Zoho again"
        );
        self.give_up(state, tokens.generation, reason).await
    }

    /// Marks the connection and stops this session's calls, unless a newer grant was stored meanwhile: then the work is to be tried again with
    /// that. The grant of that generation is lost; 0: there was none.
    ///
    /// A customer who comes back stores the new grant before the connection. So either it shows after the connection was read, or the mark meets a
    /// conflict, or the customer takes the mark away. A person is told before the connection is marked, for whoever finds the mark tells nobody.
    async fn give_up(
        &self,
        state: &mut State,
        generation: u64,
        reason: String,
    ) -> Result<Error, Error> {
        const TRIES: usize = 5;
        let mut tries = 0;
        state.tokens = None;
        loop {
            let stored = self.ports.store.connection(&self.connection).await?;
            if self.is_granted_since(generation).await? {
                return Ok(replaced());
            }
            let Some(marked) = stored.and_then(|connection| marked(connection, &reason)) else {
                break;
            };
            if tries == 0 {
                self.tell(&reason).await?;
            }
            tries += 1;
            match self.ports.store.save_connection(marked).await {
                Ok(_) => break,
                Err(port::Error::Conflict { .. }) if tries < TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
        state.lost = Some(reason.clone());
        Ok(self.needs_reconnect(reason))
    }

    async fn is_granted_since(&self, generation: u64) -> Result<bool, port::Error> {
        let stored = self.ports.vault.tokens(&self.connection).await?;
        Ok(stored.is_some_and(|tokens| tokens.generation > generation))
    }

    /// Tells a person that the grant is lost.
    async fn tell(&self, reason: &str) -> Result<(), port::Error> {
        alarm::needs_reconnect(&self.connection, reason);
        note(
            &self.ports,
            &self.connection,
            Outcome::Held,
            "needs_reconnect",
            "",
            reason.to_owned(),
        )
        .await
    }

    fn needs_reconnect(&self, reason: String) -> Error {
        Error::NeedsReconnect {
            connection: self.connection.clone(),
            reason,
        }
    }
}

/// What work gets whose grant was replaced meanwhile: it is tried again with the new one.
const fn replaced() -> Error {
    Error::Busy {
        what: "replacing the grant",
        after: LOOK_AGAIN,
    }
}

/// The connection with the mark that its grant is lost; none: it has no use for a grant now.
fn marked(connection: Connection, reason: &str) -> Option<Connection> {
    // A connection that was not switched on has no due dates, so that reconnecting does not switch it on.
    let (routine_due_at, full_due_at) = match connection.status {
        Status::Enabled => (connection.routine_due_at, connection.full_due_at),
        Status::Paused => (None, None),
        Status::New
        | Status::NeedsReconnect
        | Status::Disconnected
        | Status::Purging
        | Status::Purged => return None,
    };
    Some(Connection {
        status: Status::NeedsReconnect,
        reason: Some(reason.to_owned()),
        routine_due_at,
        full_due_at,
        ..connection
    })
}
