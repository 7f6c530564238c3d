//! The full sync's merge join against a naive model that knows all rows at once: whatever rows and links there are, however they are cut
//! into slices and pages, and although every message is delivered twice.

#![expect(
    clippy::unwrap_used,
    reason = "the model's own helpers fail as its tests do"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tandem::connection::Organisation;
use tandem::data_centre::{DataCentre, Directory};
use tandem::flow::job::Deadline;
use tandem::flow::preview::preview;
use tandem::flow::{runs, work};
use tandem::foresight::{Proposal, Totals};
use tandem::identifier::{ConnectionId, PlatformId, ZohoId};
use tandem::object::Object;
use tandem::port::{Connections as _, Coordination as _};
use tandem::record::{Link, Standing};
use tandem::run::{Counter, RunKind, RunStatus};
use tandem::secret::Secret;
use tandem::select::PAGE_ROWS;
use tandem::settings::Settings;
use tandem_memory::{ManualClock, RowsZoho, World, Writes};

const ACCOUNTS: u64 = 14;

/// An account in Zoho.
#[derive(Debug, Clone)]
struct Account {
    tier: &'static str,
    external_id: Option<u8>,
    name: u8,
    /// How many contacts it has.
    contacts: u8,
}

/// Zoho as it is on one day, by account number.
type Day = BTreeMap<u64, Account>;

fn account() -> impl Strategy<Value = Account> {
    (
        prop::sample::select(vec!["gold", "gold", "gold", "iron"]),
        prop::option::weighted(0.85, 0u8..10),
        0u8..3,
        0u8..3,
    )
        .prop_map(|(tier, external_id, name, contacts)| Account {
            tier,
            external_id,
            name,
            contacts,
        })
}

/// Days on which some accounts are as they were, some are others and some are gone.
fn days() -> impl Strategy<Value = Vec<Day>> {
    let change = prop_oneof![
        3 => Just(None),
        2 => prop::option::weighted(0.75, account()).prop_map(Some),
    ];
    let changes = prop::collection::vec(prop::collection::vec(change, ACCOUNTS as usize), 1..4);
    let first = prop::collection::vec(prop::option::weighted(0.8, account()), ACCOUNTS as usize);
    (first, changes).prop_map(|(first, changes)| {
        let mut day: Day = (1..)
            .zip(first)
            .filter_map(|(id, row)| Some((id, row?)))
            .collect();
        let mut days = vec![day.clone()];
        for changes in changes {
            for (id, change) in (1..).zip(changes) {
                match change {
                    None => {}
                    Some(Some(account)) => {
                        day.insert(id, account);
                    }
                    Some(None) => {
                        day.remove(&id);
                    }
                }
            }
            days.push(day.clone());
        }
        days
    })
}

fn id(number: u64) -> ZohoId {
    (number * 100).to_string().parse().unwrap()
}

fn external(number: u8) -> PlatformId {
    format!("X-{number}").parse().unwrap()
}

struct House {
    world: World,
    zoho: Arc<RowsZoho>,
}

