//! The story: each step does something, waits until the system is silent, and checks what became of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use zoho_sim::{Server, Zoho};

use super::CONNECTION;
use super::measure::Look;
use super::progress::{Bars, counter};
use super::report::Report;
use super::teller::{Checks, Teller};
use crate::{FUNCTIONS, InScope, World, in_scope};

/// How long a run may take before the story gives up.
pub(super) const RUN_BUDGET: Duration = Duration::from_secs(1_800);

/// The Zoho modules of the objects that come by COQL.
const MODULES: [(&str, &str); 4] = [
    ("account", "Accounts"),
    ("contact", "Contacts"),
    ("deal", "Deals"),
    ("task", "Tasks"),
];

/// What an operator would set up for the sample organisation.
pub(super) fn settings() -> Value {
    json!({
        "account_external_id": "External_ID",
        "core_writeback": true,
        "objects": {
            "account": {
                "filter": { "where": { "field": "Customer_Status", "comparator": "equal", "value": "Active" } },
                "custom_fields": { "status": "choice", "health": "decimal" },
                "mappings": [
                    { "zoho": "Customer_Status", "platform": "status" },
                    { "zoho": "Health_Score", "platform": "health", "editable": true }
                ]
            },
            "contact": { "mappings": [{ "zoho": "Phone", "platform": "phone", "editable": true }] }
        }
    })
}

fn is_active(account: &Value) -> bool {
    account["Customer_Status"] == "Active"
}

/// Tells the story with the simulated Zoho.
pub(super) async fn simulated(world: &World) -> Report {
    let mut teller = Teller::new(world);
    let told = teller.tell().await;
    teller.report(told)
}

