//! The field plan: an object's mappings, compiled from the settings, and what it reads from a Zoho row (F1 to F6).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::convert;
use crate::criteria::Filter;
use crate::hash;
use crate::identifier::{Digest, FieldName, PlatformId, ZohoField, ZohoId};
use crate::lack::MODIFIED_TIME;
use crate::object::Object;
use crate::record::Link;
use crate::row::Row;
use crate::settings::{ChoicesMode, ConflictPolicy, Direction, Mapping, NullMeans, Settings};
use crate::value::{FieldType, Fields, Mismatch, Value};

/// One mapping, ready for use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// The platform field.
    pub platform: FieldName,
    /// The Zoho field.
    pub zoho: ZohoField,
    /// The platform field's type.
    pub kind: FieldType,
    /// Whether Zoho's values come to the platform.
    pub pulls: bool,
    /// Whether the platform's values go to Zoho.
    pub pushes: bool,
    /// What no value means.
    pub null: NullMeans,
    /// What becomes of the other values of a multi-select on a write.
    pub choices: ChoicesMode,
    /// Who wins a conflict.
    pub conflicts: ConflictPolicy,
}

/// What identifies a record of the object on the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// The text of a Zoho field, trimmed (I1).
    Field(ZohoField),
    /// The text of a Zoho field, trimmed and case-folded (I2).
    FoldedField(ZohoField),
    /// An id of the platform's own.
    Own,
}

/// An object's mappings, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPlan {
    /// The object.
    pub object: Object,
    /// What identifies its records.
    pub identity: Identity,
    /// Its mappings by platform field.
    pub mapped: Vec<Mapped>,
    /// Its filter.
    pub filter: Option<Filter>,
    /// Changes whenever the rows have to be looked at anew (F8).
    pub digest: Digest,
}

/// The links of the records that a page of rows refers to.
pub type Neighbours = BTreeMap<(Object, ZohoId), Link>;

/// What a Zoho row says, in the platform's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Theirs {
    /// The record's identity; none: unmatched.
    pub identity: Option<PlatformId>,
    /// Values by platform field. A field is left out when Zoho did not send it, when no value means "keep", and when it is faulty.
    pub values: Fields,
    /// The row's Modified_Time.
    pub modified_time: Option<Timestamp>,
    /// Values that could not be converted.
    pub faults: Vec<Fault>,
    /// What the row says, as one digest: equal digests need no further look.
    pub hash: Digest,
}

/// A value that could not be converted (F4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The platform field.
    pub platform: FieldName,
    /// The Zoho field.
    pub zoho: ZohoField,
    /// Why.
    pub mismatch: Mismatch,
}

/// Zoho fields that are never written, whatever the settings say: Zoho sets them itself.
const READ_ONLY_CORE: [&str; 1] = ["closed_at"];

impl FieldPlan {
    /// Compiles an object's mappings.
    #[must_use]
    pub fn compile(settings: &Settings, object: Object) -> Self {
        let own = settings.object(object);
        let replaced: BTreeSet<&str> = own
            .mappings
            .iter()
            .map(|mapping| mapping.platform.as_str())
            .collect();
        let mut mapped: Vec<Mapped> = object
            .core_fields()
            .iter()
            .filter(|field| field.mapped_by_default && !replaced.contains(field.name))
            .filter_map(|field| {
                Some(Mapped {
                    platform: field.name.parse().ok()?,
                    zoho: field.zoho.parse().ok()?,
                    kind: field.kind,
                    pulls: true,
                    pushes: object == Object::Task
                        && settings.task_writeback
                        && !READ_ONLY_CORE.contains(&field.name),
                    null: NullMeans::Clear,
                    choices: ChoicesMode::Replace,
                    conflicts: settings.conflicts,
                })
            })
            .collect();
        mapped.extend(
            own.mappings
                .iter()
                .filter_map(|mapping| compile(settings, object, &own.custom_fields, mapping)),
        );
        mapped.sort_by(|left, right| left.platform.cmp(&right.platform));
        let identity = match object {
            Object::Account => Identity::Field(settings.account_external_id.clone()),
            Object::Contact => Identity::FoldedField(settings.contact_external_id.clone()),
            Object::User | Object::Deal | Object::Task => Identity::Own,
        };
        let digest = hash::of_plan(object, &identity, &mapped, own.filter.as_ref());
        Self {
            object,
            identity,
            mapped,
            filter: own.filter,
            digest,
        }
    }

