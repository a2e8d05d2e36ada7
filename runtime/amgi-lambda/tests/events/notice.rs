//! Events of SNS and EventBridge.

use std::time::Duration;

use amgi::{BindingInfo, BindingValue, ChannelInfo};
use amgi_lambda::{EventError, Server};
use serde_json::{Value, json};

use crate::common::{App, invoke, start};

fn notification(topic: &str, message: &str) -> Value {
    json!({"Records": [{
        "EventVersion": "1.0", "EventSubscriptionArn": "arn:aws:sns:EXAMPLE", "EventSource": "aws:sns",
        "Sns": {
            "Type": "Notification", "MessageId": "m-1", "Subject": null, "Message": message,
            "TopicArn": format!("arn:aws-cn:sns:cn-north-1:123456789012:{topic}"),
            "MessageAttributes": {"n": {"Type": "String", "Value": "1"}, "b": {"Type": "Binary", "Value": "/w=="}},
        },
    }]})
}

#[tokio::test]
async fn a_message_of_sns_has_it_all() {
    static BINDINGS: &[BindingInfo] = &[BindingInfo { protocol: "sns", json: r#"{"name":"bulletin"}"# }];
    let (app, seen) = App::with([
        ChannelInfo::new("news", "news.today"),
        ChannelInfo { bindings: BINDINGS, ..ChannelInfo::new("bulletin", "news.bulletin") },
    ]);
    let function = start(Server::new(app)).await;
    let mut event = notification("news--today", "Hello\r\nworld!");
    event["Records"][0]["Sns"]["Subject"] = json!("Greetings");
    assert_eq!(invoke(&function, &event).await.unwrap(), Value::Null);
    let message = seen.all().remove(0);
    assert_eq!(
        (&*message.address, message.payload.as_deref()),
        ("news.today", Some(&b"Hello\r\nworld!"[..]))
    );
    assert_eq!(message.bindings.get("sns", "subject"), Some(&BindingValue::from("Greetings")));
    let headers: Vec<_> = message.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    assert_eq!(headers, [(&b"b"[..], &b"\xff"[..]), (b"n", b"1")]);
    invoke(&function, &notification("bulletin", "")).await.unwrap();
    assert_eq!(seen.all()[1].address, "news.bulletin");
}

#[tokio::test]
async fn what_failed_fails_the_invocation() {
    let (app, _) = App::with([ChannelInfo::new("news", "news")]);
    let function = start(Server::new(app).report_batch_item_failures(true)).await;
    let mut shapeless = notification("news", "");
    shapeless["Records"][0]["Sns"]["Message"] = json!(7);
    for event in [notification("news", "fail"), notification("other", ""), shapeless] {
        let error = invoke(&function, &event).await.unwrap_err();
        assert!(matches!(error, EventError::Failed { failed: 1, records: 1, .. }), "{error}");
    }
    let event = json!({"detail-type": "news", "source": "s", "detail": "x"});
    invoke(&function, &event).await.unwrap();
    let event = json!({"detail-type": "other", "source": "s", "detail": "x"});
    let error = invoke(&function, &event).await.unwrap_err();
    assert_eq!(error.to_string(), "1 of 1 records failed; the first: no channel has the address `other`");
}

#[tokio::test]
async fn an_event_of_a_bus_has_it_all() {
    let (app, seen) =
        App::with([ChannelInfo::new("ordered", "Order Placed"), ChannelInfo::new("ticks", "ticks")]);
    let function = start(Server::new(app).address("ticks", "aws.events/Scheduled Event")).await;
    let event = r#"{"version": "0", "id": "i", "detail-type": "Order Placed", "source": "shop", "account": "1",
        "time": "2026-01-01T00:00:00Z", "region": "eu-west-1", "resources": [], "detail": {"n": 1.10}}"#;
    assert_eq!(function.invoke(event.as_bytes(), Duration::from_secs(1)).await.unwrap(), "null");
    let message = seen.all().remove(0);
    assert_eq!(
        (&*message.address, message.payload.as_deref()),
        ("Order Placed", Some(&br#"{"n": 1.10}"#[..]))
    );
    let headers: Vec<_> = message
        .headers
        .iter()
        .map(|(name, value)| (String::from_utf8_lossy(name), String::from_utf8_lossy(value)))
        .collect();
    let expected = [
        ("id", "i"),
        ("source", "shop"),
        ("detail-type", "Order Placed"),
        ("account", "1"),
        ("time", "2026-01-01T00:00:00Z"),
        ("region", "eu-west-1"),
    ];
    assert_eq!(headers, expected.map(|(name, value)| (name.into(), value.into())));
    invoke(&function, &json!({"detail-type": "Scheduled Event", "source": "aws.events"})).await.unwrap();
    assert_eq!((&*seen.all()[1].address, &seen.all()[1].payload), ("ticks", &None));
}
