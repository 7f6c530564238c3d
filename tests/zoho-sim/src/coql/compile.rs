//! Names to places: a condition that can be tested on a record without looking anything up by name.

use super::syntax::{Comparison, Condition, Connective, Literal, Path};
use super::{invalid_operator, invalid_query, limit_exceeded, parse};
use crate::org::Organisation;
use crate::org::record::{Record, Value};
use crate::org::schema::{Computed, DataType};
use crate::org::user::User;
use crate::request::Refusal;
use jiff::Timestamp;
use rust_decimal::Decimal;
use std::borrow::Cow;
use std::cmp::Ordering;

const HOPS: usize = 2;

/// A column found in the schema.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    /// Lookups to walk through, each with the module that must be there, or none for users.
    pub(super) hops: Vec<(usize, Option<usize>)>,
    pub(super) leaf: Leaf,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Leaf {
    Id,
    Field { module: usize, position: usize },
    User(UserColumn),
    ModuleName { module: usize, position: usize },
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum UserColumn {
    Id,
    FirstName,
    LastName,
    FullName,
    Email,
    Status,
}

/// What can be compared with a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Number,
    Date,
    Instant,
    Boolean,
    Reference,
    Id,
}

/// A condition that can be tested on records of one module.
#[derive(Debug, Clone)]
pub(crate) enum Compiled {
    Test(Column, Test),
    Pair(Box<Compiled>, Connective, Box<Compiled>),
}

#[derive(Debug, Clone)]
pub(crate) enum Test {
    Compare(Comparison, Value),
    In(bool, Vec<Value>),
    Between(bool, Value, Value),
    Like(bool, Like),
    Null(bool),
}

#[derive(Debug, Clone)]
pub(crate) struct Like {
    text: String,
    open_start: bool,
    open_end: bool,
}

/// Reads and compiles a condition on its own.
pub(crate) fn condition(
    organisation: &Organisation,
    module: usize,
    text: &str,
) -> Result<Compiled, Refusal> {
    compile(organisation, module, &parse::parse_condition(text)?)
}

pub(super) fn compile(
    organisation: &Organisation,
    module: usize,
    condition: &Condition,
) -> Result<Compiled, Refusal> {
    let (path, test) = match condition {
        Condition::Pair(left, connective, right) => {
            let left = compile(organisation, module, left)?;
            let right = compile(organisation, module, right)?;
            return Ok(Compiled::Pair(Box::new(left), *connective, Box::new(right)));
        }
        Condition::Compare(path, ..)
        | Condition::Like(path, ..)
        | Condition::In(path, ..)
        | Condition::Between(path, ..)
        | Condition::Null(path, _) => (path, condition),
    };
    let column = column(organisation, module, path)?;
    let kind = column.kind;
    let ranged = matches!(kind, Kind::Number | Kind::Date | Kind::Instant | Kind::Id);
    let value = |literal: &Literal| {
        constant(kind, literal)
            .ok_or_else(|| invalid_query("the value does not fit the field", &path.0))
    };
    let test = match test {
        Condition::Compare(_, comparison, literal) => {
            let allowed = match comparison {
                Comparison::Equal => true,
                Comparison::NotEqual => kind != Kind::Boolean,
                _ => ranged,
            };
            if !allowed {
                return Err(invalid_operator(&path.0, comparison.symbol()));
            }
            Test::Compare(*comparison, value(literal)?)
        }
        Condition::In(_, negated, list) => {
            if kind == Kind::Boolean {
                return Err(invalid_operator(&path.0, "in"));
            }
            Test::In(*negated, list.iter().map(value).collect::<Result<_, _>>()?)
        }
        Condition::Between(_, negated, low, high) => {
            if !ranged {
                return Err(invalid_operator(&path.0, "between"));
            }
            Test::Between(*negated, value(low)?, value(high)?)
        }
        Condition::Like(_, negated, pattern) => {
            if kind != Kind::Text {
                return Err(invalid_operator(&path.0, "like"));
            }
            let inner = pattern.trim_start_matches('%').trim_end_matches('%');
            if inner.contains('%') {
                return Err(invalid_query(
                    "like supports contains, starts with and ends with only",
                    &path.0,
                ));
            }
            Test::Like(
                *negated,
                Like {
                    text: inner.to_lowercase(),
                    open_start: pattern.starts_with('%'),
                    open_end: pattern.ends_with('%'),
                },
            )
        }
        Condition::Null(_, negated) => Test::Null(*negated),
        Condition::Pair(..) => return Err(super::syntax_error("")),
    };
    Ok(Compiled::Test(column, test))
}

