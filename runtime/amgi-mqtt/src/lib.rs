#![doc = include_str!("../README.md")]

mod config;
mod inbox;
mod link;
mod message;
mod outbox;
mod session;
mod tls;
mod topic;
mod url;
mod websocket;
mod wire;
mod worker;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use amgi::{
    Application, Bytes, Context, Message, MessageSend, Result, lifespan,
    protocol::{Endpoint, Protocol, ProtocolInfo, Values},
    server::{Backoff, Exhausted, Lanes, Policies, Policy, Stop},
};
use tokio::{sync::mpsc, task::JoinSet};

pub use crate::topic::Mapping;
use crate::{
    config::Options,
    message::Sender,
    session::Session,
    topic::Routes,
    worker::{Job, work},
};

/// Version of MQTT that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// MQTT 3.1.1: no headers, no shared subscriptions, a send that the broker refuses looks like one that it took.
    V311,
    /// MQTT 5.
    #[default]
    V5,
}

/// What the broker publishes when it loses the client without a goodbye.
///
/// ```
/// use amgi_mqtt::LastWill;
///
/// let will = LastWill::new("lamps/status", "gone").qos(1).retain(true);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastWill {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
}

impl LastWill {
    /// `payload` is published to `topic`, a topic of the broker and not an address; at QoS 0, not retained.
    pub fn new(topic: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self { topic: topic.into(), payload: payload.into(), qos: 0, retain: false }
    }

    /// Quality of service: 0, 1 or 2.
    #[must_use]
    pub fn qos(mut self, qos: u8) -> Self {
        self.qos = qos;
        self
    }

    /// Whether the broker keeps it for those who subscribe later.
    #[must_use]
    pub fn retain(mut self, retain: bool) -> Self {
        self.retain = retain;
        self
    }

    /// What the broker would take amiss.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.topic.is_empty() || self.topic.contains(['+', '#', '\0']) || self.topic.len() > 65_535 {
            return Err(format!("`{}` is no topic to publish to", self.topic));
        }
        if self.qos > 2 {
            return Err(format!("qos {} does not exist", self.qos));
        }
        if self.payload.len() > 65_535 {
            return Err("the payload is longer than 65,535 bytes".to_owned());
        }
        Ok(())
    }
}

/// What went wrong between us and the broker.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BrokerError(pub(crate) String);

/// Sends that may wait for the session to take them.
const REQUESTS: usize = 256;

