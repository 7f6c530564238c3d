//! Settings held against what Zoho says about its fields: that those they name exist, can be read or written, and fit (F4, F9).
//!
//! The preflight and the saving of settings both go by this; they differ in what they make of it.

use serde_json::Value as Json;

use crate::criteria::{Comparator, Condition, Filter};
use crate::finding::{Code, Permission};
use crate::identifier::{ZohoField, ZohoId};
use crate::lack::MODIFIED_TIME;
use crate::mapping::{FieldPlan, Identity, Mapped, parent_lookups};
use crate::object::Object;
use crate::settings::{Problem, Settings};
use crate::value::{FieldType, decimal};
use crate::zoho_field::{DataType, FieldInfo, Fit, words};

pub use crate::finding::Severity;

/// One thing that the settings and Zoho's fields do not agree in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of finding it is.
    pub code: Code,
    /// How much it matters.
    pub severity: Severity,
    /// The permission that would help.
    pub permission: Option<Permission>,
    /// Where in the settings document, as a JSON path; none: no setting causes it and none can mend it.
    pub place: Option<String>,
    /// The Zoho field.
    pub field: String,
    /// What was found.
    pub what: String,
    /// What helps.
    pub remedy: String,
}

impl Finding {
    /// The finding as a mistake in the settings; none where no setting causes it.
    #[must_use]
    pub fn mistake(&self) -> Option<Problem> {
        Some(Problem {
            path: self.place.clone()?,
            problem: format!("{}: {}", self.what, self.remedy),
        })
    }
}

/// Holds an object's settings against the fields of its module that the granting user may see.
#[must_use]
pub fn check(settings: &Settings, object: Object, fields: &[FieldInfo]) -> Vec<Finding> {
    let mut checker = Checker {
        settings,
        object,
        fields,
        found: Vec::new(),
    };
    let plan = FieldPlan::compile(settings, object);
    checker.modified_time();
    checker.identity(&plan);
    for mapped in &plan.mapped {
        checker.mapping(&plan, mapped);
    }
    checker.task_mark();
    if let Some(filter) = &plan.filter {
        checker.filter(filter, &format!("$.objects.{object}.filter"));
    }
    checker.parents(&plan);
    let mut found = checker.found;
    found.dedup_by(|left, right| left.field == right.field && left.what == right.what);
    found
}

struct Checker<'a> {
    settings: &'a Settings,
    object: Object,
    fields: &'a [FieldInfo],
    found: Vec<Finding>,
}

const SHOW_FIELD: &str = "in Zoho, let the profile of the granting user see the field";
const NAME_ANOTHER: &str = "name another field in the settings";

