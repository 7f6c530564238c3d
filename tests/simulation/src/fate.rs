//! What became of every edit (P2), and of every conflict (W4): told from the versions of each record, and from what Zoho was seen to have.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value as Json;
use tandem::identifier::FieldName;
use tandem::mapping::{FieldPlan, Neighbours};
use tandem::object::Object;
use tandem::record::{Action, Pending, Record, Side as Winner};
use tandem::settings::{ConflictPolicy, Settings};
use tandem::value::Value;

use crate::scene::Side;

/// The objects that are written to Zoho.
const WRITABLE: [Object; 3] = [Object::Account, Object::Contact, Object::Task];

/// The rows that Zoho was seen to have, by object and id, each as its text.
#[derive(Default)]
pub(crate) struct Seen(BTreeSet<(Object, String, String)>);

impl Seen {
    /// Looks at what Zoho has.
    pub(crate) fn look(&mut self, side: &Side) -> Result<()> {
        for object in WRITABLE {
            for row in side.story.rows(object.module())? {
                let id = row["id"].as_str().unwrap_or_default().to_owned();
                self.0.insert((object, id, row.to_string()));
            }
        }
        Ok(())
    }

    /// What fields were seen to say, as far as a row alone tells.
    fn values(&self, plans: &BTreeMap<Object, FieldPlan>) -> Result<Values> {
        let mut values = BTreeSet::new();
        for (object, id, row) in &self.0 {
            let read = plans[object].read(&serde_json::from_str(row)?, &Neighbours::new());
            for (field, value) in read.values {
                values.insert((*object, id.clone(), field, words(&value)));
            }
        }
        Ok(values)
    }
}

/// What fields said, by object, Zoho id and platform field, as text.
type Values = BTreeSet<(Object, String, FieldName, String)>;

/// A value as text, alike for values that are the same.
fn words(value: &Value) -> String {
    format!("{value:?}")
}

/// Follows every record of a connection through its versions. `policy` is the settings' one if it was always the same.
pub(crate) fn check(
    side: &Side,
    seen: &Seen,
    settings: &Settings,
    policy: Option<ConflictPolicy>,
) -> Result<()> {
    let plans = WRITABLE.map(|object| (object, FieldPlan::compile(settings, object)));
    let plans = BTreeMap::from(plans);
    let values = seen.values(&plans)?;
    let mut latest: BTreeMap<_, Record> = BTreeMap::new();
    for record in side.story.world.store.stream(&side.story.connection()) {
        let key = (record.object, record.id.clone());
        if let Some(before) = latest.get(&key) {
            let what = || {
                format!(
                    "{} {} from version {}",
                    record.object, record.id, before.version
                )
            };
            // A field that is not written can't win.
            let pushes = |field: &FieldName| {
                let plan = plans.get(&record.object);
                plan.and_then(|plan| plan.field(field))
                    .is_some_and(|mapped| mapped.pushes)
            };
            let policy_of = |field: &FieldName| policy.filter(|_| pushes(field));
            let was_hidden = |field: &FieldName| {
                let plan = plans.get(&record.object);
                let mapped = plan.and_then(|plan| plan.field(field));
                let hidden = side.past.hidden.iter();
                mapped.is_some_and(|mapped| {
                    hidden
                        .filter(|(object, _)| *object == record.object)
                        .any(|(_, zoho)| *zoho == mapped.zoho.as_str())
                })
            };
            let ignored = |field: &FieldName| was_hidden(field) && tells_of(&record, field);
            let rules = Rules {
                policy: &policy_of,
                ignored: &ignored,
            };
            edits(before, &record, &rules, &values).with_context(what)?;
            upheld(before, &record, policy).with_context(what)?;
        }
        latest.insert(key, record);
    }
    Ok(())
}

/// What an edit of a field may come to.
struct Rules<'a> {
    /// Who wins, if it was always the same.
    policy: &'a dyn Fn(&FieldName) -> Option<ConflictPolicy>,
    /// Whether Zoho may have ignored it, and the version says what it made of it: hidden just for the write, a field takes nothing, and Zoho
    /// calls it a success. Afterwards that looks like a workflow that emptied it.
    ignored: &'a dyn Fn(&FieldName) -> bool,
}

/// Whether a version that was written says of a field that Zoho made something else of it.
fn tells_of(version: &Record, field: &FieldName) -> bool {
    let changes = version.change.iter().flat_map(|change| &change.fields);
    is_written(version) && changes.filter(|change| change.field == *field).count() == 2
}

