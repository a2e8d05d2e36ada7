//! Redis: a stream for each lane and a consumer group, and publishing without streams.

use std::ops::Range;

use ::redis::{AsyncConnectionConfig, Client, Cmd, Pipeline, Value, aio::MultiplexedConnection, cmd};
use amgi::{Application, server::Stop};
use amgi_bench_measured::Meter;
use amgi_brokers_tests::RedisServer;
use futures_util::StreamExt as _;

use crate::{Broker, LANES, Publisher, payload, text};

/// Messages of a stream that are fetched at a time: the default of our server.
const COUNT: usize = 100;
const GROUP: &str = "measured";
/// Messages that a stream keeps, handled or not.
const KEPT: u64 = 100_000;
/// Messages that are added at a time.
const TOGETHER: u64 = 1000;

pub(crate) struct Redis(RedisServer);

impl Broker for Redis {
    const NAME: &'static str = "redis";
    const MESSAGES: u64 = 200_000;

    type Publisher = MultiplexedConnection;

    async fn start() -> Self {
        Self(RedisServer::start())
    }

    fn url(&self) -> String {
        self.0.url()
    }

    async fn publisher(&self) -> Result<MultiplexedConnection, String> {
        let mut connection = connect(&self.url()).await?;
        cmd("FLUSHALL").exec_async(&mut connection).await.map_err(text)?;
        Ok(connection)
    }

    async fn raw(url: &str, meter: &Meter, ready: fn()) -> Result<(), String> {
        let mut connection = connect(url).await?;
        for key in keys() {
            let mut create = cmd("XGROUP");
            create.arg("CREATE").arg(key).arg(GROUP).arg("0").arg("MKSTREAM");
            create.exec_async(&mut connection).await.map_err(text)?;
        }
        ready();
        let fetch = fetch();
        // What was handled is acknowledged with the next fetch.
        let mut together = Pipeline::new();
        loop {
            together.add_command(fetch.clone());
            let mut answers: Vec<Value> = together.query_async(&mut connection).await.map_err(text)?;
            together.clear();
            let Some(answer) = answers.pop() else { continue };
            let mut done = false;
            // The client's types for streams would make a map of every entry.
            for stream in items(answer) {
                let mut stream = items(stream).into_iter();
                let (Some(Value::BulkString(key)), Some(entries)) = (stream.next(), stream.next()) else {
                    continue;
                };
                let ack = together.cmd("XACK").arg(key).arg(GROUP);
                for entry in items(entries) {
                    let mut entry = items(entry).into_iter();
                    let (Some(Value::BulkString(id)), Some(fields)) = (entry.next(), entry.next()) else {
                        continue;
                    };
                    // Its name comes first.
                    if let Some(Value::BulkString(payload)) = items(fields).get(1) {
                        done |= meter.decode(payload);
                    }
                    ack.arg(id);
                }
            }
            if done {
                return together.exec_async(&mut connection).await.map_err(text);
            }
        }
    }

    async fn serve<A: Application>(url: &str, app: A, stop: &Stop, ready: fn()) -> amgi::Result<()> {
        ready();
        let server = amgi_redis::Server::new(app).url(url).group(GROUP).consumer(GROUP).prefetch(COUNT);
        server.addresses("numbers", keys()).stop(stop).serve().await
    }
}

/// What is published is there once, for who listens. The Python server knows no streams.
pub(crate) struct PubSub(RedisServer);

impl Broker for PubSub {
    const NAME: &'static str = "redis-pubsub";
    const LIVE: bool = true;
    const MESSAGES: u64 = 50_000;
    const PYTHON: Option<f64> = Some(10.0);

    type Publisher = Published;

    async fn start() -> Self {
        Self(RedisServer::start())
    }

    fn url(&self) -> String {
        self.0.url()
    }

    async fn publisher(&self) -> Result<Published, String> {
        Ok(Published(connect(&self.url()).await?))
    }

    async fn raw(url: &str, meter: &Meter, ready: fn()) -> Result<(), String> {
        let client = Client::open(url).map_err(text)?;
        let mut subscribed = client.get_async_pubsub().await.map_err(text)?;
        subscribed.psubscribe("numbers.*").await.map_err(text)?;
        ready();
        let mut messages = subscribed.on_message();
        while let Some(message) = messages.next().await {
            if meter.decode(message.get_payload_bytes()) {
                break;
            }
        }
        Ok(())
    }

    async fn serve<A: Application>(url: &str, app: A, stop: &Stop, ready: fn()) -> amgi::Result<()> {
        amgi_redis::Server::new(app).url(url).pubsub().on_ready(ready).stop(stop).serve().await
    }
}

pub(crate) struct Published(MultiplexedConnection);

impl Publisher for Published {
    async fn publish(&mut self, numbers: Range<u64>) -> Result<(), String> {
        let mut together = Pipeline::new();
        for id in numbers {
            together.cmd("PUBLISH").arg(format!("numbers.{}", id % LANES)).arg(payload(id)).ignore();
        }
        together.exec_async(&mut self.0).await.map_err(text)
    }
}

fn keys() -> impl Iterator<Item = String> {
    (0..LANES).map(|lane| format!("numbers.{lane}"))
}

fn fetch() -> Cmd {
    let mut fetch = cmd("XREADGROUP");
    fetch.arg("GROUP").arg(GROUP).arg(GROUP).arg("COUNT").arg(COUNT).arg("BLOCK").arg(5000).arg("STREAMS");
    for key in keys() {
        fetch.arg(key);
    }
    for _ in keys() {
        fetch.arg(">");
    }
    fetch
}

fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

async fn connect(url: &str) -> Result<MultiplexedConnection, String> {
    let client = Client::open(url).map_err(text)?;
    // Fetches block.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    client.get_multiplexed_async_connection_with_config(&config).await.map_err(text)
}

impl Publisher for MultiplexedConnection {
    async fn publish(&mut self, numbers: Range<u64>) -> Result<(), String> {
        let mut together = Pipeline::new();
        let end = numbers.end;
        for id in numbers {
            together.cmd("XADD").arg(format!("numbers.{}", id % LANES)).arg("MAXLEN").arg("~").arg(KEPT);
            together.arg("*").arg("payload").arg(payload(id)).ignore();
            if (id + 1) % TOGETHER == 0 || id + 1 == end {
                together.exec_async(self).await.map_err(text)?;
                together.clear();
            }
        }
        Ok(())
    }
}
