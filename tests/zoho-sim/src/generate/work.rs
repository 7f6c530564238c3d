//! Deals and tasks.

use super::OrganisationSpec;
use super::modules::{PRIORITIES, STAGES, TASK_STATUSES};
use super::records::Maker;
use crate::org::record::Value;
use jiff::Span;
use rand::RngExt;

impl Maker<'_> {
    pub(super) fn deals(
        &mut self,
        spec: &OrganisationSpec,
        accounts: &[u64],
        contacts: &[u64],
    ) -> Vec<u64> {
        let count = spec.deals();
        let mut made = Vec::with_capacity(count);
        for number in 0..count {
            let mut draft = self.draft("Deals", number, count);
            let topic = self
                .one(&[
                    "Renewal",
                    "Expansion",
                    "Pilot",
                    "Support contract",
                    "更新",
                    "Продление",
                ])
                .unwrap_or("Deal");
            self.set(
                &mut draft,
                "Deal_Name",
                Value::text(format!("{topic} {number}")),
            );
            let (stage, probability) = STAGES
                .get(self.random.random_range(0..STAGES.len()))
                .copied()
                .unwrap_or(("Qualification", 10));
            self.set(&mut draft, "Stage", Value::text(stage));
            self.set(&mut draft, "Probability", Value::Number(probability.into()));
            if !self.chance(3) {
                let account = self.id(accounts);
                self.set(
                    &mut draft,
                    "Account_Name",
                    account.map_or(Value::Null, Value::Reference),
                );
            }
            if self.chance(70) {
                let contact = self.id(contacts);
                self.set(
                    &mut draft,
                    "Contact_Name",
                    contact.map_or(Value::Null, Value::Reference),
                );
            }
            if !self.chance(4) {
                let amount = self.number(10_000, 50_000_000, 2);
                self.set(&mut draft, "Amount", amount);
            }
            let closing = self.date(-700, 200);
            self.set(&mut draft, "Closing_Date", Value::Date(closing));
            let start = self.date(-720, 100);
            self.set(&mut draft, "Start_Date", Value::Date(start));
            if !self.chance(15) {
                let days = self.random.random_range(30..720);
                let end = start.checked_add(Span::new().days(days)).unwrap_or(start);
                self.set(&mut draft, "End_Date", Value::Date(end));
            }
            let kind = self
                .one(&["Existing Business", "New Business"])
                .unwrap_or("");
            self.set(&mut draft, "Type", Value::text(kind));
            self.set(&mut draft, "Pipeline", Value::text("Standard (Standard)"));
            self.set(
                &mut draft,
                "Order_Number",
                Value::text(format!("ORD-{number:05}")),
            );
            let seats = self.number(1, 5_000, 0);
            self.set(&mut draft, "Seats", seats);
            let margin = self.number(-2_000, 9_000, 2);
            self.set(&mut draft, "Margin", margin);
            let renewal = self.chance(40);
            self.set(&mut draft, "Renewal", Value::Boolean(renewal));
            if stage == "Closed Won" {
                let signed = draft.record.modified();
                self.set(&mut draft, "Signed_At", Value::Instant(signed));
            }
            if self.chance(30) {
                let text = self.words(20);
                self.set(&mut draft, "Description", Value::text(text));
            }
            made.push(self.keep(draft));
        }
        made
    }

    pub(super) fn tasks(
        &mut self,
        spec: &OrganisationSpec,
        accounts: &[u64],
        contacts: &[u64],
        deals: &[u64],
    ) {
        let count = spec.tasks();
        for number in 0..count {
            let mut draft = self.draft("Tasks", number, count);
            let verb = self
                .one(&[
                    "Call",
                    "Email",
                    "Prepare offer for",
                    "Überprüfen:",
                    "フォローアップ",
                    "Visit 🚗",
                ])
                .unwrap_or("Call");
            self.set(
                &mut draft,
                "Subject",
                Value::text(format!("{verb} #{number}")),
            );
            let status = self.one(&TASK_STATUSES).unwrap_or("Not Started");
            self.set(&mut draft, "Status", Value::text(status));
            if status == "Completed" {
                let closed = draft.record.modified();
                self.set(&mut draft, "Closed_Time", Value::Instant(closed));
            }
            let priority = self.one(&PRIORITIES).unwrap_or("Normal");
            self.set(&mut draft, "Priority", Value::text(priority));
            if !self.chance(10) {
                let due = self.date(-400, 90);
                self.set(&mut draft, "Due_Date", Value::Date(due));
            }
            let what = match self.random.random_range(0..100) {
                0..50 => self.id(accounts),
                50..85 => self.id(deals),
                _ => None,
            };
            self.set(
                &mut draft,
                "What_Id",
                what.map_or(Value::Null, Value::Reference),
            );
            if self.chance(60) {
                let who = self.id(contacts);
                self.set(
                    &mut draft,
                    "Who_Id",
                    who.map_or(Value::Null, Value::Reference),
                );
            }
            self.set(&mut draft, "Send_Notification_Email", Value::Boolean(false));
            let effort = self.number(0, 4_000, 2);
            self.set(&mut draft, "Effort_Hours", effort);
            if self.chance(30) {
                let text = self.words(15);
                self.set(&mut draft, "Description", Value::text(text));
            }
            self.keep(draft);
        }
    }
}
