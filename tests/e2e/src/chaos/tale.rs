//! The tale of both worlds: a first full sync, changes on both sides, a routine sync, a night. Whoever acts tries again until it worked.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use http::Method;
use serde_json::{Value, json};
use tandem_local::{QUEUES, World};

use super::hand::Hand;
use crate::{CONNECTION, connect};

/// How long anything may take.
const BUDGET: Duration = Duration::from_secs(120);

/// How long until somebody tries again.
const AGAIN: Duration = Duration::from_millis(200);

/// How many edits go to the console at once: fewer get through in a storm more often.
const AT_ONCE: usize = 6;

/// Longer than a full sync may take before another may start.
const TOO_LONG_AGO: &str = "2020-01-01T00:00:00Z";

/// How often a run is seen to stand still before it counts as forgotten.
const STANDSTILLS: u32 = 10;

/// A seed's tale in one world.
pub(super) struct Tale<'a> {
    world: &'a World,
    seed: u64,
    hand: Option<Hand>,
    /// How many runs nobody worked on any more, because whoever started them died before sending their messages.
    forgotten: u64,
}

impl<'a> Tale<'a> {
    /// Makes the connection and connects it.
    pub(super) async fn begin(world: &'a World, seed: u64) -> Result<Self> {
        connect(world).await?;
        Ok(Self {
            world,
            seed,
            hand: None,
            forgotten: 0,
        })
    }

    /// What happens in this tale, once it began to.
    pub(super) fn hand(&self) -> Result<&Hand> {
        self.hand.as_ref().context("nothing happened yet")
    }

    /// How many runs were forgotten.
    pub(super) const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Tells it.
    pub(super) async fn tell(&mut self) -> Result<()> {
        let enable = format!("/api/connections/{CONNECTION}/enable");
        self.insist(Method::POST, &enable, Some(&json!({}))).await?;
        self.sync("full", None).await.context("the first night")?;
        // Nobody reads Zoho any more when people begin to change it.
        self.silence().await?;
        let zoho = self.world.zoho()?;
        let hand = Hand::draw(self.seed, zoho)?;
        hand.change_zoho(zoho)?;
        self.hand = Some(hand.clone());
        self.disagree(&hand).await?;
        self.edit(&hand).await?;
        let latest = self.latest("routine").await?;
        self.sync("routine", latest).await?;
        self.night().await?;
        self.silence().await
    }

    /// A full sync, as at night.
    pub(super) async fn night(&mut self) -> Result<()> {
        let latest = self.latest("full").await?;
        self.sync("full", latest).await.context("a night")?;
        self.silence().await
    }

