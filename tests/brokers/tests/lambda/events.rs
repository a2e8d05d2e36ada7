//! Events of every source: those that the crate `aws_lambda_events` has recorded of AWS, and what is wrong with others.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use amgi_brokers_tests::{Function, RuntimeApi};
use serde_json::{Value, json};

use crate::{failures, function, given, queued};

/// Where Cargo keeps the recorded events.
fn recorded() -> PathBuf {
    let output =
        Command::new(env!("CARGO")).args(["metadata", "--format-version", "1"]).output().expect("cargo");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let package = packages.iter().find(|package| package["name"] == "aws_lambda_events").expect("it is used");
    let manifest = PathBuf::from(package["manifest_path"].as_str().expect("a path"));
    manifest.parent().expect("a folder").join("src/fixtures")
}

/// A recorded event, its address, and the payloads that are in it.
const RECORDED: [(&str, &str, &[&str]); 9] = [
    ("sqs-event", "SQSQueue", &["Message Body"]),
    ("sns-event", "snsNetTest", &["Hello\r\nworld!"]),
    ("kafka-event", "AWSKafkaTopic", &["8d5596b4-1813-4238-b24b-6dad8e3d1c0c"]),
    ("kinesis-event", "simple-stream", &["Hello World", "Hello World"]),
    ("kinesis-event-encrypted", "simple-stream", &["Hello World", "Hello World"]),
    ("dynamodb-event", "Example-Table", &["\"asdf1\"", "\"List\""]),
    ("dynamodb-event-null-items", "Example-Table", &["", ""]),
    ("eventbridge-event-obj", "EC2 Instance State-change Notification", &["i-abcd1111"]),
    ("eventbridge-schedule", "Scheduled Event", &["{}"]),
];

