//! Running a query.

use super::access::{Access, Ordered};
use super::compile::{Column, Compiled, Leaf, column, compile, order};
use super::syntax::{Function, Path, Query, Selected};
use super::{DEFAULT_ROWS, invalid_query};
use crate::org::Organisation;
use crate::org::record::{Record, Value};
use crate::org::schema::DataType;
use crate::org::view::{self, Form, Viewer};
use crate::request::Refusal;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Map, Value as Json, json};
use std::cmp::Ordering;
use std::collections::HashMap;

/// The rows of a query.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<Json>,
    pub(crate) more: bool,
}

/// Runs a query over a module.
pub(crate) fn run(
    organisation: &Organisation,
    module: usize,
    query: &Query,
    viewer: &Viewer,
) -> Result<Rows, Refusal> {
    let condition = compile(organisation, module, &query.condition)?;
    let view = match &query.view {
        None => None,
        Some(id) => {
            let views = organisation
                .modules
                .get(module)
                .map(|module| module.views.as_slice())
                .unwrap_or_default();
            let view = views.iter().find(|view| view.id.to_string() == *id);
            let view = view.ok_or_else(|| invalid_query("custom view is invalid", id))?;
            view.condition
                .as_ref()
                .map(|text| super::condition(organisation, module, text))
                .transpose()?
        }
    };
    let now = viewer.now;
    let keep = |record: &Record| {
        condition.holds(organisation, module, record, now)
            && view
                .as_ref()
                .is_none_or(|view| view.holds(organisation, module, record, now))
    };
    let scan = Scan {
        organisation,
        module,
        condition: &condition,
        now,
    };
    let (offset, limit) = (query.offset, query.limit.unwrap_or(DEFAULT_ROWS));
    if !query.group_by.is_empty() || query.columns.iter().any(|column| column.function.is_some()) {
        return grouped(&scan, query, keep, viewer);
    }
    let columns = query
        .columns
        .iter()
        .map(|selected| {
            Ok((
                key_of(selected),
                column(organisation, module, &selected.path)?,
            ))
        })
        .collect::<Result<Vec<_>, Refusal>>()?;
    let keys = query
        .order_by
        .iter()
        .map(|(path, ascending)| {
            Ok((
                column(organisation, module, &unaliased(query, path))?,
                *ascending,
            ))
        })
        .collect::<Result<Vec<_>, Refusal>>()?;
    let mut records = scan.ordered(&keys, offset.saturating_add(limit).saturating_add(1), keep);
    let more = records.len() > offset + limit;
    records.truncate(offset + limit);
    let rows = records
        .into_iter()
        .skip(offset)
        .map(|record| {
            let mut row = Map::new();
            for (key, column) in &columns {
                row.insert(
                    key.clone(),
                    shown(organisation, module, record, column, viewer),
                );
            }
            row.insert("id".to_owned(), json!(record.id.to_string()));
            Json::Object(row)
        })
        .collect();
    Ok(Rows { rows, more })
}

fn key_of(selected: &Selected) -> String {
    match (&selected.alias, selected.function) {
        (Some(alias), _) => alias.clone(),
        (None, Some(_)) => format!("{}({})", selected.written, selected.path.0),
        (None, None) => selected.path.0.clone(),
    }
}

/// The column behind an alias.
fn unaliased(query: &Query, path: &Path) -> Path {
    let named = query
        .columns
        .iter()
        .find(|column| column.alias.as_ref() == Some(&path.0));
    named.map_or_else(|| path.clone(), |column| column.path.clone())
}

fn shown(
    organisation: &Organisation,
    module: usize,
    record: &Record,
    column: &Column,
    viewer: &Viewer,
) -> Json {
    let value = column.value(organisation, module, record, viewer.now);
    if let Value::Reference(id) = value.as_ref() {
        // A lookup shows nothing but its id.
        return match column.leaf {
            Leaf::Field { .. } => {
                let there =
                    organisation.module_of(*id).is_some() || organisation.users.contains_key(id);
                if there {
                    json!({ "id": id.to_string() })
                } else {
                    Json::Null
                }
            }
            _ => json!(id.to_string()),
        };
    }
    match column.leaf {
        Leaf::Field {
            module: at,
            position,
        } if column.hops.is_empty() => {
            view::field(organisation, at, record, position, Form::List, viewer)
        }
        Leaf::Field {
            module: at,
            position,
        } => {
            let field = organisation
                .modules
                .get(at)
                .and_then(|module| module.fields().get(position));
            field.map_or(Json::Null, |field| {
                view::value_as_json(organisation, field, &value, Form::List, viewer)
            })
        }
        _ => value.as_text().map_or(Json::Null, |text| json!(text)),
    }
}

struct Scan<'a> {
    organisation: &'a Organisation,
    module: usize,
    condition: &'a Compiled,
    now: Timestamp,
}

