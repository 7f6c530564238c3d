//! What operators and administrators do to connections.

use anyhow::{Context as _, Result, ensure};
use jiff::SignedDuration;
use tandem::connection::{Connection, Status};
use tandem::credit::{self, Bucket, Spender, Spent};
use tandem::flow::removal;
use tandem::object::Object;
use tandem::port::{Connections as _, Coordination as _, Vault as _};
use tandem::secret::{Secret, Tokens};

use super::Hand;
use crate::crew::Came;
use crate::dice::Dice;

impl Hand<'_> {
    /// The customer grants access again: newer tokens, and a connection that was switched on goes on. Not while a function renews the tokens.
    pub(crate) async fn reconnects(&mut self, side: usize) -> Result<bool> {
        let world = self.scene.world.clone();
        let side = self.at(side);
        let id = side.story.connection();
        let (now, holder) = (world.now(), "the customer");
        let until = now.checked_add(SignedDuration::from_secs(90))?;
        if !world.store.lease(&id, "token", holder, now, until).await? {
            return Ok(false);
        }
        let (access, refresh) = side.story.issue(&side.spec)?;
        let before = world.vault.tokens(&id).await?;
        let tokens = Tokens {
            refresh: Secret::new(refresh),
            access: Secret::new(access),
            expires_at: world.now().checked_add(SignedDuration::from_hours(1))?,
            generation: before.map_or(1, |tokens| tokens.generation + 1),
        };
        world.vault.keep_tokens(&id, &tokens).await?;
        world.store.release(&id, "token", holder).await?;
        let connection = world
            .store
            .connection(&id)
            .await?
            .context("no connection")?;
        if connection.status == Status::NeedsReconnect {
            let status = match connection.routine_due_at {
                Some(_) => Status::Enabled,
                None => Status::Paused,
            };
            let again = Connection {
                status,
                reason: None,
                ..connection
            };
            world.store.save_connection(again).await?;
        }
        Ok(true)
    }

    /// A paused connection is switched on again, an enabled one is paused.
    pub(crate) async fn pauses(&mut self, side: usize) -> Result<bool> {
        let world = &self.scene.world;
        let id = self.at(side).story.connection();
        let connection = world
            .store
            .connection(&id)
            .await?
            .context("no connection")?;
        let now = world.now();
        let changed = match connection.status {
            Status::Enabled => Connection {
                status: Status::Paused,
                routine_due_at: None,
                full_due_at: None,
                ..connection
            },
            Status::Paused => Connection {
                status: Status::Enabled,
                routine_due_at: Some(now),
                full_due_at: Some(connection.next_night(now, 2)),
                ..connection
            },
            Status::New
            | Status::NeedsReconnect
            | Status::Disconnected
            | Status::Purging
            | Status::Purged => return Ok(false),
        };
        world.store.save_connection(changed).await?;
        Ok(true)
    }

    /// Everybody is connected and switched on.
    pub(crate) async fn switches_all_on(&mut self) -> Result<()> {
        // The lease of a function that was killed runs out.
        self.pass(SignedDuration::from_mins(2));
        for side in 0..self.scene.sides.len() {
            let reconnected = self.reconnects(side).await?;
            ensure!(reconnected, "somebody renews tokens for ever");
            let id = self.at(side).story.connection();
            let connection = self.scene.world.store.connection(&id).await?;
            if connection.is_some_and(|connection| connection.status == Status::Paused) {
                self.pauses(side).await?;
            }
        }
        Ok(())
    }

    /// A person says yes or no to a held removal.
    pub(super) fn decides(&mut self, dice: &mut Dice) -> bool {
        let side = self.side(dice);
        let held = self.held(side);
        let Some(object) = dice.pick(&held).copied() else {
            return false;
        };
        let yes = !dice.once_in(3);
        self.decide(side, object, yes, dice);
        true
    }

    /// The objects of which removals are held.
    pub(crate) fn held(&self, side: usize) -> Vec<Object> {
        let id = self.at(side).story.connection();
        let candidates = self.scene.world.store.all_candidates(&id);
        let held = candidates.iter().filter(|candidate| candidate.held);
        let mut objects: Vec<Object> = held.map(|candidate| candidate.object).collect();
        objects.dedup();
        objects
    }

    pub(crate) fn decide(&mut self, side: usize, object: Object, yes: bool, dice: &mut Dice) {
        let id = self.at(side).story.connection();
        let (ports, deadline) = (self.scene.ports(Self::off(dice)), self.deadline(dice));
        if yes {
            let candidates = self.scene.world.store.all_candidates(&id).into_iter();
            let of_object = candidates.filter(|candidate| candidate.object == object);
            let approved = of_object.map(|candidate| (object, candidate.run));
            self.scene.sides[side].past.approved.extend(approved);
        }
        let word = if yes { "yes" } else { "no" };
        self.reached.count(match yes {
            true => "R2: a held removal was approved",
            false => "R2: a held removal was rejected",
        });
        let name = format!("a person says {word} to the removal of {object}s of {id}");
        self.start(name, Some(side), async move {
            Came::Operated(match yes {
                true => removal::approve(&ports, &id, object, deadline)
                    .await
                    .map(drop),
                false => removal::reject(&ports, &id, object).await.map(drop),
            })
        });
    }

    /// Something spends most of what the connection may spend in a day.
    pub(super) async fn spends(&mut self, side: usize, dice: &mut Dice) -> Result<bool> {
        let id = self.at(side).story.connection();
        let now = self.scene.world.now();
        let shares = [0.79, 0.9, 0.97, 1.0];
        let share = dice.pick(&shares).copied().unwrap_or(1.0);
        let credits = (45_000.0 * share) as u64;
        let store = &self.scene.world.store;
        let hours = store.credits_spent(&id, Bucket::day_before(now)).await?;
        let more = credits.saturating_sub(credit::spent(&hours).total());
        let spent = Spent {
            spender: Spender::Person,
            credits: more,
            word: None,
        };
        store.spend_credits(&id, Bucket::of(now), spent).await?;
        self.scene.sides[side].past.spent += more;
        Ok(more > 0)
    }
}
