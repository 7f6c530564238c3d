//! Marks of accounts that are to be calculated, in the state table.

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::{Timestamp, civil};
use serde::{Deserialize, Serialize};

use super::DynamoStore;
use super::batch::Write;
use super::failure::failed;
use super::item::{Item, from_item, key, text, to_item};
use super::names;
use super::query::Query;
use crate::calculation::Mark;
use crate::identifier::{ConnectionId, Digest, PlatformId};
use crate::port::{Calculations, Error};

/// How many marks are removed at a time: a batch has no guards.
const AT_A_TIME: usize = 8;

/// A mark.
#[derive(Debug, Serialize, Deserialize)]
struct StoredMark {
    pk: String,
    sk: String,
    connection: ConnectionId,
    account: PlatformId,
    day: civil::Date,
    marked_at: Timestamp,
    stamp: String,
}

/// What all accounts were calculated with.
#[derive(Debug, Serialize, Deserialize)]
struct StoredPlan {
    pk: String,
    sk: String,
    plan: Digest,
}

impl From<Mark> for StoredMark {
    fn from(mark: Mark) -> Self {
        let Mark {
            connection,
            day,
            account,
            marked_at,
            stamp,
        } = mark;
        Self {
            pk: names::calculations(&connection),
            sk: names::calculation(day, &account),
            connection,
            account,
            day,
            marked_at,
            stamp: names::stamp(stamp),
        }
    }
}

pub(super) fn mark_of(item: Item) -> Result<Mark, Error> {
    let StoredMark {
        pk: _,
        sk: _,
        connection,
        account,
        day,
        marked_at,
        stamp,
    } = from_item("a mark of an account", item)?;
    let stamp = names::stamp_of(&stamp, "a mark")?;
    Ok(Mark {
        connection,
        day,
        account,
        marked_at,
        stamp,
    })
}

impl DynamoStore {
    /// Removes a mark, unless it was made anew meanwhile. A call that is repeated because its answer was lost meets nothing, which is as
    /// good.
    async fn clear(&self, mark: &Mark) -> Result<(), Error> {
        let cleared = self
            .client
            .delete_item()
            .table_name(&self.tables.state)
            .set_key(Some(key(
                names::calculations(&mark.connection),
                names::calculation(mark.day, &mark.account),
            )))
            .condition_expression("#stamp = :stamp")
            .expression_attribute_names("#stamp", "stamp")
            .expression_attribute_values(":stamp", text(names::stamp(mark.stamp)))
            .send()
            .await;
        match cleared {
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
}

#[async_trait]
impl Calculations for DynamoStore {
    async fn mark_calculations(&self, marks: &[Mark]) -> Result<(), Error> {
        let puts = marks
            .iter()
            .map(|mark| to_item(&StoredMark::from(mark.clone())).map(Write::Put))
            .collect::<Result<Vec<_>, _>>()?;
        self.batch_write(&self.tables.state, puts).await
    }

    async fn calculations_due(
        &self,
        connection: &ConnectionId,
        today: civil::Date,
        after: Option<(civil::Date, &PlatformId)>,
        limit: usize,
    ) -> Result<Vec<Mark>, Error> {
        // No platform id ends with a space or has a letter below it, so this lies between an id and whatever follows it.
        let beyond = |(day, account)| text(format!("{} ", names::calculation(day, account)));
        let query = Query::table(&self.tables.state, names::calculations(connection)).between(
            after.map(beyond),
            Some(text(names::calculations_until(today))),
        );
        let (items, _) = self.first(&query, limit).await?;
        items.into_iter().map(mark_of).collect()
    }

    async fn clear_calculations(&self, marks: &[Mark]) -> Result<(), Error> {
        stream::iter(
            marks
                .iter()
                .map(|mark| self.clear(mark))
                .collect::<Vec<_>>(),
        )
        .buffer_unordered(AT_A_TIME)
        .try_collect()
        .await
    }

    async fn calculated_with(&self, connection: &ConnectionId) -> Result<Option<Digest>, Error> {
        let pk = names::of_connection(connection);
        let item = self
            .get(&self.tables.state, pk, names::CALCULATED.to_owned())
            .await?;
        item.map(|item| from_item::<StoredPlan>("what accounts were calculated with", item))
            .map(|stored| stored.map(|stored| stored.plan))
            .transpose()
    }

    async fn note_calculated_with(
        &self,
        connection: &ConnectionId,
        plan: Digest,
    ) -> Result<(), Error> {
        let item = to_item(&StoredPlan {
            pk: names::of_connection(connection),
            sk: names::CALCULATED.to_owned(),
            plan,
        })?;
        self.batch_write(&self.tables.state, [Write::Put(item)])
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_as_it_was() {
        let mark = Mark {
            connection: "acme".parse().unwrap(),
            day: "2026-11-23".parse().unwrap(),
            account: "A #1".parse().unwrap(),
            marked_at: "2026-11-23T10:00:00.25Z".parse().unwrap(),
            stamp: u128::MAX - 1,
        };
        let item = to_item(&StoredMark::from(mark.clone())).unwrap();
        assert_eq!(item["pk"], text("c#acme#calculation"));
        assert_eq!(item["sk"], text("2026-11-23#A #1"));
        assert_eq!(mark_of(item).unwrap(), mark);
    }
}
