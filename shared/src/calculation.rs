//! Calculating an account's fields from its contacts, deals and tasks (F5).

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, civil};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value as Json;

use crate::calculated::{Aggregate, Ordered, field_type};
use crate::connection::Connection;
use crate::criteria::{Condition, Filter};
use crate::hash;
use crate::identifier::{ConnectionId, Digest, FieldName, PlatformId};
use crate::merge::{Moment, source};
use crate::object::Object;
use crate::record::{Action, Change, FieldChange, Record, Side};
use crate::settings::Settings;
use crate::value::{FieldType, Fields, Value};

#[cfg(test)]
mod tests;

/// How many decimal places a mean has.
const PLACES: u32 = 10;

/// A connection's calculated fields, compiled from its settings.
#[derive(Debug, Clone)]
pub struct Plan {
    fields: Vec<Field>,
    /// Account fields that a mapping fills: they are not this plan's to take away.
    mapped: BTreeSet<FieldName>,
    zone: TimeZone,
    /// Changes whenever every account has to be calculated anew.
    pub digest: Digest,
}

/// One calculated field.
#[derive(Debug, Clone, Serialize)]
struct Field {
    name: FieldName,
    /// The type of the outcome.
    kind: FieldType,
    over: Object,
    filter: Filter<FieldName>,
    aggregate: Aggregate,
    /// The types of the fields that are looked at.
    types: BTreeMap<FieldName, FieldType>,
}

/// What calculating an account's fields came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The values by field.
    pub values: Fields,
    /// Fields that could not be calculated; their value is none.
    pub faults: Vec<Fault>,
    /// The first later day on which the same records may come to something else; none: no day changes it.
    pub changes_on: Option<civil::Date>,
}

/// A field that could not be calculated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The field.
    pub field: FieldName,
    /// Why.
    pub reason: &'static str,
}

/// An account whose fields are to be calculated on a day or as soon as possible after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The connection.
    pub connection: ConnectionId,
    /// The day, in the organisation's time zone.
    pub day: civil::Date,
    /// The account, by its platform id.
    pub account: PlatformId,
    /// When the mark was made.
    pub marked_at: Timestamp,
    /// Random: a mark that was made anew meanwhile is another one.
    pub stamp: u128,
}

impl Plan {
    /// Compiles the calculated fields of a connection.
    #[must_use]
    pub fn compile(settings: &Settings, connection: &Connection) -> Self {
        let own = settings.object(Object::Account);
        let compile = |calculated: crate::calculated::Calculated| {
            let filter = calculated.filter.unwrap_or(Filter::All(Vec::new()));
            let looked_at = calculated.value.fields().into_iter().map(|(_, name)| name);
            let types = looked_at
                .chain(filter.fields())
                .filter_map(|name| {
                    let kind = field_type(settings, calculated.over, name)?;
                    Some((name.clone(), kind))
                })
                .collect();
            Some(Field {
                kind: field_type(settings, Object::Account, &calculated.platform)?,
                name: calculated.platform,
                over: calculated.over,
                filter,
                types,
                aggregate: calculated.value,
            })
        };
        let fields: Vec<Field> = own.calculated.into_iter().filter_map(compile).collect();
        let zone = connection.organisation.as_ref();
        let zone = zone.map_or("", |organisation| organisation.time_zone.as_str());
        // Where nothing is calculated it does not matter where the day turns.
        let digest = hash::of_calculation(&fields, if fields.is_empty() { "" } else { zone });
        Self {
            mapped: own
                .mappings
                .into_iter()
                .map(|mapping| mapping.platform)
                .collect(),
            zone: connection.time_zone(),
            fields,
            digest,
        }
    }

    /// Whether nothing is calculated.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The objects whose records are looked at.
    #[must_use]
    pub fn over(&self) -> BTreeSet<Object> {
        self.fields.iter().map(|field| field.over).collect()
    }

    /// The day that it is for the organisation.
    #[must_use]
    pub fn today(&self, now: Timestamp) -> civil::Date {
        self.zone.to_datetime(now).date()
    }

    /// The accounts whose fields may come to something else because this record was saved as it is. An account needs it itself when it came
    /// or came back.
    #[must_use]
    pub fn touched(&self, record: &Record) -> BTreeSet<PlatformId> {
        if record.object == Object::Account {
            let never = self
                .fields
                .iter()
                .any(|field| !record.fields.contains_key(&field.name));
            let back = record
                .change
                .as_ref()
                .is_some_and(|change| change.action == Action::Restored);
            return (never || back)
                .then(|| record.id.clone())
                .into_iter()
                .collect();
        }
        if !self.fields.iter().any(|field| field.over == record.object) {
            return BTreeSet::new();
        }
        let accounts = record.account().into_iter().chain(&record.moved_from);
        accounts.cloned().collect()
    }

