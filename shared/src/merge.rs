//! The three-way merge in which both directions meet (W4). Routine sync, full sync and writeback all call [`merge`].
//!
//! Per field there is the base (the last value that both sides agreed on), theirs (what Zoho has) and ours (an edit that Zoho does not
//! have yet). The outcome is plain data: the record's next state, what to write to Zoho, what to log.

use jiff::Timestamp;

use crate::identifier::RunId;
use crate::mapping::{FieldPlan, Mapped, Theirs};
use crate::record::{Action, Change, FieldChange, Pending, Record, Side, Source};
use crate::settings::{ChoicesMode, ConflictPolicy, NullMeans};
use crate::value::{Fields, Value};

/// When and by which run the merge is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Now.
    pub now: Timestamp,
    /// The run.
    pub run: Option<RunId>,
}

/// What a merge decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The record's next state; its version is still the one that was read.
    pub record: Record,
    /// Whether that differs from what was read.
    pub changed: bool,
    /// The values that Zoho is to get, by platform field.
    pub push: Fields,
}

/// What became of one field.
enum Decision {
    /// Nothing to do.
    Leave,
    /// Zoho's value is the record's: it is all that the edit asks for, or the edit lost and is kept in the log.
    TakeTheirs { overruled: Option<Value> },
    /// The edit asks nothing of Zoho, and Zoho says nothing.
    Drop,
    /// The edit stays and goes to Zoho; Zoho's differing value, if any, is kept in the log.
    PushOurs { overruled: Option<Value> },
}

fn decide(
    mapped: &Mapped,
    base: Option<&Value>,
    theirs: Option<&Value>,
    ours: Option<&Pending>,
    modified: Option<Timestamp>,
) -> Decision {
    // The edit says "no value", and to Zoho that means "keep what you have".
    let keeps = |ours: &Pending| mapped.null == NullMeans::Keep && ours.value.is_null();
    match (theirs, ours) {
        (None, None) => Decision::Leave,
        (None, Some(ours)) if keeps(ours) => Decision::Drop,
        (None, Some(_)) => Decision::PushOurs { overruled: None },
        (Some(_), None) => Decision::TakeTheirs { overruled: None },
        (Some(theirs), Some(ours)) if has_all(mapped, theirs, &ours.value) => {
            Decision::TakeTheirs { overruled: None }
        }
        (Some(_), Some(ours)) if keeps(ours) => Decision::TakeTheirs {
            overruled: Some(ours.value.clone()),
        },
        (Some(theirs), Some(ours)) => {
            // What an earlier edit left there nobody else changed.
            let unchanged = base.is_some_and(|base| base.same(theirs))
                || ours.replaced.iter().any(|own| own.same(theirs));
            let empty_and_new = base.is_none() && theirs.is_null();
            let platform_wins = match mapped.conflicts {
                // What can't go to Zoho does not win against what comes from there.
                _ if !mapped.pushes => unchanged || !mapped.pulls,
                _ if !mapped.pulls || unchanged || empty_and_new => true,
                ConflictPolicy::ZohoWins => false,
                ConflictPolicy::PlatformWins => true,
                ConflictPolicy::LatestWins => modified.is_some_and(|modified| ours.at > modified),
            };
            match platform_wins {
                true if unchanged || empty_and_new => Decision::PushOurs { overruled: None },
                true => Decision::PushOurs {
                    overruled: Some(theirs.clone()),
                },
                false => Decision::TakeTheirs {
                    overruled: Some(ours.value.clone()),
                },
            }
        }
    }
}

/// Whether Zoho has what the edit wants: the same, or where values are added to a multi-select, these and others.
fn has_all(mapped: &Mapped, theirs: &Value, ours: &Value) -> bool {
    match (mapped.choices, theirs, ours) {
        (ChoicesMode::Append, Value::Choices(theirs), Value::Choices(ours)) => {
            ours.iter().all(|value| theirs.contains(value))
        }
        _ => theirs.same(ours),
    }
}

