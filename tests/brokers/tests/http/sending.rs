//! Sends: what they look like, where they go, and what becomes of those that nobody takes.

use std::time::{Duration, Instant};

use amgi::{ByteString, Message, MessageSend, SendError, ServerInfo, Settlement};
use amgi_brokers_tests::{App, Authority, Running, within};
use amgi_http::{Mode, Server};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{Target, channel, event, next, post, server, start};

/// An application that gives its sender away.
async fn sender(with: impl FnOnce(Server<App>) -> Server<App>) -> (Running, std::sync::Arc<dyn MessageSend>) {
    let (give, mut take) = mpsc::unbounded_channel();
    let (app, _began) = App::new([channel("/start")], move |cx| {
        let _ = give.send(cx.sender().clone());
        async { Settlement::Ack }
    });
    let (running, at) = start(with(server(app))).await;
    assert_eq!(post(at, "/start", &[], "x").await.status, 204);
    (running, take.recv().await.expect("a sender"))
}

async fn refused(sender: &std::sync::Arc<dyn MessageSend>, message: Message) -> String {
    let address = message.address.clone();
    let error: SendError = within("an error", sender.send(message)).await.expect_err("nobody takes it");
    assert_eq!(address, ByteString::from(error.address.as_str()));
    error.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_is_an_event_field_by_field() {
    let mut target = Target::start(&[]).await;
    let message = || {
        Message::new("order.paid")
            .payload(r#"{"n": 1.0}"#)
            .header("x-trace", "t")
            .header("ce-subject", "ü 1")
            .header("k", "1")
            .header("k", "2")
    };
    let (running, sender) = sender(|server| server.url(target.url()).source("/shop")).await;
    sender.send(message()).await.expect("it is taken");
    let got = target.next().await;
    assert_eq!(
        (got.method.as_str(), got.path.as_str(), &got.body[..]),
        ("POST", "/in", &br#"{"n": 1.0}"#[..])
    );
    for (name, value) in [
        ("ce-specversion", "1.0"),
        ("ce-type", "order.paid"),
        ("ce-source", "/shop"),
        ("ce-subject", "%C3%BC%201"),
        ("content-type", "application/json"),
        ("x-trace", "t"),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }
    assert_eq!(got.headers.get_all("k").iter().collect::<Vec<_>>(), ["1", "2"]);
    let (id, time) = (got.header("ce-id").to_owned(), got.header("ce-time"));
    assert!(id.len() == 36 && time.ends_with('Z') && time.len() == 24, "{id} {time}");

    // At a path, an event keeps its type; without a payload there is no content type.
    sender
        .send(Message::new("/orders/a b").header("ce-type", "own").header("ce-id", "7"))
        .await
        .expect("it is taken");
    let got = target.next().await;
    assert_eq!(
        (got.path.as_str(), got.header("ce-type"), got.header("ce-id")),
        ("/in/orders/a%20b", "own", "7")
    );
    assert_eq!((got.headers.get("content-type"), got.body.len()), (None, 0));

    let bound = Message::new("/orders")
        .binding("http", "method", "PUT")
        .binding("http", "query", r#"{"a":"x&y","n":[1,2]}"#)
        .binding("http", "headers", r#"{"X-Count":3}"#);
    sender.send(bound).await.expect("it is taken");
    let got = target.next().await;
    assert_eq!(
        (got.method.as_str(), got.path.as_str(), got.header("x-count")),
        ("PUT", "/in/orders?a=x%26y&n=1&n=2", "3")
    );
    running.stop().await;

    let url = target.url();
    let (running, sender) = self::sender(|server| server.url(url).mode(Mode::Structured)).await;
    sender.send(message()).await.expect("it is taken");
    let got = target.next().await;
    assert_eq!(got.header("content-type"), "application/cloudevents+json; charset=utf-8");
    assert_eq!((got.header("x-trace"), got.header("ce-type")), ("t", ""));
    let event: Value = serde_json::from_slice(&got.body).expect("JSON");
    assert_eq!(
        (&event["type"], &event["subject"], &event["datacontenttype"]),
        (&"order.paid".into(), &"ü 1".into(), &"application/json".into())
    );
    assert!(got.body.ends_with(br#""data":{"n": 1.0}}"#), "the payload as it is: {event}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_time_is_asked_again() {
    let mut target =
        Target::start(&[(503, &[("retry-after", "0")], ""), (429, &[], ""), (502, &[], "")]).await;
    let (running, sender) = sender(|server| server.url(target.url())).await;
    sender.send(Message::new("a").payload("1")).await.expect("it is taken in the end");
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(target.next().await.header("ce-id").to_owned());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "an event sent again is the same event");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_an_error_at_once() {
    let problem = r#"{"detail":"the order is unknown"}"#;
    let mut target =
        Target::start(&[(422, &[], problem), (500, &[], ""), (302, &[("location", "/elsewhere")], "")]).await;
    let (running, sender) = sender(|server| server.url(target.url())).await;
    for expected in
        ["answers 422 Unprocessable Entity: the order is unknown", "answers 500", "answers 302 Found"]
    {
        let error = refused(&sender, Message::new("a")).await;
        assert!(error.contains(expected), "{error}");
        target.next().await;
    }
    assert!(target.got.try_recv().is_err(), "a redirection is not followed");
    let bad = Message::new("a").header("x", "line\nbreak");
    assert!(refused(&sender, bad).await.contains("header `x`"));
    assert!(refused(&sender, Message::new("/../up")).await.contains("leads somewhere else"));
    sender.send(Message::new("a")).await.expect("others go on");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_that_reaches_nobody_is_an_error_in_time() {
    let nobody = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        listener.local_addr().expect("its address")
    };
    let (running, sender) = sender(|server| {
        server.url(format!("http://u:s3cret@{nobody}/")).send_timeout(Duration::from_millis(500))
    })
    .await;
    let since = Instant::now();
    let error = refused(&sender, Message::new("a")).await;
    assert!((300..3000).contains(&since.elapsed().as_millis()), "{:?}", since.elapsed());
    assert!(error.contains("given up after") && !error.contains("s3cret"), "{error}");
    running.stop().await;
    let (running, sender) = self::sender(|server| server).await;
    assert!(refused(&sender, Message::new("a")).await.contains("nothing says where sends go"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_our_own_server_is_told_who_sends() {
    let (mut ours, mut other) = (Target::start(&[]).await, Target::start(&[]).await);
    let (running, sender) = sender(|server| {
        server.url(ours.url()).token("s3cret").address("hooks/{id}", format!("http://{}/h/{{id}}", other.at))
    })
    .await;
    sender.send(Message::new("a")).await.expect("it is taken");
    sender.send(Message::new("hooks/7")).await.expect("it is taken");
    assert_eq!(ours.next().await.header("authorization"), "Bearer s3cret");
    let got = other.next().await;
    assert_eq!(
        (got.path.as_str(), got.header("authorization"), got.header("ce-type")),
        ("/h/7", "", "hooks/7")
    );
    running.stop().await;
    let url = format!("http://user:pass@{}/", ours.at);
    let (running, sender) = self::sender(|server| server.url(url)).await;
    sender.send(Message::new("a")).await.expect("it is taken");
    assert_eq!(ours.next().await.header("authorization"), "Basic dXNlcjpwYXNz");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_in_and_out() {
    let authority = Authority::new();
    let ours = authority.broker(&["localhost"]);
    let (app, mut began) = App::new([channel("order.paid")], |_| async { Settlement::Ack });
    let (receiving, at) = start(server(app).listen_certificate(&ours.certificate, &ours.key)).await;
    let url = format!("https://localhost:{}/", at.port());
    let (running, sender) = sender(|server| server.url(&url).ca_file(authority.file())).await;
    sender.send(Message::new("order.paid").payload("1")).await.expect("it is taken");
    assert_eq!(super::text(&next(&mut began).await), "1");
    running.stop().await;
    // Somebody else's authority does not vouch for it.
    let stranger = Authority::new();
    let (running, sender) = self::sender(|server| {
        server.url(&url).ca_file(stranger.file()).send_timeout(Duration::from_millis(300))
    })
    .await;
    let error = refused(&sender, Message::new("order.paid")).await;
    assert!(error.contains("certificate"), "{error}");
    running.stop().await;
    receiving.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_says_where() {
    let mut target = Target::start(&[]).await;
    let host: &'static str = target.at.to_string().leak();
    let info = ServerInfo { name: "shop", protocol: "http", scheme: "", host, path: "in", bindings: &[] };
    let (app, mut began) = App::new([channel("order.paid")], |cx| async move {
        match cx.send(Message::new("order.sent").payload("{}")).await {
            Ok(()) => Settlement::Ack,
            Err(_) => Settlement::Unsettled,
        }
    });
    let (running, at) = start(server(app.with_server(info))).await;
    assert_eq!(post(at, "/", &event("order.paid"), "1").await.status, 404, "the document has a path");
    assert_eq!(post(at, "/in", &event("order.paid"), "1").await.status, 204);
    next(&mut began).await;
    let got = target.next().await;
    assert_eq!((got.path.as_str(), got.header("ce-type")), ("/in", "order.sent"));
    running.stop().await;
}
