//! The story with the real Zoho, which it does not change.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use super::CONNECTION;
use super::measure::Look;
use super::progress::say;
use super::report::Report;
use super::story::RUN_BUDGET;
use super::teller::Teller;
use crate::World;

/// Tells the story with the real Zoho.
pub(super) async fn tell(world: &World, data_centre: &str) -> Report {
    let mut teller = Teller::new(world);
    let told = teller.tell_live(data_centre).await;
    teller.report(told)
}

/// How long a person has to grant access.
const GRANT_BUDGET: Duration = Duration::from_secs(900);

impl Teller<'_> {
    async fn tell_live(&mut self, data_centre: &str) -> Result<()> {
        let before = Look::take(self.world).await?;
        let began = Instant::now();
        let console = &self.world.console;
        console
            .post(
                "/api/connections",
                &json!({ "id": CONNECTION, "name": "My organisation" }),
            )
            .await?;
        let address = self.world.door.url();
        say(&format!(
            "Register {address}/oauth/callback as a redirect URI of your Zoho client, then open {address}/connect/{CONNECTION}?dc={data_centre}"
        ));
        let deadline = Instant::now() + GRANT_BUDGET;
        let path = format!("/api/connections/{CONNECTION}");
        while console.get(&path).await?["organisation"].is_null() {
            anyhow::ensure!(
                Instant::now() < deadline,
                "nobody granted access within {GRANT_BUDGET:?}"
            );
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let mut look = self
            .end("connect", before, began, async |_, _, _, _| Ok(()))
            .await?;
        console.post(&format!("{path}/enable"), &json!({})).await?;
        let first = console.latest_run(CONNECTION, "full").await?;
        for (name, run) in [("full sync", Some(first)), ("full sync again", None)] {
            let began = Instant::now();
            let run = match run {
                Some(run) => run,
                None => console.start_run(CONNECTION, "full").await?,
            };
            let ended = console
                .await_run(CONNECTION, &run, RUN_BUDGET, |_| {})
                .await?;
            look = self
                .end(name, look, began, async |_, _, _, checks| {
                    checks.equal(
                        "status of the run",
                        ended["status"].as_str(),
                        Some("complete"),
                    );
                    Ok(())
                })
                .await?;
        }
        Ok(())
    }
}
