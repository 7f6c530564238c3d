//! One organisation, one connection, and everything between them.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value as Json, json};
use tandem::connection::{Organisation, Status};
use tandem::data_centre::DataCentre;
use tandem::flow::edits::EditAnswer;
use tandem::flow::job::Deadline;
use tandem::flow::writeback::Received;
use tandem::flow::{edits, poll, runs, work, writeback};
use tandem::identifier::{ConnectionId, FieldName, RunId, ZohoId};
use tandem::journal::Entry;
use tandem::message::{Edit, Work, Writeback};
use tandem::oauth;
use tandem::object::Object;
use tandem::port::{Connections as _, Coordination as _, Due, Ports, Records as _};
use tandem::record::Record;
use tandem::run::RunKind;
use tandem::secret::Secret;
use tandem::settings::Settings;
use tandem::value::Value;
use tandem_memory::{Fault, SimulatedZoho, When, World, Writes};
use zoho_sim::OrganisationSpec;
use zoho_sim::oauth::{Client, Grant};

use crate::Ran;

/// The connection of a story.
pub const CONNECTION: &str = "acme";

/// How long an invocation may take.
const INVOCATION: SignedDuration = SignedDuration::from_mins(5);

/// How messages are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Each once, in order.
    Once,
    /// Each twice, the second time after everything else that waits.
    Twice,
}

/// A story.
pub struct Story {
    /// The platform's side, with its faults.
    pub world: World,
    /// Zoho's side.
    pub zoho: Arc<SimulatedZoho>,
    /// The organisation in Zoho.
    pub organisation: u64,
    /// The connection to it.
    pub id: ConnectionId,
    /// How messages are delivered.
    pub delivery: Delivery,
}

/// A platform field's name.
#[must_use]
pub fn name(text: &str) -> FieldName {
    text.parse()
        .unwrap_or_else(|_| unreachable!("stories use valid names"))
}

/// A text value.
#[must_use]
pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

impl Story {
    /// A granted and enabled connection to an organisation that a seed decides, with these settings.
    ///
    /// # Errors
    /// When the settings are wrong.
    pub async fn begin(accounts: usize, settings: Json) -> Result<Self> {
        let spec = OrganisationSpec {
            accounts,
            ..OrganisationSpec::small(7)
        };
        Self::begin_with(&spec, settings).await
    }

    /// The same with an organisation of one's own.
    ///
    /// # Errors
    /// When the settings are wrong.
    pub async fn begin_with(spec: &OrganisationSpec, settings: Json) -> Result<Self> {
        let now: Timestamp = "2026-11-23T10:00:00Z".parse()?;
        let (world, zoho) = World::simulated(spec.seed, now);
        Self::beside(&world, &zoho, CONNECTION, spec, settings).await
    }

    /// The same as a connection of its own in a world that may have others.
    ///
    /// # Errors
    /// When the settings or the id are wrong.
    pub async fn beside(
        world: &World,
        zoho: &Arc<SimulatedZoho>,
        id: &str,
        spec: &OrganisationSpec,
        settings: Json,
    ) -> Result<Self> {
        let organisation = zoho.add_organisation(spec);
        let story = Self {
            world: world.clone(),
            zoho: zoho.clone(),
            organisation,
            id: id.parse()?,
            delivery: Delivery::Once,
        };
        let mut settings = settings;
        let document = settings.as_object_mut().context("settings are an object")?;
        document
            .entry("account_external_id")
            .or_insert_with(|| "External_ID".into());
        story.grant(spec).await?;
        story.save_settings(settings).await?;
        Ok(story)
    }

    async fn grant(&self, spec: &OrganisationSpec) -> Result<()> {
        let centre: DataCentre = spec.dc.parse()?;
        let (access, refresh) = self.issue(spec)?;
        let organisation = Organisation {
            id: self.organisation.to_string(),
            name: spec.name.clone(),
            time_zone: spec.time_zone.clone(),
            data_centre: centre,
            api_domain: self
                .world
                .directory
                .api_domain(centre, &self.world.directory.accounts(centre))?,
            edition: "enterprise".into(),
            daily_credits: 90_000,
        };
        self.world
            .add_enabled(
                self.connection(),
                organisation,
                Secret::new(refresh),
                Secret::new(access),
            )
            .await?;
        Ok(())
    }

