//! Queues whose messages a test takes in any order, twice, or never.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tandem::identifier::ConnectionId;
use tandem::message::{self, Letter, Work, Writeback};
use tandem::port::{
    Clock as _, DeadLetter, DeadLetters, Delivery, Error, Queue, QueueName, Redriven,
};

use crate::lock::locked;
use crate::{ManualClock, SeededEntropy};

/// A message on a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held<M> {
    /// Its id; a copy made by [`Line::duplicate`] has one of its own, a message put back keeps its.
    pub id: String,
    /// How often it was taken.
    pub taken: u32,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// It arrives no earlier than that.
    pub ready_at: Timestamp,
    /// The message.
    pub message: M,
}

impl<M> Held<M> {
    /// When it was sent, as its receiver is told: to the millisecond, with what tells messages of one millisecond apart. One that is sent again
    /// says when it was first.
    #[must_use]
    pub fn told_sent_at(&self) -> Timestamp {
        let told = match self.sent_at.subsec_nanosecond() % 1_000_000 {
            0 => message::sent_at(&self.sent_at.as_millisecond().to_string(), &self.id, None),
            _ => None,
        };
        told.unwrap_or(self.sent_at)
    }
}

/// One queue, the message sent first at its head. Only messages whose time has come can be taken.
#[derive(Debug)]
pub struct Line<M> {
    clock: Arc<ManualClock>,
    state: Mutex<State<M>>,
}

#[derive(Debug)]
struct State<M> {
    name: &'static str,
    sent: u64,
    waiting: Vec<Held<M>>,
}

impl<M> State<M> {
    fn push(&mut self, message: M, sent_at: Timestamp, ready_at: Timestamp) {
        self.sent += 1;
        self.waiting.push(Held {
            id: format!("{}-{}", self.name, self.sent),
            taken: 0,
            sent_at,
            ready_at,
            message,
        });
    }

    fn ready(&self, now: Timestamp) -> impl Iterator<Item = (usize, &Held<M>)> {
        let waiting = self.waiting.iter().enumerate();
        waiting.filter(move |(_, held)| held.ready_at <= now)
    }
}

impl<M: Clone> Line<M> {
    fn new(name: &'static str, clock: Arc<ManualClock>) -> Self {
        let state = State {
            name,
            sent: 0,
            waiting: Vec::new(),
        };
        Self {
            clock,
            state: Mutex::new(state),
        }
    }

    /// Sends messages.
    pub fn send(&self, messages: impl IntoIterator<Item = M>) {
        self.send_later(messages, Duration::ZERO);
    }

    /// Sends messages that can be taken when the clock was moved on by `delay`.
    pub fn send_later(&self, messages: impl IntoIterator<Item = M>, delay: Duration) {
        let now = self.clock.now();
        let ready_at = now.saturating_add(delay).unwrap_or(Timestamp::MAX);
        let mut state = locked(&self.state);
        messages
            .into_iter()
            .for_each(|message| state.push(message, now, ready_at));
    }

    /// Takes the message at the head.
    pub fn take(&self) -> Option<Held<M>> {
        self.take_at(0)
    }

    /// Takes the message at a place among those whose time has come, 0 being the head.
    pub fn take_at(&self, place: usize) -> Option<Held<M>> {
        let now = self.clock.now();
        let mut state = locked(&self.state);
        let place = state.ready(now).nth(place)?.0;
        let mut held = state.waiting.remove(place);
        held.taken += 1;
        Some(held)
    }

    /// Receives the message at a place among those whose time has come, as a queue gives it out: it stays, hidden for a while, and comes again
    /// unless it is acknowledged.
    pub fn receive_at(&self, place: usize, hidden: SignedDuration) -> Option<Held<M>> {
        let now = self.clock.now();
        let mut state = locked(&self.state);
        let place = state.ready(now).nth(place)?.0;
        let held = state.waiting.get_mut(place)?;
        held.taken += 1;
        held.ready_at = now.saturating_add(hidden).unwrap_or(Timestamp::MAX);
        Some(held.clone())
    }

    /// Deletes a message that was received. One that was received again since stays: only its latest receipt counts.
    pub fn acknowledge(&self, held: &Held<M>) {
        let of_latest = |own: &Held<M>| own.id == held.id && own.taken == held.taken;
        locked(&self.state).waiting.retain(|own| !of_latest(own));
    }

    /// Lets a message that was received come again after a delay. One that was received again since comes in its own time.
    pub fn come_again(&self, held: &Held<M>, delay: Duration) {
        let now = self.clock.now();
        let mut state = locked(&self.state);
        let mut waiting = state.waiting.iter_mut();
        let own = waiting.find(|own| own.id == held.id && own.taken == held.taken);
        if let Some(own) = own {
            own.ready_at = now.saturating_add(delay).unwrap_or(Timestamp::MAX);
        }
    }

    fn take_out(&self, wanted: impl Fn(&Held<M>) -> bool) -> Vec<Held<M>> {
        let now = self.clock.now();
        let mut state = locked(&self.state);
        let (out, stay) = std::mem::take(&mut state.waiting)
            .into_iter()
            .partition(|held| held.ready_at <= now && wanted(held));
        state.waiting = stay;
        out
    }

