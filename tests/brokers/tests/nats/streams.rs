//! JetStream: what is delivered again, and what a server needs to be there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use amgi::{BatchInfo, ChannelInfo, Disposition, Message, Reason, Settlement, server::Policy};
use amgi_brokers_tests::{App, NatsServer, failed, rejected, within};
use async_nats::jetstream::{consumer::pull, stream};
use tokio::sync::Semaphore;

use crate::{Peer, binding, channel, heard, next, payload, policy, server, start, streamed, text};

/// What the consumer of channel `a` has not seen acknowledged, and has not delivered.
async fn left(peer: &Peer, stream: &str) -> (usize, u64) {
    let stream = peer.jetstream().get_stream(stream).await.unwrap();
    let info = stream.consumer_info(format!("workers-{}", stream.cached_info().config.name)).await.unwrap();
    (info.num_ack_pending, info.num_pending)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_waits_for_the_handler() {
    let broker = NatsServer::start();
    let peer = Peer::connect(&broker).await;
    let (app, mut began) = App::new([channel("a")], |_| std::future::pending());
    let running = start(streamed(&broker, app).ack_wait(Duration::from_secs(1))).await;
    for n in ["one", "two"] {
        peer.store("a", n).await;
        assert_eq!(text(&next(&mut began).await), n);
    }
    running.cut();

    // Neither was acknowledged: both come again.
    let (app, mut began) = App::new([channel("a")], |_| async { Settlement::Ack });
    let running = start(streamed(&broker, app)).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let message = next(&mut began).await;
        let delivered = binding(&message, "delivered").and_then(amgi::BindingValue::as_int);
        assert!(delivered >= Some(2), "{delivered:?}");
        seen.push(text(&message).to_owned());
    }
    seen.sort();
    assert_eq!(seen, ["one", "two"]);
    running.stop().await;
    assert_eq!(left(&peer, "a").await, (0, 0), "now both were");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_does_the_waiting_and_then_it_is_a_dead_letter() {
    let broker = NatsServer::start();
    let peer = Peer::connect(&broker).await;
    let mut letters = peer.listen("job.*.dlq").await;
    let (app, mut began) = App::new([channel("job.{id}")], |cx| async move {
        match text(cx.message()) {
            "poison" => failed(&format!("attempt {}", cx.attempt())),
            "much" => rejected("/lumens", "an integer"),
            _ => Settlement::Ack,
        }
    });
    let running = start(streamed(&broker, app).stream("JOBS").concurrency(1)).await;
    peer.store("job.1", "poison").await;
    peer.store("job.1", "good").await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(text(&next(&mut began).await).to_owned());
    }
    assert_eq!(seen.iter().filter(|text| *text == "poison").count(), 3, "{seen:?}");
    assert_ne!(seen[3], "good", "what comes behind is not held up");
    let letter = heard(&mut letters).await;
    let header = |name: &str| letter.headers.as_ref().unwrap().get(name).map(|v| v.as_str().to_owned());
    assert_eq!((&*letter.subject, payload(&letter)), ("job.1.dlq", "poison"));
    assert_eq!(header("amgi-dead-letter-reason").as_deref(), Some("attempt 3"));
    assert_eq!(header("amgi-dead-letter-attempts").as_deref(), Some("3"));
    peer.store("job.2", "much").await;
    assert_eq!(payload(&heard(&mut letters).await), "much");
    running.stop().await;
    let stream = peer.jetstream().get_stream("JOBS").await.unwrap();
    assert_eq!(stream.cached_info().config.subjects, ["job.*", "job.*.dlq"]);
    assert_eq!(stream.cached_info().state.messages, 5, "three that came and two dead letters");
}

