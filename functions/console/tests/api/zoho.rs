//! A Zoho that has the usual fields and no rows, and revokes what it is told to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tandem::data_centre::DataCentre;
use tandem::identifier::ZohoId;
use tandem::object::Object;
use tandem::port::{
    Caller, Crm, CrmError, FieldInfo, Grant, GrantedOrganisation, Reply, Rows, WriteOutcome,
};
use tandem::row::Outgoing;
use tandem::secret::{OAuthClient, Secret};
use tandem::select::{Count, Select};
use tandem::tally::{Tallied, Tally};
use tandem_memory::{ManualClock, Nobody, field, usual_fields};

#[derive(Default)]
pub(crate) struct EmptyZoho {
    revoked: Mutex<Vec<(DataCentre, String)>>,
    /// The fields that differ from the usual ones; none: hidden.
    fields: Mutex<BTreeMap<(Object, String), Option<FieldInfo>>>,
    slow: Mutex<Option<Arc<ManualClock>>>,
}

impl EmptyZoho {
    /// Adds a field, in place of the one of that name.
    pub(crate) fn shows(&self, object: Object, field: FieldInfo) {
        let key = (object, field.api_name.clone());
        self.fields.lock().unwrap().insert(key, Some(field));
    }

    /// Hides a field.
    pub(crate) fn hides(&self, object: Object, name: &str) {
        let key = (object, name.to_owned());
        self.fields.lock().unwrap().insert(key, None);
    }

    /// The refresh tokens that were revoked, and where.
    pub(crate) fn revoked(&self) -> Vec<(DataCentre, String)> {
        self.revoked.lock().unwrap().clone()
    }

    /// From now on each question takes a while.
    pub(crate) fn slow_down(&self, clock: Arc<ManualClock>) {
        *self.slow.lock().unwrap() = Some(clock);
    }
}

fn reply<T>(value: T) -> Result<Reply<T>, CrmError> {
    Ok(Reply {
        value,
        server_time: super::desk::NOW.parse().unwrap(),
        credits: 1,
        credits_left: None,
    })
}

#[async_trait]
impl Crm for EmptyZoho {
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

    async fn revoke(&self, centre: DataCentre, refresh: &Secret) -> Result<(), CrmError> {
        self.revoked
            .lock()
            .unwrap()
            .push((centre, refresh.expose().to_owned()));
        Ok(())
    }

    async fn organisation(&self, _: &Caller) -> Result<Reply<GrantedOrganisation>, CrmError> {
        reply(GrantedOrganisation {
            id: "zgid-acme".to_owned(),
            name: "acme inc.".to_owned(),
            time_zone: "Europe/Berlin".to_owned(),
            edition: "Enterprise".to_owned(),
            users: 10,
        })
    }

    async fn fields(&self, _: &Caller, object: Object) -> Result<Reply<Vec<FieldInfo>>, CrmError> {
        let differing = self.fields.lock().unwrap();
        let mut fields = usual_fields(object);
        fields.push(field("Tier", "picklist"));
        fields.retain(|field| !differing.contains_key(&(object, field.api_name.clone())));
        let of = differing.iter().filter(|((other, _), _)| *other == object);
        fields.extend(of.filter_map(|(_, field)| field.clone()));
        reply(fields)
    }

    async fn select(&self, _: &Caller, _: &Select) -> Result<Reply<Rows>, CrmError> {
        if let Some(clock) = self.slow.lock().unwrap().as_ref() {
            clock.advance(SignedDuration::from_secs(20));
        }
        reply(Rows {
            rows: Vec::new(),
            more: false,
        })
    }

    async fn count(&self, _: &Caller, _: Count) -> Result<Reply<u64>, CrmError> {
        reply(0)
    }

    async fn tally(&self, _: &Caller, _: &Tally) -> Result<Reply<Tallied>, CrmError> {
        reply(Tallied::default())
    }

    async fn users(
        &self,
        _: &Caller,
        _: u32,
        _: Option<Timestamp>,
    ) -> Result<Reply<Rows>, CrmError> {
        reply(Rows {
            rows: Vec::new(),
            more: false,
        })
    }

    async fn insert(
        &self,
        caller: &Caller,
        object: Object,
        records: &[Outgoing],
        trigger: &[String],
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        Nobody.insert(caller, object, records, trigger).await
    }

    async fn update(
        &self,
        caller: &Caller,
        object: Object,
        records: &[(ZohoId, Outgoing)],
        trigger: &[String],
        since: Option<Timestamp>,
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        Nobody.update(caller, object, records, trigger, since).await
    }
}
