//! Cursors, leases, OAuth states and credit counters, in the state table; runs and slices are in `runs`.

use std::collections::BTreeSet;

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::ReturnValue;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::DynamoStore;
use super::failure::failed;
use super::item::{Item, expiry, from_item, key, number, text, to_item};
use super::names;
use super::query::Query;
use super::write::Guard;
use crate::credit::{Bucket, Hour, Parts, Spender, Spent, Word};
use crate::cursor::Cursor;
use crate::data_centre::DataCentre;
use crate::identifier::{ConnectionId, Digest, RunId};
use crate::lack::{Lack, Lacks};
use crate::object::Object;
use crate::port::{Browser, Coordination, Error, OAuthState, Page, Progress};
use crate::preflight::Preflight;
use crate::run::{Run, Slice, SliceKey};

/// A cursor.
#[derive(Debug, Serialize, Deserialize)]
struct StoredCursor {
    pk: String,
    sk: String,
    until: Timestamp,
    plan: Digest,
    /// There only where it is true.
    owes: Option<bool>,
}

/// A lease.
#[derive(Debug, Serialize)]
struct StoredLease {
    pk: String,
    sk: String,
    holder: String,
    /// In nanoseconds since the epoch, so that instants compare as numbers.
    until: i64,
    expires_at: i64,
}

/// An OAuth state. `expires_at` is when DynamoDB may forget it, `void_at` is what counts.
#[derive(Debug, Serialize, Deserialize)]
struct StoredOAuthState {
    pk: String,
    sk: String,
    digest: Digest,
    connection: ConnectionId,
    centre: DataCentre,
    browser: Digest,
    void_at: Timestamp,
    expires_at: i64,
}

/// Where a connection lists an OAuth state, so that it can be found by its connection: the sort key is the state's partition.
#[derive(Debug, Serialize)]
struct ListedOAuthState {
    pk: String,
    sk: String,
    expires_at: i64,
}

/// What Zoho does not show of an object; none of it is told by an empty list.
#[derive(Debug, Serialize, Deserialize)]
struct StoredLacks {
    pk: String,
    sk: String,
    object: Object,
    lacks: BTreeSet<Lack>,
}

/// The latest preflight, with what decides whether another one is later.
#[derive(Debug, Serialize, Deserialize)]
struct StoredPreflight {
    pk: String,
    sk: String,
    settings: u64,
    /// In nanoseconds since the epoch, so that instants compare as numbers.
    at: i64,
    preflight: Preflight,
}

/// The credits of an hour, by who spent them.
#[derive(Debug, Deserialize)]
struct StoredCredits {
    hour: i64,
    #[serde(default)]
    full_sync: u64,
    #[serde(default)]
    routine_sync: u64,
    #[serde(default)]
    person: u64,
    #[serde(default)]
    writeback: u64,
    left: Option<u64>,
    /// When Zoho said so, in nanoseconds since the epoch, so that instants compare as numbers.
    left_at: Option<i64>,
}

/// How long a lease that ran out is still there.
const LEASE_KEPT: SignedDuration = SignedDuration::from_hours(24);

fn at_cursor(cursor: Option<Cursor>) -> Guard {
    let Some(Cursor { until, plan, owes }) = cursor else {
        return Guard::absent();
    };
    let owing = if owes {
        "attribute_exists(#owes)"
    } else {
        "attribute_not_exists(#owes)"
    };
    Guard::saying(
        &format!("#until = :until AND #plan = :plan AND {owing}"),
        vec![("#until", "until"), ("#plan", "plan"), ("#owes", "owes")],
        vec![
            (":until", text(until.to_string())),
            (":plan", text(plan.to_string())),
        ],
    )
}

fn nanoseconds(at: Timestamp) -> i64 {
    i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX)
}

fn no_later_than(settings: u64, at: Timestamp) -> Guard {
    Guard::saying(
        "attribute_not_exists(pk) OR #settings < :settings OR (#settings = :settings AND #at <= :at)",
        vec![("#settings", "settings"), ("#at", "at")],
        vec![
            (":settings", number(settings)),
            (":at", number(nanoseconds(at))),
        ],
    )
}

