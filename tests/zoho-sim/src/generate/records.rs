//! Accounts, contacts, deals and tasks.

use super::OrganisationSpec;
use super::modules::{INDUSTRIES, INTERESTS};
use super::people::{mailbox, name, pick};
use crate::org::Organisation;
use crate::org::record::{Record, Row, Value};
use crate::org::schema::common;
use crate::org::user::{self, UserStatus};
use jiff::{SignedDuration, Span, Timestamp, civil::Date};
use rand::{RngExt, rngs::StdRng};
use rust_decimal::Decimal;
use serde_json::json;

const COMPANIES: [&str; 30] = [
    "Acme",
    "Blue Harbor",
    "Cedar & Sons",
    "Delta Optics",
    "Eastwind",
    "Fjord Systems",
    "Granite",
    "Helios",
    "Iberia Foods",
    "Juniper Labs",
    "Kestrel",
    "Lumen",
    "Meridian",
    "Nimbus",
    "Orchard",
    "Pioneer",
    "Quarry",
    "Redwood",
    "Sable",
    "Tidal",
    "Société Générale d’Exemple",
    "Müller Präzision",
    "株式会社サンプル",
    "شركة المثال",
    "חברת דוגמה",
    "Пример",
    "한국 예제",
    "Zoë’s Café ☕",
    "Rocket 🚀 Works",
    "Cafe\u{301} Combiné",
];
const FORMS: [&str; 8] = [
    "Inc.",
    "GmbH",
    "Ltd",
    "S.A.",
    "LLC",
    "AB",
    "K.K.",
    "& Partners",
];
const CITIES: [(&str, &str); 8] = [
    ("Boston", "USA"),
    ("Köln", "Germany"),
    ("São Paulo", "Brazil"),
    ("東京", "Japan"),
    ("Łódź", "Poland"),
    ("القاهرة", "Egypt"),
    ("Zürich", "Switzerland"),
    ("Bengaluru", "India"),
];
const WORDS: [&str; 16] = [
    "renewal",
    "of the",
    "annual",
    "contract",
    "with",
    "support\nand",
    "training;",
    "see, \"notes\"",
    "naïve",
    "日本語",
    "مرحبا",
    "👩🏽‍💻",
    "delivery",
    "by the end",
    "of",
    "quarter",
];

/// What records are made from.
pub(super) struct Maker<'a> {
    pub(super) organisation: &'a mut Organisation,
    pub(super) random: &'a mut StdRng,
    pub(super) now: Timestamp,
    pub(super) owners: Vec<u64>,
    pub(super) people: Vec<u64>,
    /// Seconds in which many records changed at once, as after an import.
    pub(super) clusters: Vec<Timestamp>,
}

/// A record under construction, filled by field name.
pub(super) struct Draft {
    pub(super) module: usize,
    pub(super) record: Record,
}

pub(super) fn add(
    organisation: &mut Organisation,
    spec: &OrganisationSpec,
    random: &mut StdRng,
    now: Timestamp,
) {
    let now = user::whole(now);
    let owners = organisation.users.keys().copied().collect();
    let active = |user: &&crate::org::user::User| user.status == UserStatus::Active;
    let people = organisation
        .users
        .values()
        .filter(active)
        .map(|user| user.id)
        .collect();
    let clusters = (0..6)
        .map(|_| now - SignedDuration::from_secs(random.random_range(86_400..630 * 86_400)))
        .collect();
    let mut maker = Maker {
        organisation,
        random,
        now,
        owners,
        people,
        clusters,
    };
    let accounts = maker.accounts(spec);
    let contacts = maker.contacts(spec, &accounts);
    maker.decision_makers(&accounts, &contacts);
    let deals = maker.deals(spec, &accounts, &contacts);
    maker.tasks(spec, &accounts, &contacts, &deals);
}

