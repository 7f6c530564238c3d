//! Whatever an organisation is like, a look ends with findings or an error, and never writes.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use tandem::connection::Organisation;
use tandem::data_centre::{DataCentre, Directory};
use tandem::flow::preflight;
use tandem::identifier::ZohoId;
use tandem::object::Object;
use tandem::port::{
    Caller, Connections as _, Crm, CrmError, FieldInfo, Grant, GrantedOrganisation, Reply, Rows,
    WriteOutcome,
};
use tandem::row::Outgoing;
use tandem::secret::{OAuthClient, Secret};
use tandem::select::{Count, Select};
use tandem::settings::Settings;
use tandem::tally::{Tallied, Tally};
use tandem_memory::{Nobody, World};

/// A Zoho that answers whatever it is told to, in turn, and notes what would have been a write.
#[derive(Debug)]
struct Odd {
    fields: Vec<FieldInfo>,
    answers: Vec<Told>,
    asked: Mutex<usize>,
    writes: Mutex<usize>,
}

#[derive(Debug, Clone)]
enum Told {
    Number(u64),
    Denied(&'static str),
    Broken,
}

impl Odd {
    fn next(&self) -> Result<u64, CrmError> {
        let mut asked = self.asked.lock().unwrap();
        *asked += 1;
        match self.answers[*asked % self.answers.len()] {
            Told::Number(number) => Ok(number),
            Told::Denied(code) => Err(CrmError::Forbidden {
                code: code.to_owned(),
                what: "something".to_owned(),
                message: String::new(),
            }),
            Told::Broken => Err(CrmError::Unavailable {
                source: "on order".into(),
            }),
        }
    }

    fn wrote<T>(&self) -> Result<T, CrmError> {
        *self.writes.lock().unwrap() += 1;
        Err(CrmError::ChangedMeanwhile)
    }
}

fn reply<T>(value: T) -> Reply<T> {
    Reply {
        value,
        server_time: Timestamp::UNIX_EPOCH,
        credits: 1,
        credits_left: None,
    }
}

#[async_trait]
impl Crm for Odd {
    async fn exchange(
        &self,
        centre: DataCentre,
        client: &OAuthClient,
        code: &Secret,
        uri: &str,
    ) -> Result<Grant, CrmError> {
        Nobody.exchange(centre, client, code, uri).await
    }

    async fn refresh(
        &self,
        centre: DataCentre,
        client: &OAuthClient,
        refresh: &Secret,
    ) -> Result<Grant, CrmError> {
        Nobody.refresh(centre, client, refresh).await
    }

    async fn revoke(&self, _: DataCentre, _: &Secret) -> Result<(), CrmError> {
        self.wrote()
    }

    async fn organisation(&self, _: &Caller) -> Result<Reply<GrantedOrganisation>, CrmError> {
        let users = self.next()?;
        Ok(reply(GrantedOrganisation {
            id: String::new(),
            name: String::new(),
            time_zone: "nowhere".to_owned(),
            edition: if users % 2 == 0 { "Free" } else { "Ultimate" }.to_owned(),
            users: users % 1_000_000,
        }))
    }

    async fn fields(&self, _: &Caller, _: Object) -> Result<Reply<Vec<FieldInfo>>, CrmError> {
        self.next()?;
        Ok(reply(self.fields.clone()))
    }

    async fn select(&self, caller: &Caller, select: &Select) -> Result<Reply<Rows>, CrmError> {
        Nobody.select(caller, select).await
    }

    async fn count(&self, _: &Caller, _: Count) -> Result<Reply<u64>, CrmError> {
        Ok(reply(self.next()?))
    }

    async fn tally(&self, _: &Caller, _: &Tally) -> Result<Reply<Tallied>, CrmError> {
        let rows = self.next()?;
        Ok(reply(Tallied {
            rows,
            values: vec![(format!(" V-{}", rows % 3), rows)],
            more: rows % 2 == 0,
        }))
    }

    async fn users(
        &self,
        _: &Caller,
        _: u32,
        _: Option<Timestamp>,
    ) -> Result<Reply<Rows>, CrmError> {
        self.next()?;
        Ok(reply(Rows {
            rows: Vec::new(),
            more: true,
        }))
    }

    async fn insert(
        &self,
        _: &Caller,
        _: Object,
        _: &[Outgoing],
        _: &[String],
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        self.wrote()
    }

