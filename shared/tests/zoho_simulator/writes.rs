//! Creating and updating: outcomes, conditions, automations.

use tandem::credit;
use tandem::port::{WriteOutcome, WriteRefusal};
use zoho_sim::RecordFlags;

use super::*;

impl World {
    async fn insert(&self, object: Object, records: &[Value]) -> Vec<WriteOutcome> {
        let records: Vec<Outgoing> = records.iter().map(record).collect();
        let reply = self.crm.insert(&self.caller, object, &records, &[]).await;
        reply.unwrap().value
    }

    fn find(&self, module: &str, id: ZohoId) -> Value {
        let records = self.records(module);
        let found = records.into_iter().find(|record| id_of(record) == id);
        found.unwrap()
    }
}

fn refusal(outcome: &WriteOutcome) -> (&str, Option<&str>) {
    let WriteRefusal { code, field, .. } = outcome.as_ref().unwrap_err();
    (code, field.as_deref())
}

#[tokio::test]
async fn what_is_created_is_there_as_it_was_sent() {
    let world = World::new(OrganisationSpec::small(11)).await;
    let account = world
        .insert(
            Object::Account,
            &[json!({ "Account_Name": "Søren & \"Sons\" 🦀", "Annual_Revenue": 1234567.89, "Interests": ["Training", "Spare; parts"] })],
        )
        .await
        .remove(0)
        .unwrap();
    let stored = world.find("Accounts", account.id);
    assert_eq!(stored["Account_Name"], "Søren & \"Sons\" 🦀");
    assert_eq!(stored["Annual_Revenue"], json!(1234567.89));
    assert_eq!(stored["Interests"], json!(["Training", "Spare; parts"]));
    let modified: Timestamp = stored["Modified_Time"].as_str().unwrap().parse().unwrap();
    assert_eq!(account.modified_time, Some(modified));

    let task = json!({ "Subject": "Call", "What_Id": { "id": account.id }, "$se_module": "Accounts", "Due_Date": "2026-12-01" });
    let task = world.insert(Object::Task, &[task]).await.remove(0).unwrap();
    let stored = world.find("Tasks", task.id);
    assert_eq!(stored["What_Id"]["id"], account.id.to_string());

    let cleared = [(
        task.id,
        record(&json!({ "Due_Date": null, "Subject": "Call back" })),
    )];
    let reply = world
        .crm
        .update(&world.caller, Object::Task, &cleared, &[], None)
        .await
        .unwrap();
    assert_eq!(reply.value[0].as_ref().unwrap().id, task.id);
    let stored = world.find("Tasks", task.id);
    assert_eq!(
        (&stored["Due_Date"], &stored["Subject"]),
        (&Value::Null, &json!("Call back"))
    );
    assert_eq!(
        stored["What_Id"]["id"],
        account.id.to_string(),
        "not sent, not touched"
    );
}

#[tokio::test]
async fn each_record_has_its_own_outcome() {
    let spec = OrganisationSpec {
        unique_external_id: true,
        ..OrganisationSpec::small(12)
    };
    let world = World::new(spec).await;
    let first = json!({ "Account_Name": "First", "External_ID": "X-1" });
    let first = world.insert(Object::Account, &[first]).await.remove(0);
    let first = first.unwrap().id;
    let outcomes = world
        .insert(
            Object::Account,
            &[
                json!({ "Account_Name": "Second", "External_ID": "X-2" }),
                json!({ "Account_Name": "Namesake", "External_ID": "X-1" }),
                json!({ "External_ID": "X-3" }),
                json!({ "Account_Name": "Fourth", "Employees": "many" }),
                json!({ "Account_Name": "Fifth", "Parent_Account": { "id": "1" } }),
                json!({ "Account_Name": "Sixth" }),
            ],
        )
        .await;
    assert!(outcomes[0].is_ok() && outcomes[5].is_ok());
    assert_eq!(
        refusal(&outcomes[1]),
        ("DUPLICATE_DATA", Some("External_ID"))
    );
    assert_eq!(outcomes[1].as_ref().unwrap_err().duplicate_of, Some(first));
    assert_eq!(
        refusal(&outcomes[2]),
        ("MANDATORY_NOT_FOUND", Some("Account_Name"))
    );
    assert_eq!(refusal(&outcomes[3]), ("INVALID_DATA", Some("Employees")));
    assert_eq!(
        refusal(&outcomes[4]),
        ("INVALID_DATA", Some("Parent_Account"))
    );

    let all_bad = world
        .insert(Object::Account, &[json!({}), json!({ "Phone": "1" })])
        .await;
    assert!(all_bad.iter().all(Result::is_err));
    let one_bad = world.insert(Object::Contact, &[json!({})]).await;
    assert_eq!(
        refusal(&one_bad[0]),
        ("MANDATORY_NOT_FOUND", Some("Last_Name"))
    );
}

