//! What befalls a call: a pure function of the seed, the function and the number of the call.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

/// The functions that only start what others do: they make so few calls that they need worse odds to be hit at all.
const PLANNERS: [&str; 2] = ["full-sync", "poller"];

/// How likely it is that something befalls a call.
#[derive(Clone, Copy, Debug)]
pub struct Odds {
    /// Decides which calls.
    pub seed: u64,
    /// How many of a thousand calls fail or come late.
    pub failures: u64,
    /// How many of a thousand calls cost their caller its life.
    pub kills: u64,
    /// The same for the poller and the full sync's planner, which make few calls.
    pub kills_of_planners: u64,
}

/// Before or after a call had its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Before,
    After,
}

/// What befalls a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing.
    Fair,
    /// It comes late.
    Late(Duration),
    /// Too many calls: it has no effect.
    Refused,
    /// The service fails.
    Broken(Moment),
    /// The connection ends without an answer.
    Dropped(Moment),
    /// The caller dies.
    Killed(Moment),
}

impl Fate {
    /// What is counted; none for what is nothing.
    pub(super) const fn name(&self) -> Option<&'static str> {
        match self {
            Self::Fair => None,
            Self::Late(_) => Some("late"),
            Self::Refused => Some("refused"),
            Self::Broken(Moment::Before) => Some("broken before"),
            Self::Broken(Moment::After) => Some("broken after"),
            Self::Dropped(Moment::Before) => Some("dropped before"),
            Self::Dropped(Moment::After) => Some("dropped after"),
            Self::Killed(Moment::Before) => Some("killed before"),
            Self::Killed(Moment::After) => Some("killed after"),
        }
    }

    /// What befalls the repetitions of a call that no repetition helps: what had its effect has it once.
    pub(super) const fn again(&self) -> Self {
        match self {
            Self::Fair | Self::Late(_) | Self::Killed(_) => Self::Fair,
            Self::Refused => Self::Refused,
            Self::Broken(_) => Self::Broken(Moment::Before),
            Self::Dropped(_) => Self::Dropped(Moment::Before),
        }
    }
}

impl Odds {
    /// What befalls a function's call, and whether the call's repetitions share it.
    pub(super) fn fate(&self, function: &str, call: u64) -> (Fate, bool) {
        let digest = Sha256::digest(format!("{} {function} {call}", self.seed));
        let mut words = digest.chunks_exact(8).map(|word| {
            word.iter()
                .fold(0_u64, |whole, byte| (whole << 8) | u64::from(*byte))
        });
        let mut roll = |sides: u64| words.next().unwrap_or_default() % sides;
        let kills = match PLANNERS.contains(&function) {
            true => self.kills_of_planners,
            false => self.kills,
        };
        let (at, kind, more) = (roll(1_000), roll(14), roll(600));
        let moment = match kind % 2 {
            0 => Moment::Before,
            _ => Moment::After,
        };
        if at < kills {
            return (Fate::Killed(moment), false);
        }
        if at >= kills + self.failures {
            return (Fate::Fair, false);
        }
        let fate = match kind {
            0 | 1 => Fate::Late(Duration::from_millis(50 + more)),
            2..6 => Fate::Refused,
            6..10 => Fate::Broken(moment),
            _ => Fate::Dropped(moment),
        };
        (fate, more % 3 == 0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ODDS: Odds = Odds {
        seed: 7,
        failures: 100,
        kills: 20,
        kills_of_planners: 200,
    };

    fn fates(odds: &Odds, function: &str) -> Vec<(Fate, bool)> {
        (0..2_000).map(|call| odds.fate(function, call)).collect()
    }

    fn killed(fates: &[(Fate, bool)]) -> usize {
        let killed = |(fate, _): &&(Fate, bool)| matches!(fate, Fate::Killed(_));
        fates.iter().filter(killed).count()
    }

    #[test]
    fn a_seed_decides_and_another_seed_decides_otherwise() {
        let fates_of = |seed| fates(&Odds { seed, ..ODDS }, "writeback");
        assert_eq!(fates_of(7), fates_of(7));
        assert_ne!(fates_of(7), fates_of(8));
    }

    #[test]
    fn every_fate_is_drawn_about_as_often_as_asked() {
        let busy = fates(&ODDS, "worker-deals");
        let names: BTreeSet<_> = busy.iter().map(|(fate, _)| fate.name()).collect();
        assert_eq!(names.len(), 9, "{names:?}");
        let struck = busy.iter().filter(|(fate, _)| *fate != Fate::Fair).count();
        assert!((180..300).contains(&struck), "{struck}");
        assert!((20..70).contains(&killed(&busy)), "{}", killed(&busy));
        let planner = killed(&fates(&ODDS, "poller"));
        assert!((320..480).contains(&planner), "{planner}");
    }

    #[test]
    fn no_repetition_has_an_effect_again() {
        for (fate, doomed) in fates(&ODDS, "console") {
            let again = fate.again();
            if doomed {
                assert!(
                    !matches!(
                        again,
                        Fate::Killed(_)
                            | Fate::Broken(Moment::After)
                            | Fate::Dropped(Moment::After)
                    ),
                    "{fate:?}"
                );
            }
        }
    }
}