async fn takes_what_aws_sends(api: RuntimeApi) {
    let folder = tokio::task::spawn_blocking(recorded).await.expect("the recorded events");
    let addresses: Vec<&str> = RECORDED.iter().map(|(_, address, _)| *address).collect();
    let mut function = function(api, &addresses.join(",")).await;
    let mut known = 0;
    for (name, address, payloads) in RECORDED {
        let event = fs::read_to_string(folder.join(format!("example-{name}.json"))).expect("an event");
        if name == "sqs-event" {
            // Its digest is of another text.
            assert_eq!(function.invoke_bytes(event.clone()).await, Ok(failures(&["MessageID_1"])));
        }
        let event = event.replace("fce0ea8dd236ccb3ed9b37dae260836f", "77a3cf88eba293be44f5fd5c61835a43");
        let answer = function.invoke_bytes(event).await;
        let silent = name.starts_with("sns") || name.starts_with("eventbridge");
        let expected = if silent { Value::Null } else { failures(&[]) };
        assert_eq!(answer, Ok(expected), "{name}: {}", function.log());
        let all = given(&function);
        assert_eq!(all.len() - known, payloads.len(), "{name}: {all:?}");
        for ((at, payload), part) in all[known..].iter().zip(payloads) {
            let payload = payload.as_deref().unwrap_or_default();
            assert!(at == address && payload.contains(part), "{name}: {at} {payload}");
        }
        known = all.len();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_aws_sends_is_taken() {
    takes_what_aws_sends(RuntimeApi::CargoLambda).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_aws_sends_is_taken_under_its_emulator() {
    takes_what_aws_sends(RuntimeApi::Emulator).await;
}

async fn survives_what_is_malformed(api: RuntimeApi) {
    let mut function = function(api, "orders").await;
    assert_eq!(function.invoke(&queued(&["a"])).await, Ok(failures(&[])));
    let pid = function.pid();
    for (event, kind) in [
        (json!({"Records": [{"eventSource": "aws:s3"}]}), "Event.Unknown"),
        (json!({"Records": [{}]}), "Event.Unknown"),
        (json!({"Records": [1]}), "Event.Un"),
        (json!({"Records": {}}), "Event.Unreadable"),
        (json!({"eventSource": "aws:kafka", "records": []}), "Event.Unreadable"),
        (json!([]), "Event.Un"),
        (json!("text"), "Event.Un"),
        (json!({}), "Event.Unknown"),
    ] {
        let error = function.invoke(&event).await.expect_err("no such event");
        assert!(error.kind.starts_with(kind), "{event}: {error}");
    }
    // A record that cannot be read fails by itself.
    let mut event = queued(&["b", "c", "d", "e"]);
    event["Records"][1]["body"] = json!(7);
    event["Records"][2]["md5OfBody"] = json!("00000000000000000000000000000000");
    assert_eq!(function.invoke(&event).await, Ok(failures(&["1", "2"])));
    let payloads: Vec<_> = given(&function).into_iter().filter_map(|(_, payload)| payload).collect();
    assert_eq!(payloads, ["a", "b", "e"]);
    assert_eq!(function.pid(), pid, "it is the same process still");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_malformed_fails_and_nothing_else() {
    survives_what_is_malformed(RuntimeApi::CargoLambda).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_malformed_fails_and_nothing_else_under_awss_emulator() {
    survives_what_is_malformed(RuntimeApi::Emulator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_fail_one_by_one() {
    let mut function = function(RuntimeApi::Emulator, "orders,orders.fifo,stream,topic").await;
    let event = queued(&["a", "fail", "panic", "reject", "discard", "b"]);
    assert_eq!(function.invoke(&event).await, Ok(failures(&["1", "2", "3"])), "{}", function.log());
    // Behind a failure, the group waits; other groups do not.
    let mut event = queued(&["1", "fail", "2", "3", "4"]);
    for (index, group) in ["a", "a", "a", "b", "a"].into_iter().enumerate() {
        let record = &mut event["Records"][index];
        record["eventSourceARN"] = json!("arn:aws-us-gov:sqs:us-gov-west-1:123456789012:orders.fifo");
        record["attributes"]["MessageGroupId"] = json!(group);
    }
    let before = given(&function).len();
    assert_eq!(function.invoke(&event).await, Ok(failures(&["1", "2", "4"])));
    let mut payloads: Vec<_> = given(&function).drain(before..).filter_map(|(_, payload)| payload).collect();
    payloads.sort();
    assert_eq!(payloads, ["1", "3", "fail"]);

    // Of a shard the first failure says it all.
    let record = |number: &str, data: &str| {
        json!({
            "eventSource": "aws:kinesis", "eventID": format!("shardId-0:{number}"),
            "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/stream",
            "kinesis": {"partitionKey": "p", "sequenceNumber": number, "data": data},
        })
    };
    // `ok`, `fail`, `ok`.
    let event = json!({"Records": [record("10", "b2s="), record("11", "ZmFpbA=="), record("12", "b2s=")]});
    assert_eq!(function.invoke(&event).await, Ok(failures(&["11"])));

    // Kafka is told that the batch failed, as a whole.
    let record = |offset: u64, value: &str| json!({"topic": "topic", "partition": 0, "offset": offset, "value": value});
    let event = json!({"eventSource": "aws:kafka", "records": {"topic-0": [record(1, "b2s="), record(2, "ZmFpbA==")]}});
    let error = function.invoke(&event).await.expect_err("a record failed");
    assert_eq!(error.kind, "Event.Failed", "{error}");
    assert!(error.message.starts_with("1 of 2 records failed"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_takes_is_never_taken_for_handled() {
    let program = Path::new(env!("CARGO_BIN_EXE_user-service"));
    let mut function = Function::start(RuntimeApi::Emulator, program, 30, &[]).await;
    let mut event = queued(&["{}", "{}"]);
    event["Records"][0]["eventSourceARN"] = json!("arn:aws-cn:sqs:cn-north-1:123456789012:others");
    // There is a handler, and no place for what does not fit.
    event["Records"][1]["eventSourceARN"] = json!("arn:aws:sqs:us-east-1:123456789012:user--7--events");
    assert_eq!(function.invoke(&event).await, Ok(failures(&["0", "1"])), "{}", function.log());
    let log = function.log();
    assert!(log.contains("others") && log.contains("user.7.events"), "{log}");
}
