//! Addresses, topics, QoS, headers and bindings.

use amgi::{Bytes, Message, Settlement};
use amgi_brokers_tests::{App, Mosquitto, Peer, Running, channel, failed, within};
use amgi_mqtt::{Mapping, Version};
use rumqttc::v5::mqttbytes::{QoS, v5::PublishProperties};

use crate::{binding, both, server, text};

/// Sends the payload back to the address that the message came from, with `.echo` behind it.
async fn echo(cx: amgi::Context) -> Settlement {
    let address = format!("{}.echo", cx.address());
    match cx.send(Message::new(address).payload(cx.message().payload.clone().unwrap_or_default())).await {
        Ok(()) => Settlement::Ack,
        Err(error) => failed(&error.to_string()),
    }
}

async fn addresses_are_the_documents(version: Version) {
    let broker = Mosquitto::start();
    let mut peer = Peer::watch(&broker, "user/+/events/echo").await;
    let channels = ["user.{userId}.events", "lamps/{id}/on", "x/a-{b}/c"].map(|a| channel(a, "{}"));
    let (app, mut began) = App::new(channels, |cx| async move {
        if cx.address().starts_with("user.") { echo(cx).await } else { Settlement::Ack }
    });
    let running = Running::start(server(&broker, version, app).concurrency(1)).await;
    let mut seen = Vec::new();
    for topic in ["user/7/events", "user/4.2/events", "lamps/a.b/on", "x/b-1/c", "x/a-1/c", "user/ü/events"]
    {
        broker.publish(topic, topic);
    }
    for _ in 0..5 {
        seen.push(within("a message", began.recv()).await.unwrap().address.to_string());
    }
    assert_eq!(
        seen,
        ["user.7.events", "user.4%2E2.events", "lamps/a.b/on", "x/a-1/c", "user.ü.events"],
        "the wildcard takes x/b-1/c too, the pattern does not"
    );
    for topic in ["user/7/events", "user/4.2/events", "user/ü/events"] {
        let seen = peer.next().await;
        assert_eq!((seen.topic.as_str(), seen.payload.as_str()), (format!("{topic}/echo").as_str(), topic));
    }
    running.stop().await;
}

async fn a_mapping_can_be_ones_own(version: Version) {
    let broker = Mosquitto::start();
    let mut peer = Peer::watch(&broker, "#").await;
    let channels = [channel("user.{id}.{kind}", "{}"), channel("plain.{id}", "{}")];
    let (app, mut began) = App::new(channels, |cx| async move {
        let out = if cx.address() == "plain.1" { "answer.9" } else { "other.out" };
        cx.send(Message::new(out)).await.map_or(Settlement::Unsettled, |()| Settlement::Ack)
    });
    let server = server(&broker, version, app)
        .mapping(Mapping::new(|a| format!("site/{a}"), |t, _| t.replacen("site/", "", 1)))
        .address("user.{id}.{kind}", "v1/{kind}/of/{id}")
        .address("answer.{id}", "answers/to/{id}");
    let running = Running::start(server).await;
    // A dot is no separator under this mapping, so the whole `plain.1` is one level.
    broker.publish("site/plain.1", "x");
    broker.publish("v1/renamed/of/7", "y");
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.push(within("a message", began.recv()).await.unwrap().address.to_string());
    }
    seen.sort();
    assert_eq!(seen, ["plain.1", "user.7.renamed"]);
    let mut topics: Vec<_> = [peer.next().await, peer.next().await, peer.next().await, peer.next().await]
        .map(|seen| seen.topic)
        .into();
    topics.sort();
    assert_eq!(topics, ["answers/to/9", "site/other.out", "site/plain.1", "v1/renamed/of/7"]);
    running.stop().await;
}

