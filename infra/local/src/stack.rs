//! One deployment of the template on the emulator.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use http::Method;
use serde_json::{Value, json};

use crate::aws::Client;
use crate::cloudformation;
use crate::emulator::Emulator;
use crate::functions::{FUNCTIONS, QUEUES, logical_name};
use crate::place::project_directory;

/// The OAuth client of one Zoho data centre.
#[derive(Clone, Debug)]
pub struct OauthClient {
    /// `us`, `eu`, `in`, `au`, `jp`, `ca`, `sa`, `uk` or `cn`.
    pub data_centre: String,
    /// As Zoho's API console shows it.
    pub client_id: String,
    /// As Zoho's API console shows it.
    pub client_secret: String,
}

/// What is deployed, and what is different from production about it.
#[derive(Clone, Debug)]
pub struct DeployOptions {
    /// The stack's name, by which several deployments share one emulator. Deploying a name again updates it.
    pub name: String,
    /// A folder with one executable per function, named like the function.
    pub function_binaries: PathBuf,
    /// The template's `PublicUrl`.
    pub public_url: String,
    /// The template's `ZohoDirectory`: the address of a Zoho simulator. Empty is Zoho itself.
    pub zoho_directory: String,
    /// The template's `LogLevel`.
    pub log_level: String,
    /// The OAuth clients to put into their secrets.
    pub oauth_clients: Vec<OauthClient>,
    /// Let the poller and the full sync start by the clock. Without it they run when invoked.
    pub schedules: bool,
    /// When a message whose function died comes back. Without it that takes the half hour of production.
    pub retry_after: Option<Duration>,
    /// A different template, for tests of an upgrade.
    pub template: PathBuf,
}

impl DeployOptions {
    /// The usual: no schedules, no OAuth clients, Zoho itself.
    #[must_use]
    pub fn new(name: &str, function_binaries: impl Into<PathBuf>, public_url: &str) -> Self {
        Self {
            name: name.to_owned(),
            function_binaries: function_binaries.into(),
            public_url: public_url.to_owned(),
            zoho_directory: String::new(),
            log_level: "info".to_owned(),
            oauth_clients: Vec::new(),
            schedules: false,
            retry_after: None,
            template: project_directory().join("infra/template.yaml"),
        }
    }
}

/// The names CloudFormation gave the tables.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Connections, settings, cursors, runs.
    pub state: String,
    /// What ties records to Zoho ids.
    pub links: String,
    /// The platform's copy.
    pub records: String,
    /// What was done and why.
    pub log: String,
}

/// A queue and where its messages end that failed too often.
#[derive(Clone, Debug)]
pub struct Queue {
    /// The queue.
    pub url: String,
    /// Its dead-letter queue.
    pub dead_letters_url: String,
}

/// A deployed Tandem.
#[derive(Clone, Debug)]
pub struct Stack {
    pub(crate) client: Client,
    name: String,
    api_url: String,
    public_url: String,
    secret_prefix: String,
    tables: Tables,
    queues: BTreeMap<String, Queue>,
    functions: BTreeMap<String, String>,
}

impl Stack {
    /// Uploads the functions, creates or updates the stack and waits until it stands. Takes one to two seconds.
    ///
    /// # Errors
    /// When a binary is missing or the emulator refuses the template; the message names the resource and its reason.
    pub async fn deploy(emulator: &Emulator, options: DeployOptions) -> Result<Self> {
        let client = emulator.client();
        let template = cloudformation::upload(&client, &options).await?;
        let outputs = cloudformation::provision(&client, &options, &template).await?;
        let stack = Self::from_outputs(client, &options, &outputs)?;
        stack.settle(&options).await?;
        tracing::info!(stack = %stack.name, "deployed");
        Ok(stack)
    }

    fn from_outputs(
        client: Client,
        options: &DeployOptions,
        outputs: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let output = |name: &str| {
            outputs
                .get(name)
                .cloned()
                .with_context(|| format!("the template has no output {name}"))
        };
        let mut queues = BTreeMap::new();
        for name in QUEUES {
            let logical = logical_name(name);
            let url = output(&format!("{logical}QueueUrl"))?;
            let dead_letters_url = output(&format!("{logical}DeadLettersUrl"))?;
            queues.insert(
                name.to_owned(),
                Queue {
                    url,
                    dead_letters_url,
                },
            );
        }
        let mut functions = BTreeMap::new();
        for name in FUNCTIONS {
            functions.insert(
                name.to_owned(),
                output(&format!("{}Function", logical_name(name)))?,
            );
        }
        Ok(Self {
            name: options.name.clone(),
            api_url: format!(
                "{}/_aws/execute-api/{}",
                client.endpoint(),
                output("ApiId")?
            ),
            public_url: output("PublicUrl")?,
            secret_prefix: output("SecretPrefix")?,
            tables: Tables {
                state: output("StateTable")?,
                links: output("LinksTable")?,
                records: output("RecordsTable")?,
                log: output("LogTable")?,
            },
            queues,
            functions,
            client,
        })
    }