/// A pause that the handler asks for is kept by the broker, and what is discarded does not come again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pauses_are_kept_and_what_is_discarded_is_gone() {
    let broker = NatsServer::start();
    let peer = Peer::connect(&broker).await;
    let count = AtomicUsize::new(0);
    let (app, mut began) = App::new([channel("a")], move |cx| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            let reason = Reason::Failed("not now".to_owned());
            match text(cx.message()) {
                "later" if first => {
                    let disposition = Disposition::RetryAfter(Duration::from_millis(700));
                    Settlement::Fail { disposition, reason }
                }
                "never" => Settlement::Fail { disposition: Disposition::Discard, reason },
                _ => Settlement::Ack,
            }
        }
    });
    let running = start(streamed(&broker, app)).await;
    peer.store("a", "later").await;
    next(&mut began).await;
    let since = Instant::now();
    next(&mut began).await;
    assert!(since.elapsed() >= Duration::from_millis(650), "{:?}", since.elapsed());
    peer.store("a", "never").await;
    assert_eq!(text(&next(&mut began).await), "never");
    running.stop().await;
    assert_eq!(left(&peer, "a").await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_may_take_longer_than_the_broker_waits() {
    let broker = NatsServer::start();
    let peer = Peer::connect(&broker).await;
    let (app, mut began) = App::new([channel("a")], |_| async {
        tokio::time::sleep(Duration::from_millis(900)).await;
        Settlement::Ack
    });
    // With one at a time the second waits here for longer than the broker does, too.
    let wait = Duration::from_millis(300);
    let running = start(streamed(&broker, app).ack_wait(wait).concurrency(1)).await;
    for n in ["one", "two", "three"] {
        peer.store("a", n).await;
    }
    for n in ["one", "two", "three"] {
        assert_eq!(text(&next(&mut began).await), n);
    }
    running.stop().await;
    assert!(began.try_recv().is_err(), "none came twice");
    assert_eq!(left(&peer, "a").await, (0, 0));
}

/// The same for what waits behind another message of its subject.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_asked_for_a_message_that_fails_holds_up_its_subject() {
    let broker = NatsServer::start();
    let peer = Peer::connect(&broker).await;
    let (app, mut began) = App::new([channel("t.{n}")], |cx| async move {
        tokio::time::sleep(Duration::from_millis(150)).await;
        if text(cx.message()) == "0" { failed("no luck") } else { Settlement::Ack }
    });
    let wait = Duration::from_millis(300);
    let quick = Policy { attempts: 3, ..policy() };
    let server = streamed(&broker, app).stream("T").ordered(true).ack_wait(wait).policy(quick);
    let running = start(server).await;
    for n in 0..4 {
        peer.store("t.1", &n.to_string()).await;
    }
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(text(&next(&mut began).await).to_owned());
    }
    assert_eq!(seen, ["0", "0", "0", "1", "2", "3"]);
    running.stop().await;
    assert!(began.try_recv().is_err(), "none came twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_finishes_what_is_in_flight_and_hands_the_rest_back() {
    let broker = NatsServer::start();
    let peer = Peer::connect(&broker).await;
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let (app, mut began) = App::new([channel("a")], move |_| {
        let gate = waiting.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            Settlement::Ack
        }
    });
    let mut running = start(streamed(&broker, app).concurrency(1)).await;
    for n in ["one", "two", "three"] {
        peer.store("a", n).await;
    }
    next(&mut began).await;
    // Another instance gets the rest at once, not after the broker's 30 s.
    let (app, mut other) = App::new([channel("a")], |_| async { Settlement::Ack });
    let second = start(streamed(&broker, app)).await;
    running.stop.request();
    gate.add_permits(10);
    running.ended().await.unwrap();
    assert!(began.try_recv().is_err(), "nothing new is begun");
    let mut seen = [next(&mut other).await, next(&mut other).await].map(|message| text(&message).to_owned());
    seen.sort();
    assert_eq!(seen, ["three", "two"]);
    second.stop().await;
    assert_eq!(left(&peer, "a").await, (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_so_many_are_asked_for() {
    let broker = NatsServer::start();
    let peer = Peer::connect(&broker).await;
    let (app, mut began) = App::new([channel("a")], |_| std::future::pending());
    let server = streamed(&broker, app).concurrency(2).inflight(10).shutdown_deadline(Duration::ZERO);
    let mut running = start(server).await;
    for n in 0..100 {
        peer.store("a", &n.to_string()).await;
    }
    for _ in 0..2 {
        next(&mut began).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(began.try_recv().is_err(), "two at a time");
    let (pending, waiting) = left(&peer, "a").await;
    assert!(pending <= 12 && waiting >= 88, "{pending} delivered, {waiting} waiting");
    running.stop.request();
    running.ended().await.unwrap();
}

/// A broker that dies in the middle of it all, twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_with_kills_of_the_broker_loses_nothing() {
    const MESSAGES: usize = 600;
    let mut broker = NatsServer::start();
    let (app, mut began) = App::new([channel("n.{lane}")], |_| async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Settlement::Ack
    });
    let server = streamed(&broker, app).stream("N").ack_wait(Duration::from_secs(2));
    let mut running = start(server).await;
    let mut seen = vec![0_u32; MESSAGES];
    for (round, range) in [(0, 0..200), (1, 200..400), (2, 400..MESSAGES)] {
        let peer = Peer::connect(&broker).await;
        for n in range {
            peer.store(&format!("n.{}", n % 7), &n.to_string()).await;
        }
        if round < 2 {
            broker.kill();
            broker.start_again();
            running.ready().await;
        }
    }
    while seen.contains(&0) {
        let message = within("what is missing", began.recv()).await.unwrap();
        seen[text(&message).parse::<usize>().unwrap()] += 1;
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_share_the_work() {
    const MESSAGES: usize = 100;
    let broker = NatsServer::start();
    let peer = Peer::connect(&broker).await;
    let begin = async || {
        let (app, began) = App::new([channel("a")], |_| async {
            tokio::time::sleep(Duration::from_millis(2)).await;
            Settlement::Ack
        });
        (start(streamed(&broker, app).concurrency(1).inflight(4)).await, began)
    };
    let (one, mut first) = begin().await;
    let (two, mut second) = begin().await;
    for n in 0..MESSAGES {
        peer.store("a", &n.to_string()).await;
    }
    let (mut seen, mut by_one) = (Vec::new(), 0);
    while seen.len() < MESSAGES {
        let message = within("a message", async {
            tokio::select! {
                Some(message) = first.recv() => { by_one += 1; message }
                Some(message) = second.recv() => message,
            }
        });
        seen.push(text(&message.await).parse::<usize>().unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..MESSAGES).collect::<Vec<_>>(), "each once");
    assert!((1..MESSAGES).contains(&by_one), "{by_one}");
    one.stop().await;
    two.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_named() {
    let broker = NatsServer::start();
    let peer = Peer::connect(&broker).await;
    let serve = async |change: fn(amgi_nats::Server<App>) -> amgi_nats::Server<App>| {
        let (app, _) = App::new([channel("a"), channel("job.{id}")], |_| async { Settlement::Ack });
        let asked = change(server(&broker, app).jetstream(true).group("workers"));
        within("an error", asked.serve()).await.unwrap_err().to_string()
    };
    let error = serve(|server| server).await;
    for part in ["channel `a`: no stream has the subject `a`", "channel `job.{id}`", "`job.*`", "`declare`"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let error = serve(|server| server.stream("JOBS").core(["a"])).await;
    assert!(error.contains("there is no stream `JOBS`") && !error.contains("channel `a`"), "{error}");

    let jetstream = peer.jetstream();
    let subjects = vec!["job.*".to_owned()];
    let config = stream::Config { name: "JOBS".to_owned(), subjects, ..stream::Config::default() };
    let jobs = jetstream.create_stream(config).await.unwrap();
    let error = serve(|server| server.core(["a"])).await;
    assert!(error.contains("dead letters: no stream has the subject `job.*.dlq`"), "{error}");
    let error = serve(|server| server.core(["a", "job.{id}.dlq"])).await;
    assert!(error.contains("stream `JOBS` has no consumer `workers-job_{id}`"), "{error}");

    let consumer = pull::Config {
        durable_name: Some("workers-job_{id}".to_owned()),
        max_deliver: 2,
        ..pull::Config::default()
    };
    jobs.create_consumer(consumer).await.unwrap();
    let error = serve(|server| server.core(["a", "job.{id}.dlq"])).await;
    assert!(error.contains("delivers a message 2 times at most, but 3 attempts"), "{error}");

    let broker = NatsServer::with("");
    let (app, _) = App::new([channel("a")], |_| async { Settlement::Ack });
    let error = within("an error", streamed(&broker, app).serve()).await.unwrap_err().to_string();
    assert!(error.contains("no JetStream at nats://127.0.0.1"), "{error}");
}

/// One channel from a stream and one without; what was there before the first start is delivered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_may_be_mixed() {
    let broker = NatsServer::start();
    let peer = Peer::connect(&broker).await;
    let subjects = vec!["a".to_owned(), "a.dlq".to_owned(), "out".to_owned()];
    let config = stream::Config { name: "A".to_owned(), subjects, ..stream::Config::default() };
    peer.jetstream().create_stream(config).await.unwrap();
    peer.store("a", "before").await;
    let (app, mut began) = App::new([channel("a"), channel("b.{n}")], |cx| async move {
        let out = if cx.address() == "a" { "out" } else { "c.1" };
        match cx.send(Message::new(out).payload("x")).await {
            Ok(()) => Settlement::Ack,
            Err(error) => failed(&error.to_string()),
        }
    });
    let mut plain = peer.listen("c.1").await;
    let running = start(streamed(&broker, app).core(["b.{n}", "c.{n}"])).await;
    assert_eq!(text(&next(&mut began).await), "before");
    peer.publish("b.1", "now").await;
    assert_eq!(text(&next(&mut began).await), "now");
    heard(&mut plain).await;
    running.stop().await;
    let stream = peer.jetstream().get_stream("A").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 2, "one received, one sent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_are_settled_message_by_message() {
    let broker = NatsServer::start();
    let peer = Peer::connect(&broker).await;
    let batch = Some(BatchInfo { size: 3, wait: Duration::from_millis(300) });
    let sizes = Arc::new(AtomicUsize::new(0));
    let (app, mut began) = App::new([ChannelInfo { batch, ..channel("a") }], |cx| async move {
        if text(cx.message()) == "1" && cx.attempt() == 1 { failed("once") } else { Settlement::Ack }
    });
    let app = crate::Batches { app, sizes: sizes.clone() };
    let server = amgi_nats::Server::new(app).url(broker.url()).jetstream(true).declare(true).group("workers");
    let running = start(server.policy(policy())).await;
    for n in 0..3 {
        peer.store("a", &n.to_string()).await;
    }
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(text(&next(&mut began).await).to_owned());
    }
    assert_eq!(seen, ["0", "1", "2", "1"], "only what failed comes again");
    running.stop().await;
    assert_eq!(sizes.load(Ordering::SeqCst), 31);
    assert_eq!(left(&peer, "a").await, (0, 0));
}
