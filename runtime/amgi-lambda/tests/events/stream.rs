//! Events of Kinesis and DynamoDB.

use amgi::{BindingValue, ChannelInfo};
use amgi_lambda::{EventError, Server};
use base64::prelude::{BASE64_STANDARD as BASE64, Engine as _};
use serde_json::{Value, json};

use crate::common::{App, failed, invoke, start};

fn kinesis(shard: &str, number: &str, data: &str) -> Value {
    json!({
        "kinesis": {
            "kinesisSchemaVersion": "1.0", "partitionKey": "k", "sequenceNumber": number,
            "data": BASE64.encode(data), "approximateArrivalTimestamp": 1_545_084_650.987,
        },
        "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": format!("{shard}:{number}"),
        "eventName": "aws:kinesis:record", "invokeIdentityArn": "arn:aws:iam::1:role/r", "awsRegion": "us-east-2",
        "eventSourceARN": "arn:aws:kinesis:us-east-2:123456789012:stream/orders",
    })
}

fn change(number: &str, image: &Value) -> Value {
    json!({
        "eventID": format!("e-{number}"), "eventVersion": "1.1", "eventName": "MODIFY", "awsRegion": "us-west-2",
        "eventSource": "aws:dynamodb",
        "eventSourceARN": "arn:aws-us-gov:dynamodb:us-gov-west-1:123456789012:table/Orders-7/stream/2026-01-01T00:00:00.000",
        "dynamodb": {"Keys": {"Id": {"N": "1"}}, "NewImage": image, "SequenceNumber": number,
            "StreamViewType": "NEW_IMAGE", "ApproximateCreationDateTime": 1_480_642_020},
    })
}

#[tokio::test]
async fn a_scope_of_kinesis_has_it_all() {
    let (app, seen) = App::with([ChannelInfo::new("orders", "orders")]);
    let function = start(Server::new(app)).await;
    let mut consumer = kinesis("shardId-0", "2", "\u{0}ü");
    consumer["eventSourceARN"] = json!("arn:aws-cn:kinesis:cn-north-1:1:stream/orders/consumer/c:1");
    // Nothing here looks at it, and it may be anything.
    consumer["kinesis"]["approximateArrivalTimestamp"] = json!(0.123_456_789_012_345_67);
    let answer = invoke(&function, &json!({"Records": [kinesis("shardId-0", "1", "x"), consumer]})).await;
    assert_eq!(answer.unwrap(), json!({"batchItemFailures": []}));
    let all = seen.all();
    assert_eq!(all.iter().map(|message| &*message.address).collect::<Vec<_>>(), ["orders", "orders"]);
    assert_eq!(all[1].payload.as_deref(), Some("\u{0}ü".as_bytes()));
    let binding = |field| all[0].bindings.get("kinesis", field).cloned();
    assert_eq!(binding("partition_key"), Some(BindingValue::from("k")));
    assert_eq!(binding("sequence_number"), Some(BindingValue::from("1")));
}

#[tokio::test]
async fn the_first_failure_of_a_shard_is_named() {
    let (app, seen) = App::with([]);
    let function = start(Server::new(app)).await;
    let mut records = vec![
        kinesis("shardId-0", "1", "a1"),
        kinesis("shardId-1", "1", "b1"),
        kinesis("shardId-0", "2", "fail"),
        kinesis("shardId-0", "3", "a3"),
        kinesis("shardId-1", "2", "b2"),
        kinesis("shardId-0", "4", "fail"),
    ];
    let answer = invoke(&function, &json!({ "Records": records })).await.unwrap();
    assert_eq!(failed(&answer), ["2"]);
    let mut handled = seen.payloads();
    handled.sort();
    assert_eq!(handled, ["a1", "b1", "b2", "fail"], "what is behind it is not begun");

    // What cannot be read fails as what is not handled does.
    records.truncate(2);
    records[0]["kinesis"]["data"] = json!("no base64!");
    records[1]["kinesis"]["partitionKey"] = json!(7);
    let answer = invoke(&function, &json!({ "Records": records })).await.unwrap();
    assert_eq!(failed(&answer), ["1", "1"]);
    for number in [json!(null), json!(7), json!("")] {
        records[0]["kinesis"]["sequenceNumber"] = number;
        let error = invoke(&function, &json!({ "Records": records })).await.unwrap_err();
        assert!(matches!(error, EventError::Failed { failed: 2, records: 2, .. }), "{error}");
    }
    let whole = start(Server::new(App::default()).report_batch_item_failures(false)).await;
    let error = invoke(&whole, &json!({"Records": [kinesis("s", "1", "fail")]})).await.unwrap_err();
    assert!(matches!(error, EventError::Failed { .. }), "{error}");
}

#[tokio::test]
async fn a_change_is_handed_on_as_it_is() {
    let (app, seen) = App::with([ChannelInfo::new("orders", "Orders-7")]);
    let function = start(Server::new(app)).await;
    let event = json!({"Records": [change("111", &json!({"N": {"N": "@"}}))]}).to_string();
    // More digits than any type has, and spaces that stay.
    let event = event.replace("\"@\"", "\"3.14159265358979323846264338327950288419\" ");
    let answer = function.invoke(event.as_bytes(), std::time::Duration::from_secs(1)).await.unwrap();
    assert_eq!(answer, r#"{"batchItemFailures":[]}"#);
    let message = seen.all().remove(0);
    assert_eq!((&*message.address, message.headers.get("eventName")), ("Orders-7", Some(&b"MODIFY"[..])));
    assert_eq!(message.headers.get("eventID"), Some(&b"e-111"[..]));
    let payload = String::from_utf8(message.payload.unwrap().to_vec()).unwrap();
    assert!(payload.contains("\"3.14159265358979323846264338327950288419\" "), "{payload}");
    assert!(payload.starts_with("{\"ApproximateCreationDateTime\""), "{payload}");
    assert_eq!(message.bindings.get("dynamodb", "sequence_number"), Some(&BindingValue::from("111")));
}

#[tokio::test]
async fn a_change_that_fails_is_named() {
    struct Fails;
    impl amgi::Application for Fails {
        fn channels(&self) -> &[ChannelInfo] {
            &[]
        }
        async fn message(&self, cx: &amgi::Context) -> amgi::Settlement {
            let payload = cx.message().payload.as_deref().unwrap_or_default();
            if payload.windows(3).any(|window| window == b"bad") {
                return amgi::Settlement::Unsettled;
            }
            amgi::Settlement::Ack
        }
    }
    let function = Server::new(Fails).start().await.unwrap();
    let answer = async |records: Value| {
        let event = json!({ "Records": records }).to_string();
        let answer = function.invoke(event.as_bytes(), std::time::Duration::from_secs(1)).await;
        Ok::<_, EventError>(failed(&serde_json::from_str(&answer?).unwrap()))
    };
    let good = || change("1", &json!({"S": {"S": "good"}}));
    let bad = |number| change(number, &json!({"S": {"S": "bad"}}));
    assert_eq!(answer(json!([good(), bad("2"), bad("3"), good()])).await.unwrap(), ["2"]);
    let mut shapeless = bad("2");
    shapeless["eventName"] = json!(["MODIFY"]);
    assert_eq!(answer(json!([good(), shapeless])).await.unwrap(), ["2"]);
    for without in [json!(null), json!({"SequenceNumber": 7})] {
        let mut record = good();
        record["dynamodb"] = without;
        assert!(matches!(answer(json!([record])).await, Err(EventError::Failed { .. })));
    }
}
