//! Kafka: a topic with one partition for each lane.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use amgi::{Application, server::Stop};
use amgi_bench_measured::Meter;
use amgi_brokers_tests::Kafka as Cluster;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{Consumer as _, StreamConsumer},
    producer::{FutureProducer, FutureRecord},
};

use crate::{Broker, LANES, Publisher, payload, text};

/// As in our server: commits are of what is settled.
const SETTINGS: [(&str, &str); 9] = [
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("auto.offset.reset", "earliest"),
    ("enable.auto.offset.store", "false"),
    ("auto.commit.interval.ms", "500"),
    ("queued.max.messages.kbytes", "4096"),
    ("queued.min.messages", "20000"),
    ("fetch.message.max.bytes", "1048576"),
    ("fetch.queue.backoff.ms", "20"),
    ("fetch.wait.max.ms", "100"),
];

pub(crate) struct Kafka {
    cluster: Cluster,
    /// Kafka keeps messages: all processes read the same.
    filled: AtomicU64,
}

impl Broker for Kafka {
    const NAME: &'static str = "kafka";
    const MESSAGES: u64 = 400_000;
    const PYTHON: Option<f64> = Some(10.0);

    type Publisher = Producer;

    async fn start() -> Self {
        let cluster = Cluster::start();
        let topics: Vec<String> = (0..LANES).map(topic).collect();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        cluster.create_all(&topics, 1, |_| Vec::new()).await;
        Self { cluster, filled: AtomicU64::new(0) }
    }

    fn url(&self) -> String {
        self.cluster.url()
    }

    async fn publisher(&self) -> Result<Producer, String> {
        let mut all = TopicPartitionList::new();
        for lane in 0..LANES {
            all.add_partition_offset(&topic(lane), 0, Offset::End).map_err(text)?;
        }
        let admin: AdminClient<DefaultClientContext> = self.cluster.client().create().map_err(text)?;
        admin.delete_records(&all, &AdminOptions::new()).await.map_err(text)?;
        Ok(Producer(self.cluster.client().set("linger.ms", "2").create().map_err(text)?))
    }

    async fn fill(&self, messages: u64) -> Result<(), String> {
        let filled = self.filled.fetch_max(messages, Ordering::Relaxed);
        if filled < messages { self.publisher().await?.publish(filled..messages).await } else { Ok(()) }
    }

    async fn raw(url: &str, meter: &Meter, ready: fn()) -> Result<(), String> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", url.trim_start_matches("kafka://")).set("group.id", group());
        config.extend(SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let consumer: StreamConsumer = config.create().map_err(text)?;
        let topics: Vec<String> = (0..LANES).map(topic).collect();
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(text)?;
        ready();
        loop {
            let message = consumer.recv().await.map_err(text)?;
            let done = meter.decode(message.payload().unwrap_or_default());
            consumer.store_offset_from_message(&message).map_err(text)?;
            if done {
                return Ok(());
            }
        }
    }

    async fn serve<A: Application>(url: &str, app: A, stop: &Stop, ready: fn()) -> amgi::Result<()> {
        ready();
        amgi_kafka::Server::new(app).url(url).group(group()).stop(stop).serve().await
    }
}

/// A group that no process before was in.
fn group() -> String {
    format!("measured-{}", std::process::id())
}

fn topic(lane: u64) -> String {
    format!("numbers.{lane}")
}

pub(crate) struct Producer(FutureProducer);

impl Publisher for Producer {
    async fn publish(&mut self, numbers: Range<u64>) -> Result<(), String> {
        let topics: Vec<String> = (0..LANES).map(topic).collect();
        let mut on_their_way = Vec::new();
        for (topic, id) in topics.iter().cycle().zip(numbers) {
            let payload = payload(id);
            let record = FutureRecord::<(), _>::to(topic).payload(&payload);
            on_their_way.push(self.0.send_result(record).map_err(|(error, _)| text(error))?);
            // The producer holds 100,000.
            if on_their_way.len() == 50_000 {
                confirmed(&mut on_their_way).await?;
            }
        }
        confirmed(&mut on_their_way).await
    }
}

async fn confirmed(on_their_way: &mut Vec<rdkafka::producer::DeliveryFuture>) -> Result<(), String> {
    for delivery in on_their_way.drain(..) {
        delivery.await.map_err(text)?.map_err(|(error, _)| text(error))?;
    }
    Ok(())
}
