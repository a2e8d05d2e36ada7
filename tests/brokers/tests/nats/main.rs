//! `amgi-nats` against a real nats-server, with and without JetStream.

mod plain;
mod secure;
mod sending;
mod streams;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use amgi::{
    Application, BindingValue, ChannelInfo, Context, Message, Settlement,
    server::{Backoff, Exhausted, Policy},
};
use amgi_brokers_tests::{App, NatsServer, Running, init_logs, within};
use amgi_nats::Server;
use async_nats::{Client, HeaderMap, Subscriber, jetstream};
use futures_util::StreamExt;

/// A channel of that address and nothing else.
fn channel(address: &'static str) -> ChannelInfo {
    ChannelInfo::new(address, address)
}

/// A server with pauses that a test can wait for.
fn server(broker: &NatsServer, app: App) -> Server<App> {
    init_logs();
    let quick =
        Backoff { first: Duration::from_millis(10), most: Duration::from_millis(100), ..Backoff::default() };
    Server::new(app).url(broker.url()).reconnect(quick).policy(policy())
}

/// The same on JetStream, which makes what it needs.
fn streamed(broker: &NatsServer, app: App) -> Server<App> {
    server(broker, app).jetstream(true).declare(true).group("workers")
}

fn policy() -> Policy {
    Policy {
        attempts: 3,
        backoff: Backoff {
            first: Duration::from_millis(10),
            most: Duration::from_millis(50),
            ..Backoff::default()
        },
        exhausted: Exhausted::DeadLetter,
        ..Policy::default()
    }
}

async fn start<A: Application>(server: Server<A>) -> Running {
    Running::serve(|stop, ready| server.stop(stop).on_ready(ready).serve()).await
}

fn text(message: &Message) -> &str {
    message.payload.as_deref().map_or("", |payload| std::str::from_utf8(payload).unwrap())
}

fn binding<'m>(message: &'m Message, field: &str) -> Option<&'m BindingValue> {
    message.bindings.get("nats", field)
}

/// Another client on the same broker.
struct Peer(Client);

impl Peer {
    async fn connect(broker: &NatsServer) -> Self {
        Self(async_nats::connect(broker.url()).await.unwrap())
    }

    /// Listens from now on.
    async fn listen(&self, subject: &str) -> Subscriber {
        let subscriber = self.0.subscribe(subject.to_owned()).await.unwrap();
        self.settled().await;
        subscriber
    }

    /// Waits until the broker has read what was sent before.
    async fn settled(&self) {
        let inbox = self.0.new_inbox();
        let mut back = self.0.subscribe(inbox.clone()).await.unwrap();
        self.0.publish(inbox, "".into()).await.unwrap();
        within("an answer to ourselves", back.next()).await.unwrap();
    }

    async fn publish(&self, subject: &str, payload: &str) {
        self.0.publish(subject.to_owned(), payload.to_owned().into()).await.unwrap();
        self.settled().await;
    }

    async fn publish_with(&self, subject: &str, headers: HeaderMap, payload: &str) {
        self.0.publish_with_headers(subject.to_owned(), headers, payload.to_owned().into()).await.unwrap();
        self.settled().await;
    }

    fn jetstream(&self) -> jetstream::Context {
        async_nats::jetstream::new(self.0.clone())
    }

    /// Puts a message into a stream.
    async fn store(&self, subject: &str, payload: &str) {
        let stored = self.jetstream().publish(subject.to_owned(), payload.to_owned().into()).await.unwrap();
        stored.await.unwrap();
    }
}

/// The next message that somebody listens for.
async fn heard(subscriber: &mut Subscriber) -> async_nats::Message {
    within("a message", subscriber.next()).await.unwrap()
}

fn payload(message: &async_nats::Message) -> &str {
    std::str::from_utf8(&message.payload).unwrap()
}

/// The next message that the application was given.
async fn next(began: &mut tokio::sync::mpsc::UnboundedReceiver<Message>) -> Message {
    within("a message", began.recv()).await.unwrap()
}

/// Says how large batches are: each is a digit.
struct Batches {
    app: App,
    sizes: Arc<AtomicUsize>,
}

impl Application for Batches {
    fn channels(&self) -> &[ChannelInfo] {
        self.app.channels()
    }

    async fn message(&self, cx: &Context) -> Settlement {
        self.app.message(cx).await
    }

    async fn batch(&self, contexts: &[Context], settlements: &mut Vec<Settlement>) {
        let _ =
            self.sizes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| Some(n * 10 + contexts.len()));
        for cx in contexts {
            settlements.push(self.app.message(cx).await);
        }
    }
}
