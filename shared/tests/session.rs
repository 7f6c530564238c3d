//! Stories of calling Zoho: tokens renewed once for everybody, lost grants, throttling, credits (C2, C3, C7, P7).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tandem::connection::{Connection, Organisation, Status};
use tandem::credit::Bucket;
use tandem::data_centre::{DataCentre, Directory};
use tandem::disposition::Disposition;
use tandem::flow::{Error, Session};
use tandem::identifier::ConnectionId;
use tandem::object::Object;
use tandem::port::{Connections as _, Coordination as _, Vault as _};
use tandem::secret::{Secret, Tokens};
use tandem_memory::{Fault, Granting, ScriptedZoho, SeededEntropy, When, World, interleave};

/// A world with the connection `acme`, enabled, its token good for an hour.
struct Story {
    world: World,
    zoho: Arc<ScriptedZoho>,
}

type Step<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

impl Story {
    async fn begin() -> Self {
        Self::of_seed(1).await
    }

    async fn of_seed(seed: u64) -> Self {
        let zoho = Arc::new(ScriptedZoho::default());
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let world = World::new(seed, now, Directory::zoho(), zoho.clone());
        let story = Self { world, zoho };
        story.connect("acme", "100").await;
        story
    }

    async fn connect(&self, id: &str, organisation: &str) {
        let (refresh, access) = (format!("refresh-{id}"), format!("access-{id}"));
        let directory = &self.world.directory;
        let granting = Granting::all(directory, DataCentre::Eu, organisation, id);
        let api_domain = directory.api_domain(DataCentre::Eu, &granting.api_domain);
        let stored = Organisation {
            id: organisation.into(),
            name: id.into(),
            time_zone: "Europe/Berlin".into(),
            data_centre: DataCentre::Eu,
            api_domain: api_domain.unwrap(),
            daily_credits: 60_000,
        };
        self.zoho.granted(&refresh, &access, granting);
        let (refresh, access) = (Secret::new(refresh), Secret::new(access));
        let id = id.parse().unwrap();
        let added = self.world.add_enabled(id, stored, refresh, access).await;
        added.unwrap();
    }

    async fn connection(&self, id: &str) -> Connection {
        let id = id.parse().unwrap();
        self.world.store.connection(&id).await.unwrap().unwrap()
    }

    async fn set_status(&self, status: Status) {
        let connection = self.connection("acme").await;
        let changed = Connection {
            status,
            ..connection
        };
        self.world.store.save_connection(changed).await.unwrap();
    }

    async fn open(&self) -> Result<Session, Error> {
        Session::open(&self.world.ports(), &self.connection("acme").await)
    }

    async fn session(&self) -> Session {
        self.open().await.unwrap()
    }

    /// A whole piece of work: a session of its own, one call.
    async fn work(&self) -> Result<(), Error> {
        let session = self.open().await?;
        let called = session.count(Object::Account).await;
        session.finish().await?;
        called.map(|_| ())
    }

    /// Work that is delivered again until it is done, as a queue does.
    async fn work_until_done(&self) {
        while let Err(error) = self.work().await {
            let waits = matches!(error.disposition(), Disposition::RetryAfter(_));
            assert!(waits, "{error}");
        }
    }

    fn tokens(&self) -> Tokens {
        self.world.vault.tokens_of(&acme()).unwrap()
    }

    fn minutes_pass(&self, minutes: i64) {
        self.world.clock.advance(SignedDuration::from_mins(minutes));
    }

    /// Somebody else has the lease on the tokens.
    async fn somebody_renews(&self) {
        let now = self.world.now();
        let until = now + SignedDuration::from_secs(60);
        let store = &self.world.store;
        let taken = store.lease(&acme(), "token", "somebody", now, until).await;
        assert!(taken.unwrap());
    }

    /// What the log says was done.
    fn log(&self) -> Vec<String> {
        let entries = self.world.store.all_entries(&acme());
        entries.into_iter().map(|entry| entry.action).collect()
    }
}

fn acme() -> ConnectionId {
    "acme".parse().unwrap()
}

