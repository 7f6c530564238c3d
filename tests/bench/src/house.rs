//! A connection with the ports in memory, and the workers' part: taking each message to its handler.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};
use tandem::connection::Organisation;
use tandem::data_centre::{DataCentre, Directory};
use tandem::flow::job::Deadline;
use tandem::flow::{runs, work};
use tandem::identifier::ConnectionId;
use tandem::port::{Coordination as _, Crm};
use tandem::run::{Run, RunKind, RunStatus, Slice};
use tandem::secret::Secret;
use tandem_memory::{ManualClock, World};

/// A connection and its world.
pub(crate) struct House {
    pub(crate) world: World,
    pub(crate) connection: ConnectionId,
}

/// When every measurement takes place.
pub(crate) fn clock() -> Result<Arc<ManualClock>> {
    let now: Timestamp = "2026-11-23T10:00:00Z".parse()?;
    Ok(Arc::new(ManualClock::at(now)))
}

impl House {
    /// An enabled connection, with the default settings, to a Zoho.
    pub(crate) async fn build(clock: Arc<ManualClock>, crm: Arc<dyn Crm>) -> Result<Self> {
        let world = World::with_clock(1, clock, Directory::zoho(), crm);
        let connection: ConnectionId = "acme".parse()?;
        let organisation = Organisation {
            id: "1".to_owned(),
            name: "Acme".to_owned(),
            time_zone: "Europe/Berlin".to_owned(),
            data_centre: DataCentre::Eu,
            api_domain: Directory::zoho().api_domain(DataCentre::Eu, "https://www.zohoapis.eu")?,
            edition: "enterprise".into(),
            daily_credits: 5_000_000,
        };
        let (refresh, access) = (Secret::new("refresh"), Secret::new("access"));
        world
            .add_enabled(connection.clone(), organisation, refresh, access)
            .await?;
        Ok(Self { world, connection })
    }

    /// A run to its end, each message delivered once; it must complete.
    pub(crate) async fn run(&self, kind: RunKind) -> Result<(Run, Vec<Slice>)> {
        let ports = self.world.ports();
        let run = runs::start(&ports, &self.connection, kind).await?;
        while let Some(held) = self.world.queue.take_work() {
            let deadline = Deadline(self.world.now() + SignedDuration::from_mins(15));
            work::handle(&ports, &held.message, deadline).await?;
        }
        let store = &self.world.store;
        let run = store
            .run(&self.connection, &run.id)
            .await?
            .context("the run is not there")?;
        anyhow::ensure!(run.status == RunStatus::Complete, "{:?}", run.reason);
        let slices = store.slices(&self.connection, &run.id).await?;
        Ok((run, slices))
    }
}
