//! Whatever happens on both sides, in whatever order it is delivered and wherever it is cut off, both sides end up the same: as the rules of
//! the merge say, with nothing doubled, and silent (W4, P2, P4, P5, P6).

#![expect(
    clippy::unwrap_used,
    reason = "the stories' own helpers fail as their tests do"
)]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value as Json, json};
use stories::{Story, name};
use tandem::flow::{edits, writeback};
use tandem::message::{Edit, Version, Writeback};
use tandem::object::Object;
use tandem::port::Records as _;
use tandem::record::Record;
use tandem_memory::{Failure, Fault, SeededEntropy, When};

/// How many worlds are told.
const SEEDS: u64 = 24;

/// How often both sides are edited in each.
const ROUNDS: usize = 3;

/// Who wins a conflict over a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wins {
    Zoho,
    Platform,
    Latest,
}

/// A field of a contact: on the platform, in Zoho, and its rules.
struct Rule {
    platform: &'static str,
    zoho: &'static str,
    wins: Wins,
    direction: &'static str,
    /// A value that is taken away leaves the other side's alone.
    keep: bool,
    /// A multi-select to which values are added.
    choices: Option<&'static str>,
}

const fn rule(platform: &'static str, zoho: &'static str, wins: Wins) -> Rule {
    Rule {
        platform,
        zoho,
        wins,
        direction: "both",
        keep: false,
        choices: None,
    }
}

const RULES: [Rule; 8] = [
    rule("phone", "Phone", Wins::Zoho),
    rule("mobile", "Mobile", Wins::Platform),
    rule("title", "Title", Wins::Latest),
    Rule {
        keep: true,
        ..rule("department", "Department", Wins::Platform)
    },
    Rule {
        direction: "push",
        ..rule("description", "Description", Wins::Platform)
    },
    Rule {
        direction: "pull",
        ..rule("first_name", "First_Name", Wins::Zoho)
    },
    Rule {
        choices: Some("append"),
        ..rule("topics", "Topics", Wins::Zoho)
    },
    Rule {
        choices: Some("replace"),
        ..rule("street", "Mailing_Street", Wins::Latest)
    },
];

fn settings() -> Json {
    let mappings = RULES.map(|rule| {
        let wins = match rule.wins {
            Wins::Zoho => "zoho_wins",
            Wins::Platform => "platform_wins",
            Wins::Latest => "latest_wins",
        };
        json!({
            "zoho": rule.zoho, "platform": rule.platform, "direction": rule.direction, "conflicts": wins,
            "null": if rule.keep { "keep" } else { "clear" }, "choices": rule.choices.unwrap_or("replace"),
        })
    });
    json!({
        "core_writeback": true,
        "create_in_zoho": ["contact"],
        "objects": { "contact": {
            "custom_fields": { "topics": "choices", "street": "text" },
            "mappings": mappings.to_vec(),
        } }
    })
}

/// What a person typed on a side in this round.
#[derive(Debug, Clone, Default)]
struct Typed {
    values: BTreeMap<&'static str, Json>,
    at: BTreeMap<&'static str, Timestamp>,
}

/// The naive reference: what both sides showed before a round, what was typed on each, and what has to come of it.
fn expected(
    rule: &Rule,
    zoho: &Json,
    ours: &Typed,
    theirs: &Typed,
    modified: Option<Timestamp>,
) -> Json {
    let theirs_now = theirs.values.get(rule.platform).unwrap_or(zoho).clone();
    let Some(mine) = ours.values.get(rule.platform).filter(|mine| *mine != zoho) else {
        return theirs_now;
    };
    if rule.keep && mine.is_null() {
        return theirs_now;
    }
    let appended = || match (rule.choices, mine, &theirs_now) {
        (Some("append"), Json::Array(mine), Json::Array(theirs)) => {
            let mut all: Vec<&str> = mine.iter().chain(theirs).filter_map(Json::as_str).collect();
            all.sort_unstable();
            all.dedup();
            json!(all)
        }
        _ => mine.clone(),
    };
    let has = rule.choices == Some("append") && appended() == theirs_now;
    if *mine == theirs_now || has {
        return theirs_now;
    }
    let silent = theirs_now == *zoho || (rule.keep && theirs_now.is_null());
    let wins = match rule.wins {
        _ if silent || rule.direction == "push" => true,
        Wins::Platform => true,
        Wins::Zoho => false,
        Wins::Latest => modified.is_none_or(|modified| ours.at[rule.platform] > modified),
    };
    if wins { appended() } else { theirs_now }
}

struct Telling {
    story: Story,
    dice: SeededEntropy,
    typed: usize,
}

impl Telling {
    async fn begin(seed: u64) -> Self {
        let story = Story::begin(2, settings()).await.unwrap();
        story.full_sync().await.unwrap();
        Self {
            story,
            dice: SeededEntropy::new(seed),
            typed: 0,
        }
    }

