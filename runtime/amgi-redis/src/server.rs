//! The server and its options.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use amgi::{
    Application, Result,
    protocol::Values,
    server::{Backoff, Exhausted, Policies, Policy, Stop},
};

use crate::{
    Fields, Mapping, Start, Via,
    config::{self, Options},
    lane::Shared,
    link::Link,
    routes::{Routes, Said},
    running::Running,
    sender::Sender,
};

/// Runs an application on Redis.
///
/// Every option has a default. What the document says (its first Redis server) is overridden by what is set here, and that by
/// the environment when [`env`](Self::env) is called.
#[must_use = "a server does nothing until it is served"]
pub struct Server<A> {
    app: A,
    options: Options,
    given: Values,
    named: Option<String>,
    said: Said,
    fields: Fields,
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
            said: Said::default(),
            fields: Fields::default(),
            policy: Policy { exhausted: Exhausted::DeadLetter, ..Policy::default() },
            stop: Stop::new(),
            on_ready: None,
        }
    }

    amgi::server_builder! {
        protocol "Redis";
        environment "AMGI_REDIS_";
        info config::INFO;

        /// What happens to messages that fail. Default: 5 attempts with growing pauses from 100 ms, then the dead-letter
        /// address. With [`Exhausted::Nack`] a message that keeps failing blocks its stream instead.
        policy;

        /// Calls `ready` whenever groups and subscriptions are in place: after the start and after every reconnection. Default:
        /// nothing.
        on_ready;

        options {
            /// Where Redis is. Default: the document's server, else `redis://localhost`.
            ///
            /// | URL | |
            /// |---|---|
            /// | `redis://user:password@host:port/db` | one server; port 6379 where none is given |
            /// | `rediss://…` | with TLS; `#insecure` at the end trusts whoever answers |
            /// | `redis+unix:///path?db=1&user=…&pass=…` | a socket of this machine |
            /// | `redis-cluster://…@host,host:port` | a cluster, of which these servers are asked |
            /// | `redis-sentinel://…@host,host:port/MASTER/db` | the master that these sentinels name; port 26379 where none is given |
            ///
            /// `valkey` means `redis`, and `rediss-cluster` and `rediss-sentinel` are there too. User and password are percent-encoded.
            url(url: impl Into<String>);

            /// File with the certificates (PEM) of those who vouch for Redis, which is reached over TLS (`rediss://`). Read for every
            /// connection. Default: the certificates that the system trusts.
            ///
            /// ```no_run
            /// # async fn run(app: impl amgi::Application) -> amgi::Result<()> {
            /// amgi_redis::Server::new(app)
            ///     .url("rediss://redis.example")
            ///     .ca_file("/etc/orders/ca.pem")
            ///     .client_certificate("/etc/orders/orders.pem", "/etc/orders/orders.key")
            ///     .serve()
            ///     .await
            /// # }
            /// ```
            ca_file(path: impl Into<PathBuf>);

            /// Consumer group: its instances share the messages of streams. Default: `amgi-<program>`.
            group(group: impl Into<String>);

            /// Name of this instance in the group, under which Redis keeps what it has not acknowledged. Two instances must not share
            /// it. Default: `amgi-<program>-<host name>`, which stays the same after a restart. Set it where the host name does
            /// not, such as in a container; what is left under a name that never returns is taken over by others.
            consumer(name: impl Into<String>);

            /// Where a group begins that is not there yet. Default: [`Start::Oldest`], so that nothing is lost that was sent before
            /// the first start.
            start(start: Start);

            /// How many streams, or published addresses, are handled at a time. Messages of one are handled one after the other, unless
            /// [`ordered`](Self::ordered) says otherwise. Each has a connection, in a cluster every stream. Default: 16.
            concurrency(streams: usize);

            /// Whether the messages of a stream are handled one after the other. With `false` the
            /// [`concurrency`](Self::concurrency) holds within a stream too, and a message that fails does not hold up others. Default:
            /// `true`.
            ordered(ordered: bool);

            /// How many messages of a stream are fetched at a time (COUNT). Default: 100.
            prefetch(messages: usize);

            /// How long an acknowledgement may wait for others, so that they go together. What is fetched next takes them along in any
            /// case. Default: 5 ms.
            linger(time: Duration);

            /// How long a consumer must be silent about a message before another instance takes it over (XAUTOCLAIM), at least a second.
            /// A message may be in its handler for longer: Redis is told of it three times in that time. Default: 60 s.
            min_idle(time: Duration);

            /// How often a message may be delivered and begun without being settled, since the process ends each time; then it goes to
            /// the dead-letter address, unless the policy never sends there. Zero is for ever. Default: 10.
            max_deliveries(times: u32);

            /// About how many entries a stream keeps when something is sent to it (`MAXLEN ~`). What is trimmed is lost, handled or
            /// not. Default: all.
            max_length(entries: u64);

            /// How many bytes of published messages may wait for handlers. Beyond that nothing is read, and in the end Redis ends the
            /// connection (`client-output-buffer-limit pubsub`, 32 MB where it is not changed). Default: 64 MiB.
            buffer(bytes: usize);

            /// How long Redis may take to answer. Default: 10 s.
            connect_timeout(timeout: Duration);

            /// How long a send may take before it is an error, reconnections included. Default: 30 s.
            send_timeout(timeout: Duration);

            /// How long handlers may take to finish when the server stops; what they have not finished then stays in its stream.
            /// Default: 30 s.
            shutdown_deadline(deadline: Duration);

            /// Pauses between attempts to reconnect. Default: 100 ms, doubled each time up to 30 s.
            reconnect(backoff: Backoff);
        }
    }

    /// User and password; an empty user is Redis' default one. Default: those in the URL, else none.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.options.credentials = Some((user.into(), password.into()));
        self
    }

    /// Files with the certificate (PEM, with those between it and the authority if there are any) and the key (PEM, without
    /// a password) of this client, where Redis wants to know who connects (`tls-auth-clients`). Read for every connection.
    /// Default: none.
    pub fn client_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.options.cert_file = Some(certificate.into());
        self.options.key_file = Some(key.into());
        self
    }

    /// Messages go through streams, at least once. This is the default: what is promised needs it.
    pub fn streams(mut self) -> Self {
        self.options.via = Some(Via::Stream);
        self
    }

    /// Messages are published and subscribed to: at most once, payload alone, to everyone who is there at that moment.
    /// Default: streams.
    pub fn pubsub(mut self) -> Self {
        self.options.via = Some(Via::PubSub);
        self
    }

    /// What messages of one address, or of the channel of that name, go through, for receives and sends alike. May be called
    /// several times. Default: as the others.
    pub fn via(mut self, address: impl Into<String>, via: Via) -> Self {
        self.said.exceptions.push((address.into(), via));
        self
    }

    /// The addresses of a channel with parameters, which streams need: they have no wildcards. `channel` is its name or its
    /// address. May be called several times. Default: none, which is an error where there are parameters.
    pub fn addresses<S: Into<String>>(
        mut self,
        channel: impl Into<String>,
        addresses: impl IntoIterator<Item = S>,
    ) -> Self {
        self.said.addresses.push((channel.into(), addresses.into_iter().map(Into::into).collect()));
        self
    }

    /// How messages are laid out in a stream's entries. Default: [`Fields::plain`].
    pub fn fields(mut self, fields: Fields) -> Self {
        self.fields = fields;
        self
    }

    /// How addresses become keys and channels of Redis, and back. Default: [`Mapping::as_is`].
    pub fn mapping(mut self, mapping: Mapping) -> Self {
        self.said.mapping = mapping;
        self
    }

    /// Maps one address, or the channel of that name, to a key of its own, for receives and sends alike. Both may have
    /// `{parameters}`, the same ones: `.address("user.{id}.events", "v1:{id}:out")`. May be called several times.
    pub fn address(mut self, address: impl Into<String>, key: impl Into<String>) -> Self {
        self.said.keys.push((address.into(), key.into()));
        self
    }

    /// Runs startup, handles messages until a stop is asked for, and runs shutdown.
    ///
    /// Redis must be there at first: otherwise, and when it refuses, that is an error, before startup. When it goes away
    /// later it is waited for.
    pub async fn serve(mut self) -> Result<()> {
        let server = config::INFO.document_server(&self.app, self.named.as_deref())?;
        let config = config::resolve(server, self.options, config::given(&self.given)?)?;
        self.said.via = config.via;
        // What is given as text is over what the builder says of the same channel.
        let given = config::addresses(&self.given)?;
        self.said.addresses.retain(|(name, _)| given.iter().all(|(other, _)| other != name));
        self.said.addresses.extend(given);
        let channels = self.app.channels().iter().filter(|channel| channel.is_on(server));
        let routes = Arc::new(Routes::new(channels, &self.said)?);
        let link = Link::new(config.place.clone());
        let sender = Arc::new(Sender {
            link: link.clone(),
            routes: routes.clone(),
            fields: self.fields.clone(),
            max_length: config.max_length,
            timeout: config.send_timeout,
            warned: AtomicBool::new(false),
        });
        let policies = Arc::new(Policies::new(self.app.channels(), self.policy));
        let shared = Shared {
            app: Arc::new(self.app),
            policies,
            config: Arc::new(config),
            fields: self.fields,
            link,
            drain: Stop::new(),
            permits: None,
        };
        self.stop.on_signal()?;
        let running = Running { routes, stop: self.stop, on_ready: self.on_ready };
        running.serve(shared, sender).await
    }
}
