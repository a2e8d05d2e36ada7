#![doc = include_str!("../README.md")]

mod config;
mod jetstream;
mod lane;
mod link;
mod message;
mod order;
mod outbox;
mod source;
mod subject;

use std::{path::PathBuf, sync::Arc, time::Duration};

use amgi::{
    Application, ByteString, ChannelInfo, Context, Error, Message, MessageSend, Result, State,
    address::Pattern,
    lifespan,
    protocol::{Endpoint, Protocol, ProtocolInfo, Values},
    server::{Backoff, Exhausted, Policies, Policy, Stop},
};
use tokio::{task::JoinSet, time::timeout};
use tracing::{info, warn};

pub use crate::subject::Mapping;
use crate::{
    config::{Config, Login, Options},
    jetstream::{Consumer, Preparation},
    lane::{Lane, Setting},
    link::Link,
    outbox::Outbox,
    source::Source,
    subject::{Route, Subjects},
};

/// What went wrong between us and the broker.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BrokerError(pub(crate) String);

/// How long the last acknowledgements may take when the server ends.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Runs an application on NATS.
///
/// Every option has a default. What the document says (its first NATS server and the bindings) is overridden by what is set
/// here, and that by the environment when [`env`](Self::env) is called.
#[must_use = "a server does nothing until it is served"]
pub struct Server<A> {
    app: A,
    options: Options,
    given: Values,
    named: Option<String>,
    mapping: Mapping,
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
            mapping: Mapping::default(),
            aliases: Vec::new(),
            policy: Policy { exhausted: Exhausted::DeadLetter, ..Policy::default() },
            stop: Stop::new(),
            on_ready: None,
        }
    }

    amgi::server_builder! {
        protocol "NATS";
        environment "AMGI_NATS_";
        info config::INFO;

        /// What happens to messages that fail. Default: 5 attempts with growing pauses from 100 ms, then the dead-letter address. On
        /// JetStream an attempt is a delivery, unless [`ordered`](Self::ordered), and the broker does the waiting.
        policy;

        /// Calls `ready` whenever the subscriptions are in place: after the start and after every reconnection. Default: nothing.
        on_ready;

        options {
            /// Where the broker is: `nats://user:password@host:port`, or `tls://…`; several with commas between them. What stands alone
            /// before the `@` is a token. Default: the document's server, else `nats://localhost:4222`. Port 4222 where none is given.
            url(url: impl Into<String>);

            /// Name of this client at the broker, for people who look there. Default: `amgi-<program>`.
            name(name: impl Into<String>);

            /// Whether the connection must be encrypted. Default: as the broker wants it, and always with `tls://`.
            tls(required: bool);

            /// File with the certificates (PEM) that vouch for the broker. Default: those of the system.
            ca_file(path: impl Into<PathBuf>);

            /// Shares the messages among all instances of this group: it is the queue group of subscriptions, and consumers of
            /// JetStream are named `<group>-<channel>`. Default: the document's `queue`; where that says nothing, every instance gets
            /// every message, but on JetStream all instances of a program are one group.
            group(group: impl Into<String>);

            /// Whether channels are received from JetStream and sends go there, all but [`core`](Self::core) and replies. Default:
            /// `false`.
            jetstream(jetstream: bool);

            /// The stream of JetStream. Default: the one that has the subject of the channel.
            stream(name: impl Into<String>);

            /// Whether streams and consumers that are missing are made: a stream by the name of the channel where
            /// [`stream`](Self::stream) says none, with the subjects of the channel and its dead letters. Default: `false`, what is
            /// missing is an error that says what.
            declare(declare: bool);

            /// When JetStream delivers a message again that nobody works on, for consumers that are made here. Default: 30 s.
            ack_wait(wait: Duration);

            /// Whether messages of one subject are handled one after the other, and one that fails holds up those behind it. Default:
            /// `false`.
            ordered(ordered: bool);

            /// How many messages of a channel are handled at a time. Default: 16.
            concurrency(messages: usize);

            /// How many messages of a channel JetStream may deliver before more are asked for; with [`ordered`](Self::ordered), also
            /// how many may be here. Default: 256.
            inflight(messages: usize);

            /// How many messages of a channel without JetStream may wait to be handled; what comes beyond is dropped and logged.
            /// Default: 8192.
            pending(messages: usize);

            /// How long the broker may take to answer when connecting, and JetStream when it is asked something. Default: 10 s.
            connect_timeout(timeout: Duration);

            /// How long a send may take before it is an error, a reconnection included. Default: 30 s.
            send_timeout(timeout: Duration);

            /// How long handlers may take to finish when the server stops. Default: 30 s.
            shutdown_deadline(deadline: Duration);

            /// Pauses between attempts to reconnect. Default: 100 ms, doubled each time up to 30 s.
            reconnect(backoff: Backoff);
        }
    }

    /// User and password. Default: those in the URL, else none.
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.options.login = Some(Login::Password(user.into(), password.into()));
        self
    }

    /// Token. Default: the one in the URL, else none.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.options.login = Some(Login::Token(token.into()));
        self
    }

    /// Seed of the key pair (`SU…`) that proves who this is. Default: none.
    pub fn nkey(mut self, seed: impl Into<String>) -> Self {
        self.options.login = Some(Login::Nkey(seed.into()));
        self
    }

    /// File with a JWT and a seed (`.creds`), as `nsc` makes it. Default: none.
    pub fn credentials_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.login = Some(Login::Credentials(path.into()));
        self
    }

    /// Files (PEM) with the certificate of this client and its key. Default: none.
    pub fn client_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.options.cert_file = Some(certificate.into());
        self.options.key_file = Some(key.into());
        self
    }

    /// Channels by name, and addresses (also with `{parameters}`), that are not on JetStream where all others are: receives and
    /// sends. Default: none.
    pub fn core<S: Into<String>>(mut self, channels: impl IntoIterator<Item = S>) -> Self {
        self.options.core.get_or_insert_default().extend(channels.into_iter().map(Into::into));
        self
    }

    /// How addresses become subjects and back. Default: [`Mapping::tokens`].
    pub fn mapping(mut self, mapping: Mapping) -> Self {
        self.mapping = mapping;
        self
    }

    /// Maps one address, or the channel of that name, to a subject of its own, for receives and sends alike. Both may have
    /// `{parameters}`, the same ones: `.address("user.{id}.events", "v1.{id}.out")`. May be called several times.
    pub fn address(mut self, address: impl Into<String>, subject: impl Into<String>) -> Self {
        self.aliases.push((address.into(), subject.into()));
        self
    }

    /// Connects, runs startup, handles messages until a stop is asked for, and runs shutdown.
    ///
    /// A broker that cannot be reached at first, or refuses, is an error, and so is what JetStream lacks. A broker that goes
    /// away later is waited for.
    pub async fn serve(self) -> Result<()> {
        let server = config::server(&self.app, self.named.as_deref())?;
        let config = config::resolve(server, self.options, config::given(&self.given)?)?;
        let subjects = Arc::new(Subjects::new(self.app.channels(), self.mapping, &self.aliases)?);
        let everywhere = self.policy.dead_letter.is_some();
        let mut channels = Vec::new();
        for channel in self.app.channels().iter().filter(|channel| config::is_on(channel, server)) {
            channels.push((channel.clone(), subjects.route(channel, everywhere)?));
        }
        let core = core(&config, self.app.channels())?;
        self.stop.on_signal()?;
        let link = tokio::select! {
            link = Box::pin(Link::open(&config)) => Arc::new(link?),
            () = self.stop.requested() => return Ok(()),
        };
        let jetstream = config.jetstream.is_some().then(|| async_nats::jetstream::new(link.client.clone()));
        let is_streamed = |channel: &ChannelInfo| {
            config.jetstream.is_some()
                && !channel.replies
                && !core.iter().any(|pattern| pattern.to_string() == channel.address)
        };
        let streamed: Vec<_> =
            channels.iter().filter(|(channel, _)| is_streamed(channel)).map(|(c, r)| (c, r)).collect();
        let mut consumers = Vec::new();
        if let (Some(context), Some(wanted), false) = (&jetstream, &config.jetstream, streamed.is_empty()) {
            let (config, subjects, policy) = (&config, &subjects, &self.policy);
            let preparation = Preparation { context, config, wanted, subjects, policy };
            consumers = Box::pin(preparation.consumers(&streamed)).await?;
        }
        let mut consumers = consumers.into_iter();
        let channels: Vec<_> = channels
            .into_iter()
            .map(|(channel, route)| {
                let consumer = if is_streamed(&channel) { consumers.next() } else { None };
                Receives { channel, route, consumer }
            })
            .collect();
        let replies = channels.iter().filter(|receives| receives.channel.replies);
        let sender: Arc<dyn MessageSend> = Arc::new(Outbox {
            link: link.clone(),
            subjects,
            jetstream: jetstream.map(|mut jetstream| {
                // Sends have a limit of their own, which comes first.
                jetstream.set_timeout(2 * config.send_timeout);
                jetstream
            }),
            core,
            replies: replies.map(|receives| ByteString::from(&*receives.channel.address)).collect(),
            timeout: config.send_timeout,
        });
        let app = Arc::new(self.app);
        let state = lifespan::startup(&*app, sender.clone()).await?;
        // Startup may have put another in its place.
        let sender = state.sender().cloned().unwrap_or(sender);
        let running =
            Running { app: app.clone(), link, config, policy: self.policy, state, sender, stop: self.stop };
        let ran = Box::pin(running.run(channels, self.on_ready)).await;
        let ended = lifespan::shutdown(&*app).await;
        ran.and(ended)
    }
}

