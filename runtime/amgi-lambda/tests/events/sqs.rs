//! Events of SQS.

use amgi::{BindingValue, ChannelInfo};
use amgi_lambda::Server;
use serde_json::{Value, json};

use crate::common::{App, invoke, start};

/// A record without what does not matter.
fn record(id: &str, queue: &str, body: &str) -> Value {
    json!({
        "messageId": id, "receiptHandle": "r", "body": body, "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {}, "eventSource": "aws:sqs", "awsRegion": "eu-west-1",
        "eventSourceARN": format!("arn:aws:sqs:eu-west-1:123456789012:{queue}"),
    })
}

#[tokio::test]
async fn a_scope_has_it_all() {
    let (app, seen) = App::with([ChannelInfo::new("created", "user.created")]);
    let function = start(Server::new(app)).await;
    let mut one = record("1", "user--created", "{\"id\":1}");
    one["md5OfBody"] = json!("D2CE28B9A7FD7E4407E2B0FD499B7FE4");
    one["attributes"]["MessageGroupId"] = json!("g");
    one["attributes"]["MessageDeduplicationId"] = json!("d");
    one["messageAttributes"] = json!({
        "b": {"binaryValue": "/w==", "dataType": "Binary", "stringListValues": [], "binaryListValues": []},
        "a": {"stringValue": "1", "dataType": "Number.int", "stringListValues": [], "binaryListValues": []},
    });
    let answer = invoke(&function, &json!({"Records": [one]})).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
    let [message] = &seen.all()[..] else { panic!("{:?}", seen.all()) };
    assert_eq!((&*message.address, message.payload.as_deref()), ("user.created", Some(&b"{\"id\":1}"[..])));
    let headers: Vec<_> = message.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    assert_eq!(headers, [(&b"a"[..], &b"1"[..]), (b"b", b"\xff")]);
    let binding = |field| message.bindings.get("sqs", field).cloned();
    assert_eq!(binding("message_group_id"), Some(BindingValue::from("g")));
    assert_eq!(binding("message_deduplication_id"), Some(BindingValue::from("d")));
}
