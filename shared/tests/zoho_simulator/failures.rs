//! Tokens that end, scopes that lack, limits, and Zoho's bad moments.

use std::time::Duration;

use zoho_sim::faults::{Fault, Moment, Throttle};

use super::*;

impl World {
    async fn read(&self) -> Result<(), CrmError> {
        let since = Timestamp::from_second(0).unwrap();
        let which = Which::Changed { since, after: None };
        self.select(Object::Contact, which, 1).await.map(|_| ())
    }

    async fn write(&self) -> Result<(), CrmError> {
        let records = [record(&json!({ "Last_Name": "Lost" }))];
        let reply = self
            .crm
            .insert(&self.caller, Object::Contact, &records, &[])
            .await?;
        assert!(reply.value[0].is_ok());
        Ok(())
    }

    fn fail(&self, path: &str, status: u16, moment: Moment) {
        self.server.zoho().faults.fail(Fault {
            path: path.into(),
            status,
            moment,
            ..Fault::default()
        });
    }

    fn lost(&self) -> usize {
        let contacts = self.records("Contacts");
        contacts
            .iter()
            .filter(|contact| contact["Last_Name"] == "Lost")
            .count()
    }
}

#[tokio::test]
async fn a_token_that_ended_is_unauthorised_until_it_is_renewed() {
    let mut world = World::new(OrganisationSpec::small(21)).await;
    world
        .server
        .zoho()
        .oauth
        .revoke_all(world.organisation, false);
    for refused in [world.read().await, world.write().await] {
        let error = refused.unwrap_err();
        assert!(matches!(error, CrmError::Unauthorised { code } if code == "INVALID_TOKEN"));
    }
    let renewed = world
        .crm
        .refresh(DataCentre::Eu, &client("the secret"), &world.refresh)
        .await
        .unwrap();
    world.caller.token = renewed.access;
    assert!(world.read().await.is_ok());
}

