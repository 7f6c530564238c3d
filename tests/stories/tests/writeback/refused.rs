//! What is never written is refused with its field and its reason (F2, F3, F9, F10).

use serde_json::json;
use tandem::object::Object;

use super::*;

#[tokio::test]
async fn each_kind_of_field_that_is_never_written_is_refused_by_name() {
    let mut settings = editable_and("core_writeback", json!(false));
    let account = &mut settings["objects"]["account"];
    account["custom_fields"]["open_deals"] = json!("integer");
    account["calculated"] = json!([{ "platform": "open_deals", "over": "deal", "value": "count" }]);
    let story = synced(settings).await;
    let (_, id) = one(&story, Object::Account);
    let request = story.latest_request();
    for (field, value, reason) in [
        ("usage.logins", json!(3), "usage data is never written"),
        ("open_deals", json!(3), "calculated"),
        ("name", json!("x"), "core_writeback"),
        ("domain", json!("x.example"), "not editable"),
        ("nothing", json!(1), "no such field"),
    ] {
        let fields = json!({ field: value });
        let answer = story.edit(Object::Account, &id, fields).await.unwrap();
        assert!(!answer.accepted, "{field}");
        let problem = &answer.problems[0];
        assert_eq!(
            problem.field.as_ref().map(|name| name.as_str()),
            Some(field)
        );
        assert!(problem.problem.contains(reason), "{}", problem.problem);
    }
    for object in [Object::Deal, Object::User] {
        let (_, id) = one(&story, object);
        let answer = story
            .edit(object, &id, json!({ "name": "x" }))
            .await
            .unwrap();
        assert!(!answer.accepted);
        let problem = &answer.problems[0].problem;
        assert!(problem.contains("never written"), "{problem}");
    }
    assert_eq!(writes_since(&story, request), Vec::<String>::new());
    // A custom field needs its own flag only.
    let fields = json!({ "health": "4.5" });
    assert!(
        story
            .edit(Object::Account, &id, fields)
            .await
            .unwrap()
            .accepted
    );
    assert_eq!(writes_since(&story, request).len(), 1);
}
