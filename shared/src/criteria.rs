//! Filters: criteria with Zoho's comparators, in and/or groups. A sync filter is over a Zoho row's fields and evaluated here, on rows already
//! read, so that it never decides what is read. A calculated field's filter is over a record's fields, and knows today.

use std::collections::BTreeSet;

use jiff::{Timestamp, civil};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::identifier::ZohoField;
use crate::row::{Row, lookup_id};

/// A filter over fields named by `F`: a condition, or a group of filters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Filter<F = ZohoField> {
    /// Every one of these holds; with none, every row is in.
    All(Vec<Filter<F>>),
    /// At least one of these holds; with none, no row is in.
    Any(Vec<Filter<F>>),
    /// One condition.
    Where(Condition<F>),
}

/// A field compared with a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition<F = ZohoField> {
    /// The field.
    pub field: F,
    /// How they are compared.
    pub comparator: Comparator,
    /// What the field is compared with: one value, a list for `in` and `not_in`, a pair for `between` and `not_between`, nothing for
    /// `is_empty` and `is_not_empty`. In a calculated field's filter `{"today": 7}` stands for the day in a week.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    #[schemars(schema_with = "crate::schema::compared")]
    pub value: Json,
}

/// Zoho's comparators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are Zoho's own and say it all")]
pub enum Comparator {
    Equal,
    NotEqual,
    In,
    NotIn,
    LessThan,
    LessEqual,
    GreaterThan,
    GreaterEqual,
    Between,
    NotBetween,
    Contains,
    NotContains,
    StartsWith,
    EndsWith,
    IsEmpty,
    IsNotEmpty,
}

/// A filter that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct Error {
    /// Where in the filter, as a JSON path below it.
    pub path: String,
    /// What is wrong and what would be right.
    pub problem: &'static str,
}

impl Filter {
    /// Whether the row meets the filter.
    #[must_use]
    pub fn admits(&self, row: &Row) -> bool {
        self.holds(&|condition| condition.holds(&row.json(condition.field.as_str())))
    }

    /// Checks that each comparator has the kind of value it compares with.
    #[must_use]
    pub fn problems(&self) -> Vec<Error> {
        let mut found = Vec::new();
        for (path, condition) in self.conditions() {
            let problem = match condition.todays().is_empty() {
                true => condition.problem(),
                // Rows are looked at only when they change, so a filter that moves with the day would never be asked again.
                false => Some(
                    "today is only known to calculated fields: compare with a date, or filter by a field that Zoho keeps up to date",
                ),
            };
            found.extend(problem.map(|problem| Error {
                path: format!("{path}.value"),
                problem,
            }));
        }
        found
    }
}

impl<F> Filter<F> {
    /// Whether the filter holds, given which of its conditions do.
    pub fn holds(&self, holds: &dyn Fn(&Condition<F>) -> bool) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.holds(holds)),
            Self::Any(filters) => filters.iter().any(|filter| filter.holds(holds)),
            Self::Where(condition) => holds(condition),
        }
    }

    /// The fields that the filter looks at.
    #[must_use]
    pub fn fields(&self) -> BTreeSet<&F>
    where
        F: Ord,
    {
        let conditions = self.conditions().into_iter();
        conditions.map(|(_, condition)| &condition.field).collect()
    }

    /// The conditions, each with its place as a JSON path below the filter.
    #[must_use]
    pub fn conditions(&self) -> Vec<(String, &Condition<F>)> {
        let mut found = Vec::new();
        self.collect("", &mut found);
        found
    }

    fn collect<'a>(&'a self, path: &str, found: &mut Vec<(String, &'a Condition<F>)>) {
        let (name, filters) = match self {
            Self::All(filters) => ("all", filters),
            Self::Any(filters) => ("any", filters),
            Self::Where(condition) => {
                found.push((format!("{path}.where"), condition));
                return;
            }
        };
        for (index, filter) in filters.iter().enumerate() {
            filter.collect(&format!("{path}.{name}[{index}]"), found);
        }
    }
}

impl<F> Condition<F> {
    /// The days that the condition compares with, counted from today.
    #[must_use]
    pub fn todays(&self) -> Vec<i32> {
        match &self.value {
            Json::Array(items) => items.iter().filter_map(days_from_today).collect(),
            single => days_from_today(single).into_iter().collect(),
        }
    }