/// An edit that does not wait any more was made up for: Zoho has it, or it lost and the record says so (P2).
fn edits(before: &Record, after: &Record, rules: &Rules<'_>, seen: &Values) -> Result<()> {
    let edited = |field: &FieldName| {
        let change = after.change.as_ref();
        let change = change.filter(|change| change.action == Action::Edited);
        change.is_some_and(|change| change.fields.iter().any(|change| change.field == *field))
    };
    for (field, ours) in &before.pending {
        // A newer edit may ask for what Zoho has anyway.
        if after.pending.contains_key(field) || after.removed.is_some() || edited(field) {
            continue;
        }
        let overruled = after.sources.get(field).is_some_and(|source| {
            let lost = source.overruled.as_ref();
            source.side == Winner::Zoho && lost.is_some_and(|lost| lost.same(&ours.value))
        });
        if overruled {
            let theirs = after.base.get(field).unwrap_or(&Value::Null);
            lost(before, after, (field, ours), theirs, (rules.policy)(field))?;
            continue;
        }
        if (rules.ignored)(field) {
            continue;
        }
        if let Some(zoho) = after.zoho_id {
            let id = String::from(zoho);
            if seen.contains(&(after.object, id, field.clone(), words(&ours.value))) {
                continue;
            }
        }
        let base = after.base.get(field);
        // What a reference says can't be told from a row alone.
        let is_reference = matches!(ours.value, Value::Reference(_));
        ensure!(
            base.is_some_and(|base| base.same(&ours.value)) || (is_reference && is_written(after)),
            "P2: the edit of {field} to {:?} is gone without a word, for {base:?}",
            ours.value
        );
        ensure!(
            is_reference,
            "P2: {field} counts as {:?} on both sides, and Zoho never had that",
            ours.value
        );
    }
    Ok(())
}

/// Whether a version says what was written to Zoho.
fn is_written(version: &Record) -> bool {
    let action = version.change.as_ref().map(|change| change.action);
    matches!(action, Some(Action::Pushed | Action::CreatedInZoho))
}

/// An edit loses only where Zoho's side changed too, and only as the policy has it (W4).
fn lost(
    before: &Record,
    after: &Record,
    (field, ours): (&FieldName, &Pending),
    theirs: &Value,
    policy: Option<ConflictPolicy>,
) -> Result<()> {
    if let Some(base) = before.base.get(field) {
        ensure!(
            !base.same(theirs),
            "W4: the edit of {field} lost, and nobody had changed it in Zoho"
        );
    }
    let fair = match policy {
        None | Some(ConflictPolicy::ZohoWins) => true,
        Some(ConflictPolicy::PlatformWins) => false,
        Some(ConflictPolicy::LatestWins) => after
            .zoho_modified_time
            .is_none_or(|modified| ours.at <= modified),
    };
    ensure!(
        fair,
        "W4: the edit of {field} of {} lost under {policy:?} against {:?}",
        ours.at,
        after.zoho_modified_time
    );
    Ok(())
}

/// Zoho's value loses only as the policy has it (W4).
fn upheld(before: &Record, after: &Record, policy: Option<ConflictPolicy>) -> Result<()> {
    // What was written already has the time of the write, and no longer the one that was compared.
    let written = is_written(after);
    for (field, source) in &after.sources {
        let new = before.sources.get(field) != Some(source);
        let (Some(loser), Some(ours), true) = (&source.overruled, before.pending.get(field), new)
        else {
            continue;
        };
        if source.side != Winner::Platform {
            continue;
        }
        match policy {
            Some(ConflictPolicy::ZohoWins) => {
                bail!("W4: Zoho's {loser:?} of {field} lost, and Zoho was to win")
            }
            Some(ConflictPolicy::LatestWins) => ensure!(
                written
                    || after
                        .zoho_modified_time
                        .is_some_and(|modified| ours.at > modified),
                "W4: Zoho's {loser:?} of {field} lost and is the later one"
            ),
            Some(ConflictPolicy::PlatformWins) | None => {}
        }
    }
    Ok(())
}

/// The policy that a connection always had.
pub(crate) fn steady_policy(documents: &[Json]) -> Option<ConflictPolicy> {
    let policies: BTreeSet<String> = documents
        .iter()
        .map(|document| document["conflicts"].to_string())
        .collect();
    let alone = policies.first().filter(|_| policies.len() == 1)?;
    serde_json::from_str(alone).ok()
}
