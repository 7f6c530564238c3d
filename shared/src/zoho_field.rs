//! What Zoho says about a field, and which platform types go with which of Zoho's data types, for pulling and for pushing (F4, F9).

use crate::object::Object;
use crate::value::FieldType;

/// What Zoho says about a field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldInfo {
    /// Its API name.
    pub api_name: String,
    /// Its label for people.
    pub label: String,
    /// Zoho's data type.
    pub data_type: String,
    /// The kind of JSON that its values are, where Zoho says so; tells tags, which have the data type of a text, from texts.
    pub json_type: Option<String>,
    /// What a formula or roll-up comes to, where Zoho says so.
    pub returns: Option<String>,
    /// The modules that a lookup names records of, where Zoho says so.
    pub targets: Vec<String>,
    /// Whether the token's user can't write it, or nobody can.
    pub read_only: bool,
    /// Whether a record can't be without it.
    pub mandatory: bool,
    /// Whether no two records may have the same value.
    pub unique: bool,
    /// The most characters of a text.
    pub length: Option<u64>,
    /// The picklist's actual values.
    pub choices: Vec<String>,
}

/// Zoho's data types, as far as they are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are Zoho's own names")]
pub enum DataType {
    Text,
    Textarea,
    /// A textarea of the largest size, of which lists carry the beginning only.
    RichText,
    Email,
    Phone,
    Website,
    Picklist,
    MultiSelectPicklist,
    /// The field `Tag`, whose data type Zoho calls text.
    Tag,
    Territories,
    Date,
    DateTime,
    Integer,
    BigInt,
    Double,
    Currency,
    Percent,
    Boolean,
    Lookup,
    OwnerLookup,
    UserLookup,
    MultiModuleLookup,
    MultiSelectLookup,
    MultiUserLookup,
    Subform,
    FileUpload,
    ImageUpload,
    ProfileImage,
    Formula,
    RollupSummary,
    AutoNumber,
    Layout,
    Recurrence,
    Alarm,
    EventReminder,
    ConsentLookup,
}

/// The length from which on a textarea is rich text.
const RICH: u64 = 50_000;

/// The only lookup over several modules that Tandem writes: with the field that names the module.
const WRITABLE_MULTI_MODULE: &str = "What_Id";

const NAMES: [(&str, DataType); 34] = [
    ("text", DataType::Text),
    ("textarea", DataType::Textarea),
    ("email", DataType::Email),
    ("phone", DataType::Phone),
    ("website", DataType::Website),
    ("picklist", DataType::Picklist),
    ("multiselectpicklist", DataType::MultiSelectPicklist),
    ("territories", DataType::Territories),
    ("date", DataType::Date),
    ("datetime", DataType::DateTime),
    ("integer", DataType::Integer),
    ("bigint", DataType::BigInt),
    ("double", DataType::Double),
    ("currency", DataType::Currency),
    ("percent", DataType::Percent),
    ("boolean", DataType::Boolean),
    ("lookup", DataType::Lookup),
    ("ownerlookup", DataType::OwnerLookup),
    ("userlookup", DataType::UserLookup),
    ("multi_module_lookup", DataType::MultiModuleLookup),
    ("multiselectlookup", DataType::MultiSelectLookup),
    ("multiuserlookup", DataType::MultiUserLookup),
    ("subform", DataType::Subform),
    ("fileupload", DataType::FileUpload),
    ("imageupload", DataType::ImageUpload),
    ("profileimage", DataType::ProfileImage),
    ("formula", DataType::Formula),
    ("rollup_summary", DataType::RollupSummary),
    ("autonumber", DataType::AutoNumber),
    ("layout", DataType::Layout),
    ("rrule", DataType::Recurrence),
    ("alarm", DataType::Alarm),
    ("event_reminder", DataType::EventReminder),
    ("consent_lookup", DataType::ConsentLookup),
];

/// The names of the known data types, in lower case.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter().map(|(name, _)| name)
}

/// Whether values of a field go with a platform type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// They do.
    Fits,
    /// Some may not, or it can't be known: why.
    Doubtful(String),
    /// They don't: why and what would.
    Not(String),
}

impl FieldInfo {
    /// The data type, where it is known; of a formula or roll-up, see [`FieldInfo::result`].
    #[must_use]
    pub fn data_type(&self) -> Option<DataType> {
        let name = self.data_type.to_ascii_lowercase();
        let (_, known) = NAMES.iter().find(|(known, _)| *known == name)?;
        Some(match known {
            DataType::Text if self.api_name == "Tag" || self.sends("jsonarray") => DataType::Tag,
            DataType::Textarea if self.length.is_some_and(|length| length >= RICH) => {
                DataType::RichText
            }
            known => *known,
        })
    }

