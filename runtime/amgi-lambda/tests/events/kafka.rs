//! Events of Kafka.

use amgi::{BatchInfo, BindingInfo, ChannelInfo};
use amgi_lambda::{EventError, Server};
use base64::prelude::{BASE64_STANDARD as BASE64, Engine as _};
use serde_json::{Value, json};

use crate::common::{App, failed, invoke, start};

fn record(topic: &str, partition: i32, offset: i64, value: &str) -> Value {
    json!({
        "topic": topic, "partition": partition, "offset": offset, "timestamp": 1_595_035_749_700_i64,
        "timestampType": "CREATE_TIME", "key": null, "value": BASE64.encode(value), "headers": [],
    })
}

fn event(records: &Value) -> Value {
    json!({
        "eventSource": "aws:kafka", "eventSourceArn": "arn:aws:kafka:us-east-1:1:cluster/c/u",
        "bootstrapServers": "b-1:9092", "records": records,
    })
}

#[tokio::test]
async fn a_scope_has_it_all() {
    for source in ["aws:kafka", "SelfManagedKafka"] {
        let (app, seen) = App::with([ChannelInfo::new("orders", "orders")]);
        let mut one = record("orders", 3, 7, "{}");
        one["key"] = json!(BASE64.encode([0xff, 0]));
        // Bytes have a sign, and names repeat.
        one["headers"] = json!([{"b": [-61, -85]}, {"a": [49]}, {"a": [200]}, {"empty": []}, {"null": null}]);
        let mut tombstone = record("orders", 3, 8, "");
        tombstone["value"] = Value::Null;
        let mut bare = record("orders", 3, 9, "");
        for member in ["key", "headers", "timestamp", "timestampType"] {
            bare.as_object_mut().unwrap().remove(member);
        }
        let mut event = event(&json!({"orders-3": [one, tombstone, bare]}));
        event["eventSource"] = json!(source);
        let answer = invoke(&start(Server::new(app)).await, &event).await.unwrap();
        assert!(failed(&answer).is_empty());
        let [one, tombstone, bare] = &seen.all()[..] else { panic!("{:?}", seen.all()) };
        assert_eq!((&*one.address, one.payload.as_deref()), ("orders", Some(&b"{}"[..])));
        let headers: Vec<_> = one.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let expected: [(&[u8], &[u8]); 5] =
            [(b"b", "ë".as_bytes()), (b"a", b"1"), (b"a", b"\xc8"), (b"empty", b""), (b"null", b"")];
        assert_eq!(headers, expected);
        let number = |field| one.bindings.get("kafka", field).and_then(amgi::BindingValue::as_int);
        assert_eq!(
            (number("partition"), number("offset"), number("timestamp")),
            (Some(3), Some(7), Some(1_595_035_749_700))
        );
        assert_eq!(one.bindings.get("kafka", "key").and_then(|key| key.as_bytes()), Some(&b"\xff\x00"[..]));
        assert_eq!((&tombstone.payload, tombstone.bindings.get("kafka", "key")), (&None, None));
        assert_eq!(
            (bare.payload.as_deref(), bare.bindings.get("kafka", "timestamp")),
            (Some(&b""[..]), None)
        );
    }
}

/// Records of two partitions; the second of the first one fails.
fn failing() -> Value {
    let one = [(0, "a0"), (1, "fail"), (2, "a2")].map(|(offset, value)| record("orders", 0, offset, value));
    let two = [(5, "b5"), (6, "b6")].map(|(offset, value)| record("orders", 1, offset, value));
    event(&json!({"orders-0": one, "orders-1": two}))
}

#[tokio::test]
async fn nothing_is_consumed_silently() {
    let (app, seen) = App::with([]);
    let error = invoke(&start(Server::new(app)).await, &failing()).await.unwrap_err();
    assert!(matches!(error, EventError::Failed { failed: 2, records: 5, .. }), "{error}");
    assert_eq!(error.to_string(), "2 of 5 records failed; the first: told to");
    let handled = seen.payloads();
    assert!(
        !handled.contains(&"a2".to_owned()),
        "behind a failure nothing of its partition is begun: {handled:?}"
    );
    assert!(handled.contains(&"b6".to_owned()), "other partitions go on: {handled:?}");
}

#[tokio::test]
async fn a_mapping_that_expects_it_is_told_places() {
    let (app, _) = App::with([]);
    let function = start(Server::new(app).report_batch_item_failures(true)).await;
    let answer = invoke(&function, &failing()).await.unwrap();
    let place = |offset: i64| json!({"partition": "orders-0", "offset": offset});
    assert_eq!(failed(&answer), [place(1), place(2)]);
    // What cannot be read has a place too, if only that can be.
    let mut broken = [record("orders", 0, 1, ""), record("orders", 0, 2, ""), record("orders", 0, 3, "")];
    broken[0]["value"] = json!("no base64!");
    for (member, value) in [
        ("headers", json!([{"a": [300]}])),
        ("headers", json!("none")),
        ("topic", json!(7)),
        ("partition", json!("one")),
        ("key", json!("=")),
    ] {
        let mut broken = broken.clone();
        broken[0]["value"] = json!("");
        broken[0][member] = value;
        let answer = invoke(&function, &event(&json!({"orders-0": broken}))).await.unwrap();
        assert_eq!(failed(&answer), [place(1), place(2), place(3)]);
    }
    let answer = invoke(&function, &event(&json!({"orders-0": broken}))).await.unwrap();
    assert_eq!(failed(&answer), [place(1), place(2), place(3)]);
    broken[0]["offset"] = json!("first");
    let error = invoke(&function, &event(&json!({"orders-0": broken}))).await.unwrap_err();
    assert!(matches!(error, EventError::Failed { failed: 3, records: 3, .. }), "{error}");
}

#[tokio::test]
async fn topics_are_addresses() {
    static BINDINGS: &[BindingInfo] = &[BindingInfo { protocol: "kafka", json: r#"{"topic":"v1.orders"}"# }];
    let (app, seen) = App::with([
        ChannelInfo { bindings: BINDINGS, ..ChannelInfo::new("orders", "order.new") },
        ChannelInfo::new("lamps", "lamps/{id}/on"),
        ChannelInfo::new("users", "user.{id}"),
    ]);
    let function = start(Server::new(app)).await;
    let topics = ["v1.orders", "lamps.7.on", "user.7"];
    let records: serde_json::Map<String, Value> =
        topics.iter().map(|topic| (format!("{topic}-0"), json!([record(topic, 0, 1, "")]))).collect();
    invoke(&function, &event(&json!(records))).await.unwrap();
    let mut addresses: Vec<_> = seen.all().iter().map(|message| message.address.to_string()).collect();
    addresses.sort();
    assert_eq!(addresses, ["lamps/7/on", "order.new", "user.7"]);
}

#[tokio::test]
async fn batches_are_those_of_a_partition() {
    let batch = Some(BatchInfo { size: 2, wait: std::time::Duration::ZERO });
    let (app, seen) = App::with([ChannelInfo { batch, ..ChannelInfo::new("orders", "orders") }]);
    let function = start(Server::new(app).report_batch_item_failures(true).concurrency(1)).await;
    let answer = invoke(&function, &failing()).await.unwrap();
    assert_eq!(failed(&answer).len(), 2);
    assert_eq!(seen.payloads(), ["-", "a0", "fail", "-", "b5", "b6"]);
}
