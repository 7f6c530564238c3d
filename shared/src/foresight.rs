//! What a change of settings would do (S8): what it touches, and what is counted while that is found out.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::credit;
use crate::identifier::FieldName;
use crate::mapping::{FieldPlan, Identity, Mapped, parent_lookups};
use crate::object::Object;
use crate::record::RemovalReason;
use crate::select::{IN_VALUES, PAGE_ROWS};
use crate::settings::Settings;

/// Settings that somebody thinks about, beside the current ones.
#[derive(Debug, Clone, Copy)]
pub struct Proposal<'a> {
    /// The current settings.
    pub current: &'a Settings,
    /// The settings that would take their place.
    pub wanted: &'a Settings,
}

impl Proposal<'_> {
    /// The object's field plan with the current settings.
    #[must_use]
    pub fn current(&self, object: Object) -> FieldPlan {
        FieldPlan::compile(self.current, object)
    }

    /// The object's field plan with the wanted settings.
    #[must_use]
    pub fn wanted(&self, object: Object) -> FieldPlan {
        FieldPlan::compile(self.wanted, object)
    }

    /// Whether the next routine sync would read the object fully, once (F8).
    #[must_use]
    pub fn rereads(&self, object: Object) -> bool {
        self.current(object).digest != self.wanted(object).digest
    }

    /// Whether it can change which of the object's records are on the platform, or as which: its own rules do, or those of what its scope
    /// follows.
    #[must_use]
    pub fn shifts(&self, object: Object) -> bool {
        // Users are always all synced (S4).
        if object == Object::User {
            return false;
        }
        let (current, wanted) = (self.current(object), self.wanted(object));
        current.filter != wanted.filter
            || current.identity != wanted.identity
            || self.current.source_mode != self.wanted.source_mode
            || parent_lookups(object)
                .iter()
                .any(|(_, parent)| self.shifts(*parent))
    }

    /// Whether it can change anything about the object's records at all.
    #[must_use]
    pub fn touches(&self, object: Object) -> bool {
        self.rereads(object) || self.shifts(object)
    }

    /// The object's platform fields that would be filled in another way than now.
    #[must_use]
    pub fn remapped(&self, object: Object) -> BTreeSet<FieldName> {
        let current = self.current(object);
        let filling =
            |mapped: &Mapped| (mapped.zoho.clone(), mapped.kind, mapped.pulls, mapped.null);
        self.wanted(object)
            .mapped
            .into_iter()
            .filter(|mapped| current.field(&mapped.platform).map(filling) != Some(filling(mapped)))
            .map(|mapped| mapped.platform)
            .collect()
    }

    /// What the change needs for an object of which Zoho counts that many records.
    #[must_use]
    pub fn credits(&self, object: Object, records: u64) -> Credits {
        let reading = match object {
            Object::User => credit::of_reading_users(records),
            _ => credit::of_reading(records),
        };
        let count = match object {
            Object::User => 0,
            _ => credit::of_select(1),
        };
        let lookups = u64::from(self.lookups(object));
        // Each page asks for its own, so each can have calls that are not full.
        let partial = credit::pages(records, PAGE_ROWS as u64);
        let looking_up = credit::of_looking_up(records).saturating_add(partial);
        Credits {
            preview: reading
                .saturating_add(count)
                .saturating_add(lookups.saturating_mul(looking_up)),
            once: if self.rereads(object) { reading } else { 0 },
            each_night: reading.saturating_add(count),
        }
    }

    /// How many records, directly and through others, may have to be looked up in Zoho for one row: what its scope follows, and who else
    /// has its external id.
    fn lookups(&self, object: Object) -> u32 {
        let contends = self.shifts(object) && self.wanted(object).identity != Identity::Own;
        let parents = parent_lookups(object)
            .iter()
            .filter(|(_, parent)| self.shifts(*parent))
            .map(|(_, parent)| 1 + self.lookups(*parent));
        u32::from(contends) + parents.sum::<u32>()
    }
}

/// What a change of settings needs of Zoho's credits, for one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Credits {
    /// To preview it, at most: only records that come in, and what scope follows, are looked up beside the reading itself.
    pub preview: u64,
    /// Once: the next routine sync reads the object fully when its mappings, identity or filter change (F8).
    pub once: u64,
    /// What every full sync costs, before and after.
    pub each_night: u64,
}

/// What was counted so far. It travels to the client and back, so no number in it is trusted: sums saturate, and a wrong one only misleads
/// whoever made it up.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Totals {
    /// Rows that Zoho sent.
    pub rows: u64,
    /// Records that the ledger ties to Zoho: what the removal guard's percentage is of.
    pub held: u64,
    /// Records that would come in.
    pub entering: u64,
    /// Records that would leave because Zoho has them no more.
    pub gone: u64,
    /// Records that would leave because they do not meet the filter.
    pub out_of_scope: u64,
    /// Records that would leave because what they belong to leaves.
    pub parent_left: u64,
    /// Records that would leave at once, because their Zoho record would have an external id that another one keeps or that the platform
    /// does not know.
    pub ousted: u64,
    /// Records that would become other records on the platform, because their external id is read from another field.
    pub renamed: u64,
    /// Records that would stay, with other values.
    pub changed: u64,
    /// Records that would stay as they are.
    pub unchanged: u64,
    /// Rows in scope that would have no external id.
    pub unmatched: u64,
    /// Rows in scope whose external id another Zoho record would keep.
    pub duplicates: u64,
    /// Rows in scope of records that the platform does not have, with `enrich_only`.
    pub unknown: u64,
    /// Rows outside of the filters, without a record before and after.
    pub outside: u64,
    /// How many records' values would change, by platform field.
    pub fields: BTreeMap<FieldName, u64>,
}

