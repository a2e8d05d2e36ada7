//! The examples of the servers, each on its broker.

use amgi::Message;
use amgi_brokers_tests::{Amqp, Emulator, KafkaSubject, Mqtt, Nats, Placed, Process, SqsSubject, within};
use amgi_conformance::Subject as _;

/// Starts an example, and publishes when it is ready.
async fn ordered<S: Placed>(program: &str, broker: &S, orders: &[Message]) -> Process {
    let mut addresses: Vec<&str> = orders.iter().map(|order| &*order.address).collect();
    addresses.dedup();
    let place = broker.place(&addresses).await;
    // Options behind it are for command lines.
    let url = place.split('?').next().unwrap_or_default();
    let mut example = Process::start(program, &[url]);
    example.expect(&["ready"]).await;
    broker.publish(orders).await;
    example
}

/// Asked to end, it ends well.
async fn ends(mut example: Process) {
    example.terminate();
    let status = example.ended().await;
    assert!(status.success(), "{status}");
}

fn order(address: &'static str, what: &'static str) -> Message {
    Message::new(address).payload(what)
}

#[tokio::test]
async fn on_amqp() {
    let broker = Amqp::default();
    let mut aside = broker.watch("amgi-example.2.orders.dlq").await;
    let mut coffee = order("amgi-example.2.orders", "coffee");
    coffee.bindings.set("amqp", "priority", 3);
    let orders = [coffee, order("amgi-example.2.orders", "gravel"), order("amgi-example.2.orders", "tea")];
    let mut example = ordered(env!("CARGO_BIN_EXE_example-amqp"), &broker, &orders).await;
    let lines = ["amgi-example.2.orders: coffee, priority 3", "amgi-example.2.orders: tea, priority 0"];
    example.expect(&lines).await;
    let gravel = within("the dead letter", aside.next()).await.expect("it comes");
    assert_eq!(gravel.payload.as_deref(), Some(&b"gravel"[..]));
    ends(example).await;
}

#[tokio::test]
async fn on_kafka() {
    let broker = KafkaSubject::shared();
    let mut coffee = order("amgi-example.orders", "coffee");
    coffee.bindings.set("kafka", "key", "table 2");
    let nothing = Message { payload: None, ..coffee.clone() };
    let program = env!("CARGO_BIN_EXE_example-kafka");
    let mut example = ordered(program, &broker, &[coffee, nothing]).await;
    for begin in ["table 2: coffee (partition ", "table 2: nothing, after all (partition "] {
        let line = example.line().await.expect("a line");
        assert!(line.starts_with(begin), "{line}");
    }
    ends(example).await;
}

#[tokio::test]
async fn on_mqtt() {
    let broker = Mqtt::new(amgi_mqtt::Version::V5);
    let program = env!("CARGO_BIN_EXE_example-mqtt");
    let mut example = ordered(program, &broker, &[order("amgi-example/2/orders", "coffee")]).await;
    example.expect(&["amgi-example/2/orders: coffee"]).await;
    ends(example).await;
    // Who comes later sees it all the same.
    let mut done = broker.watch("amgi-example/2/done").await;
    let coffee = within("what is done", done.next()).await.expect("it is kept");
    assert_eq!(coffee.payload.as_deref(), Some(&b"coffee"[..]));
}

#[tokio::test]
async fn on_nats() {
    let broker = Nats::streams();
    let orders = ["coffee", "tea"].map(|what| order("amgi-example.2.orders", what));
    let mut example = ordered(env!("CARGO_BIN_EXE_example-nats"), &broker, &orders).await;
    let lines = ["coffee, attempt 1", "tea, attempt 1", "coffee, attempt 2"];
    for line in lines.map(|line| format!("amgi-example.2.orders: {line}")) {
        example.expect(&[&line]).await;
    }
    ends(example).await;
}

#[tokio::test]
async fn on_sqs() {
    let broker = SqsSubject::fifo(Emulator::Fauxqs);
    let orders = ["coffee", "tea"].map(|what| {
        let mut order = order("amgi-example.orders", what);
        order.bindings.set("sqs", "message_group_id", "table-2");
        order
    });
    let mut example = ordered(env!("CARGO_BIN_EXE_example-sqs"), &broker, &orders).await;
    example.expect(&["table-2: coffee, attempt 2", "table-2: tea, attempt 1"]).await;
    ends(example).await;
}