/// Finds a column.
pub(super) fn column(
    organisation: &Organisation,
    module: usize,
    path: &Path,
) -> Result<Column, Refusal> {
    let unknown = || invalid_query("column name is invalid", &path.0);
    let mut hops = Vec::new();
    let mut here = Some(module);
    let mut steps = path.0.split('.').peekable();
    while let Some(step) = steps.next() {
        let (name, cast) = match step.split_once("->") {
            Some((name, cast)) => (name, Some(cast)),
            None => (step, None),
        };
        let last = steps.peek().is_none();
        let Some(at) = here else {
            let column = user_column(name)
                .filter(|_| last && cast.is_none())
                .ok_or_else(unknown)?;
            let kind = if column == UserColumn::Id {
                Kind::Id
            } else {
                Kind::Text
            };
            return Ok(Column {
                hops,
                leaf: Leaf::User(column),
                kind,
            });
        };
        let definition = organisation.modules.get(at).ok_or_else(unknown)?;
        if last && name == "id" && cast.is_none() {
            return Ok(Column {
                hops,
                leaf: Leaf::Id,
                kind: Kind::Id,
            });
        }
        let (position, field) = definition.visible(name).ok_or_else(unknown)?;
        if last && cast.is_none() {
            let kind = kind(field).ok_or_else(unknown)?;
            return Ok(Column {
                hops,
                leaf: Leaf::Field {
                    module: at,
                    position,
                },
                kind,
            });
        }
        let to = match (field.data_type, cast) {
            (DataType::OwnerLookup | DataType::UserLookup, None) => None,
            (DataType::Lookup, None) => Some(
                field
                    .target
                    .as_deref()
                    .and_then(|target| organisation.position(target))
                    .ok_or_else(unknown)?,
            ),
            (DataType::MultiModuleLookup, Some(cast)) => {
                Some(organisation.position(cast).ok_or_else(unknown)?)
            }
            (DataType::MultiModuleLookup, None) => {
                // `What_Id.module.api_name` is the only walk that needs no module.
                let rest: Vec<&str> = steps.collect();
                return match rest.as_slice() {
                    ["module", "api_name"] => Ok(Column {
                        hops,
                        leaf: Leaf::ModuleName {
                            module: at,
                            position,
                        },
                        kind: Kind::Text,
                    }),
                    _ => Err(unknown()),
                };
            }
            _ => return Err(unknown()),
        };
        hops.push((position, to));
        if hops.len() > HOPS {
            return Err(limit_exceeded("joins", HOPS));
        }
        here = to;
    }
    Err(unknown())
}

fn user_column(name: &str) -> Option<UserColumn> {
    Some(match name {
        "id" => UserColumn::Id,
        "first_name" => UserColumn::FirstName,
        "last_name" => UserColumn::LastName,
        "full_name" | "name" => UserColumn::FullName,
        "email" => UserColumn::Email,
        "status" => UserColumn::Status,
        _ => return None,
    })
}

fn kind(field: &crate::org::schema::Field) -> Option<Kind> {
    Some(match field.data_type {
        DataType::Integer
        | DataType::BigInt
        | DataType::Double
        | DataType::Currency
        | DataType::Percent
        | DataType::RollupSummary => Kind::Number,
        DataType::Formula => match field.computed {
            Some(Computed::Through(..) | Computed::FullName) => Kind::Text,
            _ => Kind::Number,
        },
        DataType::Boolean => Kind::Boolean,
        DataType::Date => Kind::Date,
        DataType::DateTime => Kind::Instant,
        DataType::Lookup
        | DataType::OwnerLookup
        | DataType::UserLookup
        | DataType::MultiModuleLookup => Kind::Reference,
        DataType::MultiSelectLookup | DataType::Subform => return None,
        _ => Kind::Text,
    })
}

fn constant(kind: Kind, literal: &Literal) -> Option<Value> {
    let text = match literal {
        Literal::Boolean(value) => {
            return (kind == Kind::Boolean).then_some(Value::Boolean(*value));
        }
        Literal::Text(text) | Literal::Bare(text) => text.as_str(),
    };
    match kind {
        Kind::Text => Some(Value::Text(text.to_lowercase().into_boxed_str())),
        Kind::Number => text.parse::<Decimal>().ok().map(Value::Number),
        Kind::Date => text.parse().ok().map(Value::Date),
        Kind::Instant => text.parse().ok().map(Value::Instant),
        Kind::Boolean => text.parse().ok().map(Value::Boolean),
        Kind::Reference | Kind::Id => text.parse().ok().map(Value::Reference),
    }
}

