#![doc = include_str!("../README.md")]

mod admin;
mod callbacks;
mod config;
mod member;
mod message;
mod partition;
mod replies;
mod topic;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use amgi::{
    Application, ChannelInfo, MessageSend, Result, lifespan,
    protocol::{Endpoint, Protocol, ProtocolInfo, Values},
    server::{Exhausted, Policies, Policy, Stop},
};
use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, Producer as _},
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

pub use crate::topic::Mapping;
use crate::{
    admin::{Consumer, broker},
    callbacks::{Callbacks, Event, Logs},
    config::{Config, Options},
    member::{Member, OnLag, Progress},
    message::Sender,
    partition::Shared,
    replies::Replies,
    topic::Topics,
};

/// Where a consumer group begins that has committed nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// With the oldest message that is there.
    #[default]
    Beginning,
    /// With what is written after it got the partition. The place is committed at once, so that nothing behind it is lost.
    End,
}

/// How far a partition is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Messages that are not settled, those in handlers included.
    pub messages: u64,
}

/// What went wrong between us and the broker.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BrokerError(pub(crate) String);

/// Runs an application on Apache Kafka.
///
/// Every option has a default. What the document says (its first Kafka server and the bindings) is overridden by what is set
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
    on_lag: Option<OnLag>,
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
            on_lag: None,
        }
    }

    /// Files with this client's certificate and its key (PEM), for brokers that ask for one. Default: none.
    pub fn client_certificate(mut self, certificate: impl Into<String>, key: impl Into<String>) -> Self {
        self.options.cert_file = Some(certificate.into());
        self.options.key_file = Some(key.into());
        self
    }

    amgi::server_builder! {
        protocol "Kafka";
        environment "AMGI_KAFKA_";
        info config::INFO;

        /// What happens to messages that fail. Default: 5 attempts with growing pauses from 100 ms, then the dead-letter
        /// address. With [`Exhausted::Nack`] a message that keeps failing blocks its partition, or key, instead.
        policy;

        /// Calls `ready` whenever partitions were assigned, none perhaps: after the start, and after every rebalance that brings
        /// some; and when brokers are there again after all of them were gone. Default: nothing.
        on_ready;

        options {
            /// Where the brokers are: `kafka://user:password@host:port,host:port`, user and password percent-encoded;
            /// `kafka-secure://` for TLS. Default: the document's server, else `kafka://localhost:9092`. Port 9092 where none is
            /// given.
            url(url: impl Into<String>);

            /// Name of this instance in the brokers' logs and quotas. Default: the `clientId` of the document's first operation
            /// that has one, else `amgi-<program>-<host name>`.
            client_id(id: impl Into<String>);

            /// Consumer group of all channels. Instances of a group share the partitions. Default: the `groupId` of a channel's
            /// operation in the document, each of its own, else `amgi-<program>`, which stays the same after a restart.
            group(group: impl Into<String>);

            /// Static membership (`group.instance.id`): partitions wait for this instance until the
            /// [`session_timeout`](Self::session_timeout) when it restarts. No two instances may have the same; the broker throws
            /// the older one out, which ends with an error. Default: none, partitions move at once.
            instance(id: impl Into<String>);

            /// SASL mechanism: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`; others by [`property`](Self::property). All but the first
            /// need the feature `tls`. Default: `PLAIN`.
            mechanism(mechanism: impl Into<String>);

            /// Whether connections are encrypted; needs the feature `tls`. Default: as the URL's scheme says, or when a file of
            /// certificates is given.
            tls(tls: bool);

            /// File with the certificates (PEM) that the brokers' are checked by. Default: the system's.
            ca_file(path: impl Into<String>);

            /// Password of the key of [`client_certificate`](Self::client_certificate). Default: none.
            key_password(password: impl Into<String>);

            /// Where a group begins that has committed nothing. Default: the beginning.
            start(start: Start);

            /// How many messages are handled at a time, over all partitions. A message that waits for its next attempt counts.
            /// Default: one of every partition.
            concurrency(messages: usize);

            /// How many messages of one partition are handled at a time, none of the same key: messages of one key keep their
            /// order, those without a key have none. Channels with batches do not use it. Default: 1, a partition keeps its order.
            keys(loops: usize);

            /// With [`keys`](Self::keys): how many messages of a partition may be begun before the oldest of them is settled.
            /// Default: 1,000.
            inflight(messages: usize);

            /// How many bytes of a partition are fetched ahead of its handlers, and no more than 20,000 messages. What comes with
            /// one answer of the broker, up to 1 MiB, may lie beyond. Default: 4 MiB.
            buffer(bytes: usize);

            /// Whether topics that are missing are made, with the partitions, replicas and configuration that the document says,
            /// else the broker's defaults. Default: `false`, they are an error at startup.
            create_topics(create: bool);

            /// How often what is settled is committed: what a process that is killed had settled since is handled again.
            /// Default: 1 s.
            commit_interval(interval: Duration);

            /// Silence of an instance after which the group gives its partitions to others. Default: 45 s.
            session_timeout(timeout: Duration);

            /// Time after which the broker throws out an instance whose server is stuck. Slow handlers do not count: the group is
            /// polled beside them. Default: 5 minutes.
            max_poll_interval(interval: Duration);

            /// How long the brokers may take to answer at startup. Default: 10 s.
            connect_timeout(timeout: Duration);

            /// How long a send may take before it is an error, reconnections included. Default: 30 s.
            send_timeout(timeout: Duration);

            /// How long handlers may take to finish when the group gives their partition to another instance. It must be below
            /// the [`max_poll_interval`](Self::max_poll_interval). Default: 30 s, or half of that interval.
            revoke_deadline(deadline: Duration);

            /// How long handlers may take to finish when the server stops; what they have not finished then stays with the
            /// broker. It must be below the [`max_poll_interval`](Self::max_poll_interval). Default: 30 s, or half of that
            /// interval.
            shutdown_deadline(deadline: Duration);
        }
    }

    /// User and password (SASL). Default: those in the URL, else none.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.options.credentials = Some((user.into(), password.into()));
        self
    }

    /// Sets any [property of librdkafka](https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md), over what
    /// the other options make of it: of the consumer, the producer, or both. May be called several times.
    ///
    /// What the promises stand on is better left alone: `enable.auto.commit`, `enable.auto.offset.store`, `acks`.
    pub fn property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.properties.get_or_insert_default().push((name.into(), value.into()));
        self
    }

    /// How addresses become topics and back. Default: [`Mapping::dots`].
    pub fn mapping(mut self, mapping: Mapping) -> Self {
        self.mapping = mapping;
        self
    }

    /// Maps one address, or the channel of that name, to a topic of its own, for receives and sends alike. Both may have
    /// `{parameters}`, the same ones: `.address("user.{id}.events", "v1-{id}-out")`. May be called several times. It goes before
    /// the `topic` of a channel's binding.
    pub fn address(mut self, address: impl Into<String>, topic: impl Into<String>) -> Self {
        self.exceptions.push((address.into(), topic.into()));
        self
    }

    /// Calls `lag` every `interval` for each partition of which a message was handled. Default: nothing.
    ///
    /// ```no_run
    /// # fn server<A: amgi::Application>(app: A) {
    /// use std::time::Duration;
    ///
    /// let server = amgi_kafka::Server::new(app).on_lag(Duration::from_secs(10), |lag| {
    ///     tracing::info!(lag.topic, lag.partition, lag.messages, "behind");
    /// });
    /// # }
    /// ```
    pub fn on_lag(mut self, interval: Duration, lag: impl Fn(&Lag) + Send + Sync + 'static) -> Self {
        self.options.lag_interval = Some(interval);
        self.on_lag = Some(Arc::new(lag));
        self
    }

    /// Runs startup, handles messages until a stop is asked for, and runs shutdown.
    ///
    /// A broker that cannot be reached at first, or refuses, is an error; so is a topic that is missing. A broker that goes
    /// away later is waited for.
    pub async fn serve(self) -> Result<()> {
        let server = config::INFO.document_server(&self.app, self.named.as_deref())?;
        let channels = self.app.channels().iter().enumerate();
        let channels: Vec<_> = channels.filter(|(_, channel)| channel.is_on(server)).collect();
        let all: Vec<&ChannelInfo> = channels.iter().map(|(_, channel)| *channel).collect();
        let config = config::resolve(server, &all, self.options, config::given(&self.given)?)?;
        let topics = Topics::new(&all, self.mapping, &self.exceptions)?;
        let dead_letters_elsewhere = self.policy.dead_letter.is_some();
        let (groups, replies) = groups(&config, &channels)?;
        let mut members = Vec::new();
        for (group, channels) in groups {
            members.push((group, topics.routes(channels, dead_letters_elsewhere)?));
        }
        let replies = topics.routes(replies, true)?;

        let config = Arc::new(config);
        let topics = Arc::new(topics);
        let logs = Logs::default();
        let producer: FutureProducer<Logs> =
            config.producer().create_with_context(logs.clone()).map_err(|error| config::refused(&error))?;
        let consumers = members
            .iter()
            .map(|(group, _)| consumer(&config.consumer(group, self.on_lag.is_some())))
            .collect::<Result<Vec<_>>>()?;
        let answers = match replies.all() {
            [] => None,
            _ => Some(consumer(&config.replies())?),
        };

        self.stop.on_signal()?;
        admin::reach(&config, &producer, &logs).await?;
        for ((_, routes), (consumer, _)) in members.iter().zip(&consumers) {
            admin::check(&config, consumer, routes.all()).await?;
        }
        let app = Arc::new(self.app);
        let sender: Arc<dyn MessageSend> = Arc::new(Sender {
            producer: producer.clone(),
            topics: topics.clone(),
            timeout: config.send_timeout,
        });
        let state = lifespan::startup(&*app, sender.clone()).await?;
        // Startup may have put another in its place.
        let sender = state.sender().cloned().unwrap_or(sender);
        let policies = Arc::new(Policies::new(app.channels(), self.policy));
        let shared = Shared {
            app: app.clone(),
            policies: policies.clone(),
            limit: config.concurrency.map(|messages| Arc::new(Semaphore::new(messages))),
            lanes: config.keys,
            inflight: config.inflight,
        };
        let replies = answers.map(|(consumer, _)| Replies {
            config: config.clone(),
            consumer,
            topics: topics.clone(),
            routes: replies,
            app: app.clone(),
            policies,
            state: state.clone(),
            sender: sender.clone(),
        });
        let ready = Ready { missing: AtomicUsize::new(members.len()), tell: self.on_ready };
        let ready = Arc::new(ready);
        let halt = Stop::ignoring_signals();
        let mut all = JoinSet::new();
        let members: Vec<_> = members
            .into_iter()
            .zip(consumers)
            .map(|((group, routes), (consumer, events))| Member {
                config: config.clone(),
                group,
                consumer,
                events,
                topics: topics.clone(),
                routes,
                shared: shared.clone(),
                state: state.clone(),
                sender: sender.clone(),
                stop: halt.clone(),
                ready: ready.clone(),
                on_lag: self.on_lag.clone(),
                at: Progress::default(),
            })
            .collect();
        let ran = run(&self.stop, &halt, replies, &ready, || {
            for member in members {
                all.spawn(member.run());
            }
            all
        })
        .await;
        let ended = lifespan::shutdown(&*app).await;
        // What the application did not wait for has a moment to leave.
        if producer.in_flight_count() > 0 {
            let _ = tokio::task::spawn_blocking(move || producer.flush(FLUSH)).await;
        }
        ran.and(ended)
    }
}

