//! What must have held on the way to where everything is now: by the versions of the records, the log, and what Zoho kept of it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;
use tandem::credit::{self, Bucket};
use tandem::identifier::{FieldName, PlatformId, RunId};
use tandem::journal::Entry;
use tandem::mapping::{FieldPlan, Neighbours};
use tandem::object::Object;
use tandem::port::{Connections as _, Coordination as _, SettingsVersion};
use tandem::record::{Action, Record, RemovalReason};
use tandem::value::{Fields, Value};

use super::{OBJECTS, Platform, external_id};
use crate::hand::Hand;
use crate::scene::{Given, Side};

/// Longer than a full sync takes.
const NIGHT: SignedDuration = SignedDuration::from_hours(21);

/// The most credits that a handler leaves uncounted which is cut off.
const UNCOUNTED: u64 = 30;

/// What became of a connection.
struct Story<'a> {
    side: &'a Side,
    /// Every version of every record, in the order of their writing.
    versions: Vec<Record>,
    log: Vec<Entry>,
    /// The settings, the newest first.
    settings: Vec<SettingsVersion>,
}

/// Checks a connection's past.
pub(super) async fn check(hand: &Hand<'_>, side: &Side, platform: &Platform<'_>) -> Result<()> {
    let (store, id) = (&hand.scene.world.store, side.story.connection());
    let story = Story {
        side,
        versions: store.stream(&id),
        log: store.all_entries(&id),
        settings: store.settings_history(&id, None, 1_000).await?.items,
    };
    story
        .logged(usize::try_from(hand.cut_off())?)
        .context("L1")?;
    story.guarded().context("R2")?;
    if !hand.put_back {
        story.seen(platform).context("P1, W4")?;
    }
    story.created_once(platform).context("P6")?;
    story.taken_up().context("P2")?;
    story.given_up().context("C3")?;
    counted(hand, side).await.context("C7")
}