    /// Lets everything drain, dead letters included. One that a console was sending again when it died shows only after a while.
    /// Says how many were sent again.
    pub(super) async fn drain(&self) -> Result<u64> {
        let deadline = Instant::now() + BUDGET;
        let mut redriven = 0;
        loop {
            self.silence().await?;
            if self.world.stack.is_empty().await? {
                return Ok(redriven);
            }
            for queue in QUEUES {
                redriven += redrive(self.world, queue).await?;
            }
            ensure!(
                Instant::now() < deadline,
                "there are dead letters that are not sent again"
            );
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Waits until no message is left; dead letters are somebody else's.
    async fn silence(&self) -> Result<()> {
        self.world.stack.wait_until_idle(BUDGET).await
    }

    /// The platform edits what people have just changed in Zoho.
    async fn disagree(&self, hand: &Hand) -> Result<()> {
        let edits: Vec<Value> = hand.conflicts.iter().map(super::hand::Edit::body).collect();
        let message = json!({
            "kind": "edit", "version": 1, "connection": CONNECTION, "object": "contact", "edits": edits
        });
        let stack = &self.world.stack;
        stack
            .send("writeback", CONNECTION, &message.to_string())
            .await
    }

    async fn edit(&self, hand: &Hand) -> Result<()> {
        for object in ["contact", "task"] {
            let edits: Vec<Value> = hand
                .edits
                .iter()
                .filter(|edit| edit.object == object)
                .map(super::hand::Edit::body)
                .collect();
            for some in edits.chunks(AT_ONCE) {
                let path = format!("/api/connections/{CONNECTION}/{object}/edits");
                let answer = self
                    .insist(Method::POST, &path, Some(&json!({ "edits": some })))
                    .await?;
                let refused = answer["answers"].as_array().into_iter().flatten();
                let refused: Vec<_> = refused.filter(|one| one["status"] != 202).collect();
                ensure!(refused.is_empty(), "edits are refused: {refused:?}");
            }
        }
        Ok(())
    }

    /// Lets the schedule start runs of a kind until one that is newer than `latest` is complete.
    async fn sync(&mut self, kind: &str, mut latest: Option<String>) -> Result<()> {
        let deadline = Instant::now() + BUDGET;
        let mut trouble = None;
        while Instant::now() < deadline {
            let newest = self.latest(kind).await?;
            let Some(run) = newest.filter(|run| Some(run) > latest.as_ref()) else {
                trouble = self.come_due(kind).await?.err();
                continue;
            };
            if self.completes(&run, deadline).await? {
                return Ok(());
            }
            self.forgotten += 1;
            self.give_up(&run).await?;
            latest = Some(run);
        }
        bail!("no {kind} run starts and completes within {BUDGET:?}: {trouble:?}")
    }

    /// Waits for a run's end; false when nobody works on it any more.
    async fn completes(&self, run: &str, deadline: Instant) -> Result<bool> {
        let path = format!("/api/connections/{CONNECTION}/runs/{run}");
        let (mut still, mut seen) = (0, Value::Null);
        while Instant::now() < deadline {
            let state = self.insist(Method::GET, &path, None).await?;
            match state["status"].as_str() {
                Some("complete") => return Ok(true),
                Some("running") => {}
                _ => bail!("run {run} ended otherwise: {state}"),
            }
            still = match state == seen && self.world.stack.is_empty().await? {
                true => still + 1,
                false => 0,
            };
            if still == STANDSTILLS {
                return Ok(false);
            }
            seen = state;
            tokio::time::sleep(AGAIN).await;
        }
        bail!("run {run} does not end: {seen}")
    }

    /// The latest run of a kind.
    async fn latest(&self, kind: &str) -> Result<Option<String>> {
        let path = format!("/api/connections/{CONNECTION}/runs?limit=50");
        let runs = self.insist(Method::GET, &path, None).await?;
        let runs = runs["items"].as_array().into_iter().flatten();
        let mut of_kind = runs.filter(|run| run["kind"] == kind);
        Ok(of_kind
            .next()
            .and_then(|run| run["id"].as_str().map(str::to_owned)))
    }

    /// Lets somebody start a run: a full sync by hand, a routine sync by the poller when its time has come. That it fails is its own answer.
    async fn come_due(&self, kind: &str) -> Result<Result<()>> {
        if kind == "full" {
            // The planner's own messages wait for the connection's moment in the quarter of an hour.
            let started = self.world.console.start_run(CONNECTION, kind).await;
            return Ok(started.map(drop));
        }
        let past = TOO_LONG_AGO.parse::<jiff::Timestamp>()?;
        self.amend(
            json!({ "pk": { "S": "connection" }, "sk": { "S": CONNECTION } }),
            &[
                (&format!("{kind}_due"), json!({ "S": TOO_LONG_AGO })),
                (
                    &format!("{kind}_due_at"),
                    json!({ "N": past.as_second().to_string() }),
                ),
            ],
        )
        .await?;
        let looked = self.world.stack.invoke("poller", &json!({})).await;
        Ok(looked.map(drop))
    }

    /// Lets the time pass after which a full sync that nobody works on is given up.
    async fn give_up(&self, run: &str) -> Result<()> {
        let key = json!({
            "pk": { "S": format!("c#{CONNECTION}") }, "sk": { "S": format!("run#{run}") }
        });
        self.amend(key, &[("started_at", json!({ "S": TOO_LONG_AGO }))])
            .await
    }

    /// Changes what a state item says about times.
    async fn amend(&self, key: Value, values: &[(&str, Value)]) -> Result<()> {
        let set: Vec<String> = (0..values.len())
            .map(|at| format!("#{at} = :{at}"))
            .collect();
        let numbered = |sign: &str, of: &dyn Fn(&(&str, Value)) -> Value| -> Value {
            let pairs = values.iter().enumerate();
            let pairs = pairs.map(|(at, value)| (format!("{sign}{at}"), of(value)));
            Value::Object(pairs.collect())
        };
        let update = json!({
            "TableName": self.world.stack.tables().state,
            "Key": key,
            "ConditionExpression": "attribute_exists(pk)",
            "UpdateExpression": format!("SET {}", set.join(", ")),
            "ExpressionAttributeNames": numbered("#", &|(name, _)| json!(name)),
            "ExpressionAttributeValues": numbered(":", &|(_, value)| value.clone()),
        });
        let client = self.world.stack.client();
        client
            .json("dynamodb", "DynamoDB_20120810.UpdateItem", &update)
            .await?;
        Ok(())
    }

    /// Asks the console until it does as told. What it refuses it refuses for good.
    async fn insist(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let deadline = Instant::now() + BUDGET;
        loop {
            let trouble = match self.world.console.ask(method.clone(), path, body).await {
                Ok(answer) if (200..300).contains(&answer.status) => return Ok(answer.body),
                Ok(answer) if (400..500).contains(&answer.status) => {
                    bail!(
                        "{method} {path} answered {}: {}",
                        answer.status,
                        answer.body
                    )
                }
                Ok(answer) => format!("{}: {}", answer.status, answer.body),
                Err(error) => format!("{error:#}"),
            };
            ensure!(
                Instant::now() < deadline,
                "{method} {path} does not work: {trouble}"
            );
            tokio::time::sleep(AGAIN).await;
        }
    }
}

/// Sends a queue's dead letters again, by the console, and says how many.
pub(super) async fn redrive(world: &World, queue: &str) -> Result<u64> {
    if world.stack.dead_letters(queue).await? == 0 {
        return Ok(0);
    }
    let path = format!("/api/dead-letters/{queue}/redrive");
    let moved = world.console.post(&path, &json!({})).await?;
    moved["moved"]
        .as_u64()
        .with_context(|| format!("{path} does not say what it moved: {moved}"))
}
