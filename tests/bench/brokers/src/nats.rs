//! NATS: JetStream with a durable consumer that is pulled from, and subjects without it.

use std::{ops::Range, time::Duration};

use amgi::{Application, server::Stop};
use amgi_bench_measured::Meter;
use amgi_brokers_tests::NatsServer;
use async_nats::{
    Client,
    jetstream::{
        self, Context,
        consumer::{AckPolicy, PullConsumer, pull},
        stream,
    },
};
use futures_util::StreamExt as _;

use crate::{Broker, LANES, Publisher, payload, text};

/// Messages that the consumer is asked for at a time: the default of our server.
const INFLIGHT: usize = 256;
const GROUP: &str = "measured";
const STREAM: &str = "numbers";
/// The name that our server gives the consumer of the channel.
const CONSUMER: &str = "measured-numbers";
/// Messages that the stream keeps, handled or not.
const KEPT: i64 = 1_000_000;
/// Confirmations that are waited for at a time.
const CONFIRMS: usize = 500;

/// JetStream.
pub(crate) struct Nats(NatsServer);

impl Broker for Nats {
    const NAME: &'static str = "nats";
    const MESSAGES: u64 = 100_000;

    type Publisher = Context;

    async fn start() -> Self {
        Self(NatsServer::start())
    }

    fn url(&self) -> String {
        self.0.url()
    }

    async fn publisher(&self) -> Result<Context, String> {
        let context = jetstream::new(connect(&self.url()).await?);
        // Of a round before, perhaps.
        let _ = context.delete_stream(STREAM).await;
        let config = stream::Config {
            name: STREAM.to_owned(),
            subjects: vec!["numbers.*".to_owned(), "failed.numbers".to_owned()],
            max_messages: KEPT,
            ..stream::Config::default()
        };
        context.create_stream(config).await.map_err(text)?;
        Ok(context)
    }

    async fn raw(url: &str, meter: &Meter, ready: fn()) -> Result<(), String> {
        let stream = jetstream::new(connect(url).await?).get_stream(STREAM).await.map_err(text)?;
        let config = pull::Config {
            durable_name: Some(CONSUMER.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait: Duration::from_secs(30),
            filter_subject: "numbers.*".to_owned(),
            max_ack_pending: -1,
            ..pull::Config::default()
        };
        let consumer: PullConsumer = stream.get_or_create_consumer(CONSUMER, config).await.map_err(text)?;
        let pulls = consumer.stream().max_messages_per_batch(INFLIGHT);
        let mut messages = pulls.messages().await.map_err(text)?;
        ready();
        while let Some(message) = messages.next().await {
            let message = message.map_err(text)?;
            let done = meter.decode(&message.payload);
            message.ack().await.map_err(text)?;
            if done {
                break;
            }
        }
        Ok(())
    }

    async fn serve<A: Application>(url: &str, app: A, stop: &Stop, ready: fn()) -> amgi::Result<()> {
        ready();
        let server = amgi_nats::Server::new(app).url(url).group(GROUP).jetstream(true).declare(true);
        server.inflight(INFLIGHT).stop(stop).serve().await
    }
}

impl Publisher for Context {
    async fn publish(&mut self, numbers: Range<u64>) -> Result<(), String> {
        let mut confirms = Vec::new();
        let end = numbers.end;
        for id in numbers {
            let subject = format!("numbers.{}", id % LANES);
            confirms.push(Context::publish(self, subject, payload(id).into()).await.map_err(text)?);
            if confirms.len() == CONFIRMS || id + 1 == end {
                for confirm in confirms.drain(..) {
                    confirm.await.map_err(text)?;
                }
            }
        }
        Ok(())
    }
}

/// Without JetStream.
pub(crate) struct Core(NatsServer);

impl Broker for Core {
    const NAME: &'static str = "nats-core";
    const LIVE: bool = true;
    const MESSAGES: u64 = 50_000;

    type Publisher = Client;

    async fn start() -> Self {
        Self(NatsServer::with(""))
    }

    fn url(&self) -> String {
        self.0.url()
    }

    async fn publisher(&self) -> Result<Client, String> {
        connect(&self.url()).await
    }

    async fn raw(url: &str, meter: &Meter, ready: fn()) -> Result<(), String> {
        let client = connect(url).await?;
        let mut messages = client.subscribe("numbers.*").await.map_err(text)?;
        client.flush().await.map_err(text)?;
        ready();
        while let Some(message) = messages.next().await {
            if meter.decode(&message.payload) {
                break;
            }
        }
        Ok(())
    }

    async fn serve<A: Application>(url: &str, app: A, stop: &Stop, ready: fn()) -> amgi::Result<()> {
        amgi_nats::Server::new(app).url(url).on_ready(ready).stop(stop).serve().await
    }
}

impl Publisher for Client {
    async fn publish(&mut self, numbers: Range<u64>) -> Result<(), String> {
        for id in numbers {
            let subject = format!("numbers.{}", id % LANES);
            Client::publish(self, subject, payload(id).into()).await.map_err(text)?;
        }
        self.flush().await.map_err(text)
    }
}

async fn connect(url: &str) -> Result<Client, String> {
    async_nats::connect(url).await.map_err(text)
}
