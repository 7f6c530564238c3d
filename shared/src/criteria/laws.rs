//! Laws of the filters: they decide as an evaluator does that knows the answers from where the values were drawn, and what is not so is
//! the opposite of what is so.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;

use super::*;

/// Values of one kind, by rank: two are equal when their ranks are, and one is less than another when its rank is.
type Pool = &'static [(i32, &'static str)];

const NUMBERS: Pool = &[
    (-1, "-2"),
    (0, "0"),
    (0, "0.0"),
    (1, "1.5"),
    (1, "\"1.50\""),
    (2, "10"),
    (2, "1e1"),
];
const TEXTS: Pool = &[
    (0, "\"Acme\""),
    (1, "\"Zeta\""),
    (2, "\"acme\""),
    (3, "\"acme zeta\""),
];
const DATES: Pool = &[
    (0, "\"2025-12-31\""),
    (1, "\"2026-01-01\""),
    (2, "\"2026-02-10\""),
];
const INSTANTS: Pool = &[
    (0, "\"2025-12-31T23:59:59+00:00\""),
    (1, "\"2026-01-01T05:30:00+05:30\""),
    (1, "\"2026-01-01T00:00:00Z\""),
    (2, "\"2026-01-01T00:00:00-01:00\""),
];
const LOOKUPS: Pool = &[
    (0, "{\"id\": \"40\", \"name\": \"n\"}"),
    (0, "\"40\""),
    (1, "{\"id\": \"50\"}"),
    (1, "\"50\""),
];
const POOLS: [Pool; 5] = [NUMBERS, TEXTS, DATES, INSTANTS, LOOKUPS];

const NOTHING: [&str; 3] = ["null", "\"\"", "[]"];

const OPPOSITES: [(&str, &str); 5] = [
    ("equal", "not_equal"),
    ("in", "not_in"),
    ("between", "not_between"),
    ("contains", "not_contains"),
    ("is_empty", "is_not_empty"),
];

const COMPARATORS: [&str; 16] = [
    "equal",
    "not_equal",
    "in",
    "not_in",
    "less_than",
    "less_equal",
    "greater_than",
    "greater_equal",
    "between",
    "not_between",
    "contains",
    "not_contains",
    "starts_with",
    "ends_with",
    "is_empty",
    "is_not_empty",
];

type Drawn = (i32, Json);

/// A row: for each pool a field with none, one or several of its values.
#[derive(Debug, Clone)]
struct Sample {
    fields: Vec<(Json, Vec<Drawn>)>,
}

#[derive(Debug, Clone)]
enum Tree {
    All(Vec<Tree>),
    Any(Vec<Tree>),
    Where(usize, &'static str, Vec<Drawn>),
}

fn parsed(raw: &str) -> Json {
    serde_json::from_str(raw).unwrap()
}

fn drawn(pool: Pool) -> impl Strategy<Value = Drawn> {
    select(pool).prop_map(|(rank, raw)| (rank, parsed(raw)))
}

fn field(pool: Pool) -> impl Strategy<Value = (Json, Vec<Drawn>)> {
    prop_oneof![
        select(&NOTHING[..]).prop_map(|raw| (parsed(raw), Vec::new())),
        drawn(pool).prop_map(|one| (one.1.clone(), vec![one])),
        prop::collection::vec(drawn(pool), 1..3).prop_map(|several| {
            let list = several.iter().map(|(_, json)| json.clone()).collect();
            (Json::Array(list), several)
        }),
    ]
}

fn sample() -> impl Strategy<Value = Sample> {
    POOLS.map(field).prop_map(|fields| Sample {
        fields: fields.into_iter().collect(),
    })
}

/// A value of the settings is a scalar, never a lookup's object.
fn given(pool: Pool) -> impl Strategy<Value = Drawn> {
    drawn(pool).prop_filter("a scalar", |(_, json)| !json.is_object())
}

fn condition() -> impl Strategy<Value = Tree> {
    let pool = any::<Index>().prop_map(|index| index.index(POOLS.len()));
    let comparator = select(&COMPARATORS[..]);
    (pool, comparator).prop_flat_map(|(pool, comparator)| {
        // Parts of texts are looked for in texts only.
        let pool = match comparator {
            "contains" | "not_contains" | "starts_with" | "ends_with" => 1,
            _ => pool,
        };
        prop::collection::vec(given(POOLS[pool]), 2)
            .prop_map(move |values| Tree::Where(pool, comparator, values))
    })
}

fn tree() -> impl Strategy<Value = Tree> {
    condition().prop_recursive(3, 16, 3, |inner| {
        let several = prop::collection::vec(inner, 0..4);
        prop_oneof![
            several.clone().prop_map(Tree::All),
            several.prop_map(Tree::Any),
        ]
    })
}

impl Sample {
    fn row(&self) -> Row {
        let mut values = json!({"id": "1"});
        for (index, (json, _)) in self.fields.iter().enumerate() {
            values[format!("F{index}")] = json.clone();
        }
        serde_json::from_str(&values.to_string()).unwrap()
    }
}

impl Tree {
    fn filter(&self) -> Filter {
        let filter: Filter = serde_json::from_value(self.json()).unwrap();
        assert_eq!(filter.problems(), []);
        filter
    }

