//! The real adapters keep the contract, on the template's own tables in the emulator; and a few things that only they can get wrong.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may fail loudly"
)]

mod emulator;

use std::sync::Arc;

use contract::{Mailbox, Safe, Setting};
use tandem::port::Store;

use emulator::{Deployed, Filled, Letters, setting};

contract::tests!(store: store);
contract::tests!(queue: queue);
contract::tests!(vault: vault);

async fn store() -> Setting<dyn Store> {
    setting(Arc::new(Deployed::get().await.store()))
}

async fn queue() -> Setting<dyn Mailbox> {
    setting(Arc::new(Letters::open(Deployed::get().await).await))
}

async fn vault() -> Setting<dyn Safe> {
    setting(Arc::new(Filled(Deployed::get().await.vault())))
}
