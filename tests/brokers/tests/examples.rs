//! The examples of the servers, each on its broker.

use std::process::Stdio;

use amgi_brokers_tests::{Emulator, Kafka, Mosquitto, NatsServer, RabbitMq, Sqs, within};
use tokio::process::Command;

/// Runs an example, which ends by itself: what it says.
async fn said(program: &str, url: &str) -> String {
    let running = Command::new(program).arg(url).stderr(Stdio::inherit()).kill_on_drop(true).output();
    let output = within("the end of the example", running).await.expect("it is started");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}\n{said}", output.status);
    said
}

/// Every order is taken, and done.
fn all_are_done(said: &str) {
    for order in ["tea", "coffee", "cake"] {
        let ordered = format!("{order} is ordered (");
        let done = format!("done: {order}");
        assert!(said.lines().any(|line| line.starts_with(&ordered)), "{order}:\n{said}");
        assert!(said.lines().any(|line| line == done), "{order}:\n{said}");
    }
}

#[tokio::test]
async fn on_amqp() {
    let broker = RabbitMq::shared();
    all_are_done(&said(env!("CARGO_BIN_EXE_example-amqp"), &broker.url()).await);
}

#[tokio::test]
async fn on_kafka() {
    let broker = Kafka::shared();
    let said = said(env!("CARGO_BIN_EXE_example-kafka"), &broker.url()).await;
    all_are_done(&said);
    assert!(said.contains("(partition 0, offset "), "{said}");
}

#[tokio::test]
async fn on_mqtt() {
    let broker = Mosquitto::start();
    let said = said(env!("CARGO_BIN_EXE_example-mqtt"), &broker.url()).await;
    all_are_done(&said);
    assert!(said.contains("coffee is ordered (amgi-example/2/orders)"), "{said}");
}

#[tokio::test]
async fn on_nats() {
    let broker = NatsServer::start();
    all_are_done(&said(env!("CARGO_BIN_EXE_example-nats"), &broker.url()).await);
}

#[tokio::test]
async fn on_sqs() {
    let broker = Sqs::shared(Emulator::Fauxqs);
    all_are_done(&said(env!("CARGO_BIN_EXE_example-sqs"), &broker.url()).await);
}
