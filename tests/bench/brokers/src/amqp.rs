//! AMQP on RabbitMQ: a durable queue that holds persistent messages.

use amgi::{Application, server::Stop};
use amgi_brokers_tests::RabbitMq;
use futures_util::StreamExt as _;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::FieldTable,
};

use crate::{Broker, LANES, measured::Meter, payload};

/// Messages on their way without an acknowledgement, and how many of them are acknowledged at a time: as in our server.
const PREFETCH: u16 = 200;
const TOGETHER: u64 = 64;
const GROUP: &str = "measured";
/// The name that our server gives the queue of the channel.
const QUEUE: &str = "measured.numbers.{lane}";
const EXCHANGE: &str = "numbers";
/// Confirmations that are waited for at a time.
const CONFIRMS: usize = 1000;

pub(crate) struct Amqp(RabbitMq);

impl Broker for Amqp {
    const NAME: &'static str = "amqp";

    async fn start() -> Self {
        Self(RabbitMq::start())
    }

    fn url(&self) -> String {
        self.0.url()
    }

    async fn fill(&self, messages: u64) -> Result<(), String> {
        fill(&self.url(), messages).await.map_err(|error| error.to_string())
    }

    async fn raw(url: &str, meter: &Meter, ready: fn()) -> Result<(), String> {
        ready();
        raw(url, meter).await.map_err(|error| error.to_string())
    }

    async fn serve<A: Application>(url: &str, app: A, stop: &Stop, ready: fn()) -> amgi::Result<()> {
        ready();
        amgi_amqp::Server::new(app).url(url).group(GROUP).prefetch(PREFETCH).stop(stop).serve().await
    }
}

async fn connect(url: &str) -> lapin::Result<(Connection, Channel)> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    Ok((connection, channel))
}

async fn fill(url: &str, messages: u64) -> lapin::Result<()> {
    let (_connection, channel) = connect(url).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, durable, FieldTable::default()).await?;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(QUEUE.into(), durable, FieldTable::default()).await?;
    // What a round before left unacknowledged at its end.
    channel.queue_purge(QUEUE.into(), lapin::options::QueuePurgeOptions::default()).await?;
    let (bind, none) = (QueueBindOptions::default(), FieldTable::default());
    channel.queue_bind(QUEUE.into(), EXCHANGE.into(), "numbers.*".into(), bind, none).await?;
    let mut confirms = Vec::new();
    for id in 0..messages {
        let key = format!("numbers.{}", id % LANES);
        let properties = BasicProperties::default().with_delivery_mode(2);
        let options = BasicPublishOptions::default();
        let confirm = channel
            .basic_publish(EXCHANGE.into(), key.into(), options, payload(id).as_bytes(), properties)
            .await?;
        confirms.push(confirm);
        if confirms.len() == CONFIRMS {
            for confirm in confirms.drain(..) {
                confirm.await?;
            }
        }
    }
    for confirm in confirms {
        confirm.await?;
    }
    Ok(())
}

async fn raw(url: &str, meter: &Meter) -> lapin::Result<()> {
    let (_connection, channel) = connect(url).await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut consumer = channel.basic_consume(QUEUE.into(), "".into(), options, FieldTable::default()).await?;
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery?;
        let done = meter.decode(&delivery.data);
        if delivery.delivery_tag % TOGETHER == 0 || done {
            delivery.ack(BasicAckOptions { multiple: true }).await?;
        }
        if done {
            break;
        }
    }
    Ok(())
}