    /// The Zoho columns to ask for, each once.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        let mut columns = self.essential_columns();
        columns.extend(self.mapped.iter().map(|mapped| mapped.zoho.to_string()));
        columns.insert(MODIFIED_TIME.to_owned());
        columns.into_iter().collect()
    }

    /// The columns without which a row's identity or scope can't be told.
    #[must_use]
    pub fn essential_columns(&self) -> BTreeSet<String> {
        let filtered = self.filter.iter().flat_map(Filter::fields);
        let parents = parent_lookups(self.object)
            .iter()
            .map(|(field, _)| (*field).to_owned());
        self.identity_field()
            .into_iter()
            .chain(filtered)
            .map(ToString::to_string)
            .chain(parents)
            .collect()
    }

    /// The Zoho field that identifies a record on the platform, where one does.
    #[must_use]
    pub fn identity_field(&self) -> Option<&ZohoField> {
        match &self.identity {
            Identity::Field(field) | Identity::FoldedField(field) => Some(field),
            Identity::Own => None,
        }
    }

    /// The mapping of a platform field.
    #[must_use]
    pub fn field(&self, name: &FieldName) -> Option<&Mapped> {
        self.mapped.iter().find(|mapped| &mapped.platform == name)
    }

    /// Whether a platform field is mapped to one of these Zoho fields.
    #[must_use]
    pub fn is_among(&self, name: &FieldName, fields: &BTreeSet<String>) -> bool {
        self.field(name)
            .is_some_and(|mapped| fields.contains(mapped.zoho.as_str()))
    }

    /// The records that a row refers to, as far as one lookup tells: a task's `What_Id` may be an account or a deal.
    #[must_use]
    pub fn references(&self, row: &Row) -> Vec<(Object, ZohoId)> {
        let mut found: Vec<(Object, ZohoId)> = parent_lookups(self.object)
            .iter()
            .filter_map(|(field, object)| Some((*object, row.lookup(field)?)))
            .chain(self.mapped.iter().filter_map(|mapped| match mapped.kind {
                FieldType::Reference(object) => Some((object, row.lookup(mapped.zoho.as_str())?)),
                _ => None,
            }))
            .collect();
        found.sort();
        found.dedup();
        found
    }

    /// The Zoho fields that refer to records of the same object.
    pub fn own_references(&self) -> impl Iterator<Item = &str> {
        let own = |mapped: &&Mapped| mapped.kind == FieldType::Reference(self.object);
        self.mapped
            .iter()
            .filter(own)
            .map(|mapped| mapped.zoho.as_str())
    }

    /// Whether the row meets the filter and, for dependants, belongs to a record in scope (S1 to S4).
    #[must_use]
    pub fn admits(&self, row: &Row, neighbours: &Neighbours) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.admits(row))
            && self.has_parent_in_scope(row, neighbours)
    }

    /// Whether the row belongs to a record in scope; rows of objects without parents always do.
    #[must_use]
    pub fn has_parent_in_scope(&self, row: &Row, neighbours: &Neighbours) -> bool {
        let parents = parent_lookups(self.object);
        parents.is_empty()
            || parents.iter().any(|(field, object)| {
                let link = row
                    .lookup(field)
                    .and_then(|id| neighbours.get(&(*object, id)));
                link.is_some_and(|link| link.in_scope && link.platform_id().is_some())
            })
    }

    /// Reads a row in the platform's terms.
    #[must_use]
    pub fn read(&self, row: &Row, neighbours: &Neighbours) -> Theirs {
        let mut values = Fields::new();
        let mut faults = Vec::new();
        for mapped in &self.mapped {
            if !row.has(mapped.zoho.as_str()) {
                continue;
            }
            match convert::pull(mapped.kind, row, mapped.zoho.as_str()) {
                Ok(Value::Null) if mapped.null == NullMeans::Keep => {}
                Ok(value) => {
                    values.insert(
                        mapped.platform.clone(),
                        self.resolve(value, mapped, neighbours),
                    );
                }
                Err(mismatch) => {
                    faults.push(Fault {
                        platform: mapped.platform.clone(),
                        zoho: mapped.zoho.clone(),
                        mismatch,
                    });
                }
            }
        }
        let identity = self.identify(row);
        let hash = hash::of_content(
            &self.digest,
            identity.as_ref(),
            &values,
            faults.iter().map(|fault| &fault.platform),
        );
        Theirs {
            identity,
            values,
            modified_time: row.modified_time,
            faults,
            hash,
        }
    }

    /// The row's identity on the platform; none: it lacks an external id.
    #[must_use]
    pub fn identify(&self, row: &Row) -> Option<PlatformId> {
        match self.identity_field() {
            Some(field) => {
                self.identity_of(&convert::pull(FieldType::Text, row, field.as_str()).ok()?)
            }
            None => Some(PlatformId::of_zoho(row.id)),
        }
    }

    /// The identity that a value of the field gives which identifies a record; none: it gives none.
    #[must_use]
    pub fn identity_of(&self, value: &Value) -> Option<PlatformId> {
        let text = match value {
            Value::Text(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Decimal(number) => number.to_string(),
            _ => return None,
        };
        match &self.identity {
            Identity::Field(_) => text.trim().parse().ok(),
            Identity::FoldedField(_) => fold(&text).parse().ok(),
            Identity::Own => None,
        }
    }

    /// Whether a value of a mapping would make a record that Zoho does not have yet another one there than it is here.
    #[must_use]
    pub fn renames(&self, id: &PlatformId, mapped: &Mapped, value: &Value) -> bool {
        self.identity_field() == Some(&mapped.zoho) && self.identity_of(value).as_ref() != Some(id)
    }

    /// Which record a row is: `own` is what the row says, `linked` what its link says. A link decides where the identity is the platform's
    /// own; otherwise the external id does, so that a record whose external id was emptied keeps its link until it gets another.
    #[must_use]
    pub fn settled_identity(
        &self,
        own: Option<&PlatformId>,
        linked: Option<&PlatformId>,
    ) -> Option<PlatformId> {
        match self.identity {
            Identity::Own => linked.or(own).cloned(),
            Identity::Field(_) | Identity::FoldedField(_) => own.or(linked).cloned(),
        }
    }

    /// Completes a reference with the platform id of the record that it names. A lookup that can name several objects names this one only
    /// if the ledger knows the id as such.
    fn resolve(&self, value: Value, mapped: &Mapped, neighbours: &Neighbours) -> Value {
        let Value::Reference(mut reference) = value else {
            return value;
        };
        let link = reference
            .zoho_id
            .and_then(|id| neighbours.get(&(reference.object, id)));
        let shared = self
            .mapped
            .iter()
            .any(|other| other.zoho == mapped.zoho && other.platform != mapped.platform);
        if shared && link.is_none() {
            return Value::Null;
        }
        reference.platform_id = match reference.object {
            Object::User => reference.zoho_id.map(PlatformId::of_zoho),
            _ => link.and_then(Link::named).cloned(),
        };
        Value::Reference(reference)
    }
}