    /// Whether the comparator has the kind of value that it compares with; if not, what would be right.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        use Comparator as C;
        let scalar = |value: &Json| {
            matches!(value, Json::String(_) | Json::Number(_) | Json::Bool(_))
                || days_from_today(value).is_some()
        };
        match (self.comparator, &self.value) {
            (C::IsEmpty | C::IsNotEmpty, Json::Null) => None,
            (C::IsEmpty | C::IsNotEmpty, _) => {
                Some("is_empty and is_not_empty take no value: leave it out")
            }
            (C::In | C::NotIn, Json::Array(items))
                if !items.is_empty() && items.iter().all(scalar) =>
            {
                None
            }
            (C::In | C::NotIn, _) => Some("in and not_in take a list of at least one value"),
            (C::Between | C::NotBetween, Json::Array(items))
                if items.len() == 2 && items.iter().all(scalar) =>
            {
                None
            }
            (C::Between | C::NotBetween, _) => {
                Some("between and not_between take a list of two values")
            }
            (C::Contains | C::NotContains | C::StartsWith | C::EndsWith, Json::String(text))
                if !text.is_empty() =>
            {
                None
            }
            (C::Contains | C::NotContains | C::StartsWith | C::EndsWith, _) => {
                Some("this comparator takes a text")
            }
            (_, value) if scalar(value) => None,
            _ => Some(
                "this comparator takes a text, a number, or true or false; for no value use is_empty",
            ),
        }
    }

    /// Whether the condition holds for a field's value; it must not name today.
    #[must_use]
    pub fn holds(&self, actual: &Json) -> bool {
        self.holds_with(&self.value, actual)
    }

    /// Whether the condition holds for a field's value when each `{"today": n}` of its own is the day that `day` gives.
    #[must_use]
    pub fn holds_on(&self, day: &dyn Fn(i32) -> Json, actual: &Json) -> bool {
        let resolve = |value: &Json| days_from_today(value).map_or_else(|| value.clone(), day);
        let wanted = match &self.value {
            Json::Array(items) => items.iter().map(resolve).collect(),
            single => resolve(single),
        };
        self.holds_with(&wanted, actual)
    }

    fn holds_with(&self, wanted: &Json, actual: &Json) -> bool {
        use Comparator as C;
        let empty = is_empty(actual);
        let each = |matches: &dyn Fn(&Json) -> bool| match actual {
            Json::Array(items) => items.iter().any(matches),
            single => matches(single),
        };
        let ordered = |accept: fn(std::cmp::Ordering) -> bool| {
            !empty && each(&|item| compare(item, wanted).is_some_and(accept))
        };
        let among = || {
            wanted
                .as_array()
                .is_some_and(|values| each(&|item| values.iter().any(|value| equal(item, value))))
        };
        let between = || {
            wanted
                .as_array()
                .is_some_and(|bounds| match bounds.as_slice() {
                    [low, high] => each(&|item| {
                        compare(item, low).is_some_and(std::cmp::Ordering::is_ge)
                            && compare(item, high).is_some_and(std::cmp::Ordering::is_le)
                    }),
                    _ => false,
                })
        };
        let text = |accept: fn(&str, &str) -> bool| {
            let wanted = wanted.as_str().unwrap_or_default().to_lowercase();
            each(&|item| plain(item).is_some_and(|text| accept(&text.to_lowercase(), &wanted)))
        };
        match self.comparator {
            C::IsEmpty => empty,
            C::IsNotEmpty => !empty,
            C::Equal => !empty && each(&|item| equal(item, wanted)),
            C::NotEqual => empty || !each(&|item| equal(item, wanted)),
            C::In => !empty && among(),
            C::NotIn => empty || !among(),
            C::LessThan => ordered(std::cmp::Ordering::is_lt),
            C::LessEqual => ordered(std::cmp::Ordering::is_le),
            C::GreaterThan => ordered(std::cmp::Ordering::is_gt),
            C::GreaterEqual => ordered(std::cmp::Ordering::is_ge),
            C::Between => !empty && between(),
            C::NotBetween => empty || !between(),
            C::Contains => text(|have, want| have.contains(want)),
            C::NotContains => empty || !text(|have, want| have.contains(want)),
            C::StartsWith => text(|have, want| have.starts_with(want)),
            C::EndsWith => text(|have, want| have.ends_with(want)),
        }
    }
}

/// The furthest day from today that a filter may name: a hundred years either way, well within every calendar.
const FURTHEST: i32 = 36_500;

/// What `{"today": n}` says.
fn days_from_today(value: &Json) -> Option<i32> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let days = i32::try_from(object.get("today")?.as_i64()?).ok()?;
    (-FURTHEST..=FURTHEST).contains(&days).then_some(days)
}

fn is_empty(json: &Json) -> bool {
    match json {
        Json::Null => true,
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(_) => lookup_id(json).is_none(),
        Json::Bool(_) | Json::Number(_) => false,
    }
}

/// A scalar's text; a lookup stands for its id.
fn plain(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(value) => Some(value.to_string()),
        Json::Object(_) => lookup_id(json).map(|id| id.to_string()),
        Json::Null | Json::Array(_) => None,
    }
}

fn equal(actual: &Json, wanted: &Json) -> bool {
    compare(actual, wanted).is_some_and(std::cmp::Ordering::is_eq)
}

