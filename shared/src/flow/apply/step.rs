//! What a row asks for, by its link and by what it refers to.

use crate::identifier::PlatformId;
use crate::mapping::{FieldPlan, Neighbours, Theirs};
use crate::record::{Link, RemovalReason, Standing};
use crate::row::Row;
use crate::run::Counter;

/// How a page is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// What left the scope keeps syncing, and what newly came brings its dependants (S5, S6).
    Routine,
    /// What left the scope is a candidate for removal; later stages bring the dependants.
    Full,
}

/// What one row asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::flow) enum Step {
    /// Nothing.
    Nothing(Counter),
    /// The link goes.
    Forget(Counter),
    /// The record leaves the scope.
    Leave(PlatformId, RemovalReason),
    /// The row has to be merged into its record.
    Merge,
}

/// What one row asks for, by its link and by what it refers to; the preview asks the same.
pub(in crate::flow) fn step(
    plan: &FieldPlan,
    row: &Row,
    theirs: &Theirs,
    link: Option<&Link>,
    neighbours: &Neighbours,
    mode: Mode,
) -> Step {
    let admitted = plan.admits(row, neighbours);
    let Some(link) = link else {
        return if admitted {
            Step::Merge
        } else {
            Step::Nothing(Counter::OutOfScope)
        };
    };
    match &link.standing {
        Standing::Linked(id) if !admitted && mode == Mode::Full => {
            let parent_left = !plan.has_parent_in_scope(row, neighbours);
            Step::Leave(
                id.clone(),
                if parent_left {
                    RemovalReason::ParentLeft
                } else {
                    RemovalReason::OutOfScope
                },
            )
        }
        Standing::Linked(_) if link.hash == theirs.hash && (link.in_scope || !admitted) => {
            Step::Nothing(Counter::Unchanged)
        }
        Standing::Linked(_) => Step::Merge,
        Standing::Removed(_) if !admitted => Step::Nothing(Counter::OutOfScope),
        _ if !admitted => Step::Forget(Counter::OutOfScope),
        Standing::Unmatched if theirs.identity.is_none() => Step::Nothing(Counter::Unmatched),
        Standing::Unmatched
        | Standing::Duplicate(_)
        | Standing::Unknown(_)
        | Standing::Removed(_) => Step::Merge,
    }
}
