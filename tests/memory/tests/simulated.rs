//! The simulated Zoho in this process: the real adapter above it, its time the test's, its calls under way at once.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::sync::Arc;

use jiff::SignedDuration;
use tandem::data_centre::DataCentre;
use tandem::object::Object;
use tandem::port::{Caller, CrmError};
use tandem::row::{JsonText, Outgoing};
use tandem::secret::Secret;
use tandem::select::Count;
use tandem_memory::{SimulatedZoho, World};
use zoho_sim::OrganisationSpec;
use zoho_sim::faults::Moment;
use zoho_sim::oauth::{Client, Grant};

struct Setting {
    world: World,
    zoho: Arc<SimulatedZoho>,
    organisation: u64,
    caller: Caller,
}

fn setting() -> Setting {
    let (world, zoho) = World::simulated(7, "2026-11-23T10:00:00Z".parse().unwrap());
    let spec = OrganisationSpec::small(7);
    let organisation = zoho.add_organisation(&spec);
    let centre: DataCentre = spec.dc.parse().unwrap();
    let token = {
        let mut model = zoho.model();
        model.oauth.register(Client {
            id: "client".into(),
            name: "Tandem".into(),
            secret: None,
            secrets: Default::default(),
            redirect_uris: Vec::new(),
        });
        let grant = Grant {
            client: "client".into(),
            organisation,
            user: model.organisation(organisation).unwrap().administrator(),
            scopes: ["ZohoCRM.modules.ALL", "ZohoCRM.coql.READ"]
                .map(str::to_owned)
                .into(),
            dc: spec.dc.parse().unwrap(),
        };
        model.oauth.issue(grant, world.now()).0
    };
    let api = world.directory.accounts(centre);
    let caller = Caller {
        api: world.directory.api_domain(centre, &api).unwrap(),
        token: Secret::new(token),
    };
    Setting {
        world,
        zoho,
        organisation,
        caller,
    }
}

impl Setting {
    async fn count(&self) -> Result<u64, CrmError> {
        let crm = &self.world.crm;
        Ok(crm
            .count(&self.caller, Count::all(Object::Account))
            .await?
            .value)
    }

    fn limit(&self, calls: u32) {
        let mut model = self.zoho.model();
        let organisation = model.organisation_mut(self.organisation).unwrap();
        organisation.concurrency_limit = Some(calls);
    }
}

#[tokio::test]
async fn its_time_is_the_tests() {
    let setting = setting();
    let reply = setting
        .world
        .crm
        .count(&setting.caller, Count::all(Object::Account))
        .await
        .unwrap();
    assert_eq!((reply.value, reply.server_time), (24, setting.world.now()));
    setting.world.clock.advance(SignedDuration::from_mins(61));
    let late = setting.count().await;
    assert!(
        matches!(late, Err(CrmError::Unauthorised { .. })),
        "{late:?}"
    );
}

#[tokio::test]
async fn a_reply_can_be_lost_after_the_effect() {
    let setting = setting();
    let lost = zoho_sim::faults::Fault {
        moment: Moment::After,
        status: 0,
        ..Default::default()
    };
    setting.zoho.model().faults.fail(lost);
    let record = Outgoing::from([("Account_Name".to_owned(), JsonText::of(&"Acme".into()))]);
    let answer = setting
        .world
        .crm
        .insert(&setting.caller, Object::Account, &[record], &[])
        .await;
    assert!(
        matches!(answer, Err(CrmError::Unavailable { .. })),
        "{answer:?}"
    );
    assert_eq!(setting.count().await.unwrap(), 25);
}

#[tokio::test]
async fn calls_are_under_way_at_once_and_give_their_place_back() {
    let setting = setting();
    setting.limit(1);
    let answers = tokio::join!(setting.count(), setting.count());
    assert_eq!(answers.0.as_ref().unwrap(), &24);
    assert!(
        matches!(answers.1, Err(CrmError::Throttled { .. })),
        "{answers:?}"
    );
    assert_eq!(setting.count().await.unwrap(), 24);
}

#[tokio::test]
async fn a_caller_that_ends_gives_its_place_back() {
    let setting = setting();
    setting.limit(1);
    let mut call = Box::pin(setting.count());
    let polled = std::future::poll_fn(|context| {
        let polled = call.as_mut().poll(context);
        std::task::Poll::Ready(polled.is_pending())
    });
    assert!(polled.await, "it is under way");
    drop(call);
    assert_eq!(setting.count().await.unwrap(), 24);
}