impl House {
    async fn build(page: usize) -> Self {
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::at(now));
        let zoho = Arc::new(RowsZoho::new(clock.clone(), page));
        let world = World::with_clock(1, clock, Directory::zoho(), zoho.clone());
        let organisation = Organisation {
            id: "1".into(),
            name: "Acme".into(),
            time_zone: "Europe/Berlin".into(),
            data_centre: DataCentre::Eu,
            api_domain: Directory::zoho()
                .api_domain(DataCentre::Eu, "https://www.zohoapis.eu")
                .unwrap(),
            edition: "enterprise".into(),
            daily_credits: 50_000,
        };
        world
            .add_enabled(
                connection(),
                organisation,
                Secret::new("refresh"),
                Secret::new("access"),
            )
            .await
            .unwrap();
        let house = Self { world, zoho };
        house.save(&settings("gold")).await;
        house
    }

    async fn save(&self, settings: &Settings) {
        let store = &self.world.store;
        let version = store.settings(&connection()).await.unwrap().version;
        store
            .save_settings(&connection(), version, settings, self.world.now())
            .await
            .unwrap();
    }

    fn dawn(&self, day: &Day) {
        self.world.clock.advance(SignedDuration::from_mins(30));
        let modified = self.world.now().to_string();
        self.zoho.clear(Object::Account);
        self.zoho.clear(Object::Contact);
        for (number, account) in day {
            let key = account
                .external_id
                .map(|number| external(number).to_string());
            let row = json!({ "id": id(*number).to_string(), "Modified_Time": modified, "Tier": account.tier,
                "AccountExternalID": key, "Account_Name": format!("name {}", account.name), "Website": null, "Owner": null, "Parent_Account": null });
            self.zoho.put(Object::Account, row);
            for index in 0..account.contacts {
                let id = contact(*number, index);
                let row = json!({ "id": id.to_string(), "Modified_Time": modified, "Email": format!("{id}@example.com"),
                    "Last_Name": "N", "First_Name": null, "Phone": null, "Account_Name": { "id": (number * 100).to_string() }, "Owner": null });
                self.zoho.put(Object::Contact, row);
            }
        }
    }

    /// Plants the ids at which the next full sync is cut.
    async fn cut(&self, marks: &BTreeSet<u64>) {
        let store = &self.world.store;
        let runs = store.all_runs(&connection());
        let Some(last) = runs
            .iter()
            .rfind(|run| run.kind == RunKind::Full && run.status == RunStatus::Complete)
        else {
            return;
        };
        let slices = store.slices(&connection(), &last.id).await.unwrap();
        for mut slice in slices {
            let first = slice.key.stage.compares() && slice.key.index == 0;
            slice.marks = match first && slice.key.object == Object::Account {
                true => marks.iter().map(|number| id(*number)).collect(),
                false => Vec::new(),
            };
            store.save_slice(&mut slice).await.unwrap();
        }
    }

    /// A run whose every message is delivered twice; how many candidates for removal the accounts had.
    async fn run(&self, kind: RunKind) -> u64 {
        let ports = self.world.ports();
        let run = runs::start(&ports, &connection(), kind).await.unwrap();
        while let Some(held) = self.world.queue.take_work() {
            for _ in 0..2 {
                let deadline = Deadline(self.world.now() + SignedDuration::from_mins(5));
                work::handle(&ports, &held.message, deadline).await.unwrap();
            }
        }
        let store = &self.world.store;
        let ended = store.run(&connection(), &run.id).await.unwrap().unwrap();
        assert_eq!(ended.status, RunStatus::Complete, "{:?}", ended.reason);
        let slices = store.slices(&connection(), &run.id).await.unwrap();
        slices
            .iter()
            .filter(|slice| slice.key.object == Object::Account)
            .map(|slice| slice.counters.get(Counter::Candidates))
            .sum()
    }

    fn links(&self, object: Object) -> BTreeMap<ZohoId, Link> {
        let links = self.world.store.all_links(&connection()).into_iter();
        links
            .filter(|link| link.object == object)
            .map(|link| (link.zoho_id, link))
            .collect()
    }

    fn present(&self, object: Object) -> BTreeMap<PlatformId, ZohoId> {
        let records = self.world.store.live_records(&connection(), object);
        records
            .into_iter()
            .filter_map(|record| Some((record.id, record.zoho_id?)))
            .collect()
    }
}

fn connection() -> ConnectionId {
    "acme".parse().unwrap()
}

fn contact(account: u64, index: u8) -> ZohoId {
    let number = account * 100 + 10 + u64::from(index);
    number.to_string().parse().unwrap()
}

fn settings(tier: &str) -> Settings {
    let settings: Json = json!({
        "removal_guard": { "percent": 100, "records": 1000 },
        "objects": { "account": { "filter": { "where": { "field": "Tier", "comparator": "equal", "value": tier } } } }
    });
    serde_json::from_value(settings).unwrap()
}

/// Which rows may be which record, by the rules and nothing else.
struct Model {
    /// Who had each external id before.
    owners: BTreeMap<PlatformId, ZohoId>,
    /// Who may have it now.
    contenders: BTreeMap<PlatformId, BTreeSet<ZohoId>>,
    /// Who had it before it was removed and has no other: it comes back as that, unless a namesake was there in the meantime.
    returning: BTreeMap<PlatformId, BTreeSet<ZohoId>>,
}

