//! What happened, call by call: the trace that a seed always tells the same, the failures on order, and the story for a person.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tandem_memory::{Call, Fault, World};

/// The record of a run. Clones record together.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    hash: DefaultHasher,
    calls: u64,
    /// Who is at it: the number of a handler.
    at_work: u64,
    /// What goes wrong at which call.
    orders: Vec<(u64, Fault)>,
    struck: Vec<(&'static str, Fault)>,
    /// The story, if somebody wants to read it.
    lines: Option<Vec<String>>,
    /// The calls of the handler that is at it, since its last line.
    latest: Vec<&'static str>,
}

impl Recorder {
    /// One that also tells the story.
    pub(crate) fn telling(telling: bool) -> Self {
        let recorder = Self::default();
        recorder.state().lines = telling.then(Vec::new);
        recorder
    }

    /// Records every call of a world's ports, and lets those go wrong that are on order.
    pub(crate) fn attach(&self, world: &World) {
        let (recorder, clock) = (self.clone(), world.clock.clone());
        world.faults.decide(move |call| {
            let now = tandem::port::Clock::now(&*clock);
            recorder.state().call(call, now)
        });
    }

    /// Orders a failure at a call, counted from the next one, which is 1.
    pub(crate) fn order(&self, call: u64, fault: Fault) {
        let mut state = self.state();
        let at = state.calls + call;
        state.orders.push((at, fault));
    }

    /// Takes all orders back.
    pub(crate) fn clear_orders(&self) {
        self.state().orders.clear();
    }

    /// The failures that struck since the last question, with the calls.
    pub(crate) fn struck(&self) -> Vec<(&'static str, Fault)> {
        std::mem::take(&mut self.state().struck)
    }

    /// From now on a handler is at it.
    pub(crate) fn at_work(&self, number: u64) {
        let mut state = self.state();
        if state.at_work != number {
            state.tell_calls();
            state.at_work = number;
        }
    }

    /// Whether somebody wants to read the story.
    pub(crate) fn tells(&self) -> bool {
        self.state().lines.is_some()
    }

    /// Tells the story on.
    pub(crate) fn say(&self, line: impl FnOnce() -> String) {
        let mut state = self.state();
        if state.lines.is_some() {
            state.tell_calls();
            let line = line();
            if let Some(lines) = &mut state.lines {
                lines.push(line);
            }
        }
    }

    /// Takes something into the trace beside the calls.
    pub(crate) fn note(&self, what: &str) {
        what.hash(&mut self.state().hash);
    }

    /// What names the trace: the same for two runs that did the same, call by call.
    pub(crate) fn fingerprint(&self) -> u64 {
        self.state().hash.finish()
    }

    /// The story so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut state = self.state();
        state.tell_calls();
        state.lines.clone().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn call(&mut self, call: &Call, now: Timestamp) -> Option<Fault> {
        self.calls += 1;
        (call.port, call.operation, self.at_work, now.as_nanosecond()).hash(&mut self.hash);
        let fault = self.orders.iter().find(|(at, _)| *at == self.calls);
        let fault = fault.map(|(_, fault)| *fault);
        self.struck
            .extend(fault.map(|fault| (call.operation, fault)));
        if self.lines.is_some() {
            self.latest.push(call.operation);
            if fault.is_some() {
                self.latest.push("(which goes wrong)");
            }
        }
        fault
    }

    fn tell_calls(&mut self) {
        let latest = std::mem::take(&mut self.latest);
        if let Some(lines) = self.lines.as_mut().filter(|_| !latest.is_empty()) {
            lines.push(format!(
                "      {} calls {}",
                self.at_work,
                latest.join(", ")
            ));
        }
    }
}
