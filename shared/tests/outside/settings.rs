//! Settings documents.

use garble::{cases, json, json_text};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Value;
use tandem::calculation;
use tandem::connection::Connection;
use tandem::mapping::FieldPlan;
use tandem::object::Object;
use tandem::settings::Settings;

use super::full_settings;

#[test]
fn a_number_of_many_digits_means_the_same_after_it_was_stored() {
    let digits = "9".repeat(154);
    let number: Value = serde_json::from_str(&digits).unwrap();
    let read: Value = serde_json::from_str(&number.to_string()).unwrap();
    assert_eq!(read, number);
}

proptest! {
    #![proptest_config(cases(512))]

    /// Settings are refused with a reason, or named by their mistakes, or good: then they mean the same after they were stored.
    #[test]
    fn any_document_is_refused_or_means_one_thing(text in json_text(&[full_settings()])) {
        let settings: Settings = match serde_json::from_str(&text) {
            Ok(settings) => settings,
            Err(error) => {
                prop_assert!(!error.to_string().is_empty());
                return Ok(());
            }
        };
        for problem in settings.problems() {
            prop_assert!(problem.path.starts_with('$') && !problem.problem.is_empty(), "{:?}", problem);
        }
        let stored = serde_json::to_string(&settings).unwrap();
        let read: Settings = serde_json::from_str(&stored).unwrap();
        prop_assert_eq!(&read, &settings);
        // Whatever was stored once is compiled at each sync, mistakes or not.
        for object in Object::ALL {
            let (plan, again) = (FieldPlan::compile(&settings, object), FieldPlan::compile(&read, object));
            prop_assert_eq!(plan.digest, again.digest);
            prop_assert!(!plan.columns().is_empty());
        }
        let connection = Connection::new("acme".parse().unwrap(), "Acme".into(), Timestamp::UNIX_EPOCH);
        let _ = calculation::Plan::compile(&settings, &connection);
    }

    /// Who is told of a mistake is told where.
    #[test]
    fn a_mistake_has_a_place(document in json(&[full_settings()])) {
        let Err(error) = serde_path_to_error::deserialize::<_, Settings>(&document) else {
            return Ok(());
        };
        let told = format!("{}: {}", error.path(), error.inner());
        prop_assert!(told.len() > 3, "{}", told);
    }
}