impl Column {
    /// The value that a record shows in this column.
    pub(super) fn value<'a>(
        &self,
        organisation: &'a Organisation,
        module: usize,
        record: &'a Record,
        now: Timestamp,
    ) -> Cow<'a, Value> {
        let mut here = (module, record);
        for (position, to) in &self.hops {
            let Some(id) = here.1.value(*position).as_reference() else {
                return Cow::Owned(Value::Null);
            };
            match to {
                None => {
                    let user = organisation.users.get(&id);
                    return Cow::Owned(user.map_or(Value::Null, |user| self.user_value(user)));
                }
                Some(to) => match organisation.table_at(*to).get(id) {
                    Some(record) => here = (*to, record),
                    None => return Cow::Owned(Value::Null),
                },
            }
        }
        let (module, record) = here;
        match self.leaf {
            Leaf::Id => Cow::Owned(Value::Reference(record.id)),
            Leaf::User(_) => Cow::Owned(Value::Null),
            Leaf::ModuleName { position, .. } => {
                let target = record
                    .value(position)
                    .as_reference()
                    .and_then(|id| organisation.module_of(id));
                let name = target.and_then(|target| organisation.modules.get(target));
                Cow::Owned(name.map_or(Value::Null, |module| Value::text(module.api_name.clone())))
            }
            Leaf::Field { position, .. } => {
                let field = organisation
                    .modules
                    .get(module)
                    .and_then(|module| module.fields().get(position));
                match field {
                    Some(field)
                        if field.computed.is_none()
                            && position != crate::org::schema::common::LOCKED =>
                    {
                        match record.value(position) {
                            Value::Many(many) => Cow::Owned(Value::text(many.join(";"))),
                            value => Cow::Borrowed(value),
                        }
                    }
                    _ => Cow::Owned(organisation.value(module, record, position, now)),
                }
            }
        }
    }

    fn user_value(&self, user: &User) -> Value {
        match self.leaf {
            Leaf::User(UserColumn::Id) => Value::Reference(user.id),
            Leaf::User(UserColumn::FirstName) => {
                Value::text(user.first_name.clone().unwrap_or_default())
            }
            Leaf::User(UserColumn::LastName) => Value::text(user.last_name.clone()),
            Leaf::User(UserColumn::FullName) => Value::text(user.full_name()),
            Leaf::User(UserColumn::Email) => Value::text(user.email.clone()),
            Leaf::User(UserColumn::Status) => Value::text(user.status.name()),
            _ => Value::Null,
        }
    }
}

/// Orders two values of the same column; empty ones come first.
pub(super) fn order(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Text(left), Value::Text(right)) => folded(left).cmp(folded(right)),
        (Value::Number(left), Value::Number(right)) => left.cmp(right),
        (Value::Date(left), Value::Date(right)) => left.cmp(right),
        (Value::Instant(left), Value::Instant(right)) => left.cmp(right),
        (Value::Boolean(left), Value::Boolean(right)) => left.cmp(right),
        (Value::Reference(left), Value::Reference(right)) => left.cmp(right),
        _ => Ordering::Equal,
    }
}

fn folded(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().flat_map(char::to_lowercase)
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        if let Self::Null(negated) = self {
            return value.is_null() != *negated;
        }
        if value.is_null() {
            return false;
        }
        match self {
            Self::Compare(comparison, constant) => {
                let order = order(value, constant);
                match comparison {
                    Comparison::Equal => order.is_eq(),
                    Comparison::NotEqual => order.is_ne(),
                    Comparison::Less => order.is_lt(),
                    Comparison::LessEqual => order.is_le(),
                    Comparison::Greater => order.is_gt(),
                    Comparison::GreaterEqual => order.is_ge(),
                }
            }
            Self::In(negated, list) => {
                list.iter().any(|constant| order(value, constant).is_eq()) != *negated
            }
            Self::Between(negated, low, high) => {
                (order(value, low).is_ge() && order(value, high).is_le()) != *negated
            }
            Self::Like(negated, like) => value
                .as_text()
                .is_some_and(|text| like.matches(text) != *negated),
            Self::Null(_) => false,
        }
    }
}

impl Like {
    fn matches(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        match (self.open_start, self.open_end) {
            (true, true) => text.contains(&self.text),
            (true, false) => text.ends_with(&self.text),
            (false, true) => text.starts_with(&self.text),
            (false, false) => text == self.text,
        }
    }
}

impl Compiled {
    /// Whether a record meets the condition.
    pub(crate) fn holds(
        &self,
        organisation: &Organisation,
        module: usize,
        record: &Record,
        now: Timestamp,
    ) -> bool {
        match self {
            Self::Test(column, test) => {
                test.holds(&column.value(organisation, module, record, now))
            }
            Self::Pair(left, Connective::And, right) => {
                left.holds(organisation, module, record, now)
                    && right.holds(organisation, module, record, now)
            }
            Self::Pair(left, Connective::Or, right) => {
                left.holds(organisation, module, record, now)
                    || right.holds(organisation, module, record, now)
            }
        }
    }
}
