//! A throttled connection pauses for all functions, and no other connection with it (C7).

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::connection::Connection;
use crate::flow::Error;
use crate::flow::note::note;
use crate::journal::Outcome;
use crate::port::{self, CrmError};

use super::Session;

/// How long a pause lasts where Zoho does not say (it documents no Retry-After).
const FIRST: i64 = 60;
/// The same, when the pause before ended less than [`AGAIN`] ago.
const NEXT: i64 = 300;
const AGAIN: SignedDuration = SignedDuration::from_mins(10);
/// The longest pause; one call then finds out whether it is over.
const LONGEST: i64 = 3_600;

/// What a call gets while the connection is paused.
pub(super) fn throttled(until: Timestamp, now: Timestamp) -> Error {
    let left = u64::try_from(until.duration_since(now).as_secs() + 1).unwrap_or(1);
    Error::Crm(CrmError::Throttled {
        after: Some(Duration::from_secs(left)),
    })
}

/// When a pause that starts now ends: what Zoho says or a minute, longer when the last pause did not help; with up to a quarter more,
/// so that not everybody comes back at once. A pause in force is never shortened.
fn end(
    before: Option<Timestamp>,
    now: Timestamp,
    asked: Option<Duration>,
    jitter: u64,
) -> Timestamp {
    let recent = before.is_some_and(|end| end <= now && now.duration_since(end) < AGAIN);
    let base = match asked {
        Some(asked) => i64::try_from(asked.as_secs())
            .unwrap_or(LONGEST)
            .clamp(1, LONGEST),
        None if recent => NEXT,
        None => FIRST,
    };
    let extra = i64::try_from(jitter % 1_000).unwrap_or(0) * base / 4_000;
    let until = now
        .checked_add(SignedDuration::from_secs(base + extra))
        .unwrap_or(now);
    match before {
        // Somebody met the same throttling just now: their pause is ours unless Zoho asks for more.
        Some(in_force) if in_force > now && (asked.is_none() || in_force > until) => in_force,
        _ => until,
    }
}

impl Session {
    /// Pauses the connection for all functions, and says how long.
    pub(super) async fn pause(&self, asked: Option<Duration>) -> Error {
        let now = self.ports.clock.now();
        let until = match self.store_pause(now, asked).await {
            Ok(until) => until,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(connection.id = %self.connection, error, "the pause is not written down");
                end(None, now, asked, self.jitter)
            }
        };
        self.state.lock().await.paused_until = Some(until);
        throttled(until, now)
    }

    async fn store_pause(
        &self,
        now: Timestamp,
        asked: Option<Duration>,
    ) -> Result<Timestamp, port::Error> {
        let mut paused = None;
        let saved = self
            .amend(|connection| {
                let until = end(connection.paused_until, now, asked, self.jitter);
                paused = Some(until);
                (connection.paused_until != Some(until)).then_some(Connection {
                    paused_until: Some(until),
                    ..connection
                })
            })
            .await?;
        let until = paused.unwrap_or_else(|| end(None, now, asked, self.jitter));
        if saved {
            let reason = format!("Zoho is throttling: all work waits until {until}");
            note(
                &self.ports,
                &self.connection,
                Outcome::Warned,
                "throttled",
                "",
                reason,
            )
            .await?;
        }
        Ok(until)
    }

    /// Changes the connection as it is stored now; `change` answers nothing when there is nothing to change. True when it was saved.
    pub(in crate::flow) async fn amend(
        &self,
        mut change: impl FnMut(Connection) -> Option<Connection> + Send,
    ) -> Result<bool, port::Error> {
        const TRIES: usize = 5;
        let mut tries = 0;
        loop {
            let stored = self.ports.store.connection(&self.connection).await?;
            let Some(changed) = stored.and_then(&mut change) else {
                return Ok(false);
            };
            tries += 1;
            match self.ports.store.save_connection(changed).await {
                Ok(_) => return Ok(true),
                Err(port::Error::Conflict { .. }) if tries < TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_pause_lasts_as_long_as_zoho_says_or_a_minute_and_longer_when_that_did_not_help() {
        let seconds = |before, asked: Option<u64>| {
            end(before, at(10_000), asked.map(Duration::from_secs), 0).as_second() - 10_000
        };
        assert_eq!(seconds(None, None), 60);
        assert_eq!(seconds(None, Some(7)), 7);
        assert_eq!(seconds(None, Some(1_000_000)), 3_600);
        assert_eq!(seconds(Some(at(9_900)), None), 300);
        assert_eq!(seconds(Some(at(9_000)), None), 60);
    }

    #[test]
    fn a_pause_in_force_is_kept_or_extended() {
        let seconds = |before, asked: Option<u64>| {
            end(Some(before), at(10_000), asked.map(Duration::from_secs), 0).as_second() - 10_000
        };
        assert_eq!(seconds(at(10_020), None), 20);
        assert_eq!(seconds(at(10_020), Some(5)), 20);
        assert_eq!(seconds(at(10_020), Some(90)), 90);
    }

    #[test]
    fn jitter_adds_at_most_a_quarter() {
        for jitter in [0, 1, 500, 999, u64::MAX] {
            let length = end(None, at(0), None, jitter).as_second();
            assert!((60..=75).contains(&length), "{length}");
        }
    }
}
