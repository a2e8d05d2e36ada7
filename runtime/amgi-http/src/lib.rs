#![doc = include_str!("../README.md")]

mod answer;
mod config;
mod event;
mod lane;
mod listener;
mod message;
mod places;
mod receive;
mod sender;
mod tls;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use amgi::{
    Application, ByteString, ChannelInfo, Context, Error, Message, NoSender, Result, State, lifespan,
    protocol::{Endpoint, Protocol, ProtocolInfo, Values},
    server::{Backoff, Policies, Policy, Stop},
};
use axum::Router;
use tokio::{task::JoinSet, time::timeout};
use tracing::{debug, error, info, warn};

pub use crate::event::Mode;
use crate::{
    config::{LISTEN, Login, Options, Secret},
    event::Envelope,
    lane::Shared,
    listener::Listener,
    places::Places,
    receive::Receiver,
    sender::{Answers, Outbox},
};

/// What went wrong with the network.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BrokerError(pub(crate) String);

/// Runs an application on HTTP.
///
/// Every option has a default. What the document says (its first HTTP server and the bindings) is overridden by what is set
/// here, and that by the environment when [`env`](Self::env) is called.
#[must_use = "a server does nothing until it is served"]
pub struct Server<A> {
    app: A,
    options: Options,
    given: Values,
    named: Option<String>,
    aliases: Vec<(String, String)>,
    routes: Option<Router>,
    policy: Policy,
    stop: Stop,
    on_ready: Option<Arc<dyn Fn() + Send + Sync>>,
    on_listening: Option<Arc<dyn Fn(SocketAddr) + Send + Sync>>,
    passing: bool,
}

impl<A: Application> Server<A> {
    /// A server for `app`.
    pub fn new(app: A) -> Self {
        Self {
            app,
            options: Options::default(),
            given: Values::default(),
            named: None,
            aliases: Vec::new(),
            routes: None,
            policy: Policy::default(),
            stop: Stop::new(),
            on_ready: None,
            on_listening: None,
            passing: false,
        }
    }

    amgi::server_builder! {
        protocol "HTTP";
        environment "AMGI_HTTP_";
        info config::INFO;

        /// What happens to messages that fail. Default: 5 attempts in process with growing pauses from 100 ms, then the answer says that
        /// the message was not handled, and its sender decides.
        policy;

        /// Calls `ready` when requests come in, or, where nothing is received, when the application has started. Default: nothing.
        on_ready;

        options {
            /// Where sends go: `http://user:password@host:port/path`, or `https://…`. Default: the document's server; where there is none,
            /// a send is an error unless its address is [mapped](Self::address) to a URL.
            url(url: impl Into<String>);

            /// `HOST:PORT` to listen at; port 0 for a free one, which [`on_listening`](Self::on_listening) tells. Default: `0.0.0.0:8000`, and
            /// nothing where the application receives nothing but replies.
            listen(address: impl Into<String>);

            /// The path below which channels have theirs, and at which events of all types come in. Default: that of the document's
            /// server, else `/`.
            path(path: impl Into<String>);

            /// Source of the events that are sent, where a message has no header `ce-source`. Default: `/<program>`.
            source(source: impl Into<String>);

            /// How events are sent. Default: [`Mode::Binary`]. What comes in may have any mode.
            mode(mode: Mode);

            /// Content type of payloads that are sent, where a message says none. Default: `application/json`.
            content_type(content_type: impl Into<String>);

            /// File with the certificates (PEM) that vouch for who is sent to. Default: those of the system.
            ca_file(path: impl Into<PathBuf>);

            /// How many messages are handled at a time; of each channel with batches, how many batches. Default: 16.
            concurrency(messages: usize);

            /// How many requests may be here at a time, those that wait for a handler included; what comes beyond is answered with 503
            /// and `Retry-After`. Default: 256.
            inflight(requests: usize);

            /// How many connections may be open; others wait to be accepted. Default: 1024.
            connections(connections: usize);

            /// How many bytes a body may have, of a request that comes in and of the answer to a request that is sent; a larger request is
            /// answered with 413. Default: 4 MiB.
            max_body(bytes: usize);

            /// How long the head of a request may take to come in, and how long its body. Default: 30 s.
            read_timeout(timeout: Duration);

            /// How long connecting may take for a send. Default: 10 s.
            connect_timeout(timeout: Duration);

            /// How long a send may take before it is an error, further attempts included. Default: 30 s.
            send_timeout(timeout: Duration);

            /// How long handlers may take to finish when the server stops. Default: 30 s.
            shutdown_deadline(deadline: Duration);

            /// Pauses between attempts at a send whose receiver cannot be reached, or has no time (408, 429, 502, 503, 504) and does not
            /// say when it has. Default: 100 ms, doubled each time up to 30 s.
            reconnect(backoff: Backoff);
        }
    }