/// The patterns of what is not on JetStream.
fn core(config: &Config, channels: &[ChannelInfo]) -> Result<Vec<Pattern>> {
    let pattern = |text: &String| {
        let named = channels.iter().find(|channel| channel.name == text);
        let address = named.map_or(text.as_str(), |channel| &channel.address);
        Pattern::parse(address).map_err(|error| Error::Config(format!("core: {error}")))
    };
    config.jetstream.iter().flat_map(|jetstream| &jetstream.core).map(pattern).collect()
}

/// A channel and where its messages come from.
struct Receives {
    channel: ChannelInfo,
    route: Route,
    /// Set on JetStream.
    consumer: Option<Consumer>,
}

/// Lanes that end with this.
struct Lanes<A: Application>(Vec<Arc<Lane<A>>>);

impl<A: Application> Lanes<A> {
    async fn ended(&self) {
        for lane in &self.0 {
            lane.ended().await;
        }
    }

    fn abort(&self) {
        self.0.iter().for_each(|lane| lane.abort());
    }
}

impl<A: Application> Drop for Lanes<A> {
    fn drop(&mut self) {
        self.abort();
    }
}

/// An application that has started, on a broker that is there.
struct Running<A> {
    app: Arc<A>,
    link: Arc<Link>,
    config: Config,
    policy: Policy,
    state: State,
    sender: Arc<dyn MessageSend>,
    stop: Stop,
}

