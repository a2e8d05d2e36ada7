//! `amgi-nats` on a nats-server of its own.

use std::{collections::BTreeSet, sync::Mutex, time::Duration};

use amgi::{Application, Bindings, ByteString, Message, server::Backoff};
use amgi_conformance::{Abilities, Ability, Run, Subject, Watch};
use amgi_nats::Server;
use async_nats::{
    Client, HeaderMap,
    jetstream::{self, stream},
};
use futures_util::StreamExt;
use tokio::{sync::mpsc, task::JoinHandle};

use super::Placed;
use crate::NatsServer;

/// When JetStream delivers again what was not acknowledged.
const ACK_WAIT: Duration = Duration::from_secs(1);

/// What of NATS is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Streams,
    Ordered,
    Subjects,
}

/// `amgi-nats`, with JetStream or without.
pub struct Nats {
    kind: Kind,
    /// Started when it is first needed.
    broker: Mutex<Option<NatsServer>>,
}

impl Nats {
    /// On JetStream.
    pub fn streams() -> Self {
        Self { kind: Kind::Streams, broker: Mutex::default() }
    }

    /// On JetStream, the messages of a subject one after the other.
    pub fn ordered() -> Self {
        Self { kind: Kind::Ordered, broker: Mutex::default() }
    }

    /// Without JetStream.
    pub fn subjects() -> Self {
        Self { kind: Kind::Subjects, broker: Mutex::default() }
    }

    fn broker<T>(&self, with: impl FnOnce(&mut NatsServer) -> T) -> T {
        let mut broker = self.broker.lock().expect("nobody panics");
        // Nobody may send to `refused.…`; a large payload has headers, too.
        with(broker.get_or_insert_with(|| {
            NatsServer::with(
                "jetstream {}\nmax_payload: 2MB\n\
                 authorization { users: [{ user: a, password: b, permissions: { publish: { deny: [\"refused.>\"] } } }] }\n",
            )
        }))
    }

    fn url(&self) -> String {
        format!("nats://a:b@127.0.0.1:{}", self.broker(|broker| broker.port()))
    }

    async fn client(&self) -> Client {
        let options = async_nats::ConnectOptions::with_user_and_password("a".to_owned(), "b".to_owned());
        options.connect(self.broker(|broker| broker.url())).await.expect("a broker")
    }

    /// A stream that has what the suite sends, and what it must not.
    async fn stream(&self, client: &Client) -> jetstream::Context {
        let jetstream = jetstream::new(client.clone());
        if self.kind != Kind::Subjects {
            let subjects = vec!["amgi.>".to_owned(), "refused.>".to_owned()];
            let config = stream::Config { name: "ALL".to_owned(), subjects, ..stream::Config::default() };
            jetstream.get_or_create_stream(config).await.expect("a stream");
        }
        jetstream
    }
}

/// Ends a watch when it is dropped.
struct Ends(JoinHandle<()>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the suite knows that headers are texts")
}

fn headers(message: &Message) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &message.headers {
        headers.append(text(name), text(value));
    }
    headers
}

/// Waits until the broker has read what was sent before.
async fn settled(client: &Client) {
    let inbox = client.new_inbox();
    let mut back = client.subscribe(inbox.clone()).await.expect("a broker");
    client.publish(inbox, "".into()).await.expect("a broker");
    back.next().await.expect("a broker");
}

