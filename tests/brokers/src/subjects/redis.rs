//! `amgi-redis` on a redis-server of its own, by streams and by pub/sub.

use std::{sync::Mutex, time::Duration};

use amgi::{Application, ByteString, Message, address::Pattern, server::Backoff};
use amgi_conformance::{Abilities, Ability, Run, Subject, Watch};
use amgi_redis::{Fields, Server, Via};
use redis::{AsyncConnectionConfig, Client, Pipeline, Value, aio::MultiplexedConnection, cmd};
use tokio::{sync::mpsc, task::JoinHandle};

use super::Placed;
use crate::RedisServer;

/// `amgi-redis` in one of its ways.
pub struct Redis {
    via: Via,
    /// Started when it is first needed.
    broker: Mutex<Option<RedisServer>>,
}

impl Redis {
    /// On a broker that is started when it is first needed.
    pub fn new(via: Via) -> Self {
        Self { via, broker: Mutex::new(None) }
    }

    fn broker<T>(&self, with: impl FnOnce(&mut RedisServer) -> T) -> T {
        with(self.broker.lock().expect("nobody panics").get_or_insert_with(RedisServer::durable))
    }

    async fn connect(&self) -> MultiplexedConnection {
        let client = Client::open(self.broker(|broker| broker.url())).expect("a URL");
        // Reads block for as long as it takes.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        client.get_multiplexed_async_connection_with_config(&config).await.expect("a broker")
    }

    /// A client that may publish, in whose place `refused.here` is something else.
    async fn publisher(&self) -> MultiplexedConnection {
        let mut connection = self.connect().await;
        let set = cmd("SET").arg("refused.here").arg("no stream").exec_async(&mut connection).await;
        set.expect("a broker takes it");
        connection
    }
}

/// Ends a client when it is dropped.
struct Clients(Vec<JoinHandle<()>>);

impl Drop for Clients {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// A bulk string.
fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::BulkString(bytes) => bytes.clone(),
        other => panic!("{other:?} is no text"),
    }
}

fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

/// Hands on what is added to a stream, the dead letters of published messages too.
async fn follow(
    mut connection: MultiplexedConnection,
    address: ByteString,
    saw: mpsc::UnboundedSender<Message>,
) {
    let mut last = "0-0".to_owned();
    loop {
        let mut read = cmd("XREAD");
        read.arg("BLOCK").arg(0).arg("STREAMS").arg(&*address).arg(&last);
        let Ok(reply) = read.query_async::<Value>(&mut connection).await else { return };
        for stream in items(reply) {
            for entry in items(items(stream).swap_remove(1)) {
                let mut entry = items(entry);
                let fields = items(entry.swap_remove(1));
                last = String::from_utf8(bytes(&entry[0])).expect("an id");
                let pairs = fields.chunks(2).map(|pair| (bytes(&pair[0]).into(), bytes(&pair[1]).into()));
                if saw.send(Fields::plain().read(&address, pairs.collect::<Vec<_>>())).is_err() {
                    return;
                }
            }
        }
    }
}

impl Subject for Redis {
    fn name(&self) -> &'static str {
        match self.via {
            Via::Stream => "Redis streams",
            Via::PubSub => "Redis pub/sub",
        }
    }

    fn abilities(&self) -> Abilities {
        match self.via {
            Via::Stream => Abilities::all().without(
                Ability::Nack,
                "A stream knows no negative acknowledgement: what keeps being nacked blocks its stream.",
            ),
            Via::PubSub => Abilities::all()
                .without(Ability::Headers, "Pub/sub carries payloads alone: sends leave headers out.")
                .without(Ability::AbsentPayload, "A published payload cannot be absent, only empty.")
                .without(Ability::Redelivery, "What is published comes once: what was nacked, or in a handler when the process died, is gone.")
                .without(Ability::Queueing, "What is published while the server is away is gone.")
                .without(Ability::Nack, "What was nacked is not published again.")
                .without(Ability::BackPressure, "Redis ends the connection of a subscriber that is too far behind.")
                .without(Ability::Batches, "Batches of what is published have one message.")
                .without(Ability::RefusedSends, "Redis publishes to nobody, too: only a user who may not is refused.")
                .without(Ability::SharedWork, "Every instance gets everything that is published."),
        }
    }

    fn refused(&self) -> Option<ByteString> {
        (self.via == Via::Stream).then(|| "refused.here".into())
    }

    async fn serve<A: Application>(&self, app: A, run: Run) -> amgi::Result<()> {
        let mut addresses = Vec::new();
        for channel in app.channels().iter().filter(|channel| channel.address.contains('{')) {
            let pattern = Pattern::parse(&channel.address).expect("the suite's own");
            let fits =
                run.addresses.iter().filter(|address| pattern.matches(address)).map(ToString::to_string);
            addresses.push((channel.address.to_string(), fits.collect::<Vec<_>>()));
        }
        let quick =
            Backoff { first: Duration::from_millis(10), most: Duration::from_millis(100), jitter: false };
        let mut server = Server::new(app)
            .url(self.broker(|broker| broker.url()))
            .group(run.group.as_deref().unwrap_or(&run.name))
            .consumer(&*run.name)
            .concurrency(run.concurrency)
            .policy(run.policy)
            .shutdown_deadline(run.shutdown_deadline)
            .send_timeout(run.send_timeout)
            .reconnect(quick)
            .stop(&run.stop)
            .on_ready(move || run.ready.tell());
        if self.via == Via::PubSub {
            return server.pubsub().serve().await;
        }
        for (channel, addresses) in addresses {
            server = server.addresses(channel, addresses);
        }
        server.serve().await
    }

    async fn publish(&self, messages: &[Message]) {
        let mut connection = self.publisher().await;
        let mut all = Pipeline::new();
        for message in messages {
            match self.via {
                Via::Stream => {
                    all.cmd("XADD").arg(&*message.address).arg("*");
                    for (name, value) in Fields::plain().write(message) {
                        all.arg(&*name).arg(&*value);
                    }
                }
                Via::PubSub => {
                    let payload = message.payload.as_deref().unwrap_or_default();
                    all.cmd("PUBLISH").arg(&*message.address).arg(payload);
                }
            }
        }
        let _: Vec<Value> = all.query_async(&mut connection).await.expect("a broker takes them");
    }

    async fn watch(&self, address: &str) -> Watch {
        let (saw, messages) = mpsc::unbounded_channel();
        let address = ByteString::from(address);
        let mut tasks = vec![tokio::spawn(follow(self.connect().await, address.clone(), saw.clone()))];
        if self.via == Via::PubSub {
            let client = Client::open(self.broker(|broker| broker.url())).expect("a URL");
            let (mut sink, mut stream) = client.get_async_pubsub().await.expect("a broker").split();
            sink.subscribe(&*address).await.expect("the broker confirms");
            tasks.push(tokio::spawn(async move {
                let _sink = sink;
                while let Some(published) = futures_util::StreamExt::next(&mut stream).await {
                    let payload = published.get_payload_bytes().to_vec();
                    if saw.send(Message::new(address.clone()).payload(payload)).is_err() {
                        return;
                    }
                }
            }));
        }
        Watch::new(messages, Clients(tasks))
    }

    async fn break_broker(&self) {
        self.broker(RedisServer::kill);
    }

    async fn restore_broker(&self) {
        self.broker(RedisServer::start_again);
    }
}

impl Placed for Redis {
    async fn place(&self, _: &[&str]) -> String {
        self.broker(|broker| broker.url())
    }
}
