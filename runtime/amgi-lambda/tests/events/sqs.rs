//! Events of SQS.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use amgi::{
    BatchInfo, BindingInfo, BindingValue, ChannelInfo, IdempotencyInfo, Message, MessageSend, OperationInfo,
    PolicyInfo, SendFuture, ServerInfo,
    reply::Location,
    server::{Policy, Stop},
};
use amgi_lambda::{EventError, Mapping, Server};
use serde_json::{Value, json};

use crate::common::{App, Seen, failed, invoke, start};

/// A record without what does not matter.
fn record(id: &str, queue: &str, body: &str) -> Value {
    json!({
        "messageId": id, "receiptHandle": "r", "body": body, "attributes": {"ApproximateReceiveCount": "1"},
        "messageAttributes": {}, "eventSource": "aws:sqs", "awsRegion": "eu-west-1",
        "eventSourceARN": format!("arn:aws:sqs:eu-west-1:123456789012:{queue}"),
    })
}

fn in_group(mut record: Value, group: &str) -> Value {
    record["attributes"]["MessageGroupId"] = json!(group);
    record
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
    assert_eq!(binding("message_id"), Some(BindingValue::from("1")));
    assert_eq!(binding("message_group_id"), Some(BindingValue::from("g")));
    assert_eq!(binding("message_deduplication_id"), Some(BindingValue::from("d")));
}

