//! The secrets.

use jiff::SignedDuration;
use tandem::data_centre::DataCentre;
use tandem::identifier::ConnectionId;
use tandem::secret::{Secret, Tokens};

use crate::setting::{Safe, Setting};

type Safes = Setting<dyn Safe>;

fn tokens(at: &Safes, generation: u64) -> Tokens {
    Tokens {
        refresh: Secret::new(format!("1000.refresh-{generation}.\"é\u{1F511}")),
        access: Secret::new(format!("1000.access-{generation}")),
        expires_at: at.now + SignedDuration::from_millis(3_600_001),
        generation,
        centre: (generation > 1).then_some(DataCentre::Eu),
    }
}

/// What tokens say, to be compared.
fn said(tokens: &Tokens) -> (String, String, jiff::Timestamp, u64, Option<DataCentre>) {
    let text = |secret: &Secret| secret.expose().to_owned();
    (
        text(&tokens.refresh),
        text(&tokens.access),
        tokens.expires_at,
        tokens.generation,
        tokens.centre,
    )
}

async fn holds(at: &Safes, connection: &ConnectionId, expected: Option<&Tokens>) {
    let look = async || {
        at.port
            .vault()
            .tokens(connection)
            .await
            .unwrap()
            .as_ref()
            .map(said)
    };
    at.eventually(look, expected.map(said)).await;
}

pub(crate) async fn tokens_are_kept_replaced_and_forgotten(at: &Safes) {
    let id = at.connection();
    holds(at, &id, None).await;
    at.port.vault().forget_tokens(&id).await.unwrap();
    for generation in [1, 2, u64::from(u32::MAX)] {
        let kept = tokens(at, generation);
        at.port.vault().keep_tokens(&id, &kept).await.unwrap();
        holds(at, &id, Some(&kept)).await;
    }
    at.port.vault().forget_tokens(&id).await.unwrap();
    holds(at, &id, None).await;
    at.port.vault().forget_tokens(&id).await.unwrap();
}

pub(crate) async fn forgotten_tokens_can_be_followed_by_new_ones(at: &Safes) {
    let id = at.connection();
    for generation in [1, 2] {
        at.port
            .vault()
            .keep_tokens(&id, &tokens(at, generation))
            .await
            .unwrap();
        holds(at, &id, Some(&tokens(at, generation))).await;
        at.port.vault().forget_tokens(&id).await.unwrap();
        holds(at, &id, None).await;
    }
}

pub(crate) async fn tokens_of_two_connections_never_mix(at: &Safes) {
    let owners = at.look_alikes();
    for (owner, generation) in owners.iter().zip(1..) {
        at.port
            .vault()
            .keep_tokens(owner, &tokens(at, generation))
            .await
            .unwrap();
    }
    for (owner, generation) in owners.iter().zip(1..) {
        holds(at, owner, Some(&tokens(at, generation))).await;
    }
    at.port.vault().forget_tokens(&owners[0]).await.unwrap();
    holds(at, &owners[0], None).await;
    holds(at, &owners[1], Some(&tokens(at, 2))).await;
    for owner in &owners[1..] {
        at.port.vault().forget_tokens(owner).await.unwrap();
    }
}

pub(crate) async fn clients_and_the_operator_are_as_they_were_filled_in(at: &Safes) {
    let (centre, filled) = at.port.filled();
    let client = at.port.vault().oauth_client(centre).await.unwrap().unwrap();
    assert_eq!(client.id, filled.id);
    assert!(client.secret.matches(filled.secret.expose()));
    let unfilled = at
        .port
        .vault()
        .oauth_client(at.port.unfilled())
        .await
        .unwrap();
    assert!(unfilled.is_none());
    let operator = at.port.vault().operator().await.unwrap();
    assert!(operator.matches(&at.port.operator_filled()));
}
