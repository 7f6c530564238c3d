//! An organisation of any size that takes no room: Zoho's rows and the ledger's links are made when they are asked for, page by page, and
//! every link says that its row was applied.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use tandem::credit;
use tandem::data_centre::DataCentre;
use tandem::identifier::{ConnectionId, Digest, PlatformId, ZohoId};
use tandem::mapping::{FieldPlan, Neighbours};
use tandem::object::Object;
use tandem::port::{
    Caller, Clock as _, Crm, CrmError, FieldInfo, Grant, GrantedOrganisation, Reply, Rows,
    WriteOutcome,
};
use tandem::record::{Dependants, Link, Standing};
use tandem::row::{Outgoing, Row};
use tandem::secret::{OAuthClient, Secret};
use tandem::select::{Count, Select, Which};
use tandem::settings::Settings;
use tandem::tally::{Tallied, Tally};
use tandem_memory::{MadeLinks, ManualClock, Nobody};

/// How far the ids of two objects lie apart; ids of one object begin after its own multiple.
const APART: u64 = 1_000_000_000_000;

/// How many users there are.
const USERS: u64 = 40;

/// An organisation that is made as it is asked for.
#[derive(Debug)]
pub(crate) struct Synthetic {
    clock: Arc<ManualClock>,
    sizes: BTreeMap<Object, u64>,
    plans: BTreeMap<Object, FieldPlan>,
    calls: AtomicU64,
    credits: AtomicU64,
}

impl Synthetic {
    /// An organisation of that many records: of ten one account, six contacts, one deal and two tasks; users come on top.
    pub(crate) fn new(clock: Arc<ManualClock>, records: u64) -> Self {
        let (tenth, settings) = (records / 10, Settings::default());
        let sizes = [
            (Object::User, USERS),
            (Object::Account, tenth),
            (Object::Deal, tenth),
            (Object::Task, 2 * tenth),
            (Object::Contact, records - 4 * tenth),
        ];
        let plan = |object| (object, FieldPlan::compile(&settings, object));
        Self {
            clock,
            sizes: BTreeMap::from(sizes),
            plans: Object::ALL.map(plan).into(),
            calls: AtomicU64::new(0),
            credits: AtomicU64::new(0),
        }
    }

    /// How many calls were made, and how many credits they cost.
    pub(crate) fn spent(&self) -> (u64, u64) {
        let now = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (now(&self.calls), now(&self.credits))
    }

    fn size(&self, object: Object) -> u64 {
        self.sizes.get(&object).copied().unwrap_or_default()
    }

    /// The numbers, from 1, of an object's records with ids in a range.
    fn numbers(&self, object: Object, after: ZohoId, to: ZohoId) -> std::ops::RangeInclusive<u64> {
        let number = |id: ZohoId| {
            let id: u64 = String::from(id).parse().unwrap_or_default();
            id.saturating_sub(base(object))
        };
        number(after) + 1..=number(to).min(self.size(object))
    }

    fn row(&self, object: Object, number: u64) -> Option<Row> {
        let id = base(object) + number;
        let account = base(Object::Account) + 1 + number % self.size(Object::Account).max(1);
        let owner = base(Object::User) + 1 + number % USERS;
        let own = match object {
            Object::User => format!(
                r#""full_name":"User {number}","email":"user{number}@example.com","status":"active""#
            ),
            Object::Account => format!(
                r#""AccountExternalID":"A-{number}","Account_Name":"Account {number}","Website":"https://a{number}.example.com","Parent_Account":null"#
            ),
            Object::Contact => format!(
                r#""Email":"c{number}@example.com","First_Name":"First {number}","Last_Name":"Last {number}","Phone":"+49 30 {number}","Account_Name":{{"id":"{account}"}}"#
            ),
            Object::Deal => format!(
                r#""Deal_Name":"Deal {number}","Stage":"Qualification","Amount":{number}.5,"Closing_Date":"2026-12-01","Account_Name":{{"id":"{account}"}},"Contact_Name":null"#
            ),
            Object::Task => format!(
                r#""Subject":"Task {number}","Status":"Open","Priority":"High","Due_Date":"2026-12-01","Description":null,"Closed_Time":null,"Who_Id":null,"What_Id":{{"id":"{account}"}}"#
            ),
        };
        let text = format!(
            r#"{{"id":"{id}","Modified_Time":"2026-11-01T10:00:00Z","Owner":{{"id":"{owner}"}},{own}}}"#
        );
        serde_json::from_str(&text).ok()
    }

