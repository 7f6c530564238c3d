//! Everything that the flows need of the outside world, in one place.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tandem::adapter::zoho::ZohoCrm;
use tandem::connection::{Connection, Organisation, Status};
use tandem::data_centre::{DataCentre, Directory};
use tandem::identifier::ConnectionId;
use tandem::port::{Clock as _, Connections as _, Crm, Error, Ports, Vault as _};
use tandem::secret::{OAuthClient, Secret, Tokens};

use crate::{
    Faults, Faulty, ManualClock, MemoryQueue, MemoryStore, MemoryVault, SeededEntropy,
    SimulatedZoho,
};

/// The outside world of a test: a clock moved by hand, randomness from a seed, tables, queues and secrets in memory, and the Zoho given.
#[derive(Clone)]
pub struct World {
    /// Time.
    pub clock: Arc<ManualClock>,
    /// Randomness.
    pub entropy: Arc<SeededEntropy>,
    /// The tables, past all faults.
    pub store: Arc<MemoryStore>,
    /// The queues, past all faults.
    pub queue: Arc<MemoryQueue>,
    /// The secrets, past all faults.
    pub vault: Arc<MemoryVault>,
    /// Zoho, past all faults.
    pub crm: Arc<dyn Crm>,
    /// Where Zoho is.
    pub directory: Directory,
    /// What goes wrong at the calls made through [`World::ports`].
    pub faults: Faults,
}

impl World {
    /// A world that a seed decides, at `now`. Each data centre has its OAuth client, the console its operator's secret (`operator`).
    #[must_use]
    pub fn new(seed: u64, now: Timestamp, directory: Directory, crm: Arc<dyn Crm>) -> Self {
        Self::with_clock(seed, Arc::new(ManualClock::at(now)), directory, crm)
    }

    /// A world whose Zoho is the simulator's model, called in this process and by the same clock.
    #[must_use]
    pub fn simulated(seed: u64, now: Timestamp) -> (Self, Arc<SimulatedZoho>) {
        let clock = Arc::new(ManualClock::at(now));
        let zoho = Arc::new(SimulatedZoho::new(seed, clock.clone()));
        let directory = SimulatedZoho::directory();
        let crm = Arc::new(ZohoCrm::with_transport(directory.clone(), zoho.clone()));
        (Self::with_clock(seed, clock, directory, crm), zoho)
    }

    /// A world that goes by a clock of one's own, which its Zoho may go by too.
    #[must_use]
    pub fn with_clock(
        seed: u64,
        clock: Arc<ManualClock>,
        directory: Directory,
        crm: Arc<dyn Crm>,
    ) -> Self {
        let vault = MemoryVault::default();
        for centre in DataCentre::ALL {
            let client = OAuthClient {
                id: format!("client-{centre}"),
                secret: Secret::new(format!("client-secret-{centre}")),
            };
            vault.set_oauth_client(centre, client);
        }
        vault.set_operator(Secret::new("operator"));
        Self {
            queue: Arc::new(MemoryQueue::new(clock.clone())),
            clock,
            entropy: Arc::new(SeededEntropy::new(seed)),
            store: Arc::default(),
            vault: Arc::new(vault),
            crm,
            directory,
            faults: Faults::none(),
        }
    }

    /// What the flows are given; every call but the clock's and the entropy's goes through [`World::faults`].
    #[must_use]
    pub fn ports(&self) -> Ports {
        Ports {
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            store: Arc::new(Faulty::new(self.store.clone(), self.faults.clone())),
            queue: Arc::new(Faulty::new(self.queue.clone(), self.faults.clone())),
            vault: Arc::new(Faulty::new(self.vault.clone(), self.faults.clone())),
            crm: Arc::new(Faulty::new(self.crm.clone(), self.faults.clone())),
            directory: self.directory.clone(),
        }
    }

    /// What the clock shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Adds a connection that was granted and switched on already: both syncs are due, its tokens last an hour.
    ///
    /// # Errors
    /// When there is one of that id.
    pub async fn add_enabled(
        &self,
        id: ConnectionId,
        organisation: Organisation,
        refresh: Secret,
        access: Secret,
    ) -> Result<Connection, Error> {
        let now = self.now();
        let tokens = Tokens {
            refresh,
            access,
            expires_at: now
                .saturating_add(SignedDuration::from_hours(1))
                .unwrap_or(Timestamp::MAX),
            generation: 1,
            centre: Some(organisation.data_centre),
        };
        self.vault.keep_tokens(&id, &tokens).await?;
        let connection = Connection {
            status: Status::Enabled,
            organisation: Some(organisation),
            routine_due_at: Some(now),
            full_due_at: Some(now),
            ..Connection::new(id.clone(), id.to_string(), now)
        };
        self.store.save_connection(connection).await
    }
}