    /// The customer's administrator grants access: an access token and a refresh token.
    fn issue(&self, spec: &OrganisationSpec) -> Result<(String, String)> {
        let centre: DataCentre = spec.dc.parse()?;
        let mut model = self.zoho.model();
        model.oauth.register(Client {
            id: format!("client-{centre}"),
            name: "Tandem".to_owned(),
            secret: Some(format!("client-secret-{centre}")),
            secrets: std::collections::BTreeMap::new(),
            redirect_uris: vec!["http://tandem.test/oauth/callback".to_owned()],
        });
        let user = model
            .organisation(self.organisation)
            .context("no organisation")?
            .administrator();
        let grant = Grant {
            client: format!("client-{centre}"),
            organisation: self.organisation,
            user,
            scopes: oauth::SCOPES.map(|scope| scope.name.to_owned()).to_vec(),
            dc: spec.dc.parse().unwrap_or_default(),
        };
        Ok(model.oauth.issue(grant, self.world.now()))
    }

    /// The connection's id.
    #[must_use]
    pub fn connection(&self) -> ConnectionId {
        self.id.clone()
    }

    /// The ports, faults included.
    #[must_use]
    pub fn ports(&self) -> Ports {
        self.world.ports()
    }

    /// Saves settings over the current ones.
    ///
    /// # Errors
    /// When they are wrong.
    pub async fn save_settings(&self, document: Json) -> Result<()> {
        let settings: Settings = serde_json::from_value(document)?;
        let problems = settings.problems();
        if !problems.is_empty() {
            bail!("{problems:?}");
        }
        let store = &self.world.store;
        let version = store.settings(&self.connection()).await?.version;
        store
            .save_settings(&self.connection(), version, &settings, self.world.now())
            .await?;
        Ok(())
    }

    /// Replaces the settings as the console does, and delivers what follows.
    ///
    /// # Errors
    /// When they are wrong or a message fails.
    pub async fn change_settings(&self, document: Json) -> Result<()> {
        self.save_settings(document).await?;
        writeback::send_retry(&self.ports(), &self.connection()).await;
        self.deliver().await
    }

    /// Lets time pass.
    pub fn pass(&self, time: SignedDuration) {
        self.world.clock.advance(time);
    }

    fn deadline(&self) -> Deadline {
        Deadline(self.world.now() + INVOCATION)
    }

    /// Starts a run, delivers every message, and returns the run with its counters by object.
    ///
    /// # Errors
    /// When it can't be started or a message fails.
    pub async fn run(&self, kind: RunKind) -> Result<Ran> {
        let run = runs::start(&self.ports(), &self.connection(), kind).await?;
        self.deliver().await?;
        self.ran(&run.id).await
    }

    /// A full sync.
    ///
    /// # Errors
    /// As [`Story::run`].
    pub async fn full_sync(&self) -> Result<Ran> {
        self.run(RunKind::Full).await
    }

    /// A routine sync, a quarter of an hour later.
    ///
    /// # Errors
    /// As [`Story::run`].
    pub async fn routine_sync(&self) -> Result<Ran> {
        self.pass(SignedDuration::from_mins(15));
        self.run(RunKind::Routine).await
    }

    /// The poller's tick, with everything that follows from it.
    ///
    /// # Errors
    /// When it or a message fails.
    pub async fn tick(&self) -> Result<poll::Ticked> {
        let ticked = poll::tick(&self.ports(), Due::Routine, self.deadline()).await?;
        self.deliver().await?;
        Ok(ticked)
    }

    /// What a run came to.
    ///
    /// # Errors
    /// When there is no such run.
    pub async fn ran(&self, id: &RunId) -> Result<Ran> {
        let run = self
            .world
            .store
            .run(&self.connection(), id)
            .await?
            .context("no such run")?;
        let slices = self.world.store.slices(&self.connection(), id).await?;
        Ok(Ran { run, slices })
    }

    /// Delivers messages until none is left; time passes where the next one is put off.
    ///
    /// # Errors
    /// When a message fails.
    pub async fn deliver(&self) -> Result<()> {
        for _ in 0..100_000 {
            if let Some(held) = self.world.queue.take_work() {
                if self.delivery == Delivery::Twice {
                    self.handle_work(&held.message).await?;
                }
                self.handle_work(&held.message).await?;
            } else if let Some(held) = self.world.queue.take_writeback() {
                if self.delivery == Delivery::Twice {
                    self.handle_writeback(&held.message).await?;
                }
                self.handle_writeback(&held.message).await?;
            } else if let Some(next) = self.world.queue.next_at() {
                self.world.clock.set(next);
            } else {
                return Ok(());
            }
        }
        bail!("the queues do not run dry")
    }

