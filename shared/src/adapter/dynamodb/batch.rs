//! Batches: any number of items, in calls of the size that DynamoDB takes, with what it leaves out asked for again.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::time::Duration;

use aws_sdk_dynamodb::types::{DeleteRequest, KeysAndAttributes, PutRequest, WriteRequest};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::DynamoStore;
use super::failure::{failed, left_out, not_built};
use super::item::{Item, key, text_of};
use crate::port::Error;

/// The most items that one BatchGetItem asks for.
const GET: usize = 100;
/// The most items that one BatchWriteItem writes.
const WRITE: usize = 25;
/// How many calls of one batch are under way at a time.
const AT_A_TIME: usize = 8;

/// One write of a batch; a batch has no guards.
#[derive(Debug, Clone)]
pub(super) enum Write {
    /// In place of what is there.
    Put(Item),
    /// It is no error when there is nothing.
    Delete {
        /// The partition key.
        pk: String,
        /// The sort key.
        sk: String,
    },
}

impl Write {
    fn key(&self) -> (String, String) {
        match self {
            Self::Put(item) => (
                text_of(item, "pk").to_owned(),
                text_of(item, "sk").to_owned(),
            ),
            Self::Delete { pk, sk } => (pk.clone(), sk.clone()),
        }
    }

    fn request(self) -> Result<WriteRequest, Error> {
        let request = WriteRequest::builder();
        Ok(match self {
            Self::Put(item) => request.put_request(
                PutRequest::builder()
                    .set_item(Some(item))
                    .build()
                    .map_err(not_built("BatchWriteItem"))?,
            ),
            Self::Delete { pk, sk } => request.delete_request(
                DeleteRequest::builder()
                    .set_key(Some(key(pk, sk)))
                    .build()
                    .map_err(not_built("BatchWriteItem"))?,
            ),
        }
        .build())
    }
}

impl DynamoStore {
    /// The items with these sort keys of one partition, in any order; those that do not exist are left out.
    pub(super) async fn batch_get(
        &self,
        table: &str,
        pk: &str,
        mut sort_keys: Vec<String>,
    ) -> Result<Vec<Item>, Error> {
        sort_keys.sort();
        sort_keys.dedup();
        let calls = sort_keys
            .chunks(GET)
            .map(|chunk| {
                let keys = chunk.iter().map(|sk| key(pk, sk)).collect::<Vec<_>>();
                persist(delays, keys, move |keys| self.get_once(table, keys))
            })
            .collect::<Vec<_>>();
        stream::iter(calls)
            .buffer_unordered(AT_A_TIME)
            .try_concat()
            .await
    }

    /// Makes all writes. Of several writes to one key the last one counts.
    pub(super) async fn batch_write(
        &self,
        table: &str,
        writes: impl IntoIterator<Item = Write>,
    ) -> Result<(), Error> {
        let requests = writes
            .into_iter()
            .map(|write| (write.key(), write))
            .collect::<BTreeMap<_, _>>()
            .into_values()
            .map(Write::request)
            .collect::<Result<Vec<_>, _>>()?;
        let calls = requests
            .chunks(WRITE)
            .map(|chunk| {
                persist(delays, chunk.to_vec(), move |requests| {
                    self.write_once(table, requests)
                })
            })
            .collect::<Vec<_>>();
        stream::iter(calls)
            .buffer_unordered(AT_A_TIME)
            .try_for_each(|_| async { Ok(()) })
            .await
    }

    async fn get_once(
        &self,
        table: &str,
        keys: Vec<Item>,
    ) -> Result<(Vec<Item>, Vec<Item>), Error> {
        let wanted = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .consistent_read(true)
            .build()
            .map_err(not_built("BatchGetItem"))?;
        let answer = self
            .client
            .batch_get_item()
            .request_items(table, wanted)
            .send()
            .await
            .map_err(failed("BatchGetItem"))?;
        let found = of_table(answer.responses, table).unwrap_or_default();
        let left = of_table(answer.unprocessed_keys, table).map_or_else(Vec::new, |left| left.keys);
        Ok((found, left))
    }

    async fn write_once(
        &self,
        table: &str,
        requests: Vec<WriteRequest>,
    ) -> Result<(Vec<()>, Vec<WriteRequest>), Error> {
        let answer = self
            .client
            .batch_write_item()
            .request_items(table, requests)
            .send()
            .await
            .map_err(failed("BatchWriteItem"))?;
        let left = of_table(answer.unprocessed_items, table).unwrap_or_default();
        Ok((Vec::new(), left))
    }
}

fn of_table<T>(answer: Option<HashMap<String, T>>, table: &str) -> Option<T> {
    answer?.remove(table)
}

/// How long to wait before asking again for what was left out: some ten seconds in all, each wait with jitter.
fn delays() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(25))
        .with_max_delay(Duration::from_secs(2))
        .with_max_times(8)
        .with_jitter()
        .build()
}

/// Asks again for what each call leaves out, until nothing is left. As long as something is done each time, that ends; where nothing is,
/// it gives up when the delays are used up.
async fn persist<W, T, Call, Delays>(
    delays: impl Fn() -> Delays,
    work: Vec<W>,
    call: impl Fn(Vec<W>) -> Call,
) -> Result<Vec<T>, Error>
where
    Call: Future<Output = Result<(Vec<T>, Vec<W>), Error>>,
    Delays: Iterator<Item = Duration>,
{
    let mut done = Vec::new();
    let mut left = work;
    let mut waits = delays();
    loop {
        let before = left.len();
        let (results, rest) = call(left).await?;
        done.extend(results);
        if rest.is_empty() {
            return Ok(done);
        }
        if rest.len() < before {
            waits = delays();
        }
        tokio::time::sleep(waits.next().ok_or_else(left_out)?).await;
        left = rest;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn no_delay<const TIMES: usize>() -> impl Iterator<Item = Duration> {
        std::iter::repeat_n(Duration::ZERO, TIMES)
    }

    #[tokio::test]
    async fn what_is_left_out_is_asked_for_again() {
        let calls = Cell::new(0);
        let done = persist(no_delay::<1>, vec![1, 2, 3, 4, 5], |mut work: Vec<i32>| {
            calls.set(calls.get() + 1);
            let rest = work.split_off(work.len().min(2));
            async { Ok((work, rest)) }
        })
        .await
        .unwrap();
        assert_eq!((done, calls.get()), (vec![1, 2, 3, 4, 5], 3));
    }

    #[tokio::test]
    async fn a_service_that_keeps_leaving_out_is_throttling() {
        let error = persist(no_delay::<3>, vec![1], |work| async {
            Ok((Vec::<()>::new(), work))
        })
        .await
        .unwrap_err();
        assert!(matches!(error, Error::Throttled { .. }), "{error:?}");
    }

    #[test]
    fn the_waits_grow_and_end() {
        let waits = delays().collect::<Vec<_>>();
        assert_eq!(waits.len(), 8);
        assert!(waits.iter().sum::<Duration>() < Duration::from_secs(16));
    }
}
