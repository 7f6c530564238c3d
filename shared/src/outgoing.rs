//! What a write to Zoho says: mapped values as Zoho wants them, and what its refusals mean in plain words.

use std::collections::BTreeSet;

use crate::convert::{self, NotInZoho};
use crate::identifier::{PlatformId, ZohoField};
use crate::mapping::{FieldPlan, Identity, Mapped, Theirs, parent_lookups};
use crate::object::Object;
use crate::port::WriteRefusal;
use crate::record::Record;
use crate::row::{JsonText, Outgoing};
use crate::settings::{ChoicesMode, Settings};
use crate::value::{Fields, Reference, Value};

/// A record that can't be sent yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// It refers to a record that Zoho does not have yet.
    #[error("the {} it refers to is not in Zoho yet", .0.reference.object)]
    NotInZoho(#[from] NotInZoho),
}

/// Zoho's own field for the account or deal of a task, and the one that names its module.
const WHAT_ID: &str = "What_Id";
const WHAT_MODULE: &str = "$se_module";

/// The update that brings `push` to Zoho.
///
/// # Errors
/// When a value refers to a record that Zoho does not have yet.
pub fn update(push: &Fields, theirs: &Theirs, plan: &FieldPlan) -> Result<Outgoing, Unsendable> {
    let mut out = Outgoing::new();
    for mapped in &plan.mapped {
        let Some(value) = push.get(&mapped.platform) else {
            continue;
        };
        if is_shared(plan, mapped) {
            continue;
        }
        let value = match (mapped.choices, value, theirs.values.get(&mapped.platform)) {
            (ChoicesMode::Append, Value::Choices(ours), Some(Value::Choices(theirs))) => {
                Value::choices(ours.iter().chain(theirs).cloned().collect())
            }
            _ => value.clone(),
        };
        out.insert(mapped.zoho.to_string(), convert::push(&value)?);
    }
    if push.keys().any(|name| {
        plan.field(name)
            .is_some_and(|mapped| is_shared(plan, mapped))
    }) {
        what(push, theirs, plan, &mut out)?;
    }
    Ok(out)
}

/// A new record with every mapped value it has, and what identifies it: its id, whatever else is said.
///
/// # Errors
/// When a value refers to a record that Zoho does not have yet.
pub fn creation(
    record: &Record,
    plan: &FieldPlan,
    settings: &Settings,
) -> Result<(Fields, Outgoing), Unsendable> {
    let mut out = Outgoing::new();
    let mut written = Fields::new();
    for mapped in plan
        .mapped
        .iter()
        .filter(|mapped| !mapped.platform.is_usage())
    {
        let Some(value) = record
            .fields
            .get(&mapped.platform)
            .filter(|value| !value.is_null())
        else {
            continue;
        };
        if mapped.platform.as_str() == "closed_at" || plan.renames(&record.id, mapped, value) {
            continue;
        }
        written.insert(mapped.platform.clone(), value.clone());
        if is_shared(plan, mapped) {
            continue;
        }
        out.insert(mapped.zoho.to_string(), convert::push(value)?);
    }
    let shared = plan
        .mapped
        .iter()
        .filter(|mapped| is_shared(plan, mapped))
        .filter_map(|mapped| written.get(&mapped.platform));
    if let Some(reference) = pick(shared) {
        name_what(reference, &mut out)?;
    }
    let identity = JsonText::of(&record.id.as_str().into());
    match (&plan.identity, mark(plan, settings)) {
        (Identity::Field(field), _) => drop(out.insert(field.to_string(), identity)),
        (Identity::FoldedField(field), _) => drop(out.entry(field.to_string()).or_insert(identity)),
        (Identity::Own, Some(mark)) => drop(out.insert(mark.to_string(), identity)),
        (Identity::Own, None) => {}
    }
    Ok((written, out))
}

/// The field in which a new record says whose it is, where that is not its external id.
#[must_use]
pub fn mark<'a>(plan: &FieldPlan, settings: &'a Settings) -> Option<&'a ZohoField> {
    let mark = settings.task_mark.as_ref();
    mark.filter(|_| plan.object == Object::Task)
}

/// The first of these Zoho fields that a new record has no value for.
#[must_use]
pub fn lacks<'a>(out: &Outgoing, mandatory: &'a [String]) -> Option<&'a String> {
    let is_empty = |json: &JsonText| ["null", "\"\""].contains(&json.as_str());
    mandatory
        .iter()
        .find(|field| out.get(*field).is_none_or(is_empty))
}