/// Adds to a count.
pub const fn count(counter: &mut u64, number: u64) {
    *counter = counter.saturating_add(number);
}

impl Totals {
    /// Counts a record that would leave.
    pub const fn leave(&mut self, reason: RemovalReason) {
        let counter = match reason {
            RemovalReason::Gone => &mut self.gone,
            RemovalReason::OutOfScope => &mut self.out_of_scope,
            RemovalReason::ParentLeft => &mut self.parent_left,
            RemovalReason::Renamed => &mut self.ousted,
        };
        count(counter, 1);
    }

    /// How many records would leave.
    #[must_use]
    pub const fn leaving(&self) -> u64 {
        self.removed().saturating_add(self.ousted)
    }

    /// How many of them a full sync would remove, which is what the removal guard looks at.
    #[must_use]
    pub const fn removed(&self) -> u64 {
        self.gone
            .saturating_add(self.out_of_scope)
            .saturating_add(self.parent_left)
    }

    /// The credits that the next routine sync needs to ask for what belongs to the entering records (S5).
    #[must_use]
    pub fn following(&self, object: Object) -> u64 {
        let questions: u64 = object
            .dependants()
            .iter()
            .map(|dependant| {
                let lookups = parent_lookups(*dependant).iter();
                lookups.filter(|(_, parent)| *parent == object).count() as u64
            })
            .sum();
        self.entering
            .div_ceil(IN_VALUES as u64)
            .saturating_mul(questions)
            .saturating_mul(credit::of_select(PAGE_ROWS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn settings(json: Json) -> Settings {
        serde_json::from_value(json).unwrap()
    }

    fn touched(current: Json, wanted: Json) -> (Vec<Object>, Vec<Object>) {
        let (current, wanted) = (settings(current), settings(wanted));
        let proposal = Proposal {
            current: &current,
            wanted: &wanted,
        };
        let those = |which: &dyn Fn(Object) -> bool| {
            Object::ALL
                .into_iter()
                .filter(|object| which(*object))
                .collect()
        };
        (
            those(&|object| proposal.shifts(object)),
            those(&|object| proposal.rereads(object)),
        )
    }

    fn filtered(object: &str) -> Json {
        json!({"objects": {object: {"filter": {"where": {"field": "A", "comparator": "is_empty"}}}}})
    }

    #[test]
    fn what_follows_a_filtered_object_shifts_with_it() {
        use Object::{Account, Contact, Deal, Task};
        assert_eq!(touched(json!({}), json!({})), (vec![], vec![]));
        assert_eq!(
            touched(json!({}), filtered("account")),
            (vec![Account, Contact, Deal, Task], vec![Account])
        );
        assert_eq!(
            touched(filtered("deal"), json!({})),
            (vec![Deal, Task], vec![Deal])
        );
        assert_eq!(
            touched(json!({}), json!({"contact_external_id": "Key"})),
            (vec![Contact, Task], vec![Contact])
        );
        assert_eq!(
            touched(json!({}), json!({"source_mode": "enrich_only"})),
            (vec![Account, Contact, Deal, Task], vec![])
        );
    }

    #[test]
    fn a_mapping_shifts_nothing_and_a_switch_touches_nothing() {
        let mapped =
            json!({"objects": {"deal": {"mappings": [{"zoho": "Type", "platform": "kind"}]}}});
        assert_eq!(touched(json!({}), mapped), (vec![], vec![Object::Deal]));
        assert_eq!(
            touched(json!({}), json!({"core_writeback": true, "night_hour": 5})),
            (vec![], vec![])
        );
    }

    #[test]
    fn credits_follow_what_is_touched() {
        let (current, wanted) = (settings(json!({})), settings(filtered("account")));
        let proposal = Proposal {
            current: &current,
            wanted: &wanted,
        };
        let credits = |preview, once, each_night| Credits {
            preview,
            once,
            each_night,
        };
        assert_eq!(
            proposal.credits(Object::Account, 200_000),
            credits(301 + 2_100, 300, 301)
        );
        // At most: who else has its e-mail, its account, and who else has that one's external id.
        assert_eq!(
            proposal.credits(Object::Contact, 200_000),
            credits(301 + 3 * 2_100, 0, 301)
        );
        assert_eq!(proposal.credits(Object::User, 450), credits(3, 0, 3));
    }

    #[test]
    fn made_up_totals_break_nothing() {
        let mut totals = Totals {
            gone: u64::MAX,
            out_of_scope: u64::MAX,
            entering: u64::MAX,
            ..Totals::default()
        };
        totals.leave(RemovalReason::Gone);
        assert_eq!(totals.leaving(), u64::MAX);
        assert!(totals.following(Object::Account) > 0);
    }
}
