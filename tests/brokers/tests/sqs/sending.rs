//! Sends: attributes and their types, limits, requests that fail in part, and topics of SNS.

use std::sync::Arc;

use super::*;

/// A server whose only use is its sender.
async fn sender(
    broker: &Sqs,
    change: impl FnOnce(Server<App>) -> Server<App>,
) -> (Arc<dyn MessageSend>, Running) {
    let hand = Hand(broker.client());
    let start = name("start");
    let url = hand.make(&start, &[]).await;
    let (give, mut take) = mpsc::unbounded_channel();
    let (app, _began) = App::new([channel(start)], move |cx| {
        let _ = give.send(cx.sender().clone());
        async { Settlement::Ack }
    });
    let running = Running::start(change(server(app, broker).declare(true))).await;
    hand.send(&url, "start").await;
    (within("the sender", take.recv()).await.expect("a sender"), running)
}

#[tokio::test]
async fn attributes_have_types() {
    let broker = Sqs::shared(Emulator::Fauxqs);
    let hand = Hand(broker.client());
    let out = name("out");
    let url = hand.make(&out, &[]).await;
    let (sender, running) = sender(&broker, |server| server.numbers(["price"])).await;
    let message =
        Message::new(out).payload("{}").header("price", "7.5").header("id", "7").header("raw", &b"\xff"[..]);
    sender.send(message).await.expect("it is sent");
    let received = hand.take(&url).await;
    let attributes = received.message_attributes.expect("attributes");
    for (name, kind) in [("price", "Number"), ("id", "String"), ("raw", "Binary")] {
        assert_eq!(attributes[name].data_type, kind, "{name}");
    }
    running.stop().await;
}

#[tokio::test]
async fn each_caller_hears_of_his_own_message() {
    let broker = Sqs::shared(Emulator::Fauxqs);
    let hand = Hand(broker.client());
    let out = name("small");
    let url = hand.make(&out, &[(QueueAttributeName::MaximumMessageSize, "1024")]).await;
    let (sender, running) = sender(&broker, |server| server).await;
    let sends = (0..20).map(|number| {
        let size = if number % 2 == 0 { 10 } else { 2000 };
        let message = Message::new(out.clone()).payload("x".repeat(size));
        let sender = sender.clone();
        async move { sender.send(message).await }
    });
    let sent = futures_util::future::join_all(sends).await;
    for (number, sent) in sent.into_iter().enumerate() {
        assert_eq!(sent.is_ok(), number % 2 == 0, "{number}: {sent:?}");
    }
    assert_eq!(hand.waiting(&url).await, 10);
    running.stop().await;
}

#[tokio::test]
async fn what_is_too_large_or_has_no_place_is_an_error_that_says_so() {
    let broker = Sqs::shared(Emulator::Fauxqs);
    let (sender, running) = sender(&broker, |server| server).await;
    let missing = name("missing");
    let large = Message::new(missing.clone()).payload("x".repeat(1024 * 1024 + 1));
    let error = format!("{:?}", sender.send(large).await.unwrap_err());
    assert!(error.contains("1048577 bytes") && error.contains("1048576 at most"), "{error}");
    let error = format!("{:?}", sender.send(Message::new(missing.clone()).payload("x")).await.unwrap_err());
    assert!(error.contains(&missing) && error.contains("is not there"), "{error}");
    running.stop().await;
}

/// A topic with a queue that is subscribed to it: the topic's ARN, and the queue's name and URL.
async fn topic(broker: &Sqs) -> (String, String, String) {
    let (hand, topics) = (Hand(broker.client()), broker.topics());
    let arn =
        topics.create_topic().name(name("news")).send().await.expect("a topic").topic_arn.expect("its ARN");
    let queue = name("inbox");
    let url = hand.make(&queue, &[]).await;
    let subscribe = topics.subscribe().topic_arn(&arn).protocol("sqs").endpoint(hand.arn(&url).await);
    subscribe.send().await.expect("a subscription");
    (arn, queue, url)
}

async fn published(emulator: Emulator) {
    let broker = Sqs::shared(emulator);
    let (arn, queue, _) = topic(&broker).await;
    let (sender, sending) = sender(&broker, |server| server.address("news", &*arn)).await;
    let (app, mut began) = App::new([channel(queue)], |_| async { Settlement::Ack });
    let running = Running::start(server(app, &broker).declare(true).envelopes(true)).await;
    let message = Message::new("news").payload(r#"{"id":1}"#).header("kind", "fresh").header("kind", "again");
    sender.send(message.clone()).await.expect("it is published");
    let came = within("the message", began.recv()).await.expect("it comes");
    assert_eq!((&came.payload, &came.headers), (&message.payload, &message.headers));
    let missing = ByteString::from(format!("{arn}-missing"));
    assert!(sender.send(Message::new(missing).payload("x")).await.is_err());
    running.stop().await;
    sending.stop().await;
}

#[tokio::test]
async fn topics_are_sent_to_and_envelopes_opened() {
    published(Emulator::Fauxqs).await;
}

#[tokio::test]
async fn topics_are_sent_to_and_envelopes_opened_on_moto() {
    published(Emulator::Moto).await;
}
