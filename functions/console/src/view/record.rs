//! Records as the API shows them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value as Json;
use tandem::identifier::PlatformId;
use tandem::object::Object;
use tandem::record::{Candidate, Link, Record, Standing};
use utoipa::ToSchema;

use super::{ObjectName, RemovalReason, Side, UnlinkedStanding, values};
use crate::address;

/// A record.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordView {
    /// Its id on the platform.
    pub id: String,
    /// Its address in this API.
    #[schema(example = "/api/connections/acme/contact/jane@acme.example")]
    pub href: String,
    /// What it is.
    pub object: ObjectName,
    /// Its id in Zoho, once it is there.
    pub zoho_id: Option<String>,
    /// Its values by field, edits that Zoho does not have yet included. Decimals are texts, so that no digit is lost; dates are like
    /// `2026-11-23`, instants in UTC; a reference is `{"object", "id", "zoho_id"}`, either id null where it is not known.
    pub fields: BTreeMap<String, Json>,
    /// The segments that it is a member of.
    pub segments: BTreeSet<String>,
    /// The fields with edits that Zoho does not have yet.
    pub pending: Vec<String>,
    /// Why its edits wait, where they do.
    pub parked: Option<ParkedView>,
    /// Set when it is removed. Removed records are listed too, so that a reader learns of the removal.
    pub removed: Option<RemovedView>,
    /// When it came to the platform.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it last changed on the platform.
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// Counts its versions; an edit's `if_version` names one.
    pub version: u64,
}

/// A record with everything that is known about where its values came from.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordDetail {
    /// The record.
    #[serde(flatten)]
    pub record: RecordView,
    /// By field, the last value that both sides agreed on.
    pub base: BTreeMap<String, Json>,
    /// By field, the edits that Zoho does not have yet.
    pub edits: BTreeMap<String, PendingView>,
    /// By field, where its value came from: "why is this value here?".
    pub sources: BTreeMap<String, SourceView>,
    /// What ties it to Zoho.
    pub link: Option<LinkView>,
    /// Its last Modified_Time known from Zoho.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub zoho_modified_time: Option<Timestamp>,
    /// When its creation in Zoho was tried first, as long as nobody knows whether Zoho has it.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub creating_since: Option<Timestamp>,
    /// An account's contacts, deals and tasks, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub children: Option<Vec<Child>>,
}

/// An edit that Zoho does not have yet.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PendingView {
    /// The value wanted.
    pub value: Json,
    /// When the edit was made.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// Where a value came from.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SourceView {
    /// Who gave it.
    pub side: Side,
    /// The run that brought it; none for an edit.
    pub run: Option<String>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The value that lost against it in a conflict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overruled: Option<Json>,
}

/// What ties a record to Zoho.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LinkView {
    /// The Zoho record.
    pub zoho_id: String,
    /// Whether it met the filters when that was last looked at.
    pub in_scope: bool,
}

/// Why a record's edits wait.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParkedView {
    /// Zoho's code, or one of Tandem's own.
    #[schema(example = "INVALID_DATA")]
    pub code: String,
    /// The Zoho field it is about, where there is one.
    pub field: Option<String>,
    /// What is wrong and what helps.
    pub remedy: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
}

/// Why a record is removed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RemovedView {
    /// When; it can be restored for 30 days from then.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The full sync that found out.
    pub run: String,
    /// Why.
    pub reason: RemovalReason,
}

/// A contact, deal or task of an account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Child {
    /// What it is.
    pub object: ObjectName,
    /// Its id on the platform.
    pub id: String,
    /// Its address in this API.
    pub href: String,
}

/// A record whose edits wait.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ParkedRecord {
    /// Its id on the platform.
    pub id: String,
    /// Its address in this API; `{href}/retry` and `{href}/dismiss` decide about it.
    pub href: String,
    /// What it is.
    pub object: ObjectName,
    /// Its id in Zoho, once it is there.
    pub zoho_id: Option<String>,
    /// Why its edits wait.
    pub parked: ParkedView,
    /// By field, the edits that wait.
    pub edits: BTreeMap<String, PendingView>,
    /// Its version.
    pub version: u64,
}

/// A record that a full sync would remove, held for a person.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Removal {
    /// The record's id on the platform.
    pub id: String,
    /// The record's address in this API.
    pub href: String,
    /// The Zoho record that is gone or out of scope.
    pub zoho_id: String,
    /// The full sync that found out.
    pub run: String,
    /// Why it would be removed.
    pub reason: RemovalReason,
}

