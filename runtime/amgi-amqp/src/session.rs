//! The session: one connection after the other, with all queues consumed on each.
//!
//! What must hold: a connection that goes away is replaced, with everything on it; at a stop what has begun is finished and
//! acknowledged, and nothing else.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use amgi::{
    Error, Result,
    server::{Lanes, Stop},
};
use futures_util::StreamExt as _;
use lapin::Connection;
use tokio::{
    task::{JoinError, JoinSet},
    time::{sleep, sleep_until, timeout, timeout_at},
};
use tracing::{info, warn};

use crate::{
    BrokerError,
    config::Config,
    link::{self, LinkError},
    reader::Reader,
    topology::Topology,
    worker::Job,
};

/// A connection that lasted this long was a good one: the next pause is short again.
const GOOD: Duration = Duration::from_secs(5);

pub(crate) struct Session {
    pub(crate) config: Arc<Config>,
    pub(crate) topology: Arc<Topology>,
    /// For channels whose messages are handled one by one.
    pub(crate) lanes: Option<Arc<Lanes<Job>>>,
    /// By source: those that have a loop of their own.
    pub(crate) own: Vec<Option<Arc<Lanes<Job>>>>,
    /// The loops; that for replies is not one of them.
    pub(crate) workers: JoinSet<()>,
    pub(crate) stop: Stop,
    /// Tells the loops, and who reads for them.
    pub(crate) drain: Stop,
    /// Tells who reads replies, which handlers wait for.
    pub(crate) finish: Stop,
    pub(crate) on_ready: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// A connection with all queues consumed.
struct Connected {
    connection: Connection,
    /// One for each queue.
    readers: JoinSet<Result<(), LinkError>>,
    /// How many of them read messages that are not replies.
    messages: usize,
}

/// How a connection ended.
enum Ended {
    /// A stop was asked for.
    Stopped,
    Lost(LinkError),
    Broken(Error),
}

fn broken(error: &JoinError) -> Error {
    Error::Broker(Box::new(BrokerError(format!("a loop broke down: {error}"))))
}

impl Session {
    /// Runs until a stop is asked for and everything is finished, or there is no point in going on.
    pub(crate) async fn run(mut self) -> Result<()> {
        let stop = self.stop.clone();
        let opened = tokio::select! {
            opened = self.open() => opened,
            () = stop.requested() => return Ok(()),
        };
        let mut connected = opened
            .map_err(|error| Error::Broker(Box::new(BrokerError(format!("{}: {error}", self.config.url)))))?;
        let mut failures = 0_u32;
        loop {
            let since = Instant::now();
            let error = match self.connected(&mut connected).await {
                Ended::Stopped => return self.drain(Some(connected)).await,
                Ended::Broken(error) => {
                    let _ = self.drain(Some(connected)).await;
                    return Err(error);
                }
                Ended::Lost(error) => error,
            };
            warn!(url = %self.config.url, %error, "connection lost");
            // Its queues get back what is not acknowledged, and loops begin nothing of it any more.
            drop(connected);
            if since.elapsed() >= GOOD {
                failures = 0;
            }
            connected = loop {
                failures = failures.saturating_add(1);
                let attempt = async {
                    sleep(self.config.reconnect.delay(failures)).await;
                    self.open().await
                };
                let attempt = tokio::select! {
                    attempt = attempt => attempt,
                    () = stop.requested() => return self.drain(None).await,
                };
                match attempt {
                    Ok(connected) => break connected,
                    Err(error) => warn!(url = %self.config.url, %error, failures, "cannot reconnect"),
                }
            };
        }
    }

    /// Connects and consumes all queues.
    async fn open(&self) -> Result<Connected, LinkError> {
        let connection = link::connect(&self.config, "receives").await?;
        let mut reading = Vec::new();
        for (index, source) in self.topology.sources.iter().enumerate() {
            let (channel, consumer) = link::subscribe(&connection, source, &self.config).await?;
            // Nothing is opened when all is over.
            let Some(lanes) = self.own[index].clone().or_else(|| self.lanes.clone()) else { continue };
            reading.push(Reader {
                topology: self.topology.clone(),
                source: index,
                config: self.config.clone(),
                channel,
                consumer,
                lanes,
                stop: if source.replies { self.finish.clone() } else { self.drain.clone() },
            });
        }
        let mut readers = JoinSet::new();
        let messages = self.topology.sources.iter().filter(|source| !source.replies).count();
        for reader in reading {
            readers.spawn(reader.run());
        }
        if let Some(on_ready) = &self.on_ready {
            on_ready();
        }
        Ok(Connected { connection, readers, messages })
    }

    /// Until the connection ends, or a stop is asked for.
    async fn connected(&mut self, connected: &mut Connected) -> Ended {
        let stop = self.stop.clone();
        // Nobody reads where there are no queues, and the connection's end must show all the same.
        let lost = lost(&connected.connection);
        tokio::select! {
            () = stop.requested() => Ended::Stopped,
            Some(ended) = connected.readers.join_next() => match ended {
                Ok(Ok(())) => Ended::Lost(LinkError::Cancelled(String::new())),
                Ok(Err(error)) => Ended::Lost(error),
                Err(error) => Ended::Broken(broken(&error)),
            },
            Some(Err(error)) = self.workers.join_next() => Ended::Broken(broken(&error)),
            error = lost => Ended::Lost(error),
        }
    }

    /// Finishes what has begun, as far as the deadline allows, and closes the connection.
    async fn drain(mut self, connected: Option<Connected>) -> Result<()> {
        info!("stopping: finishing what is in flight");
        let deadline = Instant::now() + self.config.shutdown_deadline;
        self.drain.request();
        let mut connected = connected;
        if let Some(Connected { readers, messages, .. }) = &mut connected {
            let mut lost = false;
            let reading = async {
                for _ in 0..*messages {
                    match readers.join_next().await {
                        Some(Ok(Ok(()))) => {}
                        Some(Ok(Err(error))) => {
                            warn!(%error, "connection lost while stopping; what it had unacknowledged comes again");
                            lost = true;
                            return;
                        }
                        Some(Err(_)) | None => return,
                    }
                }
            };
            let _ = timeout_at(deadline.into(), reading).await;
            if lost {
                connected = None;
            }
        }
        // Loops end when nobody can give them anything any more.
        self.lanes = None;
        self.own.clear();
        let workers = &mut self.workers;
        let working = async { while workers.join_next().await.is_some() {} };
        let finished = tokio::select! {
            () = working => true,
            () = sleep_until(deadline.into()) => false,
        };
        if !finished {
            warn!("deadline passed; what is still in handlers stays with the broker");
            self.workers.abort_all();
            while self.workers.join_next().await.is_some() {}
        }
        self.finish.request();
        if let Some(Connected { connection, mut readers, .. }) = connected {
            // Handlers have ended: what is left is to acknowledge what they did.
            let ending = async { while readers.join_next().await.is_some() {} };
            let limit = self.config.connect_timeout;
            if timeout(limit, ending).await.is_err() {
                warn!("the broker does not answer; acknowledgements may be lost");
            }
            let _ = timeout(limit, connection.close(200, "OK".into())).await;
        }
        Ok(())
    }
}

/// Ends with the connection.
async fn lost(connection: &Connection) -> LinkError {
    let mut events = std::pin::pin!(connection.events_listener());
    loop {
        match events.next().await {
            Some(lapin::Event::Error(error)) => return error.into(),
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}