impl Model {
    fn of(day: &Day, before: &BTreeMap<ZohoId, Link>) -> Self {
        let mut contenders: BTreeMap<PlatformId, BTreeSet<ZohoId>> = BTreeMap::new();
        let mut returning = contenders.clone();
        for (number, account) in day.iter().filter(|(_, account)| account.tier == "gold") {
            let link = before.get(&id(*number));
            let own = account.external_id.map(external);
            // An emptied external id is kept until there is another.
            let linked = link.and_then(Link::platform_id).cloned();
            let known = link.and_then(Link::known_as).cloned();
            if let Some(wanted) = own.or(linked) {
                contenders.entry(wanted).or_default().insert(id(*number));
            } else if let Some(wanted) = known {
                returning.entry(wanted).or_default().insert(id(*number));
            }
        }
        let owners = before
            .values()
            .filter_map(|link| Some((link.platform_id()?.clone(), link.zoho_id)))
            .collect();
        Self {
            owners,
            contenders,
            returning,
        }
    }

    /// Whether somebody gives an external id up that others wait for, or several wait for one: the order of pages says who gets it, and when.
    fn depends_on_order(&self) -> bool {
        !self.returning.is_empty()
            || self.contenders.iter().any(|(wanted, who)| {
                let owner = self.owners.get(wanted);
                owner.is_some_and(|owner| !who.contains(owner))
                    || (owner.is_none() && who.len() > 1)
            })
    }

    /// Who has each external id, given who says so: whoever had it and still may, else one of those who may.
    fn check_owners(&self, present: &BTreeMap<PlatformId, ZohoId>) {
        let may = |of: &BTreeMap<PlatformId, BTreeSet<ZohoId>>, wanted, who| {
            of.get(wanted).is_some_and(|all| all.contains(who))
        };
        for (wanted, who) in present {
            assert!(
                may(&self.contenders, wanted, who) || may(&self.returning, wanted, who),
                "{who} can't be {wanted}"
            );
        }
        for (wanted, who) in &self.contenders {
            let has = present.get(wanted);
            assert!(has.is_some(), "nobody is {wanted}");
            if let Some(owner) = self.owners.get(wanted).filter(|owner| who.contains(owner)) {
                assert_eq!(has, Some(owner), "{wanted} is kept");
            }
        }
    }

    /// How each Zoho record stands, given who has what.
    fn standings(
        &self,
        day: &Day,
        before: &BTreeMap<ZohoId, Link>,
        present: &BTreeMap<PlatformId, ZohoId>,
    ) -> BTreeMap<ZohoId, (Standing, bool)> {
        let mut found = BTreeMap::new();
        for number in 1..=ACCOUNTS {
            let zoho_id = id(number);
            let known = before.get(&zoho_id).and_then(Link::known_as).cloned();
            let account = day.get(&number).filter(|account| account.tier == "gold");
            let owned = present
                .iter()
                .find(|(_, owner)| **owner == zoho_id)
                .map(|(id, _)| id.clone());
            let own = account
                .and_then(|account| account.external_id)
                .map(external);
            let standing = match (account, owned, own) {
                (None, _, _) => known.map(|id| (Standing::Removed(id), false)),
                (Some(_), Some(owned), _) => Some((Standing::Linked(owned), true)),
                (Some(_), None, Some(own)) => Some((Standing::Duplicate(own), false)),
                (Some(_), None, None) => Some((Standing::Unmatched, false)),
            };
            found.extend(standing.map(|standing| (zoho_id, standing)));
        }
        found
    }
}

fn standings(links: &BTreeMap<ZohoId, Link>) -> BTreeMap<ZohoId, (Standing, bool)> {
    let links = links.values();
    links
        .map(|link| (link.zoho_id, (link.standing.clone(), link.in_scope)))
        .collect()
}

fn is_quiet(written: Writes) -> bool {
    written.records == 0 && written.links == 0 && written.candidates == 0 && written.awaiting == 0
}

