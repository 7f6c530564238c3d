//! Walks, look-ups, counts, users, fields.

use std::time::Duration;

use super::*;

#[tokio::test]
async fn a_walk_along_the_changes_sees_every_record_once() {
    let world = World::new(OrganisationSpec::small(3)).await;
    // Many changes in one second, as an import makes them.
    let contacts: Vec<ZohoId> = world.records("Contacts").iter().map(id_of).collect();
    let now = world.server.now();
    for id in contacts.iter().step_by(2) {
        world.edit("Contacts", *id, &json!({ "Department": "Sales" }), now);
    }
    let since = Timestamp::from_second(0).unwrap();
    let mut seen: Vec<(Timestamp, ZohoId)> = Vec::new();
    loop {
        let which = Which::Changed {
            since,
            after: seen.last().copied(),
        };
        let page = world.select(Object::Contact, which, 7).await.unwrap();
        assert!(page.rows.len() <= 7);
        seen.extend(
            page.rows
                .iter()
                .map(|row| (row.modified_time.unwrap(), row.id)),
        );
        if !page.more {
            break;
        }
    }
    assert!(seen.is_sorted(), "in the order of (Modified_Time, id)");
    assert_eq!(
        sorted(seen.iter().map(|(_, id)| *id).collect()),
        contacts,
        "each once"
    );
    let last = seen.last().unwrap().0;
    let recent = Which::Changed {
        since: last,
        after: None,
    };
    let same_second = seen.iter().filter(|(time, _)| *time == last).count();
    assert!(same_second >= 50);
    assert_eq!(world.ids(Object::Contact, recent).await.len(), same_second);
}

#[tokio::test]
async fn slices_by_id_cover_a_module_without_overlap() {
    let world = World::new(OrganisationSpec::small(4)).await;
    for object in [Object::Account, Object::Contact, Object::Deal, Object::Task] {
        let all: Vec<ZohoId> = world.records(object.module()).iter().map(id_of).collect();
        let middle = all[all.len() / 2];
        let mut seen = Vec::new();
        for (mut after, to) in [(ZohoId::MIN, middle), (middle, ZohoId::MAX)] {
            loop {
                let page = world
                    .select(object, Which::IdRange { after, to }, 11)
                    .await
                    .unwrap();
                seen.extend(ids(&page.rows));
                after = seen.last().copied().unwrap_or(after);
                if !page.more {
                    break;
                }
            }
        }
        assert_eq!(seen, all);
        let count = world
            .crm
            .count(&world.caller, Count::all(object))
            .await
            .unwrap();
        assert_eq!(count.value, all.len() as u64);
        assert_eq!(
            world.ids(object, Which::Ids(vec![middle, all[0]])).await,
            [all[0], middle]
        );
    }
    let page = Which::IdRange {
        after: ZohoId::MAX,
        to: ZohoId::MAX,
    };
    assert!(world.ids(Object::Account, page).await.is_empty());
}

#[tokio::test]
async fn lookups_and_creation_times_select_in_pages() {
    let world = World::new(OrganisationSpec::small(5)).await;
    let contacts = world.records("Contacts");
    let accounts: Vec<ZohoId> = world
        .records("Accounts")
        .iter()
        .map(id_of)
        .take(9)
        .collect();
    let belongs = |contact: &&Value| {
        let account = contact["Account_Name"]["id"].as_str();
        account.is_some_and(|id| accounts.contains(&id.parse().unwrap()))
    };
    let expected: Vec<ZohoId> = contacts.iter().filter(belongs).map(id_of).collect();
    assert!(expected.len() > 10);
    let mut seen = Vec::new();
    loop {
        let which = Which::LookupIn {
            field: "Account_Name".into(),
            ids: accounts.clone(),
            after: seen.last().copied().unwrap_or(ZohoId::MIN),
        };
        let page = world.select(Object::Contact, which, 4).await.unwrap();
        seen.extend(ids(&page.rows));
        if !page.more {
            break;
        }
    }
    assert_eq!(seen, expected);

    let since = world.server.now();
    let first = world.create("Contacts", &json!({ "Last_Name": "One" }));
    let second = world.create("Contacts", &json!({ "Last_Name": "Two" }));
    let which = |after| Which::CreatedSince {
        since: Timestamp::from_second(since.as_second()).unwrap(),
        after,
    };
    assert_eq!(
        world.ids(Object::Contact, which(ZohoId::MIN)).await,
        [first, second]
    );
    assert_eq!(world.ids(Object::Contact, which(first)).await, [second]);
}

