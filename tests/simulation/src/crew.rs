//! The handlers under way at once, each of which goes on by one call a turn, when and as often as a seed says.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::task::noop_waker_ref;
use jiff::{SignedDuration, Timestamp};
use tandem::flow::connect::Finished;
use tandem::flow::edits::EditAnswer;
use tandem::flow::{Error, poll::Ticked};
use tandem::message::{Edit, Work, Writeback};
use tandem::object::Object;
use tandem::port::Due;
use tandem::run::Run;
use tandem_memory::{Crashed, Held, World};

use crate::recorder::Recorder;

/// What a handler came to.
pub(crate) enum Came {
    Ticked(Due, Result<Ticked, Error>),
    Started(Result<Run, Error>),
    Worked(Held<Work>, Result<(), Error>),
    Wrote(Vec<Held<Writeback>>, Result<(), Error>),
    Answered(Asked, Result<Vec<EditAnswer>, Error>),
    /// What came of a customer's visit to Zoho, each time that the browser came back.
    Returned(Result<Vec<Finished>, Error>),
    /// What a person did in the console.
    Operated(Result<(), Error>),
}

/// The edits that the platform asked for.
pub(crate) struct Asked {
    pub(crate) side: usize,
    pub(crate) object: Object,
    pub(crate) edits: Vec<Edit>,
    pub(crate) at: Timestamp,
}

/// How a handler's turn ended.
pub(crate) enum Turn {
    /// It goes on.
    Goes,
    /// It came to an end.
    Came(Box<Came>),
    /// It was killed by a failure on order.
    Killed,
    /// Nobody is under way.
    Nobody,
}

type Process = Pin<Box<dyn Future<Output = Result<Came, Crashed>>>>;

/// A handler under way.
struct Flight {
    number: u64,
    name: String,
    /// The connection that it is about; none: about all.
    side: Option<usize>,
    began: Timestamp,
    process: Process,
}

/// All handlers under way.
#[derive(Default)]
pub(crate) struct Crew {
    flights: Vec<Flight>,
    started: u64,
}

/// How long an invocation may take before its function is killed.
pub(crate) const INVOCATION: SignedDuration = SignedDuration::from_mins(5);

impl Crew {
    pub(crate) fn len(&self) -> usize {
        self.flights.len()
    }

    /// Lets a handler begin; it makes its first call when it is given a turn.
    pub(crate) fn start(
        &mut self,
        world: &World,
        recorder: &Recorder,
        (name, side): (String, Option<usize>),
        process: impl Future<Output = Came> + 'static,
    ) {
        self.started += 1;
        recorder.say(|| format!("      {} begins: {name}", self.started));
        let faults = world.faults.clone();
        self.flights.push(Flight {
            number: self.started,
            name,
            side,
            began: world.now(),
            process: Box::pin(async move { faults.run(process).await }),
        });
    }

    /// The connection that a handler is about.
    pub(crate) fn side(&self, place: usize) -> Option<usize> {
        self.flights.get(place)?.side
    }

    /// What tells a handler from all others.
    pub(crate) fn number(&self, place: usize) -> Option<u64> {
        Some(self.flights.get(place)?.number)
    }

    /// Whether a handler is still under way.
    pub(crate) fn has(&self, number: u64) -> bool {
        self.flights.iter().any(|flight| flight.number == number)
    }

    /// Gives a handler a turn.
    pub(crate) fn turn(&mut self, place: usize, world: &World, recorder: &Recorder) -> Turn {
        let Some(flight) = self.flights.get_mut(place) else {
            return Turn::Nobody;
        };
        recorder.at_work(flight.number);
        world.faults.turn(true);
        let polled = flight
            .process
            .as_mut()
            .poll(&mut Context::from_waker(noop_waker_ref()));
        world.faults.turn(false);
        let number = flight.number;
        match polled {
            Poll::Pending => Turn::Goes,
            Poll::Ready(came) => {
                drop(self.flights.remove(place));
                match came {
                    Ok(came) => {
                        recorder.say(|| format!("      {number} {}", came.words()));
                        Turn::Came(Box::new(came))
                    }
                    Err(Crashed) => {
                        recorder.say(|| format!("      {number} is killed in its call"));
                        Turn::Killed
                    }
                }
            }
        }
    }

    /// Kills a handler between two of its calls. False when there is none.
    pub(crate) fn kill(&mut self, place: usize, recorder: &Recorder) -> bool {
        if place >= self.flights.len() {
            return false;
        }
        let flight = self.flights.remove(place);
        recorder.say(|| format!("      {} is killed ({})", flight.number, flight.name));
        true
    }

    /// Kills the handlers whose time is up; how many.
    pub(crate) fn time_out(&mut self, now: Timestamp, recorder: &Recorder) -> usize {
        let before = self.flights.len();
        self.flights.retain(|flight| {
            let stays = now.duration_since(flight.began) < INVOCATION;
            if !stays {
                recorder
                    .say(|| format!("      {} runs out of time ({})", flight.number, flight.name));
            }
            stays
        });
        before - self.flights.len()
    }
}

impl Came {
    fn words(&self) -> String {
        let said = |result: &Result<(), &Error>| match result {
            Ok(()) => "is done".to_owned(),
            Err(error) => format!("fails: {error}"),
        };
        match self {
            Self::Ticked(_, result) => said(&result.as_ref().map(drop)),
            Self::Started(result) => said(&result.as_ref().map(drop)),
            Self::Answered(_, Ok(answers)) => {
                let accepted = answers.iter().filter(|answer| answer.accepted).count();
                format!("accepts {accepted} of {} edits", answers.len())
            }
            Self::Returned(Ok(finished)) => match finished.first() {
                Some(Finished::Connected(_)) => "is connected".to_owned(),
                Some(Finished::Refused { refusal, .. }) => format!("is refused: {refusal}"),
                None => "is not sent back".to_owned(),
            },
            Self::Answered(_, Err(error)) | Self::Returned(Err(error)) => format!("fails: {error}"),
            Self::Worked(_, result) | Self::Wrote(_, result) | Self::Operated(result) => {
                said(&result.as_ref().copied())
            }
        }
    }
}
