//! Runs and their slices, in the state table. They are forgotten after 90 days.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::DynamoStore;
use super::item::{Item, expiry, from_item, text_of, to_item};
use super::names;
use super::query::Query;
use super::write::Guard;
use crate::cursor::Position;
use crate::identifier::{ConnectionId, Digest, PlatformId, RunId, ZohoId};
use crate::port::{Error, Page, Progress};
use crate::run::{Counters, Run, RunKind, RunStatus, Slice, SliceKey, Stage};

/// For how long runs and slices are kept.
const KEPT: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How many new slices are stored at a time.
const AT_A_TIME: usize = 8;

/// A run.
#[derive(Debug, Serialize, Deserialize)]
struct StoredRun {
    pk: String,
    sk: String,
    connection: ConnectionId,
    run: RunId,
    kind: RunKind,
    status: RunStatus,
    stage: Stage,
    reason: Option<String>,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
    version: u64,
    expires_at: i64,
}

impl From<Run> for StoredRun {
    fn from(run: Run) -> Self {
        let Run {
            connection,
            id,
            kind,
            status,
            stage,
            reason,
            started_at,
            ended_at,
            version,
        } = run;
        Self {
            pk: names::of_connection(&connection),
            sk: names::run(&id),
            connection,
            run: id,
            kind,
            status,
            stage,
            reason,
            started_at,
            ended_at,
            version,
            expires_at: kept_from(started_at),
        }
    }
}

impl From<StoredRun> for Run {
    fn from(stored: StoredRun) -> Self {
        let StoredRun {
            pk: _,
            sk: _,
            connection,
            run,
            kind,
            status,
            stage,
            reason,
            started_at,
            ended_at,
            version,
            expires_at: _,
        } = stored;
        Self {
            connection,
            id: run,
            kind,
            status,
            stage,
            reason,
            started_at,
            ended_at,
            version,
        }
    }
}

/// A slice.
#[derive(Debug, Serialize, Deserialize)]
struct StoredSlice {
    pk: String,
    sk: String,
    connection: ConnectionId,
    run: RunId,
    key: SliceKey,
    after: ZohoId,
    to: ZohoId,
    reached: Option<ZohoId>,
    position: Option<Position>,
    done: bool,
    failure: Option<String>,
    server_time: Option<Timestamp>,
    plan: Option<Digest>,
    counters: Counters,
    marks: Vec<ZohoId>,
    // Absent in what an earlier release stored.
    #[serde(default)]
    doubtful: Vec<ZohoId>,
    #[serde(default)]
    unflagged: BTreeMap<String, u64>,
    #[serde(default)]
    looked_at: Option<PlatformId>,
    version: u64,
    expires_at: Option<i64>,
}

impl From<Slice> for StoredSlice {
    fn from(slice: Slice) -> Self {
        let Slice {
            connection,
            run,
            key,
            after,
            to,
            reached,
            position,
            done,
            failure,
            server_time,
            plan,
            counters,
            marks,
            doubtful,
            unflagged,
            looked_at,
            version,
        } = slice;
        Self {
            pk: names::of_connection(&connection),
            sk: names::slice(&run, key),
            expires_at: began(&run).map(kept_from),
            connection,
            run,
            key,
            after,
            to,
            reached,
            position,
            done,
            failure,
            server_time,
            plan,
            counters,
            marks,
            doubtful,
            unflagged,
            looked_at,
            version,
        }
    }
}

impl From<StoredSlice> for Slice {
    fn from(stored: StoredSlice) -> Self {
        let StoredSlice {
            pk: _,
            sk: _,
            connection,
            run,
            key,
            after,
            to,
            reached,
            position,
            done,
            failure,
            server_time,
            plan,
            counters,
            marks,
            doubtful,
            unflagged,
            looked_at,
            version,
            expires_at: _,
        } = stored;
        Self {
            connection,
            run,
            key,
            after,
            to,
            reached,
            position,
            done,
            failure,
            server_time,
            plan,
            counters,
            marks,
            doubtful,
            unflagged,
            looked_at,
            version,
        }
    }
}

/// When a run began, by its id.
fn began(run: &RunId) -> Option<Timestamp> {
    let id = ulid::Ulid::from_string(run.as_str()).ok()?;
    Timestamp::from_millisecond(i64::try_from(id.timestamp_ms()).ok()?).ok()
}

fn kept_from(at: Timestamp) -> i64 {
    expiry(at.saturating_add(KEPT).unwrap_or(Timestamp::MAX))
}

pub(super) fn run_of(item: Item) -> Result<Run, Error> {
    let what = text_of(&item, "sk").to_owned();
    from_item::<StoredRun>(&what, item).map(Run::from)
}

pub(super) fn slice_of(item: Item) -> Result<Slice, Error> {
    let what = text_of(&item, "sk").to_owned();
    from_item::<StoredSlice>(&what, item).map(Slice::from)
}

impl DynamoStore {
    pub(super) async fn stored_run(
        &self,
        connection: &ConnectionId,
        run: &RunId,
    ) -> Result<Option<Run>, Error> {
        let pk = names::of_connection(connection);
        let item = self.get(&self.tables.state, pk, names::run(run)).await?;
        item.map(run_of).transpose()
    }

    pub(super) async fn store_run(&self, mut run: Run) -> Result<Run, Error> {
        let guard = Guard::read_at(run.version);
        run.version += 1;
        let item = to_item(&StoredRun::from(run.clone()))?;
        if self.put(&self.tables.state, item, guard).await? {
            Ok(run)
        } else {
            Err(Error::conflict(format!("run {}", run.id)))
        }
    }

