//! Questions to Zoho for how many rows there are, of those that have a value in a field, and of each of its values: COQL as data.

use std::fmt;

use crate::credit;
use crate::criteria::{Comparator, Condition, Filter};
use crate::identifier::ZohoField;
use crate::object::Object;
use crate::select::{IN_VALUES, PAGE_ROWS, instant, literal};
use crate::zoho_field::{DataType, FieldInfo};
use serde_json::Value as Json;

/// The most conditions of one COQL question (Zoho CRM v8, "COQL limitations").
const CRITERIA: usize = 25;
/// The conditions that a tally has of its own, beside those that narrow it.
const OWN_CRITERIA: usize = 1;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Each {
    /// All rows.
    Row,
    /// The rows that have a value in the field.
    Filled,
    /// For each value of the field its rows, in the order of values.
    Value {
        /// How many values to leave out at the beginning.
        offset: usize,
        /// The most values wanted, at most [`crate::select::PAGE_ROWS`].
        limit: usize,
    },
}

/// One question for a count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// The object asked about.
    pub object: Object,
    /// The field that it is about.
    pub field: ZohoField,
    /// What is counted.
    pub each: Each,
    /// Only rows that meet these conditions; none: all of them.
    pub within: Option<Conditions>,
}

impl Tally {
    /// What it costs in Zoho's credits.
    #[must_use]
    pub fn price(&self) -> u64 {
        credit::of_select(match self.each {
            Each::Row | Each::Filled => 1,
            Each::Value { limit, .. } => limit.min(PAGE_ROWS),
        })
    }
}

/// The answer to a [`Tally`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tallied {
    /// The rows counted, of all values on this page.
    pub rows: u64,
    /// The rows of each value, where they were asked for.
    pub values: Vec<(String, u64)>,
    /// Whether there are more values beyond them.
    pub more: bool,
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (field, module) = (&self.field, self.object.module());
        match self.each {
            Each::Row | Each::Filled => formatter.write_str("select COUNT(id)")?,
            Each::Value { .. } => write!(formatter, "select {field}, COUNT(id)")?,
        }
        let own = match self.each {
            Each::Row => "id is not null".to_owned(),
            Each::Filled | Each::Value { .. } => format!("{field} is not null"),
        };
        write!(formatter, " from {module} where ")?;
        match &self.within {
            None => formatter.write_str(&own)?,
            Some(within) => write!(formatter, "({own} and {within})")?,
        }
        if let Each::Value { offset, limit } = self.each {
            write!(
                formatter,
                " group by {field} order by {field} asc limit {limit} offset {offset}"
            )?;
        }
        Ok(())
    }
}

/// Conditions in COQL, few enough to narrow a tally.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditions {
    text: String,
    criteria: usize,
}

impl fmt::Display for Conditions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Conditions {
    /// A filter in COQL; none: it says what COQL can't, or needs too many conditions. `lookup` is the lookup that leads to the rows which
    /// the filter is about; none: they are the rows counted.
    #[must_use]
    pub fn of(filter: &Filter, fields: &[FieldInfo], lookup: Option<&str>) -> Option<Self> {
        let read = |filter: &Filter| Self::of(filter, fields, lookup);
        match filter {
            Filter::Where(condition) => {
                let info = fields
                    .iter()
                    .find(|field| field.api_name == condition.field.as_str())?;
                let column = match lookup {
                    Some(lookup) => format!("{lookup}.{}", condition.field),
                    None => condition.field.to_string(),
                };
                Self::compared(condition, info, &column)
            }
            Filter::All(filters) => joined(filters.iter().map(read), "and"),
            Filter::Any(filters) => joined(filters.iter().map(read), "or"),
        }
    }

    /// That a field has a value.
    #[must_use]
    pub fn filled(column: &str) -> Self {
        Self::one(format!("{column} is not null"))
    }

    /// Both; none where that is too much.
    #[must_use]
    pub fn and(self, other: Self) -> Option<Self> {
        self.pair("and", other)
    }

    fn one(text: String) -> Self {
        Self { text, criteria: 1 }
    }

    /// More than two conditions must be bracketed in pairs.
    fn pair(self, word: &str, other: Self) -> Option<Self> {
        let criteria = self.criteria + other.criteria;
        (criteria + OWN_CRITERIA <= CRITERIA).then(|| Self {
            text: format!("({self} {word} {other})"),
            criteria,
        })
    }