    async fn update(
        &self,
        _: &Caller,
        _: Object,
        _: &[(ZohoId, Outgoing)],
        _: &[String],
        _: Option<Timestamp>,
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        self.wrote()
    }
}

fn settings() -> Settings {
    let condition = |field: &str, value| json!({"where": {"field": field, "comparator": "not_equal", "value": value}});
    let document = json!({
        "account_external_id": "External_ID",
        "task_mark": "Mark",
        "create_in_zoho": ["account", "contact"],
        "objects": {
            "account": {
                "filter": {"any": [condition("Status", json!("x")), condition("Size", json!(7))]},
                "custom_fields": {"a": "decimal"},
                "mappings": [{"zoho": "Size", "platform": "a", "editable": true}]
            },
            "contact": {"filter": condition("Status", json!("y"))}
        }
    });
    serde_json::from_value(document).unwrap()
}

fn field() -> impl Strategy<Value = FieldInfo> {
    let name = prop_oneof![
        6 => prop::sample::select(vec![
            "External_ID", "Modified_Time", "Email", "Mark", "Status", "Size", "Account_Name", "What_Id", "Who_Id", "Subject",
        ])
        .prop_map(str::to_owned),
        1 => ".{0,20}",
    ];
    let kind = prop_oneof![
        6 => prop::sample::select(vec![
            "text", "textarea", "email", "picklist", "integer", "double", "datetime", "boolean", "lookup", "formula", "subform",
        ])
        .prop_map(str::to_owned),
        1 => ".{0,20}",
    ];
    (
        name,
        kind,
        any::<(bool, bool, bool)>(),
        any::<Option<u64>>(),
        vec(".{0,8}", 0..3),
    )
        .prop_map(
            |(api_name, data_type, (read_only, mandatory, unique), length, choices)| FieldInfo {
                label: api_name.clone(),
                returns: choices.first().cloned(),
                targets: choices.clone(),
                json_type: choices.last().cloned(),
                api_name,
                data_type,
                read_only,
                mandatory,
                unique,
                length,
                choices,
            },
        )
}

fn told() -> impl Strategy<Value = Told> {
    prop_oneof![
        12 => prop_oneof![0..5_u64, any::<u64>()].prop_map(Told::Number),
        2 => prop::sample::select(vec!["OAUTH_SCOPE_MISMATCH", "NO_PERMISSION", ""]).prop_map(Told::Denied),
        1 => Just(Told::Broken),
    ]
}

proptest! {
    #[test]
    fn any_organisation_is_looked_at_without_panic_and_without_a_write(fields in vec(field(), 0..16), answers in vec(told(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let broken = answers.iter().any(|answer| matches!(answer, Told::Broken));
        let odd = Arc::new(Odd { fields, answers, asked: Mutex::new(0), writes: Mutex::new(0) });
        runtime.block_on(async {
            let world = World::new(1, "2026-11-23T10:00:00Z".parse().unwrap(), Directory::zoho(), odd.clone());
            let organisation = Organisation {
                id: "1".into(),
                name: "Acme".into(),
                time_zone: "Europe/Berlin".into(),
                data_centre: DataCentre::Eu,
                api_domain: Directory::zoho().api_domain(DataCentre::Eu, "https://www.zohoapis.eu").unwrap(),
                edition: "Free".into(),
                daily_credits: 5_000,
            };
            let secret = |text: &str| Secret::new(text);
            let acme = world.add_enabled("acme".parse().unwrap(), organisation, secret("r"), secret("a")).await.unwrap();
            world.store.save_settings(&acme.id, 0, &settings(), world.now()).await.unwrap();
            match preflight::run(&world.ports(), &acme).await {
                Ok(found) => {
                    assert!(found.findings.is_sorted_by_key(|finding| finding.severity));
                    assert!(found.findings.iter().all(|finding| !finding.what.is_empty() && !finding.remedy.is_empty()));
                    // Three fields are counted at most, each over all records and in scope, in five pages of values at most, of three credits each.
                    assert!(found.credits <= 10 + 3 * (1 + 15 + 2 + 15), "{}", found.credits);
                }
                Err(error) => assert!(broken, "{error}"),
            }
        });
        prop_assert_eq!(*odd.writes.lock().unwrap(), 0);
    }
}