#[tokio::test]
async fn a_fresh_token_is_read_once_and_used() {
    let story = Story::begin().await;
    let session = story.session().await;
    session.count(Object::Account).await.unwrap();
    session.fields(Object::Task).await.unwrap();
    assert_eq!(story.zoho.calls(), ["count", "fields"]);
    assert_eq!(story.world.faults.calls_of("tokens"), 1);
    assert_eq!(session.calls(), 2);
}

#[tokio::test]
async fn a_stale_token_is_renewed_early_and_kept_for_all() {
    let story = Story::begin().await;
    story.minutes_pass(56);
    story.work().await.unwrap();
    story.work().await.unwrap();
    assert_eq!(story.zoho.calls(), ["refresh", "count", "count"]);
    assert_eq!(story.tokens().generation, 2);
    assert_eq!(story.tokens().refresh.expose(), "refresh-acme");
}

#[tokio::test]
async fn a_stale_token_is_still_used_while_somebody_renews_it() {
    let story = Story::begin().await;
    story.minutes_pass(56);
    story.somebody_renews().await;
    let session = story.session().await;
    for _ in 0..3 {
        session.count(Object::Account).await.unwrap();
    }
    assert_eq!(story.zoho.calls(), ["count", "count", "count"]);
    let looks = story.world.faults.calls_of("lease");
    assert_eq!(looks, 1, "one look is enough for a while");
}

#[tokio::test]
async fn a_stale_token_is_still_used_while_the_accounts_server_is_down() {
    let story = Story::begin().await;
    story.minutes_pass(56);
    story.zoho.accounts_down(true);
    story.work().await.unwrap();
    story.minutes_pass(4);
    let error = story.work().await.unwrap_err();
    assert_eq!(error.disposition(), Disposition::Retry);
    story.zoho.accounts_down(false);
    story.work().await.unwrap();
}

#[tokio::test]
async fn an_expired_token_is_renewed_before_it_is_used() {
    let story = Story::begin().await;
    story.minutes_pass(61);
    story.work().await.unwrap();
    assert_eq!(story.zoho.calls(), ["refresh", "count"]);
}

#[tokio::test]
async fn work_waits_while_somebody_renews_an_expired_token() {
    let story = Story::begin().await;
    story.minutes_pass(61);
    story.somebody_renews().await;
    let error = story.work().await.unwrap_err();
    let Disposition::RetryAfter(after) = error.disposition() else {
        panic!("{error}")
    };
    assert!(after <= Duration::from_secs(60), "{after:?}");
    assert_eq!(story.zoho.calls(), [""; 0]);
}

#[tokio::test]
async fn of_many_at_once_exactly_one_renews() {
    for seed in 0..60 {
        let story = Story::of_seed(seed).await;
        story.minutes_pass(61);
        story.world.faults.give_way(true);
        let workers: Vec<Step<'_, ()>> = (0..6)
            .map(|_| -> Step<'_, ()> { Box::pin(story.work_until_done()) })
            .collect();
        interleave(&SeededEntropy::new(seed), workers).await;
        assert_eq!(story.zoho.calls_of("refresh"), 1, "seed {seed}");
        assert_eq!(story.zoho.calls_of("count"), 6, "seed {seed}");
    }
}

#[tokio::test]
async fn calls_side_by_side_in_one_session_renew_once() {
    for seed in 0..30 {
        let story = Story::of_seed(seed).await;
        story.zoho.expire_tokens();
        story.world.faults.give_way(true);
        let session = story.session().await;
        let calls = Object::ALL.map(|object| -> Step<'_, bool> {
            let called = session.count(object);
            Box::pin(async move { called.await.is_ok() })
        });
        let done = interleave(&SeededEntropy::new(seed), calls.into()).await;
        assert_eq!(done, [true; 5], "seed {seed}");
        assert_eq!(story.zoho.calls_of("refresh"), 1, "seed {seed}");
    }
}

