//! AMQP on RabbitMQ: a durable queue that holds persistent messages.

use std::ops::Range;

use amgi::{Application, server::Stop};
use amgi_bench_measured::Meter;
use amgi_brokers_tests::RabbitMq;
use futures_util::StreamExt as _;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions,
    },
    types::FieldTable,
};

use crate::{Broker, LANES, Publisher, payload, text};

/// Messages on their way without an acknowledgement, and how many of them are acknowledged at a time: as in our server.
const PREFETCH: u16 = 200;
const TOGETHER: u64 = 64;
const GROUP: &str = "measured";
/// The name that our server gives the queue of the channel.
const QUEUE: &str = "measured.numbers.{lane}";
/// One for the Python server, whose client refuses that name.
const PYTHON: &str = "python";
const EXCHANGE: &str = "numbers";
/// Confirmations that are waited for at a time.
const CONFIRMS: usize = 1000;

pub(crate) struct Amqp(RabbitMq);

impl Broker for Amqp {
    const NAME: &'static str = "amqp";
    const MESSAGES: u64 = 50_000;
    const PYTHON: Option<f64> = Some(10.0);

    type Publisher = Exchange;

    async fn start() -> Self {
        Self(RabbitMq::start())
    }

    fn url(&self) -> String {
        self.0.url()
    }

    async fn publisher(&self) -> Result<Exchange, String> {
        declare(&self.url()).await.map_err(text)
    }

    async fn fill_for_python(&self, messages: u64) -> Result<(), String> {
        let mut exchange = self.publisher().await?;
        bind(&exchange.channel, PYTHON).await.map_err(text)?;
        exchange.publish(0..messages).await
    }

    async fn raw(url: &str, meter: &Meter, ready: fn()) -> Result<(), String> {
        ready();
        raw(url, meter).await.map_err(text)
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

/// What publishes, with its connection.
pub(crate) struct Exchange {
    channel: Channel,
    /// Closes when it is dropped.
    _connection: Connection,
}

async fn declare(url: &str) -> lapin::Result<Exchange> {
    let (connection, channel) = connect(url).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, durable, FieldTable::default()).await?;
    channel.queue_delete(PYTHON.into(), QueueDeleteOptions::default()).await?;
    bind(&channel, QUEUE).await?;
    // What a round before left unacknowledged at its end.
    channel.queue_purge(QUEUE.into(), QueuePurgeOptions::default()).await?;
    Ok(Exchange { channel, _connection: connection })
}

/// Has the numbers put into a queue.
async fn bind(channel: &Channel, queue: &str) -> lapin::Result<()> {
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), durable, FieldTable::default()).await?;
    let (bind, none) = (QueueBindOptions::default(), FieldTable::default());
    channel.queue_bind(queue.into(), EXCHANGE.into(), "numbers.*".into(), bind, none).await
}

impl Publisher for Exchange {
    async fn publish(&mut self, numbers: Range<u64>) -> Result<(), String> {
        publish(&self.channel, numbers).await.map_err(text)
    }
}

async fn publish(channel: &Channel, numbers: Range<u64>) -> lapin::Result<()> {
    let mut confirms = Vec::new();
    let end = numbers.end;
    for id in numbers {
        let key = format!("numbers.{}", id % LANES);
        let properties = BasicProperties::default().with_delivery_mode(2);
        let options = BasicPublishOptions::default();
        let confirm = channel
            .basic_publish(EXCHANGE.into(), key.into(), options, payload(id).as_bytes(), properties)
            .await?;
        confirms.push(confirm);
        if confirms.len() == CONFIRMS || id + 1 == end {
            for confirm in confirms.drain(..) {
                confirm.await?;
            }
        }
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
