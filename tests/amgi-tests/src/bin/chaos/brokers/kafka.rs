//! Apache Kafka: a topic a lane, a consumer group.

use std::{
    net::{Ipv4Addr, TcpListener},
    time::Duration,
};

use amgi_brokers_tests::Kafka as Fixture;
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    consumer::{Consumer as _, StreamConsumer},
    producer::{FutureProducer, FutureRecord},
};

use super::{Broker, DeadLetters, Kind, LANES, Order, Publisher, payload};

const DEAD_LETTERS: &str = "failed.numbers";
/// Pause before a client tries again.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Kafka {
    fixture: Fixture,
    port: u16,
}

impl Broker for Kafka {
    const NAME: &'static str = "kafka";
    // A partition is given up only when what was begun of it is finished.
    const ORDER: Order = Order::Always;

    async fn start(proxy: u16, _: Kind) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let port = free.expect("a free port").port();
        let fixture = Fixture::behind(port, proxy);
        for lane in 0..LANES {
            fixture.create(&format!("numbers.{lane}"), 1).await;
        }
        fixture.create(DEAD_LETTERS, 1).await;
        Self { fixture, port }
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn arguments(&self, port: u16, _: usize) -> Vec<String> {
        // A member that was killed is noticed soon.
        let soon = "session.timeout.ms=3000,heartbeat.interval.ms=500,reconnect.backoff.max.ms=1000";
        [&format!("kafka://127.0.0.1:{port}"), "--group", "numbers", "--properties", soon]
            .map(str::to_owned)
            .into()
    }

    fn kill(&mut self) {
        self.fixture.kill();
    }

    async fn start_again(&mut self) {
        self.fixture.start_again();
    }

    fn publisher(&self) -> impl Publisher + use<> {
        // It goes on by itself when the broker was away.
        let mut config = self.fixture.client();
        config.set("enable.idempotence", "true").set("message.timeout.ms", "120000").set("linger.ms", "0");
        Sequential { producer: config.create().expect("a producer"), repeated: 0 }
    }

    async fn watch(&self) -> DeadLetters {
        let seen = DeadLetters::default();
        let mut config = self.fixture.client();
        config.set("group.id", "dead-letters").set("enable.auto.commit", "false");
        let consumer: StreamConsumer = config.create().expect("a consumer");
        let mut all = TopicPartitionList::new();
        all.add_partition_offset(DEAD_LETTERS, 0, Offset::Beginning).expect("a place");
        consumer.assign(&all).expect("a partition");
        let into = seen.clone();
        tokio::spawn(async move {
            loop {
                match consumer.recv().await {
                    Ok(message) => into.saw(message.payload().unwrap_or_default()),
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        });
        seen
    }
}

/// One message after the other.
struct Sequential {
    producer: FutureProducer,
    repeated: u64,
}

impl Publisher for Sequential {
    async fn publish(&mut self, lane: u64, id: u64) {
        let (topic, key, payload) = (format!("numbers.{lane}"), lane.to_string(), payload(id));
        loop {
            let record = FutureRecord::to(&topic).key(&key).payload(&payload);
            if self.producer.send(record, None).await.is_ok() {
                return;
            }
            self.repeated += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn repeated(&self) -> u64 {
        self.repeated
    }
}
