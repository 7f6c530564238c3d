//! Modules and fields: what an organisation's records are made of.

use std::collections::HashMap;

/// Zoho's `data_type` of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are Zoho's own names")]
pub enum DataType {
    Text,
    TextArea,
    RichText,
    Email,
    Phone,
    Website,
    Picklist,
    MultiSelectPicklist,
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
    Subform,
    Formula,
    RollupSummary,
    AutoNumber,
}

impl DataType {
    /// The name in the metadata.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::TextArea | Self::RichText => "textarea",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Website => "website",
            Self::Picklist => "picklist",
            Self::MultiSelectPicklist => "multiselectpicklist",
            Self::Date => "date",
            Self::DateTime => "datetime",
            Self::Integer => "integer",
            Self::BigInt => "bigint",
            Self::Double => "double",
            Self::Currency => "currency",
            Self::Percent => "percent",
            Self::Boolean => "boolean",
            Self::Lookup => "lookup",
            Self::OwnerLookup => "ownerlookup",
            Self::UserLookup => "userlookup",
            Self::MultiModuleLookup => "multi_module_lookup",
            Self::MultiSelectLookup => "multiselectlookup",
            Self::Subform => "subform",
            Self::Formula => "formula",
            Self::RollupSummary => "rollup_summary",
            Self::AutoNumber => "autonumber",
        }
    }

    /// The `json_type` in the metadata.
    pub fn json_type(self) -> &'static str {
        match self {
            Self::Integer | Self::RollupSummary => "integer",
            Self::Double | Self::Currency | Self::Percent | Self::Formula => "double",
            Self::Boolean => "boolean",
            Self::Lookup | Self::OwnerLookup | Self::UserLookup | Self::MultiModuleLookup => {
                "jsonobject"
            }
            Self::MultiSelectPicklist | Self::MultiSelectLookup | Self::Subform => "jsonarray",
            _ => "string",
        }
    }

    /// Text that is compared and stored as such.
    pub fn is_text(self) -> bool {
        matches!(
            self,
            Self::Text
                | Self::TextArea
                | Self::RichText
                | Self::Email
                | Self::Phone
                | Self::Website
                | Self::Picklist
                | Self::AutoNumber
        )
    }

    /// A reference to a record or a user.
    pub fn is_reference(self) -> bool {
        matches!(
            self,
            Self::Lookup | Self::OwnerLookup | Self::UserLookup | Self::MultiModuleLookup
        )
    }

    /// A reference to a user.
    pub fn is_user(self) -> bool {
        matches!(self, Self::OwnerLookup | Self::UserLookup)
    }

    /// Only the reading of one record shows it.
    pub fn single_only(self) -> bool {
        matches!(self, Self::Subform | Self::MultiSelectLookup)
    }
}

/// How a field's value follows from other values.
#[derive(Debug, Clone, PartialEq)]
pub enum Computed {
    /// Two text fields with a space between.
    FullName,
    /// Whole days since the record was created: moves with the clock.
    DaysSinceCreation,
    /// Days until a date field; negative when past: moves with the clock.
    DaysUntil(usize),
    /// One number field times a percent field.
    ShareOf(usize, usize),
    /// A text field of the record that a lookup names: moves when the other record does.
    Through(usize, String),
    /// The number of records of a module whose lookup names this record.
    CountOf(String, String),
    /// The sum of a number field over the records of a module whose lookup names this record.
    SumOf(String, String, String),
}

/// Who sees an external id field's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum External {
    /// One value for the whole organisation.
    Organisation,
    /// One value per user.
    User,
}

/// What Zoho does to a value on its way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alteration {
    /// Cuts white space at both ends.
    Trim,
    /// Rounds to the field's decimal places.
    Round,
    /// Leaves only digits and a leading plus.
    NormalisePhone,
    /// Capital letters.
    UpperCase,
}

/// One field of a module.
#[derive(Debug, Clone)]
pub struct Field {
    /// The record id of the field itself.
    pub id: u64,
    /// The name in requests and replies.
    pub api_name: String,
    /// The name on the screen.
    pub label: String,
    /// The type.
    pub data_type: DataType,
    /// The greatest number of characters or digits.
    pub length: usize,
    /// Decimal places.
    pub decimals: u32,
    /// A record cannot be without it.
    pub mandatory: bool,
    /// Zoho writes it, nobody else.
    pub read_only: bool,
    /// Made by the customer.
    pub custom: bool,
    /// No two records share a value.
    pub unique: bool,
    /// An external id field.
    pub external: Option<External>,
    /// The entries of a picklist without "-None-".
    pub choices: Vec<String>,
    /// Writing anything but an entry is refused.
    pub strict_choices: bool,
    /// The module that a lookup points to.
    pub target: Option<String>,
    /// How to compute it.
    pub computed: Option<Computed>,
    /// Hidden from the profile of every API user.
    pub hidden: bool,
    /// What Zoho does to a written value.
    pub alteration: Option<Alteration>,
    /// The columns of a subform.
    pub columns: Vec<Field>,
    /// Keep an index over its values.
    pub indexed: bool,
}