/// Compares as numbers, instants or dates where both sides are that, else as text.
fn compare(actual: &Json, wanted: &Json) -> Option<std::cmp::Ordering> {
    let (actual, wanted) = (plain(actual)?, plain(wanted)?);
    let number = |text: &str| {
        text.parse::<Decimal>()
            .or_else(|_| Decimal::from_scientific(text))
            .ok()
    };
    if let (Some(left), Some(right)) = (number(&actual), number(&wanted)) {
        return Some(left.cmp(&right));
    }
    if let (Ok(left), Ok(right)) = (actual.parse::<Timestamp>(), wanted.parse::<Timestamp>()) {
        return Some(left.cmp(&right));
    }
    if let (Ok(left), Ok(right)) = (actual.parse::<civil::Date>(), wanted.parse::<civil::Date>()) {
        return Some(left.cmp(&right));
    }
    Some(actual.cmp(&wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(values: Json) -> Row {
        let mut values = values;
        values["id"] = json!("1");
        serde_json::from_str(&values.to_string()).unwrap()
    }

    fn admits(filter: Json, values: Json) -> bool {
        let filter: Filter = serde_json::from_value(filter).unwrap();
        assert_eq!(filter.problems(), []);
        filter.admits(&row(values))
    }

    fn holds(comparator: &str, value: Json, actual: Json) -> bool {
        admits(
            json!({"where": {"field": "F", "comparator": comparator, "value": value}}),
            json!({"F": actual}),
        )
    }

    #[test]
    fn comparators() {
        assert!(holds("equal", json!("Active"), json!("Active")));
        assert!(!holds("equal", json!("Active"), json!("active")));
        assert!(!holds("equal", json!("Active"), json!(null)));
        assert!(holds("not_equal", json!("Active"), json!(null)));
        assert!(holds("equal", json!(10), json!(10.0)));
        assert!(holds("greater_than", json!(9), json!(10)));
        assert!(holds("less_than", json!("2026-02-01"), json!("2026-01-31")));
        assert!(holds(
            "equal",
            json!("2026-01-01T00:00:00Z"),
            json!("2026-01-01T05:30:00+05:30")
        ));
        assert!(holds("in", json!(["a", "b"]), json!("b")));
        assert!(holds("not_in", json!(["a", "b"]), json!("c")));
        assert!(holds("between", json!([1, 3]), json!(3)));
        assert!(!holds("between", json!([1, 3]), json!(null)));
        assert!(holds("not_between", json!([1, 3]), json!(4)));
        assert!(holds("contains", json!("CME"), json!("Acme")));
        assert!(holds("equal", json!("x"), json!(["w", "x"])));
        assert!(holds("equal", json!("7"), json!({"id": "7", "name": "n"})));
        assert!(holds("is_empty", json!(null), json!([])));
        assert!(holds("is_not_empty", json!(null), json!(false)));
    }

    #[test]
    fn groups() {
        let filter = json!({"any": [
            {"where": {"field": "A", "comparator": "equal", "value": 1}},
            {"all": [
                {"where": {"field": "A", "comparator": "equal", "value": 2}},
                {"where": {"field": "B", "comparator": "is_not_empty"}}
            ]}
        ]});
        assert!(admits(filter.clone(), json!({"A": 1})));
        assert!(!admits(filter.clone(), json!({"A": 2})));
        assert!(admits(filter, json!({"A": 2, "B": "x"})));
        assert!(admits(json!({"all": []}), json!({})));
        assert!(!admits(json!({"any": []}), json!({})));
    }

    #[test]
    fn a_wrong_value_is_named_by_its_place() {
        let filter: Filter = serde_json::from_value(
            json!({"all": [{"where": {"field": "A", "comparator": "between", "value": 1}}]}),
        )
        .unwrap();
        let problems = filter.problems();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].path, ".all[0].where.value");
    }

    #[test]
    fn a_sync_filter_knows_no_today() {
        let filter: Filter = serde_json::from_value(
            json!({"where": {"field": "A", "comparator": "between", "value": [{"today": 0}, "2026-12-31"]}}),
        )
        .unwrap();
        let problems = filter.problems();
        assert_eq!(problems[0].path, ".where.value");
        assert!(problems[0].problem.contains("calculated"));
    }

    #[test]
    fn today_is_the_day_that_is_given() {
        let condition: Condition = serde_json::from_value(
            json!({"field": "A", "comparator": "between", "value": [{"today": -1}, {"today": 1}]}),
        )
        .unwrap();
        assert_eq!(condition.problem(), None);
        assert_eq!(condition.todays(), [-1, 1]);
        let day = |days: i32| json!(format!("2026-11-{:02}", 23 + days));
        assert!(condition.holds_on(&day, &json!("2026-11-22")));
        assert!(condition.holds_on(&day, &json!("2026-11-24")));
        assert!(!condition.holds_on(&day, &json!("2026-11-25")));
        let far: Condition = serde_json::from_value(
            json!({"field": "A", "comparator": "equal", "value": {"today": 1_000_000}}),
        )
        .unwrap();
        assert!(far.problem().is_some());
    }
}

#[cfg(test)]
mod laws;
