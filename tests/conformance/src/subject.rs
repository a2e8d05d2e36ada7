//! What the author of a server tells the suite: how it is run, what its broker can do, and how to reach the broker past it.

use std::{any::Any, fmt, future::Future, sync::Arc, time::Duration};

use amgi::{
    Application, Bindings, ByteString, Message,
    server::{Backoff, Exhausted, Policy, Stop},
};
use tokio::sync::mpsc;

/// A server under test, with its broker.
///
/// The suite makes addresses of its own for every case (`amgi.c1f0….in`), so that one broker may serve many cases at a time.
/// What is published and watched here goes through a client of the broker that shares nothing with the server.
pub trait Subject: Send + Sync + 'static {
    /// Its name, as the table shows it: `Kafka`, `MQTT 5`.
    fn name(&self) -> &'static str;

    /// What it can do. Default: everything.
    fn abilities(&self) -> Abilities {
        Abilities::all()
    }

    /// What keeps messages in order, where it has [`Ability::Order`]. Default: their address.
    fn order(&self) -> Order {
        Order::Address
    }

    /// Bindings that a message can have when it comes in and when it is sent, with the same value: at least one where the
    /// protocol has any. Default: none.
    fn bindings(&self) -> Bindings {
        Bindings::default()
    }

    /// Names of extensions that scopes have. Default: none.
    fn extensions(&self) -> &[&str] {
        &[]
    }

    /// An address to which the broker refuses sends, where it has [`Ability::RefusedSends`].
    fn refused(&self) -> Option<ByteString> {
        None
    }

    /// How long the suite waits for what must happen. Default: 15 s.
    fn patience(&self) -> Duration {
        Duration::from_secs(15)
    }

    /// How long the suite waits to see that something does not happen. Longer than the broker takes to deliver again what was
    /// not acknowledged. Default: 300 ms.
    fn quiet(&self) -> Duration {
        Duration::from_millis(300)
    }

    /// Runs `app` on the server under test as `run` says. Whatever the broker must have beforehand, such as topics of
    /// [`Run::addresses`], is made here. When the future is dropped, the server must vanish as if its process had died.
    fn serve<A: Application>(&self, app: A, run: Run) -> impl Future<Output = amgi::Result<()>> + Send;

    /// Publishes messages in this order, and returns when the broker has them. What the broker cannot carry, such as
    /// headers, is left out.
    fn publish(&self, messages: &[Message]) -> impl Future<Output = ()> + Send;

    /// Watches what comes to `address` from now on, with headers, payload, and the bindings of [`bindings`](Self::bindings).
    fn watch(&self, address: &str) -> impl Future<Output = Watch> + Send;

    /// Ends the broker, where there is [`Ability::BrokerLoss`]; no other case may use it then.
    fn break_broker(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Starts the broker again, with what it has kept.
    fn restore_broker(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// How a server is to be run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Run {
    /// Name of this instance, such as a client id. One with the name of an earlier one goes on where that was.
    pub name: ByteString,
    /// Name of the group of instances that share the messages; `None` for one that is alone. Where a broker knows nothing but
    /// groups, an instance that is alone is a group of its name.
    pub group: Option<ByteString>,
    /// Every address at which messages for the application will be published: those of its channels, parameters filled in.
    /// For brokers that have to make topics, and for servers that have no wildcards.
    pub addresses: Vec<ByteString>,
    /// How many messages may be handled at a time.
    pub concurrency: usize,
    /// How failed messages are treated.
    pub policy: Policy,
    /// How long handlers may take to finish at a stop.
    pub shutdown_deadline: Duration,
    /// How long a send may take.
    pub send_timeout: Duration,
    /// Stops the server.
    pub stop: Stop,
    /// To be called whenever messages arrive from now on: after the start, and after every reconnection.
    pub ready: Ready,
}

impl Run {
    /// A run by that name: four messages at a time, three attempts with pauses from 20 ms and then the dead-letter address, 10 s
    /// for a stop, 5 s for a send.
    pub fn new(name: impl Into<ByteString>) -> Self {
        let backoff =
            Backoff { first: Duration::from_millis(20), most: Duration::from_millis(200), jitter: false };
        Self {
            name: name.into(),
            group: None,
            addresses: Vec::new(),
            concurrency: 4,
            policy: Policy { attempts: 3, backoff, exhausted: Exhausted::DeadLetter, ..Policy::default() },
            shutdown_deadline: Duration::from_secs(10),
            send_timeout: Duration::from_secs(5),
            stop: Stop::ignoring_signals(),
            ready: Ready::default(),
        }
    }
}

/// Tells the suite that a server is ready. Cheap to clone.
#[derive(Clone)]
pub struct Ready(Arc<dyn Fn() + Send + Sync>);

impl Ready {
    pub(crate) fn new(tell: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// Messages arrive from now on.
    pub fn tell(&self) {
        (self.0)();
    }
}

impl Default for Ready {
    fn default() -> Self {
        Self::new(|| ())
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ready")
    }
}

/// What comes to an address. Dropping it ends the watch.
pub struct Watch {
    messages: mpsc::UnboundedReceiver<Message>,
    _client: Box<dyn Any + Send>,
}

impl Watch {
    /// A watch that `client`, which is dropped with it, fills.
    ///
    /// ```
    /// let (saw, messages) = tokio::sync::mpsc::unbounded_channel();
    /// let watch = amgi_conformance::Watch::new(messages, ());
    /// saw.send(amgi::Message::new("a")).unwrap();
    /// # drop(watch);
    /// ```
    pub fn new(messages: mpsc::UnboundedReceiver<Message>, client: impl Any + Send) -> Self {
        Self { messages, _client: Box::new(client) }
    }

    /// The next message, once there is one; `None` when the watch has ended. For scenarios of one's own.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let (saw, messages) = tokio::sync::mpsc::unbounded_channel();
    /// let mut watch = amgi_conformance::Watch::new(messages, ());
    /// saw.send(amgi::Message::new("a")).unwrap();
    /// drop(saw);
    /// assert_eq!(watch.next().await.unwrap().address, "a");
    /// assert!(watch.next().await.is_none());
    /// # });
    /// ```
    pub async fn next(&mut self) -> Option<Message> {
        self.messages.recv().await
    }

    pub(crate) fn try_next(&mut self) -> Option<Message> {
        self.messages.try_recv().ok()
    }
}

/// What keeps messages in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// All messages of a subscription are.
    Total,
    /// Messages of one address are.
    Address,
    /// Messages with the same value in this binding are, such as Kafka's key.
    Binding(&'static str, &'static str),
}

/// Something that not every broker can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Ability {
    /// Messages have headers.
    Headers,
    /// Headers keep their order, that of different names too.
    HeaderOrder,
    /// A header may be there several times.
    RepeatedHeaders,
    /// The value of a header may be any bytes.
    BinaryHeaders,
    /// A payload may be empty.
    EmptyPayload,
    /// A payload that is absent is told from an empty one.
    AbsentPayload,
    /// A payload may be any bytes.
    BinaryPayload,
    /// A payload may have 1 MiB.
    LargePayload,
    /// What was not acknowledged is delivered again.
    Redelivery,
    /// What is published while the server is away is kept for it.
    Queueing,
    /// A message that was given back is delivered again later, and what is behind it goes on.
    Nack,
    /// There is an order, see [`Subject::order`].
    Order,
    /// Several messages are handled at a time.
    Concurrency,
    /// What the server does not take waits at the broker.
    BackPressure,
    /// A stop begins nothing new; without it, what the broker has delivered is handled first.
    ImmediateStop,
    /// A stop does not wait longer than its deadline.
    Deadline,
    /// Messages of a batch are delivered together.
    Batches,
    /// A handler can wait for the reply to a request.
    Replies,
    /// The broker can say that it does not take a message.
    RefusedSends,
    /// Instances of a group share the messages.
    SharedWork,
    /// The broker can go away, and return.
    BrokerLoss,
}