impl Teller<'_> {
    async fn tell(&mut self) -> Result<()> {
        let mut look = Look::take(self.world).await?;
        look = self.connect(look).await?;
        look = self.full_sync("full sync", look).await?;
        look = self.hundred_changes(look).await?;
        look = self
            .quiet_routine("routine sync, nothing changed", look)
            .await?;
        look = self.edits(look).await?;
        look = self
            .quiet_routine("routine sync after the edits: no echo", look)
            .await?;
        look = self.leaving(look).await?;
        look = self.quiet_full(look).await?;
        look = self.calculated_fields(look).await?;
        self.logs(look).await
    }

    async fn connect(&mut self, before: Look) -> Result<Look> {
        let began = Instant::now();
        let console = &self.world.console;
        console
            .post(
                "/api/connections",
                &json!({ "id": CONNECTION, "name": "Sample organisation" }),
            )
            .await?;
        console.save_settings(CONNECTION, &settings()).await?;
        self.world.connect(CONNECTION, "us").await?;
        self.end("connect", before, began, async |teller, _, _, checks| {
            let connection = teller
                .world
                .console
                .get(&format!("/api/connections/{CONNECTION}"))
                .await?;
            checks.holds(
                "the connection knows its organisation",
                connection["organisation"]["id"].is_string(),
            );
            checks.equal("status", connection["status"].as_str(), Some("paused"));
            Ok(())
        })
        .await
    }

    async fn full_sync(&mut self, name: &str, before: Look) -> Result<Look> {
        let began = Instant::now();
        let console = &self.world.console;
        let connection = console
            .get(&format!("/api/connections/{CONNECTION}"))
            .await?;
        let run = match connection["status"] == "enabled" {
            true => console.start_run(CONNECTION, "full").await?,
            // Enabling starts the first full sync.
            false => {
                console
                    .post(&format!("/api/connections/{CONNECTION}/enable"), &json!({}))
                    .await?;
                console.latest_run(CONNECTION, "full").await?
            }
        };
        let ended = {
            let bars = Bars::new(&self.rows()?);
            console
                .await_run(CONNECTION, &run, RUN_BUDGET, |run| bars.show(run))
                .await?
        };
        self.end(name, before, began, async |teller, _, after, checks| {
            checks.equal(
                "status of the run",
                ended["status"].as_str(),
                Some("complete"),
            );
            checks.compare_scope(after, &teller.in_scope()?);
            let certificates = ended["certificates"].as_array().into_iter().flatten();
            let agreed = certificates.filter(|certificate| certificate["verdict"] == "agrees");
            checks.equal("objects whose counts agree", agreed.count(), MODULES.len());
            for (object, rows) in teller.rows()? {
                checks.equal(
                    &format!("rows read of {object}s"),
                    counter(&ended, object, "rows_read"),
                    rows as u64,
                );
            }
            Ok(())
        })
        .await
    }

    pub(super) fn in_scope(&self) -> Result<InScope> {
        let zoho = self.zoho()?;
        let (organisation, now) = (organisation(zoho), zoho.now());
        in_scope(&zoho.zoho(), organisation, now, is_active)
    }

    /// How many rows Zoho has of each object.
    fn rows(&self) -> Result<BTreeMap<&'static str, usize>> {
        let zoho = self.zoho()?;
        let (organisation, now) = (organisation(zoho), zoho.now());
        let guard = zoho.zoho();
        let mut rows = BTreeMap::from([(
            "user",
            guard
                .organisation(organisation)
                .map_or(0, |found| found.users.len()),
        )]);
        for (object, module) in MODULES {
            rows.insert(object, guard.records(organisation, module, now)?.len());
        }
        Ok(rows)
    }

    async fn hundred_changes(&mut self, before: Look) -> Result<Look> {
        let scope = self.in_scope()?;
        let of = |object: &str, number: usize| {
            scope
                .get(object)
                .into_iter()
                .flatten()
                .take(number)
                .cloned()
                .collect::<Vec<_>>()
        };
        let plan = [
            (
                "Accounts",
                of("account", 20),
                json!({ "Website": "https://changed.example" }),
            ),
            (
                "Contacts",
                of("contact", 50),
                json!({ "Phone": "+1 555 0199" }),
            ),
            ("Deals", of("deal", 20), json!({ "Amount": 4321.5 })),
            (
                "Tasks",
                of("task", 10),
                json!({ "Description": "Changed in Zoho." }),
            ),
        ];
        let mut changed = 0;
        {
            let zoho = self.zoho()?;
            let (organisation, now) = (organisation(zoho), zoho.now());
            let mut guard = zoho.zoho();
            for (module, ids, values) in plan {
                for id in ids {
                    edit(&mut guard, organisation, module, &id, &values, now)?;
                    changed += 1;
                }
            }
        }
        let began = Instant::now();
        // The schedule's own function finds the connection due, because enabling made it so.
        self.world.stack.invoke("poller", &json!({})).await?;
        self.end(
            "a hundred changes in Zoho, routine sync",
            before,
            began,
            async |teller, before, after, checks| {
                checks.equal("records written", before.records_written(after), changed);
                checks.compare_scope(after, &teller.in_scope()?);
                let arrived = |object: &str, field: &str, value: &Value| {
                    after
                        .present()
                        .filter(|(of, record)| *of == object && shows(record, field, value))
                        .count()
                };
                checks.holds(
                    "websites arrived",
                    arrived("account", "domain", &json!("https://changed.example"))
                        >= 20.min(changed as usize),
                );
                checks.holds(
                    "phones arrived",
                    arrived("contact", "phone", &json!("+1 555 0199")) >= 1,
                );
                checks.holds(
                    "amounts arrived",
                    arrived("deal", "amount", &json!("4321.5")) >= 1,
                );
                Ok(())
            },
        )
        .await
    }

    async fn quiet_routine(&mut self, name: &str, before: Look) -> Result<Look> {
        let began = Instant::now();
        let request = self.zoho()?.zoho().journal.latest();
        let run = self.world.console.start_run(CONNECTION, "routine").await?;
        self.world
            .console
            .await_run(CONNECTION, &run, RUN_BUDGET, |_| {})
            .await?;
        self.end(
            name,
            before,
            began,
            async |teller, before, after, checks| {
                checks.equal("records written", before.records_written(after), 0);
                checks.equal("links written", before.links_written(after), 0);
                let guard = teller.zoho()?.zoho();
                let calls = guard
                    .journal
                    .since(request)
                    .filter(|served| served.path.contains("/crm/"))
                    .count();
                checks.equal("calls to Zoho, one per object", calls, 5);
                Ok(())
            },
        )
        .await
    }

    async fn edits(&mut self, before: Look) -> Result<Look> {
        let began = Instant::now();
        let ids = |object: &str, number: usize| {
            let found = before
                .present()
                .filter(|(of, _)| *of == object)
                .filter_map(|(_, record)| record.get("sk")?.as_str());
            found.take(number).map(str::to_owned).collect::<Vec<_>>()
        };
        let (accounts, contacts, tasks) = (ids("account", 10), ids("contact", 20), ids("task", 5));
        let console = &self.world.console;
        let bulk = |object: &str, edits: Vec<Value>| {
            let path = format!("/api/connections/{CONNECTION}/{object}/edits");
            async move { console.post(&path, &json!({ "edits": edits })).await }
        };
        let edit = |id: &String, fields: Value| json!({ "id": id, "fields": fields });
        bulk(
            "account",
            accounts
                .iter()
                .map(|id| edit(id, json!({ "health": "87.25" })))
                .collect(),
        )
        .await?;
        bulk(
            "contact",
            contacts
                .iter()
                .map(|id| edit(id, json!({ "phone": "+49 30 555 0123" })))
                .collect(),
        )
        .await?;
        let new_tasks: Vec<Value> = accounts
            .iter()
            .enumerate()
            .map(|(number, account)| edit(&format!("demo-task-{number}"), json!({ "subject": format!("Call about renewal {number}"), "account": account })))
            .collect();
        let done = tasks
            .iter()
            .map(|id| edit(id, json!({ "status": "Completed" })));
        bulk("task", new_tasks.into_iter().chain(done).collect()).await?;
        self.end(
            "edits on the platform, writeback",
            before,
            began,
            async |teller, before, after, checks| {
                let zoho = teller.zoho()?;
                let (organisation, now) = (organisation(zoho), zoho.now());
                let guard = zoho.zoho();
                let rows = |module: &str| guard.records(organisation, module, now);
                let having = |rows: Vec<Value>, field: &str, value: Value| {
                    rows.iter().filter(|row| row[field] == value).count()
                };
                checks.equal(
                    "accounts with the new score in Zoho",
                    having(rows("Accounts")?, "Health_Score", json!(87.25)),
                    accounts.len(),
                );
                checks.equal(
                    "contacts with the new phone in Zoho",
                    having(rows("Contacts")?, "Phone", json!("+49 30 555 0123")),
                    contacts.len(),
                );
                let subjects: Vec<String> = rows("Tasks")?
                    .iter()
                    .filter_map(|row| {
                        row["Subject"]
                            .as_str()
                            .filter(|subject| subject.starts_with("Call about renewal "))
                    })
                    .map(str::to_owned)
                    .collect();
                checks.equal("new tasks in Zoho", subjects.len(), accounts.len());
                checks.equal(
                    "different new tasks in Zoho",
                    subjects.iter().collect::<BTreeSet<_>>().len(),
                    accounts.len(),
                );
                let pending = after
                    .present()
                    .filter(|(_, record)| record.contains_key("pending_key"))
                    .count();
                checks.equal("edits still waiting", pending, 0);
                let most = (accounts.len() * 2 + contacts.len() + tasks.len()) as u64;
                checks.holds(
                    "only the edited records were written",
                    before.records_written(after) == most,
                );
                Ok(())
            },
        )
        .await
    }

    async fn leaving(&mut self, before: Look) -> Result<Look> {
        let leaving: Vec<String> = self
            .in_scope()?
            .get("account")
            .into_iter()
            .flatten()
            .take(3)
            .cloned()
            .collect();
        {
            let zoho = self.zoho()?;
            let (organisation, now) = (organisation(zoho), zoho.now());
            let mut guard = zoho.zoho();
            for id in &leaving {
                edit(
                    &mut guard,
                    organisation,
                    "Accounts",
                    id,
                    &json!({ "Customer_Status": "Churned" }),
                    now,
                )?;
            }
        }
        let began = Instant::now();
        let run = self.world.console.start_run(CONNECTION, "routine").await?;
        self.world
            .console
            .await_run(CONNECTION, &run, RUN_BUDGET, |_| {})
            .await?;
        let after = self
            .end(
                "accounts leave the filter: a routine sync removes nothing",
                before,
                began,
                async |_, before, after, checks| {
                    checks.equal(
                        "records on the platform",
                        after.present().count(),
                        before.present().count(),
                    );
                    Ok(())
                },
            )
            .await?;
        self.full_sync(
            "the full sync removes them with what belongs to them",
            after,
        )
        .await
    }

    async fn quiet_full(&mut self, before: Look) -> Result<Look> {
        let began = Instant::now();
        let run = self.world.console.start_run(CONNECTION, "full").await?;
        let ended = self
            .world
            .console
            .await_run(CONNECTION, &run, RUN_BUDGET, |_| {})
            .await?;
        self.end(
            "full sync, nothing changed",
            before,
            began,
            async |_, before, after, checks| {
                checks.equal(
                    "status of the run",
                    ended["status"].as_str(),
                    Some("complete"),
                );
                checks.equal("records written", before.records_written(after), 0);
                checks.equal("links written", before.links_written(after), 0);
                Ok(())
            },
        )
        .await
    }

    /// Looks through every line that the functions logged for what must not be in one.
    async fn logs(&mut self, before: Look) -> Result<()> {
        let began = Instant::now();
        self.end_now(
            "no secret and no personal data in any log line",
            before,
            began,
            async |teller, _, _, checks| {
                let zoho = teller.zoho()?;
                let (organisation, now) = (organisation(zoho), zoho.now());
                let mut forbidden: BTreeSet<String> = BTreeSet::from([
                    teller.world.operator.clone(),
                    "1000.".to_owned(),
                    "Zoho-oauthtoken".to_owned(),
                ]);
                for row in zoho.zoho().records(organisation, "Contacts", now)? {
                    let texts = ["Email", "Phone", "Full_Name"].map(|field| {
                        row[field]
                            .as_str()
                            .map(str::trim)
                            .unwrap_or_default()
                            .to_owned()
                    });
                    forbidden.extend(texts.into_iter().filter(|text| text.chars().count() > 6));
                }
                let mut lines = 0;
                for function in FUNCTIONS {
                    for line in teller.world.stack.logs(function).await? {
                        lines += 1;
                        if let Some(found) =
                            forbidden.iter().find(|text| line.contains(text.as_str()))
                        {
                            // What was found is not said again.
                            checks.fails(format!(
                                "a log line of {function} holds a forbidden text of {} characters",
                                found.chars().count()
                            ));
                        }
                    }
                }
                checks.holds("the functions log something", lines > 0);
                Ok(())
            },
        )
        .await
        .map(drop)
    }
}