    /// Delivers the workers' messages until none is left, like a queue does: one whose worker fails or is killed comes again.
    ///
    /// # Errors
    /// When the queue does not run dry.
    pub async fn deliver_again_and_again(&self) -> Result<()> {
        for _ in 0..100_000 {
            if let Some(held) = self.world.queue.take_work() {
                let handled = self.world.faults.run(self.handle_work(&held.message)).await;
                if !matches!(handled, Ok(Ok(()))) {
                    self.world.queue.work.put_back(held);
                }
            } else if let Some(next) = self.world.queue.work.next_at() {
                self.world.clock.set(next);
            } else {
                return Ok(());
            }
        }
        bail!("the queues do not run dry")
    }

    /// Hands a message to its worker.
    ///
    /// # Errors
    /// When it fails.
    pub async fn handle_work(&self, message: &Work) -> Result<()> {
        Ok(work::handle(&self.ports(), message, self.deadline()).await?)
    }

    /// A person creates a task of an account in Zoho, and the worker that brings it in dies before a call, the so many-th of its name.
    /// Returns the task's Zoho id.
    ///
    /// # Errors
    /// When something else fails, or the worker never makes that call.
    pub async fn new_task_cut_off_at(&self, call: &'static str, number: u64) -> Result<String> {
        let account = self.present(Object::Account).pop_first();
        let account = account.context("no account")?;
        let task =
            json!({ "Subject": "Brief", "What_Id": { "id": account }, "$se_module": "Accounts" });
        let task = self.zoho_creates("Tasks", &task)?;
        self.pass(SignedDuration::from_mins(15));
        runs::start(&self.ports(), &self.connection(), RunKind::Routine).await?;
        let faults = &self.world.faults;
        for held in self.world.queue.work.take_all() {
            if held.message.object() != Object::Task {
                self.handle_work(&held.message).await?;
                continue;
            }
            faults.on(call, number, Fault::Crash(When::Before));
            let cut_off = faults.run(self.handle_work(&held.message)).await;
            ensure!(cut_off.is_err(), "the worker was not cut off: {cut_off:?}");
            faults.clear();
        }
        Ok(task)
    }

    /// Hands a message to writeback.
    ///
    /// # Errors
    /// When it fails.
    pub async fn handle_writeback(&self, message: &Writeback) -> Result<()> {
        let received = Received {
            message: message.clone(),
            sent_at: self.world.now(),
        };
        Ok(writeback::handle(
            &self.ports(),
            message.connection(),
            &[received],
            self.deadline(),
        )
        .await?)
    }

    /// Edits a record on the platform, and delivers what follows.
    ///
    /// # Errors
    /// When the edit can't be taken or a message fails.
    pub async fn edit(&self, object: Object, id: &str, fields: Json) -> Result<EditAnswer> {
        let answer = self.submit(object, id, fields).await?;
        self.deliver().await?;
        Ok(answer)
    }

    /// Edits a record on the platform without delivering anything.
    ///
    /// # Errors
    /// When the edit can't be taken.
    pub async fn submit(&self, object: Object, id: &str, fields: Json) -> Result<EditAnswer> {
        let edit: Edit = serde_json::from_value(json!({ "id": id, "fields": fields }))?;
        let mut answers =
            edits::accept(&self.ports(), &self.connection(), object, vec![edit]).await?;
        answers.pop().context("no answer")
    }

    /// A record on the platform.
    ///
    /// # Errors
    /// When there is none.
    pub async fn record(&self, object: Object, id: &str) -> Result<Record> {
        let found = self
            .world
            .store
            .records(&self.connection(), object, &[id.parse()?])
            .await?
            .pop();
        found.with_context(|| format!("no {object} {id}"))
    }

    /// The platform's record of a Zoho record, unless it is removed.
    #[must_use]
    pub fn record_of(&self, object: Object, zoho: &str) -> Option<Record> {
        let id: ZohoId = zoho.parse().ok()?;
        self.world
            .store
            .live_records(&self.connection(), object)
            .into_iter()
            .find(|record| record.zoho_id == Some(id))
    }

    /// The platform id of an account that both sides have.
    #[must_use]
    pub fn some_account(&self) -> String {
        let accounts = self
            .world
            .store
            .live_records(&self.connection(), Object::Account);
        let linked = accounts
            .into_iter()
            .find(|account| account.zoho_id.is_some());
        linked
            .map(|account| account.id.to_string())
            .unwrap_or_default()
    }

