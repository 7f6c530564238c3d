//! The platform's copy of a record, and the link that ties it to Zoho.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::identifier::{ConnectionId, Digest, FieldName, PlatformId, RunId, ZohoField, ZohoId};
use crate::object::Object;
use crate::value::{Fields, Value};

/// A record on the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The connection that it belongs to.
    pub connection: ConnectionId,
    /// What it is.
    pub object: Object,
    /// Its identity on the platform.
    pub id: PlatformId,
    /// Its id in Zoho, once it is there.
    pub zoho_id: Option<ZohoId>,
    /// The values that the platform shows, pending edits included.
    pub fields: Fields,
    /// Per field, the last value that both sides agreed on (W4).
    pub base: Fields,
    /// The edits that Zoho does not have yet.
    pub pending: BTreeMap<FieldName, Pending>,
    /// When each field was last edited: an edit that arrives late or twice does not come over a later one.
    pub edited: BTreeMap<FieldName, Timestamp>,
    /// Where each value came from (L2).
    pub sources: BTreeMap<FieldName, Source>,
    /// Why its edits wait for something to change (W7).
    pub parked: Option<Parked>,
    /// Set while a creation in Zoho was asked for and nobody knows what came of it: what a lost reply is looked for by (W6).
    pub create_intent: Option<Intent>,
    /// The segments that it is a member of (W3).
    pub segments: BTreeSet<String>,
    /// When an edit last gave its segments, as for each field in `edited`.
    pub segmented: Option<Timestamp>,
    /// Its last Modified_Time known from Zoho.
    pub zoho_modified_time: Option<Timestamp>,
    /// Set when it is removed (R1).
    pub removed: Option<Removed>,
    /// The account that it belonged to before the one that it belongs to now: what is calculated there has to be told that it left (F5).
    pub moved_from: Option<PlatformId>,
    /// What its last version changed, as the log says it.
    pub change: Option<Change>,
    /// When it came to the platform.
    pub created_at: Timestamp,
    /// When it last changed on the platform.
    pub updated_at: Timestamp,
    /// Counts its versions; each write names the version that it read. 0: not stored yet.
    pub version: u64,
}

/// How many edits of a field that came one after the other are kept while none is known to be in Zoho.
const REPLACED: usize = 8;

/// An edit that Zoho does not have yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The value wanted.
    pub value: Value,
    /// When the edit was made.
    pub at: Timestamp,
    /// The other values that edits before this one wanted while they were pending, the latest last: a write without an answer may have left one
    /// of them in Zoho, where it is nobody else's change (W4). An edit that comes twice replaces nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<Value>,
}

impl Pending {
    /// An edit that nothing was pending before.
    #[must_use]
    pub fn new(value: Value, at: Timestamp) -> Self {
        Self {
            value,
            at,
            replaced: Vec::new(),
        }
    }

    /// The same edit after what was pending before.
    #[must_use]
    pub fn after(self, before: Option<&Self>) -> Self {
        let mut replaced: Vec<Value> = before
            .into_iter()
            .flat_map(|before| before.replaced.iter().chain([&before.value]))
            .filter(|earlier| !earlier.same(&self.value))
            .cloned()
            .collect();
        replaced.dedup_by(|one, other| one.same(other));
        let too_many = replaced.len().saturating_sub(REPLACED);
        replaced.drain(..too_many);
        Self { replaced, ..self }
    }
}

/// A creation in Zoho that was asked for, and of which no answer is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// When it was tried first: what a lost reply left behind is no older.
    pub at: Timestamp,
    /// What the tries said, each that differed, whatever became of the record since. Any of them may be in Zoho. Empty in an intent from before
    /// this was kept: what the record shows stands for it.
    pub tries: Vec<Fields>,
    /// The fields that the tries were marked in, whatever the settings name since.
    pub marks: BTreeSet<ZohoField>,
}

impl Intent {
    /// The intent once something more is tried.
    #[must_use]
    pub fn tried(
        before: Option<&Self>,
        fields: Fields,
        mark: Option<&ZohoField>,
        now: Timestamp,
    ) -> Self {
        let mut intent = before.cloned().unwrap_or_else(|| Self {
            at: now,
            tries: Vec::new(),
            marks: BTreeSet::new(),
        });
        intent.marks.extend(mark.cloned());
        if !intent.tries.contains(&fields) {
            intent.tries.push(fields);
        }
        intent
    }

    /// What both sides agree on once the creation is found: where Zoho has what a try said, nobody changed it there, so an edit of meanwhile is
    /// no conflict (W4).
    #[must_use]
    pub fn agreed(&self, theirs: &Fields) -> Fields {
        let was_said = |name: &FieldName, value: &Value| {
            let mut said = self.tries.iter().filter_map(|fields| fields.get(name));
            said.any(|said| said.same(value))
        };
        let agreed = theirs.iter().filter(|(name, value)| was_said(name, value));
        agreed
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }
}