#[tokio::test]
async fn a_text_is_found_whatever_is_in_it() {
    let world = World::new(OrganisationSpec::small(6)).await;
    let names = [
        "O'Hara & Söhne",
        "\"quoted\" 'twice'",
        "back\\slash\\",
        "株式会社テスト",
        "100 % (of) it; select, from where",
        "') or id is not null or Account_Name in ('",
        "tab\tand 🦀",
    ];
    let created: Vec<ZohoId> = names
        .iter()
        .map(|name| world.create("Accounts", &json!({ "Account_Name": name })))
        .collect();
    let named = |values: &[&str]| Which::TextIn {
        field: "Account_Name".into(),
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    assert_eq!(world.ids(Object::Account, named(&names)).await, created);
    for (name, id) in names.iter().zip(&created) {
        assert_eq!(
            world.ids(Object::Account, named(&[*name])).await,
            [*id],
            "{name}"
        );
    }
    assert!(
        world
            .ids(Object::Account, named(&["nobody"]))
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn columns_come_as_zoho_writes_them() {
    let world = World::new(OrganisationSpec::small(7)).await;
    let account = world.create(
        "Accounts",
        &json!({ "Account_Name": "Kestrel", "Annual_Revenue": 1234567.89, "Employees": 40 }),
    );
    let contact = world.create(
        "Contacts",
        &json!({ "Last_Name": "Ito", "Account_Name": { "id": account } }),
    );
    let select = |object, columns: &[&str], id| Select {
        object,
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        which: Which::Ids(vec![id]),
        limit: 1,
    };
    let of_account = ["Account_Name", "Annual_Revenue", "Employees", "Phone"];
    let asked = select(Object::Account, &of_account, account);
    let rows = world.crm.select(&world.caller, &asked).await.unwrap();
    let row = &rows.value.rows[0];
    assert_eq!(row.raw("Annual_Revenue"), Some("1234567.89"));
    assert_eq!(row.raw("Employees"), Some("40"));
    assert_eq!(row.raw("Phone"), Some("null"));
    let asked = select(Object::Contact, &["Account_Name"], contact);
    let rows = world.crm.select(&world.caller, &asked).await.unwrap();
    assert_eq!(rows.value.rows[0].lookup("Account_Name"), Some(account));

    let asked = select(Object::Account, &["Acount_Name"], account);
    let error = world.crm.select(&world.caller, &asked).await.unwrap_err();
    let CrmError::Refused { code, field, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(
        (code.as_str(), field.as_deref()),
        ("INVALID_QUERY", Some("Acount_Name"))
    );
}

#[tokio::test]
async fn users_come_whole_and_by_change() {
    let spec = OrganisationSpec {
        users: Some(450),
        ..OrganisationSpec::small(8)
    };
    let world = World::new(spec).await;
    let mut seen = Vec::new();
    for (page, rows, more) in [
        (1, 200, true),
        (2, 200, true),
        (3, 50, false),
        (4, 0, false),
    ] {
        let reply = world.crm.users(&world.caller, page, None).await.unwrap();
        assert_eq!(
            (reply.value.rows.len(), reply.value.more),
            (rows, more),
            "{page}"
        );
        assert!(
            reply
                .value
                .rows
                .iter()
                .all(|row| row.modified_time.is_some() && row.has("status"))
        );
        seen.extend(ids(&reply.value.rows));
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 450);

    let later = world.server.now() + Duration::from_secs(60);
    let reply = world
        .crm
        .users(&world.caller, 1, Some(later))
        .await
        .unwrap();
    assert!(reply.value.rows.is_empty() && !reply.value.more);
    let someone: u64 = seen[17].to_string().parse().unwrap();
    let deleted = Some(zoho_sim::org::user::UserStatus::Deleted);
    world
        .server
        .zoho()
        .change_user(world.organisation, someone, deleted, None, later)
        .unwrap();
    let reply = world
        .crm
        .users(&world.caller, 1, Some(later))
        .await
        .unwrap();
    assert_eq!(ids(&reply.value.rows), [seen[17]]);
    assert_eq!(reply.value.rows[0].json("status"), "deleted");
}

#[tokio::test]
async fn fields_say_what_they_are() {
    let spec = OrganisationSpec {
        unique_external_id: true,
        ..OrganisationSpec::small(9)
    };
    let world = World::new(spec).await;
    let accounts = world.crm.fields(&world.caller, Object::Account).await;
    let accounts = accounts.unwrap().value;
    let field = |name: &str| {
        accounts
            .iter()
            .find(|field| field.api_name == name)
            .unwrap()
    };
    assert!(field("Account_Name").mandatory && !field("Account_Name").read_only);
    assert!(field("External_ID").unique && !field("Phone").unique);
    assert!(field("Modified_Time").read_only);
    assert_eq!(
        field("Customer_Status").choices,
        ["Prospect", "Active", "Churned"]
    );
    assert_eq!(field("Annual_Revenue").data_type, "currency");
    world
        .server
        .zoho()
        .hide_field(world.organisation, "Accounts", "Phone", true)
        .unwrap();
    let fewer = world.crm.fields(&world.caller, Object::Account).await;
    assert_eq!(fewer.unwrap().value.len(), accounts.len() - 1);
}
