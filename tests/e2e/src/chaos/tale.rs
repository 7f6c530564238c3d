//! The tale of both worlds: a first full sync, changes on both sides, a routine sync, a night. Whoever acts tries again until it worked.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use http::Method;
use serde_json::{Value, json};
use tandem_local::{QUEUES, World};

use super::hand::Hand;
use crate::{BUDGET, CONNECTION, connect};

/// How long until somebody tries again.
const AGAIN: Duration = Duration::from_millis(200);

/// How many edits go to the console at once: fewer get through in a storm more often.
const AT_ONCE: usize = 6;

/// Before the night in which a full sync is due.
const LONG_AGO: &str = "2020-01-01T00:00:00Z";

/// How often a run is seen to stand still, and no message to be about it, before nobody works on it any more.
const STANDSTILLS: u32 = 10;

/// A seed's tale in one world.
pub(super) struct Tale<'a> {
    world: &'a World,
    seed: u64,
    hand: Option<Hand>,
    /// How many runs nobody worked on, because whoever started them died before sending their messages.
    forgotten: u64,
}

/// What became of a run.
enum Became {
    /// It is complete.
    Complete,
    /// No message is about it any more. So it is, as it was seen last.
    Forgotten(Value),
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

    /// The night's full sync.
    pub(super) async fn night(&mut self) -> Result<()> {
        let latest = self.latest("full").await?;
        if let Some(run) = &latest {
            self.lay_back(run).await?;
        }
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
        let (mut ticked, mut sent_again) = (Value::Null, None);
        while Instant::now() < deadline {
            let newest = self.latest(kind).await?;
            let Some(run) = newest.filter(|run| Some(run) > latest.as_ref()) else {
                ticked = self.tick(kind).await?;
                continue;
            };
            let Became::Forgotten(state) = self.await_end(&run, deadline).await? else {
                return Ok(());
            };
            if kind == "routine" {
                // The next one reads what this one would have.
                self.forgotten += 1;
                latest = Some(run);
                continue;
            }
            ensure!(
                sent_again.as_ref() != Some(&run),
                "the planner sent run {run} again, and nobody works on it: {state}"
            );
            let begun = state["slices"].as_array().into_iter().flatten();
            let begun: Vec<_> = begun.filter(|slice| slice["done"] == true).collect();
            ensure!(begun.is_empty(), "run {run} lost its messages: {state}");
            ticked = self.tick(kind).await?;
            if ticked["started"] == 1 {
                self.forgotten += 1;
                sent_again = Some(run);
            }
        }
        bail!("no {kind} run starts and completes within {BUDGET:?}: {ticked}")
    }

    /// Waits until a run has ended or nobody works on it.
    async fn await_end(&self, run: &str, deadline: Instant) -> Result<Became> {
        let path = format!("/api/connections/{CONNECTION}/runs/{run}");
        let (mut still, mut seen) = (0, Value::Null);
        while Instant::now() < deadline {
            let state = self.insist(Method::GET, &path, None).await?;
            match state["status"].as_str() {
                Some("complete") => return Ok(Became::Complete),
                Some("running") => {}
                _ => bail!("run {run} ended otherwise: {state}"),
            }
            still = match state == seen && !self.world.stack.holds(run).await? {
                true => still + 1,
                false => 0,
            };
            if still == STANDSTILLS {
                return Ok(Became::Forgotten(state));
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

    /// Lets the connection's sync come due and the schedule look for it. Says what the tick did, or why it failed.
    async fn tick(&self, kind: &str) -> Result<Value> {
        let now = self.world.zoho()?.now();
        self.amend(
            json!({ "pk": { "S": "connection" }, "sk": { "S": CONNECTION } }),
            &[
                (&format!("{kind}_due"), json!({ "S": now.to_string() })),
                (
                    &format!("{kind}_due_at"),
                    json!({ "N": now.as_second().to_string() }),
                ),
            ],
        )
        .await?;
        let scheduled = match kind {
            "full" => "full-sync",
            _ => "poller",
        };
        let ticked = self.world.stack.invoke(scheduled, &json!({})).await;
        Ok(ticked.unwrap_or_else(|error| json!(format!("{error:#}"))))
    }

    /// Makes a full sync one of an earlier night, so that the planner starts another.
    async fn lay_back(&self, run: &str) -> Result<()> {
        let key = json!({
            "pk": { "S": format!("c#{CONNECTION}") }, "sk": { "S": format!("run#{run}") }
        });
        self.amend(key, &[("started_at", json!({ "S": LONG_AGO }))])
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
