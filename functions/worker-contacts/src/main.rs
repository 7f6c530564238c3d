//! Wiring: telemetry, ports, run.

use lambda_runtime::{Error, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tandem::edge::telemetry::start()?;
    let ports = tandem::edge::clients::ports().await?;
    lambda_runtime::run(service_fn(|event| worker_contacts::handle(&ports, event))).await
}
