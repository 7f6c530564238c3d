//! Accepting the platform's edits: stored on the record first, pushed afterwards.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::edit::{self, Problem};
use crate::identifier::{ConnectionId, PlatformId};
use crate::journal::Entry;
use crate::mapping::{FieldPlan, fold};
use crate::merge::Moment;
use crate::message::Edit;
use crate::object::Object;
use crate::port::{self, Ports, SettingsVersion};
use crate::record::Record;
use crate::value::Value;

use super::job::retention;
use super::{Error, calculate, poll};

/// How often a record that somebody else wrote meanwhile is read again.
const ATTEMPTS: usize = 5;

/// What became of one edit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditAnswer {
    /// The record.
    pub id: PlatformId,
    /// Whether it was accepted; it then ends in Zoho, or is visibly parked or overruled.
    pub accepted: bool,
    /// The record's version after the edit, where it was accepted.
    pub version: Option<u64>,
    /// Why it was refused.
    pub problems: Vec<Problem>,
}

/// Accepts or refuses each edit by itself, as made now: an accepted one is stored on its record as a pending value, and writeback is told to
/// look.
///
/// # Errors
/// When the connection does not exist or a port fails.
pub async fn accept(
    ports: &Ports,
    connection: &ConnectionId,
    object: Object,
    edits: Vec<Edit>,
) -> Result<Vec<EditAnswer>, Error> {
    let answers = store(ports, connection, object, edits, Made::Now).await?;
    let accepted: Vec<(Object, PlatformId)> = answers
        .iter()
        .filter(|answer| answer.accepted)
        .map(|answer| (object, answer.id.clone()))
        .collect();
    ports
        .queue
        .send_writeback(&poll::push_messages(connection, &accepted))
        .await?;
    Ok(answers)
}

/// When an edit was made, which decides between edits of the same field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// Right now, after everything that the record has seen, whatever the clocks of other functions show.
    Now,
    /// At this instant; the edits of one message follow each other by a nanosecond. One that comes twice does nothing the second time.
    At(Timestamp),
}

impl Made {
    fn instant(self, record: &Record, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Now => {
                let last = record
                    .edited
                    .values()
                    .chain(&record.segmented)
                    .max()
                    .copied()
                    .unwrap_or(Timestamp::MIN);
                now.max(last.saturating_add(NEXT).unwrap_or(now))
            }
        }
    }

    fn next(self) -> Self {
        match self {
            Self::At(at) => Self::At(at.saturating_add(NEXT).unwrap_or(at)),
            Self::Now => Self::Now,
        }
    }
}

/// The least time between two instants.
const NEXT: SignedDuration = SignedDuration::from_nanos(1);

/// Like [`accept`], for edits made when `made` says, and without telling writeback.
///
/// # Errors
/// When the connection does not exist or a port fails.
pub async fn store(
    ports: &Ports,
    connection: &ConnectionId,
    object: Object,
    edits: Vec<Edit>,
    mut made: Made,
) -> Result<Vec<EditAnswer>, Error> {
    let known = ports.store.connection(connection).await?;
    let Some(known) = known.filter(|known| !known.status.is_ended()) else {
        return Err(Error::NotFound {
            what: format!("connection {connection}"),
        });
    };
    let settings = ports.store.settings(connection).await?;
    let plan = FieldPlan::compile(&settings.settings, object);
    let desk = Desk {
        ports,
        connection,
        object,
        settings: &settings,
        plan: &plan,
        calculations: calculate::Desk::new(ports, &known, &settings.settings),
    };
    let mut answers = Vec::with_capacity(edits.len());
    for edit in edits {
        answers.push(desk.take(edit, made).await?);
        made = made.next();
    }
    desk.calculations.send(None).await;
    Ok(answers)
}

/// Where edits of one object are taken.
struct Desk<'a> {
    ports: &'a Ports,
    connection: &'a ConnectionId,
    object: Object,
    settings: &'a SettingsVersion,
    plan: &'a FieldPlan,
    calculations: calculate::Desk<'a>,
}

