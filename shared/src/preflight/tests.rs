//! What follows from counts and denials.

use proptest::prelude::*;

use super::*;

fn filled(records: u64, filled: u64) -> Filled {
    Filled {
        records,
        filled,
        shared: Some(Shared {
            complete: true,
            ..Shared::default()
        }),
    }
}

fn coverage(object: Object, all: Filled) -> Coverage {
    Coverage {
        object,
        field: "External_ID".into(),
        unique: false,
        all,
        in_scope: None,
    }
}

fn said(coverage: &Coverage) -> Vec<(Code, Severity, String)> {
    let findings = coverage.findings().into_iter();
    findings
        .map(|finding| (finding.code, finding.severity, finding.what))
        .collect()
}

#[test]
fn records_without_an_id_are_counted() {
    let some = coverage(Object::Account, filled(5_000, 3_796));
    assert_eq!(
        said(&some),
        [(
            Code::ExternalIdUnfilled,
            Severity::Warning,
            "Accounts: 1,204 of 5,000 accounts have no External_ID: they stay unmatched".into()
        )]
    );
    let narrowed = Coverage {
        in_scope: Some(filled(1_000, 0)),
        ..some
    };
    let [(_, severity, what)] = &said(&narrowed)[..] else {
        panic!("{narrowed:?}");
    };
    assert_eq!(*severity, Severity::Problem, "nothing in scope would sync");
    assert!(what.ends_with("; in scope 1,000 of 1,000"), "{what}");
    assert_eq!(said(&coverage(Object::Account, filled(7, 7))), []);
    assert_eq!(said(&coverage(Object::Task, filled(7, 0))), []);
    let one = said(&coverage(Object::Contact, filled(1, 0)));
    assert!(
        one[0]
            .2
            .contains("1 of 1 contact has no External_ID: it stays")
    );
}

#[test]
fn shared_values_are_counted_with_examples_unless_they_are_personal() {
    let values = [
        ("A-1".to_owned(), 3),
        (" A-1".to_owned(), 1),
        ("B-1".to_owned(), 1),
        ("b-1".to_owned(), 1),
    ];
    let of = |object| Coverage {
        all: Filled {
            shared: Some(Shared::among(object, &values, true)),
            ..filled(6, 6)
        },
        ..coverage(object, filled(6, 6))
    };
    let accounts = of(Object::Account).findings();
    assert_eq!(
        accounts[0].what,
        "Accounts: 1 value of External_ID is shared by 4 accounts"
    );
    assert_eq!(accounts[0].examples, ["A-1"]);
    let contacts = of(Object::Contact).findings();
    assert_eq!(
        contacts[0].what, "Contacts: 2 values of External_ID are shared by 6 contacts",
        "contacts are compared without case"
    );
    assert_eq!(contacts[0].examples, Vec::<String>::new());
}

#[test]
fn what_was_not_compared_is_said() {
    let of = |values: &[(String, u64)]| {
        let shared = Some(Shared::among(Object::Account, values, false));
        let all = Filled {
            shared,
            ..filled(9, 9)
        };
        said(&coverage(Object::Account, all)).remove(0).2
    };
    let shared = of(&[("A".into(), 2), ("B".into(), 1)]);
    assert!(
        shared.contains("at least 1 value of External_ID is shared by 2 accounts: the first 2"),
        "{shared}"
    );
    let apart = of(&[("A".into(), 1)]);
    assert!(apart.contains("none of the first 1 values"), "{apart}");
}

#[test]
fn what_zoho_would_not_count_is_said() {
    let uncounted = |unique| Coverage {
        unique,
        all: Filled {
            shared: None,
            ..filled(9, 9)
        },
        ..coverage(Object::Account, filled(9, 9))
    };
    assert_eq!(said(&uncounted(true)), [], "Zoho keeps the values apart");
    let [(code, _, what)] = &said(&uncounted(false))[..] else {
        panic!("one finding");
    };
    assert_eq!(*code, Code::ExternalIdUncounted);
    assert!(what.contains("which values of External_ID"), "{what}");
}

#[test]
fn the_very_scope_is_named() {
    let lacks = || {
        Err(Denial {
            by_scope: true,
            words: String::new(),
        })
    };
    let hidden = || {
        Err(Denial {
            by_scope: false,
            words: String::new(),
        })
    };
    let names = |counted: &[(Object, Result<u64, Denial>)]| {
        let scopes = lacking_to_count(counted).into_iter();
        scopes.map(|scope| scope.name).collect::<Vec<_>>()
    };
    assert_eq!(
        names(&[(Object::Account, Ok(1)), (Object::Deal, hidden())]),
        Vec::<&str>::new()
    );
    assert_eq!(
        names(&[(Object::Account, Ok(1)), (Object::Deal, lacks())]),
        ["ZohoCRM.modules.deals.READ"]
    );
    assert_eq!(
        names(&[(Object::Account, lacks()), (Object::Deal, lacks())]),
        ["ZohoCRM.coql.READ"]
    );
}

#[test]
fn numbers_are_set_apart_by_thousands() {
    for (number, text) in [
        (0, "0"),
        (999, "999"),
        (1_000, "1,000"),
        (1_234_567, "1,234,567"),
    ] {
        assert_eq!(grouped(number), text);
    }
}

proptest! {
    #[test]
    fn any_values_are_compared_without_panic(values in prop::collection::vec((".{0,12}", any::<u64>()), 0..20), complete: bool) {
        for object in Object::ALL {
            let shared = Shared::among(object, &values, complete);
            prop_assert!(shared.values <= shared.compared);
            prop_assert!(shared.examples.len() <= EXAMPLES);
            let all = Filled { shared: Some(shared), ..filled(3, 5) };
            for finding in coverage(object, all).findings() {
                prop_assert!(!finding.what.is_empty() && !finding.remedy.is_empty());
            }
        }
    }
}