impl Story<'_> {
    /// Only a grant that was revoked is given up.
    fn given_up(&self) -> Result<()> {
        let mut lines = self.log.iter();
        let given_up = lines.find(|line| line.action == "needs_reconnect");
        match given_up.filter(|_| !self.side.past.revoked) {
            Some(line) => bail!("the grant was given up at {}: {:?}", line.at, line.reason),
            None => Ok(()),
        }
    }

    /// Settings that a handler may have gone by that came to its end at an instant.
    fn in_force(&self, at: Timestamp, for_long: SignedDuration) -> Vec<&SettingsVersion> {
        let from = at - for_long;
        let mut newer = at;
        let mut found = Vec::new();
        for saved in &self.settings {
            if saved.saved_at <= at && newer > from {
                found.push(saved);
            }
            newer = saved.saved_at;
        }
        found
    }

    /// What changed a record is in the log. A line is written after its record: whoever is cut off in between leaves none where somebody else writes
    /// the record before the message comes again, and so do edits that nobody sends again. What one handler stores together has one instant.
    fn logged(&self, cut_off: usize) -> Result<()> {
        let mut lacking: BTreeMap<Timestamp, String> = BTreeMap::new();
        for version in &self.versions {
            let says = |entry: &Entry| {
                (entry.object, entry.record.as_ref(), entry.at)
                    == (Some(version.object), Some(&version.id), version.updated_at)
            };
            if let Some(change) = &version.change
                && !self.log.iter().any(says)
            {
                let (object, id, at) = (version.object, &version.id, version.updated_at);
                let says = format!("{object} {id} was {:?} at {at}", change.action);
                lacking.insert(at, says);
            }
        }
        ensure!(
            lacking.len() <= cut_off,
            "{cut_off} handlers were cut off, and the log does not say that {}",
            Vec::from_iter(lacking.into_values()).join(", nor that ")
        );
        Ok(())
    }

    /// Without a person's yes no full sync removes more than the guard lets pass.
    fn guarded(&self) -> Result<()> {
        let mut removed: BTreeMap<(Object, &RunId), (u64, Timestamp)> = BTreeMap::new();
        for version in &self.versions {
            let action = version.change.as_ref().map(|change| change.action);
            let Some(mark) = version.removed.as_ref().filter(|mark| {
                action == Some(Action::Removed) && mark.reason != RemovalReason::Renamed
            }) else {
                continue;
            };
            let so_far = removed.entry((version.object, &mark.run));
            let (number, at) = so_far.or_insert((0, mark.at));
            *number += 1;
            *at = mark.at.max(*at);
        }
        for ((object, run), (number, at)) in removed {
            let approved = &self.side.past.approved;
            if approved.contains(&(object, run.clone())) {
                continue;
            }
            let guards = self.in_force(at, NIGHT).into_iter();
            let guards = guards.map(|saved| &saved.settings.removal_guard);
            // A guard with a percentage depends on how many records there were.
            let most = guards.map(|guard| (guard.percent == 0).then_some(guard.records));
            let most: Option<Vec<u64>> = most.collect();
            let most = most.and_then(|most| most.into_iter().max());
            ensure!(
                most.is_none_or(|most| number <= most),
                "{number} {object}s were removed by full sync {run}, where {most:?} may be"
            );
        }
        Ok(())
    }

    /// What a person wrote in Zoho is not written over before anybody has seen it.
    fn seen(&self, platform: &Platform<'_>) -> Result<()> {
        let mut last: BTreeMap<(&str, &str, &str), &Given> = BTreeMap::new();
        for given in &self.side.past.values {
            for (field, _) in given.values.as_object().into_iter().flatten() {
                last.insert((given.module, &given.id, field), given);
            }
        }
        for object in OBJECTS {
            let plan = FieldPlan::compile(platform.settings, object);
            for (id, row) in &platform.rows[&object] {
                let unflagged = &self.side.past.unflagged;
                if unflagged.contains(&(object.module(), id.clone())) {
                    continue;
                }
                let mut written = row.clone();
                for ((module, of, field), given) in &last {
                    if (*module, *of) == (object.module(), id.as_str()) {
                        written[*field] = given.values[*field].clone();
                    }
                }
                let (now, written) = (values(&plan, row)?, values(&plan, &written)?);
                for (field, value) in written {
                    let mapped = plan.field(&field);
                    let both = mapped.is_some_and(|mapped| mapped.pulls && mapped.pushes);
                    let stays = now.get(&field).is_some_and(|now| now.same(&value));
                    let is_value = !matches!(value, Value::Reference(_) | Value::Null);
                    if both && !stays && is_value {
                        let zoho = mapped.map_or("", |mapped| mapped.zoho.as_str());
                        let given = last.get(&(object.module(), id.as_str(), zoho));
                        let then = given.map(|given| &given.versions);
                        ensure!(
                            self.knows((object, id.as_str()), &field, &value, then),
                            "{value:?} was written in Zoho as {field} of {object} {id}, and written over unseen"
                        );
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a version of the record of a Zoho record says that it had a value. What it had it may have been given back: of those that the
    /// records had `then`, when it was given, only what they say of themselves counts, and nothing of those before.
    fn knows(
        &self,
        (object, id): (Object, &str),
        field: &FieldName,
        value: &Value,
        then: Option<&BTreeMap<PlatformId, u64>>,
    ) -> bool {
        let mut versions = self.versions.iter().filter(|version| {
            let zoho_id = version.zoho_id.map(String::from);
            version.object == object && zoho_id.as_deref() == Some(id)
        });
        versions.any(|version| {
            let then = then.and_then(|then| then.get(&version.id));
            let then = then.copied().unwrap_or_default();
            if version.version < then {
                return false;
            }
            let fields = version.fields.get(field).into_iter();
            let changes = version.change.iter().filter(|_| version.version > then);
            let changes = changes.flat_map(|change| &change.fields);
            let changes = changes.filter(|change| change.field == *field);
            let changes = changes.flat_map(|change| {
                [&change.before, &change.after]
                    .into_iter()
                    .chain(&change.overruled)
            });
            let mut known = fields.chain(version.base.get(field)).chain(changes);
            known.any(|known| known.same(value))
        })
    }

    /// What Zoho had already was not created there once more: nobody has the identity of what Tandem created but those to whom people gave it.
    fn created_once(&self, platform: &Platform<'_>) -> Result<()> {
        let past = &self.side.past;
        for object in [Object::Account, Object::Contact] {
            let rows = platform.rows[&object].iter();
            let rows: Vec<(&String, String)> = rows
                .filter_map(|(id, row)| Some((id, external_id(object, row)?)))
                .collect();
            for (id, identity) in &rows {
                let by_people = past.created.contains(&(object.module(), (*id).clone()))
                    || past.doubled.contains(identity);
                let same = rows.iter().filter(|(_, other)| other == identity).count();
                ensure!(
                    by_people || same == 1,
                    "{object} {id} was created in Zoho although {} others are {identity}",
                    same - 1
                );
            }
        }
        Ok(())
    }

    /// An edit that was sent is stored, or was refused, or came too late for a later one.
    fn taken_up(&self) -> Result<()> {
        for sent in &self.side.past.sent {
            let refused = |entry: &Entry| {
                entry.action == "edit refused"
                    && (entry.object, entry.record.as_ref()) == (Some(sent.object), Some(&sent.id))
            };
            let stored = |version: &Record| {
                let edited = version.edited.get(&sent.field);
                (version.object, &version.id) == (sent.object, &sent.id)
                    && edited.is_some_and(|edited| *edited >= sent.at)
            };
            ensure!(
                self.versions.iter().any(stored) || self.log.iter().any(refused),
                "the edit of {} of {} {}, sent at {}, is nowhere",
                sent.field,
                sent.object,
                sent.id,
                sent.at
            );
        }
        Ok(())
    }
}

fn values(plan: &FieldPlan, row: &Json) -> Result<Fields> {
    let row = serde_json::from_str(&row.to_string())?;
    Ok(plan.read(&row, &Neighbours::new()).values)
}

/// What Zoho took for its answers is counted, but for what handlers were at that came to no good end.
async fn counted(hand: &Hand<'_>, side: &Side) -> Result<()> {
    let own = side.story.organisation.to_string();
    let spent: u64 = {
        let model = hand.scene.zoho.model();
        let served = model.journal.since(0);
        let served = served.filter(|served| served.organisation.as_ref() == Some(&own));
        served.map(|served| u64::from(served.credits)).sum()
    };
    let (store, id) = (&hand.scene.world.store, side.story.connection());
    let hours = store.credits_spent(&id, Bucket::of_hour(0)).await?;
    let counted = credit::spent(&hours).total() - side.past.spent;
    let cut_off: u64 = hand.cut_off();
    ensure!(
        counted + cut_off * UNCOUNTED >= spent,
        "{counted} credits are counted of {spent}, and {cut_off} handlers were cut off"
    );
    Ok(())
}
