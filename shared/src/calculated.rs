//! Calculated account fields as the settings declare them, and what is wrong with a declaration (F5).

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::criteria::{Comparator, Condition, Filter};
use crate::identifier::FieldName;
use crate::object::Object;
use crate::settings::Settings;
use crate::value::{FieldType, Value};

/// A field of an account that follows from the account's contacts, deals or tasks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Calculated {
    /// The custom account field that takes the outcome.
    pub platform: FieldName,
    /// Whose records are looked at.
    pub over: Object,
    /// Which of them count; absent: all. Its fields are the platform's, and it knows today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter<FieldName>>,
    /// What is made of those that count.
    pub value: Aggregate,
}

/// What is made of the records that count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Aggregate {
    /// The greatest value of a field.
    Max(FieldName),
    /// The least value of a field.
    Min(FieldName),
    /// The sum of a field; 0 over nothing.
    Sum(FieldName),
    /// The mean of a field, to ten decimal places.
    Average(FieldName),
    /// A field of the first record in an order.
    First(Ordered),
    /// A field of the last record in an order.
    Last(Ordered),
    /// How many count.
    Count,
    /// Whether at least one counts.
    Any,
    /// Whether none of the account's records is left out by the filter; true over nothing.
    All,
}

/// A field of a record, and the field by which the records are ordered. Records without a value to order by have no place in the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ordered {
    /// The field whose value is taken.
    pub field: FieldName,
    /// The field that orders the records; the platform id decides between equals.
    pub by: FieldName,
}

/// The objects whose records can belong to an account.
const CONTRIBUTING: [Object; 3] = [Object::Contact, Object::Deal, Object::Task];

impl Aggregate {
    /// The fields that it looks at, each with its place as a JSON path below `value`.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, &FieldName)> {
        match self {
            Self::Max(field) => vec![(".max", field)],
            Self::Min(field) => vec![(".min", field)],
            Self::Sum(field) => vec![(".sum", field)],
            Self::Average(field) => vec![(".average", field)],
            Self::First(Ordered { field, by }) => vec![(".first.field", field), (".first.by", by)],
            Self::Last(Ordered { field, by }) => vec![(".last.field", field), (".last.by", by)],
            Self::Count | Self::Any | Self::All => Vec::new(),
        }
    }
}

/// The type of an object's field; none: there is no such field.
#[must_use]
pub fn field_type(settings: &Settings, object: Object, name: &FieldName) -> Option<FieldType> {
    let core = object.core_field(name.as_str()).map(|core| core.kind);
    let custom = || {
        let own = settings.objects.get(&object)?;
        own.custom_fields.get(name).copied()
    };
    core.or_else(custom)
}

/// Names everything that is wrong with the calculated fields of these settings.
pub fn check(settings: &Settings, refuse: &mut impl FnMut(String, String)) {
    for (object, own) in &settings.objects {
        let mut declared = BTreeSet::new();
        for (index, calculated) in own.calculated.iter().enumerate() {
            let path = format!("$.objects.{object}.calculated[{index}]");
            if *object != Object::Account {
                refuse(
                    path,
                    format!("fields of {object}s can't be calculated: only an account's can"),
                );
                continue;
            }
            if !declared.insert(&calculated.platform) {
                refuse(
                    format!("{path}.platform"),
                    format!("{} is calculated twice: keep one", calculated.platform),
                );
            }
            Checked {
                settings,
                calculated,
                path: &path,
            }
            .check(refuse);
        }
    }
}

/// One declaration that is checked.
struct Checked<'a> {
    settings: &'a Settings,
    calculated: &'a Calculated,
    path: &'a str,
}

