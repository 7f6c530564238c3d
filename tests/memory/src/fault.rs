//! Failures on order: what goes wrong at which port call.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use tandem::port::{CrmError, Error};

use crate::lock::locked;

/// What an error on order says.
const ON_ORDER: &str = "a failure on order";

/// How many of the last calls are remembered.
const REMEMBERED: usize = 1_000;

/// One call of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Counts all calls through one [`Faults`], from 1.
    pub number: u64,
    /// Which port: `store`, `queue`, `vault` or `crm`.
    pub port: &'static str,
    /// The method.
    pub operation: &'static str,
}

/// What goes wrong at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call answers with a failure.
    Fail(When, Failure),
    /// The process ends there and then: nothing after it happens. See [`Faults::run`].
    Crash(When),
}

impl Fault {
    const fn is_before(self, batch: bool) -> bool {
        let (Self::Fail(when, _) | Self::Crash(when)) = self;
        match when {
            When::Before => true,
            When::Midway => !batch,
            When::After => false,
        }
    }
}

/// Where in the call it goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Before its effect: nothing happened.
    Before,
    /// After the first half of a batch; for anything else the same as [`When::Before`].
    Midway,
    /// After its effect, which the caller does not learn of.
    After,
}

/// With which error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Somebody else wrote first. [`When::After`]: the first reply was lost, and the retry met its own write.
    Conflict,
    /// The service asks to slow down.
    Throttled,
    /// The service did not answer.
    Unavailable,
    /// The service will never take it as it is: it is too large.
    Refused,
    /// What it answered can't be read.
    Corrupt,
}

/// The process ended in the middle of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crashed;

type Plan = Box<dyn FnMut(&Call) -> Option<Fault> + Send>;
type Wait = Arc<dyn Fn(&Call) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Decides for every port call whether something goes wrong. Clones decide together.
#[derive(Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    plan: Option<Plan>,
    wait: Option<Wait>,
    yielding: Yielding,
    calls: u64,
    counts: BTreeMap<&'static str, u64>,
    remembered: VecDeque<Call>,
    running: u32,
    crashed: bool,
}

/// When a call lets others go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Yielding {
    /// Never.
    #[default]
    No,
    /// Once before it begins.
    Once,
    /// Until it is given a turn.
    Turns {
        /// Whether the next call may begin.
        given: bool,
    },
}

impl Faults {
    /// Nothing goes wrong until something is ordered.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Asks `plan` at every call from now on, in place of what was ordered before.
    pub fn decide(&self, plan: impl FnMut(&Call) -> Option<Fault> + Send + 'static) {
        self.state().plan = Some(Box::new(plan));
    }

    /// Lets the call of that number go wrong, numbers counted from the next call, which is 1.
    pub fn at(&self, number: u64, fault: Fault) {
        let number = self.calls() + number;
        self.decide(move |call| (call.number == number).then_some(fault));
    }

    /// Lets the call of that method go wrong which is its `number`th from now on, from 1.
    pub fn on(&self, operation: &'static str, number: u64, fault: Fault) {
        let mut met = 0;
        self.decide(move |call| {
            met += u64::from(call.operation == operation);
            (call.operation == operation && met == number).then_some(fault)
        });
    }

    /// Lets every call of that method go wrong.
    pub fn always(&self, operation: &'static str, fault: Fault) {
        self.decide(move |call| (call.operation == operation).then_some(fault));
    }

    /// Lets nothing go wrong any more.
    pub fn clear(&self) {
        self.state().plan = None;
    }

    /// Lets each call give way to other futures once before it begins, so that [`crate::interleave`] can run several handlers step by step.
    pub fn give_way(&self, yielding: bool) {
        self.state().yielding = match yielding {
            true => Yielding::Once,
            false => Yielding::No,
        };
    }

    /// Lets a call begin only when it is given a turn, so that one step of a handler is one call whatever it does side by side.
    pub fn take_turns(&self) {
        self.state().yielding = Yielding::Turns { given: false };
    }