/// How long sends that nobody waits for may take at the end.
const FLUSH: Duration = Duration::from_secs(5);

/// Runs the members of groups until a stop is asked for or one fails; replies are received from before the first message until
/// after the last.
async fn run<A: Application>(
    stop: &Stop,
    halt: &Stop,
    replies: Option<Replies<A>>,
    ready: &Ready,
    members: impl FnOnce() -> JoinSet<Result<()>>,
) -> Result<()> {
    let last = Stop::ignoring_signals();
    let mut answering = JoinSet::new();
    if let Some(replies) = replies {
        replies.begin().await?;
        answering.spawn(replies.run(last.clone()));
    }
    let mut members = members();
    if members.is_empty() {
        ready.tell();
        stop.requested().await;
    }
    let mut ran = Ok(());
    loop {
        tokio::select! {
            ended = members.join_next() => {
                let ended = match ended {
                    Some(Ok(ended)) => ended,
                    Some(Err(error)) => Err(broker(format!("a consumer broke down: {error}"))),
                    None => break,
                };
                if ended.is_err() {
                    ran = ran.and(ended);
                    halt.request();
                }
            }
            () = stop.requested(), if !halt.is_requested() => halt.request(),
        }
    }
    last.request();
    while answering.join_next().await.is_some() {}
    ran
}