    /// What can be received now, the head first.
    #[must_use]
    pub fn receivable(&self) -> Vec<Held<M>> {
        let state = locked(&self.state);
        let ready = state.ready(self.clock.now());
        ready.map(|(_, held)| held.clone()).collect()
    }

    /// Takes the first message that `wanted` picks.
    pub fn take_where(&self, wanted: impl Fn(&M) -> bool) -> Option<Held<M>> {
        let now = self.clock.now();
        let place = locked(&self.state)
            .ready(now)
            .position(|(_, held)| wanted(&held.message))?;
        self.take_at(place)
    }

    /// Takes any message: the seed decides.
    pub fn take_any(&self, entropy: &SeededEntropy) -> Option<Held<M>> {
        self.take_at(entropy.below(self.ready()))
    }

    /// Takes all messages whose time has come, the head first.
    pub fn take_all(&self) -> Vec<Held<M>> {
        std::iter::from_fn(|| self.take()).collect()
    }

    /// Puts a message back that was taken and failed; it comes last.
    pub fn put_back(&self, held: Held<M>) {
        locked(&self.state).waiting.push(held);
    }

    /// Delivers the message at a place once more, as a message of its own; it comes last. False when there is none.
    pub fn duplicate(&self, place: usize) -> bool {
        let now = self.clock.now();
        let mut state = locked(&self.state);
        let copy = state.ready(now).nth(place);
        let copy = copy.map(|(_, held)| (held.message.clone(), held.sent_at));
        let found = copy.is_some();
        copy.into_iter()
            .for_each(|(message, sent_at)| state.push(message, sent_at, now));
        found
    }

    /// Lets the message at a place be one that was delivered as often as a message may be. False when there is none.
    pub fn wear_out(&self, place: usize) -> bool {
        let now = self.clock.now();
        let mut state = locked(&self.state);
        let mut ready = state.waiting.iter_mut().filter(|held| held.ready_at <= now);
        let worn = ready.nth(place);
        worn.map(|held| held.taken = DELIVERIES).is_some()
    }

    /// Loses the message at a place among those whose time has come.
    pub fn lose(&self, place: usize) -> Option<M> {
        self.take_at(place).map(|held| held.message)
    }

    /// Loses all messages.
    pub fn clear(&self) {
        locked(&self.state).waiting.clear();
    }

    /// Puts the messages into an order that the seed decides.
    pub fn shuffle(&self, entropy: &SeededEntropy) {
        let mut state = locked(&self.state);
        for place in (1..state.waiting.len()).rev() {
            state.waiting.swap(place, entropy.below(place + 1));
        }
    }

    /// All messages, those whose time has not come too; they stay.
    #[must_use]
    pub fn messages(&self) -> Vec<M> {
        let state = locked(&self.state);
        state
            .waiting
            .iter()
            .map(|held| held.message.clone())
            .collect()
    }

    /// How many messages can be taken now.
    #[must_use]
    pub fn ready(&self) -> usize {
        locked(&self.state).ready(self.clock.now()).count()
    }

    /// When the next message can be taken of those whose time has not come.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        let now = self.clock.now();
        let state = locked(&self.state);
        let times = state.waiting.iter().map(|held| held.ready_at);
        times.filter(|at| *at > now).min()
    }

    /// How many messages there are, those whose time has not come too.
    #[must_use]
    pub fn len(&self) -> usize {
        locked(&self.state).waiting.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages were ever sent, copies included.
    #[must_use]
    pub fn sent(&self) -> u64 {
        locked(&self.state).sent
    }
}

/// The queues: one line for the five workers, whose messages name their object, and one for writeback.
#[derive(Debug)]
pub struct MemoryQueue {
    /// Messages to the workers.
    pub work: Line<Work>,
    /// Messages to writeback.
    pub writeback: Line<Writeback>,
    put_back: Mutex<Vec<(Delivery, Duration)>>,
    dead: Mutex<Vec<(QueueName, DeadLetter)>>,
    clock: Arc<ManualClock>,
}

/// How many dead letters are moved at once.
const MOVED: usize = 100;
/// How many dead letters of a queue are looked at.
const SEEN: usize = 10;
/// How often a message is delivered before it is a dead letter.
const DELIVERIES: u32 = 5;

impl MemoryQueue {
    /// Empty queues; the clock says when a delayed message can be taken.
    #[must_use]
    pub fn new(clock: Arc<ManualClock>) -> Self {
        Self {
            work: Line::new("work", clock.clone()),
            writeback: Line::new("writeback", clock.clone()),
            put_back: Mutex::default(),
            dead: Mutex::default(),
            clock,
        }
    }

    /// The deliveries that were put back, and for how long. Whoever took a message from here decides itself when it comes again.
    pub fn put_back_so_far(&self) -> Vec<(Delivery, Duration)> {
        locked(&self.put_back).clone()
    }

    /// Takes the message to a worker at the head.
    pub fn take_work(&self) -> Option<Held<Work>> {
        self.work.take()
    }

