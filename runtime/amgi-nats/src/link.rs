//! The connection: the client, what it tells about itself, and round trips.
//!
//! What must hold: [`Link::reached`] ends when the broker has everything that was handed to the client before on a connection
//! that held, and says so when it did not hold. The client alone says neither: its flush ends when the socket has the bytes, and
//! what was not written when a connection breaks is gone. What the broker refused until then is known by then.
//!
//! The latter needs an order between two tasks: one of the client, which is told of a refusal, and ours, which gets what the broker
//! sent after it. So the connection has a thread of its own. On it tasks run in the order in which they were woken.

use std::{
    collections::BTreeSet,
    error::Error as _,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use amgi::{
    Error, Result,
    server::tls::{Tls, explain},
};
use async_nats::{
    Client, ConnectError, ConnectOptions, Event, ServerAddr, ServerError, Subject, Subscriber,
    client::Statistics, connection::State,
};
use futures_util::StreamExt;
use tokio::{
    sync::{Notify, oneshot, watch},
    time::timeout,
};
use tracing::{debug, info, warn};

use crate::{BrokerError, config::Config};

/// What the client tells about itself.
#[derive(Debug, Default)]
struct Told {
    /// Connections so far.
    connected: watch::Sender<u64>,
    /// What the broker did not allow since, in its words.
    refused: Mutex<BTreeSet<String>>,
    any_refused: AtomicBool,
    /// Changes with every refusal.
    refusals: watch::Sender<u64>,
    /// Messages that were thrown away because too many wait.
    dropped: AtomicU64,
}

impl Told {
    fn take(&self, event: &Event) {
        match event {
            Event::Connected => {
                info!("connected");
                self.refused.lock().unwrap_or_else(PoisonError::into_inner).clear();
                self.any_refused.store(false, Ordering::Release);
                self.connected.send_modify(|count| *count += 1);
            }
            Event::Disconnected => warn!("connection lost"),
            Event::SlowConsumer(_) => {
                let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
                if dropped.is_power_of_two() {
                    warn!(dropped, "messages are dropped: more wait than `pending` allows");
                }
            }
            Event::ServerError(ServerError::Other(text)) => {
                warn!(error = text, "the broker says");
                if text.contains("ermissions") {
                    self.refused.lock().unwrap_or_else(PoisonError::into_inner).insert(text.clone());
                    self.any_refused.store(true, Ordering::Release);
                    self.refusals.send_modify(|count| *count += 1);
                }
            }
            Event::Closed | Event::Draining => debug!("{event}"),
            other => warn!("{other}"),
        }
    }
}

/// An error in words, where it is one of TLS.
fn explained(error: &ConnectError, files: Option<&Tls>) -> String {
    let mut cause = error.source();
    while let Some(error) = cause {
        let io = error.downcast_ref::<io::Error>();
        let text = io.and_then(|io| files.map_or_else(|| explain(io), |files| files.explain(io)));
        if let Some(text) = text {
            return text;
        }
        cause = error.source();
    }
    error.to_string()
}

/// Who waits for a round trip, told how many connections there were when it ended.
type Waiting = Vec<oneshot::Sender<u64>>;

/// The connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) client: Client,
    statistics: Arc<Statistics>,
    told: Arc<Told>,
    waiting: Arc<Mutex<Waiting>>,
    asked: Arc<Notify>,
    /// The thread of the connection ends when this is dropped.
    _held: oneshot::Sender<Never>,
}

/// What is never sent.
#[derive(Debug)]
enum Never {}

