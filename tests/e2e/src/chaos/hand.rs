//! What a seed lets people do in Zoho and the platform do with its records.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use tandem_local::in_scope;
use zoho_sim::Server;

/// A phone number that Zoho's field does not take.
const TOO_LONG: &str = "+49 30 555 0123 0123 0123 0123 0123 0123 0123 0123 0123 0123 0123 0123 0123 0123 0123 0123 0123 0123";

/// An edit of the platform.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    /// The record's object.
    pub(super) object: &'static str,
    /// Its platform id.
    pub(super) id: String,
    /// The edited field on the platform, and its name in Zoho.
    pub(super) field: (&'static str, &'static str),
    /// The new value.
    pub(super) value: String,
    /// The account that a new task names.
    pub(super) account: Option<String>,
    /// How it ends.
    pub(super) end: End,
}

/// How an edit ends, by the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its value is in Zoho.
    InZoho,
    /// Zoho refuses it: it waits on its record.
    Parked,
    /// Zoho's own change wins: the record says what lost.
    Overruled,
}

/// A change that a person makes in Zoho.
#[derive(Clone, Debug)]
struct Change {
    module: &'static str,
    id: String,
    /// The new values; none: the record is deleted.
    values: Option<Value>,
}

/// All that happens in a story.
#[derive(Clone, Debug)]
pub(super) struct Hand {
    changes: Vec<Change>,
    /// Edits that the console takes.
    pub(super) edits: Vec<Edit>,
    /// Edits of values that a person has just changed in Zoho, which come as messages: each counts as made when it was sent, however often
    /// it comes.
    pub(super) conflicts: Vec<Edit>,
}

/// Draws without putting back.
struct Urn(Vec<Value>);

impl Urn {
    fn draw(&mut self, random: &mut StdRng) -> Result<Value> {
        anyhow::ensure!(!self.0.is_empty(), "the organisation is too small");
        Ok(self.0.swap_remove(random.random_range(0..self.0.len())))
    }
}

fn id(row: &Value) -> String {
    text(row, "id")
}

fn text(row: &Value, field: &str) -> String {
    row[field].as_str().unwrap_or_default().trim().to_owned()
}

