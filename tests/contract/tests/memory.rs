//! The in-memory ports keep the contract.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contract::{Mailbox, Patience, Safe, Setting};
use jiff::{SignedDuration, Timestamp};
use tandem::data_centre::DataCentre;
use tandem::message::{Work, Writeback};
use tandem::object::Object;
use tandem::port::{Queue, Store, Vault};
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