impl Link {
    /// Connects, within the connect timeout.
    pub(crate) async fn open(config: &Config) -> Result<Self> {
        let url = config.url.to_string();
        let fail = move |error: &dyn std::fmt::Display| {
            Error::Broker(Box::new(BrokerError(format!("cannot connect to {url}: {error}"))))
        };
        let options = config.connect_options().await?;
        let (servers, limit) = (config.url.servers.clone(), config.connect_timeout);
        let files = config.files.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut opened, open) = oneshot::channel();
        let thread = move || {
            runtime.block_on(async {
                let (held, dropped) = oneshot::channel();
                let link = tokio::select! {
                    link = Self::connect(options, &servers, limit, files, held) => link.map_err(|error| fail(&error)),
                    () = opened.closed() => return,
                };
                if opened.send(link).is_ok() {
                    let _ = dropped.await;
                }
            });
        };
        std::thread::Builder::new().name("nats".to_owned()).spawn(thread)?;
        open.await.unwrap_or_else(|_| Err(Error::Broker(Box::new(BrokerError("cannot connect".to_owned())))))
    }

    /// Connects, on the thread of the connection.
    async fn connect(
        options: ConnectOptions,
        servers: &[ServerAddr],
        limit: Duration,
        files: Option<Tls>,
        held: oneshot::Sender<Never>,
    ) -> Result<Self, String> {
        let told = Arc::new(Told::default());
        let tell = told.clone();
        let options = options.event_callback(move |event| {
            tell.take(&event);
            async {}
        });
        let client = timeout(limit, options.connect(servers))
            .await
            .map_err(|_| format!("no answer within {limit:?}"))?
            .map_err(|error| explained(&error, files.as_ref()))?;
        // The first connection is told of, too, perhaps a moment later.
        let _ = told.connected.subscribe().wait_for(|count| *count > 0).await;
        let subject = Subject::from(client.new_inbox());
        let subscriber = client.subscribe(subject.clone()).await.map_err(|error| error.to_string())?;
        let (waiting, asked) = (Arc::<Mutex<Waiting>>::default(), Arc::<Notify>::default());
        let trips = Trips {
            subject,
            subscriber,
            statistics: client.statistics(),
            waiting: waiting.clone(),
            asked: asked.clone(),
            under_way: Vec::new(),
            number: 0,
            client: client.clone(),
        };
        tokio::spawn(trips.run(told.connected.subscribe()));
        Ok(Self { statistics: client.statistics(), client, told, waiting, asked, _held: held })
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> u64 {
        self.statistics.connects.load(Ordering::Acquire)
    }

    /// Whether there is one.
    pub(crate) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Changes after every connection.
    pub(crate) fn connected(&self) -> watch::Receiver<u64> {
        self.told.connected.subscribe()
    }

    /// Waits until the broker has read everything that was handed to the client before. True when there was no other
    /// connection since there were `connections`: then the broker has it.
    pub(crate) async fn reached(&self, connections: u64) -> bool {
        let (done, arrived) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(done);
        self.asked.notify_one();
        arrived.await.is_ok_and(|after| after == connections)
    }

    /// What the broker did not allow about `subject` since the connection began.
    pub(crate) fn refusal(&self, subject: &str) -> Option<String> {
        if !self.told.any_refused.load(Ordering::Acquire) {
            return None;
        }
        let refused = self.told.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let quoted = format!("\"{subject}\"");
        refused.iter().find(|text| text.contains(&quoted)).cloned()
    }

    /// Changes whenever the broker does not allow something.
    pub(crate) fn refused(&self) -> watch::Receiver<u64> {
        self.told.refusals.subscribe()
    }

    /// What the broker did not allow at all.
    pub(crate) fn refusals(&self) -> Vec<String> {
        self.told.refused.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Sends messages to ourselves: when one is back, the broker has read what was before it. One is under way at a time, for all
/// who asked before it left.
struct Trips {
    client: Client,
    statistics: Arc<Statistics>,
    subject: Subject,
    subscriber: Subscriber,
    waiting: Arc<Mutex<Waiting>>,
    asked: Arc<Notify>,
    /// Who waits for the one that is under way.
    under_way: Waiting,
    number: u64,
}

impl Trips {
    async fn run(mut self, mut connected: watch::Receiver<u64>) {
        loop {
            tokio::select! {
                back = self.subscriber.next() => {
                    let Some(back) = back else { return };
                    if back.payload == self.number.to_string() {
                        // The task that is told of refusals was woken before; it may wait for its turn.
                        tokio::task::yield_now().await;
                        let connections = self.statistics.connects.load(Ordering::Acquire);
                        for done in self.under_way.drain(..) {
                            let _ = done.send(connections);
                        }
                        self.leave().await;
                    }
                }
                () = self.asked.notified() => {
                    if self.under_way.is_empty() {
                        self.leave().await;
                    }
                }
                changed = connected.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    // The one that was under way may be lost.
                    if !self.under_way.is_empty() {
                        self.send().await;
                    }
                }
            }
        }
    }

    /// Sends one for all who wait, if anybody does.
    async fn leave(&mut self) {
        std::mem::swap(
            &mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner),
            &mut self.under_way,
        );
        if !self.under_way.is_empty() {
            self.send().await;
        }
    }

    async fn send(&mut self) {
        self.number += 1;
        let sent = self.client.publish(self.subject.clone(), self.number.to_string().into()).await;
        if let Err(error) = sent {
            debug!(%error, "the connection is closed");
        }
    }
}
