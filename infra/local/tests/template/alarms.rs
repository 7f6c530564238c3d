//! Every alarm is about something that happens, and reaches somebody.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tandem::edge::telemetry;
use tandem::flow::alarm;
use tandem::object::Object;
use tandem_local::{FUNCTIONS, QUEUES};

use super::{Template, logical};

#[test]
fn alarms_reach_whoever_was_named() {
    let template = Template::load();
    let alarms = template.of_type("AWS::CloudWatch::Alarm");
    let silent = template.scheduled().len();
    assert_eq!(
        alarms.len(),
        2 * QUEUES.len() + 2 * FUNCTIONS.len() + alarm_lines().len() + silent
    );
    for (name, alarm) in alarms {
        assert_eq!(
            alarm["AlarmActions"]["Fn::If"][0], "HasAlarmTopic",
            "{name}"
        );
        let missing = match name.ends_with("SilentAlarm") {
            true => "breaching",
            false => "notBreaching",
        };
        assert_eq!(alarm["TreatMissingData"], missing, "{name}");
        assert!(alarm["AlarmDescription"].is_string(), "{name}");
    }
}

#[test]
fn a_schedule_that_does_not_fire_is_an_alarm() {
    let template = Template::load();
    let scheduled = template.scheduled();
    assert_eq!(scheduled, ["FullSyncFunction", "PollerFunction"]);
    for function in scheduled {
        let name = function.replace("Function", "SilentAlarm");
        let alarm = template.properties(&name);
        assert_eq!(alarm["MetricName"], "Invocations");
        assert_eq!(alarm["Dimensions"][0]["Value"]["Ref"], function);
        assert_eq!(alarm["ComparisonOperator"], "LessThanThreshold");
        assert_eq!(
            (&alarm["Threshold"], &alarm["Period"]),
            (&json!(1), &json!(3_600))
        );
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The lines of the functions' own logs that alarms count, as the code writes them, one of each kind.
fn alarm_lines() -> Vec<Value> {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = telemetry::subscriber("info", move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        let acme = "acme".parse().unwrap();
        alarm::edit_parked(&acme, Object::Deal, "RECORD_LOCKED");
        alarm::needs_reconnect(&acme, "the grant was revoked");
        alarm::full_sync_incomplete(&acme, &"01JD8QK3ZV5W7Y0B2C4E6G8H9J".parse().unwrap());
        tracing::warn!(connection.id = "acme", "nothing that an alarm counts");
    });
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (counted, others): (Vec<_>, Vec<_>) = lines
        .into_iter()
        .partition(|line| line["alarm"].is_string());
    assert_eq!(others.len(), 1, "an ordinary line is not counted");
    counted
}

/// What a pattern of the kind `{ $.field = "*" }` selects of a line: the field, where it is a text.
fn selected<'a>(pattern: &str, line: &'a Value) -> Option<&'a str> {
    let field = pattern
        .strip_prefix("{ $.")
        .and_then(|rest| rest.strip_suffix(" = \"*\" }"))
        .unwrap_or_else(|| panic!("{pattern} is no pattern of the kind that this test knows"));
    line[field].as_str()
}

#[test]
fn every_function_s_alarm_lines_are_counted() {
    let template = Template::load();
    let filters = template.of_type("AWS::Logs::MetricFilter");
    assert_eq!(filters.len(), FUNCTIONS.len());
    for name in FUNCTIONS {
        let filter = template.properties(&format!("{}AlarmLines", logical(name)));
        assert_eq!(
            filter["LogGroupName"]["Ref"],
            format!("{}Logs", logical(name))
        );
        let pattern = filter["FilterPattern"].as_str().unwrap();
        for line in alarm_lines() {
            let word = selected(pattern, &line).unwrap();
            assert_eq!(line["alarm"], word);
        }
        assert_eq!(selected(pattern, &json!({ "message": "done" })), None);
        let counted = &filter["MetricTransformations"][0];
        assert_eq!(counted["MetricValue"], "1");
        assert_eq!(
            counted["Dimensions"],
            json!([{ "Key": "Alarm", "Value": "$.alarm" }])
        );
        // CloudWatch refuses a default value beside dimensions.
        assert!(counted["DefaultValue"].is_null());
    }
}

#[test]
fn each_kind_of_alarm_line_has_its_alarm() {
    let template = Template::load();
    let counted = &template.properties("ConsoleAlarmLines")["MetricTransformations"][0];
    let alarms: Vec<&Value> = template
        .of_type("AWS::CloudWatch::Alarm")
        .into_iter()
        .map(|(_, alarm)| alarm)
        .filter(|alarm| alarm["MetricName"] == counted["MetricName"])
        .collect();
    let words: BTreeSet<&str> = alarms
        .iter()
        .map(|alarm| {
            assert_eq!(alarm["Namespace"], counted["MetricNamespace"]);
            assert_eq!(
                (&alarm["Statistic"], &alarm["Threshold"]),
                (&json!("Sum"), &json!(0))
            );
            let dimensions = alarm["Dimensions"].as_array().unwrap();
            assert_eq!(dimensions.len(), 1);
            assert_eq!(dimensions[0]["Name"], counted["Dimensions"][0]["Key"]);
            dimensions[0]["Value"].as_str().unwrap()
        })
        .collect();
    let lines = alarm_lines();
    let logged: BTreeSet<&str> = lines
        .iter()
        .map(|line| line["alarm"].as_str().unwrap())
        .collect();
    assert_eq!(words, logged);
    assert_eq!(alarms.len(), lines.len());
}