#[tokio::test]
async fn a_hundred_records_are_one_write() {
    let world = World::new(OrganisationSpec::small(13)).await;
    let records: Vec<Value> = (0..100)
        .map(|number| json!({ "Last_Name": format!("Number {number}") }))
        .collect();
    let before = world.credits();
    let outcomes = world.insert(Object::Contact, &records).await;
    assert_eq!(world.credits() - before, credit::of_write(100));
    let ids: Vec<ZohoId> = outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap().id)
        .collect();
    for (number, id) in ids.iter().enumerate().step_by(33) {
        assert_eq!(
            world.find("Contacts", *id)["Last_Name"],
            format!("Number {number}")
        );
    }
    let changes: Vec<(ZohoId, Outgoing)> = ids
        .iter()
        .map(|id| (*id, record(&json!({ "Phone": format!("+1 {id}") }))))
        .collect();
    let reply = world
        .crm
        .update(&world.caller, Object::Contact, &changes, &[], None)
        .await
        .unwrap();
    let answered = reply.value.into_iter().map(|outcome| outcome.unwrap().id);
    assert!(answered.eq(ids));
}

#[tokio::test]
async fn records_that_may_not_be_changed_say_why() {
    let world = World::new(OrganisationSpec::small(14)).await;
    let accounts: Vec<ZohoId> = world
        .records("Accounts")
        .iter()
        .map(id_of)
        .take(4)
        .collect();
    let numbers: Vec<u64> = accounts
        .iter()
        .map(|id| id.to_string().parse().unwrap())
        .collect();
    let flag = |number: u64, flags| {
        let mut zoho = world.server.zoho();
        zoho.flag(world.organisation, "Accounts", number, flags)
            .unwrap();
    };
    flag(
        numbers[0],
        RecordFlags {
            locked: Some(true),
            ..RecordFlags::default()
        },
    );
    flag(
        numbers[1],
        RecordFlags {
            approval: Some(true),
            ..RecordFlags::default()
        },
    );
    let now = world.server.now();
    world
        .server
        .zoho()
        .delete(world.organisation, "Accounts", numbers[2], false, None, now)
        .unwrap();
    let changes: Vec<(ZohoId, Outgoing)> = accounts
        .iter()
        .map(|id| (*id, record(&json!({ "Phone": "1" }))))
        .collect();
    let reply = world
        .crm
        .update(&world.caller, Object::Account, &changes, &[], None)
        .await
        .unwrap();
    assert_eq!(refusal(&reply.value[0]).0, "RECORD_LOCKED");
    assert_eq!(refusal(&reply.value[1]).0, "NOT_APPROVED");
    assert_eq!(refusal(&reply.value[2]), ("INVALID_DATA", Some("id")));
    assert!(reply.value[3].is_ok());
}

#[tokio::test]
async fn a_condition_guards_against_changes_in_between() {
    let world = World::new(OrganisationSpec::small(15)).await;
    let ids: Vec<ZohoId> = world
        .records("Contacts")
        .iter()
        .map(id_of)
        .take(2)
        .collect();
    let read_at = world.server.now();
    let changes: Vec<(ZohoId, Outgoing)> = ids
        .iter()
        .map(|id| (*id, record(&json!({ "Title": "ours" }))))
        .collect();
    let later = read_at + std::time::Duration::from_secs(5);
    world.edit("Contacts", ids[0], &json!({ "Title": "theirs" }), later);

    let update = |changes: Vec<(ZohoId, Outgoing)>, since| {
        let (crm, caller) = (&world.crm, &world.caller);
        async move {
            let reply = crm
                .update(caller, Object::Contact, &changes, &[], Some(since))
                .await;
            reply.map(|reply| reply.value)
        }
    };
    let alone = update(vec![changes[0].clone()], read_at).await;
    assert!(matches!(alone, Err(CrmError::ChangedMeanwhile)));
    assert_eq!(world.find("Contacts", ids[0])["Title"], "theirs");
    // Beside one that may be written, the outdated record has an outcome of its own.
    let both = update(changes.clone(), read_at).await.unwrap();
    assert_eq!(refusal(&both[0]).0, "ALREADY_MODIFIED");
    assert!(both[1].is_ok());
    assert_eq!(world.find("Contacts", ids[0])["Title"], "theirs");
    let after = update(vec![changes[0].clone()], later).await.unwrap();
    assert!(after[0].is_ok());
    assert_eq!(world.find("Contacts", ids[0])["Title"], "ours");
}

#[tokio::test]
async fn automations_run_only_when_named() {
    let world = World::new(OrganisationSpec::small(16)).await;
    let ran = || {
        let zoho = world.server.zoho();
        let organisation = zoho.organisation(world.organisation).unwrap();
        organisation.automations.back().unwrap().kinds.clone()
    };
    let records = [record(&json!({ "Last_Name": "Quiet" }))];
    let insert = |trigger: Vec<String>| {
        let (crm, caller, records) = (&world.crm, &world.caller, &records);
        async move {
            crm.insert(caller, Object::Contact, records, &trigger)
                .await
                .unwrap();
        }
    };
    for trigger in [Vec::new(), vec!["workflow".to_owned()]] {
        insert(trigger.clone()).await;
        assert_eq!(ran(), trigger);
    }
}
