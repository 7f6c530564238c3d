//! The routine sync's cursor: how far an object has been read in the order of (Modified_Time, id).

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::identifier::{Digest, ZohoId};

/// How far behind the cursor each routine read begins: changes that became visible late are met again, and applying is idempotent.
pub const OVERLAP: SignedDuration = SignedDuration::from_secs(120);

/// How far behind Zoho's own clock the cursor stays: a change of the running second may still be on its way.
pub const LAG: SignedDuration = SignedDuration::from_secs(60);

/// Everything up to and including this instant has been stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The watermark, in Zoho's time.
    pub until: Timestamp,
    /// The field plan with which everything before it was read; another plan asks for a full read (F8).
    pub plan: Digest,
    /// Records in scope may lack their dependants, because a full sync was cut short or the connection did not run when they were asked for:
    /// the next routine sync asks for what is owed (S5).
    pub owes: bool,
}

/// Where within one routine sync the reading stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The last row's Modified_Time.
    pub time: Timestamp,
    /// The last row's id.
    pub id: ZohoId,
}

impl Cursor {
    /// Where a routine sync begins to read, inclusive.
    #[must_use]
    pub fn since(&self) -> Timestamp {
        self.until.saturating_sub(OVERLAP).unwrap_or(Timestamp::MIN)
    }

    /// The cursor of an object that was never read with this plan: everything is still to come, and nobody knows what is owed.
    #[must_use]
    pub const fn beginning(plan: Digest) -> Self {
        Self {
            until: Timestamp::UNIX_EPOCH,
            plan,
            owes: true,
        }
    }

    /// The cursor after every row of a page is stored. `last` is the page's last row, none where it was also the last page; `server_time`
    /// is Zoho's clock when the page was asked for. The watermark never goes back, and never beyond [`LAG`] behind Zoho's clock.
    #[must_use]
    pub fn advanced(self, last: Option<Position>, server_time: Timestamp) -> Self {
        let bound = server_time.saturating_sub(LAG).unwrap_or(Timestamp::MIN);
        let reached = last.map_or(bound, |position| position.time.min(bound));
        Self {
            until: self.until.max(reached),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_watermark_never_goes_back_nor_beyond_zohos_clock(start in 0i64..2_000_000, last in proptest::option::of(0i64..2_000_000), server in 0i64..2_000_000) {
            let at = |second| Timestamp::from_second(second).unwrap();
            let cursor = Cursor { until: at(start), plan: Digest::of(b"plan"), owes: false };
            let next = cursor.advanced(last.map(|second| Position { time: at(second), id: ZohoId::MIN }), at(server));
            prop_assert!(next.until >= cursor.until);
            prop_assert!(next.until == cursor.until || next.until <= at(server - 60));
        }
    }
}