const fn spender_name(spender: Spender) -> &'static str {
    match spender {
        Spender::FullSync => "full_sync",
        Spender::RoutineSync => "routine_sync",
        Spender::Person => "person",
        Spender::Writeback => "writeback",
    }
}

fn hour_of(item: Item) -> Result<Hour, Error> {
    let StoredCredits {
        hour,
        full_sync,
        routine_sync,
        person,
        writeback,
        left,
        left_at,
    } = from_item("a credit counter", item)?;
    let at = left_at.and_then(|at| Timestamp::from_nanosecond(at.into()).ok());
    Ok(Hour {
        bucket: Bucket::of_hour(hour),
        parts: Parts {
            full_sync,
            routine_sync,
            person,
            writeback,
        },
        word: left.zip(at).map(|(left, at)| Word { left, at }),
    })
}

fn free_for(holder: &str, now: Timestamp) -> Guard {
    Guard::saying(
        "attribute_not_exists(pk) OR #holder = :holder OR #until <= :now",
        vec![("#holder", "holder"), ("#until", "until")],
        vec![
            (":holder", text(holder)),
            (":now", number(nanoseconds(now))),
        ],
    )
}

fn stored_state(state: &OAuthState) -> StoredOAuthState {
    let OAuthState {
        digest,
        connection,
        centre,
        browser: Browser(browser),
        expires_at,
    } = state.clone();
    StoredOAuthState {
        pk: names::oauth_state(&digest),
        sk: names::OAUTH_STATE.to_owned(),
        digest,
        connection,
        centre,
        browser,
        void_at: expires_at,
        expires_at: expiry(expires_at),
    }
}

pub(super) fn state_of(item: Item) -> Result<OAuthState, Error> {
    let StoredOAuthState {
        pk: _,
        sk: _,
        digest,
        connection,
        centre,
        browser,
        void_at,
        expires_at: _,
    } = from_item("an OAuth state", item)?;
    Ok(OAuthState {
        digest,
        connection,
        centre,
        browser: Browser(browser),
        expires_at: void_at,
    })
}

pub(super) fn preflight_of(item: Item) -> Result<Preflight, Error> {
    let StoredPreflight {
        pk: _,
        sk: _,
        settings: _,
        at: _,
        preflight,
    } = from_item("a preflight", item)?;
    Ok(preflight)
}

#[async_trait]
impl Coordination for DynamoStore {
    async fn cursor(
        &self,
        connection: &ConnectionId,
        object: Object,
    ) -> Result<Option<Cursor>, Error> {
        let pk = names::of_connection(connection);
        let Some(item) = self
            .get(&self.tables.state, pk, names::cursor(object))
            .await?
        else {
            return Ok(None);
        };
        let StoredCursor {
            pk: _,
            sk: _,
            until,
            plan,
            owes,
        } = from_item("a cursor", item)?;
        let owes = owes == Some(true);
        Ok(Some(Cursor { until, plan, owes }))
    }

    async fn move_cursor(
        &self,
        connection: &ConnectionId,
        object: Object,
        from: Option<Cursor>,
        to: Cursor,
    ) -> Result<(), Error> {
        let Cursor { until, plan, owes } = to;
        let item = to_item(&StoredCursor {
            pk: names::of_connection(connection),
            sk: names::cursor(object),
            until,
            plan,
            owes: owes.then_some(true),
        })?;
        if self.put(&self.tables.state, item, at_cursor(from)).await? {
            Ok(())
        } else {
            Err(Error::conflict(format!(
                "the {object} cursor of connection {connection}"
            )))
        }
    }

