//! The routine sync of one object: what changed since the cursor, and the dependants of what newly came into scope (S5).

use std::collections::BTreeMap;
use std::pin::pin;

use futures::TryStreamExt as _;

use crate::cursor::{Cursor, Position};
use crate::identifier::{ConnectionId, RunId, ZohoId};
use crate::mapping::{FieldPlan, parent_lookups};
use crate::message::{Version, Work};
use crate::object::Object;
use crate::port::{self, Ports, Progress};
use crate::record::{Dependants, Link};
use crate::row::Row;
use crate::run::{Counters, RunStatus, Slice};
use crate::select::{IN_VALUES, PAGE_ROWS, Which};

use super::apply::{Meanwhile, Mode, Relinked, apply, save_links};
use super::job::Job;
use super::{Error, reading};

/// How often a cursor is read again that somebody else moves meanwhile.
const ATTEMPTS: usize = 5;

/// How a piece of work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All of it is done.
    Done,
    /// Time is up; the rest goes on from what is stored.
    HandOver,
    /// Another worker got the same message and is ahead; it goes on alone.
    Overtaken,
}

/// Reads what changed and applies it, page by page. The cursor moves only after everything before it is stored.
///
/// # Errors
/// When Zoho or a port fails; what was stored until then stays.
pub async fn work(job: &Job<'_>, slice: &mut Slice) -> Result<Ended, Error> {
    let object = slice.key.object;
    let plan = job.plan(object);
    let stored = job.ports.store.cursor(job.id(), object).await?;
    // Another plan than the one everything was read with asks for a full read (F8).
    let mut cursor = stored
        .filter(|cursor| cursor.plan == plan.digest)
        .unwrap_or(Cursor::beginning(plan.digest));
    let mut moved_from = stored;
    // What was read before the settings changed was read with another plan: the next run reads everything with this one.
    if slice.position.is_none() {
        slice.plan = Some(plan.digest);
    } else if slice.plan != Some(plan.digest) {
        slice.plan = None;
    }
    let reads_all = slice.plan.is_some();
    if cursor.owes && slice.position.is_none() {
        cursor.owes = ask_for_owed(job, object, &mut slice.counters).await?;
    }
    if object == Object::User {
        return users(job, slice, &plan, cursor, moved_from).await;
    }
    loop {
        let which = Which::Changed {
            since: cursor.since(),
            after: slice.position.map(|position| (position.time, position.id)),
        };
        let page = reading::rows(job, &plan, which, PAGE_ROWS).await?;
        let applied = apply_and_announce(job, &plan, &page.value.rows, &mut slice.counters).await?;
        let last = last_position(&page.value.rows)?;
        let reached = if page.value.more { last } else { None };
        // Nothing came: the cursor may stay, and the quiet run writes nothing.
        let same = |stored: Cursor| stored.plan == plan.digest && stored.owes == cursor.owes;
        let moves = applied > 0 || !moved_from.is_some_and(same);
        if moves && reads_all {
            let next = cursor.advanced(reached, page.server_time);
            if Some(next) != moved_from {
                job.ports
                    .store
                    .move_cursor(job.id(), object, moved_from, next)
                    .await?;
                (cursor, moved_from) = (next, Some(next));
            }
        }
        if !page.value.more {
            return Ok(Ended::Done);
        }
        slice.position = last;
        if job.ports.store.save_slice(slice).await? == Progress::Overtaken {
            return Ok(Ended::Overtaken);
        }
        if job.must_hand_over() {
            return Ok(Ended::HandOver);
        }
    }
}

fn last_position(rows: &[Row]) -> Result<Option<Position>, Error> {
    let Some(last) = rows.last() else {
        return Ok(None);
    };
    let time = last.modified_time.ok_or_else(|| {
        Error::Invalid("Zoho sends no Modified_Time: show the field to the profile of the user who granted access".to_owned())
    })?;
    Ok(Some(Position { time, id: last.id }))
}

/// Users have no COQL: they come in pages of changed ones.
async fn users(
    job: &Job<'_>,
    slice: &mut Slice,
    plan: &FieldPlan,
    cursor: Cursor,
    stored: Option<Cursor>,
) -> Result<Ended, Error> {
    let mut server_time = None;
    for number in 1.. {
        let page = job.session.users(number, Some(cursor.since())).await?;
        server_time.get_or_insert(page.server_time);
        apply_and_announce(job, plan, &page.value.rows, &mut slice.counters).await?;
        if !page.value.more {
            break;
        }
    }
    let unread = stored.is_none_or(|stored| stored.plan != plan.digest);
    if let Some(server_time) =
        server_time.filter(|_| unread || slice.counters.get(crate::run::Counter::RowsRead) > 0)
    {
        let next = cursor.advanced(None, server_time);
        if Some(next) != stored {
            job.ports
                .store
                .move_cursor(job.id(), Object::User, stored, next)
                .await?;
        }
    }
    Ok(Ended::Done)
}

/// Applies rows, and asks for the dependants of what newly came into scope. Returns how many rows there were.
async fn apply_and_announce(
    job: &Job<'_>,
    plan: &FieldPlan,
    rows: &[Row],
    counters: &mut Counters,
) -> Result<usize, Error> {
    if rows.is_empty() {
        return Ok(0);
    }
    let applied = apply(job, plan, rows, None, Mode::Routine).await?;
    counters.merge(&applied.counters);
    announce(job, plan.object, applied.announce, counters).await?;
    Ok(rows.len())
}