    /// Calculates an account's fields. Records that are removed or belong to another account don't count, whoever names them.
    #[must_use]
    pub fn evaluate(
        &self,
        account: &PlatformId,
        records: &[Record],
        today: civil::Date,
    ) -> Outcome {
        let mut belonging: Vec<&Record> = records
            .iter()
            .filter(|record| record.removed.is_none() && record.account() == Some(account))
            .collect();
        belonging.sort_by_key(|record| &record.id);
        let mut outcome = Outcome {
            values: Fields::new(),
            faults: Vec::new(),
            changes_on: None,
        };
        for field in &self.fields {
            let looked_at: Vec<&Record> = belonging
                .iter()
                .filter(|record| record.object == field.over)
                .copied()
                .collect();
            let value = field.value(&looked_at, &self.zone, today);
            let value = value.unwrap_or_else(|reason| {
                let field = field.name.clone();
                outcome.faults.push(Fault { field, reason });
                Value::Null
            });
            outcome.values.insert(field.name.clone(), value);
            let turn = field.changes_on(&looked_at, &self.zone, today);
            outcome.changes_on = outcome.changes_on.into_iter().chain(turn).min();
        }
        outcome
    }

    /// The account with what was calculated; none where it shows that already. Fields that are calculated no more are taken off it.
    #[must_use]
    pub fn applied(&self, before: &Record, outcome: &Outcome, moment: &Moment) -> Option<Record> {
        let mut record = before.clone();
        let mut changes = Vec::new();
        let mut note = |field: &FieldName, after: &Value| {
            let shown = before.fields.get(field).unwrap_or(&Value::Null);
            changes.push(FieldChange {
                field: field.clone(),
                before: shown.clone(),
                after: after.clone(),
                overruled: None,
            });
        };
        for (name, value) in &outcome.values {
            if before.fields.get(name).unwrap_or(&Value::Null) == value {
                continue;
            }
            note(name, value);
            record.fields.insert(name.clone(), value.clone());
            record
                .sources
                .insert(name.clone(), source(Side::Calculated, moment, None));
        }
        for (name, source) in &before.sources {
            let dropped = source.side == Side::Calculated && !outcome.values.contains_key(name);
            if dropped && !self.mapped.contains(name) {
                note(name, &Value::Null);
                record.fields.remove(name);
                record.sources.remove(name);
            }
        }
        if changes.is_empty() {
            return None;
        }
        record.updated_at = moment.now;
        record.change = Some(Change {
            action: Action::Calculated,
            run: moment.run.clone(),
            fields: changes,
        });
        Some(record)
    }
}

