//! The brokers, as the runner needs them: started and killed, published to and watched with clients that share nothing with
//! our servers.

mod amqp;
mod kafka;
mod mqtt;
mod nats;
mod redis;
mod sqs;

use std::sync::{Arc, Mutex, PoisonError};

use amgi_brokers_tests::Emulator;

pub(crate) use self::{amqp::Amqp, kafka::Kafka, mqtt::Mqtt, nats::Nats, redis::Redis, sqs::Sqs};

/// How many lanes numbers come in; what has an order has it in each.
pub(crate) const LANES: u64 = 8;

/// A broker, its clients, and what is true of the server for it.
pub(crate) trait Broker: Sized + Send + 'static {
    /// Name on the command line.
    const NAME: &'static str;
    /// When the numbers of a lane are handled in their order.
    const ORDER: Order;
    /// Whether nothing of it is on a disk. Then it lives on, and the connection to it is held once more, for longer.
    const IN_MEMORY: bool = false;

    /// When the numbers of a lane are handled in their order, on a broker of this kind.
    fn order(_: Kind) -> Order {
        Self::ORDER
    }

    /// How many messages a second are published, where nobody says it.
    fn rate(_: Kind) -> u64 {
        1000
    }

    /// Starts it. The service will reach it by way of this port.
    fn start(proxy: u16, kind: Kind) -> impl Future<Output = Self> + Send;

    /// Where the proxy reaches it, on loopback.
    fn port(&self) -> u16;

    /// What the service is told: its URL, by way of this port, and options. Instances share the work.
    fn arguments(&self, port: u16, instance: usize) -> Vec<String>;

    /// Ends it at once, as a power cut would. Never called on one that has everything in memory.
    fn kill(&mut self) {}

    /// Starts it with what it had on its disk.
    fn start_again(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Somebody who publishes.
    fn publisher(&self) -> impl Publisher + use<Self>;

    /// Begins to watch the dead-letter address, and keeps at it.
    fn watch(&self) -> impl Future<Output = DeadLetters> + Send;
}

/// Which of several kinds of a broker it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// On which emulator SQS runs.
    pub(crate) emulator: Emulator,
    /// Whether queues of SQS have a redrive policy, and the service names no address of dead letters.
    pub(crate) redrive: bool,
}

/// When the numbers of a lane are handled in their order, for the first time each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Always, also while instances share the work.
    Always,
    /// While one instance does all of it.
    Alone,
    /// Not over a kill.
    None,
}

/// Publishes numbers, whatever happens to the broker.
pub(crate) trait Publisher: Send + 'static {
    /// Returns when the broker has confirmed it. A number may be published more than once when a confirmation was lost.
    fn publish(&mut self, lane: u64, id: u64) -> impl Future<Output = ()> + Send;

    /// How many numbers may have been published more than once.
    fn repeated(&self) -> u64;
}

/// Payload of a number: some 300 bytes, as messages often are.
pub(crate) fn payload(id: u64) -> String {
    format!(r#"{{"id":{id},"note":"{}","tags":["drawn","counted"]}}"#, "n".repeat(240))
}

/// Numbers seen at the dead-letter address.
#[derive(Clone, Default)]
pub(crate) struct DeadLetters(Arc<Mutex<Vec<u64>>>);

impl DeadLetters {
    /// Takes a payload; what is none of ours is told as the largest number.
    pub(crate) fn saw(&self, payload: &[u8]) {
        let value: Option<serde_json::Value> = serde_json::from_slice(payload).ok();
        let id = value.and_then(|value| value["id"].as_u64()).unwrap_or(u64::MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(id);
    }

    /// All, in the order in which they came.
    pub(crate) fn all(&self) -> Vec<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
