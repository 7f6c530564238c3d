//! What operators and administrators do to connections.

use anyhow::{Context as _, Result, ensure};
use jiff::SignedDuration;
use tandem::connection::{Connection, Status};
use tandem::credit::{self, Bucket, Spender, Spent};
use tandem::flow::removal;
use tandem::object::Object;
use tandem::port::{Connections as _, Coordination as _};

use super::Hand;
use crate::crew::Came;
use crate::dice::Dice;

impl Hand<'_> {
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
    pub(crate) async fn switches_all_on(&mut self, dice: &mut Dice) -> Result<()> {
        // The lease of a function that was killed runs out.
        self.pass(SignedDuration::from_mins(2));
        for side in 0..self.scene.sides.len() {
            self.grants(side, dice);
            self.comes_to_rest(dice)?;
            let id = self.at(side).story.connection();
            let connection = self.scene.world.store.connection(&id).await?;
            let status = connection.context("no connection")?.status;
            ensure!(
                matches!(status, Status::Enabled | Status::Paused),
                "C1: {id} is {status:?}, although its customer connected it again"
            );
            if status == Status::Paused {
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
        let percents = [79, 90, 97, 100];
        let percent = dice.pick(&percents).copied().unwrap_or(100);
        let store = &self.scene.world.store;
        let connection = store.connection(&id).await?.context("no connection")?;
        let organisation = connection.organisation.context("no organisation")?;
        let settings = store.settings(&id).await?.settings;
        let ceiling = credit::ceiling(organisation.daily_credits, settings.credit_share);
        let credits = ceiling * percent / 100;
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