impl<'a> Scan<'a> {
    /// The first records that pass, in order, at most as many as wanted.
    fn ordered(
        &self,
        keys: &[(Column, bool)],
        wanted: usize,
        keep: impl Fn(&Record) -> bool,
    ) -> Vec<&'a Record> {
        let table = self.organisation.table_at(self.module);
        let access = Access::of(self.condition, table);
        let ordered = Ordered::of(keys);
        let (low, high) = access.times();
        let keep = |record: &&'a Record| keep(record);
        if let Some(ids) = &access.ids {
            let records = ids
                .iter()
                .filter_map(|id| table.get(*id))
                .filter(keep)
                .collect();
            return self.sorted(records, keys, wanted);
        }
        if low > high {
            return Vec::new();
        }
        let by_time = || {
            table
                .by_modified()
                .range(low..=high)
                .filter_map(|(_, id)| table.get(*id))
        };
        let by_id = || {
            table
                .records()
                .range(access.from_id..)
                .map(|(_, record)| record)
        };
        match ordered {
            Ordered::ByModified { ascending: true } => {
                by_time().filter(keep).take(wanted).collect()
            }
            Ordered::ByModified { ascending: false } => {
                by_time().rev().filter(keep).take(wanted).collect()
            }
            Ordered::ById { ascending: true } if access.from.is_none() => {
                by_id().filter(keep).take(wanted).collect()
            }
            Ordered::ById { ascending: false } if access.from.is_none() => {
                by_id().rev().filter(keep).take(wanted).collect()
            }
            _ if access.from.is_some() || access.to.is_some() => {
                self.sorted(by_time().filter(keep).collect(), keys, wanted)
            }
            _ => self.sorted(by_id().filter(keep).collect(), keys, wanted),
        }
    }

    /// Every record that passes.
    fn unordered(&self, keep: impl Fn(&Record) -> bool) -> Vec<&'a Record> {
        let table = self.organisation.table_at(self.module);
        let access = Access::of(self.condition, table);
        let (low, high) = access.times();
        let keep = |record: &&'a Record| keep(record);
        if let Some(ids) = &access.ids {
            return ids
                .iter()
                .filter_map(|id| table.get(*id))
                .filter(keep)
                .collect();
        }
        if low > high {
            return Vec::new();
        }
        // Walking by time costs a look-up per record, which pays when the times leave most of them out.
        let quarter = table.records().len() / 4;
        let by_time = || table.by_modified().range(low..=high);
        if by_time().nth(quarter).is_none() {
            return by_time()
                .filter_map(|(_, id)| table.get(*id))
                .filter(keep)
                .collect();
        }
        table
            .records()
            .range(access.from_id..)
            .map(|(_, record)| record)
            .filter(keep)
            .collect()
    }

    fn sorted(
        &self,
        mut records: Vec<&'a Record>,
        keys: &[(Column, bool)],
        wanted: usize,
    ) -> Vec<&'a Record> {
        if let Ordered::ById { ascending } = Ordered::of(keys) {
            records.sort_unstable_by_key(|record| record.id);
            if !ascending {
                records.reverse();
            }
        } else {
            // Texts are folded once here, so that comparing them does not fold them again and again.
            let folded = |column: &Column, record: &'a Record| match column
                .value(self.organisation, self.module, record, self.now)
                .into_owned()
            {
                Value::Text(text) => Value::Text(text.to_lowercase().into_boxed_str()),
                value => value,
            };
            let mut keyed: Vec<(Vec<Value>, &Record)> = records
                .into_iter()
                .map(|record| {
                    (
                        keys.iter()
                            .map(|(column, _)| folded(column, record))
                            .collect(),
                        record,
                    )
                })
                .collect();
            let in_order = |left: &(Vec<Value>, &Record), right: &(Vec<Value>, &Record)| {
                compare(
                    &left.0,
                    &right.0,
                    keys.iter().map(|(_, ascending)| *ascending),
                )
                .then_with(|| left.1.id.cmp(&right.1.id))
            };
            if wanted < keyed.len() {
                keyed.select_nth_unstable_by(wanted, in_order);
                keyed.truncate(wanted);
            }
            keyed.sort_unstable_by(in_order);
            records = keyed.into_iter().map(|(_, record)| record).collect();
        }
        records.truncate(wanted);
        records
    }
}