    fn chance(&self, one_in: usize) -> bool {
        self.dice.below(one_in) == 0
    }

    /// A value for a field: few, so that both sides say the same now and then, and sometimes none.
    fn value(&mut self, rule: &Rule) -> Json {
        self.typed += 1;
        let number = self.dice.below(4);
        match rule.choices {
            Some("append") => {
                let all = ["Consulting", "Hardware", "Support", "Training"];
                json!([all[number]])
            }
            _ if self.chance(5) => Json::Null,
            // Going back to an earlier value is no edit where the other side keeps what it has.
            _ if rule.keep => json!(format!("only once {}", self.typed)),
            _ => json!(format!("value {number}")),
        }
    }

    /// People edit a record on both sides before anything is delivered.
    async fn edit(&mut self, zoho: &str, id: &str) -> (Typed, Typed) {
        let (mut ours, mut theirs) = (Typed::default(), Typed::default());
        let by_message = self.chance(2);
        let steps = self.dice.below(5);
        for _ in 0..steps {
            self.story.pass(SignedDuration::from_millis(700));
            let mut fields = Map::new();
            let on_platform = self.chance(2);
            for rule in &RULES {
                let may = rule.direction != if on_platform { "pull" } else { "push" };
                if may && self.chance(3) {
                    let value = self.value(rule);
                    let typed = if on_platform { &mut ours } else { &mut theirs };
                    typed.values.insert(rule.platform, value.clone());
                    typed.at.insert(rule.platform, self.story.world.now());
                    let field = if on_platform {
                        rule.platform
                    } else {
                        rule.zoho
                    };
                    fields.insert(field.to_owned(), value);
                }
            }
            if fields.is_empty() {
                continue;
            }
            match (on_platform, by_message) {
                (false, _) => {
                    let values = Json::Object(fields);
                    self.story.zoho_edits("Contacts", zoho, &values).unwrap();
                }
                (true, false) => {
                    let fields = Json::Object(fields);
                    let answer = self.story.submit(Object::Contact, id, fields).await;
                    assert!(answer.unwrap().accepted);
                }
                // The platform's own service edits in one message, so that its edits are stored at once.
                (true, true) => {}
            }
        }
        if by_message && !ours.values.is_empty() {
            let now = self.story.world.now();
            ours.at.values_mut().for_each(|at| *at = now);
            let edit = json!({ "id": id, "fields": ours.values });
            let message = Writeback::Edit {
                version: Version,
                connection: self.story.connection(),
                object: Object::Contact,
                edits: vec![serde_json::from_value(edit).unwrap()],
            };
            self.story.world.queue.writeback.send([message]);
        }
        (ours, theirs)
    }

    /// Delivers what waits in any order, some of it twice, with calls that fail and processes that end anywhere.
    async fn storm(&self) {
        let queue = &self.story.world.queue.writeback;
        let faults = self.story.world.faults.clone();
        for _ in 0..400 {
            if self.chance(4) {
                queue.duplicate(0);
            }
            let calm = self.chance(2);
            let Some(held) = queue.take_any(&self.dice) else {
                match queue.next_at() {
                    Some(next) => self.story.world.clock.set(next),
                    None => break,
                }
                continue;
            };
            if !calm {
                let when = [When::Before, When::Midway, When::After][self.dice.below(3)];
                let fault = match self.dice.below(4) {
                    0 => Fault::Fail(when, Failure::Unavailable),
                    1 => Fault::Fail(When::Before, Failure::Conflict),
                    _ => Fault::Crash(when),
                };
                faults.at(1 + self.dice.below(25) as u64, fault);
            }
            let received = writeback::Received {
                message: held.message.clone(),
                sent_at: held.sent_at,
            };
            let (ports, connection) = (self.story.ports(), self.story.connection());
            let deadline =
                tandem::flow::job::Deadline(self.story.world.now() + SignedDuration::from_mins(5));
            let handled = faults
                .run(writeback::handle(
                    &ports,
                    &connection,
                    &[received],
                    deadline,
                ))
                .await;
            faults.clear();
            if !matches!(handled, Ok(Ok(()))) {
                queue.put_back(held);
                // Meanwhile the lease of one that ended amid a creation runs out.
                self.story.pass(SignedDuration::from_secs(100));
            }
        }
        assert!(queue.is_empty(), "the queue runs dry");
    }

