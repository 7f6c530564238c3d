//! Edits of the platform's records, one by one and in bulk.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use tandem::edit;
use tandem::flow::edits::accept;
use tandem::identifier::{ConnectionId, FieldName, PlatformId};
use tandem::message;
use tandem::object::Object;
use tandem::port::Ports;
use utoipa::ToSchema;

use crate::extract::{Body, OfObject, OfRecord, folded};
use crate::problem::{Kind, Mistake, Problem};
use crate::{Deps, address, lifecycle};

/// The most edits of one request.
const MOST: usize = 500;

/// An edit of one record.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    /// The values wanted, by field; null clears one. Decimals are best given as texts; a reference is the platform id of the record that it
    /// names.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, serde_json::Value>, example = json!({"phone": "+49 30 1234567"}))]
    fields: BTreeMap<FieldName, serde_json::Value>,
    /// The segments that the record is to be a member of; absent: as before.
    #[serde(default)]
    segments: Option<BTreeSet<String>>,
    /// The record's version that the edit was made on; absent: any. 0: the record must not exist yet.
    #[serde(default)]
    if_version: Option<u64>,
}

/// Edits of many records of one object.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Edits {
    /// The edits, 1 to 500, of different records.
    #[schema(min_items = 1, max_items = 500)]
    edits: Vec<EditOf>,
}

/// One of many edits.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EditOf {
    /// The record's platform id, as it is.
    #[schema(value_type = String, example = "jane@acme.example")]
    id: PlatformId,
    /// The values wanted, by field; see the edit of one record.
    #[serde(default)]
    #[schema(value_type = BTreeMap<String, serde_json::Value>)]
    fields: BTreeMap<FieldName, serde_json::Value>,
    /// The segments that the record is to be a member of; absent: as before.
    #[serde(default)]
    segments: Option<BTreeSet<String>>,
    /// The record's version that the edit was made on; absent: any. 0: the record must not exist yet.
    #[serde(default)]
    if_version: Option<u64>,
}

/// An accepted edit.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Accepted {
    /// The record's platform id.
    id: String,
    /// The record's address in this API.
    href: String,
    /// The record's version after the edit.
    version: u64,
}

/// What became of many edits.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Answers {
    /// How many were accepted.
    accepted: usize,
    /// How many were refused.
    refused: usize,
    /// What became of each, in the order of the request.
    answers: Vec<Answer>,
}

/// What became of one of many edits.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Answer {
    /// The record's platform id.
    id: String,
    /// The record's address in this API.
    href: String,
    /// What the status would be had it come alone: 202 accepted, 409 made on another version, 422 refused for its mistakes.
    #[schema(example = 202)]
    status: u16,
    /// The record's version after the edit, where it was accepted.
    version: Option<u64>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Mistake>,
}

/// Edits a record, or brings one into being that only the platform knows so far.
///
/// The platform shows the edit at once; it goes to Zoho as soon as it can, and what becomes of it is in the log.
#[utoipa::path(patch, path = "/connections/{connection}/{object}/{id}", tag = "edits", operation_id = "edit_record", params(OfRecord),
    request_body = Edit, responses(
        (status = 202, description = "Accepted", body = Accepted),
        (status = 409, description = "The record is at another version, or the connection is disconnected"),
        (status = 422, description = "Refused for its mistakes"),
    ))]
pub(super) async fn edit_one(
    State(deps): State<Deps>,
    of: OfRecord,
    Body(edit): Body<Edit>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let edit = EditOf {
        id: of.id,
        fields: edit.fields,
        segments: edit.segments,
        if_version: edit.if_version,
    };
    let judged = judge(&deps.ports, &of.connection, of.object, vec![edit]).await?;
    let Some((id, verdict)) = judged.into_iter().next() else {
        return Err(Problem::new(Kind::Internal, "the edit was not answered"));
    };
    match verdict {
        Verdict::Accepted { version } => {
            let accepted = Accepted {
                href: address::of_record(&of.connection, of.object, &id),
                id: id.to_string(),
                version,
            };
            Ok((StatusCode::ACCEPTED, Json(accepted)))
        }
        refused => {
            let (kind, errors) = refused.mistakes("$");
            Err(Problem::mistakes(
                kind,
                "the edit is refused as a whole: see errors",
                errors,
            ))
        }
    }
}

/// Edits many records of one object.
///
/// Each edit is accepted or refused by itself; only a request that can't be read is refused as a whole.
#[utoipa::path(post, path = "/connections/{connection}/{object}/edits", tag = "edits", operation_id = "edit_records", params(OfObject),
    request_body = Edits, responses(
        (status = 200, description = "What became of each edit", body = Answers),
        (status = 409, description = "The connection is disconnected"),
        (status = 422, description = "Not 1 to 500 edits"),
    ))]