    /// The Zoho ids of an object's records on the platform.
    #[must_use]
    pub fn present(&self, object: Object) -> BTreeSet<String> {
        let records = self.world.store.live_records(&self.connection(), object);
        records
            .into_iter()
            .filter_map(|record| record.zoho_id.map(String::from))
            .collect()
    }

    /// What the tables were written so far.
    #[must_use]
    pub fn writes(&self) -> Writes {
        self.world.store.writes()
    }

    /// Every record of a Zoho module as it is.
    ///
    /// # Errors
    /// When there is no such module.
    pub fn rows(&self, module: &str) -> Result<Vec<Json>> {
        let now = self.zoho.now();
        Ok(self.zoho.model().records(self.organisation, module, now)?)
    }

    /// How often a module's records changed in Zoho.
    ///
    /// # Errors
    /// When there is no such module.
    pub fn changes(&self, module: &str) -> Result<u64> {
        Ok(self.zoho.model().changes(self.organisation, module)?)
    }

    /// One Zoho record as it is.
    ///
    /// # Errors
    /// When there is none.
    pub fn row(&self, module: &str, id: &str) -> Result<Json> {
        let now = self.zoho.now();
        Ok(self
            .zoho
            .model()
            .record(self.organisation, module, id.parse()?, now)?)
    }

    /// A person creates a record in Zoho.
    ///
    /// # Errors
    /// When Zoho refuses it.
    pub fn zoho_creates(&self, module: &str, values: &Json) -> Result<String> {
        let now = self.zoho.now();
        Ok(self
            .zoho
            .model()
            .create(self.organisation, module, object(values)?, None, now)?
            .to_string())
    }

    /// A person edits a record in Zoho.
    ///
    /// # Errors
    /// When Zoho refuses it.
    pub fn zoho_edits(&self, module: &str, id: &str, values: &Json) -> Result<()> {
        let now = self.zoho.now();
        Ok(self.zoho.model().edit(
            self.organisation,
            module,
            id.parse()?,
            object(values)?,
            None,
            now,
        )?)
    }

    /// A person deletes a record in Zoho.
    ///
    /// # Errors
    /// When there is none.
    pub fn zoho_deletes(&self, module: &str, id: &str) -> Result<()> {
        let now = self.zoho.now();
        Ok(self
            .zoho
            .model()
            .delete(self.organisation, module, id.parse()?, false, None, now)?)
    }

    /// A person restores a deleted record in Zoho, which does not flag it as changed.
    ///
    /// # Errors
    /// When there is none in the bin.
    pub fn zoho_restores(&self, module: &str, id: &str) -> Result<()> {
        Ok(self
            .zoho
            .model()
            .restore(self.organisation, module, id.parse()?)?)
    }

    /// An administrator hides a field from whoever granted access, or shows it again.
    ///
    /// # Errors
    /// When there is no such field.
    pub fn zoho_hides(&self, module: &str, field: &str, hidden: bool) -> Result<()> {
        Ok(self
            .zoho
            .model()
            .hide_field(self.organisation, module, field, hidden)?)
    }

    /// An administrator switches a module off, or on again.
    ///
    /// # Errors
    /// When there is no such module.
    pub fn zoho_disables(&self, module: &str, disabled: bool) -> Result<()> {
        Ok(self
            .zoho
            .model()
            .disable_module(self.organisation, module, disabled)?)
    }

    /// The lines of the log that say that this was done, oldest first.
    #[must_use]
    pub fn log(&self, action: &str) -> Vec<Entry> {
        let mut lines = self.world.store.all_entries(&self.connection());
        lines.retain(|line| line.action == action);
        lines
    }

    /// The calls to Zoho's CRM API since a request number, as paths with their methods.
    #[must_use]
    pub fn calls_since(&self, request: u64) -> Vec<String> {
        let model = self.zoho.model();
        let served = model
            .journal
            .since(request)
            .filter(|served| served.path.contains("/crm/"));
        served
            .map(|served| format!("{} {}", served.method, served.path))
            .collect()
    }

    /// The number of the latest request that Zoho served.
    #[must_use]
    pub fn latest_request(&self) -> u64 {
        self.zoho.model().journal.latest()
    }

    /// How the connection stands.
    ///
    /// # Errors
    /// When there is none.
    pub async fn status(&self) -> Result<Status> {
        Ok(self
            .world
            .store
            .connection(&self.connection())
            .await?
            .context("no connection")?
            .status)
    }
}

fn object(values: &Json) -> Result<&Map<String, Json>> {
    values.as_object().context("values are an object")
}