    /// The data type of the values: for a formula or roll-up that of what it comes to.
    #[must_use]
    pub fn result(&self) -> Option<DataType> {
        match self.data_type()? {
            DataType::Formula | DataType::RollupSummary => {
                match self.returns.as_deref().map(str::to_ascii_lowercase) {
                    Some(returns) => match returns.as_str() {
                        "string" | "text" => Some(DataType::Text),
                        "number" | "decimal" => Some(DataType::Double),
                        "long" => Some(DataType::BigInt),
                        name => NAMES
                            .iter()
                            .find(|(known, _)| *known == name)
                            .map(|(_, known)| *known),
                    },
                    // A text may also be a date, so that alone tells nothing.
                    None if self.sends("double") => Some(DataType::Double),
                    None if self.sends("integer") => Some(DataType::Integer),
                    None if self.sends("boolean") => Some(DataType::Boolean),
                    None => None,
                }
            }
            own => Some(own),
        }
    }

    /// Why COQL, through which rows are read, can't read the field; none: it can, as far as is known.
    #[must_use]
    pub fn unreadable(&self) -> Option<&'static str> {
        use DataType as D;
        match self.data_type()? {
            D::MultiSelectLookup | D::MultiUserLookup | D::Subform => {
                Some("Zoho shows it only when records are read one by one, not in lists")
            }
            D::FileUpload | D::ImageUpload | D::ProfileImage => {
                Some("Zoho's lists do not carry files and images")
            }
            _ => None,
        }
    }

    fn sends(&self, json: &str) -> bool {
        self.json_type.as_deref() == Some(json)
    }

    /// Whether the field's values can be pulled into a platform field of type `kind`.
    #[must_use]
    pub fn fits_pull(&self, kind: FieldType) -> Fit {
        use DataType as D;
        use FieldType as F;
        if let Some(reason) = self.unreadable() {
            return Fit::Not(format!("{reason}: map another field"));
        }
        let Some(from) = self.result() else {
            return Fit::Doubtful(self.unknown("values that can't be read are parked"));
        };
        let wanted = match (kind, from) {
            (F::Text | F::Email | F::Phone | F::Url, D::RichText) => {
                return Fit::Doubtful(
                    "of rich text Zoho's lists carry the first 500 characters only".into(),
                );
            }
            (F::Text, D::Layout | D::EventReminder | D::ConsentLookup) => {
                return Fit::Doubtful(
                    "Zoho's lists may send no text for it: such values are parked".into(),
                );
            }
            (
                F::Text,
                D::Text
                | D::Textarea
                | D::Email
                | D::Phone
                | D::Website
                | D::Picklist
                | D::AutoNumber
                | D::Integer
                | D::BigInt
                | D::Double
                | D::Currency
                | D::Percent
                | D::Boolean
                | D::Date
                | D::Recurrence
                | D::Alarm,
            )
            | (F::Email, D::Email | D::Text | D::Textarea)
            | (F::Phone, D::Phone | D::Text | D::Textarea)
            | (F::Url, D::Website | D::Text | D::Textarea)
            | (F::Choice, D::Picklist)
            | (F::Choices, D::MultiSelectPicklist | D::Tag | D::Territories)
            | (F::Integer, D::Integer | D::BigInt)
            | (F::Decimal, D::Double | D::Currency | D::Percent | D::Integer | D::BigInt)
            | (F::Boolean, D::Boolean)
            | (F::Date, D::Date)
            | (F::Instant, D::DateTime)
            | (F::Reference(Object::User), D::OwnerLookup | D::UserLookup) => return Fit::Fits,
            (F::Integer, D::Double | D::Currency | D::Percent) => {
                return Fit::Doubtful(
                    "values with decimal places are parked: a decimal would take them".into(),
                );
            }
            (F::Text, D::DateTime) => {
                "an instant, because its text changes with the granting user's time zone"
            }
            (F::Reference(object), D::Lookup | D::MultiModuleLookup) if object != Object::User => {
                return self.names_records_of(object);
            }
            (_, other) => pulled_as(other),
        };
        Fit::Not(format!(
            "{} does not take Zoho's {}: use {wanted}",
            words(kind),
            self.shown_type()
        ))
    }

    /// Whether values of a platform field of type `kind` can be written to the field. Whether it may be written at all is another question.
    #[must_use]
    pub fn fits_push(&self, kind: FieldType) -> Fit {
        use DataType as D;
        use FieldType as F;
        let Some(to) = self.data_type() else {
            return Fit::Doubtful(self.unknown("Zoho may refuse values"));
        };
        match (kind, to) {
            (_, D::Formula | D::RollupSummary | D::AutoNumber) => Fit::Not(format!(
                "Zoho computes a field of type {} itself: make the mapping a pull",
                self.shown_type()
            )),
            (F::Text | F::Email | F::Phone | F::Url | F::Choice, D::Text | D::Textarea)
            | (F::Email, D::Email)
            | (F::Phone, D::Phone)
            | (F::Url, D::Website)
            | (F::Choice, D::Picklist)
            | (F::Choices, D::MultiSelectPicklist)
            | (F::Integer, D::Integer | D::BigInt | D::Double | D::Currency | D::Percent)
            | (F::Decimal, D::Double | D::Currency | D::Percent)
            | (F::Boolean, D::Boolean)
            | (F::Date, D::Date)
            | (F::Instant, D::DateTime)
            | (F::Reference(Object::User), D::OwnerLookup | D::UserLookup) => Fit::Fits,
            (F::Text, D::Email | D::Phone | D::Website | D::Picklist) => Fit::Doubtful(format!(
                "Zoho may refuse a text that is no {}: declare the platform field as one",
                self.shown_type()
            )),
            (F::Text, D::RichText) => Fit::Doubtful(
                "of rich text Zoho's lists carry the first 500 characters only, so a longer one comes back cut".into(),
            ),
            (F::Reference(object), D::Lookup) if object != Object::User => {
                self.names_records_of(object)
            }
            (F::Reference(object), D::MultiModuleLookup)
                if object != Object::User && self.api_name == WRITABLE_MULTI_MODULE =>
            {
                self.names_records_of(object)
            }
            _ => Fit::Not(format!(
                "Zoho's {} does not take {}: make the mapping a pull or map another field",
                self.shown_type(),
                words(kind)
            )),
        }
    }

    fn names_records_of(&self, object: Object) -> Fit {
        let named = |module: &String| module == object.module();
        if self.targets.is_empty() || self.targets.iter().any(named) {
            return Fit::Fits;
        }
        Fit::Not(format!(
            "it names records of {}, not {}: use a reference to those or another field",
            self.targets.join(" and "),
            object.module()
        ))
    }

    fn unknown(&self, consequence: &str) -> String {
        match self.data_type() {
            Some(_) => format!(
                "Zoho does not say what the {} comes to: {consequence}",
                self.shown_type()
            ),
            None => format!(
                "Zoho's type {} is not known to Tandem: {consequence}",
                self.shown_type()
            ),
        }
    }

    /// The type in words: Zoho's own, with what a formula comes to.
    #[must_use]
    pub fn shown_type(&self) -> String {
        match (self.data_type(), self.returns.as_deref()) {
            (Some(DataType::Tag), _) => "tag list".to_owned(),
            (Some(DataType::Formula | DataType::RollupSummary), Some(returns)) => {
                format!("{} ({returns})", self.data_type)
            }
            _ => self.data_type.clone(),
        }
    }
}

