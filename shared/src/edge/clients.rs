//! The clients of a function, made once at its cold start: making them later would move that work into a throttled invocation.

use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};

use super::environment::{self, Environment};
use crate::adapter::dynamodb::DynamoStore;
use crate::adapter::secrets::SecretsVault;
use crate::adapter::sqs::SqsQueue;
use crate::adapter::system::{SystemClock, SystemEntropy};
use crate::adapter::zoho::{self, ZohoCrm};
use crate::port::Ports;

/// Why a function can't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The environment is not as it should be.
    #[error(transparent)]
    Environment(#[from] environment::Error),
    /// The client that calls Zoho can't be made.
    #[error("the client that calls Zoho can't be made")]
    Zoho(#[from] zoho::transport::Error),
}

/// The ports of this process, from its environment.
///
/// # Errors
/// When the environment is not as it should be, or a client can't be made.
pub async fn ports() -> Result<Ports, Error> {
    connect(&Environment::read()?).await
}

/// The ports that an environment asks for. No service is called.
///
/// # Errors
/// When a client can't be made.
pub async fn connect(environment: &Environment) -> Result<Ports, Error> {
    let Environment {
        tables,
        queues,
        dead_letters,
        secret_prefix,
        public_url: _,
        directory,
    } = environment.clone();
    let aws = aws().await;
    Ok(Ports {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        store: Arc::new(DynamoStore::new(
            aws_sdk_dynamodb::Client::new(&aws),
            tables,
        )),
        queue: Arc::new(SqsQueue::new(
            aws_sdk_sqs::Client::new(&aws),
            queues,
            dead_letters,
        )),
        vault: Arc::new(SecretsVault::new(
            aws_sdk_secretsmanager::Client::new(&aws),
            secret_prefix,
        )),
        crm: Arc::new(ZohoCrm::new(directory.clone())?),
        directory,
    })
}

/// Region, credentials and endpoint as Lambda's environment gives them. An attempt that hangs is given up and repeated well within the
/// shortest of the functions' timeouts.
async fn aws() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(5)
                .with_initial_backoff(Duration::from_millis(100))
                .with_max_backoff(Duration::from_secs(3)),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(2))
                .operation_attempt_timeout(Duration::from_secs(6))
                .operation_timeout(Duration::from_secs(20))
                .build(),
        )
        .load()
        .await
}
