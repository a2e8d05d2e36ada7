//! What is too much, too slow, too late, or no HTTP at all; and stops.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use amgi::{Error, Settlement};
use amgi_brokers_tests::{App, within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    time::sleep,
};

use super::{channel, event, next, post, server, start, text};

/// Handles what it is given when the gate lets it.
fn gated(gate: &Arc<Semaphore>) -> (App, tokio::sync::mpsc::UnboundedReceiver<amgi::Message>) {
    let gate = gate.clone();
    App::new([channel("/orders")], move |_| {
        let gate = gate.clone();
        async move {
            gate.acquire().await.expect("open").forget();
            Settlement::Ack
        }
    })
}

/// Says something, and hears what comes until the end.
pub(super) async fn raw(at: std::net::SocketAddr, says: &[u8]) -> String {
    let mut stream = TcpStream::connect(at).await.expect("a server");
    stream.write_all(says).await.expect("it listens");
    let mut heard = Vec::new();
    let _ = within("the end of the connection", stream.read_to_end(&mut heard)).await;
    String::from_utf8_lossy(&heard).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_much_waits_or_is_told_to_come_later() {
    let gate = Arc::new(Semaphore::new(0));
    let (app, mut began) = gated(&gate);
    let at_work = app.at_work();
    let (running, at) = start(server(app).concurrency(2).inflight(5)).await;
    let first: Vec<_> = (0..5).map(|_| tokio::spawn(post(at, "/orders", &[], "x"))).collect();
    next(&mut began).await;
    next(&mut began).await;
    sleep(Duration::from_millis(200)).await;
    let answer = post(at, "/orders", &[], "x").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    assert_eq!(answer.detail(), "too many requests are here");
    gate.add_permits(100);
    for answer in first {
        assert_eq!(answer.await.expect("no panic").status, 204);
    }
    assert_eq!(post(at, "/orders", &[], "x").await.status, 204);
    assert_eq!(at_work.1.load(Ordering::SeqCst), 2, "handlers at a time");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_goes_away_does_not_cut_its_handler_short() {
    let gate = Arc::new(Semaphore::new(0));
    let (app, mut began) = gated(&gate);
    let at_work = app.at_work();
    let (running, at) = start(server(app).concurrency(1)).await;
    let asked = tokio::spawn(post(at, "/orders", &[], "one"));
    next(&mut began).await;
    // One that waits behind it, and whose sender is gone when its turn comes, is not begun.
    let waits = tokio::spawn(post(at, "/orders", &[], "two"));
    sleep(Duration::from_millis(100)).await;
    asked.abort();
    waits.abort();
    let mut gone = TcpStream::connect(at).await.expect("a server");
    gone.write_all(b"POST /orders HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc")
        .await
        .expect("it listens");
    drop(gone);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(at_work.0.load(Ordering::SeqCst), 1, "the first is still in its handler");
    gate.add_permits(10);
    assert_eq!(post(at, "/orders", &[], "three").await.status, 204);
    assert_eq!(text(&next(&mut began).await), "three");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_slow_do_not_stay() {
    let (app, _began) = App::new([channel("/orders")], |_| async { Settlement::Ack });
    let (running, at) = start(server(app).read_timeout(Duration::from_millis(300)).connections(2)).await;
    let since = Instant::now();
    // The head does not end, nothing comes at all, the body does not end.
    let (head, nothing) = tokio::join!(raw(at, b"POST /orders HTTP/1.1\r\nhost: x\r\n"), raw(at, b""));
    assert!(!head.contains(" 20") && !nothing.contains(" 20"), "{head} {nothing}");
    let body =
        raw(at, b"POST /orders HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 9\r\n\r\nabc")
            .await;
    assert!(body.starts_with("HTTP/1.1 408 "), "{body}");
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    assert_eq!(post(at, "/orders", &[], "x").await.status, 204);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_comes_in_the_server_lives() {
    let (app, _began) = App::new([channel("/orders"), channel("x")], |_| async { Settlement::Ack });
    let (running, at) = start(server(app).max_body(64).read_timeout(Duration::from_millis(500))).await;
    for says in [
        &b"\x16\x03\x01\x00\xf4\x01\x00"[..],
        b"GET\r\n\r\n",
        b"POST /orders HTTP/9.9\r\n\r\n",
        b"POST /orders HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /orders HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST /%ff%00%zz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"POST * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        b"POST /orders HTTP/1.1\r\nhost: x\r\nce-id: \xff\xfe%\xff\r\nconnection: close\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\nce-type: %00\"\\\r\nconnection: close\r\n\r\n",
        b"POST /orders HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n50\r\n12345678901234567890123456789012345678901234567890123456789012345678901234567890\r\n0\r\n\r\n",
    ] {
        let heard = raw(at, says).await;
        assert!(heard.is_empty() || heard.starts_with("HTTP/1.1 4"), "{}: {heard}", String::from_utf8_lossy(says));
    }
    let deep = format!("{}{}", "[".repeat(30), "]".repeat(30));
    let headers = [("content-type", super::STRUCTURED)];
    assert_eq!(post(at, "/orders", &headers, &deep).await.status, 400);
    assert_eq!(post(at, "/orders", &event("x"), "x").await.status, 204);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_answers_everybody() {
    let gate = Arc::new(Semaphore::new(0));
    let (app, mut began) = gated(&gate);
    let (running, at) = start(server(app).concurrency(1)).await;
    let first = tokio::spawn(post(at, "/orders", &[], "first"));
    next(&mut began).await;
    let waiting = tokio::spawn(post(at, "/orders", &[], "waiting"));
    sleep(Duration::from_millis(200)).await;
    running.stop.request();
    // The worker is busy: who waits is told when it is free, and who comes now at once.
    let answer = post(at, "/orders", &[], "late").await;
    assert_eq!(
        (answer.status, answer.header("retry-after"), answer.header("connection")),
        (503, "1", "close")
    );
    assert_eq!(answer.detail(), "the application is stopping");
    gate.add_permits(10);
    assert_eq!(first.await.expect("no panic").status, 204);
    assert_eq!(waiting.await.expect("no panic").status, 503);
    running.stop().await;
    assert!(began.try_recv().is_err(), "nothing new was begun");
    assert!(TcpStream::connect(at).await.is_err(), "nobody listens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_done_at_the_deadline_is_told() {
    let (app, mut began) = gated(&Arc::new(Semaphore::new(0)));
    let (running, at) = start(server(app).shutdown_deadline(Duration::from_millis(300))).await;
    let asked = tokio::spawn(post(at, "/orders", &[], "x"));
    next(&mut began).await;
    running.stop().await;
    assert_eq!(asked.await.expect("no panic").status, 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_run_says_why() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let at = taken.local_addr().expect("its address").to_string();
    let app = || App::new([channel("/orders")], |_| async { Settlement::Ack }).0;
    let cases = [
        (server(app()).listen(&at), format!("cannot listen at {at}: ")),
        (
            server(app()).listen_certificate("/nowhere.pem", "/nowhere.key"),
            "listen-cert-file `/nowhere.pem`: ".to_owned(),
        ),
        (server(app()).ca_file("/nowhere.pem"), "ca-file `/nowhere.pem`: ".to_owned()),
        (server(app()).url("ftp://u:s3cret@x"), "url `ftp://x`: the scheme must be http or https".to_owned()),
        (
            server(app()).address("/orders", "elsewhere"),
            "address `/orders` as `elsewhere`: no path and no URL".to_owned(),
        ),
        (server(app()).path("events"), "path `events` must begin with a slash".to_owned()),
    ];
    for (server, expected) in cases {
        let error = within("an error", server.serve()).await.expect_err("it cannot run");
        assert!(matches!(error, Error::Config(_) | Error::Broker(_)));
        assert!(error.to_string().contains(&expected), "{error} lacks {expected}");
    }
}
