//! The log, in its own table. Lines are forgotten when the connection's retention ends.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::DynamoStore;
use super::batch::Write;
use super::item::{Item, expiry, from_item, text, text_of, to_item};
use super::names;
use super::query::Query;
use crate::identifier::{ConnectionId, PlatformId, RunId, ZohoId};
use crate::journal::{Direction, Entry, Outcome, sortable};
use crate::object::Object;
use crate::port::{Error, Journal, JournalQuery, Page};
use crate::record::FieldChange;
use crate::value::Value;

/// A line. `outcome_key` and `record_key` are the keys of the indexes.
#[derive(Debug, Serialize, Deserialize)]
struct StoredEntry {
    pk: ConnectionId,
    sk: String,
    outcome_key: String,
    record_key: Option<String>,
    at: Timestamp,
    outcome: Outcome,
    direction: Option<Direction>,
    action: String,
    object: Option<Object>,
    record: Option<PlatformId>,
    zoho_id: Option<ZohoId>,
    run: Option<RunId>,
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldChange>,
    forgotten_at: Timestamp,
    expires_at: i64,
}

impl From<Entry> for StoredEntry {
    fn from(entry: Entry) -> Self {
        let Entry {
            connection,
            id,
            at,
            outcome,
            direction,
            action,
            object,
            record,
            zoho_id,
            run,
            reason,
            fields,
            expires_at,
        } = entry;
        Self {
            sk: id,
            outcome_key: names::outcome_of(&connection, outcome),
            record_key: object
                .zip(record.as_ref())
                .map(|(object, record)| names::record(&connection, object, record)),
            pk: connection,
            at,
            outcome,
            direction,
            action,
            object,
            record,
            zoho_id,
            run,
            reason,
            fields: within_limits(fields),
            forgotten_at: expires_at,
            expires_at: expiry(expires_at),
        }
    }
}

impl From<StoredEntry> for Entry {
    fn from(stored: StoredEntry) -> Self {
        let StoredEntry {
            pk,
            sk,
            outcome_key: _,
            record_key: _,
            at,
            outcome,
            direction,
            action,
            object,
            record,
            zoho_id,
            run,
            reason,
            fields,
            forgotten_at,
            expires_at: _,
        } = stored;
        Self {
            connection: pk,
            id: sk,
            at,
            outcome,
            direction,
            action,
            object,
            record,
            zoho_id,
            run,
            reason,
            fields,
            expires_at: forgotten_at,
        }
    }
}

/// The most bytes of values in a line: DynamoDB takes items of 400 KB, and one line that it refused would fail its whole batch.
const MOST_VALUES: usize = 300_000;

/// Leaves the longest texts out where a line would be too large to be stored; that they changed is still said.
fn within_limits(mut fields: Vec<FieldChange>) -> Vec<FieldChange> {
    let mut total: usize = fields.iter().flat_map(values).map(size).sum();
    while total > MOST_VALUES {
        let longest = fields
            .iter_mut()
            .flat_map(values_mut)
            .max_by_key(|value| size(value));
        let Some(longest) = longest.filter(|value| size(value) > 0) else {
            break;
        };
        total -= size(longest);
        *longest = Value::Null;
    }
    fields
}

fn values(change: &FieldChange) -> impl Iterator<Item = &Value> {
    [&change.before, &change.after]
        .into_iter()
        .chain(&change.overruled)
}

fn values_mut(change: &mut FieldChange) -> impl Iterator<Item = &mut Value> {
    [&mut change.before, &mut change.after]
        .into_iter()
        .chain(&mut change.overruled)
}

/// The bytes of what can be long.
fn size(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Choices(choices) => choices.iter().map(|choice| choice.len() + 1).sum(),
        Value::Null
        | Value::Boolean(_)
        | Value::Integer(_)
        | Value::Decimal(_)
        | Value::Date(_)
        | Value::Instant(_)
        | Value::Reference(_) => 0,
    }
}

pub(super) fn entry_of(item: Item) -> Result<Entry, Error> {
    let what = format!("a line of {}'s log", text_of(&item, "pk"));
    from_item::<StoredEntry>(&what, item).map(Entry::from)
}

