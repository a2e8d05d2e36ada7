//! Without JetStream.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use amgi::{BatchInfo, BindingInfo, Bytes, ChannelInfo, Error, Message, OperationInfo, Settlement};
use amgi_brokers_tests::{App, NatsServer, failed, rejected, within};
use async_nats::HeaderMap;
use tokio::sync::Semaphore;

use crate::{Peer, binding, channel, heard, next, payload, server, start, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_comes_with_everything() {
    let broker = NatsServer::start();
    let (app, mut began) = App::new([channel("user.{id}.events")], |_| async { Settlement::Ack });
    let running = start(server(&broker, app)).await;
    let peer = Peer::connect(&broker).await;
    let mut headers = HeaderMap::new();
    headers.append("trace", "b");
    headers.append("other", "ü");
    headers.append("trace", "a");
    peer.publish_with("user.7.events", headers, "{}").await;
    let message = next(&mut began).await;
    assert_eq!(message.address, "user.7.events");
    let pairs: Vec<_> = message.headers.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).collect();
    let expected: [(&[u8], &[u8]); 3] = [(b"other", "ü".as_bytes()), (b"trace", b"b"), (b"trace", b"a")];
    assert_eq!(pairs, expected, "by name; repeated ones in their order");
    assert_eq!(text(&message), "{}");
    assert!(message.bindings.is_empty());

    peer.0.publish_with_reply("user.8.events", "answers.9", "x".into()).await.unwrap();
    let message = next(&mut began).await;
    assert_eq!(binding(&message, "reply_to").and_then(|v| v.as_str()), Some("answers.9"));
    assert!(message.headers.is_empty());

    peer.publish("user.9.events", "").await;
    assert_eq!(next(&mut began).await.payload, Some(Bytes::new()));
    let large = "x".repeat(1024 * 1024);
    peer.publish("user.9.events", &large).await;
    assert_eq!(text(&next(&mut began).await), large);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_are_the_documents() {
    let broker = NatsServer::start();
    let peer = Peer::connect(&broker).await;
    let mut echoes = peer.listen("lamps.*.on.echo").await;
    let channels = ["lamps/{id}/on", "x.a-{b}.c", "v.{id}"].map(channel);
    let (app, mut began) = App::new(channels, |cx| async move {
        let out = Message::new(format!("{}/echo", cx.address())).payload("back");
        cx.send(out).await.map_or(Settlement::Unsettled, |()| Settlement::Ack)
    });
    let running = start(server(&broker, app).address("v.{id}", "v1.{id}.out")).await;
    for subject in ["lamps.a%2Eb.on", "x.b-1.c", "x.a-1.c", "v.1", "v1.1.out"] {
        peer.publish(subject, "").await;
    }
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(next(&mut began).await.address.to_string());
    }
    seen.sort();
    assert_eq!(
        seen,
        ["lamps/a.b/on", "v.1", "x.a-1.c"],
        "the wildcard takes x.b-1.c too, the pattern does not"
    );
    assert_eq!(&*heard(&mut echoes).await.subject, "lamps.a%2Eb.on.echo");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_is_tried_again_and_then_dead_lettered() {
    let broker = NatsServer::start();
    let peer = Peer::connect(&broker).await;
    let mut letters = peer.listen("job.*.dlq").await;
    let (app, mut began) = App::new([channel("job.{id}")], |cx| async move {
        match text(cx.message()) {
            "poison" => failed("no\nluck"),
            _ => rejected("/lumens", "an integer"),
        }
    });
    let running = start(server(&broker, app)).await;
    peer.publish("job.1", "poison").await;
    for _ in 0..3 {
        assert_eq!(text(&next(&mut began).await), "poison");
    }
    let letter = heard(&mut letters).await;
    let header = |name: &str| letter.headers.as_ref().unwrap().get(name).map(|v| v.as_str().to_owned());
    assert_eq!((&*letter.subject, payload(&letter)), ("job.1.dlq", "poison"));
    assert_eq!(header("amgi-dead-letter-address").as_deref(), Some("job.1"));
    assert_eq!(header("amgi-dead-letter-reason").as_deref(), Some("no luck"));
    assert_eq!(header("amgi-dead-letter-attempts").as_deref(), Some("3"));
    peer.publish("job.2", "much").await;
    let letter = heard(&mut letters).await;
    assert_eq!((&*letter.subject, payload(&letter)), ("job.2.dlq", "much"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_are_handled_at_a_time_and_no_more() {
    let broker = NatsServer::start();
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let (app, mut began) = App::new([channel("a.{n}")], move |_| {
        let gate = waiting.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            Settlement::Ack
        }
    });
    let at_work = app.at_work();
    let running = start(server(&broker, app).concurrency(3)).await;
    let peer = Peer::connect(&broker).await;
    for n in 0..20 {
        peer.publish(&format!("a.{n}"), &n.to_string()).await;
    }
    for _ in 0..3 {
        next(&mut began).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(began.try_recv().is_err(), "three at a time");
    gate.add_permits(20);
    for _ in 3..20 {
        next(&mut began).await;
    }
    running.stop().await;
    assert_eq!(at_work.1.load(Ordering::SeqCst), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_asked_for_a_subject_keeps_its_order() {
    const SUBJECTS: usize = 7;
    const MESSAGES: usize = 40;
    let broker = NatsServer::start();
    let (app, mut began) = App::new([channel("t.{n}")], |cx| async move {
        let wait = text(cx.message()).parse::<u64>().unwrap() * 7 % 3;
        if wait > 0 {
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        Settlement::Ack
    });
    let at_work = app.at_work();
    let running = start(server(&broker, app).ordered(true).concurrency(4).inflight(10)).await;
    let peer = Peer::connect(&broker).await;
    for n in 0..MESSAGES {
        for subject in 0..SUBJECTS {
            peer.0.publish(format!("t.{subject}"), n.to_string().into()).await.unwrap();
        }
    }
    let mut seen = vec![Vec::new(); SUBJECTS];
    for _ in 0..SUBJECTS * MESSAGES {
        let message = next(&mut began).await;
        let subject: usize = message.address[2..].parse().unwrap();
        seen[subject].push(text(&message).parse::<usize>().unwrap());
    }
    running.stop().await;
    for numbers in seen {
        assert_eq!(numbers, (0..MESSAGES).collect::<Vec<_>>());
    }
    let most = at_work.1.load(Ordering::SeqCst);
    assert!((2..=4).contains(&most), "{most} handlers at a time");
}

/// What waits is bounded; what comes beyond is dropped, and the service goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_is_bounded() {
    const MESSAGES: usize = 5000;
    let broker = NatsServer::start();
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let (app, mut began) = App::new([channel("a")], move |_| {
        let gate = waiting.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            Settlement::Ack
        }
    });
    let running = start(server(&broker, app).concurrency(1).pending(100).inflight(1)).await;
    let peer = Peer::connect(&broker).await;
    for n in 0..MESSAGES {
        peer.0.publish("a", n.to_string().into()).await.unwrap();
    }
    peer.settled().await;
    assert_eq!(text(&next(&mut began).await), "0");
    // Whoever drops them is through when something comes by the same connection.
    tokio::time::sleep(Duration::from_millis(300)).await;
    gate.add_permits(MESSAGES);
    let mut handled = 1;
    while let Ok(Some(_)) = tokio::time::timeout(Duration::from_millis(300), began.recv()).await {
        handled += 1;
    }
    assert!((100..=102).contains(&handled), "{handled} were handled");
    peer.publish("a", "on").await;
    assert_eq!(text(&next(&mut began).await), "on");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_finishes_what_has_come_within_the_deadline() {
    let broker = NatsServer::start();
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let (app, mut began) = App::new([channel("a")], move |cx| {
        let gate = waiting.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            // Sends work to the end.
            match cx.send(Message::new("out").payload(cx.message().payload.clone().unwrap())).await {
                Ok(()) => Settlement::Ack,
                Err(error) => failed(&error.to_string()),
            }
        }
    });
    let peer = Peer::connect(&broker).await;
    let mut out = peer.listen("out").await;
    let mut running = start(server(&broker, app).concurrency(1)).await;
    for payload in ["one", "two"] {
        peer.publish("a", payload).await;
    }
    next(&mut began).await;
    running.stop.request();
    gate.add_permits(10);
    running.ended().await.unwrap();
    for expected in ["one", "two"] {
        assert_eq!(payload(&heard(&mut out).await), expected);
    }

    let (app, mut began) = App::new([channel("a")], |_| std::future::pending());
    let mut running = start(server(&broker, app).shutdown_deadline(Duration::from_millis(100))).await;
    peer.publish("a", "x").await;
    next(&mut began).await;
    let since = Instant::now();
    running.stop.request();
    running.ended().await.unwrap();
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restart_of_the_broker_all_goes_on() {
    let mut broker = NatsServer::start();
    let (app, mut began) = App::new([channel("a")], |_| async { Settlement::Ack });
    let mut running = start(server(&broker, app)).await;
    for n in 0..3 {
        if n % 2 == 0 {
            broker.kill();
        } else {
            broker.stop();
        }
        broker.start_again();
        running.ready().await;
        Peer::connect(&broker).await.publish("a", &n.to_string()).await;
        assert_eq!(text(&next(&mut began).await), n.to_string());
    }
    running.stop().await;
}

/// The document's `queue`, and `group` over it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_shares_the_work() {
    const MESSAGES: usize = 60;
    let broker = NatsServer::start();
    let bindings: &'static [BindingInfo] =
        Box::leak(Box::new([BindingInfo { protocol: "nats", json: r#"{"queue":"workers"}"# }]));
    let operation = OperationInfo { name: "receive", bindings, messages: &[] };
    let operations: &'static [OperationInfo] = Box::leak(Box::new([operation]));
    let start_one = async |group: Option<&str>| {
        let said = ChannelInfo { operations, ..channel("a.{n}") };
        let (app, began) = App::new([said], |_| async { Settlement::Ack });
        let server = server(&broker, app);
        (
            start(match group {
                Some(group) => server.group(group),
                None => server,
            })
            .await,
            began,
        )
    };
    let (one, mut first) = start_one(None).await;
    let (two, mut second) = start_one(Some("workers")).await;
    let (three, mut other) = start_one(Some("others")).await;
    let peer = Peer::connect(&broker).await;
    for n in 0..MESSAGES {
        peer.0.publish(format!("a.{n}"), n.to_string().into()).await.unwrap();
    }
    let mut seen = Vec::new();
    let (mut by_one, mut by_two) = (0, 0);
    while seen.len() < MESSAGES {
        let message = within("a message", async {
            tokio::select! {
                Some(message) = first.recv() => { by_one += 1; message }
                Some(message) = second.recv() => { by_two += 1; message }
            }
        });
        seen.push(text(&message.await).parse::<usize>().unwrap());
        next(&mut other).await;
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..MESSAGES).collect::<Vec<_>>(), "each once");
    assert!(by_one > 0 && by_two > 0, "{by_one} and {by_two}");
    for running in [one, two, three] {
        running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_not_there_or_refuses_is_an_error() {
    let (app, _) = App::new([channel("a")], |_| async { Settlement::Ack });
    let error = amgi_nats::Server::new(app).url("nats://u:secret@127.0.0.1:1").serve().await.unwrap_err();
    let said = error.to_string();
    assert!(matches!(error, Error::Broker(_)) && said.contains("nats://127.0.0.1:1"), "{said}");
    assert!(!said.contains("secret"), "{said}");

    let broker = NatsServer::with("authorization { user: ada, password: \"s3cret\" }\n");
    let serve = async |url: String| {
        let (app, _) = App::new([channel("a")], |_| async { Settlement::Ack });
        amgi_nats::Server::new(app).url(url).serve().await
    };
    let error = serve(broker.url()).await.unwrap_err().to_string();
    assert!(error.contains("authorization violation"), "{error}");
    let (app, _) = App::new([channel("a")], |_| async { Settlement::Ack });
    start(server(&broker, app).url(format!("nats://ada:s3cret@127.0.0.1:{}", broker.port())))
        .await
        .stop()
        .await;

    let broker = NatsServer::with(
        "authorization { users: [{ user: bob, password: b, permissions: { subscribe: { deny: [\"secret.>\"] } } }] }\n",
    );
    let (app, _) = App::new([channel("secret.a")], |_| async { Settlement::Ack });
    let error = server(&broker, app).credentials("bob", "b").serve().await.unwrap_err().to_string();
    assert!(error.contains("Permissions Violation") && error.contains("secret.a"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_are_what_has_come() {
    let broker = NatsServer::start();
    let batch = Some(BatchInfo { size: 4, wait: Duration::from_millis(200) });
    let sizes = Arc::new(AtomicUsize::new(0));
    let (app, mut began) = App::new([ChannelInfo { batch, ..channel("a") }], |_| async { Settlement::Ack });
    let app = crate::Batches { app, sizes: sizes.clone() };
    let running = start(amgi_nats::Server::new(app).url(broker.url())).await;
    let peer = Peer::connect(&broker).await;
    for n in 0..6 {
        peer.0.publish("a", n.to_string().into()).await.unwrap();
    }
    for n in 0..6 {
        assert_eq!(text(&next(&mut began).await), n.to_string());
    }
    running.stop().await;
    assert_eq!(sizes.load(Ordering::SeqCst), 42, "four, then two");
}
