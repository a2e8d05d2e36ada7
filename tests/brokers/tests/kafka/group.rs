//! Several instances of a group: who gets what, and what happens when that changes.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use amgi::{BindingInfo, BindingValue, ChannelInfo, OperationInfo, Settlement};
use amgi_brokers_tests::{App, Kafka, within};
use tokio::sync::Semaphore;

use super::{binding, channel, record, server, start, text};

/// What every instance handled: instance, partition, payload.
type Log = Arc<Mutex<Vec<(u32, i64, String)>>>;

fn instance(log: &Log, number: u32, topic: &'static str) -> App {
    let log = log.clone();
    let (app, _) = App::new([channel(topic)], move |cx| {
        let log = log.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let partition = binding(cx.message(), "partition").and_then(BindingValue::as_int).unwrap();
            log.lock().unwrap().push((number, partition, text(cx.message()).to_owned()));
            Settlement::Ack
        }
    });
    app
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_come_and_go_and_each_message_is_handled_once() {
    const MESSAGES: usize = 1200;
    let kafka = Kafka::shared();
    let topic = kafka.topic("rebalance", 6).await;
    let log = Log::default();
    let texts: Vec<String> = (0..MESSAGES).map(|n| n.to_string()).collect();
    let write = async {
        for (n, text) in (0..).zip(&texts) {
            kafka.write(record(topic, text).partition(n % 6)).await;
        }
    };
    let change = async {
        let first = start(server(&kafka, topic, instance(&log, 1, topic))).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let second = start(server(&kafka, topic, instance(&log, 2, topic))).await;
        let third = start(server(&kafka, topic, instance(&log, 3, topic))).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        first.stop().await;
        within("all of them", async {
            while log.lock().unwrap().len() < MESSAGES {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        second.stop().await;
        third.stop().await;
    };
    tokio::join!(write, change);
    let log = log.lock().unwrap();
    let instances: BTreeSet<u32> = log.iter().map(|(instance, ..)| *instance).collect();
    assert_eq!(instances.len(), 3, "{instances:?}");
    // What is given up is committed first, so nothing comes twice; the order of every partition holds over all instances.
    let mut seen = BTreeSet::new();
    let twice: Vec<_> = log.iter().filter(|(.., text)| !seen.insert(text)).collect();
    assert!(twice.is_empty(), "{twice:?}");
    for partition in 0..6 {
        let order: Vec<usize> =
            log.iter().filter(|(_, p, _)| *p == partition).map(|(.., text)| text.parse().unwrap()).collect();
        assert!(order.is_sorted() && order.len() == MESSAGES / 6, "{partition}: {order:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_is_given_up_when_its_handler_is_done_or_out_of_time() {
    let kafka = Kafka::shared();
    for (patience, commits) in [(Duration::from_secs(20), true), (Duration::from_millis(300), false)] {
        let topic = kafka.topic("revoked", 2).await;
        let gate = Arc::new(Semaphore::new(0));
        let closed = gate.clone();
        let (app, mut seen) = App::new([channel(topic)], move |_| {
            let closed = closed.clone();
            async move {
                closed.acquire().await.unwrap().forget();
                Settlement::Ack
            }
        });
        let first = start(server(&kafka, topic, app).revoke_deadline(patience)).await;
        kafka.write_all([0, 1].map(|partition| record(topic, "one").partition(partition))).await;
        for _ in 0..2 {
            within("both", seen.recv()).await.unwrap();
        }
        let log = Log::default();
        let joins = tokio::spawn(start(server(&kafka, topic, instance(&log, 2, topic))));
        // Long enough for the revocation to begin.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        if commits {
            assert!(log.lock().unwrap().is_empty(), "it was handed over while it was handled");
        }
        gate.add_permits(2);
        let second = within("its turn", joins).await.unwrap();
        kafka.write_all([0, 1].map(|partition| record(topic, "two").partition(partition))).await;
        gate.add_permits(10);
        let expected = if commits { 1 } else { 2 };
        within("what the second gets", async {
            while log.lock().unwrap().len() < expected {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        assert_eq!(text(&within("what the first keeps", seen.recv()).await.unwrap()), "two");
        first.stop().await;
        second.stop().await;
        let log: Vec<String> = log.lock().unwrap().iter().map(|(.., text)| text.clone()).collect();
        // With time enough, the first has finished what it had begun.
        assert_eq!(log.contains(&"one".to_owned()), !commits, "{log:?}");
        assert_eq!((kafka.committed(topic, topic, 0), kafka.committed(topic, topic, 1)), (Some(2), Some(2)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_handler_is_not_thrown_out() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("slow", 1).await;
    let (app, mut seen) = App::new([channel(topic)], |cx| async move {
        if text(cx.message()) == "slow" {
            tokio::time::sleep(Duration::from_secs(9)).await;
        }
        Settlement::Ack
    });
    let server = server(&kafka, topic, app).max_poll_interval(Duration::from_secs(6));
    let running = start(server).await;
    kafka.write_texts(topic, ["slow", "behind"]).await;
    within("the slow one", seen.recv()).await.unwrap();
    assert_eq!(text(&within("the other", seen.recv()).await.unwrap()), "behind", "it would come again");
    running.stop().await;
    assert_eq!(kafka.committed(topic, topic, 0), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn static_members_keep_their_partitions_and_throw_out_their_like() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("static", 2).await;
    let log = Log::default();
    let member = |number, id: &str| server(&kafka, topic, instance(&log, number, topic)).instance(id);
    let first = start(member(1, "a")).await;
    let second = start(member(2, "b")).await;
    // The second has its partition when the first has given it up.
    kafka.write_all([0, 1].map(|partition| record(topic, "w").partition(partition))).await;
    within("one each", async {
        while log.lock().unwrap().iter().map(|(number, ..)| *number).collect::<BTreeSet<_>>().len() < 2 {
            kafka.write_all([0, 1].map(|partition| record(topic, "w").partition(partition))).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    log.lock().unwrap().clear();
    // One that restarts within its session gets what it had, and the other is not disturbed.
    first.stop().await;
    kafka.write_all([0, 1].map(|partition| record(topic, "x").partition(partition))).await;
    within("what the second has", async {
        while log.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(log.lock().unwrap().iter().map(|(number, ..)| *number).collect::<Vec<_>>(), [2]);
    let first = start(member(1, "a")).await;
    within("the rest", async {
        while log.lock().unwrap().len() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(log.lock().unwrap()[1].0, 1);

    let third = start(member(3, "a")).await;
    let mut first = first;
    let error = first.ended().await.unwrap_err().to_string();
    assert!(error.contains("fenced"), "{error}");
    second.stop().await;
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_have_the_groups_that_the_document_says() {
    let kafka = Kafka::shared();
    let (one, two) = (kafka.topic("group-one", 1).await, kafka.topic("group-two", 1).await);
    let group = |topic: &'static str| -> ChannelInfo {
        let json: &'static str = format!(r#"{{"groupId":"of-{topic}"}}"#).leak();
        let bindings = Box::leak(Box::new([BindingInfo { protocol: "kafka", json }]));
        let operation = OperationInfo { name: "receive", bindings, messages: &[] };
        ChannelInfo { operations: Box::leak(Box::new([operation])), ..channel(topic) }
    };
    let (app, mut seen) = App::new([group(one), group(two)], |_| async { Settlement::Ack });
    let server = amgi_kafka::Server::new(app).url(kafka.url());
    let running = start(server).await;
    for topic in [one, two] {
        kafka.write_texts(topic, [topic]).await;
        assert_eq!(within("its message", seen.recv()).await.unwrap().address, topic);
    }
    running.stop().await;
    for topic in [one, two] {
        assert_eq!(kafka.committed(&format!("of-{topic}"), topic, 0), Some(1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lag_is_told() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("lag", 1).await;
    let gate = Arc::new(Semaphore::new(1));
    let closed = gate.clone();
    let (app, _seen) = App::new([channel(topic)], move |_| {
        let closed = closed.clone();
        async move {
            closed.acquire().await.unwrap().forget();
            Settlement::Ack
        }
    });
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let server = server(&kafka, topic, app).on_lag(Duration::from_millis(100), move |lag| {
        let _ = tell.send(lag.clone());
    });
    let running = start(server).await;
    kafka.write_texts(topic, (0..10).map(|n| n.to_string())).await;
    let mut until = async |messages| {
        within("the lag", async {
            loop {
                let lag = told.recv().await.unwrap();
                assert_eq!((lag.topic.as_str(), lag.partition), (topic, 0));
                if lag.messages == messages {
                    break;
                }
            }
        })
        .await;
    };
    until(9).await;
    gate.add_permits(20);
    until(0).await;
    running.stop().await;
}