impl<A: Application> Running<A> {
    async fn run(
        &self,
        channels: Vec<Receives>,
        on_ready: Option<Arc<dyn Fn() + Send + Sync>>,
    ) -> Result<()> {
        let mut connected = self.link.connected();
        connected.mark_unchanged();
        let mut holding = JoinSet::new();
        let (mut lanes, mut replies) = (Lanes(Vec::new()), Lanes(Vec::new()));
        for receives in channels {
            let is_reply = receives.channel.replies;
            let hold = receives.consumer.as_ref().map(|consumer| consumer.ack_wait / 3);
            let lane = self.start(receives).await?;
            if let Some(every) = hold {
                holding.spawn(lane.clone().hold(every));
            }
            if is_reply { &mut replies } else { &mut lanes }.0.push(lane);
        }
        self.subscribed().await?;
        loop {
            if let Some(on_ready) = &on_ready {
                on_ready();
            }
            tokio::select! {
                () = self.stop.requested() => break,
                _ = connected.changed() => {}
            }
            tokio::select! {
                () = self.stop.requested() => break,
                _ = self.link.reached(0) => {}
            }
        }
        info!("stopping: finishing what is in flight");
        if timeout(self.config.shutdown_deadline, lanes.ended()).await.is_err() {
            warn!("deadline passed; what is still in handlers is given up");
            lanes.abort();
        }
        replies.abort();
        lanes.ended().await;
        replies.ended().await;
        holding.shutdown().await;
        let said = self.link.is_connected() && timeout(LAST_WORDS, self.link.reached(0)).await.is_ok();
        if !said {
            warn!("the last acknowledgements may not have arrived");
        }
        Ok(())
    }