impl Field {
    /// A plain field of a type.
    pub fn new(api_name: &str, data_type: DataType) -> Self {
        let length = match data_type {
            DataType::TextArea => 32_000,
            DataType::RichText => 50_000,
            DataType::Integer => 9,
            DataType::BigInt => 18,
            DataType::Picklist => 120,
            DataType::Phone => 50,
            DataType::Website => 450,
            DataType::Email => 100,
            DataType::Double | DataType::Currency => 16,
            DataType::Percent => 5,
            _ => 255,
        };
        Self {
            id: 0,
            api_name: api_name.to_owned(),
            label: api_name.replace('_', " "),
            data_type,
            length,
            decimals: if matches!(
                data_type,
                DataType::Double | DataType::Currency | DataType::Percent
            ) {
                2
            } else {
                0
            },
            mandatory: false,
            read_only: matches!(
                data_type,
                DataType::Formula | DataType::RollupSummary | DataType::AutoNumber
            ),
            custom: false,
            unique: false,
            external: None,
            choices: Vec::new(),
            strict_choices: false,
            target: None,
            computed: None,
            hidden: false,
            alteration: None,
            columns: Vec::new(),
            indexed: data_type.is_reference(),
        }
    }

    /// Whether Zoho shows 500 characters of it in lists.
    pub fn is_rich(&self) -> bool {
        self.data_type == DataType::RichText
    }
}

/// A list of records that belong to a record.
#[derive(Debug, Clone)]
pub struct RelatedList {
    /// The id of the list.
    pub id: u64,
    /// The name in the path.
    pub api_name: String,
    /// The module of its rows.
    pub module: String,
    /// The lookup of those rows.
    pub via: String,
}

/// A saved view.
#[derive(Debug, Clone)]
pub struct CustomView {
    /// The id for `cvid`.
    pub id: u64,
    /// The name on the screen.
    pub name: String,
    /// Zoho's name for views of its own.
    pub system_name: Option<String>,
    /// What it shows, as the condition of a COQL query; none for everything.
    pub condition: Option<String>,
}

/// One module.
#[derive(Debug, Clone)]
pub struct Module {
    /// The id of the module.
    pub id: u64,
    /// The name in paths.
    pub api_name: String,
    /// The name of one record.
    pub singular: String,
    /// The field that names a record in lookups.
    pub display: usize,
    /// The field that Zoho itself checks on upsert.
    pub duplicate_field: Option<usize>,
    /// Switched off: the API answers as if it were not there.
    pub disabled: bool,
    /// Lists of records that belong to a record of this module.
    pub related: Vec<RelatedList>,
    /// Saved views.
    pub views: Vec<CustomView>,
    fields: Vec<Field>,
    by_name: HashMap<String, usize>,
}

/// Where the fields that every module has are found.
pub mod common {
    #![expect(missing_docs, reason = "the constants are Zoho's own field names")]
    pub const OWNER: usize = 0;
    pub const CREATED_BY: usize = 1;
    pub const MODIFIED_BY: usize = 2;
    pub const CREATED_TIME: usize = 3;
    pub const MODIFIED_TIME: usize = 4;
    pub const RECORD_STATUS: usize = 5;
    pub const LOCKED: usize = 6;
    pub const TAG: usize = 7;
}

impl Module {
    /// A module with the fields that every module has, followed by its own.
    pub fn new(api_name: &str, singular: &str, own: Vec<Field>) -> Self {
        let mut fields = Vec::with_capacity(own.len() + 8);
        fields.push(Field::new("Owner", DataType::OwnerLookup));
        for (name, data_type) in [
            ("Created_By", DataType::OwnerLookup),
            ("Modified_By", DataType::OwnerLookup),
            ("Created_Time", DataType::DateTime),
            ("Modified_Time", DataType::DateTime),
            ("Record_Status__s", DataType::Picklist),
            ("Locked__s", DataType::Boolean),
        ] {
            let mut field = Field::new(name, data_type);
            field.read_only = true;
            field.indexed = false;
            fields.push(field);
        }
        fields[common::RECORD_STATUS].choices =
            ["Available", "Draft", "Trash"].map(str::to_owned).to_vec();
        let mut tag = Field::new("Tag", DataType::MultiSelectPicklist);
        tag.read_only = true;
        fields.push(tag);
        fields.extend(own);
        let by_name = fields
            .iter()
            .enumerate()
            .map(|(index, field)| (field.api_name.clone(), index))
            .collect();
        Self {
            id: 0,
            api_name: api_name.to_owned(),
            singular: singular.to_owned(),
            display: common::OWNER,
            duplicate_field: None,
            disabled: false,
            related: Vec::new(),
            views: Vec::new(),
            fields,
            by_name,
        }
    }

    /// All fields.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// All fields, to change their settings.
    pub fn fields_mut(&mut self) -> &mut [Field] {
        &mut self.fields
    }

    /// Where a field is found.
    pub fn position(&self, api_name: &str) -> Option<usize> {
        self.by_name.get(api_name).copied()
    }

    /// A field that the API user may see.
    pub fn visible(&self, api_name: &str) -> Option<(usize, &Field)> {
        let position = self.position(api_name)?;
        let field = self.fields.get(position)?;
        (!field.hidden).then_some((position, field))
    }

    /// A field by its name, hidden or not.
    pub fn field(&self, api_name: &str) -> Option<&Field> {
        self.fields.get(self.position(api_name)?)
    }

    /// A field by its name, to change its settings.
    pub fn field_mut(&mut self, api_name: &str) -> Option<&mut Field> {
        let position = self.position(api_name)?;
        self.fields.get_mut(position)
    }
}