async fn channels_that_overlap_get_a_message_once(version: Version) {
    let broker = Mosquitto::start();
    let channels = [channel("user.{id}.events", r#"{"qos":0}"#), channel("user.1.events", r#"{"qos":2}"#)];
    let (app, mut began) = App::new(channels, |_| async { Settlement::Ack });
    let running = Running::start(server(&broker, version, app)).await;
    broker.mosquitto_pub(&["-q", "2", "-t", "user/1/events", "-m", "one"]);
    broker.mosquitto_pub(&["-q", "2", "-t", "user/1/events", "-m", "two"]);
    for expected in ["one", "two"] {
        let message = within("a message", began.recv()).await.unwrap();
        assert_eq!(text(&message), expected);
        assert_eq!(binding(&message, "qos").and_then(amgi::BindingValue::as_int), Some(2), "the higher QoS");
    }
    running.stop().await;
}

async fn the_document_says_the_qos(version: Version) {
    let broker = Mosquitto::start();
    let channels = [
        channel("zero", r#"{"qos":0}"#),
        channel("one", r#"{"qos":1}"#),
        channel("two", r#"{"qos":2}"#),
        channel("unsaid", "{}"),
    ];
    let (app, mut began) = App::new(channels, |_| async { Settlement::Ack });
    let running = Running::start(server(&broker, version, app).concurrency(1)).await;
    for topic in ["zero", "one", "two", "unsaid"] {
        broker.mosquitto_pub(&["-q", "2", "-t", topic, "-m", "x"]);
    }
    let mut seen = Vec::new();
    for _ in 0..4 {
        let message = within("a message", began.recv()).await.unwrap();
        let qos = binding(&message, "qos").and_then(amgi::BindingValue::as_int).unwrap();
        seen.push((message.address.to_string(), qos));
    }
    let expected = [("zero", 0), ("one", 1), ("two", 2), ("unsaid", 1)];
    seen.sort();
    let mut expected = expected.map(|(address, qos)| (address.to_owned(), qos));
    expected.sort();
    assert_eq!(seen, expected);
    running.stop().await;
}

both!(
    addresses_are_the_documents,
    a_mapping_can_be_ones_own,
    channels_that_overlap_get_a_message_once,
    the_document_says_the_qos,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn properties_of_version_5_are_headers_and_bindings() {
    let broker = Mosquitto::start();
    let mut peer = Peer::watch(&broker, "out").await;
    let (app, mut began) = App::new([channel("a", "{}")], |cx| async move {
        let mut copy = cx.message().clone();
        copy.address = "out".into();
        cx.send(copy).await.map_or(Settlement::Unsettled, |()| Settlement::Ack)
    });
    let running = Running::start(server(&broker, Version::V5, app)).await;
    let properties = PublishProperties {
        user_properties: vec![
            ("trace".to_owned(), "b".to_owned()),
            ("ünïcode".to_owned(), "é".to_owned()),
            ("trace".to_owned(), "a".to_owned()),
        ],
        content_type: Some("application/json".to_owned()),
        response_topic: Some("answers/7".to_owned()),
        correlation_data: Some(Bytes::from_static(&[0, 159, 255])),
        payload_format_indicator: Some(1),
        message_expiry_interval: Some(60),
        ..PublishProperties::default()
    };
    let client = &peer.client;
    client.publish_with_properties("a", QoS::AtLeastOnce, false, "{}", properties.clone()).await.unwrap();
    let message = within("a message", began.recv()).await.unwrap();
    let headers: Vec<_> =
        message.headers.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
    assert_eq!(
        headers,
        [(&b"trace"[..], &b"b"[..]), ("ünïcode".as_bytes(), "é".as_bytes()), (b"trace", b"a")],
        "in order, repeated ones too"
    );
    assert_eq!(binding(&message, "response_topic").and_then(|v| v.as_str()), Some("answers/7"));
    assert_eq!(binding(&message, "correlation_data").and_then(|v| v.as_bytes()), Some(&[0, 159, 255][..]));
    assert_eq!(binding(&message, "content_type").and_then(|v| v.as_str()), Some("application/json"));
    assert_eq!(binding(&message, "payload_format_indicator").and_then(amgi::BindingValue::as_int), Some(1));
    assert!((1..=60).contains(
        &binding(&message, "message_expiry_interval").and_then(amgi::BindingValue::as_int).unwrap()
    ));

    let mut seen = peer.next().await;
    assert!(seen.properties.message_expiry_interval.take().is_some());
    assert_eq!(seen.properties, PublishProperties { message_expiry_interval: None, ..properties });
    running.stop().await;
}
