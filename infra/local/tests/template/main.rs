//! Rules about the template that its linter does not know.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

mod alarms;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Value, json};
use tandem_local::{FUNCTIONS, QUEUES, project_directory};

/// Every action a policy may grant. Misspelt actions and new ones fail until they are added here with care.
const ACTIONS: [&str; 19] = [
    "dynamodb:BatchGetItem",
    "dynamodb:BatchWriteItem",
    "dynamodb:DeleteItem",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "secretsmanager:CreateSecret",
    "secretsmanager:DeleteSecret",
    "secretsmanager:GetSecretValue",
    "secretsmanager:PutSecretValue",
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
    "sqs:SendMessage*",
    "sts:AssumeRole",
];

struct Template(Value);

impl Template {
    fn load() -> Self {
        let text = fs::read_to_string(project_directory().join("infra/template.yaml")).unwrap();
        Self(plain(&Yaml::load_from_str(&text).unwrap()[0]))
    }

    fn resource(&self, name: &str) -> &Value {
        let resource = &self.0["Resources"][name];
        assert!(resource.is_object(), "there is no resource {name}");
        resource
    }

    fn properties(&self, name: &str) -> &Value {
        &self.resource(name)["Properties"]
    }

    fn of_type(&self, kind: &str) -> Vec<(&str, &Value)> {
        let resources = self.0["Resources"].as_object().unwrap().iter();
        let found = resources.filter(|(_, resource)| resource["Type"] == kind);
        found
            .map(|(name, resource)| (name.as_str(), &resource["Properties"]))
            .collect()
    }

    /// The functions that a schedule starts.
    fn scheduled(&self) -> Vec<&str> {
        let functions = self.of_type("AWS::Serverless::Function").into_iter();
        let mut scheduled: Vec<&str> = functions
            .filter(|(_, function)| {
                let events = function["Events"].as_object().into_iter();
                events
                    .flat_map(Map::values)
                    .any(|event| event["Type"] == "Schedule")
            })
            .map(|(name, _)| name)
            .collect();
        scheduled.sort_unstable();
        scheduled
    }

    /// Every statement a function's role holds, its own and those of the shared policies.
    fn statements(&self, function: &str) -> Vec<&Value> {
        let role = self.properties(&format!("{function}Role"));
        let own = role["Policies"]
            .as_array()
            .unwrap()
            .iter()
            .map(|policy| &policy["PolicyDocument"]);
        let shared = role["ManagedPolicyArns"].as_array().into_iter().flatten();
        let shared = shared.map(|policy| {
            let name = policy["Ref"]
                .as_str()
                .unwrap_or_else(|| panic!("{function} uses the foreign policy {policy}"));
            &self.properties(name)["PolicyDocument"]
        });
        own.chain(shared)
            .flat_map(|document| document["Statement"].as_array().unwrap())
            .collect()
    }

    /// What a function may do, as pairs of action and resource.
    fn grants(&self, function: &str) -> BTreeSet<(String, String)> {
        let statements = self.statements(function);
        let pairs = statements.iter().flat_map(|statement| {
            let resources = many(&statement["Resource"]);
            many(&statement["Action"])
                .into_iter()
                .flat_map(move |action| {
                    resources.clone().into_iter().map(move |resource| {
                        (action.as_str().unwrap().to_owned(), target(&resource))
                    })
                })
        });
        pairs.collect()
    }

    /// The resources on which a function may do something.
    fn may(&self, function: &str, action: &str) -> BTreeSet<String> {
        self.grants(function)
            .into_iter()
            .filter(|(granted, _)| granted == action)
            .map(|(_, resource)| resource)
            .collect()
    }
}

