//! Which platform types go with which of Zoho's.

use super::*;

const KINDS: [FieldType; 12] = [
    FieldType::Text,
    FieldType::Integer,
    FieldType::Decimal,
    FieldType::Boolean,
    FieldType::Date,
    FieldType::Instant,
    FieldType::Choice,
    FieldType::Choices,
    FieldType::Email,
    FieldType::Phone,
    FieldType::Url,
    FieldType::Reference(Object::User),
];

fn field(data_type: &str) -> FieldInfo {
    FieldInfo {
        api_name: "F".into(),
        data_type: data_type.into(),
        ..FieldInfo::default()
    }
}

/// The platform types that take a Zoho type; doubtful ones with a question mark.
fn takers(fit: impl Fn(FieldType) -> Fit) -> String {
    let taker = |kind: FieldType| {
        let name = words(kind).split(' ').next_back().unwrap();
        match fit(kind) {
            Fit::Fits => Some(name.to_owned()),
            Fit::Doubtful(_) => Some(format!("{name}?")),
            Fit::Not(_) => None,
        }
    };
    KINDS
        .into_iter()
        .filter_map(taker)
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn each_zoho_type_goes_with_its_platform_types() {
    for (data_type, pull, push) in [
        (
            "text",
            "text email phone url",
            "text choice email phone url",
        ),
        (
            "textarea",
            "text email phone url",
            "text choice email phone url",
        ),
        ("email", "text email", "text? email"),
        ("phone", "text phone", "text? phone"),
        ("website", "text url", "text? url"),
        ("picklist", "text choice", "text? choice"),
        ("multiselectpicklist", "choices", "choices"),
        ("territories", "choices", ""),
        ("date", "text date", "date"),
        ("datetime", "instant", "instant"),
        ("integer", "text integer decimal", "integer"),
        ("bigint", "text integer decimal", "integer"),
        ("double", "text integer? decimal", "integer decimal"),
        ("currency", "text integer? decimal", "integer decimal"),
        ("percent", "text integer? decimal", "integer decimal"),
        ("boolean", "text boolean", "boolean"),
        ("lookup", "", ""),
        ("ownerlookup", "user", "user"),
        ("userlookup", "user", "user"),
        ("multi_module_lookup", "", ""),
        ("multiselectlookup", "", ""),
        ("multiuserlookup", "", ""),
        ("subform", "", ""),
        ("fileupload", "", ""),
        ("imageupload", "", ""),
        ("profileimage", "", ""),
        ("autonumber", "text", ""),
        ("layout", "text?", ""),
        ("RRULE", "text", ""),
        ("ALARM", "text", ""),
        ("event_reminder", "text?", ""),
        ("consent_lookup", "text?", ""),
    ] {
        let field = field(data_type);
        assert!(field.data_type().is_some(), "{data_type}");
        assert_eq!(
            takers(|kind| field.fits_pull(kind)),
            pull,
            "pull of {data_type}"
        );
        assert_eq!(
            takers(|kind| field.fits_push(kind)),
            push,
            "push to {data_type}"
        );
    }
}

#[test]
fn a_formula_is_what_it_comes_to_and_is_never_written() {
    for (returns, pull) in [
        ("string", "text email phone url"),
        ("double", "text integer? decimal"),
        ("currency", "text integer? decimal"),
        ("boolean", "text boolean"),
        ("date", "text date"),
        ("datetime", "instant"),
    ] {
        for data_type in ["formula", "rollup_summary"] {
            let field = FieldInfo {
                returns: Some(returns.into()),
                ..field(data_type)
            };
            assert_eq!(takers(|kind| field.fits_pull(kind)), pull, "{returns}");
            assert_eq!(takers(|kind| field.fits_push(kind)), "", "{returns}");
        }
    }
    let silent = field("formula");
    assert!(matches!(
        silent.fits_pull(FieldType::Date),
        Fit::Doubtful(_)
    ));
    let number = FieldInfo {
        json_type: Some("double".into()),
        ..silent
    };
    assert_eq!(
        takers(|kind| number.fits_pull(kind)),
        "text integer? decimal"
    );
}

#[test]
fn a_type_that_is_not_known_is_doubted_and_not_refused() {
    let field = field("hologram");
    for kind in KINDS {
        assert!(matches!(field.fits_pull(kind), Fit::Doubtful(_)));
        assert!(matches!(field.fits_push(kind), Fit::Doubtful(_)));
    }
}

#[test]
fn tags_are_choices_although_zoho_calls_them_text() {
    let tag = FieldInfo {
        json_type: Some("jsonarray".into()),
        ..field("text")
    };
    assert_eq!(takers(|kind| tag.fits_pull(kind)), "choices");
    assert_eq!(takers(|kind| tag.fits_push(kind)), "");
}

#[test]
fn a_lookup_names_records_of_its_module() {
    let lookup = FieldInfo {
        targets: vec!["Contacts".into()],
        ..field("lookup")
    };
    let contact = FieldType::Reference(Object::Contact);
    let account = FieldType::Reference(Object::Account);
    assert_eq!(lookup.fits_pull(contact), Fit::Fits);
    assert_eq!(lookup.fits_push(contact), Fit::Fits);
    assert!(matches!(lookup.fits_pull(account), Fit::Not(_)));
    assert_eq!(
        field("lookup").fits_pull(account),
        Fit::Fits,
        "unknown modules"
    );
    let several = FieldInfo {
        targets: vec!["Accounts".into(), "Deals".into()],
        ..field("multi_module_lookup")
    };
    assert_eq!(several.fits_pull(account), Fit::Fits);
    assert!(matches!(several.fits_push(account), Fit::Not(_)));
    let what = FieldInfo {
        api_name: "What_Id".into(),
        ..several
    };
    assert_eq!(what.fits_push(account), Fit::Fits);
}
