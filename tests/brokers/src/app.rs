//! A small application written by hand, and what it saw.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use amgi::{
    Application, BindingInfo, ChannelInfo, Context, Disposition, Message, OperationInfo, Reason, Rejection,
    ServerInfo, Settlement, error::Part, server::Stop,
};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::within;

/// What a server calls when it is ready.
pub type Ready = Box<dyn Fn() + Send + Sync>;

type Handled = Pin<Box<dyn Future<Output = Settlement> + Send>>;

/// Does what a closure says, and tells what came in.
pub struct App {
    channels: Vec<ChannelInfo>,
    servers: Vec<ServerInfo>,
    handler: Box<dyn Fn(Context) -> Handled + Send + Sync>,
    began: mpsc::UnboundedSender<Message>,
    /// Handlers at work, and the most there ever were.
    at_work: Arc<(AtomicUsize, AtomicUsize)>,
}

/// A channel of that address, with an MQTT operation binding as JSON.
pub fn channel(address: &'static str, binding: &'static str) -> ChannelInfo {
    let bindings: &'static [BindingInfo] =
        Box::leak(Box::new([BindingInfo { protocol: "mqtt", json: binding }]));
    let operation = OperationInfo { name: "receive", bindings, messages: &[] };
    ChannelInfo { operations: Box::leak(Box::new([operation])), ..ChannelInfo::new(address, address) }
}

/// A failure that is tried again.
pub fn failed(text: &str) -> Settlement {
    Settlement::Fail { disposition: Disposition::Retry, reason: Reason::Failed(text.to_owned()) }
}

/// What generated code does with a payload that does not fit.
pub fn rejected(pointer: &str, detail: &'static str) -> Settlement {
    Settlement::Fail {
        disposition: Disposition::DeadLetter,
        reason: Reason::Rejected(Rejection::new(Part::Payload, pointer, "", detail)),
    }
}

impl App {
    /// An application on these channels, and what it is given, as it begins.
    pub fn new<F: Future<Output = Settlement> + Send + 'static>(
        channels: impl IntoIterator<Item = ChannelInfo>,
        handler: impl Fn(Context) -> F + Send + Sync + 'static,
    ) -> (Self, mpsc::UnboundedReceiver<Message>) {
        let (began, messages) = mpsc::unbounded_channel();
        let handler = Box::new(move |cx| -> Handled { Box::pin(handler(cx)) });
        let channels = channels.into_iter().collect();
        (Self { channels, servers: Vec::new(), handler, began, at_work: Arc::default() }, messages)
    }

    /// The same with a server in its document: where it is, and its MQTT binding as JSON.
    #[must_use]
    pub fn on_server(mut self, host: String, binding: &'static str) -> Self {
        let bindings = Box::leak(Box::new([BindingInfo { protocol: "mqtt", json: binding }]));
        let host = Box::leak(host.into_boxed_str());
        self.servers.push(ServerInfo {
            name: "broker",
            protocol: "mqtt",
            scheme: "",
            host,
            path: "",
            bindings,
        });
        self
    }

    /// The same with another server in its document.
    #[must_use]
    pub fn with_server(mut self, server: ServerInfo) -> Self {
        self.servers.push(server);
        self
    }

    /// Handlers at work now, and the most there ever were at a time.
    pub fn at_work(&self) -> Arc<(AtomicUsize, AtomicUsize)> {
        self.at_work.clone()
    }
}

struct Guard(Arc<(AtomicUsize, AtomicUsize)>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Application for App {
    fn channels(&self) -> &[ChannelInfo] {
        &self.channels
    }

    fn servers(&self) -> &[ServerInfo] {
        &self.servers
    }

    async fn message(&self, cx: &Context) -> Settlement {
        let now = self.at_work.0.fetch_add(1, Ordering::SeqCst) + 1;
        self.at_work.1.fetch_max(now, Ordering::SeqCst);
        let _guard = Guard(self.at_work.clone());
        let _ = self.began.send(cx.message().clone());
        (self.handler)(cx.clone()).await
    }
}

/// A server in a task.
pub struct Running {
    /// Stops it.
    pub stop: Stop,
    task: JoinHandle<amgi::Result<()>>,
    ready: mpsc::UnboundedReceiver<()>,
}

impl Running {
    /// Serves, and returns when the subscriptions are in place.
    ///
    /// # Panics
    /// When that does not happen.
    pub async fn start(server: amgi_mqtt::Server<impl Application>) -> Self {
        Self::serve(|stop, ready| server.stop(stop).on_ready(ready).serve()).await
    }

    /// The same for any server: `serve` gets the handle that stops it, and what it calls when it is ready.
    ///
    /// # Panics
    /// When that does not happen.
    pub async fn serve<F>(serve: impl FnOnce(&Stop, Ready) -> F) -> Self
    where
        F: Future<Output = amgi::Result<()>> + Send + 'static,
    {
        let (tell, ready) = mpsc::unbounded_channel();
        let stop = Stop::new();
        let ready_now: Ready = Box::new(move || {
            let _ = tell.send(());
        });
        let serving = serve(&stop, ready_now);
        let mut running = Self { stop, task: tokio::spawn(serving), ready };
        running.ready().await;
        running
    }

    /// Waits until the subscriptions are in place once more.
    ///
    /// # Panics
    /// When the server ends instead.
    pub async fn ready(&mut self) {
        let ready = within("the subscriptions", self.ready.recv()).await;
        assert!(ready.is_some(), "the server ended: {:?}", (&mut self.task).await);
    }

    /// Waits until it ends.
    ///
    /// # Panics
    /// When it does not, or panics.
    pub async fn ended(&mut self) -> amgi::Result<()> {
        within("the server's end", &mut self.task).await.expect("the server does not panic")
    }

    /// Stops it and waits until it ends.
    ///
    /// # Panics
    /// When it ends with an error.
    pub async fn stop(mut self) {
        self.stop.request();
        self.ended().await.expect("the server ends well");
    }

    /// Drops it in the middle of whatever it does; nothing is sent any more.
    pub fn cut(self) {
        self.task.abort();
    }
}

/// Prints what the servers log, with `RUST_LOG=debug` more of it; cargo shows it for tests that fail.
pub fn init_logs() {
    let level = match std::env::var("RUST_LOG").as_deref() {
        Ok("debug") => tracing_subscriber::filter::LevelFilter::DEBUG,
        Ok("info") => tracing_subscriber::filter::LevelFilter::INFO,
        _ => tracing_subscriber::filter::LevelFilter::WARN,
    };
    let _ = tracing_subscriber::fmt().with_max_level(level).with_test_writer().try_init();
}