/// `!Ref a` becomes `{"Ref": "a"}` and `!Sub a` `{"Fn::Sub": "a"}`, as in a template written in JSON.
fn plain(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(truth)) => json!(truth),
        Yaml::Value(Scalar::Integer(number)) => json!(number),
        Yaml::Value(Scalar::FloatingPoint(number)) => json!(number.into_inner()),
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Representation(text, ..) => json!(text),
        Yaml::Sequence(items) => items.iter().map(plain).collect(),
        Yaml::Mapping(fields) => {
            let fields = fields
                .iter()
                .map(|(name, value)| (plain(name).as_str().unwrap().to_owned(), plain(value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Yaml::Tagged(tag, inner) => {
            let name = tag.suffix.trim_start_matches('!');
            let name = if ["Ref", "Condition"].contains(&name) {
                name.to_owned()
            } else {
                format!("Fn::{name}")
            };
            json!({ name: plain(inner) })
        }
        Yaml::Alias(_) | Yaml::BadValue => panic!("CloudFormation takes no such YAML: {yaml:?}"),
    }
}

fn many(value: &Value) -> Vec<Value> {
    value
        .as_array()
        .cloned()
        .unwrap_or_else(|| vec![value.clone()])
}

/// A resource of a policy in short: `StateTable`, `StateTable/index/by-full-due`, `secret/operator-??????`, `PollerLogs`.
fn target(resource: &Value) -> String {
    const SECRET: &str = "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${AWS::StackName}/";
    if let Some(attribute) = resource["Fn::GetAtt"].as_str() {
        return attribute.strip_suffix(".Arn").unwrap().to_owned();
    }
    let text = resource["Fn::Sub"]
        .as_str()
        .unwrap_or_else(|| panic!("{resource} is not a resource of this stack"));
    match text.strip_prefix(SECRET) {
        Some(secret) => format!("secret/{secret}"),
        None => text
            .strip_prefix("${")
            .unwrap_or_else(|| panic!("{text} is not of this stack"))
            .replacen(".Arn}", "", 1),
    }
}

/// `worker-accounts` is `WorkerAccounts`.
fn logical(name: &str) -> String {
    name.split('-')
        .map(|part| part[..1].to_uppercase() + &part[1..])
        .collect()
}

/// The queue that starts a function, if one does.
fn source(function: &str) -> Option<&str> {
    QUEUES
        .into_iter()
        .find(|queue| function == *queue || function == format!("worker-{queue}"))
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn every_function_has_its_code_role_and_log_group() {
    let template = Template::load();
    assert_eq!(
        template.of_type("AWS::Serverless::Function").len(),
        FUNCTIONS.len()
    );
    for name in FUNCTIONS {
        let function = template.properties(&format!("{}Function", logical(name)));
        assert_eq!(function["CodeUri"], format!("../target/lambda/{name}/"));
        assert_eq!(
            function["FunctionName"]["Fn::Sub"],
            format!("${{AWS::StackName}}-{name}")
        );
        assert_eq!(
            function["Role"]["Fn::GetAtt"],
            format!("{}Role.Arn", logical(name))
        );
        assert_eq!(
            function["LoggingConfig"]["LogGroup"]["Ref"],
            format!("{}Logs", logical(name))
        );
        assert!(
            template.properties(&format!("{}Logs", logical(name)))["RetentionInDays"].is_object()
        );
        for kind in ["Errors", "Throttles"] {
            template.resource(&format!("{}{kind}Alarm", logical(name)));
        }
    }
}

#[test]
fn the_poller_ticks_at_the_quarters_of_the_clock_and_the_planner_hourly() {
    let template = Template::load();
    let mut schedules = BTreeMap::new();
    for (name, function) in template.of_type("AWS::Serverless::Function") {
        let events = function["Events"].as_object().into_iter();
        for event in events.flat_map(Map::values) {
            if event["Type"] == "Schedule" {
                schedules.insert(name, event["Properties"]["Schedule"].as_str().unwrap());
            }
        }
    }
    assert_eq!(
        schedules,
        BTreeMap::from([
            ("PollerFunction", "cron(0/15 * * * ? *)"),
            ("FullSyncFunction", "rate(1 hour)")
        ])
    );
}

#[test]
fn every_queue_has_dead_letters_alarms_encryption_and_enough_visibility() {
    let template = Template::load();
    for name in QUEUES {
        let queue = template.properties(&format!("{}Queue", logical(name)));
        let dead_letters = template.properties(&format!("{}DeadLetters", logical(name)));
        let redrive = &queue["RedrivePolicy"];
        assert_eq!(
            redrive["deadLetterTargetArn"]["Fn::GetAtt"],
            format!("{}DeadLetters.Arn", logical(name))
        );
        assert_eq!(redrive["maxReceiveCount"], 5);
        assert_eq!(dead_letters["MessageRetentionPeriod"], 14 * 24 * 60 * 60);
        // A dead letter keeps the time at which it was first sent.
        assert!(
            dead_letters["MessageRetentionPeriod"].as_u64()
                > queue["MessageRetentionPeriod"].as_u64()
        );
        for queue in [queue, dead_letters] {
            assert_eq!(queue["SqsManagedSseEnabled"], true);
            assert_ne!(queue["FifoQueue"], true);
        }
        for (alarm, of) in [("DeadLettersAlarm", "DeadLetters"), ("AgeAlarm", "Queue")] {
            let alarm = template.properties(&format!("{}{alarm}", logical(name)));
            assert_eq!(
                alarm["Dimensions"][0]["Value"]["Fn::GetAtt"],
                format!("{}{of}.QueueName", logical(name))
            );
        }
    }
    for name in FUNCTIONS {
        let Some(queue) = source(name) else { continue };
        let function = template.properties(&format!("{}Function", logical(name)));
        let event = &function["Events"]["Message"]["Properties"];
        assert_eq!(
            event["Queue"]["Fn::GetAtt"],
            format!("{}Queue.Arn", logical(queue))
        );
        assert_eq!(
            event["FunctionResponseTypes"],
            json!(["ReportBatchItemFailures"])
        );
        assert!(event["ScalingConfig"]["MaximumConcurrency"].as_u64() >= Some(2));
        assert!(
            event["BatchSize"].as_u64() <= Some(10)
                || event["MaximumBatchingWindowInSeconds"].as_u64() >= Some(1)
        );
        let visibility =
            template.properties(&format!("{}Queue", logical(queue)))["VisibilityTimeout"]
                .as_u64()
                .unwrap();
        assert!(
            visibility >= 6 * function["Timeout"].as_u64().unwrap(),
            "{name}: a message comes back while it is worked on"
        );
    }
}

#[test]
fn only_the_console_is_told_where_dead_letters_wait() {
    let template = Template::load();
    for (name, function) in template.of_type("AWS::Serverless::Function") {
        let own = function["Environment"]["Variables"].as_object();
        let own: BTreeMap<&str, &Value> = own
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), value))
            .collect();
        let expected = QUEUES.map(|queue| {
            let variable = format!("TANDEM_{}_DEAD_LETTERS_URL", queue.to_uppercase());
            (
                variable,
                json!({ "Ref": format!("{}DeadLetters", logical(queue)) }),
            )
        });
        let expected = match name {
            "ConsoleFunction" => expected
                .iter()
                .map(|(name, value)| (name.as_str(), value))
                .collect(),
            _ => BTreeMap::new(),
        };
        assert_eq!(own, expected, "{name}");
    }
}

