//! Accepting an edit: pure rules about what the platform may change on a record (F2, F3, F9, F10).

use serde::{Deserialize, Serialize};

use jiff::Timestamp;

use crate::identifier::FieldName;
use crate::mapping::FieldPlan;
use crate::merge::{Moment, source};
use crate::message::Edit;
use crate::object::Object;
use crate::record::{Action, Change, FieldChange, Pending, Record, Side};
use crate::settings::Settings;
use crate::value::{FieldType, Value};

/// Why an edit was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The field; none where it is about the record as a whole.
    pub field: Option<FieldName>,
    /// What is wrong and what helps.
    pub problem: String,
}

impl Problem {
    fn record(problem: impl Into<String>) -> Self {
        Self {
            field: None,
            problem: problem.into(),
        }
    }

    fn field(field: &FieldName, problem: impl Into<String>) -> Self {
        Self {
            field: Some(field.clone()),
            problem: problem.into(),
        }
    }
}

/// The record after an edit that was made `at` an instant. `before` is the stored record, or a new one that the edit brings into being. A
/// field that was edited later, or by this very edit, is passed over, and so are the segments.
///
/// # Errors
/// Every reason why the edit is refused; it is accepted or refused as a whole.
pub fn accept(
    before: &Record,
    edit: &Edit,
    at: Timestamp,
    plan: &FieldPlan,
    settings: &Settings,
    moment: &Moment,
) -> Result<Record, Vec<Problem>> {
    let object = before.object;
    if !object.is_writable() {
        return Err(vec![Problem::record(format!(
            "{object}s come from Zoho only and are never written to it"
        ))]);
    }
    if is_passed_over(before, edit, at) {
        // Whatever it was made on, it has nothing left to say.
        return Ok(before.clone());
    }
    let mut problems = Vec::new();
    if edit
        .if_version
        .is_some_and(|version| version != before.version)
    {
        problems.push(Problem::record(format!(
            "the record is at version {}, the edit was made on another: read it again",
            before.version
        )));
    }
    if before.removed.is_some() {
        problems.push(Problem::record(
            "the record is removed: restore it in Zoho first",
        ));
    }
    if before.version == 0
        && object == Object::Task
        && !edit.fields.keys().any(|name| name.as_str() == "subject")
    {
        problems.push(Problem::record("a new task needs a subject"));
    }
    let mut record = before.clone();
    let mut changes = Vec::new();
    for (name, json) in &edit.fields {
        if is_edited(before, name, at) {
            continue;
        }
        match value_of(before, name, json, plan, settings) {
            Ok((value, pushes)) => {
                record.edited.insert(name.clone(), at);
                let shown = before.fields.get(name).unwrap_or(&Value::Null);
                if pushes {
                    // What waited before may be in Zoho already: then only a look there says that nothing is left to do.
                    let agreed = before.base.get(name).is_some_and(|base| base.same(&value));
                    if !agreed || before.pending.contains_key(name) {
                        let pending = Pending::new(value.clone(), at);
                        let pending = pending.after(before.pending.get(name));
                        record.pending.insert(name.clone(), pending);
                    }
                }
                if !shown.same(&value) {
                    changes.push(FieldChange {
                        field: name.clone(),
                        before: shown.clone(),
                        after: value.clone(),
                        overruled: None,
                    });
                    record
                        .sources
                        .insert(name.clone(), source(Side::Platform, moment, None));
                    record.fields.insert(name.clone(), value);
                }
            }
            Err(problem) => problems.push(problem),
        }
    }
    if let Some(segments) = &edit.segments
        && !is_segmented(before, at)
    {
        record.segments.clone_from(segments);
        // Also where they are the same: an earlier edit that arrives later gives others.
        record.segmented = Some(at);
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let told = Record {
        segmented: before.segmented,
        ..record.clone()
    };
    if told != *before || before.version == 0 {
        record.remember_move(before);
        record.parked = None;
        record.updated_at = moment.now;
        record.change = Some(Change {
            action: Action::Edited,
            run: moment.run.clone(),
            fields: changes,
        });
    } else if record != *before {
        // It is as it was: only how late its segments were given is to be known.
        record.change = None;
    }
    Ok(record)
}

/// Whether a field was edited later than at an instant, or by the edit of that instant.
fn is_edited(record: &Record, name: &FieldName, at: Timestamp) -> bool {
    record.edited.get(name).is_some_and(|last| *last >= at)
}

/// The same of its segments.
fn is_segmented(record: &Record, at: Timestamp) -> bool {
    record.segmented.is_some_and(|last| last >= at)
}

/// Whether all that an edit asks for was taken before, from it or from later ones.
fn is_passed_over(before: &Record, edit: &Edit, at: Timestamp) -> bool {
    let asks = edit.segments.is_some() || !edit.fields.is_empty();
    let mut fields = edit.fields.keys();
    asks && fields.all(|name| is_edited(before, name, at))
        && (edit.segments.is_none() || is_segmented(before, at))
}

/// The value of one edited field, and whether it goes to Zoho.
fn value_of(
    before: &Record,
    name: &FieldName,
    json: &serde_json::Value,
    plan: &FieldPlan,
    settings: &Settings,
) -> Result<(Value, bool), Problem> {
    let object = before.object;
    if name.is_usage() {
        return Err(Problem::field(
            name,
            "usage data is never written to Zoho: keep it on the platform",
        ));
    }
    let kind: FieldType = object
        .core_field(name.as_str())
        .map(|core| core.kind)
        .or_else(|| settings.object(object).custom_fields.get(name).copied())
        .ok_or_else(|| {
            Problem::field(
                name,
                format!("{object} has no such field: declare it in the settings with its type"),
            )
        })?;
    let calculated = &settings.object(object).calculated;
    if calculated.iter().any(|field| field.platform == *name) {
        return Err(Problem::field(
            name,
            "the field is calculated from other records: change those",
        ));
    }
    let mapped = plan.field(name);
    // A creation takes along whatever is mapped, so each of its values is on its way.
    let creates = before.zoho_id.is_none() && settings.creates_in_zoho(object);
    let pushes = mapped.is_some_and(|mapped| mapped.pushes || creates);
    // Until Zoho knows the record, the platform may say what it likes: Zoho's values come over it, or it is created there.
    if mapped.is_some() && !pushes && before.zoho_id.is_some() {
        let remedy = if object.core_field(name.as_str()).is_some() && object != Object::Task {
            "make its mapping editable and switch core_writeback on"
        } else if object == Object::Task {
            "Zoho sets it, or task_writeback is off"
        } else {
            "make its mapping editable"
        };
        return Err(Problem::field(
            name,
            format!("the field comes from Zoho and is not editable: {remedy}"),
        ));
    }
    let value = Value::from_json(kind, json)
        .map_err(|mismatch| Problem::field(name, mismatch.to_string()))?;
    if before.zoho_id.is_none()
        && let Some(mapped) = mapped.filter(|mapped| plan.renames(&before.id, mapped, &value))
    {
        let remedy = match plan.identity_of(&value) {
            Some(other) => format!("edit the {object} {other} instead"),
            None => "leave the field out".to_owned(),
        };
        return Err(Problem::field(
            name,
            format!(
                "{object}s are known by {}, and a new one has its own id there, {}: {remedy}",
                mapped.zoho, before.id
            ),
        ));
    }
    Ok((value, pushes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settings() -> Settings {
        serde_json::from_value(json!({"objects": {"account": {
            "custom_fields": {"tier": "choice", "score": "integer", "plan": "text"},
            "mappings": [
                {"zoho": "Tier", "platform": "tier", "editable": true},
                {"zoho": "Plan", "platform": "plan"}
            ]
        }}}))
        .unwrap()
    }

    fn moment() -> Moment {
        Moment {
            now: Timestamp::from_second(1_000).unwrap(),
            run: None,
        }
    }

    fn linked(object: Object) -> Record {
        let mut record = Record::new(
            "acme".parse().unwrap(),
            object,
            "A-1".parse().unwrap(),
            Timestamp::UNIX_EPOCH,
        );
        record.zoho_id = "1".parse().ok();
        record.version = 3;
        record
    }

    fn edit(fields: serde_json::Value) -> Edit {
        serde_json::from_value(json!({"id": "A-1", "fields": fields})).unwrap()
    }

    fn refused(record: &Record, edit: &Edit) -> Vec<String> {
        let plan = FieldPlan::compile(&settings(), record.object);
        let problems =
            accept(record, edit, moment().now, &plan, &settings(), &moment()).unwrap_err();
        problems
            .into_iter()
            .map(|problem| format!("{:?}", problem.field.map(|field| field.to_string())))
            .collect()
    }

    #[test]
    fn an_editable_field_becomes_pending_and_is_shown_at_once() {
        let plan = FieldPlan::compile(&settings(), Object::Account);
        let after = accept(
            &linked(Object::Account),
            &edit(json!({"tier": "Gold", "score": 7})),
            moment().now,
            &plan,
            &settings(),
            &moment(),
        )
        .unwrap();
        let pending: Vec<_> = after.pending.keys().map(FieldName::as_str).collect();
        assert_eq!(
            pending,
            ["tier"],
            "a field without a mapping stays on the platform"
        );
        assert_eq!(after.fields.len(), 2);
        assert!(after.wants_push());
    }

    #[test]
    fn an_edit_back_to_what_zoho_has_is_no_edit() {
        let plan = FieldPlan::compile(&settings(), Object::Account);
        let mut record = linked(Object::Account);
        record
            .base
            .insert("tier".parse().unwrap(), Value::Text("Gold".into()));
        let after = accept(
            &record,
            &edit(json!({"tier": "Gold"})),
            moment().now,
            &plan,
            &settings(),
            &moment(),
        )
        .unwrap();
        assert!(!after.wants_push());
    }

    #[test]
    fn an_edit_back_to_what_zoho_had_before_the_last_one_goes_there() {
        let mut record = linked(Object::Account);
        let tier: FieldName = "tier".parse().unwrap();
        let text = |text: &str| Value::Text(text.into());
        record.base.insert(tier.clone(), text("Gold"));
        let edits = [(10, "Silver"), (20, "Bronze"), (30, "Gold"), (40, "Gold")];
        for (second, value) in edits {
            record = taken(&record, &edit(json!({ "tier": value })), second);
        }
        let pending = &record.pending[&tier];
        assert_eq!(pending.value, text("Gold"));
        assert_eq!(pending.replaced, [text("Silver"), text("Bronze")]);
    }

    #[test]
    fn a_record_that_zoho_does_not_have_takes_no_identity_but_its_own() {
        let accepts = |key: &str, zoho_id: Option<&str>, email: serde_json::Value| {
            let settings: Settings = serde_json::from_value(json!({
                "contact_external_id": key, "core_writeback": true,
                "objects": {"contact": {"mappings": [{"zoho": "Email", "platform": "email", "editable": true}]}}
            }))
            .unwrap();
            let plan = FieldPlan::compile(&settings, Object::Contact);
            let contact = Record {
                id: "ann@example.com".parse().unwrap(),
                zoho_id: zoho_id.and_then(|id| id.parse().ok()),
                ..linked(Object::Contact)
            };
            let edit = edit(json!({ "email": email }));
            accept(&contact, &edit, moment().now, &plan, &settings, &moment()).is_ok()
        };
        assert!(accepts("Email", None, json!("Ann@Example.com ")));
        assert!(!accepts("Email", None, json!("bob@example.com")));
        assert!(!accepts("Email", None, json!(null)));
        assert!(accepts("Email", Some("1"), json!("bob@example.com")));
        assert!(accepts("Key", None, json!("bob@example.com")));
    }

    #[test]
    fn what_may_not_be_edited_is_refused_by_name() {
        let account = linked(Object::Account);
        assert_eq!(
            refused(
                &account,
                &edit(
                    json!({"name": "x", "nope": 1, "plan": "x", "score": "many", "usage.logins": 1})
                )
            ),
            [
                r#"Some("name")"#,
                r#"Some("nope")"#,
                r#"Some("plan")"#,
                r#"Some("score")"#,
                r#"Some("usage.logins")"#
            ]
        );
        assert_eq!(
            refused(&linked(Object::Deal), &edit(json!({"stage": "Won"}))),
            ["None"]
        );
        assert_eq!(
            refused(
                &account,
                &Edit {
                    if_version: Some(2),
                    ..edit(json!({}))
                }
            ),
            ["None"]
        );
    }

    fn taken(before: &Record, edit: &Edit, second: i64) -> Record {
        let plan = FieldPlan::compile(&settings(), before.object);
        let at = Timestamp::from_second(second).unwrap();
        accept(before, edit, at, &plan, &settings(), &moment()).unwrap()
    }

    fn into(segments: &[&str]) -> Edit {
        serde_json::from_value(json!({"id": "A-1", "segments": segments})).unwrap()
    }

    #[test]
    fn segments_given_later_stay() {
        let put_in = taken(&linked(Object::Account), &into(&["vip"]), 10);
        let taken_out = taken(&put_in, &into(&[]), 20);
        assert!(taken_out.segments.is_empty());
        for late in [10, 19, 20] {
            assert_eq!(taken(&taken_out, &into(&["vip"]), late), taken_out);
        }
        let again = taken(&taken_out, &into(&["vip"]), 21);
        assert_eq!(again.segments, put_in.segments);
    }

    #[test]
    fn segments_that_it_has_already_were_given_all_the_same() {
        let before = linked(Object::Account);
        let after = taken(&before, &into(&[]), 20);
        assert_ne!(after, before);
        assert_eq!(after.change, None, "nothing to say");
        let again = Record {
            segmented: None,
            ..after.clone()
        };
        assert_eq!(again, before, "what is parked stays so");
        assert_eq!(taken(&after, &into(&["vip"]), 10), after);
    }

    #[test]
    fn an_edit_that_comes_again_is_not_refused_for_what_it_did() {
        let edit = Edit {
            if_version: Some(3),
            segments: into(&["vip"]).segments,
            ..edit(json!({"tier": "Gold"}))
        };
        let stored = Record {
            version: 4,
            ..taken(&linked(Object::Account), &edit, 1_000)
        };
        assert_eq!(taken(&stored, &edit, 1_000), stored);
        let later = Record {
            segmented: None,
            ..stored.clone()
        };
        assert_eq!(refused(&later, &edit), ["None"], "a part of it is new");
        let nothing = Edit {
            if_version: Some(3),
            ..self::edit(json!({}))
        };
        assert_eq!(refused(&stored, &nothing), ["None"]);
    }
}