    pub(super) async fn list_runs(
        &self,
        connection: &ConnectionId,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Run>, Error> {
        let query = Query::table(&self.tables.state, names::of_connection(connection))
            .beginning_with("run#")
            .descending();
        let page = self.page(&query, next.as_deref(), limit).await?;
        page.read(run_of)
    }

    pub(super) async fn store_new_slices(&self, slices: &[Slice]) -> Result<(), Error> {
        let puts = slices
            .iter()
            .map(|slice| {
                let item = to_item(&StoredSlice::from(slice.clone()));
                async { self.put(&self.tables.state, item?, Guard::absent()).await }
            })
            .collect::<Vec<_>>();
        stream::iter(puts)
            .buffer_unordered(AT_A_TIME)
            .try_for_each(|_was_new| async { Ok(()) })
            .await
    }

    pub(super) async fn stored_slice(
        &self,
        connection: &ConnectionId,
        run: &RunId,
        key: SliceKey,
    ) -> Result<Option<Slice>, Error> {
        let pk = names::of_connection(connection);
        let sk = names::slice(run, key);
        let item = self.get(&self.tables.state, pk, sk).await?;
        item.map(slice_of).transpose()
    }

    pub(super) async fn store_slice(&self, slice: &mut Slice) -> Result<Progress, Error> {
        let version = slice.version + 1;
        let item = to_item(&StoredSlice::from(Slice {
            version,
            ..slice.clone()
        }))?;
        let guard = Guard::at_version(slice.version);
        if self.put(&self.tables.state, item, guard).await? {
            slice.version = version;
            Ok(Progress::Stored)
        } else {
            Ok(Progress::Overtaken)
        }
    }

    pub(super) async fn stored_slices(
        &self,
        connection: &ConnectionId,
        run: &RunId,
    ) -> Result<Vec<Slice>, Error> {
        let query = Query::table(&self.tables.state, names::of_connection(connection))
            .beginning_with(&names::slices(run));
        let mut slices = self
            .all(&query)
            .await?
            .into_iter()
            .map(slice_of)
            .collect::<Result<Vec<_>, _>>()?;
        slices.sort_by_key(|slice| slice.key);
        Ok(slices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;
    use crate::run::Counter;
    use std::collections::BTreeSet;

    fn run() -> Run {
        let now = "2026-11-23T10:00:00.25Z".parse().unwrap();
        let id = RunId::new(1_795_428_000_250, 7);
        Run {
            reason: Some("why".into()),
            ended_at: Some(now),
            version: 3,
            ..Run::begin("acme".parse().unwrap(), id, RunKind::Full, now)
        }
    }

    #[test]
    fn a_run_comes_back_as_it_was() {
        let run = run();
        let item = to_item(&StoredRun::from(run.clone())).unwrap();
        assert_eq!(run_of(item).unwrap(), run);
    }

    #[test]
    fn a_slice_comes_back_as_it_was() {
        let bare = run().slices(&[], &[].into()).remove(0);
        let mut counters = Counters::default();
        counters.add(Counter::RowsRead, 10);
        counters.add(Counter::ZohoCredits, u64::from(u32::MAX));
        let full = Slice {
            reached: Some("5".parse().unwrap()),
            position: Some(Position {
                time: "2026-11-23T10:00:00+00:00".parse().unwrap(),
                id: ZohoId::MAX,
            }),
            looked_at: Some("ann@example.com".parse().unwrap()),
            done: true,
            failure: Some("why".into()),
            server_time: Some(Timestamp::UNIX_EPOCH),
            plan: Some(Digest::of(b"plan")),
            counters,
            marks: vec![ZohoId::MIN, ZohoId::MAX],
            doubtful: vec![ZohoId::MAX],
            unflagged: BTreeMap::from([("Score".to_owned(), 3)]),
            version: 9,
            ..bare.clone()
        };
        for slice in [bare, full] {
            let item = to_item(&StoredSlice::from(slice.clone())).unwrap();
            assert_eq!(
                item["expires_at"],
                super::super::item::number(1_795_428_001 + 90 * 86_400)
            );
            assert_eq!(slice_of(item).unwrap(), slice);
        }
    }

    #[test]
    fn a_slice_that_an_earlier_release_stored_is_read() {
        let slice = run().slices(&[], &[].into()).remove(0);
        let stored = Slice {
            looked_at: "ann@example.com".parse().ok(),
            ..slice.clone()
        };
        let mut item = to_item(&StoredSlice::from(stored)).unwrap();
        for later in ["doubtful", "unflagged", "looked_at"] {
            assert!(item.remove(later).is_some(), "{later}");
        }
        assert_eq!(slice_of(item).unwrap(), slice);
    }

    #[test]
    fn every_slice_of_a_run_has_a_key_of_its_own() {
        let run = run();
        let stages =
            std::iter::successors(Some(Stage::Users), |stage| stage.next()).chain([Stage::Routine]);
        let mut keys = BTreeSet::new();
        let mut number = 0;
        for stage in stages {
            for object in Object::ALL {
                for index in [0, 1, 10, u16::MAX] {
                    let key = SliceKey {
                        stage,
                        object,
                        index,
                    };
                    keys.insert(names::slice(&run.id, key));
                    number += 1;
                }
            }
        }
        assert_eq!(keys.len(), number);
        assert!(
            keys.iter()
                .all(|key| key.starts_with(&names::slices(&run.id)))
        );
    }
}
