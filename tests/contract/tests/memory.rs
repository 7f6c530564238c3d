//! The in-memory ports keep the contract.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contract::sequence::{self, operations};
use contract::{Mailbox, Patience, Safe, Setting};
use futures::executor::block_on;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use proptest::proptest;
use tandem::data_centre::DataCentre;
use tandem::identifier::ConnectionId;
use tandem::message::{Work, Writeback};
use tandem::object::Object;
use tandem::port::{Queue, QueueName, Records as _, Store, Vault};
use tandem::record::Record;
use tandem::secret::{OAuthClient, Secret};
use tandem_memory::{ManualClock, MemoryQueue, MemoryStore, MemoryVault};

contract::tests!(store: store);
contract::tests!(queue: queue);
contract::tests!(vault: vault);

fn setting<P: ?Sized>(port: Arc<P>) -> Setting<P> {
    let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
    Setting::new(port, "memory", now, Patience::none())
}

async fn store() -> Setting<dyn Store> {
    setting(Arc::new(MemoryStore::default()))
}

async fn queue() -> Setting<dyn Mailbox> {
    let clock = Arc::new(ManualClock::at(Timestamp::UNIX_EPOCH));
    let queue = MemoryQueue::new(clock.clone());
    setting(Arc::new(Letters { clock, queue }))
}

async fn vault() -> Setting<dyn Safe> {
    let vault = MemoryVault::default();
    let (centre, client) = client();
    vault.set_oauth_client(centre, client);
    vault.set_operator(Secret::new(OPERATOR));
    setting(Arc::new(Filled(vault)))
}

proptest! {
    #[test]
    fn any_sequence_of_operations_goes_as_the_model_says(operations in operations(120)) {
        let setting = setting(Arc::new(MemoryStore::default()) as Arc<dyn Store>);
        block_on(sequence::run(&setting, &operations));
    }
}

#[test]
fn drawn_sequences_are_the_same_for_the_same_seed() {
    let [first, again, other] = [1, 1, 2].map(|seed| format!("{:?}", sequence::drawn(3, 30, seed)));
    assert_eq!(first, again);
    assert_ne!(first, other);
}

/// Real threads, because the clauses' own contenders take turns on one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_threads_wins() {
    let store = Arc::new(MemoryStore::default());
    let record = Record::new(
        "acme".parse().unwrap(),
        Object::Task,
        "t-1".parse().unwrap(),
        Timestamp::UNIX_EPOCH,
    );
    let saving = (0..16).map(|_| {
        let (store, record) = (store.clone(), record.clone());
        tokio::task::spawn_blocking(move || block_on(store.save_record(record)).is_ok())
    });
    let saved = join_all(saving)
        .await
        .into_iter()
        .filter(|saved| *saved.as_ref().unwrap());
    assert_eq!(saved.count(), 1);
}

struct Letters {
    clock: Arc<ManualClock>,
    queue: MemoryQueue,
}

#[async_trait]
impl Mailbox for Letters {
    fn queue(&self) -> &dyn Queue {
        &self.queue
    }

    async fn receive_work(&self, object: Object) -> Vec<Work> {
        let of_object = |work: &Work| work.object() == object;
        let held = std::iter::from_fn(|| self.queue.work.take_where(of_object));
        held.map(|held| held.message).collect()
    }

    async fn receive_writeback(&self) -> Vec<Writeback> {
        let held = self.queue.writeback.take_all().into_iter();
        held.map(|held| held.message).collect()
    }

    async fn bury(&self, queue: QueueName, sender: &ConnectionId, body: &str) {
        self.queue.bury(queue, sender, body);
    }

    async fn pass(&self, time: Duration) {
        self.clock.advance(SignedDuration::try_from(time).unwrap());
    }
}

const OPERATOR: &str = "the operator's";

fn client() -> (DataCentre, OAuthClient) {
    let client = OAuthClient {
        id: "1000.CLIENT".into(),
        secret: Secret::new("the client's"),
    };
    (DataCentre::Eu, client)
}

struct Filled(MemoryVault);

impl Safe for Filled {
    fn vault(&self) -> &dyn Vault {
        &self.0
    }

    fn filled(&self) -> (DataCentre, OAuthClient) {
        client()
    }

    fn unfilled(&self) -> DataCentre {
        DataCentre::Cn
    }

    fn operator_filled(&self) -> String {
        OPERATOR.into()
    }
}
