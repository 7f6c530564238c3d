//! Settings held against an organisation's fields.

use serde_json::json;

use super::*;

const OBJECTS: [Object; 4] = [Object::Account, Object::Contact, Object::Deal, Object::Task];

fn settings(json: Json) -> Settings {
    let settings: Settings = serde_json::from_value(json).unwrap();
    assert_eq!(settings.problems(), []);
    settings
}

fn field(name: &str, data_type: &str) -> FieldInfo {
    FieldInfo {
        api_name: name.into(),
        label: name.into(),
        data_type: data_type.into(),
        unique: true,
        ..FieldInfo::default()
    }
}

fn usual_type(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Text => "text",
        FieldType::Integer => "integer",
        FieldType::Decimal => "currency",
        FieldType::Boolean => "boolean",
        FieldType::Date => "date",
        FieldType::Instant => "datetime",
        FieldType::Choice => "picklist",
        FieldType::Choices => "multiselectpicklist",
        FieldType::Email => "email",
        FieldType::Phone => "phone",
        FieldType::Url => "website",
        FieldType::Reference(Object::User) => "ownerlookup",
        FieldType::Reference(_) => "lookup",
    }
}

/// An organisation with all that the default settings look at.
fn complete(object: Object) -> Vec<FieldInfo> {
    let plan = FieldPlan::compile(&Settings::default(), object);
    let type_of = |name: &str| {
        let mapped = plan
            .mapped
            .iter()
            .find(|mapped| mapped.zoho.as_str() == name);
        match name {
            "What_Id" => "multi_module_lookup",
            MODIFIED_TIME => "datetime",
            _ => mapped.map_or("text", |mapped| usual_type(mapped.kind)),
        }
    };
    plan.columns()
        .iter()
        .map(|name| field(name, type_of(name)))
        .collect()
}

fn accounts_with(more: impl IntoIterator<Item = FieldInfo>) -> Vec<FieldInfo> {
    complete(Object::Account).into_iter().chain(more).collect()
}

fn places(found: &[Finding]) -> Vec<(Severity, &str)> {
    found
        .iter()
        .map(|finding| (finding.severity, finding.place.as_deref().unwrap_or("-")))
        .collect()
}

#[test]
fn a_complete_organisation_has_no_findings() {
    for object in OBJECTS {
        assert_eq!(check(&Settings::default(), object, &complete(object)), []);
    }
}

#[test]
fn every_field_that_is_used_is_missed() {
    for object in OBJECTS {
        for hidden in complete(object) {
            let name = hidden.api_name;
            let seen: Vec<_> = complete(object)
                .into_iter()
                .filter(|field| field.api_name != name)
                .collect();
            let found = check(&Settings::default(), object, &seen);
            let wanted = match (object, name.as_str()) {
                (Object::Account, "Modified_Time" | "AccountExternalID") => Severity::Blocking,
                _ => Severity::Problem,
            };
            assert!(
                found
                    .iter()
                    .all(|finding| finding.field == name && finding.severity == wanted),
                "{object} {name}: {found:?}"
            );
            let place = found[0].place.clone();
            let wanted = match (object, name.as_str()) {
                (_, "Modified_Time") => None,
                (Object::Account, "AccountExternalID") => Some("$.account_external_id".into()),
                (Object::Contact, "Email") => Some("$.contact_external_id".into()),
                _ => Some(format!("$.objects.{object}")),
            };
            assert_eq!(place, wanted, "{object} {name}");
        }
    }
}

#[test]
fn a_field_that_is_written_must_be_writable() {
    let settings = settings(json!({"objects": {"account": {
        "custom_fields": {"score": "integer", "rank": "integer"},
        "mappings": [
            {"zoho": "Score", "platform": "score", "direction": "push"},
            {"zoho": "Rank", "platform": "rank", "editable": true}
        ]
    }}}));
    let locked = FieldInfo {
        read_only: true,
        ..field("Score", "integer")
    };
    let computed = FieldInfo {
        read_only: true,
        returns: Some("integer".into()),
        ..field("Rank", "rollup_summary")
    };
    let found = check(
        &settings,
        Object::Account,
        &accounts_with([locked, computed]),
    );
    assert_eq!(
        places(&found),
        [
            (Severity::Problem, "$.objects.account.mappings[1].zoho"),
            (Severity::Problem, "$.objects.account.mappings[0].zoho"),
        ]
    );
    assert!(found[0].remedy.contains("computes"), "{found:?}");
    assert!(found[1].what.contains("can't be written"), "{found:?}");
    assert!(found[1].remedy.contains("profile"), "{found:?}");
}

#[test]
fn types_must_fit_in_the_direction_that_values_go() {
    let document = |direction: &str| {
        settings(json!({"objects": {"account": {
            "custom_fields": {"size": "text", "rooms": "choices", "made": "date"},
            "mappings": [
                {"zoho": "Size", "platform": "size", "direction": direction},
                {"zoho": "Rooms", "platform": "rooms", "direction": direction},
                {"zoho": "Made", "platform": "made", "direction": direction}
            ]
        }}}))
    };
    let fields = accounts_with([
        field("Size", "integer"),
        field("Rooms", "subform"),
        field("Made", "hologram"),
    ]);
    let found = check(&document("pull"), Object::Account, &fields);
    assert_eq!(
        places(&found),
        [
            (Severity::Warning, "$.objects.account.mappings[2].zoho"),
            (Severity::Problem, "$.objects.account.mappings[1].zoho"),
        ]
    );
    assert!(found[1].remedy.contains("one by one"), "{found:?}");
    let found = check(&document("push"), Object::Account, &fields);
    let refused: Vec<_> = found
        .iter()
        .filter(|finding| finding.severity == Severity::Problem)
        .map(|finding| finding.field.as_str())
        .collect();
    assert_eq!(refused, ["Rooms", "Rooms", "Size"]);
}