impl From<&Record> for RecordView {
    fn from(record: &Record) -> Self {
        Self {
            id: record.id.to_string(),
            href: address::of_record(&record.connection, record.object, &record.id),
            object: record.object.into(),
            zoho_id: record.zoho_id.map(String::from),
            fields: values(&record.fields),
            segments: record.segments.clone(),
            pending: record.pending.keys().map(ToString::to_string).collect(),
            parked: record.parked.as_ref().map(ParkedView::from),
            removed: record.removed.as_ref().map(|removed| RemovedView {
                at: removed.at,
                run: removed.run.to_string(),
                reason: removed.reason.into(),
            }),
            created_at: record.created_at,
            updated_at: record.updated_at,
            version: record.version,
        }
    }
}

impl RecordDetail {
    /// A record with its link and, where asked for, an account's children.
    #[must_use]
    pub(crate) fn new(
        record: &Record,
        link: Option<&Link>,
        children: Option<Vec<(Object, PlatformId)>>,
    ) -> Self {
        let sources = record.sources.iter().map(|(name, source)| {
            let view = SourceView {
                side: source.side.into(),
                run: source.run.as_ref().map(ToString::to_string),
                at: source.at,
                overruled: source.overruled.as_ref().map(tandem::value::Value::to_json),
            };
            (name.to_string(), view)
        });
        let child = |(object, id): (Object, PlatformId)| Child {
            object: object.into(),
            href: address::of_record(&record.connection, object, &id),
            id: id.to_string(),
        };
        Self {
            record: record.into(),
            base: values(&record.base),
            edits: edits(record),
            sources: sources.collect(),
            link: link.map(|link| LinkView {
                zoho_id: link.zoho_id.to_string(),
                in_scope: link.in_scope,
            }),
            zoho_modified_time: record.zoho_modified_time,
            creating_since: record.create_intent.as_ref().map(|intent| intent.at),
            children: children.map(|children| children.into_iter().map(child).collect()),
        }
    }
}

impl ParkedRecord {
    /// A record whose edits wait; none when nothing of it does.
    #[must_use]
    pub(crate) fn of(record: &Record) -> Option<Self> {
        Some(Self {
            id: record.id.to_string(),
            href: address::of_record(&record.connection, record.object, &record.id),
            object: record.object.into(),
            zoho_id: record.zoho_id.map(String::from),
            parked: record.parked.as_ref()?.into(),
            edits: edits(record),
            version: record.version,
        })
    }
}

impl From<&Candidate> for Removal {
    fn from(candidate: &Candidate) -> Self {
        Self {
            id: candidate.platform_id.to_string(),
            href: address::of_record(
                &candidate.connection,
                candidate.object,
                &candidate.platform_id,
            ),
            zoho_id: candidate.zoho_id.to_string(),
            run: candidate.run.to_string(),
            reason: candidate.reason.into(),
        }
    }
}

impl From<&tandem::record::Parked> for ParkedView {
    fn from(parked: &tandem::record::Parked) -> Self {
        Self {
            code: parked.code.clone(),
            field: parked.field.clone(),
            remedy: parked.remedy.clone(),
            at: parked.at,
        }
    }
}

fn edits(record: &Record) -> BTreeMap<String, PendingView> {
    let view = |pending: &tandem::record::Pending| PendingView {
        value: pending.value.to_json(),
        at: pending.at,
    };
    record
        .pending
        .iter()
        .map(|(name, pending)| (name.to_string(), view(pending)))
        .collect()
}

/// A Zoho record in scope that has no record on the platform.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Unlinked {
    /// Its id in Zoho.
    #[schema(example = "554023000000527002")]
    pub zoho_id: String,
    /// How it stands to the platform.
    pub standing: UnlinkedStanding,
    /// Its external id, where it has one.
    pub external_id: Option<String>,
    /// What helps.
    pub remedy: &'static str,
}

impl Unlinked {
    /// The Zoho record of a link; none where it has, or had, a record.
    pub(crate) fn of(link: &Link) -> Option<Self> {
        let (standing, external_id, remedy) = match &link.standing {
            Standing::Linked(_) | Standing::Removed(_) => return None,
            Standing::Unmatched => (
                UnlinkedStanding::Unmatched,
                None,
                "fill its external-id field in Zoho",
            ),
            Standing::Duplicate(id) => (
                UnlinkedStanding::Duplicate,
                Some(id),
                "another Zoho record has the same external id: change or empty one of them, or merge them in Zoho",
            ),
            Standing::Unknown(id) => (
                UnlinkedStanding::Unknown,
                Some(id),
                "create the record on the platform, or let the connection create records",
            ),
        };
        Some(Self {
            zoho_id: link.zoho_id.to_string(),
            standing,
            external_id: external_id.map(ToString::to_string),
            remedy,
        })
    }
}
