//! Zoho CRM and its accounts server.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::data_centre::{ApiDomain, DataCentre};
use crate::disposition::Disposition;
use crate::identifier::ZohoId;
use crate::object::Object;
use crate::row::{Outgoing, Row};
use crate::secret::{OAuthClient, Secret};
use crate::select::{Count, Select};
use crate::tally::{Tallied, Tally};

pub use crate::zoho_field::FieldInfo;

/// What an accounts server granted.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The access token.
    pub access: Secret,
    /// The refresh token; only a first, offline exchange brings one.
    pub refresh: Option<Secret>,
    /// Where the organisation's API is, as Zoho says; to be checked against the list before use. A refresh may leave it out.
    pub api_domain: Option<String>,
    /// For how long the access token lives.
    pub expires_in: Duration,
    /// The scopes granted, where Zoho says so.
    pub scopes: Option<Vec<String>>,
}

/// An answer from Zoho, with what the call tells beside it.
#[derive(Debug, Clone)]
pub struct Reply<T> {
    /// The answer.
    pub value: T,
    /// Zoho's own clock, from the reply's Date header.
    pub server_time: Timestamp,
    /// The credits that the call cost, at Zoho's own prices.
    pub credits: u64,
    /// The credits left today, where Zoho says so (from half of them on).
    pub credits_left: Option<u64>,
}

/// A page of rows.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The rows, in the order asked for.
    pub rows: Vec<Row>,
    /// Whether there are more beyond them.
    pub more: bool,
}

/// The organisation behind a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedOrganisation {
    /// Zoho's organisation id (`zgid`).
    pub id: String,
    /// The company's name.
    pub name: String,
    /// Its IANA time zone.
    pub time_zone: String,
    /// The edition, as Zoho names it.
    pub edition: String,
    /// How many users its licence covers, which its credits depend on.
    pub users: u64,
}

/// A record that Zoho stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Its id.
    pub id: ZohoId,
    /// Its new Modified_Time.
    pub modified_time: Option<Timestamp>,
}

/// A record that Zoho did not store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteRefusal {
    /// Zoho's code, such as `INVALID_DATA`.
    pub code: String,
    /// The field it is about.
    pub field: Option<String>,
    /// What Zoho said.
    pub message: String,
    /// The record that already has the value, for `DUPLICATE_DATA`.
    pub duplicate_of: Option<ZohoId>,
}

/// What became of one record of a write.
pub type WriteOutcome = Result<Saved, WriteRefusal>;

/// A call to Zoho that failed as a whole.
#[derive(Debug, thiserror::Error)]
pub enum CrmError {
    /// The access token is not accepted (401): refresh once, then stop.
    #[error("Zoho does not accept the access token ({code})")]
    Unauthorised {
        /// Zoho's code.
        code: String,
    },
    /// The refresh token or code is revoked, used or unknown.
    #[error("Zoho refuses the grant ({code})")]
    GrantRefused {
        /// Zoho's code.
        code: String,
    },
    /// A scope or permission lacks.
    #[error("Zoho denies access to {what} ({code}): {message}")]
    Forbidden {
        /// Zoho's code.
        code: String,
        /// What was asked for.
        what: String,
        /// What Zoho said.
        message: String,
    },
    /// Credits, concurrency or token limits are used up (429).
    #[error("Zoho is throttling")]
    Throttled {
        /// How long to wait, where Zoho says so.
        after: Option<Duration>,
    },
    /// The call was wrong.
    #[error("Zoho refuses the call ({code}): {message}")]
    Refused {
        /// Zoho's code.
        code: String,
        /// What Zoho said.
        message: String,
        /// The column or field it is about.
        field: Option<String>,
    },
    /// A record changed since the instant that a conditional write named (412).
    #[error("a record changed meanwhile")]
    ChangedMeanwhile,
    /// No answer, or a failure on Zoho's side; whether the effect happened is unknown.
    #[error("Zoho did not answer as it should")]
    Unavailable {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An answer that makes no sense.
    #[error("Zoho's answer to {what} can't be read")]
    Malformed {
        /// What was asked.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl CrmError {
    /// What to do about it.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Unauthorised { .. } | Self::GrantRefused { .. } => Disposition::Reconnect,
            Self::Throttled { after } => {
                Disposition::RetryAfter(after.unwrap_or(Duration::from_secs(60)))
            }
            Self::ChangedMeanwhile | Self::Unavailable { .. } => Disposition::Retry,
            Self::Forbidden { .. } | Self::Refused { .. } | Self::Malformed { .. } => {
                Disposition::Never
            }
        }
    }
}