    /// Gives the next call its turn, or takes back one that nobody took.
    pub fn turn(&self, given: bool) {
        if let Yielding::Turns { given: turn } = &mut self.state().yielding {
            *turn = given;
        }
    }

    /// Lets each call last as long as `wait` does: with a clock that only such waits move, what goes on side by side takes the time of one.
    pub fn last(
        &self,
        wait: impl Fn(&Call) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync + 'static,
    ) {
        self.state().wait = Some(Arc::new(wait));
    }

    /// Runs a process, and when it comes to its first call of that method, something else to its end before the call begins. None: it makes no
    /// such call.
    pub async fn amid<T, M>(
        &self,
        operation: &'static str,
        process: impl Future<Output = T>,
        meanwhile: impl Future<Output = M>,
    ) -> Option<(T, M)> {
        self.amid_call(operation, 1, process, meanwhile).await
    }

    /// The same when the process comes to its `number`th call of that method, from 1.
    pub async fn amid_call<T, M>(
        &self,
        operation: &'static str,
        number: u64,
        process: impl Future<Output = T>,
        meanwhile: impl Future<Output = M>,
    ) -> Option<(T, M)> {
        let stands = Arc::new(AtomicBool::new(false));
        let goes_on = Arc::new(AtomicBool::new(false));
        let (reached, door) = (stands.clone(), goes_on.clone());
        let calls = AtomicU64::new(0);
        self.last(move |call| {
            let waits =
                call.operation == operation && calls.fetch_add(1, Ordering::SeqCst) + 1 == number;
            reached.fetch_or(waits, Ordering::SeqCst);
            let door = door.clone();
            Box::pin(async move {
                while waits && !door.load(Ordering::SeqCst) {
                    give_way().await;
                }
            })
        });
        let mut process = pin!(process);
        let mut meanwhile = pin!(meanwhile);
        let mut met = None;
        let processed = poll_fn(|context| {
            if met.is_none() && stands.load(Ordering::SeqCst) {
                let Poll::Ready(answer) = meanwhile.as_mut().poll(context) else {
                    return Poll::Pending;
                };
                met = Some(answer);
                goes_on.store(true, Ordering::SeqCst);
            }
            process.as_mut().poll(context)
        })
        .await;
        self.state().wait = None;
        met.map(|met| (processed, met))
    }

    /// How many calls were made.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// How many calls of a method were made.
    #[must_use]
    pub fn calls_of(&self, operation: &str) -> u64 {
        self.state().counts.get(operation).copied().unwrap_or(0)
    }

    /// The last calls, oldest first, a thousand at most.
    #[must_use]
    pub fn last_calls(&self) -> Vec<Call> {
        self.state().remembered.iter().copied().collect()
    }

    /// Runs a process that [`Fault::Crash`] can end: what it has not done by then never happens. Outside of this, a crash is only a failure.
    ///
    /// # Errors
    /// When it crashed.
    pub async fn run<F: Future>(&self, process: F) -> Result<F::Output, Crashed> {
        let mut process = pin!(process);
        poll_fn(|context| {
            {
                let mut state = self.state();
                state.running += 1;
                state.crashed = false;
            }
            let polled = process.as_mut().poll(context);
            let mut state = self.state();
            state.running -= 1;
            if std::mem::take(&mut state.crashed) {
                return Poll::Ready(Err(Crashed));
            }
            polled.map(Ok)
        })
        .await
    }