    /// A link that only says which record it is.
    fn neighbour(&self, connection: &ConnectionId, object: Object, id: ZohoId) -> Option<Link> {
        let number: u64 = String::from(id).parse().ok()?;
        let number = number.checked_sub(base(object))?;
        if number == 0 || number > self.size(object) {
            return None;
        }
        let id_of = match object {
            Object::Account => format!("A-{number}").parse().ok()?,
            Object::Contact => format!("c{number}@example.com").parse().ok()?,
            Object::User | Object::Deal | Object::Task => PlatformId::of_zoho(id),
        };
        Some(Link {
            connection: connection.clone(),
            object,
            zoho_id: id,
            standing: Standing::Linked(id_of),
            hash: Digest::of(b""),
            in_scope: true,
            dependants: Dependants::Asked,
        })
    }

    fn reply<T>(&self, value: T, credits: u64) -> Reply<T> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.credits.fetch_add(credits, Ordering::Relaxed);
        Reply {
            value,
            server_time: self.clock.now(),
            credits,
            credits_left: None,
        }
    }

    fn page(&self, object: Object, numbers: std::ops::RangeInclusive<u64>, limit: usize) -> Rows {
        let more = numbers.clone().count() > limit;
        let rows = numbers
            .take(limit)
            .filter_map(|number| self.row(object, number));
        Rows {
            rows: rows.collect(),
            more,
        }
    }
}

fn base(object: Object) -> u64 {
    let place = Object::ALL.iter().position(|other| *other == object);
    (place.unwrap_or_default() as u64 + 1) * APART
}

impl MadeLinks for Synthetic {
    fn of(&self, connection: &ConnectionId, object: Object, id: ZohoId) -> Option<Link> {
        let link = self.neighbour(connection, object, id)?;
        let number: u64 = String::from(id).parse().ok()?;
        let row = self.row(object, number - base(object))?;
        let plan = self.plans.get(&object)?;
        let neighbours: Neighbours = plan
            .references(&row)
            .into_iter()
            .filter(|(of, _)| *of != Object::User)
            .filter_map(|(of, id)| Some(((of, id), self.neighbour(connection, of, id)?)))
            .collect();
        Some(Link {
            hash: plan.read(&row, &neighbours).hash,
            ..link
        })
    }

    fn between(
        &self,
        connection: &ConnectionId,
        object: Object,
        after: ZohoId,
        to: ZohoId,
        limit: usize,
    ) -> Vec<Link> {
        self.numbers(object, after, to)
            .take(limit)
            .filter_map(|number| {
                let id = (base(object) + number).to_string().parse().ok()?;
                self.of(connection, object, id)
            })
            .collect()
    }
}

fn unasked<T>() -> Result<T, CrmError> {
    Err(CrmError::Unavailable {
        source: "nobody asks a synthetic organisation that".into(),
    })
}

#[async_trait]
impl Crm for Synthetic {
    async fn exchange(
        &self,
        _: DataCentre,
        _: &OAuthClient,
        _: &Secret,
        _: &str,
    ) -> Result<Grant, CrmError> {
        unasked()
    }

    async fn refresh(&self, _: DataCentre, _: &OAuthClient, _: &Secret) -> Result<Grant, CrmError> {
        unasked()
    }

    async fn revoke(&self, _: DataCentre, _: &Secret) -> Result<(), CrmError> {
        unasked()
    }

    async fn organisation(&self, _: &Caller) -> Result<Reply<GrantedOrganisation>, CrmError> {
        unasked()
    }

    async fn fields(&self, _: &Caller, _: Object) -> Result<Reply<Vec<FieldInfo>>, CrmError> {
        unasked()
    }

    async fn select(&self, _: &Caller, select: &Select) -> Result<Reply<Rows>, CrmError> {
        let Which::IdRange { after, to } = &select.which else {
            return unasked();
        };
        let numbers = self.numbers(select.object, *after, *to);
        let rows = self.page(select.object, numbers, select.limit);
        Ok(self.reply(rows, credit::of_select(select.limit)))
    }

    async fn count(&self, _: &Caller, asked: Count) -> Result<Reply<u64>, CrmError> {
        let numbers = self.numbers(asked.object, asked.after, asked.to);
        Ok(self.reply(numbers.count() as u64, credit::of_select(1)))
    }

    async fn tally(&self, _: &Caller, _: &Tally) -> Result<Reply<Tallied>, CrmError> {
        unasked()
    }

    async fn users(
        &self,
        _: &Caller,
        _: u32,
        _: Option<Timestamp>,
    ) -> Result<Reply<Rows>, CrmError> {
        let rows = self.page(Object::User, 1..=USERS, usize::MAX);
        Ok(self.reply(rows, credit::OF_READ))
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
        unmodified_since: Option<Timestamp>,
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError> {
        Nobody
            .update(caller, object, records, trigger, unmodified_since)
            .await
    }
}