    /// Waits until the broker knows of the subscriptions.
    async fn subscribed(&self) -> Result<()> {
        let broker = |text: String| Error::Broker(Box::new(BrokerError(text)));
        let limit = self.config.connect_timeout;
        let reached = timeout(limit, self.link.reached(0)).await;
        reached.map_err(|_| broker(format!("{} did not answer within {limit:?}", self.config.url)))?;
        let refusals = self.link.refusals();
        if refusals.is_empty() { Ok(()) } else { Err(broker(refusals.join("; "))) }
    }

    async fn start(&self, receives: Receives) -> Result<Arc<Lane<A>>> {
        let Receives { channel, route, consumer } = receives;
        let fail = |error: &dyn std::fmt::Display| {
            Error::Broker(Box::new(BrokerError(format!("channel `{}`: {error}", channel.name))))
        };
        let (client, filter) = (&self.link.client, route.filter.clone());
        // Replies come until nobody can wait for one any more.
        let stop = if channel.replies { Stop::ignoring_signals() } else { self.stop.clone() };
        let source = match &consumer {
            Some(consumer) => {
                let next = consumer.next.clone();
                Source::consumer(&self.link, next, self.config.inflight, stop.clone()).await
            }
            None => {
                // Of a group, the one that has asked is to get the reply.
                let group = jetstream::group(&self.config, &channel).filter(|_| !channel.replies);
                let subscribed = match group {
                    Some(group) => client.queue_subscribe(filter, group).await,
                    None => client.subscribe(filter).await,
                };
                subscribed.map(|subscriber| Source::subscription(subscriber, stop.clone()))
            }
        }
        .map_err(|error| fail(&error))?;
        let ordered = self.config.ordered && !channel.replies;
        let mut policies = Policies::new(self.app.channels(), self.policy.clone());
        if consumer.is_some() && !ordered {
            policies = policies.redelivered();
        }
        let one_by_one = ordered && channel.batch.is_some();
        let setting = Setting {
            route,
            policies: Arc::new(policies),
            batch: channel.batch,
            concurrency: if one_by_one { 1 } else { self.config.concurrency },
            ordered: (ordered && !one_by_one).then_some(self.config.inflight),
            jetstream: consumer.is_some(),
            together: consumer.map_or(1, |consumer| consumer.together),
        };
        // Without JetStream a message that is not finished is lost, so a stop does not cut its attempts short.
        let stop = if setting.jetstream { stop } else { Stop::ignoring_signals() };
        let cx = Context::new(Message::default(), self.state.clone(), self.sender.clone()).with_stop(&stop);
        Ok(Lane::start(&self.app, &self.link, setting, cx, source))
    }
}

/// NATS for the command line of an application, see `amgi::cli`.
pub fn protocol() -> Nats {
    Nats
}

/// What [`protocol`] gives.
#[derive(Debug, Clone, Copy)]
pub struct Nats;

impl Protocol for Nats {
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
