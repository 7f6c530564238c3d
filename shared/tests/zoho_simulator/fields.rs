//! Every field of an organisation is read and written as its metadata promises.

use tandem::convert;
use tandem::metadata::{self, Severity};
use tandem::settings::Settings;
use tandem::value::{FieldType, Value as Platform};
use tandem::zoho_field::{FieldInfo, Fit};

use super::*;

const OBJECTS: [Object; 4] = [Object::Account, Object::Contact, Object::Deal, Object::Task];

const KINDS: [FieldType; 15] = [
    FieldType::Text,
    FieldType::Integer,
    FieldType::Decimal,
    FieldType::Boolean,
    FieldType::Date,
    FieldType::Instant,
    FieldType::Choice,
    FieldType::Choices,
    FieldType::Email,
    FieldType::Phone,
    FieldType::Url,
    FieldType::Reference(Object::User),
    FieldType::Reference(Object::Account),
    FieldType::Reference(Object::Contact),
    FieldType::Reference(Object::Deal),
];

async fn fields(world: &World, object: Object) -> Vec<FieldInfo> {
    let reply = world.crm.fields(&world.caller, object).await;
    reply.unwrap().value
}

async fn rows(world: &World, object: Object, columns: Vec<String>) -> Vec<Row> {
    let select = Select {
        object,
        columns,
        which: Which::IdRange {
            after: ZohoId::MIN,
            to: ZohoId::MAX,
        },
        limit: 200,
    };
    let reply = world.crm.select(&world.caller, &select).await;
    reply.unwrap().value.rows
}

#[tokio::test]
async fn every_value_that_fits_is_read() {
    let world = World::new(OrganisationSpec::small(11)).await;
    for object in OBJECTS {
        let fields = fields(&world, object).await;
        let readable = fields.iter().filter(|field| field.unreadable().is_none());
        let names: Vec<_> = readable
            .clone()
            .map(|field| field.api_name.clone())
            .collect();
        let rows = rows(&world, object, names).await;
        assert!(!rows.is_empty());
        for field in readable {
            let fitting: Vec<_> = KINDS
                .into_iter()
                .filter(|kind| field.fits_pull(*kind) == Fit::Fits)
                .collect();
            assert!(
                !fitting.is_empty() || field.length == Some(50_000),
                "{object} {field:?}"
            );
            for (kind, row) in fitting
                .iter()
                .flat_map(|kind| rows.iter().map(move |row| (kind, row)))
            {
                let read = convert::pull(*kind, row, &field.api_name);
                assert!(read.is_ok(), "{object} {field:?} {kind:?}: {read:?}");
            }
        }
    }
}

#[tokio::test]
async fn every_value_that_is_written_is_taken_and_reads_back() {
    let world = World::new(OrganisationSpec::small(12)).await;
    for object in OBJECTS.into_iter().filter(|object| object.is_writable()) {
        let fields = fields(&world, object).await;
        let written: Vec<(&FieldInfo, FieldType)> = fields
            .iter()
            // The field that names its module goes with it; writeback's own tests look at that.
            .filter(|field| !field.read_only && field.api_name != "What_Id")
            .filter_map(|field| {
                let fits = |kind: &FieldType| {
                    // Records may name users who are no more, whom nobody can write.
                    *kind != FieldType::Reference(Object::User)
                        && field.fits_pull(*kind) == Fit::Fits
                        && field.fits_push(*kind) == Fit::Fits
                };
                Some((field, KINDS.into_iter().find(fits)?))
            })
            .collect();
        assert!(written.len() > 5, "{object}");
        let names: Vec<_> = written
            .iter()
            .map(|(field, _)| field.api_name.clone())
            .collect();
        let before = rows(&world, object, names.clone()).await;
        let values_of = |row: &Row| -> Vec<Platform> {
            let read = |(field, kind): &(&FieldInfo, FieldType)| {
                convert::pull(*kind, row, &field.api_name).unwrap()
            };
            written.iter().map(read).collect()
        };
        for row in before.iter().take(20) {
            let values = values_of(row);
            let out: Outgoing = names
                .iter()
                .zip(&values)
                .map(|(name, value)| (name.clone(), convert::push(value).unwrap()))
                .collect();
            let update = [(row.id, out)];
            let outcomes = world
                .crm
                .update(&world.caller, object, &update, &[], None)
                .await;
            let outcome = &outcomes.unwrap().value[0];
            assert!(outcome.is_ok(), "{object}: {outcome:?}");
            let after = rows(&world, object, names.clone()).await;
            let after = after.iter().find(|other| other.id == row.id).unwrap();
            assert_eq!(values_of(after), values, "{object}");
        }
    }
}

