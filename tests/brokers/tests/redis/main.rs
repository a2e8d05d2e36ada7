//! `amgi-redis` against real redis-servers: what the conformance suite does not ask of every server, and the store of keys.

mod keys;
mod places;
mod published;
mod streams;

use amgi::{
    Application, ChannelInfo, Message, Settlement,
    server::{Backoff, Stop},
};
use amgi_brokers_tests::{App, RedisServer, within};
use amgi_redis::Server;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, aio::MultiplexedConnection, cmd};
use std::time::Duration;
use tokio::{sync::mpsc, task::JoinHandle};

/// A channel that is called like its address.
fn channel(address: &'static str) -> ChannelInfo {
    ChannelInfo::new(address, address)
}

/// An application that acknowledges everything.
fn content(addresses: &[&'static str]) -> (App, mpsc::UnboundedReceiver<Message>) {
    App::new(addresses.iter().map(|address| channel(address)), |_| async { Settlement::Ack })
}

/// A server at `url` that is quick to come back.
fn server<A: Application>(app: A, url: impl Into<String>) -> Server<A> {
    let quick = Backoff { first: Duration::from_millis(10), most: Duration::from_millis(100), jitter: false };
    Server::new(app).url(url).group("tests").consumer("one").reconnect(quick)
}

/// A server in a task; dropping it ends it as if its process had died.
struct Running {
    stop: Stop,
    task: JoinHandle<amgi::Result<()>>,
    ready: mpsc::UnboundedReceiver<()>,
}

impl Running {
    /// Serves, and returns when everything is in place.
    async fn start(server: Server<impl Application>) -> Self {
        let (tell, ready) = mpsc::unbounded_channel();
        let stop = Stop::ignoring_signals();
        let server = server.stop(&stop).on_ready(move || {
            let _ = tell.send(());
        });
        let mut running = Self { stop, task: tokio::spawn(server.serve()), ready };
        running.ready().await;
        running
    }

    async fn ready(&mut self) {
        let ready = within("the groups and subscriptions", self.ready.recv()).await;
        assert!(ready.is_some(), "the server ended: {:?}", (&mut self.task).await);
    }

    async fn stop(mut self) {
        self.stop.request();
        let ended = within("the server's end", &mut self.task).await;
        ended.expect("the server does not panic").expect("the server ends well");
    }

    async fn cut(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A client that shares nothing with the server.
struct Hand(MultiplexedConnection);

impl Hand {
    async fn at(url: &str) -> Self {
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let client = Client::open(url).expect("a URL");
        Self(client.get_multiplexed_async_connection_with_config(&config).await.expect("a server"))
    }

    async fn of(server: &RedisServer) -> Self {
        Self::at(&server.url()).await
    }

    async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> T {
        command.query_async(&mut self.0).await.expect("an answer")
    }

    /// Adds payloads to a stream.
    async fn add(&mut self, key: &str, payloads: &[&str]) {
        let mut all = Pipeline::new();
        for payload in payloads {
            all.cmd("XADD").arg(key).arg("*").arg("payload").arg(payload).ignore();
        }
        all.exec_async(&mut self.0).await.expect("the server takes them");
    }

    async fn length(&mut self, key: &str) -> usize {
        self.ask(cmd("XLEN").arg(key)).await
    }

    /// How many entries the group `tests` has not acknowledged.
    async fn pending(&mut self, key: &str) -> usize {
        let (pending, _, _, _): (usize, redis::Value, redis::Value, redis::Value) =
            self.ask(cmd("XPENDING").arg(key).arg("tests")).await;
        pending
    }
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.payload.as_deref().unwrap_or_default()).into_owned()
}

/// The next message that is begun.
async fn next(began: &mut mpsc::UnboundedReceiver<Message>) -> String {
    text(&within("a message", began.recv()).await.expect("the application is there"))
}