/// Folds the case of an external id (I2).
#[must_use]
pub fn fold(text: &str) -> String {
    text.trim().to_lowercase()
}

fn compile(
    settings: &Settings,
    object: Object,
    custom: &BTreeMap<FieldName, FieldType>,
    mapping: &Mapping,
) -> Option<Mapped> {
    let core = object.core_field(mapping.platform.as_str());
    let kind = core
        .map(|field| field.kind)
        .or_else(|| custom.get(&mapping.platform).copied())?;
    let asked = mapping.editable || mapping.direction != Direction::Pull;
    let switched_on = match (object, core) {
        (Object::Task, _) => settings.task_writeback,
        (_, Some(_)) => settings.core_writeback,
        (_, None) => true,
    };
    let pushes = asked
        && switched_on
        && object.is_writable()
        && !mapping.platform.is_usage()
        && !READ_ONLY_CORE.contains(&mapping.platform.as_str());
    Some(Mapped {
        platform: mapping.platform.clone(),
        zoho: mapping.zoho.clone(),
        kind,
        pulls: mapping.editable || mapping.direction != Direction::Push,
        pushes,
        null: mapping.null,
        choices: mapping.choices,
        conflicts: mapping.conflicts.unwrap_or(settings.conflicts),
    })
}

/// The lookups through which an object's scope follows another's (S2, S3).
#[must_use]
pub const fn parent_lookups(object: Object) -> &'static [(&'static str, Object)] {
    match object {
        Object::Contact | Object::Deal => &[("Account_Name", Object::Account)],
        Object::Task => &[
            ("What_Id", Object::Account),
            ("What_Id", Object::Deal),
            ("Who_Id", Object::Contact),
        ],
        Object::User | Object::Account => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Dependants, Standing};
    use serde_json::json;

    fn settings(json: serde_json::Value) -> Settings {
        serde_json::from_value(json).unwrap()
    }

    fn row(json: serde_json::Value) -> Row {
        serde_json::from_str(&json.to_string()).unwrap()
    }

    fn neighbour(
        object: Object,
        zoho_id: &str,
        platform_id: &str,
        in_scope: bool,
    ) -> ((Object, ZohoId), Link) {
        let zoho_id: ZohoId = zoho_id.parse().unwrap();
        let link = Link {
            connection: "acme".parse().unwrap(),
            object,
            zoho_id,
            standing: Standing::Linked(platform_id.parse().unwrap()),
            hash: Digest::of(b""),
            in_scope,
            dependants: Dependants::Asked,
        };
        ((object, zoho_id), link)
    }

    fn name(text: &str) -> FieldName {
        text.parse().unwrap()
    }

    #[test]
    fn default_mappings_are_pulled_and_tasks_go_both_ways() {
        let settings = Settings::default();
        assert!(
            FieldPlan::compile(&settings, Object::Account)
                .mapped
                .iter()
                .all(|mapped| mapped.pulls && !mapped.pushes)
        );
        let task = FieldPlan::compile(&settings, Object::Task);
        assert!(task.field(&name("subject")).unwrap().pushes);
        assert!(!task.field(&name("closed_at")).unwrap().pushes);
    }

    #[test]
    fn core_fields_need_the_switch_and_custom_fields_only_their_flag() {
        let document = |core: bool| {
            settings(json!({"core_writeback": core, "objects": {"account": {
                "custom_fields": {"tier": "choice"},
                "mappings": [
                    {"zoho": "Account_Name", "platform": "name", "editable": true},
                    {"zoho": "Tier", "platform": "tier", "editable": true}
                ]
            }}}))
        };
        let pushed = |core| {
            let plan = FieldPlan::compile(&document(core), Object::Account);
            plan.mapped
                .iter()
                .filter(|mapped| mapped.pushes)
                .map(|mapped| mapped.platform.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(pushed(false), ["tier"]);
        assert_eq!(pushed(true), ["name", "tier"]);
    }

    #[test]
    fn a_tasks_what_id_is_an_account_or_a_deal() {
        let plan = FieldPlan::compile(&Settings::default(), Object::Task);
        let row = row(
            json!({"id": "1", "Subject": "s", "What_Id": {"id": "9", "name": "n"}, "Who_Id": null}),
        );
        let neighbours = Neighbours::from([neighbour(Object::Deal, "9", "zoho-9", true)]);
        let theirs = plan.read(&row, &neighbours);
        assert_eq!(theirs.values[&name("account")], Value::Null);
        assert_eq!(
            theirs.values[&name("deal")]
                .as_reference()
                .unwrap()
                .platform_id
                .as_ref()
                .unwrap()
                .as_str(),
            "zoho-9"
        );
        assert!(plan.admits(&row, &neighbours));
        assert!(!plan.admits(&row, &Neighbours::new()));
        assert!(!plan.admits(
            &row,
            &Neighbours::from([neighbour(Object::Deal, "9", "zoho-9", false)])
        ));
    }

    #[test]
    fn identities_are_trimmed_and_a_contacts_is_folded() {
        let account = FieldPlan::compile(
            &settings(json!({"account_external_id": "Ext"})),
            Object::Account,
        );
        assert_eq!(
            account
                .identify(&row(json!({"id": "1", "Ext": " A-1 "})))
                .unwrap()
                .as_str(),
            "A-1"
        );
        assert_eq!(
            account.identify(&row(json!({"id": "1", "Ext": "  "}))),
            None
        );
        assert_eq!(
            account.identify(&row(
                json!({"id": "1", "Ext": null, "Account_Name": "Acme"})
            )),
            None
        );
        let contact = FieldPlan::compile(&Settings::default(), Object::Contact);
        assert_eq!(
            contact
                .identify(&row(json!({"id": "1", "Email": " Ann@X.example"})))
                .unwrap()
                .as_str(),
            "ann@x.example"
        );
    }

    #[test]
    fn a_faulty_value_leaves_the_rest() {
        let plan = FieldPlan::compile(
            &settings(
                json!({"objects": {"account": {"custom_fields": {"size": "integer"}, "mappings": [{"zoho": "Size", "platform": "size"}]}}}),
            ),
            Object::Account,
        );
        let theirs = plan.read(
            &row(json!({"id": "1", "Account_Name": "Acme", "Size": "large"})),
            &Neighbours::new(),
        );
        assert_eq!(theirs.faults.len(), 1);
        assert_eq!(theirs.values[&name("name")], Value::Text("Acme".into()));
        assert!(!theirs.values.contains_key(&name("size")));
        assert!(
            !theirs.values.contains_key(&name("domain")),
            "a field that Zoho did not send is left alone"
        );
    }

    #[test]
    fn the_hash_follows_the_content_and_not_the_time() {
        let plan = FieldPlan::compile(&Settings::default(), Object::Contact);
        let hash = |json| plan.read(&row(json), &Neighbours::new()).hash;
        let one = hash(
            json!({"id": "1", "Email": "a@b.example", "Phone": "1", "Modified_Time": "2026-01-01T00:00:00Z"}),
        );
        assert_eq!(
            one,
            hash(
                json!({"id": "1", "Email": "a@b.example", "Phone": "1", "Modified_Time": "2026-02-01T00:00:00Z"})
            )
        );
        assert_ne!(
            one,
            hash(json!({"id": "1", "Email": "a@b.example", "Phone": "2"}))
        );
    }
}
