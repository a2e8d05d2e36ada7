//! AMGI messages and Kafka messages: headers, payload, key and partition, there and back.

use std::{panic::catch_unwind, sync::Arc, time::Duration};

use amgi::{BindingValue, ByteString, Bytes, Message, MessageSend, SendError, SendFuture};
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders},
    producer::{DeliveryFuture, FutureProducer, FutureRecord},
};
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::{callbacks::Logs, topic::Topics};

/// The protocol's name in bindings.
const KAFKA: &str = "kafka";
/// How long a send waits before it looks again whether the producer has room.
const FULL: Duration = Duration::from_millis(5);

/// Names of the bindings.
mod field {
    pub(super) const KEY: &str = "key";
    pub(super) const PARTITION: &str = "partition";
    pub(super) const OFFSET: &str = "offset";
    pub(super) const TIMESTAMP: &str = "timestamp";
}

/// What the application sees of a message that came in, put in the place of one that is over, whose memory is used again.
/// Payload, key and headers are copied once: librdkafka's memory goes with its message.
pub(crate) fn incoming(address: &ByteString, from: &BorrowedMessage<'_>, message: &mut Message) {
    if message.address != *address {
        message.address = address.clone();
    }
    message.headers.clear();
    message.payload = from.payload().map(Bytes::copy_from_slice);
    message.bindings.fill(
        KAFKA,
        [
            (field::KEY, from.key().map(|key| Bytes::copy_from_slice(key).into())),
            (field::PARTITION, Some(from.partition().into())),
            (field::OFFSET, Some(from.offset().into())),
            (field::TIMESTAMP, from.timestamp().to_millis().map(Into::into)),
        ],
    );
    if let Some(headers) = from.headers() {
        let count = headers.count();
        message.headers.reserve(count);
        for index in 0..count {
            // Names are UTF-8 by Kafka's protocol; the client library panics over one that is not.
            match catch_unwind(|| headers.get(index)) {
                Ok(Header { key, value }) => message.headers.push(
                    Bytes::copy_from_slice(key.as_bytes()),
                    Bytes::copy_from_slice(value.unwrap_or_default()),
                ),
                Err(_) => warn!(%address, index, "a header whose name is not UTF-8 is left out"),
            }
        }
    }
}

fn number<T: std::str::FromStr + TryFrom<i64>>(message: &Message, field: &str) -> Result<Option<T>, String> {
    let read = |value: &BindingValue| match value {
        BindingValue::Int(number) => T::try_from(*number).ok(),
        // Typed bindings cross as text.
        other => other.as_str()?.parse().ok(),
    };
    match message.bindings.get(KAFKA, field) {
        None | Some(BindingValue::Null) => Ok(None),
        Some(value) => {
            read(value).map(Some).ok_or_else(|| format!("binding `kafka.{field}` cannot be {value:?}"))
        }
    }
}

/// What is sent besides payload and key, which stay in the message.
#[derive(Debug)]
struct Outgoing {
    topic: ByteString,
    partition: Option<i32>,
    timestamp: Option<i64>,
    headers: Option<OwnedHeaders>,
}

impl Outgoing {
    fn new(topics: &Topics, message: &Message) -> Result<Self, String> {
        let topic = topics.topic(&message.address)?;
        let mut headers = None;
        for (name, value) in &message.headers {
            let key =
                std::str::from_utf8(name).ok().filter(|name| !name.contains('\0')).ok_or_else(|| {
                    format!("header {name:?}: its name is not UTF-8 without U+0000, which Kafka requires")
                })?;
            let room =
                headers.take().unwrap_or_else(|| OwnedHeaders::new_with_capacity(message.headers.len()));
            headers = Some(room.insert(Header { key, value: Some(&value[..]) }));
        }
        // A dead letter is a copy of what came in; its topic may have fewer partitions, and it was written now.
        let dead_letter = message.headers.get("amgi-dead-letter-address").is_some();
        let (mut partition, mut timestamp) = (None, None);
        if !dead_letter {
            partition = number::<i32>(message, field::PARTITION)?.filter(|partition| *partition >= 0);
            timestamp = number(message, field::TIMESTAMP)?;
        }
        if let Some(BindingValue::Bool(_) | BindingValue::Int(_)) = message.bindings.get(KAFKA, field::KEY) {
            return Err("binding `kafka.key` must be text or bytes".to_owned());
        }
        Ok(Self { topic, partition, timestamp, headers })
    }