#[tokio::test]
async fn a_crash_while_renewing_delays_the_others_for_a_minute() {
    for operation in ["refresh", "keep_tokens"] {
        for when in [When::Before, When::After] {
            let story = Story::begin().await;
            story.minutes_pass(61);
            story.world.faults.on(operation, 1, Fault::Crash(when));
            let crashed = story.world.faults.run(story.work()).await;
            assert!(crashed.is_err(), "{operation} {when:?}");
            story.world.faults.clear();
            story.minutes_pass(2);
            story.work().await.unwrap();
            let status = story.connection("acme").await.status;
            assert_eq!(status, Status::Enabled, "{operation} {when:?}");
        }
    }
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_renewed_once() {
    let story = Story::begin().await;
    story.zoho.expire_tokens();
    story.work().await.unwrap();
    assert_eq!(story.zoho.calls(), ["count", "refresh", "count"]);
}

#[tokio::test]
async fn a_token_that_somebody_renewed_already_is_taken_over() {
    let story = Story::begin().await;
    let slow = story.session().await;
    slow.count(Object::Account).await.unwrap();
    story.zoho.expire_tokens();
    story.work().await.unwrap();
    slow.count(Object::Account).await.unwrap();
    assert_eq!(story.zoho.calls_of("refresh"), 1);
}

#[tokio::test]
async fn a_token_refused_twice_ends_the_grant_without_a_third_call() {
    let story = Story::begin().await;
    story.zoho.reject_tokens(true);
    let session = story.session().await;
    for _ in 0..3 {
        let error = session.count(Object::Account).await.unwrap_err();
        assert_eq!(error.disposition(), Disposition::Reconnect);
    }
    assert_eq!(story.zoho.calls(), ["count", "refresh", "count"]);

    let connection = story.connection("acme").await;
    assert_eq!(connection.status, Status::NeedsReconnect);
    assert!(connection.reason.unwrap().contains("connect Zoho again"));
    assert!(story.open().await.is_err());
    assert_eq!(story.log(), ["needs_reconnect"]);
}

#[tokio::test]
async fn a_revoked_grant_stops_all_work_without_a_storm() {
    let story = Story::begin().await;
    story.zoho.revoke_grant("refresh-acme");
    for _ in 0..5 {
        let error = story.work().await.unwrap_err();
        assert_eq!(error.disposition(), Disposition::Reconnect);
    }
    assert_eq!(story.zoho.calls(), ["count", "refresh"]);
    assert_eq!(story.log(), ["needs_reconnect"]);
    let connection = story.connection("acme").await;
    assert_eq!(connection.status, Status::NeedsReconnect);
    assert!(connection.routine_due_at.is_some(), "it was switched on");
}

#[tokio::test]
async fn a_revoked_grant_is_marked_once_by_many_at_once() {
    for seed in 0..30 {
        let story = Story::of_seed(seed).await;
        story.zoho.revoke_grant("refresh-acme");
        story.world.faults.give_way(true);
        let workers: Vec<Step<'_, Disposition>> = (0..4)
            .map(|_| -> Step<'_, Disposition> {
                Box::pin(async { story.work().await.unwrap_err().disposition() })
            })
            .collect();
        interleave(&SeededEntropy::new(seed), workers).await;
        story.work().await.unwrap_err();
        let connection = story.connection("acme").await;
        assert_eq!(connection.status, Status::NeedsReconnect, "seed {seed}");
        assert_eq!(story.log(), ["needs_reconnect"], "seed {seed}");
    }
}

#[tokio::test]
async fn a_paused_connection_that_loses_its_grant_forgets_when_it_was_due() {
    let story = Story::begin().await;
    story.set_status(Status::Paused).await;
    story.zoho.revoke_grant("refresh-acme");
    story.work().await.unwrap_err();
    let connection = story.connection("acme").await;
    assert_eq!(connection.status, Status::NeedsReconnect);
    assert_eq!(
        connection.routine_due_at, None,
        "reconnecting leaves it off"
    );
}

#[tokio::test]
async fn a_disconnected_connection_stays_disconnected() {
    let story = Story::begin().await;
    let session = story.session().await;
    story.set_status(Status::Disconnected).await;
    story.world.vault.forget_tokens(&acme()).await.unwrap();
    session.count(Object::Account).await.unwrap_err();
    let status = story.connection("acme").await.status;
    assert_eq!(status, Status::Disconnected);
    assert!(story.open().await.is_err());
    assert_eq!(story.zoho.calls(), [""; 0]);
}

