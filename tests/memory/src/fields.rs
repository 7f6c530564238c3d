//! The fields that every organisation has, as Zoho describes them.

use tandem::object::Object;
use tandem::port::FieldInfo;
use tandem::value::FieldType;

/// A writable field.
#[must_use]
pub fn field(name: &str, data_type: &str) -> FieldInfo {
    FieldInfo {
        api_name: name.to_owned(),
        label: name.replace('_', " "),
        data_type: data_type.to_owned(),
        unique: true,
        ..FieldInfo::default()
    }
}

/// The fields behind an object's core fields, its Modified_Time, and an account's external id.
#[must_use]
pub fn usual_fields(object: Object) -> Vec<FieldInfo> {
    let core = object
        .core_fields()
        .iter()
        .map(|core| field(core.zoho, data_type(core.zoho, core.kind)));
    let mut fields: Vec<_> = core
        .chain([
            field("Modified_Time", "datetime"),
            field("AccountExternalID", "text"),
        ])
        .collect();
    fields.sort_by(|left, right| left.api_name.cmp(&right.api_name));
    fields.dedup_by(|left, right| left.api_name == right.api_name);
    fields
}

fn data_type(name: &str, kind: FieldType) -> &'static str {
    match kind {
        _ if name == "What_Id" => "multi_module_lookup",
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