    /// User and password of sends to the server of [`url`](Self::url). Default: those in the URL, else none.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.options.login = Some(Login::Password(user.into(), Secret(password.into())));
        self
    }

    /// Bearer token of sends to the server of [`url`](Self::url). Default: none.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.options.login = Some(Login::Token(Secret(token.into())));
        self
    }

    /// Files (PEM) with the certificate that sends show, and its key. Default: none.
    pub fn client_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.options.cert_file = Some(certificate.into());
        self.options.key_file = Some(key.into());
        self
    }

    /// Bearer token that requests must have; others are answered with 401. Default: none is needed.
    pub fn listen_token(mut self, token: impl Into<String>) -> Self {
        self.options.listen_token = Some(Secret(token.into()));
        self
    }

    /// Receives by https, with the certificate and the key in these files (PEM). Default: by http.
    pub fn listen_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.options.listen_cert_file = Some(certificate.into());
        self.options.listen_key_file = Some(key.into());
        self
    }

    /// Origins that get permission when they ask for it by the handshake of CloudEvents' webhooks, such as
    /// `eventgrid.azure.net`; `*` for all. Default: none. It keeps nobody from sending, [`listen_token`](Self::listen_token) does.
    pub fn webhook_origins<S: Into<String>>(mut self, origins: impl IntoIterator<Item = S>) -> Self {
        self.options.webhook_origins.get_or_insert_default().extend(origins.into_iter().map(Into::into));
        self
    }

    /// Maps one address, or the channel of that name, to a path of its own for receives and sends, or to a URL for sends:
    /// `.address("user.{id}.events", "https://hooks.example/users/{id}")`. Both may have `{parameters}`, the same ones. May be
    /// called several times.
    pub fn address(mut self, address: impl Into<String>, place: impl Into<String>) -> Self {
        self.aliases.push((address.into(), place.into()));
        self
    }

    /// Routes of your own on the same port, such as one for health; they come before channels. Default: none.
    ///
    /// ```
    /// # use amgi::{Application, ChannelInfo, Context, Settlement};
    /// # struct App;
    /// # impl Application for App {
    /// #     fn channels(&self) -> &[ChannelInfo] { &[] }
    /// #     async fn message(&self, _: &Context) -> Settlement { Settlement::Ack }
    /// # }
    /// use axum::{Router, routing::get};
    ///
    /// let server = amgi_http::Server::new(App).routes(Router::new().route("/health", get(async || "well")));
    /// ```
    pub fn routes(mut self, routes: Router) -> Self {
        self.routes = Some(routes);
        self
    }

    /// The same as [`on_ready`](Self::on_ready), with the address that is listened at; port 0 where there is none.
    pub fn on_listening(mut self, ready: impl Fn(SocketAddr) + Send + Sync + 'static) -> Self {
        self.on_listening = Some(Arc::new(ready));
        self
    }

    /// Listens, runs startup, handles messages until a stop is asked for, and runs shutdown.
    ///
    /// A port that is taken is an error, and so are files that cannot be read.
    pub async fn serve(self) -> Result<()> {
        let server = config::INFO.document_server(&self.app, self.named.as_deref())?;
        let config = Arc::new(config::resolve(server, self.options, config::given(&self.given)?)?);
        let channels: Vec<ChannelInfo> =
            self.app.channels().iter().filter(|channel| channel.is_on(server)).cloned().collect();
        let places = Arc::new(Places::new(&config.path, &channels, &self.aliases)?);
        let encrypts = self.aliases.iter().any(|(_, place)| place.starts_with("https:"));
        let envelope = Envelope {
            mode: config.mode,
            source: config.source.clone(),
            content_type: config.content_type.clone(),
        };
        let outbox = Arc::new(Outbox::new(&config, places.clone(), envelope.clone(), encrypts)?);
        self.stop.on_signal()?;
        let receives = config.listen.is_some()
            || self.routes.is_some()
            || channels.iter().any(|channel| !channel.replies);
        let mut listener = None;
        if receives && !self.passing {
            listener = Some(Listener::open(config.listen.as_deref().unwrap_or(LISTEN), &config).await?);
        }
        let app = Arc::new(self.app);
        let state = lifespan::startup(&*app, outbox.clone()).await?;
        // Startup may have put another in its place.
        let sender = state.sender().cloned().unwrap_or_else(|| outbox.clone());
        if let Some(answers) = answers(&app, &channels) {
            let _ = outbox.answers.set(answers);
        }
        let shared = Arc::new(Shared {
            policies: Policies::new(app.channels(), self.policy),
            context: Context::new(Message::default(), state, sender).with_stop(&self.stop),
            stop: self.stop,
            app: app.clone(),
        });
        let running = Running {
            shared,
            places,
            channels,
            config,
            envelope,
            on_ready: self.on_ready,
            on_listening: self.on_listening,
        };
        let ran = Box::pin(running.run(listener, self.routes)).await;
        let ended = lifespan::shutdown(&*app).await;
        ran.and(ended)
    }
}