impl<'a> Checker<'a> {
    fn info(&self, name: &str) -> Option<&'a FieldInfo> {
        self.fields.iter().find(|field| field.api_name == name)
    }

    fn add(
        &mut self,
        code: Code,
        severity: Severity,
        place: Option<&str>,
        field: &str,
        what: &str,
        remedy: impl Into<String>,
    ) {
        self.found.push(Finding {
            code,
            severity,
            permission: permission(code),
            place: place.map(str::to_owned),
            field: field.to_owned(),
            what: format!("{}: {what}", self.object.module()),
            remedy: remedy.into(),
        });
    }

    fn refuse(
        &mut self,
        code: Code,
        place: &str,
        field: &str,
        what: &str,
        remedy: impl Into<String>,
    ) {
        let severity = self.gravity(code);
        self.add(code, severity, Some(place), field, what, remedy);
    }

    fn warn(
        &mut self,
        code: Code,
        place: &str,
        field: &str,
        what: &str,
        remedy: impl Into<String>,
    ) {
        self.add(code, Severity::Warning, Some(place), field, what, remedy);
    }

    /// Without what tells an account's identity, scope or change nothing of the organisation can be synced as it should.
    fn gravity(&self, code: Code) -> Severity {
        let accounts_hang_on_it = matches!(
            code,
            Code::ModifiedTimeHidden
                | Code::ExternalIdMissing
                | Code::ExternalIdUnfit
                | Code::FilterFieldMissing
                | Code::FilterFieldUnreadable
        );
        match self.object == Object::Account && accounts_hang_on_it {
            true => Severity::Blocking,
            false => Severity::Problem,
        }
    }

    fn modified_time(&mut self) {
        if self.info(MODIFIED_TIME).is_none() {
            let what = "the field Modified_Time is hidden, so changed records can't be found";
            self.add(
                Code::ModifiedTimeHidden,
                self.gravity(Code::ModifiedTimeHidden),
                None,
                MODIFIED_TIME,
                what,
                format!("{SHOW_FIELD} Modified Time"),
            );
        }
    }

    fn identity(&mut self, plan: &FieldPlan) {
        let (Identity::Field(field) | Identity::FoldedField(field)) = &plan.identity else {
            return;
        };
        let place = format!("$.{}_external_id", self.object);
        let name = field.as_str();
        let Some(info) = self.info(name) else {
            self.refuse(
                Code::ExternalIdMissing,
                &place,
                name,
                &format!("the external-id field {name} does not exist or is hidden"),
                format!(
                    "create the field in Zoho with exactly this API name, let the granting user's profile see it, or {NAME_ANOTHER}"
                ),
            );
            return;
        };
        match info.fits_pull(FieldType::Text) {
            Fit::Fits => {}
            Fit::Doubtful(why) => self.warn(
                Code::ExternalIdUnfit,
                &place,
                name,
                &format!("the external-id field {name} may not be read as a text"),
                why,
            ),
            Fit::Not(why) => self.refuse(
                Code::ExternalIdUnfit,
                &place,
                name,
                &format!("the external-id field {name} can't be read as a text"),
                why,
            ),
        }
        if !info.unique {
            self.warn(
                Code::ExternalIdNotUnique,
                &place,
                name,
                &format!("the external-id field {name} may hold the same value twice"),
                "mark the field as unique in Zoho; until then the older record keeps the identity and the other is listed as a duplicate",
            );
        }
        if self.settings.creates_in_zoho(self.object) {
            let doing = format!(
                "the external-id field {name} can't be written, and {}s are to be created with it",
                self.object
            );
            self.takes_ids(Code::ExternalIdNotWritable, &place, info, &doing);
        }
    }

    /// A Zoho field that takes the platform's ids.
    fn takes_ids(&mut self, code: Code, place: &str, info: &FieldInfo, doing: &str) {
        use DataType as D;
        let name = &info.api_name;
        let text = match info.data_type() {
            Some(D::Text | D::Textarea | D::Email | D::Phone | D::Website) | None => true,
            Some(_) => false,
        };
        if info.read_only {
            let remedy = format!(
                "let the granting user's profile edit the field in Zoho, or {NAME_ANOTHER}"
            );
            self.refuse(code, place, name, doing, remedy);
            if let Some(found) = self.found.last_mut() {
                found.permission = Some(Permission::EditField);
            }
        } else if !text {
            let remedy = format!(
                "ids are texts and Zoho's {} takes none: {NAME_ANOTHER}",
                info.shown_type()
            );
            self.refuse(code, place, name, doing, remedy);
        } else if let Some(length) = info.length.filter(|length| *length < SHORTEST_ID_FIELD) {
            let what = format!("the field {name} takes {length} characters only");
            self.warn(
                Code::IdFieldShort,
                place,
                name,
                &what,
                "a longer id is refused by Zoho: make the field longer",
            );
        }
    }

    fn mapping(&mut self, plan: &FieldPlan, mapped: &Mapped) {
        let index = self.index_of(mapped);
        let object = self.object;
        let (place, instead) = match index {
            Some(index) => (
                format!("$.objects.{object}.mappings[{index}].zoho"),
                "remove the mapping".to_owned(),
            ),
            // A default mapping has no place of its own in the document.
            None => (
                format!("$.objects.{object}"),
                format!("map another of Zoho's fields to {}", mapped.platform),
            ),
        };
        let name = mapped.zoho.as_str();
        let Some(info) = self.info(name) else {
            // Said already.
            if plan.identity_field() != Some(&mapped.zoho) {
                self.refuse(
                    Code::FieldMissing,
                    &place,
                    name,
                    &format!(
                        "the field {name}, mapped to {}, does not exist or is hidden",
                        mapped.platform
                    ),
                    format!("create the field in Zoho, let the granting user's profile see it, or {instead}"),
                );
            }
            return;
        };
        if mapped.pulls {
            let what = |verb: &str| {
                format!(
                    "the field {name}, of Zoho's type {}, {verb} into {}, {}",
                    info.shown_type(),
                    mapped.platform,
                    words(mapped.kind)
                )
            };
            match info.fits_pull(mapped.kind) {
                Fit::Fits => {}
                Fit::Doubtful(why) => {
                    self.warn(
                        Code::FieldUnfit,
                        &place,
                        name,
                        &what("may not be pulled"),
                        why,
                    );
                }
                Fit::Not(why) => {
                    let code = match info.unreadable() {
                        Some(_) => Code::FieldUnreadable,
                        None => Code::FieldUnfit,
                    };
                    self.refuse(code, &place, name, &what("can't be pulled"), why);
                }
            }
        } else if let Some(why) = info.unreadable() {
            // A write is merged with what Zoho has, so it has to be read all the same.
            let what = format!(
                "the field {name}, mapped to {}, can't be read",
                mapped.platform
            );
            let remedy = format!("{why}: map another field");
            self.refuse(Code::FieldUnreadable, &place, name, &what, remedy);
        }
        if !mapped.pushes {
            return;
        }
        let what = |verb: &str| {
            format!(
                "the field {name}, of Zoho's type {}, {verb}, and {}, {}, is to be written to it",
                info.shown_type(),
                mapped.platform,
                words(mapped.kind)
            )
        };
        match info.fits_push(mapped.kind) {
            Fit::Not(why) => {
                self.refuse(Code::FieldUnfit, &place, name, &what("can't be written"), why);
            }
            _ if info.read_only => self.refuse(
                Code::FieldNotWritable,
                &place,
                name,
                &what("can't be written"),
                "let the granting user's profile edit the field in Zoho, or make the mapping a pull",
            ),
            Fit::Doubtful(why) => {
                self.warn(Code::FieldUnfit, &place, name, &what("may refuse values"), why);
            }
            Fit::Fits => {}
        }
    }

    /// Which of the document's mappings it is; none: a default one.
    fn index_of(&self, mapped: &Mapped) -> Option<usize> {
        let own = self.settings.objects.get(&self.object)?;
        own.mappings
            .iter()
            .position(|mapping| mapping.platform == mapped.platform)
    }

    fn task_mark(&mut self) {
        let Some(mark) = self.settings.task_mark.as_ref().map(ZohoField::as_str) else {
            return;
        };
        if self.object != Object::Task {
            return;
        }
        match self.info(mark) {
            Some(info) => {
                let doing = format!("the field {mark} can't be written, and it is to take the task's id");
                self.takes_ids(Code::TaskMarkUnfit, "$.task_mark", info, &doing);
            }
            None => self.refuse(
                Code::TaskMarkMissing,
                "$.task_mark",
                mark,
                &format!("the field {mark} for the task's id does not exist or is hidden"),
                "create a text field in Zoho, let the granting user's profile see it, or remove the setting",
            ),
        }
    }

    fn filter(&mut self, filter: &Filter, place: &str) {
        let (word, filters) = match filter {
            Filter::All(filters) => ("all", filters),
            Filter::Any(filters) => ("any", filters),
            Filter::Where(condition) => {
                return self.condition(condition, &format!("{place}.where"));
            }
        };
        for (index, filter) in filters.iter().enumerate() {
            self.filter(filter, &format!("{place}.{word}[{index}]"));
        }
    }

    fn condition(&mut self, condition: &Condition, place: &str) {
        let name = condition.field.as_str();
        let place_of_field = format!("{place}.field");
        let Some(info) = self.info(name) else {
            self.refuse(
                Code::FilterFieldMissing,
                &place_of_field,
                name,
                &format!("the field {name}, used by the filter, does not exist or is hidden"),
                "create the field in Zoho, let the granting user's profile see it, or change the filter",
            );
            return;
        };
        if let Some(why) = info.unreadable() {
            let what = format!("the field {name}, used by the filter, can't be read");
            self.refuse(
                Code::FilterFieldUnreadable,
                &place_of_field,
                name,
                &what,
                format!("{why}: filter by another field"),
            );
            return;
        }
        match mismatch(info, condition) {
            None => {}
            Some((Fitness::Never, why)) => {
                let what = format!("the filter compares {name} with what it never holds");
                let place = format!("{place}.value");
                self.refuse(Code::FilterValueUnfit, &place, name, &what, why);
            }
            Some((Fitness::Perhaps, why)) => {
                let what = format!("the filter compares {name} with what it may never hold");
                let place = format!("{place}.value");
                self.warn(Code::FilterValueUnfit, &place, name, &what, why);
            }
        }
    }

    fn parents(&mut self, plan: &FieldPlan) {
        for (name, parent) in parent_lookups(self.object) {
            let mapped = plan
                .mapped
                .iter()
                .any(|mapped| mapped.zoho.as_str() == *name);
            if !mapped && self.info(name).is_none() {
                let what =
                    format!("the field {name}, which ties the record to its {parent}, is hidden");
                self.add(
                    Code::ParentFieldHidden,
                    Severity::Problem,
                    None,
                    name,
                    &what,
                    SHOW_FIELD,
                );
            }
        }
    }
}

