//! The template deployed on one emulator for all tests of this process. Its functions are empty: only what surrounds them is used.

pub(crate) mod forgetful;
pub(crate) mod stingy;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::Credentials;
use contract::{Mailbox, Patience, Safe, Setting};
use tandem::adapter::dynamodb::{DynamoStore, Tables};
use tandem::adapter::secrets::SecretsVault;
use tandem::adapter::sqs::{QueueUrls, SqsQueue};
use tandem::adapter::system::SystemClock;
use tandem::data_centre::DataCentre;
use tandem::identifier::ConnectionId;
use tandem::message::{FIRST_SENT, Work, Writeback};
use tandem::object::Object;
use tandem::port::{Clock as _, Delivery, Queue, QueueName, Vault};
use tandem::secret::{OAuthClient, Secret};
use tandem_local::{
    DeployOptions, Emulator, EmulatorOptions, FUNCTIONS, OauthClient, Stack, target_directory,
};
use tokio::sync::OnceCell;

const OPERATOR: &str = "the operator's";

/// The deployment.
pub(crate) struct Deployed {
    stack: Stack,
    /// Ends with the process.
    _emulator: Emulator,
}

/// A port on the emulator under the contract.
pub(crate) fn setting<P: ?Sized>(port: Arc<P>) -> Setting<P> {
    let patience = Patience::new(40, || {
        Box::pin(tokio::time::sleep(Duration::from_millis(50)))
    });
    Setting::new(port, "aws", SystemClock.now(), patience)
}

impl Deployed {
    /// Deploys once and for all.
    pub(crate) async fn get() -> &'static Self {
        static DEPLOYED: OnceCell<Deployed> = OnceCell::const_new();
        DEPLOYED.get_or_init(Self::deploy).await
    }

    async fn deploy() -> Self {
        let emulator = Emulator::start(EmulatorOptions::default()).await.unwrap();
        let (_, client) = client();
        let options = DeployOptions {
            oauth_clients: vec![OauthClient {
                data_centre: "eu".to_owned(),
                client_id: client.id,
                client_secret: client.secret.expose().to_owned(),
            }],
            ..DeployOptions::new("contract", empty_functions(), "http://127.0.0.1:1")
        };
        let stack = Stack::deploy(&emulator, options).await.unwrap();
        stack.put_secret("operator", OPERATOR).await.unwrap();
        Self {
            stack,
            _emulator: emulator,
        }
    }

    pub(crate) fn store(&self) -> DynamoStore {
        self.store_through(self.stack.client().endpoint())
    }

    /// The store, reached by another way.
    pub(crate) fn store_through(&self, endpoint: &str) -> DynamoStore {
        DynamoStore::new(
            aws_sdk_dynamodb::Client::new(&self.config(endpoint)),
            self.tables(),
        )
    }

    /// All that the tables hold, each item as text.
    pub(crate) async fn items(&self) -> Vec<String> {
        let client = aws_sdk_dynamodb::Client::new(&self.config(self.endpoint()));
        let Tables {
            state,
            links,
            records,
            log,
        } = self.tables();
        let mut items = Vec::new();
        for table in [state, links, records, log] {
            let mut pages = client
                .scan()
                .table_name(table)
                .consistent_read(true)
                .into_paginator()
                .items()
                .send();
            while let Some(item) = pages.next().await {
                items.push(format!("{:?}", item.unwrap()));
            }
        }
        items
    }

    pub(crate) fn vault(&self) -> SecretsVault {
        let config = self.config(self.stack.client().endpoint());
        SecretsVault::new(
            aws_sdk_secretsmanager::Client::new(&config),
            self.stack.secret_prefix().to_owned(),
        )
    }

    fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.config(self.stack.client().endpoint()))
    }

    pub(crate) fn tables(&self) -> Tables {
        let tandem_local::Tables {
            state,
            links,
            records,
            log,
        } = self.stack.tables().clone();
        Tables {
            state,
            links,
            records,
            log,
        }
    }

    /// What the template tells a function.
    pub(crate) async fn environment(&self, function: &str) -> BTreeMap<String, String> {
        self.stack.environment(function).await.unwrap()
    }

    pub(crate) fn endpoint(&self) -> &str {
        self.stack.client().endpoint()
    }

    fn config(&self, endpoint: &str) -> SdkConfig {
        let client = self.stack.client();
        let credentials = Credentials::new(
            client.access_key(),
            client.secret_key(),
            None,
            None,
            "the emulator",
        );
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(client.region().to_owned()))
            .endpoint_url(endpoint)
            .credentials_provider(aws_sdk_dynamodb::config::SharedCredentialsProvider::new(
                credentials,
            ))
            .build()
    }
}