impl Subject for Nats {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Streams => "NATS JetStream",
            Kind::Ordered => "NATS JetStream, ordered",
            Kind::Subjects => "NATS",
        }
    }

    fn abilities(&self) -> Abilities {
        let all = Abilities::all()
            .without(Ability::AbsentPayload, "A payload cannot be absent: NATS knows only empty ones.")
            .without(
                Ability::HeaderOrder,
                "The order of headers with different names is lost in the client: they come sorted by name.",
            )
            .without(
                Ability::BinaryHeaders,
                "Headers of NATS are UTF-8: a send with another one is an error.",
            );
        match self.kind {
            Kind::Streams => {
                all.without(Ability::Order, "Without `ordered(true)` there is no order over several messages.")
            }
            Kind::Ordered => all.without(
                Ability::Nack,
                "With `ordered(true)`, what keeps being nacked holds up what is behind it on its subject.",
            ),
            Kind::Subjects => all
                .without(Ability::Order, "Without `ordered(true)` there is no order over several messages.")
                .without(
                    Ability::Redelivery,
                    "Without JetStream nothing is delivered again: what was nacked, or was in a handler when the process died, is gone.",
                )
                .without(Ability::Queueing, "Without JetStream, what is sent while no server is there is gone.")
                .without(Ability::Nack, "Without JetStream, a nack is logged and the message is gone.")
                .without(
                    Ability::BackPressure,
                    "Without JetStream there is no back-pressure: what comes beyond `pending` is dropped and logged.",
                )
                .without(
                    Ability::ImmediateStop,
                    "Without JetStream a stop handles what has come before it ends: nobody gets it again.",
                ),
        }
    }

    fn bindings(&self) -> Bindings {
        let mut bindings = Bindings::default();
        if self.kind == Kind::Subjects {
            bindings.set("nats", "reply_to", "somewhere.else");
        }
        bindings
    }

    fn refused(&self) -> Option<ByteString> {
        Some("refused.here".into())
    }

    fn quiet(&self) -> Duration {
        match self.kind {
            Kind::Subjects => Duration::from_millis(300),
            _ => ACK_WAIT + Duration::from_millis(300),
        }
    }

    async fn serve<A: Application>(&self, app: A, run: Run) -> amgi::Result<()> {
        let quick =
            Backoff { first: Duration::from_millis(10), most: Duration::from_millis(100), jitter: false };
        let mut server = Server::new(app)
            .url(self.url())
            .concurrency(run.concurrency)
            .policy(run.policy)
            .shutdown_deadline(run.shutdown_deadline)
            .send_timeout(run.send_timeout)
            .reconnect(quick)
            .stop(&run.stop)
            .on_ready(move || run.ready.tell());
        if self.kind == Kind::Subjects {
            if let Some(group) = run.group {
                server = server.group(&*group);
            }
        } else {
            // Where the broker is missing, the server is to say so.
            if let Ok(client) = async_nats::ConnectOptions::with_user_and_password("a".into(), "b".into())
                .connect(self.broker(|broker| broker.url()))
                .await
            {
                self.stream(&client).await;
            }
            server = server
                .jetstream(true)
                .declare(true)
                .ack_wait(ACK_WAIT)
                .ordered(self.kind == Kind::Ordered)
                .group(&*run.group.unwrap_or(run.name));
        }
        server.serve().await
    }

    async fn publish(&self, messages: &[Message]) {
        let client = self.client().await;
        let jetstream = self.stream(&client).await;
        let mut stored = Vec::new();
        for message in messages {
            let (subject, headers) = (message.address.to_string(), headers(message));
            let payload = message.payload.clone().unwrap_or_default();
            let reply = message.bindings.get("nats", "reply_to").and_then(|value| value.as_str());
            if self.kind != Kind::Subjects {
                let publish = jetstream.publish_with_headers(subject, headers, payload);
                stored.push(publish.await.expect("a broker"));
                if stored.len() == 1000 {
                    for stored in stored.drain(..) {
                        stored.await.expect("a stream");
                    }
                }
            } else if let Some(reply) = reply {
                let reply = reply.to_owned();
                client
                    .publish_with_reply_and_headers(subject, reply, headers, payload)
                    .await
                    .expect("a broker");
            } else {
                client.publish_with_headers(subject, headers, payload).await.expect("a broker");
            }
        }
        for stored in stored {
            stored.await.expect("a stream");
        }
        settled(&client).await;
    }

    async fn watch(&self, address: &str) -> Watch {
        let client = self.client().await;
        let mut subscriber = client.subscribe(address.to_owned()).await.expect("a broker");
        settled(&client).await;
        let (saw, seen) = mpsc::unbounded_channel();
        let (address, kind) = (ByteString::from(address), self.kind);
        let task = tokio::spawn(async move {
            while let Some(received) = subscriber.next().await {
                let mut message = Message::new(address.clone()).payload(received.payload);
                for (name, values) in received.headers.iter().flat_map(|headers| headers.iter()) {
                    for value in values {
                        message.headers.push(name.to_string(), value.as_str().to_owned());
                    }
                }
                // A stream's is where it is to be confirmed.
                if let (Kind::Subjects, Some(reply)) = (kind, received.reply) {
                    message.bindings.set("nats", "reply_to", reply.as_str());
                }
                let _ = saw.send(message);
            }
        });
        Watch::new(seen, Ends(task))
    }

    async fn break_broker(&self) {
        self.broker(NatsServer::stop);
    }

    async fn restore_broker(&self) {
        self.broker(NatsServer::start_again);
    }
}

impl Placed for Nats {
    async fn place(&self, addresses: &[&str]) -> String {
        if self.kind == Kind::Subjects {
            return self.url();
        }
        let first = |address: &&str| format!("{}.>", address.split('.').next().unwrap_or_default());
        let subjects: BTreeSet<String> = addresses.iter().map(first).collect();
        let config = stream::Config {
            name: "PLACE".to_owned(),
            subjects: subjects.into_iter().collect(),
            ..stream::Config::default()
        };
        let jetstream = jetstream::new(self.client().await);
        jetstream.get_or_create_stream(config).await.expect("a stream");
        format!("{}?jetstream=true&declare=true", self.url())
    }
}