#[tokio::test]
async fn a_newer_grant_takes_over_from_a_revoked_one() {
    let story = Story::begin().await;
    let slow = story.session().await;
    slow.count(Object::Account).await.unwrap();
    story.zoho.revoke_grant("refresh-acme");
    let granting = Granting::all(&story.world.directory, DataCentre::Eu, "100", "acme");
    story.zoho.granted("refresh-new", "access-new", granting);
    let tokens = Tokens {
        refresh: Secret::new("refresh-new"),
        access: Secret::new("access-new"),
        generation: 7,
        ..story.tokens()
    };
    let vault = &story.world.vault;
    vault.keep_tokens(&acme(), &tokens).await.unwrap();
    slow.count(Object::Account).await.unwrap();
    assert_eq!(story.connection("acme").await.status, Status::Enabled);
    assert_eq!(story.tokens().refresh.expose(), "refresh-new");
    assert_eq!(story.zoho.calls_of("refresh"), 0);
}

/// Lets the customer reconnect just before the next call of that method, whatever lease is held.
fn reconnected_before(story: &Story, operation: &'static str) {
    let granting = Granting::all(&story.world.directory, DataCentre::Eu, "100", "acme");
    story.zoho.granted("refresh-new", "access-new", granting);
    let tokens = Tokens {
        refresh: Secret::new("refresh-new"),
        access: Secret::new("access-new"),
        expires_at: story.world.now() + SignedDuration::from_hours(1),
        generation: 7,
    };
    let vault = story.world.vault.clone();
    story.world.faults.decide(move |call| {
        if call.operation == operation {
            let connection = acme();
            let mut kept = vault.keep_tokens(&connection, &tokens);
            let mut context = Context::from_waker(Waker::noop());
            assert!(kept.as_mut().poll(&mut context).is_ready());
        }
        None
    });
}

#[tokio::test]
async fn a_renewal_does_not_overwrite_a_newer_grant() {
    let story = Story::begin().await;
    story.minutes_pass(61);
    reconnected_before(&story, "refresh");
    story.work().await.unwrap();
    assert_eq!(story.tokens().refresh.expose(), "refresh-new");
    assert_eq!(story.tokens().generation, 7);
}

#[tokio::test]
async fn a_refused_old_grant_does_not_end_a_newer_one() {
    let story = Story::begin().await;
    story.minutes_pass(61);
    story.zoho.revoke_grant("refresh-acme");
    reconnected_before(&story, "refresh");
    let error = story.work().await.unwrap_err();
    assert!(matches!(error.disposition(), Disposition::RetryAfter(_)));
    story.world.faults.clear();
    story.work().await.unwrap();
    assert_eq!(story.connection("acme").await.status, Status::Enabled);
    assert_eq!(story.log(), [""; 0]);
}

#[tokio::test]
async fn our_own_clients_mistake_is_not_the_customers() {
    let story = Story::begin().await;
    story.minutes_pass(61);
    for code in ["invalid_client", "invalid_client_secret"] {
        story.zoho.refuse_clients(Some(code));
        let error = story.work().await.unwrap_err();
        assert!(error.to_string().contains("oauth-client/eu"), "{error}");
        assert!(error.to_string().contains(code), "{error}");
        assert!(matches!(error.disposition(), Disposition::RetryAfter(_)));
    }
    assert_eq!(story.connection("acme").await.status, Status::Enabled);
    story.zoho.refuse_clients(None);
    story.work().await.unwrap();
}

#[tokio::test]
async fn throttling_pauses_the_connection_for_all_and_no_other() {
    let story = Story::begin().await;
    story.connect("other", "200").await;
    story.zoho.throttle(Some(Duration::from_secs(120)));
    let error = story.work().await.unwrap_err();
    let Disposition::RetryAfter(after) = error.disposition() else {
        panic!("{error}")
    };
    assert!((120..=151).contains(&after.as_secs()), "{after:?}");
    story.zoho.calm();

    let error = story.work().await.unwrap_err();
    assert!(matches!(error.disposition(), Disposition::RetryAfter(_)));
    assert_eq!(story.zoho.calls(), ["count"], "nobody calls while it lasts");
    assert_eq!(story.connection("other").await.paused_until, None);
    assert_eq!(story.log(), ["throttled"]);

    story.minutes_pass(3);
    story.work().await.unwrap();
}