/// Compares keys whose texts are folded already.
fn compare(left: &[Value], right: &[Value], directions: impl Iterator<Item = bool>) -> Ordering {
    let order = |left: &Value, right: &Value| match (left, right) {
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        _ => order(left, right),
    };
    left.iter()
        .zip(right)
        .zip(directions)
        .map(|((left, right), ascending)| {
            if ascending {
                order(left, right)
            } else {
                order(right, left)
            }
        })
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

#[derive(Debug, Clone, Default)]
struct Sum {
    count: u64,
    total: Decimal,
    least: Value,
    greatest: Value,
}

impl Sum {
    fn add(&mut self, value: &Value) {
        if value.is_null() {
            return;
        }
        self.count += 1;
        self.total += value.as_number().unwrap_or_default();
        if self.least.is_null() || order(value, &self.least).is_lt() {
            self.least = value.clone();
        }
        if self.greatest.is_null() || order(value, &self.greatest).is_gt() {
            self.greatest = value.clone();
        }
    }

    fn result(&self, function: Function) -> Value {
        match function {
            Function::Count => Value::Number(self.count.into()),
            Function::Sum => Value::Number(self.total.normalize()),
            Function::Avg if self.count == 0 => Value::Null,
            Function::Avg => Value::Number(
                (self.total / Decimal::from(self.count))
                    .round_dp(6)
                    .normalize(),
            ),
            Function::Min => self.least.clone(),
            Function::Max => self.greatest.clone(),
        }
    }
}

struct Output {
    key: String,
    function: Option<Function>,
    column: Column,
}

fn grouped(
    scan: &Scan<'_>,
    query: &Query,
    keep: impl Fn(&Record) -> bool,
    viewer: &Viewer,
) -> Result<Rows, Refusal> {
    let (organisation, module, now) = (scan.organisation, scan.module, scan.now);
    let groups = query
        .group_by
        .iter()
        .map(|path| column(organisation, module, &unaliased(query, path)))
        .collect::<Result<Vec<_>, _>>()?;
    let outputs = query
        .columns
        .iter()
        .map(|selected| {
            let column = column(organisation, module, &selected.path)?;
            if selected.function.is_none() && !groups.contains(&column) {
                return Err(invalid_query(
                    "the column must be in group by",
                    &selected.path.0,
                ));
            }
            let numeric = matches!(column.kind, super::compile::Kind::Number);
            if matches!(selected.function, Some(Function::Sum | Function::Avg)) && !numeric {
                return Err(invalid_query(
                    "the function needs a number",
                    &selected.path.0,
                ));
            }
            Ok(Output {
                key: key_of(selected),
                function: selected.function,
                column,
            })
        })
        .collect::<Result<Vec<_>, Refusal>>()?;
    let mut found: Vec<(Vec<Sum>, Option<&Record>)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for record in scan.unordered(keep) {
        let values: Vec<Value> = groups
            .iter()
            .map(|column| column.value(organisation, module, record, now).into_owned())
            .collect();
        let key = if groups.is_empty() {
            String::new()
        } else {
            format!("{values:?}")
        };
        let place = *places.entry(key).or_insert_with(|| {
            found.push((vec![Sum::default(); outputs.len()], Some(record)));
            found.len() - 1
        });
        let Some((sums, _)) = found.get_mut(place) else {
            continue;
        };
        for (sum, output) in sums.iter_mut().zip(&outputs) {
            sum.add(&output.column.value(organisation, module, record, now));
        }
    }
    if found.is_empty() && groups.is_empty() {
        // Nothing was found, and counting nothing gives a row all the same.
        found.push((vec![Sum::default(); outputs.len()], None));
    }
    let ordering = query
        .order_by
        .iter()
        .map(|(path, ascending)| {
            let place = outputs.iter().position(|output| output.key == path.0);
            place
                .map(|place| (place, *ascending))
                .ok_or_else(|| invalid_query("the column is not selected", &path.0))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut rows: Vec<(Vec<Value>, Json)> = found
        .iter()
        .map(|(sums, record)| {
            let mut row = Map::new();
            let mut values = Vec::with_capacity(outputs.len());
            for (output, sum) in outputs.iter().zip(sums) {
                let (value, json) = match (output.function, record) {
                    (Some(function), _) => {
                        let value = sum.result(function);
                        let json = aggregate_as_json(organisation, &value, viewer);
                        (value, json)
                    }
                    (None, Some(record)) => (
                        output
                            .column
                            .value(organisation, module, record, now)
                            .into_owned(),
                        shown(organisation, module, record, &output.column, viewer),
                    ),
                    (None, None) => (Value::Null, Json::Null),
                };
                row.insert(output.key.clone(), json);
                values.push(value);
            }
            (values, Json::Object(row))
        })
        .collect();
    rows.sort_by(|left, right| {
        let pick = |values: &[Value]| -> Vec<Value> {
            ordering
                .iter()
                .map(|(place, _)| values.get(*place).cloned().unwrap_or_default())
                .collect()
        };
        compare(
            &pick(&left.0),
            &pick(&right.0),
            ordering.iter().map(|(_, ascending)| *ascending),
        )
    });
    let limit = query.limit.unwrap_or(DEFAULT_ROWS);
    let more = rows.len() > query.offset + limit;
    let rows = rows
        .into_iter()
        .skip(query.offset)
        .take(limit)
        .map(|(_, row)| row)
        .collect();
    Ok(Rows { rows, more })
}

fn aggregate_as_json(organisation: &Organisation, value: &Value, viewer: &Viewer) -> Json {
    match value {
        Value::Reference(id) => json!(id.to_string()),
        value => {
            let field = crate::org::schema::Field::new("", DataType::Text);
            view::value_as_json(organisation, &field, value, Form::List, viewer)
        }
    }
}