async fn compare_with_the_model(days: &[Day], page: usize, marks: &BTreeSet<u64>) {
    let house = House::build(page).await;
    for day in days {
        house.dawn(day);
        house.cut(marks).await;
        let before = house.links(Object::Account);
        let model = Model::of(day, &before);
        let candidates = house.run(RunKind::Full).await;
        let gone = before.values().filter(|link| {
            let stays = |(number, account): (&u64, &Account)| {
                id(*number) == link.zoho_id && account.tier == "gold"
            };
            link.platform_id().is_some() && !day.iter().any(stays)
        });
        assert_eq!(candidates, gone.count() as u64);
        if model.depends_on_order() {
            // Two nights at most: the first frees what the second gives out.
            house.run(RunKind::Full).await;
            house.run(RunKind::Full).await;
        }
        let present = house.present(Object::Account);
        model.check_owners(&present);
        let after = house.links(Object::Account);
        assert_eq!(standings(&after), model.standings(day, &before, &present));
        for record in house
            .world
            .store
            .live_records(&connection(), Object::Account)
        {
            let owner = record.zoho_id.unwrap();
            let row = day.iter().find(|(number, _)| id(**number) == owner);
            let name = record.fields[&"name".parse().unwrap()]
                .as_text()
                .map(str::to_owned);
            assert_eq!(
                name,
                row.map(|(_, account)| format!("name {}", account.name))
            );
        }
        let contacts: BTreeSet<ZohoId> = day
            .iter()
            .filter(|(number, _)| present.values().any(|owner| *owner == id(**number)))
            .flat_map(|(number, account)| {
                (0..account.contacts).map(move |index| contact(*number, index))
            })
            .collect();
        let found: BTreeSet<ZohoId> = house.present(Object::Contact).into_values().collect();
        assert_eq!(found, contacts);
        assert!(house.world.store.all_candidates(&connection()).is_empty());
        let before = house.world.store.writes();
        house.run(RunKind::Full).await;
        let written = house.world.store.writes() - before;
        assert!(is_quiet(written), "a quiet night wrote: {written:?}");
    }
}

/// Previews another tier to the end, one page at a time, makes it so, and compares what came and went.
async fn foretell(days: &[Day], page: usize) {
    let house = House::build(page).await;
    for day in days {
        house.dawn(day);
        house.run(RunKind::Full).await;
        house.run(RunKind::Full).await;
    }
    let links = house.links(Object::Account);
    let last = days.last().cloned().unwrap_or_default();
    // Whether somebody comes back as what a namesake has been since depends on who is looked at first.
    let returns = last.iter().any(|(number, account)| {
        let link = links.get(&id(*number));
        account.external_id.is_none() && link.is_some_and(|link| link.known_as().is_some())
    });
    // Who of several gets what an owner on a later page gives up depends on where the pages are cut.
    let mut contended = BTreeSet::new();
    let iron = last.values().filter(|account| account.tier == "iron");
    let contended = iron
        .filter_map(|account| account.external_id)
        .filter(|number| !contended.insert(*number))
        .count();
    if returns || (contended > 0 && page < PAGE_ROWS) {
        return;
    }
    let store = &house.world.store;
    let connected = store.connection(&connection()).await.unwrap().unwrap();
    let (current, wanted) = (settings("gold"), settings("iron"));
    let proposal = Proposal {
        current: &current,
        wanted: &wanted,
    };
    let ports = house.world.ports();
    let mut foreseen: BTreeMap<Object, Totals> = BTreeMap::new();
    for object in [Object::Account, Object::Contact] {
        let mut progress = None;
        loop {
            let deadline = Deadline(house.world.now());
            let part = preview(&ports, &connected, proposal, object, progress, deadline)
                .await
                .unwrap();
            foreseen.insert(object, part.totals);
            progress = part.next;
            if progress.is_none() {
                break;
            }
        }
    }
    let present = |object| {
        let present = house.present(object).into_values();
        present.collect::<BTreeSet<ZohoId>>()
    };
    let before = [Object::Account, Object::Contact].map(present);
    house.save(&wanted).await;
    house.world.clock.advance(SignedDuration::from_mins(15));
    house.run(RunKind::Routine).await;
    // Who takes over from an owner on a later page does so the night after.
    house.run(RunKind::Full).await;
    house.run(RunKind::Full).await;
    let after = [Object::Account, Object::Contact].map(present);
    for (object, (before, after)) in [Object::Account, Object::Contact]
        .into_iter()
        .zip(before.iter().zip(&after))
    {
        let came = after.difference(before).count() as u64;
        let went = before.difference(after).count() as u64;
        let totals = &foreseen[&object];
        assert_eq!(
            (totals.entering, totals.leaving()),
            (came, went),
            "{object}s: {totals:?}"
        );
    }
}

fn block_on(story: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(story);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_join_is_what_a_naive_model_says(
        days in days(),
        page in prop_oneof![1usize..6, Just(PAGE_ROWS)],
        marks in prop::collection::btree_set(1u64..=ACCOUNTS, 0..5),
    ) {
        block_on(compare_with_the_model(&days, page, &marks));
    }

    #[test]
    fn a_preview_counts_what_then_comes_and_goes(days in days(), page in prop_oneof![1usize..6, Just(PAGE_ROWS)]) {
        block_on(foretell(&days, page));
    }
}
