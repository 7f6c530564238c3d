//! Zoho records in scope that have no record on the platform.

use serde_json::json;
use tandem::identifier::Digest;
use tandem::object::Object;
use tandem::port::Ledger as _;
use tandem::record::{Dependants, Link, Standing};

use super::desk::Desk;

const PATH: &str = "/api/connections/acme/unlinked/account";

/// Nine Zoho accounts: each third is linked, without an external id, or a duplicate.
async fn mixed() -> Desk {
    let desk = Desk::with_acme().await;
    desk.connect("other").await;
    for number in 1..=9 {
        let id = format!("A-{number}").parse().unwrap();
        let link = Link {
            connection: "acme".parse().unwrap(),
            object: Object::Account,
            zoho_id: number.to_string().parse().unwrap(),
            standing: match number % 3 {
                0 => Standing::Linked(id),
                1 => Standing::Unmatched,
                _ => Standing::Duplicate(id),
            },
            hash: Digest::of(b"x"),
            in_scope: true,
            dependants: Dependants::Asked,
        };
        desk.world.store.save_links(&[link]).await.unwrap();
    }
    desk
}

#[tokio::test]
async fn what_has_no_record_is_listed_with_what_helps() {
    let desk = mixed().await;
    let items = desk.all(PATH).await;
    assert_eq!(items.len(), 6);
    assert_eq!(items[0]["zoho_id"], "1");
    assert_eq!(items[0]["standing"], "unmatched");
    assert_eq!(items[0]["external_id"], json!(null));
    assert!(
        items[0]["remedy"]
            .as_str()
            .unwrap()
            .contains("external-id field")
    );
    assert_eq!(items[1]["standing"], "duplicate");
    assert_eq!(items[1]["external_id"], "A-2");
    let duplicates = desk.all(&format!("{PATH}?standing=duplicate")).await;
    let ids: Vec<_> = duplicates
        .iter()
        .map(|item| item["zoho_id"].clone())
        .collect();
    assert_eq!(ids, ["2", "5", "8"]);
    assert_eq!(desk.all(&format!("{PATH}?standing=unknown")).await.len(), 0);
}

#[tokio::test]
async fn a_listing_is_of_its_own_connection_and_question() {
    let desk = mixed().await;
    let others = desk.all("/api/connections/other/unlinked/account").await;
    assert_eq!(others.len(), 0);
    let page = desk.get(&format!("{PATH}?limit=1")).await.with(200);
    let cursor = page["next"].as_str().unwrap();
    let foreign = format!("/api/connections/other/unlinked/account?cursor={cursor}");
    desk.get(&foreign).await.problem(400);
    desk.get(&format!("{PATH}?standing=linked"))
        .await
        .problem(400);
    desk.get("/api/connections/acme/unlinked/invoice")
        .await
        .problem(404);
    desk.get("/api/connections/nobody/unlinked/account")
        .await
        .problem(404);
}