impl Desk<'_> {
    async fn take(&self, mut edit: Edit, made: Made) -> Result<EditAnswer, Error> {
        if self.object == Object::Contact
            && let Ok(folded) = fold(edit.id.as_str()).parse()
        {
            edit.id = folded;
        }
        let refused = |problems| EditAnswer {
            id: edit.id.clone(),
            accepted: false,
            version: None,
            problems,
        };
        for _ in 0..ATTEMPTS {
            let moment = Moment {
                now: self.ports.clock.now(),
                run: None,
            };
            let stored = self
                .ports
                .store
                .records(self.connection, self.object, std::slice::from_ref(&edit.id))
                .await?
                .pop();
            let before = stored.unwrap_or_else(|| {
                Record::new(
                    self.connection.clone(),
                    self.object,
                    edit.id.clone(),
                    moment.now,
                )
            });
            if before.version == 0 && self.object == Object::Task && edit.id.zoho_id().is_some() {
                let problem =
                    "ids that begin with zoho- are given to tasks that come from Zoho: use another"
                        .to_owned();
                return Ok(refused(vec![Problem {
                    field: None,
                    problem,
                }]));
            }
            let mut after = match edit::accept(
                &before,
                &edit,
                made.instant(&before, moment.now),
                self.plan,
                &self.settings.settings,
                &moment,
            ) {
                Ok(after) => after,
                Err(problems) => return Ok(refused(problems)),
            };
            let problems = self.resolve(&mut after).await?;
            if !problems.is_empty() {
                return Ok(refused(problems));
            }
            if after == before && before.version > 0 {
                // The edit came before, and that attempt may have been cut off right after it was stored.
                self.calculations.note([&before]).await?;
                return Ok(EditAnswer {
                    id: edit.id,
                    accepted: true,
                    version: Some(before.version),
                    problems: Vec::new(),
                });
            }
            let retention = retention(self.settings);
            if after.change.is_none() {
                // With its change the line goes that whoever made it may not have come to.
                let line = Entry::of_change(&before, retention);
                self.ports.store.write(line.as_slice()).await?;
            }
            match self.ports.store.save_record(after).await {
                Ok(saved) => {
                    let entry = Entry::of_change(&saved, retention);
                    self.ports.store.write(entry.as_slice()).await?;
                    self.calculations.note([&before, &saved]).await?;
                    return Ok(EditAnswer {
                        id: saved.id,
                        accepted: true,
                        version: Some(saved.version),
                        problems: Vec::new(),
                    });
                }
                Err(port::Error::Conflict { .. }) => {}
                Err(error @ port::Error::Refused { .. }) => {
                    return Ok(refused(vec![Problem {
                        field: None,
                        problem: error.to_string(),
                    }]));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(port::Error::conflict(format!("{} {}", self.object, edit.id)).into())
    }

    /// Completes the references of an edited record with the Zoho ids of what they name; a name that nothing has is a problem.
    async fn resolve(&self, record: &mut Record) -> Result<Vec<Problem>, Error> {
        let open: BTreeSet<(Object, PlatformId)> = record
            .pending
            .values()
            .filter_map(|pending| pending.value.as_reference())
            .filter(|reference| reference.zoho_id.is_none())
            .filter_map(|reference| Some((reference.object, reference.platform_id.clone()?)))
            .collect();
        let mut found: BTreeMap<(Object, PlatformId), Record> = BTreeMap::new();
        for (object, id) in &open {
            if let Some(named) = self
                .ports
                .store
                .records(self.connection, *object, std::slice::from_ref(id))
                .await?
                .pop()
            {
                found.insert((*object, id.clone()), named);
            }
        }
        let mut problems = Vec::new();
        let values = record
            .pending
            .iter_mut()
            .map(|(name, pending)| (name, &mut pending.value))
            .chain(record.fields.iter_mut());
        for (name, value) in values {
            let Value::Reference(reference) = value else {
                continue;
            };
            let (None, Some(id)) = (reference.zoho_id, &reference.platform_id) else {
                continue;
            };
            match found.get(&(reference.object, id.clone())) {
                Some(named) => reference.zoho_id = named.zoho_id,
                None if open.contains(&(reference.object, id.clone())) => {
                    let problem = format!("there is no {} {id}: create it first", reference.object);
                    problems.push(Problem {
                        field: Some(name.clone()),
                        problem,
                    });
                }
                None => {}
            }
        }
        problems.dedup();
        Ok(problems)
    }
}
