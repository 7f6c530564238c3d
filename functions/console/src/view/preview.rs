//! What a settings change would do, as the API shows it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value as Json;
use tandem::flow::preview::{Example, Preview};
use tandem::foresight::Totals;
use tandem::identifier::FieldName;
use utoipa::ToSchema;

use super::{ObjectName, RemovalReason};

/// What a settings change would do to one object.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PreviewView {
    /// The object.
    pub object: ObjectName,
    /// Whether the change touches the object at all; if not, nothing was read and nothing about it changes.
    pub touched: bool,
    /// What was counted so far.
    pub counts: Counts,
    /// Records that would come in; at most 50, found by this request.
    pub entering: Vec<RecordName>,
    /// Records that would leave; at most 50, found by this request.
    pub leaving: Vec<Leaving>,
    /// Records whose external id would be read from another field, so that each goes and another one comes in its place, at once and past
    /// the removal guard; at most 50, found by this request.
    pub renamed: Vec<Renamed>,
    /// Values of staying records that would change, by platform field.
    pub fields: BTreeMap<String, FieldChanges>,
    /// The credits that the change needs for this object; absent where it needs none, and for users until they are all read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credits: Option<CreditsNeeded>,
    /// The credits that this request cost.
    pub spent: u64,
    /// Whether the removal guard would hold the leaving records for a person; absent until everything was read. While the removal of
    /// accounts is held, so is that of what leaves with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<bool>,
    /// The `cursor` to go on with; absent when everything was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What was counted so far, earlier requests included.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Counts {
    /// Records that Zoho sent.
    pub rows: u64,
    /// Records that the platform has: what the removal guard's percentage is of.
    pub present: u64,
    /// Records that would come in.
    pub entering: u64,
    /// Records that would leave: with the next full sync, or at once for the reason `renamed`.
    pub leaving: u64,
    /// Why they would leave.
    pub leaving_by_reason: BTreeMap<RemovalReason, u64>,
    /// Records that would become other records.
    pub renamed: u64,
    /// Records that would stay, with other values.
    pub changed: u64,
    /// Records that would stay as they are.
    pub unchanged: u64,
    /// Records in scope that would have no external id.
    pub unmatched: u64,
    /// Records in scope whose external id another Zoho record would keep.
    pub duplicates: u64,
    /// Records in scope that the platform would not have, with `enrich_only`.
    pub unknown: u64,
    /// Records that are outside of the scope and would stay outside.
    pub outside: u64,
}

/// A record, by what a person knows it by.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordName {
    /// Its id in Zoho.
    pub zoho_id: String,
    /// Its id on the platform.
    pub id: String,
    /// Its name or subject, where it has one.
    pub name: Option<String>,
}

/// A record that would leave.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Leaving {
    /// The record.
    #[serde(flatten)]
    pub record: RecordName,
    /// Why.
    pub reason: RemovalReason,
}

/// A record that would become another one.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Renamed {
    /// The record that would go.
    #[serde(flatten)]
    pub record: RecordName,
    /// The id on the platform of the record that would come in its place.
    pub becomes: String,
}

/// What would change in one field.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FieldChanges {
    /// In how many records, so far.
    pub count: u64,
    /// At most five of them, found by this request.
    pub examples: Vec<FieldChangeExample>,
}

/// A value that would change.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FieldChangeExample {
    /// The record's id on the platform.
    pub id: String,
    /// What it shows now.
    pub before: Json,
    /// What it would show.
    pub after: Json,
}

/// The credits that a change needs for one object.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreditsNeeded {
    /// To preview it, at most.
    pub preview: u64,
    /// Once, for the next routine sync to read the object fully.
    pub once: u64,
    /// Once, for that routine sync to ask for what belongs to the entering records; absent until everything was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub following: Option<u64>,
    /// For every full sync, as before.
    pub each_night: u64,
}

impl PreviewView {
    /// The preview as far as it has come; `next` is its sealed progress.
    #[must_use]
    pub(crate) fn new(preview: &Preview, object: ObjectName, next: Option<String>) -> Self {
        let examples = &preview.examples;
        let mut fields: BTreeMap<String, FieldChanges> = preview
            .totals
            .fields
            .iter()
            .map(|(field, count)| (field.to_string(), FieldChanges::new(*count)))
            .collect();
        for (field, found) in &examples.fields {
            let field: &FieldName = field;
            let changes = fields
                .entry(field.to_string())
                .or_insert_with(|| FieldChanges::new(0));
            changes
                .examples
                .extend(found.iter().map(|example| FieldChangeExample {
                    id: example.id.to_string(),
                    before: example.before.to_json(),
                    after: example.after.to_json(),
                }));
        }
        Self {
            object,
            touched: preview.touched,
            counts: Counts::from(&preview.totals),
            entering: examples.entering.iter().map(RecordName::from).collect(),
            leaving: examples
                .leaving
                .iter()
                .map(|(record, reason)| Leaving {
                    record: record.into(),
                    reason: (*reason).into(),
                })
                .collect(),
            renamed: examples
                .renamed
                .iter()
                .map(|(record, becomes)| Renamed {
                    record: record.into(),
                    becomes: becomes.to_string(),
                })
                .collect(),
            fields,
            credits: preview.credits.map(|credits| CreditsNeeded {
                preview: credits.preview,
                once: credits.once,
                following: preview.following,
                each_night: credits.each_night,
            }),
            spent: preview.spent,
            held: preview.held,
            next,
        }
    }
}

impl FieldChanges {
    const fn new(count: u64) -> Self {
        Self {
            count,
            examples: Vec::new(),
        }
    }
}

impl From<&Example> for RecordName {
    fn from(example: &Example) -> Self {
        Self {
            zoho_id: example.zoho_id.to_string(),
            id: example.id.to_string(),
            name: example.name.clone(),
        }
    }
}

impl From<&Totals> for Counts {
    fn from(totals: &Totals) -> Self {
        let by_reason = [
            (RemovalReason::Gone, totals.gone),
            (RemovalReason::OutOfScope, totals.out_of_scope),
            (RemovalReason::ParentLeft, totals.parent_left),
            (RemovalReason::Renamed, totals.ousted),
        ];
        Self {
            rows: totals.rows,
            present: totals.held,
            entering: totals.entering,
            leaving: totals.leaving(),
            leaving_by_reason: by_reason
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .collect(),
            renamed: totals.renamed,
            changed: totals.changed,
            unchanged: totals.unchanged,
            unmatched: totals.unmatched,
            duplicates: totals.duplicates,
            unknown: totals.unknown,
            outside: totals.outside,
        }
    }
}