/// Tells that all groups have had an assignment.
pub(crate) struct Ready {
    missing: AtomicUsize,
    tell: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Ready {
    /// A group has an assignment, its first one perhaps.
    pub(crate) fn assigned(&self, first: bool) {
        if first {
            self.missing.fetch_sub(1, Ordering::AcqRel);
        }
        if self.missing.load(Ordering::Acquire) == 0 {
            self.tell();
        }
    }

    fn tell(&self) {
        if let Some(tell) = &self.tell {
            tell();
        }
    }
}

fn consumer(config: &ClientConfig) -> Result<(Consumer, mpsc::UnboundedReceiver<Event>)> {
    let (tell, events) = mpsc::unbounded_channel();
    let callbacks = Callbacks { events: tell, closing: AtomicBool::new(false), logs: Logs::default() };
    let consumer = config.create_with_context(callbacks).map_err(|error| config::refused(&error))?;
    Ok((Arc::new(consumer), events))
}

/// Kafka for the command line of an application, see `amgi::cli`.
pub fn protocol() -> Kafka {
    Kafka::default()
}

/// What [`protocol`] gives.
#[derive(Clone, Default)]
pub struct Kafka {
    lag: Option<(Duration, OnLag)>,
}

impl Kafka {
    /// [`Server::on_lag`] of the servers that it starts.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let kafka = amgi_kafka::protocol().on_lag(Duration::from_secs(10), |lag| {
    ///     tracing::info!(lag.topic, lag.partition, lag.messages, "behind");
    /// });
    /// ```
    #[must_use]
    pub fn on_lag(mut self, interval: Duration, lag: impl Fn(&Lag) + Send + Sync + 'static) -> Self {
        self.lag = Some((interval, Arc::new(lag)));
        self
    }
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kafka").finish_non_exhaustive()
    }
}