impl Checked<'_> {
    fn check(&self, refuse: &mut impl FnMut(String, String)) {
        let over = self.calculated.over;
        self.check_target(refuse);
        if !CONTRIBUTING.contains(&over) {
            refuse(
                format!("{}.over", self.path),
                format!("{over}s don't belong to an account: use contact, deal or task"),
            );
            return;
        }
        for (place, name) in self.calculated.value.fields() {
            if self.type_of(name).is_none() {
                refuse(
                    format!("{}.value{place}", self.path),
                    unknown_field(over, name),
                );
            }
        }
        self.check_outcome(refuse);
        let conditions = self.calculated.filter.iter().flat_map(Filter::conditions);
        for (place, condition) in conditions {
            let path = format!("{}.filter{place}", self.path);
            match self.type_of(&condition.field) {
                None => refuse(
                    format!("{path}.field"),
                    unknown_field(over, &condition.field),
                ),
                Some(kind) => {
                    if let Some((part, problem)) = misfit(condition, kind) {
                        refuse(format!("{path}.{part}"), problem);
                    }
                }
            }
        }
    }

    fn type_of(&self, name: &FieldName) -> Option<FieldType> {
        field_type(self.settings, self.calculated.over, name)
    }

    /// The target is a custom field that nothing else fills.
    fn check_target(&self, refuse: &mut impl FnMut(String, String)) {
        let name = &self.calculated.platform;
        let path = || format!("{}.platform", self.path);
        if Object::Account.core_field(name.as_str()).is_some() {
            refuse(
                path(),
                format!("{name} is a core field: calculate a custom field"),
            );
        } else if field_type(self.settings, Object::Account, name).is_none() {
            refuse(
                path(),
                format!("account has no field {name}: declare it in custom_fields with its type"),
            );
        }
        let own = self.settings.object(Object::Account);
        if let Some(mapping) = own.mappings.iter().find(|one| one.platform == *name) {
            refuse(
                path(),
                format!(
                    "{name} is mapped to {}, and a calculated field can be neither filled from Zoho nor edited: remove the mapping or \
                     calculate another field",
                    mapping.zoho
                ),
            );
        }
    }

    /// The aggregate fits its field, and its outcome fits the target.
    fn check_outcome(&self, refuse: &mut impl FnMut(String, String)) {
        let target = field_type(self.settings, Object::Account, &self.calculated.platform);
        let mut expect = |fits: bool, place: &str, problem: String| {
            if !fits {
                refuse(format!("{}{place}", self.path), problem);
            }
        };
        let outcome = match &self.calculated.value {
            Aggregate::Max(field) | Aggregate::Min(field) => {
                let Some(kind) = self.type_of(field) else {
                    return;
                };
                expect(is_ordered(kind), ".value", unordered(field));
                vec![kind]
            }
            Aggregate::Sum(field) | Aggregate::Average(field) => {
                let Some(kind) = self.type_of(field) else {
                    return;
                };
                let is_number = matches!(kind, FieldType::Integer | FieldType::Decimal);
                expect(
                    is_number,
                    ".value",
                    format!("{field} is no number: use a field of type integer or decimal"),
                );
                match (&self.calculated.value, kind) {
                    (Aggregate::Sum(_), FieldType::Integer) => {
                        vec![FieldType::Integer, FieldType::Decimal]
                    }
                    _ => vec![FieldType::Decimal],
                }
            }
            Aggregate::First(Ordered { field, by }) | Aggregate::Last(Ordered { field, by }) => {
                let order = self.type_of(by);
                expect(order.is_none_or(is_ordered), ".value", unordered(by));
                let Some(kind) = self.type_of(field) else {
                    return;
                };
                vec![kind]
            }
            Aggregate::Count => vec![FieldType::Integer],
            Aggregate::Any | Aggregate::All => vec![FieldType::Boolean],
        };
        if let Some(target) = target {
            let wanted: Vec<String> = outcome.iter().map(|kind| type_name(*kind)).collect();
            expect(
                outcome.contains(&target),
                ".platform",
                format!(
                    "{} has the type {}, and the outcome needs {}: declare it so in custom_fields",
                    self.calculated.platform,
                    type_name(target),
                    wanted.join(" or ")
                ),
            );
        }
    }
}

fn unknown_field(object: Object, name: &FieldName) -> String {
    format!("{object} has no field {name}: use a core field, or declare it in custom_fields")
}

fn unordered(field: &FieldName) -> String {
    format!("values of {field} have no order: use a date, an instant, a number or a text")
}

fn type_name(kind: FieldType) -> String {
    // Plain enums serialise without a way to fail.
    let json = serde_json::to_value(kind).unwrap_or_default();
    json.as_str()
        .map_or_else(|| json.to_string(), str::to_owned)
}

/// Whether values of a type can be told greater from less.
fn is_ordered(kind: FieldType) -> bool {
    !matches!(
        kind,
        FieldType::Boolean | FieldType::Choices | FieldType::Reference(_)
    )
}

const fn is_text(kind: FieldType) -> bool {
    matches!(
        kind,
        FieldType::Text | FieldType::Choice | FieldType::Email | FieldType::Phone | FieldType::Url
    )
}