/// Runs an application on an MQTT broker.
///
/// Every option has a default. What the document says (its first MQTT server and the bindings) is overridden by what is set
/// here, and that by the environment when [`env`](Self::env) is called.
#[must_use = "a server does nothing until it is served"]
pub struct Server<A> {
    app: A,
    options: Options,
    given: Values,
    named: Option<String>,
    mapping: Mapping,
    exceptions: Vec<(String, String)>,
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
            mapping: Mapping::default(),
            exceptions: Vec::new(),
            policy: Policy { exhausted: Exhausted::DeadLetter, ..Policy::default() },
            stop: Stop::new(),
            on_ready: None,
        }
    }

    amgi::server_builder! {
        protocol "MQTT";
        environment "AMGI_MQTT_";
        info config::INFO;

        /// What happens to messages that fail. Default: 5 attempts with growing pauses from 100 ms, then the dead-letter
        /// address. With [`Exhausted::Nack`] a message that keeps failing blocks its topic instead.
        policy;

        /// Calls `ready` whenever the subscriptions are in place: after the start and after every reconnection. Default: nothing.
        on_ready;

        options {
            /// Where the broker is: `mqtt://user:password@host:port`, user and password percent-encoded. Default: the document's
            /// server, else `mqtt://localhost:1883`.
            ///
            /// | scheme | | port where none is given |
            /// |---|---|---|
            /// | `mqtt`, `tcp`, `mqtt5` | | 1883 |
            /// | `mqtts`, `ssl`, `tls`, `secure-mqtt` | over TLS | 8883 |
            /// | `ws` | over a websocket, `/mqtt` where the URL has no path | 80 |
            /// | `wss` | over a websocket over TLS, likewise | 443 |
            url(url: impl Into<String>);

            /// Version of MQTT. Default: 5.
            version(version: Version);

            /// Name of this instance at the broker, under which the session is kept. Two instances must not share it. Default: the
            /// `clientId` of the document's server binding, else `amgi-<program>-<host name>`, which stays the same after a restart.
            /// Set it where the host name does not, such as in a container.
            client_id(id: impl Into<String>);

            /// File with the certificates (PEM) of those who vouch for the broker, of whom its certificate must be. Read for every
            /// connection. Default: the certificates that the system trusts.
            ///
            /// ```no_run
            /// # use amgi::Application;
            /// # async fn run(app: impl Application) -> amgi::Result<()> {
            /// amgi_mqtt::Server::new(app)
            ///     .url("mqtts://broker.example")
            ///     .ca_file("/etc/lamps/ca.pem")
            ///     .client_certificate("/etc/lamps/lamp.pem", "/etc/lamps/lamp.key")
            ///     .serve()
            ///     .await
            /// # }
            /// ```
            ca_file(path: impl Into<PathBuf>);

            /// Shares the work among all instances of this group (`$share/<group>/…`); MQTT 5 only. Default: none, every
            /// instance gets every message.
            group(group: impl Into<String>);

            /// Whether the broker forgets this client whenever it is not connected. Default: the document's `cleanSession`, else
            /// `false`; with `true`, what is published
            /// while the server is down or reconnects is lost.
            clean_session(clean: bool);

            /// How long the broker keeps the session of a client that is away, in whole seconds; MQTT 5 only, where 3.1.1 leaves it to
            /// the broker. Default: the document's `sessionExpiryInterval`, else one day.
            session_expiry(expiry: Duration);

            /// How long the connection may be silent before the broker is asked whether it is there, in whole seconds. It is given up
            /// when no answer comes within the [`connect_timeout`](Self::connect_timeout). Zero switches it off. Default: the
            /// document's `keepAlive`, else 30 s.
            keep_alive(interval: Duration);

            /// How many topics are handled at a time. Messages of one topic are always handled one after the other; `1` keeps the
            /// order over all topics. Default: 16.
            concurrency(topics: usize);

            /// How many messages the broker may deliver before it must wait for an acknowledgement (MQTT 5: receive maximum). Beyond
            /// twice that many, which only QoS 0 and brokers of 3.1.1 can reach, nothing more is read. Default: 100.
            inflight(messages: u16);

            /// Quality of service of sends where neither document nor message says one: 0, 1 or 2. Default: 1.
            qos(qos: u8);

            /// Largest packet that the broker may send, in bytes; MQTT 5 only. The broker drops what is larger. Default: the
            /// document's `maximumPacketSize`, else no limit.
            maximum_packet_size(bytes: u32);

            /// What the broker publishes when it loses this client without a goodbye. Default: the document's `lastWill`, else nothing.
            last_will(will: LastWill);

            /// How long the broker may take to answer when connecting, subscribing and asked whether it is there. Default: 10 s.
            connect_timeout(timeout: Duration);

            /// How long a send may take before it is an error, a reconnection included. Default: 30 s.
            send_timeout(timeout: Duration);

            /// How long handlers may take to finish when the server stops; what they have not finished then stays with the broker.
            /// Default: 30 s.
            shutdown_deadline(deadline: Duration);

            /// Pauses between attempts to reconnect. Default: 100 ms, doubled each time up to 30 s.
            reconnect(backoff: Backoff);
        }
    }

    /// User and password. Default: those in the URL, else none.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.options.credentials = Some((user.into(), password.into()));
        self
    }

    /// Files with the certificate (PEM, with those between it and the authority if there are any) and the key (PEM, without
    /// a password) of this client, for brokers that want to know who connects. Read for every connection. Default: none.
    pub fn client_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.options.cert_file = Some(certificate.into());
        self.options.key_file = Some(key.into());
        self
    }

    /// How addresses become topics and back. Default: [`Mapping::levels`].
    pub fn mapping(mut self, mapping: Mapping) -> Self {
        self.mapping = mapping;
        self
    }

    /// Maps one address, or the channel of that name, to a topic of its own, for receives and sends alike. Both may have
    /// `{parameters}`, the same ones: `.address("user.{id}.events", "v1/{id}/out")`. May be called several times.
    pub fn address(mut self, address: impl Into<String>, topic: impl Into<String>) -> Self {
        self.exceptions.push((address.into(), topic.into()));
        self
    }

    /// Runs startup, handles messages until a stop is asked for, and runs shutdown.
    ///
    /// A broker that cannot be reached at first, or refuses, is an error. One that goes away later is waited for.
    pub async fn serve(self) -> Result<()> {
        let server = config::INFO.document_server(&self.app, self.named.as_deref())?;
        let config = config::resolve(server, self.options, config::given(&self.given)?)?;
        let channels = self.app.channels().iter().filter(|channel| channel.is_on(server));
        let routes = Routes::new(
            channels,
            self.mapping,
            &self.exceptions,
            config.group.as_deref(),
            self.policy.dead_letter.is_some(),
        )?;
        let (config, routes, app) = (Arc::new(config), Arc::new(routes), Arc::new(self.app));

        self.stop.on_signal()?;
        let (requests, requested) = mpsc::channel(REQUESTS);
        let (done, settled) = mpsc::unbounded_channel();
        let sender: Arc<dyn MessageSend> = Arc::new(Sender {
            requests,
            routes: routes.clone(),
            version: config.version,
            qos: config.qos,
            timeout: config.send_timeout,
            warned: AtomicBool::new(false),
        });
        let state = lifespan::startup(&*app, sender.clone()).await?;
        // Startup may have put another in its place.
        let sender = state.sender().cloned().unwrap_or(sender);
        let policies = Arc::new(Policies::new(app.channels(), self.policy));
        let drain = Stop::new();
        let worker = |stop: &Stop, jobs| {
            let cx = Context::new(Message::default(), state.clone(), sender.clone()).with_stop(stop);
            work(app.clone(), cx, policies.clone(), jobs, done.clone())
        };
        let mut workers = JoinSet::new();
        let lanes = Lanes::start(config.concurrency, Job::topic, &mut workers, |jobs| worker(&drain, jobs));
        // Not one of the workers, whose end is the end of a drain: it ends with this future.
        let (mut background, ended) = (JoinSet::new(), Stop::ignoring_signals());
        let replies = Lanes::start(1, Job::topic, &mut background, |jobs| worker(&ended, jobs));
        let session = Session {
            config,
            routes,
            lanes: Some(lanes),
            replies,
            done: settled,
            requests: requested,
            workers,
            stop: self.stop,
            drain,
            on_ready: self.on_ready,
            state: session::State::default(),
        };
        let ran = session.run().await;
        let ended = lifespan::shutdown(&*app).await;
        ran.and(ended)
    }
}

/// MQTT for the command line of an application, see `amgi::cli`.
pub fn protocol() -> Mqtt {
    Mqtt
}

/// What [`protocol`] gives.
#[derive(Debug, Clone, Copy)]
pub struct Mqtt;

impl Protocol for Mqtt {
    fn info(&self) -> &'static ProtocolInfo {
        &config::INFO
    }

    async fn serve<A: Application>(&self, app: A, endpoint: Endpoint) -> Result<()> {
        let Endpoint { url, mut values, stop, passing } = endpoint;
        let mut server = Server::new(app).stop(&stop);
        if let Some(url) = url {
            server = server.url(url);
        }
        if passing {
            // Not the name of the instance that runs, whose connection the broker would end.
            let id = values.remove("client-id").unwrap_or_else(|| "amgi".to_owned());
            values.remove("clean-session");
            server = server.client_id(format!("{id}-send-{}", std::process::id())).clean_session(true);
        }
        server.values(values).serve().await
    }
}