    fn compared(condition: &Condition, info: &FieldInfo, column: &str) -> Option<Self> {
        use Comparator as C;
        let kind = Kind::of(info)?;
        let one = || kind.literal(&condition.value);
        let several = || {
            let values = condition.value.as_array()?;
            let values: Vec<_> = values
                .iter()
                .map(|value| kind.literal(value))
                .collect::<Option<_>>()?;
            (values.len() <= IN_VALUES).then_some(values)
        };
        let say = |text: String| Some(Self::one(format!("{column} {text}")));
        // A row without a value differs from every value.
        let or_none = |text: String| {
            Self::one(format!("{column} {text}")).pair("or", Self::one(format!("{column} is null")))
        };
        let ordered = |sign: &str| match kind {
            Kind::Number | Kind::Date | Kind::Instant => say(format!("{sign} {}", one()?)),
            Kind::Text | Kind::Boolean | Kind::Reference => None,
        };
        let between = || match (kind, several()?.as_slice()) {
            (Kind::Number | Kind::Date | Kind::Instant, [low, high]) => {
                Some(format!("between {low} and {high}"))
            }
            _ => None,
        };
        let like = |before: &str, after: &str| {
            let text = condition.value.as_str().filter(|_| kind == Kind::Text)?;
            let plain = !text.contains(['%', '_', '\\', '\'']);
            plain.then(|| format!("'{before}{text}{after}'"))
        };
        let listed = || {
            let listed = several().filter(|_| kind != Kind::Boolean)?;
            Some(format!("({})", listed.join(",")))
        };
        match condition.comparator {
            C::IsEmpty => say("is null".to_owned()),
            C::IsNotEmpty => say("is not null".to_owned()),
            C::Equal => say(format!("= {}", one()?)),
            C::NotEqual if kind == Kind::Boolean => None,
            C::NotEqual => or_none(format!("!= {}", one()?)),
            C::In => say(format!("in {}", listed()?)),
            C::NotIn => or_none(format!("not in {}", listed()?)),
            C::LessThan => ordered("<"),
            C::LessEqual => ordered("<="),
            C::GreaterThan => ordered(">"),
            C::GreaterEqual => ordered(">="),
            C::Between => say(between()?),
            C::NotBetween => or_none(format!("not {}", between()?)),
            C::Contains => say(format!("like {}", like("%", "%")?)),
            C::NotContains => or_none(format!("not like {}", like("%", "%")?)),
            C::StartsWith => say(format!("like {}", like("", "%")?)),
            C::EndsWith => say(format!("like {}", like("%", "")?)),
        }
    }
}

/// All of the conditions joined by a word; none where there are none, or where one of them can't be said.
fn joined(conditions: impl Iterator<Item = Option<Conditions>>, word: &str) -> Option<Conditions> {
    conditions
        .reduce(|left, right| left?.pair(word, right?))
        .flatten()
}

/// What COQL compares a field with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Date,
    Instant,
    Boolean,
    Reference,
}

impl Kind {
    fn of(info: &FieldInfo) -> Option<Self> {
        use DataType as D;
        Some(match info.result()? {
            D::Text | D::Textarea | D::Email | D::Phone | D::Website | D::Picklist => Self::Text,
            D::Integer | D::BigInt | D::Double | D::Currency | D::Percent => Self::Number,
            D::Date => Self::Date,
            D::DateTime => Self::Instant,
            D::Boolean => Self::Boolean,
            D::Lookup | D::OwnerLookup | D::UserLookup => Self::Reference,
            _ => return None,
        })
    }