    /// When the next message that is held back arrives; none: none is.
    pub fn next_at(&self) -> Option<Timestamp> {
        let next = [self.work.next_at(), self.writeback.next_at()];
        next.into_iter().flatten().min()
    }

    /// Takes the message to writeback at the head.
    pub fn take_writeback(&self) -> Option<Held<Writeback>> {
        self.writeback.take()
    }

    /// Whether there is no message anywhere, dead letters aside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.work.is_empty() && self.writeback.is_empty()
    }

    /// Adds a dead letter of a queue that was sent now, in the name of a connection.
    pub fn bury(&self, queue: QueueName, sender: &ConnectionId, body: &str) {
        let letter = queue.read(body);
        let dead = DeadLetter {
            connection: Some(letter.connection().unwrap_or(sender).clone()),
            letter,
            sent_at: Some(self.clock.now()),
            received: DELIVERIES,
        };
        locked(&self.dead).push((queue, dead));
    }

    /// Lets the messages that were delivered as often as a message may be, and come again all the same, be dead letters, as old as they are.
    /// Returns how many.
    pub fn bury_worn_out(&self) -> usize {
        let worn = |taken| taken >= DELIVERIES;
        let work = self.work.take_out(|held| worn(held.taken));
        let work = work.into_iter().map(|held| {
            let queue = QueueName::Work(held.message.object());
            (queue, dead(&held, Letter::Work(held.message.clone())))
        });
        let writeback = self.writeback.take_out(|held| worn(held.taken));
        let writeback = writeback.into_iter().map(|held| {
            let letter = Letter::Writeback(held.message.clone());
            (QueueName::Writeback, dead(&held, letter))
        });
        let mut all = locked(&self.dead);
        let before = all.len();
        all.extend(work.chain(writeback));
        all.len() - before
    }

    /// What cannot be read would come back after as many deliveries as before, so it stays.
    fn deliver_again(&self, dead: DeadLetter) -> Option<DeadLetter> {
        let now = self.clock.now();
        let sent_at = dead.sent_at.unwrap_or(now);
        match dead.letter {
            Letter::Work(work) => locked(&self.work.state).push(work, sent_at, now),
            Letter::Writeback(push) => locked(&self.writeback.state).push(push, sent_at, now),
            Letter::Unreadable => {
                return Some(DeadLetter {
                    received: dead.received + DELIVERIES,
                    ..dead
                });
            }
        }
        None
    }
}

/// The dead letter that a message becomes.
fn dead<M>(held: &Held<M>, letter: Letter) -> DeadLetter {
    DeadLetter {
        connection: letter.connection().cloned(),
        letter,
        sent_at: Some(held.told_sent_at()),
        received: held.taken,
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn send_work(&self, messages: &[Work]) -> Result<(), Error> {
        self.work.send(messages.iter().cloned());
        Ok(())
    }

    async fn send_work_later(&self, messages: &[Work], delay: Duration) -> Result<(), Error> {
        self.work.send_later(messages.iter().cloned(), delay);
        Ok(())
    }

    async fn send_writeback(&self, messages: &[Writeback]) -> Result<(), Error> {
        self.writeback.send(messages.iter().cloned());
        Ok(())
    }

    async fn send_writeback_later(
        &self,
        messages: &[Writeback],
        delay: Duration,
    ) -> Result<(), Error> {
        self.writeback.send_later(messages.iter().cloned(), delay);
        Ok(())
    }

    async fn send_writeback_again(&self, messages: &[(Writeback, Timestamp)]) -> Result<(), Error> {
        let now = self.clock.now();
        let mut state = locked(&self.writeback.state);
        for (message, sent_at) in messages {
            state.push(message.clone(), *sent_at, now);
        }
        Ok(())
    }

    async fn put_back(&self, delivery: &Delivery, delay: Duration) -> Result<(), Error> {
        locked(&self.put_back).push((delivery.clone(), delay));
        Ok(())
    }

    async fn dead_letters(&self, queue: QueueName) -> Result<DeadLetters, Error> {
        let mut dead = locked(&self.dead);
        let mut seen = Vec::new();
        let mut waiting = 0;
        for (_, letter) in dead.iter_mut().filter(|(of, _)| *of == queue) {
            waiting += 1;
            if seen.len() < SEEN {
                letter.received += 1;
                seen.push(letter.clone());
            }
        }
        Ok(DeadLetters { waiting, seen })
    }

    async fn redrive(&self, queue: QueueName) -> Result<Redriven, Error> {
        let mut dead = locked(&self.dead);
        let (own, mut rest): (Vec<_>, Vec<_>) = std::mem::take(&mut *dead)
            .into_iter()
            .partition(|(of, _)| *of == queue);
        let mut own = own.into_iter();
        let mut moved = 0;
        let mut back = Vec::new();
        for (_, letter) in own.by_ref().take(MOVED) {
            moved += 1;
            back.extend(self.deliver_again(letter).map(|letter| (queue, letter)));
        }
        let more = own.len() > 0;
        rest.extend(own.chain(back));
        *dead = rest;
        Ok(Redriven { moved, more })
    }
}
