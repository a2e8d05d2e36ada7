//! What becomes of messages: acknowledged, tried again, dead-lettered, left with the broker.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use amgi::{Settlement, server::Policy};
use amgi_brokers_tests::{App, Mosquitto, Peer, Running, channel, failed, rejected, within};
use amgi_mqtt::Version;
use tokio::sync::Semaphore;

use crate::{both, policy, server, text};

async fn an_acknowledgement_waits_for_the_handler(version: Version) {
    let broker = Mosquitto::start();
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let (app, mut began) = App::new([channel("a.{x}", "{}")], move |_| {
        let gate = waiting.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            Settlement::Ack
        }
    });
    let running = Running::start(server(&broker, version, app)).await;
    broker.publish("a/1", "one");
    broker.publish("a/2", "two");
    for _ in 0..2 {
        within("a message", began.recv()).await.unwrap();
    }
    running.cut();

    // Neither was acknowledged: both come again.
    let (app, mut again) = App::new([channel("a.{x}", "{}")], |_| async { Settlement::Ack });
    let running = Running::start(server(&broker, version, app)).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let message = within("a redelivery", again.recv()).await.unwrap();
        assert_eq!(message.bindings.get("mqtt", "dup").and_then(amgi::BindingValue::as_bool), Some(true));
        seen.push(text(&message).to_owned());
    }
    seen.sort();
    assert_eq!(seen, ["one", "two"]);
    running.stop().await;

    // Now both were.
    let (app, mut again) = App::new([channel("a.{x}", "{}")], |_| async { Settlement::Ack });
    let running = Running::start(server(&broker, version, app)).await;
    broker.publish("a/3", "three");
    assert_eq!(text(&within("a message", again.recv()).await.unwrap()), "three");
    running.stop().await;
}

async fn a_failure_is_tried_again_and_then_dead_lettered(version: Version) {
    let broker = Mosquitto::start();
    let mut peer = Peer::watch(&broker, "job/+/dlq").await;
    let (app, mut began) = App::new([channel("job.{id}", "{}")], |cx| async move {
        if text(cx.message()) == "poison" { failed("no luck") } else { Settlement::Ack }
    });
    let running = Running::start(server(&broker, version, app)).await;
    broker.publish("job/1", "poison");
    broker.publish("job/1", "after");
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(text(&within("an attempt", began.recv()).await.unwrap()).to_owned());
    }
    assert_eq!(seen, ["poison", "poison", "poison", "after"], "it blocks what comes behind it");
    let letter = peer.next().await;
    assert_eq!((letter.topic.as_str(), letter.payload.as_str(), letter.qos), ("job/1/dlq", "poison", 1));
    if version == Version::V5 {
        assert_eq!(letter.header("amgi-dead-letter-address"), Some("job.1"));
        assert_eq!(letter.header("amgi-dead-letter-reason"), Some("no luck"));
        assert_eq!(letter.header("amgi-dead-letter-attempts"), Some("3"));
    }
    running.stop().await;
}

async fn a_rejected_payload_is_dead_lettered_at_once(version: Version) {
    let broker = Mosquitto::start();
    let mut peer = Peer::watch(&broker, "bin").await;
    let (app, mut began) =
        App::new([channel("job.{id}", "{}")], |_| async { rejected("/lumens", "an integer") });
    let policy = Policy { dead_letter: Some("bin".into()), ..policy() };
    let running = Running::start(server(&broker, version, app).policy(policy)).await;
    broker.publish("job/1", r#"{"lumens":"much"}"#);
    let letter = peer.next().await;
    assert_eq!(letter.payload, r#"{"lumens":"much"}"#);
    if version == Version::V5 {
        assert_eq!(letter.header("amgi-dead-letter-reason"), Some("payload `/lumens`: expected an integer"));
        assert_eq!(letter.header("amgi-dead-letter-attempts"), Some("1"));
    }
    began.recv().await.unwrap();
    running.stop().await;
    assert!(began.recv().await.is_none(), "one attempt");
}

async fn a_panic_is_a_failure_like_any_other(version: Version) {
    let broker = Mosquitto::start();
    let count = AtomicUsize::new(0);
    let (app, mut began) = App::new([channel("job.{id}", "{}")], move |_| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            assert!(!first, "the handler panics on purpose");
            Settlement::Ack
        }
    });
    let running = Running::start(server(&broker, version, app)).await;
    broker.publish("job/1", "x");
    for _ in 0..2 {
        within("an attempt", began.recv()).await.unwrap();
    }
    running.stop().await;
}

async fn what_nobody_settles_is_neither_skipped_nor_acknowledged(version: Version) {
    let broker = Mosquitto::start();
    let (app, mut began) = App::new([channel("job.{id}", "{}")], |_| async { Settlement::Unsettled });
    let running = Running::start(server(&broker, version, app)).await;
    broker.publish("job/1", "first");
    broker.publish("job/1", "second");
    for _ in 0..3 {
        assert_eq!(text(&within("an attempt", began.recv()).await.unwrap()), "first");
    }
    running.stop().await;
    let (app, mut began) = App::new([channel("job.{id}", "{}")], |_| async { Settlement::Ack });
    let running = Running::start(server(&broker, version, app)).await;
    for expected in ["first", "second"] {
        assert_eq!(text(&within("a redelivery", began.recv()).await.unwrap()), expected);
    }
    running.stop().await;
}

