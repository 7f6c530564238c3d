//! A throttled connection pauses for all functions, and no other connection feels anything of it (C7, P7).

#![expect(
    clippy::unwrap_used,
    reason = "the stories' own helpers fail as their tests do"
)]

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use stories::Story;
use tandem::connection::Organisation;
use tandem::flow::job::Deadline;
use tandem::flow::{edits, poll};
use tandem::identifier::ConnectionId;
use tandem::object::Object;
use tandem::port::{Connections as _, Due};
use tandem::secret::Secret;
use tandem::settings::Settings;
use zoho_sim::OrganisationSpec;
use zoho_sim::faults::Throttle;
use zoho_sim::oauth::Grant;

/// Two connections that share everything but their organisations.
struct Two {
    story: Story,
    other: ConnectionId,
    /// The other connection's organisation.
    organisation: u64,
    /// How many messages were handled, by connection.
    handled: BTreeMap<String, u32>,
}

fn editable() -> Json {
    json!({ "account_external_id": "External_ID", "core_writeback": true, "objects": { "contact": {
        "mappings": [{ "zoho": "Phone", "platform": "phone", "editable": true }]
    } } })
}

impl Two {
    async fn begin() -> Self {
        let story = Story::begin(6, editable()).await.unwrap();
        let spec = OrganisationSpec {
            accounts: 6,
            ..OrganisationSpec::small(8)
        };
        let organisation = story.zoho.add_organisation(&spec);
        let other: ConnectionId = "other".parse().unwrap();
        let first = story.world.store.connection(&story.connection()).await;
        let first = first.unwrap().unwrap().organisation.unwrap();
        let (access, refresh) = {
            let mut model = story.zoho.model();
            let user = model.organisation(organisation).unwrap().administrator();
            let scopes = [
                "ZohoCRM.modules.ALL",
                "ZohoCRM.users.READ",
                "ZohoCRM.coql.READ",
                "ZohoCRM.settings.fields.READ",
                "ZohoCRM.org.READ",
            ];
            let grant = Grant {
                client: format!("client-{}", first.data_centre),
                organisation,
                user,
                scopes: scopes.map(str::to_owned).to_vec(),
                dc: spec.dc.parse().unwrap_or_default(),
            };
            model.oauth.issue(grant, story.world.now())
        };
        let second = Organisation {
            id: organisation.to_string(),
            ..first
        };
        let (refresh, access) = (Secret::new(refresh), Secret::new(access));
        let store = &story.world.store;
        story
            .world
            .add_enabled(other.clone(), second, refresh, access)
            .await
            .unwrap();
        let settings: Settings = serde_json::from_value(editable()).unwrap();
        store
            .save_settings(&other, 0, &settings, story.world.now())
            .await
            .unwrap();
        Self {
            story,
            other,
            organisation,
            handled: BTreeMap::new(),
        }
    }

    /// Delivers whatever is due by then, each message at its time.
    async fn deliver_until(&mut self, until: Timestamp) {
        let world = &self.story.world;
        loop {
            if let Some(held) = world.queue.take_work() {
                let connection = held.message.connection().to_string();
                *self.handled.entry(connection).or_default() += 1;
                self.story.handle_work(&held.message).await.unwrap();
            } else if let Some(held) = world.queue.take_writeback() {
                let connection = held.message.connection().to_string();
                *self.handled.entry(connection).or_default() += 1;
                self.story.handle_writeback(&held.message).await.unwrap();
            } else if let Some(next) = world.queue.next_at().filter(|next| *next <= until) {
                world.clock.set(next);
            } else {
                world.clock.set(until);
                return;
            }
        }
    }

    async fn tick(&mut self, due: Due) {
        let deadline = Deadline(self.story.world.now() + SignedDuration::from_mins(5));
        let ticked = poll::tick(&self.story.ports(), due, deadline).await;
        assert_eq!(ticked.unwrap().failed, 0);
    }

    /// Edits a contact of each on the platform.
    async fn edit_both(&mut self, phone: &str) {
        for connection in [self.story.connection(), self.other.clone()] {
            let contacts = self
                .story
                .world
                .store
                .live_records(&connection, Object::Contact);
            let edit = json!({ "id": contacts[0].id, "fields": { "phone": phone } });
            let edit = serde_json::from_value(edit).unwrap();
            let ports = self.story.ports();
            edits::accept(&ports, &connection, Object::Contact, vec![edit])
                .await
                .unwrap();
        }
    }

