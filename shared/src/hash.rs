//! Digests that tell whether something has to be looked at again.

use serde::Serialize;

use crate::criteria::Filter;
use crate::identifier::{Digest, FieldName, PlatformId};
use crate::mapping::{Identity, Mapped};
use crate::object::Object;
use crate::value::Fields;

/// Raised when the meaning of stored hashes changes with a release: every record is then looked at once more.
const GENERATION: u32 = 1;

fn digest(parts: &impl Serialize) -> Digest {
    // Serialising plain maps, lists and texts to memory has no way to fail; an empty text would only cost a second look.
    Digest::of(serde_json::to_string(parts).unwrap_or_default().as_bytes())
}

/// The digest of an object's mappings, identity and filter.
#[must_use]
pub fn of_plan(
    object: Object,
    identity: &Identity,
    mapped: &[Mapped],
    filter: Option<&Filter>,
) -> Digest {
    let identity = match identity {
        Identity::Field(field) => format!("field {field}"),
        Identity::FoldedField(field) => format!("folded field {field}"),
        Identity::Own => "own".to_owned(),
    };
    let mapped: Vec<_> = mapped
        .iter()
        .map(|mapped| {
            (
                &mapped.platform,
                &mapped.zoho,
                mapped.kind,
                mapped.pulls,
                mapped.null,
            )
        })
        .collect();
    digest(&(GENERATION, object, identity, mapped, filter))
}

/// The digest of what a row says. A field without a value says something that one which Zoho does not show does not.
#[must_use]
pub fn of_content<'a>(
    plan: &Digest,
    identity: Option<&PlatformId>,
    values: &Fields,
    faults: impl Iterator<Item = &'a FieldName>,
) -> Digest {
    digest(&(plan, identity, values, faults.collect::<Vec<_>>()))
}

/// The digest of what is calculated: another one asks for every account to be looked at anew. The zone is where the day turns.
#[must_use]
pub fn of_calculation(fields: &impl Serialize, zone: &str) -> Digest {
    digest(&(GENERATION, fields, zone))
}

/// The digest of what was tried: other pending values or other settings are worth another try (W7).
#[must_use]
pub fn of_attempt(
    pending: &std::collections::BTreeMap<FieldName, crate::record::Pending>,
    settings: u64,
) -> Digest {
    let values: Vec<_> = pending
        .iter()
        .map(|(name, pending)| (name, &pending.value))
        .collect();
    digest(&(values, settings))
}