    async fn lease(
        &self,
        connection: &ConnectionId,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, Error> {
        let item = to_item(&StoredLease {
            pk: names::of_connection(connection),
            sk: names::lease(name),
            holder: holder.to_owned(),
            until: nanoseconds(until),
            expires_at: expiry(until.saturating_add(LEASE_KEPT).unwrap_or(Timestamp::MAX)),
        })?;
        self.put(&self.tables.state, item, free_for(holder, now))
            .await
    }

    async fn release(
        &self,
        connection: &ConnectionId,
        name: &str,
        holder: &str,
    ) -> Result<(), Error> {
        let released = self
            .client
            .delete_item()
            .table_name(&self.tables.state)
            .set_key(Some(key(
                names::of_connection(connection),
                names::lease(name),
            )))
            .condition_expression("#holder = :holder")
            .expression_attribute_names("#holder", "holder")
            .expression_attribute_values(":holder", text(holder))
            .send()
            .await;
        match released {
            Err(error)
                if !error
                    .as_service_error()
                    .is_some_and(DeleteItemError::is_conditional_check_failed_exception) =>
            {
                Err(failed("DeleteItem")(error))
            }
            _ => Ok(()),
        }
    }

    async fn run(&self, connection: &ConnectionId, run: &RunId) -> Result<Option<Run>, Error> {
        self.stored_run(connection, run).await
    }

    async fn save_run(&self, run: Run) -> Result<Run, Error> {
        self.store_run(run).await
    }

    async fn runs(
        &self,
        connection: &ConnectionId,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Run>, Error> {
        self.list_runs(connection, next, limit).await
    }

    async fn plan_slices(&self, slices: &[Slice]) -> Result<(), Error> {
        self.store_new_slices(slices).await
    }

    async fn slice(
        &self,
        connection: &ConnectionId,
        run: &RunId,
        key: SliceKey,
    ) -> Result<Option<Slice>, Error> {
        self.stored_slice(connection, run, key).await
    }

    async fn save_slice(&self, slice: &mut Slice) -> Result<Progress, Error> {
        self.store_slice(slice).await
    }

    async fn slices(&self, connection: &ConnectionId, run: &RunId) -> Result<Vec<Slice>, Error> {
        self.stored_slices(connection, run).await
    }

    async fn lacks(&self, connection: &ConnectionId) -> Result<Lacks, Error> {
        let query = Query::table(&self.tables.state, names::of_connection(connection))
            .beginning_with(names::LACKS);
        let mut found = Lacks::new();
        for item in self.all(&query).await? {
            let StoredLacks {
                pk: _,
                sk: _,
                object,
                lacks,
            } = from_item("what Zoho does not show", item)?;
            if !lacks.is_empty() {
                found.insert(object, lacks);
            }
        }
        Ok(found)
    }

    async fn keep_lacks(
        &self,
        connection: &ConnectionId,
        object: Object,
        lacks: &BTreeSet<Lack>,
    ) -> Result<(), Error> {
        let item = to_item(&StoredLacks {
            pk: names::of_connection(connection),
            sk: names::lack(object),
            object,
            lacks: lacks.clone(),
        })?;
        self.client
            .put_item()
            .table_name(&self.tables.state)
            .set_item(Some(item))
            .send()
            .await
            .map_err(failed("PutItem"))?;
        Ok(())
    }

    async fn preflight(&self, connection: &ConnectionId) -> Result<Option<Preflight>, Error> {
        let pk = names::of_connection(connection);
        let stored = self
            .get(&self.tables.state, pk, names::PREFLIGHT.to_owned())
            .await?;
        stored.map(preflight_of).transpose()
    }

    async fn keep_preflight(
        &self,
        connection: &ConnectionId,
        preflight: &Preflight,
    ) -> Result<(), Error> {
        let Preflight { at, settings, .. } = *preflight;
        let item = to_item(&StoredPreflight {
            pk: names::of_connection(connection),
            sk: names::PREFLIGHT.to_owned(),
            settings,
            at: nanoseconds(at),
            preflight: preflight.clone(),
        })?;
        self.put(&self.tables.state, item, no_later_than(settings, at))
            .await?;
        Ok(())
    }

    async fn keep_oauth_state(&self, state: &OAuthState) -> Result<(), Error> {
        // Listed first: one that is listed and was never kept expires from the list by itself, as does one that was taken.
        let listed = to_item(&ListedOAuthState {
            pk: names::of_connection(&state.connection),
            sk: names::oauth_state(&state.digest),
            expires_at: expiry(state.expires_at),
        })?;
        for item in [listed, to_item(&stored_state(state))?] {
            self.client
                .put_item()
                .table_name(&self.tables.state)
                .set_item(Some(item))
                .send()
                .await
                .map_err(failed("PutItem"))?;
        }
        Ok(())
    }

    async fn take_oauth_state(&self, digest: &Digest) -> Result<Option<OAuthState>, Error> {
        let taken = self
            .client
            .delete_item()
            .table_name(&self.tables.state)
            .set_key(Some(key(names::oauth_state(digest), names::OAUTH_STATE)))
            .return_values(ReturnValue::AllOld)
            .send()
            .await
            .map_err(failed("DeleteItem"))?;
        taken
            .attributes
            .filter(|item| !item.is_empty())
            .map(state_of)
            .transpose()
    }

    async fn spend_credits(
        &self,
        connection: &ConnectionId,
        bucket: Bucket,
        spent: Spent,
    ) -> Result<(), Error> {
        let Spent {
            spender,
            credits,
            word,
        } = spent;
        // A call that is repeated because its answer was lost counts twice, which errs on the customer's side.
        let add = self
            .client
            .update_item()
            .table_name(&self.tables.state)
            .set_key(Some(key(
                names::of_connection(connection),
                names::credits(bucket.hour()),
            )))
            .expression_attribute_names("#part", spender_name(spender))
            .expression_attribute_names("#hour", "hour")
            .expression_attribute_names("#expires_at", "expires_at")
            .expression_attribute_values(":credits", number(credits))
            .expression_attribute_values(":hour", number(bucket.hour()))
            .expression_attribute_values(":expires_at", number(expiry(bucket.expires_at())));
        let counted = "ADD #part :credits SET #hour = :hour, #expires_at = :expires_at";
        if let Some(Word { left, at }) = word {
            let told = add
                .clone()
                .update_expression(format!("{counted}, #left = :left, #left_at = :left_at"))
                .condition_expression("attribute_not_exists(#left_at) OR #left_at < :left_at")
                .expression_attribute_names("#left", "left")
                .expression_attribute_names("#left_at", "left_at")
                .expression_attribute_values(":left", number(left))
                .expression_attribute_values(":left_at", number(nanoseconds(at)))
                .send()
                .await;
            match told {
                // Another function has a newer word: only the credits are added.
                Err(error)
                    if error
                        .as_service_error()
                        .is_some_and(UpdateItemError::is_conditional_check_failed_exception) => {}
                told => return told.map(drop).map_err(failed("UpdateItem")),
            }
        }
        add.update_expression(counted)
            .send()
            .await
            .map(drop)
            .map_err(failed("UpdateItem"))
    }

    async fn credits_spent(
        &self,
        connection: &ConnectionId,
        from: Bucket,
    ) -> Result<Vec<Hour>, Error> {
        let query = Query::table(&self.tables.state, names::of_connection(connection)).between(
            Some(text(names::credits(from.hour()))),
            Some(text(names::credits(i64::MAX))),
        );
        self.all(&query).await?.into_iter().map(hour_of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oauth_state_comes_back_as_it_was() {
        let state = OAuthState {
            digest: Digest::of(b"state"),
            connection: "acme".parse().unwrap(),
            centre: DataCentre::Cn,
            browser: Browser(Digest::of(b"cookie")),
            expires_at: "2026-11-23T10:10:00.5Z".parse().unwrap(),
        };
        let item = to_item(&stored_state(&state)).unwrap();
        assert_eq!(item["expires_at"], number(1_795_428_601));
        assert_eq!(state_of(item).unwrap(), state);
    }

    #[test]
    fn a_lease_is_compared_to_the_nanosecond() {
        let stored = StoredLease {
            pk: String::new(),
            sk: String::new(),
            holder: String::new(),
            until: nanoseconds("2026-11-23T10:10:00.000000001Z".parse().unwrap()),
            expires_at: 0,
        };
        assert_eq!(
            to_item(&stored).unwrap()["until"],
            number("1795428600000000001")
        );
    }
}
