//! A Zoho that holds plain rows and answers questions about them, in pages as small as a test wants. Whoever calls may read everything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value as Json;
use tandem::credit;
use tandem::data_centre::DataCentre;
use tandem::identifier::ZohoId;
use tandem::object::Object;
use tandem::port::{
    Caller, Clock as _, Crm, CrmError, FieldInfo, Grant, GrantedOrganisation, Reply, Rows,
    WriteOutcome,
};
use tandem::row::{Outgoing, Row, lookup_id};
use tandem::secret::{OAuthClient, Secret};
use tandem::select::{Count, Select, Which};
use tandem::tally::{Tallied, Tally};

use crate::lock::locked;
use crate::{ManualClock, Nobody};

/// A Zoho that holds plain rows.
#[derive(Debug)]
pub struct RowsZoho {
    clock: Arc<ManualClock>,
    page: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rows: BTreeMap<Object, BTreeMap<ZohoId, Json>>,
    calls: BTreeMap<Object, u64>,
}

impl RowsZoho {
    /// A Zoho without rows, whose pages have at most `page` rows.
    #[must_use]
    pub fn new(clock: Arc<ManualClock>, page: usize) -> Self {
        Self {
            clock,
            page: page.max(1),
            state: Mutex::default(),
        }
    }

    /// Puts a row in place of the one with its `id`; without an id that can be one it does nothing.
    pub fn put(&self, object: Object, row: Json) {
        if let Some(id) = lookup_id(&row["id"]) {
            let mut state = locked(&self.state);
            state.rows.entry(object).or_default().insert(id, row);
        }
    }

    /// Removes all rows of an object.
    pub fn clear(&self, object: Object) {
        locked(&self.state).rows.remove(&object);
    }

    /// How often each object was asked for.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<Object, u64> {
        locked(&self.state).calls.clone()
    }

    fn called(&self, object: Object) {
        *locked(&self.state).calls.entry(object).or_default() += 1;
    }

    /// Rows of an object that meet a condition, in an order, at most a page of them.
    fn some<K: Ord>(
        &self,
        object: Object,
        limit: usize,
        meets: impl Fn(ZohoId, &Json) -> bool,
        order: impl Fn(ZohoId, &Json) -> K,
    ) -> Result<Rows, CrmError> {
        let state = locked(&self.state);
        let mut found: Vec<(K, &Json)> = state
            .rows
            .get(&object)
            .into_iter()
            .flatten()
            .filter(|(id, row)| meets(**id, row))
            .map(|(id, row)| (order(*id, row), row))
            .collect();
        found.sort_by(|(left, _), (right, _)| left.cmp(right));
        let limit = limit.min(self.page);
        let more = found.len() > limit;
        let rows = found
            .into_iter()
            .take(limit)
            .map(|(_, row)| read(row))
            .collect::<Result<_, _>>()?;
        Ok(Rows { rows, more })
    }

    fn reply<T>(&self, value: T, credits: u64) -> Reply<T> {
        Reply {
            value,
            server_time: self.clock.now(),
            credits,
            credits_left: None,
        }
    }
}

fn read(row: &Json) -> Result<Row, CrmError> {
    serde_json::from_str(&row.to_string()).map_err(|error| CrmError::Malformed {
        what: "a row".to_owned(),
        source: Box::new(error),
    })
}

fn time(row: &Json) -> Timestamp {
    let text = row["Modified_Time"].as_str();
    text.and_then(|text| text.parse().ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

#[async_trait]
impl Crm for RowsZoho {
    async fn exchange(
        &self,
        centre: DataCentre,
        client: &OAuthClient,
        code: &Secret,
        uri: &str,
    ) -> Result<Grant, CrmError> {
        Nobody.exchange(centre, client, code, uri).await
    }

    async fn refresh(&self, _: DataCentre, _: &OAuthClient, _: &Secret) -> Result<Grant, CrmError> {
        Ok(Grant {
            access: Secret::new("access"),
            refresh: None,
            api_domain: None,
            expires_in: Duration::from_secs(3_600),
            scopes: None,
        })
    }

    async fn revoke(&self, centre: DataCentre, refresh: &Secret) -> Result<(), CrmError> {
        Nobody.revoke(centre, refresh).await
    }

    async fn organisation(&self, caller: &Caller) -> Result<Reply<GrantedOrganisation>, CrmError> {
        Nobody.organisation(caller).await
    }

    async fn fields(
        &self,
        caller: &Caller,
        object: Object,
    ) -> Result<Reply<Vec<FieldInfo>>, CrmError> {
        Nobody.fields(caller, object).await
    }

    async fn select(&self, _: &Caller, select: &Select) -> Result<Reply<Rows>, CrmError> {
        let (object, limit) = (select.object, select.limit);
        self.called(object);
        let by_id = |id: ZohoId, _: &Json| id;
        let rows = match &select.which {
            Which::Changed { since, after } => self.some(
                object,
                limit,
                |id, row| time(row) >= *since && after.is_none_or(|after| (time(row), id) > after),
                |id, row| (time(row), id),
            ),
            Which::IdRange { after, to } => {
                self.some(object, limit, |id, _| *after < id && id <= *to, by_id)
            }
            Which::Ids(ids) => self.some(object, limit, |id, _| ids.contains(&id), by_id),
            Which::LookupIn { field, ids, after } => {
                let meets = |id: ZohoId, row: &Json| {
                    let named = lookup_id(&row[field.as_str()]);
                    id > *after && named.is_some_and(|named| ids.contains(&named))
                };
                self.some(object, limit, meets, by_id)
            }
            Which::TextIn { field, values } => {
                let meets = |_: ZohoId, row: &Json| {
                    let text = row[field.as_str()].as_str();
                    text.is_some_and(|text| {
                        values.iter().any(|value| value.eq_ignore_ascii_case(text))
                    })
                };
                self.some(object, limit, meets, by_id)
            }
            Which::CreatedSince { .. } => self.some(object, limit, |_, _| false, by_id),
        };
        Ok(self.reply(rows?, credit::of_select(limit)))
    }

    async fn count(&self, _: &Caller, asked: Count) -> Result<Reply<u64>, CrmError> {
        self.called(asked.object);
        let count = locked(&self.state)
            .rows
            .get(&asked.object)
            .map_or(0, |rows| {
                let ids = rows.keys();
                ids.filter(|id| **id > asked.after && **id <= asked.to)
                    .count()
            });
        Ok(self.reply(count as u64, credit::of_select(1)))
    }

    async fn tally(&self, caller: &Caller, tally: &Tally) -> Result<Reply<Tallied>, CrmError> {
        Nobody.tally(caller, tally).await
    }

    async fn users(
        &self,
        _: &Caller,
        _: u32,
        modified_since: Option<Timestamp>,
    ) -> Result<Reply<Rows>, CrmError> {
        self.called(Object::User);
        let since = modified_since.unwrap_or(Timestamp::MIN);
        let rows = self.some(
            Object::User,
            usize::MAX,
            |_, row| time(row) >= since,
            |id, _| id,
        );
        let rows = Rows {
            more: false,
            ..rows?
        };
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