#[test]
fn policies_grant_known_actions_on_resources_of_this_stack_only() {
    let template = Template::load();
    for name in FUNCTIONS {
        for (action, resource) in template.grants(&logical(name)) {
            assert!(
                ACTIONS.contains(&action.as_str()),
                "{name} is granted {action}"
            );
            assert!(
                resource != "*" && !resource.is_empty(),
                "{name} may {action} on everything"
            );
            let root = resource.split('/').next().unwrap();
            let known = root == "secret" || template.0["Resources"][root].is_object();
            assert!(
                known,
                "{name} may {action} on {resource}, which is not of this stack"
            );
        }
    }
}

#[test]
fn a_function_consumes_its_own_queue_and_writes_its_own_log_and_the_console_has_the_dead_letters() {
    let template = Template::load();
    for name in FUNCTIONS {
        let queue = source(name).map(|queue| format!("{}Queue", logical(queue)));
        let own: BTreeSet<String> = queue.into_iter().collect();
        let dead_letters: BTreeSet<String> = QUEUES
            .iter()
            .map(|queue| format!("{}DeadLetters", logical(queue)))
            .collect();
        for action in [
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:ChangeMessageVisibility",
            "sqs:GetQueueAttributes",
        ] {
            let expected = match name {
                // Dead letters are looked at and sent again; nothing of the console holds on to a message for longer.
                "console" if action != "sqs:ChangeMessageVisibility" => &dead_letters,
                _ => &own,
            };
            assert_eq!(
                &template.may(&logical(name), action),
                expected,
                "{name} {action}"
            );
        }
        for action in ["logs:CreateLogStream", "logs:PutLogEvents"] {
            assert_eq!(
                template.may(&logical(name), action),
                set(&[&format!("{}Logs", logical(name))]),
                "{name} {action}"
            );
        }
    }
}