/// Ids that the platform gives are about this long; e-mail addresses of this length are rare.
const SHORTEST_ID_FIELD: u64 = 100;

/// What the granting user's profile would have to permit, where that would help.
const fn permission(code: Code) -> Option<Permission> {
    match code {
        Code::ModifiedTimeHidden
        | Code::ExternalIdMissing
        | Code::FieldMissing
        | Code::ParentFieldHidden
        | Code::FilterFieldMissing
        | Code::TaskMarkMissing => Some(Permission::ViewField),
        Code::FieldNotWritable => Some(Permission::EditField),
        _ => None,
    }
}

/// Whether a field ever has a value.
enum Fitness {
    Never,
    Perhaps,
}

/// Why a condition's value is none that the field can have.
fn mismatch(info: &FieldInfo, condition: &Condition) -> Option<(Fitness, String)> {
    use Comparator as C;
    use DataType as D;
    // These look at the text of whatever there is.
    if matches!(
        condition.comparator,
        C::Contains | C::NotContains | C::StartsWith | C::EndsWith | C::IsEmpty | C::IsNotEmpty
    ) {
        return None;
    }
    let values = match &condition.value {
        Json::Array(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    let refused = |fits: fn(&Json) -> bool, wanted: &str| {
        let wrong = values.iter().any(|value| !fits(value));
        wrong.then(|| {
            let why = format!("Zoho's {} is compared with {wanted}", info.shown_type());
            (Fitness::Never, why)
        })
    };
    match info.result()? {
        D::Integer | D::BigInt | D::Double | D::Currency | D::Percent => {
            refused(is_number, "a number")
        }
        D::Boolean => refused(is_boolean, "true or false"),
        D::Date | D::DateTime => refused(
            is_time,
            "a date like 2026-11-23 or an instant like 2026-11-23T10:00:00Z",
        ),
        D::Lookup | D::OwnerLookup | D::UserLookup | D::MultiModuleLookup => {
            refused(is_id, "the id of a record, digits only")
        }
        D::Picklist | D::MultiSelectPicklist if !info.choices.is_empty() => {
            let strange = values
                .iter()
                .filter_map(Json::as_str)
                .find(|value| !info.choices.iter().any(|choice| choice == value))?;
            let why = format!(
                "{strange:?} is none of the picklist's values: {}",
                some(&info.choices)
            );
            Some((Fitness::Perhaps, why))
        }
        _ => None,
    }
}

/// The first of the choices.
fn some(choices: &[String]) -> String {
    let shown: Vec<_> = choices.iter().take(20).map(String::as_str).collect();
    let more = if choices.len() > shown.len() {
        ", …"
    } else {
        ""
    };
    format!("{}{more}", shown.join(", "))
}

fn is_number(value: &Json) -> bool {
    match value {
        Json::Number(_) => true,
        Json::String(text) => decimal(text).is_some(),
        _ => false,
    }
}

fn is_boolean(value: &Json) -> bool {
    value.is_boolean() || matches!(value.as_str(), Some("true" | "false"))
}

fn is_time(value: &Json) -> bool {
    value.as_str().is_some_and(|text| {
        text.parse::<jiff::civil::Date>().is_ok() || text.parse::<jiff::Timestamp>().is_ok()
    })
}

fn is_id(value: &Json) -> bool {
    match value {
        Json::Number(number) => number.is_u64(),
        Json::String(text) => text.parse::<ZohoId>().is_ok(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