impl Hand {
    /// Draws what happens to an organisation.
    pub(super) fn draw(seed: u64, zoho: &Server) -> Result<Self> {
        let mut random = StdRng::seed_from_u64(seed);
        let random = &mut random;
        let now = zoho.now();
        let guard = zoho.zoho();
        let organisation = guard.organisations().next().context("no organisation")?.id;
        let active = |row: &Value| row["Customer_Status"] == "Active";
        let before = in_scope(&guard, organisation, now, active)?;
        let mut accounts = guard.records(organisation, "Accounts", now)?;
        accounts.sort_by_key(id);
        let leaving = Urn(accounts
            .iter()
            .filter(|row| before["account"].contains(&id(row)))
            .cloned()
            .collect())
        .draw(random)?;
        // What does not leave with that account.
        let stays = |row: &Value| active(row) && row["id"] != leaving["id"];
        let scope = in_scope(&guard, organisation, now, stays)?;
        let urn = |module: &str, object: &str, identity: &str| -> Result<Urn> {
            let rows = guard.records(organisation, module, now)?;
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            let key = |row: &Value| text(row, identity).to_lowercase();
            for row in &rows {
                *seen.entry(key(row)).or_default() += 1;
            }
            // Who of two with one external id comes first is another story's.
            let mut rows: Vec<Value> = rows
                .into_iter()
                .filter(|row| scope[object].contains(&id(row)) && seen[&key(row)] == 1)
                .collect();
            rows.sort_by_key(id);
            Ok(Urn(rows))
        };
        let mut held = urn("Accounts", "account", "External_ID")?;
        let mut contacts = urn("Contacts", "contact", "Email")?;
        let mut deals = urn("Deals", "deal", "id")?;
        let mut tasks = urn("Tasks", "task", "id")?;
        // A task that an account holds stays whatever happens to contacts and deals.
        tasks.0.retain(|row| {
            let holder = row["What_Id"]["id"].as_str();
            holder.is_some_and(|holder| scope["account"].contains(holder))
        });
        let mut entering = accounts
            .iter()
            .filter(|row| !active(row) && !text(row, "External_ID").is_empty());
        let entering = entering.next().context("every account is active")?;

        let mut hand = Self {
            changes: Vec::new(),
            edits: Vec::new(),
            conflicts: Vec::new(),
        };
        let homes: Vec<Value> = (0..4).map(|_| held.draw(random)).collect::<Result<_>>()?;
        hand.change(
            "Accounts",
            &leaving,
            json!({ "Customer_Status": "Churned" }),
        );
        hand.change("Accounts", entering, json!({ "Customer_Status": "Active" }));
        for number in 0..3 {
            let account = held.draw(random)?;
            let website = format!("https://{number}.{seed}.example");
            hand.change("Accounts", &account, json!({ "Website": website }));
        }
        for number in 0..6 {
            let contact = contacts.draw(random)?;
            let title = format!("Title {number} of {seed}");
            hand.change("Contacts", &contact, json!({ "Last_Name": title }));
        }
        for home in homes.iter().take(2) {
            let contact = contacts.draw(random)?;
            let home = json!({ "Account_Name": { "id": home["id"] } });
            hand.change("Contacts", &contact, home);
        }
        for number in 0..4 {
            let deal = deals.draw(random)?;
            hand.change("Deals", &deal, json!({ "Amount": 1_000 + number }));
        }
        for gone in [
            ("Contacts", contacts.draw(random)?),
            ("Deals", deals.draw(random)?),
        ] {
            hand.changes.push(Change {
                module: gone.0,
                id: id(&gone.1),
                values: None,
            });
        }
        let phone = ("phone", "Phone");
        let of_contact = |contact: &Value, value: String, end| Edit {
            object: "contact",
            id: text(contact, "Email").to_lowercase(),
            field: phone,
            value,
            account: None,
            end,
        };
        for number in 0..3 {
            let contact = contacts.draw(random)?;
            hand.change(
                "Contacts",
                &contact,
                json!({ "Phone": format!("+1 555 02{number}") }),
            );
            let lost = format!("+1 555 03{number}");
            hand.conflicts
                .push(of_contact(&contact, lost, End::Overruled));
        }
        for number in 0..8 {
            let contact = contacts.draw(random)?;
            let value = format!("+1 555 04{number}");
            hand.edits.push(of_contact(&contact, value, End::InZoho));
        }
        let contact = contacts.draw(random)?;
        hand.edits
            .push(of_contact(&contact, TOO_LONG.to_owned(), End::Parked));
        for number in 0..4 {
            let task = tasks.draw(random)?;
            hand.edits.push(Edit {
                object: "task",
                id: format!("zoho-{}", id(&task)),
                field: ("subject", "Subject"),
                value: format!("Renamed {number} of {seed}"),
                account: None,
                end: End::InZoho,
            });
        }
        for number in 0..10 {
            let home = &homes[number % homes.len()];
            hand.edits.push(Edit {
                object: "task",
                id: format!("task-{number}"),
                field: ("subject", "Subject"),
                value: format!("New {number} of {seed}"),
                account: Some(text(home, "External_ID")),
                end: End::InZoho,
            });
        }
        Ok(hand)
    }

    fn change(&mut self, module: &'static str, row: &Value, values: Value) {
        self.changes.push(Change {
            module,
            id: id(row),
            values: Some(values),
        });
    }

    /// People make their changes in Zoho.
    pub(super) fn change_zoho(&self, zoho: &Server) -> Result<()> {
        let now = zoho.now();
        let mut guard = zoho.zoho();
        let organisation = guard.organisations().next().context("no organisation")?.id;
        for change in &self.changes {
            let id = change.id.parse()?;
            match change.values.as_ref().and_then(Value::as_object) {
                Some(values) => {
                    guard.edit(organisation, change.module, id, values, None, now)?;
                }
                None => guard.delete(organisation, change.module, id, false, None, now)?,
            }
        }
        Ok(())
    }
}

impl Edit {
    /// As the console and the message of the platform's own service take it.
    pub(super) fn body(&self) -> Value {
        let mut fields = json!({ self.field.0: self.value });
        if let Some(account) = &self.account {
            fields["account"] = json!(account);
        }
        json!({ "id": self.id, "fields": fields })
    }
}