#[test]
fn external_ids_and_the_task_mark_are_texts() {
    let settings = settings(json!({"create_in_zoho": ["account"], "task_mark": "Mark"}));
    let mut fields = complete(Object::Account);
    fields.retain(|field| field.api_name != "AccountExternalID");
    let with = |id: FieldInfo| {
        let fields: Vec<_> = fields.iter().cloned().chain([id]).collect();
        let found = check(&settings, Object::Account, &fields);
        assert!(
            found
                .iter()
                .all(|finding| finding.place.as_deref() == Some("$.account_external_id"))
        );
        found
            .iter()
            .map(|finding| finding.severity)
            .collect::<Vec<_>>()
    };
    let id = |data_type| field("AccountExternalID", data_type);
    assert_eq!(with(id("text")), []);
    assert_eq!(with(id("integer")), [Severity::Problem]);
    assert_eq!(with(id("lookup")), [Severity::Blocking, Severity::Problem]);
    assert_eq!(
        with(FieldInfo {
            read_only: true,
            ..id("text")
        }),
        [Severity::Problem]
    );
    assert_eq!(
        with(FieldInfo {
            unique: false,
            length: Some(20),
            ..id("text")
        }),
        [Severity::Warning, Severity::Warning]
    );
    let tasks = complete(Object::Task);
    let found = check(&settings, Object::Task, &tasks);
    assert_eq!(places(&found), [(Severity::Problem, "$.task_mark")]);
    let tasks: Vec<_> = tasks.into_iter().chain([field("Mark", "text")]).collect();
    assert_eq!(check(&settings, Object::Task, &tasks), []);
}

#[test]
fn a_filter_looks_at_fields_that_can_be_read_and_at_values_that_they_can_have() {
    let condition = |field: &str, comparator: &str, value: Json| json!({"where": {"field": field, "comparator": comparator, "value": value}});
    let settings = settings(json!({"objects": {"account": {"filter": {"any": [
        condition("Gone", "equal", json!("x")),
        {"all": [condition("Files", "is_empty", json!(null)), condition("Size", "greater_than", json!("10.5"))]},
        condition("Size", "between", json!([1, "many"])),
        condition("Size", "contains", json!("1")),
        condition("Made", "less_than", json!("yesterday")),
        condition("Made", "in", json!(["2026-01-01", "2026-01-01T10:00:00Z"])),
        condition("Boss", "equal", json!("Ann")),
        condition("Boss", "equal", json!("5001")),
        condition("Kind", "in", json!(["a", "c"])),
        condition("Kind", "equal", json!("b")),
        condition("Open", "equal", json!("yes")),
    ]}}}}));
    let fields = accounts_with([
        field("Files", "fileupload"),
        field("Size", "double"),
        field("Made", "date"),
        field("Boss", "userlookup"),
        FieldInfo {
            choices: vec!["a".into(), "b".into()],
            ..field("Kind", "picklist")
        },
        field("Open", "boolean"),
    ]);
    let found = check(&settings, Object::Account, &fields);
    let place = |end: &str| format!("$.objects.account.filter.any{end}");
    let found: Vec<_> = found
        .into_iter()
        .map(|finding| (finding.severity, finding.place.unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            (Severity::Blocking, place("[0].where.field")),
            (Severity::Blocking, place("[1].all[0].where.field")),
            (Severity::Problem, place("[2].where.value")),
            (Severity::Problem, place("[4].where.value")),
            (Severity::Problem, place("[6].where.value")),
            (Severity::Warning, place("[8].where.value")),
            (Severity::Problem, place("[10].where.value")),
        ]
    );
}

#[test]
fn an_external_id_that_is_not_unique_is_a_warning() {
    let mut fields = complete(Object::Account);
    for field in &mut fields {
        field.unique = false;
    }
    let found = check(&Settings::default(), Object::Account, &fields);
    assert_eq!(
        places(&found),
        [(Severity::Warning, "$.account_external_id")]
    );
    assert_eq!(found[0].field, "AccountExternalID");
    assert!(
        found[0]
            .mistake()
            .unwrap()
            .problem
            .contains("unique in Zoho")
    );
}

#[test]
fn each_finding_says_what_kind_it_is_and_which_permission_would_help() {
    let settings = settings(json!({
        "create_in_zoho": ["account"],
        "objects": {"account": {
            "filter": {"where": {"field": "Gone", "comparator": "equal", "value": "x"}},
            "custom_fields": {"score": "integer", "rank": "integer", "files": "text"},
            "mappings": [
                {"zoho": "Score", "platform": "score", "direction": "push"},
                {"zoho": "Hidden", "platform": "rank"},
                {"zoho": "Files", "platform": "files"}
            ]
        }}
    }));
    let locked = |name: &str, data_type| FieldInfo {
        read_only: true,
        ..field(name, data_type)
    };
    let mut fields = accounts_with([locked("Score", "integer"), field("Files", "fileupload")]);
    fields.retain(|field| field.api_name != "AccountExternalID");
    fields.push(locked("AccountExternalID", "text"));
    let mut found: Vec<_> = check(&settings, Object::Account, &fields)
        .into_iter()
        .map(|finding| (finding.code, finding.permission))
        .collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [
            (Code::ExternalIdNotWritable, Some(Permission::EditField)),
            (Code::FieldMissing, Some(Permission::ViewField)),
            (Code::FieldUnreadable, None),
            (Code::FieldNotWritable, Some(Permission::EditField)),
            (Code::FilterFieldMissing, Some(Permission::ViewField)),
        ]
    );
}
