//! `amgi-kafka` on the Kafka that tests share, or on one of its own.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use amgi::{Application, Bindings, ByteString, Bytes, Message};
use amgi_conformance::{Abilities, Ability, Order, Run, Subject, Watch};
use amgi_kafka::Server;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{Consumer as _, StreamConsumer},
    message::{Header, Message as _, OwnedHeaders},
    producer::FutureRecord,
};
use tokio::{sync::mpsc, task::JoinHandle};

use super::Placed;
use crate::Kafka as Broker;

/// Partitions of every topic.
const PARTITIONS: i32 = 4;
/// Sends to it are refused: no message is small enough.
const REFUSED: &str = "amgi.refused";

/// `amgi-kafka`.
pub struct Kafka {
    shared: Option<Arc<Broker>>,
    own: Mutex<Option<Broker>>,
    url: String,
    /// A handle on the same broker, for what needs no process.
    broker: Broker,
    made: tokio::sync::Mutex<BTreeSet<String>>,
}

impl Kafka {
    /// On the broker that tests share, which cannot go away.
    pub fn shared() -> Self {
        let broker = Broker::shared();
        Self { shared: Some(broker.clone()), ..Self::at(broker.servers()) }
    }

    /// On a broker of its own.
    pub fn own() -> Self {
        let broker = Broker::start();
        let at = Self::at(broker.servers());
        Self { own: Mutex::new(Some(broker)), ..at }
    }

    /// What the server can do, without a broker.
    pub(super) fn page() -> Self {
        Self::at("")
    }

    fn at(servers: &str) -> Self {
        let broker = Broker::at(servers);
        Self {
            shared: None,
            own: Mutex::new(None),
            url: broker.url(),
            broker,
            made: tokio::sync::Mutex::default(),
        }
    }

    fn own_broker(&self) -> MutexGuard<'_, Option<Broker>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes topics that are not there.
    async fn make(&self, addresses: impl IntoIterator<Item = String>) {
        let mut made = self.made.lock().await;
        let missing: Vec<String> = addresses.into_iter().filter(|topic| made.insert(topic.clone())).collect();
        let mut names: Vec<&str> = missing.iter().map(String::as_str).collect();
        if made.insert(REFUSED.to_owned()) {
            names.push(REFUSED);
        }
        self.broker
            .create_all(&names, PARTITIONS, |topic| {
                if topic == REFUSED { vec![("max.message.bytes", "0")] } else { Vec::new() }
            })
            .await;
    }
}

/// Ends a client when it is dropped.
struct Client(JoinHandle<()>);

impl Drop for Client {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Subject for Kafka {
    fn name(&self) -> &'static str {
        "Kafka"
    }

    fn abilities(&self) -> Abilities {
        let all = Abilities::all().without(
            Ability::Nack,
            "Kafka has no negative acknowledgement: what keeps being nacked blocks its partition, or its key.",
        );
        if self.shared.is_some() {
            return all.without(Ability::BrokerLoss, "The broker that tests share cannot go away.");
        }
        all
    }

    fn order(&self) -> Order {
        Order::Binding("kafka", "key")
    }

    fn bindings(&self) -> Bindings {
        let mut bindings = Bindings::default();
        bindings.set("kafka", "key", Bytes::from_static(b"key\xff"));
        bindings
    }

    fn refused(&self) -> Option<ByteString> {
        Some(REFUSED.into())
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn serve<A: Application>(&self, app: A, run: Run) -> amgi::Result<()> {
        if self.shared.is_some() || self.own_broker().as_ref().is_some_and(Broker::is_running) {
            let beside = |address: &ByteString| [address.to_string(), format!("{address}.dlq")];
            self.make(run.addresses.iter().flat_map(beside)).await;
        }
        Server::new(app)
            .url(&self.url)
            .group(run.group.as_deref().unwrap_or(&run.name))
            .client_id(&*run.name)
            .concurrency(run.concurrency)
            .policy(run.policy)
            .buffer(1024 * 1024)
            .commit_interval(Duration::from_millis(50))
            .connect_timeout(Duration::from_secs(5))
            .session_timeout(Duration::from_secs(6))
            .property("heartbeat.interval.ms", "300")
            .shutdown_deadline(run.shutdown_deadline)
            .send_timeout(run.send_timeout)
            .stop(&run.stop)
            .on_ready(move || run.ready.tell())
            .serve()
            .await
    }

    async fn publish(&self, messages: &[Message]) {
        let topics: BTreeSet<String> = messages.iter().map(|message| message.address.to_string()).collect();
        self.make(topics).await;
        let record = |message: &'_ Message| -> OwnedHeaders {
            message.headers.iter().fold(OwnedHeaders::new(), |headers, (name, value)| {
                let key = std::str::from_utf8(name).expect("the suite knows that names are texts");
                headers.insert(Header { key, value: Some(&value[..]) })
            })
        };
        let headers: Vec<_> = messages.iter().map(record).collect();
        let records = messages.iter().zip(headers).map(|(message, headers)| FutureRecord {
            topic: &message.address,
            partition: None,
            payload: message.payload.as_deref(),
            key: message.bindings.get("kafka", "key").and_then(|key| key.as_bytes()),
            timestamp: None,
            headers: Some(headers),
        });
        self.broker.write_all(records).await;
    }

    async fn watch(&self, address: &str) -> Watch {
        self.make([address.to_owned()]).await;
        let mut config = self.broker.client();
        let consumer: StreamConsumer =
            config.set("group.id", "watcher").set("enable.auto.commit", "false").create().expect("a client");
        let mut places = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            let end = self.broker.end(address, partition);
            places.add_partition_offset(address, partition, Offset::Offset(end)).expect("a place");
        }
        consumer.assign(&places).expect("partitions");
        let (saw, seen) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            loop {
                // A broker that goes away is reconnected to.
                let Ok(message) = consumer.recv().await else { continue };
                let mut copy = Message::new(message.topic());
                copy.payload = message.payload().map(Bytes::copy_from_slice);
                if let Some(key) = message.key() {
                    copy.bindings.set("kafka", "key", Bytes::copy_from_slice(key));
                }
                for header in message.headers().into_iter().flat_map(rdkafka::message::Headers::iter) {
                    copy.headers.push(header.key.to_owned(), header.value.unwrap_or_default().to_vec());
                }
                if saw.send(copy).is_err() {
                    break;
                }
            }
        });
        Watch::new(seen, Client(task))
    }

    async fn break_broker(&self) {
        self.own_broker().as_mut().expect("a broker of its own").kill();
    }

    async fn restore_broker(&self) {
        let broker = self.own_broker().take();
        let mut broker = broker.expect("a broker of its own");
        let started = tokio::task::spawn_blocking(move || {
            broker.start_again();
            broker
        });
        *self.own_broker() = Some(started.await.expect("it starts"));
    }
}

impl Placed for Kafka {
    async fn place(&self, addresses: &[&str]) -> String {
        self.make(addresses.iter().map(|&address| address.to_owned())).await;
        self.url.clone()
    }
}