/// Who gave a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Zoho.
    Zoho,
    /// The platform.
    Platform,
    /// Nobody: it follows from other records (F5).
    Calculated,
}

/// Where a value came from (L2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Who gave it.
    pub side: Side,
    /// The run that brought it; none for an edit.
    pub run: Option<RunId>,
    /// When.
    pub at: Timestamp,
    /// The value that lost against it in a conflict.
    pub overruled: Option<Value>,
}

/// Why a record's edits wait (W7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parked {
    /// Zoho's code, or one of Tandem's own.
    pub code: String,
    /// The Zoho field it is about, where there is one.
    pub field: Option<String>,
    /// What is wrong and what helps, in plain words.
    pub remedy: String,
    /// When.
    pub at: Timestamp,
    /// What was refused; other pending values or other settings are worth another try.
    pub attempt: Digest,
}

/// Why a record is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// When; it can be restored for 30 days from then.
    pub at: Timestamp,
    /// The full sync that found out.
    pub run: RunId,
    /// Why.
    pub reason: RemovalReason,
}

/// For how long a function may go on with a row that it read: Lambda ends an invocation after 15 minutes
/// (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html>), and a minute is left to clocks.
const LONGEST_INVOCATION: jiff::SignedDuration = jiff::SignedDuration::from_mins(16);

/// How far our clock and Zoho's may lie apart.
pub const CLOCK_SKEW: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// For how long a removed record can be restored (R1).
pub const RESTORABLE: jiff::SignedDuration = jiff::SignedDuration::from_hours(30 * 24);

/// Why a record leaves the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemovalReason {
    /// Zoho has it no more.
    Gone,
    /// It no longer meets the filter.
    OutOfScope,
    /// The account it belongs to left.
    ParentLeft,
    /// Its Zoho record has another external id now, and is another record on the platform (I5).
    Renamed,
}

/// What one version of a record changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What was done.
    pub action: Action,
    /// The run that did it.
    pub run: Option<RunId>,
    /// The fields that changed.
    pub fields: Vec<FieldChange>,
}

/// What was done to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It came into being on the platform.
    Created,
    /// Zoho's values came to the platform.
    Pulled,
    /// The platform's own edit was accepted.
    Edited,
    /// The platform's values went to Zoho.
    Pushed,
    /// It came into being in Zoho.
    CreatedInZoho,
    /// It was removed from the platform.
    Removed,
    /// It came back after a removal.
    Restored,
    /// It was tied to another Zoho record.
    Relinked,
    /// Its edits wait for something to change.
    Parked,
    /// What waited was dismissed by a person.
    Dismissed,
    /// What follows from its contacts, deals or tasks was brought up to date (F5).
    Calculated,
}

/// One field's change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// The platform field.
    pub field: FieldName,
    /// Its value before.
    pub before: Value,
    /// Its value after.
    pub after: Value,
    /// The value that lost, where two sides disagreed.
    pub overruled: Option<Value>,
}

impl Record {
    /// A record that exists nowhere yet.
    #[must_use]
    pub fn new(connection: ConnectionId, object: Object, id: PlatformId, now: Timestamp) -> Self {
        Self {
            connection,
            object,
            id,
            zoho_id: None,
            fields: Fields::new(),
            base: Fields::new(),
            pending: BTreeMap::new(),
            edited: BTreeMap::new(),
            sources: BTreeMap::new(),
            parked: None,
            create_intent: None,
            segments: BTreeSet::new(),
            segmented: None,
            zoho_modified_time: None,
            removed: None,
            moved_from: None,
            change: None,
            created_at: now,
            updated_at: now,
            version: 0,
        }
    }

    /// Whether something is on its way to Zoho; parked edits are not.
    #[must_use]
    pub fn wants_push(&self) -> bool {
        !self.pending.is_empty() && self.parked.is_none() && self.removed.is_none()
    }

    /// Since when its edits wait for something to change; none: nothing of it waits so, or it is removed.
    #[must_use]
    pub fn parked_since(&self) -> Option<Timestamp> {
        let parked = self.parked.as_ref()?;
        self.removed.is_none().then_some(parked.at)
    }

    /// Whether a Zoho row of this Modified_Time is older than the one that the record was last brought up to: whoever read it was overtaken.
    /// If nobody wrote the record lately, or what it was brought up to is old, the row was read later, and it is Zoho's clock that was put back.
    #[must_use]
    pub fn is_ahead_of(&self, modified: Option<Timestamp>, now: Timestamp) -> bool {
        let known = modified.zip(self.zoho_modified_time);
        let written_lately = now.duration_since(self.updated_at) <= LONGEST_INVOCATION;
        let changed_lately =
            |own: Timestamp| now.duration_since(own) <= LONGEST_INVOCATION + CLOCK_SKEW;
        written_lately && known.is_some_and(|(row, own)| row < own && changed_lately(own))
    }

    /// The oldest pending edit's time.
    #[must_use]
    pub fn pending_since(&self) -> Option<Timestamp> {
        self.pending.values().map(|pending| pending.at).min()
    }