#[tokio::test]
async fn what_amgi_sqs_writes_comes_back() {
    let (app, seen) = App::with([]);
    let function = start(Server::new(app)).await;
    let with = |body: &str, attributes: &[(&str, &str)]| {
        let mut record = record("1", "q", body);
        for (name, value) in attributes {
            record["messageAttributes"][name] = json!({"stringValue": value, "dataType": "String"});
        }
        record
    };
    let records = [
        with(" ", &[("amgi-payload", "absent")]),
        with(" ", &[("amgi-payload", "empty")]),
        with(
            "/w==",
            &[("amgi-payload", "base64"), ("amgi-headers", r#"[["a","1"],["a",{"base64":"/w=="}]]"#)],
        ),
    ];
    invoke(&function, &json!({"Records": records})).await.unwrap();
    let payloads: Vec<_> = seen.all().into_iter().map(|message| message.payload).collect();
    assert_eq!(payloads, [None, Some("".into()), Some((&b"\xff"[..]).into())]);
    let last = seen.all().pop().unwrap();
    let values: Vec<_> = last.headers.iter().map(|(_, value)| value.to_vec()).collect();
    assert_eq!(values, [b"1".to_vec(), b"\xff".to_vec()]);
}

#[tokio::test]
async fn what_failed_is_named() {
    let (app, seen) = App::with([ChannelInfo::new("q", "q"), ChannelInfo::new("sunny", "sunny.{day}")]);
    let function = start(Server::new(app)).await;
    let mut damaged = record("damaged", "q", "body");
    damaged["md5OfBody"] = json!("00000000000000000000000000000000");
    let records = [
        record("1", "q", "ok"),
        record("2", "q", "fail"),
        record("3", "q", "panic"),
        record("4", "q", "reject"),
        record("5", "q", "discard"),
        record("6", "q", "say nothing"),
        damaged,
        // What cannot be read fails by itself, as long as it has a name.
        json!({"messageId": "shape", "body": ["no", "text"], "eventSource": "aws:sqs"}),
        record("nobody's", "other", "ok"),
        record("7", "sunny--friday", "last"),
    ];
    let answer = invoke(&function, &json!({"Records": records})).await.unwrap();
    assert_eq!(failed(&answer), ["2", "3", "4", "6", "damaged", "shape", "nobody's"]);
    assert!(seen.payloads().contains(&"last".to_owned()), "what is behind them is handled");

    // Nobody could be told of it.
    let records = json!([record("1", "q", "ok"), {"body": 7, "eventSource": "aws:sqs"}]);
    let error = invoke(&function, &json!({"Records": records})).await.unwrap_err();
    assert!(matches!(&error, EventError::Failed { failed: 1, records: 2, .. }), "{error}");

    let whole = Server::new(App::default()).report_batch_item_failures(false);
    let function = start(whole).await;
    let event = json!({"Records": [record("1", "q", "ok"), record("2", "q", "fail")]});
    let error = invoke(&function, &event).await.unwrap_err().to_string();
    assert_eq!(error, "1 of 2 records failed; the first: told to");
}

#[tokio::test]
async fn behind_a_failure_nothing_of_its_group_is_begun() {
    let (app, seen) = App::with([]);
    let function = start(Server::new(app)).await;
    let records = [
        in_group(record("1", "q.fifo", "a1"), "a"),
        in_group(record("2", "q.fifo", "fail"), "a"),
        in_group(record("3", "q.fifo", "b1"), "b"),
        in_group(record("4", "q.fifo", "a3"), "a"),
        in_group(record("5", "other.fifo", "other"), "a"),
        in_group(record("6", "q.fifo", "b2"), "b"),
        // On an ordinary queue, groups are for fairness.
        in_group(record("7", "fair", "fail"), "a"),
        in_group(record("8", "fair", "fair"), "a"),
        in_group(
            json!({"messageId": "9", "body": 7, "eventSource": "aws:sqs", "attributes": {},
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:q.fifo"}),
            "b",
        ),
        in_group(record("10", "q.fifo", "b4"), "b"),
    ];
    let answer = invoke(&function, &json!({"Records": records})).await.unwrap();
    assert_eq!(failed(&answer), ["2", "4", "7", "9", "10"]);
    let mut handled = seen.payloads();
    let place = |text: &str| handled.iter().position(|handled| handled == text);
    assert!(place("a1") < place("fail") && place("b1") < place("b2"), "{handled:?}");
    handled.sort();
    assert_eq!(handled, ["a1", "b1", "b2", "fail", "fail", "fair", "other"]);
}

#[tokio::test]
async fn names_are_found_in_every_partition_of_aws() {
    static BINDINGS: &[BindingInfo] =
        &[BindingInfo { protocol: "sqs", json: r#"{"queue":{"name":"orders7","fifoQueue":true}}"# }];
    let channels = || {
        [
            ChannelInfo { bindings: BINDINGS, ..ChannelInfo::new("orders", "order.new") },
            ChannelInfo::new("events", "user.{id}.events"),
            ChannelInfo::new("mine", "mine"),
            ChannelInfo::new("dashes", "my--queue"),
        ]
    };
    let arns = |partition: &str| {
        ["orders7.fifo", "user--42--events", "events-7", "q1", "my--queue"]
            .map(|queue| format!("arn:{partition}:sqs:cn-north-1:123456789012:{queue}"))
    };
    for partition in ["aws", "aws-cn", "aws-us-gov"] {
        let (app, seen) = App::with(channels());
        let arn = format!("arn:{partition}:sqs:cn-north-1:123456789012:q1");
        let server = Server::new(app).address("events", "events-{id}").address("mine", arn);
        let function = start(server).await;
        let records = arns(partition).map(|arn| {
            let mut record = record(&arn, "", "{}");
            record["eventSourceARN"] = json!(arn);
            record
        });
        invoke(&function, &json!({"Records": records})).await.unwrap();
        let mut addresses: Vec<_> = seen.all().iter().map(|message| message.address.to_string()).collect();
        addresses.sort();
        assert_eq!(addresses, ["mine", "my--queue", "order.new", "user.42.events", "user.7.events"]);
    }
    let (app, seen) = App::with(channels());
    let function = start(Server::new(app).mapping(Mapping::prefix("prod-"))).await;
    invoke(&function, &json!({"Records": [record("1", "prod-user--42--events", "{}")]})).await.unwrap();
    assert_eq!(seen.all()[0].address, "user.42.events");
    let (app, seen) = App::with(channels());
    let own = Mapping::new(|name| name.replace('_', "."));
    let function = start(Server::new(app).mapping(own)).await;
    invoke(&function, &json!({"Records": [record("1", "user_42_events", "{}")]})).await.unwrap();
    assert_eq!(seen.all()[0].address, "user.42.events");
}

#[tokio::test]
async fn envelopes_are_opened_on_request() {
    static BINDINGS: &[BindingInfo] = &[BindingInfo {
        protocol: "sns",
        json: r#"{"consumers":[{"protocol":"sqs","endpoint":{"name":"q"}}]}"#,
    }];
    static OPERATIONS: &[OperationInfo] =
        &[OperationInfo { name: "receive", bindings: BINDINGS, messages: &[] }];
    let body = r#"{"Type":"Notification","TopicArn":"t","Message":"hi","MessageAttributes":{
        "a":{"Type":"String","Value":"1"}}}"#;
    let event = json!({"Records": [record("1", "q", body)]});
    let (app, seen) = App::with([]);
    invoke(&start(Server::new(app).envelopes(true)).await, &event).await.unwrap();
    assert_eq!((seen.payloads(), seen.all()[0].headers.len()), (vec!["hi".to_owned()], 1));
    let (app, seen) = App::with([]);
    invoke(&start(Server::new(app)).await, &event).await.unwrap();
    assert_eq!(seen.payloads(), [body]);
    let channel = ChannelInfo { operations: OPERATIONS, ..ChannelInfo::new("news", "news") };
    let (app, seen) = App::with([channel]);
    invoke(&start(Server::new(app)).await, &event).await.unwrap();
    assert_eq!((&*seen.all()[0].address, seen.payloads()), ("news", vec!["hi".to_owned()]));
}

#[tokio::test]
async fn an_attempt_is_a_delivery() {
    // The document wants three attempts, and then a dead letter.
    let channel = ChannelInfo {
        dead_letter: Some("aside"),
        policy: PolicyInfo { attempts: Some(3), then_dead_letter: Some(true), ..PolicyInfo::NONE },
        ..ChannelInfo::new("q", "q")
    };
    let (app, seen) = App::with([channel]);
    let sent = Seen::default();
    let function = start(Server::new(app).sender(Arc::new(sent.clone()))).await;
    for (delivery, answered) in [("1", 1), ("2", 1), ("3", 0)] {
        let mut record = record("1", "q", "fail");
        record["attributes"]["ApproximateReceiveCount"] = json!(delivery);
        let answer = invoke(&function, &json!({"Records": [record]})).await.unwrap();
        assert_eq!(failed(&answer).len(), answered, "delivery {delivery}");
    }
    assert_eq!(seen.all().len(), 3, "none is made in process");
    let [letter] = &sent.all()[..] else { panic!("{:?}", sent.all()) };
    assert_eq!(letter.address, "aside");
    assert_eq!(letter.headers.get("amgi-dead-letter-attempts"), Some(&b"3"[..]));

    // What is rejected goes where somebody says; where nobody does, it is left to the queue.
    let sent = Seen::default();
    let policy = Policy { attempts: 1, dead_letter: Some("aside".into()), ..Policy::default() };
    let server = || Server::new(App::default()).sender(Arc::new(sent.clone()));
    let event = json!({"Records": [record("1", "q", "reject")]});
    assert_eq!(failed(&invoke(&start(server()).await, &event).await.unwrap()), ["1"]);
    assert!(sent.all().is_empty());
    assert!(failed(&invoke(&start(server().policy(policy)).await, &event).await.unwrap()).is_empty());
    assert_eq!(sent.all()[0].address, "aside");
}

#[tokio::test]
async fn batches_are_those_of_an_event() {
    let batch = Some(BatchInfo { size: 2, wait: Duration::ZERO });
    let channels = || {
        [
            ChannelInfo { batch, ..ChannelInfo::new("q", "q") },
            ChannelInfo { batch, ..ChannelInfo::new("fifo", "q.fifo") },
            ChannelInfo::new("one", "one"),
        ]
    };
    let (app, seen) = App::with(channels());
    let function = start(Server::new(app).concurrency(1)).await;
    let records =
        [record("1", "q", "a"), record("2", "one", "alone"), record("3", "q", "fail"), record("4", "q", "b")];
    let answer = invoke(&function, &json!({"Records": records})).await.unwrap();
    assert_eq!(failed(&answer), ["3"]);
    let all: Vec<_> = seen.all().iter().map(|message| message.address.to_string()).collect();
    // A batch is where its first message is.
    assert_eq!(all, ["batch of 2", "q", "q", "one", "batch of 1", "q"]);

    let (app, seen) = App::with(channels());
    let function = start(Server::new(app)).await;
    let records = ["a1", "fail", "a3", "a4"].map(|body| in_group(record(body, "q.fifo", body), "a"));
    let answer = invoke(&function, &json!({"Records": records})).await.unwrap();
    assert_eq!(failed(&answer), ["fail", "a3", "a4"], "the next batch is not begun");
    assert_eq!(seen.payloads()[1..], ["a1", "fail"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_done_at_the_deadline_has_failed() {
    let (app, seen) = App::with([]);
    let function = start(Server::new(app).concurrency(2).margin(Duration::from_secs(1))).await;
    let records = ["a", "sleep", "b", "sleep", "never begun"];
    let records: Vec<_> =
        records.iter().enumerate().map(|(n, body)| record(&n.to_string(), "q", body)).collect();
    let event = json!({ "Records": records }).to_string();
    let begun = tokio::time::Instant::now();
    let answer = function.invoke(event.as_bytes(), Duration::from_secs(10)).await.unwrap();
    assert_eq!(begun.elapsed().as_secs(), 9, "the margin is kept free");
    assert_eq!(failed(&serde_json::from_str(&answer).unwrap()), ["1", "3", "4"]);
    assert_eq!(seen.payloads(), ["a", "sleep", "b", "sleep"]);
    // A margin that leaves no time takes half of it.
    let begun = tokio::time::Instant::now();
    let answer = function.invoke(event.as_bytes(), Duration::from_secs(1)).await.unwrap();
    assert_eq!(begun.elapsed().as_millis(), 500);
    assert_eq!(failed(&serde_json::from_str(&answer).unwrap()), ["1", "3", "4"]);
}

/// What is handled once by a key is not kept from its next delivery.
#[tokio::test(start_paused = true)]
async fn a_handler_that_is_cut_off_leaves_nothing_behind() {
    let idempotency =
        Some(IdempotencyInfo { key: Location::Header("k"), remember: Duration::from_secs(3600) });
    let policy = PolicyInfo { idempotency, ..PolicyInfo::NONE };
    let batch = Some(BatchInfo { size: 2, wait: Duration::ZERO });
    let channels = [
        ChannelInfo { policy, ..ChannelInfo::new("q", "q") },
        ChannelInfo { batch, ..ChannelInfo::new("b", "b") },
    ];
    let (app, seen) = App::with(channels);
    let function = start(Server::new(app)).await;
    let mut once = record("1", "q", "sleep");
    once["messageAttributes"]["k"] = json!({"stringValue": "key", "dataType": "String"});
    let event = json!({"Records": [once, record("2", "b", "quick"), record("3", "b", "sleep")]}).to_string();
    for (left, expected) in [(Duration::from_secs(10), &["1", "3"][..]), (Duration::from_secs(900), &[])] {
        let begun = tokio::time::Instant::now();
        let answer = function.invoke(event.as_bytes(), left).await.unwrap();
        assert_eq!(failed(&serde_json::from_str(&answer).unwrap()), expected);
        assert!(begun.elapsed().as_secs() <= 60, "nobody waits for it: {:?}", begun.elapsed());
    }
    assert_eq!(seen.payloads().iter().filter(|payload| *payload == "sleep").count(), 4);
}

#[tokio::test(start_paused = true)]
async fn messages_are_handled_side_by_side() {
    let (app, _) = App::with([]);
    let function = start(Server::new(app).concurrency(4)).await;
    let records: Vec<_> = (0..8).map(|n| record(&n.to_string(), "q", "sleep")).collect();
    let begun = tokio::time::Instant::now();
    let answer = function.invoke(json!({ "Records": records }).to_string().as_bytes(), Duration::MAX).await;
    assert_eq!(answer.unwrap(), r#"{"batchItemFailures":[]}"#);
    assert_eq!(begun.elapsed().as_secs(), 120, "four at a time, of eight that take a minute");
}

#[tokio::test]
async fn sends_go_where_the_channel_is() {
    #[derive(Clone, Default)]
    struct By(Arc<Mutex<Vec<String>>>);
    impl MessageSend for By {
        fn send(&self, message: Message) -> SendFuture<'_> {
            self.send_on(&[], message)
        }
        fn send_on(&self, servers: &'static [&'static str], message: Message) -> SendFuture<'_> {
            self.0.lock().unwrap().push(format!("{} on {servers:?}", message.address));
            SendFuture::ready(Ok(()))
        }
    }
    let here = ChannelInfo { servers: &["here"], ..ChannelInfo::new("here", "here") };
    let (app, _) = App::with([here, ChannelInfo::new("anywhere", "anywhere")]);
    let by = By::default();
    let function = start(Server::new(app).sender(Arc::new(by.clone())).concurrency(1)).await;
    let records = [record("1", "here", "send"), record("2", "anywhere", "send")];
    let answer = invoke(&function, &json!({"Records": records})).await.unwrap();
    assert!(failed(&answer).is_empty());
    assert_eq!(*by.0.lock().unwrap(), [r#"sent on ["here"]"#, "sent on []"]);

    // What the document leaves open goes where the message came from.
    let server =
        |name, protocol| ServerInfo { name, protocol, scheme: "", host: "h", path: "", bindings: &[] };
    let on = |servers| ChannelInfo { servers, ..ChannelInfo::new("c", "c") };
    for (servers, expected) in [
        (&[][..], r#"sent on ["queues"]"#),
        (&["kafka", "others"], r#"sent on ["others"]"#),
        (&["kafka"], r#"sent on ["kafka"]"#),
    ] {
        let (mut app, _) = App::with([on(servers)]);
        app.servers = vec![server("kafka", "kafka"), server("queues", "sqs"), server("others", "sqs")];
        let by = By::default();
        let function = start(Server::new(app).sender(Arc::new(by.clone()))).await;
        invoke(&function, &json!({"Records": [record("1", "c", "send")]})).await.unwrap();
        assert_eq!(*by.0.lock().unwrap(), [expected]);
    }

    // With nothing to send with, the message is not handled.
    let function = start(Server::new(App::default())).await;
    let answer = invoke(&function, &json!({"Records": [record("1", "q", "send")]})).await.unwrap();
    assert_eq!(failed(&answer), ["1"]);
}

#[tokio::test]
async fn channels_of_other_servers_are_left_out() {
    let server = |name| ServerInfo { name, protocol: "sqs", scheme: "", host: "h", path: "", bindings: &[] };
    let fresh = || {
        let there = ChannelInfo { servers: &["there"], ..ChannelInfo::new("there", "there") };
        let (mut app, seen) = App::with([there, ChannelInfo::new("q", "q")]);
        app.servers = vec![server("here"), server("there")];
        (Server::new(app), seen)
    };
    let (made, seen) = fresh();
    let function = start(made.server("here").address("there", "t")).await;
    let answer = invoke(&function, &json!({"Records": [record("1", "t", "x"), record("2", "q", "y")]})).await;
    assert_eq!((failed(&answer.unwrap()), seen.payloads()), (vec![json!("1")], vec!["y".to_owned()]));
    let (made, seen) = fresh();
    let function = start(made.address("there", "t")).await;
    invoke(&function, &json!({"Records": [record("1", "t", "x")]})).await.unwrap();
    assert_eq!(seen.all()[0].address, "there");
    let (made, _) = fresh();
    let error = made.server("nowhere").start().await.unwrap_err();
    assert_eq!(error.to_string(), "configuration: the document has no server `nowhere`");
}

#[tokio::test]
async fn a_stop_begins_nothing_more() {
    let (app, seen) = App::with([]);
    let stop = Stop::new();
    let function = start(Server::new(app).stop(&stop)).await;
    stop.request();
    let answer = invoke(&function, &json!({"Records": [record("1", "q", "x")]})).await.unwrap();
    assert_eq!((failed(&answer), seen.all().len()), (vec![json!("1")], 0));
}
