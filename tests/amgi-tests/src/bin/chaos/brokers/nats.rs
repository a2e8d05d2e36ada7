//! NATS with JetStream: one stream in files, a durable consumer.

use std::time::Duration;

use amgi_brokers_tests::NatsServer;
use async_nats::{Client, ConnectOptions, jetstream};
use futures_util::StreamExt as _;

use super::{Broker, DeadLetters, Kind, Order, Publisher, payload};

const STREAM: &str = "numbers";
const DEAD_LETTERS: &str = "failed.numbers";
/// Pause before a client tries again.
const PAUSE: Duration = Duration::from_millis(50);
/// How long the broker may take to confirm.
const TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) struct Nats(NatsServer);

impl Broker for Nats {
    const NAME: &'static str = "nats";
    // What was in hand of a process that was killed is delivered again after newer ones.
    const ORDER: Order = Order::None;

    async fn start(_: u16, _: Kind) -> Self {
        let server = NatsServer::start();
        let jetstream = jetstream::new(connect(&server.url()).await);
        let config = jetstream::stream::Config {
            name: STREAM.to_owned(),
            subjects: vec!["numbers.*".to_owned(), DEAD_LETTERS.to_owned()],
            ..jetstream::stream::Config::default()
        };
        jetstream.create_stream(config).await.expect("a stream");
        Self(server)
    }

    fn port(&self) -> u16 {
        self.0.port()
    }

    fn arguments(&self, port: u16, _: usize) -> Vec<String> {
        let url = format!("nats://127.0.0.1:{port}");
        [&url, "--group", "numbers", "--jetstream", "true", "--declare", "true", "--ack-wait", "3"]
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
        Sequential { url: self.0.url(), jetstream: None, repeated: 0 }
    }

    async fn watch(&self) -> DeadLetters {
        let seen = DeadLetters::default();
        let (into, url) = (seen.clone(), self.0.url());
        // The task lives as long as the runtime.
        tokio::spawn(async move {
            let mut next = 1;
            loop {
                let followed = follow(&url, &mut next, &into).await;
                tracing::debug!(?followed, "the dead letters are watched anew");
                tokio::time::sleep(PAUSE).await;
            }
        });
        seen
    }
}

async fn connect(url: &str) -> Client {
    let options = ConnectOptions::new().retry_on_initial_connect().request_timeout(Some(TIMEOUT));
    options.connect(url).await.expect("it connects in its own time")
}

/// Reads the dead letters from this place in the stream on, until the connection breaks.
async fn follow(url: &str, next: &mut u64, into: &DeadLetters) -> Result<(), async_nats::Error> {
    let config = jetstream::consumer::pull::OrderedConfig {
        filter_subject: DEAD_LETTERS.to_owned(),
        deliver_policy: jetstream::consumer::DeliverPolicy::ByStartSequence { start_sequence: *next },
        ..jetstream::consumer::pull::OrderedConfig::default()
    };
    let stream = jetstream::new(connect(url).await).get_stream(STREAM).await?;
    let mut messages = stream.create_consumer(config).await?.messages().await?;
    while let Some(message) = messages.next().await {
        let message = message?;
        *next = message.info()?.stream_sequence + 1;
        into.saw(&message.payload);
    }
    Ok(())
}

/// One message after the other.
struct Sequential {
    url: String,
    jetstream: Option<jetstream::Context>,
    repeated: u64,
}

impl Publisher for Sequential {
    async fn publish(&mut self, lane: u64, id: u64) {
        loop {
            if self.jetstream.is_none() {
                self.jetstream = Some(jetstream::new(connect(&self.url).await));
            }
            let Some(jetstream) = &self.jetstream else { continue };
            let stored = async {
                let sent = jetstream.publish(format!("numbers.{lane}"), payload(id).into()).await.ok()?;
                sent.await.ok()
            };
            if tokio::time::timeout(TIMEOUT, stored).await.is_ok_and(|stored| stored.is_some()) {
                return;
            }
            self.repeated += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn repeated(&self) -> u64 {
        self.repeated
    }
}
