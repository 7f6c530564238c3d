//! A session's seat: one of the calls to Zoho that a connection may make at a time, over all functions (C7). A seat is a lease. It is taken with
//! the first call, held for longer as long as calls are made, given back at the end, and runs out by itself when its holder is killed.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::credit::{Spender, seats_of};
use crate::flow::Error;

use super::{Session, Turn};

/// Twice as long as a call may last, so that in a chain of calls not every one writes.
const HELD_FOR: SignedDuration = SignedDuration::from_secs(120);

/// Longer than a call to Zoho may last (a minute): a seat that is held for so long outlives the call that is made with it.
const CALL: SignedDuration = SignedDuration::from_secs(65);

/// In how many seconds to look again for a seat, at the earliest; up to twice as much more, so that not everybody comes back at once. Full syncs
/// sit long and are in no hurry; the others mostly have one call to make.
const fn look_again(spender: Spender) -> u64 {
    match spender {
        Spender::FullSync => 20,
        Spender::RoutineSync | Spender::Person | Spender::Writeback => 5,
    }
}

/// A seat that is held.
pub(super) struct Seat {
    name: String,
    until: Timestamp,
}

impl Session {
    /// Sees to it that the session has a seat for as long as its next call may last.
    pub(super) async fn sit(&self, turn: &mut Turn) -> Result<(), Error> {
        let now = self.ports.clock.now();
        let lasts = now.saturating_add(CALL).unwrap_or(Timestamp::MAX);
        let until = now.saturating_add(HELD_FOR).unwrap_or(Timestamp::MAX);
        if let Some(seat) = &mut turn.seat {
            if seat.until >= lasts {
                return Ok(());
            }
            if self.lease(&seat.name, now, until).await? {
                seat.until = until;
                return Ok(());
            }
            // It ran out, and somebody else took it.
            turn.seat = None;
        }
        for number in seats_of(self.spender, self.seats, self.jitter) {
            let name = format!("seat#{number}");
            if self.lease(&name, now, until).await? {
                turn.seat = Some(Seat { name, until });
                return Ok(());
            }
        }
        let least = look_again(self.spender);
        Err(Error::Busy {
            what: "as much as may be asked of Zoho at a time",
            after: Duration::from_secs(least + self.jitter % (2 * least)),
        })
    }

    async fn lease(&self, name: &str, now: Timestamp, until: Timestamp) -> Result<bool, Error> {
        let store = &self.ports.store;
        Ok(store
            .lease(&self.connection, name, &self.holder, now, until)
            .await?)
    }

    /// Gives the seat back. One that can't be given back runs out by itself.
    pub(super) async fn stand_up(&self, turn: &mut Turn) {
        let Some(seat) = turn.seat.take() else {
            return;
        };
        let store = &self.ports.store;
        let released = store
            .release(&self.connection, &seat.name, &self.holder)
            .await;
        if let Err(error) = released {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(connection.id = %self.connection, lease = seat.name, error, "a seat is not given back");
        }
    }
}
