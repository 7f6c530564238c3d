//! Items to store.

use jiff::{SignedDuration, Timestamp};
use tandem::connection::{Connection, Status};
use tandem::data_centre::Environment;
use tandem::finding::{Code, Finding, Permission, Severity};
use tandem::identifier::{ConnectionId, Digest, FieldName, PlatformId, RunId, ZohoId};
use tandem::object::Object;
use tandem::preflight::{Coverage, Filled, Licence, Preflight, Shared};
use tandem::record::{Candidate, Dependants, Link, Pending, Record, RemovalReason, Standing};
use tandem::value::{Reference, Value};

/// Ids of differing digit counts, in their order as integers; as text they would be in another.
pub(crate) const NUMBERS: [u64; 10] = [
    9,
    10,
    99,
    100,
    101,
    1_000,
    4_876_876_000_000_333_001,
    9_999_999_999_999_999_999,
    10_000_000_000_000_000_000,
    u64::MAX - 1,
];

pub(crate) fn zoho(number: u64) -> ZohoId {
    number.to_string().parse().unwrap()
}

pub(crate) fn platform(id: &str) -> PlatformId {
    id.parse().unwrap()
}

pub(crate) fn field(name: &str) -> FieldName {
    name.parse().unwrap()
}

/// A run's id; runs are in the order of `number`.
pub(crate) fn run(now: Timestamp, number: u64) -> RunId {
    let milliseconds = u64::try_from(now.as_millisecond()).unwrap();
    RunId::new(milliseconds + number, u128::from(number))
}

pub(crate) fn enabled(id: ConnectionId, now: Timestamp, due: Timestamp) -> Connection {
    Connection {
        status: Status::Enabled,
        routine_due_at: Some(due),
        ..Connection::new(id, "Acme".into(), now)
    }
}

pub(crate) fn record(
    connection: &ConnectionId,
    object: Object,
    id: &str,
    now: Timestamp,
) -> Record {
    Record::new(connection.clone(), object, platform(id), now)
}

pub(crate) fn text(record: &mut Record, name: &str, value: &str) {
    let value = Value::Text(value.to_owned());
    record.fields.insert(field(name), value);
}

/// Ties a record to an account.
pub(crate) fn of_account(record: &mut Record, account: &str) {
    let reference = Reference {
        object: Object::Account,
        zoho_id: None,
        platform_id: Some(platform(account)),
    };
    let value = Value::Reference(reference);
    record.fields.insert(field("account"), value);
}

/// Gives a record an edit that Zoho does not have yet.
pub(crate) fn edit(record: &mut Record, name: &str, at: Timestamp) {
    let value = Value::Text("edited".to_owned());
    record.pending.insert(field(name), Pending::new(value, at));
}

pub(crate) fn dependants(number: u64) -> Dependants {
    match number % 4 {
        0 => Dependants::Due,
        1 => Dependants::Asked,
        2 => Dependants::Again(number.into()),
        _ => Dependants::LeftTo(RunId::new(number, number.into())),
    }
}

pub(crate) fn link(connection: &ConnectionId, object: Object, number: u64) -> Link {
    Link {
        connection: connection.clone(),
        object,
        zoho_id: zoho(number),
        standing: Standing::Linked(platform(&format!("p-{number}"))),
        hash: Digest::of(&number.to_be_bytes()),
        in_scope: number.is_multiple_of(2),
        dependants: dependants(number),
    }
}

pub(crate) fn candidate(
    connection: &ConnectionId,
    object: Object,
    number: u64,
    found: RunId,
) -> Candidate {
    Candidate {
        connection: connection.clone(),
        object,
        zoho_id: zoho(number),
        platform_id: platform(&format!("p-{number}")),
        run: found,
        reason: RemovalReason::Gone,
        held: false,
    }
}

/// A preflight with something of everything.
pub(crate) fn preflight(settings: u64, at: Timestamp) -> Preflight {
    let finding = Finding {
        scope: Some("ZohoCRM.org.READ".into()),
        field: Some("External_ID".into()),
        permission: Some(Permission::ViewField),
        examples: vec!["A-1".into(), String::new()],
        ..Finding::new(
            Code::ExternalIdShared,
            Severity::Warning,
            "37 values are shared",
            "mend it",
        )
    };
    let filled = |shared| Filled {
        records: u64::MAX,
        filled: 0,
        shared,
    };
    Preflight {
        at,
        settings,
        findings: vec![
            finding.of(Object::Account),
            Finding::new(Code::NotLookedAt, Severity::Blocking, "", ""),
        ],
        visible: vec![(Object::Account, 5_000), (Object::Task, 0)],
        coverage: vec![Coverage {
            object: Object::Contact,
            field: "Email".into(),
            unique: true,
            all: filled(Some(Shared {
                values: 37,
                records: 80,
                compared: 10_000,
                complete: false,
                examples: vec!["ünïcode".into()],
            })),
            in_scope: Some(filled(None)),
        }],
        licence: Some(Licence {
            edition: "Enterprise".into(),
            users: 12,
            daily_credits: 62_000,
        }),
        environment: Environment::Sandbox,
        credits: 42,
    }
}

/// Far enough away that nothing expires while the contract is checked.
pub(crate) fn expiry(now: Timestamp) -> Timestamp {
    now + SignedDuration::from_hours(24 * 30)
}