    /// Begins a call; one that is no batch can't be cut midway.
    pub(crate) async fn enter<E: Injected>(
        &self,
        port: &'static str,
        operation: &'static str,
        batch: bool,
    ) -> Result<Passage<'_>, E> {
        let yielding = self.state().yielding;
        match yielding {
            Yielding::No => {}
            Yielding::Once => give_way().await,
            Yielding::Turns { .. } => self.wait_for_turn().await,
        }
        let (call, fault) = self.state().next(port, operation);
        let wait = self.state().wait.clone();
        if let Some(wait) = wait {
            wait(&call).await;
        }
        match fault {
            Some(fault) if fault.is_before(batch) => self.strike(fault, operation).await,
            fault => Ok(Passage {
                faults: self,
                operation,
                fault,
            }),
        }
    }

    async fn wait_for_turn(&self) {
        poll_fn(|context| {
            let mut state = self.state();
            let goes = match &mut state.yielding {
                Yielding::Turns { given } => std::mem::take(given),
                Yielding::No | Yielding::Once => true,
            };
            if goes {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    async fn strike<T, E: Injected>(&self, fault: Fault, operation: &'static str) -> Result<T, E> {
        let failure = match fault {
            Fault::Fail(_, failure) => failure,
            Fault::Crash(_) => {
                self.crash().await;
                Failure::Unavailable
            }
        };
        Err(E::injected(failure, operation))
    }

    /// Never returns inside of [`Faults::run`], which drops the process then.
    async fn crash(&self) {
        let mortal = {
            let mut state = self.state();
            state.crashed = state.running > 0;
            state.crashed
        };
        if mortal {
            std::future::pending::<()>().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.0)
    }
}

impl State {
    fn next(&mut self, port: &'static str, operation: &'static str) -> (Call, Option<Fault>) {
        self.calls += 1;
        *self.counts.entry(operation).or_default() += 1;
        let call = Call {
            number: self.calls,
            port,
            operation,
        };
        if self.remembered.len() == REMEMBERED {
            self.remembered.pop_front();
        }
        self.remembered.push_back(call);
        (call, self.plan.as_mut().and_then(|plan| plan(&call)))
    }
}

/// A call under way.
pub(crate) struct Passage<'a> {
    faults: &'a Faults,
    operation: &'static str,
    fault: Option<Fault>,
}

impl Passage<'_> {
    /// The part of a batch that takes effect.
    pub(crate) fn part<'a, T>(&self, batch: &'a [T]) -> &'a [T] {
        match self.fault {
            Some(Fault::Fail(When::Midway, _) | Fault::Crash(When::Midway)) => {
                &batch[..batch.len() / 2]
            }
            _ => batch,
        }
    }

    /// The answer that the caller gets.
    pub(crate) async fn leave<T, E: Injected>(self, answer: Result<T, E>) -> Result<T, E> {
        match self.fault {
            None => answer,
            Some(fault) => self.faults.strike(fault, self.operation).await,
        }
    }
}

/// An error that can be made on order.
pub(crate) trait Injected: Sized {
    fn injected(failure: Failure, operation: &'static str) -> Self;
}

impl Injected for Error {
    fn injected(failure: Failure, operation: &'static str) -> Self {
        let source = ON_ORDER.into();
        match failure {
            Failure::Conflict => Self::conflict(operation),
            Failure::Throttled => Self::Throttled {
                service: "memory",
                source: Some(source),
            },
            Failure::Unavailable => Self::Unavailable {
                service: "memory",
                operation,
                source,
            },
            Failure::Refused => Self::Refused {
                what: operation.to_owned(),
                source,
            },
            Failure::Corrupt => Self::Corrupt {
                what: operation.to_owned(),
                source,
            },
        }
    }
}

impl Injected for CrmError {
    fn injected(failure: Failure, operation: &'static str) -> Self {
        let source = ON_ORDER.into();
        match failure {
            Failure::Conflict => Self::ChangedMeanwhile,
            Failure::Throttled => Self::Throttled { after: None },
            Failure::Unavailable => Self::Unavailable { source },
            Failure::Refused => Self::Refused {
                code: "INVALID_DATA".to_owned(),
                message: ON_ORDER.to_owned(),
                field: None,
            },
            Failure::Corrupt => Self::Malformed {
                what: operation.to_owned(),
                source,
            },
        }
    }
}

/// Lets other futures go on once.
pub(crate) async fn give_way() {
    let mut waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