async fn topics_run_side_by_side_and_each_keeps_its_order(version: Version) {
    const TOPICS: usize = 10;
    const MESSAGES: usize = 30;
    let broker = Mosquitto::start();
    let (app, mut began) = App::new([channel("t.{n}", r#"{"qos":1}"#)], |cx| async move {
        let wait = cx.message().payload.as_ref().map_or(0, bytes_sum) % 3;
        tokio::time::sleep(Duration::from_millis(wait)).await;
        Settlement::Ack
    });
    let at_work = app.at_work();
    let running = Running::start(server(&broker, version, app).concurrency(4)).await;
    let peer = Peer::watch(&broker, "unused").await;
    for n in 0..MESSAGES {
        for topic in 0..TOPICS {
            let qos = rumqttc::v5::mqttbytes::QoS::AtLeastOnce;
            peer.client.publish(format!("t/{topic}"), qos, false, n.to_string()).await.unwrap();
        }
    }
    let mut seen: HashMap<String, Vec<usize>> = HashMap::new();
    for _ in 0..TOPICS * MESSAGES {
        let message = within("a message", began.recv()).await.unwrap();
        seen.entry(message.address.to_string()).or_default().push(text(&message).parse().unwrap());
    }
    running.stop().await;
    assert_eq!(seen.len(), TOPICS);
    for (topic, numbers) in seen {
        assert_eq!(numbers, (0..MESSAGES).collect::<Vec<_>>(), "{topic}");
    }
    let most = at_work.1.load(Ordering::SeqCst);
    assert!((2..=4).contains(&most), "{most} handlers at a time");
}

fn bytes_sum(bytes: &amgi::Bytes) -> u64 {
    bytes.iter().map(|&byte| u64::from(byte)).sum()
}

async fn a_stop_finishes_what_is_in_flight_and_leaves_the_rest(version: Version) {
    let broker = Mosquitto::start();
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let (app, mut began) = App::new([channel("a", "{}")], move |cx| {
        let gate = waiting.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            // Sends work to the end.
            match cx.send(amgi::Message::new("out").payload("finished")).await {
                Ok(()) => Settlement::Ack,
                Err(error) => failed(&error.to_string()),
            }
        }
    });
    let mut peer = Peer::watch(&broker, "out").await;
    let mut running = Running::start(server(&broker, version, app)).await;
    broker.publish("a", "one");
    broker.publish("a", "two");
    within("a message", began.recv()).await.unwrap();
    running.stop.request();
    broker.publish("a", "three");
    gate.add_permits(10);
    running.ended().await.unwrap();
    assert_eq!(peer.next().await.payload, "finished");
    assert!(began.try_recv().is_err(), "nothing new is begun");

    let (app, mut began) = App::new([channel("a", "{}")], |_| async { Settlement::Ack });
    let running = Running::start(server(&broker, version, app)).await;
    for expected in ["two", "three"] {
        assert_eq!(text(&within("what was left", began.recv()).await.unwrap()), expected);
    }
    running.stop().await;
}

async fn a_stop_does_not_wait_beyond_the_deadline(version: Version) {
    let broker = Mosquitto::start();
    let (app, mut began) = App::new([channel("a", "{}")], |_| std::future::pending());
    let mut running =
        Running::start(server(&broker, version, app).shutdown_deadline(Duration::from_millis(100))).await;
    broker.publish("a", "one");
    within("a message", began.recv()).await.unwrap();
    let since = Instant::now();
    running.stop.request();
    running.ended().await.unwrap();
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
}

async fn only_so_many_are_taken_at_a_time(version: Version) {
    let broker = Mosquitto::start();
    let (app, mut began) = App::new([channel("a.{n}", r#"{"qos":0}"#)], |_| std::future::pending());
    let mut running = Running::start(
        server(&broker, version, app).concurrency(2).inflight(3).shutdown_deadline(Duration::ZERO),
    )
    .await;
    // QoS 0 knows no limit of its own: what is beyond twice the limit stays in the sockets.
    for n in 0..50 {
        broker.mosquitto_pub(&["-q", "0", "-t", &format!("a/{n}"), "-m", "x"]);
    }
    for _ in 0..2 {
        within("a message", began.recv()).await.unwrap();
    }
    assert!(began.try_recv().is_err(), "two topics at a time");
    running.stop.request();
    running.ended().await.unwrap();
}

both!(
    an_acknowledgement_waits_for_the_handler,
    a_failure_is_tried_again_and_then_dead_lettered,
    a_rejected_payload_is_dead_lettered_at_once,
    a_panic_is_a_failure_like_any_other,
    what_nobody_settles_is_neither_skipped_nor_acknowledged,
    topics_run_side_by_side_and_each_keeps_its_order,
    a_stop_finishes_what_is_in_flight_and_leaves_the_rest,
    a_stop_does_not_wait_beyond_the_deadline,
    only_so_many_are_taken_at_a_time,
);

/// A dead letter that cannot be sent leaves the message where it is. Only MQTT 5 says that a send is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_that_is_refused_leaves_the_message_with_the_broker() {
    let broker = crate::sending::guarded();
    let policy = Policy { dead_letter: Some("forbidden.bin".into()), attempts: 1, ..policy() };
    let (app, mut began) = App::new([channel("a", "{}")], |_| async { failed("no luck") });
    let running = Running::start(server(&broker, Version::V5, app).policy(policy)).await;
    broker.publish("a", "one");
    for _ in 0..3 {
        assert_eq!(text(&within("an attempt", began.recv()).await.unwrap()), "one");
    }
    running.stop().await;
    let (app, mut began) = App::new([channel("a", "{}")], |_| async { Settlement::Ack });
    let running = Running::start(server(&broker, Version::V5, app)).await;
    assert_eq!(text(&within("a redelivery", began.recv()).await.unwrap()), "one");
    running.stop().await;
}
