//! The storm: what strikes while the tale is told.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use jiff::SignedDuration;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tandem_local::{FUNCTIONS, Odds, QUEUES, Turbulence, World};

use super::tale::redrive;
use crate::{CONNECTION, text};

/// How many of a thousand requests to Zoho fail.
const ZOHO_FAILURES: u32 = 150;

/// How often a message is doubled, counted by what it says: one that is doubled for as long as it waits would never be worked off.
const DOUBLED_AT_MOST: u32 = 4;

/// How long Zoho takes to answer, so that functions also die while they wait.
const ZOHO_DELAY_MS: u64 = 20;

/// By what the names of leases begin with: how long production lets each be held, and for how long a holder must not have renewed it here to
/// count as dead. That is far more than a call to Zoho takes here, as it is there.
const LEASES: [(&str, SignedDuration, SignedDuration); 4] = [
    (
        "seat#",
        SignedDuration::from_secs(120),
        SignedDuration::from_secs(3),
    ),
    (
        "create#",
        SignedDuration::from_secs(90),
        SignedDuration::from_secs(8),
    ),
    (
        "calculate",
        SignedDuration::from_secs(90),
        SignedDuration::from_secs(8),
    ),
    (
        "token",
        SignedDuration::from_secs(90),
        SignedDuration::from_secs(8),
    ),
];

/// How often somebody looks for leases of the dead and for dead letters.
const LOOKED_FOR_EVERY: Duration = Duration::from_secs(1);

/// How often Zoho forgets the access tokens that it has seen.
const FORGOTTEN_EVERY: Duration = Duration::from_secs(4);

/// What a storm did.
#[derive(Clone, Debug, Default)]
pub struct Struck {
    /// Calls to AWS by what befell them and who made them.
    pub calls: BTreeMap<String, u64>,
    /// Requests to Zoho.
    pub zoho: u64,
    /// Processes killed at any moment, by function.
    pub killed: BTreeMap<String, u64>,
    /// Messages sent twice.
    pub doubled: u64,
    /// Dead letters sent again.
    pub redriven: u64,
    /// How often Zoho forgot the access tokens early.
    pub expired: u64,
}

/// A storm over a world.
pub(super) struct Storm<'a> {
    turbulence: &'a Turbulence,
    world: &'a World,
    seed: u64,
}

impl<'a> Storm<'a> {
    pub(super) fn rise(turbulence: &'a Turbulence, world: &'a World, seed: u64) -> Result<Self> {
        let odds = Odds {
            seed,
            failures: 15,
            kills: 5,
            kills_of_planners: 60,
        };
        turbulence.storm(&world.stack, odds);
        let mut zoho = world.zoho()?.zoho();
        zoho.faults.storm(seed, ZOHO_FAILURES);
        zoho.faults.delay_ms = ZOHO_DELAY_MS;
        // Tokens are renewed more often here than Zoho lets anybody in ten minutes, and the tale is at its end before those have passed.
        zoho.oauth.settings.limits = false;
        Ok(Self {
            turbulence,
            world,
            seed,
        })
    }

    /// Rages until it is dropped: doubles messages, kills processes, sends dead letters again, and lets the leases of the dead run out.
    pub(super) async fn rage(&self, struck: &mut Struck) -> Result<Infallible> {
        let mut random = StdRng::seed_from_u64(self.seed);
        let (mut looked, mut forgot) = (Instant::now(), Instant::now());
        let mut doubled = BTreeMap::new();
        loop {
            tokio::time::sleep(Duration::from_millis(random.random_range(50..250))).await;
            match random.random_range(0..5) {
                0 => {
                    let function = FUNCTIONS[random.random_range(0..FUNCTIONS.len())];
                    let killed = self.world.stack.kill_function(function).await?;
                    if killed > 0 {
                        *struck.killed.entry(function.to_owned()).or_default() += killed as u64;
                    }
                }
                1 | 2 => struck.doubled += self.double(&mut random, &mut doubled).await?,
                _ => {}
            }
            if looked.elapsed() > LOOKED_FOR_EVERY {
                for queue in QUEUES {
                    // The console dies like all others.
                    struck.redriven += redrive(self.world, queue).await.unwrap_or_default();
                }
                free_leases(self.world).await?;
                looked = Instant::now();
            }
            if forgot.elapsed() > FORGOTTEN_EVERY {
                struck.expired += u64::from(self.expire_tokens()?);
                forgot = Instant::now();
            }
        }
    }

