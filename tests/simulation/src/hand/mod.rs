//! The hand that lets things happen.

mod customer;
mod duel;
mod faults;
mod operator;
mod platform;
mod queues;
mod zoho;

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::SignedDuration;
use tandem::message::{Work, Writeback};
use tandem::port::Due;

use crate::crew::{Came, Crew, Turn};
use crate::dice::Dice;
use crate::recorder::Recorder;
use crate::scene::{Scene, Side, settings};
use crate::{Reached, Step};
use zoho_sim::journal::Served;

/// How often a message may fail when nothing goes wrong any more.
const TRIES: u32 = 40;

/// Whether a request that Zoho served writes records.
pub(crate) fn writes(served: &Served) -> bool {
    let changes = served.method == "PUT" || (served.method == "POST" && served.coql.is_none());
    changes && served.path.contains("/crm/")
}

/// The hand, and what it holds.
pub(crate) struct Hand<'a> {
    pub(crate) scene: Scene<'a>,
    pub(crate) reached: Reached,
    crew: Crew,
    /// Messages that were done once: a deploy or a queue may deliver them again much later.
    old: (Vec<Work>, Vec<Writeback>),
    /// How often each message failed.
    failed: BTreeMap<String, u32>,
    numbers: u64,
    /// Whether Zoho's clock was put back: what was edited soon after looks older than what was read before.
    pub(crate) put_back: bool,
    /// What came to another connection's Zoho, if anything did (P7).
    crossed: Option<String>,
}

impl<'a> Hand<'a> {
    pub(crate) fn new(scene: Scene<'a>) -> Self {
        Self {
            scene,
            reached: Reached::default(),
            crew: Crew::default(),
            old: (Vec::new(), Vec::new()),
            failed: BTreeMap::new(),
            numbers: 0,
            put_back: false,
            crossed: None,
        }
    }

