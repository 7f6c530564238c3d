//! What became of every edit (P2), and of every conflict (W4): told from the versions of each record, and from what Zoho was seen to have.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail, ensure};
use jiff::Timestamp;
use serde_json::{Map, Value as Json};
use tandem::identifier::FieldName;
use tandem::mapping::{FieldPlan, Neighbours};
use tandem::object::Object;
use tandem::record::{Action, Pending, Record, Side as Winner};
use tandem::settings::{ConflictPolicy, Settings};
use tandem::value::{Fields, Value};

use crate::check::OBJECTS;
use crate::crew::INVOCATION;
use crate::scene::Side;

/// The objects that are written to Zoho.
const WRITABLE: [Object; 3] = [Object::Account, Object::Contact, Object::Task];

/// What Zoho was seen to have.
#[derive(Default)]
pub(crate) struct Seen {
    /// What each record was seen to say, by object and id, the latest last.
    rows: BTreeMap<Named, Vec<Said>>,
    /// The record that was seen to change last.
    latest: Option<Named>,
    /// How often the records of each object had changed by the last look.
    changes: BTreeMap<Object, u64>,
}

/// A record in Zoho, by object and id.
type Named = (Object, String);

/// What a row said, as its text, and from when on.
struct Said {
    since: Timestamp,
    row: String,
}

impl Seen {
    /// Looks at what Zoho has.
    pub(crate) fn look(&mut self, side: &Side) -> Result<()> {
        let since = side.story.world.now();
        for object in OBJECTS {
            let changes = side.story.changes(object.module())?;
            if self.changes.insert(object, changes) == Some(changes) {
                continue;
            }
            for row in side.story.rows(object.module())? {
                let id = row["id"].as_str().unwrap_or_default().to_owned();
                let (named, row) = ((object, id), row.to_string());
                let said = self.rows.entry(named.clone()).or_default();
                if said.last().is_none_or(|last| last.row != row) {
                    said.push(Said { since, row });
                    self.latest = Some(named);
                }
            }
        }
        Ok(())
    }

    /// The record that changed last.
    pub(crate) const fn latest(&self) -> Option<&Named> {
        self.latest.as_ref()
    }

    /// The records that ever changed.
    pub(crate) fn changed(&self) -> Vec<&Named> {
        let changed = self.rows.iter().filter(|(_, said)| said.len() > 1);
        changed.map(|(named, _)| named).collect()
    }

    /// What a record that says `now` said before these fields were changed last, as far as it differs; none: it always said the same.
    pub(crate) fn earlier(
        &self,
        object: Object,
        now: &Json,
        fields: &[&str],
    ) -> Result<Option<Json>> {
        let id = now["id"].as_str().unwrap_or_default().to_owned();
        for said in self.rows.get(&(object, id)).into_iter().flatten().rev() {
            let earlier: Json = serde_json::from_str(&said.row)?;
            let differs = |field: &&str| earlier[*field] != now[*field];
            let fields = fields.iter().copied().filter(differs);
            let fields = fields.map(|field| (field.to_owned(), earlier[field].clone()));
            let fields: Map<String, Json> = fields.collect();
            if !fields.is_empty() {
                return Ok(Some(Json::Object(fields)));
            }
        }
        Ok(None)
    }

    /// What fields were seen to say, as far as a row alone tells.
    fn values(&self, plans: &BTreeMap<Object, FieldPlan>) -> Result<Values> {
        let mut values = Values::new();
        for (named, said) in &self.rows {
            let Some(plan) = plans.get(&named.0) else {
                continue;
            };
            let ends = said.iter().skip(1).map(|next| next.since);
            for (said, until) in said.iter().zip(ends.chain([Timestamp::MAX])) {
                let read = plan.read(&serde_json::from_str(&said.row)?, &Neighbours::new());
                let values = values.entry(named.clone()).or_default();
                values.push((until, read.values));
            }
        }
        Ok(values)
    }
}

/// What the fields of each record in Zoho said, by platform field, one after the other, each with the instant until which they did.
type Values = BTreeMap<Named, Vec<(Timestamp, Fields)>>;

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
        // An edit of before that asked for the same may have lost already.
        let source = after.sources.get(field);
        let source = source.filter(|source| before.sources.get(field) != Some(*source));
        let overruled = source.is_some_and(|source| {
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
            // It may have had the value long before, too. Whoever settled the edit read or wrote it within one invocation, and the edit was stored
            // before that one's end.
            let since = ours.at - INVOCATION;
            let said = seen.get(&(after.object, String::from(zoho)));
            let mut said = said.into_iter().flatten();
            if said.any(|(until, said)| *until >= since && said.get(field) == Some(&ours.value)) {
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
    if let Some(base) = agreed(before, after, field) {
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

/// What both sides agreed on when a version looked at what Zoho has: what was written just before, if it says so. Zoho may have been given back
/// since what they agreed on before the write.
fn agreed<'a>(before: &'a Record, after: &'a Record, field: &FieldName) -> Option<&'a Value> {
    let changes = after.change.iter().filter(|_| is_written(after));
    let mut changes = changes.flat_map(|change| &change.fields);
    let written = changes.find(|change| change.field == *field && change.overruled.is_none());
    let written = written.map(|change| &change.after);
    written.or_else(|| before.base.get(field))
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
