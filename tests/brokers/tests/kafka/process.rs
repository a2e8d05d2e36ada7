//! A process that dies, or is asked to end.

use std::time::Duration;

use amgi_brokers_tests::{Kafka, Process, within};

fn worker(kafka: &Kafka, topic: &str) -> Process {
    Process::start(env!("CARGO_BIN_EXE_worker"), &["kafka", &kafka.url(), topic])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_the_middle_of_a_handler_loses_nothing() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("killed", 1).await;
    let mut first = worker(&kafka, topic);
    first.expect(&["startup", "ready"]).await;
    kafka.write_texts(topic, ["done", "hang", "next"]).await;
    first.expect(&["begin done", "end done", "begin hang"]).await;
    // As long as the commit may take.
    within("the commit", async {
        while kafka.committed(topic, topic, 0) != Some(1) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    first.kill().await;
    kafka.write_texts(topic, ["meanwhile"]).await;

    // The group gives the partition away when the session of the first is over.
    let mut second = worker(&kafka, topic);
    second.expect(&["startup", "ready", "begin hang"]).await;
    assert_eq!(kafka.committed(topic, topic, 0), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_finishes_what_is_in_flight() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("terminated", 1).await;
    let mut process = worker(&kafka, topic);
    process.expect(&["startup", "ready"]).await;
    kafka.write_texts(topic, ["slow", "later"]).await;
    process.expect(&["begin slow"]).await;
    process.terminate();
    process.expect(&["end slow", "shutdown"]).await;
    assert!(process.ended().await.success());
    assert_eq!(kafka.committed(topic, topic, 0), Some(1));

    let mut next = worker(&kafka, topic);
    next.expect(&["startup", "ready", "begin later", "end later"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_it_without_a_broker_too() {
    let mut kafka = Kafka::start();
    let topic = kafka.topic("left", 1).await;
    let mut process = worker(&kafka, topic);
    process.expect(&["startup", "ready"]).await;
    kafka.write_texts(topic, ["done"]).await;
    process.expect(&["begin done", "end done"]).await;
    kafka.kill();
    // By then it has noticed, and asks again and again whether there is one.
    tokio::time::sleep(Duration::from_secs(3)).await;
    process.terminate();
    process.expect(&["shutdown"]).await;
    // The last commit was not confirmed: what it was of comes again.
    process.ended().await;
}
