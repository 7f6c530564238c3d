//! Consent, tokens, revocation.

use std::time::Duration;

use tandem::credit;

use super::*;

#[tokio::test]
async fn a_grant_from_consent_to_revocation() {
    let (_server, crm, directory, _) = unconnected(OrganisationSpec::small(1)).await;
    let (centre, code) = consent(&directory, SCOPES).await;
    assert_eq!(centre, DataCentre::Eu);
    let ours = client("the secret");
    for (client, redirect, refused) in [
        (client("another"), CALLBACK, "invalid_client_secret"),
        (
            ours.clone(),
            "https://other.example",
            "invalid_redirect_uri",
        ),
    ] {
        let error = crm
            .exchange(centre, &client, &code, redirect)
            .await
            .unwrap_err();
        assert!(matches!(error, CrmError::Refused { code, .. } if code == refused));
    }
    let elsewhere = crm.exchange(DataCentre::Us, &ours, &code, CALLBACK).await;
    assert!(matches!(elsewhere, Err(CrmError::GrantRefused { .. })));
    let grant = crm.exchange(centre, &ours, &code, CALLBACK).await.unwrap();
    assert_eq!(grant.expires_in, Duration::from_secs(3_600));
    let again = crm.exchange(centre, &ours, &code, CALLBACK).await;
    assert!(matches!(again, Err(CrmError::GrantRefused { code }) if code == "invalid_code"));

    let refresh = grant.refresh.clone().unwrap();
    let renewed = crm.refresh(centre, &ours, &refresh).await.unwrap();
    assert!(renewed.refresh.is_none());
    assert!(!renewed.access.matches(grant.access.expose()));
    let caller = caller(&directory, centre, &renewed);
    let organisation = crm.organisation(&caller).await.unwrap().value;
    assert_eq!(organisation.time_zone, "America/New_York");
    assert!(credit::allowance(&organisation.edition, organisation.users) > 50_000);

    let elsewhere = Caller {
        api: directory
            .api_domain(DataCentre::Us, &directory.accounts(DataCentre::Us))
            .unwrap(),
        ..caller.clone()
    };
    let error = crm.organisation(&elsewhere).await.unwrap_err();
    assert!(matches!(error, CrmError::Unauthorised { code } if code == "INVALID_TOKEN"));

    crm.revoke(centre, &refresh).await.unwrap();
    crm.revoke(centre, &refresh).await.unwrap();
    let error = crm.refresh(centre, &ours, &refresh).await.unwrap_err();
    assert!(matches!(error, CrmError::GrantRefused { code } if code == "invalid_code"));
    let error = crm.organisation(&caller).await.unwrap_err();
    assert!(matches!(error, CrmError::Unauthorised { .. }));
}

#[tokio::test]
async fn too_many_tokens_are_throttled() {
    let world = World::new(OrganisationSpec::small(1)).await;
    let ours = client("the secret");
    let mut throttled = false;
    for _ in 0..12 {
        match world
            .crm
            .refresh(DataCentre::Eu, &ours, &world.refresh)
            .await
        {
            Ok(_) => assert!(!throttled),
            Err(CrmError::Throttled { .. }) => throttled = true,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(throttled);
}
