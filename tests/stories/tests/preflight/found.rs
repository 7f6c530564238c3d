//! Findings, each caused in the simulated organisation.

use serde_json::json;
use stories::Story;
use tandem::finding::{Code, Permission, Severity};
use tandem::flow::preflight;
use tandem::journal::Outcome;
use tandem::oauth;
use tandem::object::Object;
use tandem::port::Coordination as _;
use zoho_sim::OrganisationSpec;
use zoho_sim::faults::Fault;

use super::{codes, connection, look, only, plain, tidy};

#[tokio::test]
async fn of_a_tidy_organisation_only_doubts_are_told() {
    let story = plain().await;
    let found = look(&story).await;
    assert!(!found.has_problems() && !found.blocks(), "{found:#?}");
    assert_eq!(found.visible.len(), 4);
    let licence = found.licence.as_ref().unwrap();
    assert_eq!(licence.edition, "enterprise");
    assert!(licence.daily_credits > 50_000);
    let kept = story.world.store.preflight(&story.connection()).await;
    assert_eq!(kept.unwrap(), Some(found));
    assert_eq!(story.log("preflight").len(), 1);
}

#[tokio::test]
async fn a_scope_that_lacks_is_named() {
    for scope in oauth::SCOPES {
        let story = plain().await;
        let organisation = story.organisation;
        story
            .zoho
            .model()
            .oauth
            .revoke_scope(organisation, scope.name);
        let found = look(&story).await;
        if !scope.name.ends_with("READ") {
            // Only a write would tell, and a preflight writes nothing.
            assert!(!found.has_problems(), "{scope:?}");
            continue;
        }
        let finding = only(&found, Code::ScopeMissing);
        assert_eq!(finding.scope.as_deref(), Some(scope.name));
        assert_eq!(finding.severity, Severity::Blocking);
        assert!(finding.what.contains(scope.needed_for), "{finding:?}");
        assert!(finding.remedy.contains("connect_url"), "{finding:?}");
    }
}

#[tokio::test]
async fn every_field_that_the_sync_hangs_on_is_missed_when_it_is_hidden() {
    let settings = || {
        json!({ "task_mark": "Task_Reference", "objects": {
            "account": {
                "filter": { "where": { "field": "Customer_Status", "comparator": "equal", "value": "Active" } },
                "custom_fields": { "health": "decimal" },
                "mappings": [{ "zoho": "Health_Score", "platform": "health", "editable": true }]
            }
        } })
    };
    let blocking = [
        ("Accounts", "External_ID", Code::ExternalIdMissing),
        ("Accounts", "Modified_Time", Code::ModifiedTimeHidden),
        ("Accounts", "Customer_Status", Code::FilterFieldMissing),
    ];
    let others = [
        ("Accounts", "Health_Score", Code::FieldMissing),
        ("Contacts", "Email", Code::ExternalIdMissing),
        ("Contacts", "Modified_Time", Code::ModifiedTimeHidden),
        ("Contacts", "Account_Name", Code::FieldMissing),
        ("Deals", "Modified_Time", Code::ModifiedTimeHidden),
        ("Tasks", "Task_Reference", Code::TaskMarkMissing),
    ];
    let severe = blocking.map(|what| (what, Severity::Blocking));
    let less = others.map(|what| (what, Severity::Problem));
    for ((module, field, code), severity) in severe.into_iter().chain(less) {
        let story = tidy(settings()).await;
        story.zoho_hides(module, field, true).unwrap();
        let found = look(&story).await;
        let finding = only(&found, code);
        assert_eq!(finding.severity, severity, "{finding:?}");
        assert_eq!(finding.module(), Some(module));
        assert_eq!(finding.field.as_deref(), Some(field));
        assert_eq!(finding.permission, Some(Permission::ViewField));
        assert_eq!(found.blocks(), severity == Severity::Blocking);
        assert_eq!(found.findings[0], *finding, "the gravest comes first");
    }
}

#[tokio::test]
async fn a_field_that_is_to_be_written_and_cannot_be_is_named() {
    let story = tidy(json!({ "objects": { "account": {
        "custom_fields": { "made": "instant" },
        "mappings": [{ "zoho": "Created_Time", "platform": "made", "direction": "both" }]
    } } }))
    .await;
    let found = look(&story).await;
    let finding = only(&found, Code::FieldNotWritable);
    assert_eq!(finding.field.as_deref(), Some("Created_Time"));
    assert_eq!(finding.permission, Some(Permission::EditField));
}

#[tokio::test]
async fn a_module_that_is_switched_off_is_one_finding() {
    for (module, object, severity) in [
        ("Accounts", Object::Account, Severity::Blocking),
        ("Deals", Object::Deal, Severity::Problem),
        ("Tasks", Object::Task, Severity::Problem),
    ] {
        let story = plain().await;
        story.zoho_disables(module, true).unwrap();
        let found = look(&story).await;
        let finding = only(&found, Code::ModuleUnreadable);
        assert_eq!((finding.object, finding.severity), (Some(object), severity));
        assert_eq!(finding.permission, Some(Permission::ViewModule));
        assert!(!codes(&found).contains(&Code::FieldsUnreadable));
    }
}

#[tokio::test]
async fn what_a_profile_forbids_is_named() {
    for (path, code, permission) in [
        (
            "/org",
            Code::OrganisationUnreadable,
            Permission::ViewOrganisation,
        ),
        ("/users", Code::UsersUnreadable, Permission::ViewUsers),
        (
            "/settings/fields",
            Code::FieldsUnreadable,
            Permission::ViewModule,
        ),
    ] {
        let story = plain().await;
        story.zoho.model().faults.fail(Fault {
            path: path.to_owned(),
            status: 403,
            ..Fault::default()
        });
        let found = look(&story).await;
        let finding = only(&found, code);
        assert_eq!(finding.permission, Some(permission));
        assert_eq!(finding.severity, Severity::Problem);
        assert!(finding.what.contains("NO_PERMISSION"), "{finding:?}");
        assert!(found.licence.is_some() != (path == "/org"));
    }
}

#[tokio::test]
async fn an_edition_with_few_credits_is_told() {
    let spec = OrganisationSpec {
        edition: zoho_sim::limits::Edition::Free,
        unique_external_id: true,
        ..OrganisationSpec::small(7)
    };
    let story = Story::begin_with(&spec, json!({})).await.unwrap();
    let found = look(&story).await;
    let finding = only(&found, Code::FewCredits);
    assert!(finding.what.contains("free") && finding.what.contains("5,000"));
}

#[tokio::test]
async fn an_organisation_whose_accounts_nobody_sees_is_told() {
    let spec = OrganisationSpec {
        contacts: Some(0),
        deals: Some(0),
        tasks: Some(0),
        accounts: 0,
        ..OrganisationSpec::small(7)
    };
    let story = Story::begin_with(&spec, json!({})).await.unwrap();
    assert_eq!(
        only(&look(&story).await, Code::NoAccounts).severity,
        Severity::Warning
    );
}

#[tokio::test]
async fn what_runs_already_stays_on_and_says_so() {
    let story = plain().await;
    story.zoho_hides("Accounts", "External_ID", true).unwrap();
    let found = preflight::run(&story.ports(), &connection(&story).await)
        .await
        .unwrap();
    assert!(found.blocks());
    assert_eq!(
        connection(&story).await.status,
        tandem::connection::Status::Enabled
    );
    let lines = story.log("preflight");
    assert_eq!(lines[0].outcome, Outcome::Warned);
    let reason = lines[0].reason.as_ref().unwrap();
    assert!(reason.contains("stays on"), "{reason}");
}