impl Protocol for Kafka {
    fn info(&self) -> &'static ProtocolInfo {
        &config::INFO
    }

    async fn serve<A: Application>(&self, app: A, endpoint: Endpoint) -> Result<()> {
        let Endpoint { url, mut values, stop, passing } = endpoint;
        let mut server = Server::new(app).stop(&stop);
        if let Some((interval, lag)) = self.lag.clone() {
            server = server.on_lag(interval, move |of| lag(of));
        }
        if let Some(url) = url {
            server = server.url(url);
        }
        if passing {
            // Not the name of the instance that runs, whose partitions are its own.
            values.remove("instance");
        }
        server.values(values).serve().await
    }
}

/// Channels by consumer group, and those where replies come.
type Groups<'a> = (BTreeMap<String, Vec<(usize, &'a ChannelInfo)>>, Vec<(usize, &'a ChannelInfo)>);

fn groups<'a>(config: &Config, channels: &[(usize, &'a ChannelInfo)]) -> Result<Groups<'a>> {
    let (mut groups, mut replies) = (BTreeMap::<String, Vec<_>>::new(), Vec::new());
    for (index, channel) in channels {
        if channel.replies {
            replies.push((*index, *channel));
            continue;
        }
        let group = match &config.group {
            Some(group) => group.clone(),
            None => config::group_of(channel)?.unwrap_or_else(config::default_group),
        };
        groups.entry(group).or_default().push((*index, *channel));
    }
    Ok((groups, replies))
}
