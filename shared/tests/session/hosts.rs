//! Tokens go to the hosts of their own data centre and organisation only (C2, P7).

use tandem::disposition::Disposition;
use tandem::flow::Session;
use tandem_memory::{Granting, SeededEntropy, interleave};

use crate::story::{Step, Story};

#[tokio::test]
async fn a_tampered_table_redirects_no_token() {
    let story = Story::begin().await;
    let elsewhere = "https://www.zohoapis.com";
    let look_alike = "https://www.zohoapis.eu.evil.example";
    for foreign in [elsewhere, look_alike] {
        let mut connection = story.connection("acme").await;
        let organisation = connection.organisation.as_mut().unwrap();
        organisation.api_domain = serde_json::from_value(foreign.into()).unwrap();
        let opened = story.open_for(&connection).await;
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
            let session = story.open_for(&connection).await.unwrap();
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