pub(super) async fn edit_many(
    State(deps): State<Deps>,
    of: OfObject,
    Body(edits): Body<Edits>,
) -> Result<Json<Answers>, Problem> {
    let edits = edits.edits;
    if !(1..=MOST).contains(&edits.len()) {
        return Err(Problem::mistake(
            Kind::Invalid,
            "$.edits",
            format!("send 1 to {MOST} edits at once"),
        ));
    }
    let judged = judge(&deps.ports, &of.connection, of.object, edits).await?;
    let answer = |(index, (id, verdict)): (usize, (PlatformId, Verdict))| {
        let (status, version, errors) = match verdict {
            Verdict::Accepted { version } => (StatusCode::ACCEPTED, Some(version), Vec::new()),
            refused => {
                let (kind, errors) = refused.mistakes(&format!("$.edits[{index}]"));
                (kind.status(), None, errors)
            }
        };
        Answer {
            href: address::of_record(&of.connection, of.object, &id),
            id: id.to_string(),
            status: status.as_u16(),
            version,
            errors,
        }
    };
    let answers: Vec<Answer> = judged.into_iter().enumerate().map(answer).collect();
    let accepted = answers
        .iter()
        .filter(|answer| answer.version.is_some())
        .count();
    Ok(Json(Answers {
        accepted,
        refused: answers.len() - accepted,
        answers,
    }))
}

/// What became of an edit.
enum Verdict {
    /// It is taken.
    Accepted {
        /// The record's version after it.
        version: u64,
    },
    /// It was made on another version.
    Outdated {
        /// The record's version.
        current: u64,
    },
    /// It is refused for its mistakes.
    Refused(Vec<edit::Problem>),
}

impl Verdict {
    /// Why the edit that stands at `path` of the request is refused.
    fn mistakes(self, path: &str) -> (Kind, Vec<Mistake>) {
        let mistake = |problem: edit::Problem| Mistake {
            path: match &problem.field {
                // A field's name can hold a dot, so it is not written as a name after one.
                Some(field) if field.as_str().contains('.') => {
                    format!("{path}.fields[\"{field}\"]")
                }
                Some(field) => format!("{path}.fields.{field}"),
                None => path.to_owned(),
            },
            problem: problem.problem,
        };
        match self {
            Self::Accepted { .. } => (Kind::Invalid, Vec::new()),
            Self::Outdated { current } => {
                let mistake = Mistake {
                    path: format!("{path}.if_version"),
                    problem: format!("the record is at version {current}: read it and decide anew"),
                };
                (Kind::Conflict, vec![mistake])
            }
            Self::Refused(problems) => (Kind::Invalid, problems.into_iter().map(mistake).collect()),
        }
    }
}

/// Has edits accepted or refused, each by itself. Edits of one request are made at one instant, so that none of two edits of one record
/// would be the later one: only the first is taken.
async fn judge(
    ports: &Ports,
    connection: &ConnectionId,
    object: Object,
    edits: Vec<EditOf>,
) -> Result<Vec<(PlatformId, Verdict)>, Problem> {
    if lifecycle::find(ports, connection).await?.status.is_ended() {
        return Err(Problem::new(
            Kind::Conflict,
            format!("connection {connection} is disconnected, so it takes no edits"),
        ));
    }
    let mut order = Vec::with_capacity(edits.len());
    let mut expected = BTreeMap::new();
    let mut taken = Vec::with_capacity(edits.len());
    for edit in edits {
        let id = folded(object, edit.id);
        let first = !expected.contains_key(&id);
        if first {
            expected.insert(id.clone(), edit.if_version);
            taken.push(message::Edit {
                id: id.clone(),
                fields: edit.fields,
                segments: edit.segments,
                if_version: edit.if_version,
            });
        }
        order.push((id, first));
    }
    let answers = accept(ports, connection, object, taken).await?;
    let doubtful: Vec<PlatformId> = answers
        .iter()
        .filter(|answer| !answer.accepted && expected.get(&answer.id).is_some_and(Option::is_some))
        .map(|answer| answer.id.clone())
        .collect();
    let mut versions = BTreeMap::new();
    if !doubtful.is_empty() {
        let records = ports.store.records(connection, object, &doubtful).await?;
        versions.extend(
            records
                .into_iter()
                .map(|record| (record.id, record.version)),
        );
    }
    let mut verdicts: BTreeMap<PlatformId, Verdict> = answers
        .into_iter()
        .map(|answer| {
            let current = versions.get(&answer.id).copied().unwrap_or_default();
            let named = expected.get(&answer.id).copied().flatten();
            let verdict = match answer.version {
                Some(version) if answer.accepted => Verdict::Accepted { version },
                _ if named.is_some_and(|named| named != current) => Verdict::Outdated { current },
                _ => Verdict::Refused(answer.problems),
            };
            (answer.id, verdict)
        })
        .collect();
    let judged = order.into_iter().map(|(id, first)| {
        let verdict = verdicts.remove(&id).filter(|_| first);
        let verdict = verdict.unwrap_or_else(|| {
            Verdict::Refused(vec![edit::Problem {
                field: None,
                problem: "an edit before this one is of the same record: make them one, or send this one by itself".to_owned(),
            }])
        });
        (id, verdict)
    });
    Ok(judged.collect())
}