    /// Sends a message of any queue once more. Edits come twice only as the queue itself delivers them: another message is another edit.
    async fn double(
        &self,
        random: &mut StdRng,
        doubled: &mut BTreeMap<String, u32>,
    ) -> Result<u64> {
        let stack = &self.world.stack;
        let mut messages = Vec::new();
        for (queue, body) in stack.all_bodies().await? {
            let kind = serde_json::from_str::<Value>(&body)?["kind"].clone();
            let often = doubled.get(&body).copied().unwrap_or_default();
            if kind != "edit" && often < DOUBLED_AT_MOST {
                messages.push((queue, body));
            }
        }
        if messages.is_empty() {
            return Ok(0);
        }
        let (queue, body) = messages.swap_remove(random.random_range(0..messages.len()));
        stack.send(&queue, CONNECTION, &body).await?;
        *doubled.entry(body).or_default() += 1;
        Ok(1)
    }

    /// Lets Zoho forget the access tokens; false when there is none.
    fn expire_tokens(&self) -> Result<bool> {
        let mut zoho = self.world.zoho()?.zoho();
        let organisation = zoho.organisations().next().context("no organisation")?.id;
        Ok(zoho.oauth.forget_used(organisation) > 0)
    }

    /// Lets it pass.
    pub(super) fn end(self, struck: &mut Struck) -> Result<()> {
        struck.calls = self.turbulence.calm();
        let mut zoho = self.world.zoho()?.zoho();
        struck.zoho = zoho.faults.struck();
        zoho.faults.clear();
        Ok(())
    }
}

/// Lets what the dead left behind run out, until it is dropped.
pub(super) async fn aftermath(world: &World) -> Result<Infallible> {
    loop {
        free_leases(world).await?;
        tokio::time::sleep(LOOKED_FOR_EVERY).await;
    }
}

/// Lets leases run out that were not renewed for so long that their holders count as dead. Whoever is alive and held one takes it again.
async fn free_leases(world: &World) -> Result<()> {
    let now = world.zoho()?.now();
    let stack = &world.stack;
    let table = &stack.tables().state;
    for item in stack.table_items(table).await? {
        let (pk, sk) = (text(&item, "pk")?, text(&item, "sk")?);
        let name = sk.strip_prefix("lease#");
        let kind = name.and_then(|name| LEASES.iter().find(|(kind, ..)| name.starts_with(kind)));
        let until = item.get("until").and_then(Value::as_i64);
        let (Some((_, leased, held)), Some(until)) = (kind, until) else {
            continue;
        };
        if i128::from(until) > (now + *leased - *held).as_nanosecond() {
            continue;
        }
        let delete = json!({
            "TableName": table,
            "Key": { "pk": { "S": pk }, "sk": { "S": sk } },
            "ConditionExpression": "#until = :until",
            "ExpressionAttributeNames": { "#until": "until" },
            "ExpressionAttributeValues": { ":until": { "N": until.to_string() } },
        });
        let client = stack.client();
        let deleted = client
            .json("dynamodb", "DynamoDB_20120810.DeleteItem", &delete)
            .await;
        if let Err(error) = deleted {
            let renewed = format!("{error:#}").contains("ConditionalCheckFailed");
            ensure!(renewed, "{error:#}");
        }
    }
    Ok(())
}
