//! What goes wrong.

use tandem_memory::{Failure, Fault, When};
use zoho_sim::faults::{Fault as ZohoFault, Moment, Throttle};

use super::Hand;
use crate::dice::Dice;

impl Hand<'_> {
    pub(super) fn fails_port(&mut self, dice: &mut Dice) -> bool {
        let failures = [Failure::Conflict, Failure::Throttled, Failure::Unavailable];
        let whens = [When::Before, When::Midway, When::After];
        let (Some(failure), Some(when)) = (dice.pick(&failures), dice.pick(&whens)) else {
            return false;
        };
        let fault = match dice.once_in(3) {
            true => Fault::Crash(*when),
            false => Fault::Fail(*when, *failure),
        };
        let call = 1 + dice.below(25) as u64;
        self.scene.recorder.order(call, fault);
        true
    }

    pub(super) fn count_struck(&mut self) {
        for (_, fault) in self.scene.recorder.struck() {
            if let Fault::Fail(when, _) = fault {
                self.reached.count(match when {
                    When::Before => "a port failed before its effect",
                    When::Midway => "a port failed amid a batch",
                    When::After => "a port failed after its effect",
                });
            }
        }
    }

    pub(super) fn fails_zoho(&mut self, dice: &mut Dice) -> bool {
        let after = dice.once_in(2);
        let statuses = [0, 500, 503];
        self.scene.zoho.model().faults.fail(ZohoFault {
            skip: dice.below(4) as u32,
            moment: if after { Moment::After } else { Moment::Before },
            status: dice.pick(&statuses).copied().unwrap_or(500),
            ..ZohoFault::default()
        });
        self.reached.count(match after {
            true => "Zoho failed after its effect",
            false => "Zoho failed before its effect",
        });
        true
    }

    pub(super) fn throttles(&mut self, dice: &mut Dice) -> bool {
        self.scene.zoho.model().faults.throttle(Throttle {
            calls: Some(1 + dice.below(3) as u32),
            ..Throttle::default()
        });
        true
    }

    /// Lets nothing go wrong any more.
    pub(crate) fn calm(&mut self) {
        self.scene.recorder.clear_orders();
        self.scene.zoho.model().faults.clear();
        self.scene.world.store.lag_indexes(0);
    }
}