/// Sends for dependants, then notes on the links that it was done: cut off between the two, it is done again.
pub(super) async fn announce(
    job: &Job<'_>,
    parent: Object,
    links: Vec<Link>,
    counters: &mut Counters,
) -> Result<(), Error> {
    let Some(run) = job.run.clone().filter(|_| !links.is_empty()) else {
        return Ok(());
    };
    let ids: Vec<ZohoId> = links.iter().map(|link| link.zoho_id).collect();
    let messages: Vec<Work> = parent
        .dependants()
        .iter()
        .flat_map(|object| {
            ids.chunks(IN_VALUES)
                .map(move |ids| (*object, ids.to_vec()))
        })
        .map(|(object, ids)| Work::Dependants {
            version: Version,
            connection: job.id().clone(),
            run: run.clone(),
            object,
            parent,
            ids,
        })
        .collect();
    job.ports.queue.send_work(&messages).await?;
    counters.add(crate::run::Counter::Announced, links.len() as u64);
    let announced = links.into_iter().map(|link| Relinked {
        link: Link {
            dependants: Dependants::Asked,
            ..link.clone()
        },
        over: Some(link),
    });
    save_links(job, announced.collect(), Meanwhile::Conflicts).await
}

/// Asks for the dependants that are owed: those that no full sync came to that took their parents into scope, and those that could not be read when
/// they were asked for (S5). Returns whether some are left to a full sync that is still under way.
async fn ask_for_owed(
    job: &Job<'_>,
    parent: Object,
    counters: &mut Counters,
) -> Result<bool, Error> {
    let store = &job.ports.store;
    let mut known: BTreeMap<RunId, Option<RunStatus>> = BTreeMap::new();
    let mut more = !parent.dependants().is_empty();
    let mut after = ZohoId::MIN;
    while more {
        let links;
        (links, more) = store
            .links_between(job.id(), parent, after, ZohoId::MAX, PAGE_ROWS)
            .await?;
        after = links.last().map_or(ZohoId::MAX, |link| link.zoho_id);
        let mut owed = Vec::new();
        for link in links.into_iter().filter(|link| link.in_scope) {
            let is_owed = match &link.dependants {
                Dependants::Asked => false,
                Dependants::Due | Dependants::Again(_) => true,
                Dependants::LeftTo(run) => {
                    if !known.contains_key(run) {
                        let status = store.run(job.id(), run).await?.map(|run| run.status);
                        known.insert(run.clone(), status);
                    }
                    known.get(run) == Some(&Some(RunStatus::Incomplete))
                }
            };
            if is_owed {
                owed.push(link);
            }
        }
        announce(job, parent, owed, counters).await?;
    }
    Ok(known
        .values()
        .any(|status| *status == Some(RunStatus::Running)))
}

/// Lets the next routine sync look for dependants that are owed. Without a cursor it does so anyway.
///
/// # Errors
/// When a port fails.
pub(super) async fn owe(
    ports: &Ports,
    connection: &ConnectionId,
    parent: Object,
) -> Result<(), Error> {
    let store = &ports.store;
    for _ in 0..ATTEMPTS {
        let stored = store.cursor(connection, parent).await?;
        let Some(cursor) = stored.filter(|cursor| !cursor.owes) else {
            return Ok(());
        };
        let owing = Cursor {
            owes: true,
            ..cursor
        };
        match store.move_cursor(connection, parent, stored, owing).await {
            // A routine sync moves it, too.
            Err(port::Error::Conflict { .. }) => {}
            moved => return Ok(moved?),
        }
    }
    Err(port::Error::conflict(format!("the {parent} cursor of connection {connection}")).into())
}

/// Leaves dependants that were asked for, and that can't be read as long as the connection does not run, to the routine sync that follows. Whoever
/// asked and has yet to note that meets a conflict.
///
/// # Errors
/// When a port fails, or when somebody else stores a parent's link at the same moment; doing it once more is harmless.
pub(super) async fn leave_for_later(
    ports: &Ports,
    connection: &ConnectionId,
    parent: Object,
    ids: &[ZohoId],
) -> Result<(), Error> {
    let links = ports.store.links(connection, parent, ids).await?;
    for link in links.iter().filter(|link| link.in_scope) {
        let again = Link {
            dependants: Dependants::Again(ports.entropy.number()),
            ..link.clone()
        };
        ports.store.save_link_over(&again, Some(link)).await?;
    }
    owe(ports, connection, parent).await
}

/// Brings in the dependants of records that newly came into scope, although Zoho did not flag them as changed (S5).
///
/// # Errors
/// When Zoho or a port fails; the message is then delivered again.
pub async fn dependants(
    job: &Job<'_>,
    object: Object,
    parent: Object,
    ids: &[ZohoId],
) -> Result<Counters, Error> {
    let plan = job.plan(object);
    let mut counters = Counters::default();
    for (field, _) in parent_lookups(object)
        .iter()
        .filter(|(_, of)| *of == parent)
    {
        let mut pages = pin!(reading::referring(job, &plan, field, ids));
        while let Some(rows) = pages.try_next().await? {
            apply_and_announce(job, &plan, &rows, &mut counters).await?;
        }
    }
    Ok(counters)
}