    /// The phone number that a connection's first contact has in Zoho.
    fn phone_in_zoho(&self, connection: &ConnectionId, organisation: u64) -> Json {
        let contacts = self
            .story
            .world
            .store
            .live_records(connection, Object::Contact);
        let id = contacts[0].zoho_id.unwrap().to_string().parse().unwrap();
        let now = self.story.zoho.now();
        let model = self.story.zoho.model();
        model.record(organisation, "Contacts", id, now).unwrap()["Phone"].clone()
    }

    /// What was asked of an organisation since a request, and when.
    fn asked(&self, organisation: u64, since: u64) -> Vec<(Timestamp, String, Option<String>)> {
        let organisation = organisation.to_string();
        let model = self.story.zoho.model();
        let served = model.journal.since(since);
        served
            .filter(|served| served.organisation.as_deref() == Some(organisation.as_str()))
            .map(|served| {
                let call = format!("{} {} {}", served.method, served.path, served.status);
                (served.time, call, served.coql.clone())
            })
            .collect()
    }
}

/// An hour of routine syncs and edits of two connections, of which the first may be throttled; then the hour after.
async fn an_hour(retry_after: Option<Option<u32>>) -> (Two, u64) {
    let mut two = Two::begin().await;
    let now = two.story.world.now();
    two.tick(Due::Full).await;
    two.deliver_until(now + SignedDuration::from_mins(30)).await;
    two.tick(Due::Routine).await;
    two.deliver_until(now + SignedDuration::from_mins(45)).await;
    two.handled.clear();
    let since = two.story.latest_request();
    if let Some(retry_after) = retry_after {
        two.story.zoho.model().faults.throttle(Throttle {
            organisation: Some(two.story.organisation),
            until: Some(two.story.world.now() + SignedDuration::from_hours(1)),
            retry_after,
            ..Throttle::default()
        });
    }
    for quarter in 0..4 {
        two.tick(Due::Routine).await;
        two.edit_both(&format!("+1 555 020{quarter}")).await;
        let end = two.story.world.now() + SignedDuration::from_mins(15);
        two.deliver_until(end).await;
    }
    (two, since)
}

#[tokio::test]
async fn while_one_connection_is_throttled_for_an_hour_the_other_works_as_ever() {
    let (calm, calm_since) = an_hour(None).await;
    let undisturbed = calm.asked(calm.organisation, calm_since);
    assert!(undisturbed.len() > 20, "{}", undisturbed.len());
    for retry_after in [None, Some(600), Some(3_600)] {
        let (mut two, since) = an_hour(Some(retry_after)).await;
        assert_eq!(
            two.asked(two.organisation, since),
            undisturbed,
            "the very calls at the very times"
        );
        assert_eq!(two.handled["other"], calm.handled["other"]);
        let other = two.other.clone();
        assert_eq!(two.phone_in_zoho(&other, two.organisation), "+1 555 0203");

        let (acme, organisation) = (two.story.connection(), two.story.organisation);
        let tried = two.asked(organisation, since);
        let most = match retry_after {
            None => 14,
            Some(600) => 7,
            Some(_) => 1,
        };
        assert!(tried.len() <= most, "{retry_after:?}: {tried:#?}");
        assert!(
            tried.iter().all(|(_, call, _)| call.ends_with(" 429")),
            "{tried:#?}"
        );
        let handled = two.handled["acme"];
        assert!(handled <= 120, "{handled} messages in an hour");
        assert_ne!(two.phone_in_zoho(&acme, organisation), "+1 555 0203");

        let end = two.story.world.now() + SignedDuration::from_mins(60);
        two.deliver_until(end).await;
        assert_eq!(
            two.phone_in_zoho(&acme, organisation),
            "+1 555 0203",
            "without another tick"
        );
    }
}

#[tokio::test]
async fn a_night_that_is_due_while_zoho_throttles_comes_afterwards() {
    let mut two = Two::begin().await;
    let now = two.story.world.now();
    two.tick(Due::Full).await;
    two.deliver_until(now + SignedDuration::from_mins(30)).await;
    let acme = two.story.connection();
    let store = two.story.world.store.clone();
    let mut connection = store.connection(&acme).await.unwrap().unwrap();
    let due = connection.full_due_at.unwrap();
    connection.paused_until = Some(due + SignedDuration::from_mins(50));
    store.save_connection(connection).await.unwrap();
    let nights = || {
        store
            .all_runs(&acme)
            .iter()
            .filter(|run| run.kind == tandem::run::RunKind::Full)
            .count()
    };
    let before = nights();
    for after in [0, 61] {
        two.deliver_until(due + SignedDuration::from_mins(after))
            .await;
        two.tick(Due::Full).await;
        assert_eq!(nights() - before, usize::from(after > 0), "{after} minutes");
    }
}
