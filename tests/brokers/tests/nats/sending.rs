//! Sends, requests and their replies.

use std::time::Duration;

use amgi::{ChannelInfo, Message, Settlement};
use amgi_brokers_tests::{App, NatsServer, within};

use crate::{Peer, channel, heard, next, payload, server, start, streamed};

/// An application that sends what `make` makes of the payload, and tells how that went.
fn relay(
    make: impl Fn(&str) -> Message + Send + Sync + 'static,
) -> (App, tokio::sync::mpsc::UnboundedReceiver<Result<(), String>>) {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    let (app, _) = App::new([channel("in")], move |cx| {
        let (message, tell) = (make(crate::text(cx.message())), tell.clone());
        async move {
            tell.send(cx.send(message).await.map_err(|error| error.to_string())).unwrap();
            Settlement::Ack
        }
    });
    (app, told)
}

async fn told(results: &mut tokio::sync::mpsc::UnboundedReceiver<Result<(), String>>) -> Result<(), String> {
    within("a send", results.recv()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_goes_with_everything() {
    let broker = NatsServer::start();
    let peer = Peer::connect(&broker).await;
    let mut out = peer.listen("out.>").await;
    let (app, mut results) = relay(|payload| {
        let message = Message::new("out.1").payload(payload.to_owned());
        match payload {
            "all" => message
                .header("trace", "b")
                .header("trace", "a")
                .header("x", "ü")
                .binding("nats", "reply_to", "answers.7")
                .binding("kafka", "key", "k"),
            _ => Message::new("out/2"),
        }
    });
    let running = start(server(&broker, app)).await;
    peer.publish("in", "all").await;
    told(&mut results).await.unwrap();
    let message = heard(&mut out).await;
    assert_eq!(payload(&message), "all");
    assert_eq!(message.reply.as_deref(), Some("answers.7"));
    let headers = message.headers.unwrap();
    let traces: Vec<_> = headers.get_all("trace").map(|value| value.as_str().to_owned()).collect();
    assert_eq!(traces, ["b", "a"]);
    assert_eq!(headers.get("x").unwrap().as_str(), "ü");
    peer.publish("in", "nothing").await;
    told(&mut results).await.unwrap();
    let message = heard(&mut out).await;
    assert_eq!((&*message.subject, payload(&message)), ("out.2", ""));
    assert_eq!(message.headers, None);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_sent_is_an_error() {
    let broker = NatsServer::with(
        "authorization { users: [{ user: bob, password: b, permissions: { publish: { deny: [\"secret.>\"] } } }] }\n",
    );
    let url = format!("nats://bob:b@127.0.0.1:{}", broker.port());
    let peer = Peer(
        async_nats::connect_with_options(
            broker.url(),
            async_nats::ConnectOptions::with_user_and_password("bob".into(), "b".into()),
        )
        .await
        .unwrap(),
    );
    let (app, mut results) = relay(|payload| match payload {
        "large" => Message::new("out").payload("x".repeat(1024 * 1024 + 1)),
        "wild" => Message::new("out.*"),
        "bytes" => Message::new("out").header("h", &b"\xFF"[..]),
        "lines" => Message::new("out").header("h", "1\n2"),
        _ => Message::new("secret.out"),
    });
    let running = start(server(&broker, app).url(url)).await;
    for (payload, part) in [
        ("large", "max payload"),
        ("wild", "no subject to send to"),
        ("bytes", "not UTF-8"),
        ("lines", "line breaks"),
        ("secret", "Permissions Violation"),
        ("secret", "Permissions Violation"),
    ] {
        peer.publish("in", payload).await;
        let error = told(&mut results).await.unwrap_err();
        assert!(error.contains(part), "{payload}: {error}");
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_stores_what_is_sent() {
    let broker = NatsServer::start();
    let peer = Peer::connect(&broker).await;
    let subjects = vec!["out.*".to_owned()];
    let config = async_nats::jetstream::stream::Config {
        name: "OUT".to_owned(),
        subjects,
        ..async_nats::jetstream::stream::Config::default()
    };
    peer.jetstream().create_stream(config).await.unwrap();
    let (app, mut results) = relay(|payload| match payload {
        "large" => Message::new("out.1").payload("x".repeat(2 * 1024 * 1024)),
        "nowhere" => Message::new("elsewhere"),
        other => Message::new("out.1").payload(other.to_owned()).header("Nats-Msg-Id", "1"),
    });
    let running = start(streamed(&broker, app).core(["in"])).await;
    for _ in 0..2 {
        peer.publish("in", "x").await;
        told(&mut results).await.unwrap();
    }
    let stream = peer.jetstream().get_stream("OUT").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 1, "the second has the same id");
    peer.publish("in", "nowhere").await;
    let error = told(&mut results).await.unwrap_err();
    assert!(error.contains("no stream has the subject `elsewhere`"), "{error}");
    peer.publish("in", "large").await;
    let error = told(&mut results).await.unwrap_err();
    assert!(error.contains("max payload"), "{error}");
    running.stop().await;
}

/// A send that waits for the broker, and one that waits in vain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sends_wait_for_the_broker_but_not_forever() {
    for jetstream in [false, true] {
        let mut broker = NatsServer::start();
        let peer = Peer::connect(&broker).await;
        let config = async_nats::jetstream::stream::Config {
            name: "OUT".to_owned(),
            subjects: vec!["out".to_owned()],
            ..async_nats::jetstream::stream::Config::default()
        };
        peer.jetstream().create_stream(config).await.unwrap();
        let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
        let waiting = gate.clone();
        let (tell, mut results) = tokio::sync::mpsc::unbounded_channel();
        let (app, mut began) = App::new([channel("in")], move |cx| {
            let (gate, tell) = (waiting.clone(), tell.clone());
            async move {
                gate.acquire().await.unwrap().forget();
                let sent = cx.send(Message::new("out").payload("late")).await;
                tell.send(sent.map_err(|error| error.to_string())).unwrap();
                Settlement::Ack
            }
        });
        let server = server(&broker, app).send_timeout(Duration::from_secs(3));
        let server = if jetstream { server.jetstream(true).core(["in"]) } else { server };
        let running = start(server).await;
        peer.publish("in", "1").await;
        peer.publish("in", "2").await;
        for _ in 0..2 {
            next(&mut began).await;
        }
        broker.kill();
        gate.add_permits(1);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(results.try_recv().is_err(), "it waits");
        broker.start_again();
        within("the first send", results.recv()).await.unwrap().unwrap();
        broker.kill();
        gate.add_permits(1);
        let error = within("the second send", results.recv()).await.unwrap().unwrap_err();
        assert!(error.contains("did not take it within 3s"), "{error}");
        running.stop().await;
    }
}

/// Replies come while handlers wait for them, and only to the instance that asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_carries_the_subject_of_its_reply() {
    let broker = NatsServer::start();
    let peer = Peer::connect(&broker).await;
    let mut asked = peer.listen("ask").await;
    let (tell, mut answers) = tokio::sync::mpsc::unbounded_channel();
    let replies = ChannelInfo { replies: true, ..channel("amgi.reply.7") };
    let (app, _) = App::new([channel("in"), replies], move |cx| {
        let tell = tell.clone();
        async move {
            if cx.address() == "in" {
                let request = Message::new("ask").header("reply-to", "amgi.reply.7").payload("?");
                cx.send(request).await.unwrap();
            } else {
                tell.send(crate::text(cx.message()).to_owned()).unwrap();
            }
            Settlement::Ack
        }
    });
    let running = start(server(&broker, app).group("g").concurrency(1)).await;
    peer.publish("in", "").await;
    let request = heard(&mut asked).await;
    let reply = request.reply.clone().unwrap();
    assert_eq!(&*reply, "amgi.reply.7");
    peer.publish(&reply, "!").await;
    assert_eq!(within("a reply", answers.recv()).await.as_deref(), Some("!"));
    running.stop().await;
}