/// What a Zoho type is pulled as.
fn pulled_as(from: DataType) -> &'static str {
    use DataType as D;
    match from {
        D::Picklist => "a choice or a text",
        D::MultiSelectPicklist | D::Tag | D::Territories => "choices",
        D::Date => "a date",
        D::DateTime => "an instant",
        D::Integer | D::BigInt => "an integer, a decimal or a text",
        D::Double | D::Currency | D::Percent => "a decimal or a text",
        D::Boolean => "a boolean or a text",
        D::OwnerLookup | D::UserLookup => "a reference to a user",
        D::Lookup | D::MultiModuleLookup => "a reference",
        _ => "a text",
    }
}

/// A platform type in words.
#[must_use]
pub fn words(kind: FieldType) -> &'static str {
    match kind {
        FieldType::Text => "a text",
        FieldType::Integer => "an integer",
        FieldType::Decimal => "a decimal",
        FieldType::Boolean => "a boolean",
        FieldType::Date => "a date",
        FieldType::Instant => "an instant",
        FieldType::Choice => "a choice",
        FieldType::Choices => "choices",
        FieldType::Email => "an email",
        FieldType::Phone => "a phone",
        FieldType::Url => "a url",
        FieldType::Reference(Object::User) => "a reference to a user",
        FieldType::Reference(Object::Account) => "a reference to an account",
        FieldType::Reference(Object::Contact) => "a reference to a contact",
        FieldType::Reference(Object::Deal) => "a reference to a deal",
        FieldType::Reference(Object::Task) => "a reference to a task",
    }
}

#[cfg(test)]
mod tests;