/// Whom a call is made for: an access token and the API that it is good for.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Where the API is; checked against the list.
    pub api: ApiDomain,
    /// The access token.
    pub token: Secret,
}

/// Zoho CRM's API, v8, and the OAuth endpoints of its accounts servers. No method retries or refreshes; flows decide that.
#[async_trait]
pub trait Crm: Send + Sync {
    /// Exchanges an authorisation code at the data centre's accounts server.
    ///
    /// # Errors
    /// See [`CrmError`].
    async fn exchange(
        &self,
        centre: DataCentre,
        client: &OAuthClient,
        code: &Secret,
        redirect_uri: &str,
    ) -> Result<Grant, CrmError>;

    /// Makes a new access token.
    ///
    /// # Errors
    /// See [`CrmError`].
    async fn refresh(
        &self,
        centre: DataCentre,
        client: &OAuthClient,
        refresh: &Secret,
    ) -> Result<Grant, CrmError>;

    /// Revokes a refresh token; it is no error when it is not known any more.
    ///
    /// # Errors
    /// See [`CrmError`].
    async fn revoke(&self, centre: DataCentre, refresh: &Secret) -> Result<(), CrmError>;

    /// The organisation behind the token.
    ///
    /// # Errors
    /// See [`CrmError`].
    async fn organisation(&self, caller: &Caller) -> Result<Reply<GrantedOrganisation>, CrmError>;

    /// The fields of an object's module that the token's user may see.
    ///
    /// # Errors
    /// See [`CrmError`].
    async fn fields(
        &self,
        caller: &Caller,
        object: Object,
    ) -> Result<Reply<Vec<FieldInfo>>, CrmError>;

    /// A page of rows by COQL.
    ///
    /// # Errors
    /// See [`CrmError`].
    async fn select(&self, caller: &Caller, select: &Select) -> Result<Reply<Rows>, CrmError>;

    /// How many records of a module the token's user may see, by COQL.
    ///
    /// # Errors
    /// See [`CrmError`].
    async fn count(&self, caller: &Caller, count: Count) -> Result<Reply<u64>, CrmError>;

    /// How many records have a value in a field, or how many each of its values, by COQL.
    ///
    /// # Errors
    /// See [`CrmError`].
    async fn tally(&self, caller: &Caller, tally: &Tally) -> Result<Reply<Tallied>, CrmError>;

    /// A page (from 1, 200 rows) of all users, deleted and disabled ones included; only those modified since, where given.
    ///
    /// # Errors
    /// See [`CrmError`].
    async fn users(
        &self,
        caller: &Caller,
        page: u32,
        modified_since: Option<Timestamp>,
    ) -> Result<Reply<Rows>, CrmError>;

    /// Creates at most 100 records; the outcomes come in the order of the records. `trigger` names the automations that may run, none
    /// when it is empty.
    ///
    /// # Errors
    /// See [`CrmError`].
    async fn insert(
        &self,
        caller: &Caller,
        object: Object,
        records: &[Outgoing],
        trigger: &[String],
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError>;

    /// Updates at most 100 records, each by its id; the outcomes come in the order of the records.
    ///
    /// # Errors
    /// See [`CrmError`].
    async fn update(
        &self,
        caller: &Caller,
        object: Object,
        records: &[(ZohoId, Outgoing)],
        trigger: &[String],
        unmodified_since: Option<Timestamp>,
    ) -> Result<Reply<Vec<WriteOutcome>>, CrmError>;
}
