//! What can happen: on either side, to the messages, to the calls, to time.

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _};

/// One thing that happens. Its numbers pick among what there is when it happens, so a step means something wherever it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A person edits an account, contact, deal or task in Zoho.
    ZohoEdits(u64),
    /// A person creates a record in Zoho.
    ZohoCreates(u64),
    /// A person deletes a record in Zoho.
    ZohoDeletes(u64),
    /// A person restores a deleted record in Zoho, which does not flag it as changed.
    ZohoRestores(u64),
    /// A person moves a contact or deal to another account in Zoho.
    ZohoMoves(u64),
    /// A person gives an account another external id, or none, in Zoho.
    ZohoRenames(u64),
    /// A person merges two contacts in Zoho.
    ZohoMerges(u64),
    /// An account enters or leaves the filter.
    ZohoScopes(u64),
    /// The platform edits a record by the API.
    PlatformEdits(u64),
    /// The platform edits a record by a message.
    PlatformSends(u64),
    /// The platform makes a task.
    PlatformCreates(u64),
    /// An operator changes the settings.
    SettingsChange(u64),
    /// The poller ticks.
    Tick,
    /// A full sync starts.
    Night,
    /// A message is delivered, any of those that wait.
    Deliver(u64),
    /// Some messages are delivered.
    DeliverSome(u64),
    /// A message is delivered twice.
    DeliverTwice(u64),
    /// A message's worker is killed in its midst; the message comes again later.
    Kill(u64),
    /// A call of a table, queue or vault fails, before or after its effect.
    PortFails(u64),
    /// A call to Zoho fails, before or after its effect.
    ZohoFails(u64),
    /// Zoho throttles.
    ZohoThrottles(u64),
    /// Time passes: seconds.
    Seconds(u64),
    /// Time passes: an hour or more, in which the token runs out.
    Hours(u64),
    /// The indexes of the tables lag behind.
    IndexesLag(u64),
}

macro_rules! kinds {
    ($($kind:ident $weight:literal $($number:ident)?,)+) => {
        const WEIGHTS: &[(&str, u64)] = &[$((stringify!($kind), $weight),)+];

        impl Step {
            /// The name of the step's kind.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$kind { .. } => stringify!($kind),)+
                }
            }

            fn of(kind: &str, number: u64) -> Option<Self> {
                let _ = number;
                match kind {
                    $(stringify!($kind) => Some(kinds!(@make $kind $($number)? number)),)+
                    _ => None,
                }
            }
        }
    };
    (@make $kind:ident number $value:ident) => { Self::$kind($value) };
    (@make $kind:ident $value:ident) => { Self::$kind };
}

kinds! {
    ZohoEdits 12 number,
    ZohoCreates 6 number,
    ZohoDeletes 3 number,
    ZohoRestores 2 number,
    ZohoMoves 4 number,
    ZohoRenames 2 number,
    ZohoMerges 1 number,
    ZohoScopes 5 number,
    PlatformEdits 8 number,
    PlatformSends 4 number,
    PlatformCreates 4 number,
    SettingsChange 1 number,
    Tick 8,
    Night 4,
    Deliver 14 number,
    DeliverSome 14 number,
    DeliverTwice 5 number,
    Kill 6 number,
    PortFails 5 number,
    ZohoFails 4 number,
    ZohoThrottles 2 number,
    Seconds 8 number,
    Hours 2 number,
    IndexesLag 1 number,
}

impl Step {
    /// The kinds of steps.
    pub fn kinds() -> Vec<&'static str> {
        WEIGHTS.iter().map(|(kind, _)| *kind).collect()
    }

    /// A step that chance decides.
    pub fn draw(random: &mut StdRng) -> Self {
        let all: u64 = WEIGHTS.iter().map(|(_, weight)| weight).sum();
        let mut at = random.random_range(0..all);
        let number = random.next_u64();
        for (kind, weight) in WEIGHTS {
            if at < *weight {
                return Self::of(kind, number).unwrap_or(Self::Tick);
            }
            at -= weight;
        }
        Self::Tick
    }
}
