//! `amgi-amqp` on a `RabbitMQ` that all cases share, each by a door of its own.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use amgi::{Application, Bindings, ByteString, Bytes, Headers, Message, server::Backoff};
use amgi_amqp::Server;
use amgi_conformance::{Abilities, Ability, Run, Subject, Watch};
use futures_util::StreamExt as _;
use lapin::{
    BasicProperties, Channel, PublisherConfirm,
    message::Delivery,
    options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldArray, FieldTable, ShortString},
};
use tokio::sync::{OnceCell, mpsc};

use super::Placed;
use crate::{Door, RabbitMq};

/// A queue that is always full.
const FULL: &str = "amgi.full";

/// `amgi-amqp`.
#[derive(Default)]
pub struct Amqp {
    broker: OnceLock<Arc<RabbitMq>>,
    door: OnceCell<Door>,
}

impl Amqp {
    fn broker(&self) -> &RabbitMq {
        self.broker.get_or_init(RabbitMq::shared)
    }

    async fn door(&self) -> &Door {
        let port = self.broker().port();
        self.door.get_or_init(|| Door::new(port)).await
    }
}

fn properties(message: &Message) -> BasicProperties {
    let mut table = FieldTable::default();
    for (name, value) in &message.headers {
        let name = ShortString::from(String::from_utf8_lossy(name).into_owned());
        let value = AMQPValue::LongString(value.to_vec().into());
        let value = match table.inner().get(&name).cloned() {
            None => value,
            Some(AMQPValue::FieldArray(mut values)) => {
                values.push(value);
                AMQPValue::FieldArray(values)
            }
            Some(first) => AMQPValue::FieldArray(FieldArray::from(vec![first, value])),
        };
        table.insert(name, value);
    }
    let mut properties = BasicProperties::default().with_delivery_mode(2).with_headers(table);
    let text = |field| message.bindings.get("amqp", field).and_then(|value| value.as_str());
    if let Some(content_type) = text("content_type") {
        properties = properties.with_content_type(content_type.into());
    }
    if let Some(id) = text("message_id") {
        properties = properties.with_message_id(id.into());
    }
    if let Some(priority) = message.bindings.get("amqp", "priority").and_then(amgi::BindingValue::as_int) {
        properties = properties.with_priority(u8::try_from(priority).unwrap_or(0));
    }
    properties
}

fn bytes(value: &AMQPValue) -> Bytes {
    match value {
        AMQPValue::LongString(text) => Bytes::copy_from_slice(text.as_bytes()),
        AMQPValue::ByteArray(bytes) => Bytes::copy_from_slice(bytes.as_slice()),
        other => panic!("{other:?} in a header"),
    }
}

fn message(address: ByteString, delivery: Delivery) -> Message {
    let mut message = Message::new(address).payload(delivery.data);
    let mut headers = Headers::default();
    for (name, value) in delivery.properties.headers().iter().flatten() {
        let name = Bytes::copy_from_slice(name.as_str().as_bytes());
        match value {
            AMQPValue::FieldArray(values) => {
                values.as_slice().iter().for_each(|value| headers.push(name.clone(), bytes(value)));
            }
            value => headers.push(name, bytes(value)),
        }
    }
    message.headers = headers;
    let properties = &delivery.properties;
    for (field, value) in
        [("content_type", properties.content_type()), ("message_id", properties.message_id())]
    {
        if let Some(value) = value {
            message.bindings.set("amqp", field, value.as_str());
        }
    }
    if let Some(priority) = properties.priority() {
        message.bindings.set("amqp", "priority", *priority);
    }
    message
}

async fn queue(channel: &Channel, name: &str, arguments: FieldTable) {
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), options, arguments).await.expect("a queue");
}

impl Subject for Amqp {
    fn name(&self) -> &'static str {
        "AMQP"
    }

    fn abilities(&self) -> Abilities {
        Abilities::all()
            .without(Ability::AbsentPayload, "A payload cannot be absent: AMQP knows only empty ones.")
            .without(
                Ability::HeaderOrder,
                "Headers are a table: they come sorted by name, and those that repeat in their order.",
            )
    }

    fn bindings(&self) -> Bindings {
        let mut bindings = Bindings::default();
        bindings.set("amqp", "content_type", "application/json");
        bindings.set("amqp", "message_id", "m-1");
        bindings.set("amqp", "priority", 3);
        bindings
    }

    fn refused(&self) -> Option<ByteString> {
        Some(FULL.into())
    }

    async fn serve<A: Application>(&self, app: A, run: Run) -> amgi::Result<()> {
        let (_connection, channel) = self.broker().client().await;
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(0));
        arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
        queue(&channel, FULL, arguments).await;
        let quick =
            Backoff { first: Duration::from_millis(10), most: Duration::from_millis(100), jitter: false };
        let port = self.door().await.port();
        Server::new(app)
            .url(format!("amqp://127.0.0.1:{port}"))
            .group(run.group.unwrap_or(run.name).to_string())
            .concurrency(run.concurrency)
            .prefetch(20)
            .policy(run.policy)
            .shutdown_deadline(run.shutdown_deadline)
            .send_timeout(run.send_timeout)
            .reconnect(quick)
            .stop(&run.stop)
            .on_ready(move || run.ready.tell())
            .serve()
            .await
    }

    async fn publish(&self, messages: &[Message]) {
        let (_connection, channel) = self.broker().client().await;
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let publish = async |exchange: &'static str,
                             message: &Message,
                             confirms: &mut Vec<PublisherConfirm>| {
            let payload = message.payload.clone().unwrap_or_default();
            let key = ShortString::from(&*message.address);
            let publish = channel.basic_publish(exchange.into(), key, options, &payload, properties(message));
            confirms.push(publish.await.expect("it is published"));
        };
        let mut confirms = Vec::new();
        for message in messages {
            publish("", message, &mut confirms).await;
        }
        let mut topics = Vec::new();
        for (confirm, message) in confirms.into_iter().zip(messages) {
            // What is no queue is a topic.
            if confirm.await.expect("an answer").take_message().is_some() {
                publish("amq.topic", message, &mut topics).await;
            }
        }
        for confirm in topics {
            confirm.await.expect("an answer");
        }
    }

    async fn watch(&self, address: &str) -> Watch {
        let (connection, channel) = self.broker().client().await;
        queue(&channel, address, FieldTable::default()).await;
        let consume = channel.basic_consume(
            address.into(),
            ShortString::default(),
            BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() },
            FieldTable::default(),
        );
        let mut consumer = consume.await.expect("a consumer");
        let (saw, seen) = mpsc::unbounded_channel();
        let address = ByteString::from(address);
        tokio::spawn(async move {
            while let Some(Ok(delivery)) = consumer.next().await {
                let _ = saw.send(message(address.clone(), delivery));
            }
        });
        Watch::new(seen, (connection, channel))
    }

    async fn break_broker(&self) {
        self.door().await.shut();
    }

    async fn restore_broker(&self) {
        self.door().await.open();
    }
}

impl Placed for Amqp {
    async fn place(&self, _: &[&str]) -> String {
        self.broker().url()
    }
}