/// What a record would belong to in Zoho; none: records of its object belong to nothing. One that belongs to nothing which is synced is never in
/// scope (S2, S3).
#[must_use]
pub fn parents(record: &Record, plan: &FieldPlan) -> Option<Vec<(Object, PlatformId)>> {
    let parents = parent_lookups(plan.object);
    if parents.is_empty() {
        return None;
    }
    let is_parent = |mapped: &&Mapped| {
        let mut lookups = parents.iter();
        lookups.any(|(field, _)| mapped.zoho.as_str() == *field)
    };
    let named = plan.mapped.iter().filter(is_parent);
    let named = named.filter_map(|mapped| record.fields.get(&mapped.platform)?.as_reference());
    let known =
        named.filter_map(|reference| Some((reference.object, reference.platform_id.clone()?)));
    Some(known.collect())
}

/// Whether several platform fields share the mapping's Zoho field, as a task's account and deal share `What_Id`.
fn is_shared(plan: &FieldPlan, mapped: &Mapped) -> bool {
    mapped.zoho.as_str() == WHAT_ID && plan.object == Object::Task
}

/// The reference that the shared field takes: a deal rather than an account, because a deal leads to its account.
fn pick<'a>(values: impl Iterator<Item = &'a Value>) -> Option<&'a Reference> {
    values
        .filter_map(Value::as_reference)
        .max_by_key(|reference| reference.object)
}

fn what(
    push: &Fields,
    theirs: &Theirs,
    plan: &FieldPlan,
    out: &mut Outgoing,
) -> Result<(), Unsendable> {
    let shared: BTreeSet<_> = plan
        .mapped
        .iter()
        .filter(|mapped| is_shared(plan, mapped))
        .map(|mapped| &mapped.platform)
        .collect();
    let wanted = pick(
        push.iter()
            .filter(|(name, _)| shared.contains(name))
            .map(|(_, value)| value),
    );
    let has = shared.iter().any(|name| {
        push.contains_key(name)
            && theirs
                .values
                .get(name)
                .is_some_and(|value| !value.is_null())
    });
    match wanted {
        Some(reference) => name_what(reference, out)?,
        None if has => drop(out.insert(WHAT_ID.to_owned(), convert::push(&Value::Null)?)),
        None => {}
    }
    Ok(())
}

fn name_what(reference: &Reference, out: &mut Outgoing) -> Result<(), Unsendable> {
    out.insert(
        WHAT_ID.to_owned(),
        convert::push(&Value::Reference(reference.clone()))?,
    );
    out.insert(
        WHAT_MODULE.to_owned(),
        JsonText::of(&reference.object.module().into()),
    );
    Ok(())
}

/// What a refusal means and what helps, in plain words.
#[must_use]
pub fn remedy(refusal: &WriteRefusal) -> String {
    let field = refusal.field.as_deref().unwrap_or("a field");
    match refusal.code.as_str() {
        "MANDATORY_NOT_FOUND" => format!("Zoho wants a value in {field}: map it or fill it"),
        "INVALID_DATA" => format!(
            "Zoho does not take the value of {field}: {}",
            refusal.message
        ),
        "DUPLICATE_DATA" => match refusal.duplicate_of {
            Some(id) => format!(
                "another Zoho record ({id}) already has this value in {field}: change one of them"
            ),
            None => {
                format!("another Zoho record already has this value in {field}: change one of them")
            }
        },
        "RECORD_LOCKED" => "the record is locked in Zoho: unlock it there".to_owned(),
        "RECORD_IN_BLUEPRINT" => format!("{field} is led by a blueprint in Zoho: move it on there"),
        "NOT_APPROVED" | "NOT_REVIEWED" => {
            "the record awaits approval in Zoho: approve or reject it there".to_owned()
        }
        "DEPENDENT_FIELD_MISSING" | "EXPECTED_FIELD_MISSING" | "DEPENDENT_MISMATCH" => {
            format!(
                "{field} does not fit the fields it depends on: {}",
                refusal.message
            )
        }
        "NO_PERMISSION" => {
            "the user who granted access may not write this record: widen their profile in Zoho"
                .to_owned()
        }
        code => format!("Zoho refused the record ({code}): {}", refusal.message),
    }
}