#[test]
fn secrets_are_open_to_those_who_need_them() {
    let template = Template::load();
    for name in FUNCTIONS {
        let may = |action: &str| template.may(&logical(name), &format!("secretsmanager:{action}"));
        let (mut read, mut renew, mut create, mut delete) =
            (set(&[]), set(&[]), set(&[]), set(&[]));
        if !["poller", "full-sync"].contains(&name) {
            read = set(&["secret/oauth-client/*", "secret/connection/*"]);
            renew = set(&["secret/connection/*"]);
        }
        if name == "oauth-callback" {
            create = set(&["secret/connection/*"]);
        }
        if name == "console" {
            read.insert("secret/operator-??????".to_owned());
        }
        if ["console", "oauth-callback", "worker-accounts"].contains(&name) {
            delete = set(&["secret/connection/*"]);
        }
        assert_eq!(may("GetSecretValue"), read, "{name}");
        assert_eq!(may("PutSecretValue"), renew, "{name}");
        assert_eq!(may("CreateSecret"), create, "{name}");
        assert_eq!(may("DeleteSecret"), delete, "{name}");
    }
}

/// What a function does with each table and index. `shared/src/adapter/dynamodb` says which call needs which action: a condition needs none of
/// its own, and a batch none of its parts'.
fn tables_of(function: &str) -> &'static [(&'static str, &'static str)] {
    match function {
        "oauth-callback" => &[
            ("StateTable", "DeleteItem GetItem PutItem Query UpdateItem"),
            ("LogTable", "BatchWriteItem"),
        ],
        "console" => &[
            (
                "StateTable",
                "BatchWriteItem DeleteItem GetItem PutItem Query UpdateItem",
            ),
            ("LinksTable", "BatchGetItem DeleteItem PutItem Query"),
            ("RecordsTable", "BatchGetItem PutItem Query"),
            ("RecordsTable/index/by-account", "Query"),
            ("RecordsTable/index/by-pending", "Query"),
            ("RecordsTable/index/by-updated", "Query"),
            ("LogTable", "BatchWriteItem Query"),
            ("LogTable/index/by-outcome", "Query"),
            ("LogTable/index/by-record", "Query"),
        ],
        "poller" => &[
            ("StateTable", "GetItem PutItem Query"),
            ("StateTable/index/by-routine-due", "Query"),
            ("RecordsTable/index/by-pending", "Query"),
            ("LogTable", "BatchWriteItem"),
        ],
        "full-sync" => &[
            ("StateTable", "GetItem PutItem Query"),
            ("StateTable/index/by-full-due", "Query"),
            ("LogTable", "BatchWriteItem"),
        ],
        // It purges as well.
        "worker-accounts" => &[
            (
                "StateTable",
                "BatchWriteItem DeleteItem GetItem PutItem Query UpdateItem",
            ),
            (
                "LinksTable",
                "BatchGetItem BatchWriteItem DeleteItem PutItem Query",
            ),
            ("RecordsTable", "BatchGetItem BatchWriteItem PutItem Query"),
            ("RecordsTable/index/by-account", "Query"),
            ("RecordsTable/index/by-pending", "Query"),
            ("LogTable", "BatchWriteItem Query"),
        ],
        "worker-contacts" | "worker-tasks" | "worker-deals" | "worker-users" | "writeback" => &[
            (
                "StateTable",
                "BatchWriteItem DeleteItem GetItem PutItem Query UpdateItem",
            ),
            (
                "LinksTable",
                "BatchGetItem BatchWriteItem DeleteItem PutItem Query",
            ),
            ("RecordsTable", "BatchGetItem PutItem Query"),
            ("RecordsTable/index/by-account", "Query"),
            ("RecordsTable/index/by-pending", "Query"),
            ("LogTable", "BatchWriteItem"),
        ],
        _ => panic!("what does {function} do with the tables?"),
    }
}

