//! Rows of Zoho's.

use garble::{cases, json_text};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tandem::mapping::{FieldPlan, Neighbours};
use tandem::object::Object;
use tandem::row::Row;
use tandem::settings::Settings;
use tandem::value::Value;

const KINDS: [&str; 10] = [
    "text", "integer", "decimal", "boolean", "date", "instant", "choice", "email", "phone", "url",
];

/// A plan with a field of each type, and those that are lists or records.
fn plan() -> FieldPlan {
    let mut custom: serde_json::Map<String, Json> = KINDS
        .iter()
        .map(|kind| (format!("my_{kind}"), (*kind).into()))
        .collect();
    custom.insert("my_choices".into(), "choices".into());
    custom.insert("my_user".into(), json!({ "reference": "user" }));
    let mappings: Vec<Json> = custom
        .keys()
        .map(|name| json!({ "zoho": format!("Z_{name}"), "platform": name }))
        .collect();
    let filter = json!({ "any": [
        { "where": { "field": "Z_my_integer", "comparator": "greater_than", "value": 5 } },
        { "where": { "field": "Z_my_text", "comparator": "contains", "value": "a" } },
        { "where": { "field": "Z_my_date", "comparator": "less_than", "value": "2026-01-01" } },
    ] });
    let contact = json!({ "custom_fields": custom, "mappings": mappings, "filter": filter });
    let settings: Settings =
        serde_json::from_value(json!({ "objects": { "contact": contact } })).unwrap();
    assert_eq!(settings.problems(), []);
    FieldPlan::compile(&settings, Object::Contact)
}

fn row() -> Json {
    json!({
        "id": "5725767000000420023", "Modified_Time": "2026-11-23T11:00:00+01:00", "Email": "Ada@Example.com",
        "Account_Name": { "id": "7", "name": "Acme" }, "Last_Name": "Lovelace", "First_Name": null, "Phone": "+1 5",
        "Z_my_text": "text", "Z_my_integer": 7, "Z_my_decimal": 12.50, "Z_my_boolean": true, "Z_my_date": "2026-11-23",
        "Z_my_instant": "2026-11-23T11:00:00+01:00", "Z_my_choice": "gold", "Z_my_email": "a@b.example", "Z_my_phone": "1",
        "Z_my_url": "https://a.example", "Z_my_choices": ["b", "a"], "Z_my_user": { "id": "9", "name": "Ada" },
    })
}

proptest! {
    #![proptest_config(cases(512))]

    /// What Zoho sent for a field becomes a value or a fault that names the field. It never turns into no value on the way, for that
    /// would clear what the platform has.
    #[test]
    fn nothing_turns_into_no_value(text in json_text(&[row()])) {
        let plan = plan();
        let Ok(row) = serde_json::from_str::<Row>(&text) else { return Ok(()) };
        let theirs = plan.read(&row, &Neighbours::new());
        for mapped in KINDS.iter().map(|kind| format!("my_{kind}")) {
            let sent = row.raw(&format!("Z_{mapped}")).map(str::trim);
            let Some(sent) = sent.filter(|sent| !matches!(*sent, "null" | "\"\"")) else { continue };
            let name = mapped.parse().unwrap();
            let value = theirs.values.get(&name).filter(|value| **value != Value::Null);
            let fault = theirs.faults.iter().any(|fault| fault.platform == name);
            prop_assert!(value.is_some() || fault, "{} came as {:.80} and became {:?}", mapped, sent, theirs.values.get(&name));
        }
        // The same row means the same each time, and another's neighbours change nothing of what it says itself.
        let again = plan.read(&row, &Neighbours::new());
        prop_assert_eq!(&again.hash, &theirs.hash);
        let _ = plan.admits(&row, &Neighbours::new());
        let _ = plan.references(&row);
        for value in theirs.values.values() {
            let stored = serde_json::to_string(value).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Value>(&stored).unwrap(), value);
            if let Ok(sent) = tandem::convert::push(value) {
                prop_assert!(serde_json::from_str::<Json>(sent.as_str()).is_ok(), "{:?}", sent);
            }
        }
    }

    /// A row has the id that it says, to the digit, or is refused.
    #[test]
    fn a_row_is_itself_or_nobody(text in json_text(&[json!({ "id": "5725767000000420023", "Modified_Time": null })])) {
        if let Ok(row) = serde_json::from_str::<Row>(&text) {
            let said: String = serde_json::from_str(row.raw("id").unwrap()).unwrap();
            prop_assert_eq!(format!("{said:0>20}"), row.id.padded());
        }
    }
}
