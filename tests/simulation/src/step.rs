//! What can happen: on either side, to the messages, to the calls, to time.

use crate::dice::Dice;

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
    /// A person gives a record in Zoho the external id of another, where Zoho lets them.
    ZohoDoubles(u64),
    /// A person moves a task to another account, deal or contact, or an account below another, in Zoho.
    ZohoReparents(u64),
    /// An administrator hides a field in Zoho, or shows it again.
    ZohoHides(u64),
    /// Zoho's clock goes another way.
    ZohoClock(u64),
    /// The platform's records of what Zoho has already come from elsewhere, and are to be filled.
    PlatformKnows(u64),
    /// The platform puts a record into a segment, or takes it out.
    PlatformSegments(u64),
    /// The platform asks for what it may not have: to edit a removed record, or a deal.
    PlatformErrs(u64),
    /// The platform edits several records at once.
    PlatformEditsMany(u64),
    /// Zoho forgets an access token early, and may have none to give for a while.
    TokenExpires(u64),
    /// The customer revokes the grant.
    Revokes(u64),
    /// The customer goes to Zoho to grant access again.
    Reconnects(u64),
    /// An operator pauses a connection, or switches it on again.
    Pauses(u64),
    /// An operator says yes or no to held removals.
    Decides(u64),
    /// The credits of a day run low.
    CreditsRunLow(u64),
    /// The poller ticks.
    Tick(u64),
    /// A full sync starts.
    Night(u64),
    /// A message is given to its function, any of those that wait.
    Deliver(u64),
    /// A message is on its queue twice.
    Duplicate(u64),
    /// A message that was done long ago comes again.
    OldMessage(u64),
    /// A message has been delivered as often as one may be.
    WearsOut(u64),
    /// A handler goes on for some calls.
    GoOn(u64),
    /// All handlers go on for some calls, in any order.
    Together(u64),
    /// A handler is killed between two calls; its message comes again later.
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
    ($($kind:ident $weight:literal,)+) => {
        const WEIGHTS: &[(&str, u64)] = &[$((stringify!($kind), $weight),)+];

        impl Step {
            /// The name of the step's kind.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => stringify!($kind),)+
                }
            }

            /// The number that decides what it means.
            #[must_use]
            pub const fn number(&self) -> u64 {
                match self {
                    $(Self::$kind(number) => *number,)+
                }
            }

            fn of(kind: &str, number: u64) -> Option<Self> {
                match kind {
                    $(stringify!($kind) => Some(Self::$kind(number)),)+
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    ZohoEdits 12,
    ZohoCreates 6,
    ZohoDeletes 3,
    ZohoRestores 3,
    ZohoMoves 4,
    ZohoRenames 2,
    ZohoMerges 1,
    ZohoScopes 5,
    ZohoDoubles 2,
    ZohoReparents 3,
    ZohoHides 3,
    ZohoClock 1,
    PlatformKnows 3,
    PlatformSegments 3,
    PlatformErrs 1,
    PlatformEditsMany 2,
    TokenExpires 1,
    Revokes 1,
    Reconnects 2,
    Pauses 1,
    Decides 2,
    CreditsRunLow 1,
    PlatformEdits 8,
    PlatformSends 4,
    PlatformCreates 4,
    SettingsChange 2,
    Tick 7,
    Night 3,
    Deliver 26,
    Duplicate 3,
    OldMessage 1,
    WearsOut 1,
    GoOn 16,
    Together 22,
    Kill 3,
    PortFails 4,
    ZohoFails 3,
    ZohoThrottles 1,
    Seconds 6,
    Hours 2,
    IndexesLag 1,
}

impl Step {
    /// The kinds of steps.
    pub fn kinds() -> Vec<&'static str> {
        WEIGHTS.iter().map(|(kind, _)| *kind).collect()
    }

    /// A step that chance decides.
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let all: u64 = WEIGHTS.iter().map(|(_, weight)| weight).sum();
        let mut at = dice.number() % all;
        let number = dice.number();
        for (kind, weight) in WEIGHTS {
            if at < *weight {
                return Self::of(kind, number).unwrap_or(Self::Tick(number));
            }
            at -= weight;
        }
        Self::Tick(number)
    }
}