#[tokio::test]
async fn a_throttled_session_makes_no_further_call() {
    let story = Story::begin().await;
    let session = story.session().await;
    story.zoho.throttle(None);
    session.count(Object::Account).await.unwrap_err();
    session.count(Object::Contact).await.unwrap_err();
    assert_eq!(story.zoho.calls(), ["count"]);
}

#[tokio::test]
async fn a_pause_that_did_not_help_is_followed_by_a_longer_one() {
    let story = Story::begin().await;
    story.zoho.throttle(None);
    let mut lengths = Vec::new();
    for _ in 0..2 {
        story.work().await.unwrap_err();
        let until = story.connection("acme").await.paused_until.unwrap();
        lengths.push(until.duration_since(story.world.now()).as_secs());
        story.world.clock.set(until + SignedDuration::from_secs(10));
    }
    assert!((60..=75).contains(&lengths[0]), "{lengths:?}");
    assert!((300..=375).contains(&lengths[1]), "{lengths:?}");
}

#[tokio::test]
async fn credits_are_counted_and_written_now_and_then() {
    let story = Story::begin().await;
    let from = Bucket::of(story.world.now());
    let spent = async || {
        let store = &story.world.store;
        store.credits_spent(&acme(), from).await.unwrap()
    };
    let session = story.session().await;
    for _ in 0..25 {
        session.count(Object::Account).await.unwrap();
    }
    assert_eq!((session.calls(), session.credits()), (25, 25));
    assert_eq!(spent().await, 20);
    session.finish().await.unwrap();
    session.finish().await.unwrap();
    assert_eq!(spent().await, 25);
    assert_eq!(story.world.store.writes().credits, 2);
}

#[tokio::test]
async fn a_tampered_table_redirects_no_token() {
    let story = Story::begin().await;
    let elsewhere = "https://www.zohoapis.com";
    let look_alike = "https://www.zohoapis.eu.evil.example";
    for foreign in [elsewhere, look_alike] {
        let mut connection = story.connection("acme").await;
        let organisation = connection.organisation.as_mut().unwrap();
        organisation.api_domain = serde_json::from_value(foreign.into()).unwrap();
        let opened = Session::open(&story.world.ports(), &connection);
        assert!(opened.is_err(), "{foreign}");
    }
}

#[tokio::test]
async fn a_refresh_moves_the_api_only_to_another_of_the_same_data_centre() {
    let old = "https://www.zohoapis.eu";
    let sandbox = "https://sandbox.zohoapis.eu";
    for (named, followed) in [
        ("https://evil.example", old),
        ("https://www.zohoapis.com", old),
        (sandbox, sandbox),
    ] {
        let story = Story::begin().await;
        let name = |granting: &mut Granting| granting.api_domain = named.into();
        story.zoho.change_grant("refresh-acme", name);
        story.minutes_pass(61);
        story.work().await.unwrap();
        assert_eq!(story.zoho.apis(), [followed]);
        let stored = story.connection("acme").await.organisation.unwrap();
        assert_eq!(stored.api_domain.as_str(), followed);
    }
}

#[tokio::test]
async fn each_connection_calls_with_its_own_token() {
    for seed in 0..20 {
        let story = Story::of_seed(seed).await;
        story.connect("other", "200").await;
        story.minutes_pass(61);
        story.world.faults.give_way(true);
        let ask = async |id: &str| {
            let connection = story.connection(id).await;
            let session = Session::open(&story.world.ports(), &connection).unwrap();
            match session.organisation().await {
                Ok(reply) => assert_eq!(reply.value.name, id),
                Err(error) => {
                    let waits = matches!(error.disposition(), Disposition::RetryAfter(_));
                    assert!(waits, "{error}");
                }
            }
        };
        let asks = ["acme", "other", "acme", "other"];
        let asks = asks.map(|id| -> Step<'_, ()> { Box::pin(ask(id)) });
        interleave(&SeededEntropy::new(seed), asks.into()).await;
    }
}