/// What a server and its broker can do, and why not the rest.
///
/// ```
/// use amgi_conformance::{Abilities, Ability};
///
/// let abilities = Abilities::all().without(Ability::AbsentPayload, "MQTT knows only empty ones");
/// assert!(abilities.has(Ability::Headers));
/// assert_eq!(abilities.lacks(Ability::AbsentPayload), Some("MQTT knows only empty ones"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Abilities(Vec<(Ability, &'static str)>);

impl Abilities {
    /// Everything.
    pub fn all() -> Self {
        Self::default()
    }

    /// All but this. The reason is for the server's page, and is one sentence.
    #[must_use]
    pub fn without(mut self, ability: Ability, reason: &'static str) -> Self {
        self.0.push((ability, reason));
        self
    }

    /// Whether it is there.
    pub fn has(&self, ability: Ability) -> bool {
        self.lacks(ability).is_none()
    }

    /// Why it is not there.
    pub fn lacks(&self, ability: Ability) -> Option<&'static str> {
        self.0.iter().find(|(lacking, _)| *lacking == ability).map(|(_, reason)| *reason)
    }

    /// What is not there, and why, in the order in which it was said.
    pub fn lacking(&self) -> impl Iterator<Item = (Ability, &'static str)> {
        self.0.iter().copied()
    }
}