#[async_trait]
impl Journal for DynamoStore {
    async fn write(&self, entries: &[Entry]) -> Result<(), Error> {
        let puts = entries
            .iter()
            .map(|entry| to_item(&StoredEntry::from(entry.clone())).map(Write::Put))
            .collect::<Result<Vec<_>, _>>()?;
        self.batch_write(&self.tables.log, puts).await
    }

    async fn read(
        &self,
        connection: &ConnectionId,
        query: &JournalQuery,
        next: Option<String>,
        limit: usize,
    ) -> Result<Page<Entry>, Error> {
        let JournalQuery {
            from,
            to,
            outcome,
            record,
            object,
        } = query;
        let table = &self.tables.log;
        let home = connection.to_string();
        let mut question = match (record, outcome) {
            (Some((object, id)), _) => {
                let partition = ("record_key", names::record(connection, *object, id));
                Query::index(table, "by-record", partition, "sk").within(home)
            }
            (None, Some(outcome)) => {
                let partition = ("outcome_key", names::outcome_of(connection, *outcome));
                Query::index(table, "by-outcome", partition, "sk").within(home)
            }
            (None, None) => Query::table(table, home),
        };
        // An id is an instant and more; '$' is right behind the '#' between them.
        let low = from.map(|from| text(sortable(from)));
        let high = to.map(|to| text(format!("{}$", sortable(to))));
        question = question.between(low, high).descending();
        if let (Some(_), Some(outcome)) = (record, outcome) {
            question = question.equal("outcome", names::outcome(*outcome));
        }
        if let Some(object) = object {
            question = question.equal("object", object.name());
        }
        let page = self.page(&question, next.as_deref(), limit).await?;
        let mut page = page.read(entry_of)?;
        // Keys count whole microseconds.
        page.items.retain(|entry| {
            from.is_none_or(|from| entry.at >= from) && to.is_none_or(|to| entry.at < to)
        });
        Ok(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(fields: Vec<FieldChange>) -> Entry {
        let at: Timestamp = "2026-11-23T10:00:00.123456789Z".parse().unwrap();
        Entry {
            connection: "acme".parse().unwrap(),
            id: format!("{}#contact#a@b.example#000001", sortable(at)),
            at,
            outcome: Outcome::Parked,
            direction: Some(Direction::Push),
            action: "parked".into(),
            object: Some(Object::Contact),
            record: Some("a@b.example".parse().unwrap()),
            zoho_id: Some("42".parse().unwrap()),
            run: Some(RunId::new(1, 1)),
            reason: Some("why".into()),
            fields,
            expires_at: "2026-12-23T10:00:00.123456789Z".parse().unwrap(),
        }
    }

    fn change(before: Value, after: Value, overruled: Option<Value>) -> FieldChange {
        FieldChange {
            field: "first_name".parse().unwrap(),
            before,
            after,
            overruled,
        }
    }

    #[test]
    fn a_line_comes_back_as_it_was() {
        let text = |text: &str| Value::Text(text.into());
        let full = entry(vec![
            change(Value::Null, text(""), Some(Value::Boolean(true))),
            change(Value::Integer(i64::MIN), Value::choices(vec![]), None),
        ]);
        let bare = Entry {
            direction: None,
            object: None,
            record: None,
            zoho_id: None,
            run: None,
            reason: None,
            ..entry(vec![])
        };
        for entry in [full, bare] {
            let item = to_item(&StoredEntry::from(entry.clone())).unwrap();
            assert_eq!(item.contains_key("record_key"), entry.record.is_some());
            assert_eq!(entry_of(item).unwrap(), entry);
        }
    }

    #[test]
    fn a_line_that_is_too_long_loses_its_longest_values_only() {
        let long = Value::Text("x".repeat(200_000));
        let short = Value::Text("y".repeat(50_000));
        let kept = within_limits(vec![
            change(long.clone(), long.clone(), None),
            change(short.clone(), Value::Null, Some(short.clone())),
        ]);
        let left = kept.iter().flat_map(values).map(size).sum::<usize>();
        assert_eq!(left, 300_000);
        assert_eq!(kept[1], change(short.clone(), Value::Null, Some(short)));
    }
}
