//! Wiring: telemetry, ports, run.

use console::{Deps, app};
use lambda_http::Error;
use tandem::edge::clients;
use tandem::edge::environment::Environment;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tandem::edge::telemetry::start()?;
    let environment = Environment::read_of_console()?;
    let ports = clients::connect(&environment).await?;
    let public_url = environment.public_url;
    lambda_http::run(app(Deps { ports, public_url })).await
}
