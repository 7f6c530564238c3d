//! What a clause is checked on.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::{BoxFuture, join_all};
use jiff::{SignedDuration, Timestamp};
use tandem::data_centre::DataCentre;
use tandem::identifier::ConnectionId;
use tandem::message::{Work, Writeback};
use tandem::object::Object;
use tandem::port::{Error, Page, Queue, QueueName, Vault};
use tandem::secret::OAuthClient;

/// A port and what the clauses need beside it.
pub struct Setting<P: ?Sized> {
    /// The port.
    pub port: Arc<P>,
    /// About the service's own time: what expires lies after it.
    pub now: Timestamp,
    /// How long an index may take.
    pub patience: Patience,
    unique: String,
}

impl<P: ?Sized> Setting<P> {
    /// A port under the contract. `unique` begins every connection's id (a few lower-case letters and digits): no two processes that share a
    /// service may use the same.
    #[must_use]
    pub fn new(port: Arc<P>, unique: &str, now: Timestamp, patience: Patience) -> Self {
        Self {
            port,
            now,
            patience,
            unique: unique.to_owned(),
        }
    }

    /// The id of a connection that nobody else uses.
    pub(crate) fn connection(&self) -> ConnectionId {
        static USED: AtomicU64 = AtomicU64::new(0);
        let number = USED.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number:04}", self.unique).parse().unwrap()
    }

    /// Connections whose ids begin alike, so that a careless prefix would mix them.
    pub(crate) fn look_alikes(&self) -> [ConnectionId; 3] {
        let id = self.connection();
        let longer = |tail: &str| format!("{id}{tail}").parse().unwrap();
        [id.clone(), longer("0"), longer("-account")]
    }

    /// An instant so many seconds after the service's now, before it when negative.
    pub(crate) fn after(&self, seconds: i64) -> Timestamp {
        self.now + SignedDuration::from_secs(seconds)
    }

    /// Asserts that an index or listing comes to show what is expected.
    pub(crate) async fn eventually<T: PartialEq + Debug>(
        &self,
        mut look: impl AsyncFnMut() -> T,
        expected: T,
    ) {
        for _ in 1..self.patience.tries {
            if look().await == expected {
                return;
            }
            (self.patience.pause)().await;
        }
        assert_eq!(look().await, expected);
    }
}

/// How often to look again, and what to do in between.
#[derive(Clone)]
pub struct Patience {
    tries: u32,
    pause: Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
}

impl Patience {
    /// For a service that shows everything at once.
    #[must_use]
    pub fn none() -> Self {
        Self::new(1, || Box::pin(std::future::ready(())))
    }

    /// Looks `tries` times and waits for `pause` in between.
    #[must_use]
    pub fn new(
        tries: u32,
        pause: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        Self {
            tries,
            pause: Arc::new(pause),
        }
    }
}

/// Queues whose other end the test holds. No other test may receive from them meanwhile.
#[async_trait]
pub trait Mailbox: Send + Sync {
    /// The end that sends.
    fn queue(&self) -> &dyn Queue;

    /// Some messages that wait for an object's worker, received and deleted; none when there are none right now.
    async fn receive_work(&self, object: Object) -> Vec<Work>;

    /// Some messages that wait for writeback, received and deleted; none when there are none right now.
    async fn receive_writeback(&self) -> Vec<Writeback>;

    /// Puts a text among the dead letters of a queue, sent in the name of a connection.
    async fn bury(&self, queue: QueueName, sender: &ConnectionId, body: &str);

    /// Lets time pass for the queues: waits, or moves their clock.
    async fn pass(&self, time: Duration);
}

/// A vault that the test has filled in.
pub trait Safe: Send + Sync {
    /// The vault.
    fn vault(&self) -> &dyn Vault;

    /// A data centre whose OAuth client was filled in, with that client.
    fn filled(&self) -> (DataCentre, OAuthClient);

    /// A data centre whose OAuth client was not filled in.
    fn unfilled(&self) -> DataCentre;

    /// The operator's secret as it was filled in.
    fn operator_filled(&self) -> String;
}

/// How many try at once where only one may win.
pub(crate) const CONTENDERS: u64 = 12;

/// Asserts that of several writers exactly one wins and all others meet a conflict.
pub(crate) async fn one_wins<T: Debug>(
    attempts: impl IntoIterator<Item = impl Future<Output = Result<T, Error>>>,
) -> T {
    let (won, lost): (Vec<_>, Vec<_>) = join_all(attempts)
        .await
        .into_iter()
        .partition(Result::is_ok);
    for answer in lost {
        assert_conflict(&answer);
    }
    let mut won: Vec<T> = won.into_iter().map(Result::unwrap).collect();
    assert_eq!(won.len(), 1, "{won:?}");
    won.remove(0)
}

/// Asserts that somebody else wrote first.
pub(crate) fn assert_conflict<T: Debug>(answer: &Result<T, Error>) {
    assert!(matches!(answer, Err(Error::Conflict { .. })), "{answer:?}");
}

/// All items of a paged answer, in the order in which they came.
pub(crate) async fn walk<T>(
    limit: usize,
    page: impl AsyncFn(Option<String>) -> Result<Page<T>, Error>,
) -> Vec<T> {
    let (mut items, mut next) = (Vec::new(), None);
    for _ in 0..10_000 {
        let page = page(next.clone()).await.unwrap();
        assert!(page.items.len() <= limit, "a page beyond its limit");
        items.extend(page.items);
        match page.next {
            None => return items,
            token => {
                assert_ne!(token, next, "a page that leads to itself");
                next = token;
            }
        }
    }
    panic!("the pages do not end");
}

/// Asserts that a page token that was given for another question, or by nobody, is refused for good.
pub(crate) fn assert_refused<T: Debug>(answer: &Result<Page<T>, Error>) {
    assert!(matches!(answer, Err(Error::Refused { .. })), "{answer:?}");
}
