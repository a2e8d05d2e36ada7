//! Events that AWS has recorded, and those that are none.

use std::{path::PathBuf, process::Command, time::Duration};

use amgi_lambda::{EventError, Server};
use serde_json::Value;

use crate::common::{App, failed, start};

/// Where the crate with the types of events keeps its examples.
fn fixtures() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let manifest = packages.iter().find(|package| package["name"] == "aws_lambda_events");
    let manifest = manifest.and_then(|package| package["manifest_path"].as_str()).expect("a manifest");
    PathBuf::from(manifest).with_file_name("src").join("fixtures")
}

#[tokio::test]
async fn recorded_events_are_read() {
    let addresses = [
        ("kafka-event", vec!["AWSKafkaTopic"]),
        ("sns-event", vec!["snsNetTest"]),
        ("sns-event-obj", vec!["snsNetTest"]),
        ("sns-event-pascal-case", vec!["snsNetTest"]),
        ("eventbridge-event-obj", vec!["EC2 Instance State-change Notification"]),
        ("eventbridge-schedule", vec!["Scheduled Event"]),
        ("kinesis-event", vec!["simple-stream"; 2]),
        ("kinesis-event-encrypted", vec!["simple-stream"; 2]),
        ("dynamodb-event", vec!["Example-Table"; 2]),
        ("dynamodb-event-null-items", vec!["Example-Table"; 2]),
    ];
    let fixtures = fixtures();
    let mut wrong = Vec::new();
    for (name, expected) in addresses {
        let event = std::fs::read(fixtures.join(format!("example-{name}.json"))).expect("an example");
        let (app, seen) = App::with([]);
        let answer = start(Server::new(app)).await.invoke(&event, Duration::from_secs(1)).await;
        let addresses: Vec<_> = seen.all().iter().map(|message| message.address.to_string()).collect();
        if answer.is_err() || addresses != expected {
            wrong.push(format!("{name}: {answer:?} {addresses:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// That of SQS has digests of other bodies.
#[tokio::test]
async fn bodies_are_what_their_digests_say() {
    for name in ["sqs-event", "sqs-event-obj"] {
        let event =
            std::fs::read_to_string(fixtures().join(format!("example-{name}.json"))).expect("an example");
        for (event, expected, handled) in
            [(event.clone(), vec!["MessageID_1"], 0), (event.replace("md5OfBody", "md5OfNothing"), vec![], 1)]
        {
            let (app, seen) = App::with([]);
            let answer = start(Server::new(app)).await.invoke(event.as_bytes(), Duration::from_secs(1)).await;
            assert_eq!(failed(&serde_json::from_str(&answer.unwrap()).unwrap()), expected, "{name}");
            assert_eq!(seen.count(), handled);
            for message in seen.all() {
                assert_eq!((&*message.address, message.headers.len()), ("SQSQueue", 3), "{name}");
            }
        }
    }
}

/// Whatever of a recorded event is missing or something else, nothing panics, and a record that was not handled fails.
#[tokio::test]
async fn what_is_changed_in_them_fails_or_not() {
    fn places(value: &Value, place: &str, all: &mut Vec<String>) {
        let members: Vec<(String, &Value)> = match value {
            Value::Object(members) => {
                members.iter().map(|(name, value)| (name.replace('/', "~1"), value)).collect()
            }
            Value::Array(values) => {
                values.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect()
            }
            _ => Vec::new(),
        };
        for (name, value) in members {
            let place = format!("{place}/{name}");
            places(value, &place, all);
            all.push(place);
        }
    }
    let fixtures = fixtures();
    let others = [
        Value::Null,
        Value::from(7),
        Value::from(-1.5),
        Value::from("text"),
        Value::from(""),
        serde_json::json!([]),
        serde_json::json!({}),
        serde_json::json!([null, {}]),
    ];
    let mut tried = 0;
    for name in
        ["sqs-event", "kafka-event", "sns-event", "eventbridge-schedule", "kinesis-event", "dynamodb-event"]
    {
        let text =
            std::fs::read_to_string(fixtures.join(format!("example-{name}.json"))).expect("an example");
        let event: Value = serde_json::from_str(&text.replace("md5OfBody", "md5OfNothing")).expect("JSON");
        let mut all = Vec::new();
        places(&event, "", &mut all);
        let (app, seen) = App::with([]);
        let function = start(Server::new(app)).await;
        let records = event["Records"].as_array().map_or(1, Vec::len);
        for place in all {
            for other in &others {
                let mut event = event.clone();
                *event.pointer_mut(&place).expect("a place") = other.clone();
                let before = seen.count();
                let answer = function.invoke(event.to_string().as_bytes(), Duration::from_secs(1)).await;
                let handled = seen.count() - before;
                tried += 1;
                let is_whole = event["Records"].as_array().is_none_or(|left| left.len() == records)
                    && event["records"].as_object().is_none_or(|left| {
                        left.values().all(|those| those != &serde_json::json!([])) && !left.is_empty()
                    });
                if handled < records
                    && is_whole
                    && let Ok(answer) = answer
                {
                    let answer: Value = serde_json::from_str(&answer).expect("JSON");
                    assert!(
                        !failed(&answer).is_empty(),
                        "{name} {place} as {other}: {handled} handled, {answer}"
                    );
                }
            }
        }
    }
    assert!(tried > 1000, "{tried}");
}

#[tokio::test]
async fn what_is_no_event_says_so() {
    let function = start(Server::new(App::default())).await;
    for (event, expected) in [
        ("", "the event cannot be read: EOF while parsing a value"),
        ("7", "the event cannot be read: "),
        (r#"{"Records": 7}"#, "the event cannot be read: "),
        ("{}", "the event does not say what it is of, and events are taken of SQS"),
        (r#"{"Records": [{}]}"#, "the event does not say what it is of"),
        (
            r#"{"Records": [{"eventSource": "aws:s3", "s3": {}}]}"#,
            "the event is of `aws:s3`, and events are taken of",
        ),
        (r#"{"eventSource": "aws:amq"}"#, "the event is of `aws:amq`"),
        (r#"{"eventSource": "aws:kafka", "records": 7}"#, "the event cannot be read: "),
        (r#"{"detail-type": "x"}"#, "the event cannot be read: missing field `source`"),
    ] {
        let error = function.invoke(event.as_bytes(), Duration::from_secs(1)).await.unwrap_err();
        assert!(!matches!(error, EventError::Failed { .. }), "{error}");
        assert!(error.to_string().starts_with(expected), "{event}: {error}");
    }
    for (event, answer) in [
        (r#"{"Records": []}"#, r#"{"batchItemFailures":[]}"#),
        (r#"{"eventSource": "SelfManagedKafka", "records": {}}"#, r#"{"batchItemFailures":[]}"#),
    ] {
        assert_eq!(function.invoke(event.as_bytes(), Duration::from_secs(1)).await.unwrap(), answer);
    }
}