    /// What the emulator leaves out, and what is wanted different from production.
    async fn settle(&self, options: &DeployOptions) -> Result<()> {
        for table in [&self.tables.state, &self.tables.records, &self.tables.log] {
            // The emulator's CloudFormation ignores TimeToLiveSpecification.
            let body = json!({
                "TableName": table,
                "TimeToLiveSpecification": { "AttributeName": "expires_at", "Enabled": true },
            });
            self.client
                .json("dynamodb", "DynamoDB_20120810.UpdateTimeToLive", &body)
                .await?;
        }
        if !options.schedules {
            for rule in cloudformation::rules(&self.client, &self.name).await? {
                self.client
                    .json("events", "AWSEvents.DisableRule", &json!({ "Name": rule }))
                    .await?;
            }
        }
        if let Some(after) = options.retry_after {
            self.retry_after(after).await?;
        }
        for client in &options.oauth_clients {
            let value =
                json!({ "client_id": client.client_id, "client_secret": client.client_secret });
            self.put_secret(
                &format!("oauth-client/{}", client.data_centre),
                &value.to_string(),
            )
            .await?;
        }
        Ok(())
    }

    /// From now on a message that is taken comes back after so long if it is not finished by then, see `DeployOptions::retry_after`.
    ///
    /// # Errors
    /// When the emulator refuses.
    pub async fn retry_after(&self, after: Duration) -> Result<()> {
        for queue in self.queues.values() {
            let body = json!({
                "QueueUrl": queue.url,
                "Attributes": { "VisibilityTimeout": after.as_secs().max(1).to_string() },
            });
            self.client
                .json("sqs", "AmazonSQS.SetQueueAttributes", &body)
                .await?;
        }
        Ok(())
    }

    /// The stack's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The HTTP API as the emulator offers it; `FrontDoor` gives it a plain address.
    #[must_use]
    pub fn api_url(&self) -> &str {
        &self.api_url
    }

    /// The address that was given to the functions.
    #[must_use]
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// What the names of all secrets begin with.
    #[must_use]
    pub fn secret_prefix(&self) -> &str {
        &self.secret_prefix
    }

    /// The tables.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The queues by their short names, see [`QUEUES`].
    #[must_use]
    pub fn queues(&self) -> &BTreeMap<String, Queue> {
        &self.queues
    }

    /// The functions' names in the emulator, by their own.
    #[must_use]
    pub fn functions(&self) -> &BTreeMap<String, String> {
        &self.functions
    }

    /// A client with all rights, for what this type does not offer.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn queue(&self, name: &str) -> Result<&Queue> {
        self.queues
            .get(name)
            .with_context(|| format!("there is no queue {name}"))
    }

    pub(crate) fn function(&self, name: &str) -> Result<&str> {
        self.functions
            .get(name)
            .map(String::as_str)
            .with_context(|| format!("there is no function {name}"))
    }

    /// Every variable a function is given, as the template sets it, and those with which an AWS SDK finds the emulator.
    ///
    /// # Errors
    /// When there is no such function.
    pub async fn environment(&self, function: &str) -> Result<BTreeMap<String, String>> {
        let path = format!(
            "/2015-03-31/functions/{}/configuration",
            self.function(function)?
        );
        let answer = self
            .client
            .rest(Method::GET, "lambda", &path, Vec::new())
            .await?;
        let configuration: Value = serde_json::from_slice(&answer.body)?;
        let variables = configuration
            .pointer("/Environment/Variables")
            .cloned()
            .unwrap_or_default();
        let mut variables: BTreeMap<String, String> = serde_json::from_value(variables)?;
        for (name, value) in [
            ("AWS_ENDPOINT_URL", self.client.endpoint()),
            ("AWS_REGION", self.client.region()),
            ("AWS_ACCESS_KEY_ID", self.client.access_key()),
            ("AWS_SECRET_ACCESS_KEY", self.client.secret_key()),
        ] {
            variables.insert(name.to_owned(), value.to_owned());
        }
        Ok(variables)
    }

    /// A secret's value by its name without the prefix, such as `operator`.
    ///
    /// # Errors
    /// When there is no such secret.
    pub async fn secret(&self, name: &str) -> Result<String> {
        let body = json!({ "SecretId": format!("{}{name}", self.secret_prefix) });
        let answer = self
            .client
            .json("secretsmanager", "secretsmanager.GetSecretValue", &body)
            .await?;
        Ok(answer["SecretString"]
            .as_str()
            .unwrap_or_default()
            .to_owned())
    }

    /// Puts a new value into a secret that exists.
    ///
    /// # Errors
    /// When there is no such secret.
    pub async fn put_secret(&self, name: &str, value: &str) -> Result<()> {
        let body =
            json!({ "SecretId": format!("{}{name}", self.secret_prefix), "SecretString": value });
        self.client
            .json("secretsmanager", "secretsmanager.PutSecretValue", &body)
            .await?;
        Ok(())
    }
}