#[test]
fn every_function_may_do_with_the_tables_what_it_does_and_nothing_else() {
    let template = Template::load();
    for name in FUNCTIONS {
        let mut granted: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (action, resource) in template.grants(&logical(name)) {
            if let Some(action) = action.strip_prefix("dynamodb:") {
                granted.entry(resource).or_default().push(action.to_owned());
            }
        }
        let does = tables_of(name).iter().map(|(table, actions)| {
            let actions = actions.split(' ').map(str::to_owned);
            ((*table).to_owned(), actions.collect())
        });
        let does: BTreeMap<String, Vec<String>> = does.collect();
        assert_eq!(granted, does, "{name}");
    }
}

#[test]
fn indexes_that_a_policy_names_exist() {
    let template = Template::load();
    for name in FUNCTIONS {
        let grants = template.grants(&logical(name));
        let indexes = grants
            .iter()
            .filter_map(|(_, resource)| resource.split_once("/index/"));
        for (table, index) in indexes {
            let known = many(&template.properties(table)["GlobalSecondaryIndexes"]);
            assert!(
                known.iter().any(|known| known["IndexName"] == index),
                "{name} names the index {index} of {table}"
            );
        }
    }
}

#[test]
fn messages_are_sent_by_all_but_the_one_that_connects() {
    let template = Template::load();
    let queues: BTreeSet<String> = QUEUES
        .iter()
        .map(|queue| format!("{}Queue", logical(queue)))
        .collect();
    for name in FUNCTIONS {
        let sends = template.may(&logical(name), "sqs:SendMessage*");
        match name {
            "oauth-callback" => assert!(sends.is_empty()),
            _ => assert_eq!(sends, queues, "{name}"),
        }
    }
}

#[test]
fn tables_survive_mistakes() {
    let template = Template::load();
    let tables = template.of_type("AWS::DynamoDB::Table");
    assert_eq!(tables.len(), 4);
    for (name, table) in tables {
        assert_eq!(template.resource(name)["DeletionPolicy"], "Retain");
        assert_eq!(template.resource(name)["UpdateReplacePolicy"], "Retain");
        assert_eq!(table["DeletionProtectionEnabled"], true);
        assert_eq!(
            table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"],
            true
        );
        assert_eq!(table["SSESpecification"]["SSEEnabled"], true);
        assert_eq!(table["BillingMode"], "PAY_PER_REQUEST");
        assert!(
            table["TableName"].is_null(),
            "a name of our own stands in the way of replacing {name}"
        );
    }
}

#[test]
fn the_access_log_holds_no_codes() {
    let template = Template::load();
    let format = template.properties("HttpStage")["AccessLogSettings"]["Format"]
        .as_str()
        .unwrap();
    for leak in [
        "$context.path",
        "querystring",
        "$context.authorizer",
        "header",
        "$context.customDomain",
    ] {
        assert!(!format.contains(leak), "{leak} is logged");
    }
    let record: Value = serde_json::from_str(format).unwrap();
    assert!(record["route"] == "$context.routeKey" && record["status"] == "$context.status");
}
