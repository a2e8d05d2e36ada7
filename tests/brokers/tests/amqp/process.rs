//! A process that dies, or is asked to end.

use amgi_brokers_tests::{Process, RabbitMq};
use lapin::{BasicProperties, types::FieldTable};

fn worker(broker: &RabbitMq, queue: &str) -> Process {
    Process::start(env!("CARGO_BIN_EXE_worker"), &["amqp", &broker.url(), queue])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_the_middle_of_a_handler_loses_nothing() {
    let broker = RabbitMq::shared();
    let queue = RabbitMq::name("work");
    let mut first = worker(&broker, queue);
    first.expect(&["startup", "ready"]).await;
    broker.publish("", queue, "done", BasicProperties::default()).await;
    first.expect(&["begin done", "end done"]).await;
    // Its acknowledgement may wait for others a little.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    broker.publish("", queue, "hang", BasicProperties::default()).await;
    broker.publish("", queue, "next", BasicProperties::default()).await;
    first.expect(&["begin hang"]).await;
    first.kill().await;
    broker.publish("", queue, "meanwhile", BasicProperties::default()).await;
    for payload in ["hang", "next", "meanwhile"] {
        let delivery = broker.take(queue).await;
        assert_eq!(delivery.data, payload.as_bytes());
        assert_eq!(delivery.redelivered, payload != "meanwhile");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_finishes_what_is_in_flight() {
    let broker = RabbitMq::shared();
    let queue = RabbitMq::name("work");
    broker.queue(queue, FieldTable::default()).await;
    let mut process = worker(&broker, queue);
    process.expect(&["startup", "ready"]).await;
    broker.publish("", queue, "slow", BasicProperties::default()).await;
    process.expect(&["begin slow"]).await;
    broker.publish("", queue, "later", BasicProperties::default()).await;
    process.terminate();
    process.expect(&["end slow", "shutdown"]).await;
    assert!(process.ended().await.success());
    assert_eq!(broker.take(queue).await.data, b"later", "the first was acknowledged, the second was kept");
    assert_eq!(broker.waiting(queue).await, 0);
}