    /// A number that no other value has.
    fn fresh(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn recorder(&self) -> Recorder {
        self.scene.recorder.clone()
    }

    fn side(&self, dice: &mut Dice) -> usize {
        dice.below(self.scene.sides.len())
    }

    fn at(&self, side: usize) -> &Side {
        &self.scene.sides[side]
    }

    /// Lets a step happen. What the step asks for may be impossible as things stand; then nothing happens.
    pub(crate) async fn take(&mut self, number: usize, step: &Step) -> Result<()> {
        let recorder = self.recorder();
        recorder.say(|| format!("{number:>3}  {} {step:?}", self.scene.world.now()));
        let mut dice = Dice::new(step.number());
        let happened = match step {
            Step::ZohoEdits(_) => self.edits_in_zoho(&mut dice)?,
            Step::ZohoCreates(_) => self.creates_in_zoho(&mut dice)?,
            Step::ZohoDeletes(_) => self.deletes_in_zoho(&mut dice)?,
            Step::ZohoRestores(_) => self.restores_in_zoho(&mut dice)?,
            Step::ZohoMoves(_) => self.moves_in_zoho(&mut dice)?,
            Step::ZohoRenames(_) => self.renames_in_zoho(&mut dice)?,
            Step::ZohoMerges(_) => self.merges_in_zoho(&mut dice)?,
            Step::ZohoScopes(_) => self.scopes_in_zoho(&mut dice)?,
            Step::PlatformEdits(_) => self.edits_here(&mut dice)?,
            Step::PlatformSends(_) => self.sends(&mut dice)?,
            Step::PlatformCreates(_) => self.creates_here(&mut dice)?,
            Step::SettingsChange(_) => {
                let side = self.side(&mut dice);
                let document = settings(&mut dice);
                self.scene.sides[side].settings.push(document.clone());
                self.at(side).story.save_settings(document).await?;
                true
            }
            Step::ZohoDoubles(_) => self.doubles_in_zoho(&mut dice)?,
            Step::ZohoReparents(_) => self.reparents_in_zoho(&mut dice)?,
            Step::ZohoHides(_) => self.hides_in_zoho(&mut dice)?,
            Step::ZohoClock(_) => {
                let offset = SignedDuration::from_secs(dice.between(-120, 120));
                let before = std::mem::replace(&mut self.scene.zoho.model().clock_offset, offset);
                self.put_back |= offset < before;
                true
            }
            Step::PlatformKnows(_) => self.knows(&mut dice)?,
            Step::PlatformSegments(_) => self.segments(&mut dice)?,
            Step::PlatformErrs(_) => self.errs(&mut dice)?,
            Step::PlatformEditsMany(_) => self.edits_many(&mut dice)?,
            Step::TokenExpires(_) => {
                let side = self.side(&mut dice);
                let organisation = self.at(side).story.organisation;
                let now = self.scene.zoho.now();
                let mut model = self.scene.zoho.model();
                // And sometimes it gives no other one for ten minutes.
                if dice.once_in(3) {
                    model.oauth.use_up(organisation, now);
                }
                model.oauth.forget_used(organisation) > 0
            }
            Step::Revokes(_) => {
                let side = self.side(&mut dice);
                self.scene.sides[side].past.revoked = true;
                let organisation = self.at(side).story.organisation;
                let mut model = self.scene.zoho.model();
                model.oauth.revoke_all(organisation, true) > 0
            }
            Step::Reconnects(_) => self.visits_zoho(&mut dice),
            Step::Pauses(_) => {
                let side = self.side(&mut dice);
                self.pauses(side).await?
            }
            Step::Decides(_) => self.decides(&mut dice),
            Step::CreditsRunLow(_) => {
                let side = self.side(&mut dice);
                self.spends(side, &mut dice).await?
            }
            Step::Tick(_) => self.ticks(&mut dice),
            Step::Night(_) => self.starts_night(&mut dice),
            Step::Deliver(_) => self.delivers(&mut dice)?,
            Step::Duplicate(_) => self.duplicates(&mut dice),
            Step::OldMessage(_) => self.sends_old(&mut dice),
            Step::WearsOut(_) => self.wears_out(&mut dice),
            Step::GoOn(_) => self.goes_on(&mut dice)?,
            Step::Together(_) => self.go_together(&mut dice)?,
            Step::Kill(_) => self.kills(&mut dice),
            Step::PortFails(_) => self.fails_port(&mut dice),
            Step::ZohoFails(_) => self.fails_zoho(&mut dice),
            Step::ZohoThrottles(_) => self.throttles(&mut dice),
            Step::Seconds(_) => {
                self.pass(SignedDuration::from_secs(dice.between(1, 400)));
                true
            }
            Step::Hours(_) => {
                self.pass(SignedDuration::from_mins(dice.between(60, 180)));
                true
            }
            Step::IndexesLag(_) => {
                self.scene.world.store.lag_indexes(dice.below(3));
                true
            }
        };
        if happened {
            self.reached.count(step.kind());
        }
        if step.kind().starts_with("Zoho") {
            self.look(None)?;
        }
        Ok(())
    }

    /// Takes in what Zoho has now, of a connection or of all.
    pub(crate) fn look(&mut self, of: Option<usize>) -> Result<()> {
        let sides = self.scene.sides.iter_mut().enumerate();
        for (_, side) in sides.filter(|(place, _)| of.is_none_or(|of| of == *place)) {
            let mut seen = std::mem::take(&mut side.seen);
            seen.look(side)?;
            side.seen = seen;
        }
        Ok(())
    }

    /// Lets time pass, in which the indexes catch up.
    pub(crate) fn pass(&mut self, time: SignedDuration) {
        self.scene.world.clock.advance(time);
        if time >= SignedDuration::from_secs(1) {
            self.scene.world.store.settle_indexes();
        }
        let (now, recorder) = (self.scene.world.now(), self.recorder());
        for _ in 0..self.crew.time_out(now, &recorder) {
            self.reached.count("a handler ran out of time");
        }
        for _ in 0..self.scene.world.queue.bury_worn_out() {
            self.reached.count("a message was a dead letter");
        }
    }

    /// One handler goes on for some calls.
    fn goes_on(&mut self, dice: &mut Dice) -> Result<bool> {
        let place = dice.below(self.crew.len());
        let any = self.crew.len() > 0;
        for _ in 0..=dice.below(12) {
            if !self.turn(place, dice)? {
                break;
            }
        }
        Ok(any)
    }

    /// All handlers go on for some calls, one by one in any order.
    fn go_together(&mut self, dice: &mut Dice) -> Result<bool> {
        let several = self.crew.len() > 1;
        if self.crew.len() > 2 {
            self.reached.count("three handlers were at it at once");
        }
        for _ in 0..=dice.below(60) {
            let place = dice.below(self.crew.len());
            if self.crew.len() == 0 {
                break;
            }
            self.turn(place, dice)?;
        }
        Ok(several)
    }

    /// Gives a handler a turn, which takes a moment; false when it is at its end.
    fn turn(&mut self, place: usize, dice: &mut Dice) -> Result<bool> {
        let recorder = self.recorder();
        let (side, served) = (
            self.crew.side(place),
            self.scene.zoho.model().journal.latest(),
        );
        let turn = self.crew.turn(place, &self.scene.world, &recorder);
        self.watch_crossing(side, served);
        if self.wrote_since(served) {
            self.look(side)?;
        }
        self.count_struck();
        let goes = match turn {
            Turn::Goes => true,
            Turn::Came(came) => {
                self.came(*came);
                false
            }
            Turn::Killed => {
                self.reached.count("a handler was killed in a call");
                false
            }
            Turn::Nobody => false,
        };
        let moments = [0, 0, 0, 20, 20, 20, 300, 1_500];
        let moment = dice.pick(&moments).copied().unwrap_or(0);
        self.pass(SignedDuration::from_millis(moment));
        Ok(goes)
    }

    /// Whether a record was written in Zoho since a request.
    fn wrote_since(&self, served: u64) -> bool {
        let model = self.scene.zoho.model();
        model.journal.since(served).any(writes)
    }

    /// Sees to it that a handler of a connection speaks to that one's organisation only (P7).
    fn watch_crossing(&mut self, side: Option<usize>, served: u64) {
        let own = side.map(|side| self.at(side).story.organisation.to_string());
        let model = self.scene.zoho.model();
        let mut strange = model.journal.since(served).filter(|served| {
            let organisation = served.organisation.as_ref();
            organisation.is_some() && organisation != own.as_ref()
        });
        if let Some(served) = strange.next() {
            self.crossed = Some(format!(
                "P7: a handler of organisation {own:?} calls organisation {:?}: {} {}",
                served.organisation, served.method, served.path
            ));
        }
    }

    /// What came to another connection's Zoho.
    pub(crate) fn crossed(&self) -> Option<&str> {
        self.crossed.as_deref()
    }

    fn kills(&mut self, dice: &mut Dice) -> bool {
        let place = dice.below(self.crew.len());
        let recorder = self.recorder();
        let killed = self.crew.kill(place, &recorder);
        if killed {
            self.reached.count("a handler was killed between two calls");
        }
        killed
    }

    /// What follows from what a handler came to.
    fn came(&mut self, came: Came) {
        match came {
            Came::Worked(held, result) => self.worked(&held, result),
            Came::Wrote(held, result) => self.wrote(&held, result),
            Came::Answered(asked, Ok(answers)) => self.answered(&asked, &answers),
            Came::Returned(Ok(finished)) => self.returned(&finished),
            // Whoever gets no answer asks again, or not; an edit that was stored is swept.
            Came::Answered(_, Err(error))
            | Came::Ticked(_, Err(error))
            | Came::Started(Err(error))
            | Came::Returned(Err(error))
            | Came::Operated(Err(error)) => self.reached.failed(&error),
            Came::Ticked(Due::Full, Ok(ticked)) if ticked.started > 0 => {
                self.reached.count("the planner started a full sync");
            }
            Came::Ticked(_, Ok(_)) | Came::Started(Ok(_)) | Came::Operated(Ok(())) => {}
        }
    }

    /// Takes what both sides came to into the trace: every request that Zoho served, and the tables.
    pub(crate) fn finish(&self) {
        for served in self.scene.zoho.model().journal.since(0) {
            self.scene.recorder.note(&format!("{served:?}"));
        }
        for side in &self.scene.sides {
            let (store, id) = (&self.scene.world.store, side.story.connection());
            let tables = (
                store.stream(&id),
                store.all_links(&id),
                store.all_entries(&id),
            );
            self.scene.recorder.note(&format!("{tables:?}"));
        }
    }

    /// How many handlers at most did not come to the end of what they were at.
    pub(crate) fn cut_off(&self) -> u64 {
        let reasons = [
            "a port failed before its effect",
            "a port failed amid a batch",
            "a port failed after its effect",
            "a handler was killed between two calls",
            "a handler was killed in a call",
            "a handler ran out of time",
        ];
        reasons
            .iter()
            .map(|reason| self.reached.number(reason))
            .sum()
    }

    /// The first message that never heals, if there is one.
    pub(crate) fn never_heals(&self) -> Option<&str> {
        let mut failed = self.failed.iter();
        failed
            .find(|(_, times)| **times >= TRIES)
            .map(|(message, _)| message.as_str())
    }
}