/// A folder with functions that do nothing.
fn empty_functions() -> PathBuf {
    let folder = target_directory().join("empty-functions");
    fs::create_dir_all(&folder).unwrap();
    for function in FUNCTIONS {
        let file = folder.join(function);
        fs::write(&file, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

/// Queues of a test's own: on the stack's the emulator would hand the messages to the functions.
pub(crate) struct Letters {
    client: aws_sdk_sqs::Client,
    urls: QueueUrls,
    dead_letters: QueueUrls,
    queue: SqsQueue,
}

fn worker(urls: &QueueUrls, object: Object) -> &str {
    match object {
        Object::Account => &urls.accounts,
        Object::Contact => &urls.contacts,
        Object::Task => &urls.tasks,
        Object::Deal => &urls.deals,
        Object::User => &urls.users,
    }
}

impl Letters {
    pub(crate) async fn open(deployed: &Deployed) -> Self {
        let client = deployed.sqs();
        let urls = Self::create(&client, "queue").await;
        let dead_letters = Self::create(&client, "dead").await;
        let queue = SqsQueue::new(client.clone(), urls.clone(), Some(dead_letters.clone()));
        Self {
            client,
            urls,
            dead_letters,
            queue,
        }
    }

    async fn create(client: &aws_sdk_sqs::Client, kind: &str) -> QueueUrls {
        let create = async |object: &str| {
            let name = format!("{object}-{kind}-{:032x}", rand_number());
            let made = client.create_queue().queue_name(name).send().await.unwrap();
            made.queue_url.unwrap()
        };
        QueueUrls {
            accounts: create("accounts").await,
            contacts: create("contacts").await,
            tasks: create("tasks").await,
            deals: create("deals").await,
            users: create("users").await,
            writeback: create("writeback").await,
        }
    }

    /// The queues as a function that deals with no dead letters has them.
    pub(crate) fn without_dead_letters(&self) -> SqsQueue {
        SqsQueue::new(self.client.clone(), self.urls.clone(), None)
    }

    /// When the next message to writeback was sent, and when it says that it was first; it stays.
    pub(crate) async fn times(&self) -> (String, Option<String>) {
        let received = self
            .client
            .receive_message()
            .queue_url(&self.urls.writeback)
            .visibility_timeout(0)
            .message_system_attribute_names("SentTimestamp".into())
            .message_attribute_names("All")
            .send()
            .await
            .unwrap();
        let message = received.messages.unwrap().remove(0);
        let first = message.message_attributes.unwrap_or_default();
        let first = first.get(FIRST_SENT);
        (
            message.attributes.unwrap()[&"SentTimestamp".into()].clone(),
            first.and_then(|first| first.string_value.clone()),
        )
    }

    /// Some bodies that wait in a queue, each with its group, deleted.
    async fn receive(&self, url: &str) -> Vec<(String, String)> {
        let received = self
            .client
            .receive_message()
            .queue_url(url)
            .max_number_of_messages(10)
            .message_system_attribute_names("MessageGroupId".into())
            .send()
            .await
            .unwrap();
        let mut bodies = Vec::new();
        for message in received.messages.unwrap_or_default() {
            let group = message.attributes.unwrap()[&"MessageGroupId".into()].clone();
            bodies.push((group, message.body.unwrap()));
            self.client
                .delete_message()
                .queue_url(url)
                .receipt_handle(message.receipt_handle.unwrap())
                .send()
                .await
                .unwrap();
        }
        bodies
    }

    /// Takes a message that waits for a worker, without deleting it; none when there is none right now.
    pub(crate) async fn take(&self, object: Object, seconds: i32) -> Option<Delivery> {
        let received = self
            .client
            .receive_message()
            .queue_url(self.worker(object))
            .visibility_timeout(seconds)
            .send()
            .await
            .unwrap();
        let message = received.messages.unwrap_or_default().into_iter().next()?;
        Some(Delivery {
            queue: QueueName::Work(object),
            receipt: message.receipt_handle.unwrap(),
        })
    }

    fn worker(&self, object: Object) -> &str {
        worker(&self.urls, object)
    }
}

fn rand_number() -> u128 {
    use tandem::port::Entropy as _;
    tandem::adapter::system::SystemEntropy.number()
}

#[async_trait]
impl Mailbox for Letters {
    fn queue(&self) -> &dyn Queue {
        &self.queue
    }

    async fn receive_work(&self, object: Object) -> Vec<Work> {
        let read = |(group, body): (String, String)| {
            let work: Work = serde_json::from_str(&body).unwrap();
            assert_eq!(group, work.connection().as_str());
            work
        };
        let received = self.receive(self.worker(object)).await;
        received.into_iter().map(read).collect()
    }

    async fn receive_writeback(&self) -> Vec<Writeback> {
        let read = |(group, body): (String, String)| {
            let message: Writeback = serde_json::from_str(&body).unwrap();
            assert_eq!(group, message.connection().as_str());
            message
        };
        let received = self.receive(&self.urls.writeback).await;
        received.into_iter().map(read).collect()
    }

    async fn bury(&self, queue: QueueName, sender: &ConnectionId, body: &str) {
        let url = match queue {
            QueueName::Work(object) => worker(&self.dead_letters, object),
            QueueName::Writeback => &self.dead_letters.writeback,
        };
        self.client
            .send_message()
            .queue_url(url)
            .message_group_id(sender.as_str())
            .message_body(body)
            .send()
            .await
            .unwrap();
    }

    async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

fn client() -> (DataCentre, OAuthClient) {
    let client = OAuthClient {
        id: "1000.CLIENT".into(),
        secret: Secret::new("the client's"),
    };
    (DataCentre::Eu, client)
}

/// The vault as it was deployed and filled in.
pub(crate) struct Filled(pub(crate) SecretsVault);

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
