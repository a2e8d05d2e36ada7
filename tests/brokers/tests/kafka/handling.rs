//! What handlers see, how messages are settled, and what is committed.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use amgi::{BatchInfo, BindingValue, Bytes, ChannelInfo, Disposition, Reason, Settlement};
use amgi_brokers_tests::{App, Kafka, failed, rejected, within};
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use tokio::sync::{Notify, Semaphore};

use super::{binding, channel, policy, record, server, start, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_arrives_field_by_field() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("fields", 3).await;
    let (app, mut seen) = App::new([channel(topic)], |_| async { Settlement::Ack });
    let running = start(server(&kafka, topic, app)).await;

    let headers = OwnedHeaders::new()
        .insert(Header { key: "trace", value: Some("a") })
        .insert(Header { key: "trace", value: Some(&b"\xff\x00"[..]) })
        .insert(Header { key: "nothing", value: None::<&str> });
    let full =
        record(topic, r#"{"id":1}"#).key(b"k\xff").partition(2).timestamp(1_700_000_000_000).headers(headers);
    let offset = kafka.write(full).await;
    let message = within("the message", seen.recv()).await.unwrap();
    assert_eq!(message.address, topic);
    assert_eq!(text(&message), r#"{"id":1}"#);
    let headers: Vec<_> = message.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
    assert_eq!(headers, [(&b"trace"[..], &b"a"[..]), (b"trace", b"\xff\x00"), (b"nothing", b"")]);
    assert_eq!(binding(&message, "key"), Some(&BindingValue::Bytes(Bytes::from_static(b"k\xff"))));
    assert_eq!(binding(&message, "partition"), Some(&2.into()));
    assert_eq!(binding(&message, "offset"), Some(&offset.into()));
    assert_eq!(binding(&message, "timestamp"), Some(&1_700_000_000_000_i64.into()));

    kafka.write(record(topic, "").partition(2)).await;
    let message = within("the empty message", seen.recv()).await.unwrap();
    assert_eq!((message.payload.as_deref(), binding(&message, "key")), (Some(&b""[..]), None));
    kafka.write(rdkafka::producer::FutureRecord::to(topic).key(&b"gone"[..]).partition(2)).await;
    let message = within("the tombstone", seen.recv()).await.unwrap();
    assert_eq!(message.payload, None);
    let large = "x".repeat(1024 * 1024 - 200);
    kafka.write(record(topic, &large).partition(0)).await;
    assert_eq!(text(&within("a large message", seen.recv()).await.unwrap()), large);
    running.stop().await;
    assert_eq!(kafka.committed(topic, topic, 2), Some(offset + 3));
    assert_eq!(kafka.committed(topic, topic, 0), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_committed_before_the_handler_is_done() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("commits", 1).await;
    let go = Arc::new(Semaphore::new(0));
    let gate = go.clone();
    let (app, mut seen) = App::new([channel(topic)], move |_| {
        let gate = gate.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            Settlement::Ack
        }
    });
    let running = start(server(&kafka, topic, app)).await;
    kafka.write_texts(topic, ["a", "b"]).await;
    within("the first", seen.recv()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(kafka.committed(topic, topic, 0), None);
    go.add_permits(1);
    within("the second", seen.recv()).await.unwrap();
    within("the commit", async {
        while kafka.committed(topic, topic, 0) != Some(1) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    // The second is in its handler when the stop comes, and is finished.
    running.stop.request();
    tokio::time::sleep(Duration::from_millis(100)).await;
    go.add_permits(1);
    let mut running = running;
    running.ended().await.unwrap();
    assert_eq!(kafka.committed(topic, topic, 0), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stop_cannot_wait_for_comes_again() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("deadline", 1).await;
    let (app, mut seen) = App::new([channel(topic)], |cx| async move {
        if text(cx.message()) == "stuck" {
            std::future::pending::<()>().await;
        }
        Settlement::Ack
    });
    let running = start(server(&kafka, topic, app).shutdown_deadline(Duration::from_millis(200))).await;
    kafka.write_texts(topic, ["fine", "stuck", "behind"]).await;
    within("the first", seen.recv()).await.unwrap();
    within("the second", seen.recv()).await.unwrap();
    running.stop().await;
    assert_eq!(kafka.committed(topic, topic, 0), Some(1));

    let (app, mut seen) = App::new([channel(topic)], |_| async { Settlement::Ack });
    let running = start(server(&kafka, topic, app)).await;
    for expected in ["stuck", "behind"] {
        assert_eq!(text(&within("what was left", seen.recv()).await.unwrap()), expected);
    }
    running.stop().await;
    assert_eq!(kafka.committed(topic, topic, 0), Some(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_tried_again_and_put_aside() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("failures", 2).await;
    let dead: &'static str = format!("{topic}.dlq").leak();
    kafka.create(dead, 1).await;
    let tries = Arc::new(AtomicUsize::new(0));
    let counter = tries.clone();
    let (app, _seen) = App::new([channel(topic)], move |cx| {
        let counter = counter.clone();
        async move {
            match text(cx.message()) {
                "twice" if cx.attempt() < 2 => failed("not yet"),
                "never" => {
                    counter.fetch_add(1, Ordering::SeqCst);
                    failed("no luck")
                }
                "wrong" => rejected("/id", "expected at least 1"),
                "drop" => Settlement::Fail {
                    disposition: Disposition::Discard,
                    reason: Reason::Failed("of no use".to_owned()),
                },
                "panic" => panic!("in the handler"),
                _ => Settlement::Ack,
            }
        }
    });
    let running = start(server(&kafka, topic, app)).await;
    let headers = OwnedHeaders::new().insert(Header { key: "by", value: Some("us") });
    kafka.write(record(topic, "never").key(b"k").partition(1).headers(headers)).await;
    kafka
        .write_all(["twice", "wrong", "drop", "panic", "fine"].map(|text| record(topic, text).partition(1)))
        .await;
    let letters = kafka.read(dead, 3).await;
    let texts: Vec<_> = letters.iter().map(|letter| letter.payload_view::<str>().unwrap().unwrap()).collect();
    assert_eq!(texts, ["never", "wrong", "panic"]);
    assert_eq!(tries.load(Ordering::SeqCst), 3);
    assert_eq!((letters[0].key(), letters[0].partition()), (Some(&b"k"[..]), 0));
    let headers: Vec<_> = letters[0]
        .headers()
        .unwrap()
        .iter()
        .map(|header| (header.key.to_owned(), String::from_utf8(header.value.unwrap().to_vec()).unwrap()))
        .collect();
    let expected = [
        ("by", "us"),
        ("amgi-dead-letter-address", topic),
        ("amgi-dead-letter-kind", "failed"),
        ("amgi-dead-letter-reason", "no luck"),
        ("amgi-dead-letter-attempts", "3"),
    ];
    assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    running.stop().await;
    assert_eq!(kafka.committed(topic, topic, 1), Some(6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_keeps_failing_blocks_its_partition_alone() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("blocks", 2).await;
    let healed = Arc::new(AtomicUsize::new(0));
    let health = healed.clone();
    let (app, mut seen) = App::new([channel(topic)], move |cx| {
        let health = health.clone();
        async move {
            match (text(cx.message()), health.load(Ordering::SeqCst)) {
                ("bad", 0) => failed("not yet"),
                ("silent", 0) => Settlement::Unsettled,
                _ => Settlement::Ack,
            }
        }
    });
    let nack = amgi::server::Policy { exhausted: amgi::server::Exhausted::Nack, ..policy() };
    let running = start(server(&kafka, topic, app).policy(nack)).await;
    kafka.write_all(["bad", "behind"].map(|text| record(topic, text).partition(0))).await;
    kafka.write_all((0..20).map(|_| record(topic, "other").partition(1))).await;
    let (mut bad, mut others) = (0, 0);
    while bad < 6 || others < 20 {
        match text(&within("a message", seen.recv()).await.unwrap()) {
            "bad" => bad += 1,
            "other" => others += 1,
            text => panic!("{text} is out of order"),
        }
    }
    assert_eq!(kafka.committed(topic, topic, 0), None);
    healed.store(1, Ordering::SeqCst);
    while text(&within("what was behind", seen.recv()).await.unwrap()) != "behind" {}
    running.stop().await;
    assert_eq!((kafka.committed(topic, topic, 0), kafka.committed(topic, topic, 1)), (Some(2), Some(20)));
}

/// What amgi-aiokafka loses: what follows a nack is settled, and its commit takes the nacked one along.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_ack_never_commits_over_an_unsettled_message() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("gaps", 1).await;
    let handler = |cx: amgi::Context| async move {
        if text(cx.message()) == "3" { Settlement::Unsettled } else { Settlement::Ack }
    };
    let (app, mut seen) = App::new([channel(topic)], handler);
    let nack = amgi::server::Policy { exhausted: amgi::server::Exhausted::Nack, ..policy() };
    let running = start(server(&kafka, topic, app).policy(nack).keys(4)).await;
    let texts: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    kafka.write_all(texts.iter().map(|text| record(topic, text).key(text.as_bytes()))).await;
    // All that do not share the lane of the one that is stuck.
    let mut settled = 0;
    while settled < 20 {
        settled += usize::from(text(&within("a message", seen.recv()).await.unwrap()) != "3");
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(kafka.committed(topic, topic, 0), Some(3));
    running.stop().await;
    assert_eq!(kafka.committed(topic, topic, 0), Some(3));

    let (app, mut seen) = App::new([channel(topic)], |_| async { Settlement::Ack });
    let running = start(server(&kafka, topic, app)).await;
    for expected in 3..40 {
        assert_eq!(text(&within("what was not committed", seen.recv()).await.unwrap()), expected.to_string());
    }
    running.stop().await;
    assert_eq!(kafka.committed(topic, topic, 0), Some(40));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_keep_their_order_and_run_side_by_side() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("order", 4).await;
    let done = Arc::new(Mutex::new(Vec::new()));
    let list = done.clone();
    let all = Arc::new(Notify::new());
    let end = all.clone();
    let (app, _seen) = App::new([channel(topic)], move |cx| {
        let (list, end) = (list.clone(), end.clone());
        async move {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..8))).await;
            let partition = binding(cx.message(), "partition").and_then(BindingValue::as_int).unwrap();
            let mut list = list.lock().unwrap();
            list.push((partition, text(cx.message()).parse::<u32>().unwrap()));
            if list.len() == 80 {
                end.notify_one();
            }
            Settlement::Ack
        }
    });
    let at_work = app.at_work();
    let running = start(server(&kafka, topic, app)).await;
    let texts: Vec<String> = (0..80).map(|n| n.to_string()).collect();
    kafka.write_all(texts.iter().zip(0..).map(|(text, n)| record(topic, text).partition(n % 4))).await;
    within("all of them", all.notified()).await;
    running.stop().await;
    for partition in 0..4 {
        let order: Vec<u32> = done
            .lock()
            .unwrap()
            .iter()
            .filter(|(p, _)| *p == i64::from(partition))
            .map(|(_, n)| *n)
            .collect();
        assert!(order.is_sorted() && order.len() == 20, "{partition}: {order:?}");
    }
    assert!(at_work.1.load(Ordering::SeqCst) > 1, "one after the other");
    assert!(at_work.1.load(Ordering::SeqCst) <= 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_keep_their_order_and_run_side_by_side() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("keys", 1).await;
    let done = Arc::new(Mutex::new(Vec::new()));
    let list = done.clone();
    let all = Arc::new(Notify::new());
    let end = all.clone();
    let (app, _seen) = App::new([channel(topic)], move |cx| {
        let (list, end) = (list.clone(), end.clone());
        async move {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..8))).await;
            let key = binding(cx.message(), "key").and_then(BindingValue::as_str).unwrap().to_owned();
            let mut list = list.lock().unwrap();
            list.push((key, text(cx.message()).parse::<u32>().unwrap()));
            if list.len() == 120 {
                end.notify_one();
            }
            Settlement::Ack
        }
    });
    let at_work = app.at_work();
    let running = start(server(&kafka, topic, app).keys(8).inflight(20).concurrency(6)).await;
    let texts: Vec<String> = (0..120).map(|n| n.to_string()).collect();
    let keys: Vec<String> = (0..120).map(|n| format!("k{}", n % 12)).collect();
    kafka.write_all(texts.iter().zip(&keys).map(|(text, key)| record(topic, text).key(key.as_bytes()))).await;
    within("all of them", all.notified()).await;
    running.stop().await;
    for key in 0..12 {
        let key = format!("k{key}");
        let order: Vec<u32> =
            done.lock().unwrap().iter().filter(|(k, _)| *k == key).map(|(_, n)| *n).collect();
        assert!(order.is_sorted() && order.len() == 10, "{key}: {order:?}");
    }
    let most = at_work.1.load(Ordering::SeqCst);
    assert!((2..=6).contains(&most), "{most} at a time");
    assert_eq!(kafka.committed(topic, topic, 0), Some(120));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_are_what_one_fetch_gives() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("batches", 1).await;
    let batch = BatchInfo { size: 8, wait: Duration::from_millis(200) };
    let channel = ChannelInfo { batch: Some(batch), ..channel(topic) };
    let texts: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    kafka.write_texts(topic, &texts).await;
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let app = Batches { channels: [channel], sizes: sizes.clone() };
    let stop = amgi::server::Stop::new();
    let server = amgi_kafka::Server::new(app).url(kafka.url()).group(topic).policy(policy()).stop(&stop);
    let serving = tokio::spawn(server.commit_interval(Duration::from_millis(50)).serve());
    within("the commit", async {
        while kafka.committed(topic, topic, 0) != Some(20) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    stop.request();
    serving.await.unwrap().unwrap();
    let sizes = sizes.lock().unwrap();
    // The second failed once, and came once more by itself.
    let batches: Vec<usize> = sizes.iter().filter(|batch| batch.1).map(|batch| batch.0).collect();
    assert_eq!(batches.iter().sum::<usize>(), 20, "{sizes:?}");
    assert!(batches.len() <= 5 && batches.iter().all(|size| *size <= 8), "{sizes:?}");
    assert_eq!(sizes.iter().filter(|batch| !batch.1).count(), 1, "{sizes:?}");
}

struct Batches {
    channels: [ChannelInfo; 1],
    /// How many, and whether it was a batch.
    sizes: Arc<Mutex<Vec<(usize, bool)>>>,
}

impl amgi::Application for Batches {
    fn channels(&self) -> &[ChannelInfo] {
        &self.channels
    }

    async fn message(&self, cx: &amgi::Context) -> Settlement {
        assert_eq!(text(cx.message()), "1");
        self.sizes.lock().unwrap().push((1, false));
        Settlement::Ack
    }

    async fn batch(&self, contexts: &[amgi::Context], settlements: &mut Vec<Settlement>) {
        self.sizes.lock().unwrap().push((contexts.len(), true));
        for cx in contexts {
            settlements.push(if text(cx.message()) == "1" { failed("once") } else { Settlement::Ack });
        }
    }
}
