//! AMQP on RabbitMQ: a durable queue on a topic exchange, persistent messages, publisher confirms.

use std::time::Duration;

use amgi_brokers_tests::RabbitMq;
use futures_util::StreamExt as _;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
    },
    types::FieldTable,
};

use super::{Broker, DeadLetters, Kind, Order, Publisher, payload};

/// Pause before a client tries to reconnect.
const PAUSE: Duration = Duration::from_millis(50);
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
const EXCHANGE: &str = "numbers";
const DEAD_LETTERS: &str = "failed.numbers";

pub(crate) struct Amqp(RabbitMq);

impl Broker for Amqp {
    const NAME: &'static str = "amqp";
    // A queue's messages go to its consumers in turn.
    const ORDER: Order = Order::Alone;

    async fn start(_: u16, _: Kind) -> Self {
        Self(RabbitMq::start())
    }

    fn port(&self) -> u16 {
        self.0.port()
    }

    fn arguments(&self, port: u16, _: usize) -> Vec<String> {
        let url = format!("amqp://127.0.0.1:{port}");
        [&url, "--group", "numbers", "--heartbeat", "2", "--connect-timeout", "5"].map(str::to_owned).into()
    }

    fn kill(&mut self) {
        self.0.kill();
    }

    async fn start_again(&mut self) {
        self.0.start_again();
    }

    fn publisher(&self) -> impl Publisher + use<> {
        Confirmed { port: self.port(), client: None, repeated: 0 }
    }

    async fn watch(&self) -> DeadLetters {
        let seen = DeadLetters::default();
        let (port, into) = (self.port(), seen.clone());
        let (tell, consuming) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let mut tell = Some(tell);
            loop {
                let _ = consume(port, &into, &mut tell).await;
                tokio::time::sleep(PAUSE).await;
            }
        });
        // The task lives as long as the runtime.
        let _ = consuming.await;
        seen
    }
}

async fn connect(port: u16) -> lapin::Result<(Connection, Channel)> {
    let url = format!("amqp://127.0.0.1:{port}");
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok((connection, channel))
}

/// Until the connection ends.
async fn consume(
    port: u16,
    into: &DeadLetters,
    tell: &mut Option<tokio::sync::oneshot::Sender<()>>,
) -> lapin::Result<()> {
    let (_connection, channel) = connect(port).await?;
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(DEAD_LETTERS.into(), options, FieldTable::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut consumer =
        channel.basic_consume(DEAD_LETTERS.into(), "".into(), options, FieldTable::default()).await?;
    tell.take().map(|tell| tell.send(()));
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery?;
        into.saw(&delivery.data);
        delivery.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}

/// One message after the other.
struct Confirmed {
    port: u16,
    client: Option<(Connection, Channel)>,
    repeated: u64,
}

impl Confirmed {
    /// Whether the broker has said that a queue has it.
    async fn try_publish(&mut self, lane: u64, id: u64) -> lapin::Result<bool> {
        if self.client.is_none() {
            self.client = Some(connect(self.port).await?);
        }
        let Some((_, channel)) = &self.client else { return Ok(false) };
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let properties = BasicProperties::default().with_delivery_mode(2);
        let key = format!("numbers.{lane}");
        let confirm = channel
            .basic_publish(EXCHANGE.into(), key.into(), options, payload(id).as_bytes(), properties)
            .await?
            .await?;
        Ok(confirm.is_ack() && confirm.take_message().is_none())
    }
}

impl Publisher for Confirmed {
    async fn publish(&mut self, lane: u64, id: u64) {
        loop {
            match tokio::time::timeout(PATIENCE, self.try_publish(lane, id)).await {
                Ok(Ok(true)) => return,
                // No queue has it yet.
                Ok(Ok(false)) => {}
                Ok(Err(_)) | Err(_) => {
                    self.repeated += u64::from(self.client.take().is_some());
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn repeated(&self) -> u64 {
        self.repeated
    }
}
