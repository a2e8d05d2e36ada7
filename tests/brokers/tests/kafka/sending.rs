//! What is sent.

use std::time::{Duration, Instant};

use amgi::{Message, Settlement};
use amgi_brokers_tests::{App, Kafka, within};
use rdkafka::message::{Headers as _, Message as _};

use super::{channel, record, server, start, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_is_in_the_brokers_hands() {
    let kafka = Kafka::shared();
    let (from, to) = (kafka.topic("from", 1).await, kafka.topic("to", 3).await);
    let (app, mut seen) = App::new([channel(from)], move |cx| async move {
        let message = Message::new(to)
            .header("trace", "a")
            .header("trace", &b"\xff"[..])
            .payload("hello")
            .binding("kafka", "key", "k")
            .binding("kafka", "partition", 2)
            .binding("mqtt", "qos", 1);
        cx.send(message).await.unwrap();
        cx.send(Message::new(to).binding("kafka", "key", "k").binding("kafka", "partition", 2))
            .await
            .unwrap();
        cx.send(Message::new(to).payload("").binding("kafka", "partition", 2)).await.unwrap();
        Settlement::Ack
    });
    let running = start(server(&kafka, from, app)).await;
    kafka.write_texts(from, ["go"]).await;
    within("the message", seen.recv()).await.unwrap();
    let sent = kafka.read(to, 3).await;
    assert_eq!(
        (sent[0].payload(), sent[0].key(), sent[0].partition()),
        (Some(&b"hello"[..]), Some(&b"k"[..]), 2)
    );
    let headers: Vec<_> =
        sent[0].headers().unwrap().iter().map(|h| (h.key.to_owned(), h.value.unwrap().to_vec())).collect();
    assert_eq!(headers, [("trace".to_owned(), b"a".to_vec()), ("trace".to_owned(), b"\xff".to_vec())]);
    assert_eq!((sent[1].payload(), sent[1].key()), (None, Some(&b"k"[..])));
    assert_eq!((sent[2].payload(), sent[2].key()), (Some(&b""[..]), None));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_that_fails_says_so() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("fails", 1).await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (app, _seen) = App::new([channel(topic)], move |cx| {
        let tell = tell.clone();
        async move {
            let address = text(cx.message()).to_owned();
            let message = match address.as_str() {
                "large" => Message::new(topic).payload("x".repeat(3_000_000)),
                other => Message::new(other),
            };
            tell.send(cx.send(message).await.unwrap_err().to_string()).unwrap();
            Settlement::Ack
        }
    });
    let server = server(&kafka, topic, app).send_timeout(Duration::from_secs(2));
    let running = start(server).await;
    let since = Instant::now();
    for (address, expected) in [("nobody.made.this", "partition"), ("a b/ü..", "no topic"), ("large", "size")]
    {
        let address = if address.contains("..") { "x".repeat(250) } else { address.to_owned() };
        kafka.write(record(topic, &address)).await;
        let error = within("the error", told.recv()).await.unwrap().to_lowercase();
        assert!(error.contains(expected), "{error}");
    }
    assert!(since.elapsed() < Duration::from_secs(10));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_at_the_same_time_keep_their_order() {
    let kafka = Kafka::shared();
    let (from, to) = (kafka.topic("many-from", 1).await, kafka.topic("many-to", 1).await);
    let (app, mut seen) = App::new([channel(from)], move |cx| async move {
        let sends = (0..500).map(|n| cx.sender().send(Message::new(to).payload(n.to_string())));
        let sends: Vec<_> = sends.collect();
        for send in sends {
            send.await.unwrap();
        }
        Settlement::Ack
    });
    let running = start(server(&kafka, from, app).property("queue.buffering.max.messages", "100")).await;
    kafka.write_texts(from, ["go"]).await;
    within("the message", seen.recv()).await.unwrap();
    let sent = kafka.read(to, 500).await;
    let mut texts: Vec<u32> =
        sent.iter().map(|m| m.payload_view::<str>().unwrap().unwrap().parse().unwrap()).collect();
    // The first hundred had room; the others came when there was some again.
    assert!(texts[..100].is_sorted());
    texts.sort_unstable();
    assert!(texts.iter().copied().eq(0..500), "each once");
    running.stop().await;
}