#[tokio::test]
async fn a_scope_that_lacks_is_named() {
    let scopes = "ZohoCRM.modules.contacts.READ,ZohoCRM.coql.READ";
    let world = World::granting(OrganisationSpec::small(22), scopes).await;
    assert!(world.read().await.is_ok());
    let (crm, caller) = (&world.crm, &world.caller);
    let accounts = Which::Ids(vec![ZohoId::MAX]);
    for (error, scope) in [
        (
            world.write().await.unwrap_err(),
            "ZohoCRM.modules.contacts.CREATE",
        ),
        (
            world
                .select(Object::Account, accounts, 1)
                .await
                .unwrap_err(),
            "ZohoCRM.modules.accounts.READ",
        ),
        (
            crm.users(caller, 1, None).await.unwrap_err(),
            "ZohoCRM.users.READ",
        ),
        (
            crm.organisation(caller).await.unwrap_err(),
            "ZohoCRM.org.READ",
        ),
        (
            crm.fields(caller, Object::Deal).await.unwrap_err(),
            "ZohoCRM.settings.fields.READ",
        ),
    ] {
        let CrmError::Forbidden { code, what, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(code, "OAUTH_SCOPE_MISMATCH");
        assert!(what.contains(scope), "{what}");
    }
}

#[tokio::test]
async fn throttling_says_how_long() {
    let world = World::new(OrganisationSpec::small(23)).await;
    for retry_after in [Some(17), None] {
        world.server.zoho().faults.throttle(Throttle {
            calls: Some(2),
            retry_after,
            ..Throttle::default()
        });
        let expected = retry_after.map(|seconds| Duration::from_secs(seconds.into()));
        for refused in [world.read().await, world.write().await] {
            let error = refused.unwrap_err();
            assert!(matches!(error, CrmError::Throttled { after } if after == expected));
        }
        assert!(world.read().await.is_ok());
    }
    world
        .server
        .zoho()
        .organisation_mut(world.organisation)
        .unwrap()
        .credit_limit = Some(0);
    let error = world.read().await.unwrap_err();
    assert!(matches!(error, CrmError::Throttled { after: None }));
}

#[tokio::test]
async fn credits_are_told_as_zoho_counts_them() {
    let world = World::new(OrganisationSpec::small(24)).await;
    let (crm, caller) = (&world.crm, &world.caller);
    world
        .server
        .zoho()
        .organisation_mut(world.organisation)
        .unwrap()
        .credit_limit = Some(100);
    let mut spent = world.credits();
    let mut check = |told: u64, left: Option<u64>| {
        let now = world.credits();
        assert_eq!(told, now - spent);
        assert_eq!(left, (now >= 50).then(|| 100 - now));
        spent = now;
    };
    for limit in [1, 200, 201, 1_000, 1_001, 2_000] {
        let select = Select {
            object: Object::Account,
            columns: Vec::new(),
            which: Which::Ids(vec![ZohoId::MAX]),
            limit,
        };
        let reply = crm.select(caller, &select).await.unwrap();
        check(reply.credits, reply.credits_left);
    }
    let reply = crm
        .count(caller, Count::all(Object::Account))
        .await
        .unwrap();
    check(reply.credits, reply.credits_left);
    let reply = crm.users(caller, 1, None).await.unwrap();
    check(reply.credits, reply.credits_left);
    let reply = crm.fields(caller, Object::Task).await.unwrap();
    check(reply.credits, reply.credits_left);
    let reply = crm.organisation(caller).await.unwrap();
    check(reply.credits, reply.credits_left);
    for records in [1, 10, 11, 100] {
        let records = vec![record(&json!({ "Last_Name": "Many" })); records];
        let reply = crm
            .insert(caller, Object::Contact, &records, &[])
            .await
            .unwrap();
        check(reply.credits, reply.credits_left);
        assert!((reply.server_time.as_second() - world.server.now().as_second()).abs() < 60);
    }
}

#[tokio::test]
async fn a_bad_moment_leaves_the_effect_unknown() {
    let world = World::new(OrganisationSpec::small(25)).await;
    for (status, moment, effect) in [
        (500, Moment::Before, 0),
        (503, Moment::After, 1),
        (0, Moment::Before, 0),
        (0, Moment::After, 1),
    ] {
        let before = world.lost();
        world.fail("/crm/v8/Contacts", status, moment);
        let error = world.write().await.unwrap_err();
        assert!(matches!(error, CrmError::Unavailable { .. }), "{error:?}");
        assert_eq!(world.lost() - before, effect, "{status} {moment:?}");
    }
    for path in [
        "/coql",
        "/users",
        "/org",
        "/settings/fields",
        "/oauth/v2/token",
    ] {
        for status in [502, 0] {
            world.fail(path, status, Moment::Before);
            let (crm, caller) = (&world.crm, &world.caller);
            let error = match path {
                "/coql" => world.read().await.err(),
                "/users" => crm.users(caller, 1, None).await.err(),
                "/org" => crm.organisation(caller).await.err(),
                "/settings/fields" => crm.fields(caller, Object::Task).await.err(),
                _ => crm
                    .refresh(DataCentre::Eu, &client("the secret"), &world.refresh)
                    .await
                    .err(),
            };
            let unavailable = matches!(error, Some(CrmError::Unavailable { .. }));
            assert!(unavailable, "{path} {status} {error:?}");
        }
    }
    assert!(world.read().await.is_ok());
    let World {
        server,
        crm,
        caller,
        ..
    } = world;
    server.stop().await.unwrap();
    let error = crm.organisation(&caller).await.unwrap_err();
    assert!(matches!(error, CrmError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_module_that_is_switched_off_is_refused() {
    let world = World::new(OrganisationSpec::small(26)).await;
    world
        .server
        .zoho()
        .disable_module(world.organisation, "Contacts", true)
        .unwrap();
    for refused in [world.read().await, world.write().await] {
        let error = refused.unwrap_err();
        assert!(matches!(error, CrmError::Refused { code, .. } if code == "INVALID_MODULE"));
    }
}

#[tokio::test]
async fn no_secret_is_in_any_url_that_the_simulator_saw() {
    let world = World::new(OrganisationSpec::small(27)).await;
    world.read().await.unwrap();
    world
        .crm
        .revoke(DataCentre::Eu, &world.refresh)
        .await
        .unwrap();
    let zoho = world.server.zoho();
    let entries: Vec<_> = zoho.journal.since(0).collect();
    let revoked = entries
        .iter()
        .find(|entry| entry.path.ends_with("/revoke"))
        .unwrap();
    assert!(revoked.query.is_empty(), "{revoked:?}");
    for entry in entries {
        let shown = format!("{entry:?}");
        assert!(!shown.contains(world.refresh.expose()));
        assert!(!shown.contains(world.caller.token.expose()));
    }
}
