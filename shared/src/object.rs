//! The five objects, the Zoho modules behind them and their core fields.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::value::FieldType;

/// What is kept in sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Object {
    /// A user of the customer's Zoho organisation; pulled only.
    User,
    /// A company.
    Account,
    /// A person at an account.
    Contact,
    /// An opportunity of an account; pulled only.
    Deal,
    /// A to-do tied to an account, directly or through a contact or deal.
    Task,
}

/// A core field: fixed in code, the same for every connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoreField {
    /// The platform's name.
    pub name: &'static str,
    /// Its type on the platform.
    pub kind: FieldType,
    /// The Zoho field that is mapped to it unless the settings say otherwise.
    pub zoho: &'static str,
    /// Whether the default mapping exists without being asked for (F6, and what the references between objects need).
    pub mapped_by_default: bool,
}

const fn core(name: &'static str, kind: FieldType, zoho: &'static str) -> CoreField {
    CoreField {
        name,
        kind,
        zoho,
        mapped_by_default: true,
    }
}

const fn optional(name: &'static str, kind: FieldType, zoho: &'static str) -> CoreField {
    CoreField {
        name,
        kind,
        zoho,
        mapped_by_default: false,
    }
}

const USER: &[CoreField] = &[
    core("name", FieldType::Text, "full_name"),
    core("email", FieldType::Email, "email"),
    core("status", FieldType::Choice, "status"),
    optional("time_zone", FieldType::Text, "time_zone"),
    optional("locale", FieldType::Text, "locale"),
];
const ACCOUNT: &[CoreField] = &[
    core("name", FieldType::Text, "Account_Name"),
    core("domain", FieldType::Url, "Website"),
    core("owner", FieldType::Reference(Object::User), "Owner"),
    core(
        "parent",
        FieldType::Reference(Object::Account),
        "Parent_Account",
    ),
    optional("phone", FieldType::Phone, "Phone"),
    optional("industry", FieldType::Choice, "Industry"),
    optional("kind", FieldType::Choice, "Account_Type"),
    optional("employees", FieldType::Integer, "Employees"),
    optional("annual_revenue", FieldType::Decimal, "Annual_Revenue"),
    optional("description", FieldType::Text, "Description"),
];
const CONTACT: &[CoreField] = &[
    core("email", FieldType::Email, "Email"),
    core("first_name", FieldType::Text, "First_Name"),
    core("last_name", FieldType::Text, "Last_Name"),
    core("phone", FieldType::Phone, "Phone"),
    core(
        "account",
        FieldType::Reference(Object::Account),
        "Account_Name",
    ),
    core("owner", FieldType::Reference(Object::User), "Owner"),
    optional("mobile", FieldType::Phone, "Mobile"),
    optional("title", FieldType::Text, "Title"),
    optional("department", FieldType::Text, "Department"),
    optional("description", FieldType::Text, "Description"),
];
const DEAL: &[CoreField] = &[
    core("name", FieldType::Text, "Deal_Name"),
    core("stage", FieldType::Choice, "Stage"),
    core("amount", FieldType::Decimal, "Amount"),
    core("closing_date", FieldType::Date, "Closing_Date"),
    core(
        "account",
        FieldType::Reference(Object::Account),
        "Account_Name",
    ),
    core(
        "contact",
        FieldType::Reference(Object::Contact),
        "Contact_Name",
    ),
    core("owner", FieldType::Reference(Object::User), "Owner"),
    optional("kind", FieldType::Choice, "Type"),
    optional("probability", FieldType::Integer, "Probability"),
    optional("description", FieldType::Text, "Description"),
];
const TASK: &[CoreField] = &[
    core("subject", FieldType::Text, "Subject"),
    core("status", FieldType::Choice, "Status"),
    core("priority", FieldType::Choice, "Priority"),
    core("due_date", FieldType::Date, "Due_Date"),
    core("description", FieldType::Text, "Description"),
    core("closed_at", FieldType::Instant, "Closed_Time"),
    core("owner", FieldType::Reference(Object::User), "Owner"),
    core("contact", FieldType::Reference(Object::Contact), "Who_Id"),
    core("account", FieldType::Reference(Object::Account), "What_Id"),
    core("deal", FieldType::Reference(Object::Deal), "What_Id"),
];

impl Object {
    /// All objects, in the order in which one depends on another.
    pub const ALL: [Self; 5] = [
        Self::User,
        Self::Account,
        Self::Contact,
        Self::Deal,
        Self::Task,
    ];

    /// The object's name in keys, messages, the API and the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Account => "account",
            Self::Contact => "contact",
            Self::Deal => "deal",
            Self::Task => "task",
        }
    }

    /// The API name of the Zoho module behind the object; users have an API of their own.
    #[must_use]
    pub const fn module(self) -> &'static str {
        match self {
            Self::User => "users",
            Self::Account => "Accounts",
            Self::Contact => "Contacts",
            Self::Deal => "Deals",
            Self::Task => "Tasks",
        }
    }

    /// The object behind a Zoho module.
    #[must_use]
    pub fn of_module(module: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|object| object.module() == module)
    }

    /// The core fields, fixed in code.
    #[must_use]
    pub const fn core_fields(self) -> &'static [CoreField] {
        match self {
            Self::User => USER,
            Self::Account => ACCOUNT,
            Self::Contact => CONTACT,
            Self::Deal => DEAL,
            Self::Task => TASK,
        }
    }

    /// The core field of that name.
    #[must_use]
    pub fn core_field(self, name: &str) -> Option<&'static CoreField> {
        self.core_fields().iter().find(|field| field.name == name)
    }

    /// The objects whose scope follows this one's (S2, S3).
    #[must_use]
    pub const fn dependants(self) -> &'static [Self] {
        match self {
            Self::Account => &[Self::Contact, Self::Deal, Self::Task],
            Self::Contact | Self::Deal => &[Self::Task],
            Self::User | Self::Task => &[],
        }
    }

    /// Whether the platform's edits of the object can reach Zoho at all (F10).
    #[must_use]
    pub const fn is_writable(self) -> bool {
        matches!(self, Self::Account | Self::Contact | Self::Task)
    }
}

impl fmt::Display for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A name that belongs to no object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no object: use account, contact, task, deal or user")]
pub struct UnknownObject(String);

impl FromStr for Object {
    type Err = UnknownObject;

    fn from_str(text: &str) -> Result<Self, UnknownObject> {
        Self::ALL
            .into_iter()
            .find(|object| object.name() == text)
            .ok_or_else(|| UnknownObject(text.to_owned()))
    }
}

// Read and written as a text rather than as an enum, so that a mistake below it in a JSON document is named by its whole path.
impl TryFrom<String> for Object {
    type Error = UnknownObject;

    fn try_from(text: String) -> Result<Self, UnknownObject> {
        text.parse()
    }
}

impl From<Object> for String {
    fn from(object: Object) -> Self {
        object.name().to_owned()
    }
}
