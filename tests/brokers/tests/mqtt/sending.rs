//! Sends: in the broker's hands when they return, an error when not.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use amgi::{Message, MessageSend, Settlement};
use amgi_brokers_tests::{App, Mosquitto, Peer, Running, channel, within};
use amgi_mqtt::Version;
use tokio::sync::mpsc;

use crate::{both, server};

/// A broker that refuses messages to `forbidden/…`.
pub(crate) fn guarded() -> Mosquitto {
    let rules = "topic readwrite #\ntopic deny forbidden/#\n";
    Mosquitto::with_file("allow_anonymous true\nacl_file {file}\n", "acl", rules)
}

/// Runs an application that gives its sender away with the first message.
async fn sender(
    broker: &Mosquitto,
    configure: impl FnOnce(amgi_mqtt::Server<App>) -> amgi_mqtt::Server<App>,
    version: Version,
) -> (Arc<dyn MessageSend>, Running) {
    let (give, mut take) = mpsc::unbounded_channel();
    let (app, _) = App::new([channel("start", "{}")], move |cx| {
        let _ = give.send(cx.sender().clone());
        async { Settlement::Ack }
    });
    let running = Running::start(configure(server(broker, version, app))).await;
    broker.publish("start", "");
    (within("the sender", take.recv()).await.unwrap(), running)
}

async fn sends_reach_a_subscriber_at_their_qos(version: Version) {
    let broker = Mosquitto::start();
    let mut peer = Peer::watch(&broker, "out/#").await;
    let (sender, running) = sender(&broker, |server| server, version).await;
    for qos in 0..=2 {
        sender.send(Message::new("out.x").payload("x").binding("mqtt", "qos", qos)).await.unwrap();
        assert_eq!(i32::from(peer.next().await.qos), qos);
    }
    sender.send(Message::new("out.x")).await.unwrap();
    assert_eq!(peer.next().await.qos, 1, "where nobody says one");
    sender.send(Message::new("out.kept").payload("kept").binding("mqtt", "retain", true)).await.unwrap();
    assert_eq!(peer.next().await.payload, "kept");
    let mut late = Peer::watch(&broker, "out/kept").await;
    let seen = late.next().await;
    assert!(seen.retain && seen.payload == "kept", "{seen:?}");
    running.stop().await;
    let error = sender.send(Message::new("out.x")).await.unwrap_err();
    assert!(error.to_string().contains("has stopped"), "{error}");
}

async fn many_sends_at_once_all_arrive(version: Version) {
    const SENDS: usize = 500;
    let broker = Mosquitto::start();
    let mut peer = Peer::watch(&broker, "out").await;
    let (sender, running) = sender(&broker, |server| server, version).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..SENDS {
        let sender = sender.clone();
        tasks.spawn(async move {
            sender
                .send(Message::new("out").payload(n.to_string()).binding(
                    "mqtt",
                    "qos",
                    1 + i64::from(n % 2 == 0),
                ))
                .await
        });
    }
    while let Some(result) = within("a send", tasks.join_next()).await {
        result.unwrap().unwrap();
    }
    let mut seen = Vec::new();
    for _ in 0..SENDS {
        seen.push(peer.next().await.payload.parse::<usize>().unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..SENDS).collect::<Vec<_>>(), "each once");
    running.stop().await;
}

async fn a_send_waits_for_the_broker_but_not_forever(version: Version) {
    let mut broker = Mosquitto::start();
    let (sender, mut running) =
        sender(&broker, |server| server.send_timeout(Duration::from_millis(300)), version).await;
    broker.stop();
    let since = Instant::now();
    let error = sender.send(Message::new("out.x").payload("lost")).await.unwrap_err();
    assert!(error.to_string().contains("within 300ms"), "{error}");
    assert!(since.elapsed() < Duration::from_secs(2));
    // The next one finds the broker again.
    let waiting = tokio::spawn({
        let sender = sender.clone();
        async move {
            loop {
                match sender
                    .send(Message::new("out.x").payload("found").binding("mqtt", "retain", true))
                    .await
                {
                    Ok(()) => break,
                    Err(error) => assert!(error.to_string().contains("within 300ms"), "{error}"),
                }
            }
        }
    });
    broker.start_again();
    running.ready().await;
    within("the send", waiting).await.unwrap();
    let mut peer = Peer::watch(&broker, "out/x").await;
    assert_eq!(peer.next().await.payload, "found");
    running.stop().await;
}

async fn a_send_that_was_not_confirmed_is_repeated(version: Version) {
    for qos in [1, 2] {
        let mut broker = Mosquitto::start();
        let (sender, mut running) = sender(&broker, |server| server, version).await;
        broker.freeze();
        let message = Message::new("out.x").payload("x").binding("mqtt", "qos", qos);
        let mut sending = sender.send(message.binding("mqtt", "retain", true));
        // Nobody confirms QoS 0, so this ends when the socket has it, and what went before it.
        let marker = sender.send(Message::new("out.marker").binding("mqtt", "qos", 0));
        tokio::select! {
            biased;
            result = &mut sending => panic!("a frozen broker confirms nothing: {result:?}"),
            result = marker => result.unwrap(),
        }
        broker.kill();
        broker.start_again();
        running.ready().await;
        within("the send", sending).await.unwrap();
        assert_eq!(Peer::watch(&broker, "out/x").await.next().await.payload, "x");
        running.stop().await;
    }
}

both!(
    a_send_that_was_not_confirmed_is_repeated,
    sends_reach_a_subscriber_at_their_qos,
    many_sends_at_once_all_arrive,
    a_send_waits_for_the_broker_but_not_forever,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_send_is_an_error_and_does_not_disturb_others() {
    let broker = guarded();
    let mut peer = Peer::watch(&broker, "out").await;
    let (sender, running) = sender(&broker, |server| server, Version::V5).await;
    for qos in [1, 2] {
        let error = sender.send(Message::new("forbidden.x").binding("mqtt", "qos", qos)).await.unwrap_err();
        assert_eq!(error.address, "forbidden.x");
        assert!(error.to_string().contains("Not authorized"), "{error}");
        sender.send(Message::new("out").binding("mqtt", "qos", qos)).await.unwrap();
        peer.next().await;
    }
    let error = sender.send(Message::new("out").header("x", &b"\xff"[..])).await.unwrap_err();
    assert!(error.to_string().contains("not UTF-8"), "{error}");
    running.stop().await;
}

/// A packet that is larger than the broker takes is the sender's error and leaves the connection alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_that_is_too_large_is_an_error() {
    let broker = Mosquitto::with("allow_anonymous true\nmax_packet_size 1000\n");
    let (sender, running) = sender(&broker, |server| server, Version::V5).await;
    let error = sender.send(Message::new("out").payload(vec![0; 2000])).await.unwrap_err();
    assert!(error.to_string().contains("1000"), "{error}");
    sender.send(Message::new("out").payload("small")).await.unwrap();
    running.stop().await;
}