#[tokio::test]
async fn settings_are_held_against_what_the_organisation_has() {
    let spec = OrganisationSpec {
        unique_external_id: true,
        ..OrganisationSpec::small(13)
    };
    let world = World::new(spec).await;
    let settings: Settings = serde_json::from_value(json!({
        "account_external_id": "External_ID",
        "core_writeback": true,
        "task_mark": "Task_Reference",
        "objects": {
            "account": {
                "filter": {"where": {"field": "Customer_Status", "comparator": "equal", "value": "Active"}},
                "custom_fields": {
                    "health": "decimal", "status": "choice", "interests": "choices", "total": "decimal", "age": "decimal",
                    "manager": {"reference": "user"}, "billing": {"reference": "contact"}, "serial": "text", "tags": "choices"
                },
                "mappings": [
                    {"zoho": "Health_Score", "platform": "health", "editable": true},
                    {"zoho": "Customer_Status", "platform": "status", "editable": true},
                    {"zoho": "Interests", "platform": "interests", "editable": true},
                    {"zoho": "Deal_Total", "platform": "total"},
                    {"zoho": "Age_In_Days", "platform": "age"},
                    {"zoho": "Success_Manager", "platform": "manager", "editable": true},
                    {"zoho": "Billing_Contact", "platform": "billing", "editable": true},
                    {"zoho": "Serial", "platform": "serial"},
                    {"zoho": "Tag", "platform": "tags"},
                    {"zoho": "Employees", "platform": "employees", "editable": true},
                    {"zoho": "Annual_Revenue", "platform": "annual_revenue", "editable": true}
                ]
            },
            "contact": {"mappings": [{"zoho": "Phone", "platform": "phone", "editable": true}]},
            "deal": {
                "filter": {"where": {"field": "Closing_Date", "comparator": "greater_than", "value": "2020-01-01"}},
                "custom_fields": {"account_status": "text"},
                "mappings": [
                    {"zoho": "Account_Status", "platform": "account_status"},
                    {"zoho": "Probability", "platform": "probability"}
                ]
            }
        }
    }))
    .unwrap();
    assert_eq!(settings.problems(), []);
    for object in OBJECTS {
        let found = metadata::check(&settings, object, &fields(&world, object).await);
        let problems: Vec<_> = found
            .iter()
            .filter(|finding| finding.severity != Severity::Warning)
            .collect();
        assert!(problems.is_empty(), "{object}: {problems:?}");
    }
    let mut wrong = settings.clone();
    let account = wrong.objects.get_mut(&Object::Account).unwrap();
    for (mapping, zoho) in account.mappings.iter_mut().zip([
        "Age_In_Days",
        "Serial",
        "Decision_Makers",
        "Installed_Products",
        "Created_Time",
        "Billing_Contact",
        "Success_Manager",
    ]) {
        mapping.zoho = zoho.parse().unwrap();
    }
    let found = metadata::check(
        &wrong,
        Object::Account,
        &fields(&world, Object::Account).await,
    );
    let mut places: Vec<_> = found
        .iter()
        .filter(|finding| finding.severity != Severity::Warning)
        .filter_map(|finding| {
            finding
                .place
                .as_deref()?
                .strip_prefix("$.objects.account.mappings")
        })
        .collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(
        places,
        [
            "[0].zoho", "[1].zoho", "[2].zoho", "[3].zoho", "[4].zoho", "[5].zoho", "[6].zoho"
        ]
    );
}
