//! Laws of the query language.

use super::syntax::{Comparison, Condition, Connective, Function, Literal, Path, Query, Selected};
use super::{compile, parse};
use crate::generate::OrganisationSpec;
use crate::org::Organisation;
use crate::org::record::Record;
use crate::org::view::Viewer;
use jiff::{Timestamp, tz::TimeZone};
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::LazyLock;

fn path() -> impl Strategy<Value = Path> {
    select(vec![
        "Account_Name",
        "Parent_Account.Phone",
        "What_Id->Deals.Amount",
        "id",
        "Owner.email",
        "Order_Number",
        "Industry",
    ])
    .prop_map(|text| Path(text.to_owned()))
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        "[^\\x00]{0,12}".prop_map(Literal::Text),
        any::<i32>().prop_map(|number| Literal::Bare(number.to_string())),
        (0..9_999i32, 0..99u8)
            .prop_map(|(whole, part)| Literal::Bare(format!("{whole}.{part:02}"))),
        any::<bool>().prop_map(Literal::Boolean),
    ]
}

fn comparison() -> impl Strategy<Value = Comparison> {
    select(vec![
        Comparison::Equal,
        Comparison::NotEqual,
        Comparison::Less,
        Comparison::LessEqual,
        Comparison::Greater,
        Comparison::GreaterEqual,
    ])
}

