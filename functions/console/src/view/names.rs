//! The closed sets of words that the API uses. Each mirrors a set of the domain; a word that is new there breaks the build here.

use serde::{Deserialize, Serialize};
use tandem::{
    certificate, connection, credit, data_centre, finding, journal, object, record, run, settings,
};
use utoipa::ToSchema;

macro_rules! mirror {
    ($(#[$doc:meta])* $name:ident of $domain:ty { $($(#[$word:meta])* $variant:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        #[allow(clippy::enum_variant_names, reason = "the domain's words")]
        pub(crate) enum $name {
            $($(#[$word])* $variant,)+
        }

        impl From<$domain> for $name {
            fn from(value: $domain) -> Self {
                match value {
                    $(<$domain>::$variant => Self::$variant,)+
                }
            }
        }

        impl From<$name> for $domain {
            fn from(value: $name) -> Self {
                match value {
                    $($name::$variant => Self::$variant,)+
                }
            }
        }
    };
}

mirror! {
    /// What is kept in sync.
    ObjectName of object::Object {
        /// A user of the customer's Zoho organisation.
        User,
        /// A company.
        Account,
        /// A person at an account.
        Contact,
        /// An opportunity of an account.
        Deal,
        /// A to-do.
        Task,
    }
}

mirror! {
    /// Where a connection stands: `new` (nobody has granted access yet), `paused` (granted, and switched off), `enabled` (syncing),
    /// `needs_reconnect` (the grant was lost), `disconnected`, `purging` (its data is being deleted), `purged`.
    Status of connection::Status {
        /// Nobody has granted access yet.
        New,
        /// Granted, and switched off.
        Paused,
        /// Syncing.
        Enabled,
        /// The grant was lost; open `connect_url`.
        NeedsReconnect,
        /// Disconnected by the operator.
        Disconnected,
        /// Disconnected, and its data is being deleted.
        Purging,
        /// Its data is deleted; only its id is left.
        Purged,
    }
}

mirror! {
    /// What kind of sync a run is: `routine` (changed records) or `full` (everything).
    RunKind of run::RunKind {
        /// Over changed records.
        Routine,
        /// Over everything.
        Full,
    }
}

mirror! {
    /// How a run stands: `running`, `complete`, or `incomplete` (it ended early and removed nothing that it had not read completely).
    RunStatus of run::RunStatus {
        /// Under way.
        Running,
        /// Every slice completed.
        Complete,
        /// It ended before that.
        Incomplete,
    }
}

mirror! {
    /// A step of a run.
    Stage of run::Stage {
        /// Every object's changes.
        Routine,
        /// Users.
        Users,
        /// Accounts.
        Accounts,
        /// Contacts.
        Contacts,
        /// Deals.
        Deals,
        /// Tasks.
        Tasks,
        /// References whose other end came later.
        References,
        /// Removal of accounts.
        RemoveAccounts,
        /// Removal of the others.
        RemoveDependants,
        /// Calculated fields of accounts.
        Calculated,
    }
}

mirror! {
    /// How a line of the log went: `done` (as wanted), `parked` (waits for something to change), `refused` (for good), `held` (waits for a
    /// person), `warned` (somebody should know).
    Outcome of journal::Outcome {
        /// As wanted.
        Done,
        /// Waits for something to change.
        Parked,
        /// Refused for good.
        Refused,
        /// Waits for a person.
        Held,
        /// Somebody should know.
        Warned,
    }
}

mirror! {
    /// Which way: `pull` is from Zoho to the platform, `push` from the platform to Zoho.
    Direction of journal::Direction {
        /// From Zoho to the platform.
        Pull,
        /// From the platform to Zoho.
        Push,
    }
}

mirror! {
    /// Who gave a value.
    Side of record::Side {
        /// Zoho.
        Zoho,
        /// The platform.
        Platform,
        /// Nobody: it follows from other records.
        Calculated,
    }
}

mirror! {
    /// Why a record leaves the platform: `gone` (Zoho has it no more), `out_of_scope` (it no longer meets the filter), `parent_left` (its
    /// account left), `renamed` (its Zoho record has another external id now).
    RemovalReason of record::RemovalReason {
        /// Zoho has it no more.
        Gone,
        /// It no longer meets the filter.
        OutOfScope,
        /// Its account left.
        ParentLeft,
        /// Its Zoho record has another external id now.
        Renamed,
    }
}

mirror! {
    /// What a run counts.
    CounterName of run::Counter {
        /// Rows read from Zoho.
        RowsRead,
        /// Links compared with them.
        LinksRead,
        /// Records that came to the platform.
        Created,
        /// Records whose values changed.
        Updated,
        /// Records that were the same on both sides.
        Unchanged,
        /// Records that came back after a removal.
        Restored,
        /// Records removed.
        Removed,
        /// Removals held for a person.
        Held,
        /// Held removals that resolved themselves.
        Withdrawn,
        /// Values or edits that could not be applied.
        Parked,
        /// Zoho records whose external id another one has already.
        Duplicates,
        /// Zoho records without an external id.
        Unmatched,
        /// Zoho records that the platform does not have and does not create.
        Unknown,
        /// Zoho records that do not meet the filter.
        OutOfScope,
        /// Zoho records that are larger than the table takes.
        TooLarge,
        /// Records that may have to be removed.
        Candidates,
        /// Those of them that Zoho has no more.
        Gone,
        /// Rows that Zoho itself counts.
        ZohoCount,
        /// Calls to Zoho.
        ZohoCalls,
        /// Zoho's price of these calls.
        ZohoCredits,
        /// Records whose contacts, deals and tasks were asked for, because they came into scope.
        Announced,
        /// References whose other end was found.
        Resolved,
        /// Accounts whose calculated fields changed.
        Calculated,
    }
}

mirror! {
    /// How much a finding matters: `blocking` (the connection must not be switched on), `problem` (something will not sync) or `warning`
    /// (something may not be as intended).
    Severity of finding::Severity {
        /// The connection must not be switched on.
        Blocking,
        /// Something will not sync.
        Problem,
        /// Something may not be as intended.
        Warning,
    }
}

mirror! {
    /// What kind of finding it is; these names are stable.
    FindingCode of finding::Code {
        /// A scope was not granted.
        ScopeMissing,
        /// The organisation's details can't be read.
        OrganisationUnreadable,
        /// Users can't be read.
        UsersUnreadable,
        /// A module's records can't be read.
        ModuleUnreadable,
        /// A module's fields can't be read.
        FieldsUnreadable,
        /// Modified_Time is hidden.
        ModifiedTimeHidden,
        /// The external-id field does not exist or is hidden.
        ExternalIdMissing,
        /// The external-id field is of a type that holds no ids, or perhaps none.
        ExternalIdUnfit,
        /// The external-id field can't be written, and records are to be created with it.
        ExternalIdNotWritable,
        /// Zoho does not keep the external-id field's values apart.
        ExternalIdNotUnique,
        /// Records have no external id.
        ExternalIdUnfilled,
        /// Records share an external id.
        ExternalIdShared,
        /// How the external ids are filled could not be counted.
        ExternalIdUncounted,
        /// A field takes fewer characters than ids may have.
        IdFieldShort,
        /// A mapped field does not exist or is hidden.
        FieldMissing,
        /// A mapped field can't be read in lists.
        FieldUnreadable,
        /// A mapped field's type does not go, or not always, with the platform's.
        FieldUnfit,
        /// A mapped field that is to be written can't be.
        FieldNotWritable,
        /// A lookup that ties a record to another is hidden.
        ParentFieldHidden,
        /// A field that the filter uses does not exist or is hidden.
        FilterFieldMissing,
        /// A field that the filter uses can't be read in lists.
        FilterFieldUnreadable,
        /// The filter compares a field with what it never holds, or perhaps never.
        FilterValueUnfit,
        /// The field for the platform's task ids does not exist or is hidden.
        TaskMarkMissing,
        /// The field for the platform's task ids can't take them.
        TaskMarkUnfit,
        /// The granting user sees no account at all.
        NoAccounts,
        /// The organisation's edition is unknown or allows few credits.
        FewCredits,
        /// A day needs more credits than may be spent, by what was measured.
        CreditsShort,
        /// It is a sandbox or a developer's organisation.
        NotProduction,
        /// The organisation could not be looked at.
        NotLookedAt,
    }
}

mirror! {
    /// What the granting user's profile lacks in Zoho.
    PermissionName of finding::Permission {
        /// To see the organisation's details.
        ViewOrganisation,
        /// To see users.
        ViewUsers,
        /// To see the module's records.
        ViewModule,
        /// To see the field.
        ViewField,
        /// To edit the field.
        EditField,
    }
}

mirror! {
    /// What kind of organisation it is: one that people work in, or one of Zoho's sandboxes or developer editions.
    Environment of data_centre::Environment {
        /// One that people work in.
        Production,
        /// A copy to try things in.
        Sandbox,
        /// One for developers.
        Developer,
    }
}

mirror! {
    /// What credits are spent for: `full_sync`, `routine_sync`, `person` (previews, preflights, connecting), `writeback` (edits).
    SpenderName of credit::Spender {
        /// Full syncs.
        FullSync,
        /// Routine syncs.
        RoutineSync,
        /// What persons ask for.
        Person,
        /// Edits on their way to Zoho.
        Writeback,
    }
}

/// How a Zoho record without a record on the platform stands: `unmatched` (it has no external id), `duplicate` (another Zoho record has
/// the same one and came first), `unknown` (only records that the platform has are filled, and it has none of this id).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UnlinkedStanding {
    /// It has no external id.
    Unmatched,
    /// Another Zoho record has the same external id and came first.
    Duplicate,
    /// Only records that the platform has are filled, and it has none of this id.
    Unknown,
}

/// Whether an object was read completely and the counts agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum VerdictName {
    /// Everything that Zoho counts was read, and something became of each row.
    Agrees,
    /// Zoho counts another number of records than were read.
    ZohoDiffers,
    /// Not every row that was read is accounted for.
    Unaccounted,
    /// The object was not read completely, so nothing of it was removed.
    Incomplete,
    /// It was read completely, and Zoho has no count of it.
    NotCounted,
}

impl From<&certificate::Verdict> for VerdictName {
    fn from(verdict: &certificate::Verdict) -> Self {
        use certificate::Verdict;
        match verdict {
            Verdict::Agrees => Self::Agrees,
            Verdict::ZohoDiffers => Self::ZohoDiffers,
            Verdict::Unaccounted => Self::Unaccounted,
            Verdict::Incomplete(_) => Self::Incomplete,
            Verdict::NotCounted => Self::NotCounted,
        }
    }
}

mirror! {
    /// Whether records come into being on the platform: `create`, or `enrich_only` (only records that it already has are filled).
    SourceMode of settings::SourceMode {
        /// A record in scope comes into being on the platform.
        Create,
        /// Only records that the platform already has are filled.
        EnrichOnly,
    }
}

mirror! {
    /// Who wins a conflict; `latest_wins` is Zoho in a tie.
    ConflictPolicy of settings::ConflictPolicy {
        /// Zoho's value wins.
        ZohoWins,
        /// The platform's value wins.
        PlatformWins,
        /// The later change wins.
        LatestWins,
    }
}

mirror! {
    /// Which way values go: `pull` is from Zoho to the platform.
    MappingDirection of settings::Direction {
        /// From Zoho to the platform.
        Pull,
        /// From the platform to Zoho.
        Push,
        /// Both ways.
        Both,
    }
}

mirror! {
    /// What no value means on the side that receives it: the field is cleared, or keeps what it has.
    NullMeans of settings::NullMeans {
        /// The field is cleared.
        Clear,
        /// The field keeps what it has.
        Keep,
    }
}

mirror! {
    /// What becomes of the other values of a multi-select on a write: they go, or they stay.
    ChoicesMode of settings::ChoicesMode {
        /// They go.
        Replace,
        /// They stay.
        Append,
    }
}