/// Merges what Zoho says (none: Zoho does not have the record) into a record. What it said before the record was last brought up to date
/// counts for nothing.
#[must_use]
pub fn merge(
    before: &Record,
    theirs: Option<&Theirs>,
    plan: &FieldPlan,
    moment: &Moment,
) -> Merged {
    // An older row than the record has seen takes nothing back.
    let theirs = theirs.filter(|theirs| !before.is_ahead_of(theirs.modified_time, moment.now));
    let mut record = before.clone();
    let mut push = Fields::new();
    let mut changes = Vec::new();
    for mapped in &plan.mapped {
        let name = &mapped.platform;
        let their_value = theirs.and_then(|theirs| theirs.values.get(name));
        let modified = theirs.and_then(|theirs| theirs.modified_time);
        let ours = before.pending.get(name);
        match (
            decide(mapped, before.base.get(name), their_value, ours, modified),
            their_value,
        ) {
            (Decision::Leave, _) | (Decision::TakeTheirs { .. }, None) => {}
            (Decision::Drop, _) => {
                record.pending.remove(name);
            }
            (Decision::TakeTheirs { overruled }, Some(value)) => {
                record.base.insert(name.clone(), value.clone());
                record.pending.remove(name);
                let shown = before.fields.get(name).unwrap_or(&Value::Null);
                if mapped.pulls && (shown != value || overruled.is_some()) {
                    if !shown.same(value) || overruled.is_some() {
                        changes.push(FieldChange {
                            field: name.clone(),
                            before: shown.clone(),
                            after: value.clone(),
                            overruled: overruled.clone(),
                        });
                        record
                            .sources
                            .insert(name.clone(), source(Side::Zoho, moment, overruled));
                    }
                    record.fields.insert(name.clone(), value.clone());
                }
            }
            (Decision::PushOurs { overruled }, _) => {
                if let Some(value) = their_value {
                    record.base.insert(name.clone(), value.clone());
                }
                if let (Some(loser), Some(ours)) = (overruled, ours) {
                    changes.push(FieldChange {
                        field: name.clone(),
                        before: loser.clone(),
                        after: ours.value.clone(),
                        overruled: Some(loser.clone()),
                    });
                    record
                        .sources
                        .insert(name.clone(), source(Side::Platform, moment, Some(loser)));
                }
                if let (true, Some(ours)) = (mapped.pushes, ours) {
                    push.insert(name.clone(), ours.value.clone());
                }
            }
        }
    }
    if let Some(theirs) = theirs {
        record.zoho_modified_time = theirs.modified_time.or(record.zoho_modified_time);
    }
    if record.pending.is_empty() {
        record.parked = None;
    }
    let seen_only = Record {
        zoho_modified_time: before.zoho_modified_time,
        ..record.clone()
    };
    let changed = seen_only != *before;
    if changed {
        record.remember_move(before);
        record.updated_at = moment.now;
        record.change = (!changes.is_empty()).then(|| Change {
            action: Action::Pulled,
            run: moment.run.clone(),
            fields: changes,
        });
    } else {
        record = before.clone();
    }
    Merged {
        record,
        changed,
        push,
    }
}

/// The record after Zoho took the values `written`, and says `theirs` now (none: it was not read back). What was written is the new base
/// (W8); an edit that came in meanwhile stays pending; what Zoho made of the values on its own comes in as its change.
#[must_use]
pub fn settle(
    before: &Record,
    written: &Fields,
    theirs: Option<&Theirs>,
    plan: &FieldPlan,
    moment: &Moment,
    action: Action,
) -> Record {
    let mut record = before.clone();
    if theirs.is_some_and(|theirs| before.is_ahead_of(theirs.modified_time, moment.now)) {
        // Somebody read a later row meanwhile, and merged it with the edit still waiting: whether it won is decided when it is looked at next.
        record.parked = None;
        record.create_intent = None;
        return record;
    }
    let mut changes = Vec::new();
    for (name, value) in written {
        let base = record
            .base
            .insert(name.clone(), value.clone())
            .unwrap_or(Value::Null);
        if !base.same(value) {
            changes.push(FieldChange {
                field: name.clone(),
                before: base,
                after: value.clone(),
                overruled: None,
            });
        }
        if record
            .pending
            .get(name)
            .is_some_and(|pending| pending.value.same(value))
        {
            record.pending.remove(name);
        }
    }
    record.parked = None;
    record.create_intent = None;
    let merged = merge(&record, theirs, plan, moment);
    let mut record = merged.record;
    if merged.changed {
        changes.extend(
            record
                .change
                .take()
                .into_iter()
                .flat_map(|change| change.fields),
        );
    }
    // Also where Zoho took the values as they were: a row from before the write takes nothing back.
    record.zoho_modified_time = theirs
        .and_then(|theirs| theirs.modified_time)
        .or(record.zoho_modified_time);
    record.updated_at = moment.now;
    record.change = Some(Change {
        action,
        run: moment.run.clone(),
        fields: changes,
    });
    record
}

/// Where a value came from, as the record keeps it.
#[must_use]
pub fn source(side: Side, moment: &Moment, overruled: Option<Value>) -> Source {
    Source {
        side,
        run: moment.run.clone(),
        at: moment.now,
        overruled,
    }
}

#[cfg(test)]
mod tests;