    fn json(&self) -> Json {
        match self {
            Self::All(trees) => json!({"all": trees.iter().map(Self::json).collect::<Vec<_>>()}),
            Self::Any(trees) => json!({"any": trees.iter().map(Self::json).collect::<Vec<_>>()}),
            Self::Where(field, comparator, values) => {
                let values: Vec<_> = values.iter().map(|(_, json)| json.clone()).collect();
                let value = match *comparator {
                    "is_empty" | "is_not_empty" => Json::Null,
                    "in" | "not_in" | "between" | "not_between" => Json::Array(values),
                    _ => values[0].clone(),
                };
                json!({"where": {"field": format!("F{field}"), "comparator": comparator, "value": value}})
            }
        }
    }

    /// Decides by ranks, which know nothing of JSON, numbers or time.
    fn decide(&self, sample: &Sample) -> bool {
        let (field, comparator, values) = match self {
            Self::All(trees) => return !trees.iter().any(|tree| !tree.decide(sample)),
            Self::Any(trees) => return trees.iter().filter(|tree| tree.decide(sample)).count() > 0,
            Self::Where(field, comparator, values) => (*field, *comparator, values),
        };
        let has = &sample.fields[field].1;
        let (first, second) = (values[0].0, values[1].0);
        let some =
            |holds: &dyn Fn(i32) -> bool| has.iter().filter(|(rank, _)| holds(*rank)).count() > 0;
        let text = |holds: &dyn Fn(&str, &str) -> bool| {
            let wanted = values[0].1.as_str().unwrap_or_default().to_lowercase();
            has.iter()
                .any(|(_, json)| holds(&json.as_str().unwrap_or_default().to_lowercase(), &wanted))
        };
        match comparator {
            "equal" => some(&|rank| rank == first),
            "in" => some(&|rank| [first, second].contains(&rank)),
            "less_than" => some(&|rank| rank < first),
            "less_equal" => some(&|rank| rank <= first),
            "greater_than" => some(&|rank| rank > first),
            "greater_equal" => some(&|rank| rank >= first),
            "between" => some(&|rank| (first..=second).contains(&rank)),
            "contains" => text(&|have, want| have.split(want).count() > 1),
            "starts_with" => text(&|have, want| have.strip_prefix(want).is_some()),
            "ends_with" => text(&|have, want| have.strip_suffix(want).is_some()),
            "is_empty" => has.is_empty(),
            negative => {
                let (positive, _) = OPPOSITES
                    .iter()
                    .find(|(_, opposite)| *opposite == negative)
                    .unwrap();
                !Self::Where(field, positive, values.clone()).decide(sample)
            }
        }
    }

