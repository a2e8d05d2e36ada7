#![doc = include_str!("../README.md")]

mod config;
mod link;
mod message;
mod reader;
mod sender;
mod session;
mod ticket;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
mod tls;
mod topology;
mod window;
mod worker;

use std::{path::PathBuf, sync::Arc, time::Duration};

use amgi::{
    Application, BindingValue, Context, Message, MessageSend, Result, lifespan,
    protocol::{Endpoint, Protocol, ProtocolInfo, Values},
    server::{Backoff, Exhausted, Lanes, Policies, Policy, Stop},
};
use tokio::task::JoinSet;

use crate::{
    config::Options,
    session::Session,
    topology::Topology,
    worker::{Job, Worker},
};

/// What went wrong between us and the broker.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BrokerError(pub(crate) String);

/// Runs an application on RabbitMQ, or another broker of AMQP 0-9-1.
///
/// Every option has a default. What the document says (its first AMQP server and the bindings) is overridden by what is set
/// here, and that by the environment when [`env`](Self::env) is called.
#[must_use = "a server does nothing until it is served"]
pub struct Server<A> {
    app: A,
    options: Options,
    given: Values,
    named: Option<String>,
    aliases: Vec<(String, String)>,
    policy: Policy,
    stop: Stop,
    on_ready: Option<Arc<dyn Fn() + Send + Sync>>,
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
            policy: Policy { exhausted: Exhausted::DeadLetter, ..Policy::default() },
            stop: Stop::new(),
            on_ready: None,
        }
    }

    amgi::server_builder! {
        protocol "AMQP";
        environment "AMGI_AMQP_";
        info config::INFO;

        /// What happens to messages that fail. Default: 5 attempts with growing pauses from 100 ms, then the dead-letter address.
        /// With [`Exhausted::Nack`] a message that keeps failing goes back to its queue after a pause, again and again, up to the
        /// delivery limit of a quorum queue.
        policy;

        /// Calls `ready` whenever all queues are consumed: after the start and after every reconnection. Default: nothing.
        on_ready;

        options {
            /// Where the broker is: `amqp://user:password@host:port/vhost`, or `amqps://` with TLS; user, password and virtual host
            /// percent-encoded. Default: the document's server, else `amqp://localhost:5672`. The port is 5672, with TLS 5671, where
            /// none is given.
            url(url: impl Into<String>);

            /// Virtual host. Default: that of the URL, else the document's (`vhost` of channel bindings), else `/`.
            vhost(name: impl Into<String>);

            /// File with the certificates (PEM) of those who vouch for the broker, which is reached over TLS (`amqps://`). Read for
            /// every connection. Default: the certificates that the system trusts.
            ///
            /// ```no_run
            /// # async fn run(app: impl amgi::Application) -> amgi::Result<()> {
            /// amgi_amqp::Server::new(app)
            ///     .url("amqps://broker.example")
            ///     .ca_file("/etc/orders/ca.pem")
            ///     .client_certificate("/etc/orders/orders.pem", "/etc/orders/orders.key")
            ///     .serve()
            ///     .await
            /// # }
            /// ```
            ca_file(path: impl Into<PathBuf>);

            /// Name of the service, with which names of its queues begin (`<group>.<address>`). Instances of a group share the work,
            /// groups each get every message. Default: the name of the program. Queues that the document names, and those of addresses
            /// without exchange and parameters, are everybody's.
            group(group: impl Into<String>);

            /// Exchange of addresses of which the document says none, for receives and sends. Default: none. Then an address is a
            /// queue of that name, and one with parameters is on `amq.topic`.
            exchange(name: impl Into<String>);

            /// Whether queues and exchanges that are not there are made, and queues bound. Default: `true`, since what is published
            /// before there is a queue is lost. What is there is used as it is. With `false`, what is missing is an error at startup.
            declare(declare: bool);

            /// The dead-letter exchange of queues: those that are made get it, and dead letters that would go to `<address>.dlq` are
            /// published there, under their routing key, with the reason in headers. Default: none.
            dead_letter_exchange(name: impl Into<String>);

            /// How many messages of a queue the broker delivers before it must wait for an acknowledgement (`basic.qos`). A channel
            /// whose batches are larger gets as many as a batch has. Default: 200.
            prefetch(messages: u16);

            /// How many addresses are handled at a time. Messages of one address are always handled one after the other; `1` keeps the
            /// order over all. Default: 16.
            concurrency(addresses: usize);

            /// Header that stands for the property `reply_to`: where a message has one of them and not the other, both ways, the other
            /// is made of it. Empty for none. Default: `reply-to`.
            reply_to_header(name: impl Into<String>);

            /// Header that stands for the property `correlation_id`, in the same way. Empty for none. Default: `correlation-id`.
            correlation_id_header(name: impl Into<String>);

            /// How long a connection may be silent before it is given up, in whole seconds; the broker may ask for less. Zero switches
            /// it off. Default: 30 s.
            heartbeat(interval: Duration);

            /// How long the broker may take to answer when connecting, declaring and closing. Default: 10 s.
            connect_timeout(timeout: Duration);

            /// How long a send may take before it is an error, reconnections included. Default: 30 s.
            send_timeout(timeout: Duration);

            /// How long handlers may take to finish when the server stops; what they have not finished then stays with the broker.
            /// Default: 30 s.
            shutdown_deadline(deadline: Duration);

            /// Pauses between attempts to reconnect. Default: 100 ms, doubled each time up to 30 s.
            reconnect(backoff: Backoff);
        }
    }

    /// User and password. Default: those in the URL, else `guest` and `guest`.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.options.credentials = Some((user.into(), password.into()));
        self
    }

    /// Files with the certificate (PEM, with those between it and the authority if there are any) and the key (PEM, without
    /// a password) of this client, for brokers that want to know who connects. Read for every connection. User and password
    /// are given all the same. Default: none.
    pub fn client_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.options.cert_file = Some(certificate.into());
        self.options.key_file = Some(key.into());
        self
    }

    /// An argument of queues that are made, such as `("x-queue-type", "quorum")`, `("x-delivery-limit", 20)`,
    /// `("x-single-active-consumer", true)`, `("x-max-priority", 10)`. May be called several times. Default: none.
    pub fn queue_argument(mut self, name: impl Into<String>, value: impl Into<BindingValue>) -> Self {
        self.options.queue_arguments.get_or_insert_default().push((name.into(), value.into()));
        self
    }

    /// Maps one address, or the channel of that name, to a routing key (or queue) of its own, for receives and sends alike.
    /// Both may have `{parameters}`, the same ones: `.address("user.{id}.events", "v1.{id}.out")`. May be called several times.
    /// Default: the address is the routing key.
    pub fn address(mut self, address: impl Into<String>, key: impl Into<String>) -> Self {
        self.aliases.push((address.into(), key.into()));
        self
    }

    /// Runs startup, handles messages until a stop is asked for, and runs shutdown.
    ///
    /// A broker that cannot be reached at first, or refuses, is an error. One that goes away later is waited for.
    pub async fn serve(self) -> Result<()> {
        let server = config::INFO.document_server(&self.app, self.named.as_deref())?;
        let given = config::given(&self.given)?;
        let channels = || self.app.channels().iter().filter(|channel| channel.is_on(server));
        let config = Arc::new(config::resolve(server, channels(), self.options, given)?);
        let topology = Arc::new(Topology::new(channels(), &self.aliases, &config)?);
        let app = Arc::new(self.app);

        self.stop.on_signal()?;
        let (sender, publisher) = sender::new(config.clone(), topology.clone());
        let sender: Arc<dyn MessageSend> = Arc::new(sender);
        // Ends with this future.
        let mut background = JoinSet::new();
        let ended = Stop::ignoring_signals();
        background.spawn(publisher.run(ended.clone()));
        let state = lifespan::startup(&*app, sender.clone()).await?;
        // Startup may have put another in its place.
        let sender = state.sender().cloned().unwrap_or(sender);
        let policies = Arc::new(Policies::new(app.channels(), self.policy));
        let drain = Stop::ignoring_signals();
        let worker = |stop: &Stop| Worker {
            app: app.clone(),
            cx: Context::new(Message::default(), state.clone(), sender.clone()).with_stop(stop),
            policies: policies.clone(),
        };
        let mut workers = JoinSet::new();
        let lanes =
            Lanes::start(config.concurrency, Job::address, &mut workers, |jobs| worker(&drain).work(jobs));
        let own = topology.sources.iter().map(|source| {
            let lane = if source.replies {
                // Not one of the workers, whose end is the end of a drain.
                Lanes::start(1, Job::address, &mut background, |jobs| worker(&ended).work(jobs))
            } else {
                let batch = source.batch?;
                Lanes::start(1, Job::address, &mut workers, |jobs| worker(&drain).batches(batch, jobs))
            };
            Some(Arc::new(lane))
        });
        let own = own.collect();
        let finish = Stop::ignoring_signals();
        let on_ready = self.on_ready;
        let session = Session {
            config,
            topology,
            lanes: Some(Arc::new(lanes)),
            own,
            workers,
            stop: self.stop,
            drain,
            finish,
            on_ready,
        };
        let ran = session.run().await;
        let shut = lifespan::shutdown(&*app).await;
        ended.request();
        while background.join_next().await.is_some() {}
        ran.and(shut)
    }
}

/// AMQP for the command line of an application, see `amgi::cli`.
pub fn protocol() -> Amqp {
    Amqp
}

/// What [`protocol`] gives.
#[derive(Debug, Clone, Copy)]
pub struct Amqp;

impl Protocol for Amqp {
    fn info(&self) -> &'static ProtocolInfo {
        &config::INFO
    }

    async fn serve<A: Application>(&self, app: A, endpoint: Endpoint) -> Result<()> {
        let Endpoint { url, values, stop, passing: _ } = endpoint;
        let mut server = Server::new(app).stop(&stop);
        if let Some(url) = url {
            server = server.url(url);
        }
        server.values(values).serve().await
    }
}