impl Maker<'_> {
    pub(super) fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    pub(super) fn one<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> Option<&'a T> {
        pick(self.random, from)
    }

    pub(super) fn id(&mut self, from: &[u64]) -> Option<u64> {
        if from.is_empty() {
            None
        } else {
            from.get(self.random.random_range(0..from.len())).copied()
        }
    }

    pub(super) fn words(&mut self, count: usize) -> String {
        let words: Vec<&str> = (0..count)
            .filter_map(|_| pick(self.random, &WORDS))
            .collect();
        words.join(" ")
    }

    pub(super) fn number(&mut self, low: i64, high: i64, scale: u32) -> Value {
        Value::Number(Decimal::new(self.random.random_range(low..=high), scale).normalize())
    }

    pub(super) fn date(&mut self, from_days: i32, to_days: i32) -> Date {
        let today = self
            .now
            .to_zoned_datetime(self.organisation.zone.clone())
            .date();
        let days = self.random.random_range(from_days..=to_days);
        today.checked_add(Span::new().days(days)).unwrap_or(today)
    }

    /// A record whose creation lies as far along the past two years as its number lies along the count.
    pub(super) fn draft(&mut self, module: &str, number: usize, count: usize) -> Draft {
        let module = self.organisation.position(module).unwrap_or(0);
        let fields = self
            .organisation
            .modules
            .get(module)
            .map_or(0, |module| module.fields().len());
        let mut record = Record::new(self.organisation.new_id(), fields);
        let two_years: i64 = 730 * 86_400;
        let share = i64::try_from(number).unwrap_or(0) * (two_years - 90_000)
            / i64::try_from(count.max(1)).unwrap_or(1);
        let created = self.now - SignedDuration::from_secs(two_years - share)
            + SignedDuration::from_secs(self.random.random_range(0..80_000));
        let cluster = self.random.random_range(0..100);
        let later = |at: &Timestamp| *at >= created;
        let modified = match (cluster, self.clusters.iter().copied().find(later)) {
            (0..12, Some(at)) => at,
            (12..40, _) => created,
            _ => {
                let span = self.now.as_second() - created.as_second();
                created + SignedDuration::from_secs(self.random.random_range(0..span.max(1)))
            }
        };
        let author = self.id(&self.people.clone()).unwrap_or(0);
        let owner = self.id(&self.owners.clone()).unwrap_or(0);
        let editor = self.id(&self.people.clone()).unwrap_or(0);
        record.set(common::OWNER, Value::Reference(owner));
        record.set(common::CREATED_BY, Value::Reference(author));
        record.set(common::MODIFIED_BY, Value::Reference(editor));
        record.set(common::CREATED_TIME, Value::Instant(user::whole(created)));
        record.set(common::MODIFIED_TIME, Value::Instant(user::whole(modified)));
        record.set(common::RECORD_STATUS, Value::text("Available"));
        if self.chance(10) {
            record.set(
                common::TAG,
                Value::many(vec!["Imported".to_owned(), "Priority".to_owned()]),
            );
        }
        crate::api::number(self.organisation, module, &mut record);
        Draft { module, record }
    }

    pub(super) fn set(&self, draft: &mut Draft, name: &str, value: Value) {
        if let Some(position) = self
            .organisation
            .modules
            .get(draft.module)
            .and_then(|module| module.position(name))
        {
            draft.record.set(position, value);
        }
    }

    pub(super) fn keep(&mut self, draft: Draft) -> u64 {
        let id = draft.record.id;
        if let Some(table) = self.organisation.tables.get_mut(draft.module) {
            table.put(draft.record);
        }
        id
    }

    fn address(&mut self, draft: &mut Draft, kind: &str) {
        let (city, country) = CITIES
            .get(self.random.random_range(0..CITIES.len()))
            .copied()
            .unwrap_or(("", ""));
        let street = format!("{} Main Street", self.random.random_range(1..400));
        let code = format!("{:05}", self.random.random_range(1_000..99_999));
        for (part, text) in [
            ("Street", street),
            ("City", city.to_owned()),
            ("Code", code),
            ("Country", country.to_owned()),
        ] {
            self.set(draft, &format!("{kind}_{part}"), Value::text(text));
        }
    }

    fn phone(&mut self) -> Value {
        let number: u64 = self.random.random_range(2_000_000_000..9_999_999_999);
        Value::text(match self.random.random_range(0..3) {
            0 => format!("+1 {number}"),
            1 => format!("({}) {}", number / 10_000_000, number % 10_000_000),
            _ => number.to_string(),
        })
    }

    fn accounts(&mut self, spec: &OrganisationSpec) -> Vec<u64> {
        let mut made: Vec<u64> = Vec::with_capacity(spec.accounts);
        for number in 0..spec.accounts {
            let mut draft = self.draft("Accounts", number, spec.accounts);
            let company = self.one(&COMPANIES).unwrap_or("Acme");
            let form = self.one(&FORMS).unwrap_or("Ltd");
            // A few companies share their name.
            let label = if self.chance(2) {
                format!("{company} {form}")
            } else {
                format!("{company} {form} {number}")
            };
            self.set(&mut draft, "Account_Name", Value::text(label));
            if number > 3 && self.chance(20) {
                let parent = self.id(&made);
                self.set(
                    &mut draft,
                    "Parent_Account",
                    parent.map_or(Value::Null, Value::Reference),
                );
            }
            let external = match number % 40 {
                // A few have none, and a few share one.
                7 => Value::Null,
                23 if !spec.unique_external_id => Value::text(format!("EXT-{:06}", number - 1)),
                _ => Value::text(format!("EXT-{number:06}")),
            };
            self.set(&mut draft, "External_ID", external);
            let status = match self.random.random_range(0..100) {
                0..75 => "Active",
                75..88 => "Prospect",
                88..97 => "Churned",
                _ => "",
            };
            self.set(&mut draft, "Customer_Status", Value::text(status));
            let account_number = self.number(100_000_000_000, 999_999_999_999_999, 0);
            self.set(&mut draft, "Account_Number", account_number);
            let phone = self.phone();
            self.set(&mut draft, "Phone", phone);
            self.set(
                &mut draft,
                "Website",
                Value::text(format!("https://{}{number}.example", mailbox(company))),
            );
            let industry = if self.chance(8) {
                ""
            } else {
                self.one(&INDUSTRIES).unwrap_or("")
            };
            self.set(&mut draft, "Industry", Value::text(industry));
            let kind = self
                .one(&["Customer", "Partner", "Prospect", "Supplier"])
                .unwrap_or("");
            self.set(&mut draft, "Account_Type", Value::text(kind));
            let revenue = self.number(1_000_000, 90_000_000_000, 2);
            self.set(&mut draft, "Annual_Revenue", revenue);
            let employees = self.number(1, 90_000, 0);
            self.set(&mut draft, "Employees", employees);
            if self.chance(40) {
                let length = if self.chance(5) { 400 } else { 12 };
                let text = self.words(length);
                self.set(&mut draft, "Description", Value::text(text));
            }
            self.account_custom(&mut draft, number);
            self.address(&mut draft, "Billing");
            if self.chance(50) {
                self.address(&mut draft, "Shipping");
            }
            made.push(self.keep(draft));
        }
        made
    }

    fn account_custom(&mut self, draft: &mut Draft, number: usize) {
        let interests: Vec<String> = INTERESTS
            .iter()
            .filter(|_| self.random.random_range(0..3) == 0)
            .map(|interest| (*interest).to_owned())
            .collect();
        self.set(draft, "Interests", Value::many(interests));
        if self.chance(50) {
            self.set(
                draft,
                "Support_Email",
                Value::text(format!("support{number}@customer.example")),
            );
            let start = self.date(-900, 60);
            self.set(draft, "Contract_Start", Value::Date(start));
            let audit =
                self.now - SignedDuration::from_secs(self.random.random_range(0..400 * 86_400));
            self.set(draft, "Last_Audit", Value::Instant(audit));
        }
        let score = self.number(0, 10_000, 2);
        self.set(draft, "Health_Score", score);
        let discount = self.number(0, 4_000, 2);
        self.set(draft, "Discount", discount);
        let key = self.chance(15);
        self.set(draft, "Key_Account", Value::Boolean(key));
        if self.chance(20) {
            let text = self.words(150);
            self.set(
                draft,
                "Notes_Rich",
                Value::text(format!("<div><b>Notes</b> {text}</div>")),
            );
        }
        if self.chance(60) {
            let manager = self.id(&self.owners.clone());
            self.set(
                draft,
                "Success_Manager",
                manager.map_or(Value::Null, Value::Reference),
            );
        }
        if self.chance(25) {
            let rows: Vec<Row> = (0..self.random.random_range(1..4))
                .map(|row| {
                    let id = self.organisation.new_id();
                    let cells = json!({ "Product": format!("Product {row}"), "Quantity": row + 1, "Price": 99.5 });
                    Row { id, cells: cells.as_object().cloned().unwrap_or_default() }
                })
                .collect();
            self.set(draft, "Installed_Products", Value::Rows(Box::new(rows)));
        }
    }

    fn contacts(&mut self, spec: &OrganisationSpec, accounts: &[u64]) -> Vec<u64> {
        let count = spec.contacts();
        let mut made: Vec<u64> = Vec::with_capacity(count);
        let mut last_address = String::from("first@customer.example");
        for number in 0..count {
            let mut draft = self.draft("Contacts", number, count);
            let (first, last) = name(self.random);
            if !self.chance(4) {
                self.set(&mut draft, "First_Name", Value::text(first));
            }
            self.set(&mut draft, "Last_Name", Value::text(last));
            let fresh = format!(
                "{}.{}{number}@customer.example",
                mailbox(first),
                mailbox(last)
            );
            // A few share an address, or differ from another only in case or outer spaces; a few have none.
            let address = match number % 100 {
                17 | 61 => String::new(),
                33 => last_address.clone(),
                49 => last_address.to_uppercase(),
                83 => format!(" {last_address} "),
                _ => fresh.clone(),
            };
            if !address.is_empty() {
                last_address = address.trim().to_lowercase();
            }
            self.set(&mut draft, "Email", Value::text(address));
            if !self.chance(5) {
                let account = self.id(accounts);
                self.set(
                    &mut draft,
                    "Account_Name",
                    account.map_or(Value::Null, Value::Reference),
                );
            }
            if self.chance(10) {
                let superior = self.id(&made);
                self.set(
                    &mut draft,
                    "Reporting_To",
                    superior.map_or(Value::Null, Value::Reference),
                );
            }
            let (phone, mobile) = (self.phone(), self.phone());
            self.set(&mut draft, "Phone", phone);
            self.set(&mut draft, "Mobile", mobile);
            let title = self
                .one(&[
                    "Buyer",
                    "Engineer",
                    "Head of IT",
                    "Chef d’équipe",
                    "代表取締役",
                    "",
                ])
                .unwrap_or("");
            self.set(&mut draft, "Title", Value::text(title));
            let source = self
                .one(&[
                    "Advertisement",
                    "Cold Call",
                    "Web Research",
                    "Trade Show",
                    "",
                ])
                .unwrap_or("");
            self.set(&mut draft, "Lead_Source", Value::text(source));
            let opt_out = self.chance(10);
            self.set(&mut draft, "Email_Opt_Out", Value::Boolean(opt_out));
            if self.chance(30) {
                let birth = self.date(-25_000, -7_000);
                self.set(&mut draft, "Date_of_Birth", Value::Date(birth));
                let topics: Vec<String> = self
                    .one(&INTERESTS)
                    .map(str::to_owned)
                    .into_iter()
                    .collect();
                self.set(&mut draft, "Topics", Value::many(topics));
                let badge = self.number(1_000_000_000_000_000, 9_999_999_999_999_999, 0);
                self.set(&mut draft, "Badge_Number", badge);
            }
            self.address(&mut draft, "Mailing");
            made.push(self.keep(draft));
        }
        made
    }

    /// Accounts name contacts once there are some.
    fn decision_makers(&mut self, accounts: &[u64], contacts: &[u64]) {
        let Some(at) = self.organisation.position("Accounts") else {
            return;
        };
        for id in accounts.iter().step_by(5) {
            let Some(record) = self.organisation.table_at(at).get(*id).cloned() else {
                continue;
            };
            let mut draft = Draft { module: at, record };
            let mut targets: Vec<u64> = (0..2).filter_map(|_| self.id(contacts)).collect();
            targets.dedup();
            let billing = targets.first().copied();
            let links: Vec<(u64, u64)> = targets
                .into_iter()
                .map(|target| (self.organisation.new_id(), target))
                .collect();
            if !links.is_empty() {
                self.set(&mut draft, "Decision_Makers", Value::Links(Box::new(links)));
            }
            self.set(
                &mut draft,
                "Billing_Contact",
                billing.map_or(Value::Null, Value::Reference),
            );
            self.keep(draft);
        }
    }
}