    /// The tree that admits what this one does not; none where a comparator has no opposite.
    fn opposite(&self) -> Option<Self> {
        let each = |trees: &[Self]| trees.iter().map(Self::opposite).collect::<Option<Vec<_>>>();
        Some(match self {
            Self::All(trees) => Self::Any(each(trees)?),
            Self::Any(trees) => Self::All(each(trees)?),
            Self::Where(field, comparator, values) => {
                let opposite = OPPOSITES
                    .iter()
                    .find_map(|(one, other)| match *comparator {
                        name if name == *one => Some(*other),
                        name if name == *other => Some(*one),
                        _ => None,
                    })?;
                Self::Where(*field, opposite, values.clone())
            }
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_filter_decides_as_the_ranks_of_its_values_do(tree in tree(), sample in sample()) {
        prop_assert_eq!(tree.filter().admits(&sample.row()), tree.decide(&sample));
    }

    #[test]
    fn what_is_not_so_is_the_opposite_of_what_is_so(tree in tree(), sample in sample()) {
        if let Some(opposite) = tree.opposite() {
            prop_assert_ne!(tree.filter().admits(&sample.row()), opposite.filter().admits(&sample.row()));
        }
    }

    #[test]
    fn all_and_any_are_each_others_opposites(trees in prop::collection::vec(tree(), 0..4), sample in sample()) {
        let row = sample.row();
        let each: Vec<bool> = trees.iter().map(|tree| tree.filter().admits(&row)).collect();
        prop_assert_eq!(Tree::All(trees.clone()).filter().admits(&row), !each.contains(&false));
        prop_assert_eq!(Tree::Any(trees).filter().admits(&row), each.contains(&true));
    }

    #[test]
    fn equal_and_in_of_one_and_between_the_same_are_one(pool in 0usize..5, sample in sample(), index in any::<Index>()) {
        let values = POOLS[pool];
        let (rank, raw) = values[index.index(values.len())];
        let value = (rank, parsed(raw));
        prop_assume!(!value.1.is_object());
        let holds = |comparator| Tree::Where(pool, comparator, vec![value.clone(), value.clone()]).filter().admits(&sample.row());
        prop_assert_eq!(holds("equal"), holds("in"));
        prop_assert_eq!(holds("equal"), holds("between"));
        prop_assert_eq!(holds("equal") || holds("less_than"), holds("less_equal"));
        prop_assert_eq!(holds("equal") || holds("greater_than"), holds("greater_equal"));
    }

    #[test]
    fn a_filter_looks_at_its_fields_only(tree in tree(), sample in sample()) {
        let filter = tree.filter();
        let looked_at = filter.fields();
        let mut values = json!({"id": "1"});
        for (index, (json, _)) in sample.fields.iter().enumerate() {
            let name = format!("F{index}");
            if looked_at.iter().any(|field| field.as_str() == name) {
                values[name] = json.clone();
            }
        }
        let less: Row = serde_json::from_str(&values.to_string()).unwrap();
        prop_assert_eq!(filter.admits(&less), filter.admits(&sample.row()));
    }
}

/// What has no value meets every negative comparator and no positive one, whether Zoho sends null, an empty text, an empty list, or
/// nothing at all.
#[test]
fn no_value_meets_the_negative_comparators_only() {
    let rows = [
        "{\"id\":\"1\",\"F1\":null}",
        "{\"id\":\"1\",\"F1\":\"\"}",
        "{\"id\":\"1\",\"F1\":[]}",
        "{\"id\":\"1\"}",
    ];
    for comparator in COMPARATORS {
        let values = vec![(0, json!("Acme")), (1, json!("Zeta"))];
        let filter = Tree::Where(1, comparator, values).filter();
        let negative = comparator == "is_empty"
            || (comparator.contains("not_") && comparator != "is_not_empty");
        for row in rows {
            let row: Row = serde_json::from_str(row).unwrap();
            assert_eq!(filter.admits(&row), negative, "{comparator}");
        }
    }
}
