//! What the control API is sent.

use crate::oauth::Consent;
use crate::org::schema::Alteration;
use crate::org::user::UserStatus;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value as Json};

/// Tells an absent key from a null one.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientBody {
    pub(super) client_id: String,
    pub(super) name: Option<String>,
    pub(super) client_secret: Option<String>,
    #[serde(default)]
    pub(super) secrets: std::collections::BTreeMap<String, String>,
    pub(super) redirect_uris: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WriteBody {
    pub(super) values: Map<String, Json>,
    #[serde(default, deserialize_with = "crate::id::optional")]
    pub(super) user: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BulkBody {
    #[serde(rename = "where")]
    pub(super) condition: Option<String>,
    pub(super) values: Option<Map<String, Json>>,
    #[serde(default)]
    pub(super) edits: Vec<EditBody>,
    #[serde(default, deserialize_with = "crate::id::optional")]
    pub(super) user: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EditBody {
    pub(super) id: String,
    pub(super) values: Map<String, Json>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MergeBody {
    pub(super) losers: Vec<String>,
    #[serde(default, deserialize_with = "crate::id::optional")]
    pub(super) user: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FieldBody {
    pub(super) hidden: Option<bool>,
    pub(super) unique: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    pub(super) alteration: Option<Option<Alteration>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModuleBody {
    pub(super) disabled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserBody {
    pub(super) status: Option<UserStatus>,
    pub(super) time_zone: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UsageBody {
    pub(super) credits: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TransferBody {
    pub(super) to: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OrganisationBody {
    #[serde(default, deserialize_with = "present")]
    pub(super) credit_limit: Option<Option<u32>>,
    #[serde(default, deserialize_with = "present")]
    pub(super) concurrency_limit: Option<Option<u32>>,
    pub(super) workflows: Option<bool>,
    pub(super) ignore_empty_edits: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    pub(super) organisation: String,
    pub(super) user: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SettingsBody {
    pub(super) consent: Option<Consent>,
    #[serde(default, deserialize_with = "present")]
    pub(super) login: Option<Option<Login>>,
    #[serde(default, deserialize_with = "present")]
    pub(super) granted_scopes: Option<Option<Vec<String>>>,
    pub(super) code_life_seconds: Option<i64>,
    pub(super) token_life_seconds: Option<i64>,
    pub(super) token_limits: Option<bool>,
    pub(super) name_wrong_host: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IssueBody {
    pub(super) organisation: Option<String>,
    pub(super) user: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) scopes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RevokeBody {
    pub(super) token: Option<String>,
    pub(super) organisation: Option<String>,
    pub(super) scope: Option<String>,
    #[serde(default)]
    pub(super) refresh_tokens: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Delay {
    pub(super) ms: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Clock {
    pub(super) seconds: i64,
}
