//! Redis streams with a consumer group, on a redis-server that has on its disk what it confirms.

use std::time::Duration;

use amgi_brokers_tests::RedisServer;
use redis::{AsyncConnectionConfig, Client, RedisResult, Value, aio::MultiplexedConnection, cmd};

use super::{Broker, DeadLetters, Kind, LANES, Order, Publisher, payload};

/// Pause before a client tries to reconnect.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Redis(RedisServer);

impl Broker for Redis {
    const NAME: &'static str = "redis";
    // Redis gives the messages of a stream to consumers one by one.
    const ORDER: Order = Order::Alone;

    async fn start(_: u16, _: Kind) -> Self {
        Self(RedisServer::durable())
    }

    fn port(&self) -> u16 {
        self.0.port()
    }

    fn arguments(&self, port: u16, instance: usize) -> Vec<String> {
        let (url, consumer) = (format!("redis://127.0.0.1:{port}"), format!("numbers-{instance}"));
        let lanes: Vec<_> = (0..LANES).map(|lane| format!("numbers.{lane}")).collect();
        let addresses = format!("numbers={}", lanes.join(","));
        [
            &url,
            "--addresses",
            &addresses,
            "--group",
            "numbers",
            "--consumer",
            &consumer,
            "--min-idle",
            "3",
            "--connect-timeout",
            "2",
        ]
        .map(str::to_owned)
        .into()
    }

    fn kill(&mut self) {
        self.0.kill();
    }

    async fn start_again(&mut self) {
        self.0.start_again();
    }

    fn publisher(&self) -> impl Publisher + use<> {
        Adding { url: self.0.url(), connection: None, repeated: 0 }
    }

    async fn watch(&self) -> DeadLetters {
        let seen = DeadLetters::default();
        let (into, url) = (seen.clone(), self.0.url());
        // The task lives as long as the runtime.
        tokio::spawn(async move {
            let mut last = "0-0".to_owned();
            loop {
                let followed = follow(&url, &mut last, &into).await;
                tracing::debug!(?followed, "the dead letters are watched anew");
                tokio::time::sleep(PAUSE).await;
            }
        });
        seen
    }
}

async fn connect(url: &str) -> RedisResult<MultiplexedConnection> {
    // Reads block for as long as it takes.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    Client::open(url)?.get_multiplexed_async_connection_with_config(&config).await
}

fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

/// Reads the stream of dead letters until the connection breaks.
async fn follow(url: &str, last: &mut String, into: &DeadLetters) -> RedisResult<()> {
    let mut connection = connect(url).await?;
    loop {
        let mut read = cmd("XREAD");
        read.arg("BLOCK").arg(0).arg("STREAMS").arg("failed.numbers").arg(&*last);
        for stream in items(read.query_async(&mut connection).await?) {
            for entry in items(items(stream).pop().unwrap_or(Value::Nil)) {
                let (id, fields): (String, Vec<(String, Vec<u8>)>) = redis::from_redis_value(entry)?;
                let payload = fields.into_iter().find(|(name, _)| name == "payload");
                into.saw(&payload.unwrap_or_default().1);
                *last = id;
            }
        }
    }
}

/// One message after the other.
struct Adding {
    url: String,
    connection: Option<MultiplexedConnection>,
    repeated: u64,
}

impl Publisher for Adding {
    async fn publish(&mut self, lane: u64, id: u64) {
        loop {
            let Some(connection) = &mut self.connection else {
                match connect(&self.url).await {
                    Ok(connection) => self.connection = Some(connection),
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
                continue;
            };
            let mut add = cmd("XADD");
            add.arg(format!("numbers.{lane}")).arg("*").arg("payload").arg(payload(id));
            if add.exec_async(connection).await.is_ok() {
                return;
            }
            self.repeated += 1;
            self.connection = None;
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn repeated(&self) -> u64 {
        self.repeated
    }
}