impl Field {
    fn value(
        &self,
        looked_at: &[&Record],
        zone: &TimeZone,
        today: civil::Date,
    ) -> Result<Value, &'static str> {
        let admitted: Vec<&Record> = looked_at
            .iter()
            .filter(|record| self.admits(record, zone, today))
            .copied()
            .collect();
        let values = |name: &FieldName| {
            let read = admitted.iter().map(|record| self.read(record, name));
            read.filter(|value| !value.is_null()).collect::<Vec<_>>()
        };
        let taken = |record: Option<&&Record>, name: &FieldName| {
            record.map_or(Value::Null, |record| self.read(record, name))
        };
        Ok(match &self.aggregate {
            Aggregate::Max(name) => values(name)
                .into_iter()
                .max_by(order)
                .unwrap_or(Value::Null),
            Aggregate::Min(name) => values(name)
                .into_iter()
                .min_by(order)
                .unwrap_or(Value::Null),
            Aggregate::Sum(name) => self.number(sum(&values(name))?)?,
            Aggregate::Average(name) => {
                let values = values(name);
                if values.is_empty() {
                    return Ok(Value::Null);
                }
                let mean = sum(&values)?
                    .checked_div(Decimal::from(values.len()))
                    .ok_or(OUT_OF_RANGE)?;
                self.number(mean.round_dp(PLACES))?
            }
            Aggregate::First(Ordered { field, by }) => {
                taken(self.in_order(&admitted, by).first(), field)
            }
            Aggregate::Last(Ordered { field, by }) => {
                taken(self.in_order(&admitted, by).last(), field)
            }
            Aggregate::Count => Value::Integer(i64::try_from(admitted.len()).unwrap_or(i64::MAX)),
            Aggregate::Any => Value::Boolean(!admitted.is_empty()),
            Aggregate::All => Value::Boolean(admitted.len() == looked_at.len()),
        })
    }

    /// The records that have a place in the order, first by their value, then by their id.
    fn in_order<'a>(&self, admitted: &[&'a Record], by: &FieldName) -> Vec<&'a Record> {
        let mut placed: Vec<(Value, &Record)> = admitted
            .iter()
            .map(|record| (self.read(record, by), *record))
            .filter(|(value, _)| !value.is_null())
            .collect();
        placed.sort_by(|(left, one), (right, other)| {
            order(left, right).then_with(|| one.id.cmp(&other.id))
        });
        placed.into_iter().map(|(_, record)| record).collect()
    }

    /// A number in the type of the outcome.
    fn number(&self, number: Decimal) -> Result<Value, &'static str> {
        if self.kind == FieldType::Integer {
            let whole = i64::try_from(number).map_err(|_| OUT_OF_RANGE)?;
            return Ok(Value::Integer(whole));
        }
        Ok(Value::Decimal(number.normalize()))
    }

    fn admits(&self, record: &Record, zone: &TimeZone, today: civil::Date) -> bool {
        let day = |days: i32| Json::from(shifted(today, days).to_string());
        self.filter.holds(&|condition| {
            let value = self.read(record, &condition.field);
            let shown = match compared_day(condition, &value, zone) {
                Some(date) => date.to_string().into(),
                None => comparable(&value),
            };
            condition.holds_on(&day, &shown)
        })
    }

    /// A comparison of a date with today comes out differently on the day on which the two meet, and on the day after; on no other.
    fn changes_on(
        &self,
        looked_at: &[&Record],
        zone: &TimeZone,
        today: civil::Date,
    ) -> Option<civil::Date> {
        let mut turns = BTreeSet::new();
        for (_, condition) in self.filter.conditions() {
            for days in condition.todays() {
                let dates = looked_at.iter().filter_map(|record| {
                    compared_day(condition, &self.read(record, &condition.field), zone)
                });
                turns
                    .extend(dates.flat_map(|date| [shifted(date, -days), shifted(date, 1 - days)]));
            }
        }
        turns.into_iter().find(|day| *day > today)
    }

    /// A record's value of a field; none where it is of another type, as values can be that were stored under earlier settings.
    fn read(&self, record: &Record, name: &FieldName) -> Value {
        let value = record.fields.get(name).unwrap_or(&Value::Null);
        let fits = match (self.types.get(name), value) {
            (Some(FieldType::Decimal), Value::Integer(whole)) => {
                return Value::Decimal(Decimal::from(*whole));
            }
            (Some(FieldType::Integer), Value::Integer(_))
            | (Some(FieldType::Decimal), Value::Decimal(_))
            | (Some(FieldType::Boolean), Value::Boolean(_))
            | (Some(FieldType::Date), Value::Date(_))
            | (Some(FieldType::Instant), Value::Instant(_))
            | (Some(FieldType::Choices), Value::Choices(_)) => true,
            (
                Some(
                    FieldType::Text
                    | FieldType::Choice
                    | FieldType::Email
                    | FieldType::Phone
                    | FieldType::Url,
                ),
                Value::Text(_),
            ) => true,
            (Some(FieldType::Reference(object)), Value::Reference(reference)) => {
                reference.object == *object
            }
            _ => false,
        };
        if fits { value.clone() } else { Value::Null }
    }
}

const OUT_OF_RANGE: &str = "the outcome is too large for the field's type";

fn sum(values: &[Value]) -> Result<Decimal, &'static str> {
    let numbers = values.iter().map(|value| match value {
        Value::Integer(whole) => Decimal::from(*whole),
        Value::Decimal(number) => *number,
        _ => Decimal::ZERO,
    });
    numbers
        .into_iter()
        .try_fold(Decimal::ZERO, Decimal::checked_add)
        .ok_or(OUT_OF_RANGE)
}

/// The order of two values of one type.
fn order(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => left.cmp(right),
        (Value::Decimal(left), Value::Decimal(right)) => left.cmp(right),
        (Value::Date(left), Value::Date(right)) => left.cmp(right),
        (Value::Instant(left), Value::Instant(right)) => left.cmp(right),
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        _ => Ordering::Equal,
    }
}

/// The day that a condition compares with today; none where it compares something else.
fn compared_day(
    condition: &Condition<FieldName>,
    value: &Value,
    zone: &TimeZone,
) -> Option<civil::Date> {
    match value {
        _ if condition.todays().is_empty() => None,
        Value::Date(date) => Some(*date),
        Value::Instant(at) => Some(zone.to_datetime(*at).date()),
        _ => None,
    }
}

/// A value as conditions compare it: a reference is the platform id of what it names, or the Zoho id as long as there is none.
fn comparable(value: &Value) -> Json {
    match value {
        Value::Reference(reference) => match (&reference.platform_id, reference.zoho_id) {
            (Some(id), _) => id.as_str().into(),
            (None, Some(id)) => id.to_string().into(),
            (None, None) => Json::Null,
        },
        value => value.to_json(),
    }
}

/// The day so many days later; the calendar's end where it has no such day.
fn shifted(date: civil::Date, days: i32) -> civil::Date {
    let end = if days < 0 {
        civil::Date::MIN
    } else {
        civil::Date::MAX
    };
    date.checked_add(SignedDuration::from_hours(24 * i64::from(days)))
        .unwrap_or(end)
}