/// The way of answers to who waits for them. A sender lives as long as somebody has it, and does not keep the application.
fn answers<A: Application>(app: &Arc<A>, channels: &[ChannelInfo]) -> Option<Answers> {
    let addresses = channels.iter().filter(|channel| channel.replies);
    let addresses: Vec<ByteString> = addresses.map(|channel| ByteString::from(&*channel.address)).collect();
    let app = Arc::downgrade(app);
    (!addresses.is_empty()).then(|| Answers {
        addresses,
        deliver: Box::new(move |message| {
            let app = app.clone();
            Box::pin(async move {
                let Some(app) = app.upgrade() else { return };
                let cx = Context::new(message, State::default(), Arc::new(NoSender));
                let settlement = app.message(&cx).await;
                debug!(address = cx.address(), ?settlement, "an answer");
            })
        }),
    })
}

/// An application that has started.
struct Running<A> {
    shared: Arc<Shared<A>>,
    places: Arc<Places>,
    channels: Vec<ChannelInfo>,
    config: Arc<config::Config>,
    envelope: Envelope,
    on_ready: Option<Arc<dyn Fn() + Send + Sync>>,
    on_listening: Option<Arc<dyn Fn(SocketAddr) + Send + Sync>>,
}

impl<A: Application> Running<A> {
    async fn run(self, listener: Option<Listener>, own: Option<Router>) -> Result<()> {
        let stop = self.shared.stop.clone();
        let Some(mut listener) = listener else {
            self.ready(SocketAddr::from(([0, 0, 0, 0], 0)));
            stop.requested().await;
            return Ok(());
        };
        let mut tasks = JoinSet::new();
        let receiver = Arc::new(Receiver::start(
            self.shared.clone(),
            self.places.clone(),
            &self.channels,
            self.config.clone(),
            &self.envelope,
            &mut tasks,
        )?);
        let router = own.unwrap_or_default().fallback(move |request: axum::extract::Request| {
            let receiver = receiver.clone();
            async move { receiver.receive(request).await }
        });
        let address = listener.address().map_err(Error::Io)?;
        info!(%address, "listening");
        self.ready(address);
        let stopping = async {
            stop.requested().await;
            info!("stopping: finishing what has begun");
            let deadline = self.config.shutdown_deadline;
            if timeout(deadline, ended(&mut tasks)).await.is_err() {
                warn!("deadline passed; what is still in handlers is given up");
                tasks.abort_all();
                ended(&mut tasks).await;
            }
        };
        tokio::select! {
            () = listener.accept(&router) => {}
            () = stopping => {}
        }
        drop(router);
        listener.close().await;
        Ok(())
    }

    fn ready(&self, address: SocketAddr) {
        if let Some(on_listening) = &self.on_listening {
            on_listening(address);
        }
        if let Some(on_ready) = &self.on_ready {
            on_ready();
        }
    }
}

/// Ends when all loops have.
async fn ended(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended
            && !error.is_cancelled()
        {
            error!(%error, "a loop broke down");
        }
    }
}

/// HTTP for the command line of an application, see `amgi::cli`.
pub fn protocol() -> Http {
    Http
}

/// What [`protocol`] gives.
#[derive(Debug, Clone, Copy)]
pub struct Http;

impl Protocol for Http {
    fn info(&self) -> &'static ProtocolInfo {
        &config::INFO
    }

    async fn serve<A: Application>(&self, app: A, endpoint: Endpoint) -> Result<()> {
        let Endpoint { url, values, stop, passing } = endpoint;
        let mut server = Server::new(app).stop(&stop);
        // Beside a service that runs there is no port for another.
        server.passing = passing;
        server.options.url = url;
        server.values(values).serve().await
    }
}