    fn record<'a>(&'a mut self, message: &'a Message) -> FutureRecord<'a, [u8], [u8]> {
        FutureRecord {
            topic: &self.topic,
            partition: self.partition,
            payload: message.payload.as_deref(),
            key: message.bindings.get(KAFKA, field::KEY).and_then(BindingValue::as_bytes),
            timestamp: self.timestamp,
            headers: self.headers.take(),
        }
    }
}

/// Sends messages of the application.
pub(crate) struct Sender {
    pub(crate) producer: FutureProducer<Logs>,
    pub(crate) topics: Arc<Topics>,
    pub(crate) timeout: Duration,
}

impl Sender {
    /// Gives the message to the producer; `None` when it has no room.
    fn enqueue(
        &self,
        outgoing: &mut Outgoing,
        message: &Message,
    ) -> Result<Option<DeliveryFuture>, KafkaError> {
        match self.producer.send_result(outgoing.record(message)) {
            Ok(delivery) => Ok(Some(delivery)),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), record)) => {
                outgoing.headers = record.headers;
                Ok(None)
            }
            Err((error, _)) => Err(error),
        }
    }

    fn error(&self, address: &str, error: &KafkaError) -> SendError {
        match error {
            KafkaError::MessageProduction(RDKafkaErrorCode::MessageTimedOut) => self.late(address),
            KafkaError::MessageProduction(code) => SendError::new(address, code.to_string()),
            other => SendError::new(address, other.to_string()),
        }
    }

    fn late(&self, address: &str) -> SendError {
        SendError::new(address, format!("the broker did not take it within {:?}", self.timeout))
    }

    async fn delivered(&self, address: &str, delivery: DeliveryFuture) -> Result<(), SendError> {
        match delivery.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err((error, _))) => Err(self.error(address, &error)),
            Err(_) => Err(SendError::new(address, "the server has stopped")),
        }
    }
}

impl MessageSend for Sender {
    fn send(&self, message: Message) -> SendFuture<'_> {
        let enqueued = Outgoing::new(&self.topics, &message)
            .map_err(|error| SendError::new(message.address.to_string(), error))
            .and_then(|mut outgoing| match self.enqueue(&mut outgoing, &message) {
                Ok(delivery) => Ok((outgoing, delivery)),
                Err(error) => Err(self.error(&message.address, &error)),
            });
        let (mut outgoing, delivery) = match enqueued {
            Ok(enqueued) => enqueued,
            Err(error) => return SendFuture::ready(Err(error)),
        };
        if let Some(delivery) = delivery {
            let address = message.address;
            return SendFuture::pending(async move { self.delivered(&address, delivery).await });
        }
        SendFuture::pending(async move {
            let until = Instant::now() + self.timeout;
            while Instant::now() < until {
                sleep(FULL).await;
                match self.enqueue(&mut outgoing, &message) {
                    Ok(Some(delivery)) => return self.delivered(&message.address, delivery).await,
                    Ok(None) => {}
                    Err(error) => return Err(self.error(&message.address, &error)),
                }
            }
            Err(self.late(&message.address))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::Mapping;

    fn outgoing(message: &Message) -> Result<Outgoing, String> {
        Outgoing::new(&Topics::new(&[], Mapping::dots(), &[]).unwrap(), message)
    }

    #[test]
    fn bindings_are_read() {
        let message =
            Message::new("user.7").binding("kafka", "partition", 2).binding("kafka", "timestamp", "1700");
        let out = outgoing(&message).unwrap();
        assert_eq!((&*out.topic, out.partition, out.timestamp), ("user.7", Some(2), Some(1700)));
        let mut dead = message.clone();
        dead.headers.push("amgi-dead-letter-address", "user.7");
        let out = outgoing(&dead).unwrap();
        assert_eq!((out.partition, out.timestamp), (None, None));
    }

    #[test]
    fn what_kafka_cannot_say_is_an_error() {
        for message in [
            Message::new("a").header(&b"\xff"[..], "x"),
            Message::new("a").header("a\0b", "x"),
            Message::new("a").binding("kafka", "partition", "first"),
            Message::new("a").binding("kafka", "key", 7),
            Message::new(""),
        ] {
            assert!(outgoing(&message).is_err(), "{message:?}");
        }
    }
}