    /// Notes where the record came from if it belongs to another account now than `before`. Every rule that can change a record's account
    /// ends with this.
    pub fn remember_move(&mut self, before: &Self) {
        if let Some(account) = before.account()
            && self.account() != Some(account)
        {
            self.moved_from = Some(account.clone());
        }
    }

    /// The account that the record belongs to, by its platform id.
    #[must_use]
    pub fn account(&self) -> Option<&PlatformId> {
        if self.object == Object::Account {
            return None;
        }
        let (_, value) = self
            .fields
            .iter()
            .find(|(name, _)| name.as_str() == "account")?;
        value.as_reference()?.platform_id.as_ref()
    }
}

/// What ties a Zoho record to the platform; small, because the nightly join reads only these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The connection.
    pub connection: ConnectionId,
    /// The object.
    pub object: Object,
    /// The Zoho record.
    pub zoho_id: ZohoId,
    /// How it stands to the platform.
    pub standing: Standing,
    /// What Zoho's row said when it was last applied.
    pub hash: Digest,
    /// Whether it met the filters at the last full sync or when it came in; dependants follow it (S2, S3).
    pub in_scope: bool,
    /// Whether what belongs to it was asked for since it came into scope (S5).
    pub dependants: Dependants,
}

/// Whether the dependants of a record that came into scope were asked for (S5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dependants {
    /// They were, or it can have none.
    Asked,
    /// Not yet: the routine sync that it came in with asks for them.
    Due,
    /// They were asked for and could not be read then: the next routine sync asks again. The number sets this time apart from every other, so that
    /// whoever asked and did not note that yet comes to a conflict.
    Again(u128),
    /// The full sync that it came in with reads them in a later stage. If that one is cut short, the next routine sync asks for them.
    LeftTo(RunId),
}

impl Dependants {
    /// Whether a routine sync is to ask for them.
    #[must_use]
    pub const fn are_due(&self) -> bool {
        matches!(self, Self::Due | Self::Again(_))
    }
}

/// How a Zoho record stands to the platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is this record.
    Linked(PlatformId),
    /// It has no external id (I1).
    Unmatched,
    /// Another Zoho record has the same external id and came first (I3).
    Duplicate(PlatformId),
    /// Only records that the platform has are filled, and it has none of this id (S7).
    Unknown(PlatformId),
    /// It was this record until the record was removed; if it comes back, it is this record again (R1).
    Removed(PlatformId),
}

/// What the hash of a link begins with whose record is only about to be tied to its row.
const INTENDED: &[u8] = b"intended";

impl Link {
    /// The record that it is tied to.
    #[must_use]
    pub fn platform_id(&self) -> Option<&PlatformId> {
        match &self.standing {
            Standing::Linked(id) => Some(id),
            Standing::Unmatched
            | Standing::Duplicate(_)
            | Standing::Unknown(_)
            | Standing::Removed(_) => None,
        }
    }

    /// The hash of a link that names a record which is about to be tied to a row that says this: no row says the hash itself, so the row is
    /// applied once more.
    #[must_use]
    pub fn intended_for(row: Digest) -> Digest {
        Digest::of(INTENDED).joined(row)
    }

    /// Whether the record that it names is only about to be tied to its row.
    #[must_use]
    pub fn is_intended(&self) -> bool {
        self.hash.begins_like(&Digest::of(INTENDED))
    }

    /// The hash of a link whose row is applied once more: no row says this, either.
    #[must_use]
    pub fn open() -> Digest {
        Digest::of(b"open")
    }

    /// The same while a row is being applied that says this: of two who apply what it says at different times one meets a conflict, as of two
    /// who are about to tie it.
    #[must_use]
    pub fn open_for(row: Digest) -> Digest {
        Self::open().joined(row)
    }

    /// Whether it says what its row said when that was applied.
    #[must_use]
    pub fn is_applied(&self) -> bool {
        !self.hash.begins_like(&Self::open()) && !self.is_intended()
    }

    /// What a reference to the Zoho record names. What is only intended may still come out otherwise, so a reference waits for it.
    #[must_use]
    pub fn named(&self) -> Option<&PlatformId> {
        self.known_as().filter(|_| !self.is_intended())
    }

    /// The record that it is tied to, or was until the record was removed.
    #[must_use]
    pub fn known_as(&self) -> Option<&PlatformId> {
        match &self.standing {
            Standing::Linked(id) | Standing::Removed(id) => Some(id),
            Standing::Unmatched | Standing::Duplicate(_) | Standing::Unknown(_) => None,
        }
    }
}

/// A record that a full sync would remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The connection.
    pub connection: ConnectionId,
    /// The object.
    pub object: Object,
    /// The Zoho record that is gone or out of scope.
    pub zoho_id: ZohoId,
    /// The record tied to it.
    pub platform_id: PlatformId,
    /// The full sync that found out.
    pub run: RunId,
    /// Why.
    pub reason: RemovalReason,
    /// Whether it waits for a person's yes (R2).
    pub held: bool,
}
