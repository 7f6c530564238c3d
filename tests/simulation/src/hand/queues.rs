//! Messages: delivered in any order, twice, late, again after a failure, and once more when they are long done.

use anyhow::{Context as _, Result};
use jiff::SignedDuration;
use tandem::flow::job::Deadline;
use tandem::flow::writeback::Received;
use tandem::flow::{Error, poll, runs, work, writeback};
use tandem::identifier::ConnectionId;
use tandem::message::{Letter, Work, Writeback};
use tandem::port::Due;
use tandem::run::RunKind;
use tandem_memory::Held;

use super::Hand;
use crate::crew::{Came, INVOCATION};
use crate::dice::Dice;

impl Hand<'_> {
    /// How far a function's clock is off.
    pub(super) fn off(dice: &mut Dice) -> SignedDuration {
        match dice.once_in(2) {
            true => SignedDuration::ZERO,
            false => SignedDuration::from_millis(dice.between(-1_500, 1_500)),
        }
    }

    pub(super) fn deadline(&self, dice: &mut Dice) -> Deadline {
        // Some functions have hardly any time, and hand over after every page.
        let time = match dice.once_in(8) {
            true => SignedDuration::from_secs(50),
            false => INVOCATION,
        };
        Deadline(self.scene.world.now() + time)
    }

    pub(super) fn start(
        &mut self,
        name: String,
        side: Option<usize>,
        process: impl Future<Output = Came> + 'static,
    ) {
        let recorder = self.recorder();
        let named = (name, side);
        self.crew
            .start(&self.scene.world, &recorder, named, process);
    }

    fn side_of(&self, connection: &ConnectionId) -> Option<usize> {
        let mut sides = self.scene.sides.iter();
        sides.position(|side| side.story.id == *connection)
    }

    pub(super) fn ticks(&mut self, dice: &mut Dice) -> bool {
        let deadline = self.deadline(dice);
        self.tick(Due::Routine, deadline, dice);
        true
    }

    /// The planner ticks, or a person starts a full sync.
    pub(super) fn starts_night(&mut self, dice: &mut Dice) -> bool {
        match dice.once_in(2) {
            true => {
                let deadline = self.deadline(dice);
                self.tick(Due::Full, deadline, dice);
            }
            false => {
                let side = self.side(dice);
                self.night(side, dice);
            }
        }
        true
    }

    /// The poller ticks with all the time that it has. One with less may leave everything to the next.
    pub(crate) fn ticks_in_peace(&mut self, dice: &mut Dice) {
        let deadline = Deadline(self.scene.world.now() + INVOCATION);
        self.tick(Due::Routine, deadline, dice);
    }

    fn tick(&mut self, due: Due, deadline: Deadline, dice: &mut Dice) {
        let ports = self.scene.ports(Self::off(dice));
        let name = match due {
            Due::Routine => "a tick of the poller",
            Due::Full => "a tick of the planner",
        };
        self.start(name.to_owned(), None, async move {
            let ticked = poll::tick(&ports, due, deadline).await;
            Came::Ticked(due, ticked)
        });
    }

    /// A full sync of a connection starts.
    pub(crate) fn night(&mut self, side: usize, dice: &mut Dice) {
        self.starts_run(side, RunKind::Full, dice);
    }

    /// A sync of a connection starts.
    pub(super) fn starts_run(&mut self, side: usize, kind: RunKind, dice: &mut Dice) {
        let connection = self.at(side).story.connection();
        let ports = self.scene.ports(Self::off(dice));
        let named = match kind {
            RunKind::Routine => "routine",
            RunKind::Full => "full",
        };
        let name = format!("the start of a {named} sync of {connection}");
        self.start(name, Some(side), async move {
            Came::Started(runs::start(&ports, &connection, kind).await)
        });
    }

    /// A message of those that wait goes to its function, as the text that it is on the queue.
    pub(crate) fn delivers(&mut self, dice: &mut Dice) -> Result<bool> {
        let queue = self.scene.world.queue.clone();
        let (works, edits) = (queue.work.ready(), queue.writeback.ready());
        let place = dice.below(works + edits);
        let hidden = SignedDuration::from_secs(dice.between(60, 400));
        let (ports, deadline) = (self.scene.ports(Self::off(dice)), self.deadline(dice));
        if place < works {
            let Some(held) = queue.work.receive_at(place, hidden) else {
                return Ok(false);
            };
            self.note_again(held.taken);
            if self.scene.acknowledges_at_once() {
                queue.work.acknowledge(&held);
            }
            let body = serde_json::to_string(&held.message)?;
            let Letter::Work(message) = Letter::to_worker(&body) else {
                anyhow::bail!("no worker can read {body}");
            };
            let side = self.side_of(message.connection());
            self.start(format!("{} with {body}", held.id), side, async move {
                let worked = work::handle(&ports, &message, deadline).await;
                Came::Worked(held, worked)
            });
            return Ok(true);
        }
        let Some(first) = queue.writeback.receive_at(place - works, hidden) else {
            return Ok(false);
        };
        // Messages of one connection and object go together, as many as the batch has of them.
        let mut group = vec![first];
        let kin = |held: &Held<Writeback>| {
            held.message.connection() == group[0].message.connection()
                && held.message.object() == group[0].message.object()
        };
        let more: Vec<usize> = queue
            .writeback
            .receivable()
            .iter()
            .enumerate()
            .filter(|(_, held)| kin(held))
            .map(|(place, _)| place)
            .collect();
        let most = dice.below(4);
        for place in more.into_iter().take(most).rev() {
            group.extend(queue.writeback.receive_at(place, hidden));
        }
        let mut received = Vec::new();
        let mut names = Vec::new();
        for held in &group {
            self.note_again(held.taken);
            if self.scene.acknowledges_at_once() {
                queue.writeback.acknowledge(held);
            }
            let body = serde_json::to_string(&held.message)?;
            let Letter::Writeback(message) = Letter::to_writeback(&body) else {
                anyhow::bail!("writeback can't read {body}");
            };
            names.push(format!("{} with {body}", held.id));
            received.push(Received {
                message,
                sent_at: held.told_sent_at(),
            });
        }
        let connection = group[0].message.connection().clone();
        let side = self.side_of(&connection);
        self.start(names.join(" and "), side, async move {
            let wrote = writeback::handle(&ports, &connection, &received, deadline).await;
            Came::Wrote(group, wrote)
        });
        Ok(true)
    }

    fn note_again(&mut self, taken: u32) {
        if taken > 1 {
            self.reached
                .count("a message came while its handler was at it");
        }
    }

    /// A message is on its queue twice.
    pub(super) fn duplicates(&mut self, dice: &mut Dice) -> bool {
        let queue = &self.scene.world.queue;
        let (works, edits) = (queue.work.ready(), queue.writeback.ready());
        let place = dice.below(works + edits);
        match place < works {
            true => queue.work.duplicate(place),
            false => queue.writeback.duplicate(place - works),
        }
    }

    /// A message has been delivered as often as one may be.
    pub(super) fn wears_out(&mut self, dice: &mut Dice) -> bool {
        let queue = &self.scene.world.queue;
        let (works, edits) = (queue.work.ready(), queue.writeback.ready());
        let place = dice.below(works + edits);
        match place < works {
            true => queue.work.wear_out(place),
            false => queue.writeback.wear_out(place - works),
        }
    }

    /// A message that was done long ago comes once more.
    pub(super) fn sends_old(&mut self, dice: &mut Dice) -> bool {
        let (works, edits) = (&self.old.0, &self.old.1);
        let place = dice.below(works.len() + edits.len());
        let queue = &self.scene.world.queue;
        match (
            works.get(place),
            edits.get(place.saturating_sub(works.len())),
        ) {
            (Some(work), _) => queue.work.send([work.clone()]),
            (None, Some(edit)) => queue.writeback.send([edit.clone()]),
            (None, None) => return false,
        }
        true
    }

    pub(super) fn worked(&mut self, held: &Held<Work>, result: Result<(), Error>) {
        match result {
            Ok(()) => {
                self.scene.world.queue.work.acknowledge(held);
                self.old.0.push(held.message.clone());
            }
            Err(error) => {
                self.reached.failed(&error);
                let delay = error.disposition().redelivered_after(held.taken);
                self.scene.world.queue.work.come_again(held, delay);
                self.note_failed(format!("{:?}: {error:?}", held.message), &held.id);
            }
        }
    }

    pub(super) fn wrote(&mut self, group: &[Held<Writeback>], result: Result<(), Error>) {
        if let Err(error) = &result {
            self.reached.failed(error);
        }
        for held in group {
            match &result {
                Ok(()) => {
                    self.scene.world.queue.writeback.acknowledge(held);
                    // An edit's age is its message's, so a copy of it would be another edit.
                    if !matches!(held.message, Writeback::Edit { .. }) {
                        self.old.1.push(held.message.clone());
                    }
                }
                Err(error) => {
                    let delay = error.disposition().redelivered_after(held.taken);
                    self.scene.world.queue.writeback.come_again(held, delay);
                    self.note_failed(format!("{:?}: {error:?}", held.message), &held.id);
                }
            }
        }
    }

    fn note_failed(&mut self, what: String, id: &str) {
        self.reached.count("a message came again after a failure");
        *self.failed.entry(format!("{id} {what}")).or_default() += 1;
    }

    /// Delivers and goes on until nothing waits and nobody is at it, several handlers at once. Dead letters are sent again.
    pub(crate) async fn drain(&mut self, dice: &mut Dice) -> Result<()> {
        for _ in 0..200_000 {
            if let Some(message) = self.never_heals() {
                anyhow::bail!("a message never heals: {message}");
            }
            let queue = self.scene.world.queue.clone();
            let ready = queue.work.ready() + queue.writeback.ready();
            if ready > 0 && self.crew.len() < 3 && (self.crew.len() == 0 || dice.once_in(6)) {
                self.delivers(dice)?;
            } else if self.crew.len() > 0 {
                let place = dice.below(self.crew.len());
                self.turn(place, dice)?;
            } else if let Some(next) = queue
                .work
                .next_at()
                .into_iter()
                .chain(queue.writeback.next_at())
                .min()
            {
                let now = self.scene.world.now();
                self.pass(next.duration_since(now));
            } else if !self.redrives().await? {
                return Ok(());
            }
        }
        Err(anyhow::anyhow!("something is always left to do")).context("draining")
    }

    /// Lets whoever is at it come to an end.
    pub(crate) fn comes_to_rest(&mut self, dice: &mut Dice) -> Result<()> {
        while self.crew.len() > 0 {
            let place = dice.below(self.crew.len());
            self.turn(place, dice)?;
        }
        Ok(())
    }

    /// A person sends dead letters again; false when there are none.
    async fn redrives(&mut self) -> Result<bool> {
        let mut moved = 0;
        for queue in tandem::port::QueueName::ALL {
            let redriven = tandem::port::Queue::redrive(&*self.scene.world.queue, queue).await?;
            moved += redriven.moved;
        }
        Ok(moved > 0)
    }
}