    fn literal(self, value: &Json) -> Option<String> {
        let text = match value {
            Json::String(text) => text.clone(),
            Json::Number(number) => number.to_string(),
            Json::Bool(value) => value.to_string(),
            _ => return None,
        };
        match self {
            Self::Text => Some(literal(&text)),
            Self::Number => text
                .parse::<rust_decimal::Decimal>()
                .ok()
                .map(|number| number.to_string()),
            Self::Date => text
                .parse::<jiff::civil::Date>()
                .ok()
                .map(|date| format!("'{date}'")),
            Self::Instant => text.parse().ok().map(instant),
            Self::Boolean => matches!(text.as_str(), "true" | "false").then_some(text),
            Self::Reference => text
                .parse::<crate::identifier::ZohoId>()
                .ok()
                .map(|id| format!("'{id}'")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn fields() -> Vec<FieldInfo> {
        [
            ("Status", "picklist"),
            ("Size", "integer"),
            ("Since", "date"),
            ("Seen", "datetime"),
            ("Big", "boolean"),
            ("Owner", "ownerlookup"),
            ("Tags", "multiselectpicklist"),
        ]
        .map(|(name, data_type)| FieldInfo {
            api_name: name.into(),
            data_type: data_type.into(),
            ..FieldInfo::default()
        })
        .into()
    }

    fn said(filter: Json) -> Option<String> {
        let filter: Filter = serde_json::from_value(filter).unwrap();
        Conditions::of(&filter, &fields(), None).map(|conditions| conditions.to_string())
    }

    fn compared(field: &str, comparator: &str, value: Json) -> Option<String> {
        said(json!({"where": {"field": field, "comparator": comparator, "value": value}}))
    }

    fn tally(each: Each) -> Tally {
        Tally {
            object: Object::Account,
            field: "External_ID".parse().unwrap(),
            each,
            within: None,
        }
    }

    #[test]
    fn questions() {
        assert_eq!(
            tally(Each::Row).to_string(),
            "select COUNT(id) from Accounts where id is not null"
        );
        let filled = Tally {
            within: Some(Conditions::filled("Account_Name")),
            ..tally(Each::Filled)
        };
        assert_eq!(
            filled.to_string(),
            "select COUNT(id) from Accounts where (External_ID is not null and Account_Name is not null)"
        );
        let values = tally(Each::Value {
            offset: 2_000,
            limit: 2_000,
        });
        assert_eq!(
            values.to_string(),
            "select External_ID, COUNT(id) from Accounts where External_ID is not null group by External_ID order by External_ID asc \
             limit 2000 offset 2000"
        );
    }

    #[test]
    fn comparators() {
        for (field, comparator, value, expected) in [
            ("Status", "equal", json!("O'Hara"), r"Status = 'O\'Hara'"),
            (
                "Status",
                "not_equal",
                json!("x"),
                "(Status != 'x' or Status is null)",
            ),
            ("Status", "in", json!(["x", "y"]), "Status in ('x','y')"),
            ("Status", "contains", json!("x"), "Status like '%x%'"),
            ("Status", "is_empty", json!(null), "Status is null"),
            ("Size", "greater_than", json!(7), "Size > 7"),
            (
                "Size",
                "not_between",
                json!([1, 2]),
                "(Size not between 1 and 2 or Size is null)",
            ),
            (
                "Since",
                "less_than",
                json!("2026-01-02"),
                "Since < '2026-01-02'",
            ),
            (
                "Seen",
                "greater_equal",
                json!("2026-01-02T01:00:00+01:00"),
                "Seen >= '2026-01-02T00:00:00+00:00'",
            ),
            ("Big", "equal", json!(true), "Big = true"),
            ("Owner", "equal", json!("7"), "Owner = '7'"),
        ] {
            assert_eq!(
                compared(field, comparator, value).as_deref(),
                Some(expected)
            );
        }
    }

    #[test]
    fn what_coql_has_no_words_for_is_not_said() {
        for (field, comparator, value) in [
            ("Tags", "equal", json!("x")),
            ("Unknown", "equal", json!("x")),
            ("Size", "equal", json!("many")),
            ("Status", "contains", json!("100%")),
            ("Status", "less_than", json!("x")),
            ("Seen", "equal", json!("2026-01-02")),
            ("Status", "in", json!(vec!["x"; 101])),
        ] {
            assert_eq!(compared(field, comparator, value), None, "{field}");
        }
        assert_eq!(said(json!({"any": []})), None);
        let many = vec![json!({"where": {"field": "Size", "comparator": "equal", "value": 1}}); 25];
        assert_eq!(said(json!({"all": many})), None);
        assert!(said(json!({"all": many[..24]})).is_some());
    }

    #[test]
    fn three_conditions_are_bracketed_in_pairs_and_lead_through_a_lookup() {
        let is = |value| json!({"where": {"field": "Size", "comparator": "equal", "value": value}});
        let filter: Filter = serde_json::from_value(json!({"any": [is(1), is(2), is(3)]})).unwrap();
        let conditions = Conditions::of(&filter, &fields(), Some("Account_Name")).unwrap();
        assert_eq!(
            conditions.to_string(),
            "((Account_Name.Size = 1 or Account_Name.Size = 2) or Account_Name.Size = 3)"
        );
    }

    proptest! {
        #[test]
        fn a_text_cannot_leave_its_quotes(text in ".{0,30}", which in 0..3_usize) {
            let comparator = ["equal", "contains", "starts_with"][which];
            if let Some(said) = compared("Status", comparator, json!(text)) {
                let inner = said.split_once('\'').unwrap().1.strip_suffix('\'').unwrap();
                let mut escaped = false;
                for char in inner.chars() {
                    prop_assert!(escaped || char != '\'', "{}", said);
                    escaped = char == '\\' && !escaped;
                }
                prop_assert!(!escaped, "{}", said);
            }
        }
    }
}