impl Checks {
    /// Compares what is on the platform with what should be.
    fn compare_scope(&mut self, look: &Look, scope: &InScope) {
        for (object, wanted) in scope {
            let found: BTreeSet<String> = look
                .present()
                .filter(|(of, _)| of == object)
                .filter_map(|(_, record)| record.get("zoho_id")?.as_str().map(str::to_owned))
                .collect();
            let missing = wanted.difference(&found).count();
            let beyond = found.difference(wanted).count();
            self.equal(&format!("{object}s missing"), missing, 0);
            self.equal(&format!("{object}s that should not be there"), beyond, 0);
        }
    }
}

/// Whether a stored record shows a value.
fn shows(record: &Map<String, Value>, field: &str, value: &Value) -> bool {
    // Stored values name their type: {"text": "x"}.
    let stored = record
        .get("fields")
        .and_then(|fields| fields.get(field))
        .and_then(Value::as_object);
    stored.is_some_and(|typed| typed.values().any(|plain| plain == value))
}

pub(super) fn organisation(zoho: &Server) -> u64 {
    zoho.zoho()
        .organisations()
        .next()
        .map(|organisation| organisation.id)
        .unwrap_or_default()
}

pub(super) fn edit(
    zoho: &mut Zoho,
    organisation: u64,
    module: &str,
    id: &str,
    values: &Value,
    now: jiff::Timestamp,
) -> Result<()> {
    let values = values.as_object().context("values are an object")?;
    Ok(zoho.edit(organisation, module, id.parse()?, values, None, now)?)
}