fn pairs(leaf: impl Strategy<Value = Condition> + 'static) -> impl Strategy<Value = Condition> {
    leaf.prop_recursive(4, 16, 2, |inner| {
        (
            inner.clone(),
            select(vec![Connective::And, Connective::Or]),
            inner,
        )
            .prop_map(|(left, connective, right)| {
                Condition::Pair(Box::new(left), connective, Box::new(right))
            })
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    pairs(prop_oneof![
        (path(), comparison(), literal())
            .prop_map(|(path, comparison, literal)| Condition::Compare(path, comparison, literal)),
        (path(), any::<bool>(), "[^\\x00]{0,8}")
            .prop_map(|(path, negated, text)| Condition::Like(path, negated, text)),
        (
            path(),
            any::<bool>(),
            prop::collection::vec(literal(), 1..5)
        )
            .prop_map(|(path, negated, list)| Condition::In(path, negated, list)),
        (path(), any::<bool>(), literal(), literal())
            .prop_map(|(path, negated, low, high)| Condition::Between(path, negated, low, high)),
        (path(), any::<bool>()).prop_map(|(path, negated)| Condition::Null(path, negated)),
    ])
}

prop_compose! {
    fn query()(
        columns in prop::collection::vec((any::<bool>(), path()), 1..4),
        condition in condition(),
        view in prop::option::of(1u32..999),
        order in prop::collection::vec((path(), any::<bool>()), 0..3),
        limit in prop::option::of((1usize..2_000, 0usize..50_000)),
    ) -> Query {
        let columns = columns
            .into_iter()
            .enumerate()
            .map(|(number, (counted, path))| Selected {
                function: counted.then_some(Function::Count),
                written: if counted { "Count".to_owned() } else { String::new() },
                path,
                alias: Some(format!("c{number}")),
            })
            .collect();
        Query {
            columns,
            module: "Accounts".to_owned(),
            view: view.map(|view| view.to_string()),
            condition,
            group_by: Vec::new(),
            order_by: order,
            limit: limit.map(|(limit, _)| limit),
            offset: limit.map_or(0, |(_, offset)| offset),
        }
    }
}

static ORGANISATION: LazyLock<Organisation> = LazyLock::new(|| {
    let spec = OrganisationSpec {
        contacts: Some(200),
        ..OrganisationSpec::small(11)
    };
    crate::generate::organisation(1, &spec, now())
});

fn now() -> Timestamp {
    "2026-03-10T12:00:00Z".parse().unwrap()
}

/// Conditions that name what the plan uses: the id, the time of modification, indexed fields, and others.
fn planned() -> impl Strategy<Value = Condition> {
    let table = ORGANISATION.table("Contacts").unwrap();
    let ids: Vec<String> = table.records().keys().map(u64::to_string).collect();
    let times: Vec<String> = table
        .records()
        .values()
        .map(|record| record.modified().to_string())
        .collect();
    let accounts: Vec<String> = ORGANISATION
        .table("Accounts")
        .unwrap()
        .records()
        .keys()
        .map(u64::to_string)
        .collect();
    let field = |name: &'static str, values: Vec<String>| {
        let path = Path(name.to_owned());
        let equal = if name == "Account_Name" {
            select(vec![Comparison::Equal, Comparison::NotEqual]).boxed()
        } else {
            comparison().boxed()
        };
        let (compared, listed, between) = (path.clone(), path.clone(), path);
        let low = select(values.clone());
        let compare = (equal, low).prop_map(move |(comparison, value)| {
            Condition::Compare(compared.clone(), comparison, Literal::Text(value))
        });
        let list = (
            any::<bool>(),
            prop::collection::vec(select(values.clone()).prop_map(Literal::Text), 1..4),
        )
            .prop_map(move |(negated, list)| Condition::In(listed.clone(), negated, list));
        if name == "Account_Name" {
            prop_oneof![compare, list].boxed()
        } else {
            let ends = (any::<bool>(), select(values.clone()), select(values)).prop_map(
                move |(negated, low, high)| {
                    Condition::Between(
                        between.clone(),
                        negated,
                        Literal::Text(low),
                        Literal::Text(high),
                    )
                },
            );
            prop_oneof![compare, list, ends].boxed()
        }
    };
    pairs(prop_oneof![
        field("id", ids),
        field("Modified_Time", times),
        field("Account_Name", accounts),
        Just(Condition::Null(Path("Email".to_owned()), false)),
        Just(Condition::Like(
            Path("Email".to_owned()),
            false,
            "%a%".to_owned()
        )),
    ])
}

proptest! {
    #[test]
    fn a_printed_query_reads_the_same(query in query()) {
        let text = query.to_string();
        let read = parse::parse(&text);
        prop_assert!(read.is_ok() || query.columns.len() > 1 || query.limit.is_some(), "{text}: {read:?}");
        match read {
            Ok(read) => prop_assert_eq!(read, query),
            Err(refusal) => prop_assert_eq!(refusal.code, "LIMIT_EXCEEDED", "{}", text),
        }
    }

    #[test]
    fn no_text_breaks_the_parser(text in "\\PC{0,60}", tail in "[a-z(),.'=<>% ]{0,40}") {
        let _ = parse::parse(&text);
        let _ = parse::parse(&format!("select id from Accounts where {tail}"));
    }

    #[test]
    fn the_plan_finds_what_looking_at_every_record_finds(
        condition in planned(),
        order in select(vec!["", "id asc", "id desc", "Modified_Time asc, id asc", "Modified_Time desc, id desc", "Modified_Time asc", "Email, id", "Last_Name desc"]),
        limit in 1usize..60,
        offset in 0usize..40,
    ) {
        let organisation = &*ORGANISATION;
        let at = organisation.position("Contacts").unwrap();
        let order_by = if order.is_empty() { String::new() } else { format!(" order by {order}") };
        let text = format!("select id from Contacts where {condition}{order_by} limit {limit} offset {offset}");
        let query = parse::parse(&text).unwrap();
        let viewer = Viewer { zone: TimeZone::UTC, now: now() };
        let rows = super::run(organisation, at, &query, &viewer).unwrap();
        let found: Vec<u64> = rows.rows.iter().map(|row| row["id"].as_str().unwrap().parse().unwrap()).collect();

        let compiled = compile::compile(organisation, at, &condition).unwrap();
        let mut naive: Vec<&Record> =
            organisation.table_at(at).records().values().filter(|record| compiled.holds(organisation, at, record, now())).collect();
        let module = organisation.module("Contacts").unwrap();
        let text_of = |record: &Record, name: &str| record.value(module.position(name).unwrap()).as_text().map(str::to_lowercase);
        match order {
            "" | "id asc" => {}
            "id desc" => naive.reverse(),
            "Modified_Time desc, id desc" => naive.sort_by_key(|record| std::cmp::Reverse((record.modified(), record.id))),
            "Email, id" => naive.sort_by_key(|record| text_of(record, "Email")),
            "Last_Name desc" => naive.sort_by_key(|record| std::cmp::Reverse(text_of(record, "Last_Name"))),
            _ => naive.sort_by_key(|record| (record.modified(), record.id)),
        }
        let more = naive.len() > offset + limit;
        let expected: Vec<u64> = naive.iter().skip(offset).take(limit).map(|record| record.id).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(rows.more, more);
    }
}