/// What is wrong with a condition over a field of this type, with its place below the condition.
fn misfit(condition: &Condition<FieldName>, kind: FieldType) -> Option<(&'static str, String)> {
    use Comparator as C;
    let (name, comparator) = (&condition.field, condition.comparator);
    if let Some(problem) = condition.problem() {
        return Some(("value", problem.to_owned()));
    }
    let fits = match comparator {
        C::Equal | C::NotEqual | C::In | C::NotIn | C::IsEmpty | C::IsNotEmpty => true,
        C::LessThan
        | C::LessEqual
        | C::GreaterThan
        | C::GreaterEqual
        | C::Between
        | C::NotBetween => is_ordered(kind),
        C::Contains | C::NotContains | C::StartsWith | C::EndsWith => {
            is_text(kind) || kind == FieldType::Choices
        }
    };
    if !fits {
        let remedy = if is_ordered(kind) {
            "compare it with values, or ask whether it is_empty"
        } else {
            "use equal, not_equal, in, not_in, is_empty or is_not_empty"
        };
        let problem = format!(
            "this comparator does not fit {name}, which is of type {}: {remedy}",
            type_name(kind)
        );
        return Some(("comparator", problem));
    }
    if !condition.todays().is_empty() {
        if !matches!(kind, FieldType::Date | FieldType::Instant) {
            let problem = format!("{name} is neither a date nor an instant: compare with a value");
            return Some(("value", problem));
        }
        if matches!(comparator, C::In | C::NotIn) {
            let problem = "today does not go into a list: use equal, between or a comparison";
            return Some(("value", problem.to_owned()));
        }
    }
    // A part of a multi-select or of a text is a text; a reference is compared by the platform id.
    let wanted = match kind {
        FieldType::Choices | FieldType::Reference(_) => FieldType::Text,
        kind => kind,
    };
    let values = match &condition.value {
        Json::Array(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    values
        .iter()
        .filter(|value| !value.is_object())
        .find_map(|value| Value::from_json(wanted, value).err())
        .map(|mismatch| ("value", format!("{name}: {mismatch}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The problems of one calculated field among settings that fit it.
    fn problems(calculated: Json) -> Vec<String> {
        of_account(json!([calculated]))
    }

    fn of_account(calculated: Json) -> Vec<String> {
        let settings: Settings = serde_json::from_value(json!({"objects": {
            "account": {
                "custom_fields": {
                    "next_renewal": "date", "deals": "integer", "total": "decimal", "busy": "boolean",
                    "usage.seats": "integer", "manager": {"reference": "user"}, "mapped": "date"
                },
                "mappings": [{"zoho": "Contract_Start", "platform": "mapped"}],
                "calculated": calculated
            },
            "deal": {"custom_fields": {
                "start_date": "date", "end_date": "date", "seats": "integer", "signed_at": "instant", "tags": "choices"
            }}
        }}))
        .unwrap();
        let found = settings.problems().into_iter();
        found
            .map(|problem| problem.path)
            .map(|path| path.replacen("$.objects.account.calculated", "", 1))
            .collect()
    }

    fn next_renewal(condition: Json) -> Json {
        json!({"platform": "next_renewal", "over": "deal", "filter": {"all": [{"where": condition}]}, "value": {"max": "end_date"}})
    }

    fn in_filter(condition: Json) -> Vec<String> {
        problems(next_renewal(condition))
            .into_iter()
            .map(|path| path.replacen("[0].filter.all[0].where", "", 1))
            .collect()
    }

    #[test]
    fn what_fits_is_taken() {
        for right in [
            next_renewal(
                json!({"field": "end_date", "comparator": "greater_equal", "value": {"today": 0}}),
            ),
            next_renewal(
                json!({"field": "signed_at", "comparator": "between", "value": [{"today": -30}, {"today": 0}]}),
            ),
            next_renewal(json!({"field": "amount", "comparator": "less_than", "value": "10.5"})),
            next_renewal(
                json!({"field": "owner", "comparator": "in", "value": ["zoho-1", "zoho-2"]}),
            ),
            next_renewal(json!({"field": "tags", "comparator": "contains", "value": "gold"})),
            json!({"platform": "deals", "over": "contact", "value": "count"}),
            json!({"platform": "busy", "over": "task", "value": "any"}),
            json!({"platform": "usage.seats", "over": "deal", "value": {"sum": "seats"}}),
            json!({"platform": "total", "over": "deal", "value": {"sum": "seats"}}),
            json!({"platform": "total", "over": "deal", "value": {"average": "amount"}}),
            json!({"platform": "manager", "over": "deal", "value": {"last": {"field": "owner", "by": "closing_date"}}}),
        ] {
            assert_eq!(problems(right.clone()), [""; 0], "{right}");
        }
    }

    #[test]
    fn a_wrong_target_is_named() {
        let counting = |platform: &str| {
            problems(json!({"platform": platform, "over": "deal", "value": "count"}))
        };
        assert_eq!(
            counting("employees"),
            ["[0].platform"],
            "a core field, although its type fits"
        );
        assert_eq!(counting("unheard_of"), ["[0].platform"]);
        assert_eq!(counting("next_renewal"), ["[0].platform"], "a wrong type");
        assert_eq!(
            problems(json!({"platform": "mapped", "over": "deal", "value": {"max": "end_date"}})),
            ["[0].platform"]
        );
        let twice = json!({"platform": "deals", "over": "deal", "value": "count"});
        assert_eq!(of_account(json!([twice, twice])), ["[1].platform"]);
    }

    #[test]
    fn a_wrong_source_is_named() {
        let over =
            |over: &str| problems(json!({"platform": "deals", "over": over, "value": "count"}));
        assert_eq!(over("user"), ["[0].over"]);
        assert_eq!(over("account"), ["[0].over"]);
        let value = |platform: &str, value: Json| {
            problems(json!({"platform": platform, "over": "deal", "value": value}))
        };
        assert_eq!(
            value("next_renewal", json!({"max": "ends"})),
            ["[0].value.max"]
        );
        assert_eq!(
            value("total", json!({"sum": "stage"})),
            ["[0].value"],
            "a text is not added up"
        );
        assert_eq!(
            value("deals", json!({"average": "seats"})),
            ["[0].platform"]
        );
        assert_eq!(
            value(
                "manager",
                json!({"first": {"field": "owner", "by": "tags"}})
            ),
            ["[0].value"]
        );
        assert_eq!(
            value("manager", json!({"first": {"field": "boss", "by": "when"}})),
            ["[0].value.first.field", "[0].value.first.by"]
        );
    }

    #[test]
    fn a_wrong_condition_is_named() {
        let with = |field: &str, comparator: &str, value: Json| {
            in_filter(json!({"field": field, "comparator": comparator, "value": value}))
        };
        assert_eq!(with("ends", "equal", json!("2026-11-23")), [".field"]);
        assert_eq!(with("end_date", "contains", json!("2026")), [".comparator"]);
        assert_eq!(with("owner", "less_than", json!("a")), [".comparator"]);
        assert_eq!(with("end_date", "equal", json!("tomorrow")), [".value"]);
        assert_eq!(with("end_date", "equal", json!({"today": 0.5})), [".value"]);
        assert_eq!(with("end_date", "in", json!([{"today": 0}])), [".value"]);
        assert_eq!(
            with("end_date", "is_empty", json!({"today": 0})),
            [".value"]
        );
        assert_eq!(with("amount", "less_than", json!({"today": 0})), [".value"]);
        assert_eq!(with("seats", "equal", json!("many")), [".value"]);
    }

    #[test]
    fn only_an_accounts_fields_are_calculated() {
        let settings: Settings = serde_json::from_value(json!({"objects": {"contact": {
            "custom_fields": {"deals": "integer"},
            "calculated": [{"platform": "deals", "over": "deal", "value": "count"}]
        }}}))
        .unwrap();
        let problems = settings.problems();
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].path, "$.objects.contact.calculated[0]");
    }

    #[test]
    fn the_form_survives_a_round_trip() {
        for value in [
            json!("count"),
            json!({"max": "end_date"}),
            json!({"last": {"field": "stage", "by": "closing_date"}}),
        ] {
            let document = json!({"platform": "x", "over": "deal", "value": value});
            let read: Calculated = serde_json::from_value(document.clone()).unwrap();
            assert_eq!(serde_json::to_value(&read).unwrap(), document);
        }
        let unknown = json!({"platform": "x", "over": "deal", "value": {"median": "amount"}});
        assert!(serde_json::from_value::<Calculated>(unknown).is_err());
    }
}