    /// What Zoho shows of the rules' fields; a multi-select sorted.
    fn zoho(&self, id: &str) -> BTreeMap<&'static str, Json> {
        let row = self.story.row("Contacts", id).unwrap();
        let shown = |rule: &Rule| match &row[rule.zoho] {
            Json::Array(values) => {
                let mut values: Vec<&str> = values.iter().filter_map(Json::as_str).collect();
                values.sort_unstable();
                if values.is_empty() {
                    Json::Null
                } else {
                    json!(values)
                }
            }
            value => value.clone(),
        };
        RULES
            .iter()
            .map(|rule| (rule.platform, shown(rule)))
            .collect()
    }

    fn agree(&self, record: &Record, zoho: &BTreeMap<&'static str, Json>) {
        for rule in &RULES {
            let ours = record.fields.get(&name(rule.platform));
            let ours = ours.map_or(Json::Null, tandem::value::Value::to_json);
            let theirs = &zoho[rule.platform];
            let kept = rule.keep && (ours.is_null() || theirs.is_null());
            if rule.direction != "push" && !kept {
                assert_eq!(&ours, theirs, "{}", rule.platform);
            }
        }
        assert!(record.pending.is_empty(), "{:?}", record.pending);
        assert_eq!(record.parked, None);
    }

    async fn settle(&self) {
        self.story.deliver().await.unwrap();
        self.story.pass(tandem::connection::ROUTINE_INTERVAL);
        self.story.tick().await.unwrap();
        self.story.full_sync().await.unwrap();
    }

    fn writes(&self, since: u64) -> usize {
        let calls = self.story.calls_since(since);
        let write = |call: &&String| !call.starts_with("GET") && !call.ends_with("/coql");
        calls.iter().filter(write).count()
    }
}

async fn tell(seed: u64) {
    let mut telling = Telling::begin(seed).await;
    let contacts = telling.story.present(Object::Contact).into_iter().take(4);
    let contacts: Vec<(String, String)> = contacts
        .map(|zoho| {
            let record = telling.story.record_of(Object::Contact, &zoho).unwrap();
            (zoho, record.id.to_string())
        })
        .collect();
    let account = telling.story.present(Object::Account).pop_first().unwrap();
    let account = telling
        .story
        .record_of(Object::Account, &account)
        .unwrap()
        .id;
    let mut made = Vec::new();
    for round in 0..ROUNDS {
        let mut outcomes = Vec::new();
        for (zoho, id) in &contacts {
            let before = telling.zoho(zoho);
            let (ours, theirs) = telling.edit(zoho, id).await;
            let modified = theirs.at.values().max().copied();
            // Zoho counts whole seconds.
            let modified = modified.map(|at| Timestamp::from_second(at.as_second()).unwrap());
            outcomes.push((zoho, id, before, ours, theirs, modified));
        }
        let new = format!("new-{round}@example.com");
        let fields = json!({ "last_name": "New", "account": account, "phone": "1" });
        let edit: Edit = serde_json::from_value(json!({ "id": new, "fields": fields })).unwrap();
        let (ports, connection) = (telling.story.ports(), telling.story.connection());
        let answers = edits::accept(&ports, &connection, Object::Contact, vec![edit]).await;
        assert!(answers.unwrap()[0].accepted);
        made.push(new);

        telling.storm().await;
        telling.settle().await;
        for (zoho, id, before, ours, theirs, modified) in outcomes {
            let after = telling.zoho(zoho);
            for rule in &RULES {
                let expected = expected(rule, &before[rule.platform], &ours, &theirs, modified);
                assert_eq!(
                    after[rule.platform], expected,
                    "seed {seed}, round {round}, {}: {before:?}, ours {ours:?}, theirs {theirs:?}",
                    rule.platform
                );
            }
            let record = telling.story.record(Object::Contact, id).await.unwrap();
            telling.agree(&record, &after);
        }
    }
    let rows = telling.story.rows("Contacts").unwrap();
    for new in &made {
        let same = rows.iter().filter(|row| row["Email"] == new.as_str());
        assert_eq!(same.count(), 1, "seed {seed}: {new} is there once");
    }
    let ids = made
        .iter()
        .map(|id| id.parse().unwrap())
        .collect::<Vec<_>>();
    let (store, connection) = (&telling.story.world.store, telling.story.connection());
    let records = store
        .records(&connection, Object::Contact, &ids)
        .await
        .unwrap();
    assert!(records.iter().all(|record| record.zoho_id.is_some()));

    let (request, before) = (telling.story.latest_request(), telling.story.writes());
    telling.story.pass(SignedDuration::from_hours(1));
    telling.story.full_sync().await.unwrap();
    let after = telling.story.writes();
    assert_eq!(
        telling.writes(request),
        0,
        "seed {seed}: Zoho is left alone"
    );
    assert_eq!(
        (after.records, after.links),
        (before.records, before.links),
        "seed {seed}: the platform is left alone"
    );
}

#[tokio::test]
async fn both_sides_come_to_the_same_whatever_happens() {
    for seed in 0..SEEDS {
        tell(seed).await;
    }
}
